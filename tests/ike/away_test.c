/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an engine makes up when its data plane, which has lived on, can be reached again. Whole
 * daemons are in iked_away_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/ike/net.h"

#define INITIATE SPW_IKE_MODE_INITIATE
#define RESPOND	 SPW_IKE_MODE_RESPOND

static void
back(struct net *net, int i)
{
	struct net_host *h = &net->host[i];

	net_call_begins(h);
	ike_engine_dataplane_again(h->engine, net->now);
	net_call_ends(h);
}

static int
no_spi(void *ctx, uint32_t tunnel, uint32_t *spi)
{
	return -ENOTCONN;
}

/* The peer behind a NAT had moved, and the data plane could not be told where to. */
static void
the_end_of_a_peer_that_moved_is_told_again(void **state)
{
	struct net *net = net_new(1);

	net->nat = true;
	net_connect(net, INITIATE, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	back(net, 0);
	back(net, 1);
	assert_int_equal(net->host[0].moves, 0); /* we are behind the NAT: the peer does not move */
	assert_int_equal(net->host[1].moves, 1);
	net_free(net);
}

/* Dials that failed for want of an SPI have made the pauses long. */
static void
a_dial_that_failed_for_want_of_it_is_made_at_once(void **state)
{
	struct net *net = net_new(2);
	int (*alloc)(void *ctx, uint32_t tunnel, uint32_t *spi) = net->host[0].ops.spi_alloc;

	net->host[0].ops.spi_alloc = no_spi;
	net_connect(net, INITIATE, RESPOND);
	net_run(net, 100 * NET_S);
	assert_false(net_up(net, 0));
	net->host[0].ops.spi_alloc = alloc;
	assert_true(net_status(net, 0).next_try_ns > net->now + NET_S);
	back(net, 0);
	assert_true(net_run_up(net, NET_S));
	net_free(net);
}

static void
nothing_changes_where_nothing_was_missed(void **state)
{
	struct net *net = net_new(3);
	struct spw_ike_status before;

	net_connect(net, INITIATE, RESPOND);
	assert_true(net_run_up(net, 2 * NET_S));
	net_run_traffic(net);
	before = net_status(net, 0);
	for (int i = 0; i < 20; i++)
		back(net, i % 2);
	net_run(net, NET_S);
	net_expect_one(net);
	assert_true(net_status(net, 0).spi_i == before.spi_i);
	assert_int_equal(net_status(net, 0).child_rekeys, before.child_rekeys);
	assert_int_equal(net->esp_lost + net->esp_unsent, 0);
	net->traffic = false;
	net_run(net, NET_S);
	net_free(net);
}

/* Amid rekeys of all kinds, and away in the midst of each. */
static void
whenever_it_was_away_nothing_is_lost(void **state)
{
	for (uint64_t seed = 10; seed < 30; seed++) {
		struct net *net = net_new(seed);
		uint64_t rng = seed;

		net->delay_min = 1 * NET_MS;
		net->delay_max = 30 * NET_MS;
		net_connect(net, SPW_IKE_MODE_BOTH, seed & 1 ? SPW_IKE_MODE_BOTH : RESPOND);
		net_run_traffic(net);
		for (int n = 0; n < 60; n++) {
			uint64_t r = net_random(&rng);

			if (r % 3 == 0)
				back(net, (int)(r >> 8 & 1));
			else
				net_rekey(net, (int)(r >> 8 & 1),
					  r >> 9 & 1 ? SPW_IKE_RESET_IKE : SPW_IKE_RESET_CHILD);
			net_run(net, (r >> 16) % (60 * NET_MS));
		}
		net_run(net, 20 * NET_S);
		net->traffic_every = 100 * NET_MS;
		net_run(net, 130 * NET_S);
		assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		net_expect_one(net);
		net_free(net);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_peer_that_moved_is_told_again),
		cmocka_unit_test(a_dial_that_failed_for_want_of_it_is_made_at_once),
		cmocka_unit_test(whenever_it_was_away_nothing_is_lost),
		cmocka_unit_test(nothing_changes_where_nothing_was_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
