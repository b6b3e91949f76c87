/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The set of key material that was ever installed in this process.
 *
 * Sealing with one AES-GCM key from sequence number 1 twice gives the key away, so key material is
 * taken once for the life of the process, whoever asks and under whatever SPI. What is kept of it
 * is a SipHash-2-4 of 64 bits under a random key that never leaves the process: enough to tell
 * material apart (a false match costs one more rekey, chance n / 2^64), of no use to anybody else.
 * Open addressing, at most half full, never shrinks: 16 bytes a key, 190 MB after a year of 10,000
 * tunnels with lifetimes of 27,000 s. API thread only.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "dataplane/sad_data.h"

#define FIRST_SIZE 1024 /* power of two */

struct dp_once {
	uint8_t key[crypto_shorthash_KEYBYTES];
	uint64_t *slots; /* 0 = free */
	size_t mask;
	size_t used;
};

struct dp_once *
dp_once_new(void)
{
	struct dp_once *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->slots = calloc(FIRST_SIZE, sizeof(*o->slots));
	if (o->slots == NULL) {
		free(o);
		return NULL;
	}
	o->mask = FIRST_SIZE - 1;
	randombytes_buf(o->key, sizeof(o->key));
	return o;
}

void
dp_once_free(struct dp_once *o)
{
	if (o == NULL)
		return;
	free(o->slots);
	spw_wipe(o, sizeof(*o));
	free(o);
}

static uint64_t
digest(const struct dp_once *o, const uint8_t *key, uint32_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t d;

	crypto_shorthash(out, key, len, o->key);
	memcpy(&d, out, sizeof(d));
	return d == 0 ? 1 : d;
}

/* Where a digest is, or the free slot where it would go. */
static size_t
find(const uint64_t *slots, size_t mask, uint64_t d)
{
	size_t i = d & mask;

	while (slots[i] != 0 && slots[i] != d)
		i = (i + 1) & mask;
	return i;
}

static int
grow(struct dp_once *o)
{
	size_t mask = o->mask * 2 + 1;
	uint64_t *slots = calloc(mask + 1, sizeof(*slots));

	if (slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i <= o->mask; i++)
		if (o->slots[i] != 0)
			slots[find(slots, mask, o->slots[i])] = o->slots[i];
	free(o->slots);
	o->slots = slots;
	o->mask = mask;
	return 0;
}

bool
dp_once_has(const struct dp_once *o, const uint8_t *key, uint32_t len)
{
	return o->slots[find(o->slots, o->mask, digest(o, key, len))] != 0;
}

int
dp_once_add(struct dp_once *o, const uint8_t *key, uint32_t len)
{
	uint64_t d = digest(o, key, len);
	size_t at;

	if (2 * (o->used + 1) > o->mask + 1 && grow(o) < 0)
		return -ENOMEM;
	at = find(o->slots, o->mask, d);
	if (o->slots[at] != 0)
		return -EEXIST;
	o->slots[at] = d;
	o->used++;
	return 0;
}
