/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-failover: from an event in the data plane to the first packet on the other path, and back.
 *
 * Behind three ExpressRoute ports lie 1, 10,000 and 1,000,000 prefixes of each family, all in one
 * table, all with the same tunnel behind them. A worker, polling busily on a CPU of its own, runs a
 * stream to one of them; at a moment that it cannot know, the other thread does what the data plane
 * does at an event:
 *
 *   link     LINK_STATE through its handler: the bits of all paths over the port
 *   bfd      the clear that a BFD session's end makes: the bits of the next hop's paths
 *   session  PATH_STATE through its handler, as controld sends it when a session is lost
 *
 * The time runs from before the call until transmit has returned for the first burst with a packet
 * on the other path. Then the stream is judged (failover_traffic.c) and the path set again, which
 * is measured and judged in the same way: on the return nothing may be lost, doubled, or overtaken
 * by more than a burst. Cases take turns, so that noise of the machine falls on all of them. Beside
 * them runs a canary: the same with a worker that does nothing but look for the event.
 *
 * The worker reports quiescence as in production. Packets that left on the old path after the event
 * are counted: a black-holing next hop eats them.
 */
#include "bench/failover.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define SIDES	  (2 * FO_SIZES)
#define IFACE_ER  10
#define PORT_ER	  2
#define PATH_ER	  100
#define GROUP_ER  100
#define TUNNEL	  0
#define MEMORY_MB 2048
#define PACKETS	  16383
#define ROUTES	  1020000
#define ARM	  24 /* bursts before the event may come */
#define TAIL	  12 /* bursts after the first packet on the other path */
#define LIMIT_S	  20 /* without a packet there: something is broken */
#define BATCH	  512

enum event { EV_LINK, EV_BFD, EV_SESSION, EVENTS };
static const char *const event_name[EVENTS] = {"link", "bfd", "session"};
static const uint32_t prefixes[FO_SIZES] = {1, 10000, 1000000};

/* One case's results, there or back. */
struct series {
	unsigned int n;
	double *us;
	double *old_path;
	uint64_t lost, duplicated, foreign, overtaken;
};

enum job { JOB_NONE, JOB_STREAM, JOB_CANARY, JOB_END };

static struct bench {
	struct bg g;
	struct bg_sa sa;
	struct fo_side side[SIDES];
	struct series there[SIDES][EVENTS], back[SIDES][EVENTS];
	double *canary;
	bool json;
	unsigned int rounds;
	/* The worker's task, written before `job`; its answers, written before `job` is NONE. */
	const struct fo_side *todo;
	unsigned int port;  /* where the first packet is awaited */
	unsigned int other; /* the path that is left */
	struct fo_verdict verdict;
	uint64_t seen; /* TSC of the first packet there */
	_Atomic unsigned int job;
	_Atomic bool armed;
	_Atomic uint64_t event; /* TSC; 0 = not yet */
} b;

/* --- the worker ---------------------------------------------------------------------------- */

/* End with what the worker dropped: it says why nothing came. */
static void
stuck(void)
{
	static const char *const reason[] = {
#define DP_DROP(sym, name, meaning) name,
#include "dataplane/drop.def"
	};
	struct spw_err err = {0};

	snprintf(err.text, sizeof(err.text), "%lu packets sent, none dropped", b.g.w->count.tx);
	for (unsigned int i = 0; i < DP_DROP_COUNT; i++)
		if (b.g.w->count.drop[i] != 0)
			snprintf(err.text, sizeof(err.text), "%lu dropped: %s",
				 b.g.w->count.drop[i], reason[i]);
	bg_die("no packet on the other path", &err);
}

static void
stream(struct fo_tap *tap)
{
	uint64_t sent, limit = rte_rdtsc() + LIMIT_S * rte_get_tsc_hz();
	unsigned int bursts = 0, after = 0;

	b.seen = 0;
	fo_tap_start(tap, b.todo);
	while (after < TAIL) {
		bool there = fo_tap_burst(tap, b.port, &sent);

		rte_rcu_qsbr_quiescent(b.g.c->qsbr, 0);
		if (++bursts == ARM)
			atomic_store(&b.armed, true);
		if (there && bursts <= ARM && !b.armed)
			bg_die("packets take the other path before the event", NULL);
		if (there && b.seen == 0)
			b.seen = sent;
		after += b.seen != 0;
		if (sent > limit)
			stuck();
	}
	b.verdict = fo_tap_judge(tap, b.other, atomic_load(&b.event));
}

static void
canary(void)
{
	atomic_store(&b.armed, true);
	while (atomic_load_explicit(&b.event, memory_order_relaxed) == 0)
		;
	b.seen = rte_rdtsc();
}

static void *
worker(void *arg)
{
	const int cpu = *(const int *)arg;
	static struct fo_tap tap;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0 ||
	    rte_thread_register() != 0)
		bg_die("the worker has no CPU", NULL);
	fo_tap_init(&tap, &b.g, &b.sa);
	rte_rcu_qsbr_thread_register(b.g.c->qsbr, 0);
	rte_rcu_qsbr_thread_online(b.g.c->qsbr, 0);
	for (;;) {
		unsigned int job = atomic_load(&b.job);

		rte_rcu_qsbr_quiescent(b.g.c->qsbr, 0);
		if (job == JOB_END)
			break;
		if (job == JOB_NONE)
			continue;
		if (job == JOB_STREAM)
			stream(&tap);
		else
			canary();
		atomic_store(&b.job, JOB_NONE);
	}
	rte_rcu_qsbr_thread_offline(b.g.c->qsbr, 0);
	rte_rcu_qsbr_thread_unregister(b.g.c->qsbr, 0);
	fo_tap_free(&tap);
	rte_thread_unregister();
	return NULL;
}

/* --- the events ---------------------------------------------------------------------------- */

static void
link_set(const struct fo_side *s, bool up)
{
	const struct spw_dp_link link = {.port = s->port, .up = up};

	bg_call(&b.g, "link state", dp_handle_link_state, &link, 1, NULL);
}

static void
path_set(const struct fo_side *s, bool up)
{
	bool now;
	const struct spw_dp_path_state state = {
		.id = s->path,
		.up = up,
		.clears = dp_path_bits_life(b.g.c->tables->bits, s->path, &now).clears};

	bg_call(&b.g, "path state", dp_handle_path_state, &state, 1, NULL);
}

static void
bfd_down(const struct fo_side *s)
{
	struct dp_path_mask mask = {0};

	dp_path_mask_add(&mask, s->path);
	dp_path_bits_clear(b.g.c->tables->bits, &mask, spw_clock_ns());
}

static void
lose(const struct fo_side *s, enum event event)
{
	switch (event) {
	case EV_LINK: link_set(s, false); break;
	case EV_BFD: bfd_down(s); break;
	case EV_SESSION: path_set(s, false); break;
	case EVENTS: break;
	}
}

/* Every path over the port: a lost link cleared those of the other family, too. */
static void
paths_over_port_up(const struct fo_side *s)
{
	for (unsigned int i = 0; i < SIDES; i++)
		if (b.side[i].port == s->port)
			path_set(&b.side[i], true);
}

/* --- one switch ---------------------------------------------------------------------------- */

static void
job_start(enum job job)
{
	atomic_store(&b.armed, false);
	atomic_store(&b.event, 0);
	atomic_store(&b.job, job);
	while (!atomic_load(&b.armed))
		rte_pause();
	/* Up to 50 us, so that the event falls anywhere in a burst. */
	rte_delay_us_block((unsigned int)(rte_rdtsc() >> 4) % 50);
}

static double
job_end(uint64_t event)
{
	while (atomic_load(&b.job) != JOB_NONE)
		rte_pause();
	return ((double)b.seen - (double)event) * 1e6 / (double)rte_get_tsc_hz();
}

static void
note(struct series *s, double us)
{
	s->us[s->n] = us;
	s->old_path[s->n++] = (double)b.verdict.old_path;
	s->lost += b.verdict.lost;
	s->duplicated += b.verdict.duplicated;
	s->foreign += b.verdict.foreign;
	s->overtaken = RTE_MAX(s->overtaken, b.verdict.overtaken);
}

static void
switch_once(unsigned int side, enum event event)
{
	const struct fo_side *s = &b.side[side];
	uint64_t at;

	b.todo = s;
	b.port = BG_WAN;
	b.other = s->port;
	job_start(JOB_STREAM);
	at = rte_rdtsc();
	atomic_store(&b.event, at);
	lose(s, event);
	note(&b.there[side][event], job_end(at));

	b.port = s->port;
	b.other = BG_WAN;
	if (event == EV_LINK)
		link_set(s, true);
	job_start(JOB_STREAM);
	at = rte_rdtsc();
	atomic_store(&b.event, at);
	path_set(s, true);
	note(&b.back[side][event], job_end(at));
	if (event == EV_LINK)
		paths_over_port_up(s);
}

static void
canary_once(unsigned int round)
{
	uint64_t at;

	job_start(JOB_CANARY);
	at = rte_rdtsc();
	atomic_store(&b.event, at);
	b.canary[round] = job_end(at);
}

/* --- the gateway --------------------------------------------------------------------------- */

static void
er_port(unsigned int size)
{
	struct spw_dp_port p = {.id = PORT_ER + size, .mtu = 1500};
	struct spw_dp_iface i = {.id = IFACE_ER + size,
				 .kind = SPW_IFACE_PORT,
				 .role = SPW_IF_ROLE_EXPRESSROUTE,
				 .port = p.id,
				 .mtu = 1500,
				 .up = 1};
	struct spw_dp_port_reply reply;

	snprintf(p.name, sizeof(p.name), "er%u", size);
	snprintf(p.devargs, sizeof(p.devargs), "net_ring%u", p.id);
	memcpy(i.name, p.name, sizeof(i.name));
	bg_call(&b.g, "port", dp_handle_port_set, &p, 1, &reply);
	bg_call(&b.g, "interface", dp_handle_iface_set, &i, 1, NULL);
	link_set(&(struct fo_side){.port = p.id}, true);
}

static struct spw_addr
next_hop(const struct fo_side *s)
{
	struct spw_addr a = spw_addr_v4(0xac100002 + (s->size << 8)); /* 172.16.S.2 */

	if (s->six)
		a = (struct spw_addr){.family = AF_INET6,
				      .bytes = {0xfd, [3] = (uint8_t)s->size, [15] = 2}};
	return a;
}

static void
group_set(const struct fo_side *s, const struct bg_sa *sa)
{
	const struct spw_dp_group group = {.id = s->group,
					   .n_tiers = 2,
					   .flags = SPW_GROUP_PROTECTED,
					   .tier = {{.role = SPW_TIER_EXPRESSROUTE,
						     .n_paths = 1,
						     .path = {s->path},
						     .weight = {1}},
						    {.role = SPW_TIER_TUNNEL,
						     .n_paths = 1,
						     .path = {2 + sa->tunnel}, /* bg_tunnel()'s */
						     .weight = {1}}}};

	bg_call(&b.g, "group", dp_handle_group_set, &group, 1, NULL);
}

static void
routes_set(const struct fo_side *s)
{
	static struct spw_dp_route route[BATCH];

	for (uint32_t at = 0; at < s->prefixes; at += BATCH) {
		uint32_t n = RTE_MIN((uint32_t)BATCH, s->prefixes - at);

		for (uint32_t i = 0; i < n; i++)
			route[i] = (struct spw_dp_route){.prefix = fo_prefix(s, at + i),
							 .group = s->group};
		bg_call(&b.g, "routes", dp_handle_route_set, route, n, NULL);
	}
}

static void
side_set(unsigned int n)
{
	struct fo_side *s = &b.side[n];

	s->six = n >= FO_SIZES;
	s->size = n % FO_SIZES;
	s->prefixes = prefixes[s->size];
	s->port = PORT_ER + s->size;
	s->path = PATH_ER + n;
	s->group = GROUP_ER + n;

	const struct spw_dp_neigh neigh = {.iface = IFACE_ER + s->size,
					   .addr = next_hop(s),
					   .mac = {2, 0, 0, 0, 1, (uint8_t)n},
					   .reachable = 1};
	const struct spw_dp_path path = {.id = s->path,
					 .kind = SPW_PATH_ADJACENCY,
					 .iface = IFACE_ER + s->size,
					 .next_hop = next_hop(s)};

	bg_call(&b.g, "neighbour", dp_handle_neigh_set, &neigh, 1, NULL);
	bg_call(&b.g, "path", dp_handle_path_set, &path, 1, NULL);
	path_set(s, true);
	group_set(s, &b.sa);
	routes_set(s);
	fo_frames(&b.g, s);
}

static double *
numbers(unsigned int n)
{
	double *v = calloc(n, sizeof(*v));

	if (v == NULL)
		bg_die("out of memory", NULL);
	return v;
}

static void
set_up(void)
{
	b.sa = (struct bg_sa){.tunnel = TUNNEL, .encr = SPW_ENCR_AES256_GCM, .ipv6 = true};
	bg_new_sized(&b.g, 1, ROUTES, PACKETS);
	bg_tunnel(&b.g, &b.sa, BG_REMOTE_HOST & 0xffff0000, 16);
	for (unsigned int size = 0; size < FO_SIZES; size++)
		er_port(size);
	for (unsigned int i = 0; i < SIDES; i++) {
		side_set(i);
		for (unsigned int e = 0; e < EVENTS; e++) {
			b.there[i][e] = (struct series){.us = numbers(b.rounds),
							.old_path = numbers(b.rounds)};
			b.back[i][e] = (struct series){.us = numbers(b.rounds),
						       .old_path = numbers(b.rounds)};
		}
	}
	b.canary = numbers(b.rounds);
}

/* --- telling ------------------------------------------------------------------------------- */

static int
by_value(const void *a, const void *c)
{
	double x = *(const double *)a, y = *(const double *)c;

	return x < y ? -1 : x > y;
}

static double
percentile(double *v, unsigned int n, double percent)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(unsigned int)((double)(n - 1) * percent / 100)];
}

static void
print_series(const char *what, unsigned int side, enum event event, struct series *s)
{
	printf(b.json ? "{\"what\": \"%s\", \"event\": \"%s\", \"family\": %d, \"prefixes\": %u, "
			"\"switches\": %u, \"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f, "
			"\"old_path_p50\": %.0f, \"lost\": %lu, \"duplicated\": %lu, "
			"\"unreadable\": %lu, \"overtaken\": %lu}\n"
		      : "%s %-7s IPv%d %7u prefixes, %u switches: p50 %.1f p99 %.1f max %.1f us; "
			"%.0f packets on the old path, %lu lost, %lu doubled, %lu unreadable, "
			"overtaken "
			"by %lu\n",
	       what, event_name[event], b.side[side].six ? 6 : 4, b.side[side].prefixes, s->n,
	       percentile(s->us, s->n, 50), percentile(s->us, s->n, 99),
	       percentile(s->us, s->n, 100), percentile(s->old_path, s->n, 50), s->lost,
	       s->duplicated, s->foreign, s->overtaken);
}

/* The p-th percentile over all events and both families of a size. */
static double
of_size(unsigned int size, double percent)
{
	double *all = numbers(2 * EVENTS * b.rounds), found;
	unsigned int n = 0;

	for (unsigned int i = size; i < SIDES; i += FO_SIZES)
		for (unsigned int e = 0; e < EVENTS; e++) {
			memcpy(all + n, b.there[i][e].us, b.rounds * sizeof(*all));
			n += b.rounds;
		}
	found = percentile(all, n, percent);
	free(all);
	return found;
}

static uint64_t
violations(void)
{
	struct spw_dp_tunnel_stats row;
	uint32_t index = 0;
	uint64_t sum = 0;

	while (dp_sad_tunnel_stats(b.g.c->sad, &index, &row))
		sum += row.violations;
	return sum;
}

static void
report(void)
{
	uint64_t lost = 0, doubled = 0, overtaken = 0;

	for (unsigned int i = 0; i < SIDES; i++)
		for (unsigned int e = 0; e < EVENTS; e++) {
			const struct series *s = &b.back[i][e];

			print_series("switch", i, e, &b.there[i][e]);
			print_series("return", i, e, &b.back[i][e]);
			lost += s->lost + s->foreign;
			doubled += s->duplicated;
			overtaken = RTE_MAX(overtaken, s->overtaken);
		}
	for (unsigned int size = 0; size < FO_SIZES; size++)
		printf("FIGURE switch-us-%u %.2f\n", prefixes[size], of_size(size, 50));
	for (unsigned int size = 0; size < FO_SIZES; size++)
		printf("FIGURE switch-p99-us-%u %.2f\n", prefixes[size], of_size(size, 99));
	printf("FIGURE switch-canary-us %.2f\nFIGURE switch-canary-p99-us %.2f\n",
	       percentile(b.canary, b.rounds, 50), percentile(b.canary, b.rounds, 99));
	printf("FIGURE switch-return-lost %lu\nFIGURE switch-return-doubled %lu\n"
	       "FIGURE switch-return-overtaken %lu\nFIGURE switch-violations %lu\n",
	       lost, doubled, overtaken, violations());
}

static void
parse(int argc, char **argv)
{
	b.rounds = 200;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			b.json = true;
		else if (strcmp(argv[i], "--quick") == 0)
			b.rounds = 20;
		else if (strcmp(argv[i], "--long") == 0)
			b.rounds = 1000;
		else
			bg_die("the options are --json, --quick, --long", NULL);
	}
}

int
main(int argc, char **argv)
{
	pthread_t thread;
	int cpu;

	parse(argc, argv);
	cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	if (cpu < 1)
		bg_die("two CPUs are needed: one for the worker, one for the event", NULL);
	bg_eal(MEMORY_MB);
	set_up();
	if (pthread_create(&thread, NULL, worker, &cpu) != 0)
		bg_die("no thread", NULL);
	for (unsigned int round = 0; round < b.rounds; round++) {
		for (unsigned int i = 0; i < SIDES; i++)
			for (unsigned int e = 0; e < EVENTS; e++)
				switch_once(i, (enum event)e);
		canary_once(round);
	}
	atomic_store(&b.job, JOB_END);
	pthread_join(thread, NULL);
	report();
	return 0;
}
