/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the model stand on: one model for a program, lines onto trees, a whole gateway
 * in lines of its own and the examples that are shipped.
 */
#include "tests/control/model_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct ctl_model *bed_model;

/* A whole gateway, in canonical order and form. */
const char *const bed_gateway_lines[BED_GATEWAY_LINES] = {
	"set system host-name gw",
	"set interfaces er0 device net_af_packet1,iface=p-er",
	"set interfaces er0 role expressroute",
	"set interfaces er0 address 172.16.0.1/30",
	"set interfaces lan0 description \"office LAN\"",
	"set interfaces lan0 device net_af_packet0,iface=p-lan",
	"set interfaces lan0 role lan",
	"set interfaces lan0 address 10.1.0.1/24",
	"set interfaces wan0 device net_af_packet2,iface=p-wan",
	"set interfaces wan0 role internet",
	"set interfaces wan0 address 198.51.100.2/24",
	"set routing static 0.0.0.0/0 next-hop 198.51.100.1",
	"set routing bgp local-as 65010",
	"set routing bgp router-id 172.16.0.1",
	"set routing bgp announce 10.1.0.0/16",
	"set routing bgp neighbor 172.16.0.2 remote-as 12076",
	"set routing bgp neighbor 172.16.0.2 bfd",
	"set routing bgp neighbor 172.16.0.2 local-preference 150",
	"set tunnel azure-a local-address 198.51.100.2",
	"set tunnel azure-a remote-address 203.0.113.2",
	"set tunnel azure-a pre-shared-key-file azure-a.psk",
	"set vnet prod prefix 10.100.0.0/16",
	"set vnet prod tunnel azure-a",
	"set vnet prod wait-to-restore 5",
};

/* Lines separated by newlines, onto a tree. */
void
bed_apply(struct ctl_tree *tree, const char *lines)
{
	char *copy = strdup(lines), *rest = copy, *line;
	struct spw_err err = {0};

	while ((line = strsep(&rest, "\n")))
		if (ctl_model_edit(bed_model, tree, line, &err) < 0)
			fail_msg("%s: %s", line, err.text);
	free(copy);
}

struct ctl_tree
bed_gateway(void)
{
	struct ctl_tree tree = {0};

	for (size_t i = 0; i < BED_GATEWAY_LINES; i++)
		bed_apply(&tree, bed_gateway_lines[i]);
	return tree;
}

struct ctl_tree
bed_example(const char *name)
{
	const char *dir = getenv("SPW_EXAMPLES");
	struct ctl_tree tree = {0};
	char path[512], *text = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/gateway.set", dir ? dir : "conf/examples", name);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s: not there; SPW_EXAMPLES names the folder", path);
	if (getdelim(&text, &size, '\0', f) < 0)
		fail_msg("%s: empty", path);
	fclose(f);
	bed_apply(&tree, text);
	free(text);
	return tree;
}

struct ctl_config *
bed_build(const char *change)
{
	struct ctl_tree tree = bed_example("two-links");
	struct ctl_config *c = NULL;
	struct spw_err err = {0};

	bed_apply(&tree, change);
	if (ctl_model_build(bed_model, &tree, "/keys", &c, NULL, &err) < 0)
		fail_msg("%s: %s", change, err.text);
	ctl_tree_free(&tree);
	return c;
}

void
bed_expect_lines(const struct ctl_tree *tree, const char *const *want, size_t n)
{
	struct ctl_lines lines = {0};

	ctl_model_lines(bed_model, tree, &lines);
	for (size_t i = 0; i < lines.n && i < n; i++)
		assert_string_equal(lines.line[i], want[i]);
	assert_int_equal(lines.n, n);
	ctl_lines_free(&lines);
}

void
bed_enum_names(const char *path, struct ctl_lines *out)
{
	const struct lysc_node *leaf = lys_find_path(bed_model->ctx, NULL, path, 0);
	const struct lysc_type_enum *type = (const void *)model_leaf_type(leaf, false);
	LY_ARRAY_COUNT_TYPE i;

	LY_ARRAY_FOR(type->enums, i)
	{
		ctl_lines_add(out, "%s", type->enums[i].name);
	}
}

int
bed_setup(void **state)
{
	struct spw_err err = {0};

	if (ctl_model_new(&bed_model, NULL, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

int
bed_teardown(void **state)
{
	ctl_model_free(bed_model);
	return 0;
}
