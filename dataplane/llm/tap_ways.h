/*
 * tap_ways.h - the stages behind dp_tap_chain(), for tap*.c only.
 *
 * Each takes its struct dp_tap as the argument of init.
 */
#ifndef DP_LLM_TAP_WAYS_H
#define DP_LLM_TAP_WAYS_H

#include "llm/tap.h"

extern const struct dp_stage dp_tap_events;    /* events → bytes, as they are but for the hidden usage */
extern const struct dp_stage dp_tap_plain;     /* bytes → the same bytes */
extern const struct dp_stage dp_tap_collect;   /* events → one JSON answer, at the end */
extern const struct dp_stage dp_tap_spread;    /* one JSON answer → events, at the end */

/*
 * Read an event that has data: notes [DONE], lets the dialect look at a JSON object and returns that object; type
 * DP_J_NONE for [DONE], for a last word that the break came in the middle of, and for what was not understood (counted).
 */
struct dp_json dp_tap_read(struct dp_tap *t, const struct dp_sse_event *ev);

#endif
