/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: how often something was lost lately, and how long it waits for that. Pure.
 */
#ifndef SPW_CONTROL_DAMPING_H
#define SPW_CONTROL_DAMPING_H

#include <stdint.h>

/* A loss is forgotten for each time of this length without one. */
#define CTL_DAMPING_QUIET_S 600

/* Losses of one path or route; all zero: never lost. Times are seconds of CLOCK_MONOTONIC. */
struct ctl_damping {
	uint32_t losses; /* as they stood at last_s */
	uint32_t last_s; /* of the newest loss */
};

/* Losses that still count at a time. */
uint32_t ctl_damping_losses(const struct ctl_damping *d, uint64_t at_ns);
/* Note a loss. */
void ctl_damping_lose(struct ctl_damping *d, uint64_t now_ns);
/*
 * Wait-to-restore after a return: every loss that still counts beyond the first doubles it.
 * @wait_s  of one that is lost for the first time; 0 stays 0
 * @max_s   never longer than this, but never shorter than wait_s either; 0 = no damping
 * @at_ns   when it came back
 */
uint32_t ctl_damping_wait_s(const struct ctl_damping *d, uint32_t wait_s, uint32_t max_s,
			    uint64_t at_ns);

#endif
