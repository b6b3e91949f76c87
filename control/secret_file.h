/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: reading and writing the files that hold secrets. */
#ifndef SPW_CONTROL_SECRET_FILE_H
#define SPW_CONTROL_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/spillway.h"

#define CTL_SECRET_MAX	  256 /* bytes, as SPW_IKE_PSK_MAX */
#define CTL_AZURE_PSK_MAX 128 /* what Azure's own key generator takes */

enum ctl_secret_check {
	CTL_SECRET_ANY = 0,	  /* any bytes */
	CTL_SECRET_AZURE_PSK = 1, /* ctl_secret_check_azure_psk() must pass */
};

/*
 * Check a pre-shared key against what an Azure VPN gateway takes: 1..128 printable ASCII characters
 * without space, '-' and '~'. 0, or -EINVAL with a sentence that names the position, never the key.
 */
int ctl_secret_check_azure_psk(const void *key, size_t len, struct spw_err *err);
/*
 * Read a secret from a file: not through a symbolic link, a regular file owned by root or by us,
 * closed to group and others, 1..CTL_SECRET_MAX bytes. One trailing newline (with CR) is cut.
 * @secret  receives the secret; the caller frees it with spw_secret_free()
 * @path    absolute, or relative to the working directory
 * Returns 0, or -errno with a sentence that names the path and how to mend it: -ENOENT, -ELOOP,
 * -EACCES (readable by others, or by us not), -EINVAL (empty, too long, characters), -ENOMEM.
 */
int ctl_secret_read_file(struct spw_secret *secret, const char *path, enum ctl_secret_check check,
			 struct spw_err *err) __attribute__((warn_unused_result));
/*
 * Write a secret to dir/name, 0600, replacing an older one in one step (fsync + rename); makes dir
 * (0700) when it is not there. 0 or -errno with a sentence.
 */
int ctl_secret_write_file(const char *dir, const char *name, const void *key, size_t len,
			  struct spw_err *err) __attribute__((warn_unused_result));

#endif
