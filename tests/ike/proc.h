/* SPDX-License-Identifier: BSD-3-Clause */
/* What /proc tells of a daemon, and how a test that starts one is called. */
#ifndef SPW_TESTS_IKE_PROC_H
#define SPW_TESTS_IKE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

/* The value of a line of a file in /proc, without the blanks before it; false: no such line. */
bool proc_line(const char *path, const char *key, char value[128]);
/* Is this the value of a line in the status of a process or thread? */
bool proc_status_is(pid_t pid, const char *key, const char *want);
/* In how many threads of a process that is so, of *n. */
unsigned int proc_threads_with(pid_t pid, const char *key, const char *want, unsigned int *n);

/*
 * Has main() got `want` arguments and root's rights? 0 when so; else what it is to return, after a
 * line that says why: 2, or 77, with which tests/run.py counts the test as failed.
 */
int proc_called_right(int argc, int want, const char *usage);

#endif
