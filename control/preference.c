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
	};

	return text[reason];
}

bool
ctl_preference_waits(uint64_t restored_ns, uint32_t wait_s, uint64_t over_ns, uint64_t now_ns)
{
	return restored_ns != 0 && restored_ns > over_ns &&
	       now_ns < restored_ns + (uint64_t)wait_s * SPW_NS_PER_S;
}

static bool
sets_aside(enum ctl_operator op)
{
	return op == CTL_OPERATOR_TUNNEL || op == CTL_OPERATOR_TEST;
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

static void
standing_tiers(const struct ctl_pref_input *in, struct ctl_pref_choice *out)
{
	struct spw_dp_tier tier = {.role = SPW_TIER_EXPRESSROUTE};

	for (unsigned int l = 0; l < in->n_levels; l++) {
		for (unsigned int h = 0; h < in->level[l].n; h++) {
			const struct ctl_pref_hop *hop = &in->level[l].hop[h];

			if (ctl_preference_stands(in->request, hop) &&
			    !any_tier_has(out, hop->path) && !tier_has(&tier, hop->path))
				tier_put(&tier, hop->path, hop->weight);
		}
		/* The second tier takes all further levels: two are kept for tunnels and the rest.
		 */
		if (out->n_tiers == 0 && tier.n_paths > 0) {
			tier_close(out, &tier);
			tier.n_paths = 0;
		}
	}
	tier_close(out, &tier);
}

static void
tunnel_tier(const struct ctl_pref_input *in, struct ctl_pref_choice *out)
{
	struct spw_dp_tier tier = {.role = SPW_TIER_TUNNEL};

	if (in->request == CTL_OPERATOR_LOCKOUT)
		return;
	for (unsigned int i = 0; i < in->n_tunnels; i++)
		tier_put(&tier, in->tunnel[i].path, 1);
	tier_close(out, &tier);
}

static void
rest_tier(const struct ctl_pref_input *in, struct ctl_pref_choice *out)
{
	struct spw_dp_tier tier = {.role = SPW_TIER_PLAIN};

	for (unsigned int l = 0; l < in->n_levels; l++)
		for (unsigned int h = 0; h < in->level[l].n; h++) {
			const struct ctl_pref_hop *hop = &in->level[l].hop[h];

			if (!any_tier_has(out, hop->path) && !tier_has(&tier, hop->path))
				tier_put(&tier, hop->path, hop->weight);
		}
	tier_close(out, &tier);
}

static bool
path_is_live(const struct ctl_pref_input *in, uint32_t path, enum ctl_pref_kind *kind)
{
	for (unsigned int i = 0; i < in->n_tunnels; i++)
		if (in->tunnel[i].path == path) {
			*kind = CTL_PREF_TUNNEL;
			return in->tunnel[i].up;
		}
	for (unsigned int l = 0; l < in->n_levels; l++)
		for (unsigned int h = 0; h < in->level[l].n; h++)
			if (in->level[l].hop[h].path == path) {
				*kind = CTL_PREF_EXPRESSROUTE;
				return in->level[l].hop[h].alive;
			}
	return false;
}

/* The first live path in the order of tiers, as a worker sees it; its tier, or n_tiers. */
static unsigned int
find_active(const struct ctl_pref_input *in, struct ctl_pref_choice *out)
{
	for (unsigned int t = 0; t < out->n_tiers; t++)
		for (unsigned int i = 0; i < out->tier[t].n_paths; i++)
			if (path_is_live(in, out->tier[t].path[i], &out->kind)) {
				out->path = out->tier[t].path[i];
				return t;
			}
	out->kind = CTL_PREF_NONE;
	out->path = SPW_DP_ADDR_NONE;
	return out->n_tiers;
}

static bool
live_hop_waits(const struct ctl_pref_input *in)
{
	for (unsigned int l = 0; l < in->n_levels; l++)
		for (unsigned int h = 0; h < in->level[l].n; h++)
			if (in->level[l].hop[h].alive && in->level[l].hop[h].waiting)
				return true;
	return false;
}

static enum ctl_pref_reason
reason_of(const struct ctl_pref_input *in, const struct ctl_pref_choice *out, unsigned int tier)
{
	if (out->kind == CTL_PREF_NONE)
		return in->request == CTL_OPERATOR_LOCKOUT ? CTL_REASON_LOCKOUT : CTL_REASON_DOWN;
	if (out->kind == CTL_PREF_EXPRESSROUTE)
		return out->tier[tier].role == SPW_TIER_EXPRESSROUTE ? CTL_REASON_PRIMARY
								     : CTL_REASON_PROTECTION_DOWN;
	if (in->request == CTL_OPERATOR_TEST)
		return CTL_REASON_TEST;
	if (in->request == CTL_OPERATOR_TUNNEL)
		return CTL_REASON_FORCED;
	return live_hop_waits(in) ? CTL_REASON_WAIT_TO_RESTORE : CTL_REASON_NO_NEXT_HOP;
}

void
ctl_preference_choose(const struct ctl_pref_input *in, struct ctl_pref_choice *out)
{
	memset(out, 0, sizeof(*out));
	standing_tiers(in, out);
	tunnel_tier(in, out);
	rest_tier(in, out);
	out->reason = reason_of(in, out, find_active(in, out));
}
