/*
 * snapshot_groups.c - what a consumer has from its groups.
 *
 * Worked out once, when a snapshot is built, so that a request merges three lists of plugins whatever the number of
 * groups; nearly every consumer shares a list instead of having a copy.  Only a token that brings groups of its own makes
 * it happen for one request.
 */
#include "base/str.h"
#include "snapshot_impl.h"
#include "spec.h"

#include <string.h>

#define TOKEN_GROUPS_MAX 64

/* Where one of v stands by rank, behind those that are equal: of a plugin that adds up there are several. */
static size_t place_of(const struct gw_binding *v, size_t n, const struct gw_binding *b)
{
	while (n > 0 && gw_binding_cmp(&v[n - 1], b) > 0)
		n--;
	return n;
}

/* The consumer's own come first, then those of its groups in their order. */
static void inherit_one(struct gw_binding *v, size_t *n, const struct gw_binding *b)
{
	size_t at = place_of(v, *n, b);
	if (at > 0 && !b->adds_up && gw_binding_cmp(&v[at - 1], b) == 0)
		return;
	memmove(v + at + 1, v + at, (*n - at) * sizeof *v);
	v[at] = *b;
	*n += 1;
}

void gw_consumer_inherit(const struct gw_snapshot *s, struct gw_consumer *c, struct gw_arena *a)
{
	const struct gw_group **in = c->groups.n ? gw_arena_array(a, c->groups.n, sizeof *in) : NULL;
	struct gw_bindings only = c->plugins;
	size_t sum = c->plugins.n, n = 0, lists = c->plugins.n > 0;
	for (size_t i = 0; i < c->groups.n; i++) {
		const struct gw_group *g = gw_snapshot_group(s, c->groups.v[i]);
		if (!g)
			continue;
		in[c->n_in++] = g;
		sum += g->plugins.n;
		lists += g->plugins.n > 0;
		if (g->plugins.n)
			only = g->plugins;
	}
	c->in = in;
	c->inherited = c->plugins.n ? c->plugins : only;
	if (lists <= 1)
		return;
	struct gw_binding *v = gw_arena_array(a, sum, sizeof *v);
	for (size_t i = 0; i < c->plugins.n; i++)
		inherit_one(v, &n, &c->plugins.v[i]);
	for (size_t i = 0; i < c->n_in; i++)
		for (size_t k = 0; k < c->in[i]->plugins.n; k++)
			inherit_one(v, &n, &c->in[i]->plugins.v[k]);
	c->inherited = (struct gw_bindings){ v, n };
}

static bool names(const struct gw_str *v, size_t n, struct gw_str name)
{
	for (size_t i = 0; i < n; i++)
		if (gw_str_eq(v[i], name))
			return true;
	return false;
}

const struct gw_consumer *gw_consumer_in_groups(const struct gw_snapshot *s, const struct gw_consumer *c,
    const struct gw_str *groups, size_t n, struct gw_arena *a)
{
	GW_CHECK(s, GW_SNAPSHOT_MAGIC);
	struct gw_consumer *out = gw_arena_alloc(a, sizeof *out);
	struct gw_str *all = gw_arena_array(a, c->groups.n + TOKEN_GROUPS_MAX, sizeof *all);
	size_t k = 0;
	for (; k < c->groups.n; k++)
		all[k] = c->groups.v[k];
	for (size_t i = 0; i < n && k < c->groups.n + TOKEN_GROUPS_MAX; i++) {
		const struct gw_group *g = gw_snapshot_group(s, groups[i]);
		if (g && !names(all, k, g->name))
			all[k++] = g->name;
	}
	*out = *c;
	out->groups = (struct gw_strv){ all, k };
	out->in = NULL;
	out->n_in = 0;
	gw_consumer_inherit(s, out, a);
	return out;
}
