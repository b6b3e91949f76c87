/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP outbound: the stage that seals packets into tunnels (RFC 4303 3.3, RFC 4106, RFC 3948).
 *
 * The burst is taken apart in runs: packets that follow each other and have one SA; one that is
 * dropped ends its run. A packet without an SA is dropped and never sent in the clear. Of each run
 *   claim   sequence numbers and bytes, by one addition each
 *   write   trailer, ESP header, IV, outer header, all by wide stores from what the SA has ready
 *   seal    the cipher, one call for the run
 * so nothing is asked per packet that the SA has answered. While a run is worked on, what the next
 * ones need is on its way to the cache. All runs are written before the first is sealed, so that
 * the cipher's calls follow each other and overlap inside the CPU, also when each has one packet.
 * Packets into a tunnel of their own each are sealed by steps instead (esp_step.c).
 *
 * With several workers the cipher's part of a run may be lent (spread.c). Numbers, limits and
 * counters are in esp_claim.c. The inner packet gets no change: TTL was the routing stage's, DF and
 * size the fit stage's.
 *
 * Worker thread. Reads the SAD; writes the counters of its own index.
 */
#include <rte_prefetch.h>

#include "dataplane/esp_seal.h"
#include "dataplane/esp_stamp.h"
#include "dataplane/esp_step.h"
#include "dataplane/fit.h"
#include "dataplane/sad_data.h"
#include "dataplane/spread.h"
#include "dataplane/spread_seal.h"
#include "dataplane/wire.h"

/* What of a burst is to be sealed, in its order. */
struct batch {
	uint16_t n;
	struct dp_seal_run run[DP_BURST_ROOM];
	struct dp_crypto_job job[DP_BURST_ROOM];
};

static bool
selected(const struct dp_sa_out *sa, const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	struct dp_selector_key key;

	if (likely(dp_selectors_passes(sa->sel_pass, ip)))
		return true;
	dp_selector_key_read(&key, ip, m->data_len);
	return dp_selectors_match_out(sa->sel, &key);
}

/* The SA that a tunnel sends on; NULL when there is none. */
static struct dp_sa_out *
find_sa(const struct dp_sad *sad, uint32_t tunnel)
{
	if (unlikely(tunnel >= sad->max_tunnels))
		return NULL;
	/* Partner: publish_out() in sad_install.c. */
	return atomic_load_explicit(&sad->tunnels[tunnel].out, memory_order_acquire);
}

/* Make the packet in place `at` fit to be written into; false: it was dropped. */
static bool
make_own(struct dp_worker *w, struct dp_burst *b, uint16_t at)
{
	b->pkt[at] = dp_packet_own(w, b->pkt[at], DP_SEAL_HEAD, DP_SEAL_TAIL);
	return b->pkt[at] != NULL;
}

/*
 * Make a run of the packets from the `from`th on that go into one tunnel, which the first of them
 * does. Returns the place behind them, and behind the one that was dropped and ended it.
 */
static uint16_t
collect_run(struct dp_worker *w, struct dp_burst *b, uint16_t from, struct batch *runs)
{
	const uint32_t tunnel = dp_pkt(b->pkt[from])->tunnel;
	struct dp_sa_out *sa = find_sa(w->sad, tunnel);
	const uint16_t end = RTE_MIN(b->n, (uint16_t)(from + DP_CRYPTO_RUN));
	uint32_t states = 0, ask, refused = 0;
	uint64_t bytes = 0;
	uint16_t i = from;

	if (unlikely(sa == NULL)) {
		dp_seal_refuse(w, b, from, DP_DROP_NO_SA);
		return (uint16_t)(from + 1);
	}
	ask = sa->ask;
	for (; i < end; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_pkt *p = dp_pkt(m);
		uint32_t state = dp_pkt_state(p);

		if ((uint8_t)state != DP_NEXT_SEAL || p->tunnel != tunnel)
			break;
		refused = 1;
		if (unlikely(!dp_packet_is_own(m, DP_SEAL_HEAD, DP_SEAL_TAIL))) {
			if (!make_own(w, b, i))
				break;
			m = b->pkt[i];
		}
		if (unlikely((state & ask) != 0) && !selected(sa, m)) {
			dp_seal_refuse(w, b, i, DP_DROP_SELECTOR_OUT);
			break;
		}
		refused = 0;
		states |= state;
		bytes += m->data_len;
	}
	if (likely(i != from))
		runs->run[runs->n++] = (struct dp_seal_run){.sa = sa,
							    .from = from,
							    .n = (uint16_t)(i - from),
							    .flags = (uint8_t)(states >> 8),
							    .bytes = bytes};
	return (uint16_t)(i + refused);
}

static void
collect(struct dp_worker *w, struct dp_burst *b, uint16_t from, struct batch *runs)
{
	runs->n = 0;
	for (uint16_t i = from; i < b->n;) {
		if (likely(dp_pkt(b->pkt[i])->next == DP_NEXT_SEAL))
			i = collect_run(w, b, i, runs);
		else
			i++;
	}
}

/* Bring near what writing a packet will touch of its SA. */
static inline void
fetch(const struct dp_worker *w, const struct dp_sa_out *sa)
{
	rte_prefetch0(&sa->seq);
	rte_prefetch0(atomic_load_explicit(&sa->outer, memory_order_relaxed));
	if (w->sad->shared)
		rte_prefetch0(&sa->count[w->index]);
}

static __rte_always_inline void
write_kind(const struct dp_sad *sad, struct rte_mbuf *const *pkt, const struct dp_seal_run *r,
	   const struct dp_outer *o, enum dp_outer_kind kind)
{
	const struct dp_sa_out *sa = r->sa;
	const struct dp_stamp stamp = dp_stamp_of(sa, &sad->tunnels[sa->tunnel]);
	struct rte_mbuf *const *end = pkt + r->n;
	struct dp_crypto_job *job = r->job;
	uint64_t seq = r->seq;

	for (; pkt != end; pkt++)
		dp_stamp_put(&stamp, o, kind, *pkt, ++seq, job++);
}

static void
write_run(const struct dp_sad *sad, const struct dp_burst *b, const struct dp_seal_run *r)
{
	struct rte_mbuf *const *pkt = &b->pkt[r->from];
	/* Partner: move_out() in sad_move.c. */
	const struct dp_outer *o = atomic_load_explicit(&r->sa->outer, memory_order_acquire);

	switch ((enum dp_outer_kind)o->kind) {
	case DP_OUTER_V4: write_kind(sad, pkt, r, o, DP_OUTER_V4); break;
	case DP_OUTER_V4_UDP: write_kind(sad, pkt, r, o, DP_OUTER_V4_UDP); break;
	case DP_OUTER_V6: write_kind(sad, pkt, r, o, DP_OUTER_V6); break;
	case DP_OUTER_V6_UDP: write_kind(sad, pkt, r, o, DP_OUTER_V6_UDP); break;
	}
}

/*
 * Among several workers: the packets of the run go out in chunks, and come back by
 * dp_esp_seal_back(), when others have time for them or earlier ones of the SA are out. False:
 * they are to be sealed here and now.
 */
static bool
spread(struct dp_worker *w, struct dp_burst *b, const struct dp_seal_run *r)
{
	struct rte_mbuf **pkt = &b->pkt[r->from];
	struct dp_spread_run out = {.kind = DP_LANE_SEAL,
				    .sa = r->sa,
				    .run = r->sa->seal,
				    .key = r->sa->key,
				    .job = r->job,
				    .pkt = pkt,
				    .n = r->n};
	enum dp_spread_way way;
	uint32_t taken;

	if (likely(!w->backlog && !dp_spread_out(w->spread)))
		return false;
	way = dp_spread_way(w->spread, r->sa, w->backlog, (uint32_t)r->bytes);
	if (way == DP_SPREAD_INLINE)
		return false;
	taken = dp_spread_add(w->spread, w->crypto, &out, way);
	memset(pkt, 0, taken * sizeof(pkt[0]));
	for (uint32_t i = taken; i < r->n; i++) {
		dp_seal_uncount(w, r->sa, pkt[i]);
		dp_seal_refuse(w, b, (uint16_t)(r->from + i), DP_DROP_SPREAD_WAIT);
	}
	return true;
}

/* Claim and write; false when nothing is left to seal. */
static bool
prepare_run(struct dp_worker *w, struct dp_burst *b, struct dp_seal_run *r)
{
	struct dp_sa_out *sa = r->sa;

	if (unlikely(dp_sa_out_ended(sa))) {
		enum dp_drop why = dp_counted(&sa->seq) >= sa->seq_max ? DP_DROP_SEQ_EXHAUSTED
								       : DP_DROP_LIMIT_HARD;

		for (uint16_t i = 0; i < r->n; i++)
			dp_seal_refuse(w, b, (uint16_t)(r->from + i), why);
		return false;
	}
	dp_seal_claim(w, b, r);
	if (unlikely(r->n == 0))
		return false;
	dp_seal_count(w, b, r);
	write_run(w->sad, b, r);
	return true;
}

/* Drop what of the run was not sealed. */
static void
refuse_unsealed(struct dp_worker *w, struct dp_burst *b, const struct dp_seal_run *r, uint64_t good)
{
	for (uint16_t i = 0; i < r->n; i++) {
		if ((good >> i & 1) != 0)
			continue;
		dp_seal_uncount(w, r->sa, b->pkt[r->from + i]);
		dp_seal_refuse(w, b, (uint16_t)(r->from + i), DP_DROP_SEAL_FAILED);
	}
}

static void
seal_run(struct dp_worker *w, struct dp_burst *b, const struct dp_seal_run *r)
{
	const struct dp_sa_out *sa = r->sa;
	uint64_t good;

	if (unlikely(w->spread != NULL && spread(w, b, r)))
		return;
	good = sa->seal(w->crypto, sa->key, r->job, r->n);
	if (unlikely(good != UINT64_MAX >> (64 - r->n)))
		refuse_unsealed(w, b, r, good);
	if (unlikely(sa->udp6))
		for (uint16_t i = r->from; i < r->from + r->n; i++)
			if (b->pkt[i] != NULL)
				dp_outer_udp6(rte_pktmbuf_mtod(b->pkt[i], uint8_t *));
}

/* Bring near what the cipher will read of a run's key. */
static inline void
fetch_key(const struct dp_worker *w, const struct dp_seal_run *r)
{
	dp_key_fetch(w->crypto, r->sa->key, r->sa->iv_len, r->job->text_len);
}

/* Seal the runs of a burst, with the keys of the next ones on their way. */
static void
seal_all(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	for (uint16_t i = 0; i < RTE_MIN(runs->n, (uint16_t)DP_KEYS_AHEAD); i++)
		fetch_key(w, &runs->run[i]);
	for (uint16_t i = 0; i < runs->n; i++) {
		if (i + DP_KEYS_AHEAD < runs->n)
			fetch_key(w, &runs->run[i + DP_KEYS_AHEAD]);
		seal_run(w, b, &runs->run[i]);
	}
}

/* Claim numbers for all runs and write their packets; runs of which nothing is left go. */
static void
prepare_all(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	uint16_t kept = 0, made = 0;

	for (uint16_t i = 0; i < RTE_MIN(runs->n, (uint16_t)DP_SAS_AHEAD); i++)
		fetch(w, runs->run[i].sa);
	for (uint16_t i = 0; i < runs->n; i++) {
		struct dp_seal_run *r = &runs->run[i];

		if (i + DP_SAS_AHEAD < runs->n)
			fetch(w, runs->run[i + DP_SAS_AHEAD].sa);
		r->job = &runs->job[made];
		if (unlikely(!prepare_run(w, b, r)))
			continue;
		made = (uint16_t)(made + r->n);
		if (unlikely(kept != i))
			runs->run[kept] = *r;
		kept++;
	}
	runs->n = kept;
}

/* Seal the run that begins with the packet in place `at`; returns the place behind it. */
static uint16_t
seal_next(struct dp_worker *w, struct dp_burst *b, uint16_t at, struct batch *runs)
{
	runs->n = 0;
	if (dp_pkt(b->pkt[at])->next != DP_NEXT_SEAL)
		return (uint16_t)(at + 1);
	at = collect_run(w, b, at, runs);
	prepare_all(w, b, runs);
	seal_all(w, b, runs);
	return at;
}

/* Seal packet by packet as far as that goes; returns the place behind the last one. */
static uint16_t
seal_mixed(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	uint16_t at = 0, n;

	do {
		n = dp_seal_step(w, b, at);
		at = (uint16_t)(at + n);
		if (at < b->n)
			at = seal_next(w, b, at, runs);
	} while (n != 0 && at < b->n);
	return at;
}

void
dp_stage_esp_seal(struct dp_worker *w, struct dp_burst *b)
{
	uint64_t dropped = w->count.dropped;
	struct batch runs;
	uint16_t from = 0;

	b->kinds &= (uint16_t)~DP_KIND(DP_NEXT_SEAL);
	if (unlikely(dp_seal_mixed(w, b))) {
		b->kinds |= DP_KIND(DP_NEXT_OUTER);
		from = seal_mixed(w, b, &runs);
	}
	collect(w, b, from, &runs);
	if (runs.n != 0)
		b->kinds |= DP_KIND(DP_NEXT_OUTER);
	prepare_all(w, b, &runs);
	seal_all(w, b, &runs);
	if (unlikely(w->spread != NULL || w->count.dropped != dropped))
		dp_burst_compact(b);
}

void
dp_esp_seal_back(struct dp_worker *w, struct dp_burst *b, const struct dp_chunk *chunk)
{
	struct dp_sa_out *sa = chunk->sa;

	for (uint32_t i = 0; i < chunk->n; i++) {
		struct rte_mbuf *m = chunk->pkt[i];

		if (unlikely((chunk->good >> i & 1) == 0)) {
			dp_seal_uncount(w, sa, m);
			dp_drop(w, m, DP_DROP_SEAL_FAILED);
			continue;
		}
		if (unlikely(sa->udp6))
			dp_outer_udp6(rte_pktmbuf_mtod(m, uint8_t *));
		b->pkt[b->n++] = m;
	}
	b->kinds |= DP_KIND(DP_NEXT_OUTER);
	dp_seal_note(w->seal, sa);
}
