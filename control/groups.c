/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path groups, shared by content of their recipe.
 *
 * A recipe lists the candidates of a destination: path numbers by level, and which routes wait. All
 * prefixes with the same candidates share one group, so a change that touches the candidates'
 * standing (an operator's word, the end of a wait, a tunnel) is one GROUP_SET for thousands of
 * prefixes, not a leaf each. Groups are found by a hash of the recipe's bytes, which are zeroed
 * before they are filled; its text is the key under which the group's number is kept in the book.
 * Inside a vnet the content comes from ctl_preference_choose(), and the groups of a vnet are a list
 * of their own; outside, the candidates are one tier. A group that no leaf uses is deleted by the
 * next collection. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"

#define BUCKETS 4096

struct ctl_groups {
	struct ctl_group *bucket[BUCKETS];
	struct ctl_group *plain; /* outside every vnet, linked by next */
	bool unsent;		 /* some group may have to be sent */
};

static struct ctl_groups *
groups_of(struct ctl_runtime *rt)
{
	if (!rt->groups)
		rt->groups = calloc(1, sizeof(*rt->groups));
	return rt->groups;
}

static unsigned int
hash(const struct ctl_recipe *r)
{
	const uint8_t *at = (const uint8_t *)r;
	uint64_t h = 0, word;

	_Static_assert(sizeof(*r) % sizeof(word) == 0, "walked by words");
	for (size_t i = 0; i < sizeof(*r); i += sizeof(word)) {
		memcpy(&word, at + i, sizeof(word));
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return (unsigned int)(h % BUCKETS);
}

static int
key_level(char *key, int at, char mark, const struct ctl_level *level)
{
	at += snprintf(key + at, (size_t)(CTL_ID_KEY - at), "%c", mark);
	if (level->until_ds)
		at += snprintf(key + at, (size_t)(CTL_ID_KEY - at), "w%u-%u:", level->from_ds,
			       level->until_ds);
	for (unsigned int h = 0; h < level->n; h++)
		at += snprintf(key + at, (size_t)(CTL_ID_KEY - at), "%s%u*%u", h ? "," : "",
			       level->path[h], level->weight[h]);
	return at;
}

/* At most 16 + 4 * (24 + 4 * 10) + 11 + 2 * 41 bytes: it always fits. */
static void
key_make(const struct ctl_recipe *r, char key[CTL_ID_KEY])
{
	int at = snprintf(key, CTL_ID_KEY, "%s%s", r->vnet ? "v:" : "p",
			  r->vnet ? r->vnet->conf.name : "");

	for (unsigned int l = 0; l < r->n_levels; l++)
		at = key_level(key, at, '|', &r->level[l]);
	if (r->tunnels)
		at += snprintf(key + at, (size_t)(CTL_ID_KEY - at), "t%x", r->tunnels);
	if (r->internet.n)
		at = key_level(key, at, 'i', &r->internet);
	if (r->last.n)
		key_level(key, at, 'l', &r->last);
}

static void
nearest(struct ctl_vnet_state *v, uint64_t end)
{
	if (end && (v->restore_at_ns == 0 || end < v->restore_at_ns))
		v->restore_at_ns = end;
}

/* End of the wait of a path under this vnet, noted as the nearest where it is. */
static bool
path_waits(struct ctl_vnet_state *v, const struct ctl_path *p, uint64_t now)
{
	uint64_t end = p && p->alive ? ctl_path_wait_end(v, p, now) : 0;

	nearest(v, end);
	return end != 0;
}

static void
input_level(struct ctl_runtime *rt, struct ctl_vnet_state *v, const struct ctl_level *level,
	    struct ctl_pref_level *out, uint64_t now)
{
	uint64_t end = ctl_level_wait_end(v, level, now);

	nearest(v, end);
	out->n = level->n;
	for (unsigned int h = 0; h < out->n; h++) {
		const struct ctl_path *p = ctl_path_by_id(rt, level->path[h]);

		out->hop[h] =
			(struct ctl_pref_hop){.path = level->path[h],
					      .weight = level->weight[h],
					      .alive = p && p->alive,
					      .waiting = path_waits(v, p, now) || end,
					      .operator_out = p && p->iface && p->iface->aside};
	}
}

/* Next hops that back ExpressRoute up: nothing waits there. */
static void
input_backup(struct ctl_runtime *rt, const struct ctl_level *level, struct ctl_pref_level *out)
{
	out->n = level->n;
	for (unsigned int h = 0; h < out->n; h++) {
		const struct ctl_path *p = ctl_path_by_id(rt, level->path[h]);

		out->hop[h] = (struct ctl_pref_hop){
			.path = level->path[h], .weight = level->weight[h], .alive = p && p->alive};
	}
}

static void
input_tunnels(struct ctl_vnet_state *v, uint32_t set, struct ctl_pref_input *in, uint64_t now)
{
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++) {
		const struct ctl_tun *t = set >> i & 1 ? v->tun[i] : NULL;

		if (!t || !t->path)
			continue;
		in->tunnel[in->n_tunnels++] = (struct ctl_pref_tunnel){
			.path = t->path->id,
			.weight = v->conf.tunnel[i].weight ? v->conf.tunnel[i].weight : 1,
			.up = t->path->alive,
			.encrypts = t->encrypts,
			.waiting = t->encrypts && path_waits(v, t->path, now)};
	}
}

static void
choose_protected(struct ctl_runtime *rt, const struct ctl_recipe *r, struct ctl_pref_choice *out)
{
	struct ctl_vnet_state *v = r->vnet;
	struct ctl_pref_input in = {.request = v->request,
				    .peering = v->conf.peering,
				    .encrypted = v->encrypted,
				    .n_levels = r->n_levels};
	uint64_t now = spw_clock_ns();

	for (unsigned int l = 0; l < r->n_levels; l++)
		input_level(rt, v, &r->level[l], &in.level[l], now);
	input_tunnels(v, r->tunnels, &in, now);
	input_backup(rt, &r->internet, &in.internet);
	input_backup(rt, &r->last, &in.last);
	ctl_preference_choose(&in, out);
}

static void
choose_plain(struct ctl_runtime *rt, const struct ctl_recipe *r, struct ctl_pref_choice *out)
{
	*out = (struct ctl_pref_choice){.n_tiers = 1, .path = SPW_DP_ADDR_NONE};
	out->tier[0].role = SPW_TIER_PLAIN;
	out->tier[0].n_paths = r->level[0].n;
	for (unsigned int h = 0; h < r->level[0].n; h++) {
		const struct ctl_path *p = ctl_path_by_id(rt, r->level[0].path[h]);

		out->tier[0].path[h] = r->level[0].path[h];
		out->tier[0].weight[h] = r->level[0].weight[h];
		if (out->path == SPW_DP_ADDR_NONE && p && p->alive)
			out->path = p->id;
	}
}

static void
evaluate(struct ctl_runtime *rt, struct ctl_group *g)
{
	struct spw_dp_group content = {.id = g->id, .generation = rt->generation};

	if (g->recipe.vnet)
		choose_protected(rt, &g->recipe, &g->choice);
	else
		choose_plain(rt, &g->recipe, &g->choice);
	content.n_tiers = g->choice.n_tiers;
	content.flags = g->recipe.vnet ? SPW_GROUP_PROTECTED : 0;
	memcpy(content.tier, g->choice.tier, sizeof(content.tier));
	if (memcmp(&content, &g->content, sizeof(content)) == 0)
		return;
	g->content = content;
	g->in_dataplane = false;
	rt->groups->unsent = true;
}

static struct ctl_group **
list_of(struct ctl_runtime *rt, const struct ctl_group *g)
{
	return g->recipe.vnet ? &g->recipe.vnet->groups : &rt->groups->plain;
}

static struct ctl_group *
group_new(struct ctl_runtime *rt, const struct ctl_recipe *recipe, unsigned int bucket)
{
	struct ctl_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->recipe = *recipe;
	key_make(recipe, g->key);
	g->id = ctl_ids_get(rt->ids, CTL_ID_GROUP, g->key);
	if (g->id == CTL_ID_NONE) {
		free(g);
		return NULL;
	}
	g->hash_next = rt->groups->bucket[bucket];
	rt->groups->bucket[bucket] = g;
	g->next = *list_of(rt, g);
	*list_of(rt, g) = g;
	evaluate(rt, g);
	g->was_kind = g->choice.kind;
	g->was_path = g->choice.path;
	return g;
}

struct ctl_group *
ctl_group_get(struct ctl_runtime *rt, const struct ctl_recipe *recipe)
{
	unsigned int bucket = hash(recipe);
	struct ctl_group *g;

	if ((!recipe->vnet && recipe->n_levels == 0) || !groups_of(rt))
		return NULL;
	g = rt->groups->bucket[bucket];
	while (g && memcmp(&g->recipe, recipe, sizeof(*recipe)) != 0)
		g = g->hash_next;
	return g ? g : group_new(rt, recipe, bucket);
}

void
ctl_group_join(struct ctl_runtime *rt, struct ctl_group *g)
{
	if (g->refs++ == 0 && !g->in_dataplane)
		rt->groups->unsent = true;
	g->joined++;
}

void
ctl_group_leave(struct ctl_group *g)
{
	g->refs--;
	if (g->joined > g->refs)
		g->joined = g->refs;
}

void
ctl_groups_each(struct ctl_runtime *rt, void (*visit)(void *ctx, struct ctl_group *g), void *ctx)
{
	for (unsigned int b = 0; rt->groups && b < BUCKETS; b++)
		for (struct ctl_group *g = rt->groups->bucket[b]; g; g = g->hash_next)
			visit(ctx, g);
}

struct search {
	uint32_t id;
	struct ctl_group *found;
};

static void
match_id(void *ctx, struct ctl_group *g)
{
	struct search *s = ctx;

	if (g->id == s->id)
		s->found = g;
}

struct ctl_group *
ctl_group_by_id(struct ctl_runtime *rt, uint32_t id)
{
	struct search s = {.id = id};

	ctl_groups_each(rt, match_id, &s);
	return s.found;
}

void
ctl_groups_evaluate(struct ctl_runtime *rt)
{
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (!v->dirty)
			continue;
		v->restore_at_ns = 0;
		for (struct ctl_group *g = v->groups; g; g = g->next)
			evaluate(rt, g);
	}
}

void
ctl_groups_evaluate_plain(struct ctl_runtime *rt)
{
	for (struct ctl_group *g = rt->groups ? rt->groups->plain : NULL; g; g = g->next)
		evaluate(rt, g);
}

/* false: it has to be sent again. */
static bool
send_one(struct ctl_runtime *rt, struct ctl_group *g)
{
	struct spw_err err = {0};
	int rc;

	if (g->in_dataplane || g->refs == 0 || !ctl_dataplane_connected(rt))
		return g->in_dataplane || g->refs == 0;
	g->content.generation = rt->generation;
	rc = ctl_dataplane_send(rt, SPW_DP_GROUP_SET, &g->content, sizeof(g->content), 1, -1, &err);
	if (rc == 0)
		g->in_dataplane = g->told = true;
	else if (rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "fib", "group-refused", "group=\"%s\" error=\"%s\"", g->key,
			err.text);
	return rc == 0;
}

void
ctl_groups_send(struct ctl_runtime *rt)
{
	bool all = true;

	if (!rt->groups || !rt->groups->unsent)
		return;
	for (unsigned int b = 0; b < BUCKETS; b++)
		for (struct ctl_group *g = rt->groups->bucket[b]; g; g = g->hash_next)
			all &= send_one(rt, g);
	rt->groups->unsent = !all;
}

static void
forget_one(void *ctx, struct ctl_group *g)
{
	struct ctl_runtime *rt = ctx;

	g->in_dataplane = g->told = false;
	rt->groups->unsent = true;
}

void
ctl_groups_forget(struct ctl_runtime *rt)
{
	ctl_groups_each(rt, forget_one, rt);
}

static void
group_free(struct ctl_runtime *rt, struct ctl_group *g)
{
	struct spw_dp_object o = {.class = SPW_DP_CLASS_GROUP, .id = g->id};

	if (g->told)
		ctl_dataplane_send(rt, SPW_DP_OBJECT_DEL, &o, sizeof(o), 1, -1, NULL);
	ctl_ids_put(rt->ids, CTL_ID_GROUP, g->key);
	free(g);
}

static void
unlist_unused(struct ctl_group **at)
{
	while (*at)
		if ((*at)->refs == 0)
			*at = (*at)->next;
		else
			at = &(*at)->next;
}

void
ctl_groups_collect(struct ctl_runtime *rt)
{
	if (!rt->groups)
		return;
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		unlist_unused(&v->groups);
	unlist_unused(&rt->groups->plain);
	for (unsigned int b = 0; b < BUCKETS; b++)
		for (struct ctl_group **at = &rt->groups->bucket[b], *g; (g = *at);) {
			if (g->refs > 0) {
				at = &g->hash_next;
				continue;
			}
			*at = g->hash_next;
			group_free(rt, g);
		}
}

void
ctl_groups_free(struct ctl_runtime *rt)
{
	for (unsigned int b = 0; rt->groups && b < BUCKETS; b++)
		for (struct ctl_group *g = rt->groups->bucket[b], *next; g; g = next) {
			next = g->hash_next;
			free(g);
		}
	free(rt->groups);
	rt->groups = NULL;
}
