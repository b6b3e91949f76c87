/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route preference: truth tables of the rule, then random candidates against a naive model that
 * states the rule by sets instead of tiers.
 */
#include "control/preference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ER1  1
#define ER2  2
#define TUN  10
#define TUN2 11

struct row {
	const char *name;
	enum ctl_operator request;
	bool alive, waiting, tunnel_up;
	enum ctl_pref_kind kind;
	enum ctl_pref_reason reason;
};

/* One next hop, one tunnel: every case of the rule. */
static const struct row table[] = {
	{"stands", CTL_OPERATOR_NONE, 1, 0, 1, CTL_PREF_EXPRESSROUTE, CTL_REASON_PRIMARY},
	{"stands, no tunnel", CTL_OPERATOR_NONE, 1, 0, 0, CTL_PREF_EXPRESSROUTE,
	 CTL_REASON_PRIMARY},
	{"dead", CTL_OPERATOR_NONE, 0, 0, 1, CTL_PREF_TUNNEL, CTL_REASON_NO_NEXT_HOP},
	{"dead, no tunnel", CTL_OPERATOR_NONE, 0, 0, 0, CTL_PREF_NONE, CTL_REASON_DOWN},
	{"waits", CTL_OPERATOR_NONE, 1, 1, 1, CTL_PREF_TUNNEL, CTL_REASON_WAIT_TO_RESTORE},
	{"waits, tunnel dies", CTL_OPERATOR_NONE, 1, 1, 0, CTL_PREF_EXPRESSROUTE,
	 CTL_REASON_PROTECTION_DOWN},
	{"forced away", CTL_OPERATOR_TUNNEL, 1, 0, 1, CTL_PREF_TUNNEL, CTL_REASON_FORCED},
	{"forced away, tunnel dies", CTL_OPERATOR_TUNNEL, 1, 0, 0, CTL_PREF_EXPRESSROUTE,
	 CTL_REASON_PROTECTION_DOWN},
	{"forced away, all dead", CTL_OPERATOR_TUNNEL, 0, 0, 0, CTL_PREF_NONE, CTL_REASON_DOWN},
	{"switched back while waiting", CTL_OPERATOR_EXPRESSROUTE, 1, 1, 1, CTL_PREF_EXPRESSROUTE,
	 CTL_REASON_PRIMARY},
	{"switched back, dead", CTL_OPERATOR_EXPRESSROUTE, 0, 0, 1, CTL_PREF_TUNNEL,
	 CTL_REASON_NO_NEXT_HOP},
	{"locked out", CTL_OPERATOR_LOCKOUT, 1, 0, 1, CTL_PREF_EXPRESSROUTE, CTL_REASON_PRIMARY},
	{"locked out while waiting", CTL_OPERATOR_LOCKOUT, 1, 1, 1, CTL_PREF_EXPRESSROUTE,
	 CTL_REASON_PRIMARY},
	{"locked out, dead", CTL_OPERATOR_LOCKOUT, 0, 0, 1, CTL_PREF_NONE, CTL_REASON_LOCKOUT},
	{"drill", CTL_OPERATOR_TEST, 1, 0, 1, CTL_PREF_TUNNEL, CTL_REASON_TEST},
	{"drill, tunnel dies", CTL_OPERATOR_TEST, 1, 0, 0, CTL_PREF_EXPRESSROUTE,
	 CTL_REASON_PROTECTION_DOWN},
};

static void
one_next_hop_and_one_tunnel_follow_the_table(void **state)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct row *r = &table[i];
		struct ctl_pref_input in = {.request = r->request, .n_levels = 1, .n_tunnels = 1};
		struct ctl_pref_choice out;

		in.level[0].n = 1;
		in.level[0].hop[0] = (struct ctl_pref_hop){
			.path = ER1, .weight = 1, .alive = r->alive, .waiting = r->waiting};
		in.tunnel[0] = (struct ctl_pref_tunnel){TUN, r->tunnel_up};
		ctl_preference_choose(&in, &out);
		if (out.kind != r->kind || out.reason != r->reason)
			fail_msg("%s: kind %d reason %d", r->name, out.kind, out.reason);
	}
}

static void
nothing_learnt_leaves_the_tunnel_alone(void **state)
{
	struct ctl_pref_input in = {.n_tunnels = 2, .tunnel = {{TUN, false}, {TUN2, true}}};
	struct ctl_pref_choice out;

	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 1);
	assert_int_equal(out.tier[0].role, SPW_TIER_TUNNEL);
	assert_int_equal(out.tier[0].n_paths, 2);
	assert_int_equal(out.path, TUN2);
}

static void
lockout_has_no_tunnel_in_any_tier(void **state)
{
	struct ctl_pref_input in = {
		.request = CTL_OPERATOR_LOCKOUT, .n_tunnels = 1, .tunnel = {{TUN, true}}};
	struct ctl_pref_choice out;

	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 0);
	assert_int_equal(out.path, SPW_DP_ADDR_NONE);
}

static void
next_hops_of_shorter_routes_come_before_the_tunnel(void **state)
{
	struct ctl_pref_input in = {.n_levels = 2, .n_tunnels = 1, .tunnel = {{TUN, true}}};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){1, {{.path = ER1, .weight = 1, .alive = false}}};
	in.level[1] = (struct ctl_pref_level){1, {{.path = ER2, .weight = 1, .alive = true}}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 3);
	assert_int_equal(out.tier[0].path[0], ER1);
	assert_int_equal(out.tier[1].path[0], ER2);
	assert_int_equal(out.tier[2].path[0], TUN);
	assert_int_equal(out.path, ER2);
}

static void
a_waiting_next_hop_stands_where_a_shorter_route_has_it_standing(void **state)
{
	struct ctl_pref_input in = {.n_levels = 2, .n_tunnels = 1, .tunnel = {{TUN, true}}};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){
		1, {{.path = ER1, .weight = 1, .alive = true, .waiting = true}}};
	in.level[1] = (struct ctl_pref_level){1, {{.path = ER1, .weight = 1, .alive = true}}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.kind, CTL_PREF_EXPRESSROUTE);
	assert_int_equal(out.n_tiers, 2);
}

static void
next_hops_that_do_not_stand_have_the_role_plain(void **state)
{
	struct ctl_pref_input in = {.request = CTL_OPERATOR_TUNNEL,
				    .n_levels = 1,
				    .n_tunnels = 1,
				    .tunnel = {{TUN, true}}};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){1, {{.path = ER1, .weight = 1, .alive = true}}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.tier[0].role, SPW_TIER_TUNNEL);
	assert_int_equal(out.tier[1].role, SPW_TIER_PLAIN);
	assert_int_equal(out.tier[1].path[0], ER1);
}

static void
wait_to_restore_runs_from_the_return_to_its_end(void **state)
{
	const uint64_t s = SPW_NS_PER_S;

	assert_false(ctl_preference_waits(0, 30, 0, 5 * s)); /* never lost */
	assert_true(ctl_preference_waits(100 * s, 30, 0, 100 * s));
	assert_true(ctl_preference_waits(100 * s, 30, 0, 130 * s - 1));
	assert_false(ctl_preference_waits(100 * s, 30, 0, 130 * s));
	assert_false(ctl_preference_waits(100 * s, 30, 100 * s, 110 * s)); /* ended by hand */
	assert_true(ctl_preference_waits(100 * s, 30, 99 * s, 110 * s));   /* an older end */
	assert_false(ctl_preference_waits(100 * s, 0, 0, 100 * s));
}

static void
requests_have_names_that_parse(void **state)
{
	for (enum ctl_operator op = CTL_OPERATOR_NONE; op <= CTL_OPERATOR_TEST; op++) {
		enum ctl_operator back;

		assert_true(ctl_operator_parse(&back, ctl_operator_name(op)));
		assert_int_equal(back, op);
	}
	enum ctl_operator none;

	assert_false(ctl_operator_parse(&none, "drain"));
}

static struct ctl_pref_input
random_input(void)
{
	struct ctl_pref_input in = {.request = (enum ctl_operator)(rand() % 5),
				    .n_levels = (unsigned int)rand() % (CTL_PREF_LEVELS + 1),
				    .n_tunnels = (unsigned int)rand() % 3};

	for (unsigned int l = 0; l < in.n_levels; l++) {
		in.level[l].n = 1 + (unsigned int)rand() % 2;
		for (unsigned int h = 0; h < in.level[l].n; h++)
			in.level[l].hop[h] =
				(struct ctl_pref_hop){.path = 1 + (uint32_t)rand() % 4,
						      .weight = 1 + (uint32_t)rand() % 255,
						      .waiting = rand() % 3 == 0,
						      .operator_out = rand() % 8 == 0};
	}
	/* A path is one bit: alive in all places or in none. */
	unsigned int alive = (unsigned int)rand();

	for (unsigned int l = 0; l < in.n_levels; l++)
		for (unsigned int h = 0; h < in.level[l].n; h++)
			in.level[l].hop[h].alive = alive >> in.level[l].hop[h].path & 1;
	for (unsigned int t = 0; t < in.n_tunnels; t++)
		in.tunnel[t] = (struct ctl_pref_tunnel){TUN + t, rand() % 2};
	return in;
}

/* The rule in words: what may carry, by sets. */
static enum ctl_pref_kind
model_kind(const struct ctl_pref_input *in)
{
	bool standing = false, learnt_alive = false, tunnel = false;

	for (unsigned int l = 0; l < in->n_levels; l++)
		for (unsigned int h = 0; h < in->level[l].n; h++) {
			const struct ctl_pref_hop *p = &in->level[l].hop[h];
			bool aside = p->operator_out || in->request == CTL_OPERATOR_TUNNEL ||
				     in->request == CTL_OPERATOR_TEST;
			bool waits = p->waiting && in->request != CTL_OPERATOR_EXPRESSROUTE &&
				     in->request != CTL_OPERATOR_LOCKOUT;

			learnt_alive |= p->alive;
			standing |= p->alive && !aside && !waits;
		}
	for (unsigned int t = 0; t < in->n_tunnels; t++)
		tunnel |= in->tunnel[t].up && in->request != CTL_OPERATOR_LOCKOUT;
	if (standing)
		return CTL_PREF_EXPRESSROUTE;
	if (tunnel)
		return CTL_PREF_TUNNEL;
	return learnt_alive ? CTL_PREF_EXPRESSROUTE : CTL_PREF_NONE;
}

static void
check_form(const struct ctl_pref_choice *out)
{
	uint64_t seen = 0;

	assert_in_range(out->n_tiers, 0, SPW_DP_TIERS);
	for (unsigned int t = 0; t < out->n_tiers; t++) {
		assert_in_range(out->tier[t].n_paths, 1, SPW_DP_TIER_PATHS);
		for (unsigned int i = 0; i < out->tier[t].n_paths; i++) {
			uint64_t bit = UINT64_C(1) << out->tier[t].path[i];

			assert_false(seen & bit);
			seen |= bit;
			assert_in_range(out->tier[t].weight[i], 1, 255);
		}
	}
}

static void
random_candidates_agree_with_the_naive_model(void **state)
{
	srand(7);
	for (unsigned int i = 0; i < 200000; i++) {
		struct ctl_pref_input in = random_input();
		struct ctl_pref_choice out;

		ctl_preference_choose(&in, &out);
		check_form(&out);
		if (out.kind != model_kind(&in))
			fail_msg("input %u: kind %d, model says %d", i, out.kind, model_kind(&in));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_next_hop_and_one_tunnel_follow_the_table),
		cmocka_unit_test(nothing_learnt_leaves_the_tunnel_alone),
		cmocka_unit_test(lockout_has_no_tunnel_in_any_tier),
		cmocka_unit_test(next_hops_of_shorter_routes_come_before_the_tunnel),
		cmocka_unit_test(a_waiting_next_hop_stands_where_a_shorter_route_has_it_standing),
		cmocka_unit_test(next_hops_that_do_not_stand_have_the_role_plain),
		cmocka_unit_test(wait_to_restore_runs_from_the_return_to_its_end),
		cmocka_unit_test(requests_have_names_that_parse),
		cmocka_unit_test(random_candidates_agree_with_the_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
