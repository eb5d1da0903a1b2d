/* list.c - pages of objects: filtered, sorted, continued after the last one seen. */
#include "api/internal.h"

#include <stdlib.h>

#include "base/bytes.h"

struct item { struct gw_str name, sort; struct cp_record record; };

struct gather {
	struct cp_ctx *x;
	struct gw_str q, sort;           /* sort: member name without '-' */
	struct item *v;
	size_t n, cap;
};

/* The value to sort by, as text that compares bytewise. */
static struct gw_str sort_key(struct cp_ctx *x, const struct cp_record *r, struct gw_str by, const json_t *spec)
{
	if (gw_str_is(by, "created_at"))
		return gw_arena_printf(x->a, "%020lld", (long long)r->created_at_ms);
	if (gw_str_is(by, "updated_at"))
		return gw_arena_printf(x->a, "%020lld", (long long)r->updated_at_ms);
	if (gw_str_is(by, "type"))
		return gw_arena_copy(x->a, gw_json_str(json_object_get(spec, "type")));
	return gw_arena_copy(x->a, r->name);
}

static bool says(const struct gather *g, const json_t *text)
{
	struct gw_str s = gw_json_str(text);
	return s.p && cp_contains_nocase(s, g->q);
}

/* What a list shows of an object beside its name, and people therefore search for: the models of a route and where it goes
 * to, whose a quota is. */
static bool says_elsewhere(const struct gather *g, const json_t *spec)
{
	static const char *const whose[] = { "consumer", "group", "key" };
	size_t i;
	json_t *o;
	json_array_foreach(json_object_get(json_object_get(spec, "match"), "models"), i, o)
		if (says(g, json_object_get(o, "value")))
			return true;
	json_array_foreach(json_object_get(spec, "targets"), i, o)
		if (says(g, json_object_get(o, "provider")) || says(g, json_object_get(o, "model")))
			return true;
	for (i = 0; i < GW_COUNT(whose); i++)
		if (says(g, json_object_get(spec, whose[i])))
			return true;
	return false;
}

static bool wanted(const struct gather *g, const struct cp_record *r, const json_t *spec)
{
	struct gw_str rest = cp_query_text(g->x, "subject"), subject = rest.n > 0 ? gw_str_cut(&rest, ':') : GW_STR_NONE;
	if (subject.n > 0 && !gw_str_eq(gw_json_str(json_object_get(spec, gw_arena_c(g->x->a, subject))), rest))
		return false;
	/* The member `name` is of tokens, whose own name is an id. */
	return g->q.n == 0 || cp_contains_nocase(r->name, g->q) || says(g, json_object_get(spec, "description")) ||
	       says(g, json_object_get(spec, "name")) || says_elsewhere(g, spec);
}

static bool add(void *arg, const struct cp_record *r)
{
	struct gather *g = arg;
	struct gw_arena *a = g->x->a;
	json_t *spec = g->q.n > 0 || gw_str_is(g->sort, "type") || cp_query_text(g->x, "subject").n > 0 ? cp_spec_parse(r->spec) : NULL;
	if (wanted(g, r, spec)) {
		if (g->n == g->cap) {
			g->cap = g->cap ? 2 * g->cap : 64;
			g->v = gw_realloc(g->v, g->cap * sizeof *g->v);
		}
		struct item *i = &g->v[g->n++];
		i->record = *r;
		i->name = i->record.name = gw_arena_copy(a, r->name);
		i->record.spec = gw_arena_copy(a, r->spec);
		i->record.owner = i->record.ident = GW_STR_NONE;
		i->sort = sort_key(g->x, r, g->sort, spec);
	}
	json_decref(spec);
	return true;
}

static int item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = gw_str_cmp(x->sort, y->sort);
	return c != 0 ? c : gw_str_cmp(x->name, y->name);
}

/* A cursor is the last item's sort key and name. */
static const char *cursor_make(struct cp_ctx *x, const struct item *last)
{
	struct gw_buf b;
	struct gw_str text = gw_arena_printf(x->a, "%.*s\n%.*s", GW_FMT(last->sort), GW_FMT(last->name));
	gw_buf_init(&b, 4096);
	gw_b64_add(&b, text.p, text.n);
	const char *out = gw_arena_c(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return out;
}

static bool cursor_read(struct cp_ctx *x, struct gw_str text, struct item *out)
{
	struct gw_buf b;
	gw_buf_init(&b, 4096);
	bool ok = gw_b64_decode(&b, text);
	struct gw_str rest = gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	if (!ok)
		return false;
	out->sort = gw_str_cut(&rest, '\n');
	out->name = rest;
	return rest.p != NULL;
}

static void answer_page(struct cp_ctx *x, struct cp_txn *t, struct gather *g, bool reverse, const struct item *after)
{
	struct gw_error err = { 0 };
	size_t limit = (size_t)cp_query_int(x, "limit", 50);
	json_t *items = json_array();
	const struct item *last = NULL;
	bool more = false;
	for (size_t k = 0; k < g->n; k++) {
		const struct item *i = &g->v[reverse ? g->n - 1 - k : k];
		int order = after != NULL ? item_cmp(i, after) : 1;
		if (after != NULL && (reverse ? order >= 0 : order <= 0))
			continue;
		if (json_array_size(items) == limit) {
			more = true;
			break;
		}
		json_t *o = cp_view(x, t, &i->record, &err);
		if (o == NULL) {
			json_decref(items);
			cp_problem_error(x, &err);
			return;
		}
		json_array_append_new(items, o);
		last = i;
	}
	cp_answer(x, 200, cp_list_json(items, more ? cursor_make(x, last) : NULL, (json_int_t)g->n));
}

void cp_list(struct cp_ctx *x, enum gw_kind k)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	struct item after;
	struct gw_str sort = cp_query_text(x, "sort"), cursor = cp_query_text(x, "cursor");
	bool reverse = gw_str_starts(sort, GW_STR("-"));
	struct gather g = { .x = x, .q = cp_query_text(x, "q"), .sort = reverse ? gw_str_from(sort, 1) : sort };
	if (cursor.n > 0 && !cursor_read(x, cursor, &after)) {
		cp_fault_add(x->faults, "?cursor", "bad_format", "cursor must be the next_cursor of a page");
		cp_problem_faults(x);
		return;
	}
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_each(t, k, GW_STR_NONE, add, &g, &err);
	if (rc == GW_OK) {
		if (g.n > 1)
			qsort(g.v, g.n, sizeof *g.v, item_cmp);
		answer_page(x, t, &g, reverse, cursor.n > 0 ? &after : NULL);
	} else {
		cp_problem_error(x, &err);
	}
	cp_txn_end(&t);
	free(g.v);
}
