/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which vnet a prefix belongs to, and what a vnet's choice depends on.
 *
 * Both change with the configuration only: after each commit the prefixes of all vnets go into a
 * table of their own (the same kind as the mirror of the kernel's routes), so that asking for the
 * vnet of a prefix costs a look-up for each length that vnets use, however many there are; the
 * tunnels of a vnet are resolved to objects, with the BGP neighbours that live inside them. One
 * thread.
 */
#include <string.h>

#include "control/fib.h"

struct ctl_vnet_state *
ctl_vnet_of(struct ctl_runtime *rt, const struct spw_prefix *prefix)
{
	struct ctl_vnet_state *first = NULL;
	const struct ctl_rib_entry *e;

	if (rt->vnet_index.n == 0)
		return NULL;
	e = ctl_rib_covering(&rt->vnet_index, &prefix->addr, prefix->len + 1);
	for (; e; e = ctl_rib_covering(&rt->vnet_index, &prefix->addr, e->prefix.len))
		if (!first || e->vnet->order < first->order)
			first = e->vnet;
	return first;
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
ctl_prefix_may_cover(const struct ctl_runtime *rt, const struct spw_prefix *prefix)
{
	for (unsigned int len = prefix->len; len <= 128; len++)
		if (rt->vnet_index.n_by_len[len])
			return true;
	return false;
}

uint64_t
ctl_vnet_wait_end(const struct ctl_vnet_state *vnet, uint64_t restored_ns,
		  const struct ctl_damping *damping, uint64_t now_ns)
{
	uint32_t wait_s = ctl_damping_wait_s(damping, vnet->conf.wait_to_restore_s,
					     vnet->conf.damping_max_s, restored_ns);

	return ctl_preference_waits(restored_ns, wait_s, vnet->wait_over_ns, now_ns)
		       ? restored_ns + wait_s * SPW_NS_PER_S
		       : 0;
}

bool
ctl_vnet_has_tunnel(const struct ctl_vnet_state *vnet, const struct ctl_tun *tun)
{
	for (unsigned int i = 0; i < vnet->conf.n_tunnels; i++)
		if (vnet->tun[i] == tun)
			return true;
	return false;
}

bool
ctl_vnet_uses_circuit(const struct ctl_vnet_state *vnet, const struct ctl_iface *iface)
{
	for (unsigned int i = 0; i < vnet->conf.n_circuits; i++)
		if (strcmp(vnet->conf.circuit[i], iface->circuit) == 0)
			return true;
	return vnet->conf.n_circuits == 0;
}

static void
cover_clear(void *ctx, struct ctl_rib_entry *entry)
{
	entry->is_cover = false;
}

static void
index_clear(void *ctx, struct ctl_rib_entry *entry)
{
	ctl_rib_remove(ctx, entry);
}

/* A prefix that two vnets name belongs to the first. */
static void
index_prefix(struct ctl_runtime *rt, struct ctl_vnet_state *v, const struct spw_prefix *prefix)
{
	struct ctl_rib_entry *e = ctl_rib_get(&rt->vnet_index, prefix);

	if (e && !e->vnet)
		e->vnet = v;
	e = ctl_rib_get(&rt->rib, prefix);
	if (e)
		e->is_cover = true;
}

static void
tunnel_resolve(const struct ctl_config *c, struct ctl_tun *t)
{
	t->encrypts = ctl_config_underlay(c, &t->conf) == SPW_IF_ROLE_EXPRESSROUTE;
	t->n_speakers = 0;
	for (unsigned int n = 0; n < c->bgp.n_neighbors; n++)
		for (unsigned int a = 0; a < t->conf.n_addresses; a++)
			if (t->n_speakers < CTL_TUN_SPEAKERS &&
			    spw_prefix_contains_addr(&t->conf.address[a],
						     &c->bgp.neighbor[n].address))
				t->speaker[t->n_speakers++] = c->bgp.neighbor[n].address;
}

static void
vnet_resolve(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	v->encrypted = v->learns = false;
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++) {
		const struct ctl_tun *t = v->tun[i] = ctl_tun_by_name(rt, v->conf.tunnel[i].name);

		v->encrypted |= t && t->encrypts;
		v->learns |= t && t->n_speakers > 0;
	}
}

void
ctl_fib_covers(struct ctl_runtime *rt)
{
	unsigned int order = 0;

	ctl_rib_each(&rt->rib, cover_clear, NULL);
	if (!rt->vnet_index.bucket && ctl_rib_init(&rt->vnet_index) != 0)
		return;
	ctl_rib_each(&rt->vnet_index, index_clear, &rt->vnet_index);
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next)
		if (t->keep)
			tunnel_resolve(&rt->config, t);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (!v->keep)
			continue;
		v->order = order++;
		vnet_resolve(rt, v);
		for (unsigned int i = 0; i < v->conf.n_prefixes; i++)
			index_prefix(rt, v, &v->conf.prefix[i]);
	}
}
