/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_CLOCK_H
#define SPW_LIB_CLOCK_H

#include <stdint.h>

#define SPW_NS_PER_S  UINT64_C(1000000000)
#define SPW_NS_PER_MS UINT64_C(1000000)
#define SPW_NS_PER_US UINT64_C(1000)

/*
 * Nanoseconds of CLOCK_MONOTONIC: the one clock for timers, ages and times in messages. Shared by
 * all processes of a machine, untouched by changes of the wall clock.
 */
uint64_t spw_clock_ns(void);
/* Wall clock, nanoseconds since 1970, only for what a person reads. */
uint64_t spw_clock_wall_ns(void);
/* Wall-clock time as "2026-08-19T02:14:07.311Z"; writes at most 32 bytes. Returns out. */
char *spw_clock_format(uint64_t wall_ns, char out[32]);
/* Duration for a person: "41us", "0.87s", "05:31:02", "11d04:02"; at most 32 bytes. */
char *spw_clock_format_age(uint64_t ns, char out[32]);

#endif
