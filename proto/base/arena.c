/*
 * arena.c - blocks in a chain, doubling up to 1 MiB.
 *
 * The arena's own header stands at the front of its first block, so that a small one costs one allocation.  A block is
 * zeroed as far as it is used, a few hundred bytes ahead, since most of them end with room to spare.  A thread that opens
 * and closes arenas all the time may keep some closed blocks for itself: the allocator needs a thousand instructions for
 * one of a few kilobytes.
 */
#include "base/arena.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_MAGIC     0x6172656eu
#define ARENA_DEFAULT   1024
#define ARENA_BLOCK_MAX (1u << 20)
#define ARENA_ALIGN     _Alignof(max_align_t)
#define ZERO_AHEAD      256
#define KEPT_STEP       64           /* sizes of blocks that may be kept differ by so much */
#define KEPT_SIZES      64           /* up to 4 KiB */
#define KEPT_MAX        (KEPT_STEP * KEPT_SIZES - sizeof(size_t))
#define KEPT_OF_A_SIZE  32

struct block {
	struct block *next;
	size_t size; /* whole, with this header */
};

struct defer {
	struct defer *next;
	void (*fn)(void *arg);
	void *arg;
};

struct gw_arena {
	unsigned magic;
	struct block *blocks;   /* newest first; the last one holds this struct */
	char *at, *end;         /* what is left of the newest block */
	char *clean;            /* and as far as here it is zeroed */
	struct defer *defers;
	size_t next_size, bytes;
};

static size_t round_up(size_t n)
{
	return (n + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
}

/* ---- blocks ---- */

static _Thread_local struct {
	bool on;
	struct { struct block *first; unsigned n; } of[KEPT_SIZES];
} kept;

/* The allocator puts 8 bytes of its own before a block and rounds up: sizes are what fills its steps. */
static size_t block_size(size_t need)
{
	return need > KEPT_MAX ? need : ((need + sizeof(size_t) + KEPT_STEP - 1) & ~(size_t)(KEPT_STEP - 1)) - sizeof(size_t);
}

static size_t kept_at(size_t size)
{
	return size > KEPT_MAX ? KEPT_SIZES : size / KEPT_STEP;
}

/* Not zeroed. */
static struct block *block_open(size_t size)
{
	size_t i = kept_at(size);
	struct block *b = i < KEPT_SIZES ? kept.of[i].first : NULL;

	if (b) {
		kept.of[i].first = b->next;
		kept.of[i].n--;
	} else {
		b = gw_realloc(NULL, size);
		b->size = size;
	}
	b->next = NULL;
	return b;
}

static void block_close(struct block *b)
{
	size_t i = kept_at(b->size);

	if (!kept.on || i >= KEPT_SIZES || kept.of[i].n == KEPT_OF_A_SIZE) {
		free(b);
		return;
	}
	b->next = kept.of[i].first;
	kept.of[i].first = b;
	kept.of[i].n++;
}

void gw_arena_keep_blocks(bool on)
{
	kept.on = on;
	for (size_t i = 0; i < KEPT_SIZES && !on; i++) {
		while (kept.of[i].first) {
			struct block *b = kept.of[i].first;

			kept.of[i].first = b->next;
			free(b);
		}
		kept.of[i].n = 0;
	}
}

/* ---- arenas ---- */

struct gw_arena *gw_arena_open(size_t first_block)
{
	size_t head = round_up(sizeof(struct block)) + round_up(sizeof(struct gw_arena));
	if (first_block == 0)
		first_block = ARENA_DEFAULT;
	assert(first_block < SIZE_MAX / 4);
	size_t size = block_size(head + round_up(first_block));
	struct block *b = block_open(size);
	struct gw_arena *a = (void *)((char *)b + round_up(sizeof *b));
	*a = (struct gw_arena){ .magic = ARENA_MAGIC, .blocks = b, .bytes = size };
	a->at = a->clean = (char *)b + head;
	a->end = (char *)b + size;
	/* Whoever said how much he needs needs little more. */
	a->next_size = size / 4 > ARENA_DEFAULT ? size / 4 : ARENA_DEFAULT;
	return a;
}

void gw_arena_close(struct gw_arena **ap)
{
	struct gw_arena *a = *ap;
	*ap = NULL;
	if (!a)
		return;
	GW_CHECK(a, ARENA_MAGIC);
	while (a->defers) {
		struct defer *d = a->defers;
		a->defers = d->next;
		d->fn(d->arg);
	}
	a->magic = 0;
	for (struct block *b = a->blocks; b;) {
		struct block *next = b->next;
		block_close(b);
		b = next;
	}
}

static void zero_ahead(struct gw_arena *a)
{
	size_t n = (size_t)(a->at - a->clean) + ZERO_AHEAD;

	if (n > (size_t)(a->end - a->clean))
		n = (size_t)(a->end - a->clean);
	memset(a->clean, 0, n);
	a->clean += n;
}

/* Of a block of its own, or of the next one. */
static void *in_new_block(struct gw_arena *a, size_t want)
{
	size_t head = round_up(sizeof(struct block));
	bool alone = head + want > a->next_size / 2;
	size_t size = block_size(alone ? head + want : a->next_size);
	struct block *b = block_open(size);

	a->bytes += size;
	if (alone) {
		/* A big piece gets a block of its own behind the newest, whose rest stays in use. */
		b->next = a->blocks->next;
		a->blocks->next = b;
		return memset((char *)b + head, 0, want);
	}
	if (a->next_size < ARENA_BLOCK_MAX)
		a->next_size *= 2;
	b->next = a->blocks;
	a->blocks = b;
	a->clean = (char *)b + head;
	a->at = a->clean + want;
	a->end = (char *)b + size;
	zero_ahead(a);
	return (char *)b + head;
}

void *gw_arena_alloc(struct gw_arena *a, size_t n)
{
	GW_CHECK(a, ARENA_MAGIC);
	assert(n < SIZE_MAX / 4);
	size_t want = round_up(n ? n : 1);
	char *p = a->at;
	if (want > (size_t)(a->end - p))
		return in_new_block(a, want);
	a->at = p + want;
	if (a->at > a->clean)
		zero_ahead(a);
	return p;
}

void *gw_arena_array(struct gw_arena *a, size_t count, size_t size)
{
	size_t n;
	bool overflow = __builtin_mul_overflow(count, size, &n);
	assert(!overflow);
	(void)overflow;
	return gw_arena_alloc(a, n);
}

char *gw_arena_c(struct gw_arena *a, struct gw_str s)
{
	char *p = gw_arena_alloc(a, s.n + 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	return p;
}

struct gw_str gw_arena_copy(struct gw_arena *a, struct gw_str s)
{
	if (!s.p)
		return GW_STR_NONE;
	return (struct gw_str){ gw_arena_c(a, s), s.n };
}

struct gw_str gw_arena_printf(struct gw_arena *a, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	char *p = gw_arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return (struct gw_str){ p, (size_t)n };
}

void gw_arena_defer(struct gw_arena *a, void (*fn)(void *arg), void *arg)
{
	struct defer *d = gw_arena_alloc(a, sizeof *d);
	*d = (struct defer){ a->defers, fn, arg };
	a->defers = d;
}

size_t gw_arena_bytes(const struct gw_arena *a)
{
	GW_CHECK(a, ARENA_MAGIC);
	return a->bytes;
}
