/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what the halves of the seal stage share. Worker thread. */
#ifndef SPW_DATAPLANE_ESP_SEAL_H
#define SPW_DATAPLANE_ESP_SEAL_H

#include "dataplane/sad_data.h"

/* Flags of packets that are not counted as transit alone. */
#define DP_COUNTED_APART (DP_PKT_FROM_TWIN | DP_PKT_ER_STOOD)

/* Packets of one SA that follow each other in the burst. */
struct dp_seal_run {
	struct dp_sa_out *sa;
	struct dp_crypto_job *job; /* of the packets that have their numbers */
	uint64_t seq;		   /* before the first */
	uint64_t bytes;
	uint16_t from; /* index of the first */
	uint16_t n;
	uint8_t flags; /* of any of them */
};

/* Drop the packet in place `at` of the burst. */
static inline void
dp_seal_refuse(struct dp_worker *w, struct dp_burst *b, uint16_t at, enum dp_drop reason)
{
	dp_drop(w, b->pkt[at], reason);
	b->pkt[at] = NULL;
}

/*
 * Numbers and bytes for a run of packets that are as they came. What is beyond a limit is dropped,
 * what gets no number now waits (several workers); `n`, `seq` and `bytes` of the run are set.
 */
void dp_seal_claim(struct dp_worker *w, struct dp_burst *b, struct dp_seal_run *r);
/* Count a run that goes into a tunnel, by what its packets are. */
void dp_seal_count(struct dp_worker *w, const struct dp_burst *b, const struct dp_seal_run *r);
/* A packet that was counted and written does not go out after all; its number is used up. */
void dp_seal_uncount(struct dp_worker *w, struct dp_sa_out *sa, struct rte_mbuf *m);

#endif
