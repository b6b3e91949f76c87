/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP inbound: the stage that opens packets (RFC 4303 3.4, RFC 4106, RFC 4301 5.2, RFC 6040).
 *
 * Over a burst, in passes, in the order the RFC demands:
 *   collect   length, SPI -> SA, one piece of memory that is ours; too early: to the park
 *   precheck  replay window, as a hint that saves the cipher (3.4.3); ended SAs refuse
 *   open      the cipher; a bad tag drops the packet and changes nothing but one counter
 *   retire    replay window again and for good, limits, counters, events: exactly one of two copies
 * in a burst passes finish    padding, next header, inner header, selectors, ECN Packets of one SA
 * keep their order. Both forms, native and in UDP, are taken by every SA: which one it was only
 * matters for telling that the peer has moved.
 *
 * The window and the counters of an SA are touched by one worker at a time, under its guard. A
 * receive queue gets all packets of an outer flow, so the guard is contended only while a flow
 * moves from queue to queue (a NAT's new port); it is held for a few dozen instructions a packet
 * and never over the cipher. With one worker it is not taken.
 *
 * Worker thread. Reads the SAD; takes nothing from the inner packet before the tag is verified.
 */
#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_prefetch.h>

#include "dataplane/checksum.h"
#include "dataplane/ecn.h"
#include "dataplane/fit.h"
#include "dataplane/sad_data.h"
#include "dataplane/wire.h"

#define TEXT_MIN   4 /* padding length and next header, rounded to four bytes */
#define NEXT_IPV4  4
#define NEXT_IPV6  41
#define NEXT_DUMMY 59
#define MOVED_S	   1 /* at most one peer-moved event per SA in this time */

struct item {
	struct rte_mbuf *m; /* NULL once dropped */
	struct dp_sa_in *sa;
	uint64_t seq;
	uint32_t text_len;
	uint16_t at; /* index in the burst */
};

struct work {
	uint16_t n;
	struct item item[DP_BURST_ROOM];
};

static void
refuse(struct dp_worker *w, struct dp_burst *b, struct item *item, enum dp_drop reason)
{
	dp_drop(w, item->m, reason);
	b->pkt[item->at] = NULL;
	item->m = NULL;
}

static uint8_t *
text_of(const struct item *item)
{
	return rte_pktmbuf_mtod_offset(item->m, uint8_t *, DP_ESP_FRONT);
}

/* Length of the cipher text, 0 when no packet of AES-GCM can be this long (RFC 4303 2.4). */
static uint32_t
text_length(uint32_t esp_len)
{
	uint32_t around = DP_ESP_FRONT + DP_CRYPTO_TAG;

	if (esp_len < around + TEXT_MIN || ((esp_len - around) & 3) != 0)
		return 0;
	return esp_len - around;
}

/*
 * A packet without an SA, or with an SPI for which others wait. True when it was parked or dropped;
 * false when it has an SA and the park no room: it is opened rather than lost.
 */
static bool
stand_back(struct dp_worker *w, struct dp_burst *b, struct item *item)
{
	if (dp_park_add(w, item->m)) {
		b->pkt[item->at] = NULL;
		return true;
	}
	if (item->sa != NULL)
		return false;
	refuse(w, b, item, DP_DROP_ESP_SPI);
	return true;
}

static void
collect_one(struct dp_worker *w, struct dp_burst *b, uint16_t at, struct work *work)
{
	struct item item = {.m = b->pkt[at], .at = at};
	uint8_t room[4];
	uint32_t spi;

	item.text_len = text_length(rte_pktmbuf_pkt_len(item.m));
	if (unlikely(item.text_len == 0)) {
		refuse(w, b, &item, DP_DROP_ESP_RUNT);
		return;
	}
	spi = dp_be32(rte_pktmbuf_read(item.m, 0, sizeof(room), room));
	item.sa = dp_sad_find(w->sad, spi);
	dp_pkt(item.m)->spi = spi;
	if (unlikely(item.sa == NULL || dp_park_holds(&w->park, spi)) && stand_back(w, b, &item))
		return;
	b->pkt[at] = item.m = dp_packet_own(w, item.m, 0, 0);
	if (unlikely(item.m == NULL))
		return;
	rte_prefetch0(&item.sa->guard);
	work->item[work->n++] = item;
}

static void
collect(struct dp_worker *w, struct dp_burst *b, struct work *work)
{
	work->n = 0;
	for (uint16_t i = 0; i < b->n; i++)
		if (dp_pkt(b->pkt[i])->next == DP_NEXT_OPEN)
			collect_one(w, b, i, work);
}

static void
guard(const struct dp_sad *sad, struct dp_sa_in *sa)
{
	if (sad->shared)
		rte_spinlock_lock(&sa->guard);
}

static void
unguard(const struct dp_sad *sad, struct dp_sa_in *sa)
{
	if (sad->shared)
		rte_spinlock_unlock(&sa->guard);
}

static void
count_shared(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Drop what the window refuses. */
static void
refuse_replay(struct dp_worker *w, struct dp_burst *b, struct item *item,
	      enum dp_replay_verdict verdict)
{
	if (verdict == DP_REPLAY_LATE) {
		count_shared(&item->sa->late);
		refuse(w, b, item, DP_DROP_ESP_LATE);
	} else {
		count_shared(&item->sa->replayed);
		refuse(w, b, item, DP_DROP_ESP_REPLAY);
	}
}

static void
precheck_one(struct dp_worker *w, struct dp_burst *b, struct item *item)
{
	struct dp_sa_in *sa = item->sa;
	uint32_t lo = dp_be32(rte_pktmbuf_mtod_offset(item->m, uint8_t *, 4));
	enum dp_replay_verdict verdict;

	if (unlikely(dp_child_ended(sa->child))) {
		refuse(w, b, item, DP_DROP_LIMIT_HARD);
		return;
	}
	guard(w->sad, sa);
	item->seq = sa->esn ? dp_replay_infer(sa->replay.top, sa->replay.size, lo) : lo;
	verdict = dp_replay_check(&sa->replay, item->seq);
	unguard(w->sad, sa);
	if (unlikely(verdict != DP_REPLAY_OK))
		refuse_replay(w, b, item, verdict);
}

static void
open_one(struct dp_worker *w, struct dp_burst *b, struct item *item)
{
	struct dp_sa_in *sa = item->sa;
	struct dp_crypto_job job = {
		.seq = item->seq,
		.spi_be = sa->spi_be,
		.text = text_of(item),
		.text_len = item->text_len,
	};

	if (unlikely(sa->open(w->crypto, sa->key, &job, 1) == 0)) {
		count_shared(&sa->auth_failed);
		refuse(w, b, item, DP_DROP_ESP_AUTH);
	}
}

/*
 * Only the newest authentic packet may say that the peer is elsewhere (RFC 7296 2.23): a replayed
 * or overtaken one would move it back. Under the guard.
 */
static void
watch_peer(struct dp_worker *w, struct dp_sa_in *sa, const struct dp_pkt *p)
{
	uint64_t from = dp_peer_word(p->outer_src, p->outer_src_port);
	struct dp_sa_note note;

	if (!sa->follow || (p->flags & DP_PKT_UDP_ENCAP) == 0 ||
	    from == atomic_load_explicit(&sa->remote, memory_order_relaxed))
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

/* Inner bytes by the trailer; all of the text when the trailer is nonsense. */
static uint32_t
payload_length(const uint8_t *text, uint32_t text_len)
{
	uint32_t trailer = 2u + text[text_len - 2];

	return trailer <= text_len ? text_len - trailer : text_len;
}

/* Count an accepted packet against the limits; false when it is beyond one. Under the guard. */
static bool
count_in(struct dp_worker *w, struct dp_sa_in *sa, uint32_t len)
{
	uint64_t packets = dp_counted(&sa->packets) + 1;
	uint64_t bytes = dp_counted(&sa->bytes) + len;

	if (unlikely(packets >= sa->limit.soft_packets || bytes >= sa->limit.soft_bytes ||
		     packets >= sa->limit.hard_packets || bytes >= sa->limit.hard_bytes))
		raise_limits(w->sad, sa, packets, bytes);
	if (unlikely(packets > sa->limit.hard_packets || bytes > sa->limit.hard_bytes))
		return false;
	atomic_store_explicit(&sa->packets, packets, memory_order_relaxed);
	atomic_store_explicit(&sa->bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&sa->last_in_tsc, w->now_tsc, memory_order_relaxed);
	return true;
}

static void
retire_one(struct dp_worker *w, struct dp_burst *b, struct item *item)
{
	struct dp_sa_in *sa = item->sa;
	enum dp_replay_verdict verdict = dp_replay_accept(&sa->replay, item->seq);

	if (unlikely(verdict != DP_REPLAY_OK)) {
		refuse_replay(w, b, item, verdict);
		return;
	}
	if (unlikely(!count_in(w, sa, payload_length(text_of(item), item->text_len)))) {
		refuse(w, b, item, DP_DROP_LIMIT_HARD);
		return;
	}
	if (unlikely(!dp_child_raised(sa->child, SPW_SA_EV_FIRST_IN)))
		dp_child_raise(w->sad, sa->child, sa->spi, SPW_SA_EV_FIRST_IN, 0);
	if (item->seq == sa->replay.top)
		watch_peer(w, sa, dp_pkt(item->m));
}

/* Take the guard once for each run of packets of one SA. */
static void
retire_all(struct dp_worker *w, struct dp_burst *b, struct work *work)
{
	for (uint16_t i = 0; i < work->n;) {
		struct dp_sa_in *sa = work->item[i].sa;

		guard(w->sad, sa);
		for (; i < work->n && work->item[i].sa == sa; i++)
			if (likely(work->item[i].m != NULL))
				retire_one(w, b, &work->item[i]);
		unguard(w->sad, sa);
	}
}

/* Is this an IPv4 packet that fits in `len` bytes, header checksum right? */
static bool
inner_valid(const uint8_t *ip, uint32_t len)
{
	uint32_t header = (ip[0] & 15u) * 4, total;

	if (len < 20 || ip[0] >> 4 != 4 || header < 20 || header > len)
		return false;
	total = dp_be16(ip + 2);
	return total >= header && total <= len && rte_raw_cksum(ip, header) == 0xffff;
}

static bool
selected(const struct dp_sa_in *sa, const uint8_t *ip, uint32_t len)
{
	struct dp_selector_key key;

	if (sa->sel == NULL)
		return true;
	dp_selector_key_read(&key, ip, len);
	return dp_selectors_match_in(sa->sel, &key);
}

/* Join the outer congestion mark to the inner one (RFC 6040 4.2); false: drop. */
static bool
join_ecn(uint8_t *ip, uint8_t outer_tos)
{
	uint8_t ecn = dp_ecn_decap(ip[1], outer_tos);
	uint16_t was = dp_be16(ip), csum;

	if (ecn == DP_ECN_DROP)
		return false;
	if (ecn == (ip[1] & DP_ECN_MASK))
		return true;
	ip[1] = (uint8_t)((ip[1] & ~DP_ECN_MASK) | ecn);
	csum = dp_csum_update(dp_be16(ip + 10), was, dp_be16(ip));
	dp_put_be16(ip + 10, csum);
	return true;
}

static enum dp_drop
next_header_reason(uint8_t next)
{
	if (next == NEXT_DUMMY)
		return DP_DROP_ESP_DUMMY;
	return next == NEXT_IPV6 ? DP_DROP_IPV6_OFF : DP_DROP_ESP_NEXT_HEADER;
}

/*
 * Examine the opened text; DP_DROP_COUNT when it is a good packet, of which *total bytes count:
 * what follows is padding for traffic-flow confidentiality (RFC 4303 2.7).
 */
static enum dp_drop
examine(const struct item *item, uint8_t outer_tos, uint32_t *total)
{
	uint8_t *text = text_of(item);
	uint32_t trailer = 2u + text[item->text_len - 2];
	uint8_t next = text[item->text_len - 1];

	if (unlikely(trailer > item->text_len))
		return DP_DROP_ESP_PADDING;
	if (unlikely(next != NEXT_IPV4))
		return next_header_reason(next);
	if (unlikely(!inner_valid(text, item->text_len - trailer)))
		return DP_DROP_ESP_INNER;
	*total = dp_be16(text + 2);
	if (unlikely(!selected(item->sa, text, *total)))
		return DP_DROP_SELECTOR_IN;
	return join_ecn(text, outer_tos) ? DP_DROP_COUNT : DP_DROP_ESP_ECN;
}

static void
finish_one(struct dp_worker *w, struct dp_burst *b, struct item *item)
{
	struct dp_pkt *p = dp_pkt(item->m);
	uint32_t total = 0;
	enum dp_drop reason = examine(item, p->outer_tos, &total);

	if (unlikely(reason != DP_DROP_COUNT)) {
		refuse(w, b, item, reason);
		return;
	}
	item->m->data_off += DP_ESP_FRONT;
	item->m->data_len = (uint16_t)total;
	item->m->pkt_len = total;
	item->m->packet_type = 0;
	p->next = DP_NEXT_FIB;
	p->flags |= DP_PKT_DECRYPTED;
	p->tunnel = item->sa->tunnel;
	p->sa = item->sa->slot;
	dp_count(&w->sad->tunnel_count[w->index][p->tunnel].in, 1);
}

/* Run one pass over the packets that are still there. */
static void
each(struct dp_worker *w, struct dp_burst *b, struct work *work,
     void (*pass)(struct dp_worker *, struct dp_burst *, struct item *))
{
	for (uint16_t i = 0; i < work->n; i++) {
		if (i + 1 < work->n && work->item[i + 1].m != NULL)
			rte_prefetch0(text_of(&work->item[i + 1]));
		if (likely(work->item[i].m != NULL))
			pass(w, b, &work->item[i]);
	}
}

void
dp_stage_esp_open(struct dp_worker *w, struct dp_burst *b)
{
	struct work work;

	collect(w, b, &work);
	each(w, b, &work, precheck_one);
	each(w, b, &work, open_one);
	retire_all(w, b, &work);
	each(w, b, &work, finish_one);
	dp_burst_compact(b);
}
