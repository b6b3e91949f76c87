/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A runtime for tests of the configuration side: no data plane, no kernel. It reads secret files as
 * the real one does, refuses the host name "refused", notes each apply in STATE/applied, and shows
 * the examples of docs/show-json.md (path in SPW_SHOW_JSON), so that document, shell and tests
 * cannot drift apart. `failover test` answers after 50 ms, everything else at once.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/runtime.h"
#include "control/secret_file.h"

struct ctl_runtime {
	struct event_base *base;
	char state_dir[CTL_PATH];
};
struct ctl_plan {
	char host_name[64];
	unsigned int tunnels;
};
struct later {
	ctl_done_fn done;
	void *ctx;
};

int
ctl_runtime_new(struct ctl_runtime **rt, struct event_base *base,
		const struct ctl_runtime_options *options, struct spw_err *err)
{
	struct ctl_runtime *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return spw_fail(err, -ENOMEM, "no memory");
	r->base = base;
	snprintf(r->state_dir, sizeof(r->state_dir), "%s", options->state_dir);
	*rt = r;
	return 0;
}

void
ctl_runtime_free(struct ctl_runtime *rt)
{
	free(rt);
}

static int
read_keys(const struct ctl_config *next, struct spw_err *err)
{
	for (unsigned int i = 0; i < next->n_tunnels; i++) {
		struct spw_secret key = {0};
		struct spw_err why = {0};
		int rc = ctl_secret_read_file(&key, next->tunnels[i].psk_file, CTL_SECRET_AZURE_PSK,
					      &why);

		spw_secret_free(&key);
		if (rc < 0)
			return spw_fail(err, rc, "tunnel %s pre-shared-key-file: %s",
					next->tunnels[i].name, why.text);
	}
	return 0;
}

int
ctl_runtime_prepare(struct ctl_runtime *rt, const struct ctl_config *next, struct ctl_plan **plan,
		    struct spw_err *err)
{
	int rc = read_keys(next, err);

	if (rc < 0)
		return rc;
	if (strcmp(next->host_name, "refused") == 0)
		return spw_fail(err, -EHOSTDOWN, "spillway-dataplane does not answer: start it");
	*plan = calloc(1, sizeof(**plan));
	if (*plan == NULL)
		return spw_fail(err, -ENOMEM, "no memory");
	snprintf((*plan)->host_name, sizeof((*plan)->host_name), "%s", next->host_name);
	(*plan)->tunnels = next->n_tunnels;
	return 0;
}

void
ctl_runtime_apply(struct ctl_runtime *rt, struct ctl_plan *plan)
{
	char path[CTL_PATH + 16];
	FILE *out;

	snprintf(path, sizeof(path), "%s/applied", rt->state_dir);
	out = fopen(path, "a");
	if (out) {
		fprintf(out, "%s %u\n", plan->host_name, plan->tunnels);
		fclose(out);
	}
	free(plan);
}

void
ctl_runtime_abandon(struct ctl_runtime *rt, struct ctl_plan *plan)
{
	free(plan);
}

/* The JSON block below the heading "## WHAT". */
static json_t *
example(const char *text, const char *what)
{
	char heading[64];
	const char *at, *end;

	snprintf(heading, sizeof(heading), "\n## %s", what);
	for (at = strstr(text, heading); at; at = strstr(at + 1, heading)) {
		char after = at[strlen(heading)];

		if (after == '\n' || after == ' ')
			break;
	}
	at = at ? strstr(at, "```json\n") : NULL;
	end = at ? strstr(at + 8, "```") : NULL;
	return end ? json_loadb(at + 8, (size_t)(end - at - 8), 0, NULL) : NULL;
}

json_t *
ctl_runtime_show(struct ctl_runtime *rt, const char *what, const char *arg, struct spw_err *err)
{
	const char *path = getenv("SPW_SHOW_JSON");
	FILE *in = path ? fopen(path, "r") : NULL;
	static char text[65536];
	json_t *result;
	size_t n;

	if (in == NULL) {
		spw_fail(err, -ENOENT, "SPW_SHOW_JSON names no file");
		return NULL;
	}
	n = fread(text, 1, sizeof(text) - 1, in);
	fclose(in);
	text[n] = '\0';
	result = example(text, what);
	if (result == NULL)
		spw_fail(err, -EINVAL, "show: \"%.40s\" is not known", what);
	return result;
}

void
ctl_runtime_cancel(struct ctl_runtime *rt, void *ctx)
{
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	struct later *l = arg;
	json_t *reply = json_pack("{s:s, s:b}", "message", "prod survived the loss of expressroute",
				  "restored", 1);

	l->done(l->ctx, 0, reply, NULL);
	json_decref(reply);
	free(l);
}

void
ctl_runtime_command(struct ctl_runtime *rt, const char *const *words, unsigned int n,
		    ctl_done_fn done, void *ctx)
{
	static const struct timeval soon = {.tv_usec = 50000};
	struct spw_err err = {0};

	if (n >= 2 && strcmp(words[0], "failover") == 0 && strcmp(words[1], "test") == 0) {
		struct later *l = calloc(1, sizeof(*l));

		if (l == NULL)
			abort();
		*l = (struct later){done, ctx};
		event_base_once(rt->base, -1, EV_TIMEOUT, on_later, l, &soon);
		return;
	}
	if (n >= 3 && strcmp(words[0], "reset") == 0 && strcmp(words[2], "nope") == 0) {
		spw_fail(&err, -ENOENT, "there is no tunnel \"nope\"");
		done(ctx, -ENOENT, NULL, &err);
		return;
	}
	json_t *reply = json_pack("{s:s}", "message", "done");

	done(ctx, 0, reply, NULL);
	json_decref(reply);
}
