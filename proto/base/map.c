/*
 * map.c - open addressing with linear probing and backward-shift deletion; never above 3/4 full.
 */
#include "base/map.h"
#include "base/bytes.h"
#include "base/str.h"

#include <pthread.h>
#include <stdlib.h>

#define MAP_MAGIC 0x6d617068u

struct slot {
	uint64_t hash;
	struct gw_str key;
	void *value; /* NULL: free */
};

struct gw_map {
	unsigned magic;
	size_t count, mask; /* mask + 1 slots, a power of two */
	struct slot *slots;
};

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
	gw_random(seed, sizeof seed);
}

static inline uint64_t rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

#define SIP_ROUND(v0, v1, v2, v3)                                                                  \
	do {                                                                                       \
		v0 += v1, v1 = rotl(v1, 13), v1 ^= v0, v0 = rotl(v0, 32);                          \
		v2 += v3, v3 = rotl(v3, 16), v3 ^= v2;                                             \
		v0 += v3, v3 = rotl(v3, 21), v3 ^= v0;                                             \
		v2 += v1, v1 = rotl(v1, 17), v1 ^= v2, v2 = rotl(v2, 32);                          \
	} while (0)

/* SipHash-1-3, Aumasson and Bernstein: one round a word, three to finish. */
uint64_t gw_hash(struct gw_str s)
{
	pthread_once(&seed_once, make_seed);
	uint64_t v0 = seed[0] ^ 0x736f6d6570736575u, v1 = seed[1] ^ 0x646f72616e646f6du;
	uint64_t v2 = seed[0] ^ 0x6c7967656e657261u, v3 = seed[1] ^ 0x7465646279746573u;
	size_t left = s.n;
	const char *p = s.p;
	for (; left >= 8; left -= 8, p += 8) {
		uint64_t m;
		memcpy(&m, p, 8);
		v3 ^= m;
		SIP_ROUND(v0, v1, v2, v3);
		v0 ^= m;
	}
	uint64_t last = gw_le_get(p, left) | (uint64_t)(s.n & 0xff) << 56;
	v3 ^= last;
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= last;
	v2 ^= 0xff;
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

struct gw_map *gw_map_open(size_t expect)
{
	assert(expect < SIZE_MAX / 256);
	size_t slots = 8;
	while (slots / 4 * 3 < expect)
		slots *= 2;
	struct gw_map *m = gw_alloc(sizeof *m);
	m->magic = MAP_MAGIC;
	m->mask = slots - 1;
	m->slots = gw_alloc(slots * sizeof *m->slots);
	return m;
}

void gw_map_close(struct gw_map **mp)
{
	struct gw_map *m = *mp;
	*mp = NULL;
	if (!m)
		return;
	GW_CHECK(m, MAP_MAGIC);
	m->magic = 0;
	free(m->slots);
	free(m);
}

/* The slot that holds the key, or the free one where it would go. */
static struct slot *find(const struct gw_map *m, struct gw_str key, uint64_t hash)
{
	for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
		struct slot *s = &m->slots[i];
		if (!s->value || (s->hash == hash && gw_str_eq(s->key, key)))
			return s;
	}
}

void *gw_map_get(const struct gw_map *m, struct gw_str key)
{
	GW_CHECK(m, MAP_MAGIC);
	return find(m, key, gw_hash(key))->value;
}

static void grow(struct gw_map *m)
{
	struct slot *old = m->slots;
	size_t n = m->mask + 1;
	m->mask = n * 2 - 1;
	m->slots = gw_alloc(n * 2 * sizeof *m->slots);
	for (size_t i = 0; i < n; i++)
		if (old[i].value)
			*find(m, old[i].key, old[i].hash) = old[i];
	free(old);
}

void *gw_map_put(struct gw_map *m, struct gw_str key, void *value)
{
	GW_CHECK(m, MAP_MAGIC);
	assert(value != NULL);
	uint64_t hash = gw_hash(key);
	struct slot *s = find(m, key, hash);
	void *before = s->value;
	if (!before && (m->count + 1) > (m->mask + 1) / 4 * 3) {
		grow(m);
		s = find(m, key, hash);
	}
	if (!before)
		m->count++;
	*s = (struct slot){ hash, key, value };
	return before;
}

void *gw_map_del(struct gw_map *m, struct gw_str key)
{
	GW_CHECK(m, MAP_MAGIC);
	struct slot *s = find(m, key, gw_hash(key));
	void *before = s->value;
	if (!before)
		return NULL;
	m->count--;
	/* Close the gap: move back every later entry of the run that may stand there. */
	size_t gap = (size_t)(s - m->slots);
	for (size_t i = (gap + 1) & m->mask; m->slots[i].value; i = (i + 1) & m->mask) {
		size_t home = m->slots[i].hash & m->mask;
		if (((i - home) & m->mask) >= ((i - gap) & m->mask)) {
			m->slots[gap] = m->slots[i];
			gap = i;
		}
	}
	m->slots[gap] = (struct slot){ 0 };
	return before;
}

size_t gw_map_count(const struct gw_map *m)
{
	GW_CHECK(m, MAP_MAGIC);
	return m->count;
}

bool gw_map_next(const struct gw_map *m, size_t *at, struct gw_str *key, void **value)
{
	GW_CHECK(m, MAP_MAGIC);
	while (*at <= m->mask) {
		const struct slot *s = &m->slots[(*at)++];
		if (s->value) {
			*key = s->key;
			*value = s->value;
			return true;
		}
	}
	return false;
}
