/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration model: lines to tree and back, what is refused and with which sentence,
 * defaults and rules in the typed configuration, differences, completion.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/model_private.h"
#include "lib/spillway.h"

static struct ctl_model *model;

/* A whole gateway, in canonical order and form. */
static const char *const gateway[] = {
	"set system host-name gw",
	"set interfaces er0 device net_af_packet1,iface=p-er",
	"set interfaces er0 role expressroute",
	"set interfaces er0 address 172.16.0.1/30",
	"set interfaces lan0 description \"office LAN\"",
	"set interfaces lan0 device net_af_packet0,iface=p-lan",
	"set interfaces lan0 role lan",
	"set interfaces lan0 address 10.1.0.1/24",
	"set interfaces wan0 device net_af_packet2,iface=p-wan",
	"set interfaces wan0 role internet",
	"set interfaces wan0 address 198.51.100.2/24",
	"set routing static 0.0.0.0/0 next-hop 198.51.100.1",
	"set routing bgp local-as 65010",
	"set routing bgp router-id 172.16.0.1",
	"set routing bgp announce 10.1.0.0/16",
	"set routing bgp neighbor 172.16.0.2 remote-as 12076",
	"set routing bgp neighbor 172.16.0.2 bfd",
	"set routing bgp neighbor 172.16.0.2 local-preference 150",
	"set tunnel azure-a local-address 198.51.100.2",
	"set tunnel azure-a remote-address 203.0.113.2",
	"set tunnel azure-a pre-shared-key-file azure-a.psk",
	"set vnet prod prefix 10.100.0.0/16",
	"set vnet prod tunnel azure-a",
	"set vnet prod wait-to-restore 5",
};
#define GATEWAY_LINES (sizeof(gateway) / sizeof(gateway[0]))

static void
apply(struct ctl_tree *tree, const char *line)
{
	struct spw_err err = {0};

	if (ctl_model_edit(model, tree, line, &err) < 0)
		fail_msg("%s: %s", line, err.text);
}

static struct ctl_tree
gateway_tree(void)
{
	struct ctl_tree tree = {0};

	for (size_t i = 0; i < GATEWAY_LINES; i++)
		apply(&tree, gateway[i]);
	return tree;
}

static void
assert_lines(const struct ctl_tree *tree, const char *const *want, size_t n)
{
	struct ctl_lines lines = {0};

	ctl_model_lines(model, tree, &lines);
	for (size_t i = 0; i < lines.n && i < n; i++)
		assert_string_equal(lines.line[i], want[i]);
	assert_int_equal(lines.n, n);
	ctl_lines_free(&lines);
}

static void
lines_round_trip_in_any_order(void **state)
{
	struct ctl_tree tree = {0};

	for (size_t i = 0; i < GATEWAY_LINES; i++)
		apply(&tree, gateway[(i * 7 + 5) % GATEWAY_LINES]);
	assert_lines(&tree, gateway, GATEWAY_LINES);
	ctl_tree_free(&tree);
}

static void
words_may_be_shortened_and_lines_combined(void **state)
{
	static const char *const want[] = {
		"set interfaces er0.100 parent er0",
		"set interfaces er0.100 vlan 100",
		"set interfaces er0.100 inner-vlan 7",
		"set interfaces er0.100 vlan-type dot1ad",
		"set routing static 0.0.0.0/0 next-hop 198.51.100.1",
		"set routing static 0.0.0.0/0 distance 5",
		"set routing bgp neighbor 172.16.0.2 timers keepalive 10",
		"set routing bgp neighbor 172.16.0.2 timers hold 30",
	};
	struct ctl_tree tree = {0};

	apply(&tree, "set int er0.100 par er0 vlan 100 inner 7 vlan-type dot1ad");
	apply(&tree, "  set rou st 0.0.0.0/0 next 198.51.100.1 dist 5  ");
	apply(&tree, "set routing bgp neigh 172.16.0.2 timers keep 10 hold 30");
	apply(&tree, "# a comment");
	apply(&tree, "");
	assert_lines(&tree, want, sizeof(want) / sizeof(want[0]));
	ctl_tree_free(&tree);
}

static void
user_order_is_kept_and_names_sort_by_number(void **state)
{
	static const char *const want[] = {
		"set tunnel t2 ike-proposal aes256gcm16-prfsha384-ecp384",
		"set tunnel t2 ike-proposal aes128gcm16-prfsha256-ecp256",
		"set tunnel t10",
		"set vnet v tunnel t10",
		"set vnet v tunnel t2",
	};
	struct ctl_tree tree = {0};

	apply(&tree, "set tunnel t10");
	apply(&tree, "set tunnel t2 ike-proposal aes256gcm16-prfsha384-ecp384");
	apply(&tree, "set tunnel t2 ike-proposal aes128gcm16-prfsha256-ecp256");
	apply(&tree, "set tunnel t2 ike-proposal aes256gcm16-prfsha384-ecp384");
	apply(&tree, "set vnet v tunnel t10");
	apply(&tree, "set vnet v tunnel t2");
	assert_lines(&tree, want, sizeof(want) / sizeof(want[0]));
	ctl_tree_free(&tree);
}

static void
quotes_and_backslashes_survive(void **state)
{
	struct ctl_tree tree = {0};
	const char *want[] = {"set vnet v description \"a \\\"b\\\" \\\\ # | c\""};

	apply(&tree, want[0]);
	assert_lines(&tree, want, 1);
	ctl_tree_free(&tree);
}

static const struct {
	const char *line, *says;
} bad_lines[] = {
	{"set", "unknown"},
	{"set foo", "\"foo\" is unknown: one of system, interfaces, routing, tunnel, vnet, class"},
	{"set interfaces lan0 de x",
	 "interfaces lan0: \"de\" is ambiguous: one of description, device"},
	{"set interfaces lan0 mtu", "interfaces lan0 mtu: the value is missing"},
	{"set interfaces lan0 mtu 90000",
	 "interfaces lan0 mtu: \"90000\" is not valid: give an MTU from 576 to 9000 bytes"},
	{"set interfaces lan0 mtu 1e3", "\"1e3\" is not valid"},
	{"set interfaces lan0 role wan", "give one of lan, expressroute, internet"},
	{"set interfaces lan0 address 10.1.0.1", "with its prefix length"},
	{"set interfaces lan0 address 10.1.0.256/24", "not valid"},
	{"set interfaces lan0 enabled yes", "give true or false"},
	{"set interfaces", "interfaces: the name is missing"},
	{"set interfaces ../x role lan", "not valid"},
	{"set interfaces a'b role lan", "not valid"},
	{"set interfaces abcdefghijklmnop role lan", "not valid"},
	{"set routing static 10.0.0.0/33 next-hop 1.2.3.4", "an IP prefix"},
	{"set routing bgp", "one of local-as"},
	{"set routing bgp local-as 0", "AS number"},
	{"set tunnel t ike-proposal aes256-md5-modp1024", "not valid"},
	{"set tunnel t esp-proposal aes256", "not valid"},
	{"set tunnel t profile azure", "one of azure-default"},
	{"set tunnel t description \"open", "a quote is not closed"},
	{"set tunnel t lifetime ike 0", "300 to 86400 seconds"},
	{"set tunnel t lifetime child 299", "300 to 86400 seconds"},
	{"set tunnel t lifetime child 9223372036854775808", "seconds"},
	{"set tunnel t lifetime kilobytes 1023", "1024 to 4398046511104 kilobytes"},
	{"set tunnel t lifetime kilobytes 9223372036854775808", "1024 to 4398046511104"},
	{"set tunnel t lifetime packets 4294967041", "1000 to 4294967040 packets"},
	{"set tunnel t lifetime packets -1", "packets"},
	{"set tunnel t mtu 1400 1500", "\"1500\" is unknown"},
	{"set vnet v hold-off -1", "0 to 10000 milliseconds"},
	{"delete tunnel nope", "tunnel nope: there is nothing to delete"},
	{"delete", "delete what"},
	{"delete vnet v prefix 10.0.0.0/8 more", "nothing may follow"},
	{"show ike", "a line starts with set or delete"},
	{"set tunnel t description \"a\001b\"", "control character"},
	{"set tunnel t description \"a\fb\"", "control character"},
	{"set tunnel t description \"a\nb\"", "control character"},
};

static void
bad_lines_are_refused_with_a_sentence_and_change_nothing(void **state)
{
	for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
		struct ctl_tree tree = gateway_tree();
		struct spw_err err = {0};

		if (ctl_model_edit(model, &tree, bad_lines[i].line, &err) == 0)
			fail_msg("taken: %s", bad_lines[i].line);
		if (strstr(err.text, bad_lines[i].says) == NULL || strchr(err.text, '\n'))
			fail_msg("%s: says %s", bad_lines[i].line, err.text);
		assert_lines(&tree, gateway, GATEWAY_LINES);
		ctl_tree_free(&tree);
	}
}

static void
delete_takes_a_value_a_list_or_a_branch(void **state)
{
	struct ctl_tree tree = gateway_tree();

	apply(&tree, "set vnet prod prefix 10.101.0.0/16");
	apply(&tree, "delete vnet prod prefix 10.101.0.0/16");
	assert_lines(&tree, gateway, GATEWAY_LINES);
	apply(&tree, "delete vnet");
	apply(&tree, "delete tunnel azure-a");
	apply(&tree, "delete routing bgp neighbor 172.16.0.2 bfd");
	apply(&tree, "delete system");
	apply(&tree, "delete interfaces");
	apply(&tree, "delete routing");
	assert_lines(&tree, NULL, 0);
	ctl_tree_free(&tree);
}

static void
tags_are_dot1q_unless_dot1ad_is_said(void **state)
{
	struct ctl_tree tree = gateway_tree();
	struct ctl_lines warnings = {0};
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	apply(&tree, "set interfaces er0.100 parent er0 vlan 100 inner-vlan 7 role expressroute");
	apply(&tree,
	      "set interfaces er0.200 parent er0 vlan 200 vlan-type dot1ad role expressroute");
	if (ctl_model_build(model, &tree, "/keys", &c, &warnings, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(c->n_interfaces, 5);
	assert_string_equal(c->interfaces[1].name, "er0.100");
	assert_int_equal(c->interfaces[1].vlan_tpid, 0);
	assert_string_equal(c->interfaces[2].name, "er0.200");
	assert_int_equal(c->interfaces[2].vlan_tpid, 0x88a8);
	ctl_lines_free(&warnings);
	ctl_config_free(c);
	ctl_tree_free(&tree);
}

static void
defaults_are_azures(void **state)
{
	struct ctl_tree tree = gateway_tree();
	struct ctl_lines warnings = {0};
	struct ctl_config *c = NULL;
	struct spw_err err = {0};
	const struct ctl_tunnel *t;

	if (ctl_model_build(model, &tree, "/keys", &c, &warnings, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(c->n_interfaces, 3);
	assert_string_equal(c->interfaces[0].name, "er0");
	assert_int_equal(c->interfaces[0].role, SPW_IF_ROLE_EXPRESSROUTE);
	assert_true(c->interfaces[0].enabled);
	assert_int_equal(c->interfaces[0].mtu, 1500);
	assert_string_equal(c->interfaces[1].description, "office LAN");
	t = &c->tunnels[0];
	assert_string_equal(t->psk_file, "/keys/azure-a.psk");
	assert_int_equal(t->child_lifetime_s, 27000);
	assert_int_equal(t->child_lifetime_bytes, UINT64_C(102400000) * 1024);
	assert_int_equal(t->ike_lifetime_s, 28800);
	assert_int_equal(t->dpd_timeout_s, 45);
	assert_int_equal(t->mtu, 1400);
	assert_int_equal(t->mss_clamp, 1350);
	assert_int_equal(t->outer_df, SPW_OUTER_DF_SET);
	assert_true(t->dscp_copy);
	assert_int_equal(t->replay_window, 4096);
	assert_int_equal(t->ike_fragment, 1280);
	assert_int_equal(t->esn, SPW_ESN_NO);
	assert_int_equal(t->n_ike, 1);
	assert_int_equal(t->ike[0].encr, SPW_ENCR_AES256_GCM);
	assert_int_equal(t->ike[0].prf, SPW_PRF_HMAC_SHA384);
	assert_int_equal(t->ike[0].group, SPW_GROUP_ECP384);
	assert_int_equal(t->esp[0].encr, SPW_ENCR_AES256_GCM);
	assert_int_equal(t->esp[0].group, SPW_GROUP_ECP384);
	assert_true(c->bgp.neighbor[0].bfd);
	assert_int_equal(c->bgp.neighbor[0].bfd_transmit_ms, 300);
	assert_int_equal(c->bgp.neighbor[0].hold_s, 180);
	assert_int_equal(c->vnets[0].wait_to_restore_s, 5);
	assert_string_equal(c->vnets[0].tunnel[0].name, "azure-a");
	assert_int_equal(warnings.n, 0);
	ctl_lines_free(&warnings);
	ctl_config_free(c);
	ctl_tree_free(&tree);
}

static void
keys_of_a_tunnel_are_files_below_the_keys_directory(void **state)
{
	struct ctl_tree tree = gateway_tree();
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	apply(&tree, "set tunnel azure-a next-pre-shared-key-file /etc/next.psk");
	apply(&tree, "set tunnel azure-a ppk-id azure-q ppk-file azure-a.ppk");
	apply(&tree, "set tunnel azure-a ppk-required true");
	if (ctl_model_build(model, &tree, "/keys", &c, NULL, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(c->tunnels[0].psk_file, "/keys/azure-a.psk");
	assert_string_equal(c->tunnels[0].next_psk_file, "/etc/next.psk");
	assert_string_equal(c->tunnels[0].ppk_file, "/keys/azure-a.ppk");
	assert_string_equal(c->tunnels[0].ppk_id, "azure-q");
	assert_true(c->tunnels[0].ppk_required);
	ctl_config_free(c);
	ctl_tree_free(&tree);
}

/* What a change to the gateway makes the build say. */
static const struct {
	const char *line, *says;
} bad_configs[] = {
	{"delete interfaces lan0 role",
	 "interfaces lan0: role is missing: set interfaces lan0 role"},
	{"delete interfaces lan0 device", "interfaces lan0: needs a device"},
	{"set interfaces lan0 parent wan0 vlan 5", "both a device and a parent"},
	{"set interfaces x role lan parent wan0", "has a parent but no vlan"},
	{"set interfaces lan0 vlan-type dot1ad", "needs a vlan"},
	{"set interfaces x role lan parent nope vlan 4", "there is no \"nope\""},
	{"set interfaces x role lan device net_af_packet0,iface=p-lan",
	 "already used by interface"},
	{"set interfaces wan0 address 10.1.0.1/24", "has this address, too"},
	{"delete routing static 0.0.0.0/0 next-hop", "next-hop is missing"},
	{"set routing static 10.9.1.0/16 next-hop 198.51.100.1", "write 10.9.0.0/16"},
	{"delete routing bgp local-as", "local-as is missing"},
	{"set routing bgp neighbor 172.16.0.2 remote-as 65010", "remote-as equals local-as"},
	{"set routing bgp neighbor 172.16.0.2 timers hold 30", "three times keepalive"},
	{"delete tunnel azure-a remote-address", "tunnel azure-a: remote-address is missing"},
	{"delete tunnel azure-a pre-shared-key-file", "pre-shared-key-file is missing"},
	{"set tunnel azure-a local-address 198.51.100.9", "no interface has this address"},
	{"set tunnel azure-a remote-address 10.100.3.3",
	 "lies inside prefix 10.100.0.0/16 of vnet prod"},
	{"set tunnel azure-a remote-address 198.51.100.2", "are the same"},
	{"set tunnel azure-a ike-proposal aes256gcm16-prfsha384-ecp384", "no esp-proposal"},
	{"set tunnel azure-a next-pre-shared-key-file azure-a.psk", "names the same file"},
	{"set tunnel azure-a ppk-id q", "has a ppk-id but no ppk-file"},
	{"set tunnel azure-a ppk-file q", "has a ppk-file but no ppk-id"},
	{"set tunnel azure-a ppk-required true", "ppk-required without a PPK"},
	{"set tunnel azure-a dpd delay 45", "dpd timeout must be longer"},
	{"set tunnel azure-a mtu 1380", "mss-clamp must be at least 40 bytes below"},
	{"set tunnel b local-address 198.51.100.2 remote-address 203.0.113.2 pre-shared-key-file x",
	 "the same local-address and remote-address as tunnel"},
	{"set vnet dev prefix 10.100.4.0/24", "overlaps"},
	{"set vnet prod prefix 10.100.4.0/24", "overlaps"},
	{"set vnet prod prefix 10.101.4.0/16", "write 10.101.0.0/16"},
	{"set vnet prod tunnel azure-z", "vnet prod tunnel azure-z: there is no \"azure-z\""},
	{"delete vnet prod prefix", "has no prefix"},
	{"delete tunnel azure-a", "there is no \"azure-a\""},
};

static void
bad_configurations_are_refused_with_path_and_remedy(void **state)
{
	for (size_t i = 0; i < sizeof(bad_configs) / sizeof(bad_configs[0]); i++) {
		struct ctl_tree tree = gateway_tree();
		struct ctl_config *c = NULL;
		struct spw_err err = {0};

		apply(&tree, bad_configs[i].line);
		if (ctl_model_build(model, &tree, "/keys", &c, NULL, &err) == 0)
			fail_msg("taken: %s", bad_configs[i].line);
		if (strstr(err.text, bad_configs[i].says) == NULL || strchr(err.text, '\n'))
			fail_msg("%s: says %s", bad_configs[i].line, err.text);
		assert_null(c);
		ctl_tree_free(&tree);
	}
}

static int
build_with(const char *const *lines, struct ctl_config **c, struct ctl_lines *warnings,
	   struct spw_err *err)
{
	struct ctl_tree tree = gateway_tree();
	int rc;

	for (; *lines; lines++)
		apply(&tree, *lines);
	rc = ctl_model_build(model, &tree, "/keys", c, warnings, err);
	ctl_tree_free(&tree);
	return rc;
}

static void
esp_40_outer_df_is_set_copied_or_cleared_as_configured(void **state)
{
	static const char *const words[] = {[SPW_OUTER_DF_SET] = "set",
					    [SPW_OUTER_DF_COPY] = "copy",
					    [SPW_OUTER_DF_CLEAR] = "clear"};

	for (uint8_t df = SPW_OUTER_DF_SET; df <= SPW_OUTER_DF_CLEAR; df++) {
		const char *lines[2] = {NULL};
		struct ctl_lines warnings = {0};
		struct ctl_config *c = NULL;
		struct spw_err err = {0};
		char line[64];

		snprintf(line, sizeof(line), "set tunnel azure-a outer-df %s", words[df]);
		lines[0] = line;
		assert_int_equal(build_with(lines, &c, &warnings, &err), 0);
		assert_int_equal(c->tunnels[0].outer_df, df);
		ctl_lines_free(&warnings);
		ctl_config_free(c);
	}
}

static void
legacy_algorithms_need_a_profile_or_permission_and_are_warned_about(void **state)
{
	const char *bare[] = {"set tunnel azure-a ike-proposal aes256-sha1-modp1024",
			      "set tunnel azure-a esp-proposal aes256gcm16", NULL};
	const char *allowed[] = {bare[0], bare[1], "set tunnel azure-a allow-legacy true", NULL};
	const char *profile[] = {"set tunnel azure-a profile azure-default", NULL};
	struct ctl_lines warnings = {0};
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	assert_int_not_equal(build_with(bare, &c, &warnings, &err), 0);
	assert_non_null(strstr(err.text, "set tunnel azure-a allow-legacy true"));
	assert_int_equal(build_with(allowed, &c, &warnings, &err), 0);
	assert_int_equal(warnings.n, 1);
	assert_non_null(strstr(warnings.line[0], "legacy"));
	ctl_config_free(c);
	assert_int_equal(build_with(profile, &c, &warnings, &err), 0);
	assert_int_equal(warnings.n, 2);
	assert_int_equal(c->tunnels[0].n_ike, 4);
	assert_int_equal(c->tunnels[0].ike[0].integ, SPW_INTEG_HMAC_SHA1_96);
	assert_int_equal(c->tunnels[0].esp[0].group, SPW_GROUP_NONE);
	ctl_config_free(c);
	ctl_lines_free(&warnings);
}

static void
alg_06_ike_that_is_weaker_than_esp_is_warned_about(void **state)
{
	static const struct {
		const char *ike, *esp;
		unsigned int warnings;
	} t[] = {
		{"aes256gcm16-prfsha384-ecp384", "aes256gcm16", 0},
		{"aes256gcm16-prfsha384-ecp384", "aes128gcm16", 0},
		{"aes128gcm16-prfsha256-ecp256", "aes128gcm16", 0},
		{"aes128gcm16-prfsha256-ecp256", "aes256gcm16", 1},
		{"aes128-sha256-ecp256", "chacha20poly1305", 1},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char ike[100], esp[100];
		const char *lines[] = {ike, esp, NULL};
		struct ctl_lines warnings = {0};
		struct ctl_config *c = NULL;
		struct spw_err err = {0};

		snprintf(ike, sizeof(ike), "set tunnel azure-a ike-proposal %s", t[i].ike);
		snprintf(esp, sizeof(esp), "set tunnel azure-a esp-proposal %s", t[i].esp);
		assert_int_equal(build_with(lines, &c, &warnings, &err), 0);
		assert_int_equal(warnings.n, t[i].warnings);
		if (warnings.n)
			assert_non_null(strstr(warnings.line[0],
					       "IKE may agree on a key of 128 bits, ESP on one of 256"));
		ctl_config_free(c);
		ctl_lines_free(&warnings);
	}
}

static void
profile_and_proposals_exclude_each_other(void **state)
{
	const char *both[] = {"set tunnel azure-a profile azure-default",
			      "set tunnel azure-a ike-proposal aes256gcm16-prfsha384-ecp384",
			      "set tunnel azure-a esp-proposal aes256gcm16", NULL};
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	assert_int_not_equal(build_with(both, &c, NULL, &err), 0);
	assert_non_null(strstr(err.text, "delete one of them"));
}

static void
doubtful_settings_are_warned_about(void **state)
{
	const char *lines[] = {"set routing bgp local-as 65515",
			       "set routing static 10.200.0.0/16 next-hop 192.0.2.77",
			       "set tunnel azure-a replay-window 0",
			       "set vnet x prefix 10.77.0.0/16", NULL};
	struct ctl_lines warnings = {0};
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	assert_int_equal(build_with(lines, &c, &warnings, &err), 0);
	assert_int_equal(warnings.n, 4);
	ctl_config_free(c);
	ctl_lines_free(&warnings);
}

static void
enum_names(const char *path, struct ctl_lines *out)
{
	const struct lysc_node *leaf = lys_find_path(model->ctx, NULL, path, 0);
	const struct lysc_type_enum *type = (const void *)model_leaf_type(leaf, false);
	LY_ARRAY_COUNT_TYPE i;

	LY_ARRAY_FOR(type->enums, i)
	{
		ctl_lines_add(out, "%s", type->enums[i].name);
	}
}

static bool
lines_have(const struct ctl_lines *lines, const char *text)
{
	for (size_t i = 0; i < lines->n; i++)
		if (strcmp(lines->line[i], text) == 0)
			return true;
	return false;
}

/* Every proposal that can be written with the names of lib/algo.def. */
static void
all_ike_proposals(struct ctl_lines *out)
{
	for (unsigned int e = 1; e < SPW_ENCR_COUNT; e++)
		for (unsigned int g = 1; g < SPW_GROUP_COUNT; g++) {
			bool aead = spw_encr_info(e)->icv_len > 0;
			unsigned int n = aead ? SPW_PRF_COUNT : SPW_INTEG_COUNT;

			if ((spw_encr_info(e)->uses & SPW_USE_IKE) == 0)
				continue;
			for (unsigned int h = 1; h < n; h++)
				ctl_lines_add(out, "%s-%s-%s", spw_encr_info(e)->conf_name,
					      aead ? spw_prf_info(h)->conf_name
						   : spw_integ_info(h)->conf_name,
					      spw_group_info(g)->conf_name);
		}
}

static void
all_esp_proposals(struct ctl_lines *out)
{
	for (unsigned int e = 1; e < SPW_ENCR_COUNT; e++)
		for (unsigned int i = 0; i < SPW_INTEG_COUNT; i++)
			for (unsigned int g = 0; g < SPW_GROUP_COUNT; g++) {
				bool aead = spw_encr_info(e)->icv_len > 0;

				if ((spw_encr_info(e)->uses & SPW_USE_ESP) == 0 ||
				    aead != (i == SPW_INTEG_NONE) ||
				    (!aead && (spw_integ_info(i)->uses & SPW_USE_ESP) == 0))
					continue;
				ctl_lines_add(out, "%s%s%s%s%s", spw_encr_info(e)->conf_name,
					      aead ? "" : "-",
					      aead ? "" : spw_integ_info(i)->conf_name,
					      g ? "-" : "", g ? spw_group_info(g)->conf_name : "");
			}
}

static void
model_and_algorithm_table_agree(void **state)
{
	struct ctl_lines have = {0}, want = {0};
	struct spw_ike_proposal p;

	enum_names("/spillway:tunnel/ike-proposal", &have);
	all_ike_proposals(&want);
	assert_int_equal(have.n, want.n);
	for (size_t i = 0; i < want.n; i++) {
		assert_true(lines_have(&have, want.line[i]));
		assert_int_equal(ctl_proposal_parse_ike(&p, have.line[i]), 0);
	}
	ctl_lines_free(&have);
	ctl_lines_free(&want);
	enum_names("/spillway:tunnel/esp-proposal", &have);
	all_esp_proposals(&want);
	assert_int_equal(have.n, want.n);
	for (size_t i = 0; i < want.n; i++) {
		assert_true(lines_have(&have, want.line[i]));
		assert_int_equal(ctl_proposal_parse_esp(&p, have.line[i]), 0);
	}
	ctl_lines_free(&have);
	ctl_lines_free(&want);
}

/* With a combined-mode cipher no integrity is named, with another one that is for ESP must be. */
static void
esp_proposals_name_integrity_when_they_need_it(void **state)
{
	static const char *const refused[] = {"aes256",
					      "aes256-ecp384",
					      "aes256-sha384",
					      "aes256-sha256-sha256",
					      "aes256gcm16-sha256",
					      "chacha20poly1305-prfsha256",
					      "aes256-sha256-group",
					      "aes256-sha256-ecp384-ecp384",
					      "",
					      "-"};
	struct spw_ike_proposal p;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(ctl_proposal_parse_esp(&p, refused[i]), -EINVAL);
	assert_int_equal(ctl_proposal_parse_esp(&p, "aes128-sha1-ecp256"), 0);
	assert_int_equal(p.encr, SPW_ENCR_AES128_CBC);
	assert_int_equal(p.integ, SPW_INTEG_HMAC_SHA1_96);
	assert_int_equal(p.prf, SPW_PRF_NONE);
	assert_int_equal(p.group, SPW_GROUP_ECP256);
	assert_true(ctl_proposal_is_legacy(&p));
	assert_int_equal(ctl_proposal_parse_esp(&p, "aes256-sha256"), 0);
	assert_int_equal(p.group, SPW_GROUP_NONE);
	assert_false(ctl_proposal_is_legacy(&p));
	assert_int_equal(ctl_proposal_parse_esp(&p, "chacha20poly1305-modp2048"), 0);
	assert_int_equal(p.encr, SPW_ENCR_CHACHA20_POLY1305);
	assert_int_equal(p.integ, SPW_INTEG_NONE);
}

static void
every_profile_of_the_model_is_known(void **state)
{
	struct ctl_lines names = {0};

	enum_names("/spillway:tunnel/profile", &names);
	assert_true(names.n >= 9);
	for (size_t i = 0; i < names.n; i++) {
		struct ctl_tunnel t = {0};

		assert_int_equal(ctl_profile_apply(&t, names.line[i]), 0);
		assert_true(t.n_ike > 0 && t.n_esp > 0);
	}
	ctl_lines_free(&names);
}

static void
identities_take_their_type_from_the_text(void **state)
{
	struct spw_ike_id id;

	ctl_identity_parse(&id, "203.0.113.9");
	assert_int_equal(id.type, SPW_ID_IPV4);
	assert_int_equal(id.len, 4);
	ctl_identity_parse(&id, "gw.example.com");
	assert_int_equal(id.type, SPW_ID_FQDN);
	assert_int_equal(id.len, 14);
	ctl_identity_parse(&id, "gw@example.com");
	assert_int_equal(id.type, SPW_ID_RFC822);
	ctl_identity_parse(&id, "keyid:ab");
	assert_int_equal(id.type, SPW_ID_KEY_ID);
	assert_memory_equal(id.data, "ab", 2);
}

static void
assert_diff(const struct ctl_tree *a, const struct ctl_tree *b, const char *const *want, size_t n)
{
	struct ctl_lines from = {0}, to = {0}, diff = {0};

	ctl_model_lines(model, a, &from);
	ctl_model_lines(model, b, &to);
	ctl_lines_diff(&from, &to, &diff);
	for (size_t i = 0; i < n && i < diff.n; i++)
		assert_string_equal(diff.line[i], want[i]);
	assert_int_equal(diff.n, n);
	ctl_lines_free(&from);
	ctl_lines_free(&to);
	ctl_lines_free(&diff);
}

static void
difference_is_a_list_of_delete_and_set(void **state)
{
	static const char *const want[] = {
		"- delete interfaces lan0 description \"office LAN\"",
		"+ set interfaces lan0 mtu 1400",
		"- delete vnet prod wait-to-restore 5",
		"+ set vnet prod wait-to-restore 9",
	};
	struct ctl_tree a = gateway_tree(), b = gateway_tree();

	assert_diff(&a, &b, NULL, 0);
	apply(&b, "delete interfaces lan0 description");
	apply(&b, "set interfaces lan0 mtu 1400");
	apply(&b, "set vnet prod wait-to-restore 9");
	assert_diff(&a, &b, want, 4);
	ctl_tree_free(&a);
	ctl_tree_free(&b);
}

static void
difference_shows_a_change_of_order(void **state)
{
	static const char *const want[] = {
		"- delete vnet v tunnel a",
		"- delete vnet v tunnel b",
		"+ set vnet v tunnel b",
		"+ set vnet v tunnel a",
	};
	struct ctl_tree a = {0}, b = {0};

	apply(&a, "set vnet v tunnel a");
	apply(&a, "set vnet v tunnel b");
	apply(&b, "set vnet v tunnel b");
	apply(&b, "set vnet v tunnel a");
	assert_diff(&a, &b, want, 4);
	ctl_tree_free(&a);
	ctl_tree_free(&b);
}

static const struct {
	const char *text, *want;
} completions[] = {
	{"set ", "system interfaces routing tunnel vnet class"},
	{"set i", "interfaces"},
	{"set interfaces ", "er0 lan0 wan0 <name>"},
	{"delete interfaces ", "er0 lan0 wan0"},
	{"set interfaces lan0 ro", "role"},
	{"set interfaces lan0 role ", "lan expressroute internet"},
	{"set interfaces lan0 mtu ", "<mtu>"},
	{"set interfaces lan0 enabled ", "true false"},
	{"set interfaces x parent w", "wan0"},
	{"set vnet prod tunnel ", "azure-a"},
	{"delete vnet prod tunnel ", "azure-a"},
	{"delete vnet dev tunnel ", ""},
	{"set vnet prod tunnel azure-a ", "weight"},
	{"set vnet prod pe", "peering"},
	{"set vnet prod peering ", "private microsoft"},
	{"set vnet prod probe ", "<target>"},
	{"set vnet prod probe 10.0.0.1 k", "kind"},
	{"set vnet prod probe 2001:DB8::1 over ", "both circuit tunnel"},
	{"set routing bgp neighbor ", "172.16.0.2 <address>"},
	{"set class c d", "dscp"},
	{"set tunnel azure-a azure-sku vpngw3", "vpngw3az-gen1 vpngw3az-gen2"},
	{"delete vnet prod prefix ", "10.100.0.0/16"},
	{"delete interfaces lan0 mtu ", ""},
	{"set tunnel azure-a lifetime ", "ike child kilobytes packets jitter"},
	{"set tunnel azure-a esp-proposal aes192",
	 "aes192gcm16 aes192gcm16-ecp384 aes192gcm16-ecp256 "
	 "aes192gcm16-ecp521 aes192gcm16-x25519 "
	 "aes192gcm16-modp2048 aes192gcm16-modp2048s256 "
	 "aes192gcm16-modp1024"},
	{"set rou bgp neighbor 172.16.0.2 bfd t", "transmit"},
	{"set routing static 0.0.0.0/0 next-hop 1.2.3.4 d", "distance"},
	{"set nonsense ", ""},
	{"", ""},
	{"set \"open", ""},
};

static void
completion_offers_what_fits(void **state)
{
	struct ctl_tree tree = gateway_tree();

	for (size_t i = 0; i < sizeof(completions) / sizeof(completions[0]); i++) {
		json_t *list = ctl_model_complete(model, &tree, completions[i].text), *item;
		char text[512] = "";
		size_t k;

		json_array_foreach(list, k, item)
		{
			strcat(text, k ? " " : "");
			strcat(text, json_string_value(json_object_get(item, "word")));
		}
		assert_string_equal(text, completions[i].want);
		json_decref(list);
	}
	ctl_tree_free(&tree);
}

static void
every_word_has_help(void **state)
{
	static const char *const places[] = {"set ",
					     "set interfaces x ",
					     "set tunnel x ",
					     "set tunnel x dpd ",
					     "set vnet x ",
					     "set routing bgp ",
					     "set class x ",
					     "set vnet x probe ::1 ",
					     "set vnet x tunnel y ",
					     "set routing bgp neighbor ::1 ",
					     "set routing bgp neighbor ::1 prefix-limit "};
	struct ctl_tree tree = {0};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		json_t *list = ctl_model_complete(model, &tree, places[i]), *item;
		size_t k;

		assert_true(json_array_size(list) > 0);
		json_array_foreach(list, k, item)
			assert_true(json_string_length(json_object_get(item, "help")) > 3);
		json_decref(list);
	}
}

static void
random_bytes_never_crash_the_line_parser(void **state)
{
	struct ctl_tree tree = gateway_tree();
	char line[64];

	srand(7);
	for (int round = 0; round < 20000; round++) {
		const char *base = gateway[(size_t)rand() % GATEWAY_LINES];
		size_t len = strlen(base);

		snprintf(line, sizeof(line), "%s", base);
		for (int k = 0; k < 3; k++)
			line[(size_t)rand() % (len < 63 ? len : 63)] = (char)(rand() % 255 + 1);
		ctl_model_edit(model, &tree, line, NULL);
		json_decref(ctl_model_complete(model, &tree, line));
	}
	ctl_tree_free(&tree);
}

static int
setup(void **state)
{
	struct spw_err err = {0};

	if (ctl_model_new(&model, NULL, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

static int
teardown(void **state)
{
	ctl_model_free(model);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_round_trip_in_any_order),
		cmocka_unit_test(words_may_be_shortened_and_lines_combined),
		cmocka_unit_test(user_order_is_kept_and_names_sort_by_number),
		cmocka_unit_test(quotes_and_backslashes_survive),
		cmocka_unit_test(bad_lines_are_refused_with_a_sentence_and_change_nothing),
		cmocka_unit_test(delete_takes_a_value_a_list_or_a_branch),
		cmocka_unit_test(tags_are_dot1q_unless_dot1ad_is_said),
		cmocka_unit_test(defaults_are_azures),
		cmocka_unit_test(esp_40_outer_df_is_set_copied_or_cleared_as_configured),
		cmocka_unit_test(keys_of_a_tunnel_are_files_below_the_keys_directory),
		cmocka_unit_test(bad_configurations_are_refused_with_path_and_remedy),
		cmocka_unit_test(
			legacy_algorithms_need_a_profile_or_permission_and_are_warned_about),
		cmocka_unit_test(alg_06_ike_that_is_weaker_than_esp_is_warned_about),
		cmocka_unit_test(profile_and_proposals_exclude_each_other),
		cmocka_unit_test(doubtful_settings_are_warned_about),
		cmocka_unit_test(model_and_algorithm_table_agree),
		cmocka_unit_test(esp_proposals_name_integrity_when_they_need_it),
		cmocka_unit_test(every_profile_of_the_model_is_known),
		cmocka_unit_test(identities_take_their_type_from_the_text),
		cmocka_unit_test(difference_is_a_list_of_delete_and_set),
		cmocka_unit_test(difference_shows_a_change_of_order),
		cmocka_unit_test(completion_offers_what_fits),
		cmocka_unit_test(every_word_has_help),
		cmocka_unit_test(random_bytes_never_crash_the_line_parser),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
