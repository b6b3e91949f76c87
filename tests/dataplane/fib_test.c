/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IPv4 FIB against a naive longest-prefix match: by random batches, with a reader beside the
 * writer, and with batches that do not fit. Runs an EAL in ordinary memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/fib.h"
#include "tests/dataplane/fib_bed.h"

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
	assert_int_equal(fib->lr.routes, want);
}

/*
 * 11.R/16 of 64 regions stands; in the upper half of its last /24, prefixes come and go beside the
 * addresses of the lower half. 12.R/16: every batch sets all of them to one group, its number.
 */
#define REGIONS 64

static uint32_t torn;

static unsigned int
check_burst(void *arg, uint64_t random)
{
	uint32_t ips[FIB_BED_BURST], want[FIB_BED_BURST];
	uint64_t leaves[FIB_BED_BURST];
	unsigned int wrong = 0;
	static uint64_t newest;

	for (unsigned int i = 0; i < FIB_BED_BURST; i++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		uint32_t region = (uint32_t)(random >> 58) % REGIONS;

		want[i] = 5000 + region;
		ips[i] = (0x0b + (i & 1)) << 24 | region << 16 | 0xff00 |
			 ((uint32_t)(random >> 40) & 0x7f);
	}
	dp_fib_lookup(fib, ips, leaves, FIB_BED_BURST);
	for (unsigned int i = 0; i < FIB_BED_BURST; i += 2)
		wrong += leaves[i] != want[i];
	for (unsigned int i = 1; i < FIB_BED_BURST; i += 2)
		torn += leaves[i] != leaves[1];
	torn += leaves[1] < newest;
	newest = leaves[1];
	return wrong;
}

static void
change(void *arg, uint32_t round)
{
	struct dp_fib_op op[REGIONS + BATCH];
	uint32_t n = 0, bad;

	for (; n < REGIONS; n++)
		op[n] = (struct dp_fib_op){
			.ip = 0x0c000000 + (n << 16), .len = 16, .group = 10000 + round};
	for (uint32_t i = 0; i < BATCH; i++) {
		uint8_t len = (uint8_t)(25 + random() % 8);
		uint32_t ip = 0x0b00ff80 | ((uint32_t)random() % REGIONS) << 16 |
			      ((uint32_t)random() & 0x7f);

		op[n++] = (struct dp_fib_op){.ip = ip & mask(len),
					     .len = len,
					     .del = random() % 4 != 0,
					     .group = 1 + (uint32_t)random() % 1000};
	}
	assert_int_equal(dp_fib_apply(fib, op, n, &bad, NULL), 0);
}

static void
a_reader_sees_right_leaves_and_whole_batches_under_churn(void **state)
{
	struct fib_bed_check check = {.burst = check_burst, .change = change};
	struct dp_fib_op op[REGIONS];
	uint32_t bad;

	for (uint32_t i = 0; i < REGIONS; i++)
		op[i] = (struct dp_fib_op){
			.ip = 0x0b000000 + (i << 16), .len = 16, .group = 5000 + i};
	assert_int_equal(dp_fib_apply(fib, op, REGIONS, &bad, NULL), 0);
	change(NULL, 0);
	struct fib_bed_result r = fib_bed_churn(qsbr, &check, 2.5);

	print_message("%lu lookups, %u batches\n", (unsigned long)r.looked, r.rounds);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(torn, 0);
	assert_true(r.looked > 100000 && r.rounds > 50);
}

static void
a_batch_that_does_not_fit_changes_nothing(void **state)
{
	static struct dp_fib_op op[20000];
	uint32_t bad = 0, before = fib->lr.routes;
	struct spw_err err = {0};

	for (uint32_t i = 0; i < 20000; i++)
		op[i] = (struct dp_fib_op){.ip = 0x14000000 + (i << 8), .len = 32, .group = 1};
	assert_true(dp_fib_apply(fib, op, 20000, &bad, &err) < 0);
	assert_true(bad > 100 && strstr(err.text, "--max-routes"));
	assert_int_equal(fib->lr.routes, before);
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

/*
 * A host route that leads where the route above it leads comes and goes, as the pinned route of a
 * tunnel does over the default route: that must not use up the room of others.
 */
static void
host_routes_that_lead_where_the_route_above_leads_take_no_room_for_good(void **state)
{
	struct dp_fib_op op[2] = {{.ip = 0x1e000000, .len = 8, .group = 77},
				  {.ip = 0x1e000001, .len = 32, .group = 77}};
	uint32_t bad;

	for (int round = 0; round < 10000; round++) {
		op[0].del = op[1].del = false;
		assert_int_equal(dp_fib_apply(fib, op, 2, &bad, NULL), 0);
		assert_int_equal(look_up(0x1e000001), 77);
		assert_int_equal(look_up(0x1e000002), 77);
		op[1].del = true;
		assert_int_equal(dp_fib_apply(fib, &op[1], 1, &bad, NULL), 0);
	}
	op[0].del = true;
	assert_int_equal(dp_fib_apply(fib, op, 1, &bad, NULL), 0);
}

/* A batch that another family's table refuses is taken back by what it found. */
static void
what_a_batch_found_is_what_was_noted_last(void **state)
{
	struct dp_fib_op op = {.ip = 0x1f000000, .len = 16, .group = 5, .generation = 1};
	struct dp_fib_route r;
	uint32_t bad;

	for (uint32_t round = 1; round <= 4; round++) {
		op.group = 4 + round;
		op.generation = 10 * round;
		assert_int_equal(dp_fib_apply(fib, &op, 1, &bad, NULL), 0);
		dp_fib_touch(fib, op.ip, op.len, 10 * round + 5);
		op.group++;
		op.generation = 10 * round + 6;
		assert_int_equal(dp_fib_apply(fib, &op, 1, &bad, NULL), 0);
		assert_true(op.had);
		assert_int_equal(op.old_group, 4 + round);
		assert_int_equal(op.old_generation, 10 * round + 5);
		assert_true(dp_fib_get(fib, op.ip, op.len, &r));
		assert_int_equal(r.generation, 10 * round + 6);
	}
	op.del = true;
	assert_int_equal(dp_fib_apply(fib, &op, 1, &bad, NULL), 0);
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
	qsbr = fib_bed_qsbr();
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
		cmocka_unit_test(a_reader_sees_right_leaves_and_whole_batches_under_churn),
		cmocka_unit_test(
			host_routes_that_lead_where_the_route_above_leads_take_no_room_for_good),
		cmocka_unit_test(what_a_batch_found_is_what_was_noted_last),
		cmocka_unit_test(a_batch_that_does_not_fit_changes_nothing),
	};

	return cmocka_run_group_tests(tests, start, end);
}
