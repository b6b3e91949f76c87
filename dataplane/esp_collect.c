/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose packets the open stage has: the inbound SA of each by its SPI (RFC 4303 3.4.2), and what
 * the cipher is to be told of it.
 *
 * Packets that follow each other mostly have one SPI and the next number, which lie side by side:
 * one look tells that a packet continues the line, and its job is made by what is known of the one
 * before. Of any other packet the SA is asked for when its SPI differs. What has no SA yet goes to
 * the park, and so does what comes while others with its SPI wait there. A packet that somebody
 * else reads, too, or that lies in several pieces, is copied first. Nothing is dropped for its
 * length or its number here, unless it is too short to have one: precheck comes after the SA's end
 * was asked. Worker thread.
 */
#include <rte_prefetch.h>

#include "dataplane/esp_open.h"
#include "dataplane/fit.h"
#include "dataplane/wire.h"

#define ESP_MIN 12 /* header and the shortest text; an SA asks for more */

/*
 * A packet without an SA, or with an SPI for which others wait. True when it was parked or dropped;
 * false when it has an SA and the park no room: it is opened rather than lost.
 */
static bool
stand_back(struct dp_worker *w, struct dp_burst *b, uint16_t at, const struct dp_sa_in *sa)
{
	if (dp_park_add(w, b->pkt[at])) {
		b->pkt[at] = NULL;
		return true;
	}
	if (sa != NULL)
		return false;
	dp_open_refuse(w, b, at, DP_DROP_ESP_SPI);
	return true;
}

/* Begin a run with the SA of another SPI than before. False: the packet was parked or dropped. */
static bool
begin_run(struct dp_worker *w, struct dp_burst *b, uint32_t at, uint32_t spi,
	  struct dp_open_queue *q)
{
	struct dp_sa_in *sa = dp_sad_find(w->sad, spi);

	dp_pkt(b->pkt[at])->spi = spi;
	q->sa = sa;
	if (unlikely(sa == NULL || dp_park_holds(&w->park, spi))) {
		q->sa = NULL;
		if (stand_back(w, b, at, sa))
			return false;
	}
	q->run[q->n_runs++] = (struct dp_open_part){.sa = sa, .from = q->n, .in_line = true};
	q->form = (struct dp_open_form){
		.front = (uint32_t)DP_ESP_HDR + sa->iv_len,
		.align = sa->align,
		.odd = (sa->align - 1u) | 1u << 31,
		.spi_be = sa->spi_be,
	};
	return true;
}

/* Make the job of the packet in place `at`, whose text is `beyond` bytes longer than the least. */
static inline void
put_job(struct dp_open_queue *q, uint32_t n, struct rte_mbuf *m, uint32_t at,
	const struct dp_open_form *f, uint32_t beyond, uint32_t number)
{
	uint8_t *text = rte_pktmbuf_mtod(m, uint8_t *) + f->front;

	q->at[n] = (uint16_t)at;
	q->job[n] = (struct dp_crypto_job){
		.text = text, .text_len = beyond + f->align, .spi_be = f->spi_be, .seq = number};
	rte_prefetch0(text + RTE_CACHE_LINE_SIZE); /* for the cipher */
}

/* Does the last packet but for its length, and its number, continue what its run began? */
static bool
in_line(const struct dp_open_queue *q)
{
	const struct dp_crypto_job *last = &q->job[q->n];

	return last->text_len != 0 &&
	       (q->n == q->run[q->n_runs - 1].from || last->seq == last[-1].seq + 1);
}

/*
 * Take a packet that does not continue the line, and say what does from here on. Nothing does where
 * the numbers are about to come round: one more than the last of them, with the SPI before it,
 * would be the first of the next SPI.
 */
static void
join_run(struct dp_open_queue *q, struct rte_mbuf *m, uint32_t at, uint32_t spi, uint32_t number)
{
	struct dp_open_part *run = &q->run[q->n_runs - 1];
	struct dp_open_form *f = &q->form;
	const uint32_t least = f->front + run->sa->tag_len + f->align;
	const uint32_t beyond = m->data_len - least;

	put_job(q, q->n, m, at, f, beyond, number);
	if (unlikely((beyond & f->odd) != 0))
		q->job[q->n].text_len = 0;
	run->in_line &= in_line(q);
	q->n++;
	f->next = ((uint64_t)spi << 32 | number) + 1;
	f->least = likely(number < UINT32_MAX - DP_BURST_ROOM) ? least : DP_OPEN_NO_RUN;
}

/* Any other packet than the next of the line. `next` stays when it is not taken. */
static __rte_noinline void
collect_other(struct dp_worker *w, struct dp_burst *b, uint32_t at, struct dp_open_queue *q)
{
	const uint8_t *esp;
	uint32_t spi;

	if (unlikely(!dp_packet_is_alone(b->pkt[at]))) {
		b->pkt[at] = dp_packet_own(w, b->pkt[at], 0, 0);
		if (b->pkt[at] == NULL)
			return;
	}
	if (unlikely(b->pkt[at]->data_len < ESP_MIN)) {
		dp_open_refuse(w, b, at, DP_DROP_ESP_RUNT);
		return;
	}
	esp = rte_pktmbuf_mtod(b->pkt[at], const uint8_t *);
	spi = dp_be32(esp);
	if ((q->sa != NULL && spi == q->sa->spi) || begin_run(w, b, at, spi, q))
		join_run(q, b->pkt[at], at, spi, dp_be32(esp + 4));
}

void
dp_open_collect(struct dp_worker *w, struct dp_burst *b, struct dp_open_queue *q)
{
	struct dp_open_form f = {.least = DP_OPEN_NO_RUN, .odd = 1u << 31};
	uint32_t n = 0;

	q->n_runs = 0;
	q->sa = NULL;
	q->form = f;
	for (uint32_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		uint32_t beyond = m->data_len - f.least;

		if (unlikely(dp_pkt(m)->next != DP_NEXT_OPEN))
			continue;
		if (likely(dp_packet_is_alone(m) && (beyond & f.odd) == 0 &&
			   dp_be64(rte_pktmbuf_mtod(m, const uint8_t *)) == f.next)) {
			put_job(q, n++, m, i, &f, beyond, (uint32_t)f.next++);
			continue;
		}
		q->n = n;
		q->form.next = f.next; /* all else of it is there */
		collect_other(w, b, i, q);
		n = q->n;
		f = q->form;
	}
	q->run[q->n_runs].from = n;
	q->n = n;
}
