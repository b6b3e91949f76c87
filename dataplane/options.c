/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line: one table of options from which the parser and --help come. Values are checked
 * here, so that the rest of the program sees only sane ones. Main thread, at start.
 */
#include "dataplane/options.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MBUFS	    32768 /* for each worker; of all one less, which fits a pool's ring best */
#define MBUF_AROUND 512	  /* headroom, metadata and bookkeeping of a packet buffer, about */

#define OPTIONS(X)                                                                               \
	X(RUN_DIR, "run-dir", "DIR", "directory of dataplane.sock (/run/spillway)")              \
	X(WORKERS, "workers", "N", "packet workers, not pinned to cores (1)")                    \
	X(CORES, "cores", "LIST", "CPUs to pin one worker each to, as 2,4-6; sets --workers")    \
	X(NO_HUGE, "no-huge", NULL, "use ordinary memory instead of hugepages")                  \
	X(MEMORY, "memory", "MB", "memory for tables and packets (1024 with --no-huge)")         \
	X(FILE_PREFIX, "file-prefix", "NAME", "DPDK's name of this instance (spillway)")         \
	X(POLLING, "polling", "busy|adaptive", "never sleep, or sleep when idle (by the ports)") \
	X(IKED_USER, "iked-user", "NAME", "user that may touch SAs (root)")                      \
	X(CONTROL_USER, "control-user", "NAME", "user that may touch routes and ports (root)")   \
	X(GROUP, "group", "NAME", "group of dataplane.sock (spillway where it exists)")          \
	X(MAX_ROUTES, "max-routes", "N", "IPv4 prefixes that fit (262144)")                      \
	X(MAX_ROUTES6, "max-routes6", "N", "IPv6 prefixes that fit (65536)")                     \
	X(MAX_SAS, "max-sas", "N", "child SAs that fit, a power of two (65536)")                 \
	X(MBUFS, "mbufs", "N", "packet buffers (32768 for each worker)")                         \
	X(MBUF_SIZE, "mbuf-size", "BYTES", "packet bytes in a buffer (2304)")                    \
	X(LOG_LEVEL, "log-level", "LEVEL", "error, warning, info or debug (info)")               \
	X(VERSION, "version", NULL, "print the version and leave")                               \
	X(HELP, "help", NULL, "print this and leave")

enum option_id {
#define X(sym, name, arg, text) OPT_##sym,
	OPTIONS(X)
#undef X
};

static const struct option long_options[] = {
#define X(sym, name, arg, text) {name, (arg) ? required_argument : no_argument, NULL, OPT_##sym},
	OPTIONS(X)
#undef X
		{0},
};

static void
help(void)
{
	printf("spillway-dataplane: forwards packets; configured over dataplane.sock\n");
#define X(sym, name, arg, text)                                                                    \
	printf("  --%s%s%-*s%s\n", name, (const char *)(arg) ? " " : "", (int)(28 - strlen(name)), \
	       (const char *)(arg) ? (arg) : "", text);
	OPTIONS(X)
#undef X
}

static int
number(uint32_t *out, const char *name, const char *text, uint32_t low, uint32_t high,
       struct spw_err *err)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || end == text || *end || v < low || v > high)
		return spw_fail(err, -EINVAL, "--%s '%.40s' is not a number in %u..%u", name, text,
				low, high);
	*out = (uint32_t)v;
	return 0;
}

static int
user(uid_t *uid, const char *name, const char *text, struct spw_err *err)
{
	const struct passwd *pw = getpwnam(text);

	if (!pw)
		return spw_fail(err, -EINVAL, "--%s '%.40s': there is no such user", name, text);
	*uid = pw->pw_uid;
	return 0;
}

/* "2,4-6" to one CPU for each worker. */
static int
cores(struct dp_options *o, const char *text, struct spw_err *err)
{
	const char *at = text;

	o->n_workers = 0;
	while (*at) {
		char *end;
		unsigned long low = strtoul(at, &end, 10), high = low;

		if (end == at)
			break;
		if (*end == '-') {
			at = end + 1;
			high = strtoul(at, &end, 10);
		}
		if (end == at || high < low || high > 1023 ||
		    o->n_workers + (high - low) >= DP_WORKERS_MAX)
			break;
		while (low <= high)
			o->core[o->n_workers++] = (int)low++;
		at = *end == ',' ? end + 1 : end;
		if (*end && *end != ',')
			break;
	}
	if (*at == '\0' && o->n_workers)
		return 0;
	return spw_fail(err, -EINVAL,
			"--cores '%.40s' is not a list of CPUs like 2,4-6 (at most %d)", text,
			DP_WORKERS_MAX);
}

static int
polling(struct dp_options *o, const char *text, struct spw_err *err)
{
	if (strcmp(text, "busy") == 0)
		o->polling = DP_POLL_BUSY;
	else if (strcmp(text, "adaptive") == 0)
		o->polling = DP_POLL_ADAPTIVE;
	else
		return spw_fail(err, -EINVAL, "--polling '%.40s' is neither busy nor adaptive",
				text);
	return 0;
}

static int
log_level(struct dp_options *o, const char *text, struct spw_err *err)
{
	if (spw_log_level_parse(&o->log_level, text))
		return 0;
	return spw_fail(err, -EINVAL, "--log-level '%.40s' is not error, warning, info or debug",
			text);
}

static int
group(struct dp_options *o, const char *text, struct spw_err *err)
{
	const struct group *gr = getgrnam(text);

	if (!gr)
		return spw_fail(err, -EINVAL, "--group '%.40s': there is no such group", text);
	o->socket_gid = gr->gr_gid;
	return 0;
}

static int
take(struct dp_options *o, enum option_id id, const char *arg, struct spw_err *err)
{
	switch (id) {
	case OPT_RUN_DIR: o->run_dir = arg; return 0;
	case OPT_WORKERS: return number(&o->n_workers, "workers", arg, 1, DP_WORKERS_MAX, err);
	case OPT_CORES: return cores(o, arg, err);
	case OPT_NO_HUGE: o->no_huge = true; return 0;
	case OPT_MEMORY: return number(&o->memory_mb, "memory", arg, 64, 1u << 20, err);
	case OPT_FILE_PREFIX: o->file_prefix = arg; return 0;
	case OPT_POLLING: return polling(o, arg, err);
	case OPT_IKED_USER: return user(&o->iked_uid, "iked-user", arg, err);
	case OPT_CONTROL_USER: return user(&o->control_uid, "control-user", arg, err);
	case OPT_GROUP: return group(o, arg, err);
	case OPT_MAX_ROUTES: return number(&o->max_routes, "max-routes", arg, 1024, 4194304, err);
	case OPT_MAX_ROUTES6:
		return number(&o->max_routes6, "max-routes6", arg, 1024, 4194304, err);
	case OPT_MAX_SAS: return number(&o->max_sas, "max-sas", arg, 64, 1u << 20, err);
	case OPT_MBUFS: return number(&o->mbufs, "mbufs", arg, 4095, 1u << 22, err);
	case OPT_MBUF_SIZE: return number(&o->mbuf_size, "mbuf-size", arg, 2048, 16384, err);
	case OPT_LOG_LEVEL: return log_level(o, arg, err);
	case OPT_VERSION: printf("spillway-dataplane %s\n", SPILLWAY_VERSION); return 1;
	case OPT_HELP: help(); return 1;
	}
	return -EINVAL;
}

static void
defaults(struct dp_options *o)
{
	const struct group *gr = getgrnam("spillway");

	*o = (struct dp_options){.run_dir = "/run/spillway",
				 .file_prefix = "spillway",
				 .n_workers = 1,
				 .max_routes = 262144,
				 .max_routes6 = 65536,
				 .max_sas = 65536,
				 .mbuf_size = 2304,
				 .socket_gid = gr ? gr->gr_gid : (gid_t)-1,
				 .log_level = SPW_LOG_INFO};
	for (unsigned int i = 0; i < DP_WORKERS_MAX; i++)
		o->core[i] = -1;
}

/*
 * Each worker has queues of its own at each port, a thousand buffers in each and as many sent ones
 * that a driver keeps until it needs their places: three ports can hold nine thousand a worker.
 */
static void
memory_defaults(struct dp_options *o)
{
	uint64_t more = 0;

	if (!o->mbufs) {
		more = (o->n_workers - 1) * (uint64_t)MBUFS * (o->mbuf_size + MBUF_AROUND);
		o->mbufs = MBUFS * o->n_workers - 1;
	}
	if (o->no_huge && !o->memory_mb)
		o->memory_mb = 1024 + (uint32_t)(more >> 20);
}

int
dp_options_parse(struct dp_options *o, int argc, char **argv, struct spw_err *err)
{
	int id, rc;

	defaults(o);
	opterr = 0;
	while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (id == '?')
			return spw_fail(err, -EINVAL,
					"unknown option or missing value at '%.60s'; see --help",
					argv[optind - 1]);
		rc = take(o, (enum option_id)id, optarg, err);
		if (rc != 0)
			return rc;
	}
	if (optind < argc)
		return spw_fail(err, -EINVAL, "unexpected argument '%.60s'; see --help",
				argv[optind]);
	if (o->max_sas & (o->max_sas - 1))
		return spw_fail(err, -EINVAL, "--max-sas %u is not a power of two", o->max_sas);
	memory_defaults(o);
	return 0;
}
