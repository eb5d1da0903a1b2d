/* The notes of a request's tries: what they say as JSON, when they say nothing, and that they stay within their room. */
#include "exchange/attempt_log.h"

#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"
#include "unit.h"

#define TEXT(lit) { lit, sizeof(lit) - 1 }

static struct gw_endpoint ends[] = { { .url = TEXT("https://a.example/v1") }, { .url = TEXT("https://b.example/v1") } };
static struct gw_provider_key keys[] = { { .name = TEXT("main"), .value = TEXT("sk-secret-canary"), .weight = 1 } };
static struct gw_provider provider = { .name = TEXT("acme"), .endpoints = ends, .n_endpoints = 1, .keys = keys, .n_keys = 1 };

static struct dp_exchange *fresh(struct gw_arena *a)
{
	struct dp_exchange *x = gw_arena_alloc(a, sizeof *x);

	x->a = a;
	x->t0_us = gw_mono_us() - 5000;
	x->first_token_us = -1;
	x->attempt_us = x->t0_us + 2000;
	x->at.provider = &provider;
	x->at.model = GW_STR("m-1");
	x->at.place.key = &keys[0];
	return x;
}

static json_t *parsed(const struct dp_exchange *x)
{
	struct gw_str text = dp_attempt_log_text(x);
	json_t *v = NULL;

	ck_assert_uint_le(text.n, GW_USAGE_ATTEMPT_LOG_MAX);
	if (text.n)
		ck_assert_int_eq(gw_json_parse(&v, text, 65536, NULL), GW_OK);
	ck_assert(!strstr(text.p, "canary"));
	return v;
}

START_TEST(one_good_try_is_brief)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange *x = fresh(a);
	json_t *v, *one;

	provider.n_endpoints = 1;
	ck_assert_ptr_null(parsed(x));
	dp_attempt_log_begin(x, false);
	dp_attempt_log_connected(x);
	dp_attempt_log_sent(x);
	dp_attempt_log_end(x, "ok", NULL);
	v = parsed(x);
	one = json_array_get(v, 0);
	ck_assert_uint_eq(json_object_size(one), 3);
	ck_assert_int_eq(json_integer_value(json_object_get(one, "start_ms")), 2);
	ck_assert_int_ge(json_integer_value(json_object_get(one, "connect_ms")), 5);
	json_decref(v);
	gw_arena_close(&a);
}
END_TEST

START_TEST(every_try_has_its_times)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange *x = fresh(a);
	json_t *v, *one, *two;

	provider.n_endpoints = 2;
	dp_attempt_log_begin(x, false);
	dp_attempt_log_connected(x);
	dp_attempt_log_sent(x);
	x->at.status = 503;
	x->first_byte_us = gw_mono_us();
	dp_attempt_log_head(x);
	dp_attempt_log_end(x, "overload", "too \"busy\"");
	dp_attempt_log_end(x, "ok", NULL); /* the first word counts */
	x->at.place.endpoint_i = 1;
	dp_attempt_log_begin(x, false);
	dp_attempt_log_close(x, GW_END_CLIENT_CLOSED, gw_mono_us());
	v = parsed(x);
	ck_assert_uint_eq(json_array_size(v), 2);
	one = json_array_get(v, 0);
	two = json_array_get(v, 1);
	ck_assert(gw_str_is(gw_json_str(json_object_get(one, "result")), "overload"));
	ck_assert(gw_str_is(gw_json_str(json_object_get(one, "error")), "too \"busy\""));
	ck_assert_int_eq(json_integer_value(json_object_get(one, "status")), 503);
	ck_assert_int_eq(json_integer_value(json_object_get(one, "start_ms")), 2);
	ck_assert_int_ge(json_integer_value(json_object_get(one, "end_ms")), json_integer_value(json_object_get(one, "sent_ms")));
	ck_assert(gw_str_is(gw_json_str(json_object_get(two, "result")), "client_closed"));
	ck_assert(gw_str_is(gw_json_str(json_object_get(two, "endpoint")), "https://b.example/v1"));
	ck_assert_ptr_null(json_object_get(two, "connect_ms"));
	ck_assert_ptr_null(json_object_get(two, "status"));
	json_decref(v);
	gw_arena_close(&a);
}
END_TEST

START_TEST(many_tries_stay_within_the_room)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange *x = fresh(a);
	char text[400];
	json_t *v;

	memset(text, '"', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int i = 0; i < 40; i++) {
		dp_attempt_log_begin(x, i > 0);
		dp_attempt_log_end(x, "broken", text);
	}
	ck_assert_uint_eq(x->log.n, DP_ATTEMPT_NOTES_MAX);
	v = parsed(x);
	ck_assert_uint_ge(json_array_size(v), 4);
	ck_assert_uint_eq(gw_json_str(json_object_get(json_array_get(v, 0), "error")).n, DP_ATTEMPT_ERROR_MAX);
	json_decref(v);
	gw_arena_close(&a);
}
END_TEST

UNIT_MAIN("attempt log", one_good_try_is_brief, every_try_has_its_times, many_tries_stay_within_the_room)
