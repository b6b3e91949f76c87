/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route preference, the pure rule: candidates in, tiers of a path group and the carrying path out.
 *
 * The data plane walks the tiers and takes the first live path, so the order of tiers is the whole
 * policy, and a dead path needs no new decision: its bit is clear. What changes the order is
 * eligibility, which only this side knows: wait-to-restore and an operator's request. Next hops
 * that may not carry yet stand behind the tunnels instead of being left out; G.8031 ranks a failed
 * protection above wait-to-restore and above a forced switch, and this order gives that without a
 * message. They have the role PLAIN there, because the data plane counts a transit packet in a
 * tunnel beside a live EXPRESSROUTE path as a violation of the rule.
 *
 * No state, no clock, no memory; compared with a naive model on random input by its test.
 */
#include "control/preference.h"

#include <string.h>

static const char *const operator_names[] = {
	[CTL_OPERATOR_NONE] = "none",
	[CTL_OPERATOR_TUNNEL] = "tunnel",
	[CTL_OPERATOR_EXPRESSROUTE] = "expressroute",
	[CTL_OPERATOR_LOCKOUT] = "lockout",
	[CTL_OPERATOR_TEST] = "test",
	[CTL_OPERATOR_MANUAL] = "manual",
};

const char *
ctl_operator_name(enum ctl_operator op)
{
	return operator_names[op];
}

bool
ctl_operator_parse(enum ctl_operator *op, const char *name)
{
	for (unsigned int i = 0; i < sizeof(operator_names) / sizeof(operator_names[0]); i++)
		if (strcmp(operator_names[i], name) == 0) {
			*op = (enum ctl_operator)i;
			return true;
		}
	return false;
}

const char *
ctl_pref_reason_text(enum ctl_pref_reason reason)
{
	static const char *const text[] = {
		[CTL_REASON_PRIMARY] = NULL,
		[CTL_REASON_NO_NEXT_HOP] = "no ExpressRoute next hop stands",
		[CTL_REASON_WAIT_TO_RESTORE] = "ExpressRoute is back, wait-to-restore runs",
		[CTL_REASON_FORCED] = "an operator has set ExpressRoute aside",
		[CTL_REASON_TEST] = "the drill has set ExpressRoute aside",
		[CTL_REASON_PROTECTION_DOWN] = "ExpressRoute carries because no tunnel is up",
		[CTL_REASON_LOCKOUT] =
			"no ExpressRoute next hop stands and the tunnel is locked out",
		[CTL_REASON_DOWN] = "no ExpressRoute next hop stands and no tunnel is up",
		[CTL_REASON_MANUAL] = "an operator has switched by hand",
		[CTL_REASON_LAST_RESORT] =
			"neither ExpressRoute nor its backup is up: the last resort carries",
	};

	return text[reason];
}

bool
ctl_preference_waits(uint64_t restored_ns, uint32_t wait_s, uint64_t over_ns, uint64_t now_ns)
{
	return restored_ns != 0 && restored_ns > over_ns &&
	       now_ns < restored_ns + (uint64_t)wait_s * SPW_NS_PER_S;
}

enum ctl_rank
ctl_operator_rank(enum ctl_operator op)
{
	static const enum ctl_rank rank[] = {
		[CTL_OPERATOR_NONE] = CTL_RANK_NONE,
		[CTL_OPERATOR_TUNNEL] = CTL_RANK_FORCED,
		[CTL_OPERATOR_EXPRESSROUTE] = CTL_RANK_MANUAL,
		[CTL_OPERATOR_LOCKOUT] = CTL_RANK_LOCKOUT,
		[CTL_OPERATOR_TEST] = CTL_RANK_MANUAL,
		[CTL_OPERATOR_MANUAL] = CTL_RANK_MANUAL,
	};

	return rank[op];
}

static enum ctl_rank
condition_rank(const struct ctl_conditions *c)
{
	if (c->protection_failed)
		return CTL_RANK_PROTECTION_FAILED;
	if (c->working_failed)
		return CTL_RANK_WORKING_FAILED;
	return c->waiting ? CTL_RANK_WAIT_TO_RESTORE : CTL_RANK_NONE;
}

enum ctl_rank
ctl_preference_rank(enum ctl_operator at_hand, const struct ctl_conditions *c)
{
	enum ctl_rank request = ctl_operator_rank(at_hand), condition = condition_rank(c);

	return request > condition ? request : condition;
}

bool
ctl_preference_takes(enum ctl_operator at_hand, const struct ctl_conditions *c, enum ctl_rank asked)
{
	return asked == CTL_RANK_NONE || asked >= ctl_preference_rank(at_hand, c);
}

bool
ctl_preference_ends(enum ctl_operator at_hand, const struct ctl_conditions *c)
{
	return ctl_operator_rank(at_hand) == CTL_RANK_MANUAL && condition_rank(c) > CTL_RANK_MANUAL;
}

const char *
ctl_rank_text(enum ctl_rank rank)
{
	static const char *const text[] = {
		[CTL_RANK_NONE] = "there is no request",
		[CTL_RANK_EXERCISE] = "an exercise runs",
		[CTL_RANK_WAIT_TO_RESTORE] = "wait-to-restore runs",
		[CTL_RANK_MANUAL] = "a manual switch or a drill is in force",
		[CTL_RANK_WORKING_FAILED] = "no ExpressRoute next hop is alive",
		[CTL_RANK_FORCED] = "a forced switch is in force",
		[CTL_RANK_PROTECTION_FAILED] = "no backup is ready",
		[CTL_RANK_LOCKOUT] = "a lockout is in force",
	};

	return text[rank];
}

static bool
sets_aside(enum ctl_operator op)
{
	return op == CTL_OPERATOR_TUNNEL || op == CTL_OPERATOR_TEST || op == CTL_OPERATOR_MANUAL;
}

static bool
ends_waiting(enum ctl_operator op)
{
	return op == CTL_OPERATOR_EXPRESSROUTE || op == CTL_OPERATOR_LOCKOUT;
}

bool
ctl_preference_stands(enum ctl_operator op, const struct ctl_pref_hop *hop)
{
	if (sets_aside(op) || hop->operator_out)
		return false;
	return !hop->waiting || ends_waiting(op);
}

static bool
tier_has(const struct spw_dp_tier *tier, uint32_t path)
{
	for (unsigned int i = 0; i < tier->n_paths; i++)
		if (tier->path[i] == path)
			return true;
	return false;
}

static bool
any_tier_has(const struct ctl_pref_choice *c, uint32_t path)
{
	for (unsigned int i = 0; i < c->n_tiers; i++)
		if (tier_has(&c->tier[i], path))
			return true;
	return false;
}

static void
tier_put(struct spw_dp_tier *tier, uint32_t path, uint32_t weight)
{
	if (tier->n_paths == SPW_DP_TIER_PATHS)
		return;
	tier->path[tier->n_paths] = path;
	tier->weight[tier->n_paths++] = weight;
}

/* Close the tier under construction when it holds something. */
static void
tier_close(struct ctl_pref_choice *out, const struct spw_dp_tier *tier)
{
	if (tier->n_paths > 0)
		out->tier[out->n_tiers++] = *tier;
}

/* What stands for the tunnels that encrypt is asked of them as of clear next hops. */
static struct ctl_pref_hop
tunnel_hop(const struct ctl_pref_tunnel *t)
{
	return (struct ctl_pref_hop){.path = t->path,
				     .weight = t->weight,
				     .alive = t->up,
				     .waiting = t->waiting,
				     .operator_out = t->operator_out};
}

/* The working entity as levels: the clear next hops, or the tunnels in their place. */
static unsigned int
working_levels(const struct ctl_pref_input *in, struct ctl_pref_level out[CTL_PREF_LEVELS])
{
	if (!in->encrypted) {
		memcpy(out, in->level, sizeof(in->level));
		return in->n_levels;
	}
	out[0].n = 0;
	for (unsigned int i = 0; i < in->n_tunnels; i++)
		if (in->tunnel[i].encrypts)
			out[0].hop[out[0].n++] = tunnel_hop(&in->tunnel[i]);
	return 1;
}

struct working {
	unsigned int n;
	struct ctl_pref_level level[CTL_PREF_LEVELS];
};

static void
standing_tiers(const struct working *w, enum ctl_operator op, struct ctl_pref_choice *out)
{
	struct spw_dp_tier tier = {.role = SPW_TIER_EXPRESSROUTE};

	for (unsigned int l = 0; l < w->n; l++) {
		for (unsigned int h = 0; h < w->level[l].n; h++) {
			const struct ctl_pref_hop *hop = &w->level[l].hop[h];

			if (ctl_preference_stands(op, hop) && !any_tier_has(out, hop->path) &&
			    !tier_has(&tier, hop->path))
				tier_put(&tier, hop->path, hop->weight);
		}
		/* The second tier takes all further levels: the others are kept for the rest. */
		if (out->n_tiers == 0 && tier.n_paths > 0) {
			tier_close(out, &tier);
			tier.n_paths = 0;
		}
	}
	tier_close(out, &tier);
}

static void
hops_tier(const struct ctl_pref_level *hops, enum spw_dp_tier_role role,
	  struct ctl_pref_choice *out)
{
	struct spw_dp_tier tier = {.role = role};

	for (unsigned int h = 0; h < hops->n; h++)
		if (!any_tier_has(out, hops->hop[h].path) && !tier_has(&tier, hops->hop[h].path))
			tier_put(&tier, hops->hop[h].path, hops->hop[h].weight);
	tier_close(out, &tier);
}

static void
backup_tier(const struct ctl_pref_input *in, struct ctl_pref_choice *out)
{
	struct spw_dp_tier tier = {.role = SPW_TIER_TUNNEL};

	if (in->request == CTL_OPERATOR_LOCKOUT)
		return;
	if (in->peering == CTL_PEERING_MICROSOFT) {
		hops_tier(&in->internet, SPW_TIER_INTERNET, out);
		return;
	}
	for (unsigned int i = 0; i < in->n_tunnels; i++)
		if (!(in->encrypted && in->tunnel[i].encrypts))
			tier_put(&tier, in->tunnel[i].path, in->tunnel[i].weight);
	tier_close(out, &tier);
}

static void
rest_tier(const struct working *w, struct ctl_pref_choice *out)
{
	struct spw_dp_tier tier = {.role = SPW_TIER_PLAIN};

	for (unsigned int l = 0; l < w->n; l++)
		for (unsigned int h = 0; h < w->level[l].n; h++) {
			const struct ctl_pref_hop *hop = &w->level[l].hop[h];

			if (!any_tier_has(out, hop->path) && !tier_has(&tier, hop->path))
				tier_put(&tier, hop->path, hop->weight);
		}
	tier_close(out, &tier);
}

static bool
level_is_live(const struct ctl_pref_level *level, uint32_t path)
{
	for (unsigned int h = 0; h < level->n; h++)
		if (level->hop[h].path == path)
			return level->hop[h].alive;
	return false;
}

static bool
path_is_live(const struct ctl_pref_input *in, uint32_t path)
{
	bool live = level_is_live(&in->internet, path) || level_is_live(&in->last, path);

	for (unsigned int i = 0; i < in->n_tunnels; i++)
		live |= in->tunnel[i].path == path && in->tunnel[i].up;
	for (unsigned int l = 0; l < in->n_levels; l++)
		live |= level_is_live(&in->level[l], path);
	return live;
}

static enum ctl_pref_kind
kind_of_tier(const struct spw_dp_tier *tier, bool last)
{
	switch ((enum spw_dp_tier_role)tier->role) {
	case SPW_TIER_TUNNEL: return CTL_PREF_TUNNEL;
	case SPW_TIER_INTERNET: return CTL_PREF_INTERNET;
	case SPW_TIER_PLAIN:
	case SPW_TIER_EXPRESSROUTE: break;
	}
	return last ? CTL_PREF_LAST_RESORT : CTL_PREF_EXPRESSROUTE;
}

/* The first live path in the order of tiers, as a worker sees it; its tier, or n_tiers. */
static unsigned int
find_active(const struct ctl_pref_input *in, unsigned int last, struct ctl_pref_choice *out)
{
	for (unsigned int t = 0; t < out->n_tiers; t++)
		for (unsigned int i = 0; i < out->tier[t].n_paths; i++)
			if (path_is_live(in, out->tier[t].path[i])) {
				out->kind = kind_of_tier(&out->tier[t], t >= last);
				out->path = out->tier[t].path[i];
				return t;
			}
	out->kind = CTL_PREF_NONE;
	out->path = SPW_DP_ADDR_NONE;
	return out->n_tiers;
}

/* Is a live next hop there that waits (or, aside: that an operator has set aside by itself)? */
static bool
live_hop_is(const struct working *w, bool aside)
{
	for (unsigned int l = 0; l < w->n; l++)
		for (unsigned int h = 0; h < w->level[l].n; h++) {
			const struct ctl_pref_hop *hop = &w->level[l].hop[h];

			if (hop->alive && (aside ? hop->operator_out : hop->waiting))
				return true;
		}
	return false;
}

/* Why the backup carries. */
static enum ctl_pref_reason
backup_reason(const struct ctl_pref_input *in, const struct working *w)
{
	if (in->request == CTL_OPERATOR_TEST)
		return CTL_REASON_TEST;
	if (in->request == CTL_OPERATOR_TUNNEL)
		return CTL_REASON_FORCED;
	if (in->request == CTL_OPERATOR_MANUAL)
		return CTL_REASON_MANUAL;
	if (live_hop_is(w, false))
		return CTL_REASON_WAIT_TO_RESTORE;
	return live_hop_is(w, true) ? CTL_REASON_FORCED : CTL_REASON_NO_NEXT_HOP;
}

static enum ctl_pref_reason
reason_of(const struct ctl_pref_input *in, const struct working *w,
	  const struct ctl_pref_choice *out, unsigned int tier)
{
	switch (out->kind) {
	case CTL_PREF_NONE:
	case CTL_PREF_KINDS:
		return in->request == CTL_OPERATOR_LOCKOUT ? CTL_REASON_LOCKOUT : CTL_REASON_DOWN;
	case CTL_PREF_LAST_RESORT: return CTL_REASON_LAST_RESORT;
	case CTL_PREF_EXPRESSROUTE:
		return out->tier[tier].role == SPW_TIER_EXPRESSROUTE ? CTL_REASON_PRIMARY
								     : CTL_REASON_PROTECTION_DOWN;
	case CTL_PREF_TUNNEL:
	case CTL_PREF_INTERNET: break;
	}
	return backup_reason(in, w);
}

void
ctl_preference_choose(const struct ctl_pref_input *in, struct ctl_pref_choice *out)
{
	struct working w;
	unsigned int last;

	memset(out, 0, sizeof(*out));
	w.n = working_levels(in, w.level);
	standing_tiers(&w, in->request, out);
	backup_tier(in, out);
	rest_tier(&w, out);
	last = out->n_tiers;
	hops_tier(&in->last, SPW_TIER_PLAIN, out);
	out->reason = reason_of(in, &w, out, find_active(in, last, out));
}
