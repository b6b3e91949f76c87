/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words and lines of text, without the model: shared by the daemon and the shell. A value in quotes
 * survives ctl_word_append() and ctl_words_split() unchanged. Memory that runs out ends the
 * process: these lists are small, and half a configuration is worse than none.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model.h"

void
ctl_lines_add(struct ctl_lines *lines, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		abort();
	va_end(args);
	if (lines->n == lines->size) {
		lines->size = lines->size ? 2 * lines->size : 32;
		lines->line = realloc(lines->line, lines->size * sizeof(*lines->line));
		if (lines->line == NULL)
			abort();
	}
	lines->line[lines->n++] = text;
}

void
ctl_lines_free(struct ctl_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->line[i]);
	free(lines->line);
	*lines = (struct ctl_lines){0};
}

static char *
split_quoted(char **at)
{
	char *out = *at, *in = *at;

	while (*in && *in != '"') {
		if (*in == '\\' && (in[1] == '"' || in[1] == '\\'))
			in++;
		*out++ = *in++;
	}
	if (*in == '\0')
		return NULL;
	*at = in + 1;
	*out = '\0';
	return out;
}

int
ctl_words_split(char *line, const char *word[CTL_WORDS_MAX], struct spw_err *err)
{
	int n = 0;

	for (char *at = line;;) {
		while (isspace((unsigned char)*at))
			at++;
		if (*at == '\0')
			return n;
		if (n == CTL_WORDS_MAX)
			return spw_fail(err, -EINVAL, "more than %d words in one line",
					CTL_WORDS_MAX);
		if (*at == '"') {
			word[n++] = ++at;
			if (split_quoted(&at) == NULL)
				return spw_fail(err, -EINVAL, "a quote is not closed: add \"");
			continue;
		}
		word[n++] = at;
		while (*at && !isspace((unsigned char)*at))
			at++;
		if (*at)
			*at++ = '\0';
	}
}

void
ctl_word_append(char *text, size_t size, const char *value)
{
	size_t n = strlen(text);
	bool quote = *value == '\0' || strpbrk(value, " \t\"\\#|") != NULL;

	if (!quote) {
		snprintf(text + n, size - n, "%s", value);
		return;
	}
	for (const char *p = value - 1; n + 3 < size; p++) {
		if (p < value) {
			text[n++] = '"';
			continue;
		}
		if (*p == '\0')
			break;
		if (*p == '"' || *p == '\\')
			text[n++] = '\\';
		text[n++] = *p;
	}
	text[n++] = '"';
	text[n] = '\0';
}
