/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines to tree: "set ..." and "delete ..." words walked through the schema.
 *
 * A line is resolved completely (struct edit) before the tree is touched, so a line with an error
 * changes nothing. Each word is a child (exact name or unique beginning), a key of a list, or a
 * value; after a leaf's value the walk goes on beside the leaf, so one line may set several leaves
 * of one place. Keys and values are checked by libyang against their type before they get into a
 * data path, and no type lets a quote through where it is a key, so paths cannot be forged. IPv6
 * is stored in its usual spelling, however it was typed, so that one address is one key.
 * Constraints between values are left to the commit.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_private.h"

/* One assignment: a path and its value (NULL: a list entry or presence container). */
struct assignment {
	char path[MODEL_PATH_MAX];
	char words[MODEL_PATH_MAX];
	const char *value;
	const struct lysc_node *node;
	char text[MODEL_VALUE_MAX]; /* value, when it is spelt in another way than typed */
};

#define ASSIGNMENTS_MAX 16

struct edit {
	unsigned int n;
	struct assignment item[ASSIGNMENTS_MAX];
};

void
model_at_init(struct model_at *at)
{
	at->node = NULL;
	at->key = NULL;
	at->want = MODEL_WANT_CHILD;
	at->path[0] = at->words[0] = '\0';
}

const struct lysc_node *
model_next_child(struct ctl_model *model, const struct lysc_node *parent,
		 const struct lysc_node *last)
{
	do
		last = lys_getnext(last, parent, model->module->compiled, 0);
	while (last && (lysc_is_key(last) || (last->flags & LYS_CONFIG_W) == 0));
	return last;
}

static void
append(char *text, const char *before, const char *word, const char *after)
{
	size_t n = strlen(text);

	snprintf(text + n, MODEL_PATH_MAX - n, "%s%s%s", before, word, after);
}

static int
child_unknown(struct ctl_model *model, const struct model_at *at, const char *word,
	      unsigned int matches, struct spw_err *err)
{
	char list[160] = "";
	size_t n = 0;

	for (const struct lysc_node *c = NULL; (c = model_next_child(model, at->node, c));) {
		if (matches > 0 && strncmp(c->name, word, strlen(word)) != 0)
			continue;
		if (n < sizeof(list) - 24)
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "",
					      c->name);
		else if (strcmp(list + n - 3, "...") != 0)
			n += (size_t)snprintf(list + n, sizeof(list) - n, ", ...");
	}
	if (n == 0)
		return spw_fail(err, -EINVAL, "%s: nothing may follow, but here is \"%.40s\"",
				at->words, word);
	return spw_fail(err, -EINVAL, "%s%s\"%.40s\" is %s: one of %s", at->words,
			at->words[0] ? ": " : "", word, matches > 0 ? "ambiguous" : "unknown",
			list);
}

static int
find_child(struct ctl_model *model, const struct model_at *at, const char *word,
	   const struct lysc_node **child, struct spw_err *err)
{
	const struct lysc_node *found = NULL;
	size_t len = strlen(word);
	unsigned int matches = 0;

	for (const struct lysc_node *c = NULL; len && (c = model_next_child(model, at->node, c));) {
		if (strcmp(c->name, word) == 0) {
			*child = c;
			return 0;
		}
		if (strncmp(c->name, word, len) == 0) {
			found = c;
			matches++;
		}
	}
	if (matches != 1)
		return child_unknown(model, at, word, matches, err);
	*child = found;
	return 0;
}

int
model_check_value(struct ctl_model *model, const struct lysc_node *leaf, const char *words,
		  const char *value, struct spw_err *err)
{
	char hint[MODEL_HINT_MAX], shown[64], text[MODEL_VALUE_MAX];
	const char *stored = model_value_canonical(leaf, value, text);
	LY_ERR rc = lyd_value_validate(model->ctx, leaf, stored, strlen(stored), NULL, NULL, NULL);

	if ((rc == LY_SUCCESS || rc == LY_EINCOMPLETE) &&
	    !(lysc_is_key(leaf) && strpbrk(value, "'\"") != NULL))
		return 0;
	spw_text_escape(shown, sizeof(shown), value, strlen(value));
	return spw_fail(err, -EINVAL, "%s: \"%s\" is not valid: give %s", words, shown,
			model_type_hint(leaf, hint));
}

static int
step_key(struct ctl_model *model, struct model_at *at, const char *word, struct spw_err *err)
{
	char predicate[CTL_TEXT], text[MODEL_VALUE_MAX];
	int rc;

	rc = model_check_value(model, at->key, at->words, word, err);
	if (rc < 0)
		return rc;
	word = model_value_canonical(at->key, word, text);
	snprintf(predicate, sizeof(predicate), "[%s='%s']", at->key->name, word);
	append(at->path, predicate, "", "");
	append(at->words, " ", word, "");
	at->key = at->key->next;
	if (at->key == NULL || !lysc_is_key(at->key))
		at->want = MODEL_WANT_CHILD;
	return 0;
}

int
model_at_step(struct ctl_model *model, struct model_at *at, const char *word, struct spw_err *err)
{
	const struct lysc_node *child = NULL;
	int rc;

	if (at->want == MODEL_WANT_KEY)
		return step_key(model, at, word, err);
	rc = find_child(model, at, word, &child, err);
	if (rc < 0)
		return rc;
	append(at->path, at->node ? "/" : "/spillway:", child->name, "");
	append(at->words, at->words[0] ? " " : "", child->name, "");
	at->node = child;
	if (child->nodetype == LYS_LIST) {
		at->want = MODEL_WANT_KEY;
		at->key = lysc_node_child(child);
	} else if (child->nodetype & LYD_NODE_TERM) {
		at->want = MODEL_WANT_VALUE;
	}
	return 0;
}

void
model_at_leave_leaf(struct model_at *at)
{
	*strrchr(at->path, '/') = '\0';
	char *blank = strrchr(at->words, ' ');

	*(blank ? blank : at->words) = '\0';
	at->node = lysc_data_parent(at->node);
	at->want = MODEL_WANT_CHILD;
}

static int
edit_add(struct edit *edit, const struct model_at *at, const char *value, struct spw_err *err)
{
	struct assignment *a = &edit->item[edit->n];

	if (edit->n == ASSIGNMENTS_MAX)
		return spw_fail(err, -EINVAL, "more than %d values in one line", ASSIGNMENTS_MAX);
	edit->n++;
	memcpy(a->path, at->path, sizeof(a->path));
	memcpy(a->words, at->words, sizeof(a->words));
	a->value = value ? model_value_canonical(at->node, value, a->text) : NULL;
	a->node = at->node;
	return 0;
}

static int
line_incomplete(struct ctl_model *model, const struct model_at *at, struct spw_err *err)
{
	char hint[MODEL_HINT_MAX];

	if (at->want == MODEL_WANT_KEY)
		return spw_fail(err, -EINVAL, "%s: the %s is missing: give %s", at->words,
				at->key->name, model_type_hint(at->key, hint));
	if (at->want == MODEL_WANT_VALUE)
		return spw_fail(err, -EINVAL, "%s: the value is missing: give %s", at->words,
				model_type_hint(at->node, hint));
	return child_unknown(model, at, "", 0, err);
}

static bool
is_object(const struct lysc_node *node)
{
	return node && (node->nodetype == LYS_LIST ||
			(node->nodetype == LYS_CONTAINER && (node->flags & LYS_PRESENCE)));
}

static int
parse_set(struct ctl_model *model, const char *const *word, int n, struct edit *edit,
	  struct spw_err *err)
{
	struct model_at at;
	bool closed = false; /* the last word was a value */
	int rc = 0;

	model_at_init(&at);
	for (int i = 0; i < n && rc == 0; i++) {
		closed = at.want == MODEL_WANT_VALUE;
		if (!closed) {
			rc = model_at_step(model, &at, word[i], err);
			continue;
		}
		rc = model_check_value(model, at.node, at.words, word[i], err);
		if (rc == 0)
			rc = edit_add(edit, &at, word[i], err);
		model_at_leave_leaf(&at);
	}
	if (rc < 0 || closed)
		return rc;
	if (at.want == MODEL_WANT_CHILD && is_object(at.node))
		return edit_add(edit, &at, NULL, err);
	return line_incomplete(model, &at, err);
}

static int
tree_assign(struct ctl_model *model, struct ctl_tree *tree, const struct assignment *a,
	    struct spw_err *err)
{
	struct lyd_node *made = NULL;
	char path[MODEL_PATH_MAX + CTL_TEXT];
	LY_ERR rc;

	if (a->node->nodetype == LYS_LEAFLIST) {
		snprintf(path, sizeof(path), "%s[.='%s']", a->path, a->value);
		if (tree->root && lyd_find_path(tree->root, path, 0, &made) == LY_SUCCESS)
			return 0;
	}
	rc = lyd_new_path(tree->root, model->ctx, a->path, a->value, LYD_NEW_PATH_UPDATE, &made);
	if (rc != LY_SUCCESS && rc != LY_EEXIST)
		return spw_fail(err, -EINVAL, "%s: %s", a->words, ly_errmsg(model->ctx));
	if (tree->root == NULL)
		for (tree->root = made; tree->root && lyd_parent(tree->root);)
			tree->root = lyd_parent(tree->root);
	tree->root = lyd_first_sibling(tree->root);
	return 0;
}

static int
edit_set(struct ctl_model *model, struct ctl_tree *tree, const char *const *word, int n,
	 struct spw_err *err)
{
	struct edit *edit = calloc(1, sizeof(*edit));
	int rc;

	if (edit == NULL)
		return spw_fail(err, -ENOMEM, "no memory for the line");
	rc = parse_set(model, word, n, edit, err);
	for (unsigned int i = 0; i < edit->n && rc == 0; i++)
		rc = tree_assign(model, tree, &edit->item[i], err);
	free(edit);
	return rc;
}

/* Resolve what a delete names: a node, all of a list or leaf-list, or one value of it. */
static int
parse_delete(struct ctl_model *model, const char *const *word, int n, struct model_at *at,
	     struct spw_err *err)
{
	int rc = 0;

	model_at_init(at);
	for (int i = 0; i < n && rc == 0; i++) {
		if (at->want != MODEL_WANT_VALUE) {
			rc = model_at_step(model, at, word[i], err);
			continue;
		}
		if (i + 1 < n)
			return spw_fail(err, -EINVAL, "%s: nothing may follow \"%.40s\"", at->words,
					word[i]);
		rc = model_check_value(model, at->node, at->words, word[i], err);
		if (rc == 0 && strchr(word[i], '\'') == NULL) {
			char text[MODEL_VALUE_MAX];
			const char *stored = model_value_canonical(at->node, word[i], text);

			append(at->path, "[.='", stored, "']");
			append(at->words, " ", stored, "");
		}
	}
	if (rc == 0 && n == 0)
		return spw_fail(err, -EINVAL, "delete what? name a path");
	return rc;
}

static int
edit_delete(struct ctl_model *model, struct ctl_tree *tree, const char *const *word, int n,
	    struct spw_err *err)
{
	struct ly_set *set = NULL;
	struct model_at at;
	int rc = parse_delete(model, word, n, &at, err);

	if (rc < 0)
		return rc;
	if (tree->root == NULL || lyd_find_xpath(tree->root, at.path, &set) != LY_SUCCESS ||
	    set->count == 0) {
		ly_set_free(set, NULL);
		return spw_fail(err, -ENOENT, "%s: there is nothing to delete", at.words);
	}
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->dnodes[i] == tree->root)
			tree->root = tree->root->next;
		lyd_free_tree(set->dnodes[i]);
	}
	ly_set_free(set, NULL);
	return 0;
}

int
ctl_model_edit(struct ctl_model *model, struct ctl_tree *tree, const char *line,
	       struct spw_err *err)
{
	const char *word[CTL_WORDS_MAX];
	char copy[CTL_LINE_MAX];
	size_t len = strlen(line);
	int n;

	if (len >= sizeof(copy))
		return spw_fail(err, -EINVAL, "the line is longer than %d bytes", CTL_LINE_MAX - 1);
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--; /* the end of a line in a file */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 && line[i] != '\t')
			return spw_fail(err, -EINVAL, "byte %zu of the line is a control character",
					i + 1);
	memcpy(copy, line, len);
	copy[len] = '\0';
	n = ctl_words_split(copy, word, err);
	if (n <= 0 || word[0][0] == '#')
		return n < 0 ? n : 0;
	if (strcmp(word[0], "set") == 0)
		return edit_set(model, tree, word + 1, n - 1, err);
	if (strcmp(word[0], "delete") == 0)
		return edit_delete(model, tree, word + 1, n - 1, err);
	return spw_fail(err, -EINVAL,
			"\"%.40s\" is not known here: a line starts with set or delete", word[0]);
}
