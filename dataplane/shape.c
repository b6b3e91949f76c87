/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic classes and the token buckets of tunnels with a capacity: how they are made.
 *
 * A worker runs each burst to its end, so there is no queue in which a packet could wait for its
 * turn; a packet goes at once or not at all, and the rule (shape.h) decides which. What it
 * promises, in any stretch of time and with B the bytes that all buckets hold when full:
 *   - no more than capacity x time + B passes, because every packet takes from the whole, and the
 *     classes' own buckets together fill no faster than the whole does;
 *   - a class that offers no more than its share (and its bucket at once) loses nothing, because
 *     nobody else takes from its bucket;
 *   - what is left over goes to the most important class that wants it: each must leave a quarter
 *     of the whole more than the next important one, so while a more important class still takes
 *     what comes in, the level stays below what the others must leave;
 *   - the gateway's own packets always pass, and their class pays for them later.
 *
 * A bucket is one number, the bytes spent so far; the bytes that came in are a function of the
 * clock. So there is no refill that somebody would have to do, nor a division, and several workers
 * share a tunnel by adding to that number once for each run of packets. Two workers that look at
 * once may both take the last tokens: the bucket then owes them, at most one burst for each further
 * worker, and pays before anybody takes again.
 *
 * Marks nothing: Azure does not look at them, and a DSCP that was changed would not come back.
 * Pure: no DPDK, no threads of its own.
 */
#include "dataplane/shape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Network control, voice and what admission let in (RFC 4594, RFC 5865); video, signalling and
 * interactive; default and all others; background (RFC 3662, RFC 8622).
 */
const struct spw_dp_classes dp_classes_default = {
	.of_dscp = {2, 3, 2, 2, 2, 2, 2, 2,  /* default, LE */
		    3, 2, 2, 2, 2, 2, 2, 2,  /* CS1, AF1x */
		    2, 2, 2, 2, 2, 2, 2, 2,  /* CS2, AF2x */
		    1, 2, 1, 2, 1, 2, 1, 2,  /* CS3, AF3x */
		    1, 2, 1, 2, 1, 2, 1, 2,  /* CS4, AF4x */
		    1, 2, 2, 2, 0, 2, 0, 2,  /* CS5, VOICE-ADMIT, EF */
		    0, 2, 2, 2, 2, 2, 2, 2,  /* CS6 */
		    0, 2, 2, 2, 2, 2, 2, 2}, /* CS7 */
	.share_percent = {20, 40, 30, 10},
};

int
dp_classes_check(const struct spw_dp_classes *c, struct spw_err *err)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < sizeof(c->of_dscp); i++)
		if (c->of_dscp[i] >= SPW_DP_CLASSES)
			return spw_fail(err, -EINVAL,
					"classes: code point %u has class %u; they go from 0 to %d",
					i, c->of_dscp[i], SPW_DP_CLASSES - 1);
	for (unsigned int i = 0; i < SPW_DP_CLASSES; i++)
		sum += c->share_percent[i];
	if (sum > 100)
		return spw_fail(err, -EINVAL,
				"classes: the shares add up to %u %%; at most 100 can be kept",
				sum);
	return 0;
}

/* Bytes that a bucket of so many bytes a second holds. */
static int64_t
depth_of(uint64_t rate, int64_t least)
{
	int64_t depth = (int64_t)(rate * DP_SHAPE_BURST_MS / 1000);

	if (rate == 0)
		return 0;
	return depth > least ? depth : least;
}

static void
bucket_init(struct dp_shape *s, unsigned int i, uint64_t rate, int64_t least, uint64_t hz)
{
	s->bucket[i].rate =
		(uint64_t)(((unsigned __int128)rate << DP_SHAPE_RATE_BITS) / hz); /* rounds down */
	s->bucket[i].depth = depth_of(rate, least);
	atomic_init(&s->spent[i], -s->bucket[i].depth);
}

struct dp_shape *
dp_shape_new(uint32_t capacity_kbps, const struct spw_dp_classes *c, uint64_t hz, uint64_t now_tsc,
	     struct dp_shape_count *count)
{
	struct dp_shape *s = aligned_alloc(_Alignof(struct dp_shape), sizeof(*s));
	uint64_t rate = (uint64_t)capacity_kbps * 125;

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->since_tsc = now_tsc;
	s->count = count;
	s->capacity_kbps = capacity_kbps;
	bucket_init(s, DP_SHAPE_WHOLE, rate, DP_SHAPE_WHOLE_MIN, hz);
	for (unsigned int i = 0; i < SPW_DP_CLASSES; i++) {
		bucket_init(s, i, rate * c->share_percent[i] / 100, DP_SHAPE_CLASS_MIN, hz);
		s->leave[i] = s->bucket[DP_SHAPE_WHOLE].depth * (int64_t)i / SPW_DP_CLASSES;
	}
	return s;
}
