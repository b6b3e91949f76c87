/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route preference: truth tables of the rule and of the order of requests, then random candidates
 * against a naive model that states the rule by sets instead of tiers.
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
#define NET  20
#define LAN  30

static struct ctl_pref_tunnel
tunnel(uint32_t path, uint32_t weight, bool up)
{
	return (struct ctl_pref_tunnel){.path = path, .weight = weight, .up = up};
}

static struct ctl_pref_hop
hop(uint32_t path, bool alive)
{
	return (struct ctl_pref_hop){.path = path, .weight = 1, .alive = alive};
}

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
	{"switched by hand", CTL_OPERATOR_MANUAL, 1, 0, 1, CTL_PREF_TUNNEL, CTL_REASON_MANUAL},
	{"switched by hand, tunnel dies", CTL_OPERATOR_MANUAL, 1, 0, 0, CTL_PREF_EXPRESSROUTE,
	 CTL_REASON_PROTECTION_DOWN},
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
		in.tunnel[0] = tunnel(TUN, 1, r->tunnel_up);
		ctl_preference_choose(&in, &out);
		if (out.kind != r->kind || out.reason != r->reason)
			fail_msg("%s: kind %d reason %d", r->name, out.kind, out.reason);
	}
}

static void
nothing_learnt_leaves_the_tunnel_alone(void **state)
{
	struct ctl_pref_input in = {.n_tunnels = 2,
				    .tunnel = {tunnel(TUN, 1, false), tunnel(TUN2, 1, true)}};
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
		.request = CTL_OPERATOR_LOCKOUT, .n_tunnels = 1, .tunnel = {tunnel(TUN, 1, true)}};
	struct ctl_pref_choice out;

	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 0);
	assert_int_equal(out.path, SPW_DP_ADDR_NONE);
}

static void
next_hops_of_shorter_routes_come_before_the_tunnel(void **state)
{
	struct ctl_pref_input in = {
		.n_levels = 2, .n_tunnels = 1, .tunnel = {tunnel(TUN, 1, true)}};
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
	struct ctl_pref_input in = {
		.n_levels = 2, .n_tunnels = 1, .tunnel = {tunnel(TUN, 1, true)}};
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
				    .tunnel = {tunnel(TUN, 1, true)}};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){1, {{.path = ER1, .weight = 1, .alive = true}}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.tier[0].role, SPW_TIER_TUNNEL);
	assert_int_equal(out.tier[1].role, SPW_TIER_PLAIN);
	assert_int_equal(out.tier[1].path[0], ER1);
}

static void
equal_next_hops_share_one_tier_and_the_tunnel_comes_after_both(void **state)
{
	struct ctl_pref_input in = {
		.n_levels = 1, .n_tunnels = 1, .tunnel = {tunnel(TUN, 1, true)}};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){2, {hop(ER1, true), hop(ER2, true)}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 2);
	assert_int_equal(out.tier[0].n_paths, 2);
	assert_int_equal(out.tier[0].role, SPW_TIER_EXPRESSROUTE);
	/* One link is lost: its flows move to the other, by its bit alone. */
	struct ctl_pref_choice after;

	in.level[0].hop[0].alive = false;
	ctl_preference_choose(&in, &after);
	assert_memory_equal(out.tier, after.tier, sizeof(out.tier));
	assert_int_equal(after.path, ER2);
	assert_int_equal(after.reason, CTL_REASON_PRIMARY);
}

static void
a_link_that_is_set_aside_stands_behind_the_tunnel_and_its_sister_carries(void **state)
{
	struct ctl_pref_input in = {
		.n_levels = 1, .n_tunnels = 1, .tunnel = {tunnel(TUN, 1, true)}};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){2, {hop(ER1, true), hop(ER2, true)}};
	in.level[0].hop[0].operator_out = true;
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 3);
	assert_int_equal(out.path, ER2);
	assert_int_equal(out.tier[1].role, SPW_TIER_TUNNEL);
	assert_int_equal(out.tier[2].path[0], ER1);
	in.level[0].hop[1].alive = false;
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.path, TUN);
	assert_int_equal(out.reason, CTL_REASON_FORCED);
}

static void
tunnels_share_by_weight(void **state)
{
	struct ctl_pref_input in = {.n_tunnels = 2,
				    .tunnel = {tunnel(TUN, 10, true), tunnel(TUN2, 200, true)}};
	struct ctl_pref_choice out;

	ctl_preference_choose(&in, &out);
	assert_int_equal(out.tier[0].weight[0], 10);
	assert_int_equal(out.tier[0].weight[1], 200);
}

/* R13: the tunnel over ExpressRoute in place of the clear next hops, the Internet's behind it. */
static const struct {
	const char *name;
	enum ctl_operator request;
	bool inner_up, inner_waits, outer_up;
	enum ctl_pref_kind kind;
	uint32_t path;
} encrypted_table[] = {
	{"both up", CTL_OPERATOR_NONE, 1, 0, 1, CTL_PREF_EXPRESSROUTE, TUN},
	{"over ExpressRoute is down", CTL_OPERATOR_NONE, 0, 0, 1, CTL_PREF_TUNNEL, TUN2},
	{"it waits", CTL_OPERATOR_NONE, 1, 1, 1, CTL_PREF_TUNNEL, TUN2},
	{"it waits, nothing else", CTL_OPERATOR_NONE, 1, 1, 0, CTL_PREF_EXPRESSROUTE, TUN},
	{"both down", CTL_OPERATOR_NONE, 0, 0, 0, CTL_PREF_NONE, SPW_DP_ADDR_NONE},
	{"forced", CTL_OPERATOR_TUNNEL, 1, 0, 1, CTL_PREF_TUNNEL, TUN2},
	{"locked out, down", CTL_OPERATOR_LOCKOUT, 0, 0, 1, CTL_PREF_NONE, SPW_DP_ADDR_NONE},
	{"locked out, up", CTL_OPERATOR_LOCKOUT, 1, 0, 1, CTL_PREF_EXPRESSROUTE, TUN},
};

static void
a_tunnel_over_expressroute_takes_the_place_of_clear_next_hops(void **state)
{
	for (size_t i = 0; i < sizeof(encrypted_table) / sizeof(encrypted_table[0]); i++) {
		struct ctl_pref_input in = {.request = encrypted_table[i].request,
					    .encrypted = true,
					    .n_levels = 1,
					    .n_tunnels = 2};
		struct ctl_pref_choice out;

		in.level[0] = (struct ctl_pref_level){2, {hop(ER1, true), hop(ER2, true)}};
		in.tunnel[0] = tunnel(TUN, 1, encrypted_table[i].inner_up);
		in.tunnel[0].encrypts = true;
		in.tunnel[0].waiting = encrypted_table[i].inner_waits;
		in.tunnel[1] = tunnel(TUN2, 1, encrypted_table[i].outer_up);
		ctl_preference_choose(&in, &out);
		if (out.kind != encrypted_table[i].kind || out.path != encrypted_table[i].path)
			fail_msg("%s: kind %d path %u", encrypted_table[i].name, out.kind,
				 out.path);
		for (unsigned int t = 0; t < out.n_tiers; t++)
			for (unsigned int p = 0; p < out.tier[t].n_paths; p++)
				assert_in_range(out.tier[t].path[p], TUN, TUN2);
	}
}

/* A BGP neighbour inside gives nothing: no tunnel at all, and still nothing in the clear. */
static void
an_encrypted_vnet_without_a_tunnel_drops(void **state)
{
	struct ctl_pref_input in = {.encrypted = true, .n_levels = 1};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){1, {hop(ER1, true)}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 0);
	assert_int_equal(out.reason, CTL_REASON_DOWN);
}

/* R6: the Internet behind ExpressRoute, a tunnel never. */
static void
microsoft_peering_fails_over_to_the_internet_never_to_a_tunnel(void **state)
{
	struct ctl_pref_input in = {.peering = CTL_PEERING_MICROSOFT,
				    .n_levels = 1,
				    .n_tunnels = 1,
				    .tunnel = {tunnel(TUN, 1, true)},
				    .internet = {1, {hop(NET, true)}}};
	struct ctl_pref_choice out;

	in.level[0] = (struct ctl_pref_level){1, {hop(ER1, true)}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, 2);
	assert_int_equal(out.kind, CTL_PREF_EXPRESSROUTE);
	assert_int_equal(out.tier[1].role, SPW_TIER_INTERNET);
	assert_int_equal(out.tier[1].path[0], NET);
	in.level[0].hop[0].alive = false;
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.kind, CTL_PREF_INTERNET);
	assert_int_equal(out.reason, CTL_REASON_NO_NEXT_HOP);
	in.request = CTL_OPERATOR_LOCKOUT;
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.kind, CTL_PREF_NONE);
	assert_int_equal(out.reason, CTL_REASON_LOCKOUT);
	in.request = CTL_OPERATOR_NONE;
	in.internet.hop[0].alive = false;
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.reason, CTL_REASON_DOWN);
}

static void
the_last_resort_comes_behind_everything_else(void **state)
{
	struct ctl_pref_input in = {.n_levels = 2,
				    .n_tunnels = 1,
				    .tunnel = {tunnel(TUN, 1, false)},
				    .last = {1, {hop(LAN, true)}}};
	struct ctl_pref_choice out;

	/* The most tiers there can be: two of ExpressRoute, tunnel, what waits, last resort. */
	in.level[0] = (struct ctl_pref_level){2, {hop(ER1, false), hop(3, true)}};
	in.level[0].hop[1].waiting = true;
	in.level[1] = (struct ctl_pref_level){1, {hop(ER2, false)}};
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.n_tiers, SPW_DP_TIERS);
	assert_int_equal(out.tier[4].role, SPW_TIER_PLAIN);
	assert_int_equal(out.tier[4].path[0], LAN);
	assert_int_equal(out.path, 3);
	in.level[0].hop[1].alive = false;
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.kind, CTL_PREF_LAST_RESORT);
	assert_int_equal(out.reason, CTL_REASON_LAST_RESORT);
	assert_int_equal(out.path, LAN);
	in.last.n = 0;
	ctl_preference_choose(&in, &out);
	assert_int_equal(out.kind, CTL_PREF_NONE);
}

/*
 * Each request against each thing at hand. Rows: at hand; columns: asked. T taken, - refused.
 * Columns: none, exercise, manual, forced, lockout (the ranks that can be asked).
 */
static const enum ctl_rank asked[] = {CTL_RANK_NONE, CTL_RANK_EXERCISE, CTL_RANK_MANUAL,
				      CTL_RANK_FORCED, CTL_RANK_LOCKOUT};
static const struct {
	const char *name;
	enum ctl_operator at_hand;
	struct ctl_conditions c; /* working failed, protection failed, waiting */
	const char *taken;
	bool ends;
} order[] = {
	{"nothing", CTL_OPERATOR_NONE, {0, 0, 0}, "TTTTT", false},
	{"wait-to-restore", CTL_OPERATOR_NONE, {0, 0, 1}, "T-TTT", false},
	{"manual to the tunnel", CTL_OPERATOR_MANUAL, {0, 0, 0}, "T-TTT", false},
	{"manual to ExpressRoute", CTL_OPERATOR_EXPRESSROUTE, {0, 0, 0}, "T-TTT", false},
	{"the drill", CTL_OPERATOR_TEST, {0, 0, 0}, "T-TTT", false},
	{"working failed", CTL_OPERATOR_NONE, {1, 0, 0}, "T--TT", false},
	{"forced", CTL_OPERATOR_TUNNEL, {0, 0, 0}, "T--TT", false},
	{"protection failed", CTL_OPERATOR_NONE, {0, 1, 0}, "T---T", false},
	{"both failed", CTL_OPERATOR_NONE, {1, 1, 0}, "T---T", false},
	{"lockout", CTL_OPERATOR_LOCKOUT, {0, 0, 0}, "T---T", false},
	{"manual, then wait", CTL_OPERATOR_MANUAL, {0, 0, 1}, "T-TTT", false},
	{"manual, working fails", CTL_OPERATOR_MANUAL, {1, 0, 0}, "T--TT", true},
	{"manual, protection fails", CTL_OPERATOR_MANUAL, {0, 1, 0}, "T---T", true},
	{"manual back, working fails", CTL_OPERATOR_EXPRESSROUTE, {1, 0, 0}, "T--TT", true},
	{"manual back, protection fails", CTL_OPERATOR_EXPRESSROUTE, {0, 1, 0}, "T---T", true},
	{"drill, working fails", CTL_OPERATOR_TEST, {1, 0, 0}, "T--TT", true},
	{"drill, protection fails", CTL_OPERATOR_TEST, {0, 1, 0}, "T---T", true},
	{"forced, wait", CTL_OPERATOR_TUNNEL, {0, 0, 1}, "T--TT", false},
	{"forced, working fails", CTL_OPERATOR_TUNNEL, {1, 0, 0}, "T--TT", false},
	{"forced, protection fails", CTL_OPERATOR_TUNNEL, {0, 1, 0}, "T---T", false},
	{"lockout, working fails", CTL_OPERATOR_LOCKOUT, {1, 0, 0}, "T---T", false},
	{"lockout, protection fails", CTL_OPERATOR_LOCKOUT, {0, 1, 0}, "T---T", false},
};

static void
requests_and_conditions_rank_as_in_g8031(void **state)
{
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		for (size_t a = 0; a < sizeof(asked) / sizeof(asked[0]); a++)
			if (ctl_preference_takes(order[i].at_hand, &order[i].c, asked[a]) !=
			    (order[i].taken[a] == 'T'))
				fail_msg("%s, asked for rank %d", order[i].name, asked[a]);
		if (ctl_preference_ends(order[i].at_hand, &order[i].c) != order[i].ends)
			fail_msg("%s: ends by itself", order[i].name);
	}
}

static void
every_rank_has_its_words(void **state)
{
	for (enum ctl_rank r = CTL_RANK_NONE; r <= CTL_RANK_LOCKOUT; r++)
		assert_non_null(ctl_rank_text(r));
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
	for (enum ctl_operator op = CTL_OPERATOR_NONE; op <= CTL_OPERATOR_MANUAL; op++) {
		enum ctl_operator back;

		assert_true(ctl_operator_parse(&back, ctl_operator_name(op)));
		assert_int_equal(back, op);
	}
	enum ctl_operator none;

	assert_false(ctl_operator_parse(&none, "drain"));
}

static struct ctl_pref_level
random_level(uint32_t from, unsigned int n)
{
	struct ctl_pref_level level = {.n = n};

	for (unsigned int h = 0; h < n; h++)
		level.hop[h] = (struct ctl_pref_hop){.path = from + (uint32_t)rand() % 4,
						     .weight = 1 + (uint32_t)rand() % 255,
						     .waiting = rand() % 3 == 0,
						     .operator_out = rand() % 8 == 0};
	return level;
}

/* A path is one bit: alive in all places or in none. */
static void
random_life(struct ctl_pref_input *in)
{
	uint64_t alive = (uint64_t)rand() << 31 ^ (uint64_t)rand();

	for (unsigned int l = 0; l < in->n_levels; l++)
		for (unsigned int h = 0; h < in->level[l].n; h++)
			in->level[l].hop[h].alive = alive >> in->level[l].hop[h].path & 1;
	for (unsigned int t = 0; t < in->n_tunnels; t++)
		in->tunnel[t].up = alive >> in->tunnel[t].path & 1;
	for (unsigned int h = 0; h < in->internet.n; h++)
		in->internet.hop[h].alive = alive >> in->internet.hop[h].path & 1;
	for (unsigned int h = 0; h < in->last.n; h++)
		in->last.hop[h].alive = alive >> in->last.hop[h].path & 1;
}

static struct ctl_pref_input
random_input(void)
{
	struct ctl_pref_input in = {.request = (enum ctl_operator)(rand() % 6),
				    .peering = rand() % 4 == 0 ? CTL_PEERING_MICROSOFT
							       : CTL_PEERING_PRIVATE,
				    .n_levels = (unsigned int)rand() % (CTL_PREF_LEVELS + 1),
				    .n_tunnels = (unsigned int)rand() % 3};

	in.encrypted = in.peering == CTL_PEERING_PRIVATE && rand() % 4 == 0;
	for (unsigned int l = 0; l < in.n_levels; l++)
		in.level[l] = random_level(1, 1 + (unsigned int)rand() % 2);
	for (unsigned int t = 0; t < in.n_tunnels; t++)
		in.tunnel[t] = (struct ctl_pref_tunnel){.path = TUN + t,
							.weight = 1 + (uint32_t)rand() % 255,
							.encrypts = in.encrypted && rand() % 2,
							.waiting = rand() % 3 == 0,
							.operator_out = rand() % 8 == 0};
	in.internet = random_level(NET, (unsigned int)rand() % 3);
	in.last = random_level(LAN, (unsigned int)rand() % 2);
	random_life(&in);
	return in;
}

/* What there is, by sets. */
struct sets {
	bool standing, working, backup;
};

static void
add_working(const struct ctl_pref_input *in, struct sets *s, bool alive, bool waiting, bool out)
{
	bool aside = out || in->request == CTL_OPERATOR_TUNNEL ||
		     in->request == CTL_OPERATOR_TEST || in->request == CTL_OPERATOR_MANUAL;
	bool waits = waiting && in->request != CTL_OPERATOR_EXPRESSROUTE &&
		     in->request != CTL_OPERATOR_LOCKOUT;

	s->working |= alive;
	s->standing |= alive && !aside && !waits;
}

/* The rule in words: what may carry. */
static enum ctl_pref_kind
model_kind(const struct ctl_pref_input *in)
{
	struct sets s = {0};

	for (unsigned int l = 0; l < in->n_levels && !in->encrypted; l++)
		for (unsigned int h = 0; h < in->level[l].n; h++)
			add_working(in, &s, in->level[l].hop[h].alive, in->level[l].hop[h].waiting,
				    in->level[l].hop[h].operator_out);
	for (unsigned int t = 0; t < in->n_tunnels; t++)
		if (in->encrypted && in->tunnel[t].encrypts)
			add_working(in, &s, in->tunnel[t].up, in->tunnel[t].waiting,
				    in->tunnel[t].operator_out);
		else if (in->peering == CTL_PEERING_PRIVATE)
			s.backup |= in->tunnel[t].up;
	for (unsigned int h = 0; h < in->internet.n && in->peering == CTL_PEERING_MICROSOFT; h++)
		s.backup |= in->internet.hop[h].alive;
	if (s.standing)
		return CTL_PREF_EXPRESSROUTE;
	if (s.backup && in->request != CTL_OPERATOR_LOCKOUT)
		return in->peering == CTL_PEERING_PRIVATE ? CTL_PREF_TUNNEL : CTL_PREF_INTERNET;
	if (s.working)
		return CTL_PREF_EXPRESSROUTE;
	return in->last.n > 0 && in->last.hop[0].alive ? CTL_PREF_LAST_RESORT : CTL_PREF_NONE;
}

/* Nothing of what this vnet must never use is in any tier. */
static void
check_forbidden(const struct ctl_pref_input *in, const struct ctl_pref_choice *out)
{
	for (unsigned int t = 0; t < out->n_tiers; t++)
		for (unsigned int i = 0; i < out->tier[t].n_paths; i++) {
			uint32_t path = out->tier[t].path[i];

			assert_false(in->encrypted && path < TUN);
			assert_false(in->peering == CTL_PEERING_MICROSOFT && path >= TUN &&
				     path < NET);
			assert_false(in->peering == CTL_PEERING_PRIVATE && path >= NET &&
				     path < LAN);
			assert_false(in->request == CTL_OPERATOR_LOCKOUT &&
				     (out->tier[t].role == SPW_TIER_TUNNEL ||
				      out->tier[t].role == SPW_TIER_INTERNET));
		}
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
		check_forbidden(&in, &out);
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
		cmocka_unit_test(equal_next_hops_share_one_tier_and_the_tunnel_comes_after_both),
		cmocka_unit_test(
			a_link_that_is_set_aside_stands_behind_the_tunnel_and_its_sister_carries),
		cmocka_unit_test(tunnels_share_by_weight),
		cmocka_unit_test(a_tunnel_over_expressroute_takes_the_place_of_clear_next_hops),
		cmocka_unit_test(an_encrypted_vnet_without_a_tunnel_drops),
		cmocka_unit_test(microsoft_peering_fails_over_to_the_internet_never_to_a_tunnel),
		cmocka_unit_test(the_last_resort_comes_behind_everything_else),
		cmocka_unit_test(requests_and_conditions_rank_as_in_g8031),
		cmocka_unit_test(every_rank_has_its_words),
		cmocka_unit_test(wait_to_restore_runs_from_the_return_to_its_end),
		cmocka_unit_test(requests_have_names_that_parse),
		cmocka_unit_test(random_candidates_agree_with_the_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
