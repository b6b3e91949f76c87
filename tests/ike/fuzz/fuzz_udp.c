/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: the two UDP ports. Real sockets on the loopback of a network namespace of our
 * own (root; without it nothing is done and that is said).
 *
 * A record is a byte that says what, one of length, and content: bytes as they are or behind the
 * non-ESP marker, to port 500 or 4500, from one of a few sources; or a right IKE_SA_INIT request
 * changed at some places. What comes back is a whole IKE message to the one who asked, not much
 * longer than what was sent, never an answer to an answer; and a right request is still answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ike/wire.h"
#include "tests/ike/fuzz/daemon.h"

#define SOURCES 4
#define MARKER	4
#define GROWTH	3 /* times at most that an answer is longer than a whole request */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int source[SOURCES] = {-1};

static int
udp_open(uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool
prepare(void)
{
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	if (source[0] >= 0)
		return true;
	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "needs root for ports of its own: not fuzzed\n");
		_exit(0);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ioctl(fd, SIOCSIFFLAGS, &req);
	close(fd);
	for (unsigned int i = 0; i < SOURCES; i++)
		source[i] = udp_open(0x7f000002 + (i >> 1), i & 1 ? 4500 : 500);
	return source[SOURCES - 1] >= 0;
}

/* A right IKE_SA_INIT request. */
static size_t
init_make(uint8_t *out, size_t size, uint8_t spi)
{
	static const uint8_t nonce[32] = {1};
	const struct ike_header h = {.spi_i = 0x1122334455667700u + spi,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_INITIATOR};
	const struct spw_ike_conn c = fuzz_conn();
	static struct ike_dh *dh;
	struct ike_builder b;
	size_t len;

	if (!dh && ike_dh_new(&dh, SPW_GROUP_ECP256) != 0)
		fuzz_daemon_broken("no key pair");
	ike_build_start(&b, out, size, &h);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, c.ike, 1, 1, true);
	ike_build_ke(&b, 19, ike_dh_public(dh), 64);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	return ike_build_finish(&b, &len) == 0 ? len : 0;
}

static void
send_to(unsigned int from, uint16_t port, const uint8_t *bytes, size_t len)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(0x7f000001)};

	(void)sendto(source[from], bytes, len, 0, (const struct sockaddr *)&to, sizeof(to));
}

/* What came back to one source; `sent` is what it had sent, 0 = nothing since. */
static unsigned int
answers_check(unsigned int from, const uint8_t *sent, size_t sent_len)
{
	uint8_t buf[65536];
	unsigned int n = 0;
	ssize_t got;

	while ((got = recv(source[from], buf, sizeof(buf), 0)) >= 0) {
		size_t skip = from & 1 ? MARKER : 0;
		struct ike_header h;

		/* a source on 500 may have asked 4500, and be answered from there with the marker
		 */
		if ((size_t)got > MARKER && spw_get_be32(buf) == 0)
			skip = MARKER;
		else
			skip = 0;
		if (ike_wire_header(&h, buf + skip, (size_t)got - skip) != 0)
			fuzz_daemon_broken("what came back is no IKE message");
		if (sent_len == 0)
			fuzz_daemon_broken("an answer to somebody who asked nothing");
		if ((size_t)got > GROWTH * sent_len + MARKER)
			fuzz_daemon_broken("an answer much longer than what was asked");
		n++;
	}
	(void)sent;
	return n;
}

static void
record(struct iked *d, uint8_t what, const uint8_t *bytes, size_t len)
{
	uint8_t buf[1024] = {0};
	unsigned int from = what & 3, n;
	bool natt = (what & 4) != 0;
	size_t at = what & 8 ? MARKER : 0;

	if (what & 0x10) {
		size_t made = init_make(buf + at, sizeof(buf) - at, what);

		fuzz_patch(buf + at, made, bytes, len);
		len = made;
	} else if (len) {
		memcpy(buf + at, bytes, len);
	}
	send_to(from, natt ? 4500 : 500, buf, at + len);
	fuzz_daemon_turn(d);
	for (unsigned int i = 0; i < SOURCES; i++) {
		n = answers_check(i, buf, i == from ? at + len : 0);
		if (n > 1)
			fuzz_daemon_broken("two answers to one datagram");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct spw_addr local = spw_addr_v4(0x7f000001);
	const struct spw_ike_conn conn = fuzz_conn();
	struct spw_err err = {0};
	static struct iked d;
	uint8_t buf[1024];
	int fds[2];
	size_t at = 0, len;

	if (!prepare())
		return 0;
	fuzz_daemon_begin(&d);
	fds[0] = udp_open(0x7f000001, 500);
	fds[1] = udp_open(0x7f000001, 4500);
	if (iked_udp_set(&d, &local, fds, &err) != 0 || iked_engine_start(&d, &err) != 0 ||
	    ike_engine_conn_set(d.engine, spw_clock_ns(), &conn, &err) != 0)
		fuzz_daemon_broken(err.text);
	for (unsigned int n = 0; at + 2 <= size && n < 16; n++) {
		len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
		record(&d, data[at], data + at + 2, len);
		at += 2 + len;
	}
	len = init_make(buf, sizeof(buf), 0xee);
	send_to(0, 500, buf, len);
	fuzz_daemon_turn(&d);
	if (answers_check(0, buf, len) != 1)
		fuzz_daemon_broken("a right request is not answered any more");
	fuzz_daemon_end(&d);
	return 0;
}
