/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bed for routes, paths and leaves: the runtime's tables without kernel, daemons or clock. The
 * data plane is a record of what it was told, walked as a worker walks it; BMP, neighbours and the
 * time are variables. Built with --wrap for what is replaced.
 */
#ifndef SPW_TESTS_CONTROL_LEAVES_BED_H
#define SPW_TESTS_CONTROL_LEAVES_BED_H

#include "control/bmp.h"
#include "control/failover.h"
#include "control/fib.h"

#define BED_GROUPS 4096
/* The next hops over ER0 and ER1, and the keys of their paths. */
#define VIA0  "172.16.0.2"
#define VIA1  "172.16.1.2"
#define PATH0 "a er0 172.16.0.2"
#define PATH1 "a er1 172.16.1.2"

enum { ER0 = 1, ER1, LAN0, NET0, T_A, T_B, T_ER }; /* interfaces' indices in the kernel */

struct bed {
	struct ctl_runtime *rt;
	uint64_t now;
	/* The data plane. */
	struct ctl_rib fib; /* group in restored_ns */
	struct spw_dp_group *group;
	bool bit[SPW_DP_PATHS_MAX];
	uint32_t clears[SPW_DP_PATHS_MAX]; /* as bed_clears() counts them */
	bool away;
	unsigned int routes_set, routes_del, groups_set, states, first_message;
	/* The world. */
	struct spw_addr dead[4]; /* neighbours that do not answer */
	struct spw_addr withdrawn_by;
	struct spw_prefix withdrawn;
	struct spw_addr gives_not; /* neighbour that gives nothing */
	unsigned int frr_applied;
};
extern struct bed bed;

struct spw_prefix bed_prefix(const char *text);
struct spw_addr bed_addr(const char *text);
/*
 * ER0 172.16.0.1/30 (circuit "one"), ER1 172.16.1.1/30 (circuit "two"), LAN0 10.1.0.1/24, NET0
 * 198.51.100.2/24, tunnels azure-a and azure-b over NET0, azure-er over ER0; no vnet yet.
 */
void bed_start(void);
void bed_stop(void);
/* The same as setup and teardown of a test. */
int bed_setup(void **state);
int bed_teardown(void **state);
/* A process that starts anew over the same book of numbers; the data plane stays. */
void bed_restart(void);
/* A vnet of these prefixes (up to two, NULL = none); wait 30 s; tunnels azure-a and azure-b. */
struct ctl_vnet_state *bed_vnet(const char *name, const char *a, const char *b);
/* A vnet with both tunnels up, its prefix 10.100.0.0/16 learnt over both links, all settled. */
struct ctl_vnet_state *bed_settled(void);
/* After vnets were made or changed. */
void bed_commit(void);
/* Kernel routes: one or two next hops (NULL = none) over interfaces. */
void bed_route(const char *prefix, uint32_t metric, uint32_t over, const char *via, uint32_t over2,
	       const char *via2);
void bed_unroute(const char *prefix, uint32_t metric);
void bed_tunnel(const char *name, bool up);
void bed_link(uint32_t index, bool up);
void bed_neighbour(const char *addr, bool answers);
/* The data plane clears a path's bit by itself; nobody is told. */
void bed_clears(uint32_t path);
/* Evaluate and run all turns that follow. */
void bed_update(void);
/* Let time pass and the timer fire. */
void bed_sleep(double seconds);
/* What carries a packet to this address: key of the path, "drop" or "none" (no leaf). */
const char *bed_carrier(const char *addr);
/* Roles of the tiers of the leaf of exactly this prefix as letters P E T I; "-" = no leaf. */
const char *bed_tiers(const char *prefix);
/* The state of a link of a vnet as it is shown; "-" = it is not shown. */
const char *bed_link_state(const struct ctl_vnet_state *v, const char *iface);
/* A command of the shell, words separated by single spaces: its return code. */
int bed_command(const char *line);

#endif
