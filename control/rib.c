/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mirror of the kernel's main table.
 *
 * A hash table of prefixes that doubles when it is full, with a count of entries for each prefix
 * length, so that "what covers this address" tries only the lengths that exist, longest first.
 * Each entry holds the kernel's routes ordered by metric, the first being the one the kernel uses,
 * and the evaluation's own fields, which this file does not touch. Prefixes are kept masked.
 */
#include "control/rib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 1024

static uint64_t
hash(const struct spw_prefix *p)
{
	uint64_t h = p->len + ((uint64_t)p->addr.family << 8);

	for (unsigned int i = 0; i < 16; i++)
		h = (h ^ p->addr.bytes[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

int
ctl_rib_init(struct ctl_rib *rib)
{
	memset(rib, 0, sizeof(*rib));
	rib->n_buckets = FIRST_BUCKETS;
	rib->bucket = calloc(rib->n_buckets, sizeof(*rib->bucket));
	return rib->bucket ? 0 : -ENOMEM;
}

static void
routes_free(struct ctl_rib_route *r)
{
	while (r) {
		struct ctl_rib_route *next = r->next;

		free(r);
		r = next;
	}
}

static void
entry_free(struct ctl_rib_entry *e)
{
	routes_free(e->routes);
	free(e->held);
	free(e);
}

void
ctl_rib_fini(struct ctl_rib *rib)
{
	for (size_t i = 0; i < rib->n_buckets; i++)
		for (struct ctl_rib_entry *e = rib->bucket[i], *next; e; e = next) {
			next = e->hash_next;
			entry_free(e);
		}
	free(rib->bucket);
	memset(rib, 0, sizeof(*rib));
}

struct ctl_rib_entry *
ctl_rib_find(const struct ctl_rib *rib, const struct spw_prefix *prefix)
{
	struct ctl_rib_entry *e = rib->bucket[hash(prefix) & (rib->n_buckets - 1)];

	while (e && !spw_prefix_equal(&e->prefix, prefix))
		e = e->hash_next;
	return e;
}

static void
grow(struct ctl_rib *rib)
{
	size_t n = rib->n_buckets * 2;
	struct ctl_rib_entry **bucket = calloc(n, sizeof(*bucket));

	if (!bucket)
		return; /* slower, still right */
	for (size_t i = 0; i < rib->n_buckets; i++)
		for (struct ctl_rib_entry *e = rib->bucket[i], *next; e; e = next) {
			size_t to = hash(&e->prefix) & (n - 1);

			next = e->hash_next;
			e->hash_next = bucket[to];
			bucket[to] = e;
		}
	free(rib->bucket);
	rib->bucket = bucket;
	rib->n_buckets = n;
}

struct ctl_rib_entry *
ctl_rib_get(struct ctl_rib *rib, const struct spw_prefix *prefix)
{
	struct spw_prefix masked = spw_prefix_masked(prefix);
	struct ctl_rib_entry *e = ctl_rib_find(rib, &masked);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	if (rib->n >= rib->n_buckets)
		grow(rib);
	size_t at = hash(&masked) & (rib->n_buckets - 1);

	e->prefix = masked;
	e->hash_next = rib->bucket[at];
	rib->bucket[at] = e;
	rib->n++;
	rib->n_by_len[masked.len]++;
	return e;
}

struct ctl_rib_entry *
ctl_rib_covering(const struct ctl_rib *rib, const struct spw_addr *addr, int len)
{
	struct spw_prefix p = {.addr = *addr};

	while (--len >= 0) {
		if (rib->n_by_len[len] == 0)
			continue;
		p.len = (uint8_t)len;
		struct spw_prefix masked = spw_prefix_masked(&p);
		struct ctl_rib_entry *e = ctl_rib_find(rib, &masked);

		if (e)
			return e;
	}
	return NULL;
}

void
ctl_rib_remove(struct ctl_rib *rib, struct ctl_rib_entry *entry)
{
	struct ctl_rib_entry **at = &rib->bucket[hash(&entry->prefix) & (rib->n_buckets - 1)];

	while (*at != entry)
		at = &(*at)->hash_next;
	*at = entry->hash_next;
	rib->n--;
	rib->n_by_len[entry->prefix.len]--;
	entry_free(entry);
}

void
ctl_rib_each(struct ctl_rib *rib, void (*visit)(void *ctx, struct ctl_rib_entry *entry), void *ctx)
{
	for (size_t i = 0; i < rib->n_buckets; i++)
		for (struct ctl_rib_entry *e = rib->bucket[i], *next; e; e = next) {
			next = e->hash_next;
			visit(ctx, e);
		}
}

static bool
route_is_same(const struct ctl_rib_route *r, const struct ctl_nl_route *route)
{
	return r->protocol == route->protocol && r->type == route->type &&
	       r->n_hops == route->n_hops &&
	       memcmp(r->hop, route->hop, sizeof(r->hop[0]) * r->n_hops) == 0;
}

bool
ctl_rib_route_put(struct ctl_rib_entry *entry, const struct ctl_nl_route *route)
{
	struct ctl_rib_route **at = &entry->routes, *r;
	size_t hops = sizeof(r->hop[0]) * route->n_hops;

	while (*at && (*at)->metric < route->metric)
		at = &(*at)->next;
	if (*at && (*at)->metric == route->metric) {
		(*at)->stale = (*at)->retained = false;
		if (route_is_same(*at, route))
			return false;
	}
	r = calloc(1, sizeof(*r) + hops);
	if (!r)
		return false;
	r->metric = route->metric;
	r->protocol = route->protocol;
	r->type = route->type;
	r->n_hops = (uint8_t)route->n_hops;
	memcpy(r->hop, route->hop, hops);
	r->next = *at;
	if (*at && (*at)->metric == route->metric) {
		r->next = (*at)->next;
		free(*at);
	}
	*at = r;
	return true;
}

static bool
route_names(const struct ctl_nl_route *route, const struct ctl_nl_hop *hop)
{
	for (unsigned int i = 0; i < route->n_hops; i++)
		if (route->hop[i].index == hop->index &&
		    spw_addr_equal(&route->hop[i].gateway, &hop->gateway))
			return true;
	return false;
}

/* Take the named next hops out of a route; how many stay. */
static unsigned int
hops_del(struct ctl_rib_route *r, const struct ctl_nl_route *route)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < r->n_hops; i++)
		if (!route_names(route, &r->hop[i]))
			r->hop[kept++] = r->hop[i];
	return kept;
}

bool
ctl_rib_route_del(struct ctl_rib_entry *entry, const struct ctl_nl_route *route)
{
	struct ctl_rib_route **at = &entry->routes;
	bool singly = route->prefix.addr.family == AF_INET6 && route->n_hops > 0;

	while (*at && (*at)->metric != route->metric)
		at = &(*at)->next;
	struct ctl_rib_route *r = *at;

	if (!r)
		return false;
	unsigned int before = r->n_hops, kept = singly ? hops_del(r, route) : 0;

	if (kept > 0) {
		r->n_hops = (uint8_t)kept;
		return kept != before;
	}
	*at = r->next;
	free(r);
	return true;
}

struct ctl_rib_route *
ctl_rib_route_find(struct ctl_rib_entry *entry, uint32_t metric)
{
	struct ctl_rib_route *r = entry->routes;

	while (r && r->metric != metric)
		r = r->next;
	return r;
}

bool
ctl_rib_route_sweep(struct ctl_rib_entry *entry)
{
	bool any = false;

	for (struct ctl_rib_route **at = &entry->routes; *at;) {
		struct ctl_rib_route *r = *at;

		if (!r->stale) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		free(r);
		any = true;
	}
	return any;
}

bool
ctl_rib_is_pin(const struct ctl_rib_entry *entry)
{
	for (const struct ctl_rib_route *r = entry->routes; r; r = r->next)
		if (r->protocol == CTL_RTPROT_US && r->metric >= CTL_PIN_METRIC &&
		    r->metric < CTL_PIN_METRIC + CTL_PIN_WAYS)
			return true;
	return false;
}
