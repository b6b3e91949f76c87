/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: what the seal stage writes around one packet. Worker thread. */
#ifndef SPW_DATAPLANE_ESP_STAMP_H
#define SPW_DATAPLANE_ESP_STAMP_H

#include <rte_prefetch.h>

#include "dataplane/esp_write.h"
#include "dataplane/sad_data.h"

#define DP_SEAL_PAD_MAX (DP_CRYPTO_ALIGN_MAX - 1)
#define DP_SEAL_TAIL	(DP_SEAL_PAD_MAX + 2 + DP_CRYPTO_TAG) /* padding, trailer, tag */
#define DP_SEAL_HEAD	(DP_OUTER_MAX + DP_ESP_HDR + DP_CRYPTO_IV_MAX + DP_L2_ROOM)

/* What the packets of a run have in common, out of reach of the stores into them. */
struct dp_stamp {
	uint32_t spi_be;
	uint32_t slot;
	struct dp_outer_take take;
	uint32_t front, tag_len, align;
};

static inline struct dp_stamp
dp_stamp_of(const struct dp_sa_out *sa, const struct dp_tunnel *tunnel)
{
	return (struct dp_stamp){
		.spi_be = sa->spi_be,
		.slot = sa->slot,
		.take = dp_outer_take(
			atomic_load_explicit(&tunnel->outer_rule, memory_order_relaxed)),
		.front = DP_ESP_HDR + sa->iv_len,
		.tag_len = sa->tag_len,
		.align = sa->align,
	};
}

/*
 * Write all that is around the text of one packet, and its job for the cipher. `kind` is o->kind.
 */
static __rte_always_inline void
dp_stamp_put(const struct dp_stamp *s, const struct dp_outer *o, enum dp_outer_kind kind,
	     struct rte_mbuf *m, uint64_t seq, struct dp_crypto_job *job)
{
	const bool outer6 = kind == DP_OUTER_V6 || kind == DP_OUTER_V6_UDP;
	const bool udp = kind == DP_OUTER_V4_UDP || kind == DP_OUTER_V6_UDP;
	const uint32_t outer_len = (outer6 ? 40u : 20u) + (udp ? 8u : 0u);
	const uint32_t len = m->data_len;
	struct dp_pkt *p = dp_pkt(m);
	const uint8_t flags = p->flags;
	bool inner6 = (flags & DP_PKT_IPV6) != 0;
	uint8_t *text = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *esp = text - s->front;
	struct dp_outer_fields f = {
		.marks = dp_outer_marks(&s->take, dp_outer_inner(text, inner6)),
		.id = (uint16_t)seq,
	};
	uint32_t text_len = dp_esp_trailer(text, len, s->align, inner6);

	rte_prefetch0(text + RTE_CACHE_LINE_SIZE); /* for the cipher */

	*job = (struct dp_crypto_job){
		.text = text, .text_len = text_len, .spi_be = s->spi_be, .seq = seq};
	f.esp_len = s->front + text_len + s->tag_len;
	dp_esp_header(esp, s->spi_be, seq);
	dp_outer_put(esp, o, kind, &f);
	m->data_off = (uint16_t)(m->data_off - s->front - outer_len);
	m->data_len = (uint16_t)(f.esp_len + outer_len);
	m->pkt_len = f.esp_len + outer_len;
	p->sa = s->slot;
	p->inner_len = (uint16_t)len;
	p->flags = (uint8_t)((flags & ~DP_PKT_IPV6) | DP_PKT_OUTER | (outer6 ? DP_PKT_IPV6 : 0));
	p->next = DP_NEXT_OUTER;
}

#endif
