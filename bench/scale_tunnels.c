/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ten thousand tunnels: install time, memory, throughput against one tunnel, and what a worker
 * feels while their SAs are replaced.
 *
 * Packets go through the whole pipeline; each goes to a tunnel at random, so a packet never finds
 * its tunnel's state in the near caches: the worst there is. Every tunnel has a prefix, a
 * group, a path, and a child SA with its two directions. Numbers of tunnels take turns in each
 * round, so that what the machine does at that moment hits all of them.
 */
#include "bench/scale.h"

#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gateway.h"
#include "dataplane/cycles.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

#define RING	   512
#define BURST	   64
#define PASSES	   15 /* over the ring, in a round */
#define MAX_ROUNDS 1000
#define PREFIX	   0x0b000000u /* tunnel i has 11.x.y.0/24 */

static const uint32_t counts[] = {1, 10, 100, 1000, 10000};
#define COUNTS RTE_DIM(counts)

static struct tunnels {
	struct bg g;
	struct bg_sa *sa; /* by tunnel */
	struct rte_mbuf *ring[RING];
	uint8_t frame[2048];
	uint32_t len, size;
	uint64_t random; /* of the packets */
	unsigned int at;
	uint64_t lost;
	uint64_t choice; /* of the writer */
	struct spw_sa_desc desc;
} s;

/* Make a burst of buffers received frames, each for one of the first `n` tunnels. Not timed. */
static void
burst_fill(struct rte_mbuf **m, uint32_t n)
{
	for (unsigned int i = 0; i < BURST; i++) {
		uint32_t tunnel = 1 + (uint32_t)(sc_random(&s.random) >> 20) % n;
		uint8_t *f;

		rte_pktmbuf_reset(m[i]);
		m[i]->port = BG_LAN;
		m[i]->data_len = (uint16_t)s.len;
		m[i]->pkt_len = s.len;
		f = rte_pktmbuf_mtod(m[i], uint8_t *);
		memcpy(f, s.frame, s.len);
		/* The frame was made for tunnel 0's prefix; its checksum follows the address. */
		uint32_t sum = (uint32_t)(f[24] << 8 | f[25]) + 0xffffu - (tunnel >> 8);

		sum = (sum & 0xffff) + (sum >> 16);
		sum += 0xffffu - (tunnel << 8 & 0xffff);
		sum = (sum & 0xffff) + (sum >> 16);
		dp_put_be16(f + 24, (uint16_t)sum);
		dp_put_be32(f + 30, PREFIX + (tunnel << 8));
	}
}

/* Take the sent packets back into the ring, from `at` on. */
static unsigned int
recover(unsigned int at, unsigned int n)
{
	unsigned int have = 0, got;

	while (have < n && (got = bg_sent(&s.g, BG_WAN, s.ring + at + have, n - have)) > 0)
		have += got;
	return have;
}

/* What the worker tells the API thread: that a group's first packet went out. Nobody asks here. */
static void
events_drain(void)
{
	struct dp_worker_event ev;

	while (rte_ring_dequeue_elem(dp_priv(s.g.w)->events, &ev, sizeof(ev)) == 0)
		;
}

/* Cycles per packet without the port driver over one pass of the ring. */
static double
pass(uint32_t n)
{
	uint64_t spent = 0, driver = s.g.cycles.spent[DP_STAGE_DRIVER];

	for (unsigned int at = 0; at < RING; at += BURST) {
		burst_fill(s.ring + at, n);
		spent += bg_burst(&s.g, s.ring + at, BURST);
	}
	events_drain();
	if (recover(0, RING) != RING)
		bg_die("packets were dropped", NULL);
	driver = s.g.cycles.spent[DP_STAGE_DRIVER] - driver;
	return (double)(spent - driver) / RING;
}

static void
size_set(uint32_t size)
{
	s.size = size;
	s.len = bg_frame(&s.g, s.frame, BG_LAN_HOST, PREFIX, size);
}

static const char *const stage_name[] = {
#define DP_STAGE(sym, name) name,
	DP_STAGES
#undef DP_STAGE
};

/* Cycles per packet of each stage with `n` tunnels: medians over passes of the ring. */
static void
print_stages(uint32_t n)
{
	static double each[DP_STAGE_COUNT][PASSES];
	const char *quote = sc_options.json ? "\"" : "", *comma = "";

	for (unsigned int i = 0; i < PASSES; i++) {
		memset(&s.g.cycles, 0, sizeof(s.g.cycles));
		(void)pass(n);
		for (unsigned int k = 0; k < DP_STAGE_COUNT; k++)
			each[k][i] = (double)s.g.cycles.spent[k] / RING;
	}
	for (unsigned int k = 0; k < DP_STAGE_COUNT; k++) {
		double cycles = sc_percentile(each[k], PASSES, 50);

		if (cycles < 0.5)
			continue;
		printf("%s%s%s%s: %.1f", comma, quote, stage_name[k], quote, cycles);
		comma = ", ";
	}
}

/*
 * Median cycles per packet of some passes: one that the machine took away for a while drops out.
 * `keys` has those of the cipher alone.
 */
static double
passes(uint32_t n, double *keys)
{
	double cycles[PASSES], cipher[PASSES];

	for (unsigned int i = 0; i < PASSES; i++)
		cycles[i] = pass(n);
	for (unsigned int i = 0; i < PASSES; i++)
		cipher[i] = sc_keys_pass(s.size, n);
	*keys = sc_percentile(cipher, PASSES, 50);
	return sc_percentile(cycles, PASSES, 50);
}

static struct figures {
	double work[MAX_ROUNDS], ratio[MAX_ROUNDS]; /* cycles; throughput over one tunnel's */
	double keys[MAX_ROUNDS], keys_ratio[MAX_ROUNDS];
} figures[COUNTS];

/*
 * Throughput with many tunnels over that with one: as it is, and as it would be if the cipher's
 * keys took as long to come as they do for the cipher alone, and nothing else took longer.
 */
struct ratios {
	double ours, keys;
};

/* Print one count's medians; returns those of the ratios. */
static struct ratios
print_count(struct figures *f, unsigned int rounds, uint32_t count, bool headline)
{
	struct ratios ratio = {.ours = sc_percentile(f->ratio, rounds, 50),
			       .keys = sc_percentile(f->keys_ratio, rounds, 50)};

	printf(sc_options.json
		       ? "{\"what\": \"%s\", \"tunnels\": %u, \"size\": %u, \"work\": %.1f, "
			 "\"ratio\": %.4f, \"q1\": %.4f, \"q3\": %.4f, "
			 "\"cipher_cycles\": %.1f, \"by_keys_alone\": %.4f, \"stages\": {"
		       : "%s %5u, %4u B  work %6.1f  throughput over one %.3f "
			 "(%.3f..%.3f); cipher alone %.1f, by its keys alone %.3f\n    ",
	       headline || !sc_options.json ? "tunnels" : "tunnels-small", count, s.size,
	       sc_percentile(f->work, rounds, 50), ratio.ours, sc_percentile(f->ratio, rounds, 25),
	       sc_percentile(f->ratio, rounds, 75), sc_percentile(f->keys, rounds, 50), ratio.keys);
	print_stages(count);
	printf(sc_options.json ? "}}\n" : "\n");
	return ratio;
}

/* Of each count against one tunnel, in paired rounds; returns the last one's ratios. */
static struct ratios
throughput(uint32_t size, bool headline)
{
	unsigned int rounds = RTE_MIN(sc_options.rounds * 5, (unsigned int)MAX_ROUNDS);
	struct ratios last = {1, 1};

	size_set(size);
	/* Each tunnel's first packets: not what is asked for. */
	for (unsigned int i = 0; i < 10 * counts[COUNTS - 1] / RING; i++)
		(void)pass(counts[COUNTS - 1]);
	for (unsigned int round = 0; round < rounds; round++)
		for (unsigned int k = 0; k < COUNTS; k++) {
			struct figures *f = &figures[k];

			f->work[round] = passes(counts[k], &f->keys[round]);
			f->ratio[round] = figures[0].work[round] / f->work[round];
			f->keys_ratio[round] =
				figures[0].work[round] /
				(figures[0].work[round] + f->keys[round] - figures[0].keys[round]);
		}
	for (unsigned int k = 0; k < COUNTS; k++)
		last = print_count(&figures[k], rounds, counts[k], headline);
	fflush(stdout);
	return last;
}

static void
install(void)
{
	uint64_t before = sc_resident();
	double start = sc_seconds();

	for (uint32_t i = 1; i <= sc_options.tunnels; i++) {
		s.sa[i] = (struct bg_sa){.tunnel = i, .encr = SPW_ENCR_AES256_GCM};
		bg_tunnel(&s.g, &s.sa[i], PREFIX + (i << 8), 24);
	}
	double each = (sc_seconds() - start) / sc_options.tunnels;
	uint64_t bytes = sc_resident() - before;

	printf(sc_options.json ? "{\"what\": \"memory\", \"of\": \"tunnels\", \"count\": %u, "
				 "\"bytes\": %.0f, \"each\": %.0f, \"install_us\": %.1f}\n"
			       : "tunnels %u with two SAs each: %.0f kB, %.0f bytes a tunnel with "
				 "route, group and path; %.1f us to make one\n",
	       sc_options.tunnels, sc_options.json ? (double)bytes : (double)bytes / 1024,
	       (double)bytes / sc_options.tunnels, each * 1e6);
	fflush(stdout);
}

/* One turn of a worker: a burst through the pipeline, to all tunnels. */
static void
turn(void *arg)
{
	burst_fill(s.ring, sc_options.tunnels);
	(void)bg_burst(&s.g, s.ring, BURST);
	unsigned int got = recover(0, BURST);

	s.lost += BURST - got;
	if (got < BURST && rte_pktmbuf_alloc_bulk(s.g.c->pool, s.ring + got, BURST - got) != 0)
		bg_die("no packet buffers", NULL);
}

/* A new child SA for some tunnel, outbound at once, and the old one deleted. */
static void
rekey(void *arg)
{
	struct bg_sa *sa = &s.sa[1 + sc_random(&s.choice) % sc_options.tunnels];
	struct spw_sa_desc *d = &s.desc;
	struct spw_err err = {0};
	uint32_t old = sa->spi_in;

	d->tunnel = sa->tunnel;
	d->key_len = sa->key_len;
	randombytes_buf(d->key_in, d->key_len);
	randombytes_buf(d->key_out, d->key_len);
	d->spi_out = 0x40000000u | (uint32_t)(s.choice >> 40);
	if (dp_sad_spi_alloc(s.g.c->sad, sa->tunnel, &d->spi_in, &err) != 0 ||
	    dp_sad_install(s.g.c->sad, d, true, &err) != 0 ||
	    dp_sad_delete(s.g.c->sad, old, SPW_SA_PART_IN | SPW_SA_PART_OUT, &err) != 0)
		bg_die("rekey", &err);
	sa->spi_in = d->spi_in;
}

static void
rekey_stalls(void)
{
	const struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(UINT32_MAX), .port_high = UINT16_MAX};
	const struct sc_stall stall = {
		.name = "rekey, 10,000 tunnels", .turn = turn, .write = rekey, .qsbr = s.g.c->qsbr};

	s.choice = 3;
	s.desc = (struct spw_sa_desc){.encr = SPW_ENCR_AES256_GCM,
				      .local = spw_addr_v4(BG_WAN_ADDR),
				      .remote = spw_addr_v4(BG_PEER),
				      .replay_window = 4096,
				      .seconds = {27000, 30000},
				      .n_local = 1,
				      .n_remote = 1,
				      .sel_local = {any},
				      .sel_remote = {any}};
	size_set(64);
	sc_stall_run(&stall);
	printf(sc_options.json ? "{\"what\": \"rekey-loss\", \"lost\": %lu}\n"
			       : "packets lost while rekeying: %lu\n",
	       (unsigned long)s.lost);
}

void
sc_tunnels(void)
{
	bg_new_isa(&s.g, 1, sc_options.older ? DP_CRYPTO_AVX2 : DP_CRYPTO_AUTO);
	s.random = 1;
	s.sa = calloc(sc_options.tunnels + 1, sizeof(s.sa[0]));
	if (s.sa == NULL || rte_pktmbuf_alloc_bulk(s.g.c->pool, s.ring, RING) != 0)
		bg_die("out of memory", NULL);
	install();
	sc_keys_new(s.g.c->sad, s.sa, sc_options.tunnels, s.ring);
	struct ratios small = throughput(64, false);
	struct ratios large = throughput(1400, true);

	sc_keys_free();
	if (sc_options.stalls)
		rekey_stalls();
	printf("RATIO tunnels-10000/tunnels-1 %.3f\n", RTE_MIN(small.ours, large.ours));
	printf("RATIO tunnels-10000/tunnels-1-by-keys-alone %.3f\n",
	       RTE_MIN(small.keys, large.keys));
	rte_pktmbuf_free_bulk(s.ring, RING);
	free(s.sa);
	bg_free(&s.g);
}
