/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times: retransmission, back-off of dials, jitter, the pace of a peer. 64-bit nanoseconds, integer
 * arithmetic that cannot overflow for any argument. Pure.
 */
#include "ike/rules.h"

uint64_t
ike_retransmit_wait(unsigned int sent, uint64_t base_ns, uint64_t cap_ns)
{
	uint64_t wait = base_ns < cap_ns ? base_ns : cap_ns;

	for (unsigned int i = 1; i < sent && wait < cap_ns; i++)
		wait += wait / 5 * 4;
	return wait < cap_ns ? wait : cap_ns;
}

uint64_t
ike_backoff_wait(unsigned int attempt)
{
	if (attempt == 0)
		return 0;
	return (attempt > 6 ? 60 : UINT64_C(1) << (attempt - 1)) * SPW_NS_PER_S;
}

bool
ike_pace_take(struct ike_pace *p, uint64_t now_ns, uint32_t per_s, uint32_t burst)
{
	uint64_t each = SPW_NS_PER_S / per_s;
	uint64_t back = now_ns > p->since_ns ? (now_ns - p->since_ns) / each : 0;

	if (back >= p->spent) {
		p->spent = 0;
		p->since_ns = now_ns;
	} else {
		p->spent -= (uint32_t)back;
		p->since_ns += back * each;
	}
	if (p->spent >= burst)
		return false;
	p->spent++;
	return true;
}

uint64_t
ike_jitter(uint64_t ns, unsigned int percent, uint64_t random)
{
	uint64_t span = ns / 100 * (percent > 100 ? 100 : percent);

	return ns - (span == 0 ? 0 : random % (span + 1));
}
