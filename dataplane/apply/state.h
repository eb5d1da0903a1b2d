/*
 * state.h - what a worker keeps in its state directory: who it is, and what it served last.
 *
 *   DIR/node-id          32 hex digits, made once
 *   DIR/snapshot.last    one line {"format":1,"key":{"sealed":…}}, then the snapshot's bytes as they came
 *
 * The snapshot's secrets stay sealed under the snapshot key; that key is sealed under one derived from the join token's
 * secret.  So a stolen directory without the token gives nothing away.
 */
#ifndef DP_APPLY_STATE_H
#define DP_APPLY_STATE_H

#include "snapshot.h"

struct dp_state {
	char dir[3072];
	char node_id[33];
	uint8_t node_key[32];        /* from the join token's secret */
};

enum gw_rc dp_state_open(struct dp_state *s, const char *dir, struct gw_str token_secret, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc dp_state_save(const struct dp_state *s, struct gw_str snapshot, const uint8_t key[32], struct gw_error *err) GW_MUST_CHECK;
/* GW_NOTFOUND: there is none.  `bytes` gets the snapshot. */
enum gw_rc dp_state_load(const struct dp_state *s, struct gw_buf *bytes, uint8_t key[32], struct gw_error *err) GW_MUST_CHECK;

#endif
