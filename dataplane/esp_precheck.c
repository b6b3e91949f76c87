/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Before the cipher of the open stage: lengths and numbers.
 *
 * Nearly every run has packets whose numbers follow each other, which collect has seen, and lie
 * beyond the window: that is found out without asking of each. Of any other run each packet is held
 * against the window, which decides nothing yet (esp_open.c asks again after the tag).
 *
 * Worker thread, under the SA's guard.
 */
#include "dataplane/esp_open.h"

void
dp_open_refuse_replay(struct dp_worker *w, struct dp_burst *b, struct dp_sa_in *sa, uint16_t at,
		      enum dp_replay_verdict verdict)
{
	if (verdict == DP_REPLAY_LATE) {
		dp_count_shared(&sa->late);
		dp_open_refuse(w, b, at, DP_DROP_ESP_LATE);
	} else {
		dp_count_shared(&sa->replayed);
		dp_open_refuse(w, b, at, DP_DROP_ESP_REPLAY);
	}
}

/* The number of a packet that shows `lo`. */
static inline uint64_t
whole_number(const struct dp_sa_in *sa, uint32_t lo)
{
	return sa->esn ? dp_replay_infer(sa->replay.top, sa->replay.size, lo) : lo;
}

/* Keep packet `i` in the run unless its length or its number is wrong. */
static void
precheck_one(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r, uint16_t i)
{
	const uint64_t seq = whole_number(r->sa, (uint32_t)r->job[i].seq);
	enum dp_replay_verdict verdict;

	if (unlikely(r->job[i].text_len == 0)) {
		dp_open_refuse(w, b, r->at[i], DP_DROP_ESP_RUNT);
		return;
	}
	verdict = dp_replay_check(&r->sa->replay, seq);
	if (unlikely(verdict != DP_REPLAY_OK)) {
		dp_open_refuse_replay(w, b, r->sa, r->at[i], verdict);
		return;
	}
	r->in_line &= r->n == 0 || seq == r->job[r->n - 1].seq + 1;
	if (unlikely(r->n != i))
		dp_open_keep(r, i, r->n);
	r->job[r->n++].seq = seq;
}

/* The usual run: in line, and beyond the window. False when it is another: nothing was done. */
static bool
precheck_line(struct dp_open_run *r)
{
	const uint64_t first = r->job[0].seq, seq = whole_number(r->sa, (uint32_t)first);
	const uint64_t top = r->sa->replay.top;

	/* Not so far ahead that the upper halves might differ. */
	if (unlikely(!r->in_line || seq <= top || seq - top > INT32_MAX))
		return false;
	if (seq != first)
		for (uint16_t i = 0; i < r->n; i++)
			r->job[i].seq = seq + i;
	return true;
}

void
dp_open_precheck(struct dp_worker *w, struct dp_burst *b, struct dp_open_run *r)
{
	const uint16_t n = r->n;

	dp_open_guard(w->sad, r->sa);
	if (unlikely(!precheck_line(r))) {
		r->n = 0;
		r->in_line = true;
		for (uint16_t i = 0; i < n; i++)
			precheck_one(w, b, r, i);
	}
	dp_open_unguard(w->sad, r->sa);
}
