/* balance.c - round robin, weighted random, least requests, rendezvous hashing. */
#include "upstream/balance.h"

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static bool usable(const struct dp_candidate *c, int64_t now_ms, bool any_weight, bool closed_too)
{
	return !c->used && (any_weight || c->weight > 0) && (closed_too || c->closed_until <= now_ms);
}

static int by_weight(const struct dp_candidate *v, size_t n, int64_t now_ms, bool any_weight, uint64_t at)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += usable(&v[i], now_ms, any_weight, false) ? (uint64_t)(v[i].weight > 0 ? v[i].weight : 1) : 0;
	if (total == 0)
		return -1;
	at %= total;
	for (size_t i = 0; i < n; i++) {
		uint64_t w = usable(&v[i], now_ms, any_weight, false) ? (uint64_t)(v[i].weight > 0 ? v[i].weight : 1) : 0;

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
		int64_t w = v[i].weight > 0 ? v[i].weight : 1;

		if (!usable(&v[i], now_ms, any_weight, false))
			continue;
		if (best < 0 || (v[i].in_flight + 1) * (v[best].weight > 0 ? v[best].weight : 1) < (v[best].in_flight + 1) * w)
			best = (int)i;
	}
	return best;
}

/* Rendezvous hashing: a candidate that comes or goes moves only its own share. */
static int by_hash(const struct dp_candidate *v, size_t n, int64_t now_ms, bool any_weight, uint64_t seed)
{
	int best = -1;
	uint64_t top = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t score = mix(v[i].hash ^ seed);

		if (usable(&v[i], now_ms, any_weight, false) && (best < 0 || score > top)) {
			best = (int)i;
			top = score;
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
		case GW_BALANCE_ROUND_ROBIN: i = by_weight(v, n, now_ms, any_weight, turn); break;
		case GW_BALANCE_RANDOM: i = by_weight(v, n, now_ms, any_weight, seed); break;
		case GW_BALANCE_LEAST_REQUESTS: i = by_load(v, n, now_ms, any_weight, turn); break;
		case GW_BALANCE_HASH: i = by_hash(v, n, now_ms, any_weight, seed); break;
		}
		if (i >= 0)
			return i;
	}
	return opens_first(v, n, now_ms);
}
