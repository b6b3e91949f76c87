/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors that a person reads: a code for the program, one sentence for the operator.
 *
 * Functions return 0 or -errno; those whose failure reaches a person also fill a struct spw_err
 * that the caller owns. Text that came from the network is escaped before it enters a sentence or a
 * log line, so no peer writes to a terminal; a text that was cut to fit may end in half a
 * character, which JSON does not take, so it is mended before it becomes JSON. No allocation; any
 * thread.
 */
#include "lib/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int
spw_fail(struct spw_err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}

char *
spw_text_escape(char *out, size_t size, const void *text, size_t len)
{
	const uint8_t *in = text;
	size_t n = 0;

	if (size == 0)
		return out;
	for (size_t i = 0; i < len; i++) {
		int plain = in[i] >= 0x20 && in[i] < 0x7f && in[i] != '\\' && in[i] != '"';
		size_t need = plain ? 1 : 4;

		if (n + need + 4 > size) {
			n += (size_t)snprintf(out + n, size - n, "...");
			break;
		}
		n += (size_t)snprintf(out + n, size - n, plain ? "%c" : "\\x%02x", in[i]);
	}
	out[n < size ? n : size - 1] = '\0';
	return out;
}

size_t
spw_text_utf8(const char *at)
{
	const uint8_t *c = (const uint8_t *)at;
	size_t len = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;

	if (c[0] == 0 || c[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return len;
}

/* Terminals obey C1 controls, too, in their UTF-8 form: U+009B is ESC [. */
static bool
is_control(const uint8_t *c)
{
	return c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0);
}

char *
spw_text_mend(char *text)
{
	for (char *at = text; *at;) {
		size_t len = spw_text_utf8(at);

		if (len == 0)
			*at = '?';
		else if (is_control((const uint8_t *)at))
			memset(at, '?', len);
		at += len ? len : 1;
	}
	return text;
}
