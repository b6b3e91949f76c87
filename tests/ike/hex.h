/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectors of the standards as they print them: hexadecimal digits. */
#ifndef SPW_TESTS_IKE_HEX_H
#define SPW_TESTS_IKE_HEX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

/* Digits, blanks between them allowed, to at most `size` bytes; returns how many they are. */
static inline size_t
hex_read(uint8_t *out, size_t size, const char *hex)
{
	size_t len = 0;

	assert_int_equal(sodium_hex2bin(out, size, hex, strlen(hex), " ", &len, NULL), 0);
	return len;
}

/* Fail the test unless the bytes are these, at most 512. */
static inline void
hex_expect(const void *bytes, size_t len, const char *hex)
{
	uint8_t want[512];

	assert_int_equal(hex_read(want, sizeof(want), hex), len);
	assert_memory_equal(bytes, want, len);
}

#endif
