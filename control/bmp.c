/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BMP station (RFC 7854): bgpd dials and says what it takes from each neighbour after its
 * import policy, within a millisecond, while its own way to the kernel takes some 60 ms.
 * bmp_parse.c takes the messages apart, bmp_rib.c draws the conclusions.
 *
 * The station listens on 127.0.0.1 on a port that survives restarts of this process (the book of
 * numbers), so frr.conf stays as it is, and only from root and FRR's user. One connection, the
 * newest: bgpd has one target. A message may come in any number of reads; the buffer holds the
 * longest one. Malformed input closes the connection; bgpd dials again and begins anew. The work of
 * one turn of the event loop is bounded, and what a turn has touched is evaluated once at its end.
 * One thread.
 */
#include "control/bmp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/bmp_private.h"

#define FIRST_PORT  11019
#define BUFFER	    (CTL_BMP_MESSAGE + 65536)
#define READS	    16 /* in one turn of the event loop */
#define STRANGER_NS (10 * SPW_NS_PER_S)

static void
connection_close(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;

	if (bmp->fd < 0)
		return;
	event_free(bmp->readable);
	bmp->readable = NULL;
	close(bmp->fd);
	bmp->fd = -1;
	bmp->len = 0;
	bmp->ended = false;
	ctl_bmp_forget(rt);
}

/* The connection broke (not: was closed by us). */
static void
disconnected(struct ctl_runtime *rt)
{
	spw_log(SPW_LOG_WARNING, "bmp", "disconnected", "port=%u", rt->bmp->port);
	if (!rt->bmp->ended)
		ctl_bmp_restart_begin(rt);
	connection_close(rt);
}

/* Take the whole messages out of the buffer; false when the connection must be closed. */
static bool
messages_take(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;
	struct spw_err err = {0};
	size_t at = 0;
	int n;

	while ((n = ctl_bmp_frame(bmp->buf + at, bmp->len - at, &err)) > 0) {
		n = ctl_bmp_parse(bmp->buf + at, (size_t)n, &ctl_bmp_handler, rt, &err) < 0 ? -1
											    : n;
		if (n < 0)
			break;
		at += (size_t)n;
	}
	memmove(bmp->buf, bmp->buf + at, bmp->len - at);
	bmp->len -= at;
	if (n < 0)
		spw_log(SPW_LOG_ERROR, "bmp", "malformed",
			"error=\"%s\" action=\"connection closed, bgpd dials again\"", err.text);
	return n >= 0;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	struct ctl_bmp *bmp = rt->bmp;

	bmp->read_ns = spw_clock_ns();
	for (unsigned int i = 0; i < READS; i++) {
		ssize_t n = read(fd, bmp->buf + bmp->len, BUFFER - bmp->len);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		bmp->len += n > 0 ? (size_t)n : 0;
		if (n <= 0 || !messages_take(rt)) {
			if (n <= 0)
				disconnected(rt);
			else
				connection_close(rt);
			return;
		}
	}
	ctl_bmp_flush(rt);
}

/*
 * Who owns the other end of a loopback connection: the table of this namespace's sockets has each
 * with its user. false when it is not found.
 */
static bool
owner_of(const struct sockaddr_in *theirs, uint16_t our_port, unsigned int *uid)
{
	FILE *f = fopen("/proc/self/net/tcp", "re");
	unsigned int addr, port, remote, remote_port;
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*u: %x:%x %x:%x %*x %*x:%*x %*x:%*x %*x %u", &addr, &port,
			       &remote, &remote_port, uid) == 5 &&
			addr == theirs->sin_addr.s_addr && port == ntohs(theirs->sin_port) &&
			remote == htonl(INADDR_LOOPBACK) && remote_port == our_port;
	if (f)
		fclose(f);
	return found;
}

/* bgpd runs as root or as FRR's own user; nobody else may tell of withdrawals. */
static bool
is_bgpd(const struct ctl_bmp *bmp, int fd)
{
	struct sockaddr_in theirs;
	socklen_t len = sizeof(theirs);
	unsigned int uid;

	if (getpeername(fd, (struct sockaddr *)&theirs, &len) != 0 ||
	    !owner_of(&theirs, bmp->port, &uid))
		return false;
	const struct passwd *frr = getpwnam("frr");

	return uid == 0 || uid == geteuid() || (frr && uid == frr->pw_uid);
}

static void
tell_stranger(struct ctl_bmp *bmp)
{
	uint64_t now = spw_clock_ns();

	if (bmp->stranger_ns && now - bmp->stranger_ns < STRANGER_NS)
		return;
	bmp->stranger_ns = now;
	spw_log(SPW_LOG_WARNING, "bmp", "stranger", "port=%u action=\"connection refused\"",
		bmp->port);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct ctl_runtime *rt = arg;
	struct ctl_bmp *bmp = rt->bmp;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (!is_bgpd(bmp, fd)) {
		tell_stranger(bmp);
		close(fd);
		return;
	}
	connection_close(rt);
	bmp->readable = event_new(rt->base, fd, EV_READ | EV_PERSIST, on_readable, rt);
	if (!bmp->readable || event_add(bmp->readable, NULL) != 0) {
		if (bmp->readable)
			event_free(bmp->readable);
		bmp->readable = NULL;
		close(fd);
		return;
	}
	bmp->fd = fd;
	spw_log(SPW_LOG_INFO, "bmp", "connected", "port=%u", bmp->port);
}

static int
listen_on(uint16_t port, uint16_t *got)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 || listen(fd, 2) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	*got = ntohs(sin.sin_port);
	return fd;
}

/* The port of an earlier process, else the usual one, else any. */
static int
station_open(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;
	uint16_t before = (uint16_t)strtoul(ctl_ids_get_fact(rt->ids, "bmp-port"), NULL, 10);
	char text[8];

	bmp->listener = before ? listen_on(before, &bmp->port) : -1;
	if (bmp->listener < 0)
		bmp->listener = listen_on(FIRST_PORT, &bmp->port);
	if (bmp->listener < 0)
		bmp->listener = listen_on(0, &bmp->port);
	if (bmp->listener < 0)
		return bmp->listener;
	if (bmp->port != before) {
		snprintf(text, sizeof(text), "%u", bmp->port);
		ctl_ids_set_fact(rt->ids, "bmp-port", text);
	}
	bmp->accept = event_new(rt->base, bmp->listener, EV_READ | EV_PERSIST, on_accept, rt);
	return bmp->accept && event_add(bmp->accept, NULL) == 0 ? 0 : -ENOMEM;
}

int
ctl_bmp_new(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = calloc(1, sizeof(*bmp));
	int rc;

	if (!bmp)
		return -ENOMEM;
	bmp->listener = bmp->fd = -1;
	bmp->lost_ns = spw_clock_ns();
	rt->bmp = bmp;
	bmp->buf = malloc(BUFFER);
	bmp->marks = ctl_bmp_marks_new();
	bmp->expiry = evtimer_new(rt->base, ctl_bmp_on_expiry, rt);
	if (!bmp->buf || !bmp->marks || !bmp->expiry) {
		ctl_bmp_free(rt);
		return -ENOMEM;
	}
	rc = station_open(rt);
	if (rc != 0) {
		spw_log(SPW_LOG_ERROR, "bmp", "cannot-listen",
			"error=\"%s\" action=\"withdrawals are heard from the kernel alone\"",
			strerror(-rc));
		bmp->port = 0;
	}
	return rc;
}

void
ctl_bmp_free(struct ctl_runtime *rt)
{
	struct ctl_bmp *bmp = rt->bmp;

	if (!bmp)
		return;
	if (bmp->accept)
		event_free(bmp->accept);
	if (bmp->readable)
		event_free(bmp->readable);
	if (bmp->expiry)
		event_free(bmp->expiry);
	if (bmp->listener >= 0)
		close(bmp->listener);
	if (bmp->fd >= 0)
		close(bmp->fd);
	ctl_bmp_neighbours_free(bmp);
	ctl_bmp_marks_free(bmp->marks);
	free(bmp->buf);
	free(bmp);
	rt->bmp = NULL;
}

uint16_t
ctl_bmp_port(const struct ctl_runtime *rt)
{
	return rt->bmp ? rt->bmp->port : 0;
}

bool
ctl_bmp_connected(const struct ctl_runtime *rt)
{
	return rt->bmp && rt->bmp->fd >= 0;
}
