/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What /proc tells of a daemon. Files there are read anew at each question, for a daemon changes
 * what it is as it starts.
 */
#include "tests/ike/proc.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

bool
proc_line(const char *path, const char *key, char value[128])
{
	char line[256];
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0) {
			snprintf(value, 128, "%.127s",
				 line + strlen(key) + strspn(line + strlen(key), " \t"));
			value[strcspn(value, "\n")] = '\0';
			found = true;
		}
	if (f)
		fclose(f);
	return found;
}

bool
proc_status_is(pid_t pid, const char *key, const char *want)
{
	char path[64], value[128];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return proc_line(path, key, value) && strcmp(value, want) == 0;
}

unsigned int
proc_threads_with(pid_t pid, const char *key, const char *want, unsigned int *n)
{
	unsigned int with = 0;
	char path[64];
	struct dirent *entry;

	*n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);

	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		(*n)++;
		with += proc_status_is((pid_t)atoi(entry->d_name), key, want);
	}
	closedir(tasks);
	return with;
}

int
proc_called_right(int argc, int want, const char *usage)
{
	if (argc != want) {
		fprintf(stderr, "usage: %s\n", usage);
		return 2;
	}
	if (geteuid() == 0)
		return 0;
	fprintf(stderr, "needs root\n");
	return 77;
}
