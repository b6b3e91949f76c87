/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-spread: one SA on two workers, against the bare cipher on two threads.
 *
 * Each round does the same packets in several ways, one after the other, so that what the machine
 * does at that moment hits all of them:
 *   one worker, two workers, the cipher on one thread, the cipher on two.
 * open: all frames come on one queue, worker 1 lives from the chunks that worker 0 offers.
 * seal: each worker receives half of the inner flows and seals on the one SA (RSS).
 * lend: all inner frames come on one queue, worker 1 seals chunks that worker 0 numbered.
 * The figure is our two-over-one divided by the cipher's two-over-one, the median over the rounds;
 * the last line has the lower of open and seal. The whole pipeline runs, ring ports included. After
 * each sealing pass the numbers are read from the frames in the order in which they were sent: how
 * far one came behind a higher one is printed, and must stay below 64.
 *
 * Hand-off: what a chunk costs without a cipher in it, run by its owner and by another thread.
 */
#include <pthread.h>
#include <rte_cycles.h>
#include <sched.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gateway.h"
#include "dataplane/crypto/suites.h"
#include "dataplane/sad_data.h"
#include "dataplane/spread_turn.h"

#define FRAMES	   2048
#define BURST	   64
#define MAX_ROUNDS 200
#define ESP_SEQ	   (DP_ETHER_LEN + 20 + 4) /* in a frame of native ESP over IPv4 */
#define HANDOFFS   20000

enum way { OPEN, SEAL, LEND, WAYS };
static const char *const way_name[WAYS] = {"open", "seal", "lend"};

static struct bg gate;
static struct bg_sa sa;
static struct rte_mbuf *ring[FRAMES];
static struct rte_mbuf *sent[FRAMES];
static uint8_t frame[FRAMES][2048];
static uint32_t size = 1400;
static uint64_t peer_seq;
static unsigned int worst; /* furthest a number came behind a higher one */

/* --- the second thread: sleeps on a semaphore between its tasks --- */

static struct second {
	pthread_t thread;
	sem_t go, gone;
	void (*task)(void);
	_Atomic bool started, stop;
} second;

static void
pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		fprintf(stderr, "bench-spread: cannot pin to CPU %u\n", cpu);
}

static void *
second_main(void *unused)
{
	pin(1);
	for (;;) {
		sem_wait(&second.go);
		if (second.task == NULL)
			return NULL;
		atomic_store(&second.started, true);
		second.task();
		sem_post(&second.gone);
	}
}

/* Start a task on the second thread and wait until it runs. */
static void
second_start(void (*task)(void))
{
	second.task = task;
	atomic_store(&second.started, false);
	atomic_store(&second.stop, false);
	sem_post(&second.go);
	while (task != NULL && !atomic_load(&second.started))
		rte_pause();
}

static void
second_end(void)
{
	atomic_store(&second.stop, true);
	sem_wait(&second.gone);
}

/* --- frames --- */

static void
frames_make(enum way way)
{
	for (unsigned int i = 0; i < FRAMES; i++) {
		uint32_t len =
			way == OPEN ? bg_esp_frame(&gate, frame[i], &sa, ++peer_seq, size)
				    : bg_frame(&gate, frame[i], BG_LAN_HOST, BG_REMOTE_HOST, size);
		struct rte_mbuf *m = ring[i];

		rte_pktmbuf_reset(m);
		m->port = way == OPEN ? BG_WAN : BG_LAN;
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
		memcpy(rte_pktmbuf_mtod(m, void *), frame[i], len);
	}
}

/* The rings behind the queues of the ports: the gateway may send by any of them. */
static struct rte_ring *behind[2][DP_TX_QUEUES];

static void
rings_find(void)
{
	for (unsigned int port = 0; port < 2; port++) {
		const struct dp_port *p = atomic_load(&gate.c->tables->port[port]);

		for (unsigned int q = 0; q < p->tx.n; q++) {
			char name[RTE_RING_NAMESIZE];

			snprintf(name, sizeof(name), "ETH_RXTX%u_net_ring%u", q, port);
			behind[port][q] = rte_ring_lookup(name);
			if (behind[port][q] == NULL)
				bg_die("a port has no ring", NULL);
		}
	}
}

/* Take what was sent, behind sent[0..n); returns the new n. */
static unsigned int
drain(enum way way, unsigned int n)
{
	struct rte_ring *const *r = behind[way == OPEN ? BG_LAN : BG_WAN];

	for (unsigned int q = 0; q < DP_TX_QUEUES && r[q] != NULL; q++)
		n += rte_ring_sc_dequeue_burst(r[q], (void **)(sent + n), FRAMES - n, NULL);
	return n;
}

/* How far numbers came behind higher ones, as sent. */
static void
order_check(unsigned int n)
{
	uint32_t top = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t seq = spw_get_be32(rte_pktmbuf_mtod_offset(sent[i], uint8_t *, ESP_SEQ));

		if (seq > top)
			top = seq;
		else if (top - seq > worst)
			worst = top - seq;
	}
}

/* --- the pipeline --- */

/* A worker receives frames [from, to) in bursts, as its loop would. */
static void
receive(struct dp_worker *w, unsigned int from, unsigned int to, enum way way, unsigned int *out)
{
	static __thread struct dp_burst b;

	for (unsigned int at = from; at < to; at += BURST) {
		b.n = BURST;
		memcpy(b.pkt, ring + at, sizeof(b.pkt[0]) * BURST);
		w->backlog = true;
		dp_pipeline_rx(w, &b);
		w->backlog = false;
		if (w->spread != NULL)
			dp_spread_turn(w, &b, BURST);
		/* A port's queue keeps what is not received. */
		while (w->seal != NULL && w->seal->n >= DP_SEAL_HIGH)
			dp_spread_turn(w, &b, 0);
		if (out != NULL)
			*out = drain(way, *out);
	}
}

static void
finish(struct dp_worker *w)
{
	static __thread struct dp_burst b;

	while (dp_spread_out(w->spread) || w->seal->n != 0)
		dp_spread_turn(w, &b, 0);
}

static void
help(void)
{
	static struct dp_burst b;

	while (!atomic_load_explicit(&second.stop, memory_order_relaxed))
		dp_spread_turn(gate.c->worker[1], &b, 0);
	dp_spread_set_hungry(gate.c->worker[1]->spread, false);
}

static void
seal_half(void)
{
	receive(gate.c->worker[1], FRAMES / 2, FRAMES, SEAL, NULL);
	finish(gate.c->worker[1]);
}

/* Take the frames back. False when some were lost: the ring is filled up, the pass does not count.
 */
static bool
frames_back(enum way way, unsigned int out)
{
	memcpy(ring, sent, out * sizeof(ring[0]));
	if (way != OPEN)
		order_check(out);
	if (out == FRAMES)
		return true;
	if (rte_pktmbuf_alloc_bulk(gate.c->pool, ring + out, FRAMES - out) != 0)
		bg_die("packet buffers were lost", NULL);
	return false;
}

/* Cycles for all frames by one or two workers; 0 when some were lost (a thread was preempted). */
static uint64_t
pass(enum way way, unsigned int workers)
{
	struct dp_worker *w = gate.c->worker[0];
	struct dp_spread *spread = w->spread;
	struct dp_seal *seal = w->seal;
	bool half = workers == 2 && way == SEAL;
	unsigned int out = 0;
	uint64_t start;

	frames_make(way);
	gate.c->sad->shared = workers == 2;
	if (workers == 1) {
		w->spread = NULL;
		w->seal = NULL;
	} else {
		second_start(half ? seal_half : help);
	}
	start = rte_rdtsc();
	receive(w, 0, half ? FRAMES / 2 : FRAMES, way, &out);
	while (workers == 2 && out < FRAMES && rte_rdtsc() - start < rte_get_tsc_hz() / 4) {
		finish(w);
		out = drain(way, out);
	}
	start = rte_rdtsc() - start;
	if (workers == 2)
		second_end();
	w->spread = spread;
	w->seal = seal;
	out = drain(way, out);
	return frames_back(way, out) ? start : 0;
}

/* --- the cipher alone --- */

static struct bare {
	const IMB_MGR *mgr; /* the first worker's */
	struct gcm_key_data key __attribute__((aligned(64)));
	aes_gcm_enc_dec_t run;
	uint32_t offset; /* of the text in its frame, where ESP has it */
} bare;

static void
bare_run(unsigned int from, unsigned int to)
{
	static __thread struct gcm_context_data scratch __attribute__((aligned(64)));
	static const uint8_t aad[8];
	uint8_t nonce[12] = {0}, tag[16];
	const uint32_t text = (size + 2 + 3) & ~3u;

	for (unsigned int i = from; i < to; i++) {
		uint8_t *p = rte_pktmbuf_mtod_offset(ring[i], uint8_t *, bare.offset);

		memcpy(nonce + 4, &i, sizeof(i));
		bare.run(&bare.key, &scratch, p, p, text, nonce, aad, 8, tag, 16);
	}
}

static _Atomic bool bare_done;

static void
bare_half(void)
{
	bare_run(FRAMES / 2, FRAMES);
	atomic_store(&bare_done, true);
}

static uint64_t
cipher_pass(enum way way, unsigned int threads)
{
	uint64_t start;

	frames_make(SEAL);
	bare.run = way == OPEN ? bare.mgr->gcm256_dec : bare.mgr->gcm256_enc;
	bare.offset = 14 + (way == OPEN ? 20 + DP_ESP_AEAD_FRONT : 0);
	atomic_store(&bare_done, threads == 1);
	if (threads == 2)
		second_start(bare_half);
	start = rte_rdtsc();
	bare_run(0, FRAMES / threads);
	while (!atomic_load(&bare_done))
		rte_pause();
	start = rte_rdtsc() - start;
	if (threads == 2)
		second_end();
	return start;
}

/* --- figures --- */

struct figures {
	unsigned int n, lost; /* rounds noted, rounds in which packets were lost */
	double one[MAX_ROUNDS], two[MAX_ROUNDS], cipher_one[MAX_ROUNDS], cipher_two[MAX_ROUNDS];
	double ours[MAX_ROUNDS], ciphers[MAX_ROUNDS], ratio[MAX_ROUNDS];
};

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
quartile(double *v, unsigned int n, unsigned int q)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(n - 1) * q / 4];
}

/* One round; nothing is noted when packets were lost in it. */
static void
round_run(enum way way, struct figures *f)
{
	unsigned int n = f->n;
	uint64_t one = pass(way, 1), two = pass(way, 2);

	if (one == 0 || two == 0) {
		f->lost++;
		return;
	}
	f->one[n] = (double)one / FRAMES;
	f->two[n] = (double)two / FRAMES;
	f->cipher_one[n] = (double)cipher_pass(way, 1) / FRAMES;
	f->cipher_two[n] = (double)cipher_pass(way, 2) / FRAMES;
	f->ours[n] = f->one[n] / f->two[n];
	f->ciphers[n] = f->cipher_one[n] / f->cipher_two[n];
	f->ratio[n] = f->ours[n] / f->ciphers[n];
	f->n++;
}

struct summary {
	double one, two, cipher_one, cipher_two, ours, ciphers, ratio, q1, q3;
	unsigned int n, lost;
};

static struct summary
sum_up(struct figures *f)
{
	struct summary s = {.n = f->n, .lost = f->lost};

	if (f->n == 0)
		return s;
	s.one = quartile(f->one, f->n, 2);
	s.two = quartile(f->two, f->n, 2);
	s.cipher_one = quartile(f->cipher_one, f->n, 2);
	s.cipher_two = quartile(f->cipher_two, f->n, 2);
	s.ours = quartile(f->ours, f->n, 2);
	s.ciphers = quartile(f->ciphers, f->n, 2);
	s.ratio = quartile(f->ratio, f->n, 2);
	s.q1 = quartile(f->ratio, f->n, 1);
	s.q3 = quartile(f->ratio, f->n, 3);
	return s;
}

static void
report_json(enum way way, const struct summary *s)
{
	printf("{\"what\": \"one-sa-%s\", \"cipher\": \"aes256gcm\", \"size\": %u, \"one\": %.1f, "
	       "\"two\": %.1f, \"cipher_one\": %.1f, \"cipher_two\": %.1f, \"ours\": %.4f, "
	       "\"ciphers\": %.4f, \"ratio\": %.4f, \"q1\": %.4f, \"q3\": %.4f, \"rounds\": %u, "
	       "\"lost\": %u}\n",
	       way_name[way], size, s->one, s->two, s->cipher_one, s->cipher_two, s->ours,
	       s->ciphers, s->ratio, s->q1, s->q3, s->n, s->lost);
}

static void
report(enum way way, const struct summary *s)
{
	printf("%s %4u B  cycles/packet: one worker %.0f, two %.0f; cipher, one thread %.0f, two "
	       "%.0f\n"
	       "     two over one: ours %.3f, the cipher's %.3f; ratio %.3f (%.3f..%.3f) of %u "
	       "rounds%s\n",
	       way_name[way], size, s->one, s->two, s->cipher_one, s->cipher_two, s->ours,
	       s->ciphers, s->ratio, s->q1, s->q3, s->n,
	       s->lost != 0 ? "; a preempted thread lost packets in others" : "");
}

/* --- the hand-off alone --- */

static uint64_t
no_cipher(struct dp_crypto *c, const struct dp_crypto_key *key, const struct dp_crypto_job *jobs,
	  unsigned int n)
{
	return UINT64_MAX >> (64 - n);
}

/* Cycles for a chunk of n packets from the owner's hand back to it. */
static double
handoff(unsigned int n, bool lent)
{
	struct dp_spread *s = gate.c->worker[0]->spread;
	struct dp_crypto_job job[DP_CHUNK_PKTS] = {0};
	struct dp_spread_run run = {.kind = DP_LANE_OPEN,
				    .sa = &gate,
				    .run = no_cipher,
				    .job = job,
				    .pkt = ring,
				    .n = n};
	uint64_t start;

	if (lent)
		second_start(help);
	start = rte_rdtsc();
	for (unsigned int i = 0; i < HANDOFFS; i++) {
		struct dp_chunk *chunk;

		dp_spread_add(s, NULL, &run, DP_SPREAD_LEND);
		if (!lent)
			dp_spread_run_one(s, NULL);
		while ((chunk = dp_spread_retire(s)) == NULL)
			rte_pause();
		dp_spread_put(s, chunk);
	}
	start = rte_rdtsc() - start;
	if (lent)
		second_end();
	return (double)start / HANDOFFS;
}

static void
handoff_report(bool json)
{
	static const unsigned int sizes[] = {1, 12, 32};

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++)
		printf(json ? "{\"what\": \"handoff\", \"packets\": %u, \"own\": %.0f, \"lent\": "
			      "%.0f}\n"
			    : "hand-off of a chunk of %2u packets: %4.0f cycles when its owner "
			      "runs "
			      "it, %4.0f there and back\n",
		       sizes[i], handoff(sizes[i], false), handoff(sizes[i], true));
}

/* @older: with the cipher's code for CPUs without wide AES. */
static void
start(bool older)
{
	struct spw_err err = {0};

	bg_eal(512);
	pin(0);
	bg_new_isa(&gate, 2, older ? DP_CRYPTO_AVX2 : DP_CRYPTO_AUTO);
	if (dp_spread_start(gate.c->worker, 2, &err) != 0)
		bg_die("no workers", &err);
	for (unsigned int i = 0; i < 2; i++)
		gate.c->worker[i]->cycles = NULL;
	sa = (struct bg_sa){.tunnel = 1, .encr = SPW_ENCR_AES256_GCM};
	bg_tunnel(&gate, &sa, 0x0a020000, 16);
	rings_find();
	if (rte_pktmbuf_alloc_bulk(gate.c->pool, ring, FRAMES) != 0)
		bg_die("no packet buffers", NULL);
	bare.mgr = ((const struct dp_crypto *)gate.c->worker[0]->crypto)->mgr;
	randombytes_buf(&bare.key, 32);
	IMB_AES256_GCM_PRE(bare.mgr, (const uint8_t *)frame, &bare.key);
	sem_init(&second.go, 0, 0);
	sem_init(&second.gone, 0, 0);
	if (pthread_create(&second.thread, NULL, second_main, NULL) != 0)
		bg_die("no second thread", NULL);
}

int
main(int argc, char **argv)
{
	static struct figures f[WAYS];
	unsigned int rounds = 31;
	bool json = false, older = false;
	struct summary s[WAYS];

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--quick") == 0)
			rounds = 11;
		else if (strcmp(argv[i], "--isa=aes-ni") == 0)
			older = true;
		else if ((sscanf(argv[i], "--rounds=%u", &rounds) != 1 &&
			  sscanf(argv[i], "--size=%u", &size) != 1) ||
			 rounds == 0 || rounds > MAX_ROUNDS || size < 64 || size > 1400)
			bg_die("the options are --json, --quick, --isa=aes-ni, --rounds=1..200, "
			       "--size=64..1400",
			       NULL);
	}
	start(older);
	handoff_report(json);
	for (unsigned int i = 0; i <= rounds; i++) {
		for (enum way way = OPEN; way < WAYS; way++) {
			if (i == 1)
				f[way].n = f[way].lost = 0; /* the first warmed up */
			round_run(way, &f[way]);
		}
	}
	for (enum way way = OPEN; way < WAYS; way++) {
		s[way] = sum_up(&f[way]);
		(json ? report_json : report)(way, &s[way]);
	}
	if (!json)
		printf("on the wire no number came more than %u behind a higher one\n", worst);
	second_start(NULL);
	pthread_join(second.thread, NULL);
	if (worst >= DP_CLAIM_WINDOW)
		bg_die("a receiver with a window of 64 would have dropped packets", NULL);
	if (s[OPEN].n == 0 || s[SEAL].n == 0)
		printf("SKIPPED one-sa-2-workers/cipher-2-threads: packets were lost in every "
		       "round, "
		       "the machine has no two cores to spare\n");
	else
		printf("RATIO one-sa-2-workers/cipher-2-threads %.3f\n",
		       s[OPEN].ratio < s[SEAL].ratio ? s[OPEN].ratio : s[SEAL].ratio);
	return 0;
}
