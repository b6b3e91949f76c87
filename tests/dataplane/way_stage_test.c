/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts whose packets go different ways, against the same packets one by one. What a worker
 * remembers of a group, of a path and of a peer saves it questions and must not change an answer:
 * a burst is sent through the stage by a worker that remembers, and its packets alone by another
 * that has forgotten everything. Interfaces, paths, groups, tunnels and what the tunnels carry
 * change by lot between bursts.
 *
 * Both workers count for themselves, and at the end of each burst all that they have counted, told
 * and remembered of tiers must be equal. No twins are there, so nothing is queued to the kernel.
 */
#include "tests/dataplane/yard.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/way_cache.h"
#include "dataplane/wire.h"

#define ROUNDS	20000 /* with SPW_LONG=1 in the environment twenty times as many */
#define BYTES	72    /* of each packet that are there */
#define TUNNELS 16    /* as the bed has them */
#define SAS	24
#define PEERS	8 /* of each family */

enum { WAN_IF = 3, GONE_IF = 4, TUN_IF = 20 }; /* no interface is ever GONE_IF */
enum { WORLD_PATHS = 16, WORLD_GROUPS = 24 };  /* ids from 1; the last group never is */
enum { UNROUTED = PEERS - 1, FILL_KIND = 99 };

static const uint32_t mtus[] = {1280, 1400, 1500};

/* What has been seen, so that a test which sees nothing fails. */
struct seen {
	uint64_t warm, kept, er_stood, told;
	uint64_t fit[2], shaped[2], one_way[2]; /* bursts of several packets without and with it */
};

struct world {
	struct yard *y;			 /* its worker remembers */
	struct dp_worker lone;		 /* this one does not */
	struct rte_mbuf *copy[DP_BURST]; /* of the yard's packets, for the lone worker */
	void (*stage)(struct dp_worker *, struct dp_burst *);
	bool outer;
	uint16_t n;	/* packets at hand */
	uint16_t tight; /* one packet of so many is about as long as its way allows; 0 = none */
	uint16_t syns;	/* of so many TCP packets one is a SYN */
	uint8_t origin; /* DP_PKT_* of every packet of the burst */
	struct sa {
		uint32_t tunnel;
		bool ipv6;
		uint8_t ip[BYTES];
	} sa[SAS];
	struct seen seen;
};

static uint32_t
roll(struct world *o, uint32_t n)
{
	return yard_roll(o->y, n);
}

static uint32_t
random_mtu(struct world *o)
{
	return mtus[roll(o, 3)];
}

/* What a tunnel carries: nothing at all, with a clamp for both, for one, for none. */
static void
change_fit(struct world *o, uint32_t tunnel)
{
	uint64_t mtu4 = random_mtu(o), mtu6 = random_mtu(o);
	uint64_t mss4 = roll(o, 2) ? mtu4 - 40 : 0, mss6 = roll(o, 2) ? mtu6 - 60 : 0;
	uint64_t word = mtu4 | mss4 << 16 | mtu6 << 32 | mss6 << 48;

	atomic_store(&o->y->w->sad->tunnels[tunnel].fit, roll(o, 8) ? word : 0);
}

static void
change_iface(struct world *o, uint16_t id)
{
	struct dp_iface *i;

	yard_iface_put(o->y, id, SPW_IF_ROLE_LAN);
	i = atomic_load(&o->y->t->iface[id]);
	i->conf.mtu = random_mtu(o);
	i->conf.mss_clamp = roll(o, 2) ? (uint16_t)(500 + roll(o, 1000)) : 0;
	i->conf.up = roll(o, 8) != 0;
	i->port = roll(o, 12) ? &o->y->port : NULL;
}

/* Every path names a tunnel and an interface, whether its kind asks for them or not. */
static void
change_path(struct world *o, uint32_t id)
{
	static const uint32_t others[] = {SPW_PATH_CONNECTED, SPW_PATH_ADJACENCY,
					  SPW_PATH_CONNECTED, SPW_PATH_ADJACENCY,
					  SPW_PATH_LOCAL,     SPW_PATH_DROP};
	bool tunnel = roll(o, 8) < (o->outer ? 1 : 5);

	if (roll(o, 16) == 0)
		free(atomic_exchange(&o->y->t->path[id], NULL));
	else
		yard_path_put(o->y, id,
			      tunnel ? (uint32_t)SPW_PATH_TUNNEL : others[roll(o, RTE_DIM(others))],
			      roll(o, 12) ? 1 + roll(o, WAN_IF) : GONE_IF, roll(o, TUNNELS));
}

/* Half of the groups have one path, the others up to three tiers of up to three. */
static void
change_group(struct world *o, uint32_t id)
{
	struct spw_dp_group conf = {.id = id};
	bool simple = roll(o, 2) == 0;

	if (roll(o, 16) == 0) {
		free(atomic_exchange(&o->y->t->group[id], NULL));
		return;
	}
	conf.n_tiers = simple ? 1 : 1 + roll(o, 3);
	for (uint32_t i = 0; i < conf.n_tiers; i++) {
		struct spw_dp_tier *t = &conf.tier[i];
		uint32_t first = roll(o, WORLD_PATHS);

		t->role = roll(o, SPW_TIER_INTERNET + 1);
		t->n_paths = simple || roll(o, 2) ? 1 : 2 + roll(o, 2);
		for (uint32_t k = 0; k < t->n_paths; k++) {
			t->path[k] = 1 + (first + k) % (WORLD_PATHS - 1);
			t->weight[k] = 1;
		}
	}
	yard_group_put(o->y, &conf);
}

static void
change_bit(struct world *o, uint32_t path)
{
	yard_path_up(o->y, path, roll(o, 6) != 0);
	dp_path_view_renew(&dp_priv(&o->lone)->view, o->y->t->bits);
}

/* A prefix was pointed to the group: its next packet is told of, though it goes where they went. */
static void
change_tag(struct world *o, uint32_t id)
{
	struct dp_group *g = atomic_load(&o->y->t->group[id]);

	if (g != NULL)
		atomic_fetch_add(&g->tag, 1);
}

/* Something changes. What a tunnel carries is no reason to raise the epoch, nor is a path's bit. */
static void
change(struct world *o)
{
	struct yard *y = o->y;
	uint32_t tunnel = roll(o, TUNNELS), what = roll(o, 9);

	switch (what) {
	case 0:
	case 1: change_bit(o, 1 + roll(o, WORLD_PATHS - 1)); return;
	case 2: change_fit(o, tunnel); return;
	case 3: yard_shape_put_at(y, tunnel, roll(o, 3) == 0 ? 1000 : 0); return;
	case 4:
		atomic_store(&y->t->tunnel_outer[tunnel],
			     roll(o, 4) == 0 ? 1 + roll(o, WORLD_PATHS) : 0);
		return;
	case 5: change_iface(o, (uint16_t)(1 + roll(o, WAN_IF))); break;
	case 6: change_path(o, 1 + roll(o, WORLD_PATHS - 1)); break;
	case 7: change_group(o, 1 + roll(o, WORLD_GROUPS - 1)); break;
	default:
		atomic_store(&y->t->tunnel_iface[tunnel], (uint16_t)(TUN_IF + roll(o, 8)));
		change_tag(o, 1 + roll(o, WORLD_GROUPS - 1));
		break;
	}
	atomic_fetch_add(&y->t->epoch, 1);
}

static struct world *
world_open(void (*stage)(struct dp_worker *, struct dp_burst *), bool outer)
{
	struct world *o = aligned_alloc(64, (sizeof(*o) + 63) / 64 * 64);

	memset(o, 0, sizeof(*o));
	o->y = yard_open();
	o->stage = stage;
	o->outer = outer;
	yard_worker_open(o->y, &o->lone, "lone_events");
	for (unsigned int i = 0; i < DP_BURST; i++) {
		rte_pktmbuf_free(o->y->pkt[i]);
		o->y->pkt[i] = bed_packet(BYTES);
		o->copy[i] = bed_packet(BYTES);
	}
	for (uint16_t i = 1; i <= WAN_IF; i++)
		change_iface(o, i);
	for (uint32_t i = 0; i < TUNNELS; i++) {
		change_fit(o, i);
		atomic_store(&o->y->t->tunnel_iface[i], (uint16_t)(TUN_IF + i % 8));
	}
	for (uint32_t i = 1; i < WORLD_PATHS; i++) {
		change_path(o, i);
		change_bit(o, i);
	}
	for (uint32_t i = 1; i < WORLD_GROUPS; i++)
		change_group(o, i);
	atomic_fetch_add(&o->y->t->epoch, 1);
	return o;
}

static void
world_close(struct world *o)
{
	yard_packets_mend(o->y);
	for (unsigned int i = 0; i < DP_BURST; i++) {
		o->copy[i]->pkt_len = o->copy[i]->data_len;
		rte_pktmbuf_free(o->copy[i]);
	}
	for (unsigned int i = 0; i < TUNNELS; i++)
		atomic_store(&o->y->w->sad->tunnels[i].fit, 0);
	yard_worker_close(&o->lone);
	yard_close(o->y);
	free(o);
}

/* An IPv4 or IPv6 packet: TCP with some flags, UDP, or one whose header says no more. */
static void
random_ip(struct world *o, uint8_t ip[BYTES], bool ipv6)
{
	static const uint8_t protocols[2][4] = {{6, 6, 17, 50}, {6, 6, 17, 0}};
	uint8_t protocol = protocols[ipv6][roll(o, 4)];

	for (unsigned int i = 0; i < BYTES; i++)
		ip[i] = (uint8_t)roll(o, 256);
	if (ipv6 && protocol == 0 && roll(o, o->syns) != 0)
		protocol = 17;
	ip[0] = ipv6 ? 0x60 : 0x45;
	ip[ipv6 ? 6 : 9] = protocol;
	if (!ipv6)
		dp_put_be16(ip + 6, 0);
	ip[(ipv6 ? 40 : 20) + 13] = roll(o, o->syns) == 0 ? 0x02 : 0x10;
}

static uint16_t
random_len(struct world *o)
{
	if (o->tight == 0 || roll(o, o->tight) != 0)
		return (uint16_t)(BYTES + roll(o, 900));
	return (uint16_t)(random_mtu(o) + roll(o, 3) - 1);
}

/* Both copies of a packet, as they are before the stage. */
static void
packet_put(struct world *o, uint16_t i, const struct dp_pkt *p, const uint8_t ip[BYTES])
{
	struct rte_mbuf *both[] = {o->y->pkt[i], o->copy[i]};
	uint16_t len = random_len(o);

	for (unsigned int k = 0; k < 2; k++) {
		rte_pktmbuf_reset_headroom(both[k]);
		both[k]->data_len = BYTES;
		both[k]->pkt_len = len;
		*dp_pkt(both[k]) = *p;
		memcpy(rte_pktmbuf_mtod(both[k], uint8_t *), ip, BYTES);
	}
}

/* A packet that is not for the stage, with all else as if it were. */
static bool
stranger(struct world *o, struct dp_pkt *p)
{
	static const uint8_t nexts[] = {DP_NEXT_ADJ, DP_NEXT_SEAL, DP_NEXT_TX, DP_NEXT_OPEN};

	if (roll(o, 12) != 0)
		return false;
	p->next = nexts[roll(o, RTE_DIM(nexts))];
	return true;
}

/* How this burst is: how many packets, and how long and new they are. */
static void
burst_kind(struct world *o)
{
	static const uint16_t sizes[] = {1, 3, 6, 16, DP_BURST}, rare[] = {0, 0, 2, 16};
	static const uint8_t origins[] = {0, 0, DP_PKT_FROM_TWIN, DP_PKT_CREATED};

	o->n = (uint16_t)(1 + roll(o, sizes[roll(o, RTE_DIM(sizes))]));
	o->tight = rare[roll(o, RTE_DIM(rare))];
	o->syns = roll(o, 2) ? 200 : 6;
	o->origin = origins[roll(o, RTE_DIM(origins))];
}

static void
packets_for_path(struct world *o)
{
	uint32_t first = roll(o, WORLD_GROUPS + 1), span = 1 + roll(o, 8);
	bool ipv6 = false, from_tunnel = false, alike = roll(o, 2) == 0;
	uint8_t ip[BYTES];

	if (alike)
		span = 1;
	for (uint16_t i = 0; i < o->n; i++) {
		if (i == 0 || !alike) {
			ipv6 = roll(o, 2);
			from_tunnel = roll(o, 4) == 0;
		}
		struct dp_pkt p = {.next = DP_NEXT_PATH,
				   .iface_in = (uint16_t)(1 + roll(o, WAN_IF)),
				   .iface_out = (uint16_t)roll(o, GONE_IF),
				   .group = (first + roll(o, span)) % (WORLD_GROUPS + 1),
				   .path = 1 + roll(o, WORLD_PATHS),
				   .spi = roll(o, UINT32_MAX)};

		p.flags =
			(uint8_t)((ipv6 ? DP_PKT_IPV6 : 0) | (from_tunnel ? DP_PKT_DECRYPTED : 0) |
				  (roll(o, 4) == 0 ? o->origin : 0));
		/* Tunnel 0 is one, too, and what did not come out of any says 0. */
		p.tunnel = from_tunnel && roll(o, 2) ? roll(o, TUNNELS) : 0;
		if (!alike)
			(void)stranger(o, &p);
		random_ip(o, ip, ipv6);
		packet_put(o, i, &p, ip);
	}
}

/* Keep a worker's events from being told, or let them be. */
static void
events_fill(const struct dp_worker *w)
{
	struct dp_worker_event ev = {.kind = FILL_KIND};

	while (rte_ring_sp_enqueue_elem(dp_priv(w)->events, &ev, sizeof(ev)) == 0)
		continue;
}

static bool
event_take(const struct dp_worker *w, struct dp_worker_event *ev)
{
	do {
		if (rte_ring_sc_dequeue_elem(dp_priv(w)->events, ev, sizeof(*ev)) != 0)
			return false;
	} while (ev->kind == FILL_KIND);
	return true;
}

static void
events_equal(struct world *o)
{
	struct dp_worker_event a, b;

	while (event_take(&o->lone, &b)) {
		assert_true(event_take(o->y->w, &a));
		assert_int_equal(a.kind, DP_EVENT_SWITCHED);
		assert_int_equal(a.kind, b.kind);
		assert_int_equal(a.group, b.group);
		assert_int_equal(a.path, b.path);
		assert_int_equal(a.tag, b.tag);
		assert_int_equal(a.tsc, b.tsc);
		o->seen.told++;
	}
	assert_false(event_take(o->y->w, &a));
}

/* Run a stage over packets that it may drop: the owner keeps a reference. */
static void
run(struct world *o, struct dp_worker *w, struct rte_mbuf **pkt, uint16_t n, struct dp_burst *b)
{
	b->n = n;
	b->kinds = 0;
	for (uint16_t i = 0; i < n; i++) {
		b->pkt[i] = pkt[i];
		b->kinds |= (uint16_t)DP_KIND(dp_pkt(pkt[i])->next);
		rte_mbuf_refcnt_update(pkt[i], 1);
	}
	o->stage(w, b);
	for (uint16_t i = 0; i < b->n; i++)
		rte_mbuf_refcnt_update(b->pkt[i], -1);
	for (uint16_t i = 0; i < n; i++)
		assert_int_equal(rte_mbuf_refcnt_read(pkt[i]), 1);
}

/*
 * Of a sealed packet these say what its inner packet was, or its outer one is: with the first of an
 * SA's they are made anew, with others not. Nobody asks after sealing.
 */
static struct dp_pkt
what_counts(const struct world *o, struct rte_mbuf *m)
{
	struct dp_pkt p = *dp_pkt(m);

	if (o->outer && (p.flags & DP_PKT_OUTER) != 0)
		p.flags &= (uint8_t)~DP_PKT_ER_STOOD;
	return p;
}

/* A burst that is said to go one way goes it, all of it. */
static void
one_way_is_true(const struct dp_burst *b)
{
	const struct dp_one_way *way = &b->one_way;
	uint64_t bytes = 0;

	if ((b->kinds & DP_KIND_ONE_WAY) == 0)
		return;
	assert_int_equal(b->kinds, DP_KIND(DP_NEXT_ADJ) | DP_KIND_ONE_WAY);
	for (uint16_t i = 0; i < b->n; i++) {
		const struct dp_pkt *p = dp_pkt(b->pkt[i]);

		assert_int_equal(p->next, DP_NEXT_ADJ);
		assert_int_equal(p->path, way->path);
		assert_int_equal(p->iface_out, way->iface);
		assert_int_equal((p->flags & DP_PKT_IPV6) != 0, way->ipv6);
		bytes += b->pkt[i]->pkt_len;
	}
	assert_int_equal(bytes, way->bytes);
}

/* A packet that is not for the stage stays, and stays as it was. */
static void
left_alone(const struct world *o, const struct dp_burst *b, const struct dp_pkt *before)
{
	if (before->next == (o->outer ? DP_NEXT_OUTER : DP_NEXT_PATH))
		return;
	assert_int_equal(b->n, 1);
	assert_int_equal(b->kinds, DP_KIND(before->next));
	assert_memory_equal(dp_pkt(b->pkt[0]), before, sizeof(*before));
}

/* The packets one by one; those that stay are the burst's, from the `kept`th on. */
static void
alone_as_together(struct world *o, const struct dp_burst *together)
{
	uint16_t kept = 0, kinds = 0;
	struct dp_burst b;

	for (uint16_t i = 0; i < o->n; i++) {
		struct dp_pkt before = *dp_pkt(o->copy[i]);

		memset(dp_priv(&o->lone)->way, 0, YARD_GROUPS * sizeof(struct dp_way));
		run(o, &o->lone, &o->copy[i], 1, &b);
		left_alone(o, &b, &before);
		one_way_is_true(&b);
		kinds |= (uint16_t)(b.kinds & ~DP_KIND_ONE_WAY);
		if (b.n == 0)
			continue;
		assert_true(kept < together->n);
		assert_ptr_equal(together->pkt[kept], o->y->pkt[i]);

		struct dp_pkt a = what_counts(o, together->pkt[kept++]);
		struct dp_pkt c = what_counts(o, b.pkt[0]);

		assert_memory_equal(&a, &c, sizeof(a));
		o->seen.er_stood += (a.flags & DP_PKT_ER_STOOD) != 0;
	}
	assert_int_equal(together->n, kept);
	assert_int_equal(together->kinds & ~DP_KIND_ONE_WAY, kinds);
	o->seen.kept += kept;
}

static void
counts_equal(struct world *o)
{
	const struct dp_worker_priv *a = o->y->priv, *b = dp_priv(&o->lone);

	assert_memory_equal(&o->y->w->count, &o->lone.count, sizeof(o->lone.count));
	assert_memory_equal(o->y->w->iface, o->lone.iface, YARD_IFACES * sizeof(*o->lone.iface));
	assert_memory_equal(a->path, b->path, YARD_PATHS * sizeof(*b->path));
	assert_memory_equal(a->seen_tier, b->seen_tier, YARD_GROUPS * sizeof(*b->seen_tier));
	events_equal(o);
}

static void
notice(struct world *o, const struct dp_burst *b)
{
	if (b->n < 2)
		return;
	o->seen.fit[(b->kinds & DP_KIND_FIT) != 0]++;
	o->seen.shaped[(b->kinds & DP_KIND_SHAPED) != 0]++;
	o->seen.one_way[(b->kinds & DP_KIND_ONE_WAY) != 0]++;
}

/* One burst, of packets that were put. */
static void
compare(struct world *o)
{
	uint32_t epoch = dp_way_epoch(o->y->w);
	struct dp_burst b;

	for (uint16_t i = 0; i < o->n; i++)
		o->seen.warm += dp_way_recall(o->y->w, dp_pkt(o->y->pkt[i])->group, epoch) != NULL;
	o->y->w->now_tsc = o->lone.now_tsc = o->lone.now_tsc + 1;
	if (roll(o, 16) == 0) {
		events_fill(o->y->w);
		events_fill(&o->lone);
	}
	run(o, o->y->w, o->y->pkt, o->n, &b);
	notice(o, &b);
	one_way_is_true(&b);
	alone_as_together(o, &b);
	counts_equal(o);
}

static void
dropped_for(const struct world *o, enum dp_drop reason)
{
	assert_true(o->lone.count.drop[reason] > 100);
}

static int
rounds(void)
{
	return getenv("SPW_LONG") != NULL ? 20 * ROUNDS : ROUNDS;
}

static void
a_mixed_burst_goes_as_its_packets_go_alone(void **state)
{
	struct world *o = world_open(dp_stage_path, false);

	for (int round = 0, n = rounds(); round < n; round++) {
		if (roll(o, 12) == 0)
			change(o);
		burst_kind(o);
		packets_for_path(o);
		compare(o);
	}
	dropped_for(o, DP_DROP_NO_ROUTE);
	dropped_for(o, DP_DROP_ALL_PATHS_DOWN);
	dropped_for(o, DP_DROP_IFACE_DOWN);
	dropped_for(o, DP_DROP_PORT_GONE);
	assert_true(o->seen.warm > o->seen.kept / 4);
	assert_true(o->seen.told > 100 && o->seen.er_stood > 100);
	for (int with = 0; with < 2; with++)
		assert_true(o->seen.fit[with] > 500 && o->seen.shaped[with] > 500 &&
			    o->seen.one_way[with] > 100);
	world_close(o);
}

/* The 16 bytes of a peer's address; an IPv4 one has the first four. */
static void
peer_addr(uint8_t addr[16], bool ipv6, uint32_t peer)
{
	memset(addr, 0, 16);
	dp_put_be32(addr, ipv6 ? 0xfd070000 + peer : 0xc6336400 + peer);
}

/* Peers of both families, by groups that several share; the last one has no route. */
static void
peers_put(struct world *o)
{
	uint32_t bad;

	assert_int_equal(dp_fib_new(&o->y->t->fib, 64, o->y->qsbr, NULL), 0);
	for (uint32_t peer = 0; peer < UNROUTED; peer++) {
		struct dp_fib_op op4 = {.len = 32, .group = 1 + peer / 2 * 2};
		struct dp_fib_op op6 = {.len = 32, .group = op4.group + peer % 2};
		uint8_t addr[16];

		peer_addr(addr, false, peer);
		op4.ip = dp_be32(addr);
		peer_addr(op6.ip6, true, peer);
		assert_int_equal(dp_fib_apply(o->y->t->fib, &op4, 1, &bad, NULL), 0);
		assert_int_equal(dp_fib6_apply(o->y->t->fib6, &op6, 1, &bad, NULL), 0);
	}
}

/* Where an IPv4 header has its destination, one of IPv6 has the address of an IPv4 peer, too. */
static void
sas_make(struct world *o)
{
	for (uint32_t i = 0; i < SAS; i++) {
		struct sa *sa = &o->sa[i];
		uint32_t peer = roll(o, PEERS);

		sa->tunnel = roll(o, TUNNELS);
		sa->ipv6 = roll(o, 4) == 0;
		random_ip(o, sa->ip, sa->ipv6);
		sa->ip[sa->ipv6 ? 6 : 9] = 50;
		peer_addr(sa->ip + 16, false, peer);
		if (sa->ipv6)
			peer_addr(sa->ip + 24, true, peer);
	}
}

/* Packets of one SA follow each other or do not. */
static void
packets_for_outer(struct world *o)
{
	uint32_t first = roll(o, SAS), span = 1 + roll(o, 6), at = first;
	bool runs = roll(o, 2);

	for (uint16_t i = 0; i < o->n; i++) {
		if (!runs || roll(o, 3) == 0)
			at = (first + roll(o, span)) % SAS;

		const struct sa *sa = &o->sa[at];
		struct dp_pkt p = {.next = DP_NEXT_OUTER,
				   .iface_in = (uint16_t)(1 + roll(o, WAN_IF)),
				   .iface_out = o->y->t->tunnel_iface[sa->tunnel],
				   .group = roll(o, WORLD_GROUPS),
				   .path = roll(o, WORLD_PATHS),
				   .tunnel = sa->tunnel,
				   .sa = at};

		p.flags = (uint8_t)(DP_PKT_OUTER | o->origin | (sa->ipv6 ? DP_PKT_IPV6 : 0) |
				    (roll(o, 4) == 0 ? DP_PKT_DECRYPTED : 0));
		(void)stranger(o, &p);
		packet_put(o, i, &p, sa->ip);
	}
}

static void
a_burst_of_several_sas_goes_as_its_packets_go_alone(void **state)
{
	struct world *o = world_open(dp_stage_outer, true);

	peers_put(o);
	o->syns = 1;
	for (int round = 0, n = rounds(); round < n; round++) {
		if (round % 32 == 0)
			sas_make(o);
		if (roll(o, 12) == 0)
			change(o);
		burst_kind(o);
		packets_for_outer(o);
		compare(o);
	}
	dropped_for(o, DP_DROP_NO_ROUTE);
	dropped_for(o, DP_DROP_ALL_PATHS_DOWN);
	dropped_for(o, DP_DROP_IFACE_DOWN);
	dropped_for(o, DP_DROP_PORT_GONE);
	assert_true(o->seen.kept > ROUNDS && o->seen.told > 40);
	for (int with = 0; with < 2; with++)
		assert_true(o->seen.fit[with] > 500 && o->seen.one_way[with] > 500);
	world_close(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mixed_burst_goes_as_its_packets_go_alone),
		cmocka_unit_test(a_burst_of_several_sas_goes_as_its_packets_go_alone),
	};

	return cmocka_run_group_tests_name("way_stage", tests, bed_start, bed_stop);
}
