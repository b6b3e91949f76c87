/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPILLWAY_TESTS_LATENCY_H
#define SPILLWAY_TESTS_LATENCY_H

#include <stdint.h>

/* A histogram of times with 64 steps per power of two: percentiles within 1.6 %, fixed memory. */

#define LATENCY_STEPS	64
#define LATENCY_BUCKETS (LATENCY_STEPS * 59)

struct latency {
	uint64_t count;
	uint64_t bucket[LATENCY_BUCKETS];
};

/* Count one time in nanoseconds. */
void latency_add(struct latency *hist, uint64_t ns);

/* Return the time in microseconds below which `percent` (0-100) of the samples lie; 0 if none. */
double latency_percentile_us(const struct latency *hist, double percent);

#endif
