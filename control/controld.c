/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spillway-controld: configuration and route preference.
 *
 * One thread, one event loop. Start-up in order: options, log, libsodium, model, directories,
 * store, runtime, configuration, control.sock, then READY. The socket comes last, so the first
 * client already finds the last committed configuration. SIGTERM and SIGINT stop the loop; what
 * runs in the world (routes, twins, SAs) is left as it is, so a restart is not seen by the traffic.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/commit.h"
#include "control/runtime.h"
#include "control/server.h"
#include "lib/spillway.h"

struct options {
	struct ctl_runtime_options runtime;
	const char *yang;
	enum spw_log_level level;
};

struct daemon {
	struct event_base *base;
	struct event *sigterm, *sigint;
	struct ctl_model *model;
	struct ctl_store *store;
	struct ctl_runtime *rt;
	struct ctl_commit *commit;
	struct ctl_server *server;
};

static const char usage[] = "usage: spillway-controld [options]\n"
			    "  --run-dir DIR      sockets of the daemons (/run/spillway)\n"
			    "  --state-dir DIR    configuration and keys (/var/lib/spillway)\n"
			    "  --frr-dir DIR      vtysh directory of FRR (FRR's default)\n"
			    "  --iked-user USER   user spillway-iked runs as\n"
			    "  --yang FILE        model to use instead of the one built in\n"
			    "  --log-level LEVEL  error, warning, info or debug\n"
			    "  --version, --help\n";

static const struct option long_options[] = {
	{"run-dir", required_argument, NULL, 'r'},
	{"state-dir", required_argument, NULL, 's'},
	{"frr-dir", required_argument, NULL, 'f'},
	{"iked-user", required_argument, NULL, 'u'},
	{"yang", required_argument, NULL, 'y'},
	{"log-level", required_argument, NULL, 'l'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* 0 to go on, 1 to end with success, -EINVAL after a usage error was printed. */
static int
take_option(struct options *o, int c)
{
	switch (c) {
	case 'r': o->runtime.run_dir = optarg; return 0;
	case 's': o->runtime.state_dir = optarg; return 0;
	case 'f': o->runtime.frr_dir = optarg; return 0;
	case 'u': o->runtime.iked_user = optarg; return 0;
	case 'y': o->yang = optarg; return 0;
	case 'l':
		if (spw_log_level_parse(&o->level, optarg))
			return 0;
		fprintf(stderr, "--log-level %s: use error, warning, info or debug\n", optarg);
		return -EINVAL;
	case 'V': printf("spillway-controld %s\n", SPILLWAY_VERSION); return 1;
	case 'h': fputs(usage, stdout); return 1;
	default: fputs(usage, stderr); return -EINVAL;
	}
}

static int
parse_options(struct options *o, int argc, char **argv)
{
	int c, rc = 0;

	*o = (struct options){
		.runtime = {.run_dir = "/run/spillway", .state_dir = "/var/lib/spillway"},
		.level = SPW_LOG_INFO};
	while (rc == 0 && (c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		rc = take_option(o, c);
	if (rc == 0 && optind < argc) {
		fputs(usage, stderr);
		rc = -EINVAL;
	}
	return rc;
}

static void
on_stop(evutil_socket_t signo, short what, void *arg)
{
	struct daemon *d = arg;

	spw_log(SPW_LOG_INFO, "controld", "stopping", "signal=%d", (int)signo);
	spw_notify("STOPPING=1");
	event_base_loopbreak(d->base);
}

static int
start_loop(struct daemon *d, struct spw_err *err)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	d->base = event_base_new();
	if (d->base) {
		d->sigterm = evsignal_new(d->base, SIGTERM, on_stop, d);
		d->sigint = evsignal_new(d->base, SIGINT, on_stop, d);
	}
	if (d->sigterm == NULL || d->sigint == NULL || event_add(d->sigterm, NULL) < 0 ||
	    event_add(d->sigint, NULL) < 0)
		return spw_fail(err, -ENOMEM, "the event loop does not start");
	return 0;
}

static int
start(struct daemon *d, const struct options *o, struct spw_err *err)
{
	const struct ctl_runtime_options *r = &o->runtime;
	int rc = start_loop(d, err);

	if (rc == 0 && spw_secret_init() < 0)
		rc = spw_fail(err, -EIO, "libsodium does not start");
	if (rc == 0)
		rc = ctl_model_new(&d->model, o->yang, err);
	if (rc == 0 && mkdir(r->run_dir, 0755) < 0 && errno != EEXIST)
		rc = spw_fail(err, -errno, "run directory %s: %s", r->run_dir, strerror(errno));
	if (rc == 0)
		rc = ctl_store_open(&d->store, r->state_dir, err);
	if (rc == 0)
		rc = ctl_runtime_new(&d->rt, d->base, r, err);
	if (rc == 0)
		rc = ctl_commit_new(&d->commit, d->base, d->model, d->store, d->rt, r->state_dir,
				    err);
	if (rc < 0)
		return rc;
	ctl_commit_start(d->commit);
	return ctl_server_new(&d->server, d->base, r->run_dir, d->commit, d->rt, err);
}

static void
stop(struct daemon *d)
{
	ctl_server_free(d->server);
	ctl_commit_free(d->commit);
	if (d->rt)
		ctl_runtime_free(d->rt);
	ctl_store_close(d->store);
	ctl_model_free(d->model);
	if (d->sigterm)
		event_free(d->sigterm);
	if (d->sigint)
		event_free(d->sigint);
	if (d->base)
		event_base_free(d->base);
}

int
main(int argc, char **argv)
{
	struct daemon d = {0};
	struct spw_err err = {0};
	struct options o;
	int rc = parse_options(&o, argc, argv);

	if (rc != 0)
		return rc < 0 ? 2 : 0;
	spw_log_init("spillway-controld", o.level);
	rc = start(&d, &o, &err);
	if (rc < 0) {
		char text[SPW_ERR_TEXT];

		spw_log(SPW_LOG_ERROR, "controld", "start-failed", "reason=\"%s\"",
			ctl_log_text(text, sizeof(text), err.text));
	} else {
		spw_log(SPW_LOG_INFO, "controld", "started", "version=%s run_dir=%s state_dir=%s",
			SPILLWAY_VERSION, o.runtime.run_dir, o.runtime.state_dir);
		spw_notify("READY=1");
		event_base_dispatch(d.base);
	}
	stop(&d);
	return rc < 0 ? 1 : 0;
}
