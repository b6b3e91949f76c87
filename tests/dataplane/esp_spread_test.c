/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SA over several workers, through the real stages with real ciphers: what comes back from a
 * helper thread is opened and sealed right, in order, each packet once; numbers wait for a worker
 * that stands still, and no longer than they may. Each end of the bed is one worker; the second
 * worker of an end is a thread that helps, or figures in the SA that the test writes.
 */
#include <pthread.h>
#include <string.h>

#include "dataplane/spread.h"
#include "dataplane/spread_seal.h"
#include "tests/dataplane/esp_bed.h"

#define BURST	64
#define LEN	1400
#define WORTH	(DP_SPREAD_WORTH / LEN + 1) /* packets that make a chunk */
#define ADDR_A	0xc0000201u
#define ADDR_B	0xc6336401u
#define COUNTER 28 /* in the inner packet, behind the UDP header */

struct ends {
	struct bed_end a, b;
	struct dp_spread *all[2];
	pthread_t thread;
	struct dp_crypto *crypto;
	_Atomic bool stop;
};

/* Give worker 0 of an end the parts that it has among several workers. */
static void
workers_open(struct ends *e, struct bed_end *end)
{
	for (unsigned int i = 0; i < 2; i++)
		assert_non_null(e->all[i] = dp_spread_new(i));
	for (unsigned int i = 0; i < 2; i++)
		dp_spread_join(e->all[i], e->all, 2);
	end->w.spread = e->all[0];
	end->w.seal = dp_seal_new(rte_get_tsc_hz());
	assert_non_null(end->w.seal);
}

/* Ends with an SA; `spread` is the end that has two workers. */
static void
ends_open(struct ends *e, bool spread_a)
{
	struct spw_sa_desc at_a, at_b;

	memset(e, 0, sizeof(*e));
	bed_open(&e->a, ADDR_A, DP_CRYPTO_AUTO, spread_a ? 2 : 1);
	bed_open(&e->b, ADDR_B, DP_CRYPTO_AUTO, spread_a ? 1 : 2);
	bed_tunnel(&e->a, &e->b, 1420);
	bed_pair(&e->a, &e->b, &(struct bed_sa){.window = 64}, &at_a, &at_b);
	workers_open(e, spread_a ? &e->a : &e->b);
}

static void
ends_close(struct ends *e)
{
	struct bed_end *end = e->a.w.spread != NULL ? &e->a : &e->b;

	assert_false(dp_spread_out(end->w.spread));
	dp_seal_flush(&end->w);
	dp_seal_free(end->w.seal);
	for (unsigned int i = 0; i < 2; i++)
		dp_spread_free(e->all[i]);
	bed_close(&e->a);
	bed_close(&e->b);
}

static void *
helper(void *arg)
{
	struct ends *e = arg;

	while (!atomic_load(&e->stop))
		dp_spread_help(e->all[1], e->crypto);
	return NULL;
}

static void
helper_start(struct ends *e)
{
	assert_int_equal(dp_crypto_new(&e->crypto, DP_CRYPTO_AUTO, NULL), 0);
	dp_spread_set_hungry(e->all[1], true);
	assert_int_equal(pthread_create(&e->thread, NULL, helper, e), 0);
}

static void
helper_stop(struct ends *e)
{
	atomic_store(&e->stop, true);
	pthread_join(e->thread, NULL);
	dp_crypto_free(e->crypto);
}

static struct rte_mbuf *
numbered(uint32_t n)
{
	struct rte_mbuf *m = bed_packet(LEN);

	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, COUNTER), &n, sizeof(n));
	return m;
}

static uint32_t
number_of(struct rte_mbuf *m)
{
	uint32_t n;

	memcpy(&n, rte_pktmbuf_mtod_offset(m, uint8_t *, COUNTER), sizeof(n));
	return n;
}

/* Opened packets: what is still there must be numbered upwards from *next. */
static void
in_order(struct dp_burst *b, uint32_t *next)
{
	dp_burst_compact(b);
	for (uint16_t i = 0; i < b->n; i++) {
		assert_int_equal(dp_pkt(b->pkt[i])->next, DP_NEXT_FIB);
		assert_int_equal(number_of(b->pkt[i]), (*next)++);
	}
	bed_free(b);
}

/* Everything that is out comes back, run by whoever has time. */
static void
bring_back(struct ends *e, struct bed_end *end, bool all, uint32_t *next)
{
	do {
		struct dp_burst b = {0};

		dp_spread_run_own(e->all[0], end->w.crypto, !all);
		dp_stage_esp_back(&end->w, &b);
		in_order(&b, next);
	} while (all && dp_spread_out(e->all[0]));
}

/* 30 packets, a copy of each at random places behind it, and two changed ones: 62 of a burst. */
static void
with_copies(struct dp_burst *b)
{
	uint16_t n = b->n;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		struct rte_mbuf *copy = bed_mbuf(rte_pktmbuf_mtod(m, void *), m->data_len);

		*dp_pkt(copy) = *dp_pkt(m);
		b->pkt[b->n++] = copy;
	}
	for (uint16_t i = 0; i < 2; i++) {
		struct rte_mbuf *m = b->pkt[i];
		struct rte_mbuf *forged = bed_mbuf(rte_pktmbuf_mtod(m, void *), m->data_len);

		*dp_pkt(forged) = *dp_pkt(m);
		rte_pktmbuf_mtod(forged, uint8_t *)[4] ^= 0x80; /* a number far ahead */
		b->pkt[b->n++] = forged;
	}
}

static void
opened_by_a_helper_packets_come_back_in_order_and_copies_pass_once(void **state)
{
	uint32_t sent = 0, next = 0, copies = 0, forged = 0;
	struct ends e;

	ends_open(&e, false);
	helper_start(&e);
	for (unsigned int round = 0; round < 300; round++) {
		struct dp_burst b = {0};

		while (b.n < 30)
			b.pkt[b.n++] = numbered(sent++);
		dp_stage_esp_seal(&e.a.w, &b);
		bed_receive(&b);
		with_copies(&b);
		copies += 30;
		forged += 2;
		e.b.w.backlog = round % 3 != 0;
		dp_stage_esp_open(&e.b.w, &b);
		if (b.n != 0)
			in_order(&b, &next);
		bring_back(&e, &e.b, round % 4 == 0, &next);
	}
	bring_back(&e, &e.b, true, &next);
	helper_stop(&e);
	assert_int_equal(next, sent);
	assert_int_equal(bed_drops(&e.b, DP_DROP_ESP_REPLAY) + bed_drops(&e.b, DP_DROP_ESP_LATE),
			 copies);
	assert_int_equal(bed_drops(&e.b, DP_DROP_ESP_AUTH), forged);
	assert_int_equal(e.b.w.count.dropped, copies + forged);
	assert_true(atomic_load(&e.all[0]->count.offered) > 300);
	ends_close(&e);
}

static void
sealed_by_a_helper_packets_leave_in_order_and_open(void **state)
{
	uint32_t sent = 0, next = 0;
	struct ends e;

	ends_open(&e, true);
	helper_start(&e);
	for (unsigned int round = 0; round < 300; round++) {
		struct dp_burst b = {0};

		while (b.n < BURST)
			b.pkt[b.n++] = numbered(sent++);
		e.a.w.backlog = true;
		dp_stage_esp_seal(&e.a.w, &b);
		assert_int_equal(b.n, 0); /* all of it is out */
		do {
			b.n = b.kinds = 0;
			dp_spread_run_own(e.all[0], e.a.w.crypto, false);
			dp_stage_esp_back(&e.a.w, &b);
			bed_receive(&b);
			dp_seal_sent(&e.a.w);
			dp_stage_esp_open(&e.b.w, &b);
			in_order(&b, &next);
		} while (dp_spread_out(e.all[0]));
	}
	helper_stop(&e);
	assert_int_equal(next, sent);
	assert_int_equal(e.a.w.count.dropped + e.b.w.count.dropped, 0);
	ends_close(&e);
}

static struct dp_sa_out *
sa_of(struct ends *e)
{
	return atomic_load(&e->a.sad->tunnels[BED_TUNNEL].out);
}

static uint64_t
seals_nothing(struct dp_crypto *c, const struct dp_crypto_key *key,
	      const struct dp_crypto_job *jobs, unsigned int n)
{
	(void)c, (void)key, (void)jobs, (void)n;
	return 0;
}

/* What the rows of the SA and of its tunnel say: so many packets, a third of them our own. */
static void
counted_as_sent(struct ends *e, uint32_t n)
{
	struct spw_dp_sa_stats sa;
	struct spw_dp_tunnel_stats t;
	uint32_t at = 0;

	assert_true(dp_sad_stats(e->a.sad, &at, &sa));
	assert_int_equal(sa.out_packets, n);
	assert_true(sa.out_bytes >= (uint64_t)n * LEN && sa.out_bytes < (uint64_t)(n + 64) * LEN);
	at = 0;
	assert_true(dp_sad_tunnel_stats(e->a.sad, &at, &t));
	assert_int_equal(t.own_out + t.transit_out, n);
	assert_true(t.own_out <= n / 3 + 1);
	assert_true(t.violations == t.transit_out || t.violations == 0);
}

static void
what_no_worker_sealed_never_leaves(void **state)
{
	struct dp_burst b = {0};
	uint32_t sent = 0;
	struct ends e;

	ends_open(&e, true);
	sa_of(&e)->seal = seals_nothing;
	while (b.n < BURST)
		b.pkt[b.n++] = numbered(sent++);
	e.a.w.backlog = true;
	dp_stage_esp_seal(&e.a.w, &b);
	assert_int_equal(b.n, 0);
	do {
		dp_spread_run_own(e.all[0], e.a.w.crypto, false);
		b.n = b.kinds = 0;
		dp_stage_esp_back(&e.a.w, &b);
		assert_int_equal(b.n, 0);
	} while (dp_spread_out(e.all[0]));
	assert_int_equal(bed_drops(&e.a, DP_DROP_SEAL_FAILED), sent);
	counted_as_sent(&e, 0);
	ends_close(&e);
}

static void
what_finds_no_place_behind_a_worker_that_stands_still_was_not_sent(void **state)
{
	uint32_t sent = 0, back = 0;
	struct ends e;

	ends_open(&e, true);
	e.a.w.backlog = true;
	dp_spread_set_hungry(e.all[1], true); /* and then takes nothing */
	while (bed_drops(&e.a, DP_DROP_SPREAD_WAIT) == 0) {
		struct dp_burst b = {0};

		while (b.n < WORTH) {
			struct rte_mbuf *m = numbered(sent++);

			dp_pkt(m)->flags |= sent % 3 == 0 ? DP_PKT_FROM_TWIN : DP_PKT_ER_STOOD;
			b.pkt[b.n++] = m;
		}
		dp_stage_esp_seal(&e.a.w, &b);
		assert_int_equal(b.n, 0);
	}
	while (dp_spread_out(e.all[0])) {
		struct dp_burst b = {0};

		dp_spread_run_own(e.all[0], e.a.w.crypto, false);
		dp_stage_esp_back(&e.a.w, &b);
		back += b.n;
		bed_free(&b);
		dp_seal_sent(&e.a.w);
	}
	assert_int_equal(back + bed_drops(&e.a, DP_DROP_SPREAD_WAIT), sent);
	counted_as_sent(&e, back);
	ends_close(&e);
}

/* Another worker claims a number and does not send it. */
static uint64_t
other_claims(struct ends *e)
{
	uint64_t first;

	assert_int_equal(dp_claim(&sa_of(e)->seq, sa_of(e)->count, 2, 1, 1, &first), 1);
	return first;
}

/* Seal what is in the burst, send it, and count it. */
static uint32_t
seal_and_send(struct ends *e, struct dp_burst *b, uint32_t *next)
{
	uint32_t n;

	dp_stage_esp_seal(&e->a.w, b);
	n = b->n;
	bed_receive(b);
	dp_seal_sent(&e->a.w);
	dp_stage_esp_open(&e->b.w, b);
	in_order(b, next);
	return n;
}

static uint32_t
again(struct ends *e, uint32_t *next)
{
	struct dp_burst b;
	uint32_t n;

	dp_seal_take(e->a.w.seal, &b);
	n = seal_and_send(e, &b, next);
	dp_seal_tried(e->a.w.seal);
	return n;
}

static void
packets_wait_for_numbers_up_to_the_window_in_order_and_not_for_ever(void **state)
{
	struct dp_burst b = {0};
	uint32_t sent = 0, next = 0, through;
	struct ends e;

	ends_open(&e, true);
	while (b.n < BURST)
		b.pkt[b.n++] = numbered(sent++);
	other_claims(&e);
	through = seal_and_send(&e, &b, &next);
	assert_int_equal(through, dp_claim_block(2));
	through += again(&e, &next);
	assert_int_equal(through, 63); /* 63 numbers ahead of the other's */
	assert_int_equal(again(&e, &next), 0);
	b.n = 0;
	b.pkt[b.n++] = numbered(sent++);
	assert_int_equal(seal_and_send(&e, &b, &next), 0); /* none overtakes */
	assert_int_equal(e.a.w.seal->n, 2);
	dp_claim_sent(&sa_of(&e)->count[1], 0); /* the other goes on */
	assert_int_equal(again(&e, &next), 2);
	assert_int_equal(next, sent);
	assert_int_equal(e.a.w.count.dropped, 0);

	other_claims(&e);
	for (unsigned int i = 0; i < 2; i++) {
		b.n = 0;
		while (b.n < BURST)
			b.pkt[b.n++] = numbered(sent++);
		seal_and_send(&e, &b, &next);
	}
	again(&e, &next);
	through = e.a.w.seal->n;
	assert_true(through > 0);
	e.a.w.now_tsc += rte_get_tsc_hz(); /* a second */
	while (e.a.w.seal->n != 0)
		again(&e, &next);
	assert_int_equal(bed_drops(&e.a, DP_DROP_SEAL_WAIT), through);
	assert_int_equal(atomic_load(&sa_of(&e)->count[0].waits), 0);
	ends_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			opened_by_a_helper_packets_come_back_in_order_and_copies_pass_once),
		cmocka_unit_test(sealed_by_a_helper_packets_leave_in_order_and_open),
		cmocka_unit_test(what_no_worker_sealed_never_leaves),
		cmocka_unit_test(
			what_finds_no_place_behind_a_worker_that_stands_still_was_not_sent),
		cmocka_unit_test(
			packets_wait_for_numbers_up_to_the_window_in_order_and_not_for_ever),
	};

	return cmocka_run_group_tests_name("esp-spread", tests, bed_start, bed_stop);
}
