/* SPDX-License-Identifier: BSD-3-Clause */
/* What iked is told of a configured tunnel, and small rules of devices. */
#include "control/iked.h"
#include "control/pfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct spw_prefix
prefix(const char *text)
{
	struct spw_prefix p;

	assert_int_equal(spw_prefix_parse(&p, text, NULL), 0);
	return p;
}

static struct ctl_tunnel
tunnel(void)
{
	return (struct ctl_tunnel){.name = "azure-a",
				   .local = prefix("198.51.100.2").addr,
				   .remote = prefix("203.0.113.2").addr,
				   .ike_lifetime_s = 28800,
				   .child_lifetime_s = 27000,
				   .child_lifetime_bytes = UINT64_MAX - 7};
}

static void
an_identity_that_is_not_configured_is_the_address(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_conn m;

	ctl_iked_conn_message(&t, 3, 9, false, &m);
	assert_int_equal(m.tunnel, 3);
	assert_int_equal(m.generation, 9);
	assert_int_equal(m.local_id.type, SPW_ID_IPV4);
	assert_int_equal(m.local_id.len, 4);
	assert_memory_equal(m.local_id.data, t.local.bytes, 4);
	assert_memory_equal(m.remote_id.data, t.remote.bytes, 4);
	t.remote_id = (struct spw_ike_id){.type = SPW_ID_FQDN, .len = 5, .data = "azure"};
	ctl_iked_conn_message(&t, 3, 9, false, &m);
	assert_int_equal(m.remote_id.type, SPW_ID_FQDN);
	assert_int_equal(m.psk_len, 0);
}

static void
outer_addresses_of_ipv6_are_identities_of_ipv6(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_conn m;

	t.local = prefix("2001:db8:77::2").addr;
	t.remote = prefix("2001:db8:203::2").addr;
	ctl_iked_conn_message(&t, 3, 9, false, &m);
	assert_int_equal(m.local.family, AF_INET6);
	assert_int_equal(m.local_id.type, SPW_ID_IPV6);
	assert_int_equal(m.local_id.len, 16);
	assert_memory_equal(m.remote_id.data, t.remote.bytes, 16);
	/* what they carry is another matter */
	assert_int_equal(m.n_local, 1);
	assert_int_equal(m.sel_local[0].low.family, AF_INET);
}

static void
a_tunnel_is_checked_unless_it_is_switched_off(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_conn m;

	ctl_iked_conn_message(&t, 3, 9, false, &m);
	assert_int_equal(m.pfs_check_s, 0);
	t.pfs_check = true;
	ctl_iked_conn_message(&t, 3, 9, false, &m);
	assert_int_equal(m.pfs_check_s, CTL_PFS_CHECK_S);
}

static void
what_the_check_found_is_said_with_azures_own_setting(void **state)
{
	static const struct {
		enum spw_ike_check check;
		uint8_t group;
		uint16_t notify, wanted;
		const char *outcome, *word, *cause, *mend;
	} table[] = {
		{SPW_IKE_CHECK_NOT_YET, SPW_GROUP_ECP384, 0, 0, "not-yet", "unproven", NULL, NULL},
		{SPW_IKE_CHECK_OK, SPW_GROUP_ECP384, 0, 0, "ok", "proven", NULL, NULL},
		{SPW_IKE_CHECK_OK, SPW_GROUP_NONE, 0, 0, "ok", "none", NULL, NULL},
		{SPW_IKE_CHECK_REFUSED, SPW_GROUP_ECP384, 14, 0, "refused", "failed",
		 "NO_PROPOSAL_CHOSEN",
		 "pfsGroup of the Azure connection's ipsecPolicies to ECP384"},
		{SPW_IKE_CHECK_REFUSED, SPW_GROUP_MODP2048, 17, 20, "refused", "failed",
		 "INVALID_KE_PAYLOAD", "to PFS2048 (it asks for group 20)"},
		{SPW_IKE_CHECK_REFUSED, SPW_GROUP_NONE, 14, 0, "refused", "failed",
		 "NO_PROPOSAL_CHOSEN", "ipsecPolicies to None"},
		{SPW_IKE_CHECK_REFUSED, SPW_GROUP_ECP256, 38, 0, "refused", "failed",
		 "TS_UNACCEPTABLE", "compare selectors"},
		{SPW_IKE_CHECK_REFUSED, SPW_GROUP_ECP256, 0, 0, "refused", "failed", "not offered",
		 "to ECP256"},
		{SPW_IKE_CHECK_NO_ANSWER, SPW_GROUP_ECP256, 0, 0, "no-answer", "failed",
		 "not answered", "to ECP256"},
	};
	char cause[CTL_TEXT], mend[2 * CTL_TEXT];

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct spw_ike_status s = {.check = table[i].check,
					   .check_notify = table[i].notify,
					   .check_wanted = table[i].wanted,
					   .esp = {.encr = SPW_ENCR_AES256_GCM}};
		struct ctl_tunnel t = tunnel();

		t.pfs_check = true;
		t.n_esp = 1;
		t.esp[0].group = table[i].group;
		assert_string_equal(ctl_pfs_outcome(&t, &s), table[i].outcome);
		assert_string_equal(ctl_pfs_word(&t, &s), table[i].word);
		assert_int_equal(ctl_pfs_cause(&s, cause, sizeof(cause)), table[i].cause != NULL);
		if (!table[i].cause)
			continue;
		ctl_pfs_mend(&t, &s, mend, sizeof(mend));
		assert_non_null(strstr(cause, table[i].cause));
		assert_non_null(strstr(mend, table[i].mend));
	}
	assert_string_equal(ctl_pfs_word(NULL, NULL), "unknown");
}

static void
a_tunnel_that_is_not_checked_says_so(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_status s = {0};

	assert_string_equal(ctl_pfs_outcome(&t, &s), "off");
	s.check = SPW_IKE_CHECK_OK; /* a rekey of its own time tells as much */
	assert_string_equal(ctl_pfs_outcome(&t, &s), "ok");
}

static void
the_soft_limit_is_at_ninety_percent_without_overflow(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_conn m;

	ctl_iked_conn_message(&t, 0, 1, false, &m);
	assert_int_equal(m.child_seconds.hard, 27000);
	assert_int_equal(m.child_seconds.soft, 24300);
	assert_true(m.child_bytes.soft < m.child_bytes.hard);
	assert_true(m.child_bytes.soft > m.child_bytes.hard / 100 * 89);
	assert_int_equal(m.child_packets.hard, 0);
	assert_int_equal(m.child_packets.soft, 0);
}

static void
no_selectors_mean_any_to_any(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_conn m;

	ctl_iked_conn_message(&t, 0, 1, false, &m);
	assert_int_equal(m.n_local, 1);
	assert_int_equal(spw_addr_get_v4(&m.sel_local[0].low), 0);
	assert_int_equal(spw_addr_get_v4(&m.sel_local[0].high), 0xffffffff);
	assert_int_equal(m.sel_local[0].port_high, 65535);
	assert_int_equal(m.n_remote, 1);
}

static void
a_prefix_becomes_its_range(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_conn m;

	t.n_remote_selectors = 2;
	t.remote_selector[0] = prefix("10.100.16.9/20");
	t.remote_selector[1] = prefix("10.9.9.9/32");
	ctl_iked_conn_message(&t, 0, 1, false, &m);
	assert_int_equal(m.n_remote, 2);
	assert_int_equal(spw_addr_get_v4(&m.sel_remote[0].low), 0x0a641000);
	assert_int_equal(spw_addr_get_v4(&m.sel_remote[0].high), 0x0a641fff);
	assert_int_equal(spw_addr_get_v4(&m.sel_remote[1].low), 0x0a090909);
	assert_int_equal(spw_addr_get_v4(&m.sel_remote[1].high), 0x0a090909);
}

static void
a_tunnel_of_a_vnet_with_ipv6_takes_any_of_both_families(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct ctl_vnet v = {.n_prefixes = 1,
			     .prefix = {prefix("10.100.0.0/16")},
			     .n_tunnels = 1,
			     .tunnel = {{.name = "azure-a"}}};
	struct ctl_config c = {.n_vnets = 1, .vnets = &v};
	struct spw_ike_conn m;

	assert_false(ctl_iked_carries_ipv6(&c, &t));
	v.prefix[v.n_prefixes++] = prefix("fd00:100::/48");
	assert_true(ctl_iked_carries_ipv6(&c, &t));
	ctl_iked_conn_message(&t, 0, 1, true, &m);
	assert_int_equal(m.n_local, 2);
	assert_int_equal(m.n_remote, 2);
	assert_int_equal(m.sel_remote[1].low.family, AF_INET6);
	for (unsigned int i = 0; i < 16; i++) {
		assert_int_equal(m.sel_remote[1].low.bytes[i], 0);
		assert_int_equal(m.sel_remote[1].high.bytes[i], 0xff);
	}
	v.tunnel[0].name[0] = 'b';
	assert_false(ctl_iked_carries_ipv6(&c, &t));
	t.address[t.n_addresses++] = prefix("fd00:21::1/64");
	assert_true(ctl_iked_carries_ipv6(&c, &t));
}

static void
every_esp_proposal_says_which_sequence_numbers_it_takes(void **state)
{
	struct ctl_tunnel t = tunnel();
	struct spw_ike_conn m;

	t.n_esp = 2;
	t.esn = SPW_ESN_BOTH;
	t.ike_fragment = 576;
	ctl_iked_conn_message(&t, 0, 1, false, &m);
	assert_int_equal(m.esp[0].esn, SPW_ESN_BOTH);
	assert_int_equal(m.esp[1].esn, SPW_ESN_BOTH);
	assert_int_equal(m.fragment, 576);
}

static void
a_vdev_over_a_kernel_device_names_it(void **state)
{
	char name[IFNAMSIZ] = "";

	assert_true(ctl_devargs_kernel_name("net_af_packet0,iface=p-er,qdisc_bypass=1", name));
	assert_string_equal(name, "p-er");
	assert_true(ctl_devargs_kernel_name("net_af_xdp,force_copy=1,iface=veth0", name));
	assert_string_equal(name, "veth0");
	assert_false(ctl_devargs_kernel_name("0000:3b:00.0", name));
	assert_false(ctl_devargs_kernel_name("net_tap0,remote_iface=x", name));
	assert_false(ctl_devargs_kernel_name("net_af_packet0,iface=", name));
	assert_false(ctl_devargs_kernel_name("net_af_packet0,iface=a-name-too-long-for-it", name));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_identity_that_is_not_configured_is_the_address),
		cmocka_unit_test(outer_addresses_of_ipv6_are_identities_of_ipv6),
		cmocka_unit_test(a_tunnel_is_checked_unless_it_is_switched_off),
		cmocka_unit_test(what_the_check_found_is_said_with_azures_own_setting),
		cmocka_unit_test(a_tunnel_that_is_not_checked_says_so),
		cmocka_unit_test(the_soft_limit_is_at_ninety_percent_without_overflow),
		cmocka_unit_test(no_selectors_mean_any_to_any),
		cmocka_unit_test(a_prefix_becomes_its_range),
		cmocka_unit_test(a_tunnel_of_a_vnet_with_ipv6_takes_any_of_both_families),
		cmocka_unit_test(every_esp_proposal_says_which_sequence_numbers_it_takes),
		cmocka_unit_test(a_vdev_over_a_kernel_device_names_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
