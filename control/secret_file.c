/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that hold secrets: pre-shared keys and TCP MD5 passwords.
 *
 * A secret is refused when its file could have been read or replaced by somebody else: the file
 * must be regular, not reached through a symbolic link, owned by root or by us and closed to group
 * and others; checked on the open descriptor, so there is no gap between check and use. Its
 * directory may not be one in which others could put another file in its place. What is
 * read passes through one stack buffer, which is wiped, into guarded memory. No sentence ever
 * quotes the secret. Azure's rules for pre-shared keys: printable ASCII except space, '-' and '~',
 * 1 to 128 characters.
 */
#include "control/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
azure_psk_char(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '-' && c != '~';
}

int
ctl_secret_check_azure_psk(const void *key, size_t len, struct spw_err *err)
{
	const unsigned char *k = key;

	if (len == 0)
		return spw_fail(err, -EINVAL,
				"the pre-shared key is empty: give 1 to %d characters",
				CTL_AZURE_PSK_MAX);
	if (len > CTL_AZURE_PSK_MAX)
		return spw_fail(err, -EINVAL,
				"the pre-shared key has %zu characters: Azure takes at most %d",
				len, CTL_AZURE_PSK_MAX);
	for (size_t i = 0; i < len; i++)
		if (!azure_psk_char(k[i]))
			return spw_fail(
				err, -EINVAL,
				"character %zu of the pre-shared key is not one Azure takes: use "
				"printable ASCII without space, '-' and '~'",
				i + 1);
	return 0;
}

static int
file_check(int fd, const char *path, struct spw_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return spw_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return spw_fail(err, -EINVAL, "%s: not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return spw_fail(err, -EACCES, "%s: owned by uid %u: chown root it", path,
				(unsigned int)st.st_uid);
	if (st.st_mode & 077)
		return spw_fail(err, -EACCES, "%s: open to others (mode %04o): chmod 600 it", path,
				(unsigned int)(st.st_mode & 07777));
	if (st.st_size > CTL_SECRET_MAX + 2)
		return spw_fail(err, -EINVAL, "%s: longer than %d bytes", path, CTL_SECRET_MAX);
	return 0;
}

/* Who may write in the directory may replace the file; a sticky one guards those of root. */
static int
directory_check(const char *path, struct spw_err *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
	char dir[PATH_MAX];
	struct stat st;

	if (len >= sizeof(dir))
		return spw_fail(err, -ENAMETOOLONG, "%.200s: too long", path);
	memcpy(dir, slash ? path : ".", len);
	dir[len] = '\0';
	if (stat(dir, &st) < 0)
		return spw_fail(err, -errno, "%s: %s", dir, strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return spw_fail(err, -EACCES, "%s: its directory is owned by uid %u: chown root it",
				path, (unsigned int)st.st_uid);
	if ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))
		return spw_fail(err, -EACCES,
				"%s: others may write in its directory (mode %04o): chmod go-w it",
				path, (unsigned int)(st.st_mode & 07777));
	return 0;
}

static size_t
trim_newline(const char *text, size_t len)
{
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	return len;
}

static int
secret_take(struct spw_secret *secret, const char *bytes, size_t len, const char *path,
	    enum ctl_secret_check check, struct spw_err *err)
{
	struct spw_err why = {0};

	if (len == 0 || len > CTL_SECRET_MAX)
		return spw_fail(err, -EINVAL, "%s: %s", path,
				len ? "longer than 256 bytes" : "empty");
	if (check == CTL_SECRET_AZURE_PSK && ctl_secret_check_azure_psk(bytes, len, &why) < 0)
		return spw_fail(err, -EINVAL, "%s: %s", path, why.text);
	if (spw_secret_set(secret, bytes, len) < 0)
		return spw_fail(err, -ENOMEM, "%s: no locked memory for the secret", path);
	return 0;
}

static ssize_t
read_all(int fd, char *buf, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, buf + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int
ctl_secret_read_file(struct spw_secret *secret, const char *path, enum ctl_secret_check check,
		     struct spw_err *err)
{
	char buf[CTL_SECRET_MAX + 3];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0)
		return spw_fail(err, -errno, "%s: %s", path,
				errno == ELOOP	  ? "a symbolic link: name the file itself"
				: errno == ENOENT ? "no such file: write the secret there, mode 600"
						  : strerror(errno));
	rc = file_check(fd, path, err);
	if (rc == 0)
		rc = directory_check(path, err);
	if (rc == 0) {
		ssize_t n = read_all(fd, buf, sizeof(buf));

		rc = n < 0 ? spw_fail(err, (int)n, "%s: %s", path, strerror((int)-n))
			   : secret_take(secret, buf, trim_newline(buf, (size_t)n), path, check,
					 err);
		spw_wipe(buf, sizeof(buf));
	}
	close(fd);
	return rc;
}

static int
write_whole(int fd, const void *bytes, size_t len)
{
	if (write(fd, bytes, len) != (ssize_t)len)
		return -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

int
ctl_secret_write_file(const char *dir, const char *name, const void *key, size_t len,
		      struct spw_err *err)
{
	char temporary[64];
	int dirfd, fd, rc;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return spw_fail(err, -errno, "%s: %s", dir, strerror(errno));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dirfd < 0)
		return spw_fail(err, -errno, "%s: %s", dir, strerror(errno));
	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	unlinkat(dirfd, temporary, 0);
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	rc = fd < 0 ? -errno : write_whole(fd, key, len);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
		rc = -errno;
	if (rc == 0)
		fsync(dirfd);
	else
		unlinkat(dirfd, temporary, 0);
	close(dirfd);
	return rc == 0 ? 0 : spw_fail(err, rc, "%s/%s: %s", dir, name, strerror(-rc));
}
