/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What watches the paths: BFD sessions and probes as objects of the data plane.
 *
 * What is wanted follows from the configuration and from the paths that exist, and is made out anew
 * once a second and with every sync: new objects are told, changed ones told again, those nobody
 * wants any more are deleted and their numbers given back. Numbers come from the book of numbers,
 * so a restarted process meets its sessions where they stand and takes over their states, without a
 * false fault and without losing one. Verdicts come as events; once a second the states are read,
 * too, so that a lost event heals by itself. Sessions are swept and told behind the paths they name
 * and deleted before them.
 *
 * One thread. Memory: one object for each session and probe, at most what the data plane takes.
 */
#include "control/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/watch_private.h"

int
ctl_watch_new(struct ctl_runtime *rt)
{
	rt->watch = calloc(1, sizeof(*rt->watch));
	return rt->watch ? 0 : -ENOMEM;
}

void
ctl_watch_free(struct ctl_runtime *rt)
{
	if (!rt->watch)
		return;
	watch_bfd_free(rt);
	watch_probe_free(rt);
	json_decref(rt->watch->readiness);
	for (uint32_t i = 0; i < SPW_DP_PATHS_MAX; i++)
		watch_load_forget(rt, i);
	free(rt->watch);
	rt->watch = NULL;
}

void
watch_fault(struct ctl_runtime *rt, struct ctl_path *path, enum ctl_path_fault fault, bool on,
	    uint64_t event_ns, double detect_ms)
{
	if (rt->in_sync)
		ctl_path_fault(rt, path, fault, on, event_ns, detect_ms);
	else if (on)
		path->faults |= (uint8_t)fault;
	else
		path->faults &= (uint8_t)~fault;
}

void
watch_delete(struct ctl_runtime *rt, enum spw_dp_class class, uint32_t id)
{
	struct spw_dp_object o = {.class = class, .id = id};

	ctl_dataplane_send(rt, SPW_DP_OBJECT_DEL, &o, sizeof(o), 1, -1, NULL);
}

void
watch_refused(const char *what, const char *key, const struct spw_err *err)
{
	static struct spw_log_limit limit = SPW_LOG_LIMIT(1, 10);

	if (err->code != -ENOTCONN)
		spw_log_limited(&limit, SPW_LOG_ERROR, "watch", "refused", "%s=\"%s\" error=\"%s\"",
				what, key, err->text);
}

void
ctl_watch_sync(struct ctl_runtime *rt, bool all)
{
	struct ctl_watch *w = rt->watch;

	if (!w || !ctl_dataplane_connected(rt))
		return;
	if (w->incarnation != ctl_dataplane_hello(rt)->incarnation) {
		if (w->incarnation)
			watch_bfd_restart(rt);
		w->incarnation = ctl_dataplane_hello(rt)->incarnation;
		all = true;
	}
	if (all) /* interfaces may have other roles */
		w->paths_seen = NULL;
	watch_bfd_want(rt);
	watch_probe_want(rt);
	watch_bfd_tell(rt, all);
	watch_probe_tell(rt, all);
}

void
ctl_watch_adopt(struct ctl_runtime *rt)
{
	if (!rt->watch)
		return;
	watch_bfd_refresh(rt);
	watch_verdict_refresh(rt);
}

void
ctl_watch_tick(struct ctl_runtime *rt)
{
	if (!rt->watch || !rt->in_sync || !ctl_dataplane_connected(rt))
		return;
	ctl_watch_sync(rt, false);
	ctl_watch_adopt(rt);
	watch_load_tick(rt);
}

void
ctl_watch_burst(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet)
{
	struct ctl_watch *w = rt->watch;

	memset(w->burst_vnet, 0, sizeof(w->burst_vnet));
	if (vnet)
		memcpy(w->burst_vnet, vnet->conf.name, sizeof(w->burst_vnet));
	ctl_watch_sync(rt, false);
}

bool
ctl_watch_tunnel_ready(struct ctl_runtime *rt, const struct ctl_tun *tun, const char **why)
{
	if (!tun->path || !(tun->path->faults & CTL_FAULT_PROBE))
		return true;
	*why = "no probe through it is answered";
	return false;
}
