/*
 * arena.h - many small lifetimes made one.
 *
 * Everything carved from an arena dies together in gw_arena_close(); finalisers run first, newest first.
 * Blocks start small and double, so an exchange that says it needs 2 KiB costs one malloc.  Not thread-safe: an arena
 * has one owner at a time (an immutable snapshot may be read by all).
 */
#ifndef GW_BASE_ARENA_H
#define GW_BASE_ARENA_H

#include "base/gw.h"

struct gw_arena;

struct gw_arena *gw_arena_open(size_t first_block);            /* owned: gw_arena_close(); 0 = default 1 KiB */
void gw_arena_close(struct gw_arena **a);                      /* consumed; NULL is fine */

void *gw_arena_alloc(struct gw_arena *a, size_t n);            /* zeroed, aligned for anything */
void *gw_arena_array(struct gw_arena *a, size_t count, size_t size); /* overflow-checked */
struct gw_str gw_arena_copy(struct gw_arena *a, struct gw_str s);    /* NUL-terminated behind its end */
char *gw_arena_c(struct gw_arena *a, struct gw_str s);               /* the same as a C string */
struct gw_str gw_arena_printf(struct gw_arena *a, const char *fmt, ...) GW_PRINTF(2, 3);
/* `fn(arg)` runs when the arena closes; last registered runs first. */
void gw_arena_defer(struct gw_arena *a, void (*fn)(void *arg), void *arg);
size_t gw_arena_bytes(const struct gw_arena *a);               /* memory held, for ceilings and metrics */

/*
 * The calling thread keeps small blocks of closed arenas for its next ones, some of each size; false: it gives them back
 * and stops, which it must before it ends.  Where addresses are checked a loop should not: a block that is freed is what
 * makes a late use known.
 */
void gw_arena_keep_blocks(bool on);
#ifdef __SANITIZE_ADDRESS__
#define GW_ARENA_MAY_KEEP false
#else
#define GW_ARENA_MAY_KEEP true
#endif

#endif
