/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP probe: a steady flow of numbered, time-stamped packets, and a record of every one.
 *
 * Each end runs one probe. It sends --rate packets a second from --bind to --peer (0: only
 * listen), on absolute deadlines of CLOCK_MONOTONIC, so that a late wake-up is caught up and the
 * offered rate stays exact; and it records what comes from the peer's probe. A packet carries a
 * sequence number and its sending time. What was lost is found by comparing the two ends' logs:
 * every number offered is in the sender's log even when sendto() failed, because a packet that the
 * host could not send was lost to the user as well.
 *
 * With --flows N packet number n belongs to flow n mod N: each flow has its own pair of ports, from
 * those of --bind and --peer on, so that routers which spread flows spread them.
 *
 * Logs are binary, host byte order, fixed records:
 *   PREFIX.tx   { u64 seq, u64 sent_ns }
 *   PREFIX.rx   { u64 seq, u64 sent_ns, u64 received_ns }
 * and are flushed every 100 ms, so that a driver can read along. PREFIX.json is the summary,
 * written at the end. On SIGTERM the probe stops sending, listens --drain-ms longer, and ends.
 *
 * Threads: the main thread receives, one thread sends; they share only the socket and the stop
 * flag, and each owns its log and its counters until the join.
 */
#include "tests/tools/latency.h"
#include "tests/tools/tool.h"

#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	 32
#define FLOWS	 64
#define MAX_SIZE 1472
#define FLUSH_NS (100 * TOOL_NS_PER_MS)

struct options {
	struct sockaddr_in bind_to;
	struct sockaddr_in peer;
	uint64_t rate_pps;
	uint64_t size; /* UDP payload bytes */
	uint64_t duration_ms;
	uint64_t drain_ms;
	uint64_t start_ns; /* CLOCK_MONOTONIC of the first packet; 0: at once */
	uint32_t flow;
	uint64_t flows;
	const char *prefix;
};

struct sender {
	const struct options *opt;
	const int *fd; /* one for each flow */
	FILE *log;
	uint64_t sent;
	uint64_t errors;
};

struct receiver {
	const struct options *opt;
	const int *fd;
	FILE *log;
	uint64_t received;
	uint64_t duplicated;
	uint64_t reordered;
	uint64_t foreign;
	uint64_t highest;
	uint64_t last_ns;
	uint64_t longest_gap_ns;
	uint64_t flushed_ns;
	uint8_t *seen; /* one bit per sequence number */
	size_t seen_bytes;
	struct latency latency;
};

static FILE *
open_log(const char *prefix, const char *suffix)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s.%s", prefix, suffix);
	return tool_open_output(path);
}

/* The same address, some ports further. */
static struct sockaddr_in
shifted(const struct sockaddr_in *from, unsigned int by)
{
	struct sockaddr_in at = *from;

	at.sin_port = htons((uint16_t)(ntohs(from->sin_port) + by));
	return at;
}

static int
open_socket(const struct options *opt, unsigned int flow)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int on = 1, bytes = 4 << 20;
	struct sockaddr_in at = shifted(&opt->bind_to, flow);

	if (fd < 0)
		tool_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0)
		tool_die("setsockopt");
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
		tool_die("bind");
	return fd;
}

static void
send_one(struct sender *tx, uint8_t *packet)
{
	struct probe_wire *wire = (struct probe_wire *)packet;
	uint64_t record[2] = {tx->sent, tool_now_ns()};
	unsigned int flow = (unsigned int)(tx->sent % tx->opt->flows);
	struct sockaddr_in peer = shifted(&tx->opt->peer, flow);

	wire->seq = htobe64(record[0]);
	wire->sent_ns = htobe64(record[1]);
	fwrite(record, sizeof(record), 1, tx->log);
	tx->sent++;
	if (sendto(tx->fd[flow], packet, tx->opt->size, MSG_DONTWAIT,
		   (const struct sockaddr *)&peer, sizeof(peer)) < 0)
		tx->errors++;
}

static void
sleep_until(uint64_t deadline_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(deadline_ns / TOOL_NS_PER_S),
			      .tv_nsec = (long)(deadline_ns % TOOL_NS_PER_S)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void *
run_sender(void *arg)
{
	struct sender *tx = arg;
	const struct options *opt = tx->opt;
	uint8_t packet[MAX_SIZE] = {0};
	struct probe_wire *wire = (struct probe_wire *)packet;
	uint64_t start_ns = opt->start_ns ? opt->start_ns : tool_now_ns();
	uint64_t flushed_ns = start_ns, now_ns;

	wire->magic = htobe32(PROBE_MAGIC);
	wire->flow = htobe32(opt->flow);
	while (!tool_stopping()) {
		sleep_until(start_ns + tx->sent * TOOL_NS_PER_S / opt->rate_pps);
		send_one(tx, packet);
		now_ns = tool_now_ns();
		if (now_ns > flushed_ns + FLUSH_NS) {
			fflush(tx->log);
			flushed_ns = now_ns;
		}
		if (opt->duration_ms != 0 && now_ns - start_ns >= opt->duration_ms * TOOL_NS_PER_MS)
			tool_stop();
	}
	return NULL;
}

/* Return true when the number was seen before; remember it. */
static bool
mark_seen(struct receiver *rx, uint64_t seq)
{
	size_t byte = (size_t)(seq / 8);
	uint8_t bit = (uint8_t)(1u << (seq % 8));
	bool before;

	if (byte >= rx->seen_bytes) {
		size_t bytes = byte * 2 + 4096;
		uint8_t *grown = realloc(rx->seen, bytes);

		if (grown == NULL)
			tool_die("realloc");
		memset(grown + rx->seen_bytes, 0, bytes - rx->seen_bytes);
		rx->seen = grown;
		rx->seen_bytes = bytes;
	}
	before = (rx->seen[byte] & bit) != 0;
	rx->seen[byte] |= bit;
	return before;
}

static void
account(struct receiver *rx, uint64_t seq, uint64_t sent_ns, uint64_t received_ns)
{
	uint64_t record[3] = {seq, sent_ns, received_ns};

	fwrite(record, sizeof(record), 1, rx->log);
	if (mark_seen(rx, seq)) {
		rx->duplicated++;
		return;
	}
	if (rx->received != 0 && seq < rx->highest)
		rx->reordered++;
	if (seq > rx->highest)
		rx->highest = seq;
	if (rx->received != 0 && received_ns > rx->last_ns &&
	    received_ns - rx->last_ns > rx->longest_gap_ns)
		rx->longest_gap_ns = received_ns - rx->last_ns;
	rx->last_ns = received_ns;
	rx->received++;
	latency_add(&rx->latency, received_ns > sent_ns ? received_ns - sent_ns : 0);
}

static uint64_t
stamp_of(struct msghdr *msg, int64_t offset_ns)
{
	struct cmsghdr *cmsg;
	struct timespec ts;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(cmsg), sizeof(ts));
		return tool_stamp_ns(&ts, offset_ns);
	}
	return tool_now_ns();
}

static void
receive_batch(struct receiver *rx, int fd)
{
	static uint8_t data[BATCH][MAX_SIZE];
	static uint8_t control[BATCH][64];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov[BATCH];
	struct probe_wire wire;
	int64_t offset_ns;
	int i, n;

	for (i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){.iov_base = data[i], .iov_len = MAX_SIZE};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_control = control[i];
		msgs[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	n = recvmmsg(fd, msgs, BATCH, MSG_DONTWAIT, NULL);
	offset_ns = tool_realtime_offset_ns();
	for (i = 0; i < n; i++) {
		memcpy(&wire, data[i], sizeof(wire));
		if (msgs[i].msg_len < sizeof(wire) || be32toh(wire.magic) != PROBE_MAGIC) {
			rx->foreign++;
			continue;
		}
		account(rx, be64toh(wire.seq), be64toh(wire.sent_ns),
			stamp_of(&msgs[i].msg_hdr, offset_ns));
	}
}

static void
run_receiver(struct receiver *rx)
{
	struct pollfd ready[FLOWS];
	const nfds_t flows = (nfds_t)rx->opt->flows;
	uint64_t end_ns = 0, now_ns;

	for (nfds_t i = 0; i < flows; i++)
		ready[i] = (struct pollfd){.fd = rx->fd[i], .events = POLLIN};
	for (;;) {
		int n = poll(ready, flows, 50);

		for (nfds_t i = 0; n > 0 && i < flows; i++)
			if (ready[i].revents != 0)
				receive_batch(rx, rx->fd[i]);
		now_ns = tool_now_ns();
		if (now_ns - rx->flushed_ns > FLUSH_NS) {
			fflush(rx->log);
			rx->flushed_ns = now_ns;
		}
		if (end_ns == 0 && tool_stopping())
			end_ns = now_ns + rx->opt->drain_ms * TOOL_NS_PER_MS;
		if (end_ns != 0 && now_ns >= end_ns)
			return;
	}
}

static void
write_summary(const struct sender *tx, const struct receiver *rx)
{
	FILE *out = open_log(tx->opt->prefix, "json");
	uint64_t expected = rx->received != 0 ? rx->highest + 1 : 0;

	fprintf(out, "{\"sent\": %lu, \"send_errors\": %lu, \"received\": %lu, \"missing\": %lu,\n",
		tx->sent, tx->errors, rx->received, expected - rx->received);
	fprintf(out, " \"duplicated\": %lu, \"reordered\": %lu, \"foreign\": %lu,\n",
		rx->duplicated, rx->reordered, rx->foreign);
	fprintf(out,
		" \"longest_gap_ms\": %.3f, \"latency_p50_us\": %.1f, \"latency_p99_us\": %.1f}\n",
		(double)rx->longest_gap_ns / 1e6, latency_percentile_us(&rx->latency, 50),
		latency_percentile_us(&rx->latency, 99));
	fclose(out);
}

static _Noreturn void
usage(void)
{
	fputs("usage: probe --bind A:P --peer A:P --out PREFIX [--rate PPS] [--size BYTES]\n"
	      "             [--duration-ms N] [--drain-ms N] [--flow N] [--flows N] [--start-ns "
	      "T]\n",
	      stderr);
	exit(2);
}

static void
parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option names[] = {
		{"bind", required_argument, NULL, 'b'},
		{"peer", required_argument, NULL, 'p'},
		{"rate", required_argument, NULL, 'r'},
		{"size", required_argument, NULL, 's'},
		{"duration-ms", required_argument, NULL, 'd'},
		{"drain-ms", required_argument, NULL, 'w'},
		{"start-ns", required_argument, NULL, 't'},
		{"flow", required_argument, NULL, 'f'},
		{"flows", required_argument, NULL, 'n'},
		{"out", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'b': tool_parse_endpoint("--bind", optarg, &opt->bind_to); break;
		case 'p': tool_parse_endpoint("--peer", optarg, &opt->peer); break;
		case 'r': opt->rate_pps = tool_parse_number("--rate", optarg, 0, 1000000); break;
		case 's':
			opt->size = tool_parse_number("--size", optarg, sizeof(struct probe_wire),
						      MAX_SIZE);
			break;
		case 'd':
			opt->duration_ms = tool_parse_number("--duration-ms", optarg, 1, 1u << 30);
			break;
		case 'w': opt->drain_ms = tool_parse_number("--drain-ms", optarg, 0, 60000); break;
		case 'f':
			opt->flow = (uint32_t)tool_parse_number("--flow", optarg, 0, UINT32_MAX);
			break;
		case 'n': opt->flows = tool_parse_number("--flows", optarg, 1, FLOWS); break;
		case 't':
			opt->start_ns = tool_parse_number("--start-ns", optarg, 1, UINT64_MAX);
			break;
		case 'o': opt->prefix = optarg; break;
		default: usage();
		}
	}
	if (opt->bind_to.sin_port == 0 || opt->prefix == NULL ||
	    (opt->rate_pps != 0 && opt->peer.sin_port == 0))
		usage();
}

int
main(int argc, char **argv)
{
	struct options opt = {.rate_pps = 1000, .size = 128, .drain_ms = 500, .flows = 1};
	struct sender tx = {.opt = &opt};
	struct receiver rx = {.opt = &opt};
	pthread_t thread;
	int fd[FLOWS];

	parse_options(argc, argv, &opt);
	tool_catch_stop();
	for (unsigned int i = 0; i < opt.flows; i++)
		fd[i] = open_socket(&opt, i);
	tx.fd = rx.fd = fd;
	tx.log = open_log(opt.prefix, "tx");
	rx.log = open_log(opt.prefix, "rx");
	puts("ready");
	fflush(stdout);
	if (opt.rate_pps != 0 && pthread_create(&thread, NULL, run_sender, &tx) != 0)
		tool_die("pthread_create");
	run_receiver(&rx);
	if (opt.rate_pps != 0)
		pthread_join(thread, NULL);
	fclose(tx.log);
	fclose(rx.log);
	write_summary(&tx, &rx);
	free(rx.seen);
	for (unsigned int i = 0; i < opt.flows; i++)
		close(fd[i]);
	return 0;
}
