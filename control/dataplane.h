/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: the client of dataplane.sock. */
#ifndef SPW_CONTROL_DATAPLANE_H
#define SPW_CONTROL_DATAPLANE_H

#include "control/runtime_priv.h"

/* Start connecting, again and again. 0 or -ENOMEM. */
int ctl_dataplane_new(struct ctl_runtime *rt);
void ctl_dataplane_free(struct ctl_runtime *rt);
bool ctl_dataplane_connected(const struct ctl_runtime *rt);
/* What the data plane said at hello; valid while connected. */
const struct spw_dp_hello_reply *ctl_dataplane_hello(const struct ctl_runtime *rt);
/* The sentence for "it is not there". Returns -ENOTCONN. */
int ctl_dataplane_refuse(const struct ctl_runtime *rt, struct spw_err *err);

/*
 * Send elements in as many messages as they need and wait for each reply. @fd is passed with the
 * message (-1 = none; then count is 1). -ENOTCONN while it is away; when the connection dies on the
 * way, everything is sent again once it is back. Other errors are the data plane's own.
 */
int ctl_dataplane_send(struct ctl_runtime *rt, uint16_t number, const void *elems,
		       uint16_t elem_size, size_t count, int fd, struct spw_err *err);
/* Ask for a dump, hand each element of elem_size bytes to visit. */
int ctl_dataplane_get(struct ctl_runtime *rt, uint16_t number, const void *query,
		      uint16_t query_size, uint16_t elem_size,
		      void (*visit)(void *ctx, const void *elem), void *ctx, struct spw_err *err);
/* PORT_SET for one port and its MAC. */
int ctl_dataplane_port(struct ctl_runtime *rt, const struct spw_dp_port *port, uint8_t mac[6],
		       struct spw_err *err);

/* sync.c: tell the data plane everything there is and sweep what is not ours any more. */
void ctl_sync_all(struct ctl_runtime *rt);
/* One interface (with a queue of its twin when it has none yet), one tunnel, one address, one
 * neighbour. */
void ctl_sync_iface(struct ctl_runtime *rt, struct ctl_iface *iface);
void ctl_sync_address(struct ctl_runtime *rt, const struct ctl_iface *iface,
		      const struct spw_prefix *prefix, bool add);
void ctl_sync_neighbour(struct ctl_runtime *rt, const struct ctl_neighbour *n, bool add);
void ctl_sync_link(struct ctl_runtime *rt, const struct ctl_port *port, uint64_t at_ns);
/* Ask which tunnels have an outbound SA and take it over. true when one went up or down; the caller
 * then calls ctl_fib_update(). */
bool ctl_sync_tunnels(struct ctl_runtime *rt);
/* Tell the tunnels whose outer path is another than was told; after the paths. */
void ctl_sync_outer(struct ctl_runtime *rt);
/* Probe ports again that the data plane refused. */
void ctl_sync_retry_ports(struct ctl_runtime *rt);

#endif
