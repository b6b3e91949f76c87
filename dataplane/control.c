/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The API thread's common part: grace and what waits for it, time, deletion and sweeps.
 *
 * Objects are published by one store and never changed; the replaced one is retired here and freed
 * after every worker was quiescent, once for each request, so a batch of two thousand costs
 * one wait. Removal asks first whether anything still refers to the object (EBUSY), for the whole
 * batch, against the state before the batch; then nothing can fail but for want of memory, which
 * the answer says.
 *
 * API thread alone.
 */
#include "dataplane/control.h"

#include <errno.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>

#include "dataplane/monitor_probe.h"

int
dp_retire_reserve(struct dp_control *c, uint32_t n)
{
	if (c->n_retired + n <= c->retired_room)
		return 0;
	void **more = realloc(c->retired, (c->n_retired + n) * sizeof(void *));

	if (!more)
		return -ENOMEM;
	c->retired = more;
	c->retired_room = c->n_retired + n;
	return 0;
}

void
dp_retire(struct dp_control *c, void *object)
{
	c->changed = true;
	if (object)
		c->retired[c->n_retired++] = object;
}

void
dp_control_grace(struct dp_control *c)
{
	rte_rcu_qsbr_synchronize(c->qsbr, RTE_QSBR_THRID_INVALID);
}

void
dp_control_reclaim(struct dp_control *c)
{
	/* Partner: dp_way_epoch(). */
	if (c->changed)
		atomic_fetch_add_explicit(&c->tables->epoch, 1, memory_order_release);
	c->changed = false;
	if (c->n_retired == 0)
		return;
	dp_control_grace(c);
	while (c->n_retired)
		free(c->retired[--c->n_retired]);
}

uint64_t
dp_tsc_to_ns(uint64_t tsc)
{
	if (tsc == 0)
		return 0;
	uint64_t now = rte_rdtsc(), hz = rte_get_tsc_hz(), age = now > tsc ? now - tsc : 0;

	return spw_clock_ns() - (age / hz * SPW_NS_PER_S + age % hz * SPW_NS_PER_S / hz);
}

static int
may_del(struct dp_control *c, uint32_t class, uint32_t id, const struct spw_dp_sweep *sweep,
	struct spw_err *err)
{
	switch ((enum spw_dp_class) class) {
	case SPW_DP_CLASS_PORT: return dp_port_may_del(c, id, err);
	case SPW_DP_CLASS_IFACE: return dp_iface_may_del(c, id, err);
	case SPW_DP_CLASS_TUNNEL: return dp_tunnel_may_del(c, id, err);
	case SPW_DP_CLASS_PATH: return dp_path_may_del(c, id, sweep, err);
	case SPW_DP_CLASS_GROUP: return dp_group_may_del(c, id, err);
	case SPW_DP_CLASS_BFD: return dp_bfd_may_del(c, id, err);
	case SPW_DP_CLASS_PROBE: return dp_probe_may_del(c, id, err);
	case SPW_DP_CLASS_ADDR:
	case SPW_DP_CLASS_NEIGH:
	case SPW_DP_CLASS_ROUTE: break;
	}
	return spw_fail(err, -EINVAL, "objects of class %u have no id; use the class's own message",
			class);
}

/* 0 or -ENOMEM. */
static int
del(struct dp_control *c, uint32_t class, uint32_t id)
{
	switch ((enum spw_dp_class) class) {
	case SPW_DP_CLASS_PORT: return dp_port_del(c, id);
	case SPW_DP_CLASS_IFACE: return dp_iface_del(c, id);
	case SPW_DP_CLASS_TUNNEL: dp_tunnel_del(c, id); break;
	case SPW_DP_CLASS_PATH: return dp_path_del(c, id);
	case SPW_DP_CLASS_GROUP: return dp_group_del(c, id);
	case SPW_DP_CLASS_BFD: dp_bfd_del(c, id); break;
	case SPW_DP_CLASS_PROBE: dp_probe_del(c, id); break;
	case SPW_DP_CLASS_ADDR:
	case SPW_DP_CLASS_NEIGH:
	case SPW_DP_CLASS_ROUTE: break;
	}
	return 0;
}

static int
del_failed(int rc, uint32_t id, struct spw_err *err)
{
	return spw_fail(err, rc,
			"no memory to take object %u away; it stays, those before it are gone", id);
}

int
dp_handle_object_del(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_object *o = b->elems;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		int rc = may_del(c, o[b->bad].class, o[b->bad].id, NULL, err);

		for (uint32_t i = 0; rc == 0 && i < b->bad; i++)
			if (o[i].class == o[b->bad].class && o[i].id == o[b->bad].id)
				rc = spw_fail(err, -EINVAL, "object %u is named twice", o[i].id);
		if (rc != 0)
			return rc;
	}
	for (b->bad = 0; b->bad < b->count; b->bad++) {
		int rc = del(c, o[b->bad].class, o[b->bad].id);

		if (rc != 0)
			return del_failed(rc, o[b->bad].id, err);
	}
	return 0;
}

/* Generation of an object with an id; false when there is none. */
static bool
generation_of(const struct dp_control *c, uint32_t class, uint32_t id, uint32_t *generation)
{
	const struct dp_iface *iface;
	const struct dp_path *path;
	const struct dp_group *group;
	const struct spw_dp_probe *probe;

	switch ((enum spw_dp_class) class) {
	case SPW_DP_CLASS_PORT:
		*generation = c->port[id] ? c->port[id]->conf.generation : 0;
		return c->port[id] != NULL;
	case SPW_DP_CLASS_IFACE:
		iface = dp_iface_get(c->tables, (uint16_t)id);
		*generation = iface ? iface->conf.generation : 0;
		return iface != NULL;
	case SPW_DP_CLASS_TUNNEL:
		*generation = c->tunnel[id] ? c->tunnel[id]->generation : 0;
		return c->tunnel[id] != NULL;
	case SPW_DP_CLASS_PATH:
		path = dp_path_get(c->tables, id);
		*generation = path ? path->conf.generation : 0;
		return path != NULL;
	case SPW_DP_CLASS_GROUP:
		group = dp_group_get(c->tables, id);
		*generation = group ? group->conf.generation : 0;
		return group != NULL;
	case SPW_DP_CLASS_BFD: return dp_bfd_generation(c, id, generation);
	case SPW_DP_CLASS_PROBE:
		probe = dp_probes_get(c->probes, id);
		*generation = probe ? probe->generation : 0;
		return probe != NULL;
	case SPW_DP_CLASS_ADDR:
	case SPW_DP_CLASS_NEIGH:
	case SPW_DP_CLASS_ROUTE: break;
	}
	return false;
}

static uint32_t
ids_of(uint32_t class)
{
	switch ((enum spw_dp_class) class) {
	case SPW_DP_CLASS_PORT: return DP_PORTS_MAX;
	case SPW_DP_CLASS_IFACE: return DP_IFACES_MAX;
	case SPW_DP_CLASS_TUNNEL: return DP_TUNNELS_MAX;
	case SPW_DP_CLASS_PATH: return SPW_DP_PATHS_MAX;
	case SPW_DP_CLASS_GROUP: return DP_GROUPS_MAX;
	case SPW_DP_CLASS_BFD: return SPW_DP_BFD_MAX;
	case SPW_DP_CLASS_PROBE: return SPW_DP_PROBES_MAX;
	case SPW_DP_CLASS_ADDR:
	case SPW_DP_CLASS_NEIGH:
	case SPW_DP_CLASS_ROUTE: break;
	}
	return 0;
}

static bool
is_old(const struct dp_control *c, const struct spw_dp_sweep *s, uint32_t id)
{
	uint32_t generation;

	return generation_of(c, s->class, id, &generation) &&
	       dp_generation_older(generation, s->generation);
}

static int
sweep_ids(struct dp_control *c, const struct spw_dp_sweep *s, struct spw_err *err)
{
	uint32_t n = ids_of(s->class);

	for (uint32_t id = 0; id < n; id++) {
		int rc = is_old(c, s, id) ? may_del(c, s->class, id, s, err) : 0;

		if (rc != 0)
			return rc;
	}
	for (uint32_t id = 0; id < n; id++) {
		int rc = is_old(c, s, id) ? del(c, s->class, id) : 0;

		if (rc != 0)
			return del_failed(rc, id, err);
	}
	return 0;
}

int
dp_handle_sweep(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_sweep *s = b->elems;

	if (b->count != 1)
		return spw_fail(err, -EINVAL, "a sweep carries one element, not %u", b->count);
	switch ((enum spw_dp_class)s->class) {
	case SPW_DP_CLASS_PORT:
	case SPW_DP_CLASS_IFACE:
	case SPW_DP_CLASS_TUNNEL:
	case SPW_DP_CLASS_PATH:
	case SPW_DP_CLASS_GROUP:
	case SPW_DP_CLASS_BFD:
	case SPW_DP_CLASS_PROBE: return sweep_ids(c, s, err);
	case SPW_DP_CLASS_ADDR: return dp_addrs_sweep(c, s->generation, err);
	case SPW_DP_CLASS_NEIGH:
		dp_neighs_expire(c, s->generation);
		return 0;
	case SPW_DP_CLASS_ROUTE: return dp_routes_sweep(c, s->generation, err);
	}
	return spw_fail(err, -EINVAL, "there is no class %u to sweep", s->class);
}

void
dp_control_free_objects(struct dp_control *c)
{
	struct dp_tables *t = c->tables;

	for (uint32_t i = 0; i < DP_PORTS_MAX; i++)
		if (c->port[i])
			dp_port_close(c->port[i]);
	for (uint32_t i = 0; t && i < DP_IFACES_MAX; i++)
		free(atomic_load(&t->iface[i]));
	for (uint32_t i = 0; t && i < SPW_DP_PATHS_MAX; i++)
		dp_path_free(atomic_load(&t->path[i]));
	for (uint32_t i = 0; t && c->n_groups && i < DP_GROUPS_MAX; i++)
		free(atomic_load(&t->group[i]));
	for (uint32_t i = 0; i < DP_TUNNELS_MAX; i++)
		free(c->tunnel[i]);
	dp_shapes_free(c);
	if (t) {
		free(atomic_load(&t->local));
		free(atomic_load(&t->local6));
	}
	free(c->addr);
	while (c->n_retired)
		free(c->retired[--c->n_retired]);
	free(c->retired);
}
