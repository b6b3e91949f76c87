/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules by which a received IP packet is judged: is the header sound, may its addresses appear
 * on a wire, and, when it is for us, is it ESP, for the kernel, or nothing at all.
 *
 * Azure sends no fragments of ESP and none are reassembled here (RFC 4303 3.4.1 demands whole
 * packets), so fragments of ESP are refused; but a fragmented IKE message on port 4500 carries the
 * zero marker in its first fragment and is the kernel's to reassemble.
 *
 * Of an IPv6 packet for us the extension headers are walked to what they carry (RFC 8200 4.1), at
 * most EXT_MAX of them. Like source routes of IPv4, a routing header that wants us to send the
 * packet on is refused (RFC 5095 for type 0; there is no other that we serve). A fragment header
 * whose packet is whole counts as absent (RFC 6946). What is not for us keeps its extension headers
 * unread.
 *
 * Pure functions over bytes, called by workers; no state, no DPDK calls.
 */
#include "dataplane/classify.h"

#include "dataplane/checksum.h"
#include "dataplane/wire.h"

#define PROTO_UDP   17
#define PROTO_ESP   50
#define PROTO_ICMP6 58

#define HOPS_NO_ROUTER 255 /* no router has taken one (RFC 4861 3.1) */
#define DISCOVERY_LOW  133 /* ICMPv6 types of neighbour discovery (RFC 4861 4) */
#define DISCOVERY_HIGH 137

#define IPV6_LEN	40
#define IKE_HEADER	28
#define IKE_RESPONSE	0x20
#define EXT_MAX		8 /* extension headers looked at */
#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING	43
#define NEXT_FRAGMENT	44
#define NEXT_DEST_OPTS	60

#define FRAG_MORE   0x2000
#define FRAG_OFFSET 0x1fff

/* Options: lengths must add up, and no source routing (RFC 7126 4.3, 4.4). */
static bool
options_fine(const uint8_t *opt, unsigned int len)
{
	unsigned int at = 0;

	while (at < len) {
		uint8_t kind = opt[at];

		if (kind == 0)
			return true;
		if (kind == 1) {
			at++;
			continue;
		}
		if (kind == 131 || kind == 137)
			return false;
		if (at + 1 >= len || opt[at + 1] < 2 || at + opt[at + 1] > len)
			return false;
		at += opt[at + 1];
	}
	return true;
}

enum dp_drop
dp_ipv4_check(const uint8_t *ip, uint32_t len, bool csum_ok, uint16_t *tot_len)
{
	if (len < 20)
		return DP_DROP_RUNT;
	unsigned int hdr_len = (ip[0] & 15u) * 4;
	uint16_t total = dp_be16(ip + 2);

	if (ip[0] >> 4 != 4 || hdr_len < 20)
		return DP_DROP_IP_HEADER;
	if (hdr_len > len || total > len)
		return DP_DROP_RUNT;
	if (total < hdr_len)
		return DP_DROP_IP_HEADER;
	if (!csum_ok && dp_csum_finish(dp_csum_add(0, ip, hdr_len)) != 0)
		return DP_DROP_IP_HEADER;
	if (hdr_len > 20 && !options_fine(ip + 20, hdr_len - 20))
		return DP_DROP_IP_OPTIONS;
	*tot_len = total;
	return DP_DROP_COUNT;
}

bool
dp_ipv4_source_martian(uint32_t src)
{
	return dp_ipv4_martian(src);
}

bool
dp_ipv4_dest_martian(uint32_t dst)
{
	return dp_ipv4_martian(dst);
}

enum dp_drop
dp_ipv6_check(const uint8_t *ip, uint32_t len, uint32_t *tot_len)
{
	if (len < IPV6_LEN)
		return DP_DROP_RUNT;
	uint32_t payload = dp_be16(ip + 4);

	if (ip[0] >> 4 != 6 || (payload == 0 && ip[6] == NEXT_HOP_BY_HOP))
		return DP_DROP_IP_HEADER;
	if (IPV6_LEN + payload > len)
		return DP_DROP_RUNT;
	*tot_len = IPV6_LEN + payload;
	return DP_DROP_COUNT;
}

bool
dp_ipv6_martian(const uint8_t addr[16])
{
	uint64_t hi, lo;

	memcpy(&hi, addr, 8);
	memcpy(&lo, addr + 8, 8);
	lo = __builtin_bswap64(lo);
	if (addr[0] == 0xff)
		return true;
	return hi == 0 && (lo <= 1 || lo >> 32 == 0xffff);
}

/* UDP to port 4500: `udp` with `len` bytes of it in this packet. */
static enum dp_to_us
natt_to_us(const uint8_t *udp, unsigned int len, bool fragment)
{
	unsigned int udp_len = dp_be16(udp + 4);

	if (!fragment && (udp_len < 8 || udp_len > len))
		return DP_TO_US_SHORT;
	unsigned int payload = fragment ? len - 8 : udp_len - 8;

	if (!fragment && payload == 1 && udp[8] == 0xff)
		return DP_TO_US_KEEPALIVE;
	if (payload < 4)
		return DP_TO_US_SHORT;
	if (dp_be32(udp + 8) == 0)
		return fragment ? DP_TO_US_KERNEL_FRAG : DP_TO_US_KERNEL;
	return fragment ? DP_TO_US_ESP_FRAG : DP_TO_US_ESP_UDP;
}

enum dp_to_us
dp_ipv4_to_us(const uint8_t *ip, uint16_t tot_len)
{
	unsigned int hdr_len = (ip[0] & 15u) * 4, len = tot_len - hdr_len;
	uint16_t frag = dp_be16(ip + 6);
	bool fragment = frag & (FRAG_MORE | FRAG_OFFSET);

	if (ip[9] == PROTO_ESP)
		return fragment ? DP_TO_US_ESP_FRAG : DP_TO_US_ESP;
	if (ip[9] == PROTO_UDP && !(frag & FRAG_OFFSET) && len >= 8 &&
	    dp_be16(ip + hdr_len + 2) == DP_PORT_NATT)
		return natt_to_us(ip + hdr_len, len, fragment);
	return fragment ? DP_TO_US_KERNEL_FRAG : DP_TO_US_KERNEL;
}

/* A walk along extension headers; `next` is the type of what begins at `at`. */
struct ext_walk {
	uint32_t at;
	uint8_t next;
	bool fragment; /* part of a packet */
	bool later;    /* not its first part: what follows is no header */
};

/* Step over one extension header. False when it is broken or wants to be routed on. */
static bool
ext_step(const uint8_t *ip, uint32_t len, struct ext_walk *x)
{
	const uint8_t *ext = ip + x->at;
	uint32_t ext_len = 8;

	if (x->at + 8 > len)
		return false;
	if (x->next == NEXT_ROUTING && ext[3] != 0)
		return false;
	if (x->next == NEXT_FRAGMENT) {
		uint16_t where = dp_be16(ext + 2);

		x->fragment |= (where & 0xfff9) != 0;
		x->later |= (where & 0xfff8) != 0;
	} else {
		ext_len = ext[1] * 8u + 8;
	}
	x->next = ext[0];
	x->at += ext_len;
	return x->at <= len;
}

static bool
is_extension(uint8_t next)
{
	return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT ||
	       next == NEXT_DEST_OPTS;
}

enum dp_to_us
dp_ipv6_to_us(const uint8_t *ip, uint32_t tot_len, uint16_t *at)
{
	struct ext_walk x = {.at = IPV6_LEN, .next = ip[6]};

	for (unsigned int n = 0; is_extension(x.next) && !x.later; n++)
		if (n == EXT_MAX || !ext_step(ip, tot_len, &x))
			return DP_TO_US_BROKEN;
	*at = (uint16_t)x.at;
	if (x.next == PROTO_ESP)
		return x.fragment ? DP_TO_US_ESP_FRAG : DP_TO_US_ESP;
	if (x.next == PROTO_UDP && !x.later && tot_len - x.at >= 8 &&
	    dp_be16(ip + x.at + 2) == DP_PORT_NATT)
		return natt_to_us(ip + x.at, tot_len - x.at, x.fragment);
	return x.fragment ? DP_TO_US_KERNEL_FRAG : DP_TO_US_KERNEL;
}

bool
dp_ike_opens(const uint8_t *udp, uint32_t len)
{
	uint32_t at = 8;

	if (len < at)
		return false;
	if (dp_be16(udp + 2) == DP_PORT_NATT)
		at += 4; /* the marker */
	else if (dp_be16(udp + 2) != DP_PORT_IKE)
		return false;
	if (len < at + IKE_HEADER)
		return true;
	return dp_be32(udp + at + 8) == 0 && dp_be32(udp + at + 12) == 0 &&
	       !(udp[at + 19] & IKE_RESPONSE);
}

/* Neighbour discovery that no router has passed on: from a station on the link. */
static bool
is_discovery(const uint8_t *ip, uint32_t len)
{
	return ip[6] == PROTO_ICMP6 && ip[7] == HOPS_NO_ROUTER && len > IPV6_LEN &&
	       ip[IPV6_LEN] >= DISCOVERY_LOW && ip[IPV6_LEN] <= DISCOVERY_HIGH;
}

static bool
is_ike(const uint8_t *udp, uint32_t len)
{
	return len >= 8 && (dp_be16(udp + 2) == DP_PORT_IKE || dp_be16(udp + 2) == DP_PORT_NATT);
}

enum dp_up_kind
dp_up_kind(const uint8_t *ip, uint32_t len, uint32_t at)
{
	const bool ipv6 = ip[0] >> 4 == 6;

	if (ipv6 && is_discovery(ip, len))
		return DP_UP_LINK;
	if (ip[ipv6 ? 6 : 9] != PROTO_UDP || at > len || !is_ike(ip + at, len - at))
		return DP_UP_OTHER;
	return dp_ike_opens(ip + at, len - at) ? DP_UP_HELLO : DP_UP_IKE;
}

static bool
has_ports(uint8_t proto)
{
	return proto == 6 || proto == PROTO_UDP || proto == 132;
}

uint32_t
dp_ipv4_flow_hash(const uint8_t *ip, uint16_t len)
{
	unsigned int hdr_len = (ip[0] & 15u) * 4;
	uint64_t h = ((uint64_t)dp_be32(ip + 12) << 32 | dp_be32(ip + 16)) ^ ip[9];

	h *= UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 29;
	if (has_ports(ip[9]) && len >= hdr_len + 4 &&
	    !(dp_be16(ip + 6) & (FRAG_MORE | FRAG_OFFSET)))
		h ^= dp_be32(ip + hdr_len);
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 32);
}

uint32_t
dp_ipv6_flow_hash(const uint8_t *ip, uint16_t len)
{
	uint64_t a[4], h;

	memcpy(a, ip + 8, sizeof(a));
	h = (dp_be32(ip) & 0xfffff) ^ (uint64_t)ip[6] << 20;
	for (unsigned int i = 0; i < 4; i++) {
		h = (h ^ a[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	if (has_ports(ip[6]) && len >= IPV6_LEN + 4)
		h ^= dp_be32(ip + IPV6_LEN);
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 32);
}
