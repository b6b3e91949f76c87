/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: making, running and ending workers. */
#ifndef SPW_DATAPLANE_WORKER_LOOP_H
#define SPW_DATAPLANE_WORKER_LOOP_H

#include "dataplane/stages.h"

enum dp_polling { DP_POLL_BY_PORTS, DP_POLL_BUSY, DP_POLL_ADAPTIVE };

struct dp_worker_config {
	unsigned int index;
	unsigned int lcore;
	enum dp_polling polling;
	struct dp_tables *tables;
	struct dp_sad *sad;
	struct rte_mempool *pool;
	struct dp_monitor_wants *wants; /* NULL: no monitor */
	struct dp_bell *punt_bell;
	struct dp_bell *api_bell;
	const _Atomic int *stop; /* 1: leave the loop */
};

/*
 * Make a worker: its state, rings and cipher manager. The caller frees with dp_worker_free().
 * 0 or -errno with a sentence. API thread.
 */
int dp_worker_new(struct dp_worker **w, const struct dp_worker_config *config, struct spw_err *err)
	__attribute__((warn_unused_result));
/* Free a worker that does not run; packets in its rings are freed, too. */
void dp_worker_free(struct dp_worker *w);
/* The loop; for rte_eal_remote_launch(). Ends when the stop flag is set. */
int dp_worker_main(void *worker);

#endif
