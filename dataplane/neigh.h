/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: the kernel's IPv4 neighbours, as workers look them up. */
#ifndef SPW_DATAPLANE_NEIGH_H
#define SPW_DATAPLANE_NEIGH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * One table: open addressing. A key never changes once written; a value is one atomic word:
 * MAC in the upper 48 bits, bit 0 = resolved, 0 = unknown.
 */
struct dp_neigh_table {
	uint32_t mask;
	uint32_t used; /* API thread: slots with a key */
	struct dp_neigh_slot {
		_Atomic uint64_t key; /* interface << 32 | address; 0 = free */
		_Atomic uint64_t value;
		uint32_t generation; /* API thread */
		uint32_t present;    /* API thread: not deleted */
	} slot[];
};

struct dp_neighs {
	_Atomic(struct dp_neigh_table *) table;
	_Atomic uint32_t changes; /* raised after each change, so workers look at waiting packets */
};

static inline uint64_t
dp_neigh_key(uint16_t iface, uint32_t addr)
{
	return (uint64_t)iface << 32 | addr;
}

static inline uint32_t
dp_neigh_hash(uint64_t key)
{
	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

/* MAC of a neighbour into `mac`. False when it is not known. Worker thread. */
static inline bool
dp_neigh_find(const struct dp_neighs *n, uint64_t key, uint8_t mac[6])
{
	const struct dp_neigh_table *t = atomic_load_explicit(&n->table, memory_order_acquire);

	for (uint32_t i = dp_neigh_hash(key);; i++) {
		const struct dp_neigh_slot *s = &t->slot[i & t->mask];
		uint64_t have = atomic_load_explicit(&s->key, memory_order_acquire);

		if (have == 0)
			return false;
		if (have != key)
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
void dp_neigh_set(struct dp_neighs *n, uint64_t key, const uint8_t mac[6], uint32_t generation);
/* Forget; nothing happens when it is unknown. API thread. */
void dp_neigh_del(struct dp_neighs *n, uint64_t key);
/* Forget those of an interface (`iface` != 0), or those older than `generation`. API thread. */
void dp_neighs_sweep(struct dp_neighs *n, uint16_t iface, uint32_t generation);

#endif
