/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shows of failover: each vnet's state, the history, readiness of the standby (the rules and
 * figures of which are in show_readiness.c, the candidates in show_candidates.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/failover.h"
#include "control/fib.h"
#include "control/show.h"
#include "control/watch_private.h"

json_t *
ctl_show_switch(const struct ctl_switch *s, bool with_vnet)
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
			return ctl_show_switch(s, false);
	}
	return json_null();
}

bool
ctl_vnet_on_backup(const struct ctl_vnet_state *v)
{
	return v->kind != CTL_PREF_NONE && v->kind != CTL_PREF_EXPRESSROUTE;
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
	if (v->kind == CTL_PREF_EXPRESSROUTE)
		return "primary";
	if (v->kind == CTL_PREF_NONE)
		return "down";
	return v->reason == CTL_REASON_WAIT_TO_RESTORE ? "wait-to-restore" : "backup";
}

static json_t *
vnet_json(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_ike_list *ike)
{
	uint64_t now = spw_clock_ns();
	json_t *o = json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:I,s:I,s:I}", "name", v->conf.name,
			      "active", ctl_failover_name(rt, v->kind, v->path), "state",
			      state_word(v), "since_s", ctl_json_seconds(now - v->since_ns),
			      "reason", ctl_json_text(ctl_pref_reason_text(v->reason)),
			      "candidates", ctl_show_candidates(rt, v, ike), "last",
			      last_json(rt, v->conf.name), "prefixes_on_expressroute",
			      (json_int_t)v->on_expressroute, "prefixes_on_tunnel",
			      (json_int_t)v->on_tunnel, "prefixes_down", (json_int_t)v->on_nothing);

	if (v->conf.peering == CTL_PEERING_MICROSOFT)
		json_object_set_new(o, "prefixes_on_internet", json_integer(v->on_internet));
	if (spw_addr_is_set(&v->conf.last_resort))
		json_object_set_new(o, "prefixes_on_last_resort", json_integer(v->on_last_resort));
	if (v->restore_at_ns > now && ctl_vnet_on_backup(v))
		json_object_set_new(o, "restore_in_s", ctl_json_seconds(v->restore_at_ns - now));
	json_object_set_new(o, "flaps", json_integer(v->flaps));
	json_object_set_new(o, "hold_s", json_integer(v->hold_s));
	if (v->operator_until_ns > now)
		json_object_set_new(o, "request_ends_in_s",
				    ctl_json_seconds(v->operator_until_ns - now));
	return o;
}

/* The list (taken) as the answer, or an error when it was asked for a vnet there is not. */
static json_t *
finish(struct ctl_runtime *rt, json_t *list, const char *arg, struct spw_err *err)
{
	json_t *reply;

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

/* Why tunnels are down is asked only when one is: iked may be what does not answer. */
static void
reasons_get(struct ctl_runtime *rt, struct ctl_ike_list *ike)
{
	*ike = (struct ctl_ike_list){0};
	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next)
		if (t->conf.enabled && !t->up) {
			ctl_ike_list_get(rt, ike, NULL);
			return;
		}
}

json_t *
ctl_show_failover(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	json_t *list = json_array(), *reply;
	struct ctl_ike_list ike;

	reasons_get(rt, &ike);
	for (const struct ctl_vnet_state *v = rt->vnets; v; v = v->next)
		if (!arg || strcmp(arg, v->conf.name) == 0)
			json_array_append_new(list, vnet_json(rt, v, &ike));
	free(ike.s);
	reply = finish(rt, list, arg, err);
	if (reply)
		json_object_set_new(reply, "asymmetric_packets",
				    json_integer((json_int_t)rt->watch->asymmetric));
	return reply;
}

json_t *
ctl_show_failover_history(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < ctl_failover_n_switches(rt); i++) {
		const struct ctl_switch *s = ctl_failover_switch(rt, i);

		if (!arg || strcmp(arg, s->vnet) == 0)
			json_array_append_new(list, ctl_show_switch(s, true));
	}
	if (arg && json_array_size(list) == 0 && !ctl_vnet_by_name(rt, arg)) {
		json_decref(list);
		spw_fail(err, -ENOENT, "no vnet '%.32s'; see 'show failover'", arg);
		return NULL;
	}
	return json_pack("{s:o}", "switches", list);
}

json_t *
ctl_show_failover_readiness(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	struct ctl_readiness *r = ctl_readiness_read(rt);
	json_t *list = json_array();

	for (const struct ctl_vnet_state *v = rt->vnets; r && v; v = v->next)
		if (!arg || strcmp(arg, v->conf.name) == 0)
			json_array_append_new(list, ctl_readiness_vnet(r, rt, v));
	ctl_readiness_free(r);
	return finish(rt, list, arg, err);
}
