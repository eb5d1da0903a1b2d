/* dialect.c - the table of operations, and errors in the client's words. */
#include "llm/dialect.h"

#include <stdio.h>

#include "base/str.h"

static const struct dp_operation operations[] = {
	{ "chat", "POST", "/chat/completions", DP_OP_CHAT, DP_MODEL_JSON, true, true, &dp_openai_chat, false },
	{ "completion", "POST", "/completions", DP_OP_GENERATE, DP_MODEL_JSON, true, true, &dp_openai_chat, false },
	{ "embedding", "POST", "/embeddings", DP_OP_PLAIN, DP_MODEL_JSON, false, false, &dp_openai_chat, false },
	{ "responses", "POST", "/responses", DP_OP_GENERATE, DP_MODEL_JSON, true, false, &dp_openai_responses, false },
	{ "messages", "POST", "/messages", DP_OP_GENERATE, DP_MODEL_JSON, true, false, &dp_anthropic_messages, false },
	{ "count_tokens", "POST", "/messages/count_tokens", DP_OP_PLAIN, DP_MODEL_JSON, false, false,
	  &dp_anthropic_messages, true },
	{ "rerank", "POST", "/rerank", DP_OP_PLAIN, DP_MODEL_JSON, false, false, &dp_openai_chat, false },
	{ "moderation", "POST", "/moderations", DP_OP_PLAIN, DP_MODEL_JSON, false, false, &dp_openai_chat, false },
	{ "image", "POST", "/images/generations", DP_OP_PLAIN, DP_MODEL_JSON, true, false, &dp_openai_chat, false },
	{ "image_edit", "POST", "/images/edits", DP_OP_PLAIN, DP_MODEL_MULTIPART, false, false, &dp_openai_chat, false },
	{ "image_variation", "POST", "/images/variations", DP_OP_PLAIN, DP_MODEL_MULTIPART, false, false,
	  &dp_openai_chat, false },
	{ "speech", "POST", "/audio/speech", DP_OP_PLAIN, DP_MODEL_JSON, false, false, &dp_openai_chat, false },
	{ "transcription", "POST", "/audio/transcriptions", DP_OP_PLAIN, DP_MODEL_MULTIPART, false, false,
	  &dp_openai_chat, false },
	{ "translation", "POST", "/audio/translations", DP_OP_PLAIN, DP_MODEL_MULTIPART, false, false,
	  &dp_openai_chat, false },
	{ "models", "GET", "/models", DP_OP_MODELS, DP_MODEL_NONE, false, false, NULL, false },
};

const struct dp_operation *dp_operation_at(size_t i)
{
	return i < GW_COUNT(operations) ? &operations[i] : NULL;
}

/* `tail` begins with the '/' behind "/v1". */
static const struct dp_operation *by_tail(struct gw_str tail, struct gw_str *rest)
{
	for (size_t i = 0; i < GW_COUNT(operations); i++) {
		struct gw_str path = gw_str_c(operations[i].path);

		*rest = GW_STR_NONE;
		if (gw_str_eq(tail, path))
			return &operations[i];
		if (operations[i].kind == DP_OP_MODELS && tail.n > path.n + 1 && gw_str_starts(tail, path) &&
		    tail.p[path.n] == '/') {
			*rest = gw_str_from(tail, path.n);
			return &operations[i];
		}
	}
	return NULL;
}

const struct dp_operation *dp_operation_find(struct gw_str method, struct gw_str path, struct gw_str *rest,
                                             struct dp_refusal *why, const char **allow)
{
	struct gw_str from = path;
	size_t at;

	*allow = NULL;
	while (gw_str_find(from, GW_STR("/v1/"), &at)) {
		const struct dp_operation *op = by_tail(gw_str_from(from, at + 3), rest);

		if (op) {
			bool get = strcmp(op->method, "GET") == 0;

			*allow = get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
			if (gw_str_is(method, op->method) || (get && gw_str_is(method, "HEAD")))
				return op;
			dp_refuse(why, DP_E_BAD_METHOD, "%.*s takes %s, not %.*s", GW_FMT(path), op->method,
			          GW_FMT(method));
			return NULL;
		}
		from = gw_str_from(from, at + 1);
	}
	dp_refuse(why, DP_E_NO_PATH, "there is nothing at %.*s; the API begins at /v1, for example /v1/chat/completions",
	          (int)(path.n < 100 ? path.n : 100), path.p);
	return NULL;
}

const struct dp_dialect *dp_dialect_guess(struct gw_str path, bool anthropic_version)
{
	size_t at;

	return anthropic_version || gw_str_find(path, GW_STR("/v1/messages"), &at) || gw_str_find(path, GW_STR("/anthropic"), &at)
	           ? &dp_anthropic_messages : &dp_openai_chat;
}

/* ---- errors ---- */

static const char *type_of_status(unsigned status)
{
	switch (status) {
	case 401: return "authentication_error";
	case 403: return "permission_error";
	case 429: return "rate_limit_error";
	default: return status >= 500 ? "server_error" : "invalid_request_error";
	}
}

void dp_error_write(struct gw_buf *out, const struct dp_dialect *d, unsigned status, const char *type, const char *code,
                    struct gw_str message)
{
	d->write_error(out, status, type ? type : type_of_status(status), code, message);
}

void dp_error_body(struct gw_buf *out, const struct dp_dialect *d, enum dp_code code, struct gw_str message)
{
	dp_error_write(out, d, dp_code_status(code), dp_code_type(code), dp_code_wire(code), message);
}

void dp_error_event(struct gw_buf *out, const struct dp_dialect *d, enum dp_code code, struct gw_str message)
{
	d->write_error_event(out, dp_code_status(code), dp_code_type(code), dp_code_wire(code), message);
}

static bool key_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/*
 * Vendors mask keys themselves, but leave their ends: "sk-ab***yz", "****cd15".  When text[at] begins a run of stars
 * whose surroundings are the ends of the secret: how far it reaches, *left bytes before at included.  Else 0.
 */
static size_t masked(struct gw_str text, size_t at, struct gw_str secret, size_t *left)
{
	size_t from = at, stars = at, to;

	while (from > 0 && key_byte(text.p[from - 1]))
		from--;
	while (stars < text.n && text.p[stars] == '*')
		stars++;
	for (to = stars; to < text.n && key_byte(text.p[to]); to++)
		;
	*left = at - from;
	if (stars - at < 2 || (from == at && to == stars) ||
	    !gw_str_starts(secret, (struct gw_str){ text.p + from, at - from }) ||
	    !gw_str_ends(secret, (struct gw_str){ text.p + stars, to - stars }))
		return 0;
	return to - at;
}

static void add_unmasked(struct gw_buf *out, struct gw_str text, struct gw_str secret)
{
	size_t done = 0, left, n;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '*' || (i > 0 && text.p[i - 1] == '*') || !(n = masked(text, i, secret, &left)))
			continue;
		gw_buf_add(out, (struct gw_str){ text.p + done, i - left - done });
		gw_buf_add(out, GW_STR("***"));
		done = i + n;
		i = done - 1;
	}
	gw_buf_add(out, gw_str_from(text, done));
}

void dp_add_blotted(struct gw_buf *out, struct gw_str text, struct gw_str secret)
{
	size_t at;

	if (secret.n < 8) { /* a short "secret" (a test server's "x") would blot out the whole text */
		gw_buf_add(out, text);
		return;
	}
	while (gw_str_find(text, secret, &at)) {
		add_unmasked(out, (struct gw_str){ text.p, at }, secret);
		gw_buf_add(out, GW_STR("***"));
		text = gw_str_from(text, at + secret.n);
	}
	add_unmasked(out, text, secret);
}

#define MESSAGE_MAX 300

/* Plain words that are no page: printable, and short enough to be a sentence. */
static bool is_plain(struct gw_str s)
{
	if (!s.n || s.n > 2000 || s.p[0] == '<' || s.p[0] == '{' || s.p[0] == '[' || !gw_utf8_valid(s))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n' && s.p[i] != '\r' && s.p[i] != '\t')
			return false;
	return true;
}

/* Cut to MESSAGE_MAX bytes at a character, line breaks to blanks. */
static void add_sentence(struct gw_buf *out, struct gw_str s)
{
	char text[MESSAGE_MAX];
	size_t n = s.n;

	if (n > MESSAGE_MAX)
		for (n = MESSAGE_MAX; n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80; n--)
			;
	for (size_t i = 0; i < n; i++)
		text[i] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i];
	gw_buf_add(out, (struct gw_str){ text, n });
}

void dp_error_message(struct gw_buf *out, struct gw_str body)
{
	static const char *const paths[] = {
		"error.message", "error.message.detail", "error", "message", "message.detail", "msg", "detail", "detail[0].msg",
		"detail.error", "detail.message", "errors[0].message", "errors[0]", "base_resp.status_msg", "error_msg",
		"title", "Message", "[0].error.message", "" };
	struct dp_json doc = dp_json_value(body);
	struct gw_str plain = gw_str_trim(body);
	struct gw_buf text;

	for (size_t i = 0; i < GW_COUNT(paths); i++) {
		struct dp_json v = dp_json_at(doc, paths[i]);

		if (v.type != DP_J_STRING || v.raw.n <= 2)
			continue;
		gw_buf_init(&text, 65536);
		dp_json_text(&text, v);
		add_sentence(out, gw_str_trim(gw_buf_str(&text)));
		gw_buf_fini(&text);
		return;
	}
	if (is_plain(plain))
		add_sentence(out, plain);
}

/* Has the body the dialect's own shape already? */
static bool has_shape(const struct dp_dialect *d, struct gw_str body)
{
	struct dp_json doc = dp_json_value(body), e = dp_json_at(doc, "error");

	if (dp_json_at(e, "message").type != DP_J_STRING || !gw_utf8_valid(body))
		return false;
	return d != &dp_anthropic_messages || dp_json_is(dp_json_at(doc, "type"), "error");
}

void dp_error_convert(struct gw_buf *out, const struct dp_dialect *d, unsigned status, struct gw_str body,
                      struct gw_str secret)
{
	struct gw_buf message, blotted;

	if (has_shape(d, body)) {
		dp_add_blotted(out, body, secret);
		return;
	}
	gw_buf_init(&message, MESSAGE_MAX + 100);
	gw_buf_init(&blotted, 2 * MESSAGE_MAX);
	dp_error_message(&message, body);
	if (!message.n)
		gw_buf_printf(&message, "the provider answered with status %u and no message", status);
	dp_add_blotted(&blotted, gw_buf_str(&message), secret);
	dp_error_write(out, d, status, NULL, "upstream_error", gw_buf_str(&blotted));
	gw_buf_fini(&message);
	gw_buf_fini(&blotted);
}
