/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One forwarding probe: when to send, what an answer means, when the path counts as up or down.
 *
 * Every packet gets one verdict, answered or lost, and verdicts are given in the order of sending,
 * so "in a row" means packets one after another on the path, however their answers were reordered.
 * Silence is a verdict once the timeout has passed (a little later, so that an answer received in
 * time but still on its way between threads is seen first); an ICMP error about the packet, or no
 * way to send it, is one as soon as those before it have theirs. An answer is judged by when
 * it was received, so a slow reader loses nothing. What comes after the timeout is late and what
 * comes twice is a duplicate: both are counted and change no verdict.
 *
 * A stall of the whole process delays answers and timers alike: packets in the queues get the time
 * of their reading. So packets whose timeout passed during a stall, or just after it, get no
 * verdict at all; a run of verdicts goes on over them. sent = received + lost + waiting + those.
 *
 * Memory is the struct alone: the last 128 packets, of which at most 102 wait (timeout at most
 * 10 s, interval at least 100 ms). Old numbers come round in the same slots; an answer names 16
 * bits of its number, and the cookie decides whether it is the one.
 */
#include "dataplane/probe.h"

#include <errno.h>
#include <string.h>

#define SPREAD_MAX_NS SPW_NS_PER_S

_Static_assert((DP_PROBE_SLOTS & (DP_PROBE_SLOTS - 1)) == 0, "slots are masked");
_Static_assert(DP_PROBE_RECENT <= 128, "a bit for each");

void
dp_probe_watch_run(struct dp_probe_watch *w, uint64_t now, uint64_t listened_ns)
{
	uint64_t meant = w->planned_ns > w->ran_ns ? w->planned_ns : w->ran_ns;
	bool late = w->ran_ns && meant < now && now - meant > DP_PROBE_STALL_NS;
	bool deaf = listened_ns < now && now - listened_ns > DP_PROBE_STALL_NS;

	if (late || deaf)
		w->blind_ns = now + DP_PROBE_GRACE_NS;
	w->ran_ns = now;
}

static int
check_times(const struct spw_dp_probe *c, struct spw_err *err)
{
	if (c->interval_ms < 100 || c->interval_ms > 60000)
		return spw_fail(err, -EINVAL, "probe %u: interval %u ms is not in 100..60000",
				c->id, c->interval_ms);
	if (c->timeout_ms < 10 || c->timeout_ms > 10000)
		return spw_fail(err, -EINVAL, "probe %u: timeout %u ms is not in 10..10000", c->id,
				c->timeout_ms);
	if (c->fall < 1 || c->fall > 100 || c->rise < 1 || c->rise > 100)
		return spw_fail(err, -EINVAL, "probe %u: fall %u and rise %u must be in 1..100",
				c->id, c->fall, c->rise);
	return 0;
}

int
dp_probe_check(const struct spw_dp_probe *c, struct spw_err *err)
{
	if (c->id >= SPW_DP_PROBES_MAX)
		return spw_fail(err, -EINVAL, "probe id %u is beyond the last, %u", c->id,
				SPW_DP_PROBES_MAX - 1);
	if (c->kind != SPW_PROBE_ICMP && c->kind != SPW_PROBE_TWAMP)
		return spw_fail(err, -EINVAL, "probe %u: unknown kind %u", c->id, c->kind);
	if (c->size < 64 || c->size > 9000)
		return spw_fail(err, -EINVAL, "probe %u: size %u is not in 64..9000", c->id,
				c->size);
	if (c->kind == SPW_PROBE_TWAMP && c->port == 0)
		return spw_fail(err, -EINVAL, "probe %u: a reflector has a port, not 0", c->id);
	if (c->dscp > 63)
		return spw_fail(err, -EINVAL, "probe %u: DSCP %u is not in 0..63", c->id, c->dscp);
	if (spw_addr_len(c->source.family) == 0 || c->source.family != c->target.family)
		return spw_fail(err, -EAFNOSUPPORT,
				"probe %u: source and target must both be IPv4 or both IPv6",
				c->id);
	return check_times(c, err);
}

bool
dp_probe_same(const struct spw_dp_probe *a, const struct spw_dp_probe *b)
{
	return a->id == b->id && a->path == b->path && a->kind == b->kind &&
	       a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
	       a->fall == b->fall && a->rise == b->rise && a->size == b->size &&
	       a->port == b->port && a->dscp == b->dscp && spw_addr_equal(&a->source, &b->source) &&
	       spw_addr_equal(&a->target, &b->target);
}

static uint64_t
interval_ns(const struct dp_probe *p)
{
	return p->conf.interval_ms * SPW_NS_PER_MS;
}

static uint64_t
timeout_ns(const struct dp_probe *p)
{
	return p->conf.timeout_ms * SPW_NS_PER_MS;
}

/* A fraction of the span for each id, neighbours far apart (the golden ratio's multiples). */
static uint64_t
spread(uint32_t id, uint64_t span)
{
	return (id * UINT32_C(0x9e3779b1)) * (span >> 16) >> 16;
}

void
dp_probe_start(struct dp_probe *p, const struct spw_dp_probe *conf, uint64_t now)
{
	memset(p, 0, sizeof(*p));
	p->conf = *conf;
	p->next_send_ns = now + spread(conf->id, interval_ns(p) < SPREAD_MAX_NS ? interval_ns(p)
										: SPREAD_MAX_NS);
}

bool
dp_probe_due(const struct dp_probe *p, uint64_t now)
{
	return now >= p->next_send_ns;
}

static struct dp_probe_slot *
slot_of(struct dp_probe *p, uint32_t seq)
{
	return &p->slot[seq % DP_PROBE_SLOTS];
}

uint32_t
dp_probe_sent(struct dp_probe *p, uint64_t now, uint64_t cookie)
{
	uint64_t behind = now - p->next_send_ns;
	uint32_t seq = p->next_seq++;

	*slot_of(p, seq) =
		(struct dp_probe_slot){.sent_ns = now, .cookie = cookie, .fate = DP_PROBE_WAITING};
	p->next_send_ns += (1 + behind / interval_ns(p)) * interval_ns(p);
	p->stats.sent++;
	return seq;
}

/* The remembered packet whose number ends in `seq`; false when there is none. */
static bool
find(const struct dp_probe *p, uint16_t seq, uint32_t *full)
{
	uint16_t age = (uint16_t)(p->next_seq - 1 - seq);

	*full = p->next_seq - 1 - age;
	return age < DP_PROBE_SLOTS && age < p->next_seq;
}

/* Has the packet had its verdict? */
static bool
judged(const struct dp_probe *p, uint32_t seq)
{
	return (int32_t)(seq - p->head_seq) < 0;
}

bool
dp_probe_refused(struct dp_probe *p, uint16_t seq, uint64_t cookie, uint32_t why, uint32_t mtu)
{
	uint32_t full;

	if (!find(p, seq, &full) || judged(p, full))
		return false;
	struct dp_probe_slot *s = slot_of(p, full);

	if (s->cookie != cookie || s->fate != DP_PROBE_WAITING || s->answered)
		return false;
	s->fate = DP_PROBE_REFUSED;
	s->why = (uint8_t)why;
	if (why == SPW_PROBE_WHY_TOO_BIG)
		p->stats.lost_mtu = mtu;
	return true;
}

uint32_t
dp_probe_bucket(uint64_t us)
{
	uint32_t log2 = us ? 63 - (uint32_t)__builtin_clzll(us) : 0;

	return log2 < SPW_DP_RTT_BUCKETS ? log2 : SPW_DP_RTT_BUCKETS - 1;
}

static void
count_rtt(struct spw_dp_probe_stats *st, uint64_t us)
{
	uint32_t us32 = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;

	st->rtt_last_us = us32;
	if (st->received == 0 || us32 < st->rtt_min_us)
		st->rtt_min_us = us32;
	if (us32 > st->rtt_max_us)
		st->rtt_max_us = us32;
	st->rtt_sum_us += us;
	st->rtt[dp_probe_bucket(us)]++;
	st->received++;
}

enum dp_probe_answer
dp_probe_answered(struct dp_probe *p, uint16_t seq, uint64_t cookie, uint64_t rx_ns, bool other_way)
{
	uint32_t full;

	if (!find(p, seq, &full) || slot_of(p, full)->cookie != cookie)
		return DP_PROBE_FOREIGN;
	struct dp_probe_slot *s = slot_of(p, full);
	/* Clocks of two cores may differ by a little: never below 0. */
	uint64_t rtt_ns = rx_ns > s->sent_ns ? rx_ns - s->sent_ns : 0;

	if (s->answered) {
		p->stats.duplicate++;
		return DP_PROBE_DUPLICATE;
	}
	s->answered = true;
	if (judged(p, full) || s->fate != DP_PROBE_WAITING || rtt_ns > timeout_ns(p)) {
		p->stats.late++;
		return DP_PROBE_LATE;
	}
	s->fate = DP_PROBE_ANSWERED;
	count_rtt(&p->stats, rtt_ns / SPW_NS_PER_US);
	p->stats.other_way += other_way;
	if (s->sent_ns > p->stats.last_ok_ns)
		p->stats.last_ok_ns = s->sent_ns;
	return DP_PROBE_TAKEN;
}

static void
remember(struct dp_probe *p, bool lost)
{
	uint64_t *word = &p->recent[p->recent_at / 64], bit = UINT64_C(1) << p->recent_at % 64;

	*word = lost ? *word | bit : *word & ~bit;
	p->recent_at = (uint8_t)((p->recent_at + 1) % DP_PROBE_RECENT);
	if (p->recent_n < DP_PROBE_RECENT)
		p->recent_n++;
}

/* One more verdict. True when the state changes by it. */
static bool
verdict(struct dp_probe *p, bool lost, uint64_t now)
{
	uint16_t *run = lost ? &p->run_lost : &p->run_ok;
	uint8_t to = lost ? SPW_PROBE_DOWN : SPW_PROBE_UP;

	remember(p, lost);
	*(lost ? &p->run_ok : &p->run_lost) = 0;
	if (*run < UINT16_MAX)
		(*run)++;
	if (p->state == to || *run < (lost ? p->conf.fall : p->conf.rise))
		return false;
	p->state = to;
	p->stats.changed_ns = now;
	return true;
}

static bool
lost(struct dp_probe *p, uint32_t why, uint64_t now)
{
	p->stats.lost++;
	p->stats.lost_why = why;
	return verdict(p, true, now);
}

bool
dp_probe_judge(struct dp_probe *p, const struct dp_probe_watch *w, uint64_t now)
{
	bool changed = false;

	while (!changed && p->head_seq != p->next_seq) {
		const struct dp_probe_slot *s = slot_of(p, p->head_seq);
		uint64_t timeout = s->sent_ns + timeout_ns(p);

		if (s->fate == DP_PROBE_WAITING && now <= timeout + DP_PROBE_SLACK_NS)
			break;
		p->head_seq++;
		if (s->fate == DP_PROBE_ANSWERED)
			changed = verdict(p, false, now);
		else if (s->fate == DP_PROBE_REFUSED)
			changed = lost(p, s->why, now);
		else if (timeout > w->blind_ns)
			changed = lost(p, SPW_PROBE_WHY_SILENCE, now);
	}
	return changed;
}

uint64_t
dp_probe_next_ns(const struct dp_probe *p)
{
	const struct dp_probe_slot *s = &p->slot[p->head_seq % DP_PROBE_SLOTS];

	if (p->head_seq == p->next_seq)
		return p->next_send_ns;
	if (s->fate != DP_PROBE_WAITING)
		return 0;
	uint64_t judge_ns = s->sent_ns + timeout_ns(p) + DP_PROBE_SLACK_NS + 1;

	return judge_ns < p->next_send_ns ? judge_ns : p->next_send_ns;
}

void
dp_probe_stats(const struct dp_probe *p, struct spw_dp_probe_stats *out)
{
	*out = p->stats;
	out->id = p->conf.id;
	out->path = p->conf.path;
	out->state = p->state;
	out->recent_sent = p->recent_n;
	out->recent_lost =
		(uint32_t)(__builtin_popcountll(p->recent[0]) + __builtin_popcountll(p->recent[1]));
}
