/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The key slab: expanded AES keys and GHASH tables of all SAs, and nothing else.
 *
 * Memory comes in chunks of 2 MB, aligned so that the kernel may back one by a huge page. A chunk
 * is locked (never swapped), left out of core dumps and not inherited by a fork; a chunk that
 * cannot be locked is not used (fail closed). Free slots form a list through their first bytes
 * and hold no key: a slot is wiped when it is put back. Chunks stay until the slab is freed.
 *
 * One writer, the API thread. Workers read keys of SAs that they hold; a slot is put back only
 * after they have let go of the SA.
 *
 * A slot takes an odd number of cache lines, one more than a key of AES-GCM. All packets touch the
 * same few lines of their key, its two ends: in slots of 1,024 bytes those of ten thousand keys
 * would share less than half of a cache's sets.
 */
#include "dataplane/crypto/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/crypto/suites.h"

#define CHUNK_BYTES (2u << 20)
#define CHUNK_SLOTS (CHUNK_BYTES / DP_CRYPTO_KEY_BYTES)

_Static_assert(DP_CRYPTO_KEY_BYTES % 128 == 64, "slots of an odd number of cache lines");

union slot {
	struct dp_crypto_key key;
	union slot *next_free;
};

struct chunk {
	struct chunk *next;
	void *map; /* as mmap returned it, twice CHUNK_BYTES */
	union slot *slots;
};

struct dp_keys {
	struct chunk *chunks;
	union slot *free;
	uint32_t used;
};

struct dp_keys *
dp_keys_new(void)
{
	return calloc(1, sizeof(struct dp_keys));
}

/* Address space for a chunk and its alignment; only the aligned half is ever touched. */
static union slot *
map_aligned(void **map)
{
	uintptr_t at;

	*map = mmap(NULL, 2 * (size_t)CHUNK_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*map == MAP_FAILED)
		return NULL;
	at = ((uintptr_t)*map + CHUNK_BYTES - 1) & ~((uintptr_t)CHUNK_BYTES - 1);
	return (union slot *)at;
}

static int
protect(union slot *slots)
{
	if (madvise(slots, CHUNK_BYTES, MADV_DONTDUMP) < 0 ||
	    madvise(slots, CHUNK_BYTES, MADV_DONTFORK) < 0)
		return -errno;
	(void)madvise(slots, CHUNK_BYTES, MADV_HUGEPAGE); /* only speed */
	return mlock(slots, CHUNK_BYTES) < 0 ? -errno : 0;
}

static int
grow(struct dp_keys *k, struct spw_err *err)
{
	struct chunk *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return spw_fail(err, -ENOMEM, "keys: out of memory");
	c->slots = map_aligned(&c->map);
	if (c->slots == NULL) {
		free(c);
		return spw_fail(err, -ENOMEM, "keys: out of memory");
	}
	rc = protect(c->slots);
	if (rc < 0) {
		munmap(c->map, 2 * (size_t)CHUNK_BYTES);
		free(c);
		return spw_fail(err, -ENOMEM,
				"keys: cannot lock 2 MB of memory (errno %d); raise the limit of "
				"locked memory (LimitMEMLOCK, ulimit -l)",
				-rc);
	}
	c->next = k->chunks;
	k->chunks = c;
	for (unsigned int i = CHUNK_SLOTS; i-- > 0;) {
		c->slots[i].next_free = k->free;
		k->free = &c->slots[i];
	}
	return 0;
}

int
dp_keys_get(struct dp_keys *k, struct dp_crypto_key **slot, struct spw_err *err)
{
	union slot *s;

	if (k->free == NULL) {
		int rc = grow(k, err);

		if (rc < 0)
			return rc;
	}
	s = k->free;
	k->free = s->next_free;
	s->next_free = NULL;
	k->used++;
	*slot = &s->key;
	return 0;
}

void
dp_keys_put(struct dp_keys *k, struct dp_crypto_key *slot)
{
	union slot *s = (union slot *)slot;

	if (slot == NULL)
		return;
	spw_wipe(s, sizeof(*s));
	s->next_free = k->free;
	k->free = s;
	k->used--;
}

uint32_t
dp_keys_used(const struct dp_keys *k)
{
	return k->used;
}

void
dp_keys_free(struct dp_keys *k)
{
	if (k == NULL)
		return;
	while (k->chunks != NULL) {
		struct chunk *c = k->chunks;

		k->chunks = c->next;
		spw_wipe(c->slots, CHUNK_BYTES);
		munmap(c->map, 2 * (size_t)CHUNK_BYTES);
		free(c);
	}
	free(k);
}
