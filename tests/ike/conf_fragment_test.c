/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: fragments of IKE messages on the wire (RFC 7383, FRAG). The rules of putting pieces
 * together are in fragment_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

#define PACKET 576

static struct net *
up(uint64_t seed, uint32_t fragment0, uint32_t fragment1)
{
	struct net *net = tape_net(seed);

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
		c.fragment = i ? fragment1 : fragment0;
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 1 * NET_S);
	tape_clear();
	return net;
}

/* A long INFORMATIONAL of host i, cut; the pieces stand in a row. */
static unsigned int
cut(struct net *net, int i, bool response, uint32_t mid, const uint8_t *at[8], size_t len[8])
{
	static const uint8_t text[1200];
	struct ike_sa *sa = puppet_sa(net, i);
	const uint8_t *bytes;
	struct ike_builder b;
	unsigned int n = 0;
	size_t all;

	puppet_begin(net, i, &b, IKE_X_INFORMATIONAL, response, mid);
	ike_build_bytes(&b, IKE_P_VENDOR, text, sizeof(text));
	assert_int_equal(ike_fragment_seal(sa, &b, &bytes, &all), 0);
	for (; all > 0; n++) {
		assert_true(n < 8);
		at[n] = bytes;
		len[n] = spw_get_be32(bytes + 24);
		bytes += len[n];
		all -= len[n];
	}
	return n;
}

static void
frag_01_pieces_are_ignored_when_they_were_not_agreed_on(void **state)
{
	struct net *net = up(1, PACKET, 0);
	const uint8_t *at[8];
	size_t len[8];
	unsigned int n;

	puppet_sa(net, 0)->fragment = PACKET; /* against the agreement */
	n = cut(net, 0, false, puppet_sa(net, 0)->next_out, at, len);
	assert_true(n >= 3);
	for (unsigned int i = 0; i < n; i++)
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, at[i], len[i]);
	assert_int_equal(tape.n, 0);
	assert_int_equal(net_ike_sas(net, 1), 1);
	puppet_sa(net, 0)->fragment = 0;
	assert_non_null(puppet_ask(net, 0, IKE_X_INFORMATIONAL, NULL, NULL)); /* same id: new */
	tape_free(net);
}

static void
frag_01_ike_sa_init_is_never_cut(void **state)
{
	struct net *net = tape_net(2);
	struct spw_ike_conn c = net_conn(net, 0);

	c.fragment = PACKET;
	for (c.n_ike = 0; c.n_ike < SPW_IKE_PROPOSALS; c.n_ike++)
		c.ike[c.n_ike] = (struct spw_ike_proposal){.encr = SPW_ENCR_AES256_CBC,
							   .integ = SPW_INTEG_HMAC_SHA256_128,
							   .prf = SPW_PRF_HMAC_SHA256,
							   .group = SPW_GROUP_MODP2048};
	net_set(net, 0, &c);
	assert_int_equal(tape.n, 1);
	assert_true(tape.at[0].len > PACKET);
	assert_int_equal(tape.at[0].h.next, IKE_P_SA);
	assert_non_null(ike_wire_notify(&tape.at[0].m, IKE_N_FRAGMENTATION_SUPPORTED));
	tape_free(net);
}

static void
frag_02_each_piece_is_a_message_of_its_own(void **state)
{
	struct net *net = up(3, PACKET, PACKET);
	const uint8_t *at[8];
	uint64_t iv = 0;
	size_t len[8];
	unsigned int n = cut(net, 0, false, 7, at, len);

	assert_true(n >= 3);
	for (unsigned int i = 0; i < n; i++) {
		struct ike_header h;
		struct ike_sk sk;
		uint8_t copy[PACKET], *plain;
		size_t plain_len;

		assert_true(len[i] <= PACKET - 28);
		assert_int_equal(ike_wire_header(&h, at[i], len[i]), 0);
		assert_int_equal(h.mid, 7);
		assert_int_equal(h.next, IKE_P_SKF);
		assert_int_equal(ike_wire_find_sk(&h, at[i], len[i], &sk), 0);
		assert_int_equal(sk.fragment, i + 1);
		assert_int_equal(sk.total, n);
		assert_int_equal(sk.inner, i == 0 ? IKE_P_VENDOR : 0);
		assert_true(spw_get_be64(at[i] + sk.aad_len) > iv);
		iv = spw_get_be64(at[i] + sk.aad_len);
		memcpy(copy, at[i], len[i]);
		assert_int_equal(ike_cipher_open(puppet_sa(net, 1)->open, copy, len[i], sk.aad_len,
						 &plain, &plain_len),
				 0);
	}
	tape_free(net);
}

static void
frag_05_pieces_come_in_any_order_and_doubled(void **state)
{
	static const unsigned int orders[][5] = {
		{0, 1, 2, 2, 2}, {2, 1, 0, 0, 0}, {1, 1, 0, 1, 2}, {2, 0, 2, 0, 1}};

	for (size_t o = 0; o < 4; o++) {
		struct net *net = up(4, PACKET, PACKET);
		const uint8_t *at[8];
		size_t len[8];
		unsigned int n = cut(net, 0, false, puppet_sa(net, 0)->next_out, at, len);

		assert_int_equal(n, 3);
		for (int i = 0; i < 5; i++)
			puppet_raw(net, 1, &net->host[0].addr, 500, 500, at[orders[o][i]],
				   len[orders[o][i]]);
		assert_true(tape_count(1, IKE_X_INFORMATIONAL, true) >= 1);
		puppet_sa(net, 0)->next_out++;
		assert_non_null(puppet_ask(net, 0, IKE_X_INFORMATIONAL, NULL, NULL));
		tape_free(net);
	}
}

static void
frag_05_a_request_and_an_answer_come_together_at_once(void **state)
{
	struct net *net = up(5, PACKET, PACKET);
	const uint8_t *at[8];
	uint8_t answer[8][PACKET];
	size_t len[8], answer_len[8];
	uint32_t mid = puppet_sa(net, 1)->next_out;
	unsigned int n;

	tape.drop_from[1] = 255;
	puppet_sa(net, 1)->probe_wanted = true; /* host 1 asks whether we live */
	ike_engine_tick(net->host[1].engine, net->now);
	assert_int_equal(puppet_sa(net, 1)->req.mid, mid);
	n = cut(net, 0, true, mid, at, answer_len);
	for (unsigned int i = 0; i < n; i++)
		memcpy(answer[i], at[i], answer_len[i]);
	tape_clear();
	assert_int_equal(cut(net, 0, false, puppet_sa(net, 1)->next_in, at, len), n);
	for (unsigned int i = 0; i < n; i++) { /* piece by piece in turn */
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, at[i], len[i]);
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, answer[i], answer_len[i]);
	}
	assert_int_equal(puppet_sa(net, 1)->req.task, IKE_TASK_NONE);
	assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, true), 1);
	tape_free(net);
}

static void
frag_05_pieces_are_kept_for_30_seconds(void **state)
{
	struct net *net = up(6, PACKET, PACKET);
	const uint8_t *at[8];
	size_t len[8], before;
	struct ike_sa *sa = puppet_sa(net, 1);

	net->host[0].dead = true;
	before = sa->pieces[0].total;
	assert_int_equal(before, 0);
	cut(net, 0, false, puppet_sa(net, 0)->next_out, at, len);
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, at[0], len[0]);
	assert_int_equal(sa->pieces[0].total, 3);
	net_run(net, 29 * NET_S);
	assert_int_equal(sa->pieces[0].total, 3);
	net_run(net, 1100 * NET_MS);
	assert_int_equal(sa->pieces[0].total, 0);
	tape_free(net);
}

static void
frag_06_only_the_first_piece_brings_the_answer_again(void **state)
{
	struct net *net = up(7, PACKET, PACKET);
	const uint8_t *at[8];
	size_t len[8];
	unsigned int n = cut(net, 0, false, puppet_sa(net, 0)->next_out, at, len);

	for (unsigned int i = 0; i < n; i++)
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, at[i], len[i]);
	for (unsigned int i = 0; i < n; i++) {
		tape_clear();
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, at[i], len[i]);
		assert_int_equal(tape.n, i == 0);
	}
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frag_01_pieces_are_ignored_when_they_were_not_agreed_on),
		cmocka_unit_test(frag_01_ike_sa_init_is_never_cut),
		cmocka_unit_test(frag_02_each_piece_is_a_message_of_its_own),
		cmocka_unit_test(frag_05_pieces_come_in_any_order_and_doubled),
		cmocka_unit_test(frag_05_a_request_and_an_answer_come_together_at_once),
		cmocka_unit_test(frag_05_pieces_are_kept_for_30_seconds),
		cmocka_unit_test(frag_06_only_the_first_piece_brings_the_answer_again),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
