/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two gateways with a child SA between them. Each helper that moves packets accounts for them: what
 * goes into a stage comes out, is dropped and counted, or the helper fails.
 */
#include "tests/dataplane/esp_two.h"

#include <string.h>

void
bed_two_open_isa(struct bed_two *t, const struct bed_sa *how, enum dp_crypto_isa isa)
{
	bed_open(&t->a, 0xc0000201, isa, 1);
	bed_open(&t->b, 0xc6336401, isa, 1);
	bed_tunnel(&t->a, &t->b, 9000);
	if (how != NULL)
		bed_pair(&t->a, &t->b, how, &t->at_a, &t->at_b);
}

void
bed_two_open(struct bed_two *t, const struct bed_sa *how)
{
	bed_two_open_isa(t, how, DP_CRYPTO_AUTO);
}

void
bed_two_close(struct bed_two *t)
{
	bed_close(&t->a);
	bed_close(&t->b);
}

unsigned int
bed_carry(struct bed_two *t, unsigned int n, uint32_t len)
{
	uint64_t dropped = t->a.w.count.dropped + t->b.w.count.dropped;
	unsigned int arrived = 0, sent = n;
	struct dp_burst b;

	while (n > 0) {
		b.n = (uint16_t)RTE_MIN(n, (unsigned int)DP_BURST);
		n -= b.n;
		for (uint16_t i = 0; i < b.n; i++)
			b.pkt[i] = bed_packet(len);
		bed_through(&t->a, &t->b, &b);
		arrived += b.n;
		bed_free(&b);
	}
	dropped = t->a.w.count.dropped + t->b.w.count.dropped - dropped;
	assert_int_equal(arrived + dropped, sent);
	return arrived;
}

bool
bed_open_esp(struct bed_end *e, const uint8_t *esp, uint32_t len, uint8_t *out, uint32_t *out_len)
{
	uint64_t dropped = e->w.count.dropped;
	struct dp_burst b;
	bool passed;

	bed_single(&b, bed_mbuf(esp, len));
	dp_pkt(b.pkt[0])->next = DP_NEXT_OPEN;
	dp_stage_esp_open(&e->w, &b);
	passed = b.n == 1;
	assert_int_equal(e->w.count.dropped - dropped, passed ? 0 : 1);
	if (passed && out != NULL) {
		*out_len = b.pkt[0]->pkt_len;
		memcpy(out, rte_pktmbuf_mtod(b.pkt[0], void *), *out_len);
	}
	bed_free(&b);
	return passed;
}

uint32_t
bed_oracle_sized(const struct bed_two *t, uint64_t seq, uint32_t len, uint8_t *esp)
{
	struct rte_mbuf *m = bed_packet(len);
	uint32_t n = bed_oracle_seal(t->at_b.key_in, t->at_b.key_len, t->at_b.spi_in, seq, false,
				     rte_pktmbuf_mtod(m, uint8_t *), len, 0, -1, 4, esp);

	rte_pktmbuf_free(m);
	return n;
}

uint32_t
bed_oracle_packet(const struct bed_two *t, uint64_t seq, uint8_t *esp)
{
	return bed_oracle_sized(t, seq, 60, esp);
}

struct spw_dp_sa_stats
bed_sa_stats(const struct bed_end *e)
{
	struct spw_dp_sa_stats row;
	uint32_t at = 0;

	assert_true(dp_sad_stats(e->sad, &at, &row));
	return row;
}

uint32_t
bed_keys(const struct bed_end *e)
{
	return dp_keys_used(e->sad->keys_in) + dp_keys_used(e->sad->keys_out);
}

struct spw_dp_tunnel_stats
bed_tunnel_stats(const struct bed_end *e)
{
	struct spw_dp_tunnel_stats row;
	uint32_t at = 0;

	assert_true(dp_sad_tunnel_stats(e->sad, &at, &row));
	return row;
}
