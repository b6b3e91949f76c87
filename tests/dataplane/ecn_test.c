/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP-40, ESP-41, ESP-42: what inner and outer headers take from each other. The table of RFC 6040
 * figure 4 is written out again from the text of section 4.2.
 */
#include "dataplane/ecn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { NOT = 0, ECT1 = 1, ECT0 = 2, CE = 3 };

/* "outer CE over inner Not-ECT: drop; inner Not-ECT otherwise stays; CE anywhere on ECT: CE;
 * ECT(1) outside turns ECT(0) into ECT(1); else the inner field stays." */
static unsigned int
rule(unsigned int inner, unsigned int outer)
{
	if (inner == NOT)
		return outer == CE ? DP_ECN_DROP : NOT;
	if (outer == CE || inner == CE)
		return CE;
	return inner == ECT0 && outer == ECT1 ? ECT1 : inner;
}

static void
ecn_decapsulation_follows_the_rule(void **state)
{
	for (unsigned int inner = 0; inner < 4; inner++)
		for (unsigned int outer = 0; outer < 4; outer++)
			for (unsigned int dscp = 0; dscp < 256; dscp += 52)
				assert_int_equal(dp_ecn_decap((uint8_t)(dscp & 0xfc) | inner,
							      (uint8_t)(dscp & 0xfc) | outer),
						 rule(inner, outer));
}

static void
ecn_encapsulation_copies_ecn_and_dscp_when_asked(void **state)
{
	assert_int_equal(dp_ecn_encap(0xbb, 0), 0x03);
	assert_int_equal(dp_ecn_encap(0xbb, 0xfc), 0xbb);
	assert_int_equal(dp_ecn_encap(0xb8, 0), 0x00);
}

static void
esp_41_marks_join_in_the_traffic_class_and_nothing_else_changes(void **state)
{
	for (unsigned int tos = 0; tos < 256; tos++) {
		for (unsigned int outer = 0; outer < 4; outer++) {
			/* version 6, flow label 0xa5a5a */
			uint8_t ip[4] = {(uint8_t)(0x60 | tos >> 4), (uint8_t)(tos << 4 | 0xa),
					 0x5a, 0x5a};
			unsigned int want = rule(tos & 3, outer);

			assert_int_equal(dp_ip6_class(ip), tos);
			assert_int_equal(dp_ecn_join6(ip, (uint8_t)(0xfc | outer)),
					 want != DP_ECN_DROP);
			if (want == DP_ECN_DROP)
				want = tos & 3;
			assert_int_equal(dp_ip6_class(ip), (tos & 0xfc) | want);
			assert_int_equal(ip[0] >> 4, 6);
			assert_int_equal((ip[1] & 15) << 16 | ip[2] << 8 | ip[3], 0xa5a5a);
		}
	}
}

static void
esp_42_traffic_class_is_set_in_place(void **state)
{
	srand(3);
	for (int i = 0; i < 1000; i++) {
		uint8_t ip[4] = {0x6f, (uint8_t)rand(), (uint8_t)rand(), (uint8_t)rand()}, was[4];
		uint8_t tos = (uint8_t)rand();

		memcpy(was, ip, 4);
		dp_ip6_class_set(ip, tos);
		assert_int_equal(dp_ip6_class(ip), tos);
		assert_int_equal(ip[0] >> 4, 6);
		assert_int_equal(ip[1] & 15, was[1] & 15);
		assert_memory_equal(ip + 2, was + 2, 2);
	}
}

/* Marks of an outer header by a rule, for an inner one with these octets 1 and 6, all else ones. */
static uint64_t
marks_of(uint32_t rule, uint8_t tos, uint8_t df, bool ipv6)
{
	const struct dp_outer_take take = dp_outer_take(rule);
	uint8_t ip[8] = {0xff, tos, 0xff, 0xff, 0xff, 0xff, df, 0xff};

	if (ipv6) {
		memset(ip, 0xff, sizeof(ip));
		dp_ip6_class_set(ip, tos);
	}
	return dp_outer_marks(&take, dp_outer_inner(ip, ipv6));
}

static void
esp_42_outer_tos_has_ecn_and_dscp_by_rule(void **state)
{
	uint32_t copy = dp_outer_rule(true, SPW_OUTER_DF_SET);
	uint32_t hide = dp_outer_rule(false, SPW_OUTER_DF_SET);

	for (unsigned int tos = 0; tos < 256; tos++)
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			assert_int_equal(dp_outer_tos(marks_of(copy, (uint8_t)tos, 0, ipv6)), tos);
			assert_int_equal(dp_outer_tos(marks_of(hide, (uint8_t)tos, 0, ipv6)),
					 tos & 3);
		}
}

static void
esp_40_outer_df_is_set_copied_or_cleared(void **state)
{
	static const struct {
		enum spw_dp_outer_df df;
		uint8_t inner, want; /* octet 6 */
		uint8_t want6;	     /* for an inner IPv6 packet */
	} rows[] = {
		{SPW_OUTER_DF_SET, 0, 0x40, 0x40},     {SPW_OUTER_DF_SET, 0x40, 0x40, 0x40},
		{SPW_OUTER_DF_SET, 0x3f, 0x40, 0x40},  {SPW_OUTER_DF_COPY, 0, 0, 0x40},
		{SPW_OUTER_DF_COPY, 0x40, 0x40, 0x40}, {SPW_OUTER_DF_COPY, 0xbf, 0, 0x40},
		{SPW_OUTER_DF_COPY, 0xff, 0x40, 0x40}, {SPW_OUTER_DF_CLEAR, 0, 0, 0},
		{SPW_OUTER_DF_CLEAR, 0x40, 0, 0},      {SPW_OUTER_DF_CLEAR, 0xff, 0, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int dscp = 0; dscp < 2; dscp++) {
			uint32_t rule = dp_outer_rule(dscp != 0, rows[i].df);
			uint64_t tos = dscp != 0 ? 0x5a00 : 0x0200; /* of 0x5a */

			assert_int_equal(marks_of(rule, 0x5a, rows[i].inner, false),
					 tos | (uint64_t)rows[i].want << 48);
			assert_int_equal(marks_of(rule, 0x5a, rows[i].inner, true),
					 tos | (uint64_t)rows[i].want6 << 48);
		}
	assert_int_equal(SPW_OUTER_DF_SET, 0); /* a message that says nothing means DF */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ecn_decapsulation_follows_the_rule),
		cmocka_unit_test(ecn_encapsulation_copies_ecn_and_dscp_when_asked),
		cmocka_unit_test(esp_41_marks_join_in_the_traffic_class_and_nothing_else_changes),
		cmocka_unit_test(esp_42_traffic_class_is_set_in_place),
		cmocka_unit_test(esp_42_outer_tos_has_ecn_and_dscp_by_rule),
		cmocka_unit_test(esp_40_outer_df_is_set_copied_or_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
