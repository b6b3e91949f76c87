/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FIB: IPv4 longest-prefix match, leaf = index of a path group, leaf 0 = no route.
 *
 * Two equal tables (rte_fib, DIR-24-8 with 4-byte leaves). Workers read the active one. A batch is
 * applied to the other; that one becomes active in one store; after every worker was quiescent
 * nobody reads the first any more and the batch is applied there, too. So a lookup never walks a
 * table that is being written, and an address that a batch does not touch never gets a wrong leaf
 * (a single rte_fib does not promise that). Cost: twice the memory, twice the writes.
 *
 * A batch that does not fit is undone on the idle side before anybody saw it. The generation of
 * each route (for sweeps after a client's restart) lives in the extension of the RIB node of
 * side 0; at rest both sides hold the same routes. The second application repeats what succeeded
 * on an equal table; should it fail all the same, an invariant is broken and the process ends.
 *
 * All writing and walking: API thread. dp_fib_lookup(): workers.
 */
#include "dataplane/fib.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <rte_rib.h>
#include <stdlib.h>

#define TBL8_MIN 4096

static struct rte_fib *
side_new(const char *name, uint32_t max_routes)
{
	struct rte_fib_conf conf = {
		.type = RTE_FIB_DIR24_8,
		.default_nh = 0,
		.max_routes = (int)max_routes,
		.rib_ext_sz = sizeof(uint32_t),
		.dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B,
			    .num_tbl8 = max_routes / 8 < TBL8_MIN ? TBL8_MIN : max_routes / 8},
	};

	return rte_fib_create(name, SOCKET_ID_ANY, &conf);
}

int
dp_fib_new(struct dp_fib **out, uint32_t max_routes, struct rte_rcu_qsbr *qsbr, struct spw_err *err)
{
	struct dp_fib *f = calloc(1, sizeof(*f));

	if (!f)
		return spw_fail(err, -ENOMEM, "no memory for the FIB");
	f->side[0] = side_new("fib-a", max_routes);
	f->side[1] = f->side[0] ? side_new("fib-b", max_routes) : NULL;
	if (!f->side[1]) {
		int rc = rte_errno ? -rte_errno : -ENOMEM;

		dp_fib_free(f);
		return spw_fail(err, rc,
				"no memory for a FIB of %u routes (%s); give more with --memory or "
				"lower --max-routes",
				max_routes, rte_strerror(-rc));
	}
	f->qsbr = qsbr;
	f->max_routes = max_routes;
	*out = f;
	return 0;
}

void
dp_fib_free(struct dp_fib *f)
{
	if (!f)
		return;
	for (unsigned int i = 0; i < 2; i++)
		if (f->side[i])
			rte_fib_free(f->side[i]);
	free(f);
}

static struct rte_rib_node *
node_exact(const struct dp_fib *f, unsigned int side, uint32_t ip, uint8_t len)
{
	return rte_rib_lookup_exact(rte_fib_get_rib(f->side[side]), ip, len);
}

static void
node_describe(struct rte_rib_node *node, struct dp_fib_route *out)
{
	uint64_t nh;

	rte_rib_get_ip(node, &out->ip);
	rte_rib_get_depth(node, &out->len);
	rte_rib_get_nh(node, &nh);
	out->group = (uint32_t)nh;
	out->generation = *(uint32_t *)rte_rib_get_ext(node);
}

bool
dp_fib_get(const struct dp_fib *f, uint32_t ip, uint8_t len, struct dp_fib_route *out)
{
	struct rte_rib_node *node = node_exact(f, 0, ip, len);

	if (node)
		node_describe(node, out);
	return node != NULL;
}

bool
dp_fib_match(const struct dp_fib *f, uint32_t ip, struct dp_fib_route *out)
{
	struct rte_rib_node *node = rte_rib_lookup(rte_fib_get_rib(f->side[0]), ip);

	if (node)
		node_describe(node, out);
	return node != NULL;
}

void
dp_fib_touch(struct dp_fib *f, uint32_t ip, uint8_t len, uint32_t generation)
{
	struct rte_rib_node *node = node_exact(f, 0, ip, len);

	if (node)
		*(uint32_t *)rte_rib_get_ext(node) = generation;
}

/* rte_rib lists what lies below a prefix, the prefix itself included, but never 0/0. */
void
dp_fib_walk(const struct dp_fib *f, void (*fn)(void *arg, const struct dp_fib_route *route),
	    void *arg)
{
	struct rte_rib *rib = rte_fib_get_rib(f->side[0]);
	struct rte_rib_node *node = NULL;
	struct dp_fib_route r;
	bool default_seen = false;

	while ((node = rte_rib_get_nxt(rib, 0, 0, node, RTE_RIB_GET_NXT_ALL)) != NULL) {
		node_describe(node, &r);
		default_seen |= r.len == 0;
		fn(arg, &r);
	}
	if (!default_seen && dp_fib_get(f, 0, 0, &r))
		fn(arg, &r);
}

static int
side_put(struct dp_fib *f, unsigned int side, uint32_t ip, uint8_t len, uint32_t group,
	 uint32_t generation)
{
	int rc = rte_fib_add(f->side[side], ip, len, group);

	if (rc != 0)
		return rc;
	struct rte_rib_node *node = node_exact(f, side, ip, len);

	*(uint32_t *)rte_rib_get_ext(node) = generation;
	return 0;
}

static int
side_run(struct dp_fib *f, unsigned int side, struct dp_fib_op *op)
{
	struct rte_rib_node *node = node_exact(f, side, op->ip, op->len);
	struct dp_fib_route old = {0};

	if (node)
		node_describe(node, &old);
	op->had = node != NULL;
	op->old_group = old.group;
	op->old_generation = old.generation;
	if (!op->del)
		return side_put(f, side, op->ip, op->len, op->group, op->generation);
	return op->had ? rte_fib_delete(f->side[side], op->ip, op->len) : 0;
}

static void
side_undo(struct dp_fib *f, unsigned int side, const struct dp_fib_op *ops, uint32_t n)
{
	while (n-- > 0) {
		const struct dp_fib_op *op = &ops[n];
		int rc = 0;

		if (op->had)
			rc = side_put(f, side, op->ip, op->len, op->old_group, op->old_generation);
		else if (!op->del)
			rc = rte_fib_delete(f->side[side], op->ip, op->len);
		if (rc != 0) {
			spw_log(SPW_LOG_ERROR, "fib", "undo-failed", "rc=%d", rc);
			abort();
		}
	}
}

static void
count_routes(struct dp_fib *f, const struct dp_fib_op *ops, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (ops[i].del && ops[i].had)
			f->routes--;
		else if (!ops[i].del && !ops[i].had)
			f->routes++;
	}
}

int
dp_fib_apply(struct dp_fib *f, struct dp_fib_op *ops, uint32_t n, uint32_t *bad,
	     struct spw_err *err)
{
	unsigned int busy = atomic_load_explicit(&f->active, memory_order_relaxed);
	unsigned int idle = 1 - busy;

	for (uint32_t i = 0; i < n; i++) {
		int rc = side_run(f, idle, &ops[i]);

		if (rc == 0)
			continue;
		side_undo(f, idle, ops, i);
		*bad = i;
		return spw_fail(err, -ENOSPC,
				"the FIB is full at %u routes; start with a larger --max-routes "
				"(now %u)",
				f->routes, f->max_routes);
	}
	count_routes(f, ops, n);
	/* Pairs with the acquire in dp_fib_lookup(). */
	atomic_store_explicit(&f->active, idle, memory_order_release);
	rte_rcu_qsbr_synchronize(f->qsbr, RTE_QSBR_THRID_INVALID);
	for (uint32_t i = 0; i < n; i++) {
		if (side_run(f, busy, &ops[i]) == 0)
			continue;
		spw_log(SPW_LOG_ERROR, "fib", "sides-differ", "index=%u", i);
		abort();
	}
	return 0;
}
