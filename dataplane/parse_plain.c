/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short way through the parse stage, for the frames that nearly all are.
 *
 * It asks what stage_parse.c asks, of a frame that passes everything: any other is left to that,
 * untouched. What frames of one interface have in common is kept in registers: what must be so of
 * the mbuf and of the headers is compared 16 bytes at a time, and metadata begin as a copy of those
 * that packets of one kind have. Who has a destination, and whether a source may be, is asked when
 * the addresses differ from the frame before. Whatever is decided here must be decided alike there;
 * the tests of the stage send each kind of frame alone and among plain ones.
 *
 * Worker thread; the packet data stay in place, only offsets move.
 */
#include <immintrin.h>

#include "dataplane/classify.h"
#include "dataplane/hops.h"
#include "dataplane/parse.h"
#include "dataplane/wire.h"

#define SHORTEST (DP_ETHER_LEN + 20)
#define STRIPPED (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED)

/* What the frames of a run have in common. */
struct common {
	__m128i words;	       /* of the mbuf, words_of() */
	__m128i words_plain;   /* mask: in one piece, by the port, no tag taken off */
	__m128i words_trusted; /* mask: and the port says that the header's checksum is right */
	__m128i head;	       /* first bytes of the frame: for our station, IPv4 without options */
	__m128i head_mask;
	__m128i forward, open; /* the first 16 bytes of metadata */
};

/* Metadata to begin with, but for the interface. */
static const struct dp_pkt fresh_forward
	__attribute__((aligned(16))) = {.port_out = DP_PORT_NONE, .next = DP_NEXT_FIB};
static const struct dp_pkt fresh_open __attribute__((aligned(16))) = {
	.port_out = DP_PORT_NONE, .next = DP_NEXT_OPEN, .outer_src = {[10] = 0xff, [11] = 0xff}};

/* 16 bytes of an mbuf: data_off, refcnt, nb_segs, port, ol_flags. */
static inline const void *
words_of(const struct rte_mbuf *m)
{
	_Static_assert(offsetof(struct rte_mbuf, nb_segs) ==
				       offsetof(struct rte_mbuf, data_off) + 4 &&
			       offsetof(struct rte_mbuf, port) ==
				       offsetof(struct rte_mbuf, data_off) + 6 &&
			       offsetof(struct rte_mbuf, ol_flags) ==
				       offsetof(struct rte_mbuf, data_off) + 8,
		       "side by side");
	return &m->data_off;
}

static inline __m128i
words_make(uint64_t segs, uint64_t port, uint64_t flags)
{
	return _mm_set_epi64x((int64_t)flags, (int64_t)(segs << 32 | port << 48));
}

/* A port that does not look at checksums is never trusted: no mbuf has a reference count of 0. */
static inline void
common_words(struct common *c, const struct dp_scan *s)
{
	c->words = words_make(1, s->dpdk_id, RTE_MBUF_F_RX_IP_CKSUM_GOOD);
	c->words_plain = words_make(UINT16_MAX, UINT16_MAX, STRIPPED);
	c->words_trusted = s->port->rx_csum ? words_make(UINT16_MAX, UINT16_MAX,
							 STRIPPED | RTE_MBUF_F_RX_IP_CKSUM_MASK)
					    : _mm_set1_epi32(-1);
}

static inline void
common_make(struct common *c, const struct dp_scan *s)
{
	static const uint8_t mask[16] = {255, 255, 255, 255, 255, 255, [12] = 255, 255, 255};
	const uint16_t id = (uint16_t)s->iface->conf.id;

	common_words(c, s);
	c->head = _mm_set_epi64x((int64_t)0x45 << 48 | (int64_t)__builtin_bswap16(DP_ETHERTYPE_IPV4)
							       << 32,
				 (int64_t)s->iface->mac_word);
	memcpy(&c->head_mask, mask, 16);
	_Static_assert(offsetof(struct dp_pkt, iface_in) == 0, "the first of eight");
	c->forward = _mm_insert_epi16(_mm_load_si128((const void *)&fresh_forward), id, 0);
	c->open = _mm_insert_epi16(_mm_load_si128((const void *)&fresh_open), id, 0);
}

/* Are 16 bytes as wanted under the mask? */
static inline bool
is_like(const void *bytes, __m128i want, __m128i mask)
{
	return _mm_testz_si128(_mm_xor_si128(_mm_loadu_si128(bytes), want), mask);
}

/* Is it a frame of this run, with a right header? Then the packet's length, else 0. */
static inline uint32_t
belongs(const struct common *c, const struct rte_mbuf *m, const uint8_t *frame)
{
	const uint8_t *ip = frame + DP_ETHER_LEN;
	const uint32_t len = m->data_len, tot_len = dp_be16(ip + 2);

	if (unlikely(len < SHORTEST || tot_len - 20 > len - SHORTEST ||
		     !is_like(frame, c->head, c->head_mask)))
		return 0;
	if (is_like(words_of(m), c->words, c->words_trusted))
		return tot_len;
	return is_like(words_of(m), c->words, c->words_plain) && dp_ipv4_csum_good(ip, 20) ? tot_len
											   : 0;
}

/* The packet begins `skip` bytes into the frame and has `len` bytes. */
static inline void
cut(struct rte_mbuf *m, uint32_t skip, uint32_t len)
{
	m->data_off = (uint16_t)(m->data_off + skip);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
}

/* Metadata to begin with: these first 16 bytes, the others as in `fresh`. */
static inline struct dp_pkt *
begin(struct rte_mbuf *m, __m128i first, const struct dp_pkt *fresh)
{
	__m128i *to = (__m128i *)dp_pkt(m);
	const __m128i *from = (const __m128i *)fresh;

	_mm_store_si128(to, first);
	for (unsigned int i = 1; i < sizeof(*fresh) / sizeof(*to); i++)
		_mm_store_si128(to + i, _mm_load_si128(from + i));
	return dp_pkt(m);
}

/* To be forwarded; false: no hop is left. */
static inline bool
forward(const struct common *c, struct rte_mbuf *m, uint8_t *ip, uint32_t tot_len)
{
	if (unlikely(!dp_ttl_take(ip)))
		return false;
	begin(m, c->forward, &fresh_forward);
	cut(m, DP_ETHER_LEN, tot_len);
	return true;
}

/* From and to these `addrs`, the latter ours; false: it is not ESP, native or in UDP. */
static inline bool
to_open(const struct common *c, struct rte_mbuf *m, const uint8_t *ip, uint32_t tot_len,
	uint64_t addrs)
{
	const bool udp = !dp_ipv4_is_whole(ip, 50);
	struct dp_pkt *p;

	if (udp && unlikely(!dp_ipv4_is_esp_udp(ip, tot_len)))
		return false;
	p = begin(m, c->open, &fresh_open);
	p->outer_tos = ip[1];
	memcpy(p->outer_src + 12, &addrs, 4);
	if (udp) {
		p->flags = DP_PKT_UDP_ENCAP;
		p->outer_src_port = dp_be16(ip + 20);
	}
	cut(m, SHORTEST + (udp ? 8 : 0), tot_len - 20 - (udp ? 8 : 0));
	return true;
}

/* Both addresses as they lie in the frame. */
static inline uint64_t
addrs_of(const struct rte_mbuf *m)
{
	uint64_t addrs;

	memcpy(&addrs, rte_pktmbuf_mtod_offset(m, const uint8_t *, SHORTEST - 8), sizeof(addrs));
	return addrs;
}

/* Remember who has a destination; false: it is none that a host may have. A call, for it is rare.
 */
static __rte_noinline bool
owner_ask(struct dp_scan *s, uint32_t dst)
{
	if (unlikely(dp_ipv4_martian(dst)))
		return false;
	s->dst = dst;
	s->owner = dp_local_find(s->local, dst);
	return true;
}

/* Do packets with the addresses of this header go this way, to us or on? */
static inline bool
leads(struct dp_scan *s, const uint8_t *ip, bool to_us)
{
	const uint32_t dst = dp_be32(ip + 16);

	if (unlikely(dp_ipv4_martian_top(ip[12]) || (dst != s->dst && !owner_ask(s, dst))))
		return false;
	return to_us ? s->owner != DP_NO_IFACE : s->owner == DP_NO_IFACE && s->transit;
}

/*
 * Take the frames that go one way, as long as they do. Returns the first that is left as it was.
 */
static __rte_always_inline struct rte_mbuf **
follow(const struct common *c, struct dp_scan *s, struct rte_mbuf **in, struct rte_mbuf **end,
       bool to_us)
{
	uint64_t known, bytes = 0;

	if (unlikely((*in)->data_len < SHORTEST))
		return in;
	known = ~addrs_of(*in); /* not those of the first, which are asked for */
	for (; in != end; in++) {
		struct rte_mbuf *m = *in;
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *ip = frame + DP_ETHER_LEN;
		const uint32_t len = m->data_len, tot_len = belongs(c, m, frame);
		const uint64_t addrs = addrs_of(m);

		if (unlikely(tot_len == 0))
			break;
		if (addrs != known) {
			if (unlikely(!leads(s, ip, to_us)))
				break;
			known = addrs;
		}
		if (unlikely(!(to_us ? to_open(c, m, ip, tot_len, addrs)
				     : forward(c, m, ip, tot_len))))
			break;
		dp_parse_fetch(in[DP_PARSE_AHEAD]);
		bytes += len;
	}
	s->bytes += bytes;
	return in;
}

uint16_t
dp_parse_plain(struct dp_burst *b, uint16_t from, uint16_t kept, struct dp_scan *s)
{
	struct rte_mbuf **in = &b->pkt[from], **end = &b->pkt[b->n], **begun;
	struct common c;
	bool to_us;
	uint16_t n;

	if (unlikely(s->why != DP_DROP_COUNT || s->tags != DP_TAGS_NONE))
		return 0;
	common_make(&c, s);
	do {
		begun = in;
		to_us = s->owner != DP_NO_IFACE;
		in = to_us ? follow(&c, s, in, end, true) : follow(&c, s, in, end, false);
		if (in != begun)
			s->kinds |= to_us ? DP_KIND(DP_NEXT_OPEN) : DP_KIND(DP_NEXT_FIB);
	} while (in != end && to_us != (s->owner != DP_NO_IFACE));
	n = (uint16_t)(in - &b->pkt[from]);
	if (kept != from)
		memmove(&b->pkt[kept], &b->pkt[from], n * sizeof(b->pkt[0]));
	s->packets += n;
	return n;
}
