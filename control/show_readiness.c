/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readiness of the standby: what iked, the data plane and the probes know, read once, judged by the
 * rules of readiness.c and capacity.c, and told by vnet and tunnel.
 *
 * The load is what the circuits carry now, averaged over some seconds and split by class; where
 * several vnets share a circuit each is shown the whole of it, because all of them would move
 * together. Capacity is that of the tunnels that would carry; one of unknown capacity makes the sum
 * unknown. A tunnel over ExpressRoute is no standby but what the others stand behind: it counts for
 * the way back. Every few seconds the verdict is looked at, and a change is logged once.
 */
#include <stdlib.h>
#include <string.h>

#include "control/capacity.h"
#include "control/dataplane.h"
#include "control/fib.h"
#include "control/iked.h"
#include "control/pfs.h"
#include "control/readiness.h"
#include "control/show.h"
#include "control/watch_private.h"

#define TUNNELS	  65536
#define FIRST_NS  (15 * SPW_NS_PER_S) /* a verdict before is of a gateway that is still starting */
#define LOST_MIN  2		      /* one lost packet is no sign of anything */
#define TICKS	  5
#define PATHS_MAX (WATCH_CIRCUIT_PATHS + SPW_DP_TIER_PATHS)

struct ctl_readiness {
	struct ctl_ike_list ike;
	struct ctl_probe_list probes;
	uint64_t *installed_ns; /* newest child SA by tunnel id, 0 = none */
	bool dataplane, iked;
};

static void
sa_keep(void *ctx, const void *elem)
{
	const struct spw_dp_sa_stats *s = elem;
	struct ctl_readiness *r = ctx;

	if (s->tunnel < TUNNELS && s->installed_ns > r->installed_ns[s->tunnel])
		r->installed_ns[s->tunnel] = s->installed_ns;
}

struct ctl_readiness *
ctl_readiness_read(struct ctl_runtime *rt)
{
	struct ctl_readiness *r = calloc(1, sizeof(*r));

	if (!r || !(r->installed_ns = calloc(TUNNELS, sizeof(uint64_t)))) {
		free(r);
		return NULL;
	}
	r->iked = ctl_ike_list_get(rt, &r->ike, NULL) == 0;
	r->dataplane = ctl_dataplane_connected(rt) &&
		       ctl_dataplane_get(rt, SPW_DP_GET_SAS, NULL, 0,
					 sizeof(struct spw_dp_sa_stats), sa_keep, r, NULL) == 0;
	if (r->dataplane)
		ctl_probe_list_get(rt, &r->probes, NULL);
	return r;
}

void
ctl_readiness_free(struct ctl_readiness *r)
{
	if (!r)
		return;
	free(r->ike.s);
	free(r->probes.s);
	free(r->installed_ns);
	free(r);
}

/* The probes of a vnet over one path, of one purpose, added up. */
struct sum {
	unsigned int n, up, down;
	uint64_t sent, lost, received, other_way, rtt[SPW_DP_RTT_BUCKETS];
	uint32_t rtt_min_us, rtt_max_us; /* of those that were answered */
	const struct spw_dp_probe_stats *last;
};

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Of the last hundred those since the probe came up; all of them while it is down. */
static void
recent_of(const struct watch_probe *w, const struct spw_dp_probe_stats *s, struct sum *out)
{
	uint64_t lost = s->lost - smaller(s->lost, w->up_lost);
	uint64_t decided = lost + s->received - smaller(s->received, w->up_received);
	bool up = s->state == SPW_PROBE_UP;

	out->sent += up ? smaller(s->recent_sent, decided) : s->recent_sent;
	out->lost += up ? smaller(s->recent_lost, lost) : s->recent_lost;
}

static void
sum_of(const struct ctl_readiness *r, const struct ctl_runtime *rt, const char *vnet,
       const struct ctl_path *path, enum watch_purpose purpose, struct sum *out)
{
	memset(out, 0, sizeof(*out));
	for (const struct watch_probe *w = path && rt->watch ? rt->watch->of_path[path->id] : NULL;
	     w; w = w->path_next) {
		const struct spw_dp_probe_stats *s = ctl_probe_list_find(&r->probes, w->content.id);

		if (!s || w->purpose != purpose || strcmp(w->vnet, vnet) != 0)
			continue;
		out->n++;
		out->up += s->state == SPW_PROBE_UP;
		out->down += s->state == SPW_PROBE_DOWN;
		recent_of(w, s, out);
		out->received += s->received;
		out->other_way += s->other_way;
		out->last = s;
		if (s->received && (out->rtt_max_us == 0 || s->rtt_min_us < out->rtt_min_us))
			out->rtt_min_us = s->rtt_min_us;
		if (s->received && s->rtt_max_us > out->rtt_max_us)
			out->rtt_max_us = s->rtt_max_us;
		for (unsigned int b = 0; b < SPW_DP_RTT_BUCKETS; b++)
			out->rtt[b] += s->rtt[b];
	}
}

static double
loss_percent(const struct sum *s)
{
	return s->sent ? (double)s->lost * 100 / (double)s->sent : 0;
}

static void
facts_of(const struct ctl_tun *t, const struct spw_ike_status *ike, const struct sum *probes,
	 const struct sum *mtu, struct ctl_tunnel_facts *f)
{
	*f = (struct ctl_tunnel_facts){
		.configured = t != NULL,
		.enabled = t && t->conf.enabled,
		.has_sa = t && t->up,
		.probed = probes->up + probes->down > 0,
		.probe_lost = probes->n > 0 && probes->down == probes->n,
		.probe_lossy =
			probes->lost >= LOST_MIN && loss_percent(probes) > CTL_READY_LOSS_PERCENT,
		.other_way = probes->other_way * 2 > probes->received,
		.mtu_fails = mtu->down > 0 && mtu->up == 0,
		.rekey_fails = ike && (ike->check == SPW_IKE_CHECK_REFUSED ||
				       ike->check == SPW_IKE_CHECK_NO_ANSWER),
		.pfs_unproven = ike && ike->check == SPW_IKE_CHECK_NOT_YET,
	};
}

static json_t *
quantile_json(const struct sum *s, double q)
{
	return ctl_json_quantile(s->rtt, q, s->rtt_min_us, s->rtt_max_us);
}

static const char *
probe_word(const struct sum *s)
{
	if (s->n == 0)
		return "none";
	return s->up ? "up" : s->down == s->n ? "down" : "unknown";
}

/* Without an SA nothing passes, of whatever size. */
static json_t *
mtu_json(const struct sum *s, const struct ctl_tun *t)
{
	json_t *o = json_pack("{s:s}", "verdict",
			      s->n == 0	     ? "untested"
			      : !t || !t->up ? "unknown"
			      : s->up	     ? "passes"
			      : s->down	     ? "fails"
					     : "unknown");

	if (s->last && s->last->lost_mtu)
		json_object_set_new(o, "fits_bytes", json_integer(s->last->lost_mtu));
	return o;
}

static json_t *
age_json(uint64_t then)
{
	uint64_t now = spw_clock_ns();

	return then && then <= now ? ctl_json_seconds(now - then) : json_null();
}

static void
findings_add(json_t *list, json_t *remarks, const char *tunnel, const struct ctl_tun *t,
	     const struct spw_ike_status *ike, unsigned int perils)
{
	char cause[CTL_TEXT], mend[2 * CTL_TEXT];

	for (unsigned int p = 0; p < CTL_PERILS; p++) {
		const char *text = ctl_peril_text(p);

		if (!(perils >> p & 1))
			continue;
		if (p == CTL_PERIL_NO_SA && ike && ike->reason[0])
			text = ike->reason;
		else if (p == CTL_PERIL_NO_SA && t && t->reason[0])
			text = t->reason;
		if (p == CTL_PERIL_REKEY && t && ctl_pfs_cause(ike, cause, sizeof(cause))) {
			ctl_pfs_mend(&t->conf, ike, mend, sizeof(mend));
			json_array_append_new(
				list, json_sprintf("tunnel %s: %s: %s", tunnel, cause, mend));
			continue;
		}
		json_array_append_new(ctl_peril_is_remark(p) ? remarks : list,
				      json_sprintf("tunnel %s: %s", tunnel, text));
	}
}

/* What a vnet's object is made of while its tunnels are walked. */
struct walk {
	struct ctl_vnet_facts facts;
	struct ctl_capacity capacity;
	bool capacity_known;
	json_t *tunnels, *findings, *remarks;
	const char *standby;
	const char *primary; /* a tunnel over ExpressRoute that would carry */
};

static json_t *
tunnel_json(const struct ctl_readiness *r, const struct ctl_tun *t, const struct sum *probes,
	    const struct sum *mtu, enum ctl_ready verdict, const char *name)
{
	const struct spw_ike_status *ike = ctl_ike_list_find(&r->ike, name);
	bool up = ike && (ike->state == SPW_IKE_ESTABLISHED || ike->state == SPW_IKE_REKEYING);
	uint64_t installed = t && t->id < TUNNELS ? r->installed_ns[t->id] : 0;

	return json_pack(
		"{s:s,s:s,s:o,s:o,s:o,s:I,s:I,s:s,s:s,s:o,s:o,s:o,s:I,s:o,s:o}", "tunnel", name,
		"verdict", ctl_ready_name(verdict), "ike_up_s",
		up ? age_json(ike->since_ns) : json_null(), "child_age_s", age_json(installed),
		"last_rekey_s", ike && ike->child_rekeys ? age_json(installed) : json_null(),
		"child_rekeys", (json_int_t)(ike ? ike->child_rekeys : 0), "child_rekey_failures",
		(json_int_t)(ike ? ike->child_rekey_failures : 0), "pfs",
		t ? ctl_pfs_word(&t->conf, ike) : "unknown", "probe", probe_word(probes),
		"probe_loss_percent", probes->sent ? json_real(loss_percent(probes)) : json_null(),
		"rtt_p50_us", quantile_json(probes, 0.5), "rtt_p99_us", quantile_json(probes, 0.99),
		"mtu", (json_int_t)(t ? t->conf.mtu : 0), "mtu_test", mtu_json(mtu, t),
		"capacity_kbps",
		t && t->conf.capacity_kbps ? json_integer(t->conf.capacity_kbps) : json_null());
}

/* One that stands behind ExpressRoute. */
static void
standby_add(struct walk *w, const struct ctl_tun *t, const char *name, enum ctl_ready verdict)
{
	w->facts.ready += verdict == CTL_READY;
	w->facts.degraded += verdict == CTL_DEGRADED;
	w->facts.not_ready += verdict == CTL_NOT_READY;
	if (verdict == CTL_NOT_READY)
		return;
	w->standby = w->standby ? w->standby : name;
	w->capacity_known &= t->conf.capacity_kbps > 0;
	w->capacity.capacity_kbps += t->conf.capacity_kbps;
	w->capacity.shaped &= t->conf.shape;
}

/* What is wrong with a tunnel over ExpressRoute is of the standby while its backup carries. */
static bool
tells_of_standby(const struct walk *w, const struct ctl_tun *t)
{
	return !t || !t->encrypts || w->facts.on_backup;
}

static void
walk_tunnel(struct ctl_readiness *r, struct ctl_runtime *rt, const struct ctl_vnet_state *v,
	    unsigned int n, struct walk *w)
{
	const struct ctl_tun *t = v->tun[n];
	const char *name = v->conf.tunnel[n].name;
	const struct spw_ike_status *ike = ctl_ike_list_find(&r->ike, name);
	struct ctl_tunnel_facts f;
	enum ctl_ready verdict;
	struct sum probes, mtu;
	unsigned int perils;

	sum_of(r, rt, v->conf.name, t ? t->path : NULL, WATCH_FORWARDING, &probes);
	sum_of(r, rt, v->conf.name, t ? t->path : NULL, WATCH_MTU, &mtu);
	facts_of(t, ike, &probes, &mtu, &f);
	verdict = ctl_ready_tunnel(&f, &perils);
	if (t && t->encrypts)
		w->primary = w->primary || verdict == CTL_NOT_READY ? w->primary : name;
	else
		standby_add(w, t, name, verdict);
	findings_add(tells_of_standby(w, t) ? w->findings : w->remarks, w->remarks, name, t, ike,
		     perils);
	json_array_append_new(w->tunnels, tunnel_json(r, t, &probes, &mtu, verdict, name));
}

static void
load_add(struct ctl_runtime *rt, const struct ctl_vnet_state *v, struct walk *w)
{
	struct ctl_path *path[PATHS_MAX];
	unsigned int n = watch_vnet_paths(rt, v, path, PATHS_MAX);
	double kbps[SPW_DP_CLASSES];

	for (unsigned int i = 0; i < n; i++)
		for (unsigned int c = 0; watch_load_of(rt, path[i]->id, kbps) && c < SPW_DP_CLASSES;
		     c++)
			w->capacity.load_kbps[c] += kbps[c];
}

static json_t *
class_json(struct ctl_runtime *rt, const struct walk *w, const struct ctl_fit *fit, unsigned int c)
{
	char name[CTL_NAME];

	ctl_classes_name(&rt->config, c, name);
	return json_pack("{s:s,s:i,s:f,s:o,s:o}", "class", name, "rank", (int)c + 1, "load_kbps",
			 w->capacity.load_kbps[c], "passes_kbps",
			 w->capacity_known ? json_real(fit->granted_kbps[c]) : json_null(), "fits",
			 w->capacity_known ? json_boolean(fit->fits[c]) : json_null());
}

static json_t *
capacity_json(struct ctl_runtime *rt, struct walk *w)
{
	struct spw_dp_classes classes;
	json_t *list = json_array();
	struct ctl_fit fit;

	ctl_classes_message(&rt->config, &classes);
	memcpy(w->capacity.share_percent, classes.share_percent, sizeof(classes.share_percent));
	ctl_capacity_fit(&w->capacity, &fit);
	for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
		json_array_append_new(list, class_json(rt, w, &fit, c));
		if (!w->capacity_known || fit.fits[c])
			continue;
		w->facts.short_of_capacity = true;
		json_array_append_new(
			w->findings,
			json_sprintf("class %s: %.1f of %.1f Mb/s would not fit",
				     json_string_value(
					     json_object_get(json_array_get(list, c), "class")),
				     (w->capacity.load_kbps[c] - fit.granted_kbps[c]) / 1000,
				     w->capacity.load_kbps[c] / 1000));
	}
	return json_pack("{s:o,s:f,s:o,s:b,s:o}", "capacity_kbps",
			 w->capacity_known ? json_real(w->capacity.capacity_kbps) : json_null(),
			 "load_kbps", fit.load_kbps, "fits",
			 w->capacity_known ? json_boolean(fit.all) : json_null(), "shaped",
			 (int)w->capacity.shaped, "classes", list);
}

static bool
internet_is_up(const struct ctl_runtime *rt)
{
	for (const struct ctl_iface *i = rt->ifaces; i; i = i->next)
		if (i->keep && i->enabled && i->role == SPW_IF_ROLE_INTERNET && ctl_link_is_up(i))
			return true;
	return false;
}

static void
say(json_t *findings, bool holds, const char *text)
{
	if (holds)
		json_array_append_new(findings, json_string(text));
}

/* Findings that are not of a tunnel, and the facts behind them. */
static void
walk_vnet(const struct ctl_readiness *r, struct ctl_runtime *rt, const struct ctl_vnet_state *v,
	  struct walk *w)
{
	struct ctl_vnet_facts *f = &w->facts;
	struct ctl_circuit_view er;

	ctl_show_circuit(rt, v, &er);
	f->dataplane = r->dataplane;
	f->iked = r->iked;
	f->locked_out = v->request == CTL_OPERATOR_LOCKOUT;
	f->circuit_up = er.alive && (!v->encrypted || w->primary);
	f->backup_is_internet = v->conf.peering == CTL_PEERING_MICROSOFT;
	f->internet_up = internet_is_up(rt);
	say(w->findings, f->on_backup && !er.learnt, "expressroute: no route learnt");
	say(w->findings, f->on_backup && er.learnt && !er.alive,
	    "expressroute: the next hop is dead");
	say(w->findings, f->backup_is_internet && !f->internet_up, "no internet interface is up");
	say(w->findings, f->locked_out, "an operator has locked the backup out");
	say(w->findings, !r->dataplane, "the data plane does not answer");
	say(w->findings, !r->iked, "spillway-iked does not answer");
	say(w->remarks, w->facts.ready + w->facts.degraded > 0 && !w->capacity_known,
	    "the capacity of a tunnel is not known: set its azure-sku or bandwidth");
}

json_t *
ctl_readiness_vnet(struct ctl_readiness *r, struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	struct walk w = {.facts = {.on_backup = ctl_vnet_on_backup(v)},
			 .capacity_known = true,
			 .capacity = {.shaped = true},
			 .tunnels = json_array(),
			 .findings = json_array(),
			 .remarks = json_array()};
	enum ctl_ready verdict;
	json_t *capacity, *o;

	for (unsigned int i = 0; i < v->conf.n_tunnels; i++)
		walk_tunnel(r, rt, v, i, &w);
	w.capacity_known &= w.facts.ready + w.facts.degraded > 0;
	load_add(rt, v, &w);
	capacity = capacity_json(rt, &w);
	walk_vnet(r, rt, v, &w);
	verdict = ctl_ready_vnet(&w.facts);
	o = json_pack("{s:s,s:s,s:b,s:o,s:s,s:o,s:o,s:o,s:o}", "name", v->conf.name, "verdict",
		      ctl_ready_name(verdict), "ready", verdict != CTL_NOT_READY, "standby",
		      verdict == CTL_NOT_READY ? json_null()
		      : w.facts.on_backup      ? json_string(w.primary ? w.primary : "expressroute")
		      : w.facts.backup_is_internet ? json_string("internet")
						   : ctl_json_text(w.standby),
		      "active", ctl_failover_name(rt, v->kind, v->path), "findings", w.findings,
		      "remarks", w.remarks, "tunnels", w.tunnels, "capacity", capacity);
	return o;
}

static void
tell(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const char *old, const char *new,
     const char *why)
{
	spw_log(strcmp(new, "ready") == 0 ? SPW_LOG_INFO : SPW_LOG_WARNING, "failover", "readiness",
		"vnet=%s old=%s new=%s why=\"%s\"", v->conf.name, old, new, why ? why : "-");
	ctl_journal_note(rt, "readiness",
			 json_pack("{s:s,s:s,s:s,s:o}", "vnet", v->conf.name, "old", old, "new",
				   new, "why", ctl_json_text(why)));
}

/* A gateway that starts ready says nothing. */
static void
look(struct ctl_readiness *r, struct ctl_runtime *rt, const struct ctl_vnet_state *v)
{
	json_t *o = ctl_readiness_vnet(r, rt, v);
	const char *now = json_string_value(json_object_get(o, "verdict"));
	const char *why = json_string_value(json_array_get(json_object_get(o, "findings"), 0));
	const char *before = json_string_value(json_object_get(rt->watch->readiness, v->conf.name));

	if (strcmp(now, before ? before : "ready") != 0)
		tell(rt, v, before ? before : "ready", now, why);
	if (!rt->watch->readiness)
		rt->watch->readiness = json_object();
	json_object_set(rt->watch->readiness, v->conf.name, json_object_get(o, "verdict"));
	json_decref(o);
}

void
ctl_readiness_tick(struct ctl_runtime *rt)
{
	static unsigned int ticks;
	struct ctl_readiness *r;

	if (!rt->vnets || !rt->watch || spw_clock_ns() - rt->started_ns < FIRST_NS ||
	    ++ticks % TICKS != 0)
		return;
	r = ctl_readiness_read(rt);
	for (const struct ctl_vnet_state *v = rt->vnets; r && v; v = v->next)
		if (v->keep && v->evaluated)
			look(r, rt, v);
	ctl_readiness_free(r);
}
