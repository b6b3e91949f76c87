/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: sequence numbers of one outbound SA claimed by several workers, so that a
 * receiver whose window is 64 numbers wide accepts all of them (RFC 4303 3.4.3: at least 32, 64
 * by default), whatever happens to a worker between claiming a number and sending it.
 *
 * A number is in flight from its claim until its packet was given to the SA's transmit queue, or
 * dropped. The rule: the newest number claimed is never more than 63 ahead of the oldest that
 * another worker has in flight. A worker's own numbers leave in order and need no bound.
 */
#ifndef SPW_DATAPLANE_SPREAD_CLAIM_H
#define SPW_DATAPLANE_SPREAD_CLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define DP_CLAIM_WINDOW 64 /* numbers that a receiver surely takes out of order */
#define DP_CLAIM_LEAST	4  /* numbers in the smallest block */
#define DP_CLAIM_TRIES	8  /* lost races before a worker waits */

/*
 * One worker's part of an outbound SA, in a cache line of its own. Zeroed = nothing in flight.
 * That worker writes, the others and the API thread read.
 */
struct dp_sa_out_count {
	/*
	 * Not above the oldest number in flight; 0 = none. Set before the claim that makes it true
	 * becomes visible, raised (release) when the packets are with the transmit queue.
	 */
	_Atomic uint64_t low;
	_Atomic uint32_t waits; /* its packets wait for numbers; relaxed */
	uint64_t last;		/* newest number that this worker claimed; its own */
} __attribute__((aligned(64)));

/* What a worker sees of the others before it claims. */
struct dp_claim_view {
	uint32_t block; /* dp_claim_block() */
	uint64_t seq;	/* newest number claimed by anybody */
	uint64_t own;	/* oldest own number in flight, 0 = none */
	uint64_t low;	/* oldest number of others in flight, 0 = none */
	bool company;	/* others send on the SA, or want to */
};

/*
 * Numbers that a worker has in flight at most while others send on the SA, too: then all of them
 * fit in the window, and nobody waits unless somebody stands still. Pure.
 */
static inline uint32_t
dp_claim_block(unsigned int workers)
{
	unsigned int doublings = workers > 1 ? 32u - (unsigned int)__builtin_clz(workers - 1) : 0;
	uint32_t block = doublings < 7 ? DP_CLAIM_WINDOW >> doublings : 0;

	return block > DP_CLAIM_LEAST ? block : DP_CLAIM_LEAST;
}

/*
 * How many of `want` numbers may be claimed now. Pure.
 * Alone, all. In company, up to a block in flight of one's own, so that the others come to their
 * turn, and never beyond the window behind the oldest of another.
 */
static inline uint32_t
dp_claim_room(const struct dp_claim_view *v, uint32_t want)
{
	uint64_t end = v->seq + want, most;

	if (!v->company)
		return want;
	most = (v->own != 0 ? v->own - 1 : v->seq) + v->block;
	if (end > most)
		end = most;
	if (v->low != 0 && end > v->low + DP_CLAIM_WINDOW - 1)
		end = v->low + DP_CLAIM_WINDOW - 1;
	return end > v->seq ? (uint32_t)(end - v->seq) : 0;
}

/*
 * Claim numbers *first.. for worker `self`.
 * @seq    newest number claimed, of the SA
 * @count  each worker's part, n of them
 * Returns how many, at most `want`; 0: none now, ask again after the next burst, or
 * dp_claim_forget().
 */
uint32_t dp_claim(_Atomic uint64_t *seq, struct dp_sa_out_count *count, unsigned int n,
		  unsigned int self, uint32_t want, uint64_t *first);

/*
 * The worker's packets below `low` are with the transmit queue or dropped; 0 = all it ever claimed.
 * Numbers never go back.
 */
static inline void
dp_claim_sent(struct dp_sa_out_count *own, uint64_t low)
{
	/* Partner: the survey in dp_claim(). */
	atomic_store_explicit(&own->low, low, memory_order_release);
}

/* No packets of the worker wait any more; after dp_claim() returned 0 and they were dropped. */
static inline void
dp_claim_forget(struct dp_sa_out_count *own)
{
	atomic_store_explicit(&own->waits, 0, memory_order_relaxed);
}

#endif
