/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two pre-shared keys while both ends change theirs: who is believed with which, what the next dial
 * signs with, and that a change of the unused one touches nothing. Keys are single letters here;
 * the second of a pair is the next one, 0 = none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

#define INITIATE SPW_IKE_MODE_INITIATE
#define RESPOND	 SPW_IKE_MODE_RESPOND

static void
keys(struct net *net, int i, uint32_t mode, char first, char next)
{
	struct spw_ike_conn c = net_conn(net, i);

	c.mode = mode;
	c.psk_len = 20;
	memset(c.psk, first, c.psk_len);
	if (next) {
		c.next_psk_len = 21;
		memset(c.next_psk, next, c.next_psk_len);
		if (next == first) /* keys are the same only when they are as long */
			c.next_psk_len = 20;
	}
	net_set(net, i, &c);
}

static struct net *
pair(uint64_t seed, const char initiator[2], const char responder[2])
{
	struct net *net = tape_net(seed);

	net->audit = true;
	keys(net, 1, RESPOND, responder[0], responder[1]);
	keys(net, 0, INITIATE, initiator[0], initiator[1]);
	return net;
}

/* A key of 21 octets stands in the next place only: here it stands first. */
static void
keys_swapped(struct net *net, int i, uint32_t mode, char first, char next)
{
	struct spw_ike_conn c = net_conn(net, i);

	c.mode = mode;
	c.psk_len = 21;
	memset(c.psk, first, c.psk_len);
	if (next) {
		c.next_psk_len = 20;
		memset(c.next_psk, next, c.next_psk_len);
	}
	net_set(net, i, &c);
}

static void
a_responder_believes_either_key_and_answers_under_the_same(void **state)
{
	struct net *net = pair(1, "a", "ab");

	assert_true(net_run_up(net, 2 * NET_S));
	assert_int_equal(net_status(net, 1).psk, 1);
	tape_free(net);

	net = tape_net(2);
	keys(net, 1, RESPOND, 'a', 'b');
	keys_swapped(net, 0, INITIATE, 'b',
		     0); /* it knows no other: our AUTH must be under this one */
	assert_true(net_run_up(net, 2 * NET_S));
	assert_int_equal(net_status(net, 0).psk, 1);
	assert_int_equal(net_status(net, 1).psk, 2);
	tape_free(net);

	net = pair(3, "c", "ab");
	assert_false(net_run_up(net, 20 * NET_S));
	assert_int_equal(net_status(net, 0).psk + net_status(net, 1).psk, 0);
	tape_free(net);
}

/* A key in the next place alone fits nobody who has it first only by its length. */
static void
a_key_is_the_whole_of_its_octets(void **state)
{
	struct net *net = pair(4, "b", "ab"); /* 20 and 21 octets of the same letter */

	assert_false(net_run_up(net, 5 * NET_S));
	tape_free(net);
}

static void
a_refused_dial_is_followed_by_one_with_the_other_key(void **state)
{
	struct net *net = tape_net(5);
	uint64_t first;

	keys_swapped(net, 1, RESPOND, 'b', 0);
	keys(net, 0, INITIATE, 'a', 'b');
	first = net->now;
	assert_true(net_run_up(net, 5 * NET_S));
	assert_int_equal(tape_count(0, IKE_X_AUTH, false), 2);
	assert_int_equal(tape_last(0, IKE_X_AUTH, false)->at >= first + 800 * NET_MS, 1);
	assert_int_equal(net_status(net, 0).psk, 2);
	/* what was proved is what the next dial begins with */
	tape_clear();
	ike_engine_reset(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_IKE);
	net_run(net, 1 * NET_S);
	assert_true(net_agrees(net));
	assert_int_equal(tape_count(0, IKE_X_AUTH, false), 1);
	tape_free(net);
}

static void
what_the_peer_proved_is_what_we_dial_with(void **state)
{
	struct net *net = tape_net(6);

	keys(net, 1, SPW_IKE_MODE_BOTH, 'a', 'b');
	tape.drop_from[1] = 255; /* its own dial comes to nothing */
	net_run(net, 20 * NET_S);
	tape.drop_from[1] = 0;
	keys_swapped(net, 0, SPW_IKE_MODE_BOTH, 'b', 0);
	assert_true(net_run_up(net, 5 * NET_S));
	net_run(net, 20 * NET_S);
	tape_clear();
	tape.drop_requests_only = true;
	tape.drop_from[0] = IKE_X_SA_INIT; /* now it is host 1 that dials */
	ike_engine_reset(net->host[1].engine, net->now, "azure", SPW_IKE_RESET_IKE);
	net_run(net, 5 * NET_S);
	assert_true(net_agrees(net));
	assert_int_equal(tape_count(1, IKE_X_AUTH, false), 1);
	assert_int_equal(net_status(net, 1).psk, 2);
	tape_free(net);
}

static void
keys_that_both_fail_are_tried_in_turn_with_the_usual_patience(void **state)
{
	struct net *net = pair(7, "ab", "c");
	uint64_t at[4] = {0};
	unsigned int n = 0;

	net_run(net, 30 * NET_S);
	for (unsigned int i = 0; i < tape.n && n < 4; i++)
		if (tape.at[i].from == 0 && tape.at[i].h.exchange == IKE_X_AUTH)
			at[n++] = tape.at[i].at;
	assert_int_equal(n, 4); /* after 1, 2 and 4 s */
	assert_true(at[1] - at[0] < 2 * NET_S && at[3] - at[2] > 3 * NET_S);
	assert_int_equal(net->host[0].installs + net->host[1].installs, 0);
	keys(net, 1, RESPOND, 'a', 0); /* one of them after all */
	assert_true(net_run_up(net, 60 * NET_S));
	assert_int_equal(net_status(net, 0).psk, 1);
	tape_free(net);
}

/* ---- changes under a running SA ---- */

static struct net *
running(uint64_t seed, const char k[2])
{
	struct net *net = pair(seed, k, k);

	assert_true(net_run_up(net, 2 * NET_S));
	net->traffic = true;
	net_run(net, 1 * NET_S);
	return net;
}

static void
the_unused_key_may_be_added_changed_and_removed(void **state)
{
	struct net *net = running(10, "a");
	uint64_t spi = net_status(net, 0).spi_i;

	tape_clear();
	for (const char *next = "bcdd"; *next; next++)
		for (int i = 0; i < 2; i++)
			keys(net, i, i ? RESPOND : INITIATE, 'a', *next);
	for (int i = 0; i < 2; i++)
		keys(net, i, i ? RESPOND : INITIATE, 'a', 0);
	net_run(net, 5 * NET_S);
	assert_true(net_status(net, 0).spi_i == spi && net_status(net, 1).spi_i == spi);
	assert_int_equal(net->host[0].installs + net->host[1].installs, 2);
	assert_true(net->esp_lost == 0 && net->esp_unsent == 0);
	assert_int_equal(tape_count(0, IKE_X_INFORMATIONAL, false), 0);
	tape_free(net);
}

/* The whole of a change of key at both ends, as docs/iked.md tells it. */
static void
both_ends_change_their_key_without_losing_anything(void **state)
{
	struct net *net = running(11, "a");
	uint64_t spi = net_status(net, 0).spi_i;

	keys(net, 1, RESPOND, 'a', 'b');
	net_run(net, 3 * NET_S);
	keys(net, 0, INITIATE, 'a', 'b');
	net_run(net, 3 * NET_S);
	keys_swapped(net, 0, INITIATE, 'b', 'a'); /* the SA stands under the one that is next now */
	keys_swapped(net, 1, RESPOND, 'b', 'a');
	net_run(net, 3 * NET_S);
	assert_true(net_status(net, 0).spi_i == spi);
	assert_int_equal(net_status(net, 0).psk, 2);
	ike_touch(ike_conn_sa(net->host[0].engine->conns));
	net->host[0].engine->conns->renew = true; /* a new IKE SA beside the old one */
	ike_engine_tick(net->host[0].engine, net->now);
	net_run(net, 20 * NET_S);
	assert_true(net_status(net, 0).spi_i != spi);
	assert_int_equal(net_status(net, 0).psk, 1);
	spi = net_status(net, 0).spi_i;
	keys_swapped(net, 0, INITIATE, 'b', 0);
	keys_swapped(net, 1, RESPOND, 'b', 0);
	net_run(net, 3 * NET_S);
	assert_true(net_status(net, 0).spi_i == spi);
	assert_true(net->esp_lost == 0 && net->esp_unsent == 0);
	assert_int_equal(net_status(net, 0).psk + net_status(net, 1).psk, 2);
	tape_free(net);
}

static void
without_the_key_it_was_authenticated_with_an_sa_begins_anew(void **state)
{
	struct net *net = running(12, "ab");
	uint64_t spi = net_status(net, 0).spi_i;

	keys_swapped(net, 0, INITIATE, 'b', 0);
	net_run(net, 3 * NET_S);
	assert_true(net_status(net, 0).spi_i != spi && net_agrees(net));
	assert_int_equal(net_status(net, 0).psk, 1);
	assert_int_equal(net_status(net, 1).psk, 2);
	tape_free(net);
}

static void
a_new_key_is_tried_at_once_where_nothing_stands(void **state)
{
	struct net *net = pair(13, "a", "b");

	net_run(net, 60 * NET_S); /* the back-off is long by now */
	assert_false(net_up(net, 0));
	keys(net, 0, INITIATE, 'b', 0);
	net_run(net, 1 * NET_S);
	assert_true(net_up(net, 0) && net_up(net, 1));
	tape_free(net);
}

static void
rekeys_stay_with_the_key_of_the_first(void **state)
{
	struct net *net = tape_net(14);
	uint64_t spi;

	keys(net, 1, RESPOND, 'a', 'b');
	keys_swapped(net, 0, INITIATE, 'b', 0);
	assert_true(net_run_up(net, 2 * NET_S));
	net_run(net, 1 * NET_S);
	for (int n = 0; n < 4; n++) {
		net_rekey(net, n & 1, SPW_IKE_RESET_IKE);
		net_run(net, 3 * NET_S);
		assert_int_equal(net_status(net, 1).psk, 2);
	}
	spi = net_status(net, 1).spi_i;
	keys(net, 1, RESPOND, 'x', 'b'); /* the unused one changes */
	net_run(net, 3 * NET_S);
	assert_true(net_status(net, 1).spi_i == spi);
	tape_free(net);
}

/* Killed, and started again with other keys. */
static bool
goes_on_with(bool swapped, char first, char next)
{
	struct net *net = tape_net(15);
	struct net_host *h = &net->host[1];
	uint64_t spi;
	bool same;

	keys(net, 1, RESPOND, 'a', 'b');
	keys_swapped(net, 0, INITIATE, 'b', 0);
	assert_true(net_run_up(net, 2 * NET_S));
	net_run(net, 1 * NET_S);
	spi = net_status(net, 1).spi_i;
	net_kill_at(net, 1, 1, false, 100 * NET_MS);
	net_rekey(net, 1, SPW_IKE_RESET_CHILD);
	assert_int_equal(h->kills, 1);
	h->conn.psk_len = swapped ? 21 : 20;
	memset(h->conn.psk, first, h->conn.psk_len);
	h->conn.next_psk_len = next ? (swapped ? 20 : 21) : 0;
	memset(h->conn.next_psk, next, sizeof(h->conn.next_psk));
	net_run(net, 3 * NET_S);
	same = net_status(net, 1).spi_i == spi;
	if (same)
		assert_int_equal(net_status(net, 1).psk, swapped ? 1 : 2);
	net_run(net, 100 * NET_S);
	if (!same)
		h->active = 0; /* an orphan, and no key to make another with */
	net_orphans_end(net, 1);
	tape_free(net);
	return same;
}

static void
from_escrow_an_sa_is_taken_by_whoever_has_its_key(void **state)
{
	assert_true(goes_on_with(false, 'a', 'b'));
	assert_true(goes_on_with(false, 'x', 'b'));
	assert_true(goes_on_with(true, 'b', 'a'));
	assert_true(goes_on_with(true, 'b', 0));
	assert_false(goes_on_with(false, 'a', 0));
	assert_false(goes_on_with(false, 'a', 'x'));
}

static void
a_handshake_killed_at_every_step_ends_with_the_key_that_fits(void **state)
{
	for (int victim = 0; victim < 2; victim++)
		for (unsigned int n = 1; n < 10; n++) {
			struct net *net = tape_net(20 + n);

			net->audit = true;
			net_kill_at(net, victim, n, n & 1, 200 * NET_MS);
			keys_swapped(net, 1, RESPOND, 'b', 'c');
			keys(net, 0, INITIATE, 'a', 'b');
			assert_true(net_run_up(net, 30 * NET_S));
			net->host[victim].kill_in = 0;
			net_run(net, 120 * NET_S);
			assert_int_equal(net_status(net, 0).psk, 2);
			assert_int_equal(net_status(net, 1).psk, 1);
			net_orphans_end(net, 0);
			net_orphans_end(net, 1);
			tape_free(net);
		}
}

static void
no_secret_stays_in_the_settings_of_a_connection(void **state)
{
	static const uint8_t zero[SPW_IKE_PSK_MAX];
	struct net *net = tape_net(40);
	struct spw_ike_conn c = net_conn(net, 0), *set;

	c.mode = RESPOND;
	c.ppk_len = c.next_psk_len = 100;
	c.ppk_id_len = 1;
	memset(c.next_psk, 'n', 100);
	memset(c.ppk, 'q', 100);
	net_set(net, 0, &c);
	set = &net->host[0].engine->conns->set;
	assert_memory_equal(set->psk, zero, sizeof(zero));
	assert_memory_equal(set->next_psk, zero, sizeof(zero));
	assert_memory_equal(set->ppk, zero, sizeof(zero));
	assert_int_equal(set->psk_len + set->next_psk_len + set->ppk_len, 0);
	tape_free(net);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_responder_believes_either_key_and_answers_under_the_same),
		cmocka_unit_test(a_key_is_the_whole_of_its_octets),
		cmocka_unit_test(a_refused_dial_is_followed_by_one_with_the_other_key),
		cmocka_unit_test(what_the_peer_proved_is_what_we_dial_with),
		cmocka_unit_test(keys_that_both_fail_are_tried_in_turn_with_the_usual_patience),
		cmocka_unit_test(the_unused_key_may_be_added_changed_and_removed),
		cmocka_unit_test(both_ends_change_their_key_without_losing_anything),
		cmocka_unit_test(without_the_key_it_was_authenticated_with_an_sa_begins_anew),
		cmocka_unit_test(a_new_key_is_tried_at_once_where_nothing_stands),
		cmocka_unit_test(rekeys_stay_with_the_key_of_the_first),
		cmocka_unit_test(from_escrow_an_sa_is_taken_by_whoever_has_its_key),
		cmocka_unit_test(a_handshake_killed_at_every_step_ends_with_the_key_that_fits),
		cmocka_unit_test(no_secret_stays_in_the_settings_of_a_connection),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
