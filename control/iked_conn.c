/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a configured tunnel to the message that describes it to iked. Pure.
 *
 * An identity that is not configured is the address (RFC 7296 3.5), which is what an Azure gateway
 * sends and expects. No selectors mean any-to-any, in IPv4 as Azure's route-based gateways
 * propose; in IPv6, too, only for a tunnel that is to carry it, because a peer that knows IPv4
 * alone must not have to narrow what nobody needs. Configured lifetimes are hard limits; the soft
 * one, where rekeying starts, is at 90 %.
 */
#include <string.h>

#include "control/iked.h"
#include "control/pfs.h"

#define SOFT_PERCENT 90

static struct spw_sa_limit
limit(uint64_t hard)
{
	/* Divided first: limits in bytes may be near the end of the range. */
	return (struct spw_sa_limit){
		.soft = hard / 100 * SOFT_PERCENT + hard % 100 * SOFT_PERCENT / 100, .hard = hard};
}

static void
identity(const struct spw_ike_id *conf, const struct spw_addr *addr, struct spw_ike_id *out)
{
	*out = *conf;
	if (conf->type != 0)
		return;
	out->type = addr->family == AF_INET6 ? SPW_ID_IPV6 : SPW_ID_IPV4;
	out->len = (uint8_t)spw_addr_len(addr->family);
	memcpy(out->data, addr->bytes, out->len);
}

static void
selector(const struct spw_prefix *prefix, struct spw_selector *out)
{
	struct spw_prefix p = spw_prefix_masked(prefix);
	size_t bits = spw_addr_len(p.addr.family) * 8;

	*out = (struct spw_selector){.low = p.addr, .high = p.addr, .port_high = 65535};
	for (size_t b = p.len; b < bits; b++)
		out->high.bytes[b / 8] |= (uint8_t)(0x80 >> (b % 8));
}

static bool
has_ipv6(const struct spw_prefix *list, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (list[i].addr.family == AF_INET6)
			return true;
	return false;
}

bool
ctl_iked_carries_ipv6(const struct ctl_config *config, const struct ctl_tunnel *tunnel)
{
	if (has_ipv6(tunnel->address, tunnel->n_addresses))
		return true;
	for (unsigned int i = 0; i < config->n_vnets; i++) {
		const struct ctl_vnet *v = &config->vnets[i];

		for (unsigned int t = 0; t < v->n_tunnels; t++)
			if (strcmp(v->tunnel[t].name, tunnel->name) == 0 &&
			    has_ipv6(v->prefix, v->n_prefixes))
				return true;
	}
	return false;
}

static uint32_t
selectors(const struct spw_prefix *list, unsigned int n, bool ipv6, struct spw_selector *out)
{
	static const struct spw_prefix any = {.addr.family = AF_INET},
				       any6 = {.addr.family = AF_INET6};

	if (n == 0) {
		selector(&any, &out[n++]);
		if (ipv6)
			selector(&any6, &out[n++]);
		return n;
	}
	for (unsigned int i = 0; i < n; i++)
		selector(&list[i], &out[i]);
	return n;
}

void
ctl_iked_conn_message(const struct ctl_tunnel *c, uint32_t tunnel, uint32_t generation, bool ipv6,
		      struct spw_ike_conn *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->name, c->name, sizeof(out->name));
	out->tunnel = tunnel;
	out->generation = generation;
	out->local = c->local;
	out->remote = c->remote;
	identity(&c->local_id, &c->local, &out->local_id);
	identity(&c->remote_id, &c->remote, &out->remote_id);
	out->mode = c->mode;
	out->ppk_id_len = (uint32_t)strlen(c->ppk_id);
	memcpy(out->ppk_id, c->ppk_id, out->ppk_id_len);
	out->ppk_required = c->ppk_required;
	out->n_ike = c->n_ike;
	out->n_esp = c->n_esp;
	memcpy(out->ike, c->ike, sizeof(out->ike));
	memcpy(out->esp, c->esp, sizeof(out->esp));
	for (unsigned int i = 0; i < out->n_esp; i++)
		out->esp[i].esn = (uint8_t)c->esn;
	out->ike_rekey_s = c->ike_lifetime_s;
	out->dpd_delay_s = c->dpd_delay_s;
	out->dpd_timeout_s = c->dpd_timeout_s;
	out->nat_keepalive_s = c->nat_keepalive_s;
	out->replay_window = c->replay_window;
	out->force_encap = c->force_encap;
	out->fragment = c->ike_fragment;
	out->child_seconds = limit(c->child_lifetime_s);
	out->child_bytes = limit(c->child_lifetime_bytes);
	out->child_packets = limit(c->child_lifetime_packets);
	out->jitter_percent = c->jitter_percent;
	out->pfs_check_s = c->pfs_check ? CTL_PFS_CHECK_S : 0;
	out->n_local = selectors(c->local_selector, c->n_local_selectors, ipv6, out->sel_local);
	out->n_remote = selectors(c->remote_selector, c->n_remote_selectors, ipv6, out->sel_remote);
}
