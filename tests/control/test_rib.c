/* SPDX-License-Identifier: BSD-3-Clause */
/* The mirror of the kernel's table, against a plain list on random input. */
#include "control/rib.h"

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
	struct spw_err err = {0};

	if (spw_prefix_parse(&p, text, &err) != 0)
		fail_msg("%s", err.text);
	return p;
}

static struct ctl_nl_route
route(const char *text, uint32_t metric, uint32_t index)
{
	return (struct ctl_nl_route){.prefix = prefix(text),
				     .metric = metric,
				     .protocol = 186,
				     .type = 1,
				     .n_hops = 1,
				     .hop = {{.index = index, .weight = 1}}};
}

static void
routes_of_a_prefix_are_ordered_by_metric(void **state)
{
	struct ctl_rib rib;
	struct ctl_nl_route a = route("10.0.0.0/8", 20, 1), b = route("10.0.0.0/8", 5, 2);
	struct ctl_rib_entry *e;

	assert_int_equal(ctl_rib_init(&rib), 0);
	e = ctl_rib_get(&rib, &a.prefix);
	assert_true(ctl_rib_route_put(e, &a));
	assert_true(ctl_rib_route_put(e, &b));
	assert_false(ctl_rib_route_put(e, &b)); /* nothing new */
	assert_int_equal(e->routes->metric, 5);
	assert_true(ctl_rib_route_del(e, &b));
	assert_false(ctl_rib_route_del(e, &b));
	assert_int_equal(e->routes->hop[0].index, 1);
	ctl_rib_fini(&rib);
}

static void
a_replacement_takes_the_place_of_the_same_metric(void **state)
{
	struct ctl_rib rib;
	struct ctl_nl_route a = route("10.0.0.0/8", 20, 1), b = route("10.0.0.0/8", 20, 2);
	struct ctl_rib_entry *e;

	assert_int_equal(ctl_rib_init(&rib), 0);
	e = ctl_rib_get(&rib, &a.prefix);
	ctl_rib_route_put(e, &a);
	assert_true(ctl_rib_route_put(e, &b));
	assert_int_equal(e->routes->hop[0].index, 2);
	assert_null(e->routes->next);
	ctl_rib_fini(&rib);
}

static void
a_sweep_takes_what_was_not_seen_again(void **state)
{
	struct ctl_rib rib;
	struct ctl_nl_route a = route("10.0.0.0/8", 20, 1), b = route("10.0.0.0/8", 30, 2);
	struct ctl_rib_entry *e;

	assert_int_equal(ctl_rib_init(&rib), 0);
	e = ctl_rib_get(&rib, &a.prefix);
	ctl_rib_route_put(e, &a);
	ctl_rib_route_put(e, &b);
	e->routes->stale = e->routes->next->stale = true;
	ctl_rib_route_put(e, &b);
	assert_true(ctl_rib_route_sweep(e));
	assert_int_equal(e->routes->metric, 30);
	assert_false(ctl_rib_route_sweep(e));
	ctl_rib_fini(&rib);
}

#define MANY 5000

static int
model_covering(const struct spw_prefix *list, const bool *there, const struct spw_addr *a, int len)
{
	int best = -1;

	for (int i = 0; i < MANY; i++)
		if (there[i] && list[i].len < len && spw_prefix_contains_addr(&list[i], a) &&
		    (best < 0 || list[i].len > list[best].len))
			best = i;
	return best;
}

static void
covering_agrees_with_a_plain_list_while_entries_come_and_go(void **state)
{
	static struct spw_prefix list[MANY];
	static bool there[MANY];
	struct ctl_rib rib;

	srand(11);
	assert_int_equal(ctl_rib_init(&rib), 0);
	for (int i = 0; i < MANY; i++) {
		list[i].addr = spw_addr_v4(0x0a000000u | ((uint32_t)rand() & 0xffff00));
		list[i].len = (uint8_t)(4 + rand() % 29);
		list[i] = spw_prefix_masked(&list[i]);
		there[i] = ctl_rib_find(&rib, &list[i]) == NULL;
		assert_non_null(ctl_rib_get(&rib, &list[i]));
	}
	for (int i = 0; i < 3000; i++) {
		struct spw_addr a = spw_addr_v4(0x0a000000u | ((uint32_t)rand() & 0xffffff));
		int len = 1 + rand() % 33, want = model_covering(list, there, &a, len);
		struct ctl_rib_entry *e = ctl_rib_covering(&rib, &a, len);
		int gone = rand() % MANY;

		assert_int_equal(e == NULL, want < 0);
		if (e)
			assert_true(spw_prefix_equal(&e->prefix, &list[want]));
		if (there[gone]) {
			ctl_rib_remove(&rib, ctl_rib_find(&rib, &list[gone]));
			there[gone] = false;
		}
	}
	ctl_rib_fini(&rib);
}

static struct ctl_nl_route
two_hops(const char *prefix, const char *one, const char *two)
{
	struct ctl_nl_route r = {.metric = 20, .protocol = 186, .type = 1, .n_hops = two ? 2 : 1};

	assert_int_equal(spw_prefix_parse(&r.prefix, prefix, NULL), 0);
	assert_int_equal(spw_addr_parse(&r.hop[0].gateway, one, NULL), 0);
	if (two)
		assert_int_equal(spw_addr_parse(&r.hop[1].gateway, two, NULL), 0);
	r.hop[0].index = r.hop[1].index = 3;
	return r;
}

/* The kernel deletes next hops of IPv6 one by one, routes of IPv4 as a whole. */
static void
a_deleted_next_hop_of_ipv6_leaves_the_others(void **state)
{
	struct ctl_nl_route both = two_hops("2001:db8::/48", "2001:db8:1::2", "2001:db8:1::6");
	struct ctl_nl_route first = two_hops("2001:db8::/48", "2001:db8:1::2", NULL);
	struct ctl_nl_route other = two_hops("2001:db8::/48", "2001:db8:1::a", NULL);
	struct ctl_nl_route v4 = two_hops("10.0.0.0/8", "172.16.0.2", "172.16.0.6");
	struct ctl_nl_route v4_first = two_hops("10.0.0.0/8", "172.16.0.2", NULL);
	struct ctl_rib rib;
	struct ctl_rib_entry *e;

	assert_int_equal(ctl_rib_init(&rib), 0);
	e = ctl_rib_get(&rib, &both.prefix);
	assert_true(ctl_rib_route_put(e, &both));
	assert_false(ctl_rib_route_del(e, &other));
	assert_true(ctl_rib_route_del(e, &first));
	assert_int_equal(e->routes->n_hops, 1);
	assert_true(spw_addr_equal(&e->routes->hop[0].gateway, &both.hop[1].gateway));
	assert_true(ctl_rib_route_del(e, &both));
	assert_null(e->routes);
	assert_true(ctl_rib_route_put(e, &both));
	both.n_hops = 0; /* no hop named: all of it */
	assert_true(ctl_rib_route_del(e, &both));
	assert_null(e->routes);
	e = ctl_rib_get(&rib, &v4.prefix);
	assert_true(ctl_rib_route_put(e, &v4));
	assert_true(ctl_rib_route_del(e, &v4_first));
	assert_null(e->routes);
	ctl_rib_fini(&rib);
}

static void
only_our_route_with_the_pins_metric_is_a_pin(void **state)
{
	struct ctl_nl_route r = two_hops("203.0.113.2/32", "198.51.100.1", NULL);
	struct ctl_rib rib;
	struct ctl_rib_entry *e;

	assert_int_equal(ctl_rib_init(&rib), 0);
	e = ctl_rib_get(&rib, &r.prefix);
	assert_false(ctl_rib_is_pin(e));
	assert_true(ctl_rib_route_put(e, &r));
	assert_false(ctl_rib_is_pin(e));
	r.metric = CTL_PIN_METRIC;
	assert_true(ctl_rib_route_put(e, &r));
	assert_false(ctl_rib_is_pin(e)); /* of another program */
	r.protocol = CTL_RTPROT_US;
	assert_true(ctl_rib_route_put(e, &r));
	assert_true(ctl_rib_is_pin(e));
	assert_int_equal(e->routes->metric, CTL_PIN_METRIC); /* before all others */
	ctl_rib_fini(&rib);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_of_a_prefix_are_ordered_by_metric),
		cmocka_unit_test(a_replacement_takes_the_place_of_the_same_metric),
		cmocka_unit_test(a_sweep_takes_what_was_not_seen_again),
		cmocka_unit_test(covering_agrees_with_a_plain_list_while_entries_come_and_go),
		cmocka_unit_test(a_deleted_next_hop_of_ipv6_leaves_the_others),
		cmocka_unit_test(only_our_route_with_the_pins_metric_is_a_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
