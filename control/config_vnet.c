/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of protected networks: each address belongs to one, its circuits exist, its links and
 * tunnels fit into a tier of the data plane, Microsoft peering is never backed up by a tunnel,
 * probes and the last resort start and end where they can; and of the traffic classes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/config_private.h"

static int
check_pair(const struct ctl_vnet *a, const struct ctl_vnet *b, struct spw_err *err)
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

static bool
circuit_exists(const struct ctl_config *c, const char *circuit)
{
	for (unsigned int i = 0; i < c->n_interfaces; i++)
		if (c->interfaces[i].role == SPW_IF_ROLE_EXPRESSROUTE &&
		    strcmp(c->interfaces[i].circuit, circuit) == 0)
			return true;
	return false;
}

/* Links to Microsoft's edges: interfaces with an address; a port that only bears tags is none. */
static unsigned int
count_links(const struct ctl_config *c, const struct ctl_vnet *v)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < c->n_interfaces; i++)
		n += c->interfaces[i].role == SPW_IF_ROLE_EXPRESSROUTE &&
		     c->interfaces[i].n_addresses > 0 &&
		     ctl_config_vnet_uses(v, c->interfaces[i].circuit);
	return n;
}

static int
check_circuits(const struct ctl_config *c, const struct ctl_vnet *v, struct spw_err *err)
{
	unsigned int links = count_links(c, v);

	for (unsigned int i = 0; i < v->n_circuits; i++)
		if (!circuit_exists(c, v->circuit[i]))
			return spw_fail(err, -EINVAL,
					"vnet %s circuit %s: no interface is of this circuit: set "
					"interfaces NAME circuit %s",
					v->name, v->circuit[i], v->circuit[i]);
	if (links > SPW_DP_TIER_PATHS)
		return spw_fail(err, -EINVAL,
				"vnet %s: %u ExpressRoute links lead there, at most %d may: name "
				"its circuits by set vnet %s circuit NAME",
				v->name, links, SPW_DP_TIER_PATHS, v->name);
	return 0;
}

/* Nothing but the Internet stands behind Microsoft peering. */
static int
check_peering(const struct ctl_vnet *v, struct spw_err *err)
{
	if (v->peering == CTL_PEERING_MICROSOFT && v->n_tunnels > 0)
		return spw_fail(err, -EINVAL,
				"vnet %s tunnel %s: Microsoft peering falls back to the Internet, "
				"never to a tunnel: delete the tunnel, or set vnet %s peering "
				"private",
				v->name, v->tunnel[0].name, v->name);
	return 0;
}

static int
check_last_resort(const struct ctl_config *c, const struct ctl_vnet *v, struct spw_err *err)
{
	const struct ctl_interface *i;
	char text[SPW_ADDR_TEXT];

	if (!spw_addr_is_set(&v->last_resort))
		return 0;
	spw_addr_format(&v->last_resort, text);
	i = ctl_config_interface_towards(c, &v->last_resort);
	if (i == NULL || i->role != SPW_IF_ROLE_LAN)
		return spw_fail(err, -EINVAL,
				"vnet %s last-resort %s: on no network of an interface of role "
				"lan: name a router there",
				v->name, text);
	if (config_is_own(c, &v->last_resort))
		return spw_fail(err, -EINVAL,
				"vnet %s last-resort %s: this is an address of the gateway itself",
				v->name, text);
	return 0;
}

static int
check_probe_source(const struct ctl_config *c, const char *where, const struct ctl_probe *p,
		   struct spw_err *err)
{
	char source[SPW_ADDR_TEXT];

	if (!spw_addr_is_set(&p->source))
		return 0;
	spw_addr_format(&p->source, source);
	if (p->source.family != p->target.family)
		return spw_fail(err, -EINVAL,
				"%s source %s: of another address family than the target", where,
				source);
	if (!config_is_own(c, &p->source))
		return spw_fail(err, -EINVAL,
				"%s source %s: no address of the gateway: set it on an interface "
				"or a tunnel, or name one that is",
				where, source);
	return 0;
}

static int
check_probe(const struct ctl_config *c, const struct ctl_vnet *v, const struct ctl_probe *p,
	    struct spw_err *err)
{
	char where[CTL_TEXT], target[SPW_ADDR_TEXT];

	snprintf(where, sizeof(where), "vnet %s probe %s", v->name,
		 spw_addr_format(&p->target, target));
	if (config_is_own(c, &p->target))
		return spw_fail(err, -EINVAL, "%s: this is an address of the gateway itself",
				where);
	if (config_is_link_local(&p->target))
		return spw_fail(err, -EINVAL, "%s: is link-local: it lies behind no path", where);
	if (p->over == CTL_PROBE_TUNNEL && v->n_tunnels == 0)
		return spw_fail(err, -EINVAL, "%s over tunnel: the vnet has no tunnel", where);
	return check_probe_source(c, where, p, err);
}

int
config_check_vnets(const struct ctl_config *c, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < c->n_vnets && rc == 0; i++) {
		const struct ctl_vnet *v = &c->vnets[i];

		for (unsigned int k = 0; k <= i && rc == 0; k++)
			rc = check_pair(v, &c->vnets[k], err);
		if (rc == 0)
			rc = check_circuits(c, v, err);
		if (rc == 0)
			rc = check_peering(v, err);
		if (rc == 0)
			rc = check_last_resort(c, v, err);
		for (unsigned int k = 0; k < v->n_probes && rc == 0; k++)
			rc = check_probe(c, v, &v->probe[k], err);
	}
	return rc;
}

/* Does the tunnel take what goes to this prefix? */
static bool
tunnel_takes(const struct ctl_tunnel *t, const struct spw_prefix *p)
{
	for (unsigned int i = 0; i < t->n_remote_selectors; i++)
		if (spw_prefix_contains(&t->remote_selector[i], p))
			return true;
	return t->n_remote_selectors == 0;
}

static void
warn_tunnel(const struct ctl_vnet *v, const struct ctl_tunnel *t, struct ctl_lines *warnings)
{
	char text[SPW_PREFIX_TEXT];

	for (unsigned int i = 0; i < v->n_prefixes; i++)
		if (!tunnel_takes(t, &v->prefix[i]))
			ctl_lines_add(warnings,
				      "vnet %s tunnel %s: no selectors remote of the tunnel holds "
				      "prefix %s: what goes there is dropped",
				      v->name, t->name, spw_prefix_format(&v->prefix[i], text));
}

/* In a vnet next hops over ExpressRoute and tunnels count alone, connected networks do not. */
static void
warn_connected(const struct ctl_config *c, const struct ctl_vnet *v, const struct spw_prefix *p,
	       struct ctl_lines *warnings)
{
	char x[SPW_PREFIX_TEXT], y[SPW_PREFIX_TEXT];

	for (unsigned int i = 0; i < c->n_interfaces; i++)
		for (unsigned int k = 0; k < c->interfaces[i].n_addresses; k++) {
			struct spw_prefix net = spw_prefix_masked(&c->interfaces[i].address[k]);

			if (spw_prefix_contains(p, &net))
				ctl_lines_add(warnings,
					      "vnet %s prefix %s: holds %s of interface %s: what "
					      "goes there is sent to Azure",
					      v->name, spw_prefix_format(p, x),
					      spw_prefix_format(&net, y), c->interfaces[i].name);
		}
}

/* The tunnels of one gateway share what it takes; those of one vnet and SKU are taken for such. */
static void
warn_aggregate(const struct ctl_config *c, const struct ctl_vnet *v, struct ctl_lines *warnings)
{
	uint64_t sum = 0, whole = 0;

	for (unsigned int i = 0; i < v->n_tunnels; i++) {
		const struct ctl_tunnel *t = ctl_config_tunnel(c, v->tunnel[i].name);

		if (t == NULL || t->gateway_kbps == 0 || (whole && t->gateway_kbps != whole))
			return;
		whole = t->gateway_kbps;
		sum += t->capacity_kbps;
	}
	if (sum > whole)
		ctl_lines_add(warnings,
			      "vnet %s: its tunnels take %llu Mbit/s together, an Azure gateway of "
			      "their SKU %llu: set their bandwidth if they end on one",
			      v->name, (unsigned long long)sum / 1000,
			      (unsigned long long)whole / 1000);
}

void
config_warn_vnets(const struct ctl_config *c, struct ctl_lines *warnings)
{
	for (unsigned int i = 0; i < c->n_vnets; i++) {
		const struct ctl_vnet *v = &c->vnets[i];

		if (v->n_tunnels == 0 && v->peering == CTL_PEERING_PRIVATE)
			ctl_lines_add(warnings, "vnet %s: has no tunnel to fall back to", v->name);
		for (unsigned int k = 0; k < v->n_tunnels; k++) {
			const struct ctl_tunnel *t = ctl_config_tunnel(c, v->tunnel[k].name);

			if (t)
				warn_tunnel(v, t, warnings);
		}
		for (unsigned int k = 0; k < v->n_prefixes; k++)
			warn_connected(c, v, &v->prefix[k], warnings);
		warn_aggregate(c, v, warnings);
	}
}

static int
check_class(const struct ctl_class *a, const struct ctl_class *b, struct spw_err *err)
{
	if (a->rank == b->rank)
		return spw_fail(err, -EINVAL,
				"class %s rank %u: class %s has this rank, too: choose another",
				a->name, a->rank + 1, b->name);
	for (unsigned int i = 0; i < a->n_dscp; i++)
		if (memchr(b->dscp, a->dscp[i], b->n_dscp))
			return spw_fail(err, -EINVAL,
					"class %s dscp %u: is of class %s, too: delete one",
					a->name, a->dscp[i], b->name);
	return 0;
}

int
config_check_classes(const struct ctl_config *c, struct spw_err *err)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < c->n_classes; i++) {
		sum += c->class[i].share_percent;
		for (unsigned int k = 0; k < i; k++)
			if (check_class(&c->class[i], &c -> class[k], err) < 0)
				return -EINVAL;
	}
	if (sum > 100)
		return spw_fail(err, -EINVAL,
				"class: the shares of all classes are %u percent: lower one to "
				"come to 100 at most",
				sum);
	return 0;
}
