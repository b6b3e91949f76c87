/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines to commands, by the patterns of commands.def.
 *
 * All commands of the mode start alive, each with a position in its pattern. Every word keeps
 * those that can take it: an exact literal wins, then a literal it is the unique beginning of, then
 * an argument. Parsing, completion and help are this one walk, so they cannot disagree.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

#define TOKENS_MAX 8

/* clang-format off */
const struct cli_command cli_commands[] = {
#define CLI_COMMAND(mode, action, what, pattern, help) \
	{CLI_MODE_##mode, CLI_##action, what, pattern, help},
#include "control/cli/commands.def"
};
/* clang-format on */
const unsigned int cli_n_commands = sizeof(cli_commands) / sizeof(cli_commands[0]);

/* One token of a pattern: [x] is optional, <x> an argument, a|b a choice. */
struct token {
	const char *text;
	size_t len;
	bool optional, argument;
};

/* Where a command stands; at < 0: it fell out. */
struct walker {
	const struct cli_command *command;
	int at;
	struct token token[TOKENS_MAX];
	int n;
};

static void
tokens_parse(struct walker *w)
{
	const char *p = w->command->pattern;

	while (*p && w->n < TOKENS_MAX) {
		struct token *t = &w->token[w->n++];
		size_t len = strcspn(p, " ");

		*t = (struct token){p, len, *p == '[', false};
		if (t->optional) {
			t->text++;
			t->len -= 2;
		}
		t->argument = *t->text == '<';
		p += len + (p[len] == ' ');
	}
}

/* The k-th literal of a token; false when there are not so many. */
static bool
token_choice(const struct token *t, unsigned int k, char out[CTL_TEXT])
{
	const char *p = t->text, *end = t->text + t->len;

	while (k-- > 0) {
		p = memchr(p, '|', (size_t)(end - p));
		if (p == NULL)
			return false;
		p++;
	}
	const char *bar = memchr(p, '|', (size_t)(end - p));

	snprintf(out, CTL_TEXT, "%.*s", (int)((bar ? bar : end) - p), p);
	return true;
}

static bool
is_rest(const struct token *t)
{
	return t->argument && t->len == 6 && memcmp(t->text, "<rest>", 6) == 0;
}

/* How well a word fits a token: 0 not, 1 argument, 2 beginning, 3 exact. full: the literal. */
static int
token_fit(const struct token *t, const char *word, char full[CTL_TEXT])
{
	int best = 0;
	char choice[CTL_TEXT];

	if (t->argument) {
		snprintf(full, CTL_TEXT, "%s", word);
		return 1;
	}
	for (unsigned int k = 0; token_choice(t, k, choice); k++) {
		int fit = strcmp(choice, word) == 0			      ? 3
			  : *word && strncmp(choice, word, strlen(word)) == 0 ? 2
									      : 0;

		if (fit > best) {
			best = fit;
			snprintf(full, CTL_TEXT, "%s", choice);
		}
	}
	return best;
}

/* Positions reachable without a word: the present one and those behind optional tokens. */
static bool
next_position(const struct walker *w, int *at)
{
	if (*at < 0)
		*at = w->at;
	else if (*at < w->n && w->token[*at].optional)
		(*at)++;
	else
		return false;
	return *at < w->n;
}

static int
walker_fit(const struct walker *w, const char *word, int *at, char full[CTL_TEXT])
{
	int best = 0;
	char text[CTL_TEXT];

	for (int i = -1; w->at >= 0 && next_position(w, &i);) {
		int fit = token_fit(&w->token[i], word, text);

		if (fit > best) {
			best = fit;
			*at = i;
			memcpy(full, text, CTL_TEXT);
		}
	}
	return best;
}

static int
word_refused(const struct walker *walkers, unsigned int n, const char *word, bool ambiguous,
	     struct spw_err *err)
{
	char list[160] = "", choice[CTL_TEXT], quoted[CTL_TEXT];
	size_t len = 0;

	for (unsigned int i = 0; i < n; i++)
		for (int at = -1; walkers[i].at >= 0 && next_position(&walkers[i], &at);)
			for (unsigned int k = 0; token_choice(&walkers[i].token[at], k, choice) &&
						 len + 30 < sizeof(list);
			     k++) {
				snprintf(quoted, sizeof(quoted), " %.100s", choice);
				if (strstr(list, quoted) ||
				    (ambiguous && strncmp(choice, word, strlen(word)) != 0))
					continue;
				len += (size_t)snprintf(list + len, sizeof(list) - len, "%s %s",
							len ? "," : "", choice);
			}
	if (len == 0)
		return spw_fail(err, -EINVAL, "nothing may follow here, but there is \"%.40s\"",
				word);
	return spw_fail(err, -EINVAL, "\"%.40s\" is %s: one of%s", word,
			ambiguous ? "ambiguous" : "unknown here", list);
}

/* Keep the walkers that take the word. 0, or -EINVAL with a sentence. */
static int
take_word(struct walker *walkers, unsigned int n, const char *word, char full[CTL_TEXT],
	  struct spw_err *err)
{
	char text[CTL_TEXT];
	int best = 0, at = 0;
	bool ambiguous = false;

	for (unsigned int i = 0; i < n; i++) {
		int fit = walker_fit(&walkers[i], word, &at, text);

		if (fit == best && fit == 2 && strcmp(text, full) != 0)
			ambiguous = true;
		if (fit > best) {
			best = fit;
			ambiguous = false;
			memcpy(full, text, CTL_TEXT);
		}
	}
	if (best == 0 || ambiguous)
		return word_refused(walkers, n, word, ambiguous, err);
	for (unsigned int i = 0; i < n; i++) {
		int fit = walker_fit(&walkers[i], word, &at, text);

		if (fit == best && strcmp(text, full) == 0)
			walkers[i].at = is_rest(&walkers[i].token[at]) ? at : at + 1;
		else
			walkers[i].at = -1;
	}
	return best == 1 ? 1 : 0;
}

static bool
walker_done(const struct walker *w)
{
	if (w->at < 0)
		return false;
	for (int i = w->at; i < w->n; i++)
		if (!w->token[i].optional && !is_rest(&w->token[i]))
			return false;
	return true;
}

static struct walker *
walkers_new(enum cli_mode mode, unsigned int *n)
{
	struct walker *w = calloc(cli_n_commands, sizeof(*w));

	if (w == NULL)
		abort();
	*n = 0;
	for (unsigned int i = 0; i < cli_n_commands; i++) {
		if ((cli_commands[i].mode & mode) == 0)
			continue;
		w[*n].command = &cli_commands[i];
		tokens_parse(&w[(*n)++]);
	}
	return w;
}

static const char *
match_store(struct cli_match *match, size_t *used, const char *text)
{
	size_t len = strlen(text) + 1;
	char *at = match->store + *used;

	if (*used + len > sizeof(match->store))
		return "";
	memcpy(at, text, len);
	*used += len;
	return at;
}

static int
incomplete(const struct walker *walkers, unsigned int n, struct spw_err *err)
{
	for (unsigned int i = 0; i < n; i++)
		if (walkers[i].at >= 0)
			return spw_fail(err, -EINVAL, "incomplete: %s",
					walkers[i].command->pattern);
	return spw_fail(err, -EINVAL, "unknown command");
}

static int
match_words(struct walker *walkers, unsigned int n_walkers, const char *const *word, unsigned int n,
	    struct cli_match *match, struct spw_err *err)
{
	size_t used = 0;
	char full[CTL_TEXT];

	for (unsigned int i = 0; i < n; i++) {
		int rc = take_word(walkers, n_walkers, word[i], full, err);

		if (rc < 0)
			return rc;
		match->word[match->n++] = rc == 1 ? word[i] : match_store(match, &used, full);
		if (rc == 1 && match->arg == NULL) {
			match->arg = word[i];
			match->rest = i;
		}
	}
	for (unsigned int i = 0; i < n_walkers; i++)
		if (walker_done(&walkers[i]) && match->command == NULL)
			match->command = walkers[i].command;
	if (match->command == NULL)
		return incomplete(walkers, n_walkers, err);
	return 0;
}

int
cli_match(const char *const *word, unsigned int n, enum cli_mode mode, struct cli_match *match,
	  struct spw_err *err)
{
	unsigned int n_walkers;
	struct walker *walkers = walkers_new(mode, &n_walkers);
	int rc;

	memset(match, 0, sizeof(*match));
	rc = match_words(walkers, n_walkers, word, n, match, err);
	free(walkers);
	return rc;
}

void
cli_offer_add(struct cli_offers *offers, const char *word, const char *help, bool placeholder)
{
	struct cli_offer *o;

	for (unsigned int i = 0; i < offers->n; i++)
		if (strcmp(offers->item[i].word, word) == 0)
			return;
	if (offers->n == offers->size) {
		offers->size = offers->size ? 2 * offers->size : 16;
		offers->item = realloc(offers->item, offers->size * sizeof(*offers->item));
		if (offers->item == NULL)
			abort();
	}
	o = &offers->item[offers->n++];
	snprintf(o->word, sizeof(o->word), "%s", word);
	snprintf(o->help, sizeof(o->help), "%s", help);
	o->placeholder = placeholder;
}

void
cli_offers_free(struct cli_offers *offers)
{
	free(offers->item);
	*offers = (struct cli_offers){0};
}

static unsigned int
count_first_word(const char *pattern, enum cli_mode mode)
{
	size_t len = strcspn(pattern, " ");
	unsigned int n = 0;

	for (unsigned int i = 0; i < cli_n_commands; i++)
		n += (cli_commands[i].mode & mode) &&
		     strncmp(cli_commands[i].pattern, pattern, len) == 0 &&
		     (cli_commands[i].pattern[len] == ' ' || cli_commands[i].pattern[len] == '\0');
	return n;
}

/* Help of a word that several commands share is left out: it would be that of one of them. */
static void
offer_walker(const struct walker *w, unsigned int words, enum cli_mode mode,
	     struct cli_offers *offers)
{
	char choice[CTL_TEXT];

	if (walker_done(w))
		cli_offer_add(offers, "", w->command->help, true);
	for (int at = -1; w->at >= 0 && next_position(w, &at);) {
		bool shared = words == 0 && count_first_word(w->command->pattern, mode) > 1;
		bool last =
			at + 1 >= w->n || w->token[at + 1].optional || w->token[at + 1].argument;

		for (unsigned int k = 0; token_choice(&w->token[at], k, choice); k++)
			cli_offer_add(offers, choice, last && !shared ? w->command->help : "",
				      w->token[at].argument);
	}
}

void
cli_offer_commands(const char *const *word, unsigned int n, enum cli_mode mode,
		   struct cli_offers *offers)
{
	unsigned int n_walkers;
	struct walker *walkers = walkers_new(mode, &n_walkers);
	char full[CTL_TEXT];
	int rc = 0;

	for (unsigned int i = 0; i < n && rc >= 0; i++)
		rc = take_word(walkers, n_walkers, word[i], full, NULL);
	for (unsigned int i = 0; i < n_walkers && rc >= 0; i++)
		offer_walker(&walkers[i], n, mode, offers);
	free(walkers);
}

static void
document_mode(enum cli_mode mode, const char *title, struct ctl_lines *out)
{
	ctl_lines_add(out, "\n## %s\n\n| command | does |\n|---|---|", title);
	for (unsigned int i = 0; i < cli_n_commands; i++) {
		char pattern[CTL_TEXT * 2] = "";

		if (cli_commands[i].mode != mode)
			continue;
		for (const char *p = cli_commands[i].pattern; *p; p++) {
			size_t len = strlen(pattern);

			snprintf(pattern + len, sizeof(pattern) - len, *p == '|' ? "\\%c" : "%c",
				 *p);
		}
		ctl_lines_add(out, "| `%s` | %s |", pattern, cli_commands[i].help);
	}
}

void
cli_document(struct ctl_lines *out)
{
	ctl_lines_add(
		out, "%s",
		"# The shell\n\nMade from control/cli/commands.def; do not edit.\n\n"
		"```\nspillway                      interactive: prompt gw>, in configure mode "
		"gw#\n"
		"spillway -c \"show ike\"        one command, may be repeated; also: spillway show "
		"ike\n"
		"spillway --json show ike      the answer as JSON (docs/show-json.md)\n"
		"spillway -f FILE              a script, - for standard input; # starts a comment\n"
		"spillway --run-dir DIR ...    another controld\n```\n\n"
		"Exit codes: 0 done, 1 refused or failed, 2 the command itself is wrong. Errors "
		"are one "
		"line on standard error. Words may be shortened\nwhile unique; TAB completes, `?` "
		"explains. After any command: `| match RE`, `| except RE`, `| count`, `| json`, "
		"`| no-more` (there is no pager).\nColour appears on terminals only and never with "
		"NO_COLOR set. In scripts and one-shots the commands of both modes work; when one "
		"fails, "
		"the script\nends and its changes to the candidate since its last commit are taken "
		"back.\n\n"
		"There is one candidate, shared by everybody and kept by spillway-controld: it "
		"outlives the "
		"shell (`exit` says so), not a restart of the daemon.\n`commit` checks everything, "
		"lets the "
		"daemons prepare, stores and applies; a refused commit changes nothing. The last "
		"50 "
		"revisions are kept. After `commit\nconfirmed`, `confirm` or another `commit` in "
		"time keeps "
		"the change (another `commit confirmed` begins the time anew); otherwise the "
		"revision before comes\nback by itself, also when the daemon was restarted in "
		"between. A vnet or link that comes back so has lost the operator's requests for "
		"it, and a vnet its\nwait to restore: they end with a deletion, confirmed or not. "
		"`save` and `load` use files of the user who runs the shell.\n\n"
		"`[x]` may be left out, `a|b` is a choice, `<x>` an argument.");
	document_mode(CLI_MODE_BOTH, "In both modes", out);
	document_mode(CLI_MODE_OPER, "Operational mode", out);
	document_mode(CLI_MODE_CONF, "Configure mode", out);
}
