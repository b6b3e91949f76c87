/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IPv6 FIB: longest-prefix match, leaf = index of a path group, leaf 0 = no route.
 *
 * Two equal tries (trie.c) side by side as left_right.c describes. A batch that does not fit
 * is undone by copying the side that workers read, which stands as it was: costs time in proportion
 * to the table, needs no room, and cannot fail. The set of routes of side 0 answers questions;
 * at rest both hold the same.
 *
 * All writing and walking: API thread. dp_fib6_lookup(): workers.
 */
#include "dataplane/fib6.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/trie.h"

static void
describe(const struct dp_trie_route *r, struct dp_fib_route *out)
{
	memcpy(out->ip6, r->ip, 16);
	out->len = r->len;
	out->group = r->group;
	out->generation = r->generation;
}

static bool
table_get(void *side, const struct dp_fib_op *op, struct dp_fib_route *out)
{
	const struct dp_trie_route *r = dp_routes_find(side, op->ip6, op->len);

	if (r)
		describe(r, out);
	return r != NULL;
}

static int
table_put(void *side, const struct dp_fib_op *op)
{
	return dp_trie_put(side, op->ip6, op->len, op->group, op->generation);
}

static int
table_del(void *side, const struct dp_fib_op *op)
{
	dp_trie_del(side, op->ip6, op->len);
	return 0;
}

static int
table_undo(void *side, const void *other, const struct dp_fib_op *ops, uint32_t n)
{
	dp_trie_copy(side, other);
	return 0;
}

static const struct dp_lr_table fib6_table = {.get = table_get,
					      .put = table_put,
					      .del = table_del,
					      .undo = table_undo,
					      .option = "--max-routes6"};

int
dp_fib6_new(struct dp_fib6 **out, uint32_t max_routes, struct rte_rcu_qsbr *qsbr,
	    struct spw_err *err)
{
	struct dp_fib6 *f = calloc(1, sizeof(*f));

	if (!f)
		return spw_fail(err, -ENOMEM, "no memory for the IPv6 FIB");
	f->lr.side[0] = dp_trie_new(max_routes);
	f->lr.side[1] = dp_trie_new(max_routes);
	if (!f->lr.side[0] || !f->lr.side[1]) {
		dp_fib6_free(f);
		return spw_fail(err, -ENOMEM,
				"no memory for an IPv6 FIB of %u routes; lower --max-routes6",
				max_routes);
	}
	f->lr.table = &fib6_table;
	f->lr.qsbr = qsbr;
	f->lr.max_routes = max_routes;
	*out = f;
	return 0;
}

void
dp_fib6_free(struct dp_fib6 *f)
{
	if (!f)
		return;
	dp_trie_free(f->lr.side[0]);
	dp_trie_free(f->lr.side[1]);
	free(f);
}

bool
dp_fib6_get(const struct dp_fib6 *f, const uint8_t ip[16], uint8_t len, struct dp_fib_route *out)
{
	const struct dp_trie_route *r = dp_routes_find(f->lr.side[0], ip, len);

	if (r)
		describe(r, out);
	return r != NULL;
}

bool
dp_fib6_match(const struct dp_fib6 *f, const uint8_t ip[16], struct dp_fib_route *out)
{
	const struct dp_trie_route *r = dp_routes_cover(f->lr.side[0], ip, 0, 128);

	if (r)
		describe(r, out);
	return r != NULL;
}

void
dp_fib6_touch(struct dp_fib6 *f, const uint8_t ip[16], uint8_t len, uint32_t generation)
{
	/* Both, because an undo copies a whole side. */
	for (unsigned int i = 0; i < 2; i++) {
		struct dp_trie_route *r = dp_routes_find(f->lr.side[i], ip, len);

		if (r)
			r->generation = generation;
	}
}

void
dp_fib6_walk(const struct dp_fib6 *f, void (*fn)(void *arg, const struct dp_fib_route *route),
	     void *arg)
{
	const struct dp_trie *t = f->lr.side[0];
	struct dp_fib_route r;

	for (uint32_t i = 0; i <= t->route_mask; i++) {
		if (!t->route[i].used)
			continue;
		describe(&t->route[i], &r);
		fn(arg, &r);
	}
}

uint64_t
dp_fib6_bytes(const struct dp_fib6 *f)
{
	const struct dp_trie *t = f->lr.side[0];

	return 2 * (t->used_lines * DP_TRIE_LINE * sizeof(t->pool[0]) +
		    t->routes * 2 * sizeof(t->route[0]));
}
