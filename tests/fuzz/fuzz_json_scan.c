/*
 * fuzz_json_scan.c - the scanner against jansson: they agree on what is an object and on the model in it, at every
 * slicing; and the tolerant reader never leaves the text.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "codec/json_at.h"
#include "codec/json_scan.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct gw_str names[] = { DP_SCAN_NAME("model"), DP_SCAN_NAME("n") };

struct found { struct dp_scan_member m[GW_COUNT(names)]; };

static void scan(struct dp_scan *s, struct found *f, struct gw_str in, size_t piece, struct dp_json_names *strict)
{
	dp_scan_init(s, names, f->m, GW_COUNT(names));
	if (strict)
		dp_scan_strict(s, strict);
	for (size_t at = 0; at < in.n; at += piece)
		if (dp_scan_feed(s, (struct gw_str){ in.p + at, in.n - at < piece ? in.n - at : piece }) == DP_SCAN_BAD)
			break;
	(void)!dp_scan_end(s);
}

static void walk(struct dp_json v, unsigned depth)
{
	struct dp_json_iter it = dp_json_iter(v);
	int64_t ascii = 0, wide = 0, number;
	struct gw_buf b;

	gw_buf_init(&b, 1 << 20);
	dp_json_text(&b, v);
	gw_buf_fini(&b);
	dp_json_measure(v, &ascii, &wide);
	dp_json_int(v, 1000, &number);
	while (depth < 5 && dp_json_next(&it))
		walk(it.value, depth + 1);
}

/* Taken whole, a text is read in runs; byte by byte it goes through the machine.  Nobody may be able to tell which. */
static void same(const struct dp_scan *a, const struct dp_scan *b)
{
	if (a->fault != b->fault || a->at != b->at || a->fault_text != b->fault_text || a->object_end != b->object_end ||
	    a->empty != b->empty || memcmp(&a->stat, &b->stat, sizeof a->stat) != 0 ||
	    (a->duplicate.p != NULL) != (b->duplicate.p != NULL) || !gw_str_eq(a->duplicate, b->duplicate))
		abort();
	for (size_t i = 0; i < GW_COUNT(names); i++)
		if (a->member[i].type != b->member[i].type || a->member[i].at != b->member[i].at ||
		    a->member[i].n != b->member[i].n)
			abort();
}

/* A string that was found, decoded. */
static bool says(struct gw_str in, const struct dp_scan_member *m, struct gw_str text)
{
	struct gw_buf b;
	bool same;

	gw_buf_init(&b, 1 << 20);
	same = dp_json_text(&b, (struct dp_json){ m->type, { in.p + m->at, m->n } }) && gw_str_eq(gw_buf_str(&b), text);
	gw_buf_fini(&b);
	return same;
}

/* What both take must mean the same. */
static void compare(const struct dp_scan *s, struct gw_str in)
{
	const struct dp_scan_member *m = dp_scan_get(s, 0);
	struct gw_error err;
	json_t *v = NULL;

	if (gw_json_parse(&v, in, 1 << 24, &err) != GW_OK)
		return; /* jansson knows more refusals: duplicates at any depth, NUL in names, numbers out of range */
	if (s->fault == DP_SCAN_SYNTAX && json_is_object(v) && in.n < 400)
		abort();
	if (s->fault == DP_SCAN_OK) {
		json_t *model = json_object_get(v, "model");

		if ((m != NULL) != (model != NULL))
			abort();
		if (m && m->type == DP_J_STRING && !says(in, m, gw_json_str(model)))
			abort();
	}
	json_decref(v);
}

/* Strict: jansson refuses duplicates too, so what it takes may only be refused for its spelling or its size. */
static void compare_strict(struct gw_str in)
{
	static const size_t pieces[] = { 1, 2, 7, 20 };
	struct dp_json_names seen;
	struct dp_scan whole, cut;
	struct found f, g;
	struct gw_error err;
	json_t *v = NULL;

	dp_json_names_init(&seen);
	scan(&whole, &f, in, in.n + 1, &seen);
	dp_json_names_fini(&seen);
	for (size_t i = 0; i < GW_COUNT(pieces); i++) {
		scan(&cut, &g, in, pieces[i], &seen);
		dp_json_names_fini(&seen);
		same(&whole, &cut);
	}
	if (gw_json_parse(&v, in, 1 << 24, &err) != GW_OK)
		return;
	if (whole.fault == DP_SCAN_DUPLICATE || (whole.fault == DP_SCAN_SYNTAX && json_is_object(v) && in.n < 400))
		abort();
	json_decref(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 5, 17 };
	struct gw_str in = { size ? (const char *)data : "", size };
	struct dp_scan whole, cut;
	struct found f, g;

	scan(&whole, &f, in, size + 1, NULL);
	for (size_t i = 0; i < GW_COUNT(pieces); i++) {
		scan(&cut, &g, in, pieces[i], NULL);
		same(&whole, &cut);
	}
	compare(&whole, in);
	compare_strict(in);
	walk(dp_json_value(in), 0);
	return 0;
}
