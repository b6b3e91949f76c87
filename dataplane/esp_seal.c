/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP outbound: the stage that seals packets into tunnels (RFC 4303 3.3, RFC 4106, RFC 3948).
 *
 * The burst is taken apart in runs: packets that follow each other and have one SA. A packet
 * without an SA is dropped and never sent in the clear. Of each run
 *   claim   sequence numbers and bytes, by one addition each
 *   write   trailer, ESP header, IV, outer header, all by wide stores from what the SA has ready
 *   seal    the cipher, one call for the run
 * so nothing is asked per packet that the SA has answered. While a run is worked on, what the next
 * ones need is on its way to the cache. All runs are written before the first is sealed, so that
 * the cipher's calls follow each other and overlap inside the CPU, also when each has one packet.
 *
 * With several workers numbers come from dp_claim() (spread_claim.c): what gets none now leaves the
 * burst and is tried again (spread_seal.c), and the cipher's part of a run may be lent (spread.c).
 *
 * A sequence number is claimed by an addition (atomic when workers share SAs), so no two packets of
 * any workers have one, and it is the IV (RFC 4106 3.1: unique per key); a number that is claimed
 * and not used leaves a gap, which is allowed. Numbers beyond the last one, and bytes and packets
 * beyond a hard limit, are refused here, whoever is dead. The inner packet gets no change: TTL was
 * the routing stage's, DF and size the fit stage's.
 *
 * Worker thread. Reads the SAD; writes the counters of its own index.
 */
#include <rte_prefetch.h>

#include "dataplane/ecn.h"
#include "dataplane/esp_write.h"
#include "dataplane/fit.h"
#include "dataplane/sad_data.h"
#include "dataplane/spread.h"
#include "dataplane/spread_seal.h"
#include "dataplane/wire.h"

#define PAD_MAX (DP_CRYPTO_ALIGN_MAX - 1)
#define TAIL	(PAD_MAX + 2 + DP_CRYPTO_TAG) /* padding, trailer, tag */
#define HEAD	(DP_OUTER_MAX + DP_ESP_HDR + DP_CRYPTO_IV_MAX + DP_L2_ROOM)

/* A packet that is to be sealed. */
struct item {
	struct rte_mbuf *m;
	uint16_t at;   /* index in the burst */
	uint16_t len;  /* inner bytes */
	uint8_t flags; /* enum dp_pkt_flag */
};

/* Packets of one SA that follow each other. */
struct run {
	struct dp_sa_out *sa;
	struct item *item;
	struct dp_crypto_job *job; /* of the packets that have their numbers */
	uint16_t n;
	uint8_t flags; /* of any of them */
	uint64_t seq;  /* before the first */
	uint64_t bytes;
};

/* What of a burst is to be sealed, in its order. */
struct batch {
	uint16_t n;
	uint16_t items;
	struct run run[DP_BURST_ROOM];
	struct item item[DP_BURST_ROOM];
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

/* Drop the packet in place `at` of the burst. */
static void
refuse(struct dp_worker *w, struct dp_burst *b, uint16_t at, enum dp_drop reason)
{
	dp_drop(w, b->pkt[at], reason);
	b->pkt[at] = NULL;
}

/* The packet in place `at`, fit to be written into; NULL: it was dropped. */
static inline struct rte_mbuf *
admit(struct dp_worker *w, struct dp_burst *b, uint16_t at, const struct dp_sa_out *sa)
{
	struct rte_mbuf *m = b->pkt[at];

	if (unlikely(sa == NULL)) {
		refuse(w, b, at, DP_DROP_NO_SA);
		return NULL;
	}
	if (unlikely(!dp_packet_is_own(m, HEAD, TAIL))) {
		b->pkt[at] = m = dp_packet_own(w, m, HEAD, TAIL);
		if (m == NULL)
			return NULL;
	}
	if (likely(selected(sa, m)))
		return m;
	refuse(w, b, at, DP_DROP_SELECTOR_OUT);
	return NULL;
}

/*
 * Make a run of the packets from the `from`th on that go into one tunnel, which the first of them
 * does. Returns the place behind them.
 */
static uint16_t
collect_run(struct dp_worker *w, struct dp_burst *b, uint16_t from, struct batch *runs)
{
	const uint32_t tunnel = dp_pkt(b->pkt[from])->tunnel;
	struct dp_sa_out *sa = find_sa(w->sad, tunnel);
	struct item *item = &runs->item[runs->items];
	uint16_t i = from, n = 0;
	uint64_t bytes = 0;
	uint8_t flags = 0;

	for (; i < b->n && n < DP_CRYPTO_RUN; i++) {
		const struct dp_pkt *p = dp_pkt(b->pkt[i]);
		struct rte_mbuf *m;

		if (p->next != DP_NEXT_SEAL || p->tunnel != tunnel)
			break;
		m = admit(w, b, i, sa);
		if (unlikely(m == NULL))
			continue;
		flags |= dp_pkt(m)->flags;
		bytes += m->data_len;
		item[n++] = (struct item){
			.m = m, .at = i, .len = m->data_len, .flags = dp_pkt(m)->flags};
	}
	if (unlikely(n == 0))
		return i;
	runs->items = (uint16_t)(runs->items + n);
	runs->run[runs->n++] =
		(struct run){.sa = sa, .item = item, .n = n, .flags = flags, .bytes = bytes};
	return i;
}

static void
collect(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	runs->n = runs->items = 0;
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
	rte_prefetch0(&sa->child->raised);
	rte_prefetch0(&w->sad->tunnel_count[w->index][sa->tunnel]);
	rte_prefetch0(atomic_load_explicit(&sa->outer, memory_order_relaxed));
	if (w->sad->shared)
		rte_prefetch0(&sa->count[w->index]);
}

/* Add to a counter that all workers share; returns what it was. Alone, a plain addition does. */
static uint64_t
claim(const struct dp_sad *sad, _Atomic uint64_t *counter, uint64_t n)
{
	uint64_t was;

	if (sad->shared)
		return atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
	was = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, was + n, memory_order_relaxed);
	return was;
}

static void
raise_limits(struct dp_sad *sad, const struct dp_sa_out *sa, uint64_t seq, uint64_t bytes)
{
	struct dp_child *c = sa->child;
	const struct dp_sa_limits *l = &sa->limit;

	if (seq >= l->soft_packets)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_SOFT, SPW_SA_LIMIT_PACKETS);
	if (bytes >= l->soft_bytes)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_SOFT, SPW_SA_LIMIT_BYTES);
	if (seq >= l->hard_packets || seq >= sa->seq_max)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_HARD, SPW_SA_LIMIT_PACKETS);
	if (bytes >= l->hard_bytes)
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_HARD, SPW_SA_LIMIT_BYTES);
}

/* May the packet with this number, up to this sum of bytes, still go? */
static bool
within(const struct dp_sa_out *sa, uint64_t seq, uint64_t bytes)
{
	return seq <= sa->seq_max && seq <= sa->limit.hard_packets && bytes <= sa->limit.hard_bytes;
}

/*
 * A limit is near: keep the packets of the run that are within all of them and drop the rest. Byte
 * limits end the SA at the first packet that does not fit, even if a shorter one would.
 */
static void
trim(struct dp_worker *w, struct dp_burst *b, struct run *r, uint64_t bytes)
{
	struct dp_sa_out *sa = r->sa;
	uint16_t kept = 0;
	uint64_t seq = r->seq, claimed = r->bytes;

	raise_limits(w->sad, sa, seq + r->n, bytes + r->bytes);
	r->bytes = 0;
	for (uint16_t i = 0; i < r->n; i++) {
		uint32_t len = r->item[i].len;

		bytes += len;
		if (within(sa, ++seq, bytes)) {
			r->bytes += len;
			kept++;
			continue;
		}
		refuse(w, b, r->item[i].at,
		       seq > sa->seq_max ? DP_DROP_SEQ_EXHAUSTED : DP_DROP_LIMIT_HARD);
	}
	atomic_fetch_add_explicit(&sa->refused_packets, r->n - kept, memory_order_relaxed);
	atomic_fetch_add_explicit(&sa->refused_bytes, claimed - r->bytes, memory_order_relaxed);
	r->n = kept;
}

/* Numbers for the front of a run among several workers; what gets none waits. */
static void
claim_shared(struct dp_worker *w, struct dp_burst *b, struct run *r)
{
	struct dp_sa_out *sa = r->sa;
	uint64_t first = 1;
	uint32_t n = 0;

	if (likely(!dp_seal_holds(w->seal, sa->tunnel)))
		n = dp_claim(&sa->seq, sa->count, w->sad->n_workers, w->index, r->n, &first);
	for (uint32_t i = n; i < r->n; i++) {
		b->pkt[r->item[i].at] = NULL;
		dp_seal_wait(w, sa, r->item[i].m);
	}
	r->n = (uint16_t)n;
	r->seq = first - 1;
	r->bytes = 0;
	for (uint32_t i = 0; i < n; i++)
		r->bytes += r->item[i].len;
	if (n != 0)
		dp_seal_note(w->seal, sa);
}

/* Numbers and bytes for the run; what is beyond a limit is dropped. */
static void
claim_run(struct dp_worker *w, struct dp_burst *b, struct run *r)
{
	struct dp_sa_out *sa = r->sa;
	uint64_t bytes;

	if (w->spread != NULL)
		claim_shared(w, b, r);
	else
		r->seq = claim(w->sad, &sa->seq, r->n);
	bytes = claim(w->sad, &sa->bytes, r->bytes);
	if (unlikely(r->seq + r->n >= sa->watch_packets || bytes + r->bytes >= sa->watch_bytes))
		trim(w, b, r, bytes);
}

/* Count a run that goes into a tunnel, by what its packets are. */
static void
count_tunnel(struct dp_worker *w, const struct run *r)
{
	struct dp_tunnel_count *n = &w->sad->tunnel_count[w->index][r->sa->tunnel];
	uint64_t own = 0, violations = 0;

	if (likely((r->flags & (DP_PKT_FROM_TWIN | DP_PKT_ER_STOOD)) == 0)) {
		dp_count(&n->transit_out, r->n);
		return;
	}
	for (uint16_t i = 0; i < r->n; i++) {
		uint8_t flags = r->item[i].flags;
		bool mine = (flags & DP_PKT_FROM_TWIN) != 0;

		own += mine;
		violations += !mine && (flags & DP_PKT_ER_STOOD) != 0;
	}
	dp_count(&n->transit_out, r->n - own);
	dp_count(&n->own_out, own);
	dp_count(&n->violations, violations);
}

/* A packet of `len` inner bytes that was counted does not go out after all; its number is used up.
 */
static void
uncount(struct dp_worker *w, struct dp_sa_out *sa, uint32_t len, uint8_t flags)
{
	struct dp_tunnel_count *n = &w->sad->tunnel_count[w->index][sa->tunnel];
	const bool mine = (flags & DP_PKT_FROM_TWIN) != 0;
	const uint64_t one_less = UINT64_MAX;

	atomic_fetch_add_explicit(&sa->refused_packets, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&sa->refused_bytes, len, memory_order_relaxed);
	dp_count(mine ? &n->own_out : &n->transit_out, one_less);
	if (!mine && (flags & DP_PKT_ER_STOOD) != 0)
		dp_count(&n->violations, one_less);
}

/* What the packets of a run have in common, out of reach of the stores into them. */
struct stamp {
	uint32_t spi_be;
	uint32_t slot;
	uint32_t rule; /* dp_outer_rule() */
	uint32_t front, tag_len, align;
};

/* Write all that is around the text of one packet, and its job for the cipher. */
static __rte_always_inline void
write_one(const struct stamp *s, const struct dp_outer *o, enum dp_outer_kind kind,
	  const struct item *it, uint64_t seq, struct dp_crypto_job *job)
{
	const bool outer6 = kind == DP_OUTER_V6 || kind == DP_OUTER_V6_UDP;
	const bool udp = kind == DP_OUTER_V4_UDP || kind == DP_OUTER_V6_UDP;
	const uint32_t outer_len = (outer6 ? 40u : 20u) + (udp ? 8u : 0u);
	struct rte_mbuf *m = it->m;
	struct dp_pkt *p = dp_pkt(m);
	bool inner6 = (it->flags & DP_PKT_IPV6) != 0;
	uint8_t *text = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *esp = text - s->front;
	uint8_t tos = inner6 ? dp_ip6_class(text) : text[1];
	struct dp_outer_fields f = {
		.tos = dp_outer_tos(s->rule, tos),
		.df = dp_outer_df(s->rule, inner6 ? DP_DF : text[6]),
		.id = (uint16_t)seq,
	};
	uint32_t text_len = dp_esp_trailer(text, it->len, s->align, inner6);

	*job = (struct dp_crypto_job){
		.text = text, .text_len = text_len, .spi_be = s->spi_be, .seq = seq};
	f.esp_len = s->front + text_len + s->tag_len;
	dp_esp_header(esp, s->spi_be, seq);
	dp_outer_put(esp, o, kind, &f);
	m->data_off = (uint16_t)(m->data_off - s->front - outer_len);
	m->data_len = (uint16_t)(f.esp_len + outer_len);
	m->pkt_len = f.esp_len + outer_len;
	p->sa = s->slot;
	p->flags =
		(uint8_t)((it->flags & ~DP_PKT_IPV6) | DP_PKT_OUTER | (outer6 ? DP_PKT_IPV6 : 0));
	p->next = DP_NEXT_OUTER;
}

static __rte_always_inline void
write_kind(const struct dp_sad *sad, struct run *r, const struct dp_outer *o,
	   enum dp_outer_kind kind)
{
	const struct dp_sa_out *sa = r->sa;
	const struct stamp stamp = {
		.spi_be = sa->spi_be,
		.slot = sa->slot,
		.rule = atomic_load_explicit(&sad->tunnels[sa->tunnel].outer_rule,
					     memory_order_relaxed),
		.front = DP_ESP_HDR + sa->iv_len,
		.tag_len = sa->tag_len,
		.align = sa->align,
	};

	const struct item *item = r->item, *end = item + r->n;
	struct dp_crypto_job *job = r->job;
	uint64_t seq = r->seq;

	for (; item != end; item++)
		write_one(&stamp, o, kind, item, ++seq, job++);
}

static void
write_run(const struct dp_sad *sad, struct run *r)
{
	/* Partner: move_out() in sad_install.c. */
	const struct dp_outer *o = atomic_load_explicit(&r->sa->outer, memory_order_acquire);

	switch ((enum dp_outer_kind)o->kind) {
	case DP_OUTER_V4: write_kind(sad, r, o, DP_OUTER_V4); break;
	case DP_OUTER_V4_UDP: write_kind(sad, r, o, DP_OUTER_V4_UDP); break;
	case DP_OUTER_V6: write_kind(sad, r, o, DP_OUTER_V6); break;
	case DP_OUTER_V6_UDP: write_kind(sad, r, o, DP_OUTER_V6_UDP); break;
	}
}

/*
 * Among several workers: the packets of the run go out in chunks, and come back by
 * dp_esp_seal_back(), when others have time for them or earlier ones of the SA are out. False:
 * they are to be sealed here and now.
 */
static bool
spread(struct dp_worker *w, struct dp_burst *b, const struct run *r)
{
	struct rte_mbuf *pkt[DP_CRYPTO_RUN];
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
	for (uint16_t i = 0; i < r->n; i++)
		pkt[i] = r->item[i].m;
	taken = dp_spread_add(w->spread, w->crypto, &out, way);
	for (uint16_t i = 0; i < taken; i++)
		b->pkt[r->item[i].at] = NULL;
	for (uint32_t i = taken; i < r->n; i++) {
		uncount(w, r->sa, r->item[i].len, r->item[i].flags);
		refuse(w, b, r->item[i].at, DP_DROP_SPREAD_WAIT);
	}
	return true;
}

/* Claim and write; false when nothing is left to seal. */
static bool
prepare_run(struct dp_worker *w, struct dp_burst *b, struct run *r)
{
	struct dp_sa_out *sa = r->sa;

	if (unlikely(dp_child_ended(sa->child))) {
		enum dp_drop why = dp_counted(&sa->seq) >= sa->seq_max ? DP_DROP_SEQ_EXHAUSTED
								       : DP_DROP_LIMIT_HARD;

		for (uint16_t i = 0; i < r->n; i++)
			refuse(w, b, r->item[i].at, why);
		return false;
	}
	claim_run(w, b, r);
	if (unlikely(r->n == 0))
		return false;
	count_tunnel(w, r);
	write_run(w->sad, r);
	return true;
}

/* Drop what of the run was not sealed. */
static void
refuse_unsealed(struct dp_worker *w, struct dp_burst *b, struct run *r, uint64_t good)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < r->n; i++) {
		if ((good >> i & 1) != 0) {
			r->item[kept++] = r->item[i];
			continue;
		}
		uncount(w, r->sa, r->item[i].len, r->item[i].flags);
		refuse(w, b, r->item[i].at, DP_DROP_SEAL_FAILED);
	}
	r->n = kept;
}

static void
seal_run(struct dp_worker *w, struct dp_burst *b, struct run *r)
{
	const struct dp_sa_out *sa = r->sa;
	uint64_t good;

	if (unlikely(w->spread != NULL && spread(w, b, r)))
		return;
	good = sa->seal(w->crypto, sa->key, r->job, r->n);
	if (unlikely(good != UINT64_MAX >> (64 - r->n)))
		refuse_unsealed(w, b, r, good);
	if (unlikely(sa->udp6))
		for (uint16_t i = 0; i < r->n; i++)
			dp_outer_udp6(rte_pktmbuf_mtod(r->item[i].m, uint8_t *));
}

/* Bring near what the cipher will read for a run: its key and the front of its first text. */
static inline void
fetch_key(const struct run *r)
{
	dp_key_fetch(r->sa->key, r->job->text_len);
	rte_prefetch0(r->job->text);
	rte_prefetch0(r->job->text + RTE_CACHE_LINE_SIZE);
}

/* Seal the runs of a burst, with the keys of the next ones on their way. */
static void
seal_all(struct dp_worker *w, struct dp_burst *b, struct batch *runs)
{
	for (uint16_t i = 0; i < RTE_MIN(runs->n, (uint16_t)DP_KEYS_AHEAD); i++)
		fetch_key(&runs->run[i]);
	for (uint16_t i = 0; i < runs->n; i++) {
		if (i + DP_KEYS_AHEAD < runs->n)
			fetch_key(&runs->run[i + DP_KEYS_AHEAD]);
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
		struct run *r = &runs->run[i];

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
			/* How long its padding is cannot be read: the longest, never too many. */
			uncount(w, sa, chunk->job[i].text_len - sa->align - 1, dp_pkt(m)->flags);
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
