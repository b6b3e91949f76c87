/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The book of numbers.
 *
 * The data plane keeps its objects while this process is away, so the same path must have the same
 * number afterwards: a number is written down before it is used. The file is a journal of lines
 *     + CLASS NUMBER KEY      a number was given
 *     - CLASS NUMBER KEY      it was given back
 *     = NAME VALUE            a fact (the generation, operator requests)
 * appended with one write() each and written anew (file beside, rename) at every open, and before
 * the next line when one could not be written: a number must not be given while the file has it
 * with another key. It lies in the run directory: a reboot ends the data plane and the book
 * together, so nothing is synced to disk. Keys are looked up by a search tree, free numbers by a
 * bitmap; one thread.
 *
 * Numbers of groups and paths go round: a leaf that the data plane still has for a moment must not
 * find another group, perhaps one in the clear, under its old number.
 */
#include "control/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* First and last number of each class (lib/msg_dataplane.h). */
static const struct {
	const char *name;
	uint32_t first, last;
	bool around; /* numbers go round before one is given again */
} classes[CTL_ID_CLASSES] = {
	[CTL_ID_PORT] = {"port", 0, 63, false},
	[CTL_ID_IFACE] = {"iface", 1, 65535, false},
	[CTL_ID_TUNNEL] = {"tunnel", 0, 65535, false},
	[CTL_ID_PATH] = {"path", 0, SPW_DP_PATHS_MAX - 1, true},
	[CTL_ID_GROUP] = {"group", 1, 1048575, true},
	[CTL_ID_BFD] = {"bfd", 0, SPW_DP_BFD_MAX - 1, false},
	[CTL_ID_PROBE] = {"probe", 0, SPW_DP_PROBES_MAX - 1, true},
};

struct number {
	enum ctl_id_class class;
	uint32_t id;
	char *key;
};
struct fact {
	struct fact *next;
	char *name, *value;
};

struct ctl_ids {
	void *tree; /* struct number by class and key */
	uint64_t *used[CTL_ID_CLASSES];
	uint32_t hint[CTL_ID_CLASSES]; /* where the search for a free number starts */
	struct fact *facts;
	int fd;
	unsigned int appended; /* lines since the file was written anew */
	bool stale;	       /* the file does not say what the memory does */
	char *path;
};

/* Rewritten after this many appended lines, so that a long life does not grow the file. */
#define JOURNAL_LINES 65536

static int
compare(const void *a, const void *b)
{
	const struct number *x = a, *y = b;

	return x->class != y->class ? (int)x->class - (int)y->class : strcmp(x->key, y->key);
}

static struct number *
find(const struct ctl_ids *ids, enum ctl_id_class class, const char *key)
{
	struct number probe = {.class = class, .key = (char *)(uintptr_t)key};
	struct number **at = tfind(&probe, &ids->tree, compare);

	return at ? *at : NULL;
}

static void
mark(struct ctl_ids *ids, enum ctl_id_class class, uint32_t id, bool on)
{
	uint64_t bit = UINT64_C(1) << (id % 64);

	if (on) {
		ids->used[class][id / 64] |= bit;
		if (classes[class].around)
			ids->hint[class] = id + 1;
		return;
	}
	ids->used[class][id / 64] &= ~bit;
	if (id < ids->hint[class] && !classes[class].around)
		ids->hint[class] = id;
}

static bool
is_used(const struct ctl_ids *ids, enum ctl_id_class class, uint32_t id)
{
	return ids->used[class][id / 64] >> (id % 64) & 1;
}

static struct number *
add(struct ctl_ids *ids, enum ctl_id_class class, uint32_t id, const char *key)
{
	struct number *e = calloc(1, sizeof(*e));

	if (e)
		e->key = strdup(key);
	if (!e || !e->key || !tsearch((e->class = class, e->id = id, e), &ids->tree, compare)) {
		if (e)
			free(e->key);
		free(e);
		return NULL;
	}
	mark(ids, class, id, true);
	return e;
}

static void
drop(struct ctl_ids *ids, struct number *e)
{
	tdelete(e, &ids->tree, compare);
	mark(ids, e->class, e->id, false);
	free(e->key);
	free(e);
}

static struct fact *
fact_find(const struct ctl_ids *ids, const char *name)
{
	struct fact *f = ids->facts;

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

static void
fact_put(struct ctl_ids *ids, const char *name, const char *value)
{
	struct fact *f = fact_find(ids, name);
	char *copy = strdup(value);

	if (!copy)
		return;
	if (!f) {
		f = calloc(1, sizeof(*f));
		if (!f || !(f->name = strdup(name))) {
			free(f);
			free(copy);
			return;
		}
		f->next = ids->facts;
		ids->facts = f;
	}
	free(f->value);
	f->value = copy;
}

static void
read_number(struct ctl_ids *ids, char sign, const char *text)
{
	char name[16], key[CTL_ID_KEY];
	unsigned int id, class = 0;

	if (sscanf(text, "%15s %u %319[^\n]", name, &id, key) != 3)
		return;
	while (class < CTL_ID_CLASSES && strcmp(classes[class].name, name) != 0)
		class ++;
	if (class == CTL_ID_CLASSES || id < classes[class].first || id > classes[class].last)
		return;
	struct number *e = find(ids, class, key);

	if (e)
		drop(ids, e);
	if (sign == '+' && !is_used(ids, class, id))
		add(ids, class, id, key);
}

static void
read_line(struct ctl_ids *ids, const char *line)
{
	char name[64], value[CTL_ID_KEY];

	if ((line[0] == '+' || line[0] == '-') && line[1] == ' ')
		read_number(ids, line[0], line + 2);
	else if (sscanf(line, "= %63s %319[^\n]", name, value) == 2)
		fact_put(ids, name, value);
}

static void
read_file(struct ctl_ids *ids)
{
	FILE *f = fopen(ids->path, "re");
	char line[CTL_ID_KEY + 64];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (strchr(line, '\n'))
			read_line(ids, line);
	fclose(f);
}

static void
write_entry(const void *node, VISIT visit, void *out)
{
	const struct number *e = *(struct number *const *)node;

	if (visit == postorder || visit == leaf)
		fprintf(out, "+ %s %u %s\n", classes[e->class].name, e->id, e->key);
}

/* Write the whole book anew and keep it open for appending. */
static int
rewrite(struct ctl_ids *ids, struct spw_err *err)
{
	char tmp[512];
	FILE *f;

	if (snprintf(tmp, sizeof(tmp), "%s.new", ids->path) >= (int)sizeof(tmp))
		return spw_fail(err, -ENAMETOOLONG, "%s: name is too long", ids->path);
	f = fopen(tmp, "we");
	if (!f)
		return spw_fail(err, -errno, "cannot write %s: %s", tmp, strerror(errno));
	twalk_r(ids->tree, write_entry, f);
	for (struct fact *x = ids->facts; x; x = x->next)
		fprintf(f, "= %s %s\n", x->name, x->value);
	bool bad = ferror(f) != 0;

	if (fclose(f) != 0 || bad || rename(tmp, ids->path) != 0) {
		spw_fail(err, -EIO, "cannot write %s: %s", ids->path, strerror(errno));
		unlink(tmp);
		return -EIO;
	}
	if (ids->fd >= 0)
		close(ids->fd);
	ids->appended = 0;
	ids->fd = open(ids->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	ids->stale = ids->fd < 0;
	return ids->fd < 0 ? spw_fail(err, -errno, "cannot open %s: %s", ids->path, strerror(errno))
			   : 0;
}

/* Where there is no room left a line is cut short; with the next one it would make a wrong one. */
static void
take_back(struct ctl_ids *ids, ssize_t written)
{
	off_t end = lseek(ids->fd, 0, SEEK_END);

	if (written > 0 && (end < written || ftruncate(ids->fd, end - written) != 0))
		spw_log(SPW_LOG_ERROR, "ids", "line-cut-short", "file=%s", ids->path);
}

static bool
append(struct ctl_ids *ids, const char *line)
{
	size_t len = strlen(line);
	struct spw_err err = {0};
	ssize_t n;

	if ((ids->stale || ++ids->appended > JOURNAL_LINES) && rewrite(ids, &err) != 0) {
		spw_log(SPW_LOG_ERROR, "ids", "write-failed", "file=%s error=\"%s\"", ids->path,
			err.text);
		ids->stale = true;
		return false;
	}
	n = write(ids->fd, line, len);
	if (n == (ssize_t)len)
		return true;
	spw_log(SPW_LOG_ERROR, "ids", "write-failed", "file=%s error=\"%s\"", ids->path,
		n < 0 ? strerror(errno) : "no room for the whole line");
	take_back(ids, n);
	ids->stale = true;
	return false;
}

int
ctl_ids_open(struct ctl_ids **out, const char *path, struct spw_err *err)
{
	struct ctl_ids *ids = calloc(1, sizeof(*ids));
	int rc;

	if (!ids)
		return spw_fail(err, -ENOMEM, "out of memory");
	ids->fd = -1;
	ids->path = strdup(path);
	for (unsigned int c = 0; c < CTL_ID_CLASSES; c++) {
		ids->used[c] = calloc(classes[c].last / 64 + 1, sizeof(uint64_t));
		ids->hint[c] = classes[c].first;
		if (!ids->used[c] || !ids->path) {
			ctl_ids_close(ids);
			return spw_fail(err, -ENOMEM, "out of memory");
		}
	}
	read_file(ids);
	rc = rewrite(ids, err);
	if (rc != 0) {
		ctl_ids_close(ids);
		return rc;
	}
	*out = ids;
	return 0;
}

static void
entry_free(void *node)
{
	struct number *e = node;

	free(e->key);
	free(e);
}

void
ctl_ids_close(struct ctl_ids *ids)
{
	if (!ids)
		return;
	tdestroy(ids->tree, entry_free);
	for (struct fact *f = ids->facts, *next; f; f = next) {
		next = f->next;
		free(f->name);
		free(f->value);
		free(f);
	}
	for (unsigned int c = 0; c < CTL_ID_CLASSES; c++)
		free(ids->used[c]);
	if (ids->fd >= 0)
		close(ids->fd);
	free(ids->path);
	free(ids);
}

static uint32_t
free_from(const struct ctl_ids *ids, enum ctl_id_class class, uint32_t from, uint32_t to)
{
	for (uint32_t id = from; id <= to; id++)
		if (!is_used(ids, class, id))
			return id;
	return CTL_ID_NONE;
}

static uint32_t
number_find(struct ctl_ids *ids, enum ctl_id_class class)
{
	uint32_t id = free_from(ids, class, ids->hint[class], classes[class].last);

	if (id == CTL_ID_NONE)
		id = free_from(ids, class, classes[class].first, classes[class].last);
	if (id == CTL_ID_NONE)
		spw_log(SPW_LOG_ERROR, "ids", "class-full", "class=%s", classes[class].name);
	return id;
}

uint32_t
ctl_ids_get(struct ctl_ids *ids, enum ctl_id_class class, const char *key)
{
	struct number *e = find(ids, class, key);
	char line[CTL_ID_KEY + 64];
	uint32_t id;

	if (e)
		return e->id;
	id = number_find(ids, class);
	if (id == CTL_ID_NONE || strlen(key) >= CTL_ID_KEY)
		return CTL_ID_NONE;
	snprintf(line, sizeof(line), "+ %s %u %s\n", classes[class].name, id, key);
	if (!append(ids, line))
		return CTL_ID_NONE;
	if (!add(ids, class, id, key)) {
		ids->stale = true;
		return CTL_ID_NONE;
	}
	return id;
}

void
ctl_ids_put(struct ctl_ids *ids, enum ctl_id_class class, const char *key)
{
	struct number *e = find(ids, class, key);
	char line[CTL_ID_KEY + 64];

	if (!e)
		return;
	snprintf(line, sizeof(line), "- %s %u %s\n", classes[class].name, e->id, key);
	append(ids, line);
	drop(ids, e);
}

void
ctl_ids_set_fact(struct ctl_ids *ids, const char *name, const char *value)
{
	char line[CTL_ID_KEY + 80];

	fact_put(ids, name, value);
	snprintf(line, sizeof(line), "= %s %s\n", name, value);
	append(ids, line);
}

const char *
ctl_ids_get_fact(const struct ctl_ids *ids, const char *name)
{
	const struct fact *f = fact_find(ids, name);

	return f ? f->value : "";
}

uint32_t
ctl_ids_next_generation(struct ctl_ids *ids)
{
	uint32_t next = (uint32_t)strtoul(ctl_ids_get_fact(ids, "generation"), NULL, 10) + 1;
	char text[16];

	snprintf(text, sizeof(text), "%u", next);
	ctl_ids_set_fact(ids, "generation", text);
	return next;
}
