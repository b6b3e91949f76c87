/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: what a worker keeps about sealing on SAs that other workers seal on, too:
 * packets that wait for sequence numbers, and SAs whose numbers are in flight until the burst is
 * sent. A worker that is alone has none of it.
 */
#ifndef SPW_DATAPLANE_SPREAD_SEAL_H
#define SPW_DATAPLANE_SPREAD_SEAL_H

#include "dataplane/packet.h"

#define DP_SEAL_WAIT	512  /* packets that may wait; a power of two */
#define DP_SEAL_WAIT_US 5000 /* and how long */
#define DP_SEAL_HIGH	256  /* with as many a worker receives nothing more .. */
#define DP_SEAL_HOLD_US 100  /* .. for so long, once until some get through */

struct dp_sa_out;
struct dp_worker;

struct dp_seal {
	uint32_t head, n; /* of the ring */
	uint64_t patience_tsc, hold_tsc;
	bool stuck; /* they were held for in vain */
	struct dp_seal_item {
		struct rte_mbuf *m;
		uint64_t since_tsc;
	} ring[DP_SEAL_WAIT];
	/* While packets from the ring are tried again: which, and those that go back. */
	bool again;
	uint32_t n_tried, n_back;
	struct dp_seal_item tried[DP_BURST], back[DP_BURST];
	/* SAs on which the burst at hand has numbers: at most one a packet and DP_ROUNDS. */
	uint32_t n_noted;
	struct dp_sa_out *noted[3 * DP_BURST_ROOM];
};

/* Make one; NULL without memory. @hz TSC ticks a second. The caller frees with dp_seal_free(). */
struct dp_seal *dp_seal_new(uint64_t hz);
/* Free; packets in it are dropped before by dp_seal_flush(). NULL is fine. */
void dp_seal_free(struct dp_seal *s);

/* Must packets for this tunnel wait because earlier ones do? */
bool dp_seal_holds(const struct dp_seal *s, uint32_t tunnel);
/*
 * Let a packet (next SEAL) wait for a number of `sa`; or drop it when too many wait or it waited
 * too long. The packet is out of the burst either way.
 */
void dp_seal_wait(struct dp_worker *w, struct dp_sa_out *sa, struct rte_mbuf *m);
/* Put the oldest waiting packets into the empty burst `b`, to be tried once more. */
void dp_seal_take(struct dp_seal *s, struct dp_burst *b);
/* The burst of dp_seal_take() has been tried. True when some of it got through or was dropped. */
bool dp_seal_tried(struct dp_seal *s);
/* The burst at hand has numbers of `sa`. */
void dp_seal_note(struct dp_seal *s, struct dp_sa_out *sa);
/* The burst was given to the transmit queues: its numbers are in flight no more. */
void dp_seal_sent(struct dp_worker *w);
/* Drop all that wait; when the worker ends. */
void dp_seal_flush(struct dp_worker *w);

#endif
