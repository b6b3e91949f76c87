/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage twin: what the kernel sends.
 *
 * From the TUN twin of a tunnel: IP packets, into that tunnel (the socket was bound to it, or the
 * kernel routed it there). From a TAP twin: frames, out of its interface as they are, with the
 * VLAN tags of a sub-interface put in; except unicast IPv4 whose destination lies in a
 * protected prefix, which takes the path group as transit does, so the host's own packets never go
 * in the clear where its neighbours' would not.
 *
 * The gateway's own packets keep their TTL. Worker thread.
 */
#include "dataplane/stages.h"
#include "dataplane/wire.h"

static bool
dest_protected(const struct dp_worker *w, const uint8_t *ip)
{
	uint32_t dst = dp_be32(ip + 16);
	uint64_t leaf;

	dp_fib_lookup(w->tables->fib, &dst, &leaf, 1);
	const struct dp_group *g = leaf ? dp_group_get(w->tables, (uint32_t)leaf) : NULL;

	return g && (g->conf.flags & SPW_GROUP_PROTECTED);
}

static bool
ipv4_unicast(const struct rte_mbuf *m, const uint8_t *frame)
{
	return m->data_len >= DP_ETHER_LEN + 20 && !(frame[0] & 1) &&
	       dp_be16(frame + 12) == 0x0800 && frame[DP_ETHER_LEN] >> 4 == 4;
}

/* Put tags between the addresses and the type. False when there is no room. */
static bool
tags_insert(struct rte_mbuf *m, const struct dp_iface *iface)
{
	const uint16_t vid[2] = {iface->conf.vlan_inner, iface->conf.vlan_outer};

	for (unsigned int i = 0; i < 2; i++) {
		if (!vid[i])
			continue;
		uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, 4);

		if (!frame)
			return false;
		memmove(frame, frame + 4, 12);
		dp_put_be16(frame + 12, 0x8100);
		dp_put_be16(frame + 14, vid[i]);
	}
	return true;
}

static enum dp_drop
from_tap(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface)
{
	struct dp_pkt *p = dp_pkt(m);
	const uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	if (m->data_len < DP_ETHER_LEN)
		return DP_DROP_RUNT;
	if (ipv4_unicast(m, frame) && dest_protected(w, frame + DP_ETHER_LEN)) {
		rte_pktmbuf_adj(m, DP_ETHER_LEN);
		p->next = DP_NEXT_FIB;
		return DP_DROP_COUNT;
	}
	if (!tags_insert(m, iface))
		return DP_DROP_NO_ROOM;
	p->iface_out = (uint16_t)iface->conf.id;
	p->port_out = iface->port->dpdk_id;
	p->next = DP_NEXT_TX;
	return DP_DROP_COUNT;
}

static enum dp_drop
from_tun(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface)
{
	struct dp_pkt *p = dp_pkt(m);

	if (m->data_len < 20)
		return DP_DROP_RUNT;
	if (rte_pktmbuf_mtod(m, uint8_t *)[0] >> 4 != 4)
		return DP_DROP_IPV6_OFF;
	p->tunnel = iface->conf.port;
	p->iface_out = (uint16_t)iface->conf.id;
	p->tier_role = SPW_TIER_PLAIN;
	p->next = DP_NEXT_SEAL;
	return DP_DROP_COUNT;
}

static enum dp_drop
twin_one(struct dp_worker *w, struct rte_mbuf *m)
{
	const struct dp_iface *iface = dp_iface_get(w->tables, dp_pkt(m)->iface_in);

	if (!iface)
		return DP_DROP_PORT_GONE;
	w->iface[iface->conf.id].from_twin++;
	if (!iface->conf.up)
		return DP_DROP_IFACE_DOWN;
	return iface->port ? from_tap(w, m, iface) : from_tun(w, m, iface);
}

void
dp_stage_twin(struct dp_worker *w, struct dp_burst *b)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		enum dp_drop why = twin_one(w, b->pkt[i]);

		if (why == DP_DROP_COUNT)
			b->pkt[kept++] = b->pkt[i];
		else
			dp_drop(w, b->pkt[i], why);
	}
	b->n = kept;
}
