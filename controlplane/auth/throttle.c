/*
 * throttle.c - failed logins cost time, by account and by address.
 *
 * After FREE_ACCOUNT failures each further try of an account has to wait 1, 2, 4 … seconds, at most 30, so that a
 * stranger cannot lock an administrator out; an address waits longer.  A quarter of an hour without failure forgets.
 */
#include "auth/internal.h"

#include "base/map.h"
#include "base/str.h"

#define FREE_ACCOUNT 5
#define FREE_ADDRESS 20
#define MAX_WAIT_ACCOUNT_S 30
#define MAX_WAIT_ADDRESS_S 300
#define FORGET_MS (15 * 60 * 1000LL)
#define PROBES 8

static uint64_t who_is(const char *kind, struct gw_str name)
{
	char key[320];
	size_t n = name.n < 300 ? name.n : 300;
	key[0] = kind[0];
	memcpy(key + 1, name.p, n);
	uint64_t h = gw_hash((struct gw_str){ key, n + 1 });
	return h != 0 ? h : 1;
}

/* The slot of `who`, or the one to use for it: empty, forgotten, or the least recent of the neighbours. */
static struct cp_throttle_slot *slot_of(struct cp_auth *a, uint64_t who)
{
	struct cp_throttle_slot *oldest = NULL;
	for (size_t i = 0; i < PROBES; i++) {
		struct cp_throttle_slot *s = &a->slots[(who + i) % CP_THROTTLE_SLOTS];
		if (s->who == who)
			return s;
		if (oldest == NULL || s->last_ms < oldest->last_ms)
			oldest = s;
	}
	return oldest;
}

static int64_t wait_of(struct cp_auth *a, uint64_t who, unsigned free_tries, int64_t max_s, int64_t now_ms)
{
	const struct cp_throttle_slot *s = slot_of(a, who);
	if (s->who != who || s->failures < free_tries || now_ms - s->last_ms > FORGET_MS)
		return 0;
	unsigned over = s->failures - free_tries;
	int64_t wait_s = over >= 9 ? max_s : 1LL << over;
	if (wait_s > max_s)
		wait_s = max_s;
	int64_t left_ms = s->last_ms + wait_s * 1000 - now_ms;
	return left_ms <= 0 ? 0 : (left_ms + 999) / 1000;
}

int64_t cp_throttle_check(struct cp_auth *a, struct gw_str account, struct gw_str address, int64_t now_ms)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	pthread_mutex_lock(&a->lock);
	int64_t x = wait_of(a, who_is("account", account), FREE_ACCOUNT, MAX_WAIT_ACCOUNT_S, now_ms);
	int64_t y = wait_of(a, who_is("ip", address), FREE_ADDRESS, MAX_WAIT_ADDRESS_S, now_ms);
	pthread_mutex_unlock(&a->lock);
	return x > y ? x : y;
}

static void count(struct cp_auth *a, uint64_t who, int64_t now_ms)
{
	struct cp_throttle_slot *s = slot_of(a, who);
	if (s->who != who || now_ms - s->last_ms > FORGET_MS)
		*s = (struct cp_throttle_slot){ .who = who };
	s->failures++;
	s->last_ms = now_ms;
}

void cp_throttle_failed(struct cp_auth *a, struct gw_str account, struct gw_str address, int64_t now_ms)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	pthread_mutex_lock(&a->lock);
	count(a, who_is("account", account), now_ms);
	count(a, who_is("ip", address), now_ms);
	pthread_mutex_unlock(&a->lock);
}

void cp_throttle_succeeded(struct cp_auth *a, struct gw_str account, struct gw_str address)
{
	GW_CHECK(a, CP_AUTH_MAGIC);
	(void)address; /* one good account must not wash an address clean */
	pthread_mutex_lock(&a->lock);
	uint64_t who = who_is("account", account);
	struct cp_throttle_slot *s = slot_of(a, who);
	if (s->who == who)
		s->failures = 0;
	pthread_mutex_unlock(&a->lock);
}
