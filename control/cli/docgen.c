/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints a generated document: `ctl_docgen config` from the YANG model, `ctl_docgen cli` from the
 * shell's command table. `ctl_docgen WHAT FILE` compares instead, and fails when the file is stale.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/model.h"

static int
make(const char *what, struct ctl_lines *out)
{
	struct ctl_model *model = NULL;
	struct spw_err err = {0};

	if (strcmp(what, "cli") == 0) {
		cli_document(out);
		return 0;
	}
	if (strcmp(what, "config") != 0)
		return -1;
	if (ctl_model_new(&model, NULL, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	ctl_model_document(model, out);
	ctl_model_free(model);
	return 0;
}

static int
compare(const char *name, const char *text, size_t len)
{
	FILE *in = fopen(name, "r");
	char *have = calloc(1, len + 2);
	size_t n;
	int rc;

	if (in == NULL || have == NULL) {
		fprintf(stderr, "%s: cannot be read\n", name);
		return 1;
	}
	n = fread(have, 1, len + 1, in);
	rc = n != len || memcmp(have, text, len) != 0;
	if (rc)
		fprintf(stderr, "%s: not what the sources say: make it anew with ctl_docgen\n",
			name);
	fclose(in);
	free(have);
	return rc;
}

int
main(int argc, char **argv)
{
	struct ctl_lines lines = {0};
	char *text = NULL;
	size_t len;
	FILE *out;
	int rc = 0;

	if (argc < 2 || make(argv[1], &lines) < 0) {
		fprintf(stderr, "usage: ctl_docgen config|cli [FILE]\n");
		return 2;
	}
	out = open_memstream(&text, &len);
	if (out == NULL)
		abort();
	for (size_t i = 0; i < lines.n; i++)
		fprintf(out, "%s\n", lines.line[i]);
	fclose(out);
	if (argc > 2)
		rc = compare(argv[2], text, len);
	else
		fputs(text, stdout);
	free(text);
	ctl_lines_free(&lines);
	return rc;
}
