/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: from the IPv6 header to the header of the upper layer. Pure. */
#ifndef SPW_DATAPLANE_IP6_WALK_H
#define SPW_DATAPLANE_IP6_WALK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/wire.h"

#define DP_IP6_HDR     40
#define DP_IP6_UNKNOWN 0 /* no upper layer has the number of hop-by-hop options */
#define DP_IP6_HEADERS 8 /* more extension headers than this are not followed */

struct dp_ip6_upper {
	uint32_t at;	  /* offset of the upper-layer header from the IPv6 header */
	uint8_t protocol; /* DP_IP6_UNKNOWN when the packet does not show it */
	bool fragment;	  /* a fragment; one that is the whole packet does not count (RFC 6946) */
	bool later;	  /* a fragment behind the first: at `at` is no header */
};

/*
 * Follow the extension headers that RFC 4301 4.4.1.1 skips: hop-by-hop, routing, fragment and
 * destination options. AH and ESP count as upper layers.
 * @ip   an IPv6 header; `len` bytes are there in one piece, at least DP_IP6_HDR
 * Returns false when the chain runs beyond `len` or is too long; the protocol is then unknown.
 */
static inline bool
dp_ip6_walk(const uint8_t *ip, uint32_t len, struct dp_ip6_upper *u)
{
	uint8_t next = ip[6];
	uint32_t at = DP_IP6_HDR;

	*u = (struct dp_ip6_upper){.protocol = DP_IP6_UNKNOWN};
	for (unsigned int n = 0; n <= DP_IP6_HEADERS && at <= len; n++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_DSTOPTS) {
			u->at = at;
			u->protocol = next;
			return true;
		}
		if (u->later) { /* the header named is in the first fragment */
			u->at = at;
			return true;
		}
		if (at + 8 > len)
			return false;
		if (next == IPPROTO_FRAGMENT) {
			uint16_t where = dp_be16(ip + at + 2);

			u->later = (where & 0xfff8) != 0;
			u->fragment |= (where & 0xfff9) != 0;
			next = ip[at];
			at += 8;
			continue;
		}
		next = ip[at];
		at += (ip[at + 1] + 1u) * 8;
	}
	return false;
}

#endif
