/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SA over several workers, on real threads: what spread_test.c explores step by step here meets
 * the machine's memory order (and ThreadSanitizer, in a build with -Db_sanitize=thread). Helpers
 * are put to sleep in the middle of a chunk and between claiming and sending, as a scheduler would.
 *
 * ESP-28: no packet of one SA is accepted twice, whoever opened the copies: 10^8 packets with
 * SPW_LONG=1, four million otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include "dataplane/replay.h"
#include "dataplane/spread.h"
#include "dataplane/spread_claim.h"

#define HELPERS 2
#define PACKETS (DP_CHUNKS * DP_CHUNK_PKTS + 4096) /* more than can be out */
#define WINDOW	4096

static uint64_t
packets(void)
{
	return getenv("SPW_LONG") != NULL ? 100000000 : 4000000;
}

static uint32_t
chance(uint64_t *state, uint32_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 33) % below;
}

static void
doze(void)
{
	const struct timespec t = {.tv_nsec = 300000};

	nanosleep(&t, NULL);
}

/* --- inbound --- */

struct rte_mbuf {
	uint64_t seq, order, sum;
	bool forged;
};

static struct rte_mbuf ring[PACKETS];
static struct dp_spread *all[HELPERS + 1];
static _Atomic bool ending;
static __thread uint64_t dice; /* 0: this thread never dozes */

/* Reads and writes the packet, as a cipher does. */
static uint64_t
cipher(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *job,
       unsigned int n)
{
	uint64_t good = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = (struct rte_mbuf *)(void *)job[i].text;

		m->sum = m->seq * 31 + m->order;
		good |= (uint64_t)!m->forged << i;
		if (dice != 0 && chance(&dice, 200000) == 0)
			doze();
	}
	return good;
}

static void *
helper(void *arg)
{
	struct dp_spread *s = arg;

	dice = s->index + 1;
	dp_spread_set_hungry(s, true);
	while (!atomic_load_explicit(&ending, memory_order_relaxed))
		if (!dp_spread_help(s, NULL))
			sched_yield(); /* the machine may have fewer cores than we threads */
	return NULL;
}

struct traffic {
	struct dp_replay *window;
	uint8_t *seen; /* a bit for each number */
	uint64_t seq, arrived, retired, accepted, refused, dropped;
	uint64_t slot; /* of the ring, next */
	uint64_t dice;
};

static void
judge(struct traffic *t, const struct rte_mbuf *m, bool good)
{
	assert_true(m->order > t->retired);
	assert_true(m->sum == m->seq * 31 + m->order);
	assert_true(good == !m->forged);
	t->retired = m->order;
	if (!good || dp_replay_accept(t->window, m->seq) != DP_REPLAY_OK) {
		t->refused++;
		return;
	}
	assert_false(t->seen[m->seq >> 3] >> (m->seq & 7) & 1);
	t->seen[m->seq >> 3] |= (uint8_t)(1u << (m->seq & 7));
	t->accepted++;
}

/* A burst: mostly new numbers, some of the last hundred again, some forged. */
static void
burst(struct traffic *t)
{
	struct rte_mbuf *pkt[64];
	struct dp_crypto_job job[64];
	struct dp_spread_run run = {.kind = DP_LANE_OPEN,
				    .sa = t,
				    .run = cipher,
				    .job = job,
				    .pkt = pkt,
				    .n = 1 + chance(&t->dice, 64)};
	enum dp_spread_way way = chance(&t->dice, 8) ? DP_SPREAD_LEND : DP_SPREAD_KEEP;
	uint32_t taken;

	for (uint32_t i = 0; i < run.n; i++) {
		struct rte_mbuf *m = &ring[(t->slot + i) % PACKETS];
		bool again = chance(&t->dice, 5) == 0 && t->seq > 100;

		*m = (struct rte_mbuf){.seq = again ? t->seq - chance(&t->dice, 100) : ++t->seq,
				       .order = ++t->arrived,
				       .forged = chance(&t->dice, 50) == 0};
		pkt[i] = m;
		job[i] = (struct dp_crypto_job){.text = (uint8_t *)m, .text_len = 1400};
	}
	taken = dp_spread_add(all[0], NULL, &run, way);
	t->slot += taken;
	t->dropped += run.n - taken;
	if (taken < run.n)
		sched_yield(); /* a helper sleeps: less would be shown by going on */
}

static void
collect(struct traffic *t)
{
	struct dp_chunk *chunk;

	while ((chunk = dp_spread_retire(all[0])) != NULL) {
		for (uint32_t i = 0; i < chunk->n; i++)
			judge(t, chunk->pkt[i], (chunk->good >> i & 1) != 0);
		dp_spread_put(all[0], chunk);
	}
}

/* What the helpers have done so far. */
static uint64_t
helped(void)
{
	return atomic_load(&all[1]->count.helped) + atomic_load(&all[2]->count.helped);
}

static void
esp_28_no_packet_is_accepted_twice_and_order_is_kept(void **unused)
{
	uint64_t total = packets();
	struct traffic t = {.dice = 99, .seen = calloc(total / 8 + 64, 1)};
	pthread_t thread[HELPERS];

	t.window = calloc(1, dp_replay_bytes(WINDOW));
	dp_replay_init(t.window, WINDOW);
	atomic_store(&ending, false);
	for (unsigned int i = 0; i <= HELPERS; i++)
		assert_non_null(all[i] = dp_spread_new(i));
	for (unsigned int i = 0; i <= HELPERS; i++)
		dp_spread_join(all[i], all, HELPERS + 1);
	for (unsigned int i = 0; i < HELPERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, helper, all[i + 1]), 0);
	while (t.arrived < total - 64) {
		burst(&t);
		if (helped() <= 100)
			usleep(200); /* a loaded machine: the helpers get their turn, too */
		dp_spread_run_own(all[0], NULL, true);
		collect(&t);
	}
	while (dp_spread_out(all[0])) {
		dp_spread_run_own(all[0], NULL, false);
		collect(&t);
		sched_yield();
	}
	atomic_store(&ending, true);
	for (unsigned int i = 0; i < HELPERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(t.accepted + t.refused + t.dropped, t.arrived);
	assert_true(helped() > 100);
	assert_true(t.accepted > t.arrived / 3);
	for (unsigned int i = 0; i <= HELPERS; i++)
		dp_spread_free(all[i]);
	free(t.window);
	free(t.seen);
}

/* --- outbound --- */

#define SEALERS 3

static _Atomic uint64_t newest;
static struct dp_sa_out_count part[SEALERS];
static pthread_mutex_t queue = PTHREAD_MUTEX_INITIALIZER; /* the transmit queue */
static uint64_t wire_top, wire_sent, wire_worst;
static uint8_t *wire_seen;

struct sealer {
	pthread_t thread;
	unsigned int index;
	uint64_t numbers, refused;
};

static void
transmit(uint64_t first, uint32_t n)
{
	pthread_mutex_lock(&queue);
	for (uint64_t seq = first; seq < first + n; seq++) {
		if (wire_seen[seq >> 3] >> (seq & 7) & 1)
			wire_worst = UINT64_MAX;
		wire_seen[seq >> 3] |= (uint8_t)(1u << (seq & 7));
		if (seq > wire_top)
			wire_top = seq;
		else if (wire_top - seq > wire_worst)
			wire_worst = wire_top - seq;
		wire_sent++;
	}
	pthread_mutex_unlock(&queue);
}

static void *
sealer(void *arg)
{
	struct sealer *s = arg;
	uint64_t own = s->index + 7;

	while (s->numbers > 0) {
		uint32_t want = 1 + chance(&own, 64), n;
		uint64_t first;

		if (want > s->numbers)
			want = (uint32_t)s->numbers;
		n = dp_claim(&newest, part, SEALERS, s->index, want, &first);
		if (n == 0) {
			s->refused++;
			sched_yield();
			continue;
		}
		if (chance(&own, 3000) == 0)
			doze(); /* the numbers are in flight */
		transmit(first, n);
		if (chance(&own, 3000) == 0)
			doze();
		dp_claim_sent(&part[s->index], 0);
		s->numbers -= n;
	}
	dp_claim_forget(&part[s->index]);
	return NULL;
}

static void
numbers_of_three_workers_stay_within_64_on_the_wire(void **unused)
{
	uint64_t each = packets() / SEALERS, refused = 0;
	struct sealer s[SEALERS];

	wire_seen = calloc(each * SEALERS / 8 + 64, 1);
	for (unsigned int i = 0; i < SEALERS; i++) {
		s[i] = (struct sealer){.index = i, .numbers = each};
		assert_int_equal(pthread_create(&s[i].thread, NULL, sealer, &s[i]), 0);
	}
	for (unsigned int i = 0; i < SEALERS; i++) {
		pthread_join(s[i].thread, NULL);
		refused += s[i].refused;
	}
	assert_int_equal(wire_sent, each * SEALERS);
	assert_int_equal(wire_top, each * SEALERS);
	assert_true(wire_worst < DP_CLAIM_WINDOW);
	assert_true(wire_worst > 0 && refused > 0); /* they did meet */
	free(wire_seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_28_no_packet_is_accepted_twice_and_order_is_kept),
		cmocka_unit_test(numbers_of_three_workers_stay_within_64_on_the_wire),
	};

	return cmocka_run_group_tests_name("spread-race", tests, NULL, NULL);
}
