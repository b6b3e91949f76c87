/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bad network under the first handshake (F23), and a peer that starts anew (F21), over seeds.
 *
 * Loss is in percent of IKE datagrams, each way; a tenth is doubled, delays of 1 to 300 ms reorder.
 * The times are those within which a tunnel is up in 100 of 100 runs. Afterwards no half-open IKE
 * SA is left at either end. Virtual time: what takes minutes there is done here in a moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/ike/witness.h"

#define RUNS 100

static unsigned int
unfinished(const struct net *net, int i)
{
	unsigned int n = 0;

	for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		n += sa->state == IKE_SA_HALF_OPEN || sa->state == IKE_SA_INIT_SENT ||
		     sa->state == IKE_SA_AUTH_SENT;
	return n;
}

static struct net *
bad_network(uint64_t seed, unsigned int loss)
{
	struct net *net = net_new(seed);

	net->loss_percent = loss;
	net->dup_percent = 10;
	net->delay_min = 1 * NET_MS;
	net->delay_max = 300 * NET_MS;
	witness_new(net);
	return net;
}

static void
up_within(unsigned int loss, uint64_t limit_s)
{
	uint64_t worst = 0;

	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		struct net *net = bad_network(1000 * loss + seed, loss);
		uint64_t begun = net->now;

		net_connect(net, SPW_IKE_MODE_BOTH,
			    seed & 1 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND);
		if (!net_run_up(net, limit_s * NET_S))
			fail_msg("seed %llu, %u %% lost: not up after %llu s",
				 (unsigned long long)seed, loss, (unsigned long long)limit_s);
		worst = net->now - begun > worst ? net->now - begun : worst;
		net->loss_percent = 0;
		net_run(net, 60 * NET_S);
		assert_int_equal(unfinished(net, 0) + unfinished(net, 1), 0);
		assert_true(net_agrees(net));
		witness_free(net);
		net_free(net);
	}
	print_message("# %u %% lost: up within %.1f s in %d of %d\n", loss, (double)worst / 1e9,
		      RUNS, RUNS);
}

static void
with_5_percent_lost_it_is_up_in_10_s(void **state)
{
	up_within(5, 10);
}

static void
with_10_percent_lost_it_is_up_in_20_s(void **state)
{
	up_within(10, 20);
}

static void
with_20_percent_lost_it_is_up_in_60_s(void **state)
{
	up_within(20, 60);
}

static void
with_40_percent_lost_it_is_up_in_180_s(void **state)
{
	up_within(40, 180);
}

/* Nobody gets through: tries end, and what they made is gone. */
static void
with_all_lost_nothing_gathers(void **state)
{
	struct net *net = bad_network(7, 100);

	net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_BOTH);
	for (int minute = 0; minute < 60; minute++) {
		net_run(net, 60 * NET_S);
		for (int i = 0; i < 2; i++)
			assert_true(unfinished(net, i) <= 1);
	}
	witness_free(net);
	net_free(net);
}

/* The old IKE SA is gone as soon as the peer that started anew has come up (INITIAL_CONTACT). */
static void
a_peer_that_starts_anew_and_dials_is_taken_at_once(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct net *net = net_new(seed);
		struct spw_ike_conn conn;

		net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
		conn = net->host[0].conn;
		assert_true(net_run_up(net, 20 * NET_S));
		net_run(net, 20 * NET_S);
		net_reboot(net, 0, false);
		for (unsigned int k = 0; k < net->host[0].sa_top; k++) /* with the machine */
			net->host[0].sa[k].in = net->host[0].sa[k].out = false;
		net_set(net, 0, &conn);
		assert_true(net_run_up(net, 20 * NET_S));
		for (int n = 0; n < 100 && !net_agrees(net); n++)
			net_run(net, 10 * NET_MS);
		assert_true(net_agrees(net));
		net_run(net, 1 * NET_S);
		assert_int_equal(net_ike_sas(net, 1), 1);
		assert_int_equal(net_sas(net, 1), 1);
		net_free(net);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_5_percent_lost_it_is_up_in_10_s),
		cmocka_unit_test(with_10_percent_lost_it_is_up_in_20_s),
		cmocka_unit_test(with_20_percent_lost_it_is_up_in_60_s),
		cmocka_unit_test(with_40_percent_lost_it_is_up_in_180_s),
		cmocka_unit_test(with_all_lost_nothing_gathers),
		cmocka_unit_test(a_peer_that_starts_anew_and_dials_is_taken_at_once),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
