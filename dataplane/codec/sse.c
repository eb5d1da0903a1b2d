/* sse.c - find where a block of an event stream ends, then read its few lines. */
#include "codec/sse.h"

#include "codec/bytescan.h"

void dp_sse_init(struct dp_sse *s, size_t max_event)
{
	*s = (struct dp_sse){ 0 };
	gw_buf_init(&s->tail, max_event);
	gw_buf_init(&s->joined, max_event);
}

void dp_sse_fini(struct dp_sse *s)
{
	gw_buf_fini(&s->tail);
	gw_buf_fini(&s->joined);
}

/*
 * Where the block ends, counted from the start of `in`, or 0 when it does not end here.  A CR at the very end of the
 * input may or may not have its LF to come: the block is given at once, and the LF later by itself.
 */
static size_t find_end(struct dp_sse *s, struct gw_str in)
{
	size_t i = 0;

	if (s->last_cr && in.p[0] == '\n')
		i = 1;
	s->last_cr = false;
	while (i < in.n) {
		size_t run = dp_scan_eol(in.p + i, in.n - i);
		bool had;

		s->in_line |= run > 0;
		i += run;
		if (i == in.n)
			return 0;
		had = s->in_line;
		s->in_line = false;
		if (in.p[i++] == '\r') {
			if (i == in.n)
				s->last_cr = true;
			else if (in.p[i] == '\n')
				i++;
		}
		if (!had) {
			s->ended = s->last_cr;
			return i;
		}
	}
	return 0;
}

/* Cut the next line, its end removed, from *rest. */
static struct gw_str take_line(struct gw_str *rest)
{
	size_t n = dp_scan_eol(rest->p, rest->n), skip = n;
	struct gw_str line = { rest->p, n };

	if (skip < rest->n && rest->p[skip++] == '\r' && skip < rest->n && rest->p[skip] == '\n')
		skip++;
	rest->p += skip;
	rest->n -= skip;
	return line;
}

static void add_data(struct dp_sse *s, struct dp_sse_event *ev, struct gw_str value, unsigned nth)
{
	if (nth == 0) {
		ev->data = value;
		return;
	}
	if (nth == 1) {
		gw_buf_clear(&s->joined);
		gw_buf_add(&s->joined, ev->data);
	}
	gw_buf_add_byte(&s->joined, '\n');
	gw_buf_add(&s->joined, value);
	ev->data = gw_buf_str(&s->joined);
}

static void read_block(struct dp_sse *s, struct dp_sse_event *ev, struct gw_str raw)
{
	struct gw_str rest = raw;
	unsigned n_data = 0;

	*ev = (struct dp_sse_event){ .raw = raw };
	if (!s->begun && rest.n >= 3 && memcmp(rest.p, "\xef\xbb\xbf", 3) == 0) {
		rest.p += 3;
		rest.n -= 3;
	}
	s->begun = true;
	while (rest.n) {
		struct gw_str line = take_line(&rest), name = line, value = { line.p + line.n, 0 };
		const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;

		if (colon == line.p && line.n) {
			ev->comment = true;
			continue;
		}
		if (colon) {
			name.n = (size_t)(colon - line.p);
			value = (struct gw_str){ colon + 1, line.n - name.n - 1 };
			if (value.n && value.p[0] == ' ') {
				value.p++;
				value.n--;
			}
		}
		if (name.n == 4 && memcmp(name.p, "data", 4) == 0)
			add_data(s, ev, value, n_data++);
		else if (name.n == 5 && memcmp(name.p, "event", 5) == 0)
			ev->event = value;
	}
}

static enum dp_sse_got too_big(struct dp_sse *s, struct gw_str *in)
{
	s->dead = true;
	in->n = 0;
	return DP_SSE_TOOBIG;
}

enum dp_sse_got dp_sse_next(struct dp_sse *s, struct gw_str *in, struct dp_sse_event *ev)
{
	struct gw_str raw;
	size_t end;

	if (s->give_back) {
		gw_buf_clear(&s->tail);
		s->give_back = false;
	}
	if (s->dead)
		return too_big(s, in);
	if (!in->n)
		return DP_SSE_NEED;
	if (s->ended && in->p[0] == '\n') {
		*ev = (struct dp_sse_event){ .raw = { in->p, 1 }, .joins = true };
		s->ended = s->last_cr = false;
		in->p++;
		in->n--;
		return DP_SSE_EVENT;
	}
	if (s->ended)
		s->ended = s->last_cr = false;
	end = find_end(s, *in);
	raw = (struct gw_str){ in->p, end ? end : in->n };
	if (s->tail.n + raw.n > s->tail.max)
		return too_big(s, in);
	if (!end || s->tail.n) {
		gw_buf_add(&s->tail, raw);
		s->give_back = end > 0;
	}
	in->p += raw.n;
	in->n -= raw.n;
	if (!end)
		return DP_SSE_NEED;
	read_block(s, ev, s->tail.n ? gw_buf_str(&s->tail) : raw);
	return DP_SSE_EVENT;
}

bool dp_sse_finish(struct dp_sse *s, struct dp_sse_event *ev)
{
	if (s->give_back) {
		gw_buf_clear(&s->tail);
		s->give_back = false;
	}
	if (s->dead || !s->tail.n)
		return false;
	read_block(s, ev, gw_buf_str(&s->tail));
	ev->unterminated = true;
	s->give_back = true;
	return true;
}
