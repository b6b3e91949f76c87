/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage FIB: destination address to path group, for the whole burst in one bulk lookup each of IPv4
 * and IPv6, whose packets are gathered apart.
 *
 * Leaf 0 is a counted drop. What the path stage knows of a leaf is fetched here, for it may lie far
 * away. Outer packets are looked up in stage_outer.c. Worker thread.
 */
#include "dataplane/stages.h"
#include "dataplane/way_cache.h"
#include "dataplane/wire.h"

/* Packets of one family: where they are in the burst. */
struct gathered {
	unsigned int n;
	uint16_t at[DP_BURST_ROOM + 1];
};

/*
 * The addresses of a burst in which all packets are IPv4 and need a lookup, as most are. False: it
 * is another.
 */
static bool
gather_plain(const struct dp_burst *b, uint32_t *ips)
{
	const unsigned int n = b->n;
	uint16_t any = 0, all = UINT16_MAX; /* bits that one has, and that all have */

	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const uint16_t state = (uint16_t)dp_pkt_state(dp_pkt(m));

		any |= state;
		all &= state;
		ips[i] = dp_be32(rte_pktmbuf_mtod(m, const uint8_t *) + 16);
	}
	return (any & DP_STATE(DP_STATE_NEXT, DP_PKT_IPV6)) == DP_NEXT_FIB &&
	       (all & DP_STATE_NEXT) == DP_NEXT_FIB;
}

/*
 * Sort the packets that need a lookup by family: [0] IPv4 with their addresses, [1] IPv6. Both
 * lists are written for every packet and one of them grows.
 */
static void
gather(const struct dp_burst *b, struct gathered of[2], uint32_t *ips)
{
	unsigned int n4 = 0, n6 = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		const struct dp_pkt *p = dp_pkt(b->pkt[i]);
		const bool look = p->next == DP_NEXT_FIB, six = (p->flags & DP_PKT_IPV6) != 0;

		ips[n4] = dp_be32(rte_pktmbuf_mtod(b->pkt[i], const uint8_t *) + 16);
		of[0].at[n4] = i;
		of[1].at[n6] = i;
		n4 += look && !six;
		n6 += look && six;
	}
	of[0].n = n4;
	of[1].n = n6;
}

static void
lookup_v6(const struct dp_worker *w, const struct dp_burst *b, const struct gathered *g,
	  uint64_t *leaves)
{
	uint8_t ips[DP_BURST_ROOM][16];

	for (unsigned int i = 0; i < g->n; i++)
		memcpy(ips[i], rte_pktmbuf_mtod(b->pkt[g->at[i]], const uint8_t *) + 24, 16);
	dp_fib6_lookup(w->tables->fib6, ips, leaves, g->n);
}

/* The destination of the packet in place `at` has no leaf: it leaves a gap. Returns true. */
static bool
refuse(struct dp_worker *w, struct dp_burst *b, uint16_t at)
{
	dp_drop(w, b->pkt[at], DP_DROP_NO_ROUTE);
	b->pkt[at] = NULL;
	return true;
}

/* Look up a burst of which gather_plain() said that it is the common one. */
static void
lookup_plain(struct dp_worker *w, struct dp_burst *b, uint32_t *ips)
{
	uint64_t leaves[DP_BURST_ROOM];
	const unsigned int n = b->n;
	uint32_t last = UINT32_MAX; /* leaf that was seen to; no leaf is so large */
	bool gaps = false;

	dp_fib_lookup(w->tables->fib, ips, leaves, n);
	for (unsigned int i = 0; i < n; i++) {
		struct dp_pkt *p = dp_pkt(b->pkt[i]);
		const uint32_t leaf = (uint32_t)leaves[i];

		p->group = leaf;
		p->next = DP_NEXT_PATH;
		if (likely(leaf == last))
			continue;
		if (likely(leaf != 0))
			dp_way_fetch(w, last = leaf);
		else
			gaps = refuse(w, b, (uint16_t)i);
	}
	if (unlikely(gaps))
		dp_burst_compact(b);
	b->kinds = (uint16_t)((b->kinds & ~DP_KIND(DP_NEXT_FIB)) | DP_KIND(DP_NEXT_PATH));
}

/* Note the leaves; returns whether a packet was dropped and left a gap. */
static bool
leaves_put(struct dp_worker *w, struct dp_burst *b, const struct gathered *g,
	   const uint64_t *leaves)
{
	bool gaps = false;

	for (unsigned int i = 0; i < g->n; i++) {
		struct rte_mbuf *m = b->pkt[g->at[i]];

		dp_pkt(m)->group = (uint32_t)leaves[i];
		dp_way_fetch(w, (uint32_t)leaves[i]);
		dp_pkt(m)->next = DP_NEXT_PATH;
		if (unlikely(leaves[i] == 0))
			gaps = refuse(w, b, g->at[i]);
	}
	return gaps;
}

void
dp_stage_fib(struct dp_worker *w, struct dp_burst *b)
{
	struct gathered of[2];
	uint64_t leaves[DP_BURST_ROOM];
	uint32_t ips[DP_BURST_ROOM + 1];
	bool gaps = false;

	if (likely(gather_plain(b, ips))) {
		lookup_plain(w, b, ips);
		return;
	}
	gather(b, of, ips);
	b->kinds = (uint16_t)((b->kinds & ~DP_KIND(DP_NEXT_FIB)) | DP_KIND(DP_NEXT_PATH));
	if (of[0].n) {
		dp_fib_lookup(w->tables->fib, ips, leaves, of[0].n);
		gaps |= leaves_put(w, b, &of[0], leaves);
	}
	if (unlikely(of[1].n)) {
		lookup_v6(w, b, &of[1], leaves);
		gaps |= leaves_put(w, b, &of[1], leaves);
	}
	if (unlikely(gaps))
		dp_burst_compact(b);
}
