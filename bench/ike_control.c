/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What spillway-iked needs around it in bench/ike.py: a control daemon and a data plane.
 *
 *	bench-ike-control RUN-DIR
 *
 * The data plane, a thread, answers on RUN-DIR/dataplane.sock before the daemon is started: it
 *gives SPIs and says yes to every operation, so that an SA costs iked its requests and answers,
 *each with a change of process, and nothing more. As control daemon it passes the UDP sockets
 *of 10.78.0.1 and takes commands on stdin, one a line, each answered by one line of JSON:
 *
 *	attach                     connect to ike.sock, give the sockets
 *	set FIRST COUNT dial|answer    the tunnels FIRST.. to these peers
 *	rekey child|ike FIRST COUNT
 *	escrow                     how many IKE SAs its escrow has room for (`slots` of the answer)
 *	clear                      no tunnels
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/ike_bench.h"
#include "ike/escrow.h"

#define CLIENTS	   4
#define PATIENCE_S 10
#define SOCKET_BUF (8 << 20)

static const char *run_dir;
static int udp[2];
static struct spw_client client = {.fd = -1, .timeout_ms = 20000};
static uint32_t generation = 1;
static unsigned int slots;
static struct spw_msg reply;

static bool
path_of(char out[108], const char *name)
{
	return snprintf(out, 108, "%s/%s", run_dir, name) < 108;
}

/* ---- the data plane ---- */

static int
dp_answer(int fd, const struct spw_msg *m, uint32_t *next_spi)
{
	struct spw_msg_hdr hdr = {
		.number = m->hdr.number, .flags = SPW_MSG_REPLY, .seq = m->hdr.seq};
	struct spw_dp_hello_reply hello = {.incarnation = 1,
					   .encr_mask = 1u << SPW_ENCR_AES256_GCM};
	struct spw_dp_spi spi;

	if (m->hdr.number == SPW_DP_HELLO) {
		hdr.count = 1;
		hdr.elem_size = sizeof(hello);
		return spw_msg_send(fd, &hdr, &hello, NULL, 0);
	}
	if (m->hdr.number == SPW_DP_SPI_ALLOC) {
		memcpy(&spi, m->body, sizeof(spi));
		spi.spi = ++*next_spi;
		hdr.count = 1;
		hdr.elem_size = sizeof(spi);
		return spw_msg_send(fd, &hdr, &spi, NULL, 0);
	}
	return spw_msg_send(fd, &hdr, NULL, NULL, 0);
}

static void
dp_serve(struct pollfd *p, struct spw_msg *m, uint32_t *next_spi)
{
	int rc;

	while ((rc = spw_msg_recv(p->fd, m)) == 0)
		if (dp_answer(p->fd, m, next_spi) != 0)
			break;
	if (rc == -EAGAIN)
		return;
	close(p->fd);
	p->fd = -1;
}

static void *
dp_run(void *arg)
{
	struct pollfd p[CLIENTS + 1] = {{.fd = *(int *)arg, .events = POLLIN}};
	struct spw_msg *m = calloc(1, sizeof(*m));
	uint32_t next_spi = 0x1000;

	for (int i = 1; i <= CLIENTS; i++)
		p[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	while (m && poll(p, CLIENTS + 1, -1) > 0) {
		for (int i = 1; i <= CLIENTS; i++)
			if (p[i].fd >= 0 && p[i].revents)
				dp_serve(&p[i], m, &next_spi);
		for (int i = 1; p[0].revents && i <= CLIENTS; i++)
			if (p[i].fd < 0) {
				p[i].fd =
					accept4(p[0].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
				p[i].revents = 0;
				break;
			}
	}
	free(m);
	return NULL;
}

static int
dp_start(struct spw_err *err)
{
	static int fd;
	pthread_t thread;
	char path[108];

	if (!path_of(path, "dataplane.sock"))
		return spw_fail(err, -ENAMETOOLONG, "the run directory's name is too long");
	fd = spw_msg_listen(path, (gid_t)-1, err);
	if (fd < 0)
		return fd;
	if (chmod(path, 0666) < 0)
		return spw_fail(err, -errno, "%s: %s", path, strerror(errno));
	return -pthread_create(&thread, NULL, dp_run, &fd);
}

/* ---- the control daemon ---- */

static int
call(uint16_t number, const void *elem, uint16_t size, const int *fds, unsigned int n_fds,
     struct spw_err *err)
{
	return spw_client_call(&client, number, elem, size, elem ? 1 : 0, fds, n_fds, &reply, err);
}

static int
attach(struct spw_err *err)
{
	uint64_t until = spw_clock_ns() + PATIENCE_S * SPW_NS_PER_S;
	struct spw_ike_socket sock = {.local = bench_ike_daemon()};
	struct spw_ike_hello hello = {0};
	char path[108];
	int rc;

	if (client.fd >= 0)
		close(client.fd);
	if (!path_of(path, "ike.sock"))
		return spw_fail(err, -ENAMETOOLONG, "the run directory's name is too long");
	while ((client.fd = spw_msg_connect(path, err)) < 0 && spw_clock_ns() < until)
		poll(NULL, 0, 20);
	if (client.fd < 0)
		return client.fd;
	rc = call(SPW_IKE_HELLO, &hello, sizeof(hello), NULL, 0, err);
	return rc ? rc : call(SPW_IKE_SOCKET_SET, &sock, sizeof(sock), udp, 2, err);
}

static int
set(unsigned int first, unsigned int count, uint32_t mode, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int i = first; rc == 0 && i < first + count; i++) {
		struct spw_ike_conn c = bench_ike_conn(i, false, mode);

		c.generation = generation;
		rc = call(SPW_IKE_CONN_SET, &c, sizeof(c), NULL, 0, err);
		spw_wipe(&c, sizeof(c));
	}
	return rc;
}

static int
rekey(uint32_t what, unsigned int first, unsigned int count, struct spw_err *err)
{
	int rc = 0;

	for (unsigned int i = first; rc == 0 && i < first + count; i++) {
		uint64_t until = spw_clock_ns() + PATIENCE_S * SPW_NS_PER_S;
		struct spw_ike_reset r = {.what = what};

		snprintf(r.name, sizeof(r.name), BENCH_IKE_NAME, i);
		while ((rc = call(SPW_IKE_REKEY, &r, sizeof(r), NULL, 0, err)) == -EBUSY &&
		       spw_clock_ns() < until)
			poll(NULL, 0, 20);
	}
	return rc;
}

/* The size of the escrow's memory tells; it is kept, as spillway-controld would. */
static int
escrow_look(struct spw_err *err)
{
	size_t one = ike_escrow_size(2) - ike_escrow_size(1);
	int rc = call(SPW_IKE_ESCROW_GET, NULL, 0, NULL, 0, err);
	struct stat st;

	if (rc != 0 || reply.n_fds != 1 || fstat(reply.fds[0], &st) < 0)
		return rc ? rc : spw_fail(err, -EPROTO, "no escrow was given");
	slots = (unsigned int)((size_t)st.st_size / one);
	return 0;
}

static int
clear(struct spw_err *err)
{
	struct spw_ike_sweep sweep = {.generation = ++generation};

	return call(SPW_IKE_CONN_SWEEP, &sweep, sizeof(sweep), NULL, 0, err);
}

static int
command(const char *line, struct spw_err *err)
{
	unsigned int first, count;
	char word[16];

	if (strncmp(line, "attach", 6) == 0)
		return attach(err);
	if (strncmp(line, "escrow", 6) == 0)
		return escrow_look(err);
	if (strncmp(line, "clear", 5) == 0)
		return clear(err);
	if (sscanf(line, "set %u %u %15s", &first, &count, word) == 3)
		return set(first, count,
			   strcmp(word, "dial") == 0 ? SPW_IKE_MODE_INITIATE : SPW_IKE_MODE_RESPOND,
			   err);
	if (sscanf(line, "rekey %15s %u %u", word, &first, &count) == 3)
		return rekey(strcmp(word, "ike") == 0 ? SPW_IKE_RESET_IKE : SPW_IKE_RESET_CHILD,
			     first, count, err);
	return spw_fail(err, -EINVAL, "no such command");
}

static int
udp_open(uint16_t port, struct spw_err *err)
{
	struct spw_addr local = bench_ike_daemon();
	struct sockaddr_storage ss;
	socklen_t len = spw_addr_to_sockaddr(&local, port, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SOCKET_BUF;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0 &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	return spw_fail(err, -errno, "port %u: %s", port, strerror(errno));
}

int
main(int argc, char **argv)
{
	struct spw_err err = {0};
	char line[256];
	int rc;

	run_dir = argc == 2 ? argv[1] : ".";
	rc = dp_start(&err);
	for (int i = 0; rc == 0 && i < 2; i++)
		rc = (udp[i] = udp_open(i == 0 ? 500 : 4500, &err)) < 0 ? udp[i] : 0;
	while (rc == 0 && printf("{\"ready\": true, \"slots\": %u}\n", slots) > 0 &&
	       fflush(stdout) == 0 && fgets(line, sizeof(line), stdin))
		rc = command(line, &err);
	if (rc != 0)
		fprintf(stderr, "bench-ike-control: %s\n", err.text);
	return rc != 0;
}
