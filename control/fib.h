/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: from kernel routes and preference to paths, groups and leaves. */
#ifndef SPW_CONTROL_FIB_H
#define SPW_CONTROL_FIB_H

#include "control/runtime_priv.h"

/* Mark for the next ctl_fib_update(): an entry, the groups of a vnet, its leaves from a prefix
 * length on, everything. */
void ctl_fib_dirty_entry(struct ctl_runtime *rt, struct ctl_rib_entry *entry);
void ctl_fib_dirty_vnet(struct ctl_runtime *rt, struct ctl_vnet_state *vnet);
void ctl_fib_dirty_leaves(struct ctl_runtime *rt, struct ctl_vnet_state *vnet,
			  unsigned int from_len);
void ctl_fib_dirty_all(struct ctl_runtime *rt);
/* A kernel route of this entry came, changed or went, or BGP has said so. */
void ctl_fib_route_changed(struct ctl_runtime *rt, struct ctl_rib_entry *entry);
/* What BGP neighbours that live in tunnels give has changed. */
void ctl_fib_tunnels_changed(struct ctl_runtime *rt);
/* ExpressRoute next hops of this entry are about to go: keep them for the hold-off of its vnet. */
void ctl_fib_hold(struct ctl_runtime *rt, struct ctl_rib_entry *entry);
/* When what is held of an entry ends for a vnet, or for the last one that holds (NULL). */
uint64_t ctl_fib_hold_end(const struct ctl_runtime *rt, const struct ctl_vnet_state *vnet,
			  const struct ctl_rib_entry *entry);
/* Mark the leaves of the vnets for which a hold-off has ended, and see when the next one ends. */
void ctl_fib_holds_end(struct ctl_runtime *rt, uint64_t now_ns);
/* vnets.c: after a commit: the covering leaves, tunnels and neighbours of the configured vnets. */
void ctl_fib_covers(struct ctl_runtime *rt);
/*
 * Evaluate what is dirty, tell the data plane, note the switches. Order on the wire: what takes
 * packets away from a dead path first, then groups and leaves, and a path that was lost is set
 * up only when the groups say that it waits. Paths and groups are done when it returns; of many
 * dirty entries the oldest are, the event loop goes on with the others.
 */
void ctl_fib_update(struct ctl_runtime *rt);
/* The same, to the last entry: before a sweep, before objects are freed. */
void ctl_fib_update_all(struct ctl_runtime *rt);
/* The data plane cleared a path's bit by itself. */
void ctl_fib_path_cleared(struct ctl_runtime *rt, uint32_t path, uint32_t clears, uint64_t at_ns);
/* For a sync: forget what the data plane knows, take over its bits, tell it all. */
void ctl_fib_forget(struct ctl_runtime *rt);
void ctl_fib_adopt_paths(struct ctl_runtime *rt);
/* collect.c: delete groups and paths that nothing uses any more. */
void ctl_fib_collect(struct ctl_runtime *rt);
void ctl_fib_free(struct ctl_runtime *rt);

/* leaves.c */
/* Give an entry the group of its candidates, or none. */
void ctl_leaf_assign(struct ctl_runtime *rt, struct ctl_rib_entry *entry);
/* The data plane is to be told of the leaf of an entry. */
void ctl_leaf_changed(struct ctl_runtime *rt, struct ctl_rib_entry *entry);
/* Tell it: leaves first that are set, then those that go: a covering leaf is there before it is
 * needed. */
void ctl_leaves_send(struct ctl_runtime *rt);
/* The changes are told, or nobody is there to be told. */
void ctl_leaves_done(struct ctl_runtime *rt);
/* Remove an entry that is not needed, unless its flaps are to be remembered. */
void ctl_leaf_forget(struct ctl_runtime *rt, struct ctl_rib_entry *entry);

/* paths.c */
struct ctl_path *ctl_path_get(struct ctl_runtime *rt, enum spw_dp_path_kind kind,
			      struct ctl_iface *iface, struct ctl_tun *tun,
			      const struct spw_addr *next_hop);
struct ctl_path *ctl_path_by_id(struct ctl_runtime *rt, uint32_t id);
/*
 * Raise or end a fault of a path. What changes by it is evaluated and sent at once.
 * @event_ns   CLOCK_MONOTONIC of the first local sign
 * @detect_ms  from the last sign of life to event_ns; negative = not known
 */
void ctl_path_fault(struct ctl_runtime *rt, struct ctl_path *path, enum ctl_path_fault fault,
		    bool on, uint64_t event_ns, double detect_ms);
/* "bfd-timeout", "bgp-down", "probe-lost": the cause that a fault gives to a switch. */
const char *ctl_path_fault_name(enum ctl_path_fault fault);
/* The path of an adjacency, when it exists; never makes one. */
struct ctl_path *ctl_path_find(const struct ctl_runtime *rt, const struct ctl_iface *iface,
			       const struct spw_addr *next_hop);
/* Recompute which paths are alive; vnets that are touched become dirty. */
void ctl_paths_check(struct ctl_runtime *rt);
/*
 * Give back the number of a path that no route names any more. One that was lost lately keeps it,
 * and by it what damping knows of it, until the losses do not count any more.
 */
void ctl_path_give_back(struct ctl_runtime *rt, const struct ctl_path *path);
void ctl_paths_give_back_quiet(struct ctl_runtime *rt);
/* Tell neighbours what is announced to them, when that changed with a path; after the packets. */
void ctl_paths_announce(struct ctl_runtime *rt);
void ctl_paths_send_new(struct ctl_runtime *rt);
/* Send bits that fell, or bits that rise; `restored`: those that had been lost. */
void ctl_paths_send_down(struct ctl_runtime *rt);
void ctl_paths_send_up(struct ctl_runtime *rt, bool restored);
/* Once a second, before what watches the paths is asked: read bits where a decision was stale. */
void ctl_paths_tick(struct ctl_runtime *rt);
void ctl_path_free(struct ctl_runtime *rt, struct ctl_path *path);
/* When the wait-to-restore of a path ends under a vnet, damping counted in; 0 = it does not wait.
 */
uint64_t ctl_path_wait_end(const struct ctl_vnet_state *vnet, const struct ctl_path *path,
			   uint64_t now_ns);
bool ctl_link_is_up(const struct ctl_iface *iface);

/* groups.c */
/* The group of a recipe (all its bytes set), with a reference less: NULL for the drop group (no
 * level, no vnet). */
struct ctl_group *ctl_group_get(struct ctl_runtime *rt, const struct ctl_recipe *recipe);
/* A leaf begins or ends to use a group. */
void ctl_group_join(struct ctl_runtime *rt, struct ctl_group *group);
void ctl_group_leave(struct ctl_group *group);
struct ctl_group *ctl_group_by_id(struct ctl_runtime *rt, uint32_t id);
/* Recompute the content of the groups of dirty vnets. */
void ctl_groups_evaluate(struct ctl_runtime *rt);
/* Recompute what carries the groups outside every vnet. */
void ctl_groups_evaluate_plain(struct ctl_runtime *rt);
void ctl_groups_send(struct ctl_runtime *rt);
void ctl_groups_forget(struct ctl_runtime *rt);
void ctl_groups_collect(struct ctl_runtime *rt);
void ctl_groups_each(struct ctl_runtime *rt, void (*visit)(void *ctx, struct ctl_group *g),
		     void *ctx);
void ctl_groups_free(struct ctl_runtime *rt);

/* vnets.c */
/*
 * Tell the vnet whose address space holds the prefix, or NULL: the first in the configuration's
 * order of which one prefix contains it.
 */
struct ctl_vnet_state *ctl_vnet_of(struct ctl_runtime *rt, const struct spw_prefix *prefix);
/* True when the prefix covers some vnet prefix. */
bool ctl_prefix_covers_vnet(const struct ctl_vnet_state *vnet, const struct spw_prefix *prefix);
/* False when no vnet prefix is as long as this one: then it covers none. */
bool ctl_prefix_may_cover(const struct ctl_runtime *rt, const struct spw_prefix *prefix);
bool ctl_vnet_has_tunnel(const struct ctl_vnet_state *vnet, const struct ctl_tun *tun);
/* True when the circuit of the interface leads to the vnet. */
bool ctl_vnet_uses_circuit(const struct ctl_vnet_state *vnet, const struct ctl_iface *iface);
/* When something that came back at restored_ns (0 = was never lost) may carry again for a vnet,
 * damping counted in; 0 = at once. */
uint64_t ctl_vnet_wait_end(const struct ctl_vnet_state *vnet, uint64_t restored_ns,
			   const struct ctl_damping *damping, uint64_t now_ns);

/* recipe.c */
/* The candidates of an entry, all bytes set; false when it has no leaf of its own. vnet: NULL =
 * outside of every vnet. */
bool ctl_entry_recipe(struct ctl_runtime *rt, struct ctl_vnet_state *vnet,
		      const struct ctl_rib_entry *entry, struct ctl_recipe *recipe);
/* The ExpressRoute next hops of an entry over the circuits of a vnet (NULL = all), held ones too,
 * as a level that does not wait; false when there are none. */
bool ctl_entry_level(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet,
		     const struct ctl_rib_entry *entry, struct ctl_level *level);
/* The same without those that are held. */
bool ctl_entry_own_level(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet,
			 const struct ctl_rib_entry *entry, struct ctl_level *level);
/* When the wait of a level's route ends; 0 = it does not wait. */
uint64_t ctl_level_wait_end(const struct ctl_vnet_state *vnet, const struct ctl_level *level,
			    uint64_t now_ns);

#endif
