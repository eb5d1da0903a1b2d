/* The host with plugins of its own making: order, waiting, answering, and what is owed at the end. */
#include <stdio.h>

#include "base/arena.h"
#include "plugin_host.c" /* with a registry of ours instead of the generated one */
#include "unit.h"

struct dp_exchange {
	char trace[512];
	unsigned status;
	enum dp_verdict resumed;
	unsigned n_resumed, n_broke;
	struct dp_running *running;
	enum dp_verdict admits;
	unsigned n_admits;
};

static void trace(struct dp_exchange *x, const char *what)
{
	size_t n = strlen(x->trace);

	snprintf(x->trace + n, sizeof x->trace - n, "%s ", what);
}

/* What the middle plugin says, and where it waits. */
static enum dp_verdict says;
static struct dp_call *waits;

static enum dp_verdict first_head(struct dp_call *c)
{
	*(int *)c->state += 1;
	trace(c->x, "first");
	return DP_NEXT;
}

static enum dp_verdict middle_head(struct dp_call *c)
{
	trace(c->x, "middle");
	if (says == DP_WAIT)
		waits = c;
	if (says == DP_ANSWERED)
		dp_deny(c, 403, "t", "c", 0, "no");
	return says;
}

static enum dp_verdict last_head(struct dp_call *c)
{
	trace(c->x, "last");
	return DP_NEXT;
}

/* In the BODY hook `middle` and `more` claim; what they hear of the decision goes into the trace. */
static enum dp_verdict claiming(struct dp_call *c)
{
	static const struct dp_claim claim = { .key = { "k", 1 }, .limit = 1, .amount = { 1, 1 } };

	trace(c->x, "claim");
	ck_assert_uint_eq(dp_claim(c, &claim), 0);
	ck_assert_uint_eq(dp_claim(c, &claim), 1);
	return DP_NEXT;
}

static void heard(struct dp_call *c, const struct dp_claim_state *v, size_t n, const struct dp_claim_state *refused)
{
	ck_assert_uint_eq(n, 2);
	ck_assert(!refused || refused == &v[1]);
	trace(c->x, refused ? "refused" : v[0].limit == 7 ? "mine" : "heard");
}

static void claiming_end(struct dp_call *c, const struct dp_outcome *o)
{
	(void)o;
	dp_settle(c, 1, 5);
}

static enum dp_verdict last_body(struct dp_call *c)
{
	trace(c->x, "last.body");
	return DP_NEXT;
}

static enum dp_verdict admit(struct dp_exchange *x)
{
	struct dp_claim_state states[4] = { { 0 }, { 0 }, { .limit = 7 }, { .wait_ms = 5 } };
	size_t n;
	const struct dp_claimed *v = dp_plugins_claims(x->running, &n);

	x->n_admits++;
	if (n == 0)
		return DP_NEXT;
	ck_assert_uint_eq(n, 4);
	ck_assert(v[1].i == 1 && v[2].i == 0 && strcmp(v[1].plugin, "more") == 0 && strcmp(v[3].plugin, "quota") == 0);
	trace(x, "admit");
	if (x->admits == DP_NEXT)
		dp_plugins_decided(x->running, states, -1);
	if (x->admits == DP_ANSWERED)
		dp_plugins_decided(x->running, states, 3);
	return x->admits;
}

static void first_end(struct dp_call *c, const struct dp_outcome *o)
{
	ck_assert_uint_eq(o->status, 200);
	ck_assert_int_eq(*(int *)c->state, 1);
	trace(c->x, "first.end");
}

static void middle_end(struct dp_call *c, const struct dp_outcome *o)
{
	(void)o;
	trace(c->x, "middle.end");
}

static void last_end(struct dp_call *c, const struct dp_outcome *o)
{
	(void)o;
	trace(c->x, "last.end");
}

static const struct gw_field no_fields[] = { GW_FIELD_END };

#define PLUGIN(nm, rk, ...) { .abi = DP_PLUGIN_ABI, .name = nm, .rank = rk, .fields = no_fields, __VA_ARGS__ }
static const struct dp_plugin first = PLUGIN("first", DP_RANK_AUTHZ, .state_size = sizeof(int), .on = { first_head }, .on_end = first_end);
static const struct dp_plugin middle = PLUGIN("middle", DP_RANK_LIMIT, .on = { middle_head }, .on_end = middle_end);
static const struct dp_plugin last = PLUGIN("last", DP_RANK_GUARD, .on = { last_head }, .on_end = last_end);
static const struct dp_plugin more = PLUGIN("more", DP_RANK_LIMIT, .on = { [DP_HOOK_BODY] = claiming }, .on_admission = heard, .on_end = claiming_end);
static const struct dp_plugin quota = PLUGIN("quota", DP_RANK_QUOTA, .on = { [DP_HOOK_BODY] = claiming }, .on_admission = heard);
static const struct dp_plugin late = PLUGIN("late", DP_RANK_MASK, .on = { [DP_HOOK_BODY] = last_body });
extern const struct dp_plugin *const dp_plugins[];
const struct dp_plugin *const dp_plugins[] = { &last, &late, &quota, &middle, &more, &first, NULL };

static void deny(struct dp_exchange *x, unsigned status, const char *type, const char *code, int64_t retry, struct gw_str text)
{
	(void)type, (void)code, (void)retry, (void)text;
	x->status = status;
}

static void resumed(struct dp_exchange *x, enum dp_hook hook, enum dp_verdict v)
{
	ck_assert_int_eq(hook, x->running ? DP_HOOK_BODY : DP_HOOK_HEAD);
	x->resumed = v;
	x->n_resumed++;
}

static void broke(struct dp_exchange *x, const char *plugin, bool fail_open)
{
	(void)fail_open;
	ck_assert_str_eq(plugin, "middle");
	x->n_broke++;
}

static const struct dp_host host = { .deny = deny, .resumed = resumed, .broke = broke, .admit = admit };

static struct dp_running *begin(struct gw_arena *a, struct dp_exchange *x, bool fail_open)
{
	static struct gw_binding b[3];

	b[0] = (struct gw_binding){ .plugin = GW_STR("first") };
	b[1] = (struct gw_binding){ .plugin = GW_STR("middle"), .fail_open = fail_open };
	b[2] = (struct gw_binding){ .plugin = GW_STR("last") };
	waits = NULL;
	return dp_plugins_open(a, (struct gw_bindings){ b, 3 }, &host, x);
}

static void check(enum dp_verdict middle_says, bool fail_open, enum dp_verdict want, unsigned status, const char *want_trace)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange x = { .trace = "" };
	struct dp_running *r = begin(a, &x, fail_open);

	says = middle_says;
	ck_assert_int_eq(dp_plugins_run(r, DP_HOOK_HEAD), want);
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200 });
	ck_assert_str_eq(x.trace, want_trace);
	ck_assert_uint_eq(x.status, status);
	ck_assert_uint_eq(x.n_broke, middle_says == DP_BROKEN);
	ck_assert_pstr_eq(dp_plugins_denied_by(r), status ? "middle" : NULL);
	gw_arena_close(&a);
}

START_TEST(by_rank_and_back)
{
	check(DP_NEXT, false, DP_NEXT, 0, "first middle last last.end middle.end first.end ");
	check(DP_ANSWERED, false, DP_ANSWERED, 403, "first middle middle.end first.end ");
	check(DP_BROKEN, false, DP_ANSWERED, 500, "first middle middle.end first.end ");
	check(DP_BROKEN, true, DP_NEXT, 0, "first middle last last.end middle.end first.end ");
	/* one that still waits at the end is owed its end too */
	check(DP_WAIT, false, DP_WAIT, 0, "first middle middle.end first.end ");
}
END_TEST

static void wait_then(enum dp_verdict v, bool fail_open, enum dp_verdict want, const char *want_trace)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange x = { .trace = "" };
	struct dp_running *r = begin(a, &x, fail_open);

	says = DP_WAIT;
	ck_assert_int_eq(dp_plugins_run(r, DP_HOOK_HEAD), DP_WAIT);
	ck_assert_uint_eq(x.n_resumed, 0);
	if (v == DP_ANSWERED)
		dp_deny(waits, 403, "t", "c", 0, "no");
	dp_resume(waits, v);
	ck_assert_uint_eq(x.n_resumed, 1);
	ck_assert_int_eq(x.resumed, want);
	ck_assert_str_eq(x.trace, want_trace);
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200 });
	gw_arena_close(&a);
}

START_TEST(waiting)
{
	wait_then(DP_NEXT, false, DP_NEXT, "first middle last ");
	wait_then(DP_ANSWERED, false, DP_ANSWERED, "first middle ");
	wait_then(DP_BROKEN, false, DP_ANSWERED, "first middle ");
	wait_then(DP_BROKEN, true, DP_NEXT, "first middle last ");
}
END_TEST

START_TEST(a_late_resume_is_ignored)
{
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange x = { .trace = "" };
	struct dp_running *r = begin(a, &x, false);

	says = DP_WAIT;
	ck_assert_int_eq(dp_plugins_run(r, DP_HOOK_HEAD), DP_WAIT);
	dp_plugins_end(r, &(struct dp_outcome){ .status = 200 });
	dp_resume(waits, DP_NEXT);
	ck_assert_uint_eq(x.n_resumed, 0);
	ck_assert_str_eq(x.trace, "first middle middle.end first.end ");
	gw_arena_close(&a);
}
END_TEST

static void admission(enum dp_verdict says_host, bool with_late, const char *want_trace)
{
	const struct gw_binding b[] = { { .plugin = GW_STR("more") }, { .plugin = GW_STR("quota") }, { .plugin = GW_STR("late") } };
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange x = { .trace = "", .admits = says_host };
	size_t n;
	struct dp_claimed *v;

	x.running = dp_plugins_open(a, (struct gw_bindings){ b, with_late ? 3 : 2 }, &host, &x);
	ck_assert_int_eq(dp_plugins_run(x.running, DP_HOOK_HEAD), DP_NEXT);
	ck_assert_int_eq(dp_plugins_run(x.running, DP_HOOK_BODY), says_host);
	if (says_host == DP_WAIT) {
		dp_plugins_admitted(x.running, DP_NEXT);
		ck_assert_uint_eq(x.n_resumed, 1);
	}
	if (says_host == DP_ANSWERED)
		ck_assert_uint_eq(x.status, 429); /* a plugin that says nothing itself is helped out */
	dp_plugins_end(x.running, &(struct dp_outcome){ .status = 200 });
	dp_plugins_admitted(x.running, DP_NEXT); /* late: ignored */
	v = dp_plugins_claims(x.running, &n);
	ck_assert(v[1].settled && v[1].actual == 5 && !v[0].settled && !v[3].settled);
	ck_assert_str_eq(x.trace, want_trace);
	gw_arena_close(&a);
}

START_TEST(claims_are_decided_together_before_the_next_rank)
{
	admission(DP_NEXT, true, "claim claim admit heard mine last.body ");
	admission(DP_NEXT, false, "claim claim admit heard mine ");
	admission(DP_ANSWERED, true, "claim claim admit heard refused ");
	admission(DP_WAIT, true, "claim claim admit last.body ");
}
END_TEST

START_TEST(without_claims_the_host_is_asked_once)
{
	const struct gw_binding b[] = { { .plugin = GW_STR("first") } };
	struct gw_arena *a = gw_arena_open(0);
	struct dp_exchange x = { .trace = "" };

	x.running = dp_plugins_open(a, (struct gw_bindings){ b, 1 }, &host, &x);
	ck_assert_int_eq(dp_plugins_run(x.running, DP_HOOK_HEAD), DP_NEXT);
	ck_assert_uint_eq(x.n_admits, 0);
	ck_assert_int_eq(dp_plugins_run(x.running, DP_HOOK_BODY), DP_NEXT);
	ck_assert_uint_eq(x.n_admits, 1);
	dp_plugins_end(x.running, &(struct dp_outcome){ .status = 200 });
	gw_arena_close(&a);
}
END_TEST

UNIT_MAIN("plugin_host", without_claims_the_host_is_asked_once, by_rank_and_back, waiting, a_late_resume_is_ignored, claims_are_decided_together_before_the_next_rank)
