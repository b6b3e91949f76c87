/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys of tunnels over control.sock: the key becomes a file outside the configuration, the line
 * that names the file an edit of the candidate. It is used from the next commit on. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/secret_file.h"
#include "control/server_private.h"

/* The keys of a tunnel: what they are called in a request, their leaf, the end of the file's name.
 */
static const struct secret_kind {
	const char *kind, *leaf, *end;
	bool azure; /* has to be one that Azure takes */
} secret_kinds[] = {{"pre-shared-key", "pre-shared-key-file", ".psk", true},
		    {"next-pre-shared-key", "next-pre-shared-key-file", ".next.psk", true},
		    {"ppk", "ppk-file", ".ppk", false}};

static const struct secret_kind *
secret_kind(const char *kind)
{
	for (size_t i = 0; i < sizeof(secret_kinds) / sizeof(secret_kinds[0]); i++)
		if (kind == NULL || strcmp(kind, secret_kinds[i].kind) == 0)
			return &secret_kinds[i];
	return NULL;
}

static int
secret_store(struct ctl_commit *c, const char *tunnel, const struct secret_kind *kind,
	     const char *key, char *line, size_t size, struct spw_err *err)
{
	char name[CTL_NAME + 16];
	size_t len = strlen(key);
	int rc = 0;

	if (kind->azure)
		rc = ctl_secret_check_azure_psk(key, len, err);
	else if (len == 0 || len > CTL_SECRET_MAX)
		rc = spw_fail(err, -EINVAL, "the key has %zu bytes: give 1 to %d", len,
			      CTL_SECRET_MAX);
	if (rc < 0)
		return rc;
	snprintf(name, sizeof(name), "%s%s", tunnel, kind->end);
	snprintf(line, size, "set tunnel %s %s %s", tunnel, kind->leaf, name);
	return ctl_secret_write_file(ctl_commit_keys_dir(c), name, key, strlen(key), err);
}

/* The name becomes a file's: let the model judge it, on a tree that is thrown away. */
static bool
is_tunnel_name(struct ctl_commit *c, const char *name)
{
	struct ctl_tree scratch = {0};
	char line[CTL_TEXT];
	bool good;

	if (strlen(name) >= CTL_NAME || strpbrk(name, "\"\\ \t\n/"))
		return false;
	snprintf(line, sizeof(line), "set tunnel %s", name);
	good = ctl_model_edit(ctl_commit_model(c), &scratch, line, NULL) == 0;
	ctl_tree_free(&scratch);
	return good;
}

json_t *
server_op_secret(struct server_request *req, struct spw_err *err)
{
	struct ctl_commit *c = req->client->server->commit;
	const char *tunnel = server_text(req, "tunnel"), *key = server_text(req, "key");
	const struct secret_kind *kind = secret_kind(server_text(req, "kind"));
	char line[CTL_TEXT];
	const char *lines[] = {line};
	size_t bad;

	if (tunnel == NULL || key == NULL)
		return server_fail(err, -EINVAL, "secret needs \"tunnel\" and \"key\"");
	if (!is_tunnel_name(c, tunnel))
		return server_fail(err, -EINVAL, "secret: not a name of a tunnel");
	if (kind == NULL)
		return server_fail(
			err, -EINVAL,
			"secret: \"kind\" is pre-shared-key, next-pre-shared-key or ppk");
	snprintf(req->what, sizeof(req->what), " tunnel=%s", tunnel);
	if (secret_store(c, tunnel, kind, key, line, sizeof(line), err) < 0 ||
	    ctl_commit_edit(c, lines, 1, false, &bad, err) < 0)
		return NULL;
	ctl_commit_touch_secrets(c);
	return json_pack("{s:s}", "message", "key stored; it is used from the next commit on");
}
