/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules by which a received IPv4 packet is judged: is the header sound, may its addresses appear
 * on a wire, and, when it is for us, is it ESP, for the kernel, or nothing at all.
 *
 * Azure sends no fragments of ESP and none are reassembled here (RFC 4303 3.4.1 demands whole
 * packets), so fragments of ESP are refused; but a fragmented IKE message on port 4500 carries the
 * zero marker in its first fragment and is the kernel's to reassemble.
 *
 * Pure functions over bytes, called by workers; no state, no DPDK calls.
 */
#include "dataplane/classify.h"

#include "dataplane/checksum.h"
#include "dataplane/wire.h"

#define PROTO_UDP 17
#define PROTO_ESP 50
#define PORT_NATT 4500

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

static bool
outside_unicast(uint32_t addr)
{
	uint32_t top = addr >> 24;

	return top == 0 || top == 127 || top >= 224;
}

bool
dp_ipv4_source_martian(uint32_t src)
{
	return outside_unicast(src);
}

bool
dp_ipv4_dest_martian(uint32_t dst)
{
	return outside_unicast(dst);
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
	    dp_be16(ip + hdr_len + 2) == PORT_NATT)
		return natt_to_us(ip + hdr_len, len, fragment);
	return fragment ? DP_TO_US_KERNEL_FRAG : DP_TO_US_KERNEL;
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
