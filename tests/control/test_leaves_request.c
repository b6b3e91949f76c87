/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An operator's requests for vnets, circuits and links as they come out at the end, and the
 * neighbours that are drained by them or by what nothing passes over; on a bed without kernel and
 * clock.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/control/leaves_bed.h"

static void
a_link_or_circuit_is_set_aside_drained_and_given_back(void **state)
{
	struct ctl_bgp *bgp = &bed.rt->config.bgp;

	bed_settled();
	bgp->local_as = 65001;
	bgp->n_neighbors = 2;
	bgp->neighbor[0].address = bed_addr(VIA0);
	bgp->neighbor[1].address = bed_addr(VIA1);
	assert_int_equal(bed_command("failover switch er0 for 10m"), 0);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH1);
	assert_true(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[1]));
	assert_int_equal(bed.frr_applied, 1);
	bed_sleep(601);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	assert_int_equal(bed.frr_applied, 2);
	assert_int_equal(bed_command("failover switch two"), 0);
	assert_true(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[1]));
	/* The last one that is up is not given away when no tunnel stands behind it. */
	bed_tunnel("azure-a", false);
	bed_tunnel("azure-b", false);
	bed_update();
	assert_int_equal(bed_command("failover switch one"), -EHOSTDOWN);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	assert_int_equal(bed_command("failover resume two"), 0);
	assert_int_equal(bed_command("failover switch er0 prod"), -EINVAL);
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[1]));
}

static void
a_neighbour_is_drained_when_every_vnet_of_its_circuit_is_forced_away(void **state)
{
	struct ctl_bgp *bgp = &bed.rt->config.bgp;
	struct ctl_vnet_state *v = bed_settled();

	bed_vnet("dev", "10.101.0.0/16", NULL);
	v->conf.n_circuits = 1;
	strcpy(v->conf.circuit[0], "two");
	bed_commit();
	bgp->n_neighbors = 2;
	bgp->neighbor[0].address = bed_addr(VIA0);
	bgp->neighbor[1].address = bed_addr(VIA1);
	assert_int_equal(bed_command("failover switch tunnel dev"), 0);
	assert_true(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[1]));
	assert_int_equal(bed_command("failover switch tunnel"), 0);
	assert_true(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[1]));
	assert_int_equal(bed_command("failover resume"), 0);
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
}

static void
a_neighbour_over_which_nothing_passes_is_drained_while_that_lasts(void **state)
{
	struct ctl_bgp *bgp = &bed.rt->config.bgp;
	struct spw_addr via = bed_addr(VIA0);
	struct ctl_path *p;

	bed_settled();
	bgp->local_as = 65001;
	bgp->n_neighbors = 2;
	bgp->neighbor[0].address = via;
	bgp->neighbor[1].address = bed_addr(VIA1);
	p = ctl_path_find(bed.rt, ctl_iface_by_name(bed.rt, "er0"), &via);
	assert_non_null(p);
	ctl_path_fault(bed.rt, p, CTL_FAULT_PROBE, true, bed.now, -1);
	assert_true(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[1]));
	assert_int_equal(bed.frr_applied, 1);
	ctl_path_fault(bed.rt, p, CTL_FAULT_PROBE, false, bed.now, -1);
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
	assert_int_equal(bed.frr_applied, 2);
}

/* Its session is down, or comes back and has to announce at once. */
static void
a_neighbour_lost_otherwise_is_not_drained_by_silent_probes(void **state)
{
	static const enum ctl_path_fault lost[] = {CTL_FAULT_BFD, CTL_FAULT_SESSION};
	struct ctl_bgp *bgp = &bed.rt->config.bgp;
	struct spw_addr via = bed_addr(VIA0);
	struct ctl_path *p;

	bed_settled();
	bgp->local_as = 65001;
	bgp->n_neighbors = 1;
	bgp->neighbor[0].address = via;
	p = ctl_path_find(bed.rt, ctl_iface_by_name(bed.rt, "er0"), &via);
	assert_non_null(p);
	for (unsigned int i = 0; i < 2; i++) {
		ctl_path_fault(bed.rt, p, lost[i], true, bed.now, -1);
		ctl_path_fault(bed.rt, p, CTL_FAULT_PROBE, true, bed.now, -1);
		assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
		ctl_path_fault(bed.rt, p, lost[i], false, bed.now, -1);
		assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
		ctl_path_fault(bed.rt, p, CTL_FAULT_PROBE, false, bed.now, -1);
	}
	assert_int_equal(bed.frr_applied, 0);
	/* a hole whose session ends later is none any more */
	ctl_path_fault(bed.rt, p, CTL_FAULT_PROBE, true, bed.now, -1);
	assert_true(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
	ctl_path_fault(bed.rt, p, CTL_FAULT_SESSION, true, bed.now, -1);
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
	ctl_path_fault(bed.rt, p, CTL_FAULT_SESSION, false, bed.now, -1);
	assert_false(ctl_failover_neighbour_is_drained(bed.rt, &bgp->neighbor[0]));
	assert_int_equal(bed.frr_applied, 2);
}

static void
a_manual_switch_ends_by_itself_and_a_forced_one_stays(void **state)
{
	struct ctl_vnet_state *v = bed_settled();

	assert_int_equal(bed_command("failover switch tunnel manual prod"), 0);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_int_equal(v->reason, CTL_REASON_MANUAL);
	bed_tunnel("azure-a", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-b");
	bed_tunnel("azure-b", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	assert_int_equal(v->request, CTL_OPERATOR_NONE);
	bed_tunnel("azure-b", true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	assert_int_equal(bed_command("failover switch tunnel for 10m"), 0);
	bed_tunnel("azure-b", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	bed_tunnel("azure-b", true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-b");
	assert_int_equal(bed_command("failover switch expressroute"), -EBUSY);
	bed_sleep(601);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
}

static void
requests_of_lower_rank_are_refused_and_change_nothing(void **state)
{
	struct ctl_vnet_state *v = bed_settled();

	assert_int_equal(bed_command("failover lockout prod"), 0);
	assert_string_equal(bed_tiers("10.100.0.0/16"), "E");
	assert_int_equal(bed_command("failover switch tunnel"), -EBUSY);
	assert_int_equal(bed_command("failover switch expressroute"), -EBUSY);
	assert_int_equal(v->request, CTL_OPERATOR_LOCKOUT);
	bed_link(ER0, false);
	bed_link(ER1, false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "drop");
	assert_int_equal(v->reason, CTL_REASON_LOCKOUT);
	assert_int_equal(bed_command("failover resume prod"), 0);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	/* ExpressRoute is dead: no manual switch, but a forced one. */
	assert_int_equal(bed_command("failover switch tunnel manual"), -EHOSTDOWN);
	assert_int_equal(bed_command("failover switch expressroute"), -EHOSTDOWN);
	assert_int_equal(bed_command("failover switch tunnel"), 0);
	bed_link(ER0, true);
	bed_update();
	bed_sleep(60);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_int_equal(bed_command("failover switch nowhere"), -EINVAL);
	assert_int_equal(bed_command("failover switch tunnel nowhere"), -ENOENT);
	assert_int_equal(bed_command("failover switch tunnel for x"), -EINVAL);
}

static void
a_switch_by_hand_back_ends_the_wait(void **state)
{
	bed_settled();
	bed_link(ER0, false);
	bed_link(ER1, false);
	bed_update();
	bed_link(ER0, true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_int_equal(bed_command("failover switch expressroute prod"), 0);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
}

int
main(void)
{
#define LEAVES_TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		LEAVES_TEST(a_link_or_circuit_is_set_aside_drained_and_given_back),
		LEAVES_TEST(a_neighbour_is_drained_when_every_vnet_of_its_circuit_is_forced_away),
		LEAVES_TEST(a_neighbour_over_which_nothing_passes_is_drained_while_that_lasts),
		LEAVES_TEST(a_neighbour_lost_otherwise_is_not_drained_by_silent_probes),
		LEAVES_TEST(a_manual_switch_ends_by_itself_and_a_forced_one_stays),
		LEAVES_TEST(requests_of_lower_rank_are_refused_and_change_nothing),
		LEAVES_TEST(a_switch_by_hand_back_ends_the_wait),
	};

	spw_log_init("test", SPW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
