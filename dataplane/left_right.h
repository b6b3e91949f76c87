/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to dataplane/: two equal routing tables, one read by the workers while the other is
 * written. Shared by the FIBs of both families.
 */
#ifndef SPW_DATAPLANE_LEFT_RIGHT_H
#define SPW_DATAPLANE_LEFT_RIGHT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

struct rte_rcu_qsbr;

/* One change. `had` and `old_*` are filled in by dp_lr_apply(). */
struct dp_fib_op {
	union {
		uint32_t ip;	 /* IPv4: host order, host bits clear */
		uint8_t ip6[16]; /* IPv6: host bits clear */
	};
	uint8_t len;
	bool del;
	bool had; /* out: the prefix was there before */
	uint32_t group;
	uint32_t generation;
	uint32_t old_group;
	uint32_t old_generation;
};

/* A route as it stands. */
struct dp_fib_route {
	union {
		uint32_t ip;
		uint8_t ip6[16];
	};
	uint8_t len;
	uint32_t group;
	uint32_t generation;
};

/* What a family's table can do; every function works on one side and never looks at the other. */
struct dp_lr_table {
	/* The route with exactly the operation's prefix. */
	bool (*get)(void *side, const struct dp_fib_op *op, struct dp_fib_route *out);
	/* Add or replace; 0 or negative when it does not fit (the side may be half changed). */
	int (*put)(void *side, const struct dp_fib_op *op);
	/* Delete what is there; 0, or negative when an invariant is broken. */
	int (*del)(void *side, const struct dp_fib_op *op);
	/*
	 * Bring `side` back to what it was before `ops[0..n)` were applied and `ops[n]` failed;
	 * `other` is an equal table that stands at that state. 0, or negative when an invariant
	 * is broken.
	 */
	int (*undo)(void *side, const void *other, const struct dp_fib_op *ops, uint32_t n);
	const char *option; /* that gives more room, for the sentence */
};

struct dp_lr {
	_Atomic unsigned int active; /* side that workers read; written by the API thread */
	void *side[2];
	const struct dp_lr_table *table;
	struct rte_rcu_qsbr *qsbr; /* workers report quiescence here */
	uint32_t max_routes;
	uint32_t routes; /* API thread */
};

/*
 * Apply a batch: all of it or nothing. Waits for workers. Workers see for every address either
 * the old or the new state of the whole batch. 0, or -ENOSPC with a sentence and `bad` set to the
 * operation that did not fit. API thread.
 */
int dp_lr_apply(struct dp_lr *lr, struct dp_fib_op *ops, uint32_t n, uint32_t *bad,
		struct spw_err *err) __attribute__((warn_unused_result));

/* The side that a worker may read until its next quiescent state. */
static inline void *
dp_lr_side(const struct dp_lr *lr)
{
	/* Pairs with the release in dp_lr_apply(). */
	return lr->side[atomic_load_explicit(&lr->active, memory_order_acquire)];
}

#endif
