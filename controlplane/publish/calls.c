/*
 * calls.c - asking workers to do something, and the view of them that the API has (workers.h).
 */
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "publish/hub.h"
#include "publish/session.h"

/* ---- calls ---- */

static void finish(struct cp_hub *h, struct cp_call *c)
{
	c->done = true;
	gw_list_del(&c->on);
	pthread_cond_broadcast(&h->changed);
}

void cp_calls_fail(struct cp_hub *h, uint64_t connection, const char *why)
{
	for (struct gw_node *n = h->calls.next, *next; n != &h->calls; n = next) {
		struct cp_call *c = GW_CONTAINER(n, struct cp_call, on);
		next = n->next;
		if (c->connection != connection)
			continue;
		c->rc = gw_fail(&c->err, GW_BUSY, NULL, "%s", why);
		finish(h, c);
	}
}

/* A worker names its failures as gw_rc does; a name that we do not know is a failure all the same. */
static enum gw_rc rc_of(struct gw_str code)
{
	char z[32];
	snprintf(z, sizeof z, "%.*s", GW_FMT(code));
	for (int rc = GW_INVALID; rc <= GW_IO; rc++)
		if (strcasecmp(gw_rc_name((enum gw_rc)rc), z) == 0)
			return (enum gw_rc)rc;
	return GW_IO;
}

void cp_calls_result(struct cp_hub *h, uint64_t connection, const struct gw_wire *w)
{
	int64_t id;
	if (!gw_str_int(w->id, 1, INT64_MAX, &id))
		return;
	for (struct gw_node *n = h->calls.next; n != &h->calls; n = n->next) {
		struct cp_call *c = GW_CONTAINER(n, struct cp_call, on);
		if (c->id != (uint64_t)id || c->connection != connection)
			continue;
		if (w->ok) {
			c->result = w->result ? json_deep_copy(w->result) : json_object();
		} else {
			const json_t *e = json_object_get(w->doc, "error");
			struct gw_str text = gw_json_str(json_object_get(e, "text"));
			c->rc = gw_fail(&c->err, rc_of(gw_json_str(json_object_get(e, "code"))), NULL, "%.*s",
			    (int)(text.n < 300 ? text.n : 300), text.n ? text.p : "the worker could not do it");
		}
		finish(h, c);
		return;
	}
}

/* `node` absent: the connected ones take turns; draining ones and those without configuration only when no other is there. */
static struct cp_session *pick(struct cp_hub *h, struct gw_str node)
{
	struct cp_session *best = NULL, *any = NULL;
	size_t good = 0, at = 0;
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		if (!cp_session_live(s))
			continue;
		if (node.n && gw_str_is(node, s->id))
			return s;
		any = s;
		good += !s->draining && s->serves && s->revision == h->latest;
	}
	if (node.n)
		return NULL;
	size_t want = good ? h->next_pick++ % good : 0;
	for (struct gw_node *n = h->sessions.next; n != &h->sessions && good && !best; n = n->next) {
		struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		if (cp_session_live(s) && !s->draining && s->serves && s->revision == h->latest && at++ == want)
			best = s;
	}
	return best ? best : any;
}

static enum gw_rc no_worker(struct gw_str node, struct gw_error *err)
{
	if (node.n)
		return gw_fail(err, GW_NOTFOUND, NULL, "the worker %.*s is not connected", (int)(node.n < 64 ? node.n : 64),
		    node.p);
	return gw_fail(err, GW_NOTFOUND, NULL, "no worker is connected: start one with `tidegate up`, or "
	    "`tidegate-worker --control wss://HOST:8002 --join-token-file FILE`");
}

static enum gw_rc hub_call(void *self, struct gw_str node, const char *op, json_t *args, int64_t timeout_ms,
    json_t **result, struct gw_error *err)
{
	struct cp_hub *h = self;
	struct cp_call c = { .rc = GW_OK };
	int64_t until = gw_mono_ms() + timeout_ms;
	*result = NULL;
	pthread_mutex_lock(&h->lock);
	struct cp_session *s = pick(h, node);
	if (!s) {
		pthread_mutex_unlock(&h->lock);
		json_decref(args);
		return no_worker(node, err);
	}
	char id[24];
	c.id = ++h->last_call;
	c.connection = s->connection;
	gw_list_add_tail(&h->calls, &c.on);
	snprintf(id, sizeof id, "%llu", (unsigned long long)c.id);
	json_t *m = gw_wire_new(GW_WIRE_CALL);
	gw_json_set_str(m, "id", gw_str_c(id));
	gw_json_set_str(m, "op", gw_str_c(op));
	json_object_set_new(m, "args", args ? args : json_object());
	cp_hub_write(h, c.connection, m);
	while (!c.done && !h->stop && gw_mono_ms() < until)
		cp_hub_wait_until(h, &h->changed, until);
	if (!c.done) {
		gw_list_del(&c.on);
		c.rc = gw_fail(&c.err, GW_BUSY, NULL, h->stop ? "the control plane stops" : "the worker did not answer within %lld s",
		    (long long)(timeout_ms + 999) / 1000);
	}
	pthread_mutex_unlock(&h->lock);
	*result = c.result;
	if (c.rc != GW_OK && err)
		*err = c.err;
	return c.rc;
}

/* ---- the view ---- */

static struct gw_str text(struct gw_arena *a, const char *z)
{
	return z[0] ? gw_arena_copy(a, gw_str_c(z)) : GW_STR_NONE;
}

static struct gw_strv names(struct gw_arena *a, const json_t *list)
{
	size_t n = json_array_size(list);
	struct gw_str *v = gw_arena_array(a, n ? n : 1, sizeof *v);
	for (size_t i = 0; i < n; i++) {
		struct gw_str name = gw_json_str(json_array_get(list, i));
		v[i] = gw_arena_copy(a, name.p ? name : GW_STR(""));
	}
	return (struct gw_strv){ v, n };
}

static size_t hub_list(void *self, struct gw_arena *a, struct cp_node_live **out)
{
	struct cp_hub *h = self;
	size_t n = 0;
	pthread_mutex_lock(&h->lock);
	for (struct gw_node *at = h->sessions.next; at != &h->sessions; at = at->next)
		n++;
	*out = gw_arena_array(a, n ? n : 1, sizeof **out);
	n = 0;
	for (struct gw_node *at = h->sessions.next; at != &h->sessions; at = at->next) {
		const struct cp_session *s = GW_CONTAINER(at, struct cp_session, on);
		if (!cp_session_live(s))
			continue;
		(*out)[n++] = (struct cp_node_live){
			.id = text(a, s->id), .name = text(a, s->name), .version = text(a, s->version),
			.address = text(a, s->address), .listen = text(a, s->listen),
			.last_error = text(a, s->last_error), .draining = s->draining, .revision = s->revision,
			.last_seen_ms = s->seen_ms, .started_at_ms = s->started_at_ms, .requests = s->requests,
			.in_flight = s->in_flight, .counters_away = s->counters_away != 0, .providers_out = names(a, s->providers_out),
		};
	}
	pthread_mutex_unlock(&h->lock);
	return n;
}

static bool all_serve(const struct cp_hub *h, uint64_t revision)
{
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		const struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		if (cp_session_live(s) && (!s->serves || s->revision < revision))
			return false;
	}
	return true;
}

static bool hub_wait(void *self, uint64_t revision, int64_t timeout_ms)
{
	struct cp_hub *h = self;
	int64_t until = gw_mono_ms() + timeout_ms;
	pthread_mutex_lock(&h->lock);
	bool served = all_serve(h, revision);
	while (!served && !h->stop && gw_mono_ms() < until) {
		cp_hub_wait_until(h, &h->changed, until);
		served = all_serve(h, revision);
	}
	pthread_mutex_unlock(&h->lock);
	return served;
}

static void hub_kick(void *self, struct gw_str node)
{
	struct cp_hub *h = self;
	pthread_mutex_lock(&h->lock);
	struct cp_session *s = node.n ? pick(h, node) : NULL;
	if (s)
		cp_ws_drop(h->ws, s->connection, "an operator removed the worker");
	pthread_mutex_unlock(&h->lock);
}

static void hub_kick_token(void *self, struct gw_str join_token_id)
{
	struct cp_hub *h = self;
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < GW_COUNT(h->seen); i++)
		if (gw_str_is(join_token_id, h->seen[i].id))
			h->seen[i].until_ms = 0;
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		if (gw_str_is(join_token_id, s->token_id))
			cp_ws_drop(h->ws, s->connection, "its join token was revoked");
	}
	pthread_mutex_unlock(&h->lock);
}

struct cp_workers cp_hub_workers(struct cp_hub *h)
{
	GW_CHECK(h, CP_HUB_MAGIC);
	return (struct cp_workers){ .self = h, .list = hub_list, .wait = hub_wait, .call = hub_call, .kick = hub_kick,
		.kick_token = hub_kick_token };
}

static void acknowledge(struct cp_hub *h, enum gw_wire_type type, uint64_t connection, struct gw_str boot_id, int64_t seq)
{
	GW_CHECK(h, CP_HUB_MAGIC);
	json_t *m = gw_wire_new(type);
	gw_json_set_str(m, "boot_id", boot_id);
	json_object_set_new(m, "seq", json_integer(seq));
	cp_hub_write(h, connection, m);
}

void cp_hub_usage_stored(struct cp_hub *h, uint64_t connection, struct gw_str boot_id, int64_t seq)
{
	acknowledge(h, GW_WIRE_USAGE_ACK, connection, boot_id, seq);
}

void cp_hub_send_quotas(struct cp_hub *h, uint64_t connection, json_t *items)
{
	json_t *m = gw_wire_new(GW_WIRE_QUOTAS);
	json_object_set_new(m, "items", items);
	cp_hub_write(h, connection, m);
}

void cp_hub_series_stored(struct cp_hub *h, uint64_t connection, struct gw_str boot_id, int64_t seq)
{
	acknowledge(h, GW_WIRE_SERIES_ACK, connection, boot_id, seq);
}
