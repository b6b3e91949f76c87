/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage outer: the way of sealed packets.
 *
 * The outer packets of one SA have one source, one destination and one SPI, so they go one way: the
 * first of those that follow each other is looked up (by the FIB, or the path that the tunnel's
 * configuration gives), the others get its answer. So do those of other SAs whose destination has
 * the same group, when all packets of that go one way. An outer packet that its interface does not
 * carry is left to the fit stage, which never cuts it.
 *
 * Worker thread.
 */
#include "dataplane/way.h"
#include "dataplane/wire.h"

/* Where an outer packet goes. */
struct heading {
	uint32_t group, path;
	uint16_t iface_out;
	uint8_t next; /* enum dp_next */
};

/* Outer packets that follow each other. */
struct run {
	uint32_t sa;	 /* of the last one; UINT32_MAX = none */
	uint32_t common; /* group of which every packet goes `way`; 0 = none */
	bool shared;	 /* every packet of `sa` does */
	struct heading way;
	uint32_t mtu;	    /* of its interface */
	uint16_t tunnel_if; /* interface of the tunnel */
	uint32_t dst, leaf; /* last IPv4 destination looked up, 0 = none, and its leaf */
	bool ipv4, ipv6;    /* families seen */
	uint64_t packets, bytes;
};

/* Sealed packets have left through their tunnel's interface. */
static void
run_count(struct dp_worker *w, struct run *r)
{
	w->iface[r->tunnel_if].tx_packets += r->packets;
	w->iface[r->tunnel_if].tx_bytes += r->bytes;
	r->packets = r->bytes = 0;
}

/* Tunnels to one peer follow each other, too. */
static uint32_t
leaf_of(const struct dp_worker *w, const struct rte_mbuf *m, const struct dp_pkt *p, struct run *r)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint8_t ip6[1][16];
	uint64_t leaf;
	uint32_t ip4;

	if (p->flags & DP_PKT_IPV6) {
		memcpy(ip6[0], ip + 24, 16);
		dp_fib6_lookup(w->tables->fib6, ip6, &leaf, 1);
	} else {
		ip4 = dp_be32(ip + 16);
		if (ip4 == r->dst)
			return r->leaf;
		r->dst = ip4;
		dp_fib_lookup(w->tables->fib, &ip4, &leaf, 1);
		r->leaf = (uint32_t)leaf;
	}
	return (uint32_t)leaf;
}

/* The path that a tunnel's configuration gives its outer packets, + 1; 0 = none. */
static uint32_t
fixed_path(const struct dp_worker *w, const struct dp_pkt *p)
{
	if (unlikely(p->tunnel >= DP_TUNNELS_MAX))
		return 0;
	return atomic_load_explicit(&w->tables->tunnel_outer[p->tunnel], memory_order_acquire);
}

/* Send one packet its own way. True when it stays in the burst. */
static bool
send_one(struct dp_worker *w, struct rte_mbuf *m, uint32_t fixed, struct dp_ways *ways)
{
	struct dp_pkt *p = dp_pkt(m);

	p->path = fixed - 1;
	if (unlikely(fixed == 0 && p->group == 0)) {
		dp_drop(w, m, DP_DROP_NO_ROUTE);
		return false;
	}
	return dp_way_one(w, m, ways);
}

/* Send a packet the way of the run. */
static inline void
follow(struct rte_mbuf *m, const struct heading *way)
{
	struct dp_pkt *p = dp_pkt(m);

	p->path = way->path;
	p->group = way->group;
	p->iface_out = way->iface_out;
	p->next = way->next;
}

/* The way of the packet is new: keep it for those that follow. */
static void
way_keep(const struct dp_worker *w, const struct dp_pkt *p, struct run *r,
	 const struct dp_ways *ways)
{
	const struct dp_group_memo *g = &ways->group;

	r->way = (struct heading){
		.group = p->group, .path = p->path, .iface_out = p->iface_out, .next = p->next};
	r->mtu = dp_iface_mtu(w->tables, p->iface_out);
	r->common = p->group != 0 && g->pick.alone && g->noted ? p->group : 0;
}

/* The first packet of an SA's. True when it stays in the burst. */
static __attribute__((noinline)) bool
run_begin(struct dp_worker *w, struct rte_mbuf *m, struct run *r, struct dp_ways *ways)
{
	struct dp_pkt *p = dp_pkt(m);
	uint32_t fixed = fixed_path(w, p);

	if (unlikely(p->iface_out != r->tunnel_if))
		run_count(w, r);
	r->tunnel_if = p->iface_out;
	r->sa = p->sa;
	r->ipv4 |= (p->flags & DP_PKT_IPV6) == 0;
	r->ipv6 |= (p->flags & DP_PKT_IPV6) != 0;
	r->packets++;
	r->bytes += m->pkt_len;
	p->group = fixed != 0 ? 0 : leaf_of(w, m, p, r);
	r->shared = true;
	if (likely(p->group == r->common && p->group != 0)) {
		follow(m, &r->way);
		ways->path.packets++;
		ways->path.bytes += m->pkt_len;
		return true;
	}
	r->shared = send_one(w, m, fixed, ways);
	r->common = 0;
	if (likely(r->shared))
		way_keep(w, p, r, ways);
	return r->shared;
}

/*
 * Packets of other SAs than the one before, to the same peer over IPv4: send those from the
 * `from`th on the way that all packets there go, and put them behind the `kept` ones. The first
 * that goes elsewhere, or of which that is not known, is left as it was. Returns how many.
 */
static uint16_t
step_all(struct dp_worker *w, struct dp_burst *b, uint16_t from, uint16_t kept, const struct run *r,
	 struct dp_ways *ways)
{
	const uint32_t alike = DP_STATE(DP_STATE_NEXT, DP_PKT_IPV6);
	const bool known = r->common != 0 && r->leaf == r->common;
	const struct heading way = r->way;
	const uint32_t dst_be = __builtin_bswap32(r->dst);
	struct dp_iface_counters *iface = w->iface;
	struct rte_mbuf **out = &b->pkt[kept], *const *end = &b->pkt[known ? b->n : from];
	uint32_t longest = 0;
	uint64_t bytes = 0;
	uint16_t n;

	for (struct rte_mbuf *const *in = &b->pkt[from]; in != end; in++) {
		struct rte_mbuf *m = *in;
		struct dp_pkt *p = dp_pkt(m);
		uint32_t dst;

		memcpy(&dst, rte_pktmbuf_mtod(m, const uint8_t *) + 16, sizeof(dst));
		if ((dp_pkt_state(p) & alike) != DP_NEXT_OUTER || dst != dst_be ||
		    fixed_path(w, p) != 0)
			break;
		const uint32_t len = m->pkt_len;
		struct dp_iface_counters *tunnel_if = &iface[p->iface_out];

		tunnel_if->tx_packets++;
		tunnel_if->tx_bytes += len;
		bytes += len;
		longest = RTE_MAX(longest, len);
		follow(m, &way); /* its kind is the burst's already */
		*out++ = m;
	}
	n = (uint16_t)(out - &b->pkt[kept]);
	ways->path.packets += n;
	ways->path.bytes += bytes;
	if (unlikely(longest > r->mtu))
		b->kinds |= DP_KIND_FIT;
	return n;
}

/*
 * Send the packets from the `from`th on that are of the run's SA its way, and put them behind the
 * `kept` ones. Returns how many. What they have in common stays in registers.
 */
static uint16_t
follow_all(struct dp_burst *b, uint16_t from, uint16_t kept, struct run *r, struct dp_ways *ways)
{
	const struct heading way = r->way;
	const uint32_t sa = r->sa;
	struct rte_mbuf **out = &b->pkt[kept], *const *end = &b->pkt[r->shared ? b->n : from];
	uint32_t longest = 0;
	uint64_t bytes = 0;
	uint16_t n;

	for (struct rte_mbuf *const *in = &b->pkt[from]; in != end; in++) {
		struct rte_mbuf *m = *in;

		if (dp_pkt(m)->next != DP_NEXT_OUTER || dp_pkt(m)->sa != sa)
			break;
		follow(m, &way);
		bytes += m->pkt_len;
		longest = RTE_MAX(longest, m->pkt_len);
		*out++ = m;
	}
	n = (uint16_t)(out - &b->pkt[kept]);
	r->packets += n;
	r->bytes += bytes;
	ways->path.packets += n;
	ways->path.bytes += bytes;
	if (unlikely(longest > r->mtu))
		b->kinds |= DP_KIND_FIT;
	return n;
}

/* run_begin(), and what its way means for the burst. True when the packet stays in it. */
static inline bool
begin(struct dp_worker *w, struct dp_burst *b, struct rte_mbuf *m, struct run *r,
      struct dp_ways *ways)
{
	if (unlikely(!run_begin(w, m, r, ways)))
		return false;
	b->kinds |= (uint16_t)DP_KIND(dp_pkt(m)->next);
	if (unlikely(m->pkt_len > r->mtu))
		b->kinds |= DP_KIND_FIT;
	return true;
}

void
dp_stage_outer(struct dp_worker *w, struct dp_burst *b)
{
	struct run run = {.sa = UINT32_MAX};
	struct dp_ways ways = DP_WAYS_NONE;
	uint16_t kept = 0;

	b->kinds &= (uint16_t)~DP_KIND(DP_NEXT_OUTER);
	for (uint16_t i = 0; i < b->n;) {
		struct rte_mbuf *m = b->pkt[i];
		uint16_t n;

		if ((n = step_all(w, b, i, kept, &run, &ways)) == 0) {
			i++;
			if (dp_pkt(m)->next == DP_NEXT_OUTER &&
			    unlikely(!begin(w, b, m, &run, &ways)))
				continue;
			b->pkt[kept++] = m;
			n = follow_all(b, i, kept, &run, &ways);
		}
		kept = (uint16_t)(kept + n);
		i = (uint16_t)(i + n);
	}
	b->n = kept;
	/* What went up to a twin was counted, too, and is no longer here. */
	if (likely(run.ipv4 != run.ipv6 && ways.path.next == DP_NEXT_ADJ))
		dp_burst_one_way(b, ways.path.packets,
				 &(struct dp_one_way){.path = ways.path.id,
						      .bytes = (uint32_t)ways.path.bytes,
						      .iface = ways.path.iface_out,
						      .ipv6 = run.ipv6});
	run_count(w, &run);
	dp_ways_count(w, &ways);
}
