/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: IKE_AUTH with a pre-shared key (IKE-050 to 064). IKE_AUTH is written by hand, its
 * AUTH computed from the standard's formula and not by the engine, whose own computations of AUTH
 * the linker counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/counted.h"
#include "tests/ike/puppet_auth.h"
#include "tests/ike/puppet_child.h"

static void
ike_050_auth_is_by_the_formula_and_of_method_2(void **state)
{
	static const uint8_t methods[] = {1, 3, 9, 10, 11, 12, 13, 14, 255};
	const struct auth_parts good = {0}, with_nul = {.pad = AUTH_PAD, .pad_len = 18};

	assert_int_equal(auth_outcome(&good), 0);
	assert_int_equal(auth_outcome(&with_nul), IKE_N_AUTHENTICATION_FAILED);
	for (size_t i = 0; i < sizeof(methods); i++) {
		const struct auth_parts p = {.method = methods[i]};

		assert_int_equal(auth_outcome(&p), IKE_N_AUTHENTICATION_FAILED);
	}
}

static void
ike_051_keys_of_any_length_and_content_are_taken_as_they_are(void **state)
{
	static const uint32_t lengths[] = {1, 2, 63, 64, 65, 128, 255, 256};

	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		struct net *net = tape_net(2);
		char key[257];

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = "a b\tc\0d \xff"[i % 9];
		for (int i = 1; i >= 0; i--) {
			struct spw_ike_conn c = net_conn(net, i);

			c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_INITIATE;
			c.psk_len = lengths[k];
			memcpy(c.psk, key, lengths[k]);
			net_set(net, i, &c);
		}
		tape.drop_from[0] = IKE_X_AUTH;
		net_run(net, 100 * NET_MS);
		const struct auth_parts p = {.psk = key, .psk_len = lengths[k]};

		assert_true(auth_send(net, &p)->m.has_auth);
		tape_free(net);
	}
}

static void
ike_052_key_and_identities_are_refused_alike_after_the_same_work(void **state)
{
	static const uint8_t stranger[8] = {SPW_ID_FQDN, 0, 0, 0, 'n', 'o', 'n', 'e'};
	const struct auth_parts wrong[] = {
		{.psk = "x", .psk_len = 1},
		{.id = {stranger, 8}},
		{.other = {stranger, 8}},
	};
	uint8_t first[64];
	size_t len = 0;
	unsigned int work = 0;

	for (int i = 0; i < 3; i++) {
		struct net *net = tape_half(3);
		const struct taped *t;

		counted_auths_computed = 0;
		t = auth_send(net, &wrong[i]);
		assert_int_equal(t->m.notify[0].type, IKE_N_AUTHENTICATION_FAILED);
		assert_true(t->plain_len < sizeof(first));
		if (i == 0) {
			memcpy(first, t->plain, t->plain_len);
			len = t->plain_len;
			work = counted_auths_computed;
		}
		assert_int_equal(t->plain_len, len);
		assert_memory_equal(t->plain, first, len);
		assert_int_equal(counted_auths_computed, work);
		assert_int_equal(net_ike_sas(net, 1), 0);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0);
		tape_free(net);
	}
	assert_true(work > 0);
}

/* Whichever of two keys it is, or none, and whether there are two: the same work. */
static void
ike_052_two_keys_are_tried_with_the_same_work_as_one(void **state)
{
	static const struct auth_parts p[] = {
		{0}, {.psk = "next", .psk_len = 4}, {.psk = "none", .psk_len = 4}};
	unsigned int work[2][3];

	for (int two = 0; two < 2; two++)
		for (int i = 0; i < 3; i++) {
			struct net *net = tape_half(6);
			struct spw_ike_conn c = net->host[1].conn;

			c.next_psk_len = two ? 4 : 0;
			memcpy(c.next_psk, "next", 4);
			/* as it would have been from the beginning */
			ike_psk_unload(net->host[1].engine->conns);
			assert_int_equal(ike_psk_load(net->host[1].engine->conns, &c), 0);
			assert_int_equal(ike_conn_mark(net->host[1].engine->conns), 0);
			counted_auths_computed = 0;
			assert_int_equal(auth_send(net, &p[i])->m.has_auth,
					 i == 0 || (two && i == 1));
			work[two][i] =
				counted_auths_computed - (i == 0 || (two && i == 1)); /* ours */
			tape_free(net);
		}
	for (int i = 0; i < 6; i++)
		assert_int_equal(work[i / 3][i % 3], work[0][0]);
	assert_int_equal(work[0][0], 2);
}

static void
ike_054_every_kind_of_identity_is_sent_and_matched(void **state)
{
	static const struct spw_ike_id ids[] = {
		{.type = SPW_ID_IPV4, .len = 4, .data = {10, 0, 0, 1}},
		{.type = SPW_ID_IPV6, .len = 16, .data = {0x20, 1, 0xd, 0xb8}},
		{.type = SPW_ID_FQDN, .len = 11, .data = "gw.contoso."},
		{.type = SPW_ID_RFC822, .len = 5, .data = "a@b.c"},
		{.type = SPW_ID_KEY_ID, .len = 3, .data = {0, 0xff, 7}},
		{.type = SPW_ID_FQDN, .len = SPW_IKE_ID_MAX, .data = {'z'}},
	};

	for (size_t k = 0; k < sizeof(ids) / sizeof(ids[0]); k++)
		for (int match = 0; match < 2; match++) {
			struct net *net = tape_net(4);
			struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

			c[0].mode = SPW_IKE_MODE_INITIATE;
			c[1].mode = SPW_IKE_MODE_RESPOND;
			c[0].local_id = c[1].remote_id = ids[k];
			c[0].remote_id = c[1].local_id = ids[(k + 1) % 6];
			if (!match)
				c[1].remote_id.data[0] ^= 1;
			net_set(net, 1, &c[1]);
			net_set(net, 0, &c[0]);
			assert_int_equal(net_run_up(net, 2 * NET_S), match);
			tape_free(net);
		}
}

static void
ike_054_identities_of_a_wrong_length_are_refused(void **state)
{
	static const uint8_t v4[] = {SPW_ID_IPV4, 0, 0, 0, 1, 2, 3, 4, 5};
	static const uint8_t v6[] = {SPW_ID_IPV6, 0, 0, 0, 1, 2, 3, 4};
	static uint8_t giant[4000] = {SPW_ID_FQDN};
	const struct {
		struct ike_chunk id;
		uint16_t error;
	} t[] = {
		{{v4, 7}, IKE_N_INVALID_SYNTAX},    {{v4, 9}, IKE_N_INVALID_SYNTAX},
		{{v6, 8}, IKE_N_INVALID_SYNTAX},    {{v4, 4}, IKE_N_INVALID_SYNTAX},
		{{giant, 4}, IKE_N_INVALID_SYNTAX}, {{giant, 4000}, IKE_N_AUTHENTICATION_FAILED},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct auth_parts p = {.id = t[i].id};

		assert_int_equal(auth_outcome(&p), t[i].error);
	}
}

static void
ike_006_reserved_octets_of_an_identity_are_covered_by_auth(void **state)
{
	static const uint8_t odd[8] = {SPW_ID_IPV4, 1, 2, 3, 192, 0, 2, 1};
	static const uint8_t even[8] = {SPW_ID_IPV4, 0, 0, 0, 192, 0, 2, 1};
	const struct auth_parts covered = {.id = {odd, 8}};
	const struct auth_parts not_covered = {.id = {even, 8}, .claimed = {odd, 8}};

	assert_int_equal(auth_outcome(&covered), 0);
	assert_int_equal(auth_outcome(&not_covered), IKE_N_AUTHENTICATION_FAILED);
}

static void
ike_055_missing_and_doubled_payloads_of_a_request_are_told(void **state)
{
	static const unsigned int parts[] = {AUTH_PART_IDI, AUTH_PART_AUTH, AUTH_PART_SA,
					     AUTH_PART_TSI, AUTH_PART_TSR};

	for (size_t i = 0; i < 5; i++) {
		const struct auth_parts missing = {.missing = parts[i]};
		const struct auth_parts twice = {.twice = parts[i]};

		assert_int_equal(auth_outcome(&missing), parts[i] == AUTH_PART_AUTH
								 ? IKE_N_AUTHENTICATION_FAILED
								 : IKE_N_INVALID_SYNTAX);
		assert_int_equal(auth_outcome(&twice), IKE_N_INVALID_SYNTAX);
	}
	const struct auth_parts no_idr = {.missing = AUTH_PART_IDR};

	assert_int_equal(auth_outcome(&no_idr), 0); /* that one may be left out */
}

static void
ike_055_missing_and_doubled_payloads_of_an_answer_are_survived(void **state)
{
	static const unsigned int parts[] = {AUTH_PART_IDR, AUTH_PART_AUTH, AUTH_PART_SA,
					     AUTH_PART_TSI, AUTH_PART_TSR};

	for (size_t i = 0; i < 5; i++)
		for (int twice = 0; twice < 2; twice++) {
			const struct auth_parts p = {.missing = twice ? 0 : parts[i],
						     .twice = twice ? parts[i] : 0};
			struct net *net = auth_answered(&p);

			/* without its child the IKE SA is good */
			assert_int_equal(net_ike_sas(net, 0), !twice && parts[i] >= AUTH_PART_SA);
			assert_int_equal(net_sas(net, 0), 0);
			tape_free(net);
		}
}

static void
ike_057_there_is_no_key_exchange_in_ike_auth(void **state)
{
	struct net *net = tape_net(6);

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_INITIATE;
		c.esp[0].group = SPW_GROUP_ECP384;
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 2 * NET_S));
	for (int i = 0; i < 2; i++) {
		const struct taped *t = tape_last(i, IKE_X_AUTH, i);

		assert_true(t->opened && t->m.has_sa && !t->m.has_ke && !t->m.has_nonce);
		for (unsigned int k = 0; k < t->m.sa.n_transforms; k++)
			assert_int_not_equal(t->m.sa.transform[k].type, SPW_TRANSFORM_DH);
	}
	tape_free(net);
}

static void
more_initial_contact(struct ike_builder *b)
{
	ike_build_notify(b, IKE_N_INITIAL_CONTACT, 0, 0, NULL, 0);
}

static void
ike_058_initial_contact_counts_only_with_a_good_auth(void **state)
{
	for (int good = 0; good < 2; good++) {
		struct net *net = tape_up(7);
		struct spw_ike_conn c = net_conn(net, 0);
		const struct auth_parts p = {.more = more_initial_contact,
					     .psk = good ? AUTH_PSK : "no",
					     .psk_len = good ? AUTH_PSK_LEN : 2};
		uint32_t before = net->host[1].active;

		net_run(net, 20 * NET_S);
		net_reboot(net, 0, false);
		tape.drop_from[0] = tape.drop_from[1] = IKE_X_AUTH;
		net_set(net, 0, &c);
		net_run(net, 100 * NET_MS);
		auth_send(net, &p);
		assert_int_equal(net_ike_sas(net, 1), 1); /* the new one or the old one */
		assert_int_equal(net->host[1].active != before, good);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0); /* silently */
		tape_free(net);
	}
}

static void
ike_059_initial_contact_is_sent_when_nothing_else_stands(void **state)
{
	for (int orphan = 0; orphan < 2; orphan++) {
		struct net *net = tape_net(8);

		net->host[0].engine->config.no_initial_contact = orphan;
		net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
		assert_true(net_run_up(net, 2 * NET_S));
		assert_int_equal(ike_wire_notify(&tape_last(0, IKE_X_AUTH, false)->m,
						 IKE_N_INITIAL_CONTACT) != NULL,
				 !orphan);
		net_run(net, 1 * NET_S);
		net->host[0].engine->conns->renew = true;
		ike_wake_conn(net->host[0].engine->conns);
		net->host[0].engine->config.no_initial_contact = false;
		ike_engine_tick(net->host[0].engine, net->now);
		net_run(net, 1 * NET_S);
		assert_int_equal(tape_count(0, IKE_X_AUTH, false), 2);
		assert_null(ike_wire_notify(&tape_last(0, IKE_X_AUTH, false)->m,
					    IKE_N_INITIAL_CONTACT));
		tape_free(net);
	}
}

static void
ike_061_a_half_open_ike_sa_cannot_be_rekeyed(void **state)
{
	struct net *net = tape_half(9);
	struct ike_builder b;

	puppet_begin(net, 0, &b, IKE_X_CREATE_CHILD, false, 1);
	child_fill_ike_rekey(&b, NULL);
	tape_clear();
	puppet_send(net, 0, &b);
	assert_int_equal(tape.n, 0);
	assert_int_equal(net_ike_sas(net, 1), 0);
	assert_null(net->host[1].engine->sas->next);
	tape_free(net);
}

/* ---- a mirror ---- */

static void
mirror(struct net *net, const struct taped *t)
{
	uint8_t copy[4096];

	assert_true(t->len <= sizeof(copy));
	memcpy(copy, t->bytes, t->len);
	net_inject(net, 0, copy, t->len, t->local_port);
	copy[19] ^= IKE_FLAG_RESPONSE; /* and as if it were the answer */
	net_inject(net, 0, copy, t->len, t->local_port);
	copy[19] ^= IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR;
	net_inject(net, 0, copy, t->len, t->local_port);
}

static void
ike_062_our_own_messages_never_authenticate_anybody(void **state)
{
	for (int same_id = 0; same_id < 2; same_id++) {
		struct net *net = tape_net(10);
		struct spw_ike_conn c = net_conn(net, 0);

		/* the worst case: both ends are configured with one identity */
		if (same_id)
			c.local_id = c.remote_id =
				(struct spw_ike_id){.type = SPW_ID_FQDN, .len = 4, .data = "same"};
		tape.on_send = mirror;
		net_set(net, 0, &c);
		for (int s = 0; s < 60; s++) {
			net_run(net, 1 * NET_S);
			tape_clear();
			assert_int_equal(net_ike_sas(net, 0), 0);
			assert_int_equal(net->host[0].installs, 0);
		}
		tape_free(net);
	}
}

/* ---- errors after IKE_AUTH ---- */

static void
ike_063_an_answer_we_do_not_believe_is_told_once_and_forgotten(void **state)
{
	const struct auth_parts p = {.psk = "no", .psk_len = 2};
	struct net *net = auth_answered(&p);

	assert_int_equal(tape_count(0, IKE_X_INFORMATIONAL, false), 1);
	assert_int_equal(tape_last(0, IKE_X_INFORMATIONAL, false)->m.notify[0].type,
			 IKE_N_AUTHENTICATION_FAILED);
	assert_int_equal(net_ike_sas(net, 0), 0);
	assert_int_equal(net->host[0].installs, 0);
	tape_free(net);
}

static void
ike_063_a_peer_that_does_not_believe_us_ends_the_ike_sa(void **state)
{
	static const uint16_t errors[] = {IKE_N_AUTHENTICATION_FAILED, IKE_N_INVALID_SYNTAX};

	for (int i = 0; i < 2; i++) {
		struct net *net = tape_up(11);
		uint16_t error = errors[i];
		const struct taped *t =
			puppet_ask(net, 0, IKE_X_INFORMATIONAL, puppet_fill_notify, &error);

		assert_true(t && t->plain_len == 0);
		assert_int_equal(net_ike_sas(net, 1), 0);
		assert_int_equal(net_sas(net, 1), 0);
		tape_free(net);
	}
}

static void
ike_064_a_request_without_auth_is_refused(void **state)
{
	const struct auth_parts p = {.missing = AUTH_PART_AUTH};

	assert_int_equal(auth_outcome(&p), IKE_N_AUTHENTICATION_FAILED);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_050_auth_is_by_the_formula_and_of_method_2),
		cmocka_unit_test(ike_051_keys_of_any_length_and_content_are_taken_as_they_are),
		cmocka_unit_test(ike_052_key_and_identities_are_refused_alike_after_the_same_work),
		cmocka_unit_test(ike_052_two_keys_are_tried_with_the_same_work_as_one),
		cmocka_unit_test(ike_054_every_kind_of_identity_is_sent_and_matched),
		cmocka_unit_test(ike_054_identities_of_a_wrong_length_are_refused),
		cmocka_unit_test(ike_006_reserved_octets_of_an_identity_are_covered_by_auth),
		cmocka_unit_test(ike_055_missing_and_doubled_payloads_of_a_request_are_told),
		cmocka_unit_test(ike_055_missing_and_doubled_payloads_of_an_answer_are_survived),
		cmocka_unit_test(ike_057_there_is_no_key_exchange_in_ike_auth),
		cmocka_unit_test(ike_058_initial_contact_counts_only_with_a_good_auth),
		cmocka_unit_test(ike_059_initial_contact_is_sent_when_nothing_else_stands),
		cmocka_unit_test(ike_061_a_half_open_ike_sa_cannot_be_rekeyed),
		cmocka_unit_test(ike_062_our_own_messages_never_authenticate_anybody),
		cmocka_unit_test(ike_063_an_answer_we_do_not_believe_is_told_once_and_forgotten),
		cmocka_unit_test(ike_063_a_peer_that_does_not_believe_us_ends_the_ike_sa),
		cmocka_unit_test(ike_064_a_request_without_auth_is_refused),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
