/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lock that a process leaves no file of.
 *
 * Its holder removes the file while it still has the lock. Somebody who opened the file just before
 * that gets a lock, but of a file that no path names any more, beside which the next process would
 * make and lock one of its own. So a lock counts only when the path still leads to the locked file;
 * otherwise it is tried anew. No threads, no state.
 */
#include "dataplane/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does the path lead to the open file? */
static bool
is_at(int fd, const char *path)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

int
dp_run_lock(const char *path)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = 0;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) != 0)
			rc = -errno;
		else if (is_at(fd, path))
			return fd;
		close(fd);
		if (rc != 0)
			return rc;
	}
}
