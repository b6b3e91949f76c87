/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: Ethernet headers with VLAN tags, made before they are needed. Pure. */
#ifndef SPW_DATAPLANE_L2_H
#define SPW_DATAPLANE_L2_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/wire.h"

#define DP_ETHERTYPE_IPV4 0x0800
#define DP_ETHERTYPE_ARP  0x0806
#define DP_ETHERTYPE_VLAN 0x8100 /* IEEE 802.1Q C-tag */
#define DP_ETHERTYPE_IPV6 0x86dd
#define DP_ETHERTYPE_QINQ 0x88a8 /* IEEE 802.1ad S-tag */

#define DP_ETHER_LEN 14
#define DP_TAG_LEN   4
#define DP_L2_MAX    (DP_ETHER_LEN + 2 * DP_TAG_LEN)
#define DP_L2_BYTES  24 /* written at once, whatever the length: three stores */

/*
 * A header of `len` bytes at the end of `bytes`; its last two, the type, are the packet's. Where
 * the port puts a single tag in, the tag is no part of the header but in `tci` and `ol_flags`.
 */
struct dp_l2 {
	union {
		uint8_t bytes[DP_L2_BYTES];
		uint64_t word[DP_L2_BYTES / 8]; /* as they stand in memory */
	};
	uint64_t ol_flags; /* RTE_MBUF_F_TX_VLAN or 0 */
	uint16_t tci;
	uint16_t len;
	uint16_t iface;
	uint16_t port_out; /* DPDK port id */
};

/* Tags of an interface (0 = none) and how they are sent. */
struct dp_l2_tags {
	uint16_t outer, inner; /* VLAN ids */
	uint16_t tpid;	       /* of the outer tag; the inner one's is 0x8100 */
	bool insert;	       /* the port puts a single 0x8100 tag in by itself */
};

/* Header of an interface: everything but the destination. */
struct dp_l2 dp_l2_make(const uint8_t src[6], const struct dp_l2_tags *tags, uint16_t iface,
			uint16_t port_out);
/* Name the station that the header is for. */
void dp_l2_dest(struct dp_l2 *l2, const uint8_t mac[6]);
/*
 * Give a frame with a plain header the tags of `l2`; the rest of its header stays. False when there
 * is no room before it. Any thread that owns the packet.
 */
bool dp_l2_tag(struct rte_mbuf *m, const struct dp_l2 *l2);

/* The header for packets of one family. */
static inline struct dp_l2
dp_l2_of(const struct dp_l2 *l2, bool ipv6)
{
	const uint16_t type = __builtin_bswap16(ipv6 ? DP_ETHERTYPE_IPV6 : DP_ETHERTYPE_IPV4);
	struct dp_l2 typed = *l2;

	typed.word[2] = (typed.word[2] & UINT64_MAX >> 16) | (uint64_t)type << 48;
	return typed;
}

/*
 * Put the header, which is for packets of its family, before one, without the tag that the port
 * puts in. False when there is no room.
 */
static inline bool
dp_l2_put(struct rte_mbuf *m, const struct dp_l2 *l2)
{
	const uint32_t off = m->data_off;
	uint8_t *at = (uint8_t *)m->buf_addr + off - DP_L2_BYTES;

	if (unlikely(off < DP_L2_BYTES))
		return false;
	for (unsigned int i = 0; i < RTE_DIM(l2->word); i++)
		memcpy(at + 8 * i, &l2->word[i], 8);
	m->data_off = (uint16_t)(off - l2->len);
	m->data_len = (uint16_t)(m->data_len + l2->len);
	m->pkt_len += l2->len;
	return true;
}

/* Have the port put its tag into frames whose header was put. */
static inline void
dp_l2_insert(struct rte_mbuf *const *pkt, uint16_t n, const struct dp_l2 *l2)
{
	if (likely(l2->ol_flags == 0))
		return;
	for (uint16_t i = 0; i < n; i++) {
		pkt[i]->ol_flags |= l2->ol_flags;
		pkt[i]->vlan_tci = l2->tci;
	}
}

/* Both for one packet. */
static inline bool
dp_l2_push(struct rte_mbuf *m, const struct dp_l2 *l2)
{
	if (unlikely(!dp_l2_put(m, l2)))
		return false;
	dp_l2_insert(&m, 1, l2);
	return true;
}

#endif
