/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic selectors (RFC 7296 3.13, RFC 4301 4.4.1.1): a packet belongs to an SA when its source
 * is in one selector of the source's side and its destination in one of the other side.
 *
 * Any local selector may pair with any remote one of the same family (RFC 7296 2.9). Addresses are
 * 128-bit numbers, so one subtraction and one comparison decide a range, whatever the family.
 *
 * Ports that a packet does not show, because it is a later fragment, is too short, or its protocol
 * has none, match a selector of ANY or OPAQUE ports and never a range. A later IPv6 fragment may
 * hide even its protocol; then it matches only selectors of any protocol. ICMP and
 * Mobility have one number instead of two ports: the sender's side must allow it; an OPAQUE on the
 * receiver's side is how a one-way permission is written (RFC 4301 4.4.1.3) and does not forbid it.
 *
 * ICMP errors made by routers on the way have sources that no selector lists. They pass when they
 * are for the sender of the packet they quote, and that packet matches in the opposite direction
 * (RFC 4301 6.2). An error that quotes an error gets no such favour (RFC 1122 3.2.2).
 *
 * Pure; the worker stages call the match functions, the API thread the rest.
 */
#include "dataplane/selector.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "dataplane/ip6_walk.h"
#include "dataplane/wire.h"

#define ICMP_HEADER 8
#define PROTO_MH    135

static bool
opaque(const struct spw_selector *s)
{
	return s->port_low == UINT16_MAX && s->port_high == 0;
}

static bool
valid_range(const struct spw_selector *s)
{
	return (s->low.family == AF_INET || s->low.family == AF_INET6) &&
	       s->low.family == s->high.family && spw_addr_compare(&s->low, &s->high) <= 0 &&
	       (s->port_low <= s->port_high || opaque(s));
}

static dp_u128
be128(const uint8_t *p)
{
	return (dp_u128)dp_be32(p) << 96 | (dp_u128)dp_be32(p + 4) << 64 |
	       (dp_u128)dp_be32(p + 8) << 32 | dp_be32(p + 12);
}

static dp_u128
number_of(const struct spw_addr *a)
{
	return a->family == AF_INET ? spw_addr_get_v4(a) : be128(a->bytes);
}

static struct dp_selector
take(const struct spw_selector *s)
{
	struct dp_selector r = {
		.low = number_of(&s->low),
		.span = number_of(&s->high) - number_of(&s->low),
		.port_low = s->port_low,
		.port_high = s->port_high,
		.protocol = s->protocol,
		.ports = DP_PORTS_RANGE,
	};

	if (opaque(s))
		r.ports = DP_PORTS_OPAQUE;
	else if (s->port_low == 0 && s->port_high == UINT16_MAX)
		r.ports = DP_PORTS_ANY;
	return r;
}

static void
take_family(struct dp_selector_side *out, const struct spw_selector *in, uint32_t n, uint8_t family)
{
	for (uint32_t i = 0; i < n; i++)
		if (in[i].low.family == family)
			out->range[out->n++] = take(&in[i]);
}

static int
take_side(struct dp_selector_side *out, const struct spw_selector *in, uint32_t n, const char *side,
	  struct spw_err *err)
{
	if (n == 0 || n > SPW_SA_SELECTORS)
		return spw_fail(err, -EINVAL, "sa: %u %s selectors, must be 1 to %d", n, side,
				SPW_SA_SELECTORS);
	for (uint32_t i = 0; i < n; i++)
		if (!valid_range(&in[i]))
			return spw_fail(err, -EINVAL,
					"sa: %s selector %u is not a range of one address family",
					side, i + 1);
	take_family(out, in, n, AF_INET);
	out->n4 = out->n;
	take_family(out, in, n, AF_INET6);
	return 0;
}

/* The ranges of one family: [*from, returned). */
static unsigned int
ranges(const struct dp_selector_side *side, bool ipv6, unsigned int *from)
{
	*from = ipv6 ? side->n4 : 0;
	return ipv6 ? side->n : side->n4;
}

static bool
takes_all(const struct dp_selector_side *side, bool ipv6)
{
	const dp_u128 all = ipv6 ? ~(dp_u128)0 : UINT32_MAX;
	unsigned int i, end = ranges(side, ipv6, &i);

	for (; i < end; i++) {
		const struct dp_selector *s = &side->range[i];

		if (s->low == 0 && s->span == all && s->protocol == 0 && s->ports == DP_PORTS_ANY)
			return true;
	}
	return false;
}

int
dp_selectors_set(struct dp_selectors *s, const struct spw_sa_desc *sa, struct spw_err *err)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = take_side(&s->local, sa->sel_local, sa->n_local, "local", err);
	if (rc == 0)
		rc = take_side(&s->remote, sa->sel_remote, sa->n_remote, "remote", err);
	if (rc < 0)
		return rc;
	s->any = takes_all(&s->local, false) && takes_all(&s->remote, false);
	s->any6 = takes_all(&s->local, true) && takes_all(&s->remote, true);
	return 0;
}

static bool
port_protocol(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

/* Errors that routers and hosts on the way send about transit packets; no redirect, no quench. */
static bool
transit_error(const struct dp_selector_key *k, uint8_t type)
{
	if (k->ipv6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 11 || type == 12;
}

static void
read_message(struct dp_selector_key *k, const uint8_t *upper, uint32_t len)
{
	bool mobility = k->ipv6 && k->protocol == PROTO_MH;
	bool icmp = k->protocol == (k->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);

	if (!mobility && !icmp)
		return;
	k->one_value = k->has_ports = true;
	k->src_port = mobility ? (uint16_t)(upper[2] << 8) : dp_be16(upper); /* RFC 6275 6.1.1 */
	k->dst_port = k->src_port;
	k->error = icmp && transit_error(k, upper[0]);
	if (!k->error || len <= ICMP_HEADER)
		return;
	k->quote = upper + ICMP_HEADER;
	k->quote_len = len - ICMP_HEADER;
}

/* What the upper layer shows in its first four bytes. */
static void
read_upper(struct dp_selector_key *k, const uint8_t *upper, uint32_t len)
{
	if (port_protocol(k->protocol)) {
		k->src_port = dp_be16(upper);
		k->dst_port = dp_be16(upper + 2);
		k->has_ports = true;
	} else {
		read_message(k, upper, len);
	}
}

static void
read4(struct dp_selector_key *k, const uint8_t *ip, uint32_t len)
{
	uint32_t header = (ip[0] & 15u) * 4;
	bool later_fragment = (dp_be16(ip + 6) & 0x1fff) != 0;

	k->protocol = ip[9];
	k->src = dp_be32(ip + 12);
	k->dst = dp_be32(ip + 16);
	if (!later_fragment && len >= header + 4)
		read_upper(k, ip + header, len - header);
}

static void
read6(struct dp_selector_key *k, const uint8_t *ip, uint32_t len)
{
	struct dp_ip6_upper u;
	bool known = dp_ip6_walk(ip, len, &u);

	k->ipv6 = true;
	k->src = be128(ip + 8);
	k->dst = be128(ip + 24);
	k->protocol = u.protocol;
	if (known && !u.later && len >= u.at + 4)
		read_upper(k, ip + u.at, len - u.at);
}

void
dp_selector_key_read(struct dp_selector_key *k, const uint8_t *ip, uint32_t len)
{
	memset(k, 0, sizeof(*k));
	if (ip[0] >> 4 == 6)
		read6(k, ip, len);
	else
		read4(k, ip, len);
}

/* @receiver  the side that the packet goes to */
static bool
ports_match(const struct dp_selector *s, const struct dp_selector_key *k, bool receiver)
{
	uint16_t port = receiver ? k->dst_port : k->src_port;

	if (s->ports == DP_PORTS_ANY)
		return true;
	if (s->ports == DP_PORTS_OPAQUE)
		return !k->has_ports || (receiver && k->one_value);
	return k->has_ports && port >= s->port_low && port <= s->port_high;
}

static bool
side_matches(const struct dp_selector_side *side, const struct dp_selector_key *k, bool receiver)
{
	const dp_u128 addr = receiver ? k->dst : k->src;
	unsigned int i, end = ranges(side, k->ipv6, &i);

	for (; i < end; i++) {
		const struct dp_selector *s = &side->range[i];

		if (addr - s->low <= s->span && (s->protocol == 0 || s->protocol == k->protocol) &&
		    ports_match(s, k, receiver))
			return true;
	}
	return false;
}

static bool
pair_matches(const struct dp_selector_side *from, const struct dp_selector_side *to,
	     const struct dp_selector_key *k)
{
	return side_matches(from, k, false) && side_matches(to, k, true);
}

/* Is there a whole IP header of the family that the error is of? */
static bool
quote_whole(const struct dp_selector_key *k)
{
	const uint8_t *ip = k->quote;

	if (k->quote_len < 20 || ip[0] >> 4 != (k->ipv6 ? 6 : 4))
		return false;
	if (k->ipv6)
		return k->quote_len >= DP_IP6_HDR;
	return (ip[0] & 15u) >= 5 && k->quote_len >= (ip[0] & 15u) * 4;
}

/* May what this error quotes pass from `to` to `from`? Rare, so kept out of the way. */
static __attribute__((noinline)) bool
quote_matches(const struct dp_selector_side *from, const struct dp_selector_side *to,
	      const struct dp_selector_key *k)
{
	struct dp_selector_key quoted;

	if (!quote_whole(k))
		return false;
	dp_selector_key_read(&quoted, k->quote, k->quote_len);
	return !quoted.error && quoted.src == k->dst && pair_matches(to, from, &quoted);
}

bool
dp_selectors_match_out(const struct dp_selectors *s, const struct dp_selector_key *k)
{
	return pair_matches(&s->local, &s->remote, k) ||
	       (k->quote != NULL && quote_matches(&s->local, &s->remote, k));
}

bool
dp_selectors_match_in(const struct dp_selectors *s, const struct dp_selector_key *k)
{
	return pair_matches(&s->remote, &s->local, k) ||
	       (k->quote != NULL && quote_matches(&s->remote, &s->local, k));
}
