/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by control/server*.c only. */
#ifndef SPW_CONTROL_SERVER_PRIVATE_H
#define SPW_CONTROL_SERVER_PRIVATE_H

#include <sys/types.h>

#include "control/server.h"

struct bufferevent;
struct server_client;

struct ctl_server {
	struct event_base *base;
	struct ctl_commit *commit;
	struct ctl_runtime *rt;
	struct evconnlistener *listener;
	struct server_client *clients;
	unsigned int n_clients;
	uint64_t started_ns;
	char path[108];
};

/* A command under way in the runtime; outlives its client. */
struct server_pending {
	struct server_pending *next;
	struct server_client *client; /* NULL once it has gone */
	json_t *id;
	char what[CTL_TEXT]; /* for the audit line */
	char who[CTL_TEXT];
};

struct server_client {
	struct server_client *next;
	struct ctl_server *server;
	struct bufferevent *bev;
	struct server_pending *pending;
	struct ctl_tree saved; /* candidate at `begin` */
	bool began;
	bool may_write;
	bool closing;	    /* has shut down its side: free when all is sent */
	bool skipping;	    /* inside a frame that is too long */
	char who[CTL_TEXT]; /* "root uid 0 pid 77" */
};

/* One request, as parsed. */
struct server_request {
	struct server_client *client;
	json_t *body;
	const char *op;
	long bad_line;	/* index of the line an edit refused, -1 = none */
	char what[128]; /* for the audit line: key=value with a blank in front, or empty */
};

/* Answer one frame (text without its newline; not borrowed after the return). */
void server_input(struct server_client *client, const char *text, size_t len);
/* Send one object as a line. Takes reply. */
void server_send(struct server_client *client, json_t *reply);
/* Send the answer to a request: result (taken) or, when NULL, the error. id may be NULL;
 * line goes into the error when >= 0. */
void server_answer(struct server_client *client, json_t *id, json_t *result,
		   const struct spw_err *err, long line);
/* For a handler that fails: sets the error; NULL. */
json_t *server_fail(struct spw_err *err, int code, const char *text);
/* A member of the request that is text, or NULL. */
const char *server_text(const struct server_request *req, const char *key);
/* Handlers: a new result object, or NULL with the error. A command gives neither when it has begun:
 * its answer follows. */
json_t *server_op_command(struct server_request *req, struct spw_err *err);
json_t *server_op_secret(struct server_request *req, struct spw_err *err);
/* Forget a client's commands; their results are dropped. */
void server_drop_pending(struct server_client *client);

#endif
