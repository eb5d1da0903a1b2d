/*
 * events.c - server-sent events for live pages: what changed, told by numbers that change with it.
 *
 * Nothing is pushed from the places where things change: once a second every stream compares what it told with what there
 * is, which is looked up once for all streams.  A stream that falls behind misses nothing but repetitions.
 */
#include "api/internal.h"

#include <pthread.h>
#include <stdlib.h>

#include "alerts/alerts.h"
#include "store/request_log.h"

#define MAX_STREAMS   100
#define FRESH_MS      500                /* so long what was looked up holds for all */
#define KEEP_ALIVE_MS 15000
#define LIFE_MS       1800000

enum { REVISION, NODES, ALERTS, SERIES, REQUESTS, FACTS };
static const char *const names[FACTS] = { "revision", "nodes", "alerts", "series", "requests" };

struct cp_pulse {
	pthread_mutex_t lock;            /* guards the rest */
	int64_t at_ms, fact[FACTS];
};

struct cp_pulse *cp_pulse_open(void)
{
	struct cp_pulse *p = gw_alloc(sizeof *p);
	pthread_mutex_init(&p->lock, NULL);
	p->at_ms = INT64_MIN / 2;
	return p;
}

void cp_pulse_close(struct cp_pulse **p)
{
	if (*p == NULL)
		return;
	pthread_mutex_destroy(&(*p)->lock);
	free(*p);
	*p = NULL;
}

/* ---- what there is ---- */

/* FNV-1a, cut to what every reader of JSON keeps exactly. */
static void mix(uint64_t *h, const void *p, size_t n)
{
	const uint8_t *b = p;
	for (size_t i = 0; i < n; i++)
		*h = (*h ^ b[i]) * 0x100000001b3u;
}

/* The same whatever the order in which the workers stand. */
static int64_t nodes_now(const struct cp_app *app, struct gw_arena *a)
{
	struct cp_node_live *live = NULL;
	uint64_t sum = 0;
	size_t n = app->workers ? app->workers->list(app->workers->self, a, &live) : 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t h = 0xcbf29ce484222325u;
		mix(&h, live[i].id.p, live[i].id.n);
		mix(&h, &live[i].revision, sizeof live[i].revision);
		mix(&h, &live[i].draining, sizeof live[i].draining);
		mix(&h, live[i].last_error.p, live[i].last_error.n);
		sum += h;
	}
	return (int64_t)(sum & ((1ull << 53) - 1));
}

static void look_up(struct cp_api *api, int64_t fact[FACTS])
{
	struct cp_txn *t = NULL;
	struct gw_arena *a = gw_arena_open(0);
	fact[REVISION] = (int64_t)cp_store_revision(api->app.store);
	fact[NODES] = nodes_now(&api->app, a);
	fact[ALERTS] = api->app.alerts ? cp_alerts_version(api->app.alerts) : 0;
	fact[SERIES] = api->app.series_rows ? api->app.series_rows(api->app.series_arg) : 0;
	if (cp_txn_begin(&t, api->app.store, NULL) == GW_OK)
		(void)!cp_requests_newest(t, &fact[REQUESTS], NULL); /* else as before */
	cp_txn_end(&t);
	gw_arena_close(&a);
}

static void feel(struct cp_api *api, int64_t fact[FACTS])
{
	struct cp_pulse *p = api->pulse;
	pthread_mutex_lock(&p->lock);
	if (gw_mono_ms() - p->at_ms >= FRESH_MS) {
		look_up(api, p->fact);
		p->at_ms = gw_mono_ms();
	}
	memcpy(fact, p->fact, sizeof p->fact);
	pthread_mutex_unlock(&p->lock);
}

/* ---- a stream ---- */

struct listener {
	struct cp_api *api;
	struct gw_arena *a;
	struct gw_str cookie, token;             /* who listens, to see whether he still may; both absent: on the socket file */
	int64_t told[FACTS], began_ms, wrote_ms, checked_ms;
	bool greeted;
};

static bool still_may(struct listener *l)
{
	struct cp_caller who;
	struct gw_arena *a = gw_arena_open(0);
	enum gw_rc rc = l->token.p ? cp_token_check(l->api->app.auth, l->token, a, &who, NULL) :
		l->cookie.p ? cp_session_check(l->api->app.auth, l->cookie, a, &who, NULL) : GW_OK;
	gw_arena_close(&a);
	return rc == GW_OK;
}

static void greet(struct listener *l, struct gw_buf *out)
{
	gw_buf_add_c(out, "retry: 3000\nevent: hello\ndata: {");
	for (size_t i = 0; i < FACTS; i++)
		gw_buf_printf(out, "%s\"%s\":%lld", i ? "," : "", names[i], (long long)l->told[i]);
	gw_buf_add_c(out, "}\n\n");
}

static enum cp_more listen(void *arg, struct gw_buf *out)
{
	struct listener *l = arg;
	int64_t now = gw_mono_ms(), fact[FACTS];
	if (now - l->began_ms > LIFE_MS)
		return CP_END;
	if (now - l->checked_ms > KEEP_ALIVE_MS) {
		if (!still_may(l))
			return CP_END;
		l->checked_ms = now;
	}
	feel(l->api, fact);
	for (size_t i = 0; i < FACTS && l->greeted; i++)
		if (fact[i] != l->told[i])
			gw_buf_printf(out, "event: %s\ndata: {\"%s\":%lld}\n\n", names[i], names[i], (long long)fact[i]);
	memcpy(l->told, fact, sizeof l->told);
	if (!l->greeted)
		greet(l, out);
	l->greeted = true;
	if (out->n == 0 && now - l->wrote_ms > KEEP_ALIVE_MS)
		gw_buf_add_c(out, ": still here\n\n");
	if (out->n > 0)
		l->wrote_ms = now;
	return CP_WAIT;
}

static void close_listener(void *arg)
{
	struct listener *l = arg;
	struct gw_arena *a = l->a;
	atomic_fetch_sub(&l->api->listening, 1);
	gw_arena_close(&a);
}

void cp_api_get_events(struct cp_ctx *x)
{
	if (atomic_fetch_add(&x->api->listening, 1) >= MAX_STREAMS) {
		atomic_fetch_sub(&x->api->listening, 1);
		cp_response_header(x->rq, x->rs, "Retry-After", GW_STR("30"));
		cp_problem(x, 503, "unavailable", NULL, "%d pages listen already", MAX_STREAMS);
		return;
	}
	struct gw_arena *a = gw_arena_open(0);
	struct listener *l = gw_arena_alloc(a, sizeof *l);
	struct gw_str bearer = cp_request_header(x->rq, "Authorization"), cookie = cp_request_cookie(x->rq, "tidegate_session");
	int64_t now = gw_mono_ms();
	*l = (struct listener){ .api = x->api, .a = a, .began_ms = now, .wrote_ms = now, .checked_ms = now };
	if (bearer.p != NULL)
		l->token = gw_arena_copy(a, gw_str_trim(gw_str_from(bearer, 7)));
	else if (cookie.p != NULL && x->caller.has_session)
		l->cookie = gw_arena_copy(a, cookie);
	cp_response_header(x->rq, x->rs, "X-Accel-Buffering", GW_STR("no"));
	x->rs->content_type = "text/event-stream";
	x->rs->source = (struct cp_source){ .more = listen, .close = close_listener, .arg = l };
}
