/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths: one way to go each, one bit each in the data plane.
 *
 * `alive` is what this side wants the bit to be, from the link, the administrator's word, the
 * neighbour (for ExpressRoute next hops, whose place something else can take) and the tunnel's
 * SA; `bit` is what the data plane has. The data plane clears bits by itself; a decision to set
 * one carries the count of clears it has seen, and is refused (ESTALE) when it is stale: then
 * nothing is set before the event that explains the clear is read, which brings the new count. Were
 * all counts read at once, they would cover clears of other paths, too, whose reasons are still
 * unread. An event that was lost heals within a second (ctl_paths_tick).
 *
 * Path numbers are remembered by their key ("a er0 172.16.0.2", "t azure-a"), so a restarted
 * process finds its bits; so are the losses of what stands for ExpressRoute, with which its wait
 * and its damping go on. Paths are found by a hash, because every hop of every route asks. A
 * tunnel over ExpressRoute lives no longer than the next hops its outer packets take. One thread.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/frr.h"
#include "control/show.h"
#include "control/watch_private.h"

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

/* Does a next hop of ExpressRoute live by which the outer packets of a tunnel can go? */
static bool
underlay_lives(struct ctl_runtime *rt, const struct ctl_tun *t)
{
	const struct spw_addr *to = &t->conf.remote;
	const struct ctl_rib_entry *e =
		ctl_rib_covering(&rt->rib, to, (to->family == AF_INET ? 32 : 128) + 1);
	struct ctl_level level;

	for (; e; e = ctl_rib_covering(&rt->rib, to, e->prefix.len)) {
		if (!e->had_expressroute || !ctl_entry_level(rt, NULL, e, &level))
			continue;
		for (unsigned int h = 0; h < level.n; h++)
			if (rt->path[level.path[h]] && rt->path[level.path[h]]->alive)
				return true;
	}
	return false;
}

static bool
should_live(struct ctl_runtime *rt, const struct ctl_path *p)
{
	const struct ctl_neighbour *n;

	if (p->faults)
		return false;
	if (p->kind == SPW_PATH_TUNNEL)
		return p->tunnel->conf.enabled && p->tunnel->up &&
		       (!p->tunnel->encrypts || underlay_lives(rt, p->tunnel));
	if (!p->iface->enabled || !ctl_link_is_up(p->iface))
		return false;
	if (p->kind != SPW_PATH_ADJACENCY || p->iface->role != SPW_IF_ROLE_EXPRESSROUTE)
		return true;
	n = ctl_neighbour_find(rt, p->iface, &p->next_hop);
	return n && n->reachable;
}

static unsigned int
hash(enum spw_dp_path_kind kind, const void *over, const struct spw_addr *next_hop)
{
	uint64_t h = (uintptr_t)over ^ (uint64_t)kind << 56, word;

	for (unsigned int i = 0; next_hop && i < 16; i += sizeof(word)) {
		memcpy(&word, next_hop->bytes + i, sizeof(word));
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned int)(h >> 40) % CTL_PATH_BUCKETS;
}

static unsigned int
hash_of(const struct ctl_path *p)
{
	return hash(p->kind, p->tunnel ? (const void *)p->tunnel : p->iface,
		    p->next_hop.family ? &p->next_hop : NULL);
}

static struct ctl_path *
find(const struct ctl_runtime *rt, enum spw_dp_path_kind kind, const struct ctl_iface *iface,
     const struct ctl_tun *tun, const struct spw_addr *next_hop)
{
	const void *over = tun ? (const void *)tun : iface;
	struct ctl_path *p = rt->path_bucket[hash(kind, over, next_hop)];

	while (p && !(p->kind == kind && p->iface == iface && p->tunnel == tun &&
		      (!next_hop || spw_addr_equal(&p->next_hop, next_hop))))
		p = p->hash_next;
	return p;
}

static bool
stands_for_expressroute(const struct ctl_path *p)
{
	return p->tunnel ? p->tunnel->encrypts : p->iface->role == SPW_IF_ROLE_EXPRESSROUTE;
}

/* Write down what wait and damping go by; the key tells a number that was given anew. */
static void
write_losses(struct ctl_runtime *rt, const struct ctl_path *p)
{
	char name[32], value[CTL_ID_KEY];

	if (!stands_for_expressroute(p))
		return;
	snprintf(name, sizeof(name), "path:%u", p->id);
	snprintf(value, sizeof(value), "%llu %llu %u %u %.200s", (unsigned long long)p->lost_ns,
		 (unsigned long long)p->restored_ns, p->damping.losses, p->damping.last_s, p->key);
	ctl_ids_set_fact(rt->ids, name, value);
}

struct losses {
	unsigned long long lost, restored;
	struct ctl_damping damping;
	const char *key;
};

/* What was written down of a number, as long as the number is not of another path. */
static bool
read_losses(const struct ctl_runtime *rt, uint32_t id, struct losses *l)
{
	char name[32];
	const char *fact;
	int at = 0;

	snprintf(name, sizeof(name), "path:%u", id);
	fact = ctl_ids_get_fact(rt->ids, name);
	if (sscanf(fact, "%llu %llu %u %u %n", &l->lost, &l->restored, &l->damping.losses,
		   &l->damping.last_s, &at) != 4)
		return false;
	l->key = fact + at;
	return true;
}

static void
recall_losses(struct ctl_runtime *rt, struct ctl_path *p)
{
	struct losses l;

	if (!read_losses(rt, p->id, &l) || strcmp(l.key, p->key) != 0)
		return;
	/* One that lives must not wait again because its neighbour is heard of a moment later. */
	p->lost = l.lost > l.restored;
	p->lost_ns = l.lost;
	p->restored_ns = l.restored;
	p->damping = l.damping;
}

void
ctl_path_give_back(struct ctl_runtime *rt, const struct ctl_path *p)
{
	if (stands_for_expressroute(p) && ctl_damping_losses(&p->damping, spw_clock_ns()) > 0)
		rt->path_kept[p->id] = true;
	else
		ctl_ids_put(rt->ids, CTL_ID_PATH, p->key);
}

void
ctl_paths_give_back_quiet(struct ctl_runtime *rt)
{
	uint64_t now = spw_clock_ns();
	struct losses l;

	for (uint32_t id = 0; id < SPW_DP_PATHS_MAX; id++) {
		if (!rt->path_kept[id])
			continue;
		if (!rt->path[id] && read_losses(rt, id, &l)) {
			if (ctl_damping_losses(&l.damping, now) > 0)
				continue;
			ctl_ids_put(rt->ids, CTL_ID_PATH, l.key);
		}
		rt->path_kept[id] = false;
	}
}

struct ctl_path *
ctl_path_get(struct ctl_runtime *rt, enum spw_dp_path_kind kind, struct ctl_iface *iface,
	     struct ctl_tun *tun, const struct spw_addr *next_hop)
{
	struct ctl_path *p = find(rt, kind, iface, tun, next_hop);
	char key[CTL_ID_KEY];
	uint32_t id;

	if (p)
		return p;
	key_make(key, kind, iface, tun, next_hop);
	id = ctl_ids_get(rt->ids, CTL_ID_PATH, key);
	/* One key, two objects: the older one is on its way out. */
	if (id == CTL_ID_NONE || rt->path[id])
		return id == CTL_ID_NONE ? NULL : rt->path[id];
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
	recall_losses(rt, p);
	p->alive = should_live(rt, p);
	if (p->lost && p->alive) { /* it came back while nobody looked */
		p->restored_ns = spw_clock_ns();
		write_losses(rt, p);
	}
	p->next = rt->paths;
	rt->paths = p;
	rt->path[id] = p;
	p->hash_next = rt->path_bucket[hash_of(p)];
	rt->path_bucket[hash_of(p)] = p;
	return p;
}

struct ctl_path *
ctl_path_find(const struct ctl_runtime *rt, const struct ctl_iface *iface,
	      const struct spw_addr *next_hop)
{
	return find(rt, SPW_PATH_ADJACENCY, iface, NULL, next_hop);
}

uint64_t
ctl_path_wait_end(const struct ctl_vnet_state *vnet, const struct ctl_path *path, uint64_t now_ns)
{
	return ctl_vnet_wait_end(vnet, path->restored_ns, &path->damping, now_ns);
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

/*
 * Probes condemned it while link, BFD and session stood: a black hole, which Azure would go on
 * answering into as long as we announce over it. A path that is dead for any other reason is none,
 * also while its probes are silent still after the other reason has gone: nothing is announced over
 * a session that is down, and one that comes back announces at once.
 */
static bool
is_hole(struct ctl_runtime *rt, const struct ctl_path *p)
{
	const struct ctl_neighbour *n;

	if (p->kind != SPW_PATH_ADJACENCY || p->faults != CTL_FAULT_PROBE ||
	    p->iface->role != SPW_IF_ROLE_EXPRESSROUTE || !ctl_link_is_up(p->iface))
		return false;
	n = ctl_neighbour_find(rt, p->iface, &p->next_hop);
	return n && n->reachable;
}

static void
hole_set(struct ctl_runtime *rt, struct ctl_path *p, bool hole)
{
	rt->announce |= p->hole != hole;
	p->hole = hole;
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
	if (fault == CTL_FAULT_PROBE && on)
		hole_set(rt, path, path->alive && is_hole(rt, path));
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

	ctl_watch_path_gone(rt, path);
	while (*at != path)
		at = &(*at)->next;
	*at = path->next;
	at = &rt->path_bucket[hash_of(path)];
	while (*at != path)
		at = &(*at)->hash_next;
	*at = path->hash_next;
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

static bool
may_use(const struct ctl_vnet_state *v, const struct ctl_path *p)
{
	if (p->kind == SPW_PATH_TUNNEL)
		return ctl_vnet_has_tunnel(v, p->tunnel);
	return p->iface->role == SPW_IF_ROLE_EXPRESSROUTE ||
	       v->conf.peering == CTL_PEERING_MICROSOFT || spw_addr_is_set(&v->conf.last_resort);
}

static void
path_turned(struct ctl_runtime *rt, struct ctl_path *p, uint64_t now)
{
	if (!p->alive) {
		p->lost = true;
		p->lost_ns = now;
		ctl_damping_lose(&p->damping, now);
	} else if (p->lost) {
		p->restored_ns = now;
	}
	if (p->lost)
		write_losses(rt, p);
	if (stands_for_expressroute(p))
		spw_log(p->alive ? SPW_LOG_INFO : SPW_LOG_WARNING, "path",
			p->alive ? "alive" : "dead", "path=\"%s\" losses=%u", p->key,
			ctl_damping_losses(&p->damping, now));
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (may_use(v, p))
			ctl_fib_dirty_vnet(rt, v);
}

/* Compare the paths of one sort with what they should be; true when one turned. */
static bool
check(struct ctl_runtime *rt, bool tunnels, uint64_t now)
{
	bool any = false;

	for (struct ctl_path *p = rt->paths; p; p = p->next) {
		if ((p->kind == SPW_PATH_TUNNEL) != tunnels || should_live(rt, p) == p->alive)
			continue;
		p->alive = !p->alive;
		path_turned(rt, p, now);
		any = true;
	}
	return any;
}

void
ctl_paths_check(struct ctl_runtime *rt)
{
	uint64_t now = spw_clock_ns();
	bool any = check(rt, false, now);

	for (struct ctl_path *p = rt->paths; p; p = p->next)
		if (p->hole && !is_hole(rt, p))
			hole_set(rt, p, false);
	/* Tunnels last: one over ExpressRoute lives by next hops. */
	any |= check(rt, true, now);
	if (any)
		ctl_groups_evaluate_plain(rt);
}

void
ctl_paths_announce(struct ctl_runtime *rt)
{
	if (rt->announce && rt->config.bgp.local_as)
		ctl_frr_apply(rt);
	rt->announce = false;
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
		rt->bits_stale = true;
	else if (rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "fib", "path-state-refused",
			"path=\"%s\" up=%d error=\"%s\"", p->key, up, err.text);
}

void
ctl_paths_tick(struct ctl_runtime *rt)
{
	if (rt->bits_stale)
		ctl_fib_adopt_paths(rt);
	rt->bits_stale = false;
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
