/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage deliver: packets that came out of a tunnel.
 *
 * Their interface is the tunnel's from here on (none when the tunnel has no interface). Packets for
 * the gateway itself go up: to the tunnel's own twin when it has one (BGP in the tunnel, probes),
 * else to the twin of the interface that owns the address. Group addresses end here too, because
 * nothing routes them. The rest goes on to the TTL and the FIB like any received packet.
 *
 * Worker thread. ESP has checked the inner header and the selectors.
 */
#include "dataplane/classify.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

static void
iface_becomes_tunnel(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);

	if (p->tunnel >= DP_TUNNELS_MAX)
		return;
	uint16_t id =
		atomic_load_explicit(&w->tables->tunnel_iface[p->tunnel], memory_order_acquire);

	p->iface_in = id;
	if (id == DP_NO_IFACE)
		return;
	w->iface[id].rx_packets++;
	w->iface[id].rx_bytes += m->pkt_len;
}

static uint16_t
twin_for(const struct dp_worker *w, struct rte_mbuf *m, uint16_t owner)
{
	const struct dp_iface *in = dp_iface_get(w->tables, dp_pkt(m)->iface_in);

	if (in && in->conf.kind == SPW_IFACE_TUNNEL && in->twin)
		return (uint16_t)in->conf.id;
	return owner;
}

/* True when the packet stays in the burst. */
static bool
deliver_one(struct dp_worker *w, struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	iface_becomes_tunnel(w, m);
	if (m->data_len < 20 || ip[0] >> 4 != 4) {
		dp_drop(w, m, DP_DROP_IPV6_OFF);
		return false;
	}
	uint32_t dst = dp_be32(ip + 16);
	uint16_t owner =
		dp_local_find(atomic_load_explicit(&w->tables->local, memory_order_acquire), dst);

	if (owner != DP_NO_IFACE) {
		dp_sad_count_own_in(w, dp_pkt(m)->tunnel);
		dp_mirror_ip(w, m, twin_for(w, m, owner));
		return false;
	}
	if (dp_ipv4_source_martian(dp_be32(ip + 12)) || dp_ipv4_dest_martian(dst)) {
		dp_drop(w, m, DP_DROP_MARTIAN);
		return false;
	}
	return true;
}

void
dp_stage_deliver(struct dp_worker *w, struct dp_burst *b)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++)
		if (!(dp_pkt(b->pkt[i])->flags & DP_PKT_DECRYPTED) || deliver_one(w, b->pkt[i]))
			b->pkt[kept++] = b->pkt[i];
	b->n = kept;
}
