/* Usage records on disk: what a process leaves, what the next one finds, and what damage costs. */
#include "observe/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "observe/ledger.h"
#include "unit.h"

#define BOOT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOOT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char dir[64];

static void make_dir(void)
{
	snprintf(dir, sizeof dir, "/tmp/tidegate-spool-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void drop_dir(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static struct dp_spool *open_as(const char *boot)
{
	struct gw_error err = { .text = "" };
	struct dp_spool *s;

	ck_assert_msg(dp_spool_open(&s, dir, boot, &err) == GW_OK, "%s", err.text);
	return s;
}

static void append(struct dp_spool *s, int64_t from, int64_t to, size_t filler)
{
	struct gw_error err = { .text = "" };
	char *text = gw_alloc(filler + 1);
	struct gw_buf b;

	memset(text, 'x', filler);
	gw_buf_init(&b, 16u << 20);
	for (int64_t i = from; i <= to; i++) {
		size_t at = dp_spool_begin(&b);

		gw_buf_printf(&b, "{\"seq\":%lld,\"t\":\"%s\"}", (long long)i, text);
		dp_spool_end(&b, at, i);
	}
	ck_assert_msg(dp_spool_append(s, gw_buf_str(&b), to, &err) == GW_OK, "%s", err.text);
	gw_buf_fini(&b);
	free(text);
}

/* Everything after `after`, by batches of `max`; checks that numbers follow each other.  The last one's number. */
static int64_t read_all(struct dp_spool *s, const char *boot, int64_t after, size_t max, size_t *count)
{
	struct gw_buf b;
	int64_t last = after;
	size_t n;

	gw_buf_init(&b, 8u << 20);
	*count = 0;
	while ((n = dp_spool_read(s, boot, last, max, 3u << 20, &b, &last)) > 0) {
		struct gw_str rest = gw_buf_str(&b), row;
		int64_t seq = 0;

		ck_assert(!b.full && n <= max);
		for (size_t i = 0; i < n; i++) {
			ck_assert(dp_spool_next(&rest, &seq, &row));
			ck_assert_int_eq(seq, last - (int64_t)(n - 1 - i));
		}
		ck_assert_uint_eq(rest.n, 0);
		*count += n;
		gw_buf_clear(&b);
	}
	gw_buf_fini(&b);
	return last;
}

static size_t files_of(const char *boot)
{
	char path[128];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/spool/%s", dir, boot);
	d = opendir(path);
	if (!d)
		return 0;
	while ((e = readdir(d)) != NULL)
		n += strstr(e->d_name, ".log") != NULL;
	closedir(d);
	return n;
}

START_TEST(what_one_process_leaves_the_next_one_finds)
{
	struct dp_spool *s;
	char boot[DP_SPOOL_BOOT];
	struct gw_buf boots;
	size_t n;

	make_dir();
	s = open_as(BOOT_A);
	append(s, 1, 10, 100);
	append(s, 11, 1000, 100);
	ck_assert_int_eq(read_all(s, BOOT_A, 0, 7, &n), 1000);
	ck_assert_uint_eq(n, 1000);
	ck_assert_int_eq(read_all(s, BOOT_A, 500, 500, &n), 1000); /* again, as after a break */
	ck_assert_uint_eq(n, 500);
	ck_assert(!dp_spool_ack(s, GW_STR(BOOT_A), 400));
	dp_spool_close(&s);

	s = open_as(BOOT_B);
	append(s, 1, 3, 100);
	ck_assert(dp_spool_earlier(s, boot));
	ck_assert_str_eq(boot, BOOT_A);
	gw_buf_init(&boots, 256);
	dp_spool_boots(s, &boots);
	ck_assert(gw_str_is(gw_buf_str(&boots), ",\"" BOOT_A "\""));
	gw_buf_fini(&boots);
	ck_assert_int_eq(read_all(s, BOOT_A, 0, 50, &n), 1000);
	ck_assert_uint_eq(n, 600); /* what was acknowledged does not come again */
	ck_assert_int_eq(read_all(s, BOOT_B, 0, 50, &n), 3);
	ck_assert(!dp_spool_ack(s, GW_STR(BOOT_A), 999));
	ck_assert(dp_spool_ack(s, GW_STR(BOOT_A), 1000));
	ck_assert(!dp_spool_earlier(s, boot));
	ck_assert(!dp_spool_ack(s, GW_STR(BOOT_A), 1000)); /* it is forgotten */
	ck_assert_uint_eq(files_of(BOOT_A), 0);
	dp_spool_ack(s, GW_STR(BOOT_B), 3);
	dp_spool_close(&s);
	s = open_as(BOOT_A);
	ck_assert(!dp_spool_earlier(s, boot));
	ck_assert_uint_eq(dp_spool_bytes(s), 0);
	dp_spool_close(&s);
	drop_dir();
}
END_TEST

START_TEST(segments_go_when_they_are_acknowledged)
{
	struct dp_spool *s;
	int fd[DP_SPOOL_OPEN];
	size_t n, open;

	make_dir();
	s = open_as(BOOT_A);
	for (int64_t i = 0; i < 50; i++)
		append(s, i * 100 + 1, i * 100 + 100, 4000); /* 20 MB, in segments of 4 MiB and more */
	n = files_of(BOOT_A);
	ck_assert_uint_ge(n, 4);
	ck_assert_uint_gt(dp_spool_bytes(s), 20000000);
	open = dp_spool_take_open(s, fd);
	ck_assert_uint_ge(open, 4);
	for (size_t i = 0; i < open; i++)
		ck_assert_int_eq(close(fd[i]), 0);
	ck_assert_int_eq(read_all(s, BOOT_A, 0, 500, &n), 5000);
	ck_assert_uint_eq(n, 5000);
	dp_spool_ack(s, GW_STR(BOOT_A), 2600);
	ck_assert_uint_le(files_of(BOOT_A), 3);
	ck_assert_int_eq(read_all(s, BOOT_A, 2600, 500, &n), 5000);
	ck_assert_uint_eq(n, 2400);
	dp_spool_ack(s, GW_STR(BOOT_A), 5000);
	ck_assert_uint_eq(files_of(BOOT_A), 0);
	ck_assert_uint_eq(dp_spool_bytes(s), 0);
	append(s, 5001, 5002, 10);
	ck_assert_int_eq(read_all(s, BOOT_A, 5000, 500, &n), 5002);
	ck_assert_uint_eq(n, 2);
	dp_spool_ack(s, GW_STR(BOOT_A), 5002); /* small: goes on being written to */
	append(s, 5003, 5003, 10);
	ck_assert_uint_eq(files_of(BOOT_A), 1);
	ck_assert_int_eq(read_all(s, BOOT_A, 5002, 500, &n), 5003);
	dp_spool_close(&s);
	drop_dir();
}
END_TEST

/* The one segment of BOOT_A holds ten records; change it, and count what the next process reads. */
static size_t left_after(void (*damage)(const char *path, off_t size))
{
	struct dp_spool *s = open_as(BOOT_A);
	struct stat st;
	char path[160];
	size_t n;

	append(s, 1, 10, 100);
	dp_spool_close(&s);
	snprintf(path, sizeof path, "%s/spool/" BOOT_A "/0000000001.log", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	damage(path, st.st_size);
	s = open_as(BOOT_B);
	ck_assert_int_eq(dp_spool_torn(s), 1);
	read_all(s, BOOT_A, 0, 500, &n);
	dp_spool_ack(s, GW_STR(BOOT_A), 10);
	dp_spool_close(&s);
	ck_assert_uint_eq(files_of(BOOT_A), 0);
	return n;
}

static void cut_tail(const char *path, off_t size)
{
	ck_assert_int_eq(truncate(path, size - 3), 0);
}

static void add_zeros(const char *path, off_t size)
{
	ck_assert_int_eq(truncate(path, size + 4096), 0);
}

static void flip_in_fifth(const char *path, off_t size)
{
	int fd = open(path, O_RDWR);
	off_t at = size / 10 * 4 + 40;
	char c;

	ck_assert_int_eq(pread(fd, &c, 1, at), 1);
	c ^= 0x10;
	ck_assert_int_eq(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

START_TEST(damage_costs_what_follows_it)
{
	make_dir();
	ck_assert_uint_eq(left_after(cut_tail), 9);
	ck_assert_uint_eq(left_after(add_zeros), 10);
	ck_assert_uint_eq(left_after(flip_in_fifth), 4);
	drop_dir();
}
END_TEST

START_TEST(a_directory_has_one_worker)
{
	struct gw_error err = { .text = "" };
	struct dp_spool *s, *other;

	make_dir();
	s = open_as(BOOT_A);
	ck_assert_int_eq(dp_spool_open(&other, dir, BOOT_B, &err), GW_CONFLICT);
	ck_assert_ptr_null(other);
	ck_assert_ptr_nonnull(strstr(err.text, "another worker uses"));
	dp_spool_close(&s);
	s = open_as(BOOT_B);
	dp_spool_close(&s);
	drop_dir();
}
END_TEST

START_TEST(a_directory_that_cannot_be_is_said)
{
	struct gw_error err = { .text = "" };
	struct dp_ledger *l = dp_ledger_open();
	struct dp_spool *s;
	char path[128];

	make_dir();
	snprintf(path, sizeof path, "%s/spool", dir);
	ck_assert_int_eq(gw_file_replace(path, GW_STR("a file"), 0600, &err), GW_OK);
	ck_assert_int_ne(dp_spool_open(&s, dir, BOOT_A, &err), GW_OK);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_ne(dp_ledger_spool(l, dir, BOOT_A, 1 << 20, &err), GW_OK);
	ck_assert_uint_eq(dp_ledger_spooled(l), 0);
	dp_ledger_close(&l);
	drop_dir();
}
END_TEST

/* ---- the ledger above it ---- */

static struct gw_usage_record record(const char *id)
{
	return (struct gw_usage_record){ .request_id = gw_str_c(id), .consumer = GW_STR("app"), .status = 200, .attempts = 1, .prompt_tokens = 7,
		.connect_ms = -1, .end_reason = GW_END_COMPLETE, .usage_source = GW_USAGE_PROVIDER };
}

static struct dp_ledger *ledger_as(const char *boot, int64_t ceiling)
{
	struct gw_error err = { .text = "" };
	struct dp_ledger *l = dp_ledger_open();

	ck_assert_msg(dp_ledger_spool(l, dir, boot, ceiling, &err) == GW_OK, "%s", err.text);
	return l;
}

/* Records after *last until `want` of them came; each is read as the control plane reads it. */
static void take(struct dp_ledger *l, const char *earlier, int64_t *last, size_t want)
{
	struct gw_buf b;
	size_t n = 0;

	gw_buf_init(&b, 8u << 20);
	while (n < want) {
		struct gw_usage_rows *rows;
		int64_t before = *last;
		size_t got;

		gw_buf_clear(&b);
		got = earlier ? dp_ledger_earlier_batch(l, earlier, *last, 100, &b, last) : dp_ledger_batch(l, *last, 100, &b, last);
		rows = gw_usage_rows_read(GW_STR("b"), gw_buf_str(&b), NULL);
		ck_assert(rows != NULL && rows->n == got && rows->unread == 0);
		for (size_t i = 0; i < got; i++)
			ck_assert_int_eq(rows->v[i].seq, before + 1 + (int64_t)i); /* wherever it stood: no gap, none twice */
		gw_usage_rows_free(&rows);
		n += got;
	}
	ck_assert_uint_eq(n, want);
	gw_buf_fini(&b);
}

START_TEST(records_pass_through_the_disk_in_order)
{
	struct gw_usage_record r = record("r");
	struct dp_ledger *l;
	int64_t last = 0;
	char boot[DP_LEDGER_BOOT];

	make_dir();
	l = ledger_as(BOOT_A, 64 << 20);
	for (int round = 0; round < 50; round++) { /* some are taken from the memory, some from the disk */
		for (int i = 0; i < 100; i++)
			dp_ledger_add(l, &r);
		take(l, NULL, &last, 100);
	}
	ck_assert_int_eq(last, 5000);
	ck_assert_uint_eq(dp_ledger_queued(l), 5000);
	last = 0;
	take(l, NULL, &last, 5000);
	dp_ledger_ack(l, 4990);
	ck_assert_uint_eq(dp_ledger_queued(l), 10);
	dp_ledger_close(&l); /* all is on the disk now */

	l = ledger_as(BOOT_B, 64 << 20);
	ck_assert(dp_ledger_earlier(l, boot));
	last = 4990;
	take(l, boot, &last, 10);
	ck_assert(dp_ledger_earlier_ack(l, gw_str_c(boot), last));
	ck_assert(!dp_ledger_earlier(l, boot));
	dp_ledger_close(&l);
	drop_dir();
}
END_TEST

START_TEST(beyond_the_ceiling_records_are_lost_and_counted)
{
	struct gw_usage_record r = record("r"), refused = record("x");
	struct dp_ledger *l;
	int64_t last = 0, kept;

	make_dir();
	refused.attempts = 0;
	l = ledger_as(BOOT_A, 1 << 20);
	for (int i = 0; i < 20000; i++)
		dp_ledger_add(l, &refused);
	kept = (int64_t)dp_ledger_queued(l);
	ck_assert_int_eq(kept + dp_ledger_dropped(l), 20000);
	ck_assert_int_gt(dp_ledger_dropped(l), 0);
	for (int i = 0; i < 100; i++)
		dp_ledger_add(l, &r); /* the other half of the room is theirs */
	ck_assert_int_eq((int64_t)dp_ledger_queued(l), kept + 100);
	for (int i = 0; i < 20000; i++)
		dp_ledger_add(l, &r);
	kept = (int64_t)dp_ledger_queued(l);
	ck_assert_int_eq(kept + dp_ledger_dropped(l), 40100);
	take(l, NULL, &last, (size_t)kept); /* what was lost left no hole in the numbers */
	dp_ledger_ack(l, last);
	ck_assert_uint_eq(dp_ledger_queued(l), 0);
	while (dp_ledger_spooled(l) > 256 << 10) /* the spooler may still be about it */
		usleep(1000);
	dp_ledger_add(l, &r);
	ck_assert_uint_eq(dp_ledger_queued(l), 1);
	dp_ledger_close(&l);
	drop_dir();
}
END_TEST

UNIT_MAIN("spool", what_one_process_leaves_the_next_one_finds, segments_go_when_they_are_acknowledged, damage_costs_what_follows_it,
          a_directory_has_one_worker, a_directory_that_cannot_be_is_said, records_pass_through_the_disk_in_order,
          beyond_the_ceiling_records_are_lost_and_counted)
