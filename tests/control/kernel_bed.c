/* SPDX-License-Identifier: BSD-3-Clause */
/* Words for the real kernel: `ip`, run in the namespace of the test, and prefixes of text. */
#include "tests/control/kernel_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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
