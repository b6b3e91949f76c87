/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shell's end of control.sock: one request, one answer, in lock-step on a blocking socket.
 *
 * The connection is made when it is first needed and again after it was lost, so a restart of
 * controld costs one failed command at most. An interrupted wait drops the connection, because the
 * late answer would otherwise be taken for that of the next request.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/cli/cli.h"

volatile int cli_interrupted;

void
cli_disconnect(struct cli *cli)
{
	if (cli->fd >= 0)
		close(cli->fd);
	cli->fd = -1;
	free(cli->input);
	cli->input = NULL;
	cli->input_len = cli->input_size = 0;
}

static int
connect_server(struct cli *cli, struct spw_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (cli->fd >= 0)
		return 0;
	if (strlen(cli->path) >= sizeof(addr.sun_path))
		return spw_fail(err, -ENAMETOOLONG, "%s: the name is too long", cli->path);
	memcpy(addr.sun_path, cli->path, strlen(cli->path) + 1);
	cli->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (cli->fd >= 0 && connect(cli->fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	int code = errno;

	cli_disconnect(cli);
	if (code == EACCES)
		return spw_fail(err, -code, "%s: permission denied: be root or in group spillway",
				cli->path);
	return spw_fail(err, -code, "spillway-controld does not answer on %s (%s): is it running?",
			cli->path, strerror(code));
}

static int
send_all(struct cli *cli, const char *text, size_t len, struct spw_err *err)
{
	while (len > 0) {
		ssize_t n = send(cli->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR && !cli_interrupted)
			continue;
		if (n < 0)
			return spw_fail(err, -errno, "spillway-controld went away (%s): try again",
					strerror(errno));
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
receive_more(struct cli *cli, struct spw_err *err)
{
	ssize_t n;

	if (cli->input_size - cli->input_len < 4096) {
		cli->input_size = cli->input_size ? 2 * cli->input_size : 65536;
		cli->input = realloc(cli->input, cli->input_size);
		if (cli->input == NULL)
			abort();
	}
	do
		n = recv(cli->fd, cli->input + cli->input_len, cli->input_size - cli->input_len, 0);
	while (n < 0 && errno == EINTR && !cli_interrupted);
	if (n < 0 && errno == EINTR)
		return spw_fail(err, -EINTR, "interrupted");
	if (n <= 0)
		return spw_fail(err, -ECONNRESET,
				"spillway-controld closed the connection: is it running?");
	cli->input_len += (size_t)n;
	return 0;
}

/* Wait for one line and parse it. */
static json_t *
receive(struct cli *cli, struct spw_err *err)
{
	json_t *reply;
	char *end;

	while (cli->input == NULL || (end = memchr(cli->input, '\n', cli->input_len)) == NULL)
		if (receive_more(cli, err) < 0)
			return NULL;
	reply = json_loadb(cli->input, (size_t)(end - cli->input), 0, NULL);
	cli->input_len -= (size_t)(end + 1 - cli->input);
	memmove(cli->input, end + 1, cli->input_len);
	if (reply == NULL)
		spw_fail(err, -EBADMSG, "spillway-controld sent something that is not JSON");
	return reply;
}

static json_t *
exchange(struct cli *cli, json_t *request, struct spw_err *err)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	json_t *reply = NULL;

	if (text == NULL) {
		spw_fail(err, -EINVAL, "the command holds bytes that are not UTF-8");
		return NULL;
	}
	text[len] = '\n'; /* instead of the terminator */
	if (connect_server(cli, err) == 0) {
		if (send_all(cli, text, len + 1, err) == 0)
			reply = receive(cli, err);
		if (reply == NULL)
			cli_disconnect(cli);
	}
	spw_wipe(text, len);
	free(text);
	return reply;
}

json_t *
cli_request(struct cli *cli, json_t *request, long *bad_line, struct spw_err *err)
{
	json_t *reply, *result, *error;

	if (bad_line)
		*bad_line = -1;
	reply = exchange(cli, request, err);
	json_decref(request);
	if (reply == NULL)
		return NULL;
	result = json_incref(json_object_get(reply, "result"));
	error = json_object_get(reply, "error");
	if (result == NULL) {
		const char *message = json_string_value(json_object_get(error, "message"));

		if (bad_line && json_is_integer(json_object_get(error, "line")))
			*bad_line = (long)json_integer_value(json_object_get(error, "line"));
		spw_fail(err, -EIO, "%s", message ? message : "refused without a reason");
	}
	json_decref(reply);
	return result;
}
