/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of the stages; nothing else is decided here.
 *
 *   rx → parse → { to us: mirror to the twin
 *                | ESP: open { SA still to come: park → open } → deliver { to us: mirror }
 *                | else } → TTL → FIB → path group → fit
 *      → { adjacency | shape → seal → outer (FIB, path group) → adjacency } → tx
 *
 * One burst runs to its end before the next is received. A stage handles the packets whose `next`
 * names it and leaves the others in place; one that would find none (dp_burst.kinds) is not run.
 * Fit is run when path, outer or whoever sent a packet of the gateway's own found that some may not
 * fit their way (DP_KIND_FIT).
 * ICMP errors go back to the FIB; DP_ROUNDS bounds how often, and whoever is not done then is
 * dropped by tx.
 *
 * Parked packets wait outside of any burst; once their SA is there, the loop runs them from open on
 * before it receives more.
 *
 * Among several workers the packets of a run may leave a burst inside open or seal, and come back
 * in one of their own (back); or wait for a sequence number and be tried again (again).
 *
 * The bitmap of live paths is copied once, before the first stage. Worker thread; no locks,
 * allocation, system calls or logging in here.
 */
#include "dataplane/asym.h"
#include "dataplane/sad.h"
#include "dataplane/sad_data.h"
#include "dataplane/spread.h"
#include "dataplane/spread_seal.h"
#include "dataplane/stages.h"

#define TO_ROUTE                                                                \
	(DP_KIND(DP_NEXT_FIB) | DP_KIND(DP_NEXT_PATH) | DP_KIND(DP_NEXT_SEAL) | \
	 DP_KIND(DP_NEXT_OUTER))

/* Run one stage, and count its cycles when they are measured. */
static inline void
run(struct dp_worker *w, struct dp_burst *b, enum dp_stage id,
    void (*stage)(struct dp_worker *, struct dp_burst *))
{
	stage(w, b);
	if (unlikely(w->cycles != NULL))
		dp_cycles_note(w->cycles, id);
}

/* Run a stage when packets for it may be in the burst. */
static inline void
run_for(struct dp_worker *w, struct dp_burst *b, unsigned int kinds, enum dp_stage id,
	void (*stage)(struct dp_worker *, struct dp_burst *))
{
	if ((b->kinds & kinds) != 0)
		run(w, b, id, stage);
}

static void
forward(struct dp_worker *w, struct dp_burst *b)
{
	for (unsigned int round = 0; round < DP_ROUNDS && (b->kinds & TO_ROUTE) != 0; round++) {
		run_for(w, b, DP_KIND(DP_NEXT_FIB), DP_STAGE_FIB, dp_stage_fib);
		run_for(w, b, DP_KIND(DP_NEXT_PATH), DP_STAGE_PATH, dp_stage_path);
		run_for(w, b, DP_KIND_FIT, DP_STAGE_FIT, dp_stage_fit);
		run_for(w, b, DP_KIND_SHAPED, DP_STAGE_SHAPE, dp_stage_shape);
		run_for(w, b, DP_KIND(DP_NEXT_SEAL), DP_STAGE_SEAL, dp_stage_esp_seal);
		run_for(w, b, DP_KIND(DP_NEXT_OUTER), DP_STAGE_OUTER, dp_stage_outer);
		run_for(w, b, DP_KIND_FIT, DP_STAGE_FIT, dp_stage_fit);
	}
	run(w, b, DP_STAGE_ADJACENCY, dp_stage_adjacency);
	run(w, b, DP_STAGE_TX, dp_stage_tx);
	if (w->seal != NULL)
		dp_seal_sent(w);
}

static void
burst_begin(struct dp_worker *w)
{
	w->now_tsc = rte_rdtsc();
	if (unlikely(w->cycles != NULL))
		dp_cycles_begin(w->cycles, w->now_tsc);
	dp_path_view_renew(&dp_priv(w)->view, w->tables->bits);
}

static void
open_and_forward(struct dp_worker *w, struct dp_burst *b)
{
	if ((b->kinds & DP_KIND(DP_NEXT_OPEN)) != 0) {
		run(w, b, DP_STAGE_OPEN, dp_stage_esp_open);
		run(w, b, DP_STAGE_DELIVER, dp_stage_deliver);
	}
	run_for(w, b, DP_KIND(DP_NEXT_EXPIRED), DP_STAGE_TTL, dp_stage_ttl);
	dp_asym_look(w, b);
	forward(w, b);
}

void
dp_pipeline_rx(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	run(w, b, DP_STAGE_PARSE, dp_stage_parse);
	open_and_forward(w, b);
}

void
dp_pipeline_parked(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	b->kinds = DP_KIND(DP_NEXT_OPEN);
	open_and_forward(w, b);
}

uint32_t
dp_pipeline_back(struct dp_worker *w, struct dp_burst *b)
{
	uint32_t n;

	burst_begin(w);
	b->n = b->kinds = 0;
	run(w, b, DP_STAGE_OPEN, dp_stage_esp_back);
	n = b->n;
	if ((b->kinds & DP_KIND(DP_NEXT_FIB)) != 0) {
		dp_burst_compact(b);
		run(w, b, DP_STAGE_DELIVER, dp_stage_deliver);
		run_for(w, b, DP_KIND(DP_NEXT_EXPIRED), DP_STAGE_TTL, dp_stage_ttl);
		dp_asym_look(w, b);
	}
	forward(w, b);
	return n;
}

void
dp_pipeline_again(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	run(w, b, DP_STAGE_SEAL, dp_stage_esp_seal);
	forward(w, b);
}

void
dp_pipeline_twin(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	run(w, b, DP_STAGE_PARSE, dp_stage_twin);
	forward(w, b);
}

void
dp_pipeline_monitor(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	run(w, b, DP_STAGE_PARSE, dp_stage_monitor);
	forward(w, b);
}

void
dp_pipeline_resume(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	run(w, b, DP_STAGE_ADJACENCY, dp_stage_adjacency);
	run(w, b, DP_STAGE_TX, dp_stage_tx);
}
