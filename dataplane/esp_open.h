/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what the halves of the open stage share. Worker thread. */
#ifndef SPW_DATAPLANE_ESP_OPEN_H
#define SPW_DATAPLANE_ESP_OPEN_H

#include "dataplane/sad_data.h"

struct dp_open_item {
	struct rte_mbuf *m;
	struct dp_sa_in *sa;
	uint16_t at; /* index in the burst */
};

/* What is to be opened, in the order of the burst. */
struct dp_open_queue {
	uint16_t n;
	uint16_t n_runs;
	bool other; /* the next packet's SA is not that of the one before, or was asked for */
	struct dp_sa_in *sa; /* that the packet before has and may use; NULL: ask */
	struct dp_open_item item[DP_BURST_ROOM];
	/* Items of one SA that follow each other: from run[k] to run[k + 1]. */
	uint16_t run[DP_BURST_ROOM + 1];
};

/*
 * Gather the packets of a burst that are to be opened, each with its SA, in one piece that is
 * nobody else's. What is dropped or parked leaves a gap (NULL) in the burst.
 */
void dp_open_collect(struct dp_worker *w, struct dp_burst *b, struct dp_open_queue *q);

/* Packets of one SA; those that drop out are taken out of it. */
struct dp_open_run {
	struct dp_sa_in *sa;
	uint16_t n;
	struct dp_open_item *item; /* the queue's; moved up when others drop out */
	struct dp_crypto_job job[DP_CRYPTO_RUN];
	uint16_t trailer[DP_CRYPTO_RUN]; /* padding, its length, next header; 0 = not possible */
	bool in_line;			 /* no packet dropped, each number one more than the last */
};

static inline void
dp_open_refuse(struct dp_worker *w, struct dp_burst *b, const struct dp_open_item *item,
	       enum dp_drop reason)
{
	dp_drop(w, item->m, reason);
	b->pkt[item->at] = NULL;
}

/* The window and the counters of an SA are for one worker at a time. */
static inline void
dp_open_guard(const struct dp_sad *sad, struct dp_sa_in *sa)
{
	if (sad->shared)
		rte_spinlock_lock(&sa->guard);
}

static inline void
dp_open_unguard(const struct dp_sad *sad, struct dp_sa_in *sa)
{
	if (sad->shared)
		rte_spinlock_unlock(&sa->guard);
}

/* Add one to a counter that any worker writes. */
static inline void
dp_count_shared(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Drop what the window refuses. */
void dp_open_refuse_replay(struct dp_worker *w, struct dp_burst *b, const struct dp_open_item *item,
			   enum dp_replay_verdict verdict);
/*
 * Make the jobs of the `n` items of a run; those of a wrong length, and those whose number the
 * window refuses (a hint that saves the cipher, RFC 4303 3.4.3), are dropped and leave the run.
 */
void dp_open_precheck(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r, uint16_t n);

#endif
