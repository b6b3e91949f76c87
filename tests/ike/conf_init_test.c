/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: IKE_SA_INIT (IKE-020 to 043). Key exchanges are counted by the linker.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/counted.h"
#include "tests/ike/puppet_init.h"

static uint8_t buf[4096];

/* A stateless error: one notify, SPIr 0, nothing kept. */
static void
expect_error(struct net *net, const struct taped *t, uint16_t type, const void *data, size_t len)
{
	assert_non_null(t);
	assert_int_equal(t->m.n_notifies, 1);
	assert_int_equal(t->m.notify[0].type, type);
	assert_int_equal(t->m.notify[0].data.len, len);
	if (len)
		assert_memory_equal(t->m.notify[0].data.bytes, data, len);
	assert_true(t->h.spi_r == 0);
	assert_int_equal(t->h.mid, 0);
	assert_null(net->host[1].engine->sas);
}

static void
ike_020_our_spis_are_random_set_and_unique(void **state)
{
	struct net *net = tape_net(1);
	struct spw_ike_conn c = net_conn(net, 0);
	struct ike_engine *e = net->host[0].engine;
	uint64_t rng = net->host[0].rng, last = 0;

	c.mode = SPW_IKE_MODE_INITIATE;
	net_set(net, 0, &c);
	assert_true(puppet_sa(net, 0)->spi_i != 0);
	net->host[0].rng = rng; /* the dice fall as they did */
	assert_true(ike_sa_fresh_spi(e) != puppet_sa(net, 0)->spi_i);
	for (int i = 0; i < 1000; i++) {
		uint64_t spi = ike_sa_fresh_spi(e);

		assert_true(spi != 0 && spi != last);
		last = spi;
	}
	tape_free(net);
}

static void
ike_021_our_nonces_are_32_octets_and_never_the_same(void **state)
{
	struct net *net = tape_up(2);
	const uint8_t *seen[64];
	unsigned int n = 0;

	for (int i = 0; i < 4; i++) {
		ike_engine_rekey(net->host[i & 1].engine, net->now, "azure", 1 + i / 2u);
		net_run(net, 8 * NET_S);
	}
	for (unsigned int i = 0; i < tape.n; i++) {
		const struct taped *t = &tape.at[i];

		if (!t->m.has_nonce)
			continue;
		assert_int_equal(t->m.nonce.len, 32);
		for (unsigned int k = 0; k < n; k++)
			assert_memory_not_equal(seen[k], t->m.nonce.bytes, 32);
		assert_true(n < 64);
		seen[n++] = t->m.nonce.bytes;
	}
	assert_true(n >= 10);
	tape_free(net);
}

static void
ike_021_nonces_of_16_to_256_octets_are_taken(void **state)
{
	static const struct {
		uint16_t len;
		bool taken;
	} t[] = {{1, false}, {15, false}, {16, true}, {32, true}, {256, true}, {257, false}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct net *net = init_responder(3);
		const struct init_parts p = {.spi_i = 1, .nonce_len = t[i].len};

		assert_int_equal(init_ask(net, &p) != NULL, t[i].taken);
		assert_int_equal(puppet_half_open(net), t[i].taken);
		tape_free(net);
	}
}

static void
ike_022_another_group_is_asked_for_and_nothing_is_kept(void **state)
{
	struct net *net = init_responder(4);
	const struct init_parts p = {.spi_i = 1, .ke_group = 14};
	const struct init_parts not_offered = {.spi_i = 1, .ke_group = 31};

	expect_error(net, init_ask(net, &p), IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2);
	expect_error(net, init_ask(net, &not_offered), IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2);
	tape_free(net);
}

static void
ike_030_no_common_proposal_is_told_and_nothing_is_kept(void **state)
{
	struct net *net = init_responder(5);
	const struct spw_ike_proposal other = {
		.encr = SPW_ENCR_AES128_GCM, .prf = SPW_PRF_HMAC_SHA384, .group = SPW_GROUP_ECP256};
	const struct init_parts p = {.spi_i = 1, .offer = &other, .n_offer = 1};

	expect_error(net, init_ask(net, &p), IKE_N_NO_PROPOSAL_CHOSEN, NULL, 0);
	tape_free(net);
}

/* ---- we dial ---- */

static void
ike_023_a_group_is_tried_once_when_we_offered_it(void **state)
{
	struct net *net = init_dialled(6, false);
	const struct taped *first = &tape.at[0], *t;

	assert_int_equal(first->m.ke_group, 14);
	assert_null(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\37", 2)); /* not offered */
	assert_null(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\2", 2));
	assert_null(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\23", 1));
	assert_null(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\0\23", 3));
	t = init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\24", 2);
	assert_non_null(t);
	assert_int_equal(t->m.ke_group, 20);
	assert_int_equal(t->h.mid, 0);
	assert_memory_equal(t->bytes, first->bytes, 8);
	assert_int_equal(t->m.sa.n_proposals, 3); /* no downgrade: all of them again */
	assert_memory_equal(&t->m.sa.transform, &first->m.sa.transform,
			    t->m.sa.n_transforms * sizeof(t->m.sa.transform[0]));
	assert_memory_equal(t->m.nonce.bytes, first->m.nonce.bytes, 32);
	assert_null(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\24", 2)); /* no loop */
	assert_null(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\16", 2));
	assert_int_equal(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2)->m.ke_group, 19);
	assert_null(init_hint(net, IKE_N_INVALID_KE_PAYLOAD, "\0\23", 2));
	tape_free(net);
}

static void
ike_031_unprotected_errors_are_hints(void **state)
{
	static const uint16_t errors[] = {1, 4, 7, 9, 11, 14, 24, 34, 35, 38, 39, 43, 44, 8000};
	struct net *net = tape_net(7);

	tape.drop_from[0] = 255;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_null(init_hint(net, errors[i], NULL, 0));
		assert_int_equal(puppet_sa(net, 0)->state, IKE_SA_INIT_SENT);
	}
	assert_int_equal(net_status(net, 0).attempts, 0);
	net_run(net, 2 * NET_S);
	assert_true(tape_count(0, IKE_X_SA_INIT, false) >= 3); /* it goes on asking */
	tape.drop_from[0] = 0;
	assert_true(net_run_up(net, 5 * NET_S));
	tape_free(net);
}

/* `t` is `first` with a cookie in front, and not otherwise changed. */
static void
expect_cookie(const struct taped *first, const struct taped *t, const uint8_t *cookie, size_t len)
{
	const size_t head = 8 + len;

	assert_non_null(t);
	assert_int_equal(t->len, first->len + head);
	assert_int_equal(t->first, IKE_P_NOTIFY);
	assert_int_equal(t->m.notify[0].type, IKE_N_COOKIE);
	assert_int_equal(t->m.notify[0].data.len, len);
	assert_memory_equal(t->m.notify[0].data.bytes, cookie, len);
	assert_memory_equal(t->bytes, first->bytes, 16);
	assert_int_equal(t->h.mid, 0);
	assert_int_equal(t->plain[0], first->first);
	assert_memory_equal(t->bytes + IKE_HEADER_LEN + head, first->bytes + IKE_HEADER_LEN,
			    first->len - IKE_HEADER_LEN);
}

static void
ike_032_a_cookie_comes_first_and_the_rest_stays_byte_for_byte(void **state)
{
	static const uint8_t cookie[65] = {1, 2, 3};

	for (int encap = 0; encap < 2; encap++) {
		struct net *net = init_dialled(8, encap);

		assert_null(init_hint(net, IKE_N_COOKIE, cookie, 0));
		assert_null(init_hint(net, IKE_N_COOKIE, cookie, 65));
		expect_cookie(&tape.at[0], init_hint(net, IKE_N_COOKIE, cookie, 1), cookie, 1);
		expect_cookie(&tape.at[0], init_hint(net, IKE_N_COOKIE, cookie, 64), cookie, 64);
		for (int i = 2; i < IKE_COOKIE_ROUNDS; i++)
			assert_non_null(init_hint(net, IKE_N_COOKIE, cookie, 33));
		assert_null(init_hint(net, IKE_N_COOKIE, cookie, 33)); /* enough */
		tape_free(net);
	}
}

static void
ike_033_cookies_and_groups_come_in_any_order(void **state)
{
	/* c = a cookie, k = a group: asked of us one after the other */
	static const char *const orders[] = {"ck", "kc", "ckc", "kck", "cckk"};

	for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
		struct net *net = init_dialled(9, false);
		uint8_t cookie[16] = {0};
		unsigned int ks = 0, cs = 0;

		for (const char *s = orders[o]; *s; s++) {
			const struct taped *t;

			cookie[0]++;
			t = *s == 'c' ? init_hint(net, IKE_N_COOKIE, cookie, sizeof(cookie))
				      : init_hint(net, IKE_N_INVALID_KE_PAYLOAD,
						  ks ? "\0\23" : "\0\24", 2);
			ks += *s == 'k';
			cs += *s == 'c';
			assert_non_null(t);
			assert_int_equal(t->m.ke_group, ks == 0 ? 14 : ks == 1 ? 20 : 19);
			assert_int_equal(t->first == IKE_P_NOTIFY, cs > 0);
		}
		tape_free(net);
	}
}

static void
ike_035_the_last_ike_sa_init_is_the_one_that_auth_covers(void **state)
{
	struct net *net = tape_net(10);
	struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};
	const struct taped *t;

	c[0].mode = SPW_IKE_MODE_INITIATE;
	c[1].mode = SPW_IKE_MODE_RESPOND;
	c[0].n_ike = 2;
	c[0].ike[1] = c[0].ike[0];
	c[0].ike[0].group = SPW_GROUP_ECP384;
	net->host[1].engine->config.half_open_cookies = 0;
	net_set(net, 1, &c[1]);
	for (uint64_t i = 1; i < 4; i++) { /* others knock: a cookie is wanted */
		const struct init_parts p = {.spi_i = i, .nonce_byte = (uint8_t)i};

		init_ask(net, &p);
	}
	tape_clear();
	tape.drop_from[0] = IKE_X_AUTH;
	net_set(net, 0, &c[0]);
	net_run(net, 200 * NET_MS);
	t = tape_last(0, IKE_X_SA_INIT, false);
	assert_true(tape_count(0, IKE_X_SA_INIT, false) >= 3); /* plain, with cookie, with group */
	assert_int_equal(puppet_sa(net, 0)->own_init.len, t->len);
	assert_memory_equal(puppet_sa(net, 0)->own_init.bytes, t->bytes, t->len);
	assert_memory_equal(puppet_sa(net, 1)->peer_init.bytes, t->bytes, t->len);
	t = tape_last(1, IKE_X_SA_INIT, true);
	assert_memory_equal(puppet_sa(net, 1)->own_init.bytes, t->bytes, t->len);
	assert_memory_equal(puppet_sa(net, 0)->peer_init.bytes, t->bytes, t->len);
	tape.drop_from[0] = 0;
	assert_true(net_run_up(net, 5 * NET_S)); /* and so both take the other's AUTH */
	tape_free(net);
}

static void
ike_034_a_wrong_cookie_is_as_none_and_two_secrets_count(void **state)
{
	struct net *net = init_responder(11);
	struct init_parts p = {.spi_i = 9};
	uint8_t cookie[IKE_COOKIE_LEN], wrong[IKE_COOKIE_LEN];

	net->host[1].engine->config.half_open_cookies = 0;
	for (uint64_t i = 1; i <= 3; i++) {
		const struct init_parts q = {.spi_i = i, .nonce_byte = (uint8_t)i};

		init_ask(net, &q);
	}
	assert_int_equal(init_ask(net, &p)->m.notify[0].type, IKE_N_COOKIE);
	assert_int_equal(puppet_half_open(net), 1);
	memcpy(cookie, tape.at[0].m.notify[0].data.bytes, sizeof(cookie));
	memcpy(wrong, cookie, sizeof(cookie));
	wrong[20] ^= 1;
	p.cookie = wrong;
	p.cookie_len = sizeof(wrong);
	assert_int_equal(init_ask(net, &p)->m.notify[0].type, IKE_N_COOKIE);
	p.cookie = cookie;
	assert_true(init_ask(net, &p)->m.has_ke);
	tape_free(net);
}

static void
ike_036_a_repeat_is_answered_with_the_same_bytes_and_no_work(void **state)
{
	struct net *net = init_responder(12);
	const struct init_parts p = {.spi_i = 9}, other = {.spi_i = 9, .nonce_byte = 1};
	uint8_t first[1024];
	const struct taped *t = init_ask(net, &p);
	size_t len = t->len;

	memcpy(first, t->bytes, len);
	counted_dh_made = 0;
	for (int i = 0; i < 10; i++) {
		t = init_ask(net, &p);
		assert_int_equal(t->len, len);
		assert_memory_equal(t->bytes, first, len);
	}
	assert_int_equal(counted_dh_made, 0);
	assert_int_equal(puppet_half_open(net), 1);
	assert_true(init_ask(net, &other)->m.has_ke); /* another nonce is another peer (NAT-13) */
	assert_int_equal(puppet_half_open(net), 2);
	tape_free(net);
}

static void
ike_036_a_repeat_after_ike_auth_is_ignored(void **state)
{
	struct net *net = tape_up(13);
	const struct taped *t = tape_last(0, IKE_X_SA_INIT, false);
	uint8_t copy[1024];
	size_t len = t->len;

	memcpy(copy, t->bytes, len);
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, copy, len);
	assert_int_equal(tape.n, 0);
	assert_int_equal(puppet_half_open(net), 0);
	tape_free(net);
}

static void
ike_037_a_forged_answer_delays_and_does_not_prevent(void **state)
{
	struct net *net = tape_net(14);
	struct ike_dh *dh;
	struct ike_builder b;
	uint8_t nonce[32] = {5};
	size_t len;

	net->delay_min = net->delay_max = 100 * NET_MS;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	const struct ike_header h = {.spi_i = puppet_sa(net, 0)->spi_i,
				     .spi_r = 0x666,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};

	assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, net_conn(net, 0).ike, 1, 1, true);
	ike_build_ke(&b, 19, ike_dh_public(dh), 64);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	assert_int_equal(ike_build_finish(&b, &len), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, len);
	ike_dh_free(dh);
	net_run(net, 10 * NET_S);
	assert_int_equal(net_ike_sas(net, 0), 0);
	assert_true(net_run_up(net, 40 * NET_S));
	tape_free(net);
}

/* An answer to host 0 with a point that is on no curve. */
static void
forge_bad_point(struct net *net)
{
	const struct ike_header h = {.spi_i = puppet_sa(net, 0)->spi_i,
				     .spi_r = 0x666,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};
	uint8_t point[64] = {1}, nonce[32] = {5};
	struct ike_builder b;
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, net_conn(net, 0).ike, 1, 1, true);
	ike_build_ke(&b, 19, point, sizeof(point));
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_notify(&b, IKE_N_USE_PPK, 0, 0, NULL, 0);
	assert_int_equal(ike_build_finish(&b, &len), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, len);
}

static void
ike_037_a_forged_answer_without_a_key_exchange_costs_nothing(void **state)
{
	for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
		struct net *net = tape_net(18);
		struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};
		uint64_t spi;

		net->delay_min = net->delay_max = 100 * NET_MS;
		if (elsewhere)
			net_dh(net, 0, 1 * NET_MS, 1 * NET_MS);
		c[0].ppk_len = c[0].ppk_id_len = 4; /* which the forger takes, and the peer not */
		c[0].mode = SPW_IKE_MODE_INITIATE;
		c[1].mode = SPW_IKE_MODE_RESPOND;
		net_set(net, 1, &c[1]);
		net_set(net, 0, &c[0]);
		net_run(net, 20 * NET_MS);
		spi = puppet_sa(net, 0)->spi_i;
		for (int i = 0; i < 3; i++) {
			forge_bad_point(net);
			net_run(net, 10 * NET_MS);
			assert_int_equal(puppet_sa(net, 0)->state, IKE_SA_INIT_SENT);
			assert_string_equal(net_status(net, 0).reason,
					    "key exchange with the peer failed");
		}
		assert_true(net_run_up(net, 1 * NET_S));
		assert_true(puppet_sa(net, 0)->spi_i == spi);
		assert_int_equal(net_status(net, 0).attempts, 0);
		assert_string_equal(net_status(net, 0).reason, "");
		tape_free(net);
	}
}

static void
ike_041_answers_go_where_the_request_came_from(void **state)
{
	struct net *net = init_responder(15);
	const struct init_parts p = {.spi_i = 9};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 12345, 500, buf, len);
	assert_int_equal(tape.n, 1);
	assert_int_equal(tape.at[0].remote_port, 12345);
	assert_int_equal(tape.at[0].local_port, 500);
	assert_true(spw_addr_equal(&tape.at[0].remote, &net->host[0].addr));
	tape_free(net);
}

static void
more_unknown(struct ike_builder *b)
{
	static const uint16_t seen[] = {16406, 16418, 16430, 16431, 16420, 16435, 16440, 65535, 40};

	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		ike_build_notify(b, seen[i], 0, 0, "\0\2\0\3", 4);
}

static void
ike_042_unknown_notifies_do_no_harm(void **state)
{
	struct net *net = init_responder(16);
	const struct init_parts p = {.spi_i = 9, .head = more_unknown, .more = more_unknown};

	assert_true(init_ask(net, &p)->m.has_ke);
	tape_free(net);
}

static void
ike_043_nothing_is_made_or_kept_before_the_cookie_is_good(void **state)
{
	struct net *net = init_responder(17);
	unsigned int n = getenv("SPW_LONG") ? 1000000 : 20000;
	unsigned int before;
	size_t heap;

	for (uint64_t i = 1; i <= 3; i++) {
		const struct init_parts p = {.spi_i = i, .nonce_byte = (uint8_t)i};

		init_ask(net, &p);
	}
	before = puppet_half_open(net);
	tape_clear();
	net->script = NULL; /* the tape itself would grow */
	heap = mallinfo2().uordblks;
	counted_dh_made = counted_keys_derived = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct init_parts p = {.spi_i = 1000 + i};
		struct ike_datagram d = {.local = net->host[1].addr,
					 .remote = net->host[0].addr,
					 .local_port = 500,
					 .remote_port = (uint16_t)i,
					 .bytes = buf,
					 .len = puppet_init(buf, sizeof(buf), &p)};

		net->host[1].dead = true; /* its answers are made and go nowhere */
		ike_engine_input(net->host[1].engine, net->now, &d);
	}
	assert_int_equal(counted_dh_made + counted_keys_derived, 0);
	assert_int_equal(puppet_half_open(net), before);
	assert_true(mallinfo2().uordblks <= heap + 100000);
	net->host[1].dead = false;
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_020_our_spis_are_random_set_and_unique),
		cmocka_unit_test(ike_021_our_nonces_are_32_octets_and_never_the_same),
		cmocka_unit_test(ike_021_nonces_of_16_to_256_octets_are_taken),
		cmocka_unit_test(ike_022_another_group_is_asked_for_and_nothing_is_kept),
		cmocka_unit_test(ike_030_no_common_proposal_is_told_and_nothing_is_kept),
		cmocka_unit_test(ike_023_a_group_is_tried_once_when_we_offered_it),
		cmocka_unit_test(ike_031_unprotected_errors_are_hints),
		cmocka_unit_test(ike_032_a_cookie_comes_first_and_the_rest_stays_byte_for_byte),
		cmocka_unit_test(ike_033_cookies_and_groups_come_in_any_order),
		cmocka_unit_test(ike_035_the_last_ike_sa_init_is_the_one_that_auth_covers),
		cmocka_unit_test(ike_034_a_wrong_cookie_is_as_none_and_two_secrets_count),
		cmocka_unit_test(ike_036_a_repeat_is_answered_with_the_same_bytes_and_no_work),
		cmocka_unit_test(ike_036_a_repeat_after_ike_auth_is_ignored),
		cmocka_unit_test(ike_037_a_forged_answer_delays_and_does_not_prevent),
		cmocka_unit_test(ike_037_a_forged_answer_without_a_key_exchange_costs_nothing),
		cmocka_unit_test(ike_041_answers_go_where_the_request_came_from),
		cmocka_unit_test(ike_042_unknown_notifies_do_no_harm),
		cmocka_unit_test(ike_043_nothing_is_made_or_kept_before_the_cookie_is_good),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
