/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPW_LIB_SECRET_H
#define SPW_LIB_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPW_FINGERPRINT_LEN 17 /* 16 hex digits and the terminator */

/*
 * A key in guarded, locked memory: between guard pages (with others of its size, a canary after
 * each), locked against swapping, left out of core dumps, wiped when freed. The one type that holds
 * secrets at rest. Never copy `bytes` elsewhere without wiping the copy. `len` stays what it was
 * made with.
 */
struct spw_secret {
	uint8_t *bytes;
	size_t len;
};

/* Prepare libsodium; call once at start. 0, or -EIO when it cannot start (then do not go on). */
int spw_secret_init(void);
/*
 * Allocate `len` zero bytes (1..65536). Fails closed: -ENOMEM when the memory cannot be had or
 * cannot be locked. The caller frees with spw_secret_free(). Any thread.
 */
int spw_secret_alloc(struct spw_secret *s, size_t len) __attribute__((warn_unused_result));
/* Allocate and fill with a copy of `bytes` (borrowed; the caller wipes its own copy). */
int spw_secret_set(struct spw_secret *s, const void *bytes, size_t len)
	__attribute__((warn_unused_result));
/*
 * Wipe and free; safe on a zeroed or already freed secret. Aborts when something was written around
 * it. Any thread.
 */
void spw_secret_free(struct spw_secret *s);
/* Move ownership from `from` (left empty) to `to` (which must be empty). */
void spw_secret_move(struct spw_secret *to, struct spw_secret *from);
/* Constant-time equality of content and length. */
bool spw_secret_equal(const struct spw_secret *a, const struct spw_secret *b);
/* Constant-time equality of two byte strings of the same length. */
bool spw_bytes_equal(const void *a, const void *b, size_t len);
/* Wipe a temporary; not removed by the optimiser. */
void spw_wipe(void *p, size_t len);
/*
 * A keyed one-way fingerprint for logs and shows, different in every process, so that it tells
 * keys apart and nothing else. Writes SPW_FINGERPRINT_LEN bytes and returns out.
 */
char *spw_secret_fingerprint(const struct spw_secret *s, char out[SPW_FINGERPRINT_LEN]);

#endif
