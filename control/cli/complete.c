/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may stand at the end of a line: commands from the table, names and configuration words from
 * controld. Without controld the commands are still offered.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/cli.h"

static void
offer_names(struct cli *cli, const char *list, const char *begin, struct cli_offers *offers)
{
	struct spw_err err = {0};
	json_t *name,
		*result = cli_request(cli, json_pack("{s:s, s:s}", "op", "names", "list", list),
				      NULL, &err);
	size_t i;

	json_array_foreach(json_object_get(result, "names"), i, name)
	{
		const char *text = json_string_value(name);

		if (text && strncmp(text, begin, strlen(begin)) == 0)
			cli_offer_add(offers, text, "", false);
	}
	json_decref(result);
}

/* set and delete lines: the model knows. */
static void
offer_model(struct cli *cli, const char *line, struct cli_offers *offers)
{
	struct spw_err err = {0};
	json_t *match,
		*result = cli_request(cli, json_pack("{s:s, s:s}", "op", "complete", "line", line),
				      NULL, &err);
	size_t i;

	json_array_foreach(json_object_get(result, "matches"), i, match)
	{
		const char *word = json_string_value(json_object_get(match, "word"));
		const char *help = json_string_value(json_object_get(match, "help"));

		if (word)
			cli_offer_add(offers, word, help ? help : "",
				      json_is_true(json_object_get(match, "value")));
	}
	json_decref(result);
}

static void
offer_argument(struct cli *cli, const struct cli_offer *kind, const char *begin,
	       struct cli_offers *offers)
{
	static const char path_name[] = "expressroute";

	if (strcmp(kind->word, "<tunnel>") == 0) {
		offer_names(cli, "tunnel", begin, offers);
	} else if (strcmp(kind->word, "<vnet>") == 0) {
		offer_names(cli, "vnet", begin, offers);
	} else if (strcmp(kind->word, "<interface>") == 0) {
		offer_names(cli, "interfaces", begin, offers);
	} else if (strcmp(kind->word, "<path>") == 0) {
		if (strncmp(path_name, begin, strlen(begin)) == 0)
			cli_offer_add(offers, path_name, "ExpressRoute", false);
		offer_names(cli, "tunnel", begin, offers);
		offer_names(cli, "link", begin, offers);
	} else {
		cli_offer_add(offers, kind->word, kind->help, true);
	}
}

static void
offer_commands(struct cli *cli, const char *const *word, unsigned int n, const char *begin,
	       enum cli_mode mode, struct cli_offers *offers)
{
	struct cli_offers all = {0};

	cli_offer_commands(word, n, mode, &all);
	for (unsigned int i = 0; i < all.n; i++) {
		const struct cli_offer *o = &all.item[i];

		if (o->word[0] == '<')
			offer_argument(cli, o, begin, offers);
		else if (o->word[0] == '\0' && *begin == '\0')
			cli_offer_add(offers, "<enter>", o->help, true);
		else if (o->word[0] && strncmp(o->word, begin, strlen(begin)) == 0)
			cli_offer_add(offers, o->word, o->help, false);
	}
	cli_offers_free(&all);
}

static void
offer_filters(const char *begin, struct cli_offers *offers)
{
	static const struct {
		const char *word, *help;
	} filters[] = {
		{"match", "Lines that match a regular expression"},
		{"except", "Lines that do not match"},
		{"count", "The number of lines"},
		{"json", "The answer as JSON"},
		{"no-more", "No pager (there is none)"},
	};

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (strncmp(filters[i].word, begin, strlen(begin)) == 0)
			cli_offer_add(offers, filters[i].word, filters[i].help, false);
}

/* "set ..." whatever abbreviation of set was typed. */
static bool
model_line(const char *const *word, unsigned int n, const char *line, enum cli_mode mode,
	   char out[CTL_LINE_MAX])
{
	struct cli_match match;
	const char *rest = line;

	if (n == 0 || cli_match(word, 1, mode, &match, NULL) < 0 ||
	    (match.command->action != CLI_SET && match.command->action != CLI_DELETE))
		return false;
	rest += strspn(rest, " \t");
	rest += strcspn(rest, " \t");
	snprintf(out, CTL_LINE_MAX, "%s%s", match.command->action == CLI_SET ? "set" : "delete",
		 rest);
	return true;
}

const struct cli_secret cli_secrets[] = {
	{"pre-shared-key", "Ask for the key and store it"},
	{"next-pre-shared-key", "Ask for a second key and store it"},
	{"ppk", "Ask for a post-quantum key and store it"},
	{NULL, NULL},
};

bool
cli_is_secret_word(const char *word)
{
	for (const struct cli_secret *s = cli_secrets; s->word; s++)
		if (strcmp(s->word, word) == 0)
			return true;
	return false;
}

static bool
begins_secret_word(const char *word)
{
	for (const struct cli_secret *s = cli_secrets; s->word; s++)
		if (*word && strncmp(s->word, word, strlen(word)) == 0)
			return true;
	return false;
}

static int
split_copy(const char *line, char copy[CTL_LINE_MAX], const char *word[CTL_WORDS_MAX])
{
	if (snprintf(copy, CTL_LINE_MAX, "%s", line) >= CTL_LINE_MAX)
		return -EINVAL;
	return ctl_words_split(copy, word, NULL);
}

bool
cli_asks_key(const char *line)
{
	const char *word[CTL_WORDS_MAX];
	char copy[CTL_LINE_MAX];
	int n = split_copy(line, copy, word);
	bool asks = false;

	for (int i = 1; i < n && !asks; i++)
		asks = cli_is_secret_word(word[i]);
	spw_wipe(copy, sizeof(copy));
	return asks;
}

bool
cli_may_hold_key(const char *line)
{
	const char *word[CTL_WORDS_MAX];
	char copy[CTL_LINE_MAX];
	int n = split_copy(line, copy, word);
	bool may = n < 0;

	for (int i = 1; i + 1 < n && !may; i++) {
		bool tunnel = i > 2 && strncmp("tunnel", word[1], strlen(word[1])) == 0;

		may = tunnel ? begins_secret_word(word[i]) : cli_is_secret_word(word[i]);
	}
	spw_wipe(copy, sizeof(copy));
	return may;
}

static void
offer_secrets(const char *const *word, unsigned int n, const char *begin, struct cli_offers *offers)
{
	if (n != 3 || strcmp(word[0], "set") != 0 ||
	    strncmp("tunnel", word[1], strlen(word[1])) != 0)
		return;
	for (const struct cli_secret *s = cli_secrets; s->word; s++)
		if (strncmp(s->word, begin, strlen(begin)) == 0)
			cli_offer_add(offers, s->word, s->help, false);
}

void
cli_complete(struct cli *cli, const char *line, struct cli_offers *offers)
{
	enum cli_mode mode = cli->configuring ? CLI_MODE_CONF : CLI_MODE_OPER;
	const char *word[CTL_WORDS_MAX], *begin = "";
	char copy[CTL_LINE_MAX], model[CTL_LINE_MAX];
	size_t len = strlen(line);
	int n;

	if (len >= sizeof(copy))
		return;
	memcpy(copy, line, len + 1);
	n = ctl_words_split(copy, word, NULL);
	if (n > 0 && len > 0 && !isspace((unsigned char)line[len - 1]))
		begin = word[--n];
	if (n < 0)
		return;
	for (int i = n - 1; i >= 0; i--)
		if (strcmp(word[i], "|") == 0) {
			if (i == n - 1)
				offer_filters(begin, offers);
			return;
		}
	if (model_line(word, (unsigned int)n, line, mode, model)) {
		offer_secrets(word, (unsigned int)n, begin, offers);
		offer_model(cli, model, offers);
		return;
	}
	offer_commands(cli, word, (unsigned int)n, begin, mode, offers);
}
