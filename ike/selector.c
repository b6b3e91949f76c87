/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic selectors: intersection and narrowing (RFC 7296 2.9).
 *
 * A selector is a box: an address range of one family, a protocol (0 = any), a port range. Two
 * boxes meet in a box, so narrowing a peer's list to ours is the set of all meets. With
 * any-to-any on one side the result is the other side's list, which is how a superset from a peer
 * that re-sends its configured selectors at a rekey comes out right. OPAQUE ports (low above
 * high) and inverted ranges meet nothing. Pure.
 */
#include <string.h>

#include "ike/rules.h"

static bool
proper(const struct spw_selector *s)
{
	return s->port_low <= s->port_high && s->low.family == s->high.family &&
	       spw_addr_compare(&s->low, &s->high) <= 0;
}

bool
ike_selector_meet(const struct spw_selector *a, const struct spw_selector *b,
		  struct spw_selector *out)
{
	struct spw_selector m;

	if (!proper(a) || !proper(b) || a->low.family != b->low.family)
		return false;
	if (a->protocol != 0 && b->protocol != 0 && a->protocol != b->protocol)
		return false;
	memset(&m, 0, sizeof(m));
	m.protocol = a->protocol ? a->protocol : b->protocol;
	m.low = spw_addr_compare(&a->low, &b->low) >= 0 ? a->low : b->low;
	m.high = spw_addr_compare(&a->high, &b->high) <= 0 ? a->high : b->high;
	m.port_low = a->port_low > b->port_low ? a->port_low : b->port_low;
	m.port_high = a->port_high < b->port_high ? a->port_high : b->port_high;
	if (!proper(&m))
		return false;
	*out = m;
	return true;
}

bool
ike_selector_covers(const struct spw_selector *outer, const struct spw_selector *inner)
{
	if (!proper(outer) || !proper(inner) || outer->low.family != inner->low.family)
		return false;
	return (outer->protocol == 0 || outer->protocol == inner->protocol) &&
	       spw_addr_compare(&outer->low, &inner->low) <= 0 &&
	       spw_addr_compare(&outer->high, &inner->high) >= 0 &&
	       outer->port_low <= inner->port_low && outer->port_high >= inner->port_high;
}

/* Add a box to the list unless one there covers it; drop those it covers. */
static unsigned int
add_selector(struct spw_selector *list, unsigned int n, const struct spw_selector *s)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < n; i++)
		if (ike_selector_covers(&list[i], s))
			return n;
	for (unsigned int i = 0; i < n; i++)
		if (!ike_selector_covers(s, &list[i]))
			list[kept++] = list[i];
	if (kept < SPW_SA_SELECTORS)
		list[kept++] = *s;
	return kept;
}

unsigned int
ike_selector_narrow(const struct spw_selector *own, unsigned int n_own,
		    const struct spw_selector *peer, unsigned int n_peer,
		    struct spw_selector out[SPW_SA_SELECTORS])
{
	struct spw_selector m;
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_peer; i++)
		for (unsigned int j = 0; j < n_own; j++)
			if (ike_selector_meet(&peer[i], &own[j], &m))
				n = add_selector(out, n, &m);
	return n;
}

bool
ike_selector_subset(const struct spw_selector *offer, unsigned int n_offer,
		    const struct spw_selector *answer, unsigned int n_answer)
{
	if (n_answer == 0 || n_answer > SPW_SA_SELECTORS)
		return false;
	for (unsigned int i = 0; i < n_answer; i++) {
		bool in = false;

		for (unsigned int j = 0; j < n_offer && !in; j++)
			in = ike_selector_covers(&offer[j], &answer[i]);
		if (!in)
			return false;
	}
	return true;
}
