/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Marks: (prefix, neighbour) pairs with the time of the withdrawal. A hash table of chains finds
 * those of a prefix; all marks live equally long, so a list in order of time finds what ends next.
 * Bounded; one thread; pure otherwise.
 */
#include "control/bmp_marks.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536u

struct mark {
	struct mark *chain; /* of its bucket */
	struct mark *older, *newer;
	struct spw_prefix prefix;
	const struct ctl_bmp_neighbour *by;
	uint64_t at_ns;
};

struct ctl_bmp_marks {
	struct mark *bucket[BUCKETS];
	struct mark *oldest, *newest;
	size_t n;
};

struct ctl_bmp_marks *
ctl_bmp_marks_new(void)
{
	return calloc(1, sizeof(struct ctl_bmp_marks));
}

void
ctl_bmp_marks_free(struct ctl_bmp_marks *marks)
{
	if (!marks)
		return;
	for (struct mark *m = marks->oldest, *next; m; m = next) {
		next = m->newer;
		free(m);
	}
	free(marks);
}

static unsigned int
bucket_of(const struct spw_prefix *p)
{
	uint64_t h = spw_get_be64(p->addr.bytes) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= spw_get_be64(p->addr.bytes + 8) + p->len;
	return (unsigned int)((h * UINT64_C(0xd6e8feb86659fd93)) >> 48) % BUCKETS;
}

static void
list_append(struct ctl_bmp_marks *marks, struct mark *m)
{
	m->newer = NULL;
	m->older = marks->newest;
	*(m->older ? &m->older->newer : &marks->oldest) = m;
	marks->newest = m;
}

static void
list_remove(struct ctl_bmp_marks *marks, struct mark *m)
{
	*(m->older ? &m->older->newer : &marks->oldest) = m->newer;
	*(m->newer ? &m->newer->older : &marks->newest) = m->older;
}

static struct mark **
find(struct ctl_bmp_marks *marks, const struct spw_prefix *prefix,
     const struct ctl_bmp_neighbour *by)
{
	struct mark **at = &marks->bucket[bucket_of(prefix)];

	while (*at && !((*at)->by == by && spw_prefix_equal(&(*at)->prefix, prefix)))
		at = &(*at)->chain;
	return at;
}

bool
ctl_bmp_mark(struct ctl_bmp_marks *marks, const struct spw_prefix *prefix,
	     const struct ctl_bmp_neighbour *by, uint64_t now_ns)
{
	struct mark **at = find(marks, prefix, by), *m = *at;

	if (m) {
		list_remove(marks, m);
	} else {
		m = marks->n < CTL_BMP_MARKS ? calloc(1, sizeof(*m)) : NULL;
		if (!m)
			return false;
		m->prefix = *prefix;
		m->by = by;
		*at = m;
		marks->n++;
	}
	m->at_ns = now_ns;
	list_append(marks, m);
	return true;
}

static void
drop(struct ctl_bmp_marks *marks, struct mark **at)
{
	struct mark *m = *at;

	*at = m->chain;
	list_remove(marks, m);
	marks->n--;
	free(m);
}

bool
ctl_bmp_unmark(struct ctl_bmp_marks *marks, const struct spw_prefix *prefix,
	       const struct ctl_bmp_neighbour *by)
{
	struct mark **at = find(marks, prefix, by);

	if (!*at)
		return false;
	drop(marks, at);
	return true;
}

const struct ctl_bmp_neighbour *
ctl_bmp_marked(const struct ctl_bmp_marks *marks, const struct spw_prefix *prefix,
	       const struct ctl_bmp_neighbour *after, uint64_t now_ns)
{
	bool passed = after == NULL;

	for (const struct mark *m = marks->bucket[bucket_of(prefix)]; m; m = m->chain) {
		if (!spw_prefix_equal(&m->prefix, prefix))
			continue;
		if (passed && now_ns < m->at_ns + CTL_BMP_MARK_NS)
			return m->by;
		passed |= m->by == after;
	}
	return NULL;
}

bool
ctl_bmp_marks_expire(struct ctl_bmp_marks *marks, uint64_t now_ns, struct spw_prefix *prefix)
{
	struct mark *m = marks->oldest;

	if (!m || now_ns < m->at_ns + CTL_BMP_MARK_NS)
		return false;
	*prefix = m->prefix;
	drop(marks, find(marks, &m->prefix, m->by));
	return true;
}

uint64_t
ctl_bmp_marks_next_ns(const struct ctl_bmp_marks *marks)
{
	return marks->oldest ? marks->oldest->at_ns + CTL_BMP_MARK_NS : 0;
}

size_t
ctl_bmp_marks_count(const struct ctl_bmp_marks *marks)
{
	return marks->n;
}
