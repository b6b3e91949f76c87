/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of interfaces, addresses and static routes.
 *
 * A place on the wire (a device, a pair of tags) and an address belong to one object; prefixes have
 * no bits beyond their length; what is routed and the next router are of one address family. An
 * address that only means something on one link (RFC 4291 2.5.6) cannot be a next hop here, because
 * nothing names its link.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/config_private.h"

#define IPV6_MTU_MIN 1280 /* RFC 8200 5 */

static int
check_sub_interface(const struct ctl_config *c, const struct ctl_interface *i, struct spw_err *err)
{
	const struct ctl_interface *parent = ctl_config_interface(c, i->parent);

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
check_gateway(const struct ctl_config *c, const struct ctl_interface *i,
	      const struct spw_addr *gateway, struct spw_err *err)
{
	char text[SPW_ADDR_TEXT];

	if (!spw_addr_is_set(gateway))
		return 0;
	spw_addr_format(gateway, text);
	if (i->role != SPW_IF_ROLE_INTERNET)
		return spw_fail(err, -EINVAL,
				"interfaces %s gateway %s: only an interface of role internet has "
				"one: delete it",
				i->name, text);
	if (config_is_own(c, gateway))
		return spw_fail(err, -EINVAL,
				"interfaces %s gateway %s: this is an address of ours",
				i->name, text);
	for (unsigned int k = 0; k < i->n_addresses; k++)
		if (spw_prefix_contains_addr(&i->address[k], gateway))
			return 0;
	return spw_fail(err, -EINVAL,
			"interfaces %s gateway %s: on no network of the interface: set an address "
			"whose prefix holds it",
			i->name, text);
}

/* RFC 8200 5: IPv6 does not work over less. */
static int
check_mtu(const char *list, const char *name, uint32_t mtu, const struct spw_prefix *address,
	  unsigned int n, struct spw_err *err)
{
	for (unsigned int k = 0; k < n; k++)
		if (address[k].addr.family == AF_INET6 && mtu < IPV6_MTU_MIN)
			return spw_fail(err, -EINVAL,
					"%s %s mtu %u: IPv6 needs %d: set a larger mtu or delete "
					"the IPv6 address",
					list, name, mtu, IPV6_MTU_MIN);
	return 0;
}

static int
check_interface(const struct ctl_config *c, unsigned int index, struct spw_err *err)
{
	const struct ctl_interface *a = &c->interfaces[index];

	if (a->parent[0] && check_sub_interface(c, a, err) < 0)
		return -EINVAL;
	if (check_gateway(c, a, &a->gateway4, err) < 0 ||
	    check_gateway(c, a, &a->gateway6, err) < 0)
		return -EINVAL;
	if (check_mtu("interfaces", a->name, a->mtu, a->address, a->n_addresses, err) < 0)
		return -EINVAL;
	for (unsigned int j = 0; j < index; j++)
		if (same_place(a, &c->interfaces[j]))
			return spw_fail(err, -EINVAL,
					"interfaces %s %s: already used by interface %s", a->name,
					a->device[0] ? "device" : "vlan", c->interfaces[j].name);
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

int
config_check_masked(const char *where, const struct spw_prefix *p, struct spw_err *err)
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
		if (config_check_masked(where, &p[i], err) < 0)
			return -EINVAL;
	return 0;
}

static int
check_bgp_masked(const struct ctl_bgp *bgp, struct spw_err *err)
{
	int rc = check_list_masked("routing bgp", "", "announce", bgp->announce, bgp->n_announce,
				   err);

	for (unsigned int i = 0; i < bgp->n_neighbors && rc == 0; i++) {
		const struct ctl_neighbor *n = &bgp->neighbor[i];
		char text[SPW_ADDR_TEXT];

		rc = check_list_masked("routing bgp neighbor", spw_addr_format(&n->address, text),
				       "announce", n->announce, n->n_announce, err);
	}
	return rc;
}

static int
check_prefixes_masked(const struct ctl_config *c, struct spw_err *err)
{
	int rc = check_bgp_masked(&c->bgp, err);

	for (unsigned int i = 0; i < c->n_statics && rc == 0; i++)
		rc = config_check_masked("routing static", &c->statics[i].prefix, err);
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

bool
config_is_link_local(const struct spw_addr *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static int
check_static(const struct ctl_config *c, const struct ctl_static_route *r, struct spw_err *err)
{
	char prefix[SPW_PREFIX_TEXT], hop[SPW_ADDR_TEXT];

	spw_prefix_format(&r->prefix, prefix);
	spw_addr_format(&r->next_hop, hop);
	if (r->prefix.addr.family != r->next_hop.family)
		return spw_fail(err, -EINVAL,
				"routing static %s next-hop %s: of the other address family: name "
				"an %s router",
				prefix, hop, r->next_hop.family == AF_INET ? "IPv6" : "IPv4");
	if (config_is_link_local(&r->next_hop))
		return spw_fail(err, -EINVAL,
				"routing static %s next-hop %s: is link-local: name the router's "
				"address of an interface's network",
				prefix, hop);
	if (config_is_own(c, &r->next_hop))
		return spw_fail(err, -EINVAL,
				"routing static %s next-hop %s: this is an address of the gateway "
				"itself",
				prefix, hop);
	return 0;
}

int
config_check_addresses(const struct ctl_config *c, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < c->n_interfaces && rc == 0; i++)
		rc = check_interface(c, i, err);
	for (unsigned int i = 0; i < c->n_tunnels && rc == 0; i++)
		rc = check_mtu("tunnel", c->tunnels[i].name, c->tunnels[i].mtu,
			       c->tunnels[i].address, c->tunnels[i].n_addresses, err);
	if (rc == 0)
		rc = check_addresses_unique(c, err);
	if (rc == 0)
		rc = check_prefixes_masked(c, err);
	for (unsigned int i = 0; i < c->n_statics && rc == 0; i++)
		rc = check_static(c, &c->statics[i], err);
	return rc;
}

void
config_warn_addresses(const struct ctl_config *c, struct ctl_lines *warnings)
{
	char text[SPW_ADDR_TEXT], prefix[SPW_PREFIX_TEXT];

	for (unsigned int i = 0; i < c->n_statics; i++)
		if (!config_is_connected(c, &c->statics[i].next_hop))
			ctl_lines_add(warnings,
				      "routing static %s next-hop %s: on no connected network",
				      spw_prefix_format(&c->statics[i].prefix, prefix),
				      spw_addr_format(&c->statics[i].next_hop, text));
}
