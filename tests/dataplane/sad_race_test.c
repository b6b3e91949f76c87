/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers on one SA, and rekeys under their feet. */
#include <pthread.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dataplane/esp_two.h"

/* One of two workers that seal and open on the same SAs at the same time. */
struct racer {
	struct dp_worker w;
	struct bed_end *to;
	struct dp_worker w_to;
	uint64_t passed;
	pthread_t thread;
	rte_spinlock_t *pool_lock;
	struct racer *peer; /* the other */
	_Atomic int bursts; /* done */
};

enum {
	RACE_BURSTS = 3000,
	RACE_COPIES = 2,
	RACE_WINDOW = 65536,
	RACE_AHEAD = RACE_WINDOW / 32 / 4
};

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

/*
 * Neither gets further ahead than half a window (a quarter, from a quarter behind) while the other
 * holds numbers it has claimed: a thread that the machine sets aside would be too late by right.
 */
static void *
race(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < RACE_BURSTS; i++) {
		while (i > atomic_load(&r->peer->bursts) + RACE_AHEAD)
			sched_yield();
		race_burst(r);
		atomic_store(&r->bursts, i + 1);
	}
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
	bed_pair(&a, &b, &(struct bed_sa){.window = RACE_WINDOW}, &at_a, &at_b);
	for (unsigned int i = 0; i < 2; i++) {
		struct dp_crypto *c;

		r[i] = (struct racer){
			.w = a.w, .w_to = b.w, .to = &b, .pool_lock = &lock, .peer = &r[1 - i]};
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
	struct bed_two t;
	struct churn c = {.a = &t.a, .b = &t.b};
	pthread_t thread;

	bed_two_open(&t, &(struct bed_sa){0});
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
	bed_two_close(&t);
}

struct deletion {
	struct dp_sad *sad;
	uint32_t spi_in;
};

static void *
delete_out(void *arg)
{
	const struct deletion *d = arg;

	return (void *)(intptr_t)dp_sad_delete(d->sad, d->spi_in, SPW_SA_PART_OUT, NULL);
}

static bool
taken_away(struct dp_child *c)
{
	const uint64_t until = spw_clock_ns() + 2 * SPW_NS_PER_S;

	while (atomic_load(&c->out) != NULL && spw_clock_ns() < until)
		sched_yield();
	return atomic_load(&c->out) == NULL;
}

/*
 * A worker that opens on the inbound half ends the SA at a limit while the outbound half goes: it
 * finds none from before the grace on, rather than one that may be freed under it.
 */
static void
an_outbound_half_that_goes_is_out_of_reach_before_the_grace(void **state)
{
	struct bed_two t;
	struct deletion d;
	struct rte_rcu_qsbr *qsbr;
	struct dp_child *c;
	pthread_t thread;
	void *rc;
	bool away;

	bed_two_open(&t, &(struct bed_sa){0});
	qsbr = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(1), 64);
	assert_int_equal(rte_rcu_qsbr_init(qsbr, 1), 0);
	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	t.a.sad->qsbr = qsbr;
	d = (struct deletion){.sad = t.a.sad, .spi_in = t.at_a.spi_in};
	c = dp_sad_child(d.sad, d.spi_in);
	assert_int_equal(pthread_create(&thread, NULL, delete_out, &d), 0);
	away = taken_away(c);
	if (away)
		dp_child_raise(d.sad, c, d.spi_in, SPW_SA_EV_HARD, SPW_SA_LIMIT_BYTES);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	pthread_join(thread, &rc);
	assert_true(away);
	assert_ptr_equal(rc, NULL);
	assert_int_equal(bed_events(&t.a, SPW_SA_EV_HARD, NULL), 1);
	t.a.sad->qsbr = NULL;
	rte_free(qsbr);
	bed_two_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_workers_share_an_sa_without_doubles),
		cmocka_unit_test(two_workers_never_claim_the_same_number),
		cmocka_unit_test(rekeys_under_traffic_lose_nothing),
		cmocka_unit_test(an_outbound_half_that_goes_is_out_of_reach_before_the_grace),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
