/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SA over several workers: chunks of cipher work that idle workers take from a busy one.
 *
 * The worker that receives an SA's packets (inbound, all of an ESP flow arrive on one queue) or
 * numbers them (outbound) is their owner. It packs runs of them into chunks: an array of jobs, the
 * key, the packets. A chunk stands in two queues at once:
 *
 *   the offer   one for each owner, all SAs together: a ring of pointers with a count of those
 *               offered (the owner adds) and a count of those taken. Whoever moves `taken` from n
 *               to n + 1 by compare-and-swap runs chunk n. That is the only atomic operation of a
 *               hand-off, one for a chunk. Nobody is given work; who has time takes the oldest.
 *   the lane    one for each SA with packets out: a list of its chunks in the order of arrival. The
 *               owner retires from the front of each lane what is done, and nothing else.
 *
 * The owner takes from its own offer like everybody, so a helper that is busy, slow or stopped
 * before it takes costs nothing and holds nothing. One that stops in the middle of a chunk holds
 * the lane of that SA and no other. What arrives for such an SA is opened by the owner at once and
 * waits in the lane (`kept` chunks, filled to the brim however few come at a time) until the lane
 * is DP_LANE_CHUNKS long; then it is dropped, and the caller counts why.
 *
 * Whoever runs a chunk touches the packets' memory, the key, and the chunk's own `good` and `done`.
 * Replay window, counters and sequence numbers are the owner's, before the chunk is offered and
 * after it is done; they need no atomics and see the packets in order.
 *
 * A chunk that is out holds an SA and its key, and may stay out over several bursts. Quiescence is
 * therefore reported with a delay: eras alternate, and when the last chunk of the former era has
 * come back, the token that was current when the present one began is reported.
 *
 * Memory is made when the worker is; nothing is allocated here afterwards. A slot of the offer is
 * written again only when its chunk has been taken, retired and put out again: as many slots as
 * chunks are enough, since the untaken ones are all different.
 */
#include "dataplane/spread.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((DP_CHUNKS & (DP_CHUNKS - 1)) == 0, "slots are found by a mask");
_Static_assert(DP_CHUNK_PKTS <= DP_CRYPTO_RUN, "a chunk is one call of the cipher");

struct dp_spread *
dp_spread_new(unsigned int index)
{
	struct dp_spread *s = aligned_alloc(64, sizeof(*s));
	size_t bytes = sizeof(struct dp_chunk) * DP_CHUNKS;

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->index = index;
	s->chunks = aligned_alloc(64, bytes);
	if (s->chunks == NULL) {
		free(s);
		return NULL;
	}
	memset(s->chunks, 0, bytes);
	for (uint32_t i = 0; i < DP_CHUNKS; i++)
		s->free[s->n_free++] = &s->chunks[DP_CHUNKS - 1 - i];
	return s;
}

void
dp_spread_free(struct dp_spread *s)
{
	if (s == NULL)
		return;
	free(s->chunks);
	free(s);
}

void
dp_spread_join(struct dp_spread *s, struct dp_spread *const *all, unsigned int n)
{
	memcpy(s->all, all, sizeof(s->all[0]) * n);
	s->n_all = n;
	s->next_help = (s->index + 1) % n;
}

static void
count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t was = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, was + n, memory_order_relaxed);
}

unsigned int
dp_spread_hungry(const struct dp_spread *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->n_all; i++)
		if (i != s->index)
			n += atomic_load_explicit(&s->all[i]->hungry, memory_order_relaxed);
	return n;
}

bool
dp_spread_wanted(const struct dp_spread *s)
{
	for (unsigned int i = 0; i < s->n_all; i++)
		if (i != s->index &&
		    atomic_load_explicit(&s->all[i]->wants, memory_order_relaxed) != 0)
			return true;
	return false;
}

const struct dp_chunk *
dp_spread_oldest(const struct dp_spread *s, const void *sa)
{
	for (uint32_t i = 0; i < s->n_lanes; i++)
		if (s->lane[i].sa == sa)
			return s->lane[i].first;
	return NULL;
}

/* The lane of an SA, made when there is none; NULL when all are in use. */
static struct dp_lane *
lane_get(struct dp_spread *s, void *sa)
{
	uint32_t i = 0;

	while (i < s->n_lanes && s->lane[i].sa != sa)
		i++;
	if (i == DP_LANES)
		return NULL;
	if (i == s->n_lanes)
		s->lane[s->n_lanes++] = (struct dp_lane){.sa = sa};
	return &s->lane[i];
}

/* Take the oldest chunk out of a lane; an empty lane goes. */
static struct dp_chunk *
lane_shift(struct dp_spread *s, struct dp_lane *lane)
{
	struct dp_chunk *chunk = lane->first;

	lane->first = chunk->next;
	if (--lane->chunks == 0)
		*lane = s->lane[--s->n_lanes];
	return chunk;
}

static bool
full(const struct dp_chunk *chunk)
{
	return chunk->n == DP_CHUNK_PKTS || chunk->text >= DP_CHUNK_BYTES;
}

/* A new chunk at the end of a lane; NULL when the lane is as long as may be or none is free. */
static struct dp_chunk *
chunk_new(struct dp_spread *s, struct dp_lane *lane, const struct dp_spread_run *run)
{
	struct dp_chunk *chunk;

	if (lane->chunks == DP_LANE_CHUNKS || s->n_free == 0)
		return NULL;
	chunk = s->free[--s->n_free];
	chunk->run = run->run;
	chunk->key = run->key;
	chunk->n = chunk->text = 0;
	chunk->sa = run->sa;
	chunk->next = NULL;
	chunk->kind = run->kind;
	chunk->era = s->era;
	chunk->kept = false;
	chunk->good = 0;
	atomic_store_explicit(&chunk->done, 0, memory_order_relaxed);
	s->out[s->era]++;
	if (lane->chunks++ == 0)
		lane->first = chunk;
	else
		lane->last->next = chunk;
	lane->last = chunk;
	return chunk;
}

/* Fill a chunk from a run; returns how many packets it took. */
static uint32_t
fill(struct dp_chunk *chunk, const struct dp_spread_run *run, uint32_t from)
{
	uint32_t i = from;

	while (i < run->n && !full(chunk)) {
		chunk->job[chunk->n] = run->job[i];
		chunk->pkt[chunk->n] = run->pkt[i];
		chunk->text += run->job[i].text_len;
		chunk->n++;
		i++;
	}
	return i - from;
}

static void
offer(struct dp_spread *s, struct dp_chunk *chunk)
{
	uint64_t n = atomic_load_explicit(&s->offered, memory_order_relaxed);

	atomic_store_explicit(&s->slot[n & (DP_CHUNKS - 1)], chunk, memory_order_relaxed);
	dp_spread_point();
	/* Partner: take(). */
	atomic_store_explicit(&s->offered, n + 1, memory_order_release);
	count(&s->count.offered, 1);
}

static uint32_t
lend(struct dp_spread *s, struct dp_lane *lane, const struct dp_spread_run *run)
{
	uint32_t at = 0;

	while (at < run->n) {
		struct dp_chunk *chunk = chunk_new(s, lane, run);

		if (chunk == NULL)
			break;
		at += fill(chunk, run, at);
		offer(s, chunk);
	}
	return at;
}

/*
 * Where packets that the owner runs itself may wait: with those before them, or in a new chunk.
 * A chunk of another era keeps its era: its SA is the same, and was obtained again since.
 */
static struct dp_chunk *
chunk_kept(struct dp_spread *s, struct dp_lane *lane, const struct dp_spread_run *run)
{
	struct dp_chunk *chunk = lane->chunks != 0 ? lane->last : NULL;

	if (chunk != NULL && chunk->kept && !full(chunk))
		return chunk;
	chunk = chunk_new(s, lane, run);
	if (chunk != NULL) {
		chunk->kept = true;
		atomic_store_explicit(&chunk->done, 1, memory_order_relaxed);
		count(&s->count.kept, 1);
	}
	return chunk;
}

static uint32_t
keep(struct dp_spread *s, struct dp_lane *lane, struct dp_crypto *c,
     const struct dp_spread_run *run)
{
	uint32_t at = 0;

	while (at < run->n) {
		struct dp_chunk *chunk = chunk_kept(s, lane, run);
		uint32_t had, n;

		if (chunk == NULL)
			break;
		had = chunk->n;
		n = fill(chunk, run, at);
		chunk->good |= run->run(c, run->key, &chunk->job[had], n) << had;
		at += n;
	}
	return at;
}

uint32_t
dp_spread_add(struct dp_spread *s, struct dp_crypto *c, const struct dp_spread_run *run,
	      enum dp_spread_way way)
{
	struct dp_lane *lane = lane_get(s, run->sa);
	uint32_t taken = 0;

	if (lane == NULL)
		return 0;
	if (way == DP_SPREAD_LEND)
		taken = lend(s, lane, run);
	else
		taken = keep(s, lane, c, run);
	if (lane->chunks == 0) /* no chunk was free: the lane was never used */
		s->n_lanes--;
	if (taken < run->n)
		count(&s->count.refused, run->n - taken);
	return taken;
}

/* Take the oldest chunk that nobody has started; NULL when there is none. */
static struct dp_chunk *
take(struct dp_spread *owner)
{
	uint64_t n = atomic_load_explicit(&owner->taken, memory_order_relaxed);
	struct dp_chunk *chunk;

	do {
		/* Partner: offer(). */
		if (n >= atomic_load_explicit(&owner->offered, memory_order_acquire))
			return NULL;
		dp_spread_point();
		/* Perhaps of a later round already: then `taken` has moved on, too. */
		chunk = atomic_load_explicit(&owner->slot[n & (DP_CHUNKS - 1)],
					     memory_order_relaxed);
		dp_spread_point();
	} while (!atomic_compare_exchange_weak_explicit(
		&owner->taken, &n, n + 1, memory_order_acq_rel, memory_order_relaxed));
	return chunk;
}

static void
run(struct dp_chunk *chunk, struct dp_crypto *c)
{
	dp_spread_point();
	chunk->good = chunk->run(c, chunk->key, chunk->job, chunk->n);
	dp_spread_point();
	/* Partner: dp_spread_retire(). */
	atomic_store_explicit(&chunk->done, 1, memory_order_release);
}

/* Bring near what the owner wrote last: what is right before a text, and its end. */
static void
fetch(const struct dp_chunk *chunk)
{
	for (uint32_t i = 0; i < chunk->n; i++) {
		const struct dp_crypto_job *job = &chunk->job[i];

		__builtin_prefetch(job->text - 16, 1);
		__builtin_prefetch(job->text + 64, 1);
		__builtin_prefetch(job->text + job->text_len - 1, 1);
		__builtin_prefetch(job->text + job->text_len + DP_CRYPTO_TAG - 1, 1);
	}
}

bool
dp_spread_run_one(struct dp_spread *owner, struct dp_crypto *c)
{
	struct dp_chunk *chunk = take(owner);

	if (chunk != NULL)
		run(chunk, c);
	return chunk != NULL;
}

void
dp_spread_run_own(struct dp_spread *s, struct dp_crypto *c, bool leave_some)
{
	uint64_t offered = atomic_load_explicit(&s->offered, memory_order_relaxed);
	uint64_t next = atomic_load_explicit(&s->taken, memory_order_relaxed), end = offered;

	if (leave_some)
		end = dp_spread_until(offered, s->stale, dp_spread_hungry(s));
	while (next < end && dp_spread_run_one(s, c)) {
		count(&s->count.own, 1);
		next = atomic_load_explicit(&s->taken, memory_order_relaxed);
	}
	s->stale = s->offered_was;
	s->offered_was = offered;
}

bool
dp_spread_help(struct dp_spread *s, struct dp_crypto *c)
{
	unsigned int i = s->next_help;

	for (unsigned int asked = 0; asked < s->n_all; asked++) {
		struct dp_chunk *chunk = i != s->index ? take(s->all[i]) : NULL;

		if (chunk != NULL) {
			fetch(chunk);
			run(chunk, c);
			s->next_help = i; /* it may have more */
			count(&s->count.helped, 1);
			return true;
		}
		if (++i == s->n_all)
			i = 0;
	}
	return false;
}

struct dp_chunk *
dp_spread_retire(struct dp_spread *s)
{
	for (uint32_t i = 0; i < s->n_lanes; i++) {
		struct dp_lane *lane = &s->lane[i];

		/* Partner: dp_spread_run_one(). */
		if (atomic_load_explicit(&lane->first->done, memory_order_acquire) != 0)
			return lane_shift(s, lane);
	}
	return NULL;
}

void
dp_spread_put(struct dp_spread *s, struct dp_chunk *chunk)
{
	s->out[chunk->era]--;
	s->free[s->n_free++] = chunk;
}

uint64_t
dp_spread_quiesce(struct dp_spread *s, uint64_t token)
{
	uint64_t seen = s->era_token;

	if (!dp_spread_out(s)) {
		s->era_token = token;
		return token;
	}
	if (s->out[s->era ^ 1] != 0)
		return 0;
	s->era ^= 1;
	s->era_token = token;
	return seen;
}
