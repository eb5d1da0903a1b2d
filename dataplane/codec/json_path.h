/*
 * json_path.h - one member of a JSON document by its path, and the bytes that would change it.
 *
 * For requests, whose names may be written in escapes: they are compared decoded, so that "temper\u0061ture" is
 * `temperature` here as it is for a provider.  Nothing is built; the document must have been scanned (json_scan.h), so
 * it is well-formed and no object has a name twice.
 */
#ifndef DP_CODEC_JSON_PATH_H
#define DP_CODEC_JSON_PATH_H

#include "codec/json_at.h"

struct dp_path {
	struct dp_json value;            /* type NONE: it is not there */
	size_t at;                       /* of the value, in the document */
	size_t cut_at, cut_n;            /* bytes that take the member out, with a comma that goes */
	/* where it could be put: behind the brace of the deepest object on its way that is there */
	bool can_insert;
	size_t insert_at;
	bool insert_into_empty;
	const char *rest;                /* what of the path is missing there: "reasoning.effort", "effort" */
};

/* `path` is names joined by dots.  false: the document is no object. */
bool dp_path_find(struct gw_str doc, const char *path, struct dp_path *out);

/*
 * Replace `n` bytes at `at` of the buffer by `with`, in place.  false: that does not fit under its ceiling.
 */
bool dp_path_splice(struct gw_buf *doc, size_t at, size_t n, struct gw_str with);
/* Set the member to `json` or, when that is absent, take it out.  false: no room, or something else stands in the way. */
bool dp_path_change(struct gw_buf *doc, const char *path, struct gw_str json);

#endif
