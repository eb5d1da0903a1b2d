/* health.c - shared records of keys and endpoints. */
#include "upstream/health.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"

#define DOWN_UNTIL (INT64_MAX / 2)     /* no time is known; later than any that is */

struct dp_health {
	unsigned magic;
#define DP_HEALTH_MAGIC 0x4ea17401u
	char *identity;             /* the map's key */
	size_t identity_n, name_at, name_n;
	_Atomic unsigned refs;      /* falls to 0 under the lock only */
	_Atomic int64_t closed_until, closed_at, recovered_at, in_flight;
	_Atomic bool probation, probing, bad, down;
	_Atomic int64_t in_a_row;           /* failures */
	_Atomic uint64_t goods;             /* requests that went well, ever */
	_Atomic uint64_t n_failures, counts_from;   /* failures ever; those before counts_from are forgiven */
	_Atomic int64_t failed_at[DP_BREAKER_MAX_FAILURES];     /* a ring by n_failures */
	_Atomic uint64_t goods_then[DP_BREAKER_MAX_FAILURES];
	int64_t checks_bad, checks_good;    /* in a row; the checking loop's own */
	enum dp_health_kind kind;
	pthread_mutex_t text_lock;
	int64_t last_error_wall_ms;
	char last_error[200];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gw_map *all;

struct dp_health *dp_health_ref(enum dp_health_kind kind, struct gw_str provider, struct gw_str name, struct gw_str secret)
{
	uint8_t sum[32];
	char hex[GW_HEX_LEN(32)];
	struct gw_buf id;
	struct dp_health *h;

	gw_sha256(sum, secret.p ? secret : GW_STR(""));
	gw_hex(hex, sum, sizeof sum);
	gw_buf_init(&id, 1 << 20);
	gw_buf_printf(&id, "%c%s %.*s ", kind == DP_HEALTH_KEY ? 'k' : 'e', hex, GW_FMT(provider));
	pthread_mutex_lock(&lock);
	if (!all)
		all = gw_map_open(64);
	gw_buf_add(&id, name);
	h = gw_map_get(all, gw_buf_str(&id));
	if (!h) {
		h = gw_alloc(sizeof *h);
		h->magic = DP_HEALTH_MAGIC;
		h->kind = kind;
		h->identity = gw_strdup_n(id.p, id.n);
		h->identity_n = id.n;
		h->name_at = id.n - name.n;
		h->name_n = name.n;
		pthread_mutex_init(&h->text_lock, NULL);
		gw_map_put(all, (struct gw_str){ h->identity, h->identity_n }, h);
	}
	h->refs++;
	pthread_mutex_unlock(&lock);
	gw_buf_fini(&id);
	return h;
}

struct dp_health *dp_health_share(struct dp_health *h)
{
	GW_CHECK(h, DP_HEALTH_MAGIC);
	atomic_fetch_add(&h->refs, 1);
	return h;
}

void dp_health_unref(struct dp_health **hp)
{
	struct dp_health *h = *hp;
	unsigned was;
	bool last;

	if (!h)
		return;
	*hp = NULL;
	GW_CHECK(h, DP_HEALTH_MAGIC);
	was = atomic_load(&h->refs);
	while (was > 1) {
		if (atomic_compare_exchange_weak(&h->refs, &was, was - 1))
			return;
	}
	pthread_mutex_lock(&lock);
	last = atomic_fetch_sub(&h->refs, 1) == 1;
	if (last)
		gw_map_del(all, (struct gw_str){ h->identity, h->identity_n });
	if (last && gw_map_count(all) == 0)
		gw_map_close(&all);
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	pthread_mutex_destroy(&h->text_lock);
	h->magic = 0;
	free(h->identity);
	free(h);
}

static int64_t get(const _Atomic int64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

bool dp_health_on_probation(const struct dp_health *h)
{
	return atomic_load_explicit(&h->probation, memory_order_relaxed);
}

int64_t dp_health_closed_until(const struct dp_health *h, int64_t now_ms)
{
	int64_t until = get(&h->closed_until);

	if (atomic_load_explicit(&h->down, memory_order_relaxed))
		return DOWN_UNTIL;
	if (until <= now_ms && dp_health_on_probation(h) && atomic_load_explicit(&h->probing, memory_order_relaxed))
		return now_ms + 1;
	return until;
}

bool dp_health_admits(struct dp_health *h, int64_t now_ms, bool *probe)
{
	bool nobody = false;

	*probe = false;
	if (dp_health_closed_until(h, now_ms) > now_ms)
		return false;
	if (!dp_health_on_probation(h))
		return true;
	*probe = atomic_compare_exchange_strong(&h->probing, &nobody, true);
	return *probe;
}

void dp_health_probe_end(struct dp_health *h)
{
	atomic_store(&h->probing, false);
}

static void recover(struct dp_health *h, int64_t now_ms)
{
	atomic_store(&h->in_a_row, 0);
	atomic_store(&h->counts_from, atomic_load(&h->n_failures));
	atomic_store(&h->bad, false);
	atomic_store(&h->closed_until, 0);
	atomic_store(&h->recovered_at, now_ms);
	atomic_store(&h->probation, false);
}

void dp_health_good(struct dp_health *h, int64_t began_ms, int64_t now_ms)
{
	atomic_fetch_add_explicit(&h->goods, 1, memory_order_relaxed);
	if (get(&h->in_a_row) != 0)
		atomic_store(&h->in_a_row, 0);
	if (dp_health_on_probation(h) && began_ms >= get(&h->closed_at))
		recover(h, now_ms);
}

void dp_health_note(struct dp_health *h, const char *why)
{
	pthread_mutex_lock(&h->text_lock);
	snprintf(h->last_error, sizeof h->last_error, "%s", why ? why : "");
	h->last_error_wall_ms = gw_now_ms();
	pthread_mutex_unlock(&h->text_lock);
}

void dp_health_close(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why)
{
	int64_t until = now_ms + for_ms;

	dp_health_note(h, why);
	/* A dead key's rest is not shortened by a 429 that another request still got. */
	if (atomic_load(&h->bad) && until < get(&h->closed_until))
		return;
	atomic_store(&h->closed_at, now_ms);
	atomic_store(&h->closed_until, until);
	atomic_store(&h->probation, true);
}

void dp_health_condemn(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why)
{
	dp_health_close(h, now_ms, for_ms, why);
	atomic_store(&h->bad, true);
}

/* Has it failed often enough?  Counts this failure. */
static bool breaks(struct dp_health *h, int64_t now_ms, const struct dp_breaker *b)
{
	int64_t in_a_row = atomic_fetch_add(&h->in_a_row, 1) + 1;
	uint64_t i = atomic_fetch_add(&h->n_failures, 1), goods = atomic_load(&h->goods);
	uint64_t want = b->failures < 1 ? 1 : b->failures > DP_BREAKER_MAX_FAILURES ? DP_BREAKER_MAX_FAILURES : (uint64_t)b->failures, first;

	atomic_store(&h->failed_at[i % DP_BREAKER_MAX_FAILURES], now_ms);
	atomic_store(&h->goods_then[i % DP_BREAKER_MAX_FAILURES], goods);
	if (b->window_ms == 0)
		return in_a_row >= (int64_t)want;
	if (i + 1 - atomic_load(&h->counts_from) < want)
		return false;
	first = (i + 1 - want) % DP_BREAKER_MAX_FAILURES;
	return get(&h->failed_at[first]) >= now_ms - b->window_ms && goods - atomic_load(&h->goods_then[first]) <= want;
}

void dp_health_bad(struct dp_health *h, int64_t now_ms, const struct dp_breaker *b, const char *why)
{
	bool full = breaks(h, now_ms, b);

	if (dp_health_on_probation(h) && get(&h->closed_until) > now_ms)
		dp_health_note(h, why); /* closed already: what was under way then does not prolong it */
	else if (full || dp_health_on_probation(h))
		dp_health_close(h, now_ms, b->cooldown_ms, why);
	else
		dp_health_note(h, why);
}

void dp_health_clear(struct dp_health *h, int64_t now_ms)
{
	recover(h, now_ms);
	atomic_store(&h->recovered_at, 0);
	atomic_store(&h->down, false);
	pthread_mutex_lock(&h->text_lock);
	h->last_error[0] = '\0';
	h->last_error_wall_ms = 0;
	pthread_mutex_unlock(&h->text_lock);
}

bool dp_health_checked(struct dp_health *h, int64_t now_ms, bool good, int64_t unhealthy_after, int64_t healthy_after, const char *why)
{
	bool was = atomic_load(&h->down);

	h->checks_good = good ? h->checks_good + 1 : 0;
	h->checks_bad = good ? 0 : h->checks_bad + 1;
	if (!good)
		dp_health_note(h, why);
	if (!was && h->checks_bad >= unhealthy_after) {
		atomic_store(&h->down, true);
	} else if (was && h->checks_good >= healthy_after) {
		recover(h, now_ms);
		atomic_store(&h->down, false);
	}
	return was != atomic_load(&h->down);
}

void dp_health_unchecked(struct dp_health *h, int64_t now_ms)
{
	h->checks_good = h->checks_bad = 0;
	if (atomic_exchange(&h->down, false))
		atomic_store(&h->recovered_at, now_ms);
}

int64_t dp_health_percent(const struct dp_health *h, int64_t now_ms, int64_t slow_start_ms)
{
	int64_t since = now_ms - get(&h->recovered_at);

	if (slow_start_ms <= 0 || get(&h->recovered_at) == 0 || since >= slow_start_ms)
		return 100;
	return since <= 0 ? 1 : 1 + since * 99 / slow_start_ms;
}

void dp_health_begin(struct dp_health *h) { atomic_fetch_add_explicit(&h->in_flight, 1, memory_order_relaxed); }
void dp_health_end(struct dp_health *h) { atomic_fetch_sub_explicit(&h->in_flight, 1, memory_order_relaxed); }

int64_t dp_health_in_flight(const struct dp_health *h)
{
	return get(&h->in_flight);
}

static const char *state_of(const struct dp_health *h, bool closed)
{
	if (!closed && !dp_health_on_probation(h))
		return "healthy";
	if (!closed)
		return "half_open";
	if (h->kind == DP_HEALTH_ENDPOINT)
		return "open";
	return atomic_load(&((struct dp_health *)(uintptr_t)h)->bad) ? "bad" : "cooling";
}

json_t *dp_health_json(const struct dp_health *h, int64_t now_mono_ms, int64_t now_wall_ms)
{
	struct dp_health *m = (struct dp_health *)(uintptr_t)h; /* for the mutex */
	bool down = atomic_load(&m->down);
	int64_t until = get(&h->closed_until), error_ms;
	bool closed = down || until > now_mono_ms;
	json_t *o = json_object();
	char text[sizeof m->last_error];

	pthread_mutex_lock(&m->text_lock);
	memcpy(text, m->last_error, sizeof text);
	error_ms = m->last_error_wall_ms;
	pthread_mutex_unlock(&m->text_lock);
	gw_json_set_str(o, h->kind == DP_HEALTH_KEY ? "name" : "url", (struct gw_str){ h->identity + h->name_at, h->name_n });
	json_object_set_new(o, "state", json_string(state_of(h, closed)));
	gw_json_set_time(o, "cooldown_until", closed && !down ? now_wall_ms + until - now_mono_ms : 0);
	if (text[0])
		gw_json_set_str(o, "last_error", gw_str_c(text));
	else
		json_object_set_new(o, "last_error", json_null());
	gw_json_set_time(o, "last_error_at", text[0] ? error_ms : 0);
	json_object_set_new(o, "in_flight", json_integer(dp_health_in_flight(h)));
	return o;
}
