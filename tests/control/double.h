/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A double of the data plane for the runtime's test: speaks dataplane.sock, remembers objects,
 * forwards nothing. It runs in a thread of its own, because the runtime waits for its answers.
 */
#ifndef SPW_TESTS_CONTROL_DOUBLE_H
#define SPW_TESTS_CONTROL_DOUBLE_H

#include "lib/spillway.h"

#define DOUBLE_MAX 64

struct double_state {
	uint64_t incarnation;
	uint32_t generation; /* of the last object */
	unsigned int n_route, n_group, n_path, n_iface, n_port, n_tunnel;
	struct spw_dp_tunnel tunnel[DOUBLE_MAX];
	struct spw_dp_route route[DOUBLE_MAX];
	struct spw_dp_group group[DOUBLE_MAX];
	struct spw_dp_path path[DOUBLE_MAX];
	struct spw_dp_path_stats bit[SPW_DP_PATHS_MAX];
	struct spw_dp_iface iface[DOUBLE_MAX];
	struct spw_dp_port port[DOUBLE_MAX];
	unsigned int n_bfd, n_probe, classes; /* classes: CLASSES_SET that arrived */
	struct spw_dp_bfd bfd[DOUBLE_MAX];
	struct spw_dp_probe probe[DOUBLE_MAX];
	struct spw_dp_bfd_stats bfd_stats[DOUBLE_MAX];	   /* by id; what the test sets */
	struct spw_dp_probe_stats probe_stats[DOUBLE_MAX]; /* the same */
	unsigned int busy; /* paths that a probe or tunnel names and that were to be taken away */
	struct spw_dp_link link; /* last LINK_STATE */
	unsigned int links, twins, states; /* LINK_STATE, descriptors, PATH_STATE that arrived */
	bool tunnel_up;
};

/* Listen on DIR/dataplane.sock and answer. The state may be read and set between start and stop
 * under double_lock(). */
void double_start(const char *run_dir, struct double_state *state);
/* Close everything, as a dead process does; the state stays. */
void double_stop(void);
/* Send an event to whoever subscribed to something. */
void double_event(uint16_t number, const void *elem, uint16_t size);
void double_lock(void);
void double_unlock(void);

#endif
