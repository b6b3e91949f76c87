/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP outbound: the stage that seals packets into tunnels (RFC 4303 3.3, RFC 4106, RFC 3948).
 *
 * Over a burst, in four passes, so that the loads of one packet overlap the work of another:
 *   collect  tunnel -> SA, selectors, one piece of memory with room; a packet without an SA is
 * dropped and never sent in the clear claim    sequence numbers and bytes, once for each run of
 * packets of one SA seal     trailer, ESP header, IV, cipher, outer header compact  take the
 * dropped ones out
 *
 * A sequence number is claimed by an atomic addition, so no two packets of any workers share one,
 * and it is the IV (RFC 4106 3.1: unique per key); a number that is claimed and not used leaves a
 * gap, which is allowed. Numbers beyond the last one, and bytes and packets beyond a hard limit,
 * are refused here, whoever is dead. The inner packet gets no change: TTL was the routing stage's,
 * DF and size the fit stage's. The outer header has DF set, so no ESP packet is ever fragmented.
 *
 * Worker thread. Reads the SAD; writes the counters of its own index.
 */
#include <netinet/in.h>
#include <rte_prefetch.h>

#include "dataplane/checksum.h"
#include "dataplane/ecn.h"
#include "dataplane/fit.h"
#include "dataplane/sad_data.h"
#include "dataplane/wire.h"

#define TRAIL_MAX (3 + 2 + DP_CRYPTO_TAG) /* padding, trailer, tag */
#define NEXT_IPV4 4

struct item {
	struct rte_mbuf *m;
	struct dp_sa_out *sa;
	uint64_t seq;
	uint32_t len; /* inner bytes */
	uint16_t at;  /* index in the burst */
};

struct work {
	uint16_t n;
	struct item item[DP_BURST_ROOM];
};

static bool
selected(const struct dp_sa_out *sa, const struct rte_mbuf *m)
{
	struct dp_selector_key key;

	if (sa->sel == NULL)
		return true;
	dp_selector_key_read(&key, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	return dp_selectors_match_out(sa->sel, &key);
}

/* Count a packet that goes into a tunnel under what it is. */
static void
count_tunnel(struct dp_worker *w, const struct dp_pkt *p)
{
	struct dp_tunnel_count *n = &w->sad->tunnel_count[w->index][p->tunnel];

	if ((p->flags & DP_PKT_FROM_TWIN) != 0) {
		dp_count(&n->own_out, 1);
		return;
	}
	dp_count(&n->transit_out, 1);
	if ((p->flags & DP_PKT_ER_STOOD) != 0)
		dp_count(&n->violations, 1);
}

/* The SA that the packet's tunnel sends on; NULL when there is none. */
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

static void
collect_one(struct dp_worker *w, struct dp_burst *b, uint16_t at, struct work *work)
{
	struct dp_sa_out *sa = find_sa(w->sad, dp_pkt(b->pkt[at])->tunnel);
	struct rte_mbuf *m;

	if (unlikely(sa == NULL)) {
		refuse(w, b, at, DP_DROP_NO_SA);
		return;
	}
	m = dp_packet_own(w, b->pkt[at], DP_OUTER_MAX + DP_ESP_FRONT + DP_L2_ROOM, TRAIL_MAX);
	b->pkt[at] = m;
	if (unlikely(m == NULL))
		return;
	if (unlikely(!selected(sa, m))) {
		refuse(w, b, at, DP_DROP_SELECTOR_OUT);
		return;
	}
	rte_prefetch0(rte_pktmbuf_mtod_offset(m, char *, -(DP_OUTER_MAX + DP_ESP_FRONT)));
	work->item[work->n++] = (struct item){.m = m, .sa = sa, .len = m->data_len, .at = at};
}

static void
collect(struct dp_worker *w, struct dp_burst *b, struct work *work)
{
	work->n = 0;
	for (uint16_t i = 0; i < b->n; i++)
		if (dp_pkt(b->pkt[i])->next == DP_NEXT_SEAL)
			collect_one(w, b, i, work);
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

/* Why an ended SA refuses packets. */
static enum dp_drop
end_reason(const struct dp_sa_out *sa)
{
	return dp_counted(&sa->seq) >= sa->seq_max ? DP_DROP_SEQ_EXHAUSTED : DP_DROP_LIMIT_HARD;
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
 * Number the run of packets item[0..n) of one SA; those beyond a limit are dropped (seq 0). Byte
 * limits end the SA at the first packet that does not fit, even if a shorter one would.
 */
static void
claim_run(struct dp_worker *w, struct dp_burst *b, struct item *item, uint16_t n)
{
	struct dp_sa_out *sa = item[0].sa;
	uint64_t want = 0, seq, bytes, sent_bytes = 0, sent = 0;

	for (uint16_t i = 0; i < n; i++)
		want += item[i].len;
	seq = claim(w->sad, &sa->seq, n);
	bytes = claim(w->sad, &sa->bytes, want);
	for (uint16_t i = 0; i < n; i++) {
		bytes += item[i].len;
		if (unlikely(!within(sa, ++seq, bytes))) {
			refuse(w, b, item[i].at,
			       seq > sa->seq_max ? DP_DROP_SEQ_EXHAUSTED : DP_DROP_LIMIT_HARD);
			continue;
		}
		item[i].seq = seq;
		sent++;
		sent_bytes += item[i].len;
	}
	dp_count(&sa->count[w->index].packets, sent);
	dp_count(&sa->count[w->index].bytes, sent_bytes);
	if (unlikely(seq >= sa->limit.soft_packets || bytes >= sa->limit.soft_bytes ||
		     seq >= sa->limit.hard_packets || bytes >= sa->limit.hard_bytes ||
		     seq >= sa->seq_max))
		raise_limits(w->sad, sa, seq, bytes);
}

static void
refuse_run(struct dp_worker *w, struct dp_burst *b, struct item *item, uint16_t n)
{
	enum dp_drop reason = end_reason(item[0].sa);

	for (uint16_t i = 0; i < n; i++)
		refuse(w, b, item[i].at, reason);
}

static void
claim_all(struct dp_worker *w, struct dp_burst *b, struct work *work)
{
	for (uint16_t i = 0, end; i < work->n; i = end) {
		for (end = i + 1; end < work->n && work->item[end].sa == work->item[i].sa; end++)
			;
		if (unlikely(dp_child_ended(work->item[i].sa->child)))
			refuse_run(w, b, &work->item[i], end - i);
		else
			claim_run(w, b, &work->item[i], end - i);
	}
}

/*
 * Padding 1, 2, 3.. to a multiple of four, its length, the next header (RFC 4303 2.4), and room for
 * the tag. Returns the length of the text.
 */
static uint32_t
add_trailer(struct rte_mbuf *m, uint32_t len)
{
	static const uint8_t padding[4] = {1, 2, 3, 0};
	uint32_t pad = -(len + 2) & 3;
	uint8_t *end = rte_pktmbuf_mtod_offset(m, uint8_t *, len);

	memcpy(end, padding, 4); /* room was checked for the most */
	end[pad] = (uint8_t)pad;
	end[pad + 1] = NEXT_IPV4;
	m->data_len = (uint16_t)(len + pad + 2 + DP_CRYPTO_TAG);
	m->pkt_len = m->data_len;
	return len + pad + 2;
}

/* ESP header and IV: the 64-bit number is the explicit IV (RFC 4106 3.1). */
static void
add_esp(uint8_t *esp, uint32_t spi_be, uint64_t seq)
{
	uint64_t iv = __builtin_bswap64(seq);

	memcpy(esp, &spi_be, 4);
	dp_put_be32(esp + 4, (uint32_t)seq);
	memcpy(esp + DP_ESP_HDR, &iv, DP_ESP_IV);
}

/* Outer IPv4 (and UDP) header before the ESP header; returns its length. */
static uint16_t
add_outer(uint8_t *esp, const struct dp_outer *o, uint32_t esp_len, uint8_t tos, uint16_t id)
{
	uint8_t *ip = esp - o->len;
	uint16_t total = htons((uint16_t)(o->len + esp_len));
	uint16_t id_be = htons(id), tos_word, csum;

	memcpy(esp - DP_OUTER_MAX, o->bytes, DP_OUTER_MAX);
	ip[1] = tos;
	tos_word = htons(tos); /* the octet is the lower half of its word */
	csum = dp_csum_finish(o->sum + total + id_be + tos_word);
	memcpy(ip + 2, &total, 2);
	memcpy(ip + 4, &id_be, 2);
	memcpy(ip + 10, &csum, 2);
	if (o->len == DP_OUTER_MAX)
		dp_put_be16(esp - 4, (uint16_t)(8 + esp_len)); /* checksum 0: RFC 3948 2.1 */
	return o->len;
}

static void
seal_one(struct dp_worker *w, const struct item *item)
{
	struct rte_mbuf *m = item->m;
	const struct dp_sa_out *sa = item->sa;
	struct dp_pkt *p = dp_pkt(m);
	const struct dp_tunnel *t = &w->sad->tunnels[p->tunnel];
	uint8_t *inner = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *esp = inner - DP_ESP_FRONT;
	/* Partner: move_out() in sad_install.c. */
	const struct dp_outer *o = atomic_load_explicit(&sa->outer, memory_order_acquire);
	uint8_t copy = (uint8_t)atomic_load_explicit(&t->tos_mask, memory_order_relaxed);
	uint8_t tos = dp_ecn_encap(inner[1], copy);
	struct dp_crypto_job job = {.seq = item->seq, .spi_be = sa->spi_be, .text = inner};
	uint16_t front;

	job.text_len = add_trailer(m, item->len);
	add_esp(esp, sa->spi_be, item->seq);
	sa->seal(w->crypto, sa->key, &job, 1);
	front = DP_ESP_FRONT +
		add_outer(esp, o, (uint32_t)m->data_len + DP_ESP_FRONT, tos, (uint16_t)item->seq);
	rte_pktmbuf_prepend(m, front);
	p->sa = sa->slot;
	p->flags |= DP_PKT_OUTER;
	p->next = DP_NEXT_OUTER;
	count_tunnel(w, p);
}

void
dp_stage_esp_seal(struct dp_worker *w, struct dp_burst *b)
{
	struct work work;

	collect(w, b, &work);
	claim_all(w, b, &work);
	for (uint16_t i = 0; i < work.n; i++) {
		if (i + 1 < work.n && work.item[i + 1].seq != 0)
			rte_prefetch0(rte_pktmbuf_mtod(work.item[i + 1].m, void *));
		if (likely(work.item[i].seq != 0))
			seal_one(w, &work.item[i]);
	}
	dp_burst_compact(b);
}
