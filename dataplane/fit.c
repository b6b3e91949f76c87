/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fit stage: every packet shall fit its way out before it is sealed or framed.
 *
 * A way is a tunnel (its inner MTU) or an interface. Packets that are too long are cut when they
 * allow it, or answered by ICMP "fragmentation needed" with the way's MTU (RFC 1191, RFC
 * 4301 8.2.1) and dropped; so the outer packets of a tunnel never need cutting, and ours are never
 * cut. The MSS of new TCP connections is lowered to what the way carries, in both directions
 * through a tunnel.
 *
 * The common burst, nothing too long, is walked once and stays in place. Otherwise it is rebuilt in
 * order, with fragments where their packet was and ICMP errors at the end. Conservation: of n
 * fragments n - 1 count as created. Worker thread.
 */
#include "dataplane/fit.h"

#include "dataplane/icmp.h"
#include "dataplane/sad_data.h"
#include "dataplane/tables.h"

#define DF 0x40 /* in octet 6 of the header */

/* What a way carries; mss 0 = no clamp. */
struct way {
	uint32_t mtu;
	uint32_t mss;
};

static struct way
tunnel_way(const struct dp_sad *sad, uint32_t tunnel)
{
	const struct dp_tunnel *t;

	if (unlikely(tunnel >= sad->max_tunnels))
		return (struct way){.mtu = UINT32_MAX}; /* seal drops it */
	t = &sad->tunnels[tunnel];
	return (struct way){
		.mtu = atomic_load_explicit(&t->mtu, memory_order_relaxed),
		.mss = atomic_load_explicit(&t->mss, memory_order_relaxed),
	};
}

/* The smaller of two clamps, of which 0 is none. */
static uint32_t
least(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static struct way
iface_way(const struct dp_worker *w, const struct dp_pkt *p)
{
	const struct dp_iface *i = dp_iface_get(w->tables, p->iface_out);
	struct way way = {.mtu = UINT32_MAX}; /* an interface that is gone: a later stage drops */

	if (i != NULL)
		way = (struct way){.mtu = i->conf.mtu, .mss = i->conf.mss_clamp};
	if ((p->flags & DP_PKT_DECRYPTED) != 0)
		way.mss = least(way.mss, tunnel_way(w->sad, p->tunnel).mss);
	return way;
}

static struct way
way_of(const struct dp_worker *w, const struct dp_pkt *p)
{
	struct way way = {.mtu = UINT32_MAX};

	if (p->next == DP_NEXT_SEAL)
		way = tunnel_way(w->sad, p->tunnel);
	else if (p->next == DP_NEXT_ADJ)
		way = iface_way(w, p);
	if ((p->flags & DP_PKT_OUTER) != 0)
		way.mss = 0; /* not a packet to look into */
	return way.mtu != 0 ? way : (struct way){.mtu = UINT32_MAX};
}

/* A SYN is changed only when it is in one piece and nobody else reads it. */
static void
clamp(struct rte_mbuf *m, uint32_t mss)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	if (ip[0] >> 4 != 4 || ip[9] != 6)
		return;
	if (RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1)
		(void)dp_mss_clamp(ip, m->data_len, mss);
}

/* A burst being rebuilt; `left` packets of the old one are still to come. */
struct rebuild {
	uint16_t n, left, replies;
	struct rte_mbuf *pkt[DP_BURST_ROOM + 1];
	struct rte_mbuf *reply[DP_BURST_ROOM];
};

static void
too_big(struct dp_worker *w, struct rebuild *r, struct rte_mbuf *m, uint32_t mtu)
{
	struct rte_mbuf *reply = NULL;

	if ((dp_pkt(m)->flags & DP_PKT_OUTER) == 0)
		reply = dp_icmp_error(w, m, DP_ICMP_TOO_BIG, (uint16_t)mtu);
	if (reply != NULL)
		r->reply[r->replies++] = reply;
	dp_drop(w, m, DP_DROP_TOO_BIG);
}

static void
cut(struct dp_worker *w, struct rebuild *r, struct rte_mbuf *m, uint32_t mtu)
{
	uint16_t room = DP_BURST_ROOM - r->n - r->left - r->replies;
	uint16_t n = dp_fragment_packet(w, m, mtu, &r->pkt[r->n], room);

	if (n == 0) {
		dp_drop(w, m, DP_DROP_FRAGMENT_FAILED);
		return;
	}
	r->n += n;
	w->count.created += n - 1u;
	rte_pktmbuf_free(m);
}

static void
rebuild_one(struct dp_worker *w, struct rebuild *r, struct rte_mbuf *m)
{
	uint32_t mtu = way_of(w, dp_pkt(m)).mtu;
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	if (rte_pktmbuf_pkt_len(m) <= mtu)
		r->pkt[r->n++] = m;
	else if ((ip[6] & DF) != 0 || (dp_pkt(m)->flags & DP_PKT_OUTER) != 0)
		too_big(w, r, m, mtu);
	else
		cut(w, r, m, mtu);
}

/*
 * The new burst is never longer than its room: a packet takes its own place, an ICMP error that of
 * its packet, and fragments what nobody else will need.
 */
static void
rebuild(struct dp_worker *w, struct dp_burst *b)
{
	struct rebuild r = {.left = b->n};

	for (uint16_t i = 0; i < b->n; i++) {
		r.left--;
		rebuild_one(w, &r, b->pkt[i]);
	}
	b->n = 0;
	for (uint16_t i = 0; i < r.n; i++)
		b->pkt[b->n++] = r.pkt[i];
	for (uint16_t i = 0; i < r.replies; i++)
		b->pkt[b->n++] = r.reply[i];
}

void
dp_stage_fit(struct dp_worker *w, struct dp_burst *b)
{
	bool long_ones = false;

	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		struct way way = way_of(w, dp_pkt(m));

		if (way.mss != 0)
			clamp(m, way.mss);
		long_ones |= rte_pktmbuf_pkt_len(m) > way.mtu;
	}
	if (unlikely(long_ones))
		rebuild(w, b);
}
