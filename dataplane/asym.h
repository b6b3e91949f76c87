/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: packets that came another way than their answers go. */
#ifndef SPW_DATAPLANE_ASYM_H
#define SPW_DATAPLANE_ASYM_H

#include "dataplane/stages.h"

/* Where a packet came from, as far as this matters. */
enum dp_asym_from { DP_ASYM_OTHER, DP_ASYM_EXPRESSROUTE, DP_ASYM_TUNNEL };

/*
 * The rule: a packet out of a tunnel whose answers go by ExpressRoute, or the other way round.
 * @answers    enum spw_dp_tier_role of what carries packets to its source now
 */
static inline bool
dp_asym_is(enum dp_asym_from from, uint8_t answers)
{
	switch (from) {
	case DP_ASYM_EXPRESSROUTE: return answers == SPW_TIER_TUNNEL;
	case DP_ASYM_TUNNEL: return answers == SPW_TIER_EXPRESSROUTE;
	case DP_ASYM_OTHER: break;
	}
	return false;
}

/*
 * What carries packets to this packet's source now: enum spw_dp_tier_role, PLAIN when the source is
 * in no protected prefix or nothing carries. Worker thread.
 * @ip  its header
 */
uint8_t dp_asym_answers(const struct dp_worker *w, const uint8_t *ip, bool ipv6);

/*
 * Look at one packet of a burst that is about to be routed, and count the burst under its interface
 * or tunnel when it is asymmetric. Worker thread.
 */
void dp_asym_look(struct dp_worker *w, const struct dp_burst *b);

#endif
