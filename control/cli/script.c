/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scripts and one-shots: lines from a file, standard input or -c.
 *
 * Neighbouring set and delete lines go to controld together, so a long configuration costs a few
 * round trips and each group is taken as a whole. The candidate is remembered before the first
 * change and after every commit; when a line fails, the script ends and the candidate returns to
 * what was remembered. So a script that fails leaves nothing behind.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

struct script {
	struct cli *cli;
	const char *name;
	struct ctl_lines group; /* set and delete lines not sent yet */
	unsigned long *number;	/* line number of each */
	size_t size;
	unsigned long at; /* present line */
	bool changed;	  /* the candidate may differ from what was remembered */
};

static bool
is_edit(const char *line)
{
	line += strspn(line, " \t");
	return (strncmp(line, "set", 3) == 0 && isspace((unsigned char)line[3])) ||
	       (strncmp(line, "delete", 6) == 0 && isspace((unsigned char)line[6]));
}

static void
place(const struct script *s, unsigned long number, char out[CTL_PATH])
{
	snprintf(out, CTL_PATH, "%.200s:%lu", s->name, number);
}

static enum cli_exit
remember(struct script *s)
{
	struct spw_err err = {0};

	if (s->changed)
		return CLI_OK;
	if (cli_begin(s->cli, &err) < 0) {
		cli_error(NULL, err.text);
		return CLI_FAILED;
	}
	s->changed = true;
	return CLI_OK;
}

static enum cli_exit
flush_group(struct script *s)
{
	struct spw_err err = {0};
	char where[CTL_PATH];
	long bad = -1;
	enum cli_exit code;

	if (s->group.n == 0)
		return CLI_OK;
	code = remember(s);
	if (code == CLI_OK && cli_send_lines(s->cli, (const char *const *)s->group.line, s->group.n,
					     false, &bad, &err) < 0) {
		place(s, bad >= 0 ? s->number[bad] : s->at, where);
		cli_error(where, err.text);
		code = CLI_FAILED;
	}
	ctl_lines_free(&s->group);
	return code;
}

static void
group_add(struct script *s, const char *line)
{
	if (s->group.n == s->size) {
		s->size = s->size ? 2 * s->size : 64;
		s->number = realloc(s->number, s->size * sizeof(*s->number));
		if (s->number == NULL)
			abort();
	}
	s->number[s->group.n] = s->at;
	ctl_lines_add(&s->group, "%s", line);
}

/* What a line does, however short its words are; help, which does nothing, for no command. */
static enum cli_action
action_of(const char *line)
{
	const char *word[CTL_WORDS_MAX];
	struct cli_match match;
	char copy[CTL_LINE_MAX];
	size_t len = strlen(line);
	int n, own = 0;

	if (len >= sizeof(copy))
		return CLI_HELP;
	memcpy(copy, line, len + 1);
	n = ctl_words_split(copy, word, NULL);
	while (own < n && strcmp(word[own], "|") != 0)
		own++;
	if (own == 0 || cli_match(word, (unsigned int)own, CLI_MODE_BOTH, &match, NULL) < 0)
		return CLI_HELP;
	return match.command->action;
}

static bool
changes_candidate(enum cli_action action)
{
	return action == CLI_SET || action == CLI_DELETE || action == CLI_ROLLBACK ||
	       action == CLI_LOAD || action == CLI_EXIT_DISCARD;
}

static bool
is_commit(enum cli_action action)
{
	return action == CLI_COMMIT || action == CLI_COMMIT_CONFIRMED ||
	       action == CLI_COMMIT_COMMENT;
}

static enum cli_exit
script_line(struct script *s, const char *line)
{
	enum cli_action action;
	enum cli_exit code;

	s->at++;
	if (line[strspn(line, " \t")] == '\0' || line[strspn(line, " \t")] == '#')
		return CLI_OK;
	if (is_edit(line) && !cli_asks_key(line)) { /* else there may be a question */
		group_add(s, line);
		return CLI_OK;
	}
	code = flush_group(s);
	action = action_of(line);
	if (code == CLI_OK && changes_candidate(action))
		code = remember(s);
	if (code != CLI_OK)
		return code;
	code = cli_execute(s->cli, line);
	fflush(stdout);
	if (code == CLI_OK && is_commit(action))
		s->changed = false;
	return code;
}

static enum cli_exit
script_end(struct script *s, enum cli_exit code)
{
	if (code == CLI_OK)
		code = flush_group(s);
	if (code != CLI_OK && s->changed)
		cli_abort(s->cli);
	ctl_lines_free(&s->group);
	free(s->number);
	return code;
}

enum cli_exit
cli_script(struct cli *cli, FILE *in, const char *name)
{
	struct script s = {.cli = cli, .name = name};
	enum cli_exit code = CLI_OK;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while (code == CLI_OK && !cli->leave && (n = getline(&line, &size, in)) >= 0) {
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		code = script_line(&s, line);
	}
	free(line);
	return script_end(&s, code);
}
