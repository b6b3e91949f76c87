/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the punt thread and the kernel's twins of our interfaces. */
#ifndef SPW_DATAPLANE_PUNT_H
#define SPW_DATAPLANE_PUNT_H

#include "dataplane/monitor.h"
#include "dataplane/stages.h"

struct dp_punt;

/*
 * Make the punt thread's state; it runs after dp_punt_start().
 * @workers  all of them, borrowed until dp_punt_free(); may be filled in until the start
 * 0 or -errno with a sentence.
 */
int dp_punt_new(struct dp_punt **punt, struct dp_worker **workers, unsigned int n_workers,
		struct rte_mempool *pool, struct spw_err *err) __attribute__((warn_unused_result));
/* The bell that workers ring after they have queued a packet. */
struct dp_bell *dp_punt_bell(struct dp_punt *punt);
/* Give the thread the monitor whose turns it runs; borrowed. Before the start. */
void dp_punt_monitor(struct dp_punt *punt, struct dp_monitor *monitor);
int dp_punt_start(struct dp_punt *punt, struct spw_err *err) __attribute__((warn_unused_result));
/* Ask the thread to end and wait for it. */
void dp_punt_stop(struct dp_punt *punt);
/* Close all twins and free. The thread must not run. */
void dp_punt_free(struct dp_punt *punt);

/*
 * Give an interface its twin; an older one is closed.
 * @fd   TAP or TUN descriptor, taken in any case
 * 0 or -errno with a sentence. API thread.
 */
int dp_punt_twin_set(struct dp_punt *punt, uint16_t iface, int fd, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Take the twin away and close it; fine when there is none. API thread. */
void dp_punt_twin_del(struct dp_punt *punt, uint16_t iface);

/* Counters of what the thread did for a worker; written by the thread, read by the API thread. */
const struct dp_worker_counters *dp_punt_counters(const struct dp_punt *punt, unsigned int worker);
const struct dp_iface_counters *dp_punt_iface(const struct dp_punt *punt, uint16_t iface);

#endif
