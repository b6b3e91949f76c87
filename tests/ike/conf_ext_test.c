/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: what is left out and not agreed to (IKE-065, 066, 144, EXT): certificates, transport
 * mode, addresses, MOBIKE, AH, IKEv1 and the like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_auth.h"

static void
more_certificates(struct ike_builder *b)
{
	ike_build_bytes(b, IKE_P_CERT, "\4garbage", 8);
	ike_build_bytes(b, IKE_P_CERT, "", 0);
	ike_build_bytes(b, IKE_P_CERTREQ, "\4\xff", 2);
	ike_build_bytes(b, IKE_P_CERTREQ, "", 0);
}

static void
ike_065_certificates_are_not_looked_at(void **state)
{
	const struct auth_parts p = {.more = more_certificates};

	assert_int_equal(auth_outcome(&p), 0);
}

static void
more_wishes(struct ike_builder *b)
{
	static const uint16_t wishes[] = {IKE_N_USE_TRANSPORT_MODE,
					  IKE_N_NON_FIRST_FRAGMENTS_ALSO,
					  IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED,
					  IKE_N_MOBIKE_SUPPORTED,
					  IKE_N_CHILDLESS_IKEV2_SUPPORTED,
					  16442,
					  16406,
					  50000};

	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		ike_build_notify(b, wishes[i], 0, 0, NULL, 0);
	ike_build_notify(b, IKE_N_IPCOMP_SUPPORTED, 0, 0, "\0\1\2", 3);
	ike_build_bytes(b, IKE_P_CP, "\1\0\0\0\0\1\0\0", 8);
}

/* Wishes that are not granted are not mentioned: a plain tunnel comes of it. */
static void
expect_no_wish(void)
{
	const struct auth_parts p = {.more = more_wishes};
	struct net *net = tape_half(12);
	const struct taped *t = auth_send(net, &p);

	assert_true(t && t->m.has_auth && t->m.has_sa && t->m.has_tsi);
	assert_int_equal(t->m.n_notifies, 1); /* a token, which nobody has to wish for */
	assert_int_equal(t->m.notify[0].type, IKE_N_QCD_TOKEN);
	assert_false(t->m.has_cp);
	assert_int_equal(net->host[1].installs, 1);
	tape_free(net);
}

static void
ike_066_transport_mode_and_compression_are_not_agreed_to(void **state)
{
	expect_no_wish();
}

static void
ike_144_a_wish_for_an_address_is_not_granted(void **state)
{
	expect_no_wish();
}

static void
ext_01_mobike_is_neither_agreed_to_nor_acted_on(void **state)
{
	struct net *net = tape_up(13);
	uint16_t update = 16400; /* UPDATE_SA_ADDRESSES of RFC 4555 */
	const struct spw_addr remote = puppet_sa(net, 1)->remote;
	const struct taped *t =
		puppet_ask(net, 0, IKE_X_INFORMATIONAL, puppet_fill_notify, &update);

	assert_true(t && t->plain_len == 0);
	assert_true(spw_addr_equal(&remote, &puppet_sa(net, 1)->remote));
	assert_int_equal(net->host[1].moves, 0);
	expect_no_wish();
	tape_free(net);
}

static void
ext_06_an_exchange_nobody_agreed_to_is_refused(void **state)
{
	struct net *net = tape_half(14);
	struct ike_builder b;

	puppet_begin(net, 0, &b, 43, false, 1); /* IKE_INTERMEDIATE of RFC 9242 */
	puppet_send(net, 0, &b);
	assert_int_equal(net_ike_sas(net, 1), 0);
	assert_int_equal(net->host[1].installs, 0);
	tape_free(net);
}

static void
ext_09_aggregation_is_not_agreed_to(void **state)
{
	expect_no_wish();
}

static void
fill_ah(struct ike_builder *b, void *ctx)
{
	const struct spw_selector any = net_any();
	uint8_t nonce[32] = {1};

	/* HMAC-SHA2-256-128 and 32-bit sequence numbers */
	ike_build_bytes(b, IKE_P_SA, "\0\0\0\34\1\2\4\2zzzz\3\0\0\10\3\0\0\14\0\0\0\10\5\0\0\0",
			28);
	ike_build_bytes(b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ts(b, IKE_P_TSI, &any, 1);
	ike_build_ts(b, IKE_P_TSR, &any, 1);
}

static void
ext_10_ah_is_refused(void **state)
{
	struct net *net = tape_up(15);
	const struct taped *t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_ah, NULL);

	assert_int_equal(t->m.notify[0].type, IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(net_ike_sas(net, 1), 1);
	tape_free(net);
}

static void
ext_11_packets_of_ikev1_are_dropped(void **state)
{
	struct net *net = tape_up(16);
	uint8_t main_mode[64] = {[7] = 1, [16] = 1, [17] = 0x10, [18] = 2, [27] = 64};

	tape_clear();
	for (int flags = 0; flags < 256; flags++) {
		main_mode[19] = (uint8_t)flags;
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, main_mode, sizeof(main_mode));
	}
	assert_int_equal(tape.n, 0);
	assert_null(net->host[1].engine->sas->next);
	tape_free(net);
}

static void
ext_14_an_ike_sa_without_a_child_is_not_agreed_to(void **state)
{
	const struct auth_parts p = {.missing = AUTH_PART_SA | AUTH_PART_TSI | AUTH_PART_TSR};

	assert_int_equal(auth_outcome(&p), IKE_N_INVALID_SYNTAX);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_065_certificates_are_not_looked_at),
		cmocka_unit_test(ike_066_transport_mode_and_compression_are_not_agreed_to),
		cmocka_unit_test(ike_144_a_wish_for_an_address_is_not_granted),
		cmocka_unit_test(ext_01_mobike_is_neither_agreed_to_nor_acted_on),
		cmocka_unit_test(ext_06_an_exchange_nobody_agreed_to_is_refused),
		cmocka_unit_test(ext_09_aggregation_is_not_agreed_to),
		cmocka_unit_test(ext_10_ah_is_refused),
		cmocka_unit_test(ext_11_packets_of_ikev1_are_dropped),
		cmocka_unit_test(ext_14_an_ike_sa_without_a_child_is_not_agreed_to),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
