/*
 * pin.c - requests that must go where their state lives.
 *
 * The Responses API keeps answers at the vendor, at the account that made them: `previous_response_id` means nothing
 * to any other key.  So requests of such operations choose target, key and endpoint by their consumer's hash, which
 * every worker does alike; the id of each answer is remembered on its way to the client; and a request that names one
 * goes to its account or is refused.  Another consumer's answer is refused like one that does not exist.
 */
#include "base/str.h"
#include "codec/json_path.h"
#include "exchange/impl.h"
#include "upstream/balance.h"

#define SCAN_BYTES 1024      /* an answer, or the first event of its stream, says its id at once */
#define ID_MAX     256

struct dp_id_scan {
	char bytes[SCAN_BYTES];
	size_t n;
};

bool dp_op_is_stateful(const struct dp_operation *op)
{
	return op->dialect == &dp_openai_responses;
}

static uint64_t consumer_of(const struct dp_exchange *x)
{
	return x->consumer ? gw_hash(x->consumer->name) : 0;
}

static bool refuse(struct dp_exchange *x, const char *text)
{
	static const char code[] = "previous_response_not_found"; /* as OpenAI has it */
	struct gw_buf body;

	x->error_code = code;
	gw_buf_init(&body, 4096);
	dp_error_write(&body, x->dialect, 400, "invalid_request_error", code, gw_str_c(text));
	dp_answer_full(x, 400, "application/json", gw_buf_str(&body), 0, NULL);
	gw_buf_fini(&body);
	return false;
}

static bool on_this_route(const struct dp_exchange *x, const struct dp_pin *pin)
{
	const struct gw_route *r = x->route;

	for (size_t i = 0; i < r->n_targets + r->fallback.n_targets; i++) {
		const struct gw_target *t = i < r->n_targets ? &r->targets[i] : &r->fallback.targets[i - r->n_targets];
		const struct gw_provider *p = t->provider;
		bool key = p->n_keys == 0 && pin->key == 0, endpoint = false;

		if (gw_hash(p->name) != pin->provider || !p->enabled)
			continue;
		for (size_t k = 0; k < p->n_keys; k++)
			key |= dp_key_id(&p->keys[k]) == pin->key;
		for (size_t k = 0; k < p->n_endpoints; k++)
			endpoint |= dp_balance_hash(p->endpoints[k].url) == pin->endpoint;
		if (key && endpoint)
			return true;
	}
	return false;
}

/* `previous_response_id` as the provider reads it, however its letters are escaped; absent: the request names none. */
static struct gw_str named_id(struct dp_exchange *x)
{
	struct dp_path p;
	struct gw_buf text;
	struct gw_str id;

	if (!dp_path_find(gw_buf_str(&x->body), "previous_response_id", &p))
		return GW_STR_NONE;
	id = dp_json_inner(p.value);
	if (!id.n || !memchr(id.p, '\\', id.n) || id.n > 6 * ID_MAX) /* every decoded byte takes at most six */
		return id;
	gw_buf_init(&text, 6 * ID_MAX);
	dp_json_text(&text, p.value);
	id = gw_arena_copy(x->a, gw_buf_str(&text));
	gw_buf_fini(&text);
	return id;
}

bool dp_x_pin(struct dp_exchange *x)
{
	struct dp_pin pin, *kept;
	struct gw_str id;

	if (!dp_op_is_stateful(x->op) || x->op->model_in != DP_MODEL_JSON)
		return true;
	id = named_id(x);
	if (!id.n)
		return true;
	x->plan.stay = true;
	if (!dp_pins_get(x->shard->shared.pins, id, &pin))
		return true; /* made elsewhere or long ago: the hash has the best chance, and the provider the last word */
	if (pin.consumer != consumer_of(x))
		return refuse(x, "The response that `previous_response_id` names does not exist.");
	if (!on_this_route(x, &pin))
		return refuse(x, "The response that `previous_response_id` names is kept by a provider account that this route no longer uses; "
		                 "send the whole conversation instead.");
	kept = gw_arena_alloc(x->a, sizeof *kept);
	*kept = pin;
	x->plan.pin = kept;
	return true;
}

/* "id" : "resp_…" among the first bytes; absent: not there yet. */
static struct gw_str find_id(const struct dp_id_scan *s)
{
	for (size_t i = 0; i + 5 < s->n; i++) {
		size_t at = i + 4, end;

		if (memcmp(s->bytes + i, "\"id\"", 4) != 0)
			continue;
		while (at < s->n && (s->bytes[at] == ' ' || s->bytes[at] == ':' || s->bytes[at] == '\n' || s->bytes[at] == '\t'))
			at++;
		if (at >= s->n || s->bytes[at] != '"')
			continue;
		for (end = ++at; end < s->n && s->bytes[end] != '"' && s->bytes[end] != '\\'; end++)
			;
		if (end < s->n && s->bytes[end] == '"' && end > at && end - at <= ID_MAX)
			return (struct gw_str){ s->bytes + at, end - at };
	}
	return GW_STR_NONE;
}

void dp_x_note_begin(struct dp_exchange *x)
{
	if (dp_op_is_stateful(x->op))
		x->at.id_scan = gw_arena_alloc(x->at.a, sizeof *x->at.id_scan);
}

void dp_x_note_state(struct dp_exchange *x, struct gw_str bytes)
{
	struct dp_attempt *t = &x->at;
	struct dp_id_scan *s = t->id_scan;
	struct gw_str id;

	if (bytes.n > SCAN_BYTES - s->n)
		bytes.n = SCAN_BYTES - s->n;
	memcpy(s->bytes + s->n, bytes.p, bytes.n);
	s->n += bytes.n;
	id = find_id(s);
	if (id.n) {
		struct dp_pin pin = {
			.consumer = consumer_of(x), .provider = gw_hash(t->provider->name), .key = t->place.key ? dp_key_id(t->place.key) : 0,
			.endpoint = dp_balance_hash(t->provider->endpoints[t->place.endpoint_i].url),
		};

		dp_pins_put(x->shard->shared.pins, id, &pin);
	}
	if (id.n || s->n == SCAN_BYTES)
		t->id_scan = NULL;
}
