/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows a `|`: match, except, count, json, no-more, applied to whole lines in the order
 * typed. Regular expressions are POSIX extended.
 */
#include <errno.h>
#include <regex.h>
#include <string.h>

#include "control/cli/cli.h"

static int
filter_parse(struct cli_filters *f, const char *const *word, unsigned int n, unsigned int *used,
	     struct spw_err *err)
{
	const char *name = n ? word[0] : "";
	size_t len = strlen(name);
	bool expression;

	*used = 1;
	if (len && strncmp(name, "json", len) == 0) {
		f->json = true;
		return 0;
	}
	if (len && strncmp(name, "no-more", len) == 0)
		return 0;
	expression = len && (strncmp(name, "match", len) == 0 || strncmp(name, "except", len) == 0);
	if (!expression && !(len && strncmp(name, "count", len) == 0))
		return spw_fail(err, -EINVAL,
				"| \"%.40s\" is unknown: use match, except, count, json or no-more",
				name);
	if (expression && n < 2)
		return spw_fail(err, -EINVAL, "| %s: the expression is missing", name);
	if (f->n == sizeof(f->item) / sizeof(f->item[0]))
		return spw_fail(err, -EINVAL, "more than 8 filters");
	f->item[f->n].kind = !expression ? CLI_COUNT : name[0] == 'm' ? CLI_MATCH : CLI_EXCEPT;
	f->item[f->n++].pattern = expression ? word[1] : NULL;
	*used = expression ? 2 : 1;
	return 0;
}

int
cli_filters_parse(struct cli_filters *filters, const char *const *word, unsigned int n,
		  struct spw_err *err)
{
	unsigned int i = 0, used;

	memset(filters, 0, sizeof(*filters));
	while (i < n) {
		if (filter_parse(filters, word + i, n - i, &used, err) < 0)
			return -EINVAL;
		i += used;
		if (i < n && strcmp(word[i], "|") != 0)
			return spw_fail(err, -EINVAL, "\"%.40s\" is not expected after | %s",
					word[i], word[i - used]);
		i++;
	}
	return 0;
}

/* Keep or drop lines in place. */
static int
filter_lines(char *text, const char *pattern, bool keep, struct spw_err *err)
{
	char *out = text, *next;
	regex_t re;
	int rc = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);

	if (rc != 0) {
		char why[CTL_TEXT];

		regerror(rc, &re, why, sizeof(why));
		return spw_fail(err, -EINVAL, "\"%.60s\": %s", pattern, why);
	}
	for (char *line = text; *line; line = next) {
		size_t len = strcspn(line, "\n");
		bool newline = line[len] == '\n';

		next = line + len + newline;
		line[len] = '\0';
		if ((regexec(&re, line, 0, NULL, 0) == 0) != keep)
			continue;
		memmove(out, line, len);
		out += len;
		if (newline)
			*out++ = '\n';
	}
	*out = '\0';
	regfree(&re);
	return 0;
}

int
cli_filters_print(const struct cli_filters *filters, char *text, FILE *out, struct spw_err *err)
{
	char count[64];

	for (unsigned int i = 0; i < filters->n; i++) {
		if (filters->item[i].kind == CLI_COUNT) {
			size_t n = 0;

			for (const char *p = text; *p; p++)
				n += *p == '\n';
			snprintf(count, sizeof(count), "Count: %zu lines\n", n);
			text = count;
			continue;
		}
		if (filter_lines(text, filters->item[i].pattern, filters->item[i].kind == CLI_MATCH,
				 err) < 0)
			return -EINVAL;
	}
	fputs(text, out);
	return 0;
}
