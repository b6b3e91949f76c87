/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BFD control packets, read and written.
 *
 * Of RFC 5880 6.8.6 the rules stand here that need no session; those that do are in bfd.c. There is
 * no authentication, so a packet that carries some is refused. Around it: UDP to port 3784 from a
 * port of 49152 to 65535, TTL or hop limit 255 both ways (RFC 5881 4, 5), marked as internetwork
 * control. IPv6 needs the UDP checksum (RFC 8200 8.1); IPv4 senders may leave it out.
 *
 * Pure; nothing beyond `len` is read.
 */
#include "dataplane/bfd_packet.h"

#include <netinet/in.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/ip6_walk.h"
#include "dataplane/wire.h"

#define VERSION	    1
#define F_POLL	    0x20
#define F_FINAL	    0x10
#define F_CPI	    0x08
#define F_AUTH	    0x04
#define F_DEMAND    0x02
#define F_MULTI	    0x01
#define IP4_HDR	    20
#define UDP_HDR	    8
#define TOS_CONTROL 0xc0 /* class selector 6 */
#define DF	    0x4000

enum dp_bfd_bad
dp_bfd_parse(const uint8_t *p, uint32_t len, struct dp_bfd_packet *out)
{
	if (len < DP_BFD_LEN)
		return DP_BFD_BAD_LENGTH;
	uint8_t flags = p[1] & 0x3f, state = p[1] >> 6;
	uint32_t your_disc = dp_be32(p + 8);

	if (p[0] >> 5 != VERSION)
		return DP_BFD_BAD_VERSION;
	if (p[3] < (flags & F_AUTH ? DP_BFD_LEN + 2 : DP_BFD_LEN) || p[3] > len)
		return DP_BFD_BAD_LENGTH;
	if (p[2] == 0)
		return DP_BFD_BAD_MULT;
	if (flags & F_MULTI)
		return DP_BFD_BAD_MULTIPOINT;
	if (dp_be32(p + 4) == 0)
		return DP_BFD_BAD_MY_DISC;
	if (your_disc == 0 && state != SPW_BFD_DOWN && state != SPW_BFD_ADMIN_DOWN)
		return DP_BFD_BAD_YOUR_DISC;
	if (flags & F_AUTH)
		return DP_BFD_BAD_AUTH;
	*out = (struct dp_bfd_packet){.state = state,
				      .diag = p[0] & 0x1f,
				      .mult = p[2],
				      .poll = (flags & F_POLL) != 0,
				      .final = (flags & F_FINAL) != 0,
				      .demand = (flags & F_DEMAND) != 0,
				      .control_independent = (flags & F_CPI) != 0,
				      .my_disc = dp_be32(p + 4),
				      .your_disc = your_disc,
				      .min_tx_us = dp_be32(p + 12),
				      .min_rx_us = dp_be32(p + 16),
				      .min_echo_rx_us = dp_be32(p + 20)};
	return DP_BFD_GOOD;
}

void
dp_bfd_build(uint8_t *out, const struct dp_bfd_packet *p)
{
	out[0] = (uint8_t)(VERSION << 5 | (p->diag & 0x1f));
	out[1] = (uint8_t)(p->state << 6 | (p->poll ? F_POLL : 0) | (p->final ? F_FINAL : 0) |
			   (p->control_independent ? F_CPI : 0) | (p->demand ? F_DEMAND : 0));
	out[2] = p->mult;
	out[3] = DP_BFD_LEN;
	dp_put_be32(out + 4, p->my_disc);
	dp_put_be32(out + 8, p->your_disc);
	dp_put_be32(out + 12, p->min_tx_us);
	dp_put_be32(out + 16, p->min_rx_us);
	dp_put_be32(out + 20, p->min_echo_rx_us);
}

/* Sum over pseudo header (RFC 768, RFC 8200 8.1) and datagram. */
static uint32_t
udp_sum(const uint8_t *ip, bool ipv6, const uint8_t *udp, uint32_t len)
{
	uint32_t sum = dp_csum_add(len + IPPROTO_UDP, ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8);

	return dp_csum_add(sum, udp, len);
}

static struct spw_addr
addr_at(const uint8_t *p, bool ipv6)
{
	struct spw_addr a = {.family = ipv6 ? AF_INET6 : AF_INET};

	memcpy(a.bytes, p, ipv6 ? 16 : 4);
	return a;
}

/* Where the UDP header begins; 0 when there is none. */
static uint32_t
udp_at(const uint8_t *ip, uint32_t len, bool ipv6)
{
	struct dp_ip6_upper u;
	uint32_t at;

	if (ipv6) {
		if (!dp_ip6_walk(ip, len, &u) || u.fragment || u.protocol != IPPROTO_UDP)
			return 0;
		at = u.at;
	} else {
		at = (ip[0] & 15u) * 4;
		if (at < IP4_HDR || ip[9] != IPPROTO_UDP || (dp_be16(ip + 6) & 0x3fff) != 0)
			return 0;
	}
	return at + UDP_HDR <= len ? at : 0;
}

enum dp_bfd_bad
dp_bfd_unwrap(const uint8_t *ip, uint32_t len, struct dp_bfd_datagram *out)
{
	bool ipv6 = len > 0 && ip[0] >> 4 == 6;

	memset(out, 0, sizeof(*out));
	if (len < (ipv6 ? DP_IP6_HDR : IP4_HDR))
		return DP_BFD_BAD_IP;
	out->src = addr_at(ip + (ipv6 ? 8 : 12), ipv6);
	out->dst = addr_at(ip + (ipv6 ? 24 : 16), ipv6);
	uint32_t at = udp_at(ip, len, ipv6);

	if (at == 0 || dp_be16(ip + at + 2) != DP_BFD_PORT)
		return DP_BFD_BAD_IP;
	uint32_t udp_len = dp_be16(ip + at + 4);

	if (udp_len < UDP_HDR || udp_len > len - at)
		return DP_BFD_BAD_IP;
	if (dp_be16(ip + at + 6) == 0 ? ipv6
				      : dp_csum_finish(udp_sum(ip, ipv6, ip + at, udp_len)) != 0)
		return DP_BFD_BAD_IP;
	if (ip[ipv6 ? 7 : 8] != DP_BFD_TTL)
		return DP_BFD_BAD_TTL;
	return dp_bfd_parse(ip + at + UDP_HDR, udp_len - UDP_HDR, &out->packet);
}

static void
ip4_header(uint8_t *ip, const struct dp_bfd_datagram *d, uint16_t len)
{
	memset(ip, 0, IP4_HDR);
	ip[0] = 0x45;
	ip[1] = TOS_CONTROL;
	dp_put_be16(ip + 2, len);
	dp_put_be16(ip + 6, DF);
	ip[8] = DP_BFD_TTL;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, d->src.bytes, 4);
	memcpy(ip + 16, d->dst.bytes, 4);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, IP4_HDR)));
}

static void
ip6_header(uint8_t *ip, const struct dp_bfd_datagram *d, uint16_t payload)
{
	memset(ip, 0, DP_IP6_HDR);
	dp_put_be16(ip, 0x6000 | TOS_CONTROL << 4);
	dp_put_be16(ip + 4, payload);
	ip[6] = IPPROTO_UDP;
	ip[7] = DP_BFD_TTL;
	memcpy(ip + 8, d->src.bytes, 16);
	memcpy(ip + 24, d->dst.bytes, 16);
}

uint32_t
dp_bfd_wrap(uint8_t *out, const struct dp_bfd_datagram *d, uint16_t src_port)
{
	const uint16_t udp_len = UDP_HDR + DP_BFD_LEN;
	bool ipv6 = d->src.family == AF_INET6;
	uint8_t *udp = out + (ipv6 ? DP_IP6_HDR : IP4_HDR);

	if (ipv6)
		ip6_header(out, d, udp_len);
	else
		ip4_header(out, d, IP4_HDR + udp_len);
	dp_put_be16(udp, src_port);
	dp_put_be16(udp + 2, DP_BFD_PORT);
	dp_put_be16(udp + 4, udp_len);
	dp_put_be16(udp + 6, 0);
	dp_bfd_build(udp + UDP_HDR, &d->packet);
	uint16_t csum = dp_csum_finish(udp_sum(out, ipv6, udp, udp_len));

	dp_put_be16(udp + 6, csum != 0 ? csum : 0xffff); /* 0 means none (RFC 768) */
	return (uint32_t)(udp - out) + udp_len;
}
