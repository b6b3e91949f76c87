/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tree to typed configuration.
 *
 * A copy of the tree is validated, which fills in the model's defaults; so no default is written
 * down here. Counts are bounded by max-elements in the model to the arrays of config.h, and every
 * copy is bounded again. Relative names of secret files are made absolute. libyang's first error is
 * turned into one line: the path as the user types it, and how to mend it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_private.h"

static const char *
get(const struct lyd_node *node, const char *path)
{
	struct lyd_node *found = NULL;

	if (lyd_find_path(node, path, 0, &found) != LY_SUCCESS)
		return NULL;
	return lyd_get_value(found);
}

static uint64_t
get_number(const struct lyd_node *node, const char *path)
{
	const char *text = get(node, path);

	return text ? strtoull(text, NULL, 10) : 0;
}

static uint32_t
get_u32(const struct lyd_node *node, const char *path)
{
	return (uint32_t)get_number(node, path);
}

static bool
get_bool(const struct lyd_node *node, const char *path)
{
	const char *text = get(node, path);

	return text && strcmp(text, "true") == 0;
}

static void
get_text(const struct lyd_node *node, const char *path, char *out, size_t size)
{
	const char *text = get(node, path);

	snprintf(out, size, "%s", text ? text : "");
}

static void
get_addr(const struct lyd_node *node, const char *path, struct spw_addr *addr)
{
	const char *text = get(node, path);

	if (text == NULL || spw_addr_parse(addr, text, NULL) < 0)
		memset(addr, 0, sizeof(*addr));
}

static void
get_file(const struct lyd_node *node, const char *path, const char *keys_dir, char out[CTL_PATH])
{
	const char *text = get(node, path);

	if (text == NULL || text[0] == '/' || keys_dir == NULL)
		snprintf(out, CTL_PATH, "%s", text ? text : "");
	else
		snprintf(out, CTL_PATH, "%s/%s", keys_dir, text);
}

/* The values of a leaf-list as prefixes. */
static unsigned int
get_prefixes(const struct lyd_node *parent, const char *name, struct spw_prefix *out,
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

static enum spw_dp_iface_role
role_of(const char *word)
{
	if (strcmp(word, "expressroute") == 0)
		return SPW_IF_ROLE_EXPRESSROUTE;
	return strcmp(word, "internet") == 0 ? SPW_IF_ROLE_INTERNET : SPW_IF_ROLE_LAN;
}

/* TPID of the outer tag; 0 = the usual one. NULL = not set. */
static uint16_t
tpid_of(const char *word)
{
	return word && strcmp(word, "dot1ad") == 0 ? 0x88a8 : 0;
}

static void
build_interface(const struct lyd_node *node, struct ctl_interface *i)
{
	get_text(node, "name", i->name, sizeof(i->name));
	get_text(node, "description", i->description, sizeof(i->description));
	get_text(node, "device", i->device, sizeof(i->device));
	get_text(node, "parent", i->parent, sizeof(i->parent));
	i->vlan_outer = (uint16_t)get_u32(node, "vlan");
	i->vlan_inner = (uint16_t)get_u32(node, "inner-vlan");
	i->vlan_tpid = tpid_of(get(node, "vlan-type"));
	i->role = role_of(get(node, "role"));
	i->enabled = get_bool(node, "enabled");
	i->mtu = get_u32(node, "mtu");
	i->mss_clamp = (uint16_t)get_u32(node, "mss-clamp");
	i->n_addresses = get_prefixes(node, "address", i->address, CTL_ADDRS);
}

static void
build_static(const struct lyd_node *node, struct ctl_static_route *r)
{
	if (spw_prefix_parse(&r->prefix, get(node, "prefix"), NULL) < 0)
		return;
	get_addr(node, "next-hop", &r->next_hop);
	r->distance = get_u32(node, "distance");
}

static void
build_neighbor(const struct lyd_node *node, const char *keys_dir, struct ctl_neighbor *n)
{
	struct lyd_node *bfd = NULL;

	get_addr(node, "address", &n->address);
	n->remote_as = get_u32(node, "remote-as");
	get_text(node, "description", n->description, sizeof(n->description));
	get_file(node, "password-file", keys_dir, n->password_file);
	n->keepalive_s = get_u32(node, "timers/keepalive");
	n->hold_s = get_u32(node, "timers/hold");
	n->local_preference = get_u32(node, "local-preference");
	n->bfd = lyd_find_path(node, "bfd", 0, &bfd) == LY_SUCCESS;
	if (!n->bfd)
		return;
	n->bfd_transmit_ms = get_u32(bfd, "transmit");
	n->bfd_receive_ms = get_u32(bfd, "receive");
	n->bfd_multiplier = get_u32(bfd, "multiplier");
}

static enum spw_ike_mode
mode_of(const char *word)
{
	if (strcmp(word, "initiate") == 0)
		return SPW_IKE_MODE_INITIATE;
	return strcmp(word, "respond") == 0 ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
}

static uint8_t
outer_df_of(const char *word)
{
	if (strcmp(word, "copy") == 0)
		return SPW_OUTER_DF_COPY;
	return strcmp(word, "clear") == 0 ? SPW_OUTER_DF_CLEAR : SPW_OUTER_DF_SET;
}

static int
build_proposals(const struct lyd_node *tunnel, struct ctl_tunnel *t, struct spw_err *err)
{
	const struct lyd_node *node;
	const char *profile = get(tunnel, "profile");
	int rc = 0;

	if (profile)
		return ctl_profile_apply(t, profile) == 0
			       ? 0
			       : spw_fail(err, -EINVAL, "tunnel %s profile %s: not known", t->name,
					  profile);
	LY_LIST_FOR(lyd_child(tunnel), node)
	{
		const char *name = node->schema->name;

		if (strcmp(name, "ike-proposal") == 0 && t->n_ike < SPW_IKE_PROPOSALS)
			rc = ctl_proposal_parse_ike(&t->ike[t->n_ike++], lyd_get_value(node));
		else if (strcmp(name, "esp-proposal") == 0 && t->n_esp < SPW_IKE_PROPOSALS)
			rc = ctl_proposal_parse_esp(&t->esp[t->n_esp++], lyd_get_value(node));
		if (rc < 0)
			return spw_fail(err, rc, "tunnel %s %s %s: an algorithm this version lacks",
					t->name, name, lyd_get_value(node));
	}
	return 0;
}

static int
check_legacy(const struct lyd_node *tunnel, const struct ctl_tunnel *t, struct ctl_lines *warnings,
	     struct spw_err *err)
{
	const char *profile = get(tunnel, "profile");
	bool legacy = false;

	for (unsigned int i = 0; i < t->n_ike; i++)
		legacy = legacy || ctl_proposal_is_legacy(&t->ike[i]);
	for (unsigned int i = 0; i < t->n_esp; i++)
		legacy = legacy || ctl_proposal_is_legacy(&t->esp[i]);
	if (!legacy)
		return 0;
	if (profile == NULL && !get_bool(tunnel, "allow-legacy"))
		return spw_fail(
			err, -EINVAL,
			"tunnel %s: a proposal holds SHA1, group 2 or group 24: choose others, or "
			"set tunnel %s allow-legacy true",
			t->name, t->name);
	if (warnings)
		ctl_lines_add(warnings,
			      "tunnel %s: uses legacy algorithms (SHA1, group 2 or group 24)%s%s",
			      t->name, profile ? " by profile " : "", profile ? profile : "");
	return 0;
}

static void
build_limits(const struct lyd_node *node, struct ctl_tunnel *t)
{
	t->ike_lifetime_s = get_u32(node, "lifetime/ike");
	t->child_lifetime_s = get_u32(node, "lifetime/child");
	t->child_lifetime_bytes = get_number(node, "lifetime/kilobytes") * 1024;
	t->child_lifetime_packets = get_number(node, "lifetime/packets");
	t->jitter_percent = get_u32(node, "lifetime/jitter");
	t->dpd_delay_s = get_u32(node, "dpd/delay");
	t->dpd_timeout_s = get_u32(node, "dpd/timeout");
	t->nat_keepalive_s = get_u32(node, "nat-keepalive");
	t->replay_window = get_u32(node, "replay-window");
	t->mtu = get_u32(node, "mtu");
	t->mss_clamp = get_u32(node, "mss-clamp");
}

static void
build_identity(const struct lyd_node *node, const char *path, struct spw_ike_id *id)
{
	const char *text = get(node, path);

	if (text)
		ctl_identity_parse(id, text);
}

static int
build_tunnel(const struct lyd_node *node, const char *keys_dir, struct ctl_tunnel *t,
	     struct ctl_lines *warnings, struct spw_err *err)
{
	struct lyd_node *selectors = NULL;
	int rc;

	get_text(node, "name", t->name, sizeof(t->name));
	get_text(node, "description", t->description, sizeof(t->description));
	t->enabled = get_bool(node, "enabled");
	get_addr(node, "local-address", &t->local);
	get_addr(node, "remote-address", &t->remote);
	build_identity(node, "local-id", &t->local_id);
	build_identity(node, "remote-id", &t->remote_id);
	get_file(node, "pre-shared-key-file", keys_dir, t->psk_file);
	t->mode = mode_of(get(node, "mode"));
	t->force_encap = get_bool(node, "force-encapsulation");
	t->dscp_copy = get_bool(node, "dscp-copy");
	t->outer_df = outer_df_of(get(node, "outer-df"));
	build_limits(node, t);
	t->n_addresses = get_prefixes(node, "address", t->address, CTL_ADDRS);
	if (lyd_find_path(node, "selectors", 0, &selectors) == LY_SUCCESS) {
		t->n_local_selectors =
			get_prefixes(selectors, "local", t->local_selector, SPW_SA_SELECTORS);
		t->n_remote_selectors =
			get_prefixes(selectors, "remote", t->remote_selector, SPW_SA_SELECTORS);
	}
	rc = build_proposals(node, t, err);
	return rc < 0 ? rc : check_legacy(node, t, warnings, err);
}

static void
build_vnet(const struct lyd_node *node, struct ctl_vnet *v)
{
	const struct lyd_node *child;

	get_text(node, "name", v->name, sizeof(v->name));
	get_text(node, "description", v->description, sizeof(v->description));
	v->n_prefixes = get_prefixes(node, "prefix", v->prefix, CTL_LIST);
	v->hold_off_ms = get_u32(node, "hold-off");
	v->wait_to_restore_s = get_u32(node, "wait-to-restore");
	LY_LIST_FOR(lyd_child(node), child)
	{
		if (strcmp(child->schema->name, "tunnel") != 0 || v->n_tunnels == SPW_DP_TIER_PATHS)
			continue;
		v->tunnel[v->n_tunnels].weight = 1;
		snprintf(v->tunnel[v->n_tunnels++].name, CTL_NAME, "%s", lyd_get_value(child));
	}
}

/* Entries of a list, sorted, and room for as many structures. */
static const struct lyd_node **
entries(struct ctl_model *model, const struct lyd_node *root, const char *path, size_t size,
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

static void
build_interfaces(struct ctl_model *model, const struct lyd_node *root, struct ctl_config *c)
{
	const struct lyd_node **node =
		entries(model, root, "/spillway:interfaces", sizeof(*c->interfaces),
			(void **)&c->interfaces, &c->n_interfaces);

	for (unsigned int i = 0; i < c->n_interfaces; i++)
		build_interface(node[i], &c->interfaces[i]);
	free(node);
}

static void
build_routing(struct ctl_model *model, const struct lyd_node *root, const char *keys_dir,
	      struct ctl_config *c)
{
	const struct lyd_node **node;
	struct lyd_node *bgp = NULL;
	void *room = NULL;
	unsigned int n;

	node = entries(model, root, "/spillway:routing/static", sizeof(*c->statics),
		       (void **)&c->statics, &c->n_statics);
	for (unsigned int i = 0; i < c->n_statics; i++)
		build_static(node[i], &c->statics[i]);
	free(node);
	if (lyd_find_path(root, "/spillway:routing/bgp", 0, &bgp) != LY_SUCCESS)
		return;
	c->bgp.local_as = get_u32(bgp, "local-as");
	get_addr(bgp, "router-id", &c->bgp.router_id);
	c->bgp.n_announce = get_prefixes(bgp, "announce", c->bgp.announce, CTL_LIST);
	node = entries(model, root, "/spillway:routing/bgp/neighbor", 1, &room, &n);
	free(room);
	for (unsigned int i = 0; i < n && i < CTL_LIST; i++)
		build_neighbor(node[i], keys_dir, &c->bgp.neighbor[c->bgp.n_neighbors++]);
	free(node);
}

static int
build_tunnels(struct ctl_model *model, const struct lyd_node *root, const char *keys_dir,
	      struct ctl_config *c, struct ctl_lines *warnings, struct spw_err *err)
{
	const struct lyd_node **node = entries(model, root, "/spillway:tunnel", sizeof(*c->tunnels),
					       (void **)&c->tunnels, &c->n_tunnels);
	int rc = 0;

	for (unsigned int i = 0; i < c->n_tunnels && rc == 0; i++)
		rc = build_tunnel(node[i], keys_dir, &c->tunnels[i], warnings, err);
	free(node);
	return rc;
}

static void
build_vnets(struct ctl_model *model, const struct lyd_node *root, struct ctl_config *c)
{
	const struct lyd_node **node = entries(model, root, "/spillway:vnet", sizeof(*c->vnets),
					       (void **)&c->vnets, &c->n_vnets);

	for (unsigned int i = 0; i < c->n_vnets; i++)
		build_vnet(node[i], &c->vnets[i]);
	free(node);
}

char *
model_path_words(const char *path, char out[MODEL_PATH_MAX])
{
	size_t n = 0;

	for (const char *p = path; *p && n + 2 < MODEL_PATH_MAX; p++) {
		if (*p == '/') {
			const char *colon = strpbrk(p + 1, ":/[");

			if (n > 0)
				out[n++] = ' ';
			if (colon && *colon == ':')
				p = colon;
		} else if (*p == '[') {
			const char *value = strpbrk(p, "'\"");
			const char *end = value ? strchr(value + 1, *value) : NULL;

			if (end == NULL || end[1] != ']')
				break;
			n += (size_t)snprintf(out + n, MODEL_PATH_MAX - n, " %.*s",
					      (int)(end - value - 1), value + 1);
			n = n < MODEL_PATH_MAX ? n : MODEL_PATH_MAX - 1;
			p = end + 1;
		} else {
			out[n++] = *p;
		}
	}
	out[n] = '\0';
	return out;
}

static int
fail_leafref(const char *words, const char *message, struct spw_err *err)
{
	const char *target = strrchr(words, ' ');
	char value[CTL_TEXT] = "";

	if (sscanf(message, "Invalid leafref value \"%127[^\"]\"", value) != 1)
		return spw_fail(err, -EINVAL, "%s: %s", words, message);
	if (target && strcmp(target + 1, value) == 0)
		return spw_fail(err, -EINVAL,
				"%s: there is no \"%s\": make it first, or delete this", words,
				value);
	return spw_fail(err, -EINVAL, "%s %s: there is no \"%s\": make it first, or delete this",
			words, value, value);
}

/* The path inside `Data location "/...".`; several locations may be named, the first counts. */
static void
error_path(const struct ly_err_item *item, char out[MODEL_PATH_MAX])
{
	const char *start = item && item->path ? strchr(item->path, '/') : NULL;
	const char *end = start ? strstr(start, "\".") : NULL;

	if (start && end == NULL)
		end = strstr(start, "\",");
	snprintf(out, MODEL_PATH_MAX, "%.*s",
		 (int)(end     ? end - start
		       : start ? (int)strlen(start)
			       : 0),
		 start ? start : "");
}

/* libyang names only the schema node of what is missing: find the first entry without it. */
static int
fail_mandatory(const struct lyd_node *root, char path[MODEL_PATH_MAX], const char *name,
	       struct spw_err *err)
{
	char query[MODEL_PATH_MAX + 2 * CTL_TEXT], entry[MODEL_PATH_MAX],
		words[MODEL_PATH_MAX] = "";
	struct ly_set *set = NULL;
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
	snprintf(query, sizeof(query), "%s[not(%s)]", path, name);
	if (lyd_find_xpath(root, query, &set) == LY_SUCCESS && set->count > 0 &&
	    lyd_path(set->dnodes[0], LYD_PATH_STD, entry, sizeof(entry)))
		model_path_words(entry, words);
	else
		model_path_words(path, words);
	ly_set_free(set, NULL);
	return spw_fail(err, -EINVAL, "%s: %s is missing: set %s %s VALUE", words, name, words,
			name);
}

/* libyang's last error as one line of ours. */
static int
fail_validation(struct ctl_model *model, const struct lyd_node *root, struct spw_err *err)
{
	const struct ly_err_item *item = ly_err_last(model->ctx);
	char path[MODEL_PATH_MAX], words[MODEL_PATH_MAX], name[CTL_TEXT];
	const char *msg = item && item->msg ? item->msg : "not valid";

	error_path(item, path);
	model_path_words(path, words);
	if (sscanf(msg, "Mandatory node \"%127[^\"]\"", name) == 1)
		return fail_mandatory(root, path, name, err);
	if (strncmp(msg, "Data for both cases", 19) == 0)
		return spw_fail(
			err, -EINVAL,
			"%s: has both a profile and proposals of its own: delete one of them",
			words);
	if (sscanf(msg, "Too many \"%127[^\"]\"", name) == 1)
		return spw_fail(err, -EINVAL, "%s: too many entries: delete some", words);
	if (strstr(msg, "leafref"))
		return fail_leafref(words, msg, err);
	return spw_fail(err, -EINVAL, "%s: %s", words, msg);
}

int
ctl_model_build(struct ctl_model *model, const struct ctl_tree *tree, const char *keys_dir,
		struct ctl_config **config, struct ctl_lines *warnings, struct spw_err *err)
{
	struct ctl_config *c = calloc(1, sizeof(*c));
	struct ctl_tree full = {0};
	int rc;

	if (c == NULL || ctl_tree_copy(&full, tree) < 0) {
		free(c);
		return spw_fail(err, -ENOMEM, "no memory for the configuration");
	}
	ly_err_clean(model->ctx, NULL);
	if (lyd_validate_module(&full.root, model->module, 0, NULL) != LY_SUCCESS) {
		rc = fail_validation(model, full.root, err);
	} else {
		get_text(full.root, "/spillway:system/host-name", c->host_name,
			 sizeof(c->host_name));
		build_interfaces(model, full.root, c);
		build_routing(model, full.root, keys_dir, c);
		rc = build_tunnels(model, full.root, keys_dir, c, warnings, err);
		build_vnets(model, full.root, c);
	}
	if (rc == 0)
		rc = ctl_config_check(c, warnings, err);
	ctl_tree_free(&full);
	if (rc == 0)
		*config = c;
	else
		ctl_config_free(c);
	return rc;
}
