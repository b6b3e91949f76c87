/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: several workers' loops share the cipher work of SAs. */
#ifndef SPW_DATAPLANE_SPREAD_TURN_H
#define SPW_DATAPLANE_SPREAD_TURN_H

#include "dataplane/spread.h"
#include "dataplane/spread_seal.h"
#include "dataplane/stages.h"

#define DP_TURN_LIGHT 16 /* packets in a turn with which a worker still has time for others */

/*
 * Let workers help each other; with one worker nothing is made. Before they run; dp_worker_free()
 * takes it away again. 0 or -ENOMEM with a sentence.
 */
int dp_spread_start(struct dp_worker *const *w, unsigned int n, struct spw_err *err)
	__attribute__((warn_unused_result));
void dp_spread_stop(struct dp_worker *w);

/*
 * A worker's turn after it has received `n` packets: run its own chunks, send on what is back, try
 * again what waits, help others when there is time. Returns how many packets moved; a chunk run
 * for another counts as one. Only with w->spread. `b` is scratch.
 */
uint32_t dp_spread_turn(struct dp_worker *w, struct dp_burst *b, uint32_t n);
/* May the worker sleep? Not while anything of its own is out or another has too much to do. */
bool dp_spread_may_sleep(const struct dp_worker *w);
/* Report quiescence, as far as what is out allows. */
void dp_spread_report(struct dp_worker *w);
/* Bring everything home that is out; when the worker ends. */
void dp_spread_flush(struct dp_worker *w, struct dp_burst *b);

#endif
