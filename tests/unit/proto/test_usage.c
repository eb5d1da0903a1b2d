/* test_usage.c - the ledger's row. */
#include "unit.h"
#include "base/buf.h"
#include "base/str.h"
#include "usage.h"

#include <stdlib.h>

/* As workers of the first release wrote it. */
static json_t *as_json(const struct gw_usage_record *r)
{
	json_t *o = json_object();
#define X(name) gw_json_set_str(o, #name, r->name);
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) json_object_set_new(o, #name, json_integer(r->name));
	GW_USAGE_INTS(X)
#undef X
	json_object_set_new(o, "end_reason", json_string(gw_end_name(r->end_reason)));
	json_object_set_new(o, "usage_source", json_string(gw_usage_source_name(r->usage_source)));
	return o;
}

START_TEST(there_and_back)
{
	struct gw_usage_record r = { 0 }, back;
	struct gw_error e = { 0 };
	int64_t n = 1;
#define X(name) r.name = GW_STR(#name);
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) r.name = n++;
	GW_USAGE_INTS(X)
#undef X
	r.error_code = GW_STR_NONE;
	r.first_token_ms = -1;
	r.end_reason = GW_END_CLIENT_CLOSED;
	r.usage_source = GW_USAGE_ESTIMATED;
	json_t *v = as_json(&r);
	ck_assert_int_eq(gw_usage_parse(&back, v, &e), GW_OK);
#define X(name) ck_assert(gw_str_eq(r.name, back.name));
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) ck_assert_int_eq(r.name, back.name);
	GW_USAGE_INTS(X)
#undef X
	ck_assert(back.error_code.p && back.error_code.n == 0);
	ck_assert_int_eq(back.end_reason, GW_END_CLIENT_CLOSED);
	ck_assert_int_eq(back.usage_source, GW_USAGE_ESTIMATED);
	json_decref(v);
}
END_TEST

static enum gw_rc parse(const char *text, struct gw_usage_record *r, struct gw_error *e)
{
	static json_t *kept;
	json_decref(kept);
	kept = json_loads(text, JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(kept);
	return gw_usage_parse(r, kept, e);
}

START_TEST(clamps_and_ignores)
{
	struct gw_usage_record r;
	struct gw_error e = { 0 };
	ck_assert_int_eq(parse("{\"request_id\":\"a\",\"seq\":5,\"prompt_tokens\":9223372036854775807,\"total_ms\":-50,"
	                       "\"new_member\":{},\"status\":200,\"end_reason\":\"evaporated\",\"usage_source\":\"oracle\"}",
	                       &r, &e), GW_OK);
	ck_assert_int_eq(r.prompt_tokens, 1LL << 53);
	ck_assert_int_eq(r.total_ms, -1);
	ck_assert_int_eq(r.end_reason, GW_END_COMPLETE);
	ck_assert_int_eq(r.usage_source, GW_USAGE_ESTIMATED);
	ck_assert_int_eq(parse("{\"request_id\":\"a\",\"seq\":5,\"status\":502}", &r, &e), GW_OK);
	ck_assert_int_eq(r.end_reason, GW_END_UPSTREAM_ERROR);
	ck_assert_int_eq(r.usage_source, GW_USAGE_NONE);
}
END_TEST

START_TEST(reads_what_older_workers_send)
{
	struct gw_usage_record r;
	struct gw_error e = { 0 };
	ck_assert_int_eq(parse("{\"request_id\":\"a\",\"seq\":5,\"status\":200,\"prompt_tokens\":7,\"error_code\":\"\"}", &r, &e), GW_OK);
	ck_assert(r.connect_ms == -1 && r.cost == 0 && r.images == 0 && r.bad_events == 0);
	ck_assert(r.currency.n == 0 && r.attempt_log.n == 0 && r.consumer_groups.n == 0);
}
END_TEST

START_TEST(refuses)
{
	static const char *const bad[][2] = { { "[]", "" }, { "{\"seq\":1}", "/request_id" }, { "{\"request_id\":\"a\"}", "/seq" },
		{ "{\"request_id\":\"a\",\"seq\":\"1\"}", "/seq" }, { "{\"request_id\":5,\"seq\":1}", "/request_id" },
		{ "{\"request_id\":\"a\",\"seq\":1,\"status\":2.5}", "/status" },
		{ "{\"request_id\":\"a\",\"seq\":1,\"end_reason\":2}", "/end_reason" } };
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		struct gw_usage_record r;
		struct gw_error e = { 0 };
		ck_assert_int_eq(parse(bad[i][0], &r, &e), GW_INVALID);
		ck_assert_str_eq(e.path, bad[i][1]);
	}
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(gw_end_name(GW_END_REJECTED), "rejected");
	ck_assert_str_eq(gw_usage_source_name(GW_USAGE_NONE), "none");
}
END_TEST

/* ---- rows as bytes ---- */

static struct gw_usage_record full(void)
{
	struct gw_usage_record r = { 0 };
	int64_t n = 1;
#define X(name) r.name = GW_STR(#name " é\n\"");
	GW_USAGE_TEXTS(X)
#undef X
#define X(name) r.name = n, n = n * 3 + 1;
	GW_USAGE_INTS(X)
#undef X
	r.error_code = GW_STR_NONE;
	r.first_token_ms = -1;
	r.queue_ms = -7;
	r.images = INT64_MAX;
	r.end_reason = GW_END_BLOCKED;
	r.usage_source = GW_USAGE_ESTIMATED;
	return r;
}

START_TEST(bytes_and_back)
{
	struct gw_usage_record r = full(), back;
	char *row = gw_alloc(GW_USAGE_ROW_MAX);
	size_t n = gw_usage_row_write(row, &r);
	ck_assert_int_eq(gw_usage_row_read(&back, (struct gw_str){ row, n }, NULL), GW_OK);
#define X(name) ck_assert_msg(gw_str_eq(back.name, r.name.p ? r.name : GW_STR("")), #name);
	GW_USAGE_TEXTS(X)
#undef X
	r.seq = 0; /* stands in the head */
	r.queue_ms = -1;
	r.images = 1LL << 53;
#define X(name) ck_assert_msg(back.name == r.name, #name);
	GW_USAGE_INTS(X)
#undef X
	ck_assert_int_eq(back.end_reason, GW_END_BLOCKED);
	ck_assert_int_eq(back.usage_source, GW_USAGE_ESTIMATED);
	r = (struct gw_usage_record){ .request_id = GW_STR("r"), .connect_ms = -1 };
	n = gw_usage_row_write(row, &r);
	ck_assert_uint_lt(n, 10); /* what is empty costs nothing */
	ck_assert_int_eq(gw_usage_row_read(&back, (struct gw_str){ row, n }, NULL), GW_OK);
	ck_assert_int_eq(back.connect_ms, -1);
	ck_assert(back.consumer.p != NULL && back.consumer.n == 0);
	free(row);
}
END_TEST

START_TEST(long_texts_are_cut_between_characters)
{
	char *row = gw_alloc(GW_USAGE_ROW_MAX), text[GW_USAGE_TEXT_MAX + 16];
	for (size_t shift = 0; shift < 4; shift++) {
		struct gw_usage_record r = { .request_id = GW_STR("r"), .connect_ms = -1 }, back;
		memset(text, 'a', shift);
		for (size_t i = shift; i + 4 <= sizeof text; i += 4)
			memcpy(text + i, "\xf0\x9f\x8c\x8a", 4);
		r.requested_model = (struct gw_str){ text, GW_USAGE_TEXT_MAX + 4 };
		size_t n = gw_usage_row_write(row, &r);
		ck_assert_int_eq(gw_usage_row_read(&back, (struct gw_str){ row, n }, NULL), GW_OK);
		ck_assert_uint_eq(back.requested_model.n, GW_USAGE_TEXT_MAX - (4 - shift) % 4);
	}
	free(row);
}
END_TEST

static enum gw_rc read_bytes(const char *bytes, size_t n, struct gw_usage_record *r)
{
	char *exact = gw_alloc(n + 1); /* the sanitizer sees a read past it */
	memcpy(exact, bytes, n);
	char *own = gw_alloc(n ? n : 1);
	memcpy(own, exact, n);
	free(exact);
	enum gw_rc rc = gw_usage_row_read(r, (struct gw_str){ own, n }, NULL);
	free(own);
	return rc;
}

START_TEST(bytes_of_others)
{
	struct gw_usage_record r = full();
	char *row = gw_alloc(GW_USAGE_ROW_MAX);
	size_t n = gw_usage_row_write(row, &r);
	for (size_t i = 0; i < n; i++) /* cut anywhere: refused, or a row with less in it */
		(void)read_bytes(row, i, &r);
	free(row);
#define READ(text) read_bytes(text, sizeof text - 1, &r)
	ck_assert_int_eq(READ("\1\1\2ab"), GW_OK);
	ck_assert_int_eq(READ("\1\1\2ab\x3f\1z\x7d\5"), GW_OK); /* a text and a number of a newer worker */
	ck_assert_int_eq(READ("\1\1\2ab\x42\xc9\1\x7e\x63\x7f\x63"), GW_OK); /* status 200, words not known here */
	ck_assert_int_eq(r.status, 200);
	ck_assert_int_eq(r.end_reason, GW_END_COMPLETE);
	ck_assert_int_eq(READ("\2\1\2ab"), GW_INVALID);            /* another form */
	ck_assert_int_eq(READ(""), GW_INVALID);
	ck_assert_int_eq(READ("\1"), GW_INVALID);                    /* no request_id */
	ck_assert_int_eq(READ("\1\1\3ab"), GW_INVALID);            /* longer than what is there */
	ck_assert_int_eq(READ("\1\1\2ab\x42"), GW_INVALID);       /* a tag without a value */
	ck_assert_int_eq(READ("\1\1\2ab\x42\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), GW_INVALID);
	ck_assert_int_eq(READ("\1\1\2a\xff"), GW_INVALID);        /* not UTF-8 */
	ck_assert_int_eq(READ("\1\1\2a\0"), GW_INVALID);
	ck_assert_int_eq(READ("\1\1\2ab\0\1"), GW_INVALID);      /* no such tag */
	ck_assert_int_eq(READ("\1\1\2ab\x80\1"), GW_INVALID);
#undef READ
}
END_TEST

static void add_record(struct gw_buf *b, uint8_t seq, const char *row, size_t n)
{
	char head[GW_USAGE_HEAD] = { (char)n };
	head[8] = (char)seq;
	gw_buf_add(b, (struct gw_str){ head, sizeof head });
	gw_buf_add(b, (struct gw_str){ row, n });
}

START_TEST(messages_of_rows)
{
	struct gw_error err = { 0 };
	struct gw_buf b;
	gw_buf_init(&b, 4096);
	add_record(&b, 3, "\1\1\2ab", 5);
	add_record(&b, 4, "\2??", 3);
	add_record(&b, 5, "{\"request_id\":\"old\",\"seq\":5}", 28);
	struct gw_usage_rows *rows = gw_usage_rows_read(GW_STR("boot"), gw_buf_str(&b), &err);
	ck_assert(rows != NULL && rows->n == 2 && rows->unread == 1 && rows->last_seq == 5);
	ck_assert_str_eq(err.text, "a usage record has a form that is not known here");
	ck_assert(gw_str_is(rows->boot_id, "boot") && gw_str_is(rows->v[0].request_id, "ab") && gw_str_is(rows->v[1].request_id, "old"));
	ck_assert_int_eq(rows->v[0].seq, 3);
	ck_assert_int_eq(rows->v[1].seq, 5);
	gw_usage_rows_free(&rows);
	for (size_t cut = 1; cut < b.n; cut++) { /* only whole records are a message */
		rows = gw_usage_rows_read(GW_STR("boot"), (struct gw_str){ b.p, cut }, &err);
		ck_assert((rows != NULL) == (cut == 21 || cut == 40));
		gw_usage_rows_free(&rows);
	}
	rows = gw_usage_rows_read(GW_STR("boot"), GW_STR(""), &err);
	ck_assert(rows != NULL && rows->n == 0 && rows->last_seq == -1);
	gw_usage_rows_free(&rows);
	gw_buf_fini(&b);
}
END_TEST

UNIT_MAIN("usage", there_and_back, clamps_and_ignores, reads_what_older_workers_send, refuses, names, bytes_and_back, long_texts_are_cut_between_characters, bytes_of_others, messages_of_rows)
