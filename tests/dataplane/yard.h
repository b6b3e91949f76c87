/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of the stages that choose a packet's way: a worker with all that they ask. */
#ifndef SPW_TESTS_DATAPLANE_YARD_H
#define SPW_TESTS_DATAPLANE_YARD_H

#include "tests/dataplane/esp_bed.h"

#include "dataplane/shape.h"
#include "dataplane/stages.h"

#define YARD_IFACES 64 /* ids of objects are below these */
#define YARD_PATHS  64
#define YARD_GROUPS 64

/* What every yard has from the start: all paths up, no tunnel with a capacity. */
enum { ER_IF = 1, LAN_IF = 2 };
enum { P_ER = 1, P_SHAPED = 2, P_FREE = 3, PATHS = 4 };
enum { G_ER = 1, G_SHAPED = 2, G_FREE = 3, G_OPEN = 4, GROUPS = 5 };
enum { SHAPED = 7, FREE = 8 }; /* tunnels */

/* A worker with what the stages ask. */
struct yard {
	struct bed_end e;
	struct dp_worker *w;
	struct dp_worker_priv *priv;
	struct dp_tables *t;
	struct rte_rcu_qsbr *qsbr;
	struct dp_port port;
	struct dp_shape_count count;
	struct rte_mbuf *pkt[DP_BURST];
	uint64_t state;
};

/* Routes: fd02::/16 to G_ER, fd03::/16 to G_OPEN. The test closes it, packets mended before. */
struct yard *yard_open(void);
void yard_close(struct yard *y);
/*
 * Make `w` a worker beside the yard's own: of the same tables and SAD, with counters, memory and
 * events of its own.
 */
void yard_worker_open(struct yard *y, struct dp_worker *w, const char *name);
void yard_worker_close(struct dp_worker *w);

/* A number below `n`, from the yard's row. */
uint32_t yard_roll(struct yard *y, uint32_t n);
/* Make or replace objects. They say nothing to the workers: raise tables.epoch afterwards. */
void yard_iface_put(struct yard *y, uint16_t id, uint32_t role);
void yard_path_put(struct yard *y, uint32_t id, uint32_t kind, uint32_t iface, uint32_t tunnel);
void yard_group_put(struct yard *y, const struct spw_dp_group *conf);
/* Give a tunnel a capacity, 0 = none, and raise the epoch. */
void yard_shape_put_at(struct yard *y, uint32_t tunnel, uint32_t kbps);
void yard_shape_put(struct yard *y, uint32_t kbps); /* of tunnel SHAPED */
/* Set a path's bit; the yard's worker sees it. */
void yard_path_up(struct yard *y, uint32_t id, bool up);

/* Packet `i`, as it is before a stage. */
struct dp_pkt *yard_fresh(struct yard *y, struct dp_burst *b, uint16_t i, uint8_t next,
			  uint8_t dscp, uint16_t len);
/* Give all packets their true length back. */
void yard_packets_mend(struct yard *y);

#endif
