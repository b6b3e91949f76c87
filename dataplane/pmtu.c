/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path MTU outside of tunnels: sizes of ESP, and ICMP that tells of small hops.
 *
 * A hop that cannot carry an ESP packet with DF says so in ICMP that quotes it (RFC 1191, RFC 8201;
 * RFC 4301 8.2.1). Anybody on the Internet can send such a message, so nothing is believed that
 * does not quote a packet of ours (RFC 4301 6.1.1): here, on the worker, the form is checked and
 * whether any SA may send with that SPI, and at a limited rate a note goes through the SAD's ring;
 * the API thread compares addresses, SPI and ports with the live SAs (sad_mtu.c) and lowers what
 * the tunnel takes. The SPI in the quote is a number that only hosts on the path know; who guesses
 * does not get as far as the limit, so a flood of guesses keeps no true message out.
 *
 * The message goes up to the kernel all the same. A sealed packet that is too long for our own
 * interface is treated as if the next hop had complained: otherwise it would be lost without a word
 * to anybody.
 *
 * A quote in UDP needs twelve bytes behind its IP header to show the SPI; RFC 1812 4.3.2.3 asks for
 * as much as fits. One that is shorter teaches nothing. So does an IPv4 message without an MTU (RFC
 * 1191 5, routers from before 1990) or an IPv6 one below 1280 (RFC 8201 4).
 *
 * Reading is pure; dp_pmtu_heard() and dp_pmtu_outgrown() run on workers.
 */
#include "dataplane/pmtu.h"

#include <netinet/in.h>

#include "dataplane/checksum.h"
#include "dataplane/ip6_walk.h"
#include "dataplane/sad_data.h"
#include "dataplane/wire.h"

#define ICMP_HDR	 8
#define ICMP_UNREACHABLE 3
#define CODE_FRAG_NEEDED 4
#define ICMP6_TOO_BIG	 2
#define MTU4_MIN	 68  /* RFC 791 */
#define SPI_MIN		 256 /* RFC 4303 2.1 */
#define ESP_HDR		 8
#define TRAILER		 2 /* pad length and next header */
#define NOTES_PER_S	 20
#define READ_MAX	 1500 /* longer messages than this quote more than anybody asked for */

struct dp_esp_shape
dp_esp_shape(enum spw_encr encr, enum spw_integ integ, bool udp, bool outer6)
{
	const struct spw_encr_info *e = spw_encr_info(encr);
	uint8_t icv = e->icv_len != 0 ? e->icv_len : spw_integ_info(integ)->icv_len;

	return (struct dp_esp_shape){
		.outer = (uint8_t)((outer6 ? 40 : 20) + (udp ? 8 : 0)),
		.front = ESP_HDR + e->iv_len,
		.tag = icv,
		.align = e->block > 4 ? e->block : 4,
	};
}

uint32_t
dp_esp_sealed(const struct dp_esp_shape *s, uint32_t inner)
{
	uint32_t text = (inner + TRAILER + s->align - 1) & ~(s->align - 1u);

	return s->outer + s->front + text + s->tag;
}

uint32_t
dp_esp_inner_mtu(const struct dp_esp_shape *s, uint32_t outer_mtu)
{
	uint32_t around = (uint32_t)s->outer + s->front + s->tag, text;

	if (outer_mtu < around + s->align)
		return 0;
	text = (outer_mtu - around) & ~(s->align - 1u);
	return text - TRAILER;
}

uint64_t
dp_fit_word(uint32_t mtu, uint32_t mss)
{
	uint32_t limit = mss != 0 ? mss : UINT16_MAX;
	uint64_t mtu6 = RTE_MAX(mtu, (uint32_t)DP_MTU6_MIN), mss4, mss6;

	if (mtu < DP_MTU_MIN)
		return 0;
	mss4 = RTE_MIN(limit, mtu - 40);
	mss6 = RTE_MIN(limit, mtu - 60);
	return mtu | mss4 << 16 | mtu6 << 32 | mss6 << 48;
}

/* ESP, or UDP with ESP in it, at the end of a quoted packet of `len` bytes. */
static bool
read_upper(struct dp_pmtu_quote *q, uint8_t protocol, const uint8_t *upper, uint32_t len)
{
	q->sport = q->dport = 0;
	if (protocol == IPPROTO_UDP && len >= 8 + 4) {
		q->sport = dp_be16(upper);
		q->dport = dp_be16(upper + 2);
		q->spi = dp_be32(upper + 8);
	} else if (protocol == IPPROTO_ESP && len >= 4) {
		q->spi = dp_be32(upper);
	} else {
		return false;
	}
	return q->spi >= SPI_MIN;
}

static bool
read_esp4(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len)
{
	uint32_t header = (ip[0] & 15u) * 4;

	if (header < 20 || header > len || (dp_be16(ip + 6) & 0x1fff) != 0)
		return false;
	memcpy(q->src, dp_v4_mapped, 12);
	memcpy(q->dst, dp_v4_mapped, 12);
	memcpy(q->src + 12, ip + 12, 4);
	memcpy(q->dst + 12, ip + 16, 4);
	return read_upper(q, ip[9], ip + header, len - header);
}

static bool
read_esp6(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len)
{
	memcpy(q->src, ip + 8, 16);
	memcpy(q->dst, ip + 24, 16);
	return read_upper(q, ip[6], ip + DP_IP6_HDR, len - DP_IP6_HDR);
}

bool
dp_pmtu_read_esp(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len)
{
	if (len >= 20 && ip[0] >> 4 == 4)
		return read_esp4(q, ip, len);
	return len >= DP_IP6_HDR && ip[0] >> 4 == 6 && read_esp6(q, ip, len);
}

static bool
read4(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len)
{
	uint32_t header = (ip[0] & 15u) * 4;
	const uint8_t *icmp = ip + header, *about = icmp + ICMP_HDR;

	if (ip[9] != IPPROTO_ICMP || (dp_be16(ip + 6) & 0x3fff) != 0 ||
	    len < header + ICMP_HDR + 20 || icmp[0] != ICMP_UNREACHABLE ||
	    icmp[1] != CODE_FRAG_NEEDED || about[0] >> 4 != 4)
		return false;
	q->mtu = dp_be16(icmp + 6);
	if (q->mtu < MTU4_MIN || q->mtu >= dp_be16(about + 2) ||
	    memcmp(about + 12, ip + 16, 4) != 0)
		return false;
	return dp_csum_finish(dp_csum_add(0, icmp, len - header)) == 0 &&
	       dp_pmtu_read_esp(q, about, len - header - ICMP_HDR);
}

static bool
read6(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len)
{
	struct dp_ip6_upper u;
	const uint8_t *icmp, *about;
	uint32_t sum;

	if (!dp_ip6_walk(ip, len, &u) || u.fragment || u.protocol != IPPROTO_ICMPV6 ||
	    len < u.at + ICMP_HDR + DP_IP6_HDR)
		return false;
	icmp = ip + u.at;
	about = icmp + ICMP_HDR;
	q->mtu = dp_be32(icmp + 4);
	if (icmp[0] != ICMP6_TOO_BIG || about[0] >> 4 != 6 || q->mtu < DP_MTU6_MIN ||
	    q->mtu >= DP_IP6_HDR + (uint32_t)dp_be16(about + 4) ||
	    memcmp(about + 8, ip + 24, 16) != 0)
		return false;
	sum = dp_csum_add(len - u.at + IPPROTO_ICMPV6, ip + 8, 32); /* pseudo header */
	return dp_csum_finish(dp_csum_add(sum, icmp, len - u.at)) == 0 &&
	       dp_pmtu_read_esp(q, about, len - u.at - ICMP_HDR);
}

bool
dp_pmtu_read(struct dp_pmtu_quote *q, const uint8_t *ip, uint32_t len)
{
	if (len >= 20 && ip[0] >> 4 == 4)
		return read4(q, ip, len);
	return len >= DP_IP6_HDR && ip[0] >> 4 == 6 && read6(q, ip, len);
}

static bool
rate_take(struct dp_worker *w)
{
	if (w->pmtu_rate.interval == 0)
		w->pmtu_rate = dp_rate_make(rte_get_tsc_hz(), NOTES_PER_S, NOTES_PER_S);
	return dp_rate_take(&w->pmtu_rate, w->now_tsc);
}

/* Lost when the ring is full; the next packet that is too long will be complained about again. */
static void
tell(struct dp_worker *w, const struct dp_pmtu_quote *q)
{
	struct dp_sa_note note = {
		.kind = DP_NOTE_PATH_MTU,
		.limit = q->mtu,
		.spi_in = q->spi,
		.local_port = q->sport,
		.remote_port = q->dport,
	};

	memcpy(note.local, q->src, sizeof(note.local));
	memcpy(note.remote, q->dst, sizeof(note.remote));
	(void)rte_ring_mp_enqueue_elem(w->sad->events, &note, sizeof(note));
}

/* Only ICMP has anything to tell; IPv6 with extension headers may be it. */
static bool
may_tell(const uint8_t *ip, uint32_t len)
{
	if (len < 20)
		return false;
	return ip[0] >> 4 == 6 ? ip[6] != IPPROTO_TCP && ip[6] != IPPROTO_UDP
			       : ip[9] == IPPROTO_ICMP;
}

void
dp_pmtu_heard(struct dp_worker *w, const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	struct dp_pmtu_quote q;

	if (likely(!may_tell(ip, m->data_len)) || m->nb_segs != 1 || m->data_len > READ_MAX)
		return;
	if (dp_pmtu_read(&q, ip, m->data_len) && dp_sad_sends(w->sad, q.spi) && rate_take(w))
		tell(w, &q);
}

void
dp_pmtu_outgrown(struct dp_worker *w, const struct rte_mbuf *m, uint32_t mtu)
{
	struct dp_pmtu_quote q;

	if (!dp_pmtu_read_esp(&q, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len))
		return;
	q.mtu = mtu;
	if (rate_take(w))
		tell(w, &q);
}
