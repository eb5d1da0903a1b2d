/*
 * relay.c - the provider's answer on its way to the client.
 *
 * One read, one write: everything that one read of the provider gives is collected in the shard's scratch buffer and
 * goes out in one writev, head and chunk framing included.  Nothing is sent before there is content (or a long
 * silence of a stream), so that until then another target may still answer.
 */
#include <stdio.h>

#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

/* The scratch buffer, with nothing of another request in it. */
static struct gw_buf *out_of(struct dp_exchange *x)
{
	struct dp_shard *s = x->shard;

	if (s->out_of != x) {
		gw_buf_clear(&s->out);
		s->out_of = x;
	}
	return &s->out;
}

/* ---- the sink ---- */

struct sink { struct dp_exchange *x; };

static void sink_init(struct dp_stream *s, void *arg)
{
	((struct sink *)dp_state(s))->x = arg;
}

static enum dp_flow sink_feed(struct dp_stream *s, const struct dp_chunk *c)
{
	struct dp_exchange *x = ((struct sink *)dp_state(s))->x;

	if (x->at.id_scan)
		dp_x_note_state(x, c->u.bytes);
	if (!gw_buf_add(out_of(x), c->u.bytes)) {
		x->sink_failed = true;
		return DP_ERROR;
	}
	return x->client_full ? DP_FULL : DP_GO;
}

static const struct dp_stage sink_stage = {
	.name = "client", .eats = DP_BYTES, .emits = 0, .size = sizeof(struct sink), .init = sink_init, .feed = sink_feed,
};

/* ---- writing to the client ---- */

static void note_good(struct dp_exchange *x)
{
	struct dp_attempt *t = &x->at;

	if (t->good || !t->place.endpoint)
		return;
	t->good = true;
	if (t->place.key_health)
		dp_health_good(t->place.key_health, t->started_ms, dp_x_now(x));
	dp_health_good(dp_endpoint_health(t->place.endpoint), t->started_ms, dp_x_now(x));
}

static void choose_head(struct dp_exchange *x, bool ended)
{
	const struct dp_attempt *t = &x->at;
	const struct dp_head *h = t->up ? dp_h1_head(t->up->parser) : NULL;
	struct gw_str type = t->tap ? dp_tap_content_type(t->tap) : GW_STR_NONE;
	int64_t length = -1;

	if (ended)
		length = (int64_t)out_of(x)->n;
	else if (h && t->tap && !t->inflate && !dp_tap_changes_length(t->tap) && h->content_length >= 0)
		length = h->content_length;
	if (!type.p && h)
		type = dp_header_find(h->headers, h->n_headers, "content-type");
	dp_answer_head(x, t->status ? t->status : 200, type, length, h, 0, NULL);
}

/*
 * The client has content now, so no other attempt can follow: a stream need not hold its prompt for minutes, unless the
 * route keeps prompts.
 */
static void release_body(struct dp_exchange *x)
{
	if (x->at.sent && x->route && x->route->log.prompts == GW_CAPTURE_OFF)
		dp_x_drop_body(x);
}

/* Write what the scratch holds; `ended`: and the end of the answer. */
/* Once for each event, so not by printf. */
static struct gw_str chunk_size(char text[20], size_t n)
{
	char *p = text + 18;

	memcpy(p, "\r\n", 2);
	do
		*--p = "0123456789abcdef"[n & 15];
	while (n >>= 4);
	return (struct gw_str){ p, (size_t)(text + 20 - p) };
}

static void flush(struct dp_exchange *x, bool ended)
{
	static const char tail[] = "\r\n", last[] = "\r\n0\r\n\r\n", only_last[] = "0\r\n\r\n";
	struct gw_buf *out = out_of(x);
	struct gw_str v[4];
	char size[20];
	size_t n = 0;

	if (out->n == 0 && !ended)
		return;
	if (x->gone) {
		x->committed = true;
		gw_buf_clear(out);
		return;
	}
	if (x->keeping)
		dp_x_said(x, gw_buf_str(out));
	if (!x->head_sent) {
		choose_head(x, ended);
		v[n++] = gw_buf_str(&x->shard->head);
		x->head_sent = true;
	}
	if (x->chunked && out->n > 0) {
		v[n++] = chunk_size(size, out->n);
		v[n++] = gw_buf_str(out);
		v[n++] = ended ? (struct gw_str){ last, sizeof last - 1 } : (struct gw_str){ tail, sizeof tail - 1 };
	} else if (x->chunked && ended) {
		v[n++] = (struct gw_str){ only_last, sizeof only_last - 1 };
	} else if (out->n > 0) {
		v[n++] = gw_buf_str(out);
	}
	if (out->n > 0 && !x->committed) {
		x->committed = true;
		release_body(x);
		note_good(x); /* whoever streams for minutes must not hold the place of the one that tries a half-open provider */
	}
	x->sent_body += (int64_t)out->n;
	if (n > 0 && !dp_conn_write(x->client->conn, v, n))
		x->client_full = true;
	x->last_out_ms = dp_x_now(x);
	gw_buf_clear(out);
	if (out->cap > (1u << 20))
		gw_buf_fini(out), gw_buf_init(out, DP_OUT_MAX);
}

void dp_relay_ping(struct dp_exchange *x)
{
	bool was = x->committed;
	struct gw_str h;

	x->committed = true; /* so that nobody takes it for the first content */
	if (!x->head_sent) {
		dp_answer_head(x, 200, GW_STR("text/event-stream"), -1, NULL, 0, NULL);
		h = gw_buf_str(&x->shard->head);
		x->head_sent = true;
		dp_conn_write(x->client->conn, &h, 1);
	}
	gw_buf_clear(out_of(x));
	gw_buf_add_c(out_of(x), x->dialect->ping ? x->dialect->ping : ": ping\n\n");
	flush(x, false);
	x->committed = was; /* a ping is no content */
}

void dp_relay_resume(struct dp_exchange *x)
{
	x->client_full = false;
	if (!x->gone && x->step == DP_STEP_FLUSH) {
		if (dp_conn_queued(x->client->conn) == 0)
			dp_x_end(x, x->end_reason);
		return;
	}
	if (x->at.paused && x->at.up) {
		x->at.paused = false;
		x->last_in_ms = dp_x_now(x);
		dp_conn_resume(x->at.up->conn);
	}
	dp_x_arm(x); /* while it was full only the stall was looked at: keep-alive and silence count again */
}

static void slow_down(struct dp_exchange *x)
{
	if (!x->client_full || x->at.paused || !x->at.up)
		return;
	x->at.paused = true;
	dp_conn_pause(x->at.up->conn);
	dp_x_arm(x); /* from now on it is the client's time that runs */
}

/* ---- the end of an answer ---- */

void dp_relay_break(struct dp_exchange *x, enum dp_code code, const char *text)
{
	enum gw_end_reason why = x->denied ? GW_END_BLOCKED : code == DP_E_UPSTREAM_TIMEOUT ? GW_END_TIMEOUT : GW_END_UPSTREAM_ERROR;
	char message[300];
	bool passed; /* the provider's own error event has just gone on */

	if (!x->denied) /* else whoever denied it has said why */
		x->error_code = dp_code_wire(code);
	if (x->at.chain && !x->at.tap->finished)
		(void)!dp_finish(x->at.chain, DP_CLOSE_TRUNCATED);
	x->cut = x->sink_failed; /* else only whole events have been sent, an event too large included */
	passed = x->at.tap && x->at.tap->error_seen && !x->at.error_dropped;
	if (!x->sse || x->cut) { /* a length or a last chunk that never comes is the only honest way to say it */
		flush(x, false);
		x->cut = true;
		dp_x_end(x, why);
		return;
	}
	if (!passed) {
		snprintf(message, sizeof message, "The answer broke off: %s", text);
		dp_error_event(out_of(x), x->dialect, code, gw_str_c(message));
	}
	flush(x, true);
	dp_up_return(&x->at.up, false); /* not before: its head may just have been needed */
	dp_x_finish(x, why);
}

static void note_first_token(struct dp_exchange *x)
{
	if (x->first_token_us < 0 && x->at.tap && x->at.tap->first_token)
		x->first_token_us = gw_mono_us();
}

/*
 * Content that came in the same read as the fault has not been written yet; it counts as sent all the same, or the
 * client's answer would depend on how the provider's bytes were cut into segments.
 */
static void commit_content(struct dp_exchange *x)
{
	const struct dp_tap *t = x->at.tap;

	if (x->sse && t && out_of(x)->n > 0 && t->events > (t->error_seen ? 1u : 0u))
		x->committed = true;
}

/* An error event goes on as it came, but for the provider's key, which vendors like to repeat: same length, nothing to read. */
static void blot_key(struct dp_exchange *x)
{
	struct gw_buf *out = out_of(x);
	struct gw_str key = x->at.place.key ? x->at.place.key->value : GW_STR_NONE;
	size_t at;

	while (key.n && out->n && gw_str_find(gw_buf_str(out), key, &at))
		memset(out->p + at, '*', key.n);
}

/* An error object inside a 200: before anything was sent it is a failure like any other, whose words stand for a status. */
static void fail_in_band(struct dp_exchange *x)
{
	struct dp_attempt *t = &x->at;
	struct dp_failure f = { .how = DP_FAIL_STATUS, .status = 502 };
	struct dp_reply r = { .status = 200 };

	gw_buf_clear(&t->error);
	gw_buf_add_c(&t->error, "{\"error\":");
	if (t->tap->error_json.n) {
		gw_buf_add(&t->error, t->tap->error_json);
	} else {
		gw_buf_add_c(&t->error, "{\"message\":");
		gw_buf_add_json(&t->error, gw_str_c(t->tap->error_text));
		gw_buf_add_byte(&t->error, '}');
	}
	gw_buf_add_byte(&t->error, '}');
	r.body = gw_buf_str(&t->error);
	f.fault = dp_provider_judge(t->type, &r, t->place.key ? t->place.key->value : GW_STR_NONE, gw_now_ms());
	if (f.fault.kind == DP_FAULT_RATE)
		f.status = 429;
	else if (f.fault.kind == DP_FAULT_OVERLOAD)
		f.status = 503;
	else if (f.fault.kind == DP_FAULT_CLIENT || f.fault.kind == DP_FAULT_CONTEXT)
		f.status = 400;
	snprintf(f.text, sizeof f.text, "%s", f.fault.text); /* the provider's own words may hold its key */
	gw_buf_clear(out_of(x));
	t->error_dropped = true;
	dp_attempt_failed(x, &f);
}

static void answer_complete(struct dp_exchange *x, bool clean)
{
	struct dp_attempt *t = &x->at;

	flush(x, true);
	note_first_token(x);
	note_good(x);
	dp_metrics_attempt(x->shard->metrics, t->provider->name, "ok");
	dp_attempt_log_end(x, "ok", NULL);
	dp_up_return(&t->up, clean);
	dp_place_leave(&t->place);
	dp_x_finish(x, GW_END_COMPLETE);
}

static void relayed_to_end(struct dp_exchange *x, enum dp_close how, bool clean)
{
	struct dp_tap *tap = x->at.tap;
	bool broken = dp_finish(x->at.chain, how) == DP_ERROR;

	commit_content(x);
	if (!broken && how == DP_CLOSE_CLEAN && dp_tap_complete(tap)) {
		answer_complete(x, clean);
	} else if (x->committed || x->head_sent) {
		struct dp_failure f = { .how = DP_FAIL_BROKEN, .fault.retry_after_ms = -1 };

		snprintf(f.text, sizeof f.text, "%s", tap->cut_short ? "the provider broke it off" : "it ended without its end mark");
		x->committed = true;
		dp_attempt_failed(x, &f);
	} else if (tap->error_seen) {
		fail_in_band(x);
	} else {
		gw_buf_clear(out_of(x));
		dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN,
		                tap->overflow ? "the answer is larger than the gateway keeps" : "the answer ended without its end mark");
	}
}

static void judge_error(struct dp_exchange *x, bool clean)
{
	struct dp_attempt *t = &x->at;
	const struct dp_head *h = dp_h1_head(t->up->parser);
	struct dp_reply r = { .status = t->status, .headers = h->headers, .n_headers = h->n_headers, .body = gw_buf_str(&t->error) };
	struct dp_failure f = { .how = DP_FAIL_STATUS, .status = t->status };

	if (r.body.n > 16384)
		r.body.n = 16384;
	f.fault = dp_provider_judge(t->type, &r, t->place.key ? t->place.key->value : GW_STR_NONE, gw_now_ms());
	snprintf(f.text, sizeof f.text, "%s", f.fault.text);
	dp_up_return(&t->up, clean && t->sent);
	dp_attempt_failed(x, &f);
}

/* ---- reading from the provider ---- */

static void on_head(struct dp_exchange *x)
{
	struct dp_attempt *t = &x->at;
	const struct dp_head *h = dp_h1_head(t->up->parser);
	struct gw_str type = dp_header_find(h->headers, h->n_headers, "content-type");
	enum dp_coding coding = dp_coding_of(dp_header_find(h->headers, h->n_headers, "content-encoding"));
	struct gw_str made;
	bool streams;
	struct dp_tap_setup setup = {
		.op = x->op, .client_streams = x->req.stream, .client_usage = x->req.wants_usage, .usage_injected = t->rewrite.ask_usage,
		.upstream_streams = gw_str_ieq(dp_media_type(type), GW_STR("text/event-stream")), .reasoning_apart = t->type->reasoning_apart,
	};

	t->answered = true;
	t->status = h->status;
	x->first_byte_us = gw_mono_us();
	dp_attempt_log_head(x);
	if (coding != DP_CODING_IDENTITY && coding != DP_CODING_UNKNOWN)
		t->inflate = dp_inflate_open(coding);
	if (h->status / 100 == 3) { /* nothing that is followed, and nothing that is an answer: another target may have one */
		char text[80];

		snprintf(text, sizeof text, "it answered %u, and redirects are not followed", h->status);
		dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN, text);
		return;
	}
	if (h->status < 200 || h->status > 299) {
		if (h->status < 500) /* a connection says little of a server; an answer does */
			dp_health_good(dp_endpoint_health(t->place.endpoint), t->started_ms, dp_x_now(x));
		return;
	}
	if (coding == DP_CODING_UNKNOWN) {
		dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN,
		                "the answer is compressed in a way the gateway cannot read, although it was asked not to be");
		return;
	}
	t->relaying = true;
	dp_x_keep(x);
	dp_x_note_begin(x);
	t->tap = dp_tap_open(t->a, &setup);
	t->chain = dp_tap_chain(t->a, t->tap, dp_stream_open(t->a, &sink_stage, x, NULL));
	made = dp_tap_content_type(t->tap);
	streams = gw_str_starts(made.p ? made : type, GW_STR("text/event-stream"));
	if (x->head_sent && x->sse && !streams) {
		dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN, "it answered with a document where a stream had begun");
		return;
	}
	if (!x->head_sent)
		x->sse = streams;
	gw_buf_clear(out_of(x));
	dp_x_step(x, DP_STEP_RELAY);
}

/* A run of the answer's plain bytes. */
static void take_plain(struct dp_exchange *x, struct gw_str slice)
{
	struct dp_attempt *t = &x->at;
	enum dp_flow flow;

	if (!t->relaying) {
		if (slice.n > DP_ERROR_BODY_MAX - t->error.n)
			slice.n = DP_ERROR_BODY_MAX - t->error.n;
		gw_buf_add(&t->error, slice);
		if (t->error.n == DP_ERROR_BODY_MAX) /* it has said enough, and may never end */
			judge_error(x, false);
		return;
	}
	flow = dp_feed_bytes(t->chain, slice);
	if (t->tap->error_seen || flow == DP_ERROR)
		commit_content(x);
	if (t->tap->error_seen)
		blot_key(x);
	if (t->tap->error_seen && !x->committed) {
		fail_in_band(x);
		return;
	}
	if (flow == DP_ERROR)
		dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN, "the answer is larger than the gateway keeps");
}

static void on_body(struct dp_exchange *x, struct gw_str slice)
{
	struct dp_inflate *z = x->at.inflate;
	const struct dp_up *u = x->at.up;
	unsigned turn = x->turns;
	struct gw_str plain;
	enum dp_inflated got;

	if (!z) {
		take_plain(x, slice);
		return;
	}
	while ((got = dp_inflate_next(z, &slice, &plain)) == DP_INFLATE_OUT) {
		take_plain(x, plain);
		if (x->ended || x->turns != turn || x->at.up != u)
			return; /* the decoder went with its attempt, or the answer has had its last word */
	}
	if (x->at.relaying && (got == DP_INFLATE_BROKEN || got == DP_INFLATE_BOMB)) {
		commit_content(x);
		dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN,
		                got == DP_INFLATE_BOMB ? "the answer is compressed beyond all measure" : "its compression is broken");
	}
}

static void on_message_end(struct dp_exchange *x, bool nothing_left)
{
	struct dp_attempt *t = &x->at;
	bool clean = nothing_left && t->sent && dp_h1_reusable(t->up->parser);
	bool whole = !t->inflate || dp_inflate_whole(t->inflate);

	if (t->relaying)
		relayed_to_end(x, whole ? DP_CLOSE_CLEAN : DP_CLOSE_TRUNCATED, clean && whole);
	else
		judge_error(x, clean);
}

/* A stream goes on, perhaps for minutes: the heads of both sides have been used. */
static void make_lean(struct dp_exchange *x)
{
	x->lean = true;
	dp_x_forget_head(x);
	dp_h1_drop_fields(x->at.up->parser, NULL, 0);
}

static void up_read(void *arg, struct gw_str in)
{
	struct dp_exchange *x = arg;
	struct dp_up *u = x->at.up;
	unsigned turn = x->turns;

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	dp_crash_at(x->shard->crash, x);
	gw_buf_clear(out_of(x));
	x->at.got_byte = true;
	x->last_in_ms = dp_x_now(x);
	for (;;) {
		size_t used = 0;
		struct gw_str slice = GW_STR_NONE;
		enum dp_h1_event ev = dp_h1_feed(u->parser, in, &used, &slice);

		in = gw_str_from(in, used);
		if (ev == DP_H1_NEED)
			break;
		if (ev == DP_H1_HEAD)
			on_head(x);
		else if (ev == DP_H1_BODY)
			on_body(x, slice);
		else if (ev == DP_H1_END) {
			on_message_end(x, in.n == 0);
			return;
		} else {
			commit_content(x);
			dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN, dp_h1_refusal(u->parser)->text);
			return;
		}
		if (x->ended || x->turns != turn || x->at.up != u)
			return;
	}
	if (x->at.relaying) {
		flush(x, false);
		note_first_token(x);
		slow_down(x);
		if (x->committed && !x->lean)
			make_lean(x);
	}
}

static void up_end(void *arg, enum dp_net_end how)
{
	struct dp_exchange *x = arg;
	struct dp_attempt *t = &x->at;

	GW_CHECK(x, DP_EXCHANGE_MAGIC);
	if (how != DP_NET_END_RESET && dp_h1_eof(t->up->parser) == DP_H1_END && t->answered) {
		/* A body that runs until the end of the connection is whole only if TLS says that this was the end. */
		if (t->relaying)
			relayed_to_end(x, how == DP_NET_END_TRUNCATED || (t->inflate && !dp_inflate_whole(t->inflate)) ? DP_CLOSE_TRUNCATED
			                                                                                          : DP_CLOSE_CLEAN, false);
		else
			judge_error(x, false);
		return;
	}
	if (t->relaying && t->tap->done_marker && !t->tap->error_seen) {
		relayed_to_end(x, DP_CLOSE_CLEAN, false); /* the stream said its last word; only HTTP's end mark is missing */
		return;
	}
	gw_buf_clear(out_of(x));
	dp_attempt_fail(x, DP_FAIL_BROKEN, DP_NET_FAULT_BROKEN,
	                t->answered ? "the provider closed the connection in the middle of its answer"
	                            : "the provider closed the connection without an answer");
}

static void up_drain(void *arg)
{
	struct dp_exchange *x = arg;

	x->last_in_ms = dp_x_now(x);
	dp_attempt_send(x);
}

const struct dp_conn_ops dp_up_ops = { .on_read = up_read, .on_end = up_end, .on_drain = up_drain };
