/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage deliver beside packets that are past it: what came out of one tunnel and goes into another
 * returns from a helper sealed, perhaps in the burst of others that were just opened.
 */
#include "tests/dataplane/esp_bed.h"

#include <stdlib.h>

#include "dataplane/stages.h"

#define ADDR_A	  0xc0000201u
#define ADDR_B	  0xc6336401u
#define TUNNEL_IF 3
#define TTL	  8 /* in the IPv4 header */

/* A packet that came out of a tunnel. */
static struct rte_mbuf *
opened(void)
{
	struct rte_mbuf *m = bed_packet(100);

	dp_pkt(m)->flags = DP_PKT_DECRYPTED;
	return m;
}

static void
what_is_sealed_again_is_not_delivered_once_more(void **state)
{
	struct bed_end a, b;
	struct dp_burst burst = {0};

	bed_open(&a, ADDR_A, DP_CRYPTO_AUTO, 1);
	bed_open(&b, ADDR_B, DP_CRYPTO_AUTO, 1);
	bed_tunnel(&a, &b, 1400);
	bed_pair(&a, &b, &(struct bed_sa){0}, &(struct spw_sa_desc){0}, &(struct spw_sa_desc){0});
	a.w.tables = dp_tables_new();
	a.w.iface = calloc(DP_IFACES_MAX, sizeof(*a.w.iface));
	atomic_store(&a.w.tables->tunnel_iface[BED_TUNNEL], TUNNEL_IF);

	bed_single(&burst, opened());
	dp_stage_esp_seal(&a.w, &burst);
	assert_int_equal(burst.n, 1);
	assert_int_equal(dp_pkt(burst.pkt[0])->next, DP_NEXT_OUTER);
	burst.pkt[burst.n++] = opened();
	dp_pkt(burst.pkt[1])->next = DP_NEXT_FIB;
	burst.kinds = DP_KIND(DP_NEXT_OUTER) | DP_KIND(DP_NEXT_FIB);
	uint8_t ttl = rte_pktmbuf_mtod(burst.pkt[1], uint8_t *)[TTL];

	dp_stage_deliver(&a.w, &burst);
	assert_int_equal(burst.n, 2);
	assert_int_equal(dp_pkt(burst.pkt[0])->next, DP_NEXT_OUTER);
	assert_int_equal(rte_pktmbuf_mtod(burst.pkt[0], uint8_t *)[TTL], 64);
	assert_int_equal(dp_pkt(burst.pkt[1])->next, DP_NEXT_FIB);
	assert_int_equal(rte_pktmbuf_mtod(burst.pkt[1], uint8_t *)[TTL], ttl - 1);
	assert_int_equal(a.w.iface[TUNNEL_IF].rx_packets, 1);
	bed_free(&burst);
	free(a.w.iface);
	dp_tables_free(a.w.tables);
	bed_close(&a);
	bed_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_again_is_not_delivered_once_more),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
