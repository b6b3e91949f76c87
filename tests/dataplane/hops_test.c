/* SPDX-License-Identifier: BSD-3-Clause */
/* Hops and checksums: every value that there is, against checksums made anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/hops.h"
#include "tests/dataplane/esp_bed.h"

/* Every checksum there is, by every identification there is. */
static void
a_hop_taken_leaves_the_checksum_that_is_made_anew(void **state)
{
	uint8_t ip[20] = "\x45\0\0\x48\0\0\x40\0\x40\x11\0\0\x0a\1\0\1\x0a\2\0\1", anew[20];
	const uint8_t ttls[] = {2, 64, 255};

	for (uint32_t i = 0; i < 3u << 16; i++) {
		dp_put_be16(ip + 4, (uint16_t)i);
		ip[8] = ttls[i >> 16];
		bed_ip_checksum(ip);
		memcpy(anew, ip, 20);
		anew[8]--;
		bed_ip_checksum(anew);
		assert_true(dp_ttl_take(ip));
		assert_memory_equal(ip, anew, 20);
	}
}

/* Of all values that the field may have, those are right that make the sum come out. */
static void
a_checksum_is_good_when_the_sum_is_all_ones(void **state)
{
	uint8_t ip[24] = "\x46\0\0\x48\0\0\x40\0\x40\x11\0\0\x0a\1\0\1\x0a\2\0\1\1\1\1";
	uint32_t good = 0;

	for (uint32_t i = 0; i < 4u << 16; i++) {
		const uint32_t len = i >> 16 & 1 ? 24 : 20;
		bool right;

		if ((i & 0xffff) == 0)
			dp_put_be16(ip + 4, (uint16_t)rand());
		dp_put_be16(ip + 10, (uint16_t)i);
		right = dp_csum_finish(dp_csum_add(0, ip, len)) == 0;
		assert_int_equal(dp_ipv4_csum_good(ip, len), right);
		good += right;
	}
	assert_int_equal(good, 4);
}

/* Fold as long as there is something to fold. */
static bool
folds_to_ones(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* Sums by chance, multiples of 65,535 and what lies beside them, and both ends. */
static void
a_sum_is_all_ones_where_folding_says_so(void **state)
{
	uint64_t ones = 0;

	srandom(31);
	for (uint32_t i = 0; i < 4u << 16; i++) {
		uint64_t any =
			(uint64_t)random() << 40 ^ (uint64_t)random() << 20 ^ (uint64_t)random();
		uint64_t sum = any >> random() % 64;

		if (i & 1)
			sum = sum / 0xffff * 0xffff + (uint64_t)random() % 3 - 1;
		else if (i & 2)
			sum = i & 4 ? UINT64_MAX - i / 2 : i / 2;
		assert_int_equal(dp_csum_is_ones64(sum), folds_to_ones(sum));
		ones += folds_to_ones(sum);
	}
	assert_in_range(ones, 1u << 14, 1u << 17);
	assert_false(dp_csum_is_ones64(0));
	assert_true(dp_csum_is_ones64(0xffff));
	assert_true(dp_csum_is_ones64(UINT64_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hop_taken_leaves_the_checksum_that_is_made_anew),
		cmocka_unit_test(a_checksum_is_good_when_the_sum_is_all_ones),
		cmocka_unit_test(a_sum_is_all_ones_where_folding_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
