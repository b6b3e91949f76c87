/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Classes in the stages: which bursts come to the shape stage and what it does to them, the load of
 * paths by class as it is sampled, and how asymmetry is counted by lot.
 */
#include "tests/dataplane/esp_bed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/asym.h"
#include "dataplane/shape.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"
#include "tests/dataplane/fib_bed.h"

#define PACKETS 1000000
#define HZ	1000000000u

enum { ER_IF = 1, LAN_IF = 2 };
enum { P_ER = 1, P_SHAPED = 2, P_FREE = 3, PATHS = 4 };
enum { G_ER = 1, G_SHAPED = 2, G_FREE = 3, G_OPEN = 4, GROUPS = 5 };
enum { SHAPED = 7, FREE = 8 }; /* tunnels */

/* A worker with what the stages ask. */
struct yard {
	struct bed_end e;
	struct dp_worker *w;
	struct dp_worker_priv *priv;
	struct dp_tables *t;
	struct rte_rcu_qsbr *qsbr;
	struct dp_port port;
	struct dp_shape_count count;
	struct rte_mbuf *pkt[DP_BURST];
	uint64_t state;
};

static uint32_t
roll(struct yard *y, uint32_t n)
{
	return (uint32_t)((fib_bed_random(&y->state) >> 32) * n >> 32);
}

static void
iface_put(struct yard *y, uint16_t id, uint32_t role)
{
	struct dp_iface *i = calloc(1, sizeof(*i));

	i->conf = (struct spw_dp_iface){
		.id = id, .kind = SPW_IFACE_PORT, .role = role, .mtu = 1500, .up = 1};
	i->port = &y->port;
	atomic_store(&y->t->iface[id], i);
}

static void
path_put(struct yard *y, uint32_t id, uint32_t kind, uint32_t iface, uint32_t tunnel)
{
	struct dp_path *p = calloc(1, sizeof(*p));

	p->conf = (struct spw_dp_path){.id = id, .kind = kind, .iface = iface, .tunnel = tunnel};
	atomic_store(&y->t->path[id], p);
}

static void
path_up(struct yard *y, uint32_t id, bool up)
{
	struct dp_path_bits *bits = y->t->bits;
	bool was;
	uint32_t clears = dp_path_bits_life(bits, id, &was).clears;

	assert_int_equal(dp_path_bits_set(bits, id, up, clears, 1), 0);
	dp_path_view_renew(&y->priv->view, bits);
}

static void
group_put(struct yard *y, uint32_t id, uint32_t flags, uint32_t role, uint32_t path, bool er_first)
{
	struct spw_dp_group conf = {.id = id, .flags = flags};
	struct spw_dp_tier *t = conf.tier;

	if (er_first)
		*t++ = (struct spw_dp_tier){
			.role = SPW_TIER_EXPRESSROUTE, .n_paths = 1, .path = {P_ER}, .weight = {1}};
	*t++ = (struct spw_dp_tier){.role = role, .n_paths = 1, .path = {path}, .weight = {1}};
	conf.n_tiers = (uint32_t)(t - conf.tier);
	atomic_store(&y->t->group[id], dp_group_new(&conf));
}

/* The IPv6 one, because it is small. */
static void
fib_put(struct yard *y)
{
	struct dp_fib_op ops[] = {{.ip6 = {0xfd, 2}, .len = 16, .group = G_ER},
				  {.ip6 = {0xfd, 3}, .len = 16, .group = G_OPEN}};
	uint32_t bad;

	y->qsbr = fib_bed_qsbr();
	assert_int_equal(dp_fib6_new(&y->t->fib6, 64, y->qsbr, NULL), 0);
	assert_int_equal(dp_fib6_apply(y->t->fib6, ops, 2, &bad, NULL), 0);
}

static void
objects_put(struct yard *y)
{
	iface_put(y, ER_IF, SPW_IF_ROLE_EXPRESSROUTE);
	iface_put(y, LAN_IF, SPW_IF_ROLE_LAN);
	path_put(y, P_ER, SPW_PATH_CONNECTED, ER_IF, 0);
	path_put(y, P_SHAPED, SPW_PATH_TUNNEL, 0, SHAPED);
	path_put(y, P_FREE, SPW_PATH_TUNNEL, 0, FREE);
	group_put(y, G_ER, SPW_GROUP_PROTECTED, SPW_TIER_TUNNEL, P_SHAPED, true);
	group_put(y, G_SHAPED, SPW_GROUP_PROTECTED, SPW_TIER_TUNNEL, P_SHAPED, false);
	group_put(y, G_FREE, SPW_GROUP_PROTECTED, SPW_TIER_TUNNEL, P_FREE, false);
	group_put(y, G_OPEN, 0, SPW_TIER_TUNNEL, P_FREE, false);
	for (uint32_t p = P_ER; p < PATHS; p++)
		path_up(y, p, true);
}

static struct yard *
yard_open(void)
{
	struct yard *y = aligned_alloc(64, (sizeof(*y) + 63) / 64 * 64);

	memset(y, 0, sizeof(*y));
	y->state = 88172645463325252;
	bed_open(&y->e, 0xc0000201, DP_CRYPTO_AUTO, 1);
	y->w = &y->e.w;
	y->w->tables = y->t = dp_tables_new();
	y->w->priv = y->priv = calloc(1, sizeof(*y->priv));
	y->w->iface = calloc(DP_IFACES_MAX, sizeof(*y->w->iface));
	y->t->bits = aligned_alloc(64, (sizeof(*y->t->bits) + 63) / 64 * 64);
	dp_path_bits_init(y->t->bits);
	y->priv->path = calloc(SPW_DP_PATHS_MAX, sizeof(*y->priv->path));
	y->priv->load = calloc(SPW_DP_PATHS_MAX, sizeof(*y->priv->load));
	y->priv->way = calloc(DP_GROUPS_MAX, sizeof(*y->priv->way));
	y->priv->seen_tier = calloc(DP_GROUPS_MAX, sizeof(*y->priv->seen_tier));
	y->priv->events = rte_ring_create_elem("class_events", sizeof(struct dp_worker_event), 64,
					       SOCKET_ID_ANY, 0);
	fib_put(y);
	objects_put(y);
	for (unsigned int i = 0; i < DP_BURST; i++)
		y->pkt[i] = bed_packet(64);
	return y;
}

static void
yard_close(struct yard *y)
{
	for (unsigned int i = 0; i < DP_BURST; i++)
		rte_pktmbuf_free(y->pkt[i]);
	for (unsigned int i = 0; i < GROUPS; i++)
		free(atomic_load(&y->t->group[i]));
	for (unsigned int i = 0; i < PATHS; i++)
		free(atomic_load(&y->t->path[i]));
	free(atomic_load(&y->t->iface[ER_IF]));
	free(atomic_load(&y->t->iface[LAN_IF]));
	free(atomic_load(&y->t->tunnel_shape[SHAPED]));
	dp_fib6_free(y->t->fib6);
	free(y->qsbr);
	rte_ring_free(y->priv->events);
	free(y->priv->seen_tier);
	free(y->priv->way);
	free(y->priv->load);
	free(y->priv->path);
	dp_path_bits_fini(y->t->bits);
	free(y->t->bits);
	free(y->w->iface);
	free(y->priv);
	dp_tables_free(y->t);
	bed_close(&y->e);
	free(y);
}

static void
shape_put(struct yard *y, uint32_t kbps)
{
	free(atomic_exchange(
		&y->t->tunnel_shape[SHAPED],
		kbps ? dp_shape_new(kbps, &dp_classes_default, HZ, y->w->now_tsc, &y->count)
		     : NULL));
	atomic_fetch_add(&y->t->epoch, 1);
}

/* Packet `i`, as it is before a stage. */
static struct dp_pkt *
fresh(struct yard *y, struct dp_burst *b, uint16_t i, uint8_t next, uint8_t dscp, uint16_t len)
{
	struct rte_mbuf *m = y->pkt[i];
	struct dp_pkt *p = dp_pkt(m);

	memset(p, 0, sizeof(*p));
	p->next = next;
	rte_pktmbuf_mtod(m, uint8_t *)[1] = (uint8_t)(dscp << 2);
	m->pkt_len = len;
	b->pkt[i] = m;
	if (b->n <= i)
		b->n = (uint16_t)(i + 1);
	b->kinds |= (uint16_t)DP_KIND(next);
	return p;
}

static void
packets_mend(struct yard *y)
{
	for (unsigned int i = 0; i < DP_BURST; i++)
		y->pkt[i]->pkt_len = y->pkt[i]->data_len;
}

static void
only_bursts_into_a_tunnel_with_a_capacity_are_shaped(void **state)
{
	struct yard *y = yard_open();
	static const uint32_t groups[] = {G_FREE, G_SHAPED, G_FREE};

	for (int capacity = 0; capacity < 3; capacity++) {
		shape_put(y, capacity == 1 ? 1000 : 0);
		for (int again = 0; again < 3; again++) /* later ones by the remembered way */
			for (int last = 0; last < 3; last++) {
				struct dp_burst b = {0};

				for (uint16_t i = 0; i <= last; i++)
					fresh(y, &b, i, DP_NEXT_PATH, 0, 64)->group = groups[i];
				dp_stage_path(y->w, &b);
				assert_int_equal(
					b.kinds,
					DP_KIND(DP_NEXT_SEAL) |
						(capacity == 1 && last > 0 ? DP_KIND_SHAPED : 0));
			}
	}
	packets_mend(y);
	yard_close(y);
}

static void
only_transit_of_the_full_tunnel_is_dropped_and_order_stays(void **state)
{
	struct yard *y = yard_open();
	struct dp_burst b = {0};
	uint16_t kept = 0;

	shape_put(y, 1000);
	for (uint16_t i = 0; i < DP_BURST; i++) {
		struct dp_pkt *p = fresh(y, &b, i, i % 4 == 0 ? DP_NEXT_ADJ : DP_NEXT_SEAL,
					 i % 8 == 7 ? 46 : 0, 9000);

		p->tunnel = i % 4 == 1 ? FREE : SHAPED;
		p->flags = i % 4 == 2 ? DP_PKT_FROM_TWIN : 0;
		rte_mbuf_refcnt_update(y->pkt[i], 1);
	}
	b.kinds |= DP_KIND_SHAPED;
	dp_stage_shape(y->w, &b);
	assert_int_equal(b.kinds & DP_KIND_SHAPED, 0);
	for (uint16_t i = 0; i < DP_BURST; i++) {
		bool there = kept < b.n && b.pkt[kept] == y->pkt[i];

		kept += there;
		assert_true(there || i % 4 == 3);
		if (there)
			rte_pktmbuf_free(y->pkt[i]); /* the burst's reference */
	}
	assert_int_equal(kept, b.n);
	assert_int_equal(y->w->count.drop[DP_DROP_CAPACITY], DP_BURST - b.n);
	assert_int_equal(y->count.dropped[0] + y->count.dropped[2], DP_BURST - b.n);
	assert_true(y->count.dropped[2] > 0);
	assert_int_equal(y->count.passed[0] + y->count.dropped[0], 8);
	assert_int_equal(y->count.passed[2] + y->count.dropped[2], 24);
	packets_mend(y);
	yard_close(y);
}

/* Run PACKETS of random sizes to two paths, classes as `class_at` says; compare the load. */
static void
load_is_about_right(struct yard *y, uint16_t n, uint32_t (*class_at)(struct yard *, uint32_t))
{
	static const uint8_t dscp[] = {46, 34, 0, 8};
	uint64_t want[PATHS][SPW_DP_CLASSES] = {{0}};

	memset(y->priv->load, 0, PATHS * sizeof(*y->priv->load));
	memset(y->priv->path, 0, PATHS * sizeof(*y->priv->path));
	for (uint32_t at = 0; at < PACKETS; at += n) {
		struct dp_burst b = {0};

		for (uint16_t i = 0; i < n; i++) {
			uint32_t class = class_at(y, at + i), path = roll(y, 2) ? P_FREE : P_ER;
			uint16_t len = (uint16_t)(64 + roll(y, 1400));

			fresh(y, &b, i, DP_NEXT_PATH, dscp[class], len)->group =
				path == P_FREE ? G_FREE : G_ER;
			want[path][class] += len;
		}
		dp_stage_path(y->w, &b);
		assert_int_equal(b.n, n);
	}
	for (uint32_t p = P_ER; p < PATHS; p++) {
		uint64_t sum = 0;

		for (unsigned int c = 0; c < SPW_DP_CLASSES; c++) {
			double got = (double)y->priv->load[p].bytes[c];

			sum += want[p][c];
			assert_true(fabs(got - (double)want[p][c]) <= 0.05 * (double)want[p][c]);
		}
		assert_int_equal(y->priv->path[p].bytes, sum);
	}
}

static uint32_t
class_random(struct yard *y, uint32_t at)
{
	(void)at;
	return roll(y, SPW_DP_CLASSES);
}

/* Always the same place in the burst. */
static uint32_t
class_periodic(struct yard *y, uint32_t at)
{
	(void)y;
	return at % 64 / 16;
}

static void
the_load_by_class_is_within_5_percent_of_a_million_packets(void **state)
{
	struct yard *y = yard_open();

	path_up(y, P_ER, true);
	load_is_about_right(y, DP_BURST, class_random);
	load_is_about_right(y, DP_BURST, class_periodic);
	load_is_about_right(y, 40, class_random);
	packets_mend(y);
	yard_close(y);
}

static void
single_packets_are_all_looked_at(void **state)
{
	struct yard *y = yard_open();

	for (unsigned int i = 0; i < 1000; i++) {
		struct dp_burst b = {0};

		fresh(y, &b, 0, DP_NEXT_PATH, 46, 100)->group = G_FREE;
		dp_stage_path(y->w, &b);
	}
	assert_int_equal(y->priv->load[P_FREE].bytes[0], 100000);
	packets_mend(y);
	yard_close(y);
}

/* A packet that is about to be routed, from an address of this prefix. */
static struct dp_pkt *
routed(struct yard *y, struct dp_burst *b, uint16_t i, uint16_t src, uint16_t iface)
{
	struct dp_pkt *p = fresh(y, b, i, DP_NEXT_FIB, 0, 64);

	dp_put_be16(rte_pktmbuf_mtod(y->pkt[i], uint8_t *) + 8, src);
	p->iface_in = iface;
	p->flags = DP_PKT_IPV6;
	return p;
}

static uint64_t
er_seen(const struct yard *y)
{
	return y->w->iface[ER_IF].asymmetric;
}

static uint64_t
tunnel_seen(const struct yard *y)
{
	return dp_counted(&y->w->sad->tunnel_count[0][SHAPED].asymmetric);
}

/* Look at a burst of one kind. */
static void
look(struct yard *y, uint16_t n, uint16_t src, uint16_t iface, bool decrypted)
{
	struct dp_burst b = {0};

	for (uint16_t i = 0; i < n; i++) {
		struct dp_pkt *p = routed(y, &b, i, src, iface);

		p->flags |= decrypted ? DP_PKT_DECRYPTED : 0;
		p->tunnel = decrypted ? SHAPED : 0;
	}
	dp_asym_look(y->w, &b);
}

static void
bursts_of_one_kind_are_counted_exactly(void **state)
{
	const uint16_t vnet = 0xfd02, open = 0xfd03, stranger = 0x2001;
	struct yard *y = yard_open();

	look(y, 0, vnet, ER_IF, false);
	look(y, 64, vnet, ER_IF, false); /* ExpressRoute carries the answers */
	assert_int_equal(er_seen(y), 0);
	look(y, 10, vnet, 0, true);
	assert_int_equal(tunnel_seen(y), 10);
	path_up(y, P_ER, false);
	look(y, 64, vnet, ER_IF, false);
	look(y, 3, vnet, ER_IF, false);
	look(y, 5, open, ER_IF, false);	    /* not protected */
	look(y, 5, stranger, ER_IF, false); /* no route */
	look(y, 5, vnet, LAN_IF, false);
	look(y, 5, vnet, 0, true);
	assert_int_equal(er_seen(y), 67);
	assert_int_equal(tunnel_seen(y), 10);
	path_up(y, P_SHAPED, false);
	look(y, 5, vnet, ER_IF, false); /* nothing carries the answers */
	assert_int_equal(er_seen(y), 67);
	packets_mend(y);
	yard_close(y);
}

static void
mixed_bursts_are_counted_without_bias(void **state)
{
	const uint16_t vnet = 0xfd02, open = 0xfd03;
	struct yard *y = yard_open();
	uint64_t want = 0;

	path_up(y, P_ER, false);
	for (unsigned int round = 0; round < PACKETS / DP_BURST; round++) {
		uint16_t n = (uint16_t)(1 + roll(y, DP_BURST));
		struct dp_burst b = {0};

		for (uint16_t i = 0; i < n; i++) {
			bool is = i < n / 3;

			routed(y, &b, i, is ? vnet : open, ER_IF);
			want += is;
		}
		dp_asym_look(y->w, &b);
	}
	assert_true(fabs((double)er_seen(y) - (double)want) <= 0.05 * (double)want);
	packets_mend(y);
	yard_close(y);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_bursts_into_a_tunnel_with_a_capacity_are_shaped),
		cmocka_unit_test(only_transit_of_the_full_tunnel_is_dropped_and_order_stays),
		cmocka_unit_test(the_load_by_class_is_within_5_percent_of_a_million_packets),
		cmocka_unit_test(single_packets_are_all_looked_at),
		cmocka_unit_test(bursts_of_one_kind_are_counted_exactly),
		cmocka_unit_test(mixed_bursts_are_counted_without_bias),
	};

	return cmocka_run_group_tests_name("class_stage", tests, bed_start, bed_stop);
}
