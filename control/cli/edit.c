/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of configure mode. The candidate lives in controld; this file only asks for changes.
 *
 * Files are read and written here, with the rights of the user, never by the daemon. A pre-shared
 * key is asked for without echo (or read from standard input when that is no terminal), sent once,
 * wiped, and never part of a line, so it reaches neither the history nor the process list.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "control/cli/cli.h"

#define FRAME_SAFE 49152 /* bytes of lines in one request */

static enum cli_exit
fail(enum cli_exit code, const struct spw_err *err)
{
	cli_error(NULL, err->text);
	return code;
}

/* A request whose result does not matter. */
static int
simple(struct cli *cli, json_t *request, struct spw_err *err)
{
	json_t *result = cli_request(cli, request, NULL, err);

	json_decref(result);
	return result ? 0 : -EIO;
}

int
cli_begin(struct cli *cli, struct spw_err *err)
{
	int rc = simple(cli, json_pack("{s:s}", "op", "begin"), err);

	cli->began = rc == 0;
	return rc;
}

void
cli_abort(struct cli *cli)
{
	struct spw_err err = {0};

	if (cli->began && simple(cli, json_pack("{s:s}", "op", "abort"), &err) < 0)
		cli_error("candidate", err.text);
	cli->began = false;
}

int
cli_send_lines(struct cli *cli, const char *const *line, size_t n, bool clear, long *bad_line,
	       struct spw_err *err)
{
	size_t at = 0;

	do {
		json_t *lines = json_array(), *result;
		size_t bytes = 0, first = at;

		for (; at < n && bytes < FRAME_SAFE; at++) {
			bytes += 2 * strlen(line[at]) + 8;
			json_array_append_new(lines, json_stringn(line[at], strlen(line[at])));
			if (json_array_size(lines) != at + 1 - first) {
				json_decref(lines);
				*bad_line = (long)at;
				return spw_fail(err, -EINVAL, "the line is not UTF-8");
			}
		}
		result = cli_request(cli,
				     json_pack("{s:s, s:o, s:b}", "op", "edit", "lines", lines,
					       "clear", (int)(clear && first == 0)),
				     bad_line, err);
		if (result == NULL) {
			if (*bad_line >= 0)
				*bad_line += (long)first;
			return -EIO;
		}
		json_decref(result);
	} while (at < n);
	return 0;
}

/* Read one line without echo into out. Length, or -errno. */
static ssize_t
read_hidden(const char *prompt, char *out, size_t size)
{
	struct termios old, quiet;
	bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
	ssize_t n;

	if (terminal) {
		quiet = old;
		quiet.c_lflag &= (tcflag_t)~ECHO;
		quiet.c_lflag |= ICANON;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
		fputs(prompt, stdout); /* not before: what is typed now must not be echoed */
		fflush(stdout);
	}
	n = read(STDIN_FILENO, out, size - 1);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &old);
		fputc('\n', stdout);
	}
	if (n < 0)
		return -errno;
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
		n--;
	out[n] = '\0';
	return n;
}

static int
ask_key(char *key, size_t size, struct spw_err *err)
{
	char again[CTL_PATH];
	ssize_t n = read_hidden("Pre-shared key: ", key, size);
	int rc = 0;

	if (n <= 0)
		return spw_fail(err, -EINVAL, "no key was given");
	if (!isatty(STDIN_FILENO))
		return 0;
	if (read_hidden("Again: ", again, sizeof(again)) != n ||
	    !spw_bytes_equal(key, again, (size_t)n))
		rc = spw_fail(err, -EINVAL, "the two keys differ: nothing was stored");
	spw_wipe(again, sizeof(again));
	return rc;
}

static enum cli_exit
set_secret(struct cli *cli, const char *tunnel, const char *kind)
{
	char key[CTL_PATH];
	struct spw_err err = {0};
	json_t *result = NULL, *value = NULL;

	if (ask_key(key, sizeof(key), &err) == 0) {
		value = json_string(key);
		if (value == NULL)
			spw_fail(&err, -EINVAL, "the key is not UTF-8: nothing was stored");
	}
	spw_wipe(key, sizeof(key));
	if (value)
		result = cli_request(cli,
				     json_pack("{s:s, s:s, s:s, s:O}", "op", "secret", "tunnel",
					       tunnel, "kind", kind, "key", value),
				     NULL, &err);
	if (value) /* jansson's own copy; nobody else holds it now */
		spw_wipe((void *)(uintptr_t)json_string_value(value), json_string_length(value));
	json_decref(value);
	if (result == NULL)
		return fail(CLI_FAILED, &err);
	printf("%s\n", json_string_value(json_object_get(result, "message")));
	json_decref(result);
	return CLI_OK;
}

/*
 * "set tunnel NAME pre-shared-key", or another key of cli_secrets: 1 yes, 0 no, -EINVAL when the
 * key was typed behind it, there or behind other leaves; at: index of the word.
 */
static int
is_secret(const struct cli_match *m, unsigned int *at)
{
	if (m->n < 4 || strncmp("tunnel", m->word[1], strlen(m->word[1])) != 0)
		return 0;
	for (*at = 3; *at < m->n; (*at)++)
		if (cli_is_secret_word(m->word[*at]))
			return *at + 1 < m->n ? -EINVAL : *at == 3;
	return 0;
}

static enum cli_exit
edit_line(struct cli *cli, const struct cli_match *m, const char *line)
{
	char text[CTL_LINE_MAX];
	const char *lines[] = {text};
	struct spw_err err = {0};
	unsigned int at = 0;
	long bad;
	int secret = m->command->action == CLI_SET ? is_secret(m, &at) : 0;

	if (secret < 0) {
		spw_fail(&err, -EINVAL,
			 "a key is not typed on the line: end it after %s, "
			 "you are asked for the key",
			 m->word[at]);
		return fail(CLI_USAGE, &err);
	}
	if (secret)
		return set_secret(cli, m->word[2], m->word[3]);
	line += strspn(line, " \t");
	line += strcspn(line, " \t");
	snprintf(text, sizeof(text), "%s%s", m->word[0], line);
	if (cli_send_lines(cli, lines, 1, false, &bad, &err) < 0)
		return fail(CLI_FAILED, &err);
	return CLI_OK;
}

static int
parse_number(const char *text, long max, long *out, struct spw_err *err)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno || end == text || *end || *out < 0 || *out > max)
		return spw_fail(err, -EINVAL, "\"%.40s\" is not a number from 0 to %ld", text, max);
	return 0;
}

static void
print_lines(FILE *out, const json_t *lines, const char *before)
{
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line) fprintf(out, "%s%s\n", before, json_string_value(line));
}

static void
print_diff(const struct cli *cli, FILE *out, const json_t *diff)
{
	const json_t *line;
	size_t i;

	json_array_foreach(diff, i, line)
	{
		const char *text = json_string_value(line);

		if (cli->colour)
			fprintf(out, "\033[%dm%s\033[0m\n", text[0] == '+' ? 32 : 31, text);
		else
			fprintf(out, "%s\n", text);
	}
}

static void
print_json(FILE *out, const json_t *data)
{
	json_dumpf(data, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	fputc('\n', out);
}

static enum cli_exit
compare(struct cli *cli, const struct cli_match *m, const struct cli_filters *filters)
{
	json_t *request = json_pack("{s:s}", "op", "compare"), *result;
	struct spw_err err = {0};
	enum cli_exit code = CLI_OK;
	char *text = NULL;
	size_t len;
	long back = 0;
	FILE *out;

	if (m->arg && parse_number(m->arg, 50, &back, &err) < 0) {
		json_decref(request);
		return fail(CLI_USAGE, &err);
	}
	json_object_set_new(request, "revision", json_integer(back));
	result = cli_request(cli, request, NULL, &err);
	if (result == NULL)
		return fail(CLI_FAILED, &err);
	out = open_memstream(&text, &len);
	if (out == NULL)
		abort();
	if (cli->json || filters->json)
		print_json(out, result);
	else
		print_diff(cli, out, json_object_get(result, "diff"));
	fclose(out);
	if (cli_filters_print(filters, text, stdout, &err) < 0)
		code = fail(CLI_USAGE, &err);
	free(text);
	json_decref(result);
	return code;
}

static void
print_commit(const struct cli *cli, const json_t *result, bool check, long minutes)
{
	size_t changes = json_array_size(json_object_get(result, "diff"));
	double took = json_number_value(json_object_get(result, "took_ms"));
	double revision = json_number_value(json_object_get(result, "revision"));

	print_diff(cli, stdout, json_object_get(result, "diff"));
	print_lines(stdout, json_object_get(result, "warnings"), "warning: ");
	if (check)
		printf("commit check: %zu changes would go, %.1f ms\n", changes, took);
	else if (json_is_true(json_object_get(result, "confirmed")))
		printf("commit confirmed: revision %.0f stays, %zu changes, %.1f ms\n", revision,
		       changes, took);
	else if (changes == 0)
		printf("nothing to commit: the candidate is what runs (revision %.0f)\n", revision);
	else
		printf("commit complete: revision %.0f, %zu changes, %.1f ms\n", revision, changes,
		       took);
	if (minutes && json_is_integer(json_object_get(result, "confirm_in_s")))
		printf("it will be rolled back in %ld min unless you type confirm\n", minutes);
}

/* The words behind "comment" as one text. 0, or -EINVAL with a sentence. */
static int
comment_of(const struct cli_match *m, char out[CTL_TEXT], struct spw_err *err)
{
	size_t len = 0;

	out[0] = '\0';
	if (m->command->action != CLI_COMMIT_COMMENT)
		return 0;
	for (unsigned int i = m->rest; i < m->n && m->arg; i++) {
		len += (size_t)snprintf(out + len, CTL_TEXT - len, "%s%s", len ? " " : "",
					m->word[i]);
		if (len >= CTL_TEXT)
			return spw_fail(err, -EINVAL,
					"commit comment: the comment is longer than %d bytes",
					CTL_TEXT - 1);
	}
	return 0;
}

static enum cli_exit
commit(struct cli *cli, const struct cli_match *m)
{
	json_t *request, *result;
	bool check = m->command->action == CLI_COMMIT_CHECK;
	struct spw_err err = {0};
	char comment[CTL_TEXT];
	long minutes = 0;

	if (m->command->action == CLI_COMMIT_CONFIRMED &&
	    (parse_number(m->arg, 1440, &minutes, &err) < 0 || minutes == 0)) {
		spw_fail(&err, -EINVAL, "commit confirmed: give 1 to 1440 minutes");
		return fail(CLI_USAGE, &err);
	}
	if (comment_of(m, comment, &err) < 0)
		return fail(CLI_USAGE, &err);
	request = json_pack("{s:s, s:b, s:s, s:I}", "op", "commit", "check", (int)check, "comment",
			    comment, "confirmed_min", (json_int_t)minutes);
	result = cli_request(cli, request, NULL, &err);
	if (result == NULL)
		return fail(CLI_FAILED, &err);
	if (cli->json)
		print_json(stdout, result);
	else
		print_commit(cli, result, check, minutes);
	json_decref(result);
	return CLI_OK;
}

static enum cli_exit
confirm(struct cli *cli)
{
	struct spw_err err = {0};

	if (simple(cli, json_pack("{s:s}", "op", "confirm"), &err) < 0)
		return fail(CLI_FAILED, &err);
	printf("confirmed\n");
	return CLI_OK;
}

static enum cli_exit
rollback(struct cli *cli, const char *text)
{
	struct spw_err err = {0};
	long back;

	if (parse_number(text, 50, &back, &err) < 0)
		return fail(CLI_USAGE, &err);
	if (simple(cli, json_pack("{s:s, s:I}", "op", "rollback", "revision", (json_int_t)back),
		   &err) < 0)
		return fail(CLI_FAILED, &err);
	return CLI_OK;
}

static enum cli_exit
save(struct cli *cli, const char *name)
{
	struct spw_err err = {0};
	json_t *result = cli_request(
		cli, json_pack("{s:s, s:s}", "op", "configuration", "source", "candidate"), NULL,
		&err);
	int fd = -1;
	FILE *out = NULL;

	if (result == NULL)
		return fail(CLI_FAILED, &err);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0)
		out = fdopen(fd, "w");
	if (out == NULL)
		spw_fail(&err, -errno, "%s: %s", name, strerror(errno));
	else {
		fprintf(out, "# spillway configuration\n");
		print_lines(out, json_object_get(result, "lines"), "");
		if (fflush(out) != 0 || fsync(fd) < 0)
			spw_fail(&err, -errno, "%s: %s", name, strerror(errno));
		fclose(out);
	}
	if (err.code == 0)
		printf("%zu lines in %s\n", json_array_size(json_object_get(result, "lines")),
		       name);
	json_decref(result);
	return err.code ? fail(CLI_FAILED, &err) : CLI_OK;
}

static int
read_lines(const char *name, struct ctl_lines *lines, struct spw_err *err)
{
	FILE *in = fopen(name, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (in == NULL)
		return spw_fail(err, -errno, "%s: %s", name, strerror(errno));
	while ((n = getline(&line, &size, in)) >= 0)
		ctl_lines_add(lines, "%.*s", (int)(n > 0 && line[n - 1] == '\n' ? n - 1 : n), line);
	free(line);
	if (ferror(in))
		spw_fail(err, -EIO, "%s: cannot be read", name);
	fclose(in);
	return err->code;
}

static enum cli_exit
load(struct cli *cli, const char *name, bool merge)
{
	struct ctl_lines lines = {0};
	struct spw_err err = {0};
	char where[CTL_PATH];
	bool own = !cli->began; /* in a script, the script's begin covers this */
	long bad = -1;
	int rc = read_lines(name, &lines, &err);

	if (rc == 0 && own)
		rc = cli_begin(cli, &err);
	if (rc == 0)
		rc = cli_send_lines(cli, (const char *const *)lines.line, lines.n, !merge, &bad,
				    &err);
	if (rc < 0 && own)
		cli_abort(cli);
	if (own)
		cli->began = false;
	if (rc == 0)
		printf("%zu lines loaded\n", lines.n);
	ctl_lines_free(&lines);
	if (rc == 0)
		return CLI_OK;
	snprintf(where, sizeof(where), "%.200s:%ld", name, bad + 1);
	cli_error(bad >= 0 ? where : NULL, err.text);
	return CLI_FAILED;
}

static bool
is_changed(struct cli *cli)
{
	struct spw_err err = {0};
	json_t *status = cli_request(cli, json_pack("{s:s}", "op", "status"), NULL, &err);
	bool changed = json_is_true(json_object_get(status, "changed"));

	json_decref(status);
	return changed;
}

static enum cli_exit
leave(struct cli *cli, bool discard)
{
	enum cli_exit code = discard ? rollback(cli, "0") : CLI_OK;

	if (!cli->configuring) { /* a script need not say configure */
		cli->leave = true;
		return code;
	}
	if (!discard && is_changed(cli))
		printf("uncommitted changes stay in the candidate; configure and exit discard "
		       "throws "
		       "them away\n");
	cli->configuring = false;
	return code;
}

static bool
has_merge(const struct cli_match *m)
{
	return m->n == 3 && strcmp(m->word[2], "merge") == 0;
}

enum cli_exit
cli_edit(struct cli *cli, const struct cli_match *match, const struct cli_filters *filters,
	 const char *line)
{
	enum cli_action action = match->command->action;

	if (action == CLI_SET || action == CLI_DELETE)
		return edit_line(cli, match, line);
	if (action == CLI_COMPARE)
		return compare(cli, match, filters);
	if (action == CLI_CONFIRM)
		return confirm(cli);
	if (action == CLI_ROLLBACK)
		return rollback(cli, match->arg);
	if (action == CLI_SAVE)
		return save(cli, match->arg);
	if (action == CLI_LOAD)
		return load(cli, match->arg, has_merge(match));
	if (action == CLI_EXIT || action == CLI_EXIT_DISCARD)
		return leave(cli, action == CLI_EXIT_DISCARD);
	return commit(cli, match);
}
