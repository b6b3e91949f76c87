/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: which path carries a destination of a vnet. Pure. */
#ifndef SPW_CONTROL_PREFERENCE_H
#define SPW_CONTROL_PREFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

#define CTL_PREF_LEVELS 4
#define CTL_PREF_HOPS	SPW_DP_TIER_PATHS

/*
 * What an operator has asked for a vnet; words of ITU-T G.8031 (linear protection), with
 * ExpressRoute as the working and the tunnels as the protection transport entity:
 *
 * NONE         no request: the conditions decide.
 * TUNNEL       forced switch to protection: ExpressRoute is set aside. A protection that has failed
 *              outranks the request (signal fail on protection > forced switch): with every tunnel
 *              down ExpressRoute carries again.
 * EXPRESSROUTE manual switch to working: ends a wait-to-restore and keeps none running while it
 *              stands. A failed working entity outranks it: then the tunnel carries.
 * LOCKOUT      lockout of protection, the highest request: the tunnel is never used, whatever
 *              happens; with ExpressRoute gone packets are dropped.
 * TEST         exercise with a real switch (the drill): as TUNNEL, made and ended by the drill.
 */
enum ctl_operator {
	CTL_OPERATOR_NONE,
	CTL_OPERATOR_TUNNEL,
	CTL_OPERATOR_EXPRESSROUTE,
	CTL_OPERATOR_LOCKOUT,
	CTL_OPERATOR_TEST,
};

/* An ExpressRoute next hop that was learnt for the destination. */
struct ctl_pref_hop {
	uint32_t path;	   /* path id */
	uint32_t weight;   /* 1..255 */
	bool alive;	   /* its bit is set */
	bool waiting;	   /* wait-to-restore runs */
	bool operator_out; /* this next hop is set aside by itself */
};

/* Next hops of one route that covers the destination; levels go by decreasing prefix length. */
struct ctl_pref_level {
	unsigned int n;
	struct ctl_pref_hop hop[CTL_PREF_HOPS];
};

struct ctl_pref_tunnel {
	uint32_t path;
	bool up;
};

struct ctl_pref_input {
	enum ctl_operator request;
	unsigned int n_levels, n_tunnels;
	struct ctl_pref_level level[CTL_PREF_LEVELS];
	struct ctl_pref_tunnel tunnel[SPW_DP_TIER_PATHS];
};

enum ctl_pref_kind { CTL_PREF_NONE, CTL_PREF_EXPRESSROUTE, CTL_PREF_TUNNEL };

enum ctl_pref_reason {
	CTL_REASON_PRIMARY,	    /* a standing ExpressRoute next hop carries */
	CTL_REASON_NO_NEXT_HOP,	    /* none is learnt, or none alive: the tunnel carries */
	CTL_REASON_WAIT_TO_RESTORE, /* one is alive but waits: the tunnel carries */
	CTL_REASON_FORCED,	    /* an operator has set ExpressRoute aside: the tunnel carries */
	CTL_REASON_TEST,	    /* the drill has */
	CTL_REASON_PROTECTION_DOWN, /* would wait or is set aside, but no tunnel is up */
	CTL_REASON_LOCKOUT,	    /* nothing carries because the tunnel is locked out */
	CTL_REASON_DOWN,	    /* nothing is there to carry */
};

struct ctl_pref_choice {
	unsigned int n_tiers;
	struct spw_dp_tier tier[SPW_DP_TIERS];
	enum ctl_pref_kind kind; /* of the path that carries now */
	uint32_t path;		 /* its id, SPW_DP_ADDR_NONE when nothing carries */
	enum ctl_pref_reason reason;
};

/*
 * Choose the tiers of the path group of one destination and tell what carries it now.
 *
 * Rule (for transit packets): the tunnel is used only while no ExpressRoute next hop stands for the
 * destination; standing = learnt, alive, past wait-to-restore, not set aside. Order of tiers:
 *   1. and 2. standing next hops, longest match first (role EXPRESSROUTE);
 *   3. the tunnels (role TUNNEL), unless locked out;
 *   4. next hops that wait or are set aside (role PLAIN: they do not stand), so that a tunnel that
 *      dies meanwhile is replaced by the data plane itself.
 * Tiers name next hops that are dead, too: their bit decides, without a new group. Beyond
 * CTL_PREF_HOPS next hops in a tier the last ones are left out.
 *
 * @in   at most CTL_PREF_LEVELS levels, SPW_DP_TIER_PATHS tunnels; a path may be in several levels
 * @out  set entirely
 */
void ctl_preference_choose(const struct ctl_pref_input *in, struct ctl_pref_choice *out);

/* True when the hop may carry before any tunnel under this request. */
bool ctl_preference_stands(enum ctl_operator op, const struct ctl_pref_hop *hop);

/*
 * True while wait-to-restore runs: something was lost and came back at restored_ns (0 = never
 * lost), its vnet waits wait_s, and the wait was not ended at over_ns or later.
 */
bool ctl_preference_waits(uint64_t restored_ns, uint32_t wait_s, uint64_t over_ns, uint64_t now_ns);

/* "none", "tunnel", ... as stored and shown. */
const char *ctl_operator_name(enum ctl_operator op);
/* Name to request; false when unknown. */
bool ctl_operator_parse(enum ctl_operator *op, const char *name);
/* One phrase for a person; NULL for PRIMARY. */
const char *ctl_pref_reason_text(enum ctl_pref_reason reason);

#endif
