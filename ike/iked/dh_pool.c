/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads that compute Diffie-Hellman: one or two, so that a flood of handshakes costs the
 * event loop no more than their messages.
 *
 * Jobs wait in one queue a rank, in the order they came; a worker takes the first of the lowest
 * rank, so a job for a tunnel that stands waits for at most one other to end, however many
 * strangers do. Nothing is allocated here and nothing refused: a job brings its own link, and the
 * engine bounds how many there are (one wish and two messages an IKE SA, one wish a connection,
 * strangers up to the limit of half-open SAs). Done jobs go back the same way, the descriptor of an
 * eventfd wakes the event loop.
 *
 * Who has a job may look at it: it changes hands under the lock, which is held for a few
 * instructions. Secrets are in guarded memory or in OpenSSL's locked heap, which all threads share;
 * what the arithmetic leaves on a worker's stack is wiped after every job.
 *
 * The threads take no signals: those are the event loop's. They are made after privileges are
 * dropped and before the system call filter is set, which then holds for them too; each has done
 * one exchange before the pool is said to be there, for some calls are made once only, at the first
 * use of an allocator or of a random generator on a thread.
 */
#include "ike/iked/dh_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_WIPED 16384

struct queue {
	struct ike_dh_job *first, *last;
};

struct iked_dh_pool {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	struct queue todo[IKE_DH_RANKS], done[IKE_DH_RANKS];
	unsigned int warm; /* workers that have begun */
	bool stop;
	/* the maker's */
	pthread_t worker[IKED_DH_WORKERS_MAX];
	unsigned int workers; /* that run */
	unsigned int waiting; /* jobs put and not taken */
	int fd;
};

unsigned int
iked_dh_workers(long processors)
{
	return processors >= 4 ? 2 : 1;
}

static void
append(struct queue queues[IKE_DH_RANKS], struct ike_dh_job *job)
{
	struct queue *q = &queues[job->rank];

	job->next = NULL;
	if (q->last)
		q->last->next = job;
	else
		q->first = job;
	q->last = job;
}

/* The first job of the lowest rank. */
static struct ike_dh_job *
remove_first(struct queue queues[IKE_DH_RANKS])
{
	for (int rank = 0; rank < IKE_DH_RANKS; rank++) {
		struct ike_dh_job *job = queues[rank].first;

		if (!job)
			continue;
		queues[rank].first = job->next;
		if (!job->next)
			queues[rank].last = NULL;
		job->next = NULL;
		return job;
	}
	return NULL;
}

static void
ring(const struct iked_dh_pool *pool)
{
	uint64_t one = 1;

	/* fails only when it would overflow, and then it rings already */
	while (write(pool->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void
run(struct ike_dh_job *job)
{
	ike_dh_job_run(job);
	sodium_stackzero(STACK_WIPED);
}

/* One exchange with itself: what a thread does only once is done. */
static void
warm_up(void)
{
	struct ike_dh_job job = {.group = SPW_GROUP_ECP256};
	struct ike_dh *peer = NULL;

	if (ike_dh_new(&peer, job.group) != 0)
		return;
	job.share = true;
	job.peer_len = spw_group_info(job.group)->public_len;
	memcpy(job.peer, ike_dh_public(peer), job.peer_len);
	run(&job);
	ike_dh_free(job.dh);
	spw_secret_free(&job.shared);
	ike_dh_free(peer);
}

static void *
work(void *arg)
{
	struct iked_dh_pool *pool = arg;

	warm_up();
	pthread_mutex_lock(&pool->lock);
	pool->warm++;
	pthread_cond_broadcast(&pool->changed);
	while (!pool->stop) {
		struct ike_dh_job *job = remove_first(pool->todo);

		if (!job) {
			pthread_cond_wait(&pool->changed, &pool->lock);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		run(job);
		pthread_mutex_lock(&pool->lock);
		append(pool->done, job);
		ring(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* A thread without signals. */
static int
worker_start(struct iked_dh_pool *pool)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc != 0)
		return -rc;
	rc = pthread_create(&pool->worker[pool->workers], NULL, work, pool);
	if (rc == 0)
		pool->workers++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int
iked_dh_pool_new(struct iked_dh_pool **out, unsigned int workers, struct spw_err *err)
{
	struct iked_dh_pool *pool = calloc(1, sizeof(*pool));
	int rc = 0;

	if (!pool)
		return spw_fail(err, -ENOMEM, "no memory for the key exchange's threads");
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->fd < 0)
		rc = -errno;
	if (workers < 1 || workers > IKED_DH_WORKERS_MAX)
		rc = -EINVAL;
	while (rc == 0 && pool->workers < workers)
		rc = worker_start(pool);
	if (rc != 0) {
		iked_dh_pool_free(pool);
		return spw_fail(err, rc, "cannot start %u threads for the key exchange: %s",
				workers, strerror(-rc));
	}
	pthread_mutex_lock(&pool->lock);
	while (pool->warm < workers)
		pthread_cond_wait(&pool->changed, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	*out = pool;
	return 0;
}

int
iked_dh_pool_fd(const struct iked_dh_pool *pool)
{
	return pool->fd;
}

void
iked_dh_pool_put(struct iked_dh_pool *pool, struct ike_dh_job *job)
{
	pthread_mutex_lock(&pool->lock);
	append(pool->todo, job);
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	pool->waiting++;
}

unsigned int
iked_dh_pool_waiting(const struct iked_dh_pool *pool)
{
	return pool->waiting;
}

struct ike_dh_job *
iked_dh_pool_take(struct iked_dh_pool *pool, unsigned int max)
{
	struct ike_dh_job *list = NULL, **end = &list;
	uint64_t rings;
	bool more = false;

	pthread_mutex_lock(&pool->lock);
	while (read(pool->fd, &rings, sizeof(rings)) < 0 && errno == EINTR)
		;
	for (unsigned int n = 0; n < max && (*end = remove_first(pool->done)); n++) {
		end = &(*end)->next;
		pool->waiting--;
	}
	for (int rank = 0; rank < IKE_DH_RANKS; rank++)
		more |= pool->done[rank].first != NULL;
	if (more)
		ring(pool);
	pthread_mutex_unlock(&pool->lock);
	return list;
}

void
iked_dh_pool_stop(struct iked_dh_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	while (pool->workers > 0)
		pthread_join(pool->worker[--pool->workers], NULL);
}

void
iked_dh_pool_free(struct iked_dh_pool *pool)
{
	struct ike_dh_job *job;

	if (!pool)
		return;
	iked_dh_pool_stop(pool);
	while ((job = remove_first(pool->todo)) || (job = remove_first(pool->done)))
		ike_dh_job_free(job);
	if (pool->fd >= 0)
		close(pool->fd);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
