/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Before the cipher of the open stage: lengths, numbers, and the jobs.
 *
 * Nearly every run has packets whose numbers follow each other and lie beyond the window: that is
 * found out while their jobs are made, without asking of each. Of any other run each packet is held
 * against the window, which decides nothing yet (esp_open.c asks again after the tag).
 *
 * Worker thread, under the SA's guard.
 */
#include <rte_prefetch.h>

#include "dataplane/esp_open.h"
#include "dataplane/wire.h"

void
dp_open_refuse_replay(struct dp_worker *w, struct dp_burst *b, const struct dp_open_item *item,
		      enum dp_replay_verdict verdict)
{
	if (verdict == DP_REPLAY_LATE) {
		dp_count_shared(&item->sa->late);
		dp_open_refuse(w, b, item, DP_DROP_ESP_LATE);
	} else {
		dp_count_shared(&item->sa->replayed);
		dp_open_refuse(w, b, item, DP_DROP_ESP_REPLAY);
	}
}

/* What the packets of an SA have in common, out of reach of the stores into them. */
struct form {
	uint32_t front;	 /* ESP header and IV */
	uint32_t around; /* all that is not text */
	uint32_t align;	 /* of the text */
	uint32_t spi_be;
	bool esn;
};

/* Length of the text in a packet of this form; 0 when none can be this long (RFC 4303 2.4). */
static inline uint32_t
text_length(const struct form *f, uint32_t esp_len)
{
	uint32_t text = esp_len - f->around;

	return esp_len >= f->around + f->align && (text & (f->align - 1u)) == 0 ? text : 0;
}

/* Take `item` into the run unless its length or its number is wrong. Under the guard. */
static void
precheck_one(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r, const struct form *f,
	     const struct dp_open_item *item)
{
	const struct dp_replay *window = &r->sa->replay;
	uint8_t *esp = rte_pktmbuf_mtod(item->m, uint8_t *);
	uint32_t lo = dp_be32(esp + 4), text_len = text_length(f, item->m->data_len);
	uint64_t seq = f->esn ? dp_replay_infer(window->top, window->size, lo) : lo;
	enum dp_replay_verdict verdict;

	if (unlikely(text_len == 0)) {
		dp_open_refuse(w, b, item, DP_DROP_ESP_RUNT);
		return;
	}
	verdict = dp_replay_check(window, seq);
	if (unlikely(verdict != DP_REPLAY_OK)) {
		dp_open_refuse_replay(w, b, item, verdict);
		return;
	}
	r->in_line &= r->n == 0 || seq == r->job[r->n - 1].seq + 1;
	if (unlikely(&r->item[r->n] != item))
		r->item[r->n] = *item;
	r->job[r->n++] = (struct dp_crypto_job){
		.text = esp + f->front, .text_len = text_len, .spi_be = f->spi_be, .seq = seq};
	rte_prefetch0(esp + f->front + RTE_CACHE_LINE_SIZE); /* for the cipher */
}

/*
 * The usual run: `n` packets of the right length, whose numbers follow each other and lie beyond
 * the window. False when it is another: nothing was done.
 */
static bool
precheck_line(struct dp_open_run *r, const struct form *f, uint16_t n)
{
	const struct dp_replay *window = &r->sa->replay;
	const uint32_t first = dp_be32(rte_pktmbuf_mtod(r->item[0].m, const uint8_t *) + 4);
	const uint64_t seq = f->esn ? dp_replay_infer(window->top, window->size, first) : first;
	uint32_t odd = 0;

	/* Neither round their end nor so far ahead that the upper halves might differ. */
	if (unlikely(first > UINT32_MAX - DP_CRYPTO_RUN || seq <= window->top ||
		     seq - window->top > INT32_MAX))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = r->item[i].m;
		uint8_t *esp = rte_pktmbuf_mtod(m, uint8_t *);
		uint32_t text_len = m->data_len - f->around;

		odd |= dp_be32(esp + 4) ^ (first + i); /* another number */
		odd |= text_len & (f->align - 1);
		odd |= (text_len - f->align) >> 31; /* too short */
		r->job[i] = (struct dp_crypto_job){.text = esp + f->front,
						   .text_len = text_len,
						   .spi_be = f->spi_be,
						   .seq = seq + i};
		rte_prefetch0(esp + f->front + RTE_CACHE_LINE_SIZE); /* for the cipher */
	}
	r->n = n;
	r->in_line = true;
	return odd == 0;
}

void
dp_open_precheck(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r, uint16_t n)
{
	struct dp_sa_in *sa = r->sa;
	const struct form f = {.front = (uint32_t)DP_ESP_HDR + sa->iv_len,
			       .around = (uint32_t)DP_ESP_HDR + sa->iv_len + sa->tag_len,
			       .align = sa->align,
			       .spi_be = sa->spi_be,
			       .esn = sa->esn};

	dp_open_guard(w->sad, sa);
	if (unlikely(!precheck_line(r, &f, n))) {
		r->n = 0;
		r->in_line = true;
		for (struct dp_open_item *item = r->item, *end = item + n; item != end; item++)
			precheck_one(w, b, r, &f, item);
	}
	dp_open_unguard(w->sad, sa);
}
