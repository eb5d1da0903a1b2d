/*
 * field.h - configuration described as data.
 *
 * A table of gw_field is the only place where a setting's name, type, bounds, default and explanation exist.  From
 * it come: the parser that fills the C struct, the validator behind the admin API, catalog.json that draws the
 * console's form, and the reference manual.
 *
 *   struct conf { int64_t tokens, window; struct gw_str header; struct gw_strv allow; };
 *   static const struct gw_field fields[] = {
 *           GW_FIELD_INT(struct conf, tokens, "tokens", 1, INT64_MAX, 60000, "Tokens per window.", "每个窗口的令牌数。"),
 *           GW_FIELD_END
 *   };
 *
 * In JSON a field is a member of an object: durations are strings ("30s"), enumerations their words, a secret a string
 * or its sealed form (seal.h), a list an array of strings.  A list of objects has a table of its own for its entries,
 * one level deep and without secrets.
 *
 * What can be said in a table is checked by both planes; a module's `check` only runs where the module is linked, so a
 * rule that a table can express (a network, a regex, "needed when that is this") belongs into the table.
 */
#ifndef GW_PROTO_FIELD_H
#define GW_PROTO_FIELD_H

#include "base/arena.h"
#include "base/gw.h"
#include "base/ipnet.h"
#include "json.h"

#define GW_FIELD_TYPE_TABLE(X)                                               \
	X(BOOL,   "bool",      "int64_t, 0 or 1")                            \
	X(INT,    "int",       "int64_t within [min,max]")                   \
	X(MS,     "duration",  "int64_t milliseconds, written \"30s\"")      \
	X(TEXT,   "text",      "struct gw_str, at most max bytes")           \
	X(SECRET, "secret",    "struct gw_str, never logged or echoed")      \
	X(ENUM,   "enum",      "int64_t index into options")                 \
	X(LIST,   "text_list", "struct gw_strv, at most max entries")        \
	X(REGEX,  "regex",     "struct gw_pattern, at most max bytes")       \
	X(NETS,   "network_list", "struct gw_netv, at most max entries")     \
	X(OBJECTS, "object_list", "struct gw_objects, at most max entries")
enum gw_field_type {
	GW_T_END = 0,
#define X(name, text, c) GW_T_##name,
	GW_FIELD_TYPE_TABLE(X)
#undef X
	GW_T_COUNT
};

#define GW_F_REQUIRED 0x1u
#define GW_F_NEEDED   0x2u          /* must not be empty when `when` holds */

struct gw_strv { const struct gw_str *v; size_t n; };
struct gw_netv { const struct gw_net *v; size_t n; };
/* A regular expression, anchored at both ends; text absent or empty: none. */
struct gw_pattern { struct gw_str text; const void *compiled; };
/* n structs of the field's item_size. */
struct gw_objects { const void *v; size_t n; };
/* Does it match all of `s`?  One that runs into the limits of the matcher does not.  false when there is none. */
bool gw_pattern_matches(const struct gw_pattern *p, struct gw_str s);

struct gw_field {
	const char *name;           /* kebab-case for plugins, snake_case in API objects; stable for ever */
	enum gw_field_type type;
	unsigned flags;
	size_t offset;              /* into the module's conf struct */
	int64_t min, max, def;
	const char *def_text;       /* GW_T_TEXT: default, or NULL for "" */
	const char *const *options; /* GW_T_ENUM: NULL-terminated */
	const char *doc, *doc_zh;   /* end up in the console and the manual */
	/* "limit_by=header|query": matters only when that enum of the same table has one of these values; else NULL. */
	const char *when;
	const struct gw_field *fields; /* GW_T_OBJECTS: the table of an entry, and the size of its struct */
	size_t item_size;
	/* GW_T_LIST: what each entry must match as a whole (match.h), and in words, to follow "must be "; NULL: anything. */
	const char *pattern, *form;
};

/* offsetof() that refuses to compile when the member has another C type. */
#define GW_OFF(S, m, T) _Generic(&((S *)0)->m, T *: offsetof(S, m))

#define GW_FIELD_BOOL(S, m, nm, df, en, zh) \
	{ nm, GW_T_BOOL, 0, GW_OFF(S, m, int64_t), 0, 1, df, NULL, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
#define GW_FIELD_INT(S, m, nm, lo, hi, df, en, zh) \
	{ nm, GW_T_INT, 0, GW_OFF(S, m, int64_t), lo, hi, df, NULL, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
#define GW_FIELD_MS(S, m, nm, lo, hi, df, en, zh) \
	{ nm, GW_T_MS, 0, GW_OFF(S, m, int64_t), lo, hi, df, NULL, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
#define GW_FIELD_TEXT(S, m, nm, fl, hi, df, en, zh) \
	{ nm, GW_T_TEXT, fl, GW_OFF(S, m, struct gw_str), 0, hi, 0, df, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
#define GW_FIELD_SECRET(S, m, nm, fl, hi, en, zh) \
	{ nm, GW_T_SECRET, fl, GW_OFF(S, m, struct gw_str), 0, hi, 0, NULL, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
#define GW_FIELD_ENUM(S, m, nm, opts, df, en, zh) \
	{ nm, GW_T_ENUM, 0, GW_OFF(S, m, int64_t), 0, 0, df, NULL, opts, en, zh, NULL, NULL, 0, NULL, NULL }
#define GW_FIELD_LIST(S, m, nm, fl, hi, en, zh) \
	{ nm, GW_T_LIST, fl, GW_OFF(S, m, struct gw_strv), 0, hi, 0, NULL, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
/* A list of lines of one form. */
#define GW_FIELD_LINES(S, m, nm, fl, hi, pat, fm, en, zh) \
	{ nm, GW_T_LIST, fl, GW_OFF(S, m, struct gw_strv), 0, hi, 0, NULL, NULL, en, zh, NULL, NULL, 0, pat, fm }
#define GW_FIELD_REGEX(S, m, nm, hi, en, zh) \
	{ nm, GW_T_REGEX, 0, GW_OFF(S, m, struct gw_pattern), 0, hi, 0, NULL, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
#define GW_FIELD_NETS(S, m, nm, fl, hi, en, zh) \
	{ nm, GW_T_NETS, fl, GW_OFF(S, m, struct gw_netv), 0, hi, 0, NULL, NULL, en, zh, NULL, NULL, 0, NULL, NULL }
/* Entries are structs `Item`, read through `table`. */
#define GW_FIELD_OBJECTS(S, m, nm, hi, Item, table, en, zh) \
	{ nm, GW_T_OBJECTS, 0, GW_OFF(S, m, struct gw_objects), 0, hi, 0, NULL, NULL, en, zh, NULL, table, sizeof(Item), NULL, NULL }
/* The same with a condition, "limit_by=header|query". */
#define GW_FIELD_TEXT_WHEN(S, m, nm, fl, hi, cond, en, zh) \
	{ nm, GW_T_TEXT, fl, GW_OFF(S, m, struct gw_str), 0, hi, 0, NULL, NULL, en, zh, cond, NULL, 0, NULL, NULL }
#define GW_FIELD_NETS_WHEN(S, m, nm, fl, hi, cond, en, zh) \
	{ nm, GW_T_NETS, fl, GW_OFF(S, m, struct gw_netv), 0, hi, 0, NULL, NULL, en, zh, cond, NULL, 0, NULL, NULL }
#define GW_FIELD_END { NULL, GW_T_END, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL }

/*
 * Turns a sealed secret into its text (arena, wiped when the arena closes).  NULL means: secrets stay as they are, only
 * their form is checked; the conf then holds the sealed text itself, which is not empty and says nothing.
 */
struct gw_unseal {
	const uint8_t *key; /* 32 bytes, borrowed */
};

/*
 * Fill `conf` (zeroed, of the module's size) from `object`, defaults first.  Unknown members: refused when `strict`
 * (a person wrote them), else ignored and counted into *unknown (a newer control plane did).  Texts are arena.
 * On failure err->path is the pointer relative to `object` ("/window").
 */
enum gw_rc gw_fields_read(const struct gw_field *fields, const json_t *object, bool strict,
                          const struct gw_unseal *unseal, struct gw_arena *a, void *conf,
                          size_t *unknown, struct gw_error *err) GW_MUST_CHECK;
void gw_fields_defaults(const struct gw_field *fields, void *conf);
const char *gw_field_type_name(enum gw_field_type t); /* "duration"; static */
/*
 * The table as it stands in catalog.json: [{"name","type","required","min","max","default","options","doc":{en,zh}}],
 * with "when":{"field","values","needed"} and "fields":[…] where it has them.
 */
json_t *gw_fields_json(const struct gw_field *fields); /* owned: json_decref */

/*
 * All field tables by module.  A worker makes it from the plugins and provider types linked into it; the control
 * plane reads it back from catalog.json, which that same worker printed at build time.  Two catalogues of the same
 * build are equal; a control plane and worker of different builds differ, and unknown members are then ignored.
 */
struct gw_catalog;

struct gw_module {
	const char *name;           /* "token-ratelimit", "deepseek" */
	const struct gw_field *fields;
	size_t conf_size;
	/* Rules that span fields; pure; NULL: none.  Only known in the process that links the module. */
	enum gw_rc (*check)(const void *conf, struct gw_error *err);
	json_t *about;              /* everything else that catalog.json says of it: rank, labels, default base_url… */
};

#define GW_CATALOG_SETS(X) X(PLUGINS, "plugins") X(PROVIDER_TYPES, "provider_types")
enum gw_catalog_set {
#define X(name, text) GW_CAT_##name,
	GW_CATALOG_SETS(X)
#undef X
	GW_CAT_COUNT
};

struct gw_catalog *gw_catalog_open(void);                 /* owned: gw_catalog_close() */
void gw_catalog_close(struct gw_catalog **c);             /* consumed; NULL is fine */
/* The module's `about` is consumed (may be NULL); name and fields are borrowed for the catalogue's life. */
void gw_catalog_add(struct gw_catalog *c, enum gw_catalog_set set, const struct gw_module *m);
const struct gw_module *gw_catalog_find(const struct gw_catalog *c, enum gw_catalog_set set, struct gw_str name);
const struct gw_module *gw_catalog_at(const struct gw_catalog *c, enum gw_catalog_set set, size_t i); /* NULL past the end */
/* {"format":1,"plugins":[{about…,"name","fields":[…]}],"provider_types":[…]}, in the order added. */
json_t *gw_catalog_json(const struct gw_catalog *c);      /* owned */
enum gw_rc gw_catalog_parse(struct gw_catalog **out, struct gw_str json, struct gw_error *err) GW_MUST_CHECK;

#endif
