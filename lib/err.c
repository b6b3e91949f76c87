/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors that a person reads: a code for the program, one sentence for the operator.
 *
 * Functions return 0 or -errno; those whose failure reaches a person also fill a struct spw_err
 * that the caller owns. Text that came from the network is escaped before it enters a sentence or a
 * log line, so no peer writes to a terminal. No allocation; any thread.
 */
#include "lib/err.h"

#include <stdarg.h>
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
