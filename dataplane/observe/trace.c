/* trace.c - traceparent and tracestate, read strictly and written. */
#include "observe/trace.h"

#include "base/bytes.h"
#include "base/str.h"
#include "http/h1_write.h"

#define MEMBERS_MAX 32

static bool is_lower_hex(struct gw_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return true;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	while (n--)
		if (p[n])
			return false;
	return true;
}

/* version "-" trace-id "-" parent-id "-" flags; a version above 00 may go on after another "-". */
bool dp_traceparent_parse(struct gw_str v, struct dp_trace *out)
{
	uint8_t version[1], flags[1];
	struct dp_trace t = *out;

	if (v.n < DP_TRACEPARENT_LEN || v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-')
		return false;
	if (!is_lower_hex((struct gw_str){ v.p, 2 }) || !is_lower_hex((struct gw_str){ v.p + 3, 32 }) ||
	    !is_lower_hex((struct gw_str){ v.p + 36, 16 }) || !is_lower_hex((struct gw_str){ v.p + 53, 2 }))
		return false;
	if (!gw_unhex(version, 1, (struct gw_str){ v.p, 2 }) || version[0] == 0xff ||
	    (version[0] == 0 && v.n != DP_TRACEPARENT_LEN) || (v.n > DP_TRACEPARENT_LEN && v.p[DP_TRACEPARENT_LEN] != '-'))
		return false;
	if (!gw_unhex(t.trace_id, 16, (struct gw_str){ v.p + 3, 32 }) || !gw_unhex(t.parent_id, 8, (struct gw_str){ v.p + 36, 16 }) ||
	    !gw_unhex(flags, 1, (struct gw_str){ v.p + 53, 2 }))
		return false;
	if (is_zero(t.trace_id, 16) || is_zero(t.parent_id, 8))
		return false;
	t.sampled = flags[0] & 1;
	t.valid = true;
	*out = t;
	return true;
}

/* key = lcalpha or digit, then lcalpha digit _ - * /, with at most one @ in it. */
static bool is_key(struct gw_str s)
{
	size_t at = 0;

	if (s.n == 0 || s.n > 256 || !((s.p[0] >= 'a' && s.p[0] <= 'z') || (s.p[0] >= '0' && s.p[0] <= '9')))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '@')
			at++;
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' || c == '/'))
			return false;
	}
	return at <= 1;
}

static bool is_value(struct gw_str s)
{
	if (s.n == 0 || s.n > 256 || s.p[s.n - 1] == ' ')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e || s.p[i] == ',' || s.p[i] == '=')
			return false;
	return true;
}

bool dp_tracestate_valid(struct gw_str value)
{
	size_t n = 0;

	if (value.n > DP_TRACE_STATE_MAX)
		return false;
	while (value.p) {
		struct gw_str rest = gw_str_trim(gw_str_cut(&value, ',')), key;

		if (rest.n == 0)
			continue; /* empty members are allowed */
		key = gw_str_cut(&rest, '=');
		if (++n > MEMBERS_MAX || !is_key(key) || !rest.p || !is_value(rest))
			return false;
	}
	return n > 0;
}

static size_t count(const struct gw_pair *h, size_t n, const char *name, struct gw_str *last)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		if (!gw_str_ieq(h[i].name, gw_str_c(name)))
			continue;
		*last = h[i].value;
		found++;
	}
	return found;
}

static struct gw_str join_states(const struct gw_pair *h, size_t n, struct gw_arena *a)
{
	struct gw_buf b;
	struct gw_str text;

	gw_buf_init(&b, DP_TRACE_STATE_MAX * 2);
	for (size_t i = 0; i < n; i++) {
		if (!gw_str_ieq(h[i].name, GW_STR("tracestate")))
			continue;
		if (b.n)
			gw_buf_add_byte(&b, ',');
		gw_buf_add(&b, h[i].value);
	}
	text = b.full || !dp_tracestate_valid(gw_buf_str(&b)) ? GW_STR_NONE : gw_arena_copy(a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return text;
}

void dp_trace_begin(struct dp_trace *out, const struct gw_pair *headers, size_t n, bool on, uint32_t sample_per_million,
                    const uint64_t random[4], struct gw_arena *a)
{
	struct gw_str value = GW_STR_NONE, state = GW_STR_NONE;

	memset(out, 0, sizeof *out);
	if (count(headers, n, "traceparent", &value) == 1 && dp_traceparent_parse(value, out)) {
		if (on && count(headers, n, "tracestate", &state) > 0)
			out->state = join_states(headers, n, a);
	} else if (on) {
		memcpy(out->trace_id, random, 16);
		out->trace_id[0] |= 1; /* never zero */
		out->valid = true;
		out->sampled = random[2] % 1000000 < sample_per_million;
	}
	if (on) {
		memcpy(out->span_id, &random[3], 8);
		out->span_id[0] |= 1;
	}
	if (out->valid)
		gw_hex(out->hex, out->trace_id, 16);
}

void dp_trace_write(const struct dp_trace *t, const uint8_t span[8], struct gw_buf *out)
{
	char text[DP_TRACEPARENT_LEN + 1];

	memcpy(text, "00-", 3);
	memcpy(text + 3, t->hex, 32);
	text[35] = '-';
	gw_hex(text + 36, span, 8);
	memcpy(text + 52, t->sampled ? "-01" : "-00", 4);
	dp_write_header(out, "traceparent", (struct gw_str){ text, DP_TRACEPARENT_LEN });
	if (t->state.n)
		dp_write_header(out, "tracestate", t->state);
}
