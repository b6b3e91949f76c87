/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a tree to the typed configuration: defaults, what a gateway that does not fit together makes
 * the build say, what it warns about.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/control/model_bed.h"

static void
tags_are_dot1q_unless_dot1ad_is_said(void **state)
{
	struct ctl_tree tree = bed_gateway();
	struct ctl_lines warnings = {0};
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	bed_apply(&tree,
		  "set interfaces er0.100 parent er0 vlan 100 inner-vlan 7 role expressroute");
	bed_apply(&tree,
		  "set interfaces er0.200 parent er0 vlan 200 vlan-type dot1ad role expressroute");
	if (ctl_model_build(bed_model, &tree, "/keys", &c, &warnings, &err) < 0)
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
	struct ctl_tree tree = bed_gateway();
	struct ctl_lines warnings = {0};
	struct ctl_config *c = NULL;
	struct spw_err err = {0};
	const struct ctl_tunnel *t;

	if (ctl_model_build(bed_model, &tree, "/keys", &c, &warnings, &err) < 0)
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
	assert_int_equal(t->jitter_percent, 10);
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
	struct ctl_tree tree = bed_gateway();
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	bed_apply(&tree, "set tunnel azure-a next-pre-shared-key-file /etc/next.psk");
	bed_apply(&tree, "set tunnel azure-a ppk-id azure-q ppk-file azure-a.ppk");
	bed_apply(&tree, "set tunnel azure-a ppk-required true");
	if (ctl_model_build(bed_model, &tree, "/keys", &c, NULL, &err) < 0)
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
		struct ctl_tree tree = bed_gateway();
		struct ctl_config *c = NULL;
		struct spw_err err = {0};

		bed_apply(&tree, bad_configs[i].line);
		if (ctl_model_build(bed_model, &tree, "/keys", &c, NULL, &err) == 0)
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
	struct ctl_tree tree = bed_gateway();
	int rc;

	for (; *lines; lines++)
		bed_apply(&tree, *lines);
	rc = ctl_model_build(bed_model, &tree, "/keys", c, warnings, err);
	ctl_tree_free(&tree);
	return rc;
}

/* Each needs sockets of its own; one without them would stay down without a word. */
static void
tunnels_start_from_as_many_addresses_as_ike_has_sockets_for(void **state)
{
	struct ctl_tree tree = bed_gateway();
	struct spw_err err = {0};
	char line[160];

	for (int n = 0; n < CTL_TUNNEL_LOCALS; n++) {
		struct ctl_config *c = NULL;
		int rc, i = n / 8;

		if (n % 8 == 0) {
			snprintf(line, sizeof(line),
				 "set interfaces w%d role internet parent wan0 vlan %d", i, i + 10);
			bed_apply(&tree, line);
		}
		snprintf(line, sizeof(line), "set interfaces w%d address 198.18.%d.%d/28", i, i,
			 1 + n % 8);
		bed_apply(&tree, line);
		snprintf(line, sizeof(line),
			 "set tunnel m%d local-address 198.18.%d.%d remote-address 203.0.113.77 "
			 "pre-shared-key-file x",
			 n, i, 1 + n % 8);
		bed_apply(&tree, line);
		if (n < CTL_TUNNEL_LOCALS - 2)
			continue;
		/* with that of the gateway's own tunnels */
		rc = ctl_model_build(bed_model, &tree, "/keys", &c, NULL, &err);
		assert_int_equal(rc, n + 1 < CTL_TUNNEL_LOCALS ? 0 : -EINVAL);
		if (rc == 0)
			ctl_config_free(c);
	}
	assert_non_null(strstr(err.text, "let some share one"));
	ctl_tree_free(&tree);
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
			assert_non_null(
				strstr(warnings.line[0],
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_are_dot1q_unless_dot1ad_is_said),
		cmocka_unit_test(defaults_are_azures),
		cmocka_unit_test(tunnels_start_from_as_many_addresses_as_ike_has_sockets_for),
		cmocka_unit_test(esp_40_outer_df_is_set_copied_or_cleared_as_configured),
		cmocka_unit_test(keys_of_a_tunnel_are_files_below_the_keys_directory),
		cmocka_unit_test(bad_configurations_are_refused_with_path_and_remedy),
		cmocka_unit_test(
			legacy_algorithms_need_a_profile_or_permission_and_are_warned_about),
		cmocka_unit_test(alg_06_ike_that_is_weaker_than_esp_is_warned_about),
		cmocka_unit_test(profile_and_proposals_exclude_each_other),
		cmocka_unit_test(doubtful_settings_are_warned_about),
	};

	return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
