/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of forwarding probes: ICMP echo (RFC 792, RFC 4443 4.1) and TWAMP light without
 * authentication (RFC 5357 appendix I, packets of 4.1.2 and 4.2.1), over IPv4 and IPv6.
 *
 * Each packet carries a cookie of 64 bits that its answer must show, so that nobody who has not
 * seen the packet can answer it: the first bytes of an echo's data, and the timestamp of a
 * TWAMP packet, which a reflector copies unread. Such timestamps are true but for their lowest 16
 * bits. An ICMP error counts only when it quotes enough to show the cookie (RFC 1812 4.3.2.3 and
 * RFC 4443 2.4 c ask routers for that); with less the packet is simply not answered.
 *
 * Padding is zero in TWAMP packets, where newer reflectors expect fields that must be zero or
 * extensions (RFC 8762, RFC 8972). A TWAMP packet leaves with TTL 255 (RFC 4656 4.1.2). UDP over
 * IPv6 without a checksum is refused (RFC 8200 8.1). Answers behind IPv6 extension headers are
 * taken, fragments are not. No packet is changed and nothing beyond `len` is read.
 */
#include "dataplane/probe_packet.h"

#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/ip6_walk.h"
#include "dataplane/wire.h"

#define IP4_HDR	      20
#define L4_HDR	      8 /* of UDP and of ICMP echo */
#define SENDER_HDR    14
#define ANSWER_MIN    41 /* sender's TTL is the last field */
#define ECHO_TTL      64
#define TWAMP_TTL     255
#define ERROR_15US    0x1001 /* scale 16, multiplier 1: 2^-16 s */
#define NTP_OF_1970   UINT64_C(2208988800)
#define ECHO_REQUEST  8
#define ECHO6_REQUEST 128

uint64_t
dp_probe_timestamp(uint64_t wall_ns, uint16_t chance)
{
	uint64_t seconds = wall_ns / SPW_NS_PER_S + NTP_OF_1970;
	uint64_t fraction = ((wall_ns % SPW_NS_PER_S) << 32) / SPW_NS_PER_S;

	return seconds << 32 | (fraction & 0xffff0000u) | chance;
}

static uint64_t
get64(const uint8_t *p)
{
	return (uint64_t)dp_be32(p) << 32 | dp_be32(p + 4);
}

static void
put64(uint8_t *p, uint64_t v)
{
	dp_put_be32(p, (uint32_t)(v >> 32));
	dp_put_be32(p + 4, (uint32_t)v);
}

static bool
is_v6(const struct spw_dp_probe *conf)
{
	return conf->target.family == AF_INET6;
}

static uint8_t
protocol_of(uint32_t kind, bool v6)
{
	if (kind == SPW_PROBE_TWAMP)
		return IPPROTO_UDP;
	return v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* Sum of the pseudo header of RFC 8200 8.1 or RFC 768. @ip  its header */
static uint32_t
pseudo_sum(const uint8_t *ip, uint8_t protocol, uint32_t upper_len)
{
	uint32_t sum = protocol + (upper_len >> 16) + (upper_len & 0xffff);

	return ip[0] >> 4 == 6 ? dp_csum_add(sum, ip + 8, 32) : dp_csum_add(sum, ip + 12, 8);
}

static void
write_ip4(uint8_t *ip, const struct spw_dp_probe *conf, uint8_t ttl)
{
	ip[0] = 0x45;
	ip[1] = (uint8_t)(conf->dscp << 2);
	dp_put_be16(ip + 2, conf->size);
	dp_put_be16(ip + 6, 0x4000); /* DF; the identification of such is free (RFC 6864 4.1) */
	ip[8] = ttl;
	ip[9] = protocol_of(conf->kind, false);
	memcpy(ip + 12, conf->source.bytes, 4);
	memcpy(ip + 16, conf->target.bytes, 4);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, IP4_HDR)));
}

static void
write_ip6(uint8_t *ip, const struct spw_dp_probe *conf, uint8_t ttl)
{
	dp_put_be16(ip, (uint16_t)(0x6000 | conf->dscp << 6));
	dp_put_be16(ip + 4, (uint16_t)(conf->size - DP_IP6_HDR));
	ip[6] = protocol_of(conf->kind, true);
	ip[7] = ttl;
	memcpy(ip + 8, conf->source.bytes, 16);
	memcpy(ip + 24, conf->target.bytes, 16);
}

static void
write_echo(uint8_t *l4, uint16_t len, bool v6, uint16_t tag, uint32_t seq, uint64_t cookie)
{
	l4[0] = v6 ? ECHO6_REQUEST : ECHO_REQUEST;
	dp_put_be16(l4 + 4, tag);
	dp_put_be16(l4 + 6, (uint16_t)seq);
	put64(l4 + L4_HDR, cookie);
	for (uint16_t i = L4_HDR + 8; i < len; i++)
		l4[i] = (uint8_t)i;
}

static void
write_twamp(uint8_t *l4, uint16_t len, uint16_t tag, uint16_t port, uint32_t seq, uint64_t cookie)
{
	uint8_t *test = l4 + L4_HDR;

	dp_put_be16(l4, tag);
	dp_put_be16(l4 + 2, port);
	dp_put_be16(l4 + 4, len);
	dp_put_be32(test, seq);
	put64(test + 4, cookie);
	dp_put_be16(test + 12, ERROR_15US);
}

void
dp_probe_build(uint8_t *out, const struct spw_dp_probe *conf, uint16_t tag, uint32_t seq,
	       uint64_t cookie)
{
	bool v6 = is_v6(conf), twamp = conf->kind == SPW_PROBE_TWAMP;
	uint16_t hdr = v6 ? DP_IP6_HDR : IP4_HDR, len = (uint16_t)(conf->size - hdr);
	uint8_t *l4 = out + hdr, ttl = twamp ? TWAMP_TTL : ECHO_TTL;
	uint32_t sum = 0;

	memset(out, 0, conf->size);
	if (v6)
		write_ip6(out, conf, ttl);
	else
		write_ip4(out, conf, ttl);
	if (twamp)
		write_twamp(l4, len, tag, conf->port, seq, cookie);
	else
		write_echo(l4, len, v6, tag, seq, cookie);
	if (v6 || twamp)
		sum = pseudo_sum(out, protocol_of(conf->kind, v6), len);
	uint16_t csum = dp_csum_finish(dp_csum_add(sum, l4, len));

	/* 0 would mean that there is no checksum (RFC 768). */
	dp_put_be16(l4 + (twamp ? 6 : 2), twamp && csum == 0 ? 0xffff : csum);
}

/* A packet as far as it is there. */
struct view {
	const uint8_t *ip;
	const uint8_t *l4;
	uint32_t l4_len; /* bytes of the upper layer that are there */
	uint8_t protocol;
	bool v6;
};

static bool
view_ip4(struct view *v, const uint8_t *ip, uint32_t len, bool quoted)
{
	uint32_t hdr = (ip[0] & 15u) * 4u, total = dp_be16(ip + 2);

	if (len < IP4_HDR || hdr < IP4_HDR || hdr > len || total < hdr)
		return false;
	if ((!quoted && total > len) || (dp_be16(ip + 6) & 0x3fff))
		return false;
	total = total < len ? total : len;
	*v = (struct view){.ip = ip, .l4 = ip + hdr, .l4_len = total - hdr, .protocol = ip[9]};
	return true;
}

static bool
view_ip6(struct view *v, const uint8_t *ip, uint32_t len, bool quoted)
{
	struct dp_ip6_upper u;
	uint32_t total;

	if (len < DP_IP6_HDR)
		return false;
	total = DP_IP6_HDR + dp_be16(ip + 4);
	if (!quoted && total > len)
		return false;
	total = total < len ? total : len;
	if (!dp_ip6_walk(ip, total, &u) || u.fragment || u.at > total)
		return false;
	*v = (struct view){.ip = ip,
			   .l4 = ip + u.at,
			   .l4_len = total - u.at,
			   .protocol = u.protocol,
			   .v6 = true};
	return true;
}

/* @quoted  the packet may be cut off, as in an ICMP error */
static bool
view_make(struct view *v, const uint8_t *ip, uint32_t len, bool quoted)
{
	if (len < IP4_HDR)
		return false;
	if (ip[0] >> 4 == 4)
		return view_ip4(v, ip, len, quoted);
	return ip[0] >> 4 == 6 && view_ip6(v, ip, len, quoted);
}

static struct spw_addr
addr_at(const struct view *v, bool source)
{
	struct spw_addr a = {.family = v->v6 ? AF_INET6 : AF_INET};

	if (v->v6)
		memcpy(a.bytes, v->ip + (source ? 8 : 24), 16);
	else
		memcpy(a.bytes, v->ip + (source ? 12 : 16), 4);
	return a;
}

static bool
csum_good(const struct view *v)
{
	uint32_t sum = v->protocol == IPPROTO_ICMP ? 0 : pseudo_sum(v->ip, v->protocol, v->l4_len);

	return dp_csum_finish(dp_csum_add(sum, v->l4, v->l4_len)) == 0;
}

static bool
is_icmp(const struct view *v)
{
	return v->protocol == (v->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static bool
read_echo_reply(const struct view *v, struct dp_probe_seen *out)
{
	if (v->l4_len < L4_HDR + 8 || v->l4[0] != (v->v6 ? 129 : 0) || v->l4[1] != 0)
		return false;
	out->kind = SPW_PROBE_ICMP;
	out->tag = dp_be16(v->l4 + 4);
	out->seq = dp_be16(v->l4 + 6);
	out->cookie = get64(v->l4 + L4_HDR);
	return csum_good(v);
}

/* The reflector's packet: its fields from 24 on are the sender's (RFC 5357 4.2.1). */
static bool
read_reflected(const struct view *v, struct dp_probe_seen *out)
{
	struct view udp = *v;

	if (v->l4_len < L4_HDR + ANSWER_MIN)
		return false;
	udp.l4_len = dp_be16(v->l4 + 4);
	if (udp.l4_len < L4_HDR + ANSWER_MIN || udp.l4_len > v->l4_len)
		return false;
	out->kind = SPW_PROBE_TWAMP;
	out->port = dp_be16(v->l4);
	out->tag = dp_be16(v->l4 + 2);
	out->seq = (uint16_t)dp_be32(v->l4 + L4_HDR + 24);
	out->cookie = get64(v->l4 + L4_HDR + 28);
	return dp_be16(v->l4 + 6) == 0 ? !v->v6 : csum_good(&udp);
}

static bool
read_answer(const struct view *v, struct dp_probe_seen *out)
{
	bool good = is_icmp(v) ? read_echo_reply(v, out)
			       : v->protocol == IPPROTO_UDP && read_reflected(v, out);

	out->heard = DP_PROBE_HEARD_ANSWER;
	out->source = addr_at(v, false);
	out->target = addr_at(v, true);
	return good;
}

/* What an ICMP error means for the packet that it quotes; WHY_NONE: it is no error, or no end. */
static uint32_t
why_of4(const uint8_t *icmp, uint32_t *mtu)
{
	switch (icmp[0]) {
	case 3:
		if (icmp[1] != 4)
			return SPW_PROBE_WHY_UNREACHABLE;
		*mtu = dp_be16(icmp + 6); /* RFC 1191 4 */
		return SPW_PROBE_WHY_TOO_BIG;
	case 11: return SPW_PROBE_WHY_EXPIRED;
	case 12: return SPW_PROBE_WHY_UNREACHABLE;
	default: return SPW_PROBE_WHY_NONE;
	}
}

static uint32_t
why_of6(const uint8_t *icmp, uint32_t *mtu)
{
	switch (icmp[0]) {
	case 2: *mtu = dp_be32(icmp + 4); return SPW_PROBE_WHY_TOO_BIG;
	case 3: return SPW_PROBE_WHY_EXPIRED;
	case 1:
	case 4: return SPW_PROBE_WHY_UNREACHABLE;
	default: return SPW_PROBE_WHY_NONE;
	}
}

/* The quoted packet, as we sent it; only its beginning need be there. */
static bool
read_quoted(const struct view *v, struct dp_probe_seen *out)
{
	out->source = addr_at(v, true);
	out->target = addr_at(v, false);
	if (is_icmp(v)) {
		if (v->l4_len < L4_HDR + 8 || v->l4[0] != (v->v6 ? ECHO6_REQUEST : ECHO_REQUEST))
			return false;
		out->kind = SPW_PROBE_ICMP;
		out->tag = dp_be16(v->l4 + 4);
		out->seq = dp_be16(v->l4 + 6);
		out->cookie = get64(v->l4 + L4_HDR);
		return true;
	}
	if (v->protocol != IPPROTO_UDP || v->l4_len < L4_HDR + 12)
		return false;
	out->kind = SPW_PROBE_TWAMP;
	out->tag = dp_be16(v->l4);
	out->port = dp_be16(v->l4 + 2);
	out->seq = (uint16_t)dp_be32(v->l4 + L4_HDR);
	out->cookie = get64(v->l4 + L4_HDR + 4);
	return true;
}

static bool
read_error(const struct view *v, struct dp_probe_seen *out)
{
	struct view quoted;

	if (!is_icmp(v) || v->l4_len < L4_HDR)
		return false;
	out->heard = DP_PROBE_HEARD_ERROR;
	out->why = v->v6 ? why_of6(v->l4, &out->mtu) : why_of4(v->l4, &out->mtu);
	if (out->why == SPW_PROBE_WHY_NONE)
		return false;
	if (!view_make(&quoted, v->l4 + L4_HDR, v->l4_len - L4_HDR, true) || quoted.v6 != v->v6)
		return false;
	return read_quoted(&quoted, out) && csum_good(v);
}

struct dp_probe_seen
dp_probe_parse(const uint8_t *ip, uint32_t len)
{
	struct dp_probe_seen out = {0};
	struct view v;

	if (!view_make(&v, ip, len, false))
		return (struct dp_probe_seen){0};
	if (read_answer(&v, &out))
		return out;
	out = (struct dp_probe_seen){0};
	return read_error(&v, &out) ? out : (struct dp_probe_seen){0};
}

struct dp_probe_seen
dp_probe_parse_own(const uint8_t *ip, uint32_t len)
{
	struct dp_probe_seen out = {.heard = DP_PROBE_HEARD_ERROR};
	struct view v;

	if (view_make(&v, ip, len, true) && read_quoted(&v, &out))
		return out;
	return (struct dp_probe_seen){0};
}
