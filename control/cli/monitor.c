/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `monitor failover`: one line an event until Ctrl-C.
 *
 * controld numbers its events; five times a second the shell asks for those behind the last one it
 * has printed, so nothing is printed twice and nothing is missed. A restarted controld counts from
 * one again; its last number then says where to go on.
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "control/cli/cells.h"

static void
print_event(const struct cli *cli, const json_t *event)
{
	char *text;

	if (!cli->json) {
		cli_render_event(stdout, event);
		return;
	}
	text = json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(9));
	if (text)
		printf("%s\n", text);
	free(text);
}

/* Print what is new; *last moves on. */
static void
print_news(const struct cli *cli, const json_t *data, json_int_t *last)
{
	const json_t *event;
	size_t i;

	if (number_of(data, "missed") > 0)
		fprintf(stderr, "%.0f events were missed\n", number_of(data, "missed"));
	json_array_foreach(json_object_get(data, "events"), i, event) print_event(cli, event);
	*last = json_integer_value(json_object_get(data, "last"));
	fflush(stdout);
}

static json_t *
ask(struct cli *cli, json_int_t last, bool first, struct spw_err *err)
{
	json_t *request = json_pack("{s:s, s:s}", "op", "show", "what", "failover-events");

	if (!first)
		json_object_set_new(request, "arg", json_sprintf("%" JSON_INTEGER_FORMAT, last));
	return cli_request(cli, request, NULL, err);
}

static void
on_interrupt(int signo)
{
	cli_interrupted = 1;
}

static enum cli_exit
monitor(struct cli *cli)
{
	static const struct timespec pause = {.tv_nsec = 200000000};
	json_int_t last = 0;

	for (bool first = true; !cli_interrupted; first = false) {
		struct spw_err err = {0};
		json_t *data = ask(cli, last, first, &err);

		if (data == NULL) {
			if (cli_interrupted)
				break;
			cli_error(NULL, err.text);
			return CLI_FAILED;
		}
		print_news(cli, data, &last);
		json_decref(data);
		nanosleep(&pause, NULL);
	}
	return CLI_OK;
}

/* Ctrl-C is how it ends, so that is no failure, in a one-shot either. */
enum cli_exit
cli_monitor(struct cli *cli)
{
	const struct sigaction ours = {.sa_handler = on_interrupt};
	struct sigaction before;
	enum cli_exit code;

	sigaction(SIGINT, &ours, &before);
	code = monitor(cli);
	sigaction(SIGINT, &before, NULL);
	return code;
}
