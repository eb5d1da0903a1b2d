/* ledger.c - the queue of usage records. */
#include "observe/ledger.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/str.h"

enum {
#define X(name) TEXT_##name,
	GW_USAGE_TEXTS(X)
#undef X
	TEXTS
};
enum {
#define X(name) INT_##name,
	GW_USAGE_INTS(X)
#undef X
	INTS
};

/* A record as one block: the texts stand one after another behind it. */
struct row {
	struct row *next;
	size_t bytes;
	int64_t num[INTS];
	uint16_t len[TEXTS];
	uint8_t end_reason, usage_source;
	char text[];
};

struct dp_ledger {
	pthread_mutex_t lock;
	struct row *first, **end;
	size_t n, bytes;
	int64_t seq;
	_Atomic size_t shown_n;
	_Atomic int64_t dropped;
};

struct dp_ledger *dp_ledger_open(void)
{
	struct dp_ledger *l = gw_alloc(sizeof *l);

	pthread_mutex_init(&l->lock, NULL);
	l->end = &l->first;
	return l;
}

void dp_ledger_close(struct dp_ledger **lp)
{
	struct dp_ledger *l = *lp;

	if (!l)
		return;
	*lp = NULL;
	while (l->first) {
		struct row *r = l->first;

		l->first = r->next;
		free(r);
	}
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static size_t clip(size_t i, size_t n)
{
	size_t most = i == TEXT_attempt_log ? GW_USAGE_ATTEMPT_LOG_MAX : GW_USAGE_TEXT_MAX;

	return n < most ? n : most;
}

static struct row *pack(const struct gw_usage_record *r)
{
	const struct gw_str texts[] = {
#define X(name) r->name,
		GW_USAGE_TEXTS(X)
#undef X
	};
	const int64_t nums[] = {
#define X(name) r->name,
		GW_USAGE_INTS(X)
#undef X
	};
	size_t bytes = sizeof(struct row), at = 0;
	struct row *row;

	for (size_t i = 0; i < TEXTS; i++)
		bytes += clip(i, texts[i].n);
	row = gw_alloc(bytes);
	row->bytes = bytes;
	memcpy(row->num, nums, sizeof nums);
	for (size_t i = 0; i < TEXTS; i++) {
		row->len[i] = (uint16_t)clip(i, texts[i].n);
		if (row->len[i])
			memcpy(row->text + at, texts[i].p, row->len[i]);
		at += row->len[i];
	}
	row->end_reason = (uint8_t)r->end_reason;
	row->usage_source = (uint8_t)r->usage_source;
	return row;
}

void dp_ledger_add(struct dp_ledger *l, const struct gw_usage_record *r)
{
	struct row *row = pack(r);
	size_t share = r->attempts > 0 ? 1 : 2; /* the second half is for what may have cost money */
	bool fits;

	pthread_mutex_lock(&l->lock);
	fits = l->n < DP_LEDGER_MAX_RECORDS / share && l->bytes + row->bytes <= DP_LEDGER_MAX_BYTES / share;
	if (fits) {
		row->num[INT_seq] = ++l->seq;
		*l->end = row;
		l->end = &row->next;
		l->n++;
		l->bytes += row->bytes;
		atomic_store_explicit(&l->shown_n, l->n, memory_order_relaxed);
	}
	pthread_mutex_unlock(&l->lock);
	if (!fits) {
		free(row);
		atomic_fetch_add(&l->dropped, 1);
	}
}

static void write_row(struct gw_buf *out, const struct row *r)
{
	static const struct gw_str text_names[] = {
#define X(name) { "\"" #name "\":", sizeof #name + 2 },
		GW_USAGE_TEXTS(X)
#undef X
	};
	static const struct gw_str int_names[] = {
#define X(name) { "\"" #name "\":", sizeof #name + 2 },
		GW_USAGE_INTS(X)
#undef X
	};
	size_t at = 0;

	/*
	 * Fifty members for each request: written by printf, and read again where nothing is said, they were a good part of
	 * what a request cost.  What is left out reads as empty and as 0; only the first release's texts must be there.
	 */
	gw_buf_add_byte(out, '{');
	for (size_t i = 0; i < TEXTS; i++) {
		if (r->len[i] == 0 && i > TEXT_error_code)
			continue;
		gw_buf_add(out, text_names[i]);
		gw_buf_add_json(out, (struct gw_str){ r->text + at, r->len[i] });
		gw_buf_add_byte(out, ',');
		at += r->len[i];
	}
	for (size_t i = 0; i < INTS; i++) {
		if (r->num[i] == (i == INT_connect_ms ? -1 : 0))
			continue;
		gw_buf_add(out, int_names[i]);
		gw_buf_add_int(out, r->num[i]);
		gw_buf_add_byte(out, ',');
	}
	gw_buf_add(out, GW_STR("\"end_reason\":\""));
	gw_buf_add_c(out, gw_end_name((enum gw_end_reason)r->end_reason));
	gw_buf_add(out, GW_STR("\",\"usage_source\":\""));
	gw_buf_add_c(out, gw_usage_source_name((enum gw_usage_source)r->usage_source));
	gw_buf_add(out, GW_STR("\"}"));
}

size_t dp_ledger_batch(struct dp_ledger *l, int64_t after_seq, size_t max, struct gw_buf *out, int64_t *last_seq)
{
	const struct row *r;
	size_t n = 0;

	/* Rows are only removed by dp_ledger_ack(), which the same sender calls: writing needs no lock. */
	pthread_mutex_lock(&l->lock);
	for (r = l->first; r && r->num[INT_seq] <= after_seq; r = r->next)
		;
	pthread_mutex_unlock(&l->lock);
	while (r && n < max && out->n < DP_LEDGER_BATCH_BYTES) {
		const struct row *next;

		if (n > 0)
			gw_buf_add_byte(out, ',');
		write_row(out, r);
		*last_seq = r->num[INT_seq];
		n++;
		pthread_mutex_lock(&l->lock);
		next = r->next;
		pthread_mutex_unlock(&l->lock);
		r = next;
	}
	return n;
}

void dp_ledger_ack(struct dp_ledger *l, int64_t seq)
{
	struct row *gone, **cut, *last;

	pthread_mutex_lock(&l->lock);
	gone = l->first;
	for (cut = &l->first; *cut && (*cut)->num[INT_seq] <= seq; cut = &(*cut)->next) {
		l->n--;
		l->bytes -= (*cut)->bytes;
	}
	last = *cut;
	*cut = NULL;
	if (cut == &l->first)
		gone = NULL;
	l->first = last;
	if (!last)
		l->end = &l->first;
	atomic_store_explicit(&l->shown_n, l->n, memory_order_relaxed);
	pthread_mutex_unlock(&l->lock);
	while (gone) {
		struct row *next = gone->next;

		free(gone);
		gone = next;
	}
}

size_t dp_ledger_queued(const struct dp_ledger *l)
{
	return atomic_load_explicit(&((struct dp_ledger *)(uintptr_t)l)->shown_n, memory_order_relaxed);
}

int64_t dp_ledger_dropped(const struct dp_ledger *l)
{
	return atomic_load_explicit(&((struct dp_ledger *)(uintptr_t)l)->dropped, memory_order_relaxed);
}
