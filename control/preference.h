/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: which path carries a destination of a vnet. Pure. */
#ifndef SPW_CONTROL_PREFERENCE_H
#define SPW_CONTROL_PREFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/config.h"

#define CTL_PREF_LEVELS 4
#define CTL_PREF_HOPS	SPW_DP_TIER_PATHS

/*
 * What an operator has asked for a vnet; words of ITU-T G.8031 (linear protection), with
 * ExpressRoute as the working and its backup (tunnels; for Microsoft peering the Internet) as the
 * protection transport entity:
 *
 * NONE         no request: the conditions decide.
 * TUNNEL       forced switch to protection: ExpressRoute is set aside until resumed. A protection
 *              that has failed outranks the request: meanwhile ExpressRoute carries.
 * EXPRESSROUTE manual switch to working: ends a wait-to-restore and keeps none running while it
 *              stands.
 * LOCKOUT      lockout of protection, the highest request: the backup is never used, whatever
 *              happens.
 * TEST         the drill: as MANUAL, made and ended by it.
 * MANUAL       manual switch to protection: as TUNNEL, of lower priority.
 */
enum ctl_operator {
	CTL_OPERATOR_NONE,
	CTL_OPERATOR_TUNNEL,
	CTL_OPERATOR_EXPRESSROUTE,
	CTL_OPERATOR_LOCKOUT,
	CTL_OPERATOR_TEST,
	CTL_OPERATOR_MANUAL,
};

/* Requests and conditions of a vnet in G.8031's order of priority, the lowest first. */
enum ctl_rank {
	CTL_RANK_NONE,
	CTL_RANK_EXERCISE, /* a check that moves nothing; never stands */
	CTL_RANK_WAIT_TO_RESTORE,
	CTL_RANK_MANUAL, /* to either side, and the drill */
	CTL_RANK_WORKING_FAILED,
	CTL_RANK_FORCED,
	CTL_RANK_PROTECTION_FAILED,
	CTL_RANK_LOCKOUT,
};

/* What is so without anybody's asking. */
struct ctl_conditions {
	bool working_failed;	/* no ExpressRoute next hop is alive */
	bool protection_failed; /* nothing of the backup is */
	bool waiting;		/* an ExpressRoute next hop is back and waits */
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
	uint32_t weight;   /* 1..255, share of the flows */
	bool up;	   /* its bit is set */
	bool encrypts;	   /* its underlay is ExpressRoute: it stands for the clear next hops */
	bool waiting;	   /* only where it encrypts */
	bool operator_out; /* the same */
};

struct ctl_pref_input {
	enum ctl_operator request;
	enum ctl_peering peering;
	bool encrypted; /* clear ExpressRoute next hops are never used */
	unsigned int n_levels, n_tunnels;
	struct ctl_pref_level level[CTL_PREF_LEVELS];
	struct ctl_pref_tunnel tunnel[SPW_DP_TIER_PATHS];
	struct ctl_pref_level internet; /* Microsoft peering: its backup */
	struct ctl_pref_level last;	/* last resort, at most one next hop */
};

enum ctl_pref_kind {
	CTL_PREF_NONE,
	CTL_PREF_EXPRESSROUTE, /* clear or through a tunnel that encrypts it */
	CTL_PREF_TUNNEL,
	CTL_PREF_INTERNET,
	CTL_PREF_LAST_RESORT,
	CTL_PREF_KINDS,
};

enum ctl_pref_reason {
	CTL_REASON_PRIMARY,	    /* a standing ExpressRoute next hop carries */
	CTL_REASON_NO_NEXT_HOP,	    /* none is learnt, or none alive: the backup carries */
	CTL_REASON_WAIT_TO_RESTORE, /* one is alive but waits: the backup carries */
	CTL_REASON_FORCED,	    /* an operator has set ExpressRoute aside: the backup carries */
	CTL_REASON_TEST,	    /* the drill has */
	CTL_REASON_PROTECTION_DOWN, /* would wait or is set aside, but no backup is up */
	CTL_REASON_LOCKOUT,	    /* nothing carries because the backup is locked out */
	CTL_REASON_DOWN,	    /* nothing is there to carry */
	CTL_REASON_MANUAL,	    /* as FORCED, by a manual switch */
	CTL_REASON_LAST_RESORT,	    /* neither ExpressRoute nor its backup is there */
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
 * Rule (for transit packets): the backup is used only while no ExpressRoute next hop stands for the
 * destination; standing = learnt, alive, past wait-to-restore, not set aside. Order of tiers:
 *   1. and 2. standing next hops, longest match first, equal ones share the flows (role
 *      EXPRESSROUTE); with in->encrypted the tunnels over ExpressRoute instead, never these;
 *   3. the backup, unless locked out: private peering: the other tunnels by weight (role TUNNEL);
 *      Microsoft peering: the Internet's next hops (role INTERNET), never a tunnel;
 *   4. next hops that wait or are set aside (role PLAIN: they do not stand), so that a backup that
 *      dies meanwhile is replaced by the data plane itself;
 *   5. the last resort (role PLAIN), where one is configured; else packets are dropped.
 * Tiers name next hops that are dead, too: their bit decides, without a new group. Beyond
 * CTL_PREF_HOPS next hops in a tier the last ones are left out.
 *
 * @in   at most CTL_PREF_LEVELS levels, SPW_DP_TIER_PATHS tunnels; a path may be in several levels
 * @out  set entirely
 */
void ctl_preference_choose(const struct ctl_pref_input *in, struct ctl_pref_choice *out);

/* True when the hop may carry before any backup under this request. */
bool ctl_preference_stands(enum ctl_operator op, const struct ctl_pref_hop *hop);

/* The rank of a request. */
enum ctl_rank ctl_operator_rank(enum ctl_operator op);
/* The highest of the request at hand and the conditions. */
enum ctl_rank ctl_preference_rank(enum ctl_operator at_hand, const struct ctl_conditions *c);
/*
 * True when a new request is taken: nothing of higher rank is at hand. One of equal rank replaces
 * the other; the end of a request (rank NONE) is always taken. What is refused is not kept for
 * later.
 */
bool ctl_preference_takes(enum ctl_operator at_hand, const struct ctl_conditions *c,
			  enum ctl_rank asked);
/*
 * True when the request at hand ends by itself: a manual switch or a drill that a signal fail
 * outranks. A forced switch and a lockout are kept until they are resumed.
 */
bool ctl_preference_ends(enum ctl_operator at_hand, const struct ctl_conditions *c);
/* A phrase for a person: what is at hand with this rank. */
const char *ctl_rank_text(enum ctl_rank rank);

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
