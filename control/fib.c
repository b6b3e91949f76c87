/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the mirror of the kernel's routes to the leaves of the data plane.
 *
 * Outside every vnet a prefix gets the next hops of its best kernel route, as far as they leave by
 * our interfaces. Inside a vnet only next hops over ExpressRoute interfaces count (what points
 * elsewhere would carry protected traffic in the clear, so it gets no leaf), and each prefix of
 * the vnet itself has a covering leaf, whether the kernel knows it or not: group = [ExpressRoute
 * next hops that cover it][backup], so a withdrawn prefix falls to it and is never unroutable.
 * A more specific prefix inherits the next hops of shorter ones behind its own, because the
 * backup may be used only while none stands.
 *
 * Bits first: what takes packets away from a dead path is one message, whatever stands behind it,
 * and is sent before any route is looked at. A path that dies or returns, a wait that ends and an
 * operator's word change groups, never leaves. What is left for single routes is a queue: entries
 * are marked dirty once for a batch of events, oldest first, and evaluated a bounded number at a
 * time; between two turns the event loop sees everything else. A change of a covering route marks
 * what inherits from it, for large vnets a few times a second at most. Memory: a link in each
 * entry. While the data plane is away nothing is sent; a sync sends all. What one entry comes to is
 * in leaves.c. One thread.
 */
#include "control/fib.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/failover.h"

/* Entries that are evaluated in a turn of the event loop: some milliseconds. */
#define TURN 4096
/* Vnets with more leaves mark those that inherit not oftener than this. */
#define LARGE_VNET 8192
#define SPREAD_NS  (200 * SPW_NS_PER_MS)
/* What is held is looked through not oftener than this. */
#define HOLD_LOOK_NS (20 * SPW_NS_PER_MS)

void
ctl_fib_dirty_entry(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	if (entry->dirty)
		return;
	entry->dirty = true;
	entry->dirty_next = NULL;
	if (rt->dirty)
		rt->dirty_last->dirty_next = entry;
	else
		rt->dirty = entry;
	rt->dirty_last = entry;
}

void
ctl_fib_dirty_vnet(struct ctl_runtime *rt, struct ctl_vnet_state *vnet)
{
	vnet->dirty = true;
}

void
ctl_fib_dirty_leaves(struct ctl_runtime *rt, struct ctl_vnet_state *vnet, unsigned int from_len)
{
	vnet->dirty = true;
	for (struct ctl_rib_entry *e = vnet->leaves; e; e = e->vnet_next)
		if (e->prefix.len >= from_len)
			ctl_fib_dirty_entry(rt, e);
}

static void
dirty_visit(void *ctx, struct ctl_rib_entry *entry)
{
	ctl_fib_dirty_entry(ctx, entry);
}

void
ctl_fib_dirty_all(struct ctl_runtime *rt)
{
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		v->dirty = true;
	ctl_rib_each(&rt->rib, dirty_visit, rt);
	ctl_groups_evaluate_plain(rt);
}

uint64_t
ctl_fib_hold_end(const struct ctl_runtime *rt, const struct ctl_vnet_state *vnet,
		 const struct ctl_rib_entry *entry)
{
	uint32_t longest = vnet ? vnet->conf.hold_off_ms : 0;

	for (const struct ctl_vnet_state *v = vnet ? NULL : rt->vnets; v; v = v->next)
		longest = v->conf.hold_off_ms > longest ? v->conf.hold_off_ms : longest;
	return entry->held_ns + longest * SPW_NS_PER_MS;
}

static void
hold_routes(struct ctl_rib_entry *entry)
{
	const struct ctl_rib_route *r = entry->routes;

	if (!r || entry->held)
		return;
	size_t size = sizeof(*r) + sizeof(r->hop[0]) * r->n_hops;

	entry->held = malloc(size);
	if (entry->held)
		memcpy(entry->held, r, size);
	entry->held_ns = spw_clock_ns();
}

/* Note when a hold-off ends, where that is the nearest end. */
static void
hold_ends(struct ctl_vnet_state *v, uint64_t end)
{
	if (v->hold_at_ns == 0 || end < v->hold_at_ns)
		v->hold_at_ns = end;
}

void
ctl_fib_hold(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	if (!entry->had_expressroute)
		return;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->conf.hold_off_ms && (v == ctl_vnet_of(rt, &entry->prefix) ||
					    ctl_prefix_covers_vnet(v, &entry->prefix))) {
			hold_routes(entry);
			if (entry->held)
				hold_ends(v, ctl_fib_hold_end(rt, v, entry));
		}
}

struct hold_look {
	struct ctl_runtime *rt;
	uint64_t now;
};

/* Held ones are looked at again, and each says when it ends for whom. */
static void
held_visit(void *ctx, struct ctl_rib_entry *entry)
{
	const struct hold_look *look = ctx;

	if (!entry->held)
		return;
	ctl_fib_dirty_entry(look->rt, entry);
	for (struct ctl_vnet_state *v = look->rt->vnets; v; v = v->next) {
		uint64_t end = ctl_fib_hold_end(look->rt, v, entry);

		if (v->conf.hold_off_ms && end > look->now)
			hold_ends(v, end);
	}
}

void
ctl_fib_holds_end(struct ctl_runtime *rt, uint64_t now_ns)
{
	struct hold_look look = {.rt = rt, .now = now_ns};
	bool any = false;

	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (v->hold_at_ns == 0 || v->hold_at_ns > now_ns)
			continue;
		v->hold_at_ns = 0;
		any = true;
		ctl_fib_dirty_leaves(rt, v, 0);
	}
	if (!any)
		return;
	ctl_rib_each(&rt->rib, held_visit, &look);
	/* Ends that lie close to each other cost one look. */
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->hold_at_ns && v->hold_at_ns < now_ns + HOLD_LOOK_NS)
			v->hold_at_ns = now_ns + HOLD_LOOK_NS;
}

/* Note whether ExpressRoute next hops came or went. */
static void
note_expressroute(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	struct ctl_level level;
	uint64_t now = spw_clock_ns();
	bool has;

	/* Its time is over, or there is nothing to stand in for. */
	if (entry->held && (ctl_fib_hold_end(rt, NULL, entry) <= now ||
			    ctl_entry_own_level(rt, NULL, entry, &level))) {
		free(entry->held);
		entry->held = NULL;
	}
	has = ctl_entry_level(rt, NULL, entry, &level);
	if (has != entry->had_expressroute && rt->kernel_known) {
		if (has)
			entry->restored_ns = now;
		else
			ctl_damping_lose(&entry->damping, now);
	}
	entry->had_expressroute = has;
}

static void
spread_later(struct ctl_vnet_state *v, unsigned int from_len)
{
	if (!v->spread || from_len < v->spread_len)
		v->spread_len = (uint8_t)from_len;
	v->spread = true;
}

/* Leaves that inherit from an entry are evaluated anew. */
static void
spread_mark(struct ctl_runtime *rt, const struct ctl_rib_entry *entry, bool expressroute)
{
	struct ctl_vnet_state *own = ctl_vnet_of(rt, &entry->prefix);

	if (own && expressroute)
		spread_later(own, entry->prefix.len + 1u);
	if (!ctl_prefix_may_cover(rt, &entry->prefix))
		return;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if ((expressroute || v->conf.peering == CTL_PEERING_MICROSOFT) &&
		    ctl_prefix_covers_vnet(v, &entry->prefix))
			spread_later(v, 0);
}

void
ctl_fib_tunnels_changed(struct ctl_runtime *rt)
{
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->learns)
			spread_later(v, 0);
}

void
ctl_fib_route_changed(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	bool before = entry->had_expressroute;
	struct ctl_level level;

	/* Withdrawn by BGP, in the kernel's table still: hold-off is for this, too. */
	if (before && entry->routes && !ctl_entry_level(rt, NULL, entry, &level))
		ctl_fib_hold(rt, entry);
	ctl_fib_dirty_entry(rt, entry);
	note_expressroute(rt, entry);
	spread_mark(rt, entry, before || entry->had_expressroute);
}

static bool
has_leaf_from(const struct ctl_vnet_state *v, unsigned int len)
{
	while (len <= 128 && v->n_by_len[len] == 0)
		len++;
	return len <= 128;
}

/* Mark what inherits; true when a large vnet has to wait for its time. */
static bool
spread(struct ctl_runtime *rt)
{
	uint64_t now = spw_clock_ns();
	bool later = false;

	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (!v->spread)
			continue;
		if (v->n_leaves > LARGE_VNET && now - v->spread_ns < SPREAD_NS &&
		    has_leaf_from(v, v->spread_len)) {
			later = true;
			continue;
		}
		v->spread = false;
		if (!has_leaf_from(v, v->spread_len))
			continue;
		v->spread_ns = now;
		ctl_fib_dirty_leaves(rt, v, v->spread_len);
	}
	return later;
}

static void
evaluate_entries(struct ctl_runtime *rt, size_t most)
{
	for (struct ctl_rib_entry *e; (e = rt->dirty) && most > 0; most--) {
		bool before = e->had_expressroute;

		rt->dirty = e->dirty_next;
		e->dirty = false;
		note_expressroute(rt, e);
		/* Not by its routes (ctl_fib_route_changed): an interface has another role. */
		if (before != e->had_expressroute)
			spread_mark(rt, e, true);
		ctl_leaf_assign(rt, e);
	}
}

/* Groups, then entries, then what the outcome itself ends: waits, requests. */
static void
evaluate(struct ctl_runtime *rt, size_t most)
{
	ctl_groups_evaluate(rt);
	evaluate_entries(rt, most);
	for (unsigned int round = 0; round < 3 && ctl_failover_settle(rt); round++)
		ctl_groups_evaluate(rt);
}

/* Go on later with what is left: at once, or when a large vnet may mark again. */
static void
go_on(struct ctl_runtime *rt, bool spread_waits)
{
	struct timeval tv = {.tv_usec = rt->dirty ? 0 : SPREAD_NS / SPW_NS_PER_US};

	if (!rt->dirty)
		rt->backlog = (struct ctl_trigger){0};
	else if (!rt->backlog.cause)
		rt->backlog = rt->trigger;
	/* A timer, not an active event: descriptors are looked at in between. */
	if ((rt->dirty || spread_waits) && rt->more)
		event_add(rt->more, &tv);
}

static void
update(struct ctl_runtime *rt, size_t most)
{
	bool spread_waits;
	bool told = rt->in_sync && ctl_dataplane_connected(rt);

	ctl_paths_check(rt);
	if (told) {
		ctl_paths_send_new(rt);
		ctl_paths_send_down(rt);
	}
	spread_waits = spread(rt);
	evaluate(rt, most);
	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		spread_waits |= v->spread;
	if (told) {
		ctl_paths_send_new(rt);
		ctl_paths_send_up(rt, false);
		ctl_groups_send(rt);
		ctl_leaves_send(rt);
		ctl_paths_send_up(rt, true);
	}
	ctl_failover_evaluate(rt);
	ctl_paths_announce(rt);
	ctl_leaves_done(rt);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		v->dirty = false;
	go_on(rt, spread_waits);
	rt->trigger = (struct ctl_trigger){0};
}

static void
on_more(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;

	if (!rt->trigger.cause)
		rt->trigger = rt->backlog;
	update(rt, TURN);
}

void
ctl_fib_update(struct ctl_runtime *rt)
{
	if (!rt->more)
		rt->more = evtimer_new(rt->base, on_more, rt);
	update(rt, rt->more ? TURN : SIZE_MAX);
}

void
ctl_fib_update_all(struct ctl_runtime *rt)
{
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		v->spread_ns = 0;
	update(rt, SIZE_MAX);
}

static void
forget_entry(void *ctx, struct ctl_rib_entry *e)
{
	e->sent = false;
	ctl_leaf_changed(ctx, e);
}

void
ctl_fib_forget(struct ctl_runtime *rt)
{
	for (struct ctl_path *p = rt->paths; p; p = p->next) {
		p->in_dataplane = p->bit = false;
		p->clears = 0;
	}
	ctl_groups_forget(rt);
	ctl_rib_each(&rt->rib, forget_entry, rt);
}

void
ctl_fib_free(struct ctl_runtime *rt)
{
	if (rt->more)
		event_free(rt->more);
	rt->more = NULL;
	ctl_groups_free(rt);
	while (rt->paths)
		ctl_path_free(rt, rt->paths);
	ctl_rib_fini(&rt->rib);
	if (rt->vnet_index.bucket)
		ctl_rib_fini(&rt->vnet_index);
}
