/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From candidate to running: what a commit does, what a refused one leaves alone, automatic
 * rollback, and the start from disk. The runtime is the stand-in, which notes each apply in
 * STATE/applied.
 */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/commit.h"

struct bench {
	char dir[64];
	struct event_base *base;
	struct ctl_model *model;
	struct ctl_store *store;
	struct ctl_runtime *rt;
	struct ctl_commit *commit;
};

/* Start a daemon's worth of objects on the bench's directory. */
static void
boot(struct bench *b)
{
	struct ctl_runtime_options options = {.run_dir = b->dir, .state_dir = b->dir};

	b->base = event_base_new();
	assert_int_equal(ctl_model_new(&b->model, NULL, NULL), 0);
	assert_int_equal(ctl_store_open(&b->store, b->dir, NULL), 0);
	assert_int_equal(ctl_runtime_new(&b->rt, b->base, &options, NULL), 0);
	assert_int_equal(
		ctl_commit_new(&b->commit, b->base, b->model, b->store, b->rt, b->dir, NULL), 0);
	ctl_commit_start(b->commit);
}

static void
halt(struct bench *b)
{
	ctl_commit_free(b->commit);
	ctl_runtime_free(b->rt);
	ctl_store_close(b->store);
	ctl_model_free(b->model);
	event_base_free(b->base);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	strcpy(b->dir, "/tmp/spw-commit-XXXXXX");
	if (mkdtemp(b->dir) == NULL)
		return -1;
	boot(b);
	*state = b;
	return 0;
}

static void
remove_file(const struct bench *b, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	remove(path);
}

static int
teardown(void **state)
{
	struct bench *b = *state;
	char name[40];

	halt(b);
	for (int i = 1; i < 20; i++) {
		snprintf(name, sizeof(name), "revisions/%08d.set", i);
		remove_file(b, name);
	}
	remove_file(b, "revisions/confirm");
	remove_file(b, "revisions");
	remove_file(b, "applied");
	remove_file(b, "");
	free(b);
	return 0;
}

static void
edit(struct bench *b, const char *line)
{
	struct spw_err err = {0};
	size_t bad;

	if (ctl_commit_edit(b->commit, &line, 1, false, &bad, &err) < 0)
		fail_msg("%s", err.text);
}

/* Commit; returns the return value, text of the error in err. */
static int
commit_for(struct bench *b, uint32_t confirm_s, bool check, struct spw_err *err)
{
	struct ctl_commit_request request = {.who = "test", .confirm_s = confirm_s, .check = check};
	struct ctl_commit_result result;
	int rc = ctl_commit_run(b->commit, &request, &result, err);

	if (rc == 0)
		ctl_commit_result_fini(&result);
	return rc;
}

static void
commit(struct bench *b)
{
	struct spw_err err = {0};

	if (commit_for(b, 0, false, &err) < 0)
		fail_msg("%s", err.text);
}

static const char *
applied(const struct bench *b)
{
	static char text[512];
	char path[128];
	FILE *in;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/applied", b->dir);
	in = fopen(path, "r");
	if (in) {
		n = fread(text, 1, sizeof(text) - 1, in);
		fclose(in);
	}
	text[n] = '\0';
	return text;
}

static void
run_loop_ms(struct bench *b, int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(b->base, &tv);
	event_base_dispatch(b->base);
}

static void
commit_stores_and_applies_once(void **state)
{
	struct bench *b = *state;

	edit(b, "set system host-name one");
	assert_true(ctl_commit_is_dirty(b->commit));
	assert_string_equal(applied(b), "");
	commit(b);
	assert_string_equal(applied(b), "one 0\n");
	assert_int_equal(ctl_commit_revision(b->commit), 1);
	assert_false(ctl_commit_is_dirty(b->commit));
	commit(b);
	assert_string_equal(applied(b), "one 0\n");
	assert_int_equal(ctl_commit_revision(b->commit), 1);
	assert_string_equal(ctl_commit_host_name(b->commit), "one");
}

static void
refused_commits_leave_everything(void **state)
{
	static const char *const bad[] = {
		"set system host-name refused",		    /* by the runtime */
		"set interfaces x role lan",		    /* by the model */
		"set tunnel t local-address 1.2.3.4",	    /* mandatory values missing */
		"set vnet v prefix 10.0.0.0/8 tunnel nope", /* leafref */
	};
	struct bench *b = *state;

	edit(b, "set system host-name one");
	commit(b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct spw_err err = {0};

		edit(b, bad[i]);
		assert_true(commit_for(b, 0, false, &err) < 0);
		assert_true(err.text[0] && strchr(err.text, '\n') == NULL);
		assert_string_equal(applied(b), "one 0\n");
		assert_int_equal(ctl_commit_revision(b->commit), 1);
		assert_true(ctl_commit_is_dirty(b->commit));
		assert_int_equal(ctl_commit_rollback(b->commit, 0, &err), 0);
		assert_false(ctl_commit_is_dirty(b->commit));
	}
}

static void
check_changes_nothing(void **state)
{
	struct bench *b = *state;
	struct spw_err err = {0};

	edit(b, "set system host-name one");
	assert_int_equal(commit_for(b, 0, true, &err), 0);
	assert_string_equal(applied(b), "");
	assert_int_equal(ctl_commit_revision(b->commit), 0);
	edit(b, "set system host-name refused");
	assert_int_not_equal(commit_for(b, 0, true, &err), 0);
}

static void
edits_are_atomic(void **state)
{
	const char *lines[] = {"set system host-name two", "set vnet a prefix 10.0.0.0/8",
			       "set vnet b prefix nonsense"};
	struct bench *b = *state;
	struct spw_err err = {0};
	size_t bad = 0;

	assert_true(ctl_commit_edit(b->commit, lines, 3, false, &bad, &err) < 0);
	assert_int_equal(bad, 2);
	assert_false(ctl_commit_is_dirty(b->commit));
	assert_int_equal(ctl_commit_edit(b->commit, lines, 2, false, &bad, &err), 0);
	assert_true(ctl_commit_is_dirty(b->commit));
	assert_int_equal(ctl_commit_edit(b->commit, NULL, 0, true, &bad, &err), 0);
	assert_false(ctl_commit_is_dirty(b->commit));
}

static void
rollback_returns_to_an_earlier_revision(void **state)
{
	struct bench *b = *state;
	struct spw_err err = {0};

	edit(b, "set system host-name one");
	commit(b);
	edit(b, "set system host-name two");
	commit(b);
	assert_int_equal(ctl_commit_rollback(b->commit, 1, &err), 0);
	commit(b);
	assert_string_equal(applied(b), "one 0\ntwo 0\none 0\n");
	assert_int_equal(ctl_commit_revision(b->commit), 3);
	assert_int_equal(ctl_commit_rollback(b->commit, 9, &err), -ENODATA);
}

static void
unconfirmed_commit_goes_back_by_itself(void **state)
{
	struct bench *b = *state;
	struct spw_err err = {0};

	edit(b, "set system host-name one");
	commit(b);
	edit(b, "set system host-name two");
	assert_int_equal(commit_for(b, 1, false, &err), 0);
	assert_true(ctl_commit_confirm_left(b->commit) > 0);
	run_loop_ms(b, 1300);
	assert_string_equal(applied(b), "one 0\ntwo 0\none 0\n");
	assert_int_equal(ctl_commit_confirm_left(b->commit), 0);
	assert_false(ctl_commit_is_dirty(b->commit));
	assert_string_equal(ctl_commit_host_name(b->commit), "one");
}

static void
confirmed_commit_stays(void **state)
{
	struct bench *b = *state;
	struct spw_err err = {0};

	edit(b, "set system host-name one");
	commit(b);
	edit(b, "set system host-name two");
	assert_int_equal(commit_for(b, 1, false, &err), 0);
	assert_int_equal(ctl_commit_confirm(b->commit, "test", &err), 0);
	run_loop_ms(b, 1300);
	assert_string_equal(applied(b), "one 0\ntwo 0\n");
	assert_int_equal(ctl_commit_confirm(b->commit, "test", &err), -ENOENT);
}

/* Two unconfirmed commits in a row go back to what stood before the first. */
static void
second_unconfirmed_commit_keeps_the_first_way_back(void **state)
{
	struct bench *b = *state;
	struct spw_err err = {0};

	edit(b, "set system host-name one");
	commit(b);
	edit(b, "set system host-name two");
	assert_int_equal(commit_for(b, 60, false, &err), 0);
	edit(b, "set system host-name three");
	assert_int_equal(commit_for(b, 1, false, &err), 0);
	run_loop_ms(b, 1300);
	assert_string_equal(ctl_commit_host_name(b->commit), "one");
}

/* Asked for once more without a change, the time begins anew: nobody has said that it stays. */
static void
unconfirmed_commit_without_changes_is_no_confirmation(void **state)
{
	struct bench *b = *state;
	struct spw_err err = {0};

	edit(b, "set system host-name one");
	commit(b);
	edit(b, "set system host-name two");
	assert_int_equal(commit_for(b, 60, false, &err), 0);
	assert_int_equal(commit_for(b, 600, false, &err), 0);
	assert_in_range(ctl_commit_confirm_left(b->commit), 590, 601);
	assert_int_equal(commit_for(b, 1, false, &err), 0);
	halt(b);
	boot(b);
	run_loop_ms(b, 2300);
	assert_string_equal(ctl_commit_host_name(b->commit), "one");
	assert_int_equal(commit_for(b, 60, false, &err), 0); /* nothing waits: nothing to do */
	assert_int_equal(ctl_commit_confirm_left(b->commit), 0);
}

static void
pending_rollback_survives_a_restart(void **state)
{
	struct bench *b = *state;
	struct spw_err err = {0};

	edit(b, "set system host-name one");
	commit(b);
	edit(b, "set system host-name two");
	assert_int_equal(commit_for(b, 1, false, &err), 0);
	halt(b);
	boot(b);
	assert_string_equal(ctl_commit_host_name(b->commit), "two");
	run_loop_ms(b, 2300);
	assert_string_equal(ctl_commit_host_name(b->commit), "one");
	assert_string_equal(applied(b), "one 0\ntwo 0\ntwo 0\none 0\n");
}

static void
start_applies_the_last_good_revision(void **state)
{
	struct bench *b = *state;
	char path[128];

	edit(b, "set system host-name one");
	commit(b);
	edit(b, "set system host-name two");
	commit(b);
	halt(b);
	snprintf(path, sizeof(path), "%s/revisions/00000002.set", b->dir);
	assert_int_equal(truncate(path, 60), 0);
	boot(b);
	assert_string_equal(applied(b), "one 0\ntwo 0\none 0\n");
	assert_int_equal(ctl_commit_revision(b->commit), 1);
	assert_false(ctl_commit_is_dirty(b->commit));
}

/* A revision the runtime does not take at start (its peer is down) is tried again. */
static void
start_retries_while_the_runtime_refuses(void **state)
{
	struct bench *b = *state;
	struct ctl_lines lines = {0};
	struct ctl_revision info = {.who = "test"};

	ctl_lines_add(&lines, "set system host-name refused");
	assert_int_equal(ctl_store_save(b->store, &lines, &info, NULL), 0);
	ctl_lines_free(&lines);
	halt(b);
	boot(b);
	assert_string_equal(applied(b), "");
	assert_string_equal(ctl_commit_host_name(b->commit), "refused");
	run_loop_ms(b, 1200);
	assert_string_equal(applied(b), "");
	edit(b, "set system host-name two");
	commit(b);
	run_loop_ms(b, 1200);
	assert_string_equal(applied(b), "two 0\n");
}

static void
touched_secret_is_handed_on_without_another_change(void **state)
{
	struct bench *b = *state;

	edit(b, "set system host-name one");
	commit(b);
	ctl_commit_touch_secrets(b->commit);
	commit(b);
	commit(b);
	assert_string_equal(applied(b), "one 0\none 0\n");
	assert_int_equal(ctl_commit_revision(b->commit), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(commit_stores_and_applies_once),
		CASE(refused_commits_leave_everything),
		CASE(check_changes_nothing),
		CASE(edits_are_atomic),
		CASE(rollback_returns_to_an_earlier_revision),
		CASE(unconfirmed_commit_goes_back_by_itself),
		CASE(confirmed_commit_stays),
		CASE(second_unconfirmed_commit_keeps_the_first_way_back),
		CASE(unconfirmed_commit_without_changes_is_no_confirmation),
		CASE(pending_rollback_survives_a_restart),
		CASE(start_applies_the_last_good_revision),
		CASE(start_retries_while_the_runtime_refuses),
		CASE(touched_secret_is_handed_on_without_another_change),
	};

	spw_log_init("test_commit", SPW_LOG_ERROR);
	if (spw_secret_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
