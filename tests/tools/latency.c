/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Percentiles of one-way latency in fixed memory.
 *
 * Values below 64 ns have a bucket each; above, each power of two is cut into 64 equal steps, so a
 * bucket is at most 1/64 of its value wide. The percentile answers with the lower edge of the
 * bucket that holds the wanted rank: never more than what was measured.
 */
#include "tests/tools/latency.h"

static unsigned int
bucket_of(uint64_t ns)
{
	unsigned int top;

	if (ns < LATENCY_STEPS)
		return (unsigned int)ns;
	top = 63u - (unsigned int)__builtin_clzll(ns);
	return (top - 5) * LATENCY_STEPS + (unsigned int)((ns >> (top - 6)) - LATENCY_STEPS);
}

static uint64_t
lower_edge(unsigned int bucket)
{
	unsigned int octave = bucket / LATENCY_STEPS;

	if (octave == 0)
		return bucket;
	return (uint64_t)(LATENCY_STEPS + bucket % LATENCY_STEPS) << (octave - 1);
}

void
latency_add(struct latency *hist, uint64_t ns)
{
	hist->bucket[bucket_of(ns)]++;
	hist->count++;
}

double
latency_percentile_us(const struct latency *hist, double percent)
{
	uint64_t wanted = (uint64_t)((double)hist->count * percent / 100.0);
	uint64_t below = 0;
	unsigned int i;

	if (hist->count == 0)
		return 0;
	for (i = 0; i < LATENCY_BUCKETS; i++) {
		below += hist->bucket[i];
		if (below > wanted || below == hist->count)
			break;
	}
	return (double)lower_edge(i) / 1000.0;
}
