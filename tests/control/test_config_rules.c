/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules over a whole configuration: what each refuses, in which words, what it lets through and
 * what it warns about, as changes of the example with two links; values that no leaf takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/control/model_bed.h"

static const struct {
	const char *line, *says;
} bad_lines[] = {
	{"set routing bgp neighbor 2001:db8::2::3 remote-as 1", "an IP address, for example"},
	{"set routing bgp neighbor 2001:db8 remote-as 1", "an IP address, for example"},
	{"set routing bgp neighbor ::ffff:10.0.0.1 remote-as 1", "an IP address, for example"},
	{"set routing bgp neighbor ::ffff:a00:1 remote-as 1", "an IP address, for example"},
	{"set routing bgp neighbor fe80::1%er0 remote-as 1", "an IP address, for example"},
	{"set routing bgp announce 2001:db8::/129", "an IP prefix, for example"},
	{"set routing bgp announce 2001:db8::", "an IP prefix, for example"},
	{"set routing bgp multipath 5", "1 to 4 routes"},
	{"set routing bgp neighbor 10.0.0.1 local-preference 0", "1 to 4294967295"},
	{"set interfaces x address 2001:db8::1/7", "an IP address with its prefix length"},
	{"set tunnel t local-address 2001:db8::1::2", "an IP address, for example"},
	{"set tunnel t remote-address ::ffff:10.0.0.1", "an IP address, for example"},
	{"set tunnel t azure-sku vpngw6", "one of basic, vpngw1az"},
	{"set tunnel t bandwidth 0", "1 to 1000000 Mbit/s"},
	{"set vnet v tunnel t weight 0", "1 to 255"},
	{"set vnet v tunnel t weight 256", "1 to 255"},
	{"set vnet v peering public", "one of private, microsoft"},
	{"set vnet v probe 10.0.0.1 interval 99", "100 to 60000 milliseconds"},
	{"set vnet v probe 10.0.0.1 timeout 9", "10 to 10000 milliseconds"},
	{"set vnet v probe 10.0.0.1 fall 0", "1 to 100 packets"},
	{"set vnet v probe 10.0.0.1 kind tcp", "one of icmp, twamp"},
	{"set vnet v probe 10.0.0.1 over both-ways", "one of both, circuit, tunnel"},
	{"set vnet v damping-maximum 86401", "86400 seconds"},
	{"set class c rank 0", "1 (the most important) to 4"},
	{"set class c rank 5", "1 (the most important) to 4"},
	{"set class c share 101", "0 to 100 percent"},
	{"set class c dscp 64", "a code point from 0 to 63"},
	{"set class c dscp af44", "a code point from 0 to 63"},
	{"set class c dscp EF", "a code point from 0 to 63"},
};

static void
bad_values_are_refused_with_what_would_do(void **state)
{
	for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
		struct ctl_tree tree = {0};
		struct spw_err err = {0};

		if (ctl_model_edit(bed_model, &tree, bad_lines[i].line, &err) == 0)
			fail_msg("taken: %s", bad_lines[i].line);
		if (strstr(err.text, bad_lines[i].says) == NULL || strchr(err.text, '\n'))
			fail_msg("%s: says %s", bad_lines[i].line, err.text);
		assert_null(tree.root);
	}
}

/* A tunnel over the circuit to the gateway's private address, and nothing over it in the clear. */
#define OVER_PRIVATE                                                             \
	"set tunnel er-a local-address 172.16.0.1 remote-address 10.100.255.4\n" \
	"set tunnel er-a pre-shared-key-file x\n"                                \
	"delete vnet prod tunnel azure-b\n"                                      \
	"set vnet prod tunnel er-a\n"

/* Only the tunnel's end is told over ExpressRoute. */
#define ENDPOINT_ONLY                                                  \
	"set routing bgp neighbor 172.16.0.2 announce 172.16.0.1/32\n" \
	"set routing bgp neighbor 172.16.0.6 announce 172.16.0.1/32\n" \
	"delete routing bgp neighbor 2001:db8:e::2\n"                  \
	"delete routing bgp neighbor 2001:db8:e::6\n"

/* A link that belongs to a circuit of its own. */
#define LINK(n, circuit)                                                              \
	"set interfaces er" #n " device dev" #n " role expressroute circuit " circuit \
	" address 172.16." #n ".1/30\n"

/* What a change makes the build say. `says`: the refusal, NULL = none; `warns`: NULL = nothing. */
static const struct {
	const char *change, *says, *warns;
} rules[] = {
	/* address families */
	{"set routing static 10.9.0.0/16 next-hop 2001:db8:10::9", "name an IPv4 router", NULL},
	{"set routing static 2001:db8:9::/48 next-hop 10.1.0.9", "name an IPv6 router", NULL},
	{"set routing static 2001:db8:9::/48 next-hop 2001:db8:10::9", NULL, NULL},
	{"set routing static 2001:db8:9::/48 next-hop fe80::1", "is link-local", NULL},
	{"set routing static 2001:db8:9::/48 next-hop 2001:db8:77::9", NULL,
	 "on no connected network"},
	{"set routing bgp neighbor fe80::2 remote-as 12076", "is link-local", NULL},
	{"set routing bgp neighbor 172.16.0.2 announce 2001:db8:10::/48",
	 "announce it to an IPv6 neighbor", NULL},
	{"set routing bgp neighbor 2001:db8:e::2 announce 10.1.0.0/16",
	 "announce it to an IPv4 neighbor", NULL},
	{"set routing bgp neighbor 2001:db8:e::2 announce 2001:db8:10:1::/64", NULL, NULL},
	{"set routing bgp neighbor 172.16.0.2 announce 10.1.0.1/16", "write 10.1.0.0/16", NULL},
	{"set routing bgp announce 2001:db8:10::1/48", "write 2001:db8:10::/48", NULL},
	{"set routing bgp neighbor 10.1.0.1 remote-as 64600", "our address of interface lan0",
	 NULL},
	{"set routing bgp neighbor 169.254.21.1 remote-as 65515", "our address of tunnel azure-a",
	 NULL},
	{"set routing static 10.9.0.0/16 next-hop 10.1.0.1",
	 "routing static 10.9.0.0/16 next-hop 10.1.0.1: this is an address of the gateway itself",
	 NULL},
	{"set routing static 10.9.0.0/16 next-hop 169.254.21.1", "an address of the gateway itself",
	 NULL},
	{"set interfaces lan0 mtu 1279", "IPv6 needs 1280", NULL},
	{"set interfaces lan0 mtu 1280", NULL, NULL},
	{"set tunnel azure-a address 2001:db8:fe::1/126 mtu 1270 mss-clamp 1200",
	 "tunnel azure-a mtu 1270: IPv6 needs 1280", NULL},
	{"set interfaces er1.100 address 2001:db8:e::1/126", "has this address, too", NULL},
	{"set tunnel azure-a selectors local 10.1.0.0/16\n"
	 "set tunnel azure-a selectors remote 2001:db8:100::/48",
	 "IPv4 on the local side alone: add one to selectors remote", NULL},
	{"set tunnel azure-a selectors local ::/0\n"
	 "set tunnel azure-a selectors local 0.0.0.0/0\n"
	 "set tunnel azure-a selectors remote ::/0",
	 "IPv4 on the local side alone", NULL},
	{"set tunnel azure-a selectors local ::/0\n"
	 "set tunnel azure-a selectors local 0.0.0.0/0\n"
	 "set tunnel azure-a selectors remote ::/0\n"
	 "set tunnel azure-a selectors remote 10.100.0.0/16",
	 NULL, NULL},
	{"set vnet two prefix 2001:db8:100:1::/64", "overlaps 2001:db8:100::/48", NULL},
	/* gateways of uplinks */
	{"set interfaces lan0 gateway 10.1.0.9", "only an interface of role internet", NULL},
	{"set interfaces wan0 gateway 198.51.100.9", "two of one address family", NULL},
	{"set interfaces wan0 gateway 2001:db8:77::1", "on no network of the interface", NULL},
	{"set interfaces wan0 address 2001:db8:77::2/64 gateway 2001:db8:77::1", NULL, NULL},
	{"delete interfaces wan0 gateway\nset interfaces wan0 gateway 198.51.100.2",
	 "gateway 198.51.100.2: this is an address of ours", NULL},
	{"delete interfaces wan0 gateway\nset interfaces wan0 address 198.51.100.3/24\n"
	 "set interfaces wan0 gateway 198.51.100.3",
	 "gateway 198.51.100.3: this is an address of ours", NULL},
	/* names of twins */
	{"set tunnel lan0 local-address 198.51.100.2 remote-address 203.0.113.9\n"
	 "set tunnel lan0 pre-shared-key-file x address 169.254.22.9/30",
	 "tunnel lan0: an interface has this name: choose another, or delete the tunnel's address",
	 NULL},
	{"set tunnel lan0 local-address 198.51.100.2 remote-address 203.0.113.9\n"
	 "set tunnel lan0 pre-shared-key-file x",
	 NULL, NULL},
	/* what is connected lies in no vnet */
	{"set vnet two prefix 10.1.0.0/16\nset vnet two tunnel azure-a", NULL,
	 "of interface lan0: what goes there is sent to Azure"},
	{"set vnet two prefix 10.1.7.0/24\nset vnet two tunnel azure-a", NULL, NULL},
	/* circuits and links */
	{"set interfaces wan0 circuit metro", "only an interface of role expressroute", NULL},
	{"set vnet prod circuit rural",
	 "vnet prod circuit rural: no interface is of this circuit: set interfaces NAME circuit "
	 "rural",
	 NULL},
	{LINK(2, "rural") "set vnet prod circuit rural", NULL, NULL},
	{LINK(2, "rural") LINK(3, "rural") LINK(4, "rural") "set vnet prod circuit rural",
	 "5 ExpressRoute links lead there, at most 4", NULL},
	{LINK(2, "rural") LINK(3, "rural") LINK(4, "rural"), NULL, NULL},
	{LINK(2, "rural") LINK(3, "rural") "set vnet prod circuit rural", NULL, NULL},
	/* Microsoft peering */
	{"set vnet prod peering microsoft",
	 "vnet prod tunnel azure-a: Microsoft peering falls back to the Internet, never to a "
	 "tunnel",
	 NULL},
	{"set vnet m365 prefix 192.0.2.0/25 peering microsoft", NULL, NULL},
	{"set vnet dev prefix 10.200.0.0/16", NULL, "vnet dev: has no tunnel to fall back to"},
	/* tunnels of a vnet */
	{"set tunnel c local-address 198.51.100.2 remote-address 203.0.113.4\n"
	 "set tunnel d local-address 198.51.100.2 remote-address 203.0.113.5\n"
	 "set tunnel e local-address 198.51.100.2 remote-address 203.0.113.6\n"
	 "set tunnel c pre-shared-key-file x\nset tunnel d pre-shared-key-file x\n"
	 "set tunnel e pre-shared-key-file x\n"
	 "set vnet prod tunnel c\nset vnet prod tunnel d\nset vnet prod tunnel e",
	 "too many entries: delete some", NULL},
	{"set tunnel azure-b selectors remote 10.100.0.0/17", NULL,
	 "holds prefix 10.100.0.0/16: what goes there is dropped"},
	{"delete tunnel azure-a bandwidth\ndelete tunnel azure-b bandwidth\n"
	 "set tunnel azure-b azure-sku vpngw2az-gen2",
	 NULL, "its tunnels take 2500 Mbit/s together, an Azure gateway of their SKU 1250"},
	{"delete tunnel azure-b bandwidth",
	 "tunnel azure-b shape: what the tunnel takes is not known: set bandwidth or azure-sku",
	 NULL},
	{"delete tunnel azure-b bandwidth\ndelete tunnel azure-b shape", NULL, NULL},
	/* last resort and probes */
	{"set vnet prod last-resort 10.1.0.254", NULL, NULL},
	{"set vnet prod last-resort 2001:db8:10::fe", NULL, NULL},
	{"set vnet prod last-resort 198.51.100.1", "on no network of an interface of role lan",
	 NULL},
	{"set vnet prod last-resort 10.77.0.1", "on no network of an interface of role lan", NULL},
	{"set vnet prod last-resort 10.1.0.1", "an address of the gateway itself", NULL},
	{"set tunnel azure-a address 10.1.0.9/32\n"
	 "set vnet prod last-resort 10.1.0.9",
	 "last-resort 10.1.0.9: this is an address of the gateway itself", NULL},
	{"set vnet prod probe 10.100.0.10 source 10.1.0.1", NULL, NULL},
	{"set vnet prod probe 10.100.0.10 source 169.254.21.1", NULL, NULL},
	{"set vnet prod probe 10.100.0.10 source 10.1.0.2", "no address of the gateway", NULL},
	{"set vnet prod probe 10.100.0.10 source 2001:db8:10::1", "of another address family",
	 NULL},
	{"set vnet prod probe 10.1.0.1", "an address of the gateway itself", NULL},
	{"set vnet prod probe fe80::7", "lies behind no path", NULL},
	{"set vnet m365 prefix 192.0.2.0/25 peering microsoft\n"
	 "set vnet m365 probe 192.0.2.1 over tunnel",
	 "the vnet has no tunnel", NULL},
	/* sessions inside tunnels */
	{"set routing bgp neighbor 169.254.21.2 timers keepalive 10 hold 30",
	 "inside tunnel azure-a Azure keeps to 60 and 180: delete routing bgp neighbor "
	 "169.254.21.2 timers",
	 NULL},
	{"set routing bgp neighbor 169.254.21.2 timers keepalive 59", "Azure keeps to 60", NULL},
	{"set routing bgp neighbor 169.254.21.2 timers keepalive 60 hold 240", NULL, NULL},
	{"set routing bgp neighbor 169.254.21.2 bfd", NULL, "speaks none inside a tunnel"},
	{"set tunnel azure-b address 169.254.23.1/30\n"
	 "set routing bgp neighbor 169.254.23.2 remote-as 65515",
	 NULL, "Azure takes 169.254.21.0 to 169.254.22.255 alone"},
	/* sessions over ExpressRoute */
	{"delete routing bgp neighbor 172.16.0.6 bfd", NULL,
	 "without bfd a silent break is seen after 180 s"},
	{"set routing bgp neighbor 172.16.0.6 local-preference 140", NULL,
	 "Microsoft's longer AS path cannot drain a link"},
	/* uplinks */
	{"delete interfaces wan0 gateway", NULL,
	 "no static route to it leaves by wan0: set interfaces wan0 gateway ADDRESS"},
	{"delete interfaces wan0 gateway\nset routing static 203.0.113.0/24 next-hop 198.51.100.1",
	 NULL, NULL},
	{"delete interfaces wan0 gateway\n"
	 "set tunnel azure-a remote-address 198.51.100.7\n"
	 "set tunnel azure-b remote-address 198.51.100.8",
	 NULL, NULL},
	/* outer addresses of IPv6 */
	{"set tunnel azure-b remote-address 2001:db8:203::2",
	 "tunnel azure-b remote-address 2001:db8:203::2: local-address is IPv4: set both of one "
	 "address family",
	 NULL},
	{"set interfaces wan0 address 2001:db8:77::2/64 gateway 2001:db8:77::1\n"
	 "set tunnel azure-b local-address 2001:DB8:77:0::2 remote-address 2001:db8:203::2",
	 NULL, NULL},
	{"set interfaces wan0 address 2001:db8:77::2/64\n"
	 "set tunnel azure-b local-address 2001:db8:77::2 remote-address 2001:db8:203::2",
	 NULL, "set interfaces wan0 gateway ADDRESS"},
	{"set interfaces wan0 address fe80::2/64\n"
	 "set tunnel azure-b local-address fe80::2 remote-address 2001:db8:203::2",
	 "tunnel azure-b local-address fe80::2: is link-local", NULL},
	{"set tunnel azure-b local-address 2001:db8:77::2 remote-address 2001:db8:203::2",
	 "no interface has this address", NULL},
	{"set interfaces wan0 address 2001:db8:77::2/64 gateway 2001:db8:77::1\n"
	 "set tunnel azure-b local-address 2001:db8:77::2 remote-address 2001:db8:100::2",
	 "lies inside prefix 2001:db8:100::/48", NULL},
	/* underlays */
	{"set tunnel azure-b remote-address 10.100.255.4", "lies inside prefix 10.100.0.0/16",
	 NULL},
	{"set tunnel azure-b local-address 10.1.0.1", NULL, "of an interface of role lan"},
	{OVER_PRIVATE ENDPOINT_ONLY, NULL, NULL},
	/* the trap: what is not known to go elsewhere goes through the tunnel */
	{OVER_PRIVATE,
	 "routing bgp neighbor 172.16.0.2 announce 10.1.0.0/16: tunnel er-a of vnet prod carries "
	 "10.1.0.0/16 over this circuit (routing bgp announce): Azure would answer in the clear: "
	 "announce it other prefixes",
	 NULL},
	{OVER_PRIVATE ENDPOINT_ONLY "set routing bgp neighbor 172.16.0.6 announce 10.1.7.0/24",
	 "neighbor 172.16.0.6 announce 10.1.7.0/24: tunnel er-a", NULL},
	{OVER_PRIVATE ENDPOINT_ONLY "set routing bgp neighbor 172.16.0.6 announce 10.2.0.0/16",
	 NULL, NULL},
	/* its selectors say it */
	{OVER_PRIVATE ENDPOINT_ONLY "set tunnel er-a selectors local 10.7.0.0/16\n"
				    "set routing bgp neighbor 172.16.0.6 announce 10.7.0.0/16",
	 "carries 10.7.0.0/16 over this circuit (selectors local)", NULL},
	{OVER_PRIVATE ENDPOINT_ONLY "set tunnel er-a selectors local 10.7.0.0/16\n"
				    "set routing bgp neighbor 172.16.0.6 announce 10.7.9.0/24",
	 "announce 10.7.9.0/24: tunnel er-a", NULL},
	{OVER_PRIVATE ENDPOINT_ONLY "set tunnel er-a selectors local 10.7.0.0/16\n"
				    "set routing bgp neighbor 172.16.0.6 announce 10.0.0.0/8",
	 NULL,
	 "is told 10.0.0.0/8, which holds 10.7.0.0/16 of tunnel er-a: while the tunnel is down"},
	/* BGP inside it says it */
	{OVER_PRIVATE ENDPOINT_ONLY
	 "set tunnel er-a address 169.254.22.1/30\n"
	 "set routing bgp neighbor 169.254.22.2 remote-as 65515 announce 10.8.0.0/16\n"
	 "set routing bgp neighbor 172.16.0.6 announce 10.8.0.0/16",
	 "carries 10.8.0.0/16 over this circuit (announced inside it)", NULL},
	{OVER_PRIVATE ENDPOINT_ONLY
	 "set tunnel er-a address 169.254.22.1/30\n"
	 "set routing bgp neighbor 169.254.22.2 remote-as 65515 announce 10.8.0.0/16\n"
	 "set routing bgp neighbor 172.16.0.6 announce 10.1.0.0/16",
	 NULL, NULL},
	/* another circuit than the vnet's is no matter */
	{OVER_PRIVATE ENDPOINT_ONLY LINK(
		 2, "rural") "set routing bgp neighbor 172.16.2.2 remote-as 12076 bfd",
	 NULL, NULL},
	/* classes */
	{"set class bulk rank 1", "has this rank, too", NULL},
	{"set class bulk dscp 46", "is of class", NULL},
	{"set class bulk dscp 8", NULL, NULL},
	{"set class bulk share 11", "the shares of all classes are 101 percent", NULL},
	{"delete class bulk rank", "class bulk: rank is missing", NULL},
	{"set class fifth rank 4", "too many entries: delete some", NULL},
};

static void
expect_warning(const char *change, const struct ctl_lines *warnings, const char *warns)
{
	bool found = warns == NULL;

	for (size_t i = 0; i < warnings->n; i++) {
		if (warns == NULL)
			fail_msg("%s: warns %s", change, warnings->line[i]);
		found = found || strstr(warnings->line[i], warns);
	}
	if (!found)
		fail_msg("%s: does not warn of: %s (but %s)", change, warns,
			 warnings->n ? warnings->line[0] : "nothing");
}

static void
each_rule_refuses_lets_through_and_warns_as_it_says(void **state)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct ctl_tree tree = bed_example("two-links");
		struct ctl_lines warnings = {0};
		struct ctl_config *c = NULL;
		struct spw_err err = {0};
		int rc;

		bed_apply(&tree, rules[i].change);
		rc = ctl_model_build(bed_model, &tree, "/keys", &c, &warnings, &err);
		if ((rc < 0) != (rules[i].says != NULL))
			fail_msg("%s: %s", rules[i].change, rc < 0 ? err.text : "taken");
		if (rules[i].says && (!strstr(err.text, rules[i].says) || strchr(err.text, '\n')))
			fail_msg("%s: says %s", rules[i].change, err.text);
		if (rc == 0)
			expect_warning(rules[i].change, &warnings, rules[i].warns);
		ctl_config_free(c);
		ctl_lines_free(&warnings);
		ctl_tree_free(&tree);
	}
}

static void
the_underlay_is_the_role_of_the_local_address(void **state)
{
	struct ctl_config *c =
		bed_build(OVER_PRIVATE ENDPOINT_ONLY
			  "set tunnel l local-address 10.1.0.1 remote-address 10.9.9.9 "
			  "pre-shared-key-file x");

	assert_int_equal(ctl_config_underlay(c, ctl_config_tunnel(c, "azure-a")),
			 SPW_IF_ROLE_INTERNET);
	assert_int_equal(ctl_config_underlay(c, ctl_config_tunnel(c, "er-a")),
			 SPW_IF_ROLE_EXPRESSROUTE);
	assert_int_equal(ctl_config_underlay(c, ctl_config_tunnel(c, "l")), SPW_IF_ROLE_LAN);
	assert_null(ctl_config_tunnel(c, "none"));
	ctl_config_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_values_are_refused_with_what_would_do),
		cmocka_unit_test(each_rule_refuses_lets_through_and_warns_as_it_says),
		cmocka_unit_test(the_underlay_is_the_role_of_the_local_address),
	};

	return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
