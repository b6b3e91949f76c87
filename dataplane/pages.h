/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: large zeroed arrays, most of which is never touched. */
#ifndef SPW_DATAPLANE_PAGES_H
#define SPW_DATAPLANE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Zeroed pages, reserved and not touched; NULL when there is no room. With `dense`, the kernel is
 * asked for huge pages: what a worker reads for every packet then costs no address translation.
 */
void *dp_pages_new(size_t size, bool dense);
/* NULL is fine. */
void dp_pages_free(void *p, size_t size);
/* Ask for huge pages for memory that lies there already and is not touched yet. */
void dp_pages_dense(void *p, size_t size);

#endif
