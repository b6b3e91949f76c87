/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared by control/config*.c only: the checks of a whole configuration, by subject. A check
 * returns 0, or -EINVAL (-ENOMEM) with one sentence; a warning adds lines.
 */
#ifndef SPW_CONTROL_CONFIG_PRIVATE_H
#define SPW_CONTROL_CONFIG_PRIVATE_H

#include "control/config.h"
#include "control/model.h"

int config_check_addresses(const struct ctl_config *c, struct spw_err *err);
void config_warn_addresses(const struct ctl_config *c, struct ctl_lines *warnings);
int config_check_tunnels(const struct ctl_config *c, struct spw_err *err);
void config_warn_tunnels(const struct ctl_config *c, struct ctl_lines *warnings);
int config_check_vnets(const struct ctl_config *c, struct spw_err *err);
void config_warn_vnets(const struct ctl_config *c, struct ctl_lines *warnings);
int config_check_classes(const struct ctl_config *c, struct spw_err *err);
int config_check_bgp(const struct ctl_config *c, struct spw_err *err);
void config_warn_bgp(const struct ctl_config *c, struct ctl_lines *warnings);

/* A prefix has no bits beyond its length; `where` is its path in words. */
int config_check_masked(const char *where, const struct spw_prefix *p, struct spw_err *err);

/* An IPv6 address that counts on its link alone. */
bool config_is_link_local(const struct spw_addr *a);
/* Is the address on a network of an interface or of a tunnel? */
static inline bool
config_is_connected(const struct ctl_config *c, const struct spw_addr *a)
{
	return ctl_config_interface_towards(c, a) || ctl_config_tunnel_towards(c, a);
}

/* The tunnel that has an address inside, or NULL. */
const struct ctl_tunnel *config_tunnel_with(const struct ctl_config *c, const struct spw_addr *own);
/* Is it an address of an interface or a tunnel of ours? */
static inline bool
config_is_own(const struct ctl_config *c, const struct spw_addr *a)
{
	return ctl_config_interface_with(c, a) || config_tunnel_with(c, a);
}

/* config_sku.c: what an Azure gateway takes. */
struct config_sku {
	const char *word;	 /* as in the model */
	uint32_t gcm_mbps;	 /* one tunnel, ESP with AES-GCM */
	uint32_t cbc_mbps;	 /* one tunnel, ESP with AES-CBC and SHA256 */
	uint32_t aggregate_mbps; /* the gateway */
};
/* NULL when the word is not known. */
const struct config_sku *config_sku_find(const char *word);
/* kbit/s of one tunnel: the tunnel's own limit or the gateway's, whichever is lower. */
uint32_t config_sku_capacity_kbps(const struct config_sku *sku, bool gcm);

#endif
