/* thread.c - scheduling classes of threads. */
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>

void gw_thread_behind(const char *name)
{
	const struct sched_param none = { 0 };

	pthread_setname_np(pthread_self(), name);
	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
}
