/*
 * prices.c - what models cost: an operator's objects over the seed's, tables in and out, and a calculation to try.
 */
#include "api/csv.h"
#include "api/internal.h"
#include "compile/model.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_IMPORT 5000
#define MAX_DOCUMENT 65536u    /* bytes of a cell that holds JSON */

static const char *const rates[] = {
#define X(name) #name,
	GW_RATE_TABLE(X)
#undef X
};

/* ---- the seed ---- */

/* The seed as {"date","sources","prices"}, each price complete as a body; owned. */
static json_t *seed_open(struct cp_ctx *x)
{
	json_t *doc = NULL, *o;
	size_t i;
	if (gw_json_parse(&doc, gw_price_seed(), 1 << 20, NULL) != GW_OK)
		return json_object();
	json_array_foreach(json_object_get(doc, "prices"), i, o)
		cp_contract_check(x->api->contract, cp_contract_schema(x->api->contract, "PriceWrite"), o, x->faults);
	return doc;
}

static json_t *seed_view(const json_t *spec)
{
	json_t *o = json_copy((json_t *)spec);
	json_object_set_new(o, "source", json_string("seed"));
	json_object_set_new(o, "created_at", json_null());
	json_object_set_new(o, "updated_at", json_null());
	json_object_set_new(o, "revision", json_null());
	return o;
}

static const json_t *seed_find(const json_t *doc, struct gw_str name)
{
	size_t i;
	json_t *o;
	json_array_foreach(json_object_get(doc, "prices"), i, o)
		if (gw_str_eq(gw_json_str(json_object_get(o, "name")), name))
			return o;
	return NULL;
}

/* ---- lists ---- */

struct gather { struct cp_ctx *x; struct cp_txn *t; json_t *items, *names; bool failed; struct gw_error *err; };

static bool covers(const json_t *spec, struct gw_str model)
{
	size_t i;
	json_t *m;
	json_array_foreach(json_object_get(spec, "models"), i, m) {
		struct gw_str p = gw_json_str(m);
		bool star = p.n > 0 && p.p[p.n - 1] == '*';
		if (star ? gw_str_starts(model, (struct gw_str){ p.p, p.n - 1 }) : gw_str_eq(p, model))
			return true;
	}
	return false;
}

static bool has_text(const json_t *spec, struct gw_str q)
{
	size_t i;
	json_t *m;
	static const char *const members[] = { "name", "description", "provider", "provider_type" };
	for (i = 0; i < GW_COUNT(members); i++) {
		struct gw_str s = gw_json_str(json_object_get(spec, members[i]));
		if (s.n > 0 && cp_contains_nocase(s, q))
			return true;
	}
	json_array_foreach(json_object_get(spec, "models"), i, m)
		if (cp_contains_nocase(gw_json_str(m), q))
			return true;
	return false;
}

static bool wanted(struct cp_ctx *x, const json_t *spec)
{
	struct gw_str q = cp_query_text(x, "q"), model = cp_query_text(x, "model");
	return (q.n == 0 || has_text(spec, q)) && (model.n == 0 || covers(spec, model));
}

static bool add_own(void *arg, const struct cp_record *r)
{
	struct gather *g = arg;
	json_t *o = cp_view(g->x, g->t, r, g->err);
	g->failed = o == NULL;
	if (g->failed)
		return false;
	json_object_setn_new(g->names, r->name.p, r->name.n, json_true());
	if (!gw_str_is(cp_query_text(g->x, "source"), "seed") && wanted(g->x, o))
		json_array_append(g->items, o);
	json_decref(o);
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "name")),
		      json_string_value(json_object_get(*(json_t *const *)b, "name")));
}

/* All that are asked for, sorted by name; owned.  NULL: *err. */
static json_t *gather(struct cp_ctx *x, const json_t *seed, struct gw_error *err)
{
	struct gather g = { .x = x, .items = json_array(), .names = json_object(), .err = err };
	size_t i, n;
	json_t *o, *sorted = json_array();
	enum gw_rc rc = cp_txn_begin(&g.t, x->app->store, err);
	if (rc == GW_OK)
		rc = cp_each(g.t, GW_KIND_PRICE, GW_STR_NONE, add_own, &g, err);
	cp_txn_end(&g.t);
	if (!gw_str_is(cp_query_text(x, "source"), "operator"))
		json_array_foreach(json_object_get(seed, "prices"), i, o)
			if (json_object_get(g.names, json_string_value(json_object_get(o, "name"))) == NULL && wanted(x, o))
				json_array_append_new(g.items, seed_view(o));
	n = json_array_size(g.items);
	json_t **v = gw_alloc((n + 1) * sizeof *v);
	for (i = 0; i < n; i++)
		v[i] = json_array_get(g.items, i);
	qsort(v, n, sizeof *v, by_name);
	for (i = 0; i < n; i++)
		json_array_append(sorted, v[i]);
	free(v);
	json_decref(g.items);
	json_decref(g.names);
	if (rc == GW_OK && !g.failed)
		return sorted;
	json_decref(sorted);
	return NULL;
}

/* What a cell holds as JSON: tiers and times of day, and labels. */
static const char *const documents[] = { "variants", "labels" };

static void add_document(struct gw_buf *b, const json_t *v)
{
	char *text = json_array_size(v) > 0 || json_object_size(v) > 0 ? json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (text != NULL)
		cp_csv_text(b, gw_str_c(text));
	free(text);
}

static void answer_csv(struct cp_ctx *x, const json_t *items)
{
	static const char *const texts[] = { "name", "provider", "provider_type", "currency", "valid_from", "description", "enabled" };
	struct gw_buf *b = &x->rs->body;
	size_t i, k;
	json_t *o, *m;
	gw_buf_add_c(b, "models");
	for (k = 0; k < GW_COUNT(texts); k++)
		gw_buf_printf(b, ",%s", texts[k]);
	for (k = 0; k < GW_COUNT(rates); k++)
		gw_buf_printf(b, ",%s", rates[k]);
	for (k = 0; k < GW_COUNT(documents); k++)
		gw_buf_printf(b, ",%s", documents[k]);
	gw_buf_add_c(b, "\r\n");
	json_array_foreach((json_t *)items, i, o) {
		struct gw_buf models;
		gw_buf_init(&models, 1 << 16);
		json_array_foreach(json_object_get(o, "models"), k, m) {
			if (k > 0)
				gw_buf_add_byte(&models, ' ');
			gw_buf_add(&models, gw_json_str(m));
		}
		cp_csv_text(b, gw_buf_str(&models));
		gw_buf_fini(&models);
		for (k = 0; k < GW_COUNT(texts); k++) {
			gw_buf_add_byte(b, ',');
			cp_csv_cell(b, json_object_get(o, texts[k]));
		}
		for (k = 0; k < GW_COUNT(rates); k++) {
			json_t *rate = json_object_get(json_object_get(o, "rates"), rates[k]);
			gw_buf_add_byte(b, ',');
			if (json_is_integer(rate))
				cp_csv_micro(b, json_integer_value(rate));
		}
		for (k = 0; k < GW_COUNT(documents); k++) {
			gw_buf_add_byte(b, ',');
			add_document(b, json_object_get(o, documents[k]));
		}
		gw_buf_add_c(b, "\r\n");
	}
	x->rs->content_type = "text/csv; charset=utf-8";
}

void cp_api_list_prices(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	struct gw_str cursor = cp_query_text(x, "cursor");
	size_t limit = (size_t)cp_query_int(x, "limit", 50), i;
	json_t *seed = seed_open(x), *all = gather(x, seed, &err), *o, *items = json_array();
	const char *next = NULL;
	if (all == NULL) {
		cp_problem_error(x, &err);
	} else if (gw_str_is(cp_query_text(x, "format"), "csv")) {
		answer_csv(x, all);
	} else {
		json_array_foreach(all, i, o) {
			struct gw_str name = gw_json_str(json_object_get(o, "name"));
			if (cursor.n > 0 && gw_str_cmp(name, cursor) <= 0)
				continue;
			if (json_array_size(items) == limit) {
				next = gw_arena_c(x->a, gw_json_str(json_object_get(json_array_get(items, limit - 1), "name")));
				break;
			}
			json_array_append(items, o);
		}
		json_t *page = cp_list_json(items, next, (int64_t)json_array_size(all)), *about = json_object();
		json_object_set(about, "date", json_object_get(seed, "date"));
		json_object_set(about, "sources", json_object_get(seed, "sources"));
		json_object_set_new(page, "seed", about);
		items = NULL;
		cp_answer(x, 200, page);
	}
	json_decref(items);
	json_decref(all);
	json_decref(seed);
}

/* ---- one ---- */

void cp_api_create_price(struct cp_ctx *x) { cp_create(x, GW_KIND_PRICE); }
void cp_api_replace_price(struct cp_ctx *x) { cp_write(x, GW_KIND_PRICE, x->param[0], false, true); }
void cp_api_patch_price(struct cp_ctx *x) { cp_write(x, GW_KIND_PRICE, x->param[0], true, false); }
void cp_api_delete_price(struct cp_ctx *x) { cp_remove(x, GW_KIND_PRICE, x->param[0]); }

void cp_api_get_price(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct cp_record r;
	struct gw_error err = { 0 };
	enum gw_rc rc = cp_txn_begin(&t, x->app->store, &err);
	if (rc == GW_OK)
		rc = cp_get(t, GW_KIND_PRICE, x->param[0], x->a, &r, NULL);
	cp_txn_end(&t);
	json_t *seed = rc == GW_NOTFOUND ? seed_open(x) : NULL;
	const json_t *found = seed_find(seed, x->param[0]);
	if (found != NULL)
		cp_answer(x, 200, seed_view(found));
	else
		cp_read(x, GW_KIND_PRICE, x->param[0]);
	json_decref(seed);
}

/* ---- many ---- */

static bool stands_in(const char *const *names, size_t n, struct gw_str name)
{
	for (size_t i = 0; i < n; i++)
		if (gw_str_is(name, names[i]))
			return true;
	return false;
}

/* A cell with a document: into `o`, or a fault. */
static void read_document(struct cp_ctx *x, json_t *o, const char *member, struct gw_str text, size_t line)
{
	struct gw_error err = { 0 };
	char path[64];
	json_t *v;
	if (gw_json_parse(&v, text, MAX_DOCUMENT, &err) == GW_OK) {
		json_object_set_new(o, member, v);
		return;
	}
	snprintf(path, sizeof path, "/csv/%zu/%.24s", line, member);
	cp_fault_add(x->faults, path, "bad_format", "%s must be JSON as the export writes it: %s", member, err.text);
}

/* One row of a table as a body; faults go to x->faults. */
static json_t *row_json(struct cp_ctx *x, const json_t *head, const json_t *row, size_t line)
{
	json_t *o = json_object(), *r = json_object(), *cell;
	char path[64];
	size_t i;
	json_array_foreach((json_t *)row, i, cell) {
		struct gw_str name = gw_str_trim(gw_json_str(json_array_get(head, i))), v = gw_str_trim(gw_json_str(cell));
		const char *member = gw_arena_c(x->a, name);
		int64_t micro;
		if (v.n == 0)
			continue;
		if (stands_in(documents, GW_COUNT(documents), name)) {
			read_document(x, o, member, v, line);
		} else if (stands_in(rates, GW_COUNT(rates), name)) {
			snprintf(path, sizeof path, "/csv/%zu/%.24s", line, member);
			if (cp_csv_micro_parse(v, &micro))
				json_object_set_new(r, member, json_integer(micro));
			else
				cp_fault_add(x->faults, path, "bad_format", "a rate must be a decimal number such as 0.15, with at most six digits "
					     "behind the point");
		} else if (gw_str_is(name, "models")) {
			json_t *models = json_array();
			while (v.n > 0) {
				struct gw_str m = gw_str_cut(&v, ' ');
				if (m.n > 0)
					json_array_append_new(models, cp_text_json(m));
			}
			json_object_set_new(o, "models", models);
		} else if (gw_str_is(name, "enabled")) {
			json_object_set_new(o, "enabled", json_boolean(!gw_str_ieq(v, GW_STR("false"))));
		} else {
			json_object_set_new(o, member, cp_text_json(v));
		}
	}
	json_object_set_new(o, "rates", r);
	return o;
}

/* The prices to import as bodies, checked; owned.  NULL: x->faults. */
static json_t *imported(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	json_t *list = json_object_get(x->body, "prices"), *out = json_array(), *row, *seen = json_object();
	struct gw_str csv = gw_json_str(json_object_get(x->body, "csv"));
	size_t i;
	if ((list != NULL) == (csv.p != NULL)) {
		cp_fault_add(x->faults, "/prices", "conflict", "give either prices or csv");
	} else if (list != NULL) {
		json_array_extend(out, list);
	} else {
		json_t *rows = cp_csv_parse(csv, MAX_IMPORT, &err);
		if (rows == NULL)
			cp_fault_add(x->faults, err.path, "malformed", "%s", err.text);
		for (i = 1; i < json_array_size(rows); i++)
			json_array_append_new(out, row_json(x, json_array_get(rows, 0), json_array_get(rows, i), i));
		json_decref(rows);
	}
	json_array_foreach(out, i, row) {
		json_t *faults = json_array(), *f;
		size_t k;
		char path[320];
		const char *name;
		if (list == NULL)
			cp_contract_check(x->api->contract, cp_contract_schema(x->api->contract, "PriceWrite"), row, faults);
		json_array_foreach(faults, k, f) {
			snprintf(path, sizeof path, "/%s/%zu%s", list ? "prices" : "csv", i + (list == NULL),
				 json_string_value(json_object_get(f, "path")));
			json_object_set_new(f, "path", json_string(path));
			json_array_append(x->faults, f);
		}
		name = json_string_value(json_object_get(row, "name"));
		if (name != NULL && json_object_get(seen, name) != NULL)
			cp_fault_add(x->faults, list ? "/prices" : "/csv", "duplicate", "\"%.63s\" stands there twice", name);
		if (name != NULL)
			json_object_set_new(seen, name, json_true());
		json_decref(faults);
	}
	json_decref(seen);
	if (json_array_size(x->faults) == 0)
		return out;
	json_decref(out);
	return NULL;
}

void cp_api_import_prices(struct cp_ctx *x)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	struct cp_written w;
	json_int_t created = 0, replaced = 0;
	size_t i;
	json_t *o, *list = imported(x);
	if (list == NULL) {
		cp_problem_faults(x);
		return;
	}
	enum gw_rc rc = cp_change_begin(&c, x->app->store, &x->actor, "import", &err);
	json_array_foreach(list, i, o) {
		struct cp_record old;
		if (rc != GW_OK)
			break;
		struct gw_str name = gw_arena_copy(x->a, gw_json_str(json_object_get(o, "name")));
		bool there = cp_get(cp_change_view(c), GW_KIND_PRICE, name, x->a, &old, NULL) == GW_OK;
		json_object_del(o, "name");
		rc = cp_put_spec(x, c, GW_KIND_PRICE, name, o, CP_ANY, &err);
		created += !there;
		replaced += there;
	}
	json_decref(list);
	if (rc != GW_OK) {
		cp_change_abort(&c);
		cp_problem_error(x, &err);
		return;
	}
	if (!cp_finish(x, &c, NULL, &w))
		return;
	if (!x->dry_run)
		cp_revision_header(x, w.revision);
	o = json_object();
	json_object_set_new(o, "created", json_integer(created));
	json_object_set_new(o, "replaced", json_integer(replaced));
	json_object_set_new(o, "warnings", w.warnings);
	cp_answer(x, 200, o);
}

/* ---- what would it cost? ---- */

static int64_t number(struct cp_ctx *x, const char *name)
{
	return json_integer_value(json_object_get(x->body, name));
}

static json_t *quote(const struct gw_price *p, const struct gw_charge *c)
{
	struct gw_cost_part parts[GW_COST_PARTS];
	size_t n = p != NULL ? gw_price_parts(p, c, parts) : 0;
	json_t *o = json_object(), *list = json_array();
	json_object_set_new(o, "price", p != NULL ? cp_text_json(p->name) : json_null());
	json_object_set_new(o, "source", p != NULL ? json_string(p->seed ? "seed" : "operator") : json_null());
	json_object_set_new(o, "currency", p != NULL ? cp_text_json(p->currency) : json_null());
	json_object_set_new(o, "cost", json_integer(p != NULL ? gw_price_cost(p, c) : 0));
	for (size_t i = 0; i < n; i++) {
		json_t *part = json_object();
		json_object_set_new(part, "rate", json_string(parts[i].rate));
		json_object_set_new(part, "units", json_integer(parts[i].units));
		json_object_set_new(part, "micro", json_integer(parts[i].rate_micro));
		json_object_set_new(part, "cost", json_integer(parts[i].cost));
		json_array_append_new(list, part);
	}
	json_object_set_new(o, "parts", list);
	return o;
}

void cp_api_quote_price(struct cp_ctx *x)
{
	struct gw_snapshot *s = NULL;
	struct gw_error err = { 0 };
	struct gw_str provider = gw_json_str(json_object_get(x->body, "provider")), model = gw_json_str(json_object_get(x->body, "model"));
	struct gw_charge c = {
		.tokens = { .prompt = number(x, "prompt_tokens"), .cached = number(x, "cached_tokens"),
			    .cache_write = number(x, "cache_write_tokens"), .completion = number(x, "completion_tokens"),
			    .reasoning = number(x, "reasoning_tokens"), .cache_write_1h = number(x, "cache_write_1h_tokens"),
			    .audio_prompt = number(x, "audio_prompt_tokens"), .audio_completion = number(x, "audio_completion_tokens") },
		.images = number(x, "images"), .at_ms = gw_now_ms(),
	};
	(void)gw_time_parse(gw_json_str(json_object_get(x->body, "at")), &c.at_ms);
	enum gw_rc rc = cp_model_latest(x->app->model, &s, &err);
	const struct gw_provider *p = rc == GW_OK ? gw_snapshot_provider(s, provider) : NULL;
	if (rc != GW_OK)
		cp_problem_error(x, &err);
	else if (p == NULL)
		cp_problem(x, 404, "not-found", NULL, "there is no provider \"%.*s\"", GW_FMT(provider));
	else
		cp_answer(x, 200, quote(gw_price_find(s, p, model, c.at_ms), &c));
	gw_snapshot_unref(&s);
}
