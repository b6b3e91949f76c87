/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BFD machine by its rules (RFC 5880 6.8): states, intervals, detection, polls, what the peer
 * asks for. The clock is the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/dataplane/bfd_bed.h"

static const struct dp_bfd_params fast = {.min_tx_us = 50000, .min_rx_us = 50000, .mult = 3};

static unsigned int
hears(struct dp_bfd *b, uint8_t state, uint64_t now)
{
	struct dp_bfd_packet p = bed_says(state);

	return dp_bfd_input(b, &p, now, now);
}

static unsigned int
hears_final(struct dp_bfd *b, uint64_t now)
{
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);

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
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);

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
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);

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
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);

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
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);

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
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);

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
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);
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
	struct dp_bfd_packet p = bed_says(SPW_BFD_UP);
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
	struct dp_bfd_packet p = bed_says(SPW_BFD_DOWN);

	p.your_disc = OURS + 1;
	assert_int_equal(dp_bfd_input(&b, &p, T0, T0), DP_BFD_REFUSED);
	assert_int_equal(b.bad, 1);
	assert_int_equal(b.state, SPW_BFD_UP);
	p.your_disc = 0; /* the peer has started again */
	assert_true(dp_bfd_input(&b, &p, T0, T0) & DP_BFD_LOST);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
