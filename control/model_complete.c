/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may come next in a `set` or `delete` line: schema words, names of existing entries, values
 * of enumerations, and placeholders that say what kind of value is wanted.
 *
 * The finished words of the line are walked exactly as an edit walks them; the last, unfinished
 * word filters what is offered. A line that cannot be walked offers nothing.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_private.h"

struct offer {
	json_t *list;
	const char *begin; /* unfinished word */
	size_t len;
};

static void
offer_word(struct offer *o, const char *word, const char *help, bool placeholder)
{
	if (!placeholder && strncmp(word, o->begin, o->len) != 0)
		return;
	json_array_append_new(o->list, json_pack("{s:s, s:s, s:b}", "word", word, "help",
						 help ? help : "", "value", placeholder));
}

static void
offer_children(struct ctl_model *model, const struct lysc_node *node, struct offer *o)
{
	char help[MODEL_HINT_MAX];

	for (const struct lysc_node *c = NULL; (c = model_next_child(model, node, c));)
		offer_word(o, c->name, model_help(c, help), false);
}

static const char *
entry_help(const struct lyd_node *entry)
{
	const struct lyd_node *child;

	LY_LIST_FOR(lyd_child(entry), child)
	{
		if (strcmp(child->schema->name, "description") == 0)
			return lyd_get_value(child);
	}
	return "";
}

static const struct lyd_node *
siblings_at(const struct ctl_tree *tree, const char *path)
{
	struct lyd_node *parent = NULL;
	char up[MODEL_PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == path || slash == NULL)
		return tree->root;
	snprintf(up, sizeof(up), "%.*s", (int)(slash - path), path);
	if (tree->root == NULL || lyd_find_path(tree->root, up, 0, &parent) != LY_SUCCESS)
		return NULL;
	return lyd_child(parent);
}

static void
offer_entries(const struct lyd_node *siblings, const struct lysc_node *list, struct offer *o)
{
	size_t n = 0;
	const struct lyd_node **entry = model_instances(siblings, list, &n);

	for (size_t i = 0; i < n; i++) {
		bool term = list->nodetype == LYS_LEAFLIST;

		offer_word(o, lyd_get_value(term ? entry[i] : lyd_child(entry[i])),
			   term ? "" : entry_help(entry[i]), false);
	}
	free(entry);
}

static void
offer_placeholder(const struct lysc_node *leaf, struct offer *o)
{
	char word[CTL_TEXT], hint[MODEL_HINT_MAX];

	snprintf(word, sizeof(word), "<%s>", leaf->name);
	offer_word(o, word, model_type_hint(leaf, hint), true);
}

static void
offer_enum(const struct lysc_type_enum *type, struct offer *o)
{
	LY_ARRAY_COUNT_TYPE i;

	LY_ARRAY_FOR(type->enums, i)
	{
		offer_word(o, type->enums[i].name, type->enums[i].dsc, false);
	}
}

static void
offer_leafref(const struct ctl_tree *tree, const char *list, struct offer *o)
{
	json_t *names = ctl_model_names(tree, list), *name;
	size_t i;

	json_array_foreach(names, i, name) offer_word(o, json_string_value(name), "", false);
	json_decref(names);
}

static void
offer_value(const struct ctl_tree *tree, const struct lysc_node *leaf, struct offer *o)
{
	const struct lysc_type *type = model_leaf_type(leaf, false);
	char list[CTL_NAME * 2];

	if (model_leafref_list(leaf, list)) {
		offer_leafref(tree, list, o);
	} else if (type->basetype == LY_TYPE_ENUM) {
		offer_enum((const struct lysc_type_enum *)type, o);
	} else if (type->basetype == LY_TYPE_BOOL) {
		offer_word(o, "true", "", false);
		offer_word(o, "false", "", false);
	} else {
		offer_placeholder(leaf, o);
	}
}

/* A key that names an entry of another list: all that may stand there is offered with it. */
static bool
is_reference(const struct lysc_node *key)
{
	char list[CTL_NAME * 2];

	return model_leafref_list(key, list);
}

static void
offer_at(struct ctl_model *model, const struct ctl_tree *tree, const struct model_at *at,
	 bool deleting, struct offer *o)
{
	switch (at->want) {
	case MODEL_WANT_CHILD: offer_children(model, at->node, o); break;
	case MODEL_WANT_KEY:
		if (deleting || !is_reference(at->key))
			offer_entries(siblings_at(tree, at->path), at->node, o);
		if (!deleting)
			offer_value(tree, at->key, o);
		break;
	case MODEL_WANT_VALUE:
		if (!deleting)
			offer_value(tree, at->node, o);
		else if (at->node->nodetype == LYS_LEAFLIST)
			offer_entries(siblings_at(tree, at->path), at->node, o);
		break;
	}
}

/* Walk finished words. false when the line has an error before its end. */
static bool
walk(struct ctl_model *model, const char *const *word, int n, struct model_at *at)
{
	model_at_init(at);
	for (int i = 0; i < n; i++) {
		if (at->want != MODEL_WANT_VALUE) {
			if (model_at_step(model, at, word[i], NULL) < 0)
				return false;
			continue;
		}
		if (model_check_value(model, at->node, at->words, word[i], NULL) < 0)
			return false;
		model_at_leave_leaf(at);
	}
	return true;
}

json_t *
ctl_model_complete(struct ctl_model *model, const struct ctl_tree *tree, const char *text)
{
	struct offer o = {.list = json_array(), .begin = ""};
	const char *word[CTL_WORDS_MAX];
	char copy[CTL_LINE_MAX];
	size_t len = strlen(text);
	struct model_at at;
	bool deleting;
	int n;

	if (len == 0 || len >= sizeof(copy))
		return o.list;
	memcpy(copy, text, len + 1);
	n = ctl_words_split(copy, word, NULL);
	if (n > 0 && !isspace((unsigned char)text[len - 1])) {
		o.begin = word[--n];
		o.len = strlen(o.begin);
	}
	if (n < 1)
		return o.list;
	deleting = strcmp(word[0], "delete") == 0;
	if (walk(model, word + 1, n - 1, &at))
		offer_at(model, tree, &at, deleting, &o);
	return o.list;
}
