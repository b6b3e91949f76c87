/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fit stage (ESP-43, ESP-44, ESP-47): what is too long for a tunnel or an interface is cut or
 * answered, in order and with nothing lost; SYNs are clamped in both directions. ICMP errors of
 * both families.
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

static const uint8_t our6[16] = {0xfd, 0, 0, 1, [15] = 0xfe};
static const uint8_t host6[16] = {0xfd, 0, 0, 1, [15] = 5};
static const uint8_t far6[16] = {0xfd, 0, 0, 2, [15] = 7};

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
	y->in.has_v6 = true;
	memcpy(y->in.addr_v6, our6, 16);
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
esp_43_too_big_with_df_is_answered_with_the_tunnels_mtu(void **state)
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
esp_43_fragments_of_every_size_come_together_again(void **state)
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

/* RFC 791 3.1: no datagram is longer than 65,535 bytes, so no piece ends behind that. */
static void
fragments_that_end_behind_the_longest_datagram_are_not_cut_further(void **state)
{
	static const struct {
		uint16_t offset; /* in units of 8 */
		bool cut;
	} rows[] = {{0, true}, {100, true}, {8009, true}, {8010, false}, {8191, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_burst b;
		struct yard y;

		open_yard(&y, 1400);
		bed_single(&b, big(20 + 1440, rows[i].offset)); /* the last piece of a datagram */
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(b.n, rows[i].cut ? 2 : 0);
		assert_int_equal(bed_drops(&y.a, DP_DROP_FRAGMENT_FAILED), !rows[i].cut);
		for (uint16_t k = 0; k < b.n; k++)
			assert_int_equal(spw_get_be16(rte_pktmbuf_mtod_offset(b.pkt[k], uint8_t *, 6)),
					 (k == 0 ? 0x2000 : 0) | (rows[i].offset + k * 172));
		conserved(&y, &b, 1);
		bed_free(&b);
		close_yard(&y);
	}
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
esp_47_mss_is_clamped_into_and_out_of_tunnels_and_on_interfaces(void **state)
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

/* Between two tunnels, or from a narrow interface into one, a connection shall fit both. */
static void
esp_47_mss_is_clamped_to_the_smaller_of_the_ways_in_and_out(void **state)
{
	static const struct {
		uint32_t came_mtu; /* of the tunnel behind it; 0: it came by an interface */
		uint16_t iface_mss, want;
	} rows[] = {
		{1300, 0, 1260},   {1400, 0, 1360}, {1500, 0, 1360}, /* 1400 ahead */
		{1300, 1200, 1260}, {0, 0, 1360},    {0, 1200, 1200}, {0, 1400, 1360},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct spw_sa_desc other;
		struct spw_dp_tunnel t = {.id = BED_TUNNEL + 1,
					  .local = spw_addr_v4(0xc0000201),
					  .remote = spw_addr_v4(0xc6336401),
					  .mtu = rows[i].came_mtu,
					  .outer_path = SPW_DP_ADDR_NONE};
		struct dp_burst b;
		struct yard y;

		open_yard(&y, 1400);
		y.in.conf.mss_clamp = rows[i].iface_mss;
		bed_single(&b, syn(1460));
		*dp_pkt(b.pkt[0]) = (struct dp_pkt){
			.next = DP_NEXT_SEAL, .tunnel = BED_TUNNEL, .iface_in = IFACE_IN};
		if (rows[i].came_mtu != 0) {
			assert_int_equal(dp_sad_tunnel_set(y.a.sad, &t, NULL), 0);
			other = bed_desc(&y.a, 0xc6336401, &(struct bed_sa){.held = true});
			assert_int_equal(dp_sad_spi_alloc(y.a.sad, t.id, &other.spi_in, NULL), 0);
			other.tunnel = t.id;
			assert_int_equal(dp_sad_install(y.a.sad, &other, false, NULL), 0);
			dp_pkt(b.pkt[0])->flags = DP_PKT_DECRYPTED;
			dp_pkt(b.pkt[0])->sa = other.spi_in & y.a.sad->index_mask;
		}
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(spw_get_be16(rte_pktmbuf_mtod_offset(b.pkt[0], uint8_t *, 42)),
				 rows[i].want);
		bed_free(&b);
		close_yard(&y);
	}
}

/* An IPv6 packet of `len` bytes from host6 to far6, bound for the tunnel. */
static struct rte_mbuf *
big6(uint32_t len, uint8_t next)
{
	static uint8_t ip[BED_BUF];
	struct rte_mbuf *m;

	for (uint32_t i = 40; i < len; i++)
		ip[i] = (uint8_t)rand();
	memset(ip, 0, 40);
	ip[0] = 0x60;
	spw_put_be16(ip + 4, (uint16_t)(len - 40));
	ip[6] = next;
	ip[7] = 63;
	memcpy(ip + 8, host6, 16);
	memcpy(ip + 24, far6, 16);
	m = bed_mbuf(ip, len);
	*dp_pkt(m) = (struct dp_pkt){.next = DP_NEXT_SEAL,
				     .flags = DP_PKT_IPV6,
				     .tunnel = BED_TUNNEL,
				     .iface_in = IFACE_IN,
				     .iface_out = IFACE_OUT};
	return m;
}

/* Checksum of an upper layer over IPv6 (RFC 8200 8.1): 0 when the field in it is right. */
static uint16_t
checksum6(const uint8_t *ip, uint32_t at, uint32_t len, uint8_t protocol)
{
	return dp_csum_finish(
		dp_csum_add(dp_csum_add(len - at + protocol, ip + 8, 32), ip + at, len - at));
}

static void
esp_43_too_big_ipv6_is_answered_and_never_cut(void **state)
{
	static const struct {
		uint32_t mtu, len, told; /* 0 = passes */
	} rows[] = {
		{1400, 1400, 0},    {1400, 1401, 1400}, {1400, 9000, 1400}, {1280, 1280, 0},
		{1280, 1281, 1280}, {1000, 1001, 0},	{1000, 1280, 0},    {1000, 1281, 1280},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t was[1232];
		struct dp_burst b = {0};
		struct yard y;
		const uint8_t *ip;

		open_yard(&y, rows[i].mtu);
		bed_single(&b, big6(rows[i].len, 17));
		memcpy(was, rte_pktmbuf_mtod(b.pkt[0], void *), RTE_MIN(rows[i].len, 1232u));
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(b.n, 1);
		assert_int_equal(bed_drops(&y.a, DP_DROP_TOO_BIG), rows[i].told != 0);
		conserved(&y, &b, 1);
		ip = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
		if (rows[i].told != 0) {
			assert_int_equal(b.pkt[0]->pkt_len, 1280);
			assert_int_equal(dp_pkt(b.pkt[0])->next, DP_NEXT_FIB);
			assert_int_equal(dp_pkt(b.pkt[0])->flags,
					 DP_PKT_CREATED | DP_PKT_FROM_TWIN | DP_PKT_IPV6);
			assert_int_equal(ip[0] >> 4, 6);
			assert_int_equal(spw_get_be16(ip + 4), 1240);
			assert_int_equal(ip[6], 58);
			assert_memory_equal(ip + 8, our6, 16);
			assert_memory_equal(ip + 24, host6, 16);
			assert_int_equal(ip[40] << 8 | ip[41], 0x0200);
			assert_int_equal(spw_get_be32(ip + 44), rows[i].told);
			assert_int_equal(checksum6(ip, 40, 1280, 58), 0);
			assert_memory_equal(ip + 48, was, 1232);
		} else {
			assert_int_equal(b.pkt[0]->pkt_len, rows[i].len);
		}
		bed_free(&b);
		close_yard(&y);
	}
}

static void
icmp_errors_of_a_gateway_without_an_address_are_not_sent(void **state)
{
	struct dp_burst b = {0};
	struct yard y;

	open_yard(&y, 1400);
	y.in.has_v6 = false;
	y.in.addr_v4 = 0;
	b.n = 2;
	b.pkt[0] = big6(1401, 17);
	b.pkt[1] = big(1401, 0x4000);
	dp_stage_fit(&y.a.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(bed_drops(&y.a, DP_DROP_TOO_BIG), 2);
	conserved(&y, &b, 2);
	close_yard(&y);
}

static void
icmp_errors_about_the_kernels_packets_go_up_by_their_twin(void **state)
{
	for (unsigned int six = 0; six < 2; six++) {
		struct rte_mbuf *m = six ? big6(1401, 17) : big(1401, 0x4000), *up = NULL;
		struct dp_burst b = {0};
		struct yard y;
		const uint8_t *ip;

		open_yard(&y, 1400);
		y.in.conf.kind = SPW_IFACE_TUNNEL; /* no Ethernet header */
		y.in.twin = true;
		y.priv.punt_rate[0] = dp_rate_make(rte_get_tsc_hz(), 100, 10);
		y.priv.to_punt = rte_ring_create("fit_punt", 64, SOCKET_ID_ANY, 0);
		assert_non_null(y.priv.to_punt);
		bed_single(&b, m);
		dp_pkt(m)->flags |= DP_PKT_FROM_TWIN;
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(b.n, 0);
		assert_int_equal(y.a.w.count.created, 1);
		assert_int_equal(rte_ring_dequeue(y.priv.to_punt, (void **)&up), 0);
		assert_int_equal(dp_pkt(up)->twin, IFACE_IN);
		ip = rte_pktmbuf_mtod(up, const uint8_t *);
		if (six)
			assert_memory_equal(ip + 8, far6, 16);
		else
			assert_int_equal(spw_get_be32(ip + 12), 0x0a020001);
		assert_int_equal(six ? spw_get_be32(ip + 44) : spw_get_be16(ip + 26), 1400);
		rte_pktmbuf_free(up);
		rte_ring_free(y.priv.to_punt);
		close_yard(&y);
	}
}

static void
too_big_packets_in_many_pieces_are_quoted_whole(void **state)
{
	for (unsigned int six = 0; six < 2; six++) {
		uint32_t len = 3000, max = six ? 1232 : 548, head = six ? 48 : 28, cut = 90;
		struct rte_mbuf *m = six ? big6(len, 17) : big(len, 0x4000), *tail;
		struct dp_burst b = {0};
		static uint8_t was[3000];
		struct yard y;

		open_yard(&y, 1400);
		memcpy(was, rte_pktmbuf_mtod(m, void *), len);
		tail = bed_mbuf(was + cut, len - cut);
		rte_pktmbuf_trim(m, (uint16_t)(len - cut));
		assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
		bed_single(&b, m);
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(b.n, 1);
		assert_int_equal(b.pkt[0]->pkt_len, head + max);
		assert_memory_equal(rte_pktmbuf_mtod_offset(b.pkt[0], uint8_t *, head), was, max);
		bed_free(&b);
		close_yard(&y);
	}
}

static void
esp_44_sealed_packet_that_its_interface_does_not_carry_teaches_the_tunnel(void **state)
{
	struct spw_dp_sa_event ev;
	struct dp_burst b = {0};
	struct yard y;

	open_yard(&y, 1400);
	y.out.conf.mtu = 1380;
	bed_single(&b, bed_packet(1400));
	dp_stage_esp_seal(&y.a.w, &b);
	assert_int_equal(b.pkt[0]->pkt_len, 1456);
	dp_pkt(b.pkt[0])->next = DP_NEXT_ADJ;
	dp_pkt(b.pkt[0])->iface_out = IFACE_OUT;
	dp_stage_fit(&y.a.w, &b);
	assert_int_equal(b.n, 0); /* dropped; nobody is answered */
	assert_int_equal(bed_drops(&y.a, DP_DROP_TOO_BIG), 1);
	while (dp_sad_event(y.a.sad, &ev))
		;
	bed_single(&b, big(1400, 0x4000)); /* the next one is */
	dp_stage_fit(&y.a.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(spw_get_be16(rte_pktmbuf_mtod_offset(b.pkt[0], uint8_t *, 26)), 1326);
	bed_free(&b);
	bed_single(&b, big(1326, 0x4000));
	dp_stage_fit(&y.a.w, &b);
	dp_stage_esp_seal(&y.a.w, &b);
	assert_int_equal(b.pkt[0]->pkt_len, 1380);
	bed_free(&b);
	close_yard(&y);
}

/* A burst of both families and all ways, against what each packet gets alone. */
/* A packet of either family, bound for any way, too long for some of them. */
static struct rte_mbuf *
random_packet(void)
{
	static const uint8_t nexts[] = {DP_NEXT_SEAL, DP_NEXT_ADJ, DP_NEXT_TX, DP_NEXT_SEAL};
	uint32_t len = 1200 + (uint32_t)rand() % 400;
	struct rte_mbuf *m = rand() % 2 ? big6(len, 17) : big(len, 0x4000);

	dp_pkt(m)->next = nexts[rand() % 4];
	dp_pkt(m)->tunnel = rand() % 8 ? BED_TUNNEL : 99999;
	dp_pkt(m)->iface_out = rand() % 8 ? IFACE_OUT : 777;
	dp_pkt(m)->flags |= rand() % 4 ? 0 : DP_PKT_DECRYPTED;
	return m;
}

/* A burst of all kinds, against what each packet gets alone: itself, or one answer. */
static void
packets_of_many_ways_are_judged_as_if_alone(void **state)
{
	srand(23);
	for (int round = 0; round < 300; round++) {
		struct dp_burst b = {.n = 40}, one = {0};
		uint32_t want[40], n_want = 0;
		struct yard y;

		open_yard(&y, 1300);
		y.out.conf.mtu = 1450;
		y.priv.icmp_rate[DP_ICMP_TOO_BIG] = (struct dp_rate){0}; /* any number */
		for (uint16_t i = 0; i < b.n; i++) {
			struct rte_mbuf *m = b.pkt[i] = random_packet();

			bed_single(&one, bed_mbuf(rte_pktmbuf_mtod(m, void *), m->pkt_len));
			*dp_pkt(one.pkt[0]) = *dp_pkt(m);
			dp_stage_fit(&y.a.w, &one);
			assert_int_equal(one.n, 1);
			if (dp_pkt(one.pkt[0])->next != DP_NEXT_FIB)
				want[n_want++] = one.pkt[0]->pkt_len;
			bed_free(&one);
		}
		dp_stage_fit(&y.a.w, &b);
		assert_int_equal(b.n, 40);
		for (uint16_t i = 0; i < 40; i++) { /* in order, answers behind */
			assert_int_equal(dp_pkt(b.pkt[i])->next == DP_NEXT_FIB, i >= n_want);
			if (i < n_want)
				assert_int_equal(b.pkt[i]->pkt_len, want[i]);
		}
		bed_free(&b);
		close_yard(&y);
	}
}

static struct rte_mbuf *
syn6(uint16_t mss, bool options)
{
	uint32_t at = options ? 56 : 40; /* hop-by-hop and destination options before TCP */
	struct rte_mbuf *m = big6(at + 24, options ? 0 : 6);
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *), *tcp = ip + at;

	if (options) {
		memset(ip + 40, 0, 16);
		ip[40] = 60;
		ip[48] = 6;
	}
	tcp[12] = 6 << 4;
	tcp[13] = 2;
	tcp[20] = 2;
	tcp[21] = 4;
	spw_put_be16(tcp + 22, mss);
	spw_put_be16(tcp + 16, 0);
	spw_put_be16(tcp + 16, checksum6(ip, at, at + 24, 6));
	return m;
}

static void
esp_47_mss_over_ipv6_is_clamped_to_60_below_the_mtu(void **state)
{
	static const struct {
		uint8_t next, flags;
		uint16_t iface_mss;
		uint32_t mtu;
		uint16_t want;
	} rows[] = {
		{DP_NEXT_SEAL, 0, 0, 1400, 1340},
		{DP_NEXT_SEAL, 0, 0, 1280, 1220},
		{DP_NEXT_SEAL, 0, 0, 1200, 1140}, /* although packets of 1280 would go in */
		{DP_NEXT_ADJ, DP_PKT_DECRYPTED, 0, 1400, 1340},
		{DP_NEXT_ADJ, DP_PKT_DECRYPTED, 1200, 1400, 1200},
		{DP_NEXT_ADJ, 0, 0, 1400, 1460},
		{DP_NEXT_ADJ, 0, 1460, 1400, 1440}, /* interface MTU 1500 - 60 */
		{DP_NEXT_ADJ, DP_PKT_OUTER, 1300, 1400, 1460},
	};

	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t at = i % 2 ? 56 : 40;
		struct dp_burst b = {0};
		struct yard y;
		const uint8_t *ip;

		open_yard(&y, rows[i / 2].mtu);
		y.out.conf.mss_clamp = rows[i / 2].iface_mss;
		bed_single(&b, syn6(1460, i % 2));
		dp_pkt(b.pkt[0])->next = rows[i / 2].next;
		dp_pkt(b.pkt[0])->flags |= rows[i / 2].flags;
		dp_stage_fit(&y.a.w, &b);
		ip = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
		assert_int_equal(spw_get_be16(ip + at + 22), rows[i / 2].want);
		assert_int_equal(checksum6(ip, at, at + 24, 6), 0);
		bed_free(&b);
		close_yard(&y);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_43_too_big_with_df_is_answered_with_the_tunnels_mtu),
		cmocka_unit_test(too_big_is_judged_by_the_way_out),
		cmocka_unit_test(too_big_answers_are_rate_limited),
		cmocka_unit_test(esp_43_fragments_of_every_size_come_together_again),
		cmocka_unit_test(fragments_go_through_the_tunnel_as_whole_esp_packets),
		cmocka_unit_test(fragments_carry_only_options_with_the_copy_bit),
		cmocka_unit_test(fragments_fail_whole_when_buffers_are_short),
		cmocka_unit_test(fragments_of_a_full_burst_never_overrun_it),
		cmocka_unit_test(
			fragments_that_end_behind_the_longest_datagram_are_not_cut_further),
		cmocka_unit_test(esp_47_mss_is_clamped_into_and_out_of_tunnels_and_on_interfaces),
		cmocka_unit_test(esp_47_mss_is_clamped_to_the_smaller_of_the_ways_in_and_out),
		cmocka_unit_test(esp_43_too_big_ipv6_is_answered_and_never_cut),
		cmocka_unit_test(icmp_errors_of_a_gateway_without_an_address_are_not_sent),
		cmocka_unit_test(icmp_errors_about_the_kernels_packets_go_up_by_their_twin),
		cmocka_unit_test(too_big_packets_in_many_pieces_are_quoted_whole),
		cmocka_unit_test(
			esp_44_sealed_packet_that_its_interface_does_not_carry_teaches_the_tunnel),
		cmocka_unit_test(packets_of_many_ways_are_judged_as_if_alone),
		cmocka_unit_test(esp_47_mss_over_ipv6_is_clamped_to_60_below_the_mtu),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
