/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that may be changed in place.
 *
 * Ciphers work in place on one piece of memory. A packet that is chained, shared, attached to
 * somebody else's buffer, or without room for headers is copied first: writing to memory that we do
 * not own would corrupt what others still read. Nearly no packet needs it. Worker thread.
 */
#include <string.h>

#include "dataplane/fit.h"

/* Copy content and metadata to a fresh mbuf; NULL when the packet does not fit in one. */
static bool
copy_to(struct rte_mbuf *copy, const struct rte_mbuf *m, uint16_t head, uint16_t tail)
{
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint16_t start = RTE_MAX(head, (uint16_t)RTE_PKTMBUF_HEADROOM);
	const void *from;
	void *to;

	if (start + len + tail > copy->buf_len)
		return false;
	copy->data_off = start;
	to = rte_pktmbuf_append(copy, (uint16_t)len);
	if (to == NULL)
		return false;
	from = rte_pktmbuf_read(m, 0, len, to);
	if (from == NULL)
		return false;
	if (from != to)
		memcpy(to, from, len);
	*dp_pkt(copy) = *(const struct dp_pkt *)rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);
	copy->port = m->port;
	copy->ol_flags |= m->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
	copy->vlan_tci = m->vlan_tci;
	copy->vlan_tci_outer = m->vlan_tci_outer;
	return true;
}

struct rte_mbuf *
dp_packet_own(struct dp_worker *w, struct rte_mbuf *m, uint16_t head, uint16_t tail)
{
	struct rte_mbuf *copy;

	if (likely(dp_packet_is_own(m, head, tail)))
		return m;
	copy = rte_pktmbuf_alloc(w->pool);
	if (copy == NULL) {
		dp_drop(w, m, DP_DROP_NO_BUFFER);
		return NULL;
	}
	if (!copy_to(copy, m, head, tail)) {
		rte_pktmbuf_free(copy);
		dp_drop(w, m, DP_DROP_NO_ROOM);
		return NULL;
	}
	rte_pktmbuf_free(m);
	return copy;
}
