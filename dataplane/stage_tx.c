/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage tx: complete frames, gathered by port, into the ports' transmit queues.
 *
 * Which queue takes a packet is the port's plan (tx_plan.h): the worker's own, and for ESP that of
 * the SA. A queue that several workers use is locked for one call of the driver. Who finds it
 * locked tries for a little while and then drops: a worker that was stopped inside the driver must
 * not stop the others, and until it gives the lock back they try only once a burst. What the queue
 * does not take is dropped, too. A port is used between two quiescent states of this worker only,
 * and is closed after all were quiescent.
 *
 * Worker thread.
 */
#include "dataplane/stages.h"

static bool
lock_try(struct dp_tx_lock *lock)
{
	return !atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire);
}

/* Lock a queue; false when somebody keeps it too long. */
static bool
queue_lock(const struct dp_worker *w, struct dp_tx_lock *lock)
{
	uint64_t end;

	if (likely(lock_try(lock)))
		return true;
	if (atomic_load_explicit(&lock->stuck, memory_order_relaxed))
		return false;
	end = rte_rdtsc() + dp_priv(w)->hz / 1000000 * DP_TX_PATIENCE_US;
	while (!lock_try(lock)) {
		if (rte_rdtsc() > end) {
			atomic_store_explicit(&lock->stuck, true, memory_order_relaxed);
			return false;
		}
		rte_pause();
	}
	return true;
}

static void
queue_unlock(struct dp_tx_lock *lock)
{
	if (unlikely(atomic_load_explicit(&lock->stuck, memory_order_relaxed)))
		atomic_store_explicit(&lock->stuck, false, memory_order_relaxed);
	atomic_flag_clear_explicit(&lock->held, memory_order_release);
}

static void
drop_all(struct dp_worker *w, struct rte_mbuf **pkt, uint16_t n, enum dp_drop why)
{
	for (uint16_t i = 0; i < n; i++)
		dp_drop(w, pkt[i], why);
}

/* Packets by interface, those that follow each other in one sum. */
struct sums {
	uint16_t n;
	struct sum {
		uint16_t iface;
		uint16_t packets;
		uint32_t bytes;
	} of[DP_BURST_ROOM];
};

static void
sums_make(struct sums *s, struct rte_mbuf **pkt, uint16_t n)
{
	struct sum at = {.iface = dp_pkt(pkt[0])->iface_out};

	s->n = 0;
	for (uint16_t i = 0; i < n; i++) {
		uint16_t iface = dp_pkt(pkt[i])->iface_out;

		if (unlikely(iface != at.iface)) {
			s->of[s->n++] = at;
			at = (struct sum){.iface = iface};
		}
		at.packets++;
		at.bytes += pkt[i]->pkt_len;
	}
	s->of[s->n++] = at;
}

/* Take off what was not sent, from the end. */
static void
sums_less(struct sums *s, struct rte_mbuf **pkt, uint16_t n)
{
	while (n-- > 0) {
		struct sum *last = &s->of[s->n - 1];

		last->bytes -= pkt[n]->pkt_len;
		if (--last->packets == 0)
			s->n--;
	}
}

static void
count_sent(struct dp_worker *w, const struct sums *s)
{
	for (uint16_t i = 0; i < s->n; i++) {
		w->iface[s->of[i].iface].tx_packets += s->of[i].packets;
		w->iface[s->of[i].iface].tx_bytes += s->of[i].bytes;
	}
}

/* Give packets to a queue; how many it took. -1: it is locked. */
static int
queue_give(const struct dp_worker *w, struct dp_port *port, uint16_t queue, struct rte_mbuf **pkt,
	   uint16_t n)
{
	struct dp_tx_lock *lock = &port->tx_lock[queue];
	uint16_t sent;

	if (!dp_tx_locked(&port->tx, queue))
		return rte_eth_tx_burst(port->dpdk_id, queue, pkt, n);
	if (unlikely(!queue_lock(w, lock)))
		return -1;
	sent = rte_eth_tx_burst(port->dpdk_id, queue, pkt, n);
	queue_unlock(lock);
	return sent;
}

/* Send packets by one queue. Sizes are noted before: sent buffers are the driver's. */
static void
queue_send(struct dp_worker *w, struct dp_port *port, uint16_t queue, struct rte_mbuf **pkt,
	   uint16_t n)
{
	struct sums sums;
	int sent;

	sums_make(&sums, pkt, n);
	if (unlikely(w->cycles != NULL))
		dp_cycles_note(w->cycles, DP_STAGE_TX);
	sent = queue_give(w, port, queue, pkt, n);
	if (unlikely(w->cycles != NULL))
		dp_cycles_note(w->cycles, DP_STAGE_DRIVER);
	if (unlikely(sent < 0)) {
		drop_all(w, pkt, n, DP_DROP_TX_HELD);
		return;
	}
	if (unlikely(sent != n))
		sums_less(&sums, pkt + sent, (uint16_t)(n - sent));
	count_sent(w, &sums);
	w->count.tx += (uint16_t)sent;
	drop_all(w, pkt + sent, (uint16_t)(n - sent), DP_DROP_TX_FULL);
}

static uint16_t
queue_of(const struct dp_worker *w, const struct dp_port *port, struct rte_mbuf *m)
{
	const struct dp_pkt *p = dp_pkt(m);

	return dp_tx_queue(&port->tx, w->index, (p->flags & DP_PKT_OUTER) != 0, p->sa);
}

/* Several queues: send by that of the first packet, and again with what is left, in order. */
static void
sort_and_send(struct dp_worker *w, struct dp_port *port, struct dp_tx_buffer *t)
{
	struct rte_mbuf *now[DP_BURST_ROOM];

	while (t->n != 0) {
		uint16_t queue = queue_of(w, port, t->pkt[0]), n = 0, left = 0;

		for (uint16_t i = 0; i < t->n; i++) {
			if (queue_of(w, port, t->pkt[i]) == queue)
				now[n++] = t->pkt[i];
			else
				t->pkt[left++] = t->pkt[i];
		}
		t->n = left;
		queue_send(w, port, queue, now, n);
	}
}

/* Send what was gathered for one port. */
static void
buffer_flush(struct dp_worker *w, uint16_t dpdk_id, struct dp_tx_buffer *t)
{
	struct dp_port *port =
		atomic_load_explicit(&w->tables->port[dpdk_id], memory_order_acquire);
	uint16_t n = t->n;

	if (unlikely(!port || !atomic_load_explicit(&port->link_up, memory_order_relaxed))) {
		t->n = 0;
		drop_all(w, t->pkt, n, port ? DP_DROP_TX_DOWN : DP_DROP_PORT_GONE);
	} else if (w->spread != NULL) {
		sort_and_send(w, port, t);
	} else {
		t->n = 0;
		queue_send(w, port, 0, t->pkt, n);
	}
}

void
dp_stage_tx(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_worker_priv *p = dp_priv(w);
	uint16_t used[RTE_MAX_ETHPORTS], n_used = 0, port = DP_PORT_NONE;
	struct dp_tx_buffer *t = NULL;

	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct dp_pkt *at = dp_pkt(m);

		if (unlikely(at->next != DP_NEXT_TX || at->port_out >= RTE_MAX_ETHPORTS)) {
			dp_drop(w, m, DP_DROP_PORT_GONE);
			continue;
		}
		if (unlikely(at->port_out != port)) {
			port = at->port_out;
			t = &p->tx[port];
			if (t->n == 0)
				used[n_used++] = port;
		}
		t->pkt[t->n++] = m;
	}
	b->n = 0;
	for (uint16_t i = 0; i < n_used; i++)
		buffer_flush(w, used[i], &p->tx[used[i]]);
}
