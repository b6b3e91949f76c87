/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Classes in the stages: which bursts come to the shape stage and what it does to them, the load of
 * paths by class as it is sampled, and how asymmetry is counted by lot.
 */
#include "tests/dataplane/yard.h"

#include <math.h>
#include <string.h>

#include "dataplane/asym.h"
#include "dataplane/wire.h"

#define PACKETS 1000000

static void
only_bursts_into_a_tunnel_with_a_capacity_are_shaped(void **state)
{
	struct yard *y = yard_open();
	static const uint32_t groups[] = {G_FREE, G_SHAPED, G_FREE};

	for (int capacity = 0; capacity < 3; capacity++) {
		yard_shape_put(y, capacity == 1 ? 1000 : 0);
		for (int again = 0; again < 3; again++) /* later ones by the remembered way */
			for (int last = 0; last < 3; last++) {
				struct dp_burst b = {0};

				for (uint16_t i = 0; i <= last; i++)
					yard_fresh(y, &b, i, DP_NEXT_PATH, 0, 64)->group =
						groups[i];
				dp_stage_path(y->w, &b);
				assert_int_equal(
					b.kinds,
					DP_KIND(DP_NEXT_SEAL) |
						(capacity == 1 && last > 0 ? DP_KIND_SHAPED : 0));
			}
	}
	yard_packets_mend(y);
	yard_close(y);
}

static void
only_transit_of_the_full_tunnel_is_dropped_and_order_stays(void **state)
{
	struct yard *y = yard_open();
	struct dp_burst b = {0};
	uint16_t kept = 0;

	yard_shape_put(y, 1000);
	for (uint16_t i = 0; i < DP_BURST; i++) {
		struct dp_pkt *p = yard_fresh(y, &b, i, i % 4 == 0 ? DP_NEXT_ADJ : DP_NEXT_SEAL,
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
	yard_packets_mend(y);
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
			uint32_t class = class_at(y, at + i),
				 path = yard_roll(y, 2) ? P_FREE : P_ER;
			uint16_t len = (uint16_t)(64 + yard_roll(y, 1400));

			yard_fresh(y, &b, i, DP_NEXT_PATH, dscp[class], len)->group =
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
	return yard_roll(y, SPW_DP_CLASSES);
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

	yard_path_up(y, P_ER, true);
	load_is_about_right(y, DP_BURST, class_random);
	load_is_about_right(y, DP_BURST, class_periodic);
	load_is_about_right(y, 40, class_random);
	yard_packets_mend(y);
	yard_close(y);
}

static void
single_packets_are_all_looked_at(void **state)
{
	struct yard *y = yard_open();

	for (unsigned int i = 0; i < 1000; i++) {
		struct dp_burst b = {0};

		yard_fresh(y, &b, 0, DP_NEXT_PATH, 46, 100)->group = G_FREE;
		dp_stage_path(y->w, &b);
	}
	assert_int_equal(y->priv->load[P_FREE].bytes[0], 100000);
	yard_packets_mend(y);
	yard_close(y);
}

/* A packet that is about to be routed, from an address of this prefix. */
static struct dp_pkt *
routed(struct yard *y, struct dp_burst *b, uint16_t i, uint16_t src, uint16_t iface)
{
	struct dp_pkt *p = yard_fresh(y, b, i, DP_NEXT_FIB, 0, 64);

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
	yard_path_up(y, P_ER, false);
	look(y, 64, vnet, ER_IF, false);
	look(y, 3, vnet, ER_IF, false);
	look(y, 5, open, ER_IF, false);	    /* not protected */
	look(y, 5, stranger, ER_IF, false); /* no route */
	look(y, 5, vnet, LAN_IF, false);
	look(y, 5, vnet, 0, true);
	assert_int_equal(er_seen(y), 67);
	assert_int_equal(tunnel_seen(y), 10);
	yard_path_up(y, P_SHAPED, false);
	look(y, 5, vnet, ER_IF, false); /* nothing carries the answers */
	assert_int_equal(er_seen(y), 67);
	yard_packets_mend(y);
	yard_close(y);
}

static void
mixed_bursts_are_counted_without_bias(void **state)
{
	const uint16_t vnet = 0xfd02, open = 0xfd03;
	struct yard *y = yard_open();
	uint64_t want = 0;

	yard_path_up(y, P_ER, false);
	for (unsigned int round = 0; round < PACKETS / DP_BURST; round++) {
		uint16_t n = (uint16_t)(1 + yard_roll(y, DP_BURST));
		struct dp_burst b = {0};

		for (uint16_t i = 0; i < n; i++) {
			bool is = i < n / 3;

			routed(y, &b, i, is ? vnet : open, ER_IF);
			want += is;
		}
		dp_asym_look(y->w, &b);
	}
	assert_true(fabs((double)er_seen(y) - (double)want) <= 0.05 * (double)want);
	yard_packets_mend(y);
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
