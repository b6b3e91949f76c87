/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: path groups, and which path of a group carries a packet. Pure. */
#ifndef SPW_DATAPLANE_GROUP_H
#define SPW_DATAPLANE_GROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define DP_BUCKETS 64 /* a power of two */

struct dp_group_tier {
	uint8_t role; /* enum spw_dp_tier_role */
	uint8_t n_paths;
	uint16_t path[SPW_DP_TIER_PATHS];
	uint16_t table; /* first of its bucket tables, one for each set of survivors but the empty
			 */
};

/*
 * Published; does not change but for the fields that say who writes them. What a worker needs of a
 * group whose flows have no choice is in the first cache line.
 */
struct dp_group {
	_Atomic uint8_t tag; /* API thread raises it with repointed_ns; workers compare it */
	uint8_t n_tiers;
	struct dp_group_tier tier[SPW_DP_TIERS];
	uint64_t repointed_ns;	      /* API thread: a route was last pointed here */
	struct spw_dp_group conf;     /* generation: API thread, read by nobody else */
	uint8_t bucket[][DP_BUCKETS]; /* slot of the tier's path */
} __attribute__((aligned(64)));

/* The bucket table of a single path. */
extern const uint8_t dp_group_bucket_one[DP_BUCKETS];

/* What a group decides while no bit changes: for all its packets, but for the flow hash. */
struct dp_pick {
	const uint16_t *path;  /* by slot */
	const uint8_t *bucket; /* slot of each hash bucket */
	uint8_t tier;
	uint8_t role;
	bool alone;    /* one path for every flow: bucket 0 will do */
	bool er_stood; /* into a tunnel although an ExpressRoute path of the group is up */
};

/* What a group decides for one packet. */
struct dp_choice {
	uint16_t path;
	uint8_t tier;
	uint8_t role;
	bool er_stood;
};

/*
 * Build a group: bucket tables of every tier for every set of survivors. Buckets go by weight; a
 * path that dies hands only its own buckets over, so other flows stay where they are.
 * @conf  checked by dp_group_check()
 * NULL when memory is short; the caller frees with free().
 */
struct dp_group *dp_group_new(const struct spw_dp_group *conf);
/* Check counts, roles, weights and path ids. 0, or -EINVAL with a sentence. */
int dp_group_check(const struct spw_dp_group *conf, struct spw_err *err)
	__attribute__((warn_unused_result));

static inline bool
dp_path_bit(const uint64_t *bits, uint32_t path)
{
	return bits[path / 64] >> (path % 64) & 1;
}

/* Bit n set: path n of the tier is up. */
static inline unsigned int
dp_tier_alive(const struct dp_group_tier *t, const uint64_t *bits)
{
	unsigned int alive = 0;

	for (unsigned int i = 0; i < t->n_paths; i++)
		alive |= (unsigned int)dp_path_bit(bits, t->path[i]) << i;
	return alive;
}

/* Is a path of an ExpressRoute tier of the group up? */
bool dp_group_er_stands(const struct dp_group *g, const uint64_t *bits);

/*
 * The tier that carries packets: the first with a live path.
 * @bits  global path bitmap, SPW_DP_PATHS_MAX bits
 * False when nothing of the group is up: drop. Any thread.
 */
static inline bool
dp_group_pick(const struct dp_group *g, const uint64_t *bits, struct dp_pick *p)
{
	for (unsigned int i = 0; i < g->n_tiers; i++) {
		const struct dp_group_tier *t = &g->tier[i];
		unsigned int alive = dp_tier_alive(t, bits);

		if (!alive)
			continue;
		p->alone = (alive & (alive - 1)) == 0;
		p->path = p->alone ? &t->path[__builtin_ctz(alive)] : t->path;
		p->bucket = p->alone ? dp_group_bucket_one : g->bucket[t->table + alive - 1];
		p->tier = (uint8_t)i;
		p->role = t->role;
		p->er_stood = t->role == SPW_TIER_TUNNEL && dp_group_er_stands(g, bits);
		return true;
	}
	return false;
}

/* The path of a flow within the tier. */
static inline uint16_t
dp_pick_path(const struct dp_pick *p, uint32_t hash)
{
	return p->path[p->bucket[hash & (DP_BUCKETS - 1)]];
}

/* Both at once: the path that carries a packet. False: drop. Any thread. */
static inline bool
dp_group_choose(const struct dp_group *g, const uint64_t *bits, uint32_t hash, struct dp_choice *c)
{
	struct dp_pick p;

	if (!dp_group_pick(g, bits, &p))
		return false;
	*c = (struct dp_choice){.path = dp_pick_path(&p, hash),
				.tier = p.tier,
				.role = p.role,
				.er_stood = p.er_stood};
	return true;
}

#endif
