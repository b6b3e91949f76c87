/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits of child SAs and the events about them.
 *
 * Bytes and packets are counted, compared and enforced by the workers (esp_seal.c, esp_open.c);
 * seconds here, by the tick. Whoever finds a limit reached sets the event's bit in the child; the
 * first to set it sends a note to the API thread through a ring. The bit of the hard event is also
 * what ends the SA: every worker looks at it before it uses a key, or at the lowest limit of the
 * outbound half, which is 0 from just before on. So an SA ends whether iked, or
 * anybody, is alive. The tick then wipes its keys after grace and, after a rest in which late
 * packets still count as limit-hard, forgets it.
 *
 * Each event is handed out once: `delivered` is kept by the API thread alone. A note that did not
 * fit in the ring is sent again by the tick, from the bit.
 *
 * An early packet has no child yet, only the slot of its SPI. Whoever sets the mark there sends the
 * note; when the ring is full the mark is taken back and the next packet tells. It is handed out if
 * the SPI still waits for its SA by then.
 */
#include <rte_cycles.h>

#include "dataplane/sad_data.h"

#define FORGET_NS DP_SPI_REST_NS

static void
send_note(struct dp_sad *sad, const struct dp_child *c, uint32_t spi_in, uint32_t kind)
{
	struct dp_sa_note note = {
		.kind = kind,
		.limit = atomic_load_explicit(&c->why[kind], memory_order_relaxed),
		.spi_in = spi_in,
	};

	/* When the ring is full the tick sends it again. */
	(void)rte_ring_mp_enqueue_elem(sad->events, &note, sizeof(note));
}

/* It may have been taken away; then nobody seals on it any more. */
static void
end_out(struct dp_child *c)
{
	struct dp_sa_out *out = atomic_load_explicit(&c->out, memory_order_relaxed);

	if (out != NULL)
		atomic_store_explicit(&out->watch_packets, 0, memory_order_relaxed);
}

void
dp_child_raise(struct dp_sad *sad, struct dp_child *c, uint32_t spi_in,
	       enum spw_dp_sa_event_kind kind, enum spw_dp_sa_limit_kind limit)
{
	if (dp_child_raised(c, kind))
		return;
	/* Before the bit: keys are wiped a grace after that was seen. */
	if (kind == SPW_SA_EV_HARD)
		end_out(c);
	/* The first reason stands unless two workers race; either is then true. */
	atomic_store_explicit(&c->why[kind], limit, memory_order_relaxed);
	if ((atomic_fetch_or_explicit(&c->raised, 1u << kind, memory_order_acq_rel) & 1u << kind) ==
	    0)
		send_note(sad, c, spi_in, kind);
}

void
dp_sad_early(struct dp_sad *sad, uint32_t spi)
{
	_Atomic bool *early = &sad->slots[spi & sad->index_mask].early;
	struct dp_sa_note note = {.kind = SPW_SA_EV_EARLY, .spi_in = spi};

	if (atomic_load_explicit(early, memory_order_relaxed) ||
	    atomic_exchange_explicit(early, true, memory_order_relaxed))
		return;
	if (rte_ring_mp_enqueue_elem(sad->events, &note, sizeof(note)) != 0)
		atomic_store_explicit(early, false, memory_order_relaxed);
}

static bool
reached(uint64_t age_ns, uint64_t limit_s)
{
	return limit_s != 0 && age_ns / SPW_NS_PER_S >= limit_s;
}

static void
check_age(struct dp_sad *sad, struct dp_child *c, uint64_t now_ns)
{
	uint64_t age = now_ns > c->installed_ns ? now_ns - c->installed_ns : 0;

	if (reached(age, c->seconds.soft))
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_SOFT, SPW_SA_LIMIT_TIME);
	if (reached(age, c->seconds.hard))
		dp_child_raise(sad, c, c->spi_in, SPW_SA_EV_HARD, SPW_SA_LIMIT_TIME);
}

/* Send again what the ring had no room for. Doubles are sorted out at delivery. */
static void
resend(struct dp_sad *sad, const struct dp_child *c)
{
	uint32_t missing = atomic_load_explicit(&c->raised, memory_order_relaxed) & ~c->delivered;

	for (uint32_t kind = SPW_SA_EV_FIRST_IN; kind <= SPW_SA_EV_HARD; kind++)
		if ((missing & 1u << kind) != 0)
			send_note(sad, c, c->spi_in, kind);
}

/* Mark those that ended since the last tick; true when there are any. */
static bool
mark_ended(struct dp_sad *sad, uint64_t now_ns)
{
	struct dp_child *c;
	bool any = false;

	LIST_FOREACH(c, &sad->children, all)
	{
		if (!dp_child_ended(c) || c->ended_ns != 0)
			continue;
		c->ended_ns = now_ns;
		any = true;
	}
	/* Partner: the bit's setting in dp_child_raise(), before which the outbound half ended. */
	atomic_thread_fence(memory_order_acquire);
	return any;
}

/*
 * Wipe the keys of SAs marked in this tick: after grace no worker uses them, because each has seen
 * the bit, or the limit of 0. One that ends while we wait keeps its keys until the next tick.
 */
static void
wipe_ended(struct dp_sad *sad, uint64_t now_ns)
{
	struct dp_child *c;

	if (!mark_ended(sad, now_ns))
		return;
	dp_sad_grace(sad);
	LIST_FOREACH(c, &sad->children, all)
	{
		if (c->ended_ns != now_ns)
			continue;
		dp_keys_put(sad->keys_in, c->key_in);
		dp_keys_put(sad->keys_out, c->key_out);
		c->key_in = NULL;
		c->key_out = NULL;
	}
}

static void
forget_ended(struct dp_sad *sad, uint64_t now_ns)
{
	struct dp_child *c, *next;

	for (c = LIST_FIRST(&sad->children); c != NULL; c = next) {
		next = LIST_NEXT(c, all);
		if (c->ended_ns != 0 && now_ns - c->ended_ns >= FORGET_NS)
			dp_sad_child_remove(sad, c);
	}
}

void
dp_sad_tick(struct dp_sad *sad, uint64_t now_ns)
{
	struct dp_child *c;

	LIST_FOREACH(c, &sad->children, all)
	{
		if (c->ended_ns == 0)
			check_age(sad, c, now_ns);
		resend(sad, c);
	}
	wipe_ended(sad, now_ns);
	forget_ended(sad, now_ns);
	dp_sad_mtu_tick(sad, now_ns);
	dp_sad_spi_tick(sad, now_ns);
}

/* False when its SA is there by now, or nobody waits for one any more. */
static bool
deliver_early(const struct dp_sad *sad, const struct dp_sa_note *note, struct spw_dp_sa_event *ev)
{
	const struct dp_spi_slot *s = &sad->slots[note->spi_in & sad->index_mask];

	if (s->state != DP_SPI_ALLOCATED || s->spi != note->spi_in)
		return false;
	*ev = (struct spw_dp_sa_event){
		.kind = SPW_SA_EV_EARLY, .tunnel = s->tunnel, .spi_in = note->spi_in};
	return true;
}

/* False when the event was handed out before, its SA is gone, or it was for the SAD itself. */
static bool
deliver(struct dp_sad *sad, const struct dp_sa_note *note, struct spw_dp_sa_event *ev)
{
	struct dp_child *c;

	if (note->kind == DP_NOTE_PATH_MTU) {
		dp_sad_mtu_heard(sad, note);
		return false;
	}
	if (note->kind == SPW_SA_EV_EARLY)
		return deliver_early(sad, note, ev);
	c = dp_sad_child(sad, note->spi_in);
	if (c == NULL)
		return false;
	if (note->kind != SPW_SA_EV_PEER_MOVED) {
		if ((c->delivered & 1u << note->kind) != 0)
			return false;
		c->delivered |= 1u << note->kind;
	}
	*ev = (struct spw_dp_sa_event){
		.kind = note->kind,
		.tunnel = c->tunnel,
		.spi_in = note->spi_in,
		.limit = note->limit,
	};
	if (note->kind == SPW_SA_EV_PEER_MOVED) {
		ev->remote = spw_addr_from_mapped(note->remote);
		ev->remote_port = (uint16_t)note->remote_port;
	}
	return true;
}

bool
dp_sad_event(struct dp_sad *sad, struct spw_dp_sa_event *ev)
{
	struct dp_sa_note note;

	while (rte_ring_sc_dequeue_elem(sad->events, &note, sizeof(note)) == 0)
		if (deliver(sad, &note, ev))
			return true;
	return false;
}
