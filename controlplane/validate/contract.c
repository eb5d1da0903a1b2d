/* contract.c - operations and parameters of the API document. */
#include "validate/contract.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "validate/schema.h"

#define CONTRACT_MAGIC 0x434f4e54u
#define MAX_DOCUMENT (4u << 20)

struct cp_contract {
	unsigned magic;
	struct gw_arena *arena;
	struct cp_schemas schemas;
	struct cp_operation *ops;
	size_t n, cap;
};

static const char *const methods[] = { "get", "post", "put", "patch", "delete" };

static void split_path(struct cp_operation *op)
{
	struct gw_str rest = gw_str_from(gw_str_c(op->path), 1);
	while (rest.p != NULL && op->n_segments < CP_PATH_SEGMENTS)
		op->segment[op->n_segments++] = gw_str_cut(&rest, '/');
}

static enum gw_rc add_operation(struct cp_contract *c, const char *path, const char *method, const json_t *o,
				const json_t *item, struct gw_error *err)
{
	const char *id = json_string_value(json_object_get(o, "operationId"));
	const char *role = json_string_value(json_object_get(o, "x-role"));
	const json_t *servers = json_object_get(o, "servers"), *p;
	size_t i;
	if (servers == NULL)
		servers = json_object_get(item, "servers");
	if (id == NULL || role == NULL)
		return gw_fail(err, GW_INVALID, NULL, "the API document has no operationId or x-role at %s %s", method, path);
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->ops = gw_realloc(c->ops, c->cap * sizeof *c->ops);
	}
	struct cp_operation *op = &c->ops[c->n];
	*op = (struct cp_operation){ .id = id, .role = role, .index = c->n++ };
	char *upper = gw_arena_c(c->arena, gw_str_c(method));
	for (char *u = upper; *u; u++)
		*u = (char)(*u & ~32);
	op->method = upper;
	op->path = gw_arena_printf(c->arena, "%s%s", servers != NULL ? "" : "/api/v1", path).p;
	split_path(op);
	const json_t *body = json_object_get(o, "requestBody");
	const json_t *content = json_object_get(body, "content"), *patch;
	op->body_required = json_is_true(json_object_get(body, "required"));
	op->body = json_object_get(json_object_get(content, "application/json"), "schema");
	patch = json_object_get(content, "application/merge-patch+json");
	op->takes_merge_patch = patch != NULL;
	json_t *resolved = json_array();
	gw_arena_defer(c->arena, (void (*)(void *))json_decref, resolved);
	json_array_foreach(json_object_get(o, "parameters"), i, p)
		json_array_append(resolved, (json_t *)cp_schema_resolve(&c->schemas, p));
	op->parameters = resolved;
	return GW_OK;
}

enum gw_rc cp_contract_open(struct cp_contract **out, struct gw_str json, struct gw_error *err)
{
	struct cp_contract *c = gw_alloc(sizeof *c);
	const char *path;
	json_t *item;
	*out = NULL;
	c->magic = CONTRACT_MAGIC;
	c->arena = gw_arena_open(4096);
	enum gw_rc rc = gw_json_parse(&c->schemas.document, json, MAX_DOCUMENT, err);
	if (rc == GW_OK)
		rc = cp_schemas_prepare(&c->schemas, err);
	if (rc == GW_OK) {
		json_object_foreach(json_object_get(c->schemas.document, "paths"), path, item)
			for (size_t m = 0; m < GW_COUNT(methods) && rc == GW_OK; m++) {
				const json_t *o = json_object_get(item, methods[m]);
				if (o != NULL)
					rc = add_operation(c, path, methods[m], o, item, err);
			}
	}
	if (rc == GW_OK && c->n == 0)
		rc = gw_fail(err, GW_INVALID, NULL, "the API document has no operation");
	if (rc == GW_OK)
		*out = c;
	else
		cp_contract_close(&c);
	return rc;
}

void cp_contract_close(struct cp_contract **contract)
{
	struct cp_contract *c = *contract;
	if (c == NULL)
		return;
	GW_CHECK(c, CONTRACT_MAGIC);
	gw_arena_close(&c->arena);
	cp_schemas_fini(&c->schemas);
	free(c->ops);
	c->magic = 0;
	free(c);
	*contract = NULL;
}

size_t cp_contract_count(const struct cp_contract *c)
{
	GW_CHECK(c, CONTRACT_MAGIC);
	return c->n;
}

const struct cp_operation *cp_contract_at(const struct cp_contract *c, size_t i)
{
	assert(i < c->n);
	return &c->ops[i];
}

const json_t *cp_contract_document(const struct cp_contract *c)
{
	return c->schemas.document;
}

const json_t *cp_contract_schema(const struct cp_contract *c, const char *name)
{
	const json_t *all = json_object_get(json_object_get(c->schemas.document, "components"), "schemas");
	return json_object_get(all, name);
}

/* Number of literal segments, or -1 when it does not fit. */
static int fits(const struct cp_operation *op, const struct gw_str *segments, size_t n)
{
	int literal = 0;
	if (op->n_segments != n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (op->segment[i].n > 0 && op->segment[i].p[0] == '{')
			continue;
		if (!gw_str_eq(op->segment[i], segments[i]))
			return -1;
		literal++;
	}
	return literal;
}

const struct cp_operation *cp_contract_match(const struct cp_contract *c, struct gw_str method,
					     const struct gw_str *segments, size_t n, char allow[64])
{
	const struct cp_operation *best = NULL;
	int most = -1;
	size_t used = 0;
	GW_CHECK(c, CONTRACT_MAGIC);
	allow[0] = 0;
	for (size_t i = 0; i < c->n; i++) {
		int literal = fits(&c->ops[i], segments, n);
		most = literal > most ? literal : most;
	}
	for (size_t i = 0; i < c->n && most >= 0; i++) {
		const char *name = c->ops[i].method;
		if (fits(&c->ops[i], segments, n) != most)
			continue;
		if (gw_str_is(method, name))
			best = &c->ops[i];
		if (used < 48)
			used += (size_t)snprintf(allow + used, 64 - used, "%s%s%s", used ? ", " : "", name,
						 strcmp(name, "GET") == 0 ? ", HEAD" : "");
	}
	return best;
}

/* ---- query parameters ---- */

static const json_t *find_parameter(const struct cp_operation *op, struct gw_str name)
{
	size_t i;
	json_t *p;
	json_array_foreach((json_t *)op->parameters, i, p)
		if (gw_str_is(gw_json_str(json_object_get(p, "in")), "query") &&
		    gw_str_eq(gw_json_str(json_object_get(p, "name")), name))
			return p;
	return NULL;
}

/* The text of a parameter as the type its schema names; a text that does not read so stays a text, and is refused. */
static json_t *typed(const json_t *schema, struct gw_str text)
{
	struct gw_str type = gw_json_str(json_object_get(schema, "type"));
	int64_t n;
	if (gw_str_is(type, "integer") && gw_str_int(text, 0, INT64_MAX, &n))
		return json_integer(n);
	if (gw_str_is(type, "boolean") && (gw_str_is(text, "true") || gw_str_is(text, "false")))
		return json_boolean(gw_str_is(text, "true"));
	return json_stringn(text.p, text.n);
}

json_t *cp_contract_query(const struct cp_contract *c, const struct cp_operation *op, const struct cp_pair *query,
			  size_t n, json_t *faults)
{
	json_t *out = json_object(), *p;
	size_t k;
	for (size_t i = 0; i < n; i++) {
		char path[80];
		const json_t *found = find_parameter(op, query[i].name);
		snprintf(path, sizeof path, "?%.*s", (int)(query[i].name.n < 64 ? query[i].name.n : 64), query[i].name.p);
		if (found == NULL) {
			cp_fault_add(faults, path, "unknown_member", "%s takes no query parameter \"%.*s\"", op->path,
				     (int)(query[i].name.n < 64 ? query[i].name.n : 64), query[i].name.p);
			continue;
		}
		const json_t *schema = cp_schema_resolve(&c->schemas, json_object_get(found, "schema"));
		json_t *value = typed(schema, query[i].value);
		cp_schema_check(&c->schemas, schema, value, path, faults);
		json_object_setn_new(out, query[i].name.p, query[i].name.n, value);
	}
	json_array_foreach((json_t *)op->parameters, k, p) {
		const char *name = json_string_value(json_object_get(p, "name"));
		const json_t *schema = cp_schema_resolve(&c->schemas, json_object_get(p, "schema"));
		const json_t *def = json_object_get(schema, "default");
		if (def != NULL && gw_str_is(gw_json_str(json_object_get(p, "in")), "query") && json_object_get(out, name) == NULL)
			json_object_set_new(out, name, json_deep_copy(def));
	}
	return out;
}

void cp_contract_check(const struct cp_contract *c, const json_t *schema, json_t *value, json_t *faults)
{
	GW_CHECK(c, CONTRACT_MAGIC);
	cp_schema_check(&c->schemas, schema, value, "", faults);
}
