/*
 * target.h - the request target taken apart, from its raw bytes.
 *
 * Pure.  Refused rather than repaired: absolute-form, fragments, empty and dot segments, encoded slashes and NULs,
 * control bytes, backslashes, broken percent signs, text that is not UTF-8, a query parameter given twice.
 */
#ifndef CP_HTTPD_TARGET_H
#define CP_HTTPD_TARGET_H

#include "httpd/httpd.h"

/* Fills path, segments and query of `rq` (arena: rq->arena).  On failure err->text is a sentence for the client. */
enum gw_rc cp_target_parse(struct cp_request *rq, struct gw_str raw, struct gw_error *err) GW_MUST_CHECK;

#endif
