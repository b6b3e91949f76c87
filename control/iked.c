/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client of ike.sock.
 *
 * As with the data plane: one connection for calls, one for events, both tried again until they
 * stand, then everything is told anew under a new generation and the rest swept. iked keeps its
 * SAs through all that. One that listens and does not answer (it is stopped, or starts) is asked
 * ever less often and waited for shortly: while it is waited for nothing else is heard, and routes
 * must go on moving.
 *
 * A duplicate of the memory in which iked records its IKE SAs is kept: it is given back to the next
 * instance before anything else, which then goes on where the last one was killed. It is never
 * mapped here. The sockets of IKE are kept likewise (iked_sockets.c).
 *
 * Whether a tunnel carries is iked's word (EV_TUNNEL) while it speaks; a restarted iked knows
 * nothing of SAs that the data plane still has, so its "down" counts only after it has said "up"
 * itself. Pre-shared keys are read from their file for each message and wiped. One thread.
 */
#include "control/iked.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/dataplane.h"
#include "control/fib.h"
#include "control/iked_private.h"
#include "control/secret_file.h"

#define CALL_TIMEOUT_MS	 1000
#define HELLO_TIMEOUT_MS 200
#define RETRY_MS	 300
#define RETRY_MAX_MS	 5000

bool
ctl_iked_connected(const struct ctl_runtime *rt)
{
	return rt->iked && rt->iked->connected;
}

const struct spw_ike_hello_reply *
ctl_iked_hello(const struct ctl_runtime *rt)
{
	return &rt->iked->hello;
}

static void
retry_later(struct ctl_iked *k)
{
	struct timeval tv = {.tv_sec = k->retry_ms / 1000,
			     .tv_usec = (suseconds_t)(k->retry_ms % 1000) * 1000};

	event_add(k->retry, &tv);
}

static void
disconnect(struct ctl_runtime *rt, const char *why)
{
	struct ctl_iked *k = rt->iked;

	if (k->readable)
		event_free(k->readable);
	k->readable = NULL;
	if (k->events_fd >= 0)
		close(k->events_fd);
	if (k->calls.fd >= 0)
		close(k->calls.fd);
	k->events_fd = k->calls.fd = -1;
	if (k->connected)
		spw_log(SPW_LOG_ERROR, "iked", "lost", "socket=%s cause=\"%s\"", rt->ike_path, why);
	k->connected = false;
	k->retry_ms = RETRY_MS;
	retry_later(k);
	/* Its SAs live on in the data plane: that is whom to ask now. */
	for (struct ctl_tun *t = rt->tunnels; t; t = t->next)
		t->said_up = t->said_down = false;
	if (ctl_dataplane_connected(rt) && ctl_sync_tunnels(rt))
		ctl_fib_update(rt);
}

static bool
is_lost(int rc)
{
	return rc == -ECONNRESET || rc == -ETIMEDOUT || rc == -EPIPE || rc == -EPROTO ||
	       rc == -EAGAIN || rc == -EBADF;
}

static int
refuse(const struct ctl_runtime *rt, struct spw_err *err)
{
	return spw_fail(err, -ENOTCONN, "spillway-iked does not answer on %s; start spillway-iked",
			rt->ike_path);
}

int
ctl_iked_call(struct ctl_runtime *rt, uint16_t number, const void *elem, uint16_t elem_size,
	      const int *fds, unsigned int n_fds, struct spw_err *err)
{
	struct ctl_iked *k = rt->iked;
	int rc;

	if (k->calls.fd < 0)
		return refuse(rt, err);
	rc = spw_client_call(&k->calls, number, elem, elem_size, elem ? 1 : 0, fds, n_fds, &k->msg,
			     err);
	if (rc != 0 && is_lost(rc)) {
		disconnect(rt, strerror(-rc));
		return refuse(rt, err);
	}
	return rc;
}

bool
ctl_iked_is_incomplete(const struct ctl_runtime *rt)
{
	return ctl_iked_connected(rt) && rt->iked->incomplete;
}

/* The secret of a file into a message; no file, no secret. */
static int
secret_add(const char *path, uint8_t out[SPW_IKE_PSK_MAX], uint32_t *len, struct spw_err *err)
{
	struct spw_secret s = {0};
	int rc = path[0] ? ctl_secret_read_file(&s, path, CTL_SECRET_ANY, err) : 0;

	if (rc == 0 && s.len) {
		memcpy(out, s.bytes, s.len);
		*len = (uint32_t)s.len;
	}
	spw_secret_free(&s);
	return rc;
}

static int
conn_send(struct ctl_runtime *rt, const struct ctl_tun *t, uint32_t generation, struct spw_err *err)
{
	struct spw_ike_conn m;
	int rc;

	ctl_iked_conn_message(&t->conf, t->id, generation,
			      ctl_iked_carries_ipv6(&rt->config, &t->conf), &m);
	rc = secret_add(t->conf.psk_file, m.psk, &m.psk_len, err);
	if (rc == 0)
		rc = secret_add(t->conf.next_psk_file, m.next_psk, &m.next_psk_len, err);
	if (rc == 0)
		rc = secret_add(t->conf.ppk_file, m.ppk, &m.ppk_len, err);
	if (rc == 0)
		rc = ctl_iked_call(rt, SPW_IKE_CONN_SET, &m, sizeof(m), NULL, 0, err);
	spw_wipe(&m, sizeof(m));
	return rc;
}

void
ctl_iked_sync(struct ctl_runtime *rt)
{
	struct spw_ike_sweep sweep = {0};
	bool complete = true;

	if (!rt->configured || !ctl_iked_connected(rt))
		return;
	sweep.generation = ctl_ids_next_generation(rt->ids);
	rt->iked->incomplete = false;
	ctl_iked_sockets_sync(rt);
	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next) {
		struct spw_err err = {0};

		if (!t->keep || !t->conf.enabled || conn_send(rt, t, sweep.generation, &err) == 0)
			continue;
		complete = false;
		spw_log(SPW_LOG_ERROR, "iked", "tunnel-refused", "tunnel=%s error=\"%s\"",
			t->conf.name, err.text);
	}
	/* What could not be said must not be swept: a key file may be unreadable for a moment. */
	rt->iked->incomplete |= !complete;
	if (complete)
		ctl_iked_call(rt, SPW_IKE_CONN_SWEEP, &sweep, sizeof(sweep), NULL, 0, NULL);
}

int
ctl_iked_status(struct ctl_runtime *rt, void (*visit)(void *ctx, const struct spw_ike_status *s),
		void *ctx, struct spw_err *err)
{
	struct ctl_iked *k = rt->iked;
	int rc = ctl_iked_call(rt, SPW_IKE_GET_CONNS, NULL, 0, NULL, 0, err);

	while (rc == 0) {
		if (k->msg.hdr.count && k->msg.hdr.elem_size != sizeof(struct spw_ike_status))
			return spw_fail(err, -EPROTO,
					"spillway-iked is of another build; restart it");
		for (unsigned int i = 0; i < k->msg.hdr.count; i++)
			visit(ctx, (const struct spw_ike_status *)(const void *)k->msg.body + i);
		if (!(k->msg.hdr.flags & SPW_MSG_MORE))
			return 0;
		rc = spw_client_next(&k->calls, &k->msg, err);
	}
	if (is_lost(rc)) {
		disconnect(rt, strerror(-rc));
		return refuse(rt, err);
	}
	return rc;
}

int
ctl_iked_command(struct ctl_runtime *rt, uint16_t number, const char *tunnel, uint32_t what,
		 struct spw_err *err)
{
	struct spw_ike_reset m = {.what = what};

	strncpy(m.name, tunnel, sizeof(m.name) - 1);
	return ctl_iked_call(rt, number, &m, sizeof(m), NULL, 0, err);
}

static void
on_tunnel_event(struct ctl_runtime *rt, const struct spw_ike_tunnel_event *ev)
{
	struct ctl_tun *t = ctl_tun_by_id(rt, ev->tunnel);

	if (!t || strncmp(t->conf.name, ev->name, sizeof(ev->name)) != 0)
		return;
	memcpy(t->reason, ev->reason, sizeof(t->reason));
	t->reason[sizeof(t->reason) - 1] = '\0';
	spw_text_mend(t->reason);
	spw_log(ev->up ? SPW_LOG_INFO : SPW_LOG_WARNING, "tunnel", ev->up ? "up" : "down",
		"tunnel=%s reason=\"%s\"", t->conf.name, t->reason);
	if (!ev->up && !t->said_up) {
		if (ctl_sync_tunnels(rt))
			ctl_fib_update(rt);
		return;
	}
	t->said_up = ev->up;
	t->said_down = !ev->up;
	t->up = ev->up;
	rt->trigger = (struct ctl_trigger){.cause = ev->up ? "tunnel-up" : "tunnel-down",
					   .event_ns = ev->at_ns ? ev->at_ns : spw_clock_ns()};
	ctl_fib_update(rt);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	struct ctl_iked *k = rt->iked;

	for (unsigned int n = 0; n < 64 && k->events_fd >= 0; n++) {
		int rc = spw_msg_recv(k->events_fd, &k->event);

		if (rc == -EAGAIN || rc == -EINTR)
			return;
		if (rc != 0) {
			disconnect(rt, strerror(-rc));
			return;
		}
		const struct spw_msg_hdr *h = &k->event.hdr;

		if (h->number == SPW_IKE_EV_TUNNEL &&
		    h->elem_size == sizeof(struct spw_ike_tunnel_event))
			for (unsigned int i = 0; i < h->count; i++)
				on_tunnel_event(rt,
						(const struct spw_ike_tunnel_event *)(const void *)
								k->event.body +
							i);
		spw_msg_close_fds(&k->event);
	}
}

/* Pre-shared keys go over this socket: only to the user that iked runs as, or root. */
static int
check_peer(const struct ctl_runtime *rt, int fd, struct spw_err *err)
{
	struct spw_peer peer;
	const struct passwd *pw = rt->iked_user[0] ? getpwnam(rt->iked_user) : NULL;
	int rc = spw_msg_peer(fd, &peer);

	if (rc != 0)
		return spw_fail(err, rc, "cannot tell who listens on %s", rt->ike_path);
	if (peer.uid == 0 || peer.uid == geteuid() || (pw && pw->pw_uid == peer.uid))
		return 0;
	return spw_fail(err, -EPERM, "%s belongs to uid %u, not to %s; keys are not sent there",
			rt->ike_path, peer.uid, rt->iked_user[0] ? rt->iked_user : "root");
}

static int
hello(struct ctl_runtime *rt, uint32_t subscribe, struct spw_client *c, struct spw_err *err)
{
	struct spw_ike_hello h = {.subscribe = subscribe};
	struct spw_msg *m = &rt->iked->msg;
	int rc, fd = spw_msg_connect(rt->ike_path, err);

	if (fd < 0)
		return fd;
	*c = (struct spw_client){.fd = fd, .timeout_ms = HELLO_TIMEOUT_MS};
	rc = check_peer(rt, fd, err);
	if (rc == 0)
		rc = spw_client_call(c, SPW_IKE_HELLO, &h, sizeof(h), 1, NULL, 0, m, err);
	if (rc == 0 && (m->hdr.count != 1 || m->hdr.elem_size != sizeof(rt->iked->hello)))
		rc = spw_fail(err, -EPROTO, "spillway-iked is of another build; restart it");
	if (rc != 0) {
		close(fd);
		return rc;
	}
	c->timeout_ms = CALL_TIMEOUT_MS;
	memcpy(&rt->iked->hello, m->body, sizeof(rt->iked->hello));
	rt->iked->hello.version[sizeof(rt->iked->hello.version) - 1] = '\0';
	return fd;
}

static int
connect_both(struct ctl_runtime *rt, struct spw_err *err)
{
	struct ctl_iked *k = rt->iked;
	struct spw_client events;
	int fd = hello(rt, 0, &k->calls, err);

	if (fd < 0) {
		k->calls.fd = -1;
		return fd;
	}
	fd = hello(rt, 1, &events, err);
	if (fd < 0) {
		close(k->calls.fd);
		k->calls.fd = -1;
		return fd;
	}
	k->events_fd = fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	k->readable = event_new(rt->base, fd, EV_READ | EV_PERSIST, on_readable, rt);
	if (k->readable)
		event_add(k->readable, NULL);
	return 0;
}

/* Give back what the last iked left, and keep what this one uses. */
static void
escrow_keep(struct ctl_runtime *rt)
{
	struct ctl_iked *k = rt->iked;
	struct spw_err err = {0};
	int rc = 0;

	if (k->escrow_fd >= 0)
		rc = ctl_iked_call(rt, SPW_IKE_ESCROW_SET, NULL, 0, &k->escrow_fd, 1, &err);
	if (rc != 0 && rc != -EEXIST)
		spw_log(SPW_LOG_WARNING, "iked", "escrow-refused", "error=\"%s\"", err.text);
	rc = ctl_iked_call(rt, SPW_IKE_ESCROW_GET, NULL, 0, NULL, 0, &err);
	if (rc == 0 && k->msg.n_fds == 1) {
		if (k->escrow_fd >= 0)
			close(k->escrow_fd);
		k->escrow_fd = k->msg.fds[0];
		k->msg.n_fds = 0;
	} else if (rc == -ENOENT) {
		spw_log(SPW_LOG_WARNING, "iked", "no-escrow", "error=\"%s\"", err.text);
	}
	spw_msg_close_fds(&k->msg);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	struct ctl_iked *k = rt->iked;
	struct spw_err err = {0};
	int rc = connect_both(rt, &err);

	if (rc < 0) {
		k->retry_ms = rc != -ETIMEDOUT		       ? RETRY_MS
			      : 2 * k->retry_ms < RETRY_MAX_MS ? 2 * k->retry_ms
							       : RETRY_MAX_MS;
		if (!k->told)
			spw_log(SPW_LOG_ERROR, "iked", "unreachable",
				"socket=%s error=\"%s\" mend=\"start spillway-iked\"", rt->ike_path,
				err.text);
		k->told = true;
		retry_later(k);
		return;
	}
	k->told = false;
	k->connected = true;
	spw_log(SPW_LOG_INFO, "iked", "connected", "instance=%016llx version=%s",
		(unsigned long long)k->hello.instance, k->hello.version);
	escrow_keep(rt);
	ctl_iked_sync(rt);
}

int
ctl_iked_new(struct ctl_runtime *rt)
{
	struct ctl_iked *k = calloc(1, sizeof(*k));
	struct timeval now = {0};

	if (!k)
		return -ENOMEM;
	k->calls.fd = k->events_fd = k->escrow_fd = -1;
	k->retry_ms = RETRY_MS;
	rt->iked = k;
	k->retry = evtimer_new(rt->base, on_retry, rt);
	return k->retry && event_add(k->retry, &now) == 0 ? 0 : -ENOMEM;
}

void
ctl_iked_free(struct ctl_runtime *rt)
{
	struct ctl_iked *k = rt->iked;

	if (!k)
		return;
	if (k->readable)
		event_free(k->readable);
	if (k->retry)
		event_free(k->retry);
	if (k->events_fd >= 0)
		close(k->events_fd);
	if (k->calls.fd >= 0)
		close(k->calls.fd);
	if (k->escrow_fd >= 0)
		close(k->escrow_fd);
	ctl_iked_sockets_close(k, true);
	free(k);
	rt->iked = NULL;
}
