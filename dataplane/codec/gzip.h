/*
 * gzip.h - one text made small, whole, for those who are known to read it (RFC 1952).
 *
 * Pure.  For documents of our own, such as batches of spans; answers to clients are never compressed here.
 */
#ifndef DP_CODEC_GZIP_H
#define DP_CODEC_GZIP_H

#include "base/buf.h"

/* Appends `in` as one gzip member.  false: it does not fit `out`, whose content is as before then. */
bool dp_gzip(struct gw_str in, struct gw_buf *out);

#endif
