/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The paths that could carry a vnet: ExpressRoute as one candidate with its links below it, then
 * each tunnel; for every one the state, what is wrong with it, what watches it.
 */
#include <stdio.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/iked.h"
#include "control/show.h"
#include "control/watch_private.h"

#define LINKS_MAX 16

/* Next hops that routes of the vnet have now, or those of its tunnels over ExpressRoute. */
struct links {
	unsigned int n;
	const struct ctl_path *path[LINKS_MAX];
};

static void
link_add(struct links *l, const struct ctl_path *p)
{
	for (unsigned int i = 0; i < l->n; i++)
		if (l->path[i] == p)
			return;
	if (p && l->n < LINKS_MAX)
		l->path[l->n++] = p;
}

static void
level_add(struct ctl_runtime *rt, struct links *l, const struct ctl_level *level)
{
	for (unsigned int h = 0; h < level->n; h++)
		link_add(l, ctl_path_by_id(rt, level->path[h]));
}

/* The next hops that the outer packets of tunnels over ExpressRoute have. */
static void
underlay_add(struct ctl_runtime *rt, const struct ctl_tun *t, struct links *l)
{
	const struct ctl_rib_entry *e;
	struct ctl_level level;
	int below;

	if (!t || !t->encrypts)
		return;
	below = (int)(8 * spw_addr_len(t->conf.remote.family)) + 1;
	while ((e = ctl_rib_covering(&rt->rib, &t->conf.remote, below))) {
		if (e->had_expressroute && ctl_entry_level(rt, NULL, e, &level))
			level_add(rt, l, &level);
		below = e->prefix.len;
	}
}

static void
links_of(struct ctl_runtime *rt, const struct ctl_vnet_state *v, struct links *l)
{
	l->n = 0;
	for (const struct ctl_group *g = v->groups; g; g = g->next)
		for (unsigned int n = 0; g->refs && n < g->recipe.n_levels; n++)
			level_add(rt, l, &g->recipe.level[n]);
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++)
		underlay_add(rt, v->tun[i], l);
}

static bool
waits(const struct ctl_vnet_state *v)
{
	return v->kind != CTL_PREF_EXPRESSROUTE && v->restore_at_ns > spw_clock_ns();
}

void
ctl_show_circuit(struct ctl_runtime *rt, const struct ctl_vnet_state *v,
		 struct ctl_circuit_view *out)
{
	struct links l;

	links_of(rt, v, &l);
	*out = (struct ctl_circuit_view){.learnt = l.n > 0};
	for (unsigned int i = 0; i < l.n; i++) {
		if (!out->path || (l.path[i]->alive && !out->alive))
			out->path = l.path[i];
		out->alive |= l.path[i]->alive;
	}
	out->waiting = out->alive && waits(v);
}

static bool
is_set_aside(const struct ctl_vnet_state *v)
{
	return v->request != CTL_OPERATOR_NONE && v->request != CTL_OPERATOR_EXPRESSROUTE &&
	       v->request != CTL_OPERATOR_LOCKOUT;
}

static const char *
circuit_state(const struct ctl_vnet_state *v, bool alive, bool waiting)
{
	if (!alive)
		return "down";
	if (is_set_aside(v))
		return "set-aside";
	return waiting ? "wait-to-restore" : "up";
}

static json_t *
faults_json(const struct ctl_path *p)
{
	json_t *list = json_array();

	for (unsigned int f = CTL_FAULT_BFD; f <= CTL_FAULT_PROBE; f <<= 1)
		if (p && (p->faults & f))
			json_array_append_new(list, json_string(ctl_path_fault_name(f)));
	return list;
}

/* "up", "down", or null without a session. */
static json_t *
bfd_json(const struct ctl_runtime *rt, const struct ctl_path *p)
{
	const struct watch_bfd *b = p->iface ? watch_bfd_find(rt, p->iface, &p->next_hop) : NULL;

	if (!b)
		return json_null();
	return json_string(b->state == SPW_BFD_UP     ? "up"
			   : b->state == SPW_BFD_INIT ? "init"
						      : "down");
}

/* "up", "down", "unknown", or null without probes of this vnet. */
static json_t *
probe_json(const struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_path *p)
{
	unsigned int n = 0, up = 0, down = 0;

	for (const struct watch_probe *w = rt->watch->of_path[p->id]; w; w = w->path_next) {
		if (w->purpose != WATCH_FORWARDING || strcmp(w->vnet, v->conf.name) != 0)
			continue;
		n++;
		up += w->state == SPW_PROBE_UP;
		down += w->state == SPW_PROBE_DOWN;
	}
	if (n == 0)
		return json_null();
	return json_string(up ? "up" : down == n ? "down" : "unknown");
}

static bool
level_has(const struct ctl_level *level, const struct ctl_path *p)
{
	for (unsigned int h = 0; h < level->n; h++)
		if (level->path[h] == p->id)
			return true;
	return false;
}

/* It is back and nothing of the vnet takes it yet: the path waits, or every route over it does. */
static bool
link_waits(const struct ctl_vnet_state *v, const struct ctl_path *p)
{
	uint64_t now = spw_clock_ns();
	bool any = false;

	if (waits(v) || ctl_path_wait_end(v, p, now) > now)
		return true;
	for (const struct ctl_group *g = v->groups; g; g = g->next)
		for (unsigned int n = 0; g->refs && n < g->recipe.n_levels; n++) {
			const struct ctl_level *level = &g->recipe.level[n];

			if (!level_has(level, p))
				continue;
			if (ctl_level_wait_end(v, level, now) <= now)
				return false;
			any = true;
		}
	return any;
}

static json_t *
link_json(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_path *p)
{
	return json_pack("{s:s,s:o,s:s,s:o,s:o,s:o}", "interface", p->iface ? p->iface->name : "-",
			 "next_hop", ctl_json_addr(&p->next_hop), "state",
			 p->alive && p->iface && p->iface->aside
				 ? "set-aside"
				 : circuit_state(v, p->alive, link_waits(v, p)),
			 "bfd", bfd_json(rt, p), "probe", probe_json(rt, v, p), "faults",
			 faults_json(p));
}

/* "via 172.16.0.2, bfd up", "probe-lost". */
static json_t *
circuit_detail(struct ctl_runtime *rt, const struct ctl_circuit_view *er, unsigned int links)
{
	json_t *faults, *bfd, *detail;
	char text[SPW_ADDR_TEXT], more[32] = "";
	const char *fault, *word;

	if (!er->learnt)
		return json_string("no route learnt");
	spw_addr_format(&er->path->next_hop, text);
	if (links > 1)
		snprintf(more, sizeof(more), " and %u more", links - 1);
	faults = faults_json(er->path);
	bfd = bfd_json(rt, er->path);
	fault = json_string_value(json_array_get(faults, 0));
	word = json_string_value(bfd);
	detail = json_sprintf("via %s%s%s%s%s%s", text, more, fault ? ", " : "", fault ? fault : "",
			      !fault && word ? ", bfd " : "", !fault && word ? word : "");
	json_decref(faults);
	json_decref(bfd);
	return detail;
}

static json_t *
circuit_json(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	struct ctl_circuit_view er;
	json_t *list = json_array();
	struct links l;

	links_of(rt, v, &l);
	ctl_show_circuit(rt, v, &er);
	for (unsigned int i = 0; i < l.n; i++)
		json_array_append_new(list, link_json(rt, v, l.path[i]));
	return json_pack("{s:s,s:s,s:s,s:o,s:o}", "path", "expressroute", "kind", "expressroute",
			 "state", circuit_state(v, er.alive, er.waiting), "detail",
			 circuit_detail(rt, &er, l.n), "links", list);
}

/* Flows of the vnet go over it, alone or beside other tunnels. */
static bool
is_used(const struct ctl_vnet_state *v, const struct ctl_path *p)
{
	for (const struct ctl_group *g = v->groups; g; g = g->next)
		if (g->refs && ctl_group_sends(g, p))
			return true;
	return v->kind != CTL_PREF_NONE && v->path == p->id;
}

static const char *
tunnel_state(const struct ctl_vnet_state *v, const struct ctl_tun *t)
{
	if (!t || !t->path || !t->path->alive)
		return "down";
	if (v->request == CTL_OPERATOR_LOCKOUT)
		return "set-aside";
	return is_used(v, t->path) ? "up" : "ready";
}

static json_t *
tunnel_detail(struct ctl_runtime *rt, const struct ctl_tun *t, const struct ctl_ike_list *ike)
{
	const char *why;

	if (!t || (t->path && t->path->alive))
		return json_null();
	if (!t->conf.enabled)
		return json_string("disabled");
	if (t->up && !ctl_watch_tunnel_ready(rt, t, &why))
		return json_string(why);
	return ctl_json_text(ctl_ike_list_reason(ike, t));
}

static json_t *
tunnel_json(struct ctl_runtime *rt, const struct ctl_vnet_state *v, unsigned int n,
	    const struct ctl_ike_list *ike)
{
	const struct ctl_vnet_tunnel *conf = &v->conf.tunnel[n];
	const struct ctl_tun *t = v->tun[n];
	const struct ctl_path *p = t ? t->path : NULL;

	return json_pack("{s:s,s:s,s:s,s:o,s:I,s:o,s:o}", "path", conf->name, "kind", "tunnel",
			 "state", tunnel_state(v, t), "detail", tunnel_detail(rt, t, ike), "weight",
			 (json_int_t)conf->weight, "probe", p ? probe_json(rt, v, p) : json_null(),
			 "faults", faults_json(p));
}

/* Microsoft peering: what backs ExpressRoute up. */
static json_t *
internet_json(const struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	bool up = false;

	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		up |= i->keep && i->enabled && i->role == SPW_IF_ROLE_INTERNET && ctl_link_is_up(i);
	return json_pack("{s:s,s:s,s:s,s:n}", "path", "internet", "kind", "internet", "state",
			 !up				      ? "down"
			 : v->request == CTL_OPERATOR_LOCKOUT ? "set-aside"
			 : v->kind == CTL_PREF_INTERNET	      ? "up"
							      : "ready",
			 "detail");
}

json_t *
ctl_show_candidates(struct ctl_runtime *rt, const struct ctl_vnet_state *v,
		    const struct ctl_ike_list *ike)
{
	json_t *list = json_array();

	json_array_append_new(list, circuit_json(rt, v));
	if (v->conf.peering == CTL_PEERING_MICROSOFT)
		json_array_append_new(list, internet_json(rt, v));
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++)
		json_array_append_new(list, tunnel_json(rt, v, i, ike));
	return list;
}
