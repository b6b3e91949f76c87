/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Committed configurations: one text file a revision, DIR/revisions/NNNNNNNN.set.
 *
 * The file is the list of `set` lines between a header of comments and a last line that tells how
 * many lines there are and a checksum over everything before it, so a file cut short or changed by
 * hand is noticed. It is written beside, synced and renamed, and the directory is synced, so after
 * a crash there is the old set of files or the new one. Numbers only grow: the newest good file is
 * the running configuration, `rollback N` counts back from it. The checksum (FNV-1a, 64 bits)
 * guards against accidents, not against an attacker, who would own the directory anyway.
 */
#include "control/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)

struct ctl_store {
	int dirfd;
	char dir[CTL_PATH];
};

static int
make_dir(const char *dir, mode_t mode, struct spw_err *err)
{
	if (mkdir(dir, mode) < 0 && errno != EEXIST)
		return spw_fail(err, -errno, "state directory %s: %s", dir, strerror(errno));
	return 0;
}

int
ctl_store_open(struct ctl_store **store, const char *dir, struct spw_err *err)
{
	struct ctl_store *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return spw_fail(err, -ENOMEM, "no memory for the store");
	snprintf(s->dir, sizeof(s->dir), "%s/revisions", dir);
	rc = make_dir(dir, 0750, err);
	if (rc == 0)
		rc = make_dir(s->dir, 0700, err);
	if (rc == 0) {
		s->dirfd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (s->dirfd < 0)
			rc = spw_fail(err, -errno, "state directory %s: %s", s->dir,
				      strerror(errno));
	}
	if (rc < 0) {
		free(s);
		return rc;
	}
	*store = s;
	return 0;
}

void
ctl_store_close(struct ctl_store *store)
{
	if (store == NULL)
		return;
	close(store->dirfd);
	free(store);
}

static uint64_t
checksum(const char *text, size_t len)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void
revision_name(char out[32], uint64_t number)
{
	snprintf(out, 32, "%08" PRIu64 ".set", number);
}

static int
number_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Numbers of the files there are, newest first; the caller frees. */
static uint64_t *
numbers(const struct ctl_store *store, size_t *n)
{
	DIR *dir = opendir(store->dir);
	uint64_t *list = NULL;
	const struct dirent *entry;
	size_t size = 0;

	*n = 0;
	while (dir && (entry = readdir(dir)) != NULL) {
		uint64_t number;
		char name[32];

		if (sscanf(entry->d_name, "%8" SCNu64 ".set", &number) != 1)
			continue;
		revision_name(name, number);
		if (strcmp(name, entry->d_name) != 0)
			continue;
		if (*n == size) {
			size = size ? 2 * size : 64;
			list = realloc(list, size * sizeof(*list));
			if (list == NULL)
				abort();
		}
		list[(*n)++] = number;
	}
	if (dir)
		closedir(dir);
	if (list)
		qsort(list, *n, sizeof(*list), number_compare);
	return list;
}

static int
write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Put a file in place in one step. */
static int
replace_file(const struct ctl_store *store, const char *name, const char *text, size_t len,
	     struct spw_err *err)
{
	static const char temporary[] = ".new";
	int fd = openat(store->dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = fd < 0 ? -errno : write_all(fd, text, len);

	if (fd >= 0)
		close(fd);
	if (rc == 0 && renameat(store->dirfd, temporary, store->dirfd, name) < 0)
		rc = -errno;
	if (rc == 0 && fsync(store->dirfd) < 0)
		rc = -errno;
	if (rc < 0) {
		unlinkat(store->dirfd, temporary, 0);
		return spw_fail(err, rc, "%s/%s: %s", store->dir, name, strerror(-rc));
	}
	return 0;
}

static char *
render(const struct ctl_lines *lines, const struct ctl_revision *info, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (out == NULL)
		abort();
	fprintf(out, "# spillway configuration\n# revision %" PRIu64 "\n# at %s\n# by %s\n",
		info->number, info->at, info->who);
	if (info->comment[0])
		fprintf(out, "# comment %s\n", info->comment);
	for (size_t i = 0; i < lines->n; i++)
		fprintf(out, "%s\n", lines->line[i]);
	fflush(out);
	fprintf(out, "# end lines=%zu sum=%016" PRIx64 "\n", lines->n, checksum(text, *len));
	if (fclose(out) != 0)
		abort();
	return text;
}

static void
prune(const struct ctl_store *store)
{
	size_t n;
	uint64_t *list = numbers(store, &n);
	char name[32];

	for (size_t i = CTL_STORE_REVISIONS; i < n; i++) {
		revision_name(name, list[i]);
		unlinkat(store->dirfd, name, 0);
	}
	free(list);
}

int
ctl_store_save(struct ctl_store *store, const struct ctl_lines *lines, struct ctl_revision *info,
	       struct spw_err *err)
{
	size_t n, len;
	uint64_t *list = numbers(store, &n);
	char name[32], *text;
	int rc;

	info->number = n ? list[0] + 1 : 1;
	free(list);
	spw_clock_format(spw_clock_wall_ns(), info->at);
	for (char *p = info->comment; *p; p++)
		*p = *p == '\n' || *p == '\r' ? ' ' : *p;
	revision_name(name, info->number);
	text = render(lines, info, &len);
	rc = replace_file(store, name, text, len, err);
	free(text);
	if (rc == 0)
		prune(store);
	return rc;
}

static char *
read_file(const struct ctl_store *store, const char *name, size_t *len, struct spw_err *err)
{
	int fd = openat(store->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	char *text = NULL;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		spw_fail(err, fd < 0 ? -errno : -EBADMSG, "%s/%s: %s", store->dir, name,
			 fd < 0 ? strerror(errno) : "not a configuration file");
		goto out;
	}
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL || read(fd, text, (size_t)st.st_size) != st.st_size) {
		free(text);
		text = NULL;
		spw_fail(err, -EIO, "%s/%s: cannot be read", store->dir, name);
		goto out;
	}
	text[st.st_size] = '\0';
	*len = (size_t)st.st_size;
out:
	if (fd >= 0)
		close(fd);
	return text;
}

/* Check the last line against the rest. */
static bool
is_whole(const char *text, size_t len)
{
	static const char mark[] = "\n# end lines=";
	const char *end = NULL;
	size_t lines, count = 0;
	uint64_t sum;
	int used = 0;

	if (strlen(text) != len)
		return false;
	for (const char *p = text; (p = strstr(p, mark)) != NULL; p++)
		end = p + 1;
	if (end == NULL ||
	    sscanf(end, "# end lines=%zu sum=%16" SCNx64 "%n", &lines, &sum, &used) != 2 ||
	    strcmp(end + used, "\n") != 0 || sum != checksum(text, (size_t)(end - text)))
		return false;
	for (const char *p = text; p < end; p = strchr(p, '\n') + 1)
		count += *p != '#';
	return count == lines;
}

static void
parse_header(const char *line, struct ctl_revision *info)
{
	if (strncmp(line, "# at ", 5) == 0)
		snprintf(info->at, sizeof(info->at), "%s", line + 5);
	else if (strncmp(line, "# by ", 5) == 0)
		snprintf(info->who, sizeof(info->who), "%s", line + 5);
	else if (strncmp(line, "# comment ", 10) == 0)
		snprintf(info->comment, sizeof(info->comment), "%s", line + 10);
}

static void
parse_file(char *text, struct ctl_lines *lines, struct ctl_revision *info)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '#')
			parse_header(line, info);
		else if (lines)
			ctl_lines_add(lines, "%s", line);
	}
}

int
ctl_store_load_number(struct ctl_store *store, uint64_t number, struct ctl_lines *lines,
		      struct ctl_revision *info, struct spw_err *err)
{
	struct spw_err why = {0};
	char name[32], *text;
	size_t len = 0;

	revision_name(name, number);
	text = read_file(store, name, &len, &why);
	if (text == NULL)
		return spw_fail(err, why.code, "%s", why.text);
	if (!is_whole(text, len)) {
		free(text);
		return spw_fail(err, -EBADMSG, "%s/%s: damaged (cut short or changed by hand)",
				store->dir, name);
	}
	memset(info, 0, sizeof(*info));
	info->number = number;
	parse_file(text, lines, info);
	free(text);
	return 0;
}

int
ctl_store_load(struct ctl_store *store, unsigned int back, struct ctl_lines *lines,
	       struct ctl_revision *info, struct spw_err *err)
{
	unsigned int good = 0;
	size_t n;
	uint64_t *list = numbers(store, &n);

	for (size_t i = 0; i < n; i++) {
		struct spw_err why = {0};
		int rc = ctl_store_load_number(store, list[i], good == back ? lines : NULL, info,
					       &why);

		if (rc < 0) {
			spw_log(SPW_LOG_ERROR, "config", "revision-damaged",
				"revision=%" PRIu64 " reason=\"%s\"", list[i], why.text);
			continue;
		}
		if (good++ == back) {
			free(list);
			return 0;
		}
	}
	free(list);
	return spw_fail(err, -ENODATA, "there is no revision %u: %u are kept", back, good);
}

unsigned int
ctl_store_list(struct ctl_store *store, struct ctl_revision *out, unsigned int max)
{
	unsigned int found = 0;
	size_t n;
	uint64_t *list = numbers(store, &n);

	for (size_t i = 0; i < n && found < max; i++)
		if (ctl_store_load_number(store, list[i], NULL, &out[found], NULL) == 0)
			found++;
	free(list);
	return found;
}

int
ctl_store_pending_set(struct ctl_store *store, uint64_t number, uint64_t deadline_s,
		      struct spw_err *err)
{
	char text[80];
	int n;

	if (deadline_s == 0) {
		if (unlinkat(store->dirfd, "confirm", 0) < 0 && errno != ENOENT)
			return spw_fail(err, -errno, "%s/confirm: %s", store->dir, strerror(errno));
		return 0;
	}
	n = snprintf(text, sizeof(text), "revision %" PRIu64 " deadline %" PRIu64 "\n", number,
		     deadline_s);
	return replace_file(store, "confirm", text, (size_t)n, err);
}

int
ctl_store_pending_get(struct ctl_store *store, uint64_t *number, uint64_t *deadline_s)
{
	size_t len = 0;
	char *text = read_file(store, "confirm", &len, NULL);
	int fields = 0;

	if (text)
		fields = sscanf(text, "revision %" SCNu64 " deadline %" SCNu64, number, deadline_s);
	free(text);
	return fields == 2 ? 0 : -ENOENT;
}
