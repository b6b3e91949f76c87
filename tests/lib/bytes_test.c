/* SPDX-License-Identifier: BSD-3-Clause */
/* Cursors: what is read is what was written, and nothing outside the range is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/spillway.h"

static void
integers_survive_a_round_trip(void **state)
{
	uint8_t buf[15];
	struct spw_writer w;
	struct spw_reader r;

	spw_writer_init(&w, buf, sizeof(buf));
	spw_write_u8(&w, 0xab);
	spw_write_u16(&w, 0x1234);
	spw_write_u32(&w, 0xdeadbeef);
	spw_write_u64(&w, UINT64_C(0x0102030405060708));
	assert_false(w.bad);
	assert_int_equal(spw_writer_len(&w), 15);
	assert_int_equal(buf[1], 0x12);
	spw_reader_init(&r, buf, sizeof(buf));
	assert_int_equal(spw_read_u8(&r), 0xab);
	assert_int_equal(spw_read_u16(&r), 0x1234);
	assert_true(spw_read_u32(&r) == 0xdeadbeef);
	assert_true(spw_read_u64(&r) == UINT64_C(0x0102030405060708));
	assert_int_equal(spw_reader_left(&r), 0);
	assert_false(r.bad);
}

static void
short_read_yields_zero_and_latches(void **state)
{
	const uint8_t bytes[3] = {1, 2, 3};
	struct spw_reader r;

	spw_reader_init(&r, bytes, sizeof(bytes));
	assert_int_equal(spw_read_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(spw_read_u8(&r), 0);
	assert_int_equal(spw_reader_left(&r), 0);
	assert_null(spw_read_bytes(&r, 0));
}

static void
sub_reader_ends_where_it_was_told(void **state)
{
	const uint8_t bytes[6] = {1, 2, 3, 4, 5, 6};
	struct spw_reader r, sub;

	spw_reader_init(&r, bytes, sizeof(bytes));
	sub = spw_read_sub(&r, 4);
	assert_int_equal(spw_reader_left(&sub), 4);
	assert_int_equal(spw_read_u8(&r), 5);
	sub = spw_read_sub(&r, 2);
	assert_true(sub.bad);
	assert_int_equal(spw_reader_left(&sub), 0);
	assert_true(r.bad);
}

static void
write_past_the_end_stores_nothing(void **state)
{
	uint8_t buf[4] = {0x55, 0x55, 0x55, 0x55};
	struct spw_writer w;

	spw_writer_init(&w, buf, 3);
	spw_write_u16(&w, 0);
	spw_write_u16(&w, 0);
	assert_true(w.bad);
	assert_int_equal(buf[2], 0x55);
	assert_int_equal(buf[3], 0x55);
	assert_null(spw_write_reserve(&w, 1));
}

static void
error_keeps_code_and_sentence(void **state)
{
	struct spw_err err;

	assert_int_equal(spw_fail(&err, -22, "port %d is not known", 7), -22);
	assert_int_equal(err.code, -22);
	assert_string_equal(err.text, "port 7 is not known");
	assert_int_equal(spw_fail(NULL, -5, "nobody listens"), -5);
}

static void
foreign_text_is_escaped_and_bounded(void **state)
{
	char out[16];

	assert_string_equal(spw_text_escape(out, sizeof(out), "a\n\x1b[1m", 6), "a\\x0a\\x1b[1m");
	assert_string_equal(spw_text_escape(out, 12, "a\n\x1b[1m", 6), "a\\x0a...");
	assert_string_equal(spw_text_escape(out, sizeof(out), "plain", 5), "plain");
	for (int c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;

		spw_text_escape(out, sizeof(out), &byte, 1);
		for (const char *p = out; *p; p++)
			assert_true(*p >= 0x20 && *p < 0x7f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_survive_a_round_trip),
		cmocka_unit_test(short_read_yields_zero_and_latches),
		cmocka_unit_test(sub_reader_ends_where_it_was_told),
		cmocka_unit_test(write_past_the_end_stores_nothing),
		cmocka_unit_test(error_keeps_code_and_sentence),
		cmocka_unit_test(foreign_text_is_escaped_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
