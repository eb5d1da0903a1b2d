/*
 * json.h - the door to jansson; nobody else includes it.
 *
 * jansson is for configuration, wire messages and other small documents.  Requests and answers of applications
 * never pass through it (it is 40 times slower than a scanner and rewrites numbers): see dataplane/codec.
 * Parsing here always refuses duplicate members, and is bounded in bytes, depth and nodes, because jansson's heap
 * grows up to 79 bytes for a byte of input.
 */
#ifndef GW_PROTO_JSON_H
#define GW_PROTO_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/gw.h"

#define GW_JSON_MAX_DEPTH 64

/* jansson 2.13 of Ubuntu 22.04 lacks the calls that take a key's length; json.c has them then. */
#if JANSSON_VERSION_HEX < 0x020e00
#define json_object_getn     gw_json_object_getn
#define json_object_setn_new gw_json_object_setn_new
#define json_object_deln     gw_json_object_deln
json_t *json_object_getn(const json_t *o, const char *key, size_t n);
int json_object_setn_new(json_t *o, const char *key, size_t n, json_t *value);
int json_object_deln(json_t *o, const char *key, size_t n);
#endif

/* Once per process, before the first object: seeds jansson's hash from the kernel. */
void gw_json_setup(void);

/* *out is owned: json_decref().  err->text says line and column in plain words.  GW_TOOBIG above max_bytes. */
enum gw_rc gw_json_parse(json_t **out, struct gw_str text, size_t max_bytes, struct gw_error *err) GW_MUST_CHECK;

/* Compact; `sorted` gives the canonical form (members by name, no blanks, integers only as such). */
enum gw_rc gw_json_write(struct gw_buf *out, const json_t *v, bool sorted) GW_MUST_CHECK;

/*
 * Members with a type.  Absent or null: GW_OK, and *out stays as it was, so set it to the default before the call.
 * A wrong type or a number out of range: GW_INVALID with err->path "/name".  Texts are borrowed from `o`.
 */
enum gw_rc gw_json_text(const json_t *o, const char *name, struct gw_str *out, struct gw_error *err);
enum gw_rc gw_json_int(const json_t *o, const char *name, int64_t min, int64_t max, int64_t *out, struct gw_error *err);
enum gw_rc gw_json_bool(const json_t *o, const char *name, bool *out, struct gw_error *err);
struct gw_str gw_json_str(const json_t *v);                    /* {NULL,0} unless it is a string; borrowed from v */
/* An absent string becomes null; bytes that are not UTF-8 become U+FFFD. */
void gw_json_set_str(json_t *o, const char *name, struct gw_str s);
void gw_json_set_time(json_t *o, const char *name, int64_t unix_ms);  /* 0 gives null */

/* One member name as it stands in a JSON pointer (RFC 6901: ~ is ~0, / is ~1), cut off where it is too long. */
#define GW_POINTER_LEN 96
void gw_json_pointer(char out[GW_POINTER_LEN], struct gw_str name);

/* RFC 7396 merge patch: the result is new and owned; both inputs stay as they are. */
json_t *gw_json_merge(const json_t *target, const json_t *patch);

#endif
