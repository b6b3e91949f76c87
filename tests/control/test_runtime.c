/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runtime in a network namespace of its own, with real twins, real kernel routes and links,
 * and a double of the data plane: what is learnt, lost, waited for and requested, over restarts of
 * either. The tests follow each other. Needs root; skipped otherwise.
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

#include "control/runtime_priv.h"
#include "tests/control/runtime_bed.h"

/* False after two seconds. */
static bool
until(bool (*condition)(void))
{
	return bed_run(2000, condition);
}

static int
setup(void **state)
{
	if (bed_enter("runtime") != 0)
		return -1;
	if (!bed.base)
		return 0;
	bed_one_link();
	bed.vnet.wait_to_restore_s = 1;
	bed_start();
	return 0;
}

static bool
is_tunnel_alone(void)
{
	return strcmp(bed_tiers("10.100.0.0/16"), "T") == 0;
}

static bool
is_expressroute_first(void)
{
	return strcmp(bed_tiers("10.100.0.0/16"), "ET") == 0;
}

static bool
is_waiting(void)
{
	return strcmp(bed_tiers("10.100.0.0/16"), "TP") == 0;
}

static bool
has_lan_leaf(void)
{
	return strcmp(bed_tiers("192.168.7.0/24"), "P") == 0;
}

static bool
link_is_down(void)
{
	return bed.dp.links > 0 && !bed.dp.link.up;
}

static bool
link_is_up(void)
{
	return bed.dp.link.up;
}

static bool
expressroute_bit(void)
{
	const struct spw_dp_path *p = bed_path(SPW_PATH_ADJACENCY, "172.16.0.2");

	return p && bed.dp.bit[p->id].up;
}

static bool
expressroute_bit_is_clear(void)
{
	return !expressroute_bit();
}

static bool
tunnel_bit(void)
{
	const struct spw_dp_path *p = bed_path(SPW_PATH_TUNNEL, NULL);

	return p && bed.dp.bit[p->id].up;
}

static void
a_vnet_has_a_covering_leaf_before_anything_is_learnt(void **state)
{
	bed_need_root();
	assert_true(until(is_tunnel_alone));
	assert_int_equal(bed.dp.n_port, 2);
	assert_int_equal(bed.dp.n_iface, 2);
	assert_int_equal(bed.dp.twins, 2);
	for (unsigned int i = 0; i < bed.dp.n_group; i++)
		if (bed.dp.group[i].flags & SPW_GROUP_PROTECTED)
			return;
	fail_msg("no group is protected");
}

static void
a_learnt_prefix_is_carried_at_once_while_no_tunnel_is_up(void **state)
{
	bed_need_root();
	ip("neigh replace 172.16.0.2 lladdr 02:00:00:00:00:09 dev er0 nud permanent");
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_expressroute_first));
	assert_true(until(expressroute_bit));
	assert_false(tunnel_bit());
}

static void
a_tunnel_with_an_sa_gets_its_bit(void **state)
{
	bed_need_root();
	double_lock();
	bed.dp.tunnel_up = true;
	double_unlock();
	assert_true(until(tunnel_bit));
	assert_true(is_expressroute_first());
}

static void
a_route_of_the_vnet_that_points_elsewhere_has_no_leaf(void **state)
{
	bed_need_root();
	ip("route add 10.100.9.0/24 via 10.1.0.9 dev lan0");
	ip("route add 192.168.7.0/24 via 10.1.0.9 dev lan0");
	assert_true(until(has_lan_leaf));
	assert_string_equal(bed_tiers("10.100.9.0/24"), "-");
}

static void
a_withdrawn_prefix_moves_to_the_tunnel_and_waits_before_it_returns(void **state)
{
	uint64_t before;

	bed_need_root();
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
	bed_need_root();
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

	bed_need_root();
	shown = ctl_runtime_show(bed.rt, "failover-history", NULL, &err);
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

	bed_need_root();
	shown = ctl_runtime_show(bed.rt, "interfaces", "lan0", &err);
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

	bed_need_root();
	bed.vnet.hold_off_ms = 300;
	bed_commit();
	assert_true(until(is_expressroute_first));
	before = spw_clock_ns();
	ip("route del 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_tunnel_alone));
	assert_true(spw_clock_ns() - before >= 300 * SPW_NS_PER_MS);
	bed.vnet.hold_off_ms = 0;
	bed_commit();
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_waiting));
	assert_true(until(is_expressroute_first));
}

static bool
specific_leaf_stands(void)
{
	return strcmp(bed_tiers("10.100.5.0/24"), "ET") == 0;
}

static bool
specific_leaf_is_gone(void)
{
	return strcmp(bed_tiers("10.100.5.0/24"), "-") == 0;
}

static void
a_prefix_withdrawn_alone_moves_alone(void **state)
{
	bed_need_root();
	ip("route add 10.100.5.0/24 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(specific_leaf_stands));
	ip("route del 10.100.5.0/24 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(specific_leaf_is_gone));
	assert_true(is_expressroute_first());
}

static void
a_vnet_that_is_deleted_leaves_only_the_kernels_route(void **state)
{
	bed_need_root();
	bed.config.n_vnets = 0;
	bed_commit();
	assert_string_equal(bed_tiers("10.100.0.0/16"), "P");
	bed.config.n_vnets = 1;
	bed_commit();
	assert_true(until(is_expressroute_first));
}

static void
a_restart_does_not_shorten_wait_to_restore(void **state)
{
	uint64_t before;

	bed_need_root();
	ip("route del 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_tunnel_alone));
	before = spw_clock_ns();
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_waiting));
	ctl_runtime_free(bed.rt);
	bed_runtime_start();
	assert_true(until(is_expressroute_first));
	assert_true(spw_clock_ns() - before >= SPW_NS_PER_S);
}

static bool
is_locked_out(void)
{
	return strcmp(bed_tiers("10.100.0.0/16"), "E") == 0;
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

	ctl_runtime_command(bed.rt, words, c ? 3 : 2, on_done, &rc);
	return rc;
}

static void
requests_of_an_operator_rule_until_resumed_also_over_a_restart(void **state)
{
	bed_need_root();
	assert_int_equal(command("failover", "lockout", "prod"), 0);
	assert_true(until(is_locked_out));
	ctl_runtime_free(bed.rt);
	bed_runtime_start();
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

static const struct ctl_iface *
iface_named(const char *name)
{
	const struct ctl_iface *i = bed.rt->ifaces;

	while (i && strcmp(i->name, name) != 0)
		i = i->next;
	assert_non_null(i);
	return i;
}

static void
a_request_goes_with_its_vnet_or_link_and_is_not_of_the_next_of_that_name(void **state)
{
	char name[CTL_NAME];

	bed_need_root();
	assert_int_equal(command("failover", "lockout", "prod"), 0);
	bed.config.n_vnets = 0;
	bed_commit();
	bed.config.n_vnets = 1;
	bed_commit();
	assert_int_equal(bed.rt->vnets->request, CTL_OPERATOR_NONE);
	assert_true(until(is_expressroute_first));
	assert_int_equal(command("failover", "switch", "er0"), 0);
	assert_true(iface_named("er0")->aside);
	memcpy(name, bed.interfaces[0].name, sizeof(name));
	assert_string_equal(name, "er0");
	snprintf(bed.interfaces[0].name, sizeof(bed.interfaces[0].name), "er9");
	bed_commit();
	memcpy(bed.interfaces[0].name, name, sizeof(name));
	bed_commit();
	assert_false(iface_named("er0")->aside);
}

static void
a_link_that_is_none_of_expressroute_any_more_is_not_set_aside(void **state)
{
	bed_need_root();
	assert_true(until(is_expressroute_first));
	assert_int_equal(command("failover", "switch", "er0"), 0);
	assert_true(iface_named("er0")->aside);
	bed.interfaces[0].role = SPW_IF_ROLE_LAN;
	bed_commit();
	assert_false(iface_named("er0")->aside);
	bed.interfaces[0].role = SPW_IF_ROLE_EXPRESSROUTE;
	bed_commit();
	assert_false(iface_named("er0")->aside);
	ctl_runtime_free(bed.rt);
	bed_runtime_start();
	assert_false(iface_named("er0")->aside);
	assert_true(until(is_expressroute_first));
}

/* Else the next of that name would stay on the tunnel for the rest of it. */
static void
a_wait_goes_with_its_vnet(void **state)
{
	bed_need_root();
	bed.vnet.wait_to_restore_s = 600;
	bed_commit();
	ip("route del 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_tunnel_alone));
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_waiting));
	bed.config.n_vnets = 0;
	bed_commit();
	bed.vnet.wait_to_restore_s = 1;
	bed.config.n_vnets = 1;
	bed_commit();
	assert_int_equal(bed.rt->vnets->recalled_until_ns, 0);
	assert_true(until(is_expressroute_first));
}

static void
the_drill_reports_and_gives_expressroute_back(void **state)
{
	const char *words[] = {"failover", "test", "prod", "force", "for", "2s"};
	int rc = 1;

	bed_need_root();
	ctl_runtime_command(bed.rt, words, 6, on_done, &rc);
	assert_int_equal(rc, 1); /* it takes its time */
	assert_true(until(is_waiting));
	for (unsigned int i = 0; i < 3 && rc == 1; i++)
		until(link_is_down);
	assert_int_equal(rc, 0);
	assert_true(until(is_expressroute_first));
	double_lock();
	bed.dp.tunnel_up = false;
	double_unlock();
	for (unsigned int i = 0; i < 2 && tunnel_bit(); i++)
		until(link_is_down);
	assert_int_equal(command("failover", "test", "prod"), -EHOSTDOWN);
	double_lock();
	bed.dp.tunnel_up = true;
	double_unlock();
	assert_true(until(tunnel_bit));
}

static void
a_restarted_controld_touches_no_bit_and_keeps_every_number(void **state)
{
	uint32_t id;
	unsigned int twins;

	bed_need_root();
	id = bed_path(SPW_PATH_ADJACENCY, "172.16.0.2")->id;
	ctl_runtime_free(bed.rt);
	double_lock();
	bed.dp.states = 0;
	twins = bed.dp.twins;
	double_unlock();
	bed_runtime_start();
	assert_true(until(is_expressroute_first));
	until(link_is_down); /* two seconds in which nothing may happen */
	assert_int_equal(bed_path(SPW_PATH_ADJACENCY, "172.16.0.2")->id, id);
	assert_int_equal(bed.dp.states, 0);
	assert_int_equal(bed.dp.twins, twins);
	assert_true(is_expressroute_first());
}

static void
a_new_data_plane_is_told_everything_again(void **state)
{
	bed_need_root();
	double_stop();
	memset(&bed.dp, 0, sizeof(bed.dp));
	bed.dp.incarnation = 2;
	bed.dp.tunnel_up = true;
	double_start(bed.dir, &bed.dp);
	assert_true(until(is_expressroute_first));
	assert_true(until(expressroute_bit));
	assert_true(until(tunnel_bit));
	assert_int_equal(bed.dp.twins, 2);
	assert_true(has_lan_leaf());
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
		cmocka_unit_test(a_link_that_is_none_of_expressroute_any_more_is_not_set_aside),
		cmocka_unit_test(a_wait_goes_with_its_vnet),
		cmocka_unit_test(the_drill_reports_and_gives_expressroute_back),
		cmocka_unit_test(a_restarted_controld_touches_no_bit_and_keeps_every_number),
		cmocka_unit_test(a_new_data_plane_is_told_everything_again),
		/* The last one: the link takes its routes with it. */
		cmocka_unit_test(
			a_request_goes_with_its_vnet_or_link_and_is_not_of_the_next_of_that_name),
	};

	return cmocka_run_group_tests(tests, setup, bed_leave);
}
