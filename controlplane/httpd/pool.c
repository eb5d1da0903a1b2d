/* pool.c - one queue, one lock, a fixed number of threads. */
#include "httpd/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"

#define STACK_BYTES (512u * 1024)
#define POOL_MAGIC 0x504f4f4cu

struct cp_pool {
	unsigned magic;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct gw_node queue;    /* of cp_job.node; guarded by lock */
	bool closing;
	unsigned n;
	pthread_t threads[];
};

static void *work(void *arg)
{
	struct cp_pool *p = arg;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		if (!gw_list_empty(&p->queue)) {
			struct cp_job *job = GW_CONTAINER(p->queue.next, struct cp_job, node);
			gw_list_del(&job->node);
			pthread_mutex_unlock(&p->lock);
			job->run(job);
			pthread_mutex_lock(&p->lock);
		} else if (p->closing) {
			break;
		} else {
			pthread_cond_wait(&p->wake, &p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct cp_pool *cp_pool_open(unsigned threads)
{
	struct cp_pool *p = gw_alloc(sizeof *p + threads * sizeof p->threads[0]);
	sigset_t all, old;
	pthread_attr_t attr;
	p->magic = POOL_MAGIC;
	gw_list_init(&p->queue);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all); /* signals belong to the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&p->threads[p->n], &attr, work, p) == 0)
			p->n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	assert(p->n > 0);
	return p;
}

void cp_pool_add(struct cp_pool *p, struct cp_job *job)
{
	GW_CHECK(p, POOL_MAGIC);
	pthread_mutex_lock(&p->lock);
	assert(!p->closing);
	gw_list_add_tail(&p->queue, &job->node);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

void cp_pool_close(struct cp_pool **pool)
{
	struct cp_pool *p = *pool;
	if (p == NULL)
		return;
	GW_CHECK(p, POOL_MAGIC);
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n; i++)
		pthread_join(p->threads[i], NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
	p->magic = 0;
	free(p);
	*pool = NULL;
}
