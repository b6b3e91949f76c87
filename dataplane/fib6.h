/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: IPv6 longest-prefix match whose leaf is the index of a path group. */
#ifndef SPW_DATAPLANE_FIB6_H
#define SPW_DATAPLANE_FIB6_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/left_right.h"
#include "lib/spillway.h"

#define DP_FIB6_GROUP_MAX 0x7ffffffdu

struct dp_fib6 {
	struct dp_lr lr; /* of struct dp_trie */
};

struct dp_trie;

/*
 * Make the FIB. Memory is reserved for `max_routes` and touched as routes come.
 * @max_routes  prefixes that must fit
 * @qsbr        workers report quiescence here
 * 0 or -errno with a sentence. API thread.
 */
int dp_fib6_new(struct dp_fib6 **fib, uint32_t max_routes, struct rte_rcu_qsbr *qsbr,
		struct spw_err *err) __attribute__((warn_unused_result));
/* NULL is fine. No worker may read any more. */
void dp_fib6_free(struct dp_fib6 *fib);

/* dp_lr_apply() for this family; groups are at most DP_FIB6_GROUP_MAX. */
static inline int __attribute__((warn_unused_result))
dp_fib6_apply(struct dp_fib6 *fib, struct dp_fib_op *ops, uint32_t n, uint32_t *bad,
	      struct spw_err *err)
{
	return dp_lr_apply(&fib->lr, ops, n, bad, err);
}

/* The route with exactly this prefix. API thread. */
bool dp_fib6_get(const struct dp_fib6 *fib, const uint8_t ip[16], uint8_t len,
		 struct dp_fib_route *out);
/* The route that an address takes. API thread. */
bool dp_fib6_match(const struct dp_fib6 *fib, const uint8_t ip[16], struct dp_fib_route *out);
/* Note a newer generation of a route that stays as it is. API thread. */
void dp_fib6_touch(struct dp_fib6 *fib, const uint8_t ip[16], uint8_t len, uint32_t generation);
/* Call `fn` for every route, in no promised order; `fn` must not change the FIB. API thread. */
void dp_fib6_walk(const struct dp_fib6 *fib,
		  void (*fn)(void *arg, const struct dp_fib_route *route), void *arg);
/* Bytes that the routes of both sides take now. API thread. */
uint64_t dp_fib6_bytes(const struct dp_fib6 *fib);

/* Leaves of `n` addresses in one table; of dp_fib6_lookup(). */
void dp_trie_lookup(const struct dp_trie *t, uint8_t ips[][16], uint64_t *leaves, unsigned int n);

/* Leaves of `n` addresses; 0 = no route. Worker thread, between quiescent states. */
static inline void
dp_fib6_lookup(const struct dp_fib6 *fib, uint8_t ips[][16], uint64_t *leaves, unsigned int n)
{
	dp_trie_lookup(dp_lr_side(&fib->lr), ips, leaves, n);
}

#endif
