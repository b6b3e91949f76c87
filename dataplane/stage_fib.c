/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage FIB: destination address to path group, for the whole burst in one bulk lookup each of IPv4
 * and IPv6, whose packets are gathered apart.
 *
 * Runs over packets that are to be forwarded and, in a later round, over the outer packets that
 * seal made; a tunnel may name the path of its outer packets, then the FIB is not asked.
 * Leaf 0 is a counted drop. Worker thread.
 */
#include "dataplane/stages.h"
#include "dataplane/wire.h"

/* The path that the tunnel's configuration gives its outer packets: id + 1, 0 = by FIB. */
static uint32_t
outer_path(const struct dp_worker *w, const struct dp_pkt *p)
{
	if (p->next != DP_NEXT_OUTER || p->tunnel >= DP_TUNNELS_MAX)
		return 0;
	return atomic_load_explicit(&w->tables->tunnel_outer[p->tunnel], memory_order_acquire);
}

/* Packets of one family: where they are in the burst. */
struct gathered {
	uint16_t n;
	uint16_t at[DP_BURST_ROOM];
};

/* A sealed packet has left through its tunnel's interface. */
static void
count_sealed(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_iface_counters *tunnel = &w->iface[dp_pkt(m)->iface_out];

	tunnel->tx_packets++;
	tunnel->tx_bytes += m->pkt_len;
}

/* Sort the packets that need a lookup by family: [0] IPv4, [1] IPv6. */
static void
gather(struct dp_worker *w, const struct dp_burst *b, struct gathered of[2])
{
	of[0].n = of[1].n = 0;
	for (uint16_t i = 0; i < b->n; i++) {
		struct dp_pkt *p = dp_pkt(b->pkt[i]);

		if (p->next != DP_NEXT_FIB && p->next != DP_NEXT_OUTER)
			continue;
		uint32_t fixed = outer_path(w, p);

		if (p->next == DP_NEXT_OUTER)
			count_sealed(w, b->pkt[i]);
		p->next = DP_NEXT_PATH;
		p->group = 0;
		if (fixed) {
			p->path = fixed - 1;
			continue;
		}
		struct gathered *g = &of[(p->flags & DP_PKT_IPV6) != 0];

		g->at[g->n++] = i;
	}
}

static void
lookup_v4(const struct dp_worker *w, const struct dp_burst *b, const struct gathered *g,
	  uint64_t *leaves)
{
	uint32_t ips[DP_BURST_ROOM];

	for (uint16_t i = 0; i < g->n; i++)
		ips[i] = dp_be32(rte_pktmbuf_mtod(b->pkt[g->at[i]], const uint8_t *) + 16);
	dp_fib_lookup(w->tables->fib, ips, leaves, g->n);
}

static void
lookup_v6(const struct dp_worker *w, const struct dp_burst *b, const struct gathered *g,
	  uint64_t *leaves)
{
	uint8_t ips[DP_BURST_ROOM][16];

	for (uint16_t i = 0; i < g->n; i++)
		memcpy(ips[i], rte_pktmbuf_mtod(b->pkt[g->at[i]], const uint8_t *) + 24, 16);
	dp_fib6_lookup(w->tables->fib6, ips, leaves, g->n);
}

/* Note the leaves; returns whether a packet was dropped and left a gap. */
static bool
leaves_put(struct dp_worker *w, struct dp_burst *b, const struct gathered *g,
	   const uint64_t *leaves)
{
	bool gaps = false;

	for (uint16_t i = 0; i < g->n; i++) {
		struct rte_mbuf *m = b->pkt[g->at[i]];

		dp_pkt(m)->group = (uint32_t)leaves[i];
		if (likely(leaves[i] != 0))
			continue;
		dp_drop(w, m, DP_DROP_NO_ROUTE);
		b->pkt[g->at[i]] = NULL;
		gaps = true;
	}
	return gaps;
}

static void
gaps_close(struct dp_burst *b)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++)
		if (b->pkt[i])
			b->pkt[kept++] = b->pkt[i];
	b->n = kept;
}

void
dp_stage_fib(struct dp_worker *w, struct dp_burst *b)
{
	struct gathered of[2];
	uint64_t leaves[DP_BURST_ROOM];
	bool gaps = false;

	gather(w, b, of);
	if (of[0].n) {
		lookup_v4(w, b, &of[0], leaves);
		gaps |= leaves_put(w, b, &of[0], leaves);
	}
	if (unlikely(of[1].n)) {
		lookup_v6(w, b, &of[1], leaves);
		gaps |= leaves_put(w, b, &of[1], leaves);
	}
	if (unlikely(gaps))
		gaps_close(b);
}
