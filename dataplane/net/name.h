/*
 * name.h - what a loop knows of a host's name: its addresses, how long they serve, how connecting to each of them went.
 *
 * Only to be shown to people.  Nothing is decided by it: a dial tries all addresses in turn, whatever became of them the
 * last time, since the next one may be fine and a server that is gone refuses at once.
 */
#ifndef DP_NET_NAME_H
#define DP_NET_NAME_H

#include "net/guard.h"
#include "net/loop.h"

#define DP_NAME_MAX_ADDRS 16           /* what is kept of an answer; the rest is never dialled */

struct dp_name_addr {
	struct dp_addr addr;
	int64_t good_ms, bad_ms;       /* when connecting went well, and when not, the last time; 0: never */
	char why[80];                  /* it did not */
};

/* Times are monotonic. */
struct dp_name {
	int64_t resolved_ms;           /* when the addresses were learnt; 0: never */
	int64_t expires_ms;            /* the first connection after that has them looked up again */
	int64_t ttl_ms;                /* as the name server said, within our bounds; -1: it did not */
	size_t n, left_out;            /* addresses kept; what the answer had beyond them */
	struct dp_name_addr v[DP_NAME_MAX_ADDRS];
	char error[96];                /* of the last look-up; "": it went well */
};

/* On the loop.  false: nobody has asked for it there.  What was met at another port than `port` is not told. */
bool dp_name_look(const struct dp_loop *l, struct gw_str host, uint16_t port, struct dp_name *out);

#endif
