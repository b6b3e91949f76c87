/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of a validated tree, whose defaults are filled in: text to numbers, addresses, prefixes.
 *
 * The values were checked against their types when their lines were read, so nothing here can be
 * refused; copies are bounded all the same. Paths are relative to the node they are asked of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_private.h"

const char *
model_get(const struct lyd_node *node, const char *path)
{
	struct lyd_node *found = NULL;

	if (lyd_find_path(node, path, 0, &found) != LY_SUCCESS)
		return NULL;
	return lyd_get_value(found);
}

uint64_t
model_get_number(const struct lyd_node *node, const char *path)
{
	const char *text = model_get(node, path);

	return text ? strtoull(text, NULL, 10) : 0;
}

uint32_t
model_get_u32(const struct lyd_node *node, const char *path)
{
	return (uint32_t)model_get_number(node, path);
}

bool
model_get_bool(const struct lyd_node *node, const char *path)
{
	const char *text = model_get(node, path);

	return text && strcmp(text, "true") == 0;
}

void
model_get_text(const struct lyd_node *node, const char *path, char *out, size_t size)
{
	const char *text = model_get(node, path);

	snprintf(out, size, "%s", text ? text : "");
}

void
model_get_addr(const struct lyd_node *node, const char *path, struct spw_addr *addr)
{
	const char *text = model_get(node, path);

	if (text == NULL || spw_addr_parse(addr, text, NULL) < 0)
		memset(addr, 0, sizeof(*addr));
}

void
model_get_file(const struct lyd_node *node, const char *path, const char *keys_dir,
	       char out[CTL_PATH])
{
	const char *text = model_get(node, path);

	if (text == NULL || text[0] == '/' || keys_dir == NULL)
		snprintf(out, CTL_PATH, "%s", text ? text : "");
	else
		snprintf(out, CTL_PATH, "%s/%s", keys_dir, text);
}

unsigned int
model_get_prefixes(const struct lyd_node *parent, const char *name, struct spw_prefix *out,
		   unsigned int max)
{
	const struct lyd_node *node;
	unsigned int n = 0;

	LY_LIST_FOR(lyd_child(parent), node)
	{
		if (n < max && strcmp(node->schema->name, name) == 0 &&
		    spw_prefix_parse(&out[n], lyd_get_value(node), NULL) == 0)
			n++;
	}
	return n;
}

const struct lyd_node **
model_entries(struct ctl_model *model, const struct lyd_node *root, const char *path, size_t size,
	      void **room, unsigned int *count)
{
	const struct lysc_node *schema = lys_find_path(model->ctx, NULL, path, 0);
	const struct lyd_node **node, *siblings = root;
	struct lyd_node *parent = NULL;
	size_t n = 0;

	if (schema->parent) {
		char up[CTL_TEXT];

		snprintf(up, sizeof(up), "%.*s", (int)(strrchr(path, '/') - path), path);
		siblings = lyd_find_path(root, up, 0, &parent) == LY_SUCCESS ? lyd_child(parent)
									     : NULL;
	}
	node = model_instances(siblings, schema, &n);
	*room = calloc(n + 1, size);
	if (*room == NULL)
		abort();
	*count = (unsigned int)n;
	return node;
}
