/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: (interface, IPv4 or IPv6 address) to MAC.
 *
 * The kernel resolves and keeps them; controld passes its verdicts on. Workers read without locks:
 * a slot's key is written once, after its value, and stays (its interface last, which makes the
 * slot count); the value is one 64-bit word, so a reader sees the old MAC or the new one, never
 * half of each. Deleting sets the value to unknown and leaves the key; a rebuilt table (published
 * as a whole, the old one freed after grace) gets rid of such slots when the table is more than
 * half full. Its size goes by what is left: whoever makes the kernel ask for one address after
 * the other, and forget them, makes nothing grow.
 *
 * One writer, the API thread. No DPDK.
 */
#include "dataplane/neigh.h"

#include <errno.h>

#define SLOTS_MIN 1024

static struct dp_neigh_table *
table_new(uint32_t slots)
{
	struct dp_neigh_table *t = calloc(1, sizeof(*t) + slots * sizeof(t->slot[0]));

	if (t)
		t->mask = slots - 1;
	return t;
}

static struct dp_neigh_table *
table_of(const struct dp_neighs *n)
{
	return atomic_load_explicit(&n->table, memory_order_relaxed);
}

struct dp_neighs *
dp_neighs_new(void)
{
	struct dp_neighs *n = calloc(1, sizeof(*n));
	struct dp_neigh_table *t = table_new(SLOTS_MIN);

	if (!n || !t) {
		free(n);
		free(t);
		return NULL;
	}
	atomic_store_explicit(&n->table, t, memory_order_release);
	return n;
}

void
dp_neighs_free(struct dp_neighs *n)
{
	if (!n)
		return;
	free(table_of(n));
	free(n);
}

static uint32_t
slot_iface(const struct dp_neigh_slot *s)
{
	return atomic_load_explicit(&s->iface, memory_order_relaxed);
}

static struct dp_neigh_key
slot_key(const struct dp_neigh_slot *s)
{
	return (struct dp_neigh_key){.hi = s->hi, .lo = s->lo, .iface = slot_iface(s)};
}

/* The slot with this key, or the free one where it belongs. */
static struct dp_neigh_slot *
slot_for(struct dp_neigh_table *t, const struct dp_neigh_key *key)
{
	for (uint32_t i = dp_neigh_hash(key);; i++) {
		struct dp_neigh_slot *s = &t->slot[i & t->mask];
		struct dp_neigh_key have = slot_key(s);

		if (have.iface == 0 || dp_neigh_key_equal(&have, key))
			return s;
	}
}

static void
slot_write(struct dp_neigh_table *t, const struct dp_neigh_key *key, uint64_t value,
	   uint32_t generation)
{
	struct dp_neigh_slot *s = slot_for(t, key);

	s->generation = generation;
	s->present = 1;
	atomic_store_explicit(&s->value, value, memory_order_relaxed);
	if (slot_iface(s) != 0)
		return;
	t->used++;
	s->hi = key->hi;
	s->lo = key->lo;
	/* Pairs with the acquire in dp_neigh_find(): value and address are there before. */
	atomic_store_explicit(&s->iface, key->iface, memory_order_release);
}

/* Neighbours that were not deleted. */
static uint32_t
present(const struct dp_neigh_table *t)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i <= t->mask; i++)
		n += t->slot[i].present;
	return n;
}

int
dp_neighs_reserve(struct dp_neighs *n, uint32_t more, struct dp_neigh_table **old)
{
	struct dp_neigh_table *from = table_of(n);
	uint32_t slots = SLOTS_MIN;

	*old = NULL;
	if ((from->used + more) * 2 <= from->mask + 1)
		return 0;
	for (uint32_t least = (present(from) + more) * 4; slots < least;)
		slots *= 2;
	struct dp_neigh_table *to = table_new(slots);

	if (!to)
		return -ENOMEM;
	for (uint32_t i = 0; i <= from->mask; i++) {
		struct dp_neigh_slot *s = &from->slot[i];
		struct dp_neigh_key key = slot_key(s);

		if (s->present)
			slot_write(to, &key, atomic_load_explicit(&s->value, memory_order_relaxed),
				   s->generation);
	}
	atomic_store_explicit(&n->table, to, memory_order_release);
	*old = from;
	return 0;
}

static void
changed(struct dp_neighs *n)
{
	atomic_fetch_add_explicit(&n->changes, 1, memory_order_release);
}

void
dp_neigh_set(struct dp_neighs *n, const struct dp_neigh_key *key, const uint8_t mac[6],
	     uint32_t generation)
{
	uint64_t value = 0;

	if (mac) {
		memcpy(&value, mac, 6);
		value = __builtin_bswap64(value) | 1;
	}
	slot_write(table_of(n), key, value, generation);
	changed(n);
}

static void
slot_forget(struct dp_neigh_slot *s)
{
	s->present = 0;
	atomic_store_explicit(&s->value, 0, memory_order_relaxed);
}

void
dp_neigh_del(struct dp_neighs *n, const struct dp_neigh_key *key)
{
	slot_forget(slot_for(table_of(n), key));
	changed(n);
}

void
dp_neighs_sweep(struct dp_neighs *n, uint16_t iface, uint32_t generation)
{
	struct dp_neigh_table *t = table_of(n);

	for (uint32_t i = 0; i <= t->mask; i++) {
		struct dp_neigh_slot *s = &t->slot[i];

		if (!s->present)
			continue;
		if (iface ? slot_iface(s) == iface : (int32_t)(s->generation - generation) < 0)
			slot_forget(s);
	}
	changed(n);
}
