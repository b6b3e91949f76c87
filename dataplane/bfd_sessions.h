/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: all BFD sessions, a user of the monitor. */
#ifndef SPW_DATAPLANE_BFD_SESSIONS_H
#define SPW_DATAPLANE_BFD_SESSIONS_H

#include "dataplane/bfd.h"
#include "dataplane/monitor.h"
#include "dataplane/path_bits.h"

struct dp_bfd_session {
	bool used;
	bool untold; /* its newest event did not fit in the ring */
	uint16_t src_port;
	struct spw_dp_bfd conf;
	struct dp_bfd bfd;
	struct spw_dp_bfd_event event; /* the newest */
	struct dp_path_mask mask;      /* adjacencies to the peer over the interface */
};

/*
 * Guarded by the monitor's lock: the API thread changes them, the punt thread runs them. Which ids
 * are used, what they are configured as and their discriminators, only the API thread changes: it
 * may read that without.
 */
struct dp_bfds {
	struct dp_monitor *monitor;
	struct dp_path_bits *bits;
	struct dp_bell *api_bell;
	struct rte_ring *events;   /* struct bfd_note, from the punt to the API thread */
	uint32_t end;		   /* one behind the highest id in use */
	struct dp_path_mask *made; /* [SPW_DP_BFD_MAX] API thread: masks being made */
	struct dp_bfd_session session[SPW_DP_BFD_MAX];
};

/* 0 or -errno with a sentence. Attaches itself to the monitor. */
int dp_bfds_new(struct dp_bfds **out, struct dp_monitor *m, struct dp_path_bits *bits,
		struct dp_bell *api_bell, struct spw_err *err) __attribute__((warn_unused_result));
/* No thread of the monitor's runs any more; NULL is fine. */
void dp_bfds_free(struct dp_bfds *b);

/*
 * API thread, monitor not locked. Set: add, replace, or go on with other timers; @conf was checked
 * but for what chance gives, `disc` is not 0 and nobody else's.
 */
void dp_bfds_set(struct dp_bfds *b, const struct spw_dp_bfd *conf, uint32_t disc, uint16_t src_port,
		 uint64_t chance);
/* No event, no path cleared. */
void dp_bfds_del(struct dp_bfds *b, uint32_t id);
/* Publish the masks in `made`. */
void dp_bfds_masks_put(struct dp_bfds *b);
/* Take one event. False when there is none. */
bool dp_bfds_event(struct dp_bfds *b, struct spw_dp_bfd_event *ev);
/* Row of GET_BFD; false when there is no session with this id. */
bool dp_bfds_row(struct dp_bfds *b, uint32_t id, struct spw_dp_bfd_stats *row);

#endif
