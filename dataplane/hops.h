/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: a forwarded packet loses one hop (RFC 1812 5.3.1, RFC 8200 3). Pure. */
#ifndef SPW_DATAPLANE_HOPS_H
#define SPW_DATAPLANE_HOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "dataplane/wire.h"

/*
 * Take one hop from an IPv4 header and mend the checksum; false when none is left.
 *
 * TTL, protocol and checksum in one load and one store: nothing is read back that was just written
 * in part. As they lie in memory (little-endian here) the TTL is the lowest octet and the checksum
 * the upper half. That goes up by what the TTL's word went down, with end-around carry and without
 * ever becoming all ones (RFC 1624, equation 3, for this step).
 */
static inline bool
dp_ttl_take(uint8_t *ip)
{
	uint32_t word;

	memcpy(&word, ip + 8, sizeof(word));
	if (unlikely((uint8_t)word <= 1))
		return false;
	if (unlikely(word >= 0xfffe0000))
		word += 0x10000;
	word += 0x10000 - 1;
	memcpy(ip + 8, &word, sizeof(word));
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
