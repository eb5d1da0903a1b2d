/* Documents: export, apply with a plan, history and the way back. */
#include "controlplane/fixture.h"

static struct fx f;

static unsigned local(const char *method, const char *target, const char *body)
{
	return fx_call(&f, method, target, body, NULL);
}

static size_t plan_size(void)
{
	return json_array_size(json_object_get(f.json, "plan"));
}

static const char document[] = "{\"format\":1,\"providers\":[{\"name\":\"p\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"main\",\"value\":\"sk-canary-0123456789\"}]}],"
	"\"routes\":[{\"name\":\"r\",\"targets\":[{\"provider\":\"p\"}]}],"
	"\"consumers\":[{\"name\":\"c\",\"keys\":[{\"name\":\"k\",\"value\":\"0123456789abcdef-key\"}]}],"
	"\"global_plugins\":{\"token-ratelimit\":{\"tokens\":5}}}";

START_TEST(a_document_is_applied_whole_and_once)
{
	fx_open(&f);
	ck_assert_uint_eq(local("PUT", "/api/v1/config?dry_run=true", document), 200);
	ck_assert_uint_eq(plan_size(), 4);
	ck_assert_uint_eq(cp_store_revision(f.store), 1);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", document), 200);
	ck_assert_uint_eq(plan_size(), 4);
	ck_assert_str_eq(fx_text(&f, "plan.0.op"), "create");
	ck_assert_ptr_null(strstr(f.text, "canary"));
	ck_assert_uint_eq(cp_store_revision(f.store), 2);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", document), 200);
	ck_assert_uint_eq(plan_size(), 0);
	ck_assert_uint_eq(cp_store_revision(f.store), 2);
	fx_close(&f);
}
END_TEST

START_TEST(an_export_comes_back_unchanged)
{
	fx_open(&f);
	local("PUT", "/api/v1/config", document);
	ck_assert_uint_eq(local("GET", "/api/v1/config", NULL), 200);
	ck_assert_str_eq(f.etag, "\"2\"");
	char *copy = gw_strdup_n(f.text, strlen(f.text));
	ck_assert_uint_eq(local("PUT", "/api/v1/config", copy), 200);
	ck_assert_uint_eq(plan_size(), 0);
	free(copy);
	fx_close(&f);
}
END_TEST

START_TEST(kinds_left_out_are_left_alone)
{
	fx_open(&f);
	local("PUT", "/api/v1/config", document);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"consumers\":[]}"), 200);
	ck_assert_uint_eq(plan_size(), 1);
	ck_assert_str_eq(fx_text(&f, "plan.0.op"), "delete");
	ck_assert_str_eq(fx_text(&f, "plan.0.kind"), "consumer");
	ck_assert_uint_eq(local("GET", "/api/v1/routes/r", NULL), 200);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"providers\":[]}"), 400); /* the route still wants it */
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"providers\":[],\"routes\":[]}"), 200);
	ck_assert_uint_eq(plan_size(), 2);
	fx_close(&f);
}
END_TEST

START_TEST(faults_point_into_the_document)
{
	fx_open(&f);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"providers\":[{\"name\":\"a\",\"type\":\"deepseek\"},{\"name\":\"p\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"x\"}]}]}"), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.path"), "/providers/1/api_keys/0/value");
	ck_assert_str_eq(fx_text(&f, "errors.0.code"), "secret_required");
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"providers\":[{\"name\":\"p\",\"type\":\"deepseek\"}],\"routes\":[{\"name\":\"a\",\"targets\":[{\"provider\":\"p\"}]},{\"name\":\"b\",\"targets\":[{\"provider\":\"q\"}]}]}"), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.path"), "/routes/1/targets/0/provider");
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"consumers\":[{\"name\":\"c\"},{\"name\":\"c\"}]}"), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.code"), "duplicate");
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":2}"), 400);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"colour\":1}"), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.path"), "/colour");
	ck_assert_uint_eq(cp_store_revision(f.store), 1);
	fx_close(&f);
}
END_TEST

START_TEST(secrets_may_come_from_the_environment)
{
	static const char env[] = "{\"format\":1,\"providers\":[{\"name\":\"p\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"main\",\"value\":{\"env\":\"%s\"}}]}]}";
	char body[300];
	fx_open(&f);
	setenv("TG_TEST_SECRET", "sk-from-env-cafe", 1);
	setenv("TIDEGATE_TEST_SECRET", "sk-own-variable", 1);
	snprintf(body, sizeof body, env, "TG_TEST_SECRET");
	ck_assert_uint_eq(local("PUT", "/api/v1/config", body), 200);
	ck_assert_uint_eq(local("GET", "/api/v1/providers/p", NULL), 200);
	ck_assert_str_eq(fx_text(&f, "api_keys.0.value.last4"), "cafe");
	snprintf(body, sizeof body, env, "TIDEGATE_TEST_SECRET");
	ck_assert_uint_eq(local("PUT", "/api/v1/config", body), 400);
	snprintf(body, sizeof body, env, "TG_TEST_ABSENT");
	ck_assert_uint_eq(local("PUT", "/api/v1/config", body), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.code"), "secret_required");
	fx_close(&f);
}
END_TEST

START_TEST(keys_follow_the_document)
{
	fx_open(&f);
	local("PUT", "/api/v1/config", document);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"consumers\":[{\"name\":\"c\",\"description\":\"x\"}]}"), 200);
	local("GET", "/api/v1/consumers/c/keys", NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(f.json, "total")), 1); /* not mentioned: kept */
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"consumers\":[{\"name\":\"c\",\"keys\":[{\"name\":\"k\",\"enabled\":false},{\"name\":\"l\",\"value\":\"another-0123456789\"}]}]}"), 200);
	local("GET", "/api/v1/consumers/c/keys", NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(f.json, "total")), 2);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"consumers\":[{\"name\":\"c\",\"keys\":[]}]}"), 200);
	ck_assert_uint_eq(plan_size(), 1);
	local("GET", "/api/v1/consumers/c/keys", NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(f.json, "total")), 0);
	ck_assert_uint_eq(local("PUT", "/api/v1/config", "{\"format\":1,\"consumers\":[{\"name\":\"c\",\"keys\":[{\"name\":\"new\"}]}]}"), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.path"), "/consumers/0/keys/0/value");
	fx_close(&f);
}
END_TEST

START_TEST(rotated_keys_survive_an_export)
{
	char path[120];
	fx_open(&f);
	local("PUT", "/api/v1/config", document);
	local("GET", "/api/v1/consumers/c/keys", NULL);
	snprintf(path, sizeof path, "/api/v1/consumers/c/keys/%s/rotate", fx_text(&f, "items.0.id"));
	ck_assert_uint_eq(local("POST", path, "{\"grace\":\"1h\"}"), 201); /* two keys of one name now */
	local("GET", "/api/v1/config", NULL);
	char *copy = gw_strdup_n(f.text, strlen(f.text));
	ck_assert_uint_eq(local("PUT", "/api/v1/config", copy), 200);
	ck_assert_uint_eq(plan_size(), 0);
	free(copy);
	fx_close(&f);
}
END_TEST

START_TEST(history_can_be_gone_back)
{
	fx_open(&f);
	local("PUT", "/api/v1/config", document);                                            /* 2 */
	local("PATCH", "/api/v1/routes/r", "{\"description\":\"new\"}");                     /* 3 */
	local("POST", "/api/v1/consumers", "{\"name\":\"later\"}");                          /* 4 */
	ck_assert_uint_eq(local("GET", "/api/v1/revisions/2/diff/4", NULL), 200);
	ck_assert_uint_eq(json_array_size(json_object_get(f.json, "changes")), 2);
	ck_assert_uint_eq(local("POST", "/api/v1/revisions/2/rollback?dry_run=true", NULL), 200);
	ck_assert_uint_eq(plan_size(), 2);
	ck_assert_uint_eq(local("POST", "/api/v1/revisions/2/rollback", NULL), 200);
	ck_assert_uint_eq(cp_store_revision(f.store), 5);
	ck_assert_uint_eq(local("GET", "/api/v1/consumers/later", NULL), 404);
	local("GET", "/api/v1/routes/r", NULL);
	ck_assert_str_eq(fx_text(&f, "description"), "");
	ck_assert_uint_eq(local("GET", "/api/v1/revisions?limit=1", NULL), 200);
	ck_assert_str_eq(fx_text(&f, "items.0.action"), "rollback");
	ck_assert_str_eq(fx_text(&f, "next_cursor"), "5");
	ck_assert_uint_eq(local("POST", "/api/v1/revisions/99/rollback", NULL), 404);
	ck_assert_uint_eq(local("GET", "/api/v1/audit/verify", NULL), 200);
	ck_assert(json_is_true(json_object_get(f.json, "intact")));
	fx_close(&f);
}
END_TEST

START_TEST(revoked_keys_stay_revoked)
{
	char path[100];
	fx_open(&f);
	local("PUT", "/api/v1/config", document);
	local("GET", "/api/v1/consumers/c/keys", NULL);
	snprintf(path, sizeof path, "/api/v1/consumers/c/keys/%s", fx_text(&f, "items.0.id"));
	ck_assert_uint_eq(local("DELETE", path, NULL), 204);
	ck_assert_uint_eq(local("POST", "/api/v1/revisions/2/rollback", NULL), 200);
	local("GET", "/api/v1/consumers/c/keys", NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(f.json, "total")), 0);
	fx_close(&f);
}
END_TEST

START_TEST(pages_go_through_everything_once)
{
	char name[64], target[300], cursor[200] = "", last[64] = "";
	int seen = 0;
	fx_open(&f);
	for (int i = 0; i < 7; i++) {
		snprintf(name, sizeof name, "{\"name\":\"c%d\",\"description\":\"%s\"}", i, i == 3 ? "Special" : "");
		ck_assert_uint_eq(local("POST", "/api/v1/consumers", name), 201);
	}
	do {
		snprintf(target, sizeof target, "/api/v1/consumers?limit=3&sort=-name%s%s", cursor[0] ? "&cursor=" : "", cursor);
		ck_assert_uint_eq(local("GET", target, NULL), 200);
		for (size_t i = 0; i < json_array_size(json_object_get(f.json, "items")); i++, seen++) {
			snprintf(target, sizeof target, "items.%zu.name", i);
			ck_assert(last[0] == 0 || strcmp(fx_text(&f, target), last) < 0);
			snprintf(last, sizeof last, "%s", fx_text(&f, target));
		}
		snprintf(cursor, sizeof cursor, "%s", fx_text(&f, "next_cursor"));
	} while (cursor[0]);
	ck_assert_int_eq(seen, 7);
	ck_assert_uint_eq(local("GET", "/api/v1/consumers?q=SPECIAL", NULL), 200);
	ck_assert_int_eq(json_integer_value(json_object_get(f.json, "total")), 1);
	fx_close(&f);
}
END_TEST

UNIT_MAIN("api.config", a_document_is_applied_whole_and_once, an_export_comes_back_unchanged, kinds_left_out_are_left_alone,
	  faults_point_into_the_document, secrets_may_come_from_the_environment, keys_follow_the_document, rotated_keys_survive_an_export, history_can_be_gone_back,
	  revoked_keys_stay_revoked, pages_go_through_everything_once)
