/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events of child SAs, and limits that raise them: soft once, hard the end, by packets, bytes,
 * seconds and sequence numbers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dataplane/esp_two.h"

static void
event_first_in_comes_once(void **state)
{
	struct spw_dp_sa_event ev;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){0});
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_FIRST_IN, NULL), 0);
	bed_carry(&t, 200, 100);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_FIRST_IN, &ev), 1);
	assert_int_equal(ev.spi_in, t.at_b.spi_in);
	assert_int_equal(ev.tunnel, BED_TUNNEL);
	bed_carry(&t, 10, 100);
	dp_sad_tick(t.b.sad, bed_now);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_FIRST_IN, NULL), 0);
	bed_two_close(&t);
}

/* A packet from a to b as if it came from another port. */
static void
send_from(struct bed_two *t, uint16_t port, struct dp_burst *b)
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
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){.flags = SPW_SA_UDP_ENCAP});
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
	bed_two_close(&t);
}

static void
event_peer_moved_never_behind_a_nat_of_ours(void **state)
{
	struct dp_burst b;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){.flags = SPW_SA_UDP_ENCAP | SPW_SA_BEHIND_NAT});
	send_from(&t, 1024, &b);
	dp_stage_esp_open(&t.b.w, &b);
	bed_free(&b);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_PEER_MOVED, NULL), 0);
	bed_two_close(&t);
}

/* Raise soft and hard by one kind of limit; counts of what passed and of the events at one end. */
static void
limit_by(const struct bed_sa *how, uint32_t limit, unsigned int soft_at, unsigned int hard_at,
	 uint32_t len)
{
	struct spw_dp_tunnel_stats row;
	struct spw_dp_sa_event ev;
	struct bed_two t;
	uint32_t at = 0;

	bed_two_open(&t, how);
	assert_true(dp_sad_tunnel_stats(t.a.sad, &at, &row));
	assert_int_equal(row.up, 1);
	assert_int_equal(bed_carry(&t, soft_at - 1, len), soft_at - 1);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	assert_int_equal(bed_carry(&t, 1, len), 1);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, &ev), 1);
	assert_int_equal(ev.limit, limit);
	assert_int_equal(ev.spi_in, t.at_a.spi_in);
	assert_int_equal(bed_carry(&t, hard_at - soft_at - 1, len), hard_at - soft_at - 1);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 0);
	/* Of a burst across the limit only the part before it passes. */
	assert_int_equal(bed_carry(&t, 50, len), 1);
	assert_int_equal(bed_drops(&t.a, DP_DROP_LIMIT_HARD), 49);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, &ev), 1);
	assert_int_equal(ev.limit, limit);
	assert_int_equal(bed_carry(&t, 200, len), 0);
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_carry(&t, 200, len), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_LIMIT_HARD), 449);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 0);
	assert_int_equal(bed_keys(&t.a), 0);
	at = 0;
	assert_true(dp_sad_tunnel_stats(t.a.sad, &at, &row));
	assert_int_equal(row.up, 0);
	/* The receiver has the same limits and reached them with the same packets. */
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_HARD, &ev), 1);
	assert_int_equal(ev.limit, limit);
	assert_int_equal(dp_sad_switch(t.a.sad, t.at_a.spi_in, NULL), -ESTALE);
	bed_two_close(&t);
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
	struct bed_two t;
	uint32_t at = 0;

	bed_two_open(&t, &(struct bed_sa){.bytes = {0, 1050}});
	assert_int_equal(bed_carry(&t, 20, 100), 10);
	assert_true(dp_sad_stats(t.a.sad, &at, &row));
	assert_int_equal(row.out_bytes, 1000);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 1);
	bed_two_close(&t);
}

/* Of packets of 60 bytes that nobody else limits, 20 pass. */
static void
receiver_limits(const struct bed_sa *how)
{
	struct bed_two t;

	bed_two_open(&t, NULL);
	t.at_a = bed_desc(&t.a, t.b.addr, &(struct bed_sa){0});
	t.at_b = bed_desc(&t.b, t.a.addr, how);
	t.at_a.spi_out = t.at_b.spi_in;
	memcpy(t.at_b.key_in, t.at_a.key_out, SPW_SA_KEY_MAX);
	assert_int_equal(dp_sad_install(t.a.sad, &t.at_a, true, NULL), 0);
	assert_int_equal(dp_sad_install(t.b.sad, &t.at_b, true, NULL), 0);
	assert_int_equal(bed_carry(&t, 100, 60), 20);
	assert_int_equal(bed_drops(&t.b, DP_DROP_LIMIT_HARD), 80);
	assert_int_equal(bed_sa_stats(&t.b).in_packets, 20);
	assert_int_equal(bed_sa_stats(&t.b).in_bytes, 20 * 60);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_HARD, NULL), 1);
	dp_sad_tick(t.b.sad, bed_now);
	assert_int_equal(bed_carry(&t, 100, 60), 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_LIMIT_HARD), 180);
	bed_two_close(&t);
}

static void
limit_of_the_receiver_holds_when_the_sender_has_none(void **state)
{
	receiver_limits(&(struct bed_sa){.packets = {10, 20}});
	/* One burst begins before any limit and goes beyond the last. */
	receiver_limits(&(struct bed_sa){.bytes = {600, 1259}});
}

static void
limit_of_seconds_is_the_ticks_and_needs_nobody_else(void **state)
{
	struct spw_dp_sa_event ev;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){.seconds = {90, 100}});
	bed_now += 90 * SPW_NS_PER_S - 1;
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	bed_now += 1;
	for (int i = 0; i < 5; i++)
		dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, &ev), 1);
	assert_int_equal(ev.limit, SPW_SA_LIMIT_TIME);
	assert_int_equal(bed_carry(&t, 10, 100), 10);
	bed_now += 10 * SPW_NS_PER_S;
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, &ev), 1);
	assert_int_equal(ev.limit, SPW_SA_LIMIT_TIME);
	assert_int_equal(bed_carry(&t, 10, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_LIMIT_HARD), 10);
	assert_int_equal(bed_keys(&t.a), 0);
	assert_int_equal(dp_sad_count(t.a.sad), 1);
	bed_now += DP_SPI_REST_NS;
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(dp_sad_count(t.a.sad), 0);
	assert_int_equal(bed_carry(&t, 10, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_NO_SA), 10);
	bed_two_close(&t);
}

static void
sequence_numbers_end_at_the_last_without_esn(void **state)
{
	struct spw_dp_sa_event ev;
	struct dp_sa_out *out;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){0});
	out = dp_sad_child(t.a.sad, t.at_a.spi_in)->out;
	atomic_store(&out->seq, UINT32_MAX - 100);
	assert_int_equal(bed_carry(&t, 64, 100), 64);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, &ev), 1);
	assert_int_equal(ev.limit, SPW_SA_LIMIT_PACKETS);
	assert_int_equal(bed_carry(&t, 64, 100), 36);
	assert_int_equal(bed_drops(&t.a, DP_DROP_SEQ_EXHAUSTED), 28);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 1);
	assert_int_equal(bed_carry(&t, 1000, 100), 0);
	assert_int_equal(bed_drops(&t.a, DP_DROP_SEQ_EXHAUSTED), 1028);
	assert_int_equal(dp_sad_child(t.b.sad, t.at_b.spi_in)->in->replay.top, UINT32_MAX);
	bed_two_close(&t);
}

static void
events_lost_in_a_full_ring_come_with_the_tick(void **state)
{
	struct dp_sa_note filler = {.kind = SPW_SA_EV_SOFT, .spi_in = 1};
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){.packets = {5, 0}});
	while (rte_ring_mp_enqueue_elem(t.a.sad->events, &filler, sizeof(filler)) == 0)
		;
	bed_carry(&t, 10, 100);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	dp_sad_tick(t.a.sad, bed_now);
	dp_sad_tick(t.a.sad, bed_now);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 1);
	bed_two_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
