/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Up to the kernel: packets for a twin are queued to the punt thread.
 *
 * A packet is counted as mirrored by the punt thread once the kernel has taken it; here it is
 * only dropped when that cannot happen: no twin, no token left in the rate, or the queue full. The
 * rate is that of the role of the twin's interface: a station on the LAN that floods us stands in
 * the way of neither BGP over ExpressRoute nor IKE. TAP twins want an Ethernet header; a packet
 * that came out of a tunnel gets one from the interface's own address, with a sender that no
 * station has (locally administered).
 *
 * Worker thread; the ring has one producer (this worker) and one consumer (the punt thread).
 */
#include "dataplane/stages.h"
#include "dataplane/wire.h"

static const uint8_t made_up_sender[6] = {0x02, 0x53, 0x50, 0x57, 0x00, 0x01};

void
dp_mirror_frame(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface)
{
	struct dp_worker_priv *p = dp_priv(w);
	const struct dp_iface *to = dp_iface_get(w->tables, iface);

	if (!to || !to->twin) {
		dp_drop(w, m, DP_DROP_IFACE_DOWN);
		return;
	}
	if (!dp_rate_take(&p->punt_rate[to->conf.role], w->now_tsc)) {
		dp_drop(w, m, DP_DROP_PUNT_RATE);
		return;
	}
	dp_pkt(m)->twin = iface;
	if (rte_ring_sp_enqueue(p->to_punt, m) != 0) {
		dp_drop(w, m, DP_DROP_PUNT_FULL);
		return;
	}
	p->ring_punt = true;
}

bool
dp_mirror_frame_up(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface)
{
	const struct dp_iface *to = dp_iface_get(w->tables, iface);

	if (!to || to->conf.kind == SPW_IFACE_TUNNEL)
		return true;
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, DP_ETHER_LEN);

	if (!frame)
		return false;
	memcpy(frame, to->mac, 6);
	memcpy(frame + 6, made_up_sender, 6);
	dp_put_be16(frame + 12,
		    dp_pkt(m)->flags & DP_PKT_IPV6 ? DP_ETHERTYPE_IPV6 : DP_ETHERTYPE_IPV4);
	return true;
}

void
dp_mirror_ip(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface)
{
	if (dp_mirror_frame_up(w, m, iface))
		dp_mirror_frame(w, m, iface);
	else
		dp_drop(w, m, DP_DROP_NO_ROOM);
}
