/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-pipeline: what the whole pipeline costs over the cipher alone.
 *
 * For each cipher, size and direction, rounds come in pairs: frames through the real pipeline
 * (parse, TTL, FIB, path group, fit, seal, FIB for the outer packet, adjacency; or parse, open,
 * deliver, TTL, FIB, path, adjacency), then the bare cipher on the padded text over the same ring
 * of packet buffers, so that what the machine does at that moment hits both. `work` is the time
 * from the return of the receive burst to the call of the transmit burst; `total` has the ring
 * driver's transmit call in it. Printed: medians of cycles (TSC) per packet, the median of the
 * paired ratios of work to cipher, and its quartiles. Selectors (any), replay window 4,096,
 * sequence numbers, lifetimes and counters are on; one worker, bursts of 64.
 */
#include <rte_cycles.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gateway.h"
#include "dataplane/crypto/suites.h"

#define RING  512
#define BURST 64

struct run {
	struct bg g;
	struct bg_sa sa;
	struct rte_mbuf *ring[RING];
	uint32_t size;
	bool open;
	uint64_t seq; /* open: last number the peer used */
	uint8_t frame[RING][2048];
};

/* The bare cipher: IPsec-MB's single call, its key, scratch area and functions. */
static struct bare {
	struct gcm_key_data key __attribute__((aligned(64)));
	struct gcm_context_data scratch __attribute__((aligned(64)));
	aes_gcm_enc_dec_t enc, dec;
	/* One for each packet, made beforehand: the cipher waits for no store of ours. */
	uint8_t nonce[RING][16] __attribute__((aligned(16)));
	uint8_t aad[8];
} bare;

struct figures {
	unsigned int rounds;
	double work[1000], total[1000], cipher[1000], ratio[1000];
	double stage[DP_STAGE_COUNT][1000];
};

static struct options {
	bool json, quick;
	unsigned int size;   /* this one only, 0 = all */
	unsigned int rounds; /* 0 = by default */
	enum dp_crypto_isa isa;
} options;

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Quartile q (1..3) of n values, sorted in place. */
static double
quartile(double *v, unsigned int n, unsigned int q)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(n - 1) * q / 4];
}

static void
frames_prepare(struct run *r, uint32_t *len)
{
	uint8_t *out;

	for (unsigned int i = 0; i < RING; i++) {
		out = r->frame[i];
		*len = r->open ? bg_esp_frame(&r->g, out, &r->sa, ++r->seq, r->size)
			       : bg_frame(&r->g, out, BG_LAN_HOST, BG_REMOTE_HOST, r->size);
	}
}

/*
 * Make BURST buffers received frames again, as a port driver leaves them: buffer header and frame
 * freshly written. Not timed.
 */
static void
burst_fill(struct run *r, unsigned int at, uint32_t len)
{
	for (unsigned int i = at; i < at + BURST; i++) {
		struct rte_mbuf *m = r->ring[i];

		rte_pktmbuf_reset(m);
		m->port = r->open ? BG_WAN : BG_LAN;
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
		memcpy(rte_pktmbuf_mtod(m, void *), r->frame[i], len);
	}
}

/* Take the sent packets back; they are the ring's own buffers. */
static void
ring_recover(struct run *r)
{
	unsigned int port = r->open ? BG_LAN : BG_WAN, n = 0, got;

	while (n < RING && (got = bg_sent(&r->g, port, r->ring + n, RING - n)) > 0)
		n += got;
	if (n != RING)
		bg_die("packets were dropped", NULL);
}

/* One pass of the ring through the pipeline; cycles in all, driver included. */
static uint64_t
pass_pipeline(struct run *r, uint32_t len)
{
	uint64_t cycles = 0;

	for (unsigned int at = 0; at < RING; at += BURST) {
		burst_fill(r, at, len);
		cycles += bg_burst(&r->g, r->ring + at, BURST);
	}
	return cycles;
}

static void
bare_init(const struct run *r, enum spw_encr encr)
{
	const IMB_MGR *mgr = ((const struct dp_crypto *)r->g.w->crypto)->mgr;
	uint8_t key[32];

	randombytes_buf(key, sizeof(key));
	randombytes_buf(bare.nonce, sizeof(bare.nonce));
	if (encr == SPW_ENCR_AES256_GCM) {
		IMB_AES256_GCM_PRE(mgr, key, &bare.key);
		bare.enc = mgr->gcm256_enc;
		bare.dec = mgr->gcm256_dec;
	} else {
		IMB_AES128_GCM_PRE(mgr, key, &bare.key);
		bare.enc = mgr->gcm128_enc;
		bare.dec = mgr->gcm128_dec;
	}
}

/* Where the text of a frame lies: behind Ethernet, and what is around it where it is sealed. */
static uint32_t
text_offset(const struct run *r)
{
	return 14 + (r->open ? 20 + (r->sa.udp ? 8u : 0u) + DP_ESP_AEAD_FRONT : 0);
}

/*
 * One pass of the bare cipher over the ring, on texts as long as ESP's and where ESP has them: on
 * one that begins at a multiple of 16 the cipher's AES-NI code saves ten cycles of eight hundred,
 * but 14 octets of Ethernet lie before it.
 */
static uint64_t
pass_cipher(struct run *r, uint32_t len)
{
	aes_gcm_enc_dec_t cipher = r->open ? bare.dec : bare.enc;
	const uint32_t text = (r->size + 2 + 3) & ~3u, offset = text_offset(r);
	uint8_t tag[16];
	uint64_t cycles = 0;

	for (unsigned int at = 0; at < RING; at += BURST) {
		burst_fill(r, at, len);
		uint64_t start = rte_rdtsc();

		for (unsigned int i = at; i < at + BURST; i++) {
			uint8_t *p = rte_pktmbuf_mtod_offset(r->ring[i], uint8_t *, offset);

			cipher(&bare.key, &bare.scratch, p, p, text, bare.nonce[i], bare.aad, 8,
			       tag, 16);
		}
		cycles += rte_rdtsc() - start;
	}
	return cycles;
}

/*
 * Once the ring, through the pipeline and the cipher; one round of the figures. Rounds are short,
 * so that few of them are hit when the machine takes the CPU away.
 */
static void
round_run(struct run *r, struct figures *f)
{
	uint64_t total, cipher, driver;
	struct dp_stage_cycles *c = &r->g.cycles;
	const double packets = RING;
	uint32_t len = 0;

	memset(c, 0, sizeof(*c));
	frames_prepare(r, &len);
	total = pass_pipeline(r, len);
	ring_recover(r);
	cipher = pass_cipher(r, len);
	driver = c->spent[DP_STAGE_DRIVER];
	f->work[f->rounds] = (double)(total - driver) / packets;
	f->total[f->rounds] = (double)total / packets;
	f->cipher[f->rounds] = (double)cipher / packets;
	f->ratio[f->rounds] = (double)(total - driver) / (double)cipher;
	for (unsigned int i = 0; i < DP_STAGE_COUNT; i++)
		f->stage[i][f->rounds] = (double)c->spent[i] / packets;
	f->rounds++;
}

static const char *const stage_name[] = {
#define DP_STAGE(sym, name) name,
	DP_STAGES
#undef DP_STAGE
};

static void
print_stages(struct figures *f)
{
	const char *comma = "", *quote = options.json ? "\"" : "", *colon = options.json ? ":" : "";

	for (unsigned int i = 0; i < DP_STAGE_COUNT; i++) {
		double cycles = quartile(f->stage[i], f->rounds, 2);

		if (cycles < 0.05)
			continue;
		printf("%s%s%s%s%s %.1f", comma, quote, stage_name[i], quote, colon, cycles);
		comma = ", ";
	}
}

static void
report(const struct run *r, struct figures *f)
{
	const char *what = r->open ? "open" : "seal";
	const char *name = r->sa.encr == SPW_ENCR_AES256_GCM ? "aes256gcm" : "aes128gcm";
	unsigned int n = f->rounds;
	double work = quartile(f->work, n, 2), total = quartile(f->total, n, 2);
	double cipher = quartile(f->cipher, n, 2), ratio = quartile(f->ratio, n, 2);

	if (options.json) {
		printf("{\"what\": \"%s\", \"cipher\": \"%s\", \"encap\": \"%s\", \"isa\": \"%s\", "
		       "\"size\": %u, "
		       "\"work\": %.1f, \"total\": %.1f, \"cipher_cycles\": %.1f, "
		       "\"ratio\": %.4f, \"q1\": %.4f, \"q3\": %.4f, \"mpps\": %.3f, "
		       "\"rounds\": %u, \"stages\": {",
		       what, name, r->sa.udp ? "udp" : "native", dp_crypto_isa_name(r->g.w->crypto),
		       r->size, work, total, cipher, ratio, quartile(f->ratio, n, 1),
		       quartile(f->ratio, n, 3), (double)rte_get_tsc_hz() / total / 1e6, n);
		print_stages(f);
		printf("}}\n");
	} else {
		printf("%s %s %s %5u B  work %6.1f  total %6.1f  cipher %6.1f  ratio %.3f "
		       "(%.3f..%.3f)\n    ",
		       name, r->sa.udp ? "udp   " : "native", what, r->size, work, total, cipher,
		       ratio, quartile(f->ratio, n, 1), quartile(f->ratio, n, 3));
		print_stages(f);
		printf("\n");
	}
	fflush(stdout);
}

static void
bench(struct run *r, const struct bg_sa *sa, bool open, uint32_t size)
{
	static struct figures f;
	unsigned int rounds = (options.quick ? 11 : 51) * (size > 700 ? 4 : 12);

	if (options.rounds != 0)
		rounds = options.rounds;

	memset(&f, 0, sizeof(f));
	r->sa = *sa;
	r->open = open;
	r->size = size;
	bare_init(r, sa->encr);
	round_run(r, &f); /* warm */
	memset(&f, 0, sizeof(f));
	for (unsigned int i = 0; i < rounds; i++)
		round_run(r, &f);
	report(r, &f);
}

/* Each cipher and encapsulation has a tunnel of its own; the last one made carries the traffic. */
static void
suite(struct run *r, uint32_t tunnel, enum spw_encr encr, bool udp)
{
	static const uint32_t sizes[] = {64, 128, 256, 512, 1024, 1400};
	struct bg_sa sa = {.tunnel = tunnel, .encr = encr, .udp = udp};

	bg_tunnel(&r->g, &sa, 0x0a020000, 16);
	r->seq = 0;
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		if (options.size != 0 ? sizes[i] != options.size
				      : options.quick && sizes[i] != 64 && sizes[i] != 1400)
			continue;
		bench(r, &sa, false, sizes[i]);
		bench(r, &sa, true, sizes[i]);
		sa = r->sa;
	}
}

static void
options_parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			options.json = true;
		else if (strcmp(argv[i], "--quick") == 0)
			options.quick = true;
		else if (strcmp(argv[i], "--isa=aes-ni") == 0)
			options.isa = DP_CRYPTO_AVX2;
		else if (strcmp(argv[i], "--isa=sse") == 0)
			options.isa = DP_CRYPTO_SSE;
		else if (sscanf(argv[i], "--size=%u", &options.size) != 1 &&
			 sscanf(argv[i], "--rounds=%u", &options.rounds) != 1)
			bg_die("the options are --json, --quick, --size=N, --rounds=N (at most "
			       "1000)",
			       NULL);
	}
}

int
main(int argc, char **argv)
{
	static struct run r;

	options_parse(argc, argv);
	if (options.rounds > 1000)
		bg_die("at most 1000 rounds", NULL);
	bg_eal(512);
	bg_new_isa(&r.g, 1, options.isa);
	if (rte_pktmbuf_alloc_bulk(r.g.c->pool, r.ring, RING) != 0)
		bg_die("no packet buffers", NULL);
	if (!options.json)
		printf("IPsec-MB %s, %s, TSC %.0f MHz; ring of %u buffers, bursts of %u\n",
		       IMB_VERSION_STR, dp_crypto_isa_name(r.g.w->crypto),
		       (double)rte_get_tsc_hz() / 1e6, RING, BURST);
	suite(&r, 1, SPW_ENCR_AES256_GCM, false);
	if (!options.quick) {
		suite(&r, 2, SPW_ENCR_AES256_GCM, true);
		suite(&r, 3, SPW_ENCR_AES128_GCM, false);
	}
	rte_pktmbuf_free_bulk(r.ring, RING);
	bg_free(&r.g);
	return 0;
}
