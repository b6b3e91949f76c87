/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The set of IPv6 routes behind a trie: exact prefixes to group and generation.
 *
 * Open addressing with linear probing, at most half full; removal shifts back what follows, so
 * there are no tombstones and the order of slots depends on the operations alone. Host bits of a
 * key are zero. A count by prefix length spares most probes of a search by length.
 *
 * API thread only.
 */
#include "dataplane/trie.h"

#include <string.h>

static uint32_t
home(const struct dp_trie *t, const uint8_t ip[16], uint8_t len)
{
	uint64_t half[2];

	memcpy(half, ip, sizeof(half));
	uint64_t h = half[0] * UINT64_C(0xd6e8feb86659fd93) ^
		     (half[1] + len) * UINT64_C(0xa0761d6478bd642f);

	h ^= h >> 32;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32) & t->route_mask;
}

static struct dp_trie_route *
slot_of(const struct dp_trie *t, const uint8_t ip[16], uint8_t len)
{
	for (uint32_t i = home(t, ip, len);; i++) {
		struct dp_trie_route *r = &t->route[i & t->route_mask];

		if (!r->used || (r->len == len && memcmp(r->ip, ip, 16) == 0))
			return r;
	}
}

struct dp_trie_route *
dp_routes_find(const struct dp_trie *t, const uint8_t ip[16], uint8_t len)
{
	struct dp_trie_route *r = t->per_len[len] ? slot_of(t, ip, len) : NULL;

	return r && r->used ? r : NULL;
}

void
dp_routes_add(struct dp_trie *t, const uint8_t ip[16], uint8_t len, uint32_t group,
	      uint32_t generation)
{
	struct dp_trie_route *r = slot_of(t, ip, len);

	memcpy(r->ip, ip, 16);
	r->len = len;
	r->group = group;
	r->generation = generation;
	r->used = true;
	t->per_len[len]++;
	t->routes++;
}

void
dp_routes_remove(struct dp_trie *t, const uint8_t ip[16], uint8_t len)
{
	uint32_t hole = (uint32_t)(slot_of(t, ip, len) - t->route), mask = t->route_mask;

	for (uint32_t i = (hole + 1) & mask; t->route[i].used; i = (i + 1) & mask) {
		uint32_t from = home(t, t->route[i].ip, t->route[i].len);

		/* It may move only if its home is not between the hole and itself. */
		if (((i - from) & mask) < ((i - hole) & mask))
			continue;
		t->route[hole] = t->route[i];
		hole = i;
	}
	memset(&t->route[hole], 0, sizeof(t->route[hole]));
	t->per_len[len]--;
	t->routes--;
}

const struct dp_trie_route *
dp_routes_cover(const struct dp_trie *t, const uint8_t ip[16], int low, int high)
{
	uint8_t key[16];

	memcpy(key, ip, sizeof(key));
	for (int len = high; len >= low; len--) {
		if (len < 128) {
			int byte = len / 8;

			key[byte] &= (uint8_t)(0xff00 >> (len % 8));
			memset(key + byte + 1, 0, (size_t)(15 - byte));
		}
		const struct dp_trie_route *r = dp_routes_find(t, key, (uint8_t)len);

		if (r)
			return r;
	}
	return NULL;
}
