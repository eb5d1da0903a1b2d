/*
 * code.h - the gateway's own refusals, as one enumeration.
 *
 * The table is proto/tbl/errors.def.  Every pure parser that can refuse a peer fills a dp_refusal: the code decides
 * the HTTP status and the machine-readable word, the text is one sentence for the person who must mend the request.
 */
#ifndef DP_HTTP_CODE_H
#define DP_HTTP_CODE_H

#include "base/gw.h"

enum dp_code {
#define X(code, status, type, wire, doc) DP_E_##code,
#include "tbl/errors.def"
#undef X
	DP_E_COUNT
};

unsigned dp_code_status(enum dp_code c);      /* 400 */
const char *dp_code_type(enum dp_code c);     /* "invalid_request_error"; static */
const char *dp_code_wire(enum dp_code c);     /* "invalid_json"; static */
const char *dp_code_doc(enum dp_code c);      /* one general sentence; static */

/* Filled by a failing call; untouched on success.  `text` holds no secret and no newline. */
struct dp_refusal {
	enum dp_code code;
	char text[240];
};

/* Fill *r (NULL allowed); returns false, so that `return dp_refuse(...)` reads well. */
bool dp_refuse(struct dp_refusal *r, enum dp_code code, const char *fmt, ...) GW_PRINTF(3, 4);

#endif
