/*
 * dns.c - name lookups, remembered and shared.
 *
 * getaddrinfo() cannot be interrupted and runs on a pool of threads, so each loop asks once for a name however many
 * connections want it, keeps the answer, and lets a waiter that lost patience simply go.  An answer is kept as long as
 * the name server says, within bounds; getaddrinfo() does not tell, so the record itself is asked for afterwards, when
 * nobody waits.  When it is old it still serves while it is being refreshed, and while the refresh fails: a name server
 * that is down for a minute takes no provider with it.
 */
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "net/impl.h"
#include "net/name.h"

#define KEEP_GOOD_MS 30000         /* when no one says how long: /etc/hosts, a container's own resolver */
#define KEEP_MIN_MS  1000
#define KEEP_MAX_MS  300000
#define KEEP_BAD_MS  5000
#define STALE_MS     3600000       /* how long an answer serves when no newer one can be had */
#define MAX_ENTRIES  4096

/* How connecting to an address went; to be shown. */
struct met {
	int64_t good_ms, bad_ms;
	uint16_t port;
	char why[80];
};

struct dp_dns_entry {
	struct gw_str name;           /* owned */
	struct dp_dns *dns;
	uv_work_t work, ttl_work;
	bool asking, queued;          /* at the system; to be told at the end of the turn */
	bool asking_ttl;
	bool failing;                 /* the last refresh failed; said once */
	struct dp_deferred later;
	int64_t expires_ms, good_ms;  /* ask again from then on; when the addresses were learnt */
	int64_t keep_ms;              /* as the name server last said */
	bool keep_said;               /* it did */
	struct dp_addr addr[DP_NAME_MAX_ADDRS];
	struct met met[DP_NAME_MAX_ADDRS];
	size_t n, left_out;
	char text[96];
	struct gw_node waiters;
	struct {                      /* the thread's, between queueing and its end */
		int status;
		int64_t ttl_ms;       /* -1: not said */
		bool v6;
		struct addrinfo *ai;
	} found;
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

		if (!e->asking && !e->asking_ttl && !e->queued && gw_list_empty(&e->waiters) && e->expires_ms <= dp_loop_now(d->loop))
			old[n++] = e;
	}
	while (n > 0)
		drop_entry(old[--n]);
}

/* false: of a family that nobody dials. */
static bool addr_of(const struct addrinfo *ai, struct dp_addr *out)
{
	memset(out, 0, sizeof *out);
	out->v6 = ai->ai_family == AF_INET6;
	if (ai->ai_family == AF_INET)
		memcpy(out->ip, &((const struct sockaddr_in *)(const void *)ai->ai_addr)->sin_addr, 4);
	else if (out->v6)
		memcpy(out->ip, &((const struct sockaddr_in6 *)(const void *)ai->ai_addr)->sin6_addr, 16);
	else
		return false;
	return true;
}

/* What was met at an address that is still there is kept. */
static void take_answer(struct dp_dns_entry *e, const struct addrinfo *ai)
{
	struct dp_addr old[DP_NAME_MAX_ADDRS], a;
	struct met met[DP_NAME_MAX_ADDRS];
	size_t n_old = e->n;

	memcpy(old, e->addr, n_old * sizeof *old);
	memcpy(met, e->met, n_old * sizeof *met);
	e->n = e->left_out = 0;
	for (; ai; ai = ai->ai_next) {
		if (!addr_of(ai, &a))
			continue;
		if (e->n == DP_NAME_MAX_ADDRS) {
			e->left_out++;
			continue;
		}
		e->addr[e->n] = a;
		e->met[e->n] = (struct met){ 0 };
		for (size_t i = 0; i < n_old; i++)
			if (dp_addr_same_ip(&old[i], &a))
				e->met[e->n] = met[i];
		e->n++;
	}
}

static bool has_address(const struct addrinfo *ai)
{
	for (; ai; ai = ai->ai_next)
		if (ai->ai_family == AF_INET || ai->ai_family == AF_INET6)
			return true;
	return false;
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

/* The smallest time to live in an answer of the name server; -1: there is none. */
static int64_t ttl_of(const unsigned char *answer, int n, int type)
{
	ns_msg m;
	ns_rr rr;
	int64_t least = -1;

	if (ns_initparse(answer, n, &m) != 0)
		return -1;
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		if (ns_parserr(&m, ns_s_an, i, &rr) != 0)
			return -1;
		if ((int)ns_rr_type(rr) != type && ns_rr_type(rr) != ns_t_cname)
			continue;
		if (least < 0 || (int64_t)ns_rr_ttl(rr) < least)
			least = (int64_t)ns_rr_ttl(rr);
	}
	return least < 0 ? -1 : least * 1000;
}

static int64_t ask_ttl(const char *name, bool v6)
{
	struct __res_state state = { 0 };
	unsigned char answer[4096];
	int type = v6 ? ns_t_aaaa : ns_t_a, n;

	if (res_ninit(&state) != 0)
		return -1;
	state.retrans = 1;
	state.retry = 1;
	n = res_nsearch(&state, name, ns_c_in, type, answer, sizeof answer);
	res_nclose(&state);
	return n <= 0 ? -1 : ttl_of(answer, n < (int)sizeof answer ? n : (int)sizeof answer, type);
}

/* On a thread of the pool. */
static void look_up(uv_work_t *w)
{
	struct dp_dns_entry *e = w->data;
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };

	e->found.status = getaddrinfo(e->name.p, NULL, &hints, &e->found.ai);
}

static void look_for_ttl(uv_work_t *w)
{
	struct dp_dns_entry *e = w->data;

	e->found.ttl_ms = ask_ttl(e->name.p, e->found.v6);
}

static int64_t keep_for(int64_t ttl_ms)
{
	return ttl_ms < KEEP_MIN_MS ? KEEP_MIN_MS : ttl_ms > KEEP_MAX_MS ? KEEP_MAX_MS : ttl_ms;
}

static void on_ttl(uv_work_t *w, int cancelled)
{
	struct dp_dns_entry *e = w->data;

	e->asking_ttl = false;
	atomic_fetch_sub(&e->dns->loop->lookups, 1);
	if (cancelled || e->found.ttl_ms < 0)
		return;
	e->keep_ms = keep_for(e->found.ttl_ms);
	e->keep_said = true;
	if (!e->asking && !e->failing)
		e->expires_ms = e->good_ms + e->keep_ms;
}

static void ask_how_long(struct dp_dns_entry *e)
{
	if (e->asking_ttl || gw_str_is(e->name, "localhost"))
		return;
	e->ttl_work.data = e;
	e->found.v6 = e->addr[0].v6;
	if (uv_queue_work(&e->dns->loop->uv, &e->ttl_work, look_for_ttl, on_ttl) != 0)
		return;
	e->asking_ttl = true;
	atomic_fetch_add(&e->dns->loop->lookups, 1);
}

/* Old addresses are better than none, but not for ever. */
static void keep_or_forget(struct dp_dns_entry *e, const char *why)
{
	int64_t now = dp_loop_now(e->dns->loop);

	snprintf(e->text, sizeof e->text, "%s", why);
	e->expires_ms = now + KEEP_BAD_MS;
	if (e->n > 0 && now - e->good_ms < STALE_MS) {
		if (!e->failing)
			gw_log(GW_LOG_WARN, "name", e->name, "cannot be looked up now, the last addresses serve", "%s", why);
		e->failing = true;
		return;
	}
	e->n = 0;
}

static void on_answer(uv_work_t *w, int cancelled)
{
	struct dp_dns_entry *e = w->data;
	int64_t now = dp_loop_now(e->dns->loop);
	int status = cancelled ? EAI_AGAIN : e->found.status;

	e->asking = false;
	atomic_fetch_sub(&e->dns->loop->lookups, 1);
	if (status == 0 && has_address(e->found.ai)) {
		take_answer(e, e->found.ai);
		e->text[0] = '\0';
		e->failing = false;
		e->good_ms = now;
		e->expires_ms = now + e->keep_ms;
		ask_how_long(e);
	} else {
		keep_or_forget(e, status == EAI_SYSTEM ? "the resolver failed" : gai_strerror(status ? status : EAI_NODATA));
	}
	if (e->found.ai)
		freeaddrinfo(e->found.ai);
	e->found.ai = NULL;
	tell(e);
}

static void ask_system(struct dp_dns_entry *e)
{
	int r;

	e->asking = true;
	e->found.ai = NULL;
	e->found.status = EAI_AGAIN;
	atomic_fetch_add(&e->dns->loop->lookups, 1);
	e->work.data = e;
	r = uv_queue_work(&e->dns->loop->uv, &e->work, look_up, on_answer);
	if (r != 0) {
		e->asking = false;
		atomic_fetch_sub(&e->dns->loop->lookups, 1);
		keep_or_forget(e, uv_strerror(r));
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
	e->keep_ms = KEEP_GOOD_MS;
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
	if ((!e->asking || e->n > 0) && !e->queued) { /* an old answer serves while a new one is on its way */
		e->queued = true;
		dp_loop_defer(l, &e->later, from_cache);
	}
}

void dp_dns_cancel(struct dp_dns_wait *w)
{
	gw_list_del(&w->node);
}

/* ---- what is shown ---- */

void dp_dns_note(struct dp_loop *l, struct gw_str host, const struct dp_addr *a, const char *why)
{
	struct dp_dns_entry *e = l->dns ? gw_map_get(l->dns->map, host) : NULL;

	for (size_t i = 0; e && i < e->n; i++) {
		struct met *m = &e->met[i];

		if (!dp_addr_same_ip(&e->addr[i], a))
			continue;
		if (m->port != a->port)
			*m = (struct met){ .port = a->port };
		if (why) {
			m->bad_ms = dp_loop_now(l);
			snprintf(m->why, sizeof m->why, "%s", why);
		} else {
			m->good_ms = dp_loop_now(l);
		}
		return;
	}
}

bool dp_name_look(const struct dp_loop *l, struct gw_str host, uint16_t port, struct dp_name *out)
{
	const struct dp_dns_entry *e = l->dns ? gw_map_get(l->dns->map, host) : NULL;

	if (!e)
		return false;
	*out = (struct dp_name){ .resolved_ms = e->good_ms, .expires_ms = e->expires_ms, .ttl_ms = e->keep_said ? e->keep_ms : -1, .n = e->n,
		                 .left_out = e->left_out };
	memcpy(out->error, e->text, sizeof out->error);
	for (size_t i = 0; i < e->n; i++) {
		const struct met *m = &e->met[i];

		out->v[i].addr = e->addr[i];
		if (m->port != port)
			continue;
		out->v[i].good_ms = m->good_ms;
		out->v[i].bad_ms = m->bad_ms;
		memcpy(out->v[i].why, m->why, sizeof out->v[i].why);
	}
	return true;
}

void dp_dns_call_off(struct dp_dns *d)
{
	size_t at = 0;
	struct gw_str key;
	void *value;

	while (d && gw_map_next(d->map, &at, &key, &value)) {
		struct dp_dns_entry *e = value;

		if (e->asking_ttl)
			uv_cancel((uv_req_t *)&e->ttl_work);
		if (e->asking)
			uv_cancel((uv_req_t *)&e->work); /* answered in the loop's next turn, as a failure */
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

		while (e->asking || e->asking_ttl) { /* a lookup under way cannot be stopped; it ends by the resolver's own limits */
			uv_cancel((uv_req_t *)(e->asking ? &e->work : &e->ttl_work));
			uv_run(&d->loop->uv, UV_RUN_ONCE);
		}
		free((char *)(uintptr_t)e->name.p);
		free(e);
	}
	gw_map_close(&d->map);
	free(d);
}
