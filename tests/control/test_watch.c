/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pure rules of watching: when BFD is a fault, when probes condemn a path, what a histogram
 * says; what fits into a tunnel; when a standby is ready; what lies between two samples of a drill.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/capacity.h"
#include "control/drill.h"
#include "control/readiness.h"
#include "control/watch_rules.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- BFD */

struct step {
	enum spw_bfd_state state;
	bool peer_admin;
	bool fault; /* after it */
};

static void
play(const struct step *step, unsigned int n)
{
	struct ctl_bfd_memory m = {0};

	for (unsigned int i = 0; i < n; i++) {
		ctl_bfd_remember(&m, step[i].state, step[i].peer_admin);
		if (m.fault != step[i].fault)
			fail_msg("step %u", i);
	}
}

static void
a_session_that_was_never_up_is_no_fault(void **state)
{
	static const struct step s[] = {{SPW_BFD_DOWN, false, false},
					{SPW_BFD_INIT, false, false},
					{SPW_BFD_DOWN, false, false}};

	play(s, COUNT(s));
}

static void
a_down_after_an_up_is_a_fault_until_the_next_up(void **state)
{
	static const struct step s[] = {{SPW_BFD_UP, false, false},  {SPW_BFD_DOWN, false, true},
					{SPW_BFD_INIT, false, true}, {SPW_BFD_DOWN, false, true},
					{SPW_BFD_UP, false, false},  {SPW_BFD_INIT, false, true}};

	play(s, COUNT(s));
}

static void
an_administrators_down_is_no_fault_also_while_the_session_returns(void **state)
{
	static const struct step s[] = {
		{SPW_BFD_UP, false, false},	    {SPW_BFD_DOWN, true, false},
		{SPW_BFD_DOWN, false, false},	    {SPW_BFD_INIT, false, false},
		{SPW_BFD_UP, false, false},	    {SPW_BFD_DOWN, false, true},
		{SPW_BFD_DOWN, true, false},	    {SPW_BFD_UP, false, false},
		{SPW_BFD_ADMIN_DOWN, false, false}, {SPW_BFD_DOWN, false, false}};

	play(s, COUNT(s));
}

/* --- probes */

static void
probes_condemn_by_this_table(void **state)
{
	static const struct {
		unsigned int n, up, down;
		bool had, better, stands, want;
	} table[] = {
		{0, 0, 0, false, true, true, false}, /* without probes never */
		{0, 0, 0, true, true, true, false},
		{2, 0, 2, false, true, true, true},   /* all silent, something better */
		{2, 0, 2, false, false, true, false}, /* all paths fell silent: stay */
		{2, 0, 2, false, false, false, false},
		{2, 1, 1, false, true, true, false}, /* one answer is enough */
		{2, 0, 1, false, true, true, false}, /* not decided is not silent */
		{2, 0, 2, true, true, true, true},
		{2, 0, 2, true, false, true, true},   /* the others fell silent later: stay */
		{2, 0, 2, true, false, false, false}, /* nothing left to go to */
		{2, 0, 0, true, false, true, true},   /* a new data plane has not decided yet */
		{2, 1, 1, true, true, true, false},   /* one answer ends it */
		{2, 1, 0, true, false, true, false},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct ctl_probed p = {.n = table[i].n, .up = table[i].up, .down = table[i].down};

		if (ctl_probed_condemn(table[i].had, &p, table[i].better, table[i].stands) !=
		    table[i].want)
			fail_msg("row %zu", i);
	}
}

static void
another_path_is_better_only_with_an_answer_that_left_after_the_first_loss(void **state)
{
	const struct ctl_probed lost = {
		.n = 1, .down = 1, .last_ok_ns = 10000, .interval_ns = 1000};
	const struct ctl_probed never = {.n = 1, .down = 1, .interval_ns = 1000};
	static const struct {
		unsigned int n, up;
		uint64_t last_ok_ns;
		bool want, want_never;
	} table[] = {
		{0, 0, 0, true, true},	     /* not probed: its standing is all there is */
		{1, 0, 20000, false, false}, /* not up */
		{1, 1, 0, false, false},     /* never answered */
		{1, 1, 9000, false, true},   /* the target may have died since */
		{1, 1, 11000, false, true},  /* as old as the first loss */
		{1, 1, 11500, false, true},  {1, 1, 11501, true, true}, {1, 1, 30000, true, true},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct ctl_probed p = {.n = table[i].n,
				       .up = table[i].up,
				       .last_ok_ns = table[i].last_ok_ns,
				       .interval_ns = 1000};

		if (ctl_probed_is_better(&p, &lost) != table[i].want ||
		    ctl_probed_is_better(&p, &never) != table[i].want_never)
			fail_msg("row %zu", i);
	}
}

/* probed, was_up, stands, better of IPv4, then of IPv6 */
static void
families_are_judged_by_this_table(void **state)
{
	static const struct {
		struct ctl_probed_family four, six;
		bool stands, better;
	} table[] = {
		{{0, 0, 0, 0}, {0, 0, 0, 0}, false, false},
		{{1, 1, 1, 1}, {0, 0, 0, 0}, true, true},
		{{0, 0, 0, 0}, {1, 1, 1, 1}, true, true},
		{{1, 0, 1, 1}, {0, 0, 0, 0}, true, true},
		/* everything is silent: the target */
		{{1, 1, 1, 0}, {0, 0, 0, 0}, true, false},
		{{1, 1, 1, 0}, {1, 1, 1, 0}, true, false},
		/* the IPv4 target died, IPv6 was never answered here and is elsewhere */
		{{1, 1, 1, 0}, {1, 0, 1, 1}, true, false},
		/* a hole for both; for IPv4, where IPv6 never passed */
		{{1, 1, 1, 1}, {1, 1, 1, 1}, true, true},
		{{1, 1, 1, 1}, {1, 0, 0, 0}, true, true},
		{{1, 1, 1, 1}, {1, 0, 1, 0}, true, true},
		/* one family has nowhere else to go */
		{{1, 1, 0, 0}, {1, 1, 1, 1}, false, false},
		{{1, 1, 1, 1}, {1, 1, 0, 0}, false, false},
		{{1, 0, 0, 0}, {0, 0, 0, 0}, false, false},
		{{1, 0, 0, 0}, {1, 0, 0, 0}, false, false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bool stands, better;

		ctl_probed_families(&table[i].four, &table[i].six, &stands, &better);
		if (stands != table[i].stands || better != table[i].better)
			fail_msg("row %zu: stands %d, better %d", i, stands, better);
	}
}

/*
 * A target behind two paths dies at a random moment. Whatever the phases of the probes are, the
 * rule never takes the answers of one path for proof against the other.
 */
static void
a_dead_target_never_condemns_whatever_the_phases(void **state)
{
	srand(4711);
	for (unsigned int round = 0; round < 20000; round++) {
		uint64_t interval = 100 + (uint64_t)rand() % 1000, died = 100000;
		uint64_t delay[2] = {(uint64_t)rand() % (interval / 4),
				     (uint64_t)rand() % (interval / 4)};
		struct ctl_probed p[2];

		for (unsigned int i = 0; i < 2; i++) {
			uint64_t phase = (uint64_t)rand() % interval;
			/* the last one sent that arrives before the end */
			uint64_t at = phase;

			while (at + interval + delay[i] < died)
				at += interval;
			p[i] = (struct ctl_probed){
				.n = 1, .up = 1, .last_ok_ns = at, .interval_ns = interval};
		}
		assert_false(ctl_probed_is_better(&p[0], &p[1]));
		assert_false(ctl_probed_is_better(&p[1], &p[0]));
	}
}

static void
quantiles_follow_the_buckets(void **state)
{
	uint64_t none[SPW_DP_RTT_BUCKETS] = {0}, one[SPW_DP_RTT_BUCKETS] = {0},
		 two[SPW_DP_RTT_BUCKETS] = {0}, first[SPW_DP_RTT_BUCKETS] = {[0] = 5};

	one[10] = 100; /* 1024..2048 */
	two[10] = 99;
	two[13] = 1; /* 8192..16384 */
	assert_true(ctl_rtt_quantile(none, 0.5) < 0);
	assert_float_equal(ctl_rtt_quantile(one, 0.5), 1536, 0.01);
	assert_float_equal(ctl_rtt_quantile(one, 1), 2048, 0.01);
	assert_float_equal(ctl_rtt_quantile(two, 0.99), 2048, 0.01);
	assert_float_equal(ctl_rtt_quantile(two, 0.995), 8192 + 4096, 0.01);
	assert_float_equal(ctl_rtt_quantile(first, 1), 2, 0.01);
}

/* --- classes and capacity */

static void
the_built_in_classes_are_a_partition_that_leaves_nothing_over(void **state)
{
	struct ctl_config none = {0};
	struct spw_dp_classes m;
	unsigned int sum = 0;
	char name[CTL_NAME];

	ctl_classes_message(&none, &m);
	for (unsigned int c = 0; c < SPW_DP_CLASSES; c++)
		sum += m.share_percent[c];
	assert_int_equal(sum, 100);
	assert_int_equal(m.of_dscp[46], 0); /* EF */
	assert_int_equal(m.of_dscp[48], 0); /* CS6 */
	assert_int_equal(m.of_dscp[34], 1); /* AF41 */
	assert_int_equal(m.of_dscp[0], 2);
	assert_int_equal(m.of_dscp[63], 2);
	assert_int_equal(m.of_dscp[8], 3); /* CS1 */
	ctl_classes_name(&none, 0, name);
	assert_string_equal(name, "critical");
}

static void
configured_classes_take_the_place_of_all_built_in_ones(void **state)
{
	struct ctl_config c = {.n_classes = 1,
			       .class = {{.name = "gold",
					  .rank = 1,
					  .share_percent = 70,
					  .n_dscp = 1,
					  .dscp = {0}}}};
	struct spw_dp_classes m;
	char name[CTL_NAME];

	ctl_classes_message(&c, &m);
	assert_int_equal(m.of_dscp[0], 1);
	assert_int_equal(m.of_dscp[46], 2);
	assert_int_equal(m.share_percent[1], 70);
	assert_int_equal(m.share_percent[0], 0);
	ctl_classes_name(&c, 1, name);
	assert_string_equal(name, "gold");
	ctl_classes_name(&c, 0, name);
	assert_string_equal(name, "-");
}

static void
the_load_fits_by_this_table(void **state)
{
	static const struct {
		double capacity;
		bool shaped;
		double load[SPW_DP_CLASSES], granted[SPW_DP_CLASSES];
		const char *fits; /* by class */
	} table[] = {
		{1000, true, {0, 0, 0, 0}, {0, 0, 0, 0}, "yyyy"},
		{1000, true, {100, 200, 300, 400}, {100, 200, 300, 400}, "yyyy"},
		/* the whole by importance of what the shares leave */
		{1000, true, {100, 200, 900, 0}, {100, 200, 700, 0}, "yyny"},
		/* a share holds against more important ones */
		{1000, true, {2000, 0, 0, 100}, {900, 0, 0, 100}, "nyyy"},
		{1000, true, {2000, 2000, 2000, 2000}, {200, 400, 300, 100}, "nnnn"},
		/* what one leaves goes to the most important that wants it */
		{1000, true, {500, 900, 0, 0}, {500, 500, 0, 0}, "ynyy"},
		/* unshaped: all lose alike */
		{1000, false, {500, 500, 500, 500}, {250, 250, 250, 250}, "nnnn"},
		{1000, false, {10, 0, 990, 0}, {10, 0, 990, 0}, "yyyy"},
		{1000, false, {0, 0, 2000, 0}, {0, 0, 1000, 0}, "yyny"},
		/* measured loads are not exact */
		{1000, true, {0, 0, 1004, 0}, {0, 0, 1000, 0}, "yyyy"},
		{1000, true, {0, 0, 1010, 0}, {0, 0, 1000, 0}, "yyny"},
		{0, true, {1, 0, 0, 0}, {0, 0, 0, 0}, "nyyy"},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct ctl_capacity in = {.capacity_kbps = table[i].capacity,
					  .shaped = table[i].shaped,
					  .share_percent = {20, 40, 30, 10}};
		struct ctl_fit out;
		bool all = true;

		memcpy(in.load_kbps, table[i].load, sizeof(in.load_kbps));
		ctl_capacity_fit(&in, &out);
		for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
			bool want = table[i].fits[c] == 'y';

			all &= want;
			if (out.fits[c] != want ||
			    out.granted_kbps[c] - table[i].granted[c] > 0.01 ||
			    table[i].granted[c] - out.granted_kbps[c] > 0.01)
				fail_msg("row %zu class %u: %f", i, c, out.granted_kbps[c]);
		}
		assert_int_equal(out.all, all);
	}
}

static void
what_is_granted_is_never_more_than_capacity_or_load(void **state)
{
	srand(99);
	for (unsigned int i = 0; i < 20000; i++) {
		struct ctl_capacity in = {.capacity_kbps = rand() % 2000,
					  .shaped = rand() % 2,
					  .share_percent = {20, 40, 30, 10}};
		struct ctl_fit out;
		double sum = 0;

		for (unsigned int c = 0; c < SPW_DP_CLASSES; c++)
			in.load_kbps[c] = rand() % 1500;
		ctl_capacity_fit(&in, &out);
		for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
			assert_true(out.granted_kbps[c] <= in.load_kbps[c] + 0.001);
			if (in.shaped &&
			    in.load_kbps[c] * 100 <= in.capacity_kbps * in.share_percent[c])
				assert_true(out.fits[c]);
			sum += out.granted_kbps[c];
		}
		assert_true(sum <= in.capacity_kbps + 0.001);
		/* nothing is left lying while somebody wants it */
		assert_true(sum + 0.001 >=
			    (out.load_kbps < in.capacity_kbps ? out.load_kbps : in.capacity_kbps));
	}
}

/* --- readiness */

static const struct ctl_tunnel_facts good = {
	.configured = true, .enabled = true, .has_sa = true, .probed = true};

static void
a_tunnel_is_judged_by_its_worst_peril(void **state)
{
	struct {
		struct ctl_tunnel_facts f;
		enum ctl_ready want;
		unsigned int perils;
	} table[10];
	unsigned int n = 0, got;

	for (size_t i = 0; i < COUNT(table); i++)
		table[i].f = good;
	table[n].want = CTL_READY;
	table[n++].perils = 0;
	table[n].f.configured = false;
	table[n].want = CTL_NOT_READY;
	table[n++].perils = 1u << CTL_PERIL_NOT_CONFIGURED;
	table[n].f.enabled = false;
	table[n].want = CTL_NOT_READY;
	table[n++].perils = 1u << CTL_PERIL_DISABLED;
	table[n].f.has_sa = false;
	table[n].want = CTL_NOT_READY;
	table[n++].perils = 1u << CTL_PERIL_NO_SA;
	table[n].f.probe_lost = true;
	table[n].f.mtu_fails = true; /* follows from it: not told */
	table[n].want = CTL_NOT_READY;
	table[n++].perils = 1u << CTL_PERIL_PROBE_LOST;
	table[n].f.probe_lossy = table[n].f.mtu_fails = true;
	table[n].want = CTL_DEGRADED;
	table[n++].perils = 1u << CTL_PERIL_PROBE_LOSSY | 1u << CTL_PERIL_MTU;
	table[n].f.rekey_fails = table[n].f.pfs_unproven = true;
	table[n].want = CTL_DEGRADED;
	table[n++].perils = 1u << CTL_PERIL_REKEY;
	table[n].f.probed = false;
	table[n].want = CTL_READY;
	table[n++].perils = 1u << CTL_PERIL_NOT_PROBED;
	table[n].f.pfs_unproven = table[n].f.other_way = true;
	table[n].want = CTL_READY;
	table[n++].perils = 1u << CTL_PERIL_PFS_UNPROVEN | 1u << CTL_PERIL_OTHER_WAY;
	for (unsigned int i = 0; i < n; i++) {
		if (ctl_ready_tunnel(&table[i].f, &got) != table[i].want || got != table[i].perils)
			fail_msg("row %u: %x", i, got);
	}
	for (unsigned int p = 0; p < CTL_PERILS; p++)
		assert_true(strlen(ctl_peril_text(p)) > 5);
}

static void
a_vnet_is_ready_by_this_table(void **state)
{
	static const struct {
		struct ctl_vnet_facts f;
		enum ctl_ready want;
	} table[] = {
		{{.dataplane = true, .iked = true, .ready = 1}, CTL_READY},
		{{.dataplane = false, .iked = true, .ready = 1}, CTL_NOT_READY},
		{{.dataplane = true, .iked = true, .ready = 1, .locked_out = true}, CTL_NOT_READY},
		{{.dataplane = true, .iked = false, .ready = 1}, CTL_DEGRADED},
		{{.dataplane = true, .iked = true}, CTL_NOT_READY},
		{{.dataplane = true, .iked = true, .not_ready = 2}, CTL_NOT_READY},
		{{.dataplane = true, .iked = true, .ready = 1, .not_ready = 1}, CTL_DEGRADED},
		{{.dataplane = true, .iked = true, .degraded = 1}, CTL_DEGRADED},
		{{.dataplane = true, .iked = true, .ready = 2, .short_of_capacity = true},
		 CTL_DEGRADED},
		{{.dataplane = true, .iked = true, .ready = 1, .on_backup = true}, CTL_NOT_READY},
		{{.dataplane = true, .iked = true, .on_backup = true, .circuit_up = true},
		 CTL_READY},
		{{.dataplane = true, .backup_is_internet = true}, CTL_NOT_READY},
		{{.dataplane = true, .backup_is_internet = true, .internet_up = true}, CTL_READY},
	};

	for (size_t i = 0; i < COUNT(table); i++)
		if (ctl_ready_vnet(&table[i].f) != table[i].want)
			fail_msg("row %zu", i);
	assert_string_equal(ctl_ready_name(CTL_READY), "ready");
	assert_string_equal(ctl_ready_name(CTL_DEGRADED), "degraded");
	assert_string_equal(ctl_ready_name(CTL_NOT_READY), "not-ready");
}

/* --- the drill */

static void
a_part_of_the_drill_is_the_difference_of_its_samples(void **state)
{
	struct ctl_drill_sample a = {.at_ns = SPW_NS_PER_S, .drops = 10}, b = a;
	struct ctl_drill_part p;

	b.at_ns += 4 * SPW_NS_PER_S;
	b.drops += 2;
	a.side[CTL_DRILL_BACKUP].sent = 5;
	a.side[CTL_DRILL_BACKUP].rtt[3] = 5;
	b.side[CTL_DRILL_BACKUP].sent = 45;
	b.side[CTL_DRILL_BACKUP].received = 39;
	b.side[CTL_DRILL_BACKUP].lost = 1;
	b.side[CTL_DRILL_BACKUP].rtt[3] = 5;
	b.side[CTL_DRILL_BACKUP].rtt[10] = 39;
	b.side[CTL_DRILL_BACKUP].packets = 4000;
	ctl_drill_between(&a, &b, CTL_DRILL_BACKUP, &p);
	assert_float_equal(p.seconds, 4, 0.001);
	assert_int_equal(p.sent, 40);
	assert_int_equal(p.lost, 1);
	assert_float_equal(p.loss_percent, 2.5, 0.001);
	assert_int_equal(p.packets, 4000);
	assert_int_equal(p.dropped, 2);
	assert_float_equal(p.p50_us, 1536, 0.01); /* what came before does not count */
	ctl_drill_between(&a, &b, CTL_DRILL_CIRCUIT, &p);
	assert_true(p.loss_percent < 0 && p.p50_us < 0); /* not measured */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_that_was_never_up_is_no_fault),
		cmocka_unit_test(a_down_after_an_up_is_a_fault_until_the_next_up),
		cmocka_unit_test(an_administrators_down_is_no_fault_also_while_the_session_returns),
		cmocka_unit_test(probes_condemn_by_this_table),
		cmocka_unit_test(families_are_judged_by_this_table),
		cmocka_unit_test(
			another_path_is_better_only_with_an_answer_that_left_after_the_first_loss),
		cmocka_unit_test(a_dead_target_never_condemns_whatever_the_phases),
		cmocka_unit_test(quantiles_follow_the_buckets),
		cmocka_unit_test(the_built_in_classes_are_a_partition_that_leaves_nothing_over),
		cmocka_unit_test(configured_classes_take_the_place_of_all_built_in_ones),
		cmocka_unit_test(the_load_fits_by_this_table),
		cmocka_unit_test(what_is_granted_is_never_more_than_capacity_or_load),
		cmocka_unit_test(a_tunnel_is_judged_by_its_worst_peril),
		cmocka_unit_test(a_vnet_is_ready_by_this_table),
		cmocka_unit_test(a_part_of_the_drill_is_the_difference_of_its_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
