/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports, interfaces, tunnels and vnets as the configuration names them.
 *
 * Reconciling goes by name: what is there keeps its object, number and state and takes the new
 * settings; what is new gets an object and a number from the book; what is not named any more only
 * loses its mark `keep` and is freed by the pruning at the end of a commit, when nothing refers
 * to it. A port's number belongs to its name and device together, so another device behind the
 * same name is another port and both can be there during a commit.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/failover.h"
#include "control/fib.h"
#include "control/twin.h"

bool
ctl_devargs_kernel_name(const char *devargs, char out[IFNAMSIZ])
{
	const char *at = strchr(devargs, ',');

	for (; at; at = strchr(at, ',')) {
		size_t len;

		at++;
		if (strncmp(at, "iface=", 6) != 0)
			continue;
		at += 6;
		len = strcspn(at, ",");
		if (len == 0 || len >= IFNAMSIZ)
			return false;
		memcpy(out, at, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

void
ctl_port_key(const char *name, const char *devargs, char out[CTL_ID_KEY])
{
	snprintf(out, CTL_ID_KEY, "%s %s", name, devargs);
}

void
ctl_port_message(const struct ctl_interface *conf, uint32_t id, uint32_t generation,
		 struct spw_dp_port *out)
{
	*out = (struct spw_dp_port){.id = id, .generation = generation, .mtu = conf->mtu};
	memcpy(out->name, conf->name, sizeof(out->name));
	memcpy(out->devargs, conf->device, sizeof(out->devargs));
}

struct ctl_port *
ctl_port_by_name(struct ctl_runtime *rt, const char *name)
{
	struct ctl_port *p = rt->ports;

	while (p && (!p->keep || strcmp(p->name, name) != 0))
		p = p->next;
	return p;
}

struct ctl_iface *
ctl_iface_by_name(struct ctl_runtime *rt, const char *name)
{
	struct ctl_iface *i = rt->ifaces;

	while (i && (!i->keep || strcmp(i->name, name) != 0))
		i = i->next;
	return i;
}

struct ctl_iface *
ctl_iface_by_index(struct ctl_runtime *rt, uint32_t ifindex)
{
	struct ctl_iface *i = rt->ifaces;

	while (i && (!i->keep || i->ifindex != ifindex || ifindex == 0))
		i = i->next;
	return i;
}

struct ctl_iface *
ctl_iface_by_id(struct ctl_runtime *rt, uint32_t id)
{
	struct ctl_iface *i = rt->ifaces;

	while (i && (!i->keep || i->id != id))
		i = i->next;
	return i;
}

struct ctl_tun *
ctl_tun_by_name(struct ctl_runtime *rt, const char *name)
{
	struct ctl_tun *t = rt->tunnels;

	while (t && (!t->keep || strcmp(t->conf.name, name) != 0))
		t = t->next;
	return t;
}

struct ctl_tun *
ctl_tun_by_id(struct ctl_runtime *rt, uint32_t id)
{
	struct ctl_tun *t = rt->tunnels;

	while (t && (!t->keep || t->id != id))
		t = t->next;
	return t;
}

struct ctl_vnet_state *
ctl_vnet_by_name(struct ctl_runtime *rt, const char *name)
{
	struct ctl_vnet_state *v = rt->vnets;

	while (v && strcmp(v->conf.name, name) != 0)
		v = v->next;
	return v;
}

static struct ctl_port *
port_find(struct ctl_runtime *rt, const char *name, const char *devargs)
{
	struct ctl_port *p = rt->ports;

	while (p && (strcmp(p->name, name) != 0 || strcmp(p->devargs, devargs) != 0))
		p = p->next;
	return p;
}

static struct ctl_port *
port_take(struct ctl_runtime *rt, const struct ctl_interface *c)
{
	struct ctl_port *p = port_find(rt, c->name, c->device);
	char key[CTL_ID_KEY];

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		ctl_port_key(c->name, c->device, key);
		p->id = ctl_ids_get(rt->ids, CTL_ID_PORT, key);
		memcpy(p->name, c->name, sizeof(p->name));
		memcpy(p->devargs, c->device, sizeof(p->devargs));
		ctl_devargs_kernel_name(p->devargs, p->kernel_name);
		p->next = rt->ports;
		rt->ports = p;
	}
	p->mtu = c->mtu;
	p->keep = true;
	return p;
}

/* Any interface of that name, kept or not: a commit may bring back what it just dropped. */
static struct ctl_iface *
iface_take(struct ctl_runtime *rt, const char *name)
{
	struct ctl_iface *i = rt->ifaces, **tail = &rt->ifaces;

	while (i && strcmp(i->name, name) != 0)
		i = i->next;
	if (!i) {
		i = calloc(1, sizeof(*i));
		if (!i)
			return NULL;
		i->keeper_fd = -1;
		snprintf(i->name, sizeof(i->name), "%s", name);
		i->id = ctl_ids_get(rt->ids, CTL_ID_IFACE, name);
		ctl_request_recall_aside(rt, i);
		while (*tail)
			tail = &(*tail)->next;
		*tail = i;
	}
	i->keep = true;
	return i;
}

/* Only a link of ExpressRoute can be set aside. */
static void
role_take(struct ctl_runtime *rt, struct ctl_iface *i, enum spw_dp_iface_role role)
{
	i->role = role;
	if (role != SPW_IF_ROLE_EXPRESSROUTE)
		ctl_request_forget_aside(rt, i);
}

static void
addresses_take(struct ctl_runtime *rt, struct ctl_iface *i, const struct spw_prefix *list,
	       unsigned int n)
{
	struct spw_prefix before[CTL_ADDRS];
	unsigned int n_before = i->n_wanted;

	memcpy(before, i->wanted, sizeof(before));
	i->n_wanted = n;
	memcpy(i->wanted, list, sizeof(i->wanted));
	if (i->ifindex)
		ctl_twin_unwanted(rt, i, before, n_before);
}

static void
port_iface(struct ctl_runtime *rt, const struct ctl_interface *c)
{
	const bool sub = c->parent[0] != '\0';
	struct ctl_iface *i = iface_take(rt, c->name);

	if (!i)
		return;
	i->kind = sub ? SPW_IFACE_VLAN : SPW_IFACE_PORT;
	i->port = sub ? ctl_port_by_name(rt, c->parent) : ctl_port_by_name(rt, c->name);
	role_take(rt, i, c->role);
	i->enabled = c->enabled;
	i->mtu = c->mtu;
	i->mss_clamp = c->mss_clamp;
	i->vlan_outer = c->vlan_outer;
	i->vlan_inner = c->vlan_inner;
	i->vlan_tpid = c->vlan_tpid;
	memcpy(i->circuit, c->circuit, sizeof(i->circuit));
	i->gateway4 = c->gateway4;
	i->gateway6 = c->gateway6;
	memcpy(i->description, c->description, sizeof(i->description));
	addresses_take(rt, i, c->address, c->n_addresses);
}

static void
tunnel_iface(struct ctl_runtime *rt, struct ctl_tun *t)
{
	struct ctl_iface *i;

	t->iface = NULL;
	if (t->conf.n_addresses == 0)
		return;
	i = iface_take(rt, t->conf.name);
	if (!i)
		return;
	i->kind = SPW_IFACE_TUNNEL;
	role_take(rt, i, SPW_IF_ROLE_TUNNEL);
	i->tunnel = t;
	i->enabled = t->conf.enabled;
	i->mtu = t->conf.mtu;
	memcpy(i->description, t->conf.description, sizeof(i->description));
	addresses_take(rt, i, t->conf.address, t->conf.n_addresses);
	t->iface = i;
}

static void
tunnel_take(struct ctl_runtime *rt, const struct ctl_tunnel *c)
{
	struct ctl_tun *t = rt->tunnels, **tail = &rt->tunnels;

	while (t && strcmp(t->conf.name, c->name) != 0)
		t = t->next;
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return;
		t->id = ctl_ids_get(rt->ids, CTL_ID_TUNNEL, c->name);
		while (*tail)
			tail = &(*tail)->next;
		*tail = t;
	}
	t->conf = *c;
	t->keep = true;
	tunnel_iface(rt, t);
	t->path = ctl_path_get(rt, SPW_PATH_TUNNEL, NULL, t, NULL);
}

static void
vnet_take(struct ctl_runtime *rt, const struct ctl_vnet *c)
{
	struct ctl_vnet_state *v = ctl_vnet_by_name(rt, c->name), **tail = &rt->vnets;

	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return;
		v->conf = *c;
		while (*tail)
			tail = &(*tail)->next;
		*tail = v;
		ctl_failover_recall(rt, v);
	}
	v->conf = *c;
	v->keep = true;
}

void
ctl_objects_reconcile(struct ctl_runtime *rt)
{
	const struct ctl_config *c = &rt->config;

	for (struct ctl_port *p = rt->ports; p; p = p->next)
		p->keep = false;
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		i->keep = false;
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next)
		t->keep = false;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		v->keep = false;
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		if (c->interfaces[i].device[0])
			port_take(rt, &c->interfaces[i]);
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		port_iface(rt, &c->interfaces[i]);
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		tunnel_take(rt, &c->tunnels[i]);
	for (unsigned int i = 0; i < c->n_vnets; i++)
		vnet_take(rt, &c->vnets[i]);
}

static void
iface_drop(struct ctl_runtime *rt, struct ctl_iface *i)
{
	for (struct ctl_path *p = rt->paths, *next; p; p = next) {
		next = p->next;
		if (p->iface != i)
			continue;
		ctl_ids_put(rt->ids, CTL_ID_PATH, p->key);
		ctl_path_free(rt, p);
	}
	ctl_request_forget_aside(rt, i);
	ctl_neighbours_forget(rt, i);
	ctl_twin_remove(rt, i);
	ctl_ids_put(rt->ids, CTL_ID_IFACE, i->name);
	free(i);
}

static void
tunnel_drop(struct ctl_runtime *rt, struct ctl_tun *t)
{
	if (t->path) {
		ctl_ids_put(rt->ids, CTL_ID_PATH, t->path->key);
		ctl_path_free(rt, t->path);
	}
	ctl_ids_put(rt->ids, CTL_ID_TUNNEL, t->conf.name);
	free(t);
}

static void
port_drop(struct ctl_runtime *rt, struct ctl_port *p)
{
	char key[CTL_ID_KEY];

	ctl_port_key(p->name, p->devargs, key);
	ctl_ids_put(rt->ids, CTL_ID_PORT, key);
	free(p);
}

static void
prune_vnets(struct ctl_runtime *rt)
{
	for (struct ctl_vnet_state **at = &rt->vnets, *v; (v = *at);) {
		if (v->keep) {
			at = &v->next;
			continue;
		}
		ctl_request_forget(rt, v);
		*at = v->next;
		free(v);
	}
}

static void
prune_ifaces(struct ctl_runtime *rt)
{
	for (struct ctl_iface **at = &rt->ifaces, *i; (i = *at);) {
		if (i->keep) {
			at = &i->next;
			continue;
		}
		*at = i->next;
		iface_drop(rt, i);
	}
}

static void
prune_tunnels(struct ctl_runtime *rt)
{
	for (struct ctl_tun **at = &rt->tunnels, *t; (t = *at);) {
		if (t->keep) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		tunnel_drop(rt, t);
	}
}

static void
prune_ports(struct ctl_runtime *rt)
{
	for (struct ctl_port **at = &rt->ports, *p; (p = *at);) {
		if (p->keep) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		port_drop(rt, p);
	}
}

void
ctl_objects_prune(struct ctl_runtime *rt)
{
	prune_vnets(rt);
	prune_ifaces(rt);
	prune_tunnels(rt);
	prune_ports(rt);
}

void
ctl_objects_free(struct ctl_runtime *rt)
{
	for (struct ctl_iface *i = rt->ifaces, *next; i; i = next) {
		next = i->next;
		if (i->keeper_fd >= 0)
			close(i->keeper_fd);
		free(i);
	}
	for (struct ctl_tun *t = rt->tunnels, *next; t; t = next) {
		next = t->next;
		free(t);
	}
	for (struct ctl_port *p = rt->ports, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	for (struct ctl_vnet_state *v = rt->vnets, *next; v; v = next) {
		next = v->next;
		free(v);
	}
}
