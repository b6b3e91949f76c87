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
	assert_true(ctl_rib_route_del(e, 5));
	assert_false(ctl_rib_route_del(e, 5));
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_of_a_prefix_are_ordered_by_metric),
		cmocka_unit_test(a_replacement_takes_the_place_of_the_same_metric),
		cmocka_unit_test(a_sweep_takes_what_was_not_seen_again),
		cmocka_unit_test(covering_agrees_with_a_plain_list_while_entries_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
