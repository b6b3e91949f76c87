/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose packets the open stage has: the inbound SA of each by its SPI (RFC 4303 3.4.2).
 *
 * Packets that follow each other mostly have one SPI, so the SA is asked for when it differs. What
 * has no SA yet goes to the park, and so does what comes while others with its SPI wait there. A
 * packet that somebody else reads, too, or that lies in several pieces, is copied first. Worker
 * thread.
 */
#include "dataplane/esp_open.h"
#include "dataplane/fit.h"
#include "dataplane/wire.h"

#define ESP_MIN 12 /* header and the shortest text; an SA asks for more */

/*
 * A packet without an SA, or with an SPI for which others wait. True when it was parked or dropped;
 * false when it has an SA and the park no room: it is opened rather than lost.
 */
static bool
stand_back(struct dp_worker *w, struct dp_burst *b, const struct dp_open_item *item)
{
	if (dp_park_add(w, item->m)) {
		b->pkt[item->at] = NULL;
		return true;
	}
	if (item->sa != NULL)
		return false;
	dp_open_refuse(w, b, item, DP_DROP_ESP_SPI);
	return true;
}

/* Give a packet the SA of its SPI. False: it was parked or dropped. */
static bool
find_sa(struct dp_worker *w, struct dp_burst *b, struct dp_open_item *item, struct dp_open_queue *q)
{
	uint32_t spi = dp_pkt(item->m)->spi;

	item->sa = dp_sad_find(w->sad, spi);
	q->sa = item->sa;
	q->other = true;
	if (likely(item->sa != NULL && !dp_park_holds(&w->park, spi)))
		return true;
	q->sa = NULL;
	return !stand_back(w, b, item);
}

static inline void
collect_one(struct dp_worker *w, struct dp_burst *b, uint16_t at, struct dp_open_queue *q)
{
	struct dp_open_item item = {.m = b->pkt[at], .sa = q->sa, .at = at};
	uint32_t spi;

	if (unlikely(!dp_packet_is_alone(item.m))) {
		b->pkt[at] = item.m = dp_packet_own(w, item.m, 0, 0);
		if (item.m == NULL)
			return;
	}
	if (unlikely(item.m->data_len < ESP_MIN)) {
		dp_open_refuse(w, b, &item, DP_DROP_ESP_RUNT);
		return;
	}
	spi = dp_be32(rte_pktmbuf_mtod(item.m, const uint8_t *));
	dp_pkt(item.m)->spi = spi;
	if (unlikely(item.sa == NULL || spi != item.sa->spi) && !find_sa(w, b, &item, q))
		return;
	if (unlikely(q->other)) {
		q->run[q->n_runs++] = q->n;
		q->other = false;
	}
	q->item[q->n++] = item;
}

void
dp_open_collect(struct dp_worker *w, struct dp_burst *b, struct dp_open_queue *q)
{
	q->n = q->n_runs = 0;
	q->sa = NULL;
	for (uint16_t i = 0; i < b->n; i++)
		if (likely(dp_pkt(b->pkt[i])->next == DP_NEXT_OPEN))
			collect_one(w, b, i, q);
	q->run[q->n_runs] = q->n;
}
