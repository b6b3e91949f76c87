/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tree to lines: the canonical list of `set` lines, and the difference of two such lists.
 *
 * Canonical order is the schema's; entries of a list are sorted by key (numbers as numbers), except
 * where the user's order means something. A list entry or presence container has a line of its own
 * only when nothing below it does. So equal trees give equal text, which is what is stored, and
 * two texts can be compared line by line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_private.h"

#define TEXT_MAX 2048

static void print_children(struct ctl_model *model, const struct lysc_node *parent,
			   const struct lyd_node *siblings, const char *prefix,
			   struct ctl_lines *lines);

static void
print_list_entry(struct ctl_model *model, const struct lyd_node *entry, const char *prefix,
		 struct ctl_lines *lines)
{
	char text[TEXT_MAX];
	size_t before = lines->n;

	snprintf(text, sizeof(text), "%s %s", prefix, entry->schema->name);
	for (const struct lyd_node *key = lyd_child(entry); key && lysc_is_key(key->schema);
	     key = key->next) {
		strncat(text, " ", sizeof(text) - strlen(text) - 1);
		ctl_word_append(text, sizeof(text), lyd_get_value(key));
	}
	print_children(model, entry->schema, lyd_child(entry), text, lines);
	if (lines->n == before)
		ctl_lines_add(lines, "%s", text);
}

static void
print_node(struct ctl_model *model, const struct lyd_node *node, const char *prefix,
	   struct ctl_lines *lines)
{
	char text[TEXT_MAX];
	size_t before = lines->n;

	if (node->flags & LYD_DEFAULT && node->schema->nodetype & LYD_NODE_TERM)
		return;
	if (node->schema->nodetype == LYS_LIST) {
		print_list_entry(model, node, prefix, lines);
		return;
	}
	snprintf(text, sizeof(text), "%s %s", prefix, node->schema->name);
	if (node->schema->nodetype & LYD_NODE_TERM) {
		strncat(text, " ", sizeof(text) - strlen(text) - 1);
		ctl_word_append(text, sizeof(text), lyd_get_value(node));
		ctl_lines_add(lines, "%s", text);
		return;
	}
	print_children(model, node->schema, lyd_child(node), text, lines);
	if (lines->n == before && node->schema->flags & LYS_PRESENCE)
		ctl_lines_add(lines, "%s", text);
}

/* Depth is that of the schema. */
static void
print_children(struct ctl_model *model, const struct lysc_node *parent,
	       const struct lyd_node *siblings, const char *prefix, struct ctl_lines *lines)
{
	for (const struct lysc_node *s = NULL; (s = model_next_child(model, parent, s));) {
		size_t n;
		const struct lyd_node **node = model_instances(siblings, s, &n);

		for (size_t i = 0; i < n; i++)
			print_node(model, node[i], prefix, lines);
		free(node);
	}
}

void
ctl_model_lines(struct ctl_model *model, const struct ctl_tree *tree, struct ctl_lines *lines)
{
	print_children(model, NULL, tree->root, "set", lines);
}

struct sorted {
	const char *line;
	size_t at;
};

static int
sorted_compare(const void *a, const void *b)
{
	return strcmp(((const struct sorted *)a)->line, ((const struct sorted *)b)->line);
}

/* Mark the lines of a that are in b. The caller frees. */
static bool *
common_lines(const struct ctl_lines *a, const struct ctl_lines *b)
{
	struct sorted *table = calloc(b->n + 1, sizeof(*table));
	bool *common = calloc(a->n + 1, sizeof(*common));

	if (table == NULL || common == NULL)
		abort();
	for (size_t i = 0; i < b->n; i++)
		table[i] = (struct sorted){b->line[i], i};
	qsort(table, b->n, sizeof(*table), sorted_compare);
	for (size_t i = 0; i < a->n; i++) {
		struct sorted want = {a->line[i], 0};

		common[i] = bsearch(&want, table, b->n, sizeof(*table), sorted_compare) != NULL;
	}
	free(table);
	return common;
}

/* Common lines that stand in another order count as changed on both sides. */
static void
unmark_reordered(const struct ctl_lines *a, bool *in_a, const struct ctl_lines *b, bool *in_b)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (i < a->n && !in_a[i])
			i++;
		while (j < b->n && !in_b[j])
			j++;
		if (i == a->n || j == b->n)
			return;
		if (strcmp(a->line[i], b->line[j]) != 0)
			in_a[i] = in_b[j] = false;
		i++;
		j++;
	}
}

/* -1: the line of `from` goes next, 1: that of `to`, 0: both stand. */
static int
order_compare(const struct ctl_lines *from, size_t i, const bool *in_from,
	      const struct ctl_lines *to, size_t j, const bool *in_to)
{
	if (i < from->n && !in_from[i])
		return -1;
	if (j < to->n && !in_to[j])
		return 1;
	return 0;
}

void
ctl_lines_diff(const struct ctl_lines *from, const struct ctl_lines *to, struct ctl_lines *out)
{
	bool *in_from = common_lines(from, to), *in_to = common_lines(to, from);
	size_t i = 0, j = 0;

	unmark_reordered(from, in_from, to, in_to);
	while (i < from->n || j < to->n) {
		switch (order_compare(from, i, in_from, to, j, in_to)) {
		case -1: ctl_lines_add(out, "- delete%s", from->line[i++] + strlen("set")); break;
		case 1: ctl_lines_add(out, "+ %s", to->line[j++]); break;
		default:
			i++;
			j++;
			break;
		}
	}
	free(in_from);
	free(in_to);
}
