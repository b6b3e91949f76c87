/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What seal and open do to the octets of a packet, against each other and against ESP by OpenSSL:
 * forms, tags, numbers, trailers, what may be inside.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/dataplane/esp_two.h"

static const struct bed_sa forms[] = {
	{.encr = SPW_ENCR_AES128_GCM},
	{.encr = SPW_ENCR_AES192_GCM},
	{.encr = SPW_ENCR_AES256_GCM},
	{.encr = SPW_ENCR_AES256_GCM, .flags = SPW_SA_UDP_ENCAP},
	{.encr = SPW_ENCR_AES128_GCM, .flags = SPW_SA_ESN},
	{.encr = SPW_ENCR_AES256_GCM, .flags = SPW_SA_ESN | SPW_SA_UDP_ENCAP},
};

static void
esp_round_trip_gives_the_same_packets_in_order(void **state)
{
	static uint8_t was[DP_BURST][BED_BUF];
	uint32_t len[DP_BURST];

	srand(1);
	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		struct bed_two t;
		struct dp_burst b;
		uint64_t sent = 0;

		bed_two_open(&t, &forms[f]);
		for (int round = 0; round < 50; round++) {
			b.n = 1 + (uint16_t)(rand() % DP_BURST);
			for (uint16_t i = 0; i < b.n; i++) {
				len[i] = 20 + (uint32_t)rand() % (rand() % 8 ? 1481 : 8900);
				b.pkt[i] = bed_packet(len[i]);
				memcpy(was[i], rte_pktmbuf_mtod(b.pkt[i], void *), len[i]);
			}
			sent += b.n;
			bed_through(&t.a, &t.b, &b);
			for (uint16_t i = 0; i < b.n; i++) {
				const struct dp_pkt *p = dp_pkt(b.pkt[i]);

				assert_int_equal(b.pkt[i]->pkt_len, len[i]);
				assert_memory_equal(rte_pktmbuf_mtod(b.pkt[i], void *), was[i],
						    len[i]);
				assert_int_equal(p->next, DP_NEXT_FIB);
				assert_int_equal(p->tunnel, BED_TUNNEL);
				assert_true(p->flags & DP_PKT_DECRYPTED);
			}
			bed_free(&b);
		}
		assert_int_equal(bed_sa_stats(&t.a).out_packets, sent);
		assert_int_equal(bed_sa_stats(&t.a).seq_out, sent);
		assert_int_equal(bed_sa_stats(&t.b).in_packets, sent);
		assert_int_equal(bed_sa_stats(&t.b).in_bytes, bed_sa_stats(&t.a).out_bytes);
		assert_int_equal(bed_tunnel_stats(&t.a).transit_out, sent);
		assert_int_equal(bed_tunnel_stats(&t.b).transit_in, sent);
		assert_int_equal(t.a.w.count.dropped + t.b.w.count.dropped, 0);
		bed_two_close(&t);
	}
}

/* One packet sealed by us and opened by OpenSSL; every byte of the form is looked at. */
static void
seal_for_oracle(struct bed_two *t, uint64_t seq, uint32_t len)
{
	static uint8_t was[BED_BUF], text[BED_BUF];
	struct rte_mbuf *m = bed_packet(len);
	bool esn = (t->at_a.flags & SPW_SA_ESN) != 0;
	uint32_t outer = t->at_a.flags & SPW_SA_UDP_ENCAP ? 28 : 20, pad = -(len + 2) & 3;
	const uint8_t *ip;
	struct dp_burst b;
	int n;

	memcpy(was, rte_pktmbuf_mtod(m, void *), len);
	bed_single(&b, m);
	dp_stage_esp_seal(&t->a.w, &b);
	assert_int_equal(b.n, 1);
	ip = rte_pktmbuf_mtod(m, const uint8_t *);
	assert_int_equal(spw_get_be32(ip + 12), t->a.addr);
	assert_int_equal(spw_get_be32(ip + 16), t->b.addr);
	assert_int_equal(ip[8], 64);
	assert_int_equal(spw_get_be32(ip + outer), t->at_b.spi_in);
	assert_int_equal(spw_get_be32(ip + outer + 4), (uint32_t)seq);
	assert_int_equal(spw_get_be64(ip + outer + 8), seq);
	n = bed_oracle_open(t->at_a.key_out, t->at_a.key_len, seq >> 32, esn, ip + outer,
			    m->pkt_len - outer, text);
	assert_int_equal(n, len + pad + 2);
	assert_memory_equal(text, was, len);
	for (uint32_t i = 0; i < pad; i++)
		assert_int_equal(text[len + i], i + 1);
	assert_int_equal(text[n - 2], pad);
	assert_int_equal(text[n - 1], 4);
	bed_receive(&b);
	bed_free(&b);
}

static void
esp_sealed_by_us_opens_with_openssl(void **state)
{
	srand(2);
	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		struct bed_two t;

		bed_two_open(&t, &forms[f]);
		for (uint32_t i = 1; i <= 2000; i++)
			seal_for_oracle(&t, i, 20 + (uint32_t)rand() % (i % 8 ? 1481 : 8900));
		bed_two_close(&t);
	}
}

static void
esp_sealed_by_openssl_opens_here(void **state)
{
	static uint8_t esp[BED_BUF], out[BED_BUF], inner[BED_BUF];

	srand(3);
	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		struct bed_two t;

		bed_two_open(&t, &forms[f]);
		for (uint32_t i = 1; i <= 2000; i++) {
			uint32_t len = 20 + (uint32_t)rand() % (i % 8 ? 1481 : 8900), n, got = 0;
			struct rte_mbuf *m = bed_packet(len);

			memcpy(inner, rte_pktmbuf_mtod(m, void *), len);
			rte_pktmbuf_free(m);
			n = bed_oracle_seal(t.at_b.key_in, t.at_b.key_len, t.at_b.spi_in, i,
					    (t.at_b.flags & SPW_SA_ESN) != 0, inner, len, 0, -1, 4,
					    esp);
			assert_true(bed_open_esp(&t.b, esp, n, out, &got));
			assert_int_equal(got, len);
			assert_memory_equal(out, inner, len);
		}
		bed_two_close(&t);
	}
}

static void
esp_works_in_every_instruction_set(void **state)
{
	unsigned int ran = 0;

	for (unsigned int isa = DP_CRYPTO_SSE; isa < DP_CRYPTO_ISA_COUNT; isa++) {
		struct dp_crypto *c;
		struct bed_two t;

		if (dp_crypto_new(&c, isa, NULL) < 0)
			continue;
		dp_crypto_free(c);
		bed_two_open_isa(&t, &forms[2], isa);
		for (uint32_t i = 1; i <= 500; i++)
			seal_for_oracle(&t, i, 20 + (uint32_t)rand() % 1481);
		bed_two_close(&t);
		ran++;
	}
	assert_true(ran >= 1);
}

static void
esp_any_flipped_bit_drops_and_changes_nothing(void **state)
{
	uint8_t esp[256], bad[256];
	struct dp_sa_in *in;
	struct bed_two t;
	uint32_t n;

	bed_two_open(&t, &forms[0]);
	n = bed_oracle_packet(&t, 100, esp);
	assert_true(bed_open_esp(&t.b, esp, n, NULL, NULL));
	n = bed_oracle_sized(&t, 101, 86, esp);
	assert_int_equal(n, 120);
	in = dp_sad_child(t.b.sad, t.at_b.spi_in)->in;
	for (uint32_t bit = 0; bit < n * 8; bit++) {
		memcpy(bad, esp, n);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(bed_open_esp(&t.b, bad, n, NULL, NULL));
		assert_int_equal(in->replay.top, 100);
		assert_int_equal(dp_counted(&in->packets), 1);
	}
	/* SPI bits: another SA; sequence bits that make it 100 or less than the window: replay. */
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 32);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_AUTH) + bed_drops(&t.b, DP_DROP_ESP_REPLAY) +
				 bed_drops(&t.b, DP_DROP_ESP_LATE),
			 n * 8 - 32);
	assert_true(bed_drops(&t.b, DP_DROP_ESP_AUTH) >= n * 8 - 32 - 8);
	assert_int_equal(bed_sa_stats(&t.b).auth_failed, bed_drops(&t.b, DP_DROP_ESP_AUTH));
	assert_true(bed_open_esp(&t.b, esp, n, NULL, NULL));
	bed_two_close(&t);
}

static void
esp_bad_tag_with_a_far_number_does_not_move_the_window(void **state)
{
	uint8_t esp[256];
	struct bed_two t;
	uint32_t n;

	bed_two_open(&t, &forms[0]);
	n = bed_oracle_packet(&t, 1, esp);
	assert_true(bed_open_esp(&t.b, esp, n, NULL, NULL));
	n = bed_oracle_packet(&t, 0xfffffff0, esp);
	esp[n - 1] ^= 1;
	assert_false(bed_open_esp(&t.b, esp, n, NULL, NULL));
	n = bed_oracle_packet(&t, 2, esp);
	assert_true(bed_open_esp(&t.b, esp, n, NULL, NULL));
	bed_two_close(&t);
}

static void
esp_one_bad_packet_in_a_burst_harms_no_other(void **state)
{
	enum { N = 32 };

	for (uint16_t bad = 0; bad < N; bad++) {
		struct bed_two t;
		struct dp_burst b = {.n = N};

		bed_two_open(&t, &forms[2]);
		for (uint16_t i = 0; i < N; i++) {
			b.pkt[i] = bed_packet(100);
			rte_pktmbuf_mtod(b.pkt[i], uint8_t *)[99] = (uint8_t)i;
		}
		dp_stage_esp_seal(&t.a.w, &b);
		bed_receive(&b);
		*rte_pktmbuf_mtod_offset(b.pkt[bad], uint8_t *, 40) ^= 4;
		dp_stage_esp_open(&t.b.w, &b);
		assert_int_equal(b.n, N - 1);
		for (uint16_t i = 0; i < b.n; i++)
			assert_int_equal(rte_pktmbuf_mtod(b.pkt[i], uint8_t *)[99],
					 i < bad ? i : i + 1);
		assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_AUTH), 1);
		bed_free(&b);
		bed_two_close(&t);
	}
}

static void
esp_of_two_copies_in_a_burst_one_passes(void **state)
{
	struct dp_burst b = {.n = 8};
	uint8_t esp[256];
	struct bed_two t;
	uint32_t n;

	bed_two_open(&t, &forms[0]);
	n = bed_oracle_packet(&t, 9, esp);
	for (uint16_t i = 0; i < b.n; i++) {
		b.pkt[i] = bed_mbuf(esp, n);
		dp_pkt(b.pkt[i])->next = DP_NEXT_OPEN;
	}
	dp_stage_esp_open(&t.b.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_REPLAY), 7);
	assert_int_equal(bed_sa_stats(&t.b).replayed, 7);
	bed_free(&b);
	bed_two_close(&t);
}

static void
esp_whole_capture_replayed_gives_nothing(void **state)
{
	enum { N = 3000 };
	static uint8_t capture[N][128];
	static uint32_t len[N];
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){.window = 64});
	for (uint32_t i = 0; i < N; i++) {
		len[i] = bed_oracle_packet(&t, i + 1, capture[i]);
		assert_true(bed_open_esp(&t.b, capture[i], len[i], NULL, NULL));
	}
	for (uint32_t i = 0; i < N; i++)
		assert_false(bed_open_esp(&t.b, capture[i], len[i], NULL, NULL));
	for (uint32_t i = N; i-- > 0;)
		assert_false(bed_open_esp(&t.b, capture[i], len[i], NULL, NULL));
	assert_int_equal(bed_sa_stats(&t.b).late, 2 * (N - 64));
	assert_int_equal(bed_sa_stats(&t.b).replayed, 2 * 64);
	bed_two_close(&t);
}

static void
esp_with_esn_crosses_epochs(void **state)
{
	struct dp_sa_out *out;
	struct dp_burst b;
	struct bed_two t;

	bed_two_open(&t, &forms[4]);
	out = dp_sad_child(t.a.sad, t.at_a.spi_in)->out;
	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		/* Jump to shortly before the wrap; the receiver must come along first. */
		atomic_store(&out->seq, (epoch << 32) - 1000);
		dp_sad_child(t.b.sad, t.at_b.spi_in)->in->replay.top = (epoch << 32) - 1000;
		for (int i = 0; i < 2000; i++) {
			bed_single(&b, bed_packet(64));
			bed_through(&t.a, &t.b, &b);
			assert_int_equal(b.n, 1);
			bed_free(&b);
		}
		assert_int_equal(bed_sa_stats(&t.a).seq_out, (epoch << 32) + 1000);
	}
	bed_two_close(&t);
}

static void
esp_of_impossible_length_is_a_runt(void **state)
{
	uint8_t esp[256];
	struct bed_two t;
	uint64_t runts = 0;

	bed_two_open(&t, &forms[0]);
	bed_oracle_packet(&t, 1, esp);
	for (uint32_t n = 1; n < 120; n++) {
		assert_int_equal(bed_open_esp(&t.b, esp, n, NULL, NULL), n == 96); /* its own */
		runts += n < 36 || (n & 3) != 0;
	}
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_RUNT), runts);
	assert_int_equal(t.b.w.count.dropped, 118);
	bed_two_close(&t);
}

/* What is inside decides: rows of trailer, next header and inner header against a reason. */
static void
esp_content_is_judged_after_opening(void **state)
{
	static const struct row {
		const char *what;
		uint32_t extra;
		int pad_len;
		uint8_t next;
		uint8_t at, value; /* byte of the inner header to set, 0xff = none */
		bool fix;	   /* mend the header checksum after that */
		enum dp_drop reason;
	} rows[] = {
		{"good", 0, -1, 4, 0xff, 0, false, DP_DROP_COUNT},
		{"TFC padding", 200, -1, 4, 0xff, 0, false, DP_DROP_COUNT},
		{"pad length to the start", 0, 62, 4, 0xff, 0, false, DP_DROP_ESP_INNER},
		{"pad length beyond", 0, 63, 4, 0xff, 0, false, DP_DROP_ESP_PADDING},
		{"pad length 255", 0, 255, 4, 0xff, 0, false, DP_DROP_ESP_PADDING},
		{"dummy", 0, -1, 59, 0xff, 0, false, DP_DROP_ESP_DUMMY},
		{"IPv6", 0, -1, 41, 0xff, 0, false, DP_DROP_ESP_INNER},
		{"TCP in transport mode", 0, -1, 6, 0xff, 0, false, DP_DROP_ESP_NEXT_HEADER},
		{"next header 0", 0, -1, 0, 0xff, 0, false, DP_DROP_ESP_NEXT_HEADER},
		{"version 6 in IPv4", 0, -1, 4, 0, 0x65, true, DP_DROP_ESP_INNER},
		{"header of 16", 0, -1, 4, 0, 0x44, false, DP_DROP_ESP_INNER},
		{"header of 60 in 60", 0, -1, 4, 0, 0x4f, true, DP_DROP_COUNT},
		{"total too long", 0, -1, 4, 3, 61, true, DP_DROP_ESP_INNER},
		{"total below header", 0, -1, 4, 3, 19, true, DP_DROP_ESP_INNER},
		{"total 20", 0, -1, 4, 3, 20, true, DP_DROP_COUNT},
		{"checksum", 0, -1, 4, 8, 1, false, DP_DROP_ESP_INNER},
	};
	uint8_t esp[512];
	uint64_t bytes = 0;
	struct bed_two t;

	bed_two_open(&t, &forms[0]);
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct rte_mbuf *m = bed_packet(60);
		uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
		uint64_t before;
		uint32_t n, text;

		if (r->at != 0xff)
			ip[r->at] = r->value;
		if (r->fix)
			bed_ip_checksum(ip);
		n = bed_oracle_seal(t.at_b.key_in, t.at_b.key_len, t.at_b.spi_in, i + 1, false, ip,
				    60, r->extra, r->pad_len, r->next, esp);
		rte_pktmbuf_free(m);
		before = r->reason == DP_DROP_COUNT ? 0 : bed_drops(&t.b, r->reason);
		if (bed_open_esp(&t.b, esp, n, NULL, NULL) != (r->reason == DP_DROP_COUNT))
			fail_msg("%s", r->what);
		if (r->reason != DP_DROP_COUNT && bed_drops(&t.b, r->reason) != before + 1)
			fail_msg("%s: another reason", r->what);
		/* All of them were authentic: replay, liveness and limits count them. */
		assert_int_equal(bed_sa_stats(&t.b).in_packets, i + 1);
		text = n - 8 - 8 - 16;
		bytes += r->pad_len < 0 ? 60 + r->extra : text;
		bytes -= r->pad_len < 0 || r->pad_len + 2u > text ? 0 : r->pad_len + 2u;
		assert_int_equal(bed_sa_stats(&t.b).in_bytes, bytes);
	}
	bed_two_close(&t);
}

/* An authentic peer may send anything at all: what comes out is a sound IPv4 packet or a drop. */
static void
esp_random_content_never_breaks_anything(void **state)
{
	static const uint8_t nexts[] = {4, 4, 4, 41, 59, 6};
	uint8_t inner[256], esp[400], out[400];
	unsigned int passed = 0;
	struct bed_two t;

	srand(9);
	bed_two_open(&t, &forms[0]);
	for (uint32_t i = 1; i <= 20000; i++) {
		uint32_t len = (uint32_t)rand() % 200, n, got = 0;

		for (uint32_t j = 0; j < len; j++)
			inner[j] = (uint8_t)rand();
		if (len >= 20 && rand() % 4) { /* something like IPv4, often nearly right */
			inner[0] = (uint8_t)(0x40 | (4 + rand() % 4));
			spw_put_be16(inner + 2, (uint16_t)(len + 2 - (uint32_t)rand() % 5));
			if ((inner[0] & 15u) * 4 <= len)
				bed_ip_checksum(inner);
		}
		n = bed_oracle_seal(t.at_b.key_in, t.at_b.key_len, t.at_b.spi_in, i, false, inner,
				    len, (uint32_t)rand() % 40, rand() % 4 ? -1 : rand() % 256,
				    nexts[rand() % 6], esp);
		if (!bed_open_esp(&t.b, esp, n, out, &got))
			continue;
		passed++;
		assert_true(got <= n - 34);
		assert_int_equal(got, spw_get_be16(out + 2));
		assert_int_equal(out[0] >> 4, 4);
		assert_true((out[0] & 15u) * 4 >= 20 && (out[0] & 15u) * 4 <= got);
	}
	assert_true(passed > 1000);
	assert_int_equal(passed + t.b.w.count.dropped, 20000);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_AUTH), 0);
	bed_two_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_round_trip_gives_the_same_packets_in_order),
		cmocka_unit_test(esp_sealed_by_us_opens_with_openssl),
		cmocka_unit_test(esp_sealed_by_openssl_opens_here),
		cmocka_unit_test(esp_works_in_every_instruction_set),
		cmocka_unit_test(esp_any_flipped_bit_drops_and_changes_nothing),
		cmocka_unit_test(esp_bad_tag_with_a_far_number_does_not_move_the_window),
		cmocka_unit_test(esp_one_bad_packet_in_a_burst_harms_no_other),
		cmocka_unit_test(esp_of_two_copies_in_a_burst_one_passes),
		cmocka_unit_test(esp_whole_capture_replayed_gives_nothing),
		cmocka_unit_test(esp_with_esn_crosses_epochs),
		cmocka_unit_test(esp_of_impossible_length_is_a_runt),
		cmocka_unit_test(esp_content_is_judged_after_opening),
		cmocka_unit_test(esp_random_content_never_breaks_anything),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
