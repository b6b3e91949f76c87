/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of spillway-iked. Everything about peers comes over ike.sock; only where to
 * meet the other daemons, whom to become and how much to say is given here.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike/iked/iked.h"

static const char usage[] =
	"usage: spillway-iked [options]\n"
	"The IKEv2 daemon of Spillway: negotiates the tunnels that spillway-controld asks for.\n"
	"\n"
	"  --run-dir DIR        where the daemons' sockets are (default /run/spillway)\n"
	"  --user NAME          run as this user when started as root (default spillway-iked,\n"
	"                       - keeps the present user)\n"
	"  --control-user NAME  whose spillway-controld may connect, besides root (default root)\n"
	"  --dh-threads N       compute key exchanges on N threads, 1 to 16 (default 1, or 2 with\n"
	"                       four processors or more)\n"
	"  --log-level LEVEL    error, warning, info or debug (default info)\n"
	"  --version            print the version and exit\n"
	"  --help               print this and exit\n";

static int
threads_take(unsigned int *n, const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || v < 1 || v > IKED_DH_WORKERS_MAX)
		return -EINVAL;
	*n = (unsigned int)v;
	return 0;
}

static int
option_take(struct iked_options *o, int c, struct spw_err *err)
{
	switch (c) {
	case 'r': o->run_dir = optarg; return 0;
	case 'u': o->user = optarg; return 0;
	case 'c': o->control_user = optarg; return 0;
	case 't':
		if (threads_take(&o->dh_threads, optarg) == 0)
			return 0;
		return spw_fail(err, -EINVAL, "--dh-threads '%.20s' is not a number from 1 to %d",
				optarg, IKED_DH_WORKERS_MAX);
	case 'l':
		if (spw_log_level_parse(&o->log_level, optarg))
			return 0;
		return spw_fail(err, -EINVAL,
				"--log-level '%.20s' is none of error, warning, info, debug",
				optarg);
	case 'h': fputs(usage, stdout); return 1;
	case 'v': puts("spillway-iked " SPILLWAY_VERSION); return 1;
	default: return spw_fail(err, -EINVAL, "unknown or incomplete option; see --help");
	}
}

int
iked_options_parse(struct iked_options *o, int argc, char **argv, struct spw_err *err)
{
	static const struct option longs[] = {
		{"run-dir", required_argument, NULL, 'r'},
		{"user", required_argument, NULL, 'u'},
		{"control-user", required_argument, NULL, 'c'},
		{"dh-threads", required_argument, NULL, 't'},
		{"log-level", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int c;

	*o = (struct iked_options){
		.run_dir = "/run/spillway", .control_user = "root", .log_level = SPW_LOG_INFO};
	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		int rc = option_take(o, c, err);

		if (rc != 0)
			return rc;
	}
	if (optind < argc)
		return spw_fail(err, -EINVAL, "'%.40s' is not an option; see --help", argv[optind]);
	return 0;
}
