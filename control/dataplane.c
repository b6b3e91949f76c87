/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client of dataplane.sock.
 *
 * Two connections: one for calls, which wait for their reply (the data plane's API thread answers
 * within microseconds; two seconds without an answer count as dead, a port's probe may take
 * ten), one that is subscribed to events and read by the event loop. When either breaks, both are
 * closed and tried again every 200 ms; after each success everything is told anew (sync.c). Calls
 * made meanwhile return -ENOTCONN and nothing is queued: the objects of this process are the
 * queue.
 *
 * One thread. The receive buffer is one per client, so replies are used before the next call.
 */
#include "control/dataplane.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/failover.h"
#include "control/fib.h"
#include "control/watch_private.h"

#define CALL_TIMEOUT_MS 2000
#define PORT_TIMEOUT_MS 10000
#define RETRY_MS	200

struct ctl_dataplane {
	struct spw_client calls;
	int events_fd;
	struct event *readable, *retry;
	bool connected, told; /* told: the log knows that it is away */
	struct spw_dp_hello_reply hello;
	struct spw_msg msg, event;
};

bool
ctl_dataplane_connected(const struct ctl_runtime *rt)
{
	return rt->dataplane && rt->dataplane->connected;
}

const struct spw_dp_hello_reply *
ctl_dataplane_hello(const struct ctl_runtime *rt)
{
	return &rt->dataplane->hello;
}

int
ctl_dataplane_refuse(const struct ctl_runtime *rt, struct spw_err *err)
{
	return spw_fail(err, -ENOTCONN,
			"the data plane does not answer on %s; start spillway-dataplane",
			rt->dataplane_path);
}

static void
retry_later(struct ctl_dataplane *dp)
{
	struct timeval tv = {.tv_usec = RETRY_MS * 1000};

	event_add(dp->retry, &tv);
}

static void
disconnect(struct ctl_runtime *rt, const char *why)
{
	struct ctl_dataplane *dp = rt->dataplane;

	if (dp->readable)
		event_free(dp->readable);
	dp->readable = NULL;
	if (dp->events_fd >= 0)
		close(dp->events_fd);
	if (dp->calls.fd >= 0)
		close(dp->calls.fd);
	dp->events_fd = dp->calls.fd = -1;
	if (dp->connected)
		spw_log(SPW_LOG_ERROR, "dataplane", "lost", "socket=%s cause=\"%s\"",
			rt->dataplane_path, why);
	dp->connected = rt->in_sync = false;
	retry_later(dp);
}

static bool
is_lost(int rc)
{
	return rc == -ECONNRESET || rc == -ETIMEDOUT || rc == -EPIPE || rc == -EPROTO ||
	       rc == -EAGAIN || rc == -EBADF;
}

/* One call; a dead connection is taken down. */
static int
call(struct ctl_runtime *rt, uint16_t number, const void *elems, uint16_t elem_size, uint16_t count,
     int fd, struct spw_err *err)
{
	struct ctl_dataplane *dp = rt->dataplane;
	int rc;

	if (dp->calls.fd < 0)
		return ctl_dataplane_refuse(rt, err);
	rc = spw_client_call(&dp->calls, number, elems, elem_size, count, &fd, fd >= 0 ? 1 : 0,
			     &dp->msg, err);
	if (rc != 0 && is_lost(rc)) {
		disconnect(rt, strerror(-rc));
		return ctl_dataplane_refuse(rt, err);
	}
	return rc;
}

int
ctl_dataplane_send(struct ctl_runtime *rt, uint16_t number, const void *elems, uint16_t elem_size,
		   size_t count, int fd, struct spw_err *err)
{
	size_t most = (SPW_MSG_MAX - sizeof(struct spw_msg_hdr)) / elem_size;
	const uint8_t *at = elems;

	while (count > 0) {
		uint16_t n = (uint16_t)(count < most ? count : most);
		int rc = call(rt, number, at, elem_size, n, fd, err);

		spw_msg_close_fds(&rt->dataplane->msg);
		if (rc != 0)
			return rc;
		at += (size_t)n * elem_size;
		count -= n;
	}
	return 0;
}

int
ctl_dataplane_get(struct ctl_runtime *rt, uint16_t number, const void *query, uint16_t query_size,
		  uint16_t elem_size, void (*visit)(void *ctx, const void *elem), void *ctx,
		  struct spw_err *err)
{
	struct ctl_dataplane *dp = rt->dataplane;
	int rc = call(rt, number, query, query_size, query ? 1 : 0, -1, err);

	while (rc == 0) {
		if (dp->msg.hdr.count && dp->msg.hdr.elem_size != elem_size)
			return spw_fail(
				err, -EPROTO,
				"the data plane is of another build; restart spillway-dataplane");
		for (unsigned int i = 0; i < dp->msg.hdr.count; i++)
			visit(ctx, dp->msg.body + (size_t)i * elem_size);
		if (!(dp->msg.hdr.flags & SPW_MSG_MORE))
			return 0;
		rc = spw_client_next(&dp->calls, &dp->msg, err);
	}
	if (is_lost(rc)) {
		disconnect(rt, strerror(-rc));
		return ctl_dataplane_refuse(rt, err);
	}
	return rc;
}

int
ctl_dataplane_port(struct ctl_runtime *rt, const struct spw_dp_port *port, uint8_t mac[6],
		   struct spw_err *err)
{
	struct ctl_dataplane *dp = rt->dataplane;
	struct spw_dp_port_reply reply;
	int rc;

	dp->calls.timeout_ms = PORT_TIMEOUT_MS;
	rc = call(rt, SPW_DP_PORT_SET, port, sizeof(*port), 1, -1, err);
	dp->calls.timeout_ms = CALL_TIMEOUT_MS;
	if (rc != 0)
		return rc;
	if (dp->msg.hdr.count != 1 || dp->msg.hdr.elem_size != sizeof(reply))
		return spw_fail(err, -EPROTO, "the data plane answers without a MAC address");
	memcpy(&reply, dp->msg.body, sizeof(reply));
	memcpy(mac, reply.mac, 6);
	return 0;
}

static void
on_link_event(struct ctl_runtime *rt, const struct spw_dp_link *link)
{
	for (struct ctl_port *p = rt->ports; p; p = p->next)
		if (p->id == link->port && p->kernel_name[0] == '\0')
			ctl_follow_port_link(rt, p, link->up, link->at_ns, false);
	ctl_fib_update(rt);
}

static void
on_neigh_miss(struct ctl_runtime *rt, const struct spw_dp_neigh *miss)
{
	struct ctl_iface *iface = ctl_iface_by_id(rt, miss->iface);

	if (iface)
		ctl_neighbour_want(rt, iface, &miss->addr);
}

static void
on_path_event(struct ctl_runtime *rt, const struct spw_dp_path_event *ev)
{
	if (ev->kind == SPW_PATH_EV_CLEARED)
		ctl_watch_path_cleared(rt, ev->path);
	if (ev->kind == SPW_PATH_EV_CLEARED)
		ctl_fib_path_cleared(rt, ev->path, ev->clears, ev->change_ns);
	else if (ev->kind == SPW_PATH_EV_SWITCHED)
		ctl_failover_switched(rt, ev);
}

static void
on_event(struct ctl_runtime *rt, const struct spw_msg *m)
{
	const struct spw_dp_msg_info *info = spw_dp_msg_info(m->hdr.number);

	if (!info || m->hdr.elem_size != info->request_size)
		return;
	for (unsigned int i = 0; i < m->hdr.count; i++) {
		const void *at = m->body + (size_t)i * m->hdr.elem_size;

		if (m->hdr.number == SPW_DP_EV_LINK)
			on_link_event(rt, at);
		else if (m->hdr.number == SPW_DP_EV_NEIGH_MISS)
			on_neigh_miss(rt, at);
		else if (m->hdr.number == SPW_DP_EV_PATH)
			on_path_event(rt, at);
		else if (m->hdr.number == SPW_DP_EV_BFD)
			ctl_watch_bfd_event(rt, at);
		else if (m->hdr.number == SPW_DP_EV_PROBE)
			ctl_watch_probe_event(rt, at);
		else if (m->hdr.number == SPW_DP_EV_SA &&
			 ((const struct spw_dp_sa_event *)at)->kind == SPW_SA_EV_HARD &&
			 ctl_sync_tunnels(rt))
			ctl_fib_update(rt);
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	struct ctl_dataplane *dp = rt->dataplane;

	for (unsigned int i = 0; i < 64 && dp->events_fd >= 0; i++) {
		int rc = spw_msg_recv(dp->events_fd, &dp->event);

		if (rc == -EAGAIN || rc == -EINTR)
			return;
		if (rc != 0) {
			disconnect(rt, strerror(-rc));
			return;
		}
		if (dp->event.hdr.flags & SPW_MSG_EVENT)
			on_event(rt, &dp->event);
		spw_msg_close_fds(&dp->event);
	}
}

/* Connect and say hello; the reply is left in *hello. Descriptor or -errno. */
static int
hello(struct ctl_runtime *rt, uint32_t subscribe, struct spw_client *c,
      struct spw_dp_hello_reply *reply, struct spw_err *err)
{
	struct spw_dp_hello h = {
		.role = SPW_ROLE_CONTROLD, .subscribe = subscribe, .client = "controld"};
	struct spw_msg *m = &rt->dataplane->msg;
	int rc, fd = spw_msg_connect(rt->dataplane_path, err);

	if (fd < 0)
		return fd;
	*c = (struct spw_client){.fd = fd, .timeout_ms = CALL_TIMEOUT_MS};
	rc = spw_client_call(c, SPW_DP_HELLO, &h, sizeof(h), 1, NULL, 0, m, err);
	if (rc == 0 && (m->hdr.count != 1 || m->hdr.elem_size != sizeof(*reply)))
		rc = spw_fail(err, -EPROTO, "the data plane is of another build; restart it");
	if (rc != 0) {
		close(fd);
		return rc;
	}
	memcpy(reply, m->body, sizeof(*reply));
	reply->version[sizeof(reply->version) - 1] = '\0';
	reply->dpdk[sizeof(reply->dpdk) - 1] = '\0';
	reply->cipher_isa[sizeof(reply->cipher_isa) - 1] = '\0';
	return fd;
}

static int
connect_both(struct ctl_runtime *rt, struct spw_err *err)
{
	const uint32_t all = SPW_DP_SUB_LINK | SPW_DP_SUB_NEIGH | SPW_DP_SUB_PATH | SPW_DP_SUB_SA;
	struct ctl_dataplane *dp = rt->dataplane;
	struct spw_client events;
	struct spw_dp_hello_reply second;
	int fd = hello(rt, 0, &dp->calls, &dp->hello, err);

	if (fd < 0) {
		dp->calls.fd = -1;
		return fd;
	}
	fd = hello(rt, all, &events, &second, err);
	if (fd >= 0 && second.incarnation != dp->hello.incarnation) {
		close(fd);
		fd = spw_fail(err, -ECONNRESET, "the data plane restarts");
	}
	if (fd < 0) {
		close(dp->calls.fd);
		dp->calls.fd = -1;
		return fd;
	}
	dp->events_fd = fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	dp->readable = event_new(rt->base, fd, EV_READ | EV_PERSIST, on_readable, rt);
	if (dp->readable)
		event_add(dp->readable, NULL);
	return 0;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	struct ctl_dataplane *dp = rt->dataplane;
	struct spw_err err = {0};
	int rc = connect_both(rt, &err);

	if (rc != 0) {
		if (!dp->told)
			spw_log(SPW_LOG_ERROR, "dataplane", "unreachable",
				"socket=%s error=\"%s\" mend=\"start spillway-dataplane\"",
				rt->dataplane_path, err.text);
		dp->told = true;
		retry_later(dp);
		return;
	}
	dp->told = false;
	dp->connected = true;
	spw_log(SPW_LOG_INFO, "dataplane", "connected", "incarnation=%016llx version=%s workers=%u",
		(unsigned long long)dp->hello.incarnation, dp->hello.version, dp->hello.workers);
	ctl_sync_all(rt);
}

int
ctl_dataplane_new(struct ctl_runtime *rt)
{
	struct ctl_dataplane *dp = calloc(1, sizeof(*dp));
	struct timeval now = {0};

	if (!dp)
		return -ENOMEM;
	dp->calls.fd = dp->events_fd = -1;
	dp->retry = evtimer_new(rt->base, on_retry, rt);
	rt->dataplane = dp;
	if (!dp->retry || event_add(dp->retry, &now) != 0)
		return -ENOMEM;
	return 0;
}

void
ctl_dataplane_free(struct ctl_runtime *rt)
{
	struct ctl_dataplane *dp = rt->dataplane;

	if (!dp)
		return;
	if (dp->readable)
		event_free(dp->readable);
	if (dp->retry)
		event_free(dp->retry);
	if (dp->events_fd >= 0)
		close(dp->events_fd);
	if (dp->calls.fd >= 0)
		close(dp->calls.fd);
	free(dp);
	rt->dataplane = NULL;
}
