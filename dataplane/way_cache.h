/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: what became of a group's packets, remembered across bursts.
 *
 * Between a group and its way lie several objects, which ten thousand tunnels keep out of the near
 * caches. A worker keeps the answer in sixteen bytes for each group whose flows all go one way. An
 * answer holds while no object and no path bit has changed (dp_way_epoch()); it holds no pointers,
 * so one that is read a moment too long leads where the packet would have gone a moment before.
 */
#ifndef SPW_DATAPLANE_WAY_CACHE_H
#define SPW_DATAPLANE_WAY_CACHE_H

#include <rte_prefetch.h>

#include "dataplane/sad_data.h"
#include "dataplane/stages.h"

/* The epoch in which a worker's burst runs; never 0. Ask after the view was renewed. */
static inline uint32_t
dp_way_epoch(const struct dp_worker *w)
{
	/* Partner: dp_control_reclaim(), after the objects were published. */
	uint64_t objects = atomic_load_explicit(&w->tables->epoch, memory_order_acquire);

	return (uint32_t)(objects + dp_priv(w)->view.generation) | 1u << 31;
}

/* The answer for a group if it still holds, else NULL. */
static inline const struct dp_way *
dp_way_recall(const struct dp_worker *w, uint32_t group, uint32_t epoch)
{
	const struct dp_way *way = &dp_priv(w)->way[group & (DP_GROUPS_MAX - 1)];

	return way->epoch == epoch && group != 0 ? way : NULL;
}

/* Bring near the answer for a group. */
static inline void
dp_way_fetch(const struct dp_worker *w, uint32_t group)
{
	rte_prefetch0(&dp_priv(w)->way[group & (DP_GROUPS_MAX - 1)]);
}

/* Have the packets of a burst several groups? Its ends tell, which may err either way. */
static inline bool
dp_ways_mixed(const struct dp_burst *b)
{
	return unlikely(b->n != 0 && dp_pkt(b->pkt[0])->group != dp_pkt(b->pkt[b->n - 1])->group);
}

/* Bring near what the ways of a burst will touch: the tunnels and counters that the answers name. */
static inline void
dp_ways_fetch(const struct dp_worker *w, const struct dp_burst *b, uint32_t epoch)
{
	const struct dp_way *way = dp_priv(w)->way;

	for (uint16_t i = 0; i < b->n; i++) {
		const struct dp_way *at = &way[dp_pkt(b->pkt[i])->group & (DP_GROUPS_MAX - 1)];

		if (at->epoch != epoch)
			continue;
		rte_prefetch0(&dp_priv(w)->path[at->path]);
		if (at->next == DP_NEXT_SEAL)
			rte_prefetch0(&w->sad->tunnels[at->tunnel]);
	}
}

#endif
