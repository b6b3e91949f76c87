/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of prefixes: two hash tables with open addressing and linear probing, one for each family,
 * that double at three quarters. A deletion moves what follows back, so there are no tombstones and
 * a long life of announcements and withdrawals costs nothing. An IPv4 prefix is one word, never
 * zero: address, length plus one. Counts by length tell which lengths are worth a look.
 * Memory is given back only by clearing. One thread; pure otherwise.
 */
#include "control/prefix_set.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64

struct ctl_prefix6 {
	uint8_t bytes[16];
	uint8_t len_plus_one; /* 0 = free */
	uint8_t pad[3];
};

static uint64_t
mix(uint64_t h)
{
	h *= UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

static uint64_t
key4(const struct spw_prefix *p)
{
	return (uint64_t)spw_addr_get_v4(&p->addr) << 8 | (p->len + 1u);
}

static struct ctl_prefix6
key6(const struct spw_prefix *p)
{
	struct ctl_prefix6 k = {.len_plus_one = (uint8_t)(p->len + 1)};

	memcpy(k.bytes, p->addr.bytes, 16);
	return k;
}

static uint64_t
hash6(const struct ctl_prefix6 *k)
{
	return mix(spw_get_be64(k->bytes) ^ mix(spw_get_be64(k->bytes + 8) + k->len_plus_one));
}

void
ctl_prefix_set_clear(struct ctl_prefix_set *set)
{
	free(set->v4);
	free(set->v6);
	memset(set, 0, sizeof(*set));
}

/* Slot of a key, or the free one where it would go. */
static size_t
find4(const uint64_t *slots, size_t n, uint64_t key)
{
	size_t at = mix(key) & (n - 1);

	while (slots[at] != 0 && slots[at] != key)
		at = (at + 1) & (n - 1);
	return at;
}

static size_t
find6(const struct ctl_prefix6 *slots, size_t n, const struct ctl_prefix6 *key)
{
	size_t at = hash6(key) & (n - 1);

	while (slots[at].len_plus_one != 0 && memcmp(&slots[at], key, sizeof(*key)) != 0)
		at = (at + 1) & (n - 1);
	return at;
}

static bool
grow4(struct ctl_prefix_set *set)
{
	size_t n = set->slots4 ? set->slots4 * 2 : FIRST_SLOTS;
	uint64_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < set->slots4; i++)
		if (set->v4[i])
			slots[find4(slots, n, set->v4[i])] = set->v4[i];
	free(set->v4);
	set->v4 = slots;
	set->slots4 = n;
	return true;
}

static bool
grow6(struct ctl_prefix_set *set)
{
	size_t n = set->slots6 ? set->slots6 * 2 : FIRST_SLOTS;
	struct ctl_prefix6 *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < set->slots6; i++)
		if (set->v6[i].len_plus_one)
			slots[find6(slots, n, &set->v6[i])] = set->v6[i];
	free(set->v6);
	set->v6 = slots;
	set->slots6 = n;
	return true;
}

static bool
add4(struct ctl_prefix_set *set, const struct spw_prefix *p)
{
	uint64_t key = key4(p);

	if (4 * set->n4 >= 3 * set->slots4 && !grow4(set))
		return false;
	size_t at = find4(set->v4, set->slots4, key);

	if (set->v4[at] != 0)
		return false;
	set->v4[at] = key;
	set->n4++;
	set->n_by_len4[p->len]++;
	return true;
}

static bool
add6(struct ctl_prefix_set *set, const struct spw_prefix *p)
{
	struct ctl_prefix6 key = key6(p);

	if (4 * set->n6 >= 3 * set->slots6 && !grow6(set))
		return false;
	size_t at = find6(set->v6, set->slots6, &key);

	if (set->v6[at].len_plus_one != 0)
		return false;
	set->v6[at] = key;
	set->n6++;
	set->n_by_len6[p->len]++;
	return true;
}

bool
ctl_prefix_set_add(struct ctl_prefix_set *set, const struct spw_prefix *prefix)
{
	return prefix->addr.family == AF_INET6 ? add6(set, prefix) : add4(set, prefix);
}

/* Whether a key whose own slot is `home` may move from `at` back to `hole`. */
static bool
may_move(size_t home, size_t hole, size_t at, size_t mask)
{
	return ((at - home) & mask) >= ((at - hole) & mask);
}

static void
close_hole4(struct ctl_prefix_set *set, size_t hole)
{
	size_t mask = set->slots4 - 1;

	for (size_t at = (hole + 1) & mask; set->v4[at] != 0; at = (at + 1) & mask)
		if (may_move(mix(set->v4[at]) & mask, hole, at, mask)) {
			set->v4[hole] = set->v4[at];
			hole = at;
		}
	set->v4[hole] = 0;
}

static void
close_hole6(struct ctl_prefix_set *set, size_t hole)
{
	size_t mask = set->slots6 - 1;

	for (size_t at = (hole + 1) & mask; set->v6[at].len_plus_one; at = (at + 1) & mask)
		if (may_move(hash6(&set->v6[at]) & mask, hole, at, mask)) {
			set->v6[hole] = set->v6[at];
			hole = at;
		}
	memset(&set->v6[hole], 0, sizeof(set->v6[hole]));
}

bool
ctl_prefix_set_has(const struct ctl_prefix_set *set, const struct spw_prefix *prefix)
{
	if (prefix->addr.family == AF_INET6) {
		struct ctl_prefix6 key = key6(prefix);

		return set->n6 && set->v6[find6(set->v6, set->slots6, &key)].len_plus_one;
	}
	return set->n4 && set->v4[find4(set->v4, set->slots4, key4(prefix))];
}

bool
ctl_prefix_set_del(struct ctl_prefix_set *set, const struct spw_prefix *prefix)
{
	if (!ctl_prefix_set_has(set, prefix))
		return false;
	if (prefix->addr.family == AF_INET6) {
		struct ctl_prefix6 key = key6(prefix);

		close_hole6(set, find6(set->v6, set->slots6, &key));
		set->n6--;
		set->n_by_len6[prefix->len]--;
	} else {
		close_hole4(set, find4(set->v4, set->slots4, key4(prefix)));
		set->n4--;
		set->n_by_len4[prefix->len]--;
	}
	return true;
}

size_t
ctl_prefix_set_count(const struct ctl_prefix_set *set)
{
	return set->n4 + set->n6;
}

static void
each4(const struct ctl_prefix_set *set, void (*visit)(void *ctx, const struct spw_prefix *prefix),
      void *ctx)
{
	for (size_t i = 0; i < set->slots4; i++) {
		struct spw_prefix p = {.addr = spw_addr_v4((uint32_t)(set->v4[i] >> 8)),
				       .len = (uint8_t)(set->v4[i] - 1)};

		if (set->v4[i])
			visit(ctx, &p);
	}
}

static void
each6(const struct ctl_prefix_set *set, void (*visit)(void *ctx, const struct spw_prefix *prefix),
      void *ctx)
{
	for (size_t i = 0; i < set->slots6; i++) {
		struct spw_prefix p = {.addr.family = AF_INET6,
				       .len = (uint8_t)(set->v6[i].len_plus_one - 1)};

		memcpy(p.addr.bytes, set->v6[i].bytes, 16);
		if (set->v6[i].len_plus_one)
			visit(ctx, &p);
	}
}

void
ctl_prefix_set_each(const struct ctl_prefix_set *set,
		    void (*visit)(void *ctx, const struct spw_prefix *prefix), void *ctx)
{
	each4(set, visit, ctx);
	each6(set, visit, ctx);
}

struct inside {
	const struct spw_prefix *outer;
	bool found;
};

static void
note_inside(void *ctx, const struct spw_prefix *prefix)
{
	struct inside *i = ctx;

	i->found |= spw_prefix_contains(i->outer, prefix);
}

static bool
has_inside(const struct ctl_prefix_set *set, const struct spw_prefix *prefix)
{
	bool is6 = prefix->addr.family == AF_INET6;
	const uint32_t *n = is6 ? set->n_by_len6 : set->n_by_len4;
	struct inside i = {.outer = prefix};
	uint32_t longer = 0;

	for (unsigned int len = prefix->len + 1u; len <= (is6 ? 128u : 32u); len++)
		longer |= n[len];
	if (longer)
		(is6 ? each6 : each4)(set, note_inside, &i);
	return i.found;
}

bool
ctl_prefix_set_touches(const struct ctl_prefix_set *set, const struct spw_prefix *prefix)
{
	const uint32_t *n = prefix->addr.family == AF_INET6 ? set->n_by_len6 : set->n_by_len4;
	struct spw_prefix p = *prefix;

	for (int len = prefix->len; len >= 0; len--) {
		p.len = (uint8_t)len;
		struct spw_prefix masked = spw_prefix_masked(&p);

		if (n[len] && ctl_prefix_set_has(set, &masked))
			return true;
	}
	return has_inside(set, prefix);
}
