/* spans.c - OTLP's JSON encoding: ids in hex, 64-bit numbers as strings, enumerations as numbers. */
#include "observe/spans.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"

enum { KIND_SERVER = 2, KIND_CLIENT = 3, STATUS_ERROR = 2 };

/* ---- one block ---- */

#define REQUEST_TEXTS(X)                                                                                     \
	X(state) X(method) X(path) X(user_agent) X(client_ip) X(request_id) X(consumer) X(route) X(model)    \
	X(served_model) X(operation) X(error_code) X(end_reason) X(usage_source)
#define TRY_TEXTS(X) X(provider) X(provider_type) X(model) X(key) X(endpoint) X(result) X(error)
#define TEXT_CAP 512

static size_t capped(struct gw_str s) { return s.n < TEXT_CAP ? s.n : TEXT_CAP; }

static void move(struct gw_str *s, char **at)
{
	size_t n = capped(*s);

	if (n)
		memcpy(*at, s->p, n);
	*s = (struct gw_str){ *at, n };
	*at += n;
}

struct dp_span_request *dp_spans_pack(const struct dp_span_request *r, size_t *bytes)
{
	struct dp_span_request *copy;
	char *at;

	*bytes = sizeof *r;
#define X(name) *bytes += capped(r->name);
	REQUEST_TEXTS(X)
#undef X
	for (size_t i = 0; i < r->n_tries; i++) {
#define X(name) *bytes += capped(r->tries[i].name);
		TRY_TEXTS(X)
#undef X
	}
	copy = gw_alloc(*bytes);
	*copy = *r;
	at = (char *)(copy + 1);
#define X(name) move(&copy->name, &at);
	REQUEST_TEXTS(X)
#undef X
	for (size_t i = 0; i < r->n_tries; i++) {
#define X(name) move(&copy->tries[i].name, &at);
		TRY_TEXTS(X)
#undef X
	}
	return copy;
}

/* ---- JSON ---- */

struct list { struct gw_buf *out; bool any; };

static void next(struct list *l, const char *key)
{
	gw_buf_printf(l->out, "%s{\"key\":\"%s\",\"value\":", l->any ? "," : "", key);
	l->any = true;
}

static void text(struct list *l, const char *key, struct gw_str v)
{
	if (!v.n)
		return;
	next(l, key);
	gw_buf_add_c(l->out, "{\"stringValue\":");
	gw_buf_add_json(l->out, v);
	gw_buf_add_c(l->out, "}}");
}

static void number(struct list *l, const char *key, int64_t v)
{
	next(l, key);
	gw_buf_printf(l->out, "{\"intValue\":\"%lld\"}}", (long long)v);
}

static void truth(struct list *l, const char *key, bool v)
{
	next(l, key);
	gw_buf_printf(l->out, "{\"boolValue\":%s}}", v ? "true" : "false");
}

static void id(struct gw_buf *out, const char *name, const uint8_t *p, size_t n)
{
	char hex[GW_HEX_LEN(16)];

	gw_hex(hex, p, n);
	gw_buf_printf(out, "\"%s\":\"%s\",", name, hex);
}

static void when(struct gw_buf *out, const char *name, int64_t us)
{
	gw_buf_printf(out, "\"%s\":\"%lld000\",", name, (long long)us);
}

/* The words of the semantic conventions for what they know; ours for the rest. */
static struct gw_str operation_of(struct gw_str op)
{
	static const struct { const char *ours, *theirs; } table[] = {
		{ "chat", "chat" }, { "responses", "chat" }, { "messages", "chat" }, { "completion", "text_completion" },
		{ "embedding", "embeddings" },
	};

	for (size_t i = 0; i < GW_COUNT(table); i++)
		if (gw_str_is(op, table[i].ours))
			return gw_str_c(table[i].theirs);
	return op;
}

static struct gw_str vendor_of(struct gw_str type)
{
	static const struct { const char *ours, *theirs; } table[] = {
		{ "azure", "azure.ai.openai" }, { "azure-openai", "azure.ai.openai" }, { "bedrock", "aws.bedrock" }, { "gemini", "gcp.gemini" },
		{ "vertex", "gcp.vertex_ai" }, { "vertex-ai", "gcp.vertex_ai" }, { "mistral", "mistral_ai" }, { "xai", "x_ai" },
	};

	for (size_t i = 0; i < GW_COUNT(table); i++)
		if (gw_str_is(type, table[i].ours))
			return gw_str_c(table[i].theirs);
	return type;
}

static void begin_span(struct gw_buf *out, const struct dp_span_request *r, const uint8_t *span, const uint8_t *parent, int kind)
{
	static const uint8_t none[8];

	gw_buf_add_byte(out, '{');
	id(out, "traceId", r->trace_id, 16);
	id(out, "spanId", span, 8);
	if (memcmp(parent, none, 8) != 0)
		id(out, "parentSpanId", parent, 8);
	if (r->state.n) {
		gw_buf_add_c(out, "\"traceState\":");
		gw_buf_add_json(out, r->state);
		gw_buf_add_byte(out, ',');
	}
	gw_buf_printf(out, "\"flags\":%d,\"kind\":%d,", 1, kind);
}

static void end_span(struct gw_buf *out, int64_t first_token_us, bool failed, struct gw_str message)
{
	gw_buf_add_c(out, "],");
	if (first_token_us > 0) {
		gw_buf_add_c(out, "\"events\":[{");
		when(out, "timeUnixNano", first_token_us);
		gw_buf_add_c(out, "\"name\":\"gen_ai.first_token\"}],");
	}
	gw_buf_add_c(out, "\"status\":{");
	if (failed) {
		gw_buf_printf(out, "\"code\":%d", STATUS_ERROR);
		if (message.n) {
			gw_buf_add_c(out, ",\"message\":");
			gw_buf_add_json(out, message);
		}
	}
	gw_buf_add_c(out, "}}");
}

static void name(struct gw_buf *out, struct gw_str a, struct gw_str b)
{
	gw_buf_add_c(out, "\"name\":");
	gw_buf_add_json(out, a);
	if (b.n && a.n) { /* one string of two: the closing quote of the first and the opening one of the second go */
		out->n--;
		gw_buf_add_byte(out, ' ');
		size_t at = out->n;

		gw_buf_add_json(out, b);
		if (!out->full) {
			memmove(out->p + at, out->p + at + 1, out->n - at - 1);
			out->n--;
		}
	}
	gw_buf_add_byte(out, ',');
}

static void tokens(struct list *l, const struct dp_span_request *r)
{
	if (gw_str_is(r->usage_source, "none"))
		return;
	number(l, "gen_ai.usage.input_tokens", r->prompt_tokens);
	number(l, "gen_ai.usage.output_tokens", r->completion_tokens);
	if (r->cached_tokens > 0)
		number(l, "gen_ai.usage.cache_read.input_tokens", r->cached_tokens);
	if (r->reasoning_tokens > 0)
		number(l, "tidegate.usage.reasoning_tokens", r->reasoning_tokens);
	text(l, "tidegate.usage.source", r->usage_source);
}

static void write_server(const struct dp_span_request *r, struct gw_buf *out)
{
	struct list l = { out, false };
	bool failed = r->status >= 500 || gw_str_is(r->end_reason, "upstream_error") || gw_str_is(r->end_reason, "timeout");

	begin_span(out, r, r->span_id, r->parent_id, KIND_SERVER);
	name(out, r->method, r->path);
	when(out, "startTimeUnixNano", r->start_us);
	when(out, "endTimeUnixNano", r->end_us);
	gw_buf_add_c(out, "\"attributes\":[");
	text(&l, "http.request.method", r->method);
	text(&l, "url.path", r->path);
	text(&l, "url.scheme", GW_STR("http"));
	if (r->status)
		number(&l, "http.response.status_code", r->status);
	text(&l, "client.address", r->client_ip);
	text(&l, "user_agent.original", r->user_agent);
	text(&l, "gen_ai.operation.name", operation_of(r->operation));
	text(&l, "gen_ai.request.model", r->model);
	text(&l, "gen_ai.response.model", r->served_model);
	if (r->max_tokens > 0)
		number(&l, "gen_ai.request.max_tokens", r->max_tokens);
	tokens(&l, r);
	truth(&l, "tidegate.stream", r->stream);
	text(&l, "tidegate.request_id", r->request_id);
	text(&l, "tidegate.consumer", r->consumer);
	text(&l, "tidegate.route", r->route);
	text(&l, "tidegate.end_reason", r->end_reason);
	number(&l, "tidegate.attempts", (int64_t)r->n_tries);
	text(&l, "error.type", r->error_code);
	end_span(out, r->first_token_us, failed, failed ? r->error_code : GW_STR_NONE);
}

/* "https://host:port/path": only host and port are of interest here. */
static void address(struct list *l, struct gw_str url)
{
	struct gw_str rest = url, port = GW_STR_NONE;
	size_t at;
	int64_t n = gw_str_starts(url, GW_STR("https:")) ? 443 : 80;

	if (!gw_str_find(url, GW_STR("://"), &at))
		return;
	rest = gw_str_from(url, at + 3);
	rest = gw_str_cut(&rest, '/');
	for (size_t i = rest.n; i > 0 && rest.p[i - 1] != ']'; i--) {
		if (rest.p[i - 1] == ':') {
			port = gw_str_from(rest, i);
			rest.n = i - 1;
			break;
		}
	}
	if (port.n)
		(void)gw_str_int(port, 1, 65535, &n);
	text(l, "server.address", rest);
	number(l, "server.port", n);
}

static void write_try(const struct dp_span_request *r, size_t i, struct gw_buf *out)
{
	const struct dp_span_try *t = &r->tries[i];
	struct list l = { out, false };
	bool failed = !gw_str_is(t->result, "ok");

	gw_buf_add_byte(out, ',');
	begin_span(out, r, t->span_id, r->span_id, KIND_CLIENT);
	name(out, operation_of(r->operation), t->model.n ? t->model : r->model);
	when(out, "startTimeUnixNano", t->start_us);
	when(out, "endTimeUnixNano", t->end_us);
	gw_buf_add_c(out, "\"attributes\":[");
	text(&l, "gen_ai.operation.name", operation_of(r->operation));
	text(&l, "gen_ai.provider.name", vendor_of(t->provider_type));
	text(&l, "gen_ai.request.model", t->model.n ? t->model : r->model);
	if (!failed) {
		text(&l, "gen_ai.response.model", r->served_model);
		tokens(&l, r);
	}
	address(&l, t->endpoint);
	if (t->status)
		number(&l, "http.response.status_code", t->status);
	text(&l, "tidegate.provider", t->provider);
	text(&l, "tidegate.provider_key", t->key);
	number(&l, "tidegate.attempt", (int64_t)i + 1);
	truth(&l, "tidegate.connection.reused", t->reused);
	if (t->repeated)
		truth(&l, "tidegate.repeated", true);
	if (failed)
		text(&l, "error.type", t->result);
	end_span(out, t->first_token_us, failed, failed ? t->error : GW_STR_NONE);
}

void dp_spans_write(const struct dp_span_request *r, struct gw_buf *out)
{
	write_server(r, out);
	for (size_t i = 0; i < r->n_tries; i++)
		write_try(r, i, out);
}

size_t dp_spans_count(const struct dp_span_request *r)
{
	return 1 + r->n_tries;
}

void dp_spans_open(struct gw_buf *out, struct gw_str service, struct gw_str instance)
{
	struct list l = { out, false };

	gw_buf_add_c(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	text(&l, "service.name", service);
	text(&l, "service.version", GW_STR(TIDEGATE_VERSION));
	text(&l, "service.instance.id", instance);
	gw_buf_add_c(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"tidegate\",\"version\":\"" TIDEGATE_VERSION "\"},\"spans\":[");
}

void dp_spans_shut(struct gw_buf *out)
{
	gw_buf_add_c(out, "]}]}]}");
}
