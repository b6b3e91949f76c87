/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: host routes that keep the tunnels' own packets on their underlay. */
#ifndef SPW_CONTROL_PINS_H
#define SPW_CONTROL_PINS_H

#include "control/runtime_priv.h"

/* 0 or -ENOMEM. */
int ctl_pins_new(struct ctl_runtime *rt);
/* The routes stay in the kernel. */
void ctl_pins_free(struct ctl_runtime *rt);
/* Make the pins those of the configuration and remove stray ones, also of an earlier process. */
void ctl_pins_apply(struct ctl_runtime *rt);
/*
 * The outer packets of tunnels that share a far end over several uplinks are bound to a path each
 * (ctl_tun.outer), which the data plane must have first.
 */
void ctl_pins_use_paths(struct ctl_runtime *rt);
/* A kernel route changed: look again, soon. */
void ctl_pins_route_changed(struct ctl_runtime *rt, const struct ctl_rib_entry *entry);
/*
 * Tell the pinned route of a tunnel; false when it has none: disabled, its local address on no
 * interface of role internet or expressroute, the far end on a connected network, no next hop
 * known. Pure reading of the mirror.
 * @out  prefix, metric and hops
 */
bool ctl_pins_route(struct ctl_runtime *rt, const struct ctl_tun *tun, struct ctl_nl_route *out);

#endif
