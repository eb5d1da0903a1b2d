/*
 * pool.h - a few threads that run handlers, which may block.
 *
 * Jobs are taken in the order given.  cp_pool_close() waits for every job that was added.
 */
#ifndef CP_HTTPD_POOL_H
#define CP_HTTPD_POOL_H

#include "base/gw.h"
#include "base/map.h"

struct cp_pool;
struct cp_job {                  /* embedded in the owner's struct; on one queue at most */
	struct gw_node node;
	void (*run)(struct cp_job *job);
};

struct cp_pool *cp_pool_open(unsigned threads);                  /* owned */
void cp_pool_add(struct cp_pool *p, struct cp_job *job);         /* borrowed until run() returns */
void cp_pool_close(struct cp_pool **p);                          /* consumed; NULL is fine */

#endif
