/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the fields of an inner and an outer header that follow each other through
 * a tunnel: congestion marks (RFC 6040), DSCP and DF (RFC 4301 5.1.2). Pure. "TOS octet" is the
 * second octet of IPv4 and the traffic class of IPv6: DSCP and ECN.
 */
#ifndef SPW_DATAPLANE_ECN_H
#define SPW_DATAPLANE_ECN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/wire.h"
#include "lib/spillway.h"

#define DP_ECN_MASK 3u
#define DP_ECN_DROP 0xffu /* the pair must be dropped */
#define DP_DF	    0x40u /* in octet 6 of an IPv4 header */

/* RFC 6040 4.2, figure 4, by inner (row) and outer (column) field: Not-ECT, ECT(1), ECT(0), CE. */
extern const uint8_t dp_ecn_table[4][4];

/* The field a decapsulated packet leaves with, or DP_ECN_DROP. Arguments are whole TOS octets. */
static inline uint8_t
dp_ecn_decap(uint8_t inner_tos, uint8_t outer_tos)
{
	return dp_ecn_table[inner_tos & DP_ECN_MASK][outer_tos & DP_ECN_MASK];
}

/* TOS octet of the outer header: ECN copied (RFC 6040 4.1, normal mode), DSCP when asked for. */
static inline uint8_t
dp_ecn_encap(uint8_t inner_tos, uint8_t copy_mask)
{
	return inner_tos & (copy_mask | DP_ECN_MASK);
}

/* Traffic class of an IPv6 header: bits 4 to 11 of its first word. */
static inline uint8_t
dp_ip6_class(const uint8_t *ip6)
{
	return (uint8_t)(dp_be16(ip6) >> 4);
}

static inline void
dp_ip6_class_set(uint8_t *ip6, uint8_t tos)
{
	dp_put_be16(ip6, (uint16_t)((dp_be16(ip6) & 0xf00f) | tos << 4));
}

/* Join the outer congestion mark to an inner IPv6 header (RFC 6040 4.2); false: drop. */
static inline bool
dp_ecn_join6(uint8_t *ip6, uint8_t outer_tos)
{
	uint8_t tos = dp_ip6_class(ip6), ecn = dp_ecn_decap(tos, outer_tos);

	if (ecn == DP_ECN_DROP)
		return false;
	if (ecn != (tos & DP_ECN_MASK))
		dp_ip6_class_set(ip6, (uint8_t)((tos & ~DP_ECN_MASK) | ecn));
	return true;
}

/*
 * What the outer header of a tunnel takes from the inner one, in one word for the workers: bits 0-7
 * the mask of dp_ecn_encap(), 8-15 the part of the inner DF that is copied, 16-23 what is set.
 */
static inline uint32_t
dp_outer_rule(bool dscp_copy, enum spw_dp_outer_df df)
{
	uint32_t rule = dscp_copy ? 0xfcu : 0;

	switch (df) {
	case SPW_OUTER_DF_SET: return rule | DP_DF << 16;
	case SPW_OUTER_DF_COPY: return rule | DP_DF << 8;
	case SPW_OUTER_DF_CLEAR: break;
	}
	return rule;
}

/*
 * The same rule for the first eight octets of an IPv4 header as they lie in memory (little-endian):
 * octet 1 is the TOS, octet 6 has DF.
 */
struct dp_outer_take {
	uint64_t copy; /* bits that are the inner header's */
	uint64_t set;
};

static inline struct dp_outer_take
dp_outer_take(uint32_t rule)
{
	return (struct dp_outer_take){.copy = (uint64_t)dp_ecn_encap(0xff, (uint8_t)rule) << 8 |
					      (uint64_t)(rule >> 8 & DP_DF) << 48,
				      .set = (uint64_t)(rule >> 16 & DP_DF) << 48};
}

/* These octets of an inner header. IPv6's class is its TOS, and DF is set: no router cuts it. */
static inline uint64_t
dp_outer_inner(const uint8_t *ip, bool ipv6)
{
	uint64_t octets;

	if (ipv6)
		return (uint64_t)dp_ip6_class(ip) << 8 | (uint64_t)DP_DF << 48;
	memcpy(&octets, ip, sizeof(octets));
	return octets;
}

/* TOS and DF of the outer header, in their octets (RFC 4301 8.1, RFC 6040 4.1); all else is 0. */
static inline uint64_t
dp_outer_marks(const struct dp_outer_take *take, uint64_t inner)
{
	return (inner & take->copy) | take->set;
}

/* The TOS octet of these marks. */
static inline uint8_t
dp_outer_tos(uint64_t marks)
{
	return (uint8_t)(marks >> 8);
}

#endif
