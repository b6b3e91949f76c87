/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Damping of flaps: a penalty that doubles.
 *
 * Wait-to-restore alone lets something that flaps a little slower than the wait move the traffic
 * for ever. So each loss counts, the wait doubles with each one that still counts, up to a
 * maximum, and a quiet time takes one loss after the other away again. The wait is that of the
 * moment of the return and does not shrink while it runs. Eight bytes, because each route has one
 * beside each path. No clock, no memory.
 */
#include "control/damping.h"

#include "lib/spillway.h"

/* Beyond this many losses nothing changes: 2^31 s outlast any maximum. */
#define LOSSES_MAX 32

static uint32_t
seconds(uint64_t ns)
{
	return (uint32_t)(ns / SPW_NS_PER_S);
}

uint32_t
ctl_damping_losses(const struct ctl_damping *d, uint64_t at_ns)
{
	uint32_t at_s = seconds(at_ns);
	uint32_t quiet = at_s > d->last_s ? (at_s - d->last_s) / CTL_DAMPING_QUIET_S : 0;

	return d->losses > quiet ? d->losses - quiet : 0;
}

void
ctl_damping_lose(struct ctl_damping *d, uint64_t now_ns)
{
	uint32_t losses = ctl_damping_losses(d, now_ns);

	d->losses = losses < LOSSES_MAX ? losses + 1 : LOSSES_MAX;
	d->last_s = seconds(now_ns);
}

uint32_t
ctl_damping_wait_s(const struct ctl_damping *d, uint32_t wait_s, uint32_t max_s, uint64_t at_ns)
{
	uint32_t losses = ctl_damping_losses(d, at_ns);
	uint64_t wait = wait_s;

	if (max_s <= wait_s || losses < 2)
		return wait_s;
	wait <<= losses - 1;
	return wait < max_s ? (uint32_t)wait : max_s;
}
