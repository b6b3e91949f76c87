/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The leaf of one entry: which group it has, and the list of those that changed until the data
 * plane is told. An entry of a vnet is linked into its vnet while it has a leaf there. What moves
 * from one kind of path to another is noted for the record of switches. An entry is freed here,
 * when nothing needs it any more and its flaps are not worth remembering. Memory: two links in each
 * entry. One thread.
 */
#include "control/fib.h"

#include <errno.h>

#include "control/dataplane.h"
#include "control/failover.h"

#define BATCH 1024
/* Withdrawn prefixes whose flaps are remembered. */
#define REMEMBERED 65536

static void
vnet_unlink(struct ctl_rib_entry *entry)
{
	if (!entry->vnet)
		return;
	*entry->vnet_at = entry->vnet_next;
	if (entry->vnet_next)
		entry->vnet_next->vnet_at = entry->vnet_at;
	entry->vnet->n_leaves--;
	entry->vnet->n_by_len[entry->prefix.len]--;
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
	entry->vnet_at = &vnet->leaves;
	if (entry->vnet_next)
		entry->vnet_next->vnet_at = &entry->vnet_next;
	vnet->leaves = entry;
	vnet->n_leaves++;
	vnet->n_by_len[entry->prefix.len]++;
}

void
ctl_leaf_changed(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	if (entry->changed)
		return;
	entry->changed = true;
	entry->changed_next = rt->changed;
	rt->changed = entry;
}

/* The leaf of a vnet that a destination falls to when it has none of its own. */
static const struct ctl_group *
falls_to(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_rib_entry *entry)
{
	const struct ctl_rib_entry *e = entry;

	do {
		e = ctl_rib_covering(&rt->rib, &entry->prefix.addr, e->prefix.len);
	} while (e && !(e->has_leaf && e->leaf && e->leaf->recipe.vnet == v));
	return e ? e->leaf : NULL;
}

/* What carries an entry of a vnet is about to change: note it for the record of switches. */
static void
note_move(struct ctl_runtime *rt, const struct ctl_rib_entry *entry, const struct ctl_group *to)
{
	const struct ctl_group *from = entry->leaf;

	if (!entry->vnet || !from || from->recipe.vnet != entry->vnet)
		return;
	entry->vnet->dirty = true;
	if (!to)
		to = falls_to(rt, entry->vnet, entry);
	if (to && from->was_kind != CTL_PREF_NONE && from->was_kind != to->choice.kind)
		ctl_failover_note_move(entry->vnet, 1, &entry->prefix, from, to);
}

static void
leaf_set(struct ctl_runtime *rt, struct ctl_rib_entry *entry, struct ctl_group *g, bool wanted)
{
	note_move(rt, entry, g);
	if (g)
		ctl_group_join(rt, g);
	if (entry->leaf)
		ctl_group_leave(entry->leaf);
	entry->leaf = g;
	entry->sent = entry->sent && !wanted;
}

void
ctl_leaf_assign(struct ctl_runtime *rt, struct ctl_rib_entry *entry)
{
	struct ctl_vnet_state *vnet =
		ctl_rib_is_pin(entry) ? NULL : ctl_vnet_of(rt, &entry->prefix);
	struct ctl_recipe recipe;
	bool wanted = ctl_entry_recipe(rt, vnet, entry, &recipe);
	struct ctl_group *g = wanted ? ctl_group_get(rt, &recipe) : NULL;

	if (wanted != entry->has_leaf || g != entry->leaf || (wanted && !entry->sent) ||
	    (!wanted && !entry->routes))
		ctl_leaf_changed(rt, entry);
	if (g != entry->leaf)
		leaf_set(rt, entry, g, wanted);
	vnet_link(wanted ? vnet : NULL, entry);
	if (entry->vnet && entry->changed)
		entry->vnet->dirty = true;
	entry->has_leaf = wanted;
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

void
ctl_leaves_send(struct ctl_runtime *rt)
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

/* Gone, and worth remembering that it flaps? */
static bool
is_remembered(struct ctl_runtime *rt, const struct ctl_rib_entry *e)
{
	const struct ctl_vnet_state *v;

	if (rt->n_remembered >= REMEMBERED || !ctl_damping_losses(&e->damping, spw_clock_ns()))
		return false;
	v = ctl_vnet_of(rt, &e->prefix);
	return v && v->conf.damping_max_s > v->conf.wait_to_restore_s;
}

void
ctl_leaf_forget(struct ctl_runtime *rt, struct ctl_rib_entry *e)
{
	bool remember = !is_needed(e) && is_remembered(rt, e);

	if (remember != e->remembered)
		rt->n_remembered += remember ? 1 : UINT32_MAX;
	e->remembered = remember;
	if (remember || is_needed(e))
		return;
	vnet_unlink(e);
	ctl_rib_remove(&rt->rib, e);
}

void
ctl_leaves_done(struct ctl_runtime *rt)
{
	for (struct ctl_rib_entry *e = rt->changed, *next; e; e = next) {
		next = e->changed_next;
		e->changed = false;
		ctl_leaf_forget(rt, e);
	}
	rt->changed = NULL;
}
