/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Claiming sequence numbers of one SA by several workers.
 *
 * `seq` is the newest number claimed. A worker reads it, surveys what the others have in flight,
 * lowers its own mark to seq + 1, and moves `seq` by compare-and-swap. Why the survey misses
 * nothing: a number up to `seq` was claimed by a successful swap, which is a release, and its
 * claimer's mark was stored before it; `seq` was read with acquire and the survey comes after. A
 * number claimed between the survey and the swap makes the swap fail. A mark read too late is one
 * that was raised meanwhile, after its packets were given to the transmit queue.
 *
 * A worker that was stopped between claim and transmit queue thus holds the others at most 63
 * numbers further on; they then wait and drop, and never reorder beyond a window of 64.
 *
 * Alone on an SA (nobody else has anything in flight or waits, and nobody claimed since) a worker
 * claims whole runs: one compare-and-swap on a line that no one else holds. Cost in company: one
 * line read for each other worker and one swap for each block, nothing for each packet. With one
 * worker in the process none of this is called.
 */
#include "dataplane/spread_claim.h"

#ifdef DP_SPREAD_POINTS
void dp_spread_point(void);
#else
#define dp_spread_point() ((void)0)
#endif

/* Look at the other workers; `v->seq` and `v->own` are set. */
static void
survey(struct dp_claim_view *v, const struct dp_sa_out_count *count, unsigned int n,
       unsigned int self)
{
	v->low = 0;
	v->company = v->seq != count[self].last;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t low;

		if (i == self)
			continue;
		dp_spread_point();
		/* Partner: dp_claim_sent(). */
		low = atomic_load_explicit(&count[i].low, memory_order_acquire);
		if (low != 0 && (v->low == 0 || low < v->low))
			v->low = low;
		if (atomic_load_explicit(&count[i].waits, memory_order_relaxed) != 0)
			v->company = true;
	}
	v->company |= v->low != 0;
}

/* Nothing now: others may know that we wait, and our mark must not hold them. */
static uint32_t
give_up(struct dp_sa_out_count *own, uint64_t was_low)
{
	if (atomic_load_explicit(&own->low, memory_order_relaxed) != was_low)
		dp_claim_sent(own, was_low);
	atomic_store_explicit(&own->waits, 1, memory_order_relaxed);
	return 0;
}

uint32_t
dp_claim(_Atomic uint64_t *seq, struct dp_sa_out_count *count, unsigned int n, unsigned int self,
	 uint32_t want, uint64_t *first)
{
	struct dp_sa_out_count *own = &count[self];
	struct dp_claim_view v = {.own = atomic_load_explicit(&own->low, memory_order_relaxed),
				  .block = dp_claim_block(n)};
	uint32_t room;

	v.seq = atomic_load_explicit(seq, memory_order_acquire);
	for (unsigned int tries = 0; tries < DP_CLAIM_TRIES; tries++) {
		survey(&v, count, n, self);
		room = dp_claim_room(&v, want);
		if (room == 0)
			break;
		dp_spread_point();
		if (v.own == 0)
			atomic_store_explicit(&own->low, v.seq + 1, memory_order_relaxed);
		dp_spread_point();
		if (!atomic_compare_exchange_strong_explicit(
			    seq, &v.seq, v.seq + room, memory_order_acq_rel, memory_order_acquire))
			continue;
		if (atomic_load_explicit(&own->waits, memory_order_relaxed) != 0)
			atomic_store_explicit(&own->waits, 0, memory_order_relaxed);
		own->last = v.seq + room;
		*first = v.seq + 1;
		return room;
	}
	return give_up(own, v.own);
}
