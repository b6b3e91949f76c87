/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP MSS clamp: the segments of connections that may use a tunnel shall fit it from the start.
 *
 * Azure drops what would have to be fragmented and many networks drop the ICMP that would say so,
 * so the MSS option of SYN and SYN/ACK is lowered in both directions. Only lowered, never added,
 * and only in an option list that is well-formed from end to end; anything odd stays as it is.
 * The checksum is mended incrementally (RFC 1624). Over IPv6 the TCP header is looked for behind
 * the extension headers; a fragment of either family stays as it is. Pure; worker threads.
 */
#include <netinet/in.h>

#include "dataplane/checksum.h"
#include "dataplane/fit.h"
#include "dataplane/ip6_walk.h"
#include "dataplane/wire.h"

#define TCP_MIN	    20
#define TCP_SYN	    0x02
#define TCP_CSUM    16 /* offset of the checksum */
#define OPT_END	    0
#define OPT_NOP	    1
#define OPT_MSS	    2
#define OPT_MSS_LEN 4

/* Length of the TCP header at `at` of a packet, when it is a SYN's and all there; else 0. */
static uint32_t
syn_length(const uint8_t *ip, uint32_t len, uint32_t at)
{
	const uint8_t *tcp = ip + at;
	uint32_t tcp_len;

	if (len < at + TCP_MIN || (tcp[13] & TCP_SYN) == 0)
		return 0;
	tcp_len = (tcp[12] >> 4) * 4u;
	return tcp_len >= TCP_MIN && len >= at + tcp_len ? tcp_len : 0;
}

/* Length of the option at `at`; 0 at the end of the list, or when the list is broken (*bad). */
static uint32_t
option_length(const uint8_t *tcp, uint32_t at, uint32_t tcp_len, bool *bad)
{
	uint32_t len;

	if (at >= tcp_len || tcp[at] == OPT_END)
		return 0;
	if (tcp[at] == OPT_NOP)
		return 1;
	len = at + 1 < tcp_len ? tcp[at + 1] : 0;
	if (len < 2 || at + len > tcp_len || (tcp[at] == OPT_MSS && len != OPT_MSS_LEN)) {
		*bad = true;
		return 0;
	}
	return len;
}

static bool
well_formed(const uint8_t *tcp, uint32_t tcp_len)
{
	bool bad = false;
	uint32_t at = TCP_MIN, n;

	while ((n = option_length(tcp, at, tcp_len, &bad)) != 0)
		at += n;
	return !bad;
}

/* Write a smaller value. One at an odd offset lies across two words: both sides swapped. */
static void
lower(uint8_t *tcp, uint32_t at, uint16_t from, uint16_t to)
{
	uint16_t csum = dp_be16(tcp + TCP_CSUM);
	bool odd = (at & 1) != 0;

	csum = dp_csum_update(csum, odd ? __builtin_bswap16(from) : from,
			      odd ? __builtin_bswap16(to) : to);
	dp_put_be16(tcp + TCP_CSUM, csum);
	dp_put_be16(tcp + at, to);
}

static bool
clamp(uint8_t *tcp, uint32_t tcp_len, uint32_t mss)
{
	bool bad = false, changed = false;
	uint32_t n;

	if (mss > UINT16_MAX || !well_formed(tcp, tcp_len))
		return false;
	for (uint32_t at = TCP_MIN; (n = option_length(tcp, at, tcp_len, &bad)) != 0; at += n) {
		uint16_t have = tcp[at] == OPT_MSS ? dp_be16(tcp + at + 2) : 0;

		if (have <= mss)
			continue;
		lower(tcp, at + 2, have, (uint16_t)mss);
		changed = true;
	}
	return changed;
}

bool
dp_mss_clamp(uint8_t *ip, uint32_t len, uint32_t mss)
{
	uint32_t header = (ip[0] & 15u) * 4, tcp_len;

	if (ip[9] != IPPROTO_TCP || (dp_be16(ip + 6) & 0x3fff) != 0)
		return false;
	tcp_len = syn_length(ip, len, header);
	return tcp_len != 0 && clamp(ip + header, tcp_len, mss);
}

bool
dp_mss_clamp6(uint8_t *ip, uint32_t len, uint32_t mss)
{
	struct dp_ip6_upper u;
	uint32_t tcp_len;

	if (len < DP_IP6_HDR || !dp_ip6_walk(ip, len, &u) || u.fragment ||
	    u.protocol != IPPROTO_TCP)
		return false;
	tcp_len = syn_length(ip, len, u.at);
	return tcp_len != 0 && clamp(ip + u.at, tcp_len, mss);
}
