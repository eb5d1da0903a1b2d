/* balance.c - smooth round robin, weighted random, least requests, weighted rendezvous hashing. */
#include "upstream/balance.h"

#include <math.h>

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint64_t dp_balance_hash(struct gw_str s)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a, then mixed: its low bits alone are poor */

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3ull;
	return mix(h);
}

static bool usable(const struct dp_candidate *c, int64_t now_ms, bool any_weight, bool closed_too)
{
	return !c->used && (any_weight || c->weight > 0) && (closed_too || c->closed_until <= now_ms);
}

static int64_t weight_of(const struct dp_candidate *c)
{
	return c->weight > 0 ? c->weight : 1;
}

/* Everybody gains its weight, the richest one is taken and pays for all. */
static int by_turns(const struct dp_candidate *v, size_t n, int64_t now_ms, bool any_weight)
{
	int64_t total = 0;
	int best = -1;

	for (size_t i = 0; i < n; i++) {
		if (!usable(&v[i], now_ms, any_weight, false))
			continue;
		*v[i].credit += weight_of(&v[i]);
		total += weight_of(&v[i]);
		if (best < 0 || *v[i].credit > *v[best].credit)
			best = (int)i;
	}
	if (best >= 0)
		*v[best].credit -= total;
	return best;
}

static int by_weight(const struct dp_candidate *v, size_t n, int64_t now_ms, bool any_weight, uint64_t at)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += usable(&v[i], now_ms, any_weight, false) ? (uint64_t)weight_of(&v[i]) : 0;
	if (total == 0)
		return -1;
	at %= total;
	for (size_t i = 0; i < n; i++) {
		uint64_t w = usable(&v[i], now_ms, any_weight, false) ? (uint64_t)weight_of(&v[i]) : 0;

		if (at < w)
			return (int)i;
		at -= w;
	}
	return -1;
}

/* The lowest load per weight; ties go round, so that idle endpoints share the first requests. */
static int by_load(const struct dp_candidate *v, size_t n, int64_t now_ms, bool any_weight, uint64_t turn)
{
	int best = -1;

	for (size_t k = 0; k < n; k++) {
		size_t i = (size_t)((turn + k) % n);

		if (!usable(&v[i], now_ms, any_weight, false))
			continue;
		if (best < 0 || (v[i].in_flight + 1) * weight_of(&v[best]) < (v[best].in_flight + 1) * weight_of(&v[i]))
			best = (int)i;
	}
	return best;
}

/*
 * Weighted rendezvous: each draws a number in (0,1] that depends on it and on whom to be faithful to alone; the
 * smallest -ln(u)/weight wins.
 */
static int by_hash(const struct dp_candidate *v, size_t n, int64_t now_ms, bool any_weight, uint64_t seed)
{
	int best = -1;
	double least = 0;

	for (size_t i = 0; i < n; i++) {
		double u, score;

		if (!usable(&v[i], now_ms, any_weight, false))
			continue;
		u = ((double)(mix(v[i].hash ^ seed) >> 11) + 1) / 9007199254740992.0; /* 2^53 */
		score = -log(u) / (double)weight_of(&v[i]);
		if (best < 0 || score < least) {
			best = (int)i;
			least = score;
		}
	}
	return best;
}

static int opens_first(const struct dp_candidate *v, size_t n, int64_t now_ms)
{
	int best = -1;

	for (size_t i = 0; i < n; i++) {
		if (usable(&v[i], now_ms, true, true) && (best < 0 || v[i].closed_until < v[best].closed_until))
			best = (int)i;
	}
	return best;
}

int dp_balance(enum gw_balance how, const struct dp_candidate *v, size_t n, int64_t now_ms, uint64_t turn, uint64_t seed)
{
	if (n == 1)
		return v[0].used ? -1 : 0;
	for (int any_weight = 0; any_weight < 2; any_weight++) {
		int i = -1;

		switch (how) {
		case GW_BALANCE_ROUND_ROBIN: i = by_turns(v, n, now_ms, any_weight); break;
		case GW_BALANCE_RANDOM: i = by_weight(v, n, now_ms, any_weight, seed); break;
		case GW_BALANCE_LEAST_REQUESTS: i = by_load(v, n, now_ms, any_weight, turn); break;
		case GW_BALANCE_HASH: i = by_hash(v, n, now_ms, any_weight, seed); break;
		}
		if (i >= 0)
			return i;
	}
	return opens_first(v, n, now_ms);
}

void dp_balance_cap_ejected(struct dp_candidate *v, size_t n, int64_t now_ms, int64_t percent)
{
	int64_t closed = 0;

	for (size_t i = 0; i < n; i++)
		closed += v[i].closed_until > now_ms;
	for (; closed * 100 > percent * (int64_t)n; closed--) {
		int first = -1;

		for (size_t i = 0; i < n; i++)
			if (v[i].closed_until > now_ms && (first < 0 || v[i].closed_until < v[first].closed_until))
				first = (int)i;
		v[first].closed_until = 0;
		v[first].let_in = true;
	}
}
