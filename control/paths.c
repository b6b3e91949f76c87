/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths: one way to go each, one bit each in the data plane.
 *
 * `alive` is what this side wants the bit to be, from the link, the administrator's word, the
 * neighbour (for ExpressRoute next hops, whose place something else can take) and the tunnel's
 * SA; `bit` is what the data plane has. The data plane clears bits by itself; a decision to set
 * one carries the count of clears it has seen, and is refused (ESTALE) when it is stale: then the
 * count is read again and the decision taken anew a moment later, after the events that explain it.
 *
 * Path numbers are remembered by their key ("a er0 172.16.0.2", "t azure-a"), so a restarted
 * process finds its bits. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/show.h"

static void
key_make(char key[CTL_ID_KEY], enum spw_dp_path_kind kind, const struct ctl_iface *iface,
	 const struct ctl_tun *tun, const struct spw_addr *next_hop)
{
	static const char letter[] = {[SPW_PATH_ADJACENCY] = 'a',
				      [SPW_PATH_CONNECTED] = 'c',
				      [SPW_PATH_TUNNEL] = 't',
				      [SPW_PATH_LOCAL] = 'l',
				      [SPW_PATH_DROP] = 'd'};
	char text[SPW_ADDR_TEXT];

	snprintf(key, CTL_ID_KEY, "%c %s %s", letter[kind], tun ? tun->conf.name : iface->name,
		 next_hop ? spw_addr_format(next_hop, text) : "-");
}

struct ctl_path *
ctl_path_by_id(struct ctl_runtime *rt, uint32_t id)
{
	return id < SPW_DP_PATHS_MAX ? rt->path[id] : NULL;
}

bool
ctl_link_is_up(const struct ctl_iface *iface)
{
	return !iface->port || !iface->port->link_known || iface->port->link_up;
}

static bool
should_live(struct ctl_runtime *rt, const struct ctl_path *p)
{
	const struct ctl_neighbour *n;

	if (p->faults)
		return false;
	if (p->kind == SPW_PATH_TUNNEL)
		return p->tunnel->conf.enabled && p->tunnel->up;
	if (!p->iface->enabled || !ctl_link_is_up(p->iface))
		return false;
	if (p->kind != SPW_PATH_ADJACENCY || p->iface->role != SPW_IF_ROLE_EXPRESSROUTE)
		return true;
	n = ctl_neighbour_find(rt, p->iface, &p->next_hop);
	return n && n->reachable;
}

struct ctl_path *
ctl_path_get(struct ctl_runtime *rt, enum spw_dp_path_kind kind, struct ctl_iface *iface,
	     struct ctl_tun *tun, const struct spw_addr *next_hop)
{
	char key[CTL_ID_KEY];
	struct ctl_path *p;
	uint32_t id;

	key_make(key, kind, iface, tun, next_hop);
	id = ctl_ids_get(rt->ids, CTL_ID_PATH, key);
	if (id == CTL_ID_NONE)
		return NULL;
	if (rt->path[id])
		return rt->path[id];
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->id = id;
	p->kind = kind;
	p->iface = iface;
	p->tunnel = tun;
	if (next_hop)
		p->next_hop = *next_hop;
	memcpy(p->key, key, sizeof(key));
	if (kind == SPW_PATH_ADJACENCY && iface->role != SPW_IF_ROLE_LAN)
		ctl_neighbour_want(rt, iface, next_hop);
	p->alive = should_live(rt, p);
	p->next = rt->paths;
	rt->paths = p;
	rt->path[id] = p;
	return p;
}

struct ctl_path *
ctl_path_find(struct ctl_runtime *rt, const struct ctl_iface *iface,
	      const struct spw_addr *next_hop)
{
	struct ctl_path *p = rt->paths;

	while (p && !(p->kind == SPW_PATH_ADJACENCY && p->iface == iface &&
		      spw_addr_equal(&p->next_hop, next_hop)))
		p = p->next;
	return p;
}

const char *
ctl_path_fault_name(enum ctl_path_fault fault)
{
	switch (fault) {
	case CTL_FAULT_BFD: return "bfd-timeout";
	case CTL_FAULT_SESSION: return "bgp-down";
	case CTL_FAULT_PROBE: return "probe-lost";
	}
	return "unknown";
}

void
ctl_path_fault(struct ctl_runtime *rt, struct ctl_path *path, enum ctl_path_fault fault, bool on,
	       uint64_t event_ns, double detect_ms)
{
	uint8_t faults = on ? path->faults | (uint8_t)fault : path->faults & (uint8_t)~fault;

	if (faults == path->faults)
		return;
	spw_log(SPW_LOG_WARNING, "path", on ? "fault" : "fault-over", "path=\"%s\" cause=%s",
		path->key, ctl_path_fault_name(fault));
	path->faults = faults;
	ctl_journal_path(rt, path, fault, on);
	if (!rt->trigger.cause)
		rt->trigger = (struct ctl_trigger){.cause = on ? ctl_path_fault_name(fault) : NULL,
						   .event_ns = event_ns,
						   .detect_ms = on ? detect_ms : -1};
	ctl_fib_update(rt);
}

void
ctl_path_free(struct ctl_runtime *rt, struct ctl_path *path)
{
	struct ctl_path **at = &rt->paths;

	while (*at != path)
		at = &(*at)->next;
	*at = path->next;
	rt->path[path->id] = NULL;
	if (path->tunnel && path->tunnel->path == path)
		path->tunnel->path = NULL;
	free(path);
}

const char *
ctl_path_name(const struct ctl_path *path)
{
	if (path->kind == SPW_PATH_TUNNEL)
		return path->tunnel->conf.name;
	return path->iface->role == SPW_IF_ROLE_EXPRESSROUTE ? "expressroute" : path->iface->name;
}

static void
dirty_users(struct ctl_runtime *rt)
{
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		ctl_fib_dirty_vnet(rt, v);
}

static bool
concerns_vnets(const struct ctl_path *p)
{
	return p->kind == SPW_PATH_TUNNEL || p->iface->role == SPW_IF_ROLE_EXPRESSROUTE;
}

void
ctl_paths_check(struct ctl_runtime *rt)
{
	uint64_t now = spw_clock_ns();

	for (struct ctl_path *p = rt->paths; p; p = p->next) {
		bool alive = should_live(rt, p);

		if (alive == p->alive)
			continue;
		p->alive = alive;
		if (!alive) {
			p->lost = true;
			p->lost_ns = now;
		} else if (p->lost) {
			p->restored_ns = now;
		}
		if (concerns_vnets(p))
			dirty_users(rt);
	}
}

static void
message_fill(const struct ctl_runtime *rt, const struct ctl_path *p, struct spw_dp_path *out)
{
	*out = (struct spw_dp_path){.id = p->id,
				    .generation = rt->generation,
				    .kind = p->kind,
				    .iface = p->iface ? p->iface->id : 0,
				    .tunnel = p->tunnel ? p->tunnel->id : 0,
				    .next_hop = p->next_hop};
}

void
ctl_paths_send_new(struct ctl_runtime *rt)
{
	struct spw_err err = {0};

	for (struct ctl_path *p = rt->paths; p; p = p->next) {
		struct spw_dp_path m;

		/* What goes must not be told again: its interface could not be swept. */
		if (p->in_dataplane || !(p->iface ? p->iface->keep : p->tunnel->keep))
			continue;
		message_fill(rt, p, &m);
		int rc = ctl_dataplane_send(rt, SPW_DP_PATH_SET, &m, sizeof(m), 1, -1, &err);

		if (rc == -ENOTCONN)
			return;
		if (rc != 0)
			spw_log(SPW_LOG_ERROR, "fib", "path-refused", "path=\"%s\" error=\"%s\"",
				p->key, err.text);
		p->in_dataplane = rc == 0;
	}
}

static void
state_send(struct ctl_runtime *rt, struct ctl_path *p, bool up)
{
	struct spw_dp_path_state m = {.id = p->id, .up = up, .clears = p->clears};
	struct spw_err err = {0};
	int rc = ctl_dataplane_send(rt, SPW_DP_PATH_STATE, &m, sizeof(m), 1, -1, &err);

	if (rc == 0) {
		p->bit = up;
		return;
	}
	if (rc == -ESTALE)
		ctl_fib_adopt_paths(rt);
	else if (rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "fib", "path-state-refused",
			"path=\"%s\" up=%d error=\"%s\"", p->key, up, err.text);
}

void
ctl_paths_send_down(struct ctl_runtime *rt)
{
	for (struct ctl_path *p = rt->paths; p; p = p->next)
		if (p->in_dataplane && p->bit && !p->alive)
			state_send(rt, p, false);
}

void
ctl_paths_send_up(struct ctl_runtime *rt, bool restored)
{
	for (struct ctl_path *p = rt->paths; p; p = p->next)
		if (p->in_dataplane && !p->bit && p->alive && p->lost == restored)
			state_send(rt, p, true);
}

void
ctl_fib_path_cleared(struct ctl_runtime *rt, uint32_t id, uint32_t clears, uint64_t at_ns)
{
	struct ctl_path *p = ctl_path_by_id(rt, id);

	if (!p)
		return;
	p->clears = clears;
	p->bit = false;
	/* A port without a kernel device: this is how its loss is learnt. Else netlink is the
	 * truth. */
	if (p->iface && p->iface->port && p->iface->port->kernel_name[0] == '\0' &&
	    ctl_link_is_up(p->iface))
		ctl_follow_port_link(rt, p->iface->port, false, at_ns, false);
	ctl_fib_update(rt);
}

static void
adopt_one(void *ctx, const void *elem)
{
	struct ctl_runtime *rt = ctx;
	const struct spw_dp_path_stats *s = elem;
	struct ctl_path *p = ctl_path_by_id(rt, s->id);

	if (!p)
		return;
	p->bit = s->up;
	p->clears = s->clears;
}

void
ctl_fib_adopt_paths(struct ctl_runtime *rt)
{
	ctl_dataplane_get(rt, SPW_DP_GET_PATHS, NULL, 0, sizeof(struct spw_dp_path_stats),
			  adopt_one, rt, NULL);
}
