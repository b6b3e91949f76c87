/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the kernel's neighbours, IPv4 and IPv6, as workers look them up. */
#ifndef SPW_DATAPLANE_NEIGH_H
#define SPW_DATAPLANE_NEIGH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An interface and an address on it, IPv4 mapped (RFC 4291 2.5.5.2); the halves in host order. */
struct dp_neigh_key {
	uint64_t hi, lo;
	uint32_t iface; /* never 0 */
};

/*
 * One table: open addressing. A key never changes once written; a value is one atomic word:
 * MAC in the upper 48 bits, bit 0 = resolved, 0 = unknown.
 */
struct dp_neigh_table {
	uint32_t mask;
	uint32_t used; /* API thread: slots with a key */
	struct dp_neigh_slot {
		uint64_t hi, lo;
		_Atomic uint64_t value;
		_Atomic uint32_t iface; /* stored last, makes the key valid; 0 = free */
		uint32_t generation;	/* API thread */
		uint32_t present;	/* API thread: not deleted */
	} slot[];
};

struct dp_neighs {
	_Atomic(struct dp_neigh_table *) table;
	_Atomic uint32_t changes; /* raised after each change, so workers look at waiting packets */
};

/* Key of an IPv4 address (host order), and of 16 bytes of address. */
static inline struct dp_neigh_key
dp_neigh_key4(uint16_t iface, uint32_t addr)
{
	return (struct dp_neigh_key){.lo = UINT64_C(0xffff) << 32 | addr, .iface = iface};
}

static inline struct dp_neigh_key
dp_neigh_key6(uint16_t iface, const uint8_t addr[16])
{
	uint64_t half[2];

	memcpy(half, addr, sizeof(half));
	return (struct dp_neigh_key){
		.hi = __builtin_bswap64(half[0]), .lo = __builtin_bswap64(half[1]), .iface = iface};
}

/* The key's address as 16 bytes. */
static inline void
dp_neigh_key_addr(const struct dp_neigh_key *k, uint8_t addr[16])
{
	const uint64_t half[2] = {__builtin_bswap64(k->hi), __builtin_bswap64(k->lo)};

	memcpy(addr, half, sizeof(half));
}

static inline bool
dp_neigh_key_equal(const struct dp_neigh_key *a, const struct dp_neigh_key *b)
{
	return a->lo == b->lo && a->hi == b->hi && a->iface == b->iface;
}

static inline uint32_t
dp_neigh_hash(const struct dp_neigh_key *k)
{
	uint64_t h = k->lo + k->iface * UINT64_C(0xbf58476d1ce4e5b9);

	h ^= k->hi * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

/* MAC of a neighbour into `mac`. False when it is not known. Worker thread. */
static inline bool
dp_neigh_find(const struct dp_neighs *n, const struct dp_neigh_key *key, uint8_t mac[6])
{
	const struct dp_neigh_table *t = atomic_load_explicit(&n->table, memory_order_acquire);

	for (uint32_t i = dp_neigh_hash(key);; i++) {
		const struct dp_neigh_slot *s = &t->slot[i & t->mask];
		uint32_t iface = atomic_load_explicit(&s->iface, memory_order_acquire);

		if (iface == 0)
			return false;
		if (iface != key->iface || s->lo != key->lo || s->hi != key->hi)
			continue;
		uint64_t value = atomic_load_explicit(&s->value, memory_order_relaxed);

		value = __builtin_bswap64(value);
		memcpy(mac, &value, 6);
		return value != 0;
	}
}

/* An empty set, or NULL when memory is short. */
struct dp_neighs *dp_neighs_new(void);
void dp_neighs_free(struct dp_neighs *n);

/*
 * Make room for `more` new neighbours. 0 with *old set to a table to free after grace (or NULL), or
 * -ENOMEM. After it, as many dp_neigh_set() calls cannot fail. API thread.
 */
int dp_neighs_reserve(struct dp_neighs *n, uint32_t more, struct dp_neigh_table **old)
	__attribute__((warn_unused_result));
/* Add or change. @mac NULL = known to be dead or unresolved. API thread. */
void dp_neigh_set(struct dp_neighs *n, const struct dp_neigh_key *key, const uint8_t mac[6],
		  uint32_t generation);
/* Forget; nothing happens when it is unknown. API thread. */
void dp_neigh_del(struct dp_neighs *n, const struct dp_neigh_key *key);
/* Forget those of an interface (`iface` != 0), or those older than `generation`. API thread. */
void dp_neighs_sweep(struct dp_neighs *n, uint16_t iface, uint32_t generation);

#endif
