/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The global bitmap of live paths.
 *
 * One bit for each path: a single store flips every group that uses the path, however many
 * prefixes point there. Two kinds of writers meet here: controld, through the API thread, sets and
 * clears; the data plane itself (link down, seen by the EAL's interrupt thread or told by the
 * kernel) only clears. A clear raises the path's `clears`, and setting needs the newest number, so
 * a decision that was under way while the link fell cannot win. Writers hold a lock; workers copy
 * the words when the generation behind them moved, and never see a generation without its
 * words (release here, acquire in dp_path_view_renew).
 *
 * Pure but for the lock: no DPDK.
 */
#include "dataplane/path_bits.h"

#include <errno.h>

void
dp_path_bits_init(struct dp_path_bits *b)
{
	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
}

void
dp_path_bits_fini(struct dp_path_bits *b)
{
	pthread_mutex_destroy(&b->lock);
}

static bool
bit_get(const struct dp_path_bits *b, uint32_t id)
{
	return atomic_load_explicit(&b->word[id / 64], memory_order_relaxed) >> (id % 64) & 1;
}

/* Under the lock. */
static void
bit_put(struct dp_path_bits *b, uint32_t id, bool up, uint64_t now_ns)
{
	uint64_t bit = UINT64_C(1) << (id % 64);
	uint64_t old = atomic_load_explicit(&b->word[id / 64], memory_order_relaxed);
	uint64_t new = up ? old | bit : old & ~bit;

	if (new == old)
		return;
	atomic_store_explicit(&b->word[id / 64], new, memory_order_relaxed);
	atomic_fetch_add_explicit(&b->generation, 1, memory_order_release);
	b->life[id].changed_ns = now_ns;
}

bool
dp_path_bits_may_set(struct dp_path_bits *b, uint32_t id, bool up, uint32_t clears)
{
	pthread_mutex_lock(&b->lock);
	bool may = !up || b->life[id].clears == clears;

	pthread_mutex_unlock(&b->lock);
	return may;
}

int
dp_path_bits_set(struct dp_path_bits *b, uint32_t id, bool up, uint32_t clears, uint64_t now_ns)
{
	int rc = 0;

	pthread_mutex_lock(&b->lock);
	if (up && b->life[id].clears != clears)
		rc = -ESTALE;
	else
		bit_put(b, id, up, now_ns);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

void
dp_path_bits_clear(struct dp_path_bits *b, const struct dp_path_mask *mask, uint64_t now_ns)
{
	pthread_mutex_lock(&b->lock);
	for (unsigned int w = 0; w < DP_PATH_WORDS; w++) {
		for (uint64_t left = mask->word[w]; left; left &= left - 1) {
			uint32_t id = w * 64 + (uint32_t)__builtin_ctzll(left);

			b->life[id].clears++;
			bit_put(b, id, false, now_ns);
		}
		b->cleared.word[w] |= mask->word[w];
	}
	pthread_mutex_unlock(&b->lock);
}

void
dp_path_bits_reset(struct dp_path_bits *b, uint32_t id, bool forget, uint64_t now_ns)
{
	pthread_mutex_lock(&b->lock);
	bit_put(b, id, false, now_ns);
	if (forget) {
		b->life[id] = (struct dp_path_life){0};
		b->cleared.word[id / 64] &= ~(UINT64_C(1) << (id % 64));
	}
	pthread_mutex_unlock(&b->lock);
}

bool
dp_path_bits_take_cleared(struct dp_path_bits *b, struct dp_path_mask *out)
{
	bool any = false;

	pthread_mutex_lock(&b->lock);
	*out = b->cleared;
	memset(&b->cleared, 0, sizeof(b->cleared));
	pthread_mutex_unlock(&b->lock);
	for (unsigned int w = 0; w < DP_PATH_WORDS; w++)
		any |= out->word[w] != 0;
	return any;
}

struct dp_path_life
dp_path_bits_life(struct dp_path_bits *b, uint32_t id, bool *up)
{
	pthread_mutex_lock(&b->lock);
	struct dp_path_life life = b->life[id];

	*up = bit_get(b, id);
	pthread_mutex_unlock(&b->lock);
	return life;
}
