/*
 * dns.c - name lookups, remembered and shared.
 *
 * getaddrinfo() cannot be interrupted and runs on a small pool of threads, so each loop asks once for a name however
 * many connections want it, keeps the answer, and lets a waiter that lost patience simply go.
 */
#include <netdb.h>
#include <stdlib.h>

#include "net/impl.h"

#define KEEP_GOOD_MS 30000
#define KEEP_BAD_MS 5000
#define MAX_ENTRIES 4096

struct dp_dns_entry {
	struct gw_str name;           /* owned */
	struct dp_dns *dns;
	uv_getaddrinfo_t req;
	bool asking, queued;          /* at the system; to be told at the end of the turn */
	struct dp_deferred later;
	int64_t expires_ms;
	struct dp_addr addr[DP_DNS_MAX_ADDRS];
	size_t n;
	char text[96];
	struct gw_node waiters;
};

struct dp_dns {
	struct dp_loop *loop;
	struct gw_map *map;
};

static void drop_entry(struct dp_dns_entry *e)
{
	gw_map_del(e->dns->map, e->name);
	free((char *)(uintptr_t)e->name.p);
	free(e);
}

static void drop_expired(struct dp_dns *d)
{
	size_t at = 0;
	struct gw_str key;
	void *value;
	struct dp_dns_entry *old[64];
	size_t n = 0;

	while (n < GW_COUNT(old) && gw_map_next(d->map, &at, &key, &value)) {
		struct dp_dns_entry *e = value;

		if (!e->asking && !e->queued && gw_list_empty(&e->waiters) && e->expires_ms <= dp_loop_now(d->loop))
			old[n++] = e;
	}
	while (n > 0)
		drop_entry(old[--n]);
}

static void take_answer(struct dp_dns_entry *e, const struct addrinfo *ai)
{
	e->n = 0;
	for (; ai && e->n < DP_DNS_MAX_ADDRS; ai = ai->ai_next) {
		struct dp_addr *a = &e->addr[e->n];

		memset(a, 0, sizeof *a);
		if (ai->ai_family == AF_INET) {
			memcpy(a->ip, &((const struct sockaddr_in *)(const void *)ai->ai_addr)->sin_addr, 4);
		} else if (ai->ai_family == AF_INET6) {
			a->v6 = true;
			memcpy(a->ip, &((const struct sockaddr_in6 *)(const void *)ai->ai_addr)->sin6_addr, 16);
		} else {
			continue;
		}
		e->n++;
	}
}

static void tell(struct dp_dns_entry *e)
{
	struct gw_node todo;

	gw_list_init(&todo);
	while (!gw_list_empty(&e->waiters)) {
		struct gw_node *n = e->waiters.next;

		gw_list_del(n);
		gw_list_add_tail(&todo, n);
	}
	while (!gw_list_empty(&todo)) {
		struct dp_dns_wait *w = GW_CONTAINER(todo.next, struct dp_dns_wait, node);

		gw_list_del(&w->node);
		w->done(w, e->addr, e->n, e->text);
	}
}

static void on_answer(uv_getaddrinfo_t *req, int status, struct addrinfo *ai)
{
	struct dp_dns_entry *e = req->data;

	e->asking = false;
	atomic_fetch_sub(&e->dns->loop->lookups, 1);
	e->text[0] = '\0';
	take_answer(e, status == 0 ? ai : NULL);
	uv_freeaddrinfo(ai);
	if (e->n == 0)
		uv_strerror_r(status ? status : UV_EAI_NODATA, e->text, sizeof e->text);
	e->expires_ms = dp_loop_now(e->dns->loop) + (e->n ? KEEP_GOOD_MS : KEEP_BAD_MS);
	tell(e);
}

static void ask_system(struct dp_dns_entry *e)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	int r;

	e->asking = true;
	atomic_fetch_add(&e->dns->loop->lookups, 1);
	e->req.data = e;
	r = uv_getaddrinfo(&e->dns->loop->uv, &e->req, on_answer, e->name.p, NULL, &hints);
	if (r != 0) {
		e->asking = false;
		atomic_fetch_sub(&e->dns->loop->lookups, 1);
		e->n = 0;
		uv_strerror_r(r, e->text, sizeof e->text);
		e->expires_ms = dp_loop_now(e->dns->loop) + KEEP_BAD_MS;
	}
}

static struct dp_dns_entry *entry_for(struct dp_loop *l, struct gw_str host)
{
	struct dp_dns_entry *e;

	if (!l->dns) {
		l->dns = gw_alloc(sizeof *l->dns);
		l->dns->loop = l;
		l->dns->map = gw_map_open(16);
	}
	e = gw_map_get(l->dns->map, host);
	if (e)
		return e;
	if (gw_map_count(l->dns->map) >= MAX_ENTRIES)
		drop_expired(l->dns);
	e = gw_alloc(sizeof *e);
	e->name = (struct gw_str){ gw_strdup_n(host.p, host.n), host.n };
	e->dns = l->dns;
	gw_list_init(&e->waiters);
	gw_map_put(l->dns->map, e->name, e);
	return e;
}

static void from_cache(struct dp_deferred *d)
{
	struct dp_dns_entry *e = GW_CONTAINER(d, struct dp_dns_entry, later);

	e->queued = false;
	tell(e);
}

void dp_dns_ask(struct dp_loop *l, struct gw_str host, struct dp_dns_wait *w)
{
	struct dp_dns_entry *e = entry_for(l, host);

	gw_list_add_tail(&e->waiters, &w->node);
	if (!e->asking && e->expires_ms <= dp_loop_now(l))
		ask_system(e);
	if (!e->asking && !e->queued) {
		e->queued = true;
		dp_loop_defer(l, &e->later, from_cache);
	}
}

void dp_dns_cancel(struct dp_dns_wait *w)
{
	gw_list_del(&w->node);
}

void dp_dns_call_off(struct dp_dns *d)
{
	size_t at = 0;
	struct gw_str key;
	void *value;

	while (d && gw_map_next(d->map, &at, &key, &value)) {
		struct dp_dns_entry *e = value;

		if (e->asking)
			uv_cancel((uv_req_t *)&e->req); /* answered in the loop's next turn, as a failure */
	}
}

void dp_dns_close(struct dp_dns **dp)
{
	struct dp_dns *d = *dp;
	size_t at = 0;
	struct gw_str key;
	void *value;

	if (!d)
		return;
	*dp = NULL;
	while (gw_map_next(d->map, &at, &key, &value)) {
		struct dp_dns_entry *e = value;

		while (e->asking) { /* a lookup under way cannot be stopped; it ends by the resolver's own limits */
			uv_cancel((uv_req_t *)&e->req);
			uv_run(&d->loop->uv, UV_RUN_ONCE);
		}
		free((char *)(uintptr_t)e->name.p);
		free(e);
	}
	gw_map_close(&d->map);
	free(d);
}
