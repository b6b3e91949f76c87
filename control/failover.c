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
 * A vnet as a whole is on ExpressRoute while one of its leaves is; a prefix that moves alone has
 * its own record. Its covering leaf counts only where the vnet has no other leaf, being a net under
 * what is not announced. One timer serves waits, hold-offs and timed requests. One thread.
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
		struct ctl_tun *t = ctl_tun_by_name(rt, vnet->conf.tunnel[i].name);

		if (t && t->path && t->path->alive)
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

/* A tunnel went or came under a vnet that had to take what is left. */
bool
ctl_failover_end_waits(struct ctl_runtime *rt)
{
	bool any = false;

	/* Without the data plane nobody knows which tunnels stand. */
	if (!rt->in_sync)
		return false;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		bool carries = false;

		if (v->request == CTL_OPERATOR_TUNNEL || v->request == CTL_OPERATOR_TEST)
			continue;
		for (const struct ctl_rib_entry *e = v->leaves; e; e = e->vnet_next)
			carries |= e->leaf && e->leaf->choice.reason == CTL_REASON_PROTECTION_DOWN;
		if (!carries)
			continue;
		ctl_failover_end_wait(v);
		ctl_fib_dirty_vnet(rt, v);
		any = true;
	}
	return any;
}

/* The part of an evaluation that one vnet sees. */
struct outcome {
	enum ctl_pref_kind kind;
	uint32_t path;
	enum ctl_pref_reason reason;
	unsigned int n[CTL_PREF_TUNNEL + 1]; /* leaves by kind */
	unsigned int leaves, moved;
	struct spw_prefix first;
	enum ctl_pref_kind from_kind, to_kind;
	uint32_t from_path, to_path;
};

static void
note_move(struct outcome *o, const struct ctl_rib_entry *e, enum ctl_pref_kind kind, uint32_t path)
{
	if (o->moved++ > 0)
		return;
	o->first = e->prefix;
	o->from_kind = e->kind;
	o->from_path = e->path;
	o->to_kind = kind;
	o->to_path = path;
}

static unsigned int
rank(enum ctl_pref_kind kind)
{
	return kind == CTL_PREF_EXPRESSROUTE ? 2 : kind == CTL_PREF_TUNNEL ? 1 : 0;
}

/* ExpressRoute outranks a tunnel as the name of the whole. */
static void
outcome_leaf(struct outcome *o, struct ctl_rib_entry *e, bool only)
{
	const struct ctl_pref_choice *c = &e->leaf->choice;

	if (only || e->leaf->recipe.n_levels > 0) {
		o->n[c->kind]++;
		if (o->leaves++ == 0 || rank(c->kind) > rank(o->kind)) {
			o->kind = c->kind;
			o->path = c->path;
			o->reason = c->reason;
		}
	}
	if (e->kind != CTL_PREF_NONE && e->kind != c->kind)
		note_move(o, e, c->kind, c->path);
	e->kind = c->kind;
	e->path = c->path;
}

/* Leaves that went in this evaluation: what covers them now. */
static void
outcome_gone(struct ctl_runtime *rt, const struct ctl_vnet_state *v, struct outcome *o)
{
	for (struct ctl_rib_entry *e = rt->changed; e; e = e->changed_next) {
		const struct ctl_rib_entry *c = e;

		if (e->has_leaf || e->kind == CTL_PREF_NONE || ctl_vnet_of(rt, &e->prefix) != v)
			continue;
		do {
			c = ctl_rib_covering(&rt->rib, &e->prefix.addr, c->prefix.len);
		} while (c && !(c->has_leaf && c->leaf));
		if (c && c->leaf->choice.kind != e->kind)
			note_move(o, e, c->leaf->choice.kind, c->leaf->choice.path);
		e->kind = CTL_PREF_NONE;
	}
}

static void
outcome_of(struct ctl_runtime *rt, struct ctl_vnet_state *v, struct outcome *o)
{
	unsigned int with_levels = 0;

	memset(o, 0, sizeof(*o));
	o->path = SPW_DP_ADDR_NONE;
	o->reason = v->request == CTL_OPERATOR_LOCKOUT ? CTL_REASON_LOCKOUT : CTL_REASON_DOWN;
	for (const struct ctl_rib_entry *e = v->leaves; e; e = e->vnet_next)
		with_levels += e->leaf && e->leaf->recipe.n_levels > 0;
	for (struct ctl_rib_entry *e = v->leaves; e; e = e->vnet_next)
		if (e->leaf)
			outcome_leaf(o, e, with_levels == 0);
	outcome_gone(rt, v, o);
}

static bool
needs_frr(const char *cause, enum ctl_pref_kind from)
{
	return from == CTL_PREF_EXPRESSROUTE && strcmp(cause, "withdrawn") == 0;
}

/* The cause as far as the trigger tells. */
static const char *
first_cause(struct ctl_runtime *rt, enum ctl_pref_kind from, enum ctl_pref_kind to,
	    const struct ctl_path *lost)
{
	const char *said = rt->trigger.cause;

	if (from == CTL_PREF_EXPRESSROUTE && lost && lost->iface && !ctl_link_is_up(lost->iface))
		return "link-down";
	if (said && (strcmp(said, "operator") == 0 || strcmp(said, "test") == 0))
		return said;
	if (from == CTL_PREF_TUNNEL && lost && !lost->alive)
		return "tunnel-down";
	if (to == CTL_PREF_EXPRESSROUTE)
		return "restored";
	if (from == CTL_PREF_NONE)
		return "tunnel-up";
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

static void
open_switch(struct ctl_runtime *rt, struct ctl_vnet_state *v, const struct outcome *o, bool alone)
{
	enum ctl_pref_kind from = alone ? o->from_kind : v->kind, to = alone ? o->to_kind : o->kind;
	uint32_t from_path = alone ? o->from_path : v->path, to_path = alone ? o->to_path : o->path;
	struct ctl_switch *s = ring_next(rt->failover);
	const struct ctl_path *lost = ctl_path_by_id(rt, from_path);
	const char *cause = first_cause(rt, from, to, lost);

	snprintf(s->vnet, sizeof(s->vnet), "%s", v->conf.name);
	if (alone)
		spw_prefix_format(&o->first, s->prefix);
	snprintf(s->from, sizeof(s->from), "%s", ctl_failover_name(rt, from, from_path));
	snprintf(s->to, sizeof(s->to), "%s", ctl_failover_name(rt, to, to_path));
	snprintf(s->cause, sizeof(s->cause), "%s", cause);
	s->wall_ns = spw_clock_wall_ns();
	s->done_ns = s->opened_ns = spw_clock_ns();
	s->event_ns = rt->trigger.event_ns ? rt->trigger.event_ns : s->opened_ns;
	s->detect_ms = -1;
	s->switch_us = (double)(s->done_ns - s->event_ns) / SPW_NS_PER_US;
	s->prefixes = o->moved;
	s->restore_hold_s = v->conf.wait_to_restore_s;
	s->new_path = to_path;
	s->open = true;
	s->cause_known = !needs_frr(cause, from);
	if (lost)
		s->next_hop = lost->next_hop;
	if (!s->cause_known)
		ctl_frr_ask(rt, &s->next_hop);
}

static void
close_switch(struct ctl_switch *s)
{
	char detect[32] = "unknown";

	s->open = false;
	if (s->detect_ms >= 0)
		snprintf(detect, sizeof(detect), "%.1f", s->detect_ms);
	spw_log(SPW_LOG_WARNING, "failover", "switch",
		"vnet=%s%s%s old=%s new=%s cause=%s detect_ms=%s switch_us=%.0f first_packet=%s "
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

/* Arm the timer for the nearest moment at which something changes by itself. */
static void
arm(struct ctl_runtime *rt, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (v->restore_at_ns && v->restore_at_ns < at)
			at = v->restore_at_ns;
		if (v->hold_at_ns && v->hold_at_ns < at)
			at = v->hold_at_ns;
		if (v->operator_until_ns && v->operator_until_ns < at)
			at = v->operator_until_ns;
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
evaluate_one(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	struct outcome o;

	outcome_of(rt, v, &o);
	if (!v->evaluated) {
		spw_log(SPW_LOG_INFO, "failover", "start", "vnet=%s active=%s", v->conf.name,
			ctl_failover_name(rt, o.kind, o.path));
		v->since_ns = spw_clock_ns();
	} else if (has_switched(v, &o)) {
		open_switch(rt, v, &o, false);
		v->since_ns = spw_clock_ns();
	} else if (o.moved > 0) {
		open_switch(rt, v, &o, true);
	}
	ctl_failover_write_wait(rt, v);
	v->evaluated = true;
	v->kind = o.kind;
	v->path = o.path;
	v->reason = o.reason;
	v->on_expressroute = o.n[CTL_PREF_EXPRESSROUTE];
	v->on_tunnel = o.n[CTL_PREF_TUNNEL];
	v->on_nothing = o.n[CTL_PREF_NONE];
}

void
ctl_failover_evaluate(struct ctl_runtime *rt)
{
	if (!rt->kernel_known)
		return;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->keep && (v->dirty || !v->evaluated || rt->changed))
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
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (v->operator_until_ns && v->operator_until_ns <= now)
			ctl_failover_request(rt, v, CTL_OPERATOR_NONE, 0, "operator");
		if (v->hold_at_ns && v->hold_at_ns <= now)
			v->hold_at_ns = 0;
		ctl_fib_dirty_vnet(rt, v);
	}
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
