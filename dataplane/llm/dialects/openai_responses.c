/* openai_responses.c - POST /v1/responses, passed through to providers that speak it. */
#include "base/str.h"
#include "llm/tap.h"

/* The error of a stream is a whole response that failed; as a plain body it is OpenAI's usual object. */
static void write_error(struct gw_buf *out, unsigned status, const char *type, const char *code, struct gw_str message)
{
	dp_openai_chat.write_error(out, status, type, code, message);
}

static void write_error_event(struct gw_buf *out, unsigned status, const char *type, const char *code,
                              struct gw_str message)
{
	(void)status;
	gw_buf_add_c(out, "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"object\":\"response\","
	                  "\"status\":\"failed\",\"output\":[],\"error\":{\"code\":");
	gw_buf_add_json(out, gw_str_c(code ? code : type));
	gw_buf_add_c(out, ",\"message\":");
	gw_buf_add_json(out, message);
	gw_buf_add_c(out, "}}}\n\n");
}

static void read_event(struct dp_tap *t, struct gw_str event, struct dp_json data)
{
	struct dp_json type = dp_json_at(data, "type"), response = dp_json_at(data, "response");
	struct gw_str name = type.type == DP_J_STRING ? dp_json_inner(type) : event;

	if (data.type != DP_J_OBJECT) {
		t->bad_events++;
		return;
	}
	if (gw_str_ends(name, GW_STR(".delta")))
		dp_tap_text(t, dp_json_at(data, "delta"));
	dp_usage_fold(&t->usage, dp_json_at(response, "usage"));
	if (gw_str_is(name, "response.completed") || gw_str_is(name, "response.incomplete"))
		t->done_marker = true;
	else if (gw_str_is(name, "response.failed"))
		dp_tap_error(t, dp_json_at(response, "error"));
	else if (gw_str_is(name, "error"))
		dp_tap_error(t, data);
}

const struct dp_dialect dp_openai_responses = {
	.name = "openai-responses", .ping = ": ping\n\n", .write_error = write_error,
	.write_error_event = write_error_event, .read_event = read_event,
};
