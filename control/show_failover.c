/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows of failover: each vnet's state and candidates, the history, readiness of the standby.
 */
#include <errno.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/failover.h"
#include "control/fib.h"
#include "control/frr.h"
#include "control/iked.h"
#include "control/show.h"

static json_t *
switch_json(const struct ctl_switch *s, bool with_vnet)
{
	char at[32];
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:o,s:f,s:b,s:n,s:I,s:I}", "at",
			      spw_clock_format(s->wall_ns, at), "from", s->from, "to", s->to,
			      "cause", s->cause, "detect_ms",
			      s->detect_ms >= 0 ? json_real(s->detect_ms) : json_null(),
			      "switch_us", s->switch_us, "first_packet_seen", s->first_packet,
			      "lost_packets", "restore_hold_s", (json_int_t)s->restore_hold_s,
			      "prefixes", (json_int_t)s->prefixes);

	if (s->prefix[0])
		json_object_set_new(o, "prefix", json_string(s->prefix));
	if (with_vnet)
		json_object_set_new(o, "vnet", json_string(s->vnet));
	return o;
}

static json_t *
last_json(const struct ctl_runtime *rt, const char *vnet)
{
	for (unsigned int i = 0; i < ctl_failover_n_switches(rt); i++) {
		const struct ctl_switch *s = ctl_failover_switch(rt, i);

		if (strcmp(s->vnet, vnet) == 0)
			return switch_json(s, false);
	}
	return json_null();
}

static const char *
state_word(const struct ctl_vnet_state *v)
{
	if (v->request == CTL_OPERATOR_LOCKOUT)
		return "lockout";
	if (v->request == CTL_OPERATOR_TEST)
		return "test";
	if (v->request != CTL_OPERATOR_NONE)
		return "forced";
	if (v->hold_at_ns > spw_clock_ns())
		return "hold-off";
	switch (v->kind) {
	case CTL_PREF_EXPRESSROUTE: return "primary";
	case CTL_PREF_TUNNEL:
		return v->reason == CTL_REASON_WAIT_TO_RESTORE ? "wait-to-restore" : "backup";
	case CTL_PREF_NONE: break;
	}
	return "down";
}

/* What is known of ExpressRoute for a vnet: the best of its next hops. */
struct er {
	bool learnt, alive, waiting;
	struct spw_addr next_hop;
};

static void
er_look(struct ctl_runtime *rt, const struct ctl_vnet_state *v, struct er *er)
{
	uint64_t now = spw_clock_ns();

	memset(er, 0, sizeof(*er));
	for (const struct ctl_rib_entry *e = v->leaves; e; e = e->vnet_next)
		for (unsigned int l = 0; e->leaf && l < e->leaf->recipe.n_levels; l++)
			for (unsigned int h = 0; h < e->leaf->recipe.level[l].n; h++) {
				const struct ctl_level *level = &e->leaf->recipe.level[l];
				const struct ctl_path *p = ctl_path_by_id(rt, level->path[h]);

				if (!p || (er->alive && !p->alive))
					continue;
				er->learnt = true;
				er->alive |= p->alive;
				er->next_hop = p->next_hop;
				er->waiting = level->waiting ||
					      ctl_preference_waits(p->restored_ns,
								   v->conf.wait_to_restore_s,
								   v->wait_over_ns, now);
			}
}

static const char *
er_state(const struct ctl_vnet_state *v, const struct er *er)
{
	if (!er->learnt || !er->alive)
		return "down";
	if (v->request == CTL_OPERATOR_TUNNEL || v->request == CTL_OPERATOR_TEST)
		return "set-aside";
	return er->waiting && v->kind != CTL_PREF_EXPRESSROUTE ? "wait-to-restore" : "up";
}

static json_t *
er_detail(const struct ctl_runtime *rt, const struct er *er)
{
	const json_t *peer;
	char text[SPW_ADDR_TEXT];
	size_t i;

	if (!er->learnt)
		return json_string("no route learnt");
	spw_addr_format(&er->next_hop, text);
	json_array_foreach(ctl_frr_bfd_peers(rt), i, peer)
	{
		const char *a = json_string_value(json_object_get(peer, "peer"));
		double ms = ctl_frr_bfd_detect_ms(peer);

		if (a && strcmp(a, text) == 0 && ms >= 0)
			return json_sprintf("via %s, bfd %.1fs", text, ms / 1000);
	}
	return json_sprintf("via %s", text);
}

static json_t *
candidates_json(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	json_t *list = json_array();
	struct er er;

	er_look(rt, v, &er);
	json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o}", "path", "expressroute", "kind",
					      "expressroute", "state", er_state(v, &er), "detail",
					      er_detail(rt, &er)));
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++) {
		const struct ctl_tun *t = ctl_tun_by_name(rt, v->conf.tunnel[i].name);
		bool ready = t && t->path && t->path->alive;
		bool active = ready && v->kind == CTL_PREF_TUNNEL && v->path == t->path->id;

		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:s,s:o}", "path", v->conf.tunnel[i].name, "kind", "tunnel",
				  "state",
				  !ready			       ? "down"
				  : v->request == CTL_OPERATOR_LOCKOUT ? "set-aside"
				  : active			       ? "up"
								       : "ready",
				  "detail", t && !ready ? ctl_json_text(t->reason) : json_null()));
	}
	return list;
}

static json_t *
vnet_json(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	uint64_t now = spw_clock_ns();
	json_t *o = json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:I,s:I,s:I}", "name", v->conf.name,
			      "active", ctl_failover_name(rt, v->kind, v->path), "state",
			      state_word(v), "since_s", ctl_json_seconds(now - v->since_ns),
			      "reason", ctl_json_text(ctl_pref_reason_text(v->reason)),
			      "candidates", candidates_json(rt, v), "last",
			      last_json(rt, v->conf.name), "prefixes_on_expressroute",
			      (json_int_t)v->on_expressroute, "prefixes_on_tunnel",
			      (json_int_t)v->on_tunnel, "prefixes_down", (json_int_t)v->on_nothing);

	if (v->restore_at_ns > now && v->kind == CTL_PREF_TUNNEL)
		json_object_set_new(o, "restore_in_s", ctl_json_seconds(v->restore_at_ns - now));
	if (v->operator_until_ns > now)
		json_object_set_new(o, "request_ends_in_s",
				    ctl_json_seconds(v->operator_until_ns - now));
	return o;
}

static json_t *
each_vnet(struct ctl_runtime *rt, const char *arg,
	  json_t *(*make)(struct ctl_runtime *rt, const struct ctl_vnet_state *v),
	  struct spw_err *err)
{
	json_t *list = json_array(), *reply;

	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (!arg || strcmp(arg, v->conf.name) == 0)
			json_array_append_new(list, make(rt, v));
	if (arg && json_array_size(list) == 0) {
		json_decref(list);
		spw_fail(err, -ENOENT, "no vnet '%.32s'; see 'show failover'", arg);
		return NULL;
	}
	reply = json_pack("{s:o}", "vnets", list);
	if (!ctl_dataplane_connected(rt)) {
		struct spw_err why = {0};

		ctl_dataplane_refuse(rt, &why);
		ctl_json_unreachable(reply, "spillway-dataplane", &why);
	}
	return reply;
}

json_t *
ctl_show_failover(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	return each_vnet(rt, arg, vnet_json, err);
}

json_t *
ctl_show_failover_history(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < ctl_failover_n_switches(rt); i++) {
		const struct ctl_switch *s = ctl_failover_switch(rt, i);

		if (!arg || strcmp(arg, s->vnet) == 0)
			json_array_append_new(list, switch_json(s, true));
	}
	return json_pack("{s:o}", "switches", list);
}

static void
find_tunnel_faults(struct ctl_runtime *rt, const struct ctl_vnet_state *v, json_t *findings)
{
	for (unsigned int i = 0; i < v->conf.n_tunnels; i++) {
		const struct ctl_tun *t = ctl_tun_by_name(rt, v->conf.tunnel[i].name);

		if (!t)
			json_array_append_new(findings, json_sprintf("tunnel %s: is not configured",
								     v->conf.tunnel[i].name));
		else if (!t->conf.enabled)
			json_array_append_new(findings,
					      json_sprintf("tunnel %s: is disabled", t->conf.name));
		else if (!t->up)
			json_array_append_new(
				findings,
				json_sprintf("tunnel %s: %s", t->conf.name,
					     t->reason[0] ? t->reason : "no child SA stands"));
	}
}

/* Would the standby carry the traffic if the active path went now? */
static json_t *
readiness_json(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	const struct ctl_tun *standby = ctl_failover_standby(rt, v);
	json_t *findings = json_array();
	struct er er;
	bool ready, on_tunnel = v->kind == CTL_PREF_TUNNEL;

	er_look(rt, v, &er);
	if (on_tunnel && !er.learnt)
		json_array_append_new(findings, json_string("expressroute: no route learnt"));
	else if (on_tunnel && !er.alive)
		json_array_append_new(findings, json_string("expressroute: the next hop is dead"));
	if (!on_tunnel || !standby)
		find_tunnel_faults(rt, v, findings);
	if (v->request == CTL_OPERATOR_LOCKOUT)
		json_array_append_new(findings,
				      json_string("an operator has locked the tunnel out"));
	if (!ctl_dataplane_connected(rt))
		json_array_append_new(findings, json_string("the data plane does not answer"));
	if (!ctl_iked_connected(rt))
		json_array_append_new(findings, json_string("spillway-iked does not answer"));
	ready = (on_tunnel ? er.alive : standby != NULL) && v->request != CTL_OPERATOR_LOCKOUT &&
		ctl_dataplane_connected(rt);
	return json_pack("{s:s,s:b,s:o,s:o}", "name", v->conf.name, "ready", ready, "standby",
			 !ready	     ? json_null()
			 : on_tunnel ? json_string("expressroute")
				     : json_string(standby->conf.name),
			 "findings", findings);
}

json_t *
ctl_show_failover_readiness(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	return each_vnet(rt, arg, readiness_json, err);
}
