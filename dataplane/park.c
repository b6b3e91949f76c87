/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The park: inbound ESP that comes before its SA.
 *
 * A peer may send on a new child SA as soon as it knows our SPI (RFC 7296 1.2, 1.3.1: a responder
 * installs when it answers), and its first packets can be here before the answer has become an
 * SA_INSTALL. They are not lost: the worker that received them keeps at most DP_PARK_MAX for at
 * most DP_PARK_MS. Only an SPI that we allocated, with all its random bits, is worth a place;
 * anything else is refused at once, so that strangers cannot fill the park by guessing.
 *
 * The first of them is told to iked, once for each SPI given out (RFC 7296 2.8: the answer to the
 * request that offered the SPI is probably lost). It is told even when the park is full, and an SPI
 * that nobody expects costs what it costs with room in the park, one load.
 *
 * Order: while packets of an SPI wait, others with that SPI that the same worker receives wait
 * behind them, installed or not, until the loop takes them all. When the park is full and the SA
 * is there, a packet overtakes rather than being lost; the replay window takes it.
 *
 * The SAD counts a version up after each change that can matter here, so a worker with a park looks
 * at one word for each round of its loop, and one without looks at nothing. `fresh` closes the gap
 * between the failed lookup and the parking: what came since the last look is looked up once more.
 *
 * Parked packets hold no SA and no pointer to anything published, so the worker may pass quiescent
 * states meanwhile. They count as received, and as sent, mirrored or dropped when they leave.
 *
 * Worker thread; no locks.
 */
#include "dataplane/park.h"

#include <rte_cycles.h>

#include "dataplane/packet.h"
#include "dataplane/sad_data.h"
#include "dataplane/worker.h"

enum fate { FATE_OPEN, FATE_WAIT, FATE_DROP };

bool
dp_park_add(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_park *park = &w->park;
	uint32_t spi = dp_pkt(m)->spi;
	bool expected = dp_sad_expects(w->sad, spi);

	if (unlikely(expected))
		dp_sad_early(w->sad, spi);
	if (park->n == DP_PARK_MAX)
		return false;
	if (!expected && !dp_park_holds(park, spi))
		return false;
	park->at[park->n++] = (struct dp_parked){.m = m, .since_tsc = w->now_tsc, .spi = spi};
	park->fresh = true;
	return true;
}

static bool
waited(const struct dp_worker *w, const struct dp_parked *p)
{
	return w->now_tsc - p->since_tsc >= rte_get_tsc_hz() / 1000 * DP_PARK_MS;
}

/* What becomes of a packet; `kept` are those before it that go on waiting. */
static enum fate
decide(const struct dp_worker *w, const struct dp_park *kept, const struct dp_parked *p)
{
	if (dp_park_holds(kept, p->spi))
		return FATE_WAIT; /* an SA installed this very moment: all of its packets next time
				   */
	if (dp_sad_find(w->sad, p->spi) != NULL)
		return FATE_OPEN;
	return dp_sad_expects(w->sad, p->spi) && !waited(w, p) ? FATE_WAIT : FATE_DROP;
}

/* Something may have changed since all were looked at. Partner: dp_sad_changed(). */
static bool
worth_a_look(struct dp_worker *w)
{
	struct dp_park *park = &w->park;
	uint32_t version = atomic_load_explicit(&w->sad->version, memory_order_acquire);

	if (!park->fresh && version == park->version && !waited(w, &park->at[0]))
		return false;
	park->fresh = false;
	park->version = version;
	return true;
}

void
dp_park_take(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_park *park = &w->park;
	uint32_t n = park->n;

	b->n = 0;
	if (n == 0 || !worth_a_look(w))
		return;
	park->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct dp_parked p = park->at[i];

		switch (decide(w, park, &p)) {
		case FATE_OPEN: b->pkt[b->n++] = p.m; break;
		case FATE_WAIT: park->at[park->n++] = p; break;
		case FATE_DROP: dp_drop(w, p.m, DP_DROP_ESP_SPI); break;
		}
	}
}

void
dp_park_flush(struct dp_worker *w)
{
	for (uint32_t i = 0; i < w->park.n; i++)
		dp_drop(w, w->park.at[i].m, DP_DROP_ESP_SPI);
	w->park.n = 0;
}
