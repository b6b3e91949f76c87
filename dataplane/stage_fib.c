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

/*
 * Packets of one family that need a lookup: where they are in the burst, and which of the lookups
 * is theirs. Outer packets of one SA that follow each other go the same way and share one.
 */
struct gathered {
	uint16_t n;	  /* packets */
	uint16_t lookups; /* at most n */
	uint16_t at[DP_BURST_ROOM];
	uint16_t lookup[DP_BURST_ROOM];
	uint16_t first[DP_BURST_ROOM]; /* packet (index of `at`) that stands for a lookup */
};

/* The run of outer packets that is being gathered. */
struct outer_run {
	uint32_t sa;	/* UINT32_MAX = none */
	uint32_t fixed; /* path id + 1 that the tunnel's configuration gives, 0 = by FIB */
	uint16_t iface;
	uint64_t packets, bytes;
};

/* Sealed packets have left through their tunnel's interface. */
static void
run_count(struct dp_worker *w, struct outer_run *r)
{
	w->iface[r->iface].tx_packets += r->packets;
	w->iface[r->iface].tx_bytes += r->bytes;
	r->packets = r->bytes = 0;
}

static void
run_begin(struct dp_worker *w, struct outer_run *r, const struct dp_pkt *p)
{
	run_count(w, r);
	r->sa = p->sa;
	r->iface = p->iface_out;
	r->fixed = p->tunnel < DP_TUNNELS_MAX
			   ? atomic_load_explicit(&w->tables->tunnel_outer[p->tunnel],
						  memory_order_acquire)
			   : 0;
}

/* Add a packet; with `same` it shares the lookup of the one before. */
static void
gather_one(struct gathered *g, uint16_t at, bool same)
{
	if (!same || g->lookups == 0)
		g->first[g->lookups++] = g->n;
	g->lookup[g->n] = (uint16_t)(g->lookups - 1);
	g->at[g->n++] = at;
}

/* Sort the packets that need a lookup by family: [0] IPv4, [1] IPv6. */
static void
gather(struct dp_worker *w, const struct dp_burst *b, struct gathered of[2])
{
	struct outer_run run = {.sa = UINT32_MAX};

	of[0].n = of[0].lookups = of[1].n = of[1].lookups = 0;
	for (uint16_t i = 0; i < b->n; i++) {
		struct dp_pkt *p = dp_pkt(b->pkt[i]);
		bool outer = p->next == DP_NEXT_OUTER, same = false;

		if (p->next != DP_NEXT_FIB && !outer)
			continue;
		if (outer) {
			same = p->sa == run.sa;
			if (!same)
				run_begin(w, &run, p);
			run.packets++;
			run.bytes += b->pkt[i]->pkt_len;
		} else {
			run.sa = UINT32_MAX; /* the next outer packet looks up for itself */
		}
		p->next = DP_NEXT_PATH;
		p->group = 0;
		if (outer && run.fixed != 0)
			p->path = run.fixed - 1;
		else
			gather_one(&of[(p->flags & DP_PKT_IPV6) != 0], i, same);
	}
	run_count(w, &run);
}

static void
lookup_v4(const struct dp_worker *w, const struct dp_burst *b, const struct gathered *g,
	  uint64_t *leaves)
{
	uint32_t ips[DP_BURST_ROOM];

	for (uint16_t i = 0; i < g->lookups; i++)
		ips[i] =
			dp_be32(rte_pktmbuf_mtod(b->pkt[g->at[g->first[i]]], const uint8_t *) + 16);
	dp_fib_lookup(w->tables->fib, ips, leaves, g->lookups);
}

static void
lookup_v6(const struct dp_worker *w, const struct dp_burst *b, const struct gathered *g,
	  uint64_t *leaves)
{
	uint8_t ips[DP_BURST_ROOM][16];

	for (uint16_t i = 0; i < g->lookups; i++)
		memcpy(ips[i], rte_pktmbuf_mtod(b->pkt[g->at[g->first[i]]], const uint8_t *) + 24,
		       16);
	dp_fib6_lookup(w->tables->fib6, ips, leaves, g->lookups);
}

/* Note the leaves; returns whether a packet was dropped and left a gap. */
static bool
leaves_put(struct dp_worker *w, struct dp_burst *b, const struct gathered *g,
	   const uint64_t *leaves)
{
	bool gaps = false;

	for (uint16_t i = 0; i < g->n; i++) {
		struct rte_mbuf *m = b->pkt[g->at[i]];
		uint64_t leaf = leaves[g->lookup[i]];

		dp_pkt(m)->group = (uint32_t)leaf;
		if (likely(leaf != 0))
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
	b->kinds = (uint16_t)((b->kinds & ~(DP_KIND(DP_NEXT_FIB) | DP_KIND(DP_NEXT_OUTER))) |
			      DP_KIND(DP_NEXT_PATH));
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
