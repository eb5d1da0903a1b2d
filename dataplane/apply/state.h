/*
 * state.h - what a worker keeps in its state directory: who it is, and what it served last.
 *
 *   DIR/node-id          32 hex digits, made once
 *   DIR/snapshot.last    one line {"format":1,"key":{"sealed":…}}, then the snapshot's bytes as they came
 *   DIR/snapshot.journal the changes that came after it, each as it came: a line of JSON, its bytes, a line end
 *
 * So a change costs what it weighs, until the journal has grown to half of the snapshot; then the whole is written and
 * the journal begins anew.  A journal whose end is torn counts as far as it is whole.
 *
 * The snapshot's secrets stay sealed under the snapshot key; that key is sealed under one derived from the join token's
 * secret.  So a stolen directory without the token gives nothing away.
 */
#ifndef DP_APPLY_STATE_H
#define DP_APPLY_STATE_H

#include "snapshot.h"
#include "wire.h"

struct dp_state {
	char dir[3072];
	char node_id[33];
	uint8_t node_key[32];        /* from the join token's secret */
	/* What stands on disk, as far as changes can be added to it. */
	bool whole;                  /* snapshot.last is there, and the journal leads to what is served */
	uint8_t key[32];             /* under which its secrets are sealed */
	size_t last_bytes, journal_bytes;
};

enum gw_rc dp_state_open(struct dp_state *s, const char *dir, struct gw_str token_secret, struct gw_error *err) GW_MUST_CHECK;
enum gw_rc dp_state_save(struct dp_state *s, struct gw_str snapshot, const uint8_t key[32], struct gw_error *err) GW_MUST_CHECK;
/*
 * Adds a change as it came, header line and bytes.  GW_CONFLICT: it cannot stand in the journal (none was begun, its
 * secrets are under another key, it has grown too long), so the whole must be saved.
 */
enum gw_rc dp_state_add(struct dp_state *s, struct gw_str delta, const uint8_t key[32], struct gw_error *err) GW_MUST_CHECK;
/* GW_NOTFOUND: there is none.  `bytes` gets the snapshot; the changes are replayed by dp_state_replay(). */
enum gw_rc dp_state_load(struct dp_state *s, struct gw_buf *bytes, uint8_t key[32], struct gw_error *err) GW_MUST_CHECK;

/*
 * Calls `change` for each change of the journal, oldest first, until one fails; `w` is borrowed for the call.  A journal
 * that does not end well is not added to any more.
 */
void dp_state_replay(struct dp_state *s, const uint8_t key[32],
                     enum gw_rc (*change)(void *arg, const struct gw_wire *w, struct gw_error *err), void *arg);

#endif
