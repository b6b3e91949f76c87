/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage tx: complete frames, gathered by port, into the ports' transmit queues.
 *
 * Each worker has a queue of its own; a device with fewer queues than workers shares queue 0 under
 * a spinlock (tx_shared, decided when the port starts; small virtual devices only). What
 * the queue does not take is dropped. A port is used between two quiescent states of this worker
 * only, and is closed after all were quiescent.
 *
 * Worker thread.
 */
#include "dataplane/stages.h"

static uint16_t
port_send(const struct dp_worker *w, struct dp_port *port, struct rte_mbuf **pkt, uint16_t n)
{
	if (!port->tx_shared)
		return rte_eth_tx_burst(port->dpdk_id, (uint16_t)w->index, pkt, n);
	while (atomic_flag_test_and_set_explicit(&port->tx_lock, memory_order_acquire))
		rte_pause();
	uint16_t sent = rte_eth_tx_burst(port->dpdk_id, 0, pkt, n);

	atomic_flag_clear_explicit(&port->tx_lock, memory_order_release);
	return sent;
}

static void
drop_all(struct dp_worker *w, struct rte_mbuf **pkt, uint16_t n, enum dp_drop why)
{
	for (uint16_t i = 0; i < n; i++)
		dp_drop(w, pkt[i], why);
}

/* Packets of one interface that follow each other are counted by one addition. */
static void
count_sent(struct dp_worker *w, const uint16_t *iface, const uint32_t *len, uint16_t n)
{
	for (uint16_t i = 0, from; i < n;) {
		uint64_t bytes = 0;

		for (from = i; i < n && iface[i] == iface[from]; i++)
			bytes += len[i];
		w->iface[iface[from]].tx_packets += i - from;
		w->iface[iface[from]].tx_bytes += bytes;
	}
}

/* Send what was gathered for one port. Sizes are noted before: sent buffers are the driver's. */
static void
buffer_flush(struct dp_worker *w, uint16_t dpdk_id, struct dp_tx_buffer *t)
{
	struct dp_port *port =
		atomic_load_explicit(&w->tables->port[dpdk_id], memory_order_acquire);
	uint16_t iface[DP_BURST_ROOM], n = t->n;
	uint32_t len[DP_BURST_ROOM];

	t->n = 0;
	if (!port || !atomic_load_explicit(&port->link_up, memory_order_relaxed)) {
		drop_all(w, t->pkt, n, port ? DP_DROP_TX_DOWN : DP_DROP_PORT_GONE);
		return;
	}
	for (uint16_t i = 0; i < n; i++) {
		iface[i] = dp_pkt(t->pkt[i])->iface_out;
		len[i] = t->pkt[i]->pkt_len;
	}
	if (unlikely(w->cycles != NULL))
		dp_cycles_note(w->cycles, DP_STAGE_TX);
	uint16_t sent = port_send(w, port, t->pkt, n);

	if (unlikely(w->cycles != NULL))
		dp_cycles_note(w->cycles, DP_STAGE_DRIVER);

	count_sent(w, iface, len, sent);
	w->count.tx += sent;
	drop_all(w, t->pkt + sent, (uint16_t)(n - sent), DP_DROP_TX_FULL);
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
