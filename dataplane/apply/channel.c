/* channel.c - the conversation with the control plane. */
#include "apply/channel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "apply/calls.h"
#include "apply/link.h"
#include "apply/state.h"
#include "apply/telemetry.h"
#include "apply/tryon.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "wire.h"

#define BATCHES_AHEAD 4          /* usage messages sent and not acknowledged */
#define EARLIER_AHEAD 2          /* ... of earlier processes: what is new is not to wait long */
#define CAPTURES_AHEAD (256u << 10)
#define FAREWELL_MS   1500
#define STEADY_MS     10000      /* a channel that stood this long did not fail */

struct answer { struct answer *next; json_t *message; };

struct dp_channel {
	unsigned magic;
#define DP_CHANNEL_MAGIC 0xc4a44e1u
	struct dp_channel_setup s;
	struct dp_state state;
	struct dp_link *link;
	struct dp_caller caller;
	struct dp_telemetry *telemetry;
	char admin[DP_ADDR_TEXT];
	struct gw_join_token join;   /* borrowed from token */
	char token[520], boot_id[33], catalog_digest[GW_HEX_LEN(32)];
	int64_t started_wall_ms;

	/* the link's thread only */
	bool welcome;
	uint8_t snapshot_key[32];
	int64_t heartbeat_ms, next_heartbeat_ms, welcome_ms, sent_seq, acked_seq;
	unsigned ahead;
	struct dp_earlier { char boot_id[33]; int64_t sent_seq; unsigned ahead; } earlier;  /* whose rows are being sent */
	bool wants_series, wants_rows; /* the control plane takes them */
	bool last_cut, bye_sent;
	char last_why[200];

	_Atomic bool up, draining, closing, urgent;
	pthread_mutex_t lock;        /* guards the answers and `done` */
	pthread_cond_t farewell;
	struct answer *answers, **answers_end;
	bool done;
};

static void send_doc(struct dp_channel *c, json_t *m)
{
	struct gw_buf b;

	gw_buf_init(&b, GW_WIRE_MAX_TEXT);
	if (gw_json_write(&b, m, false) == GW_OK)
		dp_link_send(c->link, gw_buf_str(&b));
	else
		gw_log(GW_LOG_ERROR, "channel", GW_STR_NONE, "message too large to send", NULL);
	gw_buf_fini(&b);
	json_decref(m);
}

/* ---- hello, heartbeat ---- */

static void put_text(json_t *o, const char *name, const char *value)
{
	gw_json_set_str(o, name, gw_str_c(value));
}

static json_t *serving(struct dp_channel *c)
{
	struct gw_snapshot *s = dp_fleet_snapshot(c->s.fleet);
	struct gw_digest state;
	json_t *o;
	char hex[GW_HEX_LEN(32)];

	if (!s)
		return json_null();
	o = json_object();
	gw_hex(hex, gw_snapshot_digest(s)->sha256, 32);
	gw_json_set_str(o, "epoch", gw_snapshot_epoch(s));
	json_object_set_new(o, "revision", json_integer((json_int_t)gw_snapshot_revision(s)));
	put_text(o, "digest", hex);
	gw_snapshot_state(&state, s);
	gw_hex(hex, state.sha256, 32);
	put_text(o, "state", hex);
	gw_snapshot_unref(&s);
	return o;
}

static void say_hello(struct dp_channel *c)
{
	json_t *m = gw_wire_new(GW_WIRE_HELLO), *formats = json_array();

	json_array_append_new(formats, json_integer(GW_SNAPSHOT_FORMAT));
	json_object_set_new(m, "protocol", json_integer(GW_WIRE_PROTOCOL));
	put_text(m, "name", c->s.settings->name);
	put_text(m, "node_id", c->state.node_id);
	put_text(m, "boot_id", c->boot_id);
	put_text(m, "version", TIDEGATE_VERSION);
	json_object_set_new(m, "formats", formats);
	put_text(m, "catalog_digest", c->catalog_digest);
	put_text(m, "listen", c->s.listen);
	put_text(m, "admin", c->admin);
	json_object_set_new(m, "pid", json_integer(getpid()));
	gw_json_set_time(m, "started_at", c->started_wall_ms);
	json_object_set_new(m, "deltas", json_integer(1));
	json_object_set_new(m, "serving", serving(c));
	send_doc(c, m);
}

static int64_t rss_bytes(void)
{
	struct gw_buf b;
	struct gw_str s;
	int64_t pages = 0;

	gw_buf_init(&b, 256);
	if (gw_file_read(&b, "/proc/self/statm", NULL) == GW_OK) {
		s = gw_buf_str(&b);
		(void)gw_str_cut(&s, ' ');
		(void)gw_str_int(gw_str_cut(&s, ' '), 0, INT64_MAX / 65536, &pages);
	}
	gw_buf_fini(&b);
	return pages * sysconf(_SC_PAGESIZE);
}

static void heartbeat(struct dp_channel *c)
{
	json_t *m = gw_wire_new(GW_WIRE_HEARTBEAT);
	struct gw_snapshot *s = dp_fleet_snapshot(c->s.fleet);
	struct dp_counters_figures counters;

	json_object_set_new(m, "revision", json_integer(s ? (json_int_t)gw_snapshot_revision(s) : 0));
	put_text(m, "state", atomic_load(&c->draining) ? "draining" : s ? "serving" : "starting");
	json_object_set_new(m, "in_flight", json_integer((json_int_t)dp_fleet_busy(c->s.fleet)));
	json_object_set_new(m, "requests", json_integer(dp_fleet_requests(c->s.fleet)));
	json_object_set_new(m, "errors", json_integer(dp_fleet_errors(c->s.fleet)));
	json_object_set_new(m, "connections", json_integer((json_int_t)dp_client_count()));
	json_object_set_new(m, "rss_bytes", json_integer(rss_bytes()));
	json_object_set_new(m, "usage_dropped", json_integer(dp_ledger_dropped(c->s.ledger)));
	dp_counters_figures(dp_fleet_counters(c->s.fleet), &counters);
	json_object_set_new(m, "counters_away", json_integer(counters.away != 0));
	json_object_set_new(m, "providers_out", dp_telemetry_providers_out(c->telemetry));
	gw_snapshot_unref(&s);
	send_doc(c, m);
	c->next_heartbeat_ms = gw_mono_ms() + c->heartbeat_ms;
}

/* ---- configuration ---- */

static void nack(struct dp_channel *c, int64_t revision, const char *path, const char *text)
{
	json_t *m = gw_wire_new(GW_WIRE_NACK);

	gw_log(GW_LOG_ERROR, "snapshot", GW_STR_NONE, "refused", "revision=%lld path=%s: %s", (long long)revision, path, text);
	json_object_set_new(m, "revision", json_integer(revision));
	put_text(m, "path", path);
	put_text(m, "text", text);
	send_doc(c, m);
}

/* `digest` is that of the message, which is all that a control plane without deltas knows. */
static void ack(struct dp_channel *c, const struct gw_snapshot *s, struct gw_str digest, int64_t apply_ms)
{
	json_t *m = gw_wire_new(GW_WIRE_ACK);
	struct gw_digest state;
	char hex[GW_HEX_LEN(32)];

	gw_snapshot_state(&state, s);
	gw_hex(hex, state.sha256, 32);
	json_object_set_new(m, "revision", json_integer((json_int_t)gw_snapshot_revision(s)));
	gw_json_set_str(m, "digest", digest);
	put_text(m, "state", hex);
	json_object_set_new(m, "apply_ms", json_integer(apply_ms));
	json_object_set_new(m, "unknown", json_integer((json_int_t)gw_snapshot_unknown(s)));
	send_doc(c, m);
}

static bool older_than_served(struct dp_channel *c, const struct gw_wire *w)
{
	struct gw_snapshot *s = dp_fleet_snapshot(c->s.fleet);
	bool older = s && gw_str_eq(gw_snapshot_epoch(s), w->epoch) && (uint64_t)w->revision < gw_snapshot_revision(s);

	gw_snapshot_unref(&s);
	return older;
}

static struct dp_delta delta_of(const struct gw_wire *w)
{
	struct dp_delta d = { w->epoch, w->payload, (uint64_t)w->base, (uint64_t)w->revision, { { 0 } } };

	(void)gw_unhex(d.state.sha256, sizeof d.state.sha256, w->snapshot_state); /* checked by wire.c */
	return d;
}

static enum gw_rc try_message(struct dp_channel *c, const struct gw_wire *w, struct gw_snapshot **out, struct gw_error *err)
{
	struct gw_snapshot *base;
	struct dp_delta d;
	enum gw_rc rc;

	if (w->type == GW_WIRE_SNAPSHOT)
		return dp_tryon(out, w->payload, c->snapshot_key, c->s.catalog, err);
	base = dp_fleet_snapshot(c->s.fleet);
	d = delta_of(w);
	rc = base ? dp_tryon_delta(out, base, &d, c->snapshot_key, c->s.catalog, err) :
		gw_fail(err, GW_CONFLICT, NULL, "this worker has no configuration yet, so there is nothing to change");
	gw_snapshot_unref(&base);
	return rc;
}

/* The change alone where that is enough, else the whole. */
static void keep_on_disk(struct dp_channel *c, const struct gw_wire *w, struct gw_str message, const struct gw_snapshot *s)
{
	struct gw_error err = { .text = "" };
	struct gw_buf whole;
	enum gw_rc rc = GW_CONFLICT;

	if (w->type == GW_WIRE_DELTA)
		rc = dp_state_add(&c->state, message, c->snapshot_key, &err);
	if (rc == GW_CONFLICT && w->type == GW_WIRE_SNAPSHOT) {
		rc = dp_state_save(&c->state, w->payload, c->snapshot_key, &err);
	} else if (rc == GW_CONFLICT) {
		gw_buf_init(&whole, GW_SNAPSHOT_MAX_BYTES);
		rc = gw_snapshot_write(&whole, s, &err);
		if (rc == GW_OK)
			rc = dp_state_save(&c->state, gw_buf_str(&whole), c->snapshot_key, &err);
		gw_buf_fini(&whole);
	}
	if (rc != GW_OK)
		gw_log(GW_LOG_ERROR, "snapshot", GW_STR_NONE, "not kept on disk", "%s", err.text);
}

static void take_configuration(struct dp_channel *c, const struct gw_wire *w, struct gw_str message)
{
	struct gw_error err = { .text = "" };
	struct gw_snapshot *s, *mine;
	int64_t t0 = gw_mono_ms();

	if (older_than_served(c, w)) {
		nack(c, w->revision, "", "older than the revision being served");
		return;
	}
	if (try_message(c, w, &s, &err) != GW_OK) {
		nack(c, w->revision, err.path, err.text);
		return;
	}
	mine = gw_snapshot_ref(s);
	dp_fleet_swap(c->s.fleet, s);
	ack(c, mine, w->digest, gw_mono_ms() - t0);
	gw_log(GW_LOG_INFO, "snapshot", GW_STR_NONE, "serving", "revision=%lld %s=%zu ms=%lld unknown=%zu", (long long)w->revision,
	       w->type == GW_WIRE_DELTA ? "delta_bytes" : "bytes", w->payload.n, (long long)(gw_mono_ms() - t0),
	       gw_snapshot_unknown(mine));
	keep_on_disk(c, w, message, mine);
	gw_snapshot_unref(&mine);
}

/* What is being put together from the disk. */
struct loaded {
	struct dp_channel *c;
	struct gw_snapshot *s;
	const uint8_t *key;
};

static enum gw_rc replay_one(void *arg, const struct gw_wire *w, struct gw_error *err)
{
	struct loaded *l = arg;
	struct dp_delta d = delta_of(w);
	struct gw_snapshot *next;
	enum gw_rc rc;

	/* Left over from before the snapshot was written, see dp_state_save(). */
	if (!gw_str_eq(d.epoch, gw_snapshot_epoch(l->s)) || d.revision <= gw_snapshot_revision(l->s))
		return GW_OK;
	rc = dp_tryon_delta(&next, l->s, &d, l->key, l->c->s.catalog, err);
	if (rc != GW_OK)
		return rc;
	gw_snapshot_unref(&l->s);
	l->s = next;
	return GW_OK;
}

static void load_last(struct dp_channel *c)
{
	struct gw_error err = { .text = "" };
	struct gw_buf bytes;
	uint8_t key[32];
	struct loaded l = { .c = c, .key = key };
	enum gw_rc rc;

	gw_buf_init(&bytes, GW_SNAPSHOT_MAX_BYTES + 4096);
	rc = dp_state_load(&c->state, &bytes, key, &err);
	if (rc == GW_OK)
		rc = dp_tryon(&l.s, gw_buf_str(&bytes), key, c->s.catalog, &err);
	gw_buf_fini(&bytes);
	if (rc == GW_OK)
		dp_state_replay(&c->state, key, replay_one, &l);
	gw_secret_wipe(key, sizeof key);
	if (rc == GW_OK) {
		gw_log(GW_LOG_INFO, "snapshot", GW_STR_NONE, "serving the last good one", "revision=%llu",
		       (unsigned long long)gw_snapshot_revision(l.s));
		dp_fleet_swap(c->s.fleet, l.s);
	} else if (rc != GW_NOTFOUND) {
		gw_log(GW_LOG_WARN, "snapshot", GW_STR_NONE, "the last good one cannot be used", "%s %s", err.path, err.text);
	}
}

/* ---- quotas ---- */

/* `first`: on a new connection, all there is, and of which earlier processes rows are still to come. */
static void send_quotas(struct dp_channel *c, bool first)
{
	struct gw_buf items, b;
	size_t n;

	gw_buf_init(&items, GW_WIRE_MAX_TEXT);
	n = dp_quotas_report(dp_fleet_quotas(c->s.fleet), first, &items);
	if (n > 0 || first) {
		gw_buf_init(&b, GW_WIRE_MAX_TEXT);
		gw_buf_printf(&b, "{\"type\":\"quota_use\",\"boot_id\":\"%s\",\"items\":[", c->boot_id);
		gw_buf_add(&b, gw_buf_str(&items));
		gw_buf_add_byte(&b, ']');
		if (first) {
			gw_buf_printf(&b, ",\"boots\":[\"%s\"", c->boot_id);
			dp_ledger_boots(c->s.ledger, &b);
			gw_buf_add_byte(&b, ']');
		}
		gw_buf_add_byte(&b, '}');
		dp_link_send(c->link, gw_buf_str(&b));
		gw_buf_fini(&b);
	}
	gw_buf_fini(&items);
}

static void take_quotas(struct dp_channel *c, const struct gw_wire *w)
{
	dp_quotas_put(dp_fleet_quotas(c->s.fleet), w->items);
	send_quotas(c, false); /* what was lowered is confirmed at once */
}

/* ---- usage ---- */

/* That was all of that process, so nothing of its shares need be held for it. */
static void finish_earlier(struct dp_channel *c)
{
	gw_log(GW_LOG_INFO, "spool", gw_str_c(c->earlier.boot_id), "usage records of an earlier process are stored", NULL);
	c->earlier = (struct dp_earlier){ .ahead = 0 };
	send_quotas(c, true);
}

typedef size_t take_batch(struct dp_ledger *l, const char *boot_id, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq);

static size_t take_own(struct dp_ledger *l, const char *boot_id, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq)
{
	(void)boot_id;
	return dp_ledger_batch(l, after_seq, max, out, last_seq);
}

/* One message of usage after *sent, which is moved on; false: there is none. */
static bool send_batch(struct dp_channel *c, const char *boot_id, take_batch *take, int64_t *sent)
{
	struct gw_buf b;
	size_t n;

	gw_buf_init(&b, GW_WIRE_MAX_TEXT);
	gw_buf_printf(&b, "{\"type\":\"rows\",\"boot_id\":\"%s\"}\n", boot_id);
	n = take(c->s.ledger, boot_id, *sent, GW_WIRE_USAGE_BATCH, &b, sent);
	if (n > 0 && !b.full)
		dp_link_send_binary(c->link, gw_buf_str(&b));
	if (b.full)
		gw_log(GW_LOG_ALERT, "channel", GW_STR_NONE, "a batch of usage is larger than a message may be", NULL);
	gw_buf_fini(&b);
	return n > 0;
}

static void send_usage(struct dp_channel *c)
{
	while (c->wants_rows && c->ahead < BATCHES_AHEAD && send_batch(c, c->boot_id, take_own, &c->sent_seq))
		c->ahead++;
}

/*
 * When an acknowledgement makes room: only whole batches.  The rest waits for the tick, so that under load a transaction
 * of the control plane, with its fsync, stores many rows and not what came since the last one.
 */
static void send_usage_full(struct dp_channel *c)
{
	while (c->wants_rows && c->ahead < BATCHES_AHEAD && (int64_t)dp_ledger_queued(c->s.ledger) - (c->sent_seq - c->acked_seq) >= GW_WIRE_USAGE_BATCH &&
	       send_batch(c, c->boot_id, take_own, &c->sent_seq))
		c->ahead++;
}

/* What processes before this one left on the disk goes under their names, one after another, beside our own. */
static void send_earlier(struct dp_channel *c)
{
	struct dp_earlier *e = &c->earlier;

	while (c->wants_rows) {
		while (e->boot_id[0] && e->ahead < EARLIER_AHEAD && send_batch(c, e->boot_id, dp_ledger_earlier_batch, &e->sent_seq))
			e->ahead++;
		if (e->ahead > 0)
			return;
		if (e->boot_id[0] && !dp_ledger_earlier_end(c->s.ledger, e->boot_id))
			return; /* it cannot be read now; the next tick tries again */
		if (e->boot_id[0])
			finish_earlier(c);
		if (!dp_ledger_earlier(c->s.ledger, e->boot_id))
			return;
	}
}

static void take_earlier_ack(struct dp_channel *c, int64_t seq)
{
	struct dp_earlier *e = &c->earlier;

	if (e->ahead > 0)
		e->ahead--;
	if (dp_ledger_earlier_ack(c->s.ledger, gw_str_c(e->boot_id), seq))
		finish_earlier(c);
	else if (seq >= e->sent_seq)
		e->ahead = 0;
	send_earlier(c);
}

static void take_usage_ack(struct dp_channel *c, const struct gw_wire *w)
{
	if (c->earlier.boot_id[0] && gw_str_is(w->boot_id, c->earlier.boot_id))
		take_earlier_ack(c, w->seq);
	if (!gw_str_is(w->boot_id, c->boot_id))
		return;
	if (c->ahead > 0)
		c->ahead--;
	if (w->seq > c->acked_seq) {
		c->acked_seq = w->seq;
		dp_ledger_ack(c->s.ledger, w->seq);
	}
	if (c->acked_seq >= c->sent_seq)
		c->ahead = 0;
	if (atomic_load(&c->closing)) /* nobody adds any more, and somebody waits */
		send_usage(c);
	else
		send_usage_full(c);
}

/* ---- series ---- */

static void send_text(void *arg, struct gw_str text)
{
	dp_link_send(((struct dp_channel *)arg)->link, text);
}

static void send_series(struct dp_channel *c)
{
	if (c->wants_series)
		dp_telemetry_send(c->telemetry, c->boot_id, send_text, c);
}

static void take_series_ack(struct dp_channel *c, const struct gw_wire *w)
{
	if (!gw_str_is(w->boot_id, c->boot_id))
		return;
	dp_telemetry_ack(c->telemetry, w->seq);
	send_series(c);
}

/* ---- kept prompts: nobody acknowledges them, and they wait for everything else ---- */

static void send_captures(struct dp_channel *c)
{
	struct dp_captures *from = dp_fleet_shared(c->s.fleet)->captures;

	while (from && dp_link_queued(c->link) < CAPTURES_AHEAD) {
		struct gw_buf b;
		size_t n;

		gw_buf_init(&b, GW_WIRE_MAX_TEXT * 3);
		gw_buf_printf(&b, "{\"type\":\"capture\",\"boot_id\":\"%s\",\"records\":[", c->boot_id);
		n = dp_captures_take(from, GW_WIRE_MAX_TEXT / 4, &b);
		gw_buf_add_c(&b, "]}");
		if (n > 0 && !b.full && b.n <= GW_WIRE_MAX_TEXT)
			dp_link_send(c->link, gw_buf_str(&b));
		gw_buf_fini(&b);
		if (n == 0)
			return;
	}
}

/* ---- events of the link ---- */

static void on_up(void *arg)
{
	struct dp_channel *c = arg;

	c->welcome = false;
	c->ahead = 0;
	c->earlier = (struct dp_earlier){ .ahead = 0 };
	dp_telemetry_again(c->telemetry);
	c->sent_seq = c->acked_seq; /* what was not acknowledged is sent again; the receiver drops what it has */
	say_hello(c);
}

static void take_welcome(struct dp_channel *c, const struct gw_wire *w)
{
	memcpy(c->snapshot_key, w->snapshot_key, 32);
	c->heartbeat_ms = w->heartbeat_ms < 100 ? 100 : w->heartbeat_ms > 60000 ? 60000 : w->heartbeat_ms;
	c->welcome = true;
	c->wants_series = w->series;
	c->wants_rows = w->rows;
	if (!w->rows)
		gw_log(GW_LOG_WARN, "channel", GW_STR_NONE, "usage records wait: this control plane is older than the worker",
		       "control_version=%.*s", GW_FMT(w->control_version));
	c->welcome_ms = gw_mono_ms();
	atomic_store(&c->up, true);
	c->last_why[0] = '\0';
	gw_log(GW_LOG_INFO, "channel", gw_str_c(c->s.settings->control), "connected", "control_version=%.*s", GW_FMT(w->control_version));
	heartbeat(c);
	dp_quotas_connected(dp_fleet_quotas(c->s.fleet), true);
	send_quotas(c, true);
	send_usage(c);
	send_earlier(c);
	send_series(c);
}

static void on_text(void *arg, struct gw_str text)
{
	struct dp_channel *c = arg;
	struct gw_error err = { .text = "" };
	struct gw_wire w;

	if (gw_wire_parse(&w, text, &err) != GW_OK) {
		gw_log(GW_LOG_ERROR, "channel", GW_STR_NONE, "message not understood", "%s", err.text);
		return;
	}
	if (w.type == GW_WIRE_WELCOME)
		take_welcome(c, &w);
	else if (w.type == GW_WIRE_USAGE_ACK)
		take_usage_ack(c, &w);
	else if (w.type == GW_WIRE_QUOTAS)
		take_quotas(c, &w);
	else if (w.type == GW_WIRE_FLEET)
		dp_counters_set_workers(dp_fleet_counters(c->s.fleet), w.workers);
	else if (w.type == GW_WIRE_SERIES_ACK)
		take_series_ack(c, &w);
	else if (w.type == GW_WIRE_CALL && !atomic_load(&c->draining)) /* else nobody is left to do it */
		dp_call_run(&c->caller, &w);
	else if (w.type == GW_WIRE_BYE)
		gw_log(GW_LOG_INFO, "channel", GW_STR_NONE, "control plane says goodbye", "%.*s", GW_FMT(w.reason));
	gw_wire_fini(&w);
}

static void on_binary(void *arg, struct gw_str bytes)
{
	struct dp_channel *c = arg;
	struct gw_error err = { .text = "" };
	struct gw_wire w;

	if (!c->welcome) {
		gw_log(GW_LOG_ERROR, "channel", GW_STR_NONE, "snapshot before welcome", NULL);
		dp_link_drop(c->link);
	} else if (gw_wire_parse_binary(&w, bytes, &err) != GW_OK) {
		nack(c, 0, err.path, err.text);
	} else {
		take_configuration(c, &w, bytes);
		gw_wire_fini(&w);
	}
}

static bool on_down(void *arg, const char *why)
{
	struct dp_channel *c = arg;
	bool was = atomic_exchange(&c->up, false);

	dp_quotas_connected(dp_fleet_quotas(c->s.fleet), false);
	c->welcome = false;
	if (atomic_load(&c->closing))
		return false;
	if (was || strcmp(c->last_why, why) != 0) /* the same reason over and over is one line */
		gw_log(GW_LOG_WARN, "channel", gw_str_c(c->s.settings->control), was ? "connection lost" : "cannot connect", "%s", why);
	snprintf(c->last_why, sizeof c->last_why, "%s", why);
	return true;
}

static void send_answers(struct dp_channel *c)
{
	struct answer *a;

	pthread_mutex_lock(&c->lock);
	a = c->answers;
	c->answers = NULL;
	c->answers_end = &c->answers;
	pthread_mutex_unlock(&c->lock);
	while (a) {
		struct answer *next = a->next;

		send_doc(c, a->message); /* dropped when the link is down: whoever asked is gone too */
		free(a);
		a = next;
	}
}

static void say_bye(struct dp_channel *c)
{
	bool settled;

	if (!c->last_cut) {
		dp_telemetry_last(c->telemetry);
		c->last_cut = true;
		if (c->welcome)
			send_series(c);
	}
	settled = !c->welcome || (dp_ledger_queued(c->s.ledger) == 0 && (!c->wants_series || dp_telemetry_settled(c->telemetry)));

	if (settled && c->welcome && !c->bye_sent) {
		json_t *m = gw_wire_new(GW_WIRE_BYE);

		put_text(m, "reason", "shutdown");
		send_doc(c, m);
		c->bye_sent = true;
	}
	if (settled && dp_link_queued(c->link) == 0) {
		pthread_mutex_lock(&c->lock);
		c->done = true;
		pthread_cond_signal(&c->farewell);
		pthread_mutex_unlock(&c->lock);
	}
}

static void on_tick(void *arg)
{
	struct dp_channel *c = arg;

	send_answers(c);
	dp_telemetry_tick(c->telemetry);
	dp_fleet_sweep(c->s.fleet);
	if (c->welcome) {
		send_usage(c);
		send_earlier(c);
		send_quotas(c, false);
		send_series(c);
		send_captures(c);
		if (gw_mono_ms() - c->welcome_ms >= STEADY_MS)
			dp_link_steady(c->link);
		if (gw_mono_ms() >= c->next_heartbeat_ms || atomic_exchange(&c->urgent, false))
			heartbeat(c);
	}
	if (atomic_load(&c->closing))
		say_bye(c);
}

/* ---- any thread ---- */

static void take_answer(void *arg, json_t *message)
{
	struct dp_channel *c = arg;
	struct answer *a = gw_alloc(sizeof *a);

	a->message = message;
	pthread_mutex_lock(&c->lock);
	*c->answers_end = a;
	c->answers_end = &a->next;
	pthread_mutex_unlock(&c->lock);
	if (c->link)
		dp_link_wake(c->link);
}

bool dp_channel_up(const struct dp_channel *c)
{
	return c && atomic_load(&((struct dp_channel *)(uintptr_t)c)->up);
}

void dp_channel_draining(struct dp_channel *c)
{
	if (!c)
		return;
	atomic_store(&c->draining, true);
	atomic_store(&c->urgent, true);
	if (c->link)
		dp_link_wake(c->link);
}

/* ---- life ---- */

/* Serving without the disk's help beats not serving. */
static void open_spool(struct dp_channel *c)
{
	const struct dp_settings *s = c->s.settings;
	struct gw_error err = { .text = "" };

	if (s->usage_spool_mib > 0 && dp_ledger_spool(c->s.ledger, s->state_dir, c->boot_id, s->usage_spool_mib << 20, &err) != GW_OK)
		gw_log(GW_LOG_ERROR, "spool", gw_str_c(s->state_dir), "usage records are kept in memory only", "%s", err.text);
}

static enum gw_rc read_token(struct dp_channel *c, struct gw_join_token *t, struct gw_error *err)
{
	const char *env = getenv("TIDEGATE_JOIN_TOKEN");
	struct gw_buf b;
	struct gw_str s;
	enum gw_rc rc = GW_OK;

	gw_buf_init(&b, 4096);
	if (c->s.settings->join_token_file)
		rc = gw_file_read_secret(&b, c->s.settings->join_token_file, err);
	else
		gw_buf_add_c(&b, env ? env : "");
	s = gw_str_trim(gw_buf_str(&b));
	if (rc == GW_OK && (s.n >= sizeof c->token || s.n == 0))
		rc = gw_fail(err, GW_INVALID, NULL, "the join token is empty or too long");
	if (rc == GW_OK) {
		memcpy(c->token, s.p, s.n);
		if (!gw_join_token_parse((struct gw_str){ c->token, s.n }, t))
			rc = gw_fail(err, GW_INVALID, NULL, "the join token is not of the form tgj_<id>.<secret>.<fingerprint>");
	}
	if (b.p)
		gw_secret_wipe(b.p, b.n);
	gw_buf_fini(&b);
	return rc;
}

static void digest_catalog(struct dp_channel *c)
{
	json_t *doc = gw_catalog_json(c->s.catalog);
	struct gw_buf b;
	uint8_t sum[32];

	gw_buf_init(&b, 16u << 20);
	if (gw_json_write(&b, doc, true) == GW_OK) {
		gw_sha256(sum, gw_buf_str(&b));
		gw_hex(c->catalog_digest, sum, sizeof sum);
	}
	json_decref(doc);
	gw_buf_fini(&b);
}

enum gw_rc dp_channel_start(struct dp_channel *c, const char *admin, struct gw_error *err)
{
	const struct gw_join_token *t = &c->join;
	struct dp_link_options o = {
		.url = c->s.settings->control, .path = GW_WIRE_PATH, .subprotocol = GW_WIRE_SUBPROTOCOL, .max_text = GW_WIRE_MAX_TEXT,
		.max_binary = GW_SNAPSHOT_MAX_BYTES + 4096, .arg = c, .up = on_up, .text = on_text, .binary = on_binary, .down = on_down,
		.tick = on_tick,
	};

	snprintf(c->admin, sizeof c->admin, "%s", admin);
	/* tgj_<id>.<secret>, without the fingerprint: that is ours to check, not theirs to read. */
	o.bearer = (struct gw_str){ c->token, (size_t)(t->secret.p + t->secret.n - c->token) };
	if (!gw_unhex(o.fingerprint, sizeof o.fingerprint, t->fingerprint))
		return gw_fail(err, GW_INVALID, NULL, "the join token's fingerprint is not 64 hex digits");
	return dp_link_open(&c->link, &o, err);
}

enum gw_rc dp_channel_open(struct dp_channel **out, const struct dp_channel_setup *setup, struct gw_error *err)
{
	struct dp_channel *c = gw_alloc(sizeof *c);
	uint8_t boot[16];
	enum gw_rc rc;

	c->magic = DP_CHANNEL_MAGIC;
	c->s = *setup;
	c->heartbeat_ms = 2000;
	c->started_wall_ms = gw_now_ms();
	c->answers_end = &c->answers;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->farewell, NULL);
	gw_random(boot, sizeof boot);
	gw_hex(c->boot_id, boot, sizeof boot);
	c->telemetry = dp_telemetry_open(setup->fleet, setup->ledger);
	c->caller = (struct dp_caller){ setup->fleet, setup->drain, setup->arg, take_answer, c };
	rc = read_token(c, &c->join, err);
	if (rc == GW_OK)
		rc = dp_state_open(&c->state, setup->settings->state_dir, c->join.secret, err);
	if (rc == GW_OK) {
		digest_catalog(c);
		open_spool(c);
		load_last(c);
	}
	if (rc != GW_OK)
		dp_channel_close(&c);
	*out = c;
	return rc;
}

void dp_channel_close(struct dp_channel **cp)
{
	struct dp_channel *c = *cp;
	struct timespec until;

	if (!c)
		return;
	*cp = NULL;
	GW_CHECK(c, DP_CHANNEL_MAGIC);
	if (c->link) {
		atomic_store(&c->closing, true);
		dp_link_wake(c->link);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += FAREWELL_MS % 1000 * 1000000;
		until.tv_sec += FAREWELL_MS / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_mutex_lock(&c->lock);
		while (!c->done && pthread_cond_timedwait(&c->farewell, &c->lock, &until) == 0)
			;
		pthread_mutex_unlock(&c->lock);
		dp_link_stop(c->link);
		dp_fleet_cut(c->s.fleet); /* a call that came at the last moment is under way there, and answers here */
		dp_link_close(&c->link);
	}
	dp_telemetry_close(&c->telemetry);
	while (c->answers) {
		struct answer *a = c->answers;

		c->answers = a->next;
		json_decref(a->message);
		free(a);
	}
	gw_secret_wipe(c->token, sizeof c->token);
	gw_secret_wipe(c->snapshot_key, sizeof c->snapshot_key);
	gw_secret_wipe(c->state.node_key, sizeof c->state.node_key);
	gw_secret_wipe(c->state.key, sizeof c->state.key);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->farewell);
	free(c);
}
