/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BFD packets: what reception refuses (RFC 5880 6.8.6), what is built is read again, the datagrams
 * around them in both families (RFC 5881 4, 5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/dataplane/bfd_bed.h"

/* RFC 5880 6.8.6, the rules without a session, one broken at a time. */
static void
each_rule_of_reception_refuses(void **state)
{
	static const struct {
		unsigned int at;
		uint8_t value;
		uint32_t len;
		enum dp_bfd_bad bad;
	} row[] = {
		{0, 0x20, 24, DP_BFD_GOOD},
		{0, 0x00, 24, DP_BFD_BAD_VERSION},
		{0, 0x40, 24, DP_BFD_BAD_VERSION},
		{3, 23, 24, DP_BFD_BAD_LENGTH},
		{3, 25, 24, DP_BFD_BAD_LENGTH},
		{3, 26, 40, DP_BFD_GOOD},
		{3, 24, 23, DP_BFD_BAD_LENGTH},
		{3, 24, 0, DP_BFD_BAD_LENGTH},
		{3, 24, 40, DP_BFD_GOOD},
		{2, 0, 24, DP_BFD_BAD_MULT},
		{1, 0xc1, 24, DP_BFD_BAD_MULTIPOINT},
		{1, 0xc4, 24, DP_BFD_BAD_LENGTH},
		{4, 0, 24, DP_BFD_BAD_MY_DISC},
		{8, 0, 24, DP_BFD_BAD_YOUR_DISC},
		{1, 0xc0, 24, DP_BFD_GOOD},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint8_t bytes[40] = {0x20, 0xc0, 3, 24, 0x7, 0, 0, 0, 0x9};
		struct dp_bfd_packet p;

		bytes[row[i].at] = row[i].value;
		assert_int_equal(dp_bfd_parse(bytes, row[i].len, &p), row[i].bad);
	}
	uint8_t auth[40] = {0x20, 0xc4, 3, 26, 0x7, 0, 0, 0, 0x9};
	struct dp_bfd_packet p;

	assert_int_equal(dp_bfd_parse(auth, 26, &p), DP_BFD_BAD_AUTH);
	for (unsigned int s = 0; s < 4; s++) {
		uint8_t none[24] = {0x20, (uint8_t)(s << 6), 3, 24, 0x7};

		assert_int_equal(dp_bfd_parse(none, 24, &p),
				 s >= SPW_BFD_INIT ? DP_BFD_BAD_YOUR_DISC : DP_BFD_GOOD);
	}
}

static void
what_is_built_is_read_again(void **state)
{
	const struct dp_bfd_packet p = {.state = SPW_BFD_INIT,
					.diag = 31,
					.mult = 200,
					.poll = true,
					.demand = true,
					.control_independent = true,
					.my_disc = 0xdeadbeef,
					.your_disc = 1,
					.min_tx_us = 0x01020304,
					.min_rx_us = 0xfffffffe,
					.min_echo_rx_us = 5};
	struct dp_bfd_packet q;
	uint8_t bytes[DP_BFD_LEN];

	dp_bfd_build(bytes, &p);
	assert_int_equal(dp_bfd_parse(bytes, sizeof(bytes), &q), DP_BFD_GOOD);
	assert_memory_equal(&p, &q, sizeof(p));
}

static struct dp_bfd_datagram
datagram(bool ipv6)
{
	struct dp_bfd_datagram d = {.packet = bed_says(SPW_BFD_UP)};
	struct spw_err err;

	assert_int_equal(spw_addr_parse(&d.src, ipv6 ? "fe80::1" : "192.0.2.1", &err), 0);
	assert_int_equal(spw_addr_parse(&d.dst, ipv6 ? "2001:db8::2" : "192.0.2.2", &err), 0);
	return d;
}

static void
datagrams_are_read_in_both_families_and_any_changed_bit_is_seen(void **state)
{
	for (unsigned int six = 0; six < 2; six++) {
		struct dp_bfd_datagram d = datagram(six), got;
		uint8_t ip[DP_BFD_IP_MAX];
		uint32_t len = dp_bfd_wrap(ip, &d, 50000), at = six ? 40 : 20;

		assert_int_equal(len, at + 8 + DP_BFD_LEN);
		assert_int_equal(dp_bfd_unwrap(ip, len, &got), DP_BFD_GOOD);
		assert_memory_equal(&got, &d, sizeof(d));
		assert_int_equal(ip[six ? 7 : 8], 255);
		for (uint32_t bit = at * 8; bit < len * 8; bit++) {
			ip[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(dp_bfd_unwrap(ip, len, &got), DP_BFD_BAD_IP);
			assert_true(spw_addr_equal(&got.src, &d.src));
			ip[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (uint32_t n = 0; n < len; n++)
			assert_int_not_equal(dp_bfd_unwrap(ip, n, &got), DP_BFD_GOOD);
		ip[six ? 7 : 8] = 254;
		assert_int_equal(dp_bfd_unwrap(ip, len, &got), DP_BFD_BAD_TTL);
	}
}

static void
a_missing_checksum_is_fine_in_ipv4_only(void **state)
{
	for (unsigned int six = 0; six < 2; six++) {
		struct dp_bfd_datagram d = datagram(six), got;
		uint8_t ip[DP_BFD_IP_MAX];
		uint32_t len = dp_bfd_wrap(ip, &d, 50000);

		memset(ip + (six ? 40 : 20) + 6, 0, 2);
		assert_int_equal(dp_bfd_unwrap(ip, len, &got), six ? DP_BFD_BAD_IP : DP_BFD_GOOD);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_of_reception_refuses),
		cmocka_unit_test(what_is_built_is_read_again),
		cmocka_unit_test(datagrams_are_read_in_both_families_and_any_changed_bit_is_seen),
		cmocka_unit_test(a_missing_checksum_is_fine_in_ipv4_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
