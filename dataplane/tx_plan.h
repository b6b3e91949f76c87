/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: which transmit queue of a port is whose.
 *
 * All ESP packets of one SA leave by one queue, whichever workers sealed them, because nothing
 * orders the queues of a device among each other. A queue that several workers use has a lock,
 * held for one call of the driver; nobody waits for it longer than DP_TX_PATIENCE_US.
 */
#ifndef SPW_DATAPLANE_TX_PLAN_H
#define SPW_DATAPLANE_TX_PLAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define DP_TX_QUEUES	  64 /* of a port, at most: two for each worker */
#define DP_TX_PATIENCE_US 20

struct dp_tx_plan {
	uint16_t n;	   /* queues in use */
	uint16_t sa_first; /* queue of an SA: sa_first + (slot & sa_mask) */
	uint16_t sa_mask;
	bool own_zero;	 /* other packets all go by queue 0; else by that of the worker's index */
	bool own_locked; /* and there are several workers on it */
	bool sa_own;	 /* one worker: SAs have no queue apart */
};

struct dp_tx_lock {
	atomic_flag held;
	_Atomic bool stuck; /* somebody waited in vain and it was not given back since */
} __attribute__((aligned(64)));

/* The plan for a device with `max` queues (at least 1) and `workers` workers. Pure. */
struct dp_tx_plan dp_tx_plan(unsigned int max, unsigned int workers);

/* The queue of a packet. @esp it is an ESP packet of ours, of the SA in `slot`. Pure. */
static inline uint16_t
dp_tx_queue(const struct dp_tx_plan *plan, unsigned int worker, bool esp, uint32_t slot)
{
	if (esp && !plan->sa_own)
		return (uint16_t)(plan->sa_first + (slot & plan->sa_mask));
	return plan->own_zero ? 0 : (uint16_t)worker;
}

/* Does this queue have a lock? Pure. */
static inline bool
dp_tx_locked(const struct dp_tx_plan *plan, uint16_t queue)
{
	return plan->own_locked || (!plan->sa_own && queue >= plan->sa_first);
}

#endif
