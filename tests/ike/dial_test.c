/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a dial gets through: cookies and group retries in both orders, loss, NAT, a dial from both
 * sides, one that is called off, restart of a peer. What the two then agree on is in
 * handshake_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define BOTH	 SPW_IKE_MODE_BOTH
#define INITIATE SPW_IKE_MODE_INITIATE
#define RESPOND	 SPW_IKE_MODE_RESPOND

/* ---- cookies and groups ---- */

static void
flood(struct net *net, unsigned int n)
{
	uint8_t buf[512];
	const struct spw_ike_proposal p = {
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA256, .group = SPW_GROUP_ECP256};
	struct ike_dh *dh;
	uint8_t nonce[32] = {1};

	assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	for (unsigned int i = 0; i < n; i++) {
		const struct ike_header h = {
			.spi_i = 1 + i, .exchange = IKE_X_SA_INIT, .flags = IKE_FLAG_INITIATOR};
		struct ike_builder b;
		size_t len;

		nonce[1] = (uint8_t)i;
		nonce[2] = (uint8_t)(i >> 8);
		ike_build_start(&b, buf, sizeof(buf), &h);
		ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, &p, 1, 1, true);
		ike_build_ke(&b, 19, ike_dh_public(dh), 64);
		ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
		assert_int_equal(ike_build_finish(&b, &len), 0);
		net_inject(net, 1, buf, len, 500);
		net_run(net, 1);
	}
	ike_dh_free(dh);
}

static unsigned int
count_state(const struct net *net, int i, enum ike_sa_state state)
{
	unsigned int n = 0;

	for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		n += sa->state == state;
	return n;
}

static void
cookie_is_asked_for_and_answered(void **state)
{
	struct net *net = net_new(8);
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = RESPOND;
	net_set(net, 1, &c);
	flood(net, 200);
	assert_int_equal(count_state(net, 1, IKE_SA_HALF_OPEN), IKE_PER_SOURCE);
	net_connect(net, INITIATE, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	for (const struct ike_sa *sa = net->host[0].engine->sas; sa; sa = sa->next)
		assert_int_equal(sa->cookie_rounds, 1);
	net_run(net, 31 * NET_S);
	assert_int_equal(count_state(net, 1, IKE_SA_HALF_OPEN), 0);
	net_free(net);
}

/* The initiator guesses a group that the responder does not want. */
static void
set_groups(struct net *net)
{
	struct spw_ike_conn c = net_conn(net, 0);

	c.mode = INITIATE;
	c.n_ike = 3;
	c.ike[1] = c.ike[2] = c.ike[0];
	c.ike[0].group = SPW_GROUP_MODP2048;
	c.ike[1].group = SPW_GROUP_ECP384;
	net_set(net, 0, &c);
	c = net_conn(net, 1);
	c.mode = RESPOND;
	net_set(net, 1, &c);
}

static void
group_is_corrected_once(void **state)
{
	struct net *net = net_new(9);

	set_groups(net);
	assert_true(net_run_up(net, 2 * NET_S));
	assert_int_equal(net->ike_sent, 6);
	net_free(net);
}

static void
cookie_then_group_works(void **state)
{
	struct net *net = net_new(10);
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = RESPOND;
	net_set(net, 1, &c);
	flood(net, 20);
	set_groups(net);
	assert_true(net_run_up(net, 2 * NET_S));
	net_free(net);
}

static enum net_verdict
flood_after_group(struct net *net, int from, const struct ike_header *h)
{
	/* the first answer is INVALID_KE_PAYLOAD; from then on cookies are wanted */
	if (from == 1 && h->exchange == IKE_X_SA_INIT)
		net->host[1].engine->config.half_open_cookies = 0;
	return NET_PASS;
}

static void
group_then_cookie_works(void **state)
{
	struct net *net = net_new(11);
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = RESPOND;
	net_set(net, 1, &c);
	net->host[1].engine->config.half_open_cookies = 100;
	flood(net, 2);
	net->script = flood_after_group;
	set_groups(net);
	assert_true(net_run_up(net, 2 * NET_S));
	for (const struct ike_sa *sa = net->host[0].engine->sas; sa; sa = sa->next)
		assert_int_equal(sa->cookie_rounds, 1);
	net_free(net);
}

static enum net_verdict
drop_some(struct net *net, int from, const struct ike_header *h)
{
	return net->drops-- > 0 ? NET_DROP : NET_PASS;
}

static void
each_lost_message_is_made_good(void **state)
{
	for (int n = 1; n <= 4; n++) {
		struct net *net = net_new(20 + (uint64_t)n);

		net->script = drop_some;
		net->drops = n;
		net_connect(net, INITIATE, RESPOND);
		assert_true(net_run_up(net, 20 * NET_S));
		net_run(net, 20 * NET_S);
		assert_true(net_agrees(net));
		assert_int_equal(net->repeats_changed, 0);
		net_free(net);
	}
}

static bool
is_out(const struct net *net, enum ike_sa_state state)
{
	const struct ike_sa *sa = net->host[0].engine->sas;

	return sa && sa->state == state;
}

static enum net_verdict
drop_answers(struct net *net, int from, const struct ike_header *h)
{
	return from == 1 && h->exchange == IKE_X_AUTH && net->drops-- > 0 ? NET_DROP : NET_PASS;
}

/* The peer is up as soon as it has our IKE_AUTH, and only Delete tells it that we are not. */
static void
a_dial_that_is_called_off_leaves_nothing_at_the_peer(void **state)
{
	for (int lost = 0; lost <= 2; lost++) {
		struct net *net = net_new(60 + (uint64_t)lost);

		net->script = drop_answers;
		net->drops = lost;
		net_connect(net, INITIATE, RESPOND);
		while (!is_out(net, IKE_SA_AUTH_SENT))
			net_run(net, NET_MS / 10);
		net_call_begins(&net->host[0]);
		assert_int_equal(
			ike_engine_conn_del(net->host[0].engine, net->now, net->host[0].conn.name),
			0);
		net_call_ends(&net->host[0]);
		net->host[0].has_conn = false;
		assert_true(is_out(net, IKE_SA_LEAVING));
		net_run(net, 15 * NET_S);
		assert_null(net->host[0].engine->sas);
		assert_int_equal(net_ike_sas(net, 1), 0);
		assert_int_equal(net_sas(net, 0) + net_sas(net, 1), 0);
		assert_int_equal(net->host[0].spis_out, 0);
		net_free(net);
	}
}

static void
behind_a_nat_everything_goes_to_4500(void **state)
{
	struct net *net = net_new(30);

	net->nat = true;
	net_connect(net, INITIATE, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	assert_int_equal(net_status(net, 0).nat_here, 1);
	assert_int_equal(net_status(net, 0).nat_there, 0);
	assert_int_equal(net_status(net, 1).nat_there, 1);
	assert_int_equal(net_status(net, 0).remote_port, 4500);
	assert_int_equal(net_status(net, 1).remote_port, 31001); /* of keepalives, too */
	for (int i = 0; i < NET_SAS; i++) {
		if (net->host[0].sa[i].in)
			assert_int_equal(net->host[0].sa[i].flags,
					 SPW_SA_UDP_ENCAP | SPW_SA_BEHIND_NAT);
		if (net->host[1].sa[i].in) {
			assert_int_equal(net->host[1].sa[i].flags, SPW_SA_UDP_ENCAP);
			assert_int_equal(net->host[1].sa[i].desc.remote_port, 31001);
		}
	}
	net_run(net, 100 * NET_S);
	/* the mapping changes: learnt from the next authentic request */
	net->nat_port = 32000;
	net_run(net, 40 * NET_S);
	assert_int_equal(net->host[1].moves, 1);
	assert_true(net_up(net, 0) && net_up(net, 1));
	net_free(net);
}

static void
force_encap_pretends_a_nat(void **state)
{
	for (int who = 0; who < 2; who++) {
		struct net *net = net_new(31 + (uint64_t)who);
		struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

		c[0].mode = INITIATE;
		c[1].mode = RESPOND;
		c[who].force_encap = 1;
		net_set(net, 0, &c[0]);
		net_set(net, 1, &c[1]);
		assert_true(net_run_up(net, 2 * NET_S));
		for (int i = 0; i < 2; i++)
			for (int k = 0; k < NET_SAS; k++)
				if (net->host[i].sa[k].in)
					assert_int_equal(net->host[i].sa[k].flags &
								 SPW_SA_UDP_ENCAP,
							 SPW_SA_UDP_ENCAP);
		net_free(net);
	}
}

static void
both_dial_and_one_pair_stays(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct net *net = net_new(200 + seed);

		net->delay_min = 1 * NET_MS;
		net->delay_max = 80 * NET_MS;
		net->loss_percent = seed % 3 == 2 ? 20 : 0;
		net_connect(net, BOTH, BOTH);
		assert_true(net_run_up(net, 60 * NET_S));
		net->traffic = true;
		/* both answers to IKE_AUTH may be lost: then each end has what the other lacks */
		for (int n = 0; n < 100 && !net_agrees(net); n++)
			net_run(net, 100 * NET_MS);
		net_run(net, 300 * NET_MS);
		net->esp_lost = net->esp_unsent = 0;
		net_run(net, 60 * NET_S);
		net->loss_percent = 0;
		net_run(net, 60 * NET_S);
		assert_int_equal(net->esp_lost, 0);
		assert_int_equal(net->esp_unsent, 0);
		net_expect_one(net);
		net_free(net);
	}
}

static void
peer_that_restarts_is_taken_back_at_once(void **state)
{
	struct net *net = net_new(40);
	struct spw_ike_conn c = net_conn(net, 0);

	net_connect(net, BOTH, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	net_run(net, 60 * NET_S);
	net_reboot(net, 0, false);
	net_set(net, 0, &c);
	assert_true(net_run_up(net, 1 * NET_S));
	net_run(net, 100 * NET_MS);
	assert_true(net_agrees(net)); /* INITIAL_CONTACT dropped the orphan */
	assert_int_equal(net_ike_sas(net, 1), 1);
	assert_int_equal(net_sas(net, 1), 1);
	net_free(net);
}

/* F21: a peer that starts anew without saying so is believed by its new IKE SA. */
static void
restart_without_initial_contact_is_taken_over(void **state)
{
	struct net *net = net_new(46);
	struct spw_ike_conn c = net_conn(net, 0);

	net_connect(net, BOTH, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	net_run(net, 60 * NET_S);
	net_reboot(net, 0, false);
	net->host[0].engine->config.no_initial_contact = true;
	net_set(net, 0, &c);
	net_run(net, 1200 * NET_MS);
	assert_true(net_agrees(net));
	net_run(net, 15 * NET_S); /* nobody answers the Delete of the old one */
	assert_int_equal(net_ike_sas(net, 1), 1);
	assert_int_equal(net_sas(net, 1), 1);
	net_free(net);
}

static void
restart_beside_an_orphan_loses_nothing(void **state)
{
	struct net *net = net_new(41);
	struct spw_ike_conn c = net_conn(net, 0);

	net_connect(net, BOTH, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	net->traffic = true;
	net_run(net, 60 * NET_S);
	net->esp_lost = net->esp_unsent = 0;
	net_reboot(net, 0, true);
	net->host[0].engine->config.no_initial_contact = true;
	net_set(net, 0, &c);
	net_run(net, 30 * NET_S);
	assert_int_equal(net->esp_lost, 0);
	assert_int_equal(net->esp_unsent, 0);
	assert_true(net_agrees(net));
	assert_int_equal(net_ike_sas(net, 1), 1);
	/* the orphan's inbound half stays in the data plane to its hard limit */
	assert_int_equal(net_sas(net, 0), 2);
	for (int k = 0; k < NET_SAS; k++)
		if (net->host[0].sa[k].spi_in != net->host[0].active)
			net->host[0].sa[k].in = false;
	net_free(net);
}

static void
up_through_loss_duplication_and_reordering(void **state)
{
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct net *net = net_new(1000 + seed);

		net->delay_min = 1 * NET_MS;
		net->delay_max = 400 * NET_MS;
		net->loss_percent = 20;
		net->dup_percent = 10;
		net_connect(net, BOTH, RESPOND);
		assert_true(net_run_up(net, 60 * NET_S));
		net->loss_percent = 0;
		net_run(net, 100 * NET_S);
		assert_int_equal(net_ike_sas(net, 1), 1);
		assert_int_equal(net_sas(net, 0), 1);
		assert_int_equal(net_sas(net, 1), 1);
		assert_true(net_agrees(net));
		assert_int_equal(net->repeats_changed, 0);
		net_free(net);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookie_is_asked_for_and_answered),
		cmocka_unit_test(group_is_corrected_once),
		cmocka_unit_test(cookie_then_group_works),
		cmocka_unit_test(group_then_cookie_works),
		cmocka_unit_test(each_lost_message_is_made_good),
		cmocka_unit_test(a_dial_that_is_called_off_leaves_nothing_at_the_peer),
		cmocka_unit_test(behind_a_nat_everything_goes_to_4500),
		cmocka_unit_test(force_encap_pretends_a_nat),
		cmocka_unit_test(both_dial_and_one_pair_stays),
		cmocka_unit_test(peer_that_restarts_is_taken_back_at_once),
		cmocka_unit_test(restart_without_initial_contact_is_taken_over),
		cmocka_unit_test(restart_beside_an_orphan_loses_nothing),
		cmocka_unit_test(up_through_loss_duplication_and_reordering),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
