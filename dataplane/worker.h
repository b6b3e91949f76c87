/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: one worker thread's own state. Written by that worker alone. */
#ifndef SPW_DATAPLANE_WORKER_H
#define SPW_DATAPLANE_WORKER_H

#include <rte_cycles.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/cycles.h"
#include "dataplane/packet.h"
#include "dataplane/park.h"
#include "dataplane/rate.h"

struct dp_sad;
struct dp_seal;
struct dp_spread;
struct dp_tables; /* FIB, groups, paths, interfaces, neighbours: published, read by workers */

/*
 * Counters have one writer, the worker, and relaxed readers in the API thread; the cache lines are
 * the worker's own.
 */
struct dp_worker_counters {
	uint64_t rx, tx, mirrored, from_twin, created, dropped;
	uint64_t drop[DP_DROP_COUNT];
	uint64_t drop_last_tsc[DP_DROP_COUNT];
	uint64_t busy_cycles, total_cycles, busy_packets;
};

/* Of one interface on one worker; indexed by interface id. */
struct dp_iface_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, mirrored, from_twin, drops;
	uint64_t asymmetric; /* about (asym.c) */
};

struct dp_worker {
	unsigned int index; /* 0.. */
	unsigned int lcore;
	uint64_t now_tsc; /* set once per burst */
	struct dp_sad *sad;
	struct dp_tables *tables;
	struct rte_mempool *pool;
	struct dp_worker_counters count;
	struct dp_iface_counters *iface; /* 65536 of them, NULL in unit tests */
	void *crypto;			 /* the worker's cipher manager (dataplane/crypto) */
	void *priv;			 /* further state of the pipeline's own files */
	struct dp_stage_cycles *cycles;	 /* NULL: not measured */
	struct dp_park park;
	struct dp_spread *spread; /* cipher work shared with other workers; NULL: there are none */
	struct dp_seal *seal;	  /* with `spread` */
	bool backlog;		  /* the burst at hand filled the receive call */
	struct dp_rate pmtu_rate; /* pmtu.c */
} __rte_cache_aligned;

/* Drop a packet: count it under its reason and free it. Worker thread. */
static inline void
dp_drop(struct dp_worker *w, struct rte_mbuf *m, enum dp_drop reason)
{
	w->count.dropped++;
	w->count.drop[reason]++;
	w->count.drop_last_tsc[reason] = w->now_tsc;
	if (w->iface)
		w->iface[dp_pkt(m)->iface_in].drops++;
	rte_pktmbuf_free(m);
}

#endif
