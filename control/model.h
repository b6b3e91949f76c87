/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: the configuration as a tree under conf/spillway.yang, and its text form, the
 * list of `set` lines. Everything here belongs to one thread (the event loop).
 */
#ifndef SPW_CONTROL_MODEL_H
#define SPW_CONTROL_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/config.h"
#include "lib/spillway.h"

struct lyd_node;
struct lysc_node;
struct ctl_model;

#define CTL_LINE_MAX  4096 /* bytes of one set or delete line */
#define CTL_WORDS_MAX 64

/* A growing list of lines; zero-initialised is empty. Free with ctl_lines_free(). */
struct ctl_lines {
	char **line;
	size_t n, size;
};
/* Append a copy of the formatted text. Aborts when memory is out. */
void ctl_lines_add(struct ctl_lines *lines, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void ctl_lines_free(struct ctl_lines *lines);
/*
 * What turns the lines `from` into the lines `to`, both in canonical order: "- delete PATH" and
 * "+ set PATH", appended to `out`. A change of order of a user-ordered leaf-list shows as delete
 * and set.
 */
void ctl_lines_diff(const struct ctl_lines *from, const struct ctl_lines *to,
		    struct ctl_lines *out);

/* A configuration: the data tree. NULL root = empty. */
struct ctl_tree {
	struct lyd_node *root;
};

/*
 * Load the model.
 * @yang  path of a YANG file, or NULL for the one built in
 * Returns 0, or -EINVAL/-ENOENT with a sentence. Free with ctl_model_free(), after its trees.
 */
int ctl_model_new(struct ctl_model **model, const char *yang, struct spw_err *err);
void ctl_model_free(struct ctl_model *model);

void ctl_tree_free(struct ctl_tree *tree);
/* Replace `to` by a copy of `from`. 0 or -ENOMEM. */
int ctl_tree_copy(struct ctl_tree *to, const struct ctl_tree *from);
/* Exchange two trees. */
void ctl_tree_swap(struct ctl_tree *a, struct ctl_tree *b);

/*
 * Split a line into words in place: blanks separate, "..." keeps blanks, \" and \\ inside quotes.
 * Returns the number of words, or -EINVAL with a sentence (open quote, too many words).
 */
int ctl_words_split(char *line, const char *word[CTL_WORDS_MAX], struct spw_err *err);
/* Append `value` to text of `size` bytes, in quotes when it needs them. */
void ctl_word_append(char *text, size_t size, const char *value);

/*
 * Apply one line, "set PATH [VALUE] [WORD VALUE]..." or "delete PATH [VALUE]". Words of the schema
 * may be shortened while unique. Values are checked against their type; constraints between values
 * wait for ctl_model_validate(). Empty lines and comments (#) do nothing.
 * 0, or -EINVAL/-ENOENT with a sentence; the tree is unchanged then.
 */
int ctl_model_edit(struct ctl_model *model, struct ctl_tree *tree, const char *line,
		   struct spw_err *err);
/* The tree as `set` lines in canonical order, appended to lines; defaults that nobody set are left
 * out. */
void ctl_model_lines(struct ctl_model *model, const struct ctl_tree *tree, struct ctl_lines *lines);
/* The tree in the JSON form of RFC 7951. New reference, or NULL. */
json_t *ctl_model_json(const struct ctl_tree *tree);

/*
 * Validate a copy of the tree with its defaults filled in and make the typed configuration.
 * @keys_dir  where relative names of secret files lie
 * @config    receives the configuration, checked by ctl_config_check(); free with ctl_config_free()
 * @warnings  receives sentences about what is allowed but unwise; may be NULL
 * 0, or -EINVAL with one sentence: path, value and how to mend it.
 */
int ctl_model_build(struct ctl_model *model, const struct ctl_tree *tree, const char *keys_dir,
		    struct ctl_config **config, struct ctl_lines *warnings, struct spw_err *err);
/* Free what ctl_model_build() made; NULL is fine. */
void ctl_config_free(struct ctl_config *config);
/* Rules that YANG does not hold, over a whole configuration. 0 or -EINVAL with a sentence. */
int ctl_config_check(const struct ctl_config *config, struct ctl_lines *warnings,
		     struct spw_err *err);

/*
 * What may stand at the end of `text`, a whole or partial "set ..." or "delete ..." line: an array
 * of {"word": text or "<kind>", "help": sentence, "value": true for a placeholder}. `tree` gives
 * the names of what exists. New reference; empty when nothing fits.
 */
json_t *ctl_model_complete(struct ctl_model *model, const struct ctl_tree *tree, const char *text);
/* Keys of the list at a top-level schema name ("tunnel", "vnet", "interfaces"). New reference. */
json_t *ctl_model_names(const struct ctl_tree *tree, const char *list);
/* ExpressRoute links, then the circuits that they belong to, each once. New reference. */
json_t *ctl_model_links(const struct ctl_tree *tree);
/* A reference of the whole model in Markdown, appended to out. */
void ctl_model_document(struct ctl_model *model, struct ctl_lines *out);

/* Proposal words, as in the model, to algorithms. 0 or -EINVAL. */
int ctl_proposal_parse_ike(struct spw_ike_proposal *proposal, const char *text);
int ctl_proposal_parse_esp(struct spw_ike_proposal *proposal, const char *text);
/* True when the proposal holds an algorithm that lib/algo.def calls legacy. */
bool ctl_proposal_is_legacy(const struct spw_ike_proposal *proposal);
/* Fill a tunnel's proposals from a profile's name. 0 or -ENOENT. */
int ctl_profile_apply(struct ctl_tunnel *tunnel, const char *profile);
/* Code point of the word or number of a traffic class. 0..63 or -EINVAL. */
int ctl_dscp_parse(const char *text);
/* Identity from its text: address, user@domain, keyid:TEXT, else a domain name. */
void ctl_identity_parse(struct spw_ike_id *id, const char *text);

#endif
