/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of BGP: sessions with ExpressRoute edges, sessions inside tunnels, and what is announced
 * over which.
 *
 * Inside a tunnel Azure keeps to 60 and 180 seconds and does not negotiate: lower timers make the
 * session flap. We dial, always: no neighbour is rendered passive, and an Azure gateway with a
 * 169.254 address never dials.
 *
 * The trap of IPsec over private peering (docs/decisions/0015): Azure answers by the longest
 * prefix, and of equal ones by ExpressRoute. So a prefix announced over ExpressRoute that equals,
 * or lies inside, what is to go through a tunnel over that same ExpressRoute brings the answers
 * in the clear; that is refused. One that holds it and is shorter only does so while the tunnel
 * is down; that is warned about.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "control/config_private.h"

#define AZURE_KEEPALIVE_S 60
#define AZURE_HOLD_S	  180

static bool
is_expressroute(const struct ctl_config *c, const struct ctl_neighbor *n)
{
	const struct ctl_interface *i = ctl_config_interface_towards(c, &n->address);

	return i && i->role == SPW_IF_ROLE_EXPRESSROUTE;
}

static int
check_announce_families(const struct ctl_neighbor *n, const char *name, struct spw_err *err)
{
	char prefix[SPW_PREFIX_TEXT];

	for (unsigned int i = 0; i < n->n_announce; i++)
		if (n->announce[i].addr.family != n->address.family)
			return spw_fail(err, -EINVAL,
					"routing bgp neighbor %s announce %s: of the other address "
					"family: announce it to an %s neighbor",
					name, spw_prefix_format(&n->announce[i], prefix),
					n->address.family == AF_INET ? "IPv6" : "IPv4");
	return 0;
}

static int
check_tunnel_timers(const struct ctl_config *c, const struct ctl_neighbor *n, const char *name,
		    struct spw_err *err)
{
	const struct ctl_tunnel *t = ctl_config_tunnel_towards(c, &n->address);

	if (t == NULL || (n->keepalive_s >= AZURE_KEEPALIVE_S && n->hold_s >= AZURE_HOLD_S))
		return 0;
	return spw_fail(err, -EINVAL,
			"routing bgp neighbor %s timers: %u and %u seconds, but inside tunnel %s "
			"Azure keeps to %d and %d: delete routing bgp neighbor %s timers",
			name, n->keepalive_s, n->hold_s, t->name, AZURE_KEEPALIVE_S, AZURE_HOLD_S,
			name);
}

static int
check_neighbor(const struct ctl_config *c, const struct ctl_neighbor *n, struct spw_err *err)
{
	char name[SPW_ADDR_TEXT];
	const struct ctl_interface *i;
	const struct ctl_tunnel *t;
	int rc;

	spw_addr_format(&n->address, name);
	if (config_is_link_local(&n->address))
		return spw_fail(err, -EINVAL,
				"routing bgp neighbor %s: is link-local: name its address of the "
				"link's network",
				name);
	i = ctl_config_interface_with(c, &n->address);
	t = config_tunnel_with(c, &n->address);
	if (i || t)
		return spw_fail(err, -EINVAL,
				"routing bgp neighbor %s: this is our address of %s %s", name,
				i ? "interface" : "tunnel", i ? i->name : t->name);
	rc = check_announce_families(n, name, err);
	return rc < 0 ? rc : check_tunnel_timers(c, n, name, err);
}

/* What our side sends through one tunnel, as far as the configuration knows. */
struct through {
	unsigned int n;
	const struct spw_prefix *prefix[2 * CTL_LIST];
	const char *by; /* path of the list in words */
};

static void
add_list(struct through *th, const struct spw_prefix *list, unsigned int n, const char *by)
{
	for (unsigned int i = 0; i < n && th->n < 2 * CTL_LIST; i++)
		th->prefix[th->n++] = &list[i];
	th->by = by;
}

/* Local selectors; else what neighbours inside it are told; else all that is announced. */
static void
what_goes_through(const struct ctl_config *c, const struct ctl_tunnel *t, struct through *th)
{
	bool known = false;

	th->n = 0;
	if (t->n_local_selectors) {
		add_list(th, t->local_selector, t->n_local_selectors, "selectors local");
		return;
	}
	for (unsigned int i = 0; i < c->bgp.n_neighbors && th->n < CTL_LIST; i++) {
		const struct ctl_neighbor *n = &c->bgp.neighbor[i];

		if (ctl_config_tunnel_towards(c, &n->address) != t)
			continue;
		known = true;
		th->n += ctl_config_announced(&c->bgp, n, &th->prefix[th->n]);
		th->by = "announced inside it";
	}
	if (!known)
		add_list(th, c->bgp.announce, c->bgp.n_announce, "routing bgp announce");
}

/* The outer address of a tunnel may be told: what comes to it is the tunnel. */
static bool
is_endpoint(const struct ctl_config *c, const struct spw_prefix *p)
{
	if (p->len != 8 * spw_addr_len(p->addr.family))
		return false;
	for (unsigned int i = 0; i < c->n_tunnels; i++)
		if (spw_addr_equal(&c->tunnels[i].local, &p->addr))
			return true;
	return false;
}

static int
check_trap_neighbor(const struct ctl_config *c, const struct ctl_vnet *v,
		    const struct ctl_tunnel *t, const struct ctl_neighbor *n,
		    const struct through *th, struct spw_err *err)
{
	const struct spw_prefix *told[CTL_LIST];
	unsigned int n_told = ctl_config_announced(&c->bgp, n, told);
	char x[SPW_PREFIX_TEXT], y[SPW_PREFIX_TEXT], name[SPW_ADDR_TEXT];

	for (unsigned int i = 0; i < n_told; i++)
		for (unsigned int k = 0; k < th->n; k++)
			if (spw_prefix_contains(th->prefix[k], told[i]) && !is_endpoint(c, told[i]))
				return spw_fail(
					err, -EINVAL,
					"routing bgp neighbor %s announce %s: tunnel %s of vnet %s "
					"carries %s over this circuit (%s): Azure would answer in "
					"the clear: announce it other prefixes",
					spw_addr_format(&n->address, name),
					spw_prefix_format(told[i], x), t->name, v->name,
					spw_prefix_format(th->prefix[k], y), th->by);
	return 0;
}

static void
warn_trap_neighbor(const struct ctl_config *c, const struct ctl_tunnel *t,
		   const struct ctl_neighbor *n, const struct through *th,
		   struct ctl_lines *warnings)
{
	const struct spw_prefix *told[CTL_LIST];
	unsigned int n_told = ctl_config_announced(&c->bgp, n, told);
	char x[SPW_PREFIX_TEXT], y[SPW_PREFIX_TEXT], name[SPW_ADDR_TEXT];

	for (unsigned int i = 0; i < n_told; i++)
		for (unsigned int k = 0; k < th->n; k++)
			if (spw_prefix_contains(told[i], th->prefix[k]))
				ctl_lines_add(warnings,
					      "routing bgp neighbor %s: is told %s, which holds %s "
					      "of tunnel %s: while the tunnel is down, Azure "
					      "answers in the clear",
					      spw_addr_format(&n->address, name),
					      spw_prefix_format(told[i], x),
					      spw_prefix_format(th->prefix[k], y), t->name);
}

/* Walk the pairs of a tunnel over ExpressRoute and a neighbour over a circuit of its vnet. */
static int
each_trap(const struct ctl_config *c, const struct ctl_vnet *v, const struct ctl_tunnel *t,
	  struct ctl_lines *warnings, struct spw_err *err)
{
	struct through th;
	int rc = 0;

	what_goes_through(c, t, &th);
	for (unsigned int i = 0; i < c->bgp.n_neighbors && rc == 0; i++) {
		const struct ctl_neighbor *n = &c->bgp.neighbor[i];
		const struct ctl_interface *iface = ctl_config_interface_towards(c, &n->address);

		if (iface == NULL || iface->role != SPW_IF_ROLE_EXPRESSROUTE ||
		    !ctl_config_vnet_uses(v, iface->circuit))
			continue;
		if (warnings)
			warn_trap_neighbor(c, t, n, &th, warnings);
		else
			rc = check_trap_neighbor(c, v, t, n, &th, err);
	}
	return rc;
}

static int
check_traps(const struct ctl_config *c, struct ctl_lines *warnings, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < c->n_vnets; i++)
		for (unsigned int k = 0; k < c->vnets[i].n_tunnels && rc == 0; k++) {
			const struct ctl_tunnel *t =
				ctl_config_tunnel(c, c->vnets[i].tunnel[k].name);

			if (t && ctl_config_underlay(c, t) == SPW_IF_ROLE_EXPRESSROUTE)
				rc = each_trap(c, &c->vnets[i], t, warnings, err);
		}
	return rc;
}

int
config_check_bgp(const struct ctl_config *c, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < c->bgp.n_neighbors && rc == 0; i++)
		rc = check_neighbor(c, &c->bgp.neighbor[i], err);
	return rc < 0 ? rc : check_traps(c, NULL, err);
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

/* Addresses that an Azure gateway takes for BGP out of 169.254.0.0/16. */
static bool
is_strange_apipa(const struct spw_addr *a)
{
	return a->family == AF_INET && a->bytes[0] == 169 && a->bytes[1] == 254 &&
	       a->bytes[2] != 21 && a->bytes[2] != 22;
}

static void
warn_neighbor(const struct ctl_config *c, const struct ctl_neighbor *n, struct ctl_lines *warnings)
{
	const struct ctl_tunnel *t = ctl_config_tunnel_towards(c, &n->address);
	char name[SPW_ADDR_TEXT];

	spw_addr_format(&n->address, name);
	if (!config_is_connected(c, &n->address))
		ctl_lines_add(warnings, "routing bgp neighbor %s: on no connected network", name);
	if (is_expressroute(c, n) && !n->bfd)
		ctl_lines_add(warnings,
			      "routing bgp neighbor %s: without bfd a silent break is seen after "
			      "%u s: set routing bgp neighbor %s bfd",
			      name, n->hold_s, name);
	if (t && n->bfd)
		ctl_lines_add(warnings,
			      "routing bgp neighbor %s bfd: Azure speaks none inside a tunnel: it "
			      "has no effect",
			      name);
	if (t && is_strange_apipa(&n->address))
		ctl_lines_add(warnings,
			      "routing bgp neighbor %s: Azure takes 169.254.21.0 to "
			      "169.254.22.255 alone",
			      name);
}

/* Microsoft drains a link for maintenance by a longer AS path, which counts among equals only. */
static void
warn_preferences(const struct ctl_config *c, struct ctl_lines *warnings)
{
	const struct ctl_neighbor *first = NULL;
	char a[SPW_ADDR_TEXT], b[SPW_ADDR_TEXT];

	for (unsigned int i = 0; i < c->bgp.n_neighbors; i++) {
		const struct ctl_neighbor *n = &c->bgp.neighbor[i];

		if (!is_expressroute(c, n))
			continue;
		if (first && first->local_preference != n->local_preference)
			ctl_lines_add(warnings,
				      "routing bgp neighbor %s local-preference %u: neighbor %s "
				      "has %u: Microsoft's longer AS path cannot drain a link for "
				      "maintenance",
				      spw_addr_format(&n->address, a), n->local_preference,
				      spw_addr_format(&first->address, b), first->local_preference);
		if (first == NULL)
			first = n;
	}
}

void
config_warn_bgp(const struct ctl_config *c, struct ctl_lines *warnings)
{
	if (as_is_reserved(c->bgp.local_as))
		ctl_lines_add(
			warnings,
			"routing bgp local-as %u: reserved; Azure does not take it from a site",
			c->bgp.local_as);
	for (unsigned int i = 0; i < c->bgp.n_neighbors; i++)
		warn_neighbor(c, &c->bgp.neighbor[i], warnings);
	warn_preferences(c, warnings);
	check_traps(c, warnings, NULL);
}
