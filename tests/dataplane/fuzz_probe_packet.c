/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets from anywhere to the reader of probes' answers: nothing is read beyond the end, and what
 * is heard is complete. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/probe_packet.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct dp_probe_seen s = dp_probe_parse(data, (uint32_t)size), again;

	again = dp_probe_parse_own(data, (uint32_t)size);
	must(again.heard != DP_PROBE_HEARD_ANSWER && again.why == SPW_PROBE_WHY_NONE);
	if (s.heard == DP_PROBE_HEARD_NOTHING) {
		static const struct dp_probe_seen nothing;

		must(memcmp(&s, &nothing, sizeof(s)) == 0);
		return 0;
	}
	must(s.kind == SPW_PROBE_ICMP || s.kind == SPW_PROBE_TWAMP);
	must(s.source.family == s.target.family && spw_addr_len(s.source.family) != 0);
	must((s.heard == DP_PROBE_HEARD_ERROR) == (s.why != SPW_PROBE_WHY_NONE));
	must(s.mtu == 0 || s.why == SPW_PROBE_WHY_TOO_BIG);
	again = dp_probe_parse(data, (uint32_t)size);
	must(memcmp(&s, &again, sizeof(s)) == 0);
	return 0;
}
