/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State as JSON: the table of what can be asked, the daemons, interfaces, neighbours, BGP.
 *
 * Shapes are fixed by docs/show-json.md. Objects of the configuration are always listed; what
 * another daemon would add is null or "unknown" when it does not answer, and the reply says so
 * under "unreachable".
 */
#include "control/show.h"

#include <ctype.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/frr.h"
#include "control/iked.h"
#include "control/watch_private.h"

static const struct {
	const char *what;
	json_t *(*show)(struct ctl_runtime *rt, const char *arg, struct spw_err *err);
} table[] = {
	{"version", ctl_show_version},
	{"interfaces", ctl_show_interfaces},
	{"neighbors", ctl_show_neighbors},
	{"bgp", ctl_show_bgp},
	{"bfd", ctl_show_bfd},
	{"probes", ctl_show_probes},
	{"drops", ctl_show_drops},
	{"workers", ctl_show_workers},
	{"ike", ctl_show_ike},
	{"ipsec-sa", ctl_show_ipsec_sa},
	{"ipsec-statistics", ctl_show_ipsec_statistics},
	{"route", ctl_show_route},
	{"fib", ctl_show_fib},
	{"failover", ctl_show_failover},
	{"failover-history", ctl_show_failover_history},
	{"failover-readiness", ctl_show_failover_readiness},
	{"failover-events", ctl_show_failover_events},
};

json_t *
ctl_runtime_show(struct ctl_runtime *rt, const char *what, const char *arg, struct spw_err *err)
{
	struct spw_err own = {0};

	if (arg && arg[0] == '\0')
		arg = NULL;
	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].what, what) == 0)
			return table[i].show(rt, arg, err ? err : &own);
	spw_fail(err, -EINVAL, "show: '%.40s' is not known", what);
	return NULL;
}

/* Texts of peers, and ours where they were cut to fit, need not be UTF-8. */
json_t *
ctl_json_text(const char *text)
{
	json_t *plain;
	char *copy;

	if (!text || !text[0])
		return json_null();
	plain = json_string(text);
	if (plain)
		return plain;
	copy = strdup(text);
	plain = copy ? json_string(spw_text_mend(copy)) : json_null();
	free(copy);
	return plain;
}

json_t *
ctl_json_seconds(uint64_t ns)
{
	return json_real((double)(ns / SPW_NS_PER_MS) / 1000.0);
}

json_t *
ctl_json_addr(const struct spw_addr *a)
{
	char text[SPW_ADDR_TEXT];

	return spw_addr_is_set(a) ? json_string(spw_addr_format(a, text)) : json_null();
}

void
ctl_json_unreachable(json_t *object, const char *daemon, const struct spw_err *err)
{
	char text[SPW_ERR_TEXT + 32];

	snprintf(text, sizeof(text), "%s: %s", daemon, err->text);
	json_object_set_new(object, "unreachable", ctl_json_text(text));
}

static void
status_keep(void *ctx, const void *elem)
{
	memcpy(ctx, elem, sizeof(struct spw_dp_status));
}

static json_t *
ciphers_json(uint32_t mask)
{
	json_t *list = json_array();

	for (unsigned int e = 1; e < SPW_ENCR_COUNT; e++)
		if (mask >> e & 1)
			json_array_append_new(list, json_string(spw_encr_info(e)->show_name));
	return list;
}

static json_t *
dataplane_json(struct ctl_runtime *rt)
{
	struct spw_dp_status s = {0};
	const struct spw_dp_hello_reply *h;

	if (!ctl_dataplane_connected(rt) ||
	    ctl_dataplane_get(rt, SPW_DP_GET_STATUS, NULL, 0, sizeof(s), status_keep, &s, NULL) !=
		    0)
		return json_pack("{s:b}", "connected", 0);
	h = ctl_dataplane_hello(rt);
	return json_pack("{s:b,s:s,s:s,s:s,s:I,s:o,s:o,s:o,s:I,s:I,s:I,s:I}", "connected", 1,
			 "version", h->version, "dpdk", h->dpdk, "cipher_isa", h->cipher_isa,
			 "workers", (json_int_t)h->workers, "incarnation",
			 json_sprintf("%016llx", (unsigned long long)h->incarnation), "uptime_s",
			 ctl_json_seconds(s.uptime_ns), "ciphers", ciphers_json(h->encr_mask),
			 "routes", (json_int_t)s.routes, "sas", (json_int_t)s.sas, "mbufs_in_use",
			 (json_int_t)s.mbufs_in_use, "mbufs", (json_int_t)s.mbufs_total);
}

static json_t *
iked_json(struct ctl_runtime *rt)
{
	const struct spw_ike_hello_reply *h;

	if (!ctl_iked_connected(rt))
		return json_pack("{s:b}", "connected", 0);
	h = ctl_iked_hello(rt);
	return json_pack("{s:b,s:s,s:o}", "connected", 1, "version", h->version, "instance",
			 json_sprintf("%016llx", (unsigned long long)h->instance));
}

json_t *
ctl_show_version(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	const char *frr = ctl_frr_version(rt);
	json_t *f = frr[0] ? json_pack("{s:b,s:s}", "connected", 1, "version", frr)
			   : json_pack("{s:b}", "connected", 0);

	return json_pack("{s:o,s:o,s:o}", "dataplane", dataplane_json(rt), "iked", iked_json(rt),
			 "frr", f);
}

void
ctl_show_iface_stats(void *ctx, const void *elem)
{
	const struct spw_dp_iface_stats *s = elem;
	char key[16];

	snprintf(key, sizeof(key), "%u", s->id);
	json_object_set_new(
		ctx, key,
		json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "up", s->link_up != 0,
			  "rx_packets", (json_int_t)s->rx_packets, "rx_bytes",
			  (json_int_t)s->rx_bytes, "tx_packets", (json_int_t)s->tx_packets,
			  "tx_bytes", (json_int_t)s->tx_bytes, "mirrored_packets",
			  (json_int_t)s->mirrored, "from_twin_packets", (json_int_t)s->from_twin,
			  "dropped_packets", (json_int_t)s->drops, "asymmetric_packets",
			  (json_int_t)s->asymmetric, "mac",
			  json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", s->mac[0], s->mac[1],
				       s->mac[2], s->mac[3], s->mac[4], s->mac[5])));
}

static const char *
role_name(enum spw_dp_iface_role role)
{
	static const char *const name[] = {[SPW_IF_ROLE_LAN] = "lan",
					   [SPW_IF_ROLE_EXPRESSROUTE] = "expressroute",
					   [SPW_IF_ROLE_INTERNET] = "internet",
					   [SPW_IF_ROLE_TUNNEL] = "tunnel"};

	return role >= SPW_IF_ROLE_LAN && role <= SPW_IF_ROLE_TUNNEL ? name[role] : "lan";
}

static const char *
link_word(const struct ctl_iface *i, const json_t *stats)
{
	if (i->tunnel)
		return i->tunnel->up ? "up" : "down";
	if (i->port && i->port->link_known)
		return i->port->link_up ? "up" : "down";
	if (!stats)
		return "unknown";
	return json_is_true(json_object_get(stats, "up")) ? "up" : "down";
}

static json_t *
iface_json(const struct ctl_iface *i, json_t *stats)
{
	static const char *const kinds[] = {[SPW_IFACE_PORT] = "port",
					    [SPW_IFACE_VLAN] = "vlan",
					    [SPW_IFACE_TUNNEL] = "tunnel"};
	json_t *addresses = json_array(), *o;
	char text[SPW_PREFIX_TEXT];

	for (unsigned int a = 0; a < i->n_addresses; a++)
		json_array_append_new(addresses,
				      json_string(spw_prefix_format(&i->address[a], text)));
	o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:o,s:o}", "name", i->name, "kind", kinds[i->kind],
		      "role", role_name(i->role), "admin", i->enabled ? "up" : "down", "link",
		      link_word(i, stats), "mtu", (json_int_t)i->mtu, "addresses", addresses,
		      "description", ctl_json_text(i->description));
	if (stats)
		json_object_update_missing(o, stats);
	json_object_del(o, "up");
	if (i->tunnel)
		json_object_del(o, "mac");
	if (i->kind == SPW_IFACE_VLAN) {
		json_object_set_new(o, "parent", ctl_json_text(i->port ? i->port->name : NULL));
		json_object_set_new(o, "vlan", json_integer(i->vlan_outer));
		json_object_set_new(o, "inner_vlan",
				    i->vlan_inner ? json_integer(i->vlan_inner) : json_null());
	}
	return o;
}

/* The counters of an interface since the last "clear counters"; new reference or NULL. */
static json_t *
counters_of(struct ctl_runtime *rt, const struct ctl_iface *i, const json_t *by_id)
{
	char key[16];
	json_t *counted;

	snprintf(key, sizeof(key), "%u", i->id);
	counted = json_copy(json_object_get(by_id, key));
	for (const struct ctl_iface *s = rt->ifaces; counted && s; s = s->next) {
		if (i->kind != SPW_IFACE_PORT || s->kind != SPW_IFACE_VLAN || s->port != i->port)
			continue;
		snprintf(key, sizeof(key), "%u", s->id);
		/* What a sub-interface counts goes through its port. */
		ctl_json_counters_add(counted, json_object_get(by_id, key), 1);
	}
	return counted;
}

json_t *
ctl_show_interfaces(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct spw_err why = {0};
	json_t *list = json_array(), *by_id = json_object(), *reply;
	int rc =
		ctl_dataplane_get(rt, SPW_DP_GET_IFACES, NULL, 0, sizeof(struct spw_dp_iface_stats),
				  ctl_show_iface_stats, by_id, &why);

	ctl_show_since_clear(rt, by_id);
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next) {
		json_t *counted;

		if (arg && strcmp(arg, i->name) != 0)
			continue;
		counted = rc ? NULL : counters_of(rt, i, by_id);
		json_array_append_new(list, iface_json(i, counted));
		json_decref(counted);
	}
	json_decref(by_id);
	if (arg && json_array_size(list) == 0) {
		json_decref(list);
		spw_fail(err, -ENOENT, "no interface '%.32s'; see 'show interfaces'", arg);
		return NULL;
	}
	reply = json_pack("{s:o}", "interfaces", list);
	if (rc != 0)
		ctl_json_unreachable(reply, "spillway-dataplane", &why);
	return reply;
}

struct neighbours {
	json_t *list;
	const char *arg;
};

static void
neighbour_json(const void *node, VISIT visit, void *ctx)
{
	const struct ctl_neighbour *n = *(struct ctl_neighbour *const *)node;
	struct neighbours *c = ctx;
	json_t *mac;

	if ((visit != postorder && visit != leaf) ||
	    (c->arg && strcmp(c->arg, n->iface->name) != 0))
		return;
	mac = n->reachable ? json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1],
					  n->mac[2], n->mac[3], n->mac[4], n->mac[5])
			   : json_null();
	json_array_append_new(c->list,
			      json_pack("{s:o,s:s,s:o,s:s}", "address", ctl_json_addr(&n->addr),
					"interface", n->iface->name, "mac", mac, "state",
					n->reachable ? "reachable"
					: n->failed  ? "failed"
						     : "resolving"));
}

json_t *
ctl_show_neighbors(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct neighbours c = {.arg = arg};

	if (arg && !ctl_iface_by_name(rt, arg)) {
		spw_fail(err, -ENOENT, "no interface '%.32s'; see 'show interfaces'", arg);
		return NULL;
	}
	c.list = json_array();
	twalk_r(rt->neighbours, neighbour_json, &c);
	return json_pack("{s:o}", "neighbors", c.list);
}

static json_t *
lower_json(const char *text)
{
	char low[40];
	size_t i = 0;

	if (!text)
		return json_string("unknown");
	for (; text[i] && i < sizeof(low) - 1; i++)
		low[i] = (char)tolower((unsigned char)text[i]);
	low[i] = '\0';
	return json_string(low);
}

/* State of the BFD session with a neighbour, as the data plane has it. */
static json_t *
bfd_json(const struct ctl_runtime *rt, const struct ctl_neighbor *n)
{
	static const char *const word[] = {"admin-down", "down", "init", "up"};

	for (const struct watch_bfd *b = n->bfd ? rt->watch->bfd : NULL; b; b = b->next)
		if (spw_addr_equal(&b->content.peer, &n->address) && b->state <= SPW_BFD_UP)
			return json_string(word[b->state]);
	return n->bfd ? json_string("unknown") : json_null();
}

/* FRR's figures of a neighbour in the family of its address. */
static const json_t *
family_of(const json_t *neighbour, const struct ctl_neighbor *n)
{
	return json_object_get(json_object_get(neighbour, "addressFamilyInfo"),
			       n->address.family == AF_INET6 ? "ipv6Unicast" : "ipv4Unicast");
}

static json_t *
bgp_neighbour_json(const struct ctl_runtime *rt, const struct ctl_neighbor *n)
{
	char address[SPW_ADDR_TEXT];
	const json_t *o =
		json_object_get(ctl_frr_neighbours(rt), spw_addr_format(&n->address, address));
	const json_t *family = family_of(o, n);
	const char *state = json_string_value(json_object_get(o, "bgpState"));
	bool up = state && strcmp(state, "Established") == 0;
	json_int_t received =
		up ? json_integer_value(json_object_get(family, "acceptedPrefixCounter")) : 0;
	uint32_t heard;

	if (up && ctl_watch_prefixes(rt, &n->address, &heard))
		received = heard;
	return json_pack(
		"{s:s,s:I,s:o,s:o,s:I,s:I,s:o,s:o,s:o,s:o}", "address", address, "remote_as",
		(json_int_t)n->remote_as, "state", lower_json(state), "up_s",
		up ? json_integer(json_integer_value(json_object_get(o, "bgpTimerUpMsec")) / 1000)
		   : json_null(),
		"prefixes_received", received, "prefixes_sent",
		up ? json_integer_value(json_object_get(family, "sentPrefixCounter")) : 0,
		"prefix_limit", n->prefix_limit ? json_integer(n->prefix_limit) : json_null(),
		"prefix_limit_percent",
		n->prefix_limit ? json_real((double)received * 100 / n->prefix_limit) : json_null(),
		"bfd", bfd_json(rt, n), "description", ctl_json_text(n->description));
}

json_t *
ctl_show_bgp(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	const struct ctl_bgp *bgp = &rt->config.bgp;
	json_t *list = json_array(), *reply;

	for (unsigned int i = 0; i < bgp->n_neighbors; i++)
		json_array_append_new(list, bgp_neighbour_json(rt, &bgp->neighbor[i]));
	reply = json_pack("{s:I,s:o,s:o}", "local_as", (json_int_t)bgp->local_as, "router_id",
			  ctl_json_addr(&bgp->router_id), "neighbors", list);
	if (bgp->local_as && !ctl_frr_neighbours(rt)) {
		struct spw_err why = {0};

		spw_fail(&why, -ENOTCONN, "vtysh gets no answer; start FRR's daemons");
		ctl_json_unreachable(reply, "frr", &why);
	}
	return reply;
}
