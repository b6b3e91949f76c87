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
	/*
	 * TTL, protocol and checksum in one load and one store: nothing is read back that was just
	 * written in part. The sum goes up by what the TTL's word went down, with end-around carry
	 * (RFC 1624, equation 3, for this step).
	 */
	uint32_t word = dp_be32(ip + 8), csum = (word & 0xffff) + 0x100;

	if (unlikely(word < 0x2000000))
		return false;
	csum += csum >= 0xffff;
	dp_put_be32(ip + 8, ((word & 0xffff0000) - 0x1000000) | (csum & 0xffff));
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
