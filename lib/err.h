/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_ERR_H
#define SPW_LIB_ERR_H

#include <stddef.h>

#define SPW_ERR_TEXT 240

/*
 * The sentence that goes with a negative errno: what failed, where, how to mend it. One line, no
 * secret, peer text only through spw_text_escape().
 */
struct spw_err {
	int code; /* -errno, 0 while nothing failed */
	char text[SPW_ERR_TEXT];
};

/*
 * Record an error and return its code, so that `return spw_fail(err, -EINVAL, "...")` reads well.
 * @err  may be NULL
 * @code -errno
 */
int spw_fail(struct spw_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Copy text from outside into a log-safe form: printable ASCII stays, everything else becomes \xNN.
 * @out   receives at most `size` bytes with the terminator; long text ends in "..."
 * Returns out.
 */
char *spw_text_escape(char *out, size_t size, const void *text, size_t len);

/*
 * Bytes of the UTF-8 character at a place (RFC 3629), 0 when there is none: the end, a character cut
 * in two, a surrogate, an overlong form.
 */
size_t spw_text_utf8(const char *at);

/*
 * Make one line of text that JSON takes and a terminal may see, in place: each byte that is not part of
 * a UTF-8 character or is part of a control character (C0, DEL, C1) becomes '?'. Returns text.
 */
char *spw_text_mend(char *text);

#endif
