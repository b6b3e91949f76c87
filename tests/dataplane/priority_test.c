/* SPDX-License-Identifier: BSD-3-Clause */
/* The priority of a session follows that of the process which leads it; root alone may raise one.
 */
#include <linux/sched/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/priority.h"

#define UNKNOWN 50 /* no priority, and fits an exit status */

/* What the session has, `/autogroup-9 nice -5`; UNKNOWN where there are no such groups. */
static int
of_session(void)
{
	FILE *f = fopen("/proc/self/autogroup", "re");
	int nice = UNKNOWN;

	if (!f)
		return UNKNOWN;
	if (fscanf(f, "%*s nice %d", &nice) != 1)
		nice = UNKNOWN;
	fclose(f);
	return nice;
}

/* Runs in a process of its own: what its session has in the end. */
static int
kept(bool leads, int nice)
{
	if (setsid() < 0 || setpriority(PRIO_PROCESS, 0, nice) != 0 || of_session() == UNKNOWN)
		return UNKNOWN;
	if (leads)
		return dp_priority_keep() == 0 ? of_session() : UNKNOWN;
	pid_t child = fork(); /* of the same session */
	int status = 0;

	if (child == 0)
		_exit(dp_priority_keep() == 0 ? 0 : 1);
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		return UNKNOWN;
	return of_session();
}

static int
session_of_child(bool leads, int nice)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit((unsigned char)kept(leads, nice));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (int8_t)WEXITSTATUS(status);
}

static void
only_who_leads_a_session_raises_it(void **state)
{
	if (geteuid() != 0 || of_session() == UNKNOWN)
		skip();
	assert_int_equal(session_of_child(true, -5), -5);
	assert_int_equal(session_of_child(false, -5), 0);
	assert_int_equal(session_of_child(true, 0), 0);
	assert_int_equal(session_of_child(true, 7), 0);
}

/* Nothing else of the thread changes. */
static void
short_turns_leave_policy_and_priority_alone(void **state)
{
	struct sched_attr before = {0}, after = {0};

	assert_int_equal(setpriority(PRIO_PROCESS, 0, 3), 0);
	assert_int_equal(syscall(SYS_sched_getattr, 0, &before, sizeof(before), 0), 0);
	assert_int_equal(dp_priority_quick(), 0);
	assert_int_equal(syscall(SYS_sched_getattr, 0, &after, sizeof(after), 0), 0);
	assert_int_equal(after.sched_policy, before.sched_policy);
	assert_int_equal(after.sched_flags, before.sched_flags);
	assert_int_equal(after.sched_nice, 3);
	if (before.sched_runtime != 0) /* the kernel tells turns: 6.12 and later */
		assert_int_equal(after.sched_runtime, 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_leads_a_session_raises_it),
		cmocka_unit_test(short_turns_leave_policy_and_priority_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
