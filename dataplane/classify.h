/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what a received IPv4 packet is. Pure rules over bytes. */
#ifndef SPW_DATAPLANE_CLASSIFY_H
#define SPW_DATAPLANE_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet.h"

/*
 * Check an IPv4 header (RFC 1812 5.2.2, 5.3.7).
 * @ip       first byte of the header; `len` bytes are there, possibly more than the packet's own
 * @csum_ok  the port has verified the header checksum
 * @tot_len  receives the packet's total length when all is well
 * Returns DP_DROP_COUNT when all is well, else the reason to drop it.
 */
enum dp_drop dp_ipv4_check(const uint8_t *ip, uint32_t len, bool csum_ok, uint16_t *tot_len);
/* A source that no host may use on a wire: 0/8, 127/8, 224/4, 240/4 (host order). */
bool dp_ipv4_source_martian(uint32_t src);
/* A destination that is never forwarded: 0/8, 127/8, 224/4, 240/4 (host order). */
bool dp_ipv4_dest_martian(uint32_t dst);

/* What to do with an IPv4 packet to one of our own addresses. */
enum dp_to_us {
	DP_TO_US_KERNEL,      /* up to the twin */
	DP_TO_US_KERNEL_FRAG, /* the same, a fragment */
	DP_TO_US_ESP,	      /* native ESP: open */
	DP_TO_US_ESP_UDP,     /* ESP in UDP: open */
	DP_TO_US_KEEPALIVE,   /* NAT keepalive, ends here (RFC 3948 4) */
	DP_TO_US_SHORT,	      /* UDP 4500, too short for anything */
	DP_TO_US_ESP_FRAG,    /* fragment of an ESP packet */
};
/*
 * @ip   header that passed dp_ipv4_check(); `tot_len` as it gave
 */
enum dp_to_us dp_ipv4_to_us(const uint8_t *ip, uint16_t tot_len);

/*
 * Hash of the flow: addresses, protocol, and ports of unfragmented TCP, UDP and SCTP. All
 * fragments of a datagram give the same value.
 */
uint32_t dp_ipv4_flow_hash(const uint8_t *ip, uint16_t len);

#endif
