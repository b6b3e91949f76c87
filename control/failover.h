/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: the state of each vnet's failover, its switches and an operator's requests.
 */
#ifndef SPW_CONTROL_FAILOVER_H
#define SPW_CONTROL_FAILOVER_H

#include "control/runtime_priv.h"

#define CTL_HISTORY 100

/*
 * One switch. Times:
 * detect_ms  from the last sign of life of the path that was lost to the moment this process knew,
 *            where that can be known: bfd-timeout and probe-lost, from the last packet or answer that
 *            the data plane saw. Negative = not known: a withdrawal has no sign of life to count
 *            from (BMP dates it to the second), and the kernel's link message carries no time. What
 *            is not known is null in JSON, "-" in tables and absent from the log.
 * switch_us  from the first local sign (netlink message read, link or path event of the data
 *            plane, operator's word) to the first packet on the new path as the data plane saw it
 *            leave; without traffic within a second: to the data plane's answer to the change.
 */
struct ctl_switch {
	char vnet[CTL_NAME];
	char prefix[SPW_PREFIX_TEXT]; /* a prefix that moved alone; empty = the vnet */
	char from[CTL_NAME], to[CTL_NAME];
	char cause[CTL_CAUSE];
	uint64_t wall_ns, event_ns, done_ns;
	double detect_ms, switch_us;
	unsigned int prefixes; /* that moved with it */
	uint32_t restore_hold_s;
	/* While it is open. */
	bool open, cause_known, first_packet;
	struct spw_addr next_hop; /* of the lost path */
	uint32_t new_path;
	uint64_t opened_ns;
};

int ctl_failover_new(struct ctl_runtime *rt);
void ctl_failover_free(struct ctl_runtime *rt);
/*
 * settle.c: after groups and leaves were evaluated: look at the conditions of the vnets that are dirty, end
 * the waits that have lost their sense (ExpressRoute carries already, because nothing else is up)
 * and the requests that a signal fail outranks. true when that changes groups.
 */
bool ctl_failover_settle(struct ctl_runtime *rt);
/* Note n leaves whose carrier changes from that of one group to that of another. */
void ctl_failover_note_move(struct ctl_vnet_state *vnet, unsigned int n,
			    const struct spw_prefix *first, const struct ctl_group *from,
			    const struct ctl_group *to);
/* Compare every vnet and leaf with before, open switches, set the timer of the next wait. */
void ctl_failover_evaluate(struct ctl_runtime *rt);
/* The data plane saw the first packet on another tier. */
void ctl_failover_switched(struct ctl_runtime *rt, const struct spw_dp_path_event *ev);
/* FRR was asked after a loss: cause and detection time for the open switches of a next hop. */
void ctl_failover_explain(struct ctl_runtime *rt, const struct spw_addr *next_hop,
			  const char *cause, double detect_ms);
/* Once a second: close what waited long enough, end timed requests, go on with a drill. */
void ctl_failover_tick(struct ctl_runtime *rt);

/* request.c: the commands "failover ...". */
void ctl_failover_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
			  ctl_done_fn done, void *ctx);
/* Put an operator's request in force and write it down. */
void ctl_failover_request(struct ctl_runtime *rt, struct ctl_vnet_state *vnet, enum ctl_operator op,
			  uint64_t until_ns, const char *cause);
/* End a request that something outranks, within an evaluation. */
void ctl_request_end(struct ctl_runtime *rt, struct ctl_vnet_state *vnet);
/* End a wait-to-restore that runs. */
void ctl_failover_end_wait(struct ctl_vnet_state *vnet);
/* Write down when the wait at hand ends, so that a restart of this process does not shorten it. */
void ctl_failover_write_wait(struct ctl_runtime *rt, struct ctl_vnet_state *vnet);
/* Requests and the wait that were in force before a restart of this process. */
void ctl_failover_recall(struct ctl_runtime *rt, struct ctl_vnet_state *vnet);
/* The same for what is set aside over an interface. */
void ctl_request_recall_aside(struct ctl_runtime *rt, struct ctl_iface *iface);
/*
 * They end with the vnet that goes, or the interface that goes or is no link of ExpressRoute any
 * more: a later one of that name is another.
 */
void ctl_request_forget(struct ctl_runtime *rt, struct ctl_vnet_state *vnet);
void ctl_request_forget_aside(struct ctl_runtime *rt, struct ctl_iface *iface);
/* Timed requests that are over end; the nearest end of the others, UINT64_MAX = none. */
void ctl_request_expire(struct ctl_runtime *rt, uint64_t now_ns);
uint64_t ctl_request_next(const struct ctl_runtime *rt);
/*
 * A neighbour is drained, so nothing is announced to it: an operator has set its link aside, or has
 * forced every vnet that may use its circuit away; or probes say that nothing passes over it though
 * its session stands, and Azure would go on answering into the hole.
 */
bool ctl_failover_neighbour_is_drained(const struct ctl_runtime *rt, const struct ctl_neighbor *n);
/* drill.c: "failover test" and "failover exercise". */
void ctl_drill_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
		       ctl_done_fn done, void *ctx);
void ctl_drill_tick(struct ctl_runtime *rt);
void ctl_drill_free(struct ctl_runtime *rt);

/* The newest switch of a vnet (NULL = of any) or NULL; index 0 is the newest. */
const struct ctl_switch *ctl_failover_switch(const struct ctl_runtime *rt, unsigned int index);
unsigned int ctl_failover_n_switches(const struct ctl_runtime *rt);
/* "expressroute", a tunnel's name, or "none". */
const char *ctl_failover_name(struct ctl_runtime *rt, enum ctl_pref_kind kind, uint32_t path);
/* The first tunnel of the vnet that is ready, or NULL. */
struct ctl_tun *ctl_failover_standby(struct ctl_runtime *rt, const struct ctl_vnet_state *vnet);

#endif
