/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: the BMP station (RFC 7854) that bgpd reports to, after its import policy.
 * The fast signal of withdrawals and of lost sessions: the kernel's table, which says the same some
 * 60 ms later, stays the truth. Event loop thread.
 */
#ifndef SPW_CONTROL_BMP_H
#define SPW_CONTROL_BMP_H

#include "control/runtime_priv.h"

/* Listen on 127.0.0.1; bgpd dials. 0 or -errno (then everything comes from the kernel alone). */
int ctl_bmp_new(struct ctl_runtime *rt);
void ctl_bmp_free(struct ctl_runtime *rt);
/* TCP port that frr.conf names as target, 0 = not listening. Kept over restarts of this process. */
uint16_t ctl_bmp_port(const struct ctl_runtime *rt);
/* Once a second: end marks that the kernel has not confirmed in time, log a lost station. */
void ctl_bmp_tick(struct ctl_runtime *rt);

/*
 * True when BMP has said that this neighbour no longer gives the prefix and the kernel's route over
 * it is thus on its way out; never true for longer than two seconds.
 */
bool ctl_bmp_is_withdrawn(const struct ctl_runtime *rt, const struct spw_prefix *prefix,
			  const struct spw_addr *next_hop);
enum ctl_bmp_word { CTL_BMP_UNKNOWN, CTL_BMP_NO, CTL_BMP_YES };
/* Does the neighbour, its session up, give a prefix that covers, equals or lies in this one?
 * UNKNOWN without BMP. */
enum ctl_bmp_word ctl_bmp_gives(const struct ctl_runtime *rt, const struct spw_addr *neighbour,
				const struct spw_prefix *prefix);
/*
 * Why a next hop that is a neighbour's address went, as far as BMP knows: "withdrawn" while the
 * session is up, "bgp-down" when its end was reported; NULL when it does not know the neighbour.
 */
const char *ctl_bmp_cause(const struct ctl_runtime *rt, const struct spw_addr *next_hop);
/*
 * The kernel deletes this route: is it to stay in the mirror, because bgpd is away and comes back?
 * It is marked as retained then, and goes by itself. Once for each route of a batch, before it is
 * removed.
 */
bool ctl_bmp_retains(struct ctl_runtime *rt, const struct spw_prefix *prefix,
		     struct ctl_rib_route *route);
/* True while bgpd is connected. */
bool ctl_bmp_connected(const struct ctl_runtime *rt);
/* Prefixes in the neighbour's Adj-RIB-In after policy; false when not known. */
bool ctl_bmp_count(const struct ctl_runtime *rt, const struct spw_addr *neighbour, uint32_t *n);

#endif
