/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line: words, filters, command, request, output.
 *
 * set and delete lines go to controld as typed, so that the model alone decides what they mean;
 * everything else is matched against the command table first, and its words are sent written out.
 * Results go to standard output, one-line errors to standard error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

void
cli_error(const char *where, const char *text)
{
	char safe[2 * CTL_PATH + SPW_ERR_TEXT];

	snprintf(safe, sizeof(safe), "%s%s%s", where ? where : "", where ? ": " : "", text);
	cli_make_printable(safe);
	fprintf(stderr, "error: %s\n", safe);
}

static enum cli_exit
fail(enum cli_exit code, const struct spw_err *err)
{
	cli_error(NULL, err->text);
	return code;
}

static enum cli_exit
print_json(const json_t *data, const struct cli_filters *filters)
{
	char *text = json_dumps(data, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	struct spw_err err = {0};
	enum cli_exit code = CLI_OK;
	size_t len;

	if (text == NULL)
		abort();
	len = strlen(text);
	text = realloc(text, len + 2);
	if (text == NULL)
		abort();
	memcpy(text + len, "\n", 2);
	if (cli_filters_print(filters, text, stdout, &err) < 0)
		code = fail(CLI_USAGE, &err);
	free(text);
	return code;
}

static bool
has_word(const struct cli_match *m, const char *word)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (m->word[i] != m->arg && strcmp(m->word[i], word) == 0)
			return true;
	return false;
}

static enum cli_exit
print_show(struct cli *cli, const struct cli_match *m, const json_t *data,
	   const struct cli_filters *filters)
{
	struct cli_style style = {.detail = has_word(m, "detail"),
				  .counters = has_word(m, "counters"),
				  .colour = cli->colour && filters->n == 0};
	struct spw_err err = {0};
	enum cli_exit code = CLI_OK;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		abort();
	if (!cli_render(out, m->command->what, data, &style))
		spw_fail(&err, -EBADMSG,
			 "spillway-controld answered in an unknown form: use | json");
	fclose(out);
	if (err.code)
		code = fail(CLI_FAILED, &err);
	else if (cli_filters_print(filters, text, stdout, &err) < 0)
		code = fail(CLI_USAGE, &err);
	free(text);
	return code;
}

static enum cli_exit
run_show(struct cli *cli, const struct cli_match *m, const struct cli_filters *filters)
{
	struct spw_err err = {0};
	json_t *request = json_pack("{s:s, s:s}", "op", "show", "what", m->command->what);
	enum cli_exit code;
	json_t *data;

	if (m->arg)
		json_object_set_new(request, "arg", json_string(m->arg));
	data = cli_request(cli, request, NULL, &err);
	if (data == NULL)
		return fail(CLI_FAILED, &err);
	code = cli->json || filters->json ? print_json(data, filters)
					  : print_show(cli, m, data, filters);
	json_decref(data);
	return code;
}

static char *
join_lines(const json_t *lines)
{
	char *text = NULL;
	size_t len, i;
	FILE *out = open_memstream(&text, &len);
	const json_t *line;

	if (out == NULL)
		abort();
	json_array_foreach(lines, i, line) fprintf(out, "%s\n", json_string_value(line));
	fclose(out);
	return text;
}

static enum cli_exit
run_configuration(struct cli *cli, const struct cli_match *m, const struct cli_filters *filters)
{
	bool json = cli->json || filters->json || has_word(m, "json");
	struct spw_err err = {0};
	enum cli_exit code = CLI_OK;
	json_t *data = cli_request(cli,
				   json_pack("{s:s, s:s, s:s}", "op", "configuration", "format",
					     json ? "json" : "lines", "source",
					     cli->configuring ? "candidate" : "running"),
				   NULL, &err);

	if (data == NULL)
		return fail(CLI_FAILED, &err);
	if (json) {
		code = print_json(data, filters);
	} else {
		char *text = join_lines(json_object_get(data, "lines"));

		if (cli_filters_print(filters, text, stdout, &err) < 0)
			code = fail(CLI_USAGE, &err);
		free(text);
	}
	json_decref(data);
	return code;
}

static void
print_revision(FILE *out, const json_t *r)
{
	char date[CLI_CELL];
	const char *comment = json_string_value(json_object_get(r, "comment"));

	fprintf(out, "%-9.0f %-9.0f %-24s %-28s %s\n",
		json_number_value(json_object_get(r, "rollback")),
		json_number_value(json_object_get(r, "revision")),
		cli_format_date(json_string_value(json_object_get(r, "at")), date),
		json_string_value(json_object_get(r, "who")), comment && *comment ? comment : "-");
}

static enum cli_exit
run_revisions(struct cli *cli, const struct cli_filters *filters)
{
	struct spw_err err = {0};
	json_t *data = cli_request(cli, json_pack("{s:s}", "op", "revisions"), NULL, &err), *r;
	enum cli_exit code = CLI_OK;
	char *text = NULL;
	size_t len, i;
	FILE *out;

	if (data == NULL)
		return fail(CLI_FAILED, &err);
	if (cli->json || filters->json) {
		code = print_json(data, filters);
		json_decref(data);
		return code;
	}
	out = open_memstream(&text, &len);
	if (out == NULL)
		abort();
	fprintf(out, "%-9s %-9s %-24s %-28s %s\n", "Rollback", "Revision", "When", "Who",
		"Comment");
	json_array_foreach(json_object_get(data, "revisions"), i, r) print_revision(out, r);
	fclose(out);
	if (cli_filters_print(filters, text, stdout, &err) < 0)
		code = fail(CLI_USAGE, &err);
	free(text);
	json_decref(data);
	return code;
}

static void
print_report(const json_t *data)
{
	const char *message = json_string_value(json_object_get(data, "message")), *key;
	json_t *value;

	if (message)
		printf("%s\n", message);
	cli_render_phases(stdout, data);
	json_object_foreach((json_t *)(uintptr_t)data, key, value)
	{
		char *text;

		if (strcmp(key, "message") == 0 || json_is_null(value) || json_is_array(value) ||
		    json_is_object(value))
			continue;
		text = json_is_string(value)
			       ? strdup(json_string_value(value))
			       : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		printf("  %-22s %s\n", key, text ? text : "");
		free(text);
	}
}

static enum cli_exit
run_runtime(struct cli *cli, const struct cli_match *m, const struct cli_filters *filters)
{
	struct spw_err err = {0};
	json_t *words = json_array(), *data;
	enum cli_exit code = CLI_OK;

	for (unsigned int i = 0; i < m->n; i++)
		json_array_append_new(words, json_string(m->word[i]));
	data = cli_request(cli, json_pack("{s:s, s:o}", "op", "command", "words", words), NULL,
			   &err);
	if (data == NULL)
		return fail(CLI_FAILED, &err);
	if (cli->json || filters->json)
		code = print_json(data, filters);
	else
		print_report(data);
	json_decref(data);
	return code;
}

static void
print_help(enum cli_mode mode)
{
	for (unsigned int i = 0; i < cli_n_commands; i++)
		if (cli_commands[i].mode & mode)
			printf("%-50s %s\n", cli_commands[i].pattern, cli_commands[i].help);
}

static enum cli_mode
mode_of(const struct cli *cli)
{
	if (cli->any_mode)
		return CLI_MODE_BOTH;
	return cli->configuring ? CLI_MODE_CONF : CLI_MODE_OPER;
}

static enum cli_exit
dispatch(struct cli *cli, const struct cli_match *m, const struct cli_filters *filters,
	 const char *line)
{
	switch (m->command->action) {
	case CLI_SHOW: return run_show(cli, m, filters);
	case CLI_SHOW_CONFIGURATION: return run_configuration(cli, m, filters);
	case CLI_SHOW_REVISIONS: return run_revisions(cli, filters);
	case CLI_RUNTIME: return run_runtime(cli, m, filters);
	case CLI_MONITOR_FAILOVER: return cli_monitor(cli);
	case CLI_CONFIGURE: cli->configuring = true; return CLI_OK;
	case CLI_HELP: print_help(mode_of(cli)); return CLI_OK;
	case CLI_SET:
	case CLI_DELETE:
	case CLI_COMPARE:
	case CLI_COMMIT:
	case CLI_COMMIT_CHECK:
	case CLI_COMMIT_CONFIRMED:
	case CLI_COMMIT_COMMENT:
	case CLI_CONFIRM:
	case CLI_ROLLBACK:
	case CLI_SAVE:
	case CLI_LOAD:
	case CLI_EXIT:
	case CLI_EXIT_DISCARD: return cli_edit(cli, m, filters, line);
	}
	return CLI_USAGE;
}

/* Where the command's own words end; set and delete take everything. */
static unsigned int
command_words(const char *const *word, unsigned int n, enum cli_mode mode)
{
	struct cli_match first;

	if (cli_match(word, 1, mode, &first, NULL) == 0 &&
	    (first.command->action == CLI_SET || first.command->action == CLI_DELETE))
		return n;
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(word[i], "|") == 0)
			return i;
	return n;
}

static enum cli_exit
execute_words(struct cli *cli, const char *const *word, unsigned int n, const char *line)
{
	unsigned int own = command_words(word, n, mode_of(cli));
	struct cli_filters filters = {0};
	struct spw_err err = {0};
	struct cli_match match;

	if (own < n && cli_filters_parse(&filters, word + own + 1, n - own - 1, &err) < 0)
		return fail(CLI_USAGE, &err);
	if (cli_match(word, own, mode_of(cli), &match, &err) < 0) {
		if (!cli->configuring && cli_match(word, own, CLI_MODE_CONF, &match, NULL) == 0)
			spw_fail(&err, -EINVAL,
				 "\"%s\" works in configure mode: type configure first",
				 match.word[0]);
		return fail(CLI_USAGE, &err);
	}
	return dispatch(cli, &match, &filters, line);
}

static bool
is_utf8(const char *text)
{
	size_t len;

	while ((len = spw_text_utf8(text)) > 0)
		text += len;
	return *text == '\0';
}

enum cli_exit
cli_execute(struct cli *cli, const char *line)
{
	const char *word[CTL_WORDS_MAX];
	char copy[CTL_LINE_MAX];
	struct spw_err err = {0};
	size_t len = strlen(line);
	int n = -EINVAL;

	/* A word that JSON cannot carry would be left out, and the command be another one. */
	if (len >= sizeof(copy)) {
		spw_fail(&err, -EINVAL, "the line is longer than %d bytes", CTL_LINE_MAX - 1);
	} else if (!is_utf8(line)) {
		spw_fail(&err, -EINVAL, "the command holds bytes that are not UTF-8");
	} else {
		memcpy(copy, line, len + 1);
		n = ctl_words_split(copy, word, &err);
	}
	if (n < 0)
		return fail(CLI_USAGE, &err);
	if (n == 0 || word[0][0] == '#')
		return CLI_OK;
	return execute_words(cli, word, (unsigned int)n, line);
}
