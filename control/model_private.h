/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by control/model*.c only. */
#ifndef SPW_CONTROL_MODEL_PRIVATE_H
#define SPW_CONTROL_MODEL_PRIVATE_H

#include <libyang/libyang.h>

#include "control/model.h"

#define MODEL_PATH_MAX 1024
#define MODEL_HINT_MAX 200

struct ctl_model {
	struct ly_ctx *ctx;
	const struct lys_module *module;
};

/* What the next word of a line must be. */
enum model_want { MODEL_WANT_CHILD, MODEL_WANT_KEY, MODEL_WANT_VALUE };

/* A place in the schema reached by words. */
struct model_at {
	const struct lysc_node *node; /* NULL = the root */
	const struct lysc_node *key;  /* WANT_KEY: which one */
	enum model_want want;
	char path[MODEL_PATH_MAX];  /* data path for libyang */
	char words[MODEL_PATH_MAX]; /* full words, for people */
};

void model_at_init(struct model_at *at);
/* Take one word at WANT_CHILD or WANT_KEY. 0 or -EINVAL with a sentence. */
int model_at_step(struct ctl_model *model, struct model_at *at, const char *word,
		  struct spw_err *err);
/* Go back up from a leaf whose value was taken. */
void model_at_leave_leaf(struct model_at *at);
/* Next child a user may type, in schema order; keys and choices are passed over. NULL = end. */
const struct lysc_node *model_next_child(struct ctl_model *model, const struct lysc_node *parent,
					 const struct lysc_node *last);
/* Check one value against a leaf's type. 0 or -EINVAL with a sentence (words: the path). */
int model_check_value(struct ctl_model *model, const struct lysc_node *leaf, const char *words,
		      const char *value, struct spw_err *err);

/* "a number from 1 to 5", "one of a, b": what a leaf takes. Returns out. */
char *model_type_hint(const struct lysc_node *leaf, char out[MODEL_HINT_MAX]);
/* The type of a leaf or leaf-list, through leafrefs when `resolve`. */
const struct lysc_type *model_leaf_type(const struct lysc_node *leaf, bool resolve);
const char *model_leaf_units(const struct lysc_node *leaf);
/* First sentence of the description, without the full stop. Returns out. */
char *model_help(const struct lysc_node *node, char out[MODEL_HINT_MAX]);
/* Name of the list a leafref points into. false when the leaf is no leafref. */
bool model_leafref_list(const struct lysc_node *leaf, char out[CTL_NAME * 2]);
/* "/spillway:tunnel[name='a']/mtu" to "tunnel a mtu". Returns out. */
char *model_path_words(const char *path, char out[MODEL_PATH_MAX]);
/* Order of names as people expect: digits compare as numbers. */
int model_name_compare(const char *a, const char *b);
/* Instances of a list under `siblings`, sorted by key; the caller frees the array. */
const struct lyd_node **model_instances(const struct lyd_node *siblings,
					const struct lysc_node *list, size_t *n);

#endif
