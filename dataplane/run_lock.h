/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: a file that one process at a time holds. */
#ifndef SPW_DATAPLANE_RUN_LOCK_H
#define SPW_DATAPLANE_RUN_LOCK_H

/*
 * Make and lock a file, without waiting. Whoever holds it may remove it before letting go.
 * Returns the descriptor that holds the lock, which ends with it or with the process; -EWOULDBLOCK
 * when another process has it, or -errno. At start, main thread.
 */
int dp_run_lock(const char *path) __attribute__((warn_unused_result));

#endif
