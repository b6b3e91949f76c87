/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Large arrays in pages of their own, and huge pages where the kernel gives them unasked-for
 * (transparent ones, "madvise" or "always"): without them each packet of a burst lies in a page
 * whose address the CPU must translate anew in every stage. A kernel that gives none changes nothing
 * but the speed. Any thread.
 */
#include "dataplane/pages.h"

#include <sys/mman.h>

void *
dp_pages_new(size_t size, bool dense)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (dense)
		dp_pages_dense(p, size);
	return p;
}

void
dp_pages_free(void *p, size_t size)
{
	if (p != NULL)
		munmap(p, size);
}

void
dp_pages_dense(void *p, size_t size)
{
	(void)madvise(p, size, MADV_HUGEPAGE);
}
