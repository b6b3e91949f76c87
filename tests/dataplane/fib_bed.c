/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker in small: a thread that looks bursts up and reports quiescence, while the test's own
 * thread writes. The counts are the reader's alone until it has ended.
 */
#include "tests/dataplane/fib_bed.h"

#include <pthread.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define LONG_LOOKUPS UINT64_C(1000000000)

struct reader {
	const struct fib_bed_check *check;
	struct rte_rcu_qsbr *qsbr;
	_Atomic bool stop;
	_Atomic uint64_t looked; /* the writer watches it */
	uint64_t wrong;
};

uint64_t
fib_bed_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

struct rte_rcu_qsbr *
fib_bed_qsbr(void)
{
	struct rte_rcu_qsbr *q = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) & ~63ul);

	if (!q || rte_rcu_qsbr_init(q, 1) != 0)
		abort();
	return q;
}

static void *
reader_run(void *arg)
{
	struct reader *r = arg;
	uint64_t state = 0x9e3779b97f4a7c15, looked = 0;

	rte_rcu_qsbr_thread_register(r->qsbr, 0);
	rte_rcu_qsbr_thread_online(r->qsbr, 0);
	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		r->wrong += r->check->burst(r->check->arg, fib_bed_random(&state));
		looked += FIB_BED_BURST;
		atomic_store_explicit(&r->looked, looked, memory_order_relaxed);
		rte_rcu_qsbr_quiescent(r->qsbr, 0);
	}
	rte_rcu_qsbr_thread_offline(r->qsbr, 0);
	rte_rcu_qsbr_thread_unregister(r->qsbr, 0);
	return NULL;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct fib_bed_result
fib_bed_churn(struct rte_rcu_qsbr *qsbr, const struct fib_bed_check *check, double seconds)
{
	bool full = getenv("SPW_LONG") != NULL;
	struct reader r = {.check = check, .qsbr = qsbr};
	struct fib_bed_result out = {0};
	double end = now() + seconds;
	pthread_t thread;

	if (pthread_create(&thread, NULL, reader_run, &r) != 0)
		abort();
	while (full ? r.looked < LONG_LOOKUPS : now() < end)
		check->change(check->arg, ++out.rounds);
	r.stop = true;
	pthread_join(thread, NULL);
	out.looked = r.looked;
	out.wrong = r.wrong;
	return out;
}
