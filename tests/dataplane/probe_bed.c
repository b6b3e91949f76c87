/* SPDX-License-Identifier: BSD-3-Clause */
/* One probe, told what is sent and received, and what it makes of that. */
#include "tests/dataplane/probe_bed.h"

struct dp_probe bed_probe;
struct dp_probe_watch bed_watch;

struct spw_dp_probe
bed_conf(uint32_t interval_ms, uint32_t timeout_ms, uint16_t fall, uint16_t rise)
{
	return (struct spw_dp_probe){.kind = SPW_PROBE_ICMP,
				     .interval_ms = interval_ms,
				     .timeout_ms = timeout_ms,
				     .fall = fall,
				     .rise = rise,
				     .size = 64,
				     .source = spw_addr_v4(0x0a000001),
				     .target = spw_addr_v4(0x0a000002)};
}

void
bed_begin(uint32_t interval_ms, uint32_t timeout_ms, uint16_t fall, uint16_t rise)
{
	struct spw_dp_probe c = bed_conf(interval_ms, timeout_ms, fall, rise);

	bed_watch = (struct dp_probe_watch){0};
	dp_probe_start(&bed_probe, &c, BED_START);
}

struct spw_dp_probe_stats
bed_stats(void)
{
	struct spw_dp_probe_stats s;

	dp_probe_stats(&bed_probe, &s);
	return s;
}

unsigned int
bed_judge(uint64_t now)
{
	unsigned int changes = 0;

	while (dp_probe_judge(&bed_probe, &bed_watch, now))
		changes++;
	return changes;
}
