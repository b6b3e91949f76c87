/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BFD: the machine by its rules, two machines over a bad wire, and the packets. The clock is the
 * test's; what matters is repeated from zero and from just before the counter's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/bfd.h"

#define MS   SPW_NS_PER_MS
#define US   SPW_NS_PER_US
#define T0   UINT64_C(5000000000)
#define OURS 0x11111111u
#define PEER 0x22222222u

static const struct dp_bfd_params fast = {.min_tx_us = 50000, .min_rx_us = 50000, .mult = 3};

static struct dp_bfd_packet
says(uint8_t state)
{
	return (struct dp_bfd_packet){.state = state,
				      .mult = 3,
				      .my_disc = PEER,
				      .your_disc = OURS,
				      .min_tx_us = 50000,
				      .min_rx_us = 50000};
}

static unsigned int
hears(struct dp_bfd *b, uint8_t state, uint64_t now)
{
	struct dp_bfd_packet p = says(state);

	return dp_bfd_input(b, &p, now, now);
}

static unsigned int
hears_final(struct dp_bfd *b, uint64_t now)
{
	struct dp_bfd_packet p = says(SPW_BFD_UP);

	p.final = true;
	return dp_bfd_input(b, &p, now, now);
}

/* Up at T0, its Poll answered. */
static struct dp_bfd
session_up(void)
{
	struct dp_bfd b;

	dp_bfd_init(&b, &fast, OURS, 1, T0);
	assert_int_equal(hears(&b, SPW_BFD_DOWN, T0), DP_BFD_CHANGED);
	assert_int_equal(hears(&b, SPW_BFD_UP, T0), DP_BFD_CHANGED);
	(void)dp_bfd_output(&b, false, T0);
	hears_final(&b, T0);
	assert_int_equal(b.state, SPW_BFD_UP);
	assert_false(b.poll);
	return b;
}

/* RFC 5880 6.8.6: what each state makes of each of the peer's. */
static void
states_move_as_the_rfc_says(void **state)
{
	static const struct {
		uint8_t mine, theirs, then;
		unsigned int did;
	} row[] = {
		{SPW_BFD_ADMIN_DOWN, SPW_BFD_ADMIN_DOWN, SPW_BFD_ADMIN_DOWN, 0},
		{SPW_BFD_ADMIN_DOWN, SPW_BFD_DOWN, SPW_BFD_ADMIN_DOWN, 0},
		{SPW_BFD_ADMIN_DOWN, SPW_BFD_INIT, SPW_BFD_ADMIN_DOWN, 0},
		{SPW_BFD_ADMIN_DOWN, SPW_BFD_UP, SPW_BFD_ADMIN_DOWN, 0},
		{SPW_BFD_DOWN, SPW_BFD_ADMIN_DOWN, SPW_BFD_DOWN, 0},
		{SPW_BFD_DOWN, SPW_BFD_DOWN, SPW_BFD_INIT, DP_BFD_CHANGED},
		{SPW_BFD_DOWN, SPW_BFD_INIT, SPW_BFD_UP, DP_BFD_CHANGED},
		{SPW_BFD_DOWN, SPW_BFD_UP, SPW_BFD_DOWN, 0},
		{SPW_BFD_INIT, SPW_BFD_ADMIN_DOWN, SPW_BFD_DOWN, DP_BFD_CHANGED},
		{SPW_BFD_INIT, SPW_BFD_DOWN, SPW_BFD_INIT, 0},
		{SPW_BFD_INIT, SPW_BFD_INIT, SPW_BFD_UP, DP_BFD_CHANGED},
		{SPW_BFD_INIT, SPW_BFD_UP, SPW_BFD_UP, DP_BFD_CHANGED},
		{SPW_BFD_UP, SPW_BFD_ADMIN_DOWN, SPW_BFD_DOWN, DP_BFD_CHANGED},
		{SPW_BFD_UP, SPW_BFD_DOWN, SPW_BFD_DOWN, DP_BFD_CHANGED | DP_BFD_LOST},
		{SPW_BFD_UP, SPW_BFD_INIT, SPW_BFD_UP, 0},
		{SPW_BFD_UP, SPW_BFD_UP, SPW_BFD_UP, 0},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct dp_bfd b;

		dp_bfd_init(&b, &fast, OURS, 1, T0);
		b.state = row[i].mine;
		assert_int_equal(hears(&b, row[i].theirs, T0), row[i].did);
		assert_int_equal(b.state, row[i].then);
		if (row[i].mine != row[i].then && row[i].then == SPW_BFD_DOWN)
			assert_int_equal(b.diag, DP_BFD_DIAG_NEIGHBOUR);
	}
}

static void
it_is_slow_until_it_is_up(void **state)
{
	struct dp_bfd b;

	dp_bfd_init(&b, &fast, OURS, 1, T0);
	assert_int_equal(dp_bfd_interval_us(&b), DP_BFD_SLOW_US);
	struct dp_bfd_packet p = dp_bfd_output(&b, false, T0);

	assert_int_equal(p.min_tx_us, DP_BFD_SLOW_US);
	assert_int_equal(p.min_rx_us, 50000);
	assert_int_equal(p.your_disc, 0);
	assert_false(dp_bfd_due(&b, T0 + 749 * MS));
	assert_true(dp_bfd_due(&b, T0 + 1000 * MS));
	b = session_up();
	assert_int_equal(dp_bfd_interval_us(&b), 50000);
	hears(&b, SPW_BFD_DOWN, T0 + MS);
	assert_int_equal(dp_bfd_interval_us(&b), DP_BFD_SLOW_US);
}

static void
jitter_takes_off_up_to_a_quarter_and_a_tenth_at_least_with_a_multiplier_of_one(void **state)
{
	for (unsigned int mult = 1; mult <= 3; mult += 2) {
		uint64_t least = UINT64_MAX, most = 0;
		struct dp_bfd b = session_up();

		b.want.mult = (uint8_t)mult;
		for (unsigned int i = 0; i < 5000; i++) {
			(void)dp_bfd_output(&b, false, T0);
			uint64_t wait = dp_bfd_deadline(&b) - T0;

			least = wait < least ? wait : least;
			most = wait > most ? wait : most;
		}
		assert_in_range(least, 37500 * US, 37700 * US);
		assert_in_range(most, (mult == 1 ? 44900 : 49900) * US,
				(mult == 1 ? 45000 : 50000) * US);
	}
}

static void
detection_is_the_peers_multiplier_times_the_slower_of_both(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_packet p = says(SPW_BFD_UP);

	assert_int_equal(dp_bfd_detect_us(&b), 150000);
	p.min_tx_us = 70000;
	p.mult = 5;
	dp_bfd_input(&b, &p, T0, T0);
	assert_int_equal(dp_bfd_detect_us(&b), 350000);
	p.min_tx_us = 10;
	dp_bfd_input(&b, &p, T0, T0);
	assert_int_equal(dp_bfd_detect_us(&b), 250000);
}

static void
silence_takes_it_down_exactly_after_the_detection_time(void **state)
{
	struct dp_bfd b = session_up();

	assert_int_equal(dp_bfd_tick(&b, T0 + 150 * MS - 1, T0 + 150 * MS), 0);
	assert_int_equal(dp_bfd_tick(&b, T0 + 150 * MS, T0 + 150 * MS),
			 DP_BFD_CHANGED | DP_BFD_LOST);
	assert_int_equal(b.state, SPW_BFD_DOWN);
	assert_int_equal(b.diag, DP_BFD_DIAG_EXPIRED);
	assert_int_equal(b.remote_disc, 0);
	assert_int_equal(b.downs, 1);
	assert_int_equal(dp_bfd_tick(&b, T0 + 999 * MS, T0 + 999 * MS), 0);
}

static void
the_time_of_receiving_counts_not_that_of_reading(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_packet p = says(SPW_BFD_UP);

	dp_bfd_input(&b, &p, T0 + 100 * MS, T0 + 500 * MS);
	assert_int_equal(dp_bfd_tick(&b, T0 + 249 * MS, T0 + 249 * MS), 0);
	dp_bfd_input(&b, &p, T0 + 90 * MS, T0 + 249 * MS); /* overtaken by another worker */
	assert_int_equal(b.heard_ns, T0 + 100 * MS);
	assert_int_equal(b.gap_max_ns, 100 * MS);
	assert_true(dp_bfd_tick(&b, T0 + 250 * MS, T0 + 250 * MS) & DP_BFD_LOST);
}

static void
a_silence_that_nobody_listened_to_is_none_for_a_while(void **state)
{
	struct dp_bfd b = session_up();

	assert_int_equal(dp_bfd_tick(&b, T0 + 200 * MS, T0 + 149 * MS), 0);
	assert_int_equal(dp_bfd_tick(&b, T0 + 150 * MS + DP_BFD_PATIENCE_NS - 1, T0 + 149 * MS), 0);
	struct dp_bfd stuck = b;

	assert_true(dp_bfd_tick(&b, T0 + 200 * MS, T0 + 150 * MS) & DP_BFD_LOST);
	assert_true(dp_bfd_tick(&stuck, T0 + 150 * MS + DP_BFD_PATIENCE_NS, T0 + 149 * MS) &
		    DP_BFD_LOST);
}

/* RFC 5880 6.8.3 */
static void
a_longer_interval_waits_for_the_final_while_up(void **state)
{
	struct dp_bfd b = session_up();
	const struct dp_bfd_params slower = {.min_tx_us = 400000, .min_rx_us = 50000, .mult = 3};

	assert_int_equal(dp_bfd_set(&b, &slower, T0), 0);
	assert_int_equal(dp_bfd_interval_us(&b), 50000);
	struct dp_bfd_packet p = dp_bfd_output(&b, false, T0);

	assert_true(p.poll);
	assert_int_equal(p.min_tx_us, 400000);
	hears(&b, SPW_BFD_UP, T0);
	assert_int_equal(dp_bfd_interval_us(&b), 50000);
	hears_final(&b, T0);
	assert_int_equal(dp_bfd_interval_us(&b), 400000);
	assert_false(dp_bfd_output(&b, false, T0).poll);
}

static void
a_shorter_interval_holds_at_once_and_is_polled(void **state)
{
	struct dp_bfd b = session_up();
	const struct dp_bfd_params faster = {.min_tx_us = 10000, .min_rx_us = 50000, .mult = 3};

	hears(&b, SPW_BFD_UP, T0);
	dp_bfd_set(&b, &faster, T0);
	b.remote_min_rx_us = 5000;
	assert_int_equal(dp_bfd_interval_us(&b), 10000);
	assert_true(dp_bfd_output(&b, false, T0).poll);
}

static void
a_shorter_required_interval_shortens_detection_only_after_the_final(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_params other = fast;

	other.min_rx_us = 20000;
	b.remote_min_tx_us = 10000;
	dp_bfd_set(&b, &other, T0);
	assert_int_equal(dp_bfd_output(&b, false, T0).min_rx_us, 20000);
	assert_int_equal(dp_bfd_detect_us(&b), 150000);
	struct dp_bfd_packet p = says(SPW_BFD_UP);

	p.min_tx_us = 10000;
	p.final = true;
	dp_bfd_input(&b, &p, T0, T0);
	assert_int_equal(dp_bfd_detect_us(&b), 60000);
	other.min_rx_us = 90000;
	dp_bfd_set(&b, &other, T0);
	assert_int_equal(dp_bfd_detect_us(&b), 270000);
}

static void
a_change_during_a_poll_needs_another_final(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_params other = fast;

	other.min_tx_us = 200000;
	dp_bfd_set(&b, &other, T0);
	other.min_tx_us = 300000;
	dp_bfd_set(&b, &other, T0);
	hears_final(&b, T0);
	assert_true(b.poll);
	assert_int_equal(dp_bfd_interval_us(&b), 50000);
	hears_final(&b, T0);
	assert_false(b.poll);
	assert_int_equal(dp_bfd_interval_us(&b), 300000);
}

static void
the_same_parameters_again_change_nothing(void **state)
{
	struct dp_bfd b = session_up(), was = b;

	assert_int_equal(dp_bfd_set(&b, &fast, T0 + MS), 0);
	assert_memory_equal(&b, &was, sizeof(b));
}

static void
coming_up_polls_for_the_fast_interval(void **state)
{
	struct dp_bfd b;

	dp_bfd_init(&b, &fast, OURS, 1, T0);
	hears(&b, SPW_BFD_INIT, T0);
	struct dp_bfd_packet p = dp_bfd_output(&b, false, T0);

	assert_int_equal(p.state, SPW_BFD_UP);
	assert_true(p.poll);
	assert_int_equal(p.min_tx_us, 50000);
}

static void
what_the_peer_can_receive_is_honoured_at_once(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_packet p = says(SPW_BFD_UP);

	p.min_rx_us = 800000;
	dp_bfd_input(&b, &p, T0, T0);
	(void)dp_bfd_output(&b, false, T0);
	assert_false(dp_bfd_due(&b, T0 + 599 * MS));
	p.min_rx_us = 60000;
	dp_bfd_input(&b, &p, T0 + 100 * MS, T0 + 100 * MS);
	assert_true(dp_bfd_due(&b, T0 + 100 * MS));
}

static void
a_peer_that_wants_no_packets_gets_none_but_answers(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_packet p = says(SPW_BFD_UP);

	p.min_rx_us = 0;
	p.poll = true;
	assert_int_equal(dp_bfd_input(&b, &p, T0, T0), DP_BFD_ANSWER);
	assert_int_equal(dp_bfd_interval_us(&b), 0);
	assert_false(dp_bfd_due(&b, T0 + 100000 * MS));
	assert_int_equal(dp_bfd_deadline(&b), T0 + 150 * MS);
}

static void
a_peer_in_demand_mode_gets_polls_only(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_packet p = says(SPW_BFD_UP);
	struct dp_bfd_params other = fast;

	p.demand = true;
	dp_bfd_input(&b, &p, T0, T0);
	assert_false(dp_bfd_due(&b, T0 + 10000 * MS));
	other.min_rx_us = 60000;
	dp_bfd_set(&b, &other, T0);
	assert_true(dp_bfd_due(&b, T0 + 10000 * MS));
	assert_true(dp_bfd_output(&b, false, T0).poll);
	p.state = SPW_BFD_DOWN;
	dp_bfd_input(&b, &p, T0, T0);
	assert_true(dp_bfd_due(&b, T0 + 10000 * MS));
	assert_false(dp_bfd_output(&b, false, T0).demand);
}

static void
a_poll_is_answered_at_once_and_never_with_a_poll(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_packet p = says(SPW_BFD_UP);
	const struct dp_bfd_params slower = {.min_tx_us = 400000, .min_rx_us = 50000, .mult = 3};

	dp_bfd_set(&b, &slower, T0);
	p.poll = true;
	assert_int_equal(dp_bfd_input(&b, &p, T0, T0), DP_BFD_ANSWER);
	uint64_t before = dp_bfd_deadline(&b);
	struct dp_bfd_packet answer = dp_bfd_output(&b, true, T0 + 10 * MS);

	assert_true(answer.final);
	assert_false(answer.poll);
	assert_int_equal(dp_bfd_deadline(&b), before);
	assert_true(dp_bfd_output(&b, false, T0).poll);
}

static void
a_changed_state_is_told_at_once(void **state)
{
	struct dp_bfd b = session_up();

	(void)dp_bfd_output(&b, false, T0);
	assert_false(dp_bfd_due(&b, T0 + MS));
	dp_bfd_tick(&b, T0 + 150 * MS, T0 + 150 * MS);
	assert_true(dp_bfd_due(&b, T0 + 150 * MS));
	struct dp_bfd_packet p = dp_bfd_output(&b, false, T0 + 150 * MS);

	assert_int_equal(p.state, SPW_BFD_DOWN);
	assert_int_equal(p.diag, DP_BFD_DIAG_EXPIRED);
	assert_false(dp_bfd_due(&b, T0 + 151 * MS));
}

static void
our_own_admin_down_is_no_verdict_and_ends_when_it_is_taken_back(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_params off = fast;

	off.admin_down = true;
	assert_int_equal(dp_bfd_set(&b, &off, T0), DP_BFD_CHANGED);
	struct dp_bfd_packet p = dp_bfd_output(&b, false, T0);

	assert_int_equal(p.state, SPW_BFD_ADMIN_DOWN);
	assert_int_equal(p.diag, DP_BFD_DIAG_ADMIN);
	assert_int_equal(dp_bfd_interval_us(&b), DP_BFD_SLOW_US);
	assert_int_equal(hears(&b, SPW_BFD_UP, T0), 0);
	assert_int_equal(dp_bfd_tick(&b, T0 + 999 * MS, T0 + 999 * MS), 0);
	assert_int_equal(dp_bfd_set(&b, &fast, T0), DP_BFD_CHANGED);
	assert_int_equal(b.state, SPW_BFD_DOWN);
	assert_int_equal(hears(&b, SPW_BFD_DOWN, T0), DP_BFD_CHANGED);
}

static void
another_discriminator_than_ours_is_refused_and_counted(void **state)
{
	struct dp_bfd b = session_up();
	struct dp_bfd_packet p = says(SPW_BFD_DOWN);

	p.your_disc = OURS + 1;
	assert_int_equal(dp_bfd_input(&b, &p, T0, T0), DP_BFD_REFUSED);
	assert_int_equal(b.bad, 1);
	assert_int_equal(b.state, SPW_BFD_UP);
	p.your_disc = 0; /* the peer has started again */
	assert_true(dp_bfd_input(&b, &p, T0, T0) & DP_BFD_LOST);
}

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

/* RFC 5880 6.8.6, the rules without a session, one broken at a time. */
static void
each_rule_of_reception_refuses(void **state)
{
	static const struct {
		unsigned int at;
		uint8_t value;
		uint32_t len;
		enum dp_bfd_bad bad;
	} row[] = {
		{0, 0x20, 24, DP_BFD_GOOD},
		{0, 0x00, 24, DP_BFD_BAD_VERSION},
		{0, 0x40, 24, DP_BFD_BAD_VERSION},
		{3, 23, 24, DP_BFD_BAD_LENGTH},
		{3, 25, 24, DP_BFD_BAD_LENGTH},
		{3, 26, 40, DP_BFD_GOOD},
		{3, 24, 23, DP_BFD_BAD_LENGTH},
		{3, 24, 0, DP_BFD_BAD_LENGTH},
		{3, 24, 40, DP_BFD_GOOD},
		{2, 0, 24, DP_BFD_BAD_MULT},
		{1, 0xc1, 24, DP_BFD_BAD_MULTIPOINT},
		{1, 0xc4, 24, DP_BFD_BAD_LENGTH},
		{4, 0, 24, DP_BFD_BAD_MY_DISC},
		{8, 0, 24, DP_BFD_BAD_YOUR_DISC},
		{1, 0xc0, 24, DP_BFD_GOOD},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint8_t bytes[40] = {0x20, 0xc0, 3, 24, 0x7, 0, 0, 0, 0x9};
		struct dp_bfd_packet p;

		bytes[row[i].at] = row[i].value;
		assert_int_equal(dp_bfd_parse(bytes, row[i].len, &p), row[i].bad);
	}
	uint8_t auth[40] = {0x20, 0xc4, 3, 26, 0x7, 0, 0, 0, 0x9};
	struct dp_bfd_packet p;

	assert_int_equal(dp_bfd_parse(auth, 26, &p), DP_BFD_BAD_AUTH);
	for (unsigned int s = 0; s < 4; s++) {
		uint8_t none[24] = {0x20, (uint8_t)(s << 6), 3, 24, 0x7};

		assert_int_equal(dp_bfd_parse(none, 24, &p),
				 s >= SPW_BFD_INIT ? DP_BFD_BAD_YOUR_DISC : DP_BFD_GOOD);
	}
}

static void
what_is_built_is_read_again(void **state)
{
	const struct dp_bfd_packet p = {.state = SPW_BFD_INIT,
					.diag = 31,
					.mult = 200,
					.poll = true,
					.demand = true,
					.control_independent = true,
					.my_disc = 0xdeadbeef,
					.your_disc = 1,
					.min_tx_us = 0x01020304,
					.min_rx_us = 0xfffffffe,
					.min_echo_rx_us = 5};
	struct dp_bfd_packet q;
	uint8_t bytes[DP_BFD_LEN];

	dp_bfd_build(bytes, &p);
	assert_int_equal(dp_bfd_parse(bytes, sizeof(bytes), &q), DP_BFD_GOOD);
	assert_memory_equal(&p, &q, sizeof(p));
}

static struct dp_bfd_datagram
datagram(bool ipv6)
{
	struct dp_bfd_datagram d = {.packet = says(SPW_BFD_UP)};
	struct spw_err err;

	assert_int_equal(spw_addr_parse(&d.src, ipv6 ? "fe80::1" : "192.0.2.1", &err), 0);
	assert_int_equal(spw_addr_parse(&d.dst, ipv6 ? "2001:db8::2" : "192.0.2.2", &err), 0);
	return d;
}

static void
datagrams_are_read_in_both_families_and_any_changed_bit_is_seen(void **state)
{
	for (unsigned int six = 0; six < 2; six++) {
		struct dp_bfd_datagram d = datagram(six), got;
		uint8_t ip[DP_BFD_IP_MAX];
		uint32_t len = dp_bfd_wrap(ip, &d, 50000), at = six ? 40 : 20;

		assert_int_equal(len, at + 8 + DP_BFD_LEN);
		assert_int_equal(dp_bfd_unwrap(ip, len, &got), DP_BFD_GOOD);
		assert_memory_equal(&got, &d, sizeof(d));
		assert_int_equal(ip[six ? 7 : 8], 255);
		for (uint32_t bit = at * 8; bit < len * 8; bit++) {
			ip[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(dp_bfd_unwrap(ip, len, &got), DP_BFD_BAD_IP);
			assert_true(spw_addr_equal(&got.src, &d.src));
			ip[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (uint32_t n = 0; n < len; n++)
			assert_int_not_equal(dp_bfd_unwrap(ip, n, &got), DP_BFD_GOOD);
		ip[six ? 7 : 8] = 254;
		assert_int_equal(dp_bfd_unwrap(ip, len, &got), DP_BFD_BAD_TTL);
	}
}

static void
a_missing_checksum_is_fine_in_ipv4_only(void **state)
{
	for (unsigned int six = 0; six < 2; six++) {
		struct dp_bfd_datagram d = datagram(six), got;
		uint8_t ip[DP_BFD_IP_MAX];
		uint32_t len = dp_bfd_wrap(ip, &d, 50000);

		memset(ip + (six ? 40 : 20) + 6, 0, 2);
		assert_int_equal(dp_bfd_unwrap(ip, len, &got), six ? DP_BFD_BAD_IP : DP_BFD_GOOD);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_move_as_the_rfc_says),
		cmocka_unit_test(it_is_slow_until_it_is_up),
		cmocka_unit_test(
			jitter_takes_off_up_to_a_quarter_and_a_tenth_at_least_with_a_multiplier_of_one),
		cmocka_unit_test(detection_is_the_peers_multiplier_times_the_slower_of_both),
		cmocka_unit_test(silence_takes_it_down_exactly_after_the_detection_time),
		cmocka_unit_test(the_time_of_receiving_counts_not_that_of_reading),
		cmocka_unit_test(a_silence_that_nobody_listened_to_is_none_for_a_while),
		cmocka_unit_test(a_longer_interval_waits_for_the_final_while_up),
		cmocka_unit_test(a_shorter_interval_holds_at_once_and_is_polled),
		cmocka_unit_test(
			a_shorter_required_interval_shortens_detection_only_after_the_final),
		cmocka_unit_test(a_change_during_a_poll_needs_another_final),
		cmocka_unit_test(the_same_parameters_again_change_nothing),
		cmocka_unit_test(coming_up_polls_for_the_fast_interval),
		cmocka_unit_test(what_the_peer_can_receive_is_honoured_at_once),
		cmocka_unit_test(a_peer_that_wants_no_packets_gets_none_but_answers),
		cmocka_unit_test(a_peer_in_demand_mode_gets_polls_only),
		cmocka_unit_test(a_poll_is_answered_at_once_and_never_with_a_poll),
		cmocka_unit_test(a_changed_state_is_told_at_once),
		cmocka_unit_test(our_own_admin_down_is_no_verdict_and_ends_when_it_is_taken_back),
		cmocka_unit_test(another_discriminator_than_ours_is_refused_and_counted),
		cmocka_unit_test(two_machines_come_up_stay_up_under_loss_and_reordering_and_agree),
		cmocka_unit_test(a_cut_is_seen_in_the_detection_time_and_told_to_the_other_side),
		cmocka_unit_test(timers_change_on_a_running_session_without_a_verdict),
		cmocka_unit_test(admin_down_of_either_side_gives_no_verdict),
		cmocka_unit_test(a_peer_that_starts_again_is_taken_back),
		cmocka_unit_test(each_rule_of_reception_refuses),
		cmocka_unit_test(what_is_built_is_read_again),
		cmocka_unit_test(datagrams_are_read_in_both_families_and_any_changed_bit_is_seen),
		cmocka_unit_test(a_missing_checksum_is_fine_in_ipv4_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
