/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The anti-replay window: a ring of bits that is cleared ahead of its right edge.
 *
 * Moving the edge by n numbers costs n / 64 stores, never a shift of the whole window. The ring has
 * twice the bits of the window, so a word that is cleared for new numbers never holds one that is
 * still in the window. Numbers have 64 bits throughout; without ESN only the low 32 occur and the
 * sender may not pass 2^32 - 1 (RFC 4303 3.3.3). Number 0 is never sent: with an empty window
 * (top 0) it is the top itself and counts as seen.
 */
#include "dataplane/replay.h"

#include <string.h>

uint32_t
dp_replay_round(uint32_t configured)
{
	uint32_t size = DP_REPLAY_MIN;

	if (configured == 0)
		return 0;
	while (size < configured && size < DP_REPLAY_MAX)
		size <<= 1;
	return size;
}

/* Words in the ring; a window that is off keeps one pair so that the layout stays valid. */
static uint32_t
words(uint32_t size)
{
	return size == 0 ? 2 : 2 * size / 64;
}

size_t
dp_replay_bytes(uint32_t size)
{
	return sizeof(struct dp_replay) + words(size) * sizeof(uint64_t);
}

void
dp_replay_init(struct dp_replay *r, uint32_t size)
{
	memset(r, 0, dp_replay_bytes(size));
	r->size = size;
	r->mask = words(size) - 1;
}

/* Clear the words that numbers after `top` up to `seq` enter for the first time. */
static void
clear_ahead(struct dp_replay *r, uint64_t seq)
{
	uint64_t from = (r->top >> 6) + 1;
	uint64_t to = seq >> 6;

	if (to >= from && to - from > r->mask)
		from = to - r->mask;
	for (uint64_t word = from; word <= to; word++)
		r->bits[word & r->mask] = 0;
}

void
dp_replay_set(struct dp_replay *r, uint64_t seq)
{
	if (seq > r->top) {
		clear_ahead(r, seq);
		r->top = seq;
	}
	r->bits[(seq >> 6) & r->mask] |= UINT64_C(1) << (seq & 63);
}

void
dp_replay_set_run(struct dp_replay *r, uint64_t first, uint32_t n)
{
	const uint64_t last = first + n - 1, ones = UINT64_MAX >> (64 - n);
	const unsigned int shift = first & 63;

	clear_ahead(r, last);
	r->top = last;
	r->bits[(first >> 6) & r->mask] |= ones << shift;
	if (shift + n > 64)
		r->bits[(last >> 6) & r->mask] |= ones >> (64 - shift);
}

uint64_t
dp_replay_infer(uint64_t top, uint32_t size, uint32_t seq_lo)
{
	uint32_t top_lo = (uint32_t)top;
	uint64_t hi = top >> 32;
	uint32_t reach = size == 0 ? DP_REPLAY_MIN : size;
	uint32_t bottom = top_lo - (reach - 1); /* left edge, modulo 2^32 */

	if (top_lo >= reach - 1) {
		/* The window lies inside one epoch (A2.2 case A). */
		if (seq_lo < bottom)
			hi++;
	} else if (seq_lo >= bottom) {
		/* The window spans two epochs and the number is in the older (case B). */
		if (hi == 0)
			return 0;
		hi--;
	}
	return hi << 32 | seq_lo;
}
