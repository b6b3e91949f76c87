/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: making packets fit their way out, before sealing and never after it. The
 * stage itself is dp_stage_fit() in sad.h.
 */
#ifndef SPW_DATAPLANE_FIT_H
#define SPW_DATAPLANE_FIT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet.h"
#include "dataplane/pmtu.h"
#include "dataplane/worker.h"

#define DP_TCP_SYN 0x02 /* in octet 13 of the header */

/*
 * Lower the MSS option of a TCP SYN or SYN/ACK to `mss` and mend the checksum (RFC 6691, RFC 1624).
 * A smaller one, a packet without it and any option list that is not well-formed stay as they are.
 * @ip   header of a checked IPv4 packet; `len` bytes are there in one piece
 * Returns true when it changed something. Pure.
 */
bool dp_mss_clamp(uint8_t *ip, uint32_t len, uint32_t mss);
/* The same for IPv6. */
bool dp_mss_clamp6(uint8_t *ip, uint32_t len, uint32_t mss);

/* What fragment n of an IPv4 packet carries (RFC 791 2.3). */
struct dp_fragment {
	uint32_t header_len; /* of its own header, with padding */
	uint32_t from;	     /* first payload byte */
	uint32_t len;	     /* payload bytes */
	bool last;
};
/* Bytes of header that fragments behind the first carry: options without the copy bit go. Pure. */
uint32_t dp_fragment_later_header(const uint8_t *ip);
/*
 * Cut of the piece that starts at payload byte `from` of a packet with `payload` bytes; `len` 0
 * when not even 8 bytes fit. Pure.
 */
struct dp_fragment dp_fragment_cut(const uint8_t *ip, uint32_t payload, uint32_t from,
				   uint32_t mtu);
/* Write the header of one piece, checksum included, to `out` (60 bytes of room). Pure. */
void dp_fragment_header(uint8_t *out, const uint8_t *ip, const struct dp_fragment *f);
/*
 * Cut a packet in new mbufs of at most `mtu` bytes, each with a copy of its metadata. The packet
 * stays the caller's.
 * @out   receives up to `room` mbufs
 * Returns how many; 0 when it cannot be done, and then nothing was allocated.
 */
uint16_t dp_fragment_packet(struct dp_worker *w, struct rte_mbuf *m, uint32_t mtu,
			    struct rte_mbuf **out, uint16_t room);

/*
 * The packet in one piece, owned by nobody else, with room before and behind it: itself, or a copy
 * with its metadata while the original is freed. NULL when that failed: the packet was dropped
 * (no-buffer, no-room). Worker thread.
 */
struct rte_mbuf *dp_packet_own(struct dp_worker *w, struct rte_mbuf *m, uint16_t head,
			       uint16_t tail);

/* In one piece and nobody else's? */
static inline bool
dp_packet_is_alone(const struct rte_mbuf *m)
{
	/* One reference and one segment, which lie side by side, in one look. */
	static const uint16_t alone[2] = {1, 1};

	_Static_assert(offsetof(struct rte_mbuf, nb_segs) ==
			       offsetof(struct rte_mbuf, refcnt) + sizeof(uint16_t),
		       "side by side");
	return memcmp(&m->refcnt, alone, sizeof(alone)) == 0 && RTE_MBUF_DIRECT(m);
}

/* With that room, too? Nearly every packet is so; then dp_packet_own() need not be called. */
static inline bool
dp_packet_is_own(const struct rte_mbuf *m, uint16_t head, uint16_t tail)
{
	return dp_packet_is_alone(m) && m->data_off >= head &&
	       m->data_off + m->data_len + tail <= m->buf_len;
}

/* A way that packets take, and what it carries; begin with the key DP_FIT_NO_WAY. */
struct dp_fit_way {
	uint64_t key;
	uint64_t word; /* as dp_fit_word(); an MSS of 0 is no clamp */
};
#define DP_FIT_NO_WAY 0 /* no packet that is looked at has this key: DP_NEXT_OPEN is 0 */

/* Find out what the way of a packet with this key carries. Worker thread. */
void dp_fit_ask(struct dp_fit_way *way, const struct dp_worker *w, const struct dp_pkt *p,
		uint64_t key);

/* Packets with the same key go the same way. DP_FIT_NO_WAY: they need not fit anything. */
static inline uint64_t
dp_fit_key(const struct dp_pkt *p)
{
	const uint8_t kind = p->flags & (DP_PKT_DECRYPTED | DP_PKT_OUTER);

	if (p->next == DP_NEXT_SEAL)
		return (uint64_t)DP_NEXT_SEAL << 56 | p->tunnel;
	if (p->next != DP_NEXT_ADJ)
		return DP_FIT_NO_WAY;
	return (uint64_t)DP_NEXT_ADJ << 56 | (uint64_t)kind << 48 | (uint64_t)p->iface_out << 32 |
	       ((kind & DP_PKT_DECRYPTED) != 0 ? p->tunnel : 0);
}

static inline unsigned int
dp_fit_ipv6(const struct dp_pkt *p)
{
	return (p->flags & DP_PKT_IPV6) != 0;
}

/* May it be a TCP SYN? Exact but for IPv6 with extension headers, which needs a closer look. */
static inline bool
dp_fit_may_be_syn(const struct rte_mbuf *m, bool ipv6)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t flags = ipv6 ? 40 + 13 : (ip[0] & 15u) * 4 + 13;
	uint8_t next = ip[ipv6 ? 6 : 9];

	if (likely(next != IPPROTO_TCP))
		return ipv6 && (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
				next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT);
	return m->data_len > flags && (ip[flags] & DP_TCP_SYN) != 0;
}

/* Does a packet fit a way that carries `word`, with no MSS in it that may have to be lowered? */
static inline bool
dp_fit_word_fits(uint64_t word, const struct rte_mbuf *m, unsigned int ipv6)
{
	/* The family's half of the word: the MTU, and above it the MSS. */
	const uint32_t half = (uint32_t)(word >> (ipv6 != 0 ? 32 : 0));

	return m->pkt_len <= (uint16_t)half &&
	       (half <= UINT16_MAX || !dp_fit_may_be_syn(m, ipv6 != 0));
}

/* The same of the packet's own way, which is asked for when it is not that of the one before. */
static inline bool
dp_fit_fits(struct dp_fit_way *way, const struct dp_worker *w, const struct rte_mbuf *m)
{
	const struct dp_pkt *p = dp_pkt((struct rte_mbuf *)(uintptr_t)m);
	uint64_t key = dp_fit_key(p);

	if (unlikely(key == DP_FIT_NO_WAY))
		return true;
	if (key != way->key)
		dp_fit_ask(way, w, p, key);
	return dp_fit_word_fits(way->word, m, dp_fit_ipv6(p));
}

#endif
