/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what the two halves of the parse stage share. Worker thread. */
#ifndef SPW_DATAPLANE_PARSE_H
#define SPW_DATAPLANE_PARSE_H

#include "dataplane/stages.h"

#define DP_PARSE_AHEAD 4 /* packets between the first look at one and its turn */
#define DP_TAGS_NONE   0
#define DP_SCAN_NO_DST UINT64_MAX /* no packet has it */

/* The interface of the frame before, and what is the same for the whole burst. */
struct dp_scan {
	const struct dp_port *port;
	const struct dp_iface *iface;
	const struct dp_local *local;
	const struct dp_local6 *local6;
	uint64_t packets, bytes; /* of the interface, not counted yet */
	uint32_t tags;		 /* outer << 16 | inner */
	uint64_t dst;		 /* last IPv4 destination asked for, DP_SCAN_NO_DST = none */
	uint16_t owner;		 /* of `dst` */
	uint16_t dpdk_id;
	bool transit;	    /* what is not for us may be forwarded without being asked more */
	unsigned int kinds; /* DP_KIND_* of what stays in the burst */
	enum dp_drop why;   /* DP_DROP_COUNT: the interface takes packets */
};

/* Has the port verified the IPv4 header's checksum? To be asked of ports that do such (rx_csum). */
static inline bool
dp_csum_known_good(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

/*
 * Metadata are written whole, data are read; both are in other lines than the mbuf itself. Data are
 * fetched from where ports put them in our buffers; the mbuf need not be read to find out.
 */
static inline void
dp_parse_fetch(struct rte_mbuf *m)
{
	__builtin_prefetch(dp_pkt(m), 1);
	rte_prefetch0((uint8_t *)(dp_pkt(m) + 1) + RTE_PKTMBUF_HEADROOM);
}

/*
 * Take the commonest frames: whole, without tags, from the interface of the frame before, IPv4
 * without options, forwarded or ESP for us. Those from the `from`th on that are so become
 * packets and are put behind the `kept` ones; the first that is not is left as it was, for it
 * needs to be asked more. Behind the burst DP_PARSE_AHEAD pointers to packets can be read.
 * Returns how many were taken.
 */
uint16_t dp_parse_plain(struct dp_burst *b, uint16_t from, uint16_t kept, struct dp_scan *s);

#endif
