/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of the FIBs: a reader that checks bursts while the test writes. */
#ifndef SPW_TESTS_FIB_BED_H
#define SPW_TESTS_FIB_BED_H

#include <stdbool.h>
#include <stdint.h>

struct rte_rcu_qsbr;

#define FIB_BED_BURST 64

struct fib_bed_check {
	/* Look a burst up and return how many of its leaves are wrong. The reader's thread. */
	unsigned int (*burst)(void *arg, uint64_t random);
	/* Make a change. The test's thread. */
	void (*change)(void *arg, uint32_t round);
	void *arg;
};

struct fib_bed_result {
	uint64_t looked, wrong;
	uint32_t rounds;
};

/* For one thread; ends the process when memory is short. */
struct rte_rcu_qsbr *fib_bed_qsbr(void);
/*
 * Change and look up at the same time: for `seconds`, or with SPW_LONG=1 in the environment until
 * 10^9 addresses were looked up. The reader reports quiescence after each burst.
 */
struct fib_bed_result fib_bed_churn(struct rte_rcu_qsbr *qsbr, const struct fib_bed_check *check,
				    double seconds);
/* The next of a row of random numbers; seeds are never 0. */
uint64_t fib_bed_random(uint64_t *state);

#endif
