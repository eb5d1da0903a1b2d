/* alerts.c - looking: cases that begin, go on and end. */
#include "alerts/alerts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "alerts/sender.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "store/alert_store.h"

#define EVERY_MS    10000
#define AFTER_MS    3000                     /* the workers' figures come at the tens of the clock */
#define SETTLE_MS   60000                    /* so long after the start workers may still be on their way back */
#define MAX_CASES   2000
#define KEEP_MS     (90LL * 24 * 3600 * 1000)
#define TRIM_EVERY  360                      /* looks */

/* One rule broken for one object.  pending until `since` is old enough; open with an event. */
struct state {
	struct gw_node on;
	char *rule, *object, *severity;
	int64_t since_ms, event, told_ms;        /* told_ms 0: nobody was */
	bool seen, silenced;
};

struct cp_alerts {
	struct cp_alerts_options o;
	struct cp_sender *sender;
	pthread_t looker;
	pthread_mutex_t lock;                    /* guards `stop` */
	pthread_cond_t wake;
	struct gw_node states;                   /* from here on the looker's alone */
	size_t n_states;
	int64_t began_ms;                        /* monotonic */
	bool settled, crowded;
	bool stop;
	_Atomic int64_t firing[3], version;
};

/* ---- silences ---- */

struct silence { struct gw_str rule, object; };
struct silences { struct gw_arena *a; struct silence v[200]; size_t n; int64_t now_ms; };

static bool add_silence(void *arg, const struct cp_record *r)
{
	struct silences *s = arg;
	int64_t from = 0, to = 0;
	json_t *o = NULL;
	if (gw_json_parse(&o, r->spec, 1 << 16, NULL) != GW_OK)
		return true;
	gw_time_parse(gw_json_str(json_object_get(o, "starts_at")), &from);
	gw_time_parse(gw_json_str(json_object_get(o, "ends_at")), &to);
	if (!json_is_false(json_object_get(o, "enabled")) && from <= s->now_ms && s->now_ms < to) {
		struct gw_str rule = gw_json_str(json_object_get(o, "rule")), object = gw_json_str(json_object_get(o, "object"));
		s->v[s->n++] = (struct silence){ rule.n ? gw_arena_copy(s->a, rule) : GW_STR_NONE, object.n ? gw_arena_copy(s->a, object) : GW_STR_NONE };
	}
	json_decref(o);
	return s->n < GW_COUNT(s->v);
}

static bool is_silenced(const struct silences *s, const char *rule, const char *object)
{
	for (size_t i = 0; i < s->n; i++)
		if ((!s->v[i].rule.p || gw_str_is(s->v[i].rule, rule)) && (!s->v[i].object.p || gw_str_is(s->v[i].object, object)))
			return true;
	return false;
}

/* ---- cases ---- */

static struct state *find(struct cp_alerts *x, struct gw_str rule, struct gw_str object)
{
	for (struct gw_node *n = x->states.next; n != &x->states; n = n->next) {
		struct state *s = GW_CONTAINER(n, struct state, on);
		if (gw_str_is(rule, s->rule) && gw_str_is(object, s->object))
			return s;
	}
	return NULL;
}

static struct state *new_state(struct cp_alerts *x, struct gw_str rule, struct gw_str object, struct gw_str severity)
{
	struct state *s = gw_alloc(sizeof *s);
	s->rule = gw_strdup_n(rule.p, rule.n);
	s->object = gw_strdup_n(object.p ? object.p : "", object.n);
	s->severity = gw_strdup_n(severity.p, severity.n);
	gw_list_add_tail(&x->states, &s->on);
	x->n_states++;
	return s;
}

static void drop_state(struct cp_alerts *x, struct state *s)
{
	gw_list_del(&s->on);
	x->n_states--;
	free(s->rule);
	free(s->object);
	free(s->severity);
	free(s);
}

static void changed(struct cp_alerts *x)
{
	atomic_fetch_add(&x->version, 1);
	cp_sender_wake(x->sender);
}

static struct cp_telling telling(const struct cp_rule *r, const struct cp_case *c, int64_t now_ms)
{
	return (struct cp_telling){ .channels = r->channels, .text = c->text, .text_zh = c->text_zh, .description = r->description, .value = c->value, .at_ms = now_ms };
}

static void begin(struct cp_alerts *x, const struct cp_rule *r, struct state *s, const struct cp_case *c, int64_t now_ms)
{
	struct gw_error err = { 0 };
	struct cp_telling tell = telling(r, c, now_ms);
	struct cp_alert_event e = { .rule = r->name, .object = c->object, .severity = r->severity, .text = c->text, .text_zh = c->text_zh, .value = c->value,
		.started_at_ms = now_ms, .silenced = s->silenced };
	if (cp_alert_open(x->o.store, &e, s->silenced ? NULL : &tell, &err) != GW_OK) {
		gw_log(GW_LOG_ERROR, "alert", r->name, "event not recorded", "%s", err.text);
		return; /* and told at the next look */
	}
	s->event = e.id;
	s->told_ms = s->silenced ? 0 : now_ms;
	gw_log(GW_LOG_WARN, "alert", r->name, "firing", "object=%.*s severity=%.*s %.*s%s", GW_FMT(c->object), GW_FMT(r->severity), GW_FMT(c->text),
	    s->silenced ? " (silenced)" : "");
	changed(x);
}

static void go_on(struct cp_alerts *x, const struct cp_rule *r, struct state *s, const struct cp_case *c, bool silenced, int64_t now_ms)
{
	struct gw_error err = { 0 };
	if (!s->event) {
		s->silenced = silenced;
		if (now_ms - s->since_ms >= r->for_ms)
			begin(x, r, s, c, now_ms);
		return;
	}
	struct cp_telling tell = telling(r, c, now_ms);
	struct cp_alert_event e = { .id = s->event, .text = c->text, .text_zh = c->text_zh, .value = c->value, .silenced = silenced };
	bool again = !silenced && (s->told_ms == 0 || (r->repeat_ms > 0 && now_ms - s->told_ms >= r->repeat_ms));
	if (silenced == s->silenced && !again)
		return;
	if (cp_alert_touch(x->o.store, &e, again ? &tell : NULL, &err) != GW_OK) {
		gw_log(GW_LOG_WARN, "alert", r->name, "event not changed", "%s", err.text);
		return; /* tried again at the next look */
	}
	s->silenced = silenced;
	if (again)
		s->told_ms = now_ms;
	changed(x);
}

/* `r` NULL: the rule is gone or switched off.  Who heard that it began hears that it is over all the same. */
static void over(struct cp_alerts *x, const struct cp_rule *r, struct state *s, int64_t now_ms)
{
	struct gw_error err = { 0 };
	static const struct { struct gw_str en, zh; } why[] = {
#define X(en, zh) { { en, sizeof en - 1 }, { zh, sizeof zh - 1 } },
		X("its rule was removed or switched off", "规则已删除或停用") X("it is within its bounds again", "已回到阈值以内")
		X("it is well again", "已恢复正常")
#undef X
	};
	size_t reason = !r ? 0 : r->watch == CP_WATCH_SERIES ? 1 : 2;
	struct cp_telling tell = { .at_ms = now_ms, .description = r ? r->description : GW_STR_NONE, .text = why[reason].en, .text_zh = why[reason].zh };
	if (s->event && cp_alert_end(x->o.store, s->event, now_ms, s->silenced ? NULL : &tell, &err) != GW_OK) {
		gw_log(GW_LOG_ERROR, "alert", gw_str_c(s->rule), "end of the event not recorded", "%s", err.text);
		return;
	}
	if (s->event) {
		gw_log(GW_LOG_INFO, "alert", gw_str_c(s->rule), "resolved", "object=%s", s->object);
		changed(x);
	}
	drop_state(x, s);
}

/* ---- looking ---- */

struct rules { struct gw_arena *a; struct cp_rule v[500]; size_t n; };

static bool add_rule(void *arg, const struct cp_record *r)
{
	struct rules *rules = arg;
	if (cp_rule_read(&rules->v[rules->n], r->name, r->spec, rules->a))
		rules->n++;
	return rules->n < GW_COUNT(rules->v);
}

static void look_at(struct cp_alerts *x, const struct cp_rule *r, struct cp_txn *t, const struct silences *silences, int64_t now_ms,
    struct gw_arena *a)
{
	struct gw_error err = { 0 };
	struct cp_cases cases;
	if (cp_watch_look(&cases, r, &x->o, t, now_ms, a, &err) != GW_OK) {
		gw_log(GW_LOG_WARN, "alert", r->name, "rule cannot be judged", "%s", err.text);
		for (struct gw_node *n = x->states.next; n != &x->states; n = n->next)
			if (gw_str_is(r->name, GW_CONTAINER(n, struct state, on)->rule))
				GW_CONTAINER(n, struct state, on)->seen = true; /* not known is not over */
		return;
	}
	for (size_t i = 0; i < cases.n; i++) {
		struct state *s = find(x, r->name, cases.v[i].object);
		if (cases.v[i].unknown) {
			if (s)
				s->seen = true;
			continue;
		}
		if (!s && x->n_states >= MAX_CASES) {
			if (!x->crowded)
				gw_log(GW_LOG_ERROR, "alert", r->name, "too many things are wrong at once, further ones are not told", "most=%d", MAX_CASES);
			x->crowded = true;
			continue;
		}
		if (!s) {
			s = new_state(x, r->name, cases.v[i].object, r->severity);
			s->since_ms = now_ms;
		}
		s->seen = true;
		go_on(x, r, s, &cases.v[i], is_silenced(silences, s->rule, s->object), now_ms);
	}
}

static void count_firing(struct cp_alerts *x)
{
	static const char *const severities[] = { "info", "warning", "critical" };
	int64_t n[3] = { 0 };
	for (struct gw_node *at = x->states.next; at != &x->states; at = at->next)
		for (size_t i = 0; i < 3; i++)
			n[i] += GW_CONTAINER(at, struct state, on)->event && strcmp(GW_CONTAINER(at, struct state, on)->severity, severities[i]) == 0;
	for (size_t i = 0; i < 3; i++)
		atomic_store(&x->firing[i], n[i]);
}

struct awaited { const struct cp_node_live *live; size_t n; uint64_t revision; bool any; };

/* A worker that did not say goodbye comes back, and then takes the newest configuration or refuses it. */
static bool add_awaited(void *arg, const struct cp_node_row *row)
{
	struct awaited *w = arg;
	if (gw_str_is(row->last_error, "shutdown"))
		return true;
	for (size_t i = 0; i < w->n; i++)
		if (gw_str_eq(w->live[i].id, row->id)) {
			w->any |= w->live[i].revision < w->revision && w->live[i].last_error.n == 0;
			return true;
		}
	w->any = true;
	return true;
}

/*
 * After a start workers are on their way back, and with them the figures that they kept meanwhile: until all are there, or
 * for a minute, nothing is judged, since it would be judged wrongly.  Open events stay open.
 */
static bool is_settled(struct cp_alerts *x)
{
	struct gw_arena *a = gw_arena_open(0);
	struct cp_txn *t = NULL;
	struct cp_node_live *live = NULL;
	struct awaited w = { 0 };
	if (!x->settled && gw_mono_ms() - x->began_ms < SETTLE_MS && x->o.workers && cp_txn_begin(&t, x->o.store, NULL) == GW_OK) {
		w.n = x->o.workers->list(x->o.workers->self, a, &live);
		w.live = live;
		w.revision = cp_store_revision(x->o.store);
		if (cp_nodes_each(t, add_awaited, &w, NULL) != GW_OK)
			w.any = false;
	}
	cp_txn_end(&t);
	gw_arena_close(&a);
	x->settled |= !w.any;
	return x->settled;
}

static void look(struct cp_alerts *x)
{
	struct gw_error err = { 0 };
	struct gw_arena *a = gw_arena_open(0);
	struct cp_txn *t = NULL;
	struct rules *rules = gw_alloc(sizeof *rules);
	struct silences silences = { .a = a, .now_ms = gw_now_ms() };
	rules->a = a;
	enum gw_rc rc = cp_txn_begin(&t, x->o.store, &err);
	if (rc == GW_OK)
		rc = cp_each(t, GW_KIND_ALERT, GW_STR_NONE, add_rule, rules, &err);
	if (rc == GW_OK)
		rc = cp_each(t, GW_KIND_SILENCE, GW_STR_NONE, add_silence, &silences, &err);
	for (struct gw_node *n = x->states.next; n != &x->states; n = n->next)
		GW_CONTAINER(n, struct state, on)->seen = false;
	for (size_t i = 0; rc == GW_OK && i < rules->n; i++)
		if (rules->v[i].enabled)
			look_at(x, &rules->v[i], t, &silences, silences.now_ms, a);
	cp_txn_end(&t);
	for (struct gw_node *n = x->states.next, *next; rc == GW_OK && n != &x->states; n = next) {
		struct state *s = GW_CONTAINER(n, struct state, on);
		const struct cp_rule *r = NULL;
		next = n->next;
		for (size_t i = 0; i < rules->n; i++)
			if (rules->v[i].enabled && gw_str_is(rules->v[i].name, s->rule))
				r = &rules->v[i];
		if (!s->seen)
			over(x, r, s, silences.now_ms);
	}
	if (rc != GW_OK)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "alert rules cannot be read", "%s", err.text);
	count_firing(x);
	free(rules);
	gw_arena_close(&a);
}

static bool reload(void *arg, const struct cp_alert_event *e)
{
	struct cp_alerts *x = arg;
	struct state *s = new_state(x, e->rule, e->object, e->severity);
	s->event = e->id;
	s->since_ms = e->started_at_ms;
	s->told_ms = e->told_at_ms;
	s->silenced = e->silenced;
	return x->n_states < MAX_CASES;
}

static void doze(struct cp_alerts *x, int64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&x->wake, &x->lock, &t);
}

static void *run_looker(void *arg)
{
	struct cp_alerts *x = arg;
	struct gw_error err = { 0 };
	struct cp_txn *t = NULL;
	unsigned looks = 0;
	pthread_setname_np(pthread_self(), "alerts");
	if (cp_txn_begin(&t, x->o.store, &err) != GW_OK || cp_alerts_each(t, GW_STR_NONE, true, 0, reload, x, &err) != GW_OK)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "open alerts cannot be read", "%s", err.text);
	cp_txn_end(&t);
	pthread_mutex_lock(&x->lock);
	while (!x->stop) {
		int64_t every = x->o.every_ms ? x->o.every_ms : EVERY_MS, past = (gw_now_ms() - AFTER_MS) % every;
		int64_t until = gw_mono_ms() + every - past;
		while (!x->stop && gw_mono_ms() < until)
			doze(x, until - gw_mono_ms() + 1);
		if (x->stop)
			break;
		pthread_mutex_unlock(&x->lock);
		if (is_settled(x))
			look(x);
		if (looks++ % TRIM_EVERY == 0 && cp_alerts_trim(x->o.store, gw_now_ms() - KEEP_MS, &err) != GW_OK)
			gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "old alerts cannot be removed", "%s", err.text);
		pthread_mutex_lock(&x->lock);
	}
	pthread_mutex_unlock(&x->lock);
	return NULL;
}

/* ---- life ---- */

struct cp_alerts *cp_alerts_open(const struct cp_alerts_options *o)
{
	struct cp_alerts *x = gw_alloc(sizeof *x);
	pthread_condattr_t attr;
	x->o = *o;
	x->began_ms = gw_mono_ms();
	gw_list_init(&x->states);
	pthread_mutex_init(&x->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&x->wake, &attr);
	pthread_condattr_destroy(&attr);
	x->sender = cp_sender_open(o->store, o->keys);
	if (pthread_create(&x->looker, NULL, run_looker, x) != 0)
		abort();
	return x;
}

void cp_alerts_close(struct cp_alerts **out)
{
	struct cp_alerts *x = *out;
	if (!x)
		return;
	*out = NULL;
	pthread_mutex_lock(&x->lock);
	x->stop = true;
	pthread_cond_broadcast(&x->wake);
	pthread_mutex_unlock(&x->lock);
	pthread_join(x->looker, NULL);
	cp_sender_close(&x->sender);
	while (!gw_list_empty(&x->states))
		drop_state(x, GW_CONTAINER(x->states.next, struct state, on));
	pthread_cond_destroy(&x->wake);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

enum gw_rc cp_alerts_test(struct cp_alerts *x, struct gw_str channel, struct gw_error *err)
{
	return cp_sender_test(x->sender, channel, err);
}

void cp_alerts_counts(struct cp_alerts *x, int64_t firing[3], int64_t sent[CP_CHANNEL_TYPES][2])
{
	for (size_t i = 0; i < 3; i++)
		firing[i] = atomic_load(&x->firing[i]);
	cp_sender_counts(x->sender, sent);
}

enum gw_rc cp_alerts_standing(struct cp_alerts *x, struct cp_txn *t, struct gw_arena *arena, struct cp_alerts_standing *out,
    struct gw_error *err)
{
	const struct cp_rule used = { .watch = CP_WATCH_BUDGET, .threshold = 80 }, refused = { .watch = CP_WATCH_CONFIG_REJECTED };
	const struct cp_rule ends = { .watch = CP_WATCH_CERTIFICATE_EXPIRY, .threshold = 1e9 };
	struct cp_cases budgets, refusals, certificates;
	int64_t now_ms = gw_now_ms();
	*out = (struct cp_alerts_standing){ 0 };
	enum gw_rc rc = cp_watch_look(&budgets, &used, &x->o, t, now_ms, arena, err);
	if (rc == GW_OK)
		rc = cp_watch_look(&refusals, &refused, &x->o, t, now_ms, arena, err);
	if (rc == GW_OK)
		rc = cp_watch_look(&certificates, &ends, &x->o, t, now_ms, arena, err);
	if (rc != GW_OK)
		return rc;
	out->used_80 = budgets.n;
	for (size_t i = 0; i < budgets.n; i++)
		out->used_100 += budgets.v[i].value >= 100;
	for (size_t i = 0; i < refusals.n; i++)
		out->refusing += !refusals.v[i].unknown;
	for (size_t i = 0; i < certificates.n; i++) {
		int64_t end_ms = now_ms + (int64_t)(certificates.v[i].value * 86400e3);
		if (i == 0 || end_ms < out->certificate_end_ms)
			out->certificate_end_ms = end_ms;
	}
	return GW_OK;
}

int64_t cp_alerts_version(struct cp_alerts *x)
{
	return atomic_load(&x->version) + cp_sender_done(x->sender);
}
