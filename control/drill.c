/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The drill (failover test) and its half without moving anything (failover exercise).
 *
 * The drill is made on production: it measures on ExpressRoute, sets ExpressRoute aside locally
 * (what we announce stays, so Azure notices nothing), measures on the backup, gives ExpressRoute
 * back without wait-to-restore, because it was never lost, measures again, and reports. It refuses
 * where the vnet is not on ExpressRoute, and where the standby is not ready unless forced; without
 * anything to go to it refuses always. It ends at once when the backup dies, when the vnet goes or
 * when whoever asked is gone; ExpressRoute carries again by then. A restart of this process ends
 * it, too: its request is never written down. While it runs the paths of the vnet are probed ten
 * times a second (watch_probe.c).
 *
 * The exercise sends the same burst through the backup for three seconds and judges readiness by
 * it. One at a time, on a timer of its own; one thread.
 */
#include "control/drill.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/failover.h"
#include "control/fib.h"
#include "control/show.h"
#include "control/watch_private.h"

#define TEST_NS	     (10 * SPW_NS_PER_S)
#define EXERCISE_NS  (3 * SPW_NS_PER_S)
#define GRACE_NS     SPW_NS_PER_S /* for the move itself */
#define LOSS_PERCENT 1.0

enum phase { BEFORE, AWAY, BACK, PHASES };
/* Parts of the whole in percent. */
static const unsigned int percent[PHASES] = {30, 40, 30};

struct drill {
	struct ctl_runtime *rt;
	struct event *timer;
	char vnet[CTL_NAME], to[CTL_NAME];
	bool exercise;
	enum phase phase;
	uint64_t started_ns, turn_ns, whole_ns;
	struct ctl_drill_sample at[PHASES + 1]; /* at the beginning of each phase, and the end */
	json_t *readiness;			/* before it began */
	ctl_done_fn done;
	void *ctx;
};

static struct drill *drill; /* the one that runs, or NULL; event loop thread */

struct order {
	struct ctl_vnet_state *vnet;
	bool exercise, force;
	uint64_t whole_ns;
};

static void
answer_error(ctl_done_fn done, void *ctx, const struct spw_err *err)
{
	done(ctx, err->code, NULL, err);
}

static json_t *
readiness_of(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	struct ctl_readiness *r = ctl_readiness_read(rt);
	json_t *o = r ? ctl_readiness_vnet(r, rt, v) : NULL;

	ctl_readiness_free(r);
	return o;
}

static const char *
word(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "none";
}

static const char *
first_finding(const json_t *o)
{
	const char *text = json_string_value(json_array_get(json_object_get(o, "findings"), 0));

	return text ? text : "see 'show failover readiness'";
}

static int
check(struct ctl_runtime *rt, const struct order *o, const json_t *readiness, struct spw_err *err)
{
	const struct ctl_vnet_state *v = o->vnet;
	const char *name = v->conf.name;

	if (drill)
		return spw_fail(err, -EBUSY, "a drill of vnet %s runs already; wait for its end",
				drill->vnet);
	if (!ctl_dataplane_connected(rt))
		return ctl_dataplane_refuse(rt, err);
	if (!readiness)
		return spw_fail(err, -ENOMEM, "out of memory");
	if (o->exercise)
		return 0;
	if (v->kind != CTL_PREF_EXPRESSROUTE)
		return spw_fail(err, -EINVAL,
				"vnet %s is not on ExpressRoute (it is on %s); nothing to test",
				name, ctl_failover_name(rt, v->kind, v->path));
	if (v->request != CTL_OPERATOR_NONE)
		return spw_fail(err, -EINVAL,
				"vnet %s is under '%s'; enter 'failover resume %s' first", name,
				ctl_operator_name(v->request), name);
	if (strcmp(word(readiness, "verdict"), "not-ready") == 0)
		return spw_fail(err, -EHOSTDOWN, "the standby of vnet %s is not ready: %.120s",
				name, first_finding(readiness));
	if (!o->force && strcmp(word(readiness, "verdict"), "ready") != 0)
		return spw_fail(err, -EHOSTDOWN,
				"the standby of vnet %s is degraded: %.120s; 'failover test %s "
				"force' tests all the same",
				name, first_finding(readiness), name);
	return 0;
}

static void
end(void)
{
	struct ctl_runtime *rt = drill->rt;
	struct ctl_vnet_state *v = ctl_vnet_by_name(rt, drill->vnet);

	if (v && v->request == CTL_OPERATOR_TEST)
		ctl_failover_request(rt, v, CTL_OPERATOR_NONE, 0, "test");
	ctl_watch_burst(rt, NULL);
	event_free(drill->timer);
	json_decref(drill->readiness);
	free(drill);
	drill = NULL;
}

/* End it with an error; ExpressRoute carries again. */
static void
abandon(int code, const char *why)
{
	struct drill d = *drill;
	struct spw_err err = {0};

	spw_fail(&err, code, "%s of vnet %s was ended: %s", d.exercise ? "exercise" : "drill",
		 d.vnet, why);
	spw_log(SPW_LOG_WARNING, "failover", "drill-ended", "vnet=%s why=\"%s\"", d.vnet, why);
	ctl_journal_note(d.rt, "drill",
			 json_pack("{s:s,s:s,s:s}", "vnet", d.vnet, "phase", "ended", "why", why));
	end();
	if (d.done)
		answer_error(d.done, d.ctx, &err);
}

static void
note_phase(const char *phase)
{
	ctl_journal_note(
		drill->rt, "drill",
		json_pack("{s:s,s:s,s:s}", "vnet", drill->vnet, "phase", phase, "to", drill->to));
}

static const struct ctl_switch *
switch_of(struct ctl_runtime *rt, bool away)
{
	for (unsigned int i = 0; i < ctl_failover_n_switches(rt); i++) {
		const struct ctl_switch *s = ctl_failover_switch(rt, i);

		if (strcmp(s->vnet, drill->vnet) == 0 && s->opened_ns >= drill->started_ns &&
		    s->prefix[0] == '\0' && (strcmp(s->from, "expressroute") == 0) == away)
			return s;
	}
	return NULL;
}

static json_t *
rows(void)
{
	static const char *const name[PHASES] = {"before", "away", "back"};
	json_t *list = json_array();
	struct ctl_drill_part part;

	for (unsigned int p = 0; p < PHASES; p++) {
		bool away = p == AWAY;

		ctl_drill_between(&drill->at[p], &drill->at[p + 1],
				  away ? CTL_DRILL_BACKUP : CTL_DRILL_CIRCUIT, &part);
		json_array_append_new(
			list, ctl_drill_row(name[p], away ? drill->to : "expressroute", &part));
	}
	return list;
}

static json_t *
report(struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	const struct ctl_switch *away = switch_of(rt, true), *back = switch_of(rt, false);
	const struct ctl_drill_sample *from = &drill->at[AWAY], *to = &drill->at[PHASES];
	json_t *o = json_pack(
		"{s:o,s:s,s:s,s:s,s:b,s:b,s:s,s:f,s:o,s:o,s:b,s:I,s:I,s:I,s:I,s:o}", "message",
		json_sprintf("%s survived the loss of expressroute", drill->vnet), "vnet",
		drill->vnet, "from", "expressroute", "to", drill->to, "survived", 1, "restored",
		v->kind == CTL_PREF_EXPRESSROUTE, "readiness", word(drill->readiness, "verdict"),
		"took_s", (double)(spw_clock_ns() - drill->started_ns) / SPW_NS_PER_S,
		"switch_us", away ? json_real(away->switch_us) : json_null(), "return_us",
		back ? json_real(back->switch_us) : json_null(), "first_packet_seen",
		away && away->first_packet, "lost_packets", (json_int_t)(to->drops - from->drops),
		"tunnel_out_packets", (json_int_t)(to->tunnel_out - from->tunnel_out),
		"tunnel_in_packets", (json_int_t)(to->tunnel_in - from->tunnel_in), "violations",
		(json_int_t)(to->violations - from->violations), "phases", rows());

	return o;
}

static void
finish(const struct ctl_vnet_state *v)
{
	struct drill d = *drill;
	struct spw_err none = {0};
	json_t *o = report(d.rt, v);

	spw_log(SPW_LOG_INFO, "failover", "drill", "vnet=%s to=%s survived=yes restored=%s", d.vnet,
		d.to, v->kind == CTL_PREF_EXPRESSROUTE ? "yes" : "no");
	note_phase("done");
	end();
	d.done(d.ctx, 0, o, &none);
	json_decref(o);
}

/* The burst through the backup is over: judge by it and by what is known besides. */
static void
finish_exercise(struct ctl_vnet_state *v)
{
	struct drill d = *drill;
	struct ctl_drill_part part;
	struct spw_err err = {0};
	json_t *ready = readiness_of(d.rt, v), *o;
	const char *verdict = word(ready, "verdict");

	ctl_drill_between(&d.at[0], &d.at[1], CTL_DRILL_BACKUP, &part);
	if (part.loss_percent >= LOSS_PERCENT && strcmp(verdict, "ready") == 0)
		verdict = "degraded";
	o = json_pack("{s:o,s:s,s:s,s:o,s:[o],s:O}", "message",
		      json_sprintf("%s: the standby is %s%s", d.vnet, verdict,
				   part.sent ? "" : " (no probe of the vnet tests it)"),
		      "vnet", d.vnet, "verdict", verdict, "standby",
		      json_incref(json_object_get(ready, "standby")), "phases",
		      ctl_drill_row("exercise", d.to, &part), "readiness", ready);
	if (part.loss_percent >= 100 || strcmp(verdict, "not-ready") == 0)
		spw_fail(&err, -EHOSTDOWN, "the standby of vnet %s is not ready: %.120s", d.vnet,
			 part.loss_percent >= 100 ? "no probe of the burst was answered"
						  : first_finding(ready));
	end();
	d.done(d.ctx, err.code, o, &err);
	json_decref(ready);
	json_decref(o);
}

static bool
sample(struct ctl_vnet_state *v, unsigned int n)
{
	struct spw_err err = {0};

	if (ctl_drill_sample(drill->rt, v, &drill->at[n], &err) == 0)
		return true;
	abandon(err.code, err.text);
	return false;
}

static void
next_phase(struct ctl_vnet_state *v)
{
	struct ctl_runtime *rt = drill->rt;

	if (!sample(v, drill->phase + 1))
		return;
	drill->turn_ns = spw_clock_ns();
	if (drill->exercise) {
		finish_exercise(v);
	} else if (drill->phase == BACK) {
		finish(v);
	} else if (drill->phase == BEFORE) {
		drill->phase = AWAY;
		note_phase("away");
		ctl_failover_request(rt, v, CTL_OPERATOR_TEST, 0, "test");
	} else {
		snprintf(drill->to, sizeof(drill->to), "%s",
			 ctl_failover_name(rt, v->kind, v->path));
		drill->phase = BACK;
		note_phase("back");
		ctl_failover_request(rt, v, CTL_OPERATOR_NONE, 0, "test");
	}
}

/* Still as the phase wants it; a phrase when not. */
static const char *
what_broke(const struct ctl_vnet_state *v, uint64_t now)
{
	if (!ctl_dataplane_connected(drill->rt))
		return "the data plane does not answer";
	if (drill->phase != AWAY)
		return NULL;
	if (v->request != CTL_OPERATOR_TEST)
		return "another request took its place";
	if (!ctl_vnet_on_backup(v) && now - drill->turn_ns > GRACE_NS)
		return "the backup does not carry; ExpressRoute does again";
	return NULL;
}

void
ctl_drill_tick(struct ctl_runtime *rt)
{
	struct ctl_vnet_state *v;
	uint64_t now = spw_clock_ns(), length;
	const char *why;

	if (!drill || drill->rt != rt)
		return;
	v = ctl_vnet_by_name(rt, drill->vnet);
	why = v ? what_broke(v, now) : "the vnet was deleted";
	length = drill->exercise ? drill->whole_ns : drill->whole_ns / 100 * percent[drill->phase];
	if (why)
		abandon(-EHOSTDOWN, why);
	else if (now - drill->turn_ns >= length)
		next_phase(v);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	ctl_drill_tick(arg);
}

static int
make(struct ctl_runtime *rt, const struct order *o, json_t *readiness)
{
	static const struct timeval often = {.tv_usec = 50000};

	drill = calloc(1, sizeof(*drill));
	if (!drill)
		return -ENOMEM;
	drill->timer = event_new(rt->base, -1, EV_PERSIST, on_timer, rt);
	if (!drill->timer || event_add(drill->timer, &often) != 0) {
		free(drill);
		drill = NULL;
		return -ENOMEM;
	}
	drill->rt = rt;
	drill->exercise = o->exercise;
	drill->whole_ns = o->whole_ns ? o->whole_ns : o->exercise ? EXERCISE_NS : TEST_NS;
	drill->started_ns = drill->turn_ns = spw_clock_ns();
	drill->readiness = json_incref(readiness);
	memcpy(drill->vnet, o->vnet->conf.name, sizeof(drill->vnet));
	snprintf(drill->to, sizeof(drill->to), "%s", word(readiness, "standby"));
	return 0;
}

static void
start(struct ctl_runtime *rt, const struct order *o, ctl_done_fn done, void *ctx)
{
	struct spw_err err = {0};
	json_t *readiness = readiness_of(rt, o->vnet);

	if (check(rt, o, readiness, &err) != 0 || make(rt, o, readiness) != 0) {
		if (err.code == 0)
			spw_fail(&err, -ENOMEM, "out of memory");
		answer_error(done, ctx, &err);
	} else {
		drill->done = done;
		drill->ctx = ctx;
		ctl_watch_burst(rt, o->vnet);
		if (sample(o->vnet, 0))
			note_phase("before");
	}
	json_decref(readiness);
}

void
ctl_drill_cancel(struct ctl_runtime *rt, const void *ctx)
{
	if (!drill || drill->rt != rt || drill->ctx != ctx)
		return;
	abandon(-EINTR, "whoever asked for it has gone");
}

void
ctl_drill_free(struct ctl_runtime *rt)
{
	if (!drill || drill->rt != rt)
		return;
	event_free(drill->timer);
	json_decref(drill->readiness);
	free(drill);
	drill = NULL;
}

static int
find_vnet(struct ctl_runtime *rt, const char *name, struct order *o, struct spw_err *err)
{
	o->vnet = name ? ctl_vnet_by_name(rt, name) : rt->vnets;
	if (!o->vnet && name)
		return spw_fail(err, -ENOENT, "no vnet '%.32s'; see 'show failover'", name);
	if (!o->vnet)
		return spw_fail(err, -ENOENT, "no vnet is configured");
	if (!name && o->vnet->next)
		return spw_fail(err, -EINVAL, "several vnets: name the one to test");
	return 0;
}

static int
parse(struct ctl_runtime *rt, const char *const *words, unsigned int n, struct order *o,
      struct spw_err *err)
{
	const char *name = NULL;
	unsigned long s;
	char *rest;

	*o = (struct order){.exercise = strcmp(words[1], "exercise") == 0};
	for (unsigned int i = 2; i < n; i++) {
		if (strcmp(words[i], "force") == 0) {
			o->force = true;
		} else if (strcmp(words[i], "for") == 0 && i + 1 < n) {
			s = strtoul(words[++i], &rest, 10);
			if (s < 1 || s > 600 || strcmp(rest, "s") != 0)
				return spw_fail(err, -EINVAL,
						"failover %s: '%.16s' is no length; use 1s to 600s",
						words[1], words[i]);
			o->whole_ns = s * SPW_NS_PER_S;
		} else {
			name = words[i];
		}
	}
	return find_vnet(rt, name, o, err);
}

void
ctl_drill_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
		  ctl_done_fn done, void *ctx)
{
	struct spw_err err = {0};
	struct order o;

	if (parse(rt, words, n, &o, &err) != 0)
		answer_error(done, ctx, &err);
	else
		start(rt, &o, done, ctx);
}
