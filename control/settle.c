/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows from an evaluation for the evaluation itself.
 *
 * When groups and leaves are done, each vnet that was touched is looked at: is ExpressRoute or its
 * backup dead as a whole (G.8031: signal fail), does something wait, how much does it flap. A
 * manual switch or a drill that a signal fail outranks ends. Where something that should wait or is
 * set aside carries already, because no backup is up, the wait has lost its sense: it must not
 * take the traffic away again when a tunnel comes. Both change groups only; they are evaluated
 * again. One thread.
 */
#include "control/failover.h"
#include "control/fib.h"

static bool
any_alive(struct ctl_runtime *rt, const struct ctl_level *level)
{
	for (unsigned int h = 0; h < level->n; h++)
		if (rt->path[level->path[h]] && rt->path[level->path[h]]->alive)
			return true;
	return false;
}

static void
note_flaps(struct ctl_vnet_state *v, const struct ctl_path *p, uint64_t now)
{
	uint32_t losses = p ? ctl_damping_losses(&p->damping, now) : 0;

	if (losses <= v->flaps)
		return;
	v->flaps = losses;
	v->hold_s = ctl_damping_wait_s(&p->damping, v->conf.wait_to_restore_s,
				       v->conf.damping_max_s, now);
}

/* Signal fail on either side, and how much flapping there is. */
static void
conditions_look(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	uint64_t now = spw_clock_ns();
	bool working = false, protection = false;

	v->flaps = 0;
	v->hold_s = v->conf.wait_to_restore_s;
	for (const struct ctl_group *g = v->groups; g; g = g->next) {
		for (unsigned int l = 0; g->refs > 0 && l < g->recipe.n_levels; l++) {
			working |= any_alive(rt, &g->recipe.level[l]);
			for (unsigned int h = 0; h < g->recipe.level[l].n; h++)
				note_flaps(v, ctl_path_by_id(rt, g->recipe.level[l].path[h]), now);
		}
		protection |= g->refs > 0 && any_alive(rt, &g->recipe.internet);
	}
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++) {
		const struct ctl_tun *t = v->tun[i];

		if (t && t->path && t->path->alive)
			*(t->encrypts ? &working : &protection) = true;
		if (t && t->encrypts)
			note_flaps(v, t->path, now);
	}
	v->conditions = (struct ctl_conditions){.working_failed = !working,
						.protection_failed = !protection,
						.waiting = v->restore_at_ns != 0};
}

/* Something that should wait or is set aside carries, because nothing else is up. */
static bool
carries_for_want(const struct ctl_vnet_state *v)
{
	for (const struct ctl_group *g = v->groups; g; g = g->next)
		if (g->refs > 0 && g->choice.reason == CTL_REASON_PROTECTION_DOWN)
			return true;
	return false;
}

static bool
settle_one(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	conditions_look(rt, v);
	/* Before the first evaluation and without the data plane nobody knows what stands. */
	if (!rt->in_sync || !rt->kernel_known || !v->evaluated)
		return false;
	if (ctl_preference_ends(v->request, &v->conditions)) {
		ctl_request_end(rt, v);
		return true;
	}
	if (!v->conditions.waiting || !v->conditions.protection_failed || !carries_for_want(v))
		return false;
	ctl_failover_end_wait(v);
	return true;
}

bool
ctl_failover_settle(struct ctl_runtime *rt)
{
	bool any = false;

	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		any |= v->keep && v->dirty && settle_one(rt, v);
	return any;
}
