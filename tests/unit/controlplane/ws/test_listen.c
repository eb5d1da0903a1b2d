/* Listening sockets, and the sentences for those that cannot be had. */
#include <stdio.h>
#include <unistd.h>

#include "unit.h"
#include "ws/listen.h"

START_TEST(takes_a_free_port)
{
	int fd;
	unsigned port = 0;
	ck_assert_int_eq(cp_listen_open(&fd, &port, "127.0.0.1:0", NULL), GW_OK);
	ck_assert_uint_gt(port, 0);
	close(fd);
}
END_TEST

START_TEST(names_the_port_that_is_taken)
{
	int fd, other;
	unsigned port;
	char address[64], want[64];
	struct gw_error err = { 0 };
	ck_assert_int_eq(cp_listen_open(&fd, &port, "127.0.0.1:0", NULL), GW_OK);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	snprintf(want, sizeof want, "port %u is in use", port);
	ck_assert_int_eq(cp_listen_open(&other, &port, address, &err), GW_IO);
	ck_assert_ptr_nonnull(strstr(err.text, want));
	close(fd);
}
END_TEST

START_TEST(refuses_what_is_no_address)
{
	static const char *const bad[] = { "", "8001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:x", "127.0.0.1:-1",
		"no such host:80" };
	int fd;
	unsigned port;
	for (size_t i = 0; i < GW_COUNT(bad); i++)
		ck_assert_msg(cp_listen_open(&fd, &port, bad[i], NULL) == GW_INVALID, "%s", bad[i]);
}
END_TEST

UNIT_MAIN("listen", takes_a_free_port, names_the_port_that_is_taken, refuses_what_is_no_address)
