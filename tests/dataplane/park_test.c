/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP that comes before its SA. Two ends agree on keys; one installs and sends, the other has only
 * allocated its SPI. The stage open and dp_park_take() run as in the worker's loop. After every
 * test all packets are accounted for, and the bed sees that all buffers are back.
 */
#include "tests/dataplane/esp_bed.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct early {
	struct bed_end a, b; /* a sends, b is late */
	struct spw_sa_desc at_a, at_b;
	unsigned int sent, came;
};

/* Descriptors of one child SA; only the sender has it. */
static void
pair_half(struct early *t, struct spw_sa_desc *at_a, struct spw_sa_desc *at_b)
{
	const struct bed_sa how = {0};

	*at_a = bed_desc(&t->a, t->b.addr, &how);
	*at_b = bed_desc(&t->b, t->a.addr, &how);
	at_a->spi_out = at_b->spi_in;
	at_b->spi_out = at_a->spi_in;
	memcpy(at_b->key_in, at_a->key_out, SPW_SA_KEY_MAX);
	memcpy(at_b->key_out, at_a->key_in, SPW_SA_KEY_MAX);
	assert_int_equal(dp_sad_install(t->a.sad, at_a, true, NULL), 0);
}

static void
open_early(struct early *t)
{
	memset(t, 0, sizeof(*t));
	bed_open(&t->a, 0xc0000201, DP_CRYPTO_AUTO, 1);
	bed_open(&t->b, 0xc6336401, DP_CRYPTO_AUTO, 1);
	bed_tunnel(&t->a, &t->b, 1400);
	pair_half(t, &t->at_a, &t->at_b);
}

/* The law: what was sent came out, was dropped, or waits; nothing waits at the end. */
static void
close_early(struct early *t)
{
	assert_int_equal(t->b.w.park.n, 0);
	assert_int_equal(t->sent, t->came + t->b.w.count.dropped);
	bed_close(&t->a);
	bed_close(&t->b);
}

/* Seal `n` packets, numbered on from what was sent, as the receiver's parse leaves them. */
static void
arrive(struct early *t, struct dp_burst *b, uint16_t n)
{
	b->n = n;
	for (uint16_t i = 0; i < n; i++) {
		uint8_t *ip;

		b->pkt[i] = bed_packet(100);
		ip = rte_pktmbuf_mtod(b->pkt[i], uint8_t *);
		spw_put_be16(ip + 4, (uint16_t)t->sent++);
		bed_ip_checksum(ip);
	}
	dp_stage_esp_seal(&t->a.w, b);
	assert_int_equal(b->n, n);
	bed_receive(b);
}

/* Packets that came out must be the next ones in order. */
static void
expect_next(struct early *t, struct dp_burst *b, unsigned int n)
{
	assert_int_equal(b->n, n);
	for (uint16_t i = 0; i < b->n; i++) {
		const uint8_t *ip = rte_pktmbuf_mtod(b->pkt[i], const uint8_t *);

		assert_int_equal(dp_pkt(b->pkt[i])->next, DP_NEXT_FIB);
		assert_int_equal(spw_get_be16(ip + 4), t->came++);
	}
	bed_free(b);
}

static void
receive(struct early *t, uint16_t n, unsigned int out)
{
	struct dp_burst b;

	arrive(t, &b, n);
	dp_stage_esp_open(&t->b.w, &b);
	expect_next(t, &b, out);
}

/* What the loop does before it polls ports. */
static void
look(struct early *t, unsigned int out)
{
	struct dp_burst b = {0};

	dp_park_take(&t->b.w, &b);
	dp_stage_esp_open(&t->b.w, &b);
	expect_next(t, &b, out);
}

static void
install(struct early *t)
{
	assert_int_equal(dp_sad_install(t->b.sad, &t->at_b, true, NULL), 0);
}

static void
pass_ms(struct early *t, unsigned int ms)
{
	t->b.w.now_tsc += rte_get_tsc_hz() / 1000 * ms;
}

static void
park_holds_early_packets_until_the_sa_is_installed(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 10, 0);
	look(&t, 0);
	receive(&t, 5, 0);
	look(&t, 0);
	assert_int_equal(t.b.w.park.n, 15);
	install(&t);
	look(&t, 15);
	receive(&t, 3, 3);
	assert_int_equal(t.b.w.count.dropped, 0);
	assert_int_equal(bed_events(&t.b, SPW_SA_EV_FIRST_IN, NULL), 1);
	close_early(&t);
}

static void
park_is_not_overtaken_by_packets_after_the_install(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 4, 0);
	look(&t, 0);
	install(&t);
	receive(&t, 4, 0); /* before the loop looked: behind the others */
	assert_int_equal(t.b.w.park.n, 8);
	look(&t, 8);
	receive(&t, 1, 1);
	close_early(&t);
}

/* The install falls between the failed lookup and the parking: no later change tells of it. */
static void
park_looks_once_more_at_what_came_last(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 1, 0);
	install(&t);
	t.b.w.park.version = atomic_load(&t.b.sad->version);
	look(&t, 1);
	close_early(&t);
}

static void
park_drops_what_waited_too_long(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 2, 0);
	pass_ms(&t, DP_PARK_MS - 50);
	receive(&t, 3, 0);
	look(&t, 0);
	assert_int_equal(t.b.w.park.n, 5);
	pass_ms(&t, 50);
	look(&t, 0);
	assert_int_equal(t.b.w.park.n, 3);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 2);
	pass_ms(&t, DP_PARK_MS - 50);
	look(&t, 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 5);
	close_early(&t);
}

static void
park_takes_no_spi_that_was_not_given_out(void **state)
{
	const uint32_t wrong[] = {1u << 31, 1u << 8, 1u << 20 | 1u << 9, 1};
	struct dp_burst b;
	struct early t;

	open_early(&t);
	for (unsigned int i = 0; i < 4; i++) {
		arrive(&t, &b, 1);
		spw_put_be32(rte_pktmbuf_mtod(b.pkt[0], uint8_t *), t.at_b.spi_in ^ wrong[i]);
		dp_stage_esp_open(&t.b.w, &b);
		assert_int_equal(b.n, 0);
		assert_int_equal(t.b.w.park.n, 0);
		assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), i + 1);
	}
	arrive(&t, &b, 1);
	spw_put_be32(rte_pktmbuf_mtod(b.pkt[0], uint8_t *), 0);
	dp_stage_esp_open(&t.b.w, &b);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 5);
	close_early(&t);
}

static void
park_that_is_full_drops_the_rest(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, DP_PARK_MAX - 1, 0);
	receive(&t, 11, 0);
	assert_int_equal(t.b.w.park.n, DP_PARK_MAX);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 10);
	install(&t);
	look(&t, DP_PARK_MAX);
	close_early(&t);
}

/* Order gives way to arrival: a full park never costs a packet whose SA is there. */
static void
park_that_is_full_lets_packets_with_an_sa_pass(void **state)
{
	struct dp_burst b;
	struct early t;

	open_early(&t);
	receive(&t, DP_PARK_MAX, 0);
	install(&t);
	arrive(&t, &b, 1);
	dp_stage_esp_open(&t.b.w, &b);
	assert_int_equal(b.n, 1);
	bed_free(&b);
	look(&t, DP_PARK_MAX);
	t.came++;
	assert_int_equal(t.b.w.count.dropped, 0);
	close_early(&t);
}

static void
park_drops_packets_when_their_spi_is_given_back(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 6, 0);
	look(&t, 0);
	assert_int_equal(dp_sad_spi_free(t.b.sad, BED_TUNNEL, t.at_b.spi_in, NULL), 0);
	look(&t, 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 6);
	receive(&t, 1, 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 7);
	close_early(&t);
}

static void
park_drops_packets_when_their_tunnel_goes(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 2, 0);
	look(&t, 0);
	assert_int_equal(dp_sad_tunnel_del(t.b.sad, BED_TUNNEL, NULL), 0);
	look(&t, 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 2);
	close_early(&t);
}

/* A deleted SA is not one to come, whichever of its halves is still there. */
static void
park_takes_nothing_of_a_deleted_sa(void **state)
{
	struct early t;

	open_early(&t);
	install(&t);
	receive(&t, 2, 2);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_IN, NULL), 0);
	receive(&t, 2, 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 2);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_OUT, NULL), 0);
	receive(&t, 2, 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 4);
	close_early(&t);
}

/* Two SAs are made at once; the first to be installed does not wait for the other. */
static void
park_lets_each_sa_go_by_itself(void **state)
{
	struct spw_sa_desc other_a, other_b;
	struct dp_burst b = {0};
	struct early t;

	open_early(&t);
	receive(&t, 3, 0);
	pair_half(&t, &other_a, &other_b);
	receive(&t, 2, 0); /* 3 and 4, on the other */
	assert_int_equal(dp_sad_switch(t.a.sad, t.at_a.spi_in, NULL), 0);
	receive(&t, 1, 0); /* 5 */
	assert_int_equal(t.b.w.park.n, 6);
	assert_int_equal(dp_sad_install(t.b.sad, &other_b, true, NULL), 0);
	t.came = 3;
	look(&t, 2);
	assert_int_equal(t.b.w.park.n, 4);
	install(&t);
	dp_park_take(&t.b.w, &b);
	dp_stage_esp_open(&t.b.w, &b);
	assert_int_equal(b.n, 4);
	for (uint16_t i = 0; i < b.n; i++)
		assert_int_equal(spw_get_be16(rte_pktmbuf_mtod(b.pkt[i], uint8_t *) + 4),
				 i < 3 ? i : 5);
	bed_free(&b);
	t.came = 6;
	close_early(&t);
}

/* The API thread: installs at some moment of the worker's round. */
static void *
install_soon(void *arg)
{
	struct early *t = arg;
	unsigned int turns = (unsigned int)rand() % 20000;

	for (volatile unsigned int i = 0; i < turns; i++)
		;
	return dp_sad_install(t->b.sad, &t->at_b, true, NULL) == 0 ? t : NULL;
}

/* One packet a round of the loop, until the SA is there and all have come out. */
static void
race_once(struct early *t)
{
	pthread_t api;
	void *done;

	assert_int_equal(pthread_create(&api, NULL, install_soon, t), 0);
	for (unsigned int i = 0; i < DP_PARK_MAX; i++) {
		struct dp_burst b;

		dp_park_take(&t->b.w, &b);
		dp_stage_esp_open(&t->b.w, &b);
		expect_next(t, &b, b.n);
		arrive(t, &b, 1);
		dp_stage_esp_open(&t->b.w, &b);
		expect_next(t, &b, b.n);
	}
	pthread_join(api, &done);
	assert_ptr_equal(done, t);
	look(t, t->sent - t->came);
}

static void
park_loses_and_reorders_nothing_while_the_install_races(void **state)
{
	struct early t;

	open_early(&t);
	race_once(&t);
	for (unsigned int i = 0; i < 100; i++) {
		pair_half(&t, &t.at_a, &t.at_b);
		race_once(&t);
	}
	assert_int_equal(t.b.w.count.dropped, 0);
	close_early(&t);
}

static void
park_gives_all_buffers_back_at_the_end(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 7, 0);
	dp_park_flush(&t.b.w);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 7);
	close_early(&t);
}

/* Early packets told since the last look; the one there is, is of this end's tunnel and SPI. */
static void
expect_told(struct early *t, unsigned int n)
{
	struct spw_dp_sa_event ev = {0};

	assert_int_equal(bed_events(&t->b, SPW_SA_EV_EARLY, &ev), n);
	if (n == 0)
		return;
	assert_int_equal(ev.spi_in, t->at_b.spi_in);
	assert_int_equal(ev.tunnel, BED_TUNNEL);
	assert_int_equal(ev.limit, 0);
}

static void
early_packets_are_told_once_for_each_spi_given_out(void **state)
{
	struct early t;

	open_early(&t);
	expect_told(&t, 0);
	receive(&t, 10, 0);
	expect_told(&t, 1);
	for (int i = 0; i < 3; i++) { /* however long it lasts */
		receive(&t, 5, 0);
		pass_ms(&t, DP_PARK_MS);
		look(&t, 0);
	}
	expect_told(&t, 0);
	pair_half(&t, &t.at_a, &t.at_b); /* another SPI; the sender takes that one */
	receive(&t, 2, 0);
	receive(&t, 2, 0);
	expect_told(&t, 1);
	t.came = t.sent - 4;
	install(&t);
	look(&t, 4);
	receive(&t, 3, 3);
	expect_told(&t, 0);
	t.came = 4 + 3;
	close_early(&t);
}

static void
early_packets_of_no_spi_given_out_are_not_told(void **state)
{
	const uint32_t wrong[] = {1u << 31, 1u << 8, 1u << 20 | 1u << 9, 1};
	struct dp_burst b;
	struct early t;

	open_early(&t);
	for (unsigned int i = 0; i < 4; i++) {
		arrive(&t, &b, 1);
		spw_put_be32(rte_pktmbuf_mtod(b.pkt[0], uint8_t *), t.at_b.spi_in ^ wrong[i]);
		dp_stage_esp_open(&t.b.w, &b);
		assert_int_equal(rte_ring_count(t.b.sad->events), 0); /* not even a note */
	}
	receive(&t, 1, 0);
	expect_told(&t, 1);
	assert_int_equal(dp_sad_spi_free(t.b.sad, BED_TUNNEL, t.at_b.spi_in, NULL), 0);
	look(&t, 0);
	receive(&t, 1, 0);
	expect_told(&t, 0);
	close_early(&t);
}

/* What stands, or stood, has no answer to come. */
static void
early_packets_are_not_told_when_the_sa_is_there_or_gone(void **state)
{
	struct early t;

	open_early(&t);
	receive(&t, 1, 0);
	install(&t); /* before anybody has taken the note */
	expect_told(&t, 0);
	look(&t, 1);
	receive(&t, 1, 1);
	expect_told(&t, 0);
	assert_int_equal(dp_sad_delete(t.b.sad, t.at_b.spi_in, SPW_SA_PART_IN, NULL), 0);
	receive(&t, 1, 0);
	expect_told(&t, 0);
	pair_half(&t, &t.at_a, &t.at_b);
	receive(&t, 1, 0);
	assert_int_equal(dp_sad_spi_free(t.b.sad, BED_TUNNEL, t.at_b.spi_in, NULL), 0);
	expect_told(&t, 0);
	look(&t, 0);
	close_early(&t);
}

static void
early_packet_is_told_though_the_park_is_full(void **state)
{
	struct spw_sa_desc first;
	struct early t;

	open_early(&t);
	receive(&t, DP_PARK_MAX, 0);
	expect_told(&t, 1);
	first = t.at_b;
	pair_half(&t, &t.at_a, &t.at_b);
	receive(&t, 1, 0);
	assert_int_equal(bed_drops(&t.b, DP_DROP_ESP_SPI), 1);
	expect_told(&t, 1);
	t.at_b = first;
	install(&t);
	look(&t, DP_PARK_MAX);
	close_early(&t);
}

static void
early_packet_that_the_ring_has_no_room_for_is_told_by_the_next(void **state)
{
	struct dp_sa_note filler = {.kind = SPW_SA_EV_SOFT, .spi_in = 1};
	struct early t;

	open_early(&t);
	while (rte_ring_mp_enqueue_elem(t.b.sad->events, &filler, sizeof(filler)) == 0)
		;
	receive(&t, 2, 0);
	expect_told(&t, 0);
	receive(&t, 2, 0);
	expect_told(&t, 1);
	dp_park_flush(&t.b.w);
	close_early(&t);
}

/* Its index comes back with another SPI after a rest, and that one is told anew. */
static void
early_packet_is_told_again_when_its_index_is_given_out_again(void **state)
{
	uint32_t before, spi = 0;
	struct early t;

	open_early(&t);
	receive(&t, 1, 0);
	expect_told(&t, 1);
	before = t.at_b.spi_in;
	assert_int_equal(dp_sad_spi_free(t.b.sad, BED_TUNNEL, before, NULL), 0);
	bed_now += DP_SPI_REST_NS;
	for (uint32_t n = 0; n <= t.b.sad->index_mask && (spi ^ before) & t.b.sad->index_mask; n++)
		assert_int_equal(dp_sad_spi_alloc(t.b.sad, BED_TUNNEL, &spi, NULL), 0);
	assert_int_not_equal(spi, before);
	dp_sad_early(t.b.sad, spi);
	t.at_b.spi_in = spi;
	expect_told(&t, 1);
	look(&t, 0);
	close_early(&t);
}

#define RACED	200
#define WORKERS 2

struct raced {
	struct dp_sad *sad;
	_Atomic unsigned int ready;
	uint32_t spi[RACED];
};

/* Each SPI is told of when all workers are there. */
static void *
tell_all(void *arg)
{
	struct raced *r = arg;

	for (unsigned int i = 0; i < RACED; i++) {
		atomic_fetch_add(&r->ready, 1);
		while (atomic_load(&r->ready) < (i + 1) * WORKERS)
			sched_yield();
		dp_sad_early(r->sad, r->spi[i]);
	}
	return NULL;
}

/* Each worker has packets on each SPI, at the same time. */
static void
tell_at_once(struct early *t, struct raced *r)
{
	pthread_t worker[WORKERS];

	atomic_store(&r->ready, 0);
	for (unsigned int i = 0; i < RACED; i++)
		assert_int_equal(dp_sad_spi_alloc(r->sad, BED_TUNNEL, &r->spi[i], NULL), 0);
	for (unsigned int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&worker[i], NULL, tell_all, r), 0);
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(worker[i], NULL);
	assert_int_equal(bed_events(&t->b, SPW_SA_EV_EARLY, NULL), RACED);
	for (unsigned int i = 0; i < RACED; i++)
		assert_int_equal(dp_sad_spi_free(r->sad, BED_TUNNEL, r->spi[i], NULL), 0);
	bed_now += DP_SPI_REST_NS;
}

static void
early_packets_at_several_workers_are_told_once(void **state)
{
	static struct raced r;
	struct early t;

	open_early(&t);
	r.sad = t.b.sad;
	for (unsigned int round = 0; round < 30; round++)
		tell_at_once(&t, &r);
	close_early(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(park_holds_early_packets_until_the_sa_is_installed),
		cmocka_unit_test(park_is_not_overtaken_by_packets_after_the_install),
		cmocka_unit_test(park_looks_once_more_at_what_came_last),
		cmocka_unit_test(park_drops_what_waited_too_long),
		cmocka_unit_test(park_takes_no_spi_that_was_not_given_out),
		cmocka_unit_test(park_that_is_full_drops_the_rest),
		cmocka_unit_test(park_that_is_full_lets_packets_with_an_sa_pass),
		cmocka_unit_test(park_drops_packets_when_their_spi_is_given_back),
		cmocka_unit_test(park_drops_packets_when_their_tunnel_goes),
		cmocka_unit_test(park_takes_nothing_of_a_deleted_sa),
		cmocka_unit_test(park_lets_each_sa_go_by_itself),
		cmocka_unit_test(park_loses_and_reorders_nothing_while_the_install_races),
		cmocka_unit_test(park_gives_all_buffers_back_at_the_end),
		cmocka_unit_test(early_packets_are_told_once_for_each_spi_given_out),
		cmocka_unit_test(early_packets_of_no_spi_given_out_are_not_told),
		cmocka_unit_test(early_packets_are_not_told_when_the_sa_is_there_or_gone),
		cmocka_unit_test(early_packet_is_told_though_the_park_is_full),
		cmocka_unit_test(early_packet_that_the_ring_has_no_room_for_is_told_by_the_next),
		cmocka_unit_test(early_packet_is_told_again_when_its_index_is_given_out_again),
		cmocka_unit_test(early_packets_at_several_workers_are_told_once),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
