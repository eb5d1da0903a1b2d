/* The access log: what a line may hold, where lines go, and that nothing ever waits for the target. */
#include "observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/time.h"
#include "unit.h"

static const uint64_t all = (1ull << GW_ACCESS_COUNT) - 1;

static struct gw_usage_record record(void)
{
	return (struct gw_usage_record){
		.request_id = GW_STR("req_1"), .consumer = GW_STR("app"), .key_id = GW_STR("k1"), .route = GW_STR("r"), .provider = GW_STR("p"),
		.requested_model = GW_STR("gpt-5"), .served_model = GW_STR("gpt-5-mini"), .operation = GW_STR("chat.completions"),
		.client_ip = GW_STR("203.0.113.9"), .started_at_ms = 1764324000123, .status = 200, .attempts = 1, .stream = 1, .prompt_tokens = 7,
		.completion_tokens = 1234567, .queue_ms = -1, .first_byte_ms = 3, .first_token_ms = 4, .total_ms = 5, .request_bytes = 100,
		.response_bytes = INT64_MAX, .end_reason = GW_END_COMPLETE, .usage_source = GW_USAGE_PROVIDER,
	};
}

static json_t *line(uint64_t mask, const struct gw_usage_record *r, const struct dp_access_facts *f, size_t *n)
{
	char out[DP_ACCESS_LINE_MAX];
	json_t *v = NULL;

	*n = dp_access_format(out, mask, r, f);
	ck_assert_int_eq(out[*n - 1], '\n');
	ck_assert_ptr_null(memchr(out, '\n', *n - 1));
	for (size_t i = 0; i + 1 < *n; i++)
		ck_assert_uint_ge((unsigned char)out[i], 0x20);
	ck_assert(gw_utf8_valid((struct gw_str){ out, *n }));
	ck_assert_int_eq(gw_json_parse(&v, (struct gw_str){ out, *n }, sizeof out, NULL), GW_OK);
	return v;
}

START_TEST(a_line)
{
	struct gw_usage_record r = record();
	struct dp_access_facts f = { .method = GW_STR("POST"), .path = GW_STR("/v1/chat/completions"), .user_agent = GW_STR("curl/8"), .step = GW_STR("relay") };
	size_t n;
	json_t *v = line(all, &r, &f, &n);

	ck_assert_uint_eq(json_object_size(v), GW_ACCESS_COUNT);
	ck_assert_str_eq(json_string_value(json_object_get(v, "time")), "2025-11-28T10:00:00.123Z");
	ck_assert_str_eq(json_string_value(json_object_get(v, "user_agent")), "curl/8");
	ck_assert_str_eq(json_string_value(json_object_get(v, "end_reason")), "complete");
	ck_assert(json_is_true(json_object_get(v, "stream")));
	ck_assert_int_eq(json_integer_value(json_object_get(v, "queue_ms")), -1);
	ck_assert_int_eq(json_integer_value(json_object_get(v, "completion_tokens")), 1234567);
	ck_assert_int_eq(json_integer_value(json_object_get(v, "response_bytes")), INT64_MAX);
	json_decref(v);
	v = line(1ull << GW_ACCESS_STATUS | 1ull << GW_ACCESS_ROUTE, &r, &f, &n);
	ck_assert_uint_eq(json_object_size(v), 2);
	json_decref(v);
}
END_TEST

/* Control bytes, quotes, broken UTF-8, overlong values: the line stays one object, and the other fields stay in it. */
/* T18 */
START_TEST(hostile_texts)
{
	char every[256], controls[5000], accents[700];
	struct gw_usage_record r = record();
	struct dp_access_facts f;
	size_t n;
	json_t *v;

	for (size_t i = 0; i < sizeof every; i++)
		every[i] = (char)(255 - i);
	memset(controls, '\n', sizeof controls);
	for (size_t i = 0; i < sizeof accents; i += 2)
		memcpy(accents + i, "\xc3\xa9", 2);
	r.requested_model = (struct gw_str){ controls, sizeof controls };
	r.request_id = r.consumer = r.route = r.provider = r.served_model = r.client_ip = r.key_id = r.error_code = r.operation = r.trace_id =
	    r.requested_model;
	f = (struct dp_access_facts){ { controls, 9 }, { every, sizeof every }, { accents, sizeof accents }, { controls, sizeof controls } };
	v = line(all, &r, &f, &n);
	ck_assert_uint_eq(json_object_size(v), GW_ACCESS_COUNT);
	ck_assert_int_eq(json_integer_value(json_object_get(v, "status")), 200);
	ck_assert_int_eq(json_integer_value(json_object_get(v, "total_ms")), 5);
	json_decref(v);
	r = record();
	f.user_agent = GW_STR("x\",\"status\":500,\"y\":\"\x1b[31m\xc2\x9b");
	v = line(all, &r, &f, &n);
	ck_assert_int_eq(json_integer_value(json_object_get(v, "status")), 200);
	ck_assert_uint_eq(json_object_size(v), GW_ACCESS_COUNT);
	json_decref(v);
}
END_TEST

static char dir[64];

static void settings(struct dp_access_log *l, enum gw_access_target target, const char *path)
{
	struct gw_dp_settings st = { .access_log_target = target, .access_log_path = gw_str_c(path) };

	dp_access_log_apply(l, &st);
}

static void wait_for(bool (*done)(void *arg), void *arg)
{
	for (int i = 0; i < 1000 && !done(arg); i++)
		usleep(10000);
	ck_assert(done(arg));
}

struct count { struct dp_access_log *l; uint64_t written, dropped; };

static bool reached(void *arg)
{
	struct count *c = arg;

	return dp_access_log_written(c->l) >= c->written && dp_access_log_dropped(c->l) >= c->dropped;
}

static size_t lines_of(const char *name)
{
	char path[160];
	struct gw_buf b;
	size_t n = 0;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	gw_buf_init(&b, 64u << 20);
	if (gw_file_read(&b, path, NULL) == GW_OK)
		for (size_t i = 0; i < b.n; i++)
			n += b.p[i] == '\n';
	gw_buf_fini(&b);
	return n;
}

static struct dp_access_log *open_log(size_t loops, const char *socket)
{
	snprintf(dir, sizeof dir, "/tmp/tg-access-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	return dp_access_log_open(&(struct dp_access_log_setup){ .loops = loops, .dir = dir, .syslog_socket = socket });
}

static void add(struct dp_access_log *l, size_t loop, int n)
{
	struct gw_usage_record r = record();
	struct dp_access_facts f = { .method = GW_STR("POST"), .path = GW_STR("/v1/chat/completions") };

	for (int i = 0; i < n; i++)
		dp_access_log_add(dp_access_log_ring(l, loop), all, &r, &f);
}

static void remove_dir(const char *a, const char *b)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s", dir, a);
	unlink(path);
	snprintf(path, sizeof path, "%s/%s", dir, b);
	unlink(path);
	rmdir(dir);
}

START_TEST(a_file_and_its_rotation)
{
	struct dp_access_log *l = open_log(2, "/nowhere");
	char from[160], to[160];
	struct count c = { l, 1500, 0 };
	struct stat st;

	settings(l, GW_ACCESS_FILE, "a.log");
	add(l, 0, 1000);
	add(l, 1, 500);
	wait_for(reached, &c);
	snprintf(from, sizeof from, "%s/a.log", dir);
	snprintf(to, sizeof to, "%s/a.log.1", dir);
	ck_assert_int_eq(stat(from, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(rename(from, to), 0);
	dp_access_log_reopen(l);
	for (int i = 0; i < 1000 && stat(from, &st) != 0; i++)
		usleep(10000);
	add(l, 1, 10);
	c.written += 10;
	wait_for(reached, &c);
	ck_assert_uint_eq(lines_of("a.log.1"), 1500);
	ck_assert_uint_eq(lines_of("a.log"), 10);
	ck_assert_uint_eq(dp_access_log_dropped(l), 0);
	add(l, 0, 5);
	dp_access_log_close(&l); /* writes what is queued */
	ck_assert_uint_eq(lines_of("a.log"), 15);
	remove_dir("a.log", "a.log.1");
}
END_TEST

START_TEST(a_target_that_fails)
{
	struct dp_access_log *l = open_log(1, "/nowhere/at/all");
	char link[160];
	struct count c = { l, 0, 10 };

	settings(l, GW_ACCESS_SYSLOG, "a.log");
	add(l, 0, 10);
	wait_for(reached, &c);
	snprintf(link, sizeof link, "%s/evil", dir);
	ck_assert_int_eq(symlink("/etc/passwd", link), 0);
	settings(l, GW_ACCESS_FILE, "evil"); /* a link is not followed */
	add(l, 0, 10);
	c.dropped = 20;
	wait_for(reached, &c);
	settings(l, GW_ACCESS_FILE, "good.log");
	add(l, 0, 10);
	c.written = 10;
	wait_for(reached, &c);
	ck_assert_uint_eq(lines_of("good.log"), 10);
	dp_access_log_close(&l);
	remove_dir("evil", "good.log");
}
END_TEST

/* /dev/full takes nothing, as a disk without room. */
START_TEST(a_full_disk)
{
	struct dp_access_log *l;
	int saved = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);
	struct count c;

	l = open_log(1, "/nowhere");
	dup2(full, STDOUT_FILENO);
	settings(l, GW_ACCESS_STDOUT, "a.log");
	add(l, 0, 100);
	c = (struct count){ l, 0, 100 };
	wait_for(reached, &c);
	dp_access_log_close(&l);
	dup2(saved, STDOUT_FILENO);
	close(full);
	close(saved);
	rmdir(dir);
}
END_TEST

/* A pipe nobody reads: lines are lost at the ring and counted, adding stays quick, whole lines only come out. */
START_TEST(a_pipe_nobody_reads)
{
	struct dp_access_log *l;
	int saved = dup(STDOUT_FILENO), p[2];
	int64_t t0;
	static char back[8u << 20];
	size_t n = 0, lines = 0;
	ssize_t got;

	ck_assert_int_eq(pipe(p), 0);
	fflush(stdout);
	dup2(p[1], STDOUT_FILENO);
	close(p[1]);
	l = open_log(1, "/nowhere");
	settings(l, GW_ACCESS_STDOUT, "a.log");
	t0 = gw_mono_ms();
	add(l, 0, 20000);
	ck_assert_int_lt(gw_mono_ms() - t0, 20000);
	ck_assert_uint_gt(dp_access_log_dropped(l), 10000);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	while (dp_access_log_written(l) + dp_access_log_dropped(l) < 20000 && (got = read(p[0], back + n, sizeof back - n)) > 0)
		n += (size_t)got;
	dp_access_log_close(&l);
	while ((got = read(p[0], back + n, sizeof back - n)) > 0)
		n += (size_t)got;
	close(p[0]);
	for (char *at = back, *end; (end = memchr(at, '\n', (size_t)(back + n - at))) != NULL; at = end + 1, lines++)
		ck_assert(at[0] == '{' && end[-1] == '}');
	ck_assert_uint_gt(lines, 0);
	ck_assert_int_eq(back[n - 1], '\n');
	rmdir(dir);
}
END_TEST

START_TEST(syslog_takes_a_datagram_a_line)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	char got[8192];
	ssize_t n;
	struct dp_access_log *l;

	snprintf(at.sun_path, sizeof at.sun_path, "/tmp/tg-syslog-%d", (int)getpid());
	unlink(at.sun_path);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&at, sizeof at), 0);
	l = open_log(1, at.sun_path);
	settings(l, GW_ACCESS_SYSLOG, "a.log");
	add(l, 0, 3);
	for (int i = 0; i < 3; i++) {
		n = recv(s, got, sizeof got - 1, 0);
		ck_assert_int_gt(n, 0);
		got[n] = '\0';
		ck_assert_int_eq(strncmp(got, "<134>", 5), 0);
		ck_assert_ptr_nonnull(strstr(got, " tidegate-worker["));
		ck_assert_ptr_nonnull(strstr(got, "]: {\"time\":"));
		ck_assert_int_eq(got[n - 1], '}');
	}
	dp_access_log_close(&l);
	close(s);
	unlink(at.sun_path);
	rmdir(dir);
}
END_TEST

UNIT_MAIN("access log", a_line, hostile_texts, a_file_and_its_rotation, a_target_that_fails, a_full_disk, a_pipe_nobody_reads,
          syslog_takes_a_datagram_a_line)
