/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the stages seal and open do around the cipher: which SA, selectors, headers, counters, and
 * the memory that packets lie in (chains, shared buffers, room before and behind).
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
esp_unknown_spi_is_dropped(void **state)
{
	uint8_t esp[256];
	struct bed_two t;
	uint32_t n;

	bed_two_open(&t, &forms[0]);
	n = bed_oracle_packet(&t, 1, esp);
	spw_put_be32(esp, t.at_b.spi_in ^ 0x00010000); /* same index bits */
	assert_false(bed_open_esp(&t.b, esp, n, NULL, NULL));
	spw_put_be32(esp, t.at_b.spi_in ^ 1);
	assert_false(bed_open_esp(&t.b, esp, n, NULL, NULL));
	spw_put_be32(esp, 0);
	assert_false(bed_open_esp(&t.b, esp, n, NULL, NULL));
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 3);
	bed_two_close(&t);
}

static void
esp_without_an_sa_nothing_leaves(void **state)
{
	struct dp_burst b;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){.held = true});
	bed_single(&b, bed_packet(100));
	dp_stage_esp_seal(&t.a.w, &b);
	assert_int_equal(b.n, 0);
	bed_single(&b, bed_packet(100));
	dp_pkt(b.pkt[0])->tunnel = 99999;
	dp_stage_esp_seal(&t.a.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_NO_SA), 2);
	bed_two_close(&t);
}

static void
esp_selectors_hold_in_both_directions(void **state)
{
	struct dp_burst b;
	struct bed_two t;
	uint8_t *ip;

	bed_two_open(&t, &(struct bed_sa){.narrow = true});
	bed_single(&b, bed_packet(100));
	bed_through(&t.a, &t.b, &b);
	assert_int_equal(b.n, 1);
	bed_free(&b);
	bed_single(&b, bed_packet(100));
	ip = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
	ip[17] = 3; /* to 10.3.0.1 */
	bed_ip_checksum(ip);
	dp_stage_esp_seal(&t.a.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_SELECTOR_OUT), 1);
	/* A peer that sends it all the same. */
	{
		uint8_t esp[256];
		struct rte_mbuf *m = bed_packet(100);
		uint32_t n;

		ip = rte_pktmbuf_mtod(m, uint8_t *);
		ip[13] = 9; /* from 10.9.0.1 */
		bed_ip_checksum(ip);
		n = bed_oracle_seal(t.at_b.key_in, t.at_b.key_len, t.at_b.spi_in, 50, false, ip,
				    100, 0, -1, 4, esp);
		rte_pktmbuf_free(m);
		assert_false(bed_open_esp(&t.b, esp, n, NULL, NULL));
	}
	assert_int_equal(bed_drops(&t.b, DP_DROP_SELECTOR_IN), 1);
	bed_two_close(&t);
}

static void
esp_ecn_follows_rfc6040_through_the_tunnel(void **state)
{
	struct bed_two t;

	bed_two_open(&t, &forms[3]);
	for (uint8_t inner = 0; inner < 4; inner++)
		for (uint8_t outer = 0; outer < 4; outer++) {
			struct dp_burst b;
			uint8_t *ip;

			bed_single(&b, bed_packet(100));
			ip = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
			ip[1] = 0xb8 | inner;
			bed_ip_checksum(ip);
			dp_stage_esp_seal(&t.a.w, &b);
			/* DSCP is not copied by default, ECN is. */
			assert_int_equal(rte_pktmbuf_mtod(b.pkt[0], uint8_t *)[1], inner);
			bed_receive(&b);
			dp_pkt(b.pkt[0])->outer_tos = 0x28 | outer;
			dp_stage_esp_open(&t.b.w, &b);
			if (inner == 0 && outer == 3) {
				assert_int_equal(b.n, 0);
				continue;
			}
			assert_int_equal(b.n, 1);
			ip = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
			assert_int_equal(ip[1] & 0xfc, 0xb8);
			assert_int_equal(ip[1] & 3, inner == 2 && outer == 1 ? 1
						    : outer == 3 && inner    ? 3
									     : inner);
			{
				uint16_t had = spw_get_be16(ip + 10);

				bed_ip_checksum(ip);
				assert_int_equal(spw_get_be16(ip + 10), had);
			}
			bed_free(&b);
		}
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_ECN), 1);
	bed_two_close(&t);
}

static void
esp_dscp_is_copied_when_the_tunnel_says_so(void **state)
{
	struct spw_dp_tunnel conf = {.id = BED_TUNNEL,
				     .local = spw_addr_v4(1),
				     .remote = spw_addr_v4(2),
				     .mtu = 1400,
				     .dscp_copy = 1};
	struct dp_burst b;
	struct bed_two t;
	uint8_t *ip;

	bed_two_open(&t, &forms[0]);
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &conf, NULL), 0);
	bed_single(&b, bed_packet(100));
	ip = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
	ip[1] = 0xba;
	bed_ip_checksum(ip);
	dp_stage_esp_seal(&t.a.w, &b);
	assert_int_equal(rte_pktmbuf_mtod(b.pkt[0], uint8_t *)[1], 0xba);
	bed_receive(&b);
	bed_free(&b);
	bed_two_close(&t);
}

static void
esp_counts_own_transit_and_violations_apart(void **state)
{
	struct dp_burst b = {.n = 6};
	struct bed_two t;

	bed_two_open(&t, &forms[0]);
	for (uint16_t i = 0; i < b.n; i++)
		b.pkt[i] = bed_packet(100);
	dp_pkt(b.pkt[0])->flags = DP_PKT_FROM_TWIN;
	dp_pkt(b.pkt[1])->flags = DP_PKT_FROM_TWIN | DP_PKT_ER_STOOD;
	dp_pkt(b.pkt[2])->flags = DP_PKT_ER_STOOD;
	bed_through(&t.a, &t.b, &b);
	dp_sad_count_own_in(&t.b.w, BED_TUNNEL);
	assert_int_equal(bed_tunnel_stats(&t.a).own_out, 2);
	assert_int_equal(bed_tunnel_stats(&t.a).transit_out, 4);
	assert_int_equal(bed_tunnel_stats(&t.a).violations, 1);
	assert_int_equal(bed_tunnel_stats(&t.b).own_in, 1);
	assert_int_equal(bed_tunnel_stats(&t.b).transit_in, 5);
	assert_int_equal(bed_tunnel_stats(&t.a).up, 1);
	bed_free(&b);
	bed_two_close(&t);
}

/* Split a packet's bytes over mbufs at the given places. */
static struct rte_mbuf *
chain(const uint8_t *bytes, uint32_t len, uint32_t first, uint32_t second)
{
	struct rte_mbuf *m = bed_mbuf(bytes, first);

	assert_int_equal(rte_pktmbuf_chain(m, bed_mbuf(bytes + first, second - first)), 0);
	if (second < len)
		assert_int_equal(rte_pktmbuf_chain(m, bed_mbuf(bytes + second, len - second)), 0);
	return m;
}

static void
esp_in_pieces_opens_and_seals_like_whole(void **state)
{
	uint8_t esp[256], inner[100];
	struct dp_burst b;
	struct bed_two t;

	bed_two_open(&t, &forms[0]);
	for (uint32_t split = 1; split < 95; split++) {
		uint32_t n = bed_oracle_packet(&t, split, esp);

		bed_single(&b, chain(esp, n, split, split + 1 + split % (n - split)));
		dp_pkt(b.pkt[0])->next = DP_NEXT_OPEN;
		dp_stage_esp_open(&t.b.w, &b);
		assert_int_equal(b.n, 1);
		assert_int_equal(b.pkt[0]->pkt_len, 60);
		bed_free(&b);
	}
	for (uint32_t split = 20; split < 99; split++) {
		struct rte_mbuf *m = bed_packet(100);

		memcpy(inner, rte_pktmbuf_mtod(m, void *), 100);
		rte_pktmbuf_free(m);
		bed_single(&b, chain(inner, 100, split, split + 1));
		dp_pkt(b.pkt[0])->next = DP_NEXT_SEAL;
		dp_pkt(b.pkt[0])->tunnel = BED_TUNNEL;
		dp_stage_esp_seal(&t.a.w, &b);
		bed_receive(&b);
		dp_pkt(b.pkt[0])->tunnel = 0;
		dp_stage_esp_open(&t.b.w, &b);
		assert_int_equal(b.n, split - 19 <= 94 ? 0 : 1); /* numbers used above */
	}
	bed_two_close(&t);
}

static void
esp_never_writes_to_a_buffer_that_others_hold(void **state)
{
	uint8_t was[200], esp[256];
	struct rte_mbuf *m, *clone;
	struct dp_burst b;
	struct bed_two t;
	uint32_t n;

	bed_two_open(&t, &forms[0]);
	m = bed_packet(200);
	memcpy(was, rte_pktmbuf_mtod(m, void *), 200);
	clone = rte_pktmbuf_clone(m, bed_pool());
	*dp_pkt(clone) = *dp_pkt(m);
	bed_single(&b, clone);
	dp_stage_esp_seal(&t.a.w, &b);
	assert_int_equal(b.n, 1);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), was, 200);
	bed_free(&b);
	bed_single(&b, m); /* the original while a reference is held */
	rte_mbuf_refcnt_update(m, 1);
	dp_stage_esp_seal(&t.a.w, &b);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), was, 200);
	bed_free(&b);
	rte_pktmbuf_free(m);
	n = bed_oracle_packet(&t, 77, esp);
	m = bed_mbuf(esp, n);
	dp_pkt(m)->next = DP_NEXT_OPEN;
	rte_mbuf_refcnt_update(m, 1);
	bed_single(&b, m);
	dp_stage_esp_open(&t.b.w, &b);
	assert_int_equal(b.n, 1);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), esp, n);
	bed_free(&b);
	rte_pktmbuf_free(m);
	bed_two_close(&t);
}

static void
esp_finds_room_before_and_behind_at_every_size(void **state)
{
	struct bed_two t;

	bed_two_open(&t, &forms[3]);
	for (uint16_t head = 0; head <= 80; head++) {
		struct rte_mbuf *m = bed_packet(300);
		struct dp_burst b;

		m->data_off = head;
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), "\x45\0\x01\x2c\0\0\0\0\x40\x11\0\0\x0a",
		       13);
		bed_ip_checksum(rte_pktmbuf_mtod(m, uint8_t *));
		bed_single(&b, m);
		bed_through(&t.a, &t.b, &b);
		assert_int_equal(b.n, 1);
		assert_int_equal(b.pkt[0]->pkt_len, 300);
		bed_free(&b);
	}
	for (uint32_t len = BED_BUF - 50; len <= BED_BUF; len++) {
		struct dp_burst b;

		bed_single(&b, bed_packet(len));
		bed_through(&t.a, &t.b, &b);
		assert_true(b.n == 1 || bed_drops(&t.a, DP_DROP_NO_ROOM) != 0);
		assert_int_equal(b.n, len <= BED_BUF - 33);
		bed_free(&b);
	}
	assert_int_equal(bed_drops(&t.a, DP_DROP_NO_ROOM), 33);
	bed_two_close(&t);
}

/* Packets of other stages stand between ours and must stay where they are. */
static void
esp_leaves_packets_of_other_stages_alone(void **state)
{
	struct dp_burst b = {.n = 9};
	struct rte_mbuf *was[9];
	struct bed_two t;

	bed_two_open(&t, &forms[0]);
	for (uint16_t i = 0; i < b.n; i++) {
		b.pkt[i] = was[i] = bed_packet(100);
		if (i % 3 != 0)
			dp_pkt(b.pkt[i])->next = DP_NEXT_ADJ;
	}
	dp_pkt(b.pkt[3])->tunnel = 3; /* no SA: dropped */
	dp_stage_esp_seal(&t.a.w, &b);
	dp_stage_esp_open(&t.a.w, &b);
	assert_int_equal(b.n, 8);
	for (uint16_t i = 0; i < b.n; i++)
		assert_ptr_equal(b.pkt[i], was[i < 3 ? i : i + 1]);
	bed_free(&b);
	bed_two_close(&t);
}

/* A cipher that leaves the text as it is, and says that it sealed all but the second packet. */
static uint64_t
seals_not_the_second(struct dp_crypto *c, const struct dp_crypto_key *key,
		     const struct dp_crypto_job *jobs, unsigned int n)
{
	(void)c, (void)key, (void)jobs;
	return (UINT64_MAX >> (64 - n)) & ~2ull;
}

/* Nothing that the cipher did not seal leaves, and it is counted as not sent. */
static void
esp_what_the_cipher_did_not_seal_never_leaves(void **state)
{
	struct rte_mbuf *m[4];
	struct dp_burst b = {0};
	struct bed_two t;

	bed_two_open(&t, &forms[0]);
	dp_sad_child(t.a.sad, t.at_a.spi_in)->out->seal = seals_not_the_second;
	for (unsigned int i = 0; i < 4; i++) {
		m[i] = bed_packet(100 + i);
		b.pkt[b.n++] = m[i];
	}
	dp_stage_esp_seal(&t.a.w, &b);
	assert_int_equal(b.n, 3);
	assert_ptr_equal(b.pkt[0], m[0]);
	assert_ptr_equal(b.pkt[1], m[2]);
	assert_ptr_equal(b.pkt[2], m[3]);
	assert_int_equal(bed_drops(&t.a, DP_DROP_SEAL_FAILED), 1);
	assert_int_equal(bed_sa_stats(&t.a).out_packets, 3);
	assert_int_equal(bed_sa_stats(&t.a).out_bytes, 100 + 102 + 103);
	bed_free(&b);
	bed_two_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_unknown_spi_is_dropped),
		cmocka_unit_test(esp_without_an_sa_nothing_leaves),
		cmocka_unit_test(esp_selectors_hold_in_both_directions),
		cmocka_unit_test(esp_ecn_follows_rfc6040_through_the_tunnel),
		cmocka_unit_test(esp_dscp_is_copied_when_the_tunnel_says_so),
		cmocka_unit_test(esp_counts_own_transit_and_violations_apart),
		cmocka_unit_test(esp_in_pieces_opens_and_seals_like_whole),
		cmocka_unit_test(esp_never_writes_to_a_buffer_that_others_hold),
		cmocka_unit_test(esp_finds_room_before_and_behind_at_every_size),
		cmocka_unit_test(esp_leaves_packets_of_other_stages_alone),
		cmocka_unit_test(esp_what_the_cipher_did_not_seal_never_leaves),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
