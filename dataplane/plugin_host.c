/* plugin_host.c - plugins one after the other, and the functions that they may call. */
#include "plugin_host.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/map.h"
#include "codec/json_path.h"

extern const struct dp_plugin *const dp_plugins[];

struct slot {
	const struct dp_plugin *p;
	bool fail_open, ran;
	enum gw_scope scope;
	struct gw_str owner;
	struct dp_call call;
};

struct dp_running {
	unsigned magic;
#define RUNNING_MAGIC 0x506c7567u
	const struct dp_host *host;
	struct dp_exchange *x;
	struct slot *slots;
	size_t n, at;             /* at: the plugin whose hook runs or waits */
	enum dp_hook hook;
	bool waiting, ended, denied;
	const char *denied_by;    /* name of the plugin */
	bool admitted;            /* the point between QUOTA and MASK has been passed */
	bool too_many;            /* claims */
	bool admitting;           /* the wait is admit()'s, not a plugin's */
	struct gw_arena *a;
	struct dp_claimed *claims;
	size_t n_claims, cap_claims;
};

const char *dp_rank_name(enum dp_rank r)
{
	static const char *const names[] = {
#define X(name, text) #name,
		DP_RANK_TABLE(X)
#undef X
	};

	assert(r < DP_RANK_COUNT);
	return names[r];
}

/* In rank order, and within a rank as linked (by name): found by counting, since there are few. */
const struct dp_plugin *dp_plugin_at(size_t i)
{
	for (unsigned rank = 0; rank < DP_RANK_COUNT; rank++)
		for (size_t k = 0; dp_plugins[k]; k++)
			if (dp_plugins[k]->rank == rank && i-- == 0)
				return dp_plugins[k];
	return NULL;
}

const struct dp_plugin *dp_plugin_find(struct gw_str name)
{
	for (size_t i = 0; dp_plugins[i]; i++)
		if (gw_str_is(name, dp_plugins[i]->name))
			return dp_plugins[i];
	return NULL;
}

struct dp_running *dp_plugins_open(struct gw_arena *a, struct gw_bindings bindings, const struct dp_host *host,
                                   struct dp_exchange *x)
{
	struct dp_running *r = gw_arena_alloc(a, sizeof *r);

	*r = (struct dp_running){ .magic = RUNNING_MAGIC, .host = host, .x = x, .a = a };
	if (bindings.n)
		r->slots = gw_arena_array(a, bindings.n, sizeof *r->slots);
	for (size_t i = 0; i < bindings.n; i++) {
		const struct dp_plugin *p = dp_plugin_find(bindings.v[i].plugin);
		struct slot *s = &r->slots[r->n];

		if (!p)
			continue;
		assert(p->abi == DP_PLUGIN_ABI && (r->n == 0 || r->slots[r->n - 1].p->rank <= p->rank));
		s->p = p;
		s->fail_open = bindings.v[i].fail_open;
		s->scope = bindings.v[i].scope;
		s->owner = bindings.v[i].owner;
		s->call = (struct dp_call){ .x = x, .conf = bindings.v[i].conf, .running = r };
		if (p->state_size)
			s->call.state = gw_arena_alloc(a, p->state_size);
		r->n++;
	}
	return r;
}

/* A plugin broke: fail_open says whether the request goes on. */
static enum dp_verdict broken(struct dp_running *r, struct slot *s)
{
	if (r->host->broke)
		r->host->broke(r->x, s->p->name, s->fail_open);
	if (s->fail_open)
		return DP_NEXT;
	dp_deny(&s->call, 500, "server_error", "plugin_failed", 0, "the gateway could not apply its policy '%s'", s->p->name);
	return DP_ANSWERED;
}

/* Between the last plugin that may claim and the first that may not. */
static bool time_to_admit(const struct dp_running *r)
{
	return r->hook == DP_HOOK_BODY && !r->admitted && (r->at == r->n || r->slots[r->at].p->rank > DP_RANK_QUOTA);
}

static enum dp_verdict go_on(struct dp_running *r, enum dp_verdict v)
{
	for (;;) {
		struct slot *s;

		if (v == DP_BROKEN)
			v = broken(r, &r->slots[r->at - 1]);
		if (v == DP_NEXT && time_to_admit(r)) {
			r->admitted = true;
			v = r->too_many ? broken(r, &r->slots[r->claims[DP_CLAIMS_MAX - 1].slot]) : r->host->admit(r->x);
			r->admitting = v == DP_WAIT;
		}
		if (v != DP_NEXT)
			break;
		if (r->at == r->n)
			return DP_NEXT;
		s = &r->slots[r->at++];
		if (!s->p->on[r->hook])
			continue;
		s->ran = true;
		v = s->p->on[r->hook](&s->call);
		assert(v != DP_ANSWERED || r->denied);
	}
	r->waiting = v == DP_WAIT;
	return v;
}

enum dp_verdict dp_plugins_run(struct dp_running *r, enum dp_hook hook)
{
	GW_CHECK(r, RUNNING_MAGIC);
	assert(!r->waiting && !r->ended);
	r->hook = hook;
	r->at = 0;
	return go_on(r, DP_NEXT);
}

static void resume(struct dp_running *r, enum dp_verdict v)
{
	if (r->ended)
		return;
	assert(r->waiting && v != DP_WAIT);
	r->waiting = r->admitting = false;
	v = go_on(r, v);
	if (v != DP_WAIT)
		r->host->resumed(r->x, r->hook, v);
}

void dp_resume(struct dp_call *c, enum dp_verdict v)
{
	GW_CHECK(c->running, RUNNING_MAGIC);
	assert(c->running->ended || !c->running->admitting);
	resume(c->running, v);
}

void dp_plugins_admitted(struct dp_running *r, enum dp_verdict v)
{
	GW_CHECK(r, RUNNING_MAGIC);
	assert(r->ended || r->admitting);
	resume(r, v);
}

/* ---- claims ---- */

struct dp_claimed *dp_plugins_claims(struct dp_running *r, size_t *n)
{
	GW_CHECK(r, RUNNING_MAGIC);
	*n = r->n_claims;
	return r->claims;
}

/* The claims of one plugin stand together; how many from i on. */
static size_t of_one(const struct dp_running *r, size_t i)
{
	size_t n = 1;

	while (i + n < r->n_claims && r->claims[i + n].slot == r->claims[i].slot)
		n++;
	return n;
}

static void tell_one(struct dp_running *r, const struct dp_claim_state *states, size_t i, size_t n, const struct dp_claim_state *refused)
{
	struct slot *s = &r->slots[r->claims[i].slot];

	if (s->p->on_admission)
		s->p->on_admission(&s->call, states + i, n, refused);
	if (refused && !r->denied)
		dp_deny(&s->call, 429, "rate_limit_error", "rate_limit_exceeded", refused->wait_ms,
		        "a limit of the gateway was reached (%s)", s->p->name);
}

/* How much of the counter with the least left is left, of those of one plugin in one place: 1 is all. */
static double room(const struct dp_claim_state *v, size_t n)
{
	double least = 2;

	for (size_t i = 0; i < n; i++)
		if (v[i].limit > 0 && (double)v[i].left / (double)v[i].limit < least)
			least = (double)v[i].left / (double)v[i].limit;
	return least;
}

/*
 * The one with the least room is told last: where a plugin runs for several scopes, the headers that it leaves are those of
 * the limit that is met first.
 */
void dp_plugins_decided(struct dp_running *r, const struct dp_claim_state *states, int refused)
{
	struct { size_t i, n; double room; } v[DP_CLAIMS_MAX];
	size_t blamed = r->n_claims, told = 0;

	GW_CHECK(r, RUNNING_MAGIC);
	for (size_t i = 0, n; i < r->n_claims; i += n) {
		size_t at = told;
		double left;

		n = of_one(r, i);
		left = room(states + i, n);
		if (refused >= (int)i && refused < (int)(i + n)) {
			blamed = i;
			continue;
		}
		for (; at > 0 && v[at - 1].room < left; at--)
			v[at] = v[at - 1];
		v[at].i = i;
		v[at].n = n;
		v[at].room = left;
		told++;
	}
	for (size_t k = 0; k < told; k++)
		tell_one(r, states, v[k].i, v[k].n, NULL);
	if (blamed < r->n_claims) /* last, since its answer leaves at once, with the headers of the others */
		tell_one(r, states, blamed, of_one(r, blamed), &states[refused]);
}

unsigned dp_claim(struct dp_call *c, const struct dp_claim *claim)
{
	struct dp_running *r = c->running;
	struct dp_claimed *mine;
	size_t slot = r->at - 1, first = r->n_claims;

	GW_CHECK(r, RUNNING_MAGIC);
	assert(r->hook == DP_HOOK_BODY && !r->admitted && &r->slots[slot].call == c && r->slots[slot].p->rank <= DP_RANK_QUOTA);
	assert(claim->key.n > 0 && claim->key.n <= DP_CLAIM_KEY_MAX);
	if (r->n_claims == DP_CLAIMS_MAX) {
		r->too_many = true;
		return DP_CLAIMS_MAX;
	}
	if (r->n_claims == r->cap_claims) {
		size_t cap = r->cap_claims ? r->cap_claims * 2 : 4;
		struct dp_claimed *v = gw_arena_array(r->a, cap, sizeof *v);

		if (r->n_claims)
			memcpy(v, r->claims, r->n_claims * sizeof *v);
		r->claims = v;
		r->cap_claims = cap;
	}
	while (first > 0 && r->claims[first - 1].slot == slot)
		first--;
	mine = &r->claims[r->n_claims++];
	*mine = (struct dp_claimed){ .claim = *claim, .plugin = r->slots[slot].p->name, .slot = slot, .i = (unsigned)(r->n_claims - 1 - first) };
	mine->claim.key = gw_arena_copy(r->a, claim->key);
	mine->claim.scope = gw_arena_copy(r->a, claim->scope);
	mine->claim.who = gw_arena_copy(r->a, claim->who);
	mine->claim.owner_scope = gw_arena_copy(r->a, claim->owner_scope);
	mine->claim.owner = gw_arena_copy(r->a, claim->owner);
	mine->claim.label = gw_arena_copy(r->a, claim->label);
	return mine->i;
}

void dp_settle(struct dp_call *c, unsigned i, int64_t actual)
{
	struct dp_running *r = c->running;

	for (size_t k = 0; k < r->n_claims; k++) {
		struct dp_claimed *q = &r->claims[k];

		if (&r->slots[q->slot].call == c && q->i == i) {
			q->settled = true;
			q->actual = actual;
		}
	}
}

void dp_plugins_end(struct dp_running *r, const struct dp_outcome *o)
{
	GW_CHECK(r, RUNNING_MAGIC);
	if (r->ended)
		return;
	r->ended = true;
	for (size_t i = r->n; i-- > 0;)
		if (r->slots[i].ran && r->slots[i].p->on_end)
			r->slots[i].p->on_end(&r->slots[i].call, o);
}

void dp_plugins_blame(struct dp_running *r, const char *plugin)
{
	r->denied_by = plugin;
}

const char *dp_plugins_denied_by(const struct dp_running *r)
{
	return r->denied_by;
}

/* ---- what plugins call ---- */

void dp_deny(struct dp_call *c, unsigned status, const char *type, const char *code, int64_t retry_after_ms,
             const char *fmt, ...)
{
	char text[320];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->running->denied = true;
	c->running->denied_by = GW_CONTAINER(c, struct slot, call)->p->name;
	c->running->host->deny(c->x, status, type, code, retry_after_ms,
	                       (struct gw_str){ text, n < (int)sizeof text ? (size_t)n : sizeof text - 1 });
}

void dp_reply_header(struct dp_call *c, const char *name, struct gw_str value)
{
	c->running->host->reply_header(c->x, name, value);
}

struct gw_str dp_consumer(const struct dp_call *c)
{
	return c->running->host->consumer(c->x);
}

struct gw_str dp_route(const struct dp_call *c)
{
	return c->running->host->route(c->x);
}

struct gw_str dp_body_member(const struct dp_call *c, const char *path)
{
	return c->running->host->body_member(c->x, path);
}

bool dp_body_change(struct dp_call *c, const struct dp_body_change *v, size_t n)
{
	return n == 0 || c->running->host->body_change(c->x, v, n);
}

struct gw_str dp_operation_name(const struct dp_call *c)
{
	return c->running->host->operation(c->x);
}

struct gw_str dp_model(const struct dp_call *c)
{
	return c->running->host->model(c->x);
}

struct gw_str dp_client_ip(const struct dp_call *c)
{
	return c->running->host->client_ip(c->x);
}

struct gw_str dp_api_key(const struct dp_call *c)
{
	return c->running->host->api_key(c->x);
}

struct gw_strv dp_groups(const struct dp_call *c)
{
	return c->running->host->groups(c->x);
}

struct gw_str dp_header(const struct dp_call *c, const char *name)
{
	return c->running->host->header(c->x, name);
}

struct gw_str dp_query(const struct dp_call *c, const char *name)
{
	return c->running->host->query(c->x, name);
}

struct gw_str dp_cookie(const struct dp_call *c, const char *name)
{
	return c->running->host->cookie(c->x, name);
}

int64_t dp_prompt_tokens(const struct dp_call *c)
{
	return c->running->host->prompt_tokens(c->x);
}

int64_t dp_answer_tokens(const struct dp_call *c, int64_t each)
{
	return c->running->host->answer_tokens(c->x, each);
}

void dp_ask(struct dp_call *c, const struct dp_question *q, dp_told_fn *told)
{
	c->running->host->ask(c->x, c, q, told);
}

struct gw_str dp_told_header(const struct dp_call *c, const char *name)
{
	return c->running->host->told_header(c->x, name);
}

bool dp_told_is_object(const struct dp_told *t)
{
	struct dp_scan scan;

	dp_scan_init(&scan, NULL, NULL, 0);
	return dp_scan_feed(&scan, t->body) != DP_SCAN_BAD && dp_scan_end(&scan) == DP_SCAN_DONE;
}

struct gw_str dp_told_member(const struct dp_told *t, const char *path)
{
	struct dp_path found;

	return dp_told_is_object(t) && dp_path_find(t->body, path, &found) ? found.value.raw : GW_STR_NONE;
}

struct gw_str dp_told_text(struct dp_call *c, const struct dp_told *t, const char *path)
{
	struct dp_json v = dp_json_value(dp_told_member(t, path));
	struct gw_str text = GW_STR_NONE;
	struct gw_buf b;

	gw_buf_init(&b, t->body.n + 1);
	if (dp_json_text(&b, v))
		text = gw_arena_copy(c->running->a, gw_buf_str(&b));
	gw_buf_fini(&b);
	return text;
}

struct gw_str dp_describe(struct dp_call *c, const struct gw_strv *headers, bool with_body, size_t max_bytes)
{
	return c->running->host->describe(c->x, headers, with_body, max_bytes);
}

struct gw_str dp_request_id(const struct dp_call *c)
{
	return c->running->host->request_id(c->x);
}

struct gw_str dp_method(const struct dp_call *c)
{
	return c->running->host->method(c->x);
}

struct gw_str dp_target(const struct dp_call *c)
{
	return c->running->host->target(c->x);
}

bool dp_falls_back_when_limited(const struct dp_call *c)
{
	return c->running->host->falls_back_when_limited(c->x);
}

static const struct slot *slot_of(const struct dp_call *c)
{
	return GW_CONTAINER((struct dp_call *)(uintptr_t)c, struct slot, call);
}

enum gw_scope dp_scope(const struct dp_call *c)
{
	return slot_of(c)->scope;
}

struct gw_str dp_owner(const struct dp_call *c)
{
	return slot_of(c)->owner;
}

#define VALUE_MAX 160

struct gw_str dp_digest_key(struct dp_call *c, struct gw_str head, struct gw_str value)
{
	uint8_t sum[32];
	char hex[GW_HEX_LEN(16)];

	if (value.n > VALUE_MAX) {
		gw_sha256(sum, value);
		gw_hex(hex, sum, 16);
		value = (struct gw_str){ hex, 32 };
	}
	if (head.n + value.n > DP_CLAIM_KEY_MAX)
		head.n = DP_CLAIM_KEY_MAX - value.n;
	char *key = gw_arena_alloc(c->running->a, head.n + value.n + 1);
	memcpy(key, head.p, head.n);
	if (value.n > 0)
		memcpy(key + head.n, value.p, value.n);
	return (struct gw_str){ key, head.n + value.n };
}
