/* request.c - the little that the gateway reads of a body, and the less that it changes. */
#include "llm/request.h"

#include "base/str.h"
#include "codec/json_scan.h"
#include "http/headers.h"
#include "http/multipart.h"
#include "llm/tokens.h"

enum { MODEL, STREAM, STREAM_OPTIONS, MAX_TOKENS, MAX_OUTPUT_TOKENS, MAX_COMPLETION_TOKENS, N, MESSAGES };
static const struct gw_str names[] = {
	[MODEL] = DP_SCAN_NAME("model"),
	[STREAM] = DP_SCAN_NAME("stream"),
	[STREAM_OPTIONS] = DP_SCAN_NAME("stream_options"),
	[MAX_TOKENS] = DP_SCAN_NAME("max_tokens"),
	[MAX_OUTPUT_TOKENS] = DP_SCAN_NAME("max_output_tokens"),
	[MAX_COMPLETION_TOKENS] = DP_SCAN_NAME("max_completion_tokens"),
	[N] = DP_SCAN_NAME("n"),
	[MESSAGES] = DP_SCAN_NAME("messages"),
};

#define MODEL_MAX 256

struct dp_reader {
	struct gw_arena *a;          /* what it is itself in */
	const struct dp_operation *op;
	bool json;
	struct json *of_json;        /* one of the two, by model_in */
	struct dp_multipart *form;
};

struct json {
	struct dp_scan scan;
	struct dp_scan_member found[GW_COUNT(names)];
	struct dp_json_names seen;
};

static struct json *open_json(struct gw_arena *a)
{
	struct json *j = gw_arena_alloc(a, sizeof *j);

	dp_scan_init(&j->scan, names, j->found, GW_COUNT(names));
	dp_json_names_init(&j->seen);
	gw_arena_defer(a, dp_json_names_fini, &j->seen);
	dp_scan_strict(&j->scan, &j->seen);
	return j;
}

struct dp_reader *dp_reader_open(struct gw_arena *a, const struct dp_operation *op, struct gw_str content_type,
                                 struct dp_refusal *why)
{
	struct dp_reader *r = gw_arena_alloc(a, sizeof *r);
	struct gw_str media = dp_media_type(content_type);

	r->a = a;
	r->op = op;
	r->json = op->model_in == DP_MODEL_JSON;
	if (op->model_in == DP_MODEL_NONE)
		return r;
	if (r->json) {
		/* Without a type it is taken for JSON, which it must then be; every other type is a mistake. */
		if (media.n && !gw_str_ieq(media, GW_STR("application/json")) && !gw_str_ends(media, GW_STR("+json"))) {
			dp_refuse(why, DP_E_BAD_MEDIA, "the content type must be application/json, not '%.*s'",
			          (int)(media.n < 60 ? media.n : 60), media.p);
			return NULL;
		}
		r->of_json = open_json(a);
		return r;
	}
	if (!gw_str_ieq(media, GW_STR("multipart/form-data"))) {
		dp_refuse(why, DP_E_BAD_MEDIA, "the content type must be multipart/form-data");
		return NULL;
	}
	r->form = gw_arena_alloc(a, sizeof *r->form);
	if (!dp_multipart_init(r->form, content_type, "model")) {
		dp_refuse(why, DP_E_BAD_MEDIA, "the content type multipart/form-data lacks a usable boundary");
		return NULL;
	}
	return r;
}

static bool refuse_json(const struct dp_scan *s, struct dp_refusal *why)
{
	if (s->fault == DP_SCAN_DUPLICATE && !s->duplicate.p)
		return dp_refuse(why, DP_E_AMBIGUOUS_MEMBER,
		                 "the body has an object with two members of one name (it ends near byte %zu)", s->at);
	if (s->fault == DP_SCAN_DUPLICATE)
		return dp_refuse(why, DP_E_AMBIGUOUS_MEMBER,
		                 "the body has the member `%.*s` twice in one object (near byte %zu); say it once",
		                 GW_FMT(s->duplicate), s->at);
	if (s->fault == DP_SCAN_SPELLING)
		return dp_refuse(why, DP_E_AMBIGUOUS_MEMBER,
		                 "the body has a member that differs from `%.*s` only in the case of its letters; write `%.*s`",
		                 GW_FMT(s->duplicate), GW_FMT(s->duplicate));
	return dp_refuse(why, DP_E_BAD_JSON, "the body %s (near byte %zu)", s->fault_text, s->at);
}

static bool refuse_form(const struct dp_multipart *m, struct dp_refusal *why)
{
	return dp_refuse(why, m->duplicate ? DP_E_AMBIGUOUS_MEMBER : DP_E_BAD_JSON, "the form %s", m->fault_text);
}

bool dp_reader_feed(struct dp_reader *r, struct gw_str piece, struct dp_refusal *why)
{
	if (r->op->model_in == DP_MODEL_NONE)
		return true;
	if (r->json)
		return dp_scan_feed(&r->of_json->scan, piece) != DP_SCAN_BAD || refuse_json(&r->of_json->scan, why);
	return dp_multipart_feed(r->form, piece) != DP_MP_BAD || refuse_form(r->form, why);
}

static bool number(const struct dp_scan *s, size_t name, struct gw_str body, int64_t most, int64_t *out,
                   struct dp_refusal *why)
{
	const struct dp_scan_member *m = dp_scan_get(s, name);

	if (!m || m->type == DP_J_NULL)
		return true;
	if (m->type != DP_J_NUMBER || body.p[m->at] == '-' ||
	    !dp_json_int(dp_json_value((struct gw_str){ body.p + m->at, m->n }), most, out))
		return dp_refuse(why, DP_E_BAD_JSON, "`%s` must be a number that is not negative", names[name].p);
	return true;
}

/* Of several names for one bound the largest value: providers differ in which of them they obey. */
static bool largest_bound(const struct dp_scan *s, struct gw_str body, int64_t *out, struct dp_refusal *why)
{
	for (size_t i = MAX_TOKENS; i <= MAX_COMPLETION_TOKENS; i++) {
		int64_t v = -1;

		if (!number(s, i, body, (int64_t)1 << 40, &v, why))
			return false;
		*out = v > *out ? v : *out;
	}
	return true;
}

/*
 * Where `include_usage` stands in the options, however its name is escaped: what the gateway sets there must be what the
 * provider reads.
 */
static bool find_usage_option(struct dp_json options, struct gw_str body, struct dp_request *q, struct dp_refusal *why)
{
	const struct gw_str wanted = GW_STR("include_usage");
	struct dp_json_iter it = dp_json_iter(options);
	struct gw_buf name;
	bool ok = true;

	gw_buf_init(&name, 256);
	while (ok && dp_json_next(&it)) {
		struct dp_json key = { DP_J_STRING, { it.key.p - 1, it.key.n + 2 } };

		if (it.key.n > 6 * wanted.n) /* longer than every letter escaped */
			continue;
		gw_buf_clear(&name);
		dp_json_text(&name, key);
		if (gw_str_eq(gw_buf_str(&name), wanted)) {
			q->usage_at = (size_t)(it.value.raw.p - body.p);
			q->usage_n = it.value.raw.n;
			q->wants_usage = q->stream && dp_json_true(it.value);
		} else if (gw_str_ieq(gw_buf_str(&name), wanted)) {
			ok = dp_refuse(why, DP_E_AMBIGUOUS_MEMBER, "`stream_options` has a member that differs from "
			               "`include_usage` only in the case of its letters; write `include_usage`");
		}
	}
	gw_buf_fini(&name);
	return ok;
}

static bool read_options(const struct dp_scan *s, struct gw_str body, struct dp_request *q, struct dp_refusal *why)
{
	const struct dp_scan_member *m = dp_scan_get(s, STREAM_OPTIONS);

	if (!m)
		return true;
	q->options_at = m->at;
	q->options_n = m->n;
	if (m->type == DP_J_NULL)
		return true;
	if (m->type != DP_J_OBJECT)
		return dp_refuse(why, DP_E_BAD_JSON, "`stream_options` must be an object");
	return find_usage_option(dp_json_value((struct gw_str){ body.p + m->at, m->n }), body, q, why);
}

/* A name that a reader in C would see shorter than one in Go. */
static bool has_control(struct gw_str model)
{
	for (size_t i = 0; i < model.n; i++)
		if ((unsigned char)model.p[i] < 0x20 || model.p[i] == 0x7f)
			return true;
	return false;
}

/* A model's name as it is meant; absent when it is too long. */
static struct gw_str decoded(struct gw_arena *a, struct dp_json text)
{
	struct gw_str inner = dp_json_inner(text);
	struct gw_buf b;

	if (inner.n <= MODEL_MAX && !memchr(inner.p, '\\', inner.n))
		return gw_arena_copy(a, inner);
	if (inner.n > 6 * MODEL_MAX) /* longer than every letter escaped */
		return GW_STR_NONE;
	gw_buf_init(&b, MODEL_MAX);
	dp_json_text(&b, text);
	inner = b.full ? GW_STR_NONE : gw_arena_copy(a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return inner;
}

static bool read_json(struct gw_arena *a, const struct dp_scan *s, struct gw_str body, struct dp_request *q,
                      struct dp_refusal *why)
{
	const struct dp_scan_member *model = dp_scan_get(s, MODEL), *stream = dp_scan_get(s, STREAM);
	const struct dp_scan_member *messages = dp_scan_get(s, MESSAGES);

	if (!model || model->type != DP_J_STRING || model->n == 2)
		return dp_refuse(why, DP_E_MISSING_MODEL, "the body must have a member `model` that is a non-empty string");
	q->model = decoded(a, (struct dp_json){ DP_J_STRING, { body.p + model->at, model->n } });
	if (!q->model.p)
		return dp_refuse(why, DP_E_MISSING_MODEL, "`model` is longer than %d bytes", MODEL_MAX);
	if (has_control(q->model))
		return dp_refuse(why, DP_E_MISSING_MODEL, "`model` must not hold control characters");
	q->model_at = model->at;
	q->model_n = model->n;
	if (stream && stream->type != DP_J_NULL) {
		if (stream->type != DP_J_TRUE && stream->type != DP_J_FALSE)
			return dp_refuse(why, DP_E_BAD_JSON, "`stream` must be true or false");
		q->stream = stream->type == DP_J_TRUE && q->op->streams;
	}
	if (stream) {
		q->stream_at = stream->at;
		q->stream_n = stream->n;
	}
	if (messages && messages->type == DP_J_ARRAY) {
		q->messages_at = messages->at;
		q->messages_n = messages->n;
	}
	q->object_at = s->object_at;
	q->object_empty = s->empty;
	q->prompt_estimate = q->op->unbilled ? 0 : dp_tokens_of_request(&s->stat);
	return largest_bound(s, body, &q->max_tokens, why) && number(s, N, body, 10000, &q->n, why) &&
	       read_options(s, body, q, why);
}

bool dp_reader_finish(struct dp_reader *r, struct gw_str body, struct dp_request *q, struct dp_refusal *why)
{
	*q = (struct dp_request){ .op = r->op, .max_tokens = -1, .n = 1, .json = r->json };
	if (r->op->model_in == DP_MODEL_NONE)
		return true;
	if (r->json) {
		struct dp_scan *s = &r->of_json->scan;

		if (dp_scan_end(s) != DP_SCAN_DONE)
			return refuse_json(s, why);
		assert(s->at == body.n);
		return read_json(r->a, s, body, q, why);
	}
	if (dp_multipart_end(r->form) != DP_MP_DONE)
		return refuse_form(r->form, why);
	if (!r->form->value.n || !gw_utf8_valid(r->form->value))
		return dp_refuse(why, DP_E_MISSING_MODEL, "the form must have a field `model` that is not empty");
	if (has_control(r->form->value))
		return dp_refuse(why, DP_E_MISSING_MODEL, "the field `model` must not hold control characters");
	q->model = r->form->value;
	q->model_at = r->form->value_at;
	q->model_n = r->form->value_n;
	q->prompt_estimate = dp_tokens_of_text(r->form->text_bytes, 0);
	return true;
}

/* ---- the rewrite ---- */

/* A member put right behind the opening brace. */
static void insert(struct dp_edits *e, const struct dp_request *q, struct gw_str members)
{
	assert(!q->object_empty);
	dp_edit_add(e, q->object_at + 1, 0, members);
}

static void edit_model(struct dp_edits *e, const struct dp_request *q, struct gw_str model)
{
	struct gw_buf text;

	if (!model.p || gw_str_eq(model, q->model))
		return;
	if (!q->json) {
		dp_edit_add(e, q->model_at, q->model_n, model);
		return;
	}
	gw_buf_init(&text, 6 * model.n + 2);
	gw_buf_add_json(&text, model);
	dp_edit_add(e, q->model_at, q->model_n, gw_arena_copy(e->a, gw_buf_str(&text)));
	gw_buf_fini(&text);
}

/* include_usage inside the options that the client gave: its false (or null) becomes true, or it is put in front. */
static void force_usage(struct dp_edits *e, const struct dp_request *q, struct gw_str body)
{
	struct dp_json v = dp_json_value((struct gw_str){ body.p + q->options_at, q->options_n });

	if (v.type != DP_J_OBJECT)
		dp_edit_add(e, q->options_at, q->options_n, GW_STR("{\"include_usage\":true}"));
	else if (q->usage_n)
		dp_edit_add(e, q->usage_at, q->usage_n, GW_STR("true"));
	else
		dp_edit_add(e, q->options_at + 1, 0,
		            dp_json_truthy(v) ? GW_STR("\"include_usage\":true,") : GW_STR("\"include_usage\":true"));
}

/* Drop `reasoning_content` from every message, with the comma that it no longer needs. */
static void strip_reasoning(struct dp_edits *e, const struct dp_request *q, struct gw_str body)
{
	struct dp_json list = dp_json_value((struct gw_str){ body.p + q->messages_at, q->messages_n });
	struct dp_json_iter it = dp_json_iter(list);

	while (list.type == DP_J_ARRAY && dp_json_next(&it)) {
		struct dp_json_iter m = dp_json_iter(it.value);
		size_t base = (size_t)(it.value.raw.p - body.p), kept_end = 0, cut = 0;

		/* kept_end: behind the last member that stays; cut: where a removed run at the start began */
		while (it.value.type == DP_J_OBJECT && dp_json_next(&m)) {
			bool drop = gw_str_is(m.key, "reasoning_content");

			if (drop && kept_end) {
				dp_edit_add(e, base + kept_end, m.end - kept_end, GW_STR(""));
				kept_end = m.end;
			} else if (drop) {
				cut = cut ? cut : m.key_at;
			} else {
				if (cut)
					dp_edit_add(e, base + cut, m.key_at - cut, GW_STR(""));
				cut = 0;
				kept_end = m.end;
			}
		}
		if (cut) /* nothing else in there */
			dp_edit_add(e, base + cut, it.value.raw.n - 1 - cut, GW_STR(""));
	}
}

struct dp_body dp_request_rewrite(struct gw_arena *a, const struct dp_request *q, struct gw_str body,
                                  const struct dp_rewrite *w)
{
	struct dp_edits e;
	bool ask = w->ask_usage && !q->wants_usage && (q->stream || w->force_stream);

	dp_edits_init(&e, a);
	edit_model(&e, q, w->model);
	if (!q->json)
		return dp_splice(&e, body);
	if (w->force_stream && !q->stream) {
		if (q->stream_n)
			dp_edit_add(&e, q->stream_at, q->stream_n, GW_STR("true"));
		else
			insert(&e, q, GW_STR("\"stream\":true,"));
	}
	if (ask && q->options_n)
		force_usage(&e, q, body);
	else if (ask)
		insert(&e, q, GW_STR("\"stream_options\":{\"include_usage\":true},"));
	if (w->strip_reasoning && q->messages_n)
		strip_reasoning(&e, q, body);
	return dp_splice(&e, body);
}
