/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage parse on frames that no virtual port can deliver: tags that the port took off, chains of
 * buffers, checksums that the port has seen, and frames that are noise. Every buffer must be back
 * in the pool at the end.
 */
#include "tests/dataplane/parse_bed.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/wire.h"

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
		uint16_t len = bed_frame_v4(f, rows[i].tags, rows[i].tags_len, SHORTER);
		struct rte_mbuf *m = bed_received(f, len, 0);
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
		uint16_t len = bed_frame_v4(f, inner, 4, 1500);
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
	uint16_t len = bed_frame_v4(f, NULL, 0, 2 * BED_BUF - 500);
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
	uint16_t len = bed_frame_v4(f, NULL, 0, SHORTER);
	struct yard y;

	yard_open(&y);
	f[14 + 10] ^= 1;
	for (unsigned int checks = 0; checks < 2; checks++) {
		y.port[0]->rx_csum = checks;
		for (size_t i = 0; i < 4; i++) {
			struct rte_mbuf *m = bed_received(f, len, 0);
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
			uint16_t len = bed_frame_v4(f, tags, tagged ? 4 : 0, SHORTER);

			b.pkt[i] = bed_received(f, len, id == OTHER);
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
			b.pkt[i] = bed_received(f, bed_noise(f), 0);
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

/* A frame that came from the Internet: what becomes of it. OTHER has no twin. */
static enum dp_drop
comes(struct yard *y, const uint8_t *f, uint16_t len)
{
	enum dp_drop why;

	assert_null(parse(y, bed_received(f, len, 1), &why));
	return why;
}

/* IPv4 to OUR_V4 or IPv6 to bed_our_v6 with `len` octets behind the header; returns its length. */
static uint16_t
frame_to_us(uint8_t *f, bool ipv6, uint8_t proto, uint8_t hops, uint16_t len)
{
	uint8_t *ip = f + 14;

	bed_frame_v4(f, NULL, 0, 20 + len);
	if (ipv6) {
		memset(ip, 0, 40u + len);
		dp_put_be16(f + 12, 0x86dd);
		ip[0] = 0x60;
		dp_put_be16(ip + 4, len);
		ip[6] = proto;
		ip[7] = hops;
		ip[8] = 0x20;
		memcpy(ip + 24, bed_our_v6, 16);
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
	memcpy(v6.addr, bed_our_v6, 16);
	atomic_store(&y->w.tables->local, dp_local_new(&v4, 1, OUR_V4));
	atomic_store(&y->w.tables->local6, dp_local6_new(&v6, 1, bed_our_v6));
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
	uint16_t len = bed_frame_v4(f, tags, tags_len, 40);
	uint8_t *ip = f + 14 + tags_len;
	void *m;

	ip[9] = 1;
	dp_put_be32(ip + 16, OUR_V4);
	dp_put_be16(ip + 10, 0);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	for (unsigned int i = 0; i < n; i++) {
		struct dp_burst b = {0};

		bed_single(&b, bed_received(f, len, port));
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
		uint16_t len = bed_frame_v4(f, none, rows[i].tags, 40);
		enum dp_drop why;

		memset(f, 0xff, 6);
		dp_put_be32(f + 14 + rows[i].tags + 16, rows[i].dst);
		assert_int_equal(comes(&y, f, len), rows[i].why);
		assert_null(parse(&y, bed_received(f, len, 0), &why));
		assert_int_equal(why, rows[i].inside);
	}
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
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
