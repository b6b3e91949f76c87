/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: what controld, or whoever got hold of its socket, may send to ike.sock.
 *
 * A record is a byte that says what, one of length, and content. It becomes a frame: bytes as they
 * are, or a right request of some number whose elements are changed at a few places, with
 * descriptors of some kind beside it. Every request that is a message is answered once (a dump in
 * parts), whatever it says; anything else closes the connection, after which a new one is served.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/ike/fuzz/daemon.h"

#define CONN_SET 2 /* its place in the list of requests */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/spw-fuzz-XXXXXX";
static char path[64];
static int client = -1;
static struct spw_msg answer;

static void
dir_remove(void)
{
	unlink(path);
	rmdir(dir);
}

static void
client_connect(struct iked *d)
{
	struct spw_err err = {0};

	if (client >= 0)
		close(client);
	client = spw_msg_connect(path, &err);
	if (client < 0)
		fuzz_daemon_broken(err.text);
	fcntl(client, F_SETFL, O_NONBLOCK);
	fuzz_daemon_turn(d);
}

/* A right request of this number, changed at some places. */
static size_t
request_make(uint8_t *frame, uint8_t what, const uint8_t *patches, size_t len)
{
	static const uint16_t numbers[] = {
#define SPW_IKE_MSG(name, number, request, reply) number,
#include "lib/msg_ike.def"
	};
	uint16_t number = numbers[what % (sizeof(numbers) / sizeof(numbers[0]))];
	const struct spw_ike_msg_info *info = spw_ike_msg_info(number);
	struct spw_msg_hdr hdr = {.protocol = SPW_MSG_PROTOCOL,
				  .number = number,
				  .seq = 1,
				  .count = info->request_size ? 1 : 0,
				  .elem_size = info->request_size};
	const struct spw_ike_conn conn = fuzz_conn();
	size_t total = sizeof(hdr) + info->request_size;

	memset(frame, 0, total);
	memcpy(frame, &hdr, sizeof(hdr));
	if (info->request_size == sizeof(conn))
		memcpy(frame + sizeof(hdr), &conn, sizeof(conn));
	else if (info->request_size)
		memcpy(frame + sizeof(hdr), conn.name,
		       info->request_size < 4 ? info->request_size : 4);
	fuzz_patch(frame + (what & 0x40 ? 0 : sizeof(hdr)),
		   what & 0x40 ? sizeof(hdr) : info->request_size, patches, len);
	return total;
}

static unsigned int
fds_make(struct iked *d, uint8_t kind, int fds[2])
{
	switch (kind & 3) {
	case 1: fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC); return 1;
	case 2:
		fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		return 2;
	case 3: fds[0] = dup(d->escrow.fd); return 1;
	default: return 0;
	}
}

static bool
frame_send(const uint8_t *frame, size_t len, const int *fds, unsigned int n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)frame, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(int) * n_fds);
	}
	return sendmsg(client, &m, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Read what came back: how many answers are complete, or -1 when the connection is closed. */
static int
answers(void)
{
	int rc, n = 0;

	while ((rc = spw_msg_recv(client, &answer)) == 0) {
		spw_msg_close_fds(&answer);
		if (answer.hdr.flags & SPW_MSG_EVENT)
			continue;
		if (!(answer.hdr.flags & SPW_MSG_REPLY))
			fuzz_daemon_broken("something that is no answer came");
		n += !(answer.hdr.flags & SPW_MSG_MORE);
	}
	return rc == -EAGAIN ? n : -1;
}

/* Is it a message, whatever it says? */
static bool
is_message(const uint8_t *frame, size_t len)
{
	struct spw_msg_hdr h;

	if (len < sizeof(h))
		return false;
	memcpy(&h, frame, sizeof(h));
	return h.protocol == SPW_MSG_PROTOCOL && len == sizeof(h) + (size_t)h.count * h.elem_size;
}

static void
record(struct iked *d, uint8_t what, const uint8_t *bytes, size_t len)
{
	uint8_t frame[sizeof(struct spw_msg_hdr) + sizeof(struct spw_ike_conn)];
	int fds[2] = {-1, -1}, got;
	unsigned int n_fds;

	if (what == 0xff) {
		if (len == 0 || len > sizeof(frame))
			return;
		memcpy(frame, bytes, len);
	} else {
		len = request_make(frame, what, bytes + (len > 0), len - (len > 0));
	}
	n_fds = what & 0x80 ? fds_make(d, what >> 4, fds) : 0;
	if (!frame_send(frame, len, fds, n_fds))
		fuzz_daemon_broken("the socket takes no more");
	for (unsigned int i = 0; i < n_fds; i++)
		close(fds[i]);
	fuzz_daemon_turn(d);
	got = answers();
	if (is_message(frame, len) ? got != 1 : got != -1)
		fuzz_daemon_broken("a message is answered once, anything else ends the connection");
	if (got == -1)
		client_connect(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spw_err err = {0};
	static struct iked d;
	size_t at = 0;

	if (path[0] == '\0') {
		if (!mkdtemp(dir))
			return 0;
		snprintf(path, sizeof(path), "%s/ike.sock", dir);
		atexit(dir_remove);
	}
	fuzz_daemon_begin(&d);
	if (iked_server_listen(&d, dir, (gid_t)-1, &err) != 0 || iked_server_start(&d) != 0)
		fuzz_daemon_broken(err.text);
	client_connect(&d);
	while (at + 2 <= size) {
		size_t len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;

		record(&d, data[at], data + at + 2, len);
		at += 2 + len;
	}
	record(&d, CONN_SET, NULL, 0); /* whatever happened: a connection can still be configured */
	if (!d.engine || d.conns.n == 0)
		fuzz_daemon_broken("a right connection was not taken");
	close(client);
	client = -1;
	fuzz_daemon_turn(&d);
	iked_server_stop(&d, dir);
	fuzz_daemon_end(&d);
	return 0;
}
