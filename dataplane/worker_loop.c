/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: polls its receive queues and the ring of what the kernel sends, and runs each burst
 * through the pipeline to its end.
 *
 * Between two bursts it holds no pointer to a published object and says so (quiescent). With
 * adaptive polling it sleeps 50 to 100 us once nothing has come for a while, offline for the
 * quiescence count, so writers never wait for a sleeper; busy polling never sleeps. Which of
 * the two is decided by the ports, unless the command line says. With packets that wait for their
 * SA (park.c) it sleeps only the short way, and asks for them before it receives more. Bells are
 * rung here, after the burst, because a stage makes no system calls.
 *
 * All memory of a worker is its own; counters are read by the API thread.
 */
#include "dataplane/worker_loop.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "dataplane/crypto/crypto.h"
#include "dataplane/monitor_ring.h"
#include "dataplane/pages.h"
#include "dataplane/priority.h"
#include "dataplane/sad.h"
#include "dataplane/spread_turn.h"

#define IDLE_LOOPS     64 /* without a packet, before the first sleep */
#define SLEEP_SHORT_NS 50000
#define SLEEP_LONG_NS  100000
#define SHORT_SLEEPS   20
#define PUNT_PER_S     100000 /* to the twins of each role */
#define UP_PER_S       10000 /* of each kind that comes from the Internet */
#define ICMP_PER_S     200
#define ASK_PER_S      500
#define TIMER_SLACK_NS 1000

#define IFACE_BYTES (DP_IFACES_MAX * sizeof(struct dp_iface_counters))
#define PATH_BYTES  (SPW_DP_PATHS_MAX * sizeof(struct dp_path_counters))
#define LOAD_BYTES  (SPW_DP_PATHS_MAX * sizeof(struct dp_path_load))
#define SEEN_BYTES  (DP_GROUPS_MAX * sizeof(uint16_t))
#define WAY_BYTES   (DP_GROUPS_MAX * sizeof(struct dp_way))

static struct rte_ring *
ring_new(const char *what, unsigned int index, unsigned int size, unsigned int elem)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u", what, index);
	return rte_ring_create_elem(name, elem, size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static void
rates_init(struct dp_worker_priv *p)
{
	p->hz = rte_get_tsc_hz();
	for (unsigned int i = 0; i < RTE_DIM(p->punt_rate); i++)
		p->punt_rate[i] = dp_rate_make(p->hz, PUNT_PER_S, PUNT_PER_S / 10);
	for (unsigned int i = 0; i < DP_UP_KINDS; i++)
		p->up_rate[i] = dp_rate_make(p->hz, UP_PER_S, UP_PER_S / 10);
	for (unsigned int i = 0; i < RTE_DIM(p->icmp_rate); i++)
		p->icmp_rate[i] = dp_rate_make(p->hz, ICMP_PER_S, ICMP_PER_S / 2);
	p->ask_rate = dp_rate_make(p->hz, ASK_PER_S, ASK_PER_S / 5);
}

static struct dp_worker_priv *
priv_new(const struct dp_worker_config *cfg)
{
	struct dp_worker_priv *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->path = dp_pages_new(PATH_BYTES, true);
	p->load = dp_pages_new(LOAD_BYTES, false);
	p->chance = cfg->index;
	p->seen_tier = dp_pages_new(SEEN_BYTES, false);
	p->way = dp_pages_new(WAY_BYTES, true);
	p->to_punt = ring_new("to-punt", cfg->index, DP_PUNT_RING, sizeof(void *));
	p->from_punt = ring_new("from-punt", cfg->index, DP_TWIN_RING, sizeof(void *));
	p->events = ring_new("events", cfg->index, DP_EVENT_RING, sizeof(struct dp_worker_event));
	p->to_monitor = ring_new("to-monitor", cfg->index, DP_MONITOR_RX_RING,
				 sizeof(struct dp_monitor_note));
	p->from_monitor =
		ring_new("from-monitor", cfg->index, DP_MONITOR_TX_RING, sizeof(void *));
	p->wants = cfg->wants;
	p->punt_bell = cfg->punt_bell;
	p->api_bell = cfg->api_bell;
	p->stop = cfg->stop;
	p->busy_polling = cfg->polling == DP_POLL_BUSY;
	p->adaptive = cfg->polling == DP_POLL_ADAPTIVE;
	rates_init(p);
	return p;
}

int
dp_worker_new(struct dp_worker **out, const struct dp_worker_config *cfg, struct spw_err *err)
{
	struct dp_worker *w = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*w));
	struct dp_crypto *crypto = NULL;
	int rc;

	if (!w)
		return spw_fail(err, -ENOMEM, "no memory for worker %u", cfg->index);
	memset(w, 0, sizeof(*w));
	w->index = cfg->index;
	w->lcore = cfg->lcore;
	w->tables = cfg->tables;
	w->sad = cfg->sad;
	w->pool = cfg->pool;
	w->iface = dp_pages_new(IFACE_BYTES, false);
	w->priv = priv_new(cfg);
	rc = dp_crypto_new(&crypto, DP_CRYPTO_AUTO, err);
	w->crypto = crypto;
	struct dp_worker_priv *p = w->priv;

	if (rc == 0 && (!w->iface || !p || !p->path || !p->load || !p->seen_tier || !p->way ||
			!p->to_punt || !p->from_punt || !p->events || !p->to_monitor || !p->from_monitor))
		rc = spw_fail(err, -ENOMEM, "no memory for worker %u; give more with --memory",
			      cfg->index);
	if (rc == 0)
		*out = w;
	else
		dp_worker_free(w);
	return rc;
}

static void
ring_drain(struct rte_ring *r)
{
	void *m;

	while (r && rte_ring_sc_dequeue(r, &m) == 0)
		rte_pktmbuf_free(m);
}

static void
notes_drain(struct rte_ring *r)
{
	struct dp_monitor_note n;

	while (r && rte_ring_sc_dequeue_elem(r, &n, sizeof(n)) == 0)
		rte_pktmbuf_free(n.m);
}

static void
priv_free(struct dp_worker_priv *p)
{
	ring_drain(p->to_punt);
	ring_drain(p->from_punt);
	ring_drain(p->from_monitor);
	notes_drain(p->to_monitor);
	rte_ring_free(p->to_punt);
	rte_ring_free(p->from_punt);
	rte_ring_free(p->to_monitor);
	rte_ring_free(p->from_monitor);
	rte_ring_free(p->events);
	dp_pages_free(p->path, PATH_BYTES);
	dp_pages_free(p->load, LOAD_BYTES);
	dp_pages_free(p->seen_tier, SEEN_BYTES);
	dp_pages_free(p->way, WAY_BYTES);
	free(atomic_load_explicit(&p->rxqs, memory_order_relaxed));
	free(p);
}

void
dp_worker_free(struct dp_worker *w)
{
	if (!w)
		return;
	if (w->priv)
		priv_free(w->priv);
	dp_spread_stop(w);
	dp_crypto_free(w->crypto);
	dp_pages_free(w->iface, IFACE_BYTES);
	free(w);
}

/* Before the ports, so that nothing received later overtakes. */
static uint32_t
poll_park(struct dp_worker *w, struct dp_burst *b)
{
	if (likely(w->park.n == 0))
		return 0;
	dp_park_take(w, b);
	if (b->n == 0)
		return 0;
	uint32_t n = b->n;

	dp_pipeline_parked(w, b);
	return n;
}

static uint32_t
poll_ports(struct dp_worker *w, const struct dp_rxq_list *list, struct dp_burst *b)
{
	uint32_t total = 0;

	for (uint32_t i = 0; list && i < list->n; i++) {
		b->n = rte_eth_rx_burst(list->q[i].dpdk_id, list->q[i].queue, b->pkt, DP_BURST);
		if (b->n == 0)
			continue;
		total += b->n;
		w->backlog = b->n == DP_BURST;
		dp_pipeline_rx(w, b);
	}
	w->backlog = false;
	return total;
}

static uint32_t
poll_twins(struct dp_worker *w, struct dp_burst *b)
{
	b->n = (uint16_t)rte_ring_sc_dequeue_burst(dp_priv(w)->from_punt, (void **)b->pkt, DP_BURST,
						   NULL);
	if (b->n == 0)
		return 0;
	uint32_t n = b->n;

	dp_pipeline_twin(w, b);
	return n;
}

static uint32_t
poll_monitor(struct dp_worker *w, struct dp_burst *b)
{
	b->n = (uint16_t)rte_ring_sc_dequeue_burst(dp_priv(w)->from_monitor, (void **)b->pkt,
						   DP_BURST, NULL);
	if (likely(b->n == 0))
		return 0;
	uint32_t n = b->n;

	dp_pipeline_monitor(w, b);
	return n;
}

static void
poll_pending(struct dp_worker *w, struct dp_burst *b)
{
	b->n = 0;
	dp_pending_check(w, b);
	if (b->n)
		dp_pipeline_resume(w, b);
}

static void
bells_ring(struct dp_worker_priv *p)
{
	if (p->ring_punt)
		dp_bell_ring(p->punt_bell);
	if (p->ring_api)
		dp_bell_ring(p->api_bell);
	p->ring_punt = p->ring_api = false;
}

/* Nothing came: stay, or sleep a little. */
static void
rest(struct dp_worker *w, const struct dp_rxq_list *list, uint32_t idle)
{
	struct dp_worker_priv *p = dp_priv(w);
	bool physical = list && list->physical;

	if (p->busy_polling || (physical && !p->adaptive) || idle < IDLE_LOOPS ||
	    (w->spread && !dp_spread_may_sleep(w))) {
		rte_pause();
		return;
	}
	bool soon = idle < IDLE_LOOPS + SHORT_SLEEPS || w->park.n != 0;
	struct timespec t = {.tv_nsec = soon ? SLEEP_SHORT_NS : SLEEP_LONG_NS};

	rte_rcu_qsbr_thread_offline(w->tables->qsbr, w->index);
	nanosleep(&t, NULL);
	rte_rcu_qsbr_thread_online(w->tables->qsbr, w->index);
}

static void
run(struct dp_worker *w)
{
	struct dp_worker_priv *p = dp_priv(w);
	struct dp_burst b;
	uint32_t idle = 0;
	uint64_t last = rte_rdtsc();

	while (!atomic_load_explicit(p->stop, memory_order_relaxed)) {
		const struct dp_rxq_list *list =
			atomic_load_explicit(&p->rxqs, memory_order_acquire);

		w->now_tsc = rte_rdtsc();
		uint32_t n = poll_park(w, &b);

		n += poll_ports(w, list, &b);
		n += poll_twins(w, &b);
		n += poll_monitor(w, &b);
		if (w->spread)
			n += dp_spread_turn(w, &b, n);

		poll_pending(w, &b);
		bells_ring(p);
		uint64_t now = rte_rdtsc();

		w->count.total_cycles += now - last;
		if (n) {
			w->count.busy_cycles += now - last;
			w->count.busy_packets += n;
			idle = 0;
		} else {
			rest(w, list, ++idle);
		}
		last = now;
		if (w->spread)
			dp_spread_report(w);
		else
			rte_rcu_qsbr_quiescent(w->tables->qsbr, w->index);
	}
}

int
dp_worker_main(void *worker)
{
	struct dp_worker *w = worker;

	int rc = dp_priority_quick();

	if (rc != 0)
		spw_log(SPW_LOG_DEBUG, "worker", "no-short-turns", "cause=\"%s\"", strerror(-rc));
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	rte_rcu_qsbr_thread_register(w->tables->qsbr, w->index);
	rte_rcu_qsbr_thread_online(w->tables->qsbr, w->index);
	run(w);
	if (w->spread)
		dp_spread_flush(w, &(struct dp_burst){0});
	dp_pending_flush(w);
	dp_park_flush(w);
	rte_rcu_qsbr_thread_offline(w->tables->qsbr, w->index);
	rte_rcu_qsbr_thread_unregister(w->tables->qsbr, w->index);
	return 0;
}
