/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One bulk TCP stream through the gateway, watched.
 *
 * `--listen` accepts one connection and reads it to its end. `--connect` sends at --rate bytes a
 * second (paced here, because a queueing discipline for it may be missing) and watches what the
 * peer's kernel has acknowledged (TCP_INFO): while data is outstanding and nothing is acknowledged
 * for longer than --stall-ms, the stream is stalled. Every stall is kept with its start, so that a
 * driver can set it beside the events it caused. On SIGTERM the client closes its side, waits for
 * the server to have read everything, and both write their JSON summary. `alive` says that the
 * connection that was opened first is the one that ended in order: it survived.
 *
 * One thread, non-blocking socket, poll with time-outs of at most 10 ms.
 */
#include "tests/tools/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK	      16384
#define MAX_STALLS    1024
#define CLOSE_WAIT_NS (5 * TOOL_NS_PER_S)
#define CONNECT_TRIES 100

struct stall {
	uint64_t start_ns;
	uint64_t length_ns;
};

struct options {
	struct sockaddr_in at;
	struct sockaddr_in from;
	bool listens;
	uint64_t rate_bps; /* bytes per second */
	uint64_t stall_ms;
	const char *out;
};

struct stream {
	const struct options *opt;
	int fd;
	uint64_t bytes;
	uint64_t acked;
	uint64_t progress_ns;
	uint64_t retransmits;
	struct stall stalls[MAX_STALLS];
	unsigned int stall_count;
	bool stalled;
	bool alive;
	int error;
};

static const uint8_t chunk[CHUNK];

static int
new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		tool_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

static int
accept_one(const struct options *opt)
{
	int listener = new_socket(), fd = -1;
	struct pollfd ready = {.fd = listener, .events = POLLIN};

	if (bind(listener, (const struct sockaddr *)&opt->at, sizeof(opt->at)) != 0 ||
	    listen(listener, 1) != 0)
		tool_die("listen");
	puts("ready");
	fflush(stdout);
	while (fd < 0 && !tool_stopping()) {
		if (poll(&ready, 1, 50) > 0)
			fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	close(listener);
	return fd;
}

static int
connect_to(const struct options *opt)
{
	for (int i = 0; i < CONNECT_TRIES && !tool_stopping(); i++) {
		int fd = new_socket();

		if (opt->from.sin_family == AF_INET &&
		    bind(fd, (const struct sockaddr *)&opt->from, sizeof(opt->from)) != 0)
			tool_die("bind");
		if (connect(fd, (const struct sockaddr *)&opt->at, sizeof(opt->at)) == 0) {
			fcntl(fd, F_SETFL, O_NONBLOCK);
			puts("ready");
			fflush(stdout);
			return fd;
		}
		close(fd);
		usleep(100000);
	}
	return -1;
}

/* Compare what the peer acknowledged with the last look; open, extend or close a stall. */
static void
watch(struct stream *st, uint64_t now_ns)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	bool idle;

	if (getsockopt(st->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return;
	st->retransmits = info.tcpi_total_retrans;
	idle = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0;
	if (info.tcpi_bytes_acked != st->acked || idle) {
		st->acked = info.tcpi_bytes_acked;
		st->progress_ns = now_ns;
		st->stalled = false;
		return;
	}
	if (now_ns - st->progress_ns < st->opt->stall_ms * TOOL_NS_PER_MS)
		return;
	if (!st->stalled && st->stall_count < MAX_STALLS)
		st->stalls[st->stall_count++].start_ns = st->progress_ns;
	st->stalled = true;
	st->stalls[st->stall_count - 1].length_ns = now_ns - st->progress_ns;
}

static void
run_client(struct stream *st)
{
	uint64_t start_ns = tool_now_ns(), now_ns = start_ns, due;

	st->progress_ns = start_ns;
	while (!tool_stopping() && st->error == 0) {
		due = (uint64_t)((double)(now_ns - start_ns) / 1e9 * (double)st->opt->rate_bps);
		while (st->bytes < due && st->error == 0) {
			size_t want = due - st->bytes < CHUNK ? due - st->bytes : CHUNK;
			ssize_t n = send(st->fd, chunk, want, MSG_NOSIGNAL);

			if (n < 0) {
				st->error = errno == EAGAIN ? 0 : errno;
				break;
			}
			st->bytes += (uint64_t)n;
		}
		usleep(5000);
		now_ns = tool_now_ns();
		watch(st, now_ns);
	}
}

/* Close our side and wait until the peer, having read everything, closes its own. */
static void
finish_client(struct stream *st)
{
	uint64_t end_ns = tool_now_ns() + CLOSE_WAIT_NS;
	struct pollfd ready = {.fd = st->fd, .events = POLLIN};
	uint8_t byte;

	shutdown(st->fd, SHUT_WR);
	while (st->error == 0 && tool_now_ns() < end_ns) {
		if (poll(&ready, 1, 10) <= 0)
			continue;
		st->alive = recv(st->fd, &byte, 1, 0) == 0;
		break;
	}
	watch(st, tool_now_ns());
}

static void
run_server(struct stream *st)
{
	static uint8_t data[1 << 16];
	struct pollfd ready = {.fd = st->fd, .events = POLLIN};
	uint64_t end_ns = 0;
	ssize_t n;

	for (;;) {
		if (end_ns == 0 && tool_stopping())
			end_ns = tool_now_ns() + CLOSE_WAIT_NS;
		if (end_ns != 0 && tool_now_ns() > end_ns)
			return;
		if (poll(&ready, 1, 10) <= 0)
			continue;
		n = recv(st->fd, data, sizeof(data), 0);
		if (n == 0) {
			st->alive = true;
			return;
		}
		if (n < 0 && errno != EAGAIN) {
			st->error = errno;
			return;
		}
		st->bytes += n > 0 ? (uint64_t)n : 0;
	}
}

static void
write_summary(const struct stream *st)
{
	FILE *out = tool_open_output(st->opt->out);
	uint64_t longest_ns = 0;

	fprintf(out, "{\"bytes\": %lu, \"acked\": %lu, \"retransmits\": %lu, \"alive\": %s,\n",
		st->bytes, st->acked, st->retransmits, st->alive ? "true" : "false");
	fprintf(out, " \"error\": \"%s\", \"stalls\": [", st->error ? strerror(st->error) : "");
	for (unsigned int i = 0; i < st->stall_count; i++) {
		fprintf(out, "%s[%lu, %lu]", i ? ", " : "", st->stalls[i].start_ns,
			st->stalls[i].length_ns);
		if (st->stalls[i].length_ns > longest_ns)
			longest_ns = st->stalls[i].length_ns;
	}
	fprintf(out, "], \"longest_stall_ms\": %.1f}\n", (double)longest_ns / 1e6);
	fclose(out);
}

static _Noreturn void
usage(void)
{
	fputs("usage: tcpbulk --listen A:P --out FILE\n"
	      "       tcpbulk --connect A:P [--from A:P] --out FILE [--rate BYTES/S] "
	      "[--stall-ms N]\n",
	      stderr);
	exit(2);
}

static void
parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option names[] = {
		{"listen", required_argument, NULL, 'l'},
		{"connect", required_argument, NULL, 'c'},
		{"from", required_argument, NULL, 'f'},
		{"rate", required_argument, NULL, 'r'},
		{"stall-ms", required_argument, NULL, 's'},
		{"out", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'l':
			opt->listens = true;
			tool_parse_endpoint("--listen", optarg, &opt->at);
			break;
		case 'c': tool_parse_endpoint("--connect", optarg, &opt->at); break;
		case 'f': tool_parse_endpoint("--from", optarg, &opt->from); break;
		case 'r': opt->rate_bps = tool_parse_number("--rate", optarg, 1, 1u << 30); break;
		case 's': opt->stall_ms = tool_parse_number("--stall-ms", optarg, 1, 60000); break;
		case 'o': opt->out = optarg; break;
		default: usage();
		}
	}
	if (opt->at.sin_port == 0 || opt->out == NULL)
		usage();
}

int
main(int argc, char **argv)
{
	struct options opt = {.rate_bps = 1250000, .stall_ms = 100};
	static struct stream st;

	parse_options(argc, argv, &opt);
	tool_catch_stop();
	st.opt = &opt;
	st.fd = opt.listens ? accept_one(&opt) : connect_to(&opt);
	if (st.fd < 0)
		st.error = ENOTCONN;
	else if (opt.listens)
		run_server(&st);
	else {
		run_client(&st);
		finish_client(&st);
	}
	write_summary(&st);
	if (st.fd >= 0)
		close(st.fd);
	return 0;
}
