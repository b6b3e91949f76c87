/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libyang's errors as one line: the path as the user types it, what is wrong, how to mend it.
 *
 * The context keeps the last error, whose text and place are known forms of libyang 2; a form that
 * is not known is told as it is. Nothing is changed here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_private.h"

char *
model_path_words(const char *path, char out[MODEL_PATH_MAX])
{
	size_t n = 0;

	for (const char *p = path; *p && n + 2 < MODEL_PATH_MAX; p++) {
		if (*p == '/') {
			const char *colon = strpbrk(p + 1, ":/[");

			if (n > 0)
				out[n++] = ' ';
			if (colon && *colon == ':')
				p = colon;
		} else if (*p == '[') {
			const char *value = strpbrk(p, "'\"");
			const char *end = value ? strchr(value + 1, *value) : NULL;

			if (end == NULL || end[1] != ']')
				break;
			n += (size_t)snprintf(out + n, MODEL_PATH_MAX - n, " %.*s",
					      (int)(end - value - 1), value + 1);
			n = n < MODEL_PATH_MAX ? n : MODEL_PATH_MAX - 1;
			p = end + 1;
		} else {
			out[n++] = *p;
		}
	}
	out[n] = '\0';
	return out;
}

static int
fail_leafref(const char *words, const char *message, struct spw_err *err)
{
	const char *target = strrchr(words, ' ');
	char value[CTL_TEXT] = "", entry[MODEL_PATH_MAX];

	if (sscanf(message, "Invalid leafref value \"%127[^\"]\"", value) != 1)
		return spw_fail(err, -EINVAL, "%s: %s", words, message);
	/* The name of a list's entry: the entry has it already. */
	if (target && strcmp(target, " name") == 0) {
		snprintf(entry, sizeof(entry), "%.*s", (int)(target - words), words);
		words = entry;
		target = strrchr(words, ' ');
	}
	if (target && strcmp(target + 1, value) == 0)
		return spw_fail(err, -EINVAL,
				"%s: there is no \"%s\": make it first, or delete this", words,
				value);
	return spw_fail(err, -EINVAL, "%s %s: there is no \"%s\": make it first, or delete this",
			words, value, value);
}

/* The path inside `Data location "/...".`; several locations may be named, the first counts. */
static void
error_path(const struct ly_err_item *item, char out[MODEL_PATH_MAX])
{
	const char *start = item && item->path ? strchr(item->path, '/') : NULL;
	const char *end = start ? strstr(start, "\".") : NULL;

	if (start && end == NULL)
		end = strstr(start, "\",");
	snprintf(out, MODEL_PATH_MAX, "%.*s",
		 (int)(end     ? end - start
		       : start ? (int)strlen(start)
			       : 0),
		 start ? start : "");
}

/* libyang names only the schema node of what is missing: find the first entry without it. */
static int
fail_mandatory(const struct lyd_node *root, char path[MODEL_PATH_MAX], const char *name,
	       struct spw_err *err)
{
	char query[MODEL_PATH_MAX + 2 * CTL_TEXT], entry[MODEL_PATH_MAX],
		words[MODEL_PATH_MAX] = "";
	struct ly_set *set = NULL;
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
	snprintf(query, sizeof(query), "%s[not(%s)]", path, name);
	if (lyd_find_xpath(root, query, &set) == LY_SUCCESS && set->count > 0 &&
	    lyd_path(set->dnodes[0], LYD_PATH_STD, entry, sizeof(entry)))
		model_path_words(entry, words);
	else
		model_path_words(path, words);
	ly_set_free(set, NULL);
	return spw_fail(err, -EINVAL, "%s: %s is missing: set %s %s VALUE", words, name, words,
			name);
}

int
model_fail_validation(struct ctl_model *model, const struct lyd_node *root, struct spw_err *err)
{
	const struct ly_err_item *item = ly_err_last(model->ctx);
	char path[MODEL_PATH_MAX], words[MODEL_PATH_MAX], name[CTL_TEXT];
	const char *msg = item && item->msg ? item->msg : "not valid";

	error_path(item, path);
	model_path_words(path, words);
	if (sscanf(msg, "Mandatory node \"%127[^\"]\"", name) == 1)
		return fail_mandatory(root, path, name, err);
	if (strncmp(msg, "Data for both cases", 19) == 0)
		return spw_fail(
			err, -EINVAL,
			"%s: has both a profile and proposals of its own: delete one of them",
			words);
	if (sscanf(msg, "Too many \"%127[^\"]\"", name) == 1)
		return spw_fail(err, -EINVAL, "%s: too many entries: delete some", words);
	if (strstr(msg, "leafref"))
		return fail_leafref(words, msg, err);
	return spw_fail(err, -EINVAL, "%s: %s", words, msg);
}
