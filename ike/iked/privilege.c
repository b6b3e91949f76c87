/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Privileges of iked. It parses packets from the Internet, so after start it is an ordinary user:
 * no capabilities (not even in the bounding set), no way to gain any (no_new_privs), no core file
 * and no tracer, because its memory holds keys. What needed root came before: the listening
 * socket in the run directory, the limit of locked memory. UDP sockets come from controld, so no
 * capability is needed for port 500. Every step is checked afterwards from the kernel's answer,
 * and a failed step is fatal. Called once, from the main thread, at start.
 */
#include "ike/iked/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_USER "spillway-iked"
#define RUN_GROUP    "spillway"

static gid_t
run_group(void)
{
	const struct group *g = getgrnam(RUN_GROUP);

	return g ? g->gr_gid : (gid_t)-1;
}

int
iked_uid_find(uid_t *uid, const char *user, struct spw_err *err)
{
	const struct passwd *pw = getpwnam(user);

	if (!pw)
		return spw_fail(err, -ENOENT, "user '%s' does not exist", user);
	*uid = pw->pw_uid;
	return 0;
}

int
iked_identity_find(struct iked_identity *id, const char *user, struct spw_err *err)
{
	const char *name = user ? user : geteuid() == 0 ? DEFAULT_USER : "-";
	const struct passwd *pw;

	*id = (struct iked_identity){
		.uid = geteuid(), .gid = getegid(), .group = run_group(), .keep = true};
	if (strcmp(name, "-") == 0)
		return 0;
	pw = getpwnam(name);
	if (!pw)
		return spw_fail(
			err, -ENOENT,
			"user '%s' does not exist; make it (adduser --system --no-create-home "
			"%s) or name another with --user (--user - keeps the present user)",
			name, name);
	if (geteuid() != 0 && pw->pw_uid != geteuid())
		return spw_fail(err, -EPERM,
				"only root can become user '%s'; start as root or "
				"with --user -",
				name);
	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	id->keep = geteuid() != 0;
	return 0;
}

int
iked_limits_set(struct spw_err *err)
{
	struct rlimit none = {0, 0}, lock = {RLIM_INFINITY, RLIM_INFINITY};

	umask(0077);
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return spw_fail(err, -errno, "cannot forbid core files: %s", strerror(errno));
	if (setrlimit(RLIMIT_MEMLOCK, &lock) == 0)
		return 0;
	if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0) {
		lock.rlim_cur = lock.rlim_max;
		if (setrlimit(RLIMIT_MEMLOCK, &lock) == 0)
			return 0;
	}
	return spw_fail(err, -errno, "cannot raise the limit of locked memory: %s",
			strerror(errno));
}

/* Beyond the last capability PR_CAPBSET_READ fails. */
static int
bounding_set_empty(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

static int
become(const struct iked_identity *id)
{
	size_t n = id->group == (gid_t)-1 ? 0 : 1;
	int rc = bounding_set_empty();

	if (rc != 0)
		return rc;
	if (setgroups(n, &id->group) < 0 || setresgid(id->gid, id->gid, id->gid) < 0 ||
	    setresuid(id->uid, id->uid, id->uid) < 0)
		return -errno;
	return 0;
}

static bool
capabilities_none(void)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &hdr, data) < 0)
		return false;
	return (data[0].effective | data[1].effective | data[0].permitted | data[1].permitted |
		data[0].inheritable | data[1].inheritable) == 0;
}

static bool
root_out_of_reach(void)
{
	uid_t r, e, s;

	if (getresuid(&r, &e, &s) < 0 || r == 0 || e == 0 || s == 0)
		return false;
	return setuid(0) < 0;
}

int
iked_privilege_drop(const struct iked_identity *id, struct spw_err *err)
{
	int rc = id->keep ? 0 : become(id);

	if (rc != 0)
		return spw_fail(err, rc, "cannot drop root: %s", strerror(-rc));
	if (!id->keep && id->uid != 0 && (!capabilities_none() || !root_out_of_reach()))
		return spw_fail(err, -EPERM, "privileges were still there after they were dropped");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return spw_fail(err, -errno, "cannot forbid new privileges and tracing: %s",
				strerror(errno));
	return 0;
}
