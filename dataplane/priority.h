/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the priority of the process among those of the whole machine. */
#ifndef SPW_DATAPLANE_PRIORITY_H
#define SPW_DATAPLANE_PRIORITY_H

/*
 * Make the priority that the process was started with count beyond its own session. Nothing is done
 * where it has none above the usual, where the session is not its own, or where the kernel does not
 * group sessions: there it counts already. At start, any thread. 0 or -errno.
 */
int dp_priority_keep(void);
/*
 * Ask for short turns for the calling thread: its share of a core stays, it waits less for it when
 * it wakes. 0 or -errno; kernels before 6.12 take the wish and do nothing.
 */
int dp_priority_quick(void);

#endif
