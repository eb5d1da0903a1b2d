/*
 * claim.h - what a request asks of a limit, a quota or a budget before it may go to a provider.
 *
 * A claim names one counter and an amount.  All claims of a request are reserved together, all or none: a refusal by
 * one counter consumes nothing in the others.  When the request ends, each claim is settled once to what was really
 * used, which gives the rest back at once and may also be more than was reserved.
 *
 * What is reserved and not settled yet (`open`) always counts; what was settled counts as its kind says.  So a counter
 * shows `used` = open + settled, and grants an amount when used + amount is within the limit.
 */
#ifndef DP_CLAIM_H
#define DP_CLAIM_H

#include "base/gw.h"

#define DP_CLAIM_KINDS(X)                                                                             \
	X(SLIDING, "sliding_window", "what was used within the last window_ms; never more in any window") \
	X(BUCKET,  "token_bucket",   "refills evenly, limit per window_ms; bursts up to the limit")       \
	X(PERIOD,  "period",         "what was used since from_ms; empty again at until_ms")              \
	X(TOTAL,   "total",          "whatever was ever used")                                            \
	X(OPEN,    "in_flight",      "only what is open now: a number of requests at once")
enum dp_claim_kind {
#define X(name, text, doc) DP_CLAIM_##name,
	DP_CLAIM_KINDS(X)
#undef X
};

/* What holds while the shared counters cannot be asked.  The first means: what the settings say. */
enum dp_outage { DP_OUTAGE_DEFAULT, DP_OUTAGE_LOCAL_SHARE, DP_OUTAGE_OPEN, DP_OUTAGE_CLOSED };

/* Which of a route's targets are being tried. */
enum dp_phase { DP_PRIMARY, DP_FALLBACK, DP_PHASES };
#define DP_NOT_CLAIMED (-1)

#define DP_CLAIMS_MAX 128           /* of one request; one that needs more is refused */
#define DP_CLAIM_KEY_MAX 512        /* bytes of a key */

/*
 * Texts are borrowed and copied by whoever takes the claim.  The key names the same counter in all workers, so it says
 * everything that tells counters apart (plugin, route or owner, dimension, value, kind, window), and is never reused
 * for another kind or window.  A changed limit applies to the same counter at once.
 */
struct dp_claim {
	struct gw_str key;
	enum dp_claim_kind kind;
	int64_t limit;               /* at least 1; for PERIOD and TOTAL at least 0 */
	int64_t window_ms;           /* SLIDING, BUCKET */
	int64_t from_ms, until_ms;   /* PERIOD: wall clock */
	int64_t opening;             /* PERIOD, TOTAL: used already when the counter is met for the first time */
	/* To reserve for the route's own targets and for its fallback targets; DP_NOT_CLAIMED: does not concern them. */
	int64_t amount[DP_PHASES];
	/*
	 * An amount above the limit could never be granted.  true: it counts as the limit, so that it waits for an empty
	 * counter instead of being refused for ever (a client's max_tokens says little about what it will use).
	 */
	bool capped;
	bool keeps;                  /* moving on to targets that it does not concern gives nothing back (a count of requests) */
	enum dp_outage outage;

	/* For people: who is limited and in what, as live state shows it. */
	struct gw_str scope, who;    /* whose counter it is: "consumer" "app1", "ip" "203.0.113.9" */
	struct gw_str owner_scope, owner; /* in whose settings the limit stands: "route" "my-r1", "global" "" */
	struct gw_str label;         /* a word more, such as which tokens: "prompt" */
	const char *unit;            /* "tokens" "requests" "calls" "money"; static */
};

/* What an amount comes to against this claim's limit. */
static inline int64_t dp_claim_amount(const struct dp_claim *c, int64_t amount)
{
	return amount < 0 ? 0 : c->capped && amount > c->limit ? c->limit : amount;
}

/* A counter right after the decision. */
struct dp_claim_state {
	int64_t limit, used, left;   /* left: never below 0 */
	int64_t reset_ms;            /* until everything settled is forgotten; 0: nothing is */
	bool refused;
	int64_t wait_ms;             /* refused: until it could be granted, at least 1 */
	bool degraded;               /* decided by the outage policy */
	int64_t seen_us;             /* shared counters: when it was so, by their clock; 0: it is counted here */
};

#endif
