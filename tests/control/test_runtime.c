/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runtime in a network namespace of its own, with real twins, real kernel routes and links,
 * and a double of the data plane. Needs root; skipped otherwise.
 */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/runtime.h"
#include "tests/control/double.h"
#include "tests/control/kernel_bed.h"

static struct event_base *base;
static struct ctl_runtime *rt;
static struct double_state dp;
static struct ctl_interface interfaces[2];
static struct ctl_tunnel tunnel;
static struct ctl_vnet vnet;
static struct ctl_config config = {.n_interfaces = 2,
				   .interfaces = interfaces,
				   .n_tunnels = 1,
				   .tunnels = &tunnel,
				   .n_vnets = 1,
				   .vnets = &vnet};
static char dir[] = "/tmp/ctl-runtime-XXXXXX";

static void
run_loop(unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* Run the loop until the condition holds; false after two seconds. */
static bool
until(bool (*condition)(void))
{
	uint64_t end = spw_clock_ns() + 2 * SPW_NS_PER_S;

	while (spw_clock_ns() < end) {
		run_loop(5);
		double_lock();
		bool is = condition();

		double_unlock();
		if (is)
			return true;
	}
	return false;
}

/* Roles of the tiers of a prefix's group as letters: E(xpressroute) T(unnel) P(lain); "-" none. */
static const char *
tiers(const char *text)
{
	static char out[8];
	struct spw_prefix p = prefix(text);
	unsigned int n = 0;

	for (unsigned int r = 0; r < dp.n_route; r++) {
		if (!spw_prefix_equal(&dp.route[r].prefix, &p))
			continue;
		for (unsigned int g = 0; g < dp.n_group; g++)
			for (unsigned int t = 0;
			     dp.group[g].id == dp.route[r].group && t < dp.group[g].n_tiers; t++)
				out[n++] = "PETI"[dp.group[g].tier[t].role];
		out[n] = '\0';
		return n ? out : "drop";
	}
	return "-";
}

static bool
is_tunnel_alone(void)
{
	return strcmp(tiers("10.100.0.0/16"), "T") == 0;
}

static bool
is_expressroute_first(void)
{
	return strcmp(tiers("10.100.0.0/16"), "ET") == 0;
}

static bool
is_waiting(void)
{
	return strcmp(tiers("10.100.0.0/16"), "TP") == 0;
}

static bool
has_lan_leaf(void)
{
	return strcmp(tiers("192.168.7.0/24"), "P") == 0;
}

static bool
link_is_down(void)
{
	return dp.links > 0 && !dp.link.up;
}

static bool
link_is_up(void)
{
	return dp.link.up;
}

static const struct spw_dp_path *
path_of(enum spw_dp_path_kind kind, const char *next_hop)
{
	struct spw_addr hop = {0};

	if (next_hop)
		hop = prefix(next_hop).addr;
	for (unsigned int i = 0; i < dp.n_path; i++)
		if (dp.path[i].kind == kind && spw_addr_equal(&dp.path[i].next_hop, &hop))
			return &dp.path[i];
	return NULL;
}

static bool
expressroute_bit(void)
{
	const struct spw_dp_path *p = path_of(SPW_PATH_ADJACENCY, "172.16.0.2");

	return p && dp.bit[p->id].up;
}

static bool
expressroute_bit_is_clear(void)
{
	return !expressroute_bit();
}

static bool
tunnel_bit(void)
{
	const struct spw_dp_path *p = path_of(SPW_PATH_TUNNEL, NULL);

	return p && dp.bit[p->id].up;
}

static void
start_runtime(void)
{
	struct ctl_runtime_options o = {.run_dir = dir, .state_dir = dir};
	struct spw_err err = {0};
	struct ctl_plan *plan;

	if (ctl_runtime_new(&rt, base, &o, &err) != 0)
		fail_msg("%s", err.text);
	if (ctl_runtime_prepare(rt, &config, &plan, &err) != 0)
		fail_msg("%s", err.text);
	ctl_runtime_apply(rt, plan);
}

static void
commit(void)
{
	struct spw_err err = {0};
	struct ctl_plan *plan;

	if (ctl_runtime_prepare(rt, &config, &plan, &err) != 0)
		fail_msg("%s", err.text);
	ctl_runtime_apply(rt, plan);
}

static void
make_config(void)
{
	char key[64];
	FILE *f;

	interfaces[0] = (struct ctl_interface){.name = "er0",
					       .device = "net_af_packet0,iface=p-er",
					       .role = SPW_IF_ROLE_EXPRESSROUTE,
					       .enabled = true,
					       .mtu = 1500,
					       .n_addresses = 1};
	interfaces[0].address[0] = prefix("172.16.0.1/30");
	interfaces[1] = (struct ctl_interface){.name = "lan0",
					       .device = "net_null0",
					       .role = SPW_IF_ROLE_LAN,
					       .enabled = true,
					       .mtu = 1500,
					       .n_addresses = 1};
	interfaces[1].address[0] = prefix("10.1.0.1/24");
	tunnel = (struct ctl_tunnel){.name = "azure-a",
				     .enabled = true,
				     .mtu = 1400,
				     .local = prefix("198.51.100.2").addr,
				     .remote = prefix("203.0.113.2").addr};
	snprintf(key, sizeof(key), "%s/key", dir);
	f = fopen(key, "w");
	fputs("secret", f);
	fclose(f);
	chmod(key, 0600);
	snprintf(tunnel.psk_file, sizeof(tunnel.psk_file), "%s", key);
	vnet = (struct ctl_vnet){.name = "prod",
				 .n_prefixes = 1,
				 .n_tunnels = 1,
				 .tunnel = {{.name = "azure-a", .weight = 1}},
				 .wait_to_restore_s = 1};
	vnet.prefix[0] = prefix("10.100.0.0/16");
}

static int
setup(void **state)
{
	bool entered;

	if (bed_enter(dir, &entered) != 0)
		return -1;
	if (!entered)
		return 0;
	base = event_base_new();
	ip("link set lo up");
	ip("link add p-er type veth peer name far-er");
	ip("link set p-er up");
	ip("link set far-er up");
	make_config();
	dp.incarnation = 1;
	double_start(dir, &dp);
	start_runtime();
	return 0;
}

static int
teardown(void **state)
{
	if (!base)
		return 0;
	ctl_runtime_free(rt);
	double_stop();
	event_base_free(base);
	return bed_leave(dir);
}

static void
need_root(void)
{
	if (!base)
		skip();
}

static void
a_vnet_has_a_covering_leaf_before_anything_is_learnt(void **state)
{
	need_root();
	assert_true(until(is_tunnel_alone));
	assert_int_equal(dp.n_port, 2);
	assert_int_equal(dp.n_iface, 2);
	assert_int_equal(dp.twins, 2);
	for (unsigned int i = 0; i < dp.n_group; i++)
		if (dp.group[i].flags & SPW_GROUP_PROTECTED)
			return;
	fail_msg("no group is protected");
}

static void
a_learnt_prefix_is_carried_at_once_while_no_tunnel_is_up(void **state)
{
	need_root();
	ip("neigh replace 172.16.0.2 lladdr 02:00:00:00:00:09 dev er0 nud permanent");
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_expressroute_first));
	assert_true(until(expressroute_bit));
	assert_false(tunnel_bit());
}

static void
a_tunnel_with_an_sa_gets_its_bit(void **state)
{
	need_root();
	double_lock();
	dp.tunnel_up = true;
	double_unlock();
	assert_true(until(tunnel_bit));
	assert_true(is_expressroute_first());
}

static void
a_route_of_the_vnet_that_points_elsewhere_has_no_leaf(void **state)
{
	need_root();
	ip("route add 10.100.9.0/24 via 10.1.0.9 dev lan0");
	ip("route add 192.168.7.0/24 via 10.1.0.9 dev lan0");
	assert_true(until(has_lan_leaf));
	assert_string_equal(tiers("10.100.9.0/24"), "-");
}

static void
a_withdrawn_prefix_moves_to_the_tunnel_and_waits_before_it_returns(void **state)
{
	uint64_t before;

	need_root();
	ip("route del 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_tunnel_alone));
	before = spw_clock_ns();
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_waiting));
	assert_true(until(is_expressroute_first));
	assert_true(spw_clock_ns() - before >= SPW_NS_PER_S);
}

static void
a_link_down_is_told_first_and_its_bit_waits_for_the_return(void **state)
{
	need_root();
	ip("link set far-er down");
	assert_true(until(link_is_down));
	assert_true(until(expressroute_bit_is_clear));
	ip("link set far-er up");
	assert_true(until(link_is_up));
	ip("neigh replace 172.16.0.2 lladdr 02:00:00:00:00:09 dev er0 nud permanent");
	assert_true(until(expressroute_bit));
	assert_true(is_waiting());
	assert_true(until(is_expressroute_first));
}

static void
the_switches_are_told_with_their_causes(void **state)
{
	struct spw_err err = {0};
	json_t *shown, *list;

	need_root();
	shown = ctl_runtime_show(rt, "failover-history", NULL, &err);
	assert_non_null(shown);
	list = json_object_get(shown, "switches");
	assert_in_range(json_array_size(list), 4, 6);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "cause")),
			    "restored");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "cause")),
			    "link-down");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "to")),
			    "azure-a");
	json_decref(shown);
}

static void
an_interface_is_shown_with_its_address_and_what_it_counted(void **state)
{
	struct spw_err err = {0};
	json_t *shown, *lan;

	need_root();
	shown = ctl_runtime_show(rt, "interfaces", "lan0", &err);
	assert_non_null(shown);
	lan = json_array_get(json_object_get(shown, "interfaces"), 0);
	assert_string_equal(json_string_value(json_object_get(lan, "link")), "up");
	assert_string_equal(json_string_value(json_object_get(lan, "mac")), "02:00:00:00:00:01");
	assert_true(json_integer_value(json_object_get(lan, "rx_packets")) >= 1000);
	assert_int_equal(json_integer_value(json_object_get(lan, "dropped_packets")), 7);
	json_decref(shown);
}

static void
hold_off_keeps_a_withdrawn_prefix_for_its_time(void **state)
{
	uint64_t before;

	need_root();
	vnet.hold_off_ms = 300;
	commit();
	assert_true(until(is_expressroute_first));
	before = spw_clock_ns();
	ip("route del 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_tunnel_alone));
	assert_true(spw_clock_ns() - before >= 300 * SPW_NS_PER_MS);
	vnet.hold_off_ms = 0;
	commit();
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_waiting));
	assert_true(until(is_expressroute_first));
}

static bool
specific_leaf_stands(void)
{
	return strcmp(tiers("10.100.5.0/24"), "ET") == 0;
}

static bool
specific_leaf_is_gone(void)
{
	return strcmp(tiers("10.100.5.0/24"), "-") == 0;
}

static void
a_prefix_withdrawn_alone_moves_alone(void **state)
{
	need_root();
	ip("route add 10.100.5.0/24 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(specific_leaf_stands));
	ip("route del 10.100.5.0/24 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(specific_leaf_is_gone));
	assert_true(is_expressroute_first());
}

static void
a_vnet_that_is_deleted_leaves_only_the_kernels_route(void **state)
{
	need_root();
	config.n_vnets = 0;
	commit();
	assert_string_equal(tiers("10.100.0.0/16"), "P");
	config.n_vnets = 1;
	commit();
	assert_true(until(is_expressroute_first));
}

static void
a_restart_does_not_shorten_wait_to_restore(void **state)
{
	uint64_t before;

	need_root();
	ip("route del 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_tunnel_alone));
	before = spw_clock_ns();
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_waiting));
	ctl_runtime_free(rt);
	start_runtime();
	assert_true(until(is_expressroute_first));
	assert_true(spw_clock_ns() - before >= SPW_NS_PER_S);
}

static bool
is_locked_out(void)
{
	return strcmp(tiers("10.100.0.0/16"), "E") == 0;
}

static void
on_done(void *ctx, int rc, json_t *reply, const struct spw_err *err)
{
	*(int *)ctx = rc;
}

static int
command(const char *a, const char *b, const char *c)
{
	const char *words[] = {a, b, c};
	int rc = 1;

	ctl_runtime_command(rt, words, c ? 3 : 2, on_done, &rc);
	return rc;
}

static void
requests_of_an_operator_rule_until_resumed_also_over_a_restart(void **state)
{
	need_root();
	assert_int_equal(command("failover", "lockout", "prod"), 0);
	assert_true(until(is_locked_out));
	ctl_runtime_free(rt);
	start_runtime();
	assert_true(until(is_locked_out));
	assert_int_equal(command("failover", "switch", "tunnel"), -EBUSY);
	assert_true(is_locked_out());
	assert_int_equal(command("failover", "resume", NULL), 0);
	assert_true(until(is_expressroute_first));
	assert_int_equal(command("failover", "switch", "tunnel"), 0);
	assert_true(until(is_waiting)); /* tunnel first, ExpressRoute behind it */
	assert_int_equal(command("failover", "resume", NULL), 0);
	assert_true(until(is_expressroute_first));
	assert_int_equal(command("failover", "switch", "nowhere"), -EINVAL);
	assert_int_equal(command("failover", "lockout", "nowhere"), -ENOENT);
}

static bool
default_goes_to_the_proxy(void)
{
	return strcmp(tiers("0.0.0.0/0"), "P") == 0 && path_of(SPW_PATH_ADJACENCY, "10.1.0.8");
}

static bool
no_default(void)
{
	return strcmp(tiers("0.0.0.0/0"), "-") == 0;
}

static struct ctl_static_route proxy;

/* What comes out of the tunnel or the circuit for the Internet leaves by the LAN. */
static void
a_static_default_route_leads_to_the_proxy_on_the_lan(void **state)
{
	need_root();
	proxy = (struct ctl_static_route){
		.prefix = prefix("0.0.0.0/0"), .next_hop = prefix("10.1.0.8").addr, .distance = 1};
	config.statics = &proxy;
	config.n_statics = 1;
	commit();
	assert_true(until(default_goes_to_the_proxy));
	assert_true(is_expressroute_first());
	config.n_statics = 0;
	commit();
	assert_true(until(no_default));
}

static void
the_drill_reports_and_gives_expressroute_back(void **state)
{
	const char *words[] = {"failover", "test", "prod", "force", "for", "2s"};
	int rc = 1;

	need_root();
	ctl_runtime_command(rt, words, 6, on_done, &rc);
	assert_int_equal(rc, 1); /* it takes its time */
	assert_true(until(is_waiting));
	for (unsigned int i = 0; i < 3 && rc == 1; i++)
		until(link_is_down);
	assert_int_equal(rc, 0);
	assert_true(until(is_expressroute_first));
	double_lock();
	dp.tunnel_up = false;
	double_unlock();
	for (unsigned int i = 0; i < 2 && tunnel_bit(); i++)
		until(link_is_down);
	assert_int_equal(command("failover", "test", "prod"), -EHOSTDOWN);
	double_lock();
	dp.tunnel_up = true;
	double_unlock();
	assert_true(until(tunnel_bit));
}

static void
a_restarted_controld_touches_no_bit_and_keeps_every_number(void **state)
{
	uint32_t id;
	unsigned int twins;

	need_root();
	id = path_of(SPW_PATH_ADJACENCY, "172.16.0.2")->id;
	ctl_runtime_free(rt);
	double_lock();
	dp.states = 0;
	twins = dp.twins;
	double_unlock();
	start_runtime();
	assert_true(until(is_expressroute_first));
	until(link_is_down); /* two seconds in which nothing may happen */
	assert_int_equal(path_of(SPW_PATH_ADJACENCY, "172.16.0.2")->id, id);
	assert_int_equal(dp.states, 0);
	assert_int_equal(dp.twins, twins);
	assert_true(is_expressroute_first());
}

static void
a_new_data_plane_is_told_everything_again(void **state)
{
	need_root();
	double_stop();
	memset(&dp, 0, sizeof(dp));
	dp.incarnation = 2;
	dp.tunnel_up = true;
	double_start(dir, &dp);
	assert_true(until(is_expressroute_first));
	assert_true(until(expressroute_bit));
	assert_true(until(tunnel_bit));
	assert_int_equal(dp.twins, 2);
	assert_true(has_lan_leaf());
}

static size_t
routes_shown(const char *filter)
{
	struct spw_err err = {0};
	json_t *shown = ctl_runtime_show(rt, "route", filter, &err);
	size_t n = json_array_size(json_object_get(shown, "routes"));

	json_decref(shown);
	return n;
}

static bool
all_of_twenty_are_there(void)
{
	return routes_shown("20.0.0.0/8") == 65536;
}

static bool
none_of_twenty_is_there(void)
{
	return routes_shown("20.0.0.0/8") == 0;
}

/* Messages that the kernel could not put into a netlink socket of this namespace. */
static unsigned int
netlink_drops(void)
{
	FILE *f = fopen("/proc/net/netlink", "r");
	unsigned int protocol, drops, sum = 0;
	char line[256];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %u %*s %*s %*s %*s %*s %*s %u", &protocol, &drops) == 2 &&
		    protocol == 0)
			sum += drops;
	fclose(f);
	return sum;
}

/* More events than the socket holds, while nobody reads. */
static void
what_an_overrun_of_the_socket_lost_is_read_anew(void **state)
{
	char path[64], words[96];
	FILE *f;

	need_root();
	snprintf(path, sizeof(path), "%s/batch", dir);
	f = fopen(path, "w");
	for (unsigned int i = 0; i < 65536; i++)
		fprintf(f, "route add 20.%u.%u.0/24 via 10.1.0.9 dev lan0 proto 99\n", i >> 8,
			i & 255);
	fclose(f);
	snprintf(words, sizeof(words), "-batch %s", path);
	ip(words);
	unlink(path);
	assert_true(netlink_drops() > 0);
	run_loop(500);
	assert_true(until(all_of_twenty_are_there));
	ip("route flush proto 99");
	run_loop(500);
	assert_true(until(none_of_twenty_is_there));
	assert_true(is_expressroute_first());
}

static void
a_port_that_does_not_exist_is_refused_and_nothing_changes(void **state)
{
	struct ctl_interface three[3];
	struct ctl_config next = config;
	struct ctl_plan *plan;
	struct spw_err err = {0};

	need_root();
	memcpy(three, interfaces, sizeof(interfaces));
	three[2] = interfaces[1];
	snprintf(three[2].name, sizeof(three[2].name), "lan1");
	snprintf(three[2].device, sizeof(three[2].device), "missing");
	next.interfaces = three;
	next.n_interfaces = 3;
	assert_int_equal(ctl_runtime_prepare(rt, &next, &plan, &err), -ENODEV);
	assert_non_null(strstr(err.text, "interfaces lan1 device 'missing'"));
	assert_int_equal(dp.n_port, 2);
}

static void
a_key_file_that_others_may_read_is_refused(void **state)
{
	struct ctl_plan *plan;
	struct spw_err err = {0};

	need_root();
	chmod(tunnel.psk_file, 0644);
	assert_true(ctl_runtime_prepare(rt, &config, &plan, &err) < 0);
	assert_non_null(strstr(err.text, "tunnel azure-a pre-shared-key-file"));
	chmod(tunnel.psk_file, 0600);
}

static void
without_a_data_plane_a_change_for_it_is_refused_in_one_sentence(void **state)
{
	struct ctl_plan *plan;
	struct spw_err err = {0};

	need_root();
	double_stop();
	until(link_is_down);
	interfaces[1].mtu = 1400;
	assert_int_equal(ctl_runtime_prepare(rt, &config, &plan, &err), -ENOTCONN);
	assert_non_null(strstr(err.text, "start spillway-dataplane"));
	interfaces[1].mtu = 1500;
	assert_null(ctl_runtime_show(rt, "drops", NULL, &err));
	double_start(dir, &dp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vnet_has_a_covering_leaf_before_anything_is_learnt),
		cmocka_unit_test(a_learnt_prefix_is_carried_at_once_while_no_tunnel_is_up),
		cmocka_unit_test(a_tunnel_with_an_sa_gets_its_bit),
		cmocka_unit_test(a_route_of_the_vnet_that_points_elsewhere_has_no_leaf),
		cmocka_unit_test(
			a_withdrawn_prefix_moves_to_the_tunnel_and_waits_before_it_returns),
		cmocka_unit_test(a_link_down_is_told_first_and_its_bit_waits_for_the_return),
		cmocka_unit_test(the_switches_are_told_with_their_causes),
		cmocka_unit_test(an_interface_is_shown_with_its_address_and_what_it_counted),
		cmocka_unit_test(hold_off_keeps_a_withdrawn_prefix_for_its_time),
		cmocka_unit_test(a_prefix_withdrawn_alone_moves_alone),
		cmocka_unit_test(a_vnet_that_is_deleted_leaves_only_the_kernels_route),
		cmocka_unit_test(a_restart_does_not_shorten_wait_to_restore),
		cmocka_unit_test(requests_of_an_operator_rule_until_resumed_also_over_a_restart),
		cmocka_unit_test(a_static_default_route_leads_to_the_proxy_on_the_lan),
		cmocka_unit_test(the_drill_reports_and_gives_expressroute_back),
		cmocka_unit_test(a_restarted_controld_touches_no_bit_and_keeps_every_number),
		cmocka_unit_test(a_new_data_plane_is_told_everything_again),
		cmocka_unit_test(what_an_overrun_of_the_socket_lost_is_read_anew),
		cmocka_unit_test(a_port_that_does_not_exist_is_refused_and_nothing_changes),
		cmocka_unit_test(a_key_file_that_others_may_read_is_refused),
		cmocka_unit_test(without_a_data_plane_a_change_for_it_is_refused_in_one_sentence),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
