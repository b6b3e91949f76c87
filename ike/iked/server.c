/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ike.sock: where controld steers this daemon.
 *
 * Only root and controld's user may connect; the kernel says who is at the other end
 * (SO_PEERCRED), and the file's mode and group keep others away before that. A client that sends
 * something malformed is closed; a request that cannot be served is refused with one sentence and
 * has changed nothing. Requests may hold pre-shared keys, so every message is wiped after its
 * handling. A client that does not read its events is closed too: it then connects again and asks
 * for the state, instead of missing a part of it. Clients are freed only from the event loop,
 * never while the list is walked. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ike/iked/iked.h"

#define SOCKET_NAME  "ike.sock"
#define DUMP_WAIT_MS 200
#define CLIENTS_MAX  32
#define AREA	     "control"

static struct spw_log_limit refuse_limit = SPW_LOG_LIMIT(1, 10);

int
iked_server_listen(struct iked *d, const char *run_dir, gid_t gid, struct spw_err *err)
{
	char path[IKED_PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/" SOCKET_NAME, run_dir) >= sizeof(path))
		return spw_fail(err, -ENAMETOOLONG, "--run-dir '%.60s' is too long", run_dir);
	d->listen_fd = spw_msg_listen(path, gid, err);
	return d->listen_fd < 0 ? d->listen_fd : 0;
}

static void
clients_bury(struct iked *d)
{
	struct iked_client **p = &d->clients;

	while (*p) {
		struct iked_client *c = *p;

		if (!c->dead) {
			p = &c->next;
			continue;
		}
		*p = c->next;
		event_free(c->readable);
		close(c->fd);
		free(c);
	}
}

static void
refuse(struct iked_client *c, const struct spw_msg_hdr *request, int code, const char *text)
{
	struct spw_msg_hdr hdr = {.number = request->number,
				  .flags = SPW_MSG_REPLY,
				  .status = (uint16_t)-code,
				  .seq = request->seq,
				  .count = 1,
				  .elem_size = sizeof(struct spw_msg_error)};
	struct spw_msg_error e = {0};

	snprintf(e.text, sizeof(e.text), "%s", text);
	spw_log_limited(&refuse_limit, SPW_LOG_WARNING, AREA, "refused", "request=%u cause=\"%s\"",
			request->number, text);
	if (spw_msg_send(c->fd, &hdr, &e, NULL, 0) != 0)
		c->dead = true;
}

bool
iked_server_reply(struct iked_client *c, const struct spw_msg_hdr *request, const void *elems,
		  uint16_t elem_size, uint16_t count, bool more)
{
	struct spw_msg_hdr hdr = {.number = request->number,
				  .flags = SPW_MSG_REPLY | (more ? SPW_MSG_MORE : 0),
				  .seq = request->seq,
				  .count = count,
				  .elem_size = elem_size};
	int rc = spw_msg_send(c->fd, &hdr, elems, NULL, 0);

	if (rc == -EAGAIN) { /* a long dump: give the reader a moment */
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};

		if (poll(&p, 1, DUMP_WAIT_MS) == 1)
			rc = spw_msg_send(c->fd, &hdr, elems, NULL, 0);
	}
	if (rc != 0)
		c->dead = true;
	return rc == 0;
}

static void
request_serve(struct iked_client *c, struct spw_msg *m)
{
	struct spw_err err = {0};
	struct spw_msg_hdr request = m->hdr;
	int rc = iked_command(c, m, &err);

	spw_msg_close_fds(m);
	spw_msg_wipe(m);
	if (rc != 0)
		refuse(c, &request, rc, err.text[0] ? err.text : strerror(-rc));
}

static void
on_request(evutil_socket_t fd, short what, void *arg)
{
	static struct spw_msg m;
	struct iked_client *c = arg;
	struct iked *d = c->iked;
	int rc = 0;

	while (!c->dead && (rc = spw_msg_recv(fd, &m)) == 0)
		request_serve(c, &m);
	if (rc != 0 && rc != -EAGAIN) {
		spw_log(SPW_LOG_DEBUG, AREA, "client-gone", "cause=\"%s\"", strerror(-rc));
		c->dead = true;
	}
	iked_engine_settle(d);
	clients_bury(d);
}

static int
client_add(struct iked *d, int fd)
{
	struct iked_client *c = calloc(1, sizeof(*c));
	int size = 8 * SPW_MSG_MAX;

	if (!c)
		return -ENOMEM;
	*c = (struct iked_client){.iked = d, .fd = fd, .next = d->clients};
	c->readable = event_new(d->base, fd, EV_READ | EV_PERSIST, on_request, c);
	if (!c->readable || event_add(c->readable, NULL) < 0) {
		if (c->readable)
			event_free(c->readable);
		free(c);
		return -ENOMEM;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	d->clients = c;
	return 0;
}

static bool
peer_may_steer(const struct iked *d, int fd, struct spw_peer *peer)
{
	return spw_msg_peer(fd, peer) == 0 && (peer->uid == 0 || peer->uid == d->control_uid);
}

static unsigned int
clients_count(const struct iked *d)
{
	unsigned int n = 0;

	for (const struct iked_client *c = d->clients; c; c = c->next)
		n++;
	return n;
}

static void
on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct iked *d = arg;
	struct spw_peer peer = {0};
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (!peer_may_steer(d, fd, &peer)) {
		spw_log_limited(&refuse_limit, SPW_LOG_WARNING, AREA, "client-refused",
				"pid=%d uid=%u cause=\"neither root nor --control-user\"",
				(int)peer.pid, peer.uid);
		close(fd);
	} else if (clients_count(d) >= CLIENTS_MAX || client_add(d, fd) != 0) {
		spw_log_limited(&refuse_limit, SPW_LOG_ERROR, AREA, "client-refused",
				"pid=%d cause=\"too many clients\"", (int)peer.pid);
		close(fd);
	} else {
		spw_log(SPW_LOG_DEBUG, AREA, "client", "pid=%d uid=%u", (int)peer.pid, peer.uid);
	}
}

int
iked_server_start(struct iked *d)
{
	d->acceptable = event_new(d->base, d->listen_fd, EV_READ | EV_PERSIST, on_accept, d);
	return d->acceptable && event_add(d->acceptable, NULL) == 0 ? 0 : -ENOMEM;
}

void
iked_server_stop(struct iked *d, const char *run_dir)
{
	char path[IKED_PATH_MAX];

	for (struct iked_client *c = d->clients; c; c = c->next)
		c->dead = true;
	clients_bury(d);
	if (d->acceptable)
		event_free(d->acceptable);
	if (d->listen_fd < 0)
		return;
	/*
	 * While it listens nobody else makes one there, so it is ours that goes. May be refused to
	 * an ordinary user; the next start replaces the file then.
	 */
	snprintf(path, sizeof(path), "%s/" SOCKET_NAME, run_dir);
	unlink(path);
	close(d->listen_fd);
}

void
iked_server_push(struct iked *d, const struct spw_ike_tunnel_event *ev)
{
	struct spw_msg_hdr hdr = {.number = SPW_IKE_EV_TUNNEL,
				  .flags = SPW_MSG_EVENT,
				  .count = 1,
				  .elem_size = sizeof(*ev)};

	for (struct iked_client *c = d->clients; c; c = c->next) {
		int rc;

		if (!c->subscribed || c->dead)
			continue;
		rc = spw_msg_send(c->fd, &hdr, ev, NULL, 0);
		if (rc == 0)
			continue;
		spw_log(SPW_LOG_WARNING, AREA, "client-closed", "cause=\"events not read: %s\"",
			strerror(-rc));
		/* The loop sees the end of the connection and buries the client. */
		shutdown(c->fd, SHUT_RDWR);
		c->subscribed = false;
	}
}
