/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-esp: what the stages seal and open cost over the cipher alone.
 *
 * For each cipher and size, rounds come in pairs: the stage over a ring of packet buffers, then the
 * bare cipher on the padded text over the same ring, so that what the machine does at that moment
 * hits both. Printed are the median cycles (TSC) per packet of each, the median of the paired
 * ratios, and their quartiles. The stages run as in the pipeline: SA lookup, selectors (any to
 * any), sequence numbers, replay window, limits and counters on; the routing stages and ports are
 * not in it. One worker, no port, no huge pages unless given: `bench-esp [EAL arguments]`.
 */
#include <errno.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/crypto/suites.h"
#include "dataplane/sad.h"
#include "dataplane/worker.h"

#define RING   512
#define BURST  32
#define ROUNDS 31
#define PASSES 8 /* over the ring in a round */
#define TUNNEL 1
#define ADDR_A 0xc0000201u
#define ADDR_B 0xc6336401u

static struct rte_mempool *pool;
static struct rte_mbuf *ring[RING];
static uint16_t ring_start; /* data_off of a fresh packet */

struct end {
	struct dp_sad *sad;
	struct dp_worker w;
};

static void
die(const char *what, const struct spw_err *err)
{
	fprintf(stderr, "bench-esp: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
	exit(1);
}

static void
open_end(struct end *e, uint32_t local, uint32_t remote)
{
	struct dp_sad_config config = {.n_workers = 1, .max_sas = 256, .max_tunnels = 4};
	struct spw_dp_tunnel t = {.id = TUNNEL, .mtu = 1400};
	struct dp_crypto *crypto;
	struct spw_err err = {0};

	memset(e, 0, sizeof(*e));
	t.local = spw_addr_v4(local);
	t.remote = spw_addr_v4(remote);
	if (dp_sad_init(&e->sad, &config, &err) < 0 || dp_crypto_new(&crypto, 0, &err) < 0 ||
	    dp_sad_tunnel_set(e->sad, &t, &err) < 0)
		die("cannot set up", &err);
	e->w.sad = e->sad;
	e->w.pool = pool;
	e->w.crypto = crypto;
}

static void
close_end(struct end *e)
{
	dp_crypto_free(e->w.crypto);
	dp_sad_free(e->sad);
}

static struct spw_selector
any(void)
{
	return (struct spw_selector){
		.low = spw_addr_v4(0), .high = spw_addr_v4(UINT32_MAX), .port_high = UINT16_MAX};
}

static void
pair(struct end *a, struct end *b, enum spw_encr encr)
{
	struct spw_sa_desc sa = {.tunnel = TUNNEL,
				 .encr = encr,
				 .key_len = spw_encr_info(encr)->key_len + 4u,
				 .local = spw_addr_v4(ADDR_A),
				 .remote = spw_addr_v4(ADDR_B),
				 .replay_window = 4096,
				 .bytes = {UINT64_C(1) << 60, UINT64_C(1) << 61},
				 .n_local = 1,
				 .n_remote = 1,
				 .sel_local = {any()},
				 .sel_remote = {any()}},
			   sb;
	struct spw_err err = {0};

	randombytes_buf(sa.key_in, sa.key_len);
	randombytes_buf(sa.key_out, sa.key_len);
	sb = sa;
	memcpy(sb.key_in, sa.key_out, sa.key_len);
	memcpy(sb.key_out, sa.key_in, sa.key_len);
	if (dp_sad_spi_alloc(a->sad, TUNNEL, &sa.spi_in, &err) < 0 ||
	    dp_sad_spi_alloc(b->sad, TUNNEL, &sb.spi_in, &err) < 0)
		die("cannot allocate", &err);
	sa.spi_out = sb.spi_in;
	sb.spi_out = sa.spi_in;
	if (dp_sad_install(a->sad, &sa, true, &err) < 0 ||
	    dp_sad_install(b->sad, &sb, true, &err) < 0)
		die("cannot install", &err);
}

/* Make every buffer of the ring an inner packet of `len` bytes again. */
static void
reset_ring(uint32_t len)
{
	for (unsigned int i = 0; i < RING; i++) {
		struct rte_mbuf *m = ring[i];
		uint8_t *ip;

		m->data_off = ring_start;
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
		*dp_pkt(m) = (struct dp_pkt){.next = DP_NEXT_SEAL, .tunnel = TUNNEL};
		ip = rte_pktmbuf_mtod(m, uint8_t *);
		memcpy(ip, "\x45\0\0\0\0\0\0\0\x40\x11\0\0\x0a\1\0\1\x0a\2\0\1", 20);
		spw_put_be16(ip + 2, (uint16_t)len);
		spw_put_be16(ip + 10, dp_csum_finish(dp_csum_add(0, ip, 20)));
	}
}

/* Turn the sealed packets of the ring into received ones. */
static void
receive_ring(void)
{
	for (unsigned int i = 0; i < RING; i++) {
		struct dp_pkt *p = dp_pkt(ring[i]);

		if (p->next != DP_NEXT_OUTER)
			die("a packet was not sealed", NULL);
		rte_pktmbuf_adj(ring[i], 20);
		*p = (struct dp_pkt){.next = DP_NEXT_OPEN};
	}
}

/* Cycles for one pass of a stage over the ring. */
static uint64_t
pass_stage(struct dp_worker *w, void (*stage)(struct dp_worker *, struct dp_burst *))
{
	uint64_t cycles = 0;

	for (unsigned int at = 0; at < RING; at += BURST) {
		static struct dp_burst b;
		uint64_t start;

		b.n = BURST;
		memcpy(b.pkt, &ring[at], sizeof(b.pkt[0]) * BURST);
		w->now_tsc = start = rte_rdtsc();
		stage(w, &b);
		cycles += rte_rdtsc() - start;
		if (b.n != BURST)
			die("packets were dropped", NULL);
	}
	return cycles;
}

/* Cycles for one pass of the bare cipher over the ring, on the text ESP would have. */
static uint64_t
pass_cipher(struct dp_crypto *c, const struct dp_crypto_key *key, aes_gcm_enc_dec_t run,
	    uint32_t text)
{
	uint8_t nonce[12] = {0}, aad[8] = {0}, tag[16];
	uint64_t cycles = 0;

	for (unsigned int at = 0; at < RING; at += BURST) {
		uint64_t start = rte_rdtsc();

		for (unsigned int i = at; i < at + BURST; i++) {
			uint8_t *p = (uint8_t *)ring[i]->buf_addr + ring_start;

			memcpy(nonce + 4, &i, sizeof(i));
			run(&key->gcm.data, &c->gcm, p, p, text, nonce, aad, 8, tag, 16);
		}
		cycles += rte_rdtsc() - start;
	}
	return cycles;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct figures {
	double stage[ROUNDS], cipher[ROUNDS], ratio[ROUNDS];
};

static void
report(const char *alg, const char *what, uint32_t size, struct figures *f)
{
	qsort(f->stage, ROUNDS, sizeof(double), by_value);
	qsort(f->cipher, ROUNDS, sizeof(double), by_value);
	qsort(f->ratio, ROUNDS, sizeof(double), by_value);
	printf("%-11s %-5s %5u B  stage %6.0f  cipher %6.0f  ratio %.2f (%.2f..%.2f)  %.2f Mpps\n",
	       alg, what, size, f->stage[ROUNDS / 2], f->cipher[ROUNDS / 2], f->ratio[ROUNDS / 2],
	       f->ratio[ROUNDS / 4], f->ratio[3 * ROUNDS / 4],
	       (double)rte_get_tsc_hz() / f->stage[ROUNDS / 2] / 1e6);
}

static void
note(struct figures *f, unsigned int round, uint64_t stage, uint64_t cipher)
{
	f->stage[round] = (double)stage / (PASSES * RING);
	f->cipher[round] = (double)cipher / (PASSES * RING);
	f->ratio[round] = (double)stage / (double)cipher;
}

static void
bench(enum spw_encr encr, uint32_t size)
{
	static struct figures seal, open;
	const char *alg = spw_encr_info(encr)->show_name;
	uint32_t text = (size + 2 + 3) & ~3u;
	struct dp_crypto_key *key = aligned_alloc(64, sizeof(*key));
	uint8_t material[36];
	struct dp_cipher cipher;
	struct dp_crypto *c;
	struct end a, b;

	open_end(&a, ADDR_A, ADDR_B);
	open_end(&b, ADDR_B, ADDR_A);
	c = a.w.crypto;
	pair(&a, &b, encr);
	if (key == NULL || dp_crypto_cipher(c, encr, SPW_INTEG_NONE, false, &cipher) < 0)
		die("no such cipher", NULL);
	randombytes_buf(material, sizeof(material));
	dp_crypto_expand(c, &cipher, key, material);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t s = 0, o = 0, cs = 0, co = 0;

		for (unsigned int i = 0; i < PASSES; i++) {
			reset_ring(size);
			s += pass_stage(&a.w, dp_stage_esp_seal);
			receive_ring();
			o += pass_stage(&b.w, dp_stage_esp_open);
			cs += pass_cipher(c, key, c->gcm_seal[key->gcm.size], text);
			co += pass_cipher(c, key, c->gcm_open[key->gcm.size], text);
		}
		note(&seal, round, s, cs);
		note(&open, round, o, co);
	}
	report(alg, "seal", size, &seal);
	report(alg, "open", size, &open);
	free(key);
	close_end(&a);
	close_end(&b);
}

static void
start(int argc, char **argv)
{
	char *plain[] = {argv[0], "--no-huge", "--no-pci",	 "--no-shconf",	  "-m", "64",
			 "-l",	  "0",	       "--no-telemetry", "--log-level=4", NULL};
	int n = argc > 1 ? argc : (int)(sizeof(plain) / sizeof(plain[0])) - 1;

	if (rte_eal_init(n, argc > 1 ? argv : plain) < 0 || spw_secret_init() < 0)
		die("the EAL does not start", NULL);
	pool = rte_pktmbuf_pool_create("bench", 1023, 0, sizeof(struct dp_pkt),
				       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL || rte_pktmbuf_alloc_bulk(pool, ring, RING) != 0)
		die("no packet buffers", NULL);
	ring_start = ring[0]->data_off;
}

int
main(int argc, char **argv)
{
	static const uint32_t sizes[] = {64, 128, 256, 512, 1024, 1400};
	struct dp_crypto *c;
	struct spw_err err = {0};

	start(argc, argv);
	if (dp_crypto_new(&c, DP_CRYPTO_AUTO, &err) < 0)
		die("no cipher", &err);
	printf("IPsec-MB %s, %s, TSC %.0f MHz; ring of %u buffers, bursts of %u, %u paired "
	       "rounds\n",
	       IMB_VERSION_STR, dp_crypto_isa_name(c), (double)rte_get_tsc_hz() / 1e6, RING, BURST,
	       ROUNDS);
	printf("cycles per packet (median), ratio stage/cipher (median, quartiles)\n");
	dp_crypto_free(c);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		bench(SPW_ENCR_AES128_GCM, sizes[i]);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		bench(SPW_ENCR_AES256_GCM, sizes[i]);
	rte_pktmbuf_free_bulk(ring, RING);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return 0;
}
