/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Framed messages over SOCK_SEQPACKET between the daemons.
 *
 * A datagram is one header and an array of one struct; the kernel keeps boundaries, so framing is
 * three checks: protocol, length, element size times count. Which element size a number must have
 * is the receiver's check against its message table. Descriptors ride as SCM_RIGHTS and are
 * close-on-exec from birth. Senders never block for a peer that does not read; they see -EAGAIN.
 * The client half waits for the reply to its own sequence number and no other. Bodies may hold
 * keys: receivers wipe the struct spw_msg after use. One thread per descriptor.
 */
#include "lib/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/secret.h"

static int
sockaddr_fill(struct sockaddr_un *sun, const char *path, struct spw_err *err)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sun->sun_path))
		return spw_fail(
			err, -ENAMETOOLONG,
			"socket path '%.80s' is longer than %zu bytes; use a shorter --run-dir",
			path, sizeof(sun->sun_path) - 1);
	memcpy(sun->sun_path, path, strlen(path) + 1);
	return 0;
}

static void
buffers_enlarge(int fd)
{
	int size = 8 * SPW_MSG_MAX;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/* Somebody listens there, be it without ever accepting. */
static bool
is_taken(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool taken = fd >= 0 && (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 ||
				 errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return taken;
}

int
spw_msg_listen(const char *path, gid_t gid, struct spw_err *err)
{
	struct sockaddr_un sun;
	int fd, rc = sockaddr_fill(&sun, path, err);

	if (rc != 0)
		return rc;
	if (is_taken(&sun))
		return spw_fail(err, -EADDRINUSE,
				"another daemon listens on %s: end it first, or use another "
				"--run-dir",
				path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return spw_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	unlink(path);
	mode_t old = umask(0117);

	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
	umask(old);
	if (rc == 0 && gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0)
		rc = -errno;
	if (rc == 0 && listen(fd, 32) < 0)
		rc = -errno;
	if (rc == 0)
		return fd;
	close(fd);
	return spw_fail(err, rc, "cannot listen on %s: %s", path, strerror(-rc));
}

int
spw_msg_connect(const char *path, struct spw_err *err)
{
	struct sockaddr_un sun;
	int fd, rc = sockaddr_fill(&sun, path, err);

	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return spw_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	buffers_enlarge(fd);
	/* not blocking: one that listens and accepts nobody would keep us, too, for ever */
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 && fcntl(fd, F_SETFL, 0) == 0)
		return fd;
	rc = -errno;
	close(fd);
	if (rc == -EAGAIN)
		return spw_fail(err, rc,
				"cannot connect to %s: the daemon accepts nobody; does it "
				"hang?",
				path);
	return spw_fail(err, rc, "cannot connect to %s: %s; is the daemon running?", path,
			strerror(-rc));
}

int
spw_msg_peer(int fd, struct spw_peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*peer = (struct spw_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	return 0;
}

int
spw_msg_send(int fd, const struct spw_msg_hdr *hdr, const void *body, const int *fds,
	     unsigned int n_fds)
{
	struct spw_msg_hdr h = *hdr;
	struct iovec iov[2] = {{&h, sizeof(h)},
			       {(void *)(uintptr_t)body, (size_t)h.count * h.elem_size}};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * SPW_MSG_FDS)];
	} control = {0};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = iov[1].iov_len ? 2 : 1};

	h.protocol = SPW_MSG_PROTOCOL;
	if (n_fds > SPW_MSG_FDS || sizeof(h) + iov[1].iov_len > SPW_MSG_MAX)
		return -EMSGSIZE;
	if (n_fds) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	for (;;) {
		if (sendmsg(fd, &m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
	}
}

static void
fds_take(struct spw_msg *out, struct msghdr *m)
{
	out->n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n && out->n_fds < SPW_MSG_FDS; i++)
			memcpy(&out->fds[out->n_fds++], CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
	}
}

int
spw_msg_recv(int fd, struct spw_msg *out)
{
	struct iovec iov[2] = {{&out->hdr, sizeof(out->hdr)}, {out->body, sizeof(out->body)}};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * SPW_MSG_FDS)];
	} control;
	struct msghdr m = {.msg_iov = iov,
			   .msg_iovlen = 2,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control)};
	ssize_t n;

	out->n_fds = 0;
	do {
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	fds_take(out, &m);
	if (n == 0) { /* the end, or a datagram of nothing: it may have brought descriptors */
		spw_msg_close_fds(out);
		return -ECONNRESET;
	}
	size_t want = sizeof(out->hdr) + (size_t)out->hdr.count * out->hdr.elem_size;

	if ((size_t)n < sizeof(out->hdr) || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    out->hdr.protocol != SPW_MSG_PROTOCOL || (size_t)n != want) {
		spw_msg_close_fds(out);
		/* it may have been meant to hold a key, and its header does not say how much */
		spw_wipe(out->body, sizeof(out->body));
		return -EPROTO;
	}
	return 0;
}

void
spw_msg_close_fds(struct spw_msg *m)
{
	for (unsigned int i = 0; i < m->n_fds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->n_fds = 0;
}

void
spw_msg_wipe(struct spw_msg *m)
{
	size_t used = (size_t)m->hdr.count * m->hdr.elem_size;

	spw_wipe(m->body, used < sizeof(m->body) ? used : sizeof(m->body));
}

static int
wait_readable(int fd, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = spw_clock_ns();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int ms = now >= deadline_ns ? 0 : (int)((deadline_ns - now) / SPW_NS_PER_MS) + 1;
		int rc = poll(&p, 1, ms);

		if (rc > 0)
			return 0;
		if (rc == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int
spw_client_next(struct spw_client *c, struct spw_msg *reply, struct spw_err *err)
{
	uint64_t deadline = spw_clock_ns() + c->timeout_ms * SPW_NS_PER_MS;
	int rc;

	for (;;) {
		rc = wait_readable(c->fd, deadline);
		if (rc == 0)
			rc = spw_msg_recv(c->fd, reply);
		if (rc != 0)
			return spw_fail(err, rc, "no answer: %s", strerror(-rc));
		if ((reply->hdr.flags & SPW_MSG_REPLY) && reply->hdr.seq == c->seq)
			break;
		spw_msg_close_fds(reply);
	}
	if (reply->hdr.status == 0)
		return 0;
	rc = -(int)reply->hdr.status;
	if (reply->hdr.count == 1 && reply->hdr.elem_size == sizeof(struct spw_msg_error)) {
		struct spw_msg_error *e = (struct spw_msg_error *)reply->body;

		e->text[sizeof(e->text) - 1] = '\0';
		return spw_fail(err, rc, "%s", e->text);
	}
	return spw_fail(err, rc, "%s", strerror(-rc));
}

int
spw_client_call(struct spw_client *c, uint16_t number, const void *elems, uint16_t elem_size,
		uint16_t count, const int *fds, unsigned int n_fds, struct spw_msg *reply,
		struct spw_err *err)
{
	struct spw_msg_hdr hdr = {
		.number = number, .seq = ++c->seq, .count = count, .elem_size = elem_size};
	int rc = spw_msg_send(c->fd, &hdr, elems, fds, n_fds);

	if (rc != 0)
		return spw_fail(err, rc, "cannot send: %s", strerror(-rc));
	return spw_client_next(c, reply, err);
}
