/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: where inbound ESP waits whose SPI is allocated and whose SA is not
 * installed yet. One for each worker, zeroed = empty; that worker alone uses it.
 */
#ifndef SPW_DATAPLANE_PARK_H
#define SPW_DATAPLANE_PARK_H

#include <stdbool.h>
#include <stdint.h>

#define DP_PARK_MAX 64
#define DP_PARK_MS  250 /* longer than an install takes, far shorter than a sender's patience */

struct dp_burst;
struct dp_worker;
struct rte_mbuf;

struct dp_park {
	uint32_t n;
	uint32_t version; /* of the SAD when all of them were last looked at */
	bool fresh;	  /* one came since: look whatever the version says */
	struct dp_parked {
		struct rte_mbuf *m;
		uint64_t since_tsc;
		uint32_t spi;
	} at[DP_PARK_MAX]; /* oldest first */
};

/* Do packets with this SPI wait? Another one must then wait behind them. */
static inline bool
dp_park_holds(const struct dp_park *park, uint32_t spi)
{
	for (uint32_t i = 0; i < park->n; i++)
		if (park->at[i].spi == spi)
			return true;
	return false;
}

/*
 * Take a packet (dp_pkt.spi set) that no SA opens yet. False, and the packet stays the caller's,
 * when its SPI is not expected or the park is full. Worker thread.
 */
bool dp_park_add(struct dp_worker *w, struct rte_mbuf *m) __attribute__((warn_unused_result));
/*
 * Put what has an SA by now into `b`, which becomes at most DP_PARK_MAX long, in order of arrival;
 * drop what is expected no more or waited DP_PARK_MS. One load when neither an SA nor time has
 * changed anything. Worker thread, w->now_tsc set.
 */
void dp_park_take(struct dp_worker *w, struct dp_burst *b);
/* Drop all; when the worker ends. */
void dp_park_flush(struct dp_worker *w);

#endif
