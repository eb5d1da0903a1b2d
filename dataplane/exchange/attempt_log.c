/* attempt_log.c - what became of every try, noted as it happens and written as JSON at the end. */
#include "exchange/attempt_log.h"

#include "base/str.h"
#include "base/time.h"
#include "exchange/impl.h"

static struct dp_attempt_note *open_note(const struct dp_exchange *x)
{
	struct dp_attempt_note *t = x->log.last;

	return t && !t->result ? t : NULL;
}

void dp_attempt_log_begin(struct dp_exchange *x, bool repeated)
{
	struct dp_attempt_log *l = &x->log;
	const struct dp_attempt *at = &x->at;
	struct dp_attempt_note *t;

	if (l->n >= DP_ATTEMPT_NOTES_MAX)
		return;
	t = l->n == 0 ? &l->first : gw_arena_alloc(x->a, sizeof *t);
	if (l->last)
		l->last->next = t;
	l->last = t;
	l->n++;
	t->provider = at->provider;
	t->key = at->place.key ? at->place.key->name : GW_STR_NONE;
	t->endpoint = at->place.endpoint_i < at->provider->n_endpoints ? at->provider->endpoints[at->place.endpoint_i].url : GW_STR_NONE;
	t->model = at->model;
	t->start_us = l->n == 1 ? x->attempt_us : gw_mono_us();
	t->connected_us = t->sent_us = t->first_byte_us = t->first_token_us = t->end_us = -1;
	t->repeated = repeated;
	if (x->trace.span_id[0]) {
		uint64_t id = dp_shard_random(x->shard) | 1;

		memcpy(t->span, &id, sizeof t->span);
	}
}

void dp_attempt_log_connected(struct dp_exchange *x)
{
	struct dp_attempt_note *t = open_note(x);

	if (!t)
		return;
	t->connected_us = gw_mono_us();
	t->reused = x->at.up && x->at.up->reused;
	t->dial_ms = x->at.up && !t->reused && x->at.up->connect_ms > 0 ? (uint32_t)x->at.up->connect_ms : 0;
}

void dp_attempt_log_sent(struct dp_exchange *x)
{
	struct dp_attempt_note *t = open_note(x);

	if (t)
		t->sent_us = gw_mono_us();
}

void dp_attempt_log_head(struct dp_exchange *x)
{
	struct dp_attempt_note *t = open_note(x);

	if (!t)
		return;
	t->first_byte_us = x->first_byte_us;
	t->status = (uint16_t)x->at.status;
}

static void end(struct dp_exchange *x, struct dp_attempt_note *t, const char *result, int64_t now_us)
{
	t->result = result;
	t->end_us = now_us;
	if (x->first_token_us >= t->start_us)
		t->first_token_us = x->first_token_us;
}

void dp_attempt_log_end(struct dp_exchange *x, const char *result, const char *error)
{
	struct dp_attempt_note *t = open_note(x);
	struct gw_str text = gw_str_c(error);

	if (!t)
		return;
	end(x, t, result, gw_mono_us());
	if (text.n > DP_ATTEMPT_ERROR_MAX)
		text.n = DP_ATTEMPT_ERROR_MAX;
	if (text.n)
		t->error = gw_arena_copy(x->a, text);
}

void dp_attempt_log_close(struct dp_exchange *x, enum gw_end_reason why, int64_t now_us)
{
	struct dp_attempt_note *t = open_note(x);

	if (t)
		end(x, t, why == GW_END_COMPLETE ? "ok" : gw_end_name(why), now_us);
}

/* ---- reading it ---- */

static int64_t ms_of(const struct dp_exchange *x, int64_t us)
{
	return us < 0 ? -1 : us <= x->t0_us ? 0 : (us - x->t0_us) / 1000;
}

struct gw_str dp_attempt_log_key(const struct dp_exchange *x)
{
	return x->log.last && x->log.last->key.p ? x->log.last->key : GW_STR("");
}

static void add_text(struct gw_buf *out, const char *name, struct gw_str value)
{
	if (!value.n)
		return;
	gw_buf_add(out, GW_STR(",\""));
	gw_buf_add_c(out, name);
	gw_buf_add(out, GW_STR("\":"));
	gw_buf_add_json(out, value);
}

/* What stands between asking for a connection and dialling one: the wait for a free place. */
static int64_t dial_us(const struct dp_attempt_note *t)
{
	return t->connected_us < 0 || t->reused ? -1 : t->connected_us - 1000 * (int64_t)t->dial_ms;
}

static void add_ms(const struct dp_exchange *x, struct gw_buf *out, const char *name, int64_t us)
{
	if (us >= 0)
		gw_buf_printf(out, ",\"%s\":%lld", name, (long long)ms_of(x, us));
}

static void add_note(const struct dp_exchange *x, const struct dp_attempt_note *t, struct gw_buf *out)
{
	gw_buf_add_c(out, "{\"provider\":");
	gw_buf_add_json(out, t->provider->name);
	add_text(out, "model", t->model);
	add_text(out, "key", t->key);
	add_text(out, "endpoint", t->endpoint);
	add_ms(x, out, "start_ms", t->start_us);
	add_ms(x, out, "dial_ms", dial_us(t));
	add_ms(x, out, "connect_ms", t->connected_us);
	add_ms(x, out, "sent_ms", t->sent_us);
	add_ms(x, out, "first_byte_ms", t->first_byte_us);
	add_ms(x, out, "first_token_ms", t->first_token_us);
	add_ms(x, out, "end_ms", t->end_us);
	if (t->status)
		gw_buf_printf(out, ",\"status\":%u", t->status);
	add_text(out, "result", gw_str_c(t->result));
	if (t->reused)
		gw_buf_add_c(out, ",\"reused\":true");
	if (t->repeated)
		gw_buf_add_c(out, ",\"repeated\":true");
	add_text(out, "error", t->error);
	gw_buf_add_byte(out, '}');
}

static void add_all(const struct dp_exchange *x, struct gw_buf *out)
{
	struct gw_buf one;
	bool any = false;

	gw_buf_init(&one, GW_USAGE_ATTEMPT_LOG_MAX);
	gw_buf_add_byte(out, '[');
	for (const struct dp_attempt_note *t = &x->log.first; t; t = t->next) {
		gw_buf_clear(&one);
		add_note(x, t, &one);
		if (one.full || out->n + one.n + 2 > GW_USAGE_ATTEMPT_LOG_MAX)
			break;
		if (any)
			gw_buf_add_byte(out, ',');
		gw_buf_add(out, gw_buf_str(&one));
		any = true;
	}
	gw_buf_add_byte(out, ']');
	gw_buf_fini(&one);
}

static bool is_plain(const struct dp_attempt_log *l)
{
	const struct dp_attempt_note *t = &l->first;

	return l->n == 1 && t->provider->n_endpoints == 1 && t->sent_us >= 0 && t->result && strcmp(t->result, "ok") == 0;
}

static struct gw_str plain(const struct dp_exchange *x)
{
	const struct dp_attempt_note *t = &x->log.first;

	/* Once for nearly every request: without printf. */
	struct gw_buf b;
	struct gw_str text;

	gw_buf_init(&b, 256);
	gw_buf_add(&b, GW_STR("[{\"start_ms\":"));
	gw_buf_add_int(&b, ms_of(x, t->start_us));
	gw_buf_add(&b, GW_STR(",\"connect_ms\":"));
	gw_buf_add_int(&b, ms_of(x, t->connected_us));
	gw_buf_add(&b, GW_STR(",\"sent_ms\":"));
	gw_buf_add_int(&b, ms_of(x, t->sent_us));
	gw_buf_add(&b, GW_STR("}]"));
	text = gw_arena_copy(x->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return text;
}

struct gw_str dp_attempt_log_text(const struct dp_exchange *x)
{
	struct gw_buf all;
	struct gw_str text;

	if (x->log.n == 0)
		return GW_STR("");
	if (is_plain(&x->log))
		return plain(x);
	gw_buf_init(&all, GW_USAGE_ATTEMPT_LOG_MAX);
	add_all(x, &all);
	text = gw_arena_copy(x->a, gw_buf_str(&all));
	gw_buf_fini(&all);
	return text;
}
