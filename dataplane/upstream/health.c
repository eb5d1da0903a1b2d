/* health.c - shared records of keys and endpoints. */
#include "upstream/health.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/map.h"
#include "base/str.h"

#define PROBE_EVERY_MS 1000

struct dp_health {
	unsigned magic;
#define DP_HEALTH_MAGIC 0x4ea17401u
	char *identity;             /* the map's key */
	size_t identity_n, name_at, name_n;
	_Atomic unsigned refs;      /* falls to 0 under the lock only */
	_Atomic int64_t closed_until, failures, in_flight;
	_Atomic bool probation, bad;
	enum dp_health_kind kind;
	pthread_mutex_t text_lock;
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

int64_t dp_health_closed_until(const struct dp_health *h)
{
	return atomic_load_explicit(&h->closed_until, memory_order_relaxed);
}

bool dp_health_on_probation(const struct dp_health *h)
{
	return atomic_load_explicit(&h->probation, memory_order_relaxed);
}

bool dp_health_admits(struct dp_health *h, int64_t now_ms)
{
	int64_t until = dp_health_closed_until(h);

	if (until > now_ms)
		return false;
	if (!dp_health_on_probation(h))
		return true;
	/* Whoever moves the date is the probe; the others see a closed entry for another second. */
	return atomic_compare_exchange_strong(&h->closed_until, &until, now_ms + PROBE_EVERY_MS);
}

void dp_health_good(struct dp_health *h)
{
	if (atomic_load_explicit(&h->failures, memory_order_relaxed) != 0)
		atomic_store(&h->failures, 0);
	if (dp_health_on_probation(h)) {
		atomic_store(&h->probation, false);
		atomic_store(&h->bad, false);
		atomic_store(&h->closed_until, 0);
	}
}

static void remember(struct dp_health *h, const char *why)
{
	pthread_mutex_lock(&h->text_lock);
	snprintf(h->last_error, sizeof h->last_error, "%s", why ? why : "");
	pthread_mutex_unlock(&h->text_lock);
}

void dp_health_close(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why)
{
	int64_t was = dp_health_closed_until(h), until = now_ms + for_ms;

	remember(h, why);
	atomic_store(&h->probation, true);
	while (was < until && !atomic_compare_exchange_weak(&h->closed_until, &was, until))
		;
}

void dp_health_condemn(struct dp_health *h, int64_t now_ms, int64_t for_ms, const char *why)
{
	atomic_store(&h->bad, true);
	dp_health_close(h, now_ms, for_ms, why);
}

void dp_health_bad(struct dp_health *h, int64_t now_ms, int64_t threshold, int64_t cooldown_ms, const char *why)
{
	int64_t n = atomic_fetch_add(&h->failures, 1) + 1;

	if (n >= threshold)
		dp_health_close(h, now_ms, cooldown_ms, why);
	else
		remember(h, why);
}

void dp_health_begin(struct dp_health *h) { atomic_fetch_add_explicit(&h->in_flight, 1, memory_order_relaxed); }
void dp_health_end(struct dp_health *h) { atomic_fetch_sub_explicit(&h->in_flight, 1, memory_order_relaxed); }

int64_t dp_health_in_flight(const struct dp_health *h)
{
	return atomic_load_explicit(&h->in_flight, memory_order_relaxed);
}

static const char *state_of(const struct dp_health *h, bool closed)
{
	if (!dp_health_on_probation(h))
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
	int64_t until = dp_health_closed_until(h);
	bool closed = until > now_mono_ms;
	json_t *o = json_object();
	char text[sizeof m->last_error];

	pthread_mutex_lock(&m->text_lock);
	memcpy(text, m->last_error, sizeof text);
	pthread_mutex_unlock(&m->text_lock);
	gw_json_set_str(o, h->kind == DP_HEALTH_KEY ? "name" : "url", (struct gw_str){ h->identity + h->name_at, h->name_n });
	json_object_set_new(o, "state", json_string(state_of(h, closed)));
	gw_json_set_time(o, "cooldown_until", closed ? now_wall_ms + until - now_mono_ms : 0);
	if (text[0])
		gw_json_set_str(o, "last_error", gw_str_c(text));
	else
		json_object_set_new(o, "last_error", json_null());
	json_object_set_new(o, "in_flight", json_integer(dp_health_in_flight(h)));
	return o;
}
