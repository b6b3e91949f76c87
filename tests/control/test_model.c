/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines to a tree and back: order and form, what is refused and with which sentence, what a delete
 * takes, differences, completion.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/control/model_bed.h"

static void
lines_round_trip_in_any_order(void **state)
{
	struct ctl_tree tree = {0};

	for (size_t i = 0; i < BED_GATEWAY_LINES; i++)
		bed_apply(&tree, bed_gateway_lines[(i * 7 + 5) % BED_GATEWAY_LINES]);
	bed_expect_lines(&tree, bed_gateway_lines, BED_GATEWAY_LINES);
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

	bed_apply(&tree, "set int er0.100 par er0 vlan 100 inner 7 vlan-type dot1ad");
	bed_apply(&tree, "  set rou st 0.0.0.0/0 next 198.51.100.1 dist 5  ");
	bed_apply(&tree, "set routing bgp neigh 172.16.0.2 timers keep 10 hold 30");
	bed_apply(&tree, "# a comment");
	bed_apply(&tree, "");
	bed_expect_lines(&tree, want, sizeof(want) / sizeof(want[0]));
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

	bed_apply(&tree, "set tunnel t10");
	bed_apply(&tree, "set tunnel t2 ike-proposal aes256gcm16-prfsha384-ecp384");
	bed_apply(&tree, "set tunnel t2 ike-proposal aes128gcm16-prfsha256-ecp256");
	bed_apply(&tree, "set tunnel t2 ike-proposal aes256gcm16-prfsha384-ecp384");
	bed_apply(&tree, "set vnet v tunnel t10");
	bed_apply(&tree, "set vnet v tunnel t2");
	bed_expect_lines(&tree, want, sizeof(want) / sizeof(want[0]));
	ctl_tree_free(&tree);
}

static void
quotes_and_backslashes_survive(void **state)
{
	struct ctl_tree tree = {0};
	const char *want[] = {"set vnet v description \"a \\\"b\\\" \\\\ # | c\""};

	bed_apply(&tree, want[0]);
	bed_expect_lines(&tree, want, 1);
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
		struct ctl_tree tree = bed_gateway();
		struct spw_err err = {0};

		if (ctl_model_edit(bed_model, &tree, bad_lines[i].line, &err) == 0)
			fail_msg("taken: %s", bad_lines[i].line);
		if (strstr(err.text, bad_lines[i].says) == NULL || strchr(err.text, '\n'))
			fail_msg("%s: says %s", bad_lines[i].line, err.text);
		bed_expect_lines(&tree, bed_gateway_lines, BED_GATEWAY_LINES);
		ctl_tree_free(&tree);
	}
}

static void
delete_takes_a_value_a_list_or_a_branch(void **state)
{
	struct ctl_tree tree = bed_gateway();

	bed_apply(&tree, "set vnet prod prefix 10.101.0.0/16");
	bed_apply(&tree, "delete vnet prod prefix 10.101.0.0/16");
	bed_expect_lines(&tree, bed_gateway_lines, BED_GATEWAY_LINES);
	bed_apply(&tree, "delete vnet");
	bed_apply(&tree, "delete tunnel azure-a");
	bed_apply(&tree, "delete routing bgp neighbor 172.16.0.2 bfd");
	bed_apply(&tree, "delete system");
	bed_apply(&tree, "delete interfaces");
	bed_apply(&tree, "delete routing");
	bed_expect_lines(&tree, NULL, 0);
	ctl_tree_free(&tree);
}

static void
assert_diff(const struct ctl_tree *a, const struct ctl_tree *b, const char *const *want, size_t n)
{
	struct ctl_lines from = {0}, to = {0}, diff = {0};

	ctl_model_lines(bed_model, a, &from);
	ctl_model_lines(bed_model, b, &to);
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
	struct ctl_tree a = bed_gateway(), b = bed_gateway();

	assert_diff(&a, &b, NULL, 0);
	bed_apply(&b, "delete interfaces lan0 description");
	bed_apply(&b, "set interfaces lan0 mtu 1400");
	bed_apply(&b, "set vnet prod wait-to-restore 9");
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

	bed_apply(&a, "set vnet v tunnel a");
	bed_apply(&a, "set vnet v tunnel b");
	bed_apply(&b, "set vnet v tunnel b");
	bed_apply(&b, "set vnet v tunnel a");
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
	struct ctl_tree tree = bed_gateway();

	for (size_t i = 0; i < sizeof(completions) / sizeof(completions[0]); i++) {
		json_t *list = ctl_model_complete(bed_model, &tree, completions[i].text), *item;
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
		json_t *list = ctl_model_complete(bed_model, &tree, places[i]), *item;
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
	struct ctl_tree tree = bed_gateway();
	char line[64];

	srand(7);
	for (int round = 0; round < 20000; round++) {
		const char *base = bed_gateway_lines[(size_t)rand() % BED_GATEWAY_LINES];
		size_t len = strlen(base);

		snprintf(line, sizeof(line), "%s", base);
		for (int k = 0; k < 3; k++)
			line[(size_t)rand() % (len < 63 ? len : 63)] = (char)(rand() % 255 + 1);
		ctl_model_edit(bed_model, &tree, line, NULL);
		json_decref(ctl_model_complete(bed_model, &tree, line));
	}
	ctl_tree_free(&tree);
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
		cmocka_unit_test(difference_is_a_list_of_delete_and_set),
		cmocka_unit_test(difference_shows_a_change_of_order),
		cmocka_unit_test(completion_offers_what_fits),
		cmocka_unit_test(every_word_has_help),
		cmocka_unit_test(random_bytes_never_crash_the_line_parser),
	};

	return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
