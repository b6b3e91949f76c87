/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outer headers: made when an SA is installed or its peer moves; API thread. Hop limit 64, no
 * options, no flow label (RFC 4301 5.1.2); a packet of ours is never to be fragmented on the way.
 */
#include "dataplane/outer.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_udp.h>

#define HOPS 64

int
dp_outer_check(const struct spw_addr *local, const struct spw_addr *remote, const char *what,
	       struct spw_err *err)
{
	static const uint8_t none[16];

	if ((local->family != AF_INET && local->family != AF_INET6) ||
	    local->family != remote->family)
		return spw_fail(err, -EAFNOSUPPORT,
				"%s: outer addresses must be two of IPv4 or two of IPv6", what);
	if (memcmp(local->bytes, none, 16) == 0 || memcmp(remote->bytes, none, 16) == 0)
		return spw_fail(err, -EINVAL, "%s: an outer address is all zeroes", what);
	return 0;
}

static void
set_v4(struct dp_outer *o, uint8_t *ip, const struct dp_outer_ends *e, bool udp)
{
	uint32_t last;

	ip[0] = 0x45;
	ip[8] = HOPS;
	ip[9] = udp ? IPPROTO_UDP : IPPROTO_ESP;
	memcpy(ip + 12, e->local.bytes, 4);
	memcpy(ip + 16, e->remote.bytes, 4);
	memcpy(&o->sum, ip + 8, 8);
	memcpy(&last, ip + 16, 4);
	o->sum = dp_csum_add64(o->sum, last);
}

static void
set_v6(uint8_t *ip, const struct dp_outer_ends *e, bool udp)
{
	ip[0] = 0x60;
	ip[6] = udp ? IPPROTO_UDP : IPPROTO_ESP;
	ip[7] = HOPS;
	memcpy(ip + 8, e->local.bytes, 16);
	memcpy(ip + 24, e->remote.bytes, 16);
}

void
dp_outer_set(struct dp_outer *o, const struct dp_outer_ends *e)
{
	bool v6 = e->local.family == AF_INET6, udp = e->remote_port != 0;
	uint8_t *ip;

	memset(o, 0, sizeof(*o));
	o->len = (uint8_t)((v6 ? 40 : 20) + (udp ? 8 : 0));
	o->kind =
		v6 ? (udp ? DP_OUTER_V6_UDP : DP_OUTER_V6) : (udp ? DP_OUTER_V4_UDP : DP_OUTER_V4);
	ip = o->bytes + DP_OUTER_MAX - o->len;
	if (v6)
		set_v6(ip, e, udp);
	else
		set_v4(o, ip, e, udp);
	if (udp) {
		spw_put_be16(o->bytes + DP_OUTER_MAX - 8, e->local_port);
		spw_put_be16(o->bytes + DP_OUTER_MAX - 6, e->remote_port);
	}
}

void
dp_outer_udp6(uint8_t *ip)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 40);

	udp->dgram_cksum = 0;
	udp->dgram_cksum = rte_ipv6_udptcp_cksum((const struct rte_ipv6_hdr *)ip, udp);
}
