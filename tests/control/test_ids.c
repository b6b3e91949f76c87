/* SPDX-License-Identifier: BSD-3-Clause */
/* The book of numbers: stable over restarts, also over one in the middle of a write. */
#include "control/ids.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static struct ctl_ids *
open_book(void)
{
	struct ctl_ids *ids;
	struct spw_err err = {0};

	if (ctl_ids_open(&ids, path, &err) != 0)
		fail_msg("%s", err.text);
	return ids;
}

static int
fresh(void **state)
{
	snprintf(path, sizeof(path), "/tmp/ctl-ids-%d", getpid());
	unlink(path);
	return 0;
}

static int
clean(void **state)
{
	unlink(path);
	return 0;
}

static void
the_same_key_has_the_same_number_after_a_restart(void **state)
{
	struct ctl_ids *ids = open_book();
	uint32_t er = ctl_ids_get(ids, CTL_ID_PATH, "a er0 172.16.0.2");
	uint32_t wan = ctl_ids_get(ids, CTL_ID_PATH, "a wan0 198.51.100.1");

	assert_int_not_equal(er, wan);
	assert_int_equal(ctl_ids_get(ids, CTL_ID_PATH, "a er0 172.16.0.2"), er);
	ctl_ids_close(ids);
	ids = open_book();
	assert_int_equal(ctl_ids_get(ids, CTL_ID_PATH, "a wan0 198.51.100.1"), wan);
	assert_int_equal(ctl_ids_get(ids, CTL_ID_PATH, "a er0 172.16.0.2"), er);
	ctl_ids_close(ids);
}

static void
a_kill_without_close_loses_no_number(void **state)
{
	struct ctl_ids *killed = open_book(), *ids;
	uint32_t id = ctl_ids_get(killed, CTL_ID_GROUP, "v:prod|5*1");

	ids = open_book(); /* the first was never closed */
	assert_int_equal(ctl_ids_get(ids, CTL_ID_GROUP, "v:prod|5*1"), id);
	ctl_ids_close(ids);
	ctl_ids_close(killed);
}

static void
a_number_given_back_is_given_again_and_stays_free_after_a_restart(void **state)
{
	struct ctl_ids *ids = open_book();
	uint32_t first = ctl_ids_get(ids, CTL_ID_IFACE, "lan0");

	assert_int_equal(first, 1); /* numbers of interfaces start at 1 */
	ctl_ids_get(ids, CTL_ID_IFACE, "er0");
	ctl_ids_put(ids, CTL_ID_IFACE, "lan0");
	ctl_ids_close(ids);
	ids = open_book();
	assert_int_equal(ctl_ids_get(ids, CTL_ID_IFACE, "wan0"), first);
	assert_int_equal(ctl_ids_get(ids, CTL_ID_IFACE, "er0"), 2);
	ctl_ids_close(ids);
}

static void
a_torn_last_line_is_left_out(void **state)
{
	struct ctl_ids *ids = open_book();
	uint32_t id = ctl_ids_get(ids, CTL_ID_TUNNEL, "azure-a");
	FILE *f;

	ctl_ids_close(ids);
	f = fopen(path, "a");
	fputs("+ tunnel 7 azu", f);
	fclose(f);
	ids = open_book();
	assert_int_equal(ctl_ids_get(ids, CTL_ID_TUNNEL, "azure-a"), id);
	assert_int_equal(ctl_ids_get(ids, CTL_ID_TUNNEL, "azure-b"), 1);
	ctl_ids_close(ids);
}

static void
a_full_class_says_so(void **state)
{
	struct ctl_ids *ids = open_book();
	char key[16];

	for (unsigned int i = 0; i < 64; i++) {
		snprintf(key, sizeof(key), "port%u", i);
		assert_int_equal(ctl_ids_get(ids, CTL_ID_PORT, key), i);
	}
	assert_int_equal(ctl_ids_get(ids, CTL_ID_PORT, "one more"), CTL_ID_NONE);
	ctl_ids_close(ids);
}

/* A full file system takes a part of a line: what is written when there is room again counts. */
static void
a_line_that_was_cut_short_swallows_no_other(void **state)
{
	struct ctl_ids *ids = open_book();
	uint32_t er = ctl_ids_get(ids, CTL_ID_IFACE, "er0"), wan;
	struct rlimit room = {.rlim_max = RLIM_INFINITY};
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	room.rlim_cur = (rlim_t)st.st_size + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
	assert_int_equal(ctl_ids_get(ids, CTL_ID_IFACE, "lan0"), CTL_ID_NONE);
	room.rlim_cur = RLIM_INFINITY;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
	wan = ctl_ids_get(ids, CTL_ID_IFACE, "wan0");
	assert_int_not_equal(wan, CTL_ID_NONE);
	ctl_ids_close(ids);
	ids = open_book();
	assert_int_equal(ctl_ids_get(ids, CTL_ID_IFACE, "er0"), er);
	assert_int_not_equal(ctl_ids_get(ids, CTL_ID_IFACE, "another"), wan);
	assert_int_equal(ctl_ids_get(ids, CTL_ID_IFACE, "wan0"), wan);
	ctl_ids_close(ids);
}

/* Else the file had the number twice, and the next start would believe the older line. */
static void
a_return_that_could_not_be_written_takes_no_number_from_the_next(void **state)
{
	struct ctl_ids *ids = open_book();
	uint32_t er = ctl_ids_get(ids, CTL_ID_IFACE, "er0"), lan;
	struct rlimit room = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	char beside[80];

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
	ctl_ids_put(ids, CTL_ID_IFACE, "er0");
	ctl_ids_set_fact(ids, "operator:prod", "lockout 0");
	lan = ctl_ids_get(ids, CTL_ID_IFACE, "lan0");
	room.rlim_cur = RLIM_INFINITY;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
	signal(SIGXFSZ, before);
	assert_int_equal(lan, CTL_ID_NONE);
	snprintf(beside, sizeof(beside), "%s.new", path);
	assert_int_equal(access(beside, F_OK), -1);
	assert_int_equal(ctl_ids_get(ids, CTL_ID_IFACE, "lan0"), er);
	ctl_ids_close(ids);
	ids = open_book();
	assert_int_equal(ctl_ids_get(ids, CTL_ID_IFACE, "lan0"), er);
	assert_int_not_equal(ctl_ids_get(ids, CTL_ID_IFACE, "er0"), er);
	assert_string_equal(ctl_ids_get_fact(ids, "operator:prod"), "lockout 0");
	ctl_ids_close(ids);
}

static void
generations_only_grow(void **state)
{
	struct ctl_ids *ids = open_book();
	uint32_t a = ctl_ids_next_generation(ids), b = ctl_ids_next_generation(ids);

	assert_int_not_equal(a, 0);
	assert_true(b > a);
	ctl_ids_close(ids);
	ids = open_book();
	assert_true(ctl_ids_next_generation(ids) > b);
	ctl_ids_close(ids);
}

static void
facts_are_kept(void **state)
{
	struct ctl_ids *ids = open_book();

	assert_string_equal(ctl_ids_get_fact(ids, "operator:prod"), "");
	ctl_ids_set_fact(ids, "operator:prod", "lockout 0");
	ctl_ids_set_fact(ids, "operator:prod", "tunnel 0");
	ctl_ids_close(ids);
	ids = open_book();
	assert_string_equal(ctl_ids_get_fact(ids, "operator:prod"), "tunnel 0");
	ctl_ids_close(ids);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_key_has_the_same_number_after_a_restart,
						fresh, clean),
		cmocka_unit_test_setup_teardown(a_kill_without_close_loses_no_number, fresh, clean),
		cmocka_unit_test_setup_teardown(
			a_number_given_back_is_given_again_and_stays_free_after_a_restart, fresh,
			clean),
		cmocka_unit_test_setup_teardown(a_torn_last_line_is_left_out, fresh, clean),
		cmocka_unit_test_setup_teardown(a_full_class_says_so, fresh, clean),
		cmocka_unit_test_setup_teardown(a_line_that_was_cut_short_swallows_no_other, fresh,
						clean),
		cmocka_unit_test_setup_teardown(
			a_return_that_could_not_be_written_takes_no_number_from_the_next, fresh,
			clean),
		cmocka_unit_test_setup_teardown(generations_only_grow, fresh, clean),
		cmocka_unit_test_setup_teardown(facts_are_kept, fresh, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
