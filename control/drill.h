/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: the drill, and what it measures. */
#ifndef SPW_CONTROL_DRILL_H
#define SPW_CONTROL_DRILL_H

#include <jansson.h>

#include "control/runtime_priv.h"

enum ctl_drill_side { CTL_DRILL_CIRCUIT, CTL_DRILL_BACKUP, CTL_DRILL_SIDES };

/* Counters at one moment; they only grow. */
struct ctl_drill_sample {
	uint64_t at_ns;
	struct {
		uint64_t sent, lost, received, rtt[SPW_DP_RTT_BUCKETS]; /* probes of the burst */
		uint64_t packets;					/* carried */
	} side[CTL_DRILL_SIDES];
	uint64_t drops; /* of the gateway, for whatever reason */
	uint64_t tunnel_out, tunnel_in, violations;
};

/* 0 or -errno with a sentence. */
int ctl_drill_sample(struct ctl_runtime *rt, struct ctl_vnet_state *vnet,
		     struct ctl_drill_sample *out, struct spw_err *err);

struct ctl_drill_part {
	double seconds;
	uint64_t sent, lost, packets, dropped;
	double loss_percent, p50_us, p99_us; /* negative = nothing was measured */
};
/* What happened on one side between two moments. Pure. */
void ctl_drill_between(const struct ctl_drill_sample *a, const struct ctl_drill_sample *b,
		       enum ctl_drill_side side, struct ctl_drill_part *out);
/* The same as a row of the report. */
json_t *ctl_drill_row(const char *phase, const char *path, const struct ctl_drill_part *part);

/* The one who gave the command (its ctx) will not hear the answer: a drill ends. */
void ctl_drill_cancel(struct ctl_runtime *rt, const void *ctx);

#endif
