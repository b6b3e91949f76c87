/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the runtime over the real kernel share: a namespace, a directory, a double of
 * the data plane, a configuration to change. The parts run in one thread; the double in its
 * own, so dp is read under double_lock() while it runs.
 */
#ifndef SPW_TESTS_CONTROL_RUNTIME_BED_H
#define SPW_TESTS_CONTROL_RUNTIME_BED_H

#include <stdbool.h>

#include "control/runtime.h"
#include "lib/spillway.h"
#include "tests/control/double.h"
#include "tests/control/kernel_bed.h"

struct runtime_bed {
	struct event_base *base; /* NULL: it has not the rights, the tests skip */
	struct ctl_runtime *rt;
	struct double_state dp;
	struct ctl_config config; /* of the following; how many of each is the test's to set */
	struct ctl_interface interfaces[4];
	struct ctl_tunnel tunnel[2];
	struct ctl_vnet vnet;
	char dir[48], key[64]; /* run and state; a key file in it */
};
extern struct runtime_bed bed;

/*
 * Enter a network namespace of its own; make a directory with a key file, and an event loop.
 * Returns 0, too, when that needs rights this process has not: then bed.base is NULL.
 */
int bed_enter(const char *name);
/* ExpressRoute over a pair of devices (er0 over p-er, the far end is far-er), a LAN (lan0), tunnel
 * azure-a, vnet prod 10.100.0.0/16. */
void bed_one_link(void);
/* Start the double and the runtime over the configuration. */
void bed_start(void);
/* End both; remove the directory with what they leave there. Teardown of a group. */
int bed_leave(void **state);
/* Skip the test without the rights. */
void bed_need_root(void);
/* A runtime that starts with the configuration; another configuration for it. */
void bed_runtime_start(void);
void bed_commit(void);
/* Run the event loop for a time. */
void bed_turn(unsigned int ms);
/* The same until the condition holds, asked under double_lock(); false when it never did. */
bool bed_run(unsigned int ms, bool (*condition)(void));
/* Of what the double was told: the roles of the tiers of a prefix's group as letters,
 * E(xpressroute) T(unnel) P(lain) I(nternet), "-" without a leaf; a path by kind and next hop (NULL
 * = without one), or NULL. */
const char *bed_tiers(const char *text);
const struct spw_dp_path *bed_path(enum spw_dp_path_kind kind, const char *next_hop);
/* Parts of a configuration. */
struct ctl_interface bed_interface(const char *name, const char *device,
				   enum spw_dp_iface_role role, const char *address);
struct ctl_tunnel bed_tunnel(const char *name, const char *local, const char *remote);

#endif
