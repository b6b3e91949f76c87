/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of a configuration from anywhere: each line of the input is applied to one tree and
 * completed; then what the tree prints must build the same tree again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model.h"

static struct ctl_model *model;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct spw_err err = {0};

	if (ctl_model_new(&model, NULL, &err) < 0)
		abort();
	return 0;
}

static void
apply_lines(char *text, struct ctl_tree *tree)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct spw_err err = {0};
		int rc = ctl_model_edit(model, tree, line, &err);

		if (rc < 0 && (err.text[0] == '\0' || strchr(err.text, '\n')))
			abort(); /* a refusal is one sentence */
		json_decref(ctl_model_complete(model, tree, line));
	}
}

static void
must_round_trip(const struct ctl_tree *tree)
{
	struct ctl_lines lines = {0}, again = {0}, diff = {0};
	struct ctl_tree copy = {0};

	ctl_model_lines(model, tree, &lines);
	for (size_t i = 0; i < lines.n; i++) {
		struct spw_err err = {0};

		if (ctl_model_edit(model, &copy, lines.line[i], &err) < 0) {
			fprintf(stderr, "%s: %s\n", lines.line[i], err.text);
			abort();
		}
	}
	ctl_model_lines(model, &copy, &again);
	ctl_lines_diff(&lines, &again, &diff);
	if (diff.n > 0 || lines.n != again.n)
		abort();
	ctl_lines_free(&lines);
	ctl_lines_free(&again);
	ctl_tree_free(&copy);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct ctl_config *config = NULL;
	struct ctl_tree tree = {0};
	struct spw_err err = {0};
	char *text = malloc(size + 1);

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	apply_lines(text, &tree);
	free(text);
	must_round_trip(&tree);
	if (ctl_model_build(model, &tree, "/keys", &config, NULL, &err) == 0)
		ctl_config_free(config);
	else if (err.text[0] == '\0' || strchr(err.text, '\n'))
		abort();
	ctl_tree_free(&tree);
	return 0;
}
