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
 * does what depends on nothing but the calls before it.
 *
 * The index finds an IKE SA by its SPIs. They are set by those who make SAs, at any moment of a
 * call; at its end the spots of all SAs that had a turn are put right, and until then the queue is
 * searched as well. Connections are found by the peer's address, because that is all a first
 * request shows. Room in heap and index is made when an object is made, so that nothing here can
 * fail later. One thread.
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

/* ---- the index ---- */

static unsigned int
bucket_of(const struct ike_index *x, uint64_t mark)
{
	return (unsigned int)(mark * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (x->size - 1);
}

static uint64_t
mark_of(const struct ike_sa *sa, enum ike_mark which)
{
	switch (which) {
	case IKE_MARK_OWN: return ike_sa_own_spi(sa);
	case IKE_MARK_PROMISED: return sa->req.ike_spi;
	case IKE_MARK_DIALLED: return sa->spi_i;
	case IKE_MARKS:
	default: return 0;
	}
}

static void
spot_add(struct ike_index *x, enum ike_mark which, struct ike_spot *s)
{
	struct ike_spot **at = &x->bucket[which][bucket_of(x, s->mark)];

	s->next = *at;
	*at = s;
	s->in = true;
}

static void
spot_del(struct ike_index *x, enum ike_mark which, struct ike_spot *s)
{
	struct ike_spot **at = &x->bucket[which][bucket_of(x, s->mark)];

	if (!s->in)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->in = false;
}

static void
spots_update(struct ike_sa *sa)
{
	struct ike_index *x = &sa->e->index;

	for (enum ike_mark w = 0; w < IKE_MARKS; w++) {
		struct ike_spot *s = &sa->spot[w];
		uint64_t mark = mark_of(sa, w);

		if (s->in && s->mark == mark)
			continue;
		spot_del(x, w, s);
		s->mark = mark;
		s->sa = sa;
		if (mark != 0)
			spot_add(x, w, s);
	}
}

static struct ike_conn **
near_of(const struct ike_index *x, const struct spw_addr *remote)
{
	uint64_t half[2];

	memcpy(half, remote->bytes, sizeof(half));
	return &x->near[bucket_of(x, half[0] ^ half[1] * UINT64_C(0x100000001b3))];
}

static void
near_append(struct ike_index *x, struct ike_conn *c)
{
	struct ike_conn **at = near_of(x, &c->set.remote);

	while (*at)
		at = &(*at)->near;
	*at = c;
	c->near = NULL;
}

struct ike_conn *
ike_index_near(const struct ike_engine *e, const struct spw_addr *remote)
{
	return e->index.size ? *near_of(&e->index, remote) : NULL;
}

void
ike_index_conn(struct ike_conn *conn)
{
	struct ike_conn **at = near_of(&conn->e->index, &conn->set.remote);

	conn->near = *at;
	*at = conn;
}

void
ike_index_conn_gone(struct ike_conn *conn)
{
	struct ike_conn **at = near_of(&conn->e->index, &conn->set.remote);

	while (*at && *at != conn)
		at = &(*at)->near;
	if (*at)
		*at = conn->near;
}

static bool
buckets_make(struct ike_index *x)
{
	bool all = (x->near = calloc(x->size, sizeof(x->near[0]))) != NULL;

	for (enum ike_mark w = 0; w < IKE_MARKS; w++) {
		x->bucket[w] = calloc(x->size, sizeof(x->bucket[w][0]));
		all = all && x->bucket[w];
	}
	return all;
}

static void
buckets_free(struct ike_index *x)
{
	for (enum ike_mark w = 0; w < IKE_MARKS; w++)
		free(x->bucket[w]);
	free(x->near);
}

/* More buckets, with all spots in them. Without memory the chains grow longer instead. */
static int
index_grow(struct ike_engine *e, unsigned int size)
{
	struct ike_index *x = &e->index, bigger = {.size = size, .half_open = x->half_open};

	if (!buckets_make(&bigger)) {
		buckets_free(&bigger);
		return x->size ? 0 : -ENOMEM;
	}
	for (struct ike_sa *sa = e->sas; sa; sa = sa->next)
		for (enum ike_mark w = 0; w < IKE_MARKS; w++)
			if (sa->spot[w].in)
				spot_add(&bigger, w, &sa->spot[w]);
	for (struct ike_conn *c = e->conns; c; c = c->next)
		near_append(&bigger, c);
	ike_index_free(e);
	*x = bigger;
	return 0;
}

void
ike_index_free(struct ike_engine *e)
{
	buckets_free(&e->index);
	memset(&e->index, 0, sizeof(e->index));
}

static struct ike_sa *
found_in_queue(const struct ike_engine *e, enum ike_mark which, uint64_t mark)
{
	for (const struct ike_turn *t = e->turns.first; t; t = t->next) {
		if (t->sa && mark_of(t->sa, which) == mark)
			return t->sa;
		for (struct ike_sa *sa = ike_conn_sas(t->conn); sa; sa = sa->conn_next)
			if (mark_of(sa, which) == mark)
				return sa;
	}
	return NULL;
}

struct ike_sa *
ike_index_find(const struct ike_engine *e, enum ike_mark which, uint64_t mark)
{
	const struct ike_index *x = &e->index;
	struct ike_spot *s = x->size ? x->bucket[which][bucket_of(x, mark)] : NULL;

	for (; s; s = s->next)
		if (s->mark == mark && mark_of(s->sa, which) == mark)
			return s->sa;
	return mark ? found_in_queue(e, which, mark) : NULL;
}

struct ike_sa *
ike_index_next(const struct ike_engine *e, enum ike_mark which, uint64_t mark,
	       const struct ike_sa *after)
{
	const struct ike_index *x = &e->index;
	struct ike_spot *s = after     ? after->spot[which].next
			     : x->size ? x->bucket[which][bucket_of(x, mark)]
				       : NULL;

	while (s && (s->mark != mark || mark_of(s->sa, which) != mark))
		s = s->next;
	return s ? s->sa : NULL;
}

static void
half_open_count(struct ike_sa *sa, bool is)
{
	sa->e->index.half_open += (unsigned int)is - (unsigned int)sa->counted;
	sa->counted = is;
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
	if (e->index.size < ts->room && index_grow(e, ts->room) != 0)
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
		half_open_count(t->sa, false);
	for (enum ike_mark w = 0; t->sa && w < IKE_MARKS; w++)
		spot_del(&e->index, w, &t->sa->spot[w]);
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
noted(struct ike_sa *sa)
{
	spots_update(sa);
	half_open_count(sa, ike_sa_is_strangers(sa));
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
		noted(t->sa);
	for (struct ike_sa *sa = ike_conn_sas(t->conn); sa; sa = sa->conn_next)
		noted(sa);
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
	for (const struct ike_sa *sa = e->sas; sa; sa = sa->next)
		for (enum ike_mark w = 0; w < IKE_MARKS; w++) {
			uint64_t mark = mark_of(sa, w);

			if (!sound(e, &sa->turn) || (mark && !ike_index_find(e, w, mark)))
				return false;
		}
	return true;
}
