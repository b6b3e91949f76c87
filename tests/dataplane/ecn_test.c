/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of RFC 6040 figure 4, written out again from the text of section 4.2. */
#include "dataplane/ecn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ecn_decapsulation_follows_the_rule),
		cmocka_unit_test(ecn_encapsulation_copies_ecn_and_dscp_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
