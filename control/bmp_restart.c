/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes over a restart of bgpd.
 *
 * A bgpd that dies or is stopped takes its routes out of the kernel, at once or, with zebra's help,
 * for a second when its sessions come up again; neither says anything of the network. Its BMP
 * connection breaks without a word first. So from then on, for the time of a graceful restart (RFC
 * 4724: the restarting speaker goes on forwarding), a BGP route that the kernel deletes is retained
 * in the mirror, and leaf and group stay as they are. What still ends a path, ends it: link, BFD,
 * probes.
 *
 * A retained route is an ordinary one again when the kernel has it again. It goes when the
 * neighbour that is its next hop has come up and does not give it any more, or when the time is
 * over. Routes whose link is down are not retained, nor is anything where the configuration wants
 * no graceful restart. One thread, the event loop.
 */
#include "control/bmp_private.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "control/failover.h"
#include "control/fib.h"
#include "control/pins.h"

#define RESTART_NS (120 * SPW_NS_PER_S) /* as bgpd says to its neighbours */
#define SWEEP_NS   (2 * SPW_NS_PER_S)
/* bgpd tells zebra of a restart's end up to half a minute after its sessions are up; zebra then
 * deletes what it had kept, a moment before it has it anew. */
#define BACK_NS (60 * SPW_NS_PER_S)

void
ctl_bmp_restart_begin(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;
	bool any = false;

	for (const struct ctl_bmp_neighbour *n = bmp->neighbours; n; n = n->next)
		any |= n->up;
	if (!any || !rt->config.bgp.graceful_restart)
		return;
	bmp->restart_until_ns = spw_clock_ns() + RESTART_NS;
	bmp->sweep_ns = spw_clock_ns() + SWEEP_NS;
	spw_log(SPW_LOG_WARNING, "bgp", "restart", "action=\"routes are retained\" seconds=%u",
		(unsigned int)(RESTART_NS / SPW_NS_PER_S));
}

/*
 * The end of the connection may lie unread behind the kernel's messages. It is only noted: the
 * connection is closed when its own turn comes, because that evaluates, and whoever asks is in the
 * middle of the table.
 */
static void
look_for_end(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;
	uint64_t batch = ctl_netlink_batch_ns(rt->netlink);
	uint8_t byte;

	if (bmp->fd < 0 || bmp->ended || bmp->looked_ns == batch)
		return;
	bmp->looked_ns = batch;
	ssize_t n = recv(bmp->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n != 0 && (n > 0 || errno == EAGAIN || errno == EINTR))
		return;
	bmp->ended = true;
	ctl_bmp_restart_begin(rt);
}

static bool
hops_are_up(struct ctl_runtime *rt, const struct ctl_rib_route *r)
{
	for (unsigned int i = 0; i < r->n_hops; i++) {
		const struct ctl_iface *iface = ctl_iface_by_index(rt, r->hop[i].index);

		if (!iface || !iface->enabled || !ctl_link_is_up(iface))
			return false;
	}
	return r->n_hops > 0;
}

/* May a retained route wait on for the kernel? */
static bool
may_wait(const struct ctl_runtime *rt, const struct spw_prefix *prefix,
	 const struct ctl_rib_route *r, uint64_t now)
{
	if (rt->bmp->ended)
		return true;
	for (unsigned int i = 0; i < r->n_hops; i++)
		if (!ctl_bmp_lacks(rt, &r->hop[i].gateway, prefix, now))
			return true;
	return false;
}

bool
ctl_bmp_retains(struct ctl_runtime *rt, const struct spw_prefix *prefix,
		struct ctl_rib_route *route)
{
	struct ctl_bmp *bmp = rt->bmp;

	if (!bmp || route->protocol != RTPROT_BGP || !rt->configured)
		return false;
	look_for_end(rt);
	uint64_t now = spw_clock_ns();

	if (now >= bmp->restart_until_ns || !hops_are_up(rt, route) ||
	    !may_wait(rt, prefix, route, now))
		return false;
	route->stale = false;
	route->retained = true;
	bmp->n_retained++;
	return true;
}

struct sweep {
	struct ctl_runtime *rt;
	uint64_t now;
	bool over;
	unsigned int left, gone;
};

static void
sweep_entry(void *ctx, struct ctl_rib_entry *e)
{
	struct sweep *s = ctx;
	bool any = false;

	for (struct ctl_rib_route *r = e->routes; r; r = r->next) {
		bool goes = r->retained && (s->over || !hops_are_up(s->rt, r) ||
					    !may_wait(s->rt, &e->prefix, r, s->now));

		s->left += r->retained && !goes;
		r->stale = goes;
		any |= goes;
	}
	if (!any)
		return;
	s->gone++;
	ctl_fib_hold(s->rt, e);
	ctl_rib_route_sweep(e);
	ctl_pins_route_changed(s->rt, e);
	if (!s->rt->trigger.cause)
		s->rt->trigger =
			(struct ctl_trigger){.cause = "withdrawn", .event_ns = spw_clock_ns()};
	ctl_fib_route_changed(s->rt, e);
}

/* Has every neighbour that was up before been back for long enough? */
static bool
is_complete(const struct ctl_bmp *bmp, uint64_t now)
{
	if (bmp->fd < 0)
		return false;
	for (const struct ctl_bmp_neighbour *n = bmp->neighbours; n; n = n->next)
		if (n->was_up && !(n->up && now - n->up_ns >= BACK_NS))
			return false;
	return true;
}

void
ctl_bmp_restart_tick(struct ctl_runtime *rt, uint64_t now)
{
	struct ctl_bmp *bmp = rt->bmp;
	struct sweep s = {.rt = rt, .now = now, .over = now >= bmp->restart_until_ns};

	if (bmp->restart_until_ns == 0 || (now < bmp->sweep_ns && !s.over))
		return;
	bmp->sweep_ns = now + SWEEP_NS;
	if (bmp->n_retained > 0)
		ctl_rib_each(&rt->rib, sweep_entry, &s);
	bmp->n_retained = s.left; /* those that the kernel has again are not counted */
	bmp->dirty |= s.gone > 0;
	if (!s.over && (s.left > 0 || !is_complete(bmp, now)))
		return;
	bmp->restart_until_ns = 0;
	for (struct ctl_bmp_neighbour *n = bmp->neighbours; n; n = n->next)
		n->was_up = false;
	spw_log(s.over ? SPW_LOG_WARNING : SPW_LOG_INFO, "bgp", "restart-over",
		"cause=%s routes_gone=%u", s.over ? "time" : "complete", s.gone);
}
