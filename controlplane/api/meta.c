/* meta.c - this process: version, health, its API's document, a backup. */
#include "api/internal.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"

void cp_api_get_version(struct cp_ctx *x)
{
	json_t *o = json_object();
	json_object_set_new(o, "version", json_string(TIDEGATE_VERSION));
	json_object_set_new(o, "commit", json_string(x->app->commit != NULL ? x->app->commit : ""));
	json_object_set_new(o, "api", json_string("v1"));
	json_object_set_new(o, "started_at", cp_time_json(x->app->started_at_ms));
	cp_answer(x, 200, o);
}

void cp_api_get_openapi(struct cp_ctx *x)
{
	x->rs->content_type = "application/json";
	x->rs->fixed = (struct gw_str){ x->api->openapi, x->api->openapi_n };
}

void cp_api_healthz(struct cp_ctx *x)
{
	json_t *o = json_object();
	json_object_set_new(o, "status", json_string("ok"));
	cp_answer(x, 200, o);
}

void cp_api_readyz(struct cp_ctx *x)
{
	struct cp_txn *t = NULL;
	struct gw_error err = { 0 };
	json_t *o = json_object();
	bool ok = cp_txn_begin(&t, x->app->store, &err) == GW_OK;
	cp_txn_end(&t);
	json_object_set_new(o, "status", json_string(ok ? "ok" : "unavailable"));
	if (!ok)
		json_object_set_new(o, "detail", json_string("the database cannot be read; the log says why"));
	if (!ok)
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "not ready", "%s", err.text);
	cp_answer(x, ok ? 200 : 503, o);
}

void cp_api_backup(struct cp_ctx *x)
{
	struct gw_error err = { 0 };
	char path[4096], stamp[GW_TIME_LEN];
	struct stat st = { 0 };
	if (x->app->backup_dir == NULL) {
		cp_problem(x, 503, "unavailable", NULL, "this control plane has no folder for backups");
		return;
	}
	gw_time_format(stamp, gw_now_ms());
	for (char *p = stamp; *p; p++)
		if (*p == ':' || *p == '.')
			*p = '-';
	snprintf(path, sizeof path, "%s/tidegate-%s.db", x->app->backup_dir, stamp);
	uint64_t revision = cp_store_revision(x->app->store);
	enum gw_rc rc = gw_dir_make(x->app->backup_dir, 0700, &err);
	if (rc == GW_OK)
		rc = cp_store_backup(x->app->store, path, &err);
	if (rc == GW_OK && stat(path, &st) != 0)
		rc = gw_fail(&err, GW_IO, NULL, "the backup %s is gone", path);
	if (rc != GW_OK) {
		cp_problem_error(x, &err);
		return;
	}
	struct cp_audit_note n = { .action = "backup.create", .outcome = "ok" };
	if (cp_audit_add(x->app->store, &x->actor, &n, &err) != GW_OK)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "backup not audited", "%s", err.text);
	json_t *o = json_object();
	json_object_set_new(o, "file", cp_text_json(gw_str_c(strrchr(path, '/') + 1)));
	json_object_set_new(o, "path", cp_text_json(gw_str_c(path)));
	json_object_set_new(o, "bytes", json_integer(st.st_size));
	json_object_set_new(o, "revision", json_integer((json_int_t)revision));
	cp_answer(x, 201, o);
}
