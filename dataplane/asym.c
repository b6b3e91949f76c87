/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asymmetry: traffic of a vnet that comes in over ExpressRoute while we answer by the tunnel, or
 * out of the tunnel while we answer over ExpressRoute. It is forwarded as it is; here it is seen.
 *
 * Whether a packet is one needs a look-up of its source, too dear for every packet. So one packet
 * of each burst is drawn by lot, each with the same chance, and counts for as many as the burst
 * has. The expected count is therefore the true one whatever is mixed in a burst; bursts of one
 * kind, and of one packet, are counted exactly. With mixed ones the deviation of N packets in
 * bursts of n is below sqrt(N x n) / 2: of a million in bursts of 64, four thousand.
 *
 * Only sources in a protected prefix count: others have no tunnel. Worker thread.
 */
#include "dataplane/asym.h"

#include "dataplane/sad_data.h"
#include "dataplane/wire.h"

static enum dp_asym_from
came_from(const struct dp_worker *w, const struct dp_pkt *p)
{
	const struct dp_iface *in;

	if (p->flags & DP_PKT_DECRYPTED)
		return p->tunnel < w->sad->max_tunnels ? DP_ASYM_TUNNEL : DP_ASYM_OTHER;
	in = dp_iface_get(w->tables, p->iface_in);
	return in && in->conf.role == SPW_IF_ROLE_EXPRESSROUTE ? DP_ASYM_EXPRESSROUTE
							       : DP_ASYM_OTHER;
}

static uint64_t
leaf_of_source(const struct dp_worker *w, const uint8_t *ip, bool ipv6)
{
	uint8_t src6[1][16];
	uint64_t leaf;
	uint32_t src;

	if (ipv6) {
		memcpy(src6[0], ip + 8, 16);
		dp_fib6_lookup(w->tables->fib6, src6, &leaf, 1);
	} else {
		src = dp_be32(ip + 12);
		dp_fib_lookup(w->tables->fib, &src, &leaf, 1);
	}
	return leaf;
}

uint8_t
dp_asym_answers(const struct dp_worker *w, const uint8_t *ip, bool ipv6)
{
	uint64_t leaf = leaf_of_source(w, ip, ipv6);
	const struct dp_group *g = leaf ? dp_group_get(w->tables, (uint32_t)leaf) : NULL;
	struct dp_pick pick;

	if (!g || !(g->conf.flags & SPW_GROUP_PROTECTED) ||
	    !dp_group_pick(g, dp_priv(w)->view.word, &pick))
		return SPW_TIER_PLAIN;
	return pick.role;
}

static void
count(struct dp_worker *w, const struct dp_pkt *p, enum dp_asym_from from, uint16_t n)
{
	if (from == DP_ASYM_TUNNEL)
		dp_count(&w->sad->tunnel_count[w->index][p->tunnel].asymmetric, n);
	else
		w->iface[p->iface_in].asymmetric += n;
}

void
dp_asym_look(struct dp_worker *w, const struct dp_burst *b)
{
	uint32_t at = (uint32_t)((uint64_t)dp_chance(w) * b->n >> 32);

	if (unlikely(b->n == 0))
		return;
	const struct dp_pkt *p = dp_pkt(b->pkt[at]);
	enum dp_asym_from from = came_from(w, p);

	if (likely(from == DP_ASYM_OTHER) || p->next != DP_NEXT_FIB)
		return;
	if (unlikely(dp_asym_is(from, dp_asym_answers(w, rte_pktmbuf_mtod(b->pkt[at], const uint8_t *),
						 (p->flags & DP_PKT_IPV6) != 0))))
		count(w, p, from, b->n);
}
