/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fetching ahead for packets of many tunnels.
 *
 * From a group to its tunnel there is a chain of four objects (group, path, tunnel, SA), each in
 * memory that ten thousand tunnels keep out of the near caches. Asked packet by packet, every one
 * of them is waited for. Here the whole burst takes each step together: what a step reads was asked
 * for by the step before, and while one packet's line is on its way, so are the others'.
 *
 * The path is guessed: the first one of the first tier, which is what is taken unless it is down.
 * A wrong guess costs a miss later and nothing else. Worker thread; only hints.
 */
#include "dataplane/way_fetch.h"

#include <rte_prefetch.h>

#include "dataplane/group.h"
#include "dataplane/sad_data.h"

/* The group of each packet, NULL where none is to be asked. */
static void
groups_fetch(const struct dp_worker *w, const struct dp_burst *b, const struct dp_group **group)
{
	for (uint16_t i = 0; i < b->n; i++) {
		const struct dp_pkt *p = dp_pkt(b->pkt[i]);

		group[i] = NULL;
		if (p->next != DP_NEXT_PATH || p->group == 0)
			continue;
		group[i] = dp_group_get(w->tables, p->group);
		rte_prefetch0(group[i]);
		rte_prefetch0(&dp_priv(w)->seen_tier[p->group]);
	}
}

static void
paths_fetch(const struct dp_worker *w, uint16_t n, const struct dp_group *const *group,
	    const struct dp_path **path)
{
	for (uint16_t i = 0; i < n; i++) {
		path[i] = NULL;
		if (!group[i] || group[i]->n_tiers == 0)
			continue;
		uint16_t id = group[i]->tier[0].path[0];

		path[i] = dp_path_get(w->tables, id);
		rte_prefetch0(path[i]);
		rte_prefetch0(&dp_priv(w)->path[id]);
	}
}

void
dp_ways_fetch(const struct dp_worker *w, const struct dp_burst *b)
{
	const struct dp_group *group[DP_BURST_ROOM];
	const struct dp_path *path[DP_BURST_ROOM];

	groups_fetch(w, b, group);
	paths_fetch(w, b->n, group, path);
	for (uint16_t i = 0; i < b->n; i++)
		if (path[i] && path[i]->conf.kind == SPW_PATH_TUNNEL && w->sad &&
		    path[i]->conf.tunnel < w->sad->max_tunnels)
			rte_prefetch0(&w->sad->tunnels[path[i]->conf.tunnel]);
}
