/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two BFD machines over a bad wire: loss, delay, reordering, cuts. The clock is the test's; what
 * matters is repeated from zero and from just before the counter's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/dataplane/bfd_bed.h"

/* Two machines and what is under way between them. */
struct wire {
	struct dp_bfd end[2];
	struct flying {
		uint64_t at;
		unsigned int to;
		struct dp_bfd_packet p;
		bool used;
	} flying[64];
	uint64_t now, last_rx[2], last_down[2];
	unsigned int lost_in_row[2], verdicts[2];
	unsigned int loss_percent, row_max; /* at most so many lost in a row */
	unsigned int delay_ms;
	bool cut[2]; /* towards that end */
	uint64_t rnd;
};

static uint32_t
lot(struct wire *w)
{
	w->rnd = w->rnd * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(w->rnd >> 33);
}

static void
fly(struct wire *w, unsigned int to, const struct dp_bfd_packet *p)
{
	if (w->cut[to])
		return;
	if (lot(w) % 100 < w->loss_percent && w->lost_in_row[to] < w->row_max) {
		w->lost_in_row[to]++;
		return;
	}
	w->lost_in_row[to] = 0;
	for (unsigned int i = 0; i < 64; i++) {
		if (w->flying[i].used)
			continue;
		w->flying[i] = (struct flying){
			w->now + (w->delay_ms ? lot(w) % w->delay_ms : 0) * MS, to, *p, true};
		return;
	}
	fail_msg("too many packets under way");
}

static void
verdict(struct wire *w, unsigned int at, unsigned int did)
{
	if (!(did & DP_BFD_LOST))
		return;
	w->verdicts[at]++;
	w->last_down[at] = w->now;
}

static void
land(struct wire *w, struct flying *f)
{
	struct dp_bfd_packet on_wire;
	uint8_t bytes[DP_BFD_LEN];

	dp_bfd_build(bytes, &f->p);
	assert_int_equal(dp_bfd_parse(bytes, sizeof(bytes), &on_wire), DP_BFD_GOOD);
	f->used = false;
	w->last_rx[f->to] = w->now;
	unsigned int did = dp_bfd_input(&w->end[f->to], &on_wire, w->now, w->now);

	assert_false(did & DP_BFD_REFUSED);
	verdict(w, f->to, did);
	if (did & DP_BFD_ANSWER) {
		struct dp_bfd_packet p = dp_bfd_output(&w->end[f->to], true, w->now);

		fly(w, !f->to, &p);
	}
}

static void
run_ms(struct wire *w, unsigned int ms)
{
	for (; ms; ms--, w->now += MS) {
		for (unsigned int i = 0; i < 64; i++)
			if (w->flying[i].used && (int64_t)(w->now - w->flying[i].at) >= 0)
				land(w, &w->flying[i]);
		for (unsigned int e = 0; e < 2; e++) {
			verdict(w, e, dp_bfd_tick(&w->end[e], w->now, w->now));
			if (!dp_bfd_due(&w->end[e], w->now))
				continue;
			struct dp_bfd_packet p = dp_bfd_output(&w->end[e], false, w->now);

			fly(w, !e, &p);
		}
	}
}

static void
wire_make(struct wire *w, uint64_t start, uint64_t seed)
{
	const struct dp_bfd_params a = {.min_tx_us = 50000, .min_rx_us = 30000, .mult = 4};
	const struct dp_bfd_params b = {.min_tx_us = 20000, .min_rx_us = 60000, .mult = 5};

	*w = (struct wire){.now = start, .rnd = seed};
	dp_bfd_init(&w->end[0], &a, 7, seed, start);
	dp_bfd_init(&w->end[1], &b, 9, ~seed, start);
}

static bool
both(const struct wire *w, uint8_t state)
{
	return w->end[0].state == state && w->end[1].state == state;
}

/*
 * Both up, with packets in order: BFD packets have no number, so an old Down that comes after Up is
 * a new one.
 */
static void
wire_up(struct wire *w)
{
	unsigned int delay_ms = w->delay_ms;

	w->delay_ms = 0;
	run_ms(w, 5000);
	assert_true(both(w, SPW_BFD_UP));
	w->delay_ms = delay_ms;
}

static const uint64_t starts[] = {0, T0, UINT64_MAX - 3 * SPW_NS_PER_S, INT64_MAX - 2 * MS};

static void
two_machines_come_up_stay_up_under_loss_and_reordering_and_agree(void **state)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct wire w;

		wire_make(&w, starts[i % 4], i);
		w.loss_percent = i % 3 * 20;
		w.row_max = 2;
		w.delay_ms = i % 5 * 2;
		wire_up(&w);
		run_ms(&w, 5000);
		assert_true(both(&w, SPW_BFD_UP));
		assert_int_equal(w.verdicts[0] + w.verdicts[1], 0);
		/* 60 ms is what the second can receive, 30 ms what the first can. */
		assert_int_equal(dp_bfd_interval_us(&w.end[0]), 60000);
		assert_int_equal(dp_bfd_interval_us(&w.end[1]), 30000);
		assert_int_equal(dp_bfd_detect_us(&w.end[0]), 5 * 30000);
		assert_int_equal(dp_bfd_detect_us(&w.end[1]), 4 * 60000);
		assert_false(w.end[0].poll || w.end[1].poll);
	}
}

static void
a_cut_is_seen_in_the_detection_time_and_told_to_the_other_side(void **state)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct wire w;

		wire_make(&w, starts[i % 4], 1000 + i);
		w.delay_ms = 3;
		wire_up(&w);
		run_ms(&w, 100 + i);
		w.cut[0] = true;
		run_ms(&w, 1000);
		assert_int_equal(w.verdicts[0], 1);
		assert_in_range(w.last_down[0] - w.last_rx[0], 150 * MS, 151 * MS);
		/* The second hears Down at once, long before it would miss anything. */
		assert_int_equal(w.verdicts[1], 1);
		assert_in_range(w.last_down[1] - w.last_down[0], 0, 4 * MS);
		assert_int_equal(w.end[1].diag, DP_BFD_DIAG_NEIGHBOUR);
		w.cut[0] = false;
		wire_up(&w);
		assert_int_equal(w.verdicts[0] + w.verdicts[1], 2);
	}
}

static void
timers_change_on_a_running_session_without_a_verdict(void **state)
{
	static const uint32_t us[] = {10000, 25000, 300000, 40000, 1500000, 12000};

	for (unsigned int i = 0; i < 30; i++) {
		struct wire w;

		wire_make(&w, starts[i % 4], 2000 + i);
		w.delay_ms = 4;
		wire_up(&w);
		for (unsigned int n = 0; n < 12; n++) {
			const struct dp_bfd_params p = {.min_tx_us = us[lot(&w) % 6],
							.min_rx_us = us[lot(&w) % 6],
							.mult = (uint8_t)(3 + lot(&w) % 3)};

			dp_bfd_set(&w.end[lot(&w) % 2], &p, w.now);
			run_ms(&w, 200 + lot(&w) % 2000);
		}
		assert_int_equal(w.verdicts[0] + w.verdicts[1], 0);
		run_ms(&w, 10000);
		assert_true(both(&w, SPW_BFD_UP));
		assert_int_equal(w.verdicts[0] + w.verdicts[1], 0);
		assert_false(w.end[0].poll || w.end[1].poll);
	}
}

static void
admin_down_of_either_side_gives_no_verdict(void **state)
{
	struct dp_bfd_params off = {
		.min_tx_us = 50000, .min_rx_us = 30000, .mult = 4, .admin_down = true};
	struct wire w;

	wire_make(&w, T0, 5);
	run_ms(&w, 3000);
	dp_bfd_set(&w.end[0], &off, w.now);
	run_ms(&w, 3000);
	assert_int_equal(w.end[1].state, SPW_BFD_DOWN);
	assert_int_equal(w.end[1].remote_state, SPW_BFD_ADMIN_DOWN);
	assert_int_equal(w.verdicts[0] + w.verdicts[1], 0);
	off.admin_down = false;
	dp_bfd_set(&w.end[0], &off, w.now);
	run_ms(&w, 3000);
	assert_true(both(&w, SPW_BFD_UP));
}

static void
a_peer_that_starts_again_is_taken_back(void **state)
{
	struct wire w;

	wire_make(&w, T0, 6);
	run_ms(&w, 3000);
	const struct dp_bfd_params again = w.end[1].want;

	dp_bfd_init(&w.end[1], &again, 77, 1, w.now);
	run_ms(&w, 4000);
	assert_true(both(&w, SPW_BFD_UP));
	assert_int_equal(w.verdicts[0], 1);
	assert_int_equal(w.end[0].remote_disc, 77);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_machines_come_up_stay_up_under_loss_and_reordering_and_agree),
		cmocka_unit_test(a_cut_is_seen_in_the_detection_time_and_told_to_the_other_side),
		cmocka_unit_test(timers_change_on_a_running_session_without_a_verdict),
		cmocka_unit_test(admin_down_of_either_side_gives_no_verdict),
		cmocka_unit_test(a_peer_that_starts_again_is_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
