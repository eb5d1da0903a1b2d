/*
 * fuzz_json_path.c - a member found, changed and taken out by its path, against jansson.
 *
 * Input: a path, a line feed, a document.  Of a document that the strict scanner takes, every change gives one that
 * jansson reads, in which the member is what was put in and everything else is as it was.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "codec/json_path.h"
#include "codec/json_scan.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *parse(struct gw_str text)
{
	struct gw_error err;
	json_t *v = NULL;

	return gw_json_parse(&v, text, 1 << 20, &err) == GW_OK ? v : NULL;
}

static bool scans(struct gw_str doc)
{
	static const struct gw_str names[] = { DP_SCAN_NAME("model") };
	struct dp_scan_member found[GW_COUNT(names)];
	struct dp_json_names seen;
	struct dp_scan s;
	bool ok;

	dp_json_names_init(&seen);
	dp_scan_init(&s, names, found, GW_COUNT(names));
	dp_scan_strict(&s, &seen);
	ok = dp_scan_feed(&s, doc) != DP_SCAN_BAD && dp_scan_end(&s) != DP_SCAN_BAD && s.fault == DP_SCAN_OK;
	dp_json_names_fini(&seen);
	return ok;
}

/* The object that holds the last name of the path, made where it is missing if `make`; NULL: something else is in the way. */
static json_t *holder(json_t *v, const char **path, bool make)
{
	for (;;) {
		size_t n = strcspn(*path, ".");
		json_t *next;

		if (!(*path)[n])
			return v;
		next = json_object_getn(v, *path, n);
		if (!next && make) {
			next = json_object();
			json_object_setn_new(v, *path, n, next);
		}
		if (!json_is_object(next))
			return NULL;
		v = next;
		*path += n + 1;
	}
}

/* `json` absent: taken out. */
static void change(struct gw_str doc, const char *path, const char *json)
{
	json_t *was = parse(doc), *is, *at;
	const char *last = path;
	struct gw_buf b;
	bool ok;

	if (!was)
		return; /* jansson knows more refusals: NUL in names, numbers out of range */
	gw_buf_init(&b, doc.n + 16384);
	gw_buf_add(&b, doc);
	ok = dp_path_change(&b, path, json ? gw_str_c(json) : GW_STR_NONE);
	is = parse(gw_buf_str(&b));
	at = holder(was, &last, json != NULL);
	if (ok && at && json)
		json_object_set_new(at, last, json_integer(7));
	else if (ok && at)
		json_object_del(at, last);
	if (!is || (ok && json && !at) || !json_equal(was, is))
		abort();
	if (!ok && (!json || at))
		abort();
	json_decref(was);
	json_decref(is);
	gw_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_str doc = { size ? (const char *)data : "", size }, first = gw_str_cut(&doc, '\n');
	struct dp_path p;
	char path[64];

	if (!doc.p || first.n >= sizeof path || memchr(first.p, '\0', first.n))
		return 0;
	for (size_t i = 0; i < first.n; i++)
		if (first.p[i] < 0x20 || first.p[i] > 0x7e) /* paths are written by us */
			return 0;
	memcpy(path, first.p, first.n);
	path[first.n] = '\0';
	(void)dp_path_find(doc, path, &p);
	if (!scans(doc))
		return 0;
	change(doc, path, "7");
	change(doc, path, NULL);
	return 0;
}
