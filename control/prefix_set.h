/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: a set of prefixes of both families in little memory (8 or 20 bytes each). */
#ifndef SPW_CONTROL_PREFIX_SET_H
#define SPW_CONTROL_PREFIX_SET_H

#include "lib/spillway.h"

struct ctl_prefix_set {
	uint64_t *v4; /* open addressing; 0 = free */
	struct ctl_prefix6 *v6;
	size_t n4, n6, slots4, slots6; /* slots are powers of two, or 0 */
	uint32_t n_by_len4[33], n_by_len6[129];
};

/* A zeroed set is empty. Free what it holds; then it is empty again. */
void ctl_prefix_set_clear(struct ctl_prefix_set *set);
/* Masked prefixes. true when it was not there (and memory sufficed). */
bool ctl_prefix_set_add(struct ctl_prefix_set *set, const struct spw_prefix *prefix);
/* true when it was there. */
bool ctl_prefix_set_del(struct ctl_prefix_set *set, const struct spw_prefix *prefix);
bool ctl_prefix_set_has(const struct ctl_prefix_set *set, const struct spw_prefix *prefix);
size_t ctl_prefix_set_count(const struct ctl_prefix_set *set);
/* Is there one that covers, equals or lies in this prefix? The last walks the family. */
bool ctl_prefix_set_touches(const struct ctl_prefix_set *set, const struct spw_prefix *prefix);
/* Visit all. The set must not change meanwhile. */
void ctl_prefix_set_each(const struct ctl_prefix_set *set,
			 void (*visit)(void *ctx, const struct spw_prefix *prefix), void *ctx);

#endif
