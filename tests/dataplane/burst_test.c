/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts through deliver, FIB, adjacency and tx, against the same packets one by one. Each of these
 * stages has a short loop for packets that are alike and follow each other; alone a packet is the
 * first of its burst and asks all that there is to ask. So the mix changes within a burst, by lot:
 * tunnels, owners of addresses, families, options, hops, paths, ports, and packets of other stages.
 *
 * Both workers count for themselves; what stays in the burst, goes up to the kernel, waits for a
 * neighbour or is given to a port must be the same packets in the same order with the same bytes,
 * and all counters equal. The ports' driver is the test's: it notes frames and takes as many as it
 * has room for. What a hop costs a checksum is in hops_test.c, for there both ways are one.
 *
 * Packets belong to the test, which holds a reference of each while a stage runs.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/wire.h"
#include "tests/dataplane/fib_bed.h"
#include "tests/dataplane/yard.h"

#define ROUNDS 6000 /* of each test; with SPW_LONG=1 in the environment twenty times as many */
#define BYTES  72   /* of each packet that are there */
#define PORTS  3
#define OURS   0x0a020005u
#define PUNTED 64 /* of a worker's queue to the kernel */

enum { WAN_IF = 3, GONE_IF = 4, TWIN_TUN_IF = 20, TUN_IF = 21 };
enum { TUNNELS = 4 }; /* those that packets come out of */
enum { A1 = 1, A2, A_TAGS, A_PORT, A_GONE, A_SLOW, A_SILENT, NET, NO_PATH, WAYS = NO_PATH };

static const uint16_t way_iface[WAYS + 1] = {0,	      LAN_IF, ER_IF,  WAN_IF, WAN_IF,
					     GONE_IF, LAN_IF, LAN_IF, ER_IF,  LAN_IF};

/* Frames that a port was given. */
struct wire {
	uint16_t room, n;
	struct rte_mbuf *pkt[DP_BURST];
};

/* What one of the two workers has. */
struct side {
	struct dp_worker *w;
	struct rte_mbuf **pkt;
	struct rte_ring *punt;
	struct wire wire[PORTS];
	uint64_t own_in;
};

static struct wire *driver; /* of the worker that runs */

struct world {
	struct yard *y;
	struct dp_worker lone;
	struct rte_mbuf *copy[DP_BURST];
	struct side together, alone;
	void (*stage)(struct dp_worker *, struct dp_burst *);
	uint16_t n;
	struct dp_port port[PORTS];
	struct dp_l2 l2[WAYS + 1];
	uint64_t whole, parts, punted, sent, waited, one_way; /* seen */
};

static uint32_t
roll(struct world *o, uint32_t n)
{
	return yard_roll(o->y, n);
}

static int
rounds(void)
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

static struct world *
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

static void
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
static void
packet_put(struct world *o, uint16_t i, const struct dp_pkt *p, const uint8_t ip[BYTES],
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

static void
random_ip(struct world *o, uint8_t ip[BYTES], bool ipv6)
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
static void
compare(struct world *o)
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

static void
dropped_for(const struct world *o, enum dp_drop reason)
{
	assert_true(o->lone.count.drop[reason] > 100);
}

static void
burst_size(struct world *o)
{
	static const uint16_t sizes[] = {1, 3, 8, DP_BURST, DP_BURST};

	o->n = (uint16_t)(1 + roll(o, sizes[roll(o, RTE_DIM(sizes))]));
}

/* --- deliver --- */

static const uint8_t our_v6[16] = {0xfd, 2, [15] = 5};

static void
addresses_put(struct world *o)
{
	const struct dp_local_entry v4 = {OURS, LAN_IF};
	struct dp_local6_entry v6 = {.iface = LAN_IF};
	static const uint16_t iface[TUNNELS] = {TWIN_TUN_IF, TUN_IF, DP_NO_IFACE, TWIN_TUN_IF};

	memcpy(v6.addr, our_v6, 16);
	atomic_store(&o->y->t->local, dp_local_new(&v4, 1, OURS));
	atomic_store(&o->y->t->local6, dp_local6_new(&v6, 1, our_v6));
	for (unsigned int t = 0; t < TUNNELS; t++)
		atomic_store(&o->y->t->tunnel_iface[t], iface[t]);
}

/* An address as most are, or one time in `odd` another, perhaps one that is nearly ours. */
static void
address4(struct world *o, uint8_t *at, uint32_t odd)
{
	static const uint32_t others[] = {OURS,	      OURS,	  0x7f000001, 0xe0000005, 0,
					  0x00000001, 0xffffffff, 0xdf000001, 0x01000001};
	uint32_t addr = 0x0a030000 + roll(o, 2);

	if (roll(o, odd) == 0)
		addr = roll(o, 4) ? others[roll(o, RTE_DIM(others))] : OURS ^ 1u << roll(o, 32);
	dp_put_be32(at, addr);
}

static void
address6(struct world *o, uint8_t *at, uint32_t odd)
{
	static const uint8_t others[][16] = {{0xfd, 2, [15] = 5},
					     {0xfd, 2, [15] = 5},
					     {0xfe, 0x80, [15] = 1},
					     {0xff, 2, [15] = 1},
					     {[15] = 1}};
	static const uint8_t usual[16] = {0xfd, 3};

	memcpy(at, roll(o, odd) ? usual : others[roll(o, RTE_DIM(others))], 16);
}

/* Four octets of options: nothing, a time stamp's beginning, a source route, or any. */
static void
options_put(struct world *o, uint8_t *ip)
{
	static const uint8_t some[][4] = {
		{1, 1, 1, 0}, {0, 0, 0, 0}, {131, 3, 4, 0}, {68, 4, 5, 0}};

	ip[0] = 0x46;
	if (roll(o, 4))
		memcpy(ip + 20, some[roll(o, RTE_DIM(some))], 4);
}

static void
random_inner(struct world *o, uint8_t ip[BYTES], bool ipv6, uint32_t odd)
{
	random_ip(o, ip, ipv6);
	if (ipv6) {
		address6(o, ip + 8, odd);
		address6(o, ip + 24, odd);
		ip[7] = (uint8_t)(roll(o, odd) ? 64 : roll(o, 3));
		return;
	}
	address4(o, ip + 12, odd);
	address4(o, ip + 16, odd);
	ip[8] = (uint8_t)(roll(o, odd) ? 64 : roll(o, 3));
	if (roll(o, odd) == 0)
		options_put(o, ip);
	bed_ip_checksum(ip);
}

static void
packets_for_deliver(struct world *o)
{
	static const uint32_t rare[] = {3, 12, 60, 400};
	const uint32_t odd = rare[roll(o, RTE_DIM(rare))];
	uint32_t tunnel = roll(o, TUNNELS);
	uint8_t ip[BYTES];

	for (uint16_t i = 0; i < o->n; i++) {
		const bool ipv6 = roll(o, odd) == 0;

		if (roll(o, odd) == 0)
			tunnel = roll(o, 9) ? roll(o, TUNNELS) : DP_TUNNELS_MAX; /* too many */
		struct dp_pkt p = {.iface_in = (uint16_t)(1 + roll(o, WAN_IF)),
				   .iface_out = (uint16_t)roll(o, WAN_IF),
				   .next = DP_NEXT_FIB,
				   .flags = (uint8_t)(DP_PKT_DECRYPTED | (ipv6 ? DP_PKT_IPV6 : 0)),
				   .tunnel = tunnel};

		if (roll(o, odd) == 0)
			p.flags ^= DP_PKT_DECRYPTED;
		else if (roll(o, odd) == 0) /* sealed again, for this tunnel or another */
			p.flags |= DP_PKT_OUTER, p.next = DP_NEXT_OUTER;
		random_inner(o, ip, ipv6, odd);
		packet_put(o, i, &p, ip, RTE_PKTMBUF_HEADROOM);
	}
}

/* All but frames for the kernel have the checksum that is made anew. */
static void
checksums_are_right(const struct world *o)
{
	for (uint16_t i = 0; i < o->n; i++) {
		struct rte_mbuf *m = o->y->pkt[i];
		const uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

		if ((dp_pkt(m)->flags & DP_PKT_IPV6) == 0 && m->data_len == BYTES)
			assert_int_equal(dp_csum_finish(dp_csum_add(0, ip, (ip[0] & 15u) * 4)), 0);
	}
}

static void
a_mixed_burst_is_delivered_as_its_packets_alone(void **state)
{
	struct world *o = world_open(dp_stage_deliver);

	addresses_put(o);
	for (int round = 0, n = rounds(); round < n; round++) {
		burst_size(o);
		packets_for_deliver(o);
		compare(o);
		checksums_are_right(o);
	}
	dropped_for(o, DP_DROP_MARTIAN);
	dropped_for(o, DP_DROP_LINK_LOCAL);
	dropped_for(o, DP_DROP_IP_OPTIONS);
	assert_true(o->punted > 1000 && o->whole > 500 && o->parts > 500);
	world_close(o);
}

/* --- FIB --- */

static void
routes_put(struct world *o)
{
	uint32_t bad;

	assert_int_equal(dp_fib_new(&o->y->t->fib, 64, o->y->qsbr, NULL), 0);
	for (uint32_t i = 0; i < 6; i++) {
		struct dp_fib_op op = {.ip = 0x0a050000 + (i << 8), .len = 24, .group = 1 + i / 2};

		assert_int_equal(dp_fib_apply(o->y->t->fib, &op, 1, &bad, NULL), 0);
	}
}

/* A destination by its number; from the sixth on, of IPv6 from the second, there is no route. */
static void
destination(uint8_t *ip, bool ipv6, uint32_t to)
{
	if (ipv6) {
		memset(ip + 24, 0, 16);
		ip[24] = 0xfd;
		ip[25] = (uint8_t)(2 + to % 3);
	} else {
		dp_put_be32(ip + 16, 0x0a050007 + (to << 8));
	}
}

static void
packets_for_fib(struct world *o)
{
	static const uint32_t odds[] = {2, 8, 40, 400};
	static const uint8_t nexts[] = {DP_NEXT_OUTER, DP_NEXT_SEAL, DP_NEXT_OPEN, DP_NEXT_OPEN};
	const uint32_t others = odds[roll(o, 4)], v6 = odds[roll(o, 4)], changes = odds[roll(o, 4)];
	const uint32_t unrouted = odds[roll(o, 4)];
	uint32_t to = roll(o, 8);
	uint8_t ip[BYTES];

	for (uint16_t i = 0; i < o->n; i++) {
		const bool ipv6 = roll(o, v6) == 0;
		struct dp_pkt p = {.iface_in = (uint16_t)(1 + roll(o, WAN_IF)),
				   .next = DP_NEXT_FIB,
				   .flags = ipv6 ? DP_PKT_IPV6 : 0,
				   .group = roll(o, 9)};

		if (roll(o, changes) == 0)
			to = roll(o, unrouted) ? roll(o, 6) : 6 + roll(o, 2);
		if (roll(o, others) == 0)
			p.next = nexts[roll(o, RTE_DIM(nexts))];
		random_ip(o, ip, ipv6);
		destination(ip, ipv6, to);
		packet_put(o, i, &p, ip, RTE_PKTMBUF_HEADROOM);
	}
}

static void
a_mixed_burst_is_looked_up_as_its_packets_alone(void **state)
{
	struct world *o = world_open(dp_stage_fib);

	routes_put(o);
	for (int round = 0, n = rounds(); round < n; round++) {
		burst_size(o);
		packets_for_fib(o);
		compare(o);
	}
	dropped_for(o, DP_DROP_NO_ROUTE);
	assert_true(o->whole > 500 && o->parts > 500);
	world_close(o);
}

/* --- adjacency and tx --- */

static void
path_open(struct world *o, uint32_t id, uint32_t kind, const struct dp_l2_tags *tags, uint16_t port)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)id};
	struct dp_path *p;

	yard_path_put(o->y, id, kind, way_iface[id], 0);
	p = atomic_load(&o->y->t->path[id]);
	p->hop = dp_neigh_key4(way_iface[id], 0x0a090000 + id);
	if (tags == NULL)
		return;
	o->l2[id] = dp_l2_make(mac, tags, way_iface[id], port);
	dp_l2_dest(&o->l2[id], mac);
	atomic_store(&p->l2, &o->l2[id]);
}

/* Adjacencies with a finished header over two ports and a gone one, others, and no path at all. */
static void
paths_put(struct world *o)
{
	const struct dp_l2_tags none = {0}, two = {.outer = 7, .inner = 8, .tpid = 0x88a8},
				inserted = {.outer = 9, .tpid = 0x8100, .insert = true};
	const struct dp_neigh_key slow = dp_neigh_key4(LAN_IF, 0x0a090000 + A_SLOW),
				  host = dp_neigh_key4(ER_IF, 0x0a060000);
	const uint8_t mac[6] = {2, 9, 9, 9, 9, 9};
	struct dp_neigh_table *old;

	path_open(o, A1, SPW_PATH_ADJACENCY, &none, 0);
	path_open(o, A2, SPW_PATH_ADJACENCY, &inserted, 0);
	path_open(o, A_TAGS, SPW_PATH_ADJACENCY, &two, 1);
	path_open(o, A_PORT, SPW_PATH_ADJACENCY, &none, 1);
	path_open(o, A_GONE, SPW_PATH_ADJACENCY, &none, PORTS - 1);
	path_open(o, A_SLOW, SPW_PATH_ADJACENCY, NULL, 0);
	path_open(o, A_SILENT, SPW_PATH_ADJACENCY, NULL, 0);
	path_open(o, NET, SPW_PATH_CONNECTED, NULL, 0);
	o->y->t->neighs = dp_neighs_new();
	assert_int_equal(dp_neighs_reserve(o->y->t->neighs, 4, &old), 0);
	free(old);
	dp_neigh_set(o->y->t->neighs, &slow, mac, 1);
	dp_neigh_set(o->y->t->neighs, &host, mac, 1);
}

/* What others have made of it: a frame for a port, there or not, or what nothing is left to do for.
 */
static void
stranger(struct world *o, struct dp_pkt *p)
{
	static const uint8_t nexts[] = {DP_NEXT_TX, DP_NEXT_TX, DP_NEXT_TX, DP_NEXT_SEAL};

	p->next = nexts[roll(o, RTE_DIM(nexts))];
	p->port_out = (uint16_t)(roll(o, 6) ? roll(o, PORTS) : DP_PORT_NONE);
}

static void
packets_for_adjacency(struct world *o)
{
	static const uint32_t odds[] = {2, 8, 100, 1000, 1000};
	const uint32_t odd = odds[roll(o, RTE_DIM(odds))], v6 = odds[roll(o, RTE_DIM(odds))];
	const uint32_t changes = odds[roll(o, RTE_DIM(odds))];
	uint32_t path = 1 + roll(o, WAYS);
	bool ipv6 = roll(o, 3) == 0;
	uint8_t ip[BYTES];

	for (uint16_t i = 0; i < o->n; i++) {
		if (roll(o, changes) == 0)
			path = 1 + roll(o, roll(o, 2) ? A_PORT : WAYS);
		ipv6 ^= roll(o, v6) == 0;
		struct dp_pkt p = {.iface_in = (uint16_t)(1 + roll(o, WAN_IF)),
				   .iface_out = way_iface[path],
				   .port_out = DP_PORT_NONE,
				   .next = DP_NEXT_ADJ,
				   .flags = (uint8_t)((ipv6 ? DP_PKT_IPV6 : 0) |
						      (roll(o, 2) ? DP_PKT_DECRYPTED : 0)),
				   .path = path};

		if (roll(o, odd) == 0)
			stranger(o, &p);
		if (roll(o, odd) == 0)
			p.iface_out = (uint16_t)(1 + roll(o, GONE_IF));
		random_ip(o, ip, ipv6);
		dp_put_be32(ip + 16, 0x0a060000 + roll(o, 2));
		packet_put(o, i, &p, ip,
			   roll(o, 2 * odd) ? RTE_PKTMBUF_HEADROOM : (uint16_t)(18 + roll(o, 8)));
	}
}

/* A packet that has its header: by a finished one, all of it; and in any case the type of IP. */
static void
header_is_right(const struct world *o, uint16_t i)
{
	struct rte_mbuf *m = o->y->pkt[i];
	const struct dp_pkt *p = dp_pkt(m);
	const uint16_t len = (uint16_t)(m->data_len - BYTES);
	const uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	const struct dp_l2 *l2 = &o->l2[p->path];

	if (len == 0)
		return;
	assert_int_equal(dp_be16(frame + len - 2),
			 frame[len] >> 4 == 6 ? DP_ETHERTYPE_IPV6 : DP_ETHERTYPE_IPV4);
	if (l2->len == 0)
		return;
	assert_int_equal(len, l2->len);
	assert_memory_equal(frame, l2->bytes + DP_L2_BYTES - len, len - 2u);
	assert_true(m->ol_flags == l2->ol_flags && m->vlan_tci == l2->tci);
	assert_int_equal(p->port_out, l2->port_out);
	assert_int_equal(p->iface_out, l2->iface);
}

static void
a_mixed_burst_gets_its_headers_as_its_packets_alone(void **state)
{
	struct world *o = world_open(dp_stage_adjacency);

	paths_put(o);
	for (int round = 0, n = rounds(); round < n; round++) {
		burst_size(o);
		packets_for_adjacency(o);
		compare(o);
		for (uint16_t i = 0; i < o->n; i++)
			header_is_right(o, i);
	}
	dropped_for(o, DP_DROP_PORT_GONE);
	dropped_for(o, DP_DROP_NO_ROOM);
	dropped_for(o, DP_DROP_NO_NEIGHBOUR);
	dropped_for(o, DP_DROP_NEIGHBOUR_QUEUE);
	assert_true(o->waited > 1000 && o->whole > 500 && o->parts > 500 && o->one_way > 500);
	world_close(o);
}

/* What is added later was not asked for its way. */
static void
a_packet_added_ends_the_one_way(void **state)
{
	struct world *o = world_open(dp_stage_adjacency);
	const struct dp_one_way way = {.path = A1, .bytes = BYTES, .iface = LAN_IF};
	const struct dp_pkt p = {.next = DP_NEXT_ADJ};
	struct dp_burst b = {.n = 1, .kinds = DP_KIND(DP_NEXT_ADJ), .pkt = {o->y->pkt[0]}};

	*dp_pkt(o->y->pkt[1]) = p;
	dp_burst_one_way(&b, 0, &way);
	assert_int_equal(b.kinds, DP_KIND(DP_NEXT_ADJ));
	dp_burst_one_way(&b, 1, &way);
	assert_int_equal(b.kinds, DP_KIND(DP_NEXT_ADJ) | DP_KIND_ONE_WAY);
	assert_true(dp_burst_add(&b, o->y->pkt[1]));
	assert_int_equal(b.kinds, DP_KIND(DP_NEXT_ADJ));
	b = (struct dp_burst){.kinds = DP_KIND(DP_NEXT_ADJ)};
	dp_burst_one_way(&b, 0, &way);
	assert_int_equal(b.kinds, DP_KIND(DP_NEXT_ADJ));
	world_close(o);
}

static void
adjacency_and_tx(struct dp_worker *w, struct dp_burst *b)
{
	dp_stage_adjacency(w, b);
	dp_stage_tx(w, b);
	b->kinds = 0; /* nothing is left of them */
}

/* How much the ports take: all, or some. */
static void
ports_change(struct world *o)
{
	for (unsigned int p = 0; p < PORTS; p++) {
		uint16_t room = roll(o, 6) ? DP_BURST : (uint16_t)roll(o, DP_BURST);

		o->together.wire[p].room = o->alone.wire[p].room = room;
		atomic_store(&o->port[p].link_up, roll(o, 10) != 0);
	}
}

static void
a_mixed_burst_is_sent_as_its_packets_alone(void **state)
{
	struct world *o = world_open(adjacency_and_tx);

	paths_put(o);
	for (int round = 0, n = rounds(); round < n; round++) {
		burst_size(o);
		packets_for_adjacency(o);
		ports_change(o);
		compare(o);
	}
	dropped_for(o, DP_DROP_PORT_GONE);
	dropped_for(o, DP_DROP_TX_DOWN);
	dropped_for(o, DP_DROP_TX_FULL);
	assert_true(o->sent > 10000 && o->one_way > 500);
	assert_int_equal(o->sent, o->lone.count.tx);
	world_close(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mixed_burst_is_delivered_as_its_packets_alone),
		cmocka_unit_test(a_mixed_burst_is_looked_up_as_its_packets_alone),
		cmocka_unit_test(a_mixed_burst_gets_its_headers_as_its_packets_alone),
		cmocka_unit_test(a_packet_added_ends_the_one_way),
		cmocka_unit_test(a_mixed_burst_is_sent_as_its_packets_alone),
	};

	return cmocka_run_group_tests_name("burst", tests, bed_start, bed_stop);
}
