/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spillway-dataplane: start, run, stop.
 *
 * start() is the order of start-up, stop() its reverse; both take whatever part exists. Nothing is
 * forwarded before controld has configured it, and no cipher is used before its self-test has
 * passed. Core dumps are off, because memory holds keys. Signals are blocked before the first
 * thread exists and read by the API thread alone.
 *
 * Threads: this one (main lcore) becomes the API thread; workers are lcores 0..n-1; the punt
 * thread; the EAL's interrupt thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "dataplane/api.h"
#include "dataplane/bfd_sessions.h"
#include "dataplane/crypto/crypto.h"
#include "dataplane/eal.h"
#include "dataplane/monitor_probe.h"
#include "dataplane/pages.h"
#include "dataplane/priority.h"
#include "dataplane/run_lock.h"
#include "dataplane/spread_turn.h"

#define POOL_CACHE 256

struct app {
	struct dp_options opt;
	struct dp_control *c; /* large: in pages of its own */
	struct dp_api *api;
	bool eal_started;
	unsigned int launched; /* workers */
	int lock_fd;	       /* of the run directory, + 1 */
};

static int
process_harden(struct spw_err *err)
{
	const struct rlimit none = {0, 0};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return spw_fail(err, -errno, "cannot protect the process: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	if (spw_secret_init() != 0)
		return spw_fail(err, -EIO, "libsodium does not start");
	return 0;
}

static int
run_dir_make(const struct dp_options *o, struct spw_err *err)
{
	if (mkdir(o->run_dir, 0770) == 0) {
		/* The other daemons put their sockets here, too. */
		if (chown(o->run_dir, (uid_t)-1, o->socket_gid) == 0 &&
		    chmod(o->run_dir, 0770) == 0)
			return 0;
	} else if (errno == EEXIST) {
		return 0;
	}
	return spw_fail(err, -errno, "cannot make %s: %s; name another with --run-dir", o->run_dir,
			strerror(errno));
}

/* One data plane in a run directory; the lock goes with the process, however it ends. */
static int
run_dir_lock(struct app *a, struct spw_err *err)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/dataplane.lock", a->opt.run_dir);
	fd = dp_run_lock(path);
	if (fd >= 0) {
		a->lock_fd = fd + 1;
		return 0;
	}
	if (fd == -EWOULDBLOCK)
		return spw_fail(err, -EBUSY,
				"another data plane runs in %s; stop it or name another --run-dir",
				a->opt.run_dir);
	return spw_fail(err, fd, "cannot open %s: %s", path, strerror(-fd));
}

static void
run_dir_unlock(struct app *a)
{
	char path[512];

	if (!a->lock_fd)
		return;
	snprintf(path, sizeof(path), "%s/dataplane.lock", a->opt.run_dir);
	unlink(path);
	close(a->lock_fd - 1);
}

static int
control_new(struct app *a, struct spw_err *err)
{
	struct dp_control *c = dp_pages_new(sizeof(*c), false);

	if (!c)
		return spw_fail(err, -ENOMEM, "no memory for the tables");
	a->c = c;
	c->opt = &a->opt;
	c->n_workers = a->opt.n_workers;
	c->started_ns = spw_clock_ns();
	if (getrandom(&c->incarnation, sizeof(c->incarnation), 0) != sizeof(c->incarnation))
		return spw_fail(err, -EIO, "no random number: %s", strerror(errno));
	c->group_refs = dp_pages_new(DP_GROUPS_MAX * sizeof(c->group_refs[0]), false);
	c->switch_told = dp_pages_new(DP_GROUPS_MAX * sizeof(c->switch_told[0]), false);
	if (!c->group_refs || !c->switch_told || dp_bell_init(&c->bell) < 0)
		return spw_fail(err, -ENOMEM, "no memory for the tables");
	return 0;
}

static int
qsbr_new(struct dp_control *c, struct spw_err *err)
{
	size_t size = rte_rcu_qsbr_get_memsize(c->n_workers);

	c->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE,
				(size + RTE_CACHE_LINE_SIZE - 1) & ~(RTE_CACHE_LINE_SIZE - 1ul));
	if (!c->qsbr || rte_rcu_qsbr_init(c->qsbr, c->n_workers) != 0)
		return spw_fail(err, -ENOMEM, "no memory for the workers' register");
	return 0;
}

static int
pool_new(struct dp_control *c, struct spw_err *err)
{
	const struct dp_options *o = c->opt;

	c->pool = rte_pktmbuf_pool_create("packets", o->mbufs, POOL_CACHE, sizeof(struct dp_pkt),
					  (uint16_t)(RTE_PKTMBUF_HEADROOM + o->mbuf_size),
					  SOCKET_ID_ANY);
	if (c->pool)
		return 0;
	return spw_fail(err, -ENOMEM,
			"no memory for %u packet buffers (%s); give more with --memory or lower "
			"--mbufs",
			o->mbufs, rte_strerror(rte_errno));
}

static int
tables_new(struct dp_control *c, struct spw_err *err)
{
	struct dp_tables *t = dp_tables_new();

	if (!t)
		return spw_fail(err, -ENOMEM, "no memory for the tables");
	c->tables = t;
	return dp_tables_start(t, c->opt, c->qsbr, err);
}

static int
sad_new(struct dp_control *c, struct spw_err *err)
{
	const struct dp_sad_config config = {.qsbr = c->qsbr,
					     .n_workers = c->n_workers,
					     .max_sas = c->opt->max_sas,
					     .max_tunnels = 16384,
					     .isa = DP_CRYPTO_AUTO};

	return dp_sad_init(&c->sad, &config, err);
}

/* The punt thread and what watches paths from it. */
static int
punt_new(struct dp_control *c, struct spw_err *err)
{
	struct dp_monitor_config config = {.worker = c->worker,
					   .n_workers = c->n_workers,
					   .pool = c->pool,
					   .mbuf_size = (uint16_t)c->opt->mbuf_size};
	int rc = dp_punt_new(&c->punt, c->worker, c->n_workers, c->pool, err);

	if (rc != 0)
		return rc;
	config.bell = dp_punt_bell(c->punt);
	rc = dp_monitor_new(&c->monitor, &config, err);
	if (rc == 0)
		dp_punt_monitor(c->punt, c->monitor);
	if (rc == 0)
		rc = dp_probes_new(&c->probes, c->monitor, c->tables, &c->bell, err);
	if (rc == 0)
		rc = dp_bfds_new(&c->bfds, c->monitor, c->tables->bits, &c->bell, err);
	return rc;
}

static int
workers_new(struct dp_control *c, struct spw_err *err)
{
	int rc = punt_new(c, err);

	for (unsigned int i = 0; rc == 0 && i < c->n_workers; i++) {
		const struct dp_worker_config config = {.index = i,
							.lcore = i,
							.polling = c->opt->polling,
							.tables = c->tables,
							.sad = c->sad,
							.pool = c->pool,
							.wants = dp_monitor_wants(c->monitor),
							.punt_bell = dp_punt_bell(c->punt),
							.api_bell = &c->bell,
							.stop = &c->stop};

		rc = dp_worker_new(&c->worker[i], &config, err);
	}
	if (rc == 0)
		rc = dp_spread_start(c->worker, c->n_workers, err);
	return rc;
}

static int
threads_start(struct app *a, struct spw_err *err)
{
	int rc = dp_punt_start(a->c->punt, err);

	for (unsigned int i = 0; rc == 0 && i < a->c->n_workers; i++) {
		rc = rte_eal_remote_launch(dp_worker_main, a->c->worker[i], i);
		if (rc != 0)
			return spw_fail(err, rc, "worker %u does not start", i);
		a->launched++;
	}
	return rc;
}

/* The order of start-up. What was done when it fails is undone by stop(). */
static int
start(struct app *a, struct spw_err *err)
{
	int rc = process_harden(err);

	if (rc == 0)
		rc = dp_crypto_self_test(err);
	if (rc == 0)
		rc = run_dir_make(&a->opt, err);
	if (rc == 0)
		rc = run_dir_lock(a, err);
	if (rc == 0)
		rc = control_new(a, err);
	if (rc == 0)
		rc = dp_eal_start(&a->opt, err);
	if (rc != 0)
		return rc;
	a->eal_started = true;
	rc = qsbr_new(a->c, err);
	if (rc == 0)
		rc = pool_new(a->c, err);
	if (rc == 0)
		rc = tables_new(a->c, err);
	if (rc == 0)
		rc = sad_new(a->c, err);
	if (rc == 0)
		rc = workers_new(a->c, err);
	if (rc == 0)
		rc = threads_start(a, err);
	if (rc == 0)
		rc = dp_api_new(&a->api, a->c, err);
	return rc;
}

static void
threads_stop(struct app *a)
{
	atomic_store(&a->c->stop, 1);
	for (unsigned int i = 0; i < a->launched; i++)
		rte_eal_wait_lcore(i);
	if (a->c->punt)
		dp_punt_stop(a->c->punt);
}

static void
control_stop(struct app *a, struct dp_control *c)
{
	threads_stop(a);
	dp_control_free_objects(c);
	dp_punt_free(c->punt);
	for (unsigned int i = 0; i < c->n_workers; i++)
		dp_worker_free(c->worker[i]);
	dp_probes_free(c->probes);
	dp_bfds_free(c->bfds);
	dp_monitor_free(c->monitor);
	if (c->sad)
		dp_sad_free(c->sad);
	dp_tables_stop(c->tables);
	rte_mempool_free(c->pool);
	free(c->qsbr);
	if (a->eal_started)
		dp_eal_stop(&a->opt);
	close(c->bell.fd);
	munmap(c->group_refs, DP_GROUPS_MAX * sizeof(c->group_refs[0]));
	munmap(c->switch_told, DP_GROUPS_MAX * sizeof(c->switch_told[0]));
	munmap(c, sizeof(*c));
}

static void
stop(struct app *a)
{
	struct dp_control *c = a->c;

	dp_api_free(a->api);
	if (c)
		control_stop(a, c);
	run_dir_unlock(a);
}

/* Without it the data plane works, only worse beside others. */
static void
priority_keep(void)
{
	int rc = dp_priority_keep();

	if (rc != 0)
		spw_log(SPW_LOG_DEBUG, "main", "priority-not-kept", "cause=\"%s\"", strerror(-rc));
}

int
main(int argc, char **argv)
{
	struct app a = {0};
	struct spw_err err = {0};

	spw_log_init("spillway-dataplane", SPW_LOG_INFO);
	int rc = dp_options_parse(&a.opt, argc, argv, &err);

	if (rc == 1)
		return EXIT_SUCCESS;
	if (rc == 0) {
		spw_log_init("spillway-dataplane", a.opt.log_level);
		priority_keep();
		rc = start(&a, &err);
	}
	if (rc == 0) {
		spw_log(SPW_LOG_INFO, "main", "ready", "version=%s workers=%u cipher=\"%s\"",
			SPILLWAY_VERSION, a.c->n_workers, dp_sad_isa(a.c->sad));
		spw_notify("READY=1");
		dp_api_run(a.api);
		spw_notify("STOPPING=1");
		stop(&a);
		spw_log(SPW_LOG_INFO, "main", "stopped", "by=signal");
	} else {
		spw_log(SPW_LOG_ERROR, "main", "cannot-start", "cause=\"%s\"", err.text);
		stop(&a);
	}
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
