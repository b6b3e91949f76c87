/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Aligned columns from JSON rows.
 *
 * A column is as wide as its header asks for, or as its longest cell and a blank; the last one is
 * not padded. Text from other machines (descriptions, reasons) may hold anything: control
 * characters are replaced, so a peer cannot write on the terminal. State words are coloured after
 * the alignment is known.
 */
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

#define COLUMNS_MAX 16

void
cli_make_printable(char *text)
{
	spw_text_mend(text);
}

/* Characters; a cell is printable, so each takes its place (but for wide ones). */
static unsigned int
width_of(const char *text)
{
	unsigned int n = 0;

	for (; *text; text += spw_text_utf8(text))
		n++;
	return n;
}

static const char *
state_colour(const char *word)
{
	static const char *const good[] = {"up",	"established", "ready",	  "primary",
					   "reachable", "yes",	       "rekeying"};
	static const char *const bad[] = {"down", "failed", "none",	"unknown",
					  "idle", "no",	    "not-ready"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (strcmp(word, good[i]) == 0)
			return "\033[32m";
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (strcmp(word, bad[i]) == 0)
			return "\033[31m";
	return "\033[33m";
}

static void
cell_make(const struct cli_column *column, const json_t *row, char out[CLI_CELL])
{
	out[0] = '\0';
	column->cell(row, out);
	if (out[0] == '\0')
		memcpy(out, "-", 2);
	cli_make_printable(out);
}

static void
cell_print(FILE *out, const struct cli_column *column, const char *text, unsigned int width,
	   bool last, bool colour)
{
	unsigned int len = width_of(text);

	if (colour && column->state && strcmp(text, "-") != 0)
		fprintf(out, "%s%s\033[0m", state_colour(text), text);
	else
		fputs(text, out);
	if (!last)
		fprintf(out, "%*s", (int)(width > len ? width - len : 1), "");
}

static void
measure(const struct cli_column *column, unsigned int n, const json_t *rows, unsigned int *width)
{
	char text[CLI_CELL];
	const json_t *row;
	size_t i;

	for (unsigned int c = 0; c < n; c++) {
		size_t least = strlen(column[c].header) + 1;

		width[c] = column[c].width > least ? column[c].width : (unsigned int)least;
		json_array_foreach(rows, i, row)
		{
			cell_make(&column[c], row, text);
			if (width_of(text) + 1 > width[c])
				width[c] = width_of(text) + 1;
		}
	}
}

void
cli_table(FILE *out, const struct cli_column *column, unsigned int n, const json_t *rows,
	  void (*trailer)(const json_t *row, char out[CLI_CELL]), bool colour)
{
	unsigned int width[COLUMNS_MAX];
	char text[CLI_CELL];
	const json_t *row;
	size_t i;

	measure(column, n, rows, width);
	for (unsigned int c = 0; c < n; c++)
		fprintf(out, "%-*s", c + 1 < n ? (int)width[c] : 0, column[c].header);
	fputc('\n', out);
	json_array_foreach(rows, i, row)
	{
		char more[CLI_CELL] = "";

		if (trailer)
			trailer(row, more);
		cli_make_printable(more);
		for (unsigned int c = 0; c < n; c++) {
			cell_make(&column[c], row, text);
			cell_print(out, &column[c], text, width[c], c + 1 == n && more[0] == '\0',
				   colour);
		}
		fprintf(out, "%s\n", more);
	}
}

static void
detail_value(FILE *out, const json_t *value)
{
	char *text;

	if (json_is_null(value)) {
		fputs("-\n", out);
		return;
	}
	text = json_is_string(value) ? strdup(json_string_value(value))
				     : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
	if (text) {
		cli_make_printable(text);
		fprintf(out, "%s\n", text);
	}
	free(text);
}

/* All values of an object start in the same column. */
static int
widest_key(const json_t *row)
{
	int width = 22;
	json_t *value;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)row, key, value) if ((int)strlen(key) > width)
		width = (int)strlen(key);
	return width;
}

void
cli_table_detail(FILE *out, const json_t *rows, const char *name_key)
{
	const json_t *row;
	json_t *value;
	const char *key;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *name = json_string_value(json_object_get(row, name_key));
		int width = widest_key(row);

		fprintf(out, "%s%s\n", i ? "\n" : "", name ? name : "-");
		json_object_foreach((json_t *)(uintptr_t)row, key, value)
		{
			if (strcmp(key, name_key) == 0)
				continue;
			fprintf(out, "  %-*s ", width, key);
			detail_value(out, value);
		}
	}
}
