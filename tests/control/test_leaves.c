/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From routes, paths and requests to what a worker does with a packet: the rules of design.md 5 as
 * they come out at the end, on a bed without kernel and clock.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/control/leaves_bed.h"

#define VIA0  "172.16.0.2"
#define VIA1  "172.16.1.2"
#define PATH0 "a er0 172.16.0.2"
#define PATH1 "a er1 172.16.1.2"

static int
start(void **state)
{
	bed_start();
	return 0;
}

static int
stop(void **state)
{
	bed_stop();
	return 0;
}

/* A vnet with both tunnels up, its prefix learnt over both links, all settled. */
static struct ctl_vnet_state *
settled(void)
{
	struct ctl_vnet_state *v = bed_vnet("prod", "10.100.0.0/16", "2001:db8:100::/48");

	bed_route("10.100.0.0/16", 20, ER0, VIA0, ER1, VIA1);
	bed_tunnel("azure-a", true);
	bed_tunnel("azure-b", true);
	bed_commit();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	return v;
}

static void
one_lost_link_moves_its_flows_to_the_other_and_no_group_or_leaf_is_touched(void **state)
{
	settled();
	assert_string_equal(bed_tiers("10.100.0.0/16"), "ET");
	bed.groups_set = bed.routes_set = 0;
	bed_link(ER0, false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH1);
	assert_int_equal(bed.groups_set + bed.routes_set, 0);
	bed_link(ER1, false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	/* Back: it waits, its sister stays dead. */
	bed_link(ER0, true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	bed_sleep(31);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
}

static void
both_paths_down_drop_and_the_reason_is_told(void **state)
{
	struct ctl_vnet_state *v = settled();

	bed_link(ER0, false);
	bed_link(ER1, false);
	bed_tunnel("azure-a", false);
	bed_tunnel("azure-b", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "drop");
	assert_int_equal(v->kind, CTL_PREF_NONE);
	assert_int_equal(v->reason, CTL_REASON_DOWN);
	assert_int_equal(v->on_nothing, 1);
	bed_tunnel("azure-b", true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-b");
	assert_string_equal(ctl_failover_switch(bed.rt, 0)->cause, "tunnel-up");
	assert_string_equal(ctl_failover_switch(bed.rt, 1)->cause, "link-down");
}

static void
only_next_hops_over_the_circuits_of_a_vnet_count(void **state)
{
	struct ctl_vnet_state *v = bed_vnet("prod", "10.100.0.0/16", NULL);

	v->conf.n_circuits = 1;
	strcpy(v->conf.circuit[0], "two");
	bed_vnet("dev", "10.101.0.0/16", NULL);
	bed_route("10.0.0.0/8", 20, ER0, VIA0, ER1, VIA1);
	bed_tunnel("azure-a", true);
	bed_commit();
	bed_sleep(31);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH1);
	assert_string_equal(bed_carrier("10.101.1.1"), PATH0);
	bed_link(ER1, false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_string_equal(bed_carrier("10.101.1.1"), PATH0);
}

static void
tunnels_get_their_weights(void **state)
{
	struct ctl_vnet_state *v = settled();
	struct spw_prefix p = bed_prefix("10.100.0.0/16");

	v->conf.tunnel[1].weight = 200;
	bed_commit();
	const struct spw_dp_group *g = &bed.group[ctl_rib_find(&bed.fib, &p)->restored_ns];

	assert_int_equal(g->tier[1].weight[0], 1);
	assert_int_equal(g->tier[1].weight[1], 200);
}

static void
a_tunnel_over_expressroute_stands_first_and_lives_no_longer_than_its_next_hop(void **state)
{
	struct ctl_vnet_state *v = bed_vnet("prod", "10.100.0.0/16", NULL);

	strcpy(v->conf.tunnel[0].name, "azure-er");
	bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
	bed_route("10.200.0.0/24", 20, ER0, VIA0, 0, NULL);
	bed_tunnel("azure-er", true);
	bed_tunnel("azure-b", true);
	bed_commit();
	assert_string_equal(bed_tiers("10.100.0.0/16"), "ET");
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-er");
	bed_neighbour(VIA0, false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-b");
	bed_tunnel("azure-b", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "drop");
	bed_neighbour(VIA0, true);
	bed_tunnel("azure-b", true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-b");
	bed_sleep(31);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-er");
	/* The clear next hop stands all the time: it is never used. */
	bed_tunnel("azure-er", false);
	bed_tunnel("azure-b", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "drop");
}

static void
microsoft_peering_takes_the_internets_gateway_or_the_kernels_route(void **state)
{
	struct ctl_vnet_state *v = bed_vnet("office", "52.112.0.0/14", NULL);

	v->conf.peering = CTL_PEERING_MICROSOFT;
	bed_tunnel("azure-a", true);
	bed_route("52.112.0.0/14", 20, ER0, VIA0, 0, NULL);
	bed_route("0.0.0.0/0", 5, NET0, "198.51.100.1", 0, NULL);
	bed_commit();
	assert_string_equal(bed_tiers("52.112.0.0/14"), "EI");
	bed_link(ER0, false);
	bed_update();
	assert_string_equal(bed_carrier("52.112.9.9"), "a net0 198.51.100.1");
	assert_int_equal(v->kind, CTL_PREF_INTERNET);
	/* The kernel's route moves: so does the backup. */
	bed_route("0.0.0.0/0", 5, NET0, "198.51.100.9", 0, NULL);
	bed_update();
	assert_string_equal(bed_carrier("52.112.9.9"), "a net0 198.51.100.9");
	bed.rt->ifaces->next->next->next->gateway4 = bed_addr("198.51.100.3");
	bed_commit();
	assert_string_equal(bed_carrier("52.112.9.9"), "a net0 198.51.100.3");
}

static void
the_last_resort_is_used_when_nothing_else_is_left_in_its_family(void **state)
{
	struct ctl_vnet_state *v = settled();

	v->conf.last_resort = bed_addr("10.1.0.254");
	bed_commit();
	bed_link(ER0, false);
	bed_link(ER1, false);
	bed_tunnel("azure-a", false);
	bed_tunnel("azure-b", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "a lan0 10.1.0.254");
	assert_string_equal(bed_carrier("2001:db8:100::1"), "drop");
	assert_int_equal(v->kind, CTL_PREF_LAST_RESORT);
}

static void
ipv6_has_its_covering_leaf_and_its_next_hops(void **state)
{
	struct ctl_vnet_state *v = bed_vnet("all", "::/0", NULL);

	v->conf.n_tunnels = 1;
	bed_tunnel("azure-a", true);
	bed_commit();
	assert_string_equal(bed_carrier("2001:db8::1"), "t azure-a");
	assert_string_equal(bed_carrier("10.9.9.9"), "none");
	bed_route("2001:db8::/32", 20, ER0, "fe80::2", 0, NULL);
	bed_update();
	assert_string_equal(bed_carrier("2001:db8::1"), "t azure-a");
	bed_sleep(31);
	assert_string_equal(bed_carrier("2001:db8::1"), "a er0 fe80::2");
	assert_string_equal(bed_carrier("2001:db9::1"), "t azure-a");
	bed_unroute("2001:db8::/32", 20);
	bed_update();
	assert_string_equal(bed_carrier("2001:db8::1"), "t azure-a");
}

static void
a_pinned_route_is_outside_every_vnet(void **state)
{
	bed_vnet("prod", "203.0.113.0/24", NULL);
	bed_route("203.0.113.0/24", 20, ER0, VIA0, 0, NULL);
	bed_route("203.0.113.2/32", 20, ER0, VIA0, 0, NULL);
	bed_tunnel("azure-a", true);
	bed_commit();
	bed_sleep(31);
	assert_string_equal(bed_carrier("203.0.113.2"), PATH0);
	bed_route("203.0.113.2/32", CTL_PIN_METRIC, NET0, "198.51.100.1", 0, NULL);
	bed_update();
	assert_string_equal(bed_tiers("203.0.113.2/32"), "P");
	assert_string_equal(bed_carrier("203.0.113.2"), "a net0 198.51.100.1");
	assert_string_equal(bed_carrier("203.0.113.3"), PATH0);
	bed_unroute("203.0.113.2/32", CTL_PIN_METRIC);
	bed_update();
	bed_sleep(31);
	assert_string_equal(bed_carrier("203.0.113.2"), PATH0);
}

/* R9: what the VNet sends to the Internet goes to the proxy, and the gateway's own tunnel does not;
 * neither ExpressRoute nor a tunnel gets it back, whatever of them is up. */
static void
internet_traffic_from_the_vnet_goes_to_the_proxy_and_never_back(void **state)
{
	settled();
	bed_route("0.0.0.0/0", 2, LAN0, "10.1.0.8", 0, NULL);
	bed_route("0.0.0.0/0", 20, ER0, VIA0, ER1, VIA1); /* Azure announces one, too */
	bed_route("203.0.113.2/32", CTL_PIN_METRIC, NET0, "198.51.100.1", 0, NULL);
	bed_update();
	for (unsigned int step = 0; step < 4; step++) {
		bed_link(ER0, step & 1);
		bed_tunnel("azure-a", step & 2);
		bed_update();
		bed_sleep(31);
		assert_string_equal(bed_carrier("93.184.216.34"), "a lan0 10.1.0.8");
		assert_string_equal(bed_tiers("0.0.0.0/0"), "P");
		assert_string_equal(bed_carrier("203.0.113.2"), "a net0 198.51.100.1");
	}
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
}

static void
what_bgp_withdraws_moves_before_the_kernel_says_so(void **state)
{
	struct spw_prefix p = bed_prefix("10.100.0.0/16");
	struct ctl_vnet_state *v = settled();

	bed.withdrawn = p;
	bed.withdrawn_by = bed_addr(VIA0);
	ctl_fib_route_changed(bed.rt, ctl_rib_find(&bed.rt->rib, &p));
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH1);
	bed_route("10.100.0.0/16", 20, ER1, VIA1, 0, NULL);
	bed_update();
	bed.withdrawn_by = bed_addr(VIA1);
	ctl_fib_route_changed(bed.rt, ctl_rib_find(&bed.rt->rib, &p));
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	bed_unroute("10.100.0.0/16", 20);
	bed.withdrawn_by = (struct spw_addr){0};
	bed_update();
	assert_int_equal(v->kind, CTL_PREF_TUNNEL);
	assert_int_equal(ctl_failover_n_switches(bed.rt), 1);
}

static void
hold_off_is_for_withdrawals_that_bgp_tells_too(void **state)
{
	struct spw_prefix p = bed_prefix("10.100.0.0/16");
	struct ctl_vnet_state *v = settled();

	v->conf.hold_off_ms = 300;
	bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
	bed_commit();
	bed.withdrawn = p;
	bed.withdrawn_by = bed_addr(VIA0);
	ctl_fib_route_changed(bed.rt, ctl_rib_find(&bed.rt->rib, &p));
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	bed_unroute("10.100.0.0/16", 20);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	bed_sleep(0.301);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
}

static void
a_tunnel_whose_neighbour_gives_nothing_is_no_candidate(void **state)
{
	struct ctl_vnet_state *v = bed_vnet("prod", "10.100.0.0/16", NULL);
	struct ctl_tun *a = ctl_tun_by_name(bed.rt, "azure-a");

	a->conf.address[a->conf.n_addresses++] = bed_prefix("169.254.21.2/30");
	bed.rt->config.bgp.n_neighbors = 1;
	bed.rt->config.bgp.neighbor[0].address = bed_addr("169.254.21.1");
	bed_tunnel("azure-a", true);
	bed_tunnel("azure-b", true);
	bed_commit();
	assert_true(v->learns);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	bed.gives_not = bed_addr("169.254.21.1");
	ctl_fib_tunnels_changed(bed.rt);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-b");
	bed_tunnel("azure-b", false);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "drop");
}

static void
the_end_of_a_wait_touches_groups_only(void **state)
{
	char text[32];

	settled();
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
	struct ctl_vnet_state *v = settled();

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
	struct ctl_vnet_state *v = settled();

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
	struct ctl_vnet_state *v = settled();

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
	settled();
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

static void
a_link_or_circuit_is_set_aside_drained_and_given_back(void **state)
{
	struct ctl_bgp *bgp = &bed.rt->config.bgp;

	settled();
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
	struct ctl_vnet_state *v = settled();

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

	settled();
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

	settled();
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

/* The route goes with its path and the path's object with the route; its losses do not. */
static void
a_path_whose_route_goes_with_it_is_damped_all_the_same(void **state)
{
	struct spw_addr via = bed_addr(VIA0);
	struct ctl_path *p = NULL;

	settled();
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

static void
a_manual_switch_ends_by_itself_and_a_forced_one_stays(void **state)
{
	struct ctl_vnet_state *v = settled();

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
	struct ctl_vnet_state *v = settled();

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
	settled();
	bed_link(ER0, false);
	bed_link(ER1, false);
	bed_update();
	bed_link(ER0, true);
	bed_update();
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_int_equal(bed_command("failover switch expressroute prod"), 0);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
}

static void
faults_give_their_cause_and_detection_time_to_the_switch(void **state)
{
	static const struct {
		enum ctl_path_fault fault;
		const char *cause;
		double detect_ms;
	} row[] = {{CTL_FAULT_BFD, "bfd-timeout", 870.5},
		   {CTL_FAULT_SESSION, "bgp-down", -1},
		   {CTL_FAULT_PROBE, "probe-lost", 1600}};
	struct spw_addr via = bed_addr(VIA0);

	settled();
	bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
	bed_update();
	for (size_t i = 0; i < 3; i++) {
		struct ctl_path *p = ctl_path_find(bed.rt, ctl_iface_by_index(bed.rt, ER0), &via);
		const struct ctl_switch *s;

		ctl_path_fault(bed.rt, p, row[i].fault, true, bed.now - 1000, row[i].detect_ms);
		assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
		s = ctl_failover_switch(bed.rt, 0);
		assert_string_equal(s->cause, row[i].cause);
		assert_string_equal(s->from, "expressroute");
		assert_string_equal(s->to, "azure-a");
		assert_true(row[i].detect_ms > 0 ? s->detect_ms == row[i].detect_ms
						 : s->detect_ms < 0);
		ctl_path_fault(bed.rt, p, row[i].fault, false, bed.now, -1);
		bed_sleep(700);
		assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
		assert_string_equal(ctl_failover_switch(bed.rt, 0)->cause, "restored");
	}
	bed_neighbour(VIA0, false);
	bed_update();
	assert_string_equal(ctl_failover_switch(bed.rt, 0)->cause, "neighbor-lost");
}

int
main(void)
{
#define LEAVES_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		LEAVES_TEST(
			one_lost_link_moves_its_flows_to_the_other_and_no_group_or_leaf_is_touched),
		LEAVES_TEST(both_paths_down_drop_and_the_reason_is_told),
		LEAVES_TEST(only_next_hops_over_the_circuits_of_a_vnet_count),
		LEAVES_TEST(tunnels_get_their_weights),
		LEAVES_TEST(
			a_tunnel_over_expressroute_stands_first_and_lives_no_longer_than_its_next_hop),
		LEAVES_TEST(microsoft_peering_takes_the_internets_gateway_or_the_kernels_route),
		LEAVES_TEST(the_last_resort_is_used_when_nothing_else_is_left_in_its_family),
		LEAVES_TEST(ipv6_has_its_covering_leaf_and_its_next_hops),
		LEAVES_TEST(a_pinned_route_is_outside_every_vnet),
		LEAVES_TEST(internet_traffic_from_the_vnet_goes_to_the_proxy_and_never_back),
		LEAVES_TEST(what_bgp_withdraws_moves_before_the_kernel_says_so),
		LEAVES_TEST(hold_off_is_for_withdrawals_that_bgp_tells_too),
		LEAVES_TEST(a_tunnel_whose_neighbour_gives_nothing_is_no_candidate),
		LEAVES_TEST(the_end_of_a_wait_touches_groups_only),
		LEAVES_TEST(each_loss_within_the_window_doubles_the_wait),
		LEAVES_TEST(a_prefix_that_flaps_is_damped_alone),
		LEAVES_TEST(a_restart_keeps_the_wait_of_one_link_and_the_place_of_the_other),
		LEAVES_TEST(a_path_that_died_while_nobody_looked_waits_when_it_is_back),
		LEAVES_TEST(a_link_or_circuit_is_set_aside_drained_and_given_back),
		LEAVES_TEST(a_neighbour_is_drained_when_every_vnet_of_its_circuit_is_forced_away),
		LEAVES_TEST(a_neighbour_over_which_nothing_passes_is_drained_while_that_lasts),
		LEAVES_TEST(a_neighbour_lost_otherwise_is_not_drained_by_silent_probes),
		LEAVES_TEST(a_path_whose_route_goes_with_it_is_damped_all_the_same),
		LEAVES_TEST(a_manual_switch_ends_by_itself_and_a_forced_one_stays),
		LEAVES_TEST(requests_of_lower_rank_are_refused_and_change_nothing),
		LEAVES_TEST(a_switch_by_hand_back_ends_the_wait),
		LEAVES_TEST(faults_give_their_cause_and_detection_time_to_the_switch),
	};

	spw_log_init("test", SPW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
