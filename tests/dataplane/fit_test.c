/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fit stage: what is too long for a tunnel or an interface is cut or answered, in order and
 * with nothing lost; SYNs are clamped in both directions.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/fit.h"
#include "dataplane/icmp.h"
#include "dataplane/stages.h"
#include "tests/dataplane/esp_bed.h"

#define IFACE_IN  1
#define IFACE_OUT 2
#define OUR_ADDR  0x0a0100feu

struct yard {
	struct bed_end a, b;
	struct dp_worker_priv priv;
	struct dp_iface in, out;
};

static void
open_yard(struct yard *y, uint32_t tunnel_mtu)
{
	struct spw_sa_desc at_a, at_b;

	memset(y, 0, sizeof(*y));
	bed_open(&y->a, 0xc0000201, DP_CRYPTO_AUTO, 1);
	bed_open(&y->b, 0xc6336401, DP_CRYPTO_AUTO, 1);
	bed_tunnel(&y->a, &y->b, tunnel_mtu);
	bed_pair(&y->a, &y->b, &(struct bed_sa){0}, &at_a, &at_b);
	y->in = (struct dp_iface){.conf = {.id = IFACE_IN, .mtu = 1500}, .addr_v4 = OUR_ADDR};
	y->out = (struct dp_iface){.conf = {.id = IFACE_OUT, .mtu = 1500}};
	y->a.w.tables = dp_tables_new();
	atomic_store(&y->a.w.tables->iface[IFACE_IN], &y->in);
	atomic_store(&y->a.w.tables->iface[IFACE_OUT], &y->out);
	y->priv.icmp_rate[DP_ICMP_TOO_BIG] = dp_rate_make(rte_get_tsc_hz(), 100, 10);
	y->a.w.priv = &y->priv;
}

static void
close_yard(struct yard *y)
{
	dp_tables_free(y->a.w.tables);
	bed_close(&y->a);
	bed_close(&y->b);
}

/* packets in + created = packets in the burst + drops */
static void
conserved(const struct yard *y, const struct dp_burst *b, uint64_t in)
{
	assert_int_equal(in + y->a.w.count.created, b->n + y->a.w.count.dropped);
}

static struct rte_mbuf *
big(uint32_t len, uint16_t flags_and_offset)
{
	struct rte_mbuf *m = bed_packet(len);
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	spw_put_be16(ip + 6, flags_and_offset);
	bed_ip_checksum(ip);
	dp_pkt(m)->iface_in = IFACE_IN;
	return m;
}

static void
too_big_with_df_is_answered_with_the_tunnels_mtu(void **state)
{
	struct dp_burst b;
	struct yard y;
	uint8_t was[600];
	const uint8_t *ip;

	open_yard(&y, 1400);
	bed_single(&b, big(1401, 0x4000));
	memcpy(was, rte_pktmbuf_mtod(b.pkt[0], void *), sizeof(was));
	dp_stage_fit(&y.a.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(bed_drops(&y.a, DP_DROP_TOO_BIG), 1);
	assert_int_equal(dp_pkt(b.pkt[0])->next, DP_NEXT_FIB);
	assert_true(dp_pkt(b.pkt[0])->flags & DP_PKT_CREATED);
	ip = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
	assert_int_equal(b.pkt[0]->pkt_len, 576);
	assert_int_equal(spw_get_be16(ip + 2), 576);
	assert_int_equal(dp_csum_finish(dp_csum_add(0, ip, 20)), 0);
	assert_int_equal(spw_get_be32(ip + 12), OUR_ADDR);
	assert_int_equal(spw_get_be32(ip + 16), 0x0a010001);
	assert_int_equal(ip[9], 1);
	assert_int_equal(ip[20], 3);
	assert_int_equal(ip[21], 4);
	assert_int_equal(spw_get_be16(ip + 26), 1400);
	assert_int_equal(dp_csum_finish(dp_csum_add(0, ip + 20, 556)), 0);
	assert_memory_equal(ip + 28, was, 548);
	conserved(&y, &b, 1);
	bed_free(&b);
	close_yard(&y);
}

static void
too_big_is_judged_by_the_way_out(void **state)
{
	static const struct {
		uint8_t next;
		uint8_t flags;
		uint32_t len;
		bool passes, answered;
	} rows[] = {
		{DP_NEXT_SEAL, 0, 1400, true, false},
		{DP_NEXT_SEAL, 0, 1401, false, true},
		{DP_NEXT_ADJ, 0, 1500, true, false},
		{DP_NEXT_ADJ, 0, 1501, false, true},
		{DP_NEXT_OUTER, 0, 9000, true, false},
		{DP_NEXT_FIB, 0, 9000, true, false},
		{DP_NEXT_ADJ, DP_PKT_OUTER, 1500, true, false},
		{DP_NEXT_ADJ, DP_PKT_OUTER, 1501, false, false}, /* ours: dropped, no ICMP */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_burst b;
		struct yard y;

		open_yard(&y, 1400);
		bed_single(&b, big(rows[i].len, 0x4000));
		dp_pkt(b.pkt[0])->next = rows[i].next;
		dp_pkt(b.pkt[0])->flags = rows[i].flags;
		dp_pkt(b.pkt[0])->iface_out = IFACE_OUT;
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(b.n, rows[i].passes || rows[i].answered);
		assert_int_equal(y.a.w.count.created, rows[i].answered);
		assert_int_equal(bed_drops(&y.a, DP_DROP_TOO_BIG), !rows[i].passes);
		conserved(&y, &b, 1);
		bed_free(&b);
		close_yard(&y);
	}
}

static void
too_big_answers_are_rate_limited(void **state)
{
	struct dp_burst b = {.n = 40};
	struct yard y;

	open_yard(&y, 1400);
	for (uint16_t i = 0; i < b.n; i++)
		b.pkt[i] = big(1450, 0x4000);
	dp_stage_fit(&y.a.w, &b);
	assert_int_equal(b.n, 10);
	assert_int_equal(bed_drops(&y.a, DP_DROP_TOO_BIG), 40);
	conserved(&y, &b, 40);
	bed_free(&b);
	close_yard(&y);
}

/* Put fragments together again by offset; returns the payload length, and checks each header. */
static uint32_t
reassemble(const struct dp_burst *b, uint32_t mtu, uint16_t id, uint16_t base, bool more,
	   uint8_t *payload)
{
	uint32_t end = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		const uint8_t *ip = rte_pktmbuf_mtod(b->pkt[i], const uint8_t *);
		uint32_t header = (ip[0] & 15u) * 4, len = spw_get_be16(ip + 2) - header;
		uint16_t where = spw_get_be16(ip + 6);
		uint32_t at = ((where & 0x1fff) - base) * 8u;

		assert_int_equal(b->pkt[i]->pkt_len, header + len);
		assert_true(b->pkt[i]->pkt_len <= mtu);
		assert_int_equal(dp_csum_finish(dp_csum_add(0, ip, header)), 0);
		assert_int_equal(spw_get_be16(ip + 4), id);
		assert_int_equal(at, end);
		assert_int_equal((where & 0x2000) != 0, i + 1 < b->n || more);
		assert_int_equal(where & 0xc000, 0);
		assert_true(i + 1 == b->n || len % 8 == 0);
		assert_int_equal(dp_pkt(b->pkt[i])->next, DP_NEXT_SEAL);
		memcpy(payload + at, ip + header, len);
		end = at + len;
	}
	return end;
}

static void
fragments_of_every_size_come_together_again(void **state)
{
	static uint8_t was[BED_BUF], got[BED_BUF];
	struct yard y;

	srand(5);
	open_yard(&y, 600);
	for (uint32_t len = 601; len < 9000; len += 1 + (uint32_t)rand() % 40) {
		uint16_t base = (uint16_t)(rand() % 3 ? 0 : rand() % 4000);
		bool more = base != 0 && len % 8 == 4; /* payload of a non-last fragment: 8 n */
		struct dp_burst b;

		bed_single(&b, big(len, (uint16_t)(base | (more ? 0x2000 : 0))));
		memcpy(was, rte_pktmbuf_mtod_offset(b.pkt[0], void *, 20), len - 20);
		y.a.w.count.created = 0;
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(b.n, (len - 20 + 575) / 576); /* 600 - 20 rounded down to 8 */
		conserved(&y, &b, 1);
		assert_int_equal(reassemble(&b, 600, 0x1234, base, more, got), len - 20);
		assert_memory_equal(got, was, len - 20);
		bed_free(&b);
	}
	close_yard(&y);
}

static void
fragments_go_through_the_tunnel_as_whole_esp_packets(void **state)
{
	static uint8_t was[BED_BUF], got[BED_BUF];
	struct dp_burst b = {.n = 3};
	struct yard y;

	open_yard(&y, 1400);
	b.pkt[0] = bed_packet(100);
	b.pkt[1] = big(4000, 0);
	b.pkt[2] = bed_packet(200);
	memcpy(was, rte_pktmbuf_mtod_offset(b.pkt[1], void *, 20), 3980);
	dp_stage_fit(&y.a.w, &b);
	assert_int_equal(b.n, 5); /* in order: the small one, three pieces, the last */
	assert_int_equal(b.pkt[0]->pkt_len, 100);
	assert_int_equal(b.pkt[4]->pkt_len, 200);
	bed_through(&y.a, &y.b, &b);
	assert_int_equal(b.n, 5);
	for (uint16_t i = 1; i < 4; i++)
		dp_pkt(b.pkt[i])->next = DP_NEXT_SEAL;
	{
		struct dp_burst pieces = {.n = 3, .pkt = {b.pkt[1], b.pkt[2], b.pkt[3]}};

		assert_int_equal(reassemble(&pieces, 1400, 0x1234, 0, false, got), 3980);
	}
	assert_memory_equal(got, was, 3980);
	bed_free(&b);
	close_yard(&y);
}

static void
fragments_carry_only_options_with_the_copy_bit(void **state)
{
	/* record route (7, not copied), router alert (148, copied), end */
	static const uint8_t options[12] = {7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0};
	uint8_t ip[60] = {0x48, 0, 0, 0, 0, 1, 0, 0, 64, 17}, out[60];
	struct dp_fragment f;

	memcpy(ip + 20, options, sizeof(options));
	assert_int_equal(dp_fragment_later_header(ip), 24);
	f = dp_fragment_cut(ip, 1000, 0, 600);
	assert_int_equal(f.header_len, 32);
	assert_int_equal(f.len, 568);
	assert_false(f.last);
	dp_fragment_header(out, ip, &f);
	assert_memory_equal(out + 20, options, 12);
	f = dp_fragment_cut(ip, 1000, 568, 600);
	assert_int_equal(f.header_len, 24);
	assert_int_equal(f.len, 432);
	assert_true(f.last);
	dp_fragment_header(out, ip, &f);
	assert_int_equal(out[0], 0x46);
	assert_memory_equal(out + 20, ((uint8_t[]){148, 4, 0, 0}), 4);
	assert_int_equal(spw_get_be16(out + 6), 71);
	ip[21] = 0; /* broken option: what follows is left out */
	assert_int_equal(dp_fragment_later_header(ip), 20);
	f = dp_fragment_cut(ip, 1000, 0, 32);
	assert_int_equal(f.len, 0); /* nothing fits: the caller gives up */
}

static void
fragments_fail_whole_when_buffers_are_short(void **state)
{
	struct rte_mbuf *held[1023];
	struct dp_burst b;
	unsigned int n = 0;
	struct yard y;

	open_yard(&y, 600);
	bed_single(&b, big(5000, 0));
	while ((held[n] = rte_pktmbuf_alloc(bed_pool())) != NULL)
		n++;
	for (int spare = 0; spare < 4; spare++)
		rte_pktmbuf_free(held[--n]);
	dp_stage_fit(&y.a.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(bed_drops(&y.a, DP_DROP_FRAGMENT_FAILED), 1);
	conserved(&y, &b, 1);
	rte_pktmbuf_free_bulk(held, n);
	assert_int_equal(rte_mempool_in_use_count(bed_pool()), 0);
	close_yard(&y);
}

static void
fragments_of_a_full_burst_never_overrun_it(void **state)
{
	struct dp_burst b = {.n = DP_BURST_ROOM};
	struct yard y;

	open_yard(&y, 576);
	for (uint16_t i = 0; i < b.n; i++)
		b.pkt[i] = big(i % 3 == 0 ? 100 : 1100, i % 3 == 1 ? 0x4000 : 0);
	dp_stage_fit(&y.a.w, &b);
	assert_true(b.n <= DP_BURST_ROOM);
	assert_int_equal(bed_drops(&y.a, DP_DROP_TOO_BIG), DP_BURST_ROOM / 3);
	assert_true(bed_drops(&y.a, DP_DROP_FRAGMENT_FAILED) < DP_BURST_ROOM / 3);
	conserved(&y, &b, DP_BURST_ROOM);
	bed_free(&b);
	close_yard(&y);
}

static struct rte_mbuf *
syn(uint16_t mss)
{
	uint8_t p[44] = {0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1};

	p[32] = 6 << 4;
	p[33] = 2;
	p[40] = 2;
	p[41] = 4;
	spw_put_be16(p + 42, mss);
	bed_ip_checksum(p);
	return bed_mbuf(p, sizeof(p));
}

static void
mss_is_clamped_into_and_out_of_tunnels_and_on_interfaces(void **state)
{
	static const struct {
		uint8_t next, flags;
		uint16_t iface_mss, want;
	} rows[] = {
		{DP_NEXT_SEAL, 0, 0, 1360},		  /* tunnel MTU 1400 - 40 */
		{DP_NEXT_ADJ, DP_PKT_DECRYPTED, 0, 1360}, /* out of it */
		{DP_NEXT_ADJ, DP_PKT_DECRYPTED, 1200, 1200},
		{DP_NEXT_ADJ, DP_PKT_DECRYPTED, 1400, 1360},
		{DP_NEXT_ADJ, 0, 0, 1460},
		{DP_NEXT_ADJ, 0, 1300, 1300},
		{DP_NEXT_ADJ, DP_PKT_OUTER, 1300, 1460},
		{DP_NEXT_FIB, 0, 1300, 1460},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_burst b;
		struct yard y;

		open_yard(&y, 1400);
		y.out.conf.mss_clamp = rows[i].iface_mss;
		bed_single(&b, syn(1460));
		*dp_pkt(b.pkt[0]) = (struct dp_pkt){.next = rows[i].next,
						    .flags = rows[i].flags,
						    .tunnel = BED_TUNNEL,
						    .iface_out = IFACE_OUT};
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(spw_get_be16(rte_pktmbuf_mtod_offset(b.pkt[0], uint8_t *, 42)),
				 rows[i].want);
		bed_free(&b);
		close_yard(&y);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_big_with_df_is_answered_with_the_tunnels_mtu),
		cmocka_unit_test(too_big_is_judged_by_the_way_out),
		cmocka_unit_test(too_big_answers_are_rate_limited),
		cmocka_unit_test(fragments_of_every_size_come_together_again),
		cmocka_unit_test(fragments_go_through_the_tunnel_as_whole_esp_packets),
		cmocka_unit_test(fragments_carry_only_options_with_the_copy_bit),
		cmocka_unit_test(fragments_fail_whole_when_buffers_are_short),
		cmocka_unit_test(fragments_of_a_full_burst_never_overrun_it),
		cmocka_unit_test(mss_is_clamped_into_and_out_of_tunnels_and_on_interfaces),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
