/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage FIB: destination address to path group, for the whole burst in one bulk lookup.
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

/* A sealed packet has left through its tunnel's interface. */
static void
count_sealed(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_iface_counters *tunnel = &w->iface[dp_pkt(m)->iface_out];

	tunnel->tx_packets++;
	tunnel->tx_bytes += m->pkt_len;
}

void
dp_stage_fib(struct dp_worker *w, struct dp_burst *b)
{
	uint16_t at[DP_BURST_ROOM], n = 0, kept = 0;
	uint32_t ips[DP_BURST_ROOM];
	uint64_t leaves[DP_BURST_ROOM];

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
		at[n] = i;
		ips[n++] = dp_be32(rte_pktmbuf_mtod(b->pkt[i], uint8_t *) + 16);
	}
	if (n == 0)
		return;
	dp_fib_lookup(w->tables->fib, ips, leaves, n);
	for (uint16_t i = 0; i < n; i++) {
		dp_pkt(b->pkt[at[i]])->group = (uint32_t)leaves[i];
		if (leaves[i] == 0) {
			dp_drop(w, b->pkt[at[i]], DP_DROP_NO_ROUTE);
			b->pkt[at[i]] = NULL;
		}
	}
	for (uint16_t i = 0; i < b->n; i++)
		if (b->pkt[i])
			b->pkt[kept++] = b->pkt[i];
	b->n = kept;
}
