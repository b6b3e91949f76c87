/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 fragmentation of inner and plain packets (RFC 791 2.3 and 3.2, RFC 1812 4.2.2.7).
 *
 * Used before sealing, for packets without DF that do not fit: each fragment becomes an ESP packet
 * of its own that fits, and the far host puts them together. Every piece is a fresh mbuf with a
 * copy of the payload: sealing writes in place, so pieces may not share a buffer. The first carries
 * all options, later ones only those with the copy bit. A packet that is a fragment already is cut
 * further: offsets add up and its "more fragments" bit stays on the last piece. One that ends
 * behind the longest datagram there is (RFC 791 3.1) is not: its pieces would claim to be elsewhere
 * in it. Worker thread.
 */
#include <rte_ip.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/fit.h"
#include "dataplane/wire.h"

#define IP_MIN	 20
#define IP_MAX	 60
#define PAYLOAD	 (65535u - IP_MIN) /* of the longest datagram */
#define MORE	 0x2000
#define OFFSET	 0x1fff
#define OPT_END	 0
#define OPT_NOP	 1
#define OPT_COPY 0x80

static uint32_t
header_length(const uint8_t *ip)
{
	return (ip[0] & 15u) * 4;
}

/*
 * Write the options that later fragments carry, without padding; stops at a broken one. `out` may
 * be NULL. Returns their length.
 */
static uint32_t
copied_options(uint8_t *out, const uint8_t *ip)
{
	uint32_t end = header_length(ip), n = 0, len;

	for (uint32_t at = IP_MIN; at < end && ip[at] != OPT_END; at += len) {
		len = 1;
		if (ip[at] == OPT_NOP)
			continue;
		len = at + 1 < end ? ip[at + 1] : 0;
		if (len < 2 || at + len > end)
			break;
		if ((ip[at] & OPT_COPY) == 0)
			continue;
		if (out != NULL)
			memcpy(out + n, ip + at, len);
		n += len;
	}
	return n;
}

uint32_t
dp_fragment_later_header(const uint8_t *ip)
{
	return IP_MIN + ((copied_options(NULL, ip) + 3) & ~3u);
}

struct dp_fragment
dp_fragment_cut(const uint8_t *ip, uint32_t payload, uint32_t from, uint32_t mtu)
{
	struct dp_fragment f = {.from = from};
	uint32_t left = payload - from, room;

	f.header_len = from == 0 ? header_length(ip) : dp_fragment_later_header(ip);
	room = mtu > f.header_len ? mtu - f.header_len : 0;
	f.last = left <= room;
	f.len = f.last ? left : room & ~7u;
	return f;
}

void
dp_fragment_header(uint8_t *out, const uint8_t *ip, const struct dp_fragment *f)
{
	uint16_t where = dp_be16(ip + 6);
	uint16_t more = f->last ? where & MORE : MORE;

	if (f->from == 0) {
		memcpy(out, ip, f->header_len);
	} else {
		memset(out, 0, f->header_len);
		memcpy(out, ip, IP_MIN);
		copied_options(out + IP_MIN, ip);
	}
	out[0] = (uint8_t)(0x40 | f->header_len / 4);
	dp_put_be16(out + 2, (uint16_t)(f->header_len + f->len));
	dp_put_be16(out + 6, (uint16_t)(more | ((where & OFFSET) + f->from / 8)));
	dp_put_be16(out + 10, 0);
	dp_put_be16(out + 10, dp_csum_finish(dp_csum_add(0, out, f->header_len)));
}

/* One piece in a fresh mbuf; NULL when there is no buffer or it is too small. */
static struct rte_mbuf *
make_piece(struct dp_worker *w, const struct rte_mbuf *m, const uint8_t *ip,
	   const struct dp_fragment *f)
{
	struct rte_mbuf *piece = rte_pktmbuf_alloc(w->pool);
	const void *payload;
	char *to;

	if (piece == NULL)
		return NULL;
	to = rte_pktmbuf_append(piece, (uint16_t)(f->header_len + f->len));
	if (to == NULL) {
		rte_pktmbuf_free(piece);
		return NULL;
	}
	dp_fragment_header((uint8_t *)to, ip, f);
	payload = rte_pktmbuf_read(m, header_length(ip) + f->from, f->len, to + f->header_len);
	if (payload != to + f->header_len)
		memcpy(to + f->header_len, payload, f->len);
	memcpy(dp_pkt(piece), rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m),
	       sizeof(struct dp_pkt));
	piece->port = m->port;
	return piece;
}

uint16_t
dp_fragment_packet(struct dp_worker *w, struct rte_mbuf *m, uint32_t mtu, struct rte_mbuf **out,
		   uint16_t room)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t payload = rte_pktmbuf_pkt_len(m) - header_length(ip);
	struct dp_fragment f = {0};
	uint16_t n = 0;

	if ((dp_be16(ip + 6) & OFFSET) * 8u + payload > PAYLOAD)
		return 0;
	for (uint32_t from = 0; !f.last; from += f.len) {
		f = dp_fragment_cut(ip, payload, from, mtu);
		out[n] = n < room && f.len != 0 ? make_piece(w, m, ip, &f) : NULL;
		if (out[n] == NULL) {
			rte_pktmbuf_free_bulk(out, n);
			return 0;
		}
		if (n > 0)
			dp_pkt(out[n])->flags |= DP_PKT_CREATED;
		n++;
	}
	return n;
}
