/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cipher alone with a key for each packet, out of many: how much longer it takes when keys come
 * from memory. Nothing of the pipeline is in it but the loop that calls the cipher; the texts are
 * those of the tunnels' frames, written just before like these.
 */
#include "bench/scale.h"

#include <rte_cycles.h>
#include <stdlib.h>

#include "bench/gateway.h"
#include "dataplane/sad_data.h"

#define TEXTS 512
#define BURST 64

static struct keys {
	struct dp_crypto *crypto;
	struct dp_cipher cipher;
	dp_crypto_each_t each;
	const struct dp_crypto_key **key; /* by tunnel */
	struct rte_mbuf **ring;
	uint64_t random, seq;
} k;

void
sc_keys_new(const struct dp_sad *sad, const struct bg_sa *sas, uint32_t tunnels,
	    struct rte_mbuf **ring)
{
	struct spw_err err = {0};

	if (dp_crypto_new(&k.crypto, sc_options.older ? DP_CRYPTO_AVX2 : DP_CRYPTO_AUTO, &err) <
		    0 ||
	    dp_crypto_cipher(k.crypto, SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, false, &k.cipher) < 0)
		bg_die("cipher", &err);
	k.each = dp_crypto_each(k.cipher.seal);
	k.key = calloc(tunnels + 1, sizeof(*k.key));
	if (k.key == NULL)
		bg_die("out of memory", NULL);
	for (uint32_t i = 1; i <= tunnels; i++)
		k.key[i] = dp_sad_child(sad, sas[i].spi_in)->key_out;
	k.ring = ring;
	k.random = 5;
}

double
sc_keys_pass(uint32_t size, uint32_t n)
{
	const struct dp_crypto_key *key[BURST];
	struct dp_crypto_job job[BURST];
	uint64_t spent = 0, start;

	for (unsigned int at = 0; at < TEXTS; at += BURST) {
		for (unsigned int i = 0; i < BURST; i++) {
			uint8_t *text = rte_pktmbuf_mtod_offset(k.ring[at + i], uint8_t *, 14);

			memset(text, 0, size);
			key[i] = k.key[1 + (uint32_t)(sc_random(&k.random) >> 20) % n];
			job[i] = (struct dp_crypto_job){.text = text,
							.text_len =
								(size + 2 + k.cipher.align - 1u) &
								~(k.cipher.align - 1u),
							.seq = ++k.seq};
		}
		start = rte_rdtsc();
		k.each(k.crypto, key, job, BURST);
		spent += rte_rdtsc() - start;
	}
	return (double)spent / TEXTS;
}

void
sc_keys_free(void)
{
	dp_crypto_free(k.crypto);
	free(k.key);
}
