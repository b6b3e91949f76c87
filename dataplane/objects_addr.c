/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses of the gateway and its neighbours: ADDR_SET, ADDR_DEL, NEIGH_SET, NEIGH_DEL.
 *
 * Addresses are few and change seldom, so every change makes the list, the sets that workers probe,
 * and the first address of each interface (source of ICMP errors) anew, and publishes them
 * together. Link-local IPv6 addresses are listed but in no set: whatever comes for one goes to the
 * twin of the interface that it came by, and two interfaces may have the same. Deleting what is not
 * there is no error: these messages mirror the kernel's own stream.
 *
 * API thread.
 */
#include "dataplane/classify.h"
#include "dataplane/control.h"

#include <errno.h>
#include <stdlib.h>

struct addr_plan {
	struct spw_dp_addr *addr;
	uint32_t n;
	struct dp_local *local;
	struct dp_local6 *local6;
	struct dp_iface **iface; /* changed interfaces */
	uint32_t n_ifaces;
};

static void
plan_free(struct addr_plan *p)
{
	for (uint32_t i = 0; i < p->n_ifaces; i++)
		free(p->iface[i]);
	free(p->iface);
	free(p->addr);
	free(p->local);
	free(p->local6);
}

/* First IPv4 address of an interface, 0 = none. */
static uint32_t
first_v4(const struct addr_plan *p, uint32_t iface)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->addr[i].iface == iface && p->addr[i].prefix.addr.family == AF_INET)
			return spw_addr_get_v4(&p->addr[i].prefix.addr);
	return 0;
}

/* Is this an IPv6 address that is known beyond its link? */
static bool
routed_v6(const struct spw_dp_addr *a)
{
	return a->prefix.addr.family == AF_INET6 && !dp_ipv6_link_local(a->prefix.addr.bytes);
}

/* First such address of an interface, NULL = none. */
static const uint8_t *
first_v6(const struct addr_plan *p, uint32_t iface)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->addr[i].iface == iface && routed_v6(&p->addr[i]))
			return p->addr[i].prefix.addr.bytes;
	return NULL;
}

/* An address to speak from where the interface has none: of the LAN side if possible. */
static const struct spw_addr *
any_of(const struct dp_control *c, const struct addr_plan *p, uint8_t family)
{
	const struct spw_addr *any = NULL;

	for (uint32_t i = 0; i < p->n; i++) {
		const struct dp_iface *f = dp_iface_get(c->tables, (uint16_t)p->addr[i].iface);
		const struct spw_addr *a = &p->addr[i].prefix.addr;

		if (a->family != family || (family == AF_INET6 && !routed_v6(&p->addr[i])))
			continue;
		if (f && f->conf.role == SPW_IF_ROLE_LAN)
			return a;
		if (!any)
			any = a;
	}
	return any;
}

static int
plan_set_v4(struct dp_control *c, struct addr_plan *p)
{
	struct dp_local_entry *e = calloc(p->n + 1, sizeof(*e));
	const struct spw_addr *any = any_of(c, p, AF_INET);
	uint32_t n = 0;

	for (uint32_t i = 0; e && i < p->n; i++)
		if (p->addr[i].prefix.addr.family == AF_INET)
			e[n++] = (struct dp_local_entry){
				.addr = spw_addr_get_v4(&p->addr[i].prefix.addr),
				.iface = (uint16_t)p->addr[i].iface};
	p->local = e ? dp_local_new(e, n, any ? spw_addr_get_v4(any) : 0) : NULL;
	free(e);
	return p->local ? 0 : -ENOMEM;
}

static int
plan_set_v6(struct dp_control *c, struct addr_plan *p)
{
	struct dp_local6_entry *e = calloc(p->n + 1, sizeof(*e));
	const struct spw_addr *any = any_of(c, p, AF_INET6);
	uint32_t n = 0;

	for (uint32_t i = 0; e && i < p->n; i++) {
		if (!routed_v6(&p->addr[i]))
			continue;
		memcpy(e[n].addr, p->addr[i].prefix.addr.bytes, 16);
		e[n++].iface = (uint16_t)p->addr[i].iface;
	}
	p->local6 = e ? dp_local6_new(e, n, any ? any->bytes : NULL) : NULL;
	free(e);
	return p->local6 ? 0 : -ENOMEM;
}

/* Do the interface's first addresses stay as they are? */
static bool
firsts_stand(const struct addr_plan *p, uint32_t id, const struct dp_iface *i)
{
	const uint8_t *v6 = first_v6(p, id);

	return i->addr_v4 == first_v4(p, id) && i->has_v6 == (v6 != NULL) &&
	       (!v6 || memcmp(i->addr_v6, v6, 16) == 0);
}

static void
firsts_put(const struct addr_plan *p, uint32_t id, struct dp_iface *i)
{
	const uint8_t *v6 = first_v6(p, id);

	i->addr_v4 = first_v4(p, id);
	i->has_v6 = v6 != NULL;
	memset(i->addr_v6, 0, sizeof(i->addr_v6));
	if (v6)
		memcpy(i->addr_v6, v6, 16);
}

static int
plan_ifaces(struct dp_control *c, struct addr_plan *p)
{
	p->iface = calloc(DP_IFACES_MAX, sizeof(*p->iface));
	for (uint32_t id = 1; p->iface && id < DP_IFACES_MAX; id++) {
		const struct dp_iface *old = dp_iface_get(c->tables, (uint16_t)id);

		if (!old || firsts_stand(p, id, old))
			continue;
		struct dp_iface *new = malloc(sizeof(*new));

		if (!new)
			return -ENOMEM;
		*new = *old;
		firsts_put(p, id, new);
		p->iface[p->n_ifaces++] = new;
	}
	return p->iface ? 0 : -ENOMEM;
}

/* Takes `p->addr`; publishes all or nothing. */
static int
plan_run(struct dp_control *c, struct addr_plan *p)
{
	struct dp_tables *t = c->tables;
	int rc = plan_set_v4(c, p);

	if (rc == 0)
		rc = plan_set_v6(c, p);
	if (rc == 0)
		rc = plan_ifaces(c, p);
	if (rc == 0)
		rc = dp_retire_reserve(c, p->n_ifaces + 2);
	if (rc != 0) {
		plan_free(p);
		return rc;
	}
	dp_retire(c, atomic_exchange_explicit(&t->local, p->local, memory_order_acq_rel));
	dp_retire(c, atomic_exchange_explicit(&t->local6, p->local6, memory_order_acq_rel));
	for (uint32_t i = 0; i < p->n_ifaces; i++)
		dp_retire(c, atomic_exchange_explicit(&t->iface[p->iface[i]->conf.id], p->iface[i],
						      memory_order_acq_rel));
	free(p->iface);
	free(c->addr);
	c->addr = p->addr;
	c->n_addrs = p->n;
	return 0;
}

static struct spw_dp_addr *
addr_find(struct addr_plan *p, const struct spw_dp_addr *a)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->addr[i].iface == a->iface &&
		    spw_addr_equal(&p->addr[i].prefix.addr, &a->prefix.addr))
			return &p->addr[i];
	return NULL;
}

/* A plan that starts from the present addresses, with room for `more`. */
static int
plan_start(const struct dp_control *c, struct addr_plan *p, uint32_t more)
{
	*p = (struct addr_plan){.n = c->n_addrs};
	p->addr = calloc(c->n_addrs + more + 1, sizeof(*p->addr));
	if (!p->addr)
		return -ENOMEM;
	if (c->n_addrs)
		memcpy(p->addr, c->addr, c->n_addrs * sizeof(*p->addr));
	return 0;
}

static int
addr_check(struct dp_control *c, const struct spw_dp_addr *a, struct spw_err *err)
{
	if (a->iface < 1 || a->iface >= DP_IFACES_MAX ||
	    !dp_iface_get(c->tables, (uint16_t)a->iface))
		return spw_fail(err, -ENOENT, "address of interface %u, which is not there",
				a->iface);
	if (spw_addr_len(a->prefix.addr.family) == 0 ||
	    a->prefix.len > 8 * spw_addr_len(a->prefix.addr.family))
		return spw_fail(err, -EINVAL, "address of interface %u is neither IPv4 nor IPv6",
				a->iface);
	return 0;
}

int
dp_handle_addr_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_addr *a = b->elems;
	struct addr_plan p;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		int rc = addr_check(c, &a[b->bad], err);

		if (rc != 0)
			return rc;
	}
	if (plan_start(c, &p, b->count) != 0)
		return spw_fail(err, -ENOMEM, "no memory for addresses");
	for (uint32_t i = 0; i < b->count; i++) {
		struct spw_dp_addr *have = addr_find(&p, &a[i]);

		if (!have)
			have = &p.addr[p.n++];
		*have = a[i];
	}
	return plan_run(c, &p) == 0 ? 0 : spw_fail(err, -ENOMEM, "no memory for addresses");
}

/* Keep the addresses for which `keep` says so. */
static int
addrs_filter(struct dp_control *c, bool (*keep)(const struct spw_dp_addr *a, const void *arg),
	     const void *arg)
{
	struct addr_plan p;
	uint32_t kept = 0;

	if (plan_start(c, &p, 0) != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < p.n; i++)
		if (keep(&p.addr[i], arg))
			p.addr[kept++] = p.addr[i];
	p.n = kept;
	return plan_run(c, &p);
}

static bool
not_in_batch(const struct spw_dp_addr *a, const void *arg)
{
	const struct dp_batch *b = arg;
	const struct spw_dp_addr *gone = b->elems;

	for (uint32_t i = 0; i < b->count; i++)
		if (gone[i].iface == a->iface &&
		    spw_addr_equal(&gone[i].prefix.addr, &a->prefix.addr))
			return false;
	return true;
}

int
dp_handle_addr_del(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	return addrs_filter(c, not_in_batch, b) == 0
		       ? 0
		       : spw_fail(err, -ENOMEM, "no memory for addresses");
}

static bool
not_of_iface(const struct spw_dp_addr *a, const void *arg)
{
	return a->iface != *(const uint32_t *)arg;
}

int
dp_iface_addrs_del(struct dp_control *c, uint32_t iface)
{
	return addrs_filter(c, not_of_iface, &iface);
}

static bool
not_older(const struct spw_dp_addr *a, const void *arg)
{
	return !dp_generation_older(a->generation, *(const uint32_t *)arg);
}

int
dp_addrs_sweep(struct dp_control *c, uint32_t generation, struct spw_err *err)
{
	return addrs_filter(c, not_older, &generation) == 0
		       ? 0
		       : spw_fail(err, -ENOMEM, "no memory for addresses");
}

static int
neigh_check(struct dp_control *c, const struct spw_dp_neigh *n, struct spw_err *err)
{
	if (n->iface < 1 || n->iface >= DP_IFACES_MAX ||
	    !dp_iface_get(c->tables, (uint16_t)n->iface))
		return spw_fail(err, -ENOENT, "neighbour on interface %u, which is not there",
				n->iface);
	if (spw_addr_len(n->addr.family) == 0)
		return spw_fail(err, -EINVAL, "neighbour on interface %u has no IP address",
				n->iface);
	return 0;
}

struct dp_neigh_key
dp_neigh_key_of(uint16_t iface, const struct spw_addr *addr)
{
	uint8_t bytes[16];

	spw_addr_to_mapped(addr, bytes);
	return dp_neigh_key6(iface, bytes);
}

/*
 * Where its frames go; NULL: it is not known. A group is no neighbour's address (RFC 1812 3.3.2):
 * the kernel resolves the broadcast address of a network to it, and whoever sends there from
 * elsewhere must not reach all stations (RFC 2644).
 */
static const uint8_t *
neigh_mac(const struct spw_dp_neigh *n)
{
	return n->reachable && (n->mac[0] & 1) == 0 ? n->mac : NULL;
}

int
dp_handle_neigh_set(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_neigh *n = b->elems;
	struct dp_neigh_table *old;

	for (b->bad = 0; b->bad < b->count; b->bad++) {
		int rc = neigh_check(c, &n[b->bad], err);

		if (rc != 0)
			return rc;
	}
	if (dp_retire_reserve(c, 1) != 0 ||
	    dp_neighs_reserve(c->tables->neighs, b->count, &old) != 0)
		return spw_fail(err, -ENOMEM, "no memory for neighbours");
	dp_retire(c, old);
	for (uint32_t i = 0; i < b->count; i++) {
		struct dp_neigh_key key = dp_neigh_key_of((uint16_t)n[i].iface, &n[i].addr);

		dp_neigh_set(c->tables->neighs, &key, neigh_mac(&n[i]), n[i].generation);
	}
	dp_paths_prepare(c);
	return 0;
}

int
dp_handle_neigh_del(struct dp_control *c, struct dp_batch *b, struct spw_err *err)
{
	const struct spw_dp_neigh *n = b->elems;

	for (b->bad = 0; b->bad < b->count; b->bad++)
		if (n[b->bad].iface < 1 || n[b->bad].iface >= DP_IFACES_MAX)
			return spw_fail(err, -EINVAL, "neighbour on interface %u: no such id",
					n[b->bad].iface);
	for (uint32_t i = 0; i < b->count; i++) {
		struct dp_neigh_key key = dp_neigh_key_of((uint16_t)n[i].iface, &n[i].addr);

		dp_neigh_del(c->tables->neighs, &key);
	}
	dp_paths_prepare(c);
	return 0;
}

void
dp_neighs_expire(struct dp_control *c, uint32_t generation)
{
	dp_neighs_sweep(c->tables->neighs, DP_NO_IFACE, generation);
	dp_paths_prepare(c);
}
