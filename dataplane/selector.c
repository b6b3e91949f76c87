/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic selectors (RFC 7296 3.13, RFC 4301 4.4.1.1): a packet belongs to an SA when its source
 * is in one selector of the source's side and its destination in one of the other side.
 *
 * Any local selector may pair with any remote one (RFC 7296 2.9). Ports that a packet does not
 * show, because it is a later fragment or its protocol has none, match only a selector that takes
 * all ports (RFC 4301 4.4.1.2, OPAQUE); a packet too short to show them is treated the same. ICMP
 * compares type and code as one number on both sides. Pure; the worker stages call the match
 * functions, the API thread the rest.
 */
#include "dataplane/selector.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "dataplane/wire.h"

static bool
valid_range(const struct spw_selector *s)
{
	return (s->low.family == AF_INET || s->low.family == AF_INET6) &&
	       s->low.family == s->high.family && spw_addr_compare(&s->low, &s->high) <= 0 &&
	       s->port_low <= s->port_high;
}

static struct dp_selector
take(const struct spw_selector *s)
{
	return (struct dp_selector){
		.low = spw_addr_get_v4(&s->low),
		.high = spw_addr_get_v4(&s->high),
		.port_low = s->port_low,
		.port_high = s->port_high,
		.protocol = s->protocol,
	};
}

static int
take_side(struct dp_selector *out, uint8_t *n_out, const struct spw_selector *in, uint32_t n,
	  const char *side, struct spw_err *err)
{
	if (n == 0 || n > SPW_SA_SELECTORS)
		return spw_fail(err, -EINVAL, "sa: %u %s selectors, must be 1 to %d", n, side,
				SPW_SA_SELECTORS);
	*n_out = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!valid_range(&in[i]))
			return spw_fail(err, -EINVAL,
					"sa: %s selector %u is not a range of one address family",
					side, i + 1);
		if (in[i].low.family == AF_INET)
			out[(*n_out)++] = take(&in[i]);
	}
	return 0;
}

static bool
takes_all(const struct dp_selector *s)
{
	return s->low == 0 && s->high == UINT32_MAX && s->port_low == 0 &&
	       s->port_high == UINT16_MAX && s->protocol == 0;
}

static bool
side_takes_all(const struct dp_selector *s, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (takes_all(&s[i]))
			return true;
	return false;
}

int
dp_selectors_set(struct dp_selectors *s, const struct spw_sa_desc *sa, struct spw_err *err)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = take_side(s->local, &s->n_local, sa->sel_local, sa->n_local, "local", err);
	if (rc == 0)
		rc = take_side(s->remote, &s->n_remote, sa->sel_remote, sa->n_remote, "remote",
			       err);
	if (rc == 0)
		s->any = side_takes_all(s->local, s->n_local) &&
			 side_takes_all(s->remote, s->n_remote);
	return rc;
}

static bool
port_protocol(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

void
dp_selector_key_read(struct dp_selector_key *k, const uint8_t *ip, uint32_t len)
{
	uint32_t header = (ip[0] & 15u) * 4;
	bool later_fragment = (dp_be16(ip + 6) & 0x1fff) != 0;

	memset(k, 0, sizeof(*k));
	k->protocol = ip[9];
	k->src = dp_be32(ip + 12);
	k->dst = dp_be32(ip + 16);
	if (later_fragment || len < header + 4)
		return;
	if (port_protocol(k->protocol)) {
		k->src_port = dp_be16(ip + header);
		k->dst_port = dp_be16(ip + header + 2);
		k->has_ports = true;
	} else if (k->protocol == IPPROTO_ICMP) {
		k->src_port = k->dst_port = dp_be16(ip + header);
		k->has_ports = true;
	}
}

static bool
match_one(const struct dp_selector *s, const struct dp_selector_key *k, uint32_t addr,
	  uint16_t port)
{
	if (addr < s->low || addr > s->high)
		return false;
	if (s->protocol != 0 && s->protocol != k->protocol)
		return false;
	if (s->port_low == 0 && s->port_high == UINT16_MAX)
		return true;
	return k->has_ports && port >= s->port_low && port <= s->port_high;
}

static bool
match_side(const struct dp_selector *s, unsigned int n, const struct dp_selector_key *k,
	   uint32_t addr, uint16_t port)
{
	for (unsigned int i = 0; i < n; i++)
		if (match_one(&s[i], k, addr, port))
			return true;
	return false;
}

bool
dp_selectors_match_out(const struct dp_selectors *s, const struct dp_selector_key *k)
{
	return match_side(s->local, s->n_local, k, k->src, k->src_port) &&
	       match_side(s->remote, s->n_remote, k, k->dst, k->dst_port);
}

bool
dp_selectors_match_in(const struct dp_selectors *s, const struct dp_selector_key *k)
{
	return match_side(s->remote, s->n_remote, k, k->src, k->src_port) &&
	       match_side(s->local, s->n_local, k, k->dst, k->dst_port);
}
