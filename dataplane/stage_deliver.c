/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage deliver: packets that came out of a tunnel.
 *
 * Their interface is the tunnel's from here on (none when the tunnel has no interface). Packets for
 * the gateway itself go up: to the tunnel's own twin when it has one (BGP in the tunnel, probes),
 * else to the twin of the interface that owns the address. Group addresses end here too, because
 * nothing routes them, and so do link-local ones, which are the tunnel's own twin's or nobody's.
 * The rest goes on to the TTL and the FIB like any received packet.
 *
 * Worker thread. ESP has checked the inner header and the selectors.
 */
#include "dataplane/classify.h"
#include "dataplane/hops.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

/* Packets out of one tunnel that follow each other. */
struct run {
	uint32_t tunnel; /* UINT32_MAX = none; no SA has it */
	uint16_t iface;	 /* of the tunnel; DP_NO_IFACE = none */
	uint64_t packets, bytes;
	const struct dp_local *local;
	uint64_t goes_on; /* addresses() of the last packet that may; GOES_NONE = there is none */
	uint32_t dst;	  /* last IPv4 destination asked for */
	uint16_t owner;	  /* of `dst` */
	bool forwards;	  /* packets to it go on */
};

/*
 * What is asked of an IPv4 header's addresses in one word: the first octet of the source and the
 * destination, as they lie in memory (little-endian).
 */
#define ADDRESSES UINT64_C(0xffffffff000000ff)
#define GOES_NONE UINT64_MAX

static inline uint64_t
addresses(const uint8_t *ip)
{
	uint64_t both;

	memcpy(&both, ip + 12, sizeof(both));
	return both & ADDRESSES;
}

static void
run_count(struct dp_worker *w, struct run *r)
{
	if (r->iface != DP_NO_IFACE) {
		w->iface[r->iface].rx_packets += r->packets;
		w->iface[r->iface].rx_bytes += r->bytes;
	}
	r->packets = r->bytes = 0;
}

/* What follows came out of another tunnel. False: there is no such tunnel. */
static inline bool
run_begin(struct dp_worker *w, struct run *r, uint32_t tunnel)
{
	if (unlikely(tunnel >= DP_TUNNELS_MAX))
		return false;
	run_count(w, r);
	r->tunnel = tunnel;
	r->iface = atomic_load_explicit(&w->tables->tunnel_iface[tunnel], memory_order_acquire);
	return true;
}

static void
iface_becomes_tunnel(struct dp_worker *w, struct rte_mbuf *m, struct run *r)
{
	struct dp_pkt *p = dp_pkt(m);

	if (p->tunnel != r->tunnel && !run_begin(w, r, p->tunnel))
		return;
	p->iface_in = r->iface;
	r->packets++;
	r->bytes += m->pkt_len;
}

/* The tunnel's own twin; DP_NO_IFACE when it has none. */
static uint16_t
tunnel_twin(const struct dp_worker *w, struct rte_mbuf *m)
{
	const struct dp_iface *in = dp_iface_get(w->tables, dp_pkt(m)->iface_in);

	return in && in->conf.kind == SPW_IFACE_TUNNEL && in->twin ? (uint16_t)in->conf.id
								   : DP_NO_IFACE;
}

/* For the gateway itself: up. */
static void
deliver_own(struct dp_worker *w, struct rte_mbuf *m, uint16_t owner)
{
	uint16_t twin = tunnel_twin(w, m);

	dp_sad_count_own_in(w, dp_pkt(m)->tunnel);
	if (twin == DP_NO_IFACE)
		twin = owner;
	if (!dp_monitor_take(w, m, twin))
		dp_mirror_ip(w, m, twin);
}

/* Source routes and broken options are no more taken from a tunnel than in the clear. */
static enum dp_drop
options_check(const struct rte_mbuf *m)
{
	uint16_t tot_len;

	return dp_ipv4_check(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, true, &tot_len);
}

/* Is this destination one that packets are forwarded to? Asked when it is another than before. */
static inline bool
forwards_to(struct run *r, uint32_t dst)
{
	if (unlikely(dst != r->dst)) {
		r->dst = dst;
		r->owner = dp_local_find(r->local, dst);
		r->forwards = r->owner == DP_NO_IFACE && !dp_ipv4_martian(dst);
	}
	return r->forwards;
}

/* Who owns the destination; DP_NO_IFACE with `why` set when the packet must go instead. */
static uint16_t
owner_v4(const uint8_t *ip, struct run *r, enum dp_drop *why)
{
	bool forwarded = forwards_to(r, dp_be32(ip + 16)) && !dp_ipv4_martian_top(ip[12]);

	if (r->owner == DP_NO_IFACE && unlikely(!forwarded))
		*why = DP_DROP_MARTIAN;
	return r->owner;
}

static uint16_t
owner_v6(const struct dp_worker *w, struct rte_mbuf *m, const uint8_t *ip, enum dp_drop *why)
{
	uint16_t owner = dp_local6_find(
		atomic_load_explicit(&w->tables->local6, memory_order_acquire), ip + 24);

	if (owner == DP_NO_IFACE && dp_ipv6_link_local(ip + 24))
		owner = tunnel_twin(w, m);
	if (owner != DP_NO_IFACE)
		return owner;
	if (dp_ipv6_martian(ip + 8) || dp_ipv6_martian(ip + 24))
		*why = DP_DROP_MARTIAN;
	else if (dp_ipv6_link_local(ip + 8) || dp_ipv6_link_local(ip + 24))
		*why = DP_DROP_LINK_LOCAL;
	return DP_NO_IFACE;
}

/* True when the packet stays in the burst. */
static bool
deliver_one(struct dp_worker *w, struct rte_mbuf *m, struct run *run)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	enum dp_drop why = DP_DROP_COUNT;
	uint16_t owner;

	iface_becomes_tunnel(w, m, run);
	owner = dp_pkt(m)->flags & DP_PKT_IPV6 ? owner_v6(w, m, ip, &why) : owner_v4(ip, run, &why);
	if (unlikely((ip[0] & 0xf0) == 0x40 && ip[0] != 0x45 &&
		     options_check(m) != DP_DROP_COUNT)) {
		dp_drop(w, m, DP_DROP_IP_OPTIONS);
		return false;
	}
	if (likely(owner == DP_NO_IFACE && why == DP_DROP_COUNT)) {
		dp_pkt(m)->next = (uint8_t)dp_forward(ip, (dp_pkt(m)->flags & DP_PKT_IPV6) != 0);
		return true;
	}
	if (owner != DP_NO_IFACE)
		deliver_own(w, m, owner);
	else
		dp_drop(w, m, why);
	return false;
}

/* May a packet with these addresses go on? Asked when they are others than before. */
static inline bool
goes_on(struct run *r, const uint8_t *ip)
{
	const uint64_t both = addresses(ip);

	if (likely(both == r->goes_on))
		return true;
	if (!forwards_to(r, dp_be32(ip + 16)) || dp_ipv4_martian_top(ip[12]))
		return false;
	r->goes_on = both;
	return true;
}

/*
 * The usual packets: those from the `from`th on that came out of a tunnel, IPv4 without options, to
 * be forwarded and with a hop left. Put behind the `kept` ones; the first that is another is left
 * as it was. Returns how many.
 */
static __rte_noinline uint16_t
deliver_plain(struct dp_worker *w, struct dp_burst *b, uint16_t from, uint16_t kept, struct run *r)
{
	const uint32_t alike = DP_STATE(0, DP_PKT_DECRYPTED | DP_PKT_OUTER | DP_PKT_IPV6),
		       state = DP_STATE(0, DP_PKT_DECRYPTED);
	struct rte_mbuf **out = &b->pkt[kept], **run = out, *const *end = &b->pkt[b->n];
	uint32_t bytes = 0;

	for (struct rte_mbuf *const *in = &b->pkt[from]; in != end; in++) {
		struct rte_mbuf *m = *in;
		struct dp_pkt *p = dp_pkt(m);
		uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

		if (unlikely((dp_pkt_state(p) & alike) != state || ip[0] != 0x45))
			break;
		if (p->tunnel != r->tunnel) {
			r->packets += (uint64_t)(out - run);
			r->bytes += bytes;
			run = out;
			bytes = 0;
			if (unlikely(!run_begin(w, r, p->tunnel)))
				break;
		}
		if (unlikely(!goes_on(r, ip) || !dp_ttl_take(ip)))
			break;
		p->iface_in = r->iface;
		bytes += m->pkt_len;
		*out++ = m;
	}
	r->packets += (uint64_t)(out - run);
	r->bytes += bytes;
	return (uint16_t)(out - &b->pkt[kept]);
}

void
dp_stage_deliver(struct dp_worker *w, struct dp_burst *b)
{
	struct run run = {
		.tunnel = UINT32_MAX,
		.local = atomic_load_explicit(&w->tables->local, memory_order_acquire),
		.goes_on = GOES_NONE,
		.owner = DP_NO_IFACE, /* nobody has the destination 0, with which this begins */
	};
	uint16_t kept = 0;
	unsigned int kinds = b->kinds;

	for (uint16_t i = 0, n; i < b->n;) {
		struct rte_mbuf *m = b->pkt[i++];

		/* Beside what came out there may be what is sealed again and already on its way. */
		if ((dp_pkt(m)->flags & (DP_PKT_DECRYPTED | DP_PKT_OUTER)) == DP_PKT_DECRYPTED) {
			if (!deliver_one(w, m, &run))
				continue;
			kinds |= DP_KIND(dp_pkt(m)->next);
		}
		b->pkt[kept++] = m;
		n = deliver_plain(w, b, i, kept, &run);
		kinds |= n != 0 ? DP_KIND(DP_NEXT_FIB) : 0;
		kept = (uint16_t)(kept + n);
		i = (uint16_t)(i + n);
	}
	b->n = kept;
	b->kinds = (uint16_t)kinds;
	run_count(w, &run);
}
