/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The monitor: timers and packets of what watches paths, on the punt thread.
 *
 * Receiving: workers queue packets to us that a user wants with the time at which they had them
 * (stage_monitor.c), on rings apart from those of the kernel's packets, so neither the rate nor the
 * length of that queue holds them up. In a turn all of them are read before any timer is looked at.
 * A packet that its user does not know goes up to the kernel like any other.
 *
 * Sending: a copy is queued to one worker, which resolves the way: this thread is no reader of
 * published objects. Buffers come from the pool of everybody and, when that is used up, from a
 * small one of the monitor's own, of which probes leave a part to BFD. It comes second because a
 * port may keep sent buffers until it has more to send, and would hold all of a small pool.
 *
 * Locks: `lock` guards the users' state between this thread and the API thread. Counters are the
 * punt thread's. Memory is allocated at the start only.
 */
#include "dataplane/monitor.h"

#include <errno.h>
#include <pthread.h>
#include <rte_errno.h>
#include <stdlib.h>

#include "dataplane/control.h"
#include "dataplane/pages.h"

#define OWN_BUFFERS 511
#define FOR_BFD	    128 /* of them */

struct dp_monitor {
	pthread_mutex_t lock;
	struct dp_monitor_config conf;
	struct rte_mempool *own;
	struct dp_monitor_wants *wants; /* pages */
	struct dp_monitor_user user[DP_MONITOR_USERS];
	_Atomic bool changed; /* the API thread wants a turn */
};

int
dp_monitor_new(struct dp_monitor **out, const struct dp_monitor_config *config, struct spw_err *err)
{
	struct dp_monitor *m = calloc(1, sizeof(*m));

	if (!m)
		return spw_fail(err, -ENOMEM, "no memory for the monitor");
	pthread_mutex_init(&m->lock, NULL);
	m->conf = *config;
	m->wants = dp_pages_new(sizeof(*m->wants), false);
	m->own = rte_pktmbuf_pool_create("monitor", OWN_BUFFERS, 0, sizeof(struct dp_pkt),
					 (uint16_t)(RTE_PKTMBUF_HEADROOM + config->mbuf_size),
					 SOCKET_ID_ANY);
	if (m->wants && m->own) {
		*out = m;
		return 0;
	}
	dp_monitor_free(m);
	return spw_fail(err, -ENOMEM,
			"no memory for %d packet buffers of the monitor; give more with --memory",
			OWN_BUFFERS);
}

void
dp_monitor_free(struct dp_monitor *m)
{
	if (!m)
		return;
	rte_mempool_free(m->own);
	if (m->wants)
		dp_pages_free(m->wants, sizeof(*m->wants));
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void
dp_monitor_attach(struct dp_monitor *m, enum dp_monitor_user_id id,
		  const struct dp_monitor_user *user)
{
	m->user[id] = *user;
}

struct dp_monitor_wants *
dp_monitor_wants(struct dp_monitor *m)
{
	return m->wants;
}

void
dp_monitor_lock(struct dp_monitor *m)
{
	pthread_mutex_lock(&m->lock);
}

void
dp_monitor_unlock(struct dp_monitor *m)
{
	pthread_mutex_unlock(&m->lock);
}

void
dp_monitor_wake(struct dp_monitor *m)
{
	atomic_store_explicit(&m->changed, true, memory_order_release);
	dp_bell_ring(m->conf.bell);
}

void
dp_monitor_want_bfd(struct dp_monitor *m, uint16_t iface, int by)
{
	atomic_fetch_add_explicit(&m->wants->bfd[iface], (uint16_t)by, memory_order_relaxed);
}

void
dp_monitor_want_probes(struct dp_monitor *m, uint16_t icmp, uint16_t n, uint16_t udp,
		       uint16_t n_udp)
{
	atomic_store_explicit(&m->wants->probes,
			      (uint64_t)icmp << 48 | (uint64_t)n << 32 | (uint64_t)udp << 16 |
				      n_udp,
			      memory_order_relaxed);
}

static struct rte_mbuf *
buffer(const struct dp_monitor *m, enum dp_monitor_user_id user)
{
	struct rte_mbuf *b = rte_pktmbuf_alloc(m->conf.pool);

	if (b || (user != DP_MONITOR_BFD && rte_mempool_avail_count(m->own) <= FOR_BFD))
		return b;
	return rte_pktmbuf_alloc(m->own);
}

static void
pkt_init(struct rte_mbuf *b, enum dp_monitor_user_id user, const struct dp_monitor_way *way)
{
	struct dp_pkt *p = dp_pkt(b);

	memset(p, 0, sizeof(*p));
	p->port_out = DP_PORT_NONE;
	p->flags = DP_PKT_FROM_TWIN | DP_PKT_CREATED;
	p->path = way->path;
	p->iface_out = way->iface;
	spw_addr_to_mapped(&way->hop, p->outer_src);
	p->outer_tos = (uint8_t)user;
	b->port = RTE_MBUF_PORT_INVALID;
}

int
dp_monitor_send(struct dp_monitor *m, enum dp_monitor_user_id user,
		const struct dp_monitor_way *way, const uint8_t *ip, uint32_t len)
{
	uint32_t turn = way->path != SPW_DP_ADDR_NONE ? way->path : way->iface;
	const struct dp_worker *w = m->conf.worker[turn % m->conf.n_workers];
	struct rte_mbuf *b;

	if (len < 20 || len > m->conf.mbuf_size)
		return -EMSGSIZE;
	b = buffer(m, user);
	if (!b)
		return -ENOBUFS;
	pkt_init(b, user, way);
	memcpy(rte_pktmbuf_append(b, (uint16_t)len), ip, len);
	if (ip[0] >> 4 == 6)
		dp_pkt(b)->flags |= DP_PKT_IPV6;
	if (rte_ring_sp_enqueue(dp_priv(w)->from_monitor, b) == 0)
		return 0;
	rte_pktmbuf_free(b);
	return -ENOBUFS;
}

uint64_t
dp_monitor_listened_ns(const struct dp_monitor *m)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned int i = 0; i < m->conf.n_workers; i++)
		oldest = RTE_MIN(oldest,
				 __atomic_load_n(&m->conf.worker[i]->now_tsc, __ATOMIC_RELAXED));
	return dp_tsc_to_ns(oldest);
}

bool
dp_monitor_waits(const struct dp_monitor *m)
{
	if (atomic_load_explicit(&m->changed, memory_order_acquire))
		return true;
	for (unsigned int i = 0; i < m->conf.n_workers; i++)
		if (!rte_ring_empty(dp_priv(m->conf.worker[i])->to_monitor))
			return true;
	return false;
}

/* Did a user take the packet? */
static bool
received(const struct dp_monitor *m, const struct dp_monitor_note *n)
{
	const struct dp_monitor_user *u = &m->user[n->user];
	const struct dp_pkt *p = dp_pkt(n->m);
	const struct dp_monitor_in in = {
		.ip = rte_pktmbuf_mtod_offset(n->m, const uint8_t *, n->ip_at),
		.len = n->m->data_len - (uint32_t)n->ip_at,
		.tunnel = p->flags & DP_PKT_DECRYPTED ? p->tunnel : SPW_DP_ADDR_NONE,
		.iface = p->iface_in,
		.rx_ns = dp_tsc_to_ns(n->tsc)};

	return u->input && u->input(u->ctx, &in);
}

static void
refused(const struct dp_monitor *m, const struct dp_monitor_note *n)
{
	const struct dp_monitor_user *u = &m->user[n->user];
	const struct dp_monitor_refusal r = {.ip = rte_pktmbuf_mtod(n->m, const uint8_t *),
					     .len = n->m->data_len,
					     .why = (enum dp_drop)n->why,
					     .mtu = n->mtu};

	if (u->refused)
		u->refused(u->ctx, &r);
}

/* Read what a worker has queued, but no more than the ring holds. */
static void
collect(struct dp_monitor *m, unsigned int w, struct dp_worker_counters *count, dp_monitor_up *up,
	void *up_ctx)
{
	struct rte_ring *ring = dp_priv(m->conf.worker[w])->to_monitor;
	struct dp_monitor_note n;

	for (unsigned int i = 0; i < DP_MONITOR_RX_RING; i++) {
		if (rte_ring_sc_dequeue_elem(ring, &n, sizeof(n)) != 0)
			return;
		if (n.received && !received(m, &n)) {
			up(up_ctx, w, n.m);
			continue;
		}
		if (n.received)
			count[w].mirrored++;
		else
			refused(m, &n);
		rte_pktmbuf_free(n.m);
	}
}

uint64_t
dp_monitor_turn(struct dp_monitor *m, struct dp_worker_counters *count, dp_monitor_up *up,
		void *up_ctx)
{
	uint64_t next = DP_MONITOR_NEVER, now;

	pthread_mutex_lock(&m->lock);
	atomic_store_explicit(&m->changed, false, memory_order_relaxed);
	for (unsigned int w = 0; w < m->conf.n_workers; w++)
		collect(m, w, count, up, up_ctx);
	now = spw_clock_ns();
	for (unsigned int i = 0; i < DP_MONITOR_USERS; i++)
		if (m->user[i].tick)
			next = RTE_MIN(next, m->user[i].tick(m->user[i].ctx, now));
	pthread_mutex_unlock(&m->lock);
	return next;
}
