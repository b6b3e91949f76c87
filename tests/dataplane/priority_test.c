/* SPDX-License-Identifier: BSD-3-Clause */
/* The priority of a session follows that of the process which leads it; root alone may raise one.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/priority.h"

/* No priorities, and fit an exit status. */
#define NO_GROUP 50
#define BROKEN	 51

/* What the session has, `/autogroup-9 nice -5`; NO_GROUP where the kernel does not group sessions:
 * the file is empty then, or there is none.
 */
static int
of_session(void)
{
	FILE *f = fopen("/proc/self/autogroup", "re");
	char text[64];
	int nice = NO_GROUP;

	if (!f)
		return NO_GROUP;
	if (fgets(text, sizeof(text), f) && sscanf(text, "%*s nice %d", &nice) != 1)
		nice = BROKEN;
	fclose(f);
	return nice;
}

struct start {
	bool leads; /* the process is its session's first */
	int nice;
	bool hidden; /* as on a kernel that does not group sessions */
};

/* For this process alone: an empty file, that would take what is written to it. */
static bool
hide_groups(void)
{
	int fd;

	if (access("/proc/self/autogroup", F_OK) != 0)
		return true;
	if (syscall(SYS_unshare, CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/tmp", "tmpfs", 0, NULL) != 0)
		return false;
	fd = open("/tmp/autogroup", O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd >= 0 && close(fd) == 0 &&
	       mount("/tmp/autogroup", "/proc/self/autogroup", NULL, MS_BIND, NULL) == 0;
}

/* In a session of its own: what that has in the end. */
static int
kept(const struct start *s)
{
	if (setsid() < 0 || setpriority(PRIO_PROCESS, 0, s->nice) != 0 ||
	    (s->hidden && !hide_groups()))
		return BROKEN;
	if (s->leads)
		return dp_priority_keep() == 0 ? of_session() : BROKEN;
	pid_t child = fork(); /* of the same session */
	int status = 0;

	if (child == 0)
		_exit(dp_priority_keep() == 0 ? 0 : 1);
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		return BROKEN;
	return of_session();
}

static int
session_of_child(struct start s)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit((unsigned char)kept(&s));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (int8_t)WEXITSTATUS(status);
}

/* What a session has whose priority nobody raised: 0, or none on a kernel without groups. */
static int
untouched(void)
{
	int nice = session_of_child((struct start){.leads = true, .nice = 0});

	assert_true(nice == 0 || nice == NO_GROUP);
	return nice;
}

static void
only_who_leads_a_session_raises_it(void **state)
{
	int none = untouched(), raised = none == NO_GROUP ? NO_GROUP : -5;

	assert_int_equal(session_of_child((struct start){.leads = true, .nice = -5}), raised);
	assert_int_equal(session_of_child((struct start){.leads = false, .nice = -5}), none);
	assert_int_equal(session_of_child((struct start){.leads = true, .nice = 7}), none);
}

static void
where_sessions_are_not_grouped_nothing_is_to_do(void **state)
{
	struct start s = {.leads = true, .nice = -5, .hidden = true};

	assert_int_equal(session_of_child(s), NO_GROUP);
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
		cmocka_unit_test(where_sessions_are_not_grouped_nothing_is_to_do),
		cmocka_unit_test(short_turns_leave_policy_and_priority_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
