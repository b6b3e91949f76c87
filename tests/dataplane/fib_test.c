/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FIB against a naive longest-prefix match: under random batches, with a reader that must never
 * see a wrong leaf for an address that no batch touches, and with batches that do not fit. Runs an
 * EAL in ordinary memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/fib.h"

#define PREFIXES 400
#define BATCH	 16

static struct rte_rcu_qsbr *qsbr;
static struct dp_fib *fib;

/* The naive table. */
static struct naive {
	uint32_t ip;
	uint8_t len;
	uint32_t group; /* 0 = not there */
} table[PREFIXES];

static uint32_t
mask(uint8_t len)
{
	return len ? ~UINT32_C(0) << (32 - len) : 0;
}

static uint32_t
naive_match(uint32_t ip)
{
	int best = -1;

	for (int i = 0; i < PREFIXES; i++)
		if (table[i].group && (ip & mask(table[i].len)) == table[i].ip &&
		    (best < 0 || table[i].len > table[best].len))
			best = i;
	return best < 0 ? 0 : table[best].group;
}

static uint32_t
look_up(uint32_t ip)
{
	uint64_t leaf;

	dp_fib_lookup(fib, &ip, &leaf, 1);
	return (uint32_t)leaf;
}

/* Prefixes under 10/8 (and the default), overlapping often, none doubled. */
static void
table_fill(void)
{
	for (int i = 0; i < PREFIXES; i++) {
		bool again = true;

		while (again) {
			table[i].len = i == 0 ? 0 : (uint8_t)(8 + random() % 25);
			table[i].ip = (0x0a000000 | ((uint32_t)random() & 0x0003ffff)) &
				      mask(table[i].len);
			if (i == 0)
				table[i].ip = 0;
			again = false;
			for (int k = 0; k < i; k++)
				again |= table[k].ip == table[i].ip && table[k].len == table[i].len;
		}
		table[i].group = 0;
	}
}

static struct dp_fib_op
random_op(void)
{
	struct naive *e = &table[random() % PREFIXES];

	e->group = random() % 3 ? 1 + (uint32_t)random() % 1000 : 0;
	return (struct dp_fib_op){.ip = e->ip,
				  .len = e->len,
				  .del = e->group == 0,
				  .group = e->group,
				  .generation = 7};
}

static void
lookups_equal_the_naive_match_under_churn(void **state)
{
	uint32_t bad;

	for (int round = 0; round < 400; round++) {
		struct dp_fib_op op[BATCH];

		for (int i = 0; i < BATCH; i++)
			op[i] = random_op();
		assert_int_equal(dp_fib_apply(fib, op, BATCH, &bad, NULL), 0);
		for (int i = 0; i < 300; i++) {
			uint32_t ip = 0x0a000000 | ((uint32_t)random() & 0x0003ffff);

			assert_int_equal(look_up(ip), naive_match(ip));
		}
		assert_int_equal(look_up(0xc0000201), naive_match(0xc0000201));
	}
}

static void
count(void *arg, const struct dp_fib_route *r)
{
	struct naive *e = NULL;

	for (int i = 0; i < PREFIXES; i++)
		if (table[i].ip == r->ip && table[i].len == r->len)
			e = &table[i];
	assert_non_null(e);
	assert_int_equal(e->group, r->group);
	assert_int_equal(r->generation, 7);
	(*(uint32_t *)arg)++;
}

static void
a_walk_visits_every_route_once(void **state)
{
	uint32_t seen = 0, want = 0;

	for (int i = 0; i < PREFIXES; i++)
		want += table[i].group != 0;
	dp_fib_walk(fib, count, &seen);
	assert_int_equal(seen, want);
	assert_int_equal(fib->routes, want);
}

static _Atomic int stop, wrong, looked;

/* Addresses of 11/8 are never touched by a batch; each must keep its leaf. */
static void *
reader(void *arg)
{
	uint32_t x = 1;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	while (!stop) {
		uint32_t ips[64], want[64];
		uint64_t leaves[64];

		for (int i = 0; i < 64; i++) {
			x = x * 1664525 + 1013904223;
			want[i] = 5000 + (x >> 8) % 64;
			ips[i] = 0x0b000000 + ((want[i] - 5000) << 16) + (x >> 16);
		}
		dp_fib_lookup(fib, ips, leaves, 64);
		for (int i = 0; i < 64; i++)
			wrong += leaves[i] != want[i];
		looked += 64;
		rte_rcu_qsbr_quiescent(qsbr, 0);
	}
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	return NULL;
}

static void
an_untouched_address_never_gets_a_wrong_leaf(void **state)
{
	struct dp_fib_op op[64];
	pthread_t thread;
	uint32_t bad;

	for (uint32_t i = 0; i < 64; i++)
		op[i] = (struct dp_fib_op){
			.ip = 0x0b000000 + (i << 16), .len = 16, .group = 5000 + i};
	assert_int_equal(dp_fib_apply(fib, op, 64, &bad, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, reader, NULL), 0);
	while (!looked)
		;
	for (int round = 0; round < 3000; round++) {
		/* Neighbours inside the same /16: more specific ones come and go beside them. */
		for (uint32_t i = 0; i < BATCH; i++)
			op[i] = random_op();
		assert_int_equal(dp_fib_apply(fib, op, BATCH, &bad, NULL), 0);
	}
	stop = 1;
	pthread_join(thread, NULL);
	assert_int_equal(wrong, 0);
	assert_true(looked > 100000);
}

static void
a_batch_that_does_not_fit_changes_nothing(void **state)
{
	static struct dp_fib_op op[20000];
	uint32_t bad = 0, before = fib->routes;
	struct spw_err err = {0};

	for (uint32_t i = 0; i < 20000; i++)
		op[i] = (struct dp_fib_op){.ip = 0x14000000 + (i << 8), .len = 32, .group = 1};
	assert_true(dp_fib_apply(fib, op, 20000, &bad, &err) < 0);
	assert_true(bad > 100 && strstr(err.text, "--max-routes"));
	assert_int_equal(fib->routes, before);
	for (uint32_t i = 0; i < 20000; i += 111)
		assert_int_equal(look_up(0x14000000 + (i << 8)), naive_match(0x14000000));
	assert_int_equal(look_up(0x0b010001), 5001);
	/* Room is as before: the same number fits again and again. */
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 1000; i++)
			op[i] = (struct dp_fib_op){
				.ip = 0x14000000 + (i << 8), .len = 32, .group = 1};
		assert_int_equal(dp_fib_apply(fib, op, 1000, &bad, NULL), 0);
		for (uint32_t i = 0; i < 1000; i++)
			op[i].del = true;
		assert_int_equal(dp_fib_apply(fib, op, 1000, &bad, NULL), 0);
	}
}

static int
start(void **state)
{
	char *args[] = {"fib_test",
			"--no-huge",
			"--no-pci",
			"--no-shconf",
			"--no-telemetry",
			"--file-prefix=fibtest",
			"-m",
			"768",
			"--log-level=*:3",
			"--lcores=0"};

	if (rte_eal_init(10, args) < 0)
		return -1;
	qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) & ~63ul);
	rte_rcu_qsbr_init(qsbr, 1);
	srandom(11);
	table_fill();
	return dp_fib_new(&fib, 8192, qsbr, NULL);
}

static int
end(void **state)
{
	dp_fib_free(fib);
	free(qsbr);
	return rte_eal_cleanup();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups_equal_the_naive_match_under_churn),
		cmocka_unit_test(a_walk_visits_every_route_once),
		cmocka_unit_test(an_untouched_address_never_gets_a_wrong_leaf),
		cmocka_unit_test(a_batch_that_does_not_fit_changes_nothing),
	};

	return cmocka_run_group_tests(tests, start, end);
}
