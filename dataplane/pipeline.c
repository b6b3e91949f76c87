/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of the stages; nothing else is decided here.
 *
 *   rx → parse → { to us: mirror to the twin
 *                | ESP: open { SA still to come: park → open } → deliver { to us: mirror }
 *                | else } → TTL → FIB → path group
 *      → { adjacency | fit, seal → FIB (outer) → path group → adjacency } → tx
 *
 * One burst runs to its end before the next is received. A stage handles the packets whose `next`
 * names it and leaves the others in place. Sealing and ICMP errors send packets back to the FIB;
 * DP_ROUNDS bounds how often (the packet, its outer packet; an ICMP error about it and that one's
 * outer packet), and whoever is not done then is dropped by tx.
 *
 * Parked packets wait outside of any burst; once their SA is there, the loop runs them from open on
 * before it receives more.
 *
 * The bitmap of live paths is copied once, before the first stage. Worker thread; no locks,
 * allocation, system calls or logging in here.
 */
#include "dataplane/sad.h"
#include "dataplane/stages.h"

static bool
to_be_routed(const struct dp_burst *b)
{
	for (uint16_t i = 0; i < b->n; i++)
		if (dp_pkt(b->pkt[i])->next < DP_NEXT_ADJ)
			return true;
	return false;
}

/* Run one stage, and count its cycles when they are measured. */
static inline void
run(struct dp_worker *w, struct dp_burst *b, enum dp_stage id,
    void (*stage)(struct dp_worker *, struct dp_burst *))
{
	stage(w, b);
	if (unlikely(w->cycles != NULL))
		dp_cycles_note(w->cycles, id);
}

static void
forward(struct dp_worker *w, struct dp_burst *b)
{
	for (unsigned int round = 0; round < DP_ROUNDS && to_be_routed(b); round++) {
		run(w, b, DP_STAGE_FIB, dp_stage_fib);
		run(w, b, DP_STAGE_PATH, dp_stage_path);
		run(w, b, DP_STAGE_FIT, dp_stage_fit);
		run(w, b, DP_STAGE_SEAL, dp_stage_esp_seal);
	}
	run(w, b, DP_STAGE_ADJACENCY, dp_stage_adjacency);
	run(w, b, DP_STAGE_TX, dp_stage_tx);
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
	run(w, b, DP_STAGE_OPEN, dp_stage_esp_open);
	run(w, b, DP_STAGE_DELIVER, dp_stage_deliver);
	run(w, b, DP_STAGE_TTL, dp_stage_ttl);
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
	open_and_forward(w, b);
}

void
dp_pipeline_twin(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	run(w, b, DP_STAGE_PARSE, dp_stage_twin);
	forward(w, b);
}

void
dp_pipeline_resume(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	run(w, b, DP_STAGE_ADJACENCY, dp_stage_adjacency);
	run(w, b, DP_STAGE_TX, dp_stage_tx);
}
