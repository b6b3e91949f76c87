/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/iked/: the memory of the escrow, which controld keeps open over our death. */
#ifndef SPW_IKE_IKED_ESCROW_H
#define SPW_IKE_IKED_ESCROW_H

#include <stdbool.h>
#include <stddef.h>

#include "ike/escrow.h"
#include "lib/spillway.h"

struct iked_escrow {
	int fd; /* -1 = none: a killed iked is replaced by one that knows nothing */
	void *memory;
	size_t size;
	struct ike_escrow *store;
	bool secret;		  /* memfd_secret: not even the kernel maps it */
	bool kept;		  /* controld has a duplicate */
	char cause[SPW_ERR_TEXT]; /* why there is none */
};

/*
 * Make an empty one, locked, left out of core dumps, of fixed size: memfd_secret where the kernel
 * has it, else (or when try_secret is false) a sealed memfd. Before the sandbox. 0, or -errno with a sentence, also in `cause`;
 * the daemon can go on without.
 */
int iked_escrow_make(struct iked_escrow *e, bool try_secret, struct spw_err *err);
/*
 * Go on with what an earlier instance left in `fd`, in place of the present one, which must not be
 * in use yet. Takes the descriptor on success. -EINVAL: it is nothing of ours; nothing changed.
 */
int iked_escrow_replace(struct iked_escrow *e, int fd, struct spw_err *err);
/* Unmap and close; what controld keeps stays. */
void iked_escrow_close(struct iked_escrow *e);

#endif
