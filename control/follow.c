/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says, into the objects.
 *
 * Links: for ports over a kernel device (iface=X of the vdev) the kernel's carrier is the port's;
 * it goes to the data plane before anything else of the batch is looked at, because that store
 * moves the packets; then the twins' carriers follow, so that FRR and the kernel see it, too. After
 * a loss the routes are read anew: the kernel drops some of them without a message.
 * Neighbours: their word on MACs goes to the data plane; next hops of ExpressRoute and of the
 * Internet side are resolved ahead of time and kept by the kernel.
 * Routes: into the mirror; evaluation comes once, at the end of the batch. While bgpd restarts,
 * what it takes out of the kernel stays (bmp_restart.c).
 */
#include <linux/neighbour.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "control/bmp.h"
#include "control/dataplane.h"
#include "control/failover.h"
#include "control/fib.h"
#include "control/pins.h"
#include "control/twin.h"

#define NUD_USABLE   (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)
#define ASK_AGAIN_NS SPW_NS_PER_S

static int
neighbour_compare(const void *a, const void *b)
{
	const struct ctl_neighbour *x = a, *y = b;

	if (x->iface->id != y->iface->id)
		return x->iface->id < y->iface->id ? -1 : 1;
	return spw_addr_compare(&x->addr, &y->addr);
}

struct ctl_neighbour *
ctl_neighbour_find(struct ctl_runtime *rt, struct ctl_iface *iface, const struct spw_addr *addr)
{
	struct ctl_neighbour probe = {.iface = iface, .addr = *addr};
	struct ctl_neighbour **at = tfind(&probe, &rt->neighbours, neighbour_compare);

	return at ? *at : NULL;
}

static struct ctl_neighbour *
neighbour_get(struct ctl_runtime *rt, struct ctl_iface *iface, const struct spw_addr *addr)
{
	struct ctl_neighbour *n = ctl_neighbour_find(rt, iface, addr);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->iface = iface;
	n->addr = *addr;
	if (!tsearch(n, &rt->neighbours, neighbour_compare)) {
		free(n);
		return NULL;
	}
	return n;
}

static void
neighbour_drop(struct ctl_runtime *rt, struct ctl_neighbour *n)
{
	tdelete(n, &rt->neighbours, neighbour_compare);
	free(n);
}

void
ctl_neighbour_want(struct ctl_runtime *rt, struct ctl_iface *iface, const struct spw_addr *addr)
{
	struct ctl_neighbour *n = neighbour_get(rt, iface, addr);
	uint64_t now = spw_clock_ns();

	if (!n || iface->ifindex == 0 || n->reachable ||
	    (n->wanted_ns && now - n->wanted_ns < ASK_AGAIN_NS))
		return;
	n->wanted_ns = now;
	/* What the kernel does not take it never tells the end of: under a scan that is much. */
	if (ctl_netlink_neigh_manage(rt->netlink, iface->ifindex, addr, true) != 0 && !n->failed)
		neighbour_drop(rt, n);
}

struct match {
	const struct ctl_iface *iface;
	struct ctl_neighbour *found;
};

static void
match_iface(const void *node, VISIT visit, void *ctx)
{
	struct match *m = ctx;
	struct ctl_neighbour *n = *(struct ctl_neighbour *const *)node;

	if ((visit == postorder || visit == leaf) && n->iface == m->iface)
		m->found = n;
}

void
ctl_neighbours_forget(struct ctl_runtime *rt, struct ctl_iface *iface)
{
	for (;;) {
		struct match m = {.iface = iface};

		twalk_r(rt->neighbours, match_iface, &m);
		if (!m.found)
			return;
		neighbour_drop(rt, m.found);
	}
}

static void
set_trigger(struct ctl_runtime *rt, const char *cause)
{
	if (rt->trigger.cause)
		return;
	rt->trigger.cause = cause;
	rt->trigger.event_ns = ctl_netlink_batch_ns(rt->netlink);
}

static void
want_next_hops(struct ctl_runtime *rt, const struct ctl_port *port)
{
	for (struct ctl_path *p = rt->paths; p; p = p->next)
		if (p->kind == SPW_PATH_ADJACENCY && p->iface->port == port &&
		    p->iface->role != SPW_IF_ROLE_LAN)
			ctl_neighbour_want(rt, p->iface, &p->next_hop);
}

void
ctl_follow_port_link(struct ctl_runtime *rt, struct ctl_port *port, bool up, uint64_t at_ns,
		     bool tell_dataplane)
{
	if (port->link_known && port->link_up == up)
		return;
	port->link_known = true;
	port->link_up = up;
	if (tell_dataplane)
		ctl_sync_link(rt, port, at_ns);
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (i->port == port)
			ctl_twin_carrier(i, up);
	spw_log(up ? SPW_LOG_INFO : SPW_LOG_WARNING, "port", up ? "link-up" : "link-down",
		"port=%s", port->name);
	if (!up) {
		/* Now: it may be back before this batch ends; the data plane has switched. */
		ctl_paths_check(rt);
		rt->trigger = (struct ctl_trigger){.cause = "link-down", .event_ns = at_ns};
		ctl_netlink_resync_later(rt->netlink);
	} else {
		want_next_hops(rt, port);
	}
}

static void
follow_twin(struct ctl_runtime *rt, const struct ctl_nl_link *link, bool gone)
{
	struct ctl_iface *i = ctl_iface_by_name(rt, link->name);
	bool up = !gone && link->up && link->carrier;

	if (!i || (!gone && i->ifindex && i->ifindex != link->index))
		return;
	if (i->twin_up && !up)
		ctl_netlink_resync_later(rt->netlink);
	i->twin_up = up;
	if (gone && i->ifindex == link->index)
		spw_log(SPW_LOG_ERROR, "twin", "removed", "interface=%s mend=\"restart controld\"",
			i->name);
}

static void
on_link(void *ctx, const struct ctl_nl_link *link, bool gone)
{
	struct ctl_runtime *rt = ctx;

	for (struct ctl_port *p = rt->ports; p; p = p->next)
		if (p->keep && strcmp(p->kernel_name, link->name) == 0)
			ctl_follow_port_link(rt, p, !gone && link->carrier,
					     ctl_netlink_batch_ns(rt->netlink), true);
	follow_twin(rt, link, gone);
}

static void
on_addr(void *ctx, const struct ctl_nl_addr *a, bool gone)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_iface *i = ctl_iface_by_index(rt, a->index);
	unsigned int at = 0;

	if (!i)
		return;
	while (at < i->n_addresses && !spw_prefix_equal(&i->address[at], &a->prefix))
		at++;
	if (gone && at < i->n_addresses) {
		i->address[at] = i->address[--i->n_addresses];
		ctl_sync_address(rt, i, &a->prefix, false);
	} else if (!gone && at == i->n_addresses && at < CTL_KERNEL_ADDRS) {
		i->address[i->n_addresses++] = a->prefix;
		ctl_sync_address(rt, i, &a->prefix, true);
	}
}

static bool
is_next_hop(const struct ctl_runtime *rt, const struct ctl_neighbour *n)
{
	for (const struct ctl_path *p = rt->paths; p; p = p->next)
		if (p->iface == n->iface && spw_addr_equal(&p->next_hop, &n->addr))
			return true;
	return false;
}

/*
 * A host that does not answer is not kept: else a scan of a connected network would leave a managed
 * entry for every address. The next packet for it asks again.
 */
static void
give_up(struct ctl_runtime *rt, const struct ctl_neighbour *n)
{
	if (n->failed && n->wanted_ns && !is_next_hop(rt, n))
		ctl_netlink_neigh_manage(rt->netlink, n->iface->ifindex, &n->addr, false);
}

static void
on_neigh(void *ctx, const struct ctl_nl_neigh *nl, bool gone)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_iface *i = ctl_iface_by_index(rt, nl->index);
	struct ctl_neighbour *n;
	/* The kernel resolves a network's broadcast address to all stations: no neighbour. */
	bool usable = !gone && (nl->state & NUD_USABLE) && nl->has_mac && !(nl->mac[0] & 1);

	if (!i || i->kind == SPW_IFACE_TUNNEL)
		return;
	n = neighbour_get(rt, i, &nl->addr);
	if (!n)
		return;
	n->stale = false;
	n->failed = !gone && (nl->state & NUD_FAILED);
	if (n->reachable == usable && (!usable || memcmp(n->mac, nl->mac, 6) == 0)) {
		if (gone)
			neighbour_drop(rt, n);
		else
			give_up(rt, n);
		return;
	}
	if (n->reachable && !usable)
		set_trigger(rt, "neighbor-lost");
	n->reachable = usable;
	if (usable)
		memcpy(n->mac, nl->mac, 6);
	ctl_sync_neighbour(rt, n, !gone);
	if (!usable && i->role == SPW_IF_ROLE_EXPRESSROUTE)
		ctl_paths_check(rt); /* as with links */
	if (gone)
		neighbour_drop(rt, n);
}

static void
route_put(struct ctl_runtime *rt, const struct ctl_nl_route *route)
{
	struct ctl_rib_entry *e = ctl_rib_get(&rt->rib, &route->prefix);

	if (!e)
		return;
	/* A replacement may take the last ExpressRoute next hop away: it counts as a withdrawal. */
	if (ctl_rib_route_put(e, route)) {
		ctl_pins_route_changed(rt, e);
		set_trigger(rt, "withdrawn");
		ctl_fib_route_changed(rt, e);
	}
}

static void
on_route(void *ctx, const struct ctl_nl_route *route, bool gone)
{
	struct ctl_runtime *rt = ctx;
	struct spw_prefix masked = spw_prefix_masked(&route->prefix);
	struct ctl_rib_entry *e;
	struct ctl_rib_route *r;

	if (!gone) {
		route_put(rt, route);
		return;
	}
	e = ctl_rib_find(&rt->rib, &masked);
	r = e ? ctl_rib_route_find(e, route->metric) : NULL;
	if (!r || ctl_bmp_retains(rt, &e->prefix, r))
		return;
	ctl_fib_hold(rt, e);
	if (ctl_rib_route_del(e, route)) {
		ctl_pins_route_changed(rt, e);
		set_trigger(rt, "withdrawn");
		ctl_fib_route_changed(rt, e);
	}
}

static void
mark_stale(void *ctx, struct ctl_rib_entry *e)
{
	for (struct ctl_rib_route *r = e->routes; r; r = r->next)
		r->stale = !r->retained;
}

static void
neighbour_mark(const void *node, VISIT visit, void *ctx)
{
	if (visit == postorder || visit == leaf)
		(*(struct ctl_neighbour *const *)node)->stale = true;
}

static void
on_resync_begin(void *ctx)
{
	struct ctl_runtime *rt = ctx;

	ctl_rib_each(&rt->rib, mark_stale, NULL);
	twalk_r(rt->neighbours, neighbour_mark, NULL);
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next) {
		i->n_before = i->n_addresses;
		memcpy(i->before, i->address, sizeof(i->before));
		i->n_addresses = 0;
	}
}

static void
sweep_entry(void *ctx, struct ctl_rib_entry *e)
{
	struct ctl_runtime *rt = ctx;
	bool any = false;

	for (struct ctl_rib_route *r = e->routes; r; r = r->next)
		any |= r->stale && !r->retained && !ctl_bmp_retains(rt, &e->prefix, r);
	if (!any)
		return;
	ctl_fib_hold(rt, e);
	ctl_rib_route_sweep(e);
	ctl_pins_route_changed(rt, e);
	set_trigger(rt, "withdrawn");
	ctl_fib_route_changed(rt, e);
}

static void
match_stale(const void *node, VISIT visit, void *ctx)
{
	struct match *m = ctx;
	struct ctl_neighbour *n = *(struct ctl_neighbour *const *)node;

	if ((visit == postorder || visit == leaf) && n->stale && (n->reachable || n->failed))
		m->found = n;
}

static void
sweep_neighbours(struct ctl_runtime *rt)
{
	for (;;) {
		struct match m = {0};

		twalk_r(rt->neighbours, match_stale, &m);
		if (!m.found)
			return;
		ctl_sync_neighbour(rt, m.found, false);
		neighbour_drop(rt, m.found);
	}
}

static void
sweep_addresses(struct ctl_runtime *rt, struct ctl_iface *i)
{
	for (unsigned int b = 0; b < i->n_before; b++) {
		unsigned int a = 0;

		while (a < i->n_addresses && !spw_prefix_equal(&i->address[a], &i->before[b]))
			a++;
		if (a == i->n_addresses)
			ctl_sync_address(rt, i, &i->before[b], false);
	}
	i->n_before = 0;
}

/* Of what was not told nothing is known: it stays. */
static void
keep_addresses(struct ctl_iface *i)
{
	for (unsigned int b = 0; b < i->n_before; b++) {
		unsigned int a = 0;

		while (a < i->n_addresses && !spw_prefix_equal(&i->address[a], &i->before[b]))
			a++;
		if (a == i->n_addresses && a < CTL_KERNEL_ADDRS)
			i->address[i->n_addresses++] = i->before[b];
	}
	i->n_before = 0;
}

static void
on_resync_end(void *ctx, bool complete)
{
	struct ctl_runtime *rt = ctx;

	if (!complete) {
		for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
			keep_addresses(i);
		return;
	}
	ctl_rib_each(&rt->rib, sweep_entry, rt);
	sweep_neighbours(rt);
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		sweep_addresses(rt, i);
}

static void
on_batch_end(void *ctx)
{
	struct ctl_runtime *rt = ctx;

	if (!rt->configured)
		return;
	ctl_fib_update(rt);
}

const struct ctl_netlink_handler ctl_follow_handler = {
	.link = on_link,
	.addr = on_addr,
	.neigh = on_neigh,
	.route = on_route,
	.resync_begin = on_resync_begin,
	.resync_end = on_resync_end,
	.batch_end = on_batch_end,
};
