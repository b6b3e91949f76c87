/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IPv6 FIB against a naive longest-prefix match: by random batches, by prefixes nested at every
 * length, with a reader beside the writer, at the limit of its room. Needs no EAL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/fib6.h"
#include "dataplane/trie.h"
#include "tests/dataplane/fib_bed.h"

#define PREFIXES 600
#define BATCH	 16
#define BIG	 2000 /* routes of the table that is filled to its limit */

static struct rte_rcu_qsbr *qsbr;
static struct dp_fib6 *fib;
static uint64_t seed = 0x1234567;

static struct naive {
	uint8_t ip[16];
	uint8_t len;
	bool there;
	uint32_t group;
} table[PREFIXES];

static uint32_t
pick(uint32_t n)
{
	return (uint32_t)(fib_bed_random(&seed) >> 33) % n;
}

static void
mask(uint8_t ip[16], uint8_t len)
{
	for (unsigned int i = 0; i < 16; i++)
		if (8 * i >= len)
			ip[i] = 0;
		else if (len - 8 * i < 8)
			ip[i] &= (uint8_t)(0xff00 >> (len - 8 * i));
}

static bool
covers(const uint8_t prefix[16], uint8_t len, const uint8_t ip[16])
{
	uint8_t head[16];

	memcpy(head, ip, 16);
	mask(head, len);
	return memcmp(head, prefix, 16) == 0;
}

static uint32_t
naive_match(const uint8_t ip[16])
{
	int best = -1;

	for (int i = 0; i < PREFIXES; i++)
		if (table[i].there && (best < 0 || table[i].len > table[best].len) &&
		    covers(table[i].ip, table[i].len, ip))
			best = i;
	return best < 0 ? 0 : table[best].group;
}

static uint32_t
look_up(struct dp_fib6 *f, const uint8_t ip[16])
{
	uint8_t ips[1][16];
	uint64_t leaf;

	memcpy(ips[0], ip, 16);
	dp_fib6_lookup(f, ips, &leaf, 1);
	return (uint32_t)leaf;
}

/* An address near others: few values for each byte, so that prefixes nest and share nodes. */
static void
near_address(uint8_t ip[16])
{
	static const uint8_t few[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};

	for (int i = 0; i < 16; i++)
		ip[i] = pick(4) ? few[0] : few[pick(6)];
	ip[0] = 0xfd;
}

static void
table_fill(void)
{
	for (int i = 0; i < PREFIXES; i++) {
		struct naive *e = &table[i];
		bool again = true;

		while (again) {
			e->len = i == 0 ? 0 : (uint8_t)pick(129);
			near_address(e->ip);
			mask(e->ip, e->len);
			again = false;
			for (int k = 0; k < i; k++)
				again |= table[k].len == e->len &&
					 memcmp(table[k].ip, e->ip, 16) == 0;
		}
		e->there = false;
	}
}

static struct dp_fib_op
op_of(const uint8_t ip[16], uint8_t len, bool del, uint32_t group)
{
	struct dp_fib_op op = {.len = len, .del = del, .group = group, .generation = 7};

	memcpy(op.ip6, ip, 16);
	return op;
}

/* Group 0 is as good as any: it hides what is above it. */
static struct dp_fib_op
random_op(void)
{
	struct naive *e = &table[pick(PREFIXES)];

	e->there = pick(5) < 3;
	e->group = pick(6);
	return op_of(e->ip, e->len, !e->there, e->group);
}

static void
apply(struct dp_fib6 *f, struct dp_fib_op *op, uint32_t n)
{
	uint32_t bad;

	assert_int_equal(dp_fib6_apply(f, op, n, &bad, NULL), 0);
}

static void
assert_sides_equal(struct dp_fib6 *f)
{
	const struct dp_trie *a = f->lr.side[0], *b = f->lr.side[1];

	assert_memory_equal(a->root, b->root, sizeof(a->root));
	assert_memory_equal(a->owner, b->owner, sizeof(a->owner));
	assert_int_equal(a->fresh, b->fresh);
	assert_int_equal(a->used_lines, b->used_lines);
	assert_memory_equal(a->spare, b->spare, sizeof(a->spare));
	assert_memory_equal(a->pool, b->pool, (size_t)a->fresh * 64);
	assert_memory_equal(a->route, b->route, (a->route_mask + 1ul) * sizeof(a->route[0]));
}

static void
lookups_equal_the_naive_match_after_random_batches(void **state)
{
	for (int round = 0; round < 1500; round++) {
		struct dp_fib_op op[BATCH];
		uint8_t ips[100][16];
		uint64_t leaves[100];

		for (int i = 0; i < BATCH; i++)
			op[i] = random_op();
		apply(fib, op, BATCH);
		for (int i = 0; i < 100; i++) {
			if (i % 2)
				near_address(ips[i]);
			else
				memcpy(ips[i], table[pick(PREFIXES)].ip, 16);
			ips[i][15] ^= (uint8_t)pick(4);
		}
		dp_fib6_lookup(fib, ips, leaves, 100);
		for (int i = 0; i < 100; i++) {
			struct dp_fib_route r = {0};

			assert_int_equal(leaves[i], naive_match(ips[i]));
			if (dp_fib6_match(fib, ips[i], &r))
				assert_int_equal(r.group, leaves[i]);
			else
				assert_int_equal(leaves[i], 0);
		}
	}
	assert_sides_equal(fib);
}

static void
count(void *arg, const struct dp_fib_route *r)
{
	for (int i = 0; i < PREFIXES; i++)
		if (table[i].len == r->len && memcmp(table[i].ip, r->ip6, 16) == 0) {
			assert_true(table[i].there);
			assert_int_equal(table[i].group, r->group);
			assert_int_equal(r->generation, 7);
			(*(uint32_t *)arg)++;
			return;
		}
	fail_msg("a route that nobody set");
}

static void
a_walk_visits_every_route_once(void **state)
{
	uint32_t seen = 0, want = 0;

	for (int i = 0; i < PREFIXES; i++)
		want += table[i].there;
	assert_true(want > PREFIXES / 4);
	dp_fib6_walk(fib, count, &seen);
	assert_int_equal(seen, want);
	assert_int_equal(fib->lr.routes, want);
}

static void
a_touched_route_has_the_newer_generation(void **state)
{
	struct dp_fib_op op = op_of(table[0].ip, 0, false, 9);
	struct dp_fib_route r;

	apply(fib, &op, 1);
	dp_fib6_touch(fib, table[0].ip, 0, 12);
	assert_true(dp_fib6_get(fib, table[0].ip, 0, &r));
	assert_int_equal(r.generation, 12);
	assert_sides_equal(fib);
	op.del = true;
	apply(fib, &op, 1);
	assert_int_equal(op.old_generation, 12);
	table[0].there = false;
}

static void
an_empty_table_takes_no_memory(void **state)
{
	struct dp_fib_op op[PREFIXES];
	const struct dp_trie *t = fib->lr.side[0];

	for (int i = 0; i < PREFIXES; i++)
		op[i] = op_of(table[i].ip, table[i].len, true, 0);
	apply(fib, op, PREFIXES);
	assert_int_equal(fib->lr.routes, 0);
	assert_int_equal(t->used_lines, 0);
	for (unsigned int i = 0; i < DP_TRIE_ROOT; i++)
		assert_true(t->root[i] == 0 && t->owner[i] == DP_TRIE_NO_OWNER);
	assert_sides_equal(fib);
}

static void
shuffle(uint8_t order[129])
{
	for (unsigned int i = 0; i < 129; i++)
		order[i] = (uint8_t)i;
	for (unsigned int i = 128; i > 0; i--) {
		unsigned int k = pick(i + 1);
		uint8_t swap = order[i];

		order[i] = order[k];
		order[k] = swap;
	}
}

/* The address that follows `ip` for exactly `len` bits. */
static void
leave_after(uint8_t out[16], const uint8_t ip[16], unsigned int len)
{
	memcpy(out, ip, 16);
	if (len < 128)
		out[len / 8] ^= (uint8_t)(0x80 >> (len % 8));
}

static void
assert_nested(const uint8_t ip[16], const bool there[129])
{
	uint32_t want = 0;

	for (unsigned int len = 0; len <= 128; len++) {
		uint8_t at[16];

		leave_after(at, ip, len);
		want = there[len] ? len + 1000 : want;
		assert_int_equal(look_up(fib, at), want);
	}
}

/* Covering prefixes go before and after what they cover, in any order. */
static void
prefixes_of_every_length_nest_in_any_order(void **state)
{
	for (int round = 0; round < 40; round++) {
		bool there[129] = {false};
		uint8_t ip[16], order[129], prefix[16];

		for (int i = 0; i < 16; i++)
			ip[i] = (uint8_t)pick(256);
		for (int half = 0; half < 2; half++) {
			shuffle(order);
			for (int i = 0; i < 129; i++) {
				memcpy(prefix, ip, 16);
				mask(prefix, order[i]);
				struct dp_fib_op op =
					op_of(prefix, order[i], half == 1, order[i] + 1000u);

				apply(fib, &op, 1);
				there[order[i]] = half == 0;
				if (i % 16 == round % 16)
					assert_nested(ip, there);
			}
		}
		assert_int_equal(((struct dp_trie *)fib->lr.side[0])->used_lines, 0);
	}
	assert_sides_equal(fib);
}

static void
group_zero_hides_what_covers_it(void **state)
{
	static const uint8_t doc[16] = {0x20, 0x01, 0x0d, 0xb8},
			     lost[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1};
	static const uint8_t any[16];
	struct dp_fib_op op[] = {op_of(any, 0, false, 3), op_of(doc, 32, false, 4),
				 op_of(lost, 48, false, 0), op_of(any, 8, false, 0)};

	apply(fib, op, 4);
	assert_int_equal(look_up(fib, doc), 4);
	assert_int_equal(look_up(fib, lost), 0);
	assert_int_equal(look_up(fib, any), 0);
	for (int i = 0; i < 4; i++)
		op[i].del = true;
	apply(fib, op, 4);
	assert_int_equal(look_up(fib, doc), 0);
}

/* fd00:0:0:RR::/64 of 64 regions stands; beside its lower half, prefixes of the upper half come
 * and go. fd01::/16 has prefixes that every batch sets to one group, the batch's number. */
#define REGIONS 64

static uint32_t torn;

static unsigned int
check_burst(void *arg, uint64_t random)
{
	uint8_t ips[FIB_BED_BURST][16];
	uint64_t leaves[FIB_BED_BURST];
	unsigned int wrong = 0;
	static uint64_t newest;

	for (unsigned int i = 0; i < FIB_BED_BURST; i++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		memset(ips[i], 0, 16);
		ips[i][0] = 0xfd;
		ips[i][1] = i & 1;
		ips[i][7] = (uint8_t)(random >> 40) % REGIONS;
		ips[i][8] = (uint8_t)(random >> 32) & 0x7f;
		ips[i][15] = (uint8_t)(random >> 48);
	}
	dp_fib6_lookup(fib, ips, leaves, FIB_BED_BURST);
	for (unsigned int i = 0; i < FIB_BED_BURST; i += 2)
		wrong += leaves[i] != 5000u + ips[i][7];
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
	uint32_t n = 0;

	for (; n < REGIONS; n++) {
		uint8_t ip[16] = {0xfd, 1};

		ip[7] = (uint8_t)n;
		op[n] = op_of(ip, 64, false, 10000 + round);
	}
	for (unsigned int i = 0; i < BATCH; i++) {
		uint8_t ip[16] = {0xfd};
		uint8_t len = (uint8_t)(65 + pick(64));

		ip[7] = (uint8_t)pick(REGIONS);
		ip[8] = (uint8_t)(0x80 | pick(4) << 5);
		ip[9] = (uint8_t)(pick(3) << 6);
		mask(ip, len);
		op[n++] = op_of(ip, len, pick(2), 1 + pick(1000));
	}
	apply(fib, op, n);
}

static void
a_reader_sees_right_leaves_and_whole_batches_under_churn(void **state)
{
	struct fib_bed_check check = {.burst = check_burst, .change = change};
	struct dp_fib_op op[REGIONS];

	for (unsigned int i = 0; i < REGIONS; i++) {
		uint8_t ip[16] = {0xfd};

		ip[7] = (uint8_t)i;
		op[i] = op_of(ip, 64, false, 5000 + i);
	}
	apply(fib, op, REGIONS);
	change(NULL, 0);
	struct fib_bed_result r = fib_bed_churn(qsbr, &check, 2.0);

	print_message("%lu lookups, %u batches\n", (unsigned long)r.looked, r.rounds);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(torn, 0);
	assert_true(r.looked > 100000 && r.rounds > 100);
	assert_sides_equal(fib);
}

/* Routes far apart: none shares more than the first bytes with another. */
static struct dp_fib_op
far_route(uint32_t i, bool del)
{
	uint64_t state = i + 1;
	uint8_t ip[16];

	for (int k = 0; k < 16; k++)
		ip[k] = (uint8_t)(fib_bed_random(&state) >> 24);
	ip[0] = (uint8_t)(i >> 8);
	ip[1] = (uint8_t)i;
	return op_of(ip, 128, del, 1 + i);
}

/* Routes side by side: rows with as many values as can be. */
static struct dp_fib_op
dense_route(uint32_t i, bool del)
{
	uint8_t ip[16] = {0x20, 1, (uint8_t)(i >> 7), (uint8_t)(i << 1)};

	return op_of(ip, 32, del, 1 + i);
}

static void
run_all(struct dp_fib6 *f, struct dp_fib_op (*make)(uint32_t i, bool del), bool del)
{
	static struct dp_fib_op op[BIG];

	for (uint32_t i = 0; i < BIG; i++)
		op[i] = make(i, del);
	apply(f, op, BIG);
}

static void
the_pool_holds_the_worst_that_the_routes_can_ask_for(void **state)
{
	struct dp_fib6 *f = NULL;

	assert_int_equal(dp_fib6_new(&f, BIG, qsbr, NULL), 0);
	for (int round = 0; round < 2; round++) {
		run_all(f, far_route, false);
		assert_int_equal(look_up(f, far_route(77, false).ip6), 78);
		run_all(f, far_route, true);
		run_all(f, dense_route, false);
		assert_int_equal(look_up(f, dense_route(77, false).ip6), 78);
		run_all(f, dense_route, true);
	}
	assert_int_equal(((struct dp_trie *)f->lr.side[0])->used_lines, 0);
	assert_sides_equal(f);
	dp_fib6_free(f);
}

static void
a_batch_that_does_not_fit_changes_nothing(void **state)
{
	static struct dp_fib_op op[BIG];
	struct dp_fib6 *f = NULL;
	struct spw_err err = {0};
	uint32_t bad = 0;

	assert_int_equal(dp_fib6_new(&f, BIG, qsbr, NULL), 0);
	for (uint32_t i = 0; i < BIG / 2; i++)
		op[i] = far_route(i, false);
	apply(f, op, BIG / 2);
	/* Deletes, replaces and adds until there is one too many. */
	for (uint32_t i = 0; i < BIG; i++)
		op[i] = i < 100 ? far_route(i, true) : dense_route(i, false);
	op[100] = far_route(100, false);
	op[100].group = 4711;
	assert_int_equal(dp_fib6_apply(f, op, BIG, &bad, &err), -28 /* ENOSPC */);
	assert_int_equal(bad, 100 + 1 + BIG / 2 + 100);
	assert_non_null(strstr(err.text, "--max-routes6"));
	assert_int_equal(f->lr.routes, BIG / 2);
	assert_sides_equal(f);
	for (uint32_t i = 0; i < BIG / 2; i++)
		assert_int_equal(look_up(f, far_route(i, false).ip6), 1 + i);
	assert_int_equal(look_up(f, dense_route(500, false).ip6), 0);
	/* Room is as before. */
	for (uint32_t i = 0; i < BIG / 2; i++)
		op[i] = far_route(BIG / 2 + i, false);
	apply(f, op, BIG / 2);
	dp_fib6_free(f);
}

static int
start(void **state)
{
	qsbr = fib_bed_qsbr();
	table_fill();
	return dp_fib6_new(&fib, 65536, qsbr, NULL);
}

static int
end(void **state)
{
	dp_fib6_free(fib);
	free(qsbr);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups_equal_the_naive_match_after_random_batches),
		cmocka_unit_test(a_walk_visits_every_route_once),
		cmocka_unit_test(a_touched_route_has_the_newer_generation),
		cmocka_unit_test(an_empty_table_takes_no_memory),
		cmocka_unit_test(prefixes_of_every_length_nest_in_any_order),
		cmocka_unit_test(group_zero_hides_what_covers_it),
		cmocka_unit_test(a_reader_sees_right_leaves_and_whole_batches_under_churn),
		cmocka_unit_test(the_pool_holds_the_worst_that_the_routes_can_ask_for),
		cmocka_unit_test(a_batch_that_does_not_fit_changes_nothing),
	};

	return cmocka_run_group_tests(tests, start, end);
}
