/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: who may use a tunnel's capacity when it does not suffice for all. Pure.
 *
 * Five token buckets of one tunnel: one for each class, filled at its guaranteed share, and one for
 * the whole, filled at the capacity. A packet of a class that has tokens passes and takes from its
 * own bucket and the whole; one of a class that has none passes while the whole holds more than the
 * class must leave to more important ones, and takes from the whole alone.
 */
#ifndef SPW_DATAPLANE_SHAPE_H
#define SPW_DATAPLANE_SHAPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ecn.h"
#include "lib/spillway.h"

#define DP_SHAPE_BUCKETS   (SPW_DP_CLASSES + 1)
#define DP_SHAPE_WHOLE	   SPW_DP_CLASSES /* index of the bucket of the whole */
#define DP_SHAPE_BURST_MS  50		  /* a bucket holds what comes in so long, or at least.. */
#define DP_SHAPE_CLASS_MIN 16384	  /* ..bytes of a class with a share */
#define DP_SHAPE_WHOLE_MIN 65536	  /* ..bytes of the whole */
#define DP_SHAPE_RATE_BITS 48		  /* of dp_shape_bucket.rate after the point */

/* Of one worker; a cache line. Written by the worker alone, read by the API thread (relaxed). */
struct dp_shape_count {
	uint64_t passed[SPW_DP_CLASSES], dropped[SPW_DP_CLASSES];
} __attribute__((aligned(64)));

struct dp_shape_bucket {
	uint64_t rate; /* bytes in a TSC tick, fixed point */
	int64_t depth; /* most bytes it holds, and most that own packets may owe it */
};

/*
 * One tunnel's. Published; does not change but for `spent`: bytes taken since `since_tsc`, of which
 * what came in since then is the other side. A bucket starts full: -depth.
 */
struct dp_shape {
	uint64_t since_tsc;
	struct dp_shape_count *count; /* [worker]; borrowed, outlives the object */
	struct dp_shape_bucket bucket[DP_SHAPE_BUCKETS];
	int64_t leave[SPW_DP_CLASSES]; /* what a borrowing class leaves in the whole */
	uint32_t capacity_kbps;
	/* All workers add, once for each run of packets and bucket. */
	_Atomic int64_t spent[DP_SHAPE_BUCKETS] __attribute__((aligned(64)));
};

/* Packets of one tunnel that follow each other, of one worker: levels as they were and are. */
struct dp_shape_run {
	struct dp_shape *shape;
	int64_t came[DP_SHAPE_BUCKETS]; /* bytes since the shape was made */
	int64_t was[DP_SHAPE_BUCKETS], level[DP_SHAPE_BUCKETS];
};

/* The classes when none were configured. */
extern const struct spw_dp_classes dp_classes_default;

/* Check classes that were sent: 0, or -EINVAL with a sentence. */
int dp_classes_check(const struct spw_dp_classes *c, struct spw_err *err)
	__attribute__((warn_unused_result));

/*
 * Make a tunnel's shape, all buckets full.
 * @capacity_kbps  more than 0
 * @hz             of the TSC
 * NULL when memory is short; the caller frees with free().
 */
struct dp_shape *dp_shape_new(uint32_t capacity_kbps, const struct spw_dp_classes *c, uint64_t hz,
			      uint64_t now_tsc, struct dp_shape_count *count);

/* The class of an IP packet; 20 octets are read. */
static inline unsigned int
dp_class_of(const struct spw_dp_classes *c, const uint8_t *ip, bool ipv6)
{
	return c->of_dscp[(ipv6 ? dp_ip6_class(ip) : ip[1]) >> 2];
}

/* Bytes that come in at a rate in some ticks; none when the clock is a moment behind. */
static inline int64_t
dp_shape_came(uint64_t rate, int64_t ticks)
{
	if (ticks < 0)
		return 0;
	return (int64_t)((unsigned __int128)rate * (uint64_t)ticks >> DP_SHAPE_RATE_BITS);
}

/* Read the levels. Worker thread. */
static inline void
dp_shape_begin(struct dp_shape_run *r, struct dp_shape *s, uint64_t now_tsc)
{
	r->shape = s;
	for (unsigned int i = 0; i < DP_SHAPE_BUCKETS; i++) {
		const struct dp_shape_bucket *b = &s->bucket[i];
		int64_t spent = atomic_load_explicit(&s->spent[i], memory_order_relaxed);
		int64_t level;

		r->came[i] = dp_shape_came(b->rate, (int64_t)(now_tsc - s->since_tsc));
		level = r->came[i] - spent;
		r->was[i] = r->level[i] = level < b->depth ? level : b->depth;
	}
}

/* Take from a bucket what it may owe; what is beyond that is forgotten. */
static inline void
dp_shape_owe(int64_t *level, int64_t depth, uint32_t len)
{
	int64_t after = *level - len;

	if (after >= -depth)
		*level = after;
	else if (*level > -depth)
		*level = -depth;
}

/*
 * The rule: may a packet of `len` inner bytes go? The gateway's own always may, and their class
 * owes what it has not.
 */
static inline bool
dp_shape_admit(struct dp_shape_run *r, unsigned int class, uint32_t len, bool own)
{
	const struct dp_shape *s = r->shape;
	int64_t *mine = &r->level[class], *whole = &r->level[DP_SHAPE_WHOLE];

	if (own) {
		dp_shape_owe(mine, s->bucket[class].depth, len);
		dp_shape_owe(whole, s->bucket[DP_SHAPE_WHOLE].depth, len);
		return true;
	}
	if (*mine > 0)
		*mine -= len;
	else if (*whole <= s->leave[class])
		return false;
	*whole -= len;
	return true;
}

/*
 * Write what the run took. Other workers may have taken the same tokens meanwhile: both are
 * written, and the bucket owes what it did not hold.
 */
static inline void
dp_shape_end(const struct dp_shape_run *r)
{
	struct dp_shape *s = r->shape;

	for (unsigned int i = 0; i < DP_SHAPE_BUCKETS; i++) {
		int64_t taken = r->was[i] - r->level[i], full = r->came[i] - s->bucket[i].depth;
		int64_t spent = atomic_load_explicit(&s->spent[i], memory_order_relaxed);

		if (taken == 0)
			continue;
		while (!atomic_compare_exchange_weak_explicit(
			&s->spent[i], &spent, (spent < full ? full : spent) + taken,
			memory_order_relaxed, memory_order_relaxed))
			;
	}
}

#endif
