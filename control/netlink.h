/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: rtnetlink, what the kernel tells and what it is asked to do. */
#ifndef SPW_CONTROL_NETLINK_H
#define SPW_CONTROL_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define CTL_NL_HOPS   8
#define CTL_RTPROT_US 207 /* protocol number of the routes that this process makes */
/*
 * Metrics of the host routes to tunnel endpoints (pins.c), one for each uplink that has tunnels to
 * the same one, from CTL_PIN_METRIC on: nothing else of ours has them, none wins.
 */
#define CTL_PIN_METRIC 1
#define CTL_PIN_WAYS   8

struct event_base;
struct ctl_netlink;

struct ctl_nl_link {
	uint32_t index;
	char name[IFNAMSIZ];
	uint8_t mac[6];
	uint32_t mtu;
	bool up;      /* administratively */
	bool carrier; /* lower layer up, and administratively up */
};
struct ctl_nl_addr {
	uint32_t index;
	struct spw_prefix prefix;
};
struct ctl_nl_neigh {
	uint32_t index;
	struct spw_addr addr;
	uint16_t state; /* NUD_* */
	uint8_t mac[6];
	bool has_mac;
};
struct ctl_nl_hop {
	uint32_t index;
	struct spw_addr gateway; /* family 0 = the destination itself */
	uint16_t weight;	 /* 1..256 */
	uint8_t flags;		 /* RTNH_F_* */
};
struct ctl_nl_route {
	struct spw_prefix prefix;
	uint32_t metric;
	uint8_t protocol; /* RTPROT_* */
	uint8_t type;	  /* RTN_* */
	unsigned int n_hops;
	struct ctl_nl_hop hop[CTL_NL_HOPS];
};

/*
 * What happened in the kernel; `gone` = deleted. A route of IPv6 that is gone may name some of its
 * next hops only: the others stay. Objects are borrowed for the call. at_ns is when
 * the batch was read. resync_begin/end enclose a full reading: what was known and is not told in
 * between is gone when it was complete; else nothing is known of it, and another reading follows.
 * batch_end comes after every batch of messages and after every resync.
 */
struct ctl_netlink_handler {
	void (*link)(void *ctx, const struct ctl_nl_link *link, bool gone);
	void (*addr)(void *ctx, const struct ctl_nl_addr *addr, bool gone);
	void (*neigh)(void *ctx, const struct ctl_nl_neigh *neigh, bool gone);
	void (*route)(void *ctx, const struct ctl_nl_route *route, bool gone);
	void (*resync_begin)(void *ctx);
	void (*resync_end)(void *ctx, bool complete);
	void (*batch_end)(void *ctx);
};

/*
 * Subscribe to the namespace's links, addresses, neighbours and routes (main table) and follow
 * them on the event loop. Nothing is read before ctl_netlink_resync(). Handler and ctx are
 * borrowed for the life of nl. 0 or -errno with a sentence.
 */
int ctl_netlink_new(struct ctl_netlink **nl, struct event_base *base,
		    const struct ctl_netlink_handler *handler, void *ctx, struct spw_err *err);
void ctl_netlink_free(struct ctl_netlink *nl);
/*
 * Read everything anew, now (waits for the kernel). Called by itself after an overrun of the
 * socket; by the owner after a link was lost, because the kernel drops routes then without a word.
 */
void ctl_netlink_resync(struct ctl_netlink *nl);
/* Ask for a resync from inside a handler: done after the batch. */
void ctl_netlink_resync_later(struct ctl_netlink *nl);
/* When the batch at hand was read, CLOCK_MONOTONIC. */
uint64_t ctl_netlink_batch_ns(const struct ctl_netlink *nl);

/* Requests; each waits for the kernel's answer: 0 or -errno. */
int ctl_netlink_link_set(struct ctl_netlink *nl, uint32_t index, const uint8_t *mac, uint32_t mtu,
			 bool up);
int ctl_netlink_link_del(struct ctl_netlink *nl, uint32_t index);
int ctl_netlink_addr_set(struct ctl_netlink *nl, uint32_t index, const struct spw_prefix *prefix,
			 bool add);
/*
 * Make (replacing the one of that prefix and metric) or remove a route of ours in the main table.
 * Only prefix, metric and hops count: a hop's index may be 0 (by the gateway); RTNH_F_ONLINK in its
 * flags says that the gateway lies in no network of the interface.
 */
int ctl_netlink_route_set(struct ctl_netlink *nl, const struct ctl_nl_route *route, bool add);
/* Resolve a neighbour and keep it resolved (NTF_EXT_MANAGED), or end that. */
int ctl_netlink_neigh_manage(struct ctl_netlink *nl, uint32_t index, const struct spw_addr *addr,
			     bool keep);

/* Fill the structure of a message; false when it is none of ours. Pure, used by the tests. */
struct nlmsghdr;
bool ctl_netlink_parse_link(const struct nlmsghdr *n, struct ctl_nl_link *out);
bool ctl_netlink_parse_addr(const struct nlmsghdr *n, struct ctl_nl_addr *out);
bool ctl_netlink_parse_neigh(const struct nlmsghdr *n, struct ctl_nl_neigh *out);
bool ctl_netlink_parse_route(const struct nlmsghdr *n, struct ctl_nl_route *out);

#endif
