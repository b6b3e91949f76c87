/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors of both families: about what they may be sent, and what is in them, at every size. */
#include "dataplane/icmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "lib/spillway.h"

#define OURS 0x0a0100feu

static const uint8_t our6[16] = {0xfd, 0, 0, 1, [15] = 0xfe};
static const uint8_t host6[16] = {0xfd, 0, 0, 1, [15] = 5};
static const uint8_t far6[16] = {0xfd, 0, 0, 2, [15] = 7};

/* RFC 1071 on its own here; 0 over bytes that hold a right checksum. */
static uint16_t
checksum(uint32_t sum, const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Over an upper layer of IPv6, with its pseudo header (RFC 8200 8.1). */
static uint16_t
checksum6(const uint8_t *ip, uint32_t at, uint32_t len, uint8_t protocol)
{
	uint32_t pseudo = (uint16_t)~checksum(len - at + protocol, ip + 8, 32);

	return checksum(pseudo, ip + at, len - at);
}

static void
icmp_errors_are_sent_about_what_rfc_1812_allows(void **state)
{
	static const struct {
		const char *what;
		uint32_t at;
		uint8_t n, bytes[4]; /* written there */
		bool may;
	} rows[] = {
		{"udp", 9, 1, {17}, true},
		{"echo request", 20, 1, {8}, true},
		{"echo reply", 20, 1, {0}, true},
		{"timestamp", 20, 1, {13}, true},
		{"unreachable", 20, 1, {3}, false},
		{"source quench", 20, 1, {4}, false},
		{"redirect", 20, 1, {5}, false},
		{"time exceeded", 20, 1, {11}, false},
		{"parameter problem", 20, 1, {12}, false},
		{"a first fragment", 6, 2, {0x20, 0}, true},
		{"a later fragment", 6, 2, {0x20, 1}, false},
		{"the last fragment", 6, 2, {0, 1}, false},
		{"from nobody", 12, 4, {0, 0, 0, 0}, false},
		{"from loopback", 12, 4, {127, 0, 0, 1}, false},
		{"from a group", 12, 4, {224, 0, 0, 1}, false},
		{"from broadcast", 12, 4, {255, 255, 255, 255}, false},
		{"to a group", 16, 4, {239, 1, 2, 3}, false},
		{"to broadcast", 16, 4, {255, 255, 255, 255}, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t ip[28] = {0x45, [3] = 28, [8] = 1, 1, [12] = 10, 1, 0, 5, 10, 2, 0, 7, 8};

		memcpy(ip + rows[i].at, rows[i].bytes, rows[i].n);
		if (dp_icmp_may_answer(ip, sizeof(ip)) != rows[i].may)
			fail_msg("%s", rows[i].what);
		if (rows[i].at == 20)
			assert_false(dp_icmp_may_answer(ip, 20)); /* type is not to be seen */
	}
}

static void
esp_43_icmp_too_big_is_whole_at_every_size(void **state)
{
	static uint8_t about[1500], out[DP_ICMP_MAX];

	for (uint32_t i = 0; i < sizeof(about); i++)
		about[i] = (uint8_t)rand();
	for (uint16_t len = 20; len <= 1500; len++) {
		uint16_t n = dp_icmp_write(out, DP_ICMP_TOO_BIG, 1346, OURS, about, len);

		assert_int_equal(n, len + 28 < 576 ? len + 28 : 576);
		assert_int_equal(spw_get_be16(out + 2), n);
		assert_int_equal(checksum(0, out, 20), 0);
		assert_int_equal(checksum(0, out + 20, n - 20u), 0);
		assert_int_equal(out[0] << 8 | out[9], 0x4501);
		assert_int_equal(spw_get_be32(out + 12), OURS);
		assert_memory_equal(out + 16, about + 12, 4);
		assert_int_equal(out[20] << 8 | out[21], 0x0304);
		assert_int_equal(spw_get_be32(out + 24), 1346); /* unused, next-hop MTU */
		assert_memory_equal(out + 28, about, n - 28u);
	}
}

static void
icmp6_errors_are_sent_about_what_rfc_4443_allows(void **state)
{
	static const struct {
		const char *what;
		uint32_t at;
		uint8_t n, bytes[16]; /* written there */
		bool too_big, exceeded;
	} rows[] = {
		{"udp", 6, 1, {17}, true, true},
		{"echo request", 40, 1, {128}, true, true},
		{"an error", 40, 1, {1}, false, false},
		{"too big itself", 40, 1, {2}, false, false},
		{"an unknown error", 40, 1, {127}, false, false},
		{"a redirect", 40, 1, {137}, false, false},
		{"from nobody", 8, 16, {0}, false, false},
		{"from loopback", 8, 16, {[15] = 1}, false, false},
		{"from a group", 8, 1, {0xff}, false, false},
		{"from a mapped address", 8, 12, {[10] = 0xff, 0xff}, false, false},
		{"to a group", 24, 1, {0xff}, true, false},
		{"a later fragment", 6, 1, {44}, true, true}, /* the header below says offset 9 */
		{"headers that do not end", 6, 1, {60}, false, false},
	};
	uint8_t ip[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(ip, 0, sizeof(ip));
		ip[0] = 0x60;
		ip[6] = 58;
		memcpy(ip + 8, host6, 16);
		memcpy(ip + 24, far6, 16);
		memcpy(ip + 40, "\x80\x09\x00\x49", 4); /* echo; 72 bytes; fragment 9 */
		memcpy(ip + rows[i].at, rows[i].bytes, rows[i].n);
		if (dp_icmp6_may_answer(DP_ICMP_TOO_BIG, ip, 64) != rows[i].too_big ||
		    dp_icmp6_may_answer(DP_ICMP_TIME_EXCEEDED, ip, 64) != rows[i].exceeded)
			fail_msg("%s", rows[i].what);
	}
	ip[6] = 58;
	assert_false(dp_icmp6_may_answer(DP_ICMP_TOO_BIG, ip, 40)); /* type is not to be seen */
}

static void
icmp6_time_exceeded_is_whole_at_every_size(void **state)
{
	static uint8_t about[1500], out[DP_ICMP6_MAX];

	for (uint32_t i = 0; i < sizeof(about); i++)
		about[i] = (uint8_t)rand();
	memcpy(about + 8, host6, 16);
	for (uint16_t len = 40; len <= 1500; len += 1) {
		uint16_t n = dp_icmp6_write(out, DP_ICMP_TIME_EXCEEDED, 77, our6, about, len);

		assert_int_equal(n, len + 48 < 1280 ? len + 48 : 1280);
		assert_int_equal(spw_get_be16(out + 4), n - 40);
		assert_int_equal(out[40] << 8 | out[41], 0x0300);
		assert_int_equal(spw_get_be32(out + 44), 0);
		assert_int_equal(checksum6(out, 40, n, 58), 0);
		assert_memory_equal(out + 48, about, n - 48);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(icmp_errors_are_sent_about_what_rfc_1812_allows),
		cmocka_unit_test(esp_43_icmp_too_big_is_whole_at_every_size),
		cmocka_unit_test(icmp6_errors_are_sent_about_what_rfc_4443_allows),
		cmocka_unit_test(icmp6_time_exceeded_is_whole_at_every_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
