/* Tables: what is written can be read back, and opened without harm. */
#include "api/csv.h"
#include "base/str.h"
#include "unit.h"

START_TEST(there_and_back)
{
	static const char *const cells[] = { "plain", "", "a,b", "say \"hi\"", "two\nlines", "=1+1", "+x", "-x", "@x", "\tx", "'quoted", "\xe4\xb8\xad" };
	struct gw_buf b;
	struct gw_error err = { 0 };
	gw_buf_init(&b, 1 << 16);
	for (size_t i = 0; i < GW_COUNT(cells); i++) {
		if (i > 0)
			gw_buf_add_byte(&b, ',');
		cp_csv_text(&b, gw_str_c(cells[i]));
	}
	gw_buf_add_c(&b, "\r\n");
	json_t *rows = cp_csv_parse(gw_buf_str(&b), 10, &err);
	ck_assert_msg(rows != NULL, "%s", err.text);
	ck_assert_uint_eq(json_array_size(rows), 1);
	for (size_t i = 0; i < GW_COUNT(cells); i++)
		ck_assert_str_eq(json_string_value(json_array_get(json_array_get(rows, 0), i)), cells[i]);
	size_t at;
	ck_assert(!gw_str_find(gw_buf_str(&b), GW_STR(",\"=1"), &at) && gw_str_find(gw_buf_str(&b), GW_STR(",\"'=1"), &at));
	json_decref(rows);
	gw_buf_fini(&b);
}
END_TEST

START_TEST(reads_what_programs_write)
{
	struct gw_error err = { 0 };
	json_t *rows = cp_csv_parse(GW_STR("\xef\xbb\xbf" "a,b\n\n1,\"x\"\"y\"\r\n,\n"), 10, &err);
	ck_assert_uint_eq(json_array_size(rows), 3);
	ck_assert_str_eq(json_string_value(json_array_get(json_array_get(rows, 0), 0)), "a");
	ck_assert_str_eq(json_string_value(json_array_get(json_array_get(rows, 1), 1)), "x\"y");
	json_decref(rows);
	ck_assert_ptr_null(cp_csv_parse(GW_STR("a,b\n1\n"), 10, &err));
	ck_assert_str_eq(err.text, "line 2 has 1 cells and the first row 2");
	ck_assert_ptr_null(cp_csv_parse(GW_STR("a\n\"1\n2"), 10, &err));
	ck_assert_ptr_null(cp_csv_parse(GW_STR("a\n1\n2\n3\n"), 2, &err));
}
END_TEST

START_TEST(decimals)
{
	static const struct { const char *text; int64_t micro; } good[] = {
		{ "0", 0 }, { "1", 1000000 }, { "0.0028", 2800 }, { "1.5", 1500000 }, { " 12.000001 ", 12000001 }, { "1000000000", 1000000000000000 },
	};
	static const char *const bad[] = { "", ".", "1.", ".5", "-1", "1e3", "1,5", "0.0000001", "99999999999", "1.2.3", "1.x" };
	for (size_t i = 0; i < GW_COUNT(good); i++) {
		int64_t v = -1;
		ck_assert_msg(cp_csv_micro_parse(gw_str_c(good[i].text), &v) && v == good[i].micro, "%s", good[i].text);
	}
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		int64_t v;
		ck_assert_msg(!cp_csv_micro_parse(gw_str_c(bad[i]), &v), "%s", bad[i]);
	}
	struct gw_buf b;
	gw_buf_init(&b, 1000);
	cp_csv_micro(&b, 2800);
	gw_buf_add_byte(&b, ' ');
	cp_csv_micro(&b, 3000000);
	gw_buf_add_byte(&b, ' ');
	cp_csv_micro(&b, -1500000);
	ck_assert(gw_str_is(gw_buf_str(&b), "0.0028 3 -1.5"));
	gw_buf_fini(&b);
}
END_TEST

UNIT_MAIN("api.csv", there_and_back, reads_what_programs_write, decimals)
