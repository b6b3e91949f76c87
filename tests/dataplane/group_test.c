/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path groups against a naive model: first tier with a live path, survivors only, shares by weight,
 * flows that stay. Pure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/group.h"

static uint32_t seed = 12345;

static uint32_t
roll(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void
bit_set(uint64_t *bits, uint32_t path, bool up)
{
	if (up)
		bits[path / 64] |= UINT64_C(1) << (path % 64);
	else
		bits[path / 64] &= ~(UINT64_C(1) << (path % 64));
}

static struct spw_dp_group
random_group(void)
{
	struct spw_dp_group g = {.id = 1, .n_tiers = roll(SPW_DP_TIERS + 1)};
	uint32_t next = roll(1000);

	for (uint32_t t = 0; t < g.n_tiers; t++) {
		g.tier[t].role = roll(4);
		g.tier[t].n_paths = 1 + roll(SPW_DP_TIER_PATHS);
		for (uint32_t p = 0; p < g.tier[t].n_paths; p++) {
			g.tier[t].path[p] = next++;
			g.tier[t].weight[p] = 1 + roll(255);
		}
	}
	return g;
}

static bool
in_tier(const struct spw_dp_tier *t, uint32_t path)
{
	for (uint32_t p = 0; p < t->n_paths; p++)
		if (t->path[p] == path)
			return true;
	return false;
}

/* First tier with a live path; -1 = none. */
static int
naive_tier(const struct spw_dp_group *g, const uint64_t *bits)
{
	for (uint32_t t = 0; t < g->n_tiers; t++)
		for (uint32_t p = 0; p < g->tier[t].n_paths; p++)
			if (dp_path_bit(bits, g->tier[t].path[p]))
				return (int)t;
	return -1;
}

static bool
naive_er(const struct spw_dp_group *g, const uint64_t *bits)
{
	for (uint32_t t = 0; t < g->n_tiers; t++)
		for (uint32_t p = 0; p < g->tier[t].n_paths; p++)
			if (g->tier[t].role == SPW_TIER_EXPRESSROUTE &&
			    dp_path_bit(bits, g->tier[t].path[p]))
				return true;
	return false;
}

/* A pick without choice gives the same path for every flow. */
static void
only_one_path_when_alone(const struct dp_group *g, const uint64_t *bits, const struct dp_choice *c)
{
	struct dp_pick p = {0};
	unsigned int up = 0;

	assert_true(dp_group_pick(g, bits, &p));
	for (unsigned int i = 0; i < g->tier[p.tier].n_paths; i++)
		up += dp_path_bit(bits, g->tier[p.tier].path[i]);
	assert_int_equal(p.alone, up == 1);
	if (p.alone)
		assert_int_equal(dp_pick_path(&p, 0), c->path);
}

static void
the_first_tier_with_a_live_path_carries_the_packet(void **state)
{
	for (int round = 0; round < 3000; round++) {
		struct spw_dp_group conf = random_group();
		struct dp_group *g = dp_group_new(&conf);
		uint64_t bits[SPW_DP_PATHS_MAX / 64] = {0};
		struct dp_choice c = {0};

		assert_non_null(g);
		for (uint32_t t = 0; t < conf.n_tiers; t++)
			for (uint32_t p = 0; p < conf.tier[t].n_paths; p++)
				bit_set(bits, conf.tier[t].path[p], roll(2));
		int want = naive_tier(&conf, bits);

		for (uint32_t hash = 0; hash < 200; hash++) {
			assert_int_equal(dp_group_choose(g, bits, hash, &c), want >= 0);
			if (want < 0)
				continue;
			only_one_path_when_alone(g, bits, &c);
			assert_int_equal(c.tier, want);
			assert_int_equal(c.role, conf.tier[want].role);
			assert_true(in_tier(&conf.tier[want], c.path));
			assert_true(dp_path_bit(bits, c.path));
			assert_int_equal(c.er_stood,
					 c.role == SPW_TIER_TUNNEL && naive_er(&conf, bits));
		}
		free(g);
	}
}

static void
a_flow_moves_only_when_its_own_path_dies(void **state)
{
	for (int round = 0; round < 500; round++) {
		struct spw_dp_group conf = random_group();

		conf.n_tiers = 1;
		conf.tier[0].n_paths = SPW_DP_TIER_PATHS;
		for (uint32_t p = 0; p < SPW_DP_TIER_PATHS; p++) {
			conf.tier[0].path[p] = p;
			conf.tier[0].weight[p] = 1 + roll(20);
		}
		struct dp_group *g = dp_group_new(&conf);
		uint64_t all[SPW_DP_PATHS_MAX / 64] = {0xf}, some[SPW_DP_PATHS_MAX / 64] = {0};
		struct dp_choice before = {0}, after = {0};

		some[0] = 1 + roll(15);
		for (uint32_t hash = 0; hash < DP_BUCKETS; hash++) {
			assert_true(dp_group_choose(g, all, hash, &before));
			assert_true(dp_group_choose(g, some, hash, &after));
			if (dp_path_bit(some, before.path))
				assert_int_equal(before.path, after.path);
		}
		free(g);
	}
}

static void
shares_follow_the_weights(void **state)
{
	struct spw_dp_group conf = {
		.id = 1,
		.n_tiers = 1,
		.tier[0] = {.n_paths = 4, .path = {1, 2, 3, 4}, .weight = {8, 4, 2, 2}}};
	struct dp_group *g = dp_group_new(&conf);
	uint64_t bits[SPW_DP_PATHS_MAX / 64] = {0x1e};
	unsigned int got[5] = {0};
	struct dp_choice c = {0};

	for (uint32_t hash = 0; hash < DP_BUCKETS; hash++) {
		assert_true(dp_group_choose(g, bits, hash, &c));
		got[c.path]++;
	}
	assert_int_equal(got[1], 32);
	assert_int_equal(got[2], 16);
	assert_int_equal(got[3], 8);
	assert_int_equal(got[4], 8);
	bits[0] = 0x1c; /* path 1 died: its 32 buckets go 2:1:1 */
	memset(got, 0, sizeof(got));
	for (uint32_t hash = 0; hash < DP_BUCKETS; hash++) {
		assert_true(dp_group_choose(g, bits, hash, &c));
		got[c.path]++;
	}
	assert_int_equal(got[2], 32);
	assert_int_equal(got[3], 16);
	assert_int_equal(got[4], 16);
	free(g);
}

static void
bad_groups_are_refused_with_a_sentence(void **state)
{
	const struct spw_dp_group good = {
		.id = 1, .n_tiers = 1, .tier[0] = {.n_paths = 1, .path = {5}, .weight = {1}}};
	struct spw_err err;

	assert_int_equal(dp_group_check(&good, &err), 0);
	for (int i = 0; i < 6; i++) {
		struct spw_dp_group g = good;

		switch (i) {
		case 0: g.n_tiers = SPW_DP_TIERS + 1; break;
		case 1: g.tier[0].n_paths = 0; break;
		case 2: g.tier[0].n_paths = SPW_DP_TIER_PATHS + 1; break;
		case 3: g.tier[0].path[0] = SPW_DP_PATHS_MAX; break;
		case 4: g.tier[0].weight[0] = 0; break;
		case 5: g.tier[0].role = 9; break;
		}
		memset(&err, 0, sizeof(err));
		assert_true(dp_group_check(&g, &err) < 0);
		assert_true(strlen(err.text) > 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_tier_with_a_live_path_carries_the_packet),
		cmocka_unit_test(a_flow_moves_only_when_its_own_path_dies),
		cmocka_unit_test(shares_follow_the_weights),
		cmocka_unit_test(bad_groups_are_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
