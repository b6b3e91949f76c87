/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Once a second: what nothing uses any more goes.
 *
 * Groups without a leaf, then paths that no group names; leaves whose wait is over join the
 * group of those that never waited (their group decides the same by now, but one for each moment
 * of a return would pile up); withdrawn prefixes that are remembered because they flapped are
 * forgotten when they have been quiet. One thread.
 */
#include "control/dataplane.h"
#include "control/fib.h"
#include "control/pins.h"
#include "control/watch_private.h"

#define REHOME_NS (10 * SPW_NS_PER_S)
#define PURGE_NS  (60 * SPW_NS_PER_S)

static void
level_use(struct ctl_runtime *rt, const struct ctl_level *level)
{
	for (unsigned int h = 0; h < level->n; h++)
		if (rt->path[level->path[h]])
			rt->path[level->path[h]]->refs++;
}

static void
mark_used(void *ctx, struct ctl_group *g)
{
	for (unsigned int l = 0; l < g->recipe.n_levels; l++)
		level_use(ctx, &g->recipe.level[l]);
	level_use(ctx, &g->recipe.internet);
	level_use(ctx, &g->recipe.last);
}

static bool
wait_is_over(const struct ctl_group *g, uint64_t now)
{
	for (unsigned int l = 0; g && l < g->recipe.n_levels; l++)
		if (g->recipe.level[l].until_ds && g->recipe.vnet &&
		    !ctl_level_wait_end(g->recipe.vnet, &g->recipe.level[l], now))
			return true;
	return false;
}

/* Leaves whose wait is over join the others again, so that groups do not pile up. */
static void
rehome(struct ctl_runtime *rt, struct ctl_vnet_state *v, uint64_t now)
{
	bool any = false;

	if (now - v->rehome_ns < REHOME_NS)
		return;
	for (const struct ctl_group *g = v->groups; g && !any; g = g->next)
		any = g->refs > 0 && wait_is_over(g, now);
	if (!any)
		return;
	v->rehome_ns = now;
	for (struct ctl_rib_entry *e = v->leaves; e; e = e->vnet_next)
		if (wait_is_over(e->leaf, now))
			ctl_fib_dirty_entry(rt, e);
}

static void
purge_entry(void *ctx, struct ctl_rib_entry *e)
{
	if (e->remembered)
		ctl_leaf_forget(ctx, e);
}

/* Withdrawn prefixes that have been quiet. */
static void
purge(struct ctl_runtime *rt, uint64_t now)
{
	if (rt->n_remembered == 0 || now - rt->purged_ns < PURGE_NS)
		return;
	rt->purged_ns = now;
	ctl_rib_each(&rt->rib, purge_entry, rt);
}

void
ctl_fib_collect(struct ctl_runtime *rt)
{
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		rehome(rt, v, spw_clock_ns());
	purge(rt, spw_clock_ns());
	ctl_groups_collect(rt);
	for (struct ctl_path *p = rt->paths; p; p = p->next)
		p->refs = p->kind == SPW_PATH_TUNNEL && p->tunnel->keep;
	ctl_groups_each(rt, mark_used, rt);
	ctl_pins_use_paths(rt);
	for (struct ctl_path *p = rt->paths, *next; p; p = next) {
		struct spw_dp_object o = {.class = SPW_DP_CLASS_PATH, .id = p->id};

		next = p->next;
		if (p->refs > 0)
			continue;
		ctl_watch_path_gone(rt, p);
		if (p->in_dataplane)
			ctl_dataplane_send(rt, SPW_DP_OBJECT_DEL, &o, sizeof(o), 1, -1, NULL);
		ctl_path_give_back(rt, p);
		ctl_path_free(rt, p);
	}
	ctl_paths_give_back_quiet(rt);
}
