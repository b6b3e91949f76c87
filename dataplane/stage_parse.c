/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage parse: received frames to IP packets.
 *
 * A frame belongs to the interface that its port and VLAN tags name. Tags are taken off first (the
 * MAC addresses move over them), so from there on, and for the kernel's twin, every frame
 * has the plain 14-byte header. Group addresses, ARP, and packets to one of our own addresses go
 * to the twin as received; ESP for us goes to open; the rest is forwarded.
 *
 * From an interface of role Internet nothing is forwarded in the clear, and not even the gateway
 * itself takes a clear packet whose source or destination lies in a protected prefix or whose
 * destination is the address of an inner interface: those must come out of a tunnel (RFC 4301 5.2).
 *
 * Worker thread; the packet data stay in place, only offsets move.
 */
#include "dataplane/classify.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8

#define TAG_LEN 4

static bool
is_tag(uint16_t ethertype)
{
	return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ;
}

/*
 * Take off up to two tags; `vid` receives outer and inner VLAN ids (0 = none). A NIC may have put
 * the outer one into the mbuf already. False when the frame ends within a tag.
 */
static bool
tags_strip(struct rte_mbuf *m, uint16_t vid[2])
{
	unsigned int n = 0;

	vid[0] = vid[1] = 0;
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
		vid[n++] = m->vlan_tci & 0xfff;
	while (n < 2) {
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		if (!is_tag(dp_be16(frame + 12)))
			break;
		if (m->data_len < DP_ETHER_LEN + TAG_LEN)
			return false;
		vid[n++] = dp_be16(frame + 14) & 0xfff;
		memmove(frame + TAG_LEN, frame, 12);
		rte_pktmbuf_adj(m, TAG_LEN);
	}
	return true;
}

/* Interface of a frame; NULL when it was dropped. */
static const struct dp_iface *
iface_of(struct dp_worker *w, struct rte_mbuf *m, const struct dp_port *port)
{
	uint16_t vid[2];

	if (m->data_len < DP_ETHER_LEN || m->nb_segs != 1 || !tags_strip(m, vid)) {
		dp_drop(w, m, DP_DROP_RUNT);
		return NULL;
	}
	uint16_t id = dp_vlan_find(atomic_load_explicit(&port->vlans, memory_order_acquire), vid[0],
				   vid[1]);
	const struct dp_iface *iface = id != DP_NO_IFACE ? dp_iface_get(w->tables, id) : NULL;

	if (!iface) {
		dp_drop(w, m, vid[0] ? DP_DROP_VLAN_UNKNOWN : DP_DROP_PORT_GONE);
		return NULL;
	}
	dp_pkt(m)->iface_in = id;
	w->iface[id].rx_packets++;
	w->iface[id].rx_bytes += m->pkt_len;
	if (!iface->conf.up) {
		dp_drop(w, m, DP_DROP_IFACE_DOWN);
		return NULL;
	}
	return iface;
}

static bool
leaf_protected(const struct dp_worker *w, uint32_t leaf)
{
	const struct dp_group *g = leaf ? dp_group_get(w->tables, leaf) : NULL;

	return g && (g->conf.flags & SPW_GROUP_PROTECTED);
}

/*
 * For the kernel, from the Internet side: is it a packet that only a tunnel may bring? So is every
 * one whose source or destination lies in a protected prefix, or that is for an address of an
 * inner interface.
 */
static bool
must_come_protected(const struct dp_worker *w, uint16_t owner, uint32_t src, uint32_t dst)
{
	const struct dp_iface *at = dp_iface_get(w->tables, owner);
	uint32_t ips[2] = {src, dst};
	uint64_t leaves[2];

	if (!at || at->conf.role != SPW_IF_ROLE_INTERNET)
		return true;
	dp_fib_lookup(w->tables->fib, ips, leaves, 2);
	return leaf_protected(w, (uint32_t)leaves[0]) || leaf_protected(w, (uint32_t)leaves[1]);
}

/* Up to the twin with the Ethernet header that was cut off; strangers are rate limited. */
static void
to_kernel(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface, bool fragment)
{
	struct dp_worker_priv *p = dp_priv(w);
	bool internet = iface->conf.role == SPW_IF_ROLE_INTERNET;

	if ((internet || fragment) && !dp_rate_take(&p->stranger_rate, w->now_tsc)) {
		dp_drop(w, m, DP_DROP_PUNT_RATE);
		return;
	}
	rte_pktmbuf_prepend(m, DP_ETHER_LEN);
	dp_mirror_frame(w, m, (uint16_t)iface->conf.id);
}

/* ESP for us: move to the ESP header and note what the tunnel's end must know. */
static bool
to_open(struct rte_mbuf *m, const uint8_t *ip, bool udp)
{
	struct dp_pkt *p = dp_pkt(m);
	uint16_t hdr_len = (uint16_t)((ip[0] & 15) * 4);

	p->outer_tos = ip[1];
	memcpy(p->outer_src, dp_v4_mapped, 12);
	memcpy(p->outer_src + 12, ip + 12, 4);
	p->outer_src_port = 0;
	if (udp) {
		uint16_t udp_len = dp_be16(ip + hdr_len + 4);

		p->flags |= DP_PKT_UDP_ENCAP;
		p->outer_src_port = dp_be16(ip + hdr_len);
		rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - hdr_len - udp_len));
		hdr_len += 8;
	}
	rte_pktmbuf_adj(m, hdr_len);
	p->next = DP_NEXT_OPEN;
	return true;
}

/* An IPv4 packet to one of our addresses. True when it stays in the burst. */
static bool
to_us(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface, uint16_t owner)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	enum dp_to_us kind = dp_ipv4_to_us(ip, (uint16_t)m->pkt_len);

	switch (kind) {
	case DP_TO_US_ESP: return to_open(m, ip, false);
	case DP_TO_US_ESP_UDP: return to_open(m, ip, true);
	case DP_TO_US_KEEPALIVE: dp_drop(w, m, DP_DROP_NATT_KEEPALIVE); return false;
	case DP_TO_US_SHORT: dp_drop(w, m, DP_DROP_NATT_SHORT); return false;
	case DP_TO_US_ESP_FRAG: dp_drop(w, m, DP_DROP_ESP_FRAGMENT); return false;
	case DP_TO_US_KERNEL:
	case DP_TO_US_KERNEL_FRAG: break;
	}
	if (iface->conf.role == SPW_IF_ROLE_INTERNET &&
	    must_come_protected(w, owner, dp_be32(ip + 12), dp_be32(ip + 16)))
		dp_drop(w, m, DP_DROP_CLEAR_INBOUND);
	else
		to_kernel(w, m, iface, kind == DP_TO_US_KERNEL_FRAG);
	return false;
}

static bool
csum_known_good(const struct rte_mbuf *m, const struct dp_port *port)
{
	return port->rx_csum &&
	       (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

static bool
parse_ipv4(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface)
{
	rte_pktmbuf_adj(m, DP_ETHER_LEN);
	const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t tot_len;
	enum dp_drop why = dp_ipv4_check(ip, m->pkt_len, csum_known_good(m, iface->port), &tot_len);

	if (why != DP_DROP_COUNT) {
		dp_drop(w, m, why);
		return false;
	}
	rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - tot_len));
	uint32_t dst = dp_be32(ip + 16);

	if (dp_ipv4_source_martian(dp_be32(ip + 12)) || dp_ipv4_dest_martian(dst)) {
		dp_drop(w, m, DP_DROP_MARTIAN);
		return false;
	}
	uint16_t owner =
		dp_local_find(atomic_load_explicit(&w->tables->local, memory_order_acquire), dst);

	if (owner != DP_NO_IFACE)
		return to_us(w, m, iface, owner);
	if (iface->conf.role == SPW_IF_ROLE_INTERNET) {
		dp_drop(w, m, DP_DROP_CLEAR_INBOUND);
		return false;
	}
	dp_pkt(m)->next = DP_NEXT_FIB;
	return true;
}

/* IPv6 with a unicast MAC: ours and link-local ones go up, transit is not offered yet. */
static void
parse_ipv6(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + DP_ETHER_LEN;

	if (m->data_len < DP_ETHER_LEN + 40) {
		dp_drop(w, m, DP_DROP_RUNT);
	} else if ((ip[24] == 0xfe && (ip[25] & 0xc0) == 0x80) ||
		   dp_local6_has(atomic_load_explicit(&w->tables->local6, memory_order_acquire),
				 ip + 24)) {
		rte_pktmbuf_adj(m, DP_ETHER_LEN);
		to_kernel(w, m, iface, false);
	} else {
		dp_drop(w, m, DP_DROP_IPV6_OFF);
	}
}

/*
 * A group or broadcast MAC: the kernel's, but never with one of our own addresses inside, which
 * would slip past what unicast packets are asked (RFC 1122 3.3.6).
 */
static void
parse_group(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	if (dp_be16(frame + 12) == ETHERTYPE_IPV4 &&
	    (m->data_len < DP_ETHER_LEN + 20 ||
	     dp_local_find(atomic_load_explicit(&w->tables->local, memory_order_acquire),
			   dp_be32(frame + DP_ETHER_LEN + 16)) != DP_NO_IFACE)) {
		dp_drop(w, m, DP_DROP_MARTIAN);
		return;
	}
	rte_pktmbuf_adj(m, DP_ETHER_LEN);
	to_kernel(w, m, iface, false);
}

/* True when the packet stays in the burst. */
static bool
parse_one(struct dp_worker *w, struct rte_mbuf *m, const struct dp_port *port)
{
	const struct dp_iface *iface = iface_of(w, m, port);

	if (!iface)
		return false;
	const uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t ethertype = dp_be16(frame + 12);

	if (frame[0] & 1) {
		parse_group(w, m, iface);
		return false;
	}
	if (memcmp(frame, iface->mac, 6) != 0) {
		dp_drop(w, m, DP_DROP_NOT_FOR_US);
		return false;
	}
	if (ethertype == ETHERTYPE_IPV4)
		return parse_ipv4(w, m, iface);
	if (ethertype == ETHERTYPE_IPV6) {
		parse_ipv6(w, m, iface);
	} else if (ethertype == ETHERTYPE_ARP) {
		rte_pktmbuf_adj(m, DP_ETHER_LEN);
		to_kernel(w, m, iface, false);
	} else {
		dp_drop(w, m, DP_DROP_ETHERTYPE);
	}
	return false;
}

static void
pkt_reset(struct rte_mbuf *m)
{
	struct dp_pkt *p = dp_pkt(m);

	memset(p, 0, sizeof(*p));
	p->port_out = DP_PORT_NONE;
}

void
dp_stage_parse(struct dp_worker *w, struct dp_burst *b)
{
	uint16_t kept = 0;

	w->count.rx += b->n;
	for (uint16_t i = 0; i < b->n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(b->pkt[i], void *));
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_port *port =
			atomic_load_explicit(&w->tables->port[m->port], memory_order_acquire);

		pkt_reset(m);
		if (!port)
			dp_drop(w, m, DP_DROP_PORT_GONE);
		else if (parse_one(w, m, port))
			b->pkt[kept++] = m;
	}
	b->n = kept;
}
