/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the probes say of the paths (the rule is in watch_rules.c).
 *
 * A path is looked at when all its probes, of whatever vnet, are silent; then some vnet must have
 * another path that stands and whose answers prove that its targets live. So a dead target, or a
 * LAN that is cut off, moves nothing, and the last path is never taken away. The states come
 * by events; before a path is condemned the data plane is asked once for the newest answers of the
 * others, since events tell changes only.
 *
 * After a restart of this process a bit that the data plane holds clear under silent probes counts
 * as condemned before.
 */
#include <string.h>
#include <sys/socket.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/watch_private.h"

#define PATHS_MAX (WATCH_CIRCUIT_PATHS + SPW_DP_TIER_PATHS)

/* Add up a path's probes of one vnet, or of all (NULL), of one address family, or of both (0). */
static void
add_up(const struct ctl_watch *w, const char *vnet, uint32_t path, uint8_t family,
       struct ctl_probed *out)
{
	memset(out, 0, sizeof(*out));
	for (const struct watch_probe *p = w->of_path[path]; p; p = p->path_next) {
		uint64_t interval = p->content.interval_ms * SPW_NS_PER_MS;

		if (p->purpose != WATCH_FORWARDING || (vnet && strcmp(vnet, p->vnet) != 0) ||
		    (family && p->content.target.family != family))
			continue;
		out->n++;
		out->up += p->state == SPW_PROBE_UP;
		out->down += p->state == SPW_PROBE_DOWN;
		if (p->last_ok_ns > out->last_ok_ns)
			out->last_ok_ns = p->last_ok_ns;
		if (interval > out->interval_ns)
			out->interval_ns = interval;
	}
}

static bool
carries(const struct ctl_path *p, uint8_t family)
{
	return p->kind == SPW_PATH_TUNNEL || p->next_hop.family == family;
}

/* Has the vnet another path for a family that stands, and proves the targets alive? */
static void
others_of(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_path *lost,
	  uint8_t family, struct ctl_probed_family *out)
{
	struct ctl_path *path[PATHS_MAX];
	unsigned int n = watch_vnet_paths(rt, v, path, PATHS_MAX);
	struct ctl_probed mine, other;

	add_up(rt->watch, v->conf.name, lost->id, family, &mine);
	*out = (struct ctl_probed_family){.probed = mine.n > 0, .was_up = mine.last_ok_ns > 0};
	for (unsigned int i = 0; mine.n > 0 && i < n; i++) {
		if (path[i] == lost || !path[i]->alive || !carries(path[i], family))
			continue;
		add_up(rt->watch, v->conf.name, path[i]->id, family, &other);
		out->stands = true;
		out->better |= ctl_probed_is_better(&other, &mine);
	}
}

static void
others(struct ctl_runtime *rt, const struct ctl_vnet_state *v, const struct ctl_path *lost,
       bool *stands, bool *better)
{
	struct ctl_probed_family four, six;
	bool there, proves;

	others_of(rt, v, lost, AF_INET, &four);
	others_of(rt, v, lost, AF_INET6, &six);
	ctl_probed_families(&four, &six, &there, &proves);
	*stands |= there;
	*better |= proves;
}

static bool
verdict(struct ctl_runtime *rt, const struct ctl_path *p, bool had)
{
	const char *done = "";
	struct ctl_probed all;
	bool stands = false, better = false;

	add_up(rt->watch, NULL, p->id, 0, &all);
	if (all.n == 0 || all.up > 0 || (!had && all.down < all.n))
		return false;
	for (const struct watch_probe *x = rt->watch->of_path[p->id]; x; x = x->path_next) {
		const struct ctl_vnet_state *v =
			strcmp(x->vnet, done) != 0 ? ctl_vnet_by_name(rt, x->vnet) : NULL;

		done = x->vnet;
		if (v)
			others(rt, v, p, &stands, &better);
	}
	return ctl_probed_condemn(had, &all, better, stands);
}

/* By a process before this one: seen during a sync alone, when nothing else has cleared bits. */
static bool
was_condemned(const struct ctl_runtime *rt, const struct ctl_path *p)
{
	struct ctl_probed all;

	if (rt->in_sync || !p->in_dataplane || p->bit)
		return false;
	add_up(rt->watch, NULL, p->id, 0, &all);
	return all.n > 0 && all.down == all.n;
}

static void
judge(struct ctl_runtime *rt, struct ctl_path *p, uint64_t at_ns)
{
	bool had = p->faults & CTL_FAULT_PROBE, is;
	struct ctl_probed all;
	double detect_ms = -1;

	is = verdict(rt, p, had || was_condemned(rt, p));
	if (is == had)
		return;
	add_up(rt->watch, NULL, p->id, 0, &all);
	if (is && all.last_ok_ns && all.last_ok_ns < at_ns)
		detect_ms = (double)(at_ns - all.last_ok_ns) / SPW_NS_PER_MS;
	watch_fault(rt, p, CTL_FAULT_PROBE, is, at_ns, detect_ms);
}

void
watch_verdict(struct ctl_runtime *rt, uint64_t event_ns)
{
	for (struct ctl_path *p = rt->paths; p; p = p->next)
		if ((p->faults & CTL_FAULT_PROBE) || rt->watch->of_path[p->id])
			judge(rt, p, event_ns);
}

static void
refresh_one(void *ctx, const void *elem)
{
	const struct spw_dp_probe_stats *s = elem;
	struct watch_probe *w = watch_probe_by_id(ctx, s->id);

	if (!w || !w->told || s->path != w->content.path)
		return;
	if (s->state == SPW_PROBE_UP && (w->rebase || w->state != SPW_PROBE_UP)) {
		w->up_lost = s->lost;
		w->up_received = s->received;
		w->rebase = false;
	}
	w->state = s->state;
	w->last_ok_ns = s->last_ok_ns;
}

void
watch_verdict_refresh(struct ctl_runtime *rt)
{
	bool any = rt->watch->probes != NULL;

	if (any && ctl_dataplane_get(rt, SPW_DP_GET_PROBES, NULL, 0,
				     sizeof(struct spw_dp_probe_stats), refresh_one, rt, NULL) != 0)
		return;
	watch_verdict(rt, spw_clock_ns());
}

static void
note_change(const struct ctl_runtime *rt, const struct watch_probe *w, enum spw_probe_state state)
{
	static struct spw_log_limit limit = SPW_LOG_LIMIT(5, 20);
	char text[SPW_ADDR_TEXT];
	const struct ctl_path *p = rt->path[w->content.path];

	if (w->state != state && w->purpose != WATCH_BURST)
		spw_log_limited(&limit, state == SPW_PROBE_UP ? SPW_LOG_INFO : SPW_LOG_WARNING,
				"probe", state == SPW_PROBE_UP ? "up" : "down",
				"vnet=%s path=\"%s\" target=%s size=%u", w->vnet, p ? p->key : "-",
				spw_addr_format(&w->content.target, text), w->content.size);
}

void
ctl_watch_probe_event(struct ctl_runtime *rt, const struct spw_dp_probe_event *ev)
{
	struct watch_probe *w = watch_probe_by_id(rt, ev->id);

	if (!w)
		return;
	note_change(rt, w, ev->state);
	w->rebase |= ev->state == SPW_PROBE_UP && w->state != ev->state;
	w->state = ev->state;
	w->last_ok_ns = ev->last_ok_ns;
	if (w->purpose != WATCH_FORWARDING)
		return;
	if (ev->state != SPW_PROBE_DOWN)
		watch_verdict(rt, ev->at_ns);
	else if (ctl_dataplane_get(rt, SPW_DP_GET_PROBES, NULL, 0,
				   sizeof(struct spw_dp_probe_stats), refresh_one, rt, NULL) == 0)
		watch_verdict(rt, ev->at_ns);
}
