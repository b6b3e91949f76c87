/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SA over several workers, all interleavings by chance: workers are coroutines of one thread
 * that give way where dp_spread_point() stands in the code and in the middle of the cipher, and a
 * scheduler with a seed chooses who goes on, or lets one stand still for long. What must hold holds
 * in every schedule; a schedule that breaks it is printed by its seed (SPW_SEED runs it again).
 * SPW_LONG=1 explores a hundred times as many. Memory order is the matter of spread_race_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "dataplane/replay.h"
#include "dataplane/spread.h"
#include "dataplane/spread_claim.h"
#include "dataplane/tx_plan.h"

#define ACTORS	 4
#define STACK	 (64 << 10)
#define SAS	 3
#define SCHEDULE 300 /* in the short form */
#define WIRE	 20000

static uint64_t seed, state;

static uint32_t
chance(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % below;
}

/* Schedules to explore, and the first seed. */
static unsigned int
schedules(void)
{
	const char *chosen = getenv("SPW_SEED");

	seed = chosen != NULL ? strtoull(chosen, NULL, 0) : 1;
	if (chosen != NULL)
		return 1;
	return getenv("SPW_LONG") != NULL ? 100 * SCHEDULE : SCHEDULE;
}

static void
schedule_begin(unsigned int i)
{
	state = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

#define must(what)                                                                       \
	do {                                                                             \
		if (!(what)) {                                                           \
			print_error("SPW_SEED=%llu: ", (unsigned long long)(seed + at)); \
			fail_msg("%s", #what);                                           \
		}                                                                        \
	} while (0)

/* --- coroutines --- */

struct actor {
	ucontext_t context;
	void (*body)(unsigned int self);
	unsigned int still; /* steps to stand still */
	bool over;
};

static struct actor actor[ACTORS];
static char stacks[ACTORS][STACK] __attribute__((aligned(64)));
static ucontext_t scheduler;
static int running = -1;
static unsigned int at; /* the schedule */
static int frozen = -1; /* an actor that stands still until the test says otherwise */

static void
give_way(void)
{
	if (running >= 0)
		swapcontext(&actor[running].context, &scheduler);
}

void
dp_spread_point(void)
{
	if (running >= 0 && chance(3) == 0)
		give_way();
}

static void
actor_main(int self)
{
	actor[self].body((unsigned int)self);
	actor[self].over = true;
	swapcontext(&actor[self].context, &scheduler);
}

static void
actor_start(unsigned int self, void (*body)(unsigned int))
{
	struct actor *a = &actor[self];

	a->body = body;
	a->over = false;
	a->still = 0;
	getcontext(&a->context);
	a->context.uc_stack.ss_sp = stacks[self];
	a->context.uc_stack.ss_size = STACK;
	a->context.uc_link = &scheduler;
	makecontext(&a->context, (void (*)(void))actor_main, 1, (int)self);
}

static void
step(unsigned int self)
{
	if (actor[self].over || (int)self == frozen)
		return;
	if (actor[self].still > 0) {
		actor[self].still--;
		return;
	}
	if (chance(400) == 0) {
		actor[self].still = chance(2000);
		return;
	}
	running = (int)self;
	swapcontext(&scheduler, &actor[self].context);
	running = -1;
}

/* Run until actors [0..n) are over. */
static void
play(unsigned int n)
{
	for (;;) {
		bool over = true;

		for (unsigned int i = 0; i < n; i++)
			over = over && (actor[i].over || (int)i == frozen);
		if (over)
			return;
		step(chance(n));
	}
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
static struct dp_spread *all[ACTORS];
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
		if (chance(8) == 0)
			give_way();
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

static struct sa sas[ACTORS][SAS];

static void
retired(struct sa *sa, const struct rte_mbuf *m, bool good)
{
	must(m->runs == 1);
	must(m->order > sa->retired);
	must(good == !m->forged);
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
	uint32_t n = 1 + chance(64);

	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *m = &packet[n_packets++];

		*m = (struct rte_mbuf){.order = ++sa->arrived, .forged = chance(20) == 0};
		m->seq = chance(8) == 0 && sa->seq > 0 ? sa->seq - chance(sa->seq < 9 ? 1 : 9)
						       : ++sa->seq;
		pkt[i] = m;
		job[i] = (struct dp_crypto_job){
			.text = m->text, .text_len = 1 + chance(4000), .seq = m->seq};
	}
	return n;
}

static void
own_burst(unsigned int self)
{
	struct dp_spread *s = all[self];
	struct sa *sa = &sas[self][chance(SAS)];
	struct rte_mbuf *pkt[64];
	struct dp_crypto_job job[64];
	uint32_t n = arrive(sa, pkt, job), taken = 0;
	struct dp_spread_run run = {
		.kind = DP_LANE_OPEN, .sa = sa, .run = cipher, .job = job, .pkt = pkt, .n = n};
	bool waits = dp_spread_oldest(s, sa) != NULL;
	enum dp_spread_way way = dp_spread_choose(waits, chance(4) != 0 && dp_spread_room(s),
						  dp_spread_hungry(s), 16384);

	if (way == DP_SPREAD_INLINE) {
		uint64_t good = cipher(NULL, NULL, job, n);

		for (uint32_t i = 0; i < n; i++)
			retired(sa, pkt[i], (good >> i & 1) != 0);
		return;
	}
	taken = dp_spread_add(s, NULL, &run, way);
	for (uint32_t i = taken; i < n; i++)
		must(pkt[i]->runs == 0);
	sa->dropped += n - taken;
}

static void
own_retire(unsigned int self)
{
	struct dp_chunk *chunk;

	while ((chunk = dp_spread_retire(all[self])) != NULL) {
		must(chunk->n > 0 && chunk->n <= DP_CHUNK_PKTS);
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
		dp_spread_run_own(all[self], NULL, chance(4) != 0);
		own_retire(self);
		dp_spread_set_hungry(all[self], chance(2) == 0);
		if (chance(4) == 0)
			dp_spread_help(all[self], NULL);
		give_way();
	}
	dp_spread_set_hungry(all[self], false);
	while (dp_spread_out(all[self])) {
		dp_spread_run_own(all[self], NULL, false);
		own_retire(self);
		give_way();
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
		give_way();
	}
}

static void
sas_open(void)
{
	memset(sas, 0, sizeof(sas));
	for (unsigned int i = 0; i < ACTORS; i++)
		for (unsigned int k = 0; k < SAS; k++)
			dp_replay_init(&sas[i][k].window.r, 64);
	n_packets = 0;
	ending = false;
	frozen = -1;
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
		must(all[i]->n_free == DP_CHUNKS);
		must(all[i]->n_lanes == 0);
		for (unsigned int k = 0; k < SAS; k++) {
			const struct sa *sa = &sas[i][k];

			must(sa->accepted + sa->refused + sa->dropped == sa->arrived);
			must(sa->accepted <= sa->seq);
		}
	}
}

static void
every_packet_is_opened_once_and_comes_back_in_order(void **unused)
{
	unsigned int n = schedules();
	uint64_t helped = 0;

	for (at = 0; at < n; at++) {
		schedule_begin(at);
		workers_open(ACTORS);
		for (unsigned int i = 0; i < ACTORS; i++)
			actor_start(i, i < 2 ? owner : helper);
		play(ACTORS);
		settle(ACTORS);
		helped += lent(ACTORS);
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
	unsigned int more = chance(20);

	while (atomic_load(&all[0]->taken) == taken) {
		running = 1;
		swapcontext(&scheduler, &actor[1].context);
		running = -1;
	}
	while (more-- > 0 && atomic_load(&all[0]->chunks[0].done) == 0) {
		running = 1;
		swapcontext(&scheduler, &actor[1].context);
		running = -1;
	}
}

static void
a_stopped_helper_holds_one_sa_up_to_a_bound_and_loses_nothing(void **unused)
{
	unsigned int n = schedules();

	for (at = 0; at < n; at++) {
		struct sa *held = &sas[0][0], *other = &sas[0][1];
		uint32_t taken;

		schedule_begin(at);
		workers_open(2);
		actor_start(1, helper);
		offer_run(held, 64, DP_SPREAD_LEND, &taken);
		assert_int_equal(taken, 64);
		stop_inside();
		offer_run(other, 64, DP_SPREAD_LEND, &taken);
		dp_spread_run_own(all[0], NULL, false); /* what it had not begun comes back */
		own_retire(0);
		must(other->retired == 64);
		do {
			offer_run(held, 1, DP_SPREAD_KEEP, &taken);
		} while (taken != 0);
		must(held->arrived <= (DP_LANE_CHUNKS + 1) * DP_CHUNK_PKTS);
		must(held->arrived >= (DP_LANE_CHUNKS - 6) * 12);
		must(atomic_load(&all[0]->count.refused) == 1);
		offer_run(other, 64, DP_SPREAD_LEND, &taken);
		dp_spread_run_own(all[0], NULL, false);
		own_retire(0);
		must(other->retired == 128);
		ending = true;
		while (!actor[1].over)
			step(1);
		own_retire(0);
		must(held->retired == held->arrived);
		must(!dp_spread_out(all[0]));
		workers_close();
	}
}

static void
what_is_out_holds_the_token_back_until_it_is_home(void **unused)
{
	struct sa *sa = &sas[0][0];
	uint32_t taken;

	at = 0;
	schedule_begin(0);
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

/* --- sequence numbers --- */

static _Atomic uint64_t newest;
static struct dp_sa_out_count part[ACTORS];
static uint64_t wire_top, wire_count;
static uint8_t wire_seen[WIRE];
static bool tx_held;
static uint64_t refused_claims;

/* One number leaves; the receiver's window of 64 must take it. */
static void
on_the_wire(uint64_t number)
{
	must(number < WIRE);
	must(wire_seen[number] == 0);
	must(number + 63 >= wire_top);
	wire_seen[number] = 1;
	wire_count++;
	if (number > wire_top)
		wire_top = number;
}

/* The transmit queue has a lock that nobody waits for without bound. */
static void
send_block(uint64_t first, uint32_t n)
{
	for (unsigned int tries = 0; tx_held; tries++) {
		if (tries == 5)
			return; /* dropped: a gap, nothing else */
		give_way();
	}
	tx_held = true;
	for (uint32_t i = 0; i < n; i++) {
		on_the_wire(first + i);
		if (chance(8) == 0)
			give_way();
	}
	tx_held = false;
}

/* Seals whole runs, or what it may, and sends at once. */
static void
sealer(unsigned int self)
{
	for (unsigned int burst = 0; burst < 30; burst++) {
		uint32_t want = 1 + chance(64);

		for (unsigned int tries = 0; want > 0 && tries < 20; tries++) {
			uint64_t first;
			uint32_t n = dp_claim(&newest, part, ACTORS, self, want, &first);

			refused_claims += n == 0;
			give_way();
			if (n == 0)
				continue;
			send_block(first, n);
			give_way();
			dp_claim_sent(&part[self], 0);
			want -= n;
		}
		dp_claim_forget(&part[self]);
	}
}

/* Lends its chunks: several blocks are out before the first is sent. */
static void
lender(unsigned int self)
{
	uint64_t first[8];
	uint32_t n[8], out = 0;

	for (unsigned int burst = 0; burst < 60; burst++) {
		if (out < 8 && burst < 50) {
			n[out] = dp_claim(&newest, part, ACTORS, self, 1 + chance(32), &first[out]);
			out += n[out] != 0;
			give_way();
		}
		if (out == 0 || (burst < 50 && chance(2) == 0))
			continue;
		send_block(first[0], n[0]);
		give_way();
		out--;
		memmove(first, first + 1, sizeof(first[0]) * out);
		memmove(n, n + 1, sizeof(n[0]) * out);
		dp_claim_sent(&part[self], out != 0 ? first[0] : 0);
		give_way();
	}
}

static void
numbers_stay_within_a_window_of_64_on_the_wire_whoever_stops(void **unused)
{
	unsigned int n = schedules();
	uint64_t sent = 0;

	for (at = 0; at < n; at++) {
		schedule_begin(at);
		memset(part, 0, sizeof(part));
		memset(wire_seen, 0, sizeof(wire_seen));
		atomic_store(&newest, 0);
		wire_top = wire_count = 0;
		tx_held = false;
		frozen = -1;
		for (unsigned int i = 0; i < ACTORS; i++)
			actor_start(i, i == 3 ? lender : sealer);
		play(ACTORS);
		must(wire_count <= atomic_load(&newest));
		sent += wire_count;
	}
	if (n > 1) {
		assert_true(sent > 500 * n);
		assert_true(refused_claims > n); /* the bound was reached */
	}
}

static void
one_stopped_sealer_stops_the_others_at_the_window_and_no_sooner(void **unused)
{
	uint64_t first, stopped;

	at = 0;
	memset(part, 0, sizeof(part));
	atomic_store(&newest, 0);
	assert_int_equal(dp_claim(&newest, part, 2, 0, 16, &stopped), 16);
	for (unsigned int i = 0; i < 10 && dp_claim(&newest, part, 2, 1, 16, &first) != 0; i++)
		dp_claim_sent(&part[1], 0);
	assert_int_equal(atomic_load(&newest), stopped + 63);
	assert_int_equal(atomic_load(&part[1].low), 0); /* who waits holds nobody */
	dp_claim_sent(&part[0], 0);
	assert_int_equal(dp_claim(&newest, part, 2, 1, 16, &first), 16);
	assert_int_equal(first, stopped + 64);
}

static void
alone_a_worker_claims_whole_runs(void **unused)
{
	uint64_t first;

	memset(part, 0, sizeof(part));
	atomic_store(&newest, 0);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(dp_claim(&newest, part, ACTORS, 2, 64, &first), 64);
		assert_int_equal(first, 64 * i + 1);
	}
}

/* --- rules --- */

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

static void
nothing_waits_for_helpers_longer_than_two_receives(void **unused)
{
	struct sa *sa = &sas[0][0];
	uint32_t taken;

	at = 0;
	workers_open(2);
	dp_spread_set_hungry(all[1], true);
	for (unsigned int i = 0; i < 20; i++) {
		offer_run(sa, 64, DP_SPREAD_LEND, &taken);
		dp_spread_run_own(all[0], NULL, true); /* nobody takes any */
		own_retire(0);
		must(sa->retired + 64 >= 64 * i);
		must(atomic_load(&all[0]->offered) - atomic_load(&all[0]->taken) <=
		     DP_SPREAD_LEAVE);
	}
	dp_spread_run_own(all[0], NULL, false);
	own_retire(0);
	must(sa->retired == sa->arrived);
	workers_close();
}

static void
the_room_for_numbers_follows_the_table(void **unused)
{
	static const struct {
		struct dp_claim_view v;
		uint32_t want, room;
	} row[] = {
		{{16, .seq = 100}, 64, 64},
		{{16, .seq = 100, .own = 10}, 64, 64}, /* alone: one's own leave in order */
		{{16, .seq = 100, .company = true}, 64, 16},
		{{32, .seq = 100, .company = true}, 64, 32},
		{{16, .seq = 100, .company = true}, 5, 5},
		{{16, .seq = 100, .low = 100, .company = true}, 64, 16},
		{{16, .seq = 100, .low = 50, .company = true}, 64, 13},
		{{16, .seq = 112, .low = 50, .company = true}, 64, 1},
		{{16, .seq = 113, .low = 50, .company = true}, 64, 0},
		{{16, .seq = 200, .low = 50, .company = true}, 1, 0},
		{{16, .seq = 100, .own = 101, .company = true}, 64, 16},
		{{16, .seq = 100, .own = 91, .company = true}, 64, 6},
		{{16, .seq = 106, .own = 91, .company = true}, 64, 0},
		{{16, .seq = 100, .own = 91, .low = 40, .company = true}, 64, 3},
	};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(dp_claim_room(&row[i].v, row[i].want), row[i].room);
}

static void
the_blocks_of_all_workers_fit_in_the_window(void **unused)
{
	for (unsigned int n = 1; n <= DP_CLAIM_WINDOW / DP_CLAIM_LEAST; n++)
		assert_true(n * dp_claim_block(n) <= DP_CLAIM_WINDOW);
	assert_int_equal(dp_claim_block(2), 32);
	assert_int_equal(dp_claim_block(8), 8);
	assert_int_equal(dp_claim_block(32), DP_CLAIM_LEAST);
}

static void
every_sa_leaves_by_one_queue_that_is_locked_when_shared(void **unused)
{
	for (unsigned int max = 1; max < 70; max++) {
		for (unsigned int workers = 1; workers <= 32; workers++) {
			struct dp_tx_plan plan = dp_tx_plan(max, workers);

			assert_in_range(plan.n, 1, max);
			for (unsigned int w = 0; w < workers; w++) {
				uint16_t own = dp_tx_queue(&plan, w, false, 0);

				assert_true(own < plan.n);
				/* Without a lock only where nobody else sends. */
				assert_true(workers == 1 || own == w || dp_tx_locked(&plan, own));
			}
			for (uint32_t slot = 0; slot < 100 && workers > 1; slot++) {
				uint16_t queue = dp_tx_queue(&plan, 0, true, slot);

				assert_true(queue < plan.n);
				assert_true(dp_tx_locked(&plan, queue));
				for (unsigned int w = 1; w < workers; w++)
					assert_int_equal(dp_tx_queue(&plan, w, true, slot), queue);
			}
		}
	}
}

static void
with_queues_enough_other_packets_never_meet_a_lock(void **unused)
{
	for (unsigned int workers = 2; workers <= 32; workers++) {
		struct dp_tx_plan plan = dp_tx_plan(2 * workers, workers);

		for (unsigned int w = 0; w < workers; w++)
			assert_false(dp_tx_locked(&plan, dp_tx_queue(&plan, w, false, 0)));
	}
	assert_false(dp_tx_locked(&(struct dp_tx_plan){.sa_own = true}, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_lent_when_there_is_a_backlog_and_someone_to_take_it),
		cmocka_unit_test(fresh_chunks_are_left_to_helpers_a_few_each),
		cmocka_unit_test(nothing_waits_for_helpers_longer_than_two_receives),
		cmocka_unit_test(the_room_for_numbers_follows_the_table),
		cmocka_unit_test(the_blocks_of_all_workers_fit_in_the_window),
		cmocka_unit_test(every_sa_leaves_by_one_queue_that_is_locked_when_shared),
		cmocka_unit_test(with_queues_enough_other_packets_never_meet_a_lock),
		cmocka_unit_test(alone_a_worker_claims_whole_runs),
		cmocka_unit_test(one_stopped_sealer_stops_the_others_at_the_window_and_no_sooner),
		cmocka_unit_test(what_is_out_holds_the_token_back_until_it_is_home),
		cmocka_unit_test(every_packet_is_opened_once_and_comes_back_in_order),
		cmocka_unit_test(a_stopped_helper_holds_one_sa_up_to_a_bound_and_loses_nothing),
		cmocka_unit_test(numbers_stay_within_a_window_of_64_on_the_wire_whoever_stops),
	};

	return cmocka_run_group_tests_name("spread", tests, NULL, NULL);
}
