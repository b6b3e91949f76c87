/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/: the candidate, the running configuration, and the way from one to the
 * other. One thread (the event loop).
 */
#ifndef SPW_CONTROL_COMMIT_H
#define SPW_CONTROL_COMMIT_H

#include <stdint.h>

#include "control/model.h"
#include "control/runtime.h"
#include "control/store.h"

struct ctl_commit;

struct ctl_commit_request {
	const char *who;
	const char *comment; /* may be NULL */
	bool check;	     /* only tell whether it would go */
	uint32_t confirm_s;  /* roll back after this long without a confirm; 0 = for good */
};
/* Free with ctl_commit_result_fini(). */
struct ctl_commit_result {
	bool changed;
	bool confirmed; /* this commit confirmed the one before */
	uint64_t revision;
	double took_ms;
	struct ctl_lines diff;
	struct ctl_lines warnings;
};

/* All borrowed until ctl_commit_free(). */
int ctl_commit_new(struct ctl_commit **commit, struct event_base *base, struct ctl_model *model,
		   struct ctl_store *store, struct ctl_runtime *rt, const char *state_dir,
		   struct spw_err *err);
void ctl_commit_free(struct ctl_commit *commit);
/*
 * Load the last good revision and make it run; when the runtime cannot take it yet (a daemon not
 * up), try again every second. Resumes a pending confirmation.
 */
void ctl_commit_start(struct ctl_commit *commit);

struct ctl_model *ctl_commit_model(struct ctl_commit *commit);
struct ctl_store *ctl_commit_store(struct ctl_commit *commit);
struct ctl_tree *ctl_commit_candidate(struct ctl_commit *commit);
const struct ctl_tree *ctl_commit_running(struct ctl_commit *commit);
const char *ctl_commit_host_name(const struct ctl_commit *commit);
/* Where secret files with relative names lie. */
const char *ctl_commit_keys_dir(const struct ctl_commit *commit);
/* Number of the running revision, 0 = none yet. */
uint64_t ctl_commit_revision(const struct ctl_commit *commit);
/* Seconds until the automatic rollback, 0 = none pending. */
uint32_t ctl_commit_confirm_left(const struct ctl_commit *commit);
/* The candidate differs from what runs. */
bool ctl_commit_is_dirty(struct ctl_commit *commit);
/* A secret file was replaced: the next commit hands it on even without another change. */
void ctl_commit_touch_secrets(struct ctl_commit *commit);

/*
 * Apply lines to the candidate, all or none.
 * @clear     start from an empty candidate
 * @bad_line  receives the index of the refused line
 */
int ctl_commit_edit(struct ctl_commit *commit, const char *const *line, size_t n, bool clear,
		    size_t *bad_line, struct spw_err *err);
/* Candidate := the revision `back` steps before the running one; 0 = the running one. */
int ctl_commit_rollback(struct ctl_commit *commit, unsigned int back, struct spw_err *err);
/*
 * Validate, prepare, store, apply. 0 with a result; -errno with a sentence, and then nothing
 * has changed.
 */
int ctl_commit_run(struct ctl_commit *commit, const struct ctl_commit_request *request,
		   struct ctl_commit_result *result, struct spw_err *err);
void ctl_commit_result_fini(struct ctl_commit_result *result);
/* Keep what a confirmed commit made. 0, or -ENOENT when nothing waits. */
int ctl_commit_confirm(struct ctl_commit *commit, const char *who, struct spw_err *err);

/* Text for a quoted value of a log line: printable, with ' for ". Returns out. */
char *ctl_log_text(char *out, size_t size, const char *text);

#endif
