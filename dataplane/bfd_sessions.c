/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BFD sessions on the punt thread.
 *
 * A session belongs to an interface, a peer and an address of ours; packets of anybody else are
 * nobody's, also with the right discriminator, because only a neighbour on that link may speak for
 * it (RFC 5881 3). When a session is lost, the bits of the paths to its peer are cleared first, by
 * a mask made beforehand, then the event is queued and the API thread woken; workers have nothing
 * to do with it. Deleting a session or taking it down by configuration clears nothing.
 *
 * An event that finds the ring full is kept in its session and queued later; a newer one of the
 * same session takes its place, as the state now is what counts. One that waits in the ring when
 * its session goes is told to nobody: its number may be another neighbour's by then.
 *
 * Everything is under the monitor's lock; memory is allocated at the start.
 */
#include "dataplane/bfd_sessions.h"

#include <errno.h>
#include <stdlib.h>

#define EVENTS 1024 /* four for each session */

/* An event on its way, and whose it is: sessions of one id have different discriminators. */
struct bfd_note {
	struct spw_dp_bfd_event event;
	uint32_t disc;
	uint32_t pad;
};

static struct dp_bfd_params
params_of(const struct spw_dp_bfd *c)
{
	return (struct dp_bfd_params){.min_tx_us = c->min_tx_us,
				      .min_rx_us = c->min_rx_us,
				      .mult = (uint8_t)c->detect_mult,
				      .admin_down = c->admin_down != 0};
}

static void
session_send(struct dp_bfds *b, struct dp_bfd_session *s, bool final, uint64_t now_ns)
{
	const struct dp_monitor_way way = {
		.path = SPW_DP_ADDR_NONE, .iface = (uint16_t)s->conf.iface, .hop = s->conf.peer};
	const struct dp_bfd_datagram d = {.src = s->conf.local,
					  .dst = s->conf.peer,
					  .packet = dp_bfd_output(&s->bfd, final, now_ns)};
	uint8_t ip[DP_BFD_IP_MAX];
	uint32_t len = dp_bfd_wrap(ip, &d, s->src_port);

	/* One that does not go is as good as lost on the way. */
	if (dp_monitor_send(b->monitor, DP_MONITOR_BFD, &way, ip, len) != 0)
		s->bfd.tx--;
}

static void
event_queue(struct dp_bfds *b, struct dp_bfd_session *s)
{
	struct bfd_note note = {.event = s->event, .disc = s->bfd.local_disc};

	s->untold = rte_ring_sp_enqueue_elem(b->events, &note, sizeof(note)) != 0;
	dp_bell_ring(b->api_bell);
}

/* What a change of state means for others. */
static void
changed(struct dp_bfds *b, struct dp_bfd_session *s, unsigned int did, bool was_up, uint64_t now_ns)
{
	if (did & DP_BFD_LOST)
		dp_path_bits_clear(b->bits, &s->mask, now_ns);
	if (s->bfd.state == SPW_BFD_INIT)
		return;
	s->event = (struct spw_dp_bfd_event){.id = s->conf.id,
					     .state = s->bfd.state,
					     .diag = s->bfd.diag,
					     .remote_diag = s->bfd.remote_diag,
					     .at_ns = now_ns,
					     .last_rx_ns = s->bfd.last_rx_ns,
					     .was_up = was_up,
					     .remote_state = s->bfd.remote_state};
	event_queue(b, s);
}

static struct dp_bfd_session *
find(struct dp_bfds *b, uint16_t iface, const struct dp_bfd_datagram *d)
{
	for (uint32_t id = 0; id < b->end; id++) {
		struct dp_bfd_session *s = &b->session[id];

		if (s->used && s->conf.iface == iface && spw_addr_equal(&s->conf.peer, &d->src) &&
		    spw_addr_equal(&s->conf.local, &d->dst))
			return s;
	}
	return NULL;
}

static bool
input(void *ctx, const struct dp_monitor_in *in)
{
	struct dp_bfds *b = ctx;
	struct dp_bfd_datagram d;
	enum dp_bfd_bad bad = dp_bfd_unwrap(in->ip, in->len, &d);
	struct dp_bfd_session *s = find(b, in->iface, &d);
	uint64_t now = spw_clock_ns();

	if (!s)
		return true; /* RFC 5880 6.8.6: no session, discarded */
	if (bad != DP_BFD_GOOD) {
		s->bfd.bad++;
		return true;
	}
	bool was_up = s->bfd.state == SPW_BFD_UP;
	unsigned int did = dp_bfd_input(&s->bfd, &d.packet, in->rx_ns, now);

	if (did & DP_BFD_CHANGED)
		changed(b, s, did, was_up, now);
	if (did & DP_BFD_ANSWER)
		session_send(b, s, true, now);
	return true;
}

static void
session_tick(struct dp_bfds *b, struct dp_bfd_session *s, uint64_t now_ns, uint64_t listened_ns)
{
	bool was_up = s->bfd.state == SPW_BFD_UP;
	unsigned int did = dp_bfd_tick(&s->bfd, now_ns, listened_ns);

	if (did & DP_BFD_CHANGED)
		changed(b, s, did, was_up, now_ns);
	if (dp_bfd_due(&s->bfd, now_ns))
		session_send(b, s, false, now_ns);
	if (s->untold)
		event_queue(b, s);
}

/* A verdict that waits for the workers is looked at again soon. */
static uint64_t
again_at(const struct dp_bfd_session *s, uint64_t now_ns)
{
	return RTE_MAX(dp_bfd_deadline(&s->bfd), now_ns + 60 * SPW_NS_PER_US);
}

static uint64_t
tick(void *ctx, uint64_t now_ns)
{
	struct dp_bfds *b = ctx;
	uint64_t next = DP_MONITOR_NEVER, listened = dp_monitor_listened_ns(b->monitor);

	for (uint32_t id = 0; id < b->end; id++) {
		struct dp_bfd_session *s = &b->session[id];

		if (!s->used)
			continue;
		session_tick(b, s, now_ns, listened);
		next = RTE_MIN(next, again_at(s, now_ns));
	}
	return next;
}

int
dp_bfds_new(struct dp_bfds **out, struct dp_monitor *m, struct dp_path_bits *bits,
	    struct dp_bell *api_bell, struct spw_err *err)
{
	struct dp_bfds *b = calloc(1, sizeof(*b));

	if (!b)
		return spw_fail(err, -ENOMEM, "no memory for BFD sessions");
	b->monitor = m;
	b->bits = bits;
	b->api_bell = api_bell;
	b->made = calloc(SPW_DP_BFD_MAX, sizeof(b->made[0]));
	b->events = rte_ring_create_elem("bfd-events", sizeof(struct bfd_note), EVENTS,
					 SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!b->made || !b->events) {
		dp_bfds_free(b);
		return spw_fail(err, -ENOMEM, "no memory for BFD sessions");
	}
	const struct dp_monitor_user user = {.ctx = b, .input = input, .tick = tick};

	dp_monitor_attach(m, DP_MONITOR_BFD, &user);
	*out = b;
	return 0;
}

void
dp_bfds_free(struct dp_bfds *b)
{
	if (!b)
		return;
	rte_ring_free(b->events);
	free(b->made);
	free(b);
}

static bool
same_neighbour(const struct spw_dp_bfd *a, const struct spw_dp_bfd *b)
{
	return a->iface == b->iface && spw_addr_equal(&a->local, &b->local) &&
	       spw_addr_equal(&a->peer, &b->peer);
}

/* Under the lock. */
static void
session_end(struct dp_bfds *b, struct dp_bfd_session *s)
{
	dp_monitor_want_bfd(b->monitor, (uint16_t)s->conf.iface, -1);
	memset(s, 0, sizeof(*s));
	while (b->end && !b->session[b->end - 1].used)
		b->end--;
}

void
dp_bfds_set(struct dp_bfds *b, const struct spw_dp_bfd *conf, uint32_t disc, uint16_t src_port,
	    uint64_t chance)
{
	struct dp_bfd_session *s = &b->session[conf->id];
	const struct dp_bfd_params want = params_of(conf);
	uint64_t now = spw_clock_ns();

	dp_monitor_lock(b->monitor);
	if (s->used && same_neighbour(&s->conf, conf)) {
		bool was_up = s->bfd.state == SPW_BFD_UP;
		unsigned int did = dp_bfd_set(&s->bfd, &want, now);

		s->conf = *conf;
		if (did & DP_BFD_CHANGED)
			changed(b, s, did, was_up, now);
	} else {
		if (s->used)
			session_end(b, s);
		s->used = true;
		s->conf = *conf;
		s->src_port = src_port;
		dp_bfd_init(&s->bfd, &want, disc, chance, now);
		dp_monitor_want_bfd(b->monitor, (uint16_t)conf->iface, 1);
		b->end = RTE_MAX(b->end, conf->id + 1);
	}
	dp_monitor_unlock(b->monitor);
	dp_monitor_wake(b->monitor);
}

void
dp_bfds_del(struct dp_bfds *b, uint32_t id)
{
	dp_monitor_lock(b->monitor);
	session_end(b, &b->session[id]);
	dp_monitor_unlock(b->monitor);
}

void
dp_bfds_masks_put(struct dp_bfds *b)
{
	dp_monitor_lock(b->monitor);
	for (uint32_t id = 0; id < b->end; id++)
		b->session[id].mask = b->made[id];
	dp_monitor_unlock(b->monitor);
}

bool
dp_bfds_event(struct dp_bfds *b, struct spw_dp_bfd_event *ev)
{
	struct bfd_note note;

	while (rte_ring_sc_dequeue_elem(b->events, &note, sizeof(note)) == 0) {
		const struct dp_bfd_session *s = &b->session[note.event.id];

		if (!s->used || s->bfd.local_disc != note.disc)
			continue;
		*ev = note.event;
		return true;
	}
	return false;
}

bool
dp_bfds_row(struct dp_bfds *b, uint32_t id, struct spw_dp_bfd_stats *row)
{
	struct dp_bfd_session *s = &b->session[id];

	dp_monitor_lock(b->monitor);
	bool used = s->used;
	const struct dp_bfd bfd = s->bfd;

	dp_monitor_unlock(b->monitor);
	if (!used)
		return false;
	*row = (struct spw_dp_bfd_stats){
		.id = id,
		.state = bfd.state,
		.remote_state = bfd.remote_state,
		.diag = bfd.diag,
		.remote_diag = bfd.remote_diag,
		.was_up = bfd.was_up,
		.local_disc = bfd.local_disc,
		.remote_disc = bfd.remote_disc,
		.detect_mult = bfd.want.mult,
		.remote_mult = bfd.remote_mult,
		.tx_us = (uint32_t)dp_bfd_interval_us(&bfd),
		.detect_us = (uint32_t)RTE_MIN(dp_bfd_detect_us(&bfd), (uint64_t)UINT32_MAX),
		.rx = bfd.rx,
		.tx = bfd.tx,
		.bad = bfd.bad,
		.ups = bfd.ups,
		.downs = bfd.downs,
		.changed_ns = bfd.changed_ns,
		.last_rx_ns = bfd.last_rx_ns,
		.rx_gap_max_us = bfd.gap_max_ns / SPW_NS_PER_US};
	return true;
}
