/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by control/model*.c only. */
#ifndef SPW_CONTROL_MODEL_PRIVATE_H
#define SPW_CONTROL_MODEL_PRIVATE_H

#include <libyang/libyang.h>

#include "control/model.h"

#define MODEL_PATH_MAX	1024
#define MODEL_HINT_MAX	200
#define MODEL_VALUE_MAX 64 /* longest address or prefix */

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

/*
 * A value as it is stored: an IPv6 address or prefix in its usual spelling (RFC 5952), all else as
 * it is. The value is checked afterwards, and refused when it is not of its type.
 * Returns value, or out.
 */
const char *model_value_canonical(const struct lysc_node *leaf, const char *value,
				  char out[MODEL_VALUE_MAX]);

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

/* model_get.c: values below a node of a validated tree. NULL, 0, false, "" when there is none. */
const char *model_get(const struct lyd_node *node, const char *path);
uint64_t model_get_number(const struct lyd_node *node, const char *path);
uint32_t model_get_u32(const struct lyd_node *node, const char *path);
bool model_get_bool(const struct lyd_node *node, const char *path);
void model_get_text(const struct lyd_node *node, const char *path, char *out, size_t size);
void model_get_addr(const struct lyd_node *node, const char *path, struct spw_addr *addr);
/* The name of a secret file, made absolute. */
void model_get_file(const struct lyd_node *node, const char *path, const char *keys_dir,
		    char out[CTL_PATH]);
/* The values of a leaf-list as prefixes (addresses: of full length); their number. */
unsigned int model_get_prefixes(const struct lyd_node *parent, const char *name,
				struct spw_prefix *out, unsigned int max);
/*
 * Entries of a list, sorted, and room for as many structures.
 * @room   receives zeroed memory for *count elements of `size` bytes; the caller frees it
 * Returns an array that the caller frees.
 */
const struct lyd_node **model_entries(struct ctl_model *model, const struct lyd_node *root,
				      const char *path, size_t size, void **room,
				      unsigned int *count);

/* model_error.c: libyang's last error as one line. Returns -EINVAL. */
int model_fail_validation(struct ctl_model *model, const struct lyd_node *root,
			  struct spw_err *err);

/* Parts of ctl_model_build(). Routing looks at the interfaces, which must be there. */
void model_build_routing(struct ctl_model *model, const struct lyd_node *root, const char *keys_dir,
			 struct ctl_config *c);
void model_build_vnets(struct ctl_model *model, const struct lyd_node *root, struct ctl_config *c);
void model_build_classes(struct ctl_model *model, const struct lyd_node *root,
			 struct ctl_config *c);

#endif
