/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what the ways of a burst's packets will touch, brought near. */
#ifndef SPW_DATAPLANE_WAY_FETCH_H
#define SPW_DATAPLANE_WAY_FETCH_H

#include "dataplane/stages.h"

/* For a burst of which many groups are to be asked. Changes nothing. Worker thread. */
void dp_ways_fetch(const struct dp_worker *w, const struct dp_burst *b);

/* The same when it may be worth it: the first and the last packet have not one group. */
static inline void
dp_ways_fetch_mixed(const struct dp_worker *w, const struct dp_burst *b)
{
	if (b->n != 0 && unlikely(dp_pkt(b->pkt[0])->group != dp_pkt(b->pkt[b->n - 1])->group))
		dp_ways_fetch(w, b);
}

#endif
