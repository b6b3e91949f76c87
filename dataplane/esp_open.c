/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP inbound: the stage that opens packets (RFC 4303 3.4, RFC 4106, RFC 4301 5.2, RFC 6040).
 *
 * The burst is taken apart in runs: packets that follow each other and have one SA (esp_collect.c
 * finds it). Of each run, in the order that the RFC demands
 *   precheck  replay window, as a hint that saves the cipher (3.4.3, esp_precheck.c)
 *   open      the cipher, one call for the run; a bad tag drops the packet and changes nothing but
 *             one counter
 *   retire    replay window again and for good: exactly one of two copies in a burst passes;
 * limits, events finish    padding, next header, inner header, selectors, ECN; counters Packets of
 * one SA keep their order. Both forms, native and in UDP, are taken by every SA: which one it was
 * only matters for telling that the peer has moved.
 *
 * With several workers the cipher's part may be lent to others (spread.c): the run then leaves the
 * burst after precheck and comes back before retire, in order, to the same worker.
 *
 * The window and the counters of an SA are touched by one worker at a time, under its guard. A
 * receive queue gets all packets of an outer flow, so the guard is contended only while a flow
 * moves from queue to queue (a NAT's new port); it is held for some dozen instructions a packet
 * and never over the cipher. With one worker it is not taken.
 *
 * Worker thread. Reads the SAD; takes nothing from the inner packet before the tag is verified.
 */
#include <rte_prefetch.h>

#include "dataplane/ecn.h"
#include "dataplane/esp_open.h"
#include "dataplane/inner.h"
#include "dataplane/sad_data.h"
#include "dataplane/spread.h"
#include "dataplane/wire.h"

#define MOVED_S 1 /* at most one peer-moved event per SA in this time */

/* Bring near what opening a packet with a text of this length will touch of its SA. */
static void
fetch(const struct dp_worker *w, const struct dp_sa_in *sa, uint32_t text_len)
{
	rte_prefetch0(&sa->guard);
	rte_prefetch0(&sa->replay);
	rte_prefetch0(&sa->child->raised);
	rte_prefetch0(&w->sad->tunnel_count[w->index][sa->tunnel]);
	dp_key_fetch(w->crypto, sa->key, sa->iv_len, text_len);
}

/* Drop what is not authentic. */
static void
judge(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r, uint64_t good)
{
	uint16_t kept = 0;

	if (likely(good == UINT64_MAX >> (64 - r->n)))
		return;
	r->in_line = false;
	for (uint16_t i = 0; i < r->n; i++) {
		if ((good >> i & 1) != 0) {
			dp_open_keep(r, i, kept++);
			continue;
		}
		dp_count_shared(&r->sa->auth_failed);
		dp_open_refuse(w, b, r->at[i], DP_DROP_ESP_AUTH);
	}
	r->n = kept;
}

/*
 * Among several workers: the packets of the run go out in chunks, and come back by
 * dp_esp_open_back(), when others have time for them or earlier ones of the SA are out. False:
 * they are to be opened here and now.
 */
static bool
spread(struct dp_worker *w, struct dp_burst *b, const struct dp_open_run *r)
{
	struct rte_mbuf *pkt[DP_CRYPTO_RUN];
	struct dp_spread_run out = {.kind = DP_LANE_OPEN,
				    .sa = r->sa,
				    .run = r->sa->open,
				    .key = r->sa->key,
				    .job = r->job,
				    .pkt = pkt,
				    .n = r->n};
	enum dp_spread_way way;
	uint32_t bytes = 0, taken;

	if (likely(!w->backlog && !dp_spread_out(w->spread)))
		return false;
	for (uint16_t i = 0; i < r->n; i++) {
		pkt[i] = b->pkt[r->at[i]];
		bytes += r->job[i].text_len;
	}
	way = dp_spread_way(w->spread, r->sa, w->backlog, bytes);
	if (way == DP_SPREAD_INLINE)
		return false;
	taken = dp_spread_add(w->spread, w->crypto, &out, way);
	for (uint16_t i = 0; i < taken; i++)
		b->pkt[r->at[i]] = NULL;
	for (uint32_t i = taken; i < r->n; i++)
		dp_open_refuse(w, b, r->at[i], DP_DROP_SPREAD_WAIT);
	return true;
}

/*
 * Only the newest authentic packet may say that the peer is elsewhere (RFC 7296 2.23): a replayed
 * or overtaken one would move it back. Under the guard.
 */
static void
watch_peer(struct dp_worker *w, struct dp_sa_in *sa, const struct dp_pkt *p)
{
	uint64_t from;
	struct dp_sa_note note;

	if (!sa->follow || (p->flags & DP_PKT_UDP_ENCAP) == 0)
		return;
	from = dp_peer_word(p->outer_src, p->outer_src_port);
	if (likely(from == atomic_load_explicit(&sa->remote, memory_order_relaxed)))
		return;
	if (sa->moved_tsc != 0 && w->now_tsc - sa->moved_tsc < MOVED_S * rte_get_tsc_hz())
		return;
	sa->moved_tsc = w->now_tsc;
	note = (struct dp_sa_note){
		.kind = SPW_SA_EV_PEER_MOVED,
		.spi_in = sa->spi,
		.remote_port = p->outer_src_port,
	};
	memcpy(note.remote, p->outer_src, sizeof(note.remote));
	(void)rte_ring_mp_enqueue_elem(w->sad->events, &note, sizeof(note));
}

static void
raise_limits(struct dp_sad *sad, struct dp_sa_in *sa, uint64_t packets, uint64_t bytes)
{
	const struct dp_sa_limits *l = &sa->limit;

	if (packets >= l->soft_packets)
		dp_child_raise(sad, sa->child, sa->spi, SPW_SA_EV_SOFT, SPW_SA_LIMIT_PACKETS);
	if (bytes >= l->soft_bytes)
		dp_child_raise(sad, sa->child, sa->spi, SPW_SA_EV_SOFT, SPW_SA_LIMIT_BYTES);
	if (packets >= l->hard_packets)
		dp_child_raise(sad, sa->child, sa->spi, SPW_SA_EV_HARD, SPW_SA_LIMIT_PACKETS);
	if (bytes >= l->hard_bytes)
		dp_child_raise(sad, sa->child, sa->spi, SPW_SA_EV_HARD, SPW_SA_LIMIT_BYTES);
}

/* Padding, its length and next header at the end of a text; 0 when it cannot hold them. */
static inline uint32_t
trailer_of(const struct dp_crypto_job *job)
{
	uint32_t trailer = 2u + job->text[job->text_len - 2];

	return trailer <= job->text_len ? trailer : 0;
}

/* Inner bytes of a packet by its trailer; all of the text when the trailer is nonsense. */
static inline uint32_t
inner_bytes(const struct dp_crypto_job *job)
{
	return job->text_len - trailer_of(job);
}

/* A limit is near: look packet by packet, and drop what is beyond a hard limit. */
static void
limit_run(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r, uint64_t packets,
	  uint64_t bytes)
{
	struct dp_sa_in *sa = r->sa;
	uint16_t kept = 0;

	for (uint16_t i = 0; i < r->n; i++) {
		uint32_t len = inner_bytes(&r->job[i]);

		raise_limits(w->sad, sa, packets + 1, bytes + len);
		if (packets + 1 > sa->limit.hard_packets || bytes + len > sa->limit.hard_bytes) {
			dp_open_refuse(w, b, r->at[i], DP_DROP_LIMIT_HARD);
			continue;
		}
		packets++;
		bytes += len;
		dp_open_keep(r, i, kept++);
	}
	r->n = kept;
}

/* The window, for good; duplicates inside the run included. Returns the newest packet, or NULL. */
static struct rte_mbuf *
retire_window(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r)
{
	struct rte_mbuf *newest = NULL;
	struct dp_replay *window = &r->sa->replay;
	uint16_t kept = 0;

	if (likely(r->in_line && r->job[0].seq > window->top)) {
		dp_replay_set_run(window, r->job[0].seq, r->n);
		return b->pkt[r->at[r->n - 1]];
	}
	for (uint16_t i = 0; i < r->n; i++) {
		enum dp_replay_verdict verdict = dp_replay_accept(window, r->job[i].seq);

		if (unlikely(verdict != DP_REPLAY_OK)) {
			dp_open_refuse_replay(w, b, r->sa, r->at[i], verdict);
			continue;
		}
		if (r->job[i].seq == window->top)
			newest = b->pkt[r->at[i]];
		if (unlikely(kept != i))
			dp_open_keep(r, i, kept);
		kept++;
	}
	r->n = kept;
	return newest;
}

static bool
selected(const struct dp_sa_in *sa, const uint8_t *ip, uint32_t len)
{
	struct dp_selector_key key;

	if (likely(dp_selectors_passes(sa->sel_pass, ip)))
		return true;
	dp_selector_key_read(&key, ip, len);
	return dp_selectors_match_in(sa->sel, &key);
}

/* Examine the opened text; DP_DROP_COUNT when it is a good packet. */
static enum dp_drop
examine(const struct dp_sa_in *sa, const struct dp_crypto_job *job, uint8_t outer_tos,
	struct dp_inner *in)
{
	const uint32_t trailer = trailer_of(job);
	uint8_t *text = job->text;
	enum dp_drop why;

	if (unlikely(trailer == 0))
		return DP_DROP_ESP_PADDING;
	why = dp_inner_check(text, job->text_len - trailer, text[job->text_len - 1], in);
	if (unlikely(why != DP_DROP_COUNT))
		return why;
	if (unlikely(!selected(sa, text, in->len)))
		return DP_DROP_SELECTOR_IN;
	return dp_inner_join_ecn(text, in, outer_tos) ? DP_DROP_COUNT : DP_DROP_ESP_ECN;
}

/* The opened packet becomes the one that was inside. */
static inline void
unwrap(struct rte_mbuf *m, uint32_t front, uint32_t tunnel, const struct dp_inner *in)
{
	struct dp_pkt *p = dp_pkt(m);
	uint32_t kept = dp_pkt_state(p) & ~DP_STATE(DP_STATE_NEXT, DP_PKT_IPV6);

	m->data_off = (uint16_t)(m->data_off + front);
	m->data_len = (uint16_t)in->len;
	m->pkt_len = in->len;
	dp_pkt_state_set(
		p, kept | DP_STATE(DP_NEXT_FIB, DP_PKT_DECRYPTED | (in->ipv6 ? DP_PKT_IPV6 : 0)));
	p->tunnel = tunnel;
}

/*
 * The usual packets: those from the `from`th on with IPv4 without options inside, and no congestion
 * mark to join, of an SA that may bring any such. What this asks, examine() asks as well; the first
 * packet that is another is left as it was. Returns how many, and adds what they count to *bytes.
 */
static __rte_noinline uint16_t
finish_plain(const struct dp_burst *b, const struct dp_open_run *r, uint16_t from, uint64_t *bytes)
{
	const uint32_t front = (uint32_t)DP_ESP_HDR + r->sa->iv_len, tunnel = r->sa->tunnel;
	const uint16_t *first = &r->at[from], *at = first, *end = &r->at[r->n];
	const struct dp_crypto_job *job = &r->job[from];
	uint32_t sum = 0;

	if (unlikely((r->sa->sel_pass & 1) == 0))
		return 0;
	for (; at != end; at++, job++) {
		struct rte_mbuf *m = b->pkt[*at];
		const uint8_t *ip = job->text, *last = ip + job->text_len;
		const int32_t room = (int32_t)job->text_len - 2 - last[-2], len = dp_be16(ip + 2);

		if (unlikely(last[-1] != DP_NEXT_HDR_IPV4 || ip[0] != 0x45 ||
			     (dp_pkt(m)->outer_tos & DP_ECN_MASK) != 0 || len < 20 || len > room ||
			     !dp_ipv4_csum_good(ip, 20)))
			break;
		unwrap(m, front, tunnel, &(struct dp_inner){.len = (uint32_t)len});
		sum += (uint32_t)room;
	}
	*bytes += sum;
	return (uint16_t)(at - first);
}

/* Any other packet. */
static __rte_noinline void
finish_other(struct dp_worker *w, struct dp_burst *b, const struct dp_open_run *r, uint16_t i)
{
	const struct dp_sa_in *sa = r->sa;
	struct rte_mbuf *m = b->pkt[r->at[i]];
	struct dp_inner in;
	enum dp_drop why = examine(sa, &r->job[i], dp_pkt(m)->outer_tos, &in);

	if (likely(why == DP_DROP_COUNT))
		unwrap(m, (uint32_t)DP_ESP_HDR + sa->iv_len, sa->tunnel, &in);
	else
		dp_open_refuse(w, b, r->at[i], why);
}

/* Make of what was accepted the packets that were inside. Returns their bytes, as counted. */
static uint64_t
finish(struct dp_worker *w, struct dp_burst *b, const struct dp_open_run *r)
{
	const uint64_t dropped = w->count.dropped;
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < r->n; i++) {
		i = (uint16_t)(i + finish_plain(b, r, i, &bytes));
		if (likely(i == r->n))
			break;
		bytes += inner_bytes(&r->job[i]);
		finish_other(w, b, r, i);
	}
	dp_count(&w->sad->tunnel_count[w->index][r->sa->tunnel].in,
		 r->n - (w->count.dropped - dropped));
	return bytes;
}

/*
 * Finish the accepted packets of the run, and count them. They are held against the limits one by
 * one only where one may be near: so near that as many of the longest packets would reach it. Under
 * the guard.
 */
static void
finish_and_count(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r)
{
	struct dp_sa_in *sa = r->sa;
	uint64_t packets = dp_counted(&sa->packets), bytes = dp_counted(&sa->bytes);

	if (unlikely(packets + r->n >= sa->watch_packets ||
		     bytes + (uint64_t)r->n * UINT16_MAX >= sa->watch_bytes))
		limit_run(w, b, r, packets, bytes);
	if (unlikely(!dp_child_raised(sa->child, SPW_SA_EV_FIRST_IN)) && r->n != 0)
		dp_child_raise(w->sad, sa->child, sa->spi, SPW_SA_EV_FIRST_IN, 0);
	packets += r->n;
	bytes += finish(w, b, r);
	atomic_store_explicit(&sa->packets, packets, memory_order_relaxed);
	atomic_store_explicit(&sa->bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&sa->last_in_tsc, w->now_tsc, memory_order_relaxed);
}

/* What follows the cipher. */
static void
retire(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r)
{
	struct dp_sa_in *sa = r->sa;
	struct rte_mbuf *newest;

	if (unlikely(r->n == 0))
		return;
	dp_open_guard(w->sad, sa);
	newest = retire_window(w, b, r);
	if (likely(newest != NULL))
		watch_peer(w, sa, dp_pkt(newest));
	if (likely(r->n != 0))
		finish_and_count(w, b, r);
	dp_open_unguard(w->sad, sa);
}

static void
run_through(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r)
{
	if (unlikely(dp_child_ended(r->sa->child))) {
		for (uint16_t i = 0; i < r->n; i++)
			dp_open_refuse(w, b, r->at[i], DP_DROP_LIMIT_HARD);
		return;
	}
	dp_open_precheck(w, b, r);
	if (unlikely(r->n == 0 || (w->spread != NULL && spread(w, b, r))))
		return;
	judge(w, b, r, r->sa->open(w->crypto, r->sa->key, r->job, r->n));
	retire(w, b, r);
}

/* Bring near what the first packets of the runs up to `end` need; returns how far it came. */
static uint16_t
fetch_ahead(const struct dp_worker *w, const struct dp_open_queue *q, uint16_t done, uint32_t end)
{
	for (; done < RTE_MIN(end, q->n_runs); done++)
		fetch(w, q->run[done].sa, q->job[q->run[done].from].text_len);
	return done;
}

void
dp_stage_esp_open(struct dp_worker *w, struct dp_burst *b)
{
	uint64_t dropped = w->count.dropped;
	uint32_t parked = w->park.n;
	uint16_t fetched = 0;
	struct dp_open_queue q;

	dp_open_collect(w, b, &q);
	b->kinds = (uint16_t)((b->kinds & ~DP_KIND(DP_NEXT_OPEN)) | DP_KIND(DP_NEXT_FIB));
	for (uint16_t k = 0; k < q.n_runs; k++) {
		fetched = fetch_ahead(w, &q, fetched, k + 1u + DP_FETCH_AHEAD);
		for (uint32_t from = q.run[k].from, n; from < q.run[k + 1].from; from += n) {
			n = RTE_MIN(q.run[k + 1].from - from, (uint32_t)DP_CRYPTO_RUN);
			run_through(w, b,
				    &(struct dp_open_run){.sa = q.run[k].sa,
							  .n = (uint16_t)n,
							  .in_line = q.run[k].in_line,
							  .at = &q.at[from],
							  .job = &q.job[from]});
		}
	}
	if (unlikely(w->spread != NULL || w->count.dropped != dropped || w->park.n != parked))
		dp_burst_compact(b);
}

void
dp_esp_open_back(struct dp_worker *w, struct dp_burst *b, const struct dp_chunk *chunk)
{
	struct dp_crypto_job job[DP_CHUNK_PKTS];
	uint16_t at[DP_CHUNK_PKTS];
	struct dp_open_run run = {
		.sa = chunk->sa,
		.n = (uint16_t)chunk->n,
		.in_line = false, /* other chunks may have come between */
		.at = at,
		.job = job,
	};

	for (uint16_t i = 0; i < run.n; i++) {
		at[i] = b->n;
		b->pkt[b->n++] = chunk->pkt[i];
		job[i] = chunk->job[i];
	}
	b->kinds |= DP_KIND(DP_NEXT_FIB);
	judge(w, b, &run, chunk->good);
	retire(w, b, &run);
}
