/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding an IKE SA, a child SA or a connection by a number, so that it costs the same with one
 * tunnel and with ten thousand.
 *
 * An IKE SA is found by its SPIs and by the one that its request offers. They are set by those who
 * make SAs and requests, at any moment of a call; at its end the spots of all SAs that had a turn
 * (turn.c) are put right, and until then the queue of those is searched as well. A child's SPI is
 * there when the child is made, and stays. Connections are found by their name, and by the peer's
 * address, because that is all a first request shows. Buckets are made with the objects, so that
 * nothing here can fail later. One thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

static unsigned int
bucket_of(const struct ike_index *x, uint64_t mark)
{
	return (unsigned int)(mark * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (x->size - 1);
}

static uint32_t
offered(const struct ike_sa *sa)
{
	return sa->req.task != IKE_TASK_NONE && !sa->req.stale ? sa->req.spi_in : 0;
}

uint64_t
ike_index_mark(const struct ike_sa *sa, enum ike_mark which)
{
	switch (which) {
	case IKE_MARK_OWN: return ike_sa_own_spi(sa);
	case IKE_MARK_PROMISED: return sa->req.ike_spi;
	case IKE_MARK_DIALLED: return sa->spi_i;
	case IKE_MARK_OFFERED: return offered(sa);
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
		uint64_t mark = ike_index_mark(sa, w);

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

static struct ike_conn **
like_of(const struct ike_index *x, const char *name)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < SPW_NAME_LEN && name[i]; i++)
		hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
	return &x->like[bucket_of(x, hash)];
}

static void
like_append(struct ike_index *x, struct ike_conn *c)
{
	struct ike_conn **at = like_of(x, c->set.name);

	while (*at)
		at = &(*at)->like;
	*at = c;
	c->like = NULL;
}

struct ike_conn *
ike_conn_find(const struct ike_engine *e, const char *name)
{
	struct ike_conn *c = e->index.size ? *like_of(&e->index, name) : NULL;

	while (c && strncmp(c->set.name, name, sizeof(c->set.name)) != 0)
		c = c->like;
	return c;
}

void
ike_index_conn(struct ike_conn *conn)
{
	struct ike_conn **near = near_of(&conn->e->index, &conn->set.remote);
	struct ike_conn **like = like_of(&conn->e->index, conn->set.name);

	conn->near = *near;
	*near = conn;
	conn->like = *like;
	*like = conn;
}

void
ike_index_conn_gone(struct ike_conn *conn)
{
	struct ike_conn **at = near_of(&conn->e->index, &conn->set.remote);

	while (*at && *at != conn)
		at = &(*at)->near;
	if (*at)
		*at = conn->near;
	at = like_of(&conn->e->index, conn->set.name);
	while (*at && *at != conn)
		at = &(*at)->like;
	if (*at)
		*at = conn->like;
}

/* ---- children by their inbound SPI ---- */

static struct ike_child **
child_of(const struct ike_index *x, uint32_t spi_in)
{
	return &x->child[bucket_of(x, spi_in)];
}

void
ike_index_child(struct ike_child *c)
{
	struct ike_child **at = child_of(&c->sa->e->index, c->spi_in);

	c->same = *at;
	*at = c;
}

void
ike_index_child_gone(struct ike_child *c)
{
	struct ike_child **at = child_of(&c->sa->e->index, c->spi_in);

	while (*at && *at != c)
		at = &(*at)->same;
	if (*at)
		*at = c->same;
}

struct ike_child *
ike_child_find_in(const struct ike_engine *e, uint32_t spi_in)
{
	struct ike_child *c = spi_in && e->index.size ? *child_of(&e->index, spi_in) : NULL;

	while (c && c->spi_in != spi_in)
		c = c->same;
	return c;
}

static void
child_append(struct ike_index *x, struct ike_child *c)
{
	struct ike_child **at = child_of(x, c->spi_in);

	while (*at)
		at = &(*at)->same;
	*at = c;
	c->same = NULL;
}

/* ---- room ---- */

static bool
buckets_make(struct ike_index *x)
{
	bool all;

	x->near = calloc(x->size, sizeof(x->near[0]));
	x->child = calloc(x->size, sizeof(x->child[0]));
	x->like = calloc(x->size, sizeof(x->like[0]));
	all = x->near && x->child && x->like;
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
	free(x->child);
	free(x->like);
}

/* More buckets, with everything in them. Without memory the chains grow longer instead. */
int
ike_index_room(struct ike_engine *e, unsigned int size)
{
	struct ike_index *x = &e->index, bigger = {.size = size, .half_open = x->half_open};

	if (x->size >= size)
		return 0;
	if (!buckets_make(&bigger)) {
		buckets_free(&bigger);
		return x->size ? 0 : -ENOMEM;
	}
	for (struct ike_sa *sa = e->sas; sa; sa = sa->next) {
		for (enum ike_mark w = 0; w < IKE_MARKS; w++)
			if (sa->spot[w].in)
				spot_add(&bigger, w, &sa->spot[w]);
		for (struct ike_child *c = sa->children; c; c = c->next)
			child_append(&bigger, c);
	}
	for (struct ike_conn *c = e->conns; c; c = c->next) {
		near_append(&bigger, c);
		like_append(&bigger, c);
	}
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
		if (t->sa && ike_index_mark(t->sa, which) == mark)
			return t->sa;
		for (struct ike_sa *sa = ike_conn_sas(t->conn); sa; sa = sa->conn_next)
			if (ike_index_mark(sa, which) == mark)
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
		if (s->mark == mark && ike_index_mark(s->sa, which) == mark)
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

	while (s && (s->mark != mark || ike_index_mark(s->sa, which) != mark))
		s = s->next;
	return s ? s->sa : NULL;
}

static void
half_open_count(struct ike_sa *sa, bool is)
{
	sa->e->index.half_open += (unsigned int)is - (unsigned int)sa->counted;
	sa->counted = is;
}

void
ike_index_note(struct ike_sa *sa)
{
	spots_update(sa);
	half_open_count(sa, ike_sa_is_strangers(sa));
}

void
ike_index_gone(struct ike_sa *sa)
{
	half_open_count(sa, false);
	for (enum ike_mark w = 0; w < IKE_MARKS; w++)
		spot_del(&sa->e->index, w, &sa->spot[w]);
}
