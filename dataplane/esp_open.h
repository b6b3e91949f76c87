/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what the halves of the open stage share. Worker thread. */
#ifndef SPW_DATAPLANE_ESP_OPEN_H
#define SPW_DATAPLANE_ESP_OPEN_H

#include "dataplane/sad_data.h"

struct dp_open_item {
	struct rte_mbuf *m;
	struct dp_sa_in *sa;
	uint16_t at; /* index in the burst */
};

/* What is to be opened, in the order of the burst. */
struct dp_open_queue {
	uint16_t n;
	struct dp_sa_in *sa; /* that the packet before has and may use; NULL: ask */
	struct dp_open_item item[DP_BURST_ROOM];
};

/*
 * Gather the packets of a burst that are to be opened, each with its SA, in one piece that is
 * nobody else's. What is dropped or parked leaves a gap (NULL) in the burst.
 */
void dp_open_collect(struct dp_worker *w, struct dp_burst *b, struct dp_open_queue *q);

static inline void
dp_open_refuse(struct dp_worker *w, struct dp_burst *b, const struct dp_open_item *item,
	       enum dp_drop reason)
{
	dp_drop(w, item->m, reason);
	b->pkt[item->at] = NULL;
}

#endif
