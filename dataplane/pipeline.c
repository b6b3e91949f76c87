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

static void
forward(struct dp_worker *w, struct dp_burst *b)
{
	for (unsigned int round = 0; round < DP_ROUNDS && to_be_routed(b); round++) {
		dp_stage_fib(w, b);
		dp_stage_path(w, b);
		dp_stage_fit(w, b);
		dp_stage_esp_seal(w, b);
	}
	dp_stage_adjacency(w, b);
	dp_stage_tx(w, b);
}

static void
burst_begin(struct dp_worker *w)
{
	w->now_tsc = rte_rdtsc();
	dp_path_view_renew(&dp_priv(w)->view, w->tables->bits);
}

static void
open_and_forward(struct dp_worker *w, struct dp_burst *b)
{
	dp_stage_esp_open(w, b);
	dp_stage_deliver(w, b);
	dp_stage_ttl(w, b);
	forward(w, b);
}

void
dp_pipeline_rx(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	dp_stage_parse(w, b);
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
	dp_stage_twin(w, b);
	forward(w, b);
}

void
dp_pipeline_resume(struct dp_worker *w, struct dp_burst *b)
{
	burst_begin(w);
	dp_stage_adjacency(w, b);
	dp_stage_tx(w, b);
}
