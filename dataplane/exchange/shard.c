/* shard.c - one loop's share of the worker. */
#include "exchange/shard.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "exchange/impl.h"

/* For a crash report, from a signal handler: read, and nothing else. */
static bool describe(const void *what, struct dp_crash_fact *out)
{
	const struct dp_exchange *x = what;

	if (x->magic != DP_EXCHANGE_MAGIC)
		return false;
	out->request = x->id;
	out->step = dp_step_name(x->step);
	out->revision = x->snapshot ? gw_snapshot_revision(x->snapshot) : 0;
	return true;
}

struct dp_shard *dp_shard_open(struct dp_loop *l, const struct dp_shared *shared)
{
	struct dp_shard *s = gw_alloc(sizeof *s);

	s->magic = DP_SHARD_MAGIC;
	s->loop = l;
	s->crash = dp_crash_note_of(dp_loop_index(l));
	dp_crash_describe(describe);
	s->shared = *shared;
	s->pools = dp_pools_open(l, shared->loops);
	s->jwks = dp_jwks_open(l);
	s->metrics = dp_metrics_open();
	s->desk = dp_desk_open(s->shared.counters, l);
	s->ring = shared->access_log ? dp_access_log_ring(shared->access_log, dp_loop_index(l)) : NULL;
	gw_list_init(&s->clients);
	gw_list_init(&s->probes);
	gw_list_init(&s->checks);
	dp_models_open(s);
	gw_buf_init(&s->head, 1u << 20);
	gw_buf_init(&s->out, DP_OUT_MAX);
	gw_random(s->random, sizeof s->random);
	dp_loop_set(l, s);
	return s;
}

void dp_shard_close(struct dp_shard **sp)
{
	struct dp_shard *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	GW_CHECK(s, DP_SHARD_MAGIC);
	dp_pools_close(&s->pools);
	dp_jwks_close(&s->jwks);
	dp_tls_server_unref(&s->tls);
	dp_models_forget(s);
	gw_snapshot_unref(&s->snapshot);
	dp_metrics_close(&s->metrics);
	dp_desk_close(&s->desk);
	gw_buf_fini(&s->head);
	gw_buf_fini(&s->out);
	s->magic = 0;
	free(s);
}

/* xorshift128+: ids and weights, nothing that must not be guessed. */
uint64_t dp_shard_random(struct dp_shard *s)
{
	uint64_t a = s->random[0], b = s->random[1];

	s->random[0] = b;
	a ^= a << 23;
	s->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return s->random[1] + b;
}

/* Other certificates or another mode: for connections from now on.  The snapshot was tried on, so it cannot fail. */
static void swap_tls(struct dp_shard *s)
{
	const struct gw_tls_settings *t = &gw_snapshot_settings(s->snapshot)->tls;
	struct gw_error err = { .text = "" };

	if (memcmp(s->tls_digest, t->digest, sizeof t->digest) == 0)
		return;
	dp_tls_server_unref(&s->tls);
	memcpy(s->tls_digest, t->digest, sizeof t->digest);
	if (t->mode != GW_TLS_OFF && dp_tls_server_open(&s->tls, t, &err) != GW_OK)
		gw_log(GW_LOG_ALERT, "settings", GW_STR("tls"), "not applied", "%s: %s", err.path, err.text);
}

void dp_shard_swap(struct dp_shard *s, struct gw_snapshot *next)
{
	GW_CHECK(s, DP_SHARD_MAGIC);
	dp_models_forget(s);
	gw_snapshot_unref(&s->snapshot);
	s->snapshot = next;
	s->swaps++;
	s->any_open_route = gw_snapshot_has_open_route(next);
	dp_pools_keep(s->pools, next);
	dp_desk_apply(s->desk, &gw_snapshot_settings(next)->counters);
	dp_jwks_keep(s->jwks, next);
	swap_tls(s);
	dp_checks_bind(s);
}

void dp_shard_drain(struct dp_shard *s)
{
	GW_CHECK(s, DP_SHARD_MAGIC);
	s->draining = true;
	dp_checks_cut(s);
	dp_pools_drain(s->pools);
	for (struct gw_node *n = s->clients.next, *next; n != &s->clients; n = next) {
		struct dp_client *c = GW_CONTAINER(n, struct dp_client, node);

		next = n->next;
		dp_client_drain(c);
	}
}

void dp_shard_cut(struct dp_shard *s)
{
	GW_CHECK(s, DP_SHARD_MAGIC);
	dp_probes_cut(s);
	dp_jwks_stop(s->jwks);
	dp_checks_cut(s);
	while (!gw_list_empty(&s->clients)) {
		struct dp_client *c = GW_CONTAINER(s->clients.next, struct dp_client, node);

		c->closing = true;
		if (c->x && c->x->step >= DP_STEP_CONNECT && c->x->step <= DP_STEP_RELAY && c->x->head_sent)
			dp_relay_break(c->x, DP_E_OVERLOADED, "the gateway is shutting down");
		if (!gw_list_empty(&s->clients) && s->clients.next == &c->node) {
			if (c->x)
				dp_x_gone(c->x);
			else
				dp_client_close(c);
		}
	}
	dp_desk_halt(s->desk); /* last: what was just ended has been settled */
}

struct dp_loop *dp_shard_loop(const struct dp_shard *s) { return s->loop; }
struct dp_metrics *dp_shard_metrics(const struct dp_shard *s) { return s->metrics; }
struct dp_pools *dp_shard_pools(const struct dp_shard *s) { return s->pools; }
struct gw_snapshot *dp_shard_snapshot(const struct dp_shard *s) { return s->snapshot; }
size_t dp_shard_beginning(const struct dp_shard *s) { return atomic_load_explicit(&s->beginning, memory_order_relaxed); }
size_t dp_shard_busy(const struct dp_shard *s) { return s->n_busy; }
size_t dp_shard_clients(const struct dp_shard *s) { return s->n_clients; }
