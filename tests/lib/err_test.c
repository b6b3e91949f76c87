/* SPDX-License-Identifier: BSD-3-Clause */
/* Sentences and foreign text: what is cut or strange never becomes something JSON or a log refuses.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/spillway.h"

static void
a_failure_keeps_code_and_sentence(void **state)
{
	struct spw_err err = {0};

	assert_int_equal(spw_fail(&err, -ENOENT, "no %s", "tunnel"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.text, "no tunnel");
	assert_int_equal(spw_fail(NULL, -EINVAL, "nobody listens"), -EINVAL);
}

/* RFC 3629 3 and 4. */
static const struct {
	const char *text;
	size_t len;
} characters[] = {
	{"", 0},
	{"a", 1},
	{"\x7f", 1},
	{"\xc3\xbc", 2},
	{"\xe2\x82\xac", 3},
	{"\xf0\x9f\x9a\xb0", 4},
	{"\xf4\x8f\xbf\xbf", 4},
	{"\xed\x9f\xbf", 3},
	{"\xee\x80\x80", 3},
	{"\xc3", 0},		 /* cut */
	{"\xe2\x82", 0},	 /* cut */
	{"\xf0\x9f\x9a", 0},	 /* cut */
	{"\xc3(", 0},		 /* no continuation */
	{"\x80", 0},		 /* a continuation alone */
	{"\xc0\x80", 0},	 /* overlong */
	{"\xc1\xbf", 0},	 /* overlong */
	{"\xe0\x9f\xbf", 0},	 /* overlong */
	{"\xf0\x8f\xbf\xbf", 0}, /* overlong */
	{"\xed\xa0\x80", 0},	 /* surrogate */
	{"\xf4\x90\x80\x80", 0}, /* beyond U+10FFFF */
	{"\xf5\x80\x80\x80", 0}, /* the same */
	{"\xff", 0},
};

static void
characters_of_utf8_have_their_length_and_nothing_else_has_one(void **state)
{
	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++)
		if (spw_text_utf8(characters[i].text) != characters[i].len)
			fail_msg("row %zu: %zu", i, spw_text_utf8(characters[i].text));
}

static void
mended_text_loses_only_what_is_no_character_or_steers_a_terminal(void **state)
{
	char good[] = "Z\xc3\xbcrich \xe2\x82\xac", cut[] = "Z\xc3\xbcrich \xe2\x82";
	char strange[] = "\xff\x80 \xed\xa0\x80x";
	char controls[] = "a\r\n\x1b[2J\x7f \xc2\x9b"
			  "31m \xc2\xa0";

	assert_string_equal(spw_text_mend(good), "Z\xc3\xbcrich \xe2\x82\xac");
	assert_string_equal(spw_text_mend(cut), "Z\xc3\xbcrich ??");
	assert_string_equal(spw_text_mend(strange), "?? ???x");
	assert_string_equal(spw_text_mend(controls), "a???[2J? ??31m \xc2\xa0");
}

static void
escaped_text_is_printable_and_says_when_it_is_cut(void **state)
{
	char out[24];

	assert_string_equal(spw_text_escape(out, sizeof(out), "a\"\n", 3), "a\\x22\\x0a");
	spw_text_escape(out, sizeof(out), "0123456789012345678901234567890", 31);
	assert_true(strlen(out) < sizeof(out));
	assert_string_equal(out + strlen(out) - 3, "...");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_keeps_code_and_sentence),
		cmocka_unit_test(characters_of_utf8_have_their_length_and_nothing_else_has_one),
		cmocka_unit_test(mended_text_loses_only_what_is_no_character_or_steers_a_terminal),
		cmocka_unit_test(escaped_text_is_printable_and_says_when_it_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
