/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage outer: the way of sealed packets.
 *
 * The outer packets of one SA have one source, one destination and one SPI, so they go one way: the
 * first of those that follow each other is looked up (by the FIB, or the path that the tunnel's
 * configuration gives), the others get its answer. An outer packet that its interface does not
 * carry is left to the fit stage, which never cuts it.
 *
 * Worker thread.
 */
#include "dataplane/way.h"
#include "dataplane/wire.h"

/* Outer packets of one SA that follow each other. */
struct run {
	uint32_t sa;	    /* UINT32_MAX = none */
	bool shared;	    /* `way` stands for all of them */
	struct dp_pkt way;  /* of the first */
	uint32_t mtu;	    /* of its interface */
	uint16_t tunnel_if; /* interface of the tunnel */
	uint32_t dst, leaf; /* last IPv4 destination looked up, 0 = none, and its leaf */
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

/* Send one packet its own way. True when it stays in the burst. */
static bool
send_one(struct dp_worker *w, struct rte_mbuf *m, struct run *r, struct dp_ways *ways)
{
	struct dp_pkt *p = dp_pkt(m);
	uint32_t fixed = 0; /* path id + 1 */

	if (likely(p->tunnel < DP_TUNNELS_MAX))
		fixed = atomic_load_explicit(&w->tables->tunnel_outer[p->tunnel],
					     memory_order_acquire);
	p->group = fixed ? 0 : leaf_of(w, m, p, r);
	p->path = fixed - 1;
	if (unlikely(fixed == 0 && p->group == 0)) {
		dp_drop(w, m, DP_DROP_NO_ROUTE);
		return false;
	}
	return dp_way_one(w, m, ways);
}

/* The first packet of a run. True when it stays in the burst. */
static bool
run_begin(struct dp_worker *w, struct rte_mbuf *m, struct run *r, struct dp_ways *ways)
{
	const struct dp_pkt *p = dp_pkt(m);

	run_count(w, r);
	r->sa = p->sa;
	r->tunnel_if = p->iface_out;
	r->packets = 1;
	r->bytes = m->pkt_len;
	r->shared = send_one(w, m, r, ways);
	if (unlikely(!r->shared))
		return false;
	r->way = *p;
	r->mtu = dp_iface_mtu(w->tables, p->iface_out);
	return true;
}

/* A further packet of a run. True when it stays in the burst. */
static inline bool
run_add(struct dp_worker *w, struct rte_mbuf *m, struct run *r, struct dp_ways *ways)
{
	struct dp_pkt *p = dp_pkt(m);

	r->packets++;
	r->bytes += m->pkt_len;
	if (unlikely(!r->shared))
		return send_one(w, m, r, ways);
	p->path = r->way.path;
	p->group = r->way.group;
	p->iface_out = r->way.iface_out;
	p->next = r->way.next;
	ways->path.packets++;
	ways->path.bytes += m->pkt_len;
	return true;
}

void
dp_stage_outer(struct dp_worker *w, struct dp_burst *b)
{
	struct run run = {.sa = UINT32_MAX};
	struct dp_ways ways = DP_WAYS_NONE;
	unsigned int kinds = b->kinds & ~DP_KIND(DP_NEXT_OUTER);
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_pkt *p = dp_pkt(m);

		if (p->next == DP_NEXT_OUTER) {
			if (!(p->sa == run.sa ? run_add(w, m, &run, &ways)
					      : run_begin(w, m, &run, &ways)))
				continue;
			kinds |= DP_KIND(p->next);
			if (unlikely(run.shared && m->pkt_len > run.mtu))
				kinds |= DP_KIND_LONG;
		}
		b->pkt[kept++] = m;
	}
	b->n = kept;
	b->kinds = (uint16_t)kinds;
	run_count(w, &run);
	dp_ways_count(w, &ways);
}
