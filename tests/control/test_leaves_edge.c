/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leaves at the edges of time and order: hold-offs that overlap, a link that comes back before
 * anybody has looked, roles that change under routes, decisions that the data plane has overtaken,
 * and faults that nobody speaks for any more.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/bmp_private.h"
#include "control/plan.h"
#include "tests/control/leaves_bed.h"

void __wrap_ctl_netlink_resync_later(struct ctl_netlink *nl);
uint64_t __wrap_ctl_netlink_batch_ns(const struct ctl_netlink *nl);
int __wrap_ctl_netlink_neigh_manage(struct ctl_netlink *nl, uint32_t index,
				    const struct spw_addr *addr, bool keep);

void
__wrap_ctl_netlink_resync_later(struct ctl_netlink *nl)
{
}

uint64_t
__wrap_ctl_netlink_batch_ns(const struct ctl_netlink *nl)
{
	return bed.now;
}

int
__wrap_ctl_netlink_neigh_manage(struct ctl_netlink *nl, uint32_t index, const struct spw_addr *addr,
				bool keep)
{
	return 0;
}

static struct ctl_vnet_state *
held_vnet(const char *name, const char *prefix, uint32_t hold_off_ms)
{
	struct ctl_vnet_state *v = bed_vnet(name, prefix, NULL);

	v->conf.hold_off_ms = hold_off_ms;
	return v;
}

static void
each_prefix_is_held_for_its_own_time_while_others_follow(void **state)
{
	char prefix[32], addr[32];

	held_vnet("prod", "10.100.0.0/16", 500);
	bed_tunnel("azure-a", true);
	for (int i = 1; i <= 9; i++) {
		snprintf(prefix, sizeof(prefix), "10.100.%d.0/24", i);
		bed_route(prefix, 20, ER0, VIA0, 0, NULL);
	}
	bed_commit();
	bed_sleep(31);
	for (int i = 1; i <= 9; i++) {
		snprintf(prefix, sizeof(prefix), "10.100.%d.0/24", i);
		bed_unroute(prefix, 20);
		bed_update();
		snprintf(addr, sizeof(addr), "10.100.%d.1", i);
		assert_string_equal(bed_carrier(addr), PATH0);
		bed_sleep(0.3);
		if (i < 3)
			continue;
		snprintf(addr, sizeof(addr), "10.100.%d.1", i - 2);
		assert_string_equal(bed_carrier(addr), "t azure-a");
	}
	bed_sleep(0.51);
	assert_string_equal(bed_carrier("10.100.9.1"), "t azure-a");
}

/* The one prefix that both vnets lie under is learnt, stands for a while, and goes. */
static void
withdrawn_from_both(void)
{
	bed_route("10.0.0.0/8", 20, ER0, VIA0, 0, NULL);
	bed_tunnel("azure-a", true);
	bed_commit();
	bed_sleep(31);
	bed_unroute("10.0.0.0/8", 20);
	bed_update();
}

static void
a_hold_off_ends_for_every_vnet_under_the_withdrawn_prefix(void **state)
{
	held_vnet("prod", "10.100.0.0/16", 300);
	held_vnet("dev", "10.101.0.0/16", 300);
	withdrawn_from_both();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	assert_string_equal(bed_carrier("10.101.1.1"), PATH0);
	bed_sleep(0.31);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	assert_string_equal(bed_carrier("10.101.1.1"), "t azure-a");
}

static void
the_hold_off_of_one_vnet_is_not_that_of_another(void **state)
{
	held_vnet("prod", "10.100.0.0/16", 300);
	held_vnet("dev", "10.101.0.0/16", 0);
	withdrawn_from_both();
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	assert_string_equal(bed_carrier("10.101.1.1"), "t azure-a");
	bed_sleep(0.31);
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
}

static struct ctl_port *
port_of(uint32_t index, const char *kernel_name)
{
	struct ctl_port *p = ctl_iface_by_index(bed.rt, index)->port;

	snprintf(p->kernel_name, sizeof(p->kernel_name), "%s", kernel_name);
	bed.rt->ports = p;
	return p;
}

/* The data plane has cleared the bits at the first message: it did switch. */
static void
a_link_that_is_back_within_one_batch_was_lost_all_the_same(void **state)
{
	struct ctl_nl_link link = {.index = 77, .name = "p-er0", .up = true};

	bed_vnet("prod", "10.100.0.0/16", NULL);
	bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
	bed_tunnel("azure-a", true);
	bed_commit();
	port_of(ER0, "p-er0");
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	ctl_follow_handler.link(bed.rt, &link, false);
	link.carrier = true;
	ctl_follow_handler.link(bed.rt, &link, false);
	ctl_follow_handler.batch_end(bed.rt);
	assert_string_equal(bed_tiers("10.100.0.0/16"), "TP");
	assert_string_equal(bed_carrier("10.100.1.1"), "t azure-a");
	bed_sleep(31);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	ctl_neighbours_forget(bed.rt, ctl_iface_by_index(bed.rt, ER0));
}

static void
an_interface_that_becomes_expressroute_counts_for_every_vnet_at_once(void **state)
{
	char prefix[32], addr[32], name[16];

	ctl_iface_by_index(bed.rt, ER1)->role = SPW_IF_ROLE_LAN;
	bed_route("10.0.0.0/8", 20, ER1, VIA1, 0, NULL);
	for (int i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		snprintf(prefix, sizeof(prefix), "10.%d.0.0/16", 100 + i);
		bed_vnet(name, prefix, NULL);
	}
	bed_commit();
	assert_string_equal(bed_carrier("10.100.1.1"), "drop");
	ctl_iface_by_index(bed.rt, ER1)->role = SPW_IF_ROLE_EXPRESSROUTE;
	bed_commit();
	for (int i = 0; i < 16; i++) {
		snprintf(addr, sizeof(addr), "10.%d.1.1", 100 + i);
		assert_string_equal(bed_carrier(addr), PATH1);
	}
}

/* BFD clears both bits; of the second nobody has heard when the first is to be set again. */
static void
a_bit_cleared_by_the_data_plane_is_not_set_again_before_its_event_is_read(void **state)
{
	struct ctl_path *p0, *p1;

	bed_vnet("prod", "10.100.0.0/16", NULL)->conf.wait_to_restore_s = 0;
	bed_route("10.100.0.0/16", 20, ER0, VIA0, ER1, VIA1);
	bed_tunnel("azure-a", true);
	bed_commit();
	port_of(ER0, "p-er0");
	port_of(ER1, "p-er1");
	struct spw_addr via0 = bed_addr(VIA0), via1 = bed_addr(VIA1);

	p0 = ctl_path_find(bed.rt, ctl_iface_by_index(bed.rt, ER0), &via0);
	p1 = ctl_path_find(bed.rt, ctl_iface_by_index(bed.rt, ER1), &via1);
	bed_link(ER0, false);
	bed_link(ER1, false);
	bed_update();
	bed_link(ER0, true);
	bed_update();
	bed_link(ER1, true);
	bed_clears(p0->id);
	bed_clears(p1->id);
	bed_update();
	assert_false(bed.bit[p0->id] || bed.bit[p1->id]);
	/* Now the events, with the faults that explain them. */
	bed_neighbour(VIA1, false);
	ctl_fib_path_cleared(bed.rt, p0->id, bed.clears[p0->id], bed.now);
	assert_true(bed.bit[p0->id]);
	ctl_fib_path_cleared(bed.rt, p1->id, bed.clears[p1->id], bed.now);
	assert_false(bed.bit[p1->id]);
}

static void
a_lost_event_heals_with_the_next_second(void **state)
{
	struct spw_addr via0 = bed_addr(VIA0);
	struct ctl_path *p;

	bed_vnet("prod", "10.100.0.0/16", NULL)->conf.wait_to_restore_s = 0;
	bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
	bed_commit();
	p = ctl_path_find(bed.rt, ctl_iface_by_index(bed.rt, ER0), &via0);
	bed_link(ER0, false);
	bed_update();
	bed_clears(p->id);
	bed_link(ER0, true);
	bed_update();
	assert_false(bed.bit[p->id]);
	ctl_paths_tick(bed.rt);
	bed_update();
	assert_true(bed.bit[p->id]);
}

/* A session fault, and the neighbour's configuration is gone since. */
static void
a_fault_of_a_session_ends_when_its_neighbour_is_configured_no_more(void **state)
{
	struct spw_addr via = bed_addr(VIA0);
	struct ctl_bmp *bmp = calloc(1, sizeof(*bmp));
	struct ctl_bmp_neighbour n = {.addr = via, .told = true, .down = true};
	struct ctl_path *p;

	bed_vnet("prod", "10.100.0.0/16", NULL);
	bed_route("10.100.0.0/16", 20, ER0, VIA0, 0, NULL);
	bed_commit();
	p = ctl_path_find(bed.rt, ctl_iface_by_index(bed.rt, ER0), &via);
	bmp->marks = ctl_bmp_marks_new();
	bmp->neighbours = &n;
	bmp->fault[bmp->n_faults++] = (struct ctl_bmp_fault){.iface = ER0, .next_hop = via};
	bed.rt->bmp = bmp;
	bed.rt->config.bgp.n_neighbors = 1;
	bed.rt->config.bgp.neighbor[0].address = via;
	ctl_path_fault(bed.rt, p, CTL_FAULT_SESSION, true, bed.now, -1);
	bed.now += 60 * SPW_NS_PER_S;
	ctl_bmp_tick(bed.rt);
	assert_int_equal(p->faults, CTL_FAULT_SESSION);
	bed.rt->config.bgp.n_neighbors = 0;
	ctl_bmp_tick(bed.rt);
	assert_int_equal(p->faults, 0);
	assert_string_equal(bed_carrier("10.100.1.1"), PATH0);
	ctl_bmp_marks_free(bmp->marks);
	free(bmp);
	bed.rt->bmp = NULL;
}

static void
a_name_that_a_tunnel_has_is_not_given_to_an_interface_in_the_same_commit(void **state)
{
	struct ctl_interface sub = {.name = "azure-a", .parent = "er0", .enabled = true};
	struct ctl_config next = {.interfaces = &sub, .n_interfaces = 1};
	struct ctl_plan *plan = NULL;
	struct spw_err err = {0};

	bed.rt->config.interfaces = &sub; /* nothing that the data plane would be asked for */
	assert_int_equal(ctl_plan_make(bed.rt, &next, &plan, &err), -EEXIST);
	assert_non_null(strstr(err.text, "interfaces azure-a: "));
	assert_non_null(strstr(err.text, "commit"));
}

#define EDGE_TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EDGE_TEST(each_prefix_is_held_for_its_own_time_while_others_follow),
		EDGE_TEST(a_hold_off_ends_for_every_vnet_under_the_withdrawn_prefix),
		EDGE_TEST(the_hold_off_of_one_vnet_is_not_that_of_another),
		EDGE_TEST(a_link_that_is_back_within_one_batch_was_lost_all_the_same),
		EDGE_TEST(an_interface_that_becomes_expressroute_counts_for_every_vnet_at_once),
		EDGE_TEST(
			a_bit_cleared_by_the_data_plane_is_not_set_again_before_its_event_is_read),
		EDGE_TEST(a_lost_event_heals_with_the_next_second),
		EDGE_TEST(a_fault_of_a_session_ends_when_its_neighbour_is_configured_no_more),
		EDGE_TEST(a_name_that_a_tunnel_has_is_not_given_to_an_interface_in_the_same_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
