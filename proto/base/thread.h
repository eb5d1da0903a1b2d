/* thread.h - what kind of work a thread does, said to the scheduler. */
#ifndef GW_BASE_THREAD_H
#define GW_BASE_THREAD_H

/*
 * Called by a thread whose work can wait: writing, storing, reading for later.  It keeps its fair share, but when it wakes
 * it does not take the processor away from a thread that serves somebody (SCHED_BATCH, sched(7)); where the system does
 * not allow that, nothing changes.  `name`: at most 15 bytes, as `ps` and `top` show it.
 */
void gw_thread_behind(const char *name);

#endif
