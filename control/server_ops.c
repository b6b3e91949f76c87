/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The requests of control.sock, one function each, in one table that says which of them change
 * something. Those need the right to write and leave an audit line, whatever their result.
 *
 * A handler returns a new result object, or NULL with a sentence; nothing it does is visible when
 * it fails. Commands (server_command.c) may take time: their answer is sent when they are through.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/server_private.h"

typedef json_t *(*op_fn)(struct server_request *req, struct spw_err *err);

const char *
server_text(const struct server_request *req, const char *key)
{
	return json_string_value(json_object_get(req->body, key));
}

json_t *
server_fail(struct spw_err *err, int code, const char *text)
{
	spw_fail(err, code, "%s", text);
	return NULL;
}

static json_t *
json_lines(const struct ctl_lines *lines)
{
	json_t *array = json_array();

	for (size_t i = 0; i < lines->n; i++)
		json_array_append_new(array, json_string(lines->line[i]));
	return array;
}

static json_t *
confirm_left_json(struct ctl_commit *c)
{
	uint32_t left = ctl_commit_confirm_left(c);

	return left ? json_integer(left) : json_null();
}

static json_t *
op_status(struct server_request *req, struct spw_err *err)
{
	struct ctl_commit *c = req->client->server->commit;

	return json_pack("{s:s, s:s, s:I, s:b, s:b, s:o}", "version", SPILLWAY_VERSION, "host_name",
			 ctl_commit_host_name(c), "revision", (json_int_t)ctl_commit_revision(c),
			 "changed", (int)ctl_commit_is_dirty(c), "may_write",
			 (int)req->client->may_write, "confirm_in_s", confirm_left_json(c));
}

static json_t *
op_show(struct server_request *req, struct spw_err *err)
{
	struct ctl_server *server = req->client->server;
	const char *what = server_text(req, "what");
	json_t *result;

	if (what == NULL)
		return server_fail(err, -EINVAL, "show needs \"what\"");
	result = ctl_runtime_show(server->rt, what, server_text(req, "arg"), err);
	if (result && strcmp(what, "version") == 0) {
		json_object_set_new(result, "version", json_string(SPILLWAY_VERSION));
		json_object_set_new(result, "revision",
				    json_integer((json_int_t)ctl_commit_revision(server->commit)));
		json_object_set_new(
			result, "uptime_s",
			json_real((double)(spw_clock_ns() - server->started_ns) / SPW_NS_PER_S));
	}
	if (result == NULL && err->code == 0)
		return server_fail(err, -EIO, "nothing to show");
	return result;
}

/* The tree a request names by "source" and "revision"; copy is filled when it had to be read. */
static int
pick_tree(struct server_request *req, const struct ctl_tree **tree, struct ctl_tree *copy,
	  struct spw_err *err)
{
	struct ctl_commit *c = req->client->server->commit;
	json_int_t back = json_integer_value(json_object_get(req->body, "revision"));
	const char *source = server_text(req, "source");
	struct ctl_lines lines = {0};
	struct ctl_revision info;
	int rc;

	if (source && strcmp(source, "candidate") == 0) {
		*tree = ctl_commit_candidate(c);
		return 0;
	}
	*tree = ctl_commit_running(c);
	if (back == 0)
		return 0;
	if (back < 0 || back > CTL_STORE_REVISIONS)
		return spw_fail(err, -EINVAL, "revision must be 0 to %d", CTL_STORE_REVISIONS);
	rc = ctl_store_load(ctl_commit_store(c), (unsigned int)back, &lines, &info, err);
	for (size_t i = 0; i < lines.n && rc == 0; i++)
		rc = ctl_model_edit(ctl_commit_model(c), copy, lines.line[i], err);
	ctl_lines_free(&lines);
	*tree = copy;
	return rc;
}

static json_t *
op_configuration(struct server_request *req, struct spw_err *err)
{
	struct ctl_commit *c = req->client->server->commit;
	const char *format = server_text(req, "format");
	const struct ctl_tree *tree = NULL;
	struct ctl_tree copy = {0};
	struct ctl_lines lines = {0};
	json_t *result = NULL;

	if (pick_tree(req, &tree, &copy, err) == 0) {
		if (format && strcmp(format, "json") == 0) {
			result = ctl_model_json(tree);
		} else {
			ctl_model_lines(ctl_commit_model(c), tree, &lines);
			result = json_pack("{s:o}", "lines", json_lines(&lines));
		}
	}
	ctl_lines_free(&lines);
	ctl_tree_free(&copy);
	return result;
}

static json_t *
op_compare(struct server_request *req, struct spw_err *err)
{
	struct ctl_commit *c = req->client->server->commit;
	struct ctl_lines from = {0}, to = {0}, diff = {0};
	const struct ctl_tree *tree = NULL;
	struct ctl_tree copy = {0};
	json_t *result = NULL;

	if (pick_tree(req, &tree, &copy, err) == 0) {
		ctl_model_lines(ctl_commit_model(c), tree, &from);
		ctl_model_lines(ctl_commit_model(c), ctl_commit_candidate(c), &to);
		ctl_lines_diff(&from, &to, &diff);
		result = json_pack("{s:o}", "diff", json_lines(&diff));
	}
	ctl_lines_free(&from);
	ctl_lines_free(&to);
	ctl_lines_free(&diff);
	ctl_tree_free(&copy);
	return result;
}

static json_t *
op_edit(struct server_request *req, struct spw_err *err)
{
	json_t *lines = json_object_get(req->body, "lines");
	size_t n = json_array_size(lines), bad = 0;
	const char **line = calloc(n + 1, sizeof(*line));
	struct spw_err why = {0};
	int rc = 0;

	if (line == NULL || !json_is_array(lines)) {
		free(line);
		return server_fail(err, -EINVAL,
				   "edit needs \"lines\", an array of set and delete lines");
	}
	for (size_t i = 0; i < n && rc == 0; i++) {
		line[i] = json_string_value(json_array_get(lines, i));
		if (line[i] == NULL)
			rc = spw_fail(&why, -EINVAL, "element %zu of \"lines\" is not text", i);
	}
	if (rc == 0) {
		char first[96] = "";

		if (n > 0)
			ctl_log_text(first, sizeof(first), line[0]);
		snprintf(req->what, sizeof(req->what), " lines=%zu first=\"%s\"", n, first);
		rc = ctl_commit_edit(req->client->server->commit, line, n,
				     json_is_true(json_object_get(req->body, "clear")), &bad, &why);
	}
	free(line);
	if (rc < 0) {
		req->bad_line = (long)bad;
		return server_fail(err, rc, why.text);
	}
	return json_pack("{s:I}", "lines", (json_int_t)n);
}

static json_t *
op_commit(struct server_request *req, struct spw_err *err)
{
	json_int_t minutes = json_integer_value(json_object_get(req->body, "confirmed_min"));
	struct ctl_commit_request what = {
		.who = req->client->who,
		.comment = server_text(req, "comment"),
		.check = json_is_true(json_object_get(req->body, "check")),
		.confirm_s = (uint32_t)(minutes * 60),
	};
	struct ctl_commit_result done;
	json_t *result;

	if (minutes < 0 || minutes > 1440)
		return server_fail(err, -EINVAL, "commit confirmed takes 1 to 1440 minutes");
	if (ctl_commit_run(req->client->server->commit, &what, &done, err) < 0)
		return NULL;
	result = json_pack("{s:b, s:b, s:o, s:I, s:f, s:o, s:o}", "changed", (int)done.changed,
			   "confirmed", (int)done.confirmed, "confirm_in_s",
			   confirm_left_json(req->client->server->commit), "revision",
			   (json_int_t)done.revision, "took_ms", done.took_ms, "diff",
			   json_lines(&done.diff), "warnings", json_lines(&done.warnings));
	ctl_commit_result_fini(&done);
	return result;
}

static json_t *
op_confirm(struct server_request *req, struct spw_err *err)
{
	struct ctl_commit *c = req->client->server->commit;

	if (ctl_commit_confirm(c, req->client->who, err) < 0)
		return NULL;
	return json_pack("{s:I}", "revision", (json_int_t)ctl_commit_revision(c));
}

static json_t *
op_rollback(struct server_request *req, struct spw_err *err)
{
	json_t *back = json_object_get(req->body, "revision");

	if (!json_is_integer(back) || json_integer_value(back) < 0 ||
	    json_integer_value(back) > CTL_STORE_REVISIONS)
		return server_fail(err, -EINVAL, "rollback needs \"revision\", 0 to 50");
	snprintf(req->what, sizeof(req->what), " back=%d", (int)json_integer_value(back));
	if (ctl_commit_rollback(req->client->server->commit, (unsigned int)json_integer_value(back),
				err) < 0)
		return NULL;
	return json_object();
}

static json_t *
op_revisions(struct server_request *req, struct spw_err *err)
{
	struct ctl_revision *list = calloc(CTL_STORE_REVISIONS, sizeof(*list));
	json_t *array = json_array();
	unsigned int n = 0;

	if (list)
		n = ctl_store_list(ctl_commit_store(req->client->server->commit), list,
				   CTL_STORE_REVISIONS);
	for (unsigned int i = 0; i < n; i++) {
		spw_text_mend(list[i].comment); /* it may be cut */
		json_array_append_new(
			array, json_pack("{s:i, s:I, s:s, s:s, s:s}", "rollback", (int)i,
					 "revision", (json_int_t)list[i].number, "at", list[i].at,
					 "who", list[i].who, "comment", list[i].comment));
	}
	free(list);
	return json_pack("{s:o}", "revisions", array);
}

static json_t *
op_begin(struct server_request *req, struct spw_err *err)
{
	struct server_client *client = req->client;

	if (ctl_tree_copy(&client->saved, ctl_commit_candidate(client->server->commit)) < 0)
		return server_fail(err, -ENOMEM, "no memory for a copy of the candidate");
	client->began = true;
	return json_object();
}

static json_t *
op_abort(struct server_request *req, struct spw_err *err)
{
	struct server_client *client = req->client;

	if (!client->began)
		return server_fail(err, -EINVAL, "abort without begin");
	ctl_tree_swap(&client->saved, ctl_commit_candidate(client->server->commit));
	ctl_tree_free(&client->saved);
	client->began = false;
	return json_object();
}

static json_t *
op_complete(struct server_request *req, struct spw_err *err)
{
	struct ctl_commit *c = req->client->server->commit;
	const char *line = server_text(req, "line");

	if (line == NULL)
		return server_fail(err, -EINVAL, "complete needs \"line\"");
	return json_pack("{s:o}", "matches",
			 ctl_model_complete(ctl_commit_model(c), ctl_commit_candidate(c), line));
}

static json_t *
op_names(struct server_request *req, struct spw_err *err)
{
	const char *list = server_text(req, "list");
	const struct ctl_tree *tree = ctl_commit_running(req->client->server->commit);

	if (list == NULL)
		return server_fail(err, -EINVAL,
				   "names needs \"list\": interfaces, link, tunnel or vnet");
	return json_pack("{s:o}", "names",
			 strcmp(list, "link") == 0 ? ctl_model_links(tree)
						   : ctl_model_names(tree, list));
}

/* clang-format off */
static const struct {
	const char *name;
	bool writes;  /* needs the right to write */
	bool audited;
	op_fn handle;
} op_table[] = {
	{"status", false, false, op_status},
	{"show", false, false, op_show},
	{"configuration", false, false, op_configuration},
	{"compare", false, false, op_compare},
	{"revisions", false, false, op_revisions},
	{"complete", false, false, op_complete},
	{"names", false, false, op_names},
	{"begin", true, false, op_begin},
	{"abort", true, false, op_abort},
	{"edit", true, true, op_edit},
	{"rollback", true, true, op_rollback},
	{"commit", true, false, op_commit}, /* logs who and what itself */
	{"confirm", true, true, op_confirm},
	{"secret", true, true, server_op_secret},
	{"command", true, false, server_op_command}, /* audited when it is through */
};
/* clang-format on */

static void
audit(const struct server_request *req, const struct spw_err *err)
{
	char text[SPW_ERR_TEXT];

	if (err->code)
		spw_log(SPW_LOG_INFO, "audit", req->op, "who=\"%s\"%s result=refused reason=\"%s\"",
			req->client->who, req->what, ctl_log_text(text, sizeof(text), err->text));
	else
		spw_log(SPW_LOG_INFO, "audit", req->op, "who=\"%s\"%s result=ok", req->client->who,
			req->what);
}

static void
perform(struct server_request *req, size_t index)
{
	json_t *id = json_object_get(req->body, "id"), *result = NULL;
	struct spw_err err = {0};

	if (op_table[index].writes && !req->client->may_write)
		spw_fail(&err, -EPERM, "%s is for root and members of group %s", req->op,
			 CTL_GROUP);
	else
		result = op_table[index].handle(req, &err);
	if (op_table[index].audited || err.code == -EPERM)
		audit(req, &err);
	if (result == NULL && err.code == 0 && op_table[index].handle == server_op_command)
		return;
	server_answer(req->client, id, result, &err, req->bad_line);
}

void
server_answer(struct server_client *client, json_t *id, json_t *result, const struct spw_err *err,
	      long line)
{
	const char *code = result ? NULL : strerrorname_np(-err->code);
	json_t *reply = json_object();
	char text[SPW_ERR_TEXT] = "";

	if (!result) /* a sentence with what a client sent may end in half a character */
		snprintf(text, sizeof(text), "%s", err->text);

	if (id)
		json_object_set(reply, "id", id);
	json_object_set_new(reply, "ok", json_boolean(result != NULL));
	if (result)
		json_object_set_new(reply, "result", result);
	else
		json_object_set_new(
			reply, "error",
			json_pack("{s:s, s:s}", "code", code ? code : "EIO", "message",
				  spw_text_mend(text)));
	if (line >= 0)
		json_object_set_new(json_object_get(reply, "error"), "line", json_integer(line));
	server_send(client, reply);
}

static void
wipe_key(json_t *body)
{
	json_t *key = json_object_get(body, "key");

	if (json_is_string(key)) /* jansson's own copy; it is about to be freed */
		spw_wipe((void *)(uintptr_t)json_string_value(key), json_string_length(key));
}

void
server_input(struct server_client *client, const char *text, size_t len)
{
	struct server_request req = {.client = client, .bad_line = -1};
	struct spw_err err = {0};
	json_error_t why;

	req.body = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	req.op = json_string_value(json_object_get(req.body, "op"));
	if (req.op) {
		for (size_t i = 0; i < sizeof(op_table) / sizeof(op_table[0]); i++)
			if (strcmp(op_table[i].name, req.op) == 0) {
				req.op = op_table[i].name;
				perform(&req, i);
				wipe_key(req.body);
				json_decref(req.body);
				return;
			}
		spw_fail(&err, -EINVAL, "\"op\" is not known");
	} else if (req.body) {
		spw_fail(&err, -EINVAL, "the request has no \"op\"");
	} else {
		spw_fail(&err, -EBADMSG, "the request is not JSON: %s", why.text);
	}
	server_answer(client, json_object_get(req.body, "id"), NULL, &err, -1);
	json_decref(req.body);
}
