/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP outbound: the stage that seals packets into tunnels (RFC 4303 3.3, RFC 4106, RFC 3948).
 *
 * The burst is taken apart in runs: packets that follow each other and have one SA; one that is
 * dropped ends its run. A packet without an SA is dropped and never sent in the clear. Of each run
 *   claim   sequence numbers and bytes, by one addition each
 *   write   trailer, ESP header, IV, outer header, all by wide stores from what the SA has ready
 *   seal    the cipher, one call for the run; for all of them where most have one packet
 * so nothing is asked per packet that the SA has answered. While a run is worked on, what the next
 * ones need is on its way to the cache. All runs are written before the first is sealed, so that
 * the cipher's calls follow each other and overlap inside the CPU, also when each has one packet.
 *
 * With several workers the cipher's part of a run may be lent (spread.c). Numbers, limits and
 * counters are in esp_claim.c. The inner packet gets no change: TTL was the routing stage's, DF and
 * size the fit stage's.
 *
 * Worker thread. Reads the SAD; writes the counters of its own index.
 */
#include <rte_prefetch.h>

#include "dataplane/ecn.h"
#include "dataplane/esp_seal.h"
#include "dataplane/esp_write.h"
#include "dataplane/fit.h"
#include "dataplane/sad_data.h"
#include "dataplane/spread.h"
#include "dataplane/spread_seal.h"
#include "dataplane/wire.h"

#define PAD_MAX (DP_CRYPTO_ALIGN_MAX - 1)
#define TAIL	(PAD_MAX + 2 + DP_CRYPTO_TAG) /* padding, trailer, tag */
#define HEAD	(DP_OUTER_MAX + DP_ESP_HDR + DP_CRYPTO_IV_MAX + DP_L2_ROOM)

#define SHORT_RUNS 4 /* with fewer runs the cipher is called for each */

/* What of a burst is to be sealed, in its order. */
struct batch {
	uint16_t n;
	uint16_t jobs;
	dp_crypto_each_t each; /* seals all jobs, each under its key; NULL: run by run */
	struct dp_seal_run run[DP_BURST_ROOM];
	struct dp_crypto_job job[DP_BURST_ROOM];
	const struct dp_crypto_key *key[DP_BURST_ROOM]; /* of the jobs, with `each` */
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

/*
 * Packets with one of these bits in their state must be held against the selectors. Those of an SA
 * that takes any IPv4 packet are IPv6; of one that does not, all.
 */
static uint32_t
states_to_ask(const struct dp_sa_out *sa)
{
	if ((sa->sel_pass & 1) == 0)
		return UINT32_MAX;
	return (sa->sel_pass & 2) != 0 ? 0 : DP_STATE(0, DP_PKT_IPV6);
}

/* Make the packet in place `at` fit to be written into; false: it was dropped. */
static bool
make_own(struct dp_worker *w, struct dp_burst *b, uint16_t at)
{
	b->pkt[at] = dp_packet_own(w, b->pkt[at], HEAD, TAIL);
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
	ask = states_to_ask(sa);
	for (; i < end; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_pkt *p = dp_pkt(m);
		uint32_t state = dp_pkt_state(p);

		if ((uint8_t)state != DP_NEXT_SEAL || p->tunnel != tunnel)
			break;
		refused = 1;
		if (unlikely(!dp_packet_is_own(m, HEAD, TAIL))) {
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
collect(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	runs->n = 0;
	for (uint16_t i = 0; i < b->n;) {
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

/* What the packets of a run have in common, out of reach of the stores into them. */
struct stamp {
	uint32_t spi_be;
	uint32_t slot;
	struct dp_outer_take take;
	uint32_t front, tag_len, align;
};

/* Write all that is around the text of one packet, and its job for the cipher. */
static __rte_always_inline void
write_one(const struct stamp *s, const struct dp_outer *o, enum dp_outer_kind kind,
	  struct rte_mbuf *m, uint64_t seq, struct dp_crypto_job *job)
{
	const bool outer6 = kind == DP_OUTER_V6 || kind == DP_OUTER_V6_UDP;
	const bool udp = kind == DP_OUTER_V4_UDP || kind == DP_OUTER_V6_UDP;
	const uint32_t outer_len = (outer6 ? 40u : 20u) + (udp ? 8u : 0u);
	const uint32_t len = m->data_len;
	struct dp_pkt *p = dp_pkt(m);
	const uint8_t flags = p->flags;
	bool inner6 = (flags & DP_PKT_IPV6) != 0;
	uint8_t *text = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *esp = text - s->front;
	struct dp_outer_fields f = {
		.marks = dp_outer_marks(&s->take, dp_outer_inner(text, inner6)),
		.id = (uint16_t)seq,
	};
	uint32_t text_len = dp_esp_trailer(text, len, s->align, inner6);

	rte_prefetch0(text + RTE_CACHE_LINE_SIZE); /* for the cipher */

	*job = (struct dp_crypto_job){
		.text = text, .text_len = text_len, .spi_be = s->spi_be, .seq = seq};
	f.esp_len = s->front + text_len + s->tag_len;
	dp_esp_header(esp, s->spi_be, seq);
	dp_outer_put(esp, o, kind, &f);
	m->data_off = (uint16_t)(m->data_off - s->front - outer_len);
	m->data_len = (uint16_t)(f.esp_len + outer_len);
	m->pkt_len = f.esp_len + outer_len;
	p->sa = s->slot;
	p->inner_len = (uint16_t)len;
	p->flags = (uint8_t)((flags & ~DP_PKT_IPV6) | DP_PKT_OUTER | (outer6 ? DP_PKT_IPV6 : 0));
	p->next = DP_NEXT_OUTER;
}

static __rte_always_inline void
write_kind(const struct dp_sad *sad, struct rte_mbuf *const *pkt, const struct dp_seal_run *r,
	   uint16_t n, const struct dp_outer *o, enum dp_outer_kind kind)
{
	const struct dp_sa_out *sa = r->sa;
	const struct stamp stamp = {
		.spi_be = sa->spi_be,
		.slot = sa->slot,
		.take = dp_outer_take(atomic_load_explicit(&sad->tunnels[sa->tunnel].outer_rule,
							   memory_order_relaxed)),
		.front = DP_ESP_HDR + sa->iv_len,
		.tag_len = sa->tag_len,
		.align = sa->align,
	};

	struct rte_mbuf *const *end = pkt + n;
	struct dp_crypto_job *job = r->job;
	uint64_t seq = r->seq;

	for (; pkt != end; pkt++)
		write_one(&stamp, o, kind, *pkt, ++seq, job++);
}

/* Write the packets of a run of `n`, which a caller may know to be one. */
static __rte_always_inline void
write_run(const struct dp_sad *sad, const struct dp_burst *b, const struct dp_seal_run *r,
	  uint16_t n)
{
	struct rte_mbuf *const *pkt = &b->pkt[r->from];
	/* Partner: move_out() in sad_install.c. */
	const struct dp_outer *o = atomic_load_explicit(&r->sa->outer, memory_order_acquire);

	switch ((enum dp_outer_kind)o->kind) {
	case DP_OUTER_V4: write_kind(sad, pkt, r, n, o, DP_OUTER_V4); break;
	case DP_OUTER_V4_UDP: write_kind(sad, pkt, r, n, o, DP_OUTER_V4_UDP); break;
	case DP_OUTER_V6: write_kind(sad, pkt, r, n, o, DP_OUTER_V6); break;
	case DP_OUTER_V6_UDP: write_kind(sad, pkt, r, n, o, DP_OUTER_V6_UDP); break;
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
	write_run(w->sad, b, r, r->n);
	return true;
}

/*
 * The same of a run of one packet, transit, with one worker and far from all limits (none is the
 * lowest of an SA that has ended), in one go.
 * False: it is another, and nothing was done.
 */
static inline bool
prepare_alone(struct dp_worker *w, const struct dp_burst *b, struct dp_seal_run *r)
{
	struct dp_sa_out *sa = r->sa;
	const uint64_t seq = dp_counted(&sa->seq), bytes = dp_counted(&sa->bytes) + r->bytes;

	if (unlikely(r->n != 1 || (r->flags & DP_COUNTED_APART) != 0 ||
		     seq + 1 >= dp_sa_out_watch(sa) || bytes >= sa->watch_bytes))
		return false;
	atomic_store_explicit(&sa->seq, seq + 1, memory_order_relaxed);
	atomic_store_explicit(&sa->bytes, bytes, memory_order_relaxed);
	r->seq = seq;
	write_run(w->sad, b, r, 1);
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
fetch_key(const struct dp_seal_run *r)
{
	dp_key_fetch(r->sa->key, r->job->text_len);
}

/* Seal the runs of a burst, with the keys of the next ones on their way. */
static void
seal_all(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	if (runs->each != NULL) {
		runs->each(w->crypto, runs->key, runs->job, runs->jobs);
		return;
	}
	for (uint16_t i = 0; i < RTE_MIN(runs->n, (uint16_t)DP_KEYS_AHEAD); i++)
		fetch_key(&runs->run[i]);
	for (uint16_t i = 0; i < runs->n; i++) {
		if (i + DP_KEYS_AHEAD < runs->n)
			fetch_key(&runs->run[i + DP_KEYS_AHEAD]);
		seal_run(w, b, &runs->run[i]);
	}
}

/*
 * Note the keys of a run's jobs, the first of which is job `at`. True when the cipher may go
 * through them together with those of other runs that `seal` seals.
 */
static inline bool
keys_put(struct batch *runs, const struct dp_seal_run *r, uint16_t at, dp_crypto_run_t seal)
{
	const struct dp_sa_out *sa = r->sa;

	for (uint16_t i = 0; i < r->n; i++)
		runs->key[at + i] = sa->key;
	return sa->seal == seal && !sa->udp6;
}

/*
 * Claim numbers for all runs and write their packets; runs of which nothing is left go. Where most
 * runs are short and all sealed alike, the cipher goes through their jobs in one loop rather than
 * being called for each.
 */
static void
prepare_all(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	const bool alone = !w->sad->shared && w->spread == NULL;
	const bool several = alone && runs->n >= SHORT_RUNS;
	const dp_crypto_run_t seal = runs->n != 0 ? runs->run[0].sa->seal : NULL;
	uint16_t kept = 0, made = 0;
	bool alike = several;

	for (uint16_t i = 0; i < RTE_MIN(runs->n, (uint16_t)DP_SAS_AHEAD); i++)
		fetch(w, runs->run[i].sa);
	for (uint16_t i = 0; i < runs->n; i++) {
		struct dp_seal_run *r = &runs->run[i];

		if (i + DP_SAS_AHEAD < runs->n)
			fetch(w, runs->run[i + DP_SAS_AHEAD].sa);
		r->job = &runs->job[made];
		if (!(alone && prepare_alone(w, b, r)) && unlikely(!prepare_run(w, b, r)))
			continue;
		if (several)
			alike &= keys_put(runs, r, made, seal);
		made = (uint16_t)(made + r->n);
		if (unlikely(kept != i))
			runs->run[kept] = *r;
		kept++;
	}
	runs->n = kept;
	runs->jobs = made;
	runs->each = alike && kept * 2u >= made ? dp_crypto_each(seal) : NULL;
}

void
dp_stage_esp_seal(struct dp_worker *w, struct dp_burst *b)
{
	uint64_t dropped = w->count.dropped;
	struct batch runs;

	collect(w, b, &runs);
	b->kinds &= (uint16_t)~DP_KIND(DP_NEXT_SEAL);
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
