/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_MSG_H
#define SPW_LIB_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

/*
 * Framed messages between the daemons over SOCK_SEQPACKET: one header, then `count` elements of
 * one fixed-size struct. Native byte order: both ends are of one build on one machine, and the
 * protocol number in every header refuses any other.
 */
#define SPW_MSG_PROTOCOL 1
#define SPW_MSG_MAX	 65536 /* header and elements */
#define SPW_MSG_FDS	 8

enum spw_msg_flag {
	SPW_MSG_REPLY = 1u << 0,
	SPW_MSG_MORE = 1u << 1, /* further replies to the same request follow */
	SPW_MSG_EVENT = 1u << 2,
};

enum spw_role {
	SPW_ROLE_NONE = 0,
	SPW_ROLE_CONTROLD = 1u << 0,
	SPW_ROLE_IKED = 1u << 1,
	SPW_ROLE_READER = 1u << 2,
	SPW_ROLE_ANY = 7,
};

struct spw_msg_hdr {
	uint16_t protocol;
	uint16_t number; /* message number of its .def file */
	uint16_t flags;	 /* enum spw_msg_flag */
	uint16_t status; /* replies: 0 or an errno value (positive) */
	uint32_t seq;	 /* copied from request to reply */
	uint16_t count;
	uint16_t elem_size;
};

/* The only element of a reply whose status is not 0. */
struct spw_msg_error {
	uint32_t index; /* first element of the batch that was refused */
	uint32_t pad;
	char text[SPW_ERR_TEXT];
};
/* Placeholder of messages without elements; travels as count 0. */
struct spw_msg_none {
	uint8_t unused;
};

/* A received message; elements are at `body`, checked to be count * elem_size bytes. */
struct spw_msg {
	struct spw_msg_hdr hdr;
	uint8_t body[SPW_MSG_MAX - sizeof(struct spw_msg_hdr)] __attribute__((aligned(8)));
	int fds[SPW_MSG_FDS]; /* received descriptors, owned by the receiver */
	unsigned int n_fds;
};

/* Who is at the other end of a connected Unix socket (SO_PEERCRED). */
struct spw_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/*
 * Listen on DIR/NAME. An old socket file is replaced, unless somebody listens there still
 * (-EADDRINUSE); mode 0660, group `gid` (or -1 = unchanged). Returns a non-blocking, close-on-exec
 * descriptor or -errno with a sentence.
 */
int spw_msg_listen(const char *path, gid_t gid, struct spw_err *err);
/*
 * Connect to a listening socket: a blocking, close-on-exec descriptor or -errno with a sentence.
 * -EAGAIN: as many wait there as may. Never waits.
 */
int spw_msg_connect(const char *path, struct spw_err *err);
int spw_msg_peer(int fd, struct spw_peer *peer);
/*
 * Send one message; elements (count * elem_size bytes at body) and descriptors are borrowed.
 * 0, -EAGAIN when the peer does not read (back-pressure), -EMSGSIZE, or another -errno.
 */
int spw_msg_send(int fd, const struct spw_msg_hdr *hdr, const void *body, const int *fds,
		 unsigned int n_fds) __attribute__((warn_unused_result));
/*
 * Receive one message into `m`. 0; -EAGAIN when none is there; -ECONNRESET at the end of the
 * connection; -EPROTO when framing is wrong (the caller closes). Descriptors of a refused message
 * are closed.
 */
int spw_msg_recv(int fd, struct spw_msg *m) __attribute__((warn_unused_result));
/* Close all received descriptors that the handler did not take (set to -1 what was taken). */
void spw_msg_close_fds(struct spw_msg *m);
/* Wipe what a message held (SA keys, pre-shared keys). */
void spw_msg_wipe(struct spw_msg *m);

/* A client's connection: requests are answered in order, waited for. One thread. */
struct spw_client {
	int fd;
	uint32_t seq;
	uint32_t timeout_ms;
};

/*
 * Send a request and wait for its reply, left in `reply`. Events must not be subscribed on this
 * connection. Returns 0 when the reply's status is 0; else -status with the peer's sentence in
 * `err`; -ETIMEDOUT or -ECONNRESET when the peer is gone (the caller closes and reconnects).
 * For dumps call spw_client_next() while the reply has SPW_MSG_MORE.
 */
int spw_client_call(struct spw_client *c, uint16_t number, const void *elems, uint16_t elem_size,
		    uint16_t count, const int *fds, unsigned int n_fds, struct spw_msg *reply,
		    struct spw_err *err) __attribute__((warn_unused_result));
/* Wait for the next part of a dump. */
int spw_client_next(struct spw_client *c, struct spw_msg *reply, struct spw_err *err)
	__attribute__((warn_unused_result));

#endif
