/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: a burst of packets and what the stages know about each. */
#ifndef SPW_DATAPLANE_PACKET_H
#define SPW_DATAPLANE_PACKET_H

#include <rte_mbuf.h>
#include <rte_vect.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/spillway.h"

#define DP_BURST      64  /* received at once */
#define DP_BURST_ROOM 192 /* a burst may grow: fragments, ICMP replies */

enum dp_drop {
#define DP_DROP(sym, name, meaning) DP_DROP_##sym,
#include "dataplane/drop.def"
	DP_DROP_COUNT,
};

/* Where a packet goes next; each stage handles its own and leaves the others alone. */
enum dp_next {
	DP_NEXT_OPEN,	 /* ESP for us: open */
	DP_NEXT_FIB,	 /* look up the destination */
	DP_NEXT_PATH,	 /* leaf known: choose a path of the group */
	DP_NEXT_SEAL,	 /* tunnel known: fit, seal */
	DP_NEXT_OUTER,	 /* sealed: look up the outer destination (FIB again) */
	DP_NEXT_ADJ,	 /* adjacency known: write the Ethernet header */
	DP_NEXT_TX,	 /* frame complete: send on port_out */
	DP_NEXT_EXPIRED, /* no hop left: answer and drop */
};

enum dp_pkt_flag {
	DP_PKT_FROM_TWIN = 1u << 0, /* the gateway's own packet */
	DP_PKT_CREATED = 1u << 1,   /* made here: fragment, ICMP error */
	DP_PKT_DECRYPTED = 1u << 2, /* came out of a tunnel */
	DP_PKT_UDP_ENCAP = 1u << 3, /* inbound ESP came in UDP */
	DP_PKT_OUTER = 1u << 4,	    /* an ESP packet of ours */
	/* Set with a tunnel chosen while an ExpressRoute path of the group was up; seal counts it
	 * as a violation unless the packet is the gateway's own. */
	DP_PKT_ER_STOOD = 1u << 5,
	DP_PKT_IPV6 = 1u << 6, /* the IP header at the data is IPv6's; kept true by each stage */
};

/*
 * Metadata in the mbuf's private area, 64 bytes, owned by the worker that holds the packet. While
 * a stage runs, mbuf data starts at the IP header (the Ethernet header was cut off by parse and
 * its room is headroom), `l2_len` of the mbuf is unused.
 */
struct dp_pkt {
	uint16_t iface_in; /* interface id, 0 = made here */
	uint16_t iface_out;
	uint16_t port_out; /* DPDK port id */
	uint8_t next;	   /* enum dp_next */
	uint8_t flags;	   /* enum dp_pkt_flag */
	/* These two are looked at together, dp_pkt_kin(). */
	uint32_t group __attribute__((aligned(8))); /* FIB leaf */
	uint32_t tunnel; /* tunnel id: the one it goes into, or (DECRYPTED) came out of */
	uint32_t path;
	uint32_t sa;  /* index of the SA in the SAD */
	uint32_t spi; /* inbound ESP, host order: of a run's first, and of what is parked */
	uint16_t outer_src_port; /* inbound UDP encapsulation, host order */
	uint8_t outer_tos;	 /* inbound ESP: TOS of the outer header, for ECN */
	uint8_t outer_src[16];	 /* inbound ESP: outer source; IPv4 mapped (RFC 4291 2.5.5.2) */
	uint16_t twin;		 /* mirrored: interface whose twin gets it */
	uint16_t inner_len;	 /* OUTER: bytes of the packet inside */
	uint8_t pad[12];
};
_Static_assert(sizeof(struct dp_pkt) == 64, "one cache line");
_Static_assert(offsetof(struct dp_pkt, flags) == offsetof(struct dp_pkt, next) + 1 &&
		       offsetof(struct dp_pkt, tunnel) == offsetof(struct dp_pkt, group) + 4,
	       "side by side");
_Static_assert(offsetof(struct dp_pkt, iface_out) == 2 && offsetof(struct dp_pkt, next) == 6 &&
		       offsetof(struct dp_pkt, group) == 8,
	       "as dp_head_of() has it");

/* What comes before an IPv4 address that stands in 16 bytes (RFC 4291 2.5.5.2). */
static const uint8_t dp_v4_mapped[12] __attribute__((unused)) = {[10] = 0xff, [11] = 0xff};

static inline struct dp_pkt *
dp_pkt(struct rte_mbuf *m)
{
	return (struct dp_pkt *)rte_mbuf_to_priv(m);
}

/* `next` and `flags` in one look, to be compared under a mask: DP_STATE(next, flags). */
static inline uint32_t
dp_pkt_state(const struct dp_pkt *p)
{
	uint16_t state;

	memcpy(&state, &p->next, sizeof(state));
	return state;
}
static inline void
dp_pkt_state_set(struct dp_pkt *p, uint32_t state)
{
	const uint16_t both = (uint16_t)state;

	memcpy(&p->next, &both, sizeof(both));
}
#define DP_STATE(next, flags) ((uint32_t)(next) | (uint32_t)(flags) << 8)
#define DP_STATE_NEXT	      0xffu /* all of `next` */

/* `group` and `tunnel` in one look, for comparing: dp_kin_of(). */
static inline uint64_t
dp_kin_of(uint32_t group, uint32_t tunnel)
{
	return group | (uint64_t)tunnel << 32;
}
static inline uint64_t
dp_pkt_kin(const struct dp_pkt *p)
{
	uint64_t kin;

	memcpy(&kin, &p->group, sizeof(kin));
	return kin;
}

/*
 * The head of a packet's metadata, interfaces to kin, in one register: to be compared under a mask
 * and written as a whole.
 */
static inline __m128i
dp_head_of(uint32_t iface_out, uint32_t state, uint64_t kin)
{
	return _mm_set_epi64x((int64_t)kin, (int64_t)((uint64_t)state << 48 | iface_out << 16));
}
static inline __m128i
dp_pkt_head(const struct dp_pkt *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static inline void
dp_pkt_head_set(struct dp_pkt *p, __m128i head)
{
	_mm_storeu_si128((__m128i *)(void *)p, head);
}
static inline bool
dp_head_alike(__m128i a, __m128i b, __m128i mask)
{
	return _mm_testz_si128(_mm_xor_si128(a, b), mask) != 0;
}

/* Where all packets of a burst go out, as complete frames. */
struct dp_out {
	uint16_t port; /* DPDK port id; DP_PORT_NONE: not all by one interface */
	uint16_t iface;
	uint32_t bytes;
};

/* The way that all packets of a burst go, to be sent with one header. */
struct dp_one_way {
	uint32_t path;
	uint32_t bytes; /* of the packets, from their IP headers on */
	uint16_t iface;
	bool ipv6; /* their family */
};

struct dp_burst {
	uint16_t n;
	/*
	 * Bit `next` (enum dp_next) is set when packets with that next may be in the burst, so that
	 * the pipeline passes over stages that would find nothing. Who sets a packet's next sets
	 * the bit; a stage that handles all of a kind clears it.
	 */
	uint16_t kinds;
	struct dp_one_way one_way; /* from path or outer to adjacency: DP_KIND_ONE_WAY */
	struct dp_out out;	   /* from the adjacency stage to the tx stage */
	struct rte_mbuf *pkt[DP_BURST_ROOM];
};

#define DP_KIND(next)  (1u << (next))
#define DP_KIND_FIT    (1u << 15) /* some do not fit their way, or have an MSS to lower */
#define DP_KIND_SHAPED (1u << 14) /* into a tunnel with a capacity; beside SEAL */
/* All are ADJ and go as `one_way` says. Beside ADJ alone: with any other bit it says nothing. */
#define DP_KIND_ONE_WAY (1u << 13)

/*
 * A stage has sent `packets` of what is in the burst now this way, and nothing is known to be left
 * to do before it: if these are all, the adjacency stage need not ask each.
 */
static inline void
dp_burst_one_way(struct dp_burst *b, uint64_t packets, const struct dp_one_way *way)
{
	if (b->kinds != DP_KIND(DP_NEXT_ADJ) || packets != b->n || packets == 0)
		return;
	b->one_way = *way;
	b->kinds |= DP_KIND_ONE_WAY;
}

/* Append a packet made by a stage; false when the burst is full (the caller drops it). */
static inline bool
dp_burst_add(struct dp_burst *b, struct rte_mbuf *m)
{
	if (b->n >= DP_BURST_ROOM)
		return false;
	b->pkt[b->n++] = m;
	b->kinds = (uint16_t)((b->kinds & ~DP_KIND_ONE_WAY) | DP_KIND(dp_pkt(m)->next));
	return true;
}

#endif
