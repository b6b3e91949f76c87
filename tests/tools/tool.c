/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Common ground of the lab's measuring tools.
 *
 * All of them stamp with CLOCK_MONOTONIC, which network namespaces of one machine share, so that a
 * packet's one-way latency is a plain subtraction. The kernel stamps packets with CLOCK_REALTIME;
 * the offset between the two clocks is taken anew next to each conversion, so that a step of the
 * wall clock cannot bend a measurement by more than the batch in flight.
 *
 * A tool ends on SIGTERM or SIGINT: the handler only sets a flag, blocking calls have time-outs of
 * at most 50 ms and look at it.
 */
#include "tests/tools/tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t stop_flag;

static uint64_t
clock_ns(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		tool_die("clock_gettime");
	return (uint64_t)ts.tv_sec * TOOL_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t
tool_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t
tool_realtime_offset_ns(void)
{
	return (int64_t)(clock_ns(CLOCK_MONOTONIC) - clock_ns(CLOCK_REALTIME));
}

uint64_t
tool_stamp_ns(const struct timespec *stamp, int64_t offset_ns)
{
	uint64_t real_ns = (uint64_t)stamp->tv_sec * TOOL_NS_PER_S + (uint64_t)stamp->tv_nsec;

	return real_ns + (uint64_t)offset_ns;
}

static void
on_stop(int signo)
{
	(void)signo;
	stop_flag = 1;
}

void
tool_catch_stop(void)
{
	struct sigaction sa = {.sa_handler = on_stop};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool
tool_stopping(void)
{
	return stop_flag != 0;
}

void
tool_stop(void)
{
	stop_flag = 1;
}

void
tool_parse_endpoint(const char *what, const char *text, struct sockaddr_in *out)
{
	char host[INET_ADDRSTRLEN];
	const char *colon = strchr(text, ':');

	memset(out, 0, sizeof(*out));
	out->sin_family = AF_INET;
	if (colon != NULL && (size_t)(colon - text) < sizeof(host)) {
		memcpy(host, text, (size_t)(colon - text));
		host[colon - text] = '\0';
		out->sin_port = htons((uint16_t)tool_parse_number(what, colon + 1, 1, 65535));
		if (inet_pton(AF_INET, host, &out->sin_addr) == 1)
			return;
	}
	fprintf(stderr, "%s: '%s' is not ADDRESS:PORT\n", what, text);
	exit(2);
}

uint64_t
tool_parse_number(const char *what, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && value >= min && value <= max)
		return value;
	fprintf(stderr, "%s: '%s' is not a number from %llu to %llu\n", what, text,
		(unsigned long long)min, (unsigned long long)max);
	exit(2);
}

FILE *
tool_open_output(const char *path)
{
	FILE *file;

	if (strcmp(path, "-") == 0)
		return stdout;
	file = fopen(path, "we");
	if (file == NULL)
		tool_die(path);
	return file;
}

void
tool_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}
