/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose turn it is, so that a datagram costs the same with one tunnel and with ten thousand.
 *
 * What to do next is read off the objects (dial.c), and what an object wants depends on itself, on
 * its connection and that one's other IKE SAs, and on the time. So those are looked at to whom
 * something happened in this call (ike_wake(), which ike_touch() calls) and those whose time has
 * come, which a heap knows; all others still want what they wanted. At the end of the call
 * everybody who had a turn says when he wants the next one. Time of last inbound traffic is the one
 * thing that moves unseen: it only makes a wish later, so its object has a turn too early, finds
 * nothing to do and says the later time.
 *
 * The queue is in the order of happening, the heap in that of time and then of making: which call
 * does what depends on nothing but the calls before it. Room in the heap and in the index (index.c)
 * is made when an object is made, so that nothing here can fail later. One thread.
 */
#include "ike/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

#define ROOM_FIRST 16

/* ---- the heap ---- */

static bool
earlier(const struct ike_turn *a, const struct ike_turn *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void
put(struct ike_turns *ts, unsigned int place, struct ike_turn *t)
{
	ts->heap[place] = t;
	t->place = place;
}

static void
rise(struct ike_turns *ts, struct ike_turn *t)
{
	unsigned int i = t->place;

	for (; i > 1 && earlier(t, ts->heap[i / 2]); i /= 2)
		put(ts, i, ts->heap[i / 2]);
	put(ts, i, t);
}

static void
sink(struct ike_turns *ts, struct ike_turn *t)
{
	unsigned int i = t->place;

	for (unsigned int k = 2 * i; k <= ts->n; k = 2 * i) {
		if (k < ts->n && earlier(ts->heap[k + 1], ts->heap[k]))
			k++;
		if (!earlier(ts->heap[k], t))
			break;
		put(ts, i, ts->heap[k]);
		i = k;
	}
	put(ts, i, t);
}

static void
heap_del(struct ike_turns *ts, struct ike_turn *t)
{
	struct ike_turn *last = ts->heap[ts->n--];
	unsigned int place = t->place;

	t->place = 0;
	if (last == t)
		return;
	put(ts, place, last);
	rise(ts, last);
	sink(ts, last);
}

static void
heap_add(struct ike_turns *ts, struct ike_turn *t)
{
	put(ts, ++ts->n, t);
	rise(ts, t);
}

/* ---- turns ---- */

int
ike_turn_join(struct ike_engine *e, struct ike_turn *t, struct ike_conn *conn, struct ike_sa *sa)
{
	struct ike_turns *ts = &e->turns;

	if (ts->joined + 1 >= ts->room) {
		unsigned int room = ts->room ? 2 * ts->room : ROOM_FIRST;
		struct ike_turn **heap = realloc(ts->heap, room * sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		ts->heap = heap;
		ts->room = room;
	}
	if (ike_index_room(e, ts->room) != 0)
		return -ENOMEM;
	*t = (struct ike_turn){.conn = conn, .sa = sa, .at = UINT64_MAX, .order = ++ts->order};
	ts->joined++;
	return 0;
}

static void
queue_del(struct ike_turns *ts, struct ike_turn *t)
{
	struct ike_turn **at = &ts->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (ts->end == &t->next)
		ts->end = at;
	t->queued = false;
}

void
ike_turn_leave(struct ike_engine *e, struct ike_turn *t)
{
	if (t->order == 0)
		return;
	if (t->queued)
		queue_del(&e->turns, t);
	if (t->place)
		heap_del(&e->turns, t);
	if (t->sa)
		ike_index_gone(t->sa);
	e->turns.joined--;
	t->order = 0;
}

static void
queue_add(struct ike_turns *ts, struct ike_turn *t)
{
	if (ts->closing)
		t->again = true;
	if (t->queued)
		return;
	if (!ts->first)
		ts->end = &ts->first;
	t->next = NULL;
	*ts->end = t;
	ts->end = &t->next;
	t->queued = true;
}

void
ike_wake(struct ike_sa *sa)
{
	queue_add(&sa->e->turns, sa->conn ? &sa->conn->turn : &sa->turn);
}

void
ike_wake_conn(struct ike_conn *conn)
{
	queue_add(&conn->e->turns, &conn->turn);
}

void
ike_wake_turn(struct ike_turn *t)
{
	if (t->sa)
		ike_wake(t->sa);
	else if (t->conn)
		ike_wake_conn(t->conn);
}

void
ike_wake_all(struct ike_engine *e)
{
	for (struct ike_conn *c = e->conns; c; c = c->next)
		ike_wake_conn(c);
	for (struct ike_sa *sa = e->sas; sa; sa = sa->next)
		ike_wake(sa);
}

void
ike_turns_due(struct ike_engine *e)
{
	struct ike_turns *ts = &e->turns;

	while (ts->n > 0 && ts->heap[1]->at <= e->now) {
		struct ike_turn *t = ts->heap[1];

		heap_del(ts, t);
		queue_add(ts, t);
	}
}

static uint64_t
wanted_at(const struct ike_turn *t)
{
	uint64_t at = UINT64_MAX;

	if (t->sa)
		return t->sa->conn ? UINT64_MAX : ike_sa_wakeup(t->sa);
	at = ike_conn_wakeup(t->conn);
	for (const struct ike_sa *sa = t->conn->sas; sa; sa = sa->conn_next)
		at = ike_min_u64(at, ike_sa_wakeup(sa));
	return at;
}

static void
reschedule(struct ike_turns *ts, struct ike_turn *t)
{
	if (t->place)
		heap_del(ts, t);
	t->at = wanted_at(t);
	if (t->at != UINT64_MAX)
		heap_add(ts, t);
	if (t->sa)
		ike_index_note(t->sa);
	for (struct ike_sa *sa = ike_conn_sas(t->conn); sa; sa = sa->conn_next)
		ike_index_note(sa);
}

void
ike_turns_end(struct ike_engine *e)
{
	struct ike_turns *ts = &e->turns;
	struct ike_turn *t = ts->first, *next;

	ts->first = NULL;
	ts->closing = false;
	for (; t; t = next) {
		next = t->next;
		t->queued = false;
		reschedule(ts, t);
		if (t->again)
			queue_add(ts, t);
		t->again = false;
	}
}

uint64_t
ike_turns_next(const struct ike_engine *e)
{
	return e->turns.n > 0 ? e->turns.heap[1]->at : UINT64_MAX;
}

static bool
sound(const struct ike_engine *e, const struct ike_turn *t)
{
	return t->queued || (t->at <= wanted_at(t) && t->at >= ike_turns_next(e) &&
			     (t->place != 0) == (t->at != UINT64_MAX));
}

bool
ike_turns_sound(const struct ike_engine *e)
{
	for (const struct ike_conn *c = e->conns; c; c = c->next)
		if (!sound(e, &c->turn))
			return false;
	for (const struct ike_sa *sa = e->sas; sa; sa = sa->next) {
		for (const struct ike_child *c = sa->children; c; c = c->next)
			if (c->spi_in && !ike_child_find_in(e, c->spi_in))
				return false;
		for (enum ike_mark w = 0; w < IKE_MARKS; w++) {
			uint64_t mark = ike_index_mark(sa, w);

			if (!sound(e, &sa->turn) || (mark && !ike_index_find(e, w, mark)))
				return false;
		}
	}
	return true;
}
