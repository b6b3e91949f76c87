/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The workers' side of the monitor (monitor.h): taking what it wants, sending what it made.
 *
 * Taking happens to packets for one of our own addresses on their way to the kernel, never to
 * transit. Wanted are BFD control packets (UDP 3784, RFC 5881 4) over interfaces that have a
 * session, answers to probes, and ICMP errors that quote a probe's packet; whether it really is
 * ours, the user of the monitor decides. BFD with TTL 255, which only a neighbour can send (RFC
 * 5881 5), may fill the whole ring; what strangers can send may fill half of it.
 *
 * Sending: the monitor's thread reads no published objects, so the way is resolved here. The frame
 * of a next hop is made at once: a packet that would have to wait for its neighbour is dropped, and
 * the API thread asked to have it resolved. Into a tunnel it goes like a packet of the tunnel's
 * twin. What cannot go is told to its user: too big, no SA, no neighbour, path or interface gone.
 *
 * Worker thread.
 */
#include <netinet/in.h>

#include "dataplane/ip6_walk.h"
#include "dataplane/monitor_ring.h"
#include "dataplane/pmtu.h"
#include "dataplane/sad_data.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define BFD_PORT      3784
#define ICMP_ECHO     8
#define ICMP_REPLY    0
#define ICMP6_ECHO    128
#define ICMP6_REPLY   129
#define UDP_HDR	      8
#define L4_MIN	      8 /* header bytes of UDP and of ICMP echo */
#define NOT_WANTED    (-1)
#define FROM_STRANGER 1 /* of what is wanted: anybody could have sent it */

/* Upper layer of a packet. */
struct upper {
	const uint8_t *at;
	uint32_t len;
	uint8_t protocol;
	uint8_t ttl;
	bool ipv6;
};

/* Find the upper layer; false for fragments and what is too short. */
static bool
upper_find(const uint8_t *ip, uint32_t len, struct upper *u)
{
	struct dp_ip6_upper six;
	uint32_t at;

	if (len < 20)
		return false;
	u->ipv6 = ip[0] >> 4 == 6;
	if (u->ipv6) {
		if (len < DP_IP6_HDR || !dp_ip6_walk(ip, len, &six) || six.fragment)
			return false;
		at = six.at;
		u->protocol = six.protocol;
	} else {
		if ((dp_be16(ip + 6) & 0x3fff) != 0)
			return false;
		at = (ip[0] & 15u) * 4;
		u->protocol = ip[9];
	}
	u->ttl = ip[u->ipv6 ? 7 : 8];
	u->at = ip + at;
	u->len = len >= at ? len - at : 0;
	return u->len >= L4_MIN;
}

static bool
in_range(uint16_t value, uint32_t range)
{
	return (uint16_t)(value - (range >> 16)) < (range & 0xffff);
}

/* Does the quoted packet look like one of a probe? */
static bool
quotes_probe(const struct upper *error, uint64_t probes)
{
	const uint8_t *ip = error->at + L4_MIN;
	uint32_t len = error->len - L4_MIN, at = error->ipv6 ? DP_IP6_HDR : 20;

	if (len < at + L4_MIN || ip[0] >> 4 != (error->ipv6 ? 6 : 4))
		return false;
	if (!error->ipv6)
		at = (ip[0] & 15u) * 4;
	if (len < at + L4_MIN)
		return false;
	uint8_t protocol = ip[error->ipv6 ? 6 : 9];

	if (protocol == IPPROTO_UDP)
		return in_range(dp_be16(ip + at), (uint32_t)probes);
	return protocol == (error->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
	       ip[at] == (error->ipv6 ? ICMP6_ECHO : ICMP_ECHO) &&
	       in_range(dp_be16(ip + at + 4), (uint32_t)(probes >> 32));
}

static bool
icmp_wanted(const struct upper *u, uint64_t probes)
{
	uint8_t type = u->at[0];

	if (type == (u->ipv6 ? ICMP6_REPLY : ICMP_REPLY))
		return in_range(dp_be16(u->at + 4), (uint32_t)(probes >> 32));
	if (u->ipv6)
		return type >= 1 && type <= 4 && quotes_probe(u, probes); /* RFC 4443 2.1 */
	return (type == 3 || type == 11 || type == 12) && quotes_probe(u, probes);
}

/* Which user wants the packet: NOT_WANTED, or its number << 1, with FROM_STRANGER. */
static int
wanted_by(const struct dp_monitor_wants *wants, const uint8_t *ip, uint32_t len,
	  const struct dp_pkt *p)
{
	uint64_t probes = atomic_load_explicit(&wants->probes, memory_order_relaxed);
	bool bfd = !(p->flags & DP_PKT_DECRYPTED) &&
		   atomic_load_explicit(&wants->bfd[p->iface_in], memory_order_relaxed) != 0;
	struct upper u;

	if ((probes == 0 && !bfd) || !upper_find(ip, len, &u))
		return NOT_WANTED;
	if (u.protocol == IPPROTO_UDP) {
		uint16_t port = dp_be16(u.at + 2);

		if (bfd && port == BFD_PORT)
			return DP_MONITOR_BFD << 1 | (u.ttl != 255 ? FROM_STRANGER : 0);
		if (in_range(port, (uint32_t)probes))
			return DP_MONITOR_PROBES << 1 | FROM_STRANGER;
	} else if (u.protocol == (u.ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
		   icmp_wanted(&u, probes)) {
		return DP_MONITOR_PROBES << 1 | FROM_STRANGER;
	}
	return NOT_WANTED;
}

/*
 * May a packet that anybody can have sent take room? Half of the ring is for those that nobody else
 * can; of the rest, what comes in the clear from the Internet has a rate of its own.
 */
static bool
stranger_may(struct dp_worker *w, const struct dp_pkt *p, uint16_t iface)
{
	struct dp_worker_priv *priv = dp_priv(w);
	const struct dp_iface *in = dp_iface_get(w->tables, iface);
	bool internet =
		!(p->flags & DP_PKT_DECRYPTED) && in && in->conf.role == SPW_IF_ROLE_INTERNET;

	return rte_ring_count(priv->to_monitor) < DP_MONITOR_RX_RING / 2 &&
	       (!internet || dp_rate_take(&priv->up_rate[DP_UP_PROBE], w->now_tsc));
}

bool
dp_monitor_take(struct dp_worker *w, struct rte_mbuf *m, uint16_t iface)
{
	struct dp_worker_priv *p = dp_priv(w);
	struct dp_pkt *k = dp_pkt(m);

	if (!p->wants)
		return false;
	int by = wanted_by(p->wants, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, k);

	if (by == NOT_WANTED)
		return false;
	if ((by & FROM_STRANGER) && !stranger_may(w, k, iface)) {
		dp_drop(w, m, DP_DROP_PUNT_FULL);
		return true;
	}
	uint16_t len = m->data_len;

	if (k->flags & DP_PKT_DECRYPTED) {
		if (!dp_mirror_frame_up(w, m, iface)) {
			dp_drop(w, m, DP_DROP_NO_ROOM);
			return true;
		}
	} else {
		rte_pktmbuf_prepend(m, DP_ETHER_LEN);
	}
	struct dp_monitor_note note = {.m = m,
				       .tsc = w->now_tsc,
				       .ip_at = (uint16_t)(m->data_len - len),
				       .user = (uint8_t)(by >> 1),
				       .received = 1};

	k->twin = iface;
	if (rte_ring_sp_enqueue_elem(p->to_monitor, &note, sizeof(note)) != 0)
		dp_drop(w, m, DP_DROP_PUNT_FULL);
	else
		p->ring_punt = true;
	return true;
}

/* Drop a packet of the monitor, and tell it. */
static void
refuse(struct dp_worker *w, struct rte_mbuf *m, enum dp_drop why, uint32_t mtu)
{
	struct dp_worker_priv *p = dp_priv(w);
	const struct dp_monitor_note note = {.m = m,
					     .tsc = w->now_tsc,
					     .user = dp_pkt(m)->outer_tos,
					     .why = (uint16_t)why,
					     .mtu = (uint16_t)RTE_MIN(mtu, 65535u)};

	rte_mbuf_refcnt_update(m, 1);
	if (rte_ring_count(p->to_monitor) >= DP_MONITOR_RX_RING / 2 ||
	    rte_ring_sp_enqueue_elem(p->to_monitor, (void *)(uintptr_t)&note, sizeof(note)) != 0)
		rte_mbuf_refcnt_update(m, -1);
	else
		p->ring_punt = true;
	dp_drop(w, m, why);
}

static void
ask(struct dp_worker *w, const struct dp_neigh_key *key)
{
	struct dp_worker_event ev = {
		.kind = DP_EVENT_NEIGH_MISS, .iface = (uint16_t)key->iface, .tsc = w->now_tsc};

	dp_neigh_key_addr(key, ev.addr);
	if (dp_rate_take(&dp_priv(w)->ask_rate, w->now_tsc))
		dp_worker_tell(w, &ev);
}

/* To a next hop. DP_DROP_COUNT when the frame is complete. */
static enum dp_drop
to_hop(struct dp_worker *w, struct rte_mbuf *m, const struct dp_neigh_key *key, uint32_t *mtu)
{
	const struct dp_iface *out = dp_iface_get(w->tables, (uint16_t)key->iface);
	struct dp_pkt *p = dp_pkt(m);
	uint8_t mac[6];

	if (!out || !out->port)
		return DP_DROP_PORT_GONE;
	if (!out->conf.up)
		return DP_DROP_IFACE_DOWN;
	*mtu = out->conf.mtu;
	if (m->pkt_len > *mtu)
		return DP_DROP_TOO_BIG;
	if (!dp_neigh_find(w->tables->neighs, key, mac)) {
		ask(w, key);
		return DP_DROP_NO_NEIGHBOUR;
	}
	struct dp_l2 l2 = dp_l2_of(&out->l2, (p->flags & DP_PKT_IPV6) != 0);

	dp_l2_dest(&l2, mac);
	if (!dp_l2_push(m, &l2))
		return DP_DROP_NO_ROOM;
	p->iface_out = (uint16_t)key->iface;
	p->port_out = l2.port_out;
	p->next = DP_NEXT_TX;
	return DP_DROP_COUNT;
}

static enum dp_drop
to_tunnel(struct dp_worker *w, struct rte_mbuf *m, uint32_t tunnel, uint32_t *mtu)
{
	struct dp_pkt *p = dp_pkt(m);

	if (tunnel >= w->sad->max_tunnels)
		return DP_DROP_PORT_GONE;
	const struct dp_tunnel *t = &w->sad->tunnels[tunnel];
	uint64_t fit = atomic_load_explicit(&t->fit, memory_order_relaxed);

	if (fit == 0 || !atomic_load_explicit(&t->out, memory_order_relaxed))
		return DP_DROP_NO_SA;
	*mtu = dp_fit_mtu(fit, (p->flags & DP_PKT_IPV6) != 0);
	if (m->pkt_len > *mtu)
		return DP_DROP_TOO_BIG;
	p->tunnel = tunnel;
	p->iface_out = atomic_load_explicit(&w->tables->tunnel_iface[tunnel], memory_order_relaxed);
	p->next = DP_NEXT_SEAL;
	return DP_DROP_COUNT;
}

static struct dp_neigh_key
hop_given(const struct dp_pkt *p)
{
	if (memcmp(p->outer_src, dp_v4_mapped, sizeof(dp_v4_mapped)) == 0)
		return dp_neigh_key4(p->iface_out, dp_be32(p->outer_src + 12));
	return dp_neigh_key6(p->iface_out, p->outer_src);
}

static enum dp_drop
resolve(struct dp_worker *w, struct rte_mbuf *m, uint32_t *mtu)
{
	const struct dp_pkt *p = dp_pkt(m);
	struct dp_neigh_key key;

	if (p->path == SPW_DP_ADDR_NONE) {
		key = hop_given(p);
		return to_hop(w, m, &key, mtu);
	}
	const struct dp_path *path =
		p->path < SPW_DP_PATHS_MAX ? dp_path_get(w->tables, p->path) : NULL;

	if (path && path->conf.kind == SPW_PATH_TUNNEL)
		return to_tunnel(w, m, path->conf.tunnel, mtu);
	if (path && path->conf.kind == SPW_PATH_ADJACENCY)
		return to_hop(w, m, &path->hop, mtu);
	return DP_DROP_PORT_GONE;
}

void
dp_stage_monitor(struct dp_worker *w, struct dp_burst *b)
{
	uint16_t kept = 0;
	unsigned int kinds = 0;

	w->count.created += b->n;
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		uint32_t mtu = 0;
		enum dp_drop why = resolve(w, m, &mtu);

		if (why != DP_DROP_COUNT) {
			refuse(w, m, why, mtu);
			continue;
		}
		kinds |= dp_pkt_kinds(w->tables, dp_pkt(m));
		b->pkt[kept++] = m;
	}
	b->n = kept;
	b->kinds = (uint16_t)kinds;
}
