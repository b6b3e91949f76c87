/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of the runtime over control.sock. They may take time: the answer is sent when they are
 * through, other requests of the same client go on meanwhile. Each leaves an audit line then. A
 * command outlives its client; its result is dropped. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/server_private.h"

#define WORDS_MAX 8

static void
on_command_done(void *ctx, int rc, json_t *reply, const struct spw_err *err)
{
	struct server_pending *p = ctx, **at;
	char text[SPW_ERR_TEXT] = "";

	if (rc < 0 && err)
		ctl_log_text(text, sizeof(text), err->text);
	spw_log(SPW_LOG_INFO, "audit", "command", "who=\"%s\" what=\"%s\" result=%s%s%s%s", p->who,
		p->what, rc < 0 ? "refused" : "ok", rc < 0 ? " reason=\"" : "", text,
		rc < 0 ? "\"" : "");
	if (p->client) {
		struct spw_err why = {0};

		if (rc < 0)
			spw_fail(&why, rc, "%s", err && err->text[0] ? err->text : strerror(-rc));
		server_answer(p->client, p->id,
			      rc < 0  ? NULL
			      : reply ? json_incref(reply)
				      : json_object(),
			      &why, -1);
		for (at = &p->client->pending; *at != p; at = &(*at)->next)
			;
		*at = p->next;
	}
	json_decref(p->id);
	free(p);
}

void
server_drop_pending(struct server_client *client)
{
	struct server_pending *next;

	for (struct server_pending *p = client->pending; p; p = p->next)
		p->client = NULL;
	for (struct server_pending *p = client->pending; p; p = next) {
		next = p->next;
		ctl_runtime_cancel(client->server->rt, p); /* may free p */
	}
	client->pending = NULL;
}

json_t *
server_op_command(struct server_request *req, struct spw_err *err)
{
	json_t *words = json_object_get(req->body, "words");
	struct server_client *client = req->client;
	unsigned int n = (unsigned int)json_array_size(words);
	const char *word[WORDS_MAX];
	struct server_pending *p;

	if (n == 0 || n > WORDS_MAX)
		return server_fail(err, -EINVAL, "command needs \"words\", 1 to 8 of them");
	for (unsigned int i = 0; i < n; i++)
		if ((word[i] = json_string_value(json_array_get(words, i))) == NULL)
			return server_fail(err, -EINVAL, "command: a word is not text");
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return server_fail(err, -ENOMEM, "no memory for the command");
	for (unsigned int i = 0; i < n; i++) {
		size_t len = strlen(p->what);
		char safe[CTL_NAME * 4];

		snprintf(p->what + len, sizeof(p->what) - len, "%s%s", i ? " " : "",
			 ctl_log_text(safe, sizeof(safe), word[i]));
	}
	snprintf(p->who, sizeof(p->who), "%s", client->who);
	p->id = json_incref(json_object_get(req->body, "id"));
	p->client = client;
	p->next = client->pending;
	client->pending = p;
	ctl_runtime_command(client->server->rt, word, n, on_command_done, p);
	return NULL;
}
