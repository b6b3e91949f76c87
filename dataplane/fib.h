/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: IPv4 longest-prefix match whose leaf is the index of a path group. */
#ifndef SPW_DATAPLANE_FIB_H
#define SPW_DATAPLANE_FIB_H

#include <rte_fib.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/left_right.h"
#include "lib/spillway.h"

struct dp_fib {
	struct dp_lr lr; /* of struct rte_fib */
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

/* dp_lr_apply() for this family. */
static inline int __attribute__((warn_unused_result))
dp_fib_apply(struct dp_fib *fib, struct dp_fib_op *ops, uint32_t n, uint32_t *bad,
	     struct spw_err *err)
{
	return dp_lr_apply(&fib->lr, ops, n, bad, err);
}

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
	rte_fib_lookup_bulk(dp_lr_side(&fib->lr), ips, leaves, (int)n);
}

#endif
