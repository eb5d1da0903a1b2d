/*
 * main.c - tidegate-worker: put the parts together, wait for signals, take them apart.
 *
 * The signals that end or change a worker are blocked in every thread and fetched here one by one; a handler runs only
 * for those that mean a bug (net/crash.h).  POST /drain and the control plane's drain are a SIGTERM to ourselves.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin.h"
#include "apply/channel.h"
#include "apply/fleet.h"
#include "apply/tryon.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"
#include "catalog.h"
#include "memory.h"
#include "net/crash.h"
#include "net/dial.h"
#include "settings.h"
#include "straitjacket.h"

#define DRAIN_GRACE_MS 200

struct worker {
	struct dp_settings st;
	struct dp_memory memory;
	struct gw_catalog *catalog;
	struct dp_ledger *ledger;
	struct dp_access_log *access_log;
	struct dp_otlp *otlp;
	struct dp_captures *captures;          /* only with a control plane to send them to */
	struct dp_fleet *fleet;
	struct dp_admin *admin;
	struct dp_channel *channel;
	sigset_t signals;
	char log_dir[4200];
};

static int print_catalog(void)
{
	struct gw_catalog *c = dp_catalog_build();
	json_t *doc = gw_catalog_json(c);
	struct gw_buf out;
	enum gw_rc rc;

	gw_buf_init(&out, 16u << 20);
	rc = gw_json_write(&out, doc, false);
	json_decref(doc);
	gw_catalog_close(&c);
	if (rc == GW_OK)
		printf("%.*s\n", (int)out.n, out.p);
	gw_buf_fini(&out);
	return rc == GW_OK && fflush(stdout) == 0 ? 0 : 1;
}

static bool control_up(void *arg)
{
	return dp_channel_up(((struct worker *)arg)->channel);
}

static void ask_to_drain(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

static enum gw_rc load_static(struct worker *w, struct gw_error *err)
{
	struct gw_snapshot *s;
	enum gw_rc rc = dp_tryon_file(&s, w->st.static_config, w->catalog, err);

	if (rc != GW_OK)
		return rc;
	gw_log(GW_LOG_INFO, "snapshot", gw_str_c(w->st.static_config), "serving", "revision=%llu",
	       (unsigned long long)gw_snapshot_revision(s));
	dp_fleet_swap(w->fleet, s);
	return GW_OK;
}

static enum gw_rc open_channel(struct worker *w, const struct dp_addr *data, struct gw_error *err)
{
	struct dp_channel_setup setup = {
		.settings = &w->st, .catalog = w->catalog, .fleet = w->fleet, .ledger = w->ledger, .drain = ask_to_drain, .arg = w,
	};

	dp_addr_text(data, setup.listen);
	return dp_channel_open(&w->channel, &setup, err);
}

static const char *log_dir(struct worker *w)
{
	if (w->st.log_dir || !w->st.state_dir)
		return w->st.log_dir;
	snprintf(w->log_dir, sizeof w->log_dir, "%s/log", w->st.state_dir);
	return w->log_dir;
}

static enum gw_rc start(struct worker *w, struct gw_error *err)
{
	struct dp_addr data_at, admin_at, data, admin;
	struct dp_admin_sources from = { .ledger = w->st.control ? w->ledger : NULL, .control_up = control_up, .drain = ask_to_drain, .arg = w,
	                                 .memory = w->memory };
	struct dp_access_log_setup log = { .loops = (size_t)w->st.loops, .dir = log_dir(w), .syslog_socket = w->st.syslog_socket };
	char text[DP_ADDR_TEXT], text2[DP_ADDR_TEXT];
	enum gw_rc rc = dp_listen_parse(gw_str_c(w->st.listen), &data_at, "--listen", err);

	if (rc == GW_OK)
		rc = dp_listen_parse(gw_str_c(w->st.admin_listen), &admin_at, "--admin-listen", err);
	if (rc == GW_OK)
		rc = dp_tls_roots(w->st.ca_file, err);
	if (rc != GW_OK)
		return rc;
	w->access_log = dp_access_log_open(&log);
	if (w->st.control)
		w->captures = dp_captures_open();
	rc = dp_otlp_open(&w->otlp, w->st.name, err);
	if (rc != GW_OK)
		return rc;
	w->fleet = dp_fleet_open((size_t)w->st.loops, &(struct dp_shared){
		.ledger = w->st.control ? w->ledger : NULL, .access_log = w->access_log, .otlp = w->otlp, .captures = w->captures });
	rc = dp_fleet_listen(w->fleet, &data_at, &data, err);
	if (rc == GW_OK && w->st.static_config)
		rc = load_static(w, err);
	else if (rc == GW_OK)
		rc = open_channel(w, &data, err);
	if (rc == GW_OK)
		rc = dp_fleet_start(w->fleet, err);
	from.fleet = w->fleet;
	if (rc == GW_OK) /* threads that send messages to the loops come after the loops */
		rc = dp_admin_open(&w->admin, &admin_at, &from, &admin, err);
	if (rc == GW_OK && w->channel)
		rc = dp_channel_start(w->channel, dp_addr_text(&admin, text), err);
	if (rc != GW_OK)
		return rc;
	gw_log(GW_LOG_INFO, "worker", gw_str_c(w->st.name), "listening", "data=%s admin=%s loops=%lld version=%s",
	       dp_addr_text(&data, text), dp_addr_text(&admin, text2), (long long)w->st.loops, TIDEGATE_VERSION);
	return GW_OK;
}

static int64_t drain_limit_ms(struct worker *w)
{
	struct gw_snapshot *s = dp_fleet_snapshot(w->fleet);
	int64_t ms = s ? gw_snapshot_settings(s)->drain_timeout_ms : 30000;

	gw_snapshot_unref(&s);
	return ms;
}

/*
 * Requests in flight finish, and so does what has begun to come: half a head, half a handshake.  A second signal or the
 * limit ends them.  The grace is for requests that were accepted but not read yet: nobody counts them.
 */
static bool is_busy(struct worker *w)
{
	return dp_fleet_busy(w->fleet) > 0 || dp_fleet_beginning(w->fleet) > 0;
}

static void drain(struct worker *w)
{
	int64_t now = gw_mono_ms(), until = now + drain_limit_ms(w), grace = now + DRAIN_GRACE_MS;
	const struct timespec pause = { 0, 10 * 1000 * 1000 };

	gw_log(GW_LOG_INFO, "worker", gw_str_c(w->st.name), "draining", "in_flight=%zu", dp_fleet_busy(w->fleet));
	dp_channel_draining(w->channel);
	dp_fleet_drain(w->fleet);
	while ((is_busy(w) || gw_mono_ms() < grace) && gw_mono_ms() < until) {
		int sig = sigtimedwait(&w->signals, NULL, &pause);

		if (sig == SIGTERM || sig == SIGINT)
			break;
	}
	if (dp_fleet_busy(w->fleet) > 0)
		gw_log(GW_LOG_WARN, "worker", gw_str_c(w->st.name), "cutting off", "in_flight=%zu", dp_fleet_busy(w->fleet));
	dp_fleet_cut(w->fleet);
}

static void run(struct worker *w)
{
	struct gw_error err = { .text = "" };

	for (;;) {
		int sig = sigwaitinfo(&w->signals, NULL);

		if (sig == SIGTERM || sig == SIGINT)
			break;
		if (sig == SIGHUP)
			dp_access_log_reopen(w->access_log);
		if (sig == SIGHUP && w->st.static_config && load_static(w, &err) != GW_OK)
			gw_log(GW_LOG_ERROR, "snapshot", gw_str_c(w->st.static_config), "not applied", "path=%s: %s", err.path, err.text);
	}
	drain(w);
}

static void stop(struct worker *w)
{
	dp_channel_close(&w->channel); /* sends what is left of the usage first */
	dp_admin_close(&w->admin);
	dp_fleet_close(&w->fleet);
	dp_access_log_close(&w->access_log);
	dp_otlp_close(&w->otlp);
	dp_captures_close(&w->captures);
	dp_ledger_close(&w->ledger);
	gw_catalog_close(&w->catalog);
}

static int serve(const struct dp_settings *st)
{
	struct worker w = { .st = *st };
	struct gw_error err = { .text = "" };
	char host[128] = "worker";
	enum gw_rc rc;

	dp_straitjacket();
	dp_net_setup();
	dp_memory_of_process(&w.memory, (size_t)st->memory_limit_mib << 20, "");
	if (w.memory.bytes)
		dp_bodies_limit(w.memory.bytes / 2);
	sigemptyset(&w.signals);
	sigaddset(&w.signals, SIGTERM);
	sigaddset(&w.signals, SIGINT);
	sigaddset(&w.signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &w.signals, NULL);
	gethostname(host, sizeof host - 1);
	if (!w.st.name)
		w.st.name = host;
	w.catalog = dp_catalog_build();
	w.ledger = dp_ledger_open();
	rc = start(&w, &err);
	if (rc == GW_OK)
		run(&w);
	else
		gw_complain("%s%s%s", err.path, err.path[0] ? ": " : "", err.text);
	stop(&w);
	gw_log(GW_LOG_INFO, "worker", gw_str_c(st->name), "stopped", NULL);
	return rc == GW_OK ? 0 : rc == GW_INVALID ? 2 : 1;
}

int main(int argc, char **argv)
{
	struct dp_settings st;
	struct gw_error err = { .text = "" };

	gw_log_setup(GW_LOG_JSON, GW_LOG_INFO, "tidegate-worker");
	gw_json_setup();
	switch (dp_settings_read(&st, argc, argv, &err)) {
	case DP_START_CATALOG:
		return print_catalog();
	case DP_START_VERSION:
		printf("tidegate-worker %s\n", TIDEGATE_VERSION);
		return 0;
	case DP_START_HELP:
		dp_settings_help();
		return 0;
	case DP_START_WRONG:
		gw_complain("%s", err.text);
		return 2;
	case DP_START_RUN:
		break;
	}
	gw_log_setup(st.log_format, st.log_level, "tidegate-worker");
	dp_crash_setup("tidegate-worker", TIDEGATE_VERSION, st.log_format == GW_LOG_JSON);
	return serve(&st);
}
