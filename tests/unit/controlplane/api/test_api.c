/* The API as its callers meet it, without sockets: who may, what is stored, what comes back. */
#include <ctype.h>
#include <fcntl.h>

#include "controlplane/fixture.h"

static struct fx f;

#define PROVIDER "{\"name\":\"p\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"main\",\"value\":\"sk-canary-0123456789abcdef\"}]}"
#define ROUTE "{\"name\":\"r\",\"match\":{\"models\":[{\"type\":\"exact\",\"value\":\"m\"}]},\"targets\":[{\"provider\":\"p\"}]}"

static unsigned local(const char *method, const char *target, const char *body)
{
	return fx_call(&f, method, target, body, NULL);
}

static int64_t number(const char *name)
{
	return json_integer_value(json_object_get(f.json, name));
}

static void login(char cookie[200], char csrf[100])
{
	char token[64], body[300];
	ck_assert_int_eq(cp_setup_token(f.auth, token, NULL), GW_OK);
	snprintf(body, sizeof body, "{\"setup_token\":\"%s\",\"username\":\"root\",\"password\":\"correct horse battery\"}", token);
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/setup", body, ""), 201);
	snprintf(cookie, 200, "Cookie: %s", f.cookie);
	snprintf(csrf, 100, "X-CSRF-Token: %s", fx_text(&f, "csrf_token"));
}

START_TEST(the_tutorial)
{
	fx_open(&f);
	ck_assert_uint_eq(local("POST", "/api/v1/providers", PROVIDER), 201);
	ck_assert_str_eq(f.etag, "\"2\"");
	ck_assert_ptr_nonnull(strstr(f.header, "Location: /api/v1/providers/p"));
	ck_assert_ptr_nonnull(strstr(f.header, "X-Tidegate-Revision: 2"));
	ck_assert_str_eq(fx_text(&f, "api_keys.0.value.last4"), "cdef");
	ck_assert_uint_eq(local("POST", "/api/v1/routes", ROUTE), 201);
	ck_assert_uint_eq(local("POST", "/api/v1/consumers", "{\"name\":\"c\"}"), 201);
	ck_assert_uint_eq(local("POST", "/api/v1/consumers/c/keys", "{}"), 201);
	ck_assert_int_eq(strncmp(fx_text(&f, "secret"), "tgk_", 4), 0);
	ck_assert_uint_eq(strlen(fx_text(&f, "secret")), 47);
	ck_assert_uint_eq(local("POST", "/api/v1/routes/explain", "{\"model\":\"m\",\"consumer\":\"c\"}"), 200);
	ck_assert_str_eq(fx_text(&f, "route"), "r");
	ck_assert_int_eq(number("status"), 200);
	ck_assert_uint_eq(local("POST", "/api/v1/routes/explain", "{\"model\":\"m\"}"), 200);
	ck_assert_int_eq(number("status"), 401);
	ck_assert_uint_eq(local("POST", "/api/v1/routes/explain", "{\"model\":\"x\",\"consumer\":\"c\"}"), 200);
	ck_assert_int_eq(number("status"), 404);
	fx_close(&f);
}
END_TEST

START_TEST(everything_wrong_is_named)
{
	static const struct { const char *method, *target, *body; unsigned status; const char *path, *code; } cases[] = {
		{ "POST", "/api/v1/providers", "{\"name\":\"p\"}", 400, "/type", "required" },
		{ "POST", "/api/v1/providers", "{\"name\":\"P!\",\"type\":\"deepseek\"}", 400, "/name", "bad_format" },
		{ "POST", "/api/v1/providers", "{\"name\":\"p\",\"type\":\"nope\"}", 400, "/type", "unknown_reference" },
		{ "POST", "/api/v1/providers", "{\"name\":\"p\",\"type\":\"vllm\"}", 400, "/base_url", "required" },
		{ "POST", "/api/v1/providers", "{\"name\":\"p\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"a\"}]}", 400, "/api_keys/0/value", "secret_required" },
		{ "POST", "/api/v1/providers", "{\"name\":\"p\",\"type\":\"deepseek\",\"options\":{\"zzz\":1}}", 400, "/options/zzz", "unknown_member" },
		{ "POST", "/api/v1/routes", "{\"name\":\"r\",\"targets\":[{\"provider\":\"nobody\"}]}", 400, "/targets/0/provider", "unknown_reference" },
		{ "POST", "/api/v1/routes", "{\"name\":\"r\",\"targets\":[]}", 400, "/targets", "required" },
		{ "POST", "/api/v1/routes", "{\"name\":\"explain\",\"targets\":[{\"provider\":\"x\"}]}", 400, "/name", "bad_format" },
		{ "POST", "/api/v1/consumers", "{\"name\":\"c\",\"plugins\":{\"nope\":{}}}", 400, "/plugins/nope", "unknown_reference" },
		{ "PUT", "/api/v1/global-plugins/token-ratelimit", "{\"config\":{\"tokens\":0}}", 400, "/config/tokens", NULL },
		{ "PUT", "/api/v1/global-plugins/token-ratelimit", "{\"config\":{\"tokens\":1.5}}", 400, "/config/tokens", "wrong_type" },
		{ "POST", "/api/v1/consumers", "{\"name\":\"c\",\"plugins\":{\"token-ratelimit\":{\"tokens\":1.5}}}", 400, "/plugins/token-ratelimit/tokens", "wrong_type" },
		{ "PUT", "/api/v1/settings", "{\"data_plane\":{\"max_headers\":1}}", 400, "/data_plane/max_headers", "out_of_range" },
		{ "PATCH", "/api/v1/settings", "{\"data_plane\":{\"nap\":1}}", 400, "/data_plane/nap", "unknown_member" },
		{ "GET", "/api/v1/routes?limit=0", NULL, 400, "?limit", "out_of_range" },
		{ "POST", "/api/v1/consumers", "{\"name\":\"c\",\"name\":\"d\"}", 400, "", "malformed" },
		{ "POST", "/api/v1/consumers", "{", 400, "", "malformed" },
	};
	fx_open(&f);
	for (size_t i = 0; i < GW_COUNT(cases); i++) {
		local(cases[i].method, cases[i].target, cases[i].body);
		ck_assert_msg(f.status == cases[i].status && strcmp(fx_text(&f, "errors.0.path"), cases[i].path) == 0 &&
			      (cases[i].code == NULL || strcmp(fx_text(&f, "errors.0.code"), cases[i].code) == 0),
			      "%s %s gave %u %s", cases[i].body, cases[i].target, f.status, f.text);
		ck_assert_ptr_nonnull(strstr(fx_text(&f, "type"), "urn:tidegate:problem:"));
		ck_assert_str_eq(fx_text(&f, "request_id"), "01test");
	}
	ck_assert_uint_eq(cp_store_revision(f.store), 1); /* nothing of it was stored */
	fx_close(&f);
}
END_TEST

START_TEST(secrets_are_kept_and_never_shown)
{
	fx_open(&f);
	local("POST", "/api/v1/providers", PROVIDER);
	char fingerprint[32];
	snprintf(fingerprint, sizeof fingerprint, "%s", fx_text(&f, "api_keys.0.value.fingerprint"));
	ck_assert_uint_eq(local("PATCH", "/api/v1/providers/p", "{\"api_keys\":[{\"name\":\"main\",\"weight\":3}]}"), 200);
	ck_assert_str_eq(fx_text(&f, "api_keys.0.value.fingerprint"), fingerprint);
	ck_assert_uint_eq(local("PUT", "/api/v1/providers/p", "{\"name\":\"p\",\"type\":\"deepseek\",\"api_keys\":[{\"name\":\"main\"}]}"), 200);
	ck_assert_str_eq(fx_text(&f, "api_keys.0.value.fingerprint"), fingerprint);
	uint64_t before = cp_store_revision(f.store);
	ck_assert_uint_eq(local("PUT", "/api/v1/providers/p", PROVIDER), 200);          /* the same secret again */
	ck_assert_uint_eq(cp_store_revision(f.store), before);
	ck_assert_uint_eq(local("PATCH", "/api/v1/providers/p", "{\"api_keys\":[{\"name\":\"main\",\"value\":{\"last4\":\"cdef\",\"fingerprint\":\"x\",\"created_at\":\"2026-01-01T00:00:00Z\"}}]}"), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.code"), "masked_secret");
	ck_assert_uint_eq(local("PATCH", "/api/v1/providers/p", "{\"type\":\"vllm\"}"), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.path"), "/type");
	ck_assert_uint_eq(local("PUT", "/api/v1/global-plugins/chat-guard", "{\"config\":{\"secret\":\"guard-canary-0123456\",\"url\":\"https://g\"}}"), 200);
	ck_assert_uint_eq(strlen(fx_text(&f, "config.secret.fingerprint")), 16);
	ck_assert_uint_eq(local("PUT", "/api/v1/global-plugins/chat-guard", "{\"config\":{\"url\":\"https://h\"}}"), 200);
	ck_assert_uint_eq(strlen(fx_text(&f, "config.secret.fingerprint")), 16);
	static const char *const reads[] = { "/api/v1/providers", "/api/v1/config", "/api/v1/audit?limit=500", "/api/v1/revisions/2",
					     "/api/v1/revisions/0/diff/2", "/api/v1/global-plugins" };
	for (size_t i = 0; i < GW_COUNT(reads); i++) {
		ck_assert_uint_eq(local("GET", reads[i], NULL), 200);
		ck_assert_ptr_null(strstr(f.text, "canary"));
		ck_assert_ptr_null(strstr(f.text, "sealed"));
	}
	fx_close(&f);
}
END_TEST

/* Every file of the data directory, byte for byte. */
static bool directory_holds(const char *needle)
{
	static const char *const names[] = { "tidegate.db", "tidegate.db-wal" };
	bool found = false;
	for (size_t i = 0; i < GW_COUNT(names); i++) {
		char path[300];
		struct gw_buf b;
		size_t at;
		snprintf(path, sizeof path, "%s/%s", f.dir, names[i]);
		gw_buf_init(&b, 64 << 20);
		if (gw_file_read(&b, path, NULL) == GW_OK)
			found = found || gw_str_find(gw_buf_str(&b), gw_str_c(needle), &at);
		gw_buf_fini(&b);
	}
	return found;
}

START_TEST(the_database_text_holds_no_secret)
{
	char cookie[200], csrf[100], value[100];
	fx_open(&f);
	login(cookie, csrf);
	local("POST", "/api/v1/providers", PROVIDER);
	local("POST", "/api/v1/consumers", "{\"name\":\"c\"}");
	local("POST", "/api/v1/consumers/c/keys", "{\"value\":\"brought-canary-0123456789\"}");
	local("POST", "/api/v1/tokens", "{\"name\":\"t\",\"role\":\"viewer\"}");
	snprintf(value, sizeof value, "%s", fx_text(&f, "secret"));
	ck_assert(directory_holds("deepseek"));
	ck_assert(!directory_holds("canary"));
	ck_assert(!directory_holds(value));
	ck_assert(!directory_holds("correct horse"));
	ck_assert(!directory_holds(strchr(cookie, '=') + 1));
	ck_assert(!directory_holds(strchr(csrf, ' ') + 1));
	fx_close(&f);
}
END_TEST

START_TEST(conditional_writes)
{
	fx_open(&f);
	local("POST", "/api/v1/consumers", "{\"name\":\"c\"}");
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/consumers/c", NULL, NULL), 200);
	ck_assert_str_eq(f.etag, "\"2\"");
	char token[64], header[400];
	struct cp_token_made made;
	ck_assert_int_eq(cp_token_create(f.store, &fx_actor, GW_STR("t"), CP_ROLE_OPERATOR, 0, &made, NULL), GW_OK);
	snprintf(token, sizeof token, "%.60s", made.secret);
	snprintf(header, sizeof header, "Authorization: Bearer %s\nIf-Match: \"1\"", token);
	ck_assert_uint_eq(fx_call(&f, "PATCH", "/api/v1/consumers/c", "{\"description\":\"x\"}", header), 412);
	snprintf(header, sizeof header, "Authorization: Bearer %s\nIf-Match: \"2\"", token);
	ck_assert_uint_eq(fx_call(&f, "PATCH", "/api/v1/consumers/c", "{\"description\":\"x\"}", header), 200);
	ck_assert_uint_eq(fx_call(&f, "DELETE", "/api/v1/consumers/c", NULL, header), 412);
	fx_close(&f);
}
END_TEST

START_TEST(dry_runs_store_nothing)
{
	fx_open(&f);
	ck_assert_uint_eq(local("POST", "/api/v1/consumers?dry_run=true", "{\"name\":\"c\"}"), 200);
	ck_assert(json_is_array(json_object_get(f.json, "warnings")));
	ck_assert_uint_eq(local("GET", "/api/v1/consumers/c", NULL), 404);
	ck_assert_uint_eq(cp_store_revision(f.store), 1);
	local("POST", "/api/v1/consumers", "{\"name\":\"c\"}");
	ck_assert_uint_eq(local("DELETE", "/api/v1/consumers/c?dry_run=true", NULL), 200);
	ck_assert_uint_eq(local("GET", "/api/v1/consumers/c", NULL), 200);
	fx_close(&f);
}
END_TEST

START_TEST(what_is_used_cannot_go)
{
	fx_open(&f);
	local("POST", "/api/v1/providers", PROVIDER);
	local("POST", "/api/v1/routes", ROUTE);
	ck_assert_uint_eq(local("DELETE", "/api/v1/providers/p", NULL), 409);
	ck_assert_str_eq(fx_text(&f, "errors.0.url"), "/api/v1/routes/r");
	ck_assert_uint_eq(local("DELETE", "/api/v1/routes/r", NULL), 204);
	ck_assert_uint_eq(local("DELETE", "/api/v1/providers/p", NULL), 204);
	ck_assert_uint_eq(local("DELETE", "/api/v1/providers/p", NULL), 404);
	fx_close(&f);
}
END_TEST

START_TEST(keys_live_with_their_consumer)
{
	char id[64];
	fx_open(&f);
	local("POST", "/api/v1/consumers", "{\"name\":\"c\"}");
	local("POST", "/api/v1/consumers", "{\"name\":\"d\"}");
	ck_assert_uint_eq(local("POST", "/api/v1/consumers/c/keys", "{\"value\":\"0123456789abcdef\"}"), 201);
	ck_assert_str_eq(fx_text(&f, "prefix"), "01"); /* of a short value little is shown */
	snprintf(id, sizeof id, "/api/v1/consumers/c/keys/%s", fx_text(&f, "id"));
	ck_assert_uint_eq(local("POST", "/api/v1/consumers/d/keys", "{\"value\":\"0123456789abcdef\"}"), 409);
	ck_assert_uint_eq(local("POST", "/api/v1/consumers/d/keys", "{\"value\":\"short\"}"), 400);
	ck_assert_uint_eq(local("PATCH", id, "{\"enabled\":false}"), 200);
	ck_assert(json_is_false(json_object_get(f.json, "enabled")));
	char rotate[100];
	snprintf(rotate, sizeof rotate, "%s/rotate", id);
	ck_assert_uint_eq(local("POST", rotate, "{\"grace\":\"1h\"}"), 201);
	ck_assert_int_eq(strncmp(fx_text(&f, "secret"), "tgk_", 4), 0);
	ck_assert_uint_eq(local("GET", "/api/v1/consumers/c/keys", NULL), 200);
	ck_assert_int_eq(number("total"), 2);
	ck_assert_uint_eq(local("DELETE", "/api/v1/consumers/c", NULL), 204);
	ck_assert_uint_eq(local("POST", "/api/v1/consumers/d/keys", "{\"value\":\"0123456789abcdef\"}"), 201); /* free again */
	fx_close(&f);
}
END_TEST

START_TEST(a_browser_needs_its_csrf_token)
{
	char cookie[200], csrf[100], headers[600];
	fx_open(&f);
	login(cookie, csrf);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/providers", NULL, cookie), 200);
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", cookie), 403);
	ck_assert_str_eq(fx_text(&f, "type"), "urn:tidegate:problem:csrf");
	snprintf(headers, sizeof headers, "%s\n%s\nSec-Fetch-Site: cross-site", cookie, csrf);
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", headers), 403);
	snprintf(headers, sizeof headers, "%s\n%s\nOrigin: https://evil.test", cookie, csrf);
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", headers), 403);
	snprintf(headers, sizeof headers, "%s\n%s\nContent-Type: text/plain", cookie, csrf);
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", headers), 415);
	snprintf(headers, sizeof headers, "%s\n%s\nOrigin: http://console.test\nSec-Fetch-Site: same-origin", cookie, csrf);
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", headers), 201);
	ck_assert_uint_eq(fx_call(&f, "DELETE", "/api/v1/session", NULL, headers), 204);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/providers", NULL, cookie), 401);
	fx_close(&f);
}
END_TEST

START_TEST(roles_are_kept)
{
	struct cp_token_made viewer, operator_;
	char v[220], o[220];
	fx_open(&f);
	ck_assert_int_eq(cp_token_create(f.store, &fx_actor, GW_STR("v"), CP_ROLE_VIEWER, 0, &viewer, NULL), GW_OK);
	ck_assert_int_eq(cp_token_create(f.store, &fx_actor, GW_STR("o"), CP_ROLE_OPERATOR, 0, &operator_, NULL), GW_OK);
	snprintf(v, sizeof v, "Authorization: Bearer %s", viewer.secret);
	snprintf(o, sizeof o, "Authorization: Bearer %s", operator_.secret);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/routes", NULL, v), 200);
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", v), 403);
	ck_assert_ptr_nonnull(strstr(fx_text(&f, "detail"), "operator"));
	ck_assert_uint_eq(fx_call(&f, "POST", "/api/v1/consumers", "{\"name\":\"c\"}", o), 201);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/users", NULL, o), 403);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/routes", NULL, ""), 401);
	ck_assert_ptr_nonnull(strstr(f.header, "WWW-Authenticate: Bearer"));
	ck_assert_uint_eq(fx_call(&f, "GET", "/healthz", NULL, ""), 200);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/openapi.json", NULL, ""), 200);
	ck_assert_uint_eq(local("GET", "/api/v1/audit?kind=nothing", NULL), 200);
	ck_assert_int_eq(number("total"), 0);
	ck_assert_uint_eq(local("GET", "/api/v1/audit?q=denied", NULL), 200);
	ck_assert_int_eq(number("total"), 1);
	fx_close(&f);
}
END_TEST

START_TEST(the_last_administrator_stays)
{
	char cookie[200], csrf[100], headers[400];
	fx_open(&f);
	login(cookie, csrf);
	snprintf(headers, sizeof headers, "%s\n%s", cookie, csrf);
	ck_assert_uint_eq(local("PATCH", "/api/v1/users/root", "{\"enabled\":false}"), 409);
	ck_assert_uint_eq(local("DELETE", "/api/v1/users/root", NULL), 409);
	ck_assert_uint_eq(local("POST", "/api/v1/users", "{\"username\":\"two\",\"role\":\"admin\",\"password\":\"another long one\"}"), 201);
	ck_assert_ptr_null(strstr(f.text, "scrypt"));
	ck_assert_uint_eq(fx_call(&f, "DELETE", "/api/v1/users/root", NULL, headers), 409); /* not oneself */
	ck_assert_uint_eq(fx_call(&f, "PUT", "/api/v1/users/root/password", "{\"current_password\":\"wrong\",\"new_password\":\"yet another one\"}", headers), 400);
	ck_assert_str_eq(fx_text(&f, "errors.0.path"), "/current_password");
	ck_assert_uint_eq(local("PATCH", "/api/v1/users/root", "{\"role\":\"viewer\"}"), 200);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/users", NULL, cookie), 403);    /* less at once, in the same session */
	ck_assert_uint_eq(local("PATCH", "/api/v1/users/root", "{\"role\":\"operator\"}"), 200);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/session", NULL, cookie), 401);  /* more only with a new one */
	ck_assert_uint_eq(local("DELETE", "/api/v1/users/root", NULL), 204);
	ck_assert_uint_eq(fx_call(&f, "GET", "/api/v1/session", NULL, cookie), 401);
	fx_close(&f);
}
END_TEST

UNIT_MAIN("api", the_tutorial, everything_wrong_is_named, secrets_are_kept_and_never_shown, the_database_text_holds_no_secret,
	  conditional_writes, dry_runs_store_nothing, what_is_used_cannot_go, keys_live_with_their_consumer,
	  a_browser_needs_its_csrf_token, roles_are_kept, the_last_administrator_stays)
