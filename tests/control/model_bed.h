/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the model share: the model, lines onto trees, a gateway to change. */
#ifndef SPW_TESTS_CONTROL_MODEL_BED_H
#define SPW_TESTS_CONTROL_MODEL_BED_H

#include "control/model_private.h"
#include "lib/spillway.h"

#define BED_GATEWAY_LINES 24

extern struct ctl_model *bed_model;
/* A whole gateway, in canonical order and form. */
extern const char *const bed_gateway_lines[BED_GATEWAY_LINES];

/* Make and free the model: setup and teardown of a group. */
int bed_setup(void **state);
int bed_teardown(void **state);
/* Lines separated by newlines, onto a tree; one that is refused fails the test. */
void bed_apply(struct ctl_tree *tree, const char *lines);
/* The tree of bed_gateway_lines; free it by ctl_tree_free(). */
struct ctl_tree bed_gateway(void);
/* The tree of an example that is shipped, by its folder; SPW_EXAMPLES says where they are. */
struct ctl_tree bed_example(const char *name);
/* What the example with two links becomes with these lines; free it by ctl_config_free(). */
struct ctl_config *bed_build(const char *change);
/* A tree is exactly these lines in this order. */
void bed_expect_lines(const struct ctl_tree *tree, const char *const *want, size_t n);
/* The words that a leaf of enumerations takes, in the model's order. */
void bed_enum_names(const char *path, struct ctl_lines *out);

#endif
