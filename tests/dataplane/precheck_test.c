/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dp_open_collect() and dp_open_precheck() against models that ask of each packet alone: whose it
 * is, which of a run become jobs, by what number, and why the others go. Nearly every run is done
 * without asking of each, so runs are made where that might go wrong: in line but for one, at the
 * edges of the window, where numbers come round at 2^32 (and the next SPI begins with the number
 * that would come), and so far ahead that with ESN the upper half changes within the run.
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

#define ROUNDS	 30000	     /* with SPW_LONG=1 in the environment twenty times as many */
#define WINDOW	 256	     /* the largest here */
#define ACCEPTED 192	     /* numbers that the window has taken, at most */
#define SPI	 0x12345678u /* and one more */
#define SAS	 2
#define SLOTS	 4 /* of the SAD; nothing has the others */

/* What has been seen, so that a test which sees nothing fails. */
struct seen {
	uint64_t whole[2], some[2], none[2];   /* runs by ESN: all kept, a part, nothing */
	uint64_t replayed, late, runts, split; /* split: kept numbers of two upper halves */
	uint64_t lines, others, strange, over; /* runs in line or not; no SA; to the next SPI */
};

struct world {
	uint64_t state;
	struct dp_sad sad;
	struct dp_worker w;
	struct dp_sa_in *sa; /* the first of them */
	_Atomic(struct dp_sa_in *) in[SLOTS];
	_Atomic uint32_t expect[SLOTS];
	struct rte_mbuf *pkt[DP_CRYPTO_RUN];
	struct {
		uint32_t spi, number, len;
		bool open, shared; /* shared: somebody else reads it, too */
	} told[DP_CRYPTO_RUN];	   /* of a mixture, for some are gone afterwards */
	uint32_t n_accepted;
	uint64_t accepted[ACCEPTED];
	struct seen seen;
};

static uint32_t
roll(struct world *o, uint32_t n)
{
	return (uint32_t)((fib_bed_random(&o->state) >> 32) * n >> 32);
}

static struct dp_sa_in *
sa_new(uint32_t spi)
{
	struct dp_sa_in *sa = aligned_alloc(
		64, (offsetof(struct dp_sa_in, replay) + dp_replay_bytes(WINDOW) + 63) / 64 * 64);

	memset(sa, 0, offsetof(struct dp_sa_in, replay));
	sa->spi = spi;
	dp_put_be32((uint8_t *)&sa->spi_be, spi);
	return sa;
}

static void
world_open(struct world *o)
{
	memset(o, 0, sizeof(*o));
	o->state = 88172645463325252;
	o->w.sad = &o->sad;
	o->w.pool = bed_pool();
	for (uint32_t spi = SPI; spi < SPI + SAS; spi++)
		o->in[spi % SLOTS] = sa_new(spi);
	o->sad.in = o->in;
	o->sad.expect = o->expect;
	o->sad.index_mask = SLOTS - 1;
	o->sa = o->in[SPI % SLOTS];
	for (unsigned int i = 0; i < DP_CRYPTO_RUN; i++) {
		o->pkt[i] = bed_packet(128);
		dp_pkt(o->pkt[i])->next = DP_NEXT_OPEN;
	}
}

static void
world_close(struct world *o)
{
	for (unsigned int i = 0; i < DP_CRYPTO_RUN; i++)
		rte_pktmbuf_free(o->pkt[i]);
	for (unsigned int i = 0; i < SLOTS; i++)
		free(o->in[i]);
}

/* A suite: AEAD, and AES-CBC with the long and the short tag. */
static void
change_suite(struct world *o, struct dp_sa_in *sa)
{
	static const uint8_t form[][3] = {{8, 16, 4}, {8, 16, 4}, {16, 16, 16}, {16, 12, 16}};
	const uint8_t *f = form[roll(o, RTE_DIM(form))];

	sa->iv_len = f[0];
	sa->tag_len = f[1];
	sa->align = f[2];
	sa->esn = roll(o, 2);
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

static bool
runt(const struct dp_sa_in *sa, uint32_t len)
{
	const int64_t text = (int64_t)len - 8 - sa->iv_len - sa->tag_len;

	return text <= 0 || text % sa->align != 0;
}

/* Why the packet must go; DP_DROP_COUNT when it must not. */
static enum dp_drop
judge(const struct world *o, uint32_t len, uint64_t seq)
{
	const struct dp_replay *r = &o->sa->replay;

	if (runt(o->sa, len))
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
length(struct world *o, const struct dp_sa_in *sa, bool odd)
{
	const uint32_t around = 8u + sa->iv_len + sa->tag_len;

	return odd ? 12 + roll(o, around + 20) : around + sa->align * (1 + roll(o, 4));
}

static void
packet_put(struct rte_mbuf *m, uint32_t len, uint32_t spi, uint32_t number)
{
	uint8_t *esp = rte_pktmbuf_mtod(m, uint8_t *);

	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	dp_put_be32(esp, spi);
	dp_put_be32(esp + 4, number);
}

/* The packets of a run: in line, but in one of two runs for some numbers, in one of four lengths.
 */
static void
packets_put(struct world *o, uint32_t n)
{
	const uint32_t numbers = roll(o, 2) ? 0 : 1 + roll(o, n), lengths = roll(o, 4) == 0;
	uint32_t seq = first_number(o);

	for (uint32_t i = 0; i < n; i++, seq++) {
		if (numbers != 0 && roll(o, numbers) == 0)
			seq += roll(o, 2) ? roll(o, 5) - 2 : roll(o, 400) - 200;
		packet_put(o->pkt[i], length(o, o->sa, lengths && roll(o, 4) == 0), SPI, seq);
	}
}

/* The job of a packet whose length is right. */
static void
job_is(const struct dp_crypto_job *job, const struct dp_sa_in *sa, struct rte_mbuf *m, uint64_t seq)
{
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
		job_is(&r->job[kept], o->sa, o->pkt[i], seq);
		assert_int_equal(r->at[kept], i);
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

/* Put `n` packets into a burst, and collect them. */
static void
collect(struct world *o, uint32_t n, struct dp_burst *b, struct dp_open_queue *q)
{
	b->n = (uint16_t)n;
	memcpy(b->pkt, o->pkt, n * sizeof(*b->pkt));
	memset(&o->w.count, 0, sizeof(o->w.count));
	dp_open_collect(&o->w, b, q);
}

static void
one_run(struct world *o, uint32_t n)
{
	uint64_t drop[DP_DROP_COUNT] = {0};
	struct dp_open_queue q;
	struct dp_burst b;
	struct dp_open_run run = {.n = (uint16_t)n, .at = q.at, .job = q.job};

	collect(o, n, &b, &q);
	assert_int_equal(q.n, n);
	assert_int_equal(q.n_runs, 1);
	assert_int_equal(q.run[1].from, n);
	run.sa = q.run[0].sa;
	run.in_line = q.run[0].in_line;
	assert_ptr_equal(run.sa, o->sa);
	o->sa->replayed = o->sa->late = 0;
	for (uint32_t i = 0; i < n; i++)
		rte_mbuf_refcnt_update(o->pkt[i], 1);
	dp_open_precheck(&o->w, &b, &run);
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
			change_suite(&o, o.sa);
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

/* Packets of both SAs and of none, mostly in line; some are not to be opened. */
static void
mixture_put(struct world *o, uint32_t n)
{
	const uint32_t others = 1 + roll(o, 40), lengths = 1 + roll(o, 80);
	uint32_t spi = SPI, number = roll(o, 2) ? roll(o, 9) : 0u - roll(o, 300);

	for (uint32_t i = 0; i < n; i++, number++) {
		const struct dp_sa_in *sa;

		if (number == 0 && spi < SPI + SAS && roll(o, 2))
			spi++;
		else if (roll(o, others) == 0)
			spi = SPI + roll(o, SAS + 1);
		if (roll(o, others) == 0)
			number += roll(o, 2) ? 1 : 0u - roll(o, roll(o, 2) ? 6 : 300);
		sa = o->in[spi % SLOTS];
		o->told[i].spi = spi;
		o->told[i].number = number;
		o->told[i].len = length(o, sa != NULL ? sa : o->sa, roll(o, lengths) == 0);
		o->told[i].open = roll(o, others) != 0;
		o->told[i].shared = roll(o, others) == 0;
		if (o->told[i].shared)
			rte_mbuf_refcnt_update(o->pkt[i], 1);
		packet_put(o->pkt[i], o->told[i].len, spi, number);
		dp_pkt(o->pkt[i])->next = o->told[i].open ? DP_NEXT_OPEN : DP_NEXT_FIB;
	}
}

/* The run from job `from` to `end`: is it in line? */
static bool
line_of(const struct dp_open_queue *q, uint32_t from, uint32_t end)
{
	for (uint32_t k = from; k < end; k++)
		if (q->job[k].text_len == 0 ||
		    (k != from && q->job[k].seq != q->job[k - 1].seq + 1))
			return false;
	return true;
}

/* One packet of the mixture, the `k`th to be opened. */
static void
place_is(const struct world *o, const struct dp_open_queue *q, struct rte_mbuf *m, uint32_t i,
	 uint32_t k)
{
	const struct dp_sa_in *sa = o->in[o->told[i].spi % SLOTS];

	assert_true(k < q->n);
	assert_int_equal(q->at[k], i);
	if (!runt(sa, o->told[i].len)) {
		job_is(&q->job[k], sa, m, o->told[i].number);
		return;
	}
	assert_int_equal(q->job[k].text_len, 0);
	assert_true(q->job[k].seq == o->told[i].number);
}

/* The runs are in line where they say so. */
static void
lines_are(struct world *o, const struct dp_open_queue *q)
{
	for (uint32_t k = 0; k < q->n_runs; k++) {
		const struct dp_open_part *part = &q->run[k];

		assert_int_equal(part->in_line, line_of(q, part->from, part[1].from));
		*(part->in_line ? &o->seen.lines : &o->seen.others) += 1;
		o->seen.over += k != 0 && q->job[part->from].seq == 0 &&
				q->job[part->from - 1].seq == UINT32_MAX &&
				part->sa->spi == part[-1].sa->spi + 1;
	}
}

static void
queue_is(struct world *o, const struct dp_burst *b, const struct dp_open_queue *q, uint32_t n)
{
	uint32_t opened = 0, strange = 0, run = 0;

	for (uint32_t i = 0; i < n; i++) {
		const bool known = o->in[o->told[i].spi % SLOTS] != NULL;

		assert_int_equal(b->pkt[i] == NULL, o->told[i].open && !known);
		assert_int_equal(b->pkt[i] == o->pkt[i],
				 !o->told[i].open || (known && !o->told[i].shared));
		strange += o->told[i].open && !known;
		if (!o->told[i].open || !known)
			continue;
		run += opened == q->run[run + 1].from;
		assert_true(run < q->n_runs);
		assert_int_equal(q->run[run].sa->spi, o->told[i].spi);
		place_is(o, q, b->pkt[i], i, opened++);
	}
	assert_int_equal(q->n, opened);
	assert_int_equal(q->n_runs, opened != 0 ? run + 1 : 0);
	assert_int_equal(q->run[q->n_runs].from, opened);
	assert_int_equal(o->w.count.drop[DP_DROP_ESP_SPI], strange);
	assert_int_equal(o->w.count.dropped, strange);
	o->seen.strange += strange;
	lines_are(o, q);
}

/* Free the copies that were made of shared packets, and put others in place of the dropped ones. */
static void
mixture_take(struct world *o, struct dp_burst *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (b->pkt[i] != o->pkt[i])
			rte_pktmbuf_free(b->pkt[i]);
		if (o->told[i].shared && b->pkt[i] == o->pkt[i])
			rte_mbuf_refcnt_update(o->pkt[i], -1);
		if (b->pkt[i] == NULL && !o->told[i].shared)
			o->pkt[i] = bed_packet(128);
		assert_int_equal(rte_mbuf_refcnt_read(o->pkt[i]), 1);
	}
}

static void
each_packet_is_opened_by_the_sa_of_its_spi(void **state)
{
	const int n = getenv("SPW_LONG") != NULL ? 20 * ROUNDS : ROUNDS;
	struct dp_open_queue q;
	struct dp_burst b;
	struct world o;

	world_open(&o);
	for (int round = 0; round < n; round++) {
		uint32_t packets = 1 + roll(&o, DP_CRYPTO_RUN);

		for (int i = 0; i < SAS && round % 8 == 0; i++)
			change_suite(&o, o.in[(SPI + i) % SLOTS]);
		mixture_put(&o, packets);
		collect(&o, packets, &b, &q);
		queue_is(&o, &b, &q, packets);
		mixture_take(&o, &b, packets);
	}
	assert_true(o.seen.lines > 1000 && o.seen.others > 1000);
	assert_true(o.seen.strange > 1000 && o.seen.over > 100);
	world_close(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_judged_as_its_packets_alone),
		cmocka_unit_test(each_packet_is_opened_by_the_sa_of_its_spi),
	};

	return cmocka_run_group_tests_name("precheck", tests, bed_start, bed_stop);
}
