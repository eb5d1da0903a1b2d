/* requests.c - the request log: pages, one request with its tries, tables to take away, and the prompts that were kept. */
#include "api/csv.h"
#include "api/internal.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/request_log.h"

#define BUDGET      20000             /* rows that one call looks at */
#define MAX_EXPORTS 8                 /* at a time */

/* ---- a row ---- */

static json_t *ms_json(int64_t v)
{
	return v < 0 ? json_null() : json_integer(v);
}

static json_t *word_json(struct gw_str s)
{
	return s.n ? cp_text_json(s) : json_null();
}

static json_t *groups_json(struct gw_str names)
{
	json_t *list = json_array();
	while (names.n > 0)
		json_array_append_new(list, cp_text_json(gw_str_cut(&names, ',')));
	return list;
}

static void add_numbers(json_t *o, const struct gw_usage_record *r)
{
	const struct { const char *name; int64_t v; bool is_time; } numbers[] = {
		{ "prompt_tokens", r->prompt_tokens, false }, { "cached_tokens", r->cached_tokens, false },
		{ "cache_write_tokens", r->cache_write_tokens, false }, { "cache_write_1h_tokens", r->cache_write_1h_tokens, false },
		{ "completion_tokens", r->completion_tokens, false },
		{ "reasoning_tokens", r->reasoning_tokens, false }, { "queue_ms", r->queue_ms, true },
		{ "connect_ms", r->connect_ms, true }, { "first_byte_ms", r->first_byte_ms, true },
		{ "first_token_ms", r->first_token_ms, true }, { "total_ms", r->total_ms, true },
		{ "request_bytes", r->request_bytes, false }, { "response_bytes", r->response_bytes, false },
	};
	for (size_t i = 0; i < GW_COUNT(numbers); i++)
		json_object_set_new(o, numbers[i].name, numbers[i].is_time ? ms_json(numbers[i].v) :
				    json_integer(numbers[i].v > 0 ? numbers[i].v : 0));
}

static json_t *row_json(const struct cp_request_row *row)
{
	const struct gw_usage_record *r = &row->r;
	const struct { const char *name; struct gw_str v; } words[] = {
		{ "consumer", r->consumer }, { "key_id", r->key_id }, { "route", r->route }, { "provider", r->provider },
		{ "provider_key", r->provider_key }, { "model", r->requested_model }, { "served_model", r->served_model },
		{ "operation", r->operation }, { "error_code", r->error_code }, { "refused_by", r->refused_by },
		{ "client_ip", r->client_ip }, { "trace_id", r->trace_id }, { "currency", r->currency },
	};
	json_t *o = json_object();
	char id[24];
	snprintf(id, sizeof id, "%lld", (long long)row->id);
	json_object_set_new(o, "id", json_string(id));
	gw_json_set_str(o, "request_id", r->request_id);
	json_object_set_new(o, "started_at", cp_time_json(r->started_at_ms));
	gw_json_set_str(o, "node", row->node);
	for (size_t i = 0; i < GW_COUNT(words); i++)
		json_object_set_new(o, words[i].name, word_json(words[i].v));
	json_object_set_new(o, "groups", groups_json(r->consumer_groups));
	json_object_set_new(o, "status", json_integer(r->status > 0 ? r->status : 0));
	json_object_set_new(o, "end_reason", json_string(gw_end_name(r->end_reason)));
	json_object_set_new(o, "stream", json_boolean(r->stream > 0));
	json_object_set_new(o, "attempts", json_integer(r->attempts > 0 ? r->attempts : 0));
	json_object_set_new(o, "usage_source", json_string(gw_usage_source_name(r->usage_source)));
	json_object_set_new(o, "cost", r->currency.n ? json_integer(r->cost) : json_null());
	add_numbers(o, r);
	return o;
}

/* ---- tries ---- */

static json_t *try_json(const json_t *t)
{
	static const char *const texts[] = { "provider", "model", "key", "endpoint", "result", "error" };
	static const char *const times[] = { "start_ms", "dial_ms", "connect_ms", "sent_ms", "first_byte_ms", "first_token_ms", "end_ms" };
	json_t *o = json_object();
	for (size_t i = 0; i < GW_COUNT(texts); i++)
		json_object_set_new(o, texts[i], word_json(gw_json_str(json_object_get(t, texts[i]))));
	for (size_t i = 0; i < GW_COUNT(times); i++) {
		const json_t *v = json_object_get(t, times[i]);
		json_object_set_new(o, times[i], json_is_integer(v) ? json_integer(json_integer_value(v)) : json_null());
	}
	const json_t *status = json_object_get(t, "status");
	json_object_set_new(o, "status", json_is_integer(status) ? json_integer(json_integer_value(status)) : json_null());
	json_object_set_new(o, "reused", json_boolean(json_is_true(json_object_get(t, "reused"))));
	json_object_set_new(o, "repeated", json_boolean(json_is_true(json_object_get(t, "repeated"))));
	return o;
}

/* A plain request's only try gives three times; the row tells the rest about it. */
static void complete_try(json_t *t, const struct gw_usage_record *r)
{
	int64_t connect = json_integer_value(json_object_get(t, "connect_ms"));
	gw_json_set_str(t, "provider", r->provider);
	gw_json_set_str(t, "model", r->served_model);
	gw_json_set_str(t, "key", r->provider_key);
	json_object_set_new(t, "result", json_string("ok"));
	json_object_set_new(t, "status", json_integer(r->status));
	json_object_set_new(t, "first_byte_ms", ms_json(r->first_byte_ms));
	json_object_set_new(t, "first_token_ms", ms_json(r->first_token_ms));
	json_object_set_new(t, "end_ms", ms_json(r->total_ms));
	if (r->connect_ms > 0)
		json_object_set_new(t, "dial_ms", json_integer(connect > r->connect_ms ? connect - r->connect_ms : 0));
	else
		json_object_set_new(t, "reused", json_true());
}

static json_t *tries_json(const struct gw_usage_record *r)
{
	json_t *list = NULL, *out = json_array(), *t;
	size_t i;
	if (r->attempt_log.n > 0)
		(void)!gw_json_parse(&list, r->attempt_log, GW_USAGE_ATTEMPT_LOG_MAX * 2, NULL);
	json_array_foreach(list, i, t) {
		if (!json_is_object(t))
			continue;
		if (json_object_get(t, "provider") == NULL)
			complete_try(t, r);
		json_array_append_new(out, try_json(t));
	}
	json_decref(list);
	return out;
}

/* ---- what is asked ---- */

/* "404", "5xx" */
static bool read_status(struct cp_ctx *x, struct cp_request_query *q)
{
	struct gw_str s = cp_query_text(x, "status");
	int64_t n;
	q->status_min = INT64_MIN;
	q->status_max = INT64_MAX;
	if (s.n == 0)
		return true;
	if (gw_str_int(s, 0, 999, &n)) {
		q->status_min = q->status_max = n;
		return true;
	}
	if (s.n == 3 && s.p[0] >= '1' && s.p[0] <= '5' && s.p[1] == 'x' && s.p[2] == 'x') {
		q->status_min = (s.p[0] - '0') * 100;
		q->status_max = q->status_min + 99;
		return true;
	}
	cp_fault_add(x->faults, "?status", "bad_format", "status must be a number such as 429, or a class such as 5xx");
	return false;
}

static void read_cursor(struct cp_ctx *x, struct cp_request_query *q)
{
	struct gw_str s = cp_query_text(x, "cursor"), rest = s, at = gw_str_cut(&rest, '-');
	if (s.n > 0 && !(gw_str_int(at, 0, INT64_MAX, &q->after_ms) && gw_str_int(rest, 1, INT64_MAX, &q->after_id)))
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
}

static bool read_query(struct cp_ctx *x, struct cp_request_query *q)
{
	struct gw_str duration = cp_query_text(x, "min_duration");
	*q = (struct cp_request_query){
		.to_ms = gw_now_ms() + 60000, .consumer = cp_query_text(x, "consumer"), .key_id = cp_query_text(x, "key_id"),
		.route = cp_query_text(x, "route"), .provider = cp_query_text(x, "provider"), .model = cp_query_text(x, "model"),
		.served_model = cp_query_text(x, "served_model"), .end_reason = cp_query_text(x, "end_reason"),
		.error_code = cp_query_text(x, "error_code"), .request_id = cp_query_text(x, "request_id"),
		.trace_id = cp_query_text(x, "trace_id"), .client_ip = cp_query_text(x, "client_ip"), .node = cp_query_text(x, "node"),
		.budget = BUDGET, .min_total_ms = INT64_MIN,
	};
	gw_time_parse(cp_query_text(x, "from"), &q->from_ms);
	gw_time_parse(cp_query_text(x, "to"), &q->to_ms);
	if (duration.n > 0)
		(void)gw_duration_parse(duration, &q->min_total_ms);
	read_status(x, q);
	read_cursor(x, q);
	if (q->from_ms > q->to_ms)
		cp_fault_add(x->faults, "?from", "out_of_range", "from lies after to");
	return !cp_problem_faults(x);
}

/* ---- pages ---- */

static const char *cursor_text(struct cp_ctx *x, const struct cp_request_end *e)
{
	return e->exhausted || e->id == 0 ? NULL : gw_arena_printf(x->a, "%lld-%lld", (long long)e->at_ms, (long long)e->id).p;
}

struct page { json_t *items; size_t limit; };

static bool add(void *arg, const struct cp_request_row *r)
{
	struct page *p = arg;
	if (json_array_size(p->items) == p->limit)
		return false;
	json_array_append_new(p->items, row_json(r));
	return true;
}

static bool walk(struct cp_ctx *x, const struct cp_request_query *q, bool (*row)(void *arg, const struct cp_request_row *r),
		 void *arg, struct cp_request_end *end)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_requests_each(t, q, row, arg, end, &err);
	cp_txn_end(&t);
	if (rc != GW_OK)
		cp_problem_error(x, &err);
	return rc == GW_OK;
}

/* ---- tables: the whole of what was asked for, a piece at a time, each in a reader's transaction of its own ---- */

struct table {
	struct cp_api *api;
	struct gw_arena *a;                      /* the query's texts */
	struct cp_request_query q;
	struct gw_buf *out;                      /* of the piece being made */
	bool csv, begun;
};

/* The members of a row in their order, or their values; a list of groups is one cell. */
static void add_csv(struct table *t, const struct cp_request_row *r, bool names)
{
	const char *key;
	json_t *v, *o = row_json(r);
	size_t n = 0;
	json_object_set_new(o, "groups", word_json(r->r.consumer_groups));
	json_object_foreach(o, key, v) {
		if (n++ > 0)
			gw_buf_add_byte(t->out, ',');
		if (names)
			gw_buf_add_c(t->out, key);
		else
			cp_csv_cell(t->out, v);
	}
	gw_buf_add_c(t->out, "\r\n");
	json_decref(o);
}

static bool add_line(void *arg, const struct cp_request_row *r)
{
	struct table *t = arg;
	if (t->out->n >= CP_PIECE)
		return false;
	if (t->csv) {
		add_csv(t, r, false);
		return true;
	}
	json_t *o = row_json(r);
	json_object_set_new(o, "attempt_log", tries_json(&r->r));
	(void)!gw_json_write(t->out, o, false);
	gw_buf_add_byte(t->out, '\n');
	json_decref(o);
	return true;
}

static enum cp_more more_rows(void *arg, struct gw_buf *out)
{
	struct table *t = arg;
	struct cp_txn *txn = NULL;
	struct gw_error err = { 0 };
	struct cp_request_end end = { 0 };
	struct cp_request_row nothing = { .node = GW_STR(""), .r = { .request_id = GW_STR("") } };
	t->out = out;
	if (t->csv && !t->begun)
		add_csv(t, &nothing, true);
	t->begun = true;
	enum gw_rc rc = cp_txn_begin(&txn, t->api->app.store, &err);
	if (rc == GW_OK)
		rc = cp_requests_each(txn, &t->q, add_line, t, &end, &err);
	cp_txn_end(&txn);
	if (rc != GW_OK) {
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "an export broke off", "%s", err.text);
		return CP_BROKEN;
	}
	t->q.after_ms = end.at_ms;
	t->q.after_id = end.id;
	return end.exhausted ? CP_END : CP_MORE;
}

static void close_table(void *arg)
{
	struct table *t = arg;
	struct gw_arena *a = t->a;
	atomic_fetch_sub(&t->api->exporting, 1);
	gw_arena_close(&a);
}

static void answer_table(struct cp_ctx *x, const struct cp_request_query *q, bool csv)
{
	if (atomic_fetch_add(&x->api->exporting, 1) >= MAX_EXPORTS) {
		atomic_fetch_sub(&x->api->exporting, 1);
		cp_response_header(x->rq, x->rs, "Retry-After", GW_STR("10"));
		cp_problem(x, 503, "unavailable", NULL, "%d exports run already: try again when one of them is done", MAX_EXPORTS);
		return;
	}
	struct gw_arena *a = gw_arena_open(0);
	struct table *t = gw_arena_alloc(a, sizeof *t);
	*t = (struct table){ .api = x->api, .a = a, .q = *q, .csv = csv };
	struct gw_str *const texts[] = { &t->q.consumer, &t->q.key_id, &t->q.route, &t->q.provider, &t->q.model, &t->q.served_model, &t->q.end_reason,
		&t->q.error_code, &t->q.request_id, &t->q.trace_id, &t->q.client_ip, &t->q.node };
	for (size_t i = 0; i < GW_COUNT(texts); i++)
		if (texts[i]->p != NULL)
			*texts[i] = gw_arena_copy(a, *texts[i]);
	cp_response_header(x->rq, x->rs, "Content-Disposition", csv ? GW_STR("attachment; filename=\"requests.csv\"") :
			   GW_STR("attachment; filename=\"requests.ndjson\""));
	x->rs->content_type = csv ? "text/csv; charset=utf-8" : "application/x-ndjson";
	x->rs->source = (struct cp_source){ .more = more_rows, .close = close_table, .arg = t };
}

void cp_api_list_requests(struct cp_ctx *x)
{
	struct cp_request_query q;
	struct cp_request_end end;
	struct gw_str format = cp_query_text(x, "format");
	if (!read_query(x, &q))
		return;
	if (gw_str_is(format, "csv") || gw_str_is(format, "ndjson")) {
		answer_table(x, &q, gw_str_is(format, "csv"));
		return;
	}
	struct page p = { json_array(), (size_t)cp_query_int(x, "limit", 50) };
	if (!walk(x, &q, add, &p, &end)) {
		json_decref(p.items);
		return;
	}
	json_t *o = json_object();
	const char *next = cursor_text(x, &end);
	json_object_set_new(o, "items", p.items);
	json_object_set_new(o, "next_cursor", next != NULL ? json_string(next) : json_null());
	json_object_set_new(o, "searched_to", next != NULL ? cp_time_json(end.at_ms) : json_null());
	cp_answer(x, 200, o);
}

/* ---- one ---- */

struct one { struct cp_ctx *x; json_t *json; struct gw_str boot_id, request_id; };

static void take(void *arg, const struct cp_request_row *r)
{
	struct one *o = arg;
	o->boot_id = gw_arena_copy(o->x->a, r->boot_id);
	o->request_id = gw_arena_copy(o->x->a, r->r.request_id);
	o->json = row_json(r);
	json_object_set_new(o->json, "attempt_log", tries_json(&r->r));
}

static enum gw_rc find(struct cp_ctx *x, struct one *o, struct cp_capture *c, enum gw_rc *kept, struct gw_error *err)
{
	struct cp_txn *t = NULL;
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, err);
	*o = (struct one){ .x = x };
	if (rc == GW_OK)
		rc = cp_request_get(t, x->param[0], take, o, err);
	if (rc == GW_OK)
		*kept = cp_capture_get(t, o->boot_id, o->request_id, x->a, c, err);
	cp_txn_end(&t);
	return rc;
}

void cp_api_get_request(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct cp_capture c;
	struct one o;
	enum gw_rc kept = GW_NOTFOUND;
	if (find(x, &o, &c, &kept, &err) != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	json_object_set_new(o.json, "has_prompts", json_boolean(kept == GW_OK));
	cp_answer(x, 200, o.json);
}

void cp_api_get_request_prompts(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct cp_capture c;
	struct one o;
	enum gw_rc kept = GW_NOTFOUND, rc = find(x, &o, &c, &kept, &err);
	json_decref(o.json);
	if (rc != GW_OK || kept != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	struct cp_audit_note n = { .action = "prompts.read", .outcome = "ok", .name = c.request_id };
	if (cp_audit_add(x->app->store, &x->actor, &n, &err) != GW_OK) {
		cp_problem_error(x, &err); /* not seen unless it is known who saw it */
		return;
	}
	json_t *v = json_object();
	gw_json_set_str(v, "request_id", c.request_id);
	json_object_set_new(v, "at", cp_time_json(c.at_ms));
	gw_json_set_str(v, "route", c.route);
	gw_json_set_str(v, "mode", c.mode);
	json_object_set_new(v, "prompt", cp_text_json(c.prompt));
	json_object_set_new(v, "answer", cp_text_json(c.answer));
	json_object_set_new(v, "prompt_bytes", json_integer(c.prompt_bytes));
	json_object_set_new(v, "answer_bytes", json_integer(c.answer_bytes));
	json_object_set_new(v, "masked", json_integer(c.masked));
	json_object_set_new(v, "note", word_json(c.note));
	cp_answer(x, 200, v);
}
