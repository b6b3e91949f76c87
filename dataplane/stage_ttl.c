/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage TTL: packets whose hops are used up (next EXPIRED, set by whoever took the last one:
 * hops.h) are dropped and their senders told by ICMP time exceeded, at a limited rate; the answers
 * join the burst. The gateway's own packets lose no hop. Worker thread.
 */
#include "dataplane/icmp.h"
#include "dataplane/stages.h"

void
dp_stage_ttl(struct dp_worker *w, struct dp_burst *b)
{
	struct rte_mbuf *answers[DP_BURST];
	uint16_t n_answers = 0, kept = 0;

	b->kinds &= (uint16_t)~DP_KIND(DP_NEXT_EXPIRED);
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];

		if (dp_pkt(m)->next != DP_NEXT_EXPIRED) {
			b->pkt[kept++] = m;
			continue;
		}
		struct rte_mbuf *answer =
			n_answers < DP_BURST ? dp_icmp_error(w, m, DP_ICMP_TIME_EXCEEDED, 0) : NULL;

		if (answer)
			answers[n_answers++] = answer;
		dp_drop(w, m, DP_DROP_TTL);
	}
	b->n = kept;
	for (uint16_t i = 0; i < n_answers; i++)
		if (!dp_burst_add(b, answers[i]))
			dp_drop(w, answers[i], DP_DROP_NO_BUFFER);
}
