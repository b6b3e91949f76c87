/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts into many tunnels, sealed together and one by one. Packets that each have another SA are
 * claimed in one go and sealed in one loop with a key for each; that must give what each gives
 * alone, whatever its neighbours in the burst are: SAs of other suites, with ESN, over IPv6, in
 * UDP, near a limit or ended, with selectors.
 *
 * One end seals bursts. The other has the same SAs in a SAD of its own, gets a packet at a time,
 * and is told that workers share its SAs, so that it claims as several workers do. Packets must
 * leave with the same bytes and metadata, and SAs and tunnels count alike; what they counted is
 * held against what left by its flags, too.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/spread.h"
#include "dataplane/spread_seal.h"
#include "dataplane/stages.h"
#include "tests/dataplane/fib_bed.h"

#include "tests/dataplane/esp_bed.h"

#define WORLDS	60 /* with SPW_LONG=1 in the environment twenty times as many */
#define BURSTS	40 /* in each */
#define TUNNELS 12
#define ADDR_A	0xc0000201u
#define PEER	0xc6336401u

enum sel { SEL_ANY4, SEL_ANY, SEL_NARROW };

/* What has been seen, so that a test which sees nothing fails. */
struct seen {
	uint64_t left, own, violations, udp6, ended, selector, exhausted;
};

struct world {
	uint64_t state;
	struct bed_end together, alone;
	struct dp_child *child[2][TUNNELS];
	uint64_t tally[TUNNELS][3]; /* of what left: transit, own, violations */
	struct seen seen;
};

static uint32_t
roll(struct world *o, uint32_t n)
{
	return (uint32_t)((fib_bed_random(&o->state) >> 32) * n >> 32);
}

static struct spw_addr
outer(bool v6, uint32_t v4)
{
	struct spw_addr a = {.family = AF_INET6, .bytes = {0x20, 1, 0xd, 0xb8}};

	if (!v6)
		return spw_addr_v4(v4);
	spw_put_be32(a.bytes + 12, v4);
	return a;
}

static struct spw_selector
range(uint32_t low, uint32_t high)
{
	return (struct spw_selector){
		.low = spw_addr_v4(low), .high = spw_addr_v4(high), .port_high = UINT16_MAX};
}

static struct spw_selector
all_v6(void)
{
	struct spw_selector s = {
		.low = {.family = AF_INET6}, .high = {.family = AF_INET6}, .port_high = UINT16_MAX};

	memset(s.high.bytes, 0xff, 16);
	return s;
}

static void
selectors_set(struct spw_sa_desc *sa, enum sel kind)
{
	if (kind == SEL_NARROW) {
		sa->sel_local[0] = range(0x0a010000, 0x0a01ffff);
		sa->sel_remote[0] = range(0x0a020000, 0x0a02ffff);
	}
	if (kind == SEL_ANY) {
		sa->n_local = sa->n_remote = 2;
		sa->sel_local[1] = sa->sel_remote[1] = all_v6();
	}
}

/* What most SAs of a world are, or one in `odd` that is another. */
static struct spw_sa_desc
random_sa(struct world *o, uint32_t tunnel, uint32_t flags, uint32_t odd)
{
	static const enum spw_encr encr[] = {SPW_ENCR_AES128_GCM, SPW_ENCR_AES192_GCM,
					     SPW_ENCR_AES256_GCM, SPW_ENCR_CHACHA20_POLY1305};
	struct bed_sa how = {.encr = encr[roll(o, 3)], .flags = flags};
	bool v6 = false;
	struct spw_sa_desc sa;

	if (roll(o, odd) == 0) {
		how.encr = encr[roll(o, RTE_DIM(encr))];
		how.flags = (roll(o, 2) ? SPW_SA_ESN : 0) | (roll(o, 2) ? SPW_SA_UDP_ENCAP : 0);
		v6 = roll(o, 2);
	}
	if (roll(o, 2 * odd) == 0)
		how.packets = (struct spw_sa_limit){.soft = 40, .hard = 60 + roll(o, 30)};
	if (roll(o, 2 * odd) == 0)
		how.bytes = (struct spw_sa_limit){.soft = 4000, .hard = 8000 + roll(o, 4000)};
	sa = bed_desc(&o->together, PEER, &how);
	assert_int_equal(dp_sad_spi_free(o->together.sad, BED_TUNNEL, sa.spi_in, NULL), 0);
	sa.tunnel = tunnel;
	sa.local = outer(v6, ADDR_A);
	sa.remote = outer(v6, PEER + tunnel);
	selectors_set(&sa, roll(o, odd) ? SEL_ANY : roll(o, 3));
	return sa;
}

static void
tunnel_open(struct bed_end *e, const struct spw_sa_desc *sa, uint8_t dscp, struct dp_child **child)
{
	struct spw_dp_tunnel t = {.id = sa->tunnel,
				  .name = "one",
				  .local = sa->local,
				  .remote = sa->remote,
				  .mtu = 1400,
				  .dscp_copy = dscp,
				  .outer_df = SPW_OUTER_DF_COPY,
				  .outer_path = SPW_DP_ADDR_NONE};
	struct spw_sa_desc mine = *sa;

	assert_int_equal(dp_sad_tunnel_set(e->sad, &t, NULL), 0);
	assert_int_equal(dp_sad_spi_alloc(e->sad, t.id, &mine.spi_in, NULL), 0);
	assert_int_equal(dp_sad_install(e->sad, &mine, true, NULL), 0);
	*child = dp_sad_child(e->sad, mine.spi_in);
}

/* The first tunnel has no SA; the last number of some is near. */
static void
world_open(struct world *o)
{
	static const uint32_t odds[] = {2, 12, 1000};
	const uint32_t odd = odds[roll(o, RTE_DIM(odds))], flags = roll(o, 2) ? SPW_SA_ESN : 0;

	bed_open(&o->together, ADDR_A, DP_CRYPTO_AUTO, 1);
	bed_open(&o->alone, ADDR_A, DP_CRYPTO_AUTO, 1);
	o->alone.sad->shared = true;
	bed_tunnel(&o->together, &o->alone, 1400); /* of which bed_desc() asks its SPIs */
	memset(o->tally, 0, sizeof(o->tally));
	for (uint32_t t = 1; t < TUNNELS; t++) {
		struct spw_sa_desc sa = random_sa(o, t, flags, odd);
		const uint8_t dscp = roll(o, 2);
		const uint64_t seq = roll(o, 8) == 0 ? UINT32_MAX - 40 : 0;

		tunnel_open(&o->together, &sa, dscp, &o->child[0][t]);
		tunnel_open(&o->alone, &sa, dscp, &o->child[1][t]);
		for (unsigned int k = 0; k < 2; k++)
			atomic_store(&o->child[k][t]->out->seq, seq);
	}
}

static struct spw_dp_tunnel_stats
row_of(struct bed_end *e, uint32_t tunnel)
{
	struct spw_dp_tunnel_stats row;

	assert_true(dp_sad_tunnel_stats(e->sad, &tunnel, &row));
	return row;
}

/* Alone and together an SA and its tunnel counted alike, and what left. */
static void
tunnel_is(struct world *o, uint32_t t, uint64_t began)
{
	const struct dp_child *a = o->child[0][t], *b = o->child[1][t];
	const struct dp_sa_out *sa = a->out, *sb = b->out;
	const struct spw_dp_tunnel_stats n = row_of(&o->together, t), m = row_of(&o->alone, t);
	const uint64_t sent = dp_counted(&sa->seq) - dp_counted(&sa->refused_packets);

	assert_memory_equal(&n, &m, sizeof(n));
	assert_true(n.transit_out == began + o->tally[t][0]);
	assert_int_equal(n.own_out, o->tally[t][1]);
	assert_int_equal(n.violations, o->tally[t][2]);
	assert_true(sent - began == o->tally[t][0] + o->tally[t][1]);
	assert_true(sent == dp_counted(&sb->seq) - dp_counted(&sb->refused_packets));
	assert_true(dp_counted(&sa->bytes) - dp_counted(&sa->refused_bytes) ==
		    dp_counted(&sb->bytes) - dp_counted(&sb->refused_bytes));
	assert_int_equal(atomic_load(&a->raised), atomic_load(&b->raised));
}

static void
world_close(struct world *o)
{
	const struct dp_worker *w = &o->together.w;

	o->seen.ended += w->count.drop[DP_DROP_LIMIT_HARD];
	o->seen.exhausted += w->count.drop[DP_DROP_SEQ_EXHAUSTED];
	o->seen.selector += w->count.drop[DP_DROP_SELECTOR_OUT];
	bed_close(&o->together);
	bed_close(&o->alone);
}

/* A packet of either family, to where selectors take it or not. */
static struct rte_mbuf *
random_packet(struct world *o, uint32_t tunnel, uint32_t odd)
{
	struct rte_mbuf *m = bed_packet(60 + roll(o, 200));
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	struct dp_pkt *p = dp_pkt(m);

	p->tunnel = tunnel;
	p->flags = (uint8_t)((roll(o, odd) ? 0 : DP_PKT_FROM_TWIN) |
			     (roll(o, odd) ? 0 : DP_PKT_ER_STOOD) |
			     (roll(o, 2) ? 0 : DP_PKT_DECRYPTED));
	ip[1] = (uint8_t)roll(o, 256);
	if (roll(o, odd) == 0)
		ip[17] = 9; /* not what the narrow selectors name */
	bed_ip_checksum(ip);
	if (roll(o, odd) != 0)
		return m;
	memset(ip, 0, 40);
	spw_put_be16(ip, (uint16_t)(0x6000 | roll(o, 256) << 4));
	spw_put_be16(ip + 4, (uint16_t)(m->data_len - 40));
	ip[8] = ip[24] = 0xfd;
	p->flags |= DP_PKT_IPV6;
	return m;
}

/* As a packet lies that has no room in front: sealing must move it elsewhere. */
static void
take_headroom(struct rte_mbuf *m)
{
	memmove(m->buf_addr, rte_pktmbuf_mtod(m, void *), m->data_len);
	m->data_off = 0;
}

/* A burst and its copy. Packets mostly go into another tunnel than the one before, or seldom. */
static void
burst_make(struct world *o, struct dp_burst *b, struct dp_burst *copy)
{
	static const uint32_t odds[] = {3, 30, 1000}, turns[] = {1, 1, 1, 3, 12};
	const uint32_t odd = odds[roll(o, RTE_DIM(odds))], turn = turns[roll(o, RTE_DIM(turns))];
	uint32_t tunnel = roll(o, TUNNELS);

	b->n = copy->n = (uint16_t)(1 + roll(o, roll(o, 2) ? 8 : DP_BURST));
	for (uint16_t i = 0; i < b->n; i++) {
		if (roll(o, turn) == 0)
			tunnel = roll(o, odd) ? 1 + roll(o, TUNNELS - 1)
					      : roll(o, 2) * UINT32_MAX; /* no SA, no tunnel */
		struct rte_mbuf *m = random_packet(o, tunnel, odd);

		if (roll(o, odd) == 0)
			dp_pkt(m)->next = DP_NEXT_ADJ;
		b->pkt[i] = m;
		copy->pkt[i] = bed_mbuf(rte_pktmbuf_mtod(m, void *), m->data_len);
		*dp_pkt(copy->pkt[i]) = *dp_pkt(m);
		if (roll(o, odd) == 0)
			take_headroom(m);
	}
}

/* A limit of time, or the other direction, ends an SA wherever its own counters stand. */
static void
end_one(struct world *o)
{
	const uint32_t t = 1 + roll(o, TUNNELS - 1);

	dp_child_raise(o->together.sad, o->child[0][t], 1, SPW_SA_EV_HARD, SPW_SA_LIMIT_TIME);
	dp_child_raise(o->alone.sad, o->child[1][t], 1, SPW_SA_EV_HARD, SPW_SA_LIMIT_TIME);
}

/* A packet that left, beside the one that left alone. */
static void
left_as_alone(struct world *o, struct rte_mbuf *a, struct rte_mbuf *b)
{
	struct dp_pkt p = *dp_pkt(a), q = *dp_pkt(b);

	o->seen.left++;
	assert_int_equal(a->pkt_len, b->pkt_len);
	assert_int_equal(a->data_len, b->data_len);
	assert_memory_equal(rte_pktmbuf_mtod(a, void *), rte_pktmbuf_mtod(b, void *), a->data_len);
	if (p.next == DP_NEXT_OUTER) {
		const bool own = p.flags & DP_PKT_FROM_TWIN, er = p.flags & DP_PKT_ER_STOOD;
		uint64_t *n = o->tally[p.tunnel];

		n[own]++;
		n[2] += er && !own;
		o->seen.own += own;
		o->seen.violations += er && !own;
		o->seen.udp6 += o->child[0][p.tunnel]->out->udp6;
		assert_int_equal(p.sa, o->child[0][p.tunnel]->slot);
		assert_int_equal(q.sa, o->child[1][p.tunnel]->slot);
	}
	p.sa = q.sa = 0;
	assert_memory_equal(&p, &q, sizeof(p));
}

static void
one_burst(struct world *o)
{
	struct dp_burst b = {0}, copy = {0}, one;
	uint16_t kept = 0;

	burst_make(o, &b, &copy);
	dp_stage_esp_seal(&o->together.w, &b);
	for (uint16_t i = 0; i < copy.n; i++) {
		bed_single(&one, copy.pkt[i]);
		dp_stage_esp_seal(&o->alone.w, &one);
		if (one.n == 0)
			continue;
		assert_true(kept < b.n);
		left_as_alone(o, b.pkt[kept++], one.pkt[0]);
		bed_free(&one);
	}
	assert_int_equal(kept, b.n);
	assert_memory_equal(&o->together.w.count, &o->alone.w.count, sizeof(o->alone.w.count));
	bed_free(&b);
}

static void
one_world(struct world *o)
{
	uint64_t began[TUNNELS];

	world_open(o);
	o->alone.w.now_tsc = o->together.w.now_tsc;
	for (uint32_t t = 1; t < TUNNELS; t++)
		began[t] = dp_counted(&o->child[0][t]->out->seq);
	for (unsigned int i = 0; i < BURSTS; i++) {
		if (roll(o, 30) == 0)
			end_one(o);
		one_burst(o);
		for (uint32_t t = 1; t < TUNNELS; t++)
			tunnel_is(o, t, began[t]);
	}
	world_close(o);
}

static void
a_burst_into_many_tunnels_is_sealed_as_its_packets_alone(void **state)
{
	const int n = getenv("SPW_LONG") != NULL ? 20 * WORLDS : WORLDS;
	struct world *o = aligned_alloc(64, (sizeof(*o) + 63) / 64 * 64);

	srand(17);
	memset(o, 0, sizeof(*o));
	o->state = 88172645463325252;
	for (int i = 0; i < n; i++)
		one_world(o);
	assert_true(o->seen.left > 10000 && o->seen.own > 300 && o->seen.violations > 300);
	assert_true(o->seen.udp6 > 300 && o->seen.ended > 300 && o->seen.selector > 200 &&
		    o->seen.exhausted > 300);
	free(o);
}

/* Give packets to four tunnels in turn; returns how many stayed here. */
static uint16_t
seal_in_turn(struct bed_end *e, uint16_t n, uint32_t len, struct dp_burst *b)
{
	b->n = n;
	b->kinds = 0;
	for (uint16_t i = 0; i < n; i++) {
		b->pkt[i] = bed_packet(len);
		dp_pkt(b->pkt[i])->tunnel = 1 + i % 4u;
	}
	dp_stage_esp_seal(&e->w, b);
	return b->n;
}

/* All that is out comes back; in the order of its numbers, which `next` has by tunnel. */
static void
bring_back(struct bed_end *e, uint32_t next[5])
{
	do {
		struct dp_burst b = {0};

		dp_spread_run_own(e->w.spread, e->w.crypto, false);
		dp_stage_esp_back(&e->w, &b);
		for (uint16_t i = 0; i < b.n; i++) {
			const uint8_t *ip = rte_pktmbuf_mtod(b.pkt[i], uint8_t *);

			assert_int_equal(spw_get_be32(ip + 24), next[dp_pkt(b.pkt[i])->tunnel]++);
		}
		bed_free(&b);
		dp_seal_sent(&e->w);
	} while (dp_spread_out(e->w.spread));
}

/* The first of two workers, with four tunnels; the other says that it has time and takes nothing.
 */
static void
workers_open(struct bed_end *e, struct dp_spread *all[2])
{
	struct dp_child *child;

	bed_open(e, ADDR_A, DP_CRYPTO_AUTO, 2);
	for (unsigned int i = 0; i < 2; i++)
		dp_spread_join(all[i], all, 2);
	e->w.spread = all[0];
	e->w.seal = dp_seal_new(rte_get_tsc_hz());
	bed_tunnel(e, e, 1400); /* of which bed_desc() asks its SPIs */
	for (uint32_t t = 1; t <= 4; t++) {
		struct spw_sa_desc sa = bed_desc(e, PEER, &(struct bed_sa){0});

		sa.tunnel = t;
		tunnel_open(e, &sa, 0, &child);
	}
	e->w.backlog = true;
	dp_spread_set_hungry(all[1], true);
}

/*
 * With helpers, what was lent comes back before what comes after: packets of short runs do not
 * overtake in the loop that has a key for each.
 */
static void
short_runs_among_several_workers_do_not_overtake_what_is_out(void **state)
{
	struct dp_spread *all[2] = {dp_spread_new(0), dp_spread_new(1)};
	uint32_t next[5] = {1, 1, 1, 1, 1};
	struct dp_burst b;
	struct bed_end e;

	workers_open(&e, all);
	for (unsigned int round = 0; round < 20; round++) {
		b = (struct dp_burst){.n = 48};
		for (uint16_t i = 0; i < b.n; i++) {
			b.pkt[i] = bed_packet(1300);
			dp_pkt(b.pkt[i])->tunnel = 1 + i / 12u;
		}
		dp_stage_esp_seal(&e.w, &b);
		assert_int_equal(b.n, 0);
		assert_int_equal(seal_in_turn(&e, 16, 100, &b), 0);
		bring_back(&e, next);
	}
	for (uint32_t t = 1; t <= 4; t++)
		assert_int_equal(next[t], 1 + 20 * 16);
	assert_int_equal(e.w.count.dropped, 0);
	dp_seal_flush(&e.w);
	dp_seal_free(e.w.seal);
	for (unsigned int i = 0; i < 2; i++)
		dp_spread_free(all[i]);
	bed_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_into_many_tunnels_is_sealed_as_its_packets_alone),
		cmocka_unit_test(short_runs_among_several_workers_do_not_overtake_what_is_out),
	};

	return cmocka_run_group_tests_name("seal_burst", tests, bed_start, bed_stop);
}
