/*
 * The end of a connection: what is queued goes out, and whatever the peer does, the connection is gone in time.
 * And one turn of the loop: how much a connection may do in it while others wait.
 */
#include "net/conn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "net/listen.h"
#include "unit.h"

#define MUCH (32u << 20) /* more than the kernel takes for a peer that does not read */

static struct dp_conn *taken;

static void on_client(void *arg, struct dp_conn *c)
{
	(void)arg;
	taken = c;
}

static void on_read(void *arg, struct gw_str bytes)
{
	(void)arg;
	(void)bytes;
}

static void on_end(void *arg, enum dp_net_end how)
{
	(void)arg;
	(void)how;
}

static const struct dp_conn_ops ops = { .on_read = on_read, .on_end = on_end };

static const struct dp_listener_ops door = { .on_client = on_client };

static struct dp_loop *open_loop(void)
{
	dp_net_setup();
	return dp_loop_open(0);
}

/* One client on the loop; returns the client's socket. */
static int meet(struct dp_loop *l)
{
	struct dp_listener *listener;
	struct dp_addr at, bound;
	struct gw_error err = { .text = "" };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	taken = NULL;
	ck_assert(dp_listen_parse(GW_STR("127.0.0.1:0"), &at, "--listen", &err) == GW_OK);
	ck_assert_msg(dp_listener_open(&listener, l, &at, false, &door, NULL, &bound, &err) == GW_OK, "%s", err.text);
	sin.sin_port = htons(bound.port);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	while (!taken)
		dp_loop_turn(l, true);
	dp_listener_close(&listener);
	dp_conn_bind(taken, &ops, NULL);
	return fd;
}

static void write_much(struct dp_conn *c)
{
	char *bytes = gw_alloc(MUCH);
	struct gw_str s = { bytes, MUCH };

	dp_conn_write(c, &s, 1);
	free(bytes);
	ck_assert_uint_gt(dp_conn_queued(c), 0);
}

/* Milliseconds until no connection is left; at most `limit`. */
static int64_t until_gone(struct dp_loop *l, size_t others, int64_t limit)
{
	int64_t t0 = gw_mono_ms();

	while (dp_net_fds() > others && gw_mono_ms() - t0 < limit) {
		dp_loop_turn(l, false);
		usleep(2000);
	}
	return gw_mono_ms() - t0;
}

static void turn_for(struct dp_loop *l, int64_t ms)
{
	(void)until_gone(l, 0, ms);
}

START_TEST(a_peer_that_finished_and_never_reads)
{
	struct dp_loop *l = open_loop();
	size_t others = dp_net_fds();
	int fd = meet(l);

	write_much(taken);
	shutdown(fd, SHUT_WR);
	dp_conn_finish(&taken, 300);
	ck_assert_int_lt(until_gone(l, others, 20000), 15000);
	close(fd);
	dp_loop_close(&l);
}
END_TEST

START_TEST(a_peer_that_finished_and_then_breaks_off)
{
	static const struct linger hard = { 1, 0 };
	struct dp_loop *l = open_loop();
	size_t others = dp_net_fds();
	int fd = meet(l);

	write_much(taken);
	shutdown(fd, SHUT_WR);
	dp_conn_finish(&taken, 30000);
	turn_for(l, 100); /* its end is read */
	ck_assert_uint_eq(dp_net_fds(), others + 1);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(fd);
	ck_assert_int_lt(until_gone(l, others, 20000), 15000);
	dp_loop_close(&l);
}
END_TEST

START_TEST(a_peer_that_finished_and_reads_gets_everything)
{
	static char sink[1 << 20];
	struct dp_loop *l = open_loop();
	size_t others = dp_net_fds(), got = 0;
	int fd = meet(l);
	ssize_t n = 1;

	write_much(taken);
	shutdown(fd, SHUT_WR);
	dp_conn_finish(&taken, 30000);
	while (n > 0) {
		dp_loop_turn(l, false);
		n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
		if (n > 0)
			got += (size_t)n;
		else if (n < 0)
			n = 1; /* not yet */
	}
	ck_assert_uint_eq(got, MUCH);
	ck_assert_int_lt(until_gone(l, others, 20000), 15000);
	close(fd);
	dp_loop_close(&l);
}
END_TEST

/* A slow reader is given time for as long as it reads: the limit counts silence. */
START_TEST(a_peer_that_reads_slowly_gets_everything)
{
	static char sink[1 << 20];
	struct dp_loop *l = open_loop();
	size_t got = 0;
	int fd = meet(l);

	write_much(taken);
	dp_conn_finish(&taken, 1500);
	while (got < MUCH) {
		ssize_t n;

		turn_for(l, 15); /* all of it takes longer than the limit */
		n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
		ck_assert_int_gt(n, 0);
		got += (size_t)n;
	}
	close(fd);
	dp_loop_close(&l);
}
END_TEST

/* ---- one turn ---- */

static size_t seen, drains;

static void on_counted(void *arg, struct gw_str bytes)
{
	(void)arg;
	seen += bytes.n;
}

static void on_drain(void *arg)
{
	(void)arg;
	drains++;
}

static const struct dp_conn_ops counting = { .on_read = on_counted, .on_end = on_end, .on_drain = on_drain };

START_TEST(one_turn_reads_one_buffer)
{
	static char bytes[16 * DP_LOOP_READ_BYTES];
	struct dp_loop *l = open_loop();
	int fd = meet(l);
	ssize_t sent;

	seen = 0;
	dp_conn_bind(taken, &counting, NULL);
	sent = send(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	ck_assert_int_gt(sent, 3 * (ssize_t)DP_LOOP_READ_BYTES); /* else there is nothing to see */
	while (seen < (size_t)sent) {
		size_t before = seen;

		dp_loop_turn(l, true);
		ck_assert_uint_le(seen - before, DP_LOOP_READ_BYTES);
	}
	dp_conn_close(&taken);
	close(fd);
	dp_loop_close(&l);
}
END_TEST

/* Writes for as long as it is welcome, to a peer that takes everything at once; bytes. */
static size_t write_on(int fd)
{
	static char piece[32 << 10], sink[64 << 10];
	const struct gw_str s = { piece, sizeof piece };
	size_t n = 0;
	bool go = true;

	while (go && n < MUCH) {
		go = dp_conn_write(taken, &s, 1);
		n += s.n;
		while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
			;
	}
	return n;
}

START_TEST(a_writer_yields_though_the_peer_takes_everything)
{
	struct dp_loop *l = open_loop();
	int fd = meet(l);

	drains = 0;
	dp_conn_bind(taken, &counting, NULL);
	for (size_t round = 1; round < 4; round++) {
		ck_assert_uint_le(write_on(fd), 512u << 10);
		while (drains < round) /* the next turns, without an event from outside */
			dp_loop_turn(l, true);
	}
	write_on(fd); /* and it may be closed while it waits for its turn */
	dp_conn_close(&taken);
	dp_loop_turn(l, false);
	ck_assert_uint_eq(drains, 3);
	close(fd);
	dp_loop_close(&l);
}
END_TEST

/* ---- a turn in batches ---- */

static char heard[64];        /* who was read from, in order; capitals: an end */
static struct dp_conn *said_to;

static void hear(void *arg, struct gw_str bytes)
{
	size_t n = strlen(heard);
	struct gw_str word = GW_STR("abcdefgh");

	heard[n] = *(const char *)arg;
	heard[n + 1] = '\0';
	if (said_to && bytes.n < 100) {
		dp_conn_write(said_to, &word, 1);
		dp_conn_write(said_to, &word, 1);
	}
}

static void hear_end(void *arg, enum dp_net_end how)
{
	size_t n = strlen(heard);

	(void)how;
	heard[n] = (char)(*(const char *)arg - 'a' + 'A');
	heard[n + 1] = '\0';
}

static const struct dp_conn_ops client_ops = { .on_read = hear, .on_end = hear_end, .on_drain = on_drain, .fin_is_gone = true };
static const struct dp_conn_ops upstream_ops = { .on_read = hear, .on_end = hear_end };

struct trio { int fd[3]; struct dp_conn *c[3]; };

/* a and c are clients, b an upstream. */
static struct trio meet_three(struct dp_loop *l)
{
	struct trio t;

	heard[0] = '\0';
	drains = 0;
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = { "a", "b", "c" };

		t.fd[i] = meet(l);
		t.c[i] = taken;
		dp_conn_bind(t.c[i], i == 1 ? &upstream_ops : &client_ops, (void *)(uintptr_t)names[i]);
	}
	dp_loop_turn(l, false);
	return t;
}

static void part(struct dp_loop *l, struct trio *t)
{
	said_to = NULL;
	for (size_t i = 0; i < 3; i++) {
		dp_conn_close(&t->c[i]);
		close(t->fd[i]);
	}
	dp_loop_close(&l);
}

START_TEST(clients_come_first_long_ones_late_and_ends_last)
{
	static char much[20000];
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);

	ck_assert_int_eq(send(t.fd[0], much, sizeof much, 0), sizeof much); /* a: long, and then its end */
	shutdown(t.fd[0], SHUT_WR);
	ck_assert_int_eq(send(t.fd[1], much, 10, 0), 10);
	ck_assert_int_eq(send(t.fd[2], much, 10, 0), 10);
	dp_loop_turn(l, true);
	ck_assert(strncmp(heard, "cba", 3) == 0);
	while (!heard[3]) /* its end, in the same turn where the kernel tells it together with the bytes */
		dp_loop_turn(l, true);
	ck_assert_str_eq(heard, "cbaA");
	part(l, &t);
}
END_TEST

START_TEST(what_is_said_in_a_turn_leaves_in_one_piece_at_its_end)
{
	static char much[20000];
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);
	char got[64];

	said_to = t.c[0];
	send(t.fd[1], much, 10, 0);
	send(t.fd[2], much, 10, 0); /* both make a hear two words each */
	dp_loop_turn(l, true);
	ck_assert_str_eq(heard, "cb");
	ck_assert_uint_eq(dp_conn_queued(t.c[0]), 0);
	ck_assert_int_eq(recv(t.fd[0], got, sizeof got, MSG_DONTWAIT), 32);
	ck_assert_int_eq(memcmp(got, "abcdefghabcdefghabcdefghabcdefgh", 32), 0);
	part(l, &t);
}
END_TEST

START_TEST(words_to_two_in_turn_keep_their_order)
{
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);
	static char big[40000];
	struct gw_str one = GW_STR("one."), two = GW_STR("two."), long_one = { big, sizeof big }, both[2] = { one, two };
	char *got = gw_alloc(2 * sizeof big);
	size_t n = 0;

	memset(big, '-', sizeof big);
	dp_conn_write(t.c[0], &one, 1);
	dp_conn_write(t.c[2], &two, 1);
	dp_conn_write(t.c[0], both, 2);       /* not behind its first word in the room any more */
	dp_conn_write(t.c[0], &long_one, 1);  /* too long to be kept */
	dp_conn_write(t.c[0], &two, 1);
	while (n < 16 + sizeof big) {
		ssize_t r = recv(t.fd[0], got + n, 2 * sizeof big - n, MSG_DONTWAIT);

		if (r > 0)
			n += (size_t)r;
		else
			dp_loop_turn(l, false);
	}
	ck_assert_uint_eq(n, 16 + sizeof big);
	ck_assert_int_eq(memcmp(got, "one.one.two.-", 13), 0);
	ck_assert_int_eq(memcmp(got + 12 + sizeof big, "two.", 4), 0);
	ck_assert_int_eq(recv(t.fd[2], got, 10, MSG_DONTWAIT), 4);
	free(got);
	part(l, &t);
}
END_TEST

START_TEST(who_closes_has_said_what_he_said)
{
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);
	struct gw_str word = GW_STR("farewell");
	char got[64];

	dp_conn_write(t.c[0], &word, 1);
	dp_conn_close(&t.c[0]);
	dp_conn_write(t.c[2], &word, 1);
	dp_conn_finish(&t.c[2], 1000);
	ck_assert_int_eq(recv(t.fd[0], got, sizeof got, 0), 8);
	ck_assert_int_eq(recv(t.fd[2], got, sizeof got, 0), 8);
	part(l, &t);
}
END_TEST

START_TEST(whoever_wants_to_know_is_told_when_it_is_out)
{
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);
	struct gw_str word = GW_STR("news");
	char got[64];

	dp_conn_write(t.c[0], &word, 1);
	ck_assert_uint_eq(dp_conn_queued(t.c[0]), 4);
	dp_conn_want_drain(t.c[0]);
	ck_assert_uint_eq(drains, 0);
	dp_loop_turn(l, false);
	ck_assert_uint_eq(drains, 1);
	ck_assert_int_eq(recv(t.fd[0], got, sizeof got, MSG_DONTWAIT), 4);
	part(l, &t);
}
END_TEST

/* More than the room of a turn holds: nothing is lost, and nobody's bytes come in another's place. */
START_TEST(a_turn_that_says_more_than_there_is_room_for)
{
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);
	static char piece[3][12000], sink[1 << 20];
	size_t got[3] = { 0 };

	for (int i = 0; i < 3; i++)
		memset(piece[i], 'x' + i, sizeof piece[i]);
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 3; i++) {
			struct gw_str s = { piece[i], sizeof piece[i] };

			dp_conn_write(t.c[i], &s, 1);
		}
	for (int i = 0; i < 3; i++)
		while (got[i] < 20 * sizeof piece[i]) {
			ssize_t r = recv(t.fd[i], sink, sizeof sink, MSG_DONTWAIT);

			for (ssize_t k = 0; k < r; k++)
				ck_assert_int_eq(sink[k], 'x' + i);
			if (r > 0)
				got[i] += (size_t)r;
			else
				dp_loop_turn(l, false);
		}
	part(l, &t);
}
END_TEST

static size_t taken_of[3];

static void weigh(void *arg, struct gw_str bytes)
{
	*(size_t *)arg += bytes.n;
}

static const struct dp_conn_ops weighing_client = { .on_read = weigh, .on_end = on_end, .fin_is_gone = true };

START_TEST(much_from_two_is_read_in_turn_and_little_from_a_third_at_once)
{
	static char bytes[64 * DP_LOOP_READ_BYTES];
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);
	size_t left[2] = { 0 };
	bool finished = false;

	memset(taken_of, 0, sizeof taken_of);
	for (size_t i = 0; i < 3; i++)
		dp_conn_bind(t.c[i], &weighing_client, &taken_of[i]);
	for (size_t i = 0; i < 2; i++) {
		ssize_t n = send(t.fd[i], bytes, sizeof bytes, MSG_DONTWAIT);

		ck_assert_int_gt(n, 6 * (ssize_t)DP_LOOP_READ_BYTES); /* else there is nothing to see */
		left[i] = (size_t)n;
	}
	for (size_t turn = 1; taken_of[0] < left[0] || taken_of[1] < left[1]; turn++) {
		size_t before = taken_of[0] + taken_of[1];

		ck_assert_uint_le(turn, 200);
		send(t.fd[2], bytes, 100, 0);
		dp_loop_turn(l, true);
		ck_assert_uint_eq(taken_of[2], 100 * turn);
		ck_assert_uint_le(taken_of[0] + taken_of[1] - before, 2 * DP_LOOP_READ_BYTES);
		if (!finished && (taken_of[0] == left[0] || taken_of[1] == left[1])) {
			size_t other = taken_of[0] == left[0];

			finished = true; /* and the other has not been waiting for that */
			ck_assert_uint_ge(taken_of[other], left[other] / 2);
		}
	}
	part(l, &t);
}
END_TEST

/* More short ones than there is room for in a turn: the rest is read in the next ones, each once before any twice. */
START_TEST(little_from_many_is_read_in_a_few_turns)
{
	enum { MANY = 400, SHORT = 600 };
	static struct dp_conn *c[MANY];
	static size_t of[MANY];
	static char bytes[SHORT];
	static int fd[MANY];
	struct dp_loop *l = open_loop();
	size_t all = 0;

	memset(of, 0, sizeof of);
	for (size_t i = 0; i < MANY; i++) {
		fd[i] = meet(l);
		c[i] = taken;
		dp_conn_bind(c[i], &weighing_client, &of[i]);
	}
	for (size_t round = 1; round <= 3; round++) {
		for (size_t i = 0; i < MANY; i++)
			ck_assert_int_eq(send(fd[i], bytes, SHORT, 0), SHORT);
		for (size_t turn = 0; all < round * MANY * SHORT; turn++) {
			ck_assert_uint_le(turn, 6);
			dp_loop_turn(l, true);
			all = 0;
			for (size_t i = 0; i < MANY; i++)
				all += of[i];
		}
	}
	for (size_t i = 0; i < MANY; i++) {
		dp_conn_close(&c[i]);
		close(fd[i]);
	}
	dp_loop_close(&l);
}
END_TEST

/* Bytes that wait to be taken in this turn are bytes that wait: such a connection is not quiet. */
static bool was_quiet;
static struct dp_conn *asked_about;

static void hear_and_look(void *arg, struct gw_str bytes)
{
	(void)bytes;
	(void)arg;
	was_quiet = dp_conn_quiet(asked_about) || dp_conn_silent(asked_about);
}

static const struct dp_conn_ops looking_ops = { .on_read = hear_and_look, .on_end = hear_end, .fin_is_gone = true };

START_TEST(a_connection_with_an_arrival_is_not_quiet)
{
	struct dp_loop *l = open_loop();
	struct trio t = meet_three(l);
	static char name[] = "a";

	dp_conn_bind(t.c[0], &looking_ops, name);
	asked_about = t.c[1];
	was_quiet = true;
	ck_assert(dp_conn_quiet(t.c[1]));
	send(t.fd[0], "x", 1, 0);
	send(t.fd[1], "y", 1, 0);
	dp_loop_turn(l, true);
	ck_assert(!was_quiet);
	ck_assert_str_eq(heard, "b");
	was_quiet = true;
	ck_assert(dp_conn_silent(t.c[1]));
	close(t.fd[1]); /* and its end, which is taken last, counts as well */
	send(t.fd[0], "x", 1, 0);
	dp_loop_turn(l, true);
	ck_assert(!was_quiet);
	t.fd[1] = -1;
	part(l, &t);
}
END_TEST

UNIT_MAIN("conn", clients_come_first_long_ones_late_and_ends_last, what_is_said_in_a_turn_leaves_in_one_piece_at_its_end,
          words_to_two_in_turn_keep_their_order, who_closes_has_said_what_he_said, whoever_wants_to_know_is_told_when_it_is_out,
          a_turn_that_says_more_than_there_is_room_for, a_connection_with_an_arrival_is_not_quiet,
          much_from_two_is_read_in_turn_and_little_from_a_third_at_once, little_from_many_is_read_in_a_few_turns,
          a_peer_that_finished_and_never_reads, a_peer_that_finished_and_then_breaks_off,
          a_peer_that_finished_and_reads_gets_everything, a_peer_that_reads_slowly_gets_everything, one_turn_reads_one_buffer,
          a_writer_yields_though_the_peer_takes_everything)
