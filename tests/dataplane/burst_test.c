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
#include "tests/dataplane/burst_bed.h"

#include <stdlib.h>
#include <string.h>

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
	world_random_ip(o, ip, ipv6);
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
		world_packet(o, i, &p, ip, RTE_PKTMBUF_HEADROOM);
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
	for (int round = 0, n = world_rounds(); round < n; round++) {
		world_burst_size(o);
		packets_for_deliver(o);
		world_compare(o);
		checksums_are_right(o);
	}
	world_dropped_for(o, DP_DROP_MARTIAN);
	world_dropped_for(o, DP_DROP_LINK_LOCAL);
	world_dropped_for(o, DP_DROP_IP_OPTIONS);
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
		world_random_ip(o, ip, ipv6);
		destination(ip, ipv6, to);
		world_packet(o, i, &p, ip, RTE_PKTMBUF_HEADROOM);
	}
}

static void
a_mixed_burst_is_looked_up_as_its_packets_alone(void **state)
{
	struct world *o = world_open(dp_stage_fib);

	routes_put(o);
	for (int round = 0, n = world_rounds(); round < n; round++) {
		world_burst_size(o);
		packets_for_fib(o);
		world_compare(o);
	}
	world_dropped_for(o, DP_DROP_NO_ROUTE);
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
		world_random_ip(o, ip, ipv6);
		dp_put_be32(ip + 16, 0x0a060000 + roll(o, 2));
		world_packet(o, i, &p, ip,
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
	for (int round = 0, n = world_rounds(); round < n; round++) {
		world_burst_size(o);
		packets_for_adjacency(o);
		world_compare(o);
		for (uint16_t i = 0; i < o->n; i++)
			header_is_right(o, i);
	}
	world_dropped_for(o, DP_DROP_PORT_GONE);
	world_dropped_for(o, DP_DROP_NO_ROOM);
	world_dropped_for(o, DP_DROP_NO_NEIGHBOUR);
	world_dropped_for(o, DP_DROP_NEIGHBOUR_QUEUE);
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
	for (int round = 0, n = world_rounds(); round < n; round++) {
		world_burst_size(o);
		packets_for_adjacency(o);
		ports_change(o);
		world_compare(o);
	}
	world_dropped_for(o, DP_DROP_PORT_GONE);
	world_dropped_for(o, DP_DROP_TX_DOWN);
	world_dropped_for(o, DP_DROP_TX_FULL);
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
