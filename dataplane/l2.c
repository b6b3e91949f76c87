/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet headers made before they are needed.
 *
 * A header is right-aligned in a field of fixed size, so a worker writes it before a packet by the
 * same stores whether it has none, one or two tags, and then the type. Ids are written with
 * priority 0. The outer tag's TPID is the interface's own (0x8100, or 0x88a8 for a provider's
 * S-tag, IEEE 802.1ad), the inner one's always 0x8100. A port that can put a tag in does so for
 * interfaces with one 0x8100 tag; every other form is ours, because ports differ in what else
 * they can do.
 *
 * Pure; made by the API thread, read by workers.
 */
#include "dataplane/l2.h"

#include "dataplane/wire.h"

/* Put a tag before what is there from `at` on; returns where it begins. */
static uint8_t *
tag_put(uint8_t *at, uint16_t tpid, uint16_t vid)
{
	at -= DP_TAG_LEN;
	dp_put_be16(at, tpid);
	dp_put_be16(at + 2, vid);
	return at;
}

struct dp_l2
dp_l2_make(const uint8_t src[6], const struct dp_l2_tags *tags, uint16_t iface, uint16_t port_out)
{
	struct dp_l2 l2 = {.iface = iface, .port_out = port_out};
	uint8_t *at = l2.bytes + DP_L2_BYTES - 2;
	bool by_port =
		tags->insert && tags->outer && !tags->inner && tags->tpid == DP_ETHERTYPE_VLAN;

	if (by_port) {
		l2.ol_flags = RTE_MBUF_F_TX_VLAN;
		l2.tci = tags->outer;
	}
	if (tags->inner)
		at = tag_put(at, DP_ETHERTYPE_VLAN, tags->inner);
	if (tags->outer && !by_port)
		at = tag_put(at, tags->tpid, tags->outer);
	memcpy(at - 6, src, 6);
	l2.len = (uint16_t)(l2.bytes + DP_L2_BYTES - (at - 12));
	return l2;
}

void
dp_l2_dest(struct dp_l2 *l2, const uint8_t mac[6])
{
	memcpy(l2->bytes + DP_L2_BYTES - l2->len, mac, 6);
}

bool
dp_l2_tag(struct rte_mbuf *m, const struct dp_l2 *l2)
{
	uint16_t tags = l2->len - DP_ETHER_LEN;
	char *frame = rte_pktmbuf_prepend(m, tags);

	if (!frame)
		return false;
	memmove(frame, frame + tags, 12);
	memcpy(frame + 12, l2->bytes + DP_L2_BYTES - 2 - tags, tags);
	m->ol_flags |= l2->ol_flags;
	m->vlan_tci = l2->tci;
	return true;
}
