/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the examples build and keep, the defaults that depend on more than one leaf, and the small
 * rules (code points, capacities, circuits) by table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "control/config_private.h"
#include "tests/control/model_bed.h"

static void
every_example_builds_without_a_warning_and_round_trips(void **state)
{
	static const char *const names[] = {"demo", "two-links"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct ctl_tree tree = bed_example(names[i]), again = {0};
		struct ctl_lines lines = {0}, second = {0}, warnings = {0};
		struct ctl_config *c = NULL;
		struct spw_err err = {0};

		if (ctl_model_build(bed_model, &tree, "/keys", &c, &warnings, &err) < 0)
			fail_msg("%s: %s", names[i], err.text);
		if (warnings.n > 0)
			fail_msg("%s: %s", names[i], warnings.line[0]);
		ctl_model_lines(bed_model, &tree, &lines);
		for (size_t k = 0; k < lines.n; k++)
			bed_apply(&again, lines.line[k]);
		ctl_model_lines(bed_model, &again, &second);
		assert_int_equal(second.n, lines.n);
		for (size_t k = 0; k < lines.n; k++)
			assert_string_equal(second.line[k], lines.line[k]);
		ctl_config_free(c);
		ctl_lines_free(&lines);
		ctl_lines_free(&second);
		ctl_tree_free(&tree);
		ctl_tree_free(&again);
	}
}

static void
the_example_becomes_what_it_says(void **state)
{
	struct ctl_config *c = bed_build("");
	const struct ctl_interface *er = ctl_config_interface(c, "er0.100");
	const struct ctl_interface *wan = ctl_config_interface(c, "wan0");
	const struct ctl_vnet *v = &c->vnets[0];

	assert_string_equal(er->circuit, "metro");
	assert_string_equal(ctl_config_interface(c, "er0")->circuit, "expressroute");
	assert_string_equal(ctl_config_interface(c, "lan0")->circuit, "");
	assert_int_equal(er->address[1].addr.family, AF_INET6);
	assert_int_equal(er->address[1].len, 126);
	assert_int_equal(wan->gateway4.family, AF_INET);
	assert_false(spw_addr_is_set(&wan->gateway6));
	assert_int_equal(c->bgp.multipath, 4);
	assert_true(c->bgp.graceful_restart);
	assert_int_equal(c->bgp.n_announce, 2);
	assert_int_equal(v->n_tunnels, 2);
	assert_string_equal(v->tunnel[0].name, "azure-a");
	assert_int_equal(v->tunnel[0].weight, 2);
	assert_int_equal(v->tunnel[1].weight, 1);
	assert_int_equal(v->peering, CTL_PEERING_PRIVATE);
	assert_int_equal(v->n_circuits, 1);
	assert_string_equal(v->circuit[0], "metro");
	assert_int_equal(v->damping_max_s, 900);
	assert_false(spw_addr_is_set(&v->last_resort));
	ctl_config_free(c);
}

static void
probes_have_the_defaults_of_the_model(void **state)
{
	struct ctl_config *c =
		bed_build("set vnet prod probe 2001:db8:100::1 source 2001:db8:10::1");
	const struct ctl_vnet *v = &c->vnets[0];

	assert_int_equal(v->n_probes, 3);
	assert_int_equal(v->probe[0].kind, SPW_PROBE_ICMP);
	assert_int_equal(v->probe[0].over, CTL_PROBE_BOTH);
	assert_int_equal(v->probe[0].interval_ms, 500);
	assert_int_equal(v->probe[0].timeout_ms, 1000);
	assert_int_equal(v->probe[0].fall, 3);
	assert_int_equal(v->probe[0].rise, 5);
	assert_int_equal(v->probe[0].port, 862);
	assert_false(spw_addr_is_set(&v->probe[0].source));
	assert_int_equal(v->probe[1].kind, SPW_PROBE_TWAMP);
	assert_int_equal(v->probe[1].over, CTL_PROBE_CIRCUIT);
	assert_int_equal(v->probe[1].interval_ms, 200);
	assert_int_equal(v->probe[1].fall, 5);
	assert_int_equal(v->probe[2].target.family, AF_INET6);
	assert_int_equal(v->probe[2].source.family, AF_INET6);
	ctl_config_free(c);
}

static void
classes_hold_their_code_points_by_rank(void **state)
{
	struct ctl_config *c = bed_build("set class voice dscp 46");
	const struct ctl_class *voice = NULL;

	assert_int_equal(c->n_classes, 4);
	for (unsigned int i = 0; i < c->n_classes; i++)
		if (strcmp(c->class[i].name, "voice") == 0)
			voice = &c->class[i];
	assert_non_null(voice);
	assert_int_equal(voice->rank, 0);
	assert_int_equal(voice->share_percent, 20);
	assert_int_equal(voice->n_dscp, 2); /* ef is 46 */
	assert_non_null(memchr(voice->dscp, 46, 2));
	assert_non_null(memchr(voice->dscp, 48, 2));
	ctl_config_free(c);
}

static const struct ctl_neighbor *
neighbor(const struct ctl_config *c, const char *address)
{
	struct spw_addr a;

	assert_int_equal(spw_addr_parse(&a, address, NULL), 0);
	for (unsigned int i = 0; i < c->bgp.n_neighbors; i++)
		if (spw_addr_equal(&c->bgp.neighbor[i].address, &a))
			return &c->bgp.neighbor[i];
	fail_msg("no neighbor %s", address);
	return NULL;
}

static void
local_preference_is_150_over_expressroute_else_100_unless_set(void **state)
{
	struct ctl_config *c = bed_build("set routing bgp neighbor 172.16.0.6 local-preference 7\n"
					 "set routing bgp neighbor 10.1.0.9 remote-as 64600");

	assert_int_equal(neighbor(c, "172.16.0.2")->local_preference, 150);
	assert_int_equal(neighbor(c, "2001:db8:e::6")->local_preference, 150);
	assert_int_equal(neighbor(c, "172.16.0.6")->local_preference, 7);
	assert_int_equal(neighbor(c, "169.254.21.2")->local_preference, 100);
	assert_int_equal(neighbor(c, "10.1.0.9")->local_preference, 100);
	ctl_config_free(c);
}

static void
prefix_limits_are_azures_for_microsoft_unless_set(void **state)
{
	struct ctl_config *c = bed_build(
		"set routing bgp neighbor 172.16.0.6 prefix-limit maximum 0\n"
		"set routing bgp neighbor 169.254.21.2 prefix-limit maximum 50 action drop");

	assert_int_equal(neighbor(c, "172.16.0.2")->prefix_limit, 1000);
	assert_false(neighbor(c, "172.16.0.2")->prefix_limit_drops);
	assert_int_equal(neighbor(c, "2001:db8:e::2")->prefix_limit, 100);
	assert_int_equal(neighbor(c, "172.16.0.6")->prefix_limit, 0);
	assert_int_equal(neighbor(c, "169.254.21.2")->prefix_limit, 50);
	assert_true(neighbor(c, "169.254.21.2")->prefix_limit_drops);
	ctl_config_free(c);
}

static void
a_neighbour_is_told_its_own_list_or_the_speakers_of_its_family(void **state)
{
	struct ctl_config *c =
		bed_build("set routing bgp neighbor 172.16.0.6 announce 10.1.2.0/24\n"
			  "delete routing bgp announce 2001:db8:10::/48");
	const struct spw_prefix *told[CTL_LIST];
	char text[SPW_PREFIX_TEXT];

	assert_int_equal(ctl_config_announced(&c->bgp, neighbor(c, "172.16.0.2"), told), 1);
	assert_string_equal(spw_prefix_format(told[0], text), "10.1.0.0/16");
	assert_int_equal(ctl_config_announced(&c->bgp, neighbor(c, "172.16.0.6"), told), 1);
	assert_string_equal(spw_prefix_format(told[0], text), "10.1.2.0/24");
	assert_int_equal(ctl_config_announced(&c->bgp, neighbor(c, "2001:db8:e::2"), told), 0);
	ctl_config_free(c);
}

static void
ipv6_is_one_key_however_it_is_typed(void **state)
{
	struct ctl_tree tree = {0};
	struct ctl_lines lines = {0};

	bed_apply(&tree, "set routing bgp neighbor 2001:DB8:0:0::2 remote-as 12076\n"
			 "set routing bgp neighbor 2001:db8::0002 bfd\n"
			 "set routing bgp announce 2001:0DB8:10::/48\n"
			 "set routing bgp announce 2001:db8:10:0::/48\n"
			 "set interfaces x address FE80:0::1/64\n"
			 "set vnet v description ::01\n"
			 "delete routing bgp announce 2001:DB8:10::/48\n"
			 "set routing static 0::/0 next-hop 2001:DB8::1");
	ctl_model_lines(bed_model, &tree, &lines);
	assert_int_equal(lines.n, 5);
	assert_string_equal(lines.line[0], "set interfaces x address fe80::1/64");
	assert_string_equal(lines.line[1], "set routing static ::/0 next-hop 2001:db8::1");
	assert_string_equal(lines.line[2], "set routing bgp neighbor 2001:db8::2 remote-as 12076");
	assert_string_equal(lines.line[3], "set routing bgp neighbor 2001:db8::2 bfd");
	assert_string_equal(lines.line[4], "set vnet v description ::01");
	ctl_lines_free(&lines);
	ctl_tree_free(&tree);
}

static void
a_vnet_without_circuits_uses_them_all(void **state)
{
	struct ctl_vnet v = {.n_circuits = 0};

	assert_true(ctl_config_vnet_uses(&v, "a"));
	v.n_circuits = 2;
	strcpy(v.circuit[0], "a");
	strcpy(v.circuit[1], "b");
	assert_true(ctl_config_vnet_uses(&v, "b"));
	assert_false(ctl_config_vnet_uses(&v, "c"));
	assert_false(ctl_config_vnet_uses(&v, ""));
}

static void
capacity_is_the_operators_figure_else_the_skus_for_the_cipher(void **state)
{
	static const struct {
		const char *change;
		uint32_t kbps, gateway;
	} table[] = {
		{"", 600000, 0},
		{"delete tunnel azure-a bandwidth", 1250000, 1250000},
		{"delete tunnel azure-a bandwidth\nset tunnel azure-a azure-sku vpngw2az-gen1",
		 1000000, 1000000}, /* the gateway takes less than the tunnel could */
		{"delete tunnel azure-a bandwidth\nset tunnel azure-a azure-sku vpngw5az", 2300000,
		 10000000},
		{"delete tunnel azure-a bandwidth\nset tunnel azure-a azure-sku high-bandwidth",
		 5000000, 20000000},
		{"delete tunnel azure-a bandwidth\nset tunnel azure-a azure-sku vpngw5az\n"
		 "delete tunnel azure-a profile\n"
		 "set tunnel azure-a ike-proposal aes256-sha256-modp2048\n"
		 "set tunnel azure-a esp-proposal aes256-sha256",
		 700000, 10000000},
		{"delete tunnel azure-a bandwidth\ndelete tunnel azure-a azure-sku\n"
		 "delete tunnel azure-a shape",
		 0, 0},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct ctl_config *c = bed_build(table[i].change);
		const struct ctl_tunnel *t = ctl_config_tunnel(c, "azure-a");

		assert_int_equal(t->capacity_kbps, table[i].kbps);
		assert_int_equal(t->gateway_kbps, table[i].gateway);
		assert_int_equal(t->shape, i + 1 < sizeof(table) / sizeof(table[0]));
		ctl_config_free(c);
	}
}

/* Every SKU of the model is known, and no tunnel gets more than its gateway. */
static void
every_sku_of_the_model_is_known(void **state)
{
	struct ctl_lines names = {0};

	bed_enum_names("/spillway:tunnel/azure-sku", &names);
	assert_true(names.n > 0);
	for (size_t i = 0; i < names.n; i++) {
		const struct config_sku *sku = config_sku_find(names.line[i]);

		assert_non_null(sku);
		assert_true(config_sku_capacity_kbps(sku, true) > 0);
		assert_true(config_sku_capacity_kbps(sku, true) <= 1000 * sku->aggregate_mbps);
		assert_true(config_sku_capacity_kbps(sku, false) <=
			    config_sku_capacity_kbps(sku, true));
	}
	ctl_lines_free(&names);
	assert_null(config_sku_find("vpngw6az"));
}

static void
code_points_have_numbers_and_names(void **state)
{
	static const struct {
		const char *text;
		int dscp;
	} table[] = {{"0", 0},	   {"63", 63},	 {"default", 0},     {"le", 1},	   {"ef", 46},
		     {"cs0", 0},   {"cs1", 8},	 {"cs7", 56},	     {"af11", 10}, {"af13", 14},
		     {"af41", 34}, {"af43", 38}, {"voice-admit", 44}};
	static const char *const bad[] = {"",	  "64",	  "-1",	 "cs8",	  "af10",
					  "af14", "af51", "af1", "af111", "cs",
					  "cs11", "1x",	  "EF",	 "efx",	  "be"};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(ctl_dscp_parse(table[i].text), table[i].dscp);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ctl_dscp_parse(bad[i]) >= 0)
			fail_msg("taken: %s", bad[i]);
}

static void
link_local_is_fe80_to_febf(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} table[] = {{"fe80::1", true},	 {"febf::1", true},	 {"fec0::1", false},
		     {"fe7f::1", false}, {"169.254.1.1", false}, {"2001:db8::1", false}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct spw_addr a;

		assert_int_equal(spw_addr_parse(&a, table[i].text, NULL), 0);
		assert_int_equal(config_is_link_local(&a), table[i].is);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_example_builds_without_a_warning_and_round_trips),
		cmocka_unit_test(the_example_becomes_what_it_says),
		cmocka_unit_test(probes_have_the_defaults_of_the_model),
		cmocka_unit_test(classes_hold_their_code_points_by_rank),
		cmocka_unit_test(local_preference_is_150_over_expressroute_else_100_unless_set),
		cmocka_unit_test(prefix_limits_are_azures_for_microsoft_unless_set),
		cmocka_unit_test(a_neighbour_is_told_its_own_list_or_the_speakers_of_its_family),
		cmocka_unit_test(ipv6_is_one_key_however_it_is_typed),
		cmocka_unit_test(a_vnet_without_circuits_uses_them_all),
		cmocka_unit_test(capacity_is_the_operators_figure_else_the_skus_for_the_cipher),
		cmocka_unit_test(every_sku_of_the_model_is_known),
		cmocka_unit_test(code_points_have_numbers_and_names),
		cmocka_unit_test(link_local_is_fe80_to_febf),
	};

	return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
