/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FIB: IPv4 longest-prefix match, leaf = index of a path group, leaf 0 = no route.
 *
 * Two equal tables (rte_fib, DIR-24-8 with 4-byte leaves) side by side as left_right.c describes; a
 * single rte_fib does not promise right leaves while it is written. A batch that does not fit is
 * undone operation by operation, last first, which returns the very rooms that were taken. The
 * generation of each route (for sweeps after a client's restart) lives in the extension of the
 * RIB node of both sides, the same in both.
 *
 * The lookup is DPDK's default, the scalar one: with bursts of 64 its misses overlap as well as
 * those of the AVX-512 gathers (bench-scale: 2.9 against 2.8 cycles an address with one route, 7.2
 * against 7.2 with a million).
 *
 * rte_fib of 22.11 counts the second-level rows it may need, but not for a route that leads where
 * the one above it leads; deleting that route counts one down all the same. The count wraps, and
 * every further route longer than 24 bits is refused. So such routes first go in with a group that
 * no route has, which is counted, and are changed to their own on the same idle side.
 *
 * All writing and walking: API thread. dp_fib_lookup(): workers.
 */
#include "dataplane/fib.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_rib.h>
#include <stdlib.h>

#define TBL8_MIN      4096
#define NO_SUCH_GROUP 0x7ffffffe /* the last but one that a leaf can hold */

static struct rte_rib_node *
node_exact(struct rte_fib *side, uint32_t ip, uint8_t len)
{
	return rte_rib_lookup_exact(rte_fib_get_rib(side), ip, len);
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

static int
side_put(struct rte_fib *side, uint32_t ip, uint8_t len, uint32_t group, uint32_t generation)
{
	int rc = 0;

	if (len > 24 && !node_exact(side, ip, len))
		rc = rte_fib_add(side, ip, len, NO_SUCH_GROUP);
	if (rc == 0)
		rc = rte_fib_add(side, ip, len, group);
	if (rc == 0)
		*(uint32_t *)rte_rib_get_ext(node_exact(side, ip, len)) = generation;
	return rc;
}

static bool
table_get(void *side, const struct dp_fib_op *op, struct dp_fib_route *out)
{
	struct rte_rib_node *node = node_exact(side, op->ip, op->len);

	if (node)
		node_describe(node, out);
	return node != NULL;
}

static int
table_put(void *side, const struct dp_fib_op *op)
{
	return side_put(side, op->ip, op->len, op->group, op->generation);
}

static int
table_del(void *side, const struct dp_fib_op *op)
{
	return rte_fib_delete(side, op->ip, op->len);
}

static int
table_undo(void *side, const void *other, const struct dp_fib_op *ops, uint32_t n)
{
	int rc = 0;

	while (rc == 0 && n-- > 0) {
		const struct dp_fib_op *op = &ops[n];

		if (op->had)
			rc = side_put(side, op->ip, op->len, op->old_group, op->old_generation);
		else if (!op->del)
			rc = rte_fib_delete(side, op->ip, op->len);
	}
	return rc;
}

static const struct dp_lr_table fib_table = {.get = table_get,
					     .put = table_put,
					     .del = table_del,
					     .undo = table_undo,
					     .option = "--max-routes"};

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
	f->lr.side[0] = side_new("fib-a", max_routes);
	f->lr.side[1] = f->lr.side[0] ? side_new("fib-b", max_routes) : NULL;
	if (!f->lr.side[1]) {
		int rc = rte_errno ? -rte_errno : -ENOMEM;

		dp_fib_free(f);
		return spw_fail(err, rc,
				"no memory for a FIB of %u routes (%s); give more with --memory or "
				"lower --max-routes",
				max_routes, rte_strerror(-rc));
	}
	f->lr.table = &fib_table;
	f->lr.qsbr = qsbr;
	f->lr.max_routes = max_routes;
	*out = f;
	return 0;
}

void
dp_fib_free(struct dp_fib *f)
{
	if (!f)
		return;
	for (unsigned int i = 0; i < 2; i++)
		if (f->lr.side[i])
			rte_fib_free(f->lr.side[i]);
	free(f);
}

bool
dp_fib_get(const struct dp_fib *f, uint32_t ip, uint8_t len, struct dp_fib_route *out)
{
	struct rte_rib_node *node = node_exact(f->lr.side[0], ip, len);

	if (node)
		node_describe(node, out);
	return node != NULL;
}

bool
dp_fib_match(const struct dp_fib *f, uint32_t ip, struct dp_fib_route *out)
{
	struct rte_rib_node *node = rte_rib_lookup(rte_fib_get_rib(f->lr.side[0]), ip);

	if (node)
		node_describe(node, out);
	return node != NULL;
}

void
dp_fib_touch(struct dp_fib *f, uint32_t ip, uint8_t len, uint32_t generation)
{
	/* Both, because what a batch finds comes from either. */
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_rib_node *node = node_exact(f->lr.side[i], ip, len);

		if (node)
			*(uint32_t *)rte_rib_get_ext(node) = generation;
	}
}

/* rte_rib lists what lies below a prefix, the prefix itself included, but never 0/0. */
void
dp_fib_walk(const struct dp_fib *f, void (*fn)(void *arg, const struct dp_fib_route *route),
	    void *arg)
{
	struct rte_rib *rib = rte_fib_get_rib(f->lr.side[0]);
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
