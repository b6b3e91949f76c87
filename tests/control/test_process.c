/* SPDX-License-Identifier: BSD-3-Clause */
/* Child processes on the event loop: each is told of once, whatever it leaves behind. */
#include "control/process.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/spillway.h"

struct told {
	unsigned int n;
	int status;
	char out[64];
	struct event_base *base;
};

static void
on_done(void *ctx, int status, const char *out, size_t len)
{
	struct told *t = ctx;

	t->n++;
	t->status = status;
	snprintf(t->out, sizeof(t->out), "%s", out);
	event_base_loopbreak(t->base);
}

/* Run a line of sh to its end, five seconds at most. */
static struct told
run(const char *line, uint32_t timeout_s)
{
	const char *const argv[] = {"/bin/sh", "-c", line, NULL};
	struct timeval most = {.tv_sec = 5};
	struct told t = {.base = event_base_new()};
	struct ctl_process *p = NULL;

	assert_int_equal(ctl_process_run(&p, t.base, argv, 1, timeout_s, on_done, &t), 0);
	event_base_loopexit(t.base, &most);
	event_base_dispatch(t.base);
	if (t.n == 0)
		ctl_process_kill(p);
	event_base_free(t.base);
	return t;
}

static void
its_output_and_its_status_are_told(void **state)
{
	struct told t = run("echo said; echo wrong >&2; exit 3", 4);

	assert_int_equal(t.n, 1);
	assert_int_equal(t.status, 3);
	assert_string_equal(t.out, "said\nwrong\n");
}

static void
one_that_does_not_end_is_killed(void **state)
{
	struct told t = run("exec sleep 30", 1);

	assert_int_equal(t.n, 1);
	assert_int_equal(t.status, 255);
}

/* The child is through; what it has started keeps the pipe. */
static void
one_whose_own_child_lives_on_is_told_when_the_time_is_over(void **state)
{
	struct told t = run("echo said; sleep 3 & exit 0", 1);

	assert_int_equal(t.n, 1);
	assert_int_equal(t.status, 255);
	assert_string_equal(t.out, "said\n");
}

static void
one_that_is_not_there_is_an_error_at_once(void **state)
{
	const char *const argv[] = {"/nowhere/program", NULL};
	struct event_base *base = event_base_new();
	struct ctl_process *p = NULL;

	assert_int_equal(ctl_process_run(&p, base, argv, 0, 1, on_done, NULL), -ENOENT);
	assert_null(p);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_output_and_its_status_are_told),
		cmocka_unit_test(one_that_does_not_end_is_killed),
		cmocka_unit_test(one_whose_own_child_lives_on_is_told_when_the_time_is_over),
		cmocka_unit_test(one_that_is_not_there_is_an_error_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
