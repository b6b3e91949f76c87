/* SPDX-License-Identifier: BSD-3-Clause */
/* The SAD: SPIs, install once, switch, move, delete, grace, limits and events. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dataplane/esp_bed.h"

struct two {
	struct bed_end a, b;
	struct spw_sa_desc at_a, at_b;
};

static void
open_ends(struct two *t)
{
	bed_open(&t->a, 0xc0000201, DP_CRYPTO_AUTO, 1);
	bed_open(&t->b, 0xc6336401, DP_CRYPTO_AUTO, 1);
	bed_tunnel(&t->a, &t->b, 1400);
}

static void
open_two(struct two *t, const struct bed_sa *how)
{
	open_ends(t);
	bed_pair(&t->a, &t->b, how, &t->at_a, &t->at_b);
}

static void
close_two(struct two *t)
{
	bed_close(&t->a);
	bed_close(&t->b);
}

/* Send n packets of len bytes from a to b; returns how many arrived. */
static unsigned int
carry(struct two *t, unsigned int n, uint32_t len)
{
	unsigned int arrived = 0;
	struct dp_burst b;

	while (n > 0) {
		b.n = (uint16_t)RTE_MIN(n, (unsigned int)DP_BURST);
		n -= b.n;
		for (uint16_t i = 0; i < b.n; i++)
			b.pkt[i] = bed_packet(len);
		bed_through(&t->a, &t->b, &b);
		arrived += b.n;
		bed_free(&b);
	}
	return arrived;
}

static void
spi_rests_ten_minutes_before_its_index_returns(void **state)
{
	uint32_t spi[256], again;
	struct spw_err err = {0};
	struct two t;

	open_ends(&t);
	for (int i = 0; i < 256; i++) {
		assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &spi[i], NULL), 0);
		assert_true(spi[i] >= 256);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(spi[i] & 255, spi[j] & 255);
	}
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, &err), -ENOSPC);
	assert_int_equal(dp_sad_spi_free(t.a.sad, BED_TUNNEL, spi[9], NULL), 0);
	assert_int_equal(dp_sad_spi_free(t.a.sad, BED_TUNNEL, spi[9], NULL), -ENOENT);
	bed_now += DP_SPI_REST_NS - 1;
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), -ENOSPC);
	bed_now += 1;
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), 0);
	assert_int_equal(again & 255, spi[9] & 255);
	assert_int_not_equal(again, spi[9]);
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &again, NULL), -ENOSPC);
	close_two(&t);
}

static void
spi_belongs_to_its_tunnel(void **state)
{
	struct spw_sa_desc sa;
	struct two t;
	uint32_t spi;

	open_ends(&t);
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, 3, &spi, NULL), -ENOENT);
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, 1u << 20, &spi, NULL), -ENOENT);
	sa = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	assert_int_equal(dp_sad_spi_free(t.a.sad, 3, sa.spi_in, NULL), -ENOENT);
	sa.spi_in ^= 0x80000000;
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, NULL), -ENOENT);
	sa.spi_in ^= 0x80000000;
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, NULL), 0);
	assert_int_equal(dp_sad_spi_free(t.a.sad, BED_TUNNEL, sa.spi_in, NULL), -EBUSY);
	close_two(&t);
}

static void
install_takes_a_key_once_for_good(void **state)
{
	struct spw_sa_desc sa, other;
	struct spw_err err = {0};
	struct two t;

	open_ends(&t);
	sa = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, NULL), 0);
	assert_int_equal(dp_sad_install(t.a.sad, &sa, true, &err), -EEXIST);
	assert_int_equal(dp_sad_delete(t.a.sad, sa.spi_in, 3, NULL), 0);
	bed_now += 2 * DP_SPI_REST_NS;
	other = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	memcpy(other.key_out, sa.key_out, SPW_SA_KEY_MAX);
	assert_int_equal(dp_sad_install(t.a.sad, &other, true, &err), -EEXIST);
	assert_int_equal(err.code, -EEXIST);
	memcpy(other.key_out, sa.key_in, SPW_SA_KEY_MAX);
	assert_int_equal(dp_sad_install(t.a.sad, &other, true, &err), -EEXIST);
	other.key_out[0] ^= 1;
	assert_int_equal(dp_sad_install(t.a.sad, &other, true, &err), 0);
	close_two(&t);
}

static void
install_remembers_ten_thousand_keys(void **state)
{
	struct dp_once *o = dp_once_new();
	uint8_t key[36] = {0};

	for (uint32_t i = 0; i < 20000; i++) {
		memcpy(key, &i, 4);
		assert_false(dp_once_has(o, key, sizeof(key)));
		assert_int_equal(dp_once_add(o, key, sizeof(key)), 0);
	}
	for (uint32_t i = 0; i < 20000; i++) {
		memcpy(key, &i, 4);
		assert_true(dp_once_has(o, key, sizeof(key)));
		assert_int_equal(dp_once_add(o, key, sizeof(key)), -EEXIST);
	}
	dp_once_free(o);
}

/* Every refused install leaves no key, no child and the SPI as it was. */
static void
install_refuses_nonsense_and_changes_nothing(void **state)
{
	struct spw_sa_desc good, sa;
	struct spw_err err = {0};
	struct two t;

	open_ends(&t);
	good = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
#define REFUSED(code, change)                                                       \
	do {                                                                        \
		sa = good;                                                          \
		change;                                                             \
		assert_int_equal(dp_sad_install(t.a.sad, &sa, true, &err), code);   \
		assert_true(err.text[0] != '\0' && strchr(err.text, '\n') == NULL); \
		assert_int_equal(dp_sad_count(t.a.sad), 0);                         \
		assert_int_equal(dp_keys_used(t.a.sad->keys), 0);                   \
	} while (0)
	REFUSED(-ENOTSUP, sa.encr = SPW_ENCR_AES128_CBC);
	REFUSED(-ENOTSUP, sa.encr = 4000);
	REFUSED(-ENOTSUP, sa.integ = SPW_INTEG_HMAC_SHA256_128);
	REFUSED(-EINVAL, sa.key_len = 16);
	REFUSED(-EINVAL, sa.key_len = 36);
	REFUSED(-EINVAL, memcpy(sa.key_in, sa.key_out, SPW_SA_KEY_MAX));
	REFUSED(-EINVAL, sa.replay_window = 65537);
	REFUSED(-EINVAL, sa.spi_out = 255);
	REFUSED(-EINVAL, (sa.bytes.soft = 2, sa.bytes.hard = 1));
	REFUSED(-EINVAL, (sa.packets.soft = 2, sa.packets.hard = 1));
	REFUSED(-EINVAL, (sa.seconds.soft = 2, sa.seconds.hard = 1));
	REFUSED(-EINVAL, sa.n_remote = 0);
	REFUSED(-EINVAL, (sa.flags = SPW_SA_UDP_ENCAP, sa.remote_port = 0));
	REFUSED(-EAFNOSUPPORT, sa.remote.family = AF_INET6);
	REFUSED(-EINVAL, sa.remote = spw_addr_v4(0));
	REFUSED(-ENOENT, sa.tunnel = 9);
	REFUSED(-ENOENT, sa.tunnel = 900000);
#undef REFUSED
	assert_int_equal(dp_sad_install(t.a.sad, &good, true, NULL), 0);
	close_two(&t);
}

static void
switch_moves_outbound_and_both_inbound_stay(void **state)
{
	struct spw_sa_desc new_a, new_b;
	struct dp_burst one, two;
	struct spw_dp_sa_stats row;
	struct two t;
	uint32_t at = 0, outbound = 0;

	open_two(&t, &(struct bed_sa){0});
	bed_single(&one, bed_packet(100)); /* sealed with the old, opened after the switch */
	dp_stage_esp_seal(&t.a.w, &one);
	bed_receive(&one);
	bed_pair(&t.a, &t.b, &(struct bed_sa){.held = true}, &new_a, &new_b);
	bed_single(&two, bed_packet(100));
	dp_stage_esp_seal(&t.a.w, &two);
	assert_int_equal(spw_get_be32(rte_pktmbuf_mtod_offset(two.pkt[0], uint8_t *, 20)),
			 t.at_b.spi_in);
	bed_free(&two);
	assert_int_equal(dp_sad_switch(t.a.sad, new_a.spi_in, NULL), 0);
	bed_single(&two, bed_packet(100));
	dp_stage_esp_seal(&t.a.w, &two);
	assert_int_equal(spw_get_be32(rte_pktmbuf_mtod_offset(two.pkt[0], uint8_t *, 20)),
			 new_b.spi_in);
	bed_receive(&two);
	dp_stage_esp_open(&t.b.w, &two);
	dp_stage_esp_open(&t.b.w, &one);
	assert_int_equal(one.n + two.n, 2);
	bed_free(&one);
	bed_free(&two);
	while (dp_sad_stats(t.a.sad, &at, &row)) {
		outbound += row.outbound;
		assert_int_equal(row.outbound, row.spi_in == new_a.spi_in);
	}
	assert_int_equal(outbound, 1);
	assert_int_equal(dp_sad_count(t.a.sad), 2);
	assert_int_equal(dp_sad_switch(t.a.sad, 12345, NULL), -ENOENT);
	close_two(&t);
}

static void
delete_goes_by_parts(void **state)
{
	struct two t;

	open_two(&t, &(struct bed_sa){0});
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, 0, NULL), -EINVAL);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, 4, NULL), -EINVAL);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_OUT, NULL), 0);
	assert_int_equal(carry(&t, 3, 100), 3);
	assert_int_equal(dp_sad_switch(t.b.sad, t.at_b.spi_in, NULL), -ENOENT);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_IN, NULL), 0);
	assert_int_equal(carry(&t, 3, 100), 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 3);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_IN, NULL), -ENOENT);
	assert_int_equal(dp_keys_used(t.b.sad->keys), 0);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_int_equal(carry(&t, 3, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_NO_SA), 3);
	close_two(&t);
}

static void
deleting_the_old_sa_leaves_the_new_one_sending(void **state)
{
	struct spw_sa_desc new_a, new_b;
	struct two t;

	open_two(&t, &(struct bed_sa){0});
	bed_pair(&t.a, &t.b, &(struct bed_sa){0}, &new_a, &new_b);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_int_equal(carry(&t, 5, 100), 5);
	close_two(&t);
}

static void
deleted_keys_are_wiped(void **state)
{
	static const uint8_t zero[DP_CRYPTO_KEY_BYTES];
	const struct dp_crypto_key *in, *out;
	struct dp_child *c;
	struct two t;

	open_two(&t, &(struct bed_sa){0});
	c = dp_sad_child(t.a.sad, t.at_a.spi_in);
	in = c->key_in;
	out = c->key_out;
	assert_memory_not_equal((const uint8_t *)in + 8, zero, sizeof(zero) - 8);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_memory_equal((const uint8_t *)in + 8, zero, sizeof(zero) - 8);
	assert_memory_equal((const uint8_t *)out + 8, zero, sizeof(zero) - 8);
	close_two(&t);
}

static void
tunnel_takes_its_sas_along(void **state)
{
	struct spw_dp_tunnel_stats row;
	struct two t;
	uint32_t at = 0, spi;

	open_two(&t, &(struct bed_sa){0});
	assert_int_equal(dp_sad_tunnel_del(t.a.sad, 3, NULL), -ENOENT);
	assert_int_equal(dp_sad_tunnel_del(t.a.sad, BED_TUNNEL, NULL), 0);
	assert_int_equal(dp_sad_count(t.a.sad), 0);
	assert_int_equal(carry(&t, 1, 100), 0);
	assert_false(dp_sad_tunnel_stats(t.a.sad, &at, &row));
	assert_int_equal(dp_sad_spi_alloc(t.a.sad, BED_TUNNEL, &spi, NULL), -ENOENT);
	close_two(&t);
}

static void
tunnel_set_refuses_nonsense(void **state)
{
	struct spw_dp_tunnel good = {.id = 1,
				     .local = spw_addr_v4(1),
				     .remote = spw_addr_v4(2),
				     .mtu = 1400},
			     bad;
	struct two t;

	open_ends(&t);
	bad = good;
	bad.id = 16;
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &bad, NULL), -EINVAL);
	bad = good;
	bad.mtu = 575;
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &bad, NULL), -EINVAL);
	bad = good;
	bad.remote.family = AF_INET6;
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &bad, NULL), -EAFNOSUPPORT);
	assert_int_equal(dp_sad_tunnel_set(t.a.sad, &good, NULL), 0);
	close_two(&t);
}

static void
move_changes_the_outer_header_of_a_running_sa(void **state)
{
	struct spw_dp_sa_move move = {
		.remote = spw_addr_v4(0xc6336463), .remote_port = 12345, .local_port = 4500};
	struct dp_burst b;
	struct two t;
	uint8_t *ip;

	open_two(&t, &(struct bed_sa){.flags = SPW_SA_UDP_ENCAP});
	move.spi_in = t.at_a.spi_in;
	assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), 0);
	bed_single(&b, bed_packet(100));
	dp_stage_esp_seal(&t.a.w, &b);
	ip = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
	assert_int_equal(spw_get_be32(ip + 12), t.a.addr);
	assert_int_equal(spw_get_be32(ip + 16), 0xc6336463);
	assert_int_equal(spw_get_be16(ip + 20), 4500);
	assert_int_equal(spw_get_be16(ip + 22), 12345);
	bed_receive(&b);
	dp_stage_esp_open(&t.b.w, &b);
	assert_int_equal(b.n, 1);
	bed_free(&b);
	move.remote_port = 0;
	assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), -EINVAL);
	move.spi_in = 1;
	assert_int_equal(dp_sad_move(t.a.sad, &move, NULL), -ENOENT);
	close_two(&t);
}

static void
event_first_in_comes_once(void **state)
{
	struct spw_dp_sa_event ev;
	struct two t;

	open_two(&t, &(struct bed_sa){0});
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_FIRST_IN, NULL), 0);
	carry(&t, 200, 100);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_FIRST_IN, &ev), 1);
	assert_int_equal(ev.spi_in, t.at_b.spi_in);
	assert_int_equal(ev.tunnel, BED_TUNNEL);
	carry(&t, 10, 100);
	dp_sad_tick(t.b.sad, bed_now);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_FIRST_IN, NULL), 0);
	close_two(&t);
}

/* A packet from a to b as if it came from another port. */
static void
send_from(struct two *t, uint16_t port, struct dp_burst *b)
{
	bed_single(b, bed_packet(100));
	dp_stage_esp_seal(&t->a.w, b);
	bed_receive(b);
	dp_pkt(b->pkt[0])->outer_src_port = port;
}

static void
event_peer_moved_only_for_the_newest_packet_and_not_often(void **state)
{
	struct spw_dp_sa_event ev;
	struct dp_burst old, b;
	struct two t;

	open_two(&t, &(struct bed_sa){.flags = SPW_SA_UDP_ENCAP});
	send_from(&t, 999, &old); /* overtaken by the next */
	send_from(&t, 4500, &b);
	dp_stage_esp_open(&t.b.w, &b);
	bed_free(&b);
	dp_stage_esp_open(&t.b.w, &old);
	assert_int_equal(old.n, 1);
	bed_free(&old);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_PEER_MOVED, NULL), 0);
	for (int i = 0; i < 5; i++) {
		send_from(&t, 1024, &b);
		dp_stage_esp_open(&t.b.w, &b);
		bed_free(&b);
	}
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_PEER_MOVED, &ev), 1);
	assert_int_equal(ev.remote_port, 1024);
	assert_int_equal(spw_addr_get_v4(&ev.remote), t.a.addr);
	t.b.w.now_tsc += 2 * rte_get_tsc_hz();
	send_from(&t, 1025, &b);
	dp_stage_esp_open(&t.b.w, &b);
	bed_free(&b);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_PEER_MOVED, &ev), 1);
	assert_int_equal(ev.remote_port, 1025);
	assert_int_equal(dp_sad_move(t.b.sad,
				     &(struct spw_dp_sa_move){.spi_in = t.at_b.spi_in,
							      .remote = ev.remote,
							      .remote_port = 1025,
							      .local_port = 4500},
				     NULL),
			 0);
	t.b.w.now_tsc += 2 * rte_get_tsc_hz();
	send_from(&t, 1025, &b);
	dp_stage_esp_open(&t.b.w, &b);
	bed_free(&b);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_PEER_MOVED, NULL), 0);
	close_two(&t);
}

static void
event_peer_moved_never_behind_a_nat_of_ours(void **state)
{
	struct dp_burst b;
	struct two t;

	open_two(&t, &(struct bed_sa){.flags = SPW_SA_UDP_ENCAP | SPW_SA_BEHIND_NAT});
	send_from(&t, 1024, &b);
	dp_stage_esp_open(&t.b.w, &b);
	bed_free(&b);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_PEER_MOVED, NULL), 0);
	close_two(&t);
}

/* Raise soft and hard by one kind of limit; counts of what passed and of the events at one end. */
static void
limit_by(const struct bed_sa *how, uint32_t limit, unsigned int soft_at, unsigned int hard_at,
	 uint32_t len)
{
	struct spw_dp_tunnel_stats row;
	struct spw_dp_sa_event ev;
	struct two t;
	uint32_t at = 0;

	open_two(&t, how);
	assert_true(dp_sad_tunnel_stats(t.a.sad, &at, &row));
	assert_int_equal(row.up, 1);
	assert_int_equal(carry(&t, soft_at - 1, len), soft_at - 1);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	assert_int_equal(carry(&t, 1, len), 1);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, &ev), 1);
	assert_int_equal(ev.limit, limit);
	assert_int_equal(ev.spi_in, t.at_a.spi_in);
	assert_int_equal(carry(&t, hard_at - soft_at - 1, len), hard_at - soft_at - 1);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 0);
	/* Of a burst across the limit only the part before it passes. */
	assert_int_equal(carry(&t, 50, len), 1);
	assert_int_equal(bed_drops(&t.a, DP_DROP_LIMIT_HARD), 49);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, &ev), 1);
	assert_int_equal(ev.limit, limit);
	assert_int_equal(carry(&t, 200, len), 0);
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(carry(&t, 200, len), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_LIMIT_HARD), 449);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 0);
	assert_int_equal(dp_keys_used(t.a.sad->keys), 0);
	at = 0;
	assert_true(dp_sad_tunnel_stats(t.a.sad, &at, &row));
	assert_int_equal(row.up, 0);
	/* The receiver has the same limits and reached them with the same packets. */
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_HARD, &ev), 1);
	assert_int_equal(ev.limit, limit);
	assert_int_equal(dp_sad_switch(t.a.sad, t.at_a.spi_in, NULL), -ESTALE);
	close_two(&t);
}

static void
limit_of_packets_raises_once_and_ends_the_sa(void **state)
{
	limit_by(&(struct bed_sa){.packets = {100, 150}}, SPW_SA_LIMIT_PACKETS, 100, 150, 100);
}

static void
limit_of_bytes_raises_once_and_ends_the_sa(void **state)
{
	limit_by(&(struct bed_sa){.bytes = {10000, 15000}}, SPW_SA_LIMIT_BYTES, 100, 150, 100);
	limit_by(&(struct bed_sa){.bytes = {9950, 15000}, .packets = {1000, 2000}},
		 SPW_SA_LIMIT_BYTES, 100, 150, 100);
}

static void
limit_of_bytes_never_lets_more_through(void **state)
{
	struct spw_dp_sa_stats row;
	struct two t;
	uint32_t at = 0;

	open_two(&t, &(struct bed_sa){.bytes = {0, 1050}});
	assert_int_equal(carry(&t, 20, 100), 10);
	assert_true(dp_sad_stats(t.a.sad, &at, &row));
	assert_int_equal(row.out_bytes, 1000);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 1);
	close_two(&t);
}

static void
limit_of_the_receiver_holds_when_the_sender_has_none(void **state)
{
	struct two t;

	open_ends(&t);
	t.at_a = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	t.at_b = bed_desc(&t.b, t.a.addr, &(struct bed_sa){.packets = {10, 20}});
	t.at_a.spi_out = t.at_b.spi_in;
	memcpy(t.at_b.key_in, t.at_a.key_out, SPW_SA_KEY_MAX);
	assert_int_equal(dp_sad_install(t.a.sad, &t.at_a, true, NULL), 0);
	assert_int_equal(dp_sad_install(t.b.sad, &t.at_b, true, NULL), 0);
	assert_int_equal(carry(&t, 100, 60), 20);
	assert_int_equal(bed_drops(&t.b, DP_DROP_LIMIT_HARD), 80);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_HARD, NULL), 1);
	dp_sad_tick(t.b.sad, bed_now);
	assert_int_equal(carry(&t, 100, 60), 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_LIMIT_HARD), 180);
	close_two(&t);
}

static void
limit_of_seconds_is_the_ticks_and_needs_nobody_else(void **state)
{
	struct spw_dp_sa_event ev;
	struct two t;

	open_two(&t, &(struct bed_sa){.seconds = {90, 100}});
	bed_now += 90 * SPW_NS_PER_S - 1;
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	bed_now += 1;
	for (int i = 0; i < 5; i++)
		dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, &ev), 1);
	assert_int_equal(ev.limit, SPW_SA_LIMIT_TIME);
	assert_int_equal(carry(&t, 10, 100), 10);
	bed_now += 10 * SPW_NS_PER_S;
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, &ev), 1);
	assert_int_equal(ev.limit, SPW_SA_LIMIT_TIME);
	assert_int_equal(carry(&t, 10, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_LIMIT_HARD), 10);
	assert_int_equal(dp_keys_used(t.a.sad->keys), 0);
	assert_int_equal(dp_sad_count(t.a.sad), 1);
	bed_now += DP_SPI_REST_NS;
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(dp_sad_count(t.a.sad), 0);
	assert_int_equal(carry(&t, 10, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_NO_SA), 10);
	close_two(&t);
}

static void
sequence_numbers_end_at_the_last_without_esn(void **state)
{
	struct spw_dp_sa_event ev;
	struct dp_sa_out *out;
	struct two t;

	open_two(&t, &(struct bed_sa){0});
	out = dp_sad_child(t.a.sad, t.at_a.spi_in)->out;
	atomic_store(&out->seq, UINT32_MAX - 100);
	assert_int_equal(carry(&t, 64, 100), 64);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, &ev), 1);
	assert_int_equal(ev.limit, SPW_SA_LIMIT_PACKETS);
	assert_int_equal(carry(&t, 64, 100), 36);
	assert_int_equal(bed_drops(&t.a, DP_DROP_SEQ_EXHAUSTED), 28);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 1);
	assert_int_equal(carry(&t, 1000, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_SEQ_EXHAUSTED), 1028);
	assert_int_equal(dp_sad_child(t.b.sad, t.at_b.spi_in)->in->replay.top, UINT32_MAX);
	close_two(&t);
}

static void
events_lost_in_a_full_ring_come_with_the_tick(void **state)
{
	struct dp_sa_note filler = {.kind = SPW_SA_EV_SOFT, .spi_in = 1};
	struct two t;

	open_two(&t, &(struct bed_sa){.packets = {5, 0}});
	while (rte_ring_mp_enqueue_elem(t.a.sad->events, &filler, sizeof(filler)) == 0)
		;
	carry(&t, 10, 100);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	dp_sad_tick(t.a.sad, bed_now);
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 1);
	close_two(&t);
}

/* One of two workers that seal and open on the same SAs at the same time. */
struct racer {
	struct dp_worker w;
	struct bed_end *to;
	struct dp_worker w_to;
	uint64_t passed;
	pthread_t thread;
	rte_spinlock_t *pool_lock;
};

enum { RACE_BURSTS = 3000, RACE_COPIES = 2 };

static void
race_burst(struct racer *r)
{
	struct dp_burst b = {.n = 32}, copy = {.n = 0};

	rte_spinlock_lock(r->pool_lock);
	for (uint16_t i = 0; i < b.n; i++)
		b.pkt[i] = bed_packet(64);
	rte_spinlock_unlock(r->pool_lock);
	dp_stage_esp_seal(&r->w, &b);
	bed_receive(&b);
	rte_spinlock_lock(r->pool_lock);
	for (uint16_t i = 0; i < b.n; i++) {
		copy.pkt[copy.n] = bed_mbuf(rte_pktmbuf_mtod(b.pkt[i], void *), b.pkt[i]->data_len);
		*dp_pkt(copy.pkt[copy.n]) = *dp_pkt(b.pkt[i]);
		copy.n++;
	}
	rte_spinlock_unlock(r->pool_lock);
	dp_stage_esp_open(&r->w_to, &b);
	dp_stage_esp_open(&r->w_to, &copy);
	r->passed += b.n + copy.n;
	rte_spinlock_lock(r->pool_lock);
	bed_free(&b);
	bed_free(&copy);
	rte_spinlock_unlock(r->pool_lock);
}

static void *
race(void *arg)
{
	for (int i = 0; i < RACE_BURSTS; i++)
		race_burst(arg);
	return NULL;
}

static void
two_workers_share_an_sa_without_doubles(void **state)
{
	rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;
	struct spw_sa_desc at_a, at_b;
	struct spw_dp_sa_stats row;
	struct bed_end a, b;
	struct racer r[2];
	uint64_t passed = 0, late = 0;
	uint32_t at = 0;

	bed_open(&a, 1, DP_CRYPTO_AUTO, 2);
	bed_open(&b, 2, DP_CRYPTO_AUTO, 2);
	bed_tunnel(&a, &b, 1400);
	bed_pair(&a, &b, &(struct bed_sa){.window = 65536}, &at_a, &at_b);
	for (unsigned int i = 0; i < 2; i++) {
		struct dp_crypto *c;

		r[i] = (struct racer){.w = a.w, .w_to = b.w, .to = &b, .pool_lock = &lock};
		r[i].w.index = r[i].w_to.index = i;
		assert_int_equal(dp_crypto_new(&c, DP_CRYPTO_AUTO, NULL), 0);
		r[i].w.crypto = r[i].w_to.crypto = c;
	}
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
		passed += r[i].passed;
		late += r[i].w_to.count.drop[DP_DROP_ESP_LATE];
		assert_int_equal(r[i].w_to.count.drop[DP_DROP_ESP_AUTH], 0);
		dp_crypto_free(r[i].w.crypto);
	}
	assert_true(dp_sad_stats(a.sad, &at, &row));
	assert_int_equal(row.out_packets, 2 * RACE_BURSTS * 32);
	assert_int_equal(row.seq_out, row.out_packets); /* no number twice, none left out */
	assert_int_equal(late, 0);
	assert_int_equal(passed, row.out_packets); /* of two copies one */
	bed_close(&a);
	bed_close(&b);
}

/* One of two workers that do nothing but claim numbers, and note which they got. */
struct claimer {
	struct dp_worker w;
	pthread_t thread;
	struct rte_mbuf *m;
	uint32_t *seq;
};

enum { CLAIMS = 300000 };

static void *
claim_many(void *arg)
{
	struct claimer *c = arg;
	const uint16_t start = c->m->data_off;

	for (int i = 0; i < CLAIMS; i++) {
		struct dp_burst b = {.n = 1, .pkt = {c->m}};

		dp_stage_esp_seal(&c->w, &b);
		c->seq[i] = spw_get_be32(rte_pktmbuf_mtod_offset(c->m, uint8_t *, 24));
		/* The mbuf as it was; of what is inside only the IP version matters here. */
		c->m->data_off = start;
		*rte_pktmbuf_mtod(c->m, uint8_t *) = 0x45;
		c->m->data_len = 64;
		c->m->pkt_len = 64;
		dp_pkt(c->m)->next = DP_NEXT_SEAL;
	}
	return NULL;
}

static void
two_workers_never_claim_the_same_number(void **state)
{
	uint8_t *taken = calloc(2 * CLAIMS + 1, 1);
	struct spw_sa_desc at_a, at_b;
	struct claimer c[2];
	struct bed_end a, b;

	bed_open(&a, 1, DP_CRYPTO_AUTO, 2);
	bed_open(&b, 2, DP_CRYPTO_AUTO, 2);
	bed_tunnel(&a, &b, 1400);
	bed_pair(&a, &b, &(struct bed_sa){0}, &at_a, &at_b);
	for (unsigned int i = 0; i < 2; i++) {
		struct dp_crypto *crypto;

		assert_int_equal(dp_crypto_new(&crypto, DP_CRYPTO_AUTO, NULL), 0);
		c[i] = (struct claimer){.w = a.w, .m = bed_packet(64)};
		c[i].w.index = i;
		c[i].w.crypto = crypto;
		c[i].seq = calloc(CLAIMS, sizeof(uint32_t));
	}
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&c[i].thread, NULL, claim_many, &c[i]), 0);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(c[i].thread, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		for (int j = 0; j < CLAIMS; j++) {
			assert_in_range(c[i].seq[j], 1, 2 * CLAIMS);
			assert_false(taken[c[i].seq[j]]++);
		}
		free(c[i].seq);
		rte_pktmbuf_free(c[i].m);
		dp_crypto_free(c[i].w.crypto);
	}
	free(taken);
	bed_close(&a);
	bed_close(&b);
}

/* A thread that seals while the API thread rekeys, deletes and frees under it. */
struct churn {
	struct bed_end *a, *b;
	struct rte_rcu_qsbr *qsbr;
	_Atomic bool stop;
	_Atomic uint64_t sealed;
	uint64_t opened;
};

static void *
churn_worker(void *arg)
{
	struct churn *c = arg;

	rte_rcu_qsbr_thread_register(c->qsbr, 0);
	rte_rcu_qsbr_thread_online(c->qsbr, 0);
	while (!atomic_load(&c->stop)) {
		struct dp_burst b = {.n = 16};

		for (uint16_t i = 0; i < b.n; i++)
			b.pkt[i] = bed_packet(64);
		dp_stage_esp_seal(&c->a->w, &b);
		c->sealed += b.n;
		bed_receive(&b);
		dp_stage_esp_open(&c->b->w, &b);
		c->opened += b.n;
		bed_free(&b);
		rte_rcu_qsbr_quiescent(c->qsbr, 0);
	}
	rte_rcu_qsbr_thread_offline(c->qsbr, 0);
	rte_rcu_qsbr_thread_unregister(c->qsbr, 0);
	return NULL;
}

static void
rekeys_under_traffic_lose_nothing(void **state)
{
	struct spw_sa_desc old_a, old_b, new_a, new_b;
	struct two t;
	struct churn c = {.a = &t.a, .b = &t.b};
	pthread_t thread;

	open_two(&t, &(struct bed_sa){0});
	c.qsbr = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(1), 64);
	assert_int_equal(rte_rcu_qsbr_init(c.qsbr, 1), 0);
	t.a.sad->qsbr = t.b.sad->qsbr = c.qsbr;
	old_a = t.at_a;
	old_b = t.at_b;
	assert_int_equal(pthread_create(&thread, NULL, churn_worker, &c), 0);
	for (int i = 0; i < 100; i++) {
		uint64_t sealed = atomic_load(&c.sealed);

		while (atomic_load(&c.sealed) == sealed)
			sched_yield();
		bed_pair(&t.a, &t.b, &(struct bed_sa){.held = true}, &new_a, &new_b);
		assert_int_equal(dp_sad_switch(t.a.sad, new_a.spi_in, NULL), 0);
		/* Grace stands for "the last packet of the old SA has arrived". */
		assert_int_equal(dp_sad_delete(t.a.sad, old_a.spi_in, 3, NULL), 0);
		assert_int_equal(dp_sad_delete(t.b.sad, old_b.spi_in, 3, NULL), 0);
		old_a = new_a;
		old_b = new_b;
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	assert_true(c.sealed >= 100 * 16);
	assert_int_equal(c.opened, c.sealed);
	assert_int_equal(t.a.w.count.dropped + t.b.w.count.dropped, 0);
	t.a.sad->qsbr = t.b.sad->qsbr = NULL;
	rte_free(c.qsbr);
	close_two(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spi_rests_ten_minutes_before_its_index_returns),
		cmocka_unit_test(spi_belongs_to_its_tunnel),
		cmocka_unit_test(install_takes_a_key_once_for_good),
		cmocka_unit_test(install_remembers_ten_thousand_keys),
		cmocka_unit_test(install_refuses_nonsense_and_changes_nothing),
		cmocka_unit_test(switch_moves_outbound_and_both_inbound_stay),
		cmocka_unit_test(delete_goes_by_parts),
		cmocka_unit_test(deleting_the_old_sa_leaves_the_new_one_sending),
		cmocka_unit_test(deleted_keys_are_wiped),
		cmocka_unit_test(tunnel_takes_its_sas_along),
		cmocka_unit_test(tunnel_set_refuses_nonsense),
		cmocka_unit_test(move_changes_the_outer_header_of_a_running_sa),
		cmocka_unit_test(event_first_in_comes_once),
		cmocka_unit_test(event_peer_moved_only_for_the_newest_packet_and_not_often),
		cmocka_unit_test(event_peer_moved_never_behind_a_nat_of_ours),
		cmocka_unit_test(limit_of_packets_raises_once_and_ends_the_sa),
		cmocka_unit_test(limit_of_bytes_raises_once_and_ends_the_sa),
		cmocka_unit_test(limit_of_bytes_never_lets_more_through),
		cmocka_unit_test(limit_of_the_receiver_holds_when_the_sender_has_none),
		cmocka_unit_test(limit_of_seconds_is_the_ticks_and_needs_nobody_else),
		cmocka_unit_test(sequence_numbers_end_at_the_last_without_esn),
		cmocka_unit_test(events_lost_in_a_full_ring_come_with_the_tick),
		cmocka_unit_test(two_workers_share_an_sa_without_doubles),
		cmocka_unit_test(two_workers_never_claim_the_same_number),
		cmocka_unit_test(rekeys_under_traffic_lose_nothing),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
