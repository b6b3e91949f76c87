/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/fib6.c, trie*.c and their tests: one side of the IPv6 FIB, a longest-prefix
 * match of its own.
 */
#ifndef SPW_DATAPLANE_TRIE_H
#define SPW_DATAPLANE_TRIE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/left_right.h"

#define DP_TRIE_ROOT	 65536 /* the first two bytes of an address */
#define DP_TRIE_LINE	 16    /* 32-bit words of a cache line */
#define DP_TRIE_INLINE	 4     /* values that fit in the node itself */
#define DP_TRIE_CHILD	 0x80000000u
#define DP_TRIE_ORDERS	 6
#define DP_TRIE_NO_OWNER 0xff

/*
 * Eight bits of the address: 256 slots, of which equal neighbours are stored once. A value is a
 * child's line with DP_TRIE_CHILD, or group + 1 of the longest prefix that ends in this node, or 0
 * when none does.
 */
struct dp_trie_node {
	uint64_t start[4]; /* a bit for each slot whose value is another than the slot's before */
	uint8_t before[4]; /* bits set in the words before */
	uint32_t values;   /* word in the pool where the values are */
	uint32_t inherit;  /* what the parent's slot would hold if this were not there */
	uint16_t users;	   /* routes that end here and children */
	uint8_t order;	   /* of the values: 0 = in the node, k = 1 << (k - 1) lines */
	uint8_t unused;
	uint32_t here[DP_TRIE_INLINE];
};

_Static_assert(sizeof(struct dp_trie_node) == 64, "a node is a cache line");

/* A slot of the set of routes. */
struct dp_trie_route {
	uint8_t ip[16];
	uint32_t group;
	uint32_t generation;
	uint8_t len;
	bool used;
};

struct dp_trie {
	/* What workers read. Lines are 64 bytes: nodes and arrays of values; line 0 is not used. */
	uint32_t *pool;
	uint32_t root[DP_TRIE_ROOT];
	/* The writer's. */
	uint8_t owner[DP_TRIE_ROOT]; /* prefix length behind a root slot's leaf */
	struct dp_trie_route *route;
	uint32_t route_mask;
	uint32_t max_routes;
	uint32_t routes;
	uint32_t per_len[129];
	uint32_t lines;			/* of the pool */
	uint32_t fresh;			/* lines never given out start here */
	uint32_t spare[DP_TRIE_ORDERS]; /* heads of lists of free rooms by order; 0 = none */
	uint64_t used_lines;
};

/* Reserve a table for so many routes; NULL when memory is short. */
struct dp_trie *dp_trie_new(uint32_t max_routes);
void dp_trie_free(struct dp_trie *t);
/* Make `to` what `from` is; both made for the same number of routes. */
void dp_trie_copy(struct dp_trie *to, const struct dp_trie *from);

/* Add or replace; 0, or -ENOSPC: then the table is good for nothing but dp_trie_copy(). */
int dp_trie_put(struct dp_trie *t, const uint8_t ip[16], uint8_t len, uint32_t group,
		uint32_t generation) __attribute__((warn_unused_result));
/* Delete a route that is there. */
void dp_trie_del(struct dp_trie *t, const uint8_t ip[16], uint8_t len);

/*
 * The set of routes, trie_routes.c. What is found stays valid until the next change.
 * dp_routes_add() expects room and a prefix that is not there, dp_routes_remove() one that is.
 */
struct dp_trie_route *dp_routes_find(const struct dp_trie *t, const uint8_t ip[16], uint8_t len);
void dp_routes_add(struct dp_trie *t, const uint8_t ip[16], uint8_t len, uint32_t group,
		   uint32_t generation);
void dp_routes_remove(struct dp_trie *t, const uint8_t ip[16], uint8_t len);
/* The longest prefix of `ip` with a length in low..high; NULL = none. */
const struct dp_trie_route *dp_routes_cover(const struct dp_trie *t, const uint8_t ip[16], int low,
					    int high);

#endif
