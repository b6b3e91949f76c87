/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Secrets: keys, pre-shared keys and everything derived from them.
 *
 * One type holds them. Its memory comes from sodium_malloc: guard pages, a canary, wiped on free.
 * sodium_malloc does not report a failed mlock, so the lock is asked for again and a refusal is an
 * error: a key that may reach the swap is not accepted. Comparison is constant-time; the only
 * printable form is a fingerprint under a key of this process. Thread safe as far as one owner
 * uses one secret.
 */
#include "lib/secret.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SECRET_MAX 65536

static uint8_t fingerprint_key[crypto_generichash_KEYBYTES];

int
spw_secret_init(void)
{
	if (sodium_init() < 0)
		return -EIO;
	randombytes_buf(fingerprint_key, sizeof(fingerprint_key));
	return 0;
}

int
spw_secret_alloc(struct spw_secret *s, size_t len)
{
	uint8_t *p;

	if (len == 0 || len > SECRET_MAX)
		return -EINVAL;
	p = sodium_malloc(len);
	if (!p)
		return -ENOMEM;
	if (sodium_mlock(p, len) != 0) {
		sodium_free(p);
		return -ENOMEM;
	}
	memset(p, 0, len);
	s->bytes = p;
	s->len = len;
	return 0;
}

int
spw_secret_set(struct spw_secret *s, const void *bytes, size_t len)
{
	int rc = spw_secret_alloc(s, len);

	if (rc == 0)
		memcpy(s->bytes, bytes, len);
	return rc;
}

void
spw_secret_free(struct spw_secret *s)
{
	sodium_free(s->bytes);
	s->bytes = NULL;
	s->len = 0;
}

void
spw_secret_move(struct spw_secret *to, struct spw_secret *from)
{
	*to = *from;
	from->bytes = NULL;
	from->len = 0;
}

bool
spw_bytes_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

bool
spw_secret_equal(const struct spw_secret *a, const struct spw_secret *b)
{
	return a->len == b->len && (a->len == 0 || spw_bytes_equal(a->bytes, b->bytes, a->len));
}

void
spw_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

char *
spw_secret_fingerprint(const struct spw_secret *s, char out[SPW_FINGERPRINT_LEN])
{
	uint8_t hash[crypto_generichash_BYTES];

	crypto_generichash(hash, sizeof(hash), s->bytes, s->len, fingerprint_key,
			   sizeof(fingerprint_key));
	for (int i = 0; i < 8; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
	return out;
}
