/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dp_open_precheck() against a model that asks of each packet alone: which of a run become jobs, by
 * what number, and why the others go. Nearly every run is done without asking of each, so runs are
 * made where that might go wrong: in line but for one, at the edges of the window, where numbers
 * come round at 2^32, and so far ahead that with ESN the upper half changes within the run.
 *
 * The model keeps the numbers that were accepted in a list, and finds the upper half of a number by
 * trying three (RFC 4303 A2.2). Packets have no text, for nothing is opened.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/esp_open.h"
#include "dataplane/wire.h"
#include "tests/dataplane/esp_bed.h"
#include "tests/dataplane/fib_bed.h"

#define ROUNDS	 30000 /* with SPW_LONG=1 in the environment twenty times as many */
#define WINDOW	 256   /* the largest here */
#define ACCEPTED 192   /* numbers that the window has taken, at most */
#define SPI	 0x12345678u

/* What has been seen, so that a test which sees nothing fails. */
struct seen {
	uint64_t whole[2], some[2], none[2];   /* runs by ESN: all kept, a part, nothing */
	uint64_t replayed, late, runts, split; /* split: kept numbers of two upper halves */
};

struct world {
	uint64_t state;
	struct dp_sad sad;
	struct dp_worker w;
	struct dp_sa_in *sa;
	struct rte_mbuf *pkt[DP_CRYPTO_RUN];
	uint32_t n_accepted;
	uint64_t accepted[ACCEPTED];
	struct seen seen;
};

static uint32_t
roll(struct world *o, uint32_t n)
{
	return (uint32_t)((fib_bed_random(&o->state) >> 32) * n >> 32);
}

static void
world_open(struct world *o)
{
	memset(o, 0, sizeof(*o));
	o->state = 88172645463325252;
	o->w.sad = &o->sad;
	o->sa = aligned_alloc(
		64, (offsetof(struct dp_sa_in, replay) + dp_replay_bytes(WINDOW) + 63) / 64 * 64);
	memset(o->sa, 0, offsetof(struct dp_sa_in, replay));
	o->sa->spi = SPI;
	dp_put_be32((uint8_t *)&o->sa->spi_be, SPI);
	for (unsigned int i = 0; i < DP_CRYPTO_RUN; i++)
		o->pkt[i] = bed_packet(128);
}

static void
world_close(struct world *o)
{
	for (unsigned int i = 0; i < DP_CRYPTO_RUN; i++)
		rte_pktmbuf_free(o->pkt[i]);
	free(o->sa);
}

/* A suite: AEAD, and AES-CBC with the long and the short tag. */
static void
change_suite(struct world *o)
{
	static const uint8_t form[][3] = {{8, 16, 4}, {8, 16, 4}, {16, 16, 16}, {16, 12, 16}};
	const uint8_t *f = form[roll(o, RTE_DIM(form))];

	o->sa->iv_len = f[0];
	o->sa->tag_len = f[1];
	o->sa->align = f[2];
	o->sa->esn = roll(o, 2);
}

static void
take(struct world *o, uint64_t seq)
{
	if (seq == 0 || (!o->sa->esn && seq > UINT32_MAX) || o->n_accepted == ACCEPTED ||
	    dp_replay_accept(&o->sa->replay, seq) != DP_REPLAY_OK)
		return;
	o->accepted[o->n_accepted++] = seq;
}

/* A window somewhere, often near 2^32, with holes. */
static void
change_window(struct world *o)
{
	static const uint32_t sizes[] = {64, 64, 128, WINDOW, 0};
	const uint64_t near32 = (UINT64_C(1) << 32) - 160 + roll(o, 320);
	const uint64_t starts[] = {
		0,	roll(o, 300),	     near32,
		near32, roll(o, UINT32_MAX), near32 + ((uint64_t)roll(o, 5) << 32)};
	uint64_t seq = starts[roll(o, RTE_DIM(starts))];

	if (!o->sa->esn && seq > UINT32_MAX)
		seq = UINT32_MAX - roll(o, 80);
	dp_replay_init(&o->sa->replay, sizes[roll(o, RTE_DIM(sizes))]);
	o->n_accepted = 0;
	for (uint32_t i = roll(o, ACCEPTED); i > 0; i--)
		take(o, seq += roll(o, 3) ? 1 : roll(o, 6));
}

/* The number that 32 bits stand for: the lowest with them that is not left of the window. */
static uint64_t
number_of(const struct world *o, uint32_t lo)
{
	const struct dp_replay *r = &o->sa->replay;
	const int64_t reach = r->size == 0 ? DP_REPLAY_MIN : r->size;
	const int64_t bottom = (int64_t)r->top - (reach - 1);
	int64_t n = (int64_t)(r->top >> 32 << 32 | lo) - (INT64_C(2) << 32);

	if (!o->sa->esn)
		return lo;
	while (n < bottom)
		n += INT64_C(1) << 32;
	return n < 0 ? 0 : (uint64_t)n;
}

/* Why the packet must go; DP_DROP_COUNT when it must not. */
static enum dp_drop
judge(const struct world *o, uint32_t len, uint64_t seq)
{
	const struct dp_sa_in *sa = o->sa;
	const int64_t text = (int64_t)len - 8 - sa->iv_len - sa->tag_len;
	const struct dp_replay *r = &sa->replay;

	if (text <= 0 || text % sa->align != 0)
		return DP_DROP_ESP_RUNT;
	if (r->size == 0)
		return DP_DROP_COUNT;
	if (seq + r->size <= r->top)
		return DP_DROP_ESP_LATE;
	if (seq == 0)
		return DP_DROP_ESP_REPLAY;
	for (uint32_t i = 0; i < o->n_accepted; i++)
		if (o->accepted[i] == seq)
			return DP_DROP_ESP_REPLAY;
	return DP_DROP_COUNT;
}

/* Where a run begins: the next number, or one about an edge of the window, or of its reach. */
static uint32_t
first_number(struct world *o)
{
	const uint64_t top = o->sa->replay.top, size = o->sa->replay.size;

	switch (roll(o, 6)) {
	case 0:
	case 1: return (uint32_t)(top + 1 + roll(o, 3));
	case 2: return (uint32_t)(top - size - 40 + roll(o, 80));
	case 3: return (uint32_t)(top - 40 + roll(o, 80));
	case 4: return 0u - 70 + roll(o, 80);
	default: return (uint32_t)(top + (UINT64_C(1) << 31) - 40 + roll(o, 80));
	}
}

static uint32_t
length(struct world *o, bool odd)
{
	const struct dp_sa_in *sa = o->sa;
	const uint32_t around = 8u + sa->iv_len + sa->tag_len;

	return odd ? 12 + roll(o, around + 20) : around + sa->align * (1 + roll(o, 4));
}

/* The packets of a run: in line, but in one of two runs for some numbers, in one of four lengths.
 */
static void
packets_put(struct world *o, uint32_t n)
{
	const uint32_t numbers = roll(o, 2) ? 0 : 1 + roll(o, n), lengths = roll(o, 4) == 0;
	uint32_t seq = first_number(o);

	for (uint32_t i = 0; i < n; i++, seq++) {
		struct rte_mbuf *m = o->pkt[i];
		uint8_t *esp = rte_pktmbuf_mtod(m, uint8_t *);

		if (numbers != 0 && roll(o, numbers) == 0)
			seq += roll(o, 2) ? roll(o, 5) - 2 : roll(o, 400) - 200;
		m->data_len = (uint16_t)length(o, lengths && roll(o, 4) == 0);
		m->pkt_len = m->data_len;
		dp_put_be32(esp, SPI);
		dp_put_be32(esp + 4, seq);
	}
}

/* One kept packet is the `k`th job. */
static void
job_is(const struct world *o, const struct dp_open_run *r, uint32_t k, struct rte_mbuf *m,
       uint64_t seq)
{
	const struct dp_sa_in *sa = o->sa;
	const struct dp_crypto_job *job = &r->job[k];

	assert_ptr_equal(r->item[k].m, m);
	assert_ptr_equal(job->text, rte_pktmbuf_mtod(m, uint8_t *) + 8 + sa->iv_len);
	assert_int_equal(job->text_len, m->data_len - 8 - sa->iv_len - sa->tag_len);
	assert_int_equal(job->spi_be, sa->spi_be);
	assert_true(job->seq == seq);
}

/* The run is what the model keeps of its packets, in their order; `drop` receives the others. */
static void
run_is(struct world *o, const struct dp_burst *b, const struct dp_open_run *r, uint32_t n,
       uint64_t *drop)
{
	bool in_line = true;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint64_t seq =
			number_of(o, dp_be32(rte_pktmbuf_mtod(o->pkt[i], uint8_t *) + 4));
		const enum dp_drop why = judge(o, o->pkt[i]->data_len, seq);

		if (why != DP_DROP_COUNT) {
			drop[why]++;
			assert_null(b->pkt[i]);
			continue;
		}
		assert_ptr_equal(b->pkt[i], o->pkt[i]);
		assert_true(kept < r->n);
		job_is(o, r, kept, o->pkt[i], seq);
		assert_int_equal(r->item[kept].at, i);
		in_line &= kept == 0 || r->job[kept - 1].seq + 1 == seq;
		o->seen.split += kept != 0 && r->job[kept - 1].seq >> 32 != seq >> 32;
		kept++;
	}
	assert_int_equal(r->n, kept);
	assert_int_equal(r->in_line, in_line);
	(kept == n ? o->seen.whole : kept != 0 ? o->seen.some : o->seen.none)[o->sa->esn]++;
}

static void
drops_are(struct world *o, const uint64_t *drop)
{
	assert_memory_equal(o->w.count.drop, drop, sizeof(o->w.count.drop));
	assert_int_equal(atomic_load(&o->sa->replayed), drop[DP_DROP_ESP_REPLAY]);
	assert_int_equal(atomic_load(&o->sa->late), drop[DP_DROP_ESP_LATE]);
	o->seen.replayed += drop[DP_DROP_ESP_REPLAY];
	o->seen.late += drop[DP_DROP_ESP_LATE];
	o->seen.runts += drop[DP_DROP_ESP_RUNT];
}

static void
one_run(struct world *o, uint32_t n)
{
	struct dp_open_item item[DP_CRYPTO_RUN];
	struct dp_open_run run = {.sa = o->sa, .item = item};
	uint64_t drop[DP_DROP_COUNT] = {0};
	struct dp_burst b = {.n = (uint16_t)n};

	memset(&o->w.count, 0, sizeof(o->w.count));
	o->sa->replayed = o->sa->late = 0;
	for (uint16_t i = 0; i < n; i++) {
		b.pkt[i] = o->pkt[i];
		item[i] = (struct dp_open_item){.m = o->pkt[i], .sa = o->sa, .at = i};
		rte_mbuf_refcnt_update(o->pkt[i], 1);
	}
	dp_open_precheck(&o->w, &b, &run, (uint16_t)n);
	for (uint32_t i = 0; i < n; i++)
		if (b.pkt[i] != NULL)
			rte_mbuf_refcnt_update(o->pkt[i], -1);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(rte_mbuf_refcnt_read(o->pkt[i]), 1);
	run_is(o, &b, &run, n, drop);
	drops_are(o, drop);
}

static void
a_run_is_judged_as_its_packets_alone(void **state)
{
	static const uint32_t sizes[] = {1, 2, 8, DP_CRYPTO_RUN, DP_CRYPTO_RUN};
	const int n = getenv("SPW_LONG") != NULL ? 20 * ROUNDS : ROUNDS;
	struct world o;

	world_open(&o);
	for (int round = 0; round < n; round++) {
		uint32_t packets = 1 + roll(&o, sizes[roll(&o, RTE_DIM(sizes))]);

		if (round % 8 == 0) {
			change_suite(&o);
			change_window(&o);
		}
		packets_put(&o, packets);
		one_run(&o, packets);
	}
	for (int esn = 0; esn < 2; esn++)
		assert_true(o.seen.whole[esn] > 500 && o.seen.some[esn] > 500 &&
			    o.seen.none[esn] > 100);
	assert_true(o.seen.replayed > 1000 && o.seen.late > 1000 && o.seen.runts > 1000);
	assert_true(o.seen.split > 100);
	world_close(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_judged_as_its_packets_alone),
	};

	return cmocka_run_group_tests_name("precheck", tests, bed_start, bed_stop);
}
