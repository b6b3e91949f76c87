/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runtime: making, applying a configuration, once a second, commands, the end.
 *
 * Applying cannot fail and goes in this order: objects by name; twins with their addresses; the
 * kernel read anew; covering leaves; the data plane told everything (or as soon as it is back);
 * static routes and pins; iked; FRR; last, what nobody names any more is freed. The order is
 * spelled out in ctl_runtime_apply() and ctl_sync_all(), nowhere else.
 *
 * One thread. Nothing here waits longer than for the kernel, a file, or the other daemons'
 * replies.
 */
#include "control/runtime.h"

#include <errno.h>
#include <event2/event.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/bmp.h"
#include "control/dataplane.h"
#include "control/drill.h"
#include "control/failover.h"
#include "control/fib.h"
#include "control/frr.h"
#include "control/iked.h"
#include "control/pins.h"
#include "control/plan.h"
#include "control/show.h"
#include "control/twin.h"
#include "control/watch_private.h"

#define PORT_RETRY_TICKS   5
#define TUNNEL_RETRY_TICKS 15

/* A peer on a connected network has no next hop but itself. */
static void
keep_peer(struct ctl_runtime *rt, const struct ctl_tun *t)
{
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next)
		for (unsigned int a = 0; i->keep && !i->tunnel && a < i->n_addresses; a++)
			if (spw_prefix_contains_addr(&i->address[a], &t->conf.remote))
				ctl_neighbour_want(rt, i, &t->conf.remote);
}

static void
keep_next_hops(struct ctl_runtime *rt)
{
	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next)
		keep_peer(rt, t);
	for (struct ctl_path *p = rt->paths; p; p = p->next)
		if (p->kind == SPW_PATH_ADJACENCY && p->iface->role != SPW_IF_ROLE_LAN &&
		    ctl_link_is_up(p->iface))
			ctl_neighbour_want(rt, p->iface, &p->next_hop);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	static unsigned int ticks;
	struct ctl_runtime *rt = arg;

	if (!rt->configured)
		return;
	if (ctl_dataplane_connected(rt)) {
		if (ctl_sync_tunnels(rt))
			ctl_fib_update(rt);
		ctl_fib_collect(rt);
		ctl_paths_tick(rt);
		ctl_watch_tick(rt);
		ctl_show_sample(rt);
		ctl_readiness_tick(rt);
	}
	ctl_twin_say_again(rt);
	/* A bit that was refused as stale, a neighbour that was forgotten: looked at again. */
	keep_next_hops(rt);
	ctl_fib_update(rt);
	ctl_failover_tick(rt);
	ctl_bmp_tick(rt);
	ctl_frr_tick(rt);
	if (++ticks % PORT_RETRY_TICKS == 0)
		ctl_sync_retry_ports(rt);
	if (ticks % TUNNEL_RETRY_TICKS == 0 && ctl_iked_is_incomplete(rt))
		ctl_iked_sync(rt);
}

static void
options_copy(struct ctl_runtime *rt, const struct ctl_runtime_options *o)
{
	snprintf(rt->run_dir, sizeof(rt->run_dir), "%s", o->run_dir);
	snprintf(rt->state_dir, sizeof(rt->state_dir), "%s", o->state_dir ? o->state_dir : "");
	snprintf(rt->frr_dir, sizeof(rt->frr_dir), "%s", o->frr_dir ? o->frr_dir : "");
	snprintf(rt->iked_user, sizeof(rt->iked_user), "%s",
		 o->iked_user ? o->iked_user : "spillway-iked");
	snprintf(rt->dataplane_path, sizeof(rt->dataplane_path), "%s/dataplane.sock", rt->run_dir);
	snprintf(rt->ike_path, sizeof(rt->ike_path), "%s/ike.sock", rt->run_dir);
}

static int
parts_new(struct ctl_runtime *rt, struct spw_err *err)
{
	char path[CTL_PATH + 32];
	struct timeval second = {.tv_sec = 1};
	int rc;

	snprintf(path, sizeof(path), "%s/controld.ids", rt->run_dir);
	rc = ctl_ids_open(&rt->ids, path, err);
	if (rc == 0)
		rc = ctl_netlink_new(&rt->netlink, rt->base, &ctl_follow_handler, rt, err);
	if (rc != 0)
		return rc;
	rt->tick = event_new(rt->base, -1, EV_PERSIST, on_tick, rt);
	if (ctl_rib_init(&rt->rib) != 0 || ctl_failover_new(rt) != 0 || ctl_frr_new(rt) != 0 ||
	    ctl_watch_new(rt) != 0 ||
	    ctl_show_new(rt) != 0 || ctl_dataplane_new(rt) != 0 || ctl_iked_new(rt) != 0 ||
	    !rt->tick || event_add(rt->tick, &second) != 0)
		return spw_fail(err, -ENOMEM, "out of memory");
	/* Without it everything is heard from the kernel. */
	if (ctl_pins_new(rt) != 0 || ctl_bmp_new(rt) == -ENOMEM)
		return spw_fail(err, -ENOMEM, "out of memory");
	return 0;
}

int
ctl_runtime_new(struct ctl_runtime **out, struct event_base *base,
		const struct ctl_runtime_options *options, struct spw_err *err)
{
	struct ctl_runtime *rt = calloc(1, sizeof(*rt));
	int rc;

	if (!rt)
		return spw_fail(err, -ENOMEM, "out of memory");
	rt->base = base;
	rt->started_ns = spw_clock_ns();
	options_copy(rt, options);
	rc = parts_new(rt, err);
	if (rc != 0) {
		ctl_runtime_free(rt);
		return rc;
	}
	*out = rt;
	return 0;
}

void
ctl_runtime_free(struct ctl_runtime *rt)
{
	if (!rt)
		return;
	ctl_frr_free(rt);
	ctl_bmp_free(rt);
	ctl_pins_free(rt);
	ctl_iked_free(rt);
	ctl_dataplane_free(rt);
	ctl_netlink_free(rt->netlink);
	ctl_failover_free(rt);
	ctl_show_free(rt);
	ctl_watch_free(rt);
	ctl_journal_free(rt);
	if (rt->tick)
		event_free(rt->tick);
	if (rt->rib.bucket)
		ctl_fib_free(rt);
	tdestroy(rt->neighbours, free);
	ctl_objects_free(rt);
	ctl_ids_close(rt->ids);
	ctl_config_release(&rt->config);
	free(rt);
}

int
ctl_runtime_prepare(struct ctl_runtime *rt, const struct ctl_config *next, struct ctl_plan **plan,
		    struct spw_err *err)
{
	return ctl_plan_make(rt, next, plan, err);
}

void
ctl_runtime_abandon(struct ctl_runtime *rt, struct ctl_plan *plan)
{
	ctl_plan_undo(rt, plan);
}

static void
twins_make(struct ctl_runtime *rt)
{
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next) {
		struct spw_err err = {0};

		if (i->keep && ctl_twin_ensure(rt, i, i->port ? i->port->mac : NULL, &err) != 0)
			spw_log(SPW_LOG_ERROR, "twin", "failed", "interface=%s error=\"%s\"",
				i->name, err.text);
	}
}

void
ctl_runtime_apply(struct ctl_runtime *rt, struct ctl_plan *plan)
{
	bool had_bgp = rt->config.bgp.local_as != 0;

	ctl_config_release(&rt->config);
	ctl_plan_take(plan, &rt->config);
	ctl_twin_namespace();
	ctl_objects_reconcile(rt);
	twins_make(rt);
	ctl_fib_covers(rt);
	ctl_fib_dirty_all(rt);
	/* Nothing is told about objects that the data plane does not have yet. */
	rt->in_sync = false;
	/* From here on events count; the first reading finds what was there before us. */
	rt->configured = true;
	ctl_netlink_resync(rt->netlink);
	if (!rt->kernel_known) {
		rt->kernel_known = true;
		ctl_fib_update(rt);
	}
	ctl_statics_apply(rt);
	ctl_pins_apply(rt);
	ctl_sync_all(rt);
	/* Nothing may refer to what goes. */
	ctl_fib_update_all(rt);
	ctl_fib_collect(rt);
	ctl_iked_sync(rt);
	if (rt->config.bgp.local_as || had_bgp)
		ctl_frr_apply(rt);
	ctl_objects_prune(rt);
}

static void
tunnel_command(struct ctl_runtime *rt, const char *const *words, unsigned int n, ctl_done_fn done,
	       void *ctx)
{
	bool reset = strcmp(words[0], "reset") == 0;
	bool child = n > 3 && strcmp(words[3], "child") == 0;
	struct spw_err err = {0};
	json_t *reply = NULL;

	if (n < 3 || strcmp(words[1], "tunnel") != 0)
		spw_fail(&err, -EINVAL, "%s: name the tunnel, as in '%s tunnel NAME [ike|child]'",
			 words[0], words[0]);
	else if (n > 3 && !child && strcmp(words[3], "ike") != 0)
		spw_fail(&err, -EINVAL, "%s tunnel: '%.16s' is neither 'ike' nor 'child'", words[0],
			 words[3]);
	else if (!ctl_tun_by_name(rt, words[2]))
		spw_fail(&err, -ENOENT, "no tunnel '%.32s'; see 'show ike'", words[2]);
	else if (ctl_iked_command(rt, reset ? SPW_IKE_RESET : SPW_IKE_REKEY, words[2],
				  child ? SPW_IKE_RESET_CHILD : SPW_IKE_RESET_IKE, &err) == 0)
		reply = json_pack("{s:o}", "message",
				  json_sprintf("tunnel %s: %s of its %s was started", words[2],
					       reset ? "reset" : "rekey",
					       child ? "child SA" : "IKE SA"));
	done(ctx, err.code, reply, &err);
	json_decref(reply);
}

void
ctl_runtime_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
		    ctl_done_fn done, void *ctx)
{
	struct spw_err err = {0};

	if (n >= 1 && strcmp(words[0], "failover") == 0) {
		ctl_failover_command(rt, words, n, done, ctx);
	} else if (n >= 1 && (strcmp(words[0], "reset") == 0 || strcmp(words[0], "rekey") == 0)) {
		tunnel_command(rt, words, n, done, ctx);
	} else if (n == 2 && strcmp(words[0], "clear") == 0 && strcmp(words[1], "counters") == 0) {
		ctl_show_clear(rt, done, ctx);
	} else {
		spw_fail(&err, -EINVAL, "no command '%.32s'", n ? words[0] : "");
		done(ctx, err.code, NULL, &err);
	}
}

void
ctl_runtime_cancel(struct ctl_runtime *rt, void *ctx)
{
	ctl_drill_cancel(rt, ctx);
}
