/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of a worker's loop that shares the cipher work of SAs among workers.
 *
 * A turn comes after each receive. The worker runs what it offered and nobody took (all of it when
 * nothing was received, all but the freshest otherwise, so that helpers find work while it
 * receives), sends what is back through the rest of the pipeline, tries packets again that wait for
 * numbers, and with few packets of its own runs one chunk for somebody else. Nothing in here waits
 * but hold(), for a tenth of a millisecond.
 *
 * Whether anything is offered at all is decided in the stages, run by run (dp_spread_choose());
 * with light load a turn is a few loads from lines that nobody writes.
 *
 * Chunks that are out hold SAs; dp_spread_report() tells the writers only what is true for these,
 * too (see spread.c). That needs the counter of rte_rcu_qsbr itself: rte_rcu_qsbr_quiescent()
 * reports the newest token only.
 */
#include "dataplane/spread_turn.h"

#include <errno.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/sad.h"

int
dp_spread_start(struct dp_worker *const *w, unsigned int n, struct spw_err *err)
{
	struct dp_spread *all[DP_SPREAD_MAX];

	if (n < 2)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		w[i]->spread = all[i] = dp_spread_new(i);
		w[i]->seal = dp_seal_new(rte_get_tsc_hz());
		if (all[i] == NULL || w[i]->seal == NULL)
			return spw_fail(err, -ENOMEM, "no memory for %u workers", n);
	}
	for (unsigned int i = 0; i < n; i++)
		dp_spread_join(all[i], all, n);
	return 0;
}

void
dp_spread_stop(struct dp_worker *w)
{
	dp_spread_free(w->spread);
	dp_seal_free(w->seal);
	w->spread = NULL;
	w->seal = NULL;
}

/* Send on what is back, oldest first, in bursts. */
static uint32_t
send_back(struct dp_worker *w, struct dp_burst *b)
{
	uint32_t total = 0, n;

	while (dp_spread_out(w->spread) && (n = dp_pipeline_back(w, b)) != 0)
		total += n;
	return total;
}

/* Try again what waits for numbers, as long as some get through. */
static uint32_t
try_again(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_seal *s = w->seal;
	uint32_t total = 0;

	while (s->n != 0) {
		dp_seal_take(s, b);
		dp_pipeline_again(w, b);
		if (!dp_seal_tried(s))
			break;
		total += s->n_tried - s->n_back;
	}
	return total;
}

/*
 * Too much waits for numbers: the port's queue shall keep the rest while the worker that is in
 * front comes through. But not for long, because other traffic is in that queue, too.
 */
static uint32_t
hold(struct dp_worker *w, struct dp_burst *b)
{
	struct dp_seal *s = w->seal;
	uint64_t end = rte_rdtsc() + s->hold_tsc;
	uint32_t moved = 0, n;

	while (s->n >= DP_SEAL_HIGH && !s->stuck) {
		n = try_again(w, b);
		moved += n;
		s->stuck = n == 0 && rte_rdtsc() > end;
		rte_pause();
	}
	return moved;
}

uint32_t
dp_spread_turn(struct dp_worker *w, struct dp_burst *b, uint32_t n)
{
	struct dp_spread *s = w->spread;
	uint32_t moved = 0;

	dp_spread_set_wants(s, s->wanting);
	s->wanting = false;
	if (dp_spread_out(s)) {
		dp_spread_run_own(s, w->crypto, n != 0);
		moved += send_back(w, b);
	}
	if (unlikely(w->seal->n != 0)) {
		uint32_t through = try_again(w, b);

		w->seal->stuck &= through == 0;
		moved += through + hold(w, b);
	}
	dp_spread_set_hungry(s, n < DP_TURN_LIGHT && !dp_spread_out(s) && w->seal->n == 0);
	if (n < DP_TURN_LIGHT && dp_spread_help(s, w->crypto))
		moved++;
	return moved;
}

bool
dp_spread_may_sleep(const struct dp_worker *w)
{
	return !dp_spread_out(w->spread) && w->seal->n == 0 && !dp_spread_wanted(w->spread);
}

void
dp_spread_report(struct dp_worker *w)
{
	struct rte_rcu_qsbr *v = w->tables->qsbr;
	uint64_t now = __atomic_load_n(&v->token, __ATOMIC_ACQUIRE);
	uint64_t seen = dp_spread_quiesce(w->spread, now);

	if (seen != 0 && seen != __atomic_load_n(&v->qsbr_cnt[w->index].cnt, __ATOMIC_RELAXED))
		__atomic_store_n(&v->qsbr_cnt[w->index].cnt, seen, __ATOMIC_RELEASE);
}

void
dp_spread_flush(struct dp_worker *w, struct dp_burst *b)
{
	dp_spread_set_hungry(w->spread, false);
	while (dp_spread_out(w->spread)) {
		dp_spread_run_own(w->spread, w->crypto, false);
		send_back(w, b);
		rte_pause();
	}
	dp_seal_flush(w);
}
