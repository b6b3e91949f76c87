/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may use a tunnel's capacity: the promises of dataplane/shape.c on random traffic, against a
 * queue that may never fill and against naive water-filling. Time is simulated; one tick is a
 * nanosecond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>

#include "dataplane/asym.h"
#include "dataplane/shape.h"

#define HZ	  UINT64_C(1000000000)
#define LEN_MAX	  1400
#define CLASSES	  SPW_DP_CLASSES
#define OWN	  CLASSES /* a source of the gateway's own packets, class 0 */
#define SOURCES	  (CLASSES + 1)
#define START_TSC 12345

static uint64_t seed = 1;

static uint32_t
roll(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 32) * n >> 32);
}

/* Somebody who sends packets of one class at a rate. */
struct source {
	uint64_t rate; /* bytes a second */
	double credit; /* bytes it wants to send now */
	uint32_t next; /* length of its next packet */
	uint64_t passed, dropped, lost;
};

struct world {
	struct dp_shape *shape;
	struct spw_dp_classes classes;
	uint64_t rate; /* the capacity, bytes a second */
	uint64_t now;
	struct source source[SOURCES];
	double queue, queue_max; /* what a queue emptied at the capacity would hold */
};

static void
world_open(struct world *y, uint32_t kbps, const uint8_t share[CLASSES])
{
	memset(y, 0, sizeof(*y));
	y->classes = dp_classes_default;
	memcpy(y->classes.share_percent, share, CLASSES);
	y->rate = (uint64_t)kbps * 125;
	y->now = START_TSC;
	y->shape = dp_shape_new(kbps, &y->classes, HZ, y->now, NULL);
	assert_non_null(y->shape);
}

static void
world_close(struct world *y)
{
	free(y->shape);
}

/* Bytes that all buckets hold when full, and the packet by which each may be overdrawn. */
static double
burst_of(const struct world *y)
{
	double sum = 0;

	for (unsigned int i = 0; i < DP_SHAPE_BUCKETS; i++)
		sum += (double)y->shape->bucket[i].depth + LEN_MAX;
	return sum;
}

static void
send_one(struct world *y, struct dp_shape_run *r, unsigned int from)
{
	struct source *s = &y->source[from];
	bool own = from == OWN;

	s->credit -= s->next;
	if (dp_shape_admit(r, own ? 0 : from, s->next, own)) {
		s->passed += s->next;
		y->queue += s->next;
	} else {
		s->dropped++;
		s->lost += s->next;
	}
	s->next = 64 + roll(LEN_MAX - 64);
}

/* Whoever wants to send does, one packet each in turn from a random one on. */
static void
burst(struct world *y)
{
	struct dp_shape_run r;
	bool sent = true;

	dp_shape_begin(&r, y->shape, y->now);
	while (sent) {
		unsigned int first = roll(SOURCES);

		sent = false;
		for (unsigned int i = 0; i < SOURCES; i++) {
			unsigned int from = (first + i) % SOURCES;

			if (y->source[from].credit < y->source[from].next ||
			    y->source[from].rate == 0)
				continue;
			send_one(y, &r, from);
			sent = true;
		}
	}
	dp_shape_end(&r);
	if (y->queue > y->queue_max)
		y->queue_max = y->queue;
}

static void
run_for(struct world *y, double seconds, uint32_t step_ns)
{
	uint64_t end = y->now + (uint64_t)(seconds * 1e9);

	for (unsigned int i = 0; i < SOURCES; i++)
		if (y->source[i].next == 0)
			y->source[i].next = 64 + roll(LEN_MAX - 64);
	while (y->now < end) {
		uint64_t dt = 1 + roll(2 * step_ns);

		y->now += dt;
		y->queue -= (double)y->rate * (double)dt / 1e9;
		if (y->queue < 0)
			y->queue = 0;
		for (unsigned int i = 0; i < SOURCES; i++)
			y->source[i].credit += (double)y->source[i].rate * (double)dt / 1e9;
		burst(y);
	}
}

static void
forget(struct world *y)
{
	for (unsigned int i = 0; i < SOURCES; i++)
		y->source[i].passed = y->source[i].dropped = y->source[i].lost = 0;
}

static void
random_shares(uint8_t share[CLASSES])
{
	uint32_t left = 100;

	for (unsigned int i = 0; i < CLASSES; i++) {
		share[i] = (uint8_t)roll(left + 1);
		left -= share[i];
	}
}

/* Steps in which a tunnel gets a few packets. */
static uint32_t
step_of(const struct world *y)
{
	return (uint32_t)(4000 * HZ / y->rate);
}

static void
default_classes_are_those_of_the_code_points(void **state)
{
	static const struct {
		uint8_t dscp, class;
	} want[] = {{46, 0}, {44, 0}, {48, 0}, {56, 0}, {34, 1}, {36, 1}, {38, 1}, {26, 1}, {28, 1},
		    {30, 1}, {24, 1}, {32, 1}, {40, 1}, {0, 2},	 {10, 2}, {12, 2}, {14, 2}, {16, 2},
		    {18, 2}, {20, 2}, {22, 2}, {47, 2}, {63, 2}, {8, 3},  {1, 3}};
	struct spw_err err;

	assert_int_equal(dp_classes_check(&dp_classes_default, &err), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const uint8_t v4[20] = {0x45, (uint8_t)(want[i].dscp << 2 | 3)};
		const uint8_t v6[40] = {(uint8_t)(0x60 | want[i].dscp >> 2),
					(uint8_t)(want[i].dscp << 6 | 0x3f)};

		assert_int_equal(dp_class_of(&dp_classes_default, v4, false), want[i].class);
		assert_int_equal(dp_class_of(&dp_classes_default, v6, true), want[i].class);
	}
}

static void
classes_that_make_no_sense_are_refused(void **state)
{
	struct spw_dp_classes c = dp_classes_default;
	struct spw_err err;

	c.of_dscp[17] = CLASSES;
	assert_int_equal(dp_classes_check(&c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "code point 17"));
	c = dp_classes_default;
	c.share_percent[3]++;
	assert_int_equal(dp_classes_check(&c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "101 %"));
	memset(c.share_percent, 0, sizeof(c.share_percent));
	assert_int_equal(dp_classes_check(&c, &err), 0);
}

static void
what_passes_never_exceeds_the_capacity_and_the_burst_in_any_stretch_of_time(void **state)
{
	for (int round = 0; round < 60; round++) {
		struct world y;
		uint8_t share[CLASSES];

		random_shares(share);
		world_open(&y, 1000 + roll(2000000), share);
		for (int part = 0; part < 4; part++) {
			for (unsigned int i = 0; i < CLASSES; i++)
				y.source[i].rate = roll(3) ? y.rate * roll(200) / 100 : 0;
			/* Own packets pay from the share of their class. */
			y.source[OWN].rate = y.rate * share[0] / 100 / 2;
			run_for(&y, 0.25, step_of(&y));
		}
		assert_true(y.queue_max <= burst_of(&y));
		world_close(&y);
	}
}

static void
a_full_tunnel_carries_its_capacity(void **state)
{
	static const uint8_t share[CLASSES] = {20, 40, 30, 10};

	for (int round = 0; round < 10; round++) {
		struct world y;
		uint64_t passed = 0;

		world_open(&y, 1000 + roll(1000000), share);
		y.source[roll(CLASSES)].rate = 3 * y.rate;
		run_for(&y, 2, step_of(&y));
		for (unsigned int i = 0; i < CLASSES; i++)
			passed += y.source[i].passed;
		assert_true((double)passed >= 2.0 * (double)y.rate * 0.98);
		world_close(&y);
	}
}

static void
a_class_within_its_share_loses_nothing_whatever_the_others_offer(void **state)
{
	for (int round = 0; round < 60; round++) {
		unsigned int good = roll(CLASSES);
		struct world y;
		uint8_t share[CLASSES];

		random_shares(share);
		if (share[good] < 2)
			continue;
		world_open(&y, 1000 + roll(1000000), share);
		for (unsigned int i = 0; i < CLASSES; i++)
			y.source[i].rate = y.rate * roll(500) / 100;
		y.source[good].rate = y.rate * share[good] / 100 * 99 / 100;
		run_for(&y, 1, step_of(&y));
		assert_int_equal(y.source[good].dropped, 0);
		assert_true(y.source[good].passed > 0);
		world_close(&y);
	}
}

static void
below_the_capacity_nothing_is_dropped(void **state)
{
	for (int round = 0; round < 60; round++) {
		struct world y;
		uint8_t share[CLASSES];
		uint32_t left = 95;

		random_shares(share);
		world_open(&y, 10000 + roll(1000000), share);
		for (unsigned int i = 0; i < CLASSES; i++) {
			uint32_t part = i + 1 == CLASSES ? left : roll(left + 1);

			y.source[(i + (unsigned int)round) % CLASSES].rate = y.rate * part / 100;
			left -= part;
		}
		run_for(&y, 1, step_of(&y));
		for (unsigned int i = 0; i < CLASSES; i++)
			assert_int_equal(y.source[i].dropped, 0);
		world_close(&y);
	}
}

/* What each class should get: its share, then what is left by importance. */
static void
water_fill(const struct world *y, double want[CLASSES])
{
	double left = (double)y->rate;

	for (unsigned int i = 0; i < CLASSES; i++) {
		double offer = (double)y->source[i].rate;
		double share = (double)y->rate * y->classes.share_percent[i] / 100;

		want[i] = offer < share ? offer : share;
		left -= want[i];
	}
	for (unsigned int i = 0; i < CLASSES; i++) {
		double more = (double)y->source[i].rate - want[i];

		more = more < left ? more : left;
		want[i] += more;
		left -= more;
	}
}

static void
unused_share_goes_to_the_most_important_class_that_wants_it(void **state)
{
	for (int round = 0; round < 60; round++) {
		struct world y;
		uint8_t share[CLASSES];
		double want[CLASSES];

		random_shares(share);
		world_open(&y, 20000 + roll(1000000), share);
		for (unsigned int i = 0; i < CLASSES; i++)
			y.source[i].rate = roll(4) ? y.rate * roll(150) / 100 : 0;
		run_for(&y, 0.3, step_of(&y)); /* the buckets are no longer full */
		forget(&y);
		run_for(&y, 1.5, step_of(&y));
		water_fill(&y, want);
		for (unsigned int i = 0; i < CLASSES; i++) {
			double got = (double)y.source[i].passed / 1.5;

			assert_true(fabs(got - want[i]) <= 0.04 * (double)y.rate);
		}
		world_close(&y);
	}
}

static void
own_packets_always_pass_and_their_class_pays(void **state)
{
	static const uint8_t share[CLASSES] = {20, 40, 30, 10};
	struct world y;

	world_open(&y, 100000, share);
	for (unsigned int i = 0; i < CLASSES; i++)
		y.source[i].rate = y.rate;
	y.source[OWN].rate = y.rate / 10;
	run_for(&y, 1, step_of(&y));
	forget(&y);
	run_for(&y, 2, step_of(&y));
	assert_int_equal(y.source[OWN].dropped, 0);
	double own = (double)y.source[OWN].passed / 2, rate = (double)y.rate;

	assert_true(fabs(own - rate / 10) < rate / 100);
	assert_true(fabs((double)y.source[0].passed / 2 - rate / 10) < rate / 100);
	assert_true(fabs((double)y.source[1].passed / 2 - rate * 0.4) < rate / 100);
	assert_true(y.queue_max <= burst_of(&y));
	world_close(&y);
}

static void
a_flood_of_own_packets_is_forgotten_soon(void **state)
{
	static const uint8_t share[CLASSES] = {20, 40, 30, 10};
	struct world y;

	world_open(&y, 100000, share);
	y.source[OWN].rate = 10 * y.rate;
	run_for(&y, 1, step_of(&y));
	assert_int_equal(y.source[OWN].dropped, 0);
	y.source[OWN].rate = 0;
	run_for(&y, 2 * DP_SHAPE_BURST_MS / 1000.0, step_of(&y));
	y.source[0].rate = y.rate / 100 * 19;
	forget(&y);
	run_for(&y, 0.5, step_of(&y));
	assert_int_equal(y.source[0].dropped, 0);
	world_close(&y);
}

static void
a_clock_that_is_behind_gives_nothing_and_takes_nothing(void **state)
{
	static const uint8_t share[CLASSES] = {20, 40, 30, 10};
	struct dp_shape_run r;
	struct world y;
	uint64_t sum = 0;

	world_open(&y, 1000, share);
	dp_shape_begin(&r, y.shape, START_TSC - 1000000);
	for (unsigned int i = 0; i < DP_SHAPE_BUCKETS; i++)
		assert_int_equal(r.level[i], y.shape->bucket[i].depth);
	while (dp_shape_admit(&r, 0, 1000, false))
		sum += 1000;
	assert_true(sum >= DP_SHAPE_WHOLE_MIN && sum <= DP_SHAPE_WHOLE_MIN + 2000);
	dp_shape_end(&r);
	dp_shape_begin(&r, y.shape, START_TSC);
	assert_false(dp_shape_admit(&r, 0, 1, false));
	dp_shape_begin(&r, y.shape, START_TSC + HZ);
	for (unsigned int i = 0; i < DP_SHAPE_BUCKETS; i++)
		assert_int_equal(r.level[i], y.shape->bucket[i].depth);
	world_close(&y);
}

static void
rates_are_exact_over_a_year(void **state)
{
	static const uint64_t hz[] = {1000000000, 2599999000, 5000000000};
	static const uint32_t kbps[] = {64, 1000, 650000, 10000000, 400000000};

	for (size_t h = 0; h < sizeof(hz) / sizeof(hz[0]); h++)
		for (size_t k = 0; k < sizeof(kbps) / sizeof(kbps[0]); k++) {
			struct dp_shape *s =
				dp_shape_new(kbps[k], &dp_classes_default, hz[h], 0, NULL);
			int64_t ticks = (int64_t)(hz[h] * 86400 * 365);
			double want = kbps[k] * 125.0 * 86400 * 365;
			double got = (double)dp_shape_came(s->bucket[DP_SHAPE_WHOLE].rate, ticks);

			assert_true(got <= want && got >= want * 0.9999);
			free(s);
		}
}

static void
an_idle_tunnel_saves_no_more_than_its_burst(void **state)
{
	static const uint8_t share[CLASSES] = {20, 40, 30, 10};
	struct world y;

	world_open(&y, 100000, share);
	for (int day = 0; day < 400; day += 100) {
		struct dp_shape_run r;
		uint64_t sum = 0;

		y.now += HZ * 86400 * 100;
		dp_shape_begin(&r, y.shape, y.now);
		for (unsigned int i = 0; i < CLASSES; i++)
			while (dp_shape_admit(&r, CLASSES - 1 - i, LEN_MAX, false))
				sum += LEN_MAX;
		dp_shape_end(&r);
		assert_true((double)sum <= burst_of(&y));
	}
	world_close(&y);
}

/* Workers that share a tunnel; the clock is one number that the first of them moves on. */
#define WORKERS	 4
#define RUN_PKTS 32

struct crew {
	struct dp_shape *shape;
	_Atomic uint64_t now;
	_Atomic uint64_t passed;
	uint64_t end;
};

static void
crew_burst(struct crew *c, unsigned int class)
{
	struct dp_shape_run r;
	uint64_t sum = 0;

	dp_shape_begin(&r, c->shape, atomic_load(&c->now));
	for (unsigned int i = 0; i < RUN_PKTS; i++)
		if (dp_shape_admit(&r, class, 1000, false))
			sum += 1000;
	dp_shape_end(&r);
	atomic_fetch_add(&c->passed, sum);
}

static void *
crew_follow(void *arg)
{
	struct crew *c = arg;

	for (unsigned int n = 0; atomic_load(&c->now) < c->end; n++)
		crew_burst(c, n % CLASSES);
	return NULL;
}

static void
workers_that_share_a_tunnel_share_its_capacity(void **state)
{
	static const uint8_t share[CLASSES] = {20, 40, 30, 10};
	struct world y;
	pthread_t thread[WORKERS - 1];

	world_open(&y, 1000000, share);
	struct crew c = {.shape = y.shape, .now = START_TSC, .end = START_TSC + 2 * HZ};

	for (unsigned int n = 0; n < 4096; n++) /* until the buckets are empty */
		crew_burst(&c, n % CLASSES);
	atomic_store(&c.passed, 0);
	for (unsigned int i = 0; i < WORKERS - 1; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, crew_follow, &c), 0);
	while (atomic_load(&c.now) < c.end) {
		atomic_fetch_add(&c.now, 50000); /* bytes for six packets */
		crew_burst(&c, roll(CLASSES));
	}
	for (unsigned int i = 0; i < WORKERS - 1; i++)
		pthread_join(thread[i], NULL);
	double passed = (double)atomic_load(&c.passed), due = (double)y.rate * 2;

	assert_true(passed <= due + WORKERS * RUN_PKTS * 1000.0 * DP_SHAPE_BUCKETS);
	assert_true(passed >= due * 0.98);
	world_close(&y);
}

static void
asymmetric_is_what_came_another_way_than_its_answers_go(void **state)
{
	static const uint8_t roles[] = {SPW_TIER_PLAIN, SPW_TIER_EXPRESSROUTE, SPW_TIER_TUNNEL,
					SPW_TIER_INTERNET};

	for (size_t i = 0; i < sizeof(roles); i++) {
		assert_false(dp_asym_is(DP_ASYM_OTHER, roles[i]));
		assert_int_equal(dp_asym_is(DP_ASYM_EXPRESSROUTE, roles[i]),
				 roles[i] == SPW_TIER_TUNNEL);
		assert_int_equal(dp_asym_is(DP_ASYM_TUNNEL, roles[i]),
				 roles[i] == SPW_TIER_EXPRESSROUTE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_classes_are_those_of_the_code_points),
		cmocka_unit_test(classes_that_make_no_sense_are_refused),
		cmocka_unit_test(
			what_passes_never_exceeds_the_capacity_and_the_burst_in_any_stretch_of_time),
		cmocka_unit_test(a_full_tunnel_carries_its_capacity),
		cmocka_unit_test(a_class_within_its_share_loses_nothing_whatever_the_others_offer),
		cmocka_unit_test(below_the_capacity_nothing_is_dropped),
		cmocka_unit_test(unused_share_goes_to_the_most_important_class_that_wants_it),
		cmocka_unit_test(own_packets_always_pass_and_their_class_pays),
		cmocka_unit_test(a_flood_of_own_packets_is_forgotten_soon),
		cmocka_unit_test(a_clock_that_is_behind_gives_nothing_and_takes_nothing),
		cmocka_unit_test(rates_are_exact_over_a_year),
		cmocka_unit_test(an_idle_tunnel_saves_no_more_than_its_burst),
		cmocka_unit_test(workers_that_share_a_tunnel_share_its_capacity),
		cmocka_unit_test(asymmetric_is_what_came_another_way_than_its_answers_go),
	};

	return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
