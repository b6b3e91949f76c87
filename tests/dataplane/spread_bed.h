/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bed for the interleavings of workers: coroutines and a scheduler with a seed. What must hold
 * holds in every schedule; one that breaks it is printed by its seed, and SPW_SEED runs it again.
 */
#ifndef SPW_TESTS_DATAPLANE_SPREAD_BED_H
#define SPW_TESTS_DATAPLANE_SPREAD_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#define BED_ACTORS 4

/* Fail and name the schedule unless it holds. */
#define bed_must(what)                                                                  \
	do {                                                                            \
		if (!(what)) {                                                          \
			print_error("SPW_SEED=%llu: ", (unsigned long long)bed_seed()); \
			fail_msg("%s", #what);                                          \
		}                                                                       \
	} while (0)

/* The schedule that runs; a test counts it from 0 to bed_schedules(). */
extern unsigned int bed_at;
/* Schedules to explore: SPW_LONG=1 a hundred times as many, SPW_SEED just that one. */
unsigned int bed_schedules(void);
void bed_schedule_begin(unsigned int i);
/* What SPW_SEED has to be to run the present schedule alone. */
uint64_t bed_seed(void);
/* A number below another, by the schedule. */
uint32_t bed_chance(uint32_t below);

/* Begin an actor; it runs when the scheduler or the test lets it. */
void bed_actor_start(unsigned int self, void (*body)(unsigned int self));
/* Of an actor: let another one go on. */
void bed_give_way(void);
/* Of the test: let an actor go on until it gives way; now, or if the schedule lets it. */
void bed_resume(unsigned int self);
void bed_step(unsigned int self);
bool bed_is_over(unsigned int self);
/* Run until actors [0..n) are over. */
void bed_play(unsigned int n);

#endif
