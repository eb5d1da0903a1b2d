/*
 * slices.h - feed the same bytes whole, one by one, cut in two everywhere, and in random pieces.
 *
 * Every piece is an exact-size copy on the heap that is freed after the call, so a sanitizer sees reads past its end
 * and uses after the call.
 */
#ifndef TG_SLICES_H
#define TG_SLICES_H

#include <stdlib.h>
#include <string.h>

#include "base/gw.h"

/* Takes a piece; false stops the run (an error was found). */
typedef bool (*slice_fn)(void *arg, struct gw_str piece);

/* mode 0: whole; 1: byte by byte; 2..n+1: cut in two at mode - 1; above: random pieces of 1..16 seeded by mode */
static inline void slices_run(struct gw_str in, unsigned mode, slice_fn fn, void *arg)
{
	size_t i = 0;
	unsigned seed = mode * 2654435761u + 1;

	while (i < in.n) {
		size_t k = in.n - i;
		char *copy;
		bool more;

		if (mode == 1) {
			k = 1;
		} else if (mode >= 2 && mode - 1 < in.n) {
			k = i == 0 ? mode - 1 : k;
		} else if (mode >= 2) {
			seed = seed * 1103515245u + 12345u;
			k = 1 + (seed >> 16) % 16;
		}
		if (k > in.n - i)
			k = in.n - i;
		copy = malloc(k);
		memcpy(copy, in.p + i, k);
		more = fn(arg, (struct gw_str){ copy, k });
		free(copy);
		if (!more)
			return;
		i += k;
	}
}

/* All cuts in two, and as many random ones. */
static inline unsigned slices_modes(struct gw_str in, unsigned random)
{
	return (unsigned)in.n + 1 + random;
}

#endif
