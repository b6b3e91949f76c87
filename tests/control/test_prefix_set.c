/* SPDX-License-Identifier: BSD-3-Clause */
/* The set of prefixes: against a naive list on random input, and what a million of them take. */
#include "control/prefix_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct spw_prefix
some_prefix(unsigned int *seed)
{
	struct spw_prefix p = {.addr.family = rand_r(seed) % 2 ? AF_INET : AF_INET6};
	bool v6 = p.addr.family == AF_INET6;

	/* Few bits that differ, so that they meet and contain each other. */
	p.addr.bytes[0] = v6 ? 0x20 : 10;
	p.addr.bytes[1] = (uint8_t)(rand_r(seed) % 4);
	p.addr.bytes[v6 ? 15 : 3] = (uint8_t)(rand_r(seed) % 8);
	p.len = (uint8_t)(rand_r(seed) % 4 == 0 ? 16
			  : v6			? 128 - rand_r(seed) % 4
						: 32 - rand_r(seed) % 4);
	return spw_prefix_masked(&p);
}

static void
count_visit(void *ctx, const struct spw_prefix *p)
{
	(*(size_t *)ctx)++;
}

static void
the_set_agrees_with_a_list(void **state)
{
	enum { MANY = 400 };
	static struct spw_prefix list[MANY];
	struct ctl_prefix_set set = {0};
	unsigned int seed = 7, n = 0;

	for (unsigned int step = 0; step < 40000; step++) {
		struct spw_prefix p = some_prefix(&seed);
		unsigned int at = 0;
		bool touches = false;
		size_t visited = 0;

		while (at < n && !spw_prefix_equal(&list[at], &p))
			at++;
		for (unsigned int i = 0; i < n; i++)
			touches |= spw_prefix_contains(&list[i], &p) ||
				   spw_prefix_contains(&p, &list[i]);
		assert_int_equal(ctl_prefix_set_has(&set, &p), at < n);
		assert_int_equal(ctl_prefix_set_touches(&set, &p), touches);
		if (rand_r(&seed) % 2 && n < MANY) {
			assert_int_equal(ctl_prefix_set_add(&set, &p), at == n);
			if (at == n)
				list[n++] = p;
		} else {
			assert_int_equal(ctl_prefix_set_del(&set, &p), at < n);
			if (at < n)
				list[at] = list[--n];
		}
		assert_int_equal(ctl_prefix_set_count(&set), n);
		if (step % 1000 == 0) {
			ctl_prefix_set_each(&set, count_visit, &visited);
			assert_int_equal(visited, n);
		}
	}
	ctl_prefix_set_clear(&set);
	assert_int_equal(ctl_prefix_set_count(&set), 0);
}

static void
a_million_prefixes_fit_in_sixteen_megabytes(void **state)
{
	struct ctl_prefix_set set = {0};

	for (uint32_t i = 0; i < 1100000; i++) {
		struct spw_prefix p = {.addr = spw_addr_v4(0x14000000 + (i << 8)), .len = 24};

		assert_true(ctl_prefix_set_add(&set, &p));
	}
	assert_int_equal(ctl_prefix_set_count(&set), 1100000);
	assert_true(set.slots4 * sizeof(set.v4[0]) <= 16u << 20);
	ctl_prefix_set_clear(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_set_agrees_with_a_list),
		cmocka_unit_test(a_million_prefixes_fit_in_sixteen_megabytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
