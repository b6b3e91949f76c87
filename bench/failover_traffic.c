/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbered traffic for bench-failover, and what became of it.
 *
 * Each packet of a stream carries the next number behind its UDP header. It goes into the LAN port
 * (a ring: what is sent there is received there), is received as a worker does, run through the
 * real stages, and taken off the ring of the ExpressRoute or the Internet port with the time at
 * which transmit had returned. The newest FO_KEPT packets are kept in the order in which they left;
 * they are judged after the switch, never in it: ESP is opened with the tunnel's own key, so a
 * packet counts only when a peer could have read it.
 *
 * Numbers are those of the whole stream, over all flows. "No packet overtakes by more than a burst"
 * is asked of the whole stream, which is harder than asking it of each flow.
 *
 * Prefixes: IPv4 /24 (a /16 when there is one alone), IPv6 /48 (/32), apart by size, so that one
 * table holds the prefixes of all sizes at once and sizes can be measured in turns.
 */
#include "bench/failover.h"

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dataplane/checksum.h"
#include "dataplane/wire.h"

#define UDP_LEN 8
#define NO_NUM	UINT64_MAX

static const uint32_t base4[FO_SIZES] = {0x32000000, 0x28000000, 0x0b000000}; /* 50/8, 40/8, 11/8 */
static const uint8_t base6[FO_SIZES] = {0x30, 0x20, 0x10}; /* 2a30::, 2a20:: .. */

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
	x = (x ^ x >> 27) * UINT64_C(0x81dadef4bc2dd44d);
	return x ^ x >> 33;
}

struct spw_prefix
fo_prefix(const struct fo_side *s, uint32_t i)
{
	bool alone = s->prefixes == 1;
	struct spw_prefix p = {0};

	if (!s->six) {
		p.addr = spw_addr_v4(base4[s->size] + (i << 8));
		p.len = alone ? 16 : 24;
		return p;
	}
	p.addr.family = AF_INET6;
	p.addr.bytes[0] = 0x2a;
	p.addr.bytes[1] = base6[s->size];
	dp_put_be32(&p.addr.bytes[2], i);
	p.len = alone ? 32 : 48;
	return p;
}

static void
frame6(const struct bg *g, uint8_t *frame, const uint8_t dst[16])
{
	uint8_t *ip = frame + 14;

	/* The Ethernet header of the IPv4 frame, another type. */
	(void)bg_frame(g, frame, BG_LAN_HOST, BG_REMOTE_HOST, FO_INNER);
	dp_put_be16(frame + 12, 0x86dd);
	memset(ip, 0, FO_INNER);
	ip[0] = 0x60;
	dp_put_be16(ip + 4, FO_INNER - 40);
	ip[6] = 17;
	ip[7] = 64;
	ip[8] = 0xfd;
	ip[23] = 2;
	memcpy(ip + 24, dst, 16);
	dp_put_be16(ip + 40, 1024);
	dp_put_be16(ip + 42, 1025);
	dp_put_be16(ip + 44, FO_INNER - 40);
}

void
fo_frames(const struct bg *g, struct fo_side *s)
{
	for (uint32_t f = 0; f < FO_FLOWS; f++) {
		struct spw_prefix p = fo_prefix(s, (uint32_t)(mix(f + 1) % s->prefixes));

		if (s->six) {
			p.addr.bytes[14] = (uint8_t)(f >> 8);
			p.addr.bytes[15] = (uint8_t)f;
			frame6(g, s->frame[f], p.addr.bytes);
		} else {
			uint32_t host = p.len == 16 ? f + 1 : f % 254 + 1;

			(void)bg_frame(g, s->frame[f], BG_LAN_HOST, spw_addr_get_v4(&p.addr) + host,
				       FO_INNER);
		}
	}
}

void
fo_tap_init(struct fo_tap *t, struct bg *g, const struct bg_sa *sa)
{
	struct spw_err err = {0};

	memset(t, 0, sizeof(*t));
	t->g = g;
	t->sa = sa;
	if (dp_crypto_new(&t->crypto, DP_CRYPTO_AUTO, &err) != 0)
		bg_die("no cipher", &err);
}

static void
forget(struct fo_tap *t)
{
	for (unsigned int i = 0; i < FO_KEPT; i++) {
		rte_pktmbuf_free(t->kept[i].m);
		t->kept[i].m = NULL;
	}
	t->taken = 0;
}

void
fo_tap_free(struct fo_tap *t)
{
	forget(t);
	dp_crypto_free(t->crypto);
}

void
fo_tap_start(struct fo_tap *t, const struct fo_side *side)
{
	forget(t);
	t->side = side;
}

static void
offer(struct fo_tap *t, uint16_t lan)
{
	const struct fo_side *s = t->side;
	const unsigned int at = 14 + (s->six ? 40 : 20) + UDP_LEN;
	struct rte_mbuf *m[DP_BURST];

	if (rte_pktmbuf_alloc_bulk(t->g->c->pool, m, DP_BURST) != 0)
		bg_die("no packet buffers left", NULL);
	for (unsigned int i = 0; i < DP_BURST; i++, t->number++) {
		uint8_t *data = (uint8_t *)rte_pktmbuf_append(m[i], sizeof(s->frame[0]));
		uint64_t number = __builtin_bswap64(t->number);

		memcpy(data, s->frame[t->number % FO_FLOWS], sizeof(s->frame[0]));
		memcpy(data + at, &number, sizeof(number));
		m[i]->port = lan; /* the ring driver leaves it to the sender */
	}
	if (rte_eth_tx_burst(lan, 0, m, DP_BURST) != DP_BURST)
		bg_die("the LAN port does not take a burst", NULL);
}

/* Take what left by a port; how many. */
static unsigned int
take(struct fo_tap *t, unsigned int port, uint64_t tsc)
{
	struct rte_mbuf *m[DP_BURST];
	unsigned int n, all = 0;

	while ((n = bg_sent(t->g, port, m, DP_BURST)) != 0) {
		all += n;
		for (unsigned int i = 0; i < n; i++) {
			struct fo_packet *k = &t->kept[t->taken++ % FO_KEPT];

			rte_pktmbuf_free(k->m);
			*k = (struct fo_packet){.m = m[i], .tsc = tsc, .port = port};
		}
	}
	return all;
}

bool
fo_tap_burst(struct fo_tap *t, unsigned int port, uint64_t *sent)
{
	static struct dp_burst b;
	const uint16_t lan = atomic_load(&t->g->c->tables->port[BG_LAN])->dpdk_id;
	unsigned int n[2];

	offer(t, lan);
	b.kinds = 0;
	b.n = rte_eth_rx_burst(lan, 0, b.pkt, DP_BURST);
	dp_pipeline_rx(t->g->w, &b);
	*sent = rte_rdtsc();
	n[0] = take(t, t->side->port, *sent);
	n[1] = take(t, BG_WAN, *sent);
	return n[port == BG_WAN] != 0;
}

/* Open an ESP packet of the tunnel; its text, or NULL. */
static const uint8_t *
opened(struct fo_tap *t, uint8_t *esp, uint32_t len)
{
	static uint8_t slot[DP_CRYPTO_KEY_BYTES] __attribute__((aligned(64)));
	static struct dp_cipher cipher;
	struct dp_crypto_key *key = (struct dp_crypto_key *)slot;

	if (cipher.open == NULL) {
		if (dp_crypto_cipher(t->crypto, t->sa->encr, t->sa->integ, t->sa->esn, &cipher) < 0)
			bg_die("no such cipher", NULL);
		dp_crypto_expand(t->crypto, &cipher, key, t->sa->key_out);
	}
	if (len < 8u + cipher.iv_len + cipher.tag_len)
		return NULL;
	const struct dp_crypto_job job = {.text = esp + 8 + cipher.iv_len,
					  .text_len = len - 8u - cipher.iv_len - cipher.tag_len,
					  .spi_be = __builtin_bswap32(t->sa->spi_out),
					  .seq = dp_be32(esp + 4)};

	return cipher.open(t->crypto, key, &job, 1) == 1 ? job.text : NULL;
}

/* The number that a packet carries; NO_NUM when nobody can read it. */
static uint64_t
number_of(struct fo_tap *t, const struct fo_packet *k)
{
	uint8_t *frame = rte_pktmbuf_mtod(k->m, uint8_t *);
	const uint8_t *inner = frame + 14;
	uint64_t number;

	if (k->port == BG_WAN)
		inner = opened(t, frame + 14 + 20, rte_pktmbuf_pkt_len(k->m) - 14 - 20);
	if (inner == NULL || inner[0] >> 4 != (t->side->six ? 6 : 4))
		return NO_NUM;
	memcpy(&number, inner + (t->side->six ? 40 : 20) + UDP_LEN, sizeof(number));
	return __builtin_bswap64(number);
}

struct fo_verdict
fo_tap_judge(struct fo_tap *t, unsigned int port, uint64_t since)
{
	static uint8_t seen[FO_KEPT * 2]; /* from the oldest number that may be among them */
	uint64_t n = RTE_MIN(t->taken, (uint64_t)FO_KEPT), first = NO_NUM, highest = 0;
	static uint64_t number[FO_KEPT];
	struct fo_verdict v = {.packets = n};

	for (uint64_t i = 0; i < n; i++) {
		const struct fo_packet *k = &t->kept[(t->taken - n + i) % FO_KEPT];

		number[i] = number_of(t, k);
		v.old_path += k->port == port && k->tsc > since;
		first = RTE_MIN(first, number[i]);
	}
	memset(seen, 0, sizeof(seen));
	for (uint64_t i = 0; i < n; i++) {
		if (number[i] == NO_NUM || number[i] - first >= sizeof(seen)) {
			v.foreign++;
			continue;
		}
		v.duplicated += seen[number[i] - first]++ != 0;
		if (number[i] < highest)
			v.overtaken = RTE_MAX(v.overtaken, highest - number[i]);
		highest = RTE_MAX(highest, number[i]);
	}
	/* Everything offered up to the end of the last burst is there, or it is lost. */
	for (uint64_t i = first; i < t->number && i - first < sizeof(seen); i++)
		v.lost += seen[i - first] == 0;
	return v;
}
