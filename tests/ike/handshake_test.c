/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE_SA_INIT and IKE_AUTH between two engines, and what they agree on: every proposal, wrong keys
 * and identities, selectors, sequence numbers, settings that change. How a dial gets through what
 * is between them is in dial_test.c.
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

static void
one_dials_and_the_tunnel_is_up(void **state)
{
	struct net *net = net_new(1);

	net_connect(net, INITIATE, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	assert_true(net_agrees(net));
	assert_int_equal(net_status(net, 0).state, SPW_IKE_ESTABLISHED);
	assert_int_equal(net_status(net, 0).initiator, 1);
	assert_int_equal(net_status(net, 1).initiator, 0);
	assert_int_equal(net->host[0].ups, 1);
	assert_int_equal(net->host[1].ups, 1);
	assert_int_equal(net->ike_sent, 4);
	net_free(net);
}

static void
every_proposal_works(void **state)
{
	static const struct {
		uint8_t encr, integ;
	} ciphers[] = {{SPW_ENCR_AES128_GCM, 0},
		       {SPW_ENCR_AES256_GCM, 0},
		       {SPW_ENCR_AES128_CBC, SPW_INTEG_HMAC_SHA1_96},
		       {SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA256_128},
		       {SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA384_192},
		       {SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA512_256}};
	unsigned int n = 0;

	for (unsigned int c = 0; c < 6; c++)
		for (uint8_t prf = 1; prf < SPW_PRF_COUNT; prf++)
			for (uint8_t group = 1; group < SPW_GROUP_COUNT; group++, n++) {
				struct net *net = net_new(100 + n);

				for (int i = 0; i < 2; i++) {
					struct spw_ike_conn conn = net_conn(net, i);

					conn.mode = i == 0 ? INITIATE : RESPOND;
					conn.ike[0] = (struct spw_ike_proposal){
						ciphers[c].encr, ciphers[c].integ, prf, group};
					conn.esp[0].encr = (uint8_t)(1 + n % 3);
					net_set(net, i, &conn);
				}
				assert_true(net_run_up(net, 5 * NET_S));
				assert_true(net_agrees(net));
				assert_int_equal(net_status(net, 1).ike.group, group);
				assert_int_equal(net_status(net, 1).ike.prf, prf);
				net_free(net);
			}
}

static const struct net_sa *
active_sa(const struct net *net, int i)
{
	for (unsigned int k = 0; k < NET_SAS; k++)
		if (net->host[i].sa[k].out && net->host[i].sa[k].spi_in == net->host[i].active)
			return &net->host[i].sa[k];
	fail_msg("host %d sends on no SA", i);
	return NULL;
}

/* RFC 7296 2.17, RFC 7634 4: keys are as long as the suite wants, before and after a rekey. */
static void
every_esp_suite_is_negotiated_keyed_and_kept(void **state)
{
	static const struct {
		uint8_t encr, integ, key_len;
	} suites[] = {{SPW_ENCR_AES128_GCM, 0, 20},
		      {SPW_ENCR_AES192_GCM, 0, 28},
		      {SPW_ENCR_AES256_GCM, 0, 36},
		      {SPW_ENCR_CHACHA20_POLY1305, 0, 36},
		      {SPW_ENCR_AES128_CBC, SPW_INTEG_HMAC_SHA1_96, 36},
		      {SPW_ENCR_AES128_CBC, SPW_INTEG_HMAC_SHA256_128, 48},
		      {SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA1_96, 52},
		      {SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA256_128, 64}};
	enum { N = sizeof(suites) / sizeof(suites[0]) };

	for (unsigned int k = 0; k < N; k++) {
		struct net *net = net_new(900 + k);

		for (int i = 0; i < 2; i++) {
			struct spw_ike_conn c = net_conn(net, i);

			/* host 0 would rather have all others, of which host 1 has none */
			c.mode = i == 0 ? INITIATE : RESPOND;
			c.n_esp = i == 0 ? 2 : 1;
			c.esp[0].encr = suites[(k + 1u - (unsigned int)i) % N].encr;
			c.esp[0].integ = suites[(k + 1u - (unsigned int)i) % N].integ;
			c.esp[1] = c.esp[0];
			c.esp[1].encr = suites[k].encr;
			c.esp[1].integ = suites[k].integ;
			net_set(net, i, &c);
		}
		assert_true(net_run_up(net, 5 * NET_S));
		for (int round = 0; round < 2; round++) {
			const struct net_sa *sa = active_sa(net, 0);

			assert_true(net_agrees(net));
			assert_int_equal(sa->desc.encr, suites[k].encr);
			assert_int_equal(sa->desc.integ, suites[k].integ);
			assert_int_equal(sa->key_len, suites[k].key_len);
			assert_int_equal(ike_engine_rekey(net->host[0].engine, net->now, "azure",
							  SPW_IKE_RESET_CHILD),
					 0);
			net_run(net, 10 * NET_S);
		}
		assert_int_equal(net_status(net, 0).child_rekeys, 2);
		net_free(net);
	}
}

/* A suite that the data plane has not is neither offered nor taken. */
static void
esp_suites_that_the_data_plane_lacks_are_not_used(void **state)
{
	for (int who = 0; who < 2; who++) {
		struct net *net = net_new(950);

		for (int i = 0; i < 2; i++) {
			struct spw_ike_conn c = net_conn(net, i);

			c.mode = i == 0 ? INITIATE : RESPOND;
			c.n_esp = 2;
			c.esp[1] = c.esp[0];
			c.esp[0].encr = SPW_ENCR_CHACHA20_POLY1305;
			net_set(net, i, &c);
		}
		net->host[who].engine->config.encr_mask = 1u << net_conn(net, who).esp[0].encr;
		assert_true(net_run_up(net, 5 * NET_S));
		assert_int_equal(active_sa(net, 0)->desc.encr, net_conn(net, who).esp[0].encr);
		net_free(net);
	}
}

static void
wrong_key_is_told_and_nothing_stands(void **state)
{
	struct net *net = net_new(2);
	struct spw_ike_conn c = net_conn(net, 0);

	net_connect(net, INITIATE, RESPOND);
	memcpy(c.psk, "A", 1);
	c.mode = INITIATE;
	net_set(net, 0, &c);
	net_run(net, 500 * NET_MS);
	assert_string_equal(net_status(net, 0).reason, ike_fault_info(IKE_FAULT_AUTH)->text);
	assert_true(net_status(net, 0).next_try_ns > 0);
	assert_string_equal(net_status(net, 1).reason, ike_fault_info(IKE_FAULT_AUTH)->text);
	net_run(net, 300 * NET_S);
	assert_int_equal(net_status(net, 0).state, SPW_IKE_IDLE);
	assert_true(net_status(net, 0).attempts >= 5);
	assert_true(net_status(net, 0).attempts <= 14);
	assert_int_equal(net->host[0].installs + net->host[1].installs, 0);
	assert_int_equal(net_ike_sas(net, 0) + net_ike_sas(net, 1), 0);
	net_free(net);
}

static void
wrong_identity_looks_like_a_wrong_key(void **state)
{
	struct net *net = net_new(3);
	struct spw_ike_conn c = net_conn(net, 0);

	net_connect(net, INITIATE, RESPOND);
	c.mode = INITIATE;
	c.local_id = (struct spw_ike_id){.type = SPW_ID_FQDN, .len = 3, .data = "foo"};
	net_set(net, 0, &c);
	net_run(net, 1 * NET_S);
	assert_memory_equal(net_status(net, 0).reason, "authentication failed: pre", 26);
	assert_int_equal(net_ike_sas(net, 1), 0);
	net_free(net);
}

static void
no_common_ike_proposal_is_told(void **state)
{
	struct net *net = net_new(4);
	struct spw_ike_conn c = net_conn(net, 0);

	net_connect(net, INITIATE, RESPOND);
	c.mode = INITIATE;
	c.ike[0].group = SPW_GROUP_ECP384;
	net_set(net, 0, &c);
	net_run(net, 1 * NET_S);
	assert_non_null(strstr(net_status(net, 0).reason, "no common IKE proposal: peer refused"));
	assert_non_null(strstr(net_status(net, 1).reason, "no common IKE proposal"));
	net_run(net, 20 * NET_S);
	assert_int_equal(net_status(net, 0).attempts, 1);
	assert_non_null(strstr(net_status(net, 0).reason, "no common IKE proposal: peer refused"));
	net_free(net);
}

static void
silence_backs_off_for_ever(void **state)
{
	struct net *net = net_new(5);
	struct spw_ike_status s;

	net->host[1].dead = true;
	net_connect(net, INITIATE, RESPOND);
	net_run(net, 13 * NET_S);
	s = net_status(net, 0);
	assert_memory_equal(s.reason, "no reply to IKE_SA_INIT", 23);
	net_run(net, 3600 * NET_S);
	s = net_status(net, 0);
	assert_true(s.attempts > 45 && s.attempts < 75);
	net->host[1].dead = false;
	assert_true(net_run_up(net, 80 * NET_S));
	assert_int_equal(net_status(net, 0).attempts, 0);
	net_free(net);
}

static void
child_refused_leaves_the_ike_sa(void **state)
{
	struct net *net = net_new(6);
	struct spw_ike_conn c = net_conn(net, 0);

	net_connect(net, INITIATE, RESPOND);
	c.mode = INITIATE;
	c.esp[0].encr = SPW_ENCR_AES128_GCM;
	net_set(net, 0, &c);
	net_run(net, 30 * NET_S);
	assert_int_equal(net_ike_sas(net, 0), 1);
	assert_int_equal(net_ike_sas(net, 1), 1);
	assert_memory_equal(net_status(net, 0).reason,
			    "no common ESP proposal: peer refused all of ours", 48);
	assert_int_equal(net->host[0].installs, 0);
	c = net_conn(net, 1);
	c.mode = RESPOND;
	c.esp[0].encr = SPW_ENCR_AES128_GCM;
	net_set(net, 1, &c);
	assert_true(net_run_up(net, 60 * NET_S));
	net_free(net);
}

static void
selectors_are_narrowed_or_refused(void **state)
{
	struct net *net = net_new(7);
	struct spw_ike_conn c = net_conn(net, 1);

	net_connect(net, INITIATE, RESPOND);
	c.mode = RESPOND;
	c.sel_local[0].low = spw_addr_v4(0x0a010000);
	c.sel_local[0].high = spw_addr_v4(0x0a01ffff);
	net_set(net, 1, &c);
	assert_true(net_run_up(net, 30 * NET_S));
	for (int i = 0; i < NET_SAS; i++)
		if (net->host[0].sa[i].in)
			assert_int_equal(
				spw_addr_get_v4(&net->host[0].sa[i].desc.sel_remote[0].low),
				0x0a010000);
	c = net_conn(net, 0);
	c.mode = INITIATE;
	c.sel_remote[0].low = c.sel_remote[0].high = spw_addr_v4(0x0b000001);
	net_set(net, 0, &c);
	net_run(net, 20 * NET_S);
	assert_memory_equal(net_status(net, 0).reason,
			    "traffic selectors do not match: peer refused ours", 49);
	net_free(net);
}

/* All combinations of what the two take, at first and after a rekey by either. */
static void
sequence_numbers_are_of_the_length_both_take(void **state)
{
	static const int want[3][3] = {{0, -1, 0}, {-1, 1, 1}, {0, 1, 1}};

	for (int n = 0; n < 9; n++) {
		struct net *net = net_new(70 + (uint64_t)n);
		int esn = want[n / 3][n % 3];

		for (int i = 1; i >= 0; i--) {
			struct spw_ike_conn c = net_conn(net, i);

			c.mode = i ? RESPOND : INITIATE;
			c.esp[0].esn = (uint8_t)(i ? n % 3 : n / 3);
			net_set(net, i, &c);
		}
		assert_int_equal(net_run_up(net, 2 * NET_S), esn >= 0);
		for (int round = 0; esn >= 0 && round < 3; round++) {
			for (int i = 0; i < 2; i++)
				for (int k = 0; k < NET_SAS; k++)
					if (net->host[i].sa[k].in)
						assert_int_equal(net->host[i].sa[k].flags &
									 SPW_SA_ESN,
								 esn ? SPW_SA_ESN : 0);
			net_run(net, 1 * NET_S);
			ike_engine_rekey(net->host[round & 1].engine, net->now, "azure",
					 SPW_IKE_RESET_CHILD);
			net_run(net, 1 * NET_S);
		}
		net_free(net);
	}
}

static void
dead_dataplane_is_told(void **state)
{
	struct net *net = net_new(47);

	net->host[0].refuse_installs = 2;
	net_connect(net, INITIATE, RESPOND);
	net_run(net, 500 * NET_MS);
	assert_string_equal(net_status(net, 0).reason,
			    "child SA failed: the data plane did not take the SA: is it running?");
	assert_true(net_run_up(net, 10 * NET_S));
	net_run(net, 10 * NET_S);
	assert_true(net_agrees(net));
	assert_int_equal(net_sas(net, 1), 1);
	net_free(net);
}

static void
equal_settings_change_nothing(void **state)
{
	struct net *net = net_new(42);
	struct spw_ike_conn c = net_conn(net, 0);
	uint64_t spi;

	net_connect(net, BOTH, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	spi = net_status(net, 0).spi_i;
	c.generation = 9;
	c.dpd_delay_s = 5;
	net_set(net, 0, &c);
	ike_engine_conn_sweep(net->host[0].engine, net->now, 9);
	assert_int_equal(net_status(net, 0).spi_i, spi);
	assert_true(net_up(net, 0));
	ike_engine_conn_sweep(net->host[0].engine, net->now, 10);
	net_run(net, 1 * NET_S);
	assert_int_equal(ike_engine_status(net->host[0].engine, NULL, 0), 0);
	assert_int_equal(net_sas(net, 0), 0);
	assert_int_equal(net_sas(net, 1), 0);
	assert_int_equal(net_ike_sas(net, 1), 0);
	net_free(net);
}

static void
bad_settings_are_refused_with_a_sentence(void **state)
{
	struct net *net = net_new(43);
	struct spw_err err = {0};
	struct spw_ike_conn c = net_conn(net, 0);

	c.psk_len = 0;
	assert_int_equal(ike_engine_conn_set(net->host[0].engine, net->now, &c, &err), -22);
	assert_non_null(strstr(err.text, "no pre-shared key"));
	c = net_conn(net, 0);
	c.ike[0].integ = SPW_INTEG_HMAC_SHA1_96; /* with an AEAD */
	assert_int_equal(ike_engine_conn_set(net->host[0].engine, net->now, &c, &err), -22);
	c = net_conn(net, 0);
	c.n_local = 0;
	assert_int_equal(ike_engine_conn_set(net->host[0].engine, net->now, &c, &err), -22);
	assert_int_equal(ike_engine_status(net->host[0].engine, NULL, 0), 0);
	net_free(net);
}

static void
initiate_only_refuses_to_be_dialled(void **state)
{
	struct net *net = net_new(44);

	net_connect(net, INITIATE, INITIATE);
	net_run(net, 30 * NET_S);
	assert_int_equal(net_ike_sas(net, 0) + net_ike_sas(net, 1), 0);
	net_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_dials_and_the_tunnel_is_up),
		cmocka_unit_test(every_proposal_works),
		cmocka_unit_test(every_esp_suite_is_negotiated_keyed_and_kept),
		cmocka_unit_test(esp_suites_that_the_data_plane_lacks_are_not_used),
		cmocka_unit_test(wrong_key_is_told_and_nothing_stands),
		cmocka_unit_test(wrong_identity_looks_like_a_wrong_key),
		cmocka_unit_test(no_common_ike_proposal_is_told),
		cmocka_unit_test(silence_backs_off_for_ever),
		cmocka_unit_test(child_refused_leaves_the_ike_sa),
		cmocka_unit_test(selectors_are_narrowed_or_refused),
		cmocka_unit_test(sequence_numbers_are_of_the_length_both_take),
		cmocka_unit_test(dead_dataplane_is_told),
		cmocka_unit_test(equal_settings_change_nothing),
		cmocka_unit_test(bad_settings_are_refused_with_a_sentence),
		cmocka_unit_test(initiate_only_refuses_to_be_dialled),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
