/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbours of both families against a naive list, under churn, through several rebuilds of the
 * table. Pure. */
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

/* Neighbour i: IPv4 for even ones, IPv6 for odd ones, that differ early or late in their bytes. */
static struct dp_neigh_key
key_of(uint16_t iface, uint32_t i)
{
	uint8_t addr[16] = {0x20, 0x01, 0x0d, 0xb8};

	if (i % 2 == 0)
		return dp_neigh_key4(iface, 0x0a000000 + i);
	addr[i % 4 == 1 ? 6 : 14] = (uint8_t)(i >> 8);
	addr[i % 4 == 1 ? 7 : 15] = (uint8_t)i;
	return dp_neigh_key6(iface, addr);
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
		struct dp_neigh_key key = key_of((uint16_t)(1 + i % 5), i);
		struct dp_neigh_key other = key_of(6, i);
		uint8_t to[6] = {2, 0, 0, (uint8_t)(i >> 8), (uint8_t)i, 0};

		switch (random() % 3) {
		case 0:
			to[5] = want[i] = (uint8_t)(1 + random() % 255);
			reserve(n, 1);
			dp_neigh_set(n, &key, to, 1);
			break;
		case 1:
			want[i] = 0;
			dp_neigh_del(n, &key);
			break;
		default:
			assert_int_equal(dp_neigh_find(n, &key, mac), want[i] != 0);
			to[5] = want[i];
			if (want[i])
				assert_memory_equal(mac, to, 6);
		}
		assert_false(dp_neigh_find(n, &other, mac));
	}
	dp_neighs_free(n);
}

static void
a_key_holds_the_address_mapped_and_gives_it_back(void **state)
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, 1, 2, 3};
	struct dp_neigh_key a = dp_neigh_key4(7, 0x0a010203), b = dp_neigh_key6(7, v4);
	struct dp_neigh_key c = dp_neigh_key6(8, v4);
	uint8_t back[16];

	assert_true(dp_neigh_key_equal(&a, &b));
	assert_false(dp_neigh_key_equal(&a, &c));
	dp_neigh_key_addr(&a, back);
	assert_memory_equal(back, v4, 16);
}

static void
a_dead_neighbour_is_unknown_and_an_all_zero_mac_is_not(void **state)
{
	struct dp_neighs *n = dp_neighs_new();
	const uint8_t zero[6] = {0};
	const struct dp_neigh_key key = dp_neigh_key4(1, 5);
	uint8_t mac[6] = {1};

	dp_neigh_set(n, &key, zero, 1);
	assert_true(dp_neigh_find(n, &key, mac));
	assert_memory_equal(mac, zero, 6);
	dp_neigh_set(n, &key, NULL, 1);
	assert_false(dp_neigh_find(n, &key, mac));
	dp_neighs_free(n);
}

static void
a_sweep_takes_the_older_or_an_interface(void **state)
{
	struct dp_neighs *n = dp_neighs_new();
	const uint8_t to[6] = {2};
	uint8_t mac[6];

	struct dp_neigh_key key[100];

	for (uint32_t i = 0; i < 100; i++) {
		key[i] = key_of((uint16_t)(1 + i / 2 % 2), i);
		dp_neigh_set(n, &key[i], to, i);
	}
	dp_neighs_sweep(n, 0, 50);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(dp_neigh_find(n, &key[i], mac), i >= 50);
	dp_neighs_sweep(n, 2, 0);
	for (uint32_t i = 50; i < 100; i++)
		assert_int_equal(dp_neigh_find(n, &key[i], mac), i / 2 % 2 == 0);
	dp_neighs_free(n);
}

/* A stranger can make the kernel ask for any number of addresses, one after the other. */
static void
the_table_is_as_large_as_what_is_in_it_whatever_came_and_went(void **state)
{
	struct dp_neighs *n = dp_neighs_new();
	const uint8_t to[6] = {2};
	struct dp_neigh_key stays = dp_neigh_key4(1, 7);
	uint8_t mac[6];

	dp_neigh_set(n, &stays, to, 1);
	for (uint32_t i = 0; i < 300000; i++) {
		struct dp_neigh_key key = dp_neigh_key4(2, i);

		reserve(n, 1);
		dp_neigh_set(n, &key, to, 1);
		dp_neigh_del(n, &key);
	}
	assert_in_range(atomic_load(&n->table)->mask, 1, 4095);
	assert_true(dp_neigh_find(n, &stays, mac));
	dp_neighs_free(n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_set_is_found_and_nothing_else),
		cmocka_unit_test(the_table_is_as_large_as_what_is_in_it_whatever_came_and_went),
		cmocka_unit_test(a_key_holds_the_address_mapped_and_gives_it_back),
		cmocka_unit_test(a_dead_neighbour_is_unknown_and_an_all_zero_mac_is_not),
		cmocka_unit_test(a_sweep_takes_the_older_or_an_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
