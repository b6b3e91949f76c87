/* SPDX-License-Identifier: BSD-3-Clause */
/* Committed configurations on disk: round trip, damage, limits; and files with secrets. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/secret_file.h"
#include "control/store.h"

struct place {
	char dir[64];
	struct ctl_store *store;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct spw_err err = {0};

	strcpy(p->dir, "/tmp/spw-store-XXXXXX");
	if (mkdtemp(p->dir) == NULL || ctl_store_open(&p->store, p->dir, &err) < 0)
		return -1;
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;
	char command[128];

	ctl_store_close(p->store);
	for (int i = 1; i < 100; i++) {
		snprintf(command, sizeof(command), "%s/revisions/%08d.set", p->dir, i);
		unlink(command);
	}
	snprintf(command, sizeof(command), "%s/revisions/confirm", p->dir);
	unlink(command);
	snprintf(command, sizeof(command), "%s/revisions", p->dir);
	assert_int_equal(rmdir(command), 0); /* nothing else was left there */
	snprintf(command, sizeof(command), "%s/key", p->dir);
	unlink(command);
	snprintf(command, sizeof(command), "%s/link", p->dir);
	unlink(command);
	rmdir(p->dir);
	free(p);
	return 0;
}

static uint64_t
save(struct ctl_store *store, const char *line)
{
	struct ctl_lines lines = {0};
	struct ctl_revision info = {.who = "root uid 0", .comment = "a\nb"};
	struct spw_err err = {0};

	ctl_lines_add(&lines, "set system host-name gw");
	ctl_lines_add(&lines, "%s", line);
	if (ctl_store_save(store, &lines, &info, &err) < 0)
		fail_msg("%s", err.text);
	ctl_lines_free(&lines);
	return info.number;
}

/* Damaged revisions are logged, here by the thousand: look away meanwhile. */
static int
load_quietly(struct ctl_store *store, unsigned int back, struct ctl_lines *lines,
	     struct ctl_revision *info, struct spw_err *err)
{
	int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC), rc;

	dup2(null, STDERR_FILENO);
	rc = ctl_store_load(store, back, lines, info, err);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(null);
	return rc;
}

static void
assert_newest(struct ctl_store *store, unsigned int back, const char *line, uint64_t number)
{
	struct ctl_lines lines = {0};
	struct ctl_revision info;
	struct spw_err err = {0};

	if (load_quietly(store, back, &lines, &info, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(lines.n, 2);
	assert_string_equal(lines.line[1], line);
	assert_int_equal(info.number, number);
	assert_string_equal(info.who, "root uid 0");
	assert_string_equal(info.comment, "a b");
	assert_int_equal(info.at[4], '-');
	ctl_lines_free(&lines);
}

static void
path_of(const struct place *p, unsigned int number, char out[128])
{
	snprintf(out, 128, "%s/revisions/%08u.set", p->dir, number);
}

static void
revisions_round_trip_and_count_back(void **state)
{
	struct place *p = *state;
	struct ctl_revision list[10];
	struct spw_err err = {0};
	struct ctl_revision info;

	assert_int_equal(ctl_store_load(p->store, 0, NULL, &info, &err), -ENODATA);
	assert_int_equal(save(p->store, "set vnet a"), 1);
	assert_int_equal(save(p->store, "set vnet b"), 2);
	assert_newest(p->store, 0, "set vnet b", 2);
	assert_newest(p->store, 1, "set vnet a", 1);
	assert_int_equal(ctl_store_load(p->store, 2, NULL, &info, &err), -ENODATA);
	assert_int_equal(ctl_store_list(p->store, list, 10), 2);
	assert_int_equal(list[0].number, 2);
}

/* Wherever the newest file is cut, the one before is taken; uncut, it is whole. */
static void
cut_newest_revision_gives_way_to_last_good(void **state)
{
	struct place *p = *state;
	struct stat st;
	char path[128];

	save(p->store, "set vnet a");
	save(p->store, "set vnet b");
	path_of(p, 2, path);
	assert_int_equal(stat(path, &st), 0);
	for (off_t size = st.st_size - 1; size >= 0; size--) {
		assert_int_equal(truncate(path, size), 0);
		assert_newest(p->store, 0, "set vnet a", 1);
	}
	assert_int_equal(save(p->store, "set vnet c"), 3);
	assert_newest(p->store, 0, "set vnet c", 3);
	assert_newest(p->store, 1, "set vnet a", 1);
}

static void
changed_byte_is_noticed(void **state)
{
	struct place *p = *state;
	char path[128];
	struct stat st;
	FILE *f;

	save(p->store, "set vnet a");
	save(p->store, "set vnet b");
	path_of(p, 2, path);
	assert_int_equal(stat(path, &st), 0);
	for (off_t at = 0; at < st.st_size; at++) {
		int c;

		f = fopen(path, "r+");
		fseek(f, at, SEEK_SET);
		c = fgetc(f);
		fseek(f, at, SEEK_SET);
		fputc(c ^ 1, f);
		fclose(f);
		assert_newest(p->store, 0, "set vnet a", 1);
		f = fopen(path, "r+");
		fseek(f, at, SEEK_SET);
		fputc(c, f);
		fclose(f);
	}
	assert_newest(p->store, 0, "set vnet b", 2);
}

static void
fifty_revisions_are_kept(void **state)
{
	struct place *p = *state;
	struct ctl_revision list[80];
	char path[128];

	for (int i = 0; i < 60; i++)
		save(p->store, "set vnet a");
	assert_int_equal(ctl_store_list(p->store, list, 80), 50);
	assert_int_equal(list[0].number, 60);
	assert_int_equal(list[49].number, 11);
	path_of(p, 10, path);
	assert_int_equal(access(path, F_OK), -1);
}

static void
pending_confirmation_is_kept_and_cleared(void **state)
{
	struct place *p = *state;
	uint64_t number = 0, deadline = 0;

	assert_int_equal(ctl_store_pending_get(p->store, &number, &deadline), -ENOENT);
	assert_int_equal(ctl_store_pending_set(p->store, 7, 1234567, NULL), 0);
	assert_int_equal(ctl_store_pending_get(p->store, &number, &deadline), 0);
	assert_int_equal(number, 7);
	assert_int_equal(deadline, 1234567);
	assert_int_equal(ctl_store_pending_set(p->store, 0, 0, NULL), 0);
	assert_int_equal(ctl_store_pending_get(p->store, &number, &deadline), -ENOENT);
}

static void
write_file(const char *path, const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fwrite(text, 1, len, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void
secret_file_rules(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		mode_t mode;
		enum ctl_secret_check check;
		int rc;
		size_t secret_len;
	} cases[] = {
		{"key1\n", 5, 0600, CTL_SECRET_AZURE_PSK, 0, 4},
		{"key1\r\n", 6, 0400, CTL_SECRET_AZURE_PSK, 0, 4},
		{"key1", 4, 0600, CTL_SECRET_AZURE_PSK, 0, 4},
		{"key 1", 5, 0600, CTL_SECRET_ANY, 0, 5},
		{"key 1", 5, 0600, CTL_SECRET_AZURE_PSK, -EINVAL, 0},
		{"key-1", 5, 0600, CTL_SECRET_AZURE_PSK, -EINVAL, 0},
		{"key~1", 5, 0600, CTL_SECRET_AZURE_PSK, -EINVAL, 0},
		{"k\n\n", 3, 0600, CTL_SECRET_AZURE_PSK, -EINVAL, 0},
		{"key1", 4, 0640, CTL_SECRET_ANY, -EACCES, 0},
		{"key1", 4, 0604, CTL_SECRET_ANY, -EACCES, 0},
		{"\n", 1, 0600, CTL_SECRET_ANY, -EINVAL, 0},
		{"", 0, 0600, CTL_SECRET_ANY, -EINVAL, 0},
	};
	struct place *p = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/key", p->dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spw_secret s = {0};
		struct spw_err err = {0};

		write_file(path, cases[i].text, cases[i].len, cases[i].mode);
		assert_int_equal(ctl_secret_read_file(&s, path, cases[i].check, &err), cases[i].rc);
		assert_int_equal(s.len, cases[i].secret_len);
		if (cases[i].rc < 0)
			assert_non_null(strstr(err.text, path));
		spw_secret_free(&s);
	}
}

static void
secret_file_length_and_kind(void **state)
{
	struct place *p = *state;
	char path[128], link[128], text[400];
	struct spw_secret s = {0};

	memset(text, 'k', sizeof(text));
	snprintf(path, sizeof(path), "%s/key", p->dir);
	snprintf(link, sizeof(link), "%s/link", p->dir);
	write_file(path, text, 256, 0600);
	assert_int_equal(ctl_secret_read_file(&s, path, CTL_SECRET_ANY, NULL), 0);
	spw_secret_free(&s);
	assert_int_equal(ctl_secret_read_file(&s, path, CTL_SECRET_AZURE_PSK, NULL), -EINVAL);
	write_file(path, text, 128, 0600);
	assert_int_equal(ctl_secret_read_file(&s, path, CTL_SECRET_AZURE_PSK, NULL), 0);
	spw_secret_free(&s);
	for (size_t len = 257; len < 300; len++) {
		write_file(path, text, len, 0600);
		assert_int_equal(ctl_secret_read_file(&s, path, CTL_SECRET_ANY, NULL), -EINVAL);
	}
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(ctl_secret_read_file(&s, link, CTL_SECRET_ANY, NULL), -ELOOP);
	assert_int_equal(ctl_secret_read_file(&s, p->dir, CTL_SECRET_ANY, NULL), -EINVAL);
	unlink(path);
	assert_int_equal(ctl_secret_read_file(&s, path, CTL_SECRET_ANY, NULL), -ENOENT);
}

static void
secret_is_not_taken_from_where_others_could_put_it(void **state)
{
	static const struct {
		mode_t dir;
		uid_t owner, dir_owner;
		int rc;
		const char *says;
	} cases[] = {
		{0700, 0, 0, 0, NULL},
		{0755, 0, 0, 0, NULL},
		{01777, 0, 0, 0, NULL}, /* as /tmp: nobody replaces what is root's */
		{0770, 0, 0, -EACCES, "chmod go-w"},
		{0702, 0, 0, -EACCES, "chmod go-w"},
		{0700, 1, 0, -EACCES, "chown root"},
		{0700, 0, 1, -EACCES, "chown root"},
	};
	struct place *p = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/key", p->dir);
	write_file(path, "key1", 4, 0600);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spw_secret s = {0};
		struct spw_err err = {0};

		if ((cases[i].owner || cases[i].dir_owner) && geteuid() != 0)
			continue; /* only root can give a file away */
		assert_int_equal(chmod(p->dir, cases[i].dir), 0);
		if (geteuid() == 0)
			assert_true(chown(path, cases[i].owner, (gid_t)-1) == 0 &&
				    chown(p->dir, cases[i].dir_owner, (gid_t)-1) == 0);
		assert_int_equal(ctl_secret_read_file(&s, path, CTL_SECRET_ANY, &err), cases[i].rc);
		if (cases[i].says) {
			assert_non_null(strstr(err.text, cases[i].says));
			assert_null(strchr(err.text, '\n'));
			assert_int_equal(s.len, 0);
		}
		spw_secret_free(&s);
	}
	assert_int_equal(chmod(p->dir, 0700), 0);
}

static void
secret_is_written_closed_and_read_back(void **state)
{
	struct place *p = *state;
	struct spw_secret s = {0};
	char path[128];
	struct stat st;

	for (int round = 0; round < 2; round++)
		assert_int_equal(ctl_secret_write_file(p->dir, "key", "abc", 3, NULL), 0);
	snprintf(path, sizeof(path), "%s/key", p->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ctl_secret_read_file(&s, path, CTL_SECRET_AZURE_PSK, NULL), 0);
	assert_memory_equal(s.bytes, "abc", 3);
	spw_secret_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(revisions_round_trip_and_count_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(cut_newest_revision_gives_way_to_last_good, setup,
						teardown),
		cmocka_unit_test_setup_teardown(changed_byte_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(fifty_revisions_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(pending_confirmation_is_kept_and_cleared, setup,
						teardown),
		cmocka_unit_test_setup_teardown(secret_file_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(secret_file_length_and_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(secret_is_not_taken_from_where_others_could_put_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(secret_is_written_closed_and_read_back, setup,
						teardown),
	};

	spw_log_init("test_store", SPW_LOG_ERROR);
	if (spw_secret_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
