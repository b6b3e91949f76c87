/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From routes and paths to what a worker does with a packet: the rules of design.md 5 as they come
 * out at the end, on a bed without kernel and clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/control/leaves_bed.h"

static void
one_lost_link_moves_its_flows_to_the_other_and_no_group_or_leaf_is_touched(void **state)
{
	bed_settled();
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
	struct ctl_vnet_state *v = bed_settled();

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
	struct ctl_vnet_state *v = bed_settled();
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
	struct ctl_vnet_state *v = bed_settled();

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
	bed_settled();
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
	struct ctl_vnet_state *v = bed_settled();

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
	struct ctl_vnet_state *v = bed_settled();

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

	bed_settled();
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
#define LEAVES_TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
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
		LEAVES_TEST(faults_give_their_cause_and_detection_time_to_the_switch),
	};

	spw_log_init("test", SPW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
