/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage twin: what the kernel sends.
 *
 * From the TUN twin of a tunnel: IP packets, into that tunnel (the socket was bound to it, or the
 * kernel routed it there). From a TAP twin: frames, out of its interface as they are, with the
 * VLAN tags of a sub-interface put in; except unicast IP whose destination lies in a
 * protected prefix, which takes the path group as transit does, so the host's own packets never go
 * in the clear where its neighbours' would not.
 *
 * The gateway's own packets keep their TTL. Worker thread.
 */
#include "dataplane/stages.h"
#include "dataplane/wire.h"

static bool
dest_protected(const struct dp_worker *w, const uint8_t *ip, bool ipv6)
{
	uint64_t leaf;

	if (ipv6) {
		uint8_t dst[1][16];

		memcpy(dst[0], ip + 24, 16);
		dp_fib6_lookup(w->tables->fib6, dst, &leaf, 1);
	} else {
		uint32_t dst = dp_be32(ip + 16);

		dp_fib_lookup(w->tables->fib, &dst, &leaf, 1);
	}
	const struct dp_group *g = leaf ? dp_group_get(w->tables, (uint32_t)leaf) : NULL;

	return g && (g->conf.flags & SPW_GROUP_PROTECTED);
}

/* Is the packet of the version that its first octet says, and is the header there? 0: no. */
static unsigned int
ip_version(const uint8_t *ip, uint32_t len)
{
	unsigned int version = len ? ip[0] >> 4 : 0;

	if ((version == 4 && len >= 20) || (version == 6 && len >= 40))
		return version;
	return 0;
}

/* Version of the unicast IP packet in a frame; 0 when it is something else. */
static unsigned int
unicast_version(const struct rte_mbuf *m, const uint8_t *frame)
{
	uint16_t type = dp_be16(frame + 12);
	unsigned int version =
		ip_version(frame + DP_ETHER_LEN, m->data_len - (uint32_t)DP_ETHER_LEN);

	if ((frame[0] & 1) || type != (version == 6 ? DP_ETHERTYPE_IPV6 : DP_ETHERTYPE_IPV4))
		return 0;
	return version;
}

static void
mark_version(struct dp_pkt *p, unsigned int version)
{
	if (version == 6)
		p->flags |= DP_PKT_IPV6;
}

static enum dp_drop
from_tap(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface)
{
	struct dp_pkt *p = dp_pkt(m);
	const uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	if (m->data_len < DP_ETHER_LEN)
		return DP_DROP_RUNT;
	unsigned int version = unicast_version(m, frame);

	if (version && dest_protected(w, frame + DP_ETHER_LEN, version == 6)) {
		rte_pktmbuf_adj(m, DP_ETHER_LEN);
		mark_version(p, version);
		p->next = DP_NEXT_FIB;
		return DP_DROP_COUNT;
	}
	if (!dp_l2_tag(m, &iface->l2))
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
	unsigned int version = ip_version(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);

	if (version == 0)
		return DP_DROP_RUNT;
	mark_version(p, version);
	p->tunnel = iface->conf.port;
	p->iface_out = (uint16_t)iface->conf.id;
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
	unsigned int kinds = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		enum dp_drop why = twin_one(w, b->pkt[i]);

		if (why != DP_DROP_COUNT) {
			dp_drop(w, b->pkt[i], why);
			continue;
		}
		kinds |= dp_pkt_kinds(w->tables, dp_pkt(b->pkt[i]));
		b->pkt[kept++] = b->pkt[i];
	}
	b->n = kept;
	b->kinds = (uint16_t)kinds;
}
