/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/dataplane/burst_bed.h"

#include <stdlib.h>
#include <string.h>

static struct wire *driver; /* of the worker that runs */

int
world_rounds(void)
{
	return getenv("SPW_LONG") != NULL ? 20 * ROUNDS : ROUNDS;
}

static uint16_t
driver_send(void *queue, struct rte_mbuf **pkt, uint16_t n)
{
	struct wire *to = &driver[(uintptr_t)queue];
	uint16_t i;

	for (i = 0; i < n && to->n < to->room; i++) {
		to->pkt[to->n++] = pkt[i];
		rte_mbuf_refcnt_update(pkt[i], -1);
	}
	return i;
}

/* The last port is gone. */
static void
ports_open(struct world *o)
{
	static void *queue[PORTS], *callbacks[1];

	for (uint16_t i = 0; i < PORTS; i++) {
		queue[i] = (void *)(uintptr_t)i;
		rte_eth_fp_ops[i].txq.data = &queue[i];
		rte_eth_fp_ops[i].txq.clbk = callbacks;
		rte_eth_fp_ops[i].tx_pkt_burst = driver_send;
		o->port[i].dpdk_id = i;
		o->port[i].tx = dp_tx_plan(1, 1);
		atomic_store(&o->port[i].link_up, 1);
		atomic_store(&o->y->t->port[i], i < PORTS - 1 ? &o->port[i] : NULL);
	}
}

static void
iface_open(struct world *o, uint16_t id, uint32_t kind, bool twin, uint16_t port)
{
	struct dp_iface *i;

	yard_iface_put(o->y, id, SPW_IF_ROLE_LAN);
	i = atomic_load(&o->y->t->iface[id]);
	i->conf.kind = kind;
	i->twin = twin;
	i->port = kind == SPW_IFACE_PORT && port < PORTS ? &o->port[port] : NULL;
	memset(i->mac, 0x40 + id, 6);
	i->l2 = dp_l2_make(i->mac, &(struct dp_l2_tags){0}, id, port);
}

static void
side_open(struct side *s, struct dp_worker *w, struct rte_mbuf **pkt, const char *ring)
{
	s->w = w;
	s->pkt = pkt;
	s->punt = rte_ring_create(ring, PUNTED, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert_non_null(s->punt);
	dp_priv(w)->to_punt = s->punt;
	dp_priv(w)->hz = 1000000000;
}

struct world *
world_open(void (*stage)(struct dp_worker *, struct dp_burst *))
{
	struct world *o = aligned_alloc(64, (sizeof(*o) + 63) / 64 * 64);

	memset(o, 0, sizeof(*o));
	o->y = yard_open();
	o->stage = stage;
	o->y->w->now_tsc = 1000000000;
	yard_worker_open(o->y, &o->lone, "lone_events");
	for (unsigned int i = 0; i < DP_BURST; i++) {
		rte_pktmbuf_free(o->y->pkt[i]);
		o->y->pkt[i] = bed_packet(BYTES);
		o->copy[i] = bed_packet(BYTES);
	}
	side_open(&o->together, o->y->w, o->y->pkt, "together_punt");
	side_open(&o->alone, &o->lone, o->copy, "alone_punt");
	ports_open(o);
	iface_open(o, ER_IF, SPW_IFACE_PORT, false, 0);
	iface_open(o, LAN_IF, SPW_IFACE_PORT, true, 0);
	iface_open(o, WAN_IF, SPW_IFACE_PORT, false, 1);
	iface_open(o, TWIN_TUN_IF, SPW_IFACE_TUNNEL, true, 0);
	iface_open(o, TUN_IF, SPW_IFACE_TUNNEL, false, 0);
	return o;
}

static void
side_close(struct side *s)
{
	rte_ring_free(s->punt);
	dp_priv(s->w)->to_punt = NULL;
}

void
world_close(struct world *o)
{
	free(atomic_exchange(&o->y->t->local, NULL));
	free(atomic_exchange(&o->y->t->local6, NULL));
	if (o->y->t->neighs != NULL)
		dp_neighs_free(o->y->t->neighs);
	for (unsigned int i = 0; i < DP_BURST; i++) {
		struct rte_mbuf *both[] = {o->y->pkt[i], o->copy[i]};

		for (unsigned int k = 0; k < 2; k++)
			both[k]->pkt_len = both[k]->data_len;
		rte_pktmbuf_free(o->copy[i]);
	}
	for (unsigned int i = 0; i < PORTS; i++)
		rte_eth_fp_ops[i] = (struct rte_eth_fp_ops){0};
	side_close(&o->together);
	side_close(&o->alone);
	yard_worker_close(&o->lone);
	yard_close(o->y);
	free(o);
}

/* Both copies of packet `i`, as they are before the stage; `len` is what it says of itself. */
void
world_packet(struct world *o, uint16_t i, const struct dp_pkt *p, const uint8_t ip[BYTES],
	     uint16_t headroom)
{
	struct rte_mbuf *both[] = {o->y->pkt[i], o->copy[i]};
	const uint16_t len = (uint16_t)(BYTES + roll(o, 900));

	for (unsigned int k = 0; k < 2; k++) {
		both[k]->data_off = headroom;
		both[k]->data_len = BYTES;
		both[k]->pkt_len = len;
		both[k]->ol_flags = 0;
		both[k]->vlan_tci = 0;
		both[k]->hash.usr = i;
		*dp_pkt(both[k]) = *p;
		memset(both[k]->buf_addr, 0, headroom);
		memcpy(rte_pktmbuf_mtod(both[k], uint8_t *), ip, BYTES);
	}
}

void
world_random_ip(struct world *o, uint8_t ip[BYTES], bool ipv6)
{
	for (unsigned int i = 0; i < BYTES; i++)
		ip[i] = (uint8_t)roll(o, 256);
	ip[0] = ipv6 ? 0x60 : 0x45;
	if (!ipv6)
		dp_put_be16(ip + 2, BYTES);
}

/* Say what path and outer say of a burst all of which goes one way: mostly, it is never a must. */
static void
one_way_note(struct world *o, struct dp_burst *b)
{
	const struct dp_pkt *first = dp_pkt(b->pkt[0]);
	struct dp_one_way way = {.path = first->path,
				 .iface = first->iface_out,
				 .ipv6 = (first->flags & DP_PKT_IPV6) != 0};

	for (uint16_t i = 0; i < b->n; i++) {
		const struct dp_pkt *p = dp_pkt(b->pkt[i]);

		if (p->path != way.path || p->iface_out != way.iface ||
		    ((p->flags & DP_PKT_IPV6) != 0) != way.ipv6)
			return;
		way.bytes += b->pkt[i]->pkt_len;
	}
	if (roll(o, 4) == 0)
		return;
	dp_burst_one_way(b, b->n, &way);
	o->one_way += (b->kinds & DP_KIND_ONE_WAY) != 0 && b->n > 1;
}

/* Run a stage over packets that it may drop, keep or give away: the owner keeps a reference. */
static void
run(struct world *o, struct side *s, uint16_t from, uint16_t n, struct dp_burst *b)
{
	b->n = n;
	b->kinds = 0;
	b->out = (struct dp_out){.port = 1, .iface = WAN_IF, .bytes = 77}; /* of a burst before */
	for (uint16_t i = 0; i < n; i++) {
		b->pkt[i] = s->pkt[from + i];
		b->kinds |= (uint16_t)DP_KIND(dp_pkt(b->pkt[i])->next);
		rte_mbuf_refcnt_update(b->pkt[i], 1);
	}
	if (s == &o->together)
		one_way_note(o, b);
	driver = s->wire;
	o->stage(s->w, b);
	for (uint16_t i = 0; i < b->n; i++)
		rte_mbuf_refcnt_update(b->pkt[i], -1);
}

/* A packet of the burst is one of those alone: which, and with what. */
static void
packets_equal(struct rte_mbuf *a, struct rte_mbuf *b)
{
	assert_int_equal(a->hash.usr, b->hash.usr);
	assert_memory_equal(dp_pkt(a), dp_pkt(b), sizeof(struct dp_pkt));
	assert_int_equal(a->data_off, b->data_off);
	assert_int_equal(a->data_len, b->data_len);
	assert_int_equal(a->pkt_len, b->pkt_len);
	assert_true(a->ol_flags == b->ol_flags);
	assert_int_equal(a->vlan_tci, b->vlan_tci);
	assert_memory_equal(a->buf_addr, b->buf_addr, a->data_off + a->data_len);
}

/* What went up to the kernel. */
static void
punted_equal(struct world *o)
{
	void *a = NULL, *b = NULL;

	while (rte_ring_sc_dequeue(o->alone.punt, &b) == 0) {
		assert_int_equal(rte_ring_sc_dequeue(o->together.punt, &a), 0);
		packets_equal(a, b);
		rte_mbuf_refcnt_update(a, -1);
		rte_mbuf_refcnt_update(b, -1);
		o->punted++;
	}
	assert_int_equal(rte_ring_sc_dequeue(o->together.punt, &a), -ENOENT);
}

static void
events_equal(struct world *o)
{
	struct rte_ring *at = dp_priv(o->together.w)->events, *bt = dp_priv(&o->lone)->events;
	struct dp_worker_event a = {0}, b = {0};

	while (rte_ring_sc_dequeue_elem(bt, &b, sizeof(b)) == 0) {
		assert_int_equal(rte_ring_sc_dequeue_elem(at, &a, sizeof(a)), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_true(rte_ring_empty(at));
}

static void
wires_equal(struct world *o)
{
	for (unsigned int p = 0; p < PORTS; p++) {
		struct wire *a = &o->together.wire[p], *b = &o->alone.wire[p];

		assert_int_equal(a->n, b->n);
		for (uint16_t i = 0; i < a->n; i++) {
			packets_equal(a->pkt[i], b->pkt[i]);
			assert_int_equal(dp_pkt(a->pkt[i])->next, DP_NEXT_TX);
			assert_int_equal(dp_pkt(a->pkt[i])->port_out, p);
		}
		o->sent += a->n;
		a->n = b->n = 0;
	}
}

/* What waits for a neighbour; it is dropped then. */
static void
waiting_equal(struct world *o)
{
	struct dp_worker *w = o->together.w;

	for (unsigned int i = 0; i < DP_PENDING_SLOTS; i++) {
		const struct dp_pending *a = &dp_priv(w)->pending[i],
					*b = &dp_priv(&o->lone)->pending[i];

		assert_true(dp_neigh_key_equal(&a->key, &b->key));
		assert_int_equal(a->n, b->n);
		assert_true(a->since_tsc == b->since_tsc && a->asked_tsc == b->asked_tsc);
		for (uint32_t k = 0; k < a->n; k++)
			packets_equal(a->pkt[k], b->pkt[k]);
		o->waited += a->n;
	}
	dp_pending_flush(w);
	dp_pending_flush(&o->lone);
}

static uint64_t
own_in(const struct world *o)
{
	const struct dp_sad *sad = o->y->w->sad;
	uint64_t sum = 0;

	for (uint32_t t = 0; t < TUNNELS; t++)
		sum += atomic_load(&sad->tunnel_count[0][t].own_in) << 16 * t;
	return sum;
}

/* The packets one by one; those that stay are the burst's. */
static void
alone_as_together(struct world *o, const struct dp_burst *together)
{
	uint16_t kept = 0, kinds = 0;
	struct dp_burst b;

	for (uint16_t i = 0; i < o->n; i++) {
		run(o, &o->alone, i, 1, &b);
		kinds |= b.kinds;
		if (b.n == 0)
			continue;
		assert_true(kept < together->n);
		assert_ptr_equal(b.pkt[0], o->copy[i]);
		packets_equal(together->pkt[kept++], b.pkt[0]);
	}
	assert_int_equal(together->n, kept);
	assert_int_equal(together->kinds & ~DP_KIND_ONE_WAY, kinds);
	kept == o->n ? o->whole++ : o->parts++;
}

/* One burst, of packets that were put. */
void
world_compare(struct world *o)
{
	struct dp_worker *w = o->together.w;
	uint64_t before = own_in(o), between;
	struct dp_burst b;

	w->now_tsc = o->lone.now_tsc = w->now_tsc + 1000;
	run(o, &o->together, 0, o->n, &b);
	between = own_in(o);
	alone_as_together(o, &b);
	assert_true(between - before == own_in(o) - between);
	punted_equal(o);
	events_equal(o);
	wires_equal(o);
	waiting_equal(o);
	for (uint16_t i = 0; i < o->n; i++) {
		assert_int_equal(rte_mbuf_refcnt_read(o->y->pkt[i]), 1);
		assert_int_equal(rte_mbuf_refcnt_read(o->copy[i]), 1);
	}
	assert_memory_equal(&w->count, &o->lone.count, sizeof(w->count));
	assert_memory_equal(w->iface, o->lone.iface, YARD_IFACES * sizeof(*w->iface));
}

void
world_dropped_for(const struct world *o, enum dp_drop reason)
{
	assert_true(o->lone.count.drop[reason] > 100);
}

void
world_burst_size(struct world *o)
{
	static const uint16_t sizes[] = {1, 3, 8, DP_BURST, DP_BURST};

	o->n = (uint16_t)(1 + roll(o, sizes[roll(o, RTE_DIM(sizes))]));
}
