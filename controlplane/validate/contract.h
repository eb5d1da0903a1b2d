/*
 * contract.h - the API's document (openapi.json) as the thing that is enforced.
 *
 * Paths, methods, roles, parameters, bodies and defaults are read from it, so implementation and document cannot
 * drift apart.  The part of JSON Schema understood here is what the document uses; an unknown keyword, a pattern that
 * does not compile or a dangling $ref is refused when the document is opened.
 *
 * Read-only afterwards and safe from any thread.
 */
#ifndef CP_VALIDATE_CONTRACT_H
#define CP_VALIDATE_CONTRACT_H

#include "base/arena.h"
#include "base/gw.h"
#include "httpd/httpd.h"
#include "json.h"

struct cp_contract;

struct cp_operation {                    /* lives as long as the contract */
	const char *id;                  /* "create_provider" */
	const char *method;              /* "POST" */
	const char *path;                /* "/api/v1/providers/{name}" */
	const char *role;                /* x-role: none viewer operator admin */
	struct gw_str segment[CP_PATH_SEGMENTS]; size_t n_segments; /* "{name}" for a parameter */
	const json_t *body;              /* schema of the request body; NULL: none is taken */
	bool body_required, takes_merge_patch;
	const json_t *parameters;        /* array, $ref resolved */
	size_t index;                    /* its place, 0 … count-1 */
};

enum gw_rc cp_contract_open(struct cp_contract **out, struct gw_str json, struct gw_error *err) GW_MUST_CHECK;
void cp_contract_close(struct cp_contract **c);
size_t cp_contract_count(const struct cp_contract *c);
const struct cp_operation *cp_contract_at(const struct cp_contract *c, size_t i);
const json_t *cp_contract_document(const struct cp_contract *c);         /* borrowed */
const json_t *cp_contract_schema(const struct cp_contract *c, const char *name); /* components/schemas; NULL: none */

/*
 * Which operation is meant?  A path of more literal segments hides one with parameters, for all methods.  NULL when there is none; `allow` then holds the
 * methods that the path takes ("GET, PUT"), or "" when the path is unknown.
 */
const struct cp_operation *cp_contract_match(const struct cp_contract *c, struct gw_str method,
                                             const struct gw_str *segments, size_t n, char allow[64]);

/* Query parameters with their types and defaults as one object (owned).  Faults have the path "?name". */
json_t *cp_contract_query(const struct cp_contract *c, const struct cp_operation *op, const struct cp_pair *query,
                          size_t n, json_t *faults);

/*
 * Check `value` against `schema` and complete it in place: members that are read-only are taken out, absent ones with
 * a default are put in, objects of optional members are made.  Every fault goes to `faults` (at most 100):
 * {"path":"/targets/0/weight","code":"out_of_range","message":"…"}.
 */
void cp_contract_check(const struct cp_contract *c, const json_t *schema, json_t *value, json_t *faults);

/* Add one fault; `path` is a JSON pointer, `code` one of the document's. */
void cp_fault_add(json_t *faults, const char *path, const char *code, const char *fmt, ...) GW_PRINTF(4, 5);

#endif
