/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other ends of bench/ike.py: up to 4,096 IKE peers in one process, each an engine of its own
 * with an address of its own, over two UDP sockets (ports 500 and 4500). They load the daemon under
 * test, whichever it is, in the same way; what they cost themselves is not measured.
 *
 * Commands come on stdin, one a line; each is answered by one line of JSON on stdout when it is
 *done (or has waited too long, which is said in it):
 *
 *	up FIRST COUNT WINDOW      dial, WINDOW at a time, until all are up
 *	listen FIRST COUNT         answer whoever dials; done at once
 *	await up COUNT             until so many tunnels are up
 *	rekey child|ike COUNT WINDOW   rekey the first COUNT tunnels, WINDOW at a time
 *	mark                       count rekeys from here
 *	await child|ike COUNT      until the daemon has made so many rekeys
 *	down                       delete all, until nothing is left
 *	dh COUNT                   make so many key pairs and shared secrets; their CPU time
 *
 * The data plane of a peer is nothing: its operations succeed. One thread.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/ike_bench.h"
#include "ike/crypto.h"
#include "ike/ike.h"
#include "tests/ike/no_dataplane.h"

#define MARKER	   4
#define BURST	   64
#define SOCKET_BUF (8 << 20)
#define PATIENCE_S 300

enum goal { NOTHING, UP, DOWN, REKEY_CHILD, REKEY_IKE };

struct peer {
	struct ike_engine *engine;
	unsigned int index;
	uint64_t wake_ns;
	uint32_t next_spi;
	bool up, running;
	uint32_t installs, installs_marked;
	uint64_t ike_spi_marked;
	struct spw_ike_status before;
};

/* What is under way: peers first..first+count, `window` at a time. */
struct job {
	enum goal goal;
	bool passive; /* the daemon does it, we count */
	unsigned int first, count, window, next, running, done;
	uint64_t begun_ns;
	char name[16];
};

static struct peer peers[BENCH_IKE_MAX];
static unsigned int n_up;
static struct job job;
static int fds[2];
static const uint16_t ports[2] = {500, 4500};
static uint64_t sent, received;
static bool finished;

/* ---- the world of an engine ---- */

static struct ike_ops ops;

static void
op_send(void *ctx, const struct ike_datagram *d)
{
	static const uint8_t marker[MARKER];
	int which = d->local_port == ports[1];
	struct iovec iov[2] = {{(void *)(uintptr_t)marker, MARKER},
			       {(void *)(uintptr_t)d->bytes, d->len}};
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = {0};
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(spw_addr_get_v4(&d->local))};
	struct sockaddr_storage to;
	struct msghdr m = {.msg_name = &to,
			   .msg_namelen = spw_addr_to_sockaddr(&d->remote, d->remote_port, &to),
			   .msg_iov = which ? iov : iov + 1,
			   .msg_iovlen = which ? 2 : 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	if (sendmsg(fds[which], &m, 0) >= 0)
		sent++;
}

static int
op_spi_alloc(void *ctx, uint32_t tunnel, uint32_t *spi)
{
	struct peer *p = ctx;

	*spi = ++p->next_spi;
	return 0;
}

static int
op_sa_install(void *ctx, const struct spw_sa_desc *sa, bool outbound)
{
	((struct peer *)ctx)->installs++;
	return 0;
}

static void
op_tunnel_event(void *ctx, const struct spw_ike_tunnel_event *ev)
{
	struct peer *p = ctx;

	if (p->up != (ev->up != 0))
		n_up += ev->up ? 1 : -1u;
	p->up = ev->up != 0;
}

/* ---- jobs ---- */

static void
say_done(const char *error)
{
	double seconds = (double)(spw_clock_ns() - job.begun_ns) / 1e9;

	printf("{\"done\": \"%s\", \"count\": %u, \"seconds\": %.6f, \"up\": %u, \"sent\": %llu, "
	       "\"received\": %llu%s%s%s}\n",
	       job.name, job.done, seconds, n_up, (unsigned long long)sent,
	       (unsigned long long)received, error ? ", \"error\": \"" : "", error ? error : "",
	       error ? "\"" : "");
	fflush(stdout);
	job.goal = NOTHING;
}

static void
peer_status(const struct peer *p, struct spw_ike_status *row)
{
	memset(row, 0, sizeof(*row));
	(void)ike_engine_status(p->engine, row, 1);
}

/* Has this peer reached the goal of the job? */
static bool
reached(const struct peer *p)
{
	struct spw_ike_status row;

	if (job.goal == UP)
		return p->up;
	if (job.goal == DOWN)
		return ike_engine_wakeup(p->engine) == UINT64_MAX;
	peer_status(p, &row);
	if (row.state != SPW_IKE_ESTABLISHED)
		return false;
	if (job.passive)
		return job.goal == REKEY_IKE ? row.spi_i != p->ike_spi_marked
					     : p->installs > p->installs_marked;
	return job.goal == REKEY_IKE ? row.ike_rekeys > p->before.ike_rekeys
				     : row.child_rekeys > p->before.child_rekeys;
}

static int
conn_set(struct peer *p, uint32_t mode)
{
	struct spw_ike_conn c = bench_ike_conn(p->index, true, mode);
	struct spw_err err = {0};
	int rc = ike_engine_conn_set(p->engine, spw_clock_ns(), &c, &err);

	spw_wipe(&c, sizeof(c));
	return rc;
}

/* Begin with this peer. false: not now, it is busy. */
static bool
peer_start(struct peer *p)
{
	char text[SPW_NAME_LEN];
	uint32_t what = job.goal == REKEY_IKE ? SPW_IKE_RESET_IKE : SPW_IKE_RESET_CHILD;

	snprintf(text, sizeof(text), BENCH_IKE_NAME, p->index);
	peer_status(p, &p->before);
	switch (job.goal) {
	case UP: return conn_set(p, SPW_IKE_MODE_INITIATE) == 0;
	case DOWN: (void)ike_engine_conn_del(p->engine, spw_clock_ns(), text); return true;
	case REKEY_CHILD:
	case REKEY_IKE: return ike_engine_rekey(p->engine, spw_clock_ns(), text, what) != -EAGAIN;
	case NOTHING:
	default: return true;
	}
}

static void
peer_look(struct peer *p)
{
	p->wake_ns = ike_engine_wakeup(p->engine);
	if (job.goal == NOTHING || !p->running || !reached(p))
		return;
	p->running = false;
	job.running--;
	job.done++;
}

static void
job_go_on(void)
{
	while (!job.passive && job.goal != NOTHING && job.running < job.window &&
	       job.next < job.count) {
		struct peer *p = &peers[job.first + job.next];

		if (!peer_start(p))
			break;
		p->running = true;
		job.running++;
		job.next++;
		peer_look(p);
	}
	if (job.goal == UP && job.passive)
		job.done = n_up;
	if (job.goal != NOTHING && job.done >= job.count)
		say_done(NULL);
	else if (job.goal != NOTHING && spw_clock_ns() - job.begun_ns > PATIENCE_S * SPW_NS_PER_S)
		say_done("not all came to it in time");
}

static void
job_start(enum goal goal, bool passive, unsigned int first, unsigned int count, unsigned int window)
{
	job = (struct job){.goal = goal,
			   .passive = passive,
			   .first = first,
			   .count = count,
			   .window = window ? window : 1,
			   .begun_ns = spw_clock_ns()};
	for (unsigned int i = 0; i < BENCH_IKE_MAX; i++)
		peers[i].running = false;
	for (unsigned int i = 0; passive && goal != UP && i < BENCH_IKE_MAX; i++)
		if (peers[i].up) {
			peers[i].running = true;
			job.running++;
			peer_look(&peers[i]);
		}
}

/* ---- commands ---- */

static void
listen_for(unsigned int first, unsigned int count)
{
	for (unsigned int i = first; i < first + count; i++)
		if (conn_set(&peers[i], SPW_IKE_MODE_RESPOND) == 0)
			job.done++;
	say_done(NULL);
}

static void
mark(void)
{
	for (unsigned int i = 0; i < BENCH_IKE_MAX; i++) {
		struct spw_ike_status row;

		if (!peers[i].up)
			continue;
		peer_status(&peers[i], &row);
		peers[i].ike_spi_marked = row.spi_i;
		peers[i].installs_marked = peers[i].installs;
	}
	say_done(NULL);
}

/* What a handshake cannot do without: our key pair, and the secret shared with the peer's. */
static void
key_exchanges(unsigned int count)
{
	size_t len = spw_group_info(SPW_GROUP_ECP384)->public_len;
	struct ike_dh *ours, *theirs;
	struct timespec a, b;

	if (ike_dh_new(&theirs, SPW_GROUP_ECP384) != 0)
		abort();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (unsigned int i = 0; i < count; i++) {
		struct spw_secret shared = {0};

		if (ike_dh_new(&ours, SPW_GROUP_ECP384) != 0 ||
		    ike_dh_shared(ours, ike_dh_public(theirs), len, &shared) != 0)
			abort();
		spw_secret_free(&shared);
		ike_dh_free(ours);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	ike_dh_free(theirs);
	printf("{\"done\": \"dh\", \"count\": %u, \"cpu_s\": %.6f}\n", count,
	       (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
	fflush(stdout);
}

static enum goal
goal_of(const char *word)
{
	return strcmp(word, "up") == 0	    ? UP
	       : strcmp(word, "child") == 0 ? REKEY_CHILD
	       : strcmp(word, "ike") == 0   ? REKEY_IKE
					    : NOTHING;
}

static void
command(const char *line)
{
	unsigned int a = 0, b = 0, c = 0;
	char word[16];

	job_start(NOTHING, false, 0, 0, 0);
	if (sscanf(line, "up %u %u %u", &a, &b, &c) == 3 && a + b <= BENCH_IKE_MAX)
		job_start(UP, false, a, b, c);
	else if (sscanf(line, "listen %u %u", &a, &b) == 2 && a + b <= BENCH_IKE_MAX)
		listen_for(a, b);
	else if (sscanf(line, "await %15s %u", word, &a) == 2 && goal_of(word) != NOTHING)
		job_start(goal_of(word), true, 0, a, 0);
	else if (sscanf(line, "rekey %15s %u %u", word, &a, &b) == 3 && goal_of(word) > DOWN)
		job_start(goal_of(word), false, 0, a, b);
	else if (sscanf(line, "dh %u", &a) == 1)
		key_exchanges(a);
	else if (strncmp(line, "mark", 4) == 0)
		mark();
	else if (strncmp(line, "down", 4) == 0)
		job_start(DOWN, false, 0, BENCH_IKE_MAX, 64);
	else
		say_done("no such command");
	snprintf(job.name, sizeof(job.name), "%.15s", line);
	job.name[strcspn(job.name, " \n")] = '\0';
}

static void
on_stdin(void)
{
	static char buf[256];
	static size_t have;
	ssize_t n = read(0, buf + have, sizeof(buf) - 1 - have);
	char *end;

	if (n <= 0) {
		finished = true;
		return;
	}
	have += (size_t)n;
	buf[have] = '\0';
	while ((end = strchr(buf, '\n')) != NULL) {
		*end = '\0';
		command(buf);
		have -= (size_t)(end + 1 - buf);
		memmove(buf, end + 1, have + 1);
	}
}

/* ---- datagrams ---- */

static void
take(int which, const struct sockaddr_storage *from, uint32_t to, const uint8_t *bytes, size_t len)
{
	unsigned int i = to - BENCH_IKE_FIRST;
	struct ike_datagram d = {.local_port = ports[which], .bytes = bytes, .len = len};

	if (i >= BENCH_IKE_MAX || spw_addr_from_sockaddr(&d.remote, &d.remote_port, from) != 0)
		return;
	d.local = bench_ike_peer(i);
	if (which == 1) {
		if (len <= MARKER || spw_get_be32(bytes) != 0)
			return;
		d.bytes += MARKER;
		d.len -= MARKER;
	}
	received++;
	ike_engine_input(peers[i].engine, spw_clock_ns(), &d);
	peer_look(&peers[i]);
}

static void
on_readable(int which)
{
	static uint8_t buf[IKE_DATAGRAM_MAX + MARKER];

	for (int k = 0; k < BURST; k++) {
		uint8_t control[256];
		struct sockaddr_storage from;
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr m = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fds[which], &m, MSG_DONTWAIT);
		struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
		struct in_pktinfo info;

		if (n < 0)
			return;
		if (!c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		take(which, &from, ntohl(info.ipi_addr.s_addr), buf, (size_t)n);
	}
}

static int
udp_open(uint16_t port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1, size = SOCKET_BUF;

	if (fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0 &&
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0)
		return fd;
	fprintf(stderr, "bench-ike-driver: port %u: %s\n", port, strerror(errno));
	return -1;
}

/* ---- the loop ---- */

static int
timers_run(void)
{
	uint64_t now = spw_clock_ns(), next = now + 20 * SPW_NS_PER_MS;

	for (unsigned int i = 0; i < BENCH_IKE_MAX; i++) {
		if (peers[i].wake_ns <= now) {
			(void)ike_engine_tick(peers[i].engine, now);
			peer_look(&peers[i]);
		}
		next = peers[i].wake_ns < next ? peers[i].wake_ns : next;
	}
	return next > now ? (int)((next - now + SPW_NS_PER_MS - 1) / SPW_NS_PER_MS) : 0;
}

static int
peers_make(void)
{
	struct ike_engine_config config = {.ops = &ops,
					   .encr_mask = 1u << SPW_ENCR_AES256_GCM,
					   .half_open_cookies = BENCH_IKE_MAX};

	ops = no_dataplane_ops();
	ops.send = op_send;
	ops.spi_alloc = op_spi_alloc;
	ops.sa_install = op_sa_install;
	ops.tunnel_event = op_tunnel_event;
	for (unsigned int i = 0; i < BENCH_IKE_MAX; i++) {
		peers[i] = (struct peer){.index = i, .wake_ns = UINT64_MAX, .next_spi = 0x1000};
		config.ctx = &peers[i];
		if (ike_engine_new(&peers[i].engine, &config, spw_clock_ns()) != 0)
			return -ENOMEM;
	}
	return 0;
}

int
main(void)
{
	struct spw_err err = {0};

	spw_log_init("bench-ike-driver", SPW_LOG_ERROR);
	for (int i = 0; i < 2; i++)
		if ((fds[i] = udp_open(ports[i])) < 0)
			return 1;
	if (spw_secret_init() != 0 || ike_crypto_self_test(&err) != 0 || peers_make() != 0) {
		fprintf(stderr, "bench-ike-driver: cannot start: %s\n", err.text);
		return 1;
	}
	while (!finished) {
		struct pollfd p[3] = {{.fd = fds[0], .events = POLLIN},
				      {.fd = fds[1], .events = POLLIN},
				      {.fd = 0, .events = POLLIN}};

		job_go_on();
		if (poll(p, 3, timers_run()) <= 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				on_readable(i);
		if (p[2].revents)
			on_stdin();
	}
	for (unsigned int i = 0; i < BENCH_IKE_MAX; i++)
		ike_engine_free(peers[i].engine);
	return 0;
}
