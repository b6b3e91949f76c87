/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How workers share the transmit queues of a port. With one worker there is nothing to share. With
 * enough queues each worker has one that nobody else touches, and ESP has up to as many more; with
 * one for each worker ESP uses the same ones, and all have locks; with fewer, all send by queue 0.
 * The queues of ESP are a power of two, so that a mask finds an SA's. Pure.
 */
#include "dataplane/tx_plan.h"

/* The largest power of two up to n, which is not 0. */
static unsigned int
power_below(unsigned int n)
{
	return 1u << (31 - __builtin_clz(n));
}

struct dp_tx_plan
dp_tx_plan(unsigned int max, unsigned int workers)
{
	struct dp_tx_plan plan = {.n = 1};
	unsigned int apart;

	if (max > DP_TX_QUEUES)
		max = DP_TX_QUEUES;
	if (workers == 1) {
		plan.sa_own = true;
		return plan;
	}
	if (max <= workers) {
		plan.own_zero = max < workers;
		plan.own_locked = true;
		plan.n = (uint16_t)(plan.own_zero ? 1 : workers);
		plan.sa_mask = (uint16_t)(power_below(plan.n) - 1);
		return plan;
	}
	apart = power_below(max - workers < workers ? max - workers : workers);
	plan.sa_first = (uint16_t)workers;
	plan.sa_mask = (uint16_t)(apart - 1);
	plan.n = (uint16_t)(workers + apart);
	return plan;
}
