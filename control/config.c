/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The typed configuration: its end, look-ups in it, and the order of its checks.
 *
 * Rules over the whole configuration that YANG does not hold, most of them Azure's, are in
 * config_address.c (interfaces, addresses, routes), config_tunnel.c (tunnels and the networks they
 * are for), config_vnet.c (circuits, probes, classes) and config_bgp.c (sessions, and what is
 * announced where). The first error stops a commit, with one line; what is allowed but known to
 * hurt is a warning, told when there is no error. All are pure functions of one structure.
 */
#include "control/config_private.h"

#include <stdlib.h>
#include <string.h>

void
ctl_config_free(struct ctl_config *config)
{
	if (config == NULL)
		return;
	free(config->interfaces);
	free(config->statics);
	free(config->tunnels);
	free(config->vnets);
	free(config);
}

const struct ctl_interface *
ctl_config_interface(const struct ctl_config *c, const char *name)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		if (strcmp(c->interfaces[i].name, name) == 0)
			return &c->interfaces[i];
	return NULL;
}

const struct ctl_tunnel *
ctl_config_tunnel(const struct ctl_config *c, const char *name)
{
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		if (strcmp(c->tunnels[i].name, name) == 0)
			return &c->tunnels[i];
	return NULL;
}

const struct ctl_interface *
ctl_config_interface_with(const struct ctl_config *c, const struct spw_addr *own)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		for (unsigned int k = 0; k < c->interfaces[i].n_addresses; k++)
			if (spw_addr_equal(&c->interfaces[i].address[k].addr, own))
				return &c->interfaces[i];
	return NULL;
}

const struct ctl_interface *
ctl_config_interface_towards(const struct ctl_config *c, const struct spw_addr *a)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		for (unsigned int k = 0; k < c->interfaces[i].n_addresses; k++)
			if (spw_prefix_contains_addr(&c->interfaces[i].address[k], a))
				return &c->interfaces[i];
	return NULL;
}

const struct ctl_tunnel *
ctl_config_tunnel_towards(const struct ctl_config *c, const struct spw_addr *a)
{
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		for (unsigned int k = 0; k < c->tunnels[i].n_addresses; k++)
			if (spw_prefix_contains_addr(&c->tunnels[i].address[k], a))
				return &c->tunnels[i];
	return NULL;
}

const struct ctl_tunnel *
config_tunnel_with(const struct ctl_config *c, const struct spw_addr *own)
{
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		for (unsigned int k = 0; k < c->tunnels[i].n_addresses; k++)
			if (spw_addr_equal(&c->tunnels[i].address[k].addr, own))
				return &c->tunnels[i];
	return NULL;
}

enum spw_dp_iface_role
ctl_config_underlay(const struct ctl_config *c, const struct ctl_tunnel *t)
{
	const struct ctl_interface *i = ctl_config_interface_with(c, &t->local);

	return i ? i->role : SPW_IF_ROLE_LAN;
}

bool
ctl_config_vnet_uses(const struct ctl_vnet *v, const char *circuit)
{
	for (unsigned int i = 0; i < v->n_circuits; i++)
		if (strcmp(v->circuit[i], circuit) == 0)
			return true;
	return v->n_circuits == 0;
}

unsigned int
ctl_config_announced(const struct ctl_bgp *bgp, const struct ctl_neighbor *n,
		     const struct spw_prefix *out[CTL_LIST])
{
	const struct spw_prefix *list = n->n_announce ? n->announce : bgp->announce;
	unsigned int size = n->n_announce ? n->n_announce : bgp->n_announce, count = 0;

	for (unsigned int i = 0; i < size; i++)
		if (list[i].addr.family == n->address.family)
			out[count++] = &list[i];
	return count;
}

int
ctl_config_check(const struct ctl_config *config, struct ctl_lines *warnings, struct spw_err *err)
{
	int rc = config_check_addresses(config, err);

	if (rc == 0)
		rc = config_check_tunnels(config, err);
	if (rc == 0)
		rc = config_check_vnets(config, err);
	if (rc == 0)
		rc = config_check_classes(config, err);
	if (rc == 0)
		rc = config_check_bgp(config, err);
	if (rc < 0 || warnings == NULL)
		return rc;
	config_warn_addresses(config, warnings);
	config_warn_bgp(config, warnings);
	config_warn_vnets(config, warnings);
	config_warn_tunnels(config, warnings);
	return 0;
}
