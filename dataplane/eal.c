/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment: arguments for rte_eal_init() and the tidying after it.
 *
 * No device is probed at start: the allow-list holds one address that no machine uses, so PCI is
 * scanned but nothing on it is touched until a port names it (--no-pci would forbid that, too).
 * Hugepages are anonymous (--in-memory), so nothing stays in a file system after a crash; without
 * hugepages the same holds by nature. Telemetry is off: it would open another socket. The run-time
 * directory that the EAL insists on lies in our own and is removed at the end. Its log is quiet:
 * what goes wrong is said in our own sentences.
 *
 * Main thread.
 */
#include "dataplane/eal.h"

#include <dirent.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARGS_MAX      24
#define PCI_NOTHING   "pci:ffff:1f:1f.7"
#define LCORES_LENGTH 4096

struct args {
	int n;
	char *v[ARGS_MAX + 1];
};

static void __attribute__((format(printf, 2, 3))) arg(struct args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (a->n < ARGS_MAX && vasprintf(&a->v[a->n], fmt, ap) >= 0)
		a->n++;
	va_end(ap);
}

/* CPUs this process may use, as "(0,1,5)". */
static void
allowed_cpus(char *out, size_t size)
{
	cpu_set_t set;
	size_t at = 0;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	at += (size_t)snprintf(out, size, "(");
	for (int i = 0; i < CPU_SETSIZE && at + 8 < size; i++)
		if (CPU_ISSET(i, &set))
			at += (size_t)snprintf(out + at, size - at, "%s%d", at > 1 ? "," : "", i);
	snprintf(out + at, size - at, ")");
}

/* Worker i is lcore i, pinned or not; the main lcore, behind the last, floats. */
static void
lcores(char *out, size_t size, const struct dp_options *o)
{
	char all[1024];
	size_t at = 0;

	allowed_cpus(all, sizeof(all));
	for (unsigned int i = 0; i < o->n_workers; i++)
		at += o->core[i] >= 0
			      ? (size_t)snprintf(out + at, size - at, "%u@%d,", i, o->core[i])
			      : (size_t)snprintf(out + at, size - at, "%u@%s,", i, all);
	snprintf(out + at, size - at, "%u@%s", o->n_workers, all);
}

static void
args_fill(struct args *a, const struct dp_options *o)
{
	size_t size = LCORES_LENGTH + DP_WORKERS_MAX * 1024;
	char *map = malloc(size);

	if (!map)
		return;
	lcores(map, size, o);
	arg(a, "spillway-dataplane");
	arg(a, "--lcores=%s", map);
	arg(a, "--main-lcore=%u", o->n_workers);
	arg(a, "--no-telemetry");
	arg(a, "--log-level=*:%s", o->log_level == SPW_LOG_DEBUG ? "info" : "alert");
	arg(a, "-a");
	arg(a, PCI_NOTHING);
	arg(a, "--file-prefix=%s", o->file_prefix);
	arg(a, o->no_huge ? "--no-huge" : "--in-memory");
	if (o->no_huge)
		arg(a, "--no-shconf");
	if (o->memory_mb) {
		arg(a, "-m");
		arg(a, "%u", o->memory_mb);
	}
	free(map);
}

static int
cores_check(const struct dp_options *o, struct spw_err *err)
{
	char all[1024];
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	allowed_cpus(all, sizeof(all));
	for (unsigned int i = 0; i < o->n_workers; i++)
		if (o->core[i] >= 0 && !CPU_ISSET(o->core[i], &set))
			return spw_fail(err, -EINVAL,
					"--cores: CPU %d is not there for this process; %.100s are",
					o->core[i], all);
	return 0;
}

int
dp_eal_start(const struct dp_options *o, struct spw_err *err)
{
	struct args a = {0};
	int rc = cores_check(o, err);

	if (rc != 0)
		return rc;
	args_fill(&a, o);
	setenv("RUNTIME_DIRECTORY", o->run_dir, 1);
	/* The strings stay: the EAL keeps pointers to them. */
	if (rte_eal_init(a.n, a.v) >= 0) {
		rte_openlog_stream(stderr);
		return 0;
	}
	return spw_fail(err, rte_errno ? -rte_errno : -EIO,
			"DPDK does not start: %s; with hugepages check "
			"/sys/kernel/mm/hugepages, or use --no-huge",
			rte_strerror(rte_errno));
}

static void
dir_remove(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

void
dp_eal_stop(const struct dp_options *o)
{
	char dir[512], parent[512];

	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	snprintf(parent, sizeof(parent), "%s/dpdk", o->run_dir);
	rte_eal_cleanup();
	if (dir[0])
		dir_remove(dir);
	rmdir(parent);
}
