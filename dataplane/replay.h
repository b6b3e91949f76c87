/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the anti-replay window of an inbound SA (RFC 4303 3.4.3, A2). Pure: no
 * clock, no allocation, no atomics; one caller at a time.
 */
#ifndef SPW_DATAPLANE_REPLAY_H
#define SPW_DATAPLANE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_REPLAY_MIN 64
#define DP_REPLAY_MAX 65536

enum dp_replay_verdict {
	DP_REPLAY_OK,
	DP_REPLAY_SEEN, /* accepted before; also number 0, which no sender may use */
	DP_REPLAY_LATE, /* left of the window */
};

/*
 * The window: `size` numbers up to and including `top`. Bit s of a ring of 2 * size bits tells
 * whether number s (mod ring) was accepted; the half of the ring ahead of `top` is clear or stale
 * and is cleared as the window moves.
 */
struct dp_replay {
	uint64_t top;	 /* highest number accepted, 0 = none yet */
	uint32_t size;	 /* power of two, DP_REPLAY_MIN..MAX; 0 = replay check off */
	uint32_t mask;	 /* words in the ring - 1 */
	uint64_t bits[]; /* the ring */
};

/* The size in use for a configured size: the next power of two, at least 64; 0 stays 0. */
uint32_t dp_replay_round(uint32_t configured);
/* Bytes to allocate for a window of a rounded size. */
size_t dp_replay_bytes(uint32_t size);
/* Start empty. `r` points to dp_replay_bytes(size) bytes. */
void dp_replay_init(struct dp_replay *r, uint32_t size);
/* Record a number that dp_replay_check() found OK. */
void dp_replay_set(struct dp_replay *r, uint64_t seq);
/* Record `n` numbers (1..64) that follow each other, the first of them beyond `top`. */
void dp_replay_set_run(struct dp_replay *r, uint64_t first, uint32_t n);
/*
 * The 64-bit number that a packet carries by its low 32 bits (ESN, RFC 4303 A2.2): the one
 * nearest to the window that is not left of it. Low numbers that only an epoch before the first
 * could have carried yield 0, which every check refuses.
 */
uint64_t dp_replay_infer(uint64_t top, uint32_t size, uint32_t seq_lo);

/* May this number be accepted? A hint before the tag is verified, the decision after. */
static inline enum dp_replay_verdict
dp_replay_check(const struct dp_replay *r, uint64_t seq)
{
	if (r->size == 0)
		return DP_REPLAY_OK;
	if (seq > r->top)
		return DP_REPLAY_OK;
	if (r->top - seq >= r->size)
		return DP_REPLAY_LATE;
	if (seq == 0 || (r->bits[(seq >> 6) & r->mask] >> (seq & 63) & 1) != 0)
		return DP_REPLAY_SEEN;
	return DP_REPLAY_OK;
}

/* Check and, when OK, record: the decision after a good tag. */
static inline enum dp_replay_verdict
dp_replay_accept(struct dp_replay *r, uint64_t seq)
{
	enum dp_replay_verdict v = dp_replay_check(r, seq);

	if (v == DP_REPLAY_OK)
		dp_replay_set(r, seq);
	return v;
}

#endif
