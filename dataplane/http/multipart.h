/*
 * multipart.h - finding one form field in a multipart/form-data body (RFC 7578) while it streams by.
 *
 * Audio and image endpoints carry `model` as a form field, wherever the client put it; the file parts beside it may
 * be large and stay untouched.  The scanner keeps no part but the wanted one (at most 256 bytes), and remembers where
 * its value stands, so that a mapped model can be spliced in.  Two fields of the watched name are refused, and any part of
 * which two readers may disagree what it is called.
 */
#ifndef DP_HTTP_MULTIPART_H
#define DP_HTTP_MULTIPART_H

#include "base/gw.h"

#define DP_MP_BOUNDARY_MAX 70    /* RFC 2046 5.1.1 */
#define DP_MP_VALUE_MAX    256
#define DP_MP_HEAD_MAX     4096  /* bytes of one part's header */
#define DP_MP_PARTS_MAX    256

enum dp_mp_state { DP_MP_MORE, DP_MP_DONE, DP_MP_BAD };

struct dp_multipart {
	const char *wanted;              /* borrowed, static: "model" */
	bool found;
	struct gw_str value;             /* points into the struct: do not move it */
	size_t value_at, value_n;        /* where the value stands in the body */
	const char *fault_text;          /* after BAD; reads after "the form "; static */
	bool duplicate;                  /* BAD because the field occurs twice, or a part is named twice */
	int64_t text_bytes;              /* bytes of fields that are not files: for estimates */

	/* the machine */
	uint8_t state;
	char boundary[DP_MP_BOUNDARY_MAX + 8]; size_t boundary_n;   /* "\r\n--" + boundary */
	size_t match, at, parts; bool lone;
	char head[DP_MP_HEAD_MAX]; size_t head_n;
	bool take, file;
	char value_buf[DP_MP_VALUE_MAX]; size_t value_fill;
};

/* false: no usable boundary parameter in this Content-Type. */
bool dp_multipart_init(struct dp_multipart *m, struct gw_str content_type, const char *wanted) GW_MUST_CHECK;
enum dp_mp_state dp_multipart_feed(struct dp_multipart *m, struct gw_str piece) GW_MUST_CHECK;
enum dp_mp_state dp_multipart_end(struct dp_multipart *m) GW_MUST_CHECK;

#endif
