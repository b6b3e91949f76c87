/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the global bitmap of live paths and who may change it. */
#ifndef SPW_DATAPLANE_PATH_BITS_H
#define SPW_DATAPLANE_PATH_BITS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/spillway.h"

#define DP_PATH_WORDS (SPW_DP_PATHS_MAX / 64)

/* A set of paths; of a port, say: those that lead over it. */
struct dp_path_mask {
	uint64_t word[DP_PATH_WORDS];
};

struct dp_path_bits {
	_Atomic uint64_t word[DP_PATH_WORDS];
	_Atomic uint64_t generation; /* raised after every change of a word */
	/* All below is guarded by the lock; workers never take it. */
	pthread_mutex_t lock;
	struct dp_path_mask cleared; /* cleared by ourselves and not told yet */
	struct dp_path_life {
		uint32_t clears;
		uint64_t changed_ns;
	} life[SPW_DP_PATHS_MAX];
};

/* A worker's copy of the bitmap, renewed once per burst. */
struct dp_path_view {
	uint64_t generation;
	uint64_t word[DP_PATH_WORDS];
};

/* All down, no clears yet. */
void dp_path_bits_init(struct dp_path_bits *b);
void dp_path_bits_fini(struct dp_path_bits *b);

/* Worker: renew the view when anything changed. */
static inline void
dp_path_view_renew(struct dp_path_view *v, const struct dp_path_bits *b)
{
	/* Pairs with the release in the writer: whoever sees the generation sees its words. */
	uint64_t now = atomic_load_explicit(&b->generation, memory_order_acquire);

	if (now == v->generation)
		return;
	for (unsigned int i = 0; i < DP_PATH_WORDS; i++)
		v->word[i] = atomic_load_explicit(&b->word[i], memory_order_relaxed);
	v->generation = now;
}

static inline void
dp_path_mask_add(struct dp_path_mask *m, uint32_t id)
{
	m->word[id / 64] |= UINT64_C(1) << (id % 64);
}

static inline bool
dp_path_mask_has(const struct dp_path_mask *m, uint32_t id)
{
	return m->word[id / 64] >> (id % 64) & 1;
}

/*
 * controld's wish. Clearing always succeeds. Setting is refused with -ESTALE unless `clears` is
 * the number of clears so far: a decision taken before the newest clear must not undo it.
 */
int dp_path_bits_set(struct dp_path_bits *b, uint32_t id, bool up, uint32_t clears, uint64_t now_ns)
	__attribute__((warn_unused_result));
/* Would dp_path_bits_set() accept? */
bool dp_path_bits_may_set(struct dp_path_bits *b, uint32_t id, bool up, uint32_t clears);
/*
 * The data plane's own clear (link down): every path of `mask` goes down and counts one more clear,
 * also those that were down already, and is remembered in `cleared`. Any control-side thread.
 */
void dp_path_bits_clear(struct dp_path_bits *b, const struct dp_path_mask *mask, uint64_t now_ns);
/* A path was replaced or removed: down, and with `forget` its count of clears starts again. */
void dp_path_bits_reset(struct dp_path_bits *b, uint32_t id, bool forget, uint64_t now_ns);
/* Take the set of paths cleared since the last call. False when it is empty. */
bool dp_path_bits_take_cleared(struct dp_path_bits *b, struct dp_path_mask *out);
/* State of one path. */
struct dp_path_life dp_path_bits_life(struct dp_path_bits *b, uint32_t id, bool *up);

#endif
