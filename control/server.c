/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.sock: a stream socket that carries one JSON object a line in each direction.
 *
 * Any number of requests may follow each other on a connection; a client may stay silent for ever.
 * A frame that is not JSON, or not a request, gets an error reply and the connection goes on; only
 * a frame over 64 KiB ends it, because there is no telling where the next one starts. A client that
 * does not read its replies is not read from until it does, so it costs bounded memory. The file
 * mode lets in root and group spillway; SO_PEERCRED decides again, per connection, who may write,
 * and names the client in the audit log. Every buffer that held a frame is wiped: it may have held
 * a key.
 */
#include "control/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/server_private.h"

#define OUTPUT_HIGH (1u << 20) /* stop reading from a client with this much unsent */

static void
client_free(struct server_client *client)
{
	struct server_client **at = &client->server->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	client->server->n_clients--;
	server_drop_pending(client);
	ctl_tree_free(&client->saved);
	bufferevent_free(client->bev);
	free(client);
}

static void
too_long(struct server_client *client)
{
	struct spw_err err;

	spw_fail(&err, -EMSGSIZE, "the request is longer than %d bytes", CTL_FRAME_MAX);
	server_answer(client, NULL, NULL, &err, -1);
}

/* Throw away the rest of a frame that is too long. False while its end has not come. */
static bool
skip_to_end(struct server_client *client, struct evbuffer *in)
{
	struct evbuffer_ptr end;

	if (!client->skipping)
		return true;
	end = evbuffer_search(in, "\n", 1, NULL);
	client->skipping = end.pos < 0;
	evbuffer_drain(in, end.pos < 0 ? evbuffer_get_length(in) : (size_t)end.pos + 1);
	return !client->skipping;
}

static void
take_line(struct server_client *client, char *line, size_t len)
{
	if (len > CTL_FRAME_MAX)
		too_long(client);
	else if (len > 0)
		server_input(client, line, len);
	spw_wipe(line, len);
	free(line);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct server_client *client = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer *out = bufferevent_get_output(bev);
	size_t len;
	char *line;

	while (evbuffer_get_length(out) < OUTPUT_HIGH && skip_to_end(client, in) &&
	       (line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF)) != NULL)
		take_line(client, line, len);
	if (evbuffer_get_length(out) >= OUTPUT_HIGH) {
		bufferevent_disable(bev, EV_READ);
	} else if (evbuffer_get_length(in) > CTL_FRAME_MAX) {
		too_long(client);
		client->skipping = true;
		skip_to_end(client, in);
	}
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct server_client *client = arg;

	if (client->closing) {
		if (client->pending == NULL)
			client_free(client);
		return;
	}
	if ((bufferevent_get_enabled(bev) & EV_READ) == 0) {
		bufferevent_enable(bev, EV_READ);
		on_read(bev, arg);
	}
}

/* Both directions are shut: nobody will read an answer. */
static bool
is_gone(struct bufferevent *bev)
{
	struct pollfd p = {.fd = bufferevent_getfd(bev)};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* A client that shut down its sending side still gets the answers under way. */
static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct server_client *client = arg;

	if ((what & BEV_EVENT_EOF) && !is_gone(bev) &&
	    (client->pending != NULL || evbuffer_get_length(bufferevent_get_output(bev)) > 0)) {
		client->closing = true;
		bufferevent_disable(bev, EV_READ);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		client_free(client);
	}
}

static bool
in_group(const struct passwd *pw, const struct ucred *peer)
{
	const struct group *gr = getgrnam(CTL_GROUP);
	gid_t groups[64];
	int n = 64;

	if (gr == NULL)
		return false;
	if (peer->gid == gr->gr_gid)
		return true;
	if (pw == NULL || getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (groups[i] == gr->gr_gid)
			return true;
	return false;
}

static bool
client_identify(struct server_client *client, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	const struct passwd *pw;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	pw = getpwuid(peer.uid);
	snprintf(client->who, sizeof(client->who), "%.32s uid %u pid %d", pw ? pw->pw_name : "-",
		 (unsigned int)peer.uid, (int)peer.pid);
	client->may_write = peer.uid == 0 || peer.uid == geteuid() || in_group(pw, &peer);
	return true;
}

static void
refuse(evutil_socket_t fd)
{
	static const char text[] = "{\"ok\":false,\"error\":{\"code\":\"EBUSY\",\"message\":"
				   "\"32 clients are connected already: close one\"}}\n";

	if (send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		spw_log(SPW_LOG_DEBUG, "control", "client-refused", "errno=%d", errno);
	close(fd);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len,
	  void *arg)
{
	struct ctl_server *server = arg;
	struct server_client *client;

	if (server->n_clients >= CTL_CLIENTS_MAX) {
		refuse(fd);
		return;
	}
	client = calloc(1, sizeof(*client));
	if (client == NULL || !client_identify(client, fd) ||
	    (client->bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE)) ==
		    NULL) {
		free(client);
		close(fd);
		return;
	}
	client->server = server;
	client->next = server->clients;
	server->clients = client;
	server->n_clients++;
	bufferevent_setcb(client->bev, on_read, on_written, on_event, client);
	bufferevent_setwatermark(client->bev, EV_READ, 0, CTL_FRAME_MAX + 4096);
	bufferevent_enable(client->bev, EV_READ | EV_WRITE);
}

void
server_send(struct server_client *client, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT | JSON_REAL_PRECISION(9));

	if (text) {
		struct evbuffer *out = bufferevent_get_output(client->bev);

		evbuffer_add(out, text, strlen(text));
		evbuffer_add(out, "\n", 1);
	}
	free(text);
	json_decref(reply);
}

static int
bind_socket(struct ctl_server *server, struct spw_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct group *gr = getgrnam(CTL_GROUP);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t old;
	int rc;

	if (fd < 0)
		return spw_fail(err, -errno, "%s: %s", server->path, strerror(errno));
	memcpy(addr.sun_path, server->path, sizeof(addr.sun_path));
	unlink(server->path);
	old = umask(0117);
	rc = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
	umask(old);
	if (rc < 0) {
		rc = spw_fail(err, -errno, "%s: %s", server->path, strerror(errno));
		close(fd);
		return rc;
	}
	if (gr && chown(server->path, (uid_t)-1, gr->gr_gid) < 0)
		spw_log(SPW_LOG_WARNING, "control", "socket-group", "path=%s reason=\"%s\"",
			server->path, strerror(errno));
	return fd;
}

int
ctl_server_new(struct ctl_server **server, struct event_base *base, const char *run_dir,
	       struct ctl_commit *commit, struct ctl_runtime *rt, struct spw_err *err)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	int fd;

	if (s == NULL)
		return spw_fail(err, -ENOMEM, "no memory for control.sock");
	s->base = base;
	s->commit = commit;
	s->rt = rt;
	s->started_ns = spw_clock_ns();
	if (snprintf(s->path, sizeof(s->path), "%s/control.sock", run_dir) >=
	    (int)sizeof(s->path)) {
		free(s);
		return spw_fail(err, -ENAMETOOLONG, "run directory %s: its name is too long",
				run_dir);
	}
	fd = bind_socket(s, err);
	if (fd >= 0)
		s->listener = evconnlistener_new(
			base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64, fd);
	if (s->listener == NULL) {
		int rc = fd < 0 ? fd : spw_fail(err, -errno, "%s: %s", s->path, strerror(errno));

		if (fd >= 0)
			close(fd);
		free(s);
		return rc;
	}
	*server = s;
	return 0;
}

void
ctl_server_free(struct ctl_server *server)
{
	if (server == NULL)
		return;
	while (server->clients)
		client_free(server->clients);
	evconnlistener_free(server->listener);
	unlink(server->path);
	free(server);
}
