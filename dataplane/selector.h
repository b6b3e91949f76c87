/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: traffic selectors of an SA as a worker reads them. Pure. */
#ifndef SPW_DATAPLANE_SELECTOR_H
#define SPW_DATAPLANE_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

/* An address as a number: IPv4 in the low 32 bits. */
__extension__ typedef unsigned __int128 dp_u128;

enum dp_selector_ports {
	DP_PORTS_ANY,	 /* whatever they are, and whether they show or not */
	DP_PORTS_RANGE,	 /* the packet must show one of these */
	DP_PORTS_OPAQUE, /* the packet must not show them (RFC 4301 4.4.1.1) */
};

/* One range of addresses, protocol (0 = any) and ports. */
struct dp_selector {
	dp_u128 low, span;	      /* addresses low to low + span */
	uint16_t port_low, port_high; /* ICMP: type << 8 | code; Mobility: type << 8 */
	uint8_t protocol;
	uint8_t ports; /* enum dp_selector_ports */
};

/* One side's ranges: of IPv4 first, from n4 on of IPv6. */
struct dp_selector_side {
	uint8_t n4, n;
	struct dp_selector range[SPW_SA_SELECTORS];
};

/* The selectors of one child SA; does not change once an SA holds it. */
struct dp_selectors {
	bool any;  /* every IPv4 packet matches: nothing else needs a look */
	bool any6; /* every IPv6 packet does */
	struct dp_selector_side local, remote;
};

/* What selectors look at in a packet, host order. */
struct dp_selector_key {
	dp_u128 src, dst;
	uint16_t src_port, dst_port; /* one number for both where one_value */
	uint8_t protocol;	     /* 0 = hidden (IPv6 fragments) */
	bool ipv6;
	bool has_ports; /* false: a later fragment, or a protocol without ports */
	bool one_value; /* ICMP, ICMPv6, Mobility: a message type, not a pair of ports */
	bool error;	/* an ICMP error as routers on the way make it */
	/* What an error quotes, NULL when nothing. */
	const uint8_t *quote;
	uint32_t quote_len;
};

/*
 * Take the selectors of a child SA, of both families. -EINVAL with a sentence for ranges upside
 * down, of mixed or no family, or a count that does not fit. Ports from 65535 down to 0 are OPAQUE
 * (RFC 7296 3.13.1).
 */
int dp_selectors_set(struct dp_selectors *s, const struct spw_sa_desc *sa, struct spw_err *err)
	__attribute__((warn_unused_result));
/*
 * Packets of which family need no look: bit 0 IPv4, bit 1 IPv6. An SA keeps this beside its pointer
 * to the selectors, so that the usual SA, any to any of IPv4, costs a packet no further load, and
 * yet no packet of the other family slips through.
 */
static inline uint8_t
dp_selectors_pass(const struct dp_selectors *s)
{
	return (uint8_t)((s->any ? 1 : 0) | (s->any6 ? 2 : 0));
}

/* Does this packet (IP header, by its version) pass without a look? */
static inline bool
dp_selectors_passes(uint8_t pass, const uint8_t *ip)
{
	return (pass & (ip[0] >> 4 == 6 ? 2 : 1)) != 0;
}
/*
 * Read the key of a packet whose IP header (by its version, IPv4 or IPv6) has been checked.
 * @ip   the header; `len` bytes of packet are there, at least the whole header; borrowed by the key
 */
void dp_selector_key_read(struct dp_selector_key *k, const uint8_t *ip, uint32_t len);
/*
 * Does a packet that leaves (source on our side) or arrives (source on the peer's) match? An ICMP
 * error does also when the packet it quotes may pass the other way (RFC 4301 6.2).
 */
bool dp_selectors_match_out(const struct dp_selectors *s, const struct dp_selector_key *k);
bool dp_selectors_match_in(const struct dp_selectors *s, const struct dp_selector_key *k);

#endif
