/* pins.c - a set-associative cache of who holds which answer. */
#include "upstream/pins.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"

#define WAYS  4u
#define SETS  (DP_PINS_MAX / WAYS)
#define LOCKS 64u

struct entry {
	uint8_t id[16];          /* of its SHA-256: ids come from outside, and a collision would cross tenants */
	struct dp_pin pin;
	uint64_t used;           /* 0: free */
};

struct dp_pins {
	unsigned magic;
#define DP_PINS_MAGIC 0x9145a001u
	pthread_mutex_t lock[LOCKS];
	pthread_mutex_t making;
	struct entry *v;         /* under `making` until it is there; NULL: nothing was put yet */
	_Atomic uint64_t clock;
};

struct dp_pins *dp_pins_open(void)
{
	struct dp_pins *p = gw_alloc(sizeof *p);

	p->magic = DP_PINS_MAGIC;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&p->lock[i], NULL);
	pthread_mutex_init(&p->making, NULL);
	return p;
}

void dp_pins_close(struct dp_pins **pp)
{
	struct dp_pins *p = *pp;

	if (!p)
		return;
	*pp = NULL;
	GW_CHECK(p, DP_PINS_MAGIC);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&p->lock[i]);
	pthread_mutex_destroy(&p->making);
	p->magic = 0;
	free(p->v);
	free(p);
}

static struct entry *table(struct dp_pins *p, bool make)
{
	struct entry *v;

	pthread_mutex_lock(&p->making);
	if (!p->v && make)
		p->v = gw_alloc(DP_PINS_MAX * sizeof *p->v);
	v = p->v;
	pthread_mutex_unlock(&p->making);
	return v;
}

/* The set that an id belongs to, and its lock. */
static struct entry *set_of(struct entry *v, const uint8_t sum[32], size_t *lock)
{
	size_t i = ((size_t)sum[16] << 16 | (size_t)sum[17] << 8 | sum[18]) % SETS;

	*lock = i % LOCKS;
	return v + i * WAYS;
}

void dp_pins_put(struct dp_pins *p, struct gw_str id, const struct dp_pin *pin)
{
	struct entry *v = table(p, true), *set, *to;
	uint8_t sum[32];
	size_t lock;

	GW_CHECK(p, DP_PINS_MAGIC);
	gw_sha256(sum, id);
	set = set_of(v, sum, &lock);
	pthread_mutex_lock(&p->lock[lock]);
	to = &set[0];
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].used && memcmp(set[i].id, sum, sizeof set[i].id) == 0) {
			to = &set[i];
			break;
		}
		if (set[i].used < to->used)
			to = &set[i];
	}
	memcpy(to->id, sum, sizeof to->id);
	to->pin = *pin;
	to->used = ++p->clock;
	pthread_mutex_unlock(&p->lock[lock]);
}

bool dp_pins_get(struct dp_pins *p, struct gw_str id, struct dp_pin *out)
{
	struct entry *v = table(p, false), *set;
	uint8_t sum[32];
	size_t lock;
	bool found = false;

	GW_CHECK(p, DP_PINS_MAGIC);
	if (!v)
		return false;
	gw_sha256(sum, id);
	set = set_of(v, sum, &lock);
	pthread_mutex_lock(&p->lock[lock]);
	for (size_t i = 0; i < WAYS && !found; i++) {
		if (!set[i].used || memcmp(set[i].id, sum, sizeof set[i].id) != 0)
			continue;
		*out = set[i].pin;
		set[i].used = ++p->clock;
		found = true;
	}
	pthread_mutex_unlock(&p->lock[lock]);
	return found;
}
