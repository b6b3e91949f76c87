/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers at their ends: message ids, clocks and lifetimes that nobody meets in a lifetime, and
 * that must not turn into a storm of messages or into ids used twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

/* An IKE SA whose ids must not go on asks to be rekeyed; who refuses is not asked at once again. */
static void
ike_155_a_peer_that_refuses_is_asked_with_pauses(void **state)
{
	static const uint16_t refusals[] = {IKE_N_TEMPORARY_FAILURE, IKE_N_NO_PROPOSAL_CHOSEN};

	for (int way = 0; way < 4; way++) {
		struct net *net = tape_up(1 + (uint64_t)way);
		uint16_t refusal = refusals[way & 1];
		struct ike_sa *sa = puppet_sa(net, 0);

		net->host[1].dead = true; /* but for the puppet */
		sa->conn->set.dpd_delay_s = 0;
		*(way & 2 ? &sa->next_in : &sa->next_out) = 0x80000001u;
		*(way & 2 ? &puppet_sa(net, 1)->next_out : &puppet_sa(net, 1)->next_in) =
			0x80000001u;
		ike_wake(sa);
		ike_engine_tick(net->host[0].engine, net->now);
		for (int n = 0; n < 4; n++) {
			uint64_t asked = net->now;

			tape_clear();
			puppet_answer(net, 1, puppet_fill_notify, &refusal);
			while (tape_count(0, IKE_X_CREATE_CHILD, false) == 0 &&
			       net->now < asked + 60 * NET_S)
				net_run(net, 50 * NET_MS);
			assert_in_range(net->now - asked, 5 * NET_S, 31 * NET_S);
		}
		tape_free(net);
	}
}

/* Whatever the peer refuses, no id is used twice: what was recorded would be taken for new. */
static void
ike_155_an_ike_sa_ends_with_its_ids(void **state)
{
	for (int way = 0; way < 2; way++) {
		struct net *net = tape_up(11 + (uint64_t)way);
		uint64_t old = net_status(net, 0).spi_i;

		puppet_sa(net, way)->next_out = puppet_sa(net, !way)->next_in = UINT32_MAX - 20;
		for (int s = 0; s < 200 && net_status(net, 0).spi_i == old; s++) {
			for (int i = 0; i < 2; i++) {
				struct ike_sa *sa = puppet_sa(net, i);

				if (sa->spi_i != old)
					continue;
				if (i == way) {
					assert_true(sa->next_out >= UINT32_MAX - 20);
					sa->probe_wanted = sa->req.task == IKE_TASK_NONE;
				} else { /* busy, whatever is asked for */
					sa->req.task = IKE_TASK_CHILD;
					sa->req.next_ns = UINT64_MAX;
				}
				ike_wake(sa);
				ike_engine_tick(net->host[i].engine, net->now);
			}
			net_run(net, 1 * NET_S);
		}
		net_run(net, 5 * NET_S);
		assert_true(net_status(net, 0).spi_i != old);
		assert_true(puppet_sa(net, 0)->next_out < 100);
		assert_true(net_up(net, 0) && net_agrees(net));
		tape_free(net);
	}
}

static void
ike_161_any_time_will_do(void **state)
{
	static const uint64_t starts[] = {0,
					  1,
					  UINT64_C(1) << 31,
					  UINT64_C(1) << 32,
					  (UINT64_C(1) << 63) - 5 * NET_S,
					  UINT64_MAX - 200 * NET_S};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct net *net = tape_net(21);

		net->now = starts[i];
		net_reboot(net, 0, false);
		net_reboot(net, 1, false);
		net_connect(net, SPW_IKE_MODE_BOTH, SPW_IKE_MODE_RESPOND);
		assert_true(net_run_up(net, 5 * NET_S));
		for (int n = 0; n < 4; n++) {
			net_run(net, 8 * NET_S);
			net_rekey(net, n & 1, SPW_IKE_RESET_CHILD);
		}
		net_run(net, 20 * NET_S);
		assert_int_equal(net_status(net, 0).child_rekeys, 4);
		assert_int_equal(net->host[0].downs + net->host[1].downs, 0);
		tape_free(net);
	}
}

/* The longest that a message can say is no time at all of its own, and never "at once". */
static void
lif_07_the_longest_lifetimes_are_long(void **state)
{
	struct net *net = tape_net(31);

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
		c.child_seconds.soft = c.child_bytes.soft = c.child_packets.soft = UINT64_MAX - i;
		c.child_seconds.hard = c.child_bytes.hard = c.child_packets.hard = UINT64_MAX;
		c.ike_rekey_s = c.dpd_timeout_s = UINT32_MAX;
		c.nat_keepalive_s = UINT32_MAX;
		c.jitter_percent = 0;
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 3600 * NET_S);
	assert_int_equal(net_status(net, 0).child_rekeys + net_status(net, 0).ike_rekeys, 0);
	assert_int_equal(net->host[0].downs + net->host[1].downs, 0);
	assert_true(net_agrees(net));
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_155_a_peer_that_refuses_is_asked_with_pauses),
		cmocka_unit_test(ike_155_an_ike_sa_ends_with_its_ids),
		cmocka_unit_test(ike_161_any_time_will_do),
		cmocka_unit_test(lif_07_the_longest_lifetimes_are_long),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
