/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: congestion marks through tunnels (RFC 6040). Pure. */
#ifndef SPW_DATAPLANE_ECN_H
#define SPW_DATAPLANE_ECN_H

#include <stdint.h>

#define DP_ECN_MASK 3u
#define DP_ECN_DROP 0xffu /* the pair must be dropped */

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

#endif
