/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BFD state machine: asynchronous mode, active role, no echo, no authentication (RFC 5880 6.8).
 *
 * States move as 6.8.6 says. The detection time runs from when the newest packet was received, not
 * from when it was read, and ends only when somebody had listened until then. The wait between two
 * packets is kept as what was sent when and a share of the interval, so every change of the
 * interval holds at once (6.8.3: a lower one must); what must not change before the peer knows is
 * held until the Poll Sequence ends. A packet whose content changed goes out at once (6.8.7), which
 * tells the peer of Down before the slow timer would.
 *
 * A peer in AdminDown takes the session down but gives no verdict on the path (RFC 5882 3.2), and
 * neither does our own AdminDown. Demand mode is not used; a peer may use it, then nothing but
 * Polls is sent while both are up.
 *
 * Times are compared by their difference, so any start of the clock does. Pure; no allocation.
 */
#include "dataplane/bfd.h"

#include <string.h>

#define JITTER_ONE   1024
#define JITTER_LEAST 768 /* 75 % */
#define JITTER_TIGHT 921 /* 90 %, with a multiplier of 1 */

/* Has `when` come at `now`? */
static bool
reached(uint64_t now, uint64_t when)
{
	return (int64_t)(now - when) >= 0;
}

/* A number by lot. */
static uint32_t
by_lot(struct dp_bfd *b)
{
	uint64_t z = b->chance += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) >> 32);
}

static void
jitter_draw(struct dp_bfd *b)
{
	uint32_t most = b->want.mult > 1 ? JITTER_ONE : JITTER_TIGHT;

	b->jitter = JITTER_LEAST + by_lot(b) % (most - JITTER_LEAST + 1);
}

static uint32_t
larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Nothing is sent by the clock: the peer wants none, or is in Demand mode with both of us up. */
static bool
silent(const struct dp_bfd *b)
{
	return b->remote_min_rx_us == 0 || (b->remote_demand && b->state == SPW_BFD_UP &&
					    b->remote_state == SPW_BFD_UP && !b->poll);
}

uint64_t
dp_bfd_interval_us(const struct dp_bfd *b)
{
	uint32_t ours = b->held_tx_us ? b->held_tx_us : b->desired_tx_us;

	return silent(b) ? 0 : larger(ours, b->remote_min_rx_us);
}

uint64_t
dp_bfd_detect_us(const struct dp_bfd *b)
{
	uint32_t ours = b->held_rx_us ? b->held_rx_us : b->required_rx_us;

	return (uint64_t)b->remote_mult * larger(ours, b->remote_min_tx_us);
}

static uint64_t
detect_at(const struct dp_bfd *b)
{
	return b->heard_ns + dp_bfd_detect_us(b) * SPW_NS_PER_US;
}

static uint64_t
send_at(const struct dp_bfd *b)
{
	return b->sent_ns + dp_bfd_interval_us(b) * SPW_NS_PER_US * b->jitter / JITTER_ONE;
}

/* A Poll Sequence for changed parameters; the answer to one under way may be about the old ones. */
static void
poll_start(struct dp_bfd *b)
{
	b->poll_again = b->poll;
	b->poll = true;
}

static void
poll_end(struct dp_bfd *b)
{
	b->poll = b->poll_again = false;
	b->held_tx_us = b->held_rx_us = 0;
}

/* Bring the intervals to what state and configuration ask for (RFC 5880 6.8.3). */
static void
timers_renew(struct dp_bfd *b)
{
	bool up = b->state == SPW_BFD_UP;
	uint32_t tx = up ? b->want.min_tx_us : larger(b->want.min_tx_us, DP_BFD_SLOW_US);
	uint32_t rx = b->want.min_rx_us;
	uint32_t used_tx = b->held_tx_us ? b->held_tx_us : b->desired_tx_us;
	uint32_t used_rx = b->held_rx_us ? b->held_rx_us : b->required_rx_us;

	if (!up)
		poll_end(b);
	if (tx == b->desired_tx_us && rx == b->required_rx_us)
		return;
	b->desired_tx_us = tx;
	b->required_rx_us = rx;
	if (!up)
		return;
	b->held_tx_us = tx > used_tx ? used_tx : 0;
	b->held_rx_us = rx < used_rx ? used_rx : 0;
	poll_start(b);
}

/* Returns bits. */
static unsigned int
state_put(struct dp_bfd *b, uint8_t state, uint8_t diag, uint64_t now_ns)
{
	bool was_up = b->state == SPW_BFD_UP;

	b->state = state;
	b->diag = diag;
	b->changed_ns = now_ns;
	b->urgent = true;
	if (state == SPW_BFD_UP) {
		b->was_up = true;
		b->ups++;
	} else if (was_up) {
		b->downs++;
	}
	timers_renew(b);
	return DP_BFD_CHANGED;
}

void
dp_bfd_init(struct dp_bfd *b, const struct dp_bfd_params *want, uint32_t disc, uint64_t chance,
	    uint64_t now_ns)
{
	memset(b, 0, sizeof(*b));
	b->want = *want;
	b->chance = chance;
	b->local_disc = disc;
	b->state = want->admin_down ? SPW_BFD_ADMIN_DOWN : SPW_BFD_DOWN;
	b->diag = want->admin_down ? DP_BFD_DIAG_ADMIN : DP_BFD_DIAG_NONE;
	b->remote_state = SPW_BFD_DOWN;
	b->remote_min_rx_us = 1;
	b->urgent = true;
	b->sent_ns = now_ns;
	timers_renew(b);
	jitter_draw(b);
}

unsigned int
dp_bfd_set(struct dp_bfd *b, const struct dp_bfd_params *want, uint64_t now_ns)
{
	bool was = b->state == SPW_BFD_ADMIN_DOWN;

	b->urgent |= b->want.mult != want->mult;
	b->want = *want;
	if (want->admin_down && !was)
		return state_put(b, SPW_BFD_ADMIN_DOWN, DP_BFD_DIAG_ADMIN, now_ns);
	if (!want->admin_down && was)
		return state_put(b, SPW_BFD_DOWN, DP_BFD_DIAG_NONE, now_ns);
	timers_renew(b);
	return 0;
}

/* What the peer's packet says about it (RFC 5880 6.8.6). */
static void
remote_note(struct dp_bfd *b, const struct dp_bfd_packet *p)
{
	b->remote_disc = p->my_disc;
	b->remote_state = p->state;
	b->remote_diag = p->diag;
	b->remote_demand = p->demand;
	b->remote_mult = p->mult;
	b->remote_min_tx_us = p->min_tx_us;
	b->remote_min_rx_us = p->min_rx_us;
	if (!p->final || !b->poll)
		return;
	if (b->poll_again)
		b->poll_again = false;
	else
		poll_end(b);
}

/* The packet's effect on the state (RFC 5880 6.8.6). Returns bits. */
static unsigned int
state_move(struct dp_bfd *b, uint8_t theirs, uint64_t now_ns)
{
	bool was_up = b->state == SPW_BFD_UP;

	if (theirs == SPW_BFD_ADMIN_DOWN)
		return b->state == SPW_BFD_DOWN
			       ? 0
			       : state_put(b, SPW_BFD_DOWN, DP_BFD_DIAG_NEIGHBOUR, now_ns);
	if (was_up)
		return theirs == SPW_BFD_DOWN
			       ? state_put(b, SPW_BFD_DOWN, DP_BFD_DIAG_NEIGHBOUR, now_ns) |
					 DP_BFD_LOST
			       : 0;
	if (b->state == SPW_BFD_DOWN && theirs == SPW_BFD_DOWN)
		return state_put(b, SPW_BFD_INIT, b->diag, now_ns);
	if (theirs == SPW_BFD_INIT || (b->state == SPW_BFD_INIT && theirs == SPW_BFD_UP))
		return state_put(b, SPW_BFD_UP, DP_BFD_DIAG_NONE, now_ns);
	return 0;
}

/* The packet counts for the detection time. Several workers may have received: never backwards. */
static void
heard_note(struct dp_bfd *b, uint64_t rx_ns)
{
	int64_t gap = (int64_t)(rx_ns - b->heard_ns);

	if (b->heard && gap < 0)
		return;
	if (b->heard && b->state == SPW_BFD_UP && (uint64_t)gap > b->gap_max_ns)
		b->gap_max_ns = (uint64_t)gap;
	b->heard = true;
	b->heard_ns = rx_ns;
	b->last_rx_ns = rx_ns;
}

unsigned int
dp_bfd_input(struct dp_bfd *b, const struct dp_bfd_packet *p, uint64_t rx_ns, uint64_t now_ns)
{
	if (p->your_disc != 0 && p->your_disc != b->local_disc) {
		b->bad++;
		return DP_BFD_REFUSED;
	}
	b->rx++;
	remote_note(b, p);
	if (b->state == SPW_BFD_ADMIN_DOWN)
		return 0;
	heard_note(b, rx_ns);
	return state_move(b, p->state, now_ns) | (p->poll ? DP_BFD_ANSWER : 0);
}

unsigned int
dp_bfd_tick(struct dp_bfd *b, uint64_t now_ns, uint64_t listened_ns)
{
	uint64_t end = detect_at(b);
	bool was_up = b->state == SPW_BFD_UP;

	if (!b->heard || !reached(now_ns, end))
		return 0;
	if (!reached(listened_ns, end) && !reached(now_ns, end + DP_BFD_PATIENCE_NS))
		return 0;
	b->heard = false;
	b->remote_disc = 0; /* RFC 5880 6.8.1 */
	b->remote_demand = false;
	if (b->state != SPW_BFD_UP && b->state != SPW_BFD_INIT)
		return 0;
	return state_put(b, SPW_BFD_DOWN, DP_BFD_DIAG_EXPIRED, now_ns) | (was_up ? DP_BFD_LOST : 0);
}

bool
dp_bfd_due(const struct dp_bfd *b, uint64_t now_ns)
{
	if (silent(b))
		return false;
	return b->urgent || reached(now_ns, send_at(b));
}

struct dp_bfd_packet
dp_bfd_output(struct dp_bfd *b, bool final, uint64_t now_ns)
{
	const struct dp_bfd_packet p = {.state = b->state,
					.diag = b->diag,
					.mult = b->want.mult,
					.poll = b->poll && !final,
					.final = final,
					.control_independent = true,
					.my_disc = b->local_disc,
					.your_disc = b->remote_disc,
					.min_tx_us = b->desired_tx_us,
					.min_rx_us = b->required_rx_us};

	b->tx++;
	if (!final) {
		b->urgent = false;
		b->sent_ns = now_ns;
		jitter_draw(b);
	}
	return p;
}

uint64_t
dp_bfd_deadline(const struct dp_bfd *b)
{
	bool sends = !silent(b);
	uint64_t tx = b->urgent ? b->sent_ns : send_at(b);

	if (!sends)
		return b->heard ? detect_at(b) : DP_BFD_NEVER;
	return b->heard && (int64_t)(detect_at(b) - tx) < 0 ? detect_at(b) : tx;
}
