/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A forwarding probe against a plain model: what happened is written down for each packet, and only
 * afterwards, without any of the machine's notions, verdicts, state and counts are worked out.
 * SPW_LONG=1 lives a thousand lives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/dataplane/probe_bed.h"

#define PACKETS 400

struct fact {
	uint64_t sent, rx; /* rx 0: never answered */
	bool refused;	   /* before any answer */
	bool taken;	   /* the machine has been told of the answer */
	bool twice;
	uint64_t judged_at_earliest; /* first run after the timeout */
	uint64_t blind;		     /* end of the newest stall by then */
};

static struct fact fact[PACKETS];

static char
verdict_of(const struct fact *f, uint64_t timeout)
{
	if (f->refused)
		return 'l';
	if (f->rx && f->rx - f->sent <= timeout)
		return 'a';
	return f->sent + timeout <= f->blind ? 'v' : 'l';
}

static void
compare_with_model(uint32_t n, uint64_t timeout, uint16_t fall, uint16_t rise, unsigned int changes)
{
	uint32_t state = SPW_PROBE_UNKNOWN, ok = 0, bad = 0, in_a_row = 0, moves = 0, m = 0;
	uint32_t late = 0, twice = 0, recent_lost = 0;
	char kept[PACKETS], before = 'v';
	struct spw_dp_probe_stats s = bed_stats();

	for (uint32_t i = 0; i < n; i++) {
		char v = verdict_of(&fact[i], timeout);

		late += fact[i].rx && v != 'a';
		twice += fact[i].twice;
		if (v == 'v')
			continue;
		kept[m++] = v;
		in_a_row = v == before ? in_a_row + 1 : 1;
		before = v;
		*(v == 'a' ? &ok : &bad) += 1;
		uint32_t to = v == 'a' ? SPW_PROBE_UP : SPW_PROBE_DOWN;

		if (in_a_row >= (v == 'a' ? rise : fall) && state != to) {
			state = to;
			moves++;
		}
	}
	for (uint32_t i = m > 100 ? m - 100 : 0; i < m; i++)
		recent_lost += kept[i] == 'l';
	assert_int_equal(s.state, state);
	assert_int_equal(changes, moves);
	assert_int_equal(s.sent, n);
	assert_int_equal(s.received, ok);
	assert_int_equal(s.lost, bad);
	assert_int_equal(s.late, late);
	assert_int_equal(s.duplicate, twice);
	assert_int_equal(s.recent_sent, m > 100 ? 100 : m);
	assert_int_equal(s.recent_lost, recent_lost);
}

static uint32_t
chance(uint32_t n)
{
	return (uint32_t)random() % n;
}

/* Tell the machine of all answers received until `now`, forwards or backwards. */
static void
hand_over(uint32_t n, uint64_t now)
{
	bool back = chance(2) != 0;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = back ? n - 1 - k : k;
		struct fact *f = &fact[i];

		if (f->taken || !f->rx || f->rx > now)
			continue;
		f->taken = true;
		dp_probe_answered(&bed_probe, (uint16_t)i, i * UINT64_C(77), f->rx, false);
		f->twice = chance(10) == 0;
		if (f->twice)
			dp_probe_answered(&bed_probe, (uint16_t)i, i * UINT64_C(77), f->rx + 1,
					  false);
	}
	if (chance(4) == 0)
		assert_int_equal(dp_probe_answered(&bed_probe, (uint16_t)random(), 5, now, false),
				 DP_PROBE_FOREIGN);
}

static void
fact_make(struct fact *f, uint64_t now, uint64_t timeout, uint32_t weather)
{
	*f = (struct fact){.sent = now};
	if (chance(100) < weather)
		f->refused = chance(5) == 0;
	else
		f->rx = now + (uint64_t)random() * 7919 % (timeout + timeout / 8) + 1;
}

/* Some seconds of a probe's life under changing loss; stalls happen. */
static void
one_life(uint32_t interval, uint32_t timeout_ms, uint16_t fall, uint16_t rise)
{
	uint64_t timeout = timeout_ms * MS, now = BED_START, blind = 0, end = UINT64_MAX;
	uint32_t n = 0, weather = chance(100);
	unsigned int changes = 0;

	bed_begin(interval, timeout_ms, fall, rise);
	while (now <= end) {
		hand_over(n, now);
		dp_probe_watch_run(&bed_watch, now, now);
		blind = bed_watch.blind_ns > blind ? bed_watch.blind_ns : blind;
		for (uint32_t i = 0; i < n; i++)
			if (!fact[i].judged_at_earliest &&
			    now > fact[i].sent + timeout + DP_PROBE_SLACK_NS) {
				fact[i].judged_at_earliest = now;
				fact[i].blind = blind;
			}
		changes += bed_judge(now);
		if (n < PACKETS && dp_probe_due(&bed_probe, now)) {
			fact_make(&fact[n], now, timeout, weather);
			dp_probe_sent(&bed_probe, now, n * UINT64_C(77));
			if (fact[n].refused)
				dp_probe_refused(&bed_probe, (uint16_t)n, n * UINT64_C(77),
						 SPW_PROBE_WHY_NO_WAY, 0);
			if (++n == PACKETS)
				end = now + 3 * timeout + 1000 * MS;
		}
		if (chance(30) == 0)
			weather = chance(4) ? chance(100) : 0;
		bed_watch.planned_ns = now + 7 * MS;
		now += chance(200) == 0 ? (1 + chance(900)) * MS : 1 + chance(9) * MS;
	}
	hand_over(n, UINT64_MAX);
	compare_with_model(n, timeout, fall, rise, changes);
}

static void
random_lives_agree_with_the_plain_model(void **state)
{
	unsigned int lives = getenv("SPW_LONG") ? 1000 : 40;

	for (unsigned int seed = 1; seed <= lives; seed++) {
		srandom(seed);
		uint32_t timeout = 10 + chance(chance(2) ? 200 : 5000);

		one_life(100 + chance(300), timeout, (uint16_t)(1 + chance(6)),
			 (uint16_t)(1 + chance(6)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_lives_agree_with_the_plain_model),
	};

	return cmocka_run_group_tests_name("dataplane/probe_model", tests, NULL, NULL);
}
