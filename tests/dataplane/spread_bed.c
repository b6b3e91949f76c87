/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers as coroutines of one thread, which give way where dp_spread_point() stands in the code
 * and where a test says so. The scheduler chooses by its seed who goes on, and lets one stand still
 * for long now and then.
 */
#include "tests/dataplane/spread_bed.h"

#include <stdlib.h>
#include <ucontext.h>

#include "dataplane/spread.h"

#define STACK	 (64 << 10)
#define SCHEDULE 300 /* in the short form */

unsigned int bed_at;
static uint64_t seed, state;

uint32_t
bed_chance(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % below;
}

/* The first seed is chosen with it. */
unsigned int
bed_schedules(void)
{
	const char *chosen = getenv("SPW_SEED");

	seed = chosen != NULL ? strtoull(chosen, NULL, 0) : 1;
	if (chosen != NULL)
		return 1;
	return getenv("SPW_LONG") != NULL ? 100 * SCHEDULE : SCHEDULE;
}

void
bed_schedule_begin(unsigned int i)
{
	state = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

uint64_t
bed_seed(void)
{
	return seed + bed_at;
}

struct actor {
	ucontext_t context;
	void (*body)(unsigned int self);
	unsigned int still; /* steps to stand still */
	bool over;
};

static struct actor actor[BED_ACTORS];
static char stacks[BED_ACTORS][STACK] __attribute__((aligned(64)));
static ucontext_t scheduler;
static int running = -1;

void
bed_give_way(void)
{
	if (running >= 0)
		swapcontext(&actor[running].context, &scheduler);
}

void
dp_spread_point(void)
{
	if (running >= 0 && bed_chance(3) == 0)
		bed_give_way();
}

static void
actor_main(int self)
{
	actor[self].body((unsigned int)self);
	actor[self].over = true;
	swapcontext(&actor[self].context, &scheduler);
}

void
bed_actor_start(unsigned int self, void (*body)(unsigned int))
{
	struct actor *a = &actor[self];

	a->body = body;
	a->over = false;
	a->still = 0;
	getcontext(&a->context);
	a->context.uc_stack.ss_sp = stacks[self];
	a->context.uc_stack.ss_size = STACK;
	a->context.uc_link = &scheduler;
	makecontext(&a->context, (void (*)(void))actor_main, 1, (int)self);
}

void
bed_resume(unsigned int self)
{
	running = (int)self;
	swapcontext(&scheduler, &actor[self].context);
	running = -1;
}

bool
bed_is_over(unsigned int self)
{
	return actor[self].over;
}

void
bed_step(unsigned int self)
{
	if (actor[self].over)
		return;
	if (actor[self].still > 0) {
		actor[self].still--;
		return;
	}
	if (bed_chance(400) == 0) {
		actor[self].still = bed_chance(2000);
		return;
	}
	bed_resume(self);
}

void
bed_play(unsigned int n)
{
	for (;;) {
		bool over = true;

		for (unsigned int i = 0; i < n; i++)
			over = over && actor[i].over;
		if (over)
			return;
		bed_step(bed_chance(n));
	}
}
