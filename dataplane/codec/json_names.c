/* json_names.c - a stack of marks. */
#include "codec/json_names.h"

#include <stdlib.h>

#include "base/buf.h"

void dp_json_names_init(struct dp_json_names *s)
{
	s->v = s->few;
	s->cap = GW_COUNT(s->few);
	s->n = 0;
}

void dp_json_names_fini(void *names)
{
	struct dp_json_names *s = names;

	if (s->v != s->few)
		free(s->v);
	dp_json_names_init(s);
}

void dp_json_names_open(struct dp_json_names *s, size_t depth)
{
	assert(depth <= DP_NAMES_MAX_DEPTH && s->n <= UINT16_MAX);
	s->from[depth] = (uint16_t)s->n;
}

static void grow(struct dp_json_names *s)
{
	uint64_t *more;

	s->cap *= 4;
	more = gw_realloc(s->v == s->few ? NULL : s->v, s->cap * sizeof *more);
	if (s->v == s->few)
		memcpy(more, s->few, s->n * sizeof *more);
	s->v = more;
}

enum dp_names_verdict dp_json_names_add(struct dp_json_names *s, size_t depth, uint64_t mark)
{
	size_t from = s->from[depth];

	if (s->n == DP_NAMES_MAX_OPEN)
		return DP_NAMES_TOO_MANY;
	if (s->n - from <= DP_NAMES_NARROW)
		for (size_t i = from; i < s->n; i++)
			if (s->v[i] == mark)
				return DP_NAMES_TWICE;
	if (s->n == s->cap)
		grow(s);
	s->v[s->n++] = mark;
	return DP_NAMES_NEW;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

bool dp_json_names_shut(struct dp_json_names *s, size_t depth)
{
	size_t from = s->from[depth], n = s->n - from;
	bool once = true;

	if (n > DP_NAMES_NARROW) {
		qsort(s->v + from, n, sizeof *s->v, by_value);
		for (size_t i = from + 1; i < s->n; i++)
			once &= s->v[i] != s->v[i - 1];
	}
	s->n = from;
	return once;
}
