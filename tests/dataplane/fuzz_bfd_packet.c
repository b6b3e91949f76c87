/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets from anywhere to the reader of BFD: nothing is read beyond the end, and what it takes
 * for good, and is written again, is read the same. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/bfd_packet.h"

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
	struct dp_bfd_datagram d, again;
	uint8_t ip[DP_BFD_IP_MAX];
	uint32_t len;

	if (dp_bfd_unwrap(data, (uint32_t)size, &d) != DP_BFD_GOOD)
		return 0;
	must(d.packet.mult != 0 && d.packet.my_disc != 0 && d.packet.state <= SPW_BFD_UP);
	len = dp_bfd_wrap(ip, &d, 50000);
	must(len <= sizeof(ip));
	must(dp_bfd_unwrap(ip, len, &again) == DP_BFD_GOOD);
	must(memcmp(&d, &again, sizeof(d)) == 0);
	return 0;
}
