/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BFD sessions towards BGP neighbours (RFC 5880, 5881).
 *
 * There is one for each configured neighbour with `bfd` that lies on a network of ours, tunnels
 * apart: Azure has no BFD inside them. The data plane runs the protocol and clears the bits of a
 * dead next hop by itself; here its word becomes a fault of the path, which keeps the bit clear
 * until the session is up again, and bgpd is told to drop what it learnt there.
 *
 * A down after an up is a fault; a session that was never up is none, and none that an
 * administrator took down on either side. Where no path leads over the neighbour yet, the fault
 * waits for one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/frr.h"
#include "control/watch_private.h"

static struct ctl_iface *
iface_of(struct ctl_runtime *rt, const struct spw_addr *peer, struct spw_addr *local)
{
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		for (unsigned int a = 0; i->keep && !i->tunnel && a < i->n_wanted; a++)
			if (spw_prefix_contains_addr(&i->wanted[a], peer)) {
				*local = i->wanted[a].addr;
				return i;
			}
	return NULL;
}

static struct watch_bfd *
find_key(const struct ctl_watch *w, const char *key)
{
	struct watch_bfd *b = w->bfd;

	while (b && strcmp(b->key, key) != 0)
		b = b->next;
	return b;
}

struct watch_bfd *
watch_bfd_find(const struct ctl_runtime *rt, const struct ctl_iface *iface,
	       const struct spw_addr *peer)
{
	for (struct watch_bfd *b = rt->watch ? rt->watch->bfd : NULL; b; b = b->next)
		if (b->content.iface == iface->id && spw_addr_equal(&b->content.peer, peer))
			return b;
	return NULL;
}

static uint32_t
timer_us(uint32_t ms)
{
	uint64_t us = (uint64_t)ms * 1000;

	return us < 10000 ? 10000 : us > 60000000 ? 60000000 : (uint32_t)us;
}

static void
content_fill(const struct ctl_neighbor *n, const struct ctl_iface *iface,
	     const struct spw_addr *local, uint32_t id, struct spw_dp_bfd *out)
{
	*out = (struct spw_dp_bfd){.id = id,
				   .iface = iface->id,
				   .detect_mult = n->bfd_multiplier,
				   .min_tx_us = timer_us(n->bfd_transmit_ms),
				   .min_rx_us = timer_us(n->bfd_receive_ms),
				   .local = *local,
				   .peer = n->address};
}

static void
want_one(struct ctl_runtime *rt, const struct ctl_neighbor *n)
{
	struct spw_addr local;
	const struct ctl_iface *iface = iface_of(rt, &n->address, &local);
	char text[SPW_ADDR_TEXT], key[CTL_ID_KEY];
	struct spw_dp_bfd content;
	struct watch_bfd *b;
	uint32_t id;

	if (!iface || !iface->in_dataplane)
		return;
	snprintf(key, sizeof(key), "%s %s", iface->name, spw_addr_format(&n->address, text));
	b = find_key(rt->watch, key);
	id = b ? b->content.id : ctl_ids_get(rt->ids, CTL_ID_BFD, key);
	if (!b && id != CTL_ID_NONE && (b = calloc(1, sizeof(*b))) != NULL) {
		memcpy(b->key, key, sizeof(key));
		memcpy(b->iface, iface->name, sizeof(b->iface));
		b->state = SPW_BFD_DOWN;
		b->next = rt->watch->bfd;
		rt->watch->bfd = b;
	}
	if (!b)
		return;
	content_fill(n, iface, &local, id, &content);
	b->keep = true;
	b->told = b->told && memcmp(&content, &b->content, sizeof(content)) == 0;
	b->content = content;
}

static struct ctl_path *
path_of(struct ctl_runtime *rt, const struct watch_bfd *b)
{
	const struct ctl_iface *iface = ctl_iface_by_name(rt, b->iface);

	return iface ? ctl_path_find(rt, iface, &b->content.peer) : NULL;
}

static void
end(struct ctl_runtime *rt, struct watch_bfd *b)
{
	struct ctl_path *p = path_of(rt, b);

	if (b->told)
		watch_delete(rt, SPW_DP_CLASS_BFD, b->content.id);
	ctl_ids_put(rt->ids, CTL_ID_BFD, b->key);
	if (p && (p->faults & CTL_FAULT_BFD))
		watch_fault(rt, p, CTL_FAULT_BFD, false, spw_clock_ns(), -1);
	free(b);
}

void
watch_bfd_want(struct ctl_runtime *rt)
{
	const struct ctl_bgp *bgp = &rt->config.bgp;

	for (struct watch_bfd *b = rt->watch->bfd; b; b = b->next)
		b->keep = false;
	for (unsigned int i = 0; bgp->local_as && i < bgp->n_neighbors; i++)
		if (bgp->neighbor[i].bfd)
			want_one(rt, &bgp->neighbor[i]);
	for (struct watch_bfd **at = &rt->watch->bfd; *at;) {
		struct watch_bfd *b = *at;

		if (b->keep) {
			at = &b->next;
			continue;
		}
		*at = b->next;
		end(rt, b);
	}
}

void
watch_bfd_tell(struct ctl_runtime *rt, bool all)
{
	for (struct watch_bfd *b = rt->watch->bfd; b; b = b->next) {
		struct spw_dp_bfd m = b->content;
		struct spw_err err = {0};

		if (b->told && !all)
			continue;
		m.generation = rt->generation;
		b->told = ctl_dataplane_send(rt, SPW_DP_BFD_SET, &m, sizeof(m), 1, -1, &err) == 0;
		if (!b->told)
			watch_refused("bfd", b->key, &err);
	}
}

static void
fault_path(struct ctl_runtime *rt, struct watch_bfd *b, uint64_t at_ns)
{
	struct ctl_path *p = path_of(rt, b);
	double detect_ms = -1;

	if (!p || ((p->faults & CTL_FAULT_BFD) != 0) == b->memory.fault)
		return;
	if (b->memory.fault && b->last_rx_ns && b->last_rx_ns < at_ns)
		detect_ms = (double)(at_ns - b->last_rx_ns) / SPW_NS_PER_MS;
	watch_fault(rt, p, CTL_FAULT_BFD, b->memory.fault, at_ns, detect_ms);
}

/* Make the path's fault what the session says; a new fault is told to bgpd, once. */
static void
settle(struct ctl_runtime *rt, struct watch_bfd *b, uint64_t at_ns)
{
	bool news = b->memory.fault && !b->cleared;

	b->cleared = b->memory.fault;
	fault_path(rt, b, at_ns);
	if (news)
		ctl_frr_clear(rt, &b->content.peer);
}

static void
note_change(const struct watch_bfd *b, enum spw_bfd_state state)
{
	static const char *const word[] = {"admin-down", "down", "init", "up"};
	char text[SPW_ADDR_TEXT];

	if (b->known && b->state != state && state <= SPW_BFD_UP)
		spw_log(state == SPW_BFD_UP ? SPW_LOG_INFO : SPW_LOG_WARNING, "bfd", "state",
			"interface=%s peer=%s old=%s new=%s", b->iface,
			spw_addr_format(&b->content.peer, text), word[b->state], word[state]);
}

static void
refresh_one(void *ctx, const void *elem)
{
	const struct spw_dp_bfd_stats *s = elem;
	const struct ctl_runtime *rt = ctx;
	struct watch_bfd *b = rt->watch->bfd;

	while (b && b->content.id != s->id)
		b = b->next;
	if (!b)
		return;
	if (!b->known)
		b->memory.was_up = s->was_up;
	note_change(b, s->state);
	b->state = s->state;
	b->last_rx_ns = s->last_rx_ns;
	b->changed_ns = s->changed_ns;
	ctl_bfd_remember(&b->memory, s->state, s->remote_state == SPW_BFD_ADMIN_DOWN && s->rx > 0);
	if (!b->known) /* bgpd heard of it from the process before */
		b->cleared = b->memory.fault;
	b->known = true;
}

void
watch_bfd_refresh(struct ctl_runtime *rt)
{
	uint64_t now = spw_clock_ns();

	if (!rt->watch->bfd ||
	    ctl_dataplane_get(rt, SPW_DP_GET_BFD, NULL, 0, sizeof(struct spw_dp_bfd_stats),
			      refresh_one, rt, NULL) != 0)
		return;
	for (struct watch_bfd *b = rt->watch->bfd; b; b = b->next)
		settle(rt, b, b->changed_ns && b->changed_ns < now ? b->changed_ns : now);
}

void
watch_bfd_restart(struct ctl_runtime *rt)
{
	for (struct watch_bfd *b = rt->watch->bfd; b; b = b->next) {
		b->memory.was_up = b->memory.fault;
		b->state = SPW_BFD_DOWN;
		b->told = false;
	}
}

void
ctl_watch_bfd_event(struct ctl_runtime *rt, const struct spw_dp_bfd_event *ev)
{
	struct watch_bfd *b = rt->watch ? rt->watch->bfd : NULL;

	while (b && b->content.id != ev->id)
		b = b->next;
	if (!b)
		return;
	note_change(b, ev->state);
	b->memory.was_up |= ev->was_up != 0 && !b->known;
	b->known = true;
	b->state = ev->state;
	b->last_rx_ns = ev->last_rx_ns;
	ctl_bfd_remember(&b->memory, ev->state,
			 ev->remote_state == SPW_BFD_ADMIN_DOWN && ev->last_rx_ns != 0);
	settle(rt, b, ev->at_ns ? ev->at_ns : spw_clock_ns());
}

void
ctl_watch_path_cleared(struct ctl_runtime *rt, uint32_t path)
{
	const struct ctl_path *p = ctl_path_by_id(rt, path);

	if (p && p->kind == SPW_PATH_ADJACENCY && rt->watch &&
	    watch_bfd_find(rt, p->iface, &p->next_hop))
		watch_bfd_refresh(rt);
}

void
watch_bfd_free(struct ctl_runtime *rt)
{
	for (struct watch_bfd *b = rt->watch->bfd, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	rt->watch->bfd = NULL;
}
