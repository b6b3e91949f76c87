/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FRR: its configuration is rendered, written to a file of the run directory (0600, it may hold
 * passwords) and applied by frr-reload, which works out the difference; its sessions are read
 * with vtysh. All are child processes on the event loop, never waited for.
 *
 * FRR that does not run, or runs anew with an empty configuration, is brought up to date when it
 * is there: a failed apply is tried again every two seconds (one log line), and each reading of the
 * neighbours checks that all configured ones are there. Before the first apply, and after a restart
 * of FRR, bgpd is asked for its modules: without the one for BMP the lines about it would be
 * refused, so they are left out and that is said, once.
 *
 * Routes do not come from here: the kernel's table is the truth, this is for causes and shows. Why
 * a next hop went is known by BMP at once; vtysh is asked only where BMP knows nothing. One thread.
 */
#include "control/frr.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/bmp.h"
#include "control/failover.h"
#include "control/process.h"
#include "control/secret_file.h"

#define QUESTIONS     8
#define POLL_TICKS    5
#define APPLY_RETRY_S 2

#define CLEARS	       16
#define CLEAR_AGAIN_NS SPW_NS_PER_S

enum modules { MODULES_UNKNOWN, MODULES_WITHOUT_BMP, MODULES_WITH_BMP };

/* A session that is being reset, or was lately. */
struct clear {
	struct ctl_process *process;
	struct spw_addr neighbour;
	uint64_t at_ns;
};

struct ctl_frr {
	struct ctl_process *reload, *query;
	enum modules modules;
	struct clear clear[CLEARS];
	struct event *retry;
	bool apply_again, told, applied;
	unsigned int ticks;
	unsigned int n_questions;
	struct spw_addr question[QUESTIONS];
	json_t *neighbours;
	char version[24];
	char file[CTL_PATH + 32];
};

const json_t *
ctl_frr_neighbours(const struct ctl_runtime *rt)
{
	return rt->frr->neighbours;
}

const char *
ctl_frr_version(const struct ctl_runtime *rt)
{
	return rt->frr->version;
}

static int
write_private(const char *path, const char *text)
{
	char tmp[CTL_PATH + 40];
	size_t len = strlen(text);
	int fd, rc = 0;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		rc = -EIO;
	close(fd);
	if (rc == 0 && rename(tmp, path) != 0)
		rc = -errno;
	return rc;
}

static void
read_secrets(const struct ctl_bgp *bgp, struct ctl_frr_secret *out)
{
	for (unsigned int i = 0; i < bgp->n_neighbors; i++) {
		const char *path = bgp->neighbor[i].password_file;
		struct spw_secret s = {0};
		struct spw_err err = {0};

		memset(&out[i], 0, sizeof(out[i]));
		if (!path[0])
			continue;
		if (ctl_secret_read_file(&s, path, CTL_SECRET_ANY, &err) != 0)
			spw_log(SPW_LOG_ERROR, "frr", "password-unreadable", "error=\"%s\"",
				err.text);
		else if (s.len < sizeof(out[i].text) && !memchr(s.bytes, '\n', s.len))
			memcpy(out[i].text, s.bytes, s.len);
		spw_secret_free(&s);
	}
}

/* Neighbours that nothing is announced to while an operator keeps traffic off ExpressRoute. */
static void
find_drained(const struct ctl_runtime *rt, bool drained[CTL_LIST])
{
	const struct ctl_bgp *bgp = &rt->config.bgp;

	for (unsigned int i = 0; i < bgp->n_neighbors; i++)
		drained[i] = ctl_failover_neighbour_is_drained(rt, &bgp->neighbor[i]);
}

static int
render_to_file(struct ctl_runtime *rt)
{
	static struct ctl_frr_secret secrets[CTL_LIST];
	bool drained[CTL_LIST];
	char *text;
	int rc;

	read_secrets(&rt->config.bgp, secrets);
	find_drained(rt, drained);
	text = ctl_frr_render(&rt->config, secrets, drained,
			      rt->frr->modules == MODULES_WITH_BMP ? ctl_bmp_port(rt) : 0);
	spw_wipe(secrets, sizeof(secrets));
	if (!text)
		return -ENOMEM;
	rc = write_private(rt->frr->file, text);
	spw_wipe(text, strlen(text));
	free(text);
	return rc;
}

static void
retry_apply(struct ctl_runtime *rt)
{
	struct timeval tv = {.tv_sec = APPLY_RETRY_S};

	event_add(rt->frr->retry, &tv);
}

/* The last line of a program's output, without what might be a password. */
static void
last_line(const char *out, size_t len, char *text, size_t size)
{
	while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == ' '))
		len--;
	size_t start = len;

	while (start > 0 && out[start - 1] != '\n')
		start--;
	spw_text_escape(text, size, out + start, len - start);
	if (strcasestr(text, "password"))
		snprintf(text, size, "(a line with a password is not shown)");
}

static void
on_reloaded(void *ctx, int status, const char *out, size_t len)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_frr *frr = rt->frr;
	char why[160];

	frr->reload = NULL;
	if (frr->apply_again) {
		frr->apply_again = false;
		ctl_frr_apply(rt);
		return;
	}
	frr->applied = status == 0;
	if (status == 0) {
		spw_log(SPW_LOG_INFO, "frr", "applied", "file=%s", frr->file);
		frr->told = false;
		return;
	}
	last_line(out, len, why, sizeof(why));
	if (!frr->told)
		spw_log(SPW_LOG_ERROR, "frr", "apply-failed",
			"status=%d error=\"%s\" mend=\"start FRR's daemons; tried again every %d "
			"s\"",
			status, why, APPLY_RETRY_S);
	frr->told = true;
	retry_apply(rt);
}

/* vtysh with its socket directory; commands are put at *n. */
static void
vtysh_start(const struct ctl_runtime *rt, const char **argv, unsigned int *n)
{
	argv[(*n)++] = "/usr/bin/vtysh";
	if (rt->frr_dir[0]) {
		argv[(*n)++] = "--vty_socket";
		argv[(*n)++] = rt->frr_dir;
	}
}

static void
apply_failed(struct ctl_runtime *rt, int rc)
{
	spw_log(SPW_LOG_ERROR, "frr", "apply-failed", "file=%s error=\"%s\"", rt->frr->file,
		strerror(-rc));
	retry_apply(rt);
}

static void
reload(struct ctl_runtime *rt)
{
	struct ctl_frr *frr = rt->frr;
	const char *argv[16] = {"/usr/bin/python3", "/usr/lib/frr/frr-reload.py",
				"--reload",	    "--stdout",
				"--log-level",	    "error",
				"--rundir",	    rt->run_dir,
				"--bindir",	    "/usr/bin"};
	unsigned int n = 10;
	int rc;

	if (rt->frr_dir[0]) {
		argv[n++] = "--vty_socket";
		argv[n++] = rt->frr_dir;
	}
	argv[n++] = frr->file;
	rc = render_to_file(rt);
	if (rc == 0)
		rc = ctl_process_run(&frr->reload, rt->base, argv, true, 60, on_reloaded, rt);
	if (rc != 0)
		apply_failed(rt, rc);
}

static void
on_modules(void *ctx, int status, const char *out, size_t len)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_frr *frr = rt->frr;
	const char *bgpd = strstr(out, "information for bgpd");

	/* No bgpd yet: the same as an apply that failed. */
	if (status != 0 || !bgpd) {
		on_reloaded(rt, status ? status : 1, out, len);
		return;
	}
	frr->reload = NULL;
	frr->modules = strstr(bgpd, "bgpd_bmp") ? MODULES_WITH_BMP : MODULES_WITHOUT_BMP;
	if (frr->modules == MODULES_WITHOUT_BMP)
		spw_log(SPW_LOG_WARNING, "frr", "bmp-missing",
			"effect=\"withdrawals are heard from the kernel, some 60 ms later\" "
			"mend=\"start bgpd with -M bmp (bgpd_options in /etc/frr/daemons)\"");
	reload(rt);
}

void
ctl_frr_apply(struct ctl_runtime *rt)
{
	struct ctl_frr *frr = rt->frr;
	const char *argv[8];
	unsigned int n = 0;
	int rc;

	if (frr->reload) {
		frr->apply_again = true;
		return;
	}
	if (frr->modules != MODULES_UNKNOWN || ctl_bmp_port(rt) == 0) {
		reload(rt);
		return;
	}
	vtysh_start(rt, argv, &n);
	argv[n++] = "-c";
	argv[n++] = "show modules";
	argv[n] = NULL;
	rc = ctl_process_run(&frr->reload, rt->base, argv, true, 5, on_modules, rt);
	if (rc != 0)
		apply_failed(rt, rc);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	ctl_frr_apply(arg);
}

static json_t *
take_json(const char **at, const char *end)
{
	json_error_t e;
	json_t *j;

	/* A document starts a line; "show version" before it has braces within lines. */
	while (*at < end && ((**at != '{' && **at != '[') || (*at)[-1] != '\n'))
		(*at)++;
	if (*at == end)
		return NULL;
	j = json_loadb(*at, (size_t)(end - *at), JSON_DISABLE_EOF_CHECK, &e);
	if (j)
		*at += e.position;
	else
		*at = end;
	return j;
}

static void
answer_question(struct ctl_runtime *rt, const struct spw_addr *next_hop)
{
	char text[SPW_ADDR_TEXT];
	const json_t *n;

	n = json_object_get(rt->frr->neighbours, spw_addr_format(next_hop, text));
	ctl_failover_explain(rt, next_hop, ctl_frr_cause(n), -1);
}

/* FRR started anew with an empty configuration: a neighbour is missing. */
static bool
lacks_neighbour(const struct ctl_runtime *rt)
{
	char text[SPW_ADDR_TEXT];

	for (unsigned int i = 0; i < rt->config.bgp.n_neighbors; i++)
		if (!json_object_get(rt->frr->neighbours,
				     spw_addr_format(&rt->config.bgp.neighbor[i].address, text)))
			return true;
	return false;
}

static void
on_answered(void *ctx, int status, const char *out, size_t len)
{
	struct ctl_runtime *rt = ctx;
	struct ctl_frr *frr = rt->frr;
	const char *at = out + (len > 0), *version = strstr(out, "FRRouting ");

	frr->query = NULL;
	json_decref(frr->neighbours);
	frr->version[0] = '\0';
	if (status == 0 && version)
		sscanf(version, "FRRouting %23s", frr->version);
	frr->neighbours = status == 0 ? take_json(&at, out + len) : NULL;
	if (frr->neighbours)
		for (unsigned int i = 0; i < frr->n_questions; i++)
			answer_question(rt, &frr->question[i]);
	frr->n_questions = 0;
	if (frr->neighbours && frr->applied && !frr->reload && lacks_neighbour(rt)) {
		spw_log(SPW_LOG_WARNING, "frr", "restarted",
			"action=\"apply the configuration again\"");
		frr->modules = MODULES_UNKNOWN;
		ctl_frr_apply(rt);
	}
}

static void
ask(struct ctl_runtime *rt)
{
	struct ctl_frr *frr = rt->frr;
	const char *argv[16];
	unsigned int n = 0;

	frr->ticks = 0;
	if (frr->query)
		return;
	vtysh_start(rt, argv, &n);
	argv[n++] = "-c";
	argv[n++] = "show version";
	argv[n++] = "-c";
	argv[n++] = "show bgp neighbors json";
	argv[n] = NULL;
	ctl_process_run(&frr->query, rt->base, argv, false, 5, on_answered, rt);
}

void
ctl_frr_ask(struct ctl_runtime *rt, const struct spw_addr *next_hop)
{
	struct ctl_frr *frr = rt->frr;
	const char *known = ctl_bmp_cause(rt, next_hop);

	if (known) {
		ctl_failover_explain(rt, next_hop, known, -1);
		return;
	}
	for (unsigned int i = 0; i < frr->n_questions; i++)
		if (spw_addr_equal(&frr->question[i], next_hop))
			return;
	if (frr->n_questions < QUESTIONS)
		frr->question[frr->n_questions++] = *next_hop;
	/* A running query was asked before the loss: its answer does not count. */
	if (frr->query) {
		ctl_process_kill(frr->query);
		frr->query = NULL;
	}
	ask(rt);
}

static void
on_cleared(void *ctx, int status, const char *out, size_t len)
{
	struct clear *c = ctx;
	char addr[SPW_ADDR_TEXT], why[160];

	c->process = NULL;
	if (status == 0)
		return;
	last_line(out, len, why, sizeof(why));
	spw_log(SPW_LOG_WARNING, "frr", "clear-failed", "neighbor=%s status=%d error=\"%s\"",
		spw_addr_format(&c->neighbour, addr), status, why);
}

/* The slot of a neighbour, else the one used longest ago that is idle; NULL when all are busy. */
static struct clear *
clear_slot(struct ctl_frr *frr, const struct spw_addr *neighbour)
{
	struct clear *found = NULL;

	for (struct clear *c = frr->clear; c < frr->clear + CLEARS; c++) {
		if (spw_addr_equal(&c->neighbour, neighbour))
			return c;
		if (!c->process && (!found || c->at_ns < found->at_ns))
			found = c;
	}
	return found;
}

void
ctl_frr_clear(struct ctl_runtime *rt, const struct spw_addr *neighbour)
{
	const char *known = ctl_bmp_cause(rt, neighbour);
	struct clear *c = clear_slot(rt->frr, neighbour);
	char line[SPW_ADDR_TEXT + 16], addr[SPW_ADDR_TEXT];
	uint64_t now = spw_clock_ns();
	const char *argv[8];
	unsigned int n = 0;

	/*
	 * A session that is not up is left alone: a reset would end the attempt that is under way,
	 * with it the peer's BFD session, and that would be the next reason for a reset.
	 */
	if (ctl_bmp_connected(rt) && (!known || strcmp(known, "withdrawn") != 0))
		return;
	if (!c || c->process || !rt->config.bgp.local_as ||
	    (c->at_ns && spw_addr_equal(&c->neighbour, neighbour) &&
	     now - c->at_ns < CLEAR_AGAIN_NS))
		return;
	c->neighbour = *neighbour;
	c->at_ns = now;
	snprintf(line, sizeof(line), "clear bgp %s", spw_addr_format(neighbour, addr));
	vtysh_start(rt, argv, &n);
	argv[n++] = "-c";
	argv[n++] = line;
	argv[n] = NULL;
	ctl_process_run(&c->process, rt->base, argv, true, 5, on_cleared, c);
}

void
ctl_frr_tick(struct ctl_runtime *rt)
{
	if (rt->config.bgp.local_as && ++rt->frr->ticks >= POLL_TICKS)
		ask(rt);
}

int
ctl_frr_new(struct ctl_runtime *rt)
{
	struct ctl_frr *frr = calloc(1, sizeof(*frr));

	if (!frr)
		return -ENOMEM;
	rt->frr = frr;
	snprintf(frr->file, sizeof(frr->file), "%s/frr.conf", rt->run_dir);
	frr->retry = evtimer_new(rt->base, on_retry, rt);
	return frr->retry ? 0 : -ENOMEM;
}

void
ctl_frr_free(struct ctl_runtime *rt)
{
	struct ctl_frr *frr = rt->frr;

	if (!frr)
		return;
	ctl_process_kill(frr->reload);
	ctl_process_kill(frr->query);
	for (unsigned int i = 0; i < CLEARS; i++)
		ctl_process_kill(frr->clear[i].process);
	if (frr->retry)
		event_free(frr->retry);
	json_decref(frr->neighbours);
	free(frr);
	rt->frr = NULL;
}
