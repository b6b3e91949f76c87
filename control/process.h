/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: child processes without a shell and without waiting. */
#ifndef SPW_CONTROL_PROCESS_H
#define SPW_CONTROL_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct ctl_process;

/*
 * Called once when the child has ended and its output is read. @status exit code, 128 + signal, or
 * 255 after a timeout. @out what it wrote, NUL-terminated, borrowed; cut at 4 MiB.
 */
typedef void (*ctl_process_done)(void *ctx, int status, const char *out, size_t len);

/*
 * Run a program with arguments by execve (a fixed small environment, no shell), its output caught.
 * @argv        NULL-terminated, argv[0] is the absolute path
 * @with_errors catch stderr, too; else it goes to /dev/null
 * @timeout_s   then it is killed
 * Returns 0 or -errno; done is called only after 0.
 */
int ctl_process_run(struct ctl_process **process, struct event_base *base, const char *const *argv,
		    int with_errors, uint32_t timeout_s, ctl_process_done done, void *ctx);
/* Kill it without calling done. NULL is allowed; not after done. */
void ctl_process_kill(struct ctl_process *process);

#endif
