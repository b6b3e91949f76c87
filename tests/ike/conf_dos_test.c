/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: floods (DOS). What a stranger may cost: cookies, answers, and key exchanges, which
 * the linker counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/counted.h"
#include "tests/ike/puppet_init.h"

static uint8_t buf[4096];

static void
dos_01_cookies_are_wanted_above_the_limits_and_until_it_is_calm(void **state)
{
	struct net *net = init_responder(20);
	unsigned int n = 0;

	for (uint64_t i = 1; i <= 20; i++) {
		const struct init_parts p = {.spi_i = i, .nonce_byte = (uint8_t)i};

		n += init_ask(net, &p)->m.has_ke;
	}
	assert_int_equal(n, IKE_PER_SOURCE);
	net_run(net, 4 * NET_S);
	const struct init_parts late = {.spi_i = 21, .nonce_byte = 21};

	assert_int_equal(init_ask(net, &late)->m.notify[0].type, IKE_N_COOKIE);
	net_run(net, 2 * NET_S); /* they are gone, but it is not calm yet */
	assert_int_equal(puppet_half_open(net), 0);
	const struct init_parts soon = {.spi_i = 22, .nonce_byte = 22};

	assert_int_equal(init_ask(net, &soon)->m.notify[0].type, IKE_N_COOKIE);
	net_run(net, 10 * NET_S);
	const struct init_parts calm = {.spi_i = 23, .nonce_byte = 23};

	assert_true(init_ask(net, &calm)->m.has_ke);
	tape_free(net);
}

static void
dos_03_only_configured_peers_are_answered(void **state)
{
	struct net *net = init_responder(21);
	const struct init_parts p = {.spi_i = 9};
	size_t len = puppet_init(buf, sizeof(buf), &p);

	counted_dh_made = 0;
	for (uint32_t i = 1; i < 2000; i++) {
		const struct spw_addr stranger = spw_addr_v4(0xcb007100 + i);

		puppet_raw(net, 1, &stranger, 500, 500, buf, len);
	}
	assert_int_equal(tape.n, 0);
	assert_int_equal(counted_dh_made, 0);
	assert_true(init_ask(net, &p)->m.has_ke); /* nothing of the limits was used up */
	tape_free(net);
}

static void
dos_04_bad_messages_to_a_half_open_sa_cost_no_keys(void **state)
{
	struct net *net = tape_half(22);
	const struct taped *t = tape_last(0, IKE_X_AUTH, false);
	unsigned int answered = tape_count(1, IKE_X_AUTH, true);

	counted_dh_made = counted_keys_derived = 0;
	for (unsigned int i = 0; i < 1000; i++) {
		t->bytes[40 + i % (t->len - 40)] ^= 1;
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, t->bytes, t->len);
		t->bytes[40 + i % (t->len - 40)] ^= 1;
	}
	assert_int_equal(counted_dh_made + counted_keys_derived, 0);
	assert_int_equal(tape_count(1, IKE_X_AUTH, true), answered);
	assert_int_equal(puppet_sa(net, 1)->state, IKE_SA_HALF_OPEN);
	tape.drop_from[0] = tape.drop_from[1] = 0;
	assert_true(net_run_up(net, 5 * NET_S));
	tape_free(net);
}

static void
dos_06_answers_to_strangers_are_hardly_longer_than_what_came(void **state)
{
	struct net *net = tape_up(23);
	uint8_t h[IKE_HEADER_LEN] = {
		[7] = 1, [15] = 2, [17] = 0x20, [18] = 37, [19] = 8, [27] = 28};
	const struct init_parts group = {.spi_i = 1, .ke_group = 14};
	unsigned int n = 0;

	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
	assert_int_equal(tape.n, 1);
	assert_true(tape.at[0].len * 10 <= sizeof(h) * 13);
	h[17] = 0x30;
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
	assert_true(tape.at[0].len * 10 <= sizeof(h) * 13);
	assert_true(init_ask(net, &group)->len < 100);
	tape.drop_from[1] = 255;
	for (int ms = 0; ms < 2000; ms++) { /* 20 000 in two seconds */
		for (int i = 0; i < 10; i++) {
			tape_clear();
			puppet_raw(net, 1, &net->host[0].addr, 500, 500, h, sizeof(h));
			n += tape.n;
		}
		net->now += NET_MS;
	}
	assert_in_range(n, 1850, 2000);
	tape_free(net);
}

static void
dos_06_a_prefix_without_a_peer_is_told_a_hundred_times_a_second(void **state)
{
	static const struct spw_addr six = {.family = AF_INET6, .bytes = {0x20, 1, 0xd, 0xb8}};
	struct net *net = tape_up(24);
	uint8_t h[IKE_HEADER_LEN] = {
		[7] = 1, [15] = 2, [17] = 0x20, [18] = 37, [19] = 8, [27] = 28};
	unsigned int flood = 0, flood6 = 0, other = 0;

	tape.drop_from[1] = 255;
	for (int ms = 0; ms < 2000; ms++, net->now += NET_MS) {
		struct spw_addr a = spw_addr_v4(0xcb007100 + (uint32_t)ms % 256), b = six;

		b.bytes[8] = b.bytes[15] = (uint8_t)ms;
		tape_clear();
		puppet_raw(net, 1, &a, 500, 500, h, sizeof(h));
		flood += tape.n;
		tape_clear();
		puppet_raw(net, 1, &b, 500, 500, h, sizeof(h));
		flood6 += tape.n;
		a = spw_addr_v4(0xc6336407);
		tape_clear();
		if (ms % 20 == 0)
			puppet_raw(net, 1, &a, 500, 500, h, sizeof(h));
		other += tape.n;
	}
	assert_in_range(flood, 180, 200);
	assert_in_range(flood6, 180, 200);
	assert_int_equal(other, 100);
	tape_free(net);
}

static void
more_puzzle(struct ike_builder *b)
{
	ike_build_notify(b, 16434, 0, 0, "\0\2\24", 3); /* PUZZLE of RFC 8019 */
}

static void
dos_07_puzzles_are_not_solved_and_not_minded(void **state)
{
	struct net *net = init_responder(24);
	const struct init_parts p = {.spi_i = 9, .more = more_puzzle};

	assert_true(init_ask(net, &p)->m.has_ke);
	tape_free(net);
	net = init_dialled(24, false);
	assert_null(init_hint(net, 16434, "\0\2\24", 3));
	assert_non_null(init_hint(net, IKE_N_COOKIE, "abcdefgh", 8));
	tape_free(net);
}

static void
dos_08_the_secret_of_cookies_turns_and_the_one_before_counts(void **state)
{
	static const unsigned int after[] = {0, 119, 121, 239, 241, 400};

	for (size_t i = 0; i < 6; i++) {
		struct net *net = init_responder(25);
		struct init_parts p = {.spi_i = 99};
		uint8_t cookie[IKE_COOKIE_LEN];
		bool good = after[i] < 240;

		for (uint64_t s = 1; s <= 3; s++) {
			const struct init_parts q = {.spi_i = s, .nonce_byte = (uint8_t)s};

			init_ask(net, &q);
		}
		memcpy(cookie, init_ask(net, &p)->m.notify[0].data.bytes, sizeof(cookie));
		for (unsigned int s = 0; s < after[i]; s++) {
			const struct init_parts q = {.spi_i = s + 1,
						     .nonce_byte = (uint8_t)(s + 1)};

			net->now += NET_S; /* the attack goes on */
			ike_engine_tick(net->host[1].engine, net->now);
			init_ask(net, &q);
		}
		p.cookie = cookie;
		p.cookie_len = sizeof(cookie);
		assert_int_equal(init_ask(net, &p)->m.has_ke, good);
		tape_free(net);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dos_01_cookies_are_wanted_above_the_limits_and_until_it_is_calm),
		cmocka_unit_test(dos_03_only_configured_peers_are_answered),
		cmocka_unit_test(dos_04_bad_messages_to_a_half_open_sa_cost_no_keys),
		cmocka_unit_test(dos_06_answers_to_strangers_are_hardly_longer_than_what_came),
		cmocka_unit_test(dos_06_a_prefix_without_a_peer_is_told_a_hundred_times_a_second),
		cmocka_unit_test(dos_07_puzzles_are_not_solved_and_not_minded),
		cmocka_unit_test(dos_08_the_secret_of_cookies_turns_and_the_one_before_counts),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
