/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of tunnels, and of tunnels with the networks they are for.
 *
 * A tunnel starts from an address of an interface, whose role is its underlay: internet, or
 * expressroute for IPsec over private peering. IKE finds it by its pair of addresses. The Azure
 * gateway's address lies outside every vnet, or the tunnel's own packets would be routed into it;
 * over private peering it is a private address of the vnet's gateway subnet, reached by the routes
 * learnt there, so that there the rule does not hold.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/config_private.h"

static bool
has_family(const struct spw_prefix *p, unsigned int n, uint8_t family)
{
	for (unsigned int i = 0; i < n; i++)
		if (p[i].addr.family == family)
			return true;
	return false;
}

/* A packet has one family: a selector of a family without one on the other side matches nothing. */
static int
check_selector_families(const struct ctl_tunnel *t, struct spw_err *err)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	if (t->n_local_selectors == 0 || t->n_remote_selectors == 0)
		return 0;
	for (size_t i = 0; i < sizeof(families); i++) {
		bool local = has_family(t->local_selector, t->n_local_selectors, families[i]);
		bool remote = has_family(t->remote_selector, t->n_remote_selectors, families[i]);
		const char *name = families[i] == AF_INET ? "IPv4" : "IPv6";

		if (local != remote)
			return spw_fail(err, -EINVAL,
					"tunnel %s selectors: %s on the %s side alone: add one to "
					"selectors %s or delete it",
					t->name, name, local ? "local" : "remote",
					local ? "remote" : "local");
	}
	return 0;
}

/* A packet has one family (RFC 7296 2.11); a link-local address names no link (RFC 4291 2.5.6). */
static int
check_outer(const struct ctl_tunnel *t, struct spw_err *err)
{
	bool local = config_is_link_local(&t->local);
	char text[SPW_ADDR_TEXT];

	if (t->local.family != t->remote.family)
		return spw_fail(err, -EINVAL,
				"tunnel %s remote-address %s: local-address is %s: set both of one "
				"address family",
				t->name, spw_addr_format(&t->remote, text),
				t->local.family == AF_INET ? "IPv4" : "IPv6");
	if (local || config_is_link_local(&t->remote))
		return spw_fail(err, -EINVAL,
				"tunnel %s %s-address %s: is link-local: name one that is routed",
				t->name, local ? "local" : "remote",
				spw_addr_format(local ? &t->local : &t->remote, text));
	return 0;
}

static int
check_tunnel(const struct ctl_config *c, const struct ctl_tunnel *t, struct spw_err *err)
{
	char text[SPW_ADDR_TEXT];

	if (check_outer(t, err) < 0)
		return -EINVAL;
	if (ctl_config_interface_with(c, &t->local) == NULL)
		return spw_fail(
			err, -EINVAL,
			"tunnel %s local-address %s: no interface has this address: set it on one",
			t->name, spw_addr_format(&t->local, text));
	if (ctl_config_interface_with(c, &t->remote))
		return spw_fail(
			err, -EINVAL,
			"tunnel %s remote-address %s: this is an address of the gateway itself",
			t->name, spw_addr_format(&t->remote, text));
	if (t->n_addresses > 0 && ctl_config_interface(c, t->name))
		return spw_fail(err, -EINVAL,
				"tunnel %s: an interface has this name: choose another, or delete "
				"the tunnel's address",
				t->name);
	return check_selector_families(t, err);
}

static int
tunnel_compare(const void *a, const void *b)
{
	const struct ctl_tunnel *x = *(const struct ctl_tunnel *const *)a;
	const struct ctl_tunnel *y = *(const struct ctl_tunnel *const *)b;
	int rc = spw_addr_compare(&x->local, &y->local);

	return rc ? rc : spw_addr_compare(&x->remote, &y->remote);
}

/* IKE finds the tunnel by its pair of addresses, and has two sockets for each of ours. */
static int
check_tunnel_pairs(const struct ctl_config *c, struct spw_err *err)
{
	const struct ctl_tunnel **t = calloc(c->n_tunnels + 1, sizeof(*t));
	unsigned int locals = 1;
	int rc = 0;

	if (t == NULL)
		return spw_fail(err, -ENOMEM, "no memory to check the tunnels");
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		t[i] = &c->tunnels[i];
	qsort(t, c->n_tunnels, sizeof(*t), tunnel_compare);
	for (unsigned int i = 1; i < c->n_tunnels && rc == 0; i++) {
		locals += !spw_addr_equal(&t[i - 1]->local, &t[i]->local);
		if (tunnel_compare(&t[i - 1], &t[i]) == 0)
			rc = spw_fail(
				err, -EINVAL,
				"tunnel %s: the same local-address and remote-address as tunnel %s",
				t[i]->name, t[i - 1]->name);
		else if (locals > CTL_TUNNEL_LOCALS)
			rc = spw_fail(err, -EINVAL,
				      "tunnel %s local-address: tunnels start from more than %d "
				      "addresses: let some share one",
				      t[i]->name, CTL_TUNNEL_LOCALS);
	}
	free(t);
	return rc;
}

/* The outer packets of a tunnel must not be routed into the vnet they make up. */
static int
check_remote(const struct ctl_config *c, const struct ctl_vnet *v, const struct spw_prefix *p,
	     struct spw_err *err)
{
	char x[SPW_PREFIX_TEXT], y[SPW_ADDR_TEXT];

	for (unsigned int k = 0; k < c->n_tunnels; k++) {
		const struct ctl_tunnel *t = &c->tunnels[k];

		if (spw_prefix_contains_addr(p, &t->remote) &&
		    ctl_config_underlay(c, t) != SPW_IF_ROLE_EXPRESSROUTE)
			return spw_fail(err, -EINVAL,
					"tunnel %s remote-address %s: lies inside prefix %s of "
					"vnet %s, so its own packets would be routed into it",
					t->name, spw_addr_format(&t->remote, y),
					spw_prefix_format(p, x), v->name);
	}
	return 0;
}

int
config_check_tunnels(const struct ctl_config *c, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < c->n_tunnels && rc == 0; i++)
		rc = check_tunnel(c, &c->tunnels[i], err);
	if (rc == 0)
		rc = check_tunnel_pairs(c, err);
	for (unsigned int i = 0; i < c->n_vnets && rc == 0; i++)
		for (unsigned int k = 0; k < c->vnets[i].n_prefixes && rc == 0; k++)
			rc = check_remote(c, &c->vnets[i], &c->vnets[i].prefix[k], err);
	return rc;
}

static bool
route_leaves_by(const struct ctl_config *c, const struct ctl_interface *i, const struct spw_addr *a)
{
	for (unsigned int k = 0; k < c->n_statics; k++)
		if (spw_prefix_contains_addr(&c->statics[k].prefix, a) &&
		    ctl_config_interface_towards(c, &c->statics[k].next_hop) == i)
			return true;
	return false;
}

/* Is it known how a tunnel's packets leave its uplink, whatever is learnt elsewhere? */
static bool
way_is_known(const struct ctl_config *c, const struct ctl_interface *i, const struct ctl_tunnel *t)
{
	for (unsigned int k = 0; k < i->n_addresses; k++)
		if (spw_prefix_contains_addr(&i->address[k], &t->remote))
			return true;
	return spw_addr_is_set(t->remote.family == AF_INET ? &i->gateway4 : &i->gateway6) ||
	       route_leaves_by(c, i, &t->remote);
}

/* One line for an uplink, however many tunnels leave by it. */
static void
warn_uplink(const struct ctl_config *c, const struct ctl_interface *i, struct ctl_lines *warnings)
{
	char text[SPW_ADDR_TEXT];

	for (unsigned int k = 0; k < c->n_tunnels; k++) {
		const struct ctl_tunnel *t = &c->tunnels[k];

		if (ctl_config_interface_with(c, &t->local) != i || way_is_known(c, i, t))
			continue;
		ctl_lines_add(warnings,
			      "tunnel %s remote-address %s: no static route to it leaves by %s: "
			      "set interfaces %s gateway ADDRESS, or another route may lead its "
			      "packets elsewhere",
			      t->name, spw_addr_format(&t->remote, text), i->name, i->name);
		return;
	}
}

void
config_warn_tunnels(const struct ctl_config *c, struct ctl_lines *warnings)
{
	char text[SPW_ADDR_TEXT];

	for (unsigned int i = 0; i < c->n_interfaces; i++)
		if (c->interfaces[i].role == SPW_IF_ROLE_INTERNET)
			warn_uplink(c, &c->interfaces[i], warnings);
	for (unsigned int i = 0; i < c->n_tunnels; i++) {
		const struct ctl_tunnel *t = &c->tunnels[i];

		if (t->replay_window == 0)
			ctl_lines_add(warnings,
				      "tunnel %s replay-window 0: replayed packets get in",
				      t->name);
		if (ctl_config_underlay(c, t) == SPW_IF_ROLE_LAN)
			ctl_lines_add(warnings,
				      "tunnel %s local-address %s: of an interface of role lan: "
				      "nothing keeps the way to the Azure gateway off "
				      "ExpressRoute",
				      t->name, spw_addr_format(&t->local, text));
	}
}
