/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tree to typed configuration: static routes and BGP. What depends on more than one place of the
 * tree is filled in here instead of by a default of the model: the local preference by the role of
 * the interface towards the neighbour, the prefix limit by its AS.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/model_private.h"

#define MICROSOFT_AS		12076
#define PREFERENCE_EXPRESSROUTE 150
#define PREFERENCE_OTHER	100
#define EXPRESSROUTE_LIMIT4	1000 /* prefixes that one ExpressRoute connection takes */
#define EXPRESSROUTE_LIMIT6	100

static void
build_static(const struct lyd_node *node, struct ctl_static_route *r)
{
	if (spw_prefix_parse(&r->prefix, model_get(node, "prefix"), NULL) < 0)
		return;
	model_get_addr(node, "next-hop", &r->next_hop);
	r->distance = model_get_u32(node, "distance");
}

/* Routes over ExpressRoute are preferred, so that traffic leaves by the way it comes back. */
static uint32_t
local_preference_of(const struct ctl_config *c, const struct spw_addr *neighbor, const char *text)
{
	const struct ctl_interface *i;

	if (text)
		return (uint32_t)strtoul(text, NULL, 10);
	i = ctl_config_interface_towards(c, neighbor);
	return i && i->role == SPW_IF_ROLE_EXPRESSROUTE ? PREFERENCE_EXPRESSROUTE
							: PREFERENCE_OTHER;
}

static uint32_t
prefix_limit_of(const struct ctl_neighbor *n, const char *text)
{
	if (text)
		return (uint32_t)strtoul(text, NULL, 10);
	if (n->remote_as != MICROSOFT_AS)
		return 0;
	return n->address.family == AF_INET6 ? EXPRESSROUTE_LIMIT6 : EXPRESSROUTE_LIMIT4;
}

static void
build_neighbor(const struct lyd_node *node, const char *keys_dir, const struct ctl_config *c,
	       struct ctl_neighbor *n)
{
	struct lyd_node *bfd = NULL;

	model_get_addr(node, "address", &n->address);
	n->remote_as = model_get_u32(node, "remote-as");
	model_get_text(node, "description", n->description, sizeof(n->description));
	model_get_file(node, "password-file", keys_dir, n->password_file);
	n->keepalive_s = model_get_u32(node, "timers/keepalive");
	n->hold_s = model_get_u32(node, "timers/hold");
	n->local_preference =
		local_preference_of(c, &n->address, model_get(node, "local-preference"));
	n->n_announce = model_get_prefixes(node, "announce", n->announce, CTL_LIST);
	n->prefix_limit = prefix_limit_of(n, model_get(node, "prefix-limit/maximum"));
	n->prefix_limit_drops = strcmp(model_get(node, "prefix-limit/action"), "drop") == 0;
	n->bfd = lyd_find_path(node, "bfd", 0, &bfd) == LY_SUCCESS;
	if (!n->bfd)
		return;
	n->bfd_transmit_ms = model_get_u32(bfd, "transmit");
	n->bfd_receive_ms = model_get_u32(bfd, "receive");
	n->bfd_multiplier = model_get_u32(bfd, "multiplier");
}

void
model_build_routing(struct ctl_model *model, const struct lyd_node *root, const char *keys_dir,
		    struct ctl_config *c)
{
	const struct lyd_node **node;
	struct lyd_node *bgp = NULL;
	void *room = NULL;
	unsigned int n;

	node = model_entries(model, root, "/spillway:routing/static", sizeof(*c->statics),
			     (void **)&c->statics, &c->n_statics);
	for (unsigned int i = 0; i < c->n_statics; i++)
		build_static(node[i], &c->statics[i]);
	free(node);
	if (lyd_find_path(root, "/spillway:routing/bgp", 0, &bgp) != LY_SUCCESS)
		return;
	c->bgp.local_as = model_get_u32(bgp, "local-as");
	model_get_addr(bgp, "router-id", &c->bgp.router_id);
	c->bgp.multipath = model_get_u32(bgp, "multipath");
	c->bgp.graceful_restart = model_get_bool(bgp, "graceful-restart");
	c->bgp.n_announce = model_get_prefixes(bgp, "announce", c->bgp.announce, CTL_LIST);
	node = model_entries(model, root, "/spillway:routing/bgp/neighbor", 1, &room, &n);
	free(room);
	for (unsigned int i = 0; i < n && i < CTL_LIST; i++)
		build_neighbor(node[i], keys_dir, c, &c->bgp.neighbor[c->bgp.n_neighbors++]);
	free(node);
}
