/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short way through the parse stage, for the frames that nearly all are.
 *
 * It asks what stage_parse.c asks, of a frame that passes everything: any other is left to that,
 * untouched. What frames of one interface have in common is kept in registers, and metadata are
 * written by one store. Whatever is decided here must be decided alike there; the tests of the
 * stage send each kind of frame alone and among plain ones.
 *
 * Worker thread; the packet data stay in place, only offsets move.
 */
#include "dataplane/classify.h"
#include "dataplane/hops.h"
#include "dataplane/parse.h"
#include "dataplane/wire.h"

#define SHORTEST (DP_ETHER_LEN + 20)
#define STRIPPED (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED)

/* Number of segments and port of an mbuf, which lie side by side, in one look. */
static inline uint32_t
pieces_and_port(const struct rte_mbuf *m)
{
	uint32_t both;

	_Static_assert(offsetof(struct rte_mbuf, port) ==
			       offsetof(struct rte_mbuf, nb_segs) + sizeof(uint16_t),
		       "side by side");
	memcpy(&both, &m->nb_segs, sizeof(both));
	return both;
}

/* A frame in one piece, whole up to the IP header, that came in by the port without a tag. */
static inline bool
is_whole(const struct rte_mbuf *m, uint32_t one_piece)
{
	return pieces_and_port(m) == one_piece && m->data_len >= SHORTEST &&
	       (m->ol_flags & STRIPPED) == 0;
}

/* For the interface's station and with IPv4 inside. */
static inline bool
is_ipv4_for(const uint8_t *frame, uint64_t mac_word)
{
	return dp_mac_word(frame) == mac_word && dp_be16(frame + 12) == DP_ETHERTYPE_IPV4;
}

/* The packet begins `skip` bytes into the frame and has `len` bytes. */
static inline void
cut(struct rte_mbuf *m, uint32_t skip, uint32_t len)
{
	m->data_off = (uint16_t)(m->data_off + skip);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
}

/* Note of an ESP packet what its tunnel's end must know of the outer header. */
static inline void
outer_note(struct dp_pkt *p, const uint8_t *ip)
{
	p->outer_tos = ip[1];
	memcpy(p->outer_src, dp_v4_mapped, 12);
	memcpy(p->outer_src + 12, ip + 12, 4);
}

/* What the frames of a run have in common. */
struct common {
	uint64_t mac_word;
	uint32_t one_piece; /* pieces_and_port() */
	bool rx_csum;	    /* the port says whether IPv4 header checksums are right */
	bool transit;
	uint16_t iface;
};

/* Metadata to begin with, by one store. */
static const struct dp_pkt fresh_forward = {.port_out = DP_PORT_NONE, .next = DP_NEXT_FIB};
static const struct dp_pkt fresh_open = {.port_out = DP_PORT_NONE, .next = DP_NEXT_OPEN};

/* Is it a frame of this run? Then the packet's length, else 0. Its destination is not looked at. */
static inline uint32_t
belongs(const struct common *c, const struct rte_mbuf *m, const uint8_t *frame)
{
	const uint8_t *ip = frame + DP_ETHER_LEN;

	if (unlikely(!is_whole(m, c->one_piece) || !is_ipv4_for(frame, c->mac_word) ||
		     dp_ipv4_martian_top(ip[12])))
		return 0;
	return dp_ipv4_plain(ip, m->data_len - (uint32_t)DP_ETHER_LEN,
			     c->rx_csum && dp_csum_known_good(m));
}

/* To be forwarded; false: it may not be without being asked more, or no hop is left. */
static inline bool
forward(const struct common *c, struct rte_mbuf *m, uint8_t *ip, uint32_t tot_len)
{
	struct dp_pkt *p = __builtin_assume_aligned(dp_pkt(m), sizeof(*p));

	if (unlikely(!c->transit || !dp_ttl_take(ip)))
		return false;
	*p = fresh_forward;
	p->iface_in = c->iface;
	cut(m, DP_ETHER_LEN, tot_len);
	return true;
}

/* To one of our addresses; false: it is not ESP, native or in UDP. */
static inline bool
to_open(const struct common *c, struct rte_mbuf *m, const uint8_t *ip, uint32_t tot_len)
{
	struct dp_pkt *p = __builtin_assume_aligned(dp_pkt(m), sizeof(*p));
	const bool udp = !dp_ipv4_is_esp(ip);

	if (udp && unlikely(!dp_ipv4_is_esp_udp(ip, tot_len)))
		return false;
	*p = fresh_open;
	p->iface_in = c->iface;
	outer_note(p, ip);
	if (udp) {
		p->flags = DP_PKT_UDP_ENCAP;
		p->outer_src_port = dp_be16(ip + 20);
	}
	cut(m, SHORTEST + (udp ? 8 : 0), tot_len - 20 - (udp ? 8 : 0));
	return true;
}

/* Ask who has this destination, which is none that no host may be called. */
static inline bool
owner_ask(struct dp_scan *s, uint32_t dst)
{
	if (unlikely(dp_ipv4_martian(dst)))
		return false;
	s->dst = dst;
	s->owner = dp_local_find(s->local, dst);
	return true;
}

uint16_t
dp_parse_plain(struct dp_burst *b, uint16_t from, uint16_t kept, struct dp_scan *s)
{
	struct rte_mbuf **out = &b->pkt[kept], *const *in = &b->pkt[from],
			*const *end = &b->pkt[b->n];
	uint64_t bytes = 0;
	unsigned int kinds = 0;
	uint16_t n;

	if (unlikely(s->why != DP_DROP_COUNT || s->tags != DP_TAGS_NONE))
		return 0;
	const struct common c = {.mac_word = s->iface->mac_word,
				 .one_piece = 1u | (uint32_t)s->dpdk_id << 16,
				 .rx_csum = s->port->rx_csum,
				 .transit = s->transit,
				 .iface = (uint16_t)s->iface->conf.id};

	for (; in != end; in++) {
		struct rte_mbuf *m = *in;
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *ip = frame + DP_ETHER_LEN;
		uint32_t frame_len = m->pkt_len, tot_len = belongs(&c, m, frame);

		if (likely(in + DP_PARSE_AHEAD < end))
			dp_parse_fetch(in[DP_PARSE_AHEAD]);
		if (unlikely(tot_len == 0 ||
			     (dp_be32(ip + 16) != s->dst && !owner_ask(s, dp_be32(ip + 16)))))
			break;
		if (s->owner == DP_NO_IFACE) {
			if (unlikely(!forward(&c, m, ip, tot_len)))
				break;
			kinds |= DP_KIND(DP_NEXT_FIB);
		} else {
			if (unlikely(!to_open(&c, m, ip, tot_len)))
				break;
			kinds |= DP_KIND(DP_NEXT_OPEN);
		}
		bytes += frame_len;
		*out++ = m;
	}
	n = (uint16_t)(out - &b->pkt[kept]);
	s->kinds |= kinds;
	s->packets += n;
	s->bytes += bytes;
	return n;
}
