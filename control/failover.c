/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of each vnet's failover and the record of every switch.
 *
 * The data plane switches by itself (a cleared bit) or because a group or leaf was replaced; this
 * file compares what carries each vnet and each leaf before and after an evaluation, and opens a
 * record when that differs. A record stays open until its cause is known (FRR is asked whether
 * a vanished route means a withdrawal, a lost session or BFD) and the first packet on the new path
 * was reported, at most a second; then it is logged, once. Open records are shown already, with the
 * cause known so far. The last hundred are kept.
 *
 * A vnet as a whole is on ExpressRoute while one of its leaves is; prefixes that move alone have
 * a record of their own, one for all that move alike while it is open. Leaves without a route
 * (covers) count only where the vnet has no other, being a net under what is not announced. All is
 * counted by groups, whose leaves share a fate; only leaves that change their group are looked at
 * singly, when they do (fib.c). One timer serves waits, hold-offs and timed requests. One thread.
 */
#include "control/failover.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/fib.h"
#include "control/frr.h"

#define CLOSE_AFTER_NS SPW_NS_PER_S

struct ctl_failover {
	struct ctl_switch ring[CTL_HISTORY];
	unsigned int newest, n; /* ring[newest] is the newest when n > 0 */
};

unsigned int
ctl_failover_n_switches(const struct ctl_runtime *rt)
{
	return rt->failover->n;
}

const struct ctl_switch *
ctl_failover_switch(const struct ctl_runtime *rt, unsigned int index)
{
	const struct ctl_failover *f = rt->failover;

	return index < f->n ? &f->ring[(f->newest + CTL_HISTORY - index) % CTL_HISTORY] : NULL;
}

const char *
ctl_failover_name(struct ctl_runtime *rt, enum ctl_pref_kind kind, uint32_t path)
{
	const struct ctl_path *p = ctl_path_by_id(rt, path);

	if (kind == CTL_PREF_NONE || !p)
		return "none";
	return ctl_path_name(p);
}

struct ctl_tun *
ctl_failover_standby(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet)
{
	for (unsigned int i = 0; i < vnet->conf.n_tunnels; i++) {
		struct ctl_tun *t = vnet->tun[i];

		if (t && t->path && t->path->alive && !t->encrypts)
			return t;
	}
	return NULL;
}

void
ctl_failover_end_wait(struct ctl_vnet_state *vnet)
{
	vnet->wait_over_ns = spw_clock_ns();
	vnet->recalled_until_ns = 0;
}

void
ctl_failover_note_move(struct ctl_vnet_state *v, unsigned int n, const struct spw_prefix *first,
		       const struct ctl_group *from, const struct ctl_group *to)
{
	struct ctl_moves *m = &v->moves;

	if (m->n == 0)
		*m = (struct ctl_moves){.from_kind = from->was_kind,
					.from_path = from->was_path,
					.to_kind = to->choice.kind,
					.to_path = to->choice.path,
					.first = *first};
	m->n += n;
}

/* The part of an evaluation that one vnet sees. */
struct outcome {
	enum ctl_pref_kind kind;
	uint32_t path;
	enum ctl_pref_reason reason;
	unsigned int leaves; /* of the group that gives the name */
	unsigned int n[CTL_PREF_KINDS];
};

/* ExpressRoute outranks its backup as the name of the whole. */
static unsigned int
rank(enum ctl_pref_kind kind)
{
	static const uint8_t of[CTL_PREF_KINDS] = {[CTL_PREF_LAST_RESORT] = 1,
						   [CTL_PREF_INTERNET] = 2,
						   [CTL_PREF_TUNNEL] = 3,
						   [CTL_PREF_EXPRESSROUTE] = 4};

	return of[kind];
}

static void
outcome_group(struct outcome *o, const struct ctl_group *g)
{
	const struct ctl_pref_choice *c = &g->choice;

	o->n[c->kind] += g->refs;
	if (o->leaves > 0 &&
	    (rank(c->kind) < rank(o->kind) || (c->kind == o->kind && g->refs <= o->leaves)))
		return;
	o->leaves = g->refs;
	o->kind = c->kind;
	o->path = c->path;
	o->reason = c->reason;
}

static const struct spw_prefix *
first_leaf(const struct ctl_vnet_state *v, const struct ctl_group *g)
{
	static const struct spw_prefix none;

	for (const struct ctl_rib_entry *e = v->leaves; e; e = e->vnet_next)
		if (e->leaf == g)
			return &e->prefix;
	return &none;
}

/* Leaves that stay with a group that carries by another path now. */
static void
group_moves(struct ctl_vnet_state *v, struct ctl_group *g)
{
	if (g->refs > g->joined && g->was_kind != CTL_PREF_NONE && g->was_kind != g->choice.kind)
		ctl_failover_note_move(v, g->refs - g->joined, first_leaf(v, g), g, g);
	g->was_kind = g->choice.kind;
	g->was_path = g->choice.path;
	g->joined = 0;
}

static void
outcome_of(struct ctl_vnet_state *v, struct outcome *o)
{
	bool learnt = false;

	memset(o, 0, sizeof(*o));
	o->path = SPW_DP_ADDR_NONE;
	o->reason = v->request == CTL_OPERATOR_LOCKOUT ? CTL_REASON_LOCKOUT : CTL_REASON_DOWN;
	for (const struct ctl_group *g = v->groups; g; g = g->next)
		learnt |= g->refs > 0 && g->recipe.n_levels > 0;
	for (struct ctl_group *g = v->groups; g; g = g->next) {
		if (g->refs > 0 && (g->recipe.n_levels > 0 || !learnt))
			outcome_group(o, g);
		group_moves(v, g);
	}
}

static bool
needs_frr(const char *cause, enum ctl_pref_kind from)
{
	return from == CTL_PREF_EXPRESSROUTE && strcmp(cause, "withdrawn") == 0;
}

/* Why a path is dead, by its own state: faults, link, neighbour. */
static const char *
death_cause(const struct ctl_path *p)
{
	static const enum ctl_path_fault faults[] = {CTL_FAULT_BFD, CTL_FAULT_SESSION,
						     CTL_FAULT_PROBE};

	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (p->faults & faults[i])
			return ctl_path_fault_name(faults[i]);
	return p->iface ? "neighbor-lost" : "tunnel-down";
}

static bool
is_by_hand(const char *cause)
{
	return cause && (strcmp(cause, "operator") == 0 || strcmp(cause, "test") == 0);
}

/* The cause as far as the trigger and the lost path tell. */
static const char *
first_cause(struct ctl_runtime *rt, enum ctl_pref_kind from, enum ctl_pref_kind to,
	    const struct ctl_path *lost)
{
	const char *said = rt->trigger.cause;
	bool dead = lost && !lost->alive;

	if (dead && lost->iface && !ctl_link_is_up(lost->iface))
		return "link-down";
	if (is_by_hand(said))
		return said;
	if (dead)
		return rt->trigger.detect_ms > 0 ? said : death_cause(lost);
	if (to == CTL_PREF_EXPRESSROUTE)
		return "restored";
	if (from == CTL_PREF_NONE)
		return to == CTL_PREF_TUNNEL ? "tunnel-up" : "restored";
	return said ? said : "withdrawn";
}

static struct ctl_switch *
ring_next(struct ctl_failover *f)
{
	f->newest = (f->newest + 1) % CTL_HISTORY;
	if (f->n < CTL_HISTORY)
		f->n++;
	memset(&f->ring[f->newest], 0, sizeof(f->ring[0]));
	return &f->ring[f->newest];
}

/* An open record of prefixes that moved alike, or NULL. */
static struct ctl_switch *
open_alike(struct ctl_failover *f, const struct ctl_switch *like)
{
	for (unsigned int i = 0; i < f->n; i++) {
		struct ctl_switch *s = &f->ring[(f->newest + CTL_HISTORY - i) % CTL_HISTORY];

		if (s->open && s->prefix[0] && strcmp(s->vnet, like->vnet) == 0 &&
		    strcmp(s->from, like->from) == 0 && strcmp(s->to, like->to) == 0)
			return s;
	}
	return NULL;
}

static void
switch_fill(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_moves *m,
	    struct ctl_switch *s)
{
	const struct ctl_path *lost = ctl_path_by_id(rt, m->from_path);
	const char *cause = first_cause(rt, m->from_kind, m->to_kind, lost);

	*s = (struct ctl_switch){.wall_ns = spw_clock_wall_ns(),
				 .opened_ns = spw_clock_ns(),
				 .detect_ms = -1,
				 .prefixes = m->n,
				 .restore_hold_s = v->hold_s,
				 .new_path = m->to_path,
				 .open = true,
				 .cause_known = !needs_frr(cause, m->from_kind)};
	snprintf(s->vnet, sizeof(s->vnet), "%s", v->conf.name);
	snprintf(s->from, sizeof(s->from), "%s", ctl_failover_name(rt, m->from_kind, m->from_path));
	snprintf(s->to, sizeof(s->to), "%s", ctl_failover_name(rt, m->to_kind, m->to_path));
	snprintf(s->cause, sizeof(s->cause), "%s", cause);
	s->done_ns = s->opened_ns;
	s->event_ns = rt->trigger.event_ns ? rt->trigger.event_ns : s->opened_ns;
	s->switch_us = (double)(s->done_ns - s->event_ns) / SPW_NS_PER_US;
	if (rt->trigger.cause && rt->trigger.detect_ms > 0 && strcmp(cause, rt->trigger.cause) == 0)
		s->detect_ms = rt->trigger.detect_ms;
	if (lost)
		s->next_hop = lost->next_hop;
}

static void
open_switch(struct ctl_runtime *rt, struct ctl_vnet_state *v, const struct ctl_moves *m, bool alone)
{
	struct ctl_switch s, *alike;

	switch_fill(rt, v, m, &s);
	if (alone)
		spw_prefix_format(&m->first, s.prefix);
	alike = alone ? open_alike(rt->failover, &s) : NULL;
	if (alike) {
		alike->prefixes += m->n;
		return;
	}
	*ring_next(rt->failover) = s;
	if (!s.cause_known)
		ctl_frr_ask(rt, &s.next_hop);
}

static void
close_switch(struct ctl_switch *s)
{
	char detect[32] = "";

	s->open = false;
	if (s->detect_ms >= 0)
		snprintf(detect, sizeof(detect), " detect_ms=%.1f", s->detect_ms);
	spw_log(SPW_LOG_WARNING, "failover", "switch",
		"vnet=%s%s%s old=%s new=%s cause=%s%s switch_us=%.0f first_packet=%s "
		"prefixes=%u",
		s->vnet, s->prefix[0] ? " prefix=" : "", s->prefix, s->from, s->to, s->cause,
		detect, s->switch_us, s->first_packet ? "seen" : "none", s->prefixes);
}

static void
close_ripe(struct ctl_failover *f, uint64_t now)
{
	for (unsigned int i = f->n; i-- > 0;) {
		struct ctl_switch *s = &f->ring[(f->newest + CTL_HISTORY - i) % CTL_HISTORY];

		if (s->open &&
		    ((s->cause_known && s->first_packet) || now - s->opened_ns >= CLOSE_AFTER_NS))
			close_switch(s);
	}
}

static void
earlier(uint64_t *at, uint64_t then)
{
	if (then && then < *at)
		*at = then;
}

/* Arm the timer for the nearest moment at which something changes by itself. */
static void
arm(struct ctl_runtime *rt, uint64_t now)
{
	uint64_t at = ctl_request_next(rt);

	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		earlier(&at, v->restore_at_ns);
		earlier(&at, v->hold_at_ns);
	}
	if (at == UINT64_MAX) {
		event_del(rt->timer);
		return;
	}
	uint64_t wait_us = at > now ? (at - now) / SPW_NS_PER_US + 1000 : 1000;
	struct timeval tv = {.tv_sec = (time_t)(wait_us / 1000000),
			     .tv_usec = (suseconds_t)(wait_us % 1000000)};

	event_add(rt->timer, &tv);
}

static bool
has_switched(const struct ctl_vnet_state *v, const struct outcome *o)
{
	return v->kind != o->kind || (o->kind == CTL_PREF_TUNNEL && v->path != o->path);
}

static void
note_switch(struct ctl_runtime *rt, struct ctl_vnet_state *v, const struct outcome *o)
{
	struct ctl_moves whole = {.n = v->moves.n,
				  .from_kind = v->kind,
				  .from_path = v->path,
				  .to_kind = o->kind,
				  .to_path = o->path};

	if (!v->evaluated)
		spw_log(SPW_LOG_INFO, "failover", "start", "vnet=%s active=%s", v->conf.name,
			ctl_failover_name(rt, o->kind, o->path));
	else if (has_switched(v, o))
		open_switch(rt, v, &whole, false);
	else if (v->moves.n > 0)
		open_switch(rt, v, &v->moves, true);
	if (!v->evaluated || has_switched(v, o))
		v->since_ns = spw_clock_ns();
}

static void
evaluate_one(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	struct outcome o;

	outcome_of(v, &o);
	note_switch(rt, v, &o);
	v->moves = (struct ctl_moves){0};
	v->evaluated = true;
	v->kind = o.kind;
	v->path = o.path;
	v->reason = o.reason;
	v->on_expressroute = o.n[CTL_PREF_EXPRESSROUTE];
	v->on_tunnel = o.n[CTL_PREF_TUNNEL];
	v->on_internet = o.n[CTL_PREF_INTERNET];
	v->on_last_resort = o.n[CTL_PREF_LAST_RESORT];
	v->on_nothing = o.n[CTL_PREF_NONE];
	ctl_failover_write_wait(rt, v);
}

void
ctl_failover_evaluate(struct ctl_runtime *rt)
{
	if (!rt->kernel_known)
		return;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->keep && (v->dirty || !v->evaluated))
			evaluate_one(rt, v);
	close_ripe(rt->failover, spw_clock_ns());
	arm(rt, spw_clock_ns());
}

void
ctl_failover_switched(struct ctl_runtime *rt, const struct spw_dp_path_event *ev)
{
	struct ctl_failover *f = rt->failover;
	const struct ctl_group *g = ctl_group_by_id(rt, ev->group);

	for (unsigned int i = 0; i < f->n; i++) {
		struct ctl_switch *s = &f->ring[(f->newest + CTL_HISTORY - i) % CTL_HISTORY];
		bool ours =
			s->new_path == ev->path ||
			(g && g->recipe.vnet && strcmp(g->recipe.vnet->conf.name, s->vnet) == 0);

		if (!s->open || s->first_packet || !ours || ev->at_ns < s->event_ns)
			continue;
		s->first_packet = true;
		s->switch_us = (double)(ev->at_ns - s->event_ns) / SPW_NS_PER_US;
	}
	close_ripe(f, spw_clock_ns());
}

void
ctl_failover_explain(struct ctl_runtime *rt, const struct spw_addr *next_hop, const char *cause,
		     double detect_ms)
{
	struct ctl_failover *f = rt->failover;

	for (unsigned int i = 0; i < f->n; i++) {
		struct ctl_switch *s = &f->ring[(f->newest + CTL_HISTORY - i) % CTL_HISTORY];

		if (!s->open || s->cause_known || !spw_addr_equal(&s->next_hop, next_hop))
			continue;
		snprintf(s->cause, sizeof(s->cause), "%s", cause);
		s->detect_ms = detect_ms;
		s->cause_known = true;
	}
	close_ripe(f, spw_clock_ns());
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	uint64_t now = spw_clock_ns();

	rt->trigger.event_ns = now;
	ctl_request_expire(rt, now);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		ctl_fib_dirty_vnet(rt, v);
	ctl_fib_holds_end(rt, now);
	ctl_fib_update(rt);
}

void
ctl_failover_tick(struct ctl_runtime *rt)
{
	close_ripe(rt->failover, spw_clock_ns());
	ctl_drill_tick(rt);
}

int
ctl_failover_new(struct ctl_runtime *rt)
{
	rt->failover = calloc(1, sizeof(*rt->failover));
	rt->timer = evtimer_new(rt->base, on_timer, rt);
	return rt->failover && rt->timer ? 0 : -ENOMEM;
}

void
ctl_failover_free(struct ctl_runtime *rt)
{
	if (rt->timer)
		event_free(rt->timer);
	ctl_drill_free(rt);
	free(rt->failover);
	rt->failover = NULL;
}
