/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening for one SA by several workers: the rules of lending, and in every interleaving that
 * spread_bed.h makes each packet is opened once and comes back in order, whoever stops. Memory
 * order is the matter of spread_race_test.c.
 */
#include "dataplane/spread.h"

#include <string.h>

#include "dataplane/replay.h"
#include "tests/dataplane/spread_bed.h"

#define SAS 3

static void
a_run_is_lent_when_there_is_a_backlog_and_someone_to_take_it(void **unused)
{
	const uint32_t big = DP_SPREAD_WORTH;
	static const struct {
		bool waiting, backlog;
		unsigned int hungry;
		bool worth;
		enum dp_spread_way way;
	} row[] = {
		{false, false, 0, true, DP_SPREAD_INLINE},
		{false, false, 1, true, DP_SPREAD_INLINE},
		{false, true, 0, true, DP_SPREAD_INLINE},
		{false, true, 1, false, DP_SPREAD_INLINE},
		{false, true, 1, true, DP_SPREAD_LEND},
		{true, true, 1, true, DP_SPREAD_LEND},
		{true, true, 0, true, DP_SPREAD_KEEP},
		{true, false, 1, true, DP_SPREAD_KEEP},
		{true, true, 1, false, DP_SPREAD_KEEP},
		{true, false, 0, false, DP_SPREAD_KEEP},
	};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(dp_spread_choose(row[i].waiting, row[i].backlog, row[i].hungry,
						  row[i].worth ? big : big - 1),
				 row[i].way);
}

static void
fresh_chunks_are_left_to_helpers_a_few_each(void **unused)
{
	assert_int_equal(dp_spread_until(10, 4, 0), 10); /* nobody there: all */
	assert_int_equal(dp_spread_until(10, 4, 1), 10 - DP_SPREAD_LEAVE);
	assert_int_equal(dp_spread_until(10, 8, 1), 8); /* older ones are not left again */
	assert_int_equal(dp_spread_until(10, 10, 1), 10);
	assert_int_equal(dp_spread_until(40, 4, 3), 40 - 3 * DP_SPREAD_LEAVE);
	assert_int_equal(dp_spread_until(2, 0, 60), 0);
}

/* --- packets and a cipher that shows who touched them --- */

struct rte_mbuf {
	uint8_t text[64];
	uint64_t seq;
	uint64_t order; /* of arrival on its SA */
	unsigned int runs;
	bool forged;
};

#define PACKETS 6000

static struct rte_mbuf packet[PACKETS];
static unsigned int n_packets;
static struct dp_spread *all[BED_ACTORS];
static unsigned int n_all;
static bool ending;

static uint64_t
cipher(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *job,
       unsigned int n)
{
	uint64_t good = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = (struct rte_mbuf *)(void *)job[i].text;

		m->runs++;
		good |= (uint64_t)!m->forged << i;
		if (bed_chance(8) == 0)
			bed_give_way();
	}
	return good;
}

struct sa {
	struct {
		struct dp_replay r;
		uint64_t bits[4];
	} window;
	uint64_t seq, arrived, retired, accepted, refused, dropped;
	unsigned int owner;
};

static struct sa sas[BED_ACTORS][SAS];

static void
retired(struct sa *sa, const struct rte_mbuf *m, bool good)
{
	bed_must(m->runs == 1);
	bed_must(m->order > sa->retired);
	bed_must(good == !m->forged);
	sa->retired = m->order;
	if (good && dp_replay_accept(&sa->window.r, m->seq) == DP_REPLAY_OK)
		sa->accepted++;
	else
		sa->refused++;
}

/* Fill a run with new numbers, some of them twice or long ago, some forged. */
static uint32_t
arrive(struct sa *sa, struct rte_mbuf **pkt, struct dp_crypto_job *job)
{
	uint32_t n = 1 + bed_chance(64);

	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *m = &packet[n_packets++];

		*m = (struct rte_mbuf){.order = ++sa->arrived, .forged = bed_chance(20) == 0};
		m->seq = bed_chance(8) == 0 && sa->seq > 0
				 ? sa->seq - bed_chance(sa->seq < 9 ? 1 : 9)
				 : ++sa->seq;
		pkt[i] = m;
		job[i] = (struct dp_crypto_job){
			.text = m->text, .text_len = 1 + bed_chance(4000), .seq = m->seq};
	}
	return n;
}

static void
own_burst(unsigned int self)
{
	struct dp_spread *s = all[self];
	struct sa *sa = &sas[self][bed_chance(SAS)];
	struct rte_mbuf *pkt[64];
	struct dp_crypto_job job[64];
	uint32_t n = arrive(sa, pkt, job), taken = 0;
	struct dp_spread_run run = {
		.kind = DP_LANE_OPEN, .sa = sa, .run = cipher, .job = job, .pkt = pkt, .n = n};
	bool waits = dp_spread_oldest(s, sa) != NULL;
	enum dp_spread_way way = dp_spread_choose(waits, bed_chance(4) != 0 && dp_spread_room(s),
						  dp_spread_hungry(s), 16384);

	if (way == DP_SPREAD_INLINE) {
		uint64_t good = cipher(NULL, NULL, job, n);

		for (uint32_t i = 0; i < n; i++)
			retired(sa, pkt[i], (good >> i & 1) != 0);
		return;
	}
	taken = dp_spread_add(s, NULL, &run, way);
	for (uint32_t i = taken; i < n; i++)
		bed_must(pkt[i]->runs == 0);
	sa->dropped += n - taken;
}

static void
own_retire(unsigned int self)
{
	struct dp_chunk *chunk;

	while ((chunk = dp_spread_retire(all[self])) != NULL) {
		bed_must(chunk->n > 0 && chunk->n <= DP_CHUNK_PKTS);
		for (uint32_t i = 0; i < chunk->n; i++)
			retired(chunk->sa, chunk->pkt[i], (chunk->good >> i & 1) != 0);
		dp_spread_put(all[self], chunk);
	}
}

/* An owner of three SAs, who helps when it has nothing of its own. */
static void
owner(unsigned int self)
{
	for (unsigned int burst = 0; burst < 20; burst++) {
		own_burst(self);
		dp_spread_run_own(all[self], NULL, bed_chance(4) != 0);
		own_retire(self);
		dp_spread_set_hungry(all[self], bed_chance(2) == 0);
		if (bed_chance(4) == 0)
			dp_spread_help(all[self], NULL);
		bed_give_way();
	}
	dp_spread_set_hungry(all[self], false);
	while (dp_spread_out(all[self])) {
		dp_spread_run_own(all[self], NULL, false);
		own_retire(self);
		bed_give_way();
	}
	if (self == 0)
		ending = true;
}

static void
helper(unsigned int self)
{
	dp_spread_set_hungry(all[self], true);
	while (!ending) {
		dp_spread_help(all[self], NULL);
		bed_give_way();
	}
}

static void
sas_open(void)
{
	memset(sas, 0, sizeof(sas));
	for (unsigned int i = 0; i < BED_ACTORS; i++)
		for (unsigned int k = 0; k < SAS; k++)
			dp_replay_init(&sas[i][k].window.r, 64);
	n_packets = 0;
	ending = false;
}

static void
workers_open(unsigned int n)
{
	sas_open();
	n_all = n;
	for (unsigned int i = 0; i < n; i++) {
		all[i] = dp_spread_new(i);
		assert_non_null(all[i]);
	}
	for (unsigned int i = 0; i < n; i++)
		dp_spread_join(all[i], all, n);
}

static void
workers_close(void)
{
	for (unsigned int i = 0; i < n_all; i++)
		dp_spread_free(all[i]);
}

static uint64_t
lent(unsigned int n)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += atomic_load(&all[i]->count.helped);
	return sum;
}

static void
settle(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		bed_must(all[i]->n_free == DP_CHUNKS);
		bed_must(all[i]->n_lanes == 0);
		for (unsigned int k = 0; k < SAS; k++) {
			const struct sa *sa = &sas[i][k];

			bed_must(sa->accepted + sa->refused + sa->dropped == sa->arrived);
			bed_must(sa->accepted <= sa->seq);
		}
	}
}

static void
every_packet_is_opened_once_and_comes_back_in_order(void **unused)
{
	unsigned int n = bed_schedules();
	uint64_t helped = 0;

	for (bed_at = 0; bed_at < n; bed_at++) {
		bed_schedule_begin(bed_at);
		workers_open(BED_ACTORS);
		for (unsigned int i = 0; i < BED_ACTORS; i++)
			bed_actor_start(i, i < 2 ? owner : helper);
		bed_play(BED_ACTORS);
		settle(BED_ACTORS);
		helped += lent(BED_ACTORS);
		workers_close();
	}
	if (n > 1)
		assert_true(helped > n); /* else nothing was shown */
}

/* --- a helper that stops --- */

static void
offer_run(struct sa *sa, uint32_t n, enum dp_spread_way way, uint32_t *taken)
{
	struct rte_mbuf *pkt[64];
	struct dp_crypto_job job[64];
	struct dp_spread_run run = {
		.kind = DP_LANE_OPEN, .sa = sa, .run = cipher, .job = job, .pkt = pkt, .n = n};

	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *m = &packet[n_packets++ % PACKETS];

		*m = (struct rte_mbuf){.order = ++sa->arrived, .seq = ++sa->seq};
		pkt[i] = m;
		job[i] = (struct dp_crypto_job){.text = m->text, .text_len = 1400, .seq = m->seq};
	}
	*taken = dp_spread_add(all[0], NULL, &run, way);
	sa->arrived -= n - *taken;
}

/* Let the helper take a chunk and stop it at a random place before it says that it is done. */
static void
stop_inside(void)
{
	uint64_t taken = atomic_load(&all[0]->taken);
	unsigned int more = bed_chance(20);

	while (atomic_load(&all[0]->taken) == taken) {
		bed_resume(1);
	}
	while (more-- > 0 && atomic_load(&all[0]->chunks[0].done) == 0) {
		bed_resume(1);
	}
}

static void
a_stopped_helper_holds_one_sa_up_to_a_bound_and_loses_nothing(void **unused)
{
	unsigned int n = bed_schedules();

	for (bed_at = 0; bed_at < n; bed_at++) {
		struct sa *held = &sas[0][0], *other = &sas[0][1];
		uint32_t taken;

		bed_schedule_begin(bed_at);
		workers_open(2);
		bed_actor_start(1, helper);
		offer_run(held, 64, DP_SPREAD_LEND, &taken);
		assert_int_equal(taken, 64);
		stop_inside();
		offer_run(other, 64, DP_SPREAD_LEND, &taken);
		dp_spread_run_own(all[0], NULL, false); /* what it had not begun comes back */
		own_retire(0);
		bed_must(other->retired == 64);
		do {
			offer_run(held, 1, DP_SPREAD_KEEP, &taken);
		} while (taken != 0);
		bed_must(held->arrived <= (DP_LANE_CHUNKS + 1) * DP_CHUNK_PKTS);
		bed_must(held->arrived >= (DP_LANE_CHUNKS - 6) * 12);
		bed_must(atomic_load(&all[0]->count.refused) == 1);
		offer_run(other, 64, DP_SPREAD_LEND, &taken);
		dp_spread_run_own(all[0], NULL, false);
		own_retire(0);
		bed_must(other->retired == 128);
		ending = true;
		while (!bed_is_over(1))
			bed_step(1);
		own_retire(0);
		bed_must(held->retired == held->arrived);
		bed_must(!dp_spread_out(all[0]));
		workers_close();
	}
}

static void
what_is_out_holds_the_token_back_until_it_is_home(void **unused)
{
	struct sa *sa = &sas[0][0];
	uint32_t taken;

	bed_at = 0;
	bed_schedule_begin(0);
	workers_open(2);
	assert_int_equal(dp_spread_quiesce(all[0], 5), 5);
	offer_run(sa, 12, DP_SPREAD_LEND, &taken); /* obtained after 5, era A */
	assert_int_equal(dp_spread_quiesce(all[0], 6), 5);
	offer_run(sa, 12, DP_SPREAD_LEND, &taken);	   /* after 6, era B */
	assert_int_equal(dp_spread_quiesce(all[0], 7), 0); /* A is still out */
	dp_spread_run_one(all[0], NULL);
	own_retire(0);
	assert_int_equal(dp_spread_quiesce(all[0], 8), 6); /* B is out, nothing older */
	dp_spread_run_one(all[0], NULL);
	own_retire(0);
	assert_int_equal(dp_spread_quiesce(all[0], 9), 9);
	workers_close();
}

static void
nothing_waits_for_helpers_longer_than_two_receives(void **unused)
{
	struct sa *sa = &sas[0][0];
	uint32_t taken;

	bed_at = 0;
	workers_open(2);
	dp_spread_set_hungry(all[1], true);
	for (unsigned int i = 0; i < 20; i++) {
		offer_run(sa, 64, DP_SPREAD_LEND, &taken);
		dp_spread_run_own(all[0], NULL, true); /* nobody takes any */
		own_retire(0);
		bed_must(sa->retired + 64 >= 64 * i);
		bed_must(atomic_load(&all[0]->offered) - atomic_load(&all[0]->taken) <=
			 DP_SPREAD_LEAVE);
	}
	dp_spread_run_own(all[0], NULL, false);
	own_retire(0);
	bed_must(sa->retired == sa->arrived);
	workers_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_lent_when_there_is_a_backlog_and_someone_to_take_it),
		cmocka_unit_test(fresh_chunks_are_left_to_helpers_a_few_each),
		cmocka_unit_test(nothing_waits_for_helpers_longer_than_two_receives),
		cmocka_unit_test(what_is_out_holds_the_token_back_until_it_is_home),
		cmocka_unit_test(every_packet_is_opened_once_and_comes_back_in_order),
		cmocka_unit_test(a_stopped_helper_holds_one_sa_up_to_a_bound_and_loses_nothing),
	};

	return cmocka_run_group_tests_name("spread", tests, NULL, NULL);
}
