/* SPDX-License-Identifier: BSD-3-Clause */
/* One forwarding probe: verdicts in order, state changes, stalls, counts. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/dataplane/probe_bed.h"

/* Packet number `n` goes out when it is due; its cookie is the number, too. */
static uint64_t
send_no(uint32_t n)
{
	uint64_t now = BED_START + (uint64_t)n * bed_probe.conf.interval_ms * MS;

	assert_true(dp_probe_due(&bed_probe, now));
	assert_int_equal(dp_probe_sent(&bed_probe, now, n), n);
	return now;
}

/* One letter for each packet, in order: `a` answered after 5 ms, `l` lost, `r` refused. */
static void
play(const char *fates)
{
	for (uint32_t n = 0; fates[n]; n++) {
		uint64_t now = send_no(n);

		if (fates[n] == 'a')
			assert_int_equal(
				dp_probe_answered(&bed_probe, (uint16_t)n, n, now + 5 * MS, false),
				DP_PROBE_TAKEN);
		else if (fates[n] == 'r')
			assert_true(dp_probe_refused(&bed_probe, (uint16_t)n, n,
						     SPW_PROBE_WHY_UNREACHABLE, 0));
		bed_judge(now + bed_probe.conf.timeout_ms * MS + 2 * MS);
	}
}

static void
the_state_follows_runs_of_fall_and_rise(void **state)
{
	static const struct {
		const char *fates;
		uint16_t fall, rise;
		uint32_t want;
	} table[] = {
		{"", 3, 2, SPW_PROBE_UNKNOWN},	    {"a", 3, 2, SPW_PROBE_UNKNOWN},
		{"aa", 3, 2, SPW_PROBE_UP},	    {"l", 3, 2, SPW_PROBE_UNKNOWN},
		{"ll", 3, 2, SPW_PROBE_UNKNOWN},    {"lll", 3, 2, SPW_PROBE_DOWN},
		{"alal", 3, 2, SPW_PROBE_UNKNOWN},  {"llall", 3, 2, SPW_PROBE_UNKNOWN},
		{"aalla", 3, 2, SPW_PROBE_UP},	    {"aallal", 3, 2, SPW_PROBE_UP},
		{"aalll", 3, 2, SPW_PROBE_DOWN},    {"aallla", 3, 2, SPW_PROBE_DOWN},
		{"aalllala", 3, 2, SPW_PROBE_DOWN}, {"aalllaa", 3, 2, SPW_PROBE_UP},
		{"rrr", 3, 2, SPW_PROBE_DOWN},	    {"rlr", 3, 2, SPW_PROBE_DOWN},
		{"a", 1, 1, SPW_PROBE_UP},	    {"al", 1, 1, SPW_PROBE_DOWN},
		{"ala", 1, 1, SPW_PROBE_UP},	    {"llllllllla", 1, 2, SPW_PROBE_DOWN},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bed_begin(100, 50, table[i].fall, table[i].rise);
		play(table[i].fates);
		if (bed_stats().state != table[i].want)
			fail_msg("%s fall %u rise %u: state %u", table[i].fates, table[i].fall,
				 table[i].rise, bed_stats().state);
		assert_int_equal(bed_stats().sent, bed_stats().received + bed_stats().lost);
	}
}

static void
silence_is_judged_just_after_the_timeout_and_not_before(void **state)
{
	bed_begin(100, 50, 1, 1);
	uint64_t end = send_no(0) + 50 * MS + DP_PROBE_SLACK_NS;

	assert_int_equal(dp_probe_next_ns(&bed_probe), end + 1);
	assert_int_equal(bed_judge(end), 0);
	assert_int_equal(bed_judge(end + 1), 1);
	assert_int_equal(bed_stats().lost, 1);
	assert_int_equal(bed_stats().lost_why, SPW_PROBE_WHY_SILENCE);
	assert_int_equal(bed_stats().changed_ns, end + 1);
	assert_int_equal(dp_probe_next_ns(&bed_probe), BED_START + 100 * MS);
}

static void
an_answer_in_time_counts_even_when_it_is_read_after_the_timeout(void **state)
{
	bed_begin(100, 50, 1, 1);
	uint64_t sent = send_no(0);

	assert_int_equal(dp_probe_answered(&bed_probe, 0, 0, sent + 50 * MS, false),
			 DP_PROBE_TAKEN);
	assert_int_equal(dp_probe_next_ns(&bed_probe), 0);
	assert_int_equal(bed_judge(sent + 90 * MS), 1);
	assert_int_equal(bed_stats().state, SPW_PROBE_UP);
	assert_int_equal(bed_stats().last_ok_ns, sent);
}

static void
a_late_answer_is_counted_apart_and_its_packet_stays_lost(void **state)
{
	bed_begin(100, 50, 1, 1);
	uint64_t sent = send_no(0);

	assert_int_equal(dp_probe_answered(&bed_probe, 0, 0, sent + 50 * MS + 1, false),
			 DP_PROBE_LATE);
	assert_int_equal(bed_judge(sent + 52 * MS), 1);
	sent = send_no(1);
	bed_judge(sent + 60 * MS);
	assert_int_equal(dp_probe_answered(&bed_probe, 1, 1, sent + 60 * MS, false), DP_PROBE_LATE);
	struct spw_dp_probe_stats s = bed_stats();

	assert_int_equal(s.state, SPW_PROBE_DOWN);
	assert_int_equal(s.lost, 2);
	assert_int_equal(s.late, 2);
	assert_int_equal(s.received, 0);
	assert_int_equal(s.rtt_max_us, 0);
}

static void
a_second_answer_is_a_duplicate_whatever_the_first_was(void **state)
{
	bed_begin(100, 50, 1, 1);
	uint64_t sent = send_no(0);

	dp_probe_answered(&bed_probe, 0, 0, sent + MS, false);
	assert_int_equal(dp_probe_answered(&bed_probe, 0, 0, sent + MS, false), DP_PROBE_DUPLICATE);
	bed_judge(sent + 60 * MS);
	assert_int_equal(dp_probe_answered(&bed_probe, 0, 0, sent + 99 * MS, true),
			 DP_PROBE_DUPLICATE);
	sent = send_no(1);
	dp_probe_answered(&bed_probe, 1, 1, sent + 60 * MS, false);
	assert_int_equal(dp_probe_answered(&bed_probe, 1, 1, sent + 61 * MS, false),
			 DP_PROBE_DUPLICATE);
	struct spw_dp_probe_stats s = bed_stats();

	assert_int_equal(s.duplicate, 3);
	assert_int_equal(s.received, 1);
	assert_int_equal(s.other_way, 0);
}

static void
only_the_cookie_of_a_remembered_packet_is_an_answer(void **state)
{
	bed_begin(100, 50, 1, 1);
	assert_int_equal(dp_probe_answered(&bed_probe, 0, 0, BED_START, false), DP_PROBE_FOREIGN);
	assert_int_equal(dp_probe_answered(&bed_probe, 0xffff, 0, BED_START, false),
			 DP_PROBE_FOREIGN);
	uint64_t sent = send_no(0);

	assert_int_equal(dp_probe_answered(&bed_probe, 0, 7, sent, false), DP_PROBE_FOREIGN);
	assert_int_equal(dp_probe_answered(&bed_probe, 1, 1, sent, false), DP_PROBE_FOREIGN);
	assert_false(dp_probe_refused(&bed_probe, 0, 7, SPW_PROBE_WHY_UNREACHABLE, 0));
	assert_false(dp_probe_refused(&bed_probe, 1, 0, SPW_PROBE_WHY_UNREACHABLE, 0));
	assert_int_equal(bed_stats().received + bed_stats().late + bed_stats().duplicate, 0);
	for (uint32_t n = 1; n <= DP_PROBE_SLOTS; n++)
		bed_judge(send_no(n) + 60 * MS);
	assert_int_equal(dp_probe_answered(&bed_probe, 0, 0, BED_START, false), DP_PROBE_FOREIGN);
	assert_int_equal(dp_probe_answered(&bed_probe, 1, 1, BED_START, false), DP_PROBE_LATE);
}

static void
numbers_may_wrap_in_their_sixteen_bits(void **state)
{
	bed_begin(100, 50, 1, 1);
	for (uint32_t n = 0; n < 0x20010; n++) {
		uint64_t sent = send_no(n);

		assert_int_equal(dp_probe_answered(&bed_probe, (uint16_t)n, n, sent + MS, false),
				 DP_PROBE_TAKEN);
		bed_judge(sent + 51 * MS);
	}
	assert_int_equal(bed_stats().received, 0x20010);
}

static void
verdicts_come_in_the_order_of_sending(void **state)
{
	bed_begin(100, 500, 2, 2);
	for (uint32_t n = 0; n < 4; n++)
		send_no(n);
	for (uint16_t n = 1; n < 4; n++)
		dp_probe_answered(&bed_probe, n, n, BED_START + 400 * MS, false);
	assert_int_equal(bed_judge(BED_START + 400 * MS), 0);
	assert_int_equal(bed_stats().received, 3);
	assert_int_equal(bed_stats().recent_sent, 0);
	/* The first is lost, then two in a row were answered. */
	assert_int_equal(bed_judge(BED_START + 502 * MS), 1);
	assert_int_equal(bed_stats().state, SPW_PROBE_UP);
	assert_int_equal(bed_stats().recent_sent, 4);
	assert_int_equal(bed_stats().recent_lost, 1);
}

static void
an_error_about_the_packet_is_a_loss_at_once_with_its_reason(void **state)
{
	bed_begin(100, 10000, 2, 1);
	uint64_t sent = send_no(0);

	assert_true(dp_probe_refused(&bed_probe, 0, 0, SPW_PROBE_WHY_TOO_BIG, 1400));
	assert_int_equal(dp_probe_next_ns(&bed_probe), 0);
	bed_judge(sent);
	assert_int_equal(bed_stats().lost, 1);
	assert_int_equal(bed_stats().lost_why, SPW_PROBE_WHY_TOO_BIG);
	assert_int_equal(bed_stats().lost_mtu, 1400);
	assert_false(dp_probe_refused(&bed_probe, 0, 0, SPW_PROBE_WHY_TOO_BIG, 1300));
	send_no(1);
	dp_probe_refused(&bed_probe, 1, 1, SPW_PROBE_WHY_NO_WAY, 0);
	assert_int_equal(bed_judge(sent + 100 * MS), 1);
	assert_int_equal(bed_stats().state, SPW_PROBE_DOWN);
	assert_int_equal(bed_stats().lost_why, SPW_PROBE_WHY_NO_WAY);
	assert_int_equal(bed_stats().lost_mtu, 1400);
}

static void
an_error_cannot_undo_an_answer_nor_an_answer_an_error(void **state)
{
	bed_begin(100, 50, 1, 1);
	uint64_t sent = send_no(0);

	dp_probe_answered(&bed_probe, 0, 0, sent + MS, false);
	assert_false(dp_probe_refused(&bed_probe, 0, 0, SPW_PROBE_WHY_UNREACHABLE, 0));
	bed_judge(sent + 60 * MS);
	sent = send_no(1);
	assert_true(dp_probe_refused(&bed_probe, 1, 1, SPW_PROBE_WHY_UNREACHABLE, 0));
	assert_int_equal(dp_probe_answered(&bed_probe, 1, 1, sent + MS, false), DP_PROBE_LATE);
	bed_judge(sent + MS);
	assert_int_equal(bed_stats().received, 1);
	assert_int_equal(bed_stats().lost, 1);
}

static void
each_change_of_state_is_told_however_late_it_is_judged(void **state)
{
	bed_begin(100, 1000, 1, 1);
	for (uint32_t n = 0; n < 6; n++) {
		uint64_t sent = send_no(n);

		if (n % 2 == 0)
			dp_probe_answered(&bed_probe, (uint16_t)n, n, sent + MS, false);
	}
	assert_int_equal(bed_judge(BED_START + 5000 * MS), 6);
	assert_int_equal(bed_stats().state, SPW_PROBE_DOWN);
}

/* The thread runs every 10 ms from `from` to `to`. */
static void
run_until(uint64_t from, uint64_t to)
{
	for (uint64_t t = from; t <= to; t += 10 * MS) {
		dp_probe_watch_run(&bed_watch, t, t);
		bed_judge(t);
		bed_watch.planned_ns = t + 10 * MS;
	}
}

static void
what_timed_out_while_the_thread_stood_gets_no_verdict(void **state)
{
	bed_begin(100, 50, 1, 1);
	uint64_t sent = send_no(0);

	dp_probe_answered(&bed_probe, 0, 0, sent + MS, false);
	run_until(sent, sent + 90 * MS);
	sent = send_no(1);
	run_until(sent, sent + 20 * MS);
	/* A second passes; the answer was received late because everything stood. */
	assert_int_equal(dp_probe_answered(&bed_probe, 1, 1, sent + 1000 * MS, false),
			 DP_PROBE_LATE);
	run_until(sent + 1000 * MS, sent + 1090 * MS);
	struct spw_dp_probe_stats s = bed_stats();

	assert_int_equal(s.state, SPW_PROBE_UP);
	assert_int_equal(s.lost, 0);
	assert_int_equal(s.recent_sent, 1);
	assert_int_equal(s.sent, 2);
}

static void
what_times_out_well_after_a_stall_is_lost(void **state)
{
	bed_begin(100, 90, 1, 1);
	uint64_t sent = send_no(0);

	run_until(sent, sent + 20 * MS);
	run_until(sent + 60 * MS, sent + 100 * MS);
	assert_int_equal(bed_stats().lost, 1);
	assert_int_equal(bed_stats().state, SPW_PROBE_DOWN);
}

static void
a_stall_is_being_run_later_than_planned(void **state)
{
	static const struct {
		uint64_t ran, planned, now;
		bool stall;
	} table[] = {
		{0, 0, BED_START, false},
		{BED_START, BED_START + 10 * MS, BED_START + 10 * MS, false},
		{BED_START, BED_START + 10 * MS, BED_START + 30 * MS, false},
		{BED_START, BED_START + 10 * MS, BED_START + 30 * MS + 1, true},
		{BED_START, BED_START + 1000 * MS, BED_START + 1000 * MS, false},
		{BED_START, BED_START + 1000 * MS, BED_START + 500 * MS, false},
		{BED_START, BED_START - 5 * MS, BED_START + 20 * MS, false},
		{BED_START, BED_START - 5 * MS, BED_START + 21 * MS, true},
		{BED_START, DP_PROBE_NEVER, BED_START + 5000 * MS, false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct dp_probe_watch w = {.ran_ns = table[i].ran, .planned_ns = table[i].planned};

		dp_probe_watch_run(&w, table[i].now, table[i].now);
		if ((w.blind_ns == table[i].now + DP_PROBE_GRACE_NS) != table[i].stall)
			fail_msg("row %zu", i);
		assert_int_equal(w.ran_ns, table[i].now);
	}
}

static void
a_stall_is_also_when_nobody_reads_the_receive_queues(void **state)
{
	static const struct {
		uint64_t listened;
		bool stall;
	} table[] = {
		{BED_START, false},
		{BED_START + MS, false},
		{BED_START - 20 * MS, false},
		{BED_START - 20 * MS - 1, true},
		{0, true},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct dp_probe_watch w = {.ran_ns = BED_START - MS, .planned_ns = BED_START};

		dp_probe_watch_run(&w, BED_START, table[i].listened);
		assert_int_equal(w.blind_ns, table[i].stall ? BED_START + DP_PROBE_GRACE_NS : 0);
	}
}

static void
a_late_thread_leaves_packets_out_and_keeps_the_rhythm(void **state)
{
	bed_begin(100, 50, 1, 1);
	dp_probe_sent(&bed_probe, BED_START + 3 * MS, 0);
	assert_int_equal(bed_probe.next_send_ns, BED_START + 100 * MS);
	dp_probe_sent(&bed_probe, BED_START + 1234 * MS, 1);
	assert_int_equal(bed_probe.next_send_ns, BED_START + 1300 * MS);
	assert_int_equal(bed_stats().sent, 2);
}

static void
first_packets_are_spread_over_an_interval_or_a_second(void **state)
{
	static const uint32_t intervals[] = {100, 1000, 60000};

	for (size_t i = 0; i < 3; i++) {
		uint64_t span = intervals[i] < 1000 ? intervals[i] * MS : 1000 * MS;
		uint32_t in_ms[1000] = {0}, most = 0;

		for (uint32_t id = 0; id < SPW_DP_PROBES_MAX; id++) {
			struct spw_dp_probe c = bed_conf(intervals[i], 50, 1, 1);

			c.id = id;
			dp_probe_start(&bed_probe, &c, BED_START);
			assert_in_range(bed_probe.next_send_ns, BED_START, BED_START + span - 1);
			uint32_t *n = &in_ms[(bed_probe.next_send_ns - BED_START) / MS];

			if (++*n > most)
				most = *n;
		}
		/* Even: at most twice the mean in any millisecond. */
		assert_in_range(most, 1, 2 * SPW_DP_PROBES_MAX * MS / span + 1);
	}
}

static void
the_histogram_has_a_bucket_for_each_power_of_two(void **state)
{
	assert_int_equal(dp_probe_bucket(0), 0);
	for (uint32_t n = 0; n < 64; n++) {
		uint32_t want = n < SPW_DP_RTT_BUCKETS ? n : SPW_DP_RTT_BUCKETS - 1;

		assert_int_equal(dp_probe_bucket(UINT64_C(1) << n), want);
		assert_int_equal(dp_probe_bucket((UINT64_C(2) << n) - 1), want);
	}
}

static void
round_trips_are_counted(void **state)
{
	static const uint64_t us[] = {700, 300, 5000, 301};

	bed_begin(100, 50, 1, 1);
	for (uint16_t n = 0; n < 4; n++) {
		uint64_t sent = send_no(n);

		dp_probe_answered(&bed_probe, n, n, sent + us[n] * 1000 + 999, n == 2);
		bed_judge(sent + 60 * MS);
	}
	struct spw_dp_probe_stats s = bed_stats();

	assert_int_equal(s.rtt_min_us, 300);
	assert_int_equal(s.rtt_max_us, 5000);
	assert_int_equal(s.rtt_last_us, 301);
	assert_int_equal(s.rtt_sum_us, 6301);
	assert_int_equal(s.other_way, 1);
	assert_int_equal(s.rtt[8], 2);
	assert_int_equal(s.rtt[9], 1);
	assert_int_equal(s.rtt[12], 1);
}

static void
a_clock_that_seems_to_go_back_gives_no_giant(void **state)
{
	bed_begin(100, 50, 1, 1);
	uint64_t sent = send_no(0);

	assert_int_equal(dp_probe_answered(&bed_probe, 0, 0, sent - 100, false), DP_PROBE_TAKEN);
	assert_int_equal(bed_stats().rtt_max_us, 0);
}

static void
only_the_last_hundred_verdicts_are_recent(void **state)
{
	bed_begin(100, 50, 100, 100);
	for (uint32_t n = 0; n < 250; n++) {
		uint64_t sent = send_no(n);

		if (n >= 120)
			dp_probe_answered(&bed_probe, (uint16_t)n, n, sent + MS, false);
		bed_judge(sent + 60 * MS);
		assert_int_equal(bed_stats().recent_sent, n < 100 ? n + 1 : 100);
		uint32_t oldest = n < 100 ? 0 : n - 99;
		uint32_t lost = oldest >= 120 ? 0 : (n < 120 ? n + 1 : 120) - oldest;

		assert_int_equal(bed_stats().recent_lost, lost);
	}
}

static void
impossible_contents_are_refused_with_a_sentence(void **state)
{
	struct spw_dp_probe good = bed_conf(100, 50, 1, 1), bad[14];
	struct spw_err err;

	assert_int_equal(dp_probe_check(&good, &err), 0);
	for (size_t i = 0; i < 14; i++)
		bad[i] = good;
	bad[0].id = SPW_DP_PROBES_MAX;
	bad[1].kind = 3;
	bad[2].interval_ms = 99;
	bad[3].interval_ms = 60001;
	bad[4].timeout_ms = 9;
	bad[5].timeout_ms = 10001;
	bad[6].fall = 0;
	bad[7].rise = 101;
	bad[8].size = 63;
	bad[9].size = 9001;
	bad[10].dscp = 64;
	bad[11].kind = SPW_PROBE_TWAMP; /* port 0 */
	bad[12].target.family = AF_INET6;
	bad[13].source.family = bad[13].target.family = 0;
	for (size_t i = 0; i < 14; i++) {
		err.text[0] = '\0';
		if (dp_probe_check(&bad[i], &err) >= 0 || !err.text[0])
			fail_msg("row %zu is taken", i);
	}
}

static void
another_generation_is_the_same_probe_and_any_other_field_is_not(void **state)
{
	struct spw_dp_probe a = bed_conf(100, 50, 1, 1), b[12];

	for (size_t i = 0; i < 12; i++)
		b[i] = a;
	b[0].generation++;
	assert_true(dp_probe_same(&a, &b[0]));
	b[0].id++;
	b[1].path++;
	b[2].kind++;
	b[3].interval_ms++;
	b[4].timeout_ms++;
	b[5].fall++;
	b[6].rise++;
	b[7].size++;
	b[8].port++;
	b[9].dscp++;
	b[10].source.bytes[3]++;
	b[11].target.bytes[3]++;
	for (size_t i = 0; i < 12; i++)
		if (dp_probe_same(&a, &b[i]))
			fail_msg("row %zu is taken for the same", i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_state_follows_runs_of_fall_and_rise),
		cmocka_unit_test(silence_is_judged_just_after_the_timeout_and_not_before),
		cmocka_unit_test(an_answer_in_time_counts_even_when_it_is_read_after_the_timeout),
		cmocka_unit_test(a_late_answer_is_counted_apart_and_its_packet_stays_lost),
		cmocka_unit_test(a_second_answer_is_a_duplicate_whatever_the_first_was),
		cmocka_unit_test(only_the_cookie_of_a_remembered_packet_is_an_answer),
		cmocka_unit_test(numbers_may_wrap_in_their_sixteen_bits),
		cmocka_unit_test(verdicts_come_in_the_order_of_sending),
		cmocka_unit_test(an_error_about_the_packet_is_a_loss_at_once_with_its_reason),
		cmocka_unit_test(an_error_cannot_undo_an_answer_nor_an_answer_an_error),
		cmocka_unit_test(each_change_of_state_is_told_however_late_it_is_judged),
		cmocka_unit_test(what_timed_out_while_the_thread_stood_gets_no_verdict),
		cmocka_unit_test(what_times_out_well_after_a_stall_is_lost),
		cmocka_unit_test(a_stall_is_being_run_later_than_planned),
		cmocka_unit_test(a_stall_is_also_when_nobody_reads_the_receive_queues),
		cmocka_unit_test(a_late_thread_leaves_packets_out_and_keeps_the_rhythm),
		cmocka_unit_test(first_packets_are_spread_over_an_interval_or_a_second),
		cmocka_unit_test(the_histogram_has_a_bucket_for_each_power_of_two),
		cmocka_unit_test(round_trips_are_counted),
		cmocka_unit_test(a_clock_that_seems_to_go_back_gives_no_giant),
		cmocka_unit_test(only_the_last_hundred_verdicts_are_recent),
		cmocka_unit_test(impossible_contents_are_refused_with_a_sentence),
		cmocka_unit_test(another_generation_is_the_same_probe_and_any_other_field_is_not),
	};

	return cmocka_run_group_tests_name("dataplane/probe", tests, NULL, NULL);
}
