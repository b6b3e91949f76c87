/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned routes and IPv6 in a network namespace of its own: real twins, real kernel routes, a
 * double of the data plane. Needs root; skipped otherwise.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/pins.h"
#include "tests/control/runtime_bed.h"

static void
make_config(void)
{
	bed.interfaces[0] =
		bed_interface("er0", "net_null0", SPW_IF_ROLE_EXPRESSROUTE, "172.16.0.1/30");
	bed.interfaces[1] = bed_interface("lan0", "net_null1", SPW_IF_ROLE_LAN, "10.1.0.1/24");
	bed.interfaces[2] =
		bed_interface("wan0", "net_null2", SPW_IF_ROLE_INTERNET, "198.51.100.2/24");
	bed.interfaces[0].address[1] = prefix("2001:db8:1::1/126");
	bed.interfaces[0].address[2] = prefix("172.16.0.5/30");
	bed.interfaces[0].n_addresses = 3;
	bed.tunnel[0] = bed_tunnel("azure-a", "198.51.100.2", "203.0.113.2");
	bed.config.n_interfaces = 3;
	bed.config.n_tunnels = 1;
}

static int
setup(void **state)
{
	if (bed_enter("pins") != 0)
		return -1;
	if (!bed.base)
		return 0;
	make_config();
	bed_start();
	return 0;
}

/* The next hop of the kernel's pin for the far end, as the mirror has it; "-" = none. */
static const char *
pinned(const char *remote)
{
	static char text[CTL_NL_HOPS * SPW_ADDR_TEXT];
	char hop[SPW_ADDR_TEXT];
	struct spw_prefix p = prefix(remote);
	const struct ctl_rib_entry *e = ctl_rib_find(&bed.rt->rib, &p);

	text[0] = '\0';
	if (!e || !ctl_rib_is_pin(e))
		return "-";
	for (unsigned int i = 0; i < e->routes->n_hops; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
			 spw_addr_format(&e->routes->hop[i].gateway, hop));
	return text;
}

/* Run the loop until the pin is as wanted; what it is in the end. */
static const char *
pin_becomes(const char *remote, const char *want)
{
	uint64_t end = spw_clock_ns() + 2 * SPW_NS_PER_S;

	do {
		bed_turn(5);
	} while (strcmp(pinned(remote), want) != 0 && spw_clock_ns() < end);
	return pinned(remote);
}

static void
without_a_way_there_is_no_pin_and_the_first_route_by_the_uplink_makes_one(void **state)
{
	bed_need_root();
	bed_turn(100);
	assert_string_equal(pinned("203.0.113.2"), "-");
	ip("route add default via 10.1.0.9 dev lan0");
	bed_turn(100);
	assert_string_equal(pinned("203.0.113.2"), "-"); /* a proxy on the LAN is no way */
	ip("route add default via 198.51.100.1 dev wan0 metric 50");
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
}

/* Microsoft peering may announce the gateway's own prefix, even its address. */
static void
what_expressroute_announces_does_not_move_the_pin(void **state)
{
	bed_need_root();
	ip("route add 203.0.113.0/24 via 172.16.0.2 dev er0 proto 186 metric 20");
	ip("route add 203.0.113.2/32 via 172.16.0.2 dev er0 proto 186 metric 20");
	bed_turn(100);
	assert_string_equal(pinned("203.0.113.2"), "198.51.100.1");
	/* The kernel's own choice, for IKE: */
	assert_int_equal(ip_status("route get fibmatch 203.0.113.2 oif wan0"), 0);
	ip("route del 203.0.113.2/32 via 172.16.0.2 dev er0 proto 186 metric 20");
	ip("route del 203.0.113.0/24 via 172.16.0.2 dev er0 proto 186 metric 20");
}

static void
the_pin_follows_the_uplinks_best_route(void **state)
{
	bed_need_root();
	ip("route add 203.0.0.0/16 via 198.51.100.7 dev wan0");
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.7"), "198.51.100.7");
	ip("route del 203.0.0.0/16 via 198.51.100.7 dev wan0");
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
	ip("route del default via 198.51.100.1 dev wan0 metric 50");
	assert_string_equal(pin_becomes("203.0.113.2", "-"), "-");
}

static void
the_configured_gateway_needs_no_route(void **state)
{
	bed_need_root();
	bed.interfaces[2].gateway4 = prefix("198.51.100.1").addr;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
	ip("route add 203.0.0.0/16 via 198.51.100.7 dev wan0");
	bed_turn(100);
	assert_string_equal(pinned("203.0.113.2"), "198.51.100.1");
	ip("route del 203.0.0.0/16 via 198.51.100.7 dev wan0");
}

static void
a_pin_that_somebody_deletes_comes_back(void **state)
{
	bed_need_root();
	ip("route del 203.0.113.2/32 proto 207");
	assert_string_equal(pin_becomes("203.0.113.2", "-"), "-");
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
}

static void
a_far_end_on_a_connected_network_needs_none(void **state)
{
	bed_need_root();
	bed.tunnel[0].remote = prefix("198.51.100.77").addr;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "-"), "-");
	assert_string_equal(pinned("198.51.100.77"), "-");
	bed.tunnel[0].remote = prefix("203.0.113.2").addr;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
}

/* The same over IPv6: a host route by the gateway of that family, and back again. */
static void
a_far_end_of_ipv6_is_pinned_to_the_gateway_of_its_family(void **state)
{
	const struct spw_addr local = bed.tunnel[0].local, remote = bed.tunnel[0].remote;

	bed_need_root();
	bed.interfaces[2].address[1] = prefix("2001:db8:77::2/64");
	bed.interfaces[2].n_addresses = 2;
	bed.tunnel[0].local = prefix("2001:db8:77::2").addr;
	bed.tunnel[0].remote = prefix("2001:db8:203::2").addr;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "-"), "-");
	assert_string_equal(pinned("2001:db8:203::2"), "-");
	ip("-6 route add default via 2001:db8:77::7 dev wan0 metric 50");
	assert_string_equal(pin_becomes("2001:db8:203::2", "2001:db8:77::7"), "2001:db8:77::7");
	bed.interfaces[2].gateway6 = prefix("2001:db8:77::1").addr;
	bed_commit();
	assert_string_equal(pin_becomes("2001:db8:203::2", "2001:db8:77::1"), "2001:db8:77::1");
	assert_int_equal(ip_status("-6 route get fibmatch 2001:db8:203::2 oif wan0"), 0);
	bed.tunnel[0].local = local;
	bed.tunnel[0].remote = remote;
	bed_commit();
	assert_string_equal(pin_becomes("2001:db8:203::2", "-"), "-");
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
}

/* The path that the data plane was told for the outer packets of tunnel n: its next hop, or "-". */
static const char *
outer_of(unsigned int n)
{
	static char text[SPW_ADDR_TEXT];
	uint32_t id = SPW_DP_ADDR_NONE;

	bed_turn(100);
	double_lock();
	for (unsigned int t = 0; t < bed.dp.n_tunnel; t++)
		if (strcmp(bed.dp.tunnel[t].name, bed.tunnel[n].name) == 0)
			id = bed.dp.tunnel[t].outer_path;
	snprintf(text, sizeof(text), "-");
	for (unsigned int p = 0; p < bed.dp.n_path && id != SPW_DP_ADDR_NONE; p++)
		if (bed.dp.path[p].id == id)
			spw_addr_format(&bed.dp.path[p].next_hop, text);
	double_unlock();
	return text;
}

/* A bow-tie: the routes cannot say by which uplink, so each tunnel is told. */
static void
tunnels_to_one_far_end_leave_by_the_uplink_of_their_own_address(void **state)
{
	bed_need_root();
	assert_string_equal(outer_of(0), "-");
	bed.interfaces[3] =
		bed_interface("wan1", "net_null3", SPW_IF_ROLE_INTERNET, "192.0.2.2/24");
	bed.interfaces[3].gateway4 = prefix("192.0.2.1").addr;
	bed.tunnel[1] = bed.tunnel[0];
	snprintf(bed.tunnel[1].name, sizeof(bed.tunnel[1].name), "azure-b");
	bed.tunnel[1].local = prefix("192.0.2.2").addr;
	bed.config.n_interfaces = 4;
	bed.config.n_tunnels = 2;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
	assert_int_equal(ip_status("route get fibmatch 203.0.113.2 oif wan1"), 0);
	assert_string_equal(outer_of(0), "198.51.100.1");
	assert_string_equal(outer_of(1), "192.0.2.1");
	/* a commit without change and a data plane that begins anew end in the same */
	bed_commit();
	assert_string_equal(outer_of(1), "192.0.2.1");
	/* one that the data plane refuses goes on by the path that it was told before */
	bed.tunnel[1].mtu = 9001;
	bed.tunnel[1].enabled = false;
	bed_commit();
	assert_string_equal(outer_of(1), "192.0.2.1");
	assert_int_equal(bed.dp.busy, 0);
	bed.config.n_tunnels = 1;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
	assert_string_equal(outer_of(0), "-");
	bed.config.n_interfaces = 3;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
}

static void
the_pin_goes_with_its_tunnel_and_strays_of_an_earlier_process_too(void **state)
{
	bed_need_root();
	bed.tunnel[0].enabled = false;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "-"), "-");
	ctl_runtime_free(bed.rt);
	ip("route add 203.0.113.9/32 via 198.51.100.1 dev wan0 proto 207 metric 1");
	bed_runtime_start();
	assert_string_equal(pin_becomes("203.0.113.9", "-"), "-");
	bed.tunnel[0].enabled = true;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "198.51.100.1"), "198.51.100.1");
	ctl_runtime_free(bed.rt);
	bed_runtime_start();
	bed_turn(50);
	assert_string_equal(pinned("203.0.113.2"), "198.51.100.1");
}

/* IPsec over private peering: all the links that lead there, none over the Internet. */
static void
a_tunnel_over_expressroute_is_pinned_to_its_next_hops(void **state)
{
	bed_need_root();
	bed.tunnel[0].local = prefix("172.16.0.1").addr;
	bed.tunnel[0].remote = prefix("10.100.255.4").addr;
	bed_commit();
	assert_string_equal(pin_becomes("203.0.113.2", "-"), "-");
	ip("route add default via 198.51.100.1 dev wan0 metric 60");
	bed_turn(100);
	assert_string_equal(pinned("10.100.255.4"), "-");
	ip("route add 10.100.0.0/16 proto 186 metric 20 nexthop via 172.16.0.2 dev er0 "
	   "nexthop via 172.16.0.6 dev er0");
	assert_string_equal(pin_becomes("10.100.255.4", "172.16.0.2 172.16.0.6"),
			    "172.16.0.2 172.16.0.6");
	ip("route replace 10.100.0.0/16 proto 186 metric 20 via 172.16.0.6 dev er0");
	assert_string_equal(pin_becomes("10.100.255.4", "172.16.0.6"), "172.16.0.6");
	ip("route del 10.100.0.0/16 proto 186 metric 20");
	assert_string_equal(pin_becomes("10.100.255.4", "-"), "-");
}

static bool
dataplane_has(const char *text)
{
	struct spw_prefix p = prefix(text);
	bool has = false;

	bed_turn(100);
	double_lock();
	for (unsigned int r = 0; r < bed.dp.n_route; r++)
		has |= spw_prefix_equal(&bed.dp.route[r].prefix, &p);
	double_unlock();
	return has;
}

static void
twins_have_ipv6_without_autoconfiguration_and_its_routes_become_leaves(void **state)
{
	char value[8] = "";
	FILE *f;

	bed_need_root();
	assert_true(dataplane_has("2001:db8:1::/126"));
	ip("-6 route add 2001:db8:100::/48 proto 186 metric 20 via 2001:db8:1::2 dev er0");
	assert_true(dataplane_has("2001:db8:100::/48"));
	assert_false(dataplane_has("fe80::/64"));
	ip("-6 route del 2001:db8:100::/48 proto 186 metric 20");
	assert_false(dataplane_has("2001:db8:100::/48"));
	f = fopen("/proc/sys/net/ipv6/conf/er0/accept_ra", "r");
	assert_non_null(f);
	assert_non_null(fgets(value, sizeof(value), f));
	fclose(f);
	assert_string_equal(value, "0\n");
	f = fopen("/proc/sys/net/ipv6/conf/lan0/disable_ipv6", "r");
	assert_non_null(f);
	assert_non_null(fgets(value, sizeof(value), f));
	fclose(f);
	assert_string_equal(value, "1\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			without_a_way_there_is_no_pin_and_the_first_route_by_the_uplink_makes_one),
		cmocka_unit_test(what_expressroute_announces_does_not_move_the_pin),
		cmocka_unit_test(the_pin_follows_the_uplinks_best_route),
		cmocka_unit_test(the_configured_gateway_needs_no_route),
		cmocka_unit_test(a_pin_that_somebody_deletes_comes_back),
		cmocka_unit_test(a_far_end_on_a_connected_network_needs_none),
		cmocka_unit_test(a_far_end_of_ipv6_is_pinned_to_the_gateway_of_its_family),
		cmocka_unit_test(tunnels_to_one_far_end_leave_by_the_uplink_of_their_own_address),
		cmocka_unit_test(the_pin_goes_with_its_tunnel_and_strays_of_an_earlier_process_too),
		cmocka_unit_test(a_tunnel_over_expressroute_is_pinned_to_its_next_hops),
		cmocka_unit_test(
			twins_have_ipv6_without_autoconfiguration_and_its_routes_become_leaves),
	};

	return cmocka_run_group_tests(tests, setup, bed_leave);
}
