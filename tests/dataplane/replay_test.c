/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The replay window against a model that keeps every accepted number in a plain set and decides
 * from the definition alone: right of the highest, or within W of it and not accepted before.
 */
#include "dataplane/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

static uint64_t rng_state = 88172645463325252u;

static uint64_t
rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* The model: numbers relative to `base` in a byte map. */
struct model {
	uint64_t base, top;
	uint32_t window;
	uint8_t *seen;
	size_t size;
};

static bool
model_accept(struct model *m, uint64_t seq)
{
	if (seq == 0 || seq < m->base)
		return false;
	assert_true(seq - m->base < m->size);
	if (seq <= m->top && m->top - seq >= m->window)
		return false;
	if (m->seen[seq - m->base])
		return false;
	m->seen[seq - m->base] = 1;
	if (seq > m->top)
		m->top = seq;
	return true;
}

static struct dp_replay *
window(uint32_t size)
{
	struct dp_replay *r = malloc(dp_replay_bytes(size));

	assert_non_null(r);
	dp_replay_init(r, size);
	return r;
}

static void
replay_size_is_rounded_up(void **state)
{
	assert_int_equal(dp_replay_round(0), 0);
	assert_int_equal(dp_replay_round(1), 64);
	assert_int_equal(dp_replay_round(64), 64);
	assert_int_equal(dp_replay_round(65), 128);
	assert_int_equal(dp_replay_round(4096), 4096);
	assert_int_equal(dp_replay_round(5000), 8192);
	assert_int_equal(dp_replay_round(65536), 65536);
}

static void
replay_never_accepts_zero(void **state)
{
	struct dp_replay *r = window(64);

	assert_int_equal(dp_replay_accept(r, 0), DP_REPLAY_SEEN);
	assert_int_equal(dp_replay_accept(r, 1), DP_REPLAY_OK);
	assert_int_equal(dp_replay_accept(r, 0), DP_REPLAY_SEEN);
	assert_int_equal(dp_replay_accept(r, 1000), DP_REPLAY_OK);
	assert_int_equal(dp_replay_accept(r, 0), DP_REPLAY_LATE);
	free(r);
}

static void
replay_accepts_left_edge_and_not_beyond(void **state)
{
	for (uint32_t w = 64; w <= 65536; w *= 2) {
		struct dp_replay *r = window(w);
		uint64_t top = 3u * w + 17;

		assert_int_equal(dp_replay_accept(r, top), DP_REPLAY_OK);
		assert_int_equal(dp_replay_accept(r, top - w), DP_REPLAY_LATE);
		assert_int_equal(dp_replay_accept(r, top - w + 1), DP_REPLAY_OK);
		assert_int_equal(dp_replay_accept(r, top - w + 1), DP_REPLAY_SEEN);
		assert_int_equal(dp_replay_accept(r, top), DP_REPLAY_SEEN);
		free(r);
	}
}

static void
replay_off_accepts_everything(void **state)
{
	struct dp_replay *r = window(0);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(dp_replay_accept(r, 5), DP_REPLAY_OK);
		assert_int_equal(dp_replay_accept(r, UINT64_MAX), DP_REPLAY_OK);
		assert_int_equal(dp_replay_accept(r, 1), DP_REPLAY_OK);
	}
	free(r);
}

/* Mostly near the top, sometimes far ahead, behind, or exactly on an edge. */
static uint64_t
next_seq(const struct model *m)
{
	uint64_t w = m->window;

	switch (rng() % 8) {
	case 0: return m->top + 1 + rng() % (3 * w);
	case 1: return m->top - w + rng() % 3;
	case 2: return m->top - rng() % (2 * w);
	case 3: return m->top;
	case 4: return m->top + 64 - m->top % 64 + rng() % 3 - 1;
	default: return m->top + 2 - rng() % 6;
	}
}

static void
check_against_model(uint32_t w, uint64_t base)
{
	struct model m = {.base = base, .top = base, .window = w, .size = 256u << 20};
	struct dp_replay *r = window(w);
	size_t accepted = 0;

	m.seen = calloc(1, m.size);
	assert_non_null(m.seen);
	if (base != 0) {
		m.seen[0] = 1;
		dp_replay_set(r, base);
	}
	for (int i = 0; i < 60000; i++) {
		uint64_t seq = next_seq(&m);
		bool want;

		if (seq < base || seq - base >= m.size)
			continue; /* before the start of the test: not in the model */
		want = model_accept(&m, seq);
		assert_int_equal(dp_replay_check(r, seq) == DP_REPLAY_OK, want);
		assert_int_equal(dp_replay_accept(r, seq) == DP_REPLAY_OK, want);
		assert_int_equal(r->top, m.top);
		accepted += want;
	}
	assert_true(accepted > 10000);
	free(m.seen);
	free(r);
}

static void
replay_agrees_with_model(void **state)
{
	static const uint32_t sizes[] = {64, 128, 1024, 4096};

	for (size_t i = 0; i < 4; i++) {
		check_against_model(sizes[i], 0);
		check_against_model(sizes[i], (UINT64_C(7) << 32) - 5000);
	}
}

/* A run set at once leaves the window that its numbers leave one by one. */
static void
replay_run_is_the_same_as_its_numbers(void **state)
{
	static const uint32_t sizes[] = {0, 64, 128, 1024, 65536};

	(void)state;
	for (unsigned int s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t bytes = dp_replay_bytes(sizes[s]);
		struct dp_replay *run = malloc(bytes), *single = malloc(bytes);
		uint64_t next = 1;

		dp_replay_init(run, sizes[s]);
		dp_replay_init(single, sizes[s]);
		for (unsigned int step = 0; step < 3000; step++) {
			uint32_t n = 1 + (uint32_t)(step * 7 % 64);
			uint64_t gap = step % 5 == 0 ? step * 31 % (4 * (sizes[s] + 64)) : 0;

			next += gap;
			dp_replay_set_run(run, next, n);
			for (uint32_t i = 0; i < n; i++)
				dp_replay_set(single, next + i);
			next += n;
			assert_memory_equal(run, single, bytes);
		}
		free(run);
		free(single);
	}
}

static void
replay_accepts_each_of_a_shuffle_once(void **state)
{
	enum { W = 1024, N = 100000 };
	struct dp_replay *r = window(W);
	uint32_t *order = malloc(N * sizeof(*order));

	assert_non_null(order);
	for (uint32_t i = 0; i < N; i++)
		order[i] = i + 1;
	for (uint32_t i = 0; i + W / 2 < N; i++) { /* nobody moves more than W / 2 to the right */
		uint32_t j = i + (uint32_t)(rng() % 2), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(dp_replay_accept(r, order[i]), DP_REPLAY_OK);
	for (uint32_t i = 0; i < N; i++)
		assert_int_not_equal(dp_replay_accept(r, order[i]), DP_REPLAY_OK);
	free(order);
	free(r);
}

/*
 * Model of the inference: among all 64-bit numbers with these low bits, the smallest that is not
 * left of the window (for a window that starts before number 0: none below zero exists).
 */
static uint64_t
model_infer(uint64_t top, uint32_t w, uint32_t lo)
{
	__int128 bottom = (__int128)top - w + 1;

	for (__int128 hi = (__int128)(top >> 32) - 1; hi <= (__int128)(top >> 32) + 1; hi++) {
		__int128 seq = (hi << 32) | lo;

		if (seq >= bottom)
			return hi < 0 ? 0 : (uint64_t)seq;
	}
	fail();
	return 0;
}

static void
replay_infers_high_bits_like_the_model(void **state)
{
	static const uint32_t sizes[] = {64, 128, 1024, 4096, 65536};
	unsigned int cases = 0;

	for (size_t s = 0; s < 5; s++)
		for (int i = 0; i < 20000; i++) {
			uint64_t epoch = rng() % 4 << 32;
			uint64_t top = epoch + (rng() % 2 ? rng() % (4 * sizes[s])
							  : UINT32_MAX - rng() % (4 * sizes[s]));
			uint32_t lo = rng() % 2 ? (uint32_t)(top + rng() % 20000 - 10000)
						: (uint32_t)rng();

			assert_int_equal(dp_replay_infer(top, sizes[s], lo),
					 model_infer(top, sizes[s], lo));
			cases++;
		}
	assert_true(cases >= 4000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay_size_is_rounded_up),
		cmocka_unit_test(replay_never_accepts_zero),
		cmocka_unit_test(replay_accepts_left_edge_and_not_beyond),
		cmocka_unit_test(replay_off_accepts_everything),
		cmocka_unit_test(replay_agrees_with_model),
		cmocka_unit_test(replay_run_is_the_same_as_its_numbers),
		cmocka_unit_test(replay_accepts_each_of_a_shuffle_once),
		cmocka_unit_test(replay_infers_high_bits_like_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
