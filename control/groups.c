/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path groups, shared by content of their recipe.
 *
 * A recipe lists the candidates of a destination: path numbers by level, and which levels wait. All
 * prefixes with the same candidates share one group, so a change that touches the candidates'
 * standing (an operator's word, the end of a wait, a tunnel) is one GROUP_SET for thousands of
 * prefixes, not a leaf each. The recipe's text is the key under which the group's number is kept.
 * Inside a vnet the content comes from ctl_preference_choose(); outside, the candidates are one
 * tier. A group that no leaf uses is deleted by the next collection.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"

static void
key_make(const struct ctl_recipe *r, char key[CTL_ID_KEY])
{
	int at = snprintf(key, CTL_ID_KEY, "%s%s", r->vnet ? "v:" : "p",
			  r->vnet ? r->vnet->conf.name : "");

	for (unsigned int l = 0; l < r->n_levels; l++) {
		at += snprintf(key + at, (size_t)(CTL_ID_KEY - at), "|%s",
			       r->level[l].waiting ? "w" : "");
		for (unsigned int h = 0; h < r->level[l].n; h++)
			at += snprintf(key + at, (size_t)(CTL_ID_KEY - at), "%s%u*%u", h ? "," : "",
				       r->level[l].path[h], r->level[l].weight[h]);
	}
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct ctl_group *)a)->key, ((const struct ctl_group *)b)->key);
}

static void
input_level(struct ctl_runtime *rt, const struct ctl_recipe *r, unsigned int l,
	    struct ctl_pref_level *out, uint64_t now)
{
	out->n = r->level[l].n;
	for (unsigned int h = 0; h < out->n; h++) {
		const struct ctl_path *p = ctl_path_by_id(rt, r->level[l].path[h]);

		out->hop[h] = (struct ctl_pref_hop){
			.path = r->level[l].path[h],
			.weight = r->level[l].weight[h],
			.alive = p && p->alive,
			.waiting = (p && ctl_vnet_waits(r->vnet, p->restored_ns, now)) ||
				   r->level[l].waiting};
	}
}

static void
choose_protected(struct ctl_runtime *rt, const struct ctl_recipe *r, struct ctl_pref_choice *out)
{
	struct ctl_pref_input in = {.request = r->vnet->request, .n_levels = r->n_levels};
	uint64_t now = spw_clock_ns();

	for (unsigned int l = 0; l < r->n_levels; l++)
		input_level(rt, r, l, &in.level[l], now);
	for (unsigned int i = 0; i < r->vnet->conf.n_tunnels; i++) {
		struct ctl_tun *t = ctl_tun_by_name(rt, r->vnet->conf.tunnel[i].name);

		if (t && t->path)
			in.tunnel[in.n_tunnels++] =
				(struct ctl_pref_tunnel){.path = t->path->id, .up = t->path->alive};
	}
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
}

struct ctl_group *
ctl_group_get(struct ctl_runtime *rt, const struct ctl_recipe *recipe)
{
	struct ctl_group probe, *g, **at;

	if (!recipe->vnet && recipe->n_levels == 0)
		return NULL;
	key_make(recipe, probe.key);
	at = tfind(&probe, &rt->groups, compare);
	if (at)
		return *at;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	memcpy(g->key, probe.key, sizeof(g->key));
	g->recipe = *recipe;
	g->id = ctl_ids_get(rt->ids, CTL_ID_GROUP, g->key);
	if (g->id == CTL_ID_NONE || !tsearch(g, &rt->groups, compare)) {
		free(g);
		return NULL;
	}
	evaluate(rt, g);
	return g;
}

struct walk {
	struct ctl_runtime *rt;
	void (*visit)(void *ctx, struct ctl_group *g);
	void *ctx;
	uint32_t id;
	struct ctl_group *found;
};

static void
walk_visit(const void *node, VISIT visit, void *arg)
{
	struct walk *w = arg;

	if (visit == postorder || visit == leaf)
		w->visit(w->ctx, *(struct ctl_group *const *)node);
}

void
ctl_groups_each(struct ctl_runtime *rt, void (*visit)(void *ctx, struct ctl_group *g), void *ctx)
{
	struct walk w = {.visit = visit, .ctx = ctx};

	twalk_r(rt->groups, walk_visit, &w);
}

static void
match_id(void *ctx, struct ctl_group *g)
{
	struct walk *w = ctx;

	if (g->id == w->id)
		w->found = g;
}

struct ctl_group *
ctl_group_by_id(struct ctl_runtime *rt, uint32_t id)
{
	struct walk w = {.id = id};

	ctl_groups_each(rt, match_id, &w);
	return w.found;
}

static void
evaluate_dirty(void *ctx, struct ctl_group *g)
{
	const struct walk *w = ctx;

	if (!g->recipe.vnet || g->recipe.vnet->dirty)
		evaluate(w->rt, g);
}

void
ctl_groups_evaluate(struct ctl_runtime *rt)
{
	struct walk w = {.rt = rt};

	ctl_groups_each(rt, evaluate_dirty, &w);
}

static void
send_one(void *ctx, struct ctl_group *g)
{
	struct ctl_runtime *rt = ctx;
	struct spw_err err = {0};

	if (g->in_dataplane || g->refs == 0 || !ctl_dataplane_connected(rt))
		return;
	g->content.generation = rt->generation;
	int rc = ctl_dataplane_send(rt, SPW_DP_GROUP_SET, &g->content, sizeof(g->content), 1, -1,
				    &err);

	if (rc == 0)
		g->in_dataplane = g->told = true;
	else if (rc != -ENOTCONN)
		spw_log(SPW_LOG_ERROR, "fib", "group-refused", "group=\"%s\" error=\"%s\"", g->key,
			err.text);
}

void
ctl_groups_send(struct ctl_runtime *rt)
{
	ctl_groups_each(rt, send_one, rt);
}

static void
forget_one(void *ctx, struct ctl_group *g)
{
	g->in_dataplane = g->told = false;
}

void
ctl_groups_forget(struct ctl_runtime *rt)
{
	ctl_groups_each(rt, forget_one, NULL);
}

static void
match_unused(void *ctx, struct ctl_group *g)
{
	struct walk *w = ctx;

	if (g->refs == 0)
		w->found = g;
}

void
ctl_groups_collect(struct ctl_runtime *rt)
{
	for (;;) {
		struct walk w = {0};
		struct spw_dp_object o = {.class = SPW_DP_CLASS_GROUP};

		ctl_groups_each(rt, match_unused, &w);
		if (!w.found)
			return;
		o.id = w.found->id;
		if (w.found->told)
			ctl_dataplane_send(rt, SPW_DP_OBJECT_DEL, &o, sizeof(o), 1, -1, NULL);
		ctl_ids_put(rt->ids, CTL_ID_GROUP, w.found->key);
		tdelete(w.found, &rt->groups, compare);
		free(w.found);
	}
}

void
ctl_groups_free(struct ctl_runtime *rt)
{
	tdestroy(rt->groups, free);
	rt->groups = NULL;
}
