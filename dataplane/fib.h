/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: IPv4 longest-prefix match whose leaf is the index of a path group. */
#ifndef SPW_DATAPLANE_FIB_H
#define SPW_DATAPLANE_FIB_H

#include <rte_fib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

struct rte_rcu_qsbr;

struct dp_fib {
	_Atomic unsigned int active; /* side that workers read; written by the API thread */
	struct rte_fib *side[2];
	struct rte_rcu_qsbr *qsbr;
	uint32_t max_routes;
	uint32_t routes; /* API thread */
};

/* One change. `old_*` is filled in by dp_fib_apply(). */
struct dp_fib_op {
	uint32_t ip; /* host order, host bits clear */
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
	uint32_t ip;
	uint8_t len;
	uint32_t group;
	uint32_t generation;
};

/*
 * Make the FIB.
 * @max_routes  prefixes that must fit
 * @qsbr        workers report quiescence here
 * 0 or -errno with a sentence. API thread.
 */
int dp_fib_new(struct dp_fib **fib, uint32_t max_routes, struct rte_rcu_qsbr *qsbr,
	       struct spw_err *err) __attribute__((warn_unused_result));
void dp_fib_free(struct dp_fib *fib);

/*
 * Apply a batch: all of it or nothing. Waits for workers. Workers see for every address either
 * the old or the new state of the whole batch. 0, or -ENOSPC with a sentence and `bad` set to the
 * operation that did not fit. API thread.
 */
int dp_fib_apply(struct dp_fib *fib, struct dp_fib_op *ops, uint32_t n, uint32_t *bad,
		 struct spw_err *err) __attribute__((warn_unused_result));
/* The route with exactly this prefix. API thread. */
bool dp_fib_get(const struct dp_fib *fib, uint32_t ip, uint8_t len, struct dp_fib_route *out);
/* The route that an address takes. API thread. */
bool dp_fib_match(const struct dp_fib *fib, uint32_t ip, struct dp_fib_route *out);
/* Note a newer generation of a route that stays as it is. API thread. */
void dp_fib_touch(struct dp_fib *fib, uint32_t ip, uint8_t len, uint32_t generation);
/* Call `fn` for every route, in no promised order; `fn` must not change the FIB. API thread. */
void dp_fib_walk(const struct dp_fib *fib, void (*fn)(void *arg, const struct dp_fib_route *route),
		 void *arg);

/* Leaves of `n` addresses (host order); 0 = no route. Worker thread, between quiescent states. */
static inline void
dp_fib_lookup(const struct dp_fib *fib, uint32_t *ips, uint64_t *leaves, unsigned int n)
{
	/* Pairs with the release in dp_fib_apply(). */
	unsigned int side = atomic_load_explicit(&fib->active, memory_order_acquire);

	rte_fib_lookup_bulk(fib->side[side], ips, leaves, (int)n);
}

#endif
