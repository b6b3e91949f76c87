/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Diffie-Hellman that is done elsewhere: jobs come back late, in another order, after a repeat,
 * amid collisions, after what they were for is gone, or never, because the process was killed. Key
 * exchanges are watched by the linker: ike_dh_new(), ike_dh_shared() and ike_dh_job_run() are
 * wrapped, so that one computed in a call of the engine is seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_init.h"

#define BOTH	SPW_IKE_MODE_BOTH
#define RESPOND SPW_IKE_MODE_RESPOND
#define CHILD	SPW_IKE_RESET_CHILD
#define IKE	SPW_IKE_RESET_IKE

static unsigned int in_job, pairs_made, in_calls;

int __real_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group);
int __real_ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out);
int __wrap_ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out);
void __real_ike_dh_job_run(struct ike_dh_job *job);
void __wrap_ike_dh_job_run(struct ike_dh_job *job);

int
__wrap_ike_dh_new(struct ike_dh **dh, enum spw_group group)
{
	pairs_made++;
	in_calls += !in_job;
	return __real_ike_dh_new(dh, group);
}

int
__wrap_ike_dh_shared(struct ike_dh *dh, const void *peer, size_t len, struct spw_secret *out)
{
	in_calls += !in_job;
	return __real_ike_dh_shared(dh, peer, len, out);
}

void
__wrap_ike_dh_job_run(struct ike_dh_job *job)
{
	in_job = 1;
	__real_ike_dh_job_run(job);
	in_job = 0;
}

static void
set_both(struct net *net, uint32_t mode0, uint32_t mode1, enum spw_group pfs)
{
	for (int i = 0; i < 2; i++) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i == 0 ? mode0 : mode1;
		c.esp[0].group = (uint8_t)pfs;
		net_set(net, i, &c);
	}
}

/* A tunnel with PFS, up, quiet and under traffic; nothing of a check of rekeying is left to come.
 */
static struct net *
running(uint64_t seed)
{
	struct net *net = net_new(seed);

	set_both(net, BOTH, RESPOND, SPW_GROUP_ECP256);
	assert_true(net_run_up(net, 10 * NET_S));
	net->traffic = true;
	net_run(net, 300 * NET_S);
	net->esp_lost = net->esp_unsent = 0;
	return net;
}

static void
expect_whole(struct net *net)
{
	net_expect_one(net);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(net_status(net, i).children, 1);
		assert_int_equal(net->host[i].spis_out, 0);
	}
	assert_int_equal(net->repeats_changed, 0);
}

static void
settle_and_free(struct net *net)
{
	net->script = NULL;
	net_run(net, 30 * NET_S);
	net->traffic_every = 200 * NET_MS;
	net_run(net, 150 * NET_S);
	expect_whole(net);
	assert_int_equal(net->esp_lost, 0);
	assert_int_equal(net->esp_unsent, 0);
	net_free(net);
}

static unsigned int
jobs_away(const struct net *net, int i)
{
	unsigned int n = 0;

	for (unsigned int k = 0; k < net->n_queue; k++)
		n += net->queue[k].job && net->queue[k].to == i;
	return n;
}

/* Until a job of host i is away; fails when none is within a second. */
static void
run_until_away(struct net *net, int i)
{
	for (int n = 0; n < 1000 && !jobs_away(net, i); n++)
		net_run(net, 1 * NET_MS);
	assert_true(jobs_away(net, i) > 0);
}

static struct ike_sa *
sa_of(const struct net *net, int i)
{
	for (struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		if (sa->state == IKE_SA_ESTABLISHED)
			return sa;
	return NULL;
}

/* ---- nothing is computed in a call ---- */

static void
no_key_exchange_is_computed_in_a_call_of_the_engine(void **state)
{
	for (int group = 1; group < SPW_GROUP_COUNT; group++) {
		struct net *net = net_new((uint64_t)group);
		struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

		/* the first try is with a group that the peer does not take, for IKE and for ESP */
		c[0].n_ike = c[0].n_esp = 2;
		c[0].mode = BOTH;
		c[0].ike[1] = c[0].ike[0];
		c[0].esp[1] = c[0].esp[0];
		c[0].ike[0].group = c[0].esp[0].group =
			group == SPW_GROUP_ECP256 ? SPW_GROUP_ECP384 : SPW_GROUP_ECP256;
		c[0].ike[1].group = c[0].esp[1].group = (uint8_t)group;
		c[1].mode = RESPOND;
		c[1].ike[0].group = c[1].esp[0].group = (uint8_t)group;
		in_calls = 0;
		for (int i = 0; i < 2; i++) {
			net_dh(net, i, 30 * NET_MS, 30 * NET_MS);
			net_set(net, i, &c[i]);
		}
		assert_true(net_run_up(net, 10 * NET_S));
		for (int n = 0; n < 4; n++) {
			net_run(net, 3 * NET_S);
			net_rekey(net, n & 1, n & 2 ? IKE : CHILD);
			net_run(net, 3 * NET_S);
		}
		assert_int_equal(net_status(net, 0).ike.group, group);
		assert_int_equal(net_status(net, 0).esp.group, group);
		assert_int_equal(net_status(net, 0).ike_rekeys, 2);
		assert_in_range(net_status(net, 0).child_rekeys, 2, 4);
		assert_int_equal(in_calls, 0);
		assert_true(net->host[0].dh_jobs > 6 && net->host[1].dh_jobs > 4);
		net_run(net, 100 * NET_S);
		expect_whole(net);
		net_free(net);
	}
}

static void
without_a_helper_it_is_computed_in_the_call(void **state)
{
	struct net *net = net_new(2);

	in_calls = 0;
	set_both(net, BOTH, RESPOND, SPW_GROUP_NONE);
	assert_true(net_run_up(net, 5 * NET_S));
	assert_int_equal(in_calls, 4); /* two pairs, two secrets */
	assert_int_equal(net->host[0].dh_jobs + net->host[1].dh_jobs, 0);
	net_free(net);
}

/* ---- late ---- */

/* Longer than the patience of an IKE_SA_INIT, and than many repeats. */
static void
an_answer_that_waits_stops_the_repeats_and_the_patience(void **state)
{
	struct net *net = tape_net(3);

	net_connect(net, BOTH, RESPOND);
	net_dh(net, 0, 20 * NET_S, 20 * NET_S);
	net_run(net, 5 * NET_MS); /* the pair was made in the call */
	net->dup_percent = 100;	  /* the answer comes twice */
	net_run(net, 1 * NET_S);
	net->dup_percent = 0;
	assert_int_equal(tape_count(0, IKE_X_SA_INIT, false), 1);
	assert_int_equal(tape_count(1, IKE_X_SA_INIT, true), 1);
	for (int n = 0; n < 17; n++) { /* it may have its turn for another reason */
		net_run(net, 1 * NET_S);
		net_call_begins(&net->host[0]);
		ike_touch(net->host[0].engine->sas);
		ike_engine_tick(net->host[0].engine, net->now);
		net_call_ends(&net->host[0]);
	}
	assert_int_equal(tape_count(0, IKE_X_SA_INIT, false), 1);
	assert_int_equal(net_status(net, 0).attempts, 0);
	assert_int_equal(jobs_away(net, 0), 1);
	net_run(net, 3 * NET_S);
	assert_true(net_up(net, 0) && net_up(net, 1));
	assert_int_equal(net->host[0].dh_jobs, 1);
	tape_free(net);
}

static void
a_request_that_waits_is_answered_once_however_often_it_comes(void **state)
{
	static const uint32_t what[] = {CHILD, IKE};

	for (int n = 0; n < 2; n++) {
		struct net *net = running(4);
		unsigned int before;

		net_dh(net, 1, 4 * NET_S, 4 * NET_S);
		before = net->host[1].dh_jobs;
		net_rekey(net, 0, what[n]);
		net_run(net, 3900 * NET_MS);
		assert_true(net_status(net, 0).retransmits >= 2);
		assert_int_equal(jobs_away(net, 1), 1);
		net_run(net, 1 * NET_S);
		assert_int_equal(net->host[1].dh_jobs, before + 1);
		assert_int_equal(n ? net_status(net, 1).ike_rekeys
				   : net_status(net, 1).child_rekeys,
				 n ? 1 : net_status(net, 0).child_rekeys);
		settle_and_free(net);
	}
}

/* Liveness and everything else that needs no keys goes on beside. */
static void
what_needs_no_keys_does_not_wait(void **state)
{
	struct net *net = running(5);
	uint64_t heard;

	net_dh(net, 1, 6 * NET_S, 6 * NET_S);
	net_rekey(net, 0, CHILD); /* its request waits at host 1 */
	net_run(net, 100 * NET_MS);
	assert_int_equal(jobs_away(net, 1), 1);
	net->traffic = false;
	heard = net_status(net, 0).heard_ns;
	net_call_begins(&net->host[1]);
	sa_of(net, 1)->probe_wanted = true;
	ike_touch(sa_of(net, 1));
	ike_engine_tick(net->host[1].engine, net->now);
	net_call_ends(&net->host[1]);
	net_run(net, 100 * NET_MS);
	assert_true(net_status(net, 0).heard_ns > heard);
	assert_true(sa_of(net, 1)->req.task == IKE_TASK_NONE);
	net->traffic = true;
	settle_and_free(net);
}

/* Host 1 deletes what it has just rekeyed by answering, as soon as its answer has left. */
static void
delete_replaced(struct net *net, uint32_t what)
{
	net_call_begins(&net->host[1]);
	for (struct ike_sa *sa = net->host[1].engine->sas; sa; sa = sa->next) {
		if (what == IKE && sa->state == IKE_SA_RETIRED)
			sa->close_at = net->now;
		for (struct ike_child *c = sa->children; c; c = c->next)
			if (what == CHILD && c->state == IKE_CHILD_REPLACED)
				c->delete_at = net->now;
		ike_touch(sa);
	}
	ike_engine_tick(net->host[1].engine, net->now);
	net_call_ends(&net->host[1]);
}

/* What comes behind an answer that waits is handled behind it. */
static void
ike_160_the_order_of_arrival_holds_though_an_answer_waits(void **state)
{
	static const uint32_t what[] = {CHILD, IKE};

	for (int n = 0; n < 4; n++) {
		struct net *net = running(7);
		unsigned int downs;

		net_rekey(net, 0, what[n & 1]);
		net_dh(net, 0, (n < 2 ? 5 : 300) * NET_MS, (n < 2 ? 5 : 300) * NET_MS);
		run_until_away(net, 0);
		downs = net->host[0].downs;
		net->delay_min = net->delay_max = NET_MS / 2;
		delete_replaced(net, what[n & 1]);
		net_run(net, 2 * NET_S);
		assert_int_equal(net->host[0].downs, downs);
		assert_true(net_agrees(net));
		net->esp_lost = 0; /* what host 1 sent on the new one before host 0 had it */
		settle_and_free(net);
	}
}

/* ---- together ---- */

static void
simultaneous_rekeys_end_the_same_whoever_computes_longer(void **state)
{
	static const uint64_t times[] = {0, 15, 40, 700, 3000};
	static const uint32_t what[] = {CHILD, IKE};

	for (unsigned int n = 0; n < 5 * 5 * 4; n++) {
		struct net *net = running(100 + n);

		net_dh(net, 0, times[n % 5] * NET_MS, times[n % 5] * NET_MS);
		net_dh(net, 1, times[n / 5 % 5] * NET_MS, times[n / 5 % 5] * NET_MS);
		net_rekey(net, 0, what[n / 25 & 1]);
		net_rekey(net, 1, what[n / 50 & 1]);
		settle_and_free(net);
	}
}

static void
jobs_that_overtake_each_other_change_nothing(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct net *net = running(300 + seed);

		net->delay_max = 200 * NET_MS;
		for (int i = 0; i < 2; i++)
			net_dh(net, i, 0, 1500 * NET_MS);
		for (int n = 0; n < 6; n++) {
			net_rekey(net, (int)(net_random(&net->rng) >> 8 & 1),
				  net_random(&net->rng) >> 9 & 3 ? CHILD : IKE);
			net_run(net, net_random(&net->rng) % (2 * NET_S));
		}
		settle_and_free(net);
	}
}

/* ---- too late ---- */

static void
a_job_outlives_its_ike_sa(void **state)
{
	static const uint32_t what[] = {CHILD, IKE};

	for (int n = 0; n < 8; n++) {
		int waits = n & 1; /* a request of host 0 at host 1, or its answer at host 0 */
		struct net *net = running(400 + (uint64_t)n);

		/* host 0's own pair is made in the call, so that only the messages wait */
		net_rekey(net, 0, what[n >> 1 & 1]);
		net_dh(net, waits, 2 * NET_S, 2 * NET_S);
		run_until_away(net, waits);
		net_call_begins(&net->host[n >> 2 & 1]);
		ike_engine_reset(net->host[n >> 2 & 1].engine, net->now, "azure", IKE);
		net_call_ends(&net->host[n >> 2 & 1]);
		net_run(net, 300 * NET_MS);
		net->traffic = false;
		net_run(net, 60 * NET_S);
		assert_int_equal(jobs_away(net, waits), 0);
		expect_whole(net);
		net_free(net);
	}
}

/* It is not taken for the answer to what the IKE SA asks next; that goes on at once. */
static void
an_answer_is_forgotten_with_its_request(void **state)
{
	struct net *net = running(410);
	uint64_t spi = sa_of(net, 0)->spi_i;

	net->traffic = false;
	net_rekey(net, 0, CHILD);
	net_dh(net, 0, 8 * NET_S, 8 * NET_S);
	run_until_away(net, 0);
	net_call_begins(&net->host[0]);
	ike_engine_reset(net->host[0].engine, net->now, "azure", IKE);
	net_call_ends(&net->host[0]);
	assert_null(sa_of(net, 0));
	net_run(net, 4 * NET_S);
	assert_true(jobs_away(net, 0) > 0);
	for (const struct ike_sa *sa = net->host[1].engine->sas; sa; sa = sa->next)
		assert_false(sa->spi_i == spi && sa->state == IKE_SA_ESTABLISHED);
	net_run(net, 100 * NET_S);
	expect_whole(net);
	net_free(net);
}

static void
a_job_outlives_its_connection(void **state)
{
	for (int n = 0; n < 6; n++) {
		int waits = n % 2;
		struct net *net = running(420 + (uint64_t)n);

		if (n < 2) {
			net_dh(net, 0, 2 * NET_S, 2 * NET_S);
			net_rekey(net, 0, CHILD); /* the wish itself waits */
			waits = 0;
		} else {
			net_rekey(net, 0, n < 4 ? CHILD : IKE);
			net_dh(net, waits, 2 * NET_S, 2 * NET_S);
		}
		run_until_away(net, waits);
		net->traffic = false;
		net_call_begins(&net->host[waits]);
		assert_int_equal(ike_engine_conn_del(net->host[waits].engine, net->now, "azure"),
				 0);
		net_call_ends(&net->host[waits]);
		net_run(net, 30 * NET_S);
		assert_int_equal(jobs_away(net, waits), 0);
		assert_int_equal(net_sas(net, waits), 0);
		net_free(net);
	}
}

static void
a_dial_that_waits_for_its_pair_ends_with_its_connection(void **state)
{
	struct net *net = net_new(430);

	net_dh(net, 0, 2 * NET_S, 2 * NET_S);
	net_connect(net, BOTH, RESPOND);
	net_run(net, 1 * NET_S);
	assert_int_equal(jobs_away(net, 0), 1);
	assert_null(net->host[0].engine->sas);
	net_call_begins(&net->host[0]);
	assert_int_equal(ike_engine_conn_del(net->host[0].engine, net->now, "azure"), 0);
	net_call_ends(&net->host[0]);
	net_run(net, 5 * NET_S);
	assert_int_equal(jobs_away(net, 0), 0);
	assert_int_equal(net->ike_sent, 0);
	net_free(net);
}

static void
an_engine_may_end_before_its_jobs(void **state)
{
	struct net *net = running(431);

	net_rekey(net, 0, CHILD);
	net_dh(net, 0, 2 * NET_S, 2 * NET_S);
	net_dh(net, 1, 2 * NET_S, 2 * NET_S);
	run_until_away(net, 1);
	net_rekey(net, 1, CHILD);
	net_free(net); /* the sanitizer sees what is left or touched */
}

/* The wish has gone when the pair comes: it is wiped, not kept for another day. */
static void
a_pair_is_not_kept_for_a_later_request(void **state)
{
	struct net *net = running(440);

	net_dh(net, 0, 2 * NET_S, 2 * NET_S);
	net_rekey(net, 0, CHILD);
	assert_int_equal(jobs_away(net, 0), 1);
	net_event(net, 0,
		  SPW_SA_EV_HARD); /* the child is gone; a new one is wanted, with no pair */
	net->host[0].engine->conns->child_at = net->now + 100 * NET_S;
	net_run(net, 3 * NET_S);
	assert_int_equal(jobs_away(net, 0), 0);
	assert_null(sa_of(net, 0)->pair.dh);
	assert_null(sa_of(net, 0)->pair.job);
	net_free(net);
}

/* ---- killed ---- */

/*
 * The process dies as it gives the job away, or somewhat later. What waited is not in the escrow:
 * the peer repeats its request, our own request is repeated and answered again.
 */
static void
a_process_killed_while_a_message_waits_goes_on(void **state)
{
	static const uint32_t what[] = {CHILD, IKE};

	for (int n = 0; n < 2 * 2 * 6; n++) {
		int dies = n & 1;
		struct net *net = running(500 + (uint64_t)n);

		net->audit = true;
		net_rekey(net, 0, what[n >> 1 & 1]);
		net_dh(net, dies, 200 * NET_MS, 200 * NET_MS);
		net_kill_at(net, dies, 1 + (unsigned int)(n >> 2), false, 100 * NET_MS);
		if (n < 4) {
			net_run(net, 60 * NET_MS);
			assert_int_equal(net->host[dies].kills, 1);
			assert_int_equal(jobs_away(net, dies), 0);
			net_dh(net, dies, 200 * NET_MS, 200 * NET_MS);
		}
		net_run(net, 10 * NET_S);
		net->host[dies].kill_in = 0;
		net_run(net, 200 * NET_S);
		net_orphans_end(net, dies);
		settle_and_free(net);
	}
}

/* ---- strangers ---- */

static uint8_t buf[4096];

static struct net *
responder(uint64_t seed)
{
	struct net *net = init_responder(seed);

	net_dh(net, 1, 1 * NET_S, 1 * NET_S);
	return net;
}

static void
a_strangers_request_waits_once_and_makes_one_half_open_sa(void **state)
{
	struct net *net = responder(600);

	for (int n = 0; n < 5; n++)
		puppet_knock(net, 1);
	assert_int_equal(jobs_away(net, 1), 1);
	assert_int_equal(puppet_half_open(net), 0);
	assert_int_equal(tape.n, 0);
	net_run(net, 1100 * NET_MS);
	assert_int_equal(puppet_half_open(net), 1);
	assert_int_equal(tape_count(1, IKE_X_SA_INIT, true), 1);
	assert_true(tape.at[0].m.has_ke);
	puppet_knock(net, 1); /* and now it gets the same again */
	assert_int_equal(tape_count(1, IKE_X_SA_INIT, true), 2);
	assert_int_equal(tape.at[0].len, tape.at[1].len);
	assert_memory_equal(tape.at[0].bytes, tape.at[1].bytes, tape.at[0].len);
	assert_int_equal(net->host[1].dh_jobs, 1);
	tape_free(net);
}

/* What waits counts as half-open; it has passed the cookie and is not asked for one later. */
static void
waiting_strangers_count_as_half_open(void **state)
{
	struct net *net = responder(601);

	for (uint64_t spi = 1; spi <= 10; spi++)
		puppet_knock(net, spi);
	assert_int_equal(jobs_away(net, 1), IKE_PER_SOURCE);
	assert_int_equal(tape.n, 10 - IKE_PER_SOURCE);
	for (unsigned int i = 0; i < tape.n; i++)
		assert_int_equal(tape.at[i].m.notify[0].type, IKE_N_COOKIE);
	net_run(net, 1100 * NET_MS);
	assert_int_equal(puppet_half_open(net), IKE_PER_SOURCE);
	tape_free(net);
}

static void
no_more_strangers_wait_than_may_be_half_open(void **state)
{
	struct net *net = responder(602);

	net->host[1].engine->config.half_open_cookies = 1000000;
	net->script = NULL;
	for (unsigned int i = 0; i < IKE_HALF_OPEN_MAX + 200; i++) {
		const struct init_parts p = {.spi_i = 1 + i};
		struct spw_addr from = spw_addr_v4(0x0a000000 + i);

		ike_index_conn_gone(net->host[1].engine->conns);
		net->host[1].engine->conns->set.remote = from;
		ike_index_conn(net->host[1].engine->conns);
		puppet_raw(net, 1, &from, 500, 500, buf, puppet_init(buf, sizeof(buf), &p));
	}
	assert_int_equal(jobs_away(net, 1), IKE_HALF_OPEN_MAX);
	tape_free(net);
}

static void
a_stranger_is_judged_by_the_settings_of_the_end(void **state)
{
	struct net *net = responder(603);

	puppet_knock(net, 1);
	assert_int_equal(ike_engine_conn_del(net->host[1].engine, net->now, "azure"), 0);
	net_run(net, 2 * NET_S);
	assert_int_equal(net->host[1].dh_jobs, 1);
	assert_int_equal(tape.n, 0);
	assert_null(net->host[1].engine->sas);
	tape_free(net);
}

static void
a_strangers_bad_value_costs_a_job_and_nothing_else(void **state)
{
	struct net *net = responder(604);
	const struct init_parts p = {.spi_i = 9};
	size_t len = puppet_init(buf, sizeof(buf), &p);
	const uint8_t *ke = NULL;
	struct ike_msg m = {0};

	assert_int_equal(ike_wire_header(&m.hdr, buf, len), 0);
	assert_int_equal(
		ike_wire_payloads(&m, m.hdr.next, buf + IKE_HEADER_LEN, len - IKE_HEADER_LEN), 0);
	ke = m.ke.bytes;
	buf[ke - buf + 40] ^= 1; /* not on the curve */
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, len);
	assert_int_equal(jobs_away(net, 1), 1);
	net_run(net, 2 * NET_S);
	assert_int_equal(net->host[1].dh_jobs, 1);
	assert_int_equal(tape.n, 0);
	assert_int_equal(puppet_half_open(net), 0);
	tape_free(net);
}

/* Whom a job serves decides its place: those who have a tunnel before those who dial. */
static void
jobs_say_whom_they_serve(void **state)
{
	struct net *net = running(605);

	net_dh(net, 0, 1 * NET_S, 1 * NET_S);
	net_rekey(net, 0, CHILD);
	puppet_knock(net, 77); /* host 1 computes in its calls */
	for (unsigned int k = 0; k < net->n_queue; k++)
		if (net->queue[k].job)
			assert_int_equal(net->queue[k].job->rank, IKE_DH_LIVING);
	net_free(net);
	net = responder(606);
	net_dh(net, 0, 1 * NET_S, 1 * NET_S);
	puppet_knock(net, 1);
	assert_int_equal(net->queue[0].job->rank, IKE_DH_STRANGER);
	net_connect(net, BOTH, RESPOND);
	for (unsigned int k = 0; k < net->n_queue; k++)
		if (net->queue[k].job && net->queue[k].to == 0)
			assert_int_equal(net->queue[k].job->rank, IKE_DH_DIAL);
	assert_int_equal(jobs_away(net, 0), 1);
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_key_exchange_is_computed_in_a_call_of_the_engine),
		cmocka_unit_test(without_a_helper_it_is_computed_in_the_call),
		cmocka_unit_test(an_answer_that_waits_stops_the_repeats_and_the_patience),
		cmocka_unit_test(a_request_that_waits_is_answered_once_however_often_it_comes),
		cmocka_unit_test(what_needs_no_keys_does_not_wait),
		cmocka_unit_test(ike_160_the_order_of_arrival_holds_though_an_answer_waits),
		cmocka_unit_test(simultaneous_rekeys_end_the_same_whoever_computes_longer),
		cmocka_unit_test(jobs_that_overtake_each_other_change_nothing),
		cmocka_unit_test(a_job_outlives_its_ike_sa),
		cmocka_unit_test(an_answer_is_forgotten_with_its_request),
		cmocka_unit_test(a_job_outlives_its_connection),
		cmocka_unit_test(a_dial_that_waits_for_its_pair_ends_with_its_connection),
		cmocka_unit_test(an_engine_may_end_before_its_jobs),
		cmocka_unit_test(a_pair_is_not_kept_for_a_later_request),
		cmocka_unit_test(a_process_killed_while_a_message_waits_goes_on),
		cmocka_unit_test(a_strangers_request_waits_once_and_makes_one_half_open_sa),
		cmocka_unit_test(waiting_strangers_count_as_half_open),
		cmocka_unit_test(no_more_strangers_wait_than_may_be_half_open),
		cmocka_unit_test(a_stranger_is_judged_by_the_settings_of_the_end),
		cmocka_unit_test(a_strangers_bad_value_costs_a_job_and_nothing_else),
		cmocka_unit_test(jobs_say_whom_they_serve),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
