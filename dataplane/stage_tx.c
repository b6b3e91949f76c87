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

/* Send packets that come to `sums` by one queue. */
static void
queue_send(struct dp_worker *w, struct dp_port *port, uint16_t queue, struct rte_mbuf **pkt,
	   uint16_t n, struct sums *sums)
{
	int sent;

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
		sums_less(sums, pkt + sent, (uint16_t)(n - sent));
	count_sent(w, sums);
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
sort_and_send(struct dp_worker *w, struct dp_port *port, struct rte_mbuf **pkt, uint16_t n)
{
	struct rte_mbuf *now[DP_BURST_ROOM];
	struct sums sums;

	while (n != 0) {
		uint16_t queue = queue_of(w, port, pkt[0]), taken = 0, left = 0;

		for (uint16_t i = 0; i < n; i++) {
			if (queue_of(w, port, pkt[i]) == queue)
				now[taken++] = pkt[i];
			else
				pkt[left++] = pkt[i];
		}
		n = left;
		sums_make(&sums, now, taken);
		queue_send(w, port, queue, now, taken, &sums);
	}
}

/*
 * Send packets by one port. `pkt` is used up. They come to `sums`, made before because sent buffers
 * are the driver's.
 */
static void
port_send(struct dp_worker *w, uint16_t dpdk_id, struct rte_mbuf **pkt, uint16_t n,
	  struct sums *sums)
{
	struct dp_port *port =
		atomic_load_explicit(&w->tables->port[dpdk_id], memory_order_acquire);

	if (unlikely(!port || !atomic_load_explicit(&port->link_up, memory_order_relaxed)))
		drop_all(w, pkt, n, port ? DP_DROP_TX_DOWN : DP_DROP_PORT_GONE);
	else if (w->spread != NULL)
		sort_and_send(w, port, pkt, n);
	else
		queue_send(w, port, 0, pkt, n, sums);
}

/* How many packets from the `from`th on go to `port`. */
static uint16_t
same_port(const struct dp_burst *b, uint16_t from, uint16_t port)
{
	uint16_t i = from;

	while (i < b->n && dp_pkt(b->pkt[i])->port_out == port &&
	       dp_pkt(b->pkt[i])->next == DP_NEXT_TX)
		i++;
	return (uint16_t)(i - from);
}

/* Gather the packets by port, those of a port in their order, and send them. */
static void
gather_and_send(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_worker_priv *p = dp_priv(w);
	uint16_t used[RTE_MAX_ETHPORTS], n_used = 0, n;

	for (uint16_t i = 0; i < b->n; i = (uint16_t)(i + n)) {
		uint16_t port = dp_pkt(b->pkt[i])->port_out;
		struct dp_tx_buffer *t;

		n = port < RTE_MAX_ETHPORTS ? same_port(b, i, port) : 0;
		if (unlikely(n == 0)) {
			dp_drop(w, b->pkt[i], DP_DROP_PORT_GONE);
			n = 1;
			continue;
		}
		t = &p->tx[port];
		if (t->n == 0)
			used[n_used++] = port;
		memcpy(&t->pkt[t->n], &b->pkt[i], n * sizeof(b->pkt[0]));
		t->n = (uint16_t)(t->n + n);
	}
	for (uint16_t i = 0; i < n_used; i++) {
		struct dp_tx_buffer *t = &p->tx[used[i]];
		struct sums sums;

		n = t->n;
		t->n = 0;
		sums_make(&sums, t->pkt, n);
		port_send(w, used[i], t->pkt, n, &sums);
	}
}

void
dp_stage_tx(struct dp_worker *w, struct dp_burst *b)
{
	const struct dp_out *out = &b->out;
	struct sums sums;

	if (unlikely(b->n == 0))
		return;
	if (likely(out->port != DP_PORT_NONE)) {
		sums.n = 1;
		sums.of[0] =
			(struct sum){.iface = out->iface, .packets = b->n, .bytes = out->bytes};
		port_send(w, out->port, b->pkt, b->n, &sums);
	} else {
		gather_and_send(w, b);
	}
	b->n = 0;
}
