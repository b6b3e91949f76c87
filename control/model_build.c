/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tree to typed configuration: the whole, interfaces and tunnels; routing is in model_routing.c,
 * protected networks and classes in model_vnet.c.
 *
 * A copy of the tree is validated, which fills in the model's defaults; so no default is written
 * down here. Counts are bounded by max-elements in the model to the arrays of config.h, and every
 * copy is bounded again. Relative names of secret files are made absolute.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/config_private.h"
#include "control/model_private.h"

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

/* Next routers, one of each family. */
static int
build_gateways(const struct lyd_node *node, struct ctl_interface *i, struct spw_err *err)
{
	struct spw_prefix gateway[2];
	unsigned int n = model_get_prefixes(node, "gateway", gateway, 2);

	for (unsigned int k = 0; k < n; k++) {
		struct spw_addr *a =
			gateway[k].addr.family == AF_INET6 ? &i->gateway6 : &i->gateway4;

		if (spw_addr_is_set(a))
			return spw_fail(err, -EINVAL,
					"interfaces %s gateway: two of one address family: delete "
					"one",
					i->name);
		*a = gateway[k].addr;
	}
	return 0;
}

static int
build_interface(const struct lyd_node *node, struct ctl_interface *i, struct spw_err *err)
{
	model_get_text(node, "name", i->name, sizeof(i->name));
	model_get_text(node, "description", i->description, sizeof(i->description));
	model_get_text(node, "device", i->device, sizeof(i->device));
	model_get_text(node, "parent", i->parent, sizeof(i->parent));
	i->vlan_outer = (uint16_t)model_get_u32(node, "vlan");
	i->vlan_inner = (uint16_t)model_get_u32(node, "inner-vlan");
	i->vlan_tpid = tpid_of(model_get(node, "vlan-type"));
	i->role = role_of(model_get(node, "role"));
	i->enabled = model_get_bool(node, "enabled");
	i->mtu = model_get_u32(node, "mtu");
	i->mss_clamp = (uint16_t)model_get_u32(node, "mss-clamp");
	i->n_addresses = model_get_prefixes(node, "address", i->address, CTL_ADDRS);
	model_get_text(node, "circuit", i->circuit, sizeof(i->circuit));
	if (i->role == SPW_IF_ROLE_EXPRESSROUTE && i->circuit[0] == '\0')
		snprintf(i->circuit, sizeof(i->circuit), "expressroute");
	return build_gateways(node, i, err);
}

static enum spw_ike_mode
mode_of(const char *word)
{
	if (strcmp(word, "initiate") == 0)
		return SPW_IKE_MODE_INITIATE;
	return strcmp(word, "respond") == 0 ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
}

static enum spw_ike_esn
esn_of(const char *word)
{
	if (strcmp(word, "require") == 0)
		return SPW_ESN_YES;
	return strcmp(word, "negotiate") == 0 ? SPW_ESN_BOTH : SPW_ESN_NO;
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
	const char *profile = model_get(tunnel, "profile");
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
	const char *profile = model_get(tunnel, "profile");
	bool legacy = false;

	for (unsigned int i = 0; i < t->n_ike; i++)
		legacy = legacy || ctl_proposal_is_legacy(&t->ike[i]);
	for (unsigned int i = 0; i < t->n_esp; i++)
		legacy = legacy || ctl_proposal_is_legacy(&t->esp[i]);
	if (!legacy)
		return 0;
	if (profile == NULL && !model_get_bool(tunnel, "allow-legacy"))
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

/*
 * What IKE agrees on is no stronger than IKE itself. A profile is Azure's own list, not ours to
 * judge.
 */
static void
check_strength(const struct lyd_node *tunnel, const struct ctl_tunnel *t,
	       struct ctl_lines *warnings)
{
	unsigned int ike = UINT_MAX, esp = 0;

	if (!warnings || t->n_ike == 0 || model_get(tunnel, "profile"))
		return;
	for (unsigned int i = 0; i < t->n_ike; i++)
		if (spw_encr_info(t->ike[i].encr)->key_len < ike)
			ike = spw_encr_info(t->ike[i].encr)->key_len;
	for (unsigned int i = 0; i < t->n_esp; i++)
		if (spw_encr_info(t->esp[i].encr)->key_len > esp)
			esp = spw_encr_info(t->esp[i].encr)->key_len;
	if (ike < esp)
		ctl_lines_add(
			warnings,
			"tunnel %s: IKE may agree on a key of %u bits, ESP on one of %u: ESP is "
			"no stronger than IKE, so take for IKE what ESP has",
			t->name, ike * 8, esp * 8);
}

static void
build_limits(const struct lyd_node *node, struct ctl_tunnel *t)
{
	t->ike_lifetime_s = model_get_u32(node, "lifetime/ike");
	t->child_lifetime_s = model_get_u32(node, "lifetime/child");
	t->child_lifetime_bytes = model_get_number(node, "lifetime/kilobytes") * 1024;
	t->child_lifetime_packets = model_get_number(node, "lifetime/packets");
	t->jitter_percent = model_get_u32(node, "lifetime/jitter");
	t->dpd_delay_s = model_get_u32(node, "dpd/delay");
	t->dpd_timeout_s = model_get_u32(node, "dpd/timeout");
	t->nat_keepalive_s = model_get_u32(node, "nat-keepalive");
	t->replay_window = model_get_u32(node, "replay-window");
	t->mtu = model_get_u32(node, "mtu");
	t->mss_clamp = model_get_u32(node, "mss-clamp");
}

static void
build_identity(const struct lyd_node *node, const char *path, struct spw_ike_id *id)
{
	const char *text = model_get(node, path);

	if (text)
		ctl_identity_parse(id, text);
}

/* What the Azure gateway takes: the operator's figure, else its SKU's for our first proposal. */
static void
build_capacity(const struct lyd_node *node, struct ctl_tunnel *t)
{
	const char *word = model_get(node, "azure-sku");
	const struct config_sku *sku = word ? config_sku_find(word) : NULL;
	uint32_t mbps = model_get_u32(node, "bandwidth");

	t->shape = model_get_bool(node, "shape");
	if (mbps) {
		t->capacity_kbps = 1000 * mbps;
	} else if (sku) {
		t->capacity_kbps =
			config_sku_capacity_kbps(sku, spw_encr_info(t->esp[0].encr)->icv_len > 0);
		t->gateway_kbps = 1000 * sku->aggregate_mbps;
	}
}

static int
build_tunnel(const struct lyd_node *node, const char *keys_dir, struct ctl_tunnel *t,
	     struct ctl_lines *warnings, struct spw_err *err)
{
	struct lyd_node *selectors = NULL;
	int rc;

	model_get_text(node, "name", t->name, sizeof(t->name));
	model_get_text(node, "description", t->description, sizeof(t->description));
	t->enabled = model_get_bool(node, "enabled");
	model_get_addr(node, "local-address", &t->local);
	model_get_addr(node, "remote-address", &t->remote);
	build_identity(node, "local-id", &t->local_id);
	build_identity(node, "remote-id", &t->remote_id);
	model_get_file(node, "pre-shared-key-file", keys_dir, t->psk_file);
	model_get_file(node, "next-pre-shared-key-file", keys_dir, t->next_psk_file);
	model_get_file(node, "ppk-file", keys_dir, t->ppk_file);
	model_get_text(node, "ppk-id", t->ppk_id, sizeof(t->ppk_id));
	t->ppk_required = model_get_bool(node, "ppk-required");
	t->mode = mode_of(model_get(node, "mode"));
	t->force_encap = model_get_bool(node, "force-encapsulation");
	t->ike_fragment = model_get_u32(node, "ike-fragment");
	t->esn = esn_of(model_get(node, "esn"));
	t->pfs_check = model_get_bool(node, "pfs-check");
	t->dscp_copy = model_get_bool(node, "dscp-copy");
	t->outer_df = outer_df_of(model_get(node, "outer-df"));
	build_limits(node, t);
	t->n_addresses = model_get_prefixes(node, "address", t->address, CTL_ADDRS);
	if (lyd_find_path(node, "selectors", 0, &selectors) == LY_SUCCESS) {
		t->n_local_selectors =
			model_get_prefixes(selectors, "local", t->local_selector, SPW_SA_SELECTORS);
		t->n_remote_selectors = model_get_prefixes(selectors, "remote", t->remote_selector,
							   SPW_SA_SELECTORS);
	}
	rc = build_proposals(node, t, err);
	if (rc == 0)
		build_capacity(node, t);
	if (rc == 0)
		check_strength(node, t, warnings);
	return rc < 0 ? rc : check_legacy(node, t, warnings, err);
}

static int
build_interfaces(struct ctl_model *model, const struct lyd_node *root, struct ctl_config *c,
		 struct spw_err *err)
{
	const struct lyd_node **node =
		model_entries(model, root, "/spillway:interfaces", sizeof(*c->interfaces),
			      (void **)&c->interfaces, &c->n_interfaces);
	int rc = 0;

	for (unsigned int i = 0; i < c->n_interfaces && rc == 0; i++)
		rc = build_interface(node[i], &c->interfaces[i], err);
	free(node);
	return rc;
}

static int
build_tunnels(struct ctl_model *model, const struct lyd_node *root, const char *keys_dir,
	      struct ctl_config *c, struct ctl_lines *warnings, struct spw_err *err)
{
	const struct lyd_node **node =
		model_entries(model, root, "/spillway:tunnel", sizeof(*c->tunnels),
			      (void **)&c->tunnels, &c->n_tunnels);
	int rc = 0;

	for (unsigned int i = 0; i < c->n_tunnels && rc == 0; i++)
		rc = build_tunnel(node[i], keys_dir, &c->tunnels[i], warnings, err);
	free(node);
	return rc;
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
		rc = model_fail_validation(model, full.root, err);
	} else {
		model_get_text(full.root, "/spillway:system/host-name", c->host_name,
			       sizeof(c->host_name));
		rc = build_interfaces(model, full.root, c, err);
		model_build_routing(model, full.root, keys_dir, c);
		if (rc == 0)
			rc = build_tunnels(model, full.root, keys_dir, c, warnings, err);
		model_build_vnets(model, full.root, c);
		model_build_classes(model, full.root, c);
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
