/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths, their state, and groups: PATH_SET, PATH_STATE, GROUP_SET, removal.
 *
 * A path that is set again with the same content keeps its bit; with another content it is a new
 * path and down until controld says otherwise. A path to a next hop whose neighbour is known
 * carries the finished header of its frames, which is made anew when neighbours, interfaces or
 * paths change and replaced only when it differs. A group that changes marks itself, so the first
 * packet that goes by its new content tells when it left.
 *
 * API thread.
 */
#include "dataplane/control.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/monitor_probe.h"

static int
path_check_iface(struct dp_control *c, const struct spw_dp_path *p, struct spw_err *err)
{
	const struct dp_iface *i = p->iface > 0 && p->iface < DP_IFACES_MAX
					   ? dp_iface_get(c->tables, (uint16_t)p->iface)
					   : NULL;

	if (!i)
		return spw_fail(err, -ENOENT, "path %u: there is no interface %u", p->id, p->iface);
	if (p->kind != SPW_PATH_LOCAL && !i->port)
		return spw_fail(err, -EINVAL,
				"path %u: interface '%.15s' is a tunnel; use a path of kind tunnel",
				p->id, i->conf.name);
	if (p->kind == SPW_PATH_ADJACENCY && spw_addr_len(p->next_hop.family) == 0)
		return spw_fail(err, -EAFNOSUPPORT,
				"path %u: the next hop is neither an IPv4 nor an IPv6 address",
				p->id);
	return 0;
}

static int
path_check(struct dp_control *c, const struct spw_dp_path *p, struct spw_err *err)
{
	if (p->id >= SPW_DP_PATHS_MAX)
		return spw_fail(err, -EINVAL, "path id %u is beyond the last, %u", p->id,
				SPW_DP_PATHS_MAX - 1);
	switch ((enum spw_dp_path_kind)p->kind) {
	case SPW_PATH_ADJACENCY:
	case SPW_PATH_CONNECTED:
	case SPW_PATH_LOCAL: return path_check_iface(c, p, err);
	case SPW_PATH_TUNNEL:
		if (p->tunnel < DP_TUNNELS_MAX && c->tunnel[p->tunnel])
			return 0;
		return spw_fail(err, -ENOENT, "path %u: there is no tunnel %u", p->id, p->tunnel);
	case SPW_PATH_DROP: return 0;
	}
	return spw_fail(err, -EINVAL, "path %u: unknown kind %u", p->id, p->kind);
}

static bool
path_same(const struct spw_dp_path *a, const struct spw_dp_path *b)
{
	return a->kind == b->kind && a->iface == b->iface && a->tunnel == b->tunnel &&
	       spw_addr_equal(&a->next_hop, &b->next_hop);
}

static struct dp_path *
path_new(const struct spw_dp_path *conf)
{
	struct dp_path *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->conf = *conf;
	if (conf->kind == SPW_PATH_ADJACENCY)
		p->hop = dp_neigh_key_of((uint16_t)conf->iface, &conf->next_hop);
	return p;
}

void
dp_path_free(struct dp_path *p)
{
	if (p)
		free(atomic_load(&p->l2));
	free(p);
}

/* Room for two was reserved. */
static void
path_retire(struct dp_control *c, struct dp_path *p)
{
	if (p)
		dp_retire(c, atomic_load(&p->l2));
	dp_retire(c, p);
}

/* The header that the path's packets want now: false when its neighbour is not known. */
static bool
path_header(const struct dp_control *c, const struct dp_path *p, struct dp_l2 *l2)
{
	const struct dp_iface *out = dp_iface_get(c->tables, (uint16_t)p->conf.iface);
	uint8_t mac[6];

	if (!out || !out->port || !dp_neigh_find(c->tables->neighs, &p->hop, mac))
		return false;
	*l2 = out->l2;
	dp_l2_dest(l2, mac);
	return true;
}

/* Publish a header (NULL = none). Without room to retire the old one its end is waited for. */
static void
header_publish(struct dp_control *c, struct dp_path *p, struct dp_l2 *l2)
{
	bool room = dp_retire_reserve(c, 1) == 0;
	/* Pairs with the acquire in adjacency_one(). */
	struct dp_l2 *old = atomic_exchange_explicit(&p->l2, l2, memory_order_acq_rel);

	if (room) {
		dp_retire(c, old);
		return;
	}
	dp_control_grace(c);
	free(old);
}

static void
path_prepare(struct dp_control *c, struct dp_path *p)
{
	const struct dp_l2 *old = atomic_load(&p->l2);
	struct dp_l2 now, *made = NULL;
	bool known = path_header(c, p, &now);

	if (known ? old && memcmp(old, &now, sizeof(now)) == 0 : !old)
		return;
	if (known)
		made = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_SIZE);
	if (made)
		*made = now; /* without memory the stage asks the neighbours each time */
	header_publish(c, p, made);
}

void
dp_paths_prepare(struct dp_control *c)
{
	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++) {
		struct dp_path *p = atomic_load(&c->tables->path[id]);

		if (p && p->conf.kind == SPW_PATH_ADJACENCY)
			path_prepare(c, p);
	}
}

static void
path_commit(struct dp_control *c, struct dp_path *new)
{
	struct dp_path *old = atomic_load(&c->tables->path[new->conf.id]);

	if (old && path_same(&old->conf, &new->conf)) {
		old->conf.generation = new->conf.generation;
		free(new);
		return;
	}
	if (old)
		dp_path_bits_reset(c->tables->bits, new->conf.id, false, spw_clock_ns());
	else
		dp_path_counts_begin(c, new->conf.id);
	atomic_store_explicit(&c->tables->path[new->conf.id], new, memory_order_release);
	dp_probes_path_changed(c->probes, new->conf.id);
	path_retire(c, old);
}

int
dp_handle_path_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_path *p = b->elems;
	struct dp_path **made = calloc(b->count, sizeof(*made));
	int rc = made && dp_retire_reserve(c, 2 * b->count) == 0 ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < b->count; i++)
		if (!(made[i] = path_new(&p[i])))
			rc = -ENOMEM;
	if (rc != 0)
		spw_fail(err, rc, "no memory for paths");
	for (b->bad = 0; rc == 0 && b->bad < b->count; b->bad += rc == 0)
		rc = path_check(c, &p[b->bad], err);
	for (uint32_t i = 0; made && i < b->count; i++) {
		if (rc == 0)
			path_commit(c, made[i]);
		else
			free(made[i]);
	}
	free(made);
	if (rc == 0) {
		dp_ports_remask(c);
		dp_bfds_remask(c);
		dp_paths_prepare(c);
	}
	return rc;
}

int
dp_path_may_del(struct dp_control *c, uint32_t id, const struct spw_dp_sweep *sweep,
		struct spw_err *err)
{
	const struct spw_dp_tunnel *outer;

	if (id >= SPW_DP_PATHS_MAX || !dp_path_get(c->tables, id))
		return spw_fail(err, -ENOENT, "there is no path %u", id);
	if (c->path_refs[id])
		return spw_fail(err, -EBUSY, "path %u is used by %u groups", id, c->path_refs[id]);
	if (dp_probes_of_path(c->probes, id))
		return spw_fail(err, -EBUSY, "path %u is used by %u probes", id,
				dp_probes_of_path(c->probes, id));
	outer = dp_tunnel_by_outer(c, id, sweep);
	if (outer)
		return spw_fail(err, -EBUSY,
				"path %u carries the outer packets of tunnel '%.15s'; set the "
				"tunnel with another path or none first",
				id, outer->name);
	return 0;
}

int
dp_path_del(struct dp_control *c, uint32_t id)
{
	struct dp_path *old = atomic_load(&c->tables->path[id]);

	if (dp_retire_reserve(c, 2) != 0)
		return -ENOMEM;
	dp_tunnels_let_go(c, id);
	dp_path_bits_reset(c->tables->bits, id, true, spw_clock_ns());
	atomic_store_explicit(&c->tables->path[id], NULL, memory_order_release);
	path_retire(c, old);
	dp_ports_remask(c);
	dp_bfds_remask(c);
	return 0;
}

int
dp_handle_path_state(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_path_state *s = b->elems;
	struct dp_path_bits *bits = c->tables->bits;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		const struct spw_dp_path_state *e = &s[b->bad];

		if (e->id >= SPW_DP_PATHS_MAX || !dp_path_get(c->tables, e->id))
			return spw_fail(err, -ENOENT, "state of path %u, which is not there",
					e->id);
		if (!dp_path_bits_may_set(bits, e->id, e->up != 0, e->clears))
			return spw_fail(err, -ESTALE,
					"path %u was cleared since the decision (it was taken at "
					"clear %u)",
					e->id, e->clears);
	}
	for (uint32_t i = 0; i < b->count; i++)
		/* A link that falls between check and commit wins; EV_PATH tells of it. */
		if (dp_path_bits_set(bits, s[i].id, s[i].up != 0, s[i].clears, spw_clock_ns()) != 0)
			spw_log(SPW_LOG_INFO, "path", "set-overtaken", "path=%u", s[i].id);
	return 0;
}

void
dp_iface_clear_paths(struct dp_control *c, uint32_t iface)
{
	struct dp_path_mask mask = {0};

	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++) {
		const struct dp_path *p = dp_path_get(c->tables, id);

		if (p && p->conf.iface == iface && p->conf.kind != SPW_PATH_TUNNEL)
			dp_path_mask_add(&mask, id);
	}
	dp_path_bits_clear(c->tables->bits, &mask, spw_clock_ns());
}

static int
group_check(struct dp_control *c, const struct spw_dp_group *g, struct spw_err *err)
{
	if (g->id < 1 || g->id >= DP_GROUPS_MAX)
		return spw_fail(err, -EINVAL, "group id %u is not in 1..%u", g->id,
				DP_GROUPS_MAX - 1);
	int rc = dp_group_check(g, err);

	for (uint32_t t = 0; rc == 0 && t < g->n_tiers; t++)
		for (uint32_t p = 0; rc == 0 && p < g->tier[t].n_paths; p++)
			if (!dp_path_get(c->tables, g->tier[t].path[p]))
				rc = spw_fail(err, -ENOENT, "group %u: there is no path %u", g->id,
					      g->tier[t].path[p]);
	return rc;
}

static void
group_refs(struct dp_control *c, const struct spw_dp_group *g, int by)
{
	for (uint32_t t = 0; t < g->n_tiers; t++)
		for (uint32_t p = 0; p < g->tier[t].n_paths; p++)
			c->path_refs[g->tier[t].path[p]] += (uint32_t)by;
}

static bool
tier_same(const struct spw_dp_tier *a, const struct spw_dp_tier *b)
{
	if (a->role != b->role || a->n_paths != b->n_paths)
		return false;
	for (uint32_t i = 0; i < a->n_paths; i++)
		if (a->path[i] != b->path[i] || a->weight[i] != b->weight[i])
			return false;
	return true;
}

static bool
group_same(const struct spw_dp_group *a, const struct spw_dp_group *b)
{
	bool same = a->flags == b->flags && a->n_tiers == b->n_tiers;

	for (uint32_t t = 0; same && t < a->n_tiers; t++)
		same = tier_same(&a->tier[t], &b->tier[t]);
	return same;
}

void
dp_group_mark(struct dp_control *c, uint32_t id)
{
	struct dp_group *g = id ? atomic_load(&c->tables->group[id]) : NULL;

	if (!g)
		return;
	g->repointed_ns = spw_clock_ns();
	atomic_fetch_add_explicit(&g->tag, 1, memory_order_relaxed);
	c->changed = true;
}

static void
group_commit(struct dp_control *c, struct dp_group *new)
{
	uint32_t id = new->conf.id;
	struct dp_group *old = atomic_load(&c->tables->group[id]);

	if (old && group_same(&old->conf, &new->conf)) {
		old->conf.generation = new->conf.generation;
		free(new);
		return;
	}
	group_refs(c, &new->conf, 1);
	if (old) {
		group_refs(c, &old->conf, -1);
		atomic_init(&new->tag, atomic_load(&old->tag) + 1);
		new->repointed_ns = spw_clock_ns();
	} else {
		/* Workers still remember the tag of the group that had this id before. */
		atomic_init(&new->tag, c->switch_told[id].tag);
		c->n_groups++;
	}
	atomic_store_explicit(&c->tables->group[id], new, memory_order_release);
	dp_retire(c, old);
}

int
dp_handle_group_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_group *g = b->elems;
	struct dp_group **made = calloc(b->count, sizeof(*made));
	int rc = made && dp_retire_reserve(c, b->count) == 0 ? 0 : -ENOMEM;

	if (rc != 0)
		spw_fail(err, rc, "no memory for groups");
	for (b->bad = 0; rc == 0 && b->bad < b->count; b->bad += rc == 0) {
		rc = group_check(c, &g[b->bad], err);
		if (rc == 0 && !(made[b->bad] = dp_group_new(&g[b->bad])))
			rc = spw_fail(err, -ENOMEM, "no memory for groups");
	}
	for (uint32_t i = 0; made && i < b->count; i++) {
		if (rc == 0)
			group_commit(c, made[i]);
		else
			free(made[i]);
	}
	free(made);
	return rc;
}

int
dp_group_may_del(struct dp_control *c, uint32_t id, struct spw_err *err)
{
	if (id < 1 || id >= DP_GROUPS_MAX || !dp_group_get(c->tables, id))
		return spw_fail(err, -ENOENT, "there is no group %u", id);
	if (c->group_refs[id])
		return spw_fail(err, -EBUSY, "group %u is used by %u routes", id,
				c->group_refs[id]);
	return 0;
}

int
dp_group_del(struct dp_control *c, uint32_t id)
{
	struct dp_group *old = atomic_load(&c->tables->group[id]);

	if (dp_retire_reserve(c, 1) != 0)
		return -ENOMEM;
	c->switch_told[id].tag = atomic_load(&old->tag);
	atomic_store_explicit(&c->tables->group[id], NULL, memory_order_release);
	group_refs(c, &old->conf, -1);
	c->n_groups--;
	dp_retire(c, old);
	return 0;
}
