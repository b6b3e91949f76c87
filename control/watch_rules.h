/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: what BFD and probes mean for a path. Pure. */
#ifndef SPW_CONTROL_WATCH_RULES_H
#define SPW_CONTROL_WATCH_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

/* What is known of a session beyond its state. */
struct ctl_bfd_memory {
	bool was_up; /* it was up, and what ended that was no administrator */
	bool fault;
};
/*
 * A session is in this state, the peer says AdminDown or not: keep the memory. A session that was
 * never up is no fault (the peer may not speak BFD), an administrator's word is none and is
 * forgotten by the next up only.
 */
void ctl_bfd_remember(struct ctl_bfd_memory *m, enum spw_bfd_state state, bool peer_admin);

/* The forwarding probes of one path, added up; the probe of the MTU is not among them. */
struct ctl_probed {
	unsigned int n, up, down;
	uint64_t last_ok_ns; /* newest answered packet, by when it was sent; 0 = none */
	uint64_t interval_ns;
};
/*
 * Another path of the same vnet proves that the target lives: a probe over it was answered that
 * left after the first loss of this one. A path without probes proves by standing.
 */
bool ctl_probed_is_better(const struct ctl_probed *other, const struct ctl_probed *lost);
/* What is known of one address family of a vnet, from the view of a path that is silent. */
struct ctl_probed_family {
	bool probed; /* over this path */
	bool was_up; /* and answered once */
	bool stands; /* another path that carries this family stands */
	bool better; /* and is better (above), by probes of this family */
};
/*
 * Both families together: what an IPv6 target answers says nothing about an IPv4 one, and a next
 * hop of one family is no place to go to for the other. A family that was answered once and is now
 * by nobody has lost its target, which excuses the path.
 * @out stands, better  for ctl_probed_condemn()
 */
void ctl_probed_families(const struct ctl_probed_family *four, const struct ctl_probed_family *six,
			 bool *stands, bool *better);
/*
 * Do the probes condemn a path?
 * @had     they did before
 * @better  another path stands and is better (above)
 * @stands  another path stands at all
 * All down condemns when something better is there; a single answer, or nothing left to go to, ends
 * it; and when everything falls silent (the target or the LAN side is dead), all stays as it is.
 */
bool ctl_probed_condemn(bool had, const struct ctl_probed *p, bool better, bool stands);

/*
 * Quantile (0..1) of a histogram of round trips, in microseconds: by the bucket's bounds, linear
 * within. Negative when it is empty.
 */
double ctl_rtt_quantile(const uint64_t bucket[SPW_DP_RTT_BUCKETS], double q);

#endif
