/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the cipher work of one SA spread over several workers, in chunks.
 *
 * A worker that has more packets of one SA than it can open or seal in time (the owner) puts them
 * into chunks and offers these; workers with nothing to do run them; the owner takes the results
 * back in the order in which it put the packets in. See spread.c for how, docs/scaling.md for why.
 */
#ifndef SPW_DATAPLANE_SPREAD_H
#define SPW_DATAPLANE_SPREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/crypto/crypto.h"

#define DP_CHUNK_PKTS	32	   /* packets in a chunk, at most */
#define DP_CHUNK_BYTES	(16 << 10) /* of text; with the packet that reaches it a chunk is full */
#define DP_CHUNKS	256	   /* of one owner; a power of two */
#define DP_LANES	32	   /* SAs whose packets are out at once, of one owner */
#define DP_LANE_CHUNKS	96	   /* out for one SA at once; what comes then is dropped */
#define DP_SPREAD_MAX	64	   /* workers */
#define DP_SPREAD_WORTH (8 << 10)  /* bytes of text in a run that are worth a hand-off */
#define DP_SPREAD_LEAVE 4	   /* fresh chunks left to each helper over a receive */

struct rte_mbuf;

/* What becomes of the packets of a chunk when they are back. */
enum dp_lane_kind { DP_LANE_OPEN, DP_LANE_SEAL };

/*
 * Packets of one SA, to be sealed or opened by one call. Between dp_spread_add() and
 * dp_spread_retire() whoever runs it reads the first part and writes the last.
 */
struct dp_chunk {
	dp_crypto_run_t run;
	const struct dp_crypto_key *key;
	uint32_t n;
	uint32_t text; /* bytes of text */
	struct dp_crypto_job job[DP_CHUNK_PKTS];
	/* The owner's alone. */
	struct rte_mbuf *pkt[DP_CHUNK_PKTS] __attribute__((aligned(64)));
	void *sa; /* struct dp_sa_in or dp_sa_out, by `kind` */
	struct dp_chunk *next;
	enum dp_lane_kind kind;
	uint8_t era;
	bool kept; /* never offered: run by the owner, waits behind others */
	/* Written by whoever runs it. */
	uint64_t good __attribute__((aligned(64))); /* bit i: packet i is sealed or authentic */
	_Atomic uint32_t done;			    /* release, after `good`; the owner acquires */
} __attribute__((aligned(64)));

/* What was done, in chunks; the worker writes, others may read (relaxed). */
struct dp_spread_count {
	_Atomic uint64_t offered; /* put out for others */
	_Atomic uint64_t own;	  /* of these, run by the owner itself */
	_Atomic uint64_t helped;  /* other owners' chunks run by this worker */
	_Atomic uint64_t kept;	  /* run at once, queued behind others for the order */
	_Atomic uint64_t refused; /* packets: no room behind a chunk that does not end */
};

/* The chunks of one SA that are out, oldest first. The owner's alone. */
struct dp_lane {
	void *sa;
	struct dp_chunk *first, *last;
	uint32_t chunks;
};

/* One worker's part. */
struct dp_spread {
	/* Chunks ever offered; the owner adds (release), whoever takes one acquires. */
	_Atomic uint64_t offered __attribute__((aligned(64)));
	_Atomic(struct dp_chunk *) slot[DP_CHUNKS]; /* by number; valid while untaken */
	/* Chunks ever taken: who moves it from n to n + 1 runs chunk n, and nobody else does. */
	_Atomic uint64_t taken __attribute__((aligned(64)));
	/* Written by this worker, read by the others (relaxed). */
	_Atomic uint32_t hungry __attribute__((aligned(64))); /* has nothing else to do */
	_Atomic uint32_t wants;				      /* has more than it can do */
	struct dp_spread_count count __attribute__((aligned(64)));
	/* This worker's alone. */
	struct dp_spread *all[DP_SPREAD_MAX] __attribute__((aligned(64)));
	unsigned int index, n_all;
	unsigned int next_help; /* whom to ask first */
	uint32_t n_lanes;	/* of which lane[0..n_lanes) are in use */
	uint32_t n_free;
	uint32_t out[2];	     /* chunks that are out, by era */
	uint8_t era;		     /* of new chunks */
	uint64_t era_token;	     /* seen when the era began */
	uint64_t offered_was, stale; /* before the last receive, and before the one before */
	bool wanting;		     /* a run since the last turn was worth help */
	struct dp_lane lane[DP_LANES];
	struct dp_chunk *free[DP_CHUNKS];
	struct dp_chunk *chunks;
};

/* One run of packets of one SA, all out of one burst. */
struct dp_spread_run {
	enum dp_lane_kind kind;
	void *sa; /* lives until the owner's next quiescent state; see dp_spread_quiesce() */
	dp_crypto_run_t run;
	const struct dp_crypto_key *key;
	const struct dp_crypto_job *job;
	struct rte_mbuf *const *pkt;
	uint32_t n;
};

enum dp_spread_way {
	DP_SPREAD_INLINE, /* not at all: the caller runs the cipher and goes on with the burst */
	DP_SPREAD_KEEP,	  /* the owner runs it now, but the results wait behind what is out */
	DP_SPREAD_LEND,	  /* offer it to the others */
};

/*
 * What to do with a run. Pure.
 * @waiting  packets of the SA are out, so that none may overtake them
 * @backlog  the receive queue had more than fits a burst
 * @hungry   other workers that have nothing to do
 * @bytes    of text in the run
 */
static inline enum dp_spread_way
dp_spread_choose(bool waiting, bool backlog, unsigned int hungry, uint32_t bytes)
{
	if (backlog && hungry != 0 && bytes >= DP_SPREAD_WORTH)
		return DP_SPREAD_LEND;
	return waiting ? DP_SPREAD_KEEP : DP_SPREAD_INLINE;
}

/*
 * Up to which chunk the owner runs its own between two receives: all that have waited over a whole
 * receive, and of the others all but a few for each helper, so that these do not run dry while it
 * receives. Pure.
 * @offered  chunks ever offered
 * @stale    of these, offered before the last receive but one
 */
static inline uint64_t
dp_spread_until(uint64_t offered, uint64_t stale, unsigned int hungry)
{
	uint64_t leave = (uint64_t)hungry * DP_SPREAD_LEAVE;
	uint64_t until = offered > leave ? offered - leave : 0;

	return until > stale ? until : stale;
}

/* Make the part of worker `index`; NULL without memory. The caller frees with dp_spread_free(). */
struct dp_spread *dp_spread_new(unsigned int index);
/* Free; no chunk may be out. NULL is fine. */
void dp_spread_free(struct dp_spread *s);
/* Tell a worker of all workers' parts, its own among them. Before it runs. */
void dp_spread_join(struct dp_spread *s, struct dp_spread *const *all, unsigned int n);

/* Other workers that say they have nothing to do. Any worker, about itself. */
unsigned int dp_spread_hungry(const struct dp_spread *s);
/* Does an owner other than this worker have more than it can do? */
bool dp_spread_wanted(const struct dp_spread *s);
/* Tell the others that this worker has nothing to do, or has; a store only when it changes. */
static inline void
dp_spread_set_hungry(struct dp_spread *s, bool yes)
{
	if (atomic_load_explicit(&s->hungry, memory_order_relaxed) != yes)
		atomic_store_explicit(&s->hungry, yes, memory_order_relaxed);
}
/* Tell the others whether this worker has more than it can do; a store only when it changes. */
static inline void
dp_spread_set_wants(struct dp_spread *s, bool yes)
{
	if (atomic_load_explicit(&s->wants, memory_order_relaxed) != yes)
		atomic_store_explicit(&s->wants, yes, memory_order_relaxed);
}

/* Is anything of this owner out? */
static inline bool
dp_spread_out(const struct dp_spread *s)
{
	return s->out[0] + s->out[1] != 0;
}

/* Can an SA without packets out have some? Owner. */
static inline bool
dp_spread_room(const struct dp_spread *s)
{
	return s->n_lanes < DP_LANES && s->n_free > DP_LANE_CHUNKS / 2;
}

/* The oldest chunk of this SA that is out; NULL when none is. Owner. */
const struct dp_chunk *dp_spread_oldest(const struct dp_spread *s, const void *sa);

/* What to do with a run of an SA, by what this worker sees now. */
static inline enum dp_spread_way
dp_spread_way(struct dp_spread *s, const void *sa, bool backlog, uint32_t bytes)
{
	bool waiting = dp_spread_oldest(s, sa) != NULL;
	bool could = backlog && bytes >= DP_SPREAD_WORTH && (waiting || dp_spread_room(s));

	s->wanting |= could;
	return dp_spread_choose(waiting, could, could ? dp_spread_hungry(s) : 0, bytes);
}

/*
 * Put the packets of a run behind those of the same SA that are out, in the way LEND or KEEP.
 * Returns how many were taken, from the front; the rest is the caller's to drop: a chunk does not
 * end and as much waits behind it as may. An SA without packets out needs dp_spread_room(). Owner.
 */
uint32_t dp_spread_add(struct dp_spread *s, struct dp_crypto *c, const struct dp_spread_run *run,
		       enum dp_spread_way way);
/*
 * Run the oldest chunk of `owner` that nobody has started; false when there is none. The owner and
 * its helpers, each with the cipher manager of its own.
 */
bool dp_spread_run_one(struct dp_spread *owner, struct dp_crypto *c);
/* Owner, once between two receives: run what helpers left, but for what is freshest. */
void dp_spread_run_own(struct dp_spread *s, struct dp_crypto *c, bool leave_some);
/* Run one chunk of another owner; false when none has any. */
bool dp_spread_help(struct dp_spread *s, struct dp_crypto *c);
/*
 * The next chunk that is done and the oldest of its SA; NULL when there is none. Give it back with
 * dp_spread_put(). Owner.
 */
struct dp_chunk *dp_spread_retire(struct dp_spread *s);
void dp_spread_put(struct dp_spread *s, struct dp_chunk *chunk);
/*
 * For quiescence: what is out holds SAs and keys that were published when it was put out. Given
 * the token of the moment, returns the newest token that may be reported, 0 for none: nothing that
 * was obtained before that token was current is held any more. Owner, between two bursts.
 */
uint64_t dp_spread_quiesce(struct dp_spread *s, uint64_t token);

/* Where the tests of interleavings stop a thread; nothing in the product. */
#ifdef DP_SPREAD_POINTS
void dp_spread_point(void);
#else
static inline void
dp_spread_point(void)
{
}
#endif

#endif
