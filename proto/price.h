/*
 * price.h - what a request cost: price tables, and whole-number arithmetic over them.
 *
 * Money is a whole number of micro-units, millionths of a currency's unit.  Rates of tokens are micro-units per million
 * tokens, so that 0.0028 USD per million is 2800; rates of pictures and requests are micro-units each.  A request's
 * parts are added up exactly and rounded once, half up, to a micro-unit.
 *
 * Classes of tokens are disjoint.  A prompt consists of what was read from a cache, what was written into one (for five
 * minutes or for an hour), sound, and the rest; a completion of reasoning, sound, and the rest.  A rate that is not
 * given falls back: cached_input, cache_write and audio_input to input, cache_write_1h to cache_write, reasoning and
 * audio_output to output; all others to nothing.
 *
 * Which price holds?  The first of these that has one for the model, at that moment:
 *   1. of an operator, for this provider by name     2. of an operator, for this type of provider
 *   3. of an operator, for any provider              4. of the seed, for this type     5. of the seed, for any
 * and within one of them the longest pattern, the exact name before all; then the latest valid_from that has passed.
 *
 * The seed is a list of vendors' published prices that is built into both daemons (prices.json); an object of an operator
 * with a seed's name takes its place, also when it is disabled.
 *
 * Looking up costs a few binary searches, whatever the number of prices.
 */
#ifndef GW_PROTO_PRICE_H
#define GW_PROTO_PRICE_H

#include "field.h"
#include "usage.h"

#define GW_RATE_MAX       1000000000000000LL   /* a thousand million units of currency per million tokens */
#define GW_PRICE_MODELS   64
#define GW_PRICE_VARIANTS 32

/* X(name) in the order in which people see them. */
#define GW_RATE_TABLE(X)                                                                    \
	X(input) X(cached_input) X(cache_write) X(cache_write_1h) X(output) X(reasoning)    \
	X(audio_input) X(audio_output) X(image) X(request)
struct gw_rates {
#define X(name) int64_t name;                                   /* -1: not given */
	GW_RATE_TABLE(X)
#undef X
};

/* Other rates under a condition.  Those whose condition holds are laid over the price's own, in order. */
struct gw_variant {
	int64_t above_prompt_tokens;     /* the prompt is longer than this; -1: any */
	bool timed;                      /* ... and the request began on one of `days`, from ≤ time < to */
	unsigned days;                   /* bit 0: Monday */
	int64_t from_min, to_min;        /* of the day, at the given distance from UTC; from > to: over midnight */
	int64_t utc_offset_min;
	struct gw_rates rates;
};

struct gw_price {
	struct gw_str name;
	bool enabled, seed;
	struct gw_str provider, provider_type;   /* absent: any; at most one of them */
	struct gw_strv models;                   /* exact names, or a beginning and `*` */
	struct gw_str currency;                  /* three capital letters */
	int64_t valid_from_ms;                   /* 0: always */
	struct gw_rates rates;
	const struct gw_variant *variants;
	size_t n_variants;
};

/* What a request used. */
struct gw_charge {
	struct gw_tokens tokens;
	int64_t images;
	int64_t at_ms;                   /* when it began, by the wall clock */
};

/* The rates in force for a prompt of this length at this moment, fallbacks filled in: none is -1. */
struct gw_rates gw_price_rates(const struct gw_price *p, int64_t prompt_tokens, int64_t at_ms);
/* In micro-units of p->currency; at most 2^53, never below 0. */
int64_t gw_price_cost(const struct gw_price *p, const struct gw_charge *c);
/* The same told by its parts, for people; their sum may differ from the whole by rounding. */
struct gw_cost_part { const char *rate; int64_t units, rate_micro, cost; };
#define X(name) +1
enum { GW_COST_PARTS = 0 GW_RATE_TABLE(X) };
#undef X
size_t gw_price_parts(const struct gw_price *p, const struct gw_charge *c, struct gw_cost_part out[GW_COST_PARTS]);
/* No request with such a prompt, so many answer tokens and pictures can cost more. */
int64_t gw_price_ceiling(const struct gw_price *p, int64_t prompt, int64_t completion, int64_t images, int64_t at_ms);

/* The seed, {"date","sources","prices":[…]}; static. */
struct gw_str gw_price_seed(void);

#endif
