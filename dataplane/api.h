/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the server of dataplane.sock. */
#ifndef SPW_DATAPLANE_API_H
#define SPW_DATAPLANE_API_H

#include "dataplane/control.h"

struct dp_api;

/* Listen on RUN_DIR/dataplane.sock. 0 or -errno with a sentence. Main thread. */
int dp_api_new(struct dp_api **api, struct dp_control *c, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Serve until SIGTERM or SIGINT (which the caller has blocked). Main thread. */
void dp_api_run(struct dp_api *api);
/* Close all connections and remove the socket. */
void dp_api_free(struct dp_api *api);

/*
 * Shall events that can wait be fetched and told now? No while a daemon that wants them has many in
 * its queue. @what  enum spw_dp_subscribe, any of them
 */
bool dp_api_room(const struct dp_api *api, uint32_t what);
/*
 * Queue an event to every subscriber. One that does not read is disconnected, so that it notices
 * and reads the state anew.
 * @what  enum spw_dp_subscribe
 */
void dp_api_event(struct dp_api *api, uint32_t what, uint16_t number, const void *event,
		  uint16_t size);

/* Turn what happened since the last call into events: SAs, links, paths, workers' news. */
void dp_events_collect(struct dp_api *api, struct dp_control *c);
/* Tell of probes whose state has changed. */
void dp_probes_collect(struct dp_api *api, struct dp_control *c);

#endif
