/*
 * anthropic_messages.c - POST /v1/messages, passed through to providers that speak it.
 *
 * The vendor's type of an error follows from the status; what the gateway's own code says more precisely stands in
 * error.details.error_code, where the vendor's SDKs look for it.
 */
#include "base/str.h"
#include "llm/tap.h"

static const char *type_of_status(unsigned status)
{
	switch (status) {
	case 401: return "authentication_error";
	case 402: return "billing_error";
	case 403: return "permission_error";
	case 404: return "not_found_error";
	case 413: return "request_too_large";
	case 429: return "rate_limit_error";
	case 503: case 529: return "overloaded_error";
	case 408: case 504: return "timeout_error";
	default: return status >= 500 ? "api_error" : "invalid_request_error";
	}
}

static void write_error(struct gw_buf *out, unsigned status, const char *type, const char *code, struct gw_str message)
{
	(void)type;
	gw_buf_add_c(out, "{\"type\":\"error\",\"error\":{\"type\":");
	gw_buf_add_json(out, gw_str_c(type_of_status(status)));
	gw_buf_add_c(out, ",\"message\":");
	gw_buf_add_json(out, message);
	if (code) {
		gw_buf_add_c(out, ",\"details\":{\"error_code\":");
		gw_buf_add_json(out, gw_str_c(code));
		gw_buf_add_byte(out, '}');
	}
	gw_buf_add_c(out, "}}");
}

static void write_error_event(struct gw_buf *out, unsigned status, const char *type, const char *code,
                              struct gw_str message)
{
	gw_buf_add_c(out, "event: error\ndata: ");
	write_error(out, status, type, code, message);
	gw_buf_add_c(out, "\n\n");
}

/* Nobody knows when a model of ours was released; the vendor's word for that is the beginning of time. */
static void write_model(struct gw_buf *out, const struct dp_model_row *row, int64_t created)
{
	(void)created;
	gw_buf_add_c(out, "{\"type\":\"model\",\"id\":");
	gw_buf_add_json(out, row->id);
	gw_buf_add_c(out, ",\"display_name\":");
	gw_buf_add_json(out, row->id);
	gw_buf_add_c(out, ",\"created_at\":\"1970-01-01T00:00:00Z\",\"lifecycle\":\"active\"}");
}

/* All on one page, whatever `limit` says: a client that asks for the next one is told that there is none. */
static void write_models(struct gw_buf *out, const struct dp_model_row *rows, size_t n, int64_t created)
{
	gw_buf_add_c(out, "{\"data\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			gw_buf_add_byte(out, ',');
		write_model(out, &rows[i], created);
	}
	gw_buf_add_c(out, "],\"has_more\":false,\"first_id\":");
	if (n)
		gw_buf_add_json(out, rows[0].id);
	else
		gw_buf_add_c(out, "null");
	gw_buf_add_c(out, ",\"last_id\":");
	if (n)
		gw_buf_add_json(out, rows[n - 1].id);
	else
		gw_buf_add_c(out, "null");
	gw_buf_add_byte(out, '}');
}

/* Most blocks begin empty; a call has its name, and some (redacted thoughts, results of the vendor's own tools) come whole. */
static void block_begins(struct dp_tap *t, struct dp_json block)
{
	struct dp_json type = dp_json_at(block, "type");

	t->first_token |= type.type == DP_J_STRING && !dp_json_is(type, "text") && !dp_json_is(type, "thinking");
	dp_tap_text(t, dp_json_at(block, "text"));
	dp_tap_text(t, dp_json_at(block, "thinking"));
	dp_tap_text(t, dp_json_at(block, "name"));
}

static void read_event(struct dp_tap *t, struct gw_str event, struct dp_json data)
{
	struct dp_json type = dp_json_at(data, "type"), d = dp_json_at(data, "delta");
	struct gw_str name = type.type == DP_J_STRING ? dp_json_inner(type) : event;

	if (data.type != DP_J_OBJECT) {
		t->bad_events++;
		return;
	}
	if (gw_str_is(name, "message_start")) {
		dp_usage_fold(&t->usage, dp_json_at(data, "message.usage"));
	} else if (gw_str_is(name, "content_block_start")) {
		block_begins(t, dp_json_at(data, "content_block"));
	} else if (gw_str_is(name, "content_block_delta")) {
		dp_tap_text(t, dp_json_at(d, "text"));
		dp_tap_text(t, dp_json_at(d, "thinking"));
		dp_tap_text(t, dp_json_at(d, "partial_json"));
	} else if (gw_str_is(name, "message_delta")) {
		dp_usage_fold(&t->usage, dp_json_at(data, "usage"));
		dp_tap_finish_reason(t, dp_json_at(d, "stop_reason"));
	} else if (gw_str_is(name, "message_stop")) {
		t->done_marker = true;
	} else if (gw_str_is(name, "error")) {
		dp_tap_error(t, dp_json_at(data, "error"));
	}
}

const struct dp_dialect dp_anthropic_messages = {
	.name = "anthropic-messages", .cached_apart = true, .ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n",
	.id_header = "request-id", .write_error = write_error, .write_error_event = write_error_event,
	.write_models = write_models, .write_model = write_model, .read_event = read_event,
};
