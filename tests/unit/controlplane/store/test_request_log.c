/* Searching the ledger: every condition alone and with others, pages without gaps, and an index behind every search. */
#include "controlplane/fixture.h"
#include "store/request_log.h"
#include "store/usage_store.h"

#define ROWS 2000

static char names[ROWS][32];

/* Row i: started at 1000 + i / 3 (several in one millisecond), every 10th failed, every 7th of consumer b … */
static struct gw_usage_record record(int i)
{
	snprintf(names[i], sizeof names[i], "req-%d", i);
	return (struct gw_usage_record){
		.seq = i + 1, .request_id = gw_str_c(names[i]), .consumer = i % 7 ? GW_STR("a") : GW_STR("b"), .key_id = i % 7 ? GW_STR("k-1") : GW_STR("k-2"),
		.route = i % 5 ? GW_STR("r1") : GW_STR("r2"), .provider = i % 10 ? GW_STR("p1") : GW_STR("p2"), .requested_model = i % 11 ? GW_STR("m") : GW_STR("n"),
		.served_model = GW_STR("s"), .error_code = i % 10 ? GW_STR("") : GW_STR("upstream_error"), .trace_id = i % 100 ? GW_STR("") : GW_STR("t-1"),
		.client_ip = GW_STR("10.0.0.1"), .attempt_log = GW_STR("[]"), .started_at_ms = 1000 + i / 3, .status = i % 10 ? 200 : 502,
		.total_ms = i, .end_reason = i % 10 ? GW_END_COMPLETE : GW_END_UPSTREAM_ERROR,
	};
}

static struct cp_store *filled(char dir[128])
{
	static struct gw_usage_record r[ROWS];
	size_t stored;

	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	for (int i = 0; i < ROWS; i++)
		r[i] = record(i);
	struct cp_usage_writing *w = NULL;
	ck_assert_int_eq(cp_usage_open(&w, s, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_add(w, GW_STR("n1"), GW_STR("boot"), r, ROWS, NULL, NULL, &stored, NULL), GW_OK);
	ck_assert_int_eq(cp_usage_commit(&w, NULL), GW_OK);
	ck_assert_uint_eq(stored, ROWS);
	return s;
}

static struct cp_request_query any(void)
{
	return (struct cp_request_query){ .to_ms = INT64_MAX / 2, .status_min = INT64_MIN, .status_max = INT64_MAX, .min_total_ms = INT64_MIN, .budget = 100000 };
}

struct seen { int n, stop; int64_t last_id, last_ms; char first[32]; };

static bool see(void *arg, const struct cp_request_row *r)
{
	struct seen *x = arg;

	if (x->n == x->stop && x->stop)
		return false;
	if (x->n++ == 0)
		snprintf(x->first, sizeof x->first, "%.*s", GW_FMT(r->r.request_id));
	else
		ck_assert(r->r.started_at_ms < x->last_ms || (r->r.started_at_ms == x->last_ms && r->id < x->last_id));
	x->last_id = r->id;
	x->last_ms = r->r.started_at_ms;
	return true;
}

static int count(struct cp_store *s, const struct cp_request_query *q)
{
	struct seen x = { 0 };
	struct cp_request_end end;
	struct cp_txn *t = NULL;
	struct gw_buf plan;

	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_requests_each(t, q, see, &x, &end, NULL), GW_OK);
	ck_assert(end.exhausted);
	gw_buf_init(&plan, 65536);
	ck_assert_int_eq(cp_requests_explain(t, q, &plan, NULL), GW_OK);
	ck_assert_msg(strstr(plan.p, "SEARCH requests USING INDEX") != NULL, "%s", plan.p);
	ck_assert_msg(strstr(plan.p, "SCAN") == NULL && strstr(plan.p, "TEMP B-TREE") == NULL, "%s", plan.p);
	gw_buf_fini(&plan);
	cp_txn_end(&t);
	return x.n;
}

START_TEST(every_condition_has_an_index)
{
	char dir[128];
	struct cp_store *s = filled(dir);
	struct cp_request_query q = any();

	ck_assert_int_eq(count(s, &q), ROWS);
	q.consumer = GW_STR("b");
	ck_assert_int_eq(count(s, &q), 286);
	q.status_min = 500, q.status_max = 599;
	ck_assert_int_eq(count(s, &q), 29);
	q = any();
	q.status_min = 500, q.status_max = 599;
	ck_assert_int_eq(count(s, &q), 200);
	q = any();
	q.end_reason = GW_STR("upstream_error");
	ck_assert_int_eq(count(s, &q), 200);
	q.end_reason = GW_STR("complete");
	ck_assert_int_eq(count(s, &q), 1800);
	q = any();
	q.key_id = GW_STR("k-2");
	ck_assert_int_eq(count(s, &q), 286);
	q = any();
	q.route = GW_STR("r2");
	ck_assert_int_eq(count(s, &q), 400);
	q.provider = GW_STR("p2");
	ck_assert_int_eq(count(s, &q), 200);
	q = any();
	q.provider = GW_STR("p1");
	ck_assert_int_eq(count(s, &q), 1800);
	q = any();
	q.model = GW_STR("n");
	ck_assert_int_eq(count(s, &q), 182);
	q = any();
	q.error_code = GW_STR("upstream_error");
	ck_assert_int_eq(count(s, &q), 200);
	q = any();
	q.trace_id = GW_STR("t-1");
	ck_assert_int_eq(count(s, &q), 20);
	q = any();
	q.request_id = GW_STR("req-77");
	ck_assert_int_eq(count(s, &q), 1);
	q = any();
	q.min_total_ms = 1990;
	ck_assert_int_eq(count(s, &q), 10);
	q = any();
	q.from_ms = 1010, q.to_ms = 1020;
	ck_assert_int_eq(count(s, &q), 30);
	q = any();
	q.client_ip = GW_STR("10.0.0.2");
	ck_assert_int_eq(count(s, &q), 0);
	q = any();
	q.consumer = GW_STR("nobody' OR 1=1 --");
	ck_assert_int_eq(count(s, &q), 0);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

/* Pages of 7 rows meet every row once, also where many started in the same millisecond. */
START_TEST(pages_have_no_gaps)
{
	char dir[128];
	struct cp_store *s = filled(dir);
	struct cp_request_query q = any();
	struct cp_request_end end = { 0 };
	struct cp_txn *t = NULL;
	int total = 0, pages = 0;

	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	do {
		struct seen x = { .stop = 7 };

		q.after_ms = end.at_ms, q.after_id = end.id;
		ck_assert_int_eq(cp_requests_each(t, &q, see, &x, &end, NULL), GW_OK);
		total += x.n;
		pages++;
	} while (!end.exhausted);
	ck_assert_int_eq(total, ROWS);
	ck_assert_int_eq(pages, (ROWS + 6) / 7);
	/* A search for something rare ends where its budget does, and goes on there. */
	q = any();
	q.min_total_ms = 5, q.client_ip = GW_STR("10.0.0.1"), q.request_id = GW_STR_NONE, q.served_model = GW_STR("nothing"), q.budget = 300;
	total = pages = 0;
	do {
		struct seen x = { 0 };

		ck_assert_int_eq(cp_requests_each(t, &q, see, &x, &end, NULL), GW_OK);
		q.after_ms = end.at_ms, q.after_id = end.id;
		total += x.n;
		pages++;
	} while (!end.exhausted);
	ck_assert_int_eq(total, 0);
	ck_assert_int_eq(pages, ROWS / 300 + 1);
	cp_txn_end(&t);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

static void keep_id(void *arg, const struct cp_request_row *r)
{
	*(int64_t *)arg = r->id;
	ck_assert(gw_str_is(r->r.request_id, "req-5") && gw_str_is(r->node, "n1") && gw_str_is(r->boot_id, "boot"));
	ck_assert(r->r.end_reason == GW_END_COMPLETE && r->r.total_ms == 5 && gw_str_is(r->r.attempt_log, "[]"));
}

START_TEST(one_by_number_or_name)
{
	char dir[128], number[24];
	struct cp_store *s = filled(dir);
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	int64_t id = 0, again = 0;

	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_request_get(t, GW_STR("req-5"), keep_id, &id, NULL), GW_OK);
	snprintf(number, sizeof number, "%lld", (long long)id);
	ck_assert_int_eq(cp_request_get(t, gw_str_c(number), keep_id, &again, NULL), GW_OK);
	ck_assert_int_eq(id, again);
	ck_assert_int_eq(cp_request_get(t, GW_STR("req-x"), keep_id, &id, &err), GW_NOTFOUND);
	cp_txn_end(&t);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

START_TEST(only_so_many_are_kept)
{
	char dir[128];
	struct cp_store *s = filled(dir);
	struct cp_request_query q = any();
	bool more = true;

	ck_assert_int_eq(cp_requests_trim_count(s, ROWS, &more, NULL), GW_OK);
	ck_assert(!more);
	ck_assert_int_eq(count(s, &q), ROWS);
	ck_assert_int_eq(cp_requests_trim_count(s, 100, &more, NULL), GW_OK);
	while (more)
		ck_assert_int_eq(cp_requests_trim_count(s, 100, &more, NULL), GW_OK);
	ck_assert_int_eq(count(s, &q), 100);
	q.request_id = GW_STR("req-1999"); /* the newest stay */
	ck_assert_int_eq(count(s, &q), 1);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

START_TEST(prompts_come_and_go)
{
	char dir[128];
	struct gw_arena *a = gw_arena_open(0);
	struct cp_capture got, v[] = {
		{ .boot_id = GW_STR("boot"), .request_id = GW_STR("req-1"), .route = GW_STR("r"), .mode = GW_STR("masked"), .prompt = GW_STR("{}"),
		  .answer = GW_STR("hello"), .at_ms = 1000, .prompt_bytes = 2, .answer_bytes = 5, .masked = 1 },
		{ .boot_id = GW_STR("boot"), .request_id = GW_STR("req-2"), .route = GW_STR("r"), .mode = GW_STR("full"), .at_ms = 2000, .note = GW_STR("why") },
		{ .boot_id = GW_STR("boot"), .request_id = GW_STR("req-1"), .route = GW_STR("r"), .mode = GW_STR("full"), .at_ms = 3000 },
	};
	struct cp_txn *t = NULL;
	bool more;

	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	ck_assert_int_eq(cp_captures_insert(s, v, 3, NULL), GW_OK);
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_capture_get(t, GW_STR("boot"), GW_STR("req-1"), a, &got, NULL), GW_OK);
	ck_assert(gw_str_is(got.mode, "masked") && gw_str_is(got.answer, "hello") && got.masked == 1);
	ck_assert_int_eq(cp_capture_get(t, GW_STR("boot"), GW_STR("req-2"), a, &got, NULL), GW_OK);
	ck_assert(!got.prompt.p && !got.answer.p && gw_str_is(got.note, "why"));
	ck_assert_int_eq(cp_capture_get(t, GW_STR("other"), GW_STR("req-2"), a, &got, NULL), GW_NOTFOUND);
	cp_txn_end(&t);
	ck_assert_int_eq(cp_captures_trim(s, 1500, 100, &more, NULL), GW_OK);
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_capture_get(t, GW_STR("boot"), GW_STR("req-1"), a, &got, NULL), GW_NOTFOUND);
	ck_assert_int_eq(cp_capture_get(t, GW_STR("boot"), GW_STR("req-2"), a, &got, NULL), GW_OK);
	cp_txn_end(&t);
	gw_arena_close(&a);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("request log", every_condition_has_an_index, pages_have_no_gaps, one_by_number_or_name, only_so_many_are_kept, prompts_come_and_go)
