/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequence numbers of one SA sealed by several workers: the room for them by table, and in every
 * interleaving that spread_bed.h makes they stay within a receiver's window of 64 on the wire.
 */
#include "dataplane/spread_claim.h"

#include <string.h>

#include "tests/dataplane/spread_bed.h"

#define WIRE 20000

static void
the_room_for_numbers_follows_the_table(void **unused)
{
	static const struct {
		struct dp_claim_view v;
		uint32_t want, room;
	} row[] = {
		{{16, .seq = 100}, 64, 64},
		{{16, .seq = 100, .own = 10}, 64, 64}, /* alone: one's own leave in order */
		{{16, .seq = 100, .company = true}, 64, 16},
		{{32, .seq = 100, .company = true}, 64, 32},
		{{16, .seq = 100, .company = true}, 5, 5},
		{{16, .seq = 100, .low = 100, .company = true}, 64, 16},
		{{16, .seq = 100, .low = 50, .company = true}, 64, 13},
		{{16, .seq = 112, .low = 50, .company = true}, 64, 1},
		{{16, .seq = 113, .low = 50, .company = true}, 64, 0},
		{{16, .seq = 200, .low = 50, .company = true}, 1, 0},
		{{16, .seq = 100, .own = 101, .company = true}, 64, 16},
		{{16, .seq = 100, .own = 91, .company = true}, 64, 6},
		{{16, .seq = 106, .own = 91, .company = true}, 64, 0},
		{{16, .seq = 100, .own = 91, .low = 40, .company = true}, 64, 3},
	};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(dp_claim_room(&row[i].v, row[i].want), row[i].room);
}

static void
the_blocks_of_all_workers_fit_in_the_window(void **unused)
{
	for (unsigned int n = 1; n <= DP_CLAIM_WINDOW / DP_CLAIM_LEAST; n++)
		assert_true(n * dp_claim_block(n) <= DP_CLAIM_WINDOW);
	assert_int_equal(dp_claim_block(2), 32);
	assert_int_equal(dp_claim_block(8), 8);
	assert_int_equal(dp_claim_block(32), DP_CLAIM_LEAST);
}

static _Atomic uint64_t newest;
static struct dp_sa_out_count part[BED_ACTORS];
static uint64_t wire_top, wire_count;
static uint8_t wire_seen[WIRE];
static bool tx_held;
static uint64_t refused_claims;

/* One number leaves; the receiver's window of 64 must take it. */
static void
on_the_wire(uint64_t number)
{
	bed_must(number < WIRE);
	bed_must(wire_seen[number] == 0);
	bed_must(number + 63 >= wire_top);
	wire_seen[number] = 1;
	wire_count++;
	if (number > wire_top)
		wire_top = number;
}

/* The transmit queue has a lock that nobody waits for without bound. */
static void
send_block(uint64_t first, uint32_t n)
{
	for (unsigned int tries = 0; tx_held; tries++) {
		if (tries == 5)
			return; /* dropped: a gap, nothing else */
		bed_give_way();
	}
	tx_held = true;
	for (uint32_t i = 0; i < n; i++) {
		on_the_wire(first + i);
		if (bed_chance(8) == 0)
			bed_give_way();
	}
	tx_held = false;
}

/* Seals whole runs, or what it may, and sends at once. */
static void
sealer(unsigned int self)
{
	for (unsigned int burst = 0; burst < 30; burst++) {
		uint32_t want = 1 + bed_chance(64);

		for (unsigned int tries = 0; want > 0 && tries < 20; tries++) {
			uint64_t first;
			uint32_t n = dp_claim(&newest, part, BED_ACTORS, self, want, &first);

			refused_claims += n == 0;
			bed_give_way();
			if (n == 0)
				continue;
			send_block(first, n);
			bed_give_way();
			dp_claim_sent(&part[self], 0);
			want -= n;
		}
		dp_claim_forget(&part[self]);
	}
}

/* Lends its chunks: several blocks are out before the first is sent. */
static void
lender(unsigned int self)
{
	uint64_t first[8];
	uint32_t n[8], out = 0;

	for (unsigned int burst = 0; burst < 60; burst++) {
		if (out < 8 && burst < 50) {
			n[out] = dp_claim(&newest, part, BED_ACTORS, self, 1 + bed_chance(32),
					  &first[out]);
			out += n[out] != 0;
			bed_give_way();
		}
		if (out == 0 || (burst < 50 && bed_chance(2) == 0))
			continue;
		send_block(first[0], n[0]);
		bed_give_way();
		out--;
		memmove(first, first + 1, sizeof(first[0]) * out);
		memmove(n, n + 1, sizeof(n[0]) * out);
		dp_claim_sent(&part[self], out != 0 ? first[0] : 0);
		bed_give_way();
	}
}

static void
numbers_stay_within_a_window_of_64_on_the_wire_whoever_stops(void **unused)
{
	unsigned int n = bed_schedules();
	uint64_t sent = 0;

	for (bed_at = 0; bed_at < n; bed_at++) {
		bed_schedule_begin(bed_at);
		memset(part, 0, sizeof(part));
		memset(wire_seen, 0, sizeof(wire_seen));
		atomic_store(&newest, 0);
		wire_top = wire_count = 0;
		tx_held = false;
		for (unsigned int i = 0; i < BED_ACTORS; i++)
			bed_actor_start(i, i == 3 ? lender : sealer);
		bed_play(BED_ACTORS);
		bed_must(wire_count <= atomic_load(&newest));
		sent += wire_count;
	}
	if (n > 1) {
		assert_true(sent > 500 * n);
		assert_true(refused_claims > n); /* the bound was reached */
	}
}

static void
one_stopped_sealer_stops_the_others_at_the_window_and_no_sooner(void **unused)
{
	uint64_t first, stopped;

	bed_at = 0;
	memset(part, 0, sizeof(part));
	atomic_store(&newest, 0);
	assert_int_equal(dp_claim(&newest, part, 2, 0, 16, &stopped), 16);
	for (unsigned int i = 0; i < 10 && dp_claim(&newest, part, 2, 1, 16, &first) != 0; i++)
		dp_claim_sent(&part[1], 0);
	assert_int_equal(atomic_load(&newest), stopped + 63);
	assert_int_equal(atomic_load(&part[1].low), 0); /* who waits holds nobody */
	dp_claim_sent(&part[0], 0);
	assert_int_equal(dp_claim(&newest, part, 2, 1, 16, &first), 16);
	assert_int_equal(first, stopped + 64);
}

static void
alone_a_worker_claims_whole_runs(void **unused)
{
	uint64_t first;

	memset(part, 0, sizeof(part));
	atomic_store(&newest, 0);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(dp_claim(&newest, part, BED_ACTORS, 2, 64, &first), 64);
		assert_int_equal(first, 64 * i + 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_room_for_numbers_follows_the_table),
		cmocka_unit_test(the_blocks_of_all_workers_fit_in_the_window),
		cmocka_unit_test(alone_a_worker_claims_whole_runs),
		cmocka_unit_test(one_stopped_sealer_stops_the_others_at_the_window_and_no_sooner),
		cmocka_unit_test(numbers_stay_within_a_window_of_64_on_the_wire_whoever_stops),
	};

	return cmocka_run_group_tests_name("spread_claim", tests, NULL, NULL);
}
