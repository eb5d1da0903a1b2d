/*
 * schema.h - the JSON Schema subset of the document, for contract.c only.
 */
#ifndef CP_VALIDATE_SCHEMA_H
#define CP_VALIDATE_SCHEMA_H

#include "base/map.h"
#include "json.h"

struct cp_schemas {
	json_t *document;        /* owned */
	struct gw_map *patterns; /* pattern text → compiled; owned */
};

/* Compile every pattern and check every $ref and keyword below `document`. */
enum gw_rc cp_schemas_prepare(struct cp_schemas *s, struct gw_error *err) GW_MUST_CHECK;
void cp_schemas_fini(struct cp_schemas *s);
/* Follow "$ref" until there is none. */
const json_t *cp_schema_resolve(const struct cp_schemas *s, const json_t *schema);
/* See cp_contract_check(); `path` is what stands before every pointer. */
void cp_schema_check(const struct cp_schemas *s, const json_t *schema, json_t *value, const char *path, json_t *faults);

#endif
