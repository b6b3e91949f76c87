/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the packet that comes out of an ESP packet. Pure. */
#ifndef SPW_DATAPLANE_INNER_H
#define SPW_DATAPLANE_INNER_H

#include <rte_common.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/checksum.h"
#include "dataplane/ecn.h"
#include "dataplane/packet.h"
#include "dataplane/wire.h"

#define DP_NEXT_HDR_IPV4  4
#define DP_NEXT_HDR_IPV6  41
#define DP_NEXT_HDR_DUMMY 59

struct dp_inner {
	uint32_t len; /* by its own header; what follows is padding for flow confidentiality */
	bool ipv6;
};

/* An IPv4 header of `header` bytes, of which the caller knows the version. */
static __rte_always_inline enum dp_drop
dp_inner_check_header(const uint8_t *ip, uint32_t len, uint32_t header, struct dp_inner *in)
{
	in->len = dp_be16(ip + 2);
	in->ipv6 = false;
	if (unlikely(len < header || in->len < header || in->len > len ||
		     !dp_ipv4_csum_good(ip, header)))
		return DP_DROP_ESP_INNER;
	return DP_DROP_COUNT;
}

static inline enum dp_drop
dp_inner_check_v4(const uint8_t *ip, uint32_t len, struct dp_inner *in)
{
	if (likely(ip[0] == 0x45)) /* no options */
		return dp_inner_check_header(ip, len, 20, in);
	if (ip[0] < 0x46 || ip[0] > 0x4f)
		return DP_DROP_ESP_INNER;
	return dp_inner_check_header(ip, len, (ip[0] & 15u) * 4, in);
}

static inline enum dp_drop
dp_inner_check_v6(const uint8_t *ip, uint32_t len, struct dp_inner *in)
{
	if (unlikely(len < 40 || ip[0] >> 4 != 6))
		return DP_DROP_ESP_INNER;
	in->len = 40u + dp_be16(ip + 4);
	in->ipv6 = true;
	return likely(in->len <= len) ? DP_DROP_COUNT : DP_DROP_ESP_INNER;
}

/*
 * Check an opened payload of `len` bytes against its next header (RFC 4303 2.6, 2.7, RFC 4301 5.2):
 * version, lengths, IPv4 header checksum. DP_DROP_COUNT and *in filled when it is a packet, else
 * why it must go.
 */
static inline enum dp_drop
dp_inner_check(const uint8_t *ip, uint32_t len, uint8_t next, struct dp_inner *in)
{
	if (likely(next == DP_NEXT_HDR_IPV4))
		return dp_inner_check_v4(ip, len, in);
	if (next == DP_NEXT_HDR_IPV6)
		return dp_inner_check_v6(ip, len, in);
	return next == DP_NEXT_HDR_DUMMY ? DP_DROP_ESP_DUMMY : DP_DROP_ESP_NEXT_HEADER;
}

/* Join the outer congestion mark to an IPv4 header (RFC 6040 4.2); false: drop. */
static inline bool
dp_ecn_join4(uint8_t *ip, uint8_t outer_tos)
{
	uint8_t ecn = dp_ecn_decap(ip[1], outer_tos);
	uint16_t was = dp_be16(ip), csum;

	if (ecn == DP_ECN_DROP)
		return false;
	if (ecn == (ip[1] & DP_ECN_MASK))
		return true;
	ip[1] = (uint8_t)((ip[1] & ~DP_ECN_MASK) | ecn);
	csum = dp_csum_update(dp_be16(ip + 10), was, dp_be16(ip));
	dp_put_be16(ip + 10, csum);
	return true;
}

/* The same for a checked inner packet of either family. An outer Not-ECT changes nothing. */
static inline bool
dp_inner_join_ecn(uint8_t *ip, const struct dp_inner *in, uint8_t outer_tos)
{
	if (likely((outer_tos & DP_ECN_MASK) == 0))
		return true;
	return in->ipv6 ? dp_ecn_join6(ip, outer_tos) : dp_ecn_join4(ip, outer_tos);
}

#endif
