/* The form field `model`, wherever it stands, at every slicing. */
#include "base/buf.h"
#include "base/str.h"
#include "dataplane/slices.h"
#include "http/multipart.h"
#include "unit.h"

#define TYPE "multipart/form-data; boundary=\"XX--y\""
#define FILE_PART "--XX--y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\n" \
	"RIFF\r\n--XX--\r\n\r\n--XX--z\r\r\n--\r\n"
#define MODEL "--XX--y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n"
#define LANG "--XX--y\r\ncontent-disposition: form-data; name=language\r\n\r\nzh\r\n"

static bool feed(void *arg, struct gw_str piece)
{
	return dp_multipart_feed(arg, piece) != DP_MP_BAD;
}

struct row { const char *in, *model; bool duplicate; };

START_TEST(fields)
{
	static const struct row rows[] = {
		{ MODEL "--XX--y--\r\n", "whisper-1", false },
		{ FILE_PART LANG MODEL "--XX--y--", "whisper-1", false },
		{ "preamble\r\n" LANG MODEL FILE_PART "--XX--y--\r\nepilogue --XX--y\r\n", "whisper-1", false },
		{ FILE_PART "--XX--y--\r\n", NULL, false },
		{ "--XX--y\r\nContent-Disposition: form-data; name=\"Model\"\r\n\r\nx\r\n--XX--y--", NULL, true },
		{ "--XX--y\r\nContent-Disposition: form-data; name=\" model\"\r\n\r\nx\r\n--XX--y--", NULL, true },
		{ "--XX--y\r\nContent-Disposition: attachment; name=\"model\"\r\n\r\nx\r\n--XX--y--", NULL, true },
		{ "--XX--y\r\nContent-Disposition: form-data; name=\"models\"\r\n\r\nx\r\n--XX--y--", NULL, false },
		{ "--XX--y  \r\nX: y\r\nContent-Disposition: form-data; name=\"mod\\el\"\r\n\r\nx\r\n--XX--y--", "x", false },
		{ "--XX--y\r\nContent-Disposition: form-data; name=model\r\n\r\n\r\n--XX--y--", "", false },
		{ MODEL LANG MODEL "--XX--y--", NULL, true },
		/* lines inside a part that begin like the boundary: no boundaries, and some take them for it */
		{ MODEL "--XX--y\r\n\r\na\n--XX--y--\r\n--XX--y--", NULL, true },
		{ MODEL "--XX--y\r\n\r\na\r--XX--y--\r\n--XX--y--", NULL, true },
		{ MODEL "--XX--y\r\n\r\na\r\n\n--XX--y--\r\n--XX--y--", NULL, true },
		{ MODEL "--XX--y\r\n\r\n--XX--y--", NULL, true },
		{ "a\n--XX--y\r\n" MODEL "--XX--y--", NULL, true },
		{ MODEL "--XX--y\r\n\r\n-\n--XX--\n-\r--XX--z\r\r-\n\r--XX\r\n-\r\n\r\n--XX--y--", "whisper-1", false },
		{ "--XX--y\r\nContent-Disposition: form-data; name=model\r\n\r\n--XX--\n-\r--X\r\n--XX--y--", "--XX--\n-\r--X", false },
		{ "--XX--y\r\n\r\nno header\r\n" MODEL "--XX--y--", "whisper-1", false },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++) {
		struct gw_str in = gw_str_c(rows[i].in);

		for (unsigned mode = 0; mode < slices_modes(in, 30); mode++) {
			struct dp_multipart m;

			ck_assert(dp_multipart_init(&m, GW_STR(TYPE), "model"));
			slices_run(in, mode, feed, &m);
			ck_assert_int_eq(m.duplicate, rows[i].duplicate);
			if (rows[i].duplicate)
				continue;
			ck_assert_msg(dp_multipart_end(&m) == DP_MP_DONE, "row %zu slicing %u: %s", i, mode, m.fault_text);
			ck_assert_int_eq(m.found, rows[i].model != NULL);
			if (m.found) {
				ck_assert(gw_str_is(m.value, rows[i].model));
				ck_assert(gw_str_is((struct gw_str){ in.p + m.value_at, m.value_n }, rows[i].model));
			}
		}
	}
}
END_TEST

#define CD "--XX--y\r\nContent-Disposition: form-data; "
#define REST "\r\n\r\nx\r\n--XX--y--"

/* Lines that readers of mail unfold, skip or repair. */
START_TEST(parts_with_odd_headers)
{
	static const char *const rows[] = {
		CD "name=x\r\ncontent-disposition : form-data; name=model" REST, "--XX--y\r\nContent-Disposition: form-data;\r\n name=model" REST,
		CD "name=x\r\n\tb: c" REST, CD "name=x\r\nnonsense" REST, CD "name=x\r\n: y" REST, CD "name=x\nX: y" REST, CD "name=x\rX: y" REST,
		CD "name=x\r\nX: \x01" REST, "--XX--y\r\n Content-Disposition: form-data; name=model" REST, CD "name=x\r\r\n" REST,
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		for (unsigned mode = 0; mode < slices_modes(gw_str_c(rows[i]), 5); mode++) {
			struct dp_multipart m;

			ck_assert(dp_multipart_init(&m, GW_STR(TYPE), "model"));
			slices_run(gw_str_c(rows[i]), mode, feed, &m);
			ck_assert_msg(dp_multipart_end(&m) == DP_MP_BAD && strstr(m.fault_text, "malformed header line"), "row %zu", i);
		}
}
END_TEST

/* Whoever reads the last name, or the extended one, would see another model than the one that was judged. */
START_TEST(parts_with_two_names)
{
	static const struct { const char *in, *fault; } rows[] = {
		{ CD "name=\"model\"; name=\"x\"" REST, "more than one `name`" },
		{ CD "name=x; NAME=model" REST, "more than one `name`" },
		{ CD "name=\"file\"; filename=\"a\\\";b\"; name=\"model\"" REST, "more than one `name`" },
		{ CD "name=x; junk; name = model" REST, "more than one `name`" },
		{ CD "name*=utf-8''model" REST, "`name*`" },
		{ CD "name=x; name*=utf-8''model" REST, "`name*`" },
		{ CD "Name*0=mod; name*1=el" REST, "`name*`" },
		{ CD "name=x\r\ncontent-disposition: form-data; name=model" REST, "two Content-Disposition lines" },
		{ "--XX--y\r\n--XX--y: z\r\n\r\nx\r\n--XX--y--", "a boundary inside the header" },
		{ "--XX--y\r\nX: y\r\n--XX--y\r\n\r\nx\r\n--XX--y--", "a boundary inside the header" },
		{ MODEL CD "name=x; name=y" REST, "more than one `name`" },
		{ CD "name=\"file\"; filename=\"a; name=model; name*=b\"; filename*=utf-8''name" REST, NULL },
		{ CD "filename=name; name=\"\"" REST, NULL },
		{ CD "name=\"a;b\"; x=\"\\" REST, NULL },
		{ CD "name=" REST, NULL },
		{ "--XX--y\r\nContent-Disposition: form-data\r\nX-Content-Disposition: form-data; name=a; name=b" REST, NULL },
	};

	for (size_t i = 0; i < GW_COUNT(rows); i++)
		for (unsigned mode = 0; mode < slices_modes(gw_str_c(rows[i].in), 10); mode++) {
			struct dp_multipart m;

			ck_assert(dp_multipart_init(&m, GW_STR(TYPE), "model"));
			slices_run(gw_str_c(rows[i].in), mode, feed, &m);
			ck_assert_msg(m.duplicate == (rows[i].fault != NULL), "%s", rows[i].in);
			if (rows[i].fault)
				ck_assert_msg(strstr(m.fault_text, rows[i].fault) != NULL, "%s: %s", rows[i].in, m.fault_text);
			else
				ck_assert_msg(dp_multipart_end(&m) == DP_MP_DONE && !m.found, "%s", rows[i].in);
		}
}
END_TEST

START_TEST(broken_forms)
{
	static const char *const bad[] = { "", "--XX--y", MODEL, MODEL "--XX--y", MODEL "--XX--y-", MODEL "--XX--y --", MODEL "--XX--y--x", MODEL "--XX--y--\n",
	                                   MODEL "--XX--y--\r", MODEL "--XX--y--\rx", MODEL "--XX--y-- -\r\n", MODEL "--XX--y - -",
	                                   "--XX--yfoo\r\n",
	                                   "--XX--y\r\nContent-Disposition: form-data; name=model\r\n" };
	static const char *const types[] = { "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"",
	                                     "multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct dp_multipart m;

	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		ck_assert(dp_multipart_init(&m, GW_STR(TYPE), "model"));
		slices_run(gw_str_c(bad[i]), 1, feed, &m);
		ck_assert_int_eq(dp_multipart_end(&m), DP_MP_BAD);
		ck_assert_ptr_nonnull(m.fault_text);
	}
	for (size_t i = 0; i < GW_COUNT(types); i++)
		ck_assert(!dp_multipart_init(&m, gw_str_c(types[i]), "model"));
}
END_TEST

UNIT_MAIN("multipart", fields, parts_with_odd_headers, parts_with_two_names, broken_forms)
