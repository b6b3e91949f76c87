/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: the client of ike.sock. */
#ifndef SPW_CONTROL_IKED_H
#define SPW_CONTROL_IKED_H

#include "control/runtime_priv.h"

/* Start connecting, again and again. 0 or -ENOMEM. */
int ctl_iked_new(struct ctl_runtime *rt);
void ctl_iked_free(struct ctl_runtime *rt);
bool ctl_iked_connected(const struct ctl_runtime *rt);
const struct spw_ike_hello_reply *ctl_iked_hello(const struct ctl_runtime *rt);
/* Sockets and connections of the running configuration, all of them, then a sweep. */
void ctl_iked_sync(struct ctl_runtime *rt);
/* True when the last sync could not say all: a key file or a local port was not to be had. */
bool ctl_iked_is_incomplete(const struct ctl_runtime *rt);
/* Visit the status of each connection. 0 or -errno with a sentence. */
int ctl_iked_status(struct ctl_runtime *rt,
		    void (*visit)(void *ctx, const struct spw_ike_status *s), void *ctx,
		    struct spw_err *err);
/* RESET or REKEY of a tunnel. */
int ctl_iked_command(struct ctl_runtime *rt, uint16_t number, const char *tunnel, uint32_t what,
		     struct spw_err *err);
/* IKE leaves by the interface that a tunnel is bound to (ctl_tun.uplink), whatever the routes say. */
void ctl_iked_uplinks(struct ctl_runtime *rt);
/* Does the tunnel have to carry IPv6: an address of its own, or a prefix of a vnet that it backs
 * up?
 */
bool ctl_iked_carries_ipv6(const struct ctl_config *config, const struct ctl_tunnel *tunnel);
/*
 * The message for a tunnel, all but the key. @out must be wiped after use when the key was added.
 * @ipv6  without configured selectors, any-to-any in IPv6, too
 */
void ctl_iked_conn_message(const struct ctl_tunnel *conf, uint32_t tunnel, uint32_t generation,
			   bool ipv6, struct spw_ike_conn *out);

#endif
