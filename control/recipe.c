/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the routes that cover a destination to its candidates: the recipe of its path group.
 *
 * Outside every vnet: the next hops of its best kernel route, as far as they leave by our
 * interfaces. So it is for pins, too, whatever vnet their address lies in: what carries a tunnel
 * must not go into it. Inside a vnet: next hops over its circuits, longest match first; the tunnels
 * that give the destination (a BGP neighbour that lives in a tunnel and does not announce it takes
 * the tunnel out); for Microsoft peering the Internet's next hops; the last resort. A hop that BGP
 * has withdrawn is left out before the kernel's table says so. Wait-to-restore of routes is
 * part of a recipe, that of paths is asked when the group is evaluated. One thread.
 */
#include <linux/rtnetlink.h>
#include <string.h>

#include "control/bmp.h"
#include "control/fib.h"

#define NS_PER_DS (100 * SPW_NS_PER_MS)

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

/* Which next hops of a route count. */
struct filter {
	const struct ctl_vnet_state *vnet; /* its circuits only; NULL = all */
	enum spw_dp_iface_role role;	   /* 0 = any */
	const struct spw_prefix *prefix;   /* BGP must not have withdrawn it; NULL = not asked */
};

static bool
hop_counts(const struct ctl_runtime *rt, const struct filter *f, const struct ctl_iface *iface,
	   const struct ctl_nl_hop *hop)
{
	if (f->role && iface->role != f->role)
		return false;
	if (f->vnet && !ctl_vnet_uses_circuit(f->vnet, iface))
		return false;
	return !f->prefix || !hop->gateway.family ||
	       !ctl_bmp_is_withdrawn(rt, f->prefix, &hop->gateway);
}

static void
route_level(struct ctl_runtime *rt, const struct ctl_rib_route *r, const struct filter *f,
	    struct ctl_level *level)
{
	for (unsigned int i = 0; i < r->n_hops; i++) {
		struct ctl_iface *iface = ctl_iface_by_index(rt, r->hop[i].index);

		if (iface && hop_counts(rt, f, iface, &r->hop[i]))
			level_put(level, hop_path(rt, iface, &r->hop[i]), r->hop[i].weight);
	}
}

bool
ctl_entry_own_level(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet,
		    const struct ctl_rib_entry *entry, struct ctl_level *level)
{
	const struct filter f = {
		.vnet = vnet, .role = SPW_IF_ROLE_EXPRESSROUTE, .prefix = &entry->prefix};

	memset(level, 0, sizeof(*level));
	for (const struct ctl_rib_route *r = entry->routes; r && level->n == 0; r = r->next)
		route_level(rt, r, &f, level);
	return level->n > 0;
}

bool
ctl_entry_level(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet,
		const struct ctl_rib_entry *entry, struct ctl_level *level)
{
	const struct filter f = {.vnet = vnet, .role = SPW_IF_ROLE_EXPRESSROUTE};

	if (!ctl_entry_own_level(rt, vnet, entry, level) && entry->held &&
	    ctl_fib_hold_end(rt, vnet, entry) > spw_clock_ns())
		route_level(rt, entry->held, &f, level);
	return level->n > 0;
}

/* When a route that came back was restored and may carry again, if it waits. */
static void
level_wait(const struct ctl_vnet_state *v, const struct ctl_rib_entry *e, uint64_t now,
	   struct ctl_level *level)
{
	uint64_t end = ctl_vnet_wait_end(v, e->restored_ns, &e->damping, now);

	/* A wait that an earlier process had begun: nobody knows which of the routes it was for. */
	if (end == 0 && e->restored_ns == 0 && now < v->recalled_until_ns)
		end = v->recalled_until_ns;
	if (end == 0)
		return;
	level->from_ds = (uint32_t)((e->restored_ns ? e->restored_ns : now) / NS_PER_DS);
	level->until_ds = (uint32_t)((end + NS_PER_DS - 1) / NS_PER_DS);
}

uint64_t
ctl_level_wait_end(const struct ctl_vnet_state *vnet, const struct ctl_level *level, uint64_t now)
{
	uint64_t end = level->until_ds * NS_PER_DS, from = level->from_ds * NS_PER_DS;

	return end > now && vnet->wait_over_ns < from + NS_PER_DS ? end : 0;
}

static void
working(struct ctl_runtime *rt, struct ctl_vnet_state *v, const struct ctl_rib_entry *entry,
	struct ctl_recipe *recipe)
{
	uint64_t now = spw_clock_ns();

	for (const struct ctl_rib_entry *e = entry; e && recipe->n_levels < CTL_PREF_LEVELS;
	     e = ctl_rib_covering(&rt->rib, &entry->prefix.addr, e->prefix.len)) {
		struct ctl_level *level = &recipe->level[recipe->n_levels];

		if (!e->had_expressroute || !ctl_entry_level(rt, v, e, level))
			continue;
		level_wait(v, e, now, level);
		recipe->n_levels++;
	}
	memset(&recipe->level[recipe->n_levels], 0,
	       sizeof(recipe->level[0]) * (CTL_PREF_LEVELS - recipe->n_levels));
}

static bool
tunnel_gives(const struct ctl_runtime *rt, const struct ctl_tun *t, const struct spw_prefix *prefix)
{
	for (unsigned int i = 0; i < t->n_speakers; i++)
		if (ctl_bmp_gives(rt, &t->speaker[i], prefix) != CTL_BMP_NO)
			return true;
	return t->n_speakers == 0;
}

static uint32_t
tunnels_that_give(const struct ctl_runtime *rt, const struct ctl_vnet_state *v,
		  const struct spw_prefix *prefix)
{
	uint32_t set = 0;

	for (unsigned int i = 0; i < v->conf.n_tunnels; i++)
		if (v->tun[i] && v->tun[i]->path && tunnel_gives(rt, v->tun[i], prefix))
			set |= 1u << i;
	return set;
}

static const struct spw_addr *
gateway_of(const struct ctl_iface *iface, uint8_t family)
{
	const struct spw_addr *a = family == AF_INET ? &iface->gateway4 : &iface->gateway6;

	return iface->keep && iface->role == SPW_IF_ROLE_INTERNET && spw_addr_is_set(a) ? a : NULL;
}

/* The Internet's next hops: as configured, else as the kernel's routes say. */
static void
internet(struct ctl_runtime *rt, const struct ctl_rib_entry *entry, struct ctl_level *level)
{
	const struct filter f = {.role = SPW_IF_ROLE_INTERNET, .prefix = &entry->prefix};
	uint8_t family = entry->prefix.addr.family;

	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (gateway_of(i, family))
			level_put(level,
				  ctl_path_get(rt, SPW_PATH_ADJACENCY, i, NULL,
					       gateway_of(i, family)),
				  1);
	for (const struct ctl_rib_entry *e = entry; e && level->n == 0;
	     e = ctl_rib_covering(&rt->rib, &entry->prefix.addr, e->prefix.len))
		for (const struct ctl_rib_route *r = e->routes; r && level->n == 0; r = r->next)
			route_level(rt, r, &f, level);
}

static void
last_resort(struct ctl_runtime *rt, const struct ctl_vnet_state *v, uint8_t family,
	    struct ctl_level *level)
{
	const struct spw_addr *hop = &v->conf.last_resort;

	if (!spw_addr_is_set(hop) || hop->family != family)
		return;
	for (struct ctl_iface *i = rt->ifaces; i && level->n == 0; i = i->next)
		for (unsigned int a = 0; a < i->n_wanted; a++)
			if (i->keep && i->role == SPW_IF_ROLE_LAN &&
			    spw_prefix_contains_addr(&i->wanted[a], hop))
				level_put(level, ctl_path_get(rt, SPW_PATH_ADJACENCY, i, NULL, hop),
					  1);
}

static bool
route_leaves_by_tunnel(struct ctl_runtime *rt, const struct ctl_vnet_state *v,
		       const struct ctl_rib_entry *entry)
{
	for (const struct ctl_rib_route *r = v->learns ? entry->routes : NULL; r; r = r->next)
		for (unsigned int i = 0; i < r->n_hops; i++) {
			const struct ctl_iface *iface = ctl_iface_by_index(rt, r->hop[i].index);

			if (iface && iface->tunnel && ctl_vnet_has_tunnel(v, iface->tunnel))
				return true;
		}
	return false;
}

static bool
protected_recipe(struct ctl_runtime *rt, struct ctl_vnet_state *v,
		 const struct ctl_rib_entry *entry, struct ctl_recipe *recipe)
{
	struct ctl_level own;

	if (!entry->is_cover && (v->encrypted || !ctl_entry_level(rt, v, entry, &own)) &&
	    !route_leaves_by_tunnel(rt, v, entry))
		return false;
	recipe->vnet = v;
	if (!v->encrypted)
		working(rt, v, entry, recipe);
	if (v->conf.peering == CTL_PEERING_MICROSOFT)
		internet(rt, entry, &recipe->internet);
	else
		recipe->tunnels = tunnels_that_give(rt, v, &entry->prefix);
	last_resort(rt, v, entry->prefix.addr.family, &recipe->last);
	return true;
}

static bool
plain_recipe(struct ctl_runtime *rt, const struct ctl_rib_entry *entry, struct ctl_recipe *recipe)
{
	const struct filter f = {.prefix = &entry->prefix};

	for (const struct ctl_rib_route *r = entry->routes; r; r = r->next) {
		if (r->type != RTN_UNICAST)
			return true; /* blackhole and its kin: the drop leaf */
		route_level(rt, r, &f, &recipe->level[0]);
		if (recipe->level[0].n > 0) {
			recipe->n_levels = 1;
			return true;
		}
	}
	return false;
}

bool
ctl_entry_recipe(struct ctl_runtime *rt, struct ctl_vnet_state *vnet,
		 const struct ctl_rib_entry *entry, struct ctl_recipe *recipe)
{
	memset(recipe, 0, sizeof(*recipe));
	return vnet ? protected_recipe(rt, vnet, entry, recipe) : plain_recipe(rt, entry, recipe);
}
