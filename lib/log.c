/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structured log lines on stderr: time, level, area, event name, key=value pairs.
 *
 * One line is one write(2), so lines of several threads do not mix. A reader that stalls must not
 * stall the daemon: the line is dropped when poll says that stderr is full. error means somebody
 * must act; state changes log old, new and cause; what strangers can trigger goes through
 * spw_log_limited(). No secret is ever handed to this file.
 */
#include "lib/log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"

#define LINE_MAX_LEN 1024

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int syslog_priorities[] = {3, 4, 6, 7};
static enum spw_log_level log_threshold = SPW_LOG_INFO;
static const char *log_program = "spillway";
static bool log_journal;

void
spw_log_init(const char *program, enum spw_log_level threshold)
{
	log_program = program;
	log_threshold = threshold;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

bool
spw_log_level_parse(enum spw_log_level *level, const char *text)
{
	for (unsigned int i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (strcmp(text, level_names[i]) == 0) {
			*level = (enum spw_log_level)i;
			return true;
		}
	return false;
}

static void
line_write(const char *line, size_t len)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
		ssize_t n = write(STDERR_FILENO, line, len);

		(void)n;
	}
}

static void
log_line(enum spw_log_level level, const char *area, const char *event, uint32_t suppressed,
	 const char *fmt, va_list args)
{
	char line[LINE_MAX_LEN], when[32];
	size_t n;

	if (log_journal)
		n = (size_t)snprintf(line, sizeof(line), "<%d>", syslog_priorities[level]);
	else
		n = (size_t)snprintf(line, sizeof(line), "%s %s ",
				     spw_clock_format(spw_clock_wall_ns(), when), log_program);
	n += (size_t)snprintf(line + n, sizeof(line) - n, "%s %s %s ", level_names[level], area,
			      event);
	int more = vsnprintf(line + n, sizeof(line) - n, fmt, args);

	n += more > 0 ? (size_t)more : 0;
	if (n > sizeof(line) - 32)
		n = sizeof(line) - 32;
	if (suppressed)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " suppressed=%" PRIu32,
				      suppressed);
	line[n++] = '\n';
	line_write(line, n);
}

void
spw_log(enum spw_log_level level, const char *area, const char *event, const char *fmt, ...)
{
	va_list args;

	if (level > log_threshold)
		return;
	va_start(args, fmt);
	log_line(level, area, event, 0, fmt, args);
	va_end(args);
}

static bool
limit_take(struct spw_log_limit *l, uint64_t now)
{
	uint64_t earned = (now - l->last_ns) * l->per_s / SPW_NS_PER_S;

	if (l->last_ns == 0 || earned > 0) {
		uint64_t tokens = l->last_ns == 0 ? l->burst : l->tokens + earned;

		l->tokens = tokens > l->burst ? l->burst : (uint32_t)tokens;
		l->last_ns = now;
	}
	if (l->tokens == 0) {
		l->suppressed++;
		return false;
	}
	l->tokens--;
	return true;
}

void
spw_log_limited(struct spw_log_limit *limit, enum spw_log_level level, const char *area,
		const char *event, const char *fmt, ...)
{
	va_list args;

	if (level > log_threshold || !limit_take(limit, spw_clock_ns()))
		return;
	va_start(args, fmt);
	log_line(level, area, event, limit->suppressed, fmt, args);
	va_end(args);
	limit->suppressed = 0;
}
