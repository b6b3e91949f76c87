/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what a received IP packet is. Pure rules over bytes. */
#ifndef SPW_DATAPLANE_CLASSIFY_H
#define SPW_DATAPLANE_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "dataplane/wire.h"

#define DP_PORT_IKE  500
#define DP_PORT_NATT 4500 /* RFC 3948 */

/*
 * Check an IPv4 header (RFC 1812 5.2.2, 5.3.7).
 * @ip       first byte of the header; `len` bytes are there, possibly more than the packet's own
 * @csum_ok  the port has verified the header checksum
 * @tot_len  receives the packet's total length when all is well
 * Returns DP_DROP_COUNT when all is well, else the reason to drop it.
 */
enum dp_drop dp_ipv4_check(const uint8_t *ip, uint32_t len, bool csum_ok, uint16_t *tot_len);

/*
 * The common case of dp_ipv4_check(), all well and no options: the packet's total length. 0 says
 * nothing.
 */
static inline uint32_t
dp_ipv4_plain(const uint8_t *ip, uint32_t len, bool csum_ok)
{
	if (len < 20 || ip[0] != 0x45)
		return 0;
	uint32_t tot_len = dp_be16(ip + 2);

	return tot_len >= 20 && tot_len <= len && (csum_ok || dp_ipv4_csum_good(ip, 20)) ? tot_len
											 : 0;
}

/* Is an address with this first octet none that a host may have: 0/8, 127/8, 224/4, 240/4? */
static inline bool
dp_ipv4_martian_top(uint8_t top)
{
	return (uint8_t)(top - 1) >= 223 || top == 127;
}

/* The same of an address in host order. */
static inline bool
dp_ipv4_martian(uint32_t addr)
{
	return dp_ipv4_martian_top((uint8_t)(addr >> 24));
}
/* A source that no host may use on a wire (host order). */
bool dp_ipv4_source_martian(uint32_t src);
/* A destination that is never forwarded (host order). */
bool dp_ipv4_dest_martian(uint32_t dst);

/*
 * Check an IPv6 header (RFC 8200 3). A length of zero means a packet without payload; with
 * hop-by-hop options behind the header it means a jumbogram (RFC 2675), which nothing here can be.
 * @ip       first byte of the header; `len` bytes are there, possibly more than the packet's own
 * @tot_len  receives header and payload length when all is well
 * Returns DP_DROP_COUNT when all is well, else the reason to drop it.
 */
enum dp_drop dp_ipv6_check(const uint8_t *ip, uint32_t len, uint32_t *tot_len);
/* An address that no packet may come from: unspecified, loopback, multicast, IPv4-mapped. */
bool dp_ipv6_martian(const uint8_t addr[16]);
/* fe80::/10: never leaves its link (RFC 4291 2.5.6). */
static inline bool
dp_ipv6_link_local(const uint8_t addr[16])
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* What to do with a packet to one of our own addresses. */
enum dp_to_us {
	DP_TO_US_KERNEL,      /* up to the twin */
	DP_TO_US_KERNEL_FRAG, /* the same, a fragment */
	DP_TO_US_ESP,	      /* native ESP: open */
	DP_TO_US_ESP_UDP,     /* ESP in UDP: open */
	DP_TO_US_KEEPALIVE,   /* NAT keepalive, ends here (RFC 3948 4) */
	DP_TO_US_SHORT,	      /* UDP 4500, too short for anything */
	DP_TO_US_ESP_FRAG,    /* fragment of an ESP packet */
	DP_TO_US_BROKEN,      /* IPv6 extension headers that do not add up, or route onwards */
};
/*
 * @ip   header that passed dp_ipv4_check(); `tot_len` as it gave
 */
enum dp_to_us dp_ipv4_to_us(const uint8_t *ip, uint16_t tot_len);
/*
 * Of a header without options: is it a whole packet of this protocol, no fragment? Asked in one
 * word, in which the TTL counts for nothing.
 */
static inline bool
dp_ipv4_is_whole(const uint8_t *ip, uint8_t proto)
{
	uint32_t word;

	memcpy(&word, ip + 6, sizeof(word));
	return (word & 0xff00ff3f) == (uint32_t)proto << 24; /* as it lies: little-endian */
}
/* The commonest case of dp_ipv4_to_us(): no options, a whole packet, ESP. False says nothing. */
static inline bool
dp_ipv4_is_esp(const uint8_t *ip)
{
	return ip[0] == 0x45 && dp_ipv4_is_whole(ip, 50);
}
/*
 * Of a header without options: ESP in UDP, in a datagram that fills the packet, which is `tot_len`
 * bytes long.
 */
static inline bool
dp_ipv4_is_esp_udp(const uint8_t *ip, uint32_t tot_len)
{
	return dp_ipv4_is_whole(ip, 17) && tot_len >= 20 + 8 + 4 &&
	       dp_be16(ip + 22) == DP_PORT_NATT && dp_be16(ip + 24) == tot_len - 20 &&
	       dp_be32(ip + 28) != 0;
}
/*
 * @ip   header that passed dp_ipv6_check(); `tot_len` as it gave
 * @at   receives where the ESP or UDP header begins, with DP_TO_US_ESP and DP_TO_US_ESP_UDP
 */
enum dp_to_us dp_ipv6_to_us(const uint8_t *ip, uint32_t tot_len, uint16_t *at);

/*
 * Is a datagram to us one by which a conversation of IKE begins, or none of IKE's though it goes
 * there: to port 500, or 4500 behind the zero marker, and neither an answer nor with a responder's
 * SPI (RFC 7296 3.1)?
 * @udp  its UDP header; `len` bytes are there
 */
bool dp_ike_opens(const uint8_t *udp, uint32_t len);

/* What goes up to the kernel, by who can send it. What comes from the Internet has a rate by it. */
enum dp_up_kind {
	DP_UP_LINK,	/* a station on the link: ARP, neighbour discovery, frames to groups */
	DP_UP_HELLO,	/* anybody: dp_ike_opens() */
	DP_UP_IKE,	/* anybody: to the ports of IKE and none of these */
	DP_UP_PROBE,	/* anybody: what the monitor wants */
	DP_UP_FRAGMENT, /* anybody; limited wherever it comes from */
	DP_UP_OTHER,	/* anybody */
	DP_UP_KINDS,
};
/*
 * Kind of a whole packet to one of our addresses.
 * @ip  checked header, by its version; `len` bytes of packet are there
 * @at  where the upper layer begins
 */
enum dp_up_kind dp_up_kind(const uint8_t *ip, uint32_t len, uint32_t at);

/*
 * Hash of the flow: addresses, protocol, and ports of unfragmented TCP, UDP and SCTP. All
 * fragments of a datagram give the same value.
 */
uint32_t dp_ipv4_flow_hash(const uint8_t *ip, uint16_t len);
/* The same; of IPv6 the flow label, too (RFC 6437), and ports only right behind the header. */
uint32_t dp_ipv6_flow_hash(const uint8_t *ip, uint16_t len);

#endif
