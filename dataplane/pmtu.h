/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: how much ESP adds to a packet, and what ICMP tells of the path outside.
 * What the API thread makes of it is in sad_mtu.c.
 */
#ifndef SPW_DATAPLANE_PMTU_H
#define SPW_DATAPLANE_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

struct dp_worker;
struct rte_mbuf;

#define DP_MTU_MIN  576	 /* no tunnel carries less (RFC 791: every host takes this) */
#define DP_MTU6_MIN 1280 /* every link carries this (RFC 8200 5) */

/*
 * What a tunnel carries, in one word that a worker loads at once: from the low end 16 bits each of
 * IPv4 MTU, IPv4 MSS, IPv6 MTU, IPv6 MSS. 0 = no such tunnel. IPv6 packets up to DP_MTU6_MIN always
 * go in (RFC 8200 5), however small the MTU; TCP is told the truth.
 * @mtu  inner bytes that fit; @mss  the configured clamp, 0 = none but what the MTU says. Pure.
 */
uint64_t dp_fit_word(uint32_t mtu, uint32_t mss);

/* Fields of that word; `ipv6` is 0 or 1. */
static inline uint32_t
dp_fit_mtu(uint64_t word, unsigned int ipv6)
{
	return (uint16_t)(word >> 32 * ipv6);
}

static inline uint32_t
dp_fit_mss(uint64_t word, unsigned int ipv6)
{
	return (uint16_t)(word >> (32 * ipv6 + 16));
}

/* What ESP in tunnel mode puts around an inner packet, in bytes. */
struct dp_esp_shape {
	uint8_t outer; /* IP header, and UDP header */
	uint8_t front; /* ESP header and IV */
	uint8_t tag;
	uint8_t align; /* text and trailer are a multiple (RFC 4303 2.4) */
};

/* The shape of a suite (RFC 4303 2, RFC 3948 2.1); everybody who computes with sizes asks here. */
struct dp_esp_shape dp_esp_shape(enum spw_encr encr, enum spw_integ integ, bool udp, bool outer6);
/* Length of the outer packet around an inner one of `inner` bytes. */
uint32_t dp_esp_sealed(const struct dp_esp_shape *s, uint32_t inner);
/* The longest inner packet whose outer one has at most `outer_mtu` bytes; 0 = none. */
uint32_t dp_esp_inner_mtu(const struct dp_esp_shape *s, uint32_t outer_mtu);

/* An ESP packet of ours that somebody could not send on, and why. */
struct dp_pmtu_quote {
	uint8_t src[16], dst[16]; /* outer addresses, IPv4 mapped (RFC 4291 2.5.5.2) */
	uint32_t spi;
	uint32_t mtu;	       /* of the hop that was too small, outer IP bytes */
	uint16_t sport, dport; /* host order; both 0 for native ESP */
};

/*
 * Read an ICMP "fragmentation needed" or ICMPv6 "packet too big" that quotes ESP, native or in UDP.
 * False for all else: another message, fragments, a wrong checksum, a quoted packet that would have
 * passed or was not sent by the one the message is for, an MTU that no IP network has.
 * @ip   header (by its version) of a checked packet; `len` bytes are there in one piece
 */
bool dp_pmtu_read(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len);
/* The quoted packet alone: all of `q` but the MTU. */
bool dp_pmtu_read_esp(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len);

/*
 * A packet to one of our addresses that goes up to the kernel (data at the IP header; borrowed,
 * not changed): if it tells a path MTU, the API thread gets a note. Worker thread.
 */
void dp_pmtu_heard(struct dp_worker *w, const struct rte_mbuf *m);
/* The same for a sealed packet of ours that the interface it is bound for does not carry. */
void dp_pmtu_outgrown(struct dp_worker *w, const struct rte_mbuf *m, uint32_t mtu);

#endif
