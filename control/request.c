/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An operator's requests: failover switch, resume, lockout.
 *
 * For a vnet a request is taken or refused at once by G.8031's order of priority (preference.c): a
 * lockout, a failed protection, a forced switch, failed ExpressRoute outrank what is below them. A
 * manual switch ends by itself when something outranks it, the others stay until they are resumed
 * or their time is over. Beside that a single ExpressRoute link, or all links of a circuit, can be
 * set aside: for every vnet its next hops stand behind the backup, and its neighbour is told
 * nothing any more. A command is checked for all vnets it is for before it is put in force for any.
 *
 * Requests and waits are written into the book beside the numbers, so they outlive this process,
 * not the machine, nor the vnet or link that they are for. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/failover.h"
#include "control/fib.h"
#include "control/frr.h"

static void
fact_name(const struct ctl_vnet_state *v, char out[64])
{
	snprintf(out, 64, "operator:%s", v->conf.name);
}

static void
write_down(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	char name[64], value[64];

	if (v->request == CTL_OPERATOR_TEST)
		return;
	fact_name(v, name);
	snprintf(value, sizeof(value), "%s %llu", ctl_operator_name(v->request),
		 (unsigned long long)v->operator_until_ns);
	ctl_ids_set_fact(rt->ids, name, value);
}

static void
write_wait(struct ctl_runtime *rt, struct ctl_vnet_state *v, uint64_t until_ns)
{
	char name[64], value[32];

	if (v->written_ns == until_ns)
		return;
	v->written_ns = until_ns;
	snprintf(name, sizeof(name), "wait:%s", v->conf.name);
	snprintf(value, sizeof(value), "%llu", (unsigned long long)until_ns);
	ctl_ids_set_fact(rt->ids, name, value);
}

void
ctl_failover_write_wait(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	/* Paths remember their own; this is for routes, while none of them carries. */
	write_wait(rt, v, v->kind == CTL_PREF_EXPRESSROUTE ? 0 : v->restore_at_ns);
}

void
ctl_failover_recall(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	char name[64], word[16];
	unsigned long long until;

	snprintf(name, sizeof(name), "wait:%s", v->conf.name);
	v->recalled_until_ns = strtoull(ctl_ids_get_fact(rt->ids, name), NULL, 10);
	v->written_ns = v->recalled_until_ns;
	fact_name(v, name);
	if (sscanf(ctl_ids_get_fact(rt->ids, name), "%15s %llu", word, &until) != 2)
		return;
	if (ctl_operator_parse(&v->request, word))
		v->operator_until_ns = until;
}

void
ctl_request_recall_aside(struct ctl_runtime *rt, struct ctl_iface *iface)
{
	char name[64];
	unsigned int aside;
	unsigned long long until;

	snprintf(name, sizeof(name), "aside:%s", iface->name);
	if (sscanf(ctl_ids_get_fact(rt->ids, name), "%u %llu", &aside, &until) != 2)
		return;
	iface->aside = aside != 0;
	iface->aside_until_ns = until;
}

static const struct ctl_iface *
link_of(const struct ctl_runtime *rt, const struct ctl_neighbor *n)
{
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		for (unsigned int a = 0; a < i->n_wanted; a++)
			if (i->keep && i->role == SPW_IF_ROLE_EXPRESSROUTE &&
			    spw_prefix_contains_addr(&i->wanted[a], &n->address))
				return i;
	return NULL;
}

bool
ctl_failover_neighbour_is_drained(const struct ctl_runtime *rt, const struct ctl_neighbor *n)
{
	const struct ctl_iface *link = link_of(rt, n);
	const struct ctl_path *path;
	bool any = false;

	if (!link || link->aside)
		return link != NULL;
	path = ctl_path_find(rt, link, &n->address);
	if (path && path->hole)
		return true;
	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		if (!v->keep || !ctl_vnet_uses_circuit(v, link))
			continue;
		if (v->request != CTL_OPERATOR_TUNNEL)
			return false;
		any = true;
	}
	return any;
}

struct drains {
	bool of[CTL_LIST];
};

static void
drains_look(const struct ctl_runtime *rt, struct drains *d)
{
	memset(d, 0, sizeof(*d));
	for (unsigned int n = 0; n < rt->config.bgp.n_neighbors; n++)
		d->of[n] = ctl_failover_neighbour_is_drained(rt, &rt->config.bgp.neighbor[n]);
}

/* Packets first, then what is announced. */
static void
put_in_force(struct ctl_runtime *rt, const struct drains *before, const char *cause)
{
	struct drains after;

	rt->trigger = (struct ctl_trigger){.cause = cause, .event_ns = spw_clock_ns()};
	ctl_fib_update(rt);
	drains_look(rt, &after);
	if (memcmp(before, &after, sizeof(after)) != 0 && rt->config.bgp.local_as)
		ctl_frr_apply(rt);
}

static void
request_set(struct ctl_runtime *rt, struct ctl_vnet_state *v, enum ctl_operator op,
	    uint64_t until_ns, const char *cause)
{
	spw_log(SPW_LOG_WARNING, "failover", "operator", "vnet=%s old=%s new=%s cause=%s",
		v->conf.name, ctl_operator_name(v->request), ctl_operator_name(op), cause);
	v->request = op;
	v->operator_until_ns = until_ns;
	if (op == CTL_OPERATOR_EXPRESSROUTE)
		ctl_failover_end_wait(v);
	write_down(rt, v);
	ctl_fib_dirty_vnet(rt, v);
}

void
ctl_failover_request(struct ctl_runtime *rt, struct ctl_vnet_state *v, enum ctl_operator op,
		     uint64_t until_ns, const char *cause)
{
	struct drains before;

	drains_look(rt, &before);
	request_set(rt, v, op, until_ns, cause);
	put_in_force(rt, &before, cause);
}

/* Only manual switches and drills end by themselves, and they drain nobody. */
void
ctl_request_end(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	request_set(rt, v, CTL_OPERATOR_NONE, 0, "outranked");
}

static void
aside_set(struct ctl_runtime *rt, struct ctl_iface *i, bool aside, uint64_t until_ns)
{
	char name[64], value[64];

	if (i->aside == aside && i->aside_until_ns == until_ns)
		return;
	spw_log(SPW_LOG_WARNING, "failover", aside ? "set-aside" : "set-aside-ends",
		"interface=%s circuit=%s", i->name, i->circuit);
	i->aside = aside;
	i->aside_until_ns = until_ns;
	snprintf(name, sizeof(name), "aside:%s", i->name);
	snprintf(value, sizeof(value), "%u %llu", aside, (unsigned long long)until_ns);
	ctl_ids_set_fact(rt->ids, name, value);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		ctl_fib_dirty_vnet(rt, v);
}

void
ctl_request_forget(struct ctl_runtime *rt, struct ctl_vnet_state *v)
{
	if (v->request != CTL_OPERATOR_NONE)
		request_set(rt, v, CTL_OPERATOR_NONE, 0, "deleted");
	write_wait(rt, v, 0);
}

void
ctl_request_forget_aside(struct ctl_runtime *rt, struct ctl_iface *iface)
{
	aside_set(rt, iface, false, 0);
}

void
ctl_request_expire(struct ctl_runtime *rt, uint64_t now)
{
	struct drains before;

	if (ctl_request_next(rt) > now)
		return;
	drains_look(rt, &before);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->operator_until_ns && v->operator_until_ns <= now)
			request_set(rt, v, CTL_OPERATOR_NONE, 0, "operator");
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (i->aside && i->aside_until_ns && i->aside_until_ns <= now)
			aside_set(rt, i, false, 0);
	put_in_force(rt, &before, "operator");
}

uint64_t
ctl_request_next(const struct ctl_runtime *rt)
{
	uint64_t at = UINT64_MAX;

	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (v->operator_until_ns && v->operator_until_ns < at)
			at = v->operator_until_ns;
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (i->aside && i->aside_until_ns && i->aside_until_ns < at)
			at = i->aside_until_ns;
	return at;
}

static void
reply_error(ctl_done_fn done, void *ctx, const struct spw_err *err)
{
	done(ctx, err->code, NULL, err);
}

static void
reply_message(ctl_done_fn done, void *ctx, const char *text)
{
	json_t *reply = json_pack("{s:s}", "message", text);
	struct spw_err none = {0};

	done(ctx, 0, reply, &none);
	json_decref(reply);
}

/* "10m", "30s", "2h" to nanoseconds; 0 when it is none. */
static uint64_t
parse_duration(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	uint64_t unit = strcmp(end, "s") == 0 || *end == '\0' ? 1
			: strcmp(end, "m") == 0		      ? 60
			: strcmp(end, "h") == 0		      ? 3600
							      : 0;

	return n > 0 && n < 1000000 ? n * unit * SPW_NS_PER_S : 0;
}

struct request {
	enum ctl_operator op;
	const char *link; /* an ExpressRoute interface or a circuit to set aside, or NULL */
	const char *vnet; /* NULL = all */
	uint64_t for_ns;
};

static bool
is_link(const struct ctl_iface *i, const char *name)
{
	return i->keep && i->role == SPW_IF_ROLE_EXPRESSROUTE &&
	       (strcmp(i->name, name) == 0 || strcmp(i->circuit, name) == 0);
}

static bool
has_link(const struct ctl_runtime *rt, const char *name)
{
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (is_link(i, name))
			return true;
	return false;
}

/* The words behind the path: manual, for TIME, a vnet. */
static int
parse_rest(const char *const *words, unsigned int n, struct request *r, struct spw_err *err)
{
	for (unsigned int i = 3; i < n; i++) {
		if (strcmp(words[i], "for") == 0 && i + 1 < n) {
			r->for_ns = parse_duration(words[++i]);
			if (r->for_ns == 0)
				return spw_fail(err, -EINVAL,
						"failover switch: '%.16s' is no duration; use 30s, "
						"10m or 2h",
						words[i]);
		} else if (strcmp(words[i], "manual") == 0 && !r->link) {
			if (r->op == CTL_OPERATOR_TUNNEL)
				r->op = CTL_OPERATOR_MANUAL;
		} else if (r->link || r->vnet) {
			return spw_fail(err, -EINVAL,
					"failover switch: '%.32s' does not belong here; %s",
					words[i],
					r->link ? "a link is set aside for all vnets, as in "
						  "'failover switch er0 for 10m'"
						: "name one vnet or none");
		} else {
			r->vnet = words[i];
		}
	}
	return 0;
}

static int
parse_switch(struct ctl_runtime *rt, const char *const *words, unsigned int n, struct request *r,
	     struct spw_err *err)
{
	if (n < 3)
		return spw_fail(err, -EINVAL,
				"failover switch: name the path, 'expressroute' or 'tunnel', or "
				"the ExpressRoute link or circuit to set aside");
	if (strcmp(words[2], "expressroute") == 0)
		r->op = CTL_OPERATOR_EXPRESSROUTE;
	else if (strcmp(words[2], "tunnel") == 0 || strcmp(words[2], "internet") == 0 ||
		 ctl_tun_by_name(rt, words[2]))
		r->op = CTL_OPERATOR_TUNNEL;
	else if (has_link(rt, words[2]))
		r->link = words[2];
	else
		return spw_fail(err, -EINVAL,
				"failover switch: no path '%.32s'; use 'expressroute', 'tunnel', "
				"the name of a tunnel, or that of an ExpressRoute link or circuit "
				"to set aside",
				words[2]);
	return parse_rest(words, n, r, err);
}

static bool
is_meant(const struct request *r, const struct ctl_vnet_state *v)
{
	return v->keep && (!r->vnet || strcmp(v->conf.name, r->vnet) == 0);
}

/* The conditions as they are now: a request may come before the next evaluation. */
static int
check_request(const struct request *r, const struct ctl_vnet_state *v, struct spw_err *err)
{
	enum ctl_rank top = ctl_preference_rank(v->request, &v->conditions);

	if (ctl_preference_takes(v->request, &v->conditions, ctl_operator_rank(r->op)))
		return 0;
	if (top == ctl_operator_rank(v->request))
		return spw_fail(err, -EBUSY, "vnet %s: %s; enter 'failover resume %s' first",
				v->conf.name, ctl_rank_text(top), v->conf.name);
	return spw_fail(err, -EHOSTDOWN,
			"vnet %s: %s, which outranks the request; see 'show failover readiness'",
			v->conf.name, ctl_rank_text(top));
}

static int
apply_request(struct ctl_runtime *rt, const struct request *r, struct spw_err *err)
{
	uint64_t until = r->for_ns ? spw_clock_ns() + r->for_ns : 0;
	struct drains before;
	int rc = 0;

	if (r->vnet && !ctl_vnet_by_name(rt, r->vnet))
		return spw_fail(err, -ENOENT, "no vnet '%.32s'; see 'show failover'", r->vnet);
	for (const struct ctl_vnet_state *v = rt->vnets; v && rc == 0; v = v->next)
		if (is_meant(r, v))
			rc = check_request(r, v, err);
	if (rc != 0)
		return rc;
	drains_look(rt, &before);
	for (struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (is_meant(r, v))
			request_set(rt, v, r->op, until, "operator");
	put_in_force(rt, &before, "operator");
	return 0;
}

/* What a vnet has if a link goes. */
struct without {
	bool uses;  /* it has a living next hop over it */
	bool other; /* and another one */
};

static void
without_level(struct ctl_runtime *rt, const struct ctl_level *level, const char *link,
	      struct without *w)
{
	for (unsigned int h = 0; h < level->n; h++) {
		const struct ctl_path *p = ctl_path_by_id(rt, level->path[h]);

		if (!p || !p->alive || !p->iface)
			continue;
		if (is_link(p->iface, link))
			w->uses = true;
		else
			w->other |= !p->iface->aside;
	}
}

/* A link that nothing can take the place of is not set aside: its announcements would go. */
static int
check_link(struct ctl_runtime *rt, const char *link, struct spw_err *err)
{
	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next) {
		struct without w = {.other = !v->conditions.protection_failed &&
					     v->request != CTL_OPERATOR_LOCKOUT};

		for (const struct ctl_group *g = v->groups; g; g = g->next)
			for (unsigned int l = 0; g->refs > 0 && l < g->recipe.n_levels; l++)
				without_level(rt, &g->recipe.level[l], link, &w);
		if (w.uses && !w.other)
			return spw_fail(err, -EHOSTDOWN,
					"vnet %s has nothing beside '%.32s' that is up; see 'show "
					"failover readiness'",
					v->conf.name, link);
	}
	return 0;
}

static int
apply_link(struct ctl_runtime *rt, const char *link, bool aside, uint64_t for_ns,
	   struct spw_err *err)
{
	struct drains before;
	int rc = aside ? check_link(rt, link, err) : 0;

	if (rc != 0)
		return rc;
	drains_look(rt, &before);
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (!link || is_link(i, link))
			aside_set(rt, i, aside, for_ns ? spw_clock_ns() + for_ns : 0);
	put_in_force(rt, &before, "operator");
	return 0;
}

/* Resume a vnet, a link or circuit, or all of them. */
static int
apply_resume(struct ctl_runtime *rt, struct request *r, struct spw_err *err)
{
	int rc;

	if (r->vnet && !ctl_vnet_by_name(rt, r->vnet) && has_link(rt, r->vnet)) {
		r->link = r->vnet;
		return apply_link(rt, r->link, false, 0, err);
	}
	rc = apply_request(rt, r, err);
	if (rc == 0 && !r->vnet)
		rc = apply_link(rt, NULL, false, 0, err);
	return rc;
}

static int
run(struct ctl_runtime *rt, const char *const *words, unsigned int n, struct request *r,
    struct spw_err *err)
{
	const char *verb = n >= 2 ? words[1] : "";
	int rc;

	if (strcmp(verb, "switch") == 0) {
		r->vnet = NULL;
		rc = parse_switch(rt, words, n, r, err);
		if (rc != 0)
			return rc;
		return r->link ? apply_link(rt, r->link, true, r->for_ns, err)
			       : apply_request(rt, r, err);
	}
	if (strcmp(verb, "lockout") == 0) {
		r->op = CTL_OPERATOR_LOCKOUT;
		return apply_request(rt, r, err);
	}
	if (strcmp(verb, "resume") == 0)
		return apply_resume(rt, r, err);
	return spw_fail(err, -EINVAL, "failover: use switch, resume, lockout, test or exercise");
}

void
ctl_failover_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
		     ctl_done_fn done, void *ctx)
{
	struct request r = {.op = CTL_OPERATOR_NONE, .vnet = n > 2 ? words[2] : NULL};
	struct spw_err err = {0};
	char text[128];

	if (n >= 2 && (strcmp(words[1], "test") == 0 || strcmp(words[1], "exercise") == 0)) {
		ctl_drill_command(rt, words, n, done, ctx);
		return;
	}
	if (run(rt, words, n, &r, &err) != 0) {
		reply_error(done, ctx, &err);
		return;
	}
	if (r.link)
		snprintf(text, sizeof(text), "%.32s: %s", r.link,
			 strcmp(words[1], "resume") == 0 ? "in use again" : "set aside");
	else
		snprintf(text, sizeof(text), "%s: request '%s' is in force",
			 r.vnet ? r.vnet : "all vnets", ctl_operator_name(r.op));
	reply_message(done, ctx, text);
}
