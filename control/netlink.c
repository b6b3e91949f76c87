/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Following the kernel by rtnetlink and asking it for things.
 *
 * Three sockets. The first is subscribed to the multicast groups, non-blocking, with a large
 * receive buffer; it is read until it is empty, and the owner acts once for the whole batch. When
 * the kernel says ENOBUFS something was lost, and everything is read anew. The other two never see
 * a multicast message and wait for each answer: one carries dumps, one all other requests, because
 * what a dump tells makes the owner ask for things (a neighbour of a route) in the middle of it.
 * Events that arrive during a dump are applied after it; all of them are upserts or deletes by key,
 * so the end is right whatever the order was. A reading that broke off, or during which the kernel
 * says that its table changed, proves nothing of what it did not name: the owner is told, and it is
 * repeated.
 *
 * One thread, the event loop. The kernel is waited for two seconds at most.
 */
#include "control/netlink.h"

#include <errno.h>
#include <event2/event.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define BUFFER	       65536
#define RECEIVE_BUFFER (8 * 1024 * 1024) /* about 18,000 messages */
#define READ_AGAIN_MS  500		 /* after a reading that failed */

/* A socket that asks and waits, with the answers at hand. */
struct channel {
	struct mnl_socket *socket;
	uint32_t seq;
	char buf[BUFFER] __attribute__((aligned(8)));
};

struct ctl_netlink {
	struct mnl_socket *events;
	struct channel requests, dumps;
	struct event *readable, *again;
	const struct ctl_netlink_handler *handler;
	void *ctx;
	uint64_t batch_ns;
	bool resync_wanted, in_resync;
	bool broke_off; /* the reading at hand has failed somewhere */
	char buf[BUFFER] __attribute__((aligned(8)));
};

uint64_t
ctl_netlink_batch_ns(const struct ctl_netlink *nl)
{
	return nl->batch_ns;
}

static int
dispatch(const struct nlmsghdr *n, void *data)
{
	struct ctl_netlink *nl = data;
	union {
		struct ctl_nl_link link;
		struct ctl_nl_addr addr;
		struct ctl_nl_neigh neigh;
		struct ctl_nl_route route;
	} u;

	switch (n->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (ctl_netlink_parse_link(n, &u.link))
			nl->handler->link(nl->ctx, &u.link, n->nlmsg_type == RTM_DELLINK);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (ctl_netlink_parse_addr(n, &u.addr))
			nl->handler->addr(nl->ctx, &u.addr, n->nlmsg_type == RTM_DELADDR);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (ctl_netlink_parse_neigh(n, &u.neigh))
			nl->handler->neigh(nl->ctx, &u.neigh, n->nlmsg_type == RTM_DELNEIGH);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (ctl_netlink_parse_route(n, &u.route))
			nl->handler->route(nl->ctx, &u.route, n->nlmsg_type == RTM_DELROUTE);
		break;
	default: break;
	}
	return MNL_CB_OK;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_netlink *nl = arg;

	nl->batch_ns = spw_clock_ns();
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(nl->events, nl->buf, sizeof(nl->buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			spw_log(SPW_LOG_WARNING, "netlink", "overrun", "action=resync");
			nl->resync_wanted = true;
			continue;
		}
		if (n <= 0)
			break;
		mnl_cb_run(nl->buf, (size_t)n, 0, 0, dispatch, nl);
	}
	nl->handler->batch_end(nl->ctx);
	if (nl->resync_wanted)
		ctl_netlink_resync(nl);
}

/*
 * One datagram of answers to request `seq`. Returns 1 while more is to come, 0 at the end, or
 * -errno; *interrupted is set when the table changed under a dump.
 */
static int
answer_read(struct channel *ch, ssize_t len, mnl_cb_t cb, void *ctx, bool *interrupted)
{
	int left = (int)len;

	for (const struct nlmsghdr *n = (void *)ch->buf; mnl_nlmsg_ok(n, left);
	     n = mnl_nlmsg_next(n, &left)) {
		if (n->nlmsg_seq != ch->seq)
			continue;
		if (n->nlmsg_flags & NLM_F_DUMP_INTR)
			*interrupted = true;
		/* A dump tells its failure in the last message. */
		if (n->nlmsg_type == NLMSG_DONE)
			return mnl_nlmsg_get_payload_len(n) >= sizeof(int)
				       ? *(const int *)mnl_nlmsg_get_payload(n)
				       : 0;
		if (n->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(n))->error;
		if (cb)
			cb(n, ctx);
	}
	return 1;
}

/* Send a request and hand every answer to cb. 0, or -errno; -EINTR: a dump was disturbed. */
static int
transact(struct channel *ch, struct nlmsghdr *n, mnl_cb_t cb, void *ctx)
{
	bool interrupted = false;
	int rc;

	n->nlmsg_seq = ++ch->seq;
	if (mnl_socket_sendto(ch->socket, n, n->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t len = mnl_socket_recvfrom(ch->socket, ch->buf, sizeof(ch->buf));

		if (len < 0)
			return -errno;
		rc = answer_read(ch, len, cb, ctx, &interrupted);
	} while (rc > 0);
	return rc == 0 && interrupted ? -EINTR : rc;
}

static void
dump(struct ctl_netlink *nl, uint16_t type, uint8_t family, size_t header)
{
	char buf[MNL_NLMSG_HDRLEN + 64] __attribute__((aligned(8)));
	struct nlmsghdr *n = mnl_nlmsg_put_header(buf);

	n->nlmsg_type = type;
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	/* The kernel checks the header's size strictly; each starts with the family. */
	*(uint8_t *)mnl_nlmsg_put_extra_header(n, header) = family;
	int rc = transact(&nl->dumps, n, dispatch, nl);

	if (rc == -EINTR)
		nl->resync_wanted = true; /* the table changed under the dump */
	nl->broke_off |= rc != 0 && rc != -EINTR;
	if (rc != 0 && rc != -EINTR)
		spw_log(SPW_LOG_ERROR, "netlink", "dump-failed", "type=%u error=\"%s\"", type,
			strerror(-rc));
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	ctl_netlink_resync(arg);
}

void
ctl_netlink_resync(struct ctl_netlink *nl)
{
	struct timeval soon = {.tv_usec = READ_AGAIN_MS * 1000};

	nl->resync_wanted = nl->broke_off = false;
	nl->in_resync = true;
	nl->batch_ns = spw_clock_ns();
	nl->handler->resync_begin(nl->ctx);
	dump(nl, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg));
	dump(nl, RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg));
	dump(nl, RTM_GETNEIGH, AF_INET, sizeof(struct ndmsg));
	dump(nl, RTM_GETNEIGH, AF_INET6, sizeof(struct ndmsg));
	dump(nl, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg));
	dump(nl, RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg));
	nl->handler->resync_end(nl->ctx, !nl->resync_wanted && !nl->broke_off);
	nl->in_resync = false;
	nl->handler->batch_end(nl->ctx);
	if (nl->resync_wanted)
		event_active(nl->readable, EV_READ, 0);
	else if (nl->broke_off)
		event_add(nl->again, &soon);
}

void
ctl_netlink_resync_later(struct ctl_netlink *nl)
{
	/* What a resync itself finds needs no second one. */
	if (nl->in_resync || nl->resync_wanted)
		return;
	nl->resync_wanted = true;
	event_active(nl->readable, EV_READ, 0);
}

static int
subscribe(struct ctl_netlink *nl)
{
	static const int groups[] = {RTNLGRP_LINK,	  RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,
				     RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
	int size = RECEIVE_BUFFER, fd = mnl_socket_get_fd(nl->events);

	for (unsigned int i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (mnl_socket_setsockopt(nl->events, NETLINK_ADD_MEMBERSHIP,
					  (void *)(uintptr_t)&groups[i], sizeof(int)) < 0)
			return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return 0;
}

static int
channel_open(struct channel *ch)
{
	struct timeval wait = {.tv_sec = 2};
	int one = 1;

	ch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!ch->socket || mnl_socket_bind(ch->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	setsockopt(mnl_socket_get_fd(ch->socket), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	mnl_socket_setsockopt(ch->socket, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	return 0;
}

static int
sockets_open(struct ctl_netlink *nl)
{
	int rc;

	nl->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!nl->events || mnl_socket_bind(nl->events, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	rc = channel_open(&nl->requests);
	if (rc == 0)
		rc = channel_open(&nl->dumps);
	return rc == 0 ? subscribe(nl) : rc;
}

int
ctl_netlink_new(struct ctl_netlink **out, struct event_base *base,
		const struct ctl_netlink_handler *handler, void *ctx, struct spw_err *err)
{
	struct ctl_netlink *nl = calloc(1, sizeof(*nl));
	int rc;

	if (!nl)
		return spw_fail(err, -ENOMEM, "out of memory");
	nl->handler = handler;
	nl->ctx = ctx;
	rc = sockets_open(nl);
	if (rc != 0) {
		ctl_netlink_free(nl);
		return spw_fail(err, rc, "cannot open rtnetlink: %s", strerror(-rc));
	}
	nl->readable = event_new(base, mnl_socket_get_fd(nl->events), EV_READ | EV_PERSIST,
				 on_readable, nl);
	nl->again = evtimer_new(base, on_again, nl);
	if (!nl->readable || !nl->again || event_add(nl->readable, NULL) != 0) {
		ctl_netlink_free(nl);
		return spw_fail(err, -ENOMEM, "out of memory");
	}
	*out = nl;
	return 0;
}

void
ctl_netlink_free(struct ctl_netlink *nl)
{
	if (!nl)
		return;
	if (nl->readable)
		event_free(nl->readable);
	if (nl->again)
		event_free(nl->again);
	if (nl->events)
		mnl_socket_close(nl->events);
	if (nl->requests.socket)
		mnl_socket_close(nl->requests.socket);
	if (nl->dumps.socket)
		mnl_socket_close(nl->dumps.socket);
	free(nl);
}

/* Start a request of `type` in buf with an extra header of `size` bytes, returned. */
static void *
request(char *buf, uint16_t type, uint16_t flags, size_t size)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(buf);

	n->nlmsg_type = type;
	n->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return mnl_nlmsg_put_extra_header(n, size);
}

static void
put_addr(char *buf, uint16_t type, const struct spw_addr *a)
{
	mnl_attr_put((struct nlmsghdr *)(void *)buf, type, spw_addr_len(a->family), a->bytes);
}

int
ctl_netlink_link_set(struct ctl_netlink *nl, uint32_t index, const uint8_t *mac, uint32_t mtu,
		     bool up)
{
	char buf[256] __attribute__((aligned(8)));
	struct ifinfomsg *ifi = request(buf, RTM_NEWLINK, 0, sizeof(*ifi));
	struct nlmsghdr *n = (struct nlmsghdr *)(void *)buf;

	ifi->ifi_index = (int)index;
	ifi->ifi_flags = up ? IFF_UP : 0;
	ifi->ifi_change = IFF_UP;
	if (mac)
		mnl_attr_put(n, IFLA_ADDRESS, 6, mac);
	if (mtu)
		mnl_attr_put_u32(n, IFLA_MTU, mtu);
	return transact(&nl->requests, n, NULL, NULL);
}

int
ctl_netlink_link_del(struct ctl_netlink *nl, uint32_t index)
{
	char buf[256] __attribute__((aligned(8)));
	struct ifinfomsg *ifi = request(buf, RTM_DELLINK, 0, sizeof(*ifi));

	ifi->ifi_index = (int)index;
	return transact(&nl->requests, (struct nlmsghdr *)(void *)buf, NULL, NULL);
}

int
ctl_netlink_addr_set(struct ctl_netlink *nl, uint32_t index, const struct spw_prefix *prefix,
		     bool add)
{
	char buf[256] __attribute__((aligned(8)));
	struct ifaddrmsg *ifa = request(buf, add ? RTM_NEWADDR : RTM_DELADDR,
					add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*ifa));

	ifa->ifa_family = prefix->addr.family;
	ifa->ifa_prefixlen = prefix->len;
	ifa->ifa_index = index;
	/* IPv6: no duplicate address detection, the data plane answers for the address. */
	if (prefix->addr.family == AF_INET6)
		ifa->ifa_flags = IFA_F_NODAD;
	put_addr(buf, IFA_LOCAL, &prefix->addr);
	put_addr(buf, IFA_ADDRESS, &prefix->addr);
	return transact(&nl->requests, (struct nlmsghdr *)(void *)buf, NULL, NULL);
}

static void
put_hop(char *buf, const struct ctl_nl_hop *hop)
{
	if (hop->gateway.family)
		put_addr(buf, RTA_GATEWAY, &hop->gateway);
	if (hop->index)
		mnl_attr_put_u32((struct nlmsghdr *)(void *)buf, RTA_OIF, hop->index);
}

static void
put_multipath(char *buf, const struct ctl_nl_route *route)
{
	struct nlmsghdr *n = (struct nlmsghdr *)(void *)buf;
	struct nlattr *all = mnl_attr_nest_start(n, RTA_MULTIPATH);

	for (unsigned int i = 0; i < route->n_hops; i++) {
		struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(n);
		const struct ctl_nl_hop *hop = &route->hop[i];

		*nh = (struct rtnexthop){.rtnh_ifindex = (int)hop->index,
					 .rtnh_hops = (uint8_t)(hop->weight ? hop->weight - 1 : 0),
					 .rtnh_flags = hop->flags};
		n->nlmsg_len += sizeof(*nh);
		put_addr(buf, RTA_GATEWAY, &hop->gateway);
		nh->rtnh_len = (unsigned short)((char *)mnl_nlmsg_get_payload_tail(n) - (char *)nh);
	}
	mnl_attr_nest_end(n, all);
}

int
ctl_netlink_route_set(struct ctl_netlink *nl, const struct ctl_nl_route *route, bool add)
{
	char buf[1024] __attribute__((aligned(8))); /* eight hops of IPv6 are 224 bytes */
	struct spw_prefix masked = spw_prefix_masked(&route->prefix);
	struct rtmsg *rtm = request(buf, add ? RTM_NEWROUTE : RTM_DELROUTE,
				    add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*rtm));

	rtm->rtm_family = masked.addr.family;
	rtm->rtm_dst_len = masked.len;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = CTL_RTPROT_US;
	rtm->rtm_scope = add ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE;
	rtm->rtm_type = add ? RTN_UNICAST : RTN_UNSPEC;
	put_addr(buf, RTA_DST, &masked.addr);
	mnl_attr_put_u32((struct nlmsghdr *)(void *)buf, RTA_PRIORITY, route->metric);
	if (add && route->n_hops == 1) {
		rtm->rtm_flags = route->hop[0].flags;
		put_hop(buf, &route->hop[0]);
	} else if (add) {
		put_multipath(buf, route);
	}
	return transact(&nl->requests, (struct nlmsghdr *)(void *)buf, NULL, NULL);
}

int
ctl_netlink_neigh_manage(struct ctl_netlink *nl, uint32_t index, const struct spw_addr *addr,
			 bool keep)
{
	char buf[256] __attribute__((aligned(8)));
	struct ndmsg *ndm = request(buf, keep ? RTM_NEWNEIGH : RTM_DELNEIGH,
				    keep ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*ndm));

	ndm->ndm_family = addr->family;
	ndm->ndm_ifindex = (int)index;
	ndm->ndm_state = NUD_NONE;
	put_addr(buf, NDA_DST, addr);
	if (keep)
		mnl_attr_put_u32((struct nlmsghdr *)(void *)buf, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	return transact(&nl->requests, (struct nlmsghdr *)(void *)buf, NULL, NULL);
}
