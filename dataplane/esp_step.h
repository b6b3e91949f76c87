/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: sealing packet by packet, where each goes into another tunnel. */
#ifndef SPW_DATAPLANE_ESP_STEP_H
#define SPW_DATAPLANE_ESP_STEP_H

#include "dataplane/esp_seal.h"

/*
 * Is a burst to be sealed by steps: with one worker, and packets that go into several tunnels?
 * Three of them tell, which may err either way.
 */
static inline bool
dp_seal_mixed(const struct dp_worker *w, const struct dp_burst *b)
{
	uint32_t first, middle, last;

	if (b->n < 3 || w->sad->shared || w->spread != NULL)
		return false;
	first = dp_pkt(b->pkt[0])->tunnel;
	middle = dp_pkt(b->pkt[b->n / 2u])->tunnel;
	last = dp_pkt(b->pkt[b->n - 1u])->tunnel;
	return first != middle || middle != last;
}

/*
 * Seal the packets from the `from`th of a burst on, whatever tunnel each goes into, with one
 * worker. The first that is not of the plain kind ends it: another suite than the first one's, an
 * outer header of IPv6, selectors to ask, a limit near, a counter of its own. Returns how many.
 * Worker thread.
 */
uint16_t dp_seal_step(struct dp_worker *w, const struct dp_burst *b, uint16_t from);

#endif
