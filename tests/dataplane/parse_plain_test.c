/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage parse: the short way that most frames take, against the long one. The first frame of a
 * burst takes the long way, so a burst of one does.
 */
#include "tests/dataplane/parse_bed.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/parse.h"
#include "dataplane/wire.h"

/* A frame in two buffers, the headers mostly in the first, by port 0. */
static struct rte_mbuf *
in_two(const uint8_t *f, uint16_t len)
{
	uint16_t first = (uint16_t)(1 + random() % len);
	struct rte_mbuf *m = bed_received(f, first, 0);

	if (first != len)
		assert_int_equal(rte_pktmbuf_chain(m, bed_mbuf(f + first, (uint16_t)(len - first))),
				 0);
	return m;
}

/* Mostly the frames that the short way takes, of two ports; some are changed in a byte. */
static struct rte_mbuf *
nearly_plain(uint8_t *f)
{
	uint16_t len = bed_frame_v4(f, NULL, 0, (uint16_t)(SHORTER + random() % 3));
	uint8_t *ip = f + 14;
	struct rte_mbuf *m;

	if (random() % 8 == 0)
		len = bed_noise(f);
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
	if (random() % 4 == 0) /* another station's, or another's than ours */
		ip[random() % 2 ? 15 : 19] += (uint8_t)(random() % 3);
	if (random() % 16 == 0) /* shorter than the frame, or than a header */
		dp_put_be16(ip + 2, (uint16_t)(random() % SHORTER));
	if (random() % 4 == 0)
		len = (uint16_t)(len + random() % 16);
	ip[1] = (uint8_t)random();
	ip[8] = (uint8_t)(random() % 8 ? 64 : random() % 3);
	dp_put_be16(ip + 10, 0);
	dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	if (random() % 8 == 0)
		f[random() % 46] ^= (uint8_t)(1u << random() % 8);
	if (random() % 16 == 0)
		memset(ip + 28, 0, 4); /* IKE in UDP 4500 */
	m = random() % 16 ? bed_received(f, len, random() % 16 == 0) : in_two(f, len);
	m->ol_flags |= (uint64_t[]){0,
				    RTE_MBUF_F_RX_IP_CKSUM_GOOD,
				    RTE_MBUF_F_RX_IP_CKSUM_BAD,
				    RTE_MBUF_F_RX_IP_CKSUM_NONE,
				    RTE_MBUF_F_RX_VLAN_STRIPPED,
				    RTE_MBUF_F_RX_QINQ_STRIPPED,
				    RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_IP_CKSUM_GOOD,
				    RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_IP_CKSUM_GOOD,
				    RTE_MBUF_F_RX_RSS_HASH}[random() % (random() % 4 ? 2 : 9)];
	memset(dp_pkt(m), 0x5a, sizeof(struct dp_pkt));
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
	yard_rates_fill(y->priv, 100);
	dp_stage_parse(&y->w, b);
	memcpy(t.drop, y->w.count.drop, sizeof(t.drop));
	memcpy(t.iface, y->w.iface, sizeof(t.iface));
	return t;
}

/* The same frame, in as many buffers. */
static struct rte_mbuf *
copy_of(const struct rte_mbuf *m)
{
	struct rte_mbuf *copy =
		bed_received(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, m->port);

	for (const struct rte_mbuf *s = m->next; s; s = s->next)
		assert_int_equal(
			rte_pktmbuf_chain(
				copy, bed_mbuf(rte_pktmbuf_mtod(s, const uint8_t *), s->data_len)),
			0);
	memset(dp_pkt(copy), 0xa5, sizeof(struct dp_pkt));
	copy->ol_flags |= m->ol_flags;
	copy->vlan_tci = m->vlan_tci;
	return copy;
}

/* The same frames, each in a burst of its own; the sum of what was counted. */
static union tally
parse_singly(struct yard *y, const struct dp_burst *frames, struct dp_burst *left)
{
	union tally sum = {0};

	left->n = left->kinds = 0;
	for (uint16_t i = 0; i < frames->n; i++) {
		struct dp_burst one = {0};
		union tally t;

		bed_single(&one, copy_of(frames->pkt[i]));
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

		y.port[0]->rx_csum = random() % 2;
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

/* A scan that has come to the interface of untagged frames. */
static struct dp_scan
scan_of(struct yard *y)
{
	return (struct dp_scan){.port = y->port[0],
				.iface = y->iface[PLAIN],
				.local = atomic_load(&y->w.tables->local),
				.dst = DP_SCAN_NO_DST,
				.transit = true,
				.why = DP_DROP_COUNT};
}

/* Of frames that need not be asked more none is left to the long way, which decides alike. */
static void
the_short_way_takes_all_plain_frames(void **state)
{
	struct yard y;
	uint8_t f[256], *ip = f + 14;

	yard_open(&y);
	srandom(14);
	for (int round = 0; round < 200; round++) {
		struct dp_burst b = {.n = DP_BURST};
		struct dp_scan s = scan_of(&y);

		y.port[0]->rx_csum = random() % 2;
		for (uint16_t i = 0; i < b.n; i++) {
			uint16_t len = bed_frame_v4(f, NULL, 0, (uint16_t)(32 + random() % 60));

			ip[9] = 50;
			dp_put_be32(ip + 16, random() % 2 ? OUR_V4 : 0x0a000000 + random() % 9);
			dp_put_be16(ip + 10, 0);
			dp_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
			b.pkt[i] = bed_received(f, (uint16_t)(len + random() % 2), 0);
			b.pkt[i]->ol_flags |= random() % 2 ? RTE_MBUF_F_RX_IP_CKSUM_GOOD : 0;
		}
		for (uint16_t i = 0; i < DP_PARSE_AHEAD; i++)
			b.pkt[b.n + i] = b.pkt[b.n - 1];
		assert_int_equal(dp_parse_plain(&b, 0, 0, &s), DP_BURST);
		assert_int_equal(s.kinds, DP_KIND(DP_NEXT_FIB) | DP_KIND(DP_NEXT_OPEN));
		bed_free(&b);
	}
	yard_close(&y);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_short_way_decides_as_the_long_one),
		cmocka_unit_test(the_short_way_takes_all_plain_frames),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
