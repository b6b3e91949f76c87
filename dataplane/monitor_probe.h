/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: all forwarding probes, run by the monitor on the punt thread. */
#ifndef SPW_DATAPLANE_MONITOR_PROBE_H
#define SPW_DATAPLANE_MONITOR_PROBE_H

#include "dataplane/monitor.h"
#include "dataplane/probe.h"

struct dp_probes;

/*
 * Make the set of probes and attach it to the monitor, before threads start.
 * @tables    borrowed
 * @api_bell  borrowed; rung when a state has changed
 * 0 or -errno with a sentence. Free it when all threads have ended; NULL is fine.
 */
int dp_probes_new(struct dp_probes **out, struct dp_monitor *monitor,
		  const struct dp_tables *tables, struct dp_bell *api_bell, struct spw_err *err)
	__attribute__((warn_unused_result));
void dp_probes_free(struct dp_probes *p);

/* The rest: API thread. Reading from NULL finds no probe. */

/* Room for a probe, for dp_probes_put() or free(); NULL when memory is short. */
struct dp_probe *dp_probes_room(void);
/* Configuration of a probe; NULL when there is none. */
const struct spw_dp_probe *dp_probes_get(const struct dp_probes *p, uint32_t id);
/*
 * Set a checked probe whose path exists: one with the same content goes on, else it begins anew.
 * @room  taken
 */
void dp_probes_put(struct dp_probes *p, const struct spw_dp_probe *conf, struct dp_probe *room);
/* Remove a probe that is there. */
void dp_probes_del(struct dp_probes *p, uint32_t id);
/* How many probes name the path. */
uint32_t dp_probes_of_path(const struct dp_probes *p, uint32_t path);
/* The path has another content: what its probes have found out is about another way. */
void dp_probes_path_changed(struct dp_probes *p, uint32_t path);
/* Statistics of a probe; false when there is none. */
bool dp_probes_stats(struct dp_probes *p, uint32_t id, struct spw_dp_probe_stats *row);
/*
 * Take the next probe whose state has changed since it was taken the last time, as it is now. False
 * when there is none.
 */
bool dp_probes_take_changed(struct dp_probes *p, struct spw_dp_probe_event *ev);

#endif
