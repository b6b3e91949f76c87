/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: mirror of the kernel's routes, and the leaf that each prefix has. */
#ifndef SPW_CONTROL_RIB_H
#define SPW_CONTROL_RIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/damping.h"
#include "control/netlink.h"

struct ctl_group;
struct ctl_vnet_state;

/* One kernel route; several of different metric may have the same prefix. */
struct ctl_rib_route {
	struct ctl_rib_route *next; /* by metric */
	uint32_t metric;
	uint8_t protocol, type, n_hops;
	bool stale;    /* mark of a resync */
	bool retained; /* the kernel has it no more, bgpd restarts (bmp_restart.c) */
	struct ctl_nl_hop hop[];
};

/* A prefix: the kernel's routes for it and what the data plane has been told. */
struct ctl_rib_entry {
	struct ctl_rib_entry *hash_next;
	struct spw_prefix prefix;
	struct ctl_rib_route *routes;
	/* Evaluation (fib.c). */
	struct ctl_rib_entry *dirty_next, *changed_next, *vnet_next, **vnet_at;
	struct ctl_vnet_state *vnet; /* whose list it is in */
	struct ctl_group *leaf;	     /* as it should be; NULL with has_leaf: the drop leaf */
	bool has_leaf, sent, dirty, changed, is_cover, had_expressroute;
	bool remembered; /* kept for its flaps only */
	struct ctl_damping damping; /* how often ExpressRoute next hops went lately */
	uint64_t restored_ns;	    /* when ExpressRoute next hops came back, 0 = never lost */
	struct ctl_rib_route *held; /* next hops of a withdrawn route during hold-off */
	uint64_t held_ns;	    /* since when */
};

struct ctl_rib {
	struct ctl_rib_entry **bucket;
	size_t n_buckets, n;
	uint32_t n_by_len[129]; /* entries of each prefix length */
};

/* 0 or -ENOMEM. */
int ctl_rib_init(struct ctl_rib *rib);
void ctl_rib_fini(struct ctl_rib *rib);
/* Entry of exactly this prefix (masked), or NULL. */
struct ctl_rib_entry *ctl_rib_find(const struct ctl_rib *rib, const struct spw_prefix *prefix);
/* The same, made when missing; NULL when out of memory. */
struct ctl_rib_entry *ctl_rib_get(struct ctl_rib *rib, const struct spw_prefix *prefix);
/* The entry with the longest prefix shorter than `len` bits that covers addr, or NULL. */
struct ctl_rib_entry *ctl_rib_covering(const struct ctl_rib *rib, const struct spw_addr *addr,
				       int len);
/* Remove an entry; its routes are freed. */
void ctl_rib_remove(struct ctl_rib *rib, struct ctl_rib_entry *entry);
/* Visit all entries; the visitor may remove the one it is given. */
void ctl_rib_each(struct ctl_rib *rib, void (*visit)(void *ctx, struct ctl_rib_entry *entry),
		  void *ctx);
/*
 * Add or replace a kernel route in its entry (same prefix and metric = the same route).
 * Returns true when it differs from before.
 */
bool ctl_rib_route_put(struct ctl_rib_entry *entry, const struct ctl_nl_route *route);
/*
 * Remove the kernel route of this metric; of IPv6 only the next hops that are named, because the
 * kernel deletes them singly, and the route with the last. true when something went.
 */
bool ctl_rib_route_del(struct ctl_rib_entry *entry, const struct ctl_nl_route *route);
/*
 * True for the host route to a tunnel's far end (pins.c): its leaf has the next hops of that route
 * alone and no vnet protects it, whatever address space it lies in.
 */
bool ctl_rib_is_pin(const struct ctl_rib_entry *entry);
/* The kernel route of this metric, or NULL. */
struct ctl_rib_route *ctl_rib_route_find(struct ctl_rib_entry *entry, uint32_t metric);
/* Remove all stale routes. true when there was one. */
bool ctl_rib_route_sweep(struct ctl_rib_entry *entry);

#endif
