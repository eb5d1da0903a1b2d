/*
 * stream.h - a body passing through a chain of small machines.
 *
 *   upstream body -> [sse split] -> [tap] -> [sink: the client's connection]
 *                     bytes->event  event->bytes
 *
 * A stage does no I/O, reads no clock and never blocks.  It gives the same output however the input is sliced;
 * tests feed every stage whole, one byte at a time and cut at random, and compare.  The sink is a stage too, written
 * by whoever owns the connection; it should collect what arrives within one read and write it at once, since a stage
 * may emit many small pieces.
 */
#ifndef DP_STREAM_H
#define DP_STREAM_H

#include "base/arena.h"
#include "base/gw.h"
#include "codec/sse.h"

enum dp_chunk_kind {
	DP_BYTES = 1 << 0,   /* a run of bytes */
	DP_EVENT = 1 << 1,   /* one whole block of an event stream, raw and parsed */
};

/* Borrowed, whole: everything a chunk points at dies when the call returns. */
struct dp_chunk {
	enum dp_chunk_kind kind;
	union {
		struct gw_str bytes;
		const struct dp_sse_event *event;
	} u;
};

enum dp_flow {
	DP_GO,     /* accepted, send more                                          */
	DP_FULL,   /* accepted, but stop reading upstream until the sink drains    */
	DP_END,    /* accepted, and nothing after this will be looked at           */
	DP_ERROR,  /* refused; the exchange is going to fail                       */
};

/* How the input ended: framed and whole, cut off, or given up by us. */
enum dp_close { DP_CLOSE_CLEAN, DP_CLOSE_TRUNCATED, DP_CLOSE_ABORT };

struct dp_stream;

struct dp_stage {
	const char *name;            /* for traces and assertions */
	unsigned eats, emits;        /* dp_chunk_kind; dp_stream_open() asserts that neighbours agree */
	size_t size;                 /* bytes of state, zeroed, from the arena */

	void (*init)(struct dp_stream *s, void *arg);          /* NULL: zeroed is fine */
	/* May call dp_emit() any number of times, including none. */
	enum dp_flow (*feed)(struct dp_stream *s, const struct dp_chunk *c);
	/* Input is over; flush what is held.  At most once.  NULL: nothing held. */
	enum dp_flow (*finish)(struct dp_stream *s, enum dp_close how);
	/* Release what the arena does not cover.  Exactly once, when the arena closes.  NULL: nothing. */
	void (*fini)(struct dp_stream *s);
};

struct dp_stream {
	unsigned magic;
#define DP_STREAM_MAGIC 0x51f0a7c3u
	const struct dp_stage *ops;
	struct dp_stream *next;      /* NULL: a sink */
	enum dp_flow flow;           /* sticky once END or ERROR */
	bool finished;
	uint64_t calls, chunks_out;
	max_align_t state[];         /* ops->size bytes */
};

static inline void *dp_state(struct dp_stream *s) { return s->state; }

/* Put a stage before `next` (NULL for a sink).  Arena; fini runs when the arena closes.  `arg` goes to init. */
struct dp_stream *dp_stream_open(struct gw_arena *a, const struct dp_stage *ops, void *arg, struct dp_stream *next);
/* Feed a stage: checks the kind, keeps the books, makes END and ERROR stick. */
enum dp_flow dp_feed(struct dp_stream *s, const struct dp_chunk *c) GW_MUST_CHECK;
enum dp_flow dp_feed_bytes(struct dp_stream *s, struct gw_str bytes) GW_MUST_CHECK;
/* Tell a chain, from its head to its sink, that the input is over.  Later calls do nothing. */
enum dp_flow dp_finish(struct dp_stream *s, enum dp_close how) GW_MUST_CHECK;
/* What a stage calls to hand its output on. */
enum dp_flow dp_emit(struct dp_stream *s, const struct dp_chunk *c) GW_MUST_CHECK;
enum dp_flow dp_emit_bytes(struct dp_stream *s, struct gw_str bytes) GW_MUST_CHECK;
/* The worse of two: ERROR over END over FULL over GO. */
static inline enum dp_flow dp_worse(enum dp_flow a, enum dp_flow b) { return a > b ? a : b; }

/* The stage that makes events of bytes.  `arg`: const size_t *max_event, or NULL for DP_SSE_MAX_EVENT. */
extern const struct dp_stage dp_sse_stage;

#endif
