/* leases.c - reservations in Redis. */
#include "services/redis/leases.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "services/redis/redis.h"
#include "services/redis/script.h"

#define RENEW_MS (DP_LEASE_MS / 4)
#define PER_COUNTER 5           /* figures of an answer */

struct dp_leases {
	unsigned magic;
#define LEASES_MAGIC 0x4ed15003u
	struct dp_loop *loop;
	struct dp_redis *redis;
	const struct dp_leases_ops *ops;
	void *arg;
	char *owner;
	uint64_t serial;
	struct gw_node held;         /* granted, not settled, oldest renewal first */
	struct gw_node owed;         /* settled by their owners, not by Redis yet */
	size_t n_owed;
	struct dp_timer renew;
	bool closing;
	size_t alive;                /* leases that exist */
};

struct item {
	struct dp_claim claim;       /* texts in `text` */
	int64_t amount, actual;
	unsigned slot;
	size_t group, number;        /* number: in the lease under whose name it was taken */
	bool done;                   /* settled already */
};

enum stage { TAKING, GRANTED, OVER };

struct dp_lease {
	unsigned magic;
#define LEASE_MAGIC 0x4ed15004u
	struct gw_node node;         /* of held or owed */
	struct dp_leases *ls;
	char id[96];
	enum stage stage;
	bool released;               /* the owner has settled it */
	bool again;                  /* it may have been settled already, nobody knows */
	int64_t renewed_ms;
	struct dp_claim_state *states; /* the owner's, while TAKING */
	dp_lease_fn *done;
	void *arg;
	size_t n, n_groups, open;    /* open: calls under way */
	bool refused, unknown;
	struct group *groups;
	struct item *items;
	char *text;
};

struct group { struct dp_redis_call call; struct dp_lease *lease; bool granted, used; char mode; };

/* ---- making one ---- */

static struct gw_str put(char **at, struct gw_str s)
{
	struct gw_str copy = { *at, s.n };

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return copy;
}

static struct dp_lease *make(struct dp_leases *ls, const struct dp_take *v, size_t n)
{
	struct dp_lease *k = gw_alloc(sizeof *k);
	size_t bytes = 1;
	char *at;

	for (size_t i = 0; i < n; i++)
		bytes += v[i].claim->key.n + v[i].claim->scope.n + v[i].claim->who.n + v[i].claim->owner_scope.n + v[i].claim->owner.n +
		         v[i].claim->label.n;
	k->magic = LEASE_MAGIC;
	ls->alive++;
	k->ls = ls;
	gw_list_init(&k->node);
	snprintf(k->id, sizeof k->id, "%s.%llx", ls->owner, (unsigned long long)ls->serial++);
	k->n = n;
	k->items = gw_alloc(n * sizeof *k->items + 1);
	k->groups = gw_alloc(n * sizeof *k->groups + 1);
	k->text = at = gw_alloc(bytes);
	for (size_t i = 0; i < n; i++) {
		struct item *m = &k->items[i];

		m->claim = *v[i].claim;
		m->claim.key = put(&at, m->claim.key);
		m->claim.scope = put(&at, m->claim.scope);
		m->claim.who = put(&at, m->claim.who);
		m->claim.owner_scope = put(&at, m->claim.owner_scope);
		m->claim.owner = put(&at, m->claim.owner);
		m->claim.label = put(&at, m->claim.label);
		m->amount = dp_claim_amount(v[i].claim, v[i].amount);
		m->number = i;
	}
	return k;
}

static void free_leases(struct dp_leases *ls)
{
	ls->magic = 0;
	free(ls->owner);
	free(ls);
}

static void free_lease(struct dp_lease *k)
{
	struct dp_leases *ls = k->ls;

	gw_list_del(&k->node);
	k->magic = 0;
	free(k->items);
	free(k->groups);
	free(k->text);
	free(k);
	if (--ls->alive == 0 && ls->closing)
		free_leases(ls);
}

/* "tg:{key}" and "tg:{key}:l", which share a slot */
static struct gw_str key_of(const struct dp_claim *c, const char *tail, char buf[DP_CLAIM_KEY_MAX + 16])
{
	size_t n = 0;

	memcpy(buf, "tg:{", 4);
	n = 4;
	/* A brace inside would end the part that decides the slot; both names must agree on it, and they do. */
	memcpy(buf + n, c->key.p, c->key.n);
	n += c->key.n;
	buf[n++] = '}';
	memcpy(buf + n, tail, strlen(tail));
	return (struct gw_str){ buf, n + strlen(tail) };
}

static void on_answer(struct dp_redis_call *call, const redisReply *reply);

static void find_groups(struct dp_lease *k)
{
	char buf[DP_CLAIM_KEY_MAX + 16];

	k->n_groups = 0;
	for (size_t i = 0; i < k->n; i++) {
		struct item *m = &k->items[i];
		size_t g = 0;

		m->slot = dp_redis_slot(k->ls->redis, key_of(&m->claim, "", buf));
		while (g < k->n_groups && k->groups[g].call.slot != m->slot)
			g++;
		if (g == k->n_groups)
			k->groups[k->n_groups++] = (struct group){ .lease = k, .call = { .slot = m->slot } };
		m->group = g;
	}
}

static bool in_call(const struct item *m, size_t g, char mode)
{
	return m->group == g && !(mode == 's' && m->done);
}

/* Sends group g in this mode; nothing when it has nothing to say. */
static void run(struct dp_lease *k, size_t g, char mode)
{
	struct group *gr = &k->groups[g];
	char buf[DP_CLAIM_KEY_MAX + 16], id[160];
	int64_t count = 0;
	unsigned slot = gr->call.slot;

	for (size_t i = 0; i < k->n; i++)
		count += in_call(&k->items[i], g, mode);
	gr->mode = mode;
	gr->used = count > 0;
	if (!count)
		return;
	dp_redis_call_init(&gr->call, 0, slot, on_answer);
	dp_redis_call_int(&gr->call, count * 2);
	for (size_t i = 0; i < k->n; i++) {
		if (!in_call(&k->items[i], g, mode))
			continue;
		dp_redis_call_text(&gr->call, key_of(&k->items[i].claim, "", buf));
		dp_redis_call_text(&gr->call, key_of(&k->items[i].claim, ":l", buf));
	}
	dp_redis_call_text(&gr->call, (struct gw_str){ &gr->mode, 1 });
	dp_redis_call_int(&gr->call, DP_LEASE_MS);
	dp_redis_call_int(&gr->call, k->again);
	for (size_t i = 0; i < k->n; i++) {
		const struct item *m = &k->items[i];
		const int64_t figures[] = { m->claim.kind, m->claim.limit, m->claim.window_ms, m->amount, m->actual, m->claim.from_ms,
			m->claim.until_ms, m->claim.opening };
		int n = snprintf(id, sizeof id, "%s:%zu|%lld", k->id, m->number, (long long)m->amount);

		if (!in_call(m, g, mode))
			continue;
		for (size_t f = 0; f < GW_COUNT(figures); f++)
			dp_redis_call_int(&gr->call, figures[f]);
		dp_redis_call_text(&gr->call, (struct gw_str){ id, (size_t)n });
	}
	k->open++;
	dp_redis_run(k->ls->redis, &gr->call);
}

/* ---- settling ---- */

static void owe(struct dp_lease *k)
{
	struct dp_leases *ls = k->ls;

	if (ls->closing) {
		free_lease(k);
		return;
	}
	gw_list_del(&k->node);
	gw_list_add_tail(&ls->owed, &k->node);
	if (++ls->n_owed > DP_OWED_MAX) {
		ls->n_owed--;
		free_lease(GW_CONTAINER(ls->owed.next, struct dp_lease, node));
	}
}

/* All groups, or those alone that were granted. */
static void send_settle(struct dp_lease *k)
{
	k->stage = OVER;
	k->unknown = false;
	k->open++; /* until all are on their way: an answer may come from inside */
	for (size_t g = 0; g < k->n_groups; g++)
		run(k, g, 's');
	if (--k->open > 0)
		return;
	if (k->unknown) {
		k->again = true;
		owe(k);
	} else {
		free_lease(k);
	}
}

static void settle_or_owe(struct dp_lease *k)
{
	if (!k->ls->closing && dp_redis_is_up(k->ls->redis)) {
		find_groups(k); /* the map of a cluster may have changed */
		send_settle(k);
	} else {
		k->stage = OVER;
		owe(k);
	}
}

void dp_lease_settle(struct dp_lease **kp, const int64_t *actual)
{
	struct dp_lease *k = *kp;

	if (!k)
		return;
	*kp = NULL;
	GW_CHECK(k, LEASE_MAGIC);
	assert(!k->released);
	k->released = true;
	k->states = NULL;
	for (size_t i = 0; i < k->n; i++)
		if (!k->items[i].done)
			k->items[i].actual = actual ? actual[i] : 0;
	if (k->stage == TAKING && k->open > 0)
		return; /* its answers decide what there is to give back */
	if (k->stage == OVER) { /* refused or unknown: given back already */
		if (k->open == 0 && gw_list_empty(&k->node))
			free_lease(k);
		return;
	}
	if (k->open > 0)
		return; /* a renewal is under way; its answer goes on */
	settle_or_owe(k);
}

void dp_lease_settle_part(struct dp_lease *k, size_t i, int64_t actual)
{
	const struct dp_take one = { &k->items[i].claim, k->items[i].amount };
	struct dp_lease *part;

	GW_CHECK(k, LEASE_MAGIC);
	assert(k->stage == GRANTED);
	if (k->items[i].done)
		return;
	k->items[i].done = true;
	/* A lease of its own, under the name by which this part was taken. */
	part = make(k->ls, &one, 1);
	memcpy(part->id, k->id, sizeof part->id);
	part->items[0].number = k->items[i].number;
	part->items[0].actual = actual;
	part->released = true;
	settle_or_owe(part);
}

/* ---- answers ---- */

static bool figures_of(const redisReply *reply, size_t n)
{
	if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != n * PER_COUNTER)
		return false;
	for (size_t i = 0; i < reply->elements; i++)
		if (reply->element[i]->type != REDIS_REPLY_INTEGER || reply->element[i]->integer < -DP_AMOUNT_MAX * 4)
			return false;
	return true;
}

static bool read_states(struct group *gr, const redisReply *reply)
{
	struct dp_lease *k = gr->lease;
	size_t g = (size_t)(gr - k->groups), at = 0, n = 0;
	bool granted = true;

	for (size_t i = 0; i < k->n; i++)
		n += in_call(&k->items[i], g, gr->mode);
	if (!figures_of(reply, n)) {
		k->again |= gr->mode == 's' && !dp_redis_refused(reply);
		return k->unknown = true, false;
	}
	for (size_t i = 0; i < k->n; i++) {
		const redisReply *const *e = (const redisReply *const *)reply->element + at * PER_COUNTER;
		struct dp_claim_state st = { .limit = k->items[i].claim.limit };

		if (!in_call(&k->items[i], g, gr->mode))
			continue;
		st.refused = e[0]->integer == 1;
		st.used = e[1]->integer;
		st.left = st.used >= st.limit ? 0 : st.limit - (st.used < 0 ? 0 : st.used);
		st.reset_ms = e[2]->integer;
		st.wait_ms = e[3]->integer;
		st.seen_us = e[4]->integer;
		granted &= !st.refused;
		if (k->states && gr->mode == 'r')
			k->states[i] = st;
		if (k->ls->ops->seen)
			k->ls->ops->seen(k->ls->arg, &k->items[i].claim, &st);
		at++;
	}
	for (size_t i = 0; i < k->n; i++)
		k->items[i].done |= gr->mode == 's' && k->items[i].group == g;
	return granted;
}

/* Groups that were granted are given back, since another one was not; or all of them, when nobody knows. */
static void give_back(struct dp_lease *k)
{
	struct dp_lease *back = make(k->ls, NULL, 0);
	size_t n = 0;

	free(back->items);
	free(back->groups);
	free(back->text);
	back->items = gw_alloc(k->n * sizeof *back->items + 1);
	back->groups = gw_alloc(k->n * sizeof *back->groups + 1);
	memcpy(back->id, k->id, sizeof back->id);
	back->n = k->n;
	for (size_t i = 0; i < k->n; i++) {
		back->items[i] = k->items[i];
		back->items[i].actual = 0;
		back->items[i].done = !k->unknown && !k->groups[k->items[i].group].granted;
		n += !back->items[i].done;
	}
	back->text = k->text; /* moved */
	k->text = NULL;
	back->again = true;
	back->released = true;
	if (n)
		settle_or_owe(back);
	else
		free_lease(back);
}

/* What another slot had granted is on its way back: the states tell of counters as they are without this request. */
static void without_ours(struct dp_lease *k)
{
	for (size_t i = 0; i < k->n; i++) {
		struct dp_claim_state *st = &k->states[i];

		if (!k->groups[k->items[i].group].granted)
			continue;
		st->used -= k->items[i].amount;
		st->left = st->used >= st->limit ? 0 : st->limit - (st->used < 0 ? 0 : st->used);
	}
}

static void taken(struct dp_lease *k)
{
	dp_lease_fn *done = k->done;

	if (k->released && !k->refused && !k->unknown) { /* granted to nobody any more */
		settle_or_owe(k);
		return;
	}
	if (!k->refused && !k->unknown) {
		k->stage = GRANTED;
		k->renewed_ms = dp_loop_now(k->ls->loop);
		gw_list_add_tail(&k->ls->held, &k->node);
		done(k->arg, k, DP_LEASE_GRANTED);
		return;
	}
	k->stage = OVER;
	if (k->states && !k->unknown)
		without_ours(k);
	give_back(k);
	if (k->released)
		free_lease(k);
	else
		done(k->arg, k, k->unknown ? DP_LEASE_UNKNOWN : DP_LEASE_REFUSED);
}

static void on_answer(struct dp_redis_call *call, const redisReply *reply)
{
	struct group *gr = GW_CONTAINER(call, struct group, call);
	struct dp_lease *k = gr->lease;
	unsigned slot = call->slot;

	GW_CHECK(k, LEASE_MAGIC);
	gr->granted = read_states(gr, reply);
	k->refused |= gr->mode == 'r' && !gr->granted && !k->unknown;
	dp_redis_call_fini(call);
	gr->call.slot = slot;
	if (--k->open > 0)
		return;
	if (gr->mode == 'r') {
		taken(k);
	} else if (gr->mode == 's' && k->unknown) {
		owe(k);
	} else if (gr->mode == 's') {
		free_lease(k);
	} else {
		k->unknown = false;
		if (k->released)
			settle_or_owe(k);
	}
}

struct dp_lease *dp_lease_take(struct dp_leases *ls, const struct dp_take *v, size_t n, struct dp_claim_state *states,
                               dp_lease_fn *done, void *arg)
{
	struct dp_lease *k = make(ls, v, n);

	GW_CHECK(ls, LEASES_MAGIC);
	k->states = states;
	k->done = done;
	k->arg = arg;
	find_groups(k);
	for (size_t g = 0; g < k->n_groups; g++)
		run(k, g, 'r');
	return k;
}

/* ---- renewal, and what is owed ---- */

static void pay(struct dp_leases *ls)
{
	struct gw_node due;

	gw_list_init(&due);
	while (!gw_list_empty(&ls->owed)) {
		struct gw_node *n = ls->owed.next;

		gw_list_del(n);
		gw_list_add_tail(&due, n);
	}
	ls->n_owed = 0;
	while (!gw_list_empty(&due)) {
		struct dp_lease *k = GW_CONTAINER(due.next, struct dp_lease, node);

		gw_list_del(&k->node);
		settle_or_owe(k);
	}
}

static void on_renew(struct dp_timer *t)
{
	struct dp_leases *ls = GW_CONTAINER(t, struct dp_leases, renew);
	int64_t now = dp_loop_now(ls->loop);

	GW_CHECK(ls, LEASES_MAGIC);
	while (!gw_list_empty(&ls->held) && dp_redis_is_up(ls->redis)) {
		struct dp_lease *k = GW_CONTAINER(ls->held.next, struct dp_lease, node);

		if (now - k->renewed_ms < RENEW_MS)
			break;
		k->renewed_ms = now;
		gw_list_del(&k->node);
		gw_list_add_tail(&ls->held, &k->node);
		if (k->open > 0)
			continue;
		find_groups(k);
		for (size_t g = 0; g < k->n_groups; g++)
			run(k, g, 'n');
	}
	if (dp_redis_is_up(ls->redis)) /* what one server would not take, although it is there */
		pay(ls);
	dp_loop_timer(ls->loop, &ls->renew, RENEW_MS / 3);
}

static void on_up(void *arg)
{
	struct dp_leases *ls = arg;

	pay(ls);
	ls->ops->up(ls->arg);
}

static void on_down(void *arg, const char *why)
{
	struct dp_leases *ls = arg;

	ls->ops->down(ls->arg, why);
}

/* ---- life ---- */

struct dp_leases *dp_leases_open(struct dp_loop *l, const struct gw_counter_settings *s, struct gw_str owner,
                                 const struct dp_leases_ops *ops, void *arg)
{
	static const char *const scripts[] = { dp_counter_script, NULL };
	static const struct dp_redis_ops redis_ops = { scripts, on_up, on_down };
	struct dp_leases *ls = gw_alloc(sizeof *ls);

	ls->magic = LEASES_MAGIC;
	ls->loop = l;
	ls->ops = ops;
	ls->arg = arg;
	ls->owner = gw_strdup_n(owner.p, owner.n < 60 ? owner.n : 60);
	gw_list_init(&ls->held);
	gw_list_init(&ls->owed);
	dp_timer_init(&ls->renew, on_renew);
	dp_loop_timer(l, &ls->renew, RENEW_MS / 3);
	ls->redis = dp_redis_open(l, s, &redis_ops, ls);
	return ls;
}

void dp_leases_close(struct dp_leases **lsp)
{
	struct dp_leases *ls = *lsp;

	if (!ls)
		return;
	*lsp = NULL;
	GW_CHECK(ls, LEASES_MAGIC);
	ls->alive++; /* until we are through */
	ls->closing = true;
	dp_timer_stop(&ls->renew);
	dp_redis_close(&ls->redis);
	while (!gw_list_empty(&ls->owed))
		free_lease(GW_CONTAINER(ls->owed.next, struct dp_lease, node));
	if (--ls->alive == 0)
		free_leases(ls);
}

bool dp_leases_up(const struct dp_leases *ls) { return dp_redis_is_up(ls->redis); }
void dp_leases_drop(struct dp_leases *ls, const char *why) { dp_redis_drop(ls->redis, why); }
