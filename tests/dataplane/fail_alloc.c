/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into a process: one allocation of its first thread fails, when a test says so. The
 * test's word is the first number in the file named by FAIL_ALLOC, mapped by both: n fails the nth
 * allocation from now on, 0 none. The second number counts those that failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

static volatile int *word;

static __attribute__((constructor)) void
start(void)
{
	const char *name = getenv("FAIL_ALLOC");
	int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
	void *p =
		fd >= 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED)
		word = p;
}

static int
fails(void)
{
	if (!word || word[0] <= 0 || gettid() != getpid() || --word[0] != 0)
		return 0;
	word[1]++;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
	return fails() ? NULL : __libc_realloc(p, size);
}

void *
aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __libc_memalign(align, size);
}
