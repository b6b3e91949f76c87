/* SPDX-License-Identifier: BSD-3-Clause */
/* Invariants of two engines, checked at every moment. */
#ifndef SPW_TESTS_IKE_WITNESS_H
#define SPW_TESTS_IKE_WITNESS_H

#include "tests/ike/net.h"

/* How often each was looked at, to see that it was. */
struct witness_count {
	uint64_t moments, authenticated, successors;
};

/* From now on net->witness sees every call and, while net->strict is set, every change. */
void witness_new(struct net *net);
/* Before net_free(). */
struct witness_count witness_free(struct net *net);
/*
 * For the network: host i's engine was called, and maybe killed meanwhile (then only what was in
 * escrow before is real); a data plane changed.
 */
void witness_call(struct net *net, int i, bool killed);
void witness_change(struct net *net);
/* After the storm of a schedule: one of each, the same at both ends, or the test fails. */
void witness_quiet(struct net *net, uint64_t seed);
/* A number that the environment gives an explorer. */
uint64_t witness_setting(const char *name, uint64_t otherwise);

#endif
