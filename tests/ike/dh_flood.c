/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a living tunnel waits for iked while others begin handshakes with it.
 *
 *	ike_dh_flood PATH/spillway-iked [SECONDS [RATE]]
 *
 * In a network namespace of its own: a spillway-iked with a stand-in for its data plane on
 * 127.0.0.2; here, on 127.0.0.1, an engine with one tunnel to it, whose liveness checks (50 a
 * second) and child rekeys with PFS (5 a second) are timed from request to answer; and a second
 * process that begins RATE handshakes a second from the addresses of 64 configured peers, each
 * with a good value of group 20, gives back the cookie where it is asked for one, and goes no
 * further. First without the flood, then beside it. Prints milliseconds; judges nothing. Root.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike/engine.h"
#include "tests/ike/iked_bed.h"
#include "tests/ike/no_dataplane.h"

#define PEERS	    64
#define SAMPLES_MAX 10000
#define DAEMON	    0x7f000002
#define LIVING	    0x7f000001
#define FLOOD(i)    (0x7f000101 + (i))

static const struct spw_ike_proposal suite = {
	.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA384, .group = SPW_GROUP_ECP384};

static struct ike_ops ops;

/* ---- the living peer: an engine with one socket ---- */

struct samples {
	uint64_t ns[SAMPLES_MAX];
	unsigned int n, asked;
};
static struct {
	struct ike_engine *engine;
	int fd;
	uint32_t spi, mid;
	uint64_t sent_ns; /* of the request that is timed, 0 = none */
	struct samples *into;
} living;

static __attribute__((noreturn)) void
die(const char *what)
{
	fprintf(stderr, "dh_flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
op_send(void *ctx, const struct ike_datagram *d)
{
	struct sockaddr_storage to;
	socklen_t len = spw_addr_to_sockaddr(&d->remote, d->remote_port, &to);
	struct ike_header h;

	if (ike_wire_header(&h, d->bytes, d->len) == 0 && !(h.flags & IKE_FLAG_RESPONSE) &&
	    living.into && living.sent_ns == 0) {
		living.sent_ns = spw_clock_ns();
		living.mid = h.mid;
		living.into->asked++;
	}
	(void)sendto(living.fd, d->bytes, d->len, 0, (struct sockaddr *)&to, len);
}

static int
op_spi_alloc(void *ctx, uint32_t tunnel, uint32_t *spi)
{
	*spi = ++living.spi;
	return 0;
}

static uint64_t
op_last_inbound(void *ctx, uint32_t tunnel)
{
	return spw_clock_ns(); /* so that nothing is probed but when we say */
}

static void
answer_seen(const uint8_t *bytes, size_t len)
{
	struct ike_header h;

	if (living.sent_ns == 0 || ike_wire_header(&h, bytes, len) != 0 ||
	    !(h.flags & IKE_FLAG_RESPONSE) || h.mid != living.mid)
		return;
	if (living.into->n < SAMPLES_MAX)
		living.into->ns[living.into->n++] = spw_clock_ns() - living.sent_ns;
	living.sent_ns = 0;
	living.into = NULL;
}

static void
hear(void)
{
	struct ike_datagram d = {.local = spw_addr_v4(LIVING), .local_port = 500};
	uint8_t buf[4096];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(living.fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &from_len);

	if (n <= 0 || spw_addr_from_sockaddr(&d.remote, &d.remote_port, &from) != 0)
		return;
	answer_seen(buf, (size_t)n);
	d.bytes = buf;
	d.len = (size_t)n;
	ike_engine_input(living.engine, spw_clock_ns(), &d);
}

/* Run the engine until `until`. */
static void
live(uint64_t until)
{
	struct pollfd p = {.fd = living.fd, .events = POLLIN};

	for (uint64_t now = spw_clock_ns(); now < until; now = spw_clock_ns()) {
		uint64_t at = ike_min_u64(ike_engine_wakeup(living.engine), until);
		uint64_t wait = at > now ? at - now : 0;
		struct timespec ts = {(time_t)(wait / SPW_NS_PER_S), (long)(wait % SPW_NS_PER_S)};

		if (ppoll(&p, 1, &ts, NULL) > 0)
			hear();
		else
			(void)ike_engine_tick(living.engine, spw_clock_ns());
	}
}

static struct ike_sa *
living_sa(void)
{
	return living.engine->conns ? ike_conn_sa(living.engine->conns) : NULL;
}

static int
by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
print(const char *what, const char *when, struct samples *s)
{
	qsort(s->ns, s->n, sizeof(s->ns[0]), by_time);
	if (s->n == 0)
		printf("%-8s %-14s no answer to %u requests\n", what, when, s->asked);
	else
		printf("%-8s %-14s p50 %7.2f  p99 %7.2f  max %7.2f ms  (%u of %u requests)\n", what,
		       when, (double)s->ns[s->n / 2] / 1e6, (double)s->ns[s->n * 99 / 100] / 1e6,
		       (double)s->ns[s->n - 1] / 1e6, s->n, s->asked);
}

/* Ask again and again for `seconds`; requests that are still out when the next is due are waited
 * for. */
static void
measure(const char *when, bool rekey, unsigned int seconds)
{
	static struct samples s;
	uint64_t end = spw_clock_ns() + seconds * SPW_NS_PER_S;

	memset(&s, 0, sizeof(s));
	while (spw_clock_ns() < end) {
		uint64_t next = spw_clock_ns() + (rekey ? 200 : 20) * SPW_NS_PER_MS;
		struct ike_sa *sa = living_sa();

		if (sa && sa->req.task == IKE_TASK_NONE) {
			living.into = &s;
			living.sent_ns = 0;
			sa->probe_wanted = !rekey;
			if (rekey)
				(void)ike_engine_rekey(living.engine, spw_clock_ns(), "living",
						       SPW_IKE_RESET_CHILD);
			else
				ike_touch(sa);
			(void)ike_engine_tick(living.engine, spw_clock_ns());
		}
		live(next);
	}
	live(spw_clock_ns() + SPW_NS_PER_S);
	living.into = NULL;
	print(rekey ? "rekey" : "liveness", when, &s);
}

/* ---- both ends ---- */

static int
udp(uint32_t addr, uint16_t port)
{
	const struct spw_addr local = spw_addr_v4(addr);
	struct sockaddr_storage ss;
	socklen_t len = spw_addr_to_sockaddr(&local, port, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int room = 2 * 1024 * 1024; /* as controld makes them */

	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0)
		die("bind");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return fd;
}

static struct spw_ike_conn
settings(const char *name, uint32_t local, uint32_t remote, uint32_t mode, uint32_t tunnel)
{
	const struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	struct spw_ike_conn c = {.tunnel = tunnel,
				 .generation = 1,
				 .local = spw_addr_v4(local),
				 .remote = spw_addr_v4(remote),
				 .mode = mode,
				 .psk_len = 16,
				 .n_ike = 1,
				 .n_esp = 1,
				 .replay_window = 1024,
				 .n_local = 1,
				 .n_remote = 1};

	snprintf(c.name, sizeof(c.name), "%s", name);
	memcpy(c.psk, "correct horse ba", 16);
	c.ike[0] = suite;
	c.esp[0] = (struct spw_ike_proposal){.encr = SPW_ENCR_AES256_GCM, .group = suite.group};
	c.sel_local[0] = c.sel_remote[0] = any;
	return c;
}

static void
living_start(void)
{
	const struct ike_engine_config config = {
		.ops = &ops, .encr_mask = 0xffff, .half_open_cookies = 64};
	struct spw_ike_conn c = settings("living", LIVING, DAEMON, SPW_IKE_MODE_INITIATE, 1);
	struct spw_err err = {0};

	living.fd = udp(LIVING, 500);
	living.spi = 0x1000;
	ops = no_dataplane_ops();
	ops.send = op_send;
	ops.spi_alloc = op_spi_alloc;
	ops.last_inbound = op_last_inbound;
	if (ike_engine_new(&living.engine, &config, spw_clock_ns()) != 0 ||
	    ike_engine_conn_set(living.engine, spw_clock_ns(), &c, &err) != 0)
		die(err.text);
	for (int i = 0; i < 100 && !living_sa(); i++)
		live(spw_clock_ns() + 100 * SPW_NS_PER_MS);
	if (!living_sa())
		die("the tunnel does not come up");
}

/* ---- the flood ---- */

struct attempt {
	uint64_t spi;
	uint8_t nonce[32];
};

static size_t
first_message(uint8_t *out, size_t size, const struct attempt *a, const struct ike_dh *dh,
	      const struct ike_notify *cookie)
{
	const struct ike_header h = {
		.spi_i = a->spi, .exchange = IKE_X_SA_INIT, .flags = IKE_FLAG_INITIATOR};
	struct ike_builder b;
	size_t len = 0;

	ike_build_start(&b, out, size, &h);
	if (cookie)
		ike_build_notify(&b, IKE_N_COOKIE, 0, 0, cookie->data.bytes, cookie->data.len);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, &suite, 1, 1, true);
	ike_build_ke(&b, 20, ike_dh_public(dh), 96);
	ike_build_bytes(&b, IKE_P_NONCE, a->nonce, sizeof(a->nonce));
	return ike_build_finish(&b, &len) == 0 ? len : 0;
}

/* Answers of the daemon to this peer: cookies are given back. Returns how many were answers. */
static unsigned int
take_answers(int fd, const struct attempt *last, const struct ike_dh *dh)
{
	uint8_t in[2048], out[1024];
	unsigned int answers = 0;
	ssize_t n;

	while ((n = recv(fd, in, sizeof(in), MSG_DONTWAIT)) > 0) {
		struct ike_msg m = {0};
		const struct ike_notify *cookie;

		if (ike_wire_header(&m.hdr, in, (size_t)n) != 0 ||
		    ike_wire_payloads(&m, m.hdr.next, in + IKE_HEADER_LEN,
				      (size_t)n - IKE_HEADER_LEN) != 0)
			continue;
		answers += m.has_ke;
		cookie = ike_wire_notify(&m, IKE_N_COOKIE);
		if (cookie && m.hdr.spi_i == last->spi) {
			size_t len = first_message(out, sizeof(out), last, dh, cookie);

			(void)send(fd, out, len, MSG_DONTWAIT);
		}
	}
	return answers;
}

static void
flood(unsigned int rate, int report)
{
	const struct spw_addr to = spw_addr_v4(DAEMON);
	struct attempt last[PEERS] = {0};
	struct sockaddr_storage ss;
	socklen_t ss_len = spw_addr_to_sockaddr(&to, 500, &ss);
	uint64_t began = spw_clock_ns(), sent = 0;
	uint32_t figure[2] = {0};
	struct ike_dh *dh;
	int fd[PEERS];
	uint8_t out[1024];

	if (ike_dh_new(&dh, suite.group) != 0)
		die("group 20");
	for (int i = 0; i < PEERS; i++) {
		fd[i] = udp((uint32_t)FLOOD(i), 500);
		if (connect(fd[i], (struct sockaddr *)&ss, ss_len) < 0)
			die("connect");
	}
	for (unsigned int i = 0;; i = (i + 1) % PEERS) {
		uint64_t due = began + sent * SPW_NS_PER_S / rate, now = spw_clock_ns();

		if (due > now) {
			struct timespec ts = {0, (long)((due - now) % SPW_NS_PER_S)};

			nanosleep(&ts, NULL);
		}
		ops.random(NULL, &last[i], sizeof(last[i]));
		last[i].spi |= 1;
		(void)send(fd[i], out, first_message(out, sizeof(out), &last[i], dh, NULL),
			   MSG_DONTWAIT);
		sent++;
		for (unsigned int k = 0; k < 8; k++)
			figure[1] += take_answers(fd[(i + 8 * k + 1) % PEERS],
						  &last[(i + 8 * k + 1) % PEERS], dh);
		figure[0] = (uint32_t)sent;
		if (sent % 512 == 0 && write(report, figure, sizeof(figure)) < 0)
			exit(0);
	}
}

/* ---- the daemon ---- */

static void
call(struct spw_client *c, uint16_t number, const void *elem, uint16_t size, const int *fds)
{
	static struct spw_msg reply;
	struct spw_err err = {0};

	if (spw_client_call(c, number, elem, size, 1, fds, fds ? 2 : 0, &reply, &err) != 0)
		die(err.text);
}

static void
configure(const char *dir)
{
	struct spw_ike_socket sock = {.local = spw_addr_v4(DAEMON)};
	const int fds[2] = {udp(DAEMON, 500), udp(DAEMON, 4500)};
	struct spw_client c = {.fd = -1, .timeout_ms = 10000};
	struct spw_ike_hello hello = {0};
	struct spw_ike_conn conn;
	struct spw_err err = {0};
	char path[108];

	snprintf(path, sizeof(path), "%s/ike.sock", dir);
	for (int i = 0; i < 100 && (c.fd = spw_msg_connect(path, &err)) < 0; i++)
		poll(NULL, 0, 50);
	if (c.fd < 0)
		die(err.text);
	call(&c, SPW_IKE_HELLO, &hello, sizeof(hello), NULL);
	call(&c, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), fds);
	conn = settings("living", DAEMON, LIVING, SPW_IKE_MODE_RESPOND, 1);
	call(&c, SPW_IKE_CONN_SET, &conn, sizeof(conn), NULL);
	for (int i = 0; i < PEERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "flood%d", i);
		conn = settings(name, DAEMON, (uint32_t)FLOOD(i), SPW_IKE_MODE_RESPOND,
				(uint32_t)i + 2);
		call(&c, SPW_IKE_CONN_SET, &conn, sizeof(conn), NULL);
	}
}

static pid_t
daemon_start(const char *program, const char *dir)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(program, program, "--run-dir", dir, "--user", "-", "--log-level", "error",
	      (char *)NULL);
	_exit(127);
}

static void
with_flood(unsigned int seconds, unsigned int rate)
{
	uint32_t figure[2] = {0}, first[2] = {0};
	int pipe_fd[2];
	pid_t pid;

	if (pipe(pipe_fd) < 0 || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		flood(rate, pipe_fd[1]);
	}
	close(pipe_fd[1]);
	measure("beside flood", false, seconds);
	measure("beside flood", true, seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (read(pipe_fd[0], figure, sizeof(figure)) == sizeof(figure))
		memcpy(first, figure, sizeof(first));
	printf("the flood: %u handshakes begun, %u answered with keys\n", first[0], first[1]);
	close(pipe_fd[0]);
}

int
main(int argc, char **argv)
{
	static struct fake_dataplane dp;
	unsigned int seconds = argc > 2 ? (unsigned int)atoi(argv[2]) : 10;
	unsigned int rate = argc > 3 ? (unsigned int)atoi(argv[3]) : 5000;
	char dir[] = "/tmp/spw-flood-XXXXXX", path[108];
	struct spw_err err = {0};
	pid_t pid;

	if (argc < 2 || seconds == 0 || rate == 0) {
		fprintf(stderr, "usage: ike_dh_flood PATH/spillway-iked [SECONDS [RATE]]\n");
		return 2;
	}
	spw_log_init("flood", SPW_LOG_ERROR);
	if (geteuid() != 0 || !bed_namespace() || !mkdtemp(dir))
		die("needs root");
	if (spw_secret_init() != 0 || ike_crypto_self_test(&err) != 0)
		die(err.text);
	snprintf(path, sizeof(path), "%s/dataplane.sock", dir);
	fake_start(&dp, path);
	pid = daemon_start(argv[1], dir);
	configure(dir);
	living_start();
	measure("quiet", false, seconds);
	measure("quiet", true, seconds);
	with_flood(seconds, rate);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	fake_stop(&dp);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ike.sock", dir);
	unlink(path);
	rmdir(dir);
	return 0;
}
