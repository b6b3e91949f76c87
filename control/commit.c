/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From candidate to running configuration.
 *
 * There is one candidate, shared by all clients, kept in memory: it survives a shell that ends, not
 * a restart of controld. A commit validates the whole candidate, lets the runtime prepare the
 * change (everything that can fail), writes the revision to disk, and only then applies, which
 * cannot fail; any failure before leaves disk, runtime and running tree as they were. The lock-step
 * order prepare, store, apply means that what is on disk has been accepted at least once.
 *
 * A confirmed commit writes down the revision to return to and the deadline before it applies, so
 * the automatic rollback happens even when controld restarts in between. At start the last good
 * revision is applied; while the runtime refuses it, because another daemon is not up yet, it is
 * tried again every second and each new reason is logged once.
 */
#include "control/commit.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ctl_commit {
	struct ctl_model *model;
	struct ctl_store *store;
	struct ctl_runtime *rt;
	struct event *retry;   /* start: the runtime does not take the configuration yet */
	struct event *confirm; /* automatic rollback */
	struct ctl_tree running, candidate;
	uint64_t revision;
	uint64_t confirm_number; /* where the rollback leads, 0 = the empty configuration */
	uint64_t confirm_at_ns;	 /* CLOCK_MONOTONIC, 0 = none pending */
	bool secrets_touched;
	char host_name[64];
	char keys_dir[CTL_PATH];
	char last_reason[SPW_ERR_TEXT];
};

static void on_retry(evutil_socket_t fd, short what, void *arg);
static void on_confirm(evutil_socket_t fd, short what, void *arg);

int
ctl_commit_new(struct ctl_commit **commit, struct event_base *base, struct ctl_model *model,
	       struct ctl_store *store, struct ctl_runtime *rt, const char *state_dir,
	       struct spw_err *err)
{
	struct ctl_commit *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return spw_fail(err, -ENOMEM, "no memory for the configuration");
	c->model = model;
	c->store = store;
	c->rt = rt;
	c->retry = evtimer_new(base, on_retry, c);
	c->confirm = evtimer_new(base, on_confirm, c);
	snprintf(c->keys_dir, sizeof(c->keys_dir), "%s/keys", state_dir);
	snprintf(c->host_name, sizeof(c->host_name), "spillway");
	if (c->retry == NULL || c->confirm == NULL) {
		ctl_commit_free(c);
		return spw_fail(err, -ENOMEM, "no memory for the configuration");
	}
	*commit = c;
	return 0;
}

void
ctl_commit_free(struct ctl_commit *commit)
{
	if (commit == NULL)
		return;
	if (commit->retry)
		event_free(commit->retry);
	if (commit->confirm)
		event_free(commit->confirm);
	ctl_tree_free(&commit->running);
	ctl_tree_free(&commit->candidate);
	free(commit);
}

struct ctl_model *
ctl_commit_model(struct ctl_commit *commit)
{
	return commit->model;
}

struct ctl_store *
ctl_commit_store(struct ctl_commit *commit)
{
	return commit->store;
}

struct ctl_tree *
ctl_commit_candidate(struct ctl_commit *commit)
{
	return &commit->candidate;
}

const struct ctl_tree *
ctl_commit_running(struct ctl_commit *commit)
{
	return &commit->running;
}

const char *
ctl_commit_host_name(const struct ctl_commit *commit)
{
	return commit->host_name;
}

const char *
ctl_commit_keys_dir(const struct ctl_commit *commit)
{
	return commit->keys_dir;
}

uint64_t
ctl_commit_revision(const struct ctl_commit *commit)
{
	return commit->revision;
}

uint32_t
ctl_commit_confirm_left(const struct ctl_commit *commit)
{
	uint64_t now = spw_clock_ns();

	if (commit->confirm_at_ns == 0)
		return 0;
	return commit->confirm_at_ns > now
		       ? (uint32_t)((commit->confirm_at_ns - now) / SPW_NS_PER_S) + 1
		       : 1;
}

void
ctl_commit_touch_secrets(struct ctl_commit *commit)
{
	commit->secrets_touched = true;
}

static void
tree_diff(struct ctl_model *model, const struct ctl_tree *from, const struct ctl_tree *to,
	  struct ctl_lines *diff)
{
	struct ctl_lines a = {0}, b = {0};

	ctl_model_lines(model, from, &a);
	ctl_model_lines(model, to, &b);
	ctl_lines_diff(&a, &b, diff);
	ctl_lines_free(&a);
	ctl_lines_free(&b);
}

bool
ctl_commit_is_dirty(struct ctl_commit *commit)
{
	struct ctl_lines diff = {0};
	bool dirty;

	tree_diff(commit->model, &commit->running, &commit->candidate, &diff);
	dirty = diff.n > 0;
	ctl_lines_free(&diff);
	return dirty;
}

static int
tree_from_lines(struct ctl_commit *c, struct ctl_tree *tree, const char *const *line, size_t n,
		size_t *bad_line, struct spw_err *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc = ctl_model_edit(c->model, tree, line[i], err);

		if (rc < 0) {
			*bad_line = i;
			return rc;
		}
	}
	return 0;
}

int
ctl_commit_edit(struct ctl_commit *commit, const char *const *line, size_t n, bool clear,
		size_t *bad_line, struct spw_err *err)
{
	struct ctl_tree next = {0};
	int rc = 0;

	*bad_line = 0;
	if (!clear && ctl_tree_copy(&next, &commit->candidate) < 0)
		return spw_fail(err, -ENOMEM, "no memory for the candidate");
	rc = tree_from_lines(commit, &next, line, n, bad_line, err);
	if (rc == 0)
		ctl_tree_swap(&next, &commit->candidate);
	ctl_tree_free(&next);
	return rc;
}

/* Read a stored revision into a tree. by number, or `back` steps when number is 0. */
static int
tree_from_store(struct ctl_commit *c, uint64_t number, unsigned int back, struct ctl_tree *tree,
		struct ctl_revision *info, struct spw_err *err)
{
	struct ctl_lines lines = {0};
	size_t bad = 0;
	int rc;

	rc = number ? ctl_store_load_number(c->store, number, &lines, info, err)
		    : ctl_store_load(c->store, back, &lines, info, err);
	if (rc == 0)
		rc = tree_from_lines(c, tree, (const char *const *)lines.line, lines.n, &bad, err);
	ctl_lines_free(&lines);
	if (rc < 0)
		ctl_tree_free(tree);
	return rc;
}

int
ctl_commit_rollback(struct ctl_commit *commit, unsigned int back, struct spw_err *err)
{
	struct ctl_tree tree = {0};
	struct ctl_revision info;
	int rc;

	if (back == 0)
		rc = ctl_tree_copy(&tree, &commit->running);
	else
		rc = tree_from_store(commit, 0, back, &tree, &info, err);
	if (rc < 0)
		return rc;
	ctl_tree_swap(&tree, &commit->candidate);
	ctl_tree_free(&tree);
	return 0;
}

static void
arm_confirm(struct ctl_commit *c, uint64_t number, uint64_t delay_s)
{
	struct timeval when = {.tv_sec = (time_t)delay_s};

	c->confirm_number = number;
	c->confirm_at_ns = spw_clock_ns() + delay_s * SPW_NS_PER_S + 1;
	evtimer_add(c->confirm, &when);
}

static void
disarm_confirm(struct ctl_commit *c)
{
	c->confirm_at_ns = 0;
	evtimer_del(c->confirm);
	ctl_store_pending_set(c->store, 0, 0, NULL);
}

static int
store_next(struct ctl_commit *c, const struct ctl_tree *tree, const struct ctl_commit_request *req,
	   uint64_t *revision, struct spw_err *err)
{
	uint64_t back = c->confirm_at_ns ? c->confirm_number : c->revision;
	uint64_t now_s = spw_clock_wall_ns() / SPW_NS_PER_S;
	struct ctl_revision info = {0};
	struct ctl_lines lines = {0};
	int rc = 0;

	snprintf(info.who, sizeof(info.who), "%s", req->who);
	snprintf(info.comment, sizeof(info.comment), "%s", req->comment ? req->comment : "");
	ctl_model_lines(c->model, tree, &lines);
	if (req->confirm_s)
		rc = ctl_store_pending_set(
			c->store, back, spw_clock_wall_ns() / SPW_NS_PER_S + req->confirm_s, err);
	if (rc == 0)
		rc = ctl_store_save(c->store, &lines, &info, err);
	if (rc < 0 && req->confirm_s) /* as it was: none pending, or the older deadline */
		ctl_store_pending_set(c->store, c->confirm_number,
				      c->confirm_at_ns ? now_s + ctl_commit_confirm_left(c) : 0,
				      NULL);
	ctl_lines_free(&lines);
	*revision = info.number;
	return rc;
}

/* The heart of a commit: prepare, store, apply. `tree` is left empty on success. */
static int
make_run(struct ctl_commit *c, struct ctl_tree *tree, const struct ctl_config *config,
	 const struct ctl_commit_request *req, bool save, struct spw_err *err)
{
	uint64_t revision = c->revision;
	struct ctl_plan *plan = NULL;
	int rc = ctl_runtime_prepare(c->rt, config, &plan, err);

	if (rc < 0)
		return rc;
	if (save && !req->check)
		rc = store_next(c, tree, req, &revision, err);
	if (rc < 0 || req->check) {
		ctl_runtime_abandon(c->rt, plan);
		return rc;
	}
	ctl_runtime_apply(c->rt, plan);
	evtimer_del(c->retry);
	c->revision = revision;
	c->secrets_touched = false;
	snprintf(c->host_name, sizeof(c->host_name), "%s", config->host_name);
	ctl_tree_swap(&c->running, tree);
	ctl_tree_free(tree);
	return 0;
}

static int
commit_tree(struct ctl_commit *c, const struct ctl_tree *tree, const struct ctl_commit_request *req,
	    struct ctl_commit_result *result, struct spw_err *err)
{
	struct ctl_config *config = NULL;
	struct ctl_tree copy = {0};
	int rc;

	tree_diff(c->model, &c->running, tree, &result->diff);
	result->changed = result->diff.n > 0;
	rc = ctl_model_build(c->model, tree, c->keys_dir, &config, &result->warnings, err);
	if (rc < 0)
		return rc;
	if (ctl_tree_copy(&copy, tree) < 0)
		rc = spw_fail(err, -ENOMEM, "no memory for the configuration");
	else if (result->changed || c->secrets_touched || req->check)
		rc = make_run(c, &copy, config, req, result->changed, err);
	ctl_config_free(config);
	ctl_tree_free(&copy);
	return rc;
}

char *
ctl_log_text(char *out, size_t size, const char *text)
{
	char plain[CTL_LINE_MAX];

	snprintf(plain, sizeof(plain), "%s", text);
	for (char *p = plain; *p; p++)
		*p = *p == '"' ? '\'' : *p;
	return spw_text_escape(out, size, plain, strlen(plain));
}

static void
log_commit(const struct ctl_commit_request *req, const struct ctl_commit_result *result,
	   const struct spw_err *err)
{
	const char *event = req->check ? "commit-check" : "commit";
	char text[SPW_ERR_TEXT];

	if (err->code)
		spw_log(SPW_LOG_WARNING, "config", event, "who=\"%s\" result=refused reason=\"%s\"",
			req->who, ctl_log_text(text, sizeof(text), err->text));
	else
		spw_log(SPW_LOG_INFO, "config", event,
			"who=\"%s\" result=ok revision=%" PRIu64 " changes=%zu took_ms=%.1f",
			req->who, result->revision, result->diff.n, result->took_ms);
	for (size_t i = 0; i < result->warnings.n && !err->code; i++)
		spw_log(SPW_LOG_WARNING, "config", "warning", "text=\"%s\"",
			ctl_log_text(text, sizeof(text), result->warnings.line[i]));
	for (size_t i = 0; i < result->diff.n && !err->code && !req->check; i++)
		spw_log(SPW_LOG_INFO, "config", "change", "line=\"%s\"",
			ctl_log_text(text, sizeof(text), result->diff.line[i]));
}

/* What a commit means for a confirmation: one begins, begins anew, or is given. */
static int
settle_confirm(struct ctl_commit *c, uint64_t back, const struct ctl_commit_request *req,
	       struct ctl_commit_result *result, struct spw_err *err)
{
	uint64_t deadline_s = spw_clock_wall_ns() / SPW_NS_PER_S + req->confirm_s;
	int rc = 0;

	if (req->confirm_s && (result->changed || c->confirm_at_ns)) {
		if (!result->changed) /* else it was written with the revision */
			rc = ctl_store_pending_set(c->store, back, deadline_s, err);
		if (rc == 0)
			arm_confirm(c, back, req->confirm_s);
	} else if (c->confirm_at_ns) {
		disarm_confirm(c);
		result->confirmed = true;
	}
	return rc;
}

int
ctl_commit_run(struct ctl_commit *commit, const struct ctl_commit_request *request,
	       struct ctl_commit_result *result, struct spw_err *err)
{
	uint64_t start = spw_clock_ns();
	uint64_t back = commit->confirm_at_ns ? commit->confirm_number : commit->revision;
	struct spw_err why = {0};
	int rc;

	memset(result, 0, sizeof(*result));
	rc = commit_tree(commit, &commit->candidate, request, result, &why);
	result->took_ms = (double)(spw_clock_ns() - start) / SPW_NS_PER_MS;
	result->revision = commit->revision;
	if (rc == 0 && !request->check)
		rc = settle_confirm(commit, back, request, result, &why);
	log_commit(request, result, &why);
	if (rc < 0) {
		ctl_commit_result_fini(result);
		return spw_fail(err, rc, "%s", why.text);
	}
	return 0;
}

void
ctl_commit_result_fini(struct ctl_commit_result *result)
{
	ctl_lines_free(&result->diff);
	ctl_lines_free(&result->warnings);
}

int
ctl_commit_confirm(struct ctl_commit *commit, const char *who, struct spw_err *err)
{
	if (commit->confirm_at_ns == 0)
		return spw_fail(err, -ENOENT, "no commit waits for a confirmation");
	disarm_confirm(commit);
	spw_log(SPW_LOG_INFO, "config", "commit-confirmed", "who=\"%s\" revision=%" PRIu64, who,
		commit->revision);
	return 0;
}

/* The candidate follows unless somebody is at work on it. */
static void
roll_back(struct ctl_commit *c)
{
	struct ctl_commit_request req = {.who = "controld", .comment = "automatic rollback"};
	struct ctl_commit_result result = {0};
	struct ctl_tree tree = {0};
	struct ctl_revision info;
	struct spw_err err = {0};
	bool follow = !ctl_commit_is_dirty(c);
	int rc = 0;

	if (c->confirm_number)
		rc = tree_from_store(c, c->confirm_number, 0, &tree, &info, &err);
	if (rc == 0)
		rc = commit_tree(c, &tree, &req, &result, &err);
	result.revision = c->revision;
	log_commit(&req, &result, &err);
	if (rc == 0 && follow)
		ctl_tree_copy(&c->candidate, &c->running);
	ctl_tree_free(&tree);
	ctl_commit_result_fini(&result);
	if (rc < 0)
		arm_confirm(c, c->confirm_number, 1);
	else
		disarm_confirm(c);
}

static void
on_confirm(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_commit *c = arg;

	spw_log(SPW_LOG_WARNING, "config", "commit-not-confirmed",
		"revision=%" PRIu64 " back_to=%" PRIu64, c->revision, c->confirm_number);
	roll_back(c);
}

static void
resume_confirm(struct ctl_commit *c)
{
	uint64_t number, deadline, now = spw_clock_wall_ns() / SPW_NS_PER_S;

	if (ctl_store_pending_get(c->store, &number, &deadline) < 0)
		return;
	arm_confirm(c, number, deadline > now ? deadline - now : 0);
}

/* Try to make the running tree run. */
static int
apply_running(struct ctl_commit *c, struct spw_err *err)
{
	struct ctl_commit_request req = {.who = "controld"};
	struct ctl_config *config = NULL;
	struct ctl_tree copy = {0};
	int rc = ctl_model_build(c->model, &c->running, c->keys_dir, &config, NULL, err);

	if (rc == 0 && ctl_tree_copy(&copy, &c->running) < 0)
		rc = spw_fail(err, -ENOMEM, "no memory for the configuration");
	if (rc == 0) {
		snprintf(c->host_name, sizeof(c->host_name), "%s", config->host_name);
		rc = make_run(c, &copy, config, &req, false, err);
	}
	ctl_config_free(config);
	ctl_tree_free(&copy);
	return rc;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval second = {.tv_sec = 1};
	struct ctl_commit *c = arg;
	struct spw_err err = {0};
	char text[SPW_ERR_TEXT];

	if (apply_running(c, &err) == 0) {
		spw_log(SPW_LOG_INFO, "config", "applied", "revision=%" PRIu64, c->revision);
		return;
	}
	if (strcmp(err.text, c->last_reason) != 0)
		spw_log(SPW_LOG_ERROR, "config", "not-applied",
			"revision=%" PRIu64 " reason=\"%s\" retry_s=1", c->revision,
			ctl_log_text(text, sizeof(text), err.text));
	snprintf(c->last_reason, sizeof(c->last_reason), "%s", err.text);
	evtimer_add(c->retry, &second);
}

/* The newest revision that is whole and valid; older ones only when newer ones are not. */
static int
load_last_good(struct ctl_commit *c)
{
	struct ctl_revision info;
	struct spw_err err = {0};
	char text[SPW_ERR_TEXT];

	for (unsigned int back = 0; back < CTL_STORE_REVISIONS; back++) {
		struct ctl_config *config = NULL;
		int rc;

		err = (struct spw_err){0};
		rc = tree_from_store(c, 0, back, &c->running, &info, &err);
		if (rc == -ENODATA)
			return rc;
		if (rc == 0)
			rc = ctl_model_build(c->model, &c->running, c->keys_dir, &config, NULL,
					     &err);
		ctl_config_free(config);
		if (rc == 0) {
			c->revision = info.number;
			return 0;
		}
		spw_log(SPW_LOG_ERROR, "config", "revision-invalid",
			"revision=%" PRIu64 " reason=\"%s\"", info.number,
			ctl_log_text(text, sizeof(text), err.text));
		ctl_tree_free(&c->running);
	}
	return -ENODATA;
}

void
ctl_commit_start(struct ctl_commit *commit)
{
	if (load_last_good(commit) < 0) {
		spw_log(SPW_LOG_INFO, "config", "empty", "reason=\"no revision stored\"");
		return;
	}
	ctl_tree_copy(&commit->candidate, &commit->running);
	resume_confirm(commit);
	on_retry(-1, 0, commit);
}
