/*
 * endpoint_live.c - what the workers have of one server now: connections, queue, addresses; each worker's and all of them together.
 *
 * A worker tells at most 48 addresses of a server, a provider has at most 64 servers, and there may be many workers, so what
 * is shown of each has a ceiling, and what is beyond it is counted.
 */
#include "api/internal.h"

#define WORKERS_SHOWN   50     /* of each server */
#define ADDRESSES_SHOWN 64     /* of each server, all workers together */

static json_t *number(const json_t *o, const char *member)
{
	json_int_t v = json_integer_value(json_object_get(o, member));
	return json_integer(v < 0 ? 0 : v);
}

/* As it stands there, if it is of the kind that the contract promises; else null. */
static json_t *or_null(const json_t *o, const char *member, json_type type)
{
	json_t *v = json_object_get(o, member);
	return v && json_typeof(v) == type ? json_incref(v) : json_null();
}

static void add(json_t *into, const json_t *from, const char *member)
{
	json_int_t v = json_integer_value(json_object_get(from, member));
	json_object_set_new(into, member, json_integer(json_integer_value(json_object_get(into, member)) + (v < 0 ? 0 : v)));
}

/* ---- pool and queue ---- */

static const char *const pool_sums[] = { "connections", "busy", "idle", "connecting" };

static json_t *pool_of(const json_t *theirs)
{
	json_t *o = json_object();
	for (size_t i = 0; i < GW_COUNT(pool_sums); i++)
		json_object_set_new(o, pool_sums[i], number(theirs, pool_sums[i]));
	json_object_set_new(o, "limit", or_null(theirs, "limit", JSON_INTEGER));
	return o;
}

static json_t *queue_of(const json_t *theirs)
{
	json_t *o = json_object();
	json_object_set_new(o, "waiting", number(theirs, "waiting"));
	json_object_set_new(o, "limit", number(theirs, "limit"));
	json_object_set_new(o, "timeout_ms", or_null(theirs, "timeout_ms", JSON_INTEGER));
	return o;
}

/* Limits hold for each worker, so those of all together are their sum. */
static void fold_counts(json_t *ours, const json_t *theirs)
{
	json_t *pool = json_object_get(ours, "pool"), *queue = json_object_get(ours, "queue");
	const json_t *from = json_object_get(theirs, "pool");
	for (size_t i = 0; i < GW_COUNT(pool_sums); i++)
		add(pool, from, pool_sums[i]);
	if (json_is_integer(json_object_get(from, "limit")))
		add(pool, from, "limit");
	from = json_object_get(theirs, "queue");
	add(queue, from, "waiting");
	add(queue, from, "limit");
	json_object_set_new(queue, "timeout_ms", or_null(from, "timeout_ms", JSON_INTEGER));
}

/* ---- addresses ---- */

/* The one that matters most to somebody who looks comes last. */
static const char *const states[] = { "former", "spare", "in_use", "failing", "blocked" };

static size_t rank(const json_t *address)
{
	struct gw_str s = gw_json_str(json_object_get(address, "state"));
	for (size_t i = 0; i < GW_COUNT(states); i++)
		if (gw_str_is(s, states[i]))
			return i;
	return 1; /* a newer worker's word */
}

static json_t *address_of(const json_t *theirs)
{
	json_t *o = json_object();
	json_object_set_new(o, "address", or_null(theirs, "address", JSON_STRING));
	json_object_set_new(o, "family", json_string(gw_str_is(gw_json_str(json_object_get(theirs, "family")), "ipv6") ? "ipv6" : "ipv4"));
	json_object_set_new(o, "state", json_string(states[rank(theirs)]));
	json_object_set_new(o, "connections", number(theirs, "connections"));
	json_object_set_new(o, "last_error", or_null(theirs, "last_error", JSON_STRING));
	json_object_set_new(o, "last_error_at", or_null(theirs, "last_error_at", JSON_STRING));
	return o;
}

/* Times of the API are equally long texts, and the later one is the greater. */
static bool is_later(const json_t *a, const json_t *b)
{
	struct gw_str x = gw_json_str(a), y = gw_json_str(b);
	return x.p && (!y.p || gw_str_cmp(x, y) > 0);
}

static void fold_address(json_t *ours, const json_t *theirs)
{
	add(ours, theirs, "connections");
	json_object_set_new(ours, "workers", json_integer(json_integer_value(json_object_get(ours, "workers")) + 1));
	if (rank(theirs) > rank(ours))
		json_object_set_new(ours, "state", json_string(states[rank(theirs)]));
	if (is_later(json_object_get(theirs, "last_error_at"), json_object_get(ours, "last_error_at"))) {
		json_object_set_new(ours, "last_error", or_null(theirs, "last_error", JSON_STRING));
		json_object_set_new(ours, "last_error_at", or_null(theirs, "last_error_at", JSON_STRING));
	}
}

static json_t *find(json_t *list, const json_t *address)
{
	size_t i;
	json_t *o;
	json_array_foreach(list, i, o)
		if (json_equal(json_object_get(o, "address"), json_object_get(address, "address")))
			return o;
	return NULL;
}

/* Adds an address to those of all workers; false: there is no room for one more. */
static bool join(json_t *all, const json_t *address, size_t *room)
{
	json_t *known = find(all, address);
	if (known) {
		fold_address(known, address);
		return true;
	}
	if (*room == 0 || json_array_size(all) >= ADDRESSES_SHOWN)
		return false;
	(*room)--;
	known = json_deep_copy(address);
	json_object_set_new(known, "workers", json_integer(1));
	json_array_append_new(all, known);
	return true;
}

/* `row`: that worker's own entry; NULL: it has none. */
static void fold_addresses(json_t *ours, json_t *row, const json_t *theirs, size_t *room)
{
	json_t *all = json_object_get(ours, "addresses"), *own = json_object_get(row, "addresses"), *v;
	json_int_t beyond = json_integer_value(json_object_get(theirs, "addresses_left_out")), own_beyond = beyond;
	size_t i;
	json_array_foreach(json_object_get(theirs, "addresses"), i, v) {
		if (!json_is_string(json_object_get(v, "address")))
			continue;
		json_t *o = address_of(v);
		beyond += !join(all, o, room);
		if (own && *room > 0) {
			(*room)--;
			json_array_append(own, o);
		} else {
			own_beyond++;
		}
		json_decref(o);
	}
	if (beyond > json_integer_value(json_object_get(ours, "addresses_left_out")))
		json_object_set_new(ours, "addresses_left_out", json_integer(beyond));
	if (row)
		json_object_set_new(row, "addresses_left_out", json_integer(own_beyond));
}

/* ---- the whole ---- */

static const char *const name_members[] = { "resolved_at", "expires_at", "lookup_error" };

static void set_name(json_t *o, const json_t *theirs)
{
	for (size_t i = 0; i < GW_COUNT(name_members); i++)
		json_object_set_new(o, name_members[i], or_null(theirs, name_members[i], JSON_STRING));
	json_object_set_new(o, "ttl_ms", or_null(theirs, "ttl_ms", JSON_INTEGER));
}

static json_t *row_of(const json_t *theirs, const struct cp_node_live *w)
{
	json_t *o = json_object();
	gw_json_set_str(o, "id", w->id);
	gw_json_set_str(o, "name", w->name.p ? w->name : w->id);
	json_object_set_new(o, "pool", pool_of(json_object_get(theirs, "pool")));
	json_object_set_new(o, "queue", queue_of(json_object_get(theirs, "queue")));
	set_name(o, theirs);
	json_object_set_new(o, "addresses", json_array());
	return o;
}

void cp_endpoint_live_begin(json_t *endpoint)
{
	json_object_set_new(endpoint, "pool", pool_of(NULL));
	json_object_set_new(endpoint, "queue", queue_of(NULL));
	set_name(endpoint, NULL);
	json_object_set_new(endpoint, "addresses", json_array());
	json_object_set_new(endpoint, "addresses_left_out", json_integer(0));
	json_object_set_new(endpoint, "workers", json_array());
	json_object_set_new(endpoint, "workers_left_out", json_integer(0));
}

void cp_endpoint_live_fold(json_t *ours, const json_t *theirs, const struct cp_node_live *w, size_t *room)
{
	json_t *rows = json_object_get(ours, "workers"), *row = NULL;
	if (!json_is_object(json_object_get(theirs, "pool")))
		return; /* a worker of an earlier release */
	fold_counts(ours, theirs);
	if (is_later(json_object_get(theirs, "resolved_at"), json_object_get(ours, "resolved_at")) ||
	    (json_is_null(json_object_get(ours, "resolved_at")) && json_is_string(json_object_get(theirs, "lookup_error"))))
		set_name(ours, theirs);
	if (json_array_size(rows) < WORKERS_SHOWN) {
		row = row_of(theirs, w);
		json_array_append_new(rows, row);
	} else {
		json_object_set_new(ours, "workers_left_out", json_integer(json_integer_value(json_object_get(ours, "workers_left_out")) + 1));
	}
	fold_addresses(ours, row, theirs, room);
}
