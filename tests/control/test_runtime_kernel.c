/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runtime over the kernel of a namespace of its own: static routes, events that were lost, and
 * what cannot be had and is refused with a sentence. A double of the data plane. Needs root;
 * skipped otherwise.
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

static bool
is_expressroute_first(void)
{
	return strcmp(bed_tiers("10.100.0.0/16"), "ET") == 0;
}

static bool
link_is_down(void)
{
	return bed.dp.links > 0 && !bed.dp.link.up;
}

static int
setup(void **state)
{
	if (bed_enter("kernel") != 0)
		return -1;
	if (!bed.base)
		return 0;
	bed_one_link();
	bed_start();
	ip("neigh replace 172.16.0.2 lladdr 02:00:00:00:00:09 dev er0 nud permanent");
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_expressroute_first));
	return 0;
}

static bool
default_goes_to_the_proxy(void)
{
	return strcmp(bed_tiers("0.0.0.0/0"), "P") == 0 && bed_path(SPW_PATH_ADJACENCY, "10.1.0.8");
}

static bool
no_default(void)
{
	return strcmp(bed_tiers("0.0.0.0/0"), "-") == 0;
}

static struct ctl_static_route proxy;

/* What comes out of the tunnel or the circuit for the Internet leaves by the LAN. */
static void
a_static_default_route_leads_to_the_proxy_on_the_lan(void **state)
{
	bed_need_root();
	proxy = (struct ctl_static_route){
		.prefix = prefix("0.0.0.0/0"), .next_hop = prefix("10.1.0.8").addr, .distance = 1};
	bed.config.statics = &proxy;
	bed.config.n_statics = 1;
	bed_commit();
	assert_true(until(default_goes_to_the_proxy));
	assert_true(is_expressroute_first());
	bed.config.n_statics = 0;
	bed_commit();
	assert_true(until(no_default));
}

static size_t
routes_shown(const char *filter)
{
	struct spw_err err = {0};
	json_t *shown = ctl_runtime_show(bed.rt, "route", filter, &err);
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

	bed_need_root();
	snprintf(path, sizeof(path), "%s/batch", bed.dir);
	f = fopen(path, "w");
	for (unsigned int i = 0; i < 65536; i++)
		fprintf(f, "route add 20.%u.%u.0/24 via 10.1.0.9 dev lan0 proto 99\n", i >> 8,
			i & 255);
	fclose(f);
	snprintf(words, sizeof(words), "-batch %s", path);
	ip(words);
	unlink(path);
	assert_true(netlink_drops() > 0);
	bed_turn(500);
	assert_true(bed_run(20000, all_of_twenty_are_there)); /* it is no matter of time */
	ip("route flush proto 99");
	bed_turn(500);
	assert_true(bed_run(20000, none_of_twenty_is_there));
	assert_true(is_expressroute_first());
}

static void
a_port_that_does_not_exist_is_refused_and_nothing_changes(void **state)
{
	struct ctl_interface three[3];
	struct ctl_config next = bed.config;
	struct ctl_plan *plan;
	struct spw_err err = {0};

	bed_need_root();
	memcpy(three, bed.interfaces, 2 * sizeof(three[0]));
	three[2] = bed.interfaces[1];
	snprintf(three[2].name, sizeof(three[2].name), "lan1");
	snprintf(three[2].device, sizeof(three[2].device), "missing");
	next.interfaces = three;
	next.n_interfaces = 3;
	assert_int_equal(ctl_runtime_prepare(bed.rt, &next, &plan, &err), -ENODEV);
	assert_non_null(strstr(err.text, "interfaces lan1 device 'missing'"));
	assert_int_equal(bed.dp.n_port, 2);
}

static void
an_mtu_that_the_port_refuses_is_refused_and_nothing_changes(void **state)
{
	const uint32_t before = bed.interfaces[1].mtu;
	struct ctl_interface two[2];
	struct ctl_config next = bed.config;
	struct ctl_plan *plan;
	struct spw_err err = {0};

	bed_need_root();
	memcpy(two, bed.interfaces, sizeof(two));
	next.interfaces = two;
	next.n_interfaces = 2;
	two[0].mtu = 9000;
	two[1].mtu = 9001;
	assert_int_equal(ctl_runtime_prepare(bed.rt, &next, &plan, &err), -EINVAL);
	assert_non_null(strstr(err.text, "mtu 9001: "));
	assert_int_equal(bed.dp.port[0].mtu, before);
	assert_int_equal(bed.dp.port[1].mtu, before);
	/* One that it takes: taken back, too, when the commit was a check. */
	two[1].mtu = 9000;
	assert_int_equal(ctl_runtime_prepare(bed.rt, &next, &plan, &err), 0);
	assert_int_equal(bed.dp.port[1].mtu, 9000);
	ctl_runtime_abandon(bed.rt, plan);
	assert_int_equal(bed.dp.port[0].mtu, before);
	assert_int_equal(bed.dp.port[1].mtu, before);
}

static void
a_key_file_that_others_may_read_is_refused(void **state)
{
	struct ctl_plan *plan;
	struct spw_err err = {0};

	bed_need_root();
	chmod(bed.tunnel[0].psk_file, 0644);
	assert_true(ctl_runtime_prepare(bed.rt, &bed.config, &plan, &err) < 0);
	assert_non_null(strstr(err.text, "tunnel azure-a pre-shared-key-file"));
	chmod(bed.tunnel[0].psk_file, 0600);
}

static void
without_a_data_plane_a_change_for_it_is_refused_in_one_sentence(void **state)
{
	struct ctl_plan *plan;
	struct spw_err err = {0};

	bed_need_root();
	double_stop();
	until(link_is_down);
	bed.interfaces[1].mtu = 1400;
	assert_int_equal(ctl_runtime_prepare(bed.rt, &bed.config, &plan, &err), -ENOTCONN);
	assert_non_null(strstr(err.text, "start spillway-dataplane"));
	bed.interfaces[1].mtu = 1500;
	assert_null(ctl_runtime_show(bed.rt, "drops", NULL, &err));
	double_start(bed.dir, &bed.dp);
}

/* Taken as it was at the start, it waits for its device; a commit meanwhile is refused. */
static void
a_port_that_waits_for_its_device_keeps_its_number_when_a_commit_is_refused(void **state)
{
	struct ctl_interface *lan = &bed.interfaces[1];
	char before[sizeof(lan->device)];
	const struct ctl_port *p;
	struct ctl_plan *plan;
	struct spw_err err = {0};

	bed_need_root();
	memcpy(before, lan->device, sizeof(before));
	ctl_runtime_free(bed.rt);
	snprintf(lan->device, sizeof(lan->device), "missing");
	bed_runtime_start();
	bed_turn(500);
	for (p = bed.rt->ports; p && strcmp(p->devargs, "missing") != 0; p = p->next)
		;
	assert_non_null(p);
	assert_false(p->in_dataplane);
	assert_int_equal(ctl_runtime_prepare(bed.rt, &bed.config, &plan, &err), -ENODEV);
	assert_int_not_equal(ctl_ids_get(bed.rt->ids, CTL_ID_PORT, "another device"), p->id);
	ctl_ids_put(bed.rt->ids, CTL_ID_PORT, "another device");
	memcpy(lan->device, before, sizeof(before));
	bed_commit();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_static_default_route_leads_to_the_proxy_on_the_lan),
		cmocka_unit_test(what_an_overrun_of_the_socket_lost_is_read_anew),
		cmocka_unit_test(a_port_that_does_not_exist_is_refused_and_nothing_changes),
		cmocka_unit_test(
			a_port_that_waits_for_its_device_keeps_its_number_when_a_commit_is_refused),
		cmocka_unit_test(an_mtu_that_the_port_refuses_is_refused_and_nothing_changes),
		cmocka_unit_test(a_key_file_that_others_may_read_is_refused),
		cmocka_unit_test(without_a_data_plane_a_change_for_it_is_refused_in_one_sentence),
	};

	return cmocka_run_group_tests(tests, setup, bed_leave);
}
