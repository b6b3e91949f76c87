/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage parse: received frames to IP packets.
 *
 * A frame belongs to the interface that its port and VLAN tags name: up to two tags, each of either
 * TPID, because a port that takes a tag off does not say which it had; VLAN 0 names none, it is a
 * priority alone (IEEE 802.1Q 6.9). Tags are taken off first (the MAC addresses move over them), so
 * from there on, and for the kernel's twin, every frame has the plain 14-byte header. Group
 * addresses, ARP, and packets to one of our own or a link-local address go to the twin as received;
 * ESP for us goes to open; the rest is forwarded. What a device received in several pieces is put
 * together first: nothing behind this stage sees a chain.
 *
 * From an interface of role Internet nothing is forwarded in the clear, and not even the gateway
 * itself takes a clear packet whose source or destination lies in a protected prefix (a group or a
 * link-local destination lies in none) or whose destination is the address of an inner interface:
 * those must come out of a tunnel (RFC 4301 5.2).
 *
 * A burst comes from one port and mostly carries the same tags, so the interface is looked up when
 * these differ from the frame before, and its counters are written once for each such run.
 *
 * Worker thread; the packet data stay in place, only offsets move.
 */
#include "dataplane/asym.h"
#include "dataplane/classify.h"
#include "dataplane/fit.h"
#include "dataplane/hops.h"
#include "dataplane/parse.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define TAGS_BROKEN UINT32_MAX

static bool
is_tag(uint16_t ethertype)
{
	return ethertype == DP_ETHERTYPE_VLAN || ethertype == DP_ETHERTYPE_QINQ;
}

static bool
has_tags_off(const struct rte_mbuf *m)
{
	return (m->ol_flags & (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED)) != 0;
}

/* Tags that the port has taken off, as outer << 16 | inner; VLAN 0 is none. */
static uint32_t
tags_of_port(const struct rte_mbuf *m)
{
	uint32_t first = m->vlan_tci & 0xfffu, outer = m->vlan_tci_outer & 0xfffu;

	if ((m->ol_flags & RTE_MBUF_F_RX_QINQ_STRIPPED) && outer)
		return outer << 16 | first;
	return has_tags_off(m) ? first << 16 : DP_TAGS_NONE;
}

/*
 * Take off up to two tags, with those that the port has taken off before. Returns outer << 16 |
 * inner, or TAGS_BROKEN when the frame ends within a tag.
 */
static uint32_t
tags_take(struct rte_mbuf *m)
{
	uint32_t tags = tags_of_port(m);

	for (unsigned int n = 0; n < 2; n++) {
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		if (!is_tag(dp_be16(frame + 12)) || (tags & 0xffff))
			break;
		if (m->data_len < DP_ETHER_LEN + DP_TAG_LEN)
			return TAGS_BROKEN;
		uint32_t vid = dp_be16(frame + 14) & 0xfffu;

		tags |= tags ? vid : vid << 16;
		memmove(frame + DP_TAG_LEN, frame, 12);
		rte_pktmbuf_adj(m, DP_TAG_LEN);
	}
	return tags;
}

static bool
has_tags(const struct rte_mbuf *m)
{
	return has_tags_off(m) || is_tag(dp_be16(rte_pktmbuf_mtod_offset(m, const uint8_t *, 12)));
}

/* Write what the run of frames of one interface has come to. */
static void
scan_count(struct dp_worker *w, struct dp_scan *s)
{
	if (s->packets == 0)
		return;
	w->iface[s->iface->conf.id].rx_packets += s->packets;
	w->iface[s->iface->conf.id].rx_bytes += s->bytes;
	s->packets = s->bytes = 0;
}

/* Look the interface of (port, tags) up. */
static void
scan_ask(struct dp_worker *w, struct dp_scan *s, uint16_t dpdk_id, uint32_t tags)
{
	uint16_t id = DP_NO_IFACE;

	scan_count(w, s);
	s->dpdk_id = dpdk_id;
	s->tags = tags;
	s->port = atomic_load_explicit(&w->tables->port[dpdk_id], memory_order_acquire);
	if (s->port)
		id = dp_vlan_find(atomic_load_explicit(&s->port->vlans, memory_order_acquire),
				  (uint16_t)(tags >> 16), (uint16_t)tags);
	s->iface = id != DP_NO_IFACE ? dp_iface_get(w->tables, id) : NULL;
	s->transit = s->iface && s->iface->conf.role != SPW_IF_ROLE_INTERNET;
	if (!s->iface)
		s->why = tags && s->port ? DP_DROP_VLAN_UNKNOWN : DP_DROP_PORT_GONE;
	else
		s->why = s->iface->conf.up ? DP_DROP_COUNT : DP_DROP_IFACE_DOWN;
}

static bool
leaf_protected(const struct dp_worker *w, uint64_t leaf)
{
	const struct dp_group *g = leaf ? dp_group_get(w->tables, (uint32_t)leaf) : NULL;

	return g && (g->conf.flags & SPW_GROUP_PROTECTED);
}

/* Does the address at `addr` lie in a protected prefix? */
static bool
addr_protected(const struct dp_worker *w, const uint8_t *addr, bool ipv6)
{
	uint8_t v6[1][16];
	uint64_t leaf;
	uint32_t v4;

	if (ipv6) {
		memcpy(v6[0], addr, 16);
		dp_fib6_lookup(w->tables->fib6, v6, &leaf, 1);
	} else {
		v4 = dp_be32(addr);
		dp_fib_lookup(w->tables->fib, &v4, &leaf, 1);
	}
	return leaf_protected(w, leaf);
}

static bool
source_protected(const struct dp_worker *w, const uint8_t *ip, bool ipv6)
{
	return addr_protected(w, ip + (ipv6 ? 8 : 12), ipv6);
}

static bool
dest_protected(const struct dp_worker *w, const uint8_t *ip, bool ipv6)
{
	return addr_protected(w, ip + (ipv6 ? 24 : 16), ipv6);
}

/* A source that is known on its link alone, or none yet: no prefix has it, be it the default. */
static bool
is_source_of_link(const uint8_t *ip, bool ipv6)
{
	uint32_t src;

	if (ipv6)
		return dp_ipv6_link_local(ip + 8) || dp_ipv6_martian(ip + 8);
	src = dp_be32(ip + 12);
	return dp_ipv4_martian(src) || src >> 16 == 0xa9fe; /* RFC 3927 */
}

/* Does a packet to a group or a link-local address have a source that only a tunnel may bring? */
static bool
group_must_come_protected(const struct dp_worker *w, const struct dp_iface *iface,
			  const uint8_t *ip, bool ipv6)
{
	return iface->conf.role == SPW_IF_ROLE_INTERNET && !is_source_of_link(ip, ipv6) &&
	       source_protected(w, ip, ipv6);
}

/*
 * For the kernel, from the Internet side: is it a packet that only a tunnel may bring? So is every
 * one whose source or destination lies in a protected prefix, or that is for an address of an
 * inner interface.
 */
static bool
must_come_protected(const struct dp_worker *w, uint16_t owner, const uint8_t *ip, bool ipv6)
{
	const struct dp_iface *at = dp_iface_get(w->tables, owner);

	return !at || at->conf.role != SPW_IF_ROLE_INTERNET || source_protected(w, ip, ipv6) ||
	       dest_protected(w, ip, ipv6);
}

/*
 * Up to the twin with the Ethernet header that was cut off. What comes from the Internet has a rate
 * for each kind, so that a flood of one stands in no other's way: pings neither in that of the IKE
 * SAs there are nor in that of the router that asks for our MAC.
 */
static void
to_kernel(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface,
	  enum dp_up_kind kind)
{
	bool limited = kind == DP_UP_FRAGMENT || iface->conf.role == SPW_IF_ROLE_INTERNET;

	if (limited && !dp_rate_take(&dp_priv(w)->up_rate[kind], w->now_tsc)) {
		dp_drop(w, m, DP_DROP_PUNT_RATE);
		return;
	}
	rte_pktmbuf_prepend(m, DP_ETHER_LEN);
	dp_mirror_frame(w, m, (uint16_t)iface->conf.id);
}

/* What the tunnel's end must know of the outer header. */
static void
outer_note(struct dp_pkt *p, const uint8_t *ip)
{
	if (p->flags & DP_PKT_IPV6) {
		p->outer_tos = (uint8_t)(dp_be16(ip) >> 4);
		memcpy(p->outer_src, ip + 8, 16);
	} else {
		p->outer_tos = ip[1];
		memcpy(p->outer_src, dp_v4_mapped, 12);
		memcpy(p->outer_src + 12, ip + 12, 4);
	}
	p->outer_src_port = 0;
}

/* ESP for us: move to the ESP header, which begins at `at`, or behind the UDP header there. */
static bool
to_open(struct rte_mbuf *m, const uint8_t *ip, uint16_t at, bool udp)
{
	struct dp_pkt *p = dp_pkt(m);

	outer_note(p, ip);
	if (udp) {
		uint16_t udp_len = dp_be16(ip + at + 4);

		p->flags |= DP_PKT_UDP_ENCAP;
		p->outer_src_port = dp_be16(ip + at);
		rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - at - udp_len));
		at += 8;
	}
	rte_pktmbuf_adj(m, at);
	p->flags &= (uint8_t)~DP_PKT_IPV6; /* until open knows what is inside */
	p->next = DP_NEXT_OPEN;
	return true;
}

/* A packet to one of our addresses. True when it stays in the burst. */
static bool
to_us(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface, uint16_t owner)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	bool ipv6 = dp_pkt(m)->flags & DP_PKT_IPV6;
	uint16_t at = (uint16_t)((ip[0] & 15) * 4);
	enum dp_to_us kind =
		ipv6 ? dp_ipv6_to_us(ip, m->pkt_len, &at) : dp_ipv4_to_us(ip, (uint16_t)m->pkt_len);

	switch (kind) {
	case DP_TO_US_ESP: return to_open(m, ip, at, false);
	case DP_TO_US_ESP_UDP: return to_open(m, ip, at, true);
	case DP_TO_US_KEEPALIVE: dp_drop(w, m, DP_DROP_NATT_KEEPALIVE); return false;
	case DP_TO_US_SHORT: dp_drop(w, m, DP_DROP_NATT_SHORT); return false;
	case DP_TO_US_ESP_FRAG: dp_drop(w, m, DP_DROP_ESP_FRAGMENT); return false;
	case DP_TO_US_BROKEN: dp_drop(w, m, DP_DROP_IP_OPTIONS); return false;
	case DP_TO_US_KERNEL:
	case DP_TO_US_KERNEL_FRAG: break;
	}
	dp_pmtu_heard(w, m); /* of any source: what it quotes must be ours */
	if (iface->conf.role == SPW_IF_ROLE_INTERNET && must_come_protected(w, owner, ip, ipv6))
		dp_drop(w, m, DP_DROP_CLEAR_INBOUND);
	else if (kind == DP_TO_US_KERNEL_FRAG)
		to_kernel(w, m, iface, DP_UP_FRAGMENT);
	else if (!dp_monitor_take(w, m, (uint16_t)iface->conf.id))
		to_kernel(w, m, iface, dp_up_kind(ip, m->pkt_len, at));
	return false;
}

/*
 * Not for us: forwarded, but never from the Internet, except from prefixes of Microsoft peering
 * while the Internet stands in for ExpressRoute: what answers us there comes the same way, and is
 * for none of the prefixes that are reached over ExpressRoute or a tunnel.
 */
static bool
transit(struct dp_worker *w, struct rte_mbuf *m, const struct dp_iface *iface)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	bool ipv6 = (dp_pkt(m)->flags & DP_PKT_IPV6) != 0;

	if (unlikely(iface->conf.role == SPW_IF_ROLE_INTERNET &&
		     (dp_asym_answers(w, ip, ipv6) != SPW_TIER_INTERNET ||
		      dest_protected(w, ip, ipv6)))) {
		dp_drop(w, m, DP_DROP_CLEAR_INBOUND);
		return false;
	}
	dp_pkt(m)->next = (uint8_t)dp_forward(ip, ipv6);
	return true;
}

/* The frame becomes the IP packet in it, without what stands before and behind. */
static void
cut_to_ip(struct rte_mbuf *m, uint32_t tot_len)
{
	m->data_off += DP_ETHER_LEN;
	m->data_len = (uint16_t)tot_len;
	m->pkt_len = tot_len;
}

static bool
parse_ipv4(struct dp_worker *w, struct rte_mbuf *m, struct dp_scan *s)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + DP_ETHER_LEN;
	uint32_t there = m->data_len - (uint32_t)DP_ETHER_LEN;
	bool csum_ok = s->port->rx_csum && dp_csum_known_good(m);
	uint16_t tot_len = (uint16_t)dp_ipv4_plain(ip, there, csum_ok);

	if (unlikely(tot_len == 0)) {
		enum dp_drop why = dp_ipv4_check(ip, there, csum_ok, &tot_len);

		if (why != DP_DROP_COUNT) {
			dp_drop(w, m, why);
			return false;
		}
	}
	cut_to_ip(m, tot_len);
	uint32_t dst = dp_be32(ip + 16);

	if (unlikely(dp_ipv4_martian(dp_be32(ip + 12)) || dp_ipv4_martian(dst))) {
		dp_drop(w, m, DP_DROP_MARTIAN);
		return false;
	}
	if (dst != s->dst) {
		s->dst = dst;
		s->owner = dp_local_find(s->local, dst);
	}
	if (s->owner == DP_NO_IFACE)
		return transit(w, m, s->iface);
	return likely(dp_ipv4_is_esp(ip)) ? to_open(m, ip, 20, false)
					  : to_us(w, m, s->iface, s->owner);
}

static bool
parse_ipv6(struct dp_worker *w, struct rte_mbuf *m, const struct dp_scan *s)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + DP_ETHER_LEN;
	uint32_t tot_len;
	enum dp_drop why = dp_ipv6_check(ip, m->data_len - (uint32_t)DP_ETHER_LEN, &tot_len);

	if (why == DP_DROP_COUNT && (dp_ipv6_martian(ip + 8) || dp_ipv6_martian(ip + 24)))
		why = DP_DROP_MARTIAN;
	if (unlikely(why != DP_DROP_COUNT)) {
		dp_drop(w, m, why);
		return false;
	}
	cut_to_ip(m, tot_len);
	dp_pkt(m)->flags |= DP_PKT_IPV6;
	if (unlikely(dp_ipv6_link_local(ip + 24))) {
		if (group_must_come_protected(w, s->iface, ip, true))
			dp_drop(w, m, DP_DROP_CLEAR_INBOUND);
		else if (!dp_monitor_take(w, m, (uint16_t)s->iface->conf.id))
			to_kernel(w, m, s->iface, DP_UP_LINK);
		return false;
	}
	uint16_t owner = dp_local6_find(s->local6, ip + 24);

	if (owner != DP_NO_IFACE)
		return to_us(w, m, s->iface, owner);
	if (unlikely(dp_ipv6_link_local(ip + 8))) {
		dp_drop(w, m, DP_DROP_LINK_LOCAL);
		return false;
	}
	return transit(w, m, s->iface);
}

/*
 * Is an IPv4 destination in a frame to a group one that may be there? Of our own addresses none is;
 * from the Internet only groups and the limited broadcast are, for the kernel has addresses on
 * other devices, too, and takes packets for them from any.
 */
static bool
is_for_group(uint32_t dst, const struct dp_scan *s)
{
	if (s->iface->conf.role == SPW_IF_ROLE_INTERNET)
		return dst >> 28 == 14 || dst == UINT32_MAX;
	return dp_local_find(s->local, dst) == DP_NO_IFACE;
}

/* Is a packet to a station address inside a frame to a group? (RFC 1122 3.3.6) */
static bool
group_smuggles(const uint8_t *frame, uint32_t len, const struct dp_scan *s)
{
	const uint8_t *ip = frame + DP_ETHER_LEN;

	if (dp_be16(frame + 12) == DP_ETHERTYPE_IPV4)
		return len < DP_ETHER_LEN + 20 || !is_for_group(dp_be32(ip + 16), s);
	if (dp_be16(frame + 12) == DP_ETHERTYPE_IPV6)
		return len < DP_ETHER_LEN + 40 || ip[24] != 0xff;
	return false;
}

/*
 * A group or broadcast MAC: the kernel's, but never with one of our own addresses inside, which
 * would slip past what unicast packets are asked, nor from where only a tunnel may bring packets.
 * Nor with a tag more than there may be: the kernel would take one of VLAN 0 off and look behind.
 */
static void
parse_group(struct dp_worker *w, struct rte_mbuf *m, const struct dp_scan *s)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t type = dp_be16(frame + 12);

	if (is_tag(type) || group_smuggles(frame, m->data_len, s)) {
		dp_drop(w, m, is_tag(type) ? DP_DROP_ETHERTYPE : DP_DROP_MARTIAN);
		return;
	}
	if ((type == DP_ETHERTYPE_IPV4 || type == DP_ETHERTYPE_IPV6) &&
	    group_must_come_protected(w, s->iface, frame + DP_ETHER_LEN,
				      type == DP_ETHERTYPE_IPV6)) {
		dp_drop(w, m, DP_DROP_CLEAR_INBOUND);
		return;
	}
	rte_pktmbuf_adj(m, DP_ETHER_LEN);
	to_kernel(w, m, s->iface, DP_UP_LINK);
}

/* A frame to neither our own MAC nor with IP inside. */
static void
parse_other(struct dp_worker *w, struct rte_mbuf *m, const struct dp_scan *s, bool ours)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	if (frame[0] & 1) {
		parse_group(w, m, s);
	} else if (!ours) {
		dp_drop(w, m, DP_DROP_NOT_FOR_US);
	} else if (dp_be16(frame + 12) == DP_ETHERTYPE_ARP) {
		rte_pktmbuf_adj(m, DP_ETHER_LEN);
		to_kernel(w, m, s->iface, DP_UP_LINK);
	} else {
		dp_drop(w, m, DP_DROP_ETHERTYPE);
	}
}

/* A frame of the scan's interface. True when it stays in the burst. */
static bool
parse_frame(struct dp_worker *w, struct rte_mbuf *m, struct dp_scan *s)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	bool ours = dp_mac_word(frame) == s->iface->mac_word;
	uint16_t type = dp_be16(frame + 12);

	if (likely(ours && type == DP_ETHERTYPE_IPV4))
		return parse_ipv4(w, m, s);
	if (likely(ours && type == DP_ETHERTYPE_IPV6))
		return parse_ipv6(w, m, s);
	parse_other(w, m, s, ours);
	return false;
}

/* True when the packet stays in the burst. */
static bool
parse_one(struct dp_worker *w, struct rte_mbuf *m, struct dp_scan *s)
{
	uint32_t tags = DP_TAGS_NONE;

	if (unlikely(m->data_len < DP_ETHER_LEN ||
		     (has_tags(m) && (tags = tags_take(m)) == TAGS_BROKEN))) {
		dp_drop(w, m, DP_DROP_RUNT);
		return false;
	}
	if (unlikely(m->port != s->dpdk_id || tags != s->tags))
		scan_ask(w, s, m->port, tags);
	if (likely(s->iface)) {
		dp_pkt(m)->iface_in = (uint16_t)s->iface->conf.id;
		s->packets++;
		s->bytes += m->pkt_len;
	}
	if (unlikely(s->why != DP_DROP_COUNT)) {
		dp_drop(w, m, s->why);
		return false;
	}
	return parse_frame(w, m, s);
}

/* A frame of any kind. Returns the packet when it stays in the burst. */
static struct rte_mbuf *
parse_any(struct dp_worker *w, struct rte_mbuf *m, struct dp_scan *s)
{
	*dp_pkt(m) = (struct dp_pkt){.port_out = DP_PORT_NONE};
	if (unlikely(m->nb_segs != 1) && !(m = dp_packet_own(w, m, 0, 0)))
		return NULL;
	return parse_one(w, m, s) ? m : NULL;
}

/*
 * Fetch the first packets. Behind the last of the burst, which is as received, it stands some more
 * times: who looks ahead need not ask where the burst ends.
 */
static void
look_ahead(struct dp_burst *b)
{
	_Static_assert(DP_BURST + DP_PARSE_AHEAD <= DP_BURST_ROOM, "room behind a burst");
	for (unsigned int i = 0; i < DP_PARSE_AHEAD; i++)
		b->pkt[b->n + i] = b->pkt[b->n - 1];
	for (unsigned int i = 0; i < DP_PARSE_AHEAD; i++)
		dp_parse_fetch(b->pkt[i]);
}

void
dp_stage_parse(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_scan s = {
		.local = atomic_load_explicit(&w->tables->local, memory_order_acquire),
		.local6 = atomic_load_explicit(&w->tables->local6, memory_order_acquire),
		.dst = DP_SCAN_NO_DST,
		.dpdk_id = DP_PORT_NONE,
		.why = DP_DROP_PORT_GONE,
	};
	uint16_t kept = 0, plain;

	w->count.rx += b->n;
	if (likely(b->n != 0))
		look_ahead(b);
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m;

		plain = dp_parse_plain(b, i, kept, &s);
		kept = (uint16_t)(kept + plain);
		i = (uint16_t)(i + plain);
		if (i == b->n)
			break;
		dp_parse_fetch(b->pkt[i + DP_PARSE_AHEAD]);
		m = parse_any(w, b->pkt[i], &s);
		if (m == NULL)
			continue;
		s.kinds |= DP_KIND(dp_pkt(m)->next);
		b->pkt[kept++] = m;
	}
	b->n = kept;
	b->kinds = (uint16_t)s.kinds;
	scan_count(w, &s);
}
