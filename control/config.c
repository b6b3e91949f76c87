/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules over the whole configuration that YANG does not hold, most of them Azure's: address spaces
 * of protected networks are disjoint; an Azure gateway's address lies outside what it protects
 * (its own ESP would be routed into the tunnel); a tunnel starts from an address we have. Errors
 * stop a commit; what is allowed but known to hurt is a warning. Pure functions of one structure.
 */
#include "control/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model.h"

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

static const struct ctl_interface *
interface_find(const struct ctl_config *c, const char *name)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		if (strcmp(c->interfaces[i].name, name) == 0)
			return &c->interfaces[i];
	return NULL;
}

static int
check_sub_interface(const struct ctl_config *c, const struct ctl_interface *i, struct spw_err *err)
{
	const struct ctl_interface *parent = interface_find(c, i->parent);

	if (parent == NULL || parent->device[0] == '\0')
		return spw_fail(err, -EINVAL,
				"interfaces %s parent %s: is a sub-interface itself: name the port",
				i->name, i->parent);
	if (i->mtu > parent->mtu)
		return spw_fail(err, -EINVAL,
				"interfaces %s mtu %u: larger than that of its parent %s (%u)",
				i->name, i->mtu, parent->name, parent->mtu);
	return 0;
}

static bool
same_place(const struct ctl_interface *a, const struct ctl_interface *b)
{
	if (a->device[0])
		return strcmp(a->device, b->device) == 0;
	return strcmp(a->parent, b->parent) == 0 && a->vlan_outer == b->vlan_outer &&
	       a->vlan_inner == b->vlan_inner;
}

static int
check_interfaces(const struct ctl_config *c, struct spw_err *err)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++) {
		const struct ctl_interface *a = &c->interfaces[i];

		if (a->parent[0] && check_sub_interface(c, a, err) < 0)
			return -EINVAL;
		for (unsigned int j = 0; j < i; j++)
			if (same_place(a, &c->interfaces[j]))
				return spw_fail(err, -EINVAL,
						"interfaces %s %s: already used by interface %s",
						a->name, a->device[0] ? "device" : "vlan",
						c->interfaces[j].name);
	}
	return 0;
}

/* An address of the gateway and where it is set. */
struct address_ref {
	const char *list, *name;
	const struct spw_prefix *prefix;
};

static unsigned int
gather_addresses(const struct ctl_config *c, struct address_ref *out)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < c->n_interfaces; i++)
		for (unsigned int k = 0; k < c->interfaces[i].n_addresses; k++)
			out[n++] = (struct address_ref){"interfaces", c->interfaces[i].name,
							&c->interfaces[i].address[k]};
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		for (unsigned int k = 0; k < c->tunnels[i].n_addresses; k++)
			out[n++] = (struct address_ref){"tunnel", c->tunnels[i].name,
							&c->tunnels[i].address[k]};
	return n;
}

static int
address_compare(const void *a, const void *b)
{
	return spw_addr_compare(&((const struct address_ref *)a)->prefix->addr,
				&((const struct address_ref *)b)->prefix->addr);
}

static int
check_addresses_unique(const struct ctl_config *c, struct spw_err *err)
{
	struct address_ref *ref =
		calloc((size_t)(c->n_interfaces + c->n_tunnels) * CTL_ADDRS + 1, sizeof(*ref));
	char text[SPW_PREFIX_TEXT];
	unsigned int n;
	int rc = 0;

	if (ref == NULL)
		return spw_fail(err, -ENOMEM, "no memory to check the addresses");
	n = gather_addresses(c, ref);
	qsort(ref, n, sizeof(*ref), address_compare);
	for (unsigned int i = 1; i < n && rc == 0; i++)
		if (address_compare(&ref[i - 1], &ref[i]) == 0)
			rc = spw_fail(err, -EINVAL,
				      "%s %s address %s: %s %s has this address, too: delete one",
				      ref[i].list, ref[i].name,
				      spw_prefix_format(ref[i].prefix, text), ref[i - 1].list,
				      ref[i - 1].name);
	free(ref);
	return rc;
}

static int
check_masked(const char *where, const struct spw_prefix *p, struct spw_err *err)
{
	struct spw_prefix masked = spw_prefix_masked(p);
	char a[SPW_PREFIX_TEXT], b[SPW_PREFIX_TEXT];

	if (spw_prefix_equal(&masked, p))
		return 0;
	return spw_fail(err, -EINVAL, "%s %s: has bits beyond its length: write %s", where,
			spw_prefix_format(p, a), spw_prefix_format(&masked, b));
}

static int
check_list_masked(const char *list, const char *name, const char *leaf, const struct spw_prefix *p,
		  unsigned int n, struct spw_err *err)
{
	char where[CTL_TEXT];

	snprintf(where, sizeof(where), "%s%s%s %s", list, name[0] ? " " : "", name, leaf);
	for (unsigned int i = 0; i < n; i++)
		if (check_masked(where, &p[i], err) < 0)
			return -EINVAL;
	return 0;
}

static int
check_prefixes_masked(const struct ctl_config *c, struct spw_err *err)
{
	int rc = check_list_masked("routing bgp", "", "announce", c->bgp.announce,
				   c->bgp.n_announce, err);

	for (unsigned int i = 0; i < c->n_statics && rc == 0; i++)
		rc = check_masked("routing static", &c->statics[i].prefix, err);
	for (unsigned int i = 0; i < c->n_vnets && rc == 0; i++)
		rc = check_list_masked("vnet", c->vnets[i].name, "prefix", c->vnets[i].prefix,
				       c->vnets[i].n_prefixes, err);
	for (unsigned int i = 0; i < c->n_tunnels && rc == 0; i++) {
		const struct ctl_tunnel *t = &c->tunnels[i];

		rc = check_list_masked("tunnel", t->name, "selectors local", t->local_selector,
				       t->n_local_selectors, err);
		if (rc == 0)
			rc = check_list_masked("tunnel", t->name, "selectors remote",
					       t->remote_selector, t->n_remote_selectors, err);
	}
	return rc;
}

static bool
is_own_address(const struct ctl_config *c, const struct spw_addr *a)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		for (unsigned int k = 0; k < c->interfaces[i].n_addresses; k++)
			if (spw_addr_equal(&c->interfaces[i].address[k].addr, a))
				return true;
	return false;
}

static int
check_tunnel(const struct ctl_config *c, const struct ctl_tunnel *t, struct spw_err *err)
{
	char text[SPW_ADDR_TEXT];

	if (!is_own_address(c, &t->local))
		return spw_fail(
			err, -EINVAL,
			"tunnel %s local-address %s: no interface has this address: set it on one",
			t->name, spw_addr_format(&t->local, text));
	if (is_own_address(c, &t->remote))
		return spw_fail(
			err, -EINVAL,
			"tunnel %s remote-address %s: this is an address of the gateway itself",
			t->name, spw_addr_format(&t->remote, text));
	return 0;
}

static int
tunnel_compare(const void *a, const void *b)
{
	const struct ctl_tunnel *x = *(const struct ctl_tunnel *const *)a;
	const struct ctl_tunnel *y = *(const struct ctl_tunnel *const *)b;
	int rc = spw_addr_compare(&x->local, &y->local);

	return rc ? rc : spw_addr_compare(&x->remote, &y->remote);
}

/* IKE finds the tunnel by its pair of addresses. */
static int
check_tunnel_pairs(const struct ctl_config *c, struct spw_err *err)
{
	const struct ctl_tunnel **t = calloc(c->n_tunnels + 1, sizeof(*t));
	int rc = 0;

	if (t == NULL)
		return spw_fail(err, -ENOMEM, "no memory to check the tunnels");
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		t[i] = &c->tunnels[i];
	qsort(t, c->n_tunnels, sizeof(*t), tunnel_compare);
	for (unsigned int i = 1; i < c->n_tunnels && rc == 0; i++)
		if (tunnel_compare(&t[i - 1], &t[i]) == 0)
			rc = spw_fail(
				err, -EINVAL,
				"tunnel %s: the same local-address and remote-address as tunnel %s",
				t[i]->name, t[i - 1]->name);
	free(t);
	return rc;
}

static int
check_vnet_pair(const struct ctl_vnet *a, const struct ctl_vnet *b, struct spw_err *err)
{
	char x[SPW_PREFIX_TEXT], y[SPW_PREFIX_TEXT];

	for (unsigned int i = 0; i < a->n_prefixes; i++)
		for (unsigned int k = 0; k < b->n_prefixes; k++) {
			const struct spw_prefix *p = &a->prefix[i], *q = &b->prefix[k];

			if (a == b && i <= k)
				continue;
			if (spw_prefix_contains(p, q) || spw_prefix_contains(q, p))
				return spw_fail(
					err, -EINVAL,
					"vnet %s prefix %s: overlaps %s of vnet %s: each address "
					"belongs to one vnet",
					a->name, spw_prefix_format(p, x), spw_prefix_format(q, y),
					b->name);
		}
	return 0;
}

/* The outer packets of a tunnel must not be routed into the vnet they make up. */
static int
check_vnet_remotes(const struct ctl_config *c, const struct ctl_vnet *v, struct spw_err *err)
{
	char x[SPW_PREFIX_TEXT], y[SPW_ADDR_TEXT];

	for (unsigned int i = 0; i < v->n_prefixes; i++)
		for (unsigned int k = 0; k < c->n_tunnels; k++)
			if (spw_prefix_contains_addr(&v->prefix[i], &c->tunnels[k].remote))
				return spw_fail(
					err, -EINVAL,
					"tunnel %s remote-address %s: lies inside prefix %s of "
					"vnet %s, so its own packets would be routed into it",
					c->tunnels[k].name,
					spw_addr_format(&c->tunnels[k].remote, y),
					spw_prefix_format(&v->prefix[i], x), v->name);
	return 0;
}

static int
check_vnets(const struct ctl_config *c, struct spw_err *err)
{
	for (unsigned int i = 0; i < c->n_vnets; i++) {
		for (unsigned int k = 0; k <= i; k++)
			if (check_vnet_pair(&c->vnets[i], &c->vnets[k], err) < 0)
				return -EINVAL;
		if (check_vnet_remotes(c, &c->vnets[i], err) < 0)
			return -EINVAL;
	}
	return 0;
}

/* AS numbers an Azure VPN gateway or ExpressRoute does not take from a site. */
static bool
as_is_reserved(uint32_t as)
{
	static const struct {
		uint32_t first, last;
	} reserved[] = {{8074, 8075},	{12076, 12076}, {23456, 23456},
			{64496, 64511}, {65515, 65520}, {65535, 65551}};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (as >= reserved[i].first && as <= reserved[i].last)
			return true;
	return false;
}

static bool
on_link(const struct ctl_config *c, const struct spw_addr *a)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		for (unsigned int k = 0; k < c->interfaces[i].n_addresses; k++)
			if (spw_prefix_contains_addr(&c->interfaces[i].address[k], a))
				return true;
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		for (unsigned int k = 0; k < c->tunnels[i].n_addresses; k++)
			if (spw_prefix_contains_addr(&c->tunnels[i].address[k], a))
				return true;
	return false;
}

static void
warn_routing(const struct ctl_config *c, struct ctl_lines *warnings)
{
	char text[SPW_ADDR_TEXT], prefix[SPW_PREFIX_TEXT];

	if (as_is_reserved(c->bgp.local_as))
		ctl_lines_add(
			warnings,
			"routing bgp local-as %u: reserved; Azure does not take it from a site",
			c->bgp.local_as);
	for (unsigned int i = 0; i < c->n_statics; i++)
		if (!on_link(c, &c->statics[i].next_hop))
			ctl_lines_add(warnings,
				      "routing static %s next-hop %s: on no connected network",
				      spw_prefix_format(&c->statics[i].prefix, prefix),
				      spw_addr_format(&c->statics[i].next_hop, text));
	for (unsigned int i = 0; i < c->bgp.n_neighbors; i++)
		if (!on_link(c, &c->bgp.neighbor[i].address))
			ctl_lines_add(warnings, "routing bgp neighbor %s: on no connected network",
				      spw_addr_format(&c->bgp.neighbor[i].address, text));
}

static void
warn_tunnels(const struct ctl_config *c, struct ctl_lines *warnings)
{
	for (unsigned int i = 0; i < c->n_vnets; i++)
		if (c->vnets[i].n_tunnels == 0)
			ctl_lines_add(warnings, "vnet %s: has no tunnel to fall back to",
				      c->vnets[i].name);
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		if (c->tunnels[i].replay_window == 0)
			ctl_lines_add(warnings,
				      "tunnel %s replay-window 0: replayed packets get in",
				      c->tunnels[i].name);
}

int
ctl_config_check(const struct ctl_config *config, struct ctl_lines *warnings, struct spw_err *err)
{
	int rc = check_interfaces(config, err);

	if (rc == 0)
		rc = check_addresses_unique(config, err);
	if (rc == 0)
		rc = check_prefixes_masked(config, err);
	for (unsigned int i = 0; i < config->n_tunnels && rc == 0; i++)
		rc = check_tunnel(config, &config->tunnels[i], err);
	if (rc == 0)
		rc = check_tunnel_pairs(config, err);
	if (rc == 0)
		rc = check_vnets(config, err);
	if (rc == 0 && warnings) {
		warn_routing(config, warnings);
		warn_tunnels(config, warnings);
	}
	return rc;
}
