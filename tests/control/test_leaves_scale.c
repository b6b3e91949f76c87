/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many routes: storms, a lost next hop under a full table, random events against the rule in words.
 * A hundred thousand prefixes; SPW_LONG=1 takes a million.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>
#include <linux/rtnetlink.h>

#include "tests/control/leaves_bed.h"

#define TURN 4096 /* entries the event loop may be kept by, as fib.c promises */

static unsigned int many = 100000;

static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Prefix n of many: /24s and, every fourth, a /28 inside 16.0.0.0/4. */
static struct spw_prefix
nth(unsigned int n)
{
	uint32_t a = UINT32_C(0x10000000) + (n << 8) + (n % 4 == 0 ? 16 : 0);
	struct spw_prefix p = {.addr = {.family = AF_INET}, .len = n % 4 == 0 ? 28 : 24};

	for (unsigned int i = 0; i < 4; i++)
		p.addr.bytes[i] = (uint8_t)(a >> (24 - 8 * i));
	return p;
}

static void
put(const struct spw_prefix *prefix, uint32_t over, const struct spw_addr *via)
{
	struct ctl_nl_route r = {.prefix = *prefix,
				 .metric = 20,
				 .protocol = 186,
				 .type = RTN_UNICAST,
				 .n_hops = 1,
				 .hop = {{.index = over, .weight = 1, .gateway = *via}}};
	struct ctl_rib_entry *e = ctl_rib_get(&bed.rt->rib, prefix);

	if (ctl_rib_route_put(e, &r))
		ctl_fib_route_changed(bed.rt, e);
}

static void
del(const struct spw_prefix *prefix)
{
	struct ctl_nl_route r = {.prefix = *prefix, .metric = 20};
	struct ctl_rib_entry *e = ctl_rib_find(&bed.rt->rib, prefix);

	if (e && ctl_rib_route_del(e, &r))
		ctl_fib_route_changed(bed.rt, e);
}

static void
learn_many(uint32_t over, const char *via)
{
	struct spw_addr hop = bed_addr(via);

	for (unsigned int n = 0; n < many; n++) {
		struct spw_prefix p = nth(n);

		put(&p, over, &hop);
		/* As netlink brings them: some hundred in a batch. */
		if (n % 256 == 255)
			ctl_fib_update(bed.rt);
	}
	bed_update();
}

static void
report(const char *what, double s)
{
	print_message("%u prefixes %s: %.2f s of CPU, %.0f a second\n", many, what, s, many / s);
}

static void
a_full_table_is_taken_faster_than_zebra_gives_it(void **state)
{
	double begin;

	bed_commit();
	begin = cpu_s();
	learn_many(LAN0, "10.1.0.9");
	report("outside of vnets installed", cpu_s() - begin);
	assert_int_equal(bed.routes_set, many);
	assert_int_equal(bed.groups_set, 1);
	/* Of CPU time, so that a loaded machine does not fail it. */
	assert_true(many / (cpu_s() - begin) > 30000);
}

static void
a_full_table_in_a_vnet_is_taken_as_fast(void **state)
{
	double begin;

	bed_vnet("wide", "16.0.0.0/4", NULL);
	bed_tunnel("azure-a", true);
	bed_commit();
	begin = cpu_s();
	learn_many(ER0, VIA0);
	report("inside a vnet installed", cpu_s() - begin);
	assert_int_equal(bed.fib.n, many + 1);
	assert_true(many / (cpu_s() - begin) > 30000);
}

static void
a_next_hop_lost_under_a_full_table_is_one_bit_and_no_route(void **state)
{
	struct ctl_vnet_state *v = bed_vnet("wide", "16.0.0.0/4", NULL);
	double begin;

	bed_tunnel("azure-a", true);
	bed_commit();
	learn_many(ER0, VIA0);
	bed_sleep(31);
	assert_string_equal(bed_carrier("16.0.1.17"), "a er0 172.16.0.2");
	bed.first_message = bed.routes_set = bed.states = bed.groups_set = 0;
	begin = cpu_s();
	bed_neighbour(VIA0, false);
	ctl_fib_update(bed.rt);
	assert_true(cpu_s() - begin < 0.02);
	assert_int_equal(bed.first_message, SPW_DP_PATH_STATE);
	assert_int_equal(bed.states, 1);
	assert_int_equal(bed.routes_set + bed.groups_set, 0);
	assert_string_equal(bed_carrier("16.0.1.17"), "t azure-a");
	assert_int_equal(v->on_tunnel, many);
	assert_int_equal(ctl_failover_switch(bed.rt, 0)->prefixes, many);
}

/* The kernel then takes the routes away, in one go: each turn of the loop is bounded. */
static void
a_full_table_that_is_withdrawn_goes_in_bounded_turns(void **state)
{
	unsigned int turns = 0, before;
	double longest = 0;

	bed_vnet("wide", "16.0.0.0/4", NULL);
	bed_tunnel("azure-a", true);
	bed_commit();
	learn_many(ER0, VIA0);
	bed_sleep(31);
	for (unsigned int n = 0; n < many; n++) {
		struct spw_prefix p = nth(n);

		del(&p);
	}
	bed.routes_del = 0;
	do {
		double begin = cpu_s(), took;

		before = bed.routes_del;
		if (turns++ == 0)
			ctl_fib_update(bed.rt);
		else
			event_base_loop(bed.rt->base, EVLOOP_ONCE);
		took = cpu_s() - begin;
		longest = took > longest ? took : longest;
		assert_in_range(bed.routes_del - before, 0, TURN);
	} while (bed.rt->dirty);
	print_message("%u turns, the longest %.1f ms\n", turns, longest * 1000);
	assert_int_equal(bed.routes_del, many);
	assert_int_equal(bed.fib.n, 1);
	assert_string_equal(bed_carrier("16.0.1.17"), "t azure-a");
	/* One record for them all, or one for the vnet and one for the rest. */
	assert_in_range(ctl_failover_n_switches(bed.rt), 1, 3);
}

/* F02: 4,000 prefixes withdrawn and announced twenty times; FIB = RIB at the end, memory as
 * before. */
static void
storms_of_4000_prefixes_leave_fib_and_rib_equal(void **state)
{
	struct spw_addr hop = bed_addr(VIA0);
	const unsigned int prefixes = 4000;
	size_t early = 0, late;
	double begin;

	bed_vnet("wide", "16.0.0.0/4", NULL)->conf.wait_to_restore_s = 0;
	bed_tunnel("azure-a", true);
	bed_commit();
	begin = cpu_s();
	for (unsigned int storm = 0; storm < 40; storm++) {
		for (unsigned int n = 0; n < prefixes; n++) {
			struct spw_prefix p = nth(n);

			if (storm & 1)
				del(&p);
			else
				put(&p, ER0, &hop);
			if (rand() % 64 == 0)
				ctl_fib_update(bed.rt);
		}
		if (storm == 5)
			early = mallinfo2().uordblks;
	}
	bed_update();
	ctl_fib_collect(bed.rt);
	late = mallinfo2().uordblks;
	print_message("20 storms: %.2f s of CPU, %zu bytes in use before, %zu after\n",
		      cpu_s() - begin, early, late);
	assert_true(cpu_s() - begin < 10);
	assert_true(late <= early + early / 20);
	assert_int_equal(bed.fib.n, 1);
	assert_int_equal(bed.rt->rib.n, 1);
	for (unsigned int n = 0; n < prefixes; n++) {
		struct spw_prefix p = nth(n);

		put(&p, ER0, &hop);
	}
	bed_update();
	for (unsigned int n = 0; n < prefixes; n++) {
		struct spw_prefix p = nth(n);

		assert_non_null(ctl_rib_find(&bed.fib, &p));
	}
	assert_string_equal(bed_carrier("16.0.1.17"), "a er0 172.16.0.2");
}

/* A covering route that goes takes the next hops away that longer ones inherit, in a large vnet a
 * few times a second at most. */
static void
what_longer_routes_inherit_follows_in_a_large_vnet(void **state)
{
	struct spw_prefix cover = bed_prefix("16.0.0.0/8");
	struct spw_addr hop = bed_addr(VIA1);

	many = many > 20000 ? 20000 : many;
	bed_vnet("wide", "16.0.0.0/4", NULL)->conf.wait_to_restore_s = 0;
	bed_tunnel("azure-a", true);
	bed_commit();
	learn_many(ER0, VIA0);
	put(&cover, ER1, &hop);
	bed_update();
	bed_sleep(1);
	assert_string_equal(bed_tiers("16.0.1.0/24"), "EET");
	for (unsigned int i = 0; i < 50; i++) {
		del(&cover);
		ctl_fib_update(bed.rt);
		put(&cover, ER1, &hop);
		ctl_fib_update(bed.rt);
	}
	del(&cover);
	bed_update();
	bed.now += SPW_NS_PER_S;
	bed_update();
	assert_string_equal(bed_tiers("16.0.1.0/24"), "ET");
}

/* Which next hops are learnt for an address, by the routes that cover it. */
struct world {
	bool route[64][2]; /* prefix n over link l */
	bool link[2], tunnel;
};

static struct spw_prefix
world_prefix(unsigned int n)
{
	struct spw_prefix p = {.addr = {.family = AF_INET, .bytes = {10, 100}}, .len = 16};

	if (n == 0)
		return p;
	p.len = n % 2 ? 20 : 24;
	p.addr.bytes[2] = (uint8_t)(n % 2 ? (n / 2 % 16) << 4 : n);
	return p;
}

static void
world_apply(const struct world *w, unsigned int n)
{
	struct spw_prefix p = world_prefix(n);
	char text[SPW_PREFIX_TEXT];

	spw_prefix_format(&p, text);
	if (!w->route[n][0] && !w->route[n][1])
		del(&p);
	else if (w->route[n][0] && w->route[n][1])
		bed_route(text, 20, ER0, VIA0, ER1, VIA1);
	else
		bed_route(text, 20, w->route[n][0] ? ER0 : ER1, w->route[n][0] ? VIA0 : VIA1, 0,
			  NULL);
}

static void
world_check(const struct world *w, unsigned int third, unsigned int fourth)
{
	bool may[2] = {0};
	char addr[32];
	const char *got;

	snprintf(addr, sizeof(addr), "10.100.%u.%u", third, fourth);
	struct spw_addr a = bed_addr(addr);

	for (unsigned int n = 0; n < 64; n++) {
		struct spw_prefix p = world_prefix(n);

		if (!spw_prefix_contains_addr(&p, &a))
			continue;
		may[0] |= w->route[n][0] && w->link[0];
		may[1] |= w->route[n][1] && w->link[1];
	}
	got = bed_carrier(addr);
	if (may[0] || may[1]) {
		if (!((may[0] && strncmp(got, "a er0", 5) == 0) ||
		      (may[1] && strncmp(got, "a er1", 5) == 0)))
			fail_msg("%s: %s, but er0 %d er1 %d stand", addr, got, may[0], may[1]);
	} else if (strcmp(got, w->tunnel ? "t azure-a" : "drop") != 0) {
		fail_msg("%s: %s, but no next hop stands (tunnel %d)", addr, got, w->tunnel);
	}
}

/* Two prefixes of the world may be the same: then they are one route. */
static bool
world_is_first(unsigned int n)
{
	struct spw_prefix p = world_prefix(n);

	for (unsigned int i = 0; i < n; i++) {
		struct spw_prefix q = world_prefix(i);

		if (spw_prefix_equal(&p, &q))
			return false;
	}
	return true;
}

static void
world_step(struct world *w)
{
	unsigned int n = (unsigned int)rand() % 64;

	switch (rand() % 8) {
	case 0:
		w->link[n & 1] = !w->link[n & 1];
		bed_link(n & 1 ? ER1 : ER0, w->link[n & 1]);
		break;
	case 1:
		w->tunnel = !w->tunnel;
		bed_tunnel("azure-a", w->tunnel);
		break;
	default:
		if (!world_is_first(n))
			break;
		w->route[n][rand() % 2] = rand() % 2;
		world_apply(w, n);
	}
}

static void
random_events_end_where_the_rule_says(void **state)
{
	for (unsigned int seed = 1; seed <= 6; seed++) {
		struct world w = {.link = {true, true}, .tunnel = true};

		if (seed > 1) {
			bed_stop();
			bed_start();
		}
		srand(seed);
		bed_vnet("prod", "10.100.0.0/16", NULL)->conf.wait_to_restore_s = 0;
		bed_tunnel("azure-a", true);
		bed_commit();
		for (unsigned int i = 0; i < 3000; i++) {
			world_step(&w);
			if (rand() % 4 == 0)
				continue;
			bed_update();
			world_check(&w, (unsigned int)rand() % 80, 1);
			if (rand() % 100 == 0)
				ctl_fib_collect(bed.rt);
		}
	}
}

int
main(void)
{
#define SCALE_TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		SCALE_TEST(a_full_table_is_taken_faster_than_zebra_gives_it),
		SCALE_TEST(a_full_table_in_a_vnet_is_taken_as_fast),
		SCALE_TEST(a_next_hop_lost_under_a_full_table_is_one_bit_and_no_route),
		SCALE_TEST(a_full_table_that_is_withdrawn_goes_in_bounded_turns),
		SCALE_TEST(storms_of_4000_prefixes_leave_fib_and_rib_equal),
		SCALE_TEST(random_events_end_where_the_rule_says),
		SCALE_TEST(what_longer_routes_inherit_follows_in_a_large_vnet),
	};

	spw_log_init("test", SPW_LOG_ERROR);
	if (getenv("SPW_LONG"))
		many = 1000000;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
