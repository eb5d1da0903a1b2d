/* splice.c - edits sorted into a list of slices. */
#include "codec/splice.h"

void dp_edits_init(struct dp_edits *e, struct gw_arena *a)
{
	*e = (struct dp_edits){ .a = a };
}

void dp_edit_add(struct dp_edits *e, size_t at, size_t n, struct gw_str with)
{
	size_t i;

	if (e->n == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 8;
		struct dp_edit *v = gw_arena_array(e->a, cap, sizeof *v);

		if (e->n)
			memcpy(v, e->v, e->n * sizeof *v);
		e->v = v;
		e->cap = cap;
	}
	for (i = e->n++; i > 0 && e->v[i - 1].at > at; i--)
		e->v[i] = e->v[i - 1];
	e->v[i] = (struct dp_edit){ at, n, with };
}

struct dp_body dp_splice(struct dp_edits *e, struct gw_str source)
{
	struct gw_str *parts = gw_arena_array(e->a, e->n * 2 + 1, sizeof *parts);
	struct dp_body b = { .parts = parts };
	size_t at = 0;

	for (size_t i = 0; i < e->n; i++) {
		const struct dp_edit *d = &e->v[i];

		assert(d->at >= at && d->at + d->n <= source.n);
		if (d->at > at)
			parts[b.n_parts++] = (struct gw_str){ source.p + at, d->at - at };
		if (d->with.n)
			parts[b.n_parts++] = d->with;
		at = d->at + d->n;
	}
	if (at < source.n)
		parts[b.n_parts++] = (struct gw_str){ source.p + at, source.n - at };
	for (size_t i = 0; i < b.n_parts; i++)
		b.bytes += parts[i].n;
	return b;
}
