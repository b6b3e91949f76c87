/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One side of the IPv6 FIB: a trie over bytes with compressed rows.
 *
 * The first two bytes of an address index the root; each further byte one node. A node is one cache
 * line: a bitmap says where in its 256 slots the value changes, so a slot's value is found by
 * counting bits, and up to four values lie in the node itself (the usual node of a long prefix
 * has three). Fewer than one line for each byte of a lone /48 beyond the second: 256 bytes,
 * where uncompressed rows take four kilobytes.
 *
 * A slot holds the longest prefix that ends inside its own node, never one from above: a walk
 * remembers the last one it saw. So a change writes one node's row, and the `inherit` of its
 * children, however much lies below it; the default route costs what any short prefix costs.
 * Group 0 is a route like others (it hides what is above it); hence values are group + 1.
 *
 * The writer keeps the set of routes beside it (trie_routes.c) and computes rows from that set.
 * Rooms come from lists by size, never split nor joined: equal tables that see equal
 * operations stay equal bit by bit. The pool holds the worst that `max_routes` can ask for,
 * whatever came before (see LINES_PER_ROUTE), so only their number limits the routes, and a
 * deletion always goes through. All links are indexes, so a table is copied as it is.
 *
 * DPDK's rte_fib6 was not taken: its count of reserved rows of 22.11 depends on the order in which
 * covering prefixes come and go, wraps, and then refuses everything; and a side costs 64 MB
 * before the first route. rte_lpm6 has 21-bit leaves and slow deletions.
 *
 * Memory: reserved at start, touched when used. dp_trie_lookup(): any number of threads, while
 * nobody writes (left_right.c sees to that). Everything else: API thread.
 */
#include "dataplane/trie.h"

#include <errno.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_prefetch.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/fib6.h"
#include "dataplane/pages.h"

/*
 * The pool's size, in lines for each of R routes. Nodes: at most 14 R. A row outside its node has
 * five values or more, so two users or more: at most R such rows, R lines of order 1. A row of
 * order k > 1 has more than 8 << (k - 1) values, so half as many users, of which there are at most
 * 2 R in nodes that branch: at most R / 2 lines for each of four orders. As rooms of one size never
 * become another's, the sum of these peaks is what may be needed: 17 R; and a few to spare, since a
 * row gets its new room before it gives up the old one.
 */
#define LINES_PER_ROUTE 17
#define LINES_SPARE	64

/* Addresses that walk side by side, so that their cache misses overlap. */
#define LANES 32

static size_t
route_bytes(const struct dp_trie *t)
{
	return ((size_t)t->route_mask + 1) * sizeof(t->route[0]);
}

static size_t
pool_bytes(const struct dp_trie *t)
{
	return (size_t)t->lines * DP_TRIE_LINE * sizeof(t->pool[0]);
}

struct dp_trie *
dp_trie_new(uint32_t max_routes)
{
	struct dp_trie *t = calloc(1, sizeof(*t));
	uint32_t size = 64;

	if (!t)
		return NULL;
	while (size < 2 * max_routes)
		size *= 2;
	t->route_mask = size - 1;
	t->max_routes = max_routes;
	t->lines = LINES_SPARE + max_routes * LINES_PER_ROUTE;
	t->fresh = 1;
	memset(t->owner, DP_TRIE_NO_OWNER, sizeof(t->owner));
	t->route = dp_pages_new(route_bytes(t), true);
	t->pool = dp_pages_new(pool_bytes(t), true);
	if (t->route && t->pool)
		return t;
	dp_trie_free(t);
	return NULL;
}

void
dp_trie_free(struct dp_trie *t)
{
	if (!t)
		return;
	if (t->route)
		dp_pages_free(t->route, route_bytes(t));
	if (t->pool)
		dp_pages_free(t->pool, pool_bytes(t));
	free(t);
}

void
dp_trie_copy(struct dp_trie *to, const struct dp_trie *from)
{
	struct dp_trie_route *route = to->route;
	uint32_t *pool = to->pool;

	memcpy(to, from, sizeof(*to));
	to->route = route;
	to->pool = pool;
	/* Slots that are free on both sides need not be touched. */
	for (uint32_t i = 0; i <= to->route_mask; i++)
		if (route[i].used || from->route[i].used)
			route[i] = from->route[i];
	memcpy(pool, from->pool, (size_t)from->fresh * DP_TRIE_LINE * sizeof(pool[0]));
}

/* Room of 1 << (order - 1) lines; 0 when there is none. */
static uint32_t
room_get(struct dp_trie *t, unsigned int order)
{
	uint32_t n = 1u << (order - 1), line = t->spare[order];

	if (line)
		t->spare[order] = t->pool[(size_t)line * DP_TRIE_LINE];
	else if (t->lines - t->fresh < n)
		return 0;
	else {
		line = t->fresh;
		t->fresh += n;
	}
	t->used_lines += n;
	return line;
}

static void
room_put(struct dp_trie *t, uint32_t line, unsigned int order)
{
	t->pool[(size_t)line * DP_TRIE_LINE] = t->spare[order];
	t->spare[order] = line;
	t->used_lines -= 1u << (order - 1);
}

static inline struct dp_trie_node *
node_at(const struct dp_trie *t, uint32_t line)
{
	return (struct dp_trie_node *)(void *)&t->pool[(size_t)line * DP_TRIE_LINE];
}

static uint32_t
words_here(uint32_t line)
{
	return line * DP_TRIE_LINE + (uint32_t)offsetof(struct dp_trie_node, here) / 4;
}

/* An empty node; 0 when there is no room. */
static uint32_t
node_new(struct dp_trie *t, uint32_t inherit)
{
	uint32_t line = room_get(t, 1);

	if (line) {
		struct dp_trie_node *n = node_at(t, line);

		*n = (struct dp_trie_node){
			.start = {1}, .before = {0, 1, 1, 1}, .inherit = inherit};
		n->values = words_here(line);
	}
	return line;
}

static inline uint32_t
value_word(const struct dp_trie_node *n, uint8_t slot)
{
	unsigned int word = slot / 64;
	uint64_t upto = (UINT64_C(2) << (slot % 64)) - 1;

	return n->values + n->before[word] + (uint32_t)__builtin_popcountll(n->start[word] & upto) -
	       1;
}

static void
row_read(const struct dp_trie *t, const struct dp_trie_node *n, uint32_t row[256])
{
	const uint32_t *v = &t->pool[n->values] - 1;

	for (unsigned int i = 0; i < 256; i++) {
		v += n->start[i / 64] >> (i % 64) & 1;
		row[i] = *v;
	}
}

static unsigned int
order_for(unsigned int values)
{
	unsigned int order = 0, room = DP_TRIE_INLINE;

	while (room < values)
		room = (unsigned int)DP_TRIE_LINE << order++;
	return order;
}

/* Give a node room for so many values. */
static int
row_room(struct dp_trie *t, uint32_t line, unsigned int values)
{
	struct dp_trie_node *n = node_at(t, line);
	unsigned int order = order_for(values);
	uint32_t room = 0;

	if (order == n->order)
		return 0;
	if (order > 0 && (room = room_get(t, order)) == 0)
		return -ENOSPC;
	if (n->order > 0)
		room_put(t, n->values / DP_TRIE_LINE, n->order);
	n->order = (uint8_t)order;
	n->values = order > 0 ? room * DP_TRIE_LINE : words_here(line);
	return 0;
}

static int
row_write(struct dp_trie *t, uint32_t line, const uint32_t row[256])
{
	struct dp_trie_node *n = node_at(t, line);
	uint64_t start[4] = {1};
	unsigned int values = 1;

	for (unsigned int i = 1; i < 256; i++)
		if (row[i] != row[i - 1]) {
			start[i / 64] |= UINT64_C(1) << (i % 64);
			values++;
		}
	if (row_room(t, line, values) != 0)
		return -ENOSPC;
	memcpy(n->start, start, sizeof(start));
	for (unsigned int word = 0, at = 0; word < 4; word++) {
		n->before[word] = (uint8_t)at;
		at += (unsigned int)__builtin_popcountll(start[word]);
	}
	for (unsigned int i = 0, at = 0; i < 256; i++)
		if (start[i / 64] >> (i % 64) & 1)
			t->pool[n->values + at++] = row[i];
	return 0;
}

/* Let a slot have this leaf: itself, or for the child that sits there. */
static void
slot_paint(struct dp_trie *t, uint32_t *slot, uint32_t leaf)
{
	if (*slot & DP_TRIE_CHILD)
		node_at(t, *slot & ~DP_TRIE_CHILD)->inherit = leaf;
	else
		*slot = leaf;
}

static unsigned int
root_index(const uint8_t ip[16])
{
	return (unsigned int)ip[0] << 8 | ip[1];
}

/* A prefix of at most 16 bits came: slots of longer owners keep theirs. */
static void
root_put(struct dp_trie *t, const uint8_t ip[16], uint8_t len, uint32_t leaf)
{
	unsigned int first = root_index(ip), n = 1u << (16 - len);

	for (unsigned int i = first; i < first + n; i++) {
		if (t->owner[i] != DP_TRIE_NO_OWNER && t->owner[i] > len)
			continue;
		t->owner[i] = len;
		slot_paint(t, &t->root[i], leaf);
	}
}

/* One went (from the set already): its slots fall to the next shorter. */
static void
root_del(struct dp_trie *t, const uint8_t ip[16], uint8_t len)
{
	unsigned int first = root_index(ip), n = 1u << (16 - len);
	const struct dp_trie_route *heir = dp_routes_cover(t, ip, 0, len - 1);

	for (unsigned int i = first; i < first + n; i++) {
		if (t->owner[i] != len)
			continue;
		t->owner[i] = heir ? heir->len : DP_TRIE_NO_OWNER;
		slot_paint(t, &t->root[i], heir ? heir->group + 1 : 0);
	}
}

/* The byte of the address whose node a prefix of more than 16 bits ends in. */
static unsigned int
end_byte(uint8_t len)
{
	return (len - 1u) / 8;
}

/* Paint what longer prefixes of the same node say over a part of its row. */
static void
row_longer(struct dp_trie *t, uint32_t row[256], const uint8_t ip[16], uint8_t len)
{
	unsigned int byte = end_byte(len), first = ip[byte];
	unsigned int n = 1u << (8 * (byte + 1) - len);
	uint8_t key[16];

	memcpy(key, ip, sizeof(key));
	for (unsigned int l = len + 1u, step = n / 2; l <= 8 * (byte + 1); l++, step /= 2) {
		if (t->per_len[l] == 0)
			continue;
		for (unsigned int at = first; at < first + n; at += step) {
			key[byte] = (uint8_t)at;
			const struct dp_trie_route *r = dp_routes_find(t, key, (uint8_t)l);

			for (unsigned int i = at; r && i < at + step; i++)
				slot_paint(t, &row[i], r->group + 1);
		}
	}
}

/* Bring the part of a node's row that a prefix spans to what the set of routes says. */
static int
row_renew(struct dp_trie *t, uint32_t line, const uint8_t ip[16], uint8_t len)
{
	unsigned int byte = end_byte(len), first = ip[byte];
	unsigned int n = 1u << (8 * (byte + 1) - len);
	const struct dp_trie_route *r = dp_routes_cover(t, ip, (int)(8 * byte + 1), len);
	uint32_t row[256];

	row_read(t, node_at(t, line), row);
	for (unsigned int i = first; i < first + n; i++)
		slot_paint(t, &row[i], r ? r->group + 1 : 0);
	row_longer(t, row, ip, len);
	return row_write(t, line, row);
}

static int
slot_set(struct dp_trie *t, uint32_t line, uint8_t slot, uint32_t value)
{
	uint32_t row[256];

	row_read(t, node_at(t, line), row);
	row[slot] = value;
	return row_write(t, line, row);
}

/*
 * The nodes from the root to the one a prefix ends in; makes those that are missing.
 * Returns how many there are, or -ENOSPC.
 */
static int
path_make(struct dp_trie *t, const uint8_t ip[16], uint8_t len, uint32_t path[14])
{
	unsigned int last = end_byte(len);
	uint32_t *root = &t->root[root_index(ip)];

	if (!(*root & DP_TRIE_CHILD)) {
		uint32_t line = node_new(t, *root);

		if (line == 0)
			return -ENOSPC;
		*root = DP_TRIE_CHILD | line;
	}
	path[0] = *root & ~DP_TRIE_CHILD;
	for (unsigned int byte = 2; byte < last; byte++) {
		uint32_t at = path[byte - 2], line;
		uint32_t value = t->pool[value_word(node_at(t, at), ip[byte])];

		path[byte - 1] = value & ~DP_TRIE_CHILD;
		if (value & DP_TRIE_CHILD)
			continue;
		path[byte - 1] = line = node_new(t, value);
		if (line == 0 || slot_set(t, at, ip[byte], DP_TRIE_CHILD | line) != 0)
			return -ENOSPC;
		node_at(t, at)->users++;
	}
	return (int)last - 1;
}

/* Take away nodes that nobody uses, from the end of a path. */
static void
path_prune(struct dp_trie *t, const uint8_t ip[16], const uint32_t path[14], int n)
{
	while (n > 0 && node_at(t, path[n - 1])->users == 0) {
		struct dp_trie_node *node = node_at(t, path[n - 1]);

		if (n == 1)
			t->root[root_index(ip)] = node->inherit;
		else {
			if (slot_set(t, path[n - 2], ip[n], node->inherit) != 0)
				abort();
			node_at(t, path[n - 2])->users--;
		}
		if (node->order > 0)
			room_put(t, node->values / DP_TRIE_LINE, node->order);
		room_put(t, path[n - 1], 1);
		n--;
	}
}

int
dp_trie_put(struct dp_trie *t, const uint8_t ip[16], uint8_t len, uint32_t group,
	    uint32_t generation)
{
	struct dp_trie_route *r = dp_routes_find(t, ip, len);
	bool is_new = r == NULL;
	uint32_t path[14];
	int n;

	if (is_new && t->routes == t->max_routes)
		return -ENOSPC;
	if (is_new) {
		dp_routes_add(t, ip, len, group, generation);
	} else {
		r->group = group;
		r->generation = generation;
	}
	if (len <= 16) {
		root_put(t, ip, len, group + 1);
		return 0;
	}
	n = path_make(t, ip, len, path);
	if (n < 0)
		return n;
	if (is_new)
		node_at(t, path[n - 1])->users++;
	return row_renew(t, path[n - 1], ip, len);
}

void
dp_trie_del(struct dp_trie *t, const uint8_t ip[16], uint8_t len)
{
	uint32_t path[14];
	int n;

	dp_routes_remove(t, ip, len);
	if (len <= 16) {
		root_del(t, ip, len);
		return;
	}
	/* The nodes are all there, and there is room for what becomes of their rows. */
	n = path_make(t, ip, len, path);
	if (n < 0)
		abort();
	node_at(t, path[n - 1])->users--;
	if (row_renew(t, path[n - 1], ip, len) != 0)
		abort();
	path_prune(t, ip, path, n);
}

/* One step of one lane; true while it must go on. */
static inline bool
lane_step(const struct dp_trie *t, uint32_t *value, uint32_t *best, uint8_t slot)
{
	const struct dp_trie_node *n = node_at(t, *value & ~DP_TRIE_CHILD);

	*best = n->inherit ? n->inherit : *best;
	*value = t->pool[value_word(n, slot)];
	if (*value & DP_TRIE_CHILD) {
		rte_prefetch0(node_at(t, *value & ~DP_TRIE_CHILD));
		return true;
	}
	*best = *value ? *value : *best;
	return false;
}

static inline void
lookup_lanes(const struct dp_trie *t, uint8_t ips[][16], uint64_t *leaves, unsigned int n)
{
	uint32_t value[LANES], best[LANES];
	uint8_t lane[LANES];
	unsigned int going = 0;

	for (unsigned int i = 0; i < n; i++) {
		value[i] = t->root[root_index(ips[i])];
		best[i] = value[i] ? value[i] : 1;
		if (!(value[i] & DP_TRIE_CHILD))
			continue;
		best[i] = 1;
		rte_prefetch0(node_at(t, value[i] & ~DP_TRIE_CHILD));
		lane[going++] = (uint8_t)i;
	}
	for (unsigned int byte = 2; going; byte++) {
		unsigned int left = 0;

		for (unsigned int k = 0; k < going; k++) {
			unsigned int i = lane[k];

			lane[left] = (uint8_t)i;
			left += lane_step(t, &value[i], &best[i], ips[i][byte]);
		}
		going = left;
	}
	for (unsigned int i = 0; i < n; i++)
		leaves[i] = best[i] - 1;
}

void
dp_trie_lookup(const struct dp_trie *t, uint8_t ips[][16], uint64_t *leaves, unsigned int n)
{
	for (; n > LANES; n -= LANES, ips += LANES, leaves += LANES)
		lookup_lanes(t, ips, leaves, LANES);
	lookup_lanes(t, ips, leaves, n);
}
