/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_LOG_H
#define SPW_LIB_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum spw_log_level { SPW_LOG_ERROR, SPW_LOG_WARNING, SPW_LOG_INFO, SPW_LOG_DEBUG };

/*
 * One token bucket for one kind of event that a stranger can trigger: at most `burst` lines at
 * once and `per_s` a second; what was held back is told in the next line as suppressed=N.
 */
struct spw_log_limit {
	uint32_t per_s;
	uint32_t burst;
	uint64_t last_ns;
	uint32_t tokens;
	uint32_t suppressed;
};
#define SPW_LOG_LIMIT(per_second, at_once)                                     \
	{                                                                      \
		.per_s = (per_second), .burst = (at_once), .tokens = (at_once) \
	}

/*
 * Set the process's name and threshold; lines go to stderr. Under the journal (JOURNAL_STREAM set)
 * they carry the <N> priority prefix instead of a time.
 */
void spw_log_init(const char *program, enum spw_log_level threshold);
/* "error", "warning", "info", "debug" to a level. false when unknown. */
bool spw_log_level_parse(enum spw_log_level *level, const char *text);
/*
 * Write one line: time level area event key=value... The format holds the key=value part; values
 * with spaces are quoted by the caller ("cause=\"%s\""). Never a secret. Never blocks for long:
 * stderr is written once, a short write is dropped and counted. Any thread but a worker.
 */
void spw_log(enum spw_log_level level, const char *area, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same under a limit; the limit belongs to one thread. */
void spw_log_limited(struct spw_log_limit *limit, enum spw_log_level level, const char *area,
		     const char *event, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
