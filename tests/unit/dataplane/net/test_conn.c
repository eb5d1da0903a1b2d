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
	ck_assert_int_lt(until_gone(l, others, 3000), 2000);
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
	ck_assert_int_lt(until_gone(l, others, 3000), 2000);
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
	ck_assert_int_lt(until_gone(l, others, 3000), 2000);
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

UNIT_MAIN("conn", a_peer_that_finished_and_never_reads, a_peer_that_finished_and_then_breaks_off,
          a_peer_that_finished_and_reads_gets_everything, one_turn_reads_one_buffer,
          a_writer_yields_though_the_peer_takes_everything)
