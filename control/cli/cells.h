/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by control/cli/render*.c: cells that print one key of a row. */
#ifndef SPW_CONTROL_CLI_CELLS_H
#define SPW_CONTROL_CLI_CELLS_H

#include <stdint.h>
#include <string.h>

#include "control/cli/cli.h"

/* Text of a key, "" when it has none. */
static inline const char *
text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static inline bool
has(const json_t *row, const char *key)
{
	const json_t *v = json_object_get(row, key);

	return v && !json_is_null(v);
}

static inline double
number_of(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

#define TEXT_CELL(name, key)                                      \
	static void name(const json_t *row, char out[CLI_CELL])   \
	{                                                         \
		snprintf(out, CLI_CELL, "%s", text_of(row, key)); \
	}
#define NUMBER_CELL(name, key, format)                          \
	static void name(const json_t *row, char out[CLI_CELL]) \
	{                                                       \
		if (has(row, key))                              \
			format(number_of(row, key), out);       \
	}
#define COUNT_CELL(name, key)                                                                 \
	static void name(const json_t *row, char out[CLI_CELL])                               \
	{                                                                                     \
		if (has(row, key))                                                            \
			cli_format_count(json_integer_value(json_object_get(row, key)), out); \
	}
#define PLAIN_CELL(name, key)                                                    \
	static void name(const json_t *row, char out[CLI_CELL])                  \
	{                                                                        \
		if (has(row, key))                                               \
			snprintf(out, CLI_CELL, "%" JSON_INTEGER_FORMAT,         \
				 json_integer_value(json_object_get(row, key))); \
	}

/* Strings of an array, joined; out is left alone when there are none. */
static inline void
join_cell(const json_t *list, const char *between, char out[CLI_CELL])
{
	const json_t *item;
	size_t i, n = 0;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);

		if (text && n < CLI_CELL)
			n += (size_t)snprintf(out + n, CLI_CELL - n, "%s%s", i ? between : "",
					      text);
	}
}

#endif
