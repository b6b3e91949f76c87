/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage back: packets whose cipher work was spread over several workers (spread.c) return to their
 * burst, SA by SA in the order in which they left it. Opened ones go on with the replay window,
 * sealed ones with their outer destination. As many chunks are taken as surely fit a burst.
 *
 * Worker thread, the owner of the chunks.
 */
#include <rte_prefetch.h>

#include "dataplane/sad.h"
#include "dataplane/spread.h"
#include "dataplane/worker.h"

/*
 * Bring near what the next stages read of an opened packet: its first bytes and its trailer are in
 * another core's cache when that one opened it.
 */
static void
fetch(const struct dp_chunk *chunk)
{
	for (uint32_t i = 0; i < chunk->n; i++) {
		const struct dp_crypto_job *job = &chunk->job[i];

		rte_prefetch0(job->text);
		rte_prefetch0(job->text + job->text_len - 2);
	}
}

void
dp_stage_esp_back(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_chunk *chunk;

	while (b->n + DP_CHUNK_PKTS <= DP_BURST && (chunk = dp_spread_retire(w->spread)) != NULL) {
		if (chunk->kind == DP_LANE_OPEN) {
			fetch(chunk);
			dp_esp_open_back(w, b, chunk);
		} else {
			dp_esp_seal_back(w, b, chunk);
		}
		dp_spread_put(w->spread, chunk);
	}
}
