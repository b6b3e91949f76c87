/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rtnetlink messages to plain structures. Pure: no state, no socket.
 *
 * Routes of both families: main table, unicast and the drop kinds, tos 0, no source prefix. Next
 * hops come as RTA_OIF and RTA_GATEWAY (one) or RTA_MULTIPATH; with next hop objects the kernel
 * adds the same attributes as long as net.ipv4.nexthop_compat_mode is on. A hop whose gateway is of
 * the other family (RTA_VIA) is left out: without it, it would look like the destination itself on
 * that link. What stays on its link is the kernel's own matter: link-local
 * and multicast addresses and routes, and temporary addresses (RFC 8981). A link-local neighbour is
 * told, because it may be a route's gateway. Attribute lengths are checked before they are read
 * (libmnl's validation).
 */
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "control/netlink.h"

#define IFF_LOWER_UP_BIT 0x10000u

struct attrs {
	const struct nlattr *at[64];
	const char *end; /* of the message; the library rounds it up */
};

static int
attr_keep(const struct nlattr *a, void *data)
{
	struct attrs *t = data;
	uint16_t type = mnl_attr_get_type(a);

	if ((const char *)a + a->nla_len > t->end)
		return MNL_CB_STOP;
	if (type < 64)
		t->at[type] = a;
	return MNL_CB_OK;
}

static void
attrs_read(struct attrs *t, const struct nlmsghdr *n, unsigned int header)
{
	memset(t, 0, sizeof(*t));
	t->end = (const char *)n + n->nlmsg_len;
	mnl_attr_parse(n, header, attr_keep, t);
}

static uint32_t
attr_u32(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
}

static bool
attr_addr(const struct nlattr *a, uint8_t family, struct spw_addr *out)
{
	size_t len = spw_addr_len(family);

	memset(out, 0, sizeof(*out));
	if (!a || len == 0 || mnl_attr_get_payload_len(a) != len)
		return false;
	out->family = family;
	memcpy(out->bytes, mnl_attr_get_payload(a), len);
	return true;
}

static bool
addr_is_multicast(const struct spw_addr *a)
{
	return a->family == AF_INET6 ? a->bytes[0] == 0xff : (a->bytes[0] & 0xf0) == 0xe0;
}

/* fe80::/10; the IPv4 kind (169.254/16) is a plain address here: tunnels to Azure use it. */
static bool
addr_is_link_local(const struct spw_addr *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool
ctl_netlink_parse_link(const struct nlmsghdr *n, struct ctl_nl_link *out)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(n);
	struct attrs t;

	if (mnl_nlmsg_get_payload_len(n) < sizeof(*ifi) || ifi->ifi_family != AF_UNSPEC)
		return false;
	attrs_read(&t, n, sizeof(*ifi));
	if (!t.at[IFLA_IFNAME] || mnl_attr_validate(t.at[IFLA_IFNAME], MNL_TYPE_NUL_STRING) < 0)
		return false;
	memset(out, 0, sizeof(*out));
	out->index = (uint32_t)ifi->ifi_index;
	strncpy(out->name, mnl_attr_get_str(t.at[IFLA_IFNAME]), sizeof(out->name) - 1);
	out->mtu = attr_u32(t.at[IFLA_MTU]);
	if (t.at[IFLA_ADDRESS] && mnl_attr_get_payload_len(t.at[IFLA_ADDRESS]) == 6)
		memcpy(out->mac, mnl_attr_get_payload(t.at[IFLA_ADDRESS]), 6);
	out->up = ifi->ifi_flags & IFF_UP;
	out->carrier = out->up && (ifi->ifi_flags & IFF_LOWER_UP_BIT);
	return true;
}

bool
ctl_netlink_parse_addr(const struct nlmsghdr *n, struct ctl_nl_addr *out)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(n);
	struct attrs t;

	if (mnl_nlmsg_get_payload_len(n) < sizeof(*ifa))
		return false;
	attrs_read(&t, n, sizeof(*ifa));
	memset(out, 0, sizeof(*out));
	out->index = ifa->ifa_index;
	out->prefix.len = ifa->ifa_prefixlen;
	/* The flags outgrew their byte: IFA_FLAGS has them all. */
	if ((t.at[IFA_FLAGS] ? attr_u32(t.at[IFA_FLAGS]) : ifa->ifa_flags) & IFA_F_TEMPORARY &&
	    ifa->ifa_family == AF_INET6)
		return false;
	/* IFA_LOCAL is our end, IFA_ADDRESS the far one on a point-to-point link. */
	return attr_addr(t.at[IFA_LOCAL] ? t.at[IFA_LOCAL] : t.at[IFA_ADDRESS], ifa->ifa_family,
			 &out->prefix.addr) &&
	       ifa->ifa_prefixlen <= 8 * spw_addr_len(ifa->ifa_family) &&
	       !addr_is_link_local(&out->prefix.addr);
}

bool
ctl_netlink_parse_neigh(const struct nlmsghdr *n, struct ctl_nl_neigh *out)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(n);
	struct attrs t;

	if (mnl_nlmsg_get_payload_len(n) < sizeof(*ndm))
		return false;
	attrs_read(&t, n, sizeof(*ndm));
	memset(out, 0, sizeof(*out));
	out->index = (uint32_t)ndm->ndm_ifindex;
	out->state = ndm->ndm_state;
	if (t.at[NDA_LLADDR] && mnl_attr_get_payload_len(t.at[NDA_LLADDR]) == 6) {
		memcpy(out->mac, mnl_attr_get_payload(t.at[NDA_LLADDR]), 6);
		out->has_mac = true;
	}
	return attr_addr(t.at[NDA_DST], ndm->ndm_family, &out->addr) &&
	       !addr_is_multicast(&out->addr);
}

struct hop_parse {
	struct ctl_nl_hop *hop;
	uint8_t family;
	bool foreign; /* its gateway is of the other family */
};

static int
hop_attr(const struct nlattr *a, void *data)
{
	struct hop_parse *p = data;

	if (mnl_attr_get_type(a) == RTA_GATEWAY)
		attr_addr(a, p->family, &p->hop->gateway);
	p->foreign |= mnl_attr_get_type(a) == RTA_VIA;
	return MNL_CB_OK;
}

static void
parse_multipath(const struct nlattr *a, struct ctl_nl_route *out)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(a);
	size_t left = mnl_attr_get_payload_len(a);

	while (left >= sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) && nh->rtnh_len <= left &&
	       out->n_hops < CTL_NL_HOPS) {
		struct ctl_nl_hop *hop = &out->hop[out->n_hops++];
		struct hop_parse p = {.hop = hop, .family = out->prefix.addr.family};
		size_t step = RTNH_ALIGN(nh->rtnh_len);

		hop->index = (uint32_t)nh->rtnh_ifindex;
		hop->weight = (uint16_t)(nh->rtnh_hops + 1);
		hop->flags = nh->rtnh_flags;
		mnl_attr_parse_payload(RTNH_DATA(nh), nh->rtnh_len - sizeof(*nh), hop_attr, &p);
		if (p.foreign)
			memset(&out->hop[--out->n_hops], 0, sizeof(*hop));
		if (step >= left)
			break;
		left -= step;
		nh = (const struct rtnexthop *)((const uint8_t *)nh + step);
	}
}

static bool
type_is_followed(uint8_t type)
{
	return type == RTN_UNICAST || type == RTN_BLACKHOLE || type == RTN_UNREACHABLE ||
	       type == RTN_PROHIBIT;
}

static bool
route_is_followed(const struct rtmsg *rtm)
{
	return (rtm->rtm_family == AF_INET || rtm->rtm_family == AF_INET6) && rtm->rtm_tos == 0 &&
	       rtm->rtm_src_len == 0 && type_is_followed(rtm->rtm_type) &&
	       !(rtm->rtm_flags & RTM_F_CLONED) &&
	       rtm->rtm_dst_len <= 8 * spw_addr_len(rtm->rtm_family);
}

/* The destination; no RTA_DST is the default route. */
static bool
parse_destination(const struct nlattr *dst, const struct rtmsg *rtm, struct spw_prefix *out)
{
	out->len = rtm->rtm_dst_len;
	out->addr.family = rtm->rtm_family;
	if (dst && !attr_addr(dst, rtm->rtm_family, &out->addr))
		return false;
	return out->len == 0 || !(addr_is_multicast(&out->addr) || addr_is_link_local(&out->addr));
}

bool
ctl_netlink_parse_route(const struct nlmsghdr *n, struct ctl_nl_route *out)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(n);
	struct attrs t;

	if (mnl_nlmsg_get_payload_len(n) < sizeof(*rtm) || !route_is_followed(rtm))
		return false;
	attrs_read(&t, n, sizeof(*rtm));
	uint32_t table = t.at[RTA_TABLE] ? attr_u32(t.at[RTA_TABLE]) : rtm->rtm_table;

	memset(out, 0, sizeof(*out));
	if (table != RT_TABLE_MAIN || !parse_destination(t.at[RTA_DST], rtm, &out->prefix))
		return false;
	out->metric = attr_u32(t.at[RTA_PRIORITY]);
	out->protocol = rtm->rtm_protocol;
	out->type = rtm->rtm_type;
	if (t.at[RTA_MULTIPATH]) {
		parse_multipath(t.at[RTA_MULTIPATH], out);
	} else if (t.at[RTA_OIF] && !t.at[RTA_VIA]) {
		out->n_hops = 1;
		out->hop[0].index = attr_u32(t.at[RTA_OIF]);
		out->hop[0].weight = 1;
		out->hop[0].flags = (uint8_t)rtm->rtm_flags;
		attr_addr(t.at[RTA_GATEWAY], rtm->rtm_family, &out->hop[0].gateway);
	}
	return true;
}
