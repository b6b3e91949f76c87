/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the mirror of the kernel's routes to the leaves of the data plane.
 *
 * Outside every vnet a prefix gets the next hops of its best kernel route, as far as they leave by
 * our interfaces. Inside a vnet only next hops over ExpressRoute interfaces count (what points
 * elsewhere would carry protected traffic in the clear, so it gets no leaf), and each prefix of
 * the vnet itself has a covering leaf, whether the kernel knows it or not: group = [ExpressRoute
 * next hops that cover it][tunnels], so a withdrawn prefix falls to it and is never unroutable.
 * A more specific prefix inherits the next hops of shorter ones behind its own, because the
 * tunnel may be used only while none stands.
 *
 * Entries are marked dirty, evaluated once for a batch of events, and sent when their leaf
 * changed. While the data plane is away nothing is sent; a sync sends all. One thread.
 */
#include "control/fib.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/failover.h"
#include "control/watch_private.h"

#define BATCH 1024

struct ctl_vnet_state *
ctl_vnet_of(struct ctl_runtime *rt, const struct spw_prefix *prefix)
{
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		for (unsigned int i = 0; v->keep && i < v->conf.n_prefixes; i++)
			if (spw_prefix_contains(&v->conf.prefix[i], prefix))
				return v;
	return NULL;
}

bool
ctl_prefix_covers_vnet(const struct ctl_vnet_state *vnet, const struct spw_prefix *prefix)
{
	for (unsigned int i = 0; i < vnet->conf.n_prefixes; i++)
		if (spw_prefix_contains(prefix, &vnet->conf.prefix[i]))
			return true;
	return false;
}

bool
ctl_vnet_waits(struct ctl_vnet_state *vnet, uint64_t restored_ns, uint64_t now_ns)
{
	uint64_t at = restored_ns + vnet->conf.wait_to_restore_s * SPW_NS_PER_S;
	bool recalled = restored_ns == 0 && now_ns < vnet->recalled_until_ns;

	if (recalled)
		at = vnet->recalled_until_ns;
	else if (!ctl_preference_waits(restored_ns, vnet->conf.wait_to_restore_s,
				       vnet->wait_over_ns, now_ns))
		return false;
	if (vnet->restore_at_ns == 0 || at < vnet->restore_at_ns)
		vnet->restore_at_ns = at;
	return true;
}

void
ctl_fib_dirty_entry(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	if (entry->dirty)
		return;
	entry->dirty = true;
	entry->dirty_next = rt->dirty;
	rt->dirty = entry;
}

void
ctl_fib_dirty_vnet(struct ctl_runtime *rt, struct ctl_vnet_state *vnet)
{
	vnet->dirty = true;
	for (struct ctl_rib_entry *e = vnet->leaves; e; e = e->vnet_next)
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
}

static struct ctl_path *
hop_path(struct ctl_runtime *rt, struct ctl_iface *iface, const struct ctl_nl_hop *hop)
{
	if (iface->tunnel)
		return ctl_path_get(rt, SPW_PATH_TUNNEL, NULL, iface->tunnel, NULL);
	if (hop->gateway.family)
		return ctl_path_get(rt, SPW_PATH_ADJACENCY, iface, NULL, &hop->gateway);
	return ctl_path_get(rt, SPW_PATH_CONNECTED, iface, NULL, NULL);
}

static bool
level_has(const struct ctl_level *level, uint32_t path)
{
	for (unsigned int i = 0; i < level->n; i++)
		if (level->path[i] == path)
			return true;
	return false;
}

static void
level_put(struct ctl_level *level, const struct ctl_path *p, unsigned int weight)
{
	if (!p || level->n == CTL_PREF_HOPS || level_has(level, p->id))
		return;
	level->path[level->n] = p->id;
	level->weight[level->n++] = (uint8_t)(weight < 255 ? weight : 255);
}

/* Next hops of a route over our interfaces (expressroute: over those of that role only). */
static void
route_level(struct ctl_runtime *rt, const struct ctl_rib_route *r, bool expressroute,
	    struct ctl_level *level)
{
	for (unsigned int i = 0; i < r->n_hops; i++) {
		struct ctl_iface *iface = ctl_iface_by_index(rt, r->hop[i].index);

		if (iface && (!expressroute || iface->role == SPW_IF_ROLE_EXPRESSROUTE))
			level_put(level, hop_path(rt, iface, &r->hop[i]), r->hop[i].weight);
	}
}

bool
ctl_entry_level(struct ctl_runtime *rt, const struct ctl_rib_entry *entry, struct ctl_level *level)
{
	memset(level, 0, sizeof(*level));
	for (const struct ctl_rib_route *r = entry->routes; r && level->n == 0; r = r->next)
		route_level(rt, r, true, level);
	if (level->n == 0 && entry->held && entry->held_until_ns > spw_clock_ns())
		route_level(rt, entry->held, true, level);
	return level->n > 0;
}

/* Candidates of a destination in a vnet: its own next hops, then those of covering routes. */
static void
protected_recipe(struct ctl_runtime *rt, struct ctl_vnet_state *vnet,
		 const struct ctl_rib_entry *entry, struct ctl_recipe *recipe)
{
	uint64_t now = spw_clock_ns();

	memset(recipe, 0, sizeof(*recipe));
	recipe->vnet = vnet;
	for (const struct ctl_rib_entry *e = entry; e && recipe->n_levels < CTL_PREF_LEVELS;
	     e = ctl_rib_covering(&rt->rib, &entry->prefix.addr, e->prefix.len)) {
		struct ctl_level *level = &recipe->level[recipe->n_levels];

		if (!ctl_entry_level(rt, e, level))
			continue;
		level->waiting = ctl_vnet_waits(vnet, e->restored_ns, now);
		recipe->n_levels++;
	}
	memset(&recipe->level[recipe->n_levels], 0,
	       sizeof(recipe->level[0]) * (CTL_PREF_LEVELS - recipe->n_levels));
}

/* Recipe of an entry. false: it has no leaf of its own. */
static bool
entry_recipe(struct ctl_runtime *rt, struct ctl_vnet_state *vnet, const struct ctl_rib_entry *entry,
	     struct ctl_recipe *recipe)
{
	struct ctl_level own;

	memset(recipe, 0, sizeof(*recipe));
	if (vnet) {
		if (!entry->is_cover && !ctl_entry_level(rt, entry, &own))
			return false;
		protected_recipe(rt, vnet, entry, recipe);
		return true;
	}
	for (const struct ctl_rib_route *r = entry->routes; r; r = r->next) {
		if (r->type != RTN_UNICAST)
			return true; /* blackhole and its kin: the drop leaf */
		route_level(rt, r, false, &recipe->level[0]);
		if (recipe->level[0].n > 0) {
			recipe->n_levels = 1;
			return true;
		}
	}
	return false;
}

static void
vnet_unlink(struct ctl_rib_entry *entry)
{
	if (!entry->vnet)
		return;
	struct ctl_rib_entry **at = &entry->vnet->leaves;

	while (*at != entry)
		at = &(*at)->vnet_next;
	*at = entry->vnet_next;
	entry->vnet = NULL;
}

static void
vnet_link(struct ctl_vnet_state *vnet, struct ctl_rib_entry *entry)
{
	if (entry->vnet == vnet)
		return;
	vnet_unlink(entry);
	if (!vnet)
		return;
	entry->vnet = vnet;
	entry->vnet_next = vnet->leaves;
	vnet->leaves = entry;
}

static void
mark_changed(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	if (entry->changed)
		return;
	entry->changed = true;
	entry->changed_next = rt->changed;
	rt->changed = entry;
}

static void
assign(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	struct ctl_vnet_state *vnet = ctl_vnet_of(rt, &entry->prefix);
	struct ctl_recipe recipe;
	bool wanted = entry_recipe(rt, vnet, entry, &recipe);
	struct ctl_group *g = wanted ? ctl_group_get(rt, &recipe) : NULL;

	vnet_link(wanted ? vnet : NULL, entry);
	if (wanted != entry->has_leaf || g != entry->leaf || (wanted && !entry->sent) ||
	    (!wanted && !entry->routes))
		mark_changed(rt, entry);
	if (g != entry->leaf) {
		if (g)
			g->refs++;
		if (entry->leaf)
			entry->leaf->refs--;
		entry->leaf = g;
		entry->sent = entry->sent && !wanted ? entry->sent : false;
	}
	entry->has_leaf = wanted;
}

static void
hold_routes(struct ctl_vnet_state *vnet, struct ctl_rib_entry *entry)
{
	const struct ctl_rib_route *r = entry->routes;

	if (vnet->conf.hold_off_ms == 0 || !r || entry->held)
		return;
	size_t size = sizeof(*r) + sizeof(r->hop[0]) * r->n_hops;

	entry->held = malloc(size);
	if (entry->held) {
		memcpy(entry->held, r, size);
		entry->held_until_ns = spw_clock_ns() + vnet->conf.hold_off_ms * SPW_NS_PER_MS;
		vnet->hold_at_ns = entry->held_until_ns;
	}
}

void
ctl_fib_hold(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	struct ctl_level level;

	if (!ctl_entry_level(rt, entry, &level))
		return;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v == ctl_vnet_of(rt, &entry->prefix) ||
		    ctl_prefix_covers_vnet(v, &entry->prefix))
			hold_routes(v, entry);
}

/* Note whether ExpressRoute next hops came or went, and who else is touched by that. */
static void
note_expressroute(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	struct ctl_level level;

	if (entry->held && entry->held_until_ns <= spw_clock_ns()) {
		free(entry->held);
		entry->held = NULL;
		entry->had_expressroute = false;
	}
	bool has = ctl_entry_level(rt, entry, &level);

	if (has && !entry->had_expressroute && rt->kernel_known)
		entry->restored_ns = spw_clock_ns();
	entry->had_expressroute = has;
}

void
ctl_fib_route_changed(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	bool before = entry->had_expressroute;

	ctl_fib_dirty_entry(rt, entry);
	note_expressroute(rt, entry);
	if (!before && !entry->had_expressroute)
		return;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v == ctl_vnet_of(rt, &entry->prefix) ||
		    ctl_prefix_covers_vnet(v, &entry->prefix))
			ctl_fib_dirty_vnet(rt, v);
}

static void
cover_clear(void *ctx, struct ctl_rib_entry *entry)
{
	entry->is_cover = false;
}

void
ctl_fib_covers(struct ctl_runtime *rt)
{
	ctl_rib_each(&rt->rib, cover_clear, rt);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		for (unsigned int i = 0; v->keep && i < v->conf.n_prefixes; i++) {
			struct ctl_rib_entry *e = ctl_rib_get(&rt->rib, &v->conf.prefix[i]);

			if (e)
				e->is_cover = true;
		}
}

/* Evaluate what is marked. Marks may come back once, when a wait was found to be over. */
static void
evaluate(struct ctl_runtime *rt)
{
	for (unsigned int round = 0; round < 3; round++) {
		struct ctl_rib_entry *e = rt->dirty;

		rt->dirty = NULL;
		for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
			if (v->dirty)
				v->restore_at_ns = 0;
		for (struct ctl_rib_entry *next; e; e = next) {
			next = e->dirty_next;
			e->dirty = false;
			note_expressroute(rt, e);
			assign(rt, e);
		}
		ctl_groups_evaluate(rt);
		if (!ctl_failover_end_waits(rt))
			break;
	}
}

struct batch {
	struct ctl_runtime *rt;
	uint16_t number;
	size_t n;
	struct spw_dp_route route[BATCH];
	struct ctl_rib_entry *entry[BATCH];
};

static void
batch_flush(struct batch *b)
{
	struct spw_err err = {0};
	int rc;

	if (b->n == 0)
		return;
	rc = ctl_dataplane_send(b->rt, b->number, b->route, sizeof(b->route[0]), b->n, -1, &err);
	if (rc != 0 && rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "fib", "routes-refused", "count=%zu error=\"%s\"", b->n,
			err.text);
	for (size_t i = 0; i < b->n; i++)
		b->entry[i]->sent = rc == 0 && b->number == SPW_DP_ROUTE_SET;
	b->n = 0;
}

static void
batch_put(struct batch *b, struct ctl_rib_entry *e)
{
	b->entry[b->n] = e;
	b->route[b->n++] = (struct spw_dp_route){.prefix = e->prefix,
						 .group = e->leaf ? e->leaf->id : 0,
						 .generation = b->rt->generation};
	if (b->n == BATCH)
		batch_flush(b);
}

/* Leaves first that are set, then those that go: a covering leaf is there before it is needed. */
static void
send_leaves(struct ctl_runtime *rt)
{
	static struct batch set, del;

	set = (struct batch){.rt = rt, .number = SPW_DP_ROUTE_SET};
	del = (struct batch){.rt = rt, .number = SPW_DP_ROUTE_DEL};
	for (struct ctl_rib_entry *e = rt->changed; e; e = e->changed_next) {
		if (e->has_leaf && !(e->leaf && !e->leaf->in_dataplane))
			batch_put(&set, e);
		else if (!e->has_leaf && e->sent)
			batch_put(&del, e);
	}
	batch_flush(&set);
	batch_flush(&del);
}

static bool
is_needed(const struct ctl_rib_entry *e)
{
	return e->routes || e->is_cover || e->held || e->has_leaf || e->sent || e->dirty;
}

static void
changed_done(struct ctl_runtime *rt)
{
	for (struct ctl_rib_entry *e = rt->changed, *next; e; e = next) {
		next = e->changed_next;
		e->changed = false;
		if (!is_needed(e)) {
			vnet_unlink(e);
			ctl_rib_remove(&rt->rib, e);
		}
	}
	rt->changed = NULL;
}

void
ctl_fib_update(struct ctl_runtime *rt)
{
	ctl_paths_check(rt);
	evaluate(rt);
	if (rt->in_sync && ctl_dataplane_connected(rt)) {
		ctl_paths_send_new(rt);
		ctl_paths_send_down(rt);
		ctl_paths_send_up(rt, false);
		ctl_groups_send(rt);
		send_leaves(rt);
		ctl_paths_send_up(rt, true);
	}
	ctl_failover_evaluate(rt);
	changed_done(rt);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		v->dirty = false;
	rt->trigger = (struct ctl_trigger){0};
}

static void
forget_entry(void *ctx, struct ctl_rib_entry *e)
{
	e->sent = false;
	mark_changed(ctx, e);
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

static void
mark_used(void *ctx, struct ctl_group *g)
{
	struct ctl_runtime *rt = ctx;

	for (unsigned int l = 0; l < g->recipe.n_levels; l++)
		for (unsigned int h = 0; h < g->recipe.level[l].n; h++)
			if (rt->path[g->recipe.level[l].path[h]])
				rt->path[g->recipe.level[l].path[h]]->refs++;
}

void
ctl_fib_collect(struct ctl_runtime *rt)
{
	ctl_groups_collect(rt);
	for (struct ctl_path *p = rt->paths; p; p = p->next)
		p->refs = p->kind == SPW_PATH_TUNNEL && p->tunnel->keep;
	ctl_groups_each(rt, mark_used, rt);
	for (struct ctl_path *p = rt->paths, *next; p; p = next) {
		struct spw_dp_object o = {.class = SPW_DP_CLASS_PATH, .id = p->id};

		next = p->next;
		if (p->refs > 0)
			continue;
		ctl_watch_path_gone(rt, p);
		if (p->in_dataplane)
			ctl_dataplane_send(rt, SPW_DP_OBJECT_DEL, &o, sizeof(o), 1, -1, NULL);
		ctl_ids_put(rt->ids, CTL_ID_PATH, p->key);
		ctl_path_free(rt, p);
	}
}

void
ctl_fib_free(struct ctl_runtime *rt)
{
	ctl_groups_free(rt);
	while (rt->paths)
		ctl_path_free(rt, rt->paths);
	ctl_rib_fini(&rt->rib);
}
