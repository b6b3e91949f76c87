/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/iked/: giving up what the daemon that faces the Internet must not have. */
#ifndef SPW_IKE_IKED_PRIVILEGE_H
#define SPW_IKE_IKED_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"

/* Who to become. */
struct iked_identity {
	uid_t uid;
	gid_t gid;
	gid_t group; /* of the run directory, (gid_t)-1 when there is none */
	bool keep;   /* stay who we are */
};

/*
 * Find the user to run as.
 * @user NULL = "spillway-iked" when started as root, else who we are; "-" = who we are
 * 0, -ENOENT when there is no such user, -EPERM when not root and another one is asked for.
 */
int iked_identity_find(struct iked_identity *id, const char *user, struct spw_err *err);
/* The uid of a user name. 0 or -ENOENT with a sentence. */
int iked_uid_find(uid_t *uid, const char *user, struct spw_err *err);
/* No core file, a private umask, and as much locked memory as may be had. */
int iked_limits_set(struct spw_err *err);
/*
 * Become the user for good: groups, gid, uid, no capability left, no new privileges, not
 * traceable. Checks the result; an error means that the caller must not go on.
 */
int iked_privilege_drop(const struct iked_identity *id, struct spw_err *err);

#endif
