/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what the halves of the open stage share. Worker thread. */
#ifndef SPW_DATAPLANE_ESP_OPEN_H
#define SPW_DATAPLANE_ESP_OPEN_H

#include "dataplane/sad_data.h"

/* How packets of the run at hand look. */
struct dp_open_form {
	uint64_t next;	 /* SPI << 32 | number of the one that continues the line */
	uint32_t front;	 /* ESP header and IV */
	uint32_t least;	 /* bytes of the shortest packet; DP_OPEN_NO_RUN = none is long enough */
	uint32_t align;	 /* of the text, and the length of the shortest */
	uint32_t odd;	 /* bits that length - least must not have: too short, or not aligned */
	uint32_t spi_be; /* for the jobs */
};
#define DP_OPEN_NO_RUN (UINT16_MAX + 1u)

/* What is to be opened, in the order of the burst: runs of one SA, and a job for each packet. */
struct dp_open_queue {
	uint32_t n, n_runs;
	struct dp_sa_in *sa; /* that the packet before has and may use; NULL: ask */
	struct dp_open_form form;
	struct dp_open_part {
		struct dp_sa_in *sa;
		uint32_t from; /* to that of the part behind it */
		bool in_line; /* all are of a possible length, each number one more than the last */
	} run[DP_BURST_ROOM + 1];
	uint16_t at[DP_BURST_ROOM]; /* index in the burst */
	struct dp_crypto_job job[DP_BURST_ROOM];
};

/*
 * Gather the packets of a burst that are to be opened, each with its SA, in one piece that is
 * nobody else's, and make their jobs: `seq` is what the packet shows (32 bits), and `text_len` 0
 * where no text can be as long as the packet wants it. What is dropped or parked leaves a gap
 * (NULL) in the burst.
 */
void dp_open_collect(struct dp_worker *w, struct dp_burst *b, struct dp_open_queue *q);

/* Packets of one SA; those that drop out are taken out of it. */
struct dp_open_run {
	struct dp_sa_in *sa;
	uint16_t n;
	bool in_line; /* as in the queue; after precheck also: no packet dropped out between two */
	/* The queue's; moved up when others drop out. */
	uint16_t *at;
	struct dp_crypto_job *job;
};

static inline void
dp_open_refuse(struct dp_worker *w, struct dp_burst *b, uint16_t at, enum dp_drop reason)
{
	dp_drop(w, b->pkt[at], reason);
	b->pkt[at] = NULL;
}

/* Keep the packet in place `from` of a run in place `to`. */
static inline void
dp_open_keep(struct dp_open_run *r, uint16_t from, uint16_t to)
{
	r->at[to] = r->at[from];
	r->job[to] = r->job[from];
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

/* Drop what the window of the run's SA refuses. */
void dp_open_refuse_replay(struct dp_worker *w, struct dp_burst *b, struct dp_sa_in *sa,
			   uint16_t at, enum dp_replay_verdict verdict);
/*
 * Judge the packets of a run, as they were collected, by their numbers: a job gets all 64 bits of
 * its own; those of an impossible length, and those whose number the window refuses (a hint that
 * saves the cipher, RFC 4303 3.4.3), are dropped and leave the run.
 */
void dp_open_precheck(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r);

#endif
