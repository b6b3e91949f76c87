/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says of a running spillway-iked, and what becomes of one that does what it never
 * does.
 *
 * The installed daemon is started as root, and /proc tells: an ordinary user without any
 * capability, no new privileges, the system call filter (in every thread), no core file, not
 * dumpable, no memory both writable and executable, nothing left open but what it needs. A daemon
 * with taps (tapped.c) then makes one forbidden call in the midst of its work, as whoever took over
 * its parser would: it is killed for it. Needs root; else skipped.
 *
 *	hardening_test PATH/spillway-iked PATH/ike_iked_tapped
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/spillway.h"
#include "tests/ike/proc.h"
#include "tests/ike/tapped.h"

#define USER	"nobody"
#define WAIT_MS 8000

static const char *installed, *tapped;
static char dir[] = "/tmp/spw-hard-XXXXXX";
static struct spw_msg reply;

struct daemon {
	pid_t pid;
	struct spw_client client;
};

static int
ike_connect(void)
{
	struct spw_err err = {0};
	char path[108];

	snprintf(path, sizeof(path), "%s/ike.sock", dir);
	return spw_msg_connect(path, &err);
}

static int
call(struct daemon *d, uint16_t number, const void *elem, uint16_t size)
{
	struct spw_err err = {0};

	return spw_client_call(&d->client, number, elem, size, elem ? 1 : 0, NULL, 0, &reply, &err);
}

static pid_t last; /* ended at the latest with the tests: the drop clears the death signal */

static struct daemon
daemon_start(const char *program, const char *canary)
{
	struct spw_ike_hello hello = {0};
	struct daemon d = {.client = {.fd = -1, .timeout_ms = 3000}};
	uint64_t until = spw_clock_ns() + WAIT_MS * SPW_NS_PER_MS;

	d.pid = fork();
	if (d.pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
		    close_range(3, ~0u, 0) < 0) /* of whoever runs this test */
			_exit(127);
		if (canary)
			setenv(TAP_CANARY_NAME, canary, 1);
		execl(program, program, "--run-dir", dir, "--user", USER, (char *)NULL);
		_exit(127);
	}
	last = d.pid;
	while (d.client.fd < 0 && spw_clock_ns() < until) {
		poll(NULL, 0, 20);
		d.client.fd = ike_connect();
	}
	assert_true(d.client.fd >= 0);
	if (call(&d, SPW_IKE_HELLO, &hello, sizeof(hello)) != 0)
		assert_non_null(canary); /* the first key pair may be made before anybody asks */
	return d;
}

/* A connection that dials at once: the engine runs, a key pair is made. */
static int
dial(struct daemon *d)
{
	const struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	struct spw_ike_conn c = {.name = "tun",
				 .tunnel = 7,
				 .generation = 1,
				 .local = spw_addr_v4(0x7f000001),
				 .remote = spw_addr_v4(0x7f000002),
				 .mode = SPW_IKE_MODE_INITIATE,
				 .psk_len = 10,
				 .psk = "0123456789",
				 .n_ike = 1,
				 .ike = {{SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, SPW_PRF_HMAC_SHA256,
					  SPW_GROUP_ECP256}},
				 .n_esp = 1,
				 .esp = {{.encr = SPW_ENCR_AES256_GCM}},
				 .replay_window = 64,
				 .n_local = 1,
				 .n_remote = 1};

	c.sel_local[0] = c.sel_remote[0] = any;
	return call(d, SPW_IKE_CONN_SET, &c, sizeof(c));
}

static int
daemon_end(struct daemon *d)
{
	int status = -1;

	kill(d->pid, SIGKILL);
	waitpid(d->pid, &status, 0);
	close(d->client.fd);
	return status;
}

static void
expect_line(const char *path, const char *key, const char *want)
{
	char value[128];

	if (!proc_line(path, key, value))
		fail_msg("%s has no line %s", path, key);
	if (strcmp(value, want) != 0)
		fail_msg("%s: %s is %s, not %s", path, key, value, want);
}

static struct daemon running;

/* Each of these is of a thread: a thread that was made before a step would lack it. */
static void
every_thread_is_without_privileges(void **state)
{
	static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
	const struct passwd *pw = getpwnam(USER);
	char path[300], ids[64];
	unsigned int threads = 0;
	struct dirent *entry;
	DIR *tasks;

	running = daemon_start(installed, NULL);
	assert_int_equal(dial(&running), 0);
	snprintf(ids, sizeof(ids), "%u\t%u\t%u\t%u", pw->pw_uid, pw->pw_uid, pw->pw_uid,
		 pw->pw_uid);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)running.pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		threads++;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)running.pid,
			 entry->d_name);
		expect_line(path, "Uid:", ids);
		for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
			expect_line(path, sets[i], "0000000000000000");
		expect_line(path, "NoNewPrivs:", "1");
#ifndef __SANITIZE_ADDRESS__
		expect_line(path, "Seccomp:", "2");
#endif
	}
	closedir(tasks);
	assert_true(threads >= 1);
}

static void
there_is_no_core_file_and_no_tracer(void **state)
{
	char path[64], value[128];
	struct stat st;
	pid_t pid;
	int status;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)running.pid);
	assert_true(proc_line(path, "Max core file size", value));
	assert_memory_equal(value, "0 ", 2);
	assert_non_null(strstr(value + 2, "0 "));
	/* what is not dumpable belongs to root in /proc, though the process does not */
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)running.pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
	pid = fork();
	if (pid == 0) { /* the same user may not look into it */
		const struct passwd *pw = getpwnam(USER);

		if (setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
			_exit(3);
		if (ptrace(PTRACE_ATTACH, running.pid, NULL, NULL) == 0)
			_exit(1);
		_exit(open(path, O_RDONLY | O_CLOEXEC) >= 0 ? 2 : 0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
no_memory_is_writable_and_executable(void **state)
{
	char path[64], line[512], perms[8];
	unsigned int maps = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)running.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		assert_int_equal(sscanf(line, "%*s %7s", perms), 1);
		maps++;
#ifndef __SANITIZE_ADDRESS__
		if (perms[1] == 'w' && perms[2] == 'x')
			fail_msg("writable and executable: %s", line);
#endif
	}
	fclose(f);
	assert_true(maps > 10);
}

static void
keys_are_in_locked_memory(void **state)
{
	char path[64], value[128];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)running.pid);
	assert_true(proc_line(path, "VmLck:", value));
	assert_true(atoi(value) >= 64); /* kB: OpenSSL's heap and the first secrets */
}

/* Sockets, the event loop, the escrow; of files only what stderr and the like are. */
static void
no_file_is_open(void **state)
{
	char path[300], target[256];
	unsigned int n = 0;
	struct dirent *entry;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)running.pid);
	fds = opendir(path);
	assert_non_null(fds);
	while ((entry = readdir(fds))) {
		ssize_t len;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) <= STDERR_FILENO)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)running.pid, entry->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		n++;
		if (strncmp(target, "socket:", 7) && strncmp(target, "anon_inode:", 11) &&
		    strncmp(target, "pipe:", 5) && !strstr(target, "escrow") &&
		    !strstr(target, "secretmem"))
			fail_msg("descriptor %s is %s", entry->d_name, target);
	}
	closedir(fds);
	assert_true(n >= 3);
	daemon_end(&running);
}

#ifndef __SANITIZE_ADDRESS__
static void
a_call_it_never_makes_kills_it(void **state)
{
	static const char *const canaries[] = {"open",	   "exec", "inet", "ptrace", "fork",
					       "mprotect", "mmap", "kill", "setuid", "memfd"};
	struct daemon d;
	int status;

	for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++) {
		d = daemon_start(tapped, canaries[i]);
		(void)dial(&d);
		for (int k = 0; k < 100 && waitpid(d.pid, &status, WNOHANG) == 0; k++) {
			poll(NULL, 0, 20);
			status = 0;
		}
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
			daemon_end(&d);
			fail_msg("a daemon that calls %s goes on (%#x)", canaries[i], status);
		}
		close(d.client.fd);
	}
	/* and one that does not is not killed */
	d = daemon_start(tapped, "none");
	assert_int_equal(dial(&d), 0);
	assert_int_equal(call(&d, SPW_IKE_GET_CONNS, NULL, 0), 0);
	assert_true(WTERMSIG(daemon_end(&d)) == SIGKILL);
}
#endif

static int
setup(void **state)
{
	return mkdtemp(dir) && chmod(dir, 0777) == 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	char path[108];

	if (waitpid(last, NULL, WNOHANG) == 0)
		kill(last, SIGKILL);
	snprintf(path, sizeof(path), "%s/ike.sock", dir);
	unlink(path);
	return rmdir(dir);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_thread_is_without_privileges),
		cmocka_unit_test(there_is_no_core_file_and_no_tracer),
		cmocka_unit_test(no_memory_is_writable_and_executable),
		cmocka_unit_test(keys_are_in_locked_memory),
		cmocka_unit_test(no_file_is_open),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(a_call_it_never_makes_kills_it),
#endif
	};

	int wrong = proc_called_right(argc, 3, "hardening_test PATH/spillway-iked PATH/ike_iked_tapped");

	if (wrong)
		return wrong;
	installed = argv[1];
	tapped = argv[2];
	return cmocka_run_group_tests(tests, setup, teardown);
}
