/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed of tests that run the runtime over the real kernel: what is made in the namespace goes
 * with the process, what is made in the directory is removed by name, so that a file nobody
 * expected is seen.
 */
#include "tests/control/kernel_bed.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

int
bed_enter(char *dir, bool *entered)
{
	*entered = geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
	if (!*entered)
		return 0;
	spw_log_init("test", getenv("SPW_TEST_LOG") ? SPW_LOG_DEBUG : SPW_LOG_ERROR);
	return mkdtemp(dir) && spw_secret_init() == 0 ? 0 : -1;
}

int
bed_leave(const char *dir)
{
	static const char *const left[] = {"key", "controld.ids", "dataplane.sock", "frr.conf"};
	char path[96];

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, left[i]);
		unlink(path);
	}
	return rmdir(dir);
}

int
ip_status(const char *words)
{
	char line[256], *argv[24] = {"ip"}, *save = NULL;
	unsigned int n = 1;
	int status;
	pid_t pid;

	snprintf(line, sizeof(line), "%s", words);
	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	pid = fork();
	if (pid == 0) {
		execv("/sbin/ip", argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void
ip(const char *words)
{
	if (ip_status(words) != 0)
		fail_msg("ip %s", words);
}

struct spw_prefix
prefix(const char *text)
{
	struct spw_prefix p;

	assert_int_equal(spw_prefix_parse(&p, text, NULL), 0);
	return p;
}
