/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: packets of forwarding probes, built and read. Pure. */
#ifndef SPW_DATAPLANE_PROBE_PACKET_H
#define SPW_DATAPLANE_PROBE_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define DP_PROBE_SIZE_MAX 9000
/*
 * UDP ports of our side of TWAMP probes, one for each probe: the last 4,096, which no kernel hands
 * out to sockets by itself unless told to.
 */
#define DP_PROBE_PORT_BASE 0xf000u

/* What a received packet says about a probe's packet. */
enum dp_probe_heard {
	DP_PROBE_HEARD_NOTHING = 0, /* it is about no probe */
	DP_PROBE_HEARD_ANSWER,
	DP_PROBE_HEARD_ERROR, /* an ICMP error that quotes the packet */
};

struct dp_probe_seen {
	uint8_t heard; /* enum dp_probe_heard */
	uint8_t kind;  /* enum spw_dp_probe_kind of the probe */
	uint16_t tag;  /* echo identifier, or UDP port on our side */
	uint16_t seq;  /* low 16 bits of the sequence number */
	uint16_t port; /* UDP port of the reflector's side, 0 for ICMP */
	uint64_t cookie;
	uint32_t why;		/* ERROR: enum spw_probe_why */
	uint32_t mtu;		/* ERROR, TOO_BIG: IP bytes that fit, 0 = not said */
	struct spw_addr source; /* of the probe's packet: ours */
	struct spw_addr target;
};

/*
 * Build one packet of a probe: exactly conf->size IP bytes, DF, checksums filled in.
 * @out     room for conf->size bytes, at most DP_PROBE_SIZE_MAX
 * @conf    checked by dp_probe_check()
 * @tag     echo identifier, or our UDP port
 * @cookie  ICMP: any; TWAMP: of dp_probe_timestamp(), it is the packet's timestamp
 */
void dp_probe_build(uint8_t *out, const struct spw_dp_probe *conf, uint16_t tag, uint32_t seq,
		    uint64_t cookie);
/*
 * A cookie that is a timestamp: the time in NTP's form (RFC 5905 6), its last 16 bits chance. They
 * are below 16 us, and the packet's error estimate says so (RFC 4656 4.1.2).
 * @wall_ns  nanoseconds since 1970
 */
uint64_t dp_probe_timestamp(uint64_t wall_ns, uint16_t chance);
/*
 * Read a packet received for one of our addresses. Everything is checked that can be without
 * knowing the probe: lengths, checksums, no fragment. The caller finds the probe by `tag` and
 * compares addresses, port and cookie.
 * @ip   an IP header; `len` bytes are there in one piece
 */
struct dp_probe_seen dp_probe_parse(const uint8_t *ip, uint32_t len);
/* Read a packet as dp_probe_build() made it; heard as an ERROR about it, `why` left out. */
struct dp_probe_seen dp_probe_parse_own(const uint8_t *ip, uint32_t len);

#endif
