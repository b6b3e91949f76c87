/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system call filter (seccomp) of iked, the daemon that parses packets from the Internet.
 *
 * A list of what the event loop does, everything else kills the process: whoever takes over the
 * parser finds no way to open a file, run a program, trace a process or reach another host. The UDP
 * sockets are passed in by controld, so only AF_UNIX sockets may be made here (the data plane and
 * the service manager are dialled again when they come back). Memory may be mapped, never
 * executable. Arguments are compared by the kernel where the call alone says too little.
 *
 * Files are not opened after the start, with one exception: the socket of the run directory is
 * unlinked at an orderly stop. A killed process leaves one line in the audit log, and the service
 * manager starts another. Called once, from the main thread, after everything that start needs; it
 * holds for the threads that are there by then (dh_pool.c), and no others can be made.
 */
#include "ike/iked/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Calls that are allowed whatever their arguments. */
static const int plain[] = {
	/* sockets that are there, events, time */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(connect),
	SCMP_SYS(accept4),
	SCMP_SYS(accept),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(restart_syscall),
	/* memory, locked for keys */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	SCMP_SYS(getrandom),
	/* signals, locks, the end */
	SCMP_SYS(futex),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), /* the allocator counts processors */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(tgkill),
	SCMP_SYS(unlink),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int
allow_plain(scmp_filter_ctx ctx)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(plain) / sizeof(plain[0]); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain[i], 0);
	return rc;
}

/* Argument `arg` of the call has none of these bits. */
static int
allow_without(scmp_filter_ctx ctx, int call, unsigned int arg, uint64_t bits)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
				SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, bits, 0));
}

static int
allow_compared(scmp_filter_ctx ctx)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				  SCMP_A0(SCMP_CMP_EQ, AF_UNIX));

	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
				      SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (rc == 0)
		rc = allow_without(ctx, SCMP_SYS(mmap), 2, PROT_EXEC);
	if (rc == 0)
		rc = allow_without(ctx, SCMP_SYS(mprotect), 2, PROT_EXEC);
	return rc;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* The sanitizer itself opens files and maps what it likes. */
int
iked_sandbox_enter(struct spw_err *err)
{
	spw_log(SPW_LOG_WARNING, "main", "no-sandbox", "cause=\"built with a sanitizer\"");
	return 0;
}
#else
static int
filter_make(scmp_filter_ctx ctx)
{
	int rc = ctx ? allow_plain(ctx) : -ENOMEM;

	if (rc == 0)
		rc = allow_compared(ctx);
	return rc;
}

int
iked_sandbox_enter(struct spw_err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = filter_make(ctx);

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return rc == 0 ? 0
		       : spw_fail(err, rc, "cannot enter the sandbox: seccomp says %s",
				  strerror(-rc));
}
#endif
