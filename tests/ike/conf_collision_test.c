/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: collisions of CREATE_CHILD_SA and Delete (IKE-104 to 117). One engine is asked by
 * hand while it is about something of its own; what it answers is read from the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_child.h"

#define CHILD SPW_IKE_RESET_CHILD
#define IKE   SPW_IKE_RESET_IKE

static void
ike_104_a_child_being_deleted_is_not_rekeyed(void **state)
{
	struct net *net = child_waiting(20, CHILD, true);

	assert_int_equal(
		child_error(child_ask(net, 0, (struct child_wish){.rekey = child_spi(net, 0)})),
		IKE_N_TEMPORARY_FAILURE);
	tape_free(net);
}

static void
ike_105_a_delete_of_a_child_being_rekeyed_is_answered(void **state)
{
	struct net *net = child_waiting(21, CHILD, false);
	uint32_t ours = child_spi(net, 1), theirs = child_spi(net, 0);
	const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, child_fill_delete, &theirs);

	assert_int_equal(t->m.n_deletes, 1);
	assert_int_equal(ike_wire_delete_spi(&t->m.del[0], 0), ours);
	tape_free(net);
}

static void
ike_106_a_delete_that_crosses_ours_is_answered_without_one(void **state)
{
	struct net *net = child_waiting(22, CHILD, true);
	uint32_t theirs = child_spi(net, 0);
	const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, child_fill_delete, &theirs);

	assert_non_null(t);
	assert_int_equal(t->plain_len, 0);
	assert_int_equal(net_sas(net, 1), 1); /* the inbound half waits for our answer */
	puppet_answer(net, 0, NULL, NULL);
	net_run(net, 6 * NET_S);
	assert_int_equal(net_sas(net, 1), 0);
	tape_free(net);
}

static void
ike_107_a_delete_of_nothing_is_answered_empty(void **state)
{
	struct net *net = tape_up(23);
	uint32_t nobody = 0x01020304;
	const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, child_fill_delete, &nobody);

	assert_true(t && t->plain_len == 0);
	assert_int_equal(net_sas(net, 1), 1);
	tape_free(net);
}

static void
ike_108_an_ike_rekey_waits_for_an_exchange_about_a_child(void **state)
{
	for (int delete = 0; delete < 2; delete ++) {
		struct net *net = child_waiting(24, CHILD, delete);

		assert_int_equal(child_error(puppet_ask(net, 0, IKE_X_CREATE_CHILD,
							child_fill_ike_rekey, NULL)),
				 IKE_N_TEMPORARY_FAILURE);
		assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_ESTABLISHED);
		tape_free(net);
	}
}

static void
ike_109_a_child_waits_for_an_ike_rekey(void **state)
{
	struct net *net = child_waiting(25, IKE, false);

	assert_int_equal(child_error(child_ask(net, 0, (struct child_wish){.spi = 0x3001})),
			 IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(
		child_error(child_ask(net, 0, (struct child_wish){.rekey = child_spi(net, 0)})),
		IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(net_sas(net, 1), 1);
	tape_free(net);
}

static void
ike_110_a_delete_of_a_child_does_not_wait_for_an_ike_rekey(void **state)
{
	struct net *net = child_waiting(26, IKE, false);
	uint32_t ours = child_spi(net, 1), theirs = child_spi(net, 0);
	const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, child_fill_delete, &theirs);

	assert_int_equal(t->m.n_deletes, 1);
	assert_int_equal(ike_wire_delete_spi(&t->m.del[0], 0), ours);
	assert_int_equal(child_spi(net, 1), 0);
	tape_free(net);
}

static void
ike_112_a_late_rekey_of_a_rekeyed_ike_sa_is_refused(void **state)
{
	struct net *net = tape_up(27);
	struct ike_sa *old = puppet_sa(net, 0);
	struct ike_builder b;

	tape.drop_from[1] = IKE_X_INFORMATIONAL; /* host 1's Delete of the old one is lost */
	ike_engine_rekey(net->host[1].engine, net->now, "azure", IKE);
	net_run(net, 100 * NET_MS);
	assert_true(puppet_sa(net, 0) != old);
	const struct ike_header h = {.spi_i = old->spi_i,
				     .spi_r = old->spi_r,
				     .exchange = IKE_X_CREATE_CHILD,
				     .flags = IKE_FLAG_INITIATOR,
				     .mid = old->next_out++};
	static uint8_t buf[2048];
	size_t len;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_sk(&b, old->seal);
	child_fill_ike_rekey(&b, NULL);
	assert_int_equal(ike_build_seal(&b, old->seal, &len), 0);
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, len);
	assert_int_equal(child_error(tape_last(1, IKE_X_CREATE_CHILD, true)),
			 IKE_N_TEMPORARY_FAILURE);
	tape.drop_from[1] = 0;
	net_run(net, 20 * NET_S);
	assert_true(net_agrees(net));
	tape_free(net);
}

static void
ike_115_a_closing_ike_sa_makes_nothing(void **state)
{
	struct net *net = tape_up(28);
	uint32_t spi = child_spi(net, 0);

	tape.drop_from[1] = 255;
	ike_engine_shutdown(net->host[1].engine, net->now);
	assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_CLOSING);
	assert_int_equal(child_error(child_ask(net, 0, (struct child_wish){.spi = 0x3001})),
			 IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(child_error(child_ask(net, 0, (struct child_wish){.rekey = spi})),
			 IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(
		child_error(puppet_ask(net, 0, IKE_X_CREATE_CHILD, child_fill_ike_rekey, NULL)),
		IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(net_sas(net, 1), 0);
	tape_free(net);
}

static void
ike_116_a_busy_peer_is_left_alone_for_5_to_30_seconds(void **state)
{
	struct net *net = tape_up(29);
	uint16_t busy = IKE_N_TEMPORARY_FAILURE;
	uint64_t least = UINT64_MAX, most = 0;

	for (int n = 0; n < 6; n++) {
		uint64_t asked = net->now;

		tape.drop_from[0] = IKE_X_CREATE_CHILD;
		if (n == 0)
			ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
		tape_clear();
		puppet_answer(net, 1, puppet_fill_notify, &busy);
		while (tape_count(0, IKE_X_CREATE_CHILD, false) == 0)
			net_run(net, 50 * NET_MS);
		least = ike_min_u64(least, net->now - asked);
		most = net->now - asked > most ? net->now - asked : most;
	}
	assert_true(least >= 5 * NET_S);
	assert_true(most <= 31 * NET_S);
	assert_true(most > least + NET_S); /* drawn anew each time */
	tape.drop_from[0] = 0;
	net_run(net, 20 * NET_S);
	assert_true(net_agrees(net));
	tape_free(net);
}

static void
ike_117_a_corrected_group_meets_the_peers_rekey(void **state)
{
	for (uint64_t gap = 0; gap < 80; gap += 4) {
		struct net *net = tape_net(30 + gap);
		struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

		c[0].mode = SPW_IKE_MODE_BOTH;
		c[1].mode = SPW_IKE_MODE_RESPOND;
		c[0].n_esp = 2;
		c[0].esp[1] = c[0].esp[0];
		c[0].esp[0].group = SPW_GROUP_ECP384;
		c[0].esp[1].group = c[1].esp[0].group = SPW_GROUP_ECP256;
		net_set(net, 1, &c[1]);
		net_set(net, 0, &c[0]);
		net_run_traffic(net);
		ike_engine_rekey(net->host[0].engine, net->now, "azure", CHILD);
		net_run(net, gap * NET_MS + 1);
		ike_engine_rekey(net->host[1].engine, net->now, "azure", CHILD);
		net_run(net, 30 * NET_S);
		net->traffic_every = 200 * NET_MS;
		net_run(net, 100 * NET_S);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		assert_int_equal(net_sas(net, 0) + net_sas(net, 1), 2);
		assert_true(net_agrees(net));
		tape_free(net);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_104_a_child_being_deleted_is_not_rekeyed),
		cmocka_unit_test(ike_105_a_delete_of_a_child_being_rekeyed_is_answered),
		cmocka_unit_test(ike_106_a_delete_that_crosses_ours_is_answered_without_one),
		cmocka_unit_test(ike_107_a_delete_of_nothing_is_answered_empty),
		cmocka_unit_test(ike_108_an_ike_rekey_waits_for_an_exchange_about_a_child),
		cmocka_unit_test(ike_109_a_child_waits_for_an_ike_rekey),
		cmocka_unit_test(ike_110_a_delete_of_a_child_does_not_wait_for_an_ike_rekey),
		cmocka_unit_test(ike_112_a_late_rekey_of_a_rekeyed_ike_sa_is_refused),
		cmocka_unit_test(ike_115_a_closing_ike_sa_makes_nothing),
		cmocka_unit_test(ike_116_a_busy_peer_is_left_alone_for_5_to_30_seconds),
		cmocka_unit_test(ike_117_a_corrected_group_meets_the_peers_rekey),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
