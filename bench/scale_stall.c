/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stalls of a worker while tables change, against what the machine does by itself.
 *
 * A virtual machine takes a CPU away now and then; a loop that does nothing sees it as well. So
 * each figure is shown beside that of an idle loop on the same CPU and of the same loop without a
 * writer, measured in turns. The figure is the longest turn of each millisecond: its median is what
 * a worker sees all the time, its 99th percentile what it sees every tenth of a second.
 */
#include "bench/scale.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/gateway.h"

#define SLICES_MAX 400000
#define WRITE_MAX  1000000

enum kind { CANARY, QUIET, BUSY, KINDS };

struct series {
	unsigned int n;
	double *us; /* the longest turn of each slice */
};

struct loop {
	const struct sc_stall *stall;
	struct series series[KINDS];
	double *write_us;
	unsigned int writes;
	/* Main thread to loop: kind + 1 to start, 0 when the loop has done it. */
	_Atomic unsigned int job;
	_Atomic bool stop;
};

static void
slice_note(struct series *s, uint64_t longest)
{
	if (s->n < SLICES_MAX)
		s->us[s->n++] = (double)longest * 1e6 / (double)rte_get_tsc_hz();
}

static void
window(struct loop *l, enum kind kind)
{
	const struct sc_stall *s = l->stall;
	uint64_t hz = rte_get_tsc_hz(), last = rte_rdtsc(), slice = last, longest = 0;
	uint64_t end = last + (uint64_t)(sc_options.window_s * (double)hz);

	rte_rcu_qsbr_thread_online(s->qsbr, 0);
	while (last < end) {
		if (kind != CANARY)
			s->turn(s->arg);
		rte_rcu_qsbr_quiescent(s->qsbr, 0);

		uint64_t now = rte_rdtsc();

		longest = RTE_MAX(longest, now - last);
		last = now;
		if (now - slice < hz / 1000)
			continue;
		slice_note(&l->series[kind], longest);
		slice = now;
		longest = 0;
	}
	rte_rcu_qsbr_thread_offline(s->qsbr, 0);
}

static void *
loop_run(void *arg)
{
	struct loop *l = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(1, &cpus);
	if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0)
		fprintf(stderr, "bench-scale: no second CPU; stalls are not to be trusted\n");
	rte_rcu_qsbr_thread_register(l->stall->qsbr, 0);
	while (!l->stop) {
		unsigned int job = l->job;

		if (job == 0)
			continue;
		window(l, (enum kind)(job - 1));
		l->job = 0;
	}
	rte_rcu_qsbr_thread_unregister(l->stall->qsbr, 0);
	return NULL;
}

static void
write_once(struct loop *l)
{
	uint64_t start = rte_rdtsc();

	l->stall->write(l->stall->arg);
	if (l->writes < WRITE_MAX)
		l->write_us[l->writes++] =
			(double)(rte_rdtsc() - start) * 1e6 / (double)rte_get_tsc_hz();
}

static void
window_ask(struct loop *l, enum kind kind)
{
	l->job = kind + 1;
	while (l->job != 0) {
		if (kind == BUSY)
			write_once(l);
		else
			usleep(2000);
	}
}

static void
print(struct loop *l)
{
	static const char *const name[] = {"canary", "quiet", "busy"};

	printf(sc_options.json ? "{\"what\": \"stall\", \"case\": \"%s\"" : "stall %-28s",
	       l->stall->name);
	for (unsigned int k = 0; k < KINDS; k++) {
		struct series *s = &l->series[k];

		printf(sc_options.json
			       ? ", \"%s_p50_us\": %.1f, \"%s_p99_us\": %.1f, \"%s_max_us\": %.1f"
			       : "  %s p50 %.1f%s p99 %.1f%s max %.1f us",
		       name[k], sc_percentile(s->us, s->n, 50), sc_options.json ? name[k] : "",
		       sc_percentile(s->us, s->n, 99), sc_options.json ? name[k] : "",
		       sc_percentile(s->us, s->n, 100));
	}
	printf(sc_options.json
		       ? ", \"writes\": %u, \"write_p50_us\": %.1f, \"write_p99_us\": %.1f}\n"
		       : "  %u writes, p50 %.0f p99 %.0f us\n",
	       l->writes, sc_percentile(l->write_us, l->writes, 50),
	       sc_percentile(l->write_us, l->writes, 99));
	fflush(stdout);
}

void
sc_stall_run(const struct sc_stall *stall)
{
	static struct loop l;
	pthread_t thread;

	l = (struct loop){.stall = stall, .write_us = calloc(WRITE_MAX, sizeof(double))};
	for (unsigned int k = 0; k < KINDS; k++)
		l.series[k].us = calloc(SLICES_MAX, sizeof(double));
	if (!l.write_us || !l.series[0].us || !l.series[1].us || !l.series[2].us ||
	    pthread_create(&thread, NULL, loop_run, &l) != 0)
		bg_die("out of memory", NULL);
	for (unsigned int i = 0; i < sc_options.rounds; i++)
		for (unsigned int k = 0; k < KINDS; k++)
			window_ask(&l, (enum kind)k);
	l.stop = true;
	pthread_join(thread, NULL);
	print(&l);
	for (unsigned int k = 0; k < KINDS; k++)
		free(l.series[k].us);
	free(l.write_us);
}
