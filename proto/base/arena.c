/*
 * arena.c - blocks in a chain, doubling from the first to 1 MiB.
 *
 * The arena's own header stands at the front of its first block, so that a small one costs one allocation.
 */
#include "base/arena.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_MAGIC     0x6172656eu
#define ARENA_DEFAULT   1024
#define ARENA_BLOCK_MAX (1u << 20)
#define ARENA_ALIGN     _Alignof(max_align_t)

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
	struct defer *defers;
	size_t next_size, bytes;
};

static size_t round_up(size_t n)
{
	return (n + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
}

struct gw_arena *gw_arena_open(size_t first_block)
{
	size_t head = round_up(sizeof(struct block)) + round_up(sizeof(struct gw_arena));
	if (first_block == 0)
		first_block = ARENA_DEFAULT;
	assert(first_block < SIZE_MAX / 4);
	size_t size = head + round_up(first_block);
	struct block *b = gw_alloc(size);
	b->size = size;
	struct gw_arena *a = (void *)((char *)b + round_up(sizeof *b));
	a->magic = ARENA_MAGIC;
	a->blocks = b;
	a->at = (char *)b + head;
	a->end = (char *)b + size;
	a->next_size = size;
	a->bytes = size;
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
		free(b);
		b = next;
	}
}

void *gw_arena_alloc(struct gw_arena *a, size_t n)
{
	GW_CHECK(a, ARENA_MAGIC);
	assert(n < SIZE_MAX / 4);
	size_t want = round_up(n ? n : 1);
	if (want <= (size_t)(a->end - a->at)) {
		void *p = a->at;
		a->at += want;
		return p;
	}
	size_t head = round_up(sizeof(struct block));
	if (a->next_size < ARENA_BLOCK_MAX)
		a->next_size *= 2;
	bool alone = head + want > a->next_size / 2;
	size_t size = alone ? head + want : a->next_size;
	struct block *b = gw_alloc(size);
	b->size = size;
	a->bytes += size;
	if (alone) {
		/* A big piece gets a block of its own behind the newest, whose rest stays in use. */
		b->next = a->blocks->next;
		a->blocks->next = b;
		return (char *)b + head;
	}
	b->next = a->blocks;
	a->blocks = b;
	a->at = (char *)b + head + want;
	a->end = (char *)b + size;
	return (char *)b + head;
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
