/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPILLWAY_TESTS_TOOL_H
#define SPILLWAY_TESTS_TOOL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* What every measuring tool of the namespace lab shares: the clock, the end by signal, addresses.
 */

#define TOOL_NS_PER_S  1000000000ull
#define TOOL_NS_PER_MS 1000000ull

/* First bytes of every probe packet, in network byte order: "SPWP". */
#define PROBE_MAGIC 0x53505750u

/* A probe packet starts with this; the rest is padding. All fields in network byte order. */
struct probe_wire {
	uint32_t magic;
	uint32_t flow;
	uint64_t seq;
	uint64_t sent_ns;
} __attribute__((packed));

_Static_assert(sizeof(struct probe_wire) == 24, "probe packets have a 24 byte header");

/* Return CLOCK_MONOTONIC in nanoseconds; the same clock in every namespace of a machine. */
uint64_t tool_now_ns(void);

/* Return CLOCK_MONOTONIC minus CLOCK_REALTIME in nanoseconds, to convert kernel time stamps. */
int64_t tool_realtime_offset_ns(void);

/* Convert a struct timespec of CLOCK_REALTIME (SO_TIMESTAMPNS) with an offset from the above. */
uint64_t tool_stamp_ns(const struct timespec *stamp, int64_t offset_ns);

/* Make SIGTERM and SIGINT set the flag that tool_stopping() reads. SIGPIPE is ignored. */
void tool_catch_stop(void);

/* Return true once SIGTERM or SIGINT has come, or tool_stop() was called. Any thread. */
bool tool_stopping(void);

/* Ask the tool to end, as a signal would. Any thread. */
void tool_stop(void);

/*
 * Parse "A.B.C.D:PORT" into *out. Exits with status 2 and one line on stderr when malformed:
 * `what` names the option.
 */
void tool_parse_endpoint(const char *what, const char *text, struct sockaddr_in *out);

/* Parse an unsigned number within [min, max]; exits with status 2 and one line when it is not. */
uint64_t tool_parse_number(const char *what, const char *text, uint64_t min, uint64_t max);

/* Open a file for writing or exit with status 1. "-" is standard output. Caller closes it. */
FILE *tool_open_output(const char *path);

/* Print a message and strerror(errno), exit with status 1. */
_Noreturn void tool_die(const char *what);

#endif
