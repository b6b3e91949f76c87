/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads that compute Diffie-Hellman for the event loop. */
#ifndef SPW_IKE_IKED_DH_POOL_H
#define SPW_IKE_IKED_DH_POOL_H

#include "ike/dh.h"

#define IKED_DH_WORKERS_MAX 16

struct iked_dh_pool;

/* How many threads, of so many processors: one on a small machine, two otherwise. Pure. */
unsigned int iked_dh_workers(long processors);
/*
 * Start the threads (1..IKED_DH_WORKERS_MAX); on return each of them has done once whatever a
 * thread does only once, so that a sandbox may be entered. 0, or -errno with a sentence. All other
 * functions are for the one thread that made the pool.
 */
int iked_dh_pool_new(struct iked_dh_pool **pool, unsigned int workers, struct spw_err *err)
	__attribute__((warn_unused_result));
/* A descriptor that is readable while jobs are done and not taken. Stays the pool's. */
int iked_dh_pool_fd(const struct iked_dh_pool *pool);
/* Have a job done; takes it. */
void iked_dh_pool_put(struct iked_dh_pool *pool, struct ike_dh_job *job);
/*
 * Take up to `max` jobs that are done, those of a lower rank first, as a list by `next`. NULL when
 * there are none.
 */
struct ike_dh_job *iked_dh_pool_take(struct iked_dh_pool *pool, unsigned int max);
/* Jobs that were put and not taken. */
unsigned int iked_dh_pool_waiting(const struct iked_dh_pool *pool);
/* End the threads, each after the job it is at. What is not taken stays with the pool. */
void iked_dh_pool_stop(struct iked_dh_pool *pool);
/* Wipe and free it, with the jobs it still has; after the engine they came from. NULL is allowed.
 */
void iked_dh_pool_free(struct iked_dh_pool *pool);

#endif
