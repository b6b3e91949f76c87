/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path groups: ordered tiers of paths with precomputed hash buckets.
 *
 * For each tier and each non-empty set of its paths (the survivors) there is a table of DP_BUCKETS
 * slots, so a worker turns the bitmap of live paths into an index and a flow hash into a path
 * without a loop over weights. The table of the full set is dealt by smooth weighted round robin:
 * in each step every path gains its weight, the richest one takes the bucket and pays the
 * sum. The table of a smaller set keeps the bucket of every survivor and deals only those of the
 * dead, in the same way: a flow moves only when its own path dies, and moves back to it later.
 *
 * Pure: no DPDK, no threads. An object does not change after dp_group_new() except for its tag.
 */
#include "dataplane/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(struct dp_group, repointed_ns) <= 64, "what workers need is in one line");
_Static_assert(sizeof(struct dp_group) % 64 == 0 && DP_BUCKETS % 64 == 0, "sizes are of lines");

const uint8_t dp_group_bucket_one[DP_BUCKETS];

static unsigned int
sets_of(unsigned int n_paths)
{
	return (1u << n_paths) - 1;
}

/* Who takes the next bucket among the paths in `set`; `credit` is carried from call to call. */
static uint8_t
deal(const struct spw_dp_tier *t, unsigned int set, int32_t credit[SPW_DP_TIER_PATHS])
{
	int32_t sum = 0;
	int best = -1;

	for (unsigned int i = 0; i < t->n_paths; i++) {
		if (!(set >> i & 1))
			continue;
		credit[i] += (int32_t)t->weight[i];
		sum += (int32_t)t->weight[i];
		if (best < 0 || credit[i] > credit[best])
			best = (int)i;
	}
	credit[best] -= sum;
	return (uint8_t)best;
}

static void
tables_fill(uint8_t (*table)[DP_BUCKETS], const struct spw_dp_tier *t)
{
	unsigned int full = sets_of(t->n_paths);
	int32_t credit[SPW_DP_TIER_PATHS] = {0};

	for (unsigned int b = 0; b < DP_BUCKETS; b++)
		table[full - 1][b] = deal(t, full, credit);
	for (unsigned int set = 1; set < full; set++) {
		int32_t c[SPW_DP_TIER_PATHS] = {0};

		for (unsigned int b = 0; b < DP_BUCKETS; b++) {
			uint8_t owner = table[full - 1][b];

			table[set - 1][b] = set >> owner & 1 ? owner : deal(t, set, c);
		}
	}
}

static int
tier_check(const struct spw_dp_group *conf, unsigned int n, struct spw_err *err)
{
	const struct spw_dp_tier *t = &conf->tier[n];

	if (t->n_paths < 1 || t->n_paths > SPW_DP_TIER_PATHS)
		return spw_fail(err, -EINVAL,
				"group %u: tier %u has %u paths; 1 to %u are possible", conf->id, n,
				t->n_paths, SPW_DP_TIER_PATHS);
	if (t->role > SPW_TIER_INTERNET)
		return spw_fail(err, -EINVAL, "group %u: tier %u has the unknown role %u", conf->id,
				n, t->role);
	for (unsigned int i = 0; i < t->n_paths; i++) {
		if (t->path[i] >= SPW_DP_PATHS_MAX)
			return spw_fail(err, -EINVAL, "group %u: path %u is beyond the last, %u",
					conf->id, t->path[i], SPW_DP_PATHS_MAX - 1);
		if (t->weight[i] < 1 || t->weight[i] > 255)
			return spw_fail(err, -EINVAL,
					"group %u: weight %u of path %u is not in 1..255", conf->id,
					t->weight[i], t->path[i]);
	}
	return 0;
}

int
dp_group_check(const struct spw_dp_group *conf, struct spw_err *err)
{
	if (conf->n_tiers > SPW_DP_TIERS)
		return spw_fail(err, -EINVAL, "group %u: %u tiers; at most %u are possible",
				conf->id, conf->n_tiers, SPW_DP_TIERS);
	for (unsigned int i = 0; i < conf->n_tiers; i++) {
		int rc = tier_check(conf, i, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

struct dp_group *
dp_group_new(const struct spw_dp_group *conf)
{
	unsigned int tables = 0;

	for (unsigned int i = 0; i < conf->n_tiers; i++)
		tables += sets_of(conf->tier[i].n_paths);
	size_t size = sizeof(struct dp_group) + (size_t)tables * DP_BUCKETS;
	struct dp_group *g = aligned_alloc(_Alignof(struct dp_group), size);

	if (!g)
		return NULL;
	memset(g, 0, size);
	g->conf = *conf;
	g->n_tiers = (uint8_t)conf->n_tiers;
	tables = 0;
	for (unsigned int i = 0; i < conf->n_tiers; i++) {
		const struct spw_dp_tier *from = &conf->tier[i];
		struct dp_group_tier *to = &g->tier[i];

		to->role = (uint8_t)from->role;
		to->n_paths = (uint8_t)from->n_paths;
		to->table = (uint16_t)tables;
		for (unsigned int p = 0; p < from->n_paths; p++)
			to->path[p] = (uint16_t)from->path[p];
		tables_fill(&g->bucket[tables], from);
		tables += sets_of(from->n_paths);
	}
	return g;
}

bool
dp_group_er_stands(const struct dp_group *g, const uint64_t *bits)
{
	for (unsigned int i = 0; i < g->n_tiers; i++)
		if (g->tier[i].role == SPW_TIER_EXPRESSROUTE && dp_tier_alive(&g->tier[i], bits))
			return true;
	return false;
}
