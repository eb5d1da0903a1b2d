/*
 * fixture.h - a data directory, a store, an API, for tests of the control plane; and calls into it without sockets.
 */
#ifndef TG_CONTROL_FIXTURE_H
#define TG_CONTROL_FIXTURE_H

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/str.h"
#include "base/time.h"
#include "compile/model.h"
#include "httpd/target.h"
#include "proto/catalog_fixture.h"
#include "unit.h"

static const struct cp_actor fx_actor = { .type = CP_ACTOR_USER, .name = { "tester", 6 }, .role = { "admin", 5 } };

static inline void fx_dir(char out[128])
{
	const char *tmp = getenv("TMPDIR");
	snprintf(out, 128, "%.80s/tg-control-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(out));
}

/* Flat directories with at most one level below are all that tests make. */
static inline void fx_rmdir(const char *dir)
{
	char command[300];
	snprintf(command, sizeof command, "%s", dir);
	static const char *const names[] = { "tidegate.db", "tidegate.db-wal", "tidegate.db-shm", "tidegate.db.ballast",
		"tidegate.db.replaced", "tidegate.db.replaced-wal", "backup.db", "lock", "setup-token", "master.key", "password" };
	for (size_t i = 0; i < GW_COUNT(names); i++) {
		snprintf(command, sizeof command, "%s/%s", dir, names[i]);
		unlink(command);
	}
	rmdir(dir);
}

static inline struct cp_store *fx_store(const char *dir)
{
	char path[256];
	struct cp_store *s = NULL;
	struct gw_error err = { 0 };
	snprintf(path, sizeof path, "%s/tidegate.db", dir);
	struct cp_store_options o = { .path = path, .migrations = TG_SOURCE_DIR "/migrations" };
	enum gw_rc rc = cp_store_open(&s, &o, &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
	return s;
}

static inline void fx_put(struct cp_change *c, enum gw_kind k, const char *name, const char *spec)
{
	struct gw_error err = { 0 };
	struct cp_record r = { .kind = k, .name = gw_str_c(name), .spec = gw_str_c(spec) };
	enum gw_rc rc = cp_put(c, &r, CP_ANY, &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
}

static inline uint64_t fx_write(struct cp_store *s, enum gw_kind k, const char *name, const char *spec)
{
	struct cp_change *c = NULL;
	struct gw_error err = { 0 };
	uint64_t revision;
	ck_assert_int_eq(cp_change_begin(&c, s, &fx_actor, "update", &err), GW_OK);
	fx_put(c, k, name, spec);
	enum gw_rc rc = cp_change_commit(&c, &revision, &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
	return revision;
}

/* ---- a whole API ---- */

struct fx {
	char dir[128], openapi[PATH_MAX];
	struct cp_store *store;
	struct cp_keys keys;
	struct cp_auth *auth;
	struct gw_catalog *catalog;
	struct cp_model *model;
	struct cp_api *api;
	/* of the last call */
	unsigned status;
	json_t *json;
	char text[1 << 16], cookie[128], etag[64], header[4096];
};

static inline void fx_openapi_path(char out[PATH_MAX])
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	ck_assert_int_gt(n, 0);
	exe[n] = 0;
	for (int up = 0; up < 3; up++)
		*strrchr(exe, '/') = 0;
	snprintf(out, PATH_MAX, "%.4000s/share/tidegate/openapi.json", exe);
}

static inline void fx_open(struct fx *f)
{
	struct gw_error err = { 0 };
	uint8_t master[32] = { 7 };
	memset(f, 0, sizeof *f);
	fx_dir(f->dir);
	fx_openapi_path(f->openapi);
	f->store = fx_store(f->dir);
	ck_assert_int_eq(cp_keys_open(&f->keys, master, f->store, &err), GW_OK);
	f->auth = cp_auth_open(f->store, f->dir);
	f->catalog = fx_catalog();
	f->model = cp_model_open(f->store, f->catalog, &f->keys);
	cp_store_on_commit(f->store, cp_model_committed, f->model);
	struct cp_app app = { .model = f->model, .store = f->store, .auth = f->auth, .keys = &f->keys, .catalog = f->catalog,
			      .openapi_path = f->openapi, .channel_port = 8002, .commit = "" };
	enum gw_rc rc = cp_api_open(&f->api, &app, &err);
	ck_assert_msg(rc == GW_OK, "%s", err.text);
}

static inline void fx_close(struct fx *f)
{
	json_decref(f->json);
	cp_api_close(&f->api);
	cp_auth_close(&f->auth);
	cp_model_close(&f->model);
	gw_catalog_close(&f->catalog);
	cp_store_close(&f->store);
	fx_rmdir(f->dir);
}

/* `headers`: "Name: value" lines divided by \n; NULL: the local administrator calls. */
static inline unsigned fx_call(struct fx *f, const char *method, const char *target, const char *body, const char *headers)
{
	struct cp_pair pairs[16];
	struct cp_request rq = { .arena = gw_arena_open(0), .id = "01test", .method = gw_str_c(method), .headers = pairs,
				 .body = gw_str_c(body ? body : ""), .address = GW_STR("192.0.2.1"), .is_local = headers == NULL };
	struct cp_response rs = { .status = 200 };
	struct gw_error err = { 0 };
	struct gw_str rest = gw_str_c(headers ? headers : "");
	gw_buf_init(&rs.body, 64 << 20);
	pairs[rq.n_headers++] = (struct cp_pair){ GW_STR("Host"), GW_STR("console.test") };
	if (body != NULL && strstr(headers ? headers : "", "Content-Type") == NULL)
		pairs[rq.n_headers++] = (struct cp_pair){ GW_STR("Content-Type"), GW_STR("application/json") };
	while (rest.p != NULL && rest.n > 0) {
		struct gw_str line = gw_str_cut(&rest, '\n'), name = gw_str_cut(&line, ':');
		pairs[rq.n_headers++] = (struct cp_pair){ name, gw_str_trim(line) };
	}
	ck_assert_msg(cp_target_parse(&rq, gw_str_c(target), &err) == GW_OK, "%s", err.text);
	cp_api_handle(f->api, &rq, &rs);
	json_decref(f->json);
	f->json = NULL;
	f->status = rs.status;
	f->cookie[0] = f->etag[0] = f->header[0] = 0;
	for (size_t i = 0; i < rs.n_headers; i++) {
		size_t n = strlen(f->header);
		snprintf(f->header + n, sizeof f->header - n, "%.*s: %.*s\n", GW_FMT(rs.headers[i].name), GW_FMT(rs.headers[i].value));
		if (gw_str_is(rs.headers[i].name, "Set-Cookie"))
			snprintf(f->cookie, sizeof f->cookie, "%.*s", (int)strcspn(rs.headers[i].value.p, ";"), rs.headers[i].value.p);
		if (gw_str_is(rs.headers[i].name, "ETag"))
			snprintf(f->etag, sizeof f->etag, "%.*s", GW_FMT(rs.headers[i].value));
	}
	snprintf(f->text, sizeof f->text, "%.*s", GW_FMT(gw_buf_str(&rs.body)));
	if (rs.body.n > 0 && rs.content_type && strstr(rs.content_type, "json"))
		ck_assert_int_eq(gw_json_parse(&f->json, gw_buf_str(&rs.body), 64 << 20, NULL), GW_OK);
	gw_buf_fini(&rs.body);
	gw_arena_close(&rq.arena);
	return f->status;
}

/* A text member of the last answer by its path, "errors.0.code"; "" when absent. */
static inline const char *fx_text(struct fx *f, const char *path)
{
	struct gw_str rest = gw_str_c(path);
	const json_t *v = f->json;
	int64_t i;
	while (rest.p != NULL && v != NULL) {
		struct gw_str part = gw_str_cut(&rest, '.');
		v = json_is_array(v) && gw_str_int(part, 0, 10000, &i) ? json_array_get(v, (size_t)i)
								       : json_object_getn(v, part.p, part.n);
	}
	return json_is_string(v) ? json_string_value(v) : "";
}

#endif
