/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: NAT detection, ports, and peers that move (NAT). What a host sends is read from the
 * wire, what it makes of a message from its IKE SA.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet_init.h"

static uint8_t buf[4096];

static void
nat_03_behind_a_nat_ike_and_esp_move_to_4500_from_ike_auth_on(void **state)
{
	struct net *net = tape_net(30);

	net->nat = true;
	net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
	assert_true(net_run_up(net, 5 * NET_S));
	ike_engine_rekey(net->host[1].engine, net->now, "azure", SPW_IKE_RESET_IKE);
	net_run(net, 2 * NET_S);
	for (unsigned int i = 0; i < tape.n; i++)
		assert_int_equal(tape.at[i].local_port,
				 tape.at[i].h.exchange == IKE_X_SA_INIT ? 500 : 4500);
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < NET_SAS; k++)
			if (net->host[i].sa[k].in) {
				assert_int_equal(net->host[i].sa[k].desc.local_port, 4500);
				assert_true(net->host[i].sa[k].flags & SPW_SA_UDP_ENCAP);
			}
	tape_free(net);
}

static void
nat_05_a_peer_may_begin_on_4500(void **state)
{
	struct net *net = init_responder(31);
	const struct init_parts p = {.spi_i = 9};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	puppet_raw(net, 1, &net->host[0].addr, 4500, 4500, buf, len);
	assert_int_equal(tape.n, 1);
	assert_true(tape.at[0].m.has_ke);
	assert_int_equal(tape.at[0].local_port, 4500);
	assert_int_equal(tape.at[0].remote_port, 4500);
	tape_free(net);
}

/* An empty INFORMATIONAL of host 0 comes from another address. */
static void
nat_09_an_authentic_new_message_moves_the_peer_and_nothing_else_does(void **state)
{
	for (int who = 0; who < 2; who++) { /* who speaks: behind the NAT is host 0 */
		struct net *net = tape_net(32);
		const struct spw_addr moved = spw_addr_v4(0xcb00710a);
		struct ike_sa *sa, *peer;
		struct ike_builder b;
		unsigned int moves;
		size_t len;

		net->nat = true;
		net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
		assert_true(net_run_up(net, 5 * NET_S));
		net_run(net, 1 * NET_S);
		sa = puppet_sa(net, who);
		peer = puppet_sa(net, !who);
		moves = net->host[!who].moves;
		puppet_begin(net, who, &b, IKE_X_INFORMATIONAL, false, sa->next_out++);
		assert_int_equal(ike_build_seal(&b, sa->seal, &len), 0);
		b.w.start[len - 1] ^= 1; /* NAT-10: nothing before the ICV */
		puppet_raw(net, !who, &moved, 5555, 4500, b.w.start, len);
		assert_int_not_equal(peer->remote_port, 5555);
		b.w.start[len - 1] ^= 1;
		puppet_raw(net, !who, &moved, 5555, 4500, b.w.start, len);
		/* only towards the side behind the NAT */
		assert_int_equal(peer->remote_port == 5555, who == 0);
		assert_int_equal(spw_addr_equal(&peer->remote, &moved), who == 0);
		assert_int_equal(net->host[!who].moves, moves + (who == 0)); /* NAT-11 */
		puppet_raw(net, !who, &moved, 7777, 4500, b.w.start, len);   /* again: old */
		assert_int_not_equal(peer->remote_port, 7777);
		tape_free(net);
	}
}

/* The IKE_AUTH that host 0 sent comes from elsewhere, to port 4500, before it comes from host 0. */
static void
nat_09_without_a_nat_nobody_moves_the_peer_by_passing_on_its_ike_auth(void **state)
{
	const struct spw_addr thief = spw_addr_v4(0xcb00710a);

	for (int nat = 0; nat < 2; nat++) {
		struct net *net = tape_half(34);
		const struct taped *t = tape_last(0, IKE_X_AUTH, false);
		struct ike_sa *sa = puppet_sa(net, 1);

		sa->nat_there = nat;
		puppet_raw(net, 1, &thief, 5555, 4500, t->bytes, t->len);
		assert_int_equal(sa->state, IKE_SA_ESTABLISHED);
		assert_int_equal(spw_addr_equal(&sa->remote, &thief), nat);
		assert_int_equal(sa->remote_port, nat ? 5555 : 500);
		assert_int_equal(sa->local_port, nat ? 4500 : 500);
		assert_int_equal(spw_addr_equal(&net->host[1].sa[0].desc.remote, &thief), nat);
		tape.drop_from[0] = tape.drop_from[1] = 0; /* its answer is asked for again */
		if (!nat)
			assert_true(net_run_up(net, 5 * NET_S) && net_agrees(net));
		tape_free(net);
	}
}

static void
nat_14_a_peer_can_be_made_to_use_udp_and_hashes_stay_the_same(void **state)
{
	struct net *net = init_dialled(33, true);
	const struct ike_sa *sa = puppet_sa(net, 0);
	uint8_t hash[IKE_NATD_LEN];

	assert_int_equal(ike_nat_hash(sa->spi_i, 0, &sa->local, 500, hash), 0);
	assert_true(ike_nat_changed(&tape.at[0].m, IKE_N_NAT_DETECTION_SOURCE_IP, hash));
	assert_int_equal(ike_nat_hash(sa->spi_i, 0, &sa->remote, 500, hash), 0);
	assert_false(ike_nat_changed(&tape.at[0].m, IKE_N_NAT_DETECTION_DESTINATION_IP, hash));
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nat_03_behind_a_nat_ike_and_esp_move_to_4500_from_ike_auth_on),
		cmocka_unit_test(nat_05_a_peer_may_begin_on_4500),
		cmocka_unit_test(
			nat_09_an_authentic_new_message_moves_the_peer_and_nothing_else_does),
		cmocka_unit_test(
			nat_09_without_a_nat_nobody_moves_the_peer_by_passing_on_its_ike_auth),
		cmocka_unit_test(nat_14_a_peer_can_be_made_to_use_udp_and_hashes_stay_the_same),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
