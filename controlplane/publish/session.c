/*
 * session.c - the conversation with one worker (see hub.h and wire.h).
 *
 * Everything here runs on the channel's thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "metric.h"
#include "publish/hub.h"
#include "publish/session.h"

#define SEEN_TOKEN_MS 10000
#define PAUSE_MS      1000
#define MAX_AGO_MS    (7LL * 24 * 3600 * 1000)

static void set_text(char *out, size_t size, struct gw_str s)
{
	snprintf(out, size, "%.*s", GW_FMT(s));
}

static struct gw_str who(const struct cp_session *s)
{
	return gw_str_c(s->name[0] ? s->name : s->address);
}

struct cp_session *cp_session_find(struct cp_hub *h, uint64_t connection)
{
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		if (s->connection == connection)
			return s;
	}
	return NULL;
}

void cp_hub_write(struct cp_hub *h, uint64_t connection, json_t *message)
{
	struct gw_buf b;
	gw_buf_init(&b, GW_WIRE_MAX_TEXT);
	if (gw_json_write(&b, message, false) == GW_OK)
		cp_ws_send_text(h->ws, connection, gw_buf_str(&b));
	else
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "message to a worker is too long", NULL);
	gw_buf_fini(&b);
	json_decref(message);
}

void cp_session_remember(struct cp_hub *h, const struct cp_session *s, const char *left)
{
	bool goodbye = left && strcmp(left, "shutdown") == 0; /* it left in order, whatever it refused before */
	const char *error = left && (goodbye || !s->last_error[0]) ? left : s->last_error;
	struct cp_node_row row = {
		.id = gw_str_c(s->id), .name = gw_str_c(s->name), .version = gw_str_c(s->version),
		.address = gw_str_c(s->address), .listen = gw_str_c(s->listen),
		.last_error = error[0] ? gw_str_c(error) : GW_STR_NONE,
		.first_seen_ms = s->first_seen_ms, .last_seen_ms = s->seen_ms, .started_at_ms = s->started_at_ms,
		.revision = s->revision,
	};
	h->o.node(h->o.arg, &row);
}

/* Drop with a reason that the worker hears and that stays visible with its row. */
static void dismiss(struct cp_hub *h, struct cp_session *s, const char *why)
{
	if (!s->goodbye[0])
		snprintf(s->goodbye, sizeof s->goodbye, "%s", why);
	json_t *bye = gw_wire_new(GW_WIRE_BYE);
	gw_json_set_str(bye, "reason", gw_str_c(why));
	cp_hub_write(h, s->connection, bye);
	cp_ws_drop(h->ws, s->connection, why);
	if (s->id[0])
		cp_session_remember(h, s, why); /* it counts as gone now, although the goodbye may take seconds */
}

/* Does it serve the newest already?  A worker that does not tell its state is asked by the digest of the message. */
static bool up_to_date(struct cp_hub *h, const struct cp_session *s)
{
	if (!s->serves || s->revision != h->latest)
		return false;
	if (s->has_state)
		return memcmp(&s->state, &h->latest_state, sizeof s->state) == 0;
	return cp_hub_whole(h) && memcmp(&s->digest, &h->whole_digest, sizeof s->digest) == 0;
}

void cp_session_offer(struct cp_hub *h, struct cp_session *s)
{
	struct cp_ws_bytes *bytes = NULL;
	if (!s->greeted || !h->have_latest || s->unanswered_ms || h->stop)
		return;
	if (s->sent_any && s->sent >= h->latest)
		return; /* it has it, or it refused it */
	if (up_to_date(h, s))
		return;
	if (s->deltas && !s->wants_whole && s->serves && s->has_state)
		bytes = cp_hub_delta(h, s->revision, &s->state);
	s->sent_delta = bytes != NULL;
	if (!bytes)
		bytes = cp_hub_whole(h);
	if (!bytes)
		return;
	s->sent = h->latest;
	s->sent_any = true;
	s->unanswered_ms = gw_mono_ms();
	cp_ws_send(h->ws, s->connection, CP_WS_LATEST, bytes);
}

/* ---- messages ---- */

static void send_welcome(struct cp_hub *h, const struct cp_session *s)
{
	char key[GW_HEX_LEN(32)];
	json_t *m = gw_wire_new(GW_WIRE_WELCOME);
	gw_hex(key, h->o.keys->snapshot, 32);
	gw_json_set_str(m, "node_id", gw_str_c(s->id));
	gw_json_set_str(m, "epoch", gw_str_c(h->epoch));
	json_object_set_new(m, "heartbeat_ms", json_integer(h->o.heartbeat_ms));
	gw_json_set_str(m, "snapshot_key", gw_str_c(key));
	gw_json_set_str(m, "control_version", GW_STR(TIDEGATE_VERSION));
	json_object_set_new(m, "series", json_true());
	json_object_set_new(m, "rows", json_true());
	cp_hub_write(h, s->connection, m);
	gw_secret_wipe(key, sizeof key);
}

/* The same worker twice: the newer connection counts, the older is a dead one or a copied state directory. */
static void replace_older(struct cp_hub *h, const struct cp_session *s)
{
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		struct cp_session *o = GW_CONTAINER(n, struct cp_session, on);
		if (o == s || !o->greeted || strcmp(o->id, s->id) != 0)
			continue;
		if (strcmp(o->boot_id, s->boot_id) != 0)
			gw_log(GW_LOG_WARN, "node", who(s), "another process of the same identity connected", "id=%s", s->id);
		o->greeted = false;
		o->id[0] = 0;
		dismiss(h, o, "the same worker connected again");
	}
}

/* How many share what is limited: everybody hears it when it changes. */
static void tell_fleet(struct cp_hub *h)
{
	json_int_t n = 0;
	for (struct gw_node *at = h->sessions.next; at != &h->sessions; at = at->next)
		n += GW_CONTAINER(at, struct cp_session, on)->greeted;
	for (struct gw_node *at = h->sessions.next; at != &h->sessions; at = at->next) {
		const struct cp_session *s = GW_CONTAINER(at, struct cp_session, on);
		json_t *m;
		if (!s->greeted)
			continue;
		m = gw_wire_new(GW_WIRE_FLEET);
		json_object_set_new(m, "workers", json_integer(n));
		cp_hub_write(h, s->connection, m);
	}
}

/* Without the lock: whoever holds a view of the store may ask for the hub's lock, never the other way round. */
static bool token_still_there(struct cp_hub *h, uint64_t connection)
{
	struct cp_txn *t = NULL;
	char id[32] = "";
	pthread_mutex_lock(&h->lock);
	const struct cp_session *s = cp_session_find(h, connection);
	if (s)
		memcpy(id, s->token_id, sizeof id);
	pthread_mutex_unlock(&h->lock);
	struct cp_record r;
	struct gw_arena *a = gw_arena_open(0);
	bool there = cp_txn_begin(&t, h->o.store, NULL) == GW_OK &&
	    cp_get(t, GW_KIND_JOIN_TOKEN, gw_str_c(id), a, &r, NULL) == GW_OK;
	cp_txn_end(&t);
	gw_arena_close(&a);
	return there;
}

static void on_hello(struct cp_hub *h, struct cp_session *s, const struct gw_wire *w, bool invited)
{
	if (s->greeted) {
		dismiss(h, s, "it said hello twice");
		return;
	}
	if (w->protocol != GW_WIRE_PROTOCOL) {
		char why[CP_TEXT_MAX];
		snprintf(why, sizeof why, "the worker speaks protocol %lld, this control plane %d; install the same release on both",
		    (long long)w->protocol, GW_WIRE_PROTOCOL);
		dismiss(h, s, why);
		return;
	}
	uint8_t id[16];
	if (!gw_unhex(id, sizeof id, w->node_id) || !invited) {
		dismiss(h, s, w->node_id.n == 32 ? "its join token is no longer valid" : "its node_id is not 32 hex digits");
		return;
	}
	set_text(s->id, sizeof s->id, w->node_id);
	set_text(s->boot_id, sizeof s->boot_id, w->boot_id);
	set_text(s->name, sizeof s->name, w->name);
	set_text(s->version, sizeof s->version, w->version);
	set_text(s->listen, sizeof s->listen, w->listen);
	s->started_at_ms = w->started_at_ms;
	s->greeted = true;
	if (gw_str_is(w->serving_epoch, h->epoch) &&
	    gw_unhex(s->digest.sha256, sizeof s->digest.sha256, w->serving_digest)) {
		s->serves = true;
		s->revision = (uint64_t)w->serving_revision;
		s->has_state = gw_unhex(s->state.sha256, sizeof s->state.sha256, w->serving_state);
	}
	s->deltas = w->deltas > 0;
	replace_older(h, s);
	gw_log(GW_LOG_INFO, "node", who(s), "worker connected", "id=%s address=%s version=%s listen=%s serves=%llu", s->id,
	    s->address, s->version, s->listen, (unsigned long long)s->revision);
	send_welcome(h, s);
	if (h->o.worker)
		h->o.worker(h->o.arg, s->connection, gw_str_c(s->id), gw_str_c(s->boot_id));
	tell_fleet(h);
	cp_session_offer(h, s);
	cp_session_remember(h, s, NULL);
}

/*
 * Is what it acknowledged what was sent?  Only the newest is known.  The state of one that ignores what it does not know
 * may differ, so of a whole message only its digest is judged.
 */
static bool acknowledged_right(struct cp_hub *h, const struct cp_session *s, uint64_t revision)
{
	if (revision != h->latest)
		return true;
	if (s->sent_delta)
		return s->has_state && memcmp(&s->state, &h->latest_state, sizeof s->state) == 0;
	return h->whole && memcmp(&s->digest, &h->whole_digest, sizeof s->digest) == 0;
}

static void on_ack(struct cp_hub *h, struct cp_session *s, const struct gw_wire *w)
{
	uint64_t revision = (uint64_t)w->revision;
	if (!s->sent_any || revision != s->sent || !s->unanswered_ms)
		return; /* about one that was sent before a reconnect */
	s->has_state = gw_unhex(s->state.sha256, sizeof s->state.sha256, w->snapshot_state);
	if (!gw_unhex(s->digest.sha256, sizeof s->digest.sha256, w->digest) || !acknowledged_right(h, s, revision)) {
		snprintf(s->last_error, sizeof s->last_error, "revision %llu was acknowledged with another digest",
		    (unsigned long long)revision);
		gw_log(GW_LOG_ERROR, "node", who(s), "acknowledged digest differs from the published one", "revision=%llu",
		    (unsigned long long)revision);
		dismiss(h, s, s->last_error);
		return;
	}
	int64_t committed = cp_hub_commit_ms(h, revision);
	s->unanswered_ms = 0;
	s->serves = true;
	s->revision = revision;
	s->last_error[0] = 0;
	s->lag_ms = committed ? gw_mono_ms() - committed : -1;
	gw_log(GW_LOG_DEBUG, "node", who(s), "worker serves", "revision=%llu apply_ms=%lld lag_ms=%lld unknown=%lld",
	    (unsigned long long)revision, (long long)w->apply_ms, (long long)s->lag_ms, (long long)w->unknown);
	cp_session_offer(h, s);
	cp_session_remember(h, s, NULL);
	cp_hub_check_served(h);
}

static void on_nack(struct cp_hub *h, struct cp_session *s, const struct gw_wire *w)
{
	if (s->sent_any && (uint64_t)w->revision == s->sent && s->sent_delta) {
		/* Not its last word: whether the configuration is at fault is told by the whole. */
		gw_log(GW_LOG_INFO, "node", who(s), "worker could not apply a change and gets the whole", "revision=%lld %.*s",
		    (long long)w->revision, (int)(w->text.n < 300 ? w->text.n : 300), w->text.p ? w->text.p : "");
		s->wants_whole = true;
		s->sent_any = s->sent_delta = false;
		s->unanswered_ms = 0;
		cp_session_offer(h, s);
		return;
	}
	snprintf(s->last_error, sizeof s->last_error, "revision %lld refused: %.*s%s%.*s", (long long)w->revision,
	    (int)(w->path.n < 160 ? w->path.n : 160), w->path.p ? w->path.p : "", w->path.n ? ": " : "",
	    (int)(w->text.n < 300 ? w->text.n : 300), w->text.p ? w->text.p : "");
	gw_log(GW_LOG_ERROR, "node", who(s), "worker refused a revision and keeps the one it has", "%s", s->last_error);
	if (s->sent_any && (uint64_t)w->revision == s->sent)
		s->unanswered_ms = 0;
	cp_session_offer(h, s);
	cp_session_remember(h, s, NULL);
}

static void on_heartbeat(struct cp_session *s, const struct gw_wire *w)
{
	s->draining = gw_str_is(w->state, "draining");
	s->in_flight = w->in_flight;
	s->requests = w->requests;
	s->errors = w->errors;
	s->connections = w->connections;
	s->rss_bytes = w->rss_bytes;
	s->usage_dropped = w->usage_dropped;
	s->counters_away = w->counters_away;
	json_decref(s->providers_out);
	s->providers_out = json_array_size(w->items) <= GW_WIRE_PROVIDERS_OUT ? json_incref(w->items) : NULL;
}

/* Whether so many in one message are as agreed; if not, the worker goes. */
static bool check_batch(struct cp_hub *h, struct cp_session *s, size_t n)
{
	if (n > GW_WIRE_USAGE_BATCH)
		dismiss(h, s, "it sent too many usage records in one message");
	return n <= GW_WIRE_USAGE_BATCH;
}

static void check_taken(struct cp_hub *h, struct cp_session *s, bool taken)
{
	if (!taken)
		dismiss(h, s, "usage records cannot be stored fast enough; keep them and come back");
}

static void on_usage(struct cp_hub *h, struct cp_session *s, const struct gw_wire *w)
{
	if (check_batch(h, s, json_array_size(w->records)))
		check_taken(h, s, h->o.usage(h->o.arg, s->connection, gw_str_c(s->id), w->boot_id, json_incref(w->records)));
}

/* `rows` is consumed.  One that cannot be read is lost with a log line, since resending would not mend it. */
static void on_rows(struct cp_hub *h, struct cp_session *s, struct gw_usage_rows *rows, const struct gw_error *err)
{
	if (rows->unread > 0)
		gw_log(GW_LOG_ERROR, "node", who(s), "usage records cannot be read", "records=%zu last_seq=%lld %s", rows->unread,
		    (long long)rows->last_seq, err->text);
	if (!s->greeted)
		dismiss(h, s, "hello must come first");
	else if (check_batch(h, s, rows->n + rows->unread)) {
		check_taken(h, s, h->o.rows(h->o.arg, s->connection, gw_str_c(s->id), rows));
		rows = NULL;
	}
	gw_usage_rows_free(&rows);
}

/* A worker whose rows have another layout is heard and not understood: it must not send them for ever. */
static void on_series(struct cp_hub *h, struct cp_session *s, const struct gw_wire *w)
{
	int64_t ago = w->ago_ms < MAX_AGO_MS ? w->ago_ms : MAX_AGO_MS, half = (w->span_ms < MAX_AGO_MS ? w->span_ms : MAX_AGO_MS) / 2;
	json_t *rows = w->layout == GW_METRIC_LAYOUT ? json_incref(w->records) : json_array();
	if (w->layout != GW_METRIC_LAYOUT)
		gw_log(GW_LOG_WARN, "node", who(s), "series of another release are not kept", "layout=%lld", (long long)w->layout);
	if (!h->o.series(h->o.arg, s->connection, gw_str_c(s->id), w->boot_id, w->seq, gw_now_ms() - ago - half, rows))
		dismiss(h, s, "series cannot be stored fast enough; keep them and come back");
}

static void on_message(struct cp_hub *h, struct cp_session *s, const struct gw_wire *w, bool invited)
{
	if (!s->greeted && w->type != GW_WIRE_HELLO) {
		dismiss(h, s, "hello must come first");
		return;
	}
	switch (w->type) {
	case GW_WIRE_HELLO: on_hello(h, s, w, invited); break;
	case GW_WIRE_ACK: on_ack(h, s, w); break;
	case GW_WIRE_NACK: on_nack(h, s, w); break;
	case GW_WIRE_HEARTBEAT: on_heartbeat(s, w); break;
	case GW_WIRE_USAGE: on_usage(h, s, w); break;
	case GW_WIRE_SERIES: on_series(h, s, w); break;
	case GW_WIRE_QUOTA_USE:
		if (h->o.quota_use)
			h->o.quota_use(h->o.arg, s->connection, json_incref(w->items), w->boots ? json_incref(w->boots) : NULL);
		break;
	case GW_WIRE_CAPTURE: h->o.capture(h->o.arg, gw_str_c(s->id), w->boot_id, json_incref(w->records)); break;
	case GW_WIRE_RESULT: cp_calls_result(h, s->connection, w); break;
	case GW_WIRE_BYE:
		set_text(s->goodbye, sizeof s->goodbye, w->reason.n ? w->reason : GW_STR("the worker said bye"));
		cp_ws_drop(h->ws, s->connection, s->goodbye);
		break;
	default: break; /* a newer worker may say more */
	}
}

/* ---- handlers of ws.h ---- */

static bool seen_token(struct cp_hub *h, const uint8_t hash[32], char id[32])
{
	int64_t now = gw_mono_ms();
	for (size_t i = 0; i < GW_COUNT(h->seen); i++)
		if (h->seen[i].until_ms > now && memcmp(h->seen[i].hash, hash, 32) == 0) {
			memcpy(id, h->seen[i].id, 32);
			return true;
		}
	return false;
}

static bool verify(struct cp_hub *h, struct gw_str bearer, char id[32], struct gw_error *err)
{
	uint8_t hash[32];
	gw_sha256(hash, bearer);
	pthread_mutex_lock(&h->lock);
	bool seen = seen_token(h, hash, id);
	pthread_mutex_unlock(&h->lock);
	if (seen)
		return true;
	if (cp_join_token_verify(h->o.store, bearer, id, err) != GW_OK)
		return false;
	pthread_mutex_lock(&h->lock);
	struct cp_seen_token *t = &h->seen[h->next_seen++ % GW_COUNT(h->seen)];
	memcpy(t->hash, hash, sizeof hash);
	memcpy(t->id, id, sizeof t->id);
	t->until_ms = gw_mono_ms() + SEEN_TOKEN_MS;
	pthread_mutex_unlock(&h->lock);
	return true;
}

static bool on_admit(void *arg, struct gw_str bearer, struct gw_str address, char why[160])
{
	struct gw_error err = { 0 };
	char id[32];
	(void)address;
	if (verify(arg, bearer, id, &err))
		return true;
	snprintf(why, 160, "%.159s", err.text);
	return false;
}

static void on_opened(void *arg, uint64_t connection, struct gw_str bearer, struct gw_str address)
{
	struct cp_hub *h = arg;
	struct gw_error err = { 0 };
	struct cp_session *s = gw_alloc(sizeof *s);
	s->connection = connection;
	s->opened_ms = s->seen_mono_ms = gw_mono_ms();
	s->first_seen_ms = s->seen_ms = gw_now_ms();
	set_text(s->address, sizeof s->address, address);
	bool known = verify(h, bearer, s->token_id, &err);
	pthread_mutex_lock(&h->lock);
	gw_list_add_tail(&h->sessions, &s->on);
	if (!known)
		dismiss(h, s, "its join token is not valid");
	pthread_mutex_unlock(&h->lock);
}

static void refuse(struct cp_hub *h, struct cp_session *s, const struct gw_error *err)
{
	gw_log(GW_LOG_WARN, "node", who(s), "message cannot be read", "%s %s", err->path, err->text);
	dismiss(h, s, "it sent a message that cannot be read");
}

static struct cp_session *heard(struct cp_hub *h, uint64_t connection)
{
	struct cp_session *s = cp_session_find(h, connection);
	if (s) {
		s->seen_ms = gw_now_ms();
		s->seen_mono_ms = gw_mono_ms();
	}
	return s;
}

/* Most messages by far, and nobody waits for one. */
static void on_binary(void *arg, uint64_t connection, struct gw_str message)
{
	struct cp_hub *h = arg;
	struct gw_wire w;
	struct gw_error err = { 0 };
	struct gw_usage_rows *rows = NULL;
	enum gw_rc rc = gw_wire_parse_binary(&w, message, &err);
	if (rc == GW_OK && w.type == GW_WIRE_ROWS)
		rows = gw_usage_rows_read(w.boot_id, w.payload, &err);
	else if (rc == GW_OK)
		gw_fail(&err, GW_INVALID, "/type", "a worker sends no `%s`", gw_wire_name(w.type));
	pthread_mutex_lock(&h->lock);
	struct cp_session *s = heard(h, connection);
	if (s && rows)
		on_rows(h, s, rows, &err);
	else if (s)
		refuse(h, s, &err);
	pthread_mutex_unlock(&h->lock);
	if (!s)
		gw_usage_rows_free(&rows);
	if (rc == GW_OK)
		gw_wire_fini(&w);
}

static void on_text(void *arg, uint64_t connection, struct gw_str message)
{
	struct cp_hub *h = arg;
	struct gw_wire w;
	struct gw_error err = { 0 };
	enum gw_rc rc = gw_wire_parse(&w, message, &err);
	bool invited = rc == GW_OK && w.type == GW_WIRE_HELLO && token_still_there(h, connection);
	pthread_mutex_lock(&h->lock);
	struct cp_session *s = heard(h, connection);
	if (s && rc != GW_OK) {
		refuse(h, s, &err);
	} else if (s) {
		on_message(h, s, &w, invited);
		pthread_cond_broadcast(&h->changed);
	}
	pthread_mutex_unlock(&h->lock);
	if (rc == GW_OK)
		gw_wire_fini(&w);
}

static void on_closed(void *arg, uint64_t connection, const char *why)
{
	struct cp_hub *h = arg;
	pthread_mutex_lock(&h->lock);
	struct cp_session *s = cp_session_find(h, connection);
	if (s) {
		const char *reason = s->goodbye[0] ? s->goodbye : why;
		gw_list_del(&s->on);
		if (h->o.gone)
			h->o.gone(h->o.arg, connection);
		cp_calls_fail(h, connection, "the worker disconnected before it answered");
		gw_log(s->greeted ? GW_LOG_INFO : GW_LOG_WARN, "node", who(s), "worker disconnected", "reason=%s", reason);
		if (s->id[0])
			cp_session_remember(h, s, reason);
		pthread_cond_broadcast(&h->changed);
		cp_hub_check_served(h);
		if (s->greeted && !h->stop)
			tell_fleet(h);
	}
	pthread_mutex_unlock(&h->lock);
	if (s)
		json_decref(s->providers_out);
	free(s);
}

/* A snapshot must be answered in time, a large one in more of it: at 1 MiB/s it is still on its way. */
static int64_t answer_ms(const struct cp_hub *h)
{
	return h->o.answer_ms + (h->whole ? (int64_t)(cp_ws_bytes_size(h->whole) >> 20) * 1000 : 0);
}

/* When this process was stopped or starved, what workers sent meanwhile is not read yet: nobody is late for that. */
static void forgive_our_own_pause(struct cp_hub *h, int64_t now)
{
	int64_t gap = h->ticked_ms ? now - h->ticked_ms - CP_WS_TICK_MS : 0;
	h->ticked_ms = now;
	for (struct gw_node *n = h->sessions.next; gap > PAUSE_MS && n != &h->sessions; n = n->next) {
		struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		s->opened_ms += gap;
		s->seen_mono_ms += gap;
		if (s->unanswered_ms)
			s->unanswered_ms += gap;
	}
}

static void on_tick(void *arg, int64_t now)
{
	struct cp_hub *h = arg;
	pthread_mutex_lock(&h->lock);
	forgive_our_own_pause(h, now);
	for (struct gw_node *n = h->sessions.next; n != &h->sessions; n = n->next) {
		struct cp_session *s = GW_CONTAINER(n, struct cp_session, on);
		if (s->goodbye[0])
			continue; /* on its way out */
		if (!s->greeted && now - s->opened_ms > h->o.hello_ms) {
			dismiss(h, s, "it did not say hello in time");
		} else if (s->unanswered_ms && now - s->unanswered_ms > answer_ms(h)) {
			snprintf(s->last_error, sizeof s->last_error, "revision %llu was not answered in time",
			    (unsigned long long)s->sent);
			dismiss(h, s, s->last_error);
		} else if (s->greeted && now - s->seen_mono_ms > 3 * h->o.heartbeat_ms) {
			dismiss(h, s, "it sent no heartbeat");
		}
	}
	pthread_mutex_unlock(&h->lock);
}

struct cp_ws_handlers cp_hub_handlers(struct cp_hub *h)
{
	GW_CHECK(h, CP_HUB_MAGIC);
	return (struct cp_ws_handlers){ .arg = h, .admit = on_admit, .opened = on_opened, .text = on_text, .binary = on_binary,
		.closed = on_closed, .tick = on_tick };
}
