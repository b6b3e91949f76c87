/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model: one libyang context with one module, the trees under it, and what is said about the
 * module's nodes (types, units, help) to people.
 *
 * The YANG text is built into the program (spillway_yang), so a daemon and its model cannot drift
 * apart; --yang loads another text for development. libyang's own log is off: what it has to say
 * is taken from the context after a failed call and put into our one-line form.
 */
#include "control/model_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/yang_text.h"

static const struct lys_module *
module_load(struct ly_ctx *ctx, const char *yang)
{
	struct lys_module *module = NULL;
	struct ly_in *in = NULL;

	if (yang == NULL)
		lys_parse_mem(ctx, spillway_yang, LYS_IN_YANG, &module);
	else if (ly_in_new_filepath(yang, 0, &in) == LY_SUCCESS)
		lys_parse(ctx, in, LYS_IN_YANG, NULL, &module);
	ly_in_free(in, 1);
	return module;
}

int
ctl_model_new(struct ctl_model **model, const char *yang, struct spw_err *err)
{
	struct ctl_model *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return spw_fail(err, -ENOMEM, "no memory for the model");
	ly_log_options(LY_LOSTORE_LAST);
	if (ly_ctx_new(NULL, LY_CTX_NO_YANGLIBRARY, &m->ctx) != LY_SUCCESS) {
		free(m);
		return spw_fail(err, -ENOMEM, "no memory for the model");
	}
	m->module = module_load(m->ctx, yang);
	if (m->module == NULL) {
		const char *why = ly_errmsg(m->ctx);

		spw_fail(err, -EINVAL, "%s: %s", yang ? yang : "built-in model",
			 why && *why ? why : "cannot be read");
		ctl_model_free(m);
		return -EINVAL;
	}
	*model = m;
	return 0;
}

void
ctl_model_free(struct ctl_model *model)
{
	if (model == NULL)
		return;
	ly_ctx_destroy(model->ctx);
	free(model);
}

void
ctl_tree_free(struct ctl_tree *tree)
{
	lyd_free_all(tree->root);
	tree->root = NULL;
}

int
ctl_tree_copy(struct ctl_tree *to, const struct ctl_tree *from)
{
	struct lyd_node *copy = NULL;

	if (from->root != NULL &&
	    lyd_dup_siblings(from->root, NULL, LYD_DUP_RECURSIVE, &copy) != LY_SUCCESS)
		return -ENOMEM;
	lyd_free_all(to->root);
	to->root = copy;
	return 0;
}

void
ctl_tree_swap(struct ctl_tree *a, struct ctl_tree *b)
{
	struct ctl_tree t = *a;

	*a = *b;
	*b = t;
}

json_t *
ctl_model_json(const struct ctl_tree *tree)
{
	char *text = NULL;
	json_t *json;

	if (tree->root == NULL)
		return json_object();
	if (lyd_print_mem(&text, tree->root, LYD_JSON, LYD_PRINT_WITHSIBLINGS | LYD_PRINT_SHRINK) !=
	    LY_SUCCESS)
		return NULL;
	json = json_loads(text, 0, NULL);
	free(text);
	return json;
}

const struct lysc_type *
model_leaf_type(const struct lysc_node *leaf, bool resolve)
{
	const struct lysc_type *type = leaf->nodetype == LYS_LEAF
					       ? ((const struct lysc_node_leaf *)leaf)->type
					       : ((const struct lysc_node_leaflist *)leaf)->type;

	if (resolve && type->basetype == LY_TYPE_LEAFREF)
		type = ((const struct lysc_type_leafref *)type)->realtype;
	return type;
}

const char *
model_leaf_units(const struct lysc_node *leaf)
{
	return leaf->nodetype == LYS_LEAF ? ((const struct lysc_node_leaf *)leaf)->units
					  : ((const struct lysc_node_leaflist *)leaf)->units;
}

bool
model_leafref_list(const struct lysc_node *leaf, char out[CTL_NAME * 2])
{
	const struct lysc_type *type = model_leaf_type(leaf, false);
	const char *path, *end, *start;

	if (type->basetype != LY_TYPE_LEAFREF)
		return false;
	path = lyxp_get_expr(((const struct lysc_type_leafref *)type)->path);
	end = strrchr(path, '/');
	for (start = end; start > path && start[-1] != '/'; start--)
		;
	snprintf(out, CTL_NAME * 2, "%.*s", (int)(end - start), start);
	return true;
}

/* Types of addresses are known by what their pattern lets through. */
static bool
is_ip_type(const struct lysc_node *leaf)
{
	const struct lysc_type *type = model_leaf_type(leaf, false);
	const struct lysc_type_str *str = (const struct lysc_type_str *)type;

	return type->basetype == LY_TYPE_STRING && LY_ARRAY_COUNT(str->patterns) > 0 &&
	       strstr(str->patterns[0]->expr, "a-fA-F:") != NULL;
}

const char *
model_value_canonical(const struct lysc_node *leaf, const char *value, char out[MODEL_VALUE_MAX])
{
	struct spw_prefix p;

	if (strchr(value, ':') == NULL || strlen(value) >= MODEL_VALUE_MAX || !is_ip_type(leaf))
		return value;
	/* What only looks like IPv6 gets a spelling that no pattern takes. */
	if (spw_prefix_parse(&p, value, NULL) < 0)
		snprintf(out, MODEL_VALUE_MAX, "%s?", value);
	else if (strchr(value, '/'))
		spw_prefix_format(&p, out);
	else
		spw_addr_format(&p.addr, out);
	return out;
}

static void
hint_enum(const struct lysc_type_enum *type, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "one of ");
	LY_ARRAY_COUNT_TYPE i, count = LY_ARRAY_COUNT(type->enums);

	for (i = 0; i < count && i < 12 && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", i ? ", " : "",
				      type->enums[i].name);
	if (i < count && n < size)
		snprintf(out + n, size - n, ", ... (? lists all %u)", (unsigned int)count);
}

static const char *
string_message(const struct lysc_type_str *type)
{
	LY_ARRAY_COUNT_TYPE n = LY_ARRAY_COUNT(type->patterns);

	if (n > 0 && type->patterns[n - 1]->emsg)
		return type->patterns[n - 1]->emsg;
	return type->length && type->length->emsg ? type->length->emsg : "text";
}

char *
model_type_hint(const struct lysc_node *leaf, char out[MODEL_HINT_MAX])
{
	const struct lysc_type *type = model_leaf_type(leaf, false);
	char list[CTL_NAME * 2];

	if (model_leafref_list(leaf, list))
		snprintf(out, MODEL_HINT_MAX, "the name of an entry of %s", list);
	else if (type->basetype == LY_TYPE_ENUM)
		hint_enum((const struct lysc_type_enum *)type, out, MODEL_HINT_MAX);
	else if (type->basetype == LY_TYPE_BOOL)
		snprintf(out, MODEL_HINT_MAX, "true or false");
	else if (type->basetype == LY_TYPE_STRING)
		snprintf(out, MODEL_HINT_MAX, "%s",
			 string_message((const struct lysc_type_str *)type));
	else if (((const struct lysc_type_num *)type)->range &&
		 ((const struct lysc_type_num *)type)->range->emsg)
		snprintf(out, MODEL_HINT_MAX, "%s",
			 ((const struct lysc_type_num *)type)->range->emsg);
	else
		snprintf(out, MODEL_HINT_MAX, "a number");
	return out;
}

char *
model_help(const struct lysc_node *node, char out[MODEL_HINT_MAX])
{
	const char *text = node->dsc ? node->dsc : "";
	size_t n = 0;

	for (; *text && n + 1 < MODEL_HINT_MAX; text++) {
		if (*text == '.' && (text[1] == '\0' || isspace((unsigned char)text[1])))
			break;
		if (isspace((unsigned char)*text) && n > 0 && out[n - 1] == ' ')
			continue;
		out[n++] = isspace((unsigned char)*text) ? ' ' : *text;
	}
	out[n] = '\0';
	return out;
}

int
model_name_compare(const char *a, const char *b)
{
	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			char *ea, *eb;
			unsigned long long na = strtoull(a, &ea, 10), nb = strtoull(b, &eb, 10);

			if (na != nb)
				return na < nb ? -1 : 1;
			a = ea;
			b = eb;
			continue;
		}
		if (*a != *b)
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		a++;
		b++;
	}
	return (*a != '\0') - (*b != '\0');
}

static int
instance_compare(const void *a, const void *b)
{
	const struct lyd_node *x = *(const struct lyd_node *const *)a;
	const struct lyd_node *y = *(const struct lyd_node *const *)b;
	int rc = 0;

	if (x->schema->nodetype == LYS_LEAFLIST)
		return model_name_compare(lyd_get_value(x), lyd_get_value(y));
	x = lyd_child(x);
	y = lyd_child(y);
	while (rc == 0 && x && y && lysc_is_key(x->schema)) {
		rc = model_name_compare(lyd_get_value(x), lyd_get_value(y));
		x = x->next;
		y = y->next;
	}
	return rc;
}

const struct lyd_node **
model_instances(const struct lyd_node *siblings, const struct lysc_node *schema, size_t *n)
{
	const struct lyd_node **found = NULL;
	const struct lyd_node *node;
	size_t size = 0;

	*n = 0;
	LY_LIST_FOR(siblings, node)
	{
		if (node->schema != schema)
			continue;
		if (*n == size) {
			size = size ? 2 * size : 16;
			found = realloc(found, size * sizeof(*found));
			if (found == NULL)
				abort();
		}
		found[(*n)++] = node;
	}
	if (*n > 1 && !lysc_is_userordered(schema))
		qsort(found, *n, sizeof(*found), instance_compare);
	return found;
}

/* Entries of a top-level list; NULL when there are none. The caller frees the array. */
static const struct lyd_node **
entries_of(const struct ctl_tree *tree, const char *list, size_t *n)
{
	const struct lyd_node *node;

	LY_LIST_FOR(tree->root, node)
	{
		if (strcmp(node->schema->name, list) == 0 && node->schema->nodetype == LYS_LIST)
			return model_instances(tree->root, node->schema, n);
	}
	*n = 0;
	return NULL;
}

json_t *
ctl_model_names(const struct ctl_tree *tree, const char *list)
{
	json_t *names = json_array();
	size_t n;
	const struct lyd_node **entry = entries_of(tree, list, &n);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(names, json_string(lyd_get_value(lyd_child(entry[i]))));
	free(entry);
	return names;
}

/* Append a name that is not in the list yet. */
static void
add_once(json_t *names, const char *text)
{
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		if (strcmp(json_string_value(name), text) == 0)
			return;
	}
	json_array_append_new(names, json_string(text));
}

json_t *
ctl_model_links(const struct ctl_tree *tree)
{
	json_t *links = json_array(), *circuits = json_array();
	size_t n;
	const struct lyd_node **entry = entries_of(tree, "interfaces", &n);

	for (size_t i = 0; i < n; i++) {
		const char *role = model_get(entry[i], "role");
		const char *circuit = model_get(entry[i], "circuit");

		if (!role || strcmp(role, "expressroute") != 0)
			continue;
		add_once(links, lyd_get_value(lyd_child(entry[i])));
		if (circuit)
			add_once(circuits, circuit);
	}
	free(entry);
	json_array_extend(links, circuits);
	json_decref(circuits);
	return links;
}
