/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors made by the workers: time exceeded and too big, for IPv4 (RFC 792, RFC 1191, RFC 1812
 * 4.3) and IPv6 (RFC 4443 3.2, 3.3).
 *
 * An error quotes the packet it is about, as much as fits into 576 or 1280 bytes. None is sent
 * about another error, a later fragment (IPv4), or anything whose source is no single host. Its
 * source is the address of the interface the packet came in by, or some address of ours when that
 * has none. Each worker has its own rate for each kind, both families together (RFC 1812 4.3.2.8,
 * RFC 4443 2.4 f), so a flood cannot be turned into another.
 *
 * An error about a packet that the kernel sent through a twin goes up by that twin: no route leads
 * from here to ourselves. Its source is then the packet's destination, as if the far host had
 * answered, because the kernel refuses packets that come in with one of its own addresses.
 *
 * Building and judging are pure; dp_icmp_error() runs on workers.
 */
#include "dataplane/icmp.h"

#include <netinet/in.h>

#include "dataplane/checksum.h"
#include "dataplane/classify.h"
#include "dataplane/ip6_walk.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define IP_HDR	  20
#define ICMP_HDR  8
#define ICMP_TTL  64
#define ICMP_TOS  0xc0 /* internetwork control (RFC 1812 4.3.2.5) */
#define QUOTE_MAX (DP_ICMP6_MAX - DP_IP6_HDR - ICMP_HDR)

#define ICMP_UNREACHABLE    3
#define ICMP_TIME_EXCEEDED  11
#define CODE_FRAG_NEEDED    4
#define ICMP6_TOO_BIG	    2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_INFORMATION   128 /* types from here on are no errors (RFC 4443 2.1) */
#define ICMP6_REDIRECT	    137

/* Errors are the types below 13 that are no queries or replies. */
static bool
icmp_is_error(uint8_t type)
{
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

bool
dp_icmp_may_answer(const uint8_t *ip, uint16_t len)
{
	unsigned int hdr_len = (ip[0] & 15u) * 4;

	if (dp_be16(ip + 6) & 0x1fff)
		return false;
	if (dp_ipv4_source_martian(dp_be32(ip + 12)) || dp_ipv4_dest_martian(dp_be32(ip + 16)))
		return false;
	return ip[9] != IPPROTO_ICMP || (len > hdr_len && !icmp_is_error(ip[hdr_len]));
}

/* A source that names one node: not unspecified, loopback, IPv4 mapped, or a group. */
static bool
single_host(const uint8_t *addr)
{
	static const uint8_t zeroes[10];

	return addr[0] != 0xff && memcmp(addr, zeroes, sizeof(zeroes)) != 0;
}

bool
dp_icmp6_may_answer(enum dp_icmp_error_kind kind, const uint8_t *ip, uint16_t len)
{
	struct dp_ip6_upper u;

	if (!single_host(ip + 8) || (ip[24] == 0xff && kind != DP_ICMP_TOO_BIG))
		return false;
	if (!dp_ip6_walk(ip, len, &u))
		return false;
	if (u.later || u.protocol != IPPROTO_ICMPV6)
		return true;
	return len > u.at && ip[u.at] >= ICMP6_INFORMATION && ip[u.at] != ICMP6_REDIRECT;
}

uint16_t
dp_icmp_write(uint8_t *out, enum dp_icmp_error_kind kind, uint16_t mtu, uint32_t src,
	      const uint8_t *about, uint16_t about_len)
{
	uint16_t quote = RTE_MIN(about_len, (uint16_t)(DP_ICMP_MAX - IP_HDR - ICMP_HDR));
	uint16_t len = IP_HDR + ICMP_HDR + quote;
	uint8_t *icmp = out + IP_HDR;

	memset(out, 0, IP_HDR + ICMP_HDR);
	out[0] = 0x45;
	out[1] = ICMP_TOS;
	dp_put_be16(out + 2, len);
	out[8] = ICMP_TTL;
	out[9] = IPPROTO_ICMP;
	dp_put_be32(out + 12, src);
	memcpy(out + 16, about + 12, 4);
	dp_put_be16(out + 10, dp_csum_finish(dp_csum_add(0, out, IP_HDR)));
	icmp[0] = kind == DP_ICMP_TOO_BIG ? ICMP_UNREACHABLE : ICMP_TIME_EXCEEDED;
	icmp[1] = kind == DP_ICMP_TOO_BIG ? CODE_FRAG_NEEDED : 0;
	dp_put_be16(icmp + 6, kind == DP_ICMP_TOO_BIG ? mtu : 0);
	memcpy(icmp + ICMP_HDR, about, quote);
	dp_put_be16(icmp + 2, dp_csum_finish(dp_csum_add(0, icmp, (uint32_t)ICMP_HDR + quote)));
	return len;
}

uint16_t
dp_icmp6_write(uint8_t *out, enum dp_icmp_error_kind kind, uint16_t mtu, const uint8_t src[16],
	       const uint8_t *about, uint16_t about_len)
{
	uint16_t quote = RTE_MIN(about_len, (uint16_t)QUOTE_MAX);
	uint16_t icmp_len = ICMP_HDR + quote;
	uint8_t *icmp = out + DP_IP6_HDR;
	uint32_t sum = (uint32_t)icmp_len + IPPROTO_ICMPV6; /* pseudo header, RFC 8200 8.1 */

	memset(out, 0, DP_IP6_HDR + ICMP_HDR);
	dp_put_be16(out, 0x6000 | ICMP_TOS << 4);
	dp_put_be16(out + 4, icmp_len);
	out[6] = IPPROTO_ICMPV6;
	out[7] = ICMP_TTL;
	memcpy(out + 8, src, 16);
	memcpy(out + 24, about + 8, 16);
	icmp[0] = kind == DP_ICMP_TOO_BIG ? ICMP6_TOO_BIG : ICMP6_TIME_EXCEEDED;
	dp_put_be32(icmp + 4, kind == DP_ICMP_TOO_BIG ? mtu : 0);
	memcpy(icmp + ICMP_HDR, about, quote);
	sum = dp_csum_add(sum, out + 8, 32);
	dp_put_be16(icmp + 2, dp_csum_finish(dp_csum_add(sum, icmp, icmp_len)));
	return DP_IP6_HDR + icmp_len;
}

/* Our address towards the sender: of the interface it used, else any. 0 = we have none. */
static uint32_t
source4(const struct dp_worker *w, uint16_t iface_in)
{
	const struct dp_iface *in = dp_iface_get(w->tables, iface_in);
	const struct dp_local *local =
		atomic_load_explicit(&w->tables->local, memory_order_acquire);

	if (in && in->addr_v4)
		return in->addr_v4;
	return local ? local->any_v4 : 0;
}

static const uint8_t *
source6(const struct dp_worker *w, uint16_t iface_in)
{
	const struct dp_iface *in = dp_iface_get(w->tables, iface_in);
	const struct dp_local6 *local =
		atomic_load_explicit(&w->tables->local6, memory_order_acquire);

	if (in && in->has_v6)
		return in->addr_v6;
	return local && local->has_any ? local->any_v6 : NULL;
}

/* Did the kernel make this packet? */
static bool
of_kernel(const struct dp_pkt *p)
{
	return (p->flags & (DP_PKT_FROM_TWIN | DP_PKT_CREATED)) == DP_PKT_FROM_TWIN;
}

/* Write the error to `out`; 0 when there shall be none. */
static uint16_t
write4(const struct dp_worker *w, const struct dp_pkt *p, uint8_t *out,
       enum dp_icmp_error_kind kind, uint16_t mtu, const uint8_t *about, uint16_t len)
{
	uint32_t src = of_kernel(p) ? dp_be32(about + 16) : source4(w, p->iface_in);

	if (!src || !dp_icmp_may_answer(about, len))
		return 0;
	return dp_icmp_write(out, kind, mtu, src, about, len);
}

static uint16_t
write6(const struct dp_worker *w, const struct dp_pkt *p, uint8_t *out,
       enum dp_icmp_error_kind kind, uint16_t mtu, const uint8_t *about, uint16_t len)
{
	const uint8_t *src = of_kernel(p) ? about + 24 : source6(w, p->iface_in);

	if (!src || !dp_icmp6_may_answer(kind, about, len))
		return 0;
	return dp_icmp6_write(out, kind, mtu, src, about, len);
}

/* An mbuf with what `out` holds, to be routed like a packet of our own; NULL when there is none. */
static struct rte_mbuf *
reply_make(struct dp_worker *w, const uint8_t *out, uint16_t len, bool ipv6)
{
	struct rte_mbuf *r = rte_pktmbuf_alloc(w->pool);
	void *to = r ? rte_pktmbuf_append(r, len) : NULL;

	if (!to) {
		rte_pktmbuf_free(r);
		return NULL;
	}
	struct dp_pkt *p = dp_pkt(r);

	memcpy(to, out, len);
	memset(p, 0, sizeof(*p));
	p->port_out = DP_PORT_NONE;
	p->next = DP_NEXT_FIB;
	p->flags = (uint8_t)(DP_PKT_CREATED | DP_PKT_FROM_TWIN | (ipv6 ? DP_PKT_IPV6 : 0));
	w->count.created++;
	return r;
}

struct rte_mbuf *
dp_icmp_error(struct dp_worker *w, const struct rte_mbuf *m, enum dp_icmp_error_kind kind,
	      uint16_t mtu)
{
	const struct dp_pkt *p = dp_pkt((struct rte_mbuf *)(uintptr_t)m);
	uint8_t out[DP_ICMP6_MAX], piece[QUOTE_MAX];
	uint16_t len = (uint16_t)RTE_MIN(rte_pktmbuf_pkt_len(m), (uint32_t)QUOTE_MAX);
	bool ipv6 = (p->flags & DP_PKT_IPV6) != 0;
	const uint8_t *about = rte_pktmbuf_read(m, 0, len, piece);

	if (ipv6)
		len = write6(w, p, out, kind, mtu, about, len);
	else
		len = write4(w, p, out, kind, mtu, about, len);
	if (len == 0 || !dp_rate_take(&dp_priv(w)->icmp_rate[kind], w->now_tsc))
		return NULL;
	struct rte_mbuf *reply = reply_make(w, out, len, ipv6);

	if (!reply || !of_kernel(p))
		return reply;
	dp_mirror_ip(w, reply, p->iface_in);
	return NULL;
}
