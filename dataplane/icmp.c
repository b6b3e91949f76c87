/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors made by the workers: time exceeded and too big (RFC 792, RFC 1191, RFC 1812 4.3).
 *
 * An error quotes the packet it is about, as much as fits into 576 bytes. None is sent about
 * another error, a later fragment, or anything whose source is no single host. Its source is the
 * address of the interface the packet came in by, or some address of ours when that has none. Each
 * worker has its own rate for each kind (RFC 1812 4.3.2.8), so a flood cannot be turned into
 * another.
 *
 * Building and judging are pure; dp_icmp_error() runs on workers.
 */
#include "dataplane/icmp.h"

#include "dataplane/checksum.h"
#include "dataplane/classify.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define ICMP_MAX     576
#define ICMP_HEADERS 28
#define ICMP_TTL     64

#define ICMP_UNREACHABLE   3
#define ICMP_TIME_EXCEEDED 11
#define CODE_FRAG_NEEDED   4

/* Errors are the types below 13 that are no queries or replies. */
static bool
icmp_is_error(uint8_t type)
{
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

bool
dp_icmp_may_answer(const uint8_t *ip, uint16_t len)
{
	unsigned int hdr_len = (ip[0] & 15u) * 4;

	if (dp_be16(ip + 6) & 0x1fff)
		return false;
	if (dp_ipv4_source_martian(dp_be32(ip + 12)) || dp_ipv4_dest_martian(dp_be32(ip + 16)))
		return false;
	return ip[9] != 1 || (len > hdr_len && !icmp_is_error(ip[hdr_len]));
}

uint16_t
dp_icmp_write(uint8_t *out, enum dp_icmp_error_kind kind, uint16_t mtu, uint32_t src,
	      const uint8_t *about, uint16_t about_len)
{
	uint16_t quote = about_len < ICMP_MAX - ICMP_HEADERS ? about_len : ICMP_MAX - ICMP_HEADERS;
	uint16_t len = ICMP_HEADERS + quote;
	uint8_t *icmp = out + 20;

	memset(out, 0, ICMP_HEADERS);
	out[0] = 0x45;
	out[1] = 0xc0; /* internetwork control (RFC 1812 4.3.2.5) */
	dp_put_be16(out + 2, len);
	out[8] = ICMP_TTL;
	out[9] = 1;
	dp_put_be32(out + 12, src);
	memcpy(out + 16, about + 12, 4);
	dp_put_be16(out + 10, dp_csum_finish(dp_csum_add(0, out, 20)));
	icmp[0] = kind == DP_ICMP_TOO_BIG ? ICMP_UNREACHABLE : ICMP_TIME_EXCEEDED;
	icmp[1] = kind == DP_ICMP_TOO_BIG ? CODE_FRAG_NEEDED : 0;
	dp_put_be16(icmp + 6, kind == DP_ICMP_TOO_BIG ? mtu : 0);
	memcpy(icmp + 8, about, quote);
	dp_put_be16(icmp + 2, dp_csum_finish(dp_csum_add(0, icmp, 8u + quote)));
	return len;
}

/* Our address towards the sender: of the interface it used, else any. 0 = we have none. */
static uint32_t
source_for(const struct dp_worker *w, uint16_t iface_in)
{
	const struct dp_iface *in = dp_iface_get(w->tables, iface_in);
	const struct dp_local *local =
		atomic_load_explicit(&w->tables->local, memory_order_acquire);

	if (in && in->addr_v4)
		return in->addr_v4;
	return local ? local->any_v4 : 0;
}

struct rte_mbuf *
dp_icmp_error(struct dp_worker *w, const struct rte_mbuf *m, enum dp_icmp_error_kind kind,
	      uint16_t mtu)
{
	const uint8_t *about = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t src = source_for(w, dp_pkt((struct rte_mbuf *)(uintptr_t)m)->iface_in);

	if (!src || !dp_icmp_may_answer(about, m->data_len) ||
	    !dp_rate_take(&dp_priv(w)->icmp_rate[kind], w->now_tsc))
		return NULL;
	struct rte_mbuf *r = rte_pktmbuf_alloc(w->pool);

	if (!r)
		return NULL;
	struct dp_pkt *p = dp_pkt(r);

	memset(p, 0, sizeof(*p));
	p->port_out = DP_PORT_NONE;
	p->next = DP_NEXT_FIB;
	p->flags = DP_PKT_CREATED | DP_PKT_FROM_TWIN; /* our own packet */
	r->data_len =
		dp_icmp_write(rte_pktmbuf_mtod(r, uint8_t *), kind, mtu, src, about, m->data_len);
	r->pkt_len = r->data_len;
	w->count.created++;
	return r;
}
