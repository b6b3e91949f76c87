/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: control.sock. Described in docs/control-socket.md. One thread. */
#ifndef SPW_CONTROL_SERVER_H
#define SPW_CONTROL_SERVER_H

#include "control/commit.h"

#define CTL_FRAME_MAX	65536 /* bytes of one request */
#define CTL_CLIENTS_MAX 32
#define CTL_GROUP	"spillway"

struct ctl_server;

/*
 * Listen on run_dir/control.sock (0660, group spillway where that group exists). commit and rt are
 * borrowed until ctl_server_free(). 0 or -errno with a sentence.
 */
int ctl_server_new(struct ctl_server **server, struct event_base *base, const char *run_dir,
		   struct ctl_commit *commit, struct ctl_runtime *rt, struct spw_err *err);
/* Close the clients and remove the socket. */
void ctl_server_free(struct ctl_server *server);

#endif
