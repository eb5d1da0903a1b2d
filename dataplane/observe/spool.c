/* spool.c - segments on disk. */
#include "observe/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"

#define CHUNK (DP_SPOOL_RECORD_MAX + DP_SPOOL_HEAD)
#define MAX_FILE (64u << 20)     /* a larger segment was not written by us */

struct segment {
	struct segment *next;
	unsigned n;
	size_t bytes;                /* of whole records */
	int64_t last;
};

struct boot {
	struct boot *next;
	char id[DP_SPOOL_BOOT];
	int64_t acked;
	struct segment *first, **end;
	/* where dp_spool_read() goes on */
	unsigned at_n;
	size_t at;
	int64_t at_seq;
};

struct dp_spool {
	char dir[3200];
	int lock_fd, fd, acked_fd;   /* fd: the newest segment of this process, -1: the next batch begins one */
	int full[DP_SPOOL_OPEN - 1]; /* segments that take no more and may not have reached the disk */
	size_t n_full;
	bool unreadable;             /* and it was said */
	unsigned newest;
	struct boot own, *earlier;
	_Atomic size_t bytes;
	_Atomic int64_t torn;
};

static void name_of(char out[4096], const struct dp_spool *s, const struct boot *b, const char *file)
{
	snprintf(out, 4096, "%s/%s%s%s", s->dir, b->id, file[0] ? "/" : "", file);
}

static void segment_name(char out[4096], const struct dp_spool *s, const struct boot *b, unsigned n)
{
	char file[32];

	snprintf(file, sizeof file, "%010u.log", n);
	name_of(out, s, b, file);
}

static struct segment *add_segment(struct boot *b, unsigned n)
{
	struct segment *g = gw_alloc(sizeof *g), **at = &b->first;

	g->n = n;
	while (*at && (*at)->n < n)
		at = &(*at)->next;
	g->next = *at;
	*at = g;
	if (!g->next)
		b->end = &g->next;
	return g;
}

static void remove_first(struct dp_spool *s, struct boot *b)
{
	struct segment *g = b->first;
	char path[4096];

	segment_name(path, s, b, g->n);
	if (b == &s->own && g->n == s->newest && s->fd >= 0) {
		close(s->fd);
		s->fd = -1;
	}
	if (unlink(path) != 0 && errno != ENOENT)
		gw_log(GW_LOG_WARN, "spool", gw_str_c(path), "cannot be removed", "%s", strerror(errno));
	atomic_fetch_sub(&s->bytes, g->bytes);
	b->first = g->next;
	if (!b->first)
		b->end = &b->first;
	free(g);
}

static void remove_folder(const struct dp_spool *s, const struct boot *b)
{
	char path[4096];

	name_of(path, s, b, "acked");
	unlink(path);
	name_of(path, s, b, "");
	rmdir(path);
}

/* ---- what earlier processes left ---- */

/* Walks over a segment and cuts off what is not whole.  false: it cannot be used. */
static bool take_stock(struct dp_spool *s, const struct boot *b, struct segment *g)
{
	struct gw_error err = { .text = "" };
	struct gw_str rest, row;
	struct gw_buf all;
	char path[4096];
	int64_t seq;
	bool ok;

	segment_name(path, s, b, g->n);
	gw_buf_init(&all, MAX_FILE);
	ok = gw_file_read(&all, path, &err) == GW_OK;
	if (!ok)
		gw_log(GW_LOG_ERROR, "spool", gw_str_c(path), "usage records cannot be read", "%s", err.text);
	rest = gw_buf_str(&all);
	while (dp_spool_next(&rest, &seq, &row))
		g->last = seq > g->last ? seq : g->last;
	g->bytes = all.n - rest.n;
	if (ok && rest.n > 0) {
		atomic_fetch_add(&s->torn, 1);
		gw_log(GW_LOG_WARN, "spool", gw_str_c(path), "a segment of usage records is cut at the first that is not whole",
		       "kept_bytes=%zu cut_bytes=%zu last_seq=%lld", g->bytes, rest.n, (long long)g->last);
		if (truncate(path, (off_t)g->bytes) != 0)
			gw_log(GW_LOG_WARN, "spool", gw_str_c(path), "cannot be cut", "%s", strerror(errno));
	}
	gw_buf_fini(&all);
	atomic_fetch_add(&s->bytes, g->bytes);
	return ok;
}

static int64_t read_acked(const struct dp_spool *s, const struct boot *b)
{
	struct gw_buf text;
	char path[4096];
	int64_t seq = 0;

	name_of(path, s, b, "acked");
	gw_buf_init(&text, 64);
	if (gw_file_read(&text, path, NULL) == GW_OK)
		(void)gw_str_int(gw_str_trim(gw_buf_str(&text)), 0, INT64_MAX, &seq);
	gw_buf_fini(&text);
	return seq;
}

static bool is_boot(const char *name)
{
	return strlen(name) == DP_SPOOL_BOOT - 1 && strspn(name, "0123456789abcdef") == DP_SPOOL_BOOT - 1;
}

static bool is_segment(const char *name, unsigned *n)
{
	int used = 0;

	return sscanf(name, "%10u.log%n", n, &used) == 1 && used > 0 && name[used] == '\0';
}

static void trim(struct dp_spool *s, struct boot *b)
{
	while (b->first && b->first->last <= b->acked) {
		/* The newest of this process goes on being written to while it is small: making files costs more than bytes. */
		if (b == &s->own && b->first->n == s->newest && s->fd >= 0 && b->first->bytes < DP_SPOOL_SPENT_BYTES)
			return;
		remove_first(s, b);
	}
}

static void find_boot(struct dp_spool *s, const char *id)
{
	struct boot *b = gw_alloc(sizeof *b), **at = &s->earlier;
	struct dirent *e;
	char path[4096];
	unsigned n;
	DIR *d;

	memcpy(b->id, id, DP_SPOOL_BOOT);
	b->end = &b->first;
	b->acked = read_acked(s, b);
	name_of(path, s, b, "");
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL)
		if (is_segment(e->d_name, &n))
			add_segment(b, n);
	if (d)
		closedir(d);
	for (struct segment **g = &b->first; *g;) {
		struct segment *bad = *g;

		if (take_stock(s, b, bad)) {
			g = &bad->next;
			continue;
		}
		*g = bad->next; /* it stays on the disk for whoever can mend it */
		free(bad);
	}
	trim(s, b);
	if (!b->first) {
		remove_folder(s, b);
		free(b);
		return;
	}
	gw_log(GW_LOG_INFO, "spool", gw_str_c(b->id), "usage records of an earlier process were found", "bytes=%zu", dp_spool_bytes(s));
	while (*at)
		at = &(*at)->next;
	*at = b;
}

static enum gw_rc find_earlier(struct dp_spool *s, struct gw_error *err)
{
	DIR *d = opendir(s->dir);
	struct dirent *e;

	if (!d)
		return gw_fail(err, GW_IO, NULL, "cannot read %s: %s", s->dir, strerror(errno));
	while ((e = readdir(d)) != NULL)
		if (is_boot(e->d_name) && strcmp(e->d_name, s->own.id) != 0)
			find_boot(s, e->d_name);
	closedir(d);
	return GW_OK;
}

/* ---- life ---- */

static enum gw_rc take_lock(struct dp_spool *s, struct gw_error *err)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/lock", s->dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return gw_fail(err, GW_IO, NULL, "cannot open %s: %s", path, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return gw_fail(err, GW_CONFLICT, NULL, "another worker uses %s; each needs a --state-dir of its own", s->dir);
	return GW_OK;
}

enum gw_rc dp_spool_open(struct dp_spool **out, const char *state_dir, const char *boot_id, struct gw_error *err)
{
	struct dp_spool *s = gw_alloc(sizeof *s);
	char path[4096];
	enum gw_rc rc;

	s->lock_fd = s->fd = s->acked_fd = -1;
	s->own.end = &s->own.first;
	snprintf(s->dir, sizeof s->dir, "%s/spool", state_dir);
	snprintf(s->own.id, sizeof s->own.id, "%s", boot_id);
	rc = gw_dir_make(s->dir, 0700, err);
	if (rc == GW_OK)
		rc = take_lock(s, err);
	if (rc == GW_OK)
		rc = find_earlier(s, err);
	name_of(path, s, &s->own, "");
	if (rc == GW_OK)
		rc = gw_dir_make(path, 0700, err);
	name_of(path, s, &s->own, "acked");
	if (rc == GW_OK && (s->acked_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0)
		rc = gw_fail(err, GW_IO, NULL, "cannot make %s: %s", path, strerror(errno));
	*out = s;
	if (rc != GW_OK)
		dp_spool_close(out);
	return rc;
}

static void free_segments(struct boot *b)
{
	while (b->first) {
		struct segment *g = b->first;

		b->first = g->next;
		free(g);
	}
}

void dp_spool_close(struct dp_spool **sp)
{
	struct dp_spool *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	while (s->n_full > 0)
		close(s->full[--s->n_full]);
	trim(s, &s->own);
	if (!s->own.first && s->acked_fd >= 0)
		remove_folder(s, &s->own);
	if (s->acked_fd >= 0)
		close(s->acked_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free_segments(&s->own);
	while (s->earlier) {
		struct boot *b = s->earlier;

		s->earlier = b->next;
		free_segments(b);
		free(b);
	}
	free(s);
}

/* ---- writing ---- */

static bool write_at(int fd, struct gw_str bytes, size_t at)
{
	while (bytes.n > 0) {
		ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = gw_str_from(bytes, (size_t)n);
		at += (size_t)n;
	}
	return true;
}

static enum gw_rc begin_segment(struct dp_spool *s, struct gw_error *err)
{
	char path[4096];

	segment_name(path, s, &s->own, s->newest + 1);
	s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return gw_fail(err, GW_IO, NULL, "cannot make %s: %s", path, strerror(errno));
	add_segment(&s->own, ++s->newest);
	return GW_OK;
}

/* It is full.  Whether it must reach the disk is decided in dp_spool_take_open()'s turn; that may be too late to wait for. */
static void set_aside(struct dp_spool *s)
{
	if (s->n_full == GW_COUNT(s->full)) {
		(void)fdatasync(s->full[0]);
		close(s->full[0]);
		memmove(s->full, s->full + 1, --s->n_full * sizeof *s->full);
	}
	s->full[s->n_full++] = s->fd;
	s->fd = -1;
}

enum gw_rc dp_spool_append(struct dp_spool *s, struct gw_str records, int64_t last, struct gw_error *err)
{
	enum gw_rc rc = s->fd < 0 ? begin_segment(s, err) : GW_OK;
	struct segment *g;

	if (rc != GW_OK)
		return rc;
	g = GW_CONTAINER(s->own.end, struct segment, next);
	if (!write_at(s->fd, records, g->bytes)) {
		rc = gw_fail(err, GW_IO, NULL, "cannot write to %s/%s: %s", s->dir, s->own.id, strerror(errno));
		if (ftruncate(s->fd, (off_t)g->bytes) != 0) { /* a torn end stays; nothing may follow it */
			close(s->fd);
			s->fd = -1;
		}
		return rc;
	}
	g->bytes += records.n;
	g->last = last;
	atomic_fetch_add(&s->bytes, records.n);
	if (g->bytes >= DP_SPOOL_SEGMENT_BYTES)
		set_aside(s);
	trim(s, &s->own);
	return GW_OK;
}

size_t dp_spool_take_open(struct dp_spool *s, int fd[DP_SPOOL_OPEN])
{
	size_t n = s->n_full;

	memcpy(fd, s->full, n * sizeof *fd);
	s->n_full = 0;
	if (s->fd >= 0 && (fd[n] = fcntl(s->fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		n++;
	return n;
}

/* ---- reading ---- */

static struct boot *boot_of(struct dp_spool *s, struct gw_str id)
{
	if (gw_str_is(id, s->own.id))
		return &s->own;
	for (struct boot *b = s->earlier; b; b = b->next)
		if (gw_str_is(id, b->id))
			return b;
	return NULL;
}

/*
 * As much of a segment as is there and fits, from where the reader stands.  false: another time, since the system has no
 * descriptor for us or the like; what is gone or cannot be read for good is less than that.
 */
static bool read_chunk(struct dp_spool *s, const struct boot *b, const struct segment *g, struct gw_buf *chunk)
{
	size_t n = g->bytes - b->at < CHUNK ? g->bytes - b->at : CHUNK;
	char path[4096], *to;
	ssize_t got = -1;
	int fd;

	segment_name(path, s, b, g->n);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	gw_buf_clear(chunk);
	if (fd < 0 && errno != ENOENT) {
		if (!s->unreadable)
			gw_log(GW_LOG_ERROR, "spool", gw_str_c(path), "cannot be read now", "%s", strerror(errno));
		s->unreadable = true;
		return false;
	}
	s->unreadable = false;
	to = gw_buf_reserve(chunk, n);
	if (fd >= 0 && to)
		got = pread(fd, to, n, (off_t)b->at);
	if (fd >= 0)
		close(fd);
	if (got > 0)
		gw_buf_commit(chunk, (size_t)got);
	return true;
}

/* To the segment of the record after `after`; forward within it when the reader stands there, else from its start. */
static void seek(struct boot *b, int64_t after)
{
	const struct segment *g = b->first, *last = NULL;

	if (b->at_seq == after)
		return;
	for (; g && g->last <= after; g = g->next)
		last = g;
	if (!g && last) { /* all of them were handed out already */
		b->at_n = last->n;
		b->at = last->bytes;
	} else if (!g || b->at_n != g->n || b->at_seq > after) {
		b->at_n = g ? g->n : 0;
		b->at = 0;
	}
	b->at_seq = after;
}

/* The segment in which the reader stands, or the next when that one is read or gone; NULL: there is no more. */
static struct segment *stand_in(struct boot *b)
{
	struct segment *g = b->first;

	while (g && (g->n < b->at_n || (g->n == b->at_n && b->at >= g->bytes)))
		g = g->next;
	if (g && g->n != b->at_n) {
		b->at_n = g->n;
		b->at = 0;
	}
	return g;
}

/* Records of one chunk to `out`; false: enough, or nothing more can be had from it. */
static bool hand_out(struct boot *b, struct gw_str rest, size_t *n, size_t max, size_t bytes, struct gw_buf *out)
{
	struct gw_str row, before = rest;
	bool moved = false;
	int64_t seq;

	while (*n < max && out->n < bytes && dp_spool_next(&rest, &seq, &row)) {
		struct gw_str record = { before.p, before.n - rest.n };

		b->at += record.n;
		before = rest;
		moved = true;
		if (seq <= b->at_seq)
			continue;
		gw_buf_add(out, record);
		b->at_seq = seq;
		(*n)++;
	}
	return moved;
}

size_t dp_spool_read(struct dp_spool *s, const char *boot_id, int64_t after_seq, size_t max, size_t bytes, struct gw_buf *out,
                     int64_t *last_seq)
{
	struct boot *b = boot_of(s, gw_str_c(boot_id));
	struct segment *g;
	struct gw_buf chunk;
	size_t n = 0;

	if (!b)
		return 0;
	gw_buf_init(&chunk, CHUNK);
	seek(b, after_seq > b->acked ? after_seq : b->acked);
	while (n < max && out->n < bytes && (g = stand_in(b)) != NULL) {
		if (!read_chunk(s, b, g, &chunk))
			break;
		if (hand_out(b, gw_buf_str(&chunk), &n, max, bytes, out))
			continue;
		/* It was whole when it was written, or when it was found. */
		gw_log(GW_LOG_ERROR, "spool", gw_str_c(b->id), "usage records are lost: the rest of a segment cannot be read",
		       "segment=%u offset=%zu bytes=%zu", g->n, b->at, g->bytes - b->at);
		atomic_fetch_add(&s->torn, 1);
		b->at = g->bytes;
	}
	gw_buf_fini(&chunk);
	if (n > 0)
		*last_seq = b->at_seq;
	return n;
}

/* ---- acknowledgement ---- */

bool dp_spool_ack(struct dp_spool *s, struct gw_str boot_id, int64_t seq)
{
	struct boot *b = boot_of(s, boot_id), **at;
	char text[32], path[4096];

	if (!b)
		return false;
	b->acked = seq > b->acked ? seq : b->acked;
	/* Always as long as before, so nothing has to be cut.  When it is lost, rows are sent again, and known. */
	snprintf(text, sizeof text, "%19lld\n", (long long)b->acked);
	if (b == &s->own) {
		(void)write_at(s->acked_fd, gw_str_c(text), 0);
	} else {
		int fd;

		name_of(path, s, b, "acked");
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd >= 0) {
			(void)write_at(fd, gw_str_c(text), 0);
			close(fd);
		}
	}
	trim(s, b);
	if (b->first || b == &s->own)
		return !b->first;
	for (at = &s->earlier; *at != b; at = &(*at)->next)
		;
	*at = b->next;
	remove_folder(s, b);
	free(b);
	return true;
}

bool dp_spool_read_out(struct dp_spool *s, const char *boot_id)
{
	struct boot *b = boot_of(s, gw_str_c(boot_id));

	return !b || !stand_in(b);
}

bool dp_spool_earlier(const struct dp_spool *s, char boot_id[DP_SPOOL_BOOT])
{
	if (s->earlier)
		memcpy(boot_id, s->earlier->id, DP_SPOOL_BOOT);
	return s->earlier != NULL;
}

void dp_spool_boots(const struct dp_spool *s, struct gw_buf *out)
{
	for (const struct boot *b = s->earlier; b; b = b->next)
		gw_buf_printf(out, ",\"%s\"", b->id);
}

size_t dp_spool_bytes(const struct dp_spool *s)
{
	return atomic_load_explicit(&((struct dp_spool *)(uintptr_t)s)->bytes, memory_order_relaxed);
}

int64_t dp_spool_torn(const struct dp_spool *s)
{
	return atomic_load_explicit(&((struct dp_spool *)(uintptr_t)s)->torn, memory_order_relaxed);
}
