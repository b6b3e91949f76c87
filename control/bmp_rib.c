/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What BMP says of the neighbours and what follows from it.
 *
 * Bad news only. A withdrawal marks (prefix, neighbour) and the entry is evaluated at once without
 * that next hop; the kernel's table confirms it, or the mark ends after two seconds and the kernel
 * was right. An announcement ends the mark and is otherwise not believed: routes come from the
 * kernel. The end of a session with a neighbour on an ExpressRoute interface is one fault of one
 * path, so one cleared bit moves whatever was learnt from it. The fault ends when the session is up
 * again, or with the path, when no route uses it any more.
 *
 * Not bad news: the connection breaks, or bgpd says that it stops (ctl_bmp_judge). The kernel keeps
 * the routes over a restart of bgpd, so nothing is done. A session whose routes graceful restart
 * keeps is not lost, either.
 *
 * What each neighbour gives is kept as a set of prefixes, because bgpd also sends withdrawals of
 * what it never announced (a route whose next hop it does not know yet): only what was in the set
 * is one. The set is complete after the End-of-RIB that ends the first walk through bgpd's table,
 * or at once where the session came up later. Bounded: neighbours, prefixes, marks, faults. One
 * thread.
 */
#include "control/bmp_private.h"

#include <stdlib.h>
#include <string.h>

#include "control/failover.h"
#include "control/fib.h"

#define NEIGHBOURS     256
#define PREFIXES       2200000 /* of all neighbours */
#define SETTLED_NS     (10 * SPW_NS_PER_S)
#define QUIET_NS       (3 * SPW_NS_PER_S)
#define FAULT_BACK_NS  SPW_NS_PER_S
#define FAULT_ALONE_NS (10 * SPW_NS_PER_S)
#define MISSED_NS      (30 * SPW_NS_PER_S)

static struct ctl_bmp_neighbour *
neighbour_find(const struct ctl_bmp *bmp, const struct spw_addr *addr)
{
	struct ctl_bmp_neighbour *n = bmp->neighbours;

	while (n && !spw_addr_equal(&n->addr, addr))
		n = n->next;
	return n;
}

static struct ctl_bmp_neighbour *
neighbour_get(struct ctl_bmp *bmp, const struct spw_addr *addr)
{
	struct ctl_bmp_neighbour *n = neighbour_find(bmp, addr);

	if (n || bmp->n_neighbours == NEIGHBOURS)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->addr = *addr;
	n->next = bmp->neighbours;
	bmp->neighbours = n;
	bmp->n_neighbours++;
	return n;
}

static void
neighbour_empty(struct ctl_bmp *bmp, struct ctl_bmp_neighbour *n)
{
	bmp->n_prefixes -= ctl_prefix_set_count(&n->set);
	ctl_prefix_set_clear(&n->set);
	n->up = n->complete = false;
}

/* The neighbour that a message is about, when its session is up and its kind is followed. */
static struct ctl_bmp_neighbour *
neighbour_of(const struct ctl_bmp *bmp, const struct ctl_bmp_peer *peer)
{
	struct ctl_bmp_neighbour *n =
		peer->type == 0 && peer->post_policy ? neighbour_find(bmp, &peer->addr) : NULL;

	return n && n->up ? n : NULL;
}

/* The interface on whose network an address lies. */
static struct ctl_iface *
iface_of(struct ctl_runtime *rt, const struct spw_addr *addr)
{
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		for (unsigned int a = 0; i->keep && a < i->n_addresses; a++)
			if (spw_prefix_contains_addr(&i->address[a], addr))
				return i;
	return NULL;
}

/* What a tunnel's neighbour gives decides whether the tunnel is a candidate. */
static void
note_change(struct ctl_runtime *rt, const struct ctl_bmp_neighbour *n)
{
	const struct ctl_iface *i = iface_of(rt, &n->addr);

	if (i && i->tunnel)
		rt->bmp->dirty = rt->bmp->dirty_tunnels = true;
}

static void
evaluate_entry(struct ctl_runtime *rt, const struct spw_prefix *prefix)
{
	struct ctl_rib_entry *e = ctl_rib_find(&rt->rib, prefix);

	if (!e)
		return;
	ctl_fib_route_changed(rt, e);
	rt->bmp->dirty = true;
}

static void
mark(struct ctl_runtime *rt, struct ctl_bmp_neighbour *n, const struct spw_prefix *prefix)
{
	struct ctl_rib_entry *e = ctl_rib_find(&rt->rib, prefix);

	if (e)
		ctl_fib_hold(rt, e);
	if (!ctl_bmp_mark(rt->bmp->marks, prefix, n, rt->bmp->read_ns))
		return;
	if (!rt->trigger.cause)
		rt->trigger =
			(struct ctl_trigger){.cause = "withdrawn", .event_ns = rt->bmp->read_ns};
	evaluate_entry(rt, prefix);
}

static void
note_next_hop(struct ctl_bmp_neighbour *n, const struct spw_addr *next_hop)
{
	if (spw_addr_equal(next_hop, &n->addr))
		return;
	for (unsigned int i = 0; i < n->n_next_hops; i++)
		if (spw_addr_equal(&n->next_hop[i], next_hop))
			return;
	if (n->n_next_hops < CTL_BMP_NEXT_HOPS)
		n->next_hop[n->n_next_hops++] = *next_hop;
}

static void
on_announced(void *ctx, const struct ctl_bmp_peer *peer, const struct spw_prefix *prefix,
	     const struct spw_addr *next_hop)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_bmp_neighbour *n = neighbour_of(rt->bmp, peer);

	if (!n)
		return;
	note_next_hop(n, next_hop);
	n->news_ns = rt->bmp->read_ns;
	if (rt->bmp->n_prefixes < PREFIXES && ctl_prefix_set_add(&n->set, prefix)) {
		rt->bmp->n_prefixes++;
		note_change(rt, n);
	}
	if (ctl_bmp_unmark(rt->bmp->marks, prefix, n))
		evaluate_entry(rt, prefix);
}

static void
on_withdrawn(void *ctx, const struct ctl_bmp_peer *peer, const struct spw_prefix *prefix)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_bmp_neighbour *n = neighbour_of(rt->bmp, peer);

	if (!n || !ctl_prefix_set_del(&n->set, prefix))
		return;
	rt->bmp->n_prefixes--;
	note_change(rt, n);
	mark(rt, n, prefix);
}

static void
on_end_of_rib(void *ctx, const struct ctl_bmp_peer *peer, uint8_t family)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_bmp_neighbour *n = neighbour_of(rt->bmp, peer);

	/* bgpd walks one family after the other and tells the end of each; ours is the session's.
	 */
	if (n && family == n->addr.family)
		n->complete = true;
}

static void
on_peer_up(void *ctx, const struct ctl_bmp_peer *peer, const struct ctl_bmp_restart *restart)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_bmp_neighbour *n = peer->type == 0 ? neighbour_get(rt->bmp, &peer->addr) : NULL;
	char text[SPW_ADDR_TEXT];

	if (!n)
		return;
	neighbour_empty(rt->bmp, n);
	n->n_next_hops = 0; /* until now marks may have needed them */
	/* What was reported down before comes up now: nothing of it is in bgpd's table yet. */
	n->complete = n->told;
	n->told = n->up = true;
	n->down = false;
	n->up_ns = rt->bmp->read_ns;
	n->restart = *restart;
	note_change(rt, n);
	spw_log(SPW_LOG_INFO, "bgp", "session-up", "neighbor=%s as=%u",
		spw_addr_format(&n->addr, text), peer->as);
}

static void
fault_raise(struct ctl_runtime *rt, const struct ctl_bmp_neighbour *n)
{
	struct ctl_bmp *bmp = rt->bmp;
	struct ctl_iface *iface = iface_of(rt, &n->addr);
	struct ctl_path *p;

	/* Elsewhere other routes may use the same router, which BGP says nothing of. */
	if (!iface || iface->role != SPW_IF_ROLE_EXPRESSROUTE || bmp->n_faults == CTL_BMP_FAULTS)
		return;
	p = ctl_path_find(rt, iface, &n->addr);
	if (!p || p->faults & CTL_FAULT_SESSION)
		return;
	bmp->fault[bmp->n_faults++] =
		(struct ctl_bmp_fault){.iface = iface->id, .next_hop = n->addr};
	ctl_path_fault(rt, p, CTL_FAULT_SESSION, true, bmp->read_ns, -1);
}

struct mark_all {
	struct ctl_runtime *rt;
	struct ctl_bmp_neighbour *n;
};

static void
mark_visit(void *ctx, const struct spw_prefix *prefix)
{
	struct mark_all *m = ctx;

	mark(m->rt, m->n, prefix);
}

static void
session_lost(struct ctl_runtime *rt, struct ctl_bmp_neighbour *n)
{
	struct mark_all m = {.rt = rt, .n = n};

	fault_raise(rt, n);
	/* Prefixes with next hops of a third party (RFC 4271 5.1.3): no path of their own ends. */
	if (n->n_next_hops > 0)
		ctl_prefix_set_each(&n->set, mark_visit, &m);
}

static void
on_peer_down(void *ctx, const struct ctl_bmp_peer *peer, const struct ctl_bmp_down *down)
{
	static const char *const word[] = {[CTL_BMP_LOST] = "lost",
					   [CTL_BMP_KEPT] = "kept-by-graceful-restart",
					   [CTL_BMP_OURS] = "left-to-the-kernel"};
	struct ctl_runtime *rt = ctx;
	struct ctl_bmp_neighbour *n = peer->type == 0 ? neighbour_get(rt->bmp, &peer->addr) : NULL;
	char text[SPW_ADDR_TEXT], why[96];
	enum ctl_bmp_verdict verdict;

	if (!n)
		return;
	n->told = true;
	/* At connect bgpd also names the neighbours that are not up. */
	if (!n->up)
		return;
	verdict = ctl_bmp_judge(down, &n->restart);
	spw_log(SPW_LOG_WARNING, "bgp", "session-down",
		"neighbor=%s cause=\"%s\" prefixes=%zu routes=%s", spw_addr_format(&n->addr, text),
		ctl_bmp_down_text(down, why, sizeof(why)), ctl_prefix_set_count(&n->set),
		word[verdict]);
	n->up = false;
	n->down = verdict == CTL_BMP_LOST;
	note_change(rt, n);
	if (verdict == CTL_BMP_LOST)
		session_lost(rt, n);
	neighbour_empty(rt->bmp, n);
}

static void
on_termination(void *ctx)
{
	spw_log(SPW_LOG_INFO, "bmp", "terminated", "action=\"routes are left to the kernel\"");
}

const struct ctl_bmp_handler ctl_bmp_handler = {
	.peer_up = on_peer_up,
	.peer_down = on_peer_down,
	.announced = on_announced,
	.withdrawn = on_withdrawn,
	.end_of_rib = on_end_of_rib,
	.termination = on_termination,
};

void
ctl_bmp_flush(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;

	if (bmp->dirty_tunnels)
		ctl_fib_tunnels_changed(rt);
	if (bmp->dirty && rt->configured)
		ctl_fib_update(rt);
	bmp->dirty = bmp->dirty_tunnels = false;
	uint64_t next = ctl_bmp_marks_next_ns(bmp->marks), now = spw_clock_ns();
	uint64_t us = next > now ? (next - now) / SPW_NS_PER_US + 1 : 1;
	struct timeval tv = {.tv_sec = (time_t)(us / 1000000),
			     .tv_usec = (suseconds_t)(us % 1000000)};

	if (next && !event_pending(bmp->expiry, EV_TIMEOUT, NULL))
		event_add(bmp->expiry, &tv);
}

/* Marks that the kernel did not confirm in time: its table is the truth. */
void
ctl_bmp_on_expiry(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	uint64_t now = spw_clock_ns();
	struct spw_prefix prefix;

	while (ctl_bmp_marks_expire(rt->bmp->marks, now, &prefix))
		evaluate_entry(rt, &prefix);
	ctl_bmp_flush(rt);
}

void
ctl_bmp_forget(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;

	bmp->lost_ns = spw_clock_ns();
	bmp->missed = false;
	for (struct ctl_bmp_neighbour *n = bmp->neighbours; n; n = n->next) {
		if (n->up)
			note_change(rt, n);
		n->was_up |= n->up;
		neighbour_empty(bmp, n);
		n->told = false;
	}
	ctl_bmp_flush(rt);
}

void
ctl_bmp_neighbours_free(struct ctl_bmp *bmp)
{
	for (struct ctl_bmp_neighbour *n = bmp->neighbours, *next; n; n = next) {
		next = n->next;
		ctl_prefix_set_clear(&n->set);
		free(n);
	}
	bmp->neighbours = NULL;
}

static bool
has_next_hop(const struct ctl_bmp_neighbour *n, const struct spw_addr *next_hop)
{
	if (spw_addr_equal(&n->addr, next_hop))
		return true;
	for (unsigned int i = 0; i < n->n_next_hops; i++)
		if (spw_addr_equal(&n->next_hop[i], next_hop))
			return true;
	return false;
}

/* Another neighbour gives the prefix with this next hop. */
static bool
is_given_by_another(const struct ctl_bmp *bmp, const struct ctl_bmp_neighbour *but,
		    const struct spw_prefix *prefix, const struct spw_addr *next_hop)
{
	for (const struct ctl_bmp_neighbour *n = bmp->neighbours; n; n = n->next)
		if (n != but && n->up && has_next_hop(n, next_hop) &&
		    ctl_prefix_set_has(&n->set, prefix))
			return true;
	return false;
}

bool
ctl_bmp_is_withdrawn(const struct ctl_runtime *rt, const struct spw_prefix *prefix,
		     const struct spw_addr *next_hop)
{
	const struct ctl_bmp *bmp = rt->bmp;
	const struct ctl_bmp_neighbour *by = NULL;

	if (!bmp || ctl_bmp_marks_count(bmp->marks) == 0)
		return false;
	uint64_t now = spw_clock_ns();

	while ((by = ctl_bmp_marked(bmp->marks, prefix, by, now)))
		if (has_next_hop(by, next_hop) && !is_given_by_another(bmp, by, prefix, next_hop))
			return true;
	return false;
}

enum ctl_bmp_word
ctl_bmp_gives(const struct ctl_runtime *rt, const struct spw_addr *neighbour,
	      const struct spw_prefix *prefix)
{
	const struct ctl_bmp_neighbour *n = rt->bmp ? neighbour_find(rt->bmp, neighbour) : NULL;

	if (!n || !n->told)
		return CTL_BMP_UNKNOWN;
	if (!n->up)
		return CTL_BMP_NO;
	if (ctl_prefix_set_touches(&n->set, prefix))
		return CTL_BMP_YES;
	return n->complete ? CTL_BMP_NO : CTL_BMP_UNKNOWN;
}

bool
ctl_bmp_is_settled(const struct ctl_bmp_neighbour *n, uint64_t now)
{
	return n->up && now - n->up_ns >= SETTLED_NS && now - n->news_ns >= QUIET_NS;
}

bool
ctl_bmp_lacks(const struct ctl_runtime *rt, const struct spw_addr *neighbour,
	      const struct spw_prefix *prefix, uint64_t now)
{
	const struct ctl_bmp_neighbour *n = neighbour_find(rt->bmp, neighbour);

	return n && ctl_bmp_is_settled(n, now) && !ctl_prefix_set_has(&n->set, prefix);
}

bool
ctl_bmp_count(const struct ctl_runtime *rt, const struct spw_addr *neighbour, uint32_t *n)
{
	const struct ctl_bmp_neighbour *x = rt->bmp ? neighbour_find(rt->bmp, neighbour) : NULL;

	if (!x || !x->told || (x->up && !x->complete))
		return false;
	*n = (uint32_t)ctl_prefix_set_count(&x->set);
	return true;
}

const char *
ctl_bmp_cause(const struct ctl_runtime *rt, const struct spw_addr *next_hop)
{
	const struct ctl_bmp_neighbour *n = rt->bmp ? neighbour_find(rt->bmp, next_hop) : NULL;

	if (!n || !n->told)
		return NULL;
	return n->up ? "withdrawn" : n->down ? "bgp-down" : NULL;
}

static bool
is_configured(const struct ctl_bgp *bgp, const struct spw_addr *neighbour)
{
	for (unsigned int i = 0; i < bgp->n_neighbors; i++)
		if (spw_addr_equal(&bgp->neighbor[i].address, neighbour))
			return true;
	return false;
}

/*
 * Has a fault an end? The session is back, there is to be none any more (other routes may use that
 * next hop), or nobody can tell and the kernel decides.
 */
static bool
fault_is_over(const struct ctl_runtime *rt, const struct ctl_bmp_fault *f, uint64_t now)
{
	const struct ctl_bmp *bmp = rt->bmp;
	const struct ctl_bmp_neighbour *n = neighbour_find(bmp, &f->next_hop);

	if (!is_configured(&rt->config.bgp, &f->next_hop))
		return true;
	if (bmp->fd < 0)
		return now - bmp->lost_ns >= FAULT_ALONE_NS;
	return !n || (n->up && now - n->up_ns >= FAULT_BACK_NS);
}

static void
faults_check(struct ctl_runtime *rt, uint64_t now)
{
	struct ctl_bmp *bmp = rt->bmp;

	for (unsigned int i = 0; i < bmp->n_faults;) {
		const struct ctl_bmp_fault *f = &bmp->fault[i];
		struct ctl_iface *iface = ctl_iface_by_id(rt, f->iface);
		struct ctl_path *p = iface ? ctl_path_find(rt, iface, &f->next_hop) : NULL;

		if (p && p->faults & CTL_FAULT_SESSION && !fault_is_over(rt, f, now)) {
			i++;
			continue;
		}
		bmp->fault[i] = bmp->fault[--bmp->n_faults];
		if (p)
			ctl_path_fault(rt, p, CTL_FAULT_SESSION, false, now, -1);
	}
}

void
ctl_bmp_tick(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;
	uint64_t now = spw_clock_ns();

	if (!bmp)
		return;
	/* bgpd tells no End-of-RIB of a session that came up after its walk through the table. */
	for (struct ctl_bmp_neighbour *n = bmp->neighbours; n; n = n->next)
		if (n->up && !n->complete && now - n->up_ns >= SETTLED_NS) {
			n->complete = true;
			note_change(rt, n);
		}
	faults_check(rt, now);
	ctl_bmp_restart_tick(rt, now);
	ctl_bmp_flush(rt);
	if (bmp->fd >= 0 || bmp->missed || !rt->config.bgp.local_as ||
	    now - bmp->lost_ns < MISSED_NS)
		return;
	bmp->missed = true;
	spw_log(SPW_LOG_WARNING, "bmp", "missed",
		"seconds=%u effect=\"withdrawals are heard from the kernel, some 60 ms later\" "
		"mend=\"start bgpd with -M bmp\"",
		(unsigned int)((now - bmp->lost_ns) / SPW_NS_PER_S));
}
