/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time: the monotonic clock for the program, the wall clock for the reader.
 *
 * Every timer, lifetime and age is in nanoseconds of CLOCK_MONOTONIC, so a jump of the wall clock
 * ends no SA and starts no rekey. Pure but for the two clock reads; any thread.
 */
#include "lib/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t
clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * SPW_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t
spw_clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t
spw_clock_wall_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

char *
spw_clock_format(uint64_t wall_ns, char out[32])
{
	time_t s = (time_t)(wall_ns / SPW_NS_PER_S);
	struct tm tm;
	char date[24];

	gmtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 32, "%s.%03uZ", date, (unsigned int)(wall_ns % SPW_NS_PER_S / SPW_NS_PER_MS));
	return out;
}

char *
spw_clock_format_age(uint64_t ns, char out[32])
{
	uint64_t s = ns / SPW_NS_PER_S;

	if (ns < SPW_NS_PER_MS)
		snprintf(out, 32, "%" PRIu64 "us", ns / SPW_NS_PER_US);
	else if (s < 10)
		snprintf(out, 32, "%.2fs", (double)ns / (double)SPW_NS_PER_S);
	else if (s < 86400)
		snprintf(out, 32, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60,
			 s % 60);
	else
		snprintf(out, 32, "%" PRIu64 "d%02" PRIu64 ":%02" PRIu64, s / 86400, s / 3600 % 24,
			 s / 60 % 60);
	return out;
}
