/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: a token bucket in TSC time; one owner. */
#ifndef SPW_DATAPLANE_RATE_H
#define SPW_DATAPLANE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* `next` is the time at which the bucket would be full but for one token (virtual scheduling). */
struct dp_rate {
	uint64_t interval; /* ticks a token takes to come */
	uint64_t burst;	   /* ticks that may be saved up */
	uint64_t next;
};

static inline struct dp_rate
dp_rate_make(uint64_t hz, uint32_t per_s, uint32_t at_once)
{
	return (struct dp_rate){.interval = hz / per_s, .burst = hz / per_s * (at_once - 1)};
}

/* Take a token; false when there is none. */
static inline bool
dp_rate_take(struct dp_rate *r, uint64_t now)
{
	if (r->next > now + r->burst)
		return false;
	r->next = (r->next > now ? r->next : now) + r->interval;
	return true;
}

#endif
