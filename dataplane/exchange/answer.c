/* answer.c - heads of answers, and the answers that the gateway gives itself. */
#include <stdio.h>
#include <time.h>

#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

/*
 * The vendors' SDKs repeat a 429 of their own accord, and some sleep for as long as Retry-After says, a quota's month
 * included, while the caller hears nothing.  Where nobody would wait they are told not to.
 */
#define SDK_PATIENCE_MS 60000

static struct gw_str date_of(struct dp_shard *s)
{
	int64_t now = dp_loop_now(s->loop);
	time_t t;
	struct tm tm;

	if (now - s->date_ms >= 500 || !s->date[0]) {
		t = (time_t)(gw_now_ms() / 1000);
		gmtime_r(&t, &tm);
		strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s->date_ms = now;
	}
	return gw_str_c(s->date);
}

static bool plugin_sets(const struct dp_exchange *x, struct gw_str name)
{
	for (size_t i = 0; i < x->n_reply_headers; i++)
		if (gw_str_ieq(x->reply_headers[i].name, name))
			return true;
	return false;
}

static void write_cors(struct dp_exchange *x, struct gw_buf *out)
{
	struct gw_str origin = dp_x_cors_origin(x), asked;

	if (!origin.n)
		return;
	dp_write_header(out, "access-control-allow-origin", origin);
	dp_write_header(out, "vary", GW_STR("origin"));
	dp_write_header(out, "access-control-expose-headers", GW_STR("x-request-id, request-id, x-tidegate-route, x-tidegate-provider, retry-after"));
	if (!gw_str_is(x->head->method, "OPTIONS"))
		return;
	asked = dp_header_find(x->head->headers, x->head->n_headers, "access-control-request-headers");
	dp_write_header(out, "access-control-allow-methods", GW_STR("GET, HEAD, POST, OPTIONS"));
	dp_write_header(out, "access-control-allow-headers", asked.n && asked.n < 1024 ? asked : GW_STR("authorization, content-type"));
	dp_write_header(out, "access-control-max-age", GW_STR("600"));
}

static void write_facts(struct dp_exchange *x, struct gw_buf *out)
{
	dp_write_header(out, "x-request-id", gw_str_c(x->id));
	if (x->dialect->id_header)
		dp_write_header(out, x->dialect->id_header, gw_str_c(x->id));
	if (x->route)
		dp_write_header(out, "x-tidegate-route", x->route->name);
	if (x->attempts > 0) {
		dp_write_header(out, "x-tidegate-provider", x->at.provider ? x->at.provider->name : x->failure_provider->name);
		dp_write_header_int(out, "x-tidegate-attempts", x->attempts);
	}
}

/* Of the provider's headers those on the allow-list, but what we write ourselves. */
static void write_passed(struct dp_exchange *x, struct gw_buf *out, const struct dp_head *up, bool retry_after_set)
{
	for (size_t i = 0; up && i < up->n_headers; i++) {
		struct gw_str name = up->headers[i].name;

		if (!dp_response_header_passes(name) || gw_str_ieq(name, GW_STR("content-type")) ||
		    gw_str_ieq(name, GW_STR("x-request-id")) || gw_str_ieq(name, GW_STR("content-length")) ||
		    (retry_after_set && gw_str_ieq(name, GW_STR("retry-after"))) || plugin_sets(x, name))
			continue;
		dp_write_header_known(out, name, up->headers[i].value); /* the parser has looked at them */
	}
	for (size_t i = 0; i < x->n_reply_headers; i++)
		dp_write_header_pair(out, x->reply_headers[i].name, x->reply_headers[i].value);
}

static void write_framing(struct dp_exchange *x, struct gw_buf *out, unsigned status, int64_t length)
{
	bool old = x->head && x->head->minor == 0;

	x->content_length = length;
	if (status == 204) {
		x->content_length = 0;
	} else if (length >= 0) {
		dp_write_header_int(out, "content-length", length);
	} else if (old) {
		x->until_close = x->close_after = true;
	} else {
		x->chunked = true;
		dp_write_header(out, "transfer-encoding", GW_STR("chunked"));
	}
	if (x->close_after || !x->whole || x->shard->draining) {
		x->close_after = true;
		dp_write_header(out, "connection", GW_STR("close"));
	} else if (old) {
		dp_write_header(out, "connection", GW_STR("keep-alive"));
	}
}

void dp_answer_head(struct dp_exchange *x, unsigned status, struct gw_str type, int64_t length, const struct dp_head *up,
                    int64_t retry_after_ms, const char *allow)
{
	struct gw_buf *out = &x->shard->head;

	gw_buf_clear(out);
	x->status = status;
	dp_write_status_line(out, status);
	dp_write_header(out, "date", date_of(x->shard));
	if (type.n && dp_value_ok(type))
		dp_write_header_known(out, GW_STR("content-type"), type);
	write_framing(x, out, status, length);
	if (x->sse)
		dp_write_header(out, "cache-control", GW_STR("no-cache"));
	write_facts(x, out);
	if (retry_after_ms > 0)
		dp_write_header_int(out, "retry-after", (retry_after_ms + 999) / 1000);
	if (retry_after_ms > SDK_PATIENCE_MS)
		dp_write_header(out, "x-should-retry", GW_STR("false"));
	if (allow)
		dp_write_header(out, "allow", gw_str_c(allow));
	if (status == 401)
		dp_write_header(out, "www-authenticate", GW_STR("Bearer"));
	write_cors(x, out);
	write_passed(x, out, up, retry_after_ms > 0);
	dp_write_head_end(out);
}

/* How a request that the gateway answers itself has ended. */
static enum gw_end_reason reason_for(const struct dp_exchange *x, unsigned status)
{
	if (x->denied)
		return GW_END_BLOCKED;
	if (status < 400)
		return GW_END_COMPLETE;
	if (status == 504 || status == 408)
		return GW_END_TIMEOUT;
	return x->attempts > 0 ? GW_END_UPSTREAM_ERROR : GW_END_REJECTED;
}

void dp_answer_full(struct dp_exchange *x, unsigned status, const char *type, struct gw_str body, int64_t retry_after_ms,
                    const char *allow)
{
	struct gw_str v[2];
	size_t n = 0;

	assert(!x->head_sent && !x->ended);
	if (!x->whole)
		x->close_after = true;
	dp_answer_head(x, status, gw_str_c(type), (int64_t)body.n, NULL, retry_after_ms, allow);
	x->head_sent = true;
	v[n++] = gw_buf_str(&x->shard->head);
	if (body.n && !x->head_only)
		v[n++] = body;
	x->sent_body = x->head_only ? 0 : (int64_t)body.n;
	if (!x->gone)
		(void)dp_conn_write(x->client->conn, v, n);
	dp_x_finish(x, reason_for(x, status));
}

void dp_answer_json(struct dp_exchange *x, unsigned status, struct gw_str body)
{
	dp_answer_full(x, status, "application/json", body, 0, NULL);
}

static void answer_code(struct dp_exchange *x, enum dp_code code, struct gw_str message)
{
	struct gw_buf body;
	unsigned status = dp_code_status(code);

	if (x->ended)
		return;
	if (x->head_sent) {
		char text[300];

		snprintf(text, sizeof text, "%.*s", GW_FMT(message));
		dp_relay_break(x, code, text);
		return;
	}
	x->error_code = dp_code_wire(code);
	if (code == DP_E_BAD_FRAMING)
		x->close_after = true;
	gw_buf_init(&body, 16384);
	dp_error_body(&body, x->dialect, code, message);
	dp_answer_full(x, status, "application/json", gw_buf_str(&body), status == 429 || status == 503 ? 1000 : 0,
	               code == DP_E_BAD_METHOD ? x->allow : NULL);
	gw_buf_fini(&body);
}

void dp_answer_error(struct dp_exchange *x, enum dp_code code, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	answer_code(x, code, gw_str_c(text));
}

void dp_answer_refusal(struct dp_exchange *x, const struct dp_refusal *r)
{
	answer_code(x, r->code, gw_str_c(r->text));
}

static void answer_status(struct dp_exchange *x)
{
	const struct dp_failure *f = x->failure;
	unsigned status = f->status >= 400 && f->status <= 599 ? f->status : 502;
	int64_t wait = f->fault.retry_after_ms;
	struct gw_buf body;

	x->error_code = dp_code_wire(DP_E_UPSTREAM_FAILED);
	gw_buf_init(&body, DP_ERROR_BODY_MAX * 2);
	dp_error_convert(&body, x->dialect, status, gw_buf_str(&x->failure_body), x->failure_secret);
	if (wait < 1000 && (status == 429 || status == 503))
		wait = 1000;
	dp_answer_full(x, status, "application/json", gw_buf_str(&body), wait > 0 ? wait : 0, NULL);
	gw_buf_fini(&body);
}

void dp_answer_failure(struct dp_exchange *x)
{
	const struct dp_failure *f = x->failure;
	struct gw_str name = x->failure_provider->name;

	if (x->head_sent) {
		dp_relay_break(x, f->how == DP_FAIL_TIMEOUT ? DP_E_UPSTREAM_TIMEOUT : DP_E_UPSTREAM_FAILED, f->text);
		return;
	}
	switch (f->how) {
	case DP_FAIL_STATUS:
		answer_status(x);
		break;
	case DP_FAIL_TIMEOUT:
		dp_answer_error(x, DP_E_UPSTREAM_TIMEOUT, "The provider `%.*s` did not answer in time.", GW_FMT(name));
		break;
	case DP_FAIL_CONNECT:
		if (f->net == DP_NET_FAULT_LOCAL)
			dp_answer_error(x, DP_E_OVERLOADED, "The gateway has no room for another connection; try again.");
		else if (f->net == DP_NET_FAULT_QUEUE)
			dp_answer_error(x, DP_E_OVERLOADED, "The provider `%.*s` has no free connection: %s.", GW_FMT(name), f->text);
		else if (f->net == DP_NET_FAULT_TIMEOUT)
			dp_answer_error(x, DP_E_UPSTREAM_TIMEOUT, "The provider `%.*s` could not be reached in time.", GW_FMT(name));
		else
			dp_answer_error(x, DP_E_UPSTREAM_FAILED, "The provider `%.*s` could not be reached (%s); the worker's log has the details.",
			                GW_FMT(name), dp_net_fault_name(f->net));
		break;
	case DP_FAIL_BROKEN:
		dp_answer_error(x, DP_E_UPSTREAM_FAILED, "The provider `%.*s` gave no usable answer: %s.", GW_FMT(name), f->text);
		break;
	}
}
