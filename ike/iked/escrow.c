/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of the escrow.
 *
 * It holds the keys of every IKE SA, so it is made as hard to reach as can be: memfd_secret(2),
 * which the kernel itself does not map, or, where that is missing, a memfd sealed against changes
 * of its size and locked page by page as it is used. Both are left out of core dumps, belong to our
 * user with mode 0600, and have no name. The descriptor goes to controld and nowhere else;
 * controld does not map it. It comes back on ike.sock to the next instance, which takes it only
 * when owner, size and seals are what we make, and then trusts nothing in it (ike/escrow.c).
 *
 * Made before the sandbox, which has no call that makes one; mapping what comes later is allowed
 * there, since nothing is executable. Slots that were never used cost no memory, but all count
 * against the limit of locked memory; where that is low there are fewer. One thread.
 */
#include "ike/iked/escrow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int
secret_open(size_t size)
{
#ifdef SYS_memfd_secret
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd >= 0 && (ftruncate(fd, (off_t)size) < 0 || fchmod(fd, 0600) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
#else
	return -1;
#endif
}

static int
sealed_open(size_t size)
{
	int fd = memfd_create("spillway-escrow", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 || fchmod(fd, 0600) < 0 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* Map and lock. NULL with errno set. */
static void *
map(int fd, size_t size, bool secret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	if ((!secret && mlock2(p, size, MLOCK_ONFAULT) < 0) ||
	    madvise(p, size, MADV_DONTDUMP) < 0) {
		int code = errno;

		munmap(p, size);
		errno = code;
		return NULL;
	}
	return p;
}

/* Map `fd` and read what is in it; fills e, with the descriptor, on success only. */
static int
use(struct iked_escrow *e, int fd, size_t size, bool secret)
{
	void *memory = map(fd, size, secret);
	struct ike_escrow *store;
	int rc = memory ? ike_escrow_new(&store, memory, size) : -errno;

	if (rc != 0) {
		if (memory)
			munmap(memory, size);
		return rc;
	}
	*e = (struct iked_escrow){
		.fd = fd, .memory = memory, .size = size, .store = store, .secret = secret};
	return 0;
}

/* As many slots as fit into a quarter of what may be locked: keys in use need the rest. */
static unsigned int
slots_within(uint64_t limit)
{
	uint64_t one = ike_escrow_size(2) - ike_escrow_size(1), fit = limit / 4 / one;

	return fit > IKE_ESCROW_SLOTS ? IKE_ESCROW_SLOTS : fit > 1 ? (unsigned int)fit : 1;
}

static uint64_t
locked_limit(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_MEMLOCK, &r) == 0 ? (uint64_t)r.rlim_cur : 0;
}

int
iked_escrow_make(struct iked_escrow *e, bool try_secret, struct spw_err *err)
{
	size_t size = ike_escrow_size(slots_within(locked_limit()));
	int fd = try_secret ? secret_open(size) : -1, rc = fd < 0 ? -ENOSYS : use(e, fd, size, true);

	if (rc == 0)
		return 0;
	if (fd >= 0)
		close(fd);
	fd = sealed_open(size);
	rc = fd < 0 ? fd : use(e, fd, size, false);
	if (rc == 0)
		return 0;
	if (fd >= 0)
		close(fd);
	*e = (struct iked_escrow){.fd = -1};
	snprintf(e->cause, sizeof(e->cause), "no locked memory for it: %s", strerror(-rc));
	return spw_fail(err, rc, "%s", e->cause);
}

/* Is this a descriptor as we make them? */
static int
check(int fd, size_t *size, bool *secret)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	*secret = seals < 0;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() ||
	    (size_t)st.st_size < ike_escrow_size(1) ||
	    (size_t)st.st_size > ike_escrow_size(IKE_ESCROW_SLOTS) ||
	    (!*secret && (seals & SEALS) != SEALS))
		return -EINVAL;
	*size = (size_t)st.st_size;
	return 0;
}

int
iked_escrow_replace(struct iked_escrow *e, int fd, struct spw_err *err)
{
	struct iked_escrow other;
	bool secret;
	size_t size;
	int rc = check(fd, &size, &secret);

	if (rc == 0)
		rc = use(&other, fd, size, secret);
	if (rc != 0)
		return spw_fail(err, -EINVAL,
				"the descriptor is no escrow of this build and user; begin with an "
				"empty one");
	iked_escrow_close(e);
	*e = other;
	return 0;
}

void
iked_escrow_close(struct iked_escrow *e)
{
	ike_escrow_free(e->store);
	if (e->memory)
		munmap(e->memory, e->size);
	if (e->fd >= 0)
		close(e->fd);
	*e = (struct iked_escrow){.fd = -1};
}
