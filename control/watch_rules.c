/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of watching, without state of their own: when a BFD session is a fault (RFC 5880), when
 * probes condemn a path, what a histogram of round trips says.
 *
 * A probe asks for more than its path: the target must live and the answer find its way. So probes
 * never condemn the last path that stands, and not when every path falls silent together. The time
 * rule keeps the two apart while the losses come in: if the target died, no path has an answer to a
 * packet that left after the first loss.
 */
#include "control/watch_rules.h"

void
ctl_bfd_remember(struct ctl_bfd_memory *m, enum spw_bfd_state state, bool peer_admin)
{
	if (state == SPW_BFD_UP)
		*m = (struct ctl_bfd_memory){.was_up = true};
	else if (peer_admin || state == SPW_BFD_ADMIN_DOWN)
		*m = (struct ctl_bfd_memory){0};
	else
		m->fault = m->was_up;
}

bool
ctl_probed_is_better(const struct ctl_probed *other, const struct ctl_probed *lost)
{
	/* The first lost packet left one interval after the last answered one; half of one more
	 * covers paths of different length. */
	uint64_t first_loss = lost->last_ok_ns + lost->interval_ns + lost->interval_ns / 2;

	if (other->n == 0)
		return true;
	if (other->up == 0 || other->last_ok_ns == 0)
		return false;
	return lost->last_ok_ns == 0 || other->last_ok_ns > first_loss;
}

static bool
is_excused(const struct ctl_probed_family *f)
{
	return f->probed && f->was_up && !f->better;
}

/* Once answered here: what never was loses nothing. */
static bool
has_nowhere(const struct ctl_probed_family *f)
{
	return f->probed && f->was_up && !f->stands;
}

void
ctl_probed_families(const struct ctl_probed_family *four, const struct ctl_probed_family *six,
		    bool *stands, bool *better)
{
	*stands = ((four->probed && four->stands) || (six->probed && six->stands)) &&
		  !has_nowhere(four) && !has_nowhere(six);
	*better = *stands && (four->better || six->better) && !is_excused(four) && !is_excused(six);
}

bool
ctl_probed_condemn(bool had, const struct ctl_probed *p, bool better, bool stands)
{
	if (p->n == 0 || p->up > 0)
		return false;
	return had ? stands : p->down == p->n && better;
}

double
ctl_rtt_quantile(const uint64_t bucket[SPW_DP_RTT_BUCKETS], double q)
{
	uint64_t n = 0;
	double below = 0, rank;

	for (unsigned int i = 0; i < SPW_DP_RTT_BUCKETS; i++)
		n += bucket[i];
	if (n == 0)
		return -1;
	rank = q * (double)n;
	for (unsigned int i = 0; i < SPW_DP_RTT_BUCKETS; i++) {
		double low = i ? (double)(UINT64_C(1) << i) : 0;
		double high = (double)(UINT64_C(2) << i), in = (double)bucket[i];

		if (in > 0 && below + in >= rank)
			return low + (high - low) * (rank > below ? (rank - below) / in : 0);
		below += in;
	}
	return (double)(UINT64_C(2) << (SPW_DP_RTT_BUCKETS - 1));
}
