/*
 * main.c - tidegate-control: puts the parts together in the order in which they need each other, and waits.
 *
 *   settings → data directory and lock → keys → store → auth → authority → channel, hub, collector → API → httpd
 *
 * It stops in the reverse order: nobody is served who could still ask for something that is gone.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "alerts/alerts.h"
#include "api/api.h"
#include "auth/auth.h"
#include "auth/keys.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "collect/collect.h"
#include "compile/model.h"
#include "datadir.h"
#include "httpd/httpd.h"
#include "offline.h"
#include "publish/hub.h"
#include "settings.h"
#include "wire.h"
#include "ws/pki.h"
#include "ws/ws.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CP_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CP_SANITIZED
#endif
#endif

#define MAX_FILES         8192              /* libwebsockets sizes its tables by the limit of open files */
#define MAX_WORKERS       1024
#define MAX_QUEUED_TEXT   (8u << 20)        /* unsent text of one worker */
#define MAX_QUEUED_USAGE  200000            /* records */
#define RENEW_EVERY_S     3600
#define MAX_CATALOG       (8u << 20)

struct control {
	const struct cp_settings *set;
	int lock_fd;
	struct cp_keys keys;
	struct cp_store *store;
	struct cp_auth *auth;
	struct gw_catalog *catalog;
	json_t *catalog_json;
	struct cp_pki pki;
	char pki_dir[CP_PATH_MAX], backup_dir[CP_PATH_MAX], socket_path[CP_PATH_MAX];
	char openapi_path[CP_PATH_MAX], console_dir[CP_PATH_MAX];
	struct cp_model *model;
	struct cp_hub *hub;
	struct cp_collect *collect;
	struct cp_alerts *alerts;
	struct cp_ws *ws;
	struct cp_workers workers;
	struct cp_api *api;
	struct cp_httpd *httpd;
};

static const struct cp_actor system_actor = { .type = CP_ACTOR_SYSTEM, .name = { "system", 6 }, .role = { "admin", 5 } };

/* ---- the process ---- */

static void harden(void)
{
	struct rlimit files;
	umask(077);
	mallopt(M_ARENA_MAX, 2); /* many threads, little work: an arena each would only hold memory */
	signal(SIGPIPE, SIG_IGN);
#ifndef CP_SANITIZED /* which would keep the leak checker from looking at us */
	prctl(PR_SET_DUMPABLE, 0); /* no core file with keys in it, no ptrace by others of our uid */
#endif
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && (files.rlim_cur > MAX_FILES || files.rlim_cur == RLIM_INFINITY)) {
		files.rlim_cur = MAX_FILES;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static sigset_t block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before the first thread: all inherit it */
	return set;
}

/* ---- opening, part by part ---- */

static enum gw_rc open_keys(struct control *c, struct gw_error *err)
{
	uint8_t master[32];
	enum gw_rc rc = cp_master_key_load(master, c->set->data_dir, err);
	if (rc == GW_OK)
		rc = cp_offline_store(&c->store, c->set->data_dir, err);
	if (rc == GW_OK)
		rc = cp_keys_open(&c->keys, master, c->store, err);
	gw_secret_wipe(master, sizeof master);
	return rc;
}

static enum gw_rc open_catalog(struct control *c, struct gw_error *err)
{
	char path[4096];
	struct gw_buf b;
	enum gw_rc rc = gw_share_path(path, "catalog.json", err);
	if (rc != GW_OK)
		return rc;
	gw_buf_init(&b, MAX_CATALOG);
	rc = gw_file_read(&b, path, err);
	if (rc == GW_OK)
		rc = gw_catalog_parse(&c->catalog, gw_buf_str(&b), err);
	if (rc == GW_OK)
		rc = gw_json_parse(&c->catalog_json, gw_buf_str(&b), MAX_CATALOG, err);
	gw_buf_fini(&b);
	return rc;
}

static bool join_token_known(struct control *c, struct gw_str id)
{
	struct gw_arena *a = gw_arena_open(0);
	struct cp_txn *t = NULL;
	struct cp_record r;
	bool known = cp_txn_begin(&t, c->store, NULL) == GW_OK &&
	    cp_get(t, GW_KIND_JOIN_TOKEN, id, a, &r, NULL) == GW_OK;
	cp_txn_end(&t);
	gw_arena_close(&a);
	return known;
}

/* DIR/join-token lets the workers of this machine join.  It is made anew when it is of another authority or revoked. */
static enum gw_rc open_join_token(struct control *c, struct gw_error *err)
{
	char path[CP_PATH_MAX];
	struct gw_buf b;
	struct gw_join_token token;
	cp_datadir_path(path, c->set->data_dir, "join-token");
	gw_buf_init(&b, 4096);
	enum gw_rc rc = gw_file_read_secret(&b, path, err);
	bool good = rc == GW_OK && gw_join_token_parse(gw_str_trim(gw_buf_str(&b)), &token) &&
	    gw_str_is(token.fingerprint, c->pki.fingerprint) && join_token_known(c, token.id);
	gw_buf_fini(&b);
	if (good || (rc != GW_OK && rc != GW_NOTFOUND))
		return rc;
	struct cp_token_made made;
	rc = cp_join_token_create(c->store, &system_actor, GW_STR("local"), 0, gw_str_c(c->pki.fingerprint), &made, err);
	if (rc == GW_OK)
		rc = gw_file_replace(path, gw_str_c(made.secret), 0600, err);
	gw_secret_wipe(&made, sizeof made);
	return rc;
}

static bool take_usage(void *arg, uint64_t connection, struct gw_str node, struct gw_str boot_id, json_t *records)
{
	return cp_collect_usage(((struct control *)arg)->collect, connection, node, boot_id, records);
}

static bool take_rows(void *arg, uint64_t connection, struct gw_str node, struct gw_usage_rows *rows)
{
	return cp_collect_rows(((struct control *)arg)->collect, connection, node, rows);
}

static bool take_series(void *arg, uint64_t connection, struct gw_str node, struct gw_str boot_id, int64_t seq, int64_t at_ms,
    json_t *rows)
{
	return cp_collect_series(((struct control *)arg)->collect, connection, node, boot_id, seq, at_ms, rows);
}

static void take_capture(void *arg, struct gw_str node, struct gw_str boot_id, json_t *records)
{
	cp_collect_capture(((struct control *)arg)->collect, node, boot_id, records);
}

static void take_node(void *arg, const struct cp_node_row *row)
{
	cp_collect_node(((struct control *)arg)->collect, row);
}

static void take_worker(void *arg, uint64_t connection, struct gw_str node, struct gw_str boot_id)
{
	cp_collect_worker(((struct control *)arg)->collect, connection, node, boot_id);
}

static void worker_gone(void *arg, uint64_t connection)
{
	cp_collect_gone(((struct control *)arg)->collect, connection);
}

static void take_quota_use(void *arg, uint64_t connection, json_t *items, json_t *boots)
{
	cp_collect_quota_use(((struct control *)arg)->collect, connection, items, boots);
}

static void send_quotas(void *arg, uint64_t connection, json_t *items)
{
	cp_hub_send_quotas(((struct control *)arg)->hub, connection, items);
}

static void quota_changed(void *arg)
{
	cp_collect_quotas_changed(((struct control *)arg)->collect, true);
}

static void usage_stored(void *arg, uint64_t connection, struct gw_str boot_id, int64_t seq)
{
	cp_hub_usage_stored(((struct control *)arg)->hub, connection, boot_id, seq);
}

static void series_stored(void *arg, uint64_t connection, struct gw_str boot_id, int64_t seq)
{
	cp_hub_series_stored(((struct control *)arg)->hub, connection, boot_id, seq);
}

/* In this order: the hub publishes what the model has. */
static void committed(void *arg, uint64_t revision)
{
	struct control *c = arg;
	cp_model_committed(c->model, revision);
	cp_hub_committed(c->hub, revision);
	if (c->collect)
		cp_collect_quotas_changed(c->collect, false);
}

static enum gw_rc open_channel(struct control *c, struct gw_error *err)
{
	const struct cp_settings *s = c->set;
	c->model = cp_model_open(c->store, c->catalog, &c->keys);
	struct cp_hub_options h = { .store = c->store, .keys = &c->keys, .model = c->model, .hello_ms = s->hello_ms,
		.answer_ms = s->answer_ms, .heartbeat_ms = s->heartbeat_ms, .usage = take_usage, .rows = take_rows, .series = take_series,
		.worker = take_worker, .gone = worker_gone, .quota_use = take_quota_use,
		.capture = take_capture,
		.node = take_node, .arg = c };
	c->hub = cp_hub_open(&h);
	struct cp_ws_options w = { .listen = s->channel_listen, .cert = c->pki.server_cert, .key = c->pki.server_key,
		.path = GW_WIRE_PATH, .subprotocol = GW_WIRE_SUBPROTOCOL, .max_text = GW_WIRE_MAX_TEXT,
		.queue_bytes = MAX_QUEUED_TEXT, .max_connections = MAX_WORKERS, .stall_ms = s->answer_ms,
		.on = cp_hub_handlers(c->hub) };
	enum gw_rc rc = cp_ws_open(&c->ws, &w, err);
	if (rc != GW_OK)
		return rc;
	struct cp_collect_options o = { .store = c->store, .max_records = MAX_QUEUED_USAGE,
		.stored = usage_stored, .series_stored = series_stored, .quotas = send_quotas, .arg = c };
	c->collect = cp_collect_open(&o);
	cp_store_on_commit(c->store, committed, c);
	c->workers = cp_hub_workers(c->hub);
	return GW_OK;
}

static int64_t series_rows(void *arg)
{
	return cp_collect_series_rows(((struct control *)arg)->collect);
}

static void certificates(void *arg, void (*each)(void *to, const char *name, int64_t expires_at_ms), void *to)
{
	const struct control *c = arg;
	int64_t ends;
	if (c->set->tls_cert && cp_cert_expires(c->set->tls_cert, &ends, NULL) == GW_OK)
		each(to, "console", ends);
	if (cp_cert_expires(c->pki.server_cert, &ends, NULL) == GW_OK)
		each(to, "channel", ends);
}

static void open_alerts(struct control *c)
{
	struct cp_alerts_options o = { .store = c->store, .keys = &c->keys, .workers = &c->workers, .certificates = certificates, .arg = c };
	c->alerts = cp_alerts_open(&o);
}

static enum gw_rc open_api(struct control *c, int64_t started_at_ms, struct gw_error *err)
{
	struct cp_app app = { .store = c->store, .auth = c->auth, .keys = &c->keys, .catalog = c->catalog,
		.model = c->model, .catalog_json = c->catalog_json, .workers = &c->workers, .openapi_path = c->openapi_path,
		.console_dir = c->console_dir, .ca_fingerprint = c->pki.fingerprint, .channel_port = cp_ws_port(c->ws),
		.started_at_ms = started_at_ms, .commit = "", .backup_dir = c->backup_dir,
		.alerts = c->alerts, .series_rows = series_rows, .series_arg = c, .quota_changed = quota_changed, .quota_arg = c };
	enum gw_rc rc = cp_api_open(&c->api, &app, err);
	if (rc != GW_OK)
		return rc;
	struct cp_httpd_options o = { .listen = c->set->console_listen, .socket_path = c->socket_path,
		.tls_cert = c->set->tls_cert, .tls_key = c->set->tls_key, .max_body = cp_api_max_body,
		.handle = cp_api_handle, .refuse = cp_api_refuse, .arg = c->api };
	return cp_httpd_open(&c->httpd, &o, err);
}

static enum gw_rc open_paths(struct control *c, struct gw_error *err)
{
	const char *dir = c->set->data_dir;
	cp_datadir_path(c->pki_dir, dir, "pki");
	cp_datadir_path(c->backup_dir, dir, "backups");
	cp_datadir_path(c->socket_path, dir, "control.sock");
	enum gw_rc rc = gw_share_path(c->openapi_path, "openapi.json", err);
	if (rc == GW_OK && gw_share_path(c->console_dir, "console", NULL) != GW_OK)
		gw_log(GW_LOG_WARN, NULL, GW_STR_NONE, "the console is not installed, only the API is served", "path=%s",
		    c->console_dir);
	return rc;
}

/* ---- what a person at the terminal reads ---- */

static void console_url(const struct control *c, char out[300])
{
	const char *listen = c->set->console_listen, *colon = strrchr(listen, ':');
	struct gw_str host = { listen, colon ? (size_t)(colon - listen) : 0 };
	if (!host.n || gw_str_is(host, "0.0.0.0") || gw_str_is(host, "[::]") || gw_str_is(host, "*"))
		host = GW_STR("localhost");
	snprintf(out, 300, "%s://%.*s:%u", c->set->tls_cert ? "https" : "http", (int)(host.n < 256 ? host.n : 256), host.p,
	    cp_httpd_port(c->httpd));
}

static void first_steps(const struct control *c, const char *token)
{
	char url[300];
	if (!token[0] || c->set->supervised)
		return;
	console_url(c, url);
	printf("First start: open %s and enter the setup token %s\n", url, token);
	fflush(stdout);
}

static enum gw_rc start(struct control *c, struct gw_error *err)
{
	char setup_path[CP_PATH_MAX], url[300], token[64] = "";
	int64_t began = gw_now_ms();
	enum gw_rc rc = open_paths(c, err);
	if (rc == GW_OK)
		rc = open_keys(c, err);
	if (rc == GW_OK)
		rc = open_catalog(c, err);
	if (rc == GW_OK)
		rc = cp_pki_open(&c->pki, c->pki_dir, c->set->channel_names, began, err);
	if (rc == GW_OK)
		rc = open_join_token(c, err);
	if (rc != GW_OK)
		return rc;
	cp_datadir_path(setup_path, c->set->data_dir, "setup-token");
	bool token_was_there = access(setup_path, F_OK) == 0;
	c->auth = cp_auth_open(c->store, c->set->data_dir);
	if (c->set->admin_password_file)
		rc = cp_setup_from_file(c->auth, c->set->admin_password_file, err);
	if (rc == GW_OK)
		rc = cp_setup_token(c->auth, token, err); /* before the first answer: who sees one may look for the file */
	if (rc == GW_OK)
		rc = open_channel(c, err);
	if (rc == GW_OK)
		open_alerts(c);
	if (rc == GW_OK)
		rc = open_api(c, began, err);
	if (rc == GW_OK && !token_was_there)
		first_steps(c, token);
	gw_secret_wipe(token, sizeof token);
	if (rc != GW_OK)
		return rc;
	cp_hub_start(c->hub, c->ws);
	cp_ws_start(c->ws);
	console_url(c, url);
	gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "control plane is ready", "console=%s channel_port=%u revision=%llu pid=%d ms=%lld",
	    url, cp_ws_port(c->ws), (unsigned long long)cp_store_revision(c->store), (int)getpid(),
	    (long long)(gw_now_ms() - began));
	return GW_OK;
}

/* ---- running ---- */

static void renew_certificate(struct control *c)
{
	struct gw_error err = { 0 };
	struct cp_pki p;
	if (cp_pki_open(&p, c->pki_dir, c->set->channel_names, gw_now_ms(), &err) != GW_OK) {
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "channel certificate cannot be checked", "%s", err.text);
	} else if (p.renewed) {
		gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "channel certificate renewed", NULL);
		cp_ws_reload_cert(c->ws);
	}
}

static void reload_console_tls(struct control *c)
{
	struct gw_error err = { 0 };
	if (!c->set->tls_cert)
		return;
	if (cp_httpd_reload_tls(c->httpd, &err) == GW_OK)
		gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "console certificate read again", NULL);
	else
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "console certificate kept", "%s", err.text);
}

static void wait_for_end(struct control *c, const sigset_t *set)
{
	struct timespec hour = { .tv_sec = RENEW_EVERY_S };
	for (;;) {
		int sig = sigtimedwait(set, NULL, &hour);
		if (sig == SIGTERM || sig == SIGINT) {
			gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "stopping", "signal=%s", sig == SIGTERM ? "TERM" : "INT");
			return;
		}
		if (sig == SIGHUP)
			reload_console_tls(c);
		renew_certificate(c);
	}
}

static void stop(struct control *c)
{
	if (c->hub && c->ws)
		cp_hub_stop(c->hub);          /* also wakes API threads that wait for workers */
	cp_httpd_close(&c->httpd);
	cp_api_close(&c->api);
	cp_alerts_close(&c->alerts);
	cp_ws_close(&c->ws);
	cp_collect_close(&c->collect);
	if (c->store && c->hub)
		cp_store_on_commit(c->store, NULL, NULL);
	cp_hub_close(&c->hub);
	cp_model_close(&c->model);
	cp_auth_close(&c->auth);
	cp_store_close(&c->store);
	gw_catalog_close(&c->catalog);
	json_decref(c->catalog_json);
	cp_keys_wipe(&c->keys);
}

static int run(const struct cp_settings *set)
{
	struct control *c = gw_alloc(sizeof *c);
	struct gw_error err = { 0 };
	sigset_t signals = block_signals();
	c->set = set;
	c->lock_fd = -1;
	enum gw_rc rc = cp_datadir_prepare(set->data_dir, &err);
	if (rc == GW_OK)
		rc = cp_datadir_become_owner(set->data_dir, &err);
	if (rc == GW_OK)
		rc = cp_datadir_lock(&c->lock_fd, set->data_dir, &err);
	if (rc == GW_OK) {
		rc = start(c, &err);
		if (rc == GW_OK)
			wait_for_end(c, &signals);
		else
			gw_complain("%s%s%s", err.path, err.path[0] ? ": " : "", err.text);
		stop(c);
		close(c->lock_fd);
	} else {
		gw_complain("%s", err.text);
	}
	free(c);
	if (rc == GW_OK)
		gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "stopped", NULL);
	return rc == GW_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct cp_settings set; /* its texts live as long as the process */
	gw_log_setup(GW_LOG_JSON, GW_LOG_INFO, "tidegate-control");
	if (!cp_settings_parse(&set, argc, argv))
		return 2;
	gw_log_setup(set.log_format, set.verbose ? GW_LOG_DEBUG : GW_LOG_INFO, "tidegate-control");
	harden();
	cp_notify_setup();
	gw_json_setup();
	switch (set.command) {
	case CP_SHOW_HELP: cp_settings_help(&set); return 0;
	case CP_SHOW_VERSION: puts("tidegate-control " TIDEGATE_VERSION); return 0;
	case CP_RUN: return run(&set);
	default: return cp_offline(&set);
	}
}
