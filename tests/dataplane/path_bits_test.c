/* SPDX-License-Identifier: BSD-3-Clause */
/* The bitmap of live paths: the data plane's clear is a latch, a stale decision loses. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "dataplane/path_bits.h"

static struct dp_path_bits *
bits_new(void)
{
	struct dp_path_bits *b = malloc(sizeof(*b));

	assert_non_null(b);
	dp_path_bits_init(b);
	return b;
}

static void
bits_free(struct dp_path_bits *b)
{
	dp_path_bits_fini(b);
	free(b);
}

static bool
is_up(struct dp_path_bits *b, uint32_t id)
{
	bool up;

	dp_path_bits_life(b, id, &up);
	return up;
}

static void
clear_one(struct dp_path_bits *b, uint32_t id, uint64_t now)
{
	struct dp_path_mask m = {0};

	dp_path_mask_add(&m, id);
	dp_path_bits_clear(b, &m, now);
}

static void
new_paths_are_down(void **state)
{
	struct dp_path_bits *b = bits_new();

	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++)
		assert_false(is_up(b, id));
	bits_free(b);
}

static void
setting_needs_the_newest_number_of_clears(void **state)
{
	struct dp_path_bits *b = bits_new();
	bool up;

	assert_int_equal(dp_path_bits_set(b, 77, true, 0, 1), 0);
	clear_one(b, 77, 2);
	assert_false(is_up(b, 77));
	assert_int_equal(dp_path_bits_life(b, 77, &up).clears, 1);
	assert_false(dp_path_bits_may_set(b, 77, true, 0));
	assert_int_equal(dp_path_bits_set(b, 77, true, 0, 3), -ESTALE);
	assert_false(is_up(b, 77));
	assert_int_equal(dp_path_bits_set(b, 77, true, 1, 4), 0);
	assert_true(is_up(b, 77));
	assert_int_equal(dp_path_bits_life(b, 77, &up).changed_ns, 4);
	bits_free(b);
}

static void
a_clear_counts_even_when_the_path_was_down(void **state)
{
	struct dp_path_bits *b = bits_new();

	clear_one(b, 5, 1);
	assert_int_equal(dp_path_bits_set(b, 5, true, 0, 2), -ESTALE);
	bits_free(b);
}

static void
clearing_by_wish_needs_no_number(void **state)
{
	struct dp_path_bits *b = bits_new();

	assert_int_equal(dp_path_bits_set(b, 9, true, 0, 1), 0);
	clear_one(b, 9, 2);
	assert_int_equal(dp_path_bits_set(b, 9, true, 1, 3), 0);
	assert_int_equal(dp_path_bits_set(b, 9, false, 0, 4), 0);
	assert_false(is_up(b, 9));
	bits_free(b);
}

static void
a_clear_of_a_port_takes_its_paths_and_no_other(void **state)
{
	struct dp_path_bits *b = bits_new();
	struct dp_path_mask port = {0}, told;

	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++)
		assert_int_equal(dp_path_bits_set(b, id, true, 0, 1), 0);
	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id += 7)
		dp_path_mask_add(&port, id);
	dp_path_bits_clear(b, &port, 2);
	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++)
		assert_int_equal(is_up(b, id), id % 7 != 0);
	assert_true(dp_path_bits_take_cleared(b, &told));
	assert_memory_equal(&told, &port, sizeof(told));
	assert_false(dp_path_bits_take_cleared(b, &told));
	bits_free(b);
}

static void
a_view_changes_only_when_it_is_renewed(void **state)
{
	struct dp_path_bits *b = bits_new();
	struct dp_path_view v = {0};

	assert_int_equal(dp_path_bits_set(b, 4095, true, 0, 1), 0);
	assert_int_equal(v.word[63], 0);
	dp_path_view_renew(&v, b);
	assert_int_equal(v.word[63] >> 63, 1);
	clear_one(b, 4095, 2);
	assert_int_equal(v.word[63] >> 63, 1);
	dp_path_view_renew(&v, b);
	assert_int_equal(v.word[63], 0);
	bits_free(b);
}

static void
a_replaced_path_is_down_and_a_removed_one_forgets(void **state)
{
	struct dp_path_bits *b = bits_new();
	bool up;

	clear_one(b, 3, 1);
	assert_int_equal(dp_path_bits_set(b, 3, true, 1, 2), 0);
	dp_path_bits_reset(b, 3, false, 3);
	assert_false(is_up(b, 3));
	assert_int_equal(dp_path_bits_life(b, 3, &up).clears, 1);
	dp_path_bits_reset(b, 3, true, 4);
	assert_int_equal(dp_path_bits_life(b, 3, &up).clears, 0);
	bits_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_paths_are_down),
		cmocka_unit_test(setting_needs_the_newest_number_of_clears),
		cmocka_unit_test(a_clear_counts_even_when_the_path_was_down),
		cmocka_unit_test(clearing_by_wish_needs_no_number),
		cmocka_unit_test(a_clear_of_a_port_takes_its_paths_and_no_other),
		cmocka_unit_test(a_view_changes_only_when_it_is_renewed),
		cmocka_unit_test(a_replaced_path_is_down_and_a_removed_one_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
