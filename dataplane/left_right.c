/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Left-right: how a routing table changes under its readers.
 *
 * There are two equal tables. Workers read the active one. A batch is applied to the other; that
 * one becomes active in one store; after every worker was quiescent nobody reads the first any more
 * and the batch is applied there, too. So a lookup never walks a table that is being written, and
 * an address that a batch does not touch never gets a wrong leaf. Cost: twice the memory, twice the
 * writes; nothing on the packet path but one load per burst.
 *
 * A batch that does not fit is undone on the idle side before anybody saw it. The second
 * application repeats what succeeded on an equal table; should it fail all the same, an invariant
 * is broken and the process ends.
 *
 * What a table is, its family knows (struct dp_lr_table). All writing: API thread.
 */
#include "dataplane/left_right.h"

#include <errno.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>

static int
side_run(const struct dp_lr *lr, unsigned int side, struct dp_fib_op *op)
{
	struct dp_fib_route old = {0};

	op->had = lr->table->get(lr->side[side], op, &old);
	op->old_group = old.group;
	op->old_generation = old.generation;
	if (!op->del)
		return lr->table->put(lr->side[side], op);
	return op->had ? lr->table->del(lr->side[side], op) : 0;
}

static void
broken(const char *event, uint32_t index)
{
	spw_log(SPW_LOG_ERROR, "fib", event, "index=%u", index);
	abort();
}

static void
count_routes(struct dp_lr *lr, const struct dp_fib_op *ops, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (ops[i].del && ops[i].had)
			lr->routes--;
		else if (!ops[i].del && !ops[i].had)
			lr->routes++;
	}
}

int
dp_lr_apply(struct dp_lr *lr, struct dp_fib_op *ops, uint32_t n, uint32_t *bad, struct spw_err *err)
{
	unsigned int busy = atomic_load_explicit(&lr->active, memory_order_relaxed);
	unsigned int idle = 1 - busy;

	for (uint32_t i = 0; i < n; i++) {
		if (side_run(lr, idle, &ops[i]) == 0)
			continue;
		if (lr->table->undo(lr->side[idle], lr->side[busy], ops, i) != 0)
			broken("undo-failed", i);
		*bad = i;
		return spw_fail(err, -ENOSPC,
				"the FIB is full at %u routes; start with a larger %s (now %u)",
				lr->routes, lr->table->option, lr->max_routes);
	}
	count_routes(lr, ops, n);
	/* Pairs with the acquire in dp_lr_side(). */
	atomic_store_explicit(&lr->active, idle, memory_order_release);
	rte_rcu_qsbr_synchronize(lr->qsbr, RTE_QSBR_THRID_INVALID);
	for (uint32_t i = 0; i < n; i++)
		if (side_run(lr, busy, &ops[i]) != 0)
			broken("sides-differ", i);
	return 0;
}
