/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows over a runtime made by hand; what the data plane would answer is in the tables below. Every
 * object must have the keys of docs/show-json.md, and every name that is asked for must exist.
 */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/dataplane.h"
#include "control/iked.h"
#include "control/show.h"
#include "control/watch_private.h"

static struct spw_dp_hello_reply hello = {.incarnation = 7};
static bool reachable = true;
static unsigned int calls[UINT16_MAX + 1]; /* by message */

static struct spw_dp_iface_stats iface_stats = {.id = 3,
						.link_up = 1,
						.rx_packets = 1001,
						.rx_bytes = 1002,
						.tx_packets = 1003,
						.tx_bytes = 1004,
						.mirrored = 1005,
						.from_twin = 1006,
						.drops = 1007,
						.asymmetric = 1008};
static struct spw_dp_iface_stats vlan_stats = {.id = 4, .rx_packets = 100, .tx_bytes = 7};
static struct spw_dp_drop_stats drop_stats = {.reason = "no-route", .packets = 12};
static struct spw_dp_tunnel_stats tunnel_stats[] = {{.id = 1,
						     .up = 1,
						     .transit_in = 11,
						     .transit_out = 12,
						     .own_in = 13,
						     .own_out = 14,
						     .violations = 15,
						     .asymmetric = 16,
						     .mtu = 1400,
						     .path_mtu = 1346,
						     .path_mtu_ends = UINT64_MAX / 2},
						    {.id = 2, .mtu = 1380}};
static struct spw_dp_sa_stats sa_stats[] = {
	{.tunnel = 1,
	 .spi_in = 0xa1,
	 .spi_out = 0xb1,
	 .encr = SPW_ENCR_AES256_GCM,
	 .in_packets = 21,
	 .in_bytes = 22,
	 .out_packets = 23,
	 .out_bytes = 24,
	 .late = 25,
	 .replayed = 26,
	 .auth_failed = 27,
	 .replay_window = 4096,
	 .outbound = 1,
	 .installed_ns = 1,
	 .seconds = {.soft = 1000000, .hard = 2000000}},
	{.tunnel = 1, .spi_in = 0xa2, .encr = SPW_ENCR_AES256_GCM, .installed_ns = 1}};
static struct spw_dp_worker_stats worker_stats = {.id = 0,
						  .core = 4,
						  .rx = 31,
						  .tx = 32,
						  .drops = 33,
						  .mirrored = 34,
						  .from_twin = 35,
						  .created = 36,
						  .busy_cycles = 5000,
						  .packets = 10};
static struct spw_dp_bfd_stats bfd_stats = {.id = 9,
					    .state = SPW_BFD_UP,
					    .remote_state = SPW_BFD_UP,
					    .tx_us = 300000,
					    .detect_us = 900000,
					    .rx = 41,
					    .tx = 42,
					    .bad = 43,
					    .ups = 44,
					    .downs = 45,
					    .detect_mult = 3,
					    .remote_mult = 3};
static struct spw_dp_probe_stats probe_stats = {.id = 5,
						.state = SPW_PROBE_UP,
						.recent_sent = 100,
						.recent_lost = 2,
						.rtt_last_us = 1100,
						.rtt_min_us = 1050,
						.rtt_max_us = 1200,
						.sent = 51,
						.received = 50,
						.lost = 1,
						.rtt_sum_us = 55000,
						.rtt = {[10] = 50}};

static struct spw_ike_status ike_status[] = {
	{.name = "azure-a", .state = SPW_IKE_ESTABLISHED, .initiator = 1, .since_ns = 1},
	{.name = "azure-b", .state = SPW_IKE_IDLE, .reason = "no reply to IKE_SA_INIT \xe2\x82"},
	{.name = "azure-c", .state = SPW_IKE_CONNECTING, .initiator = 1}};

int __wrap_ctl_iked_status(struct ctl_runtime *rt,
			   void (*visit)(void *ctx, const struct spw_ike_status *s), void *ctx,
			   struct spw_err *err);
bool __wrap_ctl_dataplane_connected(const struct ctl_runtime *rt);
const struct spw_dp_hello_reply *__wrap_ctl_dataplane_hello(const struct ctl_runtime *rt);
int __wrap_ctl_dataplane_get(struct ctl_runtime *rt, uint16_t number, const void *query,
			     uint16_t query_size, uint16_t elem_size,
			     void (*visit)(void *ctx, const void *elem), void *ctx,
			     struct spw_err *err);

int
__wrap_ctl_iked_status(struct ctl_runtime *rt,
		       void (*visit)(void *ctx, const struct spw_ike_status *s), void *ctx,
		       struct spw_err *err)
{
	for (size_t i = 0; i < sizeof(ike_status) / sizeof(ike_status[0]); i++)
		visit(ctx, &ike_status[i]);
	return 0;
}

bool
__wrap_ctl_dataplane_connected(const struct ctl_runtime *rt)
{
	return reachable;
}

const struct spw_dp_hello_reply *
__wrap_ctl_dataplane_hello(const struct ctl_runtime *rt)
{
	return &hello;
}

static const struct {
	uint16_t number;
	const void *elem;
	size_t size, n;
} answers[] = {
#define ONE(number, elem)                      \
	{                                      \
		number, &elem, sizeof(elem), 1 \
	}
#define ALL(number, elem)                                                     \
	{                                                                     \
		number, elem, sizeof(elem[0]), sizeof(elem) / sizeof(elem[0]) \
	}
	ONE(SPW_DP_GET_IFACES, iface_stats),   ONE(SPW_DP_GET_IFACES, vlan_stats),
	ONE(SPW_DP_GET_DROPS, drop_stats),     ONE(SPW_DP_GET_WORKERS, worker_stats),
	ONE(SPW_DP_GET_BFD, bfd_stats),	       ONE(SPW_DP_GET_PROBES, probe_stats),
	ALL(SPW_DP_GET_TUNNELS, tunnel_stats), ALL(SPW_DP_GET_SAS, sa_stats),
};

int
__wrap_ctl_dataplane_get(struct ctl_runtime *rt, uint16_t number, const void *query,
			 uint16_t query_size, uint16_t elem_size,
			 void (*visit)(void *ctx, const void *elem), void *ctx, struct spw_err *err)
{
	calls[number]++;
	if (!reachable)
		return spw_fail(err, -ENOTCONN, "the data plane does not answer");
	for (size_t a = 0; a < sizeof(answers) / sizeof(answers[0]); a++) {
		if (answers[a].number != number)
			continue;
		assert_int_equal(answers[a].size, elem_size);
		for (size_t i = 0; i < answers[a].n; i++)
			visit(ctx, (const uint8_t *)answers[a].elem + i * elem_size);
	}
	return 0;
}

/* --- the runtime */

static struct ctl_runtime rt;
static struct ctl_iface er0 = {.id = 3,
			       .name = "er0",
			       .kind = SPW_IFACE_PORT,
			       .role = SPW_IF_ROLE_EXPRESSROUTE,
			       .enabled = true,
			       .keep = true,
			       .mtu = 1500};
static struct ctl_port port = {.name = "er0"};
static struct ctl_iface vlan = {.id = 4,
				.name = "primary",
				.kind = SPW_IFACE_VLAN,
				.role = SPW_IF_ROLE_EXPRESSROUTE,
				.vlan_outer = 100,
				.vlan_inner = 10,
				.keep = true,
				.n_addresses = 1};
static struct ctl_tun tunnels[] = {
	{.id = 1, .conf = {.name = "azure-a", .enabled = true}, .keep = true, .up = true},
	{.id = 2, .conf = {.name = "azure-b", .enabled = true}, .keep = true},
	{.id = 3, .conf = {.name = "azure-c", .enabled = true}, .keep = true}};
static struct ctl_path path = {.id = 2, .kind = SPW_PATH_ADJACENCY, .iface = &er0, .bit = true};
static struct ctl_vnet_state vnet = {
	.conf = {.name = "prod", .n_tunnels = 2, .tunnel = {{"azure-a", 1}, {"azure-b", 1}}},
	.tun = {&tunnels[0], &tunnels[1]},
	.keep = true};
static struct watch_bfd bfd = {.iface = "er0", .content = {.id = 9}};
static struct watch_probe probe = {.vnet = "prod", .content = {.id = 5, .path = 2}};
static struct ctl_watch watch;

static int
setup(void **state)
{
	reachable = true;
	hello.incarnation = 7;
	memset(calls, 0, sizeof(calls));
	memset(&rt, 0, sizeof(rt));
	er0.description[0] = '\0';
	er0.next = NULL; /* the sub-interface is there where a test wants it */
	er0.port = vlan.port = &port;
	tunnels[0].next = &tunnels[1];
	tunnels[1].next = &tunnels[2];
	watch = (struct ctl_watch){.bfd = &bfd, .probes = &probe, .n_probes = 1};
	rt.ifaces = &er0;
	rt.tunnels = tunnels;
	rt.vnets = &vnet;
	rt.watch = &watch;
	rt.path[2] = &path;
	rt.base = event_base_new();
	return rt.base && ctl_failover_new(&rt) == 0 ? ctl_show_new(&rt) : -1;
}

static int
teardown(void **state)
{
	ctl_show_free(&rt);
	ctl_failover_free(&rt);
	event_base_free(rt.base);
	return 0;
}

static json_t *
show(const char *what, const char *arg)
{
	struct spw_err err = {0};
	json_t *o = ctl_runtime_show(&rt, what, arg, &err);

	if (!o)
		fail_msg("show %s %s: %s", what, arg ? arg : "", err.text);
	return o;
}

/* The member of a path like "interfaces/0/name". */
static const json_t *
at(const json_t *o, const char *where)
{
	char copy[128], *word, *rest = copy;

	snprintf(copy, sizeof(copy), "%s", where);
	while (o && (word = strsep(&rest, "/")))
		o = json_is_array(o) ? json_array_get(o, strtoul(word, NULL, 10))
				     : json_object_get(o, word);
	return o;
}

static json_int_t
number(const json_t *o, const char *where)
{
	const json_t *n = at(o, where);

	if (!json_is_integer(n))
		fail_msg("%s is no number", where);
	return json_integer_value(n);
}

/* --- the JSON block of docs/show-json.md */

static json_t *
example(const char *what)
{
	char *text = calloc(1, 1 << 16), heading[64], *place, *end;
	FILE *in = fopen(getenv("SPW_SHOW_JSON"), "r");
	json_t *o;

	assert_non_null(in);
	assert_true(fread(text, 1, (1 << 16) - 1, in) > 0);
	fclose(in);
	snprintf(heading, sizeof(heading), "\n## %s", what);
	for (place = strstr(text, heading); place; place = strstr(place + 1, heading))
		if (strchr(" \n", place[strlen(heading)]))
			break;
	assert_non_null(place);
	place = strstr(place, "```json\n") + 8;
	end = strstr(place, "```");
	o = json_loadb(place, (size_t)(end - place), 0, NULL);
	assert_non_null(o);
	free(text);
	return o;
}

static void
every_object_has_exactly_the_keys_of_the_document(void **state)
{
	static const struct {
		const char *what, *list;
	} row[] = {{"interfaces", "interfaces"},
		   {"ipsec-sa", "sas"},
		   {"ipsec-statistics", "tunnels"},
		   {"drops", "drops"},
		   {"workers", "workers"},
		   {"bfd", "bfd"},
		   {"probes", "probes"}};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		json_t *wanted = example(row[i].what), *got = show(row[i].what, NULL), *value;
		json_t *a = json_array_get(json_object_get(wanted, row[i].list), 0);
		json_t *b = json_array_get(json_object_get(got, row[i].list), 0);
		const char *key;

		json_object_foreach(a, key, value) if (!json_object_get(b, key))
			fail_msg("%s: %s is not shown", row[i].what, key);
		json_object_foreach(b, key, value) if (!json_object_get(a, key))
			fail_msg("%s: %s is not in the document", row[i].what, key);
		json_decref(wanted);
		json_decref(got);
	}
}

static void
counters_of_an_interface_are_those_of_the_data_plane(void **state)
{
	static const struct {
		const char *key;
		json_int_t n;
	} row[] = {{"rx_packets", 1001},       {"rx_bytes", 1002},
		   {"tx_packets", 1003},       {"tx_bytes", 1004},
		   {"mirrored_packets", 1005}, {"from_twin_packets", 1006},
		   {"dropped_packets", 1007},  {"asymmetric_packets", 1008}};
	json_t *o = show("interfaces", "er0");

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(number(at(o, "interfaces/0"), row[i].key), row[i].n);
	json_decref(o);
}

static void
cleared(void *ctx, int rc, json_t *reply, const struct spw_err *err)
{
	*(int *)ctx = rc;
}

static void
cleared_counters_start_at_zero_again_and_another_data_plane_is_not_subtracted_from(void **state)
{
	json_t *o;
	int rc = 1;

	ctl_show_clear(&rt, cleared, &rc);
	assert_int_equal(rc, 0);
	iface_stats.rx_packets += 5;
	drop_stats.packets += 3;
	o = show("interfaces", NULL);
	assert_int_equal(number(o, "interfaces/0/rx_packets"), 5);
	assert_int_equal(number(o, "interfaces/0/tx_bytes"), 0);
	json_decref(o);
	o = show("drops", NULL);
	assert_int_equal(number(o, "drops/0/packets"), 3);
	json_decref(o);
	iface_stats.rx_packets -= 5;
	drop_stats.packets -= 3;
	hello.incarnation++; /* before anything was sampled */
	o = show("interfaces", NULL);
	assert_int_equal(number(o, "interfaces/0/rx_packets"), 1001);
	json_decref(o);
	o = show("drops", NULL);
	assert_int_equal(number(o, "drops/0/packets"), 12);
	json_decref(o);
}

static void
a_clear_that_cannot_be_is_refused_and_changes_nothing(void **state)
{
	json_t *o;
	int rc = 1;

	reachable = false;
	ctl_show_clear(&rt, cleared, &rc);
	assert_int_equal(rc, -ENOTCONN);
	reachable = true;
	o = show("interfaces", NULL);
	assert_int_equal(number(o, "interfaces/0/rx_packets"), 1001);
	json_decref(o);
}

static void
statistics_of_tunnels_are_asked_once_however_many_there_are(void **state)
{
	json_t *o = show("ipsec-statistics", NULL);

	assert_int_equal(json_array_size(at(o, "tunnels")), 3);
	assert_int_equal(number(o, "tunnels/0/children"), 2);
	assert_int_equal(number(o, "tunnels/0/transit_out_packets"), 12);
	assert_int_equal(number(o, "tunnels/0/mtu"), 1400);
	assert_int_equal(number(o, "tunnels/0/path_mtu"), 1346);
	assert_true(json_number_value(at(o, "tunnels/0/path_mtu_ends_s")) > 0);
	assert_int_equal(number(o, "tunnels/1/children"), 0);
	assert_int_equal(number(o, "tunnels/1/mtu"), 1380);
	assert_true(json_is_null(at(o, "tunnels/1/path_mtu")));
	assert_true(json_is_null(at(o, "tunnels/1/path_mtu_ends_s")));
	assert_string_equal(json_string_value(at(o, "tunnels/2/state")), "unknown");
	assert_int_equal(calls[SPW_DP_GET_SAS], 1);
	assert_int_equal(calls[SPW_DP_GET_TUNNELS], 1);
	json_decref(o);
}

static void
what_is_configured_is_listed_while_the_data_plane_is_away(void **state)
{
	static const char *const row[][2] = {{"interfaces", "interfaces"},
					     {"ipsec-statistics", "tunnels"},
					     {"bfd", "bfd"},
					     {"probes", "probes"}};

	reachable = false;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		json_t *o = show(row[i][0], NULL);

		assert_true(json_array_size(json_object_get(o, row[i][1])) > 0);
		assert_non_null(strstr(json_string_value(at(o, "unreachable")),
				       "spillway-dataplane: the data plane"));
		json_decref(o);
	}
}

static void
a_name_that_does_not_exist_is_one_clear_line(void **state)
{
	static const char *const what[] = {"interfaces", "neighbors",	    "bfd",
					   "probes",	 "ipsec-sa",	    "ipsec-statistics",
					   "failover",	 "failover-history"};

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		struct spw_err err = {0};

		if (ctl_runtime_show(&rt, what[i], "nobody", &err))
			fail_msg("show %s nobody is answered", what[i]);
		assert_int_equal(err.code, -ENOENT);
		assert_non_null(strstr(err.text, "'nobody'"));
		assert_non_null(strstr(err.text, "see 'show "));
	}
}

static void
a_side_of_ike_has_a_role_once_one_has_begun(void **state)
{
	json_t *o = show("ike", NULL);

	assert_string_equal(json_string_value(at(o, "ike/0/role")), "initiator");
	assert_true(json_is_null(at(o, "ike/1/role")));
	assert_string_equal(json_string_value(at(o, "ike/2/role")), "initiator");
	json_decref(o);
}

/* No event came of a tunnel that was never up; iked knows all the same. */
static void
a_tunnel_that_is_down_says_why(void **state)
{
	json_t *o = show("failover", "prod");

	assert_string_equal(json_string_value(at(o, "vnets/0/candidates/2/path")), "azure-b");
	assert_string_equal(json_string_value(at(o, "vnets/0/candidates/2/detail")),
			    "no reply to IKE_SA_INIT ??");
	json_decref(o);
	o = show("failover-readiness", "prod");
	assert_string_equal(json_string_value(at(o, "vnets/0/tunnels/1/mtu_test/verdict")),
			    "untested");
	assert_non_null(strstr(json_string_value(at(o, "vnets/0/findings/0")),
			       "tunnel azure-b: no reply to IKE_SA_INIT"));
	json_decref(o);
}

/* 127 bytes of a description that is longer end in half a character. */
static void
an_interface_with_half_a_character_is_shown(void **state)
{
	json_t *o;

	strcpy(er0.description, "Z\xc3\xbcrich \xe2\x82");
	o = show("interfaces", NULL);
	assert_string_equal(json_string_value(at(o, "interfaces/0/description")),
			    "Z\xc3\xbcrich ??");
	json_decref(o);
}

static void
a_port_counts_what_its_sub_interfaces_carry(void **state)
{
	json_t *o;

	er0.next = &vlan;
	o = show("interfaces", NULL);
	assert_int_equal(number(o, "interfaces/0/rx_packets"), 1101);
	assert_int_equal(number(o, "interfaces/0/tx_bytes"), 1011);
	assert_null(at(o, "interfaces/0/vlan"));
	assert_int_equal(number(o, "interfaces/1/rx_packets"), 100);
	assert_int_equal(number(o, "interfaces/1/vlan"), 100);
	assert_int_equal(number(o, "interfaces/1/inner_vlan"), 10);
	assert_string_equal(json_string_value(at(o, "interfaces/1/parent")), "er0");
	json_decref(o);
}

/* A worker asks for addresses of ours before the FIB, which has the connected network alone. */
static void
an_address_of_ours_is_local_and_the_data_plane_is_not_asked(void **state)
{
	struct spw_err err = {0};
	json_t *o;

	er0.next = &vlan;
	assert_int_equal(spw_prefix_parse(&vlan.address[0], "172.16.0.1/30", &err), 0);
	o = show("fib", "172.16.0.1");
	assert_string_equal(json_string_value(at(o, "verdict")), "local");
	assert_string_equal(json_string_value(at(o, "interface")), "primary");
	assert_int_equal(calls[SPW_DP_GET_FIB], 0);
	json_decref(o);
	o = show("fib", "172.16.0.2");
	assert_string_equal(json_string_value(at(o, "verdict")), "drop");
	assert_int_equal(calls[SPW_DP_GET_FIB], 1);
	json_decref(o);
}

static void
probes_are_asked_by_path_interface_circuit_or_vnet(void **state)
{
	static const char *const names[] = {"expressroute", "er0", "london", "prod", "paris"};
	struct spw_err err = {0};

	snprintf(er0.circuit, sizeof(er0.circuit), "london");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *o = ctl_runtime_show(&rt, "probes", names[i], &err);

		assert_int_equal(json_array_size(at(o, "probes")), i < 4);
		json_decref(o);
	}
	assert_string_equal(err.text, "no probe over 'paris'; see 'show probes'");
}

static void
quantiles_lie_between_the_least_and_the_most_that_was_measured(void **state)
{
	json_t *o = show("probes", NULL);

	assert_float_equal(json_number_value(at(o, "probes/0/rtt_p99_us")), 1200, 0.1);
	probe_stats.rtt_min_us = 1190;
	json_decref(o);
	o = show("probes", NULL);
	assert_true(json_number_value(at(o, "probes/0/rtt_p50_us")) >= 1190);
	probe_stats.rtt_min_us = 1050;
	json_decref(o);
}

static void
every_path_of_the_tier_that_carries_sends_while_it_is_up(void **state)
{
	struct ctl_group g = {
		.choice = {.n_tiers = 2,
			   .tier = {{.n_paths = 2, .path = {2, 3}}, {.n_paths = 2, .path = {4, 5}}},
			   .path = 2}};
	const struct {
		uint32_t id, chosen;
		bool up, sends;
	} row[] = {
		{2, 2, true, true},   {3, 2, true, true},  {3, 2, false, false},
		{4, 2, true, false},  {4, 5, true, true},  {5, 5, true, true},
		{2, 5, false, false}, {2, 5, true, false}, {2, SPW_DP_ADDR_NONE, true, false},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct ctl_path p = {.id = row[i].id, .bit = row[i].up};

		g.choice.path = row[i].chosen;
		if (ctl_group_sends(&g, &p) != row[i].sends)
			fail_msg("row %zu", i);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_object_has_exactly_the_keys_of_the_document),
		TEST(counters_of_an_interface_are_those_of_the_data_plane),
		TEST(cleared_counters_start_at_zero_again_and_another_data_plane_is_not_subtracted_from),
		TEST(a_clear_that_cannot_be_is_refused_and_changes_nothing),
		TEST(statistics_of_tunnels_are_asked_once_however_many_there_are),
		TEST(what_is_configured_is_listed_while_the_data_plane_is_away),
		TEST(a_name_that_does_not_exist_is_one_clear_line),
		TEST(a_side_of_ike_has_a_role_once_one_has_begun),
		TEST(a_tunnel_that_is_down_says_why),
		TEST(an_interface_with_half_a_character_is_shown),
		TEST(a_port_counts_what_its_sub_interfaces_carry),
		TEST(an_address_of_ours_is_local_and_the_data_plane_is_not_asked),
		TEST(probes_are_asked_by_path_interface_circuit_or_vnet),
		TEST(quantiles_lie_between_the_least_and_the_most_that_was_measured),
		TEST(every_path_of_the_tier_that_carries_sends_while_it_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
