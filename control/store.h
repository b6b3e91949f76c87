/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: committed configurations on disk. One thread. */
#ifndef SPW_CONTROL_STORE_H
#define SPW_CONTROL_STORE_H

#include <stdint.h>

#include "control/model.h"

#define CTL_STORE_REVISIONS 50

struct ctl_store;

struct ctl_revision {
	uint64_t number; /* 1, 2, ...; never used twice */
	char at[32];	 /* wall clock, RFC 3339 */
	char who[64];
	char comment[CTL_TEXT];
};

/* Open (and make) DIR/revisions. 0 or -errno with a sentence. Free with ctl_store_close(). */
int ctl_store_open(struct ctl_store **store, const char *dir, struct spw_err *err);
void ctl_store_close(struct ctl_store *store);
/*
 * Write the lines as the next revision: to a temporary file, fsync, rename, fsync of the directory;
 * then forget all but the newest CTL_STORE_REVISIONS.
 * @info  who and comment are read; number and at are set
 * 0 or -errno with a sentence; nothing has changed on disk then.
 */
int ctl_store_save(struct ctl_store *store, const struct ctl_lines *lines,
		   struct ctl_revision *info, struct spw_err *err);
/*
 * Read the revision `back` steps before the newest good one (0 = the newest). Damaged files are
 * passed over, each with an error line in the log. The lines are appended.
 * 0; -ENODATA with a sentence when there are not so many.
 */
int ctl_store_load(struct ctl_store *store, unsigned int back, struct ctl_lines *lines,
		   struct ctl_revision *info, struct spw_err *err);
/* Read one revision by number. 0, -ENOENT, or -EBADMSG with a sentence when it is damaged. */
int ctl_store_load_number(struct ctl_store *store, uint64_t number, struct ctl_lines *lines,
			  struct ctl_revision *info, struct spw_err *err);
/* The good revisions, newest first, at most `max`; returns how many. */
unsigned int ctl_store_list(struct ctl_store *store, struct ctl_revision *out, unsigned int max);

/*
 * A commit that waits for confirmation, kept over a restart: the revision to return to and the wall
 * clock second when. deadline_s 0 clears. 0 or -errno with a sentence.
 */
int ctl_store_pending_set(struct ctl_store *store, uint64_t number, uint64_t deadline_s,
			  struct spw_err *err);
/* 0, or -ENOENT when none is pending. */
int ctl_store_pending_get(struct ctl_store *store, uint64_t *number, uint64_t *deadline_s);

#endif
