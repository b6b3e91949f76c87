/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of a forwarding probe share: one probe, its watch, a time to begin. */
#ifndef SPW_TESTS_DATAPLANE_PROBE_BED_H
#define SPW_TESTS_DATAPLANE_PROBE_BED_H

#include "dataplane/probe.h"

#define MS	  SPW_NS_PER_MS
#define BED_START (1000 * SPW_NS_PER_S)

extern struct dp_probe bed_probe;
extern struct dp_probe_watch bed_watch;

/* What a probe of ICMP is told; fall and rise in packets. */
struct spw_dp_probe bed_conf(uint32_t interval_ms, uint32_t timeout_ms, uint16_t fall,
			     uint16_t rise);
/* Begin bed_probe anew at BED_START. */
void bed_begin(uint32_t interval_ms, uint32_t timeout_ms, uint16_t fall, uint16_t rise);
struct spw_dp_probe_stats bed_stats(void);
/* Judge everything due at `now`; returns how often the state changed. */
unsigned int bed_judge(uint64_t now);

#endif
