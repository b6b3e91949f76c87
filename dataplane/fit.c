/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fit stage: every packet shall fit its way out before it is sealed or framed.
 *
 * A way is a tunnel (its inner MTU, configured or learnt) or an interface. Packets that are too
 * long are cut when they allow it, or answered by ICMP "fragmentation needed" or ICMPv6 "packet too
 * big" with the way's MTU (RFC 1191, RFC 8201, RFC 4301 8.2.1) and dropped; so the outer packets of
 * a tunnel never need cutting, and ours are never cut. One of ours that its interface does not
 * carry is dropped and teaches the tunnel (pmtu.c), so that the next inner packet is answered. The
 * MSS of new TCP connections is lowered to what the way carries, in both directions; what comes out
 * of one tunnel and goes into another shall fit both.
 *
 * IPv6 packets are never cut. The MTU they are told is at least 1280, and packets of that size go
 * into any tunnel, because no sender makes smaller ones (RFC 8200 5); where the path outside is too
 * small for that, the API thread says so in the log when it learns of it (sad_mtu.c).
 *
 * The common burst is never seen here: the path stage finds that everything fits and no connection
 * begins (dp_fit_fits()). A burst with nothing too long is walked once and stays in place.
 * Otherwise it is rebuilt in order, with fragments where their packet was and ICMP errors at the
 * end. Conservation: of n fragments n - 1
 * count as created. Worker thread.
 */
#include "dataplane/fit.h"

#include <netinet/in.h>

#include "dataplane/icmp.h"
#include "dataplane/sad_data.h"
#include "dataplane/tables.h"

#define DF	 0x40	/* in octet 6 of the header */
#define NO_LIMIT 65535u /* no IP packet is longer */

/* Seal comes next: bring near the SA of a tunnel, whose pointer lies beside the word. */
static inline void
fetch_sa(const struct dp_sad *sad, uint32_t tunnel)
{
	if (likely(tunnel < sad->max_tunnels))
		rte_prefetch0(
			atomic_load_explicit(&sad->tunnels[tunnel].out, memory_order_relaxed));
}

static uint64_t
word_of(uint32_t mtu, uint32_t mss4, uint32_t mss6)
{
	return (uint64_t)mss6 << 48 | (uint64_t)mtu << 32 | mss4 << 16 | mtu;
}

static uint64_t
tunnel_word(const struct dp_sad *sad, uint32_t tunnel)
{
	if (unlikely(tunnel >= sad->max_tunnels))
		return 0;
	return atomic_load_explicit(&sad->tunnels[tunnel].fit, memory_order_relaxed);
}

/* The smaller of two clamps, of which 0 is none. */
static uint32_t
least(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* An interface that is gone has no limit: a later stage drops. */
static __attribute__((noinline)) uint64_t
iface_word(const struct dp_worker *w, const struct dp_pkt *p)
{
	const struct dp_iface *i = dp_iface_get(w->tables, p->iface_out);
	uint64_t from = (p->flags & DP_PKT_DECRYPTED) != 0 ? tunnel_word(w->sad, p->tunnel) : 0;
	uint32_t mtu = i != NULL && i->conf.mtu != 0 ? RTE_MIN(i->conf.mtu, NO_LIMIT) : NO_LIMIT;
	uint32_t mss[2] = {0};

	if ((p->flags & DP_PKT_OUTER) != 0)
		return word_of(mtu, 0, 0); /* not a packet to look into */
	if (i != NULL && i->conf.mss_clamp != 0) {
		mss[0] = i->conf.mss_clamp;
		mss[1] = least(i->conf.mss_clamp, mtu > 60 ? mtu - 60 : 0);
	}
	return word_of(mtu, least(mss[0], dp_fit_mss(from, 0)), least(mss[1], dp_fit_mss(from, 1)));
}

void
dp_fit_ask(struct dp_fit_way *way, const struct dp_worker *w, const struct dp_pkt *p, uint64_t key)
{
	way->key = key;
	if (likely(p->next == DP_NEXT_SEAL)) {
		way->word = tunnel_word(w->sad, p->tunnel);
		fetch_sa(w->sad, p->tunnel);
	} else {
		way->word = iface_word(w, p);
	}
	if (unlikely(way->word == 0)) /* seal drops what has no tunnel */
		way->word = word_of(NO_LIMIT, 0, 0);
}

/*
 * The clamp, or 0, of where a packet came by that goes into a tunnel: the tunnel that it came out
 * of, which its SA names, or its interface. Its connection uses both.
 */
static uint32_t
clamp_behind(const struct dp_worker *w, const struct dp_pkt *p)
{
	const unsigned int ipv6 = dp_fit_ipv6(p);
	const struct dp_iface *i;
	const struct dp_sa_in *sa;

	if (p->next != DP_NEXT_SEAL)
		return 0;
	if ((p->flags & DP_PKT_DECRYPTED) != 0) {
		sa = atomic_load_explicit(&w->sad->in[p->sa & w->sad->index_mask],
					  memory_order_acquire);
		return sa != NULL ? dp_fit_mss(tunnel_word(w->sad, sa->tunnel), ipv6) : 0;
	}
	i = p->iface_in != DP_NO_IFACE ? dp_iface_get(w->tables, p->iface_in) : NULL;
	return i != NULL ? i->conf.mss_clamp : 0;
}

/* A SYN is changed only when it is in one piece and nobody else reads it. */
static __attribute__((noinline)) void
clamp(struct rte_mbuf *m, unsigned int ipv6, uint32_t mss)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	if (!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1)
		return;
	if (ipv6)
		(void)dp_mss_clamp6(ip, m->data_len, mss);
	else
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

	if (dp_fit_ipv6(dp_pkt(m)))
		mtu = RTE_MAX(mtu, (uint32_t)DP_MTU6_MIN);
	if ((dp_pkt(m)->flags & DP_PKT_OUTER) != 0)
		dp_pmtu_outgrown(w, m, mtu);
	else
		reply = dp_icmp_error(w, m, DP_ICMP_TOO_BIG, (uint16_t)mtu);
	if (reply != NULL)
		r->reply[r->replies++] = reply;
	dp_drop(w, m, DP_DROP_TOO_BIG);
}

/* Routers may cut IPv4 packets without DF (RFC 791); we never cut an ESP packet. */
static bool
may_cut(const struct rte_mbuf *m)
{
	const struct dp_pkt *p = rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);

	if ((p->flags & (DP_PKT_OUTER | DP_PKT_IPV6)) != 0)
		return false;
	return (rte_pktmbuf_mtod(m, const uint8_t *)[6] & DF) == 0;
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
rebuild_one(struct dp_worker *w, struct rebuild *r, struct rte_mbuf *m, uint32_t mtu)
{
	if (rte_pktmbuf_pkt_len(m) <= mtu)
		r->pkt[r->n++] = m;
	else if (may_cut(m))
		cut(w, r, m, mtu);
	else
		too_big(w, r, m, mtu);
}

/*
 * The new burst is never longer than its room: a packet takes its own place, an ICMP error that of
 * its packet, and fragments what nobody else will need.
 */
static void
rebuild(struct dp_worker *w, struct dp_burst *b)
{
	struct rebuild r = {.left = b->n};
	struct dp_fit_way way = {.key = DP_FIT_NO_WAY};

	for (uint16_t i = 0; i < b->n; i++) {
		const struct dp_pkt *p = dp_pkt(b->pkt[i]);
		uint64_t key = dp_fit_key(p);

		if (key != DP_FIT_NO_WAY && key != way.key)
			dp_fit_ask(&way, w, p, key);
		r.left--;
		rebuild_one(w, &r, b->pkt[i],
			    key != DP_FIT_NO_WAY ? dp_fit_mtu(way.word, dp_fit_ipv6(p)) : NO_LIMIT);
	}
	b->n = 0;
	for (uint16_t i = 0; i < r.n; i++)
		b->pkt[b->n++] = r.pkt[i];
	for (uint16_t i = 0; i < r.replies; i++)
		(void)dp_burst_add(b, r.reply[i]);
}

void
dp_stage_fit(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_fit_way way = {.key = DP_FIT_NO_WAY};
	bool long_ones = false;

	b->kinds &= (uint16_t)~DP_KIND_FIT;
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_pkt *p = dp_pkt(m);
		uint32_t mss;

		if (dp_fit_fits(&way, w, m))
			continue;
		long_ones |= rte_pktmbuf_pkt_len(m) > dp_fit_mtu(way.word, dp_fit_ipv6(p));
		mss = dp_fit_mss(way.word, dp_fit_ipv6(p));
		if (mss != 0 && dp_fit_may_be_syn(m, dp_fit_ipv6(p) != 0))
			clamp(m, dp_fit_ipv6(p), least(mss, clamp_behind(w, p)));
	}
	if (unlikely(long_ones))
		rebuild(w, b);
}
