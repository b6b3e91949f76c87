/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling the data plane everything, and single objects as they change.
 *
 * The same walk serves a new data plane, a restarted controld and a commit: a new generation, every
 * object again with it (numbers are stable, so what is right is only confirmed), then a sweep of
 * what carries an older generation. Order: ports, interfaces, tunnels, addresses, neighbours,
 * paths, their bits as the data plane has them, what watches them, groups, leaves; the sweep goes
 * the other way round, so that nothing is deleted while something refers to it. Descriptors of
 * twins travel only for interfaces that the data plane does not have.
 */
#include <errno.h>
#include <search.h>
#include <string.h>
#include <unistd.h>

#include "control/capacity.h"
#include "control/dataplane.h"
#include "control/failover.h"
#include "control/fib.h"
#include "control/twin.h"
#include "control/watch.h"

static const struct ctl_interface *
port_conf(const struct ctl_runtime *rt, const struct ctl_port *port)
{
	for (unsigned int i = 0; i < rt->config.n_interfaces; i++)
		if (strcmp(rt->config.interfaces[i].name, port->name) == 0)
			return &rt->config.interfaces[i];
	return NULL;
}

static bool
sync_port(struct ctl_runtime *rt, struct ctl_port *port)
{
	const struct ctl_interface *conf = port_conf(rt, port);
	struct spw_dp_port m;
	struct spw_err err = {0};
	int rc;

	if (!conf)
		return false;
	ctl_port_message(conf, port->id, rt->generation, &m);
	rc = ctl_dataplane_port(rt, &m, port->mac, &err);
	if (rc != 0 && rc != -ENOTCONN && port->in_dataplane)
		port->in_dataplane = false;
	if (rc != 0) {
		spw_log(SPW_LOG_ERROR, "port", "refused", "port=%s device=\"%s\" error=\"%s\"",
			port->name, port->devargs, err.text);
		return false;
	}
	port->in_dataplane = true;
	if (port->link_known)
		ctl_sync_link(rt, port, 0);
	return true;
}

void
ctl_sync_link(struct ctl_runtime *rt, const struct ctl_port *port, uint64_t at_ns)
{
	struct spw_dp_link m = {.port = port->id, .up = port->link_up, .at_ns = at_ns};

	if (port->in_dataplane && port->kernel_name[0])
		ctl_dataplane_send(rt, SPW_DP_LINK_STATE, &m, sizeof(m), 1, -1, NULL);
}

static void
iface_message(const struct ctl_runtime *rt, const struct ctl_iface *i, struct spw_dp_iface *m)
{
	*m = (struct spw_dp_iface){.id = i->id,
				   .generation = rt->generation,
				   .kind = i->kind,
				   .role = i->role,
				   .port = i->tunnel ? i->tunnel->id : i->port->id,
				   .mtu = i->mtu,
				   .vlan_outer = i->vlan_outer,
				   .vlan_inner = i->vlan_inner,
				   .mss_clamp = i->mss_clamp,
				   .up = i->enabled,
				   .has_twin = 1,
				   .vlan_tpid = i->vlan_tpid};
	memcpy(m->name, i->name, sizeof(m->name));
}

void
ctl_sync_iface(struct ctl_runtime *rt, struct ctl_iface *i)
{
	struct spw_dp_iface m;
	struct spw_err err = {0};
	int fd = -1, rc;

	if (!i->tunnel && (!i->port || !i->port->in_dataplane))
		return;
	rc = ctl_twin_ensure(rt, i, i->port ? i->port->mac : NULL, &err);
	if (rc != 0) {
		spw_log(SPW_LOG_ERROR, "twin", "failed", "interface=%s error=\"%s\"", i->name,
			err.text);
		return;
	}
	iface_message(rt, i, &m);
	if (!i->in_dataplane)
		fd = ctl_twin_queue(i);
	rc = ctl_dataplane_send(rt, SPW_DP_IFACE_SET, &m, sizeof(m), 1, fd, &err);
	if (fd >= 0)
		close(fd);
	i->in_dataplane = rc == 0;
	/* Only a twin with an attached queue can be given a carrier. */
	if (rc == 0 && i->port && i->port->link_known)
		ctl_twin_carrier(i, i->port->link_up);
	if (rc != 0 && rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "interface", "refused", "interface=%s error=\"%s\"", i->name,
			err.text);
}

/* Outer packets go by the routes until the data plane has the path that they are bound to. */
static uint32_t
outer_path(const struct ctl_runtime *rt, const struct ctl_tun *t)
{
	const struct ctl_path *p = t->outer ? rt->path[t->outer - 1] : NULL;

	return p && p->in_dataplane ? p->id : SPW_DP_ADDR_NONE;
}

static void
sync_tunnel(struct ctl_runtime *rt, struct ctl_tun *t)
{
	struct spw_dp_tunnel m = {.id = t->id,
				  .generation = rt->generation,
				  .local = t->conf.local,
				  .remote = t->conf.remote,
				  .mtu = t->conf.mtu,
				  .mss_clamp = t->conf.mss_clamp,
				  .outer_path = outer_path(rt, t),
				  .dscp_copy = t->conf.dscp_copy,
				  .outer_df = t->conf.outer_df,
				  .capacity_kbps = t->conf.shape ? t->conf.capacity_kbps : 0};
	struct spw_err err = {0};
	int rc;

	memcpy(m.name, t->conf.name, sizeof(m.name));
	rc = ctl_dataplane_send(rt, SPW_DP_TUNNEL_SET, &m, sizeof(m), 1, -1, &err);
	if (rc == -ENOENT) { /* another data plane, which has no paths yet */
		m.outer_path = SPW_DP_ADDR_NONE;
		rc = ctl_dataplane_send(rt, SPW_DP_TUNNEL_SET, &m, sizeof(m), 1, -1, &err);
	}
	if (rc == 0) /* else it goes on by what it was told before */
		t->outer_told = m.outer_path != SPW_DP_ADDR_NONE ? m.outer_path + 1 : 0;
	if (rc != 0 && rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "tunnel", "refused", "tunnel=%s error=\"%s\"", t->conf.name,
			err.text);
}

void
ctl_sync_outer(struct ctl_runtime *rt)
{
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next)
		if (t->keep && t->outer_told != t->outer)
			sync_tunnel(rt, t);
}

void
ctl_sync_address(struct ctl_runtime *rt, const struct ctl_iface *iface,
		 const struct spw_prefix *prefix, bool add)
{
	struct spw_dp_addr m = {
		.iface = iface->id, .generation = rt->generation, .prefix = *prefix};
	struct spw_err err = {0};
	int rc;

	if (!iface->in_dataplane)
		return;
	rc = ctl_dataplane_send(rt, add ? SPW_DP_ADDR_SET : SPW_DP_ADDR_DEL, &m, sizeof(m), 1, -1,
				&err);
	if (rc != 0 && rc != -ENOTCONN && add)
		spw_log(SPW_LOG_ERROR, "interface", "address-refused", "interface=%s error=\"%s\"",
			iface->name, err.text);
}

void
ctl_sync_neighbour(struct ctl_runtime *rt, const struct ctl_neighbour *n, bool add)
{
	struct spw_dp_neigh m = {.iface = n->iface->id,
				 .generation = rt->generation,
				 .addr = n->addr,
				 .reachable = n->reachable};
	struct spw_err err = {0};
	int rc;

	if (!n->iface->in_dataplane)
		return;
	memcpy(m.mac, n->mac, 6);
	rc = ctl_dataplane_send(rt, add ? SPW_DP_NEIGH_SET : SPW_DP_NEIGH_DEL, &m, sizeof(m), 1, -1,
				&err);
	if (rc != 0 && rc != -ENOTCONN && add)
		spw_log(SPW_LOG_ERROR, "neighbour", "refused", "interface=%s error=\"%s\"",
			n->iface->name, err.text);
}

static void
sync_neighbour_node(const void *node, VISIT visit, void *ctx)
{
	const struct ctl_neighbour *n = *(struct ctl_neighbour *const *)node;

	if ((visit == postorder || visit == leaf) && n->reachable)
		ctl_sync_neighbour(ctx, n, true);
}

static void
iface_seen(void *ctx, const void *elem)
{
	const struct spw_dp_iface_stats *s = elem;
	struct ctl_iface *i = ctl_iface_by_id(ctx, s->id);

	if (!i)
		return;
	i->in_dataplane = true;
	/* Ports without a kernel device: the data plane alone knows. */
	if (i->kind == SPW_IFACE_PORT && i->port && i->port->kernel_name[0] == '\0') {
		i->port->link_known = true;
		i->port->link_up = s->link_up;
	}
}

static void
tunnel_seen(void *ctx, const void *elem)
{
	const struct spw_dp_tunnel_stats *s = elem;
	struct ctl_tun *t = ctl_tun_by_id(ctx, s->id);

	if (t)
		t->has_sa = s->up;
}

bool
ctl_sync_tunnels(struct ctl_runtime *rt)
{
	bool changed = false;

	for (struct ctl_tun *t = rt->tunnels; t; t = t->next)
		t->has_sa = false;
	if (ctl_dataplane_get(rt, SPW_DP_GET_TUNNELS, NULL, 0, sizeof(struct spw_dp_tunnel_stats),
			      tunnel_seen, rt, NULL) != 0)
		return false;
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next) {
		bool up = t->has_sa && !t->said_down;

		changed |= up != t->up;
		t->up = up;
	}
	return changed;
}

static void
sweep(struct ctl_runtime *rt)
{
	static const enum spw_dp_class order[] = {
		SPW_DP_CLASS_PROBE, SPW_DP_CLASS_BFD,
		SPW_DP_CLASS_ROUTE, SPW_DP_CLASS_GROUP, SPW_DP_CLASS_PATH,   SPW_DP_CLASS_NEIGH,
		SPW_DP_CLASS_ADDR,  SPW_DP_CLASS_IFACE, SPW_DP_CLASS_TUNNEL, SPW_DP_CLASS_PORT};

	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		struct spw_dp_sweep m = {.class = order[i], .generation = rt->generation};
		struct spw_err err = {0};
		int rc = ctl_dataplane_send(rt, SPW_DP_SWEEP, &m, sizeof(m), 1, -1, &err);

		if (rc != 0 && rc != -ENOTCONN)
			spw_log(SPW_LOG_ERROR, "dataplane", "sweep-refused",
				"class=%d error=\"%s\"", order[i], err.text);
	}
}

static void
sync_classes(struct ctl_runtime *rt)
{
	struct spw_dp_classes m;
	struct spw_err err = {0};
	int rc;

	ctl_classes_message(&rt->config, &m);
	rc = ctl_dataplane_send(rt, SPW_DP_CLASSES_SET, &m, sizeof(m), 1, -1, &err);
	if (rc != 0 && rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "dataplane", "classes-refused", "error=\"%s\"", err.text);
}

static void
sync_objects(struct ctl_runtime *rt)
{
	for (struct ctl_port *p = rt->ports; p; p = p->next)
		if (p->keep)
			sync_port(rt, p);
	/* Twins are matched by what the data plane has, not by what was told: it may be a new one.
	 */
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		i->in_dataplane = false;
	ctl_dataplane_get(rt, SPW_DP_GET_IFACES, NULL, 0, sizeof(struct spw_dp_iface_stats),
			  iface_seen, rt, NULL);
	sync_classes(rt);
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next)
		if (t->keep)
			sync_tunnel(rt, t);
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (i->keep)
			ctl_sync_iface(rt, i);
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		for (unsigned int a = 0; i->keep && a < i->n_addresses; a++)
			ctl_sync_address(rt, i, &i->address[a], true);
	twalk_r(rt->neighbours, sync_neighbour_node, rt);
}

void
ctl_sync_all(struct ctl_runtime *rt)
{
	uint64_t start = spw_clock_ns();

	if (!rt->configured || !ctl_dataplane_connected(rt))
		return;
	rt->generation = ctl_ids_next_generation(rt->ids);
	sync_objects(rt);
	ctl_fib_forget(rt);
	ctl_paths_send_new(rt);
	ctl_sync_outer(rt);
	ctl_fib_adopt_paths(rt);
	/* What is watched is known before the first bit is set again. */
	ctl_sync_tunnels(rt);
	ctl_paths_check(rt);
	ctl_watch_sync(rt, true);
	ctl_watch_adopt(rt);
	rt->in_sync = ctl_dataplane_connected(rt);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		ctl_fib_dirty_vnet(rt, v);
	ctl_fib_update_all(rt);
	sweep(rt);
	if (ctl_dataplane_connected(rt))
		spw_log(SPW_LOG_INFO, "dataplane", "synced", "generation=%u routes=%zu ms=%.1f",
			rt->generation, rt->rib.n,
			(double)(spw_clock_ns() - start) / SPW_NS_PER_MS);
}

void
ctl_sync_retry_ports(struct ctl_runtime *rt)
{
	bool any = false;

	if (!ctl_dataplane_connected(rt))
		return;
	for (struct ctl_port *p = rt->ports; p; p = p->next)
		any |= p->keep && !p->in_dataplane;
	if (any)
		ctl_sync_all(rt);
}
