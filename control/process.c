/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Child processes on the event loop.
 *
 * posix_spawn starts the program; its output comes through a pipe that the loop reads; end of the
 * pipe and a pidfd becoming readable together mean that it is through. The child has stdin from
 * /dev/null, default signals and an environment made here, nothing else of ours (descriptors are
 * close-on-exec). One thread.
 */
#include "control/process.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (4u * 1024 * 1024)

struct ctl_process {
	pid_t pid;
	int pidfd, out_fd;
	struct event *ended, *readable, *timeout;
	char *out;
	size_t len, size;
	int status;
	bool has_ended, has_eof;
	ctl_process_done done;
	void *ctx;
};

static void
process_free(struct ctl_process *p)
{
	if (p->ended)
		event_free(p->ended);
	if (p->readable)
		event_free(p->readable);
	if (p->timeout)
		event_free(p->timeout);
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->out_fd >= 0)
		close(p->out_fd);
	free(p->out);
	free(p);
}

static void
finish(struct ctl_process *p)
{
	if (!p->has_ended || !p->has_eof)
		return;
	p->done(p->ctx, p->status, p->out ? p->out : "", p->len);
	process_free(p);
}

static void
reap(struct ctl_process *p)
{
	int status = 0;

	if (waitpid(p->pid, &status, 0) != p->pid)
		p->status = 255;
	else if (p->status == 0)
		p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_process *p = arg;

	reap(p);
	event_del(p->ended);
	p->has_ended = true;
	finish(p);
}

static bool
room_make(struct ctl_process *p)
{
	size_t size = p->size ? p->size * 2 : 16384;
	char *out;

	if (p->size - p->len > 4096)
		return true;
	if (p->size >= OUTPUT_MAX)
		return false;
	out = realloc(p->out, size);
	if (!out)
		return false;
	p->out = out;
	p->size = size;
	return true;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_process *p = arg;
	char spill[4096];
	bool room = room_make(p);
	ssize_t n = room ? read(fd, p->out + p->len, p->size - p->len - 1)
			 : read(fd, spill, sizeof(spill));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		if (room) {
			p->len += (size_t)n;
			p->out[p->len] = '\0';
		}
		return;
	}
	event_del(p->readable);
	p->has_eof = true;
	finish(p);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_process *p = arg;

	p->status = 255;
	/* One that was reaped has no number any more: it may be somebody else's by now. */
	if (!p->has_ended)
		kill(p->pid, SIGKILL);
	/* A grandchild may keep the pipe open. */
	event_del(p->readable);
	p->has_eof = true;
	finish(p);
}

static int
spawn(struct ctl_process *p, const char *const *argv, int with_errors, int write_fd)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LC_ALL=C";
	char *env[] = {path, lang, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, write_fd, 1);
	if (with_errors)
		posix_spawn_file_actions_adddup2(&fa, write_fd, 2);
	else
		posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	rc = posix_spawn(&p->pid, argv[0], &fa, &attr, (char *const *)(uintptr_t)argv, env);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

static int
watch(struct ctl_process *p, struct event_base *base, uint32_t timeout_s)
{
	struct timeval tv = {.tv_sec = timeout_s};

	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0)
		return -errno;
	fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
	p->ended = event_new(base, p->pidfd, EV_READ | EV_PERSIST, on_ended, p);
	p->readable = event_new(base, p->out_fd, EV_READ | EV_PERSIST, on_readable, p);
	p->timeout = evtimer_new(base, on_timeout, p);
	if (!p->ended || !p->readable || !p->timeout || event_add(p->ended, NULL) != 0 ||
	    event_add(p->readable, NULL) != 0 || event_add(p->timeout, &tv) != 0)
		return -ENOMEM;
	return 0;
}

int
ctl_process_run(struct ctl_process **process, struct event_base *base, const char *const *argv,
		int with_errors, uint32_t timeout_s, ctl_process_done done, void *ctx)
{
	struct ctl_process *p = calloc(1, sizeof(*p));
	int fds[2], rc;

	if (!p)
		return -ENOMEM;
	p->pidfd = p->out_fd = -1;
	p->done = done;
	p->ctx = ctx;
	if (pipe2(fds, O_CLOEXEC) != 0) {
		free(p);
		return -errno;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	p->out_fd = fds[0];
	rc = spawn(p, argv, with_errors, fds[1]);
	close(fds[1]);
	if (rc == 0) {
		rc = watch(p, base, timeout_s);
		if (rc != 0) {
			kill(p->pid, SIGKILL);
			waitpid(p->pid, NULL, 0);
		}
	}
	if (rc != 0) {
		process_free(p);
		return rc;
	}
	*process = p;
	return 0;
}

void
ctl_process_kill(struct ctl_process *p)
{
	if (!p)
		return;
	if (!p->has_ended) {
		kill(p->pid, SIGKILL);
		reap(p);
	}
	process_free(p);
}
