/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lock of a run directory while its former holder goes: this program has a flock() of its own,
 * before which the file is removed, as the holder does while it still has the lock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/run_lock.h"

static char path[64];
static unsigned int removals; /* still to come */

int
flock(int fd, int operation)
{
	if (removals != 0) {
		removals--;
		unlink(path);
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static void
one_holds_it_and_the_next_is_refused_until_it_is_let_go(void **state)
{
	int fd = dp_run_lock(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(dp_run_lock(path), -EWOULDBLOCK);
	unlink(path);
	close(fd);
	fd = dp_run_lock(path);
	assert_true(fd >= 0);
	unlink(path);
	close(fd);
}

static void
a_lock_of_a_file_that_its_holder_removed_is_none(void **state)
{
	int fd;

	(void)state;
	removals = 3;
	fd = dp_run_lock(path);
	assert_int_equal(removals, 0);
	assert_true(fd >= 0);
	assert_int_equal(dp_run_lock(path), -EWOULDBLOCK);
	unlink(path);
	close(fd);
}

static void
where_no_file_can_be_the_reason_is_told(void **state)
{
	(void)state;
	assert_int_equal(dp_run_lock("/nowhere/at/all"), -ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_holds_it_and_the_next_is_refused_until_it_is_let_go),
		cmocka_unit_test(a_lock_of_a_file_that_its_holder_removed_is_none),
		cmocka_unit_test(where_no_file_can_be_the_reason_is_told),
	};

	snprintf(path, sizeof(path), "/tmp/spw-run-lock-%d", (int)getpid());
	return cmocka_run_group_tests_name("run-lock", tests, NULL, NULL);
}
