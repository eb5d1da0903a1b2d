/* capture_text.c - from the bytes of a request and its answer to texts that may be kept. */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"
#include "json.h"
#include "observe/capture.h"

#define DEPTH_MAX  64
#define NESTED_MAX 3          /* JSON in a string of JSON, as tool arguments are */
#define DATA_MAX   256        /* a longer data: URL is a picture, not a text */
#define LANES      32         /* texts of a stream that are told apart; further ones are not kept */

struct work {
	const struct gw_masker *masker;      /* NULL: keep as it is */
	int64_t places;
	bool withheld;                       /* a pattern reached its limit */
	unsigned nested;
};

static json_t *clean(struct work *w, const json_t *v, unsigned depth);

/* What a character written as \uXXXX, or in full width, or nothing that is seen, stands for; 0: it stands for itself. */
static size_t plain(struct gw_str s, char *out)
{
	const uint8_t *p = (const uint8_t *)s.p;
	uint8_t hex[2];

	if (s.n >= 6 && memcmp(p, "\\u00", 4) == 0 && gw_unhex(hex, 1, (struct gw_str){ s.p + 4, 2 }) && hex[0] > 0x20 && hex[0] < 0x7f &&
	    hex[0] != '"' && hex[0] != '\\') {
		*out = (char)hex[0];
		return 6;
	}
	*out = '\0';
	if (s.n < 2 || p[0] < 0xc2)
		return 0;
	if (p[0] == 0xc2)
		return p[1] == 0xad ? 2 : 0;                     /* soft hyphen */
	if (s.n < 3 || (p[0] != 0xe2 && p[0] != 0xef))
		return 0;
	if ((p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x8b && p[2] <= 0x8f) || (p[0] == 0xe2 && p[1] == 0x81 && p[2] == 0xa0) ||
	    (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf))
		return 3;                                        /* zero width, marks of direction, byte order mark */
	if (p[0] == 0xef && (p[1] == 0xbc || p[1] == 0xbd)) {    /* U+FF01 to U+FF5E: ASCII, wide */
		unsigned c = 0x20 + (p[1] == 0xbc ? p[2] - 0x80u : p[2] - 0x80u + 0x40u);

		if ((c >= '0' && c <= '9') || (c >= '@' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == '+' || c == '_') {
			*out = (char)c;
			return 3;
		}
	}
	return 0;
}

/* Spellings that hide from the patterns what people and programs read all the same. */
static void unhide(struct gw_str s, struct gw_buf *out)
{
	while (s.n) {
		char c;
		size_t n = plain(s, &c);

		if (n == 0)
			gw_buf_add_byte(out, s.p[0]);
		else if (c)
			gw_buf_add_byte(out, c);
		s = gw_str_from(s, n ? n : 1);
	}
}

static json_t *masked_text(struct work *w, struct gw_str s)
{
	struct gw_buf b, seen;
	json_t *out;
	int n;

	gw_buf_init(&b, 8 * s.n + 4096);
	gw_buf_init(&seen, s.n + 1);
	unhide(s, &seen);
	n = gw_mask(w->masker, gw_buf_str(&seen), &b);
	gw_buf_fini(&seen);
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

/* Members whose value is a secret whatever it looks like: "api_key", "dbPassword", "Authorization". */
static bool names_secret(const char *key)
{
	static const char *const words[] = { "password", "passwd", "secret", "apikey", "accesstoken", "refreshtoken", "privatekey", "authorization",
		"credential" };
	char low[80];
	size_t n = 0;

	for (const char *p = key; *p && n + 1 < sizeof low; p++)
		if (*p != '_' && *p != '-' && *p != ' ')
			low[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p | 32) : *p;
	low[n] = '\0';
	for (size_t i = 0; i < GW_COUNT(words); i++)
		if (strstr(low, words[i]))
			return true;
	return strcmp(low, "token") == 0;
}

/* A name may be personal too: {"li@example.cn": 3}.  Two that become the same stay two. */
static void set_member(struct work *w, json_t *out, const char *key, json_t *value)
{
	struct gw_buf name;
	json_t *masked;
	const char *text;

	if (!w->masker) {
		json_object_set_new(out, key, value);
		return;
	}
	masked = masked_text(w, gw_str_c(key));
	text = json_string_value(masked);
	gw_buf_init(&name, strlen(text) + 32);
	gw_buf_add_c(&name, text);
	for (unsigned i = 2; json_object_get(out, name.p ? name.p : "") && i < 1000; i++) {
		gw_buf_clear(&name);
		gw_buf_printf(&name, "%s (%u)", text, i);
	}
	json_object_set_new(out, name.p ? name.p : "", value);
	gw_buf_fini(&name);
	json_decref(masked);
}

static json_t *clean_member(struct work *w, const char *key, const json_t *v, unsigned depth)
{
	if (!w->masker || !json_is_string(v) || json_string_length(v) == 0 || !names_secret(key))
		return clean(w, v, depth);
	w->places++;
	return json_string("[key]");
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
		set_member(w, out, key, clean_member(w, key, member, depth + 1));
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

/* Texts of a stream whose pieces come in turn: of each choice, block or call, what is said, thought and given to tools. */
struct lane { json_int_t choice, index; const char *key; struct gw_buf text; };
struct lanes { struct lane v[LANES]; size_t n; };

static struct gw_buf *lane_of(struct lanes *l, json_int_t choice, json_int_t index, const char *key)
{
	static const char *const all[] = { "content", "text", "reasoning_content", "reasoning", "thinking", "refusal", "arguments", "partial_json", "delta" };
	struct lane *at;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].choice == choice && l->v[i].index == index && strcmp(l->v[i].key, key) == 0)
			return &l->v[i].text;
	if (l->n == LANES)
		return NULL;
	at = &l->v[l->n++];
	*at = (struct lane){ .choice = choice, .index = index, .key = all[0] };
	for (size_t i = 0; i < GW_COUNT(all); i++)
		if (strcmp(all[i], key) == 0)
			at->key = all[i];
	gw_buf_init(&at->text, DP_CAPTURE_RAW_MAX);
	return &at->text;
}

static void gather(const json_t *v, struct lanes *l, json_int_t choice, json_int_t index, unsigned depth)
{
	const char *key;
	json_t *member, *own = json_object_get(v, "index");
	size_t i;

	if (depth > 12)
		return;
	if (json_is_integer(own))
		index = json_integer_value(own);
	json_array_foreach((json_t *)(uintptr_t)v, i, member)
		gather(member, l, choice, index, depth + 1);
	json_object_foreach((json_t *)(uintptr_t)v, key, member) {
		struct gw_buf *to = json_is_string(member) && is_speech(key) ? lane_of(l, choice, index, key) : NULL;

		if (to)
			gw_buf_add(to, gw_json_str(member));
		else if (json_is_object(member) || json_is_array(member))
			gather(member, l, choice, index, depth + 1);
	}
}

static void take_event(struct gw_str data, struct lanes *l)
{
	json_t *doc = NULL, *choice;
	struct gw_str type;
	size_t i;

	if (gw_json_parse(&doc, data, DP_CAPTURE_RAW_MAX, NULL) != GW_OK)
		return;
	type = gw_json_str(json_object_get(doc, "type"));
	if (json_is_array(json_object_get(doc, "choices"))) {
		json_array_foreach(json_object_get(doc, "choices"), i, choice)
			gather(choice, l, json_integer_value(json_object_get(choice, "index")), 0, 0);
	} else if (!gw_str_starts(type, GW_STR("response.")) || gw_str_ends(type, GW_STR(".delta"))) {
		gather(doc, l, 0, 0, 0); /* of OpenAI's responses only the deltas: later events repeat the whole */
	}
	json_decref(doc);
}

/* Each text is put together before it is masked; arguments of a tool are JSON and masked as that. */
static void add_stream(struct work *w, struct gw_str raw, struct gw_buf *out)
{
	struct lanes *l = gw_alloc(sizeof *l);

	while (raw.n) {
		struct gw_str line = gw_str_trim(gw_str_cut(&raw, '\n'));

		if (gw_str_starts(line, GW_STR("data:")))
			take_event(gw_str_trim(gw_str_from(line, 5)), l);
	}
	for (size_t i = 0; i < l->n; i++) {
		json_t *kept = l->v[i].text.n ? clean_text(w, gw_buf_str(&l->v[i].text), 0) : NULL;

		if (kept && out->n)
			gw_buf_add_c(out, "\n---\n");
		if (kept)
			gw_buf_add(out, gw_json_str(kept));
		json_decref(kept);
		gw_buf_fini(&l->v[i].text);
	}
	free(l);
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
	if (c->answer.n == 0)
		return NULL;
	if (c->answer_is_stream)
		add_stream(w, gw_buf_str(&c->answer), out);
	else if (c->answer_cut)
		return "the answer is larger than what is looked at";
	else if (!add_document(w, gw_buf_str(&c->answer), out))
		return "the answer is no text";
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
