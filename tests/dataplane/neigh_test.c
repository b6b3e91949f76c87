/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbours against a naive list, under churn, through several rebuilds of the table. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/neigh.h"

#define N 3000

static void
reserve(struct dp_neighs *n, uint32_t more)
{
	struct dp_neigh_table *old;

	assert_int_equal(dp_neighs_reserve(n, more, &old), 0);
	free(old);
}

static void
what_was_set_is_found_and_nothing_else(void **state)
{
	struct dp_neighs *n = dp_neighs_new();
	static uint8_t want[N]; /* 0 = unknown */
	uint8_t mac[6];

	srandom(3);
	for (int round = 0; round < 60000; round++) {
		uint32_t i = (uint32_t)random() % N;
		uint64_t key = dp_neigh_key((uint16_t)(1 + i % 5), 0x0a000000 + i);
		uint8_t to[6] = {2, 0, 0, (uint8_t)(i >> 8), (uint8_t)i, 0};

		switch (random() % 3) {
		case 0:
			to[5] = want[i] = (uint8_t)(1 + random() % 255);
			reserve(n, 1);
			dp_neigh_set(n, key, to, 1);
			break;
		case 1:
			want[i] = 0;
			dp_neigh_del(n, key);
			break;
		default:
			assert_int_equal(dp_neigh_find(n, key, mac), want[i] != 0);
			to[5] = want[i];
			if (want[i])
				assert_memory_equal(mac, to, 6);
		}
		assert_false(dp_neigh_find(n, dp_neigh_key(6, 0x0a000000 + i), mac));
	}
	dp_neighs_free(n);
}

static void
a_dead_neighbour_is_unknown_and_an_all_zero_mac_is_not(void **state)
{
	struct dp_neighs *n = dp_neighs_new();
	const uint8_t zero[6] = {0};
	uint8_t mac[6] = {1};

	dp_neigh_set(n, dp_neigh_key(1, 5), zero, 1);
	assert_true(dp_neigh_find(n, dp_neigh_key(1, 5), mac));
	assert_memory_equal(mac, zero, 6);
	dp_neigh_set(n, dp_neigh_key(1, 5), NULL, 1);
	assert_false(dp_neigh_find(n, dp_neigh_key(1, 5), mac));
	dp_neighs_free(n);
}

static void
a_sweep_takes_the_older_or_an_interface(void **state)
{
	struct dp_neighs *n = dp_neighs_new();
	const uint8_t to[6] = {2};
	uint8_t mac[6];

	for (uint32_t i = 0; i < 100; i++)
		dp_neigh_set(n, dp_neigh_key((uint16_t)(1 + i % 2), i), to, i);
	dp_neighs_sweep(n, 0, 50);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(dp_neigh_find(n, dp_neigh_key((uint16_t)(1 + i % 2), i), mac),
				 i >= 50);
	dp_neighs_sweep(n, 2, 0);
	for (uint32_t i = 50; i < 100; i++)
		assert_int_equal(dp_neigh_find(n, dp_neigh_key((uint16_t)(1 + i % 2), i), mac),
				 i % 2 == 0);
	dp_neighs_free(n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_set_is_found_and_nothing_else),
		cmocka_unit_test(a_dead_neighbour_is_unknown_and_an_all_zero_mac_is_not),
		cmocka_unit_test(a_sweep_takes_the_older_or_an_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
