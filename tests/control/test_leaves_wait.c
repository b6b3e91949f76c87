/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was lost waits before it carries again: wait-to-restore and damping of paths and prefixes,
 * over a restart too, and how it is shown; on a bed without kernel and clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/control/leaves_bed.h"

static void
the_end_of_a_wait_touches_groups_only(void **state)
{
	char text[32];

	bed_settled();
	for (unsigned int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.100.%u.0/24", i);
		bed_route(text, 20, ER0, VIA0, 0, NULL);
	}
	bed_update();
	assert_string_equal(bed_carrier("10.100.7.1"), PATH0); /* its cover's next hop stands */
	bed_unroute("10.100.0.0/16", 20);
	bed_update();
	assert_string_equal(bed_carrier("10.100.7.1"), "t azure-a");
	bed.routes_set = bed.groups_set = 0;
	bed_sleep(31);
	assert_string_equal(bed_carrier("10.100.7.1"), PATH0);
	assert_int_equal(bed.routes_set, 0);
	assert_in_range(bed.groups_set, 1, 3);
}

static void
each_loss_within_the_window_doubles_the_wait(void **state)
{
	struct ctl_vnet_state *v = bed_settled();

	v->conf.damping_max_s = 100;
	bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
	bed_commit();
	for (unsigned int loss = 0; loss < 4; loss++) {
		static const unsigned int wait[] = {30, 60, 100, 100};

		bed_link(ER0, false);
		bed_update();
		bed_sleep(1);
		bed_link(ER0, true);
		bed_update();
		assert_int_equal(v->flaps, loss + 1);
		assert_int_equal(v->hold_s, wait[loss]);
		bed_sleep(wait[loss] - 1);
		assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
		bed_sleep(1.2);
		assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	}
}

static void
a_prefix_that_flaps_is_damped_alone(void **state)
{
	struct ctl_vnet_state *v = bed_settled();

	v->conf.damping_max_s = 600;
	bed_unroute("10.100.0.0/16", 20);
	bed_route("10.100.1.0/24", 20, ER0, VIA0, 0, NULL);
	bed_route("10.100.2.0/24", 20, ER0, VIA0, 0, NULL);
	bed_update();
	bed_sleep(31);
	for (unsigned int i = 0; i < 3; i++) {
		bed_unroute("10.100.1.0/24", 20);
		bed_update();
		bed_route("10.100.1.0/24", 20, ER0, VIA0, 0, NULL);
		bed_update();
	}
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_string_equal(bed_carrier("10.100.2.1"), PATH0);
	bed_sleep(100);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	bed_sleep(21);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
}

static void
a_restart_keeps_the_wait_of_one_link_and_the_place_of_the_other(void **state)
{
	struct ctl_vnet_state *v = bed_settled();

	v->conf.damping_max_s = 600;
	bed_link(ER0, false);
	bed_update();
	bed_link(ER0, true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH1);
	bed_sleep(10);
	bed_restart();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH1);
	assert_string_equal(bed_tiers("10.100.0.0/16"), "ETP");
	assert_int_equal(bed.rt->vnets->flaps, 1);
	bed_sleep(21);
	assert_string_equal(bed_tiers("10.100.0.0/16"), "ET");
	assert_int_equal(ctl_failover_n_switches(bed.rt), 0);
}

static void
a_path_that_died_while_nobody_looked_waits_when_it_is_back(void **state)
{
	bed_settled();
	bed_link(ER0, false);
	bed_link(ER1, false);
	bed_update();
	bed_restart(); /* the bed's links come up anew */
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_string_equal(bed_tiers("10.100.0.0/16"), "TP");
	bed_sleep(31);
	assert_string_equal(bed_tiers("10.100.0.0/16"), "ET");
	/* Long after, another restart finds nothing to wait for, also when a neighbour is heard of
	 * a moment later. */
	bed_neighbour(VIA0, false);
	bed_restart();
	bed_neighbour(VIA0, true);
	bed_update();
	assert_string_equal(bed_tiers("10.100.0.0/16"), "ET");
}

/* The route goes with its path and the path's object with the route; its losses do not. */
static void
a_path_whose_route_goes_with_it_is_damped_all_the_same(void **state)
{
	struct spw_addr via = bed_addr(VIA0);
	struct ctl_path *p = NULL;

	bed_settled();
	for (unsigned int i = 0; i < 3; i++) {
		bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
		bed_update();
		p = ctl_path_find(bed.rt, ctl_iface_by_name(bed.rt, "er0"), &via);
		assert_non_null(p);
		assert_int_equal(ctl_damping_losses(&p->damping, bed.now), i);
		bed_neighbour(VIA0, false);
		bed_update();
		bed_unroute("10.100.0.0/16", 20);
		bed_update();
		for (unsigned int n = 0; n < 3; n++) {
			bed_sleep(2);
			ctl_fib_collect(bed.rt);
		}
		assert_null(ctl_path_find(bed.rt, ctl_iface_by_name(bed.rt, "er0"), &via));
		bed_neighbour(VIA0, true);
	}
	/* forgotten in time, and then the number may be another path's */
	bed_sleep(4.0 * CTL_DAMPING_QUIET_S);
	ctl_fib_collect(bed.rt);
	for (unsigned int id = 0; id < SPW_DP_PATHS_MAX; id++)
		assert_false(bed.rt->path_kept[id]);
}

/* Its path was lost and waits; its sister carries all the while. */
static void
a_link_that_is_back_is_shown_as_waiting_until_it_carries(void **state)
{
	struct ctl_vnet_state *v = bed_settled();

	assert_string_equal(bed_link_state(v, "er0"), "up");
	bed_link(ER0, false);
	bed_update();
	assert_string_equal(bed_link_state(v, "er0"), "down");
	bed_link(ER0, true);
	bed_update();
	assert_int_equal(v->kind, CTL_PREF_EXPRESSROUTE);
	assert_string_equal(bed_link_state(v, "er0"), "wait-to-restore");
	assert_string_equal(bed_link_state(v, "er1"), "up");
	bed_sleep(31);
	assert_string_equal(bed_link_state(v, "er0"), "up");
}

/* Its path was never lost, but what was learnt over it; one route that does not wait is enough. */
static void
a_link_all_of_whose_routes_wait_is_shown_as_waiting(void **state)
{
	struct ctl_vnet_state *v = bed_settled();

	bed_route("10.9.0.0/16", 20, ER0, VIA0, 0, NULL); /* of no vnet: keeps the path */
	bed_route("10.100.0.0/16", 20, ER1, VIA1, 0, NULL);
	bed_route("10.100.5.0/24", 20, ER0, VIA0, 0, NULL);
	bed_update();
	bed_sleep(31);
	assert_string_equal(bed_carrier("10.100.5.1"), PATH0);
	assert_string_equal(bed_link_state(v, "er0"), "up");
	bed_unroute("10.100.5.0/24", 20);
	bed_update();
	assert_string_equal(bed_link_state(v, "er0"), "-");
	bed_route("10.100.5.0/24", 20, ER0, VIA0, 0, NULL);
	bed_update();
	assert_string_equal(bed_carrier("10.100.5.1"), PATH1);
	assert_int_equal(v->kind, CTL_PREF_EXPRESSROUTE);
	assert_string_equal(bed_link_state(v, "er0"), "wait-to-restore");
	assert_string_equal(bed_link_state(v, "er1"), "up");
	bed_sleep(31);
	assert_string_equal(bed_carrier("10.100.5.1"), PATH0);
	assert_string_equal(bed_link_state(v, "er0"), "up");
	/* Another one comes later and waits alone. */
	bed_route("10.100.6.0/24", 20, ER0, VIA0, 0, NULL);
	bed_update();
	assert_string_equal(bed_carrier("10.100.6.1"), PATH1);
	assert_string_equal(bed_link_state(v, "er0"), "up");
}

int
main(void)
{
#define LEAVES_TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		LEAVES_TEST(the_end_of_a_wait_touches_groups_only),
		LEAVES_TEST(each_loss_within_the_window_doubles_the_wait),
		LEAVES_TEST(a_prefix_that_flaps_is_damped_alone),
		LEAVES_TEST(a_restart_keeps_the_wait_of_one_link_and_the_place_of_the_other),
		LEAVES_TEST(a_path_that_died_while_nobody_looked_waits_when_it_is_back),
		LEAVES_TEST(a_path_whose_route_goes_with_it_is_damped_all_the_same),
		LEAVES_TEST(a_link_that_is_back_is_shown_as_waiting_until_it_carries),
		LEAVES_TEST(a_link_all_of_whose_routes_wait_is_shown_as_waiting),
	};

	spw_log_init("test", SPW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
