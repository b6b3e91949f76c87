/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: a forwarded packet loses one hop (RFC 1812 5.3.1, RFC 8200 3). Pure. */
#ifndef SPW_DATAPLANE_HOPS_H
#define SPW_DATAPLANE_HOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "dataplane/wire.h"

/* Take one hop from an IPv4 header and mend the checksum; false when none is left. */
static inline bool
dp_ttl_take(uint8_t *ip)
{
	uint16_t old = dp_be16(ip + 8), now = (uint16_t)(old - 0x100);

	if (unlikely(old < 0x200))
		return false;
	/* Both fields in one store: nothing is read back that was just written in part. */
	dp_put_be32(ip + 8, (uint32_t)now << 16 | dp_csum_update(dp_be16(ip + 10), old, now));
	return true;
}

/* The same of an IPv6 header, which has no checksum. */
static inline bool
dp_hop_limit_take(uint8_t *ip)
{
	if (unlikely(ip[7] <= 1))
		return false;
	ip[7]--;
	return true;
}

/* Where a packet that is to be forwarded goes: on, or to the stage that answers expired ones. */
static inline enum dp_next
dp_forward(uint8_t *ip, bool ipv6)
{
	return likely(ipv6 ? dp_hop_limit_take(ip) : dp_ttl_take(ip)) ? DP_NEXT_FIB
								      : DP_NEXT_EXPIRED;
}

#endif
