/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Damping: tables of the penalty, then a flapping path through hours of the rule.
 */
#include "control/damping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/preference.h"

#define S SPW_NS_PER_S

static void
each_loss_that_counts_doubles_the_wait_up_to_the_maximum(void **state)
{
	static const struct {
		uint32_t losses, wait_s, max_s, want_s;
	} row[] = {
		{0, 30, 600, 30},
		{1, 30, 600, 30},
		{2, 30, 600, 60},
		{3, 30, 600, 120},
		{5, 30, 600, 480},
		{6, 30, 600, 600},
		{32, 30, 600, 600},
		{9, 30, 0, 30},
		{9, 30, 20, 30},
		{9, 30, 30, 30},
		{9, 0, 600, 0},
		{2, 1, 3600, 2},
		{32, 1, UINT32_MAX, 1u << 31},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct ctl_damping d = {.losses = row[i].losses, .last_s = 1000};
		uint32_t got = ctl_damping_wait_s(&d, row[i].wait_s, row[i].max_s, 1000 * S);

		if (got != row[i].want_s)
			fail_msg("row %zu: %u s", i, got);
	}
}

static void
a_quiet_time_takes_one_loss_after_the_other_away(void **state)
{
	struct ctl_damping d = {0};
	const uint64_t quiet = CTL_DAMPING_QUIET_S * S, t = 5000 * S;

	assert_int_equal(ctl_damping_losses(&d, t), 0);
	for (unsigned int i = 0; i < 3; i++)
		ctl_damping_lose(&d, t + i * S);
	assert_int_equal(ctl_damping_losses(&d, t + 2 * S), 3);
	assert_int_equal(ctl_damping_losses(&d, t + 2 * S + quiet - S), 3);
	assert_int_equal(ctl_damping_losses(&d, t + 2 * S + quiet), 2);
	assert_int_equal(ctl_damping_losses(&d, t + 2 * S + 3 * quiet), 0);
	assert_int_equal(ctl_damping_losses(&d, t + 90 * quiet), 0);
	ctl_damping_lose(&d, t + 2 * S + quiet);
	assert_int_equal(ctl_damping_losses(&d, t + 2 * S + quiet), 3);
}

static void
the_wait_does_not_shrink_while_it_runs(void **state)
{
	struct ctl_damping d = {.losses = 12, .last_s = 100};

	assert_int_equal(ctl_damping_wait_s(&d, 30, 7200, 101 * S), 7200);
	assert_true(ctl_damping_wait_s(&d, 30, 7200, 5000 * S) <=
		    ctl_damping_wait_s(&d, 30, 7200, 101 * S));
}

static void
a_storm_counts_no_further_than_the_cap(void **state)
{
	struct ctl_damping d = {0};

	for (unsigned int i = 0; i < 100000; i++)
		ctl_damping_lose(&d, 7 * S);
	assert_int_equal(ctl_damping_losses(&d, 7 * S), 32);
}

/* What a vnet sees of one path: on it unless it is down or waits. */
struct flapper {
	struct ctl_damping damping;
	bool up, on;
	uint64_t restored_ns;
	unsigned int away, back;
};

static void
flapper_step(struct flapper *f, bool up, uint64_t now)
{
	uint32_t wait;
	bool on;

	if (f->up && !up)
		ctl_damping_lose(&f->damping, now);
	if (!f->up && up)
		f->restored_ns = now;
	f->up = up;
	wait = ctl_damping_wait_s(&f->damping, 60, 600, f->restored_ns);
	on = up && !ctl_preference_waits(f->restored_ns, wait, 0, now);
	f->away += f->on && !on;
	f->back += !f->on && on;
	f->on = on;
}

/* A hundred flaps in a minute: one fail-over, and one fail-back when it is over. */
static void
a_flap_storm_moves_traffic_once_each_way(void **state)
{
	for (unsigned int seed = 1; seed <= 20; seed++) {
		struct flapper f = {.up = true, .on = true};
		uint64_t now = 10000 * S, end = now + 60 * S;

		srand(seed);
		while (now < end) {
			flapper_step(&f, !f.up, now);
			now += (50 + (uint64_t)rand() % 450) * SPW_NS_PER_MS;
		}
		flapper_step(&f, true, now);
		assert_int_equal(f.away, 1);
		assert_int_equal(f.back, 0);
		for (; now < end + 700 * S; now += S)
			flapper_step(&f, true, now);
		assert_int_equal(f.away, 1);
		assert_int_equal(f.back, 1);
	}
}

/* Slower than the wait, for ten hours: the penalty keeps the changes to one a hold-down. */
static void
a_slow_flapper_is_damped_to_one_change_for_each_hold_down(void **state)
{
	struct flapper f = {.up = true, .on = true};
	uint64_t start = 10000 * S, now = start, last_back = 0;

	for (unsigned int flap = 0; flap < 400; flap++) {
		flapper_step(&f, false, now);
		flapper_step(&f, true, now + S);
		for (unsigned int s = 2; s < 90; s++) {
			unsigned int back = f.back;

			flapper_step(&f, true, now + s * S);
			if (f.back > back && f.back > 4) {
				assert_true(now + s * S - last_back >= 600 * S);
			}
			if (f.back > back)
				last_back = now + s * S;
		}
		now += 90 * S;
	}
	assert_true(f.away <= 2 + (now - start) / (600 * S));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_loss_that_counts_doubles_the_wait_up_to_the_maximum),
		cmocka_unit_test(a_quiet_time_takes_one_loss_after_the_other_away),
		cmocka_unit_test(the_wait_does_not_shrink_while_it_runs),
		cmocka_unit_test(a_storm_counts_no_further_than_the_cap),
		cmocka_unit_test(a_flap_storm_moves_traffic_once_each_way),
		cmocka_unit_test(a_slow_flapper_is_damped_to_one_change_for_each_hold_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
