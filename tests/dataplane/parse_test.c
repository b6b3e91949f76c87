/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage parse on frames that no virtual port can deliver: tags that the port took off, chains of
 * buffers, checksums that the port has seen, and frames that are noise. Every buffer must be back
 * in the pool at the end.
 */
#include "tests/dataplane/esp_bed.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"
#include "tests/dataplane/fib_bed.h"

#define PORTS	2
#define PLAIN	1 /* interfaces of port 0: untagged, VLAN 100, QinQ 300/20, down */
#define TAGGED	2
#define DOUBLE	3
#define DOWN	4
#define OTHER	5 /* of port 1, role Internet */
#define OUR_V4	0x0a010001
#define SHORTER 60

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t our_v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1};

/* One worker over two ports. */
struct yard {
	struct dp_worker w;
	struct dp_worker_priv *priv;
	struct dp_port *port[PORTS];
	struct dp_iface *iface[OTHER + 1];
	struct rte_rcu_qsbr *qsbr;
};

static struct dp_iface *
iface_new(struct yard *y, uint16_t id, uint16_t port, uint32_t role, bool up)
{
	struct dp_iface *i = calloc(1, sizeof(*i));

	i->conf = (struct spw_dp_iface){
		.id = id, .kind = SPW_IFACE_PORT, .role = role, .mtu = 1500, .up = up};
	i->port = y->port[port];
	memcpy(i->mac, our_mac, 6);
	i->mac_word = 0;
	memcpy(&i->mac_word, our_mac, 6);
	atomic_store(&y->w.tables->iface[id], i);
	return y->iface[id] = i;
}

static void
port_new(struct yard *y, uint16_t id, const struct dp_vlan_entry *e, uint32_t n)
{
	struct dp_port *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);

	memset(p, 0, sizeof(*p));
	p->dpdk_id = id;
	p->rx_csum = true;
	atomic_store(&p->vlans, dp_vlan_map_new(e, n));
	atomic_store(&y->w.tables->port[id], p);
	y->port[id] = p;
}

/* Full buckets. */
static void
rates_fill(struct dp_worker_priv *p, uint32_t tokens)
{
	for (unsigned int i = 0; i < DP_UP_KINDS; i++)
		p->up_rate[i] = dp_rate_make(1000000000, 1000, tokens);
}

static void
yard_open(struct yard *y)
{
	static const struct dp_vlan_entry first[] = {
		{0, PLAIN}, {100u << 16, TAGGED}, {300u << 16 | 20, DOUBLE}, {400u << 16, DOWN}};
	static const struct dp_vlan_entry second[] = {{0, OTHER}};
	const struct dp_local_entry v4 = {OUR_V4, PLAIN};
	struct dp_local6_entry v6 = {.iface = PLAIN};

	memset(y, 0, sizeof(*y));
	memcpy(v6.addr, our_v6, 16);
	y->w.tables = dp_tables_new();
	y->w.pool = bed_pool();
	y->w.iface = calloc(DP_IFACES_MAX, sizeof(*y->w.iface));
	y->w.priv = y->priv = calloc(1, sizeof(*y->priv));
	y->w.now_tsc = 1000000000;
	rates_fill(y->priv, 100);
	port_new(y, 0, first, 4);
	port_new(y, 1, second, 1);
	iface_new(y, PLAIN, 0, SPW_IF_ROLE_LAN, true);
	iface_new(y, TAGGED, 0, SPW_IF_ROLE_EXPRESSROUTE, true);
	iface_new(y, DOUBLE, 0, SPW_IF_ROLE_EXPRESSROUTE, true);
	iface_new(y, DOWN, 0, SPW_IF_ROLE_LAN, false);
	iface_new(y, OTHER, 1, SPW_IF_ROLE_INTERNET, true);
	atomic_store(&y->w.tables->local, dp_local_new(&v4, 1, OUR_V4));
	atomic_store(&y->w.tables->local6, dp_local6_new(&v6, 1, our_v6));
	/* Without a route: nobody may answer from the Internet. */
	y->qsbr = fib_bed_qsbr();
	assert_int_equal(dp_fib_new(&y->w.tables->fib, 64, y->qsbr, NULL), 0);
	assert_int_equal(dp_fib6_new(&y->w.tables->fib6, 64, y->qsbr, NULL), 0);
}

static void
yard_close(struct yard *y)
{
	for (unsigned int p = 0; p < PORTS; p++) {
		free(atomic_load(&y->port[p]->vlans));
		free(y->port[p]);
	}
	for (unsigned int i = 1; i <= OTHER; i++)
		free(y->iface[i]);
	free(atomic_load(&y->w.tables->local));
	free(atomic_load(&y->w.tables->local6));
	dp_fib_free(y->w.tables->fib);
	dp_fib6_free(y->w.tables->fib6);
	free(y->qsbr);
	dp_tables_free(y->w.tables);
	free(y->w.iface);
	free(y->priv);
}

/* An IPv4 frame in transit with `tags` bytes of tags; returns its length. */
static uint16_t
frame_v4(uint8_t *f, const uint8_t *tags, uint16_t tags_len, uint16_t ip_len)
{
	uint8_t *ip = f + 14 + tags_len;

	memset(f, 0, 14u + tags_len + ip_len);
	memcpy(f, our_mac, 6);
	f[6] = 4;
	if (tags_len)
		memcpy(f + 12, tags, tags_len);
	dp_put_be16(f + 12 + tags_len, 0x0800);
	ip[0] = 0x45;
	dp_put_be16(ip + 2, ip_len);
	ip[8] = 64;
	ip[9] = 17;
	dp_put_be32(ip + 12, 0x0a020202);
	dp_put_be32(ip + 16, 0x0a030303);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	for (uint16_t i = 20; i < ip_len; i++)
		ip[i] = (uint8_t)(i * 7);
	return (uint16_t)(14 + tags_len + ip_len);
}

static struct rte_mbuf *
received(const uint8_t *f, uint16_t len, uint16_t port)
{
	struct rte_mbuf *m = bed_mbuf(f, len);

	m->port = port;
	return m;
}

/* Parse one frame: the packet that is left, or NULL and the reason in `why`. */
static struct rte_mbuf *
parse(struct yard *y, struct rte_mbuf *m, enum dp_drop *why)
{
	uint64_t before[DP_DROP_COUNT];
	struct dp_burst b = {0};

	memcpy(before, y->w.count.drop, sizeof(before));
	bed_single(&b, m);
	dp_stage_parse(&y->w, &b);
	*why = DP_DROP_COUNT;
	for (unsigned int i = 0; i < DP_DROP_COUNT; i++)
		if (y->w.count.drop[i] != before[i])
			*why = i;
	assert_int_equal(b.n == 0, *why != DP_DROP_COUNT);
	return b.n ? b.pkt[0] : NULL;
}

static void
tags_that_the_port_took_off_name_the_interface(void **state)
{
	static const struct {
		uint64_t flags;
		uint16_t tci, tci_outer;
		uint8_t tags[4], tags_len;
		uint16_t want; /* interface, 0 = vlan-unknown */
	} rows[] = {
		{0, 100, 0, {0}, 0, PLAIN}, /* a stale field counts for nothing */
		{RTE_MBUF_F_RX_VLAN_STRIPPED, 100, 0, {0}, 0, TAGGED},
		{RTE_MBUF_F_RX_VLAN_STRIPPED, 0xe064, 0, {0}, 0, TAGGED},
		{RTE_MBUF_F_RX_VLAN_STRIPPED, 0xe000, 0, {0}, 0, PLAIN},
		{RTE_MBUF_F_RX_VLAN_STRIPPED, 300, 0, {0x81, 0, 0, 20}, 4, DOUBLE},
		{RTE_MBUF_F_RX_VLAN_STRIPPED, 300, 0, {0x88, 0xa8, 0, 20}, 4, DOUBLE},
		{RTE_MBUF_F_RX_VLAN_STRIPPED, 0, 0, {0x81, 0, 0, 100}, 4, TAGGED},
		{RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED,
		 20,
		 300,
		 {0},
		 0,
		 DOUBLE},
		{RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED, 300, 20, {0}, 0, 0},
		{RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED,
		 100,
		 0xe000, /* a priority alone */
		 {0},
		 0,
		 TAGGED},
		{RTE_MBUF_F_RX_VLAN_STRIPPED, 20, 300, {0}, 0, 0},
	};
	uint8_t f[128];
	struct yard y;

	yard_open(&y);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint16_t len = frame_v4(f, rows[i].tags, rows[i].tags_len, SHORTER);
		struct rte_mbuf *m = received(f, len, 0);
		enum dp_drop why;

		m->ol_flags |= rows[i].flags;
		m->vlan_tci = rows[i].tci;
		m->vlan_tci_outer = rows[i].tci_outer;
		m = parse(&y, m, &why);
		assert_int_equal(why, rows[i].want ? DP_DROP_COUNT : DP_DROP_VLAN_UNKNOWN);
		if (!m)
			continue;
		assert_int_equal(dp_pkt(m)->iface_in, rows[i].want);
		assert_int_equal(m->pkt_len, SHORTER);
		rte_pktmbuf_free(m);
	}
	yard_close(&y);
}

/* The frame in pieces of these lengths, the last as long as need be. */
static struct rte_mbuf *
chained(const uint8_t *f, uint16_t len, const uint16_t *piece, unsigned int n)
{
	struct rte_mbuf *head = NULL;

	for (unsigned int i = 0; i <= n && len; i++) {
		uint16_t part = i < n && piece[i] < len ? piece[i] : len;
		struct rte_mbuf *m = bed_mbuf(f, part);

		if (!head)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		f += part;
		len = (uint16_t)(len - part);
	}
	head->port = 0;
	return head;
}

static void
a_chain_is_put_together_and_keeps_what_the_port_said(void **state)
{
	static const uint16_t cuts[][3] = {
		{5, 1, 3}, {12, 2, 20}, {14, 20, 9}, {1, 1, 1}, {70, 3, 3}};
	static const uint8_t inner[4] = {0x81, 0, 0, 20};
	uint8_t f[1600];
	struct yard y;

	yard_open(&y);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		uint16_t len = frame_v4(f, inner, 4, 1500);
		struct rte_mbuf *m = chained(f, len, cuts[i], 3);
		enum dp_drop why;

		assert_int_equal(m->nb_segs, 4);
		m->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
		m->vlan_tci = 300;
		m = parse(&y, m, &why);
		assert_int_equal(why, DP_DROP_COUNT);
		assert_int_equal(m->nb_segs, 1);
		assert_int_equal(dp_pkt(m)->iface_in, DOUBLE);
		assert_int_equal(m->data_len, 1500);
		assert_memory_equal(rte_pktmbuf_mtod(m, void *), f + 18, 8); /* up to the TTL */
		assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 12), f + 30, 1488);
		rte_pktmbuf_free(m);
	}
	yard_close(&y);
}

static void
a_chain_that_fits_no_buffer_has_no_room(void **state)
{
	static const uint16_t piece[1] = {BED_BUF - 200};
	static uint8_t f[2 * BED_BUF];
	uint16_t len = frame_v4(f, NULL, 0, 2 * BED_BUF - 500);
	enum dp_drop why;
	struct yard y;

	yard_open(&y);
	assert_null(parse(&y, chained(f, len, piece, 1), &why));
	assert_int_equal(why, DP_DROP_NO_ROOM);
	assert_int_equal(y.w.count.rx, 1);
	yard_close(&y);
}

static void
a_checksum_is_trusted_only_when_the_port_has_seen_it(void **state)
{
	static const uint64_t flags[] = {0, RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_IP_CKSUM_BAD,
					 RTE_MBUF_F_RX_IP_CKSUM_NONE};
	uint8_t f[128];
	uint16_t len = frame_v4(f, NULL, 0, SHORTER);
	struct yard y;

	yard_open(&y);
	f[14 + 10] ^= 1;
	for (unsigned int checks = 0; checks < 2; checks++) {
		y.port[0]->rx_csum = checks;
		for (size_t i = 0; i < 4; i++) {
			struct rte_mbuf *m = received(f, len, 0);
			bool fine = checks && flags[i] == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
			enum dp_drop why;

			m->ol_flags |= flags[i];
			m = parse(&y, m, &why);
			assert_int_equal(why, fine ? DP_DROP_COUNT : DP_DROP_IP_HEADER);
			rte_pktmbuf_free(m);
		}
	}
	yard_close(&y);
}

static void
each_interface_counts_its_own_frames_in_a_mixed_burst(void **state)
{
	static const uint8_t tag[4] = {0x81, 0, 0, 100}, down[4] = {0x81, 0, 1, 0x90};
	uint64_t want[OTHER + 1] = {0}, rx = 0;
	uint8_t f[128];
	struct yard y;

	yard_open(&y);
	srandom(5);
	for (int round = 0; round < 500; round++) {
		struct dp_burst b = {.n = (uint16_t)(1 + random() % DP_BURST)};

		for (uint16_t i = 0; i < b.n; i++) {
			uint16_t id = (uint16_t[]){PLAIN, TAGGED, DOWN, OTHER}[random() % 4];
			const uint8_t *tags = id == TAGGED ? tag : down;
			bool tagged = id == TAGGED || id == DOWN;
			uint16_t len = frame_v4(f, tags, tagged ? 4 : 0, SHORTER);

			b.pkt[i] = received(f, len, id == OTHER);
			want[id]++;
		}
		rx += b.n;
		dp_stage_parse(&y.w, &b);
		bed_free(&b);
	}
	for (unsigned int i = 1; i <= OTHER; i++) {
		assert_int_equal(y.w.iface[i].rx_packets, want[i]);
		assert_int_equal(y.w.iface[i].rx_bytes, want[i] * (14 + SHORTER));
	}
	assert_int_equal(y.w.count.rx, rx);
	assert_int_equal(y.w.count.drop[DP_DROP_IFACE_DOWN], want[DOWN]);
	assert_int_equal(y.w.count.drop[DP_DROP_CLEAR_INBOUND], want[OTHER]);
	yard_close(&y);
}

/* A frame that is good but for some bytes, or noise all through. */
static uint16_t
noise(uint8_t *f)
{
	static const uint8_t tags[8] = {0x88, 0xa8, 1, 44, 0x81, 0, 0, 20};
	uint16_t tags_len = (uint16_t)(random() % 3 * 4);
	uint16_t len = frame_v4(f, tags + (tags_len == 4 ? 4 : 0), tags_len, 120);
	uint8_t *ip = f + 14 + tags_len;

	if (random() % 2) {
		dp_put_be16(f + 12 + tags_len, 0x86dd);
		memset(ip, 0, 40);
		ip[0] = 0x60;
		dp_put_be16(ip + 4, 80);
		ip[6] = (uint8_t[]){0, 17, 43, 44, 50, 58, 60}[random() % 7];
		ip[8] = 0x20;
		memcpy(ip + 24, our_v6, 16);
		for (unsigned int i = 40; i < 120; i++)
			ip[i] = random() % 3 ? 0 : (uint8_t)random();
		ip[40] = (uint8_t[]){0, 17, 43, 44, 50, 58, 60}[random() % 7];
	} else if (random() % 2) {
		dp_put_be32(ip + 16, OUR_V4);
		dp_put_be16(ip + 22, 4500);
		dp_put_be16(ip + 10, 0);
		dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	}
	for (int k = (int)random() % 4; k > 0; k--)
		f[random() % len] = (uint8_t)random();
	return (uint16_t)(random() % 4 ? len : 1 + random() % len);
}

/* ESP-48, ESP-50: whatever comes, a packet is kept whole or dropped for one reason. */
static void
noise_is_kept_or_dropped_and_always_counted(void **state)
{
	int rounds = getenv("SPW_LONG") ? 2000000 : 20000;
	uint64_t kept = 0;
	uint8_t f[256];
	struct yard y;

	yard_open(&y);
	srandom(9);
	for (int round = 0; round < rounds; round++) {
		struct dp_burst b = {.n = (uint16_t)(1 + random() % 8)};

		for (uint16_t i = 0; i < b.n; i++)
			b.pkt[i] = received(f, noise(f), 0);
		dp_stage_parse(&y.w, &b);
		kept += b.n;
		for (uint16_t i = 0; i < b.n; i++) {
			uint8_t next = dp_pkt(b.pkt[i])->next;

			assert_true(next == DP_NEXT_OPEN || next == DP_NEXT_FIB ||
				    next == DP_NEXT_EXPIRED);
			assert_int_equal(b.pkt[i]->pkt_len, b.pkt[i]->data_len);
			assert_true(next == DP_NEXT_OPEN || b.pkt[i]->data_len >= 20);
		}
		bed_free(&b);
	}
	assert_int_equal(y.w.count.rx, kept + y.w.count.dropped);
	assert_true(kept > y.w.count.rx / 20 && y.w.count.dropped > y.w.count.rx / 20);
	yard_close(&y);
}

/* Mostly the frames that the short way takes, of two ports; some are changed in a byte. */
static struct rte_mbuf *
nearly_plain(uint8_t *f)
{
	uint16_t len = frame_v4(f, NULL, 0, (uint16_t)(SHORTER + random() % 3));
	uint8_t *ip = f + 14;
	struct rte_mbuf *m;

	if (random() % 8 == 0)
		len = noise(f);
	if (random() % 3 == 0) {
		dp_put_be32(ip + 16, OUR_V4);
		ip[9] = random() % 2 ? 50 : 17;
		dp_put_be16(ip + 22, 4500);
		dp_put_be16(ip + 24, (uint16_t)(len - 14 - 20 - (random() % 8 ? 0 : random() % 4)));
	}
	if (random() % 8 == 0) /* nobody's address, or somebody's */
		ip[random() % 2 ? 12 : 16] = (uint8_t[]){0, 127, 224, 255, 11}[random() % 5];
	if (random() % 16 == 0)
		memset(ip + 16, 0, 4);
	ip[8] = (uint8_t)(random() % 8 ? 64 : random() % 3);
	dp_put_be16(ip + 10, 0);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	if (random() % 8 == 0)
		f[random() % 46] ^= (uint8_t)(1u << random() % 8);
	if (random() % 16 == 0)
		memset(ip + 28, 0, 4); /* IKE in UDP 4500 */
	m = received(f, len, random() % 16 == 0);
	m->ol_flags |= (uint64_t[]){0, RTE_MBUF_F_RX_IP_CKSUM_GOOD, RTE_MBUF_F_RX_IP_CKSUM_BAD,
				    RTE_MBUF_F_RX_VLAN_STRIPPED}[random() % 16 ? random() % 2 : 3];
	m->vlan_tci = 100; /* of an interface; means nothing unless the port took it off */
	return m;
}

/* What a burst of frames has come to: metadata and text of each packet that is left. */
static void
burst_is_that_of_singles(struct dp_burst *whole, struct dp_burst *singles)
{
	assert_int_equal(whole->n, singles->n);
	assert_int_equal(whole->kinds, singles->kinds);
	for (uint16_t i = 0; i < whole->n; i++) {
		struct rte_mbuf *a = whole->pkt[i], *b = singles->pkt[i];

		assert_memory_equal(dp_pkt(a), dp_pkt(b), sizeof(struct dp_pkt));
		assert_int_equal(a->data_off, b->data_off);
		assert_int_equal(a->data_len, b->data_len);
		assert_int_equal(a->pkt_len, b->pkt_len);
		assert_memory_equal(rte_pktmbuf_mtod(a, void *), rte_pktmbuf_mtod(b, void *),
				    a->data_len);
	}
}

/* A frame that came from the Internet: what becomes of it. OTHER has no twin. */
static enum dp_drop
comes(struct yard *y, const uint8_t *f, uint16_t len)
{
	enum dp_drop why;

	assert_null(parse(y, received(f, len, 1), &why));
	return why;
}

/* IPv4 to OUR_V4 or IPv6 to our_v6 with `len` octets behind the header; returns its length. */
static uint16_t
frame_to_us(uint8_t *f, bool ipv6, uint8_t proto, uint8_t hops, uint16_t len)
{
	uint8_t *ip = f + 14;

	frame_v4(f, NULL, 0, 20 + len);
	if (ipv6) {
		memset(ip, 0, 40u + len);
		dp_put_be16(f + 12, 0x86dd);
		ip[0] = 0x60;
		dp_put_be16(ip + 4, len);
		ip[6] = proto;
		ip[7] = hops;
		ip[8] = 0x20;
		memcpy(ip + 24, our_v6, 16);
		return 14 + 40 + len;
	}
	ip[8] = hops;
	ip[9] = proto;
	dp_put_be32(ip + 16, OUR_V4);
	dp_put_be16(ip + 10, 0);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	return 14 + 20 + len;
}

/* What the Internet sends, by the kind that it is. */
static uint16_t
frame_of(uint8_t *f, enum dp_up_kind kind, bool ipv6)
{
	uint8_t *upper = f + 14 + (ipv6 ? 40 : 20);
	uint16_t len;

	switch (kind) {
	case DP_UP_HELLO:
	case DP_UP_IKE:
		len = frame_to_us(f, ipv6, 17, 64, 8 + 28);
		dp_put_be16(upper + 2, 500);
		memset(upper + 8 + 8, kind == DP_UP_IKE ? 7 : 0, 8);
		upper[8 + 19] = 0x08;
		return len;
	case DP_UP_LINK:
		if (ipv6) {
			len = frame_to_us(f, true, 58, 255, 24);
			upper[0] = 135; /* who has our address? */
			return len;
		}
		frame_to_us(f, false, 0, 0, 28);
		memset(f, 0xff, 6);
		dp_put_be16(f + 12, 0x0806);
		return 14 + 28;
	case DP_UP_FRAGMENT:
		len = frame_to_us(f, ipv6, ipv6 ? 44 : 17, 64, 32);
		if (ipv6) {
			upper[0] = 17;
			dp_put_be16(upper + 2, 0x0009);
		} else {
			dp_put_be16(f + 14 + 6, 0x2001);
			dp_put_be16(f + 14 + 10, 0);
			dp_put_be16(f + 14 + 10, dp_csum_finish(dp_csum_add(0, f + 14, 20)));
		}
		return len;
	case DP_UP_PROBE:
	case DP_UP_OTHER:
	case DP_UP_KINDS: break;
	}
	len = frame_to_us(f, ipv6, ipv6 ? 58 : 1, 64, 16);
	upper[0] = ipv6 ? 128 : 8; /* a ping */
	return len;
}

/* How many of 100 frames of a kind pass the rates. */
static unsigned int
passes(struct yard *y, enum dp_up_kind kind, bool ipv6)
{
	unsigned int n = 0;
	uint8_t f[256];

	for (unsigned int i = 0; i < 100; i++) {
		enum dp_drop why = comes(y, f, frame_of(f, kind, ipv6));

		assert_true(why == DP_DROP_IFACE_DOWN || why == DP_DROP_PUNT_RATE);
		n += why == DP_DROP_IFACE_DOWN;
	}
	return n;
}

/* A yard whose own addresses are of the Internet side. */
static void
yard_open_outside(struct yard *y)
{
	const struct dp_local_entry v4 = {OUR_V4, OTHER};
	struct dp_local6_entry v6 = {.iface = OTHER};

	yard_open(y);
	free(atomic_load(&y->w.tables->local));
	free(atomic_load(&y->w.tables->local6));
	memcpy(v6.addr, our_v6, 16);
	atomic_store(&y->w.tables->local, dp_local_new(&v4, 1, OUR_V4));
	atomic_store(&y->w.tables->local6, dp_local6_new(&v6, 1, our_v6));
}

/* Each kind finds its own tokens, whatever another has used up. */
static void
a_flood_from_the_internet_stands_in_the_way_of_its_own_kind_alone(void **state)
{
	static const enum dp_up_kind kinds[] = {DP_UP_LINK, DP_UP_HELLO, DP_UP_IKE, DP_UP_FRAGMENT,
						DP_UP_OTHER};

	for (unsigned int ipv6 = 0; ipv6 < 2; ipv6++) {
		for (size_t flood = 0; flood < RTE_DIM(kinds); flood++) {
			struct yard y;

			yard_open_outside(&y);
			for (size_t i = 0; i < RTE_DIM(kinds); i++)
				y.priv->up_rate[kinds[i]] =
					dp_rate_make(1000000000, 1000, 10 + (uint32_t)i);
			assert_int_equal(passes(&y, kinds[flood], ipv6), 10 + flood);
			for (size_t i = 0; i < RTE_DIM(kinds); i++)
				assert_int_equal(passes(&y, kinds[i], ipv6),
						 i == flood ? 0 : 10 + i);
			yard_close(&y);
		}
	}
}

/* Pings to us by an interface that has a twin; how many of `n` go up. */
static unsigned int
pings_up(struct yard *y, uint16_t port, const uint8_t *tags, uint16_t tags_len, unsigned int n)
{
	unsigned int up;
	uint8_t f[256];
	uint16_t len = frame_v4(f, tags, tags_len, 40);
	uint8_t *ip = f + 14 + tags_len;
	void *m;

	ip[9] = 1;
	dp_put_be32(ip + 16, OUR_V4);
	dp_put_be16(ip + 10, 0);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	for (unsigned int i = 0; i < n; i++) {
		struct dp_burst b = {0};

		bed_single(&b, received(f, len, port));
		dp_stage_parse(&y->w, &b);
		assert_int_equal(b.n, 0);
	}
	for (up = 0; rte_ring_sc_dequeue(y->priv->to_punt, &m) == 0; up++)
		rte_pktmbuf_free(m);
	return up;
}

static void
a_flood_from_the_lan_stands_in_no_other_interfaces_way(void **state)
{
	static const uint8_t er[4] = {0x81, 0, 0, 100};
	struct yard y;

	yard_open_outside(&y);
	y.priv->to_punt = rte_ring_create("t-to-punt", 512, SOCKET_ID_ANY, 0);
	assert_non_null(y.priv->to_punt);
	for (unsigned int i = 1; i <= OTHER; i++)
		y.iface[i]->twin = true;
	for (size_t i = 0; i < RTE_DIM(y.priv->punt_rate); i++)
		y.priv->punt_rate[i] = dp_rate_make(1000000000, 1000, 50);
	assert_int_equal(pings_up(&y, 0, NULL, 0, 200), 50);
	assert_int_equal(pings_up(&y, 0, er, 4, 40), 40);
	assert_int_equal(pings_up(&y, 1, NULL, 0, 40), 40);
	assert_int_equal(pings_up(&y, 0, er, 4, 40), 10);
	rte_ring_free(y.priv->to_punt);
	yard_close(&y);
}

/* The kernel takes a tag of VLAN 0 off, and packets for any of its addresses from any device. */
static void
a_frame_to_a_group_brings_the_kernel_no_packet_for_a_station(void **state)
{
	const uint8_t none[12] = {0x81, 0, 0, 0, 0x88, 0xa8, 0, 0, 0x81, 0, 0xe0, 0};
	const struct {
		uint32_t dst;
		uint16_t tags;
		enum dp_drop why; /* from the Internet; IFACE_DOWN: the kernel's, had it a twin */
		enum dp_drop inside;
	} rows[] = {
		{OUR_V4, 0, DP_DROP_MARTIAN, DP_DROP_MARTIAN},
		{OUR_V4, 8, DP_DROP_MARTIAN, DP_DROP_MARTIAN},
		{OUR_V4, 12, DP_DROP_ETHERTYPE, DP_DROP_ETHERTYPE},
		{0xe0000005, 12, DP_DROP_ETHERTYPE, DP_DROP_ETHERTYPE},
		{0xe0000005, 8, DP_DROP_IFACE_DOWN, DP_DROP_IFACE_DOWN},
		{0xeffffffa, 0, DP_DROP_IFACE_DOWN, DP_DROP_IFACE_DOWN},
		{0xffffffff, 0, DP_DROP_IFACE_DOWN, DP_DROP_IFACE_DOWN},
		{0x0a0100ff, 0, DP_DROP_MARTIAN, DP_DROP_IFACE_DOWN}, /* perhaps a network's */
		{0xc0a80101, 0, DP_DROP_MARTIAN, DP_DROP_IFACE_DOWN}, /* perhaps the kernel's */
		{0x7f000001, 0, DP_DROP_MARTIAN, DP_DROP_IFACE_DOWN},
		{0xf0000001, 0, DP_DROP_MARTIAN, DP_DROP_IFACE_DOWN},
	};
	struct yard y;
	uint8_t f[256];

	yard_open(&y);
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		uint16_t len = frame_v4(f, none, rows[i].tags, 40);
		enum dp_drop why;

		memset(f, 0xff, 6);
		dp_put_be32(f + 14 + rows[i].tags + 16, rows[i].dst);
		assert_int_equal(comes(&y, f, len), rows[i].why);
		assert_null(parse(&y, received(f, len, 0), &why));
		assert_int_equal(why, rows[i].inside);
	}
	yard_close(&y);
}

/* Counters of the stage, to be compared. */
union tally {
	struct {
		uint64_t drop[DP_DROP_COUNT];
		struct dp_iface_counters iface[OTHER + 1];
	};
	uint64_t all[DP_DROP_COUNT + (OTHER + 1) * sizeof(struct dp_iface_counters) / 8];
};

/* What parse counts while it takes a burst. */
static union tally
parse_counted(struct yard *y, struct dp_burst *b)
{
	union tally t;

	memset(y->w.count.drop, 0, sizeof(y->w.count.drop));
	memset(y->w.iface, 0, sizeof(t.iface));
	rates_fill(y->priv, 100);
	dp_stage_parse(&y->w, b);
	memcpy(t.drop, y->w.count.drop, sizeof(t.drop));
	memcpy(t.iface, y->w.iface, sizeof(t.iface));
	return t;
}

/* The same frames, each in a burst of its own; the sum of what was counted. */
static union tally
parse_singly(struct yard *y, const struct dp_burst *frames, struct dp_burst *left)
{
	union tally sum = {0};

	left->n = left->kinds = 0;
	for (uint16_t i = 0; i < frames->n; i++) {
		struct rte_mbuf *m = frames->pkt[i];
		struct dp_burst one = {0};
		union tally t;

		bed_single(&one, received(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, m->port));
		one.pkt[0]->ol_flags |= m->ol_flags;
		one.pkt[0]->vlan_tci = m->vlan_tci;
		t = parse_counted(y, &one);
		for (size_t k = 0; k < sizeof(sum.all) / sizeof(sum.all[0]); k++)
			sum.all[k] += t.all[k];
		left->kinds |= one.kinds;
		if (one.n != 0)
			left->pkt[left->n++] = one.pkt[0];
	}
	return sum;
}

/* The first frame of a burst never takes the short way, so a burst of one is the long one. */
static void
the_short_way_decides_as_the_long_one(void **state)
{
	int rounds = getenv("SPW_LONG") ? 200000 : 4000;
	uint64_t open = 0, dropped = 0;
	struct yard y;
	uint8_t f[256];

	yard_open(&y);
	srandom(12);
	for (int round = 0; round < rounds; round++) {
		struct dp_burst whole = {.n = (uint16_t)(2 + random() % 15)}, singles;
		union tally a, b;

		for (uint16_t i = 0; i < whole.n; i++)
			whole.pkt[i] = nearly_plain(f);
		b = parse_singly(&y, &whole, &singles);
		a = parse_counted(&y, &whole);
		assert_memory_equal(&a, &b, sizeof(a));
		burst_is_that_of_singles(&whole, &singles);
		open += (whole.kinds & DP_KIND(DP_NEXT_OPEN)) != 0;
		for (unsigned int k = 0; k < DP_DROP_COUNT; k++)
			dropped += a.drop[k];
		bed_free(&whole);
		bed_free(&singles);
	}
	assert_true(open > (uint64_t)rounds / 2 && dropped > (uint64_t)rounds);
	yard_close(&y);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_that_the_port_took_off_name_the_interface),
		cmocka_unit_test(a_chain_is_put_together_and_keeps_what_the_port_said),
		cmocka_unit_test(a_chain_that_fits_no_buffer_has_no_room),
		cmocka_unit_test(a_checksum_is_trusted_only_when_the_port_has_seen_it),
		cmocka_unit_test(each_interface_counts_its_own_frames_in_a_mixed_burst),
		cmocka_unit_test(a_flood_from_the_internet_stands_in_the_way_of_its_own_kind_alone),
		cmocka_unit_test(a_flood_from_the_lan_stands_in_no_other_interfaces_way),
		cmocka_unit_test(a_frame_to_a_group_brings_the_kernel_no_packet_for_a_station),
		cmocka_unit_test(noise_is_kept_or_dropped_and_always_counted),
		cmocka_unit_test(the_short_way_decides_as_the_long_one),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
