/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage deliver where a mixed burst (burst_test.c) rarely comes: beside packets that are past it
 * (what came out of one tunnel and goes into another returns from a helper sealed, perhaps in the
 * burst of others that were just opened), and behind one whose addresses are nearly the same.
 */
#include "tests/dataplane/esp_bed.h"

#include <stdlib.h>

#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define ADDR_A	  0xc0000201u
#define ADDR_B	  0xc6336401u
#define TUNNEL_IF 3
#define TTL	  8 /* in the IPv4 header */
#define OURS	  0x0a020005u

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

static struct rte_mbuf *
opened_from(uint32_t src, uint32_t dst)
{
	struct rte_mbuf *m = opened();
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	dp_pkt(m)->next = DP_NEXT_FIB;
	dp_put_be32(ip + 12, src);
	dp_put_be32(ip + 16, dst);
	bed_ip_checksum(ip);
	return m;
}

/* Some packets from `src` to `dst`, to be forwarded, and one behind them that is not. */
static void
last_goes(struct bed_end *e, uint16_t n, uint32_t src, uint32_t dst, struct rte_mbuf *last,
	  enum dp_drop why)
{
	const uint64_t before = bed_drops(e, why);
	struct dp_burst b = {.n = 0};

	while (b.n < n)
		b.pkt[b.n++] = opened_from(src, dst);
	b.pkt[b.n++] = last;
	dp_stage_deliver(&e->w, &b);
	assert_int_equal(b.n, n);
	assert_int_equal(bed_drops(e, why), before + 1);
	bed_free(&b);
}

static void
one_bit_of_an_address_decides(void **state)
{
	const struct dp_local_entry ours = {OURS, TUNNEL_IF};
	const uint32_t src = 0x0a010001, dst = 0x0a030001;
	struct dp_worker_priv *priv = calloc(1, sizeof(*priv));
	struct bed_end e;

	bed_open(&e, ADDR_A, DP_CRYPTO_AUTO, 1);
	e.w.tables = dp_tables_new();
	e.w.priv = priv;
	atomic_store(&e.w.tables->local, dp_local_new(&ours, 1, OURS));
	/* Ours goes up, where there is no interface. */
	for (unsigned int bit = 0; bit < 32; bit++)
		last_goes(&e, 3, src, OURS ^ 1u << bit, opened_from(src, OURS), DP_DROP_IFACE_DOWN);
	for (unsigned int bit = 24; bit < 32; bit++)
		last_goes(&e, 3, 1u << bit, dst, opened_from(1, dst), DP_DROP_MARTIAN);
	/* Before any was found to go on. */
	last_goes(&e, 1, src, dst, opened_from(1, 0), DP_DROP_MARTIAN);
	free(atomic_exchange(&e.w.tables->local, NULL));
	dp_tables_free(e.w.tables);
	bed_close(&e);
	free(priv);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_again_is_not_delivered_once_more),
		cmocka_unit_test(one_bit_of_an_address_decides),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
