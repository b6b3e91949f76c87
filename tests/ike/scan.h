/* SPDX-License-Identifier: BSD-3-Clause */
/* Search the whole memory of another process, or bytes at hand, for pieces of secrets. */
#ifndef SPW_TESTS_IKE_SCAN_H
#define SPW_TESTS_IKE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SCAN_PIECE   16 /* this many bytes in a row are a hit */
#define SCAN_SECRETS 512
#define SCAN_LEN     512

struct scan_secret {
	uint32_t kind; /* < 32 */
	size_t len;
	uint8_t bytes[SCAN_LEN];
};
struct scan_found {
	unsigned int sheltered; /* hits in memory that is locked and left out of core dumps */
	unsigned int open;	/* hits elsewhere */
	size_t bytes;		/* read */
	char where[200];	/* the first open hit, else the first */
};

/* Prepare to look for n secrets (of the kinds in the mask); frees with scan_free(). */
struct scan;
struct scan *scan_new(const struct scan_secret *s, size_t n, uint32_t kinds);
void scan_free(struct scan *scan);
/*
 * Every readable byte of a process, which is stopped meanwhile. Each piece is looked for as it is
 * and with its bytes reversed, as big numbers lie in memory. False when it cannot be read.
 */
bool scan_process(const struct scan *scan, pid_t pid, struct scan_found *out);
/* Hits in a buffer; *at is where the first begins. */
unsigned int scan_bytes(const struct scan *scan, const uint8_t *bytes, size_t len, size_t *at,
			uint32_t *kind);

#endif
