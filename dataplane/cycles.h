/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: where a worker's cycles go, by stage. Off (dp_worker.cycles NULL) it costs
 * one untaken branch a stage and burst; on, one reading of the time-stamp counter.
 */
#ifndef SPW_DATAPLANE_CYCLES_H
#define SPW_DATAPLANE_CYCLES_H

#include <rte_cycles.h>
#include <stdint.h>

/* DP_STAGE(symbol, "name"): the stages in their order; DRIVER is the port's transmit call. */
#define DP_STAGES                                                                                  \
	DP_STAGE(PARSE, "parse")                                                                   \
	DP_STAGE(OPEN, "open")                                                                     \
	DP_STAGE(DELIVER, "deliver")                                                               \
	DP_STAGE(TTL, "ttl")                                                                       \
	DP_STAGE(FIB, "fib")                                                                       \
	DP_STAGE(PATH, "path")                                                                     \
	DP_STAGE(FIT, "fit")                                                                       \
	DP_STAGE(SHAPE, "shape")                                                                   \
	DP_STAGE(SEAL, "seal")                                                                     \
	DP_STAGE(OUTER, "outer")                                                                   \
	DP_STAGE(ADJACENCY, "adjacency")                                                           \
	DP_STAGE(TX, "tx")                                                                         \
	DP_STAGE(DRIVER, "driver")

enum dp_stage {
#define DP_STAGE(sym, name) DP_STAGE_##sym,
	DP_STAGES
#undef DP_STAGE
		DP_STAGE_COUNT
};

/* TSC cycles spent in each stage since the start; written by the worker alone. */
struct dp_stage_cycles {
	uint64_t spent[DP_STAGE_COUNT];
	uint64_t mark; /* end of the stage before */
};

static inline void
dp_cycles_begin(struct dp_stage_cycles *c, uint64_t now)
{
	c->mark = now;
}

/* What passed since the last mark was spent in `stage`. */
static inline void
dp_cycles_note(struct dp_stage_cycles *c, enum dp_stage stage)
{
	uint64_t now = rte_rdtsc();

	c->spent[stage] += now - c->mark;
	c->mark = now;
}

#endif
