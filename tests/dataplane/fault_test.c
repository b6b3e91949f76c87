/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults in the stages around ESP: buffers that run out at each place where one is taken (F11), and
 * sequence numbers that come to their end (F19). The pool of the stages under test hands out as
 * many buffers as a test says and fails then; test packets come from the bed's own pool, so what is
 * in use in each is known exactly.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/fit.h"
#include "dataplane/icmp.h"
#include "dataplane/stages.h"
#include "tests/dataplane/esp_two.h"

#define IFACE_IN  1
#define FAIL_OPS  "bed_fail"
#define BASE_OPS  "ring_mp_mc"
#define WRAP	  (UINT64_C(1) << 32)
#define POOL_SIZE 255

/* Allocations that have happened, and from which on (counting from 1) they fail, to which one. */
static uint64_t allocations, fail_from, fail_to;

static struct rte_mempool_ops *
base_ops(void)
{
	for (uint32_t i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, BASE_OPS) == 0)
			return &rte_mempool_ops_table.ops[i];
	fail();
	return NULL;
}

static int
fail_alloc(struct rte_mempool *mp)
{
	return base_ops()->alloc(mp);
}

static void
fail_free(struct rte_mempool *mp)
{
	base_ops()->free(mp);
}

static int
fail_enqueue(struct rte_mempool *mp, void *const *obj, unsigned int n)
{
	return base_ops()->enqueue(mp, obj, n);
}

static int
fail_dequeue(struct rte_mempool *mp, void **obj, unsigned int n)
{
	allocations++;
	if (allocations >= fail_from && allocations <= fail_to)
		return -ENOBUFS;
	return base_ops()->dequeue(mp, obj, n);
}

static unsigned int
fail_count(const struct rte_mempool *mp)
{
	return base_ops()->get_count(mp);
}

static const struct rte_mempool_ops fail_ops = {
	.name = FAIL_OPS,
	.alloc = fail_alloc,
	.free = fail_free,
	.enqueue = fail_enqueue,
	.dequeue = fail_dequeue,
	.get_count = fail_count,
};

/* Two gateways whose workers take buffers from the failing pool; `a` can fit and answer, too. */
struct yard {
	struct bed_two t;
	struct dp_worker_priv priv;
	struct dp_iface in;
	struct rte_mempool *pool;
	unsigned int in_use; /* of the bed's pool at the start */
};

static void
fail_between(uint64_t from, uint64_t to)
{
	allocations = 0;
	fail_from = from;
	fail_to = to;
}

static void
open_yard(struct yard *y, const struct bed_sa *how)
{
	memset(y, 0, sizeof(*y));
	fail_between(UINT64_MAX, 0);
	bed_two_open(&y->t, how);
	bed_tunnel(&y->t.a, &y->t.b, 1400);
	y->pool = rte_pktmbuf_pool_create_by_ops("fail", POOL_SIZE, 0, sizeof(struct dp_pkt),
						 RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY,
						 FAIL_OPS);
	assert_non_null(y->pool);
	y->t.a.w.pool = y->t.b.w.pool = y->pool;
	y->in = (struct dp_iface){.conf = {.id = IFACE_IN, .mtu = 1500}, .addr_v4 = 0x0a0100fe};
	y->t.a.w.tables = dp_tables_new();
	atomic_store(&y->t.a.w.tables->iface[IFACE_IN], &y->in);
	y->priv.icmp_rate[DP_ICMP_TOO_BIG] = dp_rate_make(rte_get_tsc_hz(), 1000000, 1000);
	y->t.a.w.priv = &y->priv;
	y->in_use = rte_mempool_in_use_count(bed_pool());
}

/* Every buffer of both pools must be back. */
static void
close_yard(struct yard *y)
{
	assert_int_equal(rte_mempool_in_use_count(y->pool), 0);
	assert_int_equal(rte_mempool_in_use_count(bed_pool()), y->in_use);
	rte_mempool_free(y->pool);
	dp_tables_free(y->t.a.w.tables);
	bed_two_close(&y->t);
}

/* A packet of `len` bytes in two pieces. */
static struct rte_mbuf *
chained(uint32_t len)
{
	struct rte_mbuf *whole = bed_packet(len), *m;
	const uint8_t *bytes = rte_pktmbuf_mtod(whole, const uint8_t *);

	m = bed_mbuf(bytes, len / 2);
	*dp_pkt(m) = *dp_pkt(whole);
	assert_int_equal(rte_pktmbuf_chain(m, bed_mbuf(bytes + len / 2, len - len / 2)), 0);
	rte_pktmbuf_free(whole);
	return m;
}

static struct rte_mbuf *
with_flags(struct rte_mbuf *m, uint16_t flags)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	spw_put_be16(ip + 6, flags);
	bed_ip_checksum(ip);
	dp_pkt(m)->iface_in = IFACE_IN;
	return m;
}

/* One of each kind that takes buffers on its way, and plain ones around them. */
static void
mixture(struct dp_burst *b)
{
	b->n = 0;
	b->pkt[b->n++] = with_flags(bed_packet(100), 0x4000);
	b->pkt[b->n++] = chained(200);
	b->pkt[b->n++] = with_flags(bed_packet(2000), 0);      /* cut in two */
	b->pkt[b->n++] = with_flags(bed_packet(4000), 0);      /* cut in three */
	b->pkt[b->n++] = with_flags(bed_packet(2000), 0x4000); /* answered */
	b->pkt[b->n++] = chained(1000);
	b->pkt[b->n++] = with_flags(bed_packet(300), 0x4000);
}

/* Take what was sealed over to `to`; returns how many others (ICMP errors) there were. */
static uint16_t
take_sealed(struct dp_burst *from, struct dp_burst *to)
{
	uint16_t others = 0;

	to->n = 0;
	for (uint16_t i = 0; i < from->n; i++) {
		if (dp_pkt(from->pkt[i])->next == DP_NEXT_OUTER) {
			to->pkt[to->n++] = from->pkt[i];
			continue;
		}
		rte_pktmbuf_free(from->pkt[i]);
		others++;
	}
	from->n = 0;
	return others;
}

/* Through fit, seal and open; returns how many packets came out, after asking for conservation. */
static uint16_t
through(struct yard *y, struct dp_burst *b)
{
	struct dp_worker *a = &y->t.a.w, *c = &y->t.b.w;
	uint64_t created = a->count.created, dropped = a->count.dropped + c->count.dropped;
	uint16_t in = b->n, others;
	struct dp_burst sealed;

	dp_stage_fit(a, b);
	dp_stage_esp_seal(a, b);
	others = take_sealed(b, &sealed);
	bed_receive(&sealed);
	dp_stage_esp_open(c, &sealed);
	assert_int_equal(in + a->count.created - created,
			 sealed.n + others + a->count.dropped + c->count.dropped - dropped);
	in = sealed.n;
	bed_free(&sealed);
	return in;
}

static uint64_t
no_buffer(const struct yard *y)
{
	return bed_drops(&y->t.a, DP_DROP_NO_BUFFER) + bed_drops(&y->t.b, DP_DROP_NO_BUFFER) +
	       bed_drops(&y->t.a, DP_DROP_FRAGMENT_FAILED);
}

static void
f11_each_allocation_that_fails_alone_costs_its_own_packet_and_nothing_else(void **state)
{
	struct dp_burst b;
	struct yard y;
	uint64_t n, all;
	uint16_t whole;

	open_yard(&y, &(struct bed_sa){0});
	mixture(&b);
	fail_between(UINT64_MAX, 0);
	whole = through(&y, &b);
	all = allocations;
	assert_true(all >= 5);
	for (n = 1; n <= all; n++) {
		mixture(&b);
		fail_between(n, n);
		/* At most the pieces of one packet are missing: three. */
		assert_in_range(through(&y, &b), whole - 3, whole);
		assert_true(allocations >= n);
	}
	fail_between(UINT64_MAX, 0);
	mixture(&b);
	assert_int_equal(through(&y, &b), whole);
	close_yard(&y);
}

static void
f11_without_any_buffer_what_needs_none_passes_and_the_rest_is_counted(void **state)
{
	struct dp_burst b;
	struct yard y;
	uint64_t before;
	uint16_t whole;

	open_yard(&y, &(struct bed_sa){0});
	mixture(&b);
	whole = through(&y, &b);
	before = no_buffer(&y);
	fail_between(1, UINT64_MAX);
	for (int i = 0; i < 100; i++) {
		mixture(&b);
		assert_true(through(&y, &b) >= 2); /* the two plain ones */
	}
	assert_true(no_buffer(&y) - before >= 400); /* chained and cut, each time */
	fail_between(UINT64_MAX, 0);
	mixture(&b);
	assert_int_equal(through(&y, &b), whole);
	close_yard(&y);
}

static void
f11_all_buffers_held_and_given_back_leaves_the_count_as_it_was(void **state)
{
	struct rte_mbuf *held[POOL_SIZE];
	struct dp_burst b;
	struct yard y;
	uint16_t whole;

	open_yard(&y, &(struct bed_sa){0});
	mixture(&b);
	whole = through(&y, &b);
	for (int i = 0; i < POOL_SIZE; i++) {
		held[i] = rte_pktmbuf_alloc(y.pool);
		assert_non_null(held[i]);
	}
	for (int i = 0; i < 20; i++) {
		mixture(&b);
		assert_true(through(&y, &b) >= 2);
		assert_int_equal(rte_mempool_in_use_count(y.pool), POOL_SIZE);
	}
	rte_pktmbuf_free_bulk(held, POOL_SIZE);
	mixture(&b);
	assert_int_equal(through(&y, &b), whole);
	close_yard(&y);
}

/* Outbound and inbound side of an SA as if `seq` packets had gone over it. */
static void
preset(struct bed_two *t, uint64_t seq)
{
	atomic_store(&dp_sad_child(t->a.sad, t->at_a.spi_in)->out->seq, seq);
	dp_sad_child(t->b.sad, t->at_b.spi_in)->in->replay.top = seq;
}

/* LIF-03: a tenth of all numbers is left when the event comes, with or without a limit of its own.
 */
static void
f19_the_soft_event_leaves_a_tenth_of_the_numbers_to_rekey_without_loss(void **state)
{
	const uint64_t tenth = WRAP / 10, before = 10000;
	struct spw_sa_desc new_a, new_b;
	struct spw_dp_sa_event ev;
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){.packets = {WRAP - 5000, WRAP - 1}});
	preset(&t, WRAP - tenth - before);
	assert_int_equal(bed_carry(&t, before - 64, 64), before - 64);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, NULL), 0);
	assert_int_equal(bed_carry(&t, 128, 64), 128);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_SOFT, &ev), 1);
	assert_int_equal(ev.spi_in, t.at_a.spi_in);
	preset(&t, WRAP - 2000); /* a slow peer: the rekey takes nearly all of them */
	bed_pair(&t.a, &t.b, &(struct bed_sa){.held = true}, &new_a, &new_b);
	assert_int_equal(bed_carry(&t, 1999, 64), 1999);
	assert_int_equal(dp_sad_switch(t.a.sad, new_a.spi_in, NULL), 0);
	assert_int_equal(dp_sad_delete(t.a.sad, t.at_a.spi_in, 3, NULL), 0);
	assert_int_equal(bed_carry(&t, 20000, 64), 20000);
	assert_int_equal(t.a.w.count.dropped + t.b.w.count.dropped, 0);
	bed_two_close(&t);
}

static void
f19_without_a_rekey_number_2_to_the_32_is_never_sent(void **state)
{
	struct bed_two t;

	bed_two_open(&t, &(struct bed_sa){0});
	preset(&t, WRAP - 10000);
	assert_int_equal(bed_carry(&t, 20000, 64), 9999);
	assert_int_equal(bed_drops(&t.a, DP_DROP_SEQ_EXHAUSTED), 10001);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 1);
	assert_int_equal(dp_sad_child(t.b.sad, t.at_b.spi_in)->in->replay.top, UINT32_MAX);
	bed_two_close(&t);
}

/* ESN: past 2^32 and 2^33 nothing is lost. */
static void
f19_with_esn_every_packet_passes_both_wraps(void **state)
{
	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		struct bed_two t;

		bed_two_open(&t, &(struct bed_sa){.flags = SPW_SA_ESN});
		preset(&t, epoch * WRAP - 10000);
		assert_int_equal(bed_carry(&t, 20000, 64), 20000);
		assert_int_equal(bed_sa_stats(&t.a).seq_out, epoch * WRAP + 10000);
		assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 0);
		bed_two_close(&t);
	}
}

static int
start(void **state)
{
	if (rte_mempool_register_ops(&fail_ops) < 0)
		return -1;
	return bed_start(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			f11_each_allocation_that_fails_alone_costs_its_own_packet_and_nothing_else),
		cmocka_unit_test(
			f11_without_any_buffer_what_needs_none_passes_and_the_rest_is_counted),
		cmocka_unit_test(f11_all_buffers_held_and_given_back_leaves_the_count_as_it_was),
		cmocka_unit_test(
			f19_the_soft_event_leaves_a_tenth_of_the_numbers_to_rekey_without_loss),
		cmocka_unit_test(f19_without_a_rekey_number_2_to_the_32_is_never_sent),
		cmocka_unit_test(f19_with_esn_every_packet_passes_both_wraps),
	};

	return cmocka_run_group_tests(tests, start, bed_stop);
}
