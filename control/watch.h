/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: what watches the paths from the data plane: BFD sessions towards next hops
 * (routing bgp neighbor X bfd) and forwarding probes (vnet V probe T). Objects follow the
 * configuration and the paths there are; verdicts become faults of paths. Event loop thread.
 */
#ifndef SPW_CONTROL_WATCH_H
#define SPW_CONTROL_WATCH_H

#include "control/runtime_priv.h"

/* 0 or -ENOMEM. */
int ctl_watch_new(struct ctl_runtime *rt);
void ctl_watch_free(struct ctl_runtime *rt);
/*
 * Make sessions and probes those of the running configuration and of the paths that exist now, and
 * tell the data plane what is new or different. Called by a sync after the paths (then everything
 * is told, with the new generation), and once a second, because paths come with routes.
 * @all  tell everything
 */
void ctl_watch_sync(struct ctl_runtime *rt, bool all);
/* After a sync: take over the states that the data plane has. */
void ctl_watch_adopt(struct ctl_runtime *rt);
/* Events of the data plane. */
void ctl_watch_bfd_event(struct ctl_runtime *rt, const struct spw_dp_bfd_event *ev);
void ctl_watch_probe_event(struct ctl_runtime *rt, const struct spw_dp_probe_event *ev);

/*
 * A tunnel's probes say that it carries: some target answers, or none is configured, or none is
 * decided yet. @why  receives a phrase when false
 */
bool ctl_watch_tunnel_ready(struct ctl_runtime *rt, const struct ctl_tun *tun, const char **why);

#endif
