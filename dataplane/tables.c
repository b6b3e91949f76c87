/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The published tables and the small immutable indexes among them: our own addresses and
 * the VLAN tags of a port.
 *
 * The tables are arrays of pointers, indexed by the ids that controld chose, in pages that cost
 * nothing until used. The indexes are rebuilt whole whenever they change, because they change
 * seldom and are read for every packet.
 *
 * Pure but for the allocation; no DPDK calls. Written by the API thread, read by workers.
 */
#include "dataplane/tables.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/pages.h"

struct dp_tables *
dp_tables_new(void)
{
	return dp_pages_new(sizeof(struct dp_tables), true);
}

void
dp_tables_free(struct dp_tables *t)
{
	dp_pages_free(t, sizeof(*t));
}

static void
local_insert(struct dp_local *l, const struct dp_local_entry *e)
{
	for (uint32_t i = (e->addr * 0x9e3779b1u) >> 8;; i++) {
		struct dp_local_entry *slot = &l->slot[i & l->mask];

		if (slot->iface != DP_NO_IFACE && slot->addr != e->addr)
			continue;
		if (slot->iface == DP_NO_IFACE)
			*slot = *e;
		return;
	}
}

/* Nearly every look-up is of an address that is not ours: so sparse that it meets a free slot. */
static uint32_t
slots_for(uint32_t n)
{
	uint32_t size = 128;

	while (size < 32 * n)
		size *= 2;
	return size;
}

struct dp_local *
dp_local_new(const struct dp_local_entry *entries, uint32_t n, uint32_t any_v4)
{
	uint32_t size = slots_for(n);

	struct dp_local *l = calloc(1, sizeof(*l) + size * sizeof(l->slot[0]));

	if (!l)
		return NULL;
	l->mask = size - 1;
	l->any_v4 = any_v4;
	for (uint32_t i = 0; i < n; i++)
		local_insert(l, &entries[i]);
	return l;
}

static void
local6_insert(struct dp_local6 *l, const struct dp_local6_entry *e)
{
	for (uint32_t i = dp_local6_hash(e->addr);; i++) {
		struct dp_local6_entry *slot = &l->slot[i & l->mask];

		if (slot->iface != DP_NO_IFACE && memcmp(slot->addr, e->addr, 16) != 0)
			continue;
		if (slot->iface == DP_NO_IFACE)
			*slot = *e;
		return;
	}
}

struct dp_local6 *
dp_local6_new(const struct dp_local6_entry *entries, uint32_t n, const uint8_t *any_v6)
{
	uint32_t size = slots_for(n);

	struct dp_local6 *l = calloc(1, sizeof(*l) + size * sizeof(l->slot[0]));

	if (!l)
		return NULL;
	l->mask = size - 1;
	l->has_any = any_v6 != NULL;
	if (any_v6)
		memcpy(l->any_v6, any_v6, 16);
	for (uint32_t i = 0; i < n; i++)
		local6_insert(l, &entries[i]);
	return l;
}

uint16_t
dp_vlan_find(const struct dp_vlan_map *map, uint16_t outer, uint16_t inner)
{
	uint32_t key = (uint32_t)outer << 16 | inner, low = 0, high = map ? map->n : 0;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (map->entry[mid].key == key)
			return map->entry[mid].iface;
		if (map->entry[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return DP_NO_IFACE;
}

static int
vlan_compare(const void *a, const void *b)
{
	uint32_t x = ((const struct dp_vlan_entry *)a)->key;
	uint32_t y = ((const struct dp_vlan_entry *)b)->key;

	return (x > y) - (x < y);
}

struct dp_vlan_map *
dp_vlan_map_new(const struct dp_vlan_entry *entries, uint32_t n)
{
	struct dp_vlan_map *map = calloc(1, sizeof(*map) + n * sizeof(map->entry[0]));

	if (!map)
		return NULL;
	map->n = n;
	if (n)
		memcpy(map->entry, entries, n * sizeof(map->entry[0]));
	qsort(map->entry, n, sizeof(map->entry[0]), vlan_compare);
	return map;
}
