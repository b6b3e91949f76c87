/* SPDX-License-Identifier: BSD-3-Clause */
/* What iked.c and iked_sockets.c share. */
#ifndef SPW_CONTROL_IKED_PRIVATE_H
#define SPW_CONTROL_IKED_PRIVATE_H

#include "control/iked.h"

struct ctl_iked_local {
	struct spw_addr addr;
	int fd[2];	 /* ports 500 and 4500 */
	uint32_t uplink; /* interface by which they send, 0 = by the routes */
	bool used;
};

struct ctl_iked {
	struct spw_client calls;
	int events_fd;
	struct event *readable, *retry;
	bool connected, told, incomplete;
	uint32_t retry_ms;
	int escrow_fd; /* of iked's IKE SAs, for its next instance; -1 = none */
	struct spw_ike_hello_reply hello;
	unsigned int n_locals;
	struct ctl_iked_local local[CTL_TUNNEL_LOCALS];
	struct spw_msg msg, event;
};

/* One call of ike.sock, the answer in rt->iked->msg. 0 or -errno with a sentence. */
int ctl_iked_call(struct ctl_runtime *rt, uint16_t number, const void *elem, uint16_t elem_size,
		  const int *fds, unsigned int n_fds, struct spw_err *err);
/* Bind what the tunnels need, hand it over, close the rest. */
void ctl_iked_sockets_sync(struct ctl_runtime *rt);
/* Close those that no tunnel uses, or all. */
void ctl_iked_sockets_close(struct ctl_iked *k, bool all);

#endif
