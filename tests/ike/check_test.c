/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The check of rekeying between two engines: it is made once, says what is true, loses nothing and
 * does not come back after a kill. Where the two sides mean different PFS groups the first child
 * stands all the same, as at Azure, for it has no key exchange of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define AFTER_S 8
#define IKE	SPW_IKE_RESET_IKE
#define CHILD	SPW_IKE_RESET_CHILD

/* Host 0 dials and checks after AFTER_S, or not; the PFS groups of both. */
static struct net *
network(uint64_t seed, uint32_t check_s, uint8_t ours, uint8_t theirs)
{
	struct net *net = net_new(seed);

	net->audit = true;
	for (int i = 0; i < 2; i++) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i == 0 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND;
		c.esp[0].group = i == 0 ? ours : theirs;
		c.child_seconds = (struct spw_sa_limit){.soft = 3600, .hard = 4000};
		c.pfs_check_s = i == 0 ? check_s : 0;
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net->traffic = true;
	net->traffic_every = 20 * NET_MS;
	net_run(net, 500 * NET_MS);
	net->esp_lost = net->esp_unsent = 0;
	return net;
}

static void
expect_outcome(const struct net *net, enum spw_ike_check outcome, unsigned int rekeys,
	       unsigned int failures)
{
	struct spw_ike_status s = net_status(net, 0);

	assert_int_equal(s.check, outcome);
	assert_int_equal(s.child_rekeys, rekeys);
	assert_int_equal(s.child_rekey_failures, failures);
	assert_true((s.check_ns != 0) == (outcome != SPW_IKE_CHECK_NOT_YET));
}

static void
whether_a_tunnel_is_checked_truth_table(void **state)
{
	for (unsigned int tries = 0; tries < 4; tries++) {
		assert_true(ike_check_wanted(SPW_IKE_CHECK_NOT_YET, tries, false));
		assert_true(ike_check_wanted(SPW_IKE_CHECK_NOT_YET, tries, true));
		assert_false(ike_check_wanted(SPW_IKE_CHECK_OK, tries, false));
		assert_true(ike_check_wanted(SPW_IKE_CHECK_REFUSED, tries, false));
		assert_false(ike_check_wanted(SPW_IKE_CHECK_REFUSED, tries, true));
		assert_int_equal(ike_check_wanted(SPW_IKE_CHECK_NO_ANSWER, tries, false),
				 tries < 2);
		assert_false(ike_check_wanted(SPW_IKE_CHECK_NO_ANSWER, tries, true));
	}
	assert_true(ike_check_is_verdict(IKE_N_NO_PROPOSAL_CHOSEN));
	assert_true(ike_check_is_verdict(IKE_N_INVALID_KE_PAYLOAD));
	assert_true(ike_check_is_verdict(0));
	assert_false(ike_check_is_verdict(IKE_N_TEMPORARY_FAILURE));
	assert_false(ike_check_is_verdict(IKE_N_NO_ADDITIONAL_SAS));
	assert_false(ike_check_is_verdict(IKE_N_CHILD_SA_NOT_FOUND));
}

/* PFS or none: what both mean is proven by one rekey, and once. */
static void
a_tunnel_is_checked_once_and_loses_nothing(void **state)
{
	static const uint8_t group[] = {SPW_GROUP_NONE, SPW_GROUP_ECP256, SPW_GROUP_ECP384};

	for (unsigned int g = 0; g < 3; g++) {
		struct net *net = network(g + 1, AFTER_S, group[g], group[g]);
		uint32_t first = net->host[0].active;

		expect_outcome(net, SPW_IKE_CHECK_NOT_YET, 0, 0);
		assert_true(net_status(net, 0).check_at_ns > net->now);
		net_run(net, (AFTER_S + 1) * NET_S);
		expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
		assert_int_not_equal(net->host[0].active, first);
		assert_int_equal(net_status(net, 0).esp.group, group[g]);
		assert_int_equal(net_status(net, 0).check_at_ns, 0);
		net_run(net, 60 * NET_S);
		expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		assert_int_equal(net->host[0].downs, 0);
		net_free(net);
	}
}

static void
neither_an_ike_rekey_nor_a_new_ike_sa_checks_again(void **state)
{
	struct net *net = network(5, AFTER_S, SPW_GROUP_ECP256, SPW_GROUP_ECP256);

	net_run(net, (AFTER_S + 1) * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	net_rekey(net, 0, IKE);
	net_run(net, 60 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	assert_int_equal(ike_engine_reset(net->host[0].engine, net->now, "azure", IKE), 0);
	net_run(net, 60 * NET_S);
	assert_true(net_up(net, 0));
	assert_int_equal(net->host[0].downs, 1);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	net_free(net);
}

static void
other_settings_are_checked_anew(void **state)
{
	struct net *net = network(6, AFTER_S, SPW_GROUP_ECP256, SPW_GROUP_ECP256);
	struct spw_ike_conn c;

	net_run(net, (AFTER_S + 1) * NET_S);
	for (int i = 1; i >= 0; i--) {
		c = net->host[i].conn;
		c.esp[0].group = SPW_GROUP_ECP384;
		net_set(net, i, &c);
	}
	net_run(net, 2 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_NOT_YET, 0, 0);
	net_run(net, 30 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	assert_int_equal(net_status(net, 0).esp.group, SPW_GROUP_ECP384);
	net_free(net);
}

/* azure.md, problem 2: either side may be the one without PFS, or both have another group. */
static void
groups_that_differ_are_found_and_the_tunnel_goes_on(void **state)
{
	static const uint8_t pair[][2] = {{SPW_GROUP_ECP384, SPW_GROUP_ECP256},
					  {SPW_GROUP_NONE, SPW_GROUP_ECP256},
					  {SPW_GROUP_MODP2048, SPW_GROUP_ECP384}};

	for (unsigned int p = 0; p < 3; p++) {
		struct net *net = network(p + 10, AFTER_S, pair[p][0], pair[p][1]);
		uint32_t first = net->host[0].active;

		net_run(net, (AFTER_S + 1) * NET_S);
		expect_outcome(net, SPW_IKE_CHECK_REFUSED, 0, 1);
		assert_int_equal(net_status(net, 0).check_notify, IKE_N_NO_PROPOSAL_CHOSEN);
		/* the child is rekeyed when it would have been: not before its own time */
		net_run(net, 600 * NET_S);
		expect_outcome(net, SPW_IKE_CHECK_REFUSED, 0, 1);
		assert_int_equal(net->host[0].active, first);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		net_run(net, 3000 * NET_S);
		assert_true(net_status(net, 0).child_rekey_failures > 1);
		net_free(net);
	}
}

/* A gateway whose policy is set right drops its tunnels, and is then checked again. */
static void
what_was_refused_is_checked_again_when_the_tunnel_was_down(void **state)
{
	struct net *net = network(20, AFTER_S, SPW_GROUP_ECP384, SPW_GROUP_ECP256);
	struct spw_ike_conn c = net->host[1].conn;

	net_run(net, (AFTER_S + 1) * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_REFUSED, 0, 1);
	c.esp[0].group = SPW_GROUP_ECP384;
	net_set(net, 1, &c);
	net_run(net, (AFTER_S + 20) * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 1);
	net_free(net);
}

static enum net_verdict
no_child_exchange(struct net *net, int from, const struct ike_header *h)
{
	return h->exchange == IKE_X_CREATE_CHILD ? NET_DROP : NET_PASS;
}

static void
what_is_not_answered_is_tried_twice_and_no_more(void **state)
{
	struct net *net = network(21, AFTER_S, SPW_GROUP_ECP256, SPW_GROUP_ECP256);

	net->script = no_child_exchange;
	net_run(net, 150 * NET_S); /* a peer whose ESP arrives gets four times as long */
	expect_outcome(net, SPW_IKE_CHECK_NO_ANSWER, 0, 0);
	net_run(net, 400 * NET_S);
	assert_int_equal(net->host[0].downs, 2);
	net_run(net, 900 * NET_S);
	assert_int_equal(net->host[0].downs, 2);
	assert_true(net_up(net, 0));
	net->script = NULL;
	/* what is known comes from every rekey */
	net_rekey(net, 0, CHILD);
	net_run(net, 10 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	net_free(net);
}

static void
a_peer_that_closes_instead_of_answering_has_not_answered(void **state)
{
	struct net *net = network(22, AFTER_S, SPW_GROUP_ECP256, SPW_GROUP_ECP256);

	net->script = no_child_exchange;
	net_run(net, (AFTER_S + 1) * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_NOT_YET, 0, 0);
	assert_int_equal(ike_engine_reset(net->host[1].engine, net->now, "azure", IKE), 0);
	net_run(net, 1 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_NO_ANSWER, 0, 0);
	net->script = NULL;
	net_run(net, 60 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	net_free(net);
}

static void
a_rekey_of_the_peer_with_our_group_proves_it_without_one_of_ours(void **state)
{
	struct net *net = network(23, AFTER_S, SPW_GROUP_ECP256, SPW_GROUP_ECP256);

	net_rekey(net, 1, CHILD);
	net_run(net, 60 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	net_free(net);
}

/* Azure's default policy: what it asks for itself has no group, which says nothing of ours. */
static void
a_rekey_of_the_peer_without_our_group_proves_nothing(void **state)
{
	struct net *net = net_new(24);

	for (int i = 0; i < 2; i++) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i == 0 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND;
		c.n_esp = i == 0 ? 2 : 1;
		c.esp[1] = c.esp[0];
		c.esp[0].group = i == 0 ? SPW_GROUP_ECP256 : SPW_GROUP_NONE;
		c.pfs_check_s = i == 0 ? 60 : 0;
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 500 * NET_MS);
	net_rekey(net, 1, CHILD);
	net_run(net, 5 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_NOT_YET, 1, 0);
	net_free(net);
}

static void
one_that_waits_for_its_time_is_not_made_once_it_is_switched_off(void **state)
{
	struct net *net = network(47, AFTER_S, SPW_GROUP_ECP256, SPW_GROUP_ECP256);
	struct spw_ike_conn c = net->host[0].conn;

	assert_true(net_status(net, 0).check_at_ns > net->now);
	c.pfs_check_s = 0;
	net_set(net, 0, &c);
	assert_int_equal(net_status(net, 0).check_at_ns, 0);
	net_run(net, 60 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_NOT_YET, 0, 0);
	net_free(net);
}

static void
switched_off_nothing_is_tried_and_switched_on_it_is(void **state)
{
	struct net *net = network(25, 0, SPW_GROUP_ECP256, SPW_GROUP_ECP256);
	struct spw_ike_conn c = net->host[0].conn;

	net_run(net, 300 * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_NOT_YET, 0, 0);
	c.pfs_check_s = AFTER_S;
	net_set(net, 0, &c);
	net_run(net, (AFTER_S + 1) * NET_S);
	expect_outcome(net, SPW_IKE_CHECK_OK, 1, 0);
	assert_int_equal(net->host[0].downs, 0);
	net_free(net);
}

/* Killed at every operation around the check: it is made once, and known afterwards. */
static void
who_is_killed_does_not_check_again(void **state)
{
	static const uint8_t theirs[] = {SPW_GROUP_ECP256, SPW_GROUP_ECP384};
	unsigned int killed = 0;

	for (unsigned int n = 1; n < 32; n++) {
		bool agree = n % 2;
		struct net *net = network(30 + n, AFTER_S, SPW_GROUP_ECP256, theirs[!agree]);

		if (n < 20)
			net_run(net, AFTER_S / 2 * NET_S - 500 * NET_MS);
		else
			net_run(net, (AFTER_S + 1) * NET_S);
		net_kill_at(net, 0, 1 + n % 5, n & 4, 200 * NET_MS);
		if (n >= 20)
			net_rekey(net, 1, IKE);
		net_run(net, 60 * NET_S);
		net->host[0].kill_in = 0;
		killed += net->host[0].kills;
		net_orphans_end(net, 0);
		net_orphans_end(net, 1);
		net_run(net, 60 * NET_S);
		expect_outcome(net, agree ? SPW_IKE_CHECK_OK : SPW_IKE_CHECK_REFUSED, agree,
			       !agree);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		net_free(net);
	}
	assert_true(killed > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whether_a_tunnel_is_checked_truth_table),
		cmocka_unit_test(a_tunnel_is_checked_once_and_loses_nothing),
		cmocka_unit_test(neither_an_ike_rekey_nor_a_new_ike_sa_checks_again),
		cmocka_unit_test(other_settings_are_checked_anew),
		cmocka_unit_test(groups_that_differ_are_found_and_the_tunnel_goes_on),
		cmocka_unit_test(what_was_refused_is_checked_again_when_the_tunnel_was_down),
		cmocka_unit_test(what_is_not_answered_is_tried_twice_and_no_more),
		cmocka_unit_test(a_peer_that_closes_instead_of_answering_has_not_answered),
		cmocka_unit_test(a_rekey_of_the_peer_with_our_group_proves_it_without_one_of_ours),
		cmocka_unit_test(a_rekey_of_the_peer_without_our_group_proves_nothing),
		cmocka_unit_test(one_that_waits_for_its_time_is_not_made_once_it_is_switched_off),
		cmocka_unit_test(switched_off_nothing_is_tried_and_switched_on_it_is),
		cmocka_unit_test(who_is_killed_does_not_check_again),
	};

	spw_log_init("check_test", SPW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
