/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tree to typed configuration: protected networks and traffic classes. Counts are bounded by
 * max-elements in the model to the arrays of config.h, and bounded again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_private.h"

static enum ctl_probe_over
over_of(const char *word)
{
	if (strcmp(word, "circuit") == 0)
		return CTL_PROBE_CIRCUIT;
	return strcmp(word, "tunnel") == 0 ? CTL_PROBE_TUNNEL : CTL_PROBE_BOTH;
}

static void
build_probe(const struct lyd_node *node, struct ctl_probe *p)
{
	model_get_addr(node, "target", &p->target);
	p->kind = strcmp(model_get(node, "kind"), "twamp") == 0 ? SPW_PROBE_TWAMP : SPW_PROBE_ICMP;
	p->over = over_of(model_get(node, "over"));
	p->port = (uint16_t)model_get_u32(node, "port");
	p->interval_ms = model_get_u32(node, "interval");
	p->timeout_ms = model_get_u32(node, "timeout");
	p->fall = model_get_u32(node, "fall");
	p->rise = model_get_u32(node, "rise");
	model_get_addr(node, "source", &p->source);
}

static void
build_vnet_tunnel(const struct lyd_node *node, struct ctl_vnet_tunnel *t)
{
	model_get_text(node, "name", t->name, sizeof(t->name));
	t->weight = model_get_u32(node, "weight");
}

static void
build_members(const struct lyd_node *node, struct ctl_vnet *v)
{
	const struct lyd_node *child;

	LY_LIST_FOR(lyd_child(node), child)
	{
		const char *name = child->schema->name;

		if (strcmp(name, "tunnel") == 0 && v->n_tunnels < SPW_DP_TIER_PATHS)
			build_vnet_tunnel(child, &v->tunnel[v->n_tunnels++]);
		else if (strcmp(name, "probe") == 0 && v->n_probes < CTL_VNET_PROBES)
			build_probe(child, &v->probe[v->n_probes++]);
		else if (strcmp(name, "circuit") == 0 && v->n_circuits < CTL_VNET_CIRCUITS)
			snprintf(v->circuit[v->n_circuits++], CTL_NAME, "%s", lyd_get_value(child));
	}
}

static void
build_vnet(const struct lyd_node *node, struct ctl_vnet *v)
{
	model_get_text(node, "name", v->name, sizeof(v->name));
	model_get_text(node, "description", v->description, sizeof(v->description));
	v->n_prefixes = model_get_prefixes(node, "prefix", v->prefix, CTL_LIST);
	v->peering = strcmp(model_get(node, "peering"), "microsoft") == 0 ? CTL_PEERING_MICROSOFT
									  : CTL_PEERING_PRIVATE;
	v->hold_off_ms = model_get_u32(node, "hold-off");
	v->wait_to_restore_s = model_get_u32(node, "wait-to-restore");
	v->damping_max_s = model_get_u32(node, "damping-maximum");
	model_get_addr(node, "last-resort", &v->last_resort);
	build_members(node, v);
}

void
model_build_vnets(struct ctl_model *model, const struct lyd_node *root, struct ctl_config *c)
{
	const struct lyd_node **node = model_entries(
		model, root, "/spillway:vnet", sizeof(*c->vnets), (void **)&c->vnets, &c->n_vnets);

	for (unsigned int i = 0; i < c->n_vnets; i++)
		build_vnet(node[i], &c->vnets[i]);
	free(node);
}

int
ctl_dscp_parse(const char *text)
{
	static const struct {
		const char *name;
		int dscp;
	} names[] = {{"default", 0}, {"le", 1}, {"voice-admit", 44}, {"ef", 46}};
	unsigned int class, drop;
	char *end;
	long number = strtol(text, &end, 10);

	if (end != text)
		return *end == '\0' && number >= 0 && number < 64 ? (int)number : -EINVAL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i].name) == 0)
			return names[i].dscp;
	/* RFC 2474 4.2.2.2, RFC 2597 6 */
	if (sscanf(text, "cs%1u", &class) == 1 && text[3] == '\0' && class < 8)
		return (int)class * 8;
	if (sscanf(text, "af%1u%1u", &class, &drop) == 2 && text[4] == '\0' && class >= 1 &&
	    class <= 4 && drop >= 1 && drop <= 3)
		return (int)(class * 8 + drop * 2);
	return -EINVAL;
}

static void
build_class(const struct lyd_node *node, struct ctl_class *out)
{
	const struct lyd_node *child;

	model_get_text(node, "name", out->name, sizeof(out->name));
	out->rank = model_get_u32(node, "rank") - 1;
	out->share_percent = model_get_u32(node, "share");
	LY_LIST_FOR(lyd_child(node), child)
	{
		int dscp = strcmp(child->schema->name, "dscp") == 0
				   ? ctl_dscp_parse(lyd_get_value(child))
				   : -EINVAL;

		if (dscp >= 0 && !memchr(out->dscp, dscp, out->n_dscp))
			out->dscp[out->n_dscp++] = (uint8_t)dscp;
	}
}

void
model_build_classes(struct ctl_model *model, const struct lyd_node *root, struct ctl_config *c)
{
	const struct lyd_node **node;
	void *room = NULL;
	unsigned int n;

	node = model_entries(model, root, "/spillway:class", 1, &room, &n);
	free(room);
	for (unsigned int i = 0; i < n && i < SPW_DP_CLASSES; i++)
		build_class(node[i], &c->class[c->n_classes++]);
	free(node);
}
