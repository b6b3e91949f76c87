/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which probes there are: for each vnet, each of its probes over each path that it is for.
 *
 * Paths of a vnet are the ExpressRoute next hops over its circuits and its tunnels, as they exist;
 * a path that goes takes its probes along. Each tunnel of a vnet with probes has one more, as large
 * as the tunnel's MTU and with DF, which tells whether full-size packets pass (path MTU black
 * holes show nowhere else); it never condemns. While a drill or an exercise measures, each path of
 * its vnet has a fast one beside.
 *
 * Probes are found by their key in a search tree. They carry the code point of network control, so
 * that a full tunnel does not look like a dead one.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/watch_private.h"

#define PROBE_SIZE	  100
#define PROBE_DSCP	  48
#define MTU_INTERVAL_MS	  10000
#define MTU_FALL	  2
#define BURST_INTERVAL_MS 100
#define BURST_TIMEOUT_MS  800
#define PATHS_MAX	  (WATCH_CIRCUIT_PATHS + SPW_DP_TIER_PATHS)
#define BATCH		  128

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct watch_probe *)a)->key, ((const struct watch_probe *)b)->key);
}

static struct watch_probe *
find_key(const struct ctl_watch *w, const char *key)
{
	struct watch_probe probe, **at;

	snprintf(probe.key, sizeof(probe.key), "%s", key);
	at = tfind(&probe, &w->by_key, compare);
	return at ? *at : NULL;
}

struct watch_probe *
watch_probe_by_id(const struct ctl_runtime *rt, uint32_t id)
{
	return rt->watch && id < SPW_DP_PROBES_MAX ? rt->watch->by_id[id] : NULL;
}

static const char *
circuit_of(const struct ctl_runtime *rt, const struct ctl_iface *iface)
{
	for (unsigned int i = 0; i < rt->config.n_interfaces; i++)
		if (strcmp(rt->config.interfaces[i].name, iface->name) == 0 &&
		    rt->config.interfaces[i].circuit[0])
			return rt->config.interfaces[i].circuit;
	return "expressroute";
}

static bool
leads_to(const struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_path *p)
{
	const char *circuit;

	if (!p->iface->keep)
		return false;
	circuit = circuit_of(rt, p->iface);
	for (unsigned int i = 0; i < v->conf.n_circuits; i++)
		if (strcmp(v->conf.circuit[i], circuit) == 0)
			return true;
	return v->conf.n_circuits == 0;
}

/* The ExpressRoute next hops among all paths: few among thousands, looked up when paths came or
 * went.
 */
static void
circuits_find(struct ctl_runtime *rt)
{
	struct ctl_watch *w = rt->watch;

	if (w->paths_seen && w->paths_seen == rt->paths)
		return;
	w->paths_seen = rt->paths;
	w->n_circuits = 0;
	for (struct ctl_path *p = rt->paths; p && w->n_circuits < WATCH_CIRCUIT_PATHS; p = p->next)
		if (p->kind == SPW_PATH_ADJACENCY && p->iface->role == SPW_IF_ROLE_EXPRESSROUTE)
			w->circuit[w->n_circuits++] = p;
}

unsigned int
watch_vnet_paths(struct ctl_runtime *rt, const struct ctl_vnet_state *v, struct ctl_path **path,
		 unsigned int max)
{
	unsigned int n = 0;

	circuits_find(rt);
	/* What is encrypted over ExpressRoute has no use for its next hops in the clear. */
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++)
		if (v->tun[i] && v->tun[i]->keep && v->tun[i]->path && n < max)
			path[n++] = v->tun[i]->path;
	for (unsigned int i = 0; !v->encrypted && i < rt->watch->n_circuits && n < max; i++)
		if (leads_to(rt, v, rt->watch->circuit[i]))
			path[n++] = rt->watch->circuit[i];
	return n;
}

static bool
first_of_family(const struct spw_prefix *list, unsigned int n, uint8_t family, struct spw_addr *out)
{
	for (unsigned int i = 0; i < n; i++)
		if (list[i].addr.family == family) {
			*out = list[i].addr;
			return true;
		}
	return false;
}

/* Where the answers come to: an address of ours that the far side routes back. */
static bool
source_of(const struct ctl_runtime *rt, const struct ctl_probe *t, const struct ctl_path *p,
	  struct spw_addr *out)
{
	uint8_t family = t->target.family;

	if (t->source.family == family) {
		*out = t->source;
		return true;
	}
	if (p->tunnel &&
	    first_of_family(p->tunnel->conf.address, p->tunnel->conf.n_addresses, family, out))
		return true;
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (i->keep && i->role == SPW_IF_ROLE_LAN &&
		    first_of_family(i->wanted, i->n_wanted, family, out))
			return true;
	return false;
}

static bool
is_for(const struct ctl_probe *t, const struct ctl_path *p)
{
	bool tunnel = p->kind == SPW_PATH_TUNNEL;

	if (!tunnel && p->next_hop.family != t->target.family)
		return false;
	if (t->over == CTL_PROBE_CIRCUIT)
		return !tunnel || p->tunnel->encrypts;
	return t->over == CTL_PROBE_BOTH || tunnel;
}

static uint16_t
bounded(uint32_t n, uint32_t low, uint32_t high)
{
	return (uint16_t)(n < low ? low : n > high ? high : n);
}

static void
content_fill(const struct ctl_probe *t, const struct ctl_path *p, enum watch_purpose purpose,
	     struct spw_dp_probe *m)
{
	*m = (struct spw_dp_probe){.path = p->id,
				   .kind = t->kind ? t->kind : SPW_PROBE_ICMP,
				   .interval_ms = bounded(t->interval_ms, 100, 60000),
				   .timeout_ms = bounded(t->timeout_ms, 10, 10000),
				   .fall = bounded(t->fall, 1, 100),
				   .rise = bounded(t->rise, 1, 100),
				   .size = PROBE_SIZE,
				   .port = t->port,
				   .dscp = PROBE_DSCP,
				   .target = t->target};
	if (purpose == WATCH_MTU) {
		m->interval_ms = MTU_INTERVAL_MS;
		m->fall = MTU_FALL;
		m->rise = 1;
		m->size = bounded(p->tunnel->conf.mtu, 64, 9000);
	} else if (purpose == WATCH_BURST) {
		m->interval_ms = BURST_INTERVAL_MS;
		m->timeout_ms = BURST_TIMEOUT_MS;
		m->fall = 100;
	}
}

static void
key_make(char key[CTL_ID_KEY], const struct ctl_vnet_state *v, const struct ctl_probe *t,
	 const struct ctl_path *p, enum watch_purpose purpose)
{
	char target[SPW_ADDR_TEXT];

	snprintf(key, CTL_ID_KEY, "%c %s %s %u %u %.200s", "fmb"[purpose], v -> conf.name,
		 spw_addr_format(&t->target, target), t->kind, t->port, p->key);
}

static struct watch_probe *
make(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const char *key,
     enum watch_purpose purpose)
{
	struct watch_probe *w = calloc(1, sizeof(*w));
	uint32_t id = w ? ctl_ids_get(rt->ids, CTL_ID_PROBE, key) : CTL_ID_NONE;

	if (id == CTL_ID_NONE) {
		free(w);
		return NULL;
	}
	snprintf(w->key, sizeof(w->key), "%s", key);
	memcpy(w->vnet, v->conf.name, sizeof(w->vnet));
	w->purpose = purpose;
	w->content.id = id;
	if (!tsearch(w, &rt->watch->by_key, compare)) {
		free(w);
		return NULL;
	}
	w->next = rt->watch->probes;
	rt->watch->probes = w;
	rt->watch->by_id[id] = w;
	rt->watch->n_probes++;
	return w;
}

static void
want(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_probe *t,
     const struct ctl_path *p, enum watch_purpose purpose)
{
	struct spw_dp_probe content;
	char key[CTL_ID_KEY];
	struct watch_probe *w;

	content_fill(t, p, purpose, &content);
	if (!p->in_dataplane || !source_of(rt, t, p, &content.source))
		return;
	key_make(key, v, t, p, purpose);
	w = find_key(rt->watch, key);
	if (!w && rt->watch->n_probes < SPW_DP_PROBES_MAX)
		w = make(rt, v, key, purpose);
	if (!w)
		return;
	content.id = w->content.id;
	w->keep = true;
	w->told = w->told && memcmp(&content, &w->content, sizeof(content)) == 0;
	w->content = content;
}

static void
want_path(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_path *p)
{
	const struct ctl_probe *first = NULL;

	for (unsigned int i = 0; i < v->conf.n_probes; i++) {
		const struct ctl_probe *t = &v->conf.probe[i];

		if (!is_for(t, p))
			continue;
		first = first ? first : t;
		want(rt, v, t, p, WATCH_FORWARDING);
	}
	/* What is measured: a target that is meant for the other kind of path is better than none.
	 */
	for (unsigned int i = 0; !first && i < v->conf.n_probes; i++)
		if (p->kind == SPW_PATH_TUNNEL ||
		    v->conf.probe[i].target.family == p->next_hop.family)
			first = &v->conf.probe[i];
	if (first && p->kind == SPW_PATH_TUNNEL)
		want(rt, v, first, p, WATCH_MTU);
	if (first && strcmp(rt->watch->burst_vnet, v->conf.name) == 0)
		want(rt, v, first, p, WATCH_BURST);
}

static void
end(struct ctl_runtime *rt, struct watch_probe *w)
{
	if (w->told)
		watch_delete(rt, SPW_DP_CLASS_PROBE, w->content.id);
	ctl_ids_put(rt->ids, CTL_ID_PROBE, w->key);
	tdelete(w, &rt->watch->by_key, compare);
	rt->watch->by_id[w->content.id] = NULL;
	rt->watch->n_probes--;
	free(w);
}

/* Delete what is not kept, and sort the others by path. */
static void
end_unwanted(struct ctl_runtime *rt)
{
	for (struct watch_probe **at = &rt->watch->probes; *at;) {
		struct watch_probe *w = *at;

		if (w->keep) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		end(rt, w);
	}
	memset(rt->watch->of_path, 0, sizeof(rt->watch->of_path));
	for (struct watch_probe *w = rt->watch->probes; w; w = w->next) {
		w->path_next = rt->watch->of_path[w->content.path];
		rt->watch->of_path[w->content.path] = w;
	}
}

void
watch_probe_want(struct ctl_runtime *rt)
{
	struct ctl_path *path[PATHS_MAX];

	for (struct watch_probe *w = rt->watch->probes; w; w = w->next)
		w->keep = false;
	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		unsigned int n =
			v->keep && v->conf.n_probes ? watch_vnet_paths(rt, v, path, PATHS_MAX) : 0;

		for (unsigned int i = 0; i < n; i++)
			want_path(rt, v, path[i]);
	}
	end_unwanted(rt);
}

void
ctl_watch_path_gone(struct ctl_runtime *rt, const struct ctl_path *path)
{
	if (!rt->watch)
		return;
	rt->watch->paths_seen = NULL;
	watch_load_forget(rt, path->id);
	if (!rt->watch->of_path[path->id])
		return;
	for (struct watch_probe *w = rt->watch->probes; w; w = w->next)
		w->keep = w->content.path != path->id;
	end_unwanted(rt);
}

/* A batch is refused as a whole: then each is told alone, so that one bad probe costs only itself.
 */
static void
tell_batch(struct ctl_runtime *rt, struct watch_probe **probe, unsigned int n)
{
	struct spw_dp_probe m[BATCH];
	struct spw_err err = {0};

	for (unsigned int i = 0; i < n; i++) {
		m[i] = probe[i]->content;
		m[i].generation = rt->generation;
	}
	if (n && ctl_dataplane_send(rt, SPW_DP_PROBE_SET, m, sizeof(m[0]), n, -1, &err) == 0) {
		for (unsigned int i = 0; i < n; i++)
			probe[i]->told = true;
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		probe[i]->told = ctl_dataplane_send(rt, SPW_DP_PROBE_SET, &m[i], sizeof(m[0]), 1,
						    -1, &err) == 0;
		if (!probe[i]->told)
			watch_refused("probe", probe[i]->key, &err);
	}
}

void
watch_probe_tell(struct ctl_runtime *rt, bool all)
{
	struct watch_probe *batch[BATCH];
	unsigned int n = 0;

	for (struct watch_probe *w = rt->watch->probes; w; w = w->next) {
		if (w->told && !all)
			continue;
		batch[n++] = w;
		if (n == BATCH) {
			tell_batch(rt, batch, n);
			n = 0;
		}
	}
	tell_batch(rt, batch, n);
}

void
watch_probe_free(struct ctl_runtime *rt)
{
	while (rt->watch->probes) {
		struct watch_probe *w = rt->watch->probes;

		rt->watch->probes = w->next;
		tdelete(w, &rt->watch->by_key, compare);
		free(w);
	}
}
