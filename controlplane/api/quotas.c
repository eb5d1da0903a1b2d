/* quotas.c - quotas with their balances, and the book of what people and thresholds did to them. */
#include "api/internal.h"

#include "quota/set.h"
#include "store/quota_store.h"

/* ---- what a read shows ---- */

static const char *state_of(const struct gw_quota *q, int64_t granted, int64_t used)
{
	if (!q->enabled)
		return "disabled";
	if (used >= granted)
		return "exhausted";
	return q->n_thresholds > 0 && used >= granted / 100 * q->thresholds[0] + granted % 100 * q->thresholds[0] / 100 ? "warning" : "ok";
}

enum gw_rc cp_view_quota(struct cp_ctx *x, struct cp_txn *t, const struct cp_record *r, json_t *o, struct gw_error *err)
{
	struct cp_quota q;
	struct cp_quota_sums sums = { 0 };
	int64_t from = 0, until = 0, now = gw_now_ms();
	enum gw_rc rc = cp_quota_read(&q, r, x->a, err);
	if (rc != GW_OK)
		return rc;
	cp_quota_period(&q, now < q.created_ms ? q.created_ms : now, &from, &until);
	rc = cp_quota_get(t, q.def.name, from, &sums, err);
	int64_t granted = q.def.limit + sums.adjusted;
	json_t *b = json_object();
	json_object_set_new(b, "from", cp_time_json(from));
	json_object_set_new(b, "until", cp_time_json(until));
	json_object_set_new(b, "granted", json_integer(granted));
	json_object_set_new(b, "used", json_integer(sums.used));
	json_object_set_new(b, "left", json_integer(granted - sums.used));
	json_object_set_new(b, "state", json_string(state_of(&q.def, granted, sums.used)));
	json_object_set_new(o, "balance", b);
	return rc;
}

static void check_zone(struct cp_ctx *x, const json_t *body, const char *path)
{
	struct gw_str zone = gw_json_str(json_object_get(body, "time_zone"));
	if (zone.n > 0 && cp_zone_find(zone) == NULL)
		cp_fault_add(x->faults, gw_arena_printf(x->a, "%s/time_zone", path).p, "unknown_reference",
			     "there is no time zone \"%.*s\"; write an IANA name such as Asia/Shanghai", (int)(zone.n < 63 ? zone.n : 63), zone.p);
}

void cp_keep_quota(struct cp_ctx *x, json_t *body, const json_t *old, const char *path)
{
	static const char *const fixed[] = { "consumer", "group", "key", "unit", "currency", "period", "time_zone" };
	check_zone(x, body, path);
	for (size_t i = 0; i < GW_COUNT(fixed) && old != NULL; i++)
		if (!json_equal(json_object_get(old, fixed[i]), json_object_get(body, fixed[i])))
			cp_fault_add(x->faults, gw_arena_printf(x->a, "%s/%s", path, fixed[i]).p, "read_only",
				     "the %s of a quota cannot change, since its book is kept in it: create another quota", fixed[i]);
}

/* ---- the kind ---- */

void cp_api_create_quota(struct cp_ctx *x) { cp_create(x, GW_KIND_QUOTA); }
void cp_api_get_quota(struct cp_ctx *x) { cp_read(x, GW_KIND_QUOTA, x->param[0]); }
void cp_api_replace_quota(struct cp_ctx *x) { cp_write(x, GW_KIND_QUOTA, x->param[0], false, false); }
void cp_api_patch_quota(struct cp_ctx *x) { cp_write(x, GW_KIND_QUOTA, x->param[0], true, false); }
void cp_api_delete_quota(struct cp_ctx *x) { cp_remove(x, GW_KIND_QUOTA, x->param[0]); }
void cp_api_list_quotas(struct cp_ctx *x) { cp_list(x, GW_KIND_QUOTA); }

/* ---- the book ---- */

struct page { struct cp_ctx *x; json_t *items; size_t limit; int64_t last; bool more; };

static bool add(void *arg, const struct cp_quota_entry *e)
{
	struct page *p = arg;
	p->more = json_array_size(p->items) == p->limit;
	if (p->more)
		return false;
	json_t *o = json_object();
	json_object_set_new(o, "id", json_integer(e->id));
	json_object_set_new(o, "at", cp_time_json(e->at_ms));
	json_object_set_new(o, "actor", cp_text_json(e->actor));
	json_object_set_new(o, "kind", cp_text_json(e->kind));
	json_object_set_new(o, "amount", json_integer(e->amount));
	json_object_set_new(o, "reason", cp_text_json(e->reason));
	json_object_set_new(o, "period", cp_time_json(e->from_ms));
	json_object_set_new(o, "left", json_integer(e->balance));
	json_array_append_new(p->items, o);
	p->last = e->id;
	return true;
}

void cp_api_list_quota_entries(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	struct gw_str cursor = cp_query_text(x, "cursor");
	int64_t before = 0, total = 0;
	struct page p = { .x = x, .items = json_array(), .limit = (size_t)cp_query_int(x, "limit", 50) };
	if (cursor.n > 0 && !gw_str_int(cursor, 1, INT64_MAX, &before)) {
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
		cp_problem_faults(x);
		json_decref(p.items);
		return;
	}
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_QUOTA, x->param[0], x->a, &r, &err);
	if (rc == GW_OK)
		rc = cp_quota_entries_count(t, x->param[0], r.created_at_ms, &total, &err);
	if (rc == GW_OK)
		rc = cp_quota_entries_each(t, x->param[0], r.created_at_ms, before, add, &p, &err);
	cp_txn_end(&t);
	if (rc == GW_OK) {
		cp_answer(x, 200, cp_list_json(p.items, p.more ? gw_arena_printf(x->a, "%lld", (long long)p.last).p : NULL, total));
	} else {
		json_decref(p.items);
		cp_problem_error(x, &err);
	}
}

void cp_api_create_quota_entry(struct cp_ctx *x)
{
	static const char *const kinds[] = { "add", "subtract", "refresh" };
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct cp_quota q;
	struct gw_error err = { 0 };
	struct gw_str kind = gw_json_str(json_object_get(x->body, "kind"));
	const json_t *sent = json_object_get(x->body, "amount");
	int64_t from = 0, until, amount = json_integer_value(sent);
	enum cp_quota_change how = CP_QUOTA_ADD;
	for (size_t i = 0; i < GW_COUNT(kinds); i++)
		if (gw_str_is(kind, kinds[i]))
			how = (enum cp_quota_change)i;
	if (how != CP_QUOTA_REFRESH && amount < 1) {
		cp_fault_add(x->faults, "/amount", "out_of_range", "amount must be at least 1");
		cp_problem_faults(x);
		return;
	}
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_QUOTA, x->param[0], x->a, &r, &err);
	if (rc == GW_OK)
		rc = cp_quota_read(&q, &r, x->a, &err);
	cp_txn_end(&t);
	if (rc == GW_OK) {
		if (!json_is_integer(sent))
			amount = q.def.limit;
		cp_quota_period(&q, gw_now_ms() < q.created_ms ? q.created_ms : gw_now_ms(), &from, &until);
		rc = cp_quota_adjust(x->app->store, &x->actor, q.def.name, from, q.def.limit, how, amount,
				     gw_json_str(json_object_get(x->body, "reason")), &err);
	}
	if (rc != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	if (x->app->quota_changed != NULL)
		x->app->quota_changed(x->app->quota_arg);
	json_t *o = NULL;
	rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_QUOTA, x->param[0], x->a, &r, &err);
	if (rc == GW_OK)
		o = cp_view(x, t, &r, &err);
	cp_txn_end(&t);
	if (o != NULL)
		cp_answer(x, 201, o);
	else
		cp_problem_error(x, &err);
}
