/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage TTL: a forwarded packet loses one hop (RFC 1812 5.3.1, RFC 8200 3), whether it came in the
 * clear or out of a tunnel; the gateway's own packets do not. A packet whose TTL or hop limit is
 * used up is dropped and its sender told by ICMP time exceeded, at a limited rate; the answer joins
 * the burst. Worker thread.
 */
#include "dataplane/checksum.h"
#include "dataplane/icmp.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

static bool
is_transit(const struct dp_pkt *p)
{
	return p->next == DP_NEXT_FIB &&
	       !(p->flags & (DP_PKT_FROM_TWIN | DP_PKT_CREATED | DP_PKT_OUTER));
}

/* Take one hop from an IPv4 packet and mend the checksum; false when none is left. */
static bool
ttl_take(uint8_t *ip)
{
	uint16_t old = dp_be16(ip + 8), now = (uint16_t)(old - 0x100);

	if (old < 0x200)
		return false;
	/* Both fields in one store: nothing is read back that was just written in part. */
	dp_put_be32(ip + 8, (uint32_t)now << 16 | dp_csum_update(dp_be16(ip + 10), old, now));
	return true;
}

/* The same of an IPv6 packet, which has no checksum. */
static bool
hop_limit_take(uint8_t *ip)
{
	if (ip[7] <= 1)
		return false;
	ip[7]--;
	return true;
}

/* False when the packet ends here. */
static bool
hop_one(struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	if (!is_transit(dp_pkt(m)))
		return true;
	return dp_pkt(m)->flags & DP_PKT_IPV6 ? hop_limit_take(ip) : ttl_take(ip);
}

void
dp_stage_ttl(struct dp_worker *w, struct dp_burst *b)
{
	struct rte_mbuf *answers[DP_BURST];
	uint16_t n_answers = 0, kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];

		if (likely(hop_one(m))) {
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
