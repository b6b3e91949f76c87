/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interfaces, their addresses and their neighbours: IFACE_SET, ADDR_*, NEIGH_*, removal.
 *
 * An interface object is replaced whole. What is derived from the set of interfaces and addresses
 * (a port's map of VLAN tags, the set of our own addresses) is built anew during preparation,
 * published with them, and the old one retired. Twins arrive as descriptors with IFACE_SET, in the
 * order of the elements that have one. An interface takes its addresses and neighbours along when
 * it is removed.
 *
 * API thread.
 */
#include "dataplane/control.h"

#include <errno.h>
#include <stdlib.h>

#define VLAN_MAX 4094

/* Interfaces as they will be after a batch. */
struct iface_plan {
	const struct spw_dp_iface *after[DP_IFACES_MAX];
	struct dp_iface *made[DP_IFACES_MAX]; /* new objects, by id */
	struct dp_vlan_map *map[DP_PORTS_MAX];
	bool touched[DP_PORTS_MAX];
};

static bool
on_port(const struct spw_dp_iface *i, uint32_t port)
{
	return i && i->kind != SPW_IFACE_TUNNEL && i->port == port;
}

static int
tpid_check(const struct spw_dp_iface *i, struct spw_err *err)
{
	if (i->vlan_tpid == 0 || i->vlan_tpid == DP_ETHERTYPE_VLAN ||
	    (i->vlan_tpid == DP_ETHERTYPE_QINQ && i->vlan_outer))
		return 0;
	return spw_fail(err, -EINVAL,
			"interface '%.15s': outer tags have type 0x8100, or 0x88a8 on a "
			"sub-interface, not 0x%04x",
			i->name, i->vlan_tpid);
}

static int
iface_check_kind(struct dp_control *c, const struct spw_dp_iface *i, struct spw_err *err)
{
	bool tagged = i->vlan_outer != 0;

	if (i->kind < SPW_IFACE_PORT || i->kind > SPW_IFACE_TUNNEL)
		return spw_fail(err, -EINVAL, "interface '%.15s': unknown kind %u", i->name,
				i->kind);
	if (i->kind == SPW_IFACE_TUNNEL)
		return i->port < DP_TUNNELS_MAX && c->tunnel[i->port]
			       ? 0
			       : spw_fail(err, -ENOENT, "interface '%.15s': there is no tunnel %u",
					  i->name, i->port);
	if (i->port >= DP_PORTS_MAX || !c->port[i->port])
		return spw_fail(err, -ENOENT, "interface '%.15s': there is no port %u", i->name,
				i->port);
	if (tagged != (i->kind == SPW_IFACE_VLAN) || (i->vlan_inner && !tagged) ||
	    i->vlan_outer > VLAN_MAX || i->vlan_inner > VLAN_MAX)
		return spw_fail(err, -EINVAL,
				"interface '%.15s': VLAN tags %u and %u do not fit its kind (1..%u "
				"for sub-interfaces, none for ports)",
				i->name, i->vlan_outer, i->vlan_inner, VLAN_MAX);
	return tpid_check(i, err);
}

static int
iface_check(struct dp_control *c, const struct spw_dp_iface *i, struct spw_err *err)
{
	if (i->id < 1 || i->id >= DP_IFACES_MAX)
		return spw_fail(err, -EINVAL, "interface id %u is not in 1..%u", i->id,
				DP_IFACES_MAX - 1);
	if (!memchr(i->name, 0, sizeof(i->name)))
		return spw_fail(err, -EINVAL, "interface %u: the name is not terminated", i->id);
	if (i->role < SPW_IF_ROLE_LAN || i->role > SPW_IF_ROLE_TUNNEL)
		return spw_fail(err, -EINVAL, "interface '%.15s': unknown role %u", i->name,
				i->role);
	if (i->mtu < 576 || i->mtu > 65535)
		return spw_fail(err, -EINVAL, "interface '%.15s': MTU %u is not in 576..65535",
				i->name, i->mtu);
	return iface_check_kind(c, i, err);
}

/* A tunnel has one interface. */
static int
tunnel_check(const struct iface_plan *plan, const struct spw_dp_iface *i, struct spw_err *err)
{
	for (uint32_t id = 1; id < DP_IFACES_MAX; id++) {
		const struct spw_dp_iface *o = plan->after[id];

		if (id != i->id && o && o->kind == SPW_IFACE_TUNNEL && o->port == i->port)
			return spw_fail(err, -EEXIST,
					"interface '%.15s': tunnel %u has '%.15s' already", i->name,
					i->port, o->name);
	}
	return 0;
}

/* No two interfaces of a port have the same tags. */
static int
tags_check(const struct iface_plan *plan, const struct spw_dp_iface *i, struct spw_err *err)
{
	if (i->kind == SPW_IFACE_TUNNEL)
		return tunnel_check(plan, i, err);
	for (uint32_t id = 1; id < DP_IFACES_MAX; id++) {
		const struct spw_dp_iface *o = plan->after[id];

		if (id != i->id && on_port(o, i->port) && o->vlan_outer == i->vlan_outer &&
		    o->vlan_inner == i->vlan_inner)
			return spw_fail(err, -EEXIST,
					"interface '%.15s': port %u has '%.15s' with the same tags",
					i->name, i->port, o->name);
	}
	return 0;
}

static struct dp_vlan_map *
map_of_port(const struct iface_plan *plan, uint32_t port)
{
	struct dp_vlan_entry *e = calloc(DP_IFACES_MAX, sizeof(*e));
	uint32_t n = 0;

	for (uint32_t id = 1; e && id < DP_IFACES_MAX; id++) {
		const struct spw_dp_iface *i = plan->after[id];

		if (on_port(i, port))
			e[n++] = (struct dp_vlan_entry){.key = (uint32_t)i->vlan_outer << 16 |
							       i->vlan_inner,
							.iface = (uint16_t)id};
	}
	struct dp_vlan_map *map = e ? dp_vlan_map_new(e, n) : NULL;

	free(e);
	return map;
}

static struct iface_plan *
plan_new(struct dp_control *c)
{
	struct iface_plan *plan = calloc(1, sizeof(*plan));

	for (uint32_t id = 1; plan && id < DP_IFACES_MAX; id++) {
		const struct dp_iface *i = dp_iface_get(c->tables, (uint16_t)id);

		plan->after[id] = i ? &i->conf : NULL;
	}
	return plan;
}

static void
plan_free(struct iface_plan *plan)
{
	for (uint32_t id = 1; plan && id < DP_IFACES_MAX; id++)
		free(plan->made[id]);
	for (uint32_t p = 0; plan && p < DP_PORTS_MAX; p++)
		free(plan->map[p]);
	free(plan);
}

static void
touch(struct iface_plan *plan, const struct dp_iface *old, const struct spw_dp_iface *new)
{
	if (old && old->port)
		plan->touched[old->conf.port] = true;
	if (new &&new->kind != SPW_IFACE_TUNNEL)
		plan->touched[new->port] = true;
}

static int
plan_maps(struct dp_control *c, struct iface_plan *plan)
{
	for (uint32_t p = 0; p < DP_PORTS_MAX; p++) {
		if (!plan->touched[p] || !c->port[p])
			continue;
		plan->map[p] = map_of_port(plan, p);
		if (!plan->map[p])
			return -ENOMEM;
	}
	return 0;
}

/* What its frames look like. */
static void
iface_frame(struct dp_iface *i)
{
	const struct dp_l2_tags tags = {.outer = i->conf.vlan_outer,
					.inner = i->conf.vlan_inner,
					.tpid = i->conf.vlan_tpid ? i->conf.vlan_tpid
								  : DP_ETHERTYPE_VLAN,
					.insert = i->port->tx_insert};
	uint8_t word[8] = {0};

	memcpy(i->mac, i->port->mac, 6);
	memcpy(word, i->mac, 6);
	i->mac_word = dp_mac_word(word);
	i->l2 = dp_l2_make(i->mac, &tags, (uint16_t)i->conf.id, i->port->dpdk_id);
}

static struct dp_iface *
iface_new(struct dp_control *c, const struct spw_dp_iface *conf, bool twin)
{
	const struct dp_iface *old = dp_iface_get(c->tables, (uint16_t)conf->id);
	struct dp_iface *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->conf = *conf;
	i->twin = twin;
	if (old) {
		i->addr_v4 = old->addr_v4;
		i->has_v6 = old->has_v6;
		memcpy(i->addr_v6, old->addr_v6, sizeof(i->addr_v6));
	}
	if (conf->kind != SPW_IFACE_TUNNEL) {
		i->port = c->port[conf->port];
		iface_frame(i);
	}
	return i;
}

static void
publish(struct dp_control *c, uint32_t id, struct dp_iface *i)
{
	dp_retire(c, atomic_exchange_explicit(&c->tables->iface[id], i, memory_order_acq_rel));
}

static void
maps_publish(struct dp_control *c, struct iface_plan *plan)
{
	for (uint32_t p = 0; p < DP_PORTS_MAX; p++) {
		if (!plan->map[p])
			continue;
		dp_retire(c, atomic_exchange_explicit(&c->port[p]->vlans, plan->map[p],
						      memory_order_acq_rel));
		plan->map[p] = NULL;
	}
}

static void
tunnel_iface_put(struct dp_control *c, const struct spw_dp_iface *conf, bool present)
{
	if (conf->kind == SPW_IFACE_TUNNEL)
		atomic_store_explicit(&c->tables->tunnel_iface[conf->port],
				      present ? (uint16_t)conf->id : DP_NO_IFACE,
				      memory_order_release);
}

static void
plan_commit(struct dp_control *c, struct iface_plan *plan, const struct dp_batch *b)
{
	const struct spw_dp_iface *conf = b->elems;

	for (uint32_t n = 0; n < b->count; n++) { /* first, because they may change places */
		const struct dp_iface *old = dp_iface_get(c->tables, (uint16_t)conf[n].id);

		if (old)
			tunnel_iface_put(c, &old->conf, false);
	}
	for (uint32_t n = 0; n < b->count; n++) {
		const struct dp_iface *old = dp_iface_get(c->tables, (uint16_t)conf[n].id);
		bool fell = old && old->conf.up && !conf[n].up;

		if (!old)
			dp_iface_counts_begin(c, conf[n].id);
		if (old && old->twin && !conf[n].has_twin)
			dp_punt_twin_del(c->punt, (uint16_t)conf[n].id);
		publish(c, conf[n].id, plan->made[conf[n].id]);
		plan->made[conf[n].id] = NULL;
		tunnel_iface_put(c, &conf[n], true);
		if (fell)
			dp_iface_clear_paths(c, conf[n].id);
	}
	maps_publish(c, plan);
	dp_ports_remask(c);
	dp_paths_prepare(c);
}

/* How many elements bring a descriptor, and is that what came? */
static int
twins_check(struct dp_control *c, const struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_iface *conf = b->elems;
	uint32_t wanted = 0;

	for (uint32_t n = 0; n < b->count; n++)
		wanted += conf[n].has_twin != 0;
	if (b->n_fds != 0 && b->n_fds != wanted)
		return spw_fail(err, -EINVAL, "%u twins are announced, %u descriptors came", wanted,
				b->n_fds);
	for (uint32_t n = 0; b->n_fds == 0 && n < b->count; n++) {
		const struct dp_iface *old = dp_iface_get(c->tables, (uint16_t)conf[n].id);

		if (conf[n].has_twin && (!old || !old->twin))
			return spw_fail(err, -EINVAL,
					"interface '%.15s' shall have a twin, but no descriptor "
					"came with it",
					conf[n].name);
	}
	return 0;
}

/* Twins come last of all that can fail: descriptors taken so far stay with their interface. */
static int
twins_take(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_iface *conf = b->elems;
	unsigned int next = 0;

	for (uint32_t n = 0; b->n_fds && n < b->count; n++) {
		if (!conf[n].has_twin)
			continue;
		int fd = b->fds[next];

		b->fds[next++] = -1;
		b->bad = n;
		int rc = dp_punt_twin_set(c->punt, (uint16_t)conf[n].id, fd, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
plan_fill(struct dp_control *c, struct iface_plan *plan, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_iface *conf = b->elems;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		const struct spw_dp_iface *i = &conf[b->bad];
		int rc = iface_check(c, i, err);

		if (rc != 0)
			return rc;
		if (plan->made[i->id])
			return spw_fail(err, -EINVAL, "interface %u is named twice", i->id);
		plan->after[i->id] = i;
		plan->made[i->id] = iface_new(c, i, i->has_twin);
		if (!plan->made[i->id])
			return spw_fail(err, -ENOMEM, "no memory for interface '%.15s'", i->name);
		touch(plan, dp_iface_get(c->tables, (uint16_t)i->id), i);
	}
	for (b->bad = 0; b->bad < b->count; b->bad++) {
		int rc = tags_check(plan, &conf[b->bad], err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

int
dp_handle_iface_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	struct iface_plan *plan = plan_new(c);
	int rc = plan ? plan_fill(c, plan, b, err) : -ENOMEM;

	if (rc == 0)
		rc = twins_check(c, b, err);
	if (rc == 0 && (plan_maps(c, plan) != 0 || dp_retire_reserve(c, b->count + DP_PORTS_MAX)))
		rc = spw_fail(err, -ENOMEM, "no memory for the interfaces");
	if (rc == 0)
		rc = twins_take(c, b, err);
	if (rc == 0)
		plan_commit(c, plan, b);
	plan_free(plan);
	return rc;
}

int
dp_iface_may_del(struct dp_control *c, uint32_t id, struct spw_err *err)
{
	const struct dp_iface *i =
		id < DP_IFACES_MAX ? dp_iface_get(c->tables, (uint16_t)id) : NULL;

	if (!i)
		return spw_fail(err, -ENOENT, "there is no interface %u", id);
	for (uint32_t n = 0; n < SPW_DP_PATHS_MAX; n++) {
		const struct dp_path *p = dp_path_get(c->tables, n);

		if (p && p->conf.iface == id && p->conf.kind != SPW_PATH_TUNNEL)
			return spw_fail(err, -EBUSY, "interface '%.15s' is used by path %u",
					i->conf.name, n);
	}
	return 0;
}

int
dp_iface_del(struct dp_control *c, uint32_t id)
{
	struct iface_plan *plan = plan_new(c);
	struct dp_iface *i = atomic_load(&c->tables->iface[id]);

	if (plan) {
		plan->after[id] = NULL;
		touch(plan, i, NULL);
	}
	if (!plan || plan_maps(c, plan) != 0 || dp_retire_reserve(c, 1 + DP_PORTS_MAX) != 0 ||
	    dp_iface_addrs_del(c, id) != 0) {
		plan_free(plan);
		return -ENOMEM;
	}
	tunnel_iface_put(c, &i->conf, false);
	publish(c, id, NULL);
	maps_publish(c, plan);
	dp_bfds_iface_del(c, id);
	dp_neighs_sweep(c->tables->neighs, (uint16_t)id, 0);
	dp_punt_twin_del(c->punt, (uint16_t)id);
	plan_free(plan);
	return 0;
}
