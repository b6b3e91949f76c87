/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The drill (failover test).
 *
 * It refuses unless the vnet is on ExpressRoute and a tunnel is up; then it
 * counts, sets ExpressRoute aside locally (what we announce stays), watches for two seconds that
 * the tunnel stays up and what passes in it, and gives ExpressRoute back without wait-to-restore,
 * because it was never lost. It ends at once when the tunnel dies; the data plane has gone
 * back by itself by then. One drill at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/failover.h"
#include "control/fib.h"

#define DRILL_NS (2 * SPW_NS_PER_S)

struct drill {
	struct ctl_runtime *rt;
	char vnet[CTL_NAME], tunnel[CTL_NAME];
	uint64_t started_ns;
	uint64_t out, in, violations;
	ctl_done_fn done;
	void *ctx;
};

static struct drill *drill; /* the one that runs, or NULL; event loop thread */

static void
reply_error(ctl_done_fn done, void *ctx, const struct spw_err *err)
{
	done(ctx, err->code, NULL, err);
}

struct counters {
	uint32_t id;
	uint64_t out, in, violations;
};

static void
count_tunnel(void *ctx, const void *elem)
{
	const struct spw_dp_tunnel_stats *s = elem;
	struct counters *c = ctx;

	if (s->id != c->id)
		return;
	c->out = s->transit_out;
	c->in = s->transit_in;
	c->violations = s->violations;
}

static int
read_counters(struct ctl_runtime *rt, const struct ctl_tun *t, struct counters *c,
	      struct spw_err *err)
{
	*c = (struct counters){.id = t->id};
	return ctl_dataplane_get(rt, SPW_DP_GET_TUNNELS, NULL, 0,
				 sizeof(struct spw_dp_tunnel_stats), count_tunnel, c, err);
}

static int
drill_check(struct ctl_runtime *rt, struct ctl_vnet_state *v, struct ctl_tun **standby,
	    struct spw_err *err)
{
	if (drill)
		return spw_fail(err, -EBUSY, "a drill of vnet %s runs already; wait for its end",
				drill->vnet);
	if (!ctl_dataplane_connected(rt))
		return ctl_dataplane_refuse(rt, err);
	if (v->kind != CTL_PREF_EXPRESSROUTE)
		return spw_fail(err, -EINVAL,
				"vnet %s is not on ExpressRoute (it is on %s); nothing to test",
				v->conf.name, ctl_failover_name(rt, v->kind, v->path));
	if (v->request != CTL_OPERATOR_NONE)
		return spw_fail(err, -EINVAL,
				"vnet %s is under '%s'; enter 'failover resume %s' first",
				v->conf.name, ctl_operator_name(v->request), v->conf.name);
	*standby = ctl_failover_standby(rt, v);
	if (!*standby)
		return spw_fail(err, -EHOSTDOWN,
				"no tunnel of vnet %s is ready; see 'show failover readiness'",
				v->conf.name);
	return 0;
}

static void
drill_start(struct ctl_runtime *rt, struct ctl_vnet_state *v, ctl_done_fn done, void *ctx)
{
	struct ctl_tun *standby;
	struct spw_err err = {0};
	struct counters c;

	if (drill_check(rt, v, &standby, &err) != 0 || read_counters(rt, standby, &c, &err) != 0) {
		reply_error(done, ctx, &err);
		return;
	}
	drill = calloc(1, sizeof(*drill));
	if (!drill) {
		spw_fail(&err, -ENOMEM, "out of memory");
		reply_error(done, ctx, &err);
		return;
	}
	*drill = (struct drill){.rt = rt,
				.started_ns = spw_clock_ns(),
				.out = c.out,
				.in = c.in,
				.violations = c.violations,
				.done = done,
				.ctx = ctx};
	memcpy(drill->vnet, v->conf.name, sizeof(drill->vnet));
	memcpy(drill->tunnel, standby->conf.name, sizeof(drill->tunnel));
	ctl_failover_request(rt, v, CTL_OPERATOR_TEST, 0, "test");
}

static const struct ctl_switch *
drill_switch(struct ctl_runtime *rt, bool away)
{
	for (unsigned int i = 0; i < ctl_failover_n_switches(rt); i++) {
		const struct ctl_switch *s = ctl_failover_switch(rt, i);

		if (strcmp(s->vnet, drill->vnet) == 0 && s->opened_ns >= drill->started_ns &&
		    (strcmp(s->from, "expressroute") == 0) == away)
			return s;
	}
	return NULL;
}

static json_t *
drill_report(struct ctl_runtime *rt, bool survived, bool restored, const struct counters *c)
{
	const struct ctl_switch *away = drill_switch(rt, true), *back = drill_switch(rt, false);
	char text[160];

	snprintf(text, sizeof(text), "%s %s the loss of expressroute", drill->vnet,
		 survived ? "survived" : "did not survive");
	return json_pack("{s:s,s:s,s:s,s:s,s:n,s:o,s:o,s:n,s:b,s:b,s:I,s:I,s:I}", "message", text,
			 "vnet", drill->vnet, "from", "expressroute", "to", drill->tunnel,
			 "detect_ms", "switch_us", away ? json_real(away->switch_us) : json_null(),
			 "return_us", back ? json_real(back->switch_us) : json_null(),
			 "lost_packets", "survived", survived, "restored", restored,
			 "tunnel_out_packets", (json_int_t)(c->out - drill->out),
			 "tunnel_in_packets", (json_int_t)(c->in - drill->in), "violations",
			 (json_int_t)(c->violations - drill->violations));
}

static void
drill_finish(struct ctl_runtime *rt, struct ctl_vnet_state *v, const struct ctl_tun *t)
{
	bool survived = v->kind == CTL_PREF_TUNNEL && t && t->path && t->path->alive;
	struct counters c = {0};
	struct spw_err err = {0};
	int rc = t ? read_counters(rt, t, &c, &err) : -ENOENT;

	if (v->request == CTL_OPERATOR_TEST)
		ctl_failover_request(rt, v, CTL_OPERATOR_NONE, 0, "test");
	json_t *report =
		drill_report(rt, survived && rc == 0, v->kind == CTL_PREF_EXPRESSROUTE, &c);

	if (!survived || rc != 0)
		spw_fail(&err, -EHOSTDOWN,
			 "the drill of vnet %s failed: tunnel %s did not carry it", drill->vnet,
			 drill->tunnel);
	drill->done(drill->ctx, err.code, report, &err);
	json_decref(report);
	free(drill);
	drill = NULL;
}

void
ctl_drill_tick(struct ctl_runtime *rt)
{
	struct ctl_vnet_state *v;
	struct ctl_tun *t;

	if (!drill || drill->rt != rt)
		return;
	v = ctl_vnet_by_name(rt, drill->vnet);
	t = ctl_tun_by_name(rt, drill->tunnel);
	if (!v) {
		struct spw_err err = {0};

		spw_fail(&err, -ENOENT, "vnet %s was deleted during its drill", drill->vnet);
		reply_error(drill->done, drill->ctx, &err);
		free(drill);
		drill = NULL;
		return;
	}
	if (spw_clock_ns() - drill->started_ns >= DRILL_NS || v->kind != CTL_PREF_TUNNEL)
		drill_finish(rt, v, t);
}

void
ctl_drill_free(struct ctl_runtime *rt)
{
	if (!drill || drill->rt != rt)
		return;
	free(drill);
	drill = NULL;
}

static struct ctl_vnet_state *
test_vnet(struct ctl_runtime *rt, const char *name, struct spw_err *err)
{
	struct ctl_vnet_state *v = name ? ctl_vnet_by_name(rt, name) : rt->vnets;

	if (!v)
		spw_fail(err, -ENOENT,
			 name ? "no vnet '%.32s'; see 'show failover'"
			      : "no vnet is configured%.0s",
			 name ? name : "");
	else if (!name && v->next) {
		spw_fail(err, -EINVAL, "several vnets: name the one to test");
		v = NULL;
	}
	return v;
}

void
ctl_drill_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
		  ctl_done_fn done, void *ctx)
{
	struct spw_err err = {0};
	struct ctl_vnet_state *v = test_vnet(rt, n > 2 ? words[2] : NULL, &err);

	if (v)
		drill_start(rt, v, done, ctx);
	else
		reply_error(done, ctx, &err);
}
