/* usage.c - who used what, and what it cost: sums of the ledger by any of its dimensions and by the calendar. */
#include "api/csv.h"
#include "api/internal.h"
#include "api/usage_items.h"
#include "calendar/zone.h"

#define HOUR_MS 3600000LL
#define DAY_MS  (24 * HOUR_MS)
#define FINE_MS (14 * DAY_MS)      /* how long sums of five minutes are kept at least */

static const struct { const char *name; unsigned bit; int span; } words[] = {
	{ "consumer", CP_BY_consumer, -1 }, { "group", CP_BY_consumer_group, -1 }, { "key", CP_BY_key_id, -1 }, { "route", CP_BY_route, -1 },
	{ "provider", CP_BY_provider, -1 }, { "model", CP_BY_model, -1 }, { "hour", CP_BY_TIME, CP_SPAN_HOUR }, { "day", CP_BY_TIME, CP_SPAN_DAY },
	{ "week", CP_BY_TIME, CP_SPAN_WEEK }, { "month", CP_BY_TIME, CP_SPAN_MONTH },
};

/* A bucket of the calendar, and the one found last. */
struct calendar { const struct cp_zone *zone; int span; int64_t from, until; };

static int64_t bucket_of(void *arg, int64_t at_ms)
{
	struct calendar *c = arg;
	if (at_ms < c->from || at_ms >= c->until)
		cp_zone_span(c->zone, (enum cp_span)c->span, at_ms, &c->from, &c->until);
	return c->from;
}

static void read_groups(struct cp_ctx *x, struct cp_usage_query *q, struct calendar *c)
{
	struct gw_str by = cp_query_text(x, "group_by"), bucket = cp_query_text(x, "bucket");
	int spans = 0;
	if (bucket.n > 0)
		by = gw_arena_printf(x->a, "%.*s,%.*s", by.p ? (int)by.n : 0, by.p ? by.p : "", GW_FMT(bucket));
	while (by.p != NULL && by.n > 0) {
		struct gw_str word = gw_str_cut(&by, ',');
		for (size_t i = 0; i < GW_COUNT(words); i++) {
			if (!gw_str_is(word, words[i].name))
				continue;
			q->group_by |= words[i].bit;
			if (words[i].span >= 0 && (spans == 0 || c->span != words[i].span))
				spans++;
			if (words[i].span >= 0)
				c->span = words[i].span;
		}
	}
	if (spans > 1)
		cp_fault_add(x->faults, "?group_by", "conflict", "group by one of hour, day, week and month");
}

/* The coarsest sums that answer exactly: edges and buckets must fall between them. */
static int step_for(const struct cp_usage_query *q, const struct calendar *c, int64_t now)
{
	bool timed = q->group_by & CP_BY_TIME;
	int64_t to = q->to_ms > now ? 0 : q->to_ms; /* an end ahead of now cuts nothing */
	int64_t offset = cp_zone_offset_ms(c->zone, q->from_ms);
	if (q->from_ms % DAY_MS == 0 && to % DAY_MS == 0 && (!timed || (offset == 0 && cp_zone_offset_ms(c->zone, now) == 0 && c->span != CP_SPAN_HOUR)))
		return CP_STEP_DAY;
	if (q->from_ms % HOUR_MS == 0 && to % HOUR_MS == 0 && (!timed || offset % HOUR_MS == 0))
		return CP_STEP_HOUR;
	return q->from_ms >= now - FINE_MS ? CP_STEP_5MIN : CP_STEP_HOUR;
}

static bool read_query(struct cp_ctx *x, struct cp_usage_query *q, struct calendar *c)
{
	static const char *const dims[CP_USAGE_DIM_COUNT] = { "consumer", "group", "key", "route", "provider", "model" };
	int64_t now = gw_now_ms();
	*q = (struct cp_usage_query){ .from_ms = now - DAY_MS, .to_ms = now + 1, .bucket = bucket_of, .arg = c };
	*c = (struct calendar){ .zone = cp_zone_find(cp_query_text(x, "time_zone")) };
	for (size_t i = 0; i < CP_USAGE_DIM_COUNT; i++)
		q->dim[i] = cp_query_text(x, dims[i]);
	gw_time_parse(cp_query_text(x, "from"), &q->from_ms);
	gw_time_parse(cp_query_text(x, "to"), &q->to_ms);
	read_groups(x, q, c);
	if (q->from_ms > q->to_ms)
		cp_fault_add(x->faults, "?from", "out_of_range", "from lies after to");
	if (c->zone == NULL)
		cp_fault_add(x->faults, "?time_zone", "unknown_reference", "there is no such time zone; write an IANA name such as Asia/Shanghai");
	if (json_array_size(x->faults) == 0)
		q->step = step_for(q, c, now);
	return !cp_problem_faults(x);
}

/* Columns of the items, `costs` as one column for each currency that occurs. */
static void answer_csv(struct cp_ctx *x, const json_t *items, const json_t *total)
{
	struct gw_buf *b = &x->rs->body;
	const json_t *currencies = json_object_get(total, "costs"), *head = json_array_size(items) > 0 ? json_array_get(items, 0) : total;
	const char *key;
	size_t i, k, m;
	json_t *v, *o, *c, *own;
	bool first = true;
	json_object_foreach((json_t *)head, key, v) {
		if (strcmp(key, "cost") == 0 || strcmp(key, "currency") == 0 || strcmp(key, "costs") == 0)
			continue;
		gw_buf_printf(b, "%s%s", first ? "" : ",", key);
		first = false;
	}
	json_array_foreach((json_t *)currencies, i, c)
		gw_buf_printf(b, ",cost_%.3s", json_string_value(json_object_get(c, "currency")));
	gw_buf_add_c(b, "\r\n");
	json_array_foreach((json_t *)items, i, o) {
		first = true;
		json_object_foreach((json_t *)head, key, v) {
			if (strcmp(key, "cost") == 0 || strcmp(key, "currency") == 0 || strcmp(key, "costs") == 0)
				continue;
			if (!first)
				gw_buf_add_byte(b, ',');
			first = false;
			cp_csv_cell(b, json_object_get(o, key));
		}
		json_array_foreach((json_t *)currencies, k, c) {
			int64_t cost = 0;
			json_array_foreach(json_object_get(o, "costs"), m, own)
				if (json_equal(json_object_get(own, "currency"), json_object_get(c, "currency")))
					cost = json_integer_value(json_object_get(own, "cost"));
			gw_buf_add_byte(b, ',');
			cp_csv_micro(b, cost);
		}
		gw_buf_add_c(b, "\r\n");
	}
	x->rs->content_type = "text/csv; charset=utf-8";
	cp_response_header(x->rq, x->rs, "Content-Disposition", GW_STR("attachment; filename=\"usage.csv\""));
}

static bool wants_csv(struct cp_ctx *x)
{
	struct gw_str accept = cp_request_header(x->rq, "Accept");
	size_t csv, json;
	if (gw_str_is(cp_query_text(x, "format"), "csv"))
		return true;
	return accept.p != NULL && gw_str_find(accept, GW_STR("text/csv"), &csv) && !gw_str_find(accept, GW_STR("application/json"), &json);
}

static void answer_page(struct cp_ctx *x, const json_t *items, json_t *total, int64_t skip)
{
	size_t limit = (size_t)cp_query_int(x, "limit", 50), n = json_array_size(items);
	json_t *page = json_array();
	for (size_t i = (size_t)skip; i < n && json_array_size(page) < limit; i++)
		json_array_append(page, json_array_get(items, i));
	size_t end = (size_t)skip + json_array_size(page);
	const char *next = end < n && json_array_size(page) > 0 ? gw_arena_printf(x->a, "%zu", end).p : NULL;
	json_t *o = cp_list_json(page, next, (int64_t)n);
	json_object_set(o, "totals", total);
	cp_answer(x, 200, o);
}

void cp_api_get_usage(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct cp_usage_query q;
	struct calendar c;
	struct gw_str cursor = cp_query_text(x, "cursor");
	int64_t skip = 0;
	json_t *items = NULL;
	if (cursor.n > 0 && !gw_str_int(cursor, 0, CP_USAGE_MAX_ITEMS, &skip))
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
	if (!read_query(x, &q, &c))
		return;
	if (cp_txn_begin(&t, x->app->store, &err) == GW_OK)
		items = cp_usage_items(t, &q, &err);
	cp_txn_end(&t);
	if (items == NULL) {
		cp_problem_error(x, &err);
		return;
	}
	if (q.group_by == 0 && json_array_size(items) == 0) /* one sum, also of nothing */
		json_array_append_new(items, cp_usage_nothing());
	json_t *total = cp_usage_total(items);
	if (q.group_by & CP_BY_consumer_group) { /* who is in two groups stands in two items, and in the total once */
		struct cp_usage_query whole = q;
		whole.group_by = 0;
		json_t *one = cp_txn_begin(&t, x->app->store, &err) == GW_OK ? cp_usage_items(t, &whole, &err) : NULL;
		cp_txn_end(&t);
		if (one != NULL) {
			json_decref(total);
			total = cp_usage_total(one);
		}
		json_decref(one);
	}
	if (wants_csv(x))
		answer_csv(x, items, total);
	else
		answer_page(x, items, total, skip);
	json_decref(total);
	json_decref(items);
}
