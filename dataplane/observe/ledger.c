/* ledger.c - the queue of usage records. */
#include "observe/ledger.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/thread.h"
#include "base/time.h"
#include "observe/spool.h"

#define SPOOL_BATCH (1u << 20)   /* bytes that are written at once */
#define SYNC_MS     1000
#define RETRY_MS    1000         /* after the disk did not take any */
#define CACHE_BYTES (4u << 20)   /* of what is on the disk and kept here too */

struct row {
	struct row *next;
	int64_t seq;
	size_t n;
	char bytes[];                /* as in usage.h, without a head */
};

/* Records as they went to the disk, kept until they are acknowledged: the sender need not read them back. */
struct block {
	struct block *next;
	int64_t first, last;
	size_t n;
	char bytes[];
};

struct dp_ledger {
	pthread_mutex_t lock;        /* the queue's ends; for moments only */
	struct row *first, **end;
	size_t n, bytes;             /* in memory */
	bool losing[2];              /* what may have cost money; what did not */
	bool idle, stop;             /* idle: the spooler sleeps until it is woken */
	pthread_cond_t wake;
	_Atomic int64_t seq, acked;
	_Atomic int64_t dropped;

	/* Taken before `lock`, by the sender and the spooler: rows leave the front, for good or for the disk, under it. */
	pthread_mutex_t front;
	struct dp_spool *spool;      /* NULL: there is none */
	char boot_id[DP_LEDGER_BOOT];
	size_t ceiling;
	pthread_t spooler;
	struct block *blocks, **blocks_end; /* in order; there may be gaps, which are on the disk only */
	size_t cached;               /* bytes of them */
	bool failing;                /* the disk takes none: what is in memory is sent from there */
	struct gw_buf out;           /* the spooler's */
	int64_t written, marked, synced, next_sync_ms;
};

struct dp_ledger *dp_ledger_open(void)
{
	struct dp_ledger *l = gw_alloc(sizeof *l);
	pthread_condattr_t attr;

	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->front, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->wake, &attr);
	pthread_condattr_destroy(&attr);
	l->end = &l->first;
	l->blocks_end = &l->blocks;
	return l;
}

/* ---- what is on the disk and still here ---- */

static void keep_block(struct dp_ledger *l, struct gw_str bytes, int64_t first, int64_t last)
{
	struct block *b;

	if (l->cached + bytes.n > CACHE_BYTES)
		return;
	b = gw_alloc(sizeof *b + bytes.n);
	b->first = first;
	b->last = last;
	b->n = bytes.n;
	memcpy(b->bytes, bytes.p, bytes.n);
	*l->blocks_end = b;
	l->blocks_end = &b->next;
	l->cached += b->n;
}

static void drop_blocks(struct dp_ledger *l, int64_t seq)
{
	while (l->blocks && l->blocks->last <= seq) {
		struct block *gone = l->blocks;

		l->blocks = gone->next;
		if (!l->blocks)
			l->blocks_end = &l->blocks;
		l->cached -= gone->n;
		free(gone);
	}
}

void dp_ledger_close(struct dp_ledger **lp)
{
	struct dp_ledger *l = *lp;

	if (!l)
		return;
	*lp = NULL;
	if (l->spool) {
		pthread_mutex_lock(&l->lock);
		l->stop = true;
		pthread_cond_signal(&l->wake);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->spooler, NULL);
		dp_spool_close(&l->spool);
		gw_buf_fini(&l->out);
	}
	drop_blocks(l, INT64_MAX);
	while (l->first) {
		struct row *r = l->first;

		l->first = r->next;
		free(r);
	}
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->front);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* Written where it happened, once; from here on it is bytes. */
static struct row *pack(const struct gw_usage_record *r)
{
	char bytes[GW_USAGE_ROW_MAX];
	size_t n = gw_usage_row_write(bytes, r);
	struct row *row = malloc(sizeof *row + n);

	if (!row)
		abort();
	row->next = NULL;
	row->n = n;
	memcpy(row->bytes, bytes, n);
	return row;
}

static size_t bytes_of(const struct row *row)
{
	return sizeof *row + row->n;
}

/* With the lock held: whether what is there leaves `bytes` free in this part of a room. */
static bool has_room(const struct dp_ledger *l, size_t bytes, size_t parts, size_t of)
{
	size_t disk = l->spool ? dp_spool_bytes(l->spool) : 0;

	return l->n < DP_LEDGER_MAX_RECORDS / of * parts && l->bytes + bytes <= DP_LEDGER_MAX_BYTES / of * parts &&
		(!l->spool || l->bytes + bytes + disk <= l->ceiling / of * parts);
}

/* One line when it begins, one when it is over: a quarter of the room is free again. */
static int turn_losing(struct dp_ledger *l, bool fits, size_t share)
{
	bool *losing = &l->losing[share - 1];

	if (!fits && !*losing) {
		*losing = true;
		return 1;
	}
	if (fits && *losing && has_room(l, 0, 3, 4 * share)) {
		*losing = false;
		return -1;
	}
	return 0;
}

void dp_ledger_add(struct dp_ledger *l, const struct gw_usage_record *r)
{
	struct row *row = pack(r);
	size_t share = r->attempts > 0 ? 1 : 2; /* the second half is for what may have cost money */
	int turned;
	bool fits;

	pthread_mutex_lock(&l->lock);
	fits = has_room(l, bytes_of(row), 1, share);
	turned = turn_losing(l, fits, share);
	if (fits) {
		row->seq = ++l->seq;
		*l->end = row;
		l->end = &row->next;
		l->n++;
		l->bytes += bytes_of(row);
		if (l->idle) {
			l->idle = false;
			pthread_cond_signal(&l->wake);
		}
	}
	pthread_mutex_unlock(&l->lock);
	if (!fits) {
		free(row);
		atomic_fetch_add(&l->dropped, 1);
	}
	if (turned > 0)
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "usage records are lost: there is no more room for them", "queued=%zu spooled_bytes=%zu",
		       dp_ledger_queued(l), dp_ledger_spooled(l));
	else if (turned < 0)
		gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "usage records are kept again", "lost=%lld", (long long)dp_ledger_dropped(l));
}

static void write_row(struct gw_buf *out, const struct row *r)
{
	size_t at = dp_spool_begin(out);

	gw_buf_add(out, (struct gw_str){ r->bytes, r->n });
	dp_spool_end(out, at, r->seq);
}

/* ---- the front of the queue: all of this with `front` held ---- */

static struct row *next_of(struct dp_ledger *l, struct row *r)
{
	struct row *next;

	pthread_mutex_lock(&l->lock);
	next = r ? r->next : l->first;
	pthread_mutex_unlock(&l->lock);
	return next;
}

/* Rows up to seq are on the disk, or stored. */
static void let_go(struct dp_ledger *l, int64_t seq)
{
	struct row *gone, **cut, *rest;

	pthread_mutex_lock(&l->lock);
	gone = l->first;
	for (cut = &l->first; *cut && (*cut)->seq <= seq; cut = &(*cut)->next) {
		l->n--;
		l->bytes -= bytes_of(*cut);
	}
	rest = *cut;
	*cut = NULL;
	if (cut == &l->first)
		gone = NULL;
	l->first = rest;
	if (!rest)
		l->end = &l->first;
	pthread_mutex_unlock(&l->lock);
	while (gone) {
		struct row *next = gone->next;

		free(gone);
		gone = next;
	}
}

/* As far as they follow `after_seq` without a gap. */
static size_t batch_of_blocks(struct dp_ledger *l, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq)
{
	const struct block *b = l->blocks;
	size_t n = 0;
	int64_t seq;

	while (b && b->last <= after_seq)
		b = b->next;
	for (; b && b->first <= after_seq + 1; b = b->next) {
		struct gw_str rest = { b->bytes, b->n }, row;

		/* What never left the memory is whole: no checksum is looked at. */
		while (n < max && out->n < DP_LEDGER_BATCH_BYTES && gw_usage_peel(&rest, &seq, &row)) {
			if (seq <= after_seq)
				continue;
			gw_buf_add(out, (struct gw_str){ row.p - DP_SPOOL_HEAD, DP_SPOOL_HEAD + row.n });
			*last_seq = after_seq = seq;
			n++;
		}
	}
	return n;
}

/* From the memory, what stands behind the last record on the disk. */
static size_t batch_of_rows(struct dp_ledger *l, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq)
{
	struct row *r = next_of(l, NULL);
	size_t n = 0;

	while (r && r->seq <= after_seq)
		r = next_of(l, r);
	for (; r && n < max && out->n < DP_LEDGER_BATCH_BYTES; r = next_of(l, r)) {
		write_row(out, r);
		*last_seq = r->seq;
		n++;
	}
	return n;
}

size_t dp_ledger_batch(struct dp_ledger *l, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq)
{
	size_t n = 0;

	pthread_mutex_lock(&l->front);
	if (l->spool)
		n = batch_of_blocks(l, after_seq, max, out, last_seq);
	if (l->spool && n == 0)
		n = dp_spool_read(l->spool, l->boot_id, after_seq, max, DP_LEDGER_BATCH_BYTES, out, last_seq);
	if (n == 0 && (!l->spool || l->failing)) /* else they are on the disk, and here as text, in a moment */
		n = batch_of_rows(l, after_seq, max, out, last_seq);
	pthread_mutex_unlock(&l->front);
	return n;
}

void dp_ledger_ack(struct dp_ledger *l, int64_t seq)
{
	pthread_mutex_lock(&l->front);
	if (seq > l->acked) {
		l->acked = seq < l->seq ? seq : l->seq;
		if (l->spool)
			dp_spool_ack(l->spool, gw_str_c(l->boot_id), l->acked);
		drop_blocks(l, l->acked);
		let_go(l, l->acked);
	}
	pthread_mutex_unlock(&l->front);
}

bool dp_ledger_earlier(struct dp_ledger *l, char boot_id[DP_LEDGER_BOOT])
{
	bool is;

	pthread_mutex_lock(&l->front);
	is = l->spool && dp_spool_earlier(l->spool, boot_id);
	pthread_mutex_unlock(&l->front);
	return is;
}

size_t dp_ledger_earlier_batch(struct dp_ledger *l, const char *boot_id, int64_t after_seq, size_t max, struct gw_buf *out,
                               int64_t *last_seq)
{
	size_t n;

	pthread_mutex_lock(&l->front);
	n = dp_spool_read(l->spool, boot_id, after_seq, max, DP_LEDGER_BATCH_BYTES, out, last_seq);
	pthread_mutex_unlock(&l->front);
	return n;
}

bool dp_ledger_earlier_ack(struct dp_ledger *l, struct gw_str boot_id, int64_t seq)
{
	bool all;

	pthread_mutex_lock(&l->front);
	all = l->spool && dp_spool_ack(l->spool, boot_id, seq);
	pthread_mutex_unlock(&l->front);
	return all;
}

bool dp_ledger_earlier_end(struct dp_ledger *l, const char *boot_id)
{
	bool done;

	pthread_mutex_lock(&l->front);
	done = dp_spool_read_out(l->spool, boot_id) && dp_spool_ack(l->spool, gw_str_c(boot_id), INT64_MAX);
	pthread_mutex_unlock(&l->front);
	return done;
}

void dp_ledger_boots(struct dp_ledger *l, struct gw_buf *out)
{
	pthread_mutex_lock(&l->front);
	if (l->spool)
		dp_spool_boots(l->spool, out);
	pthread_mutex_unlock(&l->front);
}

/* ---- the spooler ---- */

static void turn_failing(struct dp_ledger *l, bool fails, const char *why)
{
	if (fails && !l->failing)
		gw_log(GW_LOG_ERROR, NULL, GW_STR_NONE, "usage records stay in memory: the disk does not take them", "%s", why);
	else if (!fails && l->failing)
		gw_log(GW_LOG_INFO, NULL, GW_STR_NONE, "usage records go to the disk again", NULL);
	l->failing = fails;
}

/* One batch from the memory to the disk.  false: there was none, or the disk did not take it. */
static bool move_some(struct dp_ledger *l)
{
	struct gw_error err = { .text = "" };
	int64_t first = 0, last = 0;
	enum gw_rc rc;

	pthread_mutex_lock(&l->front);
	gw_buf_clear(&l->out);
	for (struct row *r = next_of(l, NULL); r && l->out.n < SPOOL_BATCH; r = next_of(l, r)) {
		write_row(&l->out, r);
		last = r->seq;
		first = first ? first : last;
	}
	rc = last ? dp_spool_append(l->spool, gw_buf_str(&l->out), last, &err) : GW_OK;
	if (last && rc == GW_OK) {
		l->written = last;
		keep_block(l, gw_buf_str(&l->out), first, last);
		let_go(l, last);
	}
	if (last)
		turn_failing(l, rc != GW_OK, err.text);
	pthread_mutex_unlock(&l->front);
	return last && rc == GW_OK;
}

/* What has waited for a second or more, and waits still, should outlive a loss of power as well. */
static void sync_some(struct dp_ledger *l, bool now)
{
	int fd[DP_SPOOL_OPEN];
	bool wanted = now ? l->acked < l->written : l->marked > l->synced && l->acked < l->marked;
	size_t n;
	int why = 0;

	pthread_mutex_lock(&l->front);
	n = dp_spool_take_open(l->spool, fd);
	pthread_mutex_unlock(&l->front);
	for (size_t i = 0; i < n; i++) {
		if (wanted && fdatasync(fd[i]) != 0)
			why = errno;
		close(fd[i]);
	}
	if (why != 0) {
		pthread_mutex_lock(&l->front);
		turn_failing(l, true, strerror(why));
		pthread_mutex_unlock(&l->front);
	}
	if (wanted)
		l->synced = l->written;
	l->marked = l->written;
	l->next_sync_ms = gw_mono_ms() + SYNC_MS;
}

/* With the lock held.  false: it was woken. */
static bool doze(struct dp_ledger *l, int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return pthread_cond_timedwait(&l->wake, &l->lock, &t) != 0;
}

static void *spool_records(void *arg)
{
	struct dp_ledger *l = arg;
	bool stop = false;

	gw_thread_behind("spool");
	while (!stop) {
		pthread_mutex_lock(&l->lock);
		/* First a pause in which nobody wakes us, so that many records are one write; then a sleep until there is one. */
		if (!l->stop)
			doze(l, l->failing ? RETRY_MS : DP_LEDGER_NAP_MS);
		l->idle = true;
		while (!l->stop && l->idle && !l->first && doze(l, SYNC_MS) == false)
			;
		l->idle = false;
		stop = l->stop;
		pthread_mutex_unlock(&l->lock);
		while (move_some(l))
			;
		if (stop || gw_mono_ms() >= l->next_sync_ms)
			sync_some(l, stop);
	}
	return NULL;
}

enum gw_rc dp_ledger_spool(struct dp_ledger *l, const char *state_dir, const char *boot_id, int64_t ceiling, struct gw_error *err)
{
	struct dp_spool *s;
	enum gw_rc rc = dp_spool_open(&s, state_dir, boot_id, err);

	if (rc != GW_OK)
		return rc;
	gw_buf_init(&l->out, SPOOL_BATCH + DP_SPOOL_RECORD_MAX);
	snprintf(l->boot_id, sizeof l->boot_id, "%s", boot_id);
	l->ceiling = (size_t)ceiling;
	pthread_mutex_lock(&l->lock);
	l->spool = s;
	pthread_mutex_unlock(&l->lock);
	if (pthread_create(&l->spooler, NULL, spool_records, l) == 0)
		return GW_OK;
	l->spool = NULL;
	dp_spool_close(&s);
	gw_buf_fini(&l->out);
	return gw_fail(err, GW_IO, NULL, "cannot start the spool's thread");
}

/* ---- figures ---- */

size_t dp_ledger_queued(const struct dp_ledger *cl)
{
	struct dp_ledger *l = (struct dp_ledger *)(uintptr_t)cl;
	int64_t acked = atomic_load(&l->acked), seq = atomic_load(&l->seq); /* in this order: never below 0 */

	return (size_t)(seq - acked);
}

int64_t dp_ledger_dropped(const struct dp_ledger *l)
{
	return atomic_load_explicit(&((struct dp_ledger *)(uintptr_t)l)->dropped, memory_order_relaxed);
}

size_t dp_ledger_spooled(const struct dp_ledger *l)
{
	return l->spool ? dp_spool_bytes(l->spool) : 0;
}

int64_t dp_ledger_torn(const struct dp_ledger *l)
{
	return l->spool ? dp_spool_torn(l->spool) : 0;
}
