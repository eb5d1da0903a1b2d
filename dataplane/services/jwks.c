/* jwks.c - a small cache of key sets by issuer. */
#include "services/jwks.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "services/fetch.h"

#define MAX_BYTES      (256u << 10)
#define FETCH_MS       5000
#define AGAIN_MS       5000            /* between two fetches that tokens ask for */
#define RETRY_FIRST_MS 5000
#define RETRY_MAX_MS   300000
#define STALE_MS       86400000

struct source {
	struct gw_node node;
	struct dp_jwks *of;
	char *name, *url;              /* of the issuer; owned */
	const struct gw_jwt_issuer *issuer; /* of the present configuration; NULL: it is gone */
	struct gw_arena *arena;        /* of `keys`; NULL: none yet */
	struct gw_jwks keys;
	int64_t fetched_ms, tried_ms, retry_ms;
	bool failed_before;
	struct dp_fetch *fetch;
	struct gw_node waiting;
	struct dp_timer timer;
};

struct dp_jwks {
	unsigned magic;
#define DP_JWKS_MAGIC 0x1e45ca5eu
	struct dp_loop *loop;
	struct gw_node sources;
};

static void on_fetched(void *arg, struct gw_str body, const char *text);

static void start(struct source *s)
{
	struct dp_fetch_spec spec = { .url = gw_str_c(s->url), .ca_pem = s->issuer->ca_pem, .allow_private = s->issuer->allow_private,
	                              .max_bytes = MAX_BYTES, .timeout_ms = FETCH_MS };

	s->tried_ms = dp_loop_now(s->of->loop);
	s->fetch = dp_fetch_open(s->of->loop, &spec, on_fetched, s);
}

static void on_timer(struct dp_timer *t)
{
	struct source *s = GW_CONTAINER(t, struct source, timer);

	if (s->issuer && !s->fetch)
		start(s);
}

static void free_source(struct source *s)
{
	dp_timer_stop(&s->timer);
	dp_fetch_cancel(&s->fetch);
	gw_list_del(&s->node);
	gw_arena_close(&s->arena);
	free(s->name);
	free(s->url);
	free(s);
}

static void tell_waiting(struct source *s)
{
	struct gw_node ready;

	/* Moved to a list of its own: who is told may ask again. */
	gw_list_init(&ready);
	while (!gw_list_empty(&s->waiting)) {
		struct gw_node *n = s->waiting.next;

		gw_list_del(n);
		gw_list_add_tail(&ready, n);
	}
	while (!gw_list_empty(&ready)) {
		struct dp_jwks_wait *w = GW_CONTAINER(ready.next, struct dp_jwks_wait, node);

		gw_list_del(&w->node);
		w->done(w);
	}
}

static const char *take_in(struct source *s, struct gw_str body, struct gw_error *err)
{
	struct gw_arena *a = gw_arena_open(8192);
	struct gw_jwks keys;
	json_t *doc = NULL;
	enum gw_rc rc = gw_json_parse(&doc, body, MAX_BYTES, err);

	if (rc == GW_OK)
		rc = gw_jwks_read(&keys, doc, false, a, err);
	json_decref(doc);
	if (rc != GW_OK) {
		gw_arena_close(&a);
		return err->text;
	}
	gw_arena_close(&s->arena);
	s->arena = a;
	s->keys = keys;
	s->fetched_ms = dp_loop_now(s->of->loop);
	return NULL;
}

static void on_fetched(void *arg, struct gw_str body, const char *text)
{
	struct source *s = arg;
	struct gw_error err = { .text = "" };

	s->fetch = NULL;
	if (!text)
		text = take_in(s, body, &err);
	if (text) {
		s->retry_ms = !s->failed_before ? RETRY_FIRST_MS : s->retry_ms * 2 < RETRY_MAX_MS ? s->retry_ms * 2 : RETRY_MAX_MS;
		gw_log(s->failed_before ? GW_LOG_INFO : GW_LOG_WARN, "jwt-issuer", gw_str_c(s->name), "keys not fetched", "%s", text);
	} else if (s->failed_before) {
		gw_log(GW_LOG_INFO, "jwt-issuer", gw_str_c(s->name), "keys fetched again", "keys=%zu", s->keys.n);
	}
	s->failed_before = text != NULL;
	if (s->issuer)
		dp_loop_timer(s->of->loop, &s->timer, text ? s->retry_ms : s->issuer->jwks_refresh_ms);
	tell_waiting(s);
}

struct dp_jwks *dp_jwks_open(struct dp_loop *l)
{
	struct dp_jwks *j = gw_alloc(sizeof *j);

	j->magic = DP_JWKS_MAGIC;
	j->loop = l;
	gw_list_init(&j->sources);
	return j;
}

void dp_jwks_close(struct dp_jwks **jp)
{
	struct dp_jwks *j = *jp;

	if (!j)
		return;
	*jp = NULL;
	GW_CHECK(j, DP_JWKS_MAGIC);
	while (!gw_list_empty(&j->sources))
		free_source(GW_CONTAINER(j->sources.next, struct source, node));
	j->magic = 0;
	free(j);
}

void dp_jwks_stop(struct dp_jwks *j)
{
	GW_CHECK(j, DP_JWKS_MAGIC);
	for (struct gw_node *n = j->sources.next; n != &j->sources; n = n->next) {
		struct source *s = GW_CONTAINER(n, struct source, node);

		s->issuer = NULL;
		dp_timer_stop(&s->timer);
		dp_fetch_cancel(&s->fetch);
		tell_waiting(s);
	}
}

static struct source *find(struct dp_jwks *j, const struct gw_jwt_issuer *issuer)
{
	for (struct gw_node *n = j->sources.next; n != &j->sources; n = n->next) {
		struct source *s = GW_CONTAINER(n, struct source, node);

		if (gw_str_is(issuer->name, s->name) && gw_str_is(issuer->jwks_url, s->url))
			return s;
	}
	return NULL;
}

static void add(struct dp_jwks *j, const struct gw_jwt_issuer *issuer)
{
	struct source *s = gw_alloc(sizeof *s);

	s->of = j;
	s->name = gw_strdup_n(issuer->name.p, issuer->name.n);
	s->url = gw_strdup_n(issuer->jwks_url.p, issuer->jwks_url.n);
	s->issuer = issuer;
	gw_list_init(&s->waiting);
	dp_timer_init(&s->timer, on_timer);
	gw_list_add_tail(&j->sources, &s->node);
	start(s);
}

void dp_jwks_keep(struct dp_jwks *j, const struct gw_snapshot *snapshot)
{
	struct gw_trie_at walk = { 0 };
	const struct gw_jwt_issuer *v;

	GW_CHECK(j, DP_JWKS_MAGIC);
	for (struct gw_node *at = j->sources.next; at != &j->sources; at = at->next)
		GW_CONTAINER(at, struct source, node)->issuer = NULL;
	while ((v = gw_snapshot_next_jwt_issuer(snapshot, &walk))) {
		struct source *s = v->enabled && v->jwks_url.n ? find(j, v) : NULL;

		if (s)
			s->issuer = v;
		else if (v->enabled && v->jwks_url.n)
			add(j, v);
	}
	for (struct gw_node *at = j->sources.next, *next; at != &j->sources; at = next) {
		struct source *s = GW_CONTAINER(at, struct source, node);

		next = at->next;
		if (s->issuer)
			continue;
		dp_fetch_cancel(&s->fetch);
		tell_waiting(s); /* those with an older configuration: they will find no keys */
		free_source(s);
	}
}

struct gw_jwks dp_jwks_get(struct dp_jwks *j, const struct gw_jwt_issuer *issuer, bool *fresh_possible)
{
	struct source *s;
	int64_t now = dp_loop_now(j->loop);

	*fresh_possible = false;
	if (issuer->jwks.n || !issuer->jwks_url.n)
		return issuer->jwks;
	s = find(j, issuer);
	if (!s)
		return issuer->jwks;
	*fresh_possible = s->fetch || (s->issuer && now - s->tried_ms >= (s->failed_before ? s->retry_ms : AGAIN_MS));
	if (s->arena && now - s->fetched_ms < STALE_MS)
		return s->keys;
	return (struct gw_jwks){ NULL, 0 };
}

void dp_jwks_ask(struct dp_jwks *j, const struct gw_jwt_issuer *issuer, struct dp_jwks_wait *w)
{
	struct source *s = find(j, issuer);

	assert(s && s->issuer);
	gw_list_add_tail(&s->waiting, &w->node);
	if (!s->fetch)
		start(s);
}

void dp_jwks_cancel(struct dp_jwks_wait *w)
{
	if (w->node.next)
		gw_list_del(&w->node);
}
