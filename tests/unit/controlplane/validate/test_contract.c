/* The document that is enforced: matching, parameters, faults, defaults. */
#include "controlplane/fixture.h"
#include "validate/contract.h"

static const char document[] = "{\"paths\":{"
	"\"/things\":{\"get\":{\"operationId\":\"list\",\"x-role\":\"viewer\",\"parameters\":["
	"{\"name\":\"limit\",\"in\":\"query\",\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":500,\"default\":50}},"
	"{\"name\":\"dry_run\",\"in\":\"query\",\"schema\":{\"type\":\"boolean\",\"default\":false}}]},"
	"\"post\":{\"operationId\":\"create\",\"x-role\":\"operator\",\"requestBody\":{\"required\":true,\"content\":"
	"{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Thing\"}}}}}},"
	"\"/things/explain\":{\"post\":{\"operationId\":\"explain\",\"x-role\":\"viewer\"}},"
	"\"/things/{name}\":{\"get\":{\"operationId\":\"read\",\"x-role\":\"viewer\"},\"put\":{\"operationId\":\"write\",\"x-role\":\"operator\"}},"
	"\"/health\":{\"servers\":[{\"url\":\"/\"}],\"get\":{\"operationId\":\"health\",\"x-role\":\"none\"}}},"
	"\"components\":{\"schemas\":{\"Thing\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"name\"],\"properties\":{"
	"\"name\":{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"maxLength\":5},"
	"\"weight\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":10,\"default\":1},"
	"\"mode\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"],\"default\":\"a\"},"
	"\"status\":{\"type\":\"integer\",\"enum\":[402,429]},"
	"\"pause\":{\"type\":\"string\",\"pattern\":\"^[0-9]{1,9}(ms|s|m|h)$\"},"
	"\"note\":{\"type\":[\"string\",\"null\"],\"default\":null},"
	"\"at\":{\"type\":\"string\",\"format\":\"date-time\"},"
	"\"key\":{\"type\":\"string\",\"writeOnly\":true},"
	"\"list\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1},\"maxItems\":2,\"uniqueItems\":true},"
	"\"times\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"total\":{\"type\":\"string\",\"default\":\"10m\"}}},"
	"\"labels\":{\"type\":\"object\",\"maxProperties\":1,\"additionalProperties\":{\"type\":\"string\"},\"default\":{}},"
	"\"revision\":{\"readOnly\":true}}}}}}";

static struct cp_contract *doc;

static void open_all(void)
{
	struct gw_error err = { 0 };
	enum gw_rc rc = cp_contract_open(&doc, gw_str_c(document), &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
}

static char sentence[400]; /* of the first fault of the last check() */

/* The first fault of a body as "path code", "" when it is fine; *out receives the completed body. */
static const char *check(const char *body, char out[1024])
{
	static char first[256];
	json_t *v = NULL, *faults = json_array();
	struct gw_buf b;
	ck_assert_int_eq(gw_json_parse(&v, gw_str_c(body), 65536, NULL), GW_OK);
	cp_contract_check(doc, cp_contract_schema(doc, "Thing"), v, faults);
	const json_t *f = json_array_get(faults, 0);
	snprintf(first, sizeof first, "%s %s", f ? json_string_value(json_object_get(f, "path")) : "",
		 f ? json_string_value(json_object_get(f, "code")) : "");
	snprintf(sentence, sizeof sentence, "%s", f ? json_string_value(json_object_get(f, "message")) : "");
	if (f == NULL)
		first[0] = 0;
	gw_buf_init(&b, 1023);
	out[0] = 0;
	if (f == NULL && gw_json_write(&b, v, true) == GW_OK)
		snprintf(out, 1024, "%s", b.p);
	gw_buf_fini(&b);
	json_decref(v);
	json_decref(faults);
	return first;
}

START_TEST(defaults_come_in_and_read_only_goes_out)
{
	char out[1024];
	open_all();
	ck_assert_str_eq(check("{\"name\":\"x\",\"revision\":7}", out), "");
	ck_assert_str_eq(out, "{\"labels\":{},\"mode\":\"a\",\"name\":\"x\",\"note\":null,\"times\":{\"total\":\"10m\"},\"weight\":1}");
	cp_contract_close(&doc);
}
END_TEST

START_TEST(faults_name_their_member)
{
	static const struct { const char *body, *fault; } cases[] = {
		{ "{}", "/name required" }, { "[]", " wrong_type" }, { "{\"name\":1}", "/name wrong_type" },
		{ "{\"name\":\"X\"}", "/name bad_format" }, { "{\"name\":\"abcdef\"}", "/name too_long" },
		{ "{\"name\":\"x\",\"weight\":11}", "/weight out_of_range" }, { "{\"name\":\"x\",\"weight\":-1}", "/weight out_of_range" },
		{ "{\"name\":\"x\",\"weight\":1.5}", "/weight wrong_type" }, { "{\"name\":\"x\",\"weight\":\"1\"}", "/weight wrong_type" },
		{ "{\"name\":\"x\",\"weight\":null}", "/weight wrong_type" }, { "{\"name\":\"x\",\"mode\":\"c\"}", "/mode bad_enum" },
		{ "{\"name\":\"x\",\"at\":\"yesterday\"}", "/at bad_format" }, { "{\"name\":\"x\",\"colour\":1}", "/colour unknown_member" },
		{ "{\"name\":\"x\",\"a/b~c\":1}", "/a~1b~0c unknown_member" },
		{ "{\"name\":\"x\",\"times\":{\"nap\":1}}", "/times/nap unknown_member" },
		{ "{\"name\":\"x\",\"list\":[\"a\",\"a\"]}", "/list/1 duplicate" }, { "{\"name\":\"x\",\"list\":[\"\"]}", "/list/0 required" },
		{ "{\"name\":\"x\",\"list\":[\"a\",\"b\",\"c\"]}", "/list too_many" },
		{ "{\"name\":\"x\",\"labels\":{\"a\":\"1\",\"b\":\"2\"}}", "/labels too_many" },
		{ "{\"name\":\"x\",\"labels\":{\"a\":1}}", "/labels/a wrong_type" },
		{ "{\"name\":\"x\",\"key\":{\"last4\":\"\",\"fingerprint\":\"x\"}}", "/key masked_secret" },
		{ "{\"name\":\"x\",\"note\":\"a\\u0007\"}", "/note bad_format" },
	};
	char out[1024];
	open_all();
	for (size_t i = 0; i < GW_COUNT(cases); i++) {
		const char *got = check(cases[i].body, out);
		ck_assert_msg(strcmp(got, cases[i].fault) == 0, "%s gave \"%s\", not \"%s\"", cases[i].body, got, cases[i].fault);
	}
	cp_contract_close(&doc);
}
END_TEST

START_TEST(sentences_say_what_is_wanted)
{
	static const struct { const char *body, *words; } cases[] = {
		{ "{\"name\":\"x\",\"status\":418}", "status must be one of: 402, 429" },
		{ "{\"name\":\"x\",\"mode\":\"c\"}", "mode must be one of: a, b" },
		{ "{\"name\":\"x\",\"pause\":\"1d\"}", "one number and ms, s, m or h" },
		{ "{\"name\":\"x\",\"times\":{\"nap\":1}}", "there is no member \"nap\" here; known are total" },
	};
	char out[1024];
	open_all();
	for (size_t i = 0; i < GW_COUNT(cases); i++) {
		check(cases[i].body, out);
		ck_assert_msg(strstr(sentence, cases[i].words) != NULL, "%s gave \"%s\"", cases[i].body, sentence);
	}
	cp_contract_close(&doc);
}
END_TEST

static const struct cp_operation *match(const char *method, const char *path, char allow[64])
{
	struct gw_str seg[8], rest = gw_str_from(gw_str_c(path), 1);
	size_t n = 0;
	while (rest.p != NULL)
		seg[n++] = gw_str_cut(&rest, '/');
	return cp_contract_match(doc, gw_str_c(method), seg, n, allow);
}

START_TEST(paths_find_their_operation)
{
	char allow[64];
	open_all();
	ck_assert_str_eq(match("GET", "/api/v1/things", allow)->id, "list");
	ck_assert_str_eq(match("PUT", "/api/v1/things/x", allow)->id, "write");
	ck_assert_str_eq(match("POST", "/api/v1/things/explain", allow)->id, "explain");
	ck_assert_str_eq(match("GET", "/health", allow)->id, "health");
	ck_assert_ptr_null(match("GET", "/api/v1/things/explain", allow)); /* the literal path hides the other */
	ck_assert_str_eq(allow, "POST");
	ck_assert_ptr_null(match("DELETE", "/api/v1/things/x", allow));
	ck_assert_str_eq(allow, "GET, HEAD, PUT");
	ck_assert_ptr_null(match("GET", "/api/v1/nothing", allow));
	ck_assert_str_eq(allow, "");
	cp_contract_close(&doc);
}
END_TEST

START_TEST(query_parameters_have_types)
{
	char allow[64];
	open_all();
	const struct cp_operation *op = match("GET", "/api/v1/things", allow);
	struct cp_pair good[] = { { GW_STR("limit"), GW_STR("7") }, { GW_STR("dry_run"), GW_STR("true") } };
	json_t *faults = json_array(), *q = cp_contract_query(doc, op, good, 2, faults);
	ck_assert_uint_eq(json_array_size(faults), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(q, "limit")), 7);
	ck_assert(json_is_true(json_object_get(q, "dry_run")));
	json_decref(q);
	q = cp_contract_query(doc, op, NULL, 0, faults);
	ck_assert_int_eq(json_integer_value(json_object_get(q, "limit")), 50);
	json_decref(q);
	struct cp_pair bad[] = { { GW_STR("limit"), GW_STR("0") }, { GW_STR("dry_run"), GW_STR("yes") }, { GW_STR("x"), GW_STR("1") } };
	q = cp_contract_query(doc, op, bad, 3, faults);
	ck_assert_uint_eq(json_array_size(faults), 3);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(faults, 2), "path")), "?x");
	json_decref(q);
	json_decref(faults);
	cp_contract_close(&doc);
}
END_TEST

START_TEST(broken_documents_are_refused)
{
	struct gw_error err = { 0 };
	static const char *const bad[] = {
		"{}", "{\"paths\":{}}", "nonsense",
		"{\"paths\":{\"/a\":{\"get\":{\"operationId\":\"a\"}}}}",
		"{\"paths\":{\"/a\":{\"get\":{\"operationId\":\"a\",\"x-role\":\"none\",\"x\":{\"$ref\":\"#/components/schemas/No\"}}}}}",
		"{\"paths\":{\"/a\":{\"get\":{\"operationId\":\"a\",\"x-role\":\"none\",\"x\":{\"pattern\":\"(\"}}}}}",
	};
	for (size_t i = 0; i < GW_COUNT(bad); i++) {
		ck_assert_msg(cp_contract_open(&doc, gw_str_c(bad[i]), &err) != GW_OK, "%s was taken", bad[i]);
		ck_assert_ptr_null(doc);
	}
}
END_TEST

UNIT_MAIN("validate.contract", defaults_come_in_and_read_only_goes_out, faults_name_their_member, sentences_say_what_is_wanted, paths_find_their_operation,
	  query_parameters_have_types, broken_documents_are_refused)
