/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: what workers and the monitor hand to each other. Of the packets to us a
 * worker takes those that `wants` names; everything is looked at in the slow path to the kernel.
 */
#ifndef SPW_DATAPLANE_MONITOR_RING_H
#define SPW_DATAPLANE_MONITOR_RING_H

#include <rte_mbuf.h>
#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/tables.h"

#define DP_MONITOR_RX_RING 1024 /* notes to the monitor, for each worker */
#define DP_MONITOR_TX_RING 2048 /* packets to a worker; more than may be under way */

enum dp_monitor_user_id { DP_MONITOR_BFD, DP_MONITOR_PROBES, DP_MONITOR_USERS };

/* Written by the API thread, read by workers (relaxed: a packet more or less does not matter). */
struct dp_monitor_wants {
	_Atomic uint16_t bfd[DP_IFACES_MAX]; /* sessions over the interface */
	/*
	 * Echo identifiers and UDP ports of probes: first << 48 | how many << 32 of the former,
	 * first << 16 | how many of the latter.
	 */
	_Atomic uint64_t probes;
};

/* From a worker to the monitor. */
struct dp_monitor_note {
	struct rte_mbuf *m;
	uint64_t tsc;	  /* when the worker had it */
	uint16_t ip_at;	  /* received: the data begin with a frame for the twin, the IP header
			     is so far behind */
	uint8_t user;	  /* enum dp_monitor_user_id */
	uint8_t received; /* 0: one of ours that could not go, and is counted as dropped */
	uint16_t why;	  /* enum dp_drop, when not received */
	uint16_t mtu;	  /* TOO_BIG: IP bytes that would have fitted */
};
_Static_assert(sizeof(struct dp_monitor_note) == 24, "a ring's element is words without gaps");

/* Way of a packet that the monitor sends, in its metadata until the worker has resolved it: `path`,
 * or `iface_out` and `outer_src` (next hop, IPv4 mapped); `outer_tos` is the user. */

#endif
