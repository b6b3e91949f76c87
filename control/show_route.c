/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows of leaves: what they are made of here, and what a worker would do.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/show.h"

#define RTPROT_BGP_FRR	  186
#define RTPROT_STATIC_FRR 196

static const char *
source_word(const struct ctl_rib_entry *e)
{
	if (!e->routes)
		return "vnet";
	switch (e->routes->protocol) {
	case RTPROT_BGP_FRR: return "bgp";
	case RTPROT_STATIC:
	case RTPROT_STATIC_FRR:
	case CTL_RTPROT_US: return "static";
	case RTPROT_KERNEL:
		return e->routes->n_hops && !e->routes->hop[0].gateway.family ? "connected"
									      : "kernel";
	default: return "kernel";
	}
}

static const char *
kind_word(const struct ctl_path *p)
{
	switch (p->kind) {
	case SPW_PATH_TUNNEL: return "tunnel";
	case SPW_PATH_CONNECTED: return "connected";
	case SPW_PATH_LOCAL: return "local";
	case SPW_PATH_DROP: return "drop";
	case SPW_PATH_ADJACENCY: break;
	}
	if (p->iface->role == SPW_IF_ROLE_EXPRESSROUTE)
		return "expressroute";
	return p->iface->role == SPW_IF_ROLE_INTERNET ? "internet" : "plain";
}

static json_t *
next_hop_json(const struct ctl_path *p)
{
	return ctl_json_addr(p->kind == SPW_PATH_TUNNEL ? &p->tunnel->conf.remote : &p->next_hop);
}

static json_t *
path_json(const struct ctl_path *p, unsigned int tier, bool active)
{
	return json_pack(
		"{s:s,s:s,s:o,s:o,s:I,s:b,s:b}", "path", ctl_path_name(p), "kind", kind_word(p),
		"interface", p->iface ? json_string(p->iface->name) : json_null(), "next_hop",
		next_hop_json(p), "tier", (json_int_t)tier, "up", p->bit, "active", active);
}

static bool
tier_has(const struct spw_dp_tier *t, uint32_t path)
{
	for (unsigned int i = 0; i < t->n_paths; i++)
		if (t->path[i] == path)
			return true;
	return false;
}

/* The tier that carries: all of its paths that are up share the flows; n_tiers = none. */
static unsigned int
carrying_tier(const struct ctl_pref_choice *c)
{
	unsigned int t = 0;

	while (t < c->n_tiers && !tier_has(&c->tier[t], c->path))
		t++;
	return t;
}

bool
ctl_group_sends(const struct ctl_group *g, const struct ctl_path *p)
{
	unsigned int t = carrying_tier(&g->choice);

	return p->bit && t < g->choice.n_tiers && tier_has(&g->choice.tier[t], p->id);
}

static json_t *
paths_json(struct ctl_runtime *rt, const struct ctl_group *g)
{
	unsigned int carries = g ? carrying_tier(&g->choice) : 0;
	json_t *list = json_array();

	for (unsigned int t = 0; g && t < g->choice.n_tiers; t++)
		for (unsigned int i = 0; i < g->choice.tier[t].n_paths; i++) {
			uint32_t id = g->choice.tier[t].path[i];
			const struct ctl_path *p = ctl_path_by_id(rt, id);

			if (p)
				json_array_append_new(list,
						      path_json(p, t, t == carries && p->bit));
		}
	return list;
}

struct list {
	struct ctl_runtime *rt;
	struct spw_prefix filter;
	bool filtered;
	size_t n, size;
	const struct ctl_rib_entry **entry;
};

static void
collect(void *ctx, struct ctl_rib_entry *e)
{
	struct list *l = ctx;

	if (!e->has_leaf)
		return;
	if (l->filtered && !spw_prefix_contains(&e->prefix, &l->filter) &&
	    !spw_prefix_contains(&l->filter, &e->prefix))
		return;
	if (l->n == l->size) {
		size_t size = l->size ? l->size * 2 : 256;
		const struct ctl_rib_entry **more = reallocarray(l->entry, size, sizeof(*more));

		if (!more)
			return;
		l->entry = more;
		l->size = size;
	}
	l->entry[l->n++] = e;
}

static int
by_prefix(const void *a, const void *b)
{
	return spw_prefix_compare(&(*(const struct ctl_rib_entry *const *)a)->prefix,
				  &(*(const struct ctl_rib_entry *const *)b)->prefix);
}

json_t *
ctl_show_route(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct list l = {.rt = rt, .filtered = arg != NULL};
	json_t *routes = json_array();
	char text[SPW_PREFIX_TEXT];

	if (arg && spw_prefix_parse(&l.filter, arg, err) != 0) {
		json_decref(routes);
		return NULL;
	}
	l.filter = spw_prefix_masked(&l.filter);
	ctl_rib_each(&rt->rib, collect, &l);
	if (l.n)
		qsort(l.entry, l.n, sizeof(*l.entry), by_prefix);
	for (size_t i = 0; i < l.n; i++) {
		const struct ctl_rib_entry *e = l.entry[i];

		json_array_append_new(
			routes,
			json_pack("{s:s,s:s,s:o,s:I,s:b,s:o}", "prefix",
				  spw_prefix_format(&e->prefix, text), "source", source_word(e),
				  "vnet", e->vnet ? json_string(e->vnet->conf.name) : json_null(),
				  "group", (json_int_t)(e->leaf ? e->leaf->id : 0), "installed",
				  e->sent, "paths", paths_json(rt, e->leaf)));
	}
	free(l.entry);
	return json_pack("{s:o}", "routes", routes);
}

static void
answer_keep(void *ctx, const void *elem)
{
	memcpy(ctx, elem, sizeof(struct spw_dp_fib_answer));
}

/* The interface that an address of ours is on: a worker takes it up before it looks into the FIB.
 */
static const struct ctl_iface *
iface_of_ours(const struct ctl_runtime *rt, const struct spw_addr *addr)
{
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		for (unsigned int n = 0; n < i->n_addresses; n++)
			if (spw_addr_equal(&i->address[n].addr, addr))
				return i;
	return NULL;
}

static json_t *
local_json(const struct spw_addr *addr, const struct ctl_iface *i)
{
	char text[SPW_ADDR_TEXT];

	return json_pack("{s:s,s:n,s:n,s:s,s:n,s:n,s:s,s:n}", "address",
			 spw_addr_format(addr, text), "prefix", "group", "verdict", "local", "path",
			 "kind", "interface", i->name, "next_hop");
}

static const char *
fib_verdict(const struct spw_dp_fib_answer *a, const struct ctl_path *p)
{
	if (a->path == SPW_DP_ADDR_NONE || (p && p->kind == SPW_PATH_DROP))
		return "drop";
	return p && p->kind == SPW_PATH_LOCAL ? "local" : "forward";
}

json_t *
ctl_show_fib(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct spw_dp_fib_query q = {0};
	struct spw_dp_fib_answer a = {.path = SPW_DP_ADDR_NONE};
	const struct ctl_iface *ours;
	const struct ctl_path *p;
	char addr[SPW_ADDR_TEXT], prefix[SPW_PREFIX_TEXT];

	if (!arg) {
		spw_fail(err, -EINVAL, "show fib: name an address, as in 'show fib 10.1.2.3'");
		return NULL;
	}
	if (spw_addr_parse(&q.addr, arg, err) != 0)
		return NULL;
	ours = iface_of_ours(rt, &q.addr);
	if (ours)
		return local_json(&q.addr, ours);
	if (ctl_dataplane_get(rt, SPW_DP_GET_FIB, &q, sizeof(q), sizeof(a), answer_keep, &a, err) !=
	    0)
		return NULL;
	p = ctl_path_by_id(rt, a.path);
	return json_pack("{s:s,s:o,s:I,s:s,s:o,s:o,s:o,s:o}", "address",
			 spw_addr_format(&q.addr, addr), "prefix",
			 spw_addr_is_set(&a.prefix.addr)
				 ? json_string(spw_prefix_format(&a.prefix, prefix))
				 : json_null(),
			 "group", (json_int_t)a.group, "verdict", fib_verdict(&a, p), "path",
			 p ? json_string(ctl_path_name(p)) : json_null(), "kind",
			 p ? json_string(kind_word(p)) : json_null(), "interface",
			 p && p->iface ? json_string(p->iface->name) : json_null(), "next_hop",
			 p ? next_hop_json(p) : json_null());
}
