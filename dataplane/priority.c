/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker that does not get its core loses packets, so the service has Nice=-10. Where the kernel
 * groups the processes of each session (sched_autogroup_enabled, sched(7)), as Debian's does, that
 * number counts inside the session alone: all sessions get the same share, whatever the priorities
 * in them, and a compiler at the lowest has as much of a core as the data plane. The session itself
 * has such a number, too; it is given the one that the process has.
 *
 * systemd starts each service in a session of its own. Started from a shell the session is the
 * user's, with everything else that runs there, and stays as it is.
 *
 * Inside its share a thread gets the core the sooner the shorter the turns it asks for
 * (sched_setattr(2), sched_runtime of the usual policy, Linux 6.12 and later): a worker that wakes
 * needs microseconds.
 *
 * Once, at start.
 */
#include "dataplane/priority.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURN_NS 100000 /* the shortest that the kernel gives */

/* A kernel without such groups has no file; a session that is in none, as that of a container's
 * first process may be, an empty one. */
static bool
session_has_group(int fd)
{
	char first;

	return read(fd, &first, 1) == 1;
}

int
dp_priority_keep(void)
{
	char text[16];
	int nice = getpriority(PRIO_PROCESS, 0), n, fd, rc = 0;

	if (nice >= 0 || getsid(0) != getpid())
		return 0;
	n = snprintf(text, sizeof(text), "%d", nice);
	fd = open("/proc/self/autogroup", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (session_has_group(fd) && write(fd, text, (size_t)n) != n)
		rc = -errno;
	close(fd);
	return rc;
}

int
dp_priority_quick(void)
{
	struct sched_attr attr = {0};

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0)
		return -errno;
	if (attr.sched_policy != SCHED_NORMAL)
		return 0;
	attr.sched_runtime = TURN_NS;
	return syscall(SYS_sched_setattr, 0, &attr, 0) == 0 ? 0 : -errno;
}
