/* capture_text.c - from the bytes of a request and its answer to texts that may be kept. */
#include <stdio.h>

#include "base/str.h"
#include "json.h"
#include "observe/capture.h"

#define DEPTH_MAX  64
#define NESTED_MAX 3          /* JSON in a string of JSON, as tool arguments are */
#define DATA_MAX   256        /* a longer data: URL is a picture, not a text */
#define CHOICES    8

struct work {
	const struct gw_masker *masker;      /* NULL: keep as it is */
	int64_t places;
	bool withheld;                       /* a pattern reached its limit */
	unsigned nested;
};

static json_t *clean(struct work *w, const json_t *v, unsigned depth);

static json_t *masked_text(struct work *w, struct gw_str s)
{
	struct gw_buf b;
	json_t *out;
	int n;

	gw_buf_init(&b, 8 * s.n + 4096);
	n = gw_mask(w->masker, s, &b);
	w->withheld |= n < 0;
	w->places += n > 0 ? n : 0;
	out = json_stringn(b.p ? b.p : "", b.n);
	gw_buf_fini(&b);
	return out ? out : json_string("");
}

/* Escapes inside JSON inside a string hide what they stand for: it is taken apart, masked and put together again. */
static json_t *nested(struct work *w, struct gw_str s, unsigned depth)
{
	json_t *inner = NULL, *done, *out;
	struct gw_buf b;

	if (s.n < 2 || (s.p[0] != '{' && s.p[0] != '[') || w->nested >= NESTED_MAX || gw_json_parse(&inner, s, DP_CAPTURE_RAW_MAX, NULL) != GW_OK)
		return NULL;
	w->nested++;
	done = clean(w, inner, depth + 1);
	w->nested--;
	gw_buf_init(&b, 8 * s.n + 4096);
	out = gw_json_write(&b, done, false) == GW_OK ? json_stringn(b.p ? b.p : "", b.n) : NULL;
	gw_buf_fini(&b);
	json_decref(inner);
	json_decref(done);
	return out;
}

static json_t *clean_text(struct work *w, struct gw_str s, unsigned depth)
{
	json_t *out = NULL;

	if (s.n > DATA_MAX && gw_str_starts(s, GW_STR("data:")))
		return json_sprintf("[data of %zu bytes]", s.n);
	if (!w->masker)
		return json_stringn(s.p, s.n);
	out = nested(w, s, depth);
	return out ? out : masked_text(w, s);
}

/* A telephone number may come as a number. */
static json_t *clean_number(struct work *w, const json_t *v)
{
	char digits[32];
	int64_t before = w->places;
	json_t *text;

	if (!w->masker || !json_is_integer(v))
		return json_deep_copy(v);
	snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(v));
	text = masked_text(w, gw_str_c(digits));
	if (w->places > before)
		return text;
	json_decref(text);
	return json_deep_copy(v);
}

static json_t *clean(struct work *w, const json_t *v, unsigned depth)
{
	const char *key;
	json_t *member, *out;
	size_t i;

	if (depth > DEPTH_MAX)
		return json_string("[too deep]");
	if (json_is_string(v))
		return clean_text(w, gw_json_str(v), depth);
	if (json_is_number(v))
		return clean_number(w, v);
	if (json_is_array(v)) {
		out = json_array();
		json_array_foreach((json_t *)(uintptr_t)v, i, member)
			json_array_append_new(out, clean(w, member, depth + 1));
		return out;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	out = json_object();
	json_object_foreach((json_t *)(uintptr_t)v, key, member)
		json_object_set_new(out, key, clean(w, member, depth + 1));
	return out;
}

/* A JSON document without what must not be kept; false: it is none. */
static bool add_document(struct work *w, struct gw_str text, struct gw_buf *out)
{
	json_t *doc = NULL, *kept;
	bool ok;

	if (gw_json_parse(&doc, text, DP_CAPTURE_RAW_MAX, NULL) != GW_OK)
		return false;
	kept = clean(w, doc, 0);
	ok = gw_json_write(out, kept, false) == GW_OK;
	json_decref(doc);
	json_decref(kept);
	return ok;
}

/* ---- what a stream says ---- */

static bool is_speech(const char *key)
{
	static const char *const names[] = { "content", "text", "reasoning_content", "reasoning", "thinking", "refusal", "arguments",
		"partial_json", "delta" };

	for (size_t i = 0; i < GW_COUNT(names); i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

static void gather(const json_t *v, struct gw_buf *out, unsigned depth)
{
	const char *key;
	json_t *member;
	size_t i;

	if (depth > 12)
		return;
	json_array_foreach((json_t *)(uintptr_t)v, i, member)
		gather(member, out, depth + 1);
	json_object_foreach((json_t *)(uintptr_t)v, key, member) {
		if (json_is_string(member) && is_speech(key))
			gw_buf_add(out, gw_json_str(member));
		else if (json_is_object(member) || json_is_array(member))
			gather(member, out, depth + 1);
	}
}

/* Choices are told apart, since their pieces come in turn; other dialects have one. */
static void take_event(struct gw_str data, struct gw_buf said[CHOICES])
{
	json_t *doc = NULL, *choice;
	struct gw_str type;
	size_t i;

	if (gw_json_parse(&doc, data, DP_CAPTURE_RAW_MAX, NULL) != GW_OK)
		return;
	type = gw_json_str(json_object_get(doc, "type"));
	if (json_is_array(json_object_get(doc, "choices"))) {
		json_array_foreach(json_object_get(doc, "choices"), i, choice) {
			json_int_t at = json_integer_value(json_object_get(choice, "index"));

			gather(choice, &said[at >= 0 && at < CHOICES ? at : 0], 0);
		}
	} else if (!gw_str_starts(type, GW_STR("response.")) || gw_str_ends(type, GW_STR(".delta"))) {
		gather(doc, &said[0], 0); /* of OpenAI's responses only the deltas: later events repeat the whole */
	}
	json_decref(doc);
}

static void add_stream(struct gw_str raw, struct gw_buf *out)
{
	struct gw_buf said[CHOICES];
	bool any = false;

	for (size_t i = 0; i < CHOICES; i++)
		gw_buf_init(&said[i], DP_CAPTURE_RAW_MAX);
	while (raw.n) {
		struct gw_str line = gw_str_trim(gw_str_cut(&raw, '\n'));

		if (gw_str_starts(line, GW_STR("data:")))
			take_event(gw_str_trim(gw_str_from(line, 5)), said);
	}
	for (size_t i = 0; i < CHOICES; i++) {
		if (said[i].n && any)
			gw_buf_add_c(out, "\n---\n");
		any |= said[i].n > 0;
		gw_buf_add(out, gw_buf_str(&said[i]));
		gw_buf_fini(&said[i]);
	}
}

/* ---- a record ---- */

static void cut(struct gw_buf *b, size_t max)
{
	if (b->n <= max)
		return;
	b->n = max;
	while (b->n && ((unsigned char)b->p[b->n] & 0xc0) == 0x80) /* not inside a character */
		b->n--;
	b->p[b->n] = '\0';
}

static const char *keep_prompt(struct work *w, const struct dp_capture *c, struct gw_buf *out)
{
	if (!c->prompt_is_json)
		return "the prompt is no JSON";
	if (c->prompt_bytes > DP_CAPTURE_RAW_MAX)
		return "the prompt is larger than what is looked at";
	return add_document(w, gw_buf_str(&c->prompt), out) ? NULL : "the prompt cannot be read";
}

static const char *keep_answer(struct work *w, const struct dp_capture *c, struct gw_buf *out)
{
	struct gw_buf said;
	int n;

	if (c->answer.n == 0)
		return NULL;
	if (!c->answer_is_stream)
		return c->answer_cut ? "the answer is larger than what is looked at" :
		       add_document(w, gw_buf_str(&c->answer), out) ? NULL : "the answer is no text";
	gw_buf_init(&said, DP_CAPTURE_RAW_MAX * 2);
	add_stream(gw_buf_str(&c->answer), &said);
	if (!w->masker) {
		gw_buf_add(out, gw_buf_str(&said));
	} else {
		n = gw_mask(w->masker, gw_buf_str(&said), out);
		w->withheld |= n < 0;
		w->places += n > 0 ? n : 0;
	}
	gw_buf_fini(&said);
	return NULL;
}

static void put(json_t *o, const char *name, struct gw_buf *text, const char *why, const struct work *w, size_t max)
{
	if (why || w->withheld || !text->n)
		return;
	cut(text, max);
	gw_json_set_str(o, name, gw_buf_str(text));
}

void dp_capture_record(const struct dp_capture *c, struct gw_buf *out)
{
	const struct gw_route_log *log = &c->route->log;
	bool masks = log->prompts == GW_CAPTURE_MASKED;
	struct work w = { .masker = masks ? log->masker : NULL }, w2 = w;
	struct gw_buf prompt, answer;
	json_t *o = json_object();
	const char *no_prompt, *no_answer;

	gw_buf_init(&prompt, DP_CAPTURE_RAW_MAX * 8);
	gw_buf_init(&answer, DP_CAPTURE_RAW_MAX * 8);
	no_prompt = keep_prompt(&w, c, &prompt);
	no_answer = keep_answer(&w2, c, &answer);
	gw_json_set_str(o, "request_id", c->request_id);
	gw_json_set_str(o, "route", c->route->name);
	json_object_set_new(o, "mode", json_string(masks ? "masked" : "full"));
	json_object_set_new(o, "at_ms", json_integer(c->at_ms));
	put(o, "prompt", &prompt, no_prompt, &w, (size_t)log->max_bytes);
	put(o, "answer", &answer, no_answer, &w2, (size_t)log->max_bytes);
	json_object_set_new(o, "prompt_bytes", json_integer(c->prompt_bytes));
	json_object_set_new(o, "answer_bytes", json_integer(c->answer_bytes));
	json_object_set_new(o, "masked", json_integer(w.places + w2.places));
	json_object_set_new(o, "note", json_string(w.withheld || w2.withheld ? "withheld: a pattern could not look at the whole text" :
	                                           no_prompt ? no_prompt : no_answer ? no_answer : ""));
	(void)!gw_json_write(out, o, false);
	json_decref(o);
	gw_buf_fini(&prompt);
	gw_buf_fini(&answer);
}
