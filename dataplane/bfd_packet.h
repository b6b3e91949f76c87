/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: BFD control packets (RFC 5880 4.1) in UDP and IP (RFC 5881 4). Pure. */
#ifndef SPW_DATAPLANE_BFD_PACKET_H
#define SPW_DATAPLANE_BFD_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define DP_BFD_PORT	3784
#define DP_BFD_LEN	24 /* without authentication, the only kind */
#define DP_BFD_IP_MAX	(40 + 8 + DP_BFD_LEN)
#define DP_BFD_PORT_LOW 49152 /* source ports, up to 65535 */
#define DP_BFD_TTL	255

/* Mandatory section, host order. */
struct dp_bfd_packet {
	uint8_t state; /* enum spw_bfd_state */
	uint8_t diag;
	uint8_t mult;
	bool poll, final, demand;
	bool control_independent;
	uint32_t my_disc, your_disc;
	uint32_t min_tx_us, min_rx_us, min_echo_rx_us;
};

/* Why a packet is refused, by the rules of RFC 5880 6.8.6 that need no session. */
enum dp_bfd_bad {
	DP_BFD_GOOD = 0,
	DP_BFD_BAD_IP,	/* no whole UDP datagram with a right checksum */
	DP_BFD_BAD_TTL, /* not sent by a neighbour (RFC 5881 5) */
	DP_BFD_BAD_VERSION,
	DP_BFD_BAD_LENGTH,
	DP_BFD_BAD_AUTH, /* has it, and none is in use */
	DP_BFD_BAD_MULT,
	DP_BFD_BAD_MULTIPOINT,
	DP_BFD_BAD_MY_DISC,
	DP_BFD_BAD_YOUR_DISC, /* zero in a state that cannot be without */
};

/* Read a control packet: `len` bytes of UDP payload. `out` is set only when it is good. */
enum dp_bfd_bad dp_bfd_parse(const uint8_t *p, uint32_t len, struct dp_bfd_packet *out)
	__attribute__((warn_unused_result));
/* Write DP_BFD_LEN bytes. */
void dp_bfd_build(uint8_t *out, const struct dp_bfd_packet *p);

/* A control packet in UDP and IP. */
struct dp_bfd_datagram {
	struct spw_addr src, dst;
	struct dp_bfd_packet packet;
};
/*
 * Read a packet to UDP port 3784.
 * @ip   header checked by parse; `len` bytes of packet in one piece
 * Source and destination are set whenever there is an IP header, so that what is refused can be
 * laid to its session.
 */
enum dp_bfd_bad dp_bfd_unwrap(const uint8_t *ip, uint32_t len, struct dp_bfd_datagram *out)
	__attribute__((warn_unused_result));
/*
 * Write a control packet with its UDP and IP headers.
 * @out       DP_BFD_IP_MAX bytes of room
 * @src_port  of the session, for its whole life
 * Returns the length. Both addresses are of one family.
 */
uint32_t dp_bfd_wrap(uint8_t *out, const struct dp_bfd_datagram *d, uint16_t src_port);

#endif
