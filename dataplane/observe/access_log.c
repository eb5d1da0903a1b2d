/* access_log.c - rings, and the thread that empties them. */
#include "observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/thread.h"
#include "base/time.h"

#define RING_MASK     (DP_ACCESS_RING_BYTES - 1)
#define BATCH_BYTES   (256u << 10)
#define GATHER_MS     5        /* lines of so long go out together */
#define AGAIN_MS      1000     /* a target that could not be opened is tried again after it */
#define LAST_WORDS_MS 2000
#define SYSLOG_HEAD   "<134>"  /* local0, informational */

struct dp_access_ring {
	_Atomic uint64_t head;         /* bytes ever written; the loop's */
	_Atomic uint64_t dropped;
	char *bytes;                   /* made at the first line */
	struct dp_access_log *log;
	_Alignas(64) _Atomic uint64_t tail;  /* bytes ever taken; the writer's */
};

struct dp_access_log {
	unsigned magic;
#define DP_ACCESS_MAGIC 0xacce5510u
	struct dp_access_log_setup s;
	struct dp_access_ring *rings;
	pthread_t thread;
	sem_t wake;
	_Atomic bool asleep, stop, reopen;
	_Atomic uint64_t written, dropped;
	pthread_mutex_t lock;          /* guards `next` and `next_path` */
	enum gw_access_target next;
	char next_path[160];

	/* the writer's alone */
	enum gw_access_target target;
	char path[160];
	int fd;                        /* -1: none */
	bool own_fd, opened;           /* opened: it has been tried */
	bool torn;                     /* the last write that worked ended inside a line */
	int64_t again_ms;
	char batch[BATCH_BYTES];
	size_t n, at;                  /* of the batch: bytes, and how many are out */
	char why[160];                 /* the last failure that was told; "": all is well */
};

/* ---- the loops ---- */

static void wake(struct dp_access_log *l)
{
	if (atomic_load_explicit(&l->asleep, memory_order_relaxed) && atomic_exchange(&l->asleep, false))
		sem_post(&l->wake);
}

void dp_access_log_add(struct dp_access_ring *r, uint64_t mask, const struct gw_usage_record *u, const struct dp_access_facts *f)
{
	char line[DP_ACCESS_LINE_MAX];
	size_t n = dp_access_format(line, mask, u, f), at, first;
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (!r->bytes)
		r->bytes = gw_alloc(DP_ACCESS_RING_BYTES);
	if (head + n - atomic_load_explicit(&r->tail, memory_order_acquire) > DP_ACCESS_RING_BYTES) {
		atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
		wake(r->log);
		return;
	}
	at = head & RING_MASK;
	first = DP_ACCESS_RING_BYTES - at < n ? DP_ACCESS_RING_BYTES - at : n;
	memcpy(r->bytes + at, line, first);
	memcpy(r->bytes, line + first, n - first);
	atomic_store(&r->head, head + n); /* ordered before the look at `asleep` */
	wake(r->log);
}

/* ---- the writer: targets ---- */

static void tell(struct dp_access_log *l, const char *why)
{
	const char *name = l->target == GW_ACCESS_FILE ? l->path : l->target == GW_ACCESS_SYSLOG ? "syslog" : "stdout";

	if (strcmp(l->why, why) == 0)
		return;
	snprintf(l->why, sizeof l->why, "%s", why);
	if (why[0])
		gw_log(GW_LOG_ERROR, "access_log", gw_str_c(name), "lines are lost", "%s", why);
	else
		gw_log(GW_LOG_INFO, "access_log", gw_str_c(name), "written again", NULL);
}

static void close_target(struct dp_access_log *l)
{
	if (l->own_fd && l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->own_fd = false;
}

/* A pipe is opened a second time, since O_NONBLOCK on fd 1 itself is shared with whoever gave it to us. */
static void open_stdout(struct dp_access_log *l)
{
	struct stat st;

	l->fd = STDOUT_FILENO;
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode)) {
		int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		l->own_fd = fd >= 0;
		l->fd = fd >= 0 ? fd : STDOUT_FILENO;
	}
}

static void open_file(struct dp_access_log *l)
{
	char path[4400], why[160];
	struct stat st;

	if (!l->s.dir) {
		tell(l, "this worker has no log directory: start it with --log-dir");
		return;
	}
	if (mkdir(l->s.dir, 0750) != 0 && errno != EEXIST) {
		snprintf(why, sizeof why, "the log directory cannot be made: %s", strerror(errno));
		tell(l, why);
		return;
	}
	snprintf(path, sizeof path, "%.4096s/%s", l->s.dir, l->path);
	l->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (l->fd < 0) {
		snprintf(why, sizeof why, "the file cannot be opened: %s", strerror(errno));
		tell(l, why);
		return;
	}
	l->own_fd = true;
	if (fstat(l->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close_target(l);
		tell(l, "it is not a regular file");
	}
}

static void open_syslog(struct dp_access_log *l)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char why[160];

	snprintf(at.sun_path, sizeof at.sun_path, "%s", l->s.syslog_socket);
	l->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	l->own_fd = true;
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&at, sizeof at) != 0) {
		snprintf(why, sizeof why, "syslog at %.80s cannot be reached: %s", at.sun_path, strerror(errno));
		close_target(l);
		tell(l, why);
	}
}

static void open_target(struct dp_access_log *l)
{
	static void (*const openers[])(struct dp_access_log *l) = {
		[GW_ACCESS_STDOUT] = open_stdout, [GW_ACCESS_FILE] = open_file, [GW_ACCESS_SYSLOG] = open_syslog,
	};

	close_target(l);
	l->torn = false;
	openers[l->target](l);
	l->again_ms = l->fd < 0 ? gw_mono_ms() + AGAIN_MS : 0;
}

/* Half a line went to the old target: the other half does not begin the new one. */
static void cut_line(struct dp_access_log *l)
{
	if (l->at == 0 || l->at == l->n || l->batch[l->at - 1] == '\n')
		return;
	l->at = (size_t)((char *)memchr(l->batch + l->at, '\n', l->n - l->at) + 1 - l->batch);
	atomic_fetch_add(&l->dropped, 1);
}

static void adopt_settings(struct dp_access_log *l)
{
	bool changed;

	pthread_mutex_lock(&l->lock);
	changed = !l->opened || l->target != l->next || strcmp(l->path, l->next_path) != 0;
	l->target = l->next;
	snprintf(l->path, sizeof l->path, "%s", l->next_path);
	pthread_mutex_unlock(&l->lock);
	if (atomic_exchange(&l->reopen, false) && l->target == GW_ACCESS_FILE)
		changed = true;
	if (changed)
		cut_line(l);
	if (changed || (l->fd < 0 && gw_mono_ms() >= l->again_ms))
		open_target(l);
	l->opened = true;
}

/* ---- the writer: bytes ---- */

static size_t lines_in(const char *p, size_t n)
{
	size_t lines = 0;

	for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		lines++;
	return lines;
}

static void lose(struct dp_access_log *l, const char *why)
{
	atomic_fetch_add(&l->dropped, lines_in(l->batch + l->at, l->n - l->at));
	l->torn = l->at > 0 && l->batch[l->at - 1] != '\n';
	l->n = l->at = 0;
	tell(l, why);
}

/* Whole lines of one ring to the end of the batch, as many as fit. */
static void take(struct dp_access_log *l, struct dp_access_ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), head = atomic_load(&r->head);
	size_t have = (size_t)(head - tail), room = sizeof l->batch - l->n, at = tail & RING_MASK, first;

	if (have > room)
		have = room;
	if (!have)
		return;
	first = DP_ACCESS_RING_BYTES - at < have ? DP_ACCESS_RING_BYTES - at : have;
	memcpy(l->batch + l->n, r->bytes + at, first);
	memcpy(l->batch + l->n + first, r->bytes, have - first);
	while (have && l->batch[l->n + have - 1] != '\n')
		have--;
	l->n += have;
	atomic_store_explicit(&r->tail, tail + have, memory_order_release);
}

static bool fill(struct dp_access_log *l)
{
	if (l->n == 0)
		for (size_t i = 0; i < l->s.loops; i++)
			take(l, &l->rings[i]);
	return l->n > 0;
}

/* One datagram a line; those that the socket does not take at once are lost. */
static void send_lines(struct dp_access_log *l)
{
	char head[96], stamp[20];
	time_t now = time(NULL);
	struct tm tm;
	size_t done = 0;

	localtime_r(&now, &tm);
	strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
	snprintf(head, sizeof head, SYSLOG_HEAD "%s tidegate-worker[%d]: ", stamp, (int)getpid());
	while (l->at < l->n) {
		char *line = l->batch + l->at, *end = memchr(line, '\n', l->n - l->at);
		struct iovec v[2] = { { head, strlen(head) }, { line, (size_t)(end - line) } };
		struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

		if (sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			done++;
		else if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE)
			atomic_fetch_add(&l->dropped, 1);
		else {
			close_target(l);
			l->again_ms = gw_mono_ms() + AGAIN_MS;
			atomic_fetch_add(&l->written, done);
			lose(l, strerror(errno));
			return;
		}
		l->at = (size_t)(end + 1 - l->batch);
	}
	atomic_fetch_add(&l->written, done);
	l->n = l->at = 0;
	tell(l, "");
}

/* false: the target does not take more now; the rest stays. */
static bool write_bytes(struct dp_access_log *l)
{
	while (l->at < l->n) {
		struct pollfd p = { .fd = l->fd, .events = POLLOUT };
		ssize_t done;

		if (l->target == GW_ACCESS_STDOUT && poll(&p, 1, 100) == 0)
			return false;
		if (l->torn && write(l->fd, "\n", 1) == 1)
			l->torn = false;
		done = write(l->fd, l->batch + l->at, l->n - l->at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN)
			return false;
		if (done <= 0) {
			lose(l, done < 0 ? strerror(errno) : "nothing could be written");
			return true;
		}
		atomic_fetch_add(&l->written, lines_in(l->batch + l->at, (size_t)done));
		l->at += (size_t)done;
	}
	l->n = l->at = 0;
	tell(l, "");
	return true;
}

static bool drain(struct dp_access_log *l)
{
	if (l->fd < 0)
		lose(l, l->why[0] ? l->why : "no target");
	else if (l->target == GW_ACCESS_SYSLOG)
		send_lines(l);
	else
		return write_bytes(l);
	return true;
}

/* ---- the writer: its life ---- */

static bool something(struct dp_access_log *l)
{
	for (size_t i = 0; i < l->s.loops; i++)
		if (atomic_load(&l->rings[i].head) != atomic_load_explicit(&l->rings[i].tail, memory_order_relaxed))
			return true;
	return l->n > 0 || atomic_load(&l->reopen) || atomic_load(&l->stop);
}

static void rest(struct dp_access_log *l)
{
	const struct timespec gather = { 0, GATHER_MS * 1000000L };

	atomic_store(&l->asleep, true);
	if (!something(l))
		while (sem_wait(&l->wake) != 0 && errno == EINTR)
			;
	atomic_store(&l->asleep, false);
	if (!atomic_load(&l->stop))
		nanosleep(&gather, NULL);
}

static void *run(void *arg)
{
	struct dp_access_log *l = arg;
	int64_t give_up = 0;

	gw_thread_behind("access-log");
	for (;;) {
		bool stop = atomic_load(&l->stop), free_again = true;

		if (stop && !give_up)
			give_up = gw_mono_ms() + LAST_WORDS_MS;
		adopt_settings(l);
		while (free_again && fill(l) && (!stop || gw_mono_ms() < give_up))
			free_again = drain(l);
		if (stop && (l->n == 0 || gw_mono_ms() >= give_up))
			break;
		if (free_again)
			rest(l);
	}
	if (l->n > 0)
		lose(l, "the worker ended before they could be written");
	close_target(l);
	return NULL;
}

struct dp_access_log *dp_access_log_open(const struct dp_access_log_setup *s)
{
	struct dp_access_log *l = gw_alloc(sizeof *l);

	l->magic = DP_ACCESS_MAGIC;
	l->s = *s;
	l->fd = -1;
	l->rings = gw_alloc(s->loops * sizeof *l->rings);
	for (size_t i = 0; i < s->loops; i++)
		l->rings[i].log = l;
	pthread_mutex_init(&l->lock, NULL);
	snprintf(l->next_path, sizeof l->next_path, "access.log");
	sem_init(&l->wake, 0, 0);
	if (pthread_create(&l->thread, NULL, run, l) != 0)
		abort();
	return l;
}

void dp_access_log_close(struct dp_access_log **lp)
{
	struct dp_access_log *l = *lp;

	if (!l)
		return;
	GW_CHECK(l, DP_ACCESS_MAGIC);
	*lp = NULL;
	atomic_store(&l->stop, true);
	sem_post(&l->wake);
	pthread_join(l->thread, NULL);
	for (size_t i = 0; i < l->s.loops; i++)
		free(l->rings[i].bytes);
	free(l->rings);
	sem_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	l->magic = 0;
	free(l);
}

struct dp_access_ring *dp_access_log_ring(struct dp_access_log *l, size_t loop)
{
	assert(loop < l->s.loops);
	return &l->rings[loop];
}

void dp_access_log_apply(struct dp_access_log *l, const struct gw_dp_settings *st)
{
	pthread_mutex_lock(&l->lock);
	l->next = (enum gw_access_target)st->access_log_target;
	snprintf(l->next_path, sizeof l->next_path, "%.*s", GW_FMT(st->access_log_path));
	pthread_mutex_unlock(&l->lock);
}

void dp_access_log_reopen(struct dp_access_log *l)
{
	atomic_store(&l->reopen, true);
	if (atomic_exchange(&l->asleep, false))
		sem_post(&l->wake);
}

uint64_t dp_access_log_written(const struct dp_access_log *l)
{
	return atomic_load(&((struct dp_access_log *)(uintptr_t)l)->written);
}

uint64_t dp_access_log_dropped(const struct dp_access_log *l)
{
	struct dp_access_log *m = (struct dp_access_log *)(uintptr_t)l;
	uint64_t n = atomic_load(&m->dropped);

	for (size_t i = 0; i < m->s.loops; i++)
		n += atomic_load_explicit(&m->rings[i].dropped, memory_order_relaxed);
	return n;
}
