/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealing on an SA that other workers seal on, too.
 *
 * dp_claim() gives a worker small blocks of numbers, and none while another worker is too far
 * behind. Packets without a number wait here, in the order in which they came; the loop tries them
 * again after each burst, in bursts of their own, so no stage ever waits. Later packets of a tunnel
 * wait behind earlier ones. The wait is bounded in packets and in time, because a worker that was
 * stopped with numbers in flight holds the others at the edge of the receiver's window.
 *
 * Numbers are in flight until dp_seal_sent() after the transmit stage, by which time each packet of
 * the burst was given to the SA's queue or dropped; packets that are lent out stay in flight until
 * they come back and are sent. (A sealed packet that waits for its next hop's MAC counts as sent:
 * while a next hop is not known nothing overtakes it there.)
 *
 * One worker's own; no memory is allocated after the start.
 */
#include "dataplane/spread_seal.h"

#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/sad_data.h"
#include "dataplane/spread.h"

#define MASK (DP_SEAL_WAIT - 1)

struct dp_seal *
dp_seal_new(uint64_t hz)
{
	struct dp_seal *s = calloc(1, sizeof(*s));

	if (s != NULL) {
		s->patience_tsc = hz / 1000000 * DP_SEAL_WAIT_US;
		s->hold_tsc = hz / 1000000 * DP_SEAL_HOLD_US;
	}
	return s;
}

void
dp_seal_free(struct dp_seal *s)
{
	free(s);
}

bool
dp_seal_holds(const struct dp_seal *s, uint32_t tunnel)
{
	if (s->again) {
		for (uint32_t i = 0; i < s->n_back; i++)
			if (dp_pkt(s->back[i].m)->tunnel == tunnel)
				return true;
		return false;
	}
	for (uint32_t i = 0; i < s->n; i++)
		if (dp_pkt(s->ring[(s->head + i) & MASK].m)->tunnel == tunnel)
			return true;
	return false;
}

static void
give_up(struct dp_worker *w, struct dp_sa_out *sa, struct rte_mbuf *m)
{
	dp_claim_forget(&sa->count[w->index]);
	dp_drop(w, m, DP_DROP_SEAL_WAIT);
}

/* One that was tried again, to wait on unless its time is over. */
static void
wait_on(struct dp_worker *w, struct dp_sa_out *sa, struct rte_mbuf *m)
{
	struct dp_seal *s = w->seal;
	uint32_t i = 0;

	while (i < s->n_tried && s->tried[i].m != m)
		i++;
	if (i == s->n_tried || w->now_tsc - s->tried[i].since_tsc > s->patience_tsc)
		give_up(w, sa, m);
	else
		s->back[s->n_back++] = s->tried[i];
}

void
dp_seal_wait(struct dp_worker *w, struct dp_sa_out *sa, struct rte_mbuf *m)
{
	struct dp_seal *s = w->seal;

	if (s->again)
		wait_on(w, sa, m);
	else if (s->n == DP_SEAL_WAIT)
		give_up(w, sa, m);
	else
		s->ring[(s->head + s->n++) & MASK] = (struct dp_seal_item){m, w->now_tsc};
}

void
dp_seal_take(struct dp_seal *s, struct dp_burst *b)
{
	s->n_tried = s->n < DP_BURST ? s->n : DP_BURST;
	s->n_back = 0;
	s->again = true;
	b->n = 0;
	b->kinds = 0;
	for (uint32_t i = 0; i < s->n_tried; i++) {
		s->tried[i] = s->ring[s->head++ & MASK];
		(void)dp_burst_add(b, s->tried[i].m); /* empty, and larger */
	}
	s->n -= s->n_tried;
}

bool
dp_seal_tried(struct dp_seal *s)
{
	for (uint32_t i = s->n_back; i > 0; i--)
		s->ring[--s->head & MASK] = s->back[i - 1];
	s->n += s->n_back;
	s->again = false;
	return s->n_back < s->n_tried;
}

void
dp_seal_note(struct dp_seal *s, struct dp_sa_out *sa)
{
	if (s->n_noted == 0 || s->noted[s->n_noted - 1] != sa)
		s->noted[s->n_noted++] = sa;
}

void
dp_seal_sent(struct dp_worker *w)
{
	struct dp_seal *s = w->seal;

	for (uint32_t i = 0; i < s->n_noted; i++) {
		struct dp_sa_out *sa = s->noted[i];
		const struct dp_chunk *out = dp_spread_oldest(w->spread, sa);

		dp_claim_sent(&sa->count[w->index], out != NULL ? out->job[0].seq : 0);
	}
	s->n_noted = 0;
}

void
dp_seal_flush(struct dp_worker *w)
{
	struct dp_seal *s = w->seal;

	for (; s->n > 0; s->n--)
		dp_drop(w, s->ring[s->head++ & MASK].m, DP_DROP_SEAL_WAIT);
}
