/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interactive shell on libedit: prompt, history, TAB and `?`.
 *
 * TAB extends the word as far as all offers agree and lists them when they differ; `?` lists them
 * with their help without changing the line (inside quotes it is an ordinary character). The
 * history is kept in ~/.spillway_history, mode 0600, without the lines that may hold a key.
 */
#include <ctype.h>
#include <errno.h>
#include <histedit.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/cli.h"

#define HISTORY_SIZE 1000

static struct cli *shell; /* libedit's callbacks for keys carry no pointer of ours but this */
static char prompt_text[96];

static const char *
on_prompt(EditLine *el)
{
	return prompt_text;
}

static void
refresh_prompt(struct cli *cli)
{
	struct spw_err err = {0};
	json_t *status = cli_request(cli, json_pack("{s:s}", "op", "status"), NULL, &err);
	const char *name = json_string_value(json_object_get(status, "host_name"));

	if (name)
		snprintf(cli->host_name, sizeof(cli->host_name), "%s", name);
	json_decref(status);
	snprintf(prompt_text, sizeof(prompt_text), "%s%s ", cli->host_name,
		 cli->configuring ? "#" : ">");
}

/* Longest text all words that can be inserted share, behind what is typed already. */
static size_t
common_length(const struct cli_offers *offers, const char **first, unsigned int *words)
{
	size_t len = 0;

	*first = NULL;
	*words = 0;
	for (unsigned int i = 0; i < offers->n; i++) {
		const char *word = offers->item[i].word;
		size_t k = 0;

		if (offers->item[i].placeholder)
			continue;
		(*words)++;
		if (*first == NULL) {
			*first = word;
			len = strlen(word);
			continue;
		}
		while (k < len && word[k] == (*first)[k])
			k++;
		len = k;
	}
	return len;
}

static void
print_offers(const struct cli_offers *offers)
{
	int width = 12;

	for (unsigned int i = 0; i < offers->n; i++)
		if ((int)strlen(offers->item[i].word) > width)
			width = (int)strlen(offers->item[i].word);
	fputc('\n', stdout);
	for (unsigned int i = 0; i < offers->n; i++)
		printf("  %-*s  %s\n", width, offers->item[i].word, offers->item[i].help);
	if (offers->n == 0)
		printf("  nothing fits here\n");
	fflush(stdout);
}

static void
line_before_cursor(EditLine *el, char out[CTL_LINE_MAX])
{
	const LineInfo *info = el_line(el);

	snprintf(out, CTL_LINE_MAX, "%.*s", (int)(info->cursor - info->buffer), info->buffer);
}

static unsigned char
on_complete(EditLine *el, int key)
{
	struct cli_offers offers = {0};
	char line[CTL_LINE_MAX], add[CTL_TEXT + 2] = "";
	const char *first, *begin;
	unsigned int words;
	size_t common, typed;

	line_before_cursor(el, line);
	cli_complete(shell, line, &offers);
	begin = line + strlen(line);
	while (begin > line && !isspace((unsigned char)begin[-1]))
		begin--;
	typed = strlen(begin);
	common = common_length(&offers, &first, &words);
	if (first && common >= typed && strncmp(first, begin, typed) == 0)
		snprintf(add, sizeof(add), "%.*s%s", (int)(common - typed), first + typed,
			 words == 1 ? " " : "");
	if (add[0])
		el_insertstr(el, add);
	else
		print_offers(&offers);
	cli_offers_free(&offers);
	return add[0] ? CC_REFRESH : CC_REDISPLAY;
}

static bool
in_quotes(const char *line)
{
	bool open = false;

	for (; *line; line++) {
		if (*line == '\\' && line[1])
			line++;
		else if (*line == '"')
			open = !open;
	}
	return open;
}

static unsigned char
on_help(EditLine *el, int key)
{
	struct cli_offers offers = {0};
	char line[CTL_LINE_MAX];

	line_before_cursor(el, line);
	if (in_quotes(line)) {
		el_insertstr(el, "?");
		return CC_REFRESH;
	}
	cli_complete(shell, line, &offers);
	print_offers(&offers);
	cli_offers_free(&offers);
	return CC_REDISPLAY;
}

static void
on_interrupt(int signo)
{
	cli_interrupted = 1;
}

static void
history_path(char out[CTL_PATH])
{
	const char *home = getenv("HOME");
	const struct passwd *pw = home ? NULL : getpwuid(getuid());

	snprintf(out, CTL_PATH, "%s/.spillway_history",
		 home ? home
		 : pw ? pw->pw_dir
		      : "/nonexistent");
}

static EditLine *
editor_new(History **list, const char *path)
{
	EditLine *el = el_init("spillway", stdin, stdout, stderr);
	HistEvent ev;

	*list = history_init();
	if (el == NULL || *list == NULL)
		abort();
	history(*list, &ev, H_SETSIZE, HISTORY_SIZE);
	history(*list, &ev, H_SETUNIQUE, 1);
	history(*list, &ev, H_LOAD, path);
	el_set(el, EL_EDITOR, "emacs");
	el_set(el, EL_SIGNAL, 1);
	el_set(el, EL_PROMPT, on_prompt);
	el_set(el, EL_HIST, history, *list);
	el_set(el, EL_ADDFN, "spillway-complete", "Complete the word", on_complete);
	el_set(el, EL_ADDFN, "spillway-help", "Explain what may follow", on_help);
	el_set(el, EL_BIND, "^I", "spillway-complete", NULL);
	el_set(el, EL_BIND, "?", "spillway-help", NULL);
	el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	return el;
}

static void
run_line(struct cli *cli, History *history_list, const char *text, int len)
{
	char line[CTL_LINE_MAX];
	HistEvent ev;

	if (len >= CTL_LINE_MAX) {
		cli_error(NULL, "the line is too long");
		return;
	}
	snprintf(line, sizeof(line), "%.*s", len, text);
	line[strcspn(line, "\r\n")] = '\0';
	if (line[strspn(line, " \t")] == '\0')
		return;
	if (!cli_may_hold_key(line))
		history(history_list, &ev, H_ENTER, line);
	cli_interrupted = 0;
	cli_execute(cli, line);
}

enum cli_exit
cli_interactive(struct cli *cli)
{
	struct sigaction action = {.sa_handler = on_interrupt};
	History *history_list;
	char path[CTL_PATH];
	const char *text;
	HistEvent ev;
	EditLine *el;
	int len = 0;

	shell = cli;
	sigaction(SIGINT, &action, NULL);
	history_path(path);
	el = editor_new(&history_list, path);
	while (!cli->leave) {
		refresh_prompt(cli);
		text = el_gets(el, &len);
		if (text == NULL || len <= 0) {
			if (!cli_interrupted)
				break;
			cli_interrupted = 0;
			el_reset(el);
			fputc('\n', stdout);
			continue;
		}
		run_line(cli, history_list, text, len);
	}
	umask(077);
	history(history_list, &ev, H_SAVE, path);
	history_end(history_list);
	el_end(el);
	return CLI_OK;
}
