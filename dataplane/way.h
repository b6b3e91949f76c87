/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: the way of a packet, from its group or path to an interface or tunnel,
 * with a memory of the last answers: packets that follow each other mostly go one way.
 */
#ifndef SPW_DATAPLANE_WAY_H
#define SPW_DATAPLANE_WAY_H

#include "dataplane/stages.h"

/* The last group asked, and its answer. Group 0 is never asked. */
struct dp_group_memo {
	uint32_t id;
	enum dp_drop why; /* DP_DROP_COUNT: `pick` stands */
	const struct dp_group *group;
	struct dp_pick pick;
	bool noted;
	bool told; /* the API thread knows the group's tier */
};

/* The last path taken, what it means, and what has gone over it since it was asked. */
struct dp_path_memo {
	uint32_t id;	  /* SPW_DP_ADDR_NONE = none yet */
	enum dp_drop why; /* DP_DROP_COUNT: usable */
	uint32_t tunnel;
	uint16_t iface_out;
	uint8_t next;	/* enum dp_next; TX = up to the twin */
	uint16_t kinds; /* DP_KIND_* of a packet that takes it */
	uint64_t packets, bytes;
};

/* Both, for one walk over a burst; start with DP_WAYS_NONE, end with dp_ways_count(). */
struct dp_ways {
	struct dp_group_memo group;
	struct dp_path_memo path;
};
#define DP_WAYS_NONE ((struct dp_ways){.path.id = SPW_DP_ADDR_NONE})

/*
 * Send a packet its way: dp_pkt.group names it, or with group 0 dp_pkt.path. True when it stays in
 * the burst, `next` set; false when it was dropped or went up to a twin.
 */
bool dp_way_one(struct dp_worker *w, struct rte_mbuf *m, struct dp_ways *ways);
/* Count what has gone over the last path. */
void dp_ways_count(struct dp_worker *w, struct dp_ways *ways);

#endif
