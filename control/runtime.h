/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: the runtime makes the world follow the running configuration and tells
 * how it is. The configuration side (store, control.sock, commit) calls it; one thread (the event
 * loop) owns both.
 */
#ifndef SPW_CONTROL_RUNTIME_H
#define SPW_CONTROL_RUNTIME_H

#include <jansson.h>

#include "control/config.h"

struct event_base;
struct ctl_runtime;
struct ctl_plan;

struct ctl_runtime_options {
	const char *run_dir;   /* sockets of the other daemons */
	const char *state_dir; /* what must survive a restart of this process */
	const char *frr_dir;   /* vtysh socket directory of FRR, NULL = FRR's default */
	const char *iked_user; /* who ike.sock may belong to besides root; NULL = spillway-iked */
};

/* Make the runtime, connect in the background. 0 or -errno with a sentence. */
int ctl_runtime_new(struct ctl_runtime **rt, struct event_base *base,
		    const struct ctl_runtime_options *options, struct spw_err *err);
/* Stop following; leaves the world as it is (routes, twins, SAs stay). */
void ctl_runtime_free(struct ctl_runtime *rt);

/*
 * Check and prepare the change from the running configuration to `next` (borrowed until apply or
 * abandon): everything that can fail, fails here, and leaves the world as it was: files are read,
 * new ports probed, the data plane asked. 0, or -errno with one sentence that names the
 * configuration path, what is wrong and how to mend it.
 */
int ctl_runtime_prepare(struct ctl_runtime *rt, const struct ctl_config *next,
			struct ctl_plan **plan, struct spw_err *err);
/* Make it so; cannot fail. What cannot be reached now is brought up to date when it is back. Takes
 * plan. */
void ctl_runtime_apply(struct ctl_runtime *rt, struct ctl_plan *plan);
/* Undo the preparation. Takes plan. */
void ctl_runtime_abandon(struct ctl_runtime *rt, struct ctl_plan *plan);

/*
 * State for the shell as JSON (units in the key names). `what`: "version", "interfaces", "ike",
 * "ipsec-sa", "route", "neighbors", "fib", "failover", "failover-history", "failover-readiness",
 * "failover-events", "drops", "workers", "bgp", "bfd", "probes"; `arg` narrows (a name, prefix or address) or is NULL. New reference,
 * or NULL with a sentence.
 */
json_t *ctl_runtime_show(struct ctl_runtime *rt, const char *what, const char *arg,
			 struct spw_err *err);

/* Called once, when a command that takes time is through. reply is borrowed. */
typedef void (*ctl_done_fn)(void *ctx, int rc, json_t *reply, const struct spw_err *err);
/*
 * Operational commands, words as in the shell: "failover switch PATH [VNET]", "failover resume
 * [VNET]", "failover lockout [VNET]", "failover test|exercise [VNET] [force] [for 10s]", "reset tunnel NAME [ike|child]",
 * "rekey tunnel NAME [ike|child]", "clear counters". done may be called before the return.
 */
void ctl_runtime_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
			 ctl_done_fn done, void *ctx);

/*
 * Whoever waits for the answer of a command (its ctx) has gone: what takes time and disturbs, a
 * drill, is ended and undone. done is still called, before the return, if it was not.
 */
void ctl_runtime_cancel(struct ctl_runtime *rt, void *ctx);

#endif
