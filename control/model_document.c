/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * docs/config.md from the model: one table a list or container, in schema order. Enumerations with
 * descriptions are listed below the table, long ones (the proposals) in a section of their own,
 * once per type. A test compares the file in the tree with what this prints.
 */
#include <stdio.h>
#include <string.h>

#include "control/model_private.h"

#define ENUM_INLINE 5

static void
node_words(const struct lysc_node *node, char *out, size_t size)
{
	const struct lysc_node *up[16];
	unsigned int n = 0;

	for (; node && n < 16; node = lysc_data_parent(node))
		up[n++] = node;
	out[0] = '\0';
	while (n-- > 0) {
		size_t len = strlen(out);

		len += (size_t)snprintf(out + len, size - len, "%s%s", len ? " " : "", up[n]->name);
		if (up[n]->nodetype != LYS_LIST)
			continue;
		for (const struct lysc_node *key = lysc_node_child(up[n]); key && lysc_is_key(key);
		     key = key->next)
			len += (size_t)snprintf(out + len, size - len, " <%s>", key->name);
	}
}

static const char *
leaf_default(const struct lysc_node *node)
{
	const struct lysc_node_leaf *leaf = (const struct lysc_node_leaf *)node;

	if (node->nodetype == LYS_LEAF && leaf->dflt)
		return lyd_value_get_canonical(node->module->ctx, leaf->dflt);
	return node->flags & LYS_MAND_TRUE ? "required" : "-";
}

static void
document_leaf(const struct lysc_node *node, struct ctl_lines *out)
{
	char hint[MODEL_HINT_MAX], help[MODEL_HINT_MAX];
	const char *several = "";

	if (node->nodetype == LYS_LEAFLIST)
		several = lysc_is_userordered(node) ? " (several, in order)" : " (several)";
	ctl_lines_add(out, "| `%s` | %s%s | %s | %s |", node->name, model_type_hint(node, hint),
		      several, leaf_default(node), model_help(node, help));
}

static bool
is_long_enum(const struct lysc_node *node)
{
	const struct lysc_type *type = model_leaf_type(node, false);

	return type->basetype == LY_TYPE_ENUM &&
	       LY_ARRAY_COUNT(((const struct lysc_type_enum *)type)->enums) > ENUM_INLINE;
}

static void
document_enum(const struct lysc_node *node, struct ctl_lines *out)
{
	const struct lysc_type_enum *type;
	LY_ARRAY_COUNT_TYPE i;

	if ((node->nodetype & LYD_NODE_TERM) == 0 ||
	    model_leaf_type(node, false)->basetype != LY_TYPE_ENUM)
		return;
	type = (const struct lysc_type_enum *)model_leaf_type(node, false);
	ctl_lines_add(out, "%s", "");
	ctl_lines_add(out, "Values of `%s`:", node->name);
	ctl_lines_add(out, "%s", "");
	LY_ARRAY_FOR(type->enums, i)
	{
		ctl_lines_add(out, "* `%s`%s%s", type->enums[i].name,
			      type->enums[i].dsc ? ": " : "",
			      type->enums[i].dsc ? type->enums[i].dsc : "");
	}
}

static bool
has_leaves(struct ctl_model *model, const struct lysc_node *node)
{
	for (const struct lysc_node *c = NULL; (c = model_next_child(model, node, c));)
		if (c->nodetype & LYD_NODE_TERM)
			return true;
	return false;
}

static void
document_must(const struct lysc_node *node, struct ctl_lines *out)
{
	struct lysc_must *must = lysc_node_musts(node);
	LY_ARRAY_COUNT_TYPE i;

	LY_ARRAY_FOR(must, i)
	{
		if (must[i].emsg)
			ctl_lines_add(out, "%s* refused: %s", i ? "" : "\n", must[i].emsg);
	}
}

static void
document_node(struct ctl_model *model, const struct lysc_node *node, struct ctl_lines *out)
{
	char words[MODEL_PATH_MAX], help[MODEL_HINT_MAX];

	if (node->nodetype & LYD_NODE_TERM)
		return;
	if (has_leaves(model, node)) {
		node_words(node, words, sizeof(words));
		ctl_lines_add(out, "\n## `%s`\n\n%s.\n", words, model_help(node, help));
		ctl_lines_add(out, "| word | value | default | meaning |\n|---|---|---|---|");
		for (const struct lysc_node *c = NULL; (c = model_next_child(model, node, c));)
			if (c->nodetype & LYD_NODE_TERM)
				document_leaf(c, out);
		document_must(node, out);
		for (const struct lysc_node *c = NULL; (c = model_next_child(model, node, c));)
			if ((c->nodetype & LYD_NODE_TERM) &&
			    (is_long_enum(c) || c->nodetype == LYS_LEAF))
				document_enum(c, out);
	}
	for (const struct lysc_node *c = NULL; (c = model_next_child(model, node, c));)
		document_node(model, c, out);
}

void
ctl_model_document(struct ctl_model *model, struct ctl_lines *out)
{
	ctl_lines_add(out, "# The configuration\n");
	ctl_lines_add(
		out, "%s",
		"Made from conf/spillway.yang; do not edit. Each row is a line `set PATH WORD "
		"VALUE`; "
		"words may be shortened while unique,\nand one line may set several values of the "
		"same place: `set routing static 0.0.0.0/0 next-hop 198.51.100.1 distance 5`.\n"
		"`delete PATH` takes away a value, one value of several, or a whole branch.\n\n"
		"Names of secret files (`pre-shared-key-file`, `next-pre-shared-key-file`, `ppk-file`, "
		"`password-file`) that do not begin "
		"with `/` lie in `keys/` of the state\ndirectory (/var/lib/spillway/keys). A "
		"secret's "
		"file must belong to root, be closed to group and others (chmod 600)\nand hold one "
		"line. `set tunnel NAME pre-shared-key` in the shell asks for the key, stores it "
		"there "
		"as NAME.psk and sets\n`pre-shared-key-file`; the key is never shown. "
		"`next-pre-shared-key` and `ppk` do the same for a second key "
		"(NAME.next.psk)\nand a PPK (NAME.ppk; set its `ppk-id`, too).");
	for (const struct lysc_node *c = NULL; (c = model_next_child(model, NULL, c));)
		document_node(model, c, out);
	ctl_lines_add(out, "%s",
		      "\n## Checked over the whole configuration\n\n"
		      "* Prefixes of all vnets are disjoint, and prefixes have no bits beyond "
		      "their length.\n"
		      "* A tunnel's local-address is an address of an interface, whose role "
		      "is its underlay: internet, or expressroute (IPsec over private "
		      "peering). Its remote-address is no address of ours and, but over "
		      "ExpressRoute, lies inside no vnet.\n"
		      "* No two tunnels have the same pair of addresses; no address is set "
		      "twice. Selectors of one address family stand on both sides or on none.\n"
		      "* A device belongs to one interface; a pair of VLAN tags to one "
		      "sub-interface of a port.\n"
		      "* What belongs together is of one address family: a static route and "
		      "its next hop, a neighbor and what is announced to it, a probe's target "
		      "and source. A gateway lies on a network of its interface, which has "
		      "role internet; there is one for each family. IPv6 needs an mtu of "
		      "1280. Next hops, gateways and neighbors are no addresses of ours, next hops "
		      "and neighbors not link-local. A tunnel with an address has a name of its "
		      "own among the interfaces.\n"
		      "* A vnet names circuits that exist; at most four ExpressRoute links "
		      "and four tunnels lead to it. With peering microsoft it has no tunnel. "
		      "Its last-resort lies on a network of an interface of role lan, a "
		      "probe's source is an address of ours.\n"
		      "* A BGP neighbor inside a tunnel (on its network) keeps Azure's "
		      "timers, 60 and 180 seconds, or longer ones.\n"
		      "* A vnet's tunnel over ExpressRoute: nothing that goes through it (its "
		      "selectors local; without, what neighbors inside it are told; without, "
		      "all that is announced) is announced over ExpressRoute, too, as it is "
		      "or in parts, because Azure would answer in the clear. The tunnel's own "
		      "local-address may be.\n"
		      "* Ranks of classes differ, their shares come to 100 at most, a code "
		      "point is of one class.\n"
		      "* SHA1 and groups 2 and 24 need a profile that names them or "
		      "`allow-legacy`, and are warned about at every commit.\n"
		      "* Warned about: an AS number Azure does not take, a next hop or "
		      "neighbor on no connected network, an ExpressRoute neighbor without "
		      "bfd, ExpressRoute neighbors of different local-preference (Microsoft's "
		      "longer AS path could not drain a link), bfd or a strange 169.254 "
		      "address inside a tunnel, a shorter prefix over ExpressRoute that holds "
		      "what a tunnel over it carries, a vnet without tunnel, a tunnel whose "
		      "selectors do not hold the vnet, tunnels that take more than their "
		      "gateway, a vnet that holds the network of an interface, a tunnel from an interface of role lan, an uplink by which no "
		      "way to a tunnel's end is known, a replay window of 0.");
}
